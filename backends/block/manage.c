/* What is done with the images of a running machine: resizing, committing, snapshots over them. */
#include "backends/block/backend.h"
#include "backends/block/names.h"
#include "backends/block/node.h"
#include "util/error.h"

#include <errno.h>

#define STEP (UINT64_C(16) << 20) /* of the search for what is to be copied */
#define COPY (UINT64_C(1) << 20)

static bool needs_medium(const BlockBackend *blk, bool writable, GError **error)
{
    if (!blk->root || (writable && blk->readonly)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, blk->root ? "drive '%s' is read-only" : "drive '%s' has no medium",
                    blk->options.id);
        return false;
    }
    return true;
}

bool block_resize(BlockBackend *blk, uint64_t size, GError **error)
{
    int failed;

    if (!needs_medium(blk, true, error)) {
        return false;
    }
    if (size > INT64_MAX || size % BLOCK_SECTOR) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "an image has a multiple of %d bytes", BLOCK_SECTOR);
        return false;
    }
    block_hold(blk);
    failed = block_image_resize(blk->root, size, error);
    block_release(blk);
    if (failed) {
        return false;
    }
    if (blk->media && blk->media->resized) {
        blk->media->resized(blk->media_opaque);
    }
    return true;
}

/* ---- commit ---- */

static int copy_down(BlockImage *image, BlockImage *base, uint64_t offset, uint64_t size, void *buf)
{
    int error = 0;

    while (size && !error) {
        size_t n = MIN(size, COPY);

        error = block_image_read(image, offset, buf, n);
        error = error ? error : block_image_write(base, offset, buf, n);
        offset += n;
        size -= n;
    }
    return error;
}

int block_image_commit(BlockImage *image, GError **error)
{
    BlockImage *base = image->backing;
    uint64_t size = block_image_size(image);
    g_autofree void *buf = g_malloc(COPY);
    BlockExtent e;
    int failed = 0;

    for (uint64_t at = 0; at < size && !failed; at += failed ? 0 : e.size) {
        failed = block_image_status_above(image, base, at, MIN(STEP, size - at), &e);
        if (failed || !(e.status & BLOCK_HERE)) {
            continue;
        }
        failed = e.status & BLOCK_ZERO ? block_image_write_zeroes(base, at, e.size, true)
                                       : copy_down(image, base, at, e.size, buf);
    }
    failed = failed ? failed : block_image_flush(base);
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot commit to '%s': %s", base->name, g_strerror(failed));
    }
    return failed;
}

/* Nothing else works on the drive. */
static bool commit_held(BlockBackend *blk, BlockImage *base, GError **error)
{
    BlockImage *image = blk->root;
    bool good;
    int failed = 0;

    if (!block_image_reopen(base, true, error)) {
        return false;
    }
    good = (block_image_size(base) >= block_image_size(image) ||
            block_image_resize(base, block_image_size(image), error) == 0) &&
           block_image_commit(image, error) == 0;
    if (good && image->driver->make_empty) {
        failed = image->driver->make_empty(image);
        failed = failed ? failed : block_image_flush(image);
    }
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot empty '%s': %s", image->name, g_strerror(failed));
        good = false;
    }
    return block_image_reopen(base, false, good ? error : NULL) && good;
}

bool block_commit(BlockBackend *blk, GError **error)
{
    BlockImage *base;
    bool good;

    if (!needs_medium(blk, true, error)) {
        return false;
    }
    base = blk->root->backing;
    if (!base) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "the image of drive '%s' has no backing image", blk->options.id);
        return false;
    }
    block_hold(blk);
    good = commit_held(blk, base, error);
    block_release(blk);
    return good;
}

/* ---- an image over the one in use ---- */

static BlockImage *open_overlay(BlockBackend *blk, const char *file, const char *format, const char *node_name,
                                bool existing, GError **error)
{
    BlockImage *old = blk->root;
    unsigned flags = (old->flags & ~BLOCK_OPEN_READONLY) | BLOCK_OPEN_NO_BACKING;
    g_autoptr(Json) node = json_object();
    g_autoptr(Json) options = json_object();
    g_autofree char *whole = NULL;

    if (node_name) {
        json_set_string(node, "node-name", node_name);
    }
    /* By its whole path: the new image may lie in another folder. */
    whole = block_name_prefix(old->name) ? g_strdup(old->name) : g_canonicalize_filename(old->name, NULL);
    json_set_string(options, "backing_file", whole);
    json_set_string(options, "backing_fmt", blk->format);
    if (!existing && !block_image_create(file, format, block_image_size(old), options, error)) {
        return NULL;
    }
    return block_image_open(file, format, node, flags, error);
}

/* Nothing else works on the drive. */
static bool put_over(BlockBackend *blk, BlockImage *image, GError **error)
{
    BlockImage *old = blk->root;

    if (!image->driver->supports_backing || block_image_flush(old) != 0 || !block_image_reopen(old, false, error)) {
        if (!image->driver->supports_backing) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "format '%s' has no backing images", image->driver->name);
        } else if (error && !*error) {
            g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot flush '%s'", old->name);
        }
        return false;
    }
    image->backing = old;
    image->flags &= ~BLOCK_OPEN_NO_BACKING;
    g_free(blk->file);
    g_free(blk->format);
    block_set_root(blk, image);
    return true;
}

bool block_snapshot(BlockBackend *blk, const char *file, const char *format, const char *node_name, bool existing,
                    GError **error)
{
    BlockImage *image;
    bool good;

    if (!needs_medium(blk, true, error)) {
        return false;
    }
    image = open_overlay(blk, file, format ? format : "qcow2", node_name, existing, error);
    if (!image) {
        return false;
    }
    block_hold(blk);
    good = put_over(blk, image, error);
    block_release(blk);
    if (!good) {
        block_image_close(image);
    }
    return good;
}
