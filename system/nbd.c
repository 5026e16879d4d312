/* myna-nbd: serves an image as a network block device, with the options of the field's standard tool. */
#include "system/nbd.h"

#include "backends/block/driver.h"
#include "backends/block/nbd-handshake.h"
#include "backends/nbd.h"
#include "config.h"
#include "util/error.h"
#include "util/log.h"
#include "util/options.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct NbdOptions {
    const char *port, *bind, *socket, *export, *description, *format, *cache, *detect_zeroes, *pid_file;
    bool readonly, snapshot, persistent, fork, discard, list, image_opts;
    int shared;
    uint64_t offset;
} NbdOptions;

enum { OPT_CACHE = 256, OPT_AIO, OPT_DISCARD, OPT_DETECT, OPT_FORK, OPT_PID, OPT_IMAGE_OPTS };

static const struct option long_options[] = {
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { "bind", required_argument, NULL, 'b' },
    { "port", required_argument, NULL, 'p' },
    { "socket", required_argument, NULL, 'k' },
    { "offset", required_argument, NULL, 'o' },
    { "read-only", no_argument, NULL, 'r' },
    { "allocation-depth", no_argument, NULL, 'A' },
    { "snapshot", no_argument, NULL, 's' },
    { "nocache", no_argument, NULL, 'n' },
    { "cache", required_argument, NULL, OPT_CACHE },
    { "aio", required_argument, NULL, OPT_AIO },
    { "discard", required_argument, NULL, OPT_DISCARD },
    { "detect-zeroes", required_argument, NULL, OPT_DETECT },
    { "shared", required_argument, NULL, 'e' },
    { "format", required_argument, NULL, 'f' },
    { "persistent", no_argument, NULL, 't' },
    { "verbose", no_argument, NULL, 'v' },
    { "export-name", required_argument, NULL, 'x' },
    { "description", required_argument, NULL, 'D' },
    { "list", no_argument, NULL, 'L' },
    { "fork", no_argument, NULL, OPT_FORK },
    { "pid-file", required_argument, NULL, OPT_PID },
    { "image-opts", no_argument, NULL, OPT_IMAGE_OPTS },
    { NULL },
};

static void usage(void)
{
    puts("usage: myna-nbd [options] FILE\n"
         "       myna-nbd -L [options]\n"
         "Serves a disk image as a network block device.\n\n"
         "  -p, --port=PORT          port to listen on (default 10809)\n"
         "  -b, --bind=HOST          address to listen on (default: all)\n"
         "  -k, --socket=PATH        listen on a unix socket instead\n"
         "  -e, --shared=N           at most N clients at once (default 1, 0: any number)\n"
         "  -t, --persistent         go on after the last client has left\n"
         "  -x, --export-name=NAME   name of the export (default: empty)\n"
         "  -D, --description=TEXT   description of the export\n"
         "  -f, --format=FORMAT      format of the image (default: probed)\n"
         "  -r, --read-only          refuse writes\n"
         "  -s, --snapshot           write to a temporary file, not to the image\n"
         "  -o, --offset=BYTES       begin that far into a raw image\n"
         "  -n, --nocache            the same as --cache=none\n"
         "      --cache=MODE         none, writeback (default), writethrough, directsync, unsafe\n"
         "      --discard=MODE       ignore, or unmap (default): whether trims reach the host\n"
         "      --image-opts         FILE is an option string (driver=qcow2,file.filename=...)\n"
         "      --fork               go on in the background once it serves\n"
         "      --pid-file=PATH      write the process's number there\n"
         "  -L, --list               list the exports of a server\n"
         "  -h, --help; -V, --version");
}

static bool number(const char *option, const char *text, int *out, GError **error)
{
    uint64_t value;

    if (!parse_u64(text, &value) || value > 1000000) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s=%s is not a number", option, text);
        return false;
    }
    *out = value;
    return true;
}

static bool parse(int argc, char **argv, NbdOptions *o, GError **error)
{
    int c;

    while ((c = getopt_long(argc, argv, "hVb:p:k:o:rAsne:f:tvx:D:L", long_options, NULL)) >= 0) {
        switch (c) {
        case 'h':
            usage();
            exit(0);
        case 'V':
            puts("myna-nbd " MYNA_VERSION);
            exit(0);
        case 'b': o->bind = optarg; break;
        case 'p': o->port = optarg; break;
        case 'k': o->socket = optarg; break;
        case 'r': o->readonly = true; break;
        case 's': o->snapshot = true; break;
        case 'n': o->cache = "none"; break;
        case OPT_CACHE: o->cache = optarg; break;
        case OPT_DETECT: o->detect_zeroes = optarg; break;
        case 'f': o->format = optarg; break;
        case 't': o->persistent = true; break;
        case 'x': o->export = optarg; break;
        case 'D': o->description = optarg; break;
        case 'L': o->list = true; break;
        case OPT_FORK: o->fork = true; break;
        case OPT_PID: o->pid_file = optarg; break;
        case OPT_IMAGE_OPTS: o->image_opts = true; break;
        case 'v': case 'A': case OPT_AIO: break;
        case 'e':
            if (!number("--shared", optarg, &o->shared, error)) {
                return false;
            }
            break;
        case 'o':
            if (!parse_size(optarg, 1, &o->offset)) {
                g_set_error(error, VM_ERROR, VM_ERROR_USER, "--offset=%s is not a size", optarg);
                return false;
            }
            break;
        case OPT_DISCARD:
            o->discard = g_str_equal(optarg, "unmap") || g_str_equal(optarg, "on");
            if (!o->discard && !g_str_equal(optarg, "ignore") && !g_str_equal(optarg, "off")) {
                g_set_error(error, VM_ERROR, VM_ERROR_USER, "--discard=%s is neither ignore nor unmap", optarg);
                return false;
            }
            break;
        default:
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "myna-nbd --help lists the options");
            return false;
        }
    }
    return true;
}

static bool cache_flags(const char *cache, unsigned *flags, GError **error)
{
    static const struct {
        const char *name;
        unsigned flags;
    } modes[] = {
        { "writeback", 0 },
        { "none", BLOCK_OPEN_DIRECT },
        { "writethrough", BLOCK_OPEN_WRITETHROUGH },
        { "directsync", BLOCK_OPEN_DIRECT | BLOCK_OPEN_WRITETHROUGH },
        { "unsafe", BLOCK_OPEN_UNSAFE },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (g_str_equal(cache, modes[i].name)) {
            *flags |= modes[i].flags;
            return true;
        }
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "--cache=%s is none of none, writeback, writethrough, directsync, unsafe",
                cache);
    return false;
}

static BlockImage *open_image(const NbdOptions *o, const char *file, GError **error)
{
    g_autoptr(Json) options = json_object();
    unsigned flags = (o->readonly || o->snapshot ? BLOCK_OPEN_READONLY : 0) | (o->discard ? BLOCK_OPEN_DISCARD : 0);
    const char *format = o->format;
    BlockImage *image;

    if (!cache_flags(o->cache, &flags, error)) {
        return NULL;
    }
    if (o->image_opts) {
        g_autoptr(Options) given = options_parse(file, "driver", error);

        if (!given) {
            return NULL;
        }
        for (int i = 0; i < options_count(given); i++) {
            json_set_string(options, options_key(given, i), options_value(given, i));
        }
        file = NULL;
    }
    if (o->offset) {
        format = format ? format : "raw";
        json_set(options, "offset", json_uint(o->offset));
    }
    image = block_image_open(file, format, options, flags, error);
    if (image && image->probed && g_str_equal(image->driver->name, "raw") && !o->readonly) {
        log_warn("'%s': nobody named its format, and it looks like raw; -f raw lifts the limits of that", image->name);
    }
    return image && o->snapshot ? block_overlay_new(image, error) : image;
}

/* ---- the server's life ---- */

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    ended = 1;
}

static bool write_pid(const char *path, GError **error)
{
    g_autofree char *text = g_strdup_printf("%d\n", getpid());

    return !path || g_file_set_contents(path, text, -1, error);
}

/* The parent waits until the child serves, and hands on whether it does. */
static int go_to_background(void)
{
    int pipes[2];
    char good = 0;

    if (pipe(pipes) < 0) {
        return -1;
    }
    if (fork()) {
        close(pipes[1]);
        _exit(read(pipes[0], &good, 1) == 1 ? 0 : 1);
    }
    close(pipes[0]);
    setsid();
    return pipes[1];
}

static bool serve(const NbdOptions *o, const char *file, int ready, GError **error)
{
    BlockImage *image = open_image(o, file, error);
    NbdServer *server = image ? nbd_server_new(o->socket, o->bind, o->port, error) : NULL;
    bool good = server && nbd_server_add(server, o->export, o->description, image, !o->readonly, error) &&
                write_pid(o->pid_file, error);

    if (good) {
        nbd_server_set_limit(server, o->shared);
        if (ready >= 0 && (write(ready, "1", 1) != 1 || close(ready) < 0)) {
            log_warn("cannot tell the parent process: %s", g_strerror(errno));
        }
        while (!ended && (o->persistent || nbd_server_clients(server) || !nbd_server_served(server))) {
            g_usleep(20000);
        }
    }
    if (server) {
        nbd_server_free(server);
    }
    if (image) {
        int failed = image->flags & BLOCK_OPEN_READONLY ? 0 : block_image_flush(image);

        if (failed) {
            g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot flush '%s': %s", image->name, g_strerror(failed));
            good = false;
        }
        block_image_close(image);
    }
    if (o->pid_file && good) {
        unlink(o->pid_file);
    }
    return good;
}

static bool list(const NbdOptions *o, GError **error)
{
    NbdAddress at = { (char *)(o->bind ? o->bind : "localhost"), (char *)o->port, (char *)o->socket, NULL };
    int fd = nbd_connect(&at, error);
    g_autoptr(GPtrArray) exports = fd >= 0 ? nbd_list_exports(fd, error) : NULL;

    if (fd >= 0) {
        close(fd);
    }
    if (!exports) {
        return false;
    }
    printf("exports available: %u\n", exports->len / 2);
    for (guint i = 0; i < exports->len; i += 2) {
        const char *about = g_ptr_array_index(exports, i + 1);

        printf(" export: '%s'\n", (char *)g_ptr_array_index(exports, i));
        if (*about) {
            printf("  description: %s\n", about);
        }
    }
    return true;
}

int nbd_main(int argc, char **argv)
{
    NbdOptions o = { .port = NBD_DEFAULT_PORT, .export = "", .cache = "writeback", .discard = true, .shared = 1 };
    g_autoptr(GError) error = NULL;
    struct sigaction end = { .sa_handler = on_signal };
    bool good = parse(argc, argv, &o, &error);
    int ready = -1;

    g_set_prgname("myna-nbd");
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGHUP, &end, NULL);
    if (good && argc - optind != !o.list) {
        g_set_error(&error, VM_ERROR, VM_ERROR_USER, o.list ? "-L takes no file" : "myna-nbd serves exactly one file");
        good = false;
    }
    if (good && o.fork) {
        ready = go_to_background();
    }
    good = good && (o.list ? list(&o, &error) : serve(&o, argv[optind], ready, &error));
    if (!good) {
        log_error("%s", error->message);
    }
    return good ? 0 : 1;
}
