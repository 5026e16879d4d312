/* Requests of devices: checked, carried out by io_uring or worker threads, completed where the device lives. */
#include "backends/block/backend.h"
#include "core/clock.h"
#include "core/lock.h"
#include "core/mainloop.h"
#include "util/error.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define WORKERS 32
#define COPY_MAX (1u << 20) /* of one step of copy-on-read */
/* Transfers through the host's cache are copies, which io_uring makes in the submitting thread: large ones go to workers. */
#define INLINE_COPY_MAX 65536

static GThreadPool *pool;

void request_list_add(RequestList *list, Request *r)
{
    r->next = NULL;
    if (list->last) {
        list->last->next = r;
    } else {
        list->first = r;
    }
    list->last = r;
}

Request *request_list_take(RequestList *list)
{
    Request *r = list->first;

    if (r) {
        list->first = r->next;
        list->last = r->next ? list->last : NULL;
    }
    return r;
}

/* ---- completion ---- */

static GMutex drain_lock;
static GCond drained;

static void leave(BlockBackend *blk)
{
    if (atomic_fetch_sub(&blk->in_flight, 1) == 1) {
        g_mutex_lock(&drain_lock);
        g_cond_broadcast(&drained);
        g_mutex_unlock(&drain_lock);
        if (blk->iothread) {
            g_main_context_wakeup(NULL); /* the main loop may be draining */
        }
    }
}

static void account(const Request *r)
{
    BlockStats *s = &r->blk->stats;
    int64_t now = clock_now(CLOCK_REAL), ns = now - r->start;

    s->last_access_ns = now;
    switch (r->kind) {
    case REQUEST_READ:
        s->failed_reads += r->error && !r->refused;
        s->invalid_reads += r->refused;
        s->read_ops += !r->error;
        s->read_bytes += r->error ? 0 : r->size;
        s->read_ns += ns;
        break;
    case REQUEST_WRITE:
    case REQUEST_ZEROES:
        s->failed_writes += r->error && !r->refused;
        s->invalid_writes += r->refused;
        s->write_ops += !r->error;
        s->write_bytes += r->error ? 0 : r->size;
        s->write_ns += ns;
        s->highest_offset = r->error ? s->highest_offset : MAX(s->highest_offset, r->offset + r->size);
        break;
    case REQUEST_DISCARD:
        s->failed_unmaps += r->error != 0;
        s->unmap_ops += !r->error;
        s->unmap_bytes += r->error ? 0 : r->size;
        s->unmap_ns += ns;
        break;
    case REQUEST_FLUSH:
        s->failed_flushes += r->error != 0;
        s->flush_ops += !r->error;
        s->flush_ns += ns;
        break;
    }
}

void block_stats(const BlockBackend *blk, BlockStats *out)
{
    *out = blk->stats;
}

static void finish(LoopItem *item)
{
    Request *r = (Request *)item;
    BlockBackend *blk = r->blk;

    if (r->error && !r->refused) {
        switch (request_failed(r)) {
        case ACTION_STOP:
            leave(blk);
            return;
        case ACTION_IGNORE:
            account(r);
            r->error = 0;
            break;
        case ACTION_REPORT:
            account(r);
        }
    } else {
        account(r);
    }
    if (r->done) {
        r->done(r->opaque, r->error);
    }
    g_free(r);
    leave(blk);
}

void request_complete(Request *r)
{
    r->item.finish = finish;
    block_loop_post(r->blk->loop, &r->item);
}

/* ---- in worker threads ---- */

/* Brings what a read will need from the backing image into the image itself. */
static int copy_up(BlockImage *image, uint64_t offset, uint64_t size)
{
    g_autofree void *buf = NULL;
    BlockExtent extent;
    int error = 0;

    while (size && !error) {
        uint64_t step = MIN(size, COPY_MAX);

        error = block_image_status_above(image, image->backing, offset, step, &extent);
        step = error ? step : MIN(step, extent.size);
        if (!error && !(extent.status & BLOCK_HERE)) {
            buf = buf ? buf : g_malloc(COPY_MAX);
            error = block_image_read(image, offset, buf, step);
            error = error ? error : block_image_write(image, offset, buf, step);
        }
        offset += step;
        size -= step;
    }
    return error;
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
    BlockBackend *blk = r->blk;

    r->error = 0;
    if (blk->copy_on_read) {
        /* A guest's write must not be undone by a copy that was read before it: one after the other. */
        g_mutex_lock(&blk->copy_lock);
        if (r->kind == REQUEST_READ && !blk->readonly) {
            copy_up(blk->root, r->offset, r->size); /* if it fails the read still gives the bytes */
        }
        r->error = carry_out(r);
        g_mutex_unlock(&blk->copy_lock);
    } else {
        r->error = carry_out(r);
    }
    request_complete(r);
}

static void use_worker(Request *r)
{
    if (g_once_init_enter(&pool)) {
        g_thread_pool_set_max_unused_threads(WORKERS);
        g_once_init_leave(&pool, g_thread_pool_new(work, NULL, WORKERS, FALSE, NULL));
    }
    g_thread_pool_push(pool, r, NULL);
}

/* ---- the fast path ---- */

static void transfer_done(LoopItem *item)
{
    Request *r = (Request *)item;

    block_image_resolved(r->blk->root, r->offset, r->size, r->kind == REQUEST_WRITE);
    if (item->result == (int64_t)r->size) {
        finish(item);
    } else {
        use_worker(r); /* short or failed: step by step, which finds out why */
    }
}

static bool is_placed_well(const Request *r, size_t align)
{
    for (int i = 0; i < r->count && align > 1; i++) {
        if ((uintptr_t)r->iov[i].iov_base % align || r->iov[i].iov_len % align) {
            return false;
        }
    }
    return true;
}

/* Whether stable data is all that a write with FUA owes: elsewhere the way to the data must be stable too. */
static bool is_plain(const BlockImage *image)
{
    while (!image->driver->is_protocol && image->driver->is_plain) {
        image = image->file;
    }
    return image->driver->is_protocol;
}

static bool start_transfer(Request *r)
{
    BlockBackend *blk = r->blk;
    bool is_write = r->kind == REQUEST_WRITE;
    bool is_fua = is_write && (r->flags & BLOCK_FUA || !blk->write_cache) && !(blk->root->flags & BLOCK_OPEN_UNSAFE);
    uint64_t host_offset;
    int fd;

    if (!blk->use_ring || blk->copy_on_read ||
        (is_fua && !is_plain(blk->root)) || (r->size > INLINE_COPY_MAX && !(blk->root->flags & BLOCK_OPEN_DIRECT)) || r->count > IOV_MAX || !r->size || !block_loop_has_ring(blk->loop) ||
        !block_image_resolve(blk->root, r->offset, r->size, is_write, &fd, &host_offset)) {
        return false;
    }
    r->item.finish = transfer_done;
    if (is_placed_well(r, blk->mem_align) &&
        block_loop_transfer(blk->loop, &r->item, fd, r->iov, r->count, host_offset, is_write, is_fua)) {
        return true;
    }
    block_image_resolved(blk->root, r->offset, r->size, is_write);
    return false;
}

static bool is_zero(const struct iovec *iov, int count)
{
    for (int i = 0; i < count; i++) {
        const char *p = iov[i].iov_base;
        size_t n = iov[i].iov_len;

        if (n && (p[0] || memcmp(p, p + 1, n - 1) != 0)) {
            return false;
        }
    }
    return true;
}

void request_dispatch(Request *r)
{
    BlockBackend *blk = r->blk;

    if (r->kind == REQUEST_WRITE && blk->detect_zeroes != DETECT_OFF && is_zero(r->iov, r->count)) {
        r->kind = REQUEST_ZEROES;
        r->flags |= blk->detect_zeroes == DETECT_UNMAP ? BLOCK_MAY_UNMAP : 0;
    }
    if ((r->kind == REQUEST_READ || r->kind == REQUEST_WRITE) && start_transfer(r)) {
        return;
    }
    use_worker(r);
}

/* ---- submission ---- */

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

static void start(Request *r)
{
    r->error = refusal(r);
    if (r->error) {
        r->refused = true;
        request_complete(r);
    } else if (!r->blk->throttle || throttle_pass(r)) {
        request_dispatch(r);
    }
}

/* Whether it waits for block_release; then it is not in flight. */
static bool wait_if_held(Request *r)
{
    BlockBackend *blk = r->blk;
    bool held;

    g_mutex_lock(&blk->parked_lock);
    held = atomic_load(&blk->held);
    if (held) {
        request_list_add(&blk->waiting, r);
    }
    g_mutex_unlock(&blk->parked_lock);
    if (held) {
        leave(blk);
    }
    return held;
}

static void submit(const Request *given)
{
    Request *r = g_memdup2(given, sizeof(*given));

    r->size += block_iov_size(r->iov, r->count);
    r->start = clock_now(CLOCK_REAL);
    atomic_fetch_add(&r->blk->in_flight, 1); /* before it looks at `held`: block_hold does both the other way round */
    if (!atomic_load(&r->blk->held) || !wait_if_held(r)) {
        start(r);
    }
}

#define REQUEST(...) &(Request){ { NULL }, __VA_ARGS__ }

void block_read(BlockBackend *blk, uint64_t offset, const struct iovec *iov, int count, BlockDone *done, void *opaque)
{
    submit(REQUEST(blk, REQUEST_READ, offset, 0, iov, count, 0, done, opaque));
}

void block_write(BlockBackend *blk, uint64_t offset, const struct iovec *iov, int count, unsigned flags,
                 BlockDone *done, void *opaque)
{
    submit(REQUEST(blk, REQUEST_WRITE, offset, 0, iov, count, flags, done, opaque));
}

void block_write_zeroes(BlockBackend *blk, uint64_t offset, uint64_t size, unsigned flags, BlockDone *done,
                        void *opaque)
{
    submit(REQUEST(blk, REQUEST_ZEROES, offset, size, NULL, 0, flags, done, opaque));
}

void block_flush(BlockBackend *blk, BlockDone *done, void *opaque)
{
    submit(REQUEST(blk, REQUEST_FLUSH, 0, 0, NULL, 0, 0, done, opaque));
}

void block_discard(BlockBackend *blk, uint64_t offset, uint64_t size, BlockDone *done, void *opaque)
{
    submit(REQUEST(blk, REQUEST_DISCARD, offset, size, NULL, 0, 0, done, opaque));
}

void block_plug(BlockBackend *blk)
{
    block_loop_plug(blk->loop);
}

void block_unplug(BlockBackend *blk)
{
    block_loop_unplug(blk->loop);
}

/* ---- waiting ---- */

/*
 * From elsewhere than the home of the completions, which may need the machine lock. The main loop may be waiting for this
 * vCPU, so what is complete there is finished here, under the same lock.
 */
static void wait_elsewhere(BlockBackend *blk)
{
    bool held = machine_locked();

    if (held && !blk->iothread) {
        block_loop_run(blk->loop);
    }
    if (held) {
        machine_unlock();
    }
    g_mutex_lock(&drain_lock);
    if (atomic_load(&blk->in_flight)) {
        g_cond_wait_until(&drained, &drain_lock, g_get_monotonic_time() + G_TIME_SPAN_MILLISECOND);
    }
    g_mutex_unlock(&drain_lock);
    if (held) {
        machine_lock();
    }
}

void block_drain_in_flight(BlockBackend *blk)
{
    blk->unthrottled = true;
    while (atomic_load(&blk->in_flight)) {
        bool home = blk->iothread ? iothread_is_current(blk->iothread) : main_loop_is_current();

        throttle_release(blk);
        if (home) {
            block_loop_run(blk->loop);
        }
        if (!atomic_load(&blk->in_flight)) {
            break;
        }
        if (home && blk->iothread) {
            g_main_context_iteration(iothread_context(blk->iothread), TRUE);
        } else if (main_loop_is_current()) {
            main_loop_step(true);
        } else {
            wait_elsewhere(blk);
        }
    }
    blk->unthrottled = false;
}

void block_hold(BlockBackend *blk)
{
    atomic_fetch_add(&blk->held, 1);
    block_drain_in_flight(blk);
}

void block_release(BlockBackend *blk)
{
    RequestList list = { NULL };
    Request *r;

    g_mutex_lock(&blk->parked_lock);
    if (atomic_fetch_sub(&blk->held, 1) == 1) {
        list = blk->waiting;
        blk->waiting = (RequestList){ NULL };
    }
    g_mutex_unlock(&blk->parked_lock);
    while ((r = request_list_take(&list))) {
        atomic_fetch_add(&blk->in_flight, 1);
        start(r);
    }
}

void block_drain(BlockBackend *blk)
{
    do {
        block_drain_in_flight(blk);
        block_unpark(blk, EIO); /* the device is about to forget them */
    } while (atomic_load(&blk->in_flight));
}

void block_set_iothread(BlockBackend *blk, IoThread *thread)
{
    block_drain_in_flight(blk);
    if (thread) {
        iothread_ref(thread);
    }
    if (blk->iothread) {
        iothread_unref(blk->iothread);
    }
    blk->iothread = thread;
    blk->loop = block_loop_get(thread);
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

    return sync_io(REQUEST(blk, REQUEST_READ, offset, 0, &iov, 1), error);
}

bool block_write_sync(BlockBackend *blk, uint64_t offset, const void *buf, uint64_t size, GError **error)
{
    struct iovec iov = { (void *)buf, size };

    return sync_io(REQUEST(blk, REQUEST_WRITE, offset, 0, &iov, 1), error);
}
