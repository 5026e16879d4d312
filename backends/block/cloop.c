/* Compressed loop-back images (cloop, version 2), read-only: a script, a table of offsets, blocks in zlib's format. */
#include "backends/block/chunks.h"

#include "util/bits.h"
#include "util/error.h"

#include <string.h>

enum {
    SCRIPT = 128, /* bytes before the numbers, which are big-endian */
    HEADER = 136,
    MAX_BLOCKS = 1 << 24,
};

static const char mark[] = "#!/bin/sh\n#V2.0 Format";

static int cloop_probe(const uint8_t *head, size_t size, const char *name)
{
    return size >= HEADER && !memcmp(head, mark, sizeof(mark) - 1) ? 100 : 0;
}

static bool damaged(GError **error, const char *name, const char *what)
{
    g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s' is no usable cloop image: %s", name, what);
    return false;
}

static bool load_blocks(ChunkImage *c, const BlockOpen *how, GError **error)
{
    uint8_t header[HEADER];
    g_autofree uint64_t *offsets = NULL;
    uint64_t block, blocks, file_size = block_image_size(how->file);

    if (file_size < HEADER || block_image_read(how->file, 0, header, HEADER) || !cloop_probe(header, HEADER, "")) {
        return damaged(error, how->name, "it does not begin as one");
    }
    block = load_be32(header + SCRIPT);
    blocks = load_be32(header + SCRIPT + 4);
    if (!block || block % BLOCK_SECTOR || block > CHUNK_MAX || blocks > MAX_BLOCKS ||
        (blocks + 1) * 8 > file_size - HEADER) {
        return damaged(error, how->name, "the block size or count is wrong");
    }
    offsets = g_try_new(uint64_t, blocks + 1);
    if (!offsets || block_image_read(how->file, HEADER, offsets, (blocks + 1) * 8)) {
        return damaged(error, how->name, "the offsets cannot be read");
    }
    c->size = block * blocks;
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t from = load_be64(&offsets[i]), to = load_be64(&offsets[i + 1]);
        Chunk chunk = { i * block, block, from, to - from, CHUNK_ZLIB };

        if (to < from) {
            return damaged(error, how->name, "its offsets go backwards");
        }
        g_array_append_val(c->chunks, chunk);
    }
    return chunk_image_finish(c, how->name, error);
}

static BlockImage *cloop_open(BlockOpen *how, GError **error)
{
    ChunkImage *c = chunk_image_new(&block_cloop, how->file);

    how->flags |= BLOCK_OPEN_READONLY;
    if (!load_blocks(c, how, error)) {
        chunk_image_close(&c->image);
        return NULL;
    }
    return &c->image;
}

const BlockDriver block_cloop = {
    .name = "cloop",
    .probe = cloop_probe,
    .open = cloop_open,
    .close = chunk_image_close,
    .size = chunk_image_size,
    .read = chunk_image_read,
    .status = chunk_image_status,
};
