/*
 * Power cuts. An image lies on a file in memory that records writes and flushes. For many instants of a load the file is
 * made again as a disk might have it after a cut: everything up to the last flush, and of what came later any part, in any
 * order, each write perhaps torn between sectors. Check must find leaks at worst, and all flushed data must be there.
 */
#include "backends/block/drivers.h"
#include "tests/backends/block/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_WRITE, RECORD_FLUSH, RECORD_SIZE };

typedef struct Record {
    int kind;
    uint64_t offset, size; /* RECORD_SIZE: the new size */
    uint8_t *data;
} Record;

/* A file in memory that remembers what was done to it. */
typedef struct LogFile {
    BlockImage image;
    GByteArray *bytes;
    GArray *log; /* of Record; NULL: nothing is recorded */
} LogFile;

static void set_size(GByteArray *bytes, uint64_t size)
{
    uint64_t old = bytes->len;

    g_byte_array_set_size(bytes, size);
    if (size > old) {
        memset(bytes->data + old, 0, size - old);
    }
}

static void put(GByteArray *bytes, uint64_t offset, const void *data, uint64_t size)
{
    if (bytes->len < offset + size) {
        set_size(bytes, offset + size);
    }
    memcpy(bytes->data + offset, data, size);
}

static void record(LogFile *f, int kind, uint64_t offset, const void *data, uint64_t size)
{
    Record r = { kind, offset, size, data ? g_memdup2(data, size) : NULL };

    if (f->log) {
        g_array_append_val(f->log, r);
    } else {
        g_free(r.data);
    }
}

static uint64_t log_size(BlockImage *image)
{
    return ((LogFile *)image)->bytes->len;
}

static int log_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    LogFile *f = (LogFile *)image;

    for (int i = 0; i < count; i++) {
        uint64_t inside = offset < f->bytes->len ? MIN(iov[i].iov_len, f->bytes->len - offset) : 0;

        memcpy(iov[i].iov_base, f->bytes->data + offset, inside);
        memset((char *)iov[i].iov_base + inside, 0, iov[i].iov_len - inside);
        offset += iov[i].iov_len;
    }
    return 0;
}

static int log_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    LogFile *f = (LogFile *)image;

    for (int i = 0; i < count; i++) {
        put(f->bytes, offset, iov[i].iov_base, iov[i].iov_len);
        record(f, RECORD_WRITE, offset, iov[i].iov_base, iov[i].iov_len);
        offset += iov[i].iov_len;
    }
    return 0;
}

static int log_flush(BlockImage *image)
{
    record((LogFile *)image, RECORD_FLUSH, 0, NULL, 0);
    return 0;
}

/* A cluster that is given back to the host may read as anything: it reads as this. */
static int log_discard(BlockImage *image, uint64_t offset, uint64_t size)
{
    g_autofree uint8_t *junk = g_malloc(size);
    struct iovec iov = { junk, size };

    memset(junk, 0xdb, size);
    return log_write(image, offset, &iov, 1);
}

static int log_resize(BlockImage *image, uint64_t size, bool preallocate, GError **error)
{
    LogFile *f = (LogFile *)image;

    set_size(f->bytes, size);
    record(f, RECORD_SIZE, 0, NULL, size);
    return 0;
}

static const BlockDriver log_driver = {
    .name = "log",
    .is_protocol = true,
    .size = log_size,
    .read = log_read,
    .write = log_write,
    .flush = log_flush,
    .discard = log_discard,
    .resize = log_resize,
};

static LogFile *file_new(GByteArray *bytes)
{
    LogFile *f = g_new0(LogFile, 1);

    f->image = (BlockImage){ .driver = &log_driver, .flags = BLOCK_OPEN_DISCARD, .growable = true, .name = (char *)"log" };
    f->bytes = bytes;
    return f;
}

static void file_free(LogFile *f)
{
    for (guint i = 0; f->log && i < f->log->len; i++) {
        g_free(g_array_index(f->log, Record, i).data);
    }
    if (f->log) {
        g_array_unref(f->log);
    }
    g_byte_array_unref(f->bytes);
    g_free(f);
}

static BlockImage *open_on(const BlockDriver *driver, LogFile *f, unsigned flags, const char *lazy)
{
    g_autoptr(Json) options = json_object();
    BlockOpen how = { "log", &f->image, options, flags | BLOCK_OPEN_DISCARD };
    GError *error = NULL;
    BlockImage *image;

    if (lazy) {
        json_set_string(options, "lazy-refcounts", lazy);
    }
    image = driver->open(&how, &error);
    if (!image) {
        printf("Bail out! cannot open: %s\n", error->message);
        exit(1);
    }
    image->flags = how.flags;
    image->name = (char *)"log";
    return image;
}

/* ---- cuts ---- */

typedef struct Scene {
    const BlockDriver *driver;
    unsigned seed;
    bool lazy;
    GArray *log;
    GByteArray *stable; /* as of the last flush before the cut */
    GArray *marks;      /* of the log's length when a guest flush was over */
    GArray *ops_at;     /* of the number of operations begun, by record */
} Scene;

/* Of one write: all, nothing, or some sectors. */
static void apply_torn(GByteArray *bytes, const Record *r, GRand *random)
{
    uint64_t at = r->offset, end = r->offset + r->size;
    int fate = g_rand_int_range(random, 0, 4);

    if (r->kind == RECORD_SIZE) {
        if (fate) {
            set_size(bytes, r->size);
        }
        return;
    }
    if (fate == 0) {
        return;
    }
    while (at < end) {
        uint64_t next = MIN(end, (at / 512 + 1) * 512);

        if (fate < 3 || g_rand_boolean(random)) {
            put(bytes, at, r->data + (at - r->offset), next - at);
        }
        at = next;
    }
}

static GByteArray *cut(const Scene *scene, guint from, guint to, GRand *random)
{
    GByteArray *bytes = g_byte_array_sized_new(scene->stable->len);
    g_autofree guint *order = g_new(guint, to - from + 1);
    guint n = to - from;
    bool in_order = g_rand_boolean(random);

    g_byte_array_append(bytes, scene->stable->data, scene->stable->len);
    for (guint i = 0; i < n; i++) {
        guint j = in_order ? i : (guint)g_rand_int_range(random, 0, i + 1);

        order[i] = order[j];
        order[j] = from + i;
    }
    for (guint i = 0; i < n; i++) {
        apply_torn(bytes, &g_array_index(scene->log, Record, order[i]), random);
    }
    return bytes;
}

static bool survives(const Scene *scene, GByteArray *bytes, guint at)
{
    LogFile *f = file_new(bytes);
    BlockImage *image = open_on(scene->driver, f, BLOCK_OPEN_CHECK | (scene->lazy ? 0 : BLOCK_OPEN_READONLY), NULL);
    BlockCheck result = { 0 };
    uint64_t flushes = 0;
    bool ok;
    Load load;

    while (flushes < scene->marks->len && g_array_index(scene->marks, guint, flushes) <= at) {
        flushes++;
    }
    load_init(&load, scene->seed, 0, 1, image);
    ok = scene->driver->check(image, scene->lazy ? BLOCK_FIX_ERRORS | BLOCK_FIX_LEAKS : 0, &result, NULL) == 0 &&
         !result.corruptions && !result.check_errors;
    if (!ok) {
        fprintf(stderr, "# check finds %d corruptions\n", (int)result.corruptions);
    }
    ok = load_verify(image, &load, flushes, at ? g_array_index(scene->ops_at, uint64_t, at - 1) : 0) && ok;
    load_clear(&load);
    scene->driver->close(image);
    file_free(f);
    return ok;
}

static void run_load(Scene *scene, LogFile *f, unsigned operations)
{
    BlockImage *image = open_on(scene->driver, f, 0, scene->lazy ? "on" : NULL);
    Load load;

    f->log = g_array_new(FALSE, FALSE, sizeof(Record));
    load_init(&load, scene->seed, 0, 1, image);
    for (unsigned i = 0; i < operations; i++) {
        LoadOp op = load_next(&load);

        g_assert_cmpint(load_perform(image, &op), ==, 0);
        while (scene->ops_at->len < f->log->len) {
            g_array_append_val(scene->ops_at, load.number);
        }
        if (op.kind == LOAD_FLUSH) {
            g_array_append_val(scene->marks, f->log->len);
        }
    }
    scene->driver->close(image);
    while (scene->ops_at->len < f->log->len) {
        g_array_append_val(scene->ops_at, load.number);
    }
    load_clear(&load);
}

static void cut_everywhere(Scene *scene, unsigned tries)
{
    GRand *random = g_rand_new_with_seed(scene->seed);
    guint from = 0;
    unsigned done = 0, every = MAX(scene->log->len / tries, 1);

    for (guint at = 0; at <= scene->log->len; at++) {
        if (at % every == 0 || at == scene->log->len) {
            GByteArray *bytes = cut(scene, from, at, random);

            done++;
            if (!survives(scene, bytes, at)) {
                g_error("format %s, seed %u: a cut after record %u of %u (last flush at %u) is not survived",
                        scene->driver->name, scene->seed, at, scene->log->len, from);
            }
        }
        if (at < scene->log->len && g_array_index(scene->log, Record, at).kind == RECORD_FLUSH) {
            for (; from <= at; from++) {
                const Record *r = &g_array_index(scene->log, Record, from);

                if (r->kind == RECORD_WRITE) {
                    put(scene->stable, r->offset, r->data, r->size);
                } else if (r->kind == RECORD_SIZE) {
                    set_size(scene->stable, r->size);
                }
            }
        }
    }
    g_rand_free(random);
    g_test_message("%u cuts", done);
}

typedef struct Case {
    const char *format, *options;
    bool lazy;
} Case;

static const Case cases[] = {
    { "qcow2", "cluster_size=65536", false },
    { "qcow2", "cluster_size=512 refcount_bits=64", false },
    { "qcow2", "cluster_size=4096 refcount_bits=8", false },
    { "qcow2", "cluster_size=16384 extended_l2=on compression_type=zstd", false },
    { "qcow2", "cluster_size=4096 lazy_refcounts=on", true },
    { "qcow2", "cluster_size=1024 compat=0.10", false },
    { "qcow", "", false },
};

static void power_cuts_leave_flushed_data(gconstpointer opaque)
{
    const Case *c = opaque;
    bool is_long = g_getenv("MYNA_TEST_LONG");
    unsigned rounds = is_long ? 40 : 1, operations = is_long ? 400 : 60, tries = is_long ? 400 : 25;

    for (unsigned round = 0; round < rounds; round++) {
        Scene scene = { .driver = block_driver_find(c->format), .seed = 1 + round, .lazy = c->lazy };
        g_autoptr(Json) options = json_object();
        g_auto(GStrv) words = g_strsplit(c->options, " ", 0);
        LogFile *f = file_new(g_byte_array_new());

        for (unsigned i = 0; words[i]; i++) {
            char *value = strchr(words[i], '=');

            if (value) {
                *value++ = 0;
                json_set_string(options, words[i], value);
            }
        }
        g_assert_true(scene.driver->create(&f->image, "log", load_disk_size(1), options, NULL));
        scene.stable = g_byte_array_new();
        g_byte_array_append(scene.stable, f->bytes->data, f->bytes->len);
        scene.marks = g_array_new(FALSE, FALSE, sizeof(guint));
        scene.ops_at = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        run_load(&scene, f, operations);
        scene.log = f->log;
        cut_everywhere(&scene, tries);
        g_byte_array_unref(scene.stable);
        g_array_unref(scene.marks);
        g_array_unref(scene.ops_at);
        file_free(f);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdup_printf("/power-cut/%s %s", cases[i].format, cases[i].options);

        g_test_add_data_func(path, &cases[i], power_cuts_leave_flushed_data);
    }
    return g_test_run();
}
