/* -snapshot: an image over another, whose writes live in an unlinked temporary file. */
#include "backends/block/node.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLUSTER 65536

typedef struct Overlay {
    BlockImage image;
    int fd;
    uint64_t size;
    uint8_t *present; /* a bit per cluster: the temporary file has it */
    GRWLock lock;     /* writers bring clusters in */
} Overlay;

static const BlockDriver overlay_driver;

BlockImage *block_overlay_new(BlockImage *below, GError **error)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "myna-snapshot-XXXXXX", NULL);
    int fd = mkostemp(path, O_CLOEXEC);
    Overlay *o;

    if (fd < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot make a temporary file in '%s': %s",
                    g_get_tmp_dir(), g_strerror(errno));
        block_image_close(below);
        return NULL;
    }
    unlink(path);
    o = g_new0(Overlay, 1);
    o->image.driver = &overlay_driver;
    o->image.backing = below;
    o->image.name = g_strdup(below->name);
    o->image.flags = below->flags & ~BLOCK_OPEN_READONLY;
    o->image.cluster_size = CLUSTER;
    o->fd = fd;
    o->size = block_image_size(below);
    o->present = g_malloc0(o->size / CLUSTER / 8 + 1);
    g_rw_lock_init(&o->lock);
    block_node_attach(&o->image, NULL);
    return &o->image;
}

static bool has(const Overlay *o, uint64_t cluster)
{
    return o->present[cluster / 8] >> cluster % 8 & 1;
}

/* Copies the cluster up before part of it is written. */
static int bring_in(Overlay *o, uint64_t cluster)
{
    g_autofree void *buf = g_malloc(CLUSTER);
    uint64_t start = cluster * CLUSTER;
    int error = block_image_read(o->image.backing, start, buf, CLUSTER);

    if (!error) {
        error = block_file_io(o->fd, start, buf, CLUSTER, true);
    }
    if (!error) {
        o->present[cluster / 8] |= 1 << cluster % 8;
    }
    return error;
}

static int overlay_io(BlockImage *image, uint64_t offset, const struct iovec *iov, int count,
                      bool is_write)
{
    Overlay *o = (Overlay *)image;
    int error = 0;

    for (int i = 0; i < count && !error; i++) {
        char *at = iov[i].iov_base;
        size_t left = iov[i].iov_len;

        while (left && !error) {
            uint64_t cluster = offset / CLUSTER;
            size_t n = MIN(left, CLUSTER - offset % CLUSTER);

            if (is_write) {
                if (!has(o, cluster)) {
                    error = bring_in(o, cluster);
                }
                error = error ? error : block_file_io(o->fd, offset, at, n, true);
            } else if (has(o, cluster)) {
                error = block_file_io(o->fd, offset, at, n, false);
            } else {
                error = block_image_read(image->backing, offset, at, n);
            }
            at += n;
            offset += n;
            left -= n;
        }
    }
    return error;
}

static int overlay_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    Overlay *o = (Overlay *)image;
    int error;

    g_rw_lock_reader_lock(&o->lock);
    error = overlay_io(image, offset, iov, count, false);
    g_rw_lock_reader_unlock(&o->lock);
    return error;
}

static int overlay_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    Overlay *o = (Overlay *)image;
    int error;

    g_rw_lock_writer_lock(&o->lock);
    error = overlay_io(image, offset, iov, count, true);
    g_rw_lock_writer_unlock(&o->lock);
    return error;
}

static int overlay_flush(BlockImage *image)
{
    return 0; /* the file is gone with the process anyway */
}

static uint64_t overlay_size(BlockImage *image)
{
    return ((Overlay *)image)->size;
}

static void overlay_close(BlockImage *image)
{
    Overlay *o = (Overlay *)image;

    close(o->fd);
    g_rw_lock_clear(&o->lock);
    g_free(o->present);
    g_free(o);
}

static int overlay_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent)
{
    Overlay *o = (Overlay *)image;
    uint64_t cluster = offset / CLUSTER, end = offset + size;
    bool here;

    g_rw_lock_reader_lock(&o->lock);
    here = has(o, cluster);
    do {
        cluster++;
    } while (cluster * CLUSTER < end && has(o, cluster) == here);
    g_rw_lock_reader_unlock(&o->lock);
    extent->size = MIN(end, cluster * CLUSTER) - offset;
    extent->status = here ? BLOCK_HERE | BLOCK_DATA : 0;
    return 0;
}

static int overlay_make_empty(BlockImage *image)
{
    Overlay *o = (Overlay *)image;
    int error;

    g_rw_lock_writer_lock(&o->lock);
    memset(o->present, 0, o->size / CLUSTER / 8 + 1);
    error = ftruncate(o->fd, 0) < 0 ? errno : 0; /* gives the space back */
    g_rw_lock_writer_unlock(&o->lock);
    return error;
}

static const BlockDriver overlay_driver = {
    .name = "overlay",
    .close = overlay_close,
    .size = overlay_size,
    .read = overlay_read,
    .write = overlay_write,
    .status = overlay_status,
    .make_empty = overlay_make_empty,
    .flush = overlay_flush,
};
