/* Between the block backend and image formats. Functions run in worker threads and may block. */
#ifndef BACKENDS_BLOCK_DRIVER_H
#define BACKENDS_BLOCK_DRIVER_H

#include "backends/block.h"

typedef struct BlockImage BlockImage;

typedef struct BlockDriver {
    const char *name;
    /* 0 to 100: how sure it is that the first bytes of a file are of its format. */
    int (*probe)(const uint8_t *head, size_t size);
    BlockImage *(*open)(const char *path, bool readonly, GError **error);
    void (*close)(BlockImage *image);
    uint64_t (*size)(BlockImage *image);
    /* Return 0 or an errno value. Requests may come from several threads at once. */
    int (*read)(BlockImage *image, uint64_t offset, const struct iovec *iov, int count);
    int (*write)(BlockImage *image, uint64_t offset, const struct iovec *iov, int count);
    int (*flush)(BlockImage *image);
    int (*discard)(BlockImage *image, uint64_t offset, uint64_t size); /* may be NULL */
} BlockDriver;

struct BlockImage {
    const BlockDriver *driver;
};

extern const BlockDriver block_raw;

/* All of a transfer, however the host cuts it; past the end of the file reads give zeros. 0 or errno. */
int block_file_io(int fd, uint64_t offset, void *buf, size_t size, bool is_write);

/* An image whose writes go to a temporary file that vanishes at the end. Takes `below`. */
BlockImage *block_overlay_new(BlockImage *below, GError **error);

#endif
