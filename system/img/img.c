/* myna-img: the commands on disk images, their options and help. */
#include "system/img/img.h"

#include "config.h"
#include "util/options.h"

#include <stdio.h>
#include <string.h>

static const ImgCommand commands[] = {
    { "amend", "f:o:t:pqh", " object image-opts force ", 0, 1, "Expecting one image file name", img_amend,
      "amend [--object OBJECT] [--image-opts] [-p] [-q] [-f FORMAT] [-t CACHE] [--force] -o OPTIONS FILE", 1 },
    { "bench", "c:d:f:ni:o:qs:S:t:wUh", " object image-opts flush-interval no-drain pattern ", 1, 1,
      "Expecting one image file name", img_bench,
      "bench [-c COUNT] [-d DEPTH] [-f FORMAT] [--flush-interval=N] [-i AIO] [-n] [--no-drain]\n"
      "        [-o OFFSET] [--pattern=BYTE] [-q] [-s SIZE] [-S STEP] [-t CACHE] [-w] [-U] FILE", 1 },
    { "bitmap", "b:F:f:g:h", " object image-opts add remove clear enable disable merge granularity source-file source-format ", 2, 2,
      "Expecting filename and bitmap name", img_bitmap,
      "bitmap [--object OBJECT] [--image-opts] [-f FORMAT] (--add [-g SIZE] | --remove | --clear | --enable | --disable |\n"
      "        --merge SOURCE)... [-b SOURCE_FILE [-F SOURCE_FORMAT]] FILE BITMAP", 1 },
    { "check", "f:r:T:qUh", " object image-opts output ", 1, 1, "Expecting one image file name", img_check,
      "check [--object OBJECT] [--image-opts] [-q] [-f FORMAT] [--output=human|json]\n"
      "        [-r leaks|all] [-T CACHE] [-U] FILE", 1 },
    { "commit", "f:t:b:r:dpqh", " object image-opts ", 1, 1, "Expecting one image file name", img_commit,
      "commit [--object OBJECT] [--image-opts] [-q] [-f FORMAT] [-t CACHE] [-b BASE] [-r RATE] [-d] [-p] FILE", 1 },
    { "compare", "f:F:T:pqsUh", " object image-opts ", 2, 2, "Expecting two image file names", img_compare,
      "compare [--object OBJECT] [--image-opts] [-f FORMAT] [-F FORMAT] [-T CACHE] [-p] [-q] [-s] [-U] FILE1 FILE2",
      2 },
    { "convert", "f:O:B:F:o:l:S:t:T:r:m:CcpqnWUh",
      " object image-opts target-image-opts target-is-zero salvage bitmaps skip-broken-bitmaps ", 0, 1 << 20,
      "Must specify image file name", img_convert,
      "convert [--object OBJECT] [--image-opts] [--target-image-opts] [--target-is-zero] [-U] [-C] [-c]\n"
      "        [-p] [-q] [-n] [-f FORMAT] [-t CACHE] [-T CACHE] [-O FORMAT] [-B BACKING [-F FORMAT]]\n"
      "        [-o OPTIONS] [-l SNAPSHOT] [-S SIZE] [-r RATE] [-m COUNT] [-W] [--salvage] FILE... OUTPUT", 1 },
    { "create", "f:b:F:o:uqh", " object ", 0, 2, "Expecting image file name", img_create,
      "create [--object OBJECT] [-q] [-f FORMAT] [-b BACKING [-F FORMAT]] [-u] [-o OPTIONS] FILE [SIZE]", 1 },
    { "dd", "f:O:Uh", " object image-opts ", 0, 16, "Expecting if= and of=", img_dd,
      "dd [--image-opts] [-U] [-f FORMAT] [-O FORMAT] [bs=SIZE] [count=N] [skip=N] if=FILE of=FILE", 1 },
    { "info", "f:Uh", " object image-opts output backing-chain ", 1, 1, "Expecting one image file name", img_info,
      "info [--object OBJECT] [--image-opts] [-f FORMAT] [--output=human|json] [--backing-chain] [-U] FILE", 1 },
    { "map", "f:s:l:Uh", " object image-opts output start-offset max-length ", 1, 1,
      "Expecting one image file name", img_map,
      "map [--object OBJECT] [--image-opts] [-f FORMAT] [--start-offset=OFFSET] [--max-length=SIZE]\n"
      "        [--output=human|json] [-U] FILE", 1 },
    { "measure", "f:O:o:l:Uh", " object image-opts output size ", 0, 1, "At most one image file name", img_measure,
      "measure [--output=human|json] [-O FORMAT] [-o OPTIONS]\n"
      "        [--size SIZE | [--object OBJECT] [--image-opts] [-f FORMAT] [-l SNAPSHOT] FILE]", 1 },
    { "rebase", "f:F:b:t:T:upqUh", " object image-opts ", 1, 1, "Expecting one image file name", img_rebase,
      "rebase [--object OBJECT] [--image-opts] [-U] [-q] [-f FORMAT] [-t CACHE] [-T CACHE] [-p] [-u]\n"
      "        -b BACKING [-F FORMAT] FILE", 1 },
    { "resize", "f:qh", " object image-opts shrink preallocation ", 0, 2, "Expecting image file name and size",
      img_resize,
      "resize [--object OBJECT] [--image-opts] [-f FORMAT] [--preallocation=MODE] [-q] [--shrink] FILE [+|-]SIZE", 1 },
    { "snapshot", "f:la:c:d:qUh", " object image-opts ", 1, 1, "Expecting one image file name", img_snapshot,
      "snapshot [--object OBJECT] [--image-opts] [-U] [-q] [-l | -a NAME | -c NAME | -d NAME] FILE", 1 },
};

static void print_version(void)
{
    printf("myna-img version %s\n", MYNA_VERSION);
}

static void print_help(void)
{
    print_version();
    printf("usage: myna-img [-h | -V] COMMAND [OPTIONS]\n"
           "Makes, inspects, converts and repairs disk images.\n\nCommands:\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        printf("  %s\n", commands[i].usage);
    }
    printf("\n"
           "  FORMAT   image format; without it, looked for in the image\n"
           "  CACHE    none, writeback, writethrough, directsync or unsafe\n"
           "  SIZE     bytes; k, M, G, T, P and E count in powers of 1024\n"
           "  OPTIONS  name=value,...; '-o help' with -f FORMAT lists them\n"
           "  OBJECT   secret,id=ID,data=TEXT|file=FILE[,format=raw|base64]: a passphrase\n"
           "  -p       shows progress; SIGUSR1 shows it once\n"
           "  -q       says nothing but errors\n"
           "  -U       opens images that are in use\n"
           "  --image-opts  file names are option strings: driver=qcow2,file.filename=a.img\n"
           "\nSupported formats:");
    for (const BlockDriver *const *driver = block_drivers; *driver; driver++) {
        printf(" %s", (*driver)->name);
    }
    printf("\n");
}

static const ImgCommand *find_command(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (!strcmp(commands[i].name, name)) {
            return &commands[i];
        }
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[G_N_ELEMENTS(commands) + 1] = { NULL };
    g_autofree char *hint = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        names[i] = commands[i].name;
    }
    hint = options_hint(name, names);
    img_error("Command not found: %s%s", name, hint);
    fprintf(stderr, "Try 'myna-img --help' for more information\n");
    return 1;
}

static int run_command(const ImgCommand *command, int argc, char **argv)
{
    ImgArgs args = { .sequence = NULL };
    int status = command->usage_status;

    if (img_parse(command, argc, argv, &args)) {
        if (img_has(&args, 'h')) {
            print_help();
            status = 0;
        } else if (args.count < command->min_files || args.count > command->max_files) {
            img_error("%s", command->wanted);
            fprintf(stderr, "usage: myna-img %s\n", command->usage);
        } else {
            status = command->run(&args);
        }
    }
    g_free(args.options);
    g_clear_pointer(&args.sequence, g_array_unref);
    return status;
}

int img_main(int argc, char **argv)
{
    const ImgCommand *command;

    if (argc < 2) {
        img_error("Not enough arguments");
        fprintf(stderr, "Try 'myna-img --help' for more information\n");
        return 1;
    }
    if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
        print_version();
        return 0;
    }
    if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
        print_help();
        return 0;
    }
    command = find_command(argv[1]);
    return command ? run_command(command, argc - 1, argv + 1) : unknown_command(argv[1]);
}
