/* Reading images that are a list of compressed chunks. */
#include "backends/block/chunks.h"

#include "config.h"
#include "util/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#ifdef CONFIG_BZIP2
#include <bzlib.h>
#endif

ChunkImage *chunk_image_new(const BlockDriver *driver, BlockImage *file)
{
    ChunkImage *c = g_new0(ChunkImage, 1);

    c->image.driver = driver;
    c->image.file = file;
    c->chunks = g_array_new(FALSE, FALSE, sizeof(Chunk));
    g_mutex_init(&c->lock);
    return c;
}

void chunk_image_close(BlockImage *image)
{
    ChunkImage *c = (ChunkImage *)image;

    g_array_free(c->chunks, TRUE);
    g_mutex_clear(&c->lock);
    g_free(c->buf);
    g_free(c);
}

uint64_t chunk_image_size(BlockImage *image)
{
    return ((ChunkImage *)image)->size;
}

static int compare_starts(const void *a, const void *b)
{
    const Chunk *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

static bool can_unpack(const Chunk *chunk)
{
#ifndef CONFIG_BZIP2
    if (chunk->kind == CHUNK_BZIP2) {
        return false;
    }
#endif
    return chunk->kind <= CHUNK_BZIP2;
}

bool chunk_image_finish(ChunkImage *c, const char *name, GError **error)
{
    uint64_t end = 0;

    qsort(c->chunks->data, c->chunks->len, sizeof(Chunk), compare_starts);
    for (unsigned i = 0; i < c->chunks->len; i++) {
        const Chunk *chunk = &g_array_index(c->chunks, Chunk, i);
        const char *what = NULL;

        if (chunk->start < end || chunk->size > c->size || chunk->start > c->size - chunk->size) {
            what = "its chunks lie over each other or beyond the disk";
        } else if (chunk->kind > CHUNK_RAW && (chunk->size > CHUNK_MAX || chunk->packed > CHUNK_MAX)) {
            what = "a chunk is too large";
        } else if (chunk->host > INT64_MAX) {
            what = "a chunk lies beyond the file";
        } else if (!can_unpack(chunk)) {
            what = "this program was built without libbz2, which it needs";
        }
        if (what) {
            g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s' is no usable %s image: %s", name, c->image.driver->name, what);
            return false;
        }
        end = chunk->start + chunk->size;
    }
    return true;
}

/* The chunk at the offset, or the next one; NULL: none. */
static const Chunk *chunk_at(const ChunkImage *c, uint64_t offset)
{
    unsigned low = 0, high = c->chunks->len;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        const Chunk *chunk = &g_array_index(c->chunks, Chunk, middle);

        if (chunk->start + chunk->size <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < c->chunks->len ? &g_array_index(c->chunks, Chunk, low) : NULL;
}

static bool unpack(const Chunk *chunk, uint8_t *packed, uint8_t *out)
{
    if (chunk->kind == CHUNK_ZLIB) {
        uLongf size = chunk->size;

        return uncompress(out, &size, packed, chunk->packed) == Z_OK && size == chunk->size;
    }
#ifdef CONFIG_BZIP2
    if (chunk->kind == CHUNK_BZIP2) {
        unsigned size = chunk->size;

        return BZ2_bzBuffToBuffDecompress((char *)out, &size, (char *)packed, chunk->packed, 0, 0) == BZ_OK &&
               size == chunk->size;
    }
#endif
    return false;
}

/* The chunk's bytes are in c->buf. */
static int load_locked(ChunkImage *c, const Chunk *chunk)
{
    g_autofree uint8_t *packed = NULL;
    int error;

    if (c->unpacked == chunk) {
        return 0;
    }
    c->unpacked = NULL;
    g_free(c->buf);
    c->buf = g_try_malloc(chunk->size);
    packed = g_try_malloc(MAX(chunk->packed, 1));
    if (!c->buf || !packed) {
        return ENOMEM;
    }
    error = block_image_read(c->image.file, chunk->host, packed, chunk->packed);
    if (!error && !unpack(chunk, packed, c->buf)) {
        error = EIO;
    }
    if (!error) {
        c->unpacked = chunk;
    }
    return error;
}

static int read_chunk(ChunkImage *c, const Chunk *chunk, uint64_t within, const struct iovec *iov, int count)
{
    int error;

    switch (chunk->kind) {
    case CHUNK_ZERO:
        block_iov_fill(iov, count, 0);
        return 0;
    case CHUNK_RAW:
        return block_image_readv(c->image.file, chunk->host + within, iov, count);
    default:
        g_mutex_lock(&c->lock);
        error = load_locked(c, chunk);
        if (!error) {
            block_iov_scatter(iov, count, c->buf + within);
        }
        g_mutex_unlock(&c->lock);
        return error;
    }
}

int chunk_image_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    ChunkImage *c = (ChunkImage *)image;
    size_t size = block_iov_size(iov, count);
    g_autofree struct iovec *part = g_new(struct iovec, count);
    int error = 0;

    for (uint64_t done = 0, n; done < size && !error; done += n) {
        uint64_t at = offset + done;
        const Chunk *chunk = chunk_at(c, at);

        if (chunk && chunk->start <= at) {
            n = MIN(size - done, chunk->start + chunk->size - at);
            error = read_chunk(c, chunk, at - chunk->start, part, block_iov_part(part, iov, count, done, n));
        } else {
            n = chunk ? MIN(size - done, chunk->start - at) : size - done;
            block_iov_fill(part, block_iov_part(part, iov, count, done, n), 0);
        }
    }
    return error;
}

int chunk_image_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent)
{
    const Chunk *chunk = chunk_at((ChunkImage *)image, offset);
    bool inside = chunk && chunk->start <= offset;

    extent->size = inside ? MIN(size, chunk->start + chunk->size - offset) : chunk ? MIN(size, chunk->start - offset) : size;
    extent->status = BLOCK_HERE | (inside && chunk->kind != CHUNK_ZERO ? BLOCK_DATA : BLOCK_ZERO);
    if (inside && chunk->kind == CHUNK_RAW) {
        extent->image = image->file;
        extent->offset = chunk->host + (offset - chunk->start);
    } else if (inside && chunk->kind > CHUNK_RAW) {
        extent->status |= BLOCK_COMPRESSED;
    }
    return 0;
}
