/* What happens to requests on their way: cache modes, limits, errors, zeros, threads, locks. */
#include "backends/block.h"
#include "core/lock.h"
#include "core/machine.h"
#include "core/mainloop.h"
#include "tests/hw/rig.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1 << 20)

static int last_error, done_count;

static void done(void *opaque, int error)
{
    last_error = error;
    done_count++;
}

static BlockBackend *open_with(BlockOptions *o, const char *id, const char *path)
{
    g_autoptr(GError) error = NULL;
    BlockBackend *blk;

    o->id = (char *)id;
    o->file = (char *)path;
    o->format = (char *)"raw";
    o->interface = (char *)"none";
    o->bus = o->unit = o->index = -1;
    blk = block_new(o, &error);
    g_assert_no_error(error);
    return blk;
}

static int io(BlockBackend *blk, bool is_write, uint64_t offset, void *buf, size_t size, unsigned flags)
{
    struct iovec iov = { buf, size };

    if (is_write) {
        block_write(blk, offset, &iov, 1, flags, done, NULL);
    } else {
        block_read(blk, offset, &iov, 1, done, NULL);
    }
    block_drain(blk);
    return last_error;
}

static char *contents(const char *path)
{
    char *data;

    g_assert_true(g_file_get_contents(path, &data, NULL, NULL));
    return data;
}

/* Random writes and reads at any memory alignment give what a plain copy in memory gives. */
static void every_cache_mode_stores_the_same(void)
{
    static const char *const modes[] = { "none", "writeback", "writethrough", "directsync", "unsafe" };
    static const char *const aio[] = { "io_uring", "threads" };
    enum { SIZE = 256 * 512 + 512 };
    GRand *rand = g_rand_new_with_seed(7);

    for (unsigned m = 0; m < G_N_ELEMENTS(modes) * 2; m++) {
        const char *path = rig_image(SIZE);
        BlockOptions o = { .cache = (char *)modes[m / 2], .aio = (char *)aio[m % 2] };
        g_autofree char *id = g_strdup_printf("%s-%s", o.cache, o.aio);
        BlockBackend *blk = open_with(&o, id, path);
        g_autofree uint8_t *copy = (uint8_t *)contents(path), *buf = g_malloc(65536);
        g_autofree char *after = NULL;
        BlockLimits limits;

        block_limits(blk, &limits);
        g_assert_cmpint(limits.write_cache, ==, m / 2 != 2 && m / 2 != 3);
        for (int i = 0; i < 100; i++) {
            uint64_t sector = g_rand_int_range(rand, 0, 257), count = g_rand_int_range(rand, 1, 258 - sector);
            uint8_t *at = buf + g_rand_int_range(rand, 0, 600);

            count = MIN(count, 100);
            if (i % 2) {
                memset(at, i, count * 512);
                g_assert_cmpint(io(blk, true, sector * 512, at, count * 512, i % 4 ? 0 : BLOCK_FUA), ==, 0);
                memcpy(copy + sector * 512, at, count * 512);
            } else {
                g_assert_cmpint(io(blk, false, sector * 512, at, count * 512, 0), ==, 0);
                g_assert_cmpmem(at, count * 512, copy + sector * 512, count * 512);
            }
        }
        block_flush(blk, done, NULL);
        block_drain(blk);
        g_assert_cmpint(last_error, ==, 0);
        after = contents(path);
        g_assert_cmpmem(after, SIZE, copy, SIZE);
        block_delete(blk);
    }
    g_rand_free(rand);
}

static void many_requests_at_once_all_end(void)
{
    BlockOptions o = { 0 };
    BlockBackend *blk = open_with(&o, "many", rig_image(2000 * 512));
    g_autofree uint8_t *buf = g_malloc(2000 * 512);
    struct iovec iov[2000];
    int before = done_count;

    block_plug(blk);
    for (int i = 0; i < 2000; i++) {
        iov[i] = (struct iovec){ buf + i * 512, 512 };
        block_read(blk, i * 512, &iov[i], 1, done, NULL);
    }
    block_unplug(blk);
    block_drain(blk);
    g_assert_cmpint(done_count, ==, before + 2000);
    for (int i = 0; i < 2000; i++) {
        g_assert_cmphex(buf[i * 512 + 511], ==, rig_pattern(i));
    }
}

static void limits_slow_requests_down(void)
{
    BlockOptions o = { .throttle = { .iops_total = { .average = 200 } } };
    BlockBackend *blk = open_with(&o, "slow", rig_image(512));
    uint8_t buf[512];
    struct iovec iov = { buf, 512 };
    gint64 start = g_get_monotonic_time();
    int before = done_count;
    BlockThrottle wrong = { .iops_total = { .average = 1 }, .iops_read = { .average = 1 } };

    for (int i = 0; i < 80; i++) { /* 20 may come at once, 60 more take 0.3 s */
        block_read(blk, 0, &iov, 1, done, NULL);
    }
    while (done_count < before + 80) {
        main_loop_step(true);
    }
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 250000);
    g_assert_false(block_set_throttle(blk, &wrong, NULL, NULL));
    for (int i = 0; i < 80; i++) {
        block_read(blk, 0, &iov, 1, done, NULL);
    }
    block_drain(blk); /* does not wait for the limit */
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5000000);
    g_assert_cmpint(done_count, ==, before + 160);
}

static void zeros_are_found_and_unmapped(void)
{
    const char *path = rig_image(4 * MIB);
    g_autoptr(Json) image = json_object();
    BlockOptions o = { .detect_zeroes = (char *)"unmap", .image = image };
    g_autofree char *zeros = g_malloc0(2 * MIB), *after = NULL;
    struct stat before_st, after_st;
    BlockBackend *blk;

    json_set_string(image, "discard", "unmap");
    blk = open_with(&o, "zeros", path);
    stat(path, &before_st);
    g_assert_cmpint(io(blk, true, MIB, zeros, 2 * MIB, 0), ==, 0);
    stat(path, &after_st);
    g_assert_cmpint(after_st.st_blocks, <=, before_st.st_blocks);
    after = contents(path);
    g_assert_cmpmem(after + MIB, 2 * MIB, zeros, 2 * MIB);
    g_assert_cmphex((uint8_t)after[3 * MIB], ==, rig_pattern(3 * 2048));
    block_delete(blk);
}

/* ---- errors ---- */

static char *last_action;

static void on_event(const char *name, Json *data)
{
    g_assert_cmpstr(name, ==, "BLOCK_IO_ERROR");
    g_free(last_action);
    last_action = g_strdup(json_member_string(data, "action"));
    json_free(data);
}

/* The host refuses writes beyond that. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;

    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = size;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
}

static void run_main_loop_until(RunState state)
{
    for (int i = 0; i < 10000 && machine_state() != state; i++) {
        main_loop_step(true);
    }
    g_assert_cmpint(machine_state(), ==, state);
}

static void a_stopped_machine_tries_again_when_it_continues(void)
{
    const char *path = rig_image(4 * MIB);
    BlockOptions o = { .werror = (char *)"stop" };
    BlockBackend *blk = open_with(&o, "stops", path);
    uint8_t buf[512];
    struct iovec iov = { buf, 512 };
    int before = done_count;
    g_autofree char *after = NULL;

    block_set_event_fn(on_event);
    machine_continue();
    limit_files(MIB);
    memset(buf, 0x77, 512);
    block_write(blk, 2 * MIB, &iov, 1, 0, done, NULL);
    run_main_loop_until(RUN_IO_ERROR);
    while (!last_action) {
        main_loop_step(true);
    }
    g_assert_cmpstr(last_action, ==, "stop");
    g_assert_cmpint(done_count, ==, before); /* the device has not heard of it */
    limit_files(RLIM_INFINITY);
    machine_continue();
    while (done_count == before) {
        main_loop_step(true);
    }
    g_assert_cmpint(last_error, ==, 0);
    after = contents(path);
    g_assert_cmphex((uint8_t)after[2 * MIB], ==, 0x77);
    limit_files(MIB); /* a device that is reset gets back what it waits for */
    block_write(blk, 2 * MIB, &iov, 1, 0, done, NULL);
    run_main_loop_until(RUN_IO_ERROR);
    block_drain(blk);
    g_assert_cmpint(done_count, ==, before + 2);
    g_assert_cmpint(last_error, ==, EIO);
    limit_files(RLIM_INFINITY);
    machine_continue();
}

static void errors_can_be_ignored_or_reported(void)
{
    BlockOptions ignore = { .werror = (char *)"ignore" }, report = { 0 };
    BlockBackend *a = open_with(&ignore, "ignores", rig_image(4 * MIB));
    BlockBackend *b = open_with(&report, "reports", rig_image(4 * MIB));
    uint8_t buf[512] = { 1 };
    BlockStats stats;

    limit_files(MIB);
    g_assert_cmpint(io(a, true, 2 * MIB, buf, 512, 0), ==, 0);
    g_assert_cmpint(io(b, true, 2 * MIB, buf, 512, 0), ==, EFBIG);
    limit_files(RLIM_INFINITY);
    block_stats(b, &stats);
    g_assert_cmpuint(stats.failed_writes, ==, 1);
    g_assert_cmpint(machine_state(), ==, RUN_RUNNING);
}

/* ---- threads and locks ---- */

typedef struct InThread {
    BlockBackend *blk;
    IoThread *thread;
    uint8_t buf[512];
    struct iovec iov;
    _Atomic int left;
} InThread;

static void done_there(void *opaque, int error)
{
    InThread *t = opaque;

    g_assert_true(iothread_is_current(t->thread));
    g_assert_false(machine_locked());
    g_assert_cmpint(error, ==, 0);
    t->left--;
}

static void submit_there(void *opaque)
{
    InThread *t = opaque;

    block_read(t->blk, 512, &t->iov, 1, done_there, t);
    block_flush(t->blk, done_there, t);
}

static void an_io_thread_runs_its_completions(void)
{
    BlockOptions o = { 0 };
    InThread t = { .left = 2 };

    t.blk = open_with(&o, "threaded", rig_image(2 * 512));
    t.thread = iothread_new("io0", NULL);
    t.iov = (struct iovec){ t.buf, 512 };
    block_set_iothread(t.blk, t.thread);
    g_assert_false(iothread_remove(t.thread, NULL)); /* in use */
    iothread_call_wait(t.thread, submit_there, &t);
    block_drain(t.blk);
    g_assert_cmpint(t.left, ==, 0);
    g_assert_cmphex(t.buf[0], ==, rig_pattern(1));
    block_set_iothread(t.blk, NULL);
    g_assert_cmpint(io(t.blk, false, 0, t.buf, 512, 0), ==, 0);
}

/* A device that has its next write ready when one is done. */
typedef struct Writer {
    BlockBackend *blk;
    IoThread *thread;
    uint8_t buf[4096];
    struct iovec iov;
    _Atomic uint64_t written; /* blocks of 4 KiB, each filled with its number */
    _Atomic bool ends, ended;
} Writer;

enum { WRITER_BLOCKS = 256 };

static void write_next(void *opaque, int error)
{
    Writer *w = opaque;

    g_assert_cmpint(error, ==, 0);
    w->written++;
    if (w->ends) {
        w->ended = true;
        return;
    }
    memset(w->buf, w->written, sizeof(w->buf));
    block_write(w->blk, w->written % WRITER_BLOCKS * sizeof(w->buf), &w->iov, 1, 0, write_next, w);
}

static void start_writer(void *opaque)
{
    write_next(opaque, 0);
}

static void the_graph_changes_under_a_busy_io_thread(void)
{
    BlockOptions o = { 0 };
    Writer w = { .thread = iothread_new("io1", NULL) };
    g_autofree char *overlay = g_strconcat(rig_image(4 * MIB), ".overlay", NULL);
    g_autoptr(GError) error = NULL;
    uint8_t back[4096];
    uint64_t last;

    w.blk = open_with(&o, "busy", rig_image(4 * MIB));
    w.iov = (struct iovec){ w.buf, sizeof(w.buf) };
    block_set_iothread(w.blk, w.thread);
    iothread_call_wait(w.thread, start_writer, &w);
    for (uint64_t i = 1; i <= 20; i++) {
        uint64_t before = w.written;

        block_resize(w.blk, (4 + i) * MIB, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(block_size(w.blk), ==, (4 + i) * MIB);
        while (w.written == before) {
            g_usleep(100);
        }
    }
    block_snapshot(w.blk, overlay, "qcow2", NULL, false, &error);
    g_assert_no_error(error);
    last = w.written;
    while (w.written < last + 2 * WRITER_BLOCKS) {
        g_usleep(100);
    }
    block_commit(w.blk, &error);
    g_assert_no_error(error);
    w.ends = true;
    while (!w.ended) {
        g_usleep(100);
    }
    block_drain(w.blk);
    last = w.written - 1; /* of the last write */
    for (uint64_t i = last - WRITER_BLOCKS + 1; i <= last; i++) {
        block_read_sync(w.blk, i % WRITER_BLOCKS * sizeof(back), back, sizeof(back), &error);
        g_assert_no_error(error);
        g_assert_cmphex(back[0], ==, (uint8_t)i);
        g_assert_cmphex(back[4095], ==, (uint8_t)i);
    }
    block_set_iothread(w.blk, NULL);
    unlink(overlay);
}

static gpointer drain_under_the_lock(gpointer data)
{
    machine_lock();
    block_drain(data);
    g_assert_true(machine_locked());
    machine_unlock();
    return NULL;
}

/* As when the main loop waits for a vCPU that resets a device. */
static void a_drain_does_not_need_the_main_loop(void)
{
    BlockOptions o = { 0 };
    BlockBackend *blk = open_with(&o, "elsewhere", rig_image(MIB));
    uint8_t buf[512];
    struct iovec iov = { buf, 512 };
    int before = done_count;
    bool locked = machine_locked();
    GThread *thread;

    for (int i = 0; i < 8; i++) {
        block_read(blk, i * 4096, &iov, 1, done, NULL);
    }
    if (locked) {
        machine_unlock();
    }
    thread = g_thread_new("vcpu", drain_under_the_lock, blk);
    g_thread_join(thread);
    if (locked) {
        machine_lock();
    }
    g_assert_cmpint(done_count, ==, before + 8);
}

static void an_image_in_use_is_locked(void)
{
    const char *path = rig_image(MIB);
    BlockOptions o = { 0 }, second = { .id = (char *)"second", .file = (char *)path, .format = (char *)"raw" };
    BlockBackend *blk = open_with(&o, "first", path), *reader;
    g_autofree char *command = g_strdup_printf("qemu-io -f raw -c 'write 0 512' %s", path);
    g_autofree char *out = NULL, *err = NULL;
    g_autoptr(GError) error = NULL;
    int status = 0;

    g_assert_null(block_new(&second, &error));
    g_assert_nonnull(strstr(error->message, path));
    if (g_find_program_in_path("qemu-io")) {
        g_assert_true(g_spawn_command_line_sync(command, &out, &err, &status, NULL));
        g_assert_cmpint(status, !=, 0);
    }
    block_delete(blk);
    second.readonly = true; /* readers share */
    reader = block_new(&second, NULL);
    g_assert_nonnull(reader);
    o = (BlockOptions){ .readonly = true };
    g_assert_nonnull(open_with(&o, "third", path));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGXFSZ, SIG_IGN);
    rig_init();
#define ADD(fn) g_test_add_func("/block-requests/" #fn, fn)
    ADD(every_cache_mode_stores_the_same);
    ADD(many_requests_at_once_all_end);
    ADD(limits_slow_requests_down);
    ADD(zeros_are_found_and_unmapped);
    ADD(a_stopped_machine_tries_again_when_it_continues);
    ADD(errors_can_be_ignored_or_reported);
    ADD(an_io_thread_runs_its_completions);
    ADD(the_graph_changes_under_a_busy_io_thread);
    ADD(a_drain_does_not_need_the_main_loop);
    ADD(an_image_in_use_is_locked);
    return g_test_run();
}
