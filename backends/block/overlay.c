/* -snapshot: an image over another, whose writes live in an unlinked temporary file. */
#include "backends/block/driver.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLUSTER 65536

typedef struct Overlay {
    BlockImage image;
    BlockImage *below;
    int fd;
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
        return NULL;
    }
    unlink(path);
    o = g_new0(Overlay, 1);
    o->image.driver = &overlay_driver;
    o->below = below;
    o->fd = fd;
    o->present = g_malloc0(below->driver->size(below) / CLUSTER / 8 + 1);
    g_rw_lock_init(&o->lock);
    return &o->image;
}

static bool has(const Overlay *o, uint64_t cluster)
{
    return o->present[cluster / 8] >> cluster % 8 & 1;
}

static int below_read(Overlay *o, uint64_t offset, void *buf, size_t size)
{
    struct iovec iov = { buf, size };

    return o->below->driver->read(o->below, offset, &iov, 1);
}

/* Copies the cluster up before part of it is written. */
static int bring_in(Overlay *o, uint64_t cluster)
{
    g_autofree void *buf = g_malloc(CLUSTER);
    uint64_t size = o->below->driver->size(o->below), start = cluster * CLUSTER;
    int error = below_read(o, start, buf, MIN(CLUSTER, size - start));

    if (!error) {
        error = block_file_io(o->fd, start, buf, MIN(CLUSTER, size - start), true);
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
                error = below_read(o, offset, at, n);
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
    Overlay *o = (Overlay *)image;

    return o->below->driver->size(o->below);
}

static void overlay_close(BlockImage *image)
{
    Overlay *o = (Overlay *)image;

    o->below->driver->close(o->below);
    close(o->fd);
    g_rw_lock_clear(&o->lock);
    g_free(o->present);
    g_free(o);
}

static const BlockDriver overlay_driver = {
    .name = "overlay",
    .close = overlay_close,
    .size = overlay_size,
    .read = overlay_read,
    .write = overlay_write,
    .flush = overlay_flush,
};
