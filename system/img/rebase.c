/* myna-img rebase: another backing image for an overlay, which reads the same afterwards unless -u says not to look. */
#include "system/img/img.h"

#include "util/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_SIZE (1u << 20)
#define MIN_GRAIN 4096
#define BUFFER_ALIGN 4096

typedef struct Rebase {
    BlockImage *image, *backing; /* the overlay, and its new backing image (NULL: none) */
    uint8_t *old_data, *new_data;
} Rebase;

/* What the new backing image will show there. */
static int read_new(const Rebase *r, uint64_t offset, size_t size)
{
    uint64_t end = r->backing ? block_image_size(r->backing) : 0;
    size_t inside = offset < end ? MIN(size, end - offset) : 0;

    memset(r->new_data + inside, 0, size - inside);
    return inside ? block_image_read(r->backing, offset, r->new_data, inside) : 0;
}

/* Takes grains that differ into the overlay. */
static int merge_piece(const Rebase *r, uint64_t offset, size_t size)
{
    size_t grain = MAX(r->image->cluster_size, MIN_GRAIN);
    int error = block_image_read(r->image, offset, r->old_data, size);

    error = error ? error : read_new(r, offset, size);
    for (size_t done = 0; done < size && !error; done += grain) {
        size_t step = MIN(grain - (offset + done) % grain, size - done);
        uint8_t *data = r->old_data + done;

        if (!memcmp(data, r->new_data + done, step)) {
            continue;
        }
        error = img_is_zero(data, step) ? block_image_write_zeroes(r->image, offset + done, step, true)
                                        : block_image_write(r->image, offset + done, data, step);
    }
    return error;
}

static int merge_differences(Rebase *r)
{
    uint64_t size = block_image_size(r->image);
    uint64_t step;

    for (uint64_t at = 0; at < size; at += step) {
        BlockExtent extent;
        int error = block_image_status_above(r->image, r->image->backing, at, size - at, &extent);

        if (error) {
            return img_fail_errno(error, "error while reading image metadata");
        }
        step = extent.status & BLOCK_HERE ? extent.size : MIN(extent.size, PIECE_SIZE);
        if (!(extent.status & BLOCK_HERE)) {
            error = merge_piece(r, at, step);
            if (error) {
                return img_fail_errno(error, "error while merging at byte %" PRIu64, at);
            }
        }
        img_progress(at, size);
    }
    return 0;
}

static int change_backing(BlockImage *image, const char *name, const char *format)
{
    GError *error = NULL;
    int flushed = block_image_flush(image);

    if (flushed) {
        return img_fail_errno(flushed, "Could not flush '%s'", image->name);
    }
    if (!image->driver->change_backing(image, *name ? name : NULL, *name ? format : NULL, &error)) {
        img_error("Could not change the backing file to '%s': %s", name, error->message);
        g_error_free(error);
        return 1;
    }
    return 0;
}

static int rebase_safely(BlockImage *image, BlockImage *backing)
{
    Rebase r = { image, backing };
    void *buf = NULL;
    int status = 1;

    if (posix_memalign(&buf, BUFFER_ALIGN, 2 * PIECE_SIZE)) {
        img_error("no memory for a buffer");
        return 1;
    }
    r.old_data = buf;
    r.new_data = r.old_data + PIECE_SIZE;
    status = merge_differences(&r);
    free(buf);
    return status;
}

int img_rebase(ImgArgs *args)
{
    const char *name = args->value['b'], *format = args->value['F'];
    bool unsafe = img_has(args, 'u');
    unsigned flags = unsafe ? BLOCK_OPEN_NO_BACKING : 0, source_flags = BLOCK_OPEN_READONLY;
    BlockImage *image, *backing = NULL;
    int status = 0;

    if (!name) {
        img_error("Must specify backing file (-b) or use simple rebase mode (-u)");
        return 1;
    }
    if (!img_parse_cache(args->value['t'], "writeback", &flags) ||
        !img_parse_cache(args->value['T'], "writeback", &source_flags)) {
        return 1;
    }
    image = img_open_args(args, args->files[0], flags);
    if (!image) {
        return 1;
    }
    if (!image->driver->change_backing) {
        img_error("Format '%s' has no backing file that can be changed", image->driver->name);
        block_image_close(image);
        return 1;
    }
    img_progress_start(img_has(args, 'p') && !img_has(args, 'q'));
    if (!unsafe && *name) {
        g_autofree char *path = block_name_relative_to(args->files[0], name);

        backing = img_open(path, format, false, source_flags | (img_has(args, 'U') ? BLOCK_OPEN_NO_LOCK : 0));
        status = !backing;
        if (backing && !format) {
            format = backing->driver->name;
        }
    }
    if (!status && !unsafe) {
        status = rebase_safely(image, backing);
    }
    if (!status) {
        status = change_backing(image, name, format);
    }
    if (!status) {
        img_progress_end();
    }
    block_image_close(backing);
    block_image_close(image);
    return status;
}
