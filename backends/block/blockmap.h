/*
 * Image formats that keep a table from blocks of the disk to places in a file: VDI, VHD, VHDX, Parallels, an extent of
 * VMDK. The format knows its table; reading, writing, filling new blocks and looking after both are here.
 */
#ifndef BACKENDS_BLOCK_BLOCKMAP_H
#define BACKENDS_BLOCK_BLOCKMAP_H

#include "backends/block/drivers.h"

typedef enum BlockMapKind {
    MAP_NONE,       /* as the backing image has it, or zeros */
    MAP_ZERO,       /* zeros, whatever the backing image has */
    MAP_DATA,
    MAP_COMPRESSED, /* through read_compressed */
    MAP_WAIT,       /* not known without waiting, where that is not allowed */
    MAP_ERROR,      /* the table cannot be read, or is damaged there */
} BlockMapKind;

typedef struct BlockMap BlockMap;

/* Called under the map's lock: allocate, commit and set_zero have it alone, the others share it. */
typedef struct BlockMapOps {
    /* host: offset in the file. It and the block behind it have been checked against nothing: reads past the end of
     * the file give zeros. */
    BlockMapKind (*lookup)(BlockMap *map, uint64_t block, uint64_t *host, bool may_wait);
    /* Room at the end of the file for blocks that follow each other; 0 or errno. NULL: the image is read-only. */
    int (*allocate)(BlockMap *map, uint64_t block, uint64_t count, uint64_t *host);
    /* They have been filled: into the table, on the file. */
    int (*commit)(BlockMap *map, uint64_t block, uint64_t count, uint64_t host);
    int (*set_zero)(BlockMap *map, uint64_t block, uint64_t count); /* MAP_ZERO from now on; NULL: the format has none */
    int (*read_compressed)(BlockMap *map, uint64_t block, uint64_t host, void *buf); /* a whole block */
    bool replaces_compressed; /* writing to a compressed block gives it a new place */
    bool orders_flush;        /* the format's flush makes data stable before the table that refers to it */
} BlockMapOps;

struct BlockMap {
    const BlockMapOps *ops;
    BlockImage *image; /* whose backing image shows through */
    BlockImage *file;  /* that holds the blocks */
    uint64_t base;     /* where the map begins in the image */
    uint64_t size;     /* bytes of disk; the last block may reach beyond */
    uint32_t block_size;
    uint32_t block_gap; /* between blocks that were allocated in one go */
    GRWLock lock;
    void *opaque;
    GMutex cache_lock; /* of the block that was read_compressed last */
    uint64_t cached;
    uint8_t *cache;
};

void block_map_init(BlockMap *map, const BlockMapOps *ops, BlockImage *image, BlockImage *file, uint64_t size,
                    uint32_t block_size, void *opaque);
void block_map_clear(BlockMap *map);
uint64_t block_map_blocks(const BlockMap *map);
/* Ranges within the map's size; offsets from its base. 0 or errno. */
int block_map_read(BlockMap *map, uint64_t offset, const struct iovec *iov, int count);
int block_map_write(BlockMap *map, uint64_t offset, const struct iovec *iov, int count);
int block_map_write_zeroes(BlockMap *map, uint64_t offset, uint64_t size, bool may_unmap);
int block_map_discard(BlockMap *map, uint64_t offset, uint64_t size);
int block_map_status(BlockMap *map, uint64_t offset, uint64_t size, BlockExtent *extent);
bool block_map_resolve(BlockMap *map, uint64_t offset, uint64_t size, bool is_write, int *fd, uint64_t *host_offset);
/* Gives every block its place, in order: for images of fixed size and preallocation. */
int block_map_fill(BlockMap *map);

/* An image that is one map, and its driver's functions. A format's own struct begins with it. */
typedef struct BlockMapImage {
    BlockImage image;
    BlockMap map;
} BlockMapImage;

uint64_t block_map_image_size(BlockImage *image);
int block_map_image_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count);
int block_map_image_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count);
int block_map_image_flush(BlockImage *image);
int block_map_image_write_zeroes(BlockImage *image, uint64_t offset, uint64_t size, bool may_unmap);
int block_map_image_discard(BlockImage *image, uint64_t offset, uint64_t size);
int block_map_image_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent);
bool block_map_image_resolve(BlockImage *image, uint64_t offset, uint64_t size, bool is_write, int *fd,
                             uint64_t *host_offset);

#endif
