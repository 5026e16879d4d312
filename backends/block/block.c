/* Block backends: drives, and their media that come and go. */
#include "backends/block/backend.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>

static GPtrArray *all;

/* ---- media ---- */

static unsigned open_flags(const BlockOptions *o, bool readonly)
{
    return readonly ? BLOCK_OPEN_READONLY : 0;
}

static bool open_medium(BlockBackend *blk, const char *file, const char *format, bool readonly,
                        bool snapshot, GError **error)
{
    BlockImage *image = block_image_open(file, format, NULL, open_flags(&blk->options, readonly || snapshot), error);

    if (!image) {
        return false;
    }
    if (image->probed && !readonly && g_str_equal(image->driver->name, "raw")) {
        log_warn("'%s': nobody named its format, and it looks like raw; writes that would make it look otherwise "
                 "will fail. format=raw lifts that", file);
    }
    blk->format = g_strdup(image->driver->name);
    blk->file = g_strdup(image->name);
    if (snapshot && !readonly && !(image = block_overlay_new(image, error))) {
        g_clear_pointer(&blk->format, g_free);
        g_clear_pointer(&blk->file, g_free);
        return false;
    }
    blk->root = image;
    blk->readonly = readonly || image->flags & BLOCK_OPEN_READONLY;
    return true;
}

static void close_medium(BlockBackend *blk)
{
    block_drain(blk);
    if (blk->root) {
        int error = blk->readonly ? 0 : block_image_flush(blk->root);

        if (error) {
            log_error("drive '%s': cannot flush: %s", block_id(blk), g_strerror(error));
        }
        block_image_close(blk->root);
        blk->root = NULL;
    }
    g_clear_pointer(&blk->file, g_free);
    g_clear_pointer(&blk->format, g_free);
}

static void tell_media(BlockBackend *blk)
{
    if (blk->media && blk->media->changed) {
        blk->media->changed(blk->media_opaque, blk->root != NULL);
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
    blk->write_cache = true;
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
    return blk->root != NULL;
}

bool block_readonly(const BlockBackend *blk)
{
    return blk->readonly || blk->options.readonly;
}

uint64_t block_size(const BlockBackend *blk)
{
    return blk->root ? block_image_size(blk->root) : 0;
}

void block_limits(BlockBackend *blk, BlockLimits *out)
{
    *out = (BlockLimits){
        .logical_block = 512,
        .physical_block = 512,
        .discard_granularity = 512,
        .write_cache = blk->write_cache,
    };
}

void block_set_write_cache(BlockBackend *blk, bool on)
{
    blk->write_cache = on;
}
