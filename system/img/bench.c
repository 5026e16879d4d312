/* myna-img bench: many requests of one kind on an image, and how long they take. */
#include "system/img/img.h"
#include "system/img/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_ALIGN 4096
#define MAX_DEPTH 1024
#define MAX_BUFFER (UINT64_C(1) << 30)

typedef struct Bench {
    ImgPool pool;
    BlockImage *image;
    uint64_t count, depth, size, step, offset, flush_interval, pattern;
    bool write, drain;
    uint64_t next, image_size;
    GRWLock flushing; /* writers of data share it; a flush that drains has it alone */
} Bench;

static int flush(Bench *b)
{
    int error;

    if (b->drain) {
        g_rw_lock_writer_lock(&b->flushing);
    }
    error = block_image_flush(b->image);
    if (b->drain) {
        g_rw_lock_writer_unlock(&b->flushing);
    }
    return error;
}

static int transfer(Bench *b, uint64_t offset, void *buf)
{
    int error;

    g_rw_lock_reader_lock(&b->flushing);
    error = b->write ? block_image_write(b->image, offset, buf, b->size)
                     : block_image_read(b->image, offset, buf, b->size);
    g_rw_lock_reader_unlock(&b->flushing);
    return error;
}

static void send_requests(ImgPool *pool, void *opaque)
{
    Bench *b = opaque;
    void *buf = NULL;

    if (posix_memalign(&buf, BUFFER_ALIGN, b->size)) {
        img_pool_fail(pool, ENOMEM);
        return;
    }
    memset(buf, b->pattern, b->size);
    while (!img_pool_failed(pool)) {
        uint64_t index = __atomic_fetch_add(&b->next, 1, __ATOMIC_RELAXED);
        uint64_t span = b->image_size - b->size + 1;
        int error;

        if (index >= b->count) {
            break;
        }
        error = transfer(b, (uint64_t)((b->offset + (__uint128_t)index * b->step) % span), buf);
        if (!error && b->flush_interval && (b->count - index - 1) % b->flush_interval == 0) {
            error = flush(b);
        }
        if (error && img_pool_fail(pool, error)) {
            img_error("Failed request: %s", g_strerror(error));
        }
    }
    free(buf);
}

static int run(Bench *b, bool quiet)
{
    double seconds;
    int64_t start;
    bool failed;

    b->image_size = block_image_size(b->image);
    if (b->image_size < b->size) {
        img_error("The buffer size %" PRIu64 " is larger than the image (%" PRIu64 " bytes)", b->size, b->image_size);
        return 1;
    }
    if (!quiet) {
        printf("Sending %" PRIu64 " %s requests, %" PRIu64 " bytes each, %" PRIu64
               " in parallel (starting at offset %" PRIu64 ", step size %" PRIu64 ")\n",
               b->count, b->write ? "write" : "read", b->size, b->depth, b->offset, b->step);
        if (b->flush_interval) {
            printf("Sending flush every %" PRIu64 " %srequests\n", b->flush_interval, b->drain ? "" : "undrained ");
        }
        fflush(stdout);
    }
    img_pool_init(&b->pool, b->count);
    start = g_get_monotonic_time();
    img_pool_run(&b->pool, b->depth, send_requests, b);
    seconds = (g_get_monotonic_time() - start) / (double)G_USEC_PER_SEC;
    failed = img_pool_failed(&b->pool);
    img_pool_clear(&b->pool);
    if (!failed && !quiet) {
        printf("Run completed in %3.3f seconds.\n", seconds);
    }
    return failed;
}

static bool parse(const ImgArgs *args, Bench *b)
{
    const char *interval = args->value[IMG_OPT_FLUSH_INTERVAL], *pattern = args->value[IMG_OPT_PATTERN];

    if ((img_has(args, 'c') && !img_parse_int(args->value['c'], "request count", 0, INT32_MAX, &b->count)) ||
        (img_has(args, 'd') && !img_parse_int(args->value['d'], "queue depth", 1, MAX_DEPTH, &b->depth)) ||
        (img_has(args, 's') && !img_parse_size(args->value['s'], "buffer size", &b->size)) ||
        (img_has(args, 'o') && !img_parse_size(args->value['o'], "offset", &b->offset)) ||
        (interval && !img_parse_int(interval, "flush interval", 0, INT32_MAX, &b->flush_interval)) ||
        (pattern && !img_parse_int(pattern, "pattern byte", 0, 255, &b->pattern))) {
        return false;
    }
    b->step = b->size;
    if (img_has(args, 'S') && !img_parse_size(args->value['S'], "step size", &b->step)) {
        return false;
    }
    if (!b->size || b->size > MAX_BUFFER) {
        img_error("Invalid buffer size: from 1 to 1G");
        return false;
    }
    if (!b->write && b->flush_interval) {
        img_error("--flush-interval is only available in write tests");
        return false;
    }
    if (b->flush_interval && b->flush_interval < b->depth) {
        img_error("Flush interval can't be smaller than depth");
        return false;
    }
    return true;
}

int img_bench(ImgArgs *args)
{
    Bench b = {
        .count = 75000,
        .depth = 64,
        .size = 4096,
        .write = img_has(args, 'w'),
        .drain = !img_has(args, IMG_OPT_NO_DRAIN),
    };
    unsigned flags = b.write ? 0 : BLOCK_OPEN_READONLY;
    int status = 1;

    if (!img_parse_cache(args->value['t'], "writeback", &flags) || !parse(args, &b)) {
        return 1;
    }
    b.image = img_open_args(args, args->files[0], flags);
    if (!b.image) {
        return 1;
    }
    g_rw_lock_init(&b.flushing);
    status = run(&b, img_has(args, 'q'));
    g_rw_lock_clear(&b.flushing);
    block_image_close(b.image);
    return status;
}
