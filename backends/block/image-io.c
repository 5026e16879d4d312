/* Reads and writes of images at any alignment, within their size, and through their backing images. */
#include "backends/block/node.h"

#include <errno.h>
#include <string.h>

#define BOUNCE_MAX (1u << 20) /* of one step of zeros or padding */

uint64_t block_image_size(BlockImage *image)
{
    return image->driver->size(image);
}

/* ---- padding to whole units ---- */

static bool is_aligned(const BlockImage *image, uint64_t offset, uint64_t size)
{
    return image->align <= 1 || (offset % image->align == 0 && size % image->align == 0);
}

static int padded_io(BlockImage *image, uint64_t offset, const struct iovec *iov, int count, size_t size, bool is_write)
{
    uint64_t start = offset / image->align * image->align;
    uint64_t end = (offset + size + image->align - 1) / image->align * image->align;
    uint64_t limit = block_image_size(image);
    size_t whole;
    g_autofree char *buf = NULL;
    struct iovec one;
    int error;

    if (!image->growable && end > limit) {
        end = MAX(limit, offset + size); /* the last unit of an odd size */
    }
    whole = end - start;
    buf = g_try_malloc(whole);
    if (!buf) {
        return ENOMEM;
    }
    one = (struct iovec){ buf, whole };
    error = image->driver->read(image, start, &one, 1);
    if (error) {
        return error;
    }
    if (!is_write) {
        block_iov_scatter(iov, count, buf + (offset - start));
        return 0;
    }
    block_iov_gather(iov, count, buf + (offset - start));
    return image->driver->write(image, start, &one, 1);
}

static int aligned_io(BlockImage *image, uint64_t offset, const struct iovec *iov, int count, size_t size, bool is_write)
{
    BlockNode *node = image->node;
    int error;

    if (image->align <= 1) {
        return is_write ? image->driver->write(image, offset, iov, count)
                        : image->driver->read(image, offset, iov, count);
    }
    if (is_aligned(image, offset, size)) {
        if (!is_write) {
            return image->driver->read(image, offset, iov, count);
        }
        g_rw_lock_reader_lock(&node->edges);
        error = image->driver->write(image, offset, iov, count);
        g_rw_lock_reader_unlock(&node->edges);
        return error;
    }
    if (!is_write) {
        return padded_io(image, offset, iov, count, size, false);
    }
    g_rw_lock_writer_lock(&node->edges);
    error = padded_io(image, offset, iov, count, size, true);
    g_rw_lock_writer_unlock(&node->edges);
    return error;
}

/* ---- any range ---- */

int block_image_readv(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    size_t size = block_iov_size(iov, count), inside = size;
    uint64_t end = block_image_size(image);
    g_autofree struct iovec *part = NULL;
    int n, error = 0;

    if (offset >= end) {
        block_iov_fill(iov, count, 0);
        return 0;
    }
    if (size <= end - offset) {
        return size ? aligned_io(image, offset, iov, count, size, false) : 0;
    }
    inside = end - offset;
    part = g_new(struct iovec, count);
    n = block_iov_part(part, iov, count, 0, inside);
    error = aligned_io(image, offset, part, n, inside, false);
    n = block_iov_part(part, iov, count, inside, size - inside);
    block_iov_fill(part, n, 0);
    return error;
}

/* 0 if the range may be written. */
static int check_writable(BlockImage *image, uint64_t offset, uint64_t size)
{
    uint64_t end;

    if (image->flags & BLOCK_OPEN_READONLY) {
        return EROFS;
    }
    if (offset > INT64_MAX || size > INT64_MAX - offset) {
        return EFBIG;
    }
    if (image->growable) {
        return 0;
    }
    end = block_image_size(image);
    return offset > end || size > end - offset ? ENOSPC : 0;
}

int block_image_writev(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    size_t size = block_iov_size(iov, count);
    int error = check_writable(image, offset, size);

    return error || !size ? error : aligned_io(image, offset, iov, count, size, true);
}

int block_image_read(BlockImage *image, uint64_t offset, void *buf, size_t size)
{
    struct iovec iov = { buf, size };

    return block_image_readv(image, offset, &iov, 1);
}

int block_image_write(BlockImage *image, uint64_t offset, const void *buf, size_t size)
{
    struct iovec iov = { (void *)buf, size };

    return block_image_writev(image, offset, &iov, 1);
}

int block_image_read_backing(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    if (!image->backing) {
        block_iov_fill(iov, count, 0);
        return 0;
    }
    return block_image_readv(image->backing, offset, iov, count);
}

int block_image_flush(BlockImage *image)
{
    return image->driver->flush ? image->driver->flush(image) : 0;
}

/* ---- discards and zeros ---- */

int block_image_discard(BlockImage *image, uint64_t offset, uint64_t size)
{
    int error = check_writable(image, offset, size);

    if (error || !size) {
        return error;
    }
    if (!(image->flags & BLOCK_OPEN_DISCARD) || !image->driver->discard) {
        return 0; /* a hint */
    }
    if (image->align > 1) { /* whole units only */
        uint64_t start = (offset + image->align - 1) / image->align * image->align;
        uint64_t end = (offset + size) / image->align * image->align;

        if (start >= end) {
            return 0;
        }
        offset = start;
        size = end - start;
    }
    error = image->driver->discard(image, offset, size);
    return error == ENOTSUP || error == EOPNOTSUPP ? 0 : error;
}

static int write_plain_zeroes(BlockImage *image, uint64_t offset, uint64_t size)
{
    size_t step = MIN(size, BOUNCE_MAX);
    g_autofree void *zeros = g_try_malloc0(step);
    int error = zeros ? 0 : ENOMEM;

    while (size && !error) {
        size_t odd = image->align > 1 ? offset % image->align : 0;
        size_t n = MIN(size, step > odd ? step - odd : step); /* whole units after the first step */

        error = block_image_write(image, offset, zeros, n);
        offset += n;
        size -= n;
    }
    return error;
}

int block_image_write_zeroes(BlockImage *image, uint64_t offset, uint64_t size, bool may_unmap)
{
    int error = check_writable(image, offset, size);

    if (error || !size) {
        return error;
    }
    if (image->driver->write_zeroes && is_aligned(image, offset, size)) {
        error = image->driver->write_zeroes(image, offset, size, may_unmap && (image->flags & BLOCK_OPEN_DISCARD));
        if (error != ENOTSUP && error != EOPNOTSUPP) {
            return error;
        }
    }
    return write_plain_zeroes(image, offset, size);
}

/* ---- what is where ---- */

static int own_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent)
{
    *extent = (BlockExtent){ .size = size, .status = BLOCK_DATA | BLOCK_HERE };
    if (!image->driver->status) {
        return 0;
    }
    *extent = (BlockExtent){ .size = size };
    return image->driver->status(image, offset, size, extent);
}

int block_image_status_above(BlockImage *image, BlockImage *base, uint64_t offset, uint64_t size, BlockExtent *extent)
{
    uint64_t end = block_image_size(image);
    BlockExtent below;
    int error;

    if (!size) {
        *extent = (BlockExtent){ 0 };
        return 0;
    }
    if (offset >= end) {
        *extent = (BlockExtent){ .size = size, .status = BLOCK_ZERO };
        return 0;
    }
    error = own_status(image, offset, MIN(size, end - offset), extent);
    if (error || extent->status & BLOCK_HERE || (image->backing && image->backing == base)) {
        return error;
    }
    if (!image->backing) {
        extent->status |= BLOCK_ZERO;
        return 0;
    }
    error = block_image_status_above(image->backing, base, offset, extent->size, &below);
    if (!error) {
        *extent = below;
    }
    return error;
}

int block_image_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent)
{
    return block_image_status_above(image, NULL, offset, size, extent);
}

/* ---- the fast path ---- */

bool block_image_resolve(BlockImage *image, uint64_t offset, uint64_t size, bool is_write, int *fd, uint64_t *host_offset)
{
    return image->driver->resolve && is_aligned(image, offset, size) &&
           (!is_write || !(image->flags & BLOCK_OPEN_READONLY)) &&
           image->driver->resolve(image, offset, size, is_write, fd, host_offset);
}

void block_image_resolved(BlockImage *image, uint64_t offset, uint64_t size, bool is_write)
{
    if (image->driver->resolved) {
        image->driver->resolved(image, offset, size, is_write);
    }
}
