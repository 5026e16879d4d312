/* Growing and shrinking of qcow2 disks, and emptying them. */
#include "backends/block/qcow2/qcow2.h"
#include "util/error.h"

#include <errno.h>

/* What lies behind the new end loses its mapping; a partial last cluster keeps only what is inside. */
static int drop_tail(Qcow2 *s, uint64_t size)
{
    uint64_t end = round_up(s->size, s->cluster_size), from = round_up(size, s->cluster_size);
    int error = 0;

    g_rw_lock_reader_lock(&s->ops);
    if (size & (s->cluster_size - 1)) {
        uint64_t tail = MIN(s->size, from) - size;
        g_autofree uint8_t *zeros = g_malloc0(tail + 1);
        struct iovec iov = { zeros, tail };

        error = tail ? qcow2_write_guest(s, size, &iov, 1) : 0;
    }
    if (!error && from < end) {
        error = qcow2_drop_range(s, from, end - from);
    }
    if (!error) {
        error = qcow2_flush(s);
    }
    g_rw_lock_reader_unlock(&s->ops);
    return error;
}

static bool can_resize(Qcow2 *s, uint64_t size, GError **error)
{
    if (!s->writable) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "the image is read-only");
        return false;
    }
    if (s->snapshots->len && s->version < 3) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "an image of version 2 with snapshots cannot change its size");
        return false;
    }
    if (s->snapshots->len && size < s->size) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "cannot shrink an image with snapshots");
        return false;
    }
    if (s->bitmaps && s->bitmaps->len) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "an image with bitmaps cannot change its size");
        return false;
    }
    return true;
}

/* Whole image ours. */
static int set_size(Qcow2 *s, uint64_t size)
{
    uint64_t shift = qcow2_l1_shift(s), old = s->size;
    int error = qcow2_grow_l1(s, round_up(size, 1ull << shift) >> shift);

    if (!error) {
        s->size = size;
        error = qcow2_write_size(s);
    }
    if (!error) {
        error = block_image_flush(s->image.file);
    }
    if (error) {
        s->size = old;
    }
    return error;
}

int qcow2_resize(BlockImage *image, uint64_t size, bool preallocate, GError **error)
{
    Qcow2 *s = (Qcow2 *)image;
    uint64_t old = s->size;
    int failed = 0;

    if (!can_resize(s, size, error)) {
        return ENOTSUP;
    }
    size = round_up(size, 512);
    if (size > 1ull << 62) {
        failed = EFBIG;
    } else if (size < old) {
        failed = drop_tail(s, size);
    }
    if (!failed) {
        failed = qcow2_whole_begin(s);
        if (!failed) {
            failed = set_size(s, size);
        }
        qcow2_whole_end(s);
    }
    if (!failed && image->backing && size > old && block_image_size(image->backing) > old) {
        /* a longer backing image must not show through */
        failed = block_image_write_zeroes(image, old, MIN(size, block_image_size(image->backing)) - old, true);
    }
    if (!failed && s->external) {
        failed = block_image_resize(s->data, size, error);
    }
    if (!failed && size > old && (preallocate || s->raw_external)) {
        g_rw_lock_reader_lock(&s->ops);
        failed = qcow2_preallocate(s, old, size);
        g_rw_lock_reader_unlock(&s->ops);
    }
    if (failed && error && !*error) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot resize the image: %s", g_strerror(failed));
    }
    return failed;
}

int qcow2_make_empty(BlockImage *image)
{
    Qcow2 *s = (Qcow2 *)image;
    int error;

    g_rw_lock_reader_lock(&s->ops);
    error = qcow2_bitmaps_start(s);
    if (!error) {
        g_mutex_lock(&s->lock);
        qcow2_bitmaps_mark(s, 0, s->size);
        g_mutex_unlock(&s->lock);
        error = qcow2_drop_range(s, 0, round_up(s->size, s->cluster_size));
    }
    if (!error) {
        error = qcow2_flush(s);
    }
    g_rw_lock_reader_unlock(&s->ops);
    return error;
}
