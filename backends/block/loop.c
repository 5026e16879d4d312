/* Transfers through io_uring, and completions, gathered by an eventfd in the thread that they belong to. */
#include "backends/block/loop.h"

#include "config.h"
#include "core/lock.h"
#include "util/log.h"

#include <glib-unix.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>
#ifdef CONFIG_URING
#include <liburing.h>
#endif

#define RING_ENTRIES 256

struct BlockLoop {
    IoThread *thread; /* NULL: the main loop */
    int event_fd;
    GSource *source;
    _Atomic(LoopItem *) posted; /* newest first */
    LoopItem *ready, *ready_last; /* oldest first; of the loop's thread alone */
    GMutex lock;                /* of the submission side */
    int plugs;
    unsigned unsubmitted;
    bool has_ring;
#ifdef CONFIG_URING
    struct io_uring ring;
#endif
};

static GMutex loops_lock;
static GPtrArray *loops;

/* ---- completion ---- */

static void run_posted(BlockLoop *loop)
{
    LoopItem *item;

    do {
        LoopItem *newest = atomic_exchange(&loop->posted, NULL), *oldest = NULL, *last = newest;

        while (newest) {
            LoopItem *next = newest->next;

            newest->next = oldest;
            oldest = newest;
            newest = next;
        }
        if (loop->ready_last && oldest) {
            loop->ready_last->next = oldest;
        } else if (oldest) {
            loop->ready = oldest;
        }
        loop->ready_last = last ? last : loop->ready_last;
        item = loop->ready;
        if (item) { /* finish may come back here, if it drains */
            loop->ready = item->next;
            loop->ready_last = loop->ready ? loop->ready_last : NULL;
            item->finish(item);
        }
    } while (item);
}

#ifdef CONFIG_URING
static void submit(BlockLoop *loop)
{
    int n = io_uring_submit(&loop->ring);

    /* What the kernel did not take now, for want of memory, goes when something has completed. */
    loop->unsubmitted = n >= 0 && (unsigned)n <= loop->unsubmitted ? loop->unsubmitted - n : loop->unsubmitted;
}

static void run_ring(BlockLoop *loop)
{
    struct io_uring_cqe *cqe;

    while (loop->has_ring && io_uring_peek_cqe(&loop->ring, &cqe) == 0) {
        LoopItem *item = io_uring_cqe_get_data(cqe);

        item->result = cqe->res;
        io_uring_cqe_seen(&loop->ring, cqe);
        item->finish(item);
    }
    g_mutex_lock(&loop->lock);
    if (loop->unsubmitted && !loop->plugs) {
        submit(loop);
    }
    g_mutex_unlock(&loop->lock);
}
#else
static void submit(BlockLoop *loop)
{
}

static void run_ring(BlockLoop *loop)
{
}
#endif

void block_loop_run(BlockLoop *loop)
{
    run_ring(loop);
    run_posted(loop);
}

static gboolean on_event(gint fd, GIOCondition condition, gpointer data)
{
    BlockLoop *loop = data;
    bool taken = !loop->thread && machine_lock_if();
    uint64_t count;

    if (read(fd, &count, sizeof(count)) == sizeof(count)) {
        block_loop_run(loop);
    }
    machine_unlock_if(taken);
    return G_SOURCE_CONTINUE;
}

void block_loop_post(BlockLoop *loop, LoopItem *item)
{
    static const uint64_t one = 1;
    LoopItem *old = atomic_load(&loop->posted);

    do {
        item->next = old;
    } while (!atomic_compare_exchange_weak(&loop->posted, &old, item));
    if (!old && write(loop->event_fd, &one, sizeof(one)) < 0) {
        g_assert_not_reached(); /* the counter cannot overflow */
    }
}

/* ---- submission ---- */

#ifdef CONFIG_URING
bool block_loop_transfer(BlockLoop *loop, LoopItem *item, int fd, const struct iovec *iov, int count, uint64_t offset,
                         bool is_write, bool is_fua)
{
    struct io_uring_sqe *sqe;

    if (!loop->has_ring) {
        return false;
    }
    g_mutex_lock(&loop->lock);
    sqe = io_uring_get_sqe(&loop->ring);
    if (!sqe) {
        submit(loop);
        sqe = io_uring_get_sqe(&loop->ring);
    }
    if (sqe) {
        if (is_write) {
            io_uring_prep_writev2(sqe, fd, iov, count, offset, is_fua ? RWF_DSYNC : 0);
        } else {
            io_uring_prep_readv(sqe, fd, iov, count, offset);
        }
        io_uring_sqe_set_data(sqe, item);
        loop->unsubmitted++;
        if (!loop->plugs) {
            submit(loop);
        }
    }
    g_mutex_unlock(&loop->lock);
    return sqe != NULL;
}

static void make_ring(BlockLoop *loop)
{
    int error = io_uring_queue_init(RING_ENTRIES, &loop->ring, 0);

    if (error == 0) {
        error = io_uring_register_eventfd(&loop->ring, loop->event_fd);
        if (error < 0) {
            io_uring_queue_exit(&loop->ring);
        }
    }
    loop->has_ring = error == 0;
    if (error < 0) {
        trace("block_no_ring", "io_uring: %s; worker threads do all transfers", g_strerror(-error));
    }
}
#else
bool block_loop_transfer(BlockLoop *loop, LoopItem *item, int fd, const struct iovec *iov, int count, uint64_t offset,
                         bool is_write, bool is_fua)
{
    return false;
}

static void make_ring(BlockLoop *loop)
{
}
#endif

bool block_loop_has_ring(BlockLoop *loop)
{
    return loop->has_ring;
}

void block_loop_plug(BlockLoop *loop)
{
    g_mutex_lock(&loop->lock);
    loop->plugs++;
    g_mutex_unlock(&loop->lock);
}

void block_loop_unplug(BlockLoop *loop)
{
    g_mutex_lock(&loop->lock);
    if (!--loop->plugs && loop->unsubmitted) {
        submit(loop);
    }
    g_mutex_unlock(&loop->lock);
}

/* ---- the loops ---- */

static BlockLoop *make(IoThread *thread)
{
    BlockLoop *loop = g_new0(BlockLoop, 1);

    loop->thread = thread;
    loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_assert(loop->event_fd >= 0);
    g_mutex_init(&loop->lock);
    make_ring(loop);
    loop->source = g_unix_fd_source_new(loop->event_fd, G_IO_IN);
    g_source_set_callback(loop->source, G_SOURCE_FUNC(on_event), loop, NULL);
    g_source_set_can_recurse(loop->source, TRUE); /* a completion may wait for others */
    g_source_attach(loop->source, thread ? iothread_context(thread) : NULL);
    return loop;
}

BlockLoop *block_loop_get(IoThread *thread)
{
    BlockLoop *found = NULL;

    g_mutex_lock(&loops_lock);
    loops = loops ? loops : g_ptr_array_new();
    for (guint i = 0; i < loops->len && !found; i++) {
        BlockLoop *loop = g_ptr_array_index(loops, i);

        found = loop->thread == thread ? loop : NULL;
    }
    if (!found) {
        found = make(thread);
        g_ptr_array_add(loops, found);
    }
    g_mutex_unlock(&loops_lock);
    return found;
}

void block_loop_forget(IoThread *thread)
{
    g_mutex_lock(&loops_lock);
    for (guint i = 0; loops && i < loops->len; i++) {
        BlockLoop *loop = g_ptr_array_index(loops, i);

        if (loop->thread == thread) {
            g_source_destroy(loop->source);
            g_source_unref(loop->source);
#ifdef CONFIG_URING
            if (loop->has_ring) {
                io_uring_queue_exit(&loop->ring);
            }
#endif
            close(loop->event_fd);
            g_mutex_clear(&loop->lock);
            g_ptr_array_remove_index(loops, i);
            g_free(loop);
            break;
        }
    }
    g_mutex_unlock(&loops_lock);
}
