/* Where the requests of some backends come from and complete: the main loop or an I/O thread; private to the core. */
#ifndef BACKENDS_BLOCK_LOOP_H
#define BACKENDS_BLOCK_LOOP_H

#include "core/iothread.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct BlockLoop BlockLoop;

/* Something that a loop will finish; embedded in requests. */
typedef struct LoopItem {
    struct LoopItem *next;
    void (*finish)(struct LoopItem *item); /* in the loop's thread, under the machine lock if that is the main loop */
    int64_t result;                        /* of a transfer: bytes, or a negative errno value */
} LoopItem;

/* The loop of the thread; NULL: the main loop. Made on first use. */
BlockLoop *block_loop_get(IoThread *thread);
void block_loop_forget(IoThread *thread); /* before an I/O thread that no backend uses ends */
/* Any thread: item->finish will run in the loop. */
void block_loop_post(BlockLoop *loop, LoopItem *item);
/* In the loop's thread: finishes what is ready. */
void block_loop_run(BlockLoop *loop);
/* Starts a transfer through io_uring. False: the host has none or it is full. Any thread. The vector stays borrowed. */
bool block_loop_transfer(BlockLoop *loop, LoopItem *item, int fd, const struct iovec *iov, int count, uint64_t offset,
                         bool is_write, bool is_fua);
bool block_loop_has_ring(BlockLoop *loop);
/* Between these, transfers are collected. */
void block_loop_plug(BlockLoop *loop);
void block_loop_unplug(BlockLoop *loop);

#endif
