/* A drive and its requests; private to the core of the block layer. */
#ifndef BACKENDS_BLOCK_BACKEND_H
#define BACKENDS_BLOCK_BACKEND_H

#include "backends/block.h"
#include "backends/block/driver.h"

#include <stdatomic.h>

struct BlockBackend {
    BlockOptions options;
    BlockImage *root; /* NULL: no medium */
    char *file, *format;
    bool readonly, write_cache;
    _Atomic int in_flight;
    IoThread *iothread; /* where requests come from and completions run; NULL: the main loop */
    const BlockMediaOps *media;
    void *media_opaque;
};

/* What a request asks of an image; 0 or errno. Blocks. */
typedef enum RequestKind {
    REQUEST_READ,
    REQUEST_WRITE,
    REQUEST_ZEROES,
    REQUEST_DISCARD,
    REQUEST_FLUSH,
} RequestKind;

#endif
