/*
 * Reads and writes through a table of blocks.
 *
 * Blocks are never freed or moved while an image is open, so transfers in blocks that have a place share the lock, and
 * only new blocks take it alone. A new block is filled first and enters the table then: a crash between loses only what
 * nobody flushed. Over a backing image even a power cut must not show a block whose data never arrived, so there the
 * file is flushed in between.
 */
#include "backends/block/blockmap.h"

#include <errno.h>
#include <string.h>

void block_map_init(BlockMap *map, const BlockMapOps *ops, BlockImage *image, BlockImage *file, uint64_t size,
                    uint32_t block_size, void *opaque)
{
    map->ops = ops;
    map->image = image;
    map->file = file;
    map->size = size;
    map->block_size = block_size;
    map->opaque = opaque;
    map->cached = UINT64_MAX;
    g_rw_lock_init(&map->lock);
    g_mutex_init(&map->cache_lock);
}

void block_map_clear(BlockMap *map)
{
    g_rw_lock_clear(&map->lock);
    g_mutex_clear(&map->cache_lock);
    g_free(map->cache);
}

uint64_t block_map_blocks(const BlockMap *map)
{
    return map->size / map->block_size + (map->size % map->block_size != 0);
}

/* A run of blocks of one kind that lie one behind the other. */
typedef struct Run {
    BlockMapKind kind;
    uint64_t size; /* from the offset that was asked for, at most what was asked for */
    uint64_t host; /* of that offset */
} Run;

static void find_run_locked(BlockMap *map, uint64_t offset, uint64_t size, bool may_wait, Run *run)
{
    uint64_t block = offset / map->block_size, inside = offset % map->block_size, host = 0;

    run->kind = map->ops->lookup(map, block, &host, may_wait);
    run->host = host + inside;
    run->size = map->block_size - inside;
    while (run->size < size && run->kind != MAP_COMPRESSED && run->kind < MAP_WAIT) {
        uint64_t next = 0;

        if (map->ops->lookup(map, ++block, &next, may_wait) != run->kind ||
            (run->kind == MAP_DATA && next != run->host + run->size)) {
            break;
        }
        run->size += map->block_size;
    }
    run->size = MIN(run->size, size);
}

/* ---- reading ---- */

static int read_compressed_locked(BlockMap *map, uint64_t offset, uint64_t host, const struct iovec *iov, int count)
{
    uint64_t block = offset / map->block_size, inside = offset % map->block_size;
    int error = 0;

    g_mutex_lock(&map->cache_lock);
    if (map->cached != block) {
        map->cached = UINT64_MAX;
        if (!map->cache) {
            map->cache = g_try_malloc(map->block_size);
        }
        error = map->cache ? map->ops->read_compressed(map, block, host - inside, map->cache) : ENOMEM;
        if (!error) {
            map->cached = block;
        }
    }
    if (!error) {
        block_iov_scatter(iov, count, map->cache + inside);
    }
    g_mutex_unlock(&map->cache_lock);
    return error;
}

static int read_run_locked(BlockMap *map, uint64_t offset, const Run *run, const struct iovec *iov, int count)
{
    switch (run->kind) {
    case MAP_NONE:
        return block_image_read_backing(map->image, map->base + offset, iov, count);
    case MAP_ZERO:
        block_iov_fill(iov, count, 0);
        return 0;
    case MAP_DATA:
        return block_image_readv(map->file, run->host, iov, count);
    case MAP_COMPRESSED:
        return read_compressed_locked(map, offset, run->host, iov, count);
    default:
        return EIO;
    }
}

int block_map_read(BlockMap *map, uint64_t offset, const struct iovec *iov, int count)
{
    size_t size = block_iov_size(iov, count);
    g_autofree struct iovec *part = g_new(struct iovec, count);
    int error = 0;

    g_rw_lock_reader_lock(&map->lock);
    for (size_t done = 0; done < size && !error;) {
        Run run;
        int n;

        find_run_locked(map, offset + done, size - done, true, &run);
        n = block_iov_part(part, iov, count, done, run.size);
        error = read_run_locked(map, offset + done, &run, part, n);
        done += run.size;
    }
    g_rw_lock_reader_unlock(&map->lock);
    return error;
}

/* ---- writing ---- */

/* Copies what a new block shows of the backing image and is not written now. */
static int copy_backing(BlockMap *map, uint64_t offset, uint64_t size, uint64_t host)
{
    g_autofree uint8_t *buf = NULL;
    struct iovec iov = { NULL, size };
    int error;

    /* The last block may reach beyond the disk. */
    iov.iov_len = offset < map->size ? MIN(size, map->size - offset) : 0;
    if (!iov.iov_len) {
        return 0;
    }
    buf = g_try_malloc(iov.iov_len);
    if (!buf) {
        return ENOMEM;
    }
    iov.iov_base = buf;
    error = block_image_read_backing(map->image, map->base + offset, &iov, 1);
    return error ? error : block_image_write(map->file, host, buf, iov.iov_len);
}

/* Copies what a compressed block shows beside what is written now. */
static int copy_compressed(BlockMap *map, uint64_t offset, uint64_t size, uint64_t packed, uint64_t host)
{
    g_autofree uint8_t *buf = g_try_malloc(size);
    struct iovec iov = { buf, size };
    int error = buf ? read_compressed_locked(map, offset, packed + offset % map->block_size, &iov, 1) : ENOMEM;

    return error ? error : block_image_write(map->file, host, buf, size);
}

/* The edges of new blocks around what is written to them. */
static int fill_edge(BlockMap *map, uint64_t offset, uint64_t size, uint64_t host)
{
    uint64_t packed;

    if (!size) {
        return 0;
    }
    if (map->ops->replaces_compressed && map->ops->lookup(map, offset / map->block_size, &packed, true) == MAP_COMPRESSED) {
        return copy_compressed(map, offset, size, packed, host);
    }
    if (map->image->backing && map->ops->lookup(map, offset / map->block_size, &(uint64_t){ 0 }, true) == MAP_NONE) {
        return copy_backing(map, offset, size, host);
    }
    /* New room at the end of a growing file reads as zeros. */
    return map->file->growable ? 0 : block_image_write_zeroes(map->file, host, size, false);
}

/* The file reaches to the end of its last block. */
static int reach(BlockMap *map, uint64_t end)
{
    if (!map->file->growable || block_image_size(map->file) >= end) {
        return 0;
    }
    return block_image_resize(map->file, end, NULL);
}

/* Writes to blocks without a place; offset and size may begin and end inside of them. */
static int write_new_locked(BlockMap *map, uint64_t offset, uint64_t size, const struct iovec *iov, int count)
{
    uint64_t first = offset / map->block_size, last = (offset + size - 1) / map->block_size;
    uint64_t before = offset % map->block_size, end = (last + 1) * map->block_size, host;
    g_autofree struct iovec *part = g_new(struct iovec, count);
    uint64_t stride = (uint64_t)map->block_size + map->block_gap;
    int error;

    if (!map->ops->allocate) {
        return EROFS;
    }
    error = map->ops->allocate(map, first, last - first + 1, &host);
    error = error ? error : fill_edge(map, first * map->block_size, before, host);
    for (uint64_t done = 0; done < size && !error;) {
        uint64_t at = offset + done;
        uint64_t step = map->block_gap ? MIN(size - done, map->block_size - at % map->block_size) : size;
        int n = block_iov_part(part, iov, count, done, step);

        error = block_image_writev(map->file, host + (at / map->block_size - first) * stride + at % map->block_size,
                                   part, n);
        done += step;
    }
    if (!error) {
        error = fill_edge(map, offset + size, end - offset - size,
                          host + (last - first) * stride + map->block_size - (end - offset - size));
    }
    error = error ? error : reach(map, host + (last - first) * stride + map->block_size);
    if (!error && map->image->backing && !map->ops->orders_flush) {
        error = block_image_flush(map->file);
    }
    return error ? error : map->ops->commit(map, first, last - first + 1, host);
}

/* The next part of a write, with the lock shared or alone; *done grows by what was written. EAGAIN: needs it alone. */
static int write_part_locked(BlockMap *map, uint64_t offset, uint64_t size, const struct iovec *iov, int count,
                             bool alone, size_t *done)
{
    g_autofree struct iovec *part = g_new(struct iovec, count);
    int n, error;
    Run run;

    find_run_locked(map, offset + *done, size - *done, true, &run);
    if (run.kind == MAP_ERROR || (run.kind == MAP_COMPRESSED && !map->ops->replaces_compressed)) {
        return EIO;
    }
    if (run.kind != MAP_DATA && !alone) {
        return EAGAIN;
    }
    n = block_iov_part(part, iov, count, *done, run.size);
    error = run.kind == MAP_DATA ? block_image_writev(map->file, run.host, part, n)
                                 : write_new_locked(map, offset + *done, run.size, part, n);
    *done += run.size;
    return error;
}

int block_map_write(BlockMap *map, uint64_t offset, const struct iovec *iov, int count)
{
    size_t size = block_iov_size(iov, count), done = 0;
    int error = 0;

    g_rw_lock_reader_lock(&map->lock);
    while (done < size && !error) {
        error = write_part_locked(map, offset, size, iov, count, false, &done);
    }
    g_rw_lock_reader_unlock(&map->lock);
    if (error != EAGAIN) {
        return error;
    }
    error = 0;
    g_rw_lock_writer_lock(&map->lock);
    while (done < size && !error) {
        error = write_part_locked(map, offset, size, iov, count, true, &done);
    }
    g_rw_lock_writer_unlock(&map->lock);
    return error;
}

/* ---- zeros ---- */

/* Zeros for what has no place: nothing to do, a mark in the table, or ENOTSUP (they are written). */
static int zero_new_locked(BlockMap *map, uint64_t offset, const Run *run)
{
    bool whole = offset % map->block_size == 0 &&
                 ((offset + run->size) % map->block_size == 0 || offset + run->size == map->size);

    if (run->kind == MAP_ZERO || (run->kind == MAP_NONE && !map->image->backing)) {
        return 0;
    }
    if (run->kind != MAP_NONE || !whole || !map->ops->set_zero) {
        return ENOTSUP;
    }
    return map->ops->set_zero(map, offset / map->block_size,
                              (run->size + map->block_size - 1) / map->block_size);
}

/* At most the rest of one block. */
static int write_buffer_locked(BlockMap *map, uint64_t offset, uint64_t size)
{
    g_autofree void *zeros = g_try_malloc0(size);
    struct iovec iov = { zeros, size };

    return zeros ? write_new_locked(map, offset, size, &iov, 1) : ENOMEM;
}

int block_map_write_zeroes(BlockMap *map, uint64_t offset, uint64_t size, bool may_unmap)
{
    int error = 0;

    g_rw_lock_writer_lock(&map->lock);
    for (uint64_t done = 0; done < size && !error;) {
        Run run;

        find_run_locked(map, offset + done, size - done, true, &run);
        if (run.kind == MAP_DATA) {
            error = block_image_write_zeroes(map->file, run.host, run.size, may_unmap);
        } else if (run.kind == MAP_ERROR || (run.kind == MAP_COMPRESSED && !map->ops->replaces_compressed)) {
            error = EIO;
        } else {
            error = zero_new_locked(map, offset + done, &run);
            if (error == ENOTSUP) {
                /* One block at a time: their ends need not fall together. */
                run.size = MIN(run.size, map->block_size - (offset + done) % map->block_size);
                error = write_buffer_locked(map, offset + done, run.size);
            }
        }
        done += run.size;
    }
    g_rw_lock_writer_unlock(&map->lock);
    return error;
}

int block_map_discard(BlockMap *map, uint64_t offset, uint64_t size)
{
    int error = 0;

    g_rw_lock_reader_lock(&map->lock);
    for (uint64_t done = 0; done < size && !error;) {
        Run run;

        find_run_locked(map, offset + done, size - done, true, &run);
        if (run.kind == MAP_DATA) {
            error = block_image_discard(map->file, run.host, run.size);
        }
        done += run.size;
    }
    g_rw_lock_reader_unlock(&map->lock);
    return error;
}

/* ---- what is where ---- */

int block_map_status(BlockMap *map, uint64_t offset, uint64_t size, BlockExtent *extent)
{
    Run run;

    g_rw_lock_reader_lock(&map->lock);
    find_run_locked(map, offset, size, true, &run);
    g_rw_lock_reader_unlock(&map->lock);
    extent->size = run.size;
    extent->image = NULL;
    switch (run.kind) {
    case MAP_NONE:
        extent->status = 0;
        return 0;
    case MAP_ZERO:
        extent->status = BLOCK_ZERO | BLOCK_HERE;
        return 0;
    case MAP_DATA:
        extent->status = BLOCK_DATA | BLOCK_HERE;
        extent->image = map->file;
        extent->offset = run.host;
        return 0;
    case MAP_COMPRESSED:
        extent->status = BLOCK_DATA | BLOCK_HERE | BLOCK_COMPRESSED;
        return 0;
    default:
        return EIO;
    }
}

bool block_map_resolve(BlockMap *map, uint64_t offset, uint64_t size, bool is_write, int *fd, uint64_t *host_offset)
{
    bool ok = false;
    Run run;

    if (!g_rw_lock_reader_trylock(&map->lock)) {
        return false;
    }
    find_run_locked(map, offset, size, false, &run);
    if (run.kind == MAP_DATA && run.size == size) {
        ok = block_image_resolve(map->file, run.host, size, is_write, fd, host_offset);
    }
    g_rw_lock_reader_unlock(&map->lock);
    return ok;
}

int block_map_fill(BlockMap *map)
{
    uint64_t blocks = block_map_blocks(map), host;
    int error = 0;

    g_rw_lock_writer_lock(&map->lock);
    for (uint64_t block = 0; block < blocks && !error; block++) {
        if (map->ops->lookup(map, block, &host, true) != MAP_NONE) {
            continue;
        }
        error = map->ops->allocate(map, block, 1, &host);
        error = error ? error : reach(map, host + map->block_size);
        error = error ? error : map->ops->commit(map, block, 1, host);
    }
    g_rw_lock_writer_unlock(&map->lock);
    return error;
}

/* ---- images that are one map ---- */

static BlockMap *map_of(BlockImage *image)
{
    return &((BlockMapImage *)image)->map;
}

uint64_t block_map_image_size(BlockImage *image)
{
    return map_of(image)->size;
}

int block_map_image_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    return block_map_read(map_of(image), offset, iov, count);
}

int block_map_image_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    return block_map_write(map_of(image), offset, iov, count);
}

int block_map_image_flush(BlockImage *image)
{
    return block_image_flush(map_of(image)->file);
}

int block_map_image_write_zeroes(BlockImage *image, uint64_t offset, uint64_t size, bool may_unmap)
{
    return block_map_write_zeroes(map_of(image), offset, size, may_unmap);
}

int block_map_image_discard(BlockImage *image, uint64_t offset, uint64_t size)
{
    return block_map_discard(map_of(image), offset, size);
}

int block_map_image_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent)
{
    return block_map_status(map_of(image), offset, size, extent);
}

bool block_map_image_resolve(BlockImage *image, uint64_t offset, uint64_t size, bool is_write, int *fd,
                             uint64_t *host_offset)
{
    return block_map_resolve(map_of(image), offset, size, is_write, fd, host_offset);
}
