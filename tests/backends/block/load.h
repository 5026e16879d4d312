/* A load on an image that can be repeated from its seed, and what may be read back after a cut in the middle of it. */
#ifndef TESTS_BACKENDS_BLOCK_LOAD_H
#define TESTS_BACKENDS_BLOCK_LOAD_H

#include "backends/block/driver.h"
#include "util/bits.h"

/*
 * The disk is an area that all threads share in strips of 4 KiB, and one area for each thread. Every sector that is
 * written holds the number of the operation in all of its words; zeros count as number 0.
 */
enum { LOAD_STRIP = 4096, LOAD_AREA = 4 << 20, LOAD_SECTOR = 512 };

typedef enum LoadKind { LOAD_WRITE, LOAD_ZERO, LOAD_DISCARD, LOAD_COMPRESSED, LOAD_FLUSH } LoadKind;

typedef struct LoadOp {
    LoadKind kind;
    uint64_t offset, size, stamp;
} LoadOp;

typedef struct Load {
    unsigned thread, threads;
    uint64_t number;
    uint32_t cluster;
    bool discards, compresses;
    GRand *random;
} Load;

uint64_t load_disk_size(unsigned threads);
void load_init(Load *load, unsigned seed, unsigned thread, unsigned threads, const BlockImage *image);
void load_clear(Load *load);
LoadOp load_next(Load *load);
int load_perform(BlockImage *image, const LoadOp *op);
/*
 * Whether every sector of the thread has what it held at its flush number `flushes`, or what an operation after that,
 * up to operation `last`, wrote. Names the first that has not.
 */
bool load_verify(BlockImage *image, Load *load, uint64_t flushes, uint64_t last);

#endif
