/* How fast a device's requests go through the block layer. usage: bench-block FILE FORMAT CACHE AIO COUNT DEPTH SIZE [w] */
#include "backends/block.h"
#include "core/lock.h"
#include "core/mainloop.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct Slot {
    struct iovec iov;
} Slot;

static BlockBackend *blk;
static uint64_t next_offset;
static int left, running;
static bool is_write;

static void done(void *opaque, int error);

static void submit(Slot *slot)
{
    if (!left) {
        return;
    }
    left--;
    running++;
    if (next_offset + slot->iov.iov_len > block_size(blk)) {
        next_offset = 0;
    }
    if (is_write) {
        block_write(blk, next_offset, &slot->iov, 1, 0, done, slot);
    } else {
        block_read(blk, next_offset, &slot->iov, 1, done, slot);
    }
    next_offset += slot->iov.iov_len;
}

static void done(void *opaque, int error)
{
    g_assert_cmpint(error, ==, 0);
    running--;
    submit(opaque);
}

int main(int argc, char **argv)
{
    BlockOptions o = { .id = (char *)"d", .interface = (char *)"none", .bus = -1, .unit = -1, .index = -1 };
    g_autoptr(GError) error = NULL;
    gint64 start;
    int depth;

    if (argc < 8) {
        fprintf(stderr, "usage: bench-block FILE FORMAT CACHE AIO COUNT DEPTH SIZE [w]\n");
        return 1;
    }
    o.file = argv[1];
    o.format = argv[2];
    o.cache = argv[3];
    o.aio = argv[4];
    left = atoi(argv[5]);
    depth = atoi(argv[6]);
    is_write = argc > 8;
    o.readonly = !is_write;
    machine_lock();
    blk = block_new(&o, &error);
    if (!blk) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    start = g_get_monotonic_time();
    block_plug(blk);
    for (int i = 0; i < depth; i++) {
        Slot *slot = g_new0(Slot, 1);

        slot->iov.iov_len = atoi(argv[7]);
        slot->iov.iov_base = aligned_alloc(4096, slot->iov.iov_len);
        submit(slot);
    }
    block_unplug(blk);
    while (running) {
        main_loop_step(true);
    }
    printf("%.3f seconds\n", (g_get_monotonic_time() - start) / 1e6);
    return 0;
}
