/* Threads that share one job of myna-img until it is done or fails. */
#ifndef SYSTEM_IMG_POOL_H
#define SYSTEM_IMG_POOL_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ImgPool {
    GMutex lock; /* guards what claim changes, and turn */
    GCond changed;
    uint64_t turn; /* the next ticket that may write, for jobs that keep an order */
    int failed;    /* errno of the first failure */
    uint64_t done, total; /* for progress; done grows atomically */
} ImgPool;

/* Runs in every thread; returns at the end of the work or after img_pool_fail. */
typedef void ImgPoolFn(ImgPool *pool, void *opaque);

void img_pool_init(ImgPool *pool, uint64_t total);
void img_pool_clear(ImgPool *pool);
/* Runs fn in `threads` threads and shows progress meanwhile. */
void img_pool_run(ImgPool *pool, unsigned threads, ImgPoolFn *fn, void *opaque);
/* Notes the failure if it is the first; true then. */
bool img_pool_fail(ImgPool *pool, int error);
bool img_pool_failed(ImgPool *pool);
void img_pool_add_done(ImgPool *pool, uint64_t bytes);
/* Waits until all tickets before this one are passed on; false: the pool failed. */
bool img_pool_wait_turn(ImgPool *pool, uint64_t ticket);
void img_pool_pass_turn(ImgPool *pool, uint64_t ticket);
/* Threads that keep the host busy. */
unsigned img_pool_default_threads(void);

#endif
