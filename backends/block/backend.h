/* A drive and its requests; private to the core of the block layer. */
#ifndef BACKENDS_BLOCK_BACKEND_H
#define BACKENDS_BLOCK_BACKEND_H

#include "backends/block.h"
#include "backends/block/driver.h"
#include "backends/block/loop.h"

#include <stdatomic.h>

typedef enum OnError { ON_ERROR_REPORT, ON_ERROR_IGNORE, ON_ERROR_STOP, ON_ERROR_ENOSPC } OnError;
typedef enum DetectZeroes { DETECT_OFF, DETECT_ON, DETECT_UNMAP } DetectZeroes;

typedef enum RequestKind {
    REQUEST_READ,
    REQUEST_WRITE,
    REQUEST_ZEROES,
    REQUEST_DISCARD,
    REQUEST_FLUSH,
} RequestKind;

typedef struct ThrottleGroup ThrottleGroup;

typedef struct Request {
    LoopItem item; /* first: the loop hands it back */
    BlockBackend *blk;
    RequestKind kind;
    uint64_t offset, size;
    const struct iovec *iov;
    int count;
    unsigned flags;
    BlockDone *done;
    void *opaque;
    int error;
    bool refused, resolved;
    int64_t start;        /* CLOCK_REAL */
    struct Request *next; /* while it is parked or throttled */
} Request;

typedef struct RequestList {
    Request *first, *last;
} RequestList;

struct BlockBackend {
    BlockOptions options;
    BlockImage *root; /* NULL: no medium */
    char *file, *format;
    bool readonly;
    _Atomic bool write_cache;
    bool claimed;  /* the machine has a place for it */
    bool use_ring; /* aio= leaves it on */
    bool copy_on_read;
    GMutex copy_lock;  /* with copy-on-read, one request at a time */
    size_t mem_align;  /* of buffers that the host transfers directly */
    DetectZeroes detect_zeroes;
    OnError on_read_error, on_write_error;
    _Atomic int in_flight; /* submitted, and neither completed nor parked */
    _Atomic int held;      /* new requests wait in `waiting` */
    RequestList waiting;   /* parked_lock */
    IoThread *iothread;    /* where requests come from and completions run; NULL: the main loop */
    BlockLoop *loop;
    GMutex parked_lock;
    RequestList parked; /* failed while the machine was to stop; submitted again when it continues */
    ThrottleGroup *throttle; /* NULL: no limits */
    bool unthrottled;        /* draining */
    BlockStats stats;
    struct Timer *host_timer; /* looks for media of the host's CD-ROM drive */
    bool host_medium;
    const BlockMediaOps *media;
    void *media_opaque;
};

/* block.c: puts a medium in; takes the reference. */
void block_set_root(BlockBackend *blk, BlockImage *image);

void request_list_add(RequestList *list, Request *r);
Request *request_list_take(RequestList *list); /* the first; NULL: none */

/* request.c: starts a request that has been checked and is not held back; runs in the backend's loop or under the lock. */
void request_dispatch(Request *r);
void request_complete(Request *r); /* with r->error; any thread */
/* Waits until nothing is in flight; parked requests stay. */
void block_drain_in_flight(BlockBackend *blk);
/* From here to block_release nothing is in flight, though a device in an I/O thread goes on submitting: what it submits waits.
 * For changes of the graph. In the main loop. */
void block_hold(BlockBackend *blk);
void block_release(BlockBackend *blk);

/* errors.c: what becomes of a request that failed. */
typedef enum ErrorAction { ACTION_REPORT, ACTION_IGNORE, ACTION_STOP } ErrorAction;
bool on_error_parse(const char *text, bool is_write, OnError *out, GError **error);
ErrorAction request_failed(Request *r); /* ACTION_STOP: parks it */
void block_unpark(BlockBackend *blk, int error); /* completes what is parked, or waits for block_release */

void block_retry_parked(BlockBackend *blk, void *unused);

/* throttle.c */
bool throttle_check(const BlockThrottle *limits, GError **error);
bool throttle_any(const BlockThrottle *limits);
/* Joins the group; NULL limits: leaves. Nothing is in flight. */
void throttle_set(BlockBackend *blk, const char *group, const BlockThrottle *limits);
/* False: it must wait; the group has it now. */
bool throttle_pass(Request *r);
void throttle_release(BlockBackend *blk); /* all that waits goes at once */

#endif
