/* Read-only images that are a list of chunks, most of them compressed: DMG, cloop. */
#ifndef BACKENDS_BLOCK_CHUNKS_H
#define BACKENDS_BLOCK_CHUNKS_H

#include "backends/block/drivers.h"

enum { CHUNK_MAX = 64 << 20 }; /* bytes of a compressed chunk, packed and unpacked */

typedef enum ChunkKind { CHUNK_ZERO, CHUNK_RAW, CHUNK_ZLIB, CHUNK_BZIP2 } ChunkKind;

typedef struct Chunk {
    uint64_t start, size; /* bytes of the disk */
    uint64_t host, packed; /* bytes in the file */
    ChunkKind kind;
} Chunk;

typedef struct ChunkImage {
    BlockImage image;
    GArray *chunks; /* of Chunk, sorted, no two over each other; gaps read as zeros */
    uint64_t size;
    GMutex lock; /* of the chunk that was unpacked last */
    const Chunk *unpacked;
    uint8_t *buf;
} ChunkImage;

ChunkImage *chunk_image_new(const BlockDriver *driver, BlockImage *file);
/* Sorts the chunks; false: they lie over each other, are too large or of a kind that this build cannot unpack. */
bool chunk_image_finish(ChunkImage *c, const char *name, GError **error);
void chunk_image_close(BlockImage *image);
uint64_t chunk_image_size(BlockImage *image);
int chunk_image_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count);
int chunk_image_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent);

#endif
