/* Requests of devices: checked, carried out by worker threads, completed where the device lives. */
#include "backends/block/backend.h"
#include "core/lock.h"
#include "core/mainloop.h"
#include "util/error.h"

#include <errno.h>

#define WORKERS 16

typedef struct Request {
    BlockBackend *blk;
    RequestKind kind;
    uint64_t offset, size;
    const struct iovec *iov;
    int count;
    unsigned flags;
    BlockDone *done;
    void *opaque;
    int error;
} Request;

static GThreadPool *pool;

static void finish(void *opaque)
{
    Request *r = opaque;
    BlockBackend *blk = r->blk;

    if (r->done) {
        r->done(r->opaque, r->error);
    }
    g_free(r);
    if (atomic_fetch_sub(&blk->in_flight, 1) == 1) {
        g_main_context_wakeup(NULL); /* somebody may be draining */
    }
}

static void complete(Request *r)
{
    if (r->blk->iothread) {
        iothread_call(r->blk->iothread, finish, r);
    } else {
        main_loop_call(finish, r);
    }
}

static int carry_out(const Request *r)
{
    BlockImage *image = r->blk->root;
    int error = 0;

    switch (r->kind) {
    case REQUEST_READ:
        return block_image_readv(image, r->offset, r->iov, r->count);
    case REQUEST_WRITE:
        error = block_image_writev(image, r->offset, r->iov, r->count);
        break;
    case REQUEST_ZEROES:
        error = block_image_write_zeroes(image, r->offset, r->size, r->flags & BLOCK_MAY_UNMAP);
        break;
    case REQUEST_DISCARD:
        return block_image_discard(image, r->offset, r->size);
    case REQUEST_FLUSH:
        break;
    }
    if (!error && (r->kind == REQUEST_FLUSH || r->flags & BLOCK_FUA || !r->blk->write_cache)) {
        error = block_image_flush(image);
    }
    return error;
}

static void work(gpointer data, gpointer unused)
{
    Request *r = data;

    r->error = carry_out(r);
    complete(r);
}

static int refusal(const Request *r)
{
    const BlockBackend *blk = r->blk;

    if (!blk->root) {
        return ENOMEDIUM;
    }
    if (blk->readonly && r->kind != REQUEST_READ && r->kind != REQUEST_FLUSH) {
        return EROFS;
    }
    if (r->kind != REQUEST_FLUSH && (r->offset > block_size(blk) || r->size > block_size(blk) - r->offset)) {
        return EINVAL;
    }
    return 0;
}

static void submit(const Request *given)
{
    Request *r = g_memdup2(given, sizeof(*given));

    r->size += block_iov_size(r->iov, r->count);
    atomic_fetch_add(&r->blk->in_flight, 1);
    r->error = refusal(r);
    if (r->error) {
        complete(r);
        return;
    }
    if (g_once_init_enter(&pool)) {
        g_once_init_leave(&pool, g_thread_pool_new(work, NULL, WORKERS, FALSE, NULL));
    }
    g_thread_pool_push(pool, r, NULL);
}

void block_read(BlockBackend *blk, uint64_t offset, const struct iovec *iov, int count, BlockDone *done, void *opaque)
{
    submit(&(Request){ blk, REQUEST_READ, offset, 0, iov, count, 0, done, opaque });
}

void block_write(BlockBackend *blk, uint64_t offset, const struct iovec *iov, int count, unsigned flags,
                 BlockDone *done, void *opaque)
{
    submit(&(Request){ blk, REQUEST_WRITE, offset, 0, iov, count, flags, done, opaque });
}

void block_write_zeroes(BlockBackend *blk, uint64_t offset, uint64_t size, unsigned flags, BlockDone *done,
                        void *opaque)
{
    submit(&(Request){ blk, REQUEST_ZEROES, offset, size, NULL, 0, flags, done, opaque });
}

void block_flush(BlockBackend *blk, BlockDone *done, void *opaque)
{
    submit(&(Request){ blk, REQUEST_FLUSH, 0, 0, NULL, 0, 0, done, opaque });
}

void block_discard(BlockBackend *blk, uint64_t offset, uint64_t size, BlockDone *done, void *opaque)
{
    submit(&(Request){ blk, REQUEST_DISCARD, offset, size, NULL, 0, 0, done, opaque });
}

void block_plug(BlockBackend *blk)
{
}

void block_unplug(BlockBackend *blk)
{
}

/* ---- waiting ---- */

void block_drain(BlockBackend *blk)
{
    bool is_main = main_loop_is_current();

    while (atomic_load(&blk->in_flight)) {
        if (iothread_is_current(blk->iothread)) {
            g_main_context_iteration(iothread_context(blk->iothread), TRUE);
        } else if (is_main) {
            main_loop_step(true);
        } else { /* the main loop or the I/O thread runs the completions, and may need the machine lock for it */
            bool held = machine_locked();

            if (held) {
                machine_unlock();
            }
            g_usleep(50);
            if (held) {
                machine_lock();
            }
        }
    }
}

void block_set_iothread(BlockBackend *blk, IoThread *thread)
{
    block_drain(blk);
    if (thread) {
        iothread_ref(thread);
    }
    if (blk->iothread) {
        iothread_unref(blk->iothread);
    }
    blk->iothread = thread;
}

/* ---- at once ---- */

static bool sync_io(Request *r, GError **error)
{
    int failed;

    r->size = block_iov_size(r->iov, r->count);
    failed = refusal(r);
    if (!failed) {
        failed = carry_out(r);
    }
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "drive '%s': %s", block_id(r->blk), g_strerror(failed));
    }
    return !failed;
}

bool block_read_sync(BlockBackend *blk, uint64_t offset, void *buf, uint64_t size, GError **error)
{
    struct iovec iov = { buf, size };

    return sync_io(&(Request){ blk, REQUEST_READ, offset, 0, &iov, 1 }, error);
}

bool block_write_sync(BlockBackend *blk, uint64_t offset, const void *buf, uint64_t size, GError **error)
{
    struct iovec iov = { (void *)buf, size };

    return sync_io(&(Request){ blk, REQUEST_WRITE, offset, 0, &iov, 1 }, error);
}
