/* Raw images: the bytes of the file as they are, or a window of them. */
#include "backends/block/drivers.h"
#include "util/error.h"

#include <errno.h>
#include <string.h>

typedef struct RawImage {
    BlockImage image;
    uint64_t offset, size; /* of the window; size UINT64_MAX: to the end of the file */
} RawImage;

static int raw_probe(const uint8_t *head, size_t size, const char *name)
{
    return 1; /* anything can be a raw image */
}

/* The window's size as the guest sees it: whole sectors. */
static uint64_t raw_size(BlockImage *image)
{
    RawImage *raw = (RawImage *)image;
    uint64_t all = block_image_size(image->file);
    uint64_t size = MIN(raw->size, all > raw->offset ? all - raw->offset : 0);

    return (size + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR;
}

static BlockImage *raw_open(BlockOpen *how, GError **error)
{
    uint64_t offset = 0, size = UINT64_MAX;
    RawImage *raw;

    if (!block_option_size(how->options, "offset", &offset, error) ||
        !block_option_size(how->options, "size", &size, error)) {
        return NULL;
    }
    if (offset % BLOCK_SECTOR || (size != UINT64_MAX && size % BLOCK_SECTOR)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "raw: offset and size are multiples of %d", BLOCK_SECTOR);
        return NULL;
    }
    if (offset > block_image_size(how->file) ||
        (size != UINT64_MAX && size > block_image_size(how->file) - offset)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "raw: offset and size reach beyond the end of '%s'", how->name);
        return NULL;
    }
    raw = g_new0(RawImage, 1);
    raw->image.driver = &block_raw;
    raw->image.file = how->file;
    raw->image.zero_init = how->file->zero_init;
    raw->offset = offset;
    raw->size = size;
    return &raw->image;
}

static void raw_close(BlockImage *image)
{
    g_free(image);
}

static int raw_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    return block_image_readv(image->file, offset + ((RawImage *)image)->offset, iov, count);
}

/* A guest must not turn an image whose format was guessed into one of another format, which could name any file of
 * the host as its backing file. */
static bool would_be_probed_otherwise(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    uint8_t head[BLOCK_SECTOR];
    struct iovec part[8];
    size_t n = block_iov_size(iov, count);
    int parts;

    if (!image->probed || offset >= sizeof(head) || ((RawImage *)image)->offset) {
        return false;
    }
    if (block_image_read(image->file, 0, head, sizeof(head)) != 0) {
        return false;
    }
    n = MIN(n, sizeof(head) - offset);
    if (count > 8) {
        g_autofree struct iovec *all = g_new(struct iovec, count);

        parts = block_iov_part(all, iov, count, 0, n);
        block_iov_gather(all, parts, head + offset);
    } else {
        parts = block_iov_part(part, iov, count, 0, n);
        block_iov_gather(part, parts, head + offset);
    }
    return block_driver_probe(head, sizeof(head), "") != &block_raw;
}

static int raw_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    if (would_be_probed_otherwise(image, offset, iov, count)) {
        return EPERM;
    }
    return block_image_writev(image->file, offset + ((RawImage *)image)->offset, iov, count);
}

static int raw_flush(BlockImage *image)
{
    return block_image_flush(image->file);
}

static int raw_discard(BlockImage *image, uint64_t offset, uint64_t size)
{
    return block_image_discard(image->file, offset + ((RawImage *)image)->offset, size);
}

static int raw_write_zeroes(BlockImage *image, uint64_t offset, uint64_t size, bool may_unmap)
{
    return block_image_write_zeroes(image->file, offset + ((RawImage *)image)->offset, size, may_unmap);
}

static int raw_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent)
{
    int error = block_image_status(image->file, offset + ((RawImage *)image)->offset, size, extent);

    extent->status |= BLOCK_HERE;
    return error;
}

static bool raw_resolve(BlockImage *image, uint64_t offset, uint64_t size, bool is_write, int *fd, uint64_t *host_offset)
{
    if (is_write && image->probed && offset < BLOCK_SECTOR) {
        return false;
    }
    return block_image_resolve(image->file, offset + ((RawImage *)image)->offset, size, is_write, fd, host_offset);
}

static void raw_resolved(BlockImage *image, uint64_t offset, uint64_t size, bool is_write)
{
    block_image_resolved(image->file, offset + ((RawImage *)image)->offset, size, is_write);
}

static const BlockCreateOption raw_create_options[] = {
    { "preallocation", BLOCK_OPT_STRING, "off", "Preallocation mode (allowed values: off, falloc, full)" },
    { NULL },
};

static bool raw_create(BlockImage *file, const char *name, uint64_t size, Json *options, GError **error)
{
    g_autofree char *mode = NULL;
    int failed = 0;

    if (!block_option_string(options, "preallocation", &mode, error)) {
        return false;
    }
    if (mode && !g_str_equal(mode, "off") && !g_str_equal(mode, "falloc") && !g_str_equal(mode, "full")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "preallocation=%s: there are off, falloc and full", mode);
        return false;
    }
    if (!file->growable) {
        if (size <= block_image_size(file)) {
            return true;
        }
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is smaller than the image", name);
        return false;
    }
    if (file->driver->resize(file, size, mode && g_str_equal(mode, "falloc"), error)) {
        return false;
    }
    if (mode && g_str_equal(mode, "full")) {
        static const char zeros[65536];

        for (uint64_t at = 0; at < size && !failed; at += sizeof(zeros)) {
            failed = block_image_write(file, at, zeros, MIN(sizeof(zeros), size - at));
        }
    }
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot preallocate '%s': %s", name, g_strerror(failed));
    }
    return !failed;
}

static int raw_resize(BlockImage *image, uint64_t size, bool preallocate, GError **error)
{
    RawImage *raw = (RawImage *)image;

    if (raw->size != UINT64_MAX || raw->offset) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is a window of a file, which cannot be resized", image->name);
        return ENOTSUP;
    }
    if (!image->file->driver->resize) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' cannot be resized", image->name);
        return ENOTSUP;
    }
    return image->file->driver->resize(image->file, size, preallocate, error);
}

static bool raw_measure(uint64_t size, uint64_t data, Json *options, uint64_t *required, uint64_t *full, GError **error)
{
    *required = *full = size;
    return true;
}

const BlockDriver block_raw = {
    .name = "raw",
    .is_plain = true,
    .probe = raw_probe,
    .open = raw_open,
    .close = raw_close,
    .size = raw_size,
    .read = raw_read,
    .write = raw_write,
    .flush = raw_flush,
    .discard = raw_discard,
    .write_zeroes = raw_write_zeroes,
    .status = raw_status,
    .resolve = raw_resolve,
    .resolved = raw_resolved,
    .create_options = raw_create_options,
    .create = raw_create,
    .resize = raw_resize,
    .measure = raw_measure,
};
