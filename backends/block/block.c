/* Block backends: drives, and their media that come and go. */
#include "backends/block/backend.h"
#include "backends/block/node.h"
#include "backends/block/options.h"
#include "core/clock.h"
#include "core/machine.h"
#include "util/error.h"
#include "util/log.h"
#include "util/options.h"

#include <errno.h>

static GPtrArray *all;

/* ---- media ---- */

/* cache= as it is spelled, and what it means. */
static const struct CacheMode {
    const char *name;
    unsigned flags;
    bool write_cache;
} cache_modes[] = {
    { "writeback", 0, true },
    { "none", BLOCK_OPEN_DIRECT, true },
    { "writethrough", BLOCK_OPEN_WRITETHROUGH, false },
    { "directsync", BLOCK_OPEN_DIRECT | BLOCK_OPEN_WRITETHROUGH, false },
    { "unsafe", BLOCK_OPEN_UNSAFE, true },
    { "off", BLOCK_OPEN_DIRECT, true },
};

static const struct CacheMode *cache_mode(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cache_modes); i++) {
        if (!name || g_str_equal(cache_modes[i].name, name)) {
            return &cache_modes[i];
        }
    }
    return NULL;
}

static BlockImage *bottom(BlockImage *image)
{
    while (image->file) {
        image = image->file;
    }
    return image;
}

void block_set_root(BlockBackend *blk, BlockImage *image)
{
    blk->root = image;
    blk->file = g_strdup(image->name);
    blk->format = g_strdup(image->driver->name);
    blk->mem_align = bottom(image)->mem_align;
    blk->readonly = image->flags & BLOCK_OPEN_READONLY;
    if (image->node->detect_zeroes >= 0) {
        blk->detect_zeroes = image->node->detect_zeroes;
    }
}

static bool open_medium(BlockBackend *blk, const char *file, const char *format, bool readonly,
                        bool snapshot, GError **error)
{
    const BlockOptions *o = &blk->options;
    unsigned flags = cache_mode(o->cache)->flags | (readonly || snapshot ? BLOCK_OPEN_READONLY : 0);
    BlockImage *image = block_image_open(file && *file ? file : NULL, format, o->image, flags, error);

    if (!image) {
        return false;
    }
    if (image->probed && !readonly && g_str_equal(image->driver->name, "raw")) {
        log_warn("'%s': nobody named its format, and it looks like raw; writes that would make it look otherwise "
                 "will fail. format=raw lifts that", image->name);
    }
    if (snapshot && !readonly) {
        g_autofree char *of_image = g_strdup(image->driver->name);

        image = block_overlay_new(image, error);
        if (!image) {
            return false;
        }
        block_set_root(blk, image);
        g_free(blk->format);
        blk->format = g_steal_pointer(&of_image); /* the image's, not that of its temporary file */
        return true;
    }
    block_set_root(blk, image);
    blk->readonly |= readonly;
    return true;
}

static void close_medium(BlockBackend *blk)
{
    if (blk->host_timer) {
        timer_free(blk->host_timer);
        blk->host_timer = NULL;
    }
    atomic_fetch_add(&blk->held, 1); /* a device in an I/O thread may go on submitting */
    block_drain(blk);
    if (blk->root) {
        int error = blk->readonly ? 0 : block_image_flush(blk->root);

        if (error) {
            log_error("drive '%s': cannot flush: %s", block_id(blk), g_strerror(error));
        }
        block_image_close(blk->root);
        blk->root = NULL;
    }
    block_release(blk);
    g_clear_pointer(&blk->file, g_free);
    g_clear_pointer(&blk->format, g_free);
}

static void tell_media(BlockBackend *blk)
{
    if (blk->media && blk->media->changed) {
        blk->media->changed(blk->media_opaque, block_inserted(blk));
    }
}

/* A drive of the host does not tell when its medium changes. */
static void look_at_host_drive(void *opaque)
{
    BlockBackend *blk = opaque;
    bool there = block_inserted(blk);

    if (there != blk->host_medium) {
        blk->host_medium = there;
        tell_media(blk);
    }
    timer_set(blk->host_timer, clock_now(CLOCK_REAL) + NS_PER_SECOND);
}

static void watch_host_drive(BlockBackend *blk)
{
    if (blk->root && bottom(blk->root)->driver->inserted) {
        blk->host_medium = block_inserted(blk);
        blk->host_timer = timer_new(CLOCK_REAL, look_at_host_drive, blk);
        timer_set(blk->host_timer, clock_now(CLOCK_REAL) + NS_PER_SECOND);
    }
}

void block_set_media_ops(BlockBackend *blk, const BlockMediaOps *ops, void *opaque)
{
    blk->media = ops;
    blk->media_opaque = opaque;
    if (!blk->host_timer) {
        watch_host_drive(blk);
    }
}

bool block_medium_locked(const BlockBackend *blk)
{
    const BlockMediaOps *m = blk->media;

    return m && m->medium_locked && m->medium_locked(blk->media_opaque);
}

const char *block_io_status(const BlockBackend *blk)
{
    const Request *r = blk->parked.first;

    return !r ? "ok" : r->error == ENOSPC ? "nospace" : "failed";
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
    if (blk->root && bottom(blk->root)->driver->eject) {
        bottom(blk->root)->driver->eject(bottom(blk->root)); /* the host's drive stays ours, with an open tray */
    } else {
        close_medium(blk);
    }
    tell_media(blk);
    return true;
}

bool block_change(BlockBackend *blk, const char *file, const char *format, bool readonly,
                  GError **error)
{
    if (!block_eject(blk, true, error)) {
        return false;
    }
    close_medium(blk);
    if (!open_medium(blk, file, format, readonly || blk->options.cdrom, blk->options.snapshot, error)) {
        return false;
    }
    tell_media(blk);
    return true;
}

/* ---- the registry ---- */

static BlockOptions copy_options(const BlockOptions *o)
{
    BlockOptions copy = *o;
    char **const texts[] = { &copy.id,     &copy.node_name, &copy.file,          &copy.format, &copy.interface, &copy.cache,
                             &copy.serial, &copy.aio,       &copy.detect_zeroes, &copy.rerror, &copy.werror,
                             &copy.throttle_group, &copy.cache_writeback };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        *texts[i] = g_strdup(*texts[i]);
    }
    copy.image = NULL;
    return copy;
}

static bool one_of(const char *key, const char *value, const char *const *list, int *out, GError **error)
{
    g_autofree char *all_of_them = g_strjoinv(", ", (char **)list);

    for (int i = 0; list[i]; i++) {
        if (!value || g_str_equal(value, list[i])) {
            *out = i;
            return true;
        }
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s=%s is none of %s", key, value, all_of_them);
    return false;
}

static bool asks_for_direct(const Json *image)
{
    const Json *value = json_get(json_get(image, "cache"), "direct");
    bool on = json_get_bool(value, false);

    return on || (json_get_string(value) && parse_bool(json_get_string(value), &on) && on);
}

static bool apply_options(BlockBackend *blk, GError **error)
{
    static const char *const aio_names[] = { "io_uring", "threads", "native", NULL };
    static const char *const detect_names[] = { "off", "on", "unmap", NULL };
    const BlockOptions *o = &blk->options;
    int aio = 0, detect = 0;
    bool writeback;

    if (!cache_mode(o->cache)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "cache=%s is none of none, writeback, writethrough, directsync, unsafe", o->cache);
        return false;
    }
    if (!one_of("aio", o->aio, aio_names, &aio, error) ||
        !one_of("detect-zeroes", o->detect_zeroes, detect_names, &detect, error) ||
        !on_error_parse(o->rerror, false, &blk->on_read_error, error) ||
        !on_error_parse(o->werror, true, &blk->on_write_error, error) ||
        !block_set_throttle(blk, &o->throttle, o->throttle_group, error)) {
        return false;
    }
    if (aio == 2 && !(cache_mode(o->cache)->flags & BLOCK_OPEN_DIRECT) && !asks_for_direct(o->image)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "aio=native needs cache.direct=on (cache=none or directsync)");
        return false;
    }
    blk->use_ring = aio != 1;
    blk->detect_zeroes = detect;
    blk->copy_on_read = o->copy_on_read;
    writeback = cache_mode(o->cache)->write_cache;
    if (o->cache_writeback && !parse_bool(o->cache_writeback, &writeback)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "cache.writeback=%s is neither on nor off", o->cache_writeback);
        return false;
    }
    blk->write_cache = writeback;
    return true;
}

static void on_state(void *opaque, RunState state)
{
    if (state == RUN_RUNNING) {
        for (guint i = 0; i < all->len; i++) {
            block_retry_parked(g_ptr_array_index(all, i), NULL);
        }
    }
}

static void backend_free(BlockBackend *blk)
{
    throttle_set(blk, NULL, NULL);
    g_mutex_clear(&blk->parked_lock);
    g_mutex_clear(&blk->copy_lock);
    json_free(blk->options.image);
    g_free(blk); /* the texts of its options may be borrowed until the process ends */
}

void block_delete(BlockBackend *blk)
{
    close_medium(blk);
    g_ptr_array_remove(all, blk);
    backend_free(blk);
}

BlockBackend *block_new(const BlockOptions *o, GError **error)
{
    BlockBackend *blk = g_new0(BlockBackend, 1);

    blk->options = copy_options(o);
    blk->loop = block_loop_get(NULL);
    g_mutex_init(&blk->parked_lock);
    g_mutex_init(&blk->copy_lock);
    if (block_find(o->id)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "two drives have the id '%s'", o->id);
        backend_free(blk);
        return NULL;
    }
    if (o->image) {
        blk->options.image = block_options_nested(o->image, error);
    }
    if (o->node_name && !o->is_node && (blk->options.image || !o->image)) {
        blk->options.image = blk->options.image ? blk->options.image : json_object();
        json_set_string(blk->options.image, "node-name", o->node_name);
    }
    if ((o->image && !blk->options.image) || !apply_options(blk, error)) {
        g_prefix_error(error, "drive '%s': ", o->id);
        backend_free(blk);
        return NULL;
    }
    if (((o->file && *o->file) || json_get(blk->options.image, "file")) &&
        !open_medium(blk, o->file, o->format, o->readonly || o->cdrom, o->snapshot, error)) {
        backend_free(blk);
        return NULL;
    }
    if (!blk->root && blk->options.image && !block_options_check_empty(blk->options.image, "a drive without a file", error)) {
        backend_free(blk);
        return NULL;
    }
    if (!all) {
        all = g_ptr_array_new();
        machine_on_state(on_state, NULL);
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
            blk->claimed = true;
            return blk;
        }
    }
    return NULL;
}

bool block_is_claimed(const BlockBackend *blk)
{
    return blk->claimed;
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
    block_nodes_close_all();
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
    BlockImage *image = blk->root ? bottom(blk->root) : NULL;

    return image && (!image->driver->inserted || image->driver->inserted(image));
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
    if (blk->root && bottom(blk->root)->driver->limits) {
        bottom(blk->root)->driver->limits(bottom(blk->root), out);
    }
}

void block_set_write_cache(BlockBackend *blk, bool on)
{
    blk->write_cache = on;
}
