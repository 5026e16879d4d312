/* Arguments of myna-img: options in any order, sizes, numbers, create options. */
#include "system/img/img.h"

#include "util/error.h"
#include "util/options.h"
#include "util/secret.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct option long_options[] = {
    { "help", no_argument, NULL, 'h' },
    { "force-share", no_argument, NULL, 'U' },
    { "object", required_argument, NULL, IMG_OPT_OBJECT },
    { "image-opts", no_argument, NULL, IMG_OPT_IMAGE_OPTS },
    { "target-image-opts", no_argument, NULL, IMG_OPT_TARGET_IMAGE_OPTS },
    { "target-is-zero", no_argument, NULL, IMG_OPT_TARGET_IS_ZERO },
    { "salvage", no_argument, NULL, IMG_OPT_SALVAGE },
    { "output", required_argument, NULL, IMG_OPT_OUTPUT },
    { "backing-chain", no_argument, NULL, IMG_OPT_BACKING_CHAIN },
    { "shrink", no_argument, NULL, IMG_OPT_SHRINK },
    { "preallocation", required_argument, NULL, IMG_OPT_PREALLOCATION },
    { "start-offset", required_argument, NULL, IMG_OPT_START_OFFSET },
    { "max-length", required_argument, NULL, IMG_OPT_MAX_LENGTH },
    { "size", required_argument, NULL, IMG_OPT_SIZE },
    { "flush-interval", required_argument, NULL, IMG_OPT_FLUSH_INTERVAL },
    { "no-drain", no_argument, NULL, IMG_OPT_NO_DRAIN },
    { "pattern", required_argument, NULL, IMG_OPT_PATTERN },
    { "force", no_argument, NULL, IMG_OPT_FORCE },
    { "bitmaps", no_argument, NULL, IMG_OPT_BITMAPS },
    { "skip-broken-bitmaps", no_argument, NULL, IMG_OPT_SKIP_BROKEN_BITMAPS },
    { "add", no_argument, NULL, IMG_OPT_ADD },
    { "remove", no_argument, NULL, IMG_OPT_REMOVE },
    { "clear", no_argument, NULL, IMG_OPT_CLEAR },
    { "enable", no_argument, NULL, IMG_OPT_ENABLE },
    { "disable", no_argument, NULL, IMG_OPT_DISABLE },
    { "merge", required_argument, NULL, IMG_OPT_MERGE },
    { "granularity", required_argument, NULL, 'g' },
    { "source-file", required_argument, NULL, 'b' },
    { "source-format", required_argument, NULL, 'F' },
    { NULL },
};

static void say(const char *kind, const char *format, va_list list)
{
    g_autofree char *text = g_strdup_vprintf(format, list);

    fflush(stdout);
    fprintf(stderr, "myna-img: %s%s\n", kind, text);
}

void img_error(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    say("", format, list);
    va_end(list);
}

void img_warn(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    say("warning: ", format, list);
    va_end(list);
}

int img_fail(GError *error)
{
    img_error("%s", error->message);
    g_error_free(error);
    return 1;
}

int img_fail_errno(int error, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list list;

    va_start(list, format);
    text = g_strdup_vprintf(format, list);
    va_end(list);
    img_error("%s: %s", text, g_strerror(error));
    return 1;
}

/* getopt takes a size such as -5G for options: as the last argument of resize it is moved aside. */
static char *take_negative_size(const ImgCommand *command, int *argc, char **argv)
{
    char *last = argv[*argc - 1];

    if (command->run != img_resize || *argc < 3 || last[0] != '-' || !g_ascii_isdigit(last[1])) {
        return NULL;
    }
    argv[--*argc] = NULL;
    return last;
}

static bool allowed(const ImgCommand *command, int code)
{
    if (code < 256) {
        return strchr(command->letters, code) != NULL;
    }
    for (const struct option *o = long_options; o->name; o++) {
        if (o->val == code) {
            g_autofree char *word = g_strdup_printf(" %s ", o->name);

            return strstr(command->longs, word) != NULL;
        }
    }
    return false;
}

static bool add_object(const char *text)
{
    GError *error = NULL;

    if (!secret_add(text, &error)) {
        img_fail(error);
        return false;
    }
    return true;
}

static bool bad_option(const ImgCommand *command, int code, char **argv)
{
    for (const struct option *o = long_options; o->name; o++) {
        if (o->val == code) {
            img_error("'%s' has no option --%s", command->name, o->name);
            fprintf(stderr, "usage: myna-img %s\n", command->usage);
            return false;
        }
    }
    if (code == ':') {
        img_error("%s needs a value", argv[optind - 1]);
    } else if (optopt && optopt < 256 && argv[optind - 1][1] != '-') {
        img_error("'%s' has no option -%c", command->name, optopt);
    } else {
        img_error("'%s' has no option %s", command->name, argv[optind - 1]);
    }
    fprintf(stderr, "usage: myna-img %s\n", command->usage);
    return false;
}

bool img_parse(const ImgCommand *command, int argc, char **argv, ImgArgs *args)
{
    g_autofree char *letters = g_strconcat(":", command->letters, NULL);
    char *negative = take_negative_size(command, &argc, argv);
    int code;

    args->sequence = g_array_new(FALSE, FALSE, sizeof(ImgOption));
    optind = 0;
    opterr = 0;
    while ((code = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
        if (code == ':' || code == '?' || !allowed(command, code)) {
            return bad_option(command, code, argv);
        }
        if (code == IMG_OPT_OBJECT && !add_object(optarg)) {
            return false;
        }
        if (code == 'o' && args->options) {
            char *joined = g_strconcat(args->options, ",", optarg, NULL);

            g_free(args->options);
            args->options = joined;
        } else if (code == 'o') {
            args->options = g_strdup(optarg);
        }
        args->value[code] = optarg ? optarg : "";
        g_array_append_val(args->sequence, ((ImgOption){ code, args->value[code] }));
    }
    args->files = argv + optind;
    args->count = argc - optind;
    if (negative) {
        argv[optind + args->count++] = negative;
    }
    return true;
}

bool img_parse_size(const char *text, const char *what, uint64_t *size)
{
    g_autofree char *plain = g_strdup(text);
    size_t len = strlen(plain);

    /* "512b" is 512 bytes. */
    if (len > 1 && g_ascii_tolower(plain[len - 1]) == 'b' && g_ascii_isdigit(plain[len - 2])) {
        plain[len - 1] = 0;
    }
    if (plain[0] && plain[0] != '-' && parse_size(plain, 1, size) && *size <= INT64_MAX) {
        return true;
    }
    img_error("Invalid %s '%s' specified. You may use k, M, G, T, P or E suffixes for", what, text);
    img_error("kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
    return false;
}

bool img_parse_int(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *value)
{
    if (parse_u64(text, value) && *value >= min && *value <= max) {
        return true;
    }
    img_error("Invalid %s '%s': expecting a number from %" PRIu64 " to %" PRIu64, what, text, min, max);
    return false;
}

bool img_parse_output(const ImgArgs *args, bool *json)
{
    const char *text = args->value[IMG_OPT_OUTPUT];

    *json = text && !strcmp(text, "json");
    if (text && !*json && strcmp(text, "human")) {
        img_error("--output must be used with human or json as argument.");
        return false;
    }
    return true;
}

char *img_human_size(uint64_t size)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = size;
    unsigned unit = 0;

    while (value >= 1000 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    return g_strdup_printf("%.3g %s", value, units[unit]);
}

bool img_wants_help(const char *options)
{
    g_auto(GStrv) words = options ? g_strsplit(options, ",", -1) : NULL;

    for (char **word = words; word && *word; word++) {
        if (!strcmp(*word, "help") || !strcmp(*word, "?")) {
            return true;
        }
    }
    return false;
}

Json *img_parse_create_options(const char *text)
{
    g_autoptr(Json) json = json_object();
    g_autoptr(Options) options = NULL;
    GError *error = NULL;

    if (!text) {
        return g_steal_pointer(&json);
    }
    options = options_parse(text, NULL, &error);
    if (!options) {
        img_fail(error);
        return NULL;
    }
    for (int i = 0; i < options_count(options); i++) {
        json_set_string(json, options_key(options, i), options_value(options, i));
    }
    return g_steal_pointer(&json);
}

const BlockCreateOption *img_find_create_option(const BlockDriver *driver, const char *name)
{
    for (const BlockCreateOption *o = driver->create_options; o && o->name; o++) {
        if (!strcmp(o->name, name)) {
            return o;
        }
    }
    return NULL;
}

int img_print_create_options(const char *format, bool amend)
{
    static const char *const kinds[] = {
        [BLOCK_OPT_STRING] = "str",
        [BLOCK_OPT_SIZE] = "size",
        [BLOCK_OPT_BOOL] = "bool (on/off)",
        [BLOCK_OPT_INT] = "num",
    };
    const BlockDriver *driver = block_driver_find(format);

    if (!driver || !(amend ? (void *)driver->amend : (void *)driver->create)) {
        img_error(driver ? "Format driver '%s' does not support %s" : "Unknown file format '%s'", format,
                  amend ? "option amendment" : "image creation");
        return 1;
    }
    printf(amend ? "Amend options for '%s':\n" : "Supported %s options:\n", format);
    for (const BlockCreateOption *o = driver->create_options; o && o->name; o++) {
        if (!amend || o->amend) {
            g_autofree char *left = g_strdup_printf("%s=<%s>", o->name, kinds[o->kind]);

            printf("  %-22s - %s\n", left, o->help);
        }
    }
    if (!img_find_create_option(driver, "size")) {
        printf("  %-22s - Virtual disk size\n", "size=<size>");
    }
    return 0;
}

bool img_parse_cache(const char *text, const char *otherwise, unsigned *flags)
{
    static const struct {
        const char *name;
        unsigned flags;
    } modes[] = {
        { "none", BLOCK_OPEN_DIRECT },
        { "off", BLOCK_OPEN_DIRECT },
        { "directsync", BLOCK_OPEN_DIRECT | BLOCK_OPEN_WRITETHROUGH },
        { "writeback", 0 },
        { "unsafe", BLOCK_OPEN_UNSAFE },
        { "writethrough", BLOCK_OPEN_WRITETHROUGH },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (!strcmp(modes[i].name, text ? text : otherwise)) {
            *flags |= modes[i].flags;
            return true;
        }
    }
    img_error("Invalid cache mode '%s': use none, writeback, writethrough, directsync or unsafe", text);
    return false;
}
