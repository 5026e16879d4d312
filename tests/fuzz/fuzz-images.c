/*
 * Damaged disk images of all formats: fuzz-images FOLDER [-n RUNS] [-s SEED] [-f NAME] [-1].
 *
 * Each run damages one image of the corpus in FOLDER and opens, reads, checks, repairs and writes it. Whatever the file says,
 * the answer is an error or an image that works: no crash, no endless run, no unbounded memory. Runs happen in child
 * processes, so that the one that fails can be named; "-s SEED -1" does just that one again, in this process. -n 0: for ever.
 * -f: corpus files whose names begin so.
 */
#include "backends/block/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCH = 40, SECONDS = 30, MAX_FILE = 4 << 20, MAX_TRANSFER = 256 << 10, EXTENTS = 300 };

#if defined(__SANITIZE_ADDRESS__)
enum { LIMIT_MEMORY = 0 }; /* its shadow is larger than any limit; see ASAN_OPTIONS in meson.build */
#else
enum { LIMIT_MEMORY = 1 };
#endif

typedef struct Sample {
    char *name;
    uint8_t *data;
    gsize size;
} Sample;

static GArray *corpus;
static GRand *rng;
static char *folder;

static uint64_t pick(uint64_t below)
{
    return below ? (uint64_t)(g_rand_double(rng) * below) : 0;
}

/* ---- damage ---- */

static uint64_t interesting(void)
{
    static const uint64_t values[] = { 0, 1, 2, 7, 0x7f, 0xff, 0x100, 0x1ff, 0x200, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
                                       0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000, UINT64_MAX,
                                       0x00fffffffffffe00, 0x4000000000000000, 0xc000000000000000, 0x8000000000000200 };
    uint64_t value = values[pick(G_N_ELEMENTS(values))];

    return value + pick(3) - 1;
}

/* Most damage goes where the structures are: the head, and bytes that are not zero. */
static uint64_t place(const uint8_t *data, uint64_t size)
{
    uint64_t at = pick(3) ? pick(size) : pick(MIN(size, 512));

    for (unsigned i = 0; i < 2000 && !data[at] && at + 1 < size && pick(50); i++) {
        at++;
    }
    return at;
}

static void damage(uint8_t *data, gsize *size)
{
    uint64_t at = place(data, *size), value = interesting();
    unsigned width = 1u << pick(4);

    switch (pick(8)) {
    case 0:
        data[at] ^= 1u << pick(8);
        break;
    case 1:
        data[at] = pick(256);
        break;
    case 2: { /* one table's piece over another's */
        uint64_t to = place(data, *size), n = 1 + pick(64);

        memmove(data + to, data + at, MIN(n, *size - MAX(at, to)));
        break;
    }
    case 3:
        if (pick(8) == 0) {
            *size = MAX(at, 64);
        }
        break;
    default: /* a field, in either byte order */
        at &= ~(uint64_t)(width - 1);
        for (unsigned i = 0; i < width && at + i < *size; i++) {
            data[at + i] = pick(4) ? value >> 8 * (width - 1 - i) : value >> 8 * i;
        }
        if (pick(4) == 0 && at + width < *size) { /* or not much away from what it was */
            data[at + width - 1] += pick(5) - 2;
        }
    }
}

/* ---- use ---- */

static void read_some(BlockImage *image)
{
    uint64_t size = block_image_size(image), at = 0, n;
    g_autofree uint8_t *buf = g_malloc(MAX_TRANSFER);
    BlockExtent extent;

    for (unsigned i = 0; i < EXTENTS && at < size; i++) {
        if (block_image_status(image, at, size - at, &extent)) {
            break;
        }
        g_assert(extent.size >= 1 && extent.size <= size - at);
        at += extent.size;
    }
    for (unsigned i = 0; i < 24 && size; i++) {
        at = i ? pick(size) : 0;
        n = 1 + pick(MAX_TRANSFER);
        block_image_read(image, at, buf, MIN(size - at, n));
    }
}

static void list_snapshots(BlockImage *image)
{
    g_autoptr(GPtrArray) list = image->driver->snapshot_list ? image->driver->snapshot_list(image) : NULL;
}

static void describe(BlockImage *image)
{
    g_autoptr(Json) specific = json_object();
    g_autofree char *text = NULL;

    if (image->driver->info) {
        image->driver->info(image, specific);
        text = json_write(specific, false);
    }
    list_snapshots(image);
}

static void write_some(BlockImage *image)
{
    const BlockDriver *driver = image->driver;
    uint64_t size = block_image_size(image), cluster = image->cluster_size ? image->cluster_size : 4096;
    g_autofree uint8_t *buf = g_malloc(MAX(MAX_TRANSFER, cluster));

    memset(buf, 0x5a, MAX(MAX_TRANSFER, cluster));
    for (unsigned i = 0; i < 16 && size; i++) {
        uint64_t at = pick(size), most = 1 + pick(MAX_TRANSFER), n = MIN(size - at, most);
        BlockSnapshot s = { .name = (char *)"fuzz", .icount = UINT64_MAX };

        switch (pick(9)) {
        case 0:
            block_image_write_zeroes(image, at, n, pick(2));
            break;
        case 1:
            block_image_discard(image, at, n);
            break;
        case 2:
            at = at / cluster * cluster;
            if (driver->write_compressed) {
                driver->write_compressed(image, at, buf, MIN(cluster, size - at));
            }
            break;
        case 3:
            if (driver->snapshot_create && driver->snapshot_create(image, &s, NULL)) {
                g_free(s.id);
            }
            break;
        case 4:
            if (driver->snapshot_apply) {
                driver->snapshot_apply(image, pick(2) ? "1" : "fuzz", NULL);
                size = block_image_size(image);
            }
            break;
        case 5:
            if (driver->snapshot_delete) {
                driver->snapshot_delete(image, pick(2) ? "1" : "fuzz", NULL);
            }
            break;
        case 6:
            block_image_flush(image);
            break;
        default:
            block_image_write(image, at, buf, n);
        }
    }
}

static BlockImage *open_image(const char *path, const char *format, unsigned flags)
{
    return block_image_open(path, format, NULL, flags | BLOCK_OPEN_NO_BACKING | BLOCK_OPEN_NO_LOCK, NULL);
}

static void close_image(BlockImage *image)
{
    if (image) {
        block_image_close(image);
    }
}

/* A repair that says that all is well must leave an image that is well. */
static void repair(const char *path, const char *format)
{
    BlockImage *image = open_image(path, format, BLOCK_OPEN_CHECK);
    BlockCheck result = { 0 };
    bool sound = image && image->driver->check &&
                 image->driver->check(image, BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS, &result, NULL) == 0 &&
                 !result.corruptions && !result.leaks && !result.check_errors;

    close_image(image);
    if (!sound) {
        return;
    }
    image = open_image(path, format, BLOCK_OPEN_READONLY | BLOCK_OPEN_CHECK);
    g_assert(image);
    if (image->driver->check(image, 0, &result, NULL) == 0 && (result.corruptions || result.leaks)) {
        g_error("repaired, and yet: %d corruptions, %d leaks", (int)result.corruptions, (int)result.leaks);
    }
    close_image(image);
}

static void use(const char *path, const char *format)
{
    BlockImage *image = open_image(path, format, BLOCK_OPEN_READONLY);
    BlockCheck result;

    if (image) {
        describe(image);
        read_some(image);
        if (image->driver->check) {
            image->driver->check(image, 0, &result, NULL);
        }
        close_image(image);
    }
    if (pick(2)) {
        repair(path, format);
    }
    image = open_image(path, format, BLOCK_OPEN_DISCARD);
    if (image) {
        write_some(image);
        read_some(image);
        if (image->driver->resize && pick(4) == 0) {
            block_image_resize(image, pick(8 << 20), NULL);
        }
        close_image(image);
    }
    if (pick(2)) {
        repair(path, format);
    }
}

/* "qcow2-snapshots.img" is of format qcow2. */
static char *format_of(const char *name)
{
    return g_strndup(name, strcspn(name, "-."));
}

static void one_run(uint32_t seed)
{
    const Sample *sample;
    g_autofree uint8_t *data = NULL;
    g_autofree char *path = g_build_filename(folder, "image", NULL), *format = NULL;
    gsize size;

    g_rand_set_seed(rng, seed);
    sample = &g_array_index(corpus, Sample, pick(corpus->len));
    format = format_of(sample->name);
    data = g_memdup2(sample->data, sample->size);
    size = sample->size;
    for (unsigned i = 1 + pick(6); i; i--) {
        damage(data, &size);
    }
    if (!g_file_set_contents(path, (char *)data, size, NULL)) {
        fprintf(stderr, "cannot write '%s'\n", path);
        exit(1);
    }
    alarm(SECONDS);
    use(path, pick(8) ? format : NULL);
    alarm(0);
}

/* ---- runs ---- */

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int load_corpus(const char *from, const char *prefix)
{
    GDir *dir = g_dir_open(from, 0, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    corpus = g_array_new(FALSE, FALSE, sizeof(Sample));
    while (dir && (name = g_dir_read_name(dir))) {
        if (g_str_has_suffix(name, ".img") && g_str_has_prefix(name, prefix)) {
            g_ptr_array_add(names, g_strdup(name));
        }
    }
    g_clear_pointer(&dir, g_dir_close);
    g_ptr_array_sort(names, by_name); /* the same order everywhere */
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *path = g_build_filename(from, g_ptr_array_index(names, i), NULL);
        Sample sample = { .name = g_strdup(g_ptr_array_index(names, i)) };
        g_autofree char *format = format_of(sample.name);

        if (block_driver_find(format) && g_file_get_contents(path, (char **)&sample.data, &sample.size, NULL) &&
            sample.size <= MAX_FILE) {
            g_array_append_val(corpus, sample);
        }
    }
    return corpus->len;
}

static void show_end(int messages)
{
    static char text[8192];
    off_t size = lseek(messages, 0, SEEK_END);
    ssize_t n = pread(messages, text, sizeof(text), MAX(size - (off_t)sizeof(text), 0));

    if (n > 0) {
        fwrite(text, 1, n, stdout);
    }
}

static bool run_batch(uint32_t seed, unsigned runs, int report, int messages)
{
    uint32_t at = seed;
    pid_t child;
    int status;

    if (ftruncate(messages, 0)) {
        return false;
    }
    child = fork();
    if (child == 0) {
        struct rlimit memory = { 1u << 30, 1u << 30 }, no_core = { 0, 0 };

        if (LIMIT_MEMORY) {
            setrlimit(RLIMIT_AS, &memory);
        }
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(messages, 2); /* warnings of damage are many */
        for (unsigned i = 0; i < runs; i++) {
            at = seed + i;
            if (pwrite(report, &at, sizeof(at), 0) != sizeof(at)) {
                _exit(1);
            }
            one_run(at);
        }
        _exit(0);
    }
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    if (pread(report, &at, sizeof(at), 0) != sizeof(at)) {
        at = seed;
    }
    printf("seed %u failed: %s\n", at, WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "an error exit");
    show_end(messages);
    return false;
}

int main(int argc, char **argv)
{
    unsigned runs = 400, done = 0;
    uint32_t seed = 1;
    const char *prefix = "";
    bool single = false, ok = true;
    int option, report, messages;
    g_autofree char *report_path = NULL, *image_path = NULL, *messages_path = NULL;

    while ((option = getopt(argc, argv, "n:s:f:1")) > 0) {
        switch (option) {
        case 'n':
            runs = atoi(optarg);
            break;
        case 's':
            seed = strtoul(optarg, NULL, 0);
            break;
        case 'f':
            prefix = optarg;
            break;
        case '1':
            single = true;
            break;
        default:
            return 64;
        }
    }
    if (optind >= argc || !load_corpus(argv[optind], prefix)) {
        fprintf(stderr, "usage: fuzz-images FOLDER [-n RUNS] [-s SEED] [-f NAME] [-1]; FOLDER needs images of known formats\n");
        return 64;
    }
    rng = g_rand_new();
    folder = g_access("/dev/shm", W_OK) == 0 ? g_mkdtemp(g_strdup("/dev/shm/myna-fuzz-XXXXXX")) /* flushes cost nothing */
                                             : g_dir_make_tmp("myna-fuzz-XXXXXX", NULL);
    image_path = g_build_filename(folder, "image", NULL);
    report_path = g_build_filename(folder, "report", NULL);
    report = g_open(report_path, O_RDWR | O_CREAT, 0600);
    messages_path = g_build_filename(folder, "messages", NULL);
    messages = g_open(messages_path, O_RDWR | O_CREAT | O_APPEND, 0600);
    if (single) {
        one_run(seed);
        runs = done = 1;
    }
    for (; ok && (done < runs || !runs); done += BATCH) {
        unsigned n = runs ? MIN(BATCH, runs - done) : BATCH;

        ok = run_batch(seed + done, n, report, messages);
        if (!runs && done % (50 * BATCH) == 0) {
            printf("%u runs\n", done);
            fflush(stdout);
        }
    }
    g_unlink(image_path);
    g_unlink(report_path);
    g_unlink(messages_path);
    g_rmdir(folder);
    if (ok) {
        printf("%u runs from seed %u over %u images\n", MIN(done, runs ? runs : done), seed, corpus->len);
    }
    return ok ? 0 : 1;
}
