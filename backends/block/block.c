/* Block backends: drives, their media, and requests that worker threads carry out. */
#include "backends/block.h"

#include "backends/block/driver.h"
#include "core/mainloop.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WORKERS 8

struct BlockBackend {
    BlockOptions options;
    BlockImage *image; /* NULL: no medium */
    char *file, *format;
    bool readonly;
    int in_flight;
    const BlockMediaOps *media;
    void *media_opaque;
};

typedef enum RequestKind { REQUEST_READ, REQUEST_WRITE, REQUEST_FLUSH, REQUEST_DISCARD } RequestKind;

typedef struct Request {
    BlockBackend *blk;
    RequestKind kind;
    uint64_t offset, size;
    const struct iovec *iov;
    int count;
    BlockDone *done;
    void *opaque;
    int error;
} Request;

static GPtrArray *all;
static GThreadPool *pool;

static const BlockDriver *const drivers[] = { &block_raw, NULL };

/* ---- requests ---- */

static void finish(void *opaque)
{
    Request *r = opaque;
    BlockBackend *blk = r->blk;

    blk->in_flight--;
    if (r->done) {
        r->done(r->opaque, r->error);
    }
    g_free(r);
}

static int carry_out(Request *r)
{
    BlockImage *image = r->blk->image;
    const BlockDriver *driver = image->driver;

    switch (r->kind) {
    case REQUEST_READ:
        return driver->read(image, r->offset, r->iov, r->count);
    case REQUEST_WRITE:
        return driver->write(image, r->offset, r->iov, r->count);
    case REQUEST_FLUSH:
        return driver->flush(image);
    default:
        return driver->discard ? driver->discard(image, r->offset, r->size) : 0;
    }
}

static void work(gpointer data, gpointer unused)
{
    Request *r = data;

    r->error = carry_out(r);
    main_loop_call(finish, r);
}

static void submit(BlockBackend *blk, RequestKind kind, uint64_t offset, uint64_t size,
                   const struct iovec *iov, int count, BlockDone *done, void *opaque)
{
    Request *r = g_new0(Request, 1);

    *r = (Request){ blk, kind, offset, size, iov, count, done, opaque, 0 };
    for (int i = 0; i < count; i++) {
        r->size += iov[i].iov_len;
    }
    blk->in_flight++;
    if (!blk->image) {
        r->error = ENOMEDIUM;
    } else if (blk->readonly && (kind == REQUEST_WRITE || kind == REQUEST_DISCARD)) {
        r->error = EROFS;
    } else if (kind != REQUEST_FLUSH &&
               (offset > block_size(blk) || r->size > block_size(blk) - offset)) {
        r->error = EINVAL;
    } else {
        if (!pool) {
            pool = g_thread_pool_new(work, NULL, WORKERS, FALSE, NULL);
        }
        g_thread_pool_push(pool, r, NULL);
        return;
    }
    main_loop_call(finish, r);
}

void block_read(BlockBackend *blk, uint64_t offset, const struct iovec *iov, int count,
                BlockDone *done, void *opaque)
{
    submit(blk, REQUEST_READ, offset, 0, iov, count, done, opaque);
}

void block_write(BlockBackend *blk, uint64_t offset, const struct iovec *iov, int count,
                 BlockDone *done, void *opaque)
{
    submit(blk, REQUEST_WRITE, offset, 0, iov, count, done, opaque);
}

void block_flush(BlockBackend *blk, BlockDone *done, void *opaque)
{
    submit(blk, REQUEST_FLUSH, 0, 0, NULL, 0, done, opaque);
}

void block_discard(BlockBackend *blk, uint64_t offset, uint64_t size, BlockDone *done, void *opaque)
{
    submit(blk, REQUEST_DISCARD, offset, size, NULL, 0, done, opaque);
}

void block_drain(BlockBackend *blk)
{
    while (blk->in_flight) {
        main_loop_step(true);
    }
}

static bool sync_io(BlockBackend *blk, RequestKind kind, uint64_t offset, void *buf, uint64_t size,
                    GError **error)
{
    struct iovec iov = { buf, size };
    Request r = { blk, kind, offset, size, &iov, 1, NULL, NULL, 0 };

    r.error = !blk->image                                              ? ENOMEDIUM
              : offset > block_size(blk) || size > block_size(blk) - offset ? EINVAL
              : kind == REQUEST_WRITE && blk->readonly                 ? EROFS
                                                                       : carry_out(&r);
    if (r.error) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "drive '%s': %s", block_id(blk),
                    g_strerror(r.error));
    }
    return !r.error;
}

bool block_read_sync(BlockBackend *blk, uint64_t offset, void *buf, uint64_t size, GError **error)
{
    return sync_io(blk, REQUEST_READ, offset, buf, size, error);
}

bool block_write_sync(BlockBackend *blk, uint64_t offset, const void *buf, uint64_t size,
                      GError **error)
{
    return sync_io(blk, REQUEST_WRITE, offset, (void *)buf, size, error);
}

/* ---- media ---- */

static const BlockDriver *find_driver(const char *format, GError **error)
{
    GString *known;

    for (int i = 0; drivers[i]; i++) {
        if (!format || g_str_equal(format, drivers[i]->name)) {
            return drivers[i];
        }
    }
    known = g_string_new(NULL);
    for (int i = 0; drivers[i]; i++) {
        g_string_append_printf(known, "%s%s", i ? ", " : "", drivers[i]->name);
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "no image format '%s'; there are: %s", format,
                known->str);
    g_string_free(known, TRUE);
    return NULL;
}

/* Formats of others that a guest must not see as raw bytes. */
static bool refuse_foreign(const char *file, GError **error)
{
    static const struct {
        const char *name, *magic;
    } foreign[] = { { "qcow2", "QFI\xfb" }, { "VMDK", "KDMV" }, { "VDI", "<<< " }, { "VHDX", "vhdxfile" } };
    char head[8] = { 0 };
    FILE *f = fopen(file, "rb");

    if (!f) {
        return false;
    }
    if (fread(head, 1, sizeof(head), f) != sizeof(head)) {
        head[0] = 0;
    }
    fclose(f);
    for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++) {
        if (memcmp(head, foreign[i].magic, strlen(foreign[i].magic)) == 0) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER,
                        "'%s' is a %s image; convert it with 'qemu-img convert -O raw' first, or use "
                        "format=raw if it is meant as it is", file, foreign[i].name);
            return true;
        }
    }
    return false;
}

static bool open_medium(BlockBackend *blk, const char *file, const char *format, bool readonly,
                        bool snapshot, GError **error)
{
    const BlockDriver *driver = find_driver(format, error);
    const char *path = g_str_has_prefix(file, "file:") ? file + 5 : file;
    g_autofree char *kept_file = g_strdup(path), *kept_format = NULL;
    BlockImage *image;

    if (!driver || (!format && refuse_foreign(path, error))) {
        return false;
    }
    kept_format = g_strdup(driver->name);
    image = driver->open(path, readonly || snapshot, error);
    if (!image) {
        return false;
    }
    if (snapshot && !readonly) {
        BlockImage *overlay = block_overlay_new(image, error);

        if (!overlay) {
            driver->close(image);
            return false;
        }
        image = overlay;
    }
    blk->image = image;
    blk->file = g_steal_pointer(&kept_file);
    blk->format = g_steal_pointer(&kept_format);
    blk->readonly = readonly;
    return true;
}

static void close_medium(BlockBackend *blk)
{
    block_drain(blk);
    if (blk->image) {
        int error = blk->readonly ? 0 : blk->image->driver->flush(blk->image);

        if (error) {
            log_error("drive '%s': cannot flush: %s", block_id(blk), g_strerror(error));
        }
        blk->image->driver->close(blk->image);
        blk->image = NULL;
    }
    g_clear_pointer(&blk->file, g_free);
    g_clear_pointer(&blk->format, g_free);
}

static void tell_media(BlockBackend *blk)
{
    if (blk->media && blk->media->changed) {
        blk->media->changed(blk->media_opaque, blk->image != NULL);
    }
}

void block_set_media_ops(BlockBackend *blk, const BlockMediaOps *ops, void *opaque)
{
    blk->media = ops;
    blk->media_opaque = opaque;
}

bool block_eject(BlockBackend *blk, bool force, GError **error)
{
    const BlockMediaOps *m = blk->media;

    if (!m || !m->changed) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "Device '%s' is not removable", block_id(blk));
        return false;
    }
    if (!force && m->medium_locked && m->medium_locked(blk->media_opaque) &&
        !(m->tray_open && m->tray_open(blk->media_opaque))) {
        if (m->eject_request) {
            m->eject_request(blk->media_opaque, false);
        }
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "Device '%s' is locked and force was not specified, wait for tray to open and try again",
                    block_id(blk));
        return false;
    }
    close_medium(blk);
    tell_media(blk);
    return true;
}

bool block_change(BlockBackend *blk, const char *file, const char *format, bool readonly,
                  GError **error)
{
    if (!block_eject(blk, true, error)) {
        return false;
    }
    if (!open_medium(blk, file, format, readonly || blk->options.cdrom, blk->options.snapshot, error)) {
        return false;
    }
    tell_media(blk);
    return true;
}

/* ---- the registry ---- */

BlockBackend *block_new(const BlockOptions *o, GError **error)
{
    BlockBackend *blk = g_new0(BlockBackend, 1);

    blk->options = *o;
    blk->options.id = g_strdup(o->id);
    blk->options.node_name = g_strdup(o->node_name);
    blk->options.file = g_strdup(o->file);
    blk->options.format = g_strdup(o->format);
    blk->options.interface = g_strdup(o->interface);
    blk->options.cache = g_strdup(o->cache);
    blk->options.serial = g_strdup(o->serial);
    if (block_find(o->id)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "two drives have the id '%s'", o->id);
        g_free(blk);
        return NULL;
    }
    if (o->file && *o->file &&
        !open_medium(blk, o->file, o->format, o->readonly || o->cdrom, o->snapshot, error)) {
        g_free(blk);
        return NULL;
    }
    if (!all) {
        all = g_ptr_array_new();
    }
    g_ptr_array_add(all, blk);
    return blk;
}

BlockBackend *block_find(const char *id)
{
    for (guint i = 0; all && i < all->len; i++) {
        BlockBackend *blk = g_ptr_array_index(all, i);

        if (g_str_equal(blk->options.id, id)) {
            return blk;
        }
    }
    return NULL;
}

BlockBackend *block_find_drive(const char *interface, int bus, int unit)
{
    for (guint i = 0; all && i < all->len; i++) {
        BlockBackend *blk = g_ptr_array_index(all, i);

        if (g_strcmp0(blk->options.interface, interface) == 0 && blk->options.bus == bus &&
            blk->options.unit == unit) {
            return blk;
        }
    }
    return NULL;
}

void block_for_each(void (*fn)(BlockBackend *blk, void *opaque), void *opaque)
{
    for (guint i = 0; all && i < all->len; i++) {
        fn(g_ptr_array_index(all, i), opaque);
    }
}

void block_close_all(void)
{
    for (guint i = 0; all && i < all->len; i++) {
        close_medium(g_ptr_array_index(all, i));
    }
}

const char *block_id(const BlockBackend *blk)
{
    return blk->options.id;
}

const char *block_filename(const BlockBackend *blk)
{
    return blk->file;
}

const char *block_format(const BlockBackend *blk)
{
    return blk->format;
}

const BlockOptions *block_options(const BlockBackend *blk)
{
    return &blk->options;
}

bool block_is_cdrom(const BlockBackend *blk)
{
    return blk->options.cdrom;
}

bool block_inserted(const BlockBackend *blk)
{
    return blk->image != NULL;
}

bool block_readonly(const BlockBackend *blk)
{
    return blk->readonly || blk->options.readonly;
}

uint64_t block_size(const BlockBackend *blk)
{
    return blk->image ? blk->image->driver->size(blk->image) : 0;
}
