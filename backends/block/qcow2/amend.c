/* Changes of a qcow2 image's options, and of its backing file. */
#include "backends/block/qcow2/qcow2.h"
#include "util/error.h"

#include <errno.h>

#define refuse(...) (g_set_error(error, VM_ERROR, VM_ERROR_USER, __VA_ARGS__), false)

/* The header anew, at once on stable storage. */
static bool write_header(Qcow2 *s, GError **error)
{
    int failed = qcow2_write_header(s);

    if (!failed) {
        failed = block_image_flush(s->image.file);
    }
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, failed == ENOSPC ? "the header of '%s' has no room for it" :
                    "cannot write the header of '%s'", s->image.name);
    }
    return !failed;
}

static bool begin(Qcow2 *s, GError **error)
{
    int failed;

    if (!s->writable) {
        return refuse("'%s' is read-only", s->image.name);
    }
    failed = qcow2_whole_begin(s);
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write '%s': %s", s->image.name, g_strerror(failed));
        qcow2_whole_end(s);
    }
    return !failed;
}

static bool set_backing(Qcow2 *s, const char *name, const char *format, GError **error)
{
    g_autofree char *old_name = s->image.backing_name, *old_format = s->image.backing_format;

    if (name && (s->raw_external || strlen(name) > QCOW2_MAX_NAME)) {
        s->image.backing_name = g_steal_pointer(&old_name);
        s->image.backing_format = g_steal_pointer(&old_format);
        return s->raw_external ? refuse("an image whose data file is raw can have no backing file")
                               : refuse("the backing file name is too long");
    }
    s->image.backing_name = name && *name ? g_strdup(name) : NULL;
    s->image.backing_format = s->image.backing_name && format ? g_strdup(format) : NULL;
    if (write_header(s, error)) {
        return true;
    }
    g_free(s->image.backing_name);
    g_free(s->image.backing_format);
    s->image.backing_name = g_steal_pointer(&old_name);
    s->image.backing_format = g_steal_pointer(&old_format);
    return false;
}

bool qcow2_change_backing(BlockImage *image, const char *name, const char *format, GError **error)
{
    Qcow2 *s = (Qcow2 *)image;
    bool changed;

    if (!begin(s, error)) {
        return false;
    }
    changed = set_backing(s, name, format, error);
    qcow2_whole_end(s);
    return changed;
}

/* ---- versions ---- */

static bool upgrade(Qcow2 *s, GError **error)
{
    if (s->version >= 3) {
        return true;
    }
    for (guint i = 0; i < s->snapshots->len; i++) { /* version 3 promises the sizes */
        const Qcow2Snapshot *snapshot = g_ptr_array_index(s->snapshots, i);

        if (snapshot->info.disk_size != s->size) {
            return refuse("the image has snapshots of other sizes");
        }
    }
    s->version = 3;
    if (s->snapshots->len && qcow2_rewrite_snapshots(s)) {
        s->version = 2;
        return refuse("cannot write the snapshot table");
    }
    if (!write_header(s, error)) {
        s->version = 2;
        return false;
    }
    return true;
}

/* lock not held. Version 2 has no mark for zeros: they become clusters of zeros, or nothing if nothing lies behind. */
static int expand_zeros(Qcow2 *s)
{
    uint64_t at = 0, end = (uint64_t)s->l1_size << qcow2_l1_shift(s);
    g_autofree uint8_t *zeros = g_malloc0(s->cluster_size);
    int error = 0;

    while (at < end && !error) {
        Qcow2Extent e;

        g_mutex_lock(&s->lock);
        error = qcow2_map(s, at, end - at, false, &e);
        g_mutex_unlock(&s->lock);
        if (error || e.kind != QCOW2_MAP_ZERO) {
            at += e.size;
            continue;
        }
        for (uint64_t stop = at + e.size; at < stop && !error; at += s->cluster_size) {
            struct iovec iov = { zeros, s->cluster_size };

            error = s->image.backing_name && at < s->size ? qcow2_write_guest(s, at, &iov, 1)
                                                          : qcow2_drop_range(s, at, s->cluster_size);
        }
    }
    return error;
}

static bool downgrade(Qcow2 *s, GError **error)
{
    int failed;

    if (s->version < 3) {
        return true;
    }
    if (s->incompatible & ~(uint64_t)QCOW2_INCOMPAT_DIRTY || s->refcount_order != 4) {
        return refuse("the image uses what compatibility level 0.10 does not have");
    }
    if (s->snapshots->len) {
        return refuse("an image with snapshots cannot go back to compatibility level 0.10");
    }
    if (s->bitmaps && s->bitmaps->len) {
        return refuse("an image with bitmaps cannot go back to compatibility level 0.10");
    }
    qcow2_whole_end(s); /* these are requests like others */
    g_rw_lock_reader_lock(&s->ops);
    failed = expand_zeros(s);
    g_rw_lock_reader_unlock(&s->ops);
    if (!failed) {
        failed = qcow2_whole_begin(s);
    } else {
        qcow2_whole_begin(s);
    }
    s->lazy = false;
    if (!failed) {
        failed = qcow2_flush(s);
    }
    if (!failed) {
        failed = qcow2_set_dirty(s, false);
    }
    if (failed) {
        return refuse("cannot change '%s': %s", s->image.name, g_strerror(failed));
    }
    s->version = 2;
    s->compatible = s->autoclear = 0;
    if (!write_header(s, error)) {
        s->version = 3;
        return false;
    }
    return true;
}

/* ---- options ---- */

static bool amend_lazy(Qcow2 *s, bool lazy, GError **error)
{
    if (lazy && s->version < 3) {
        return refuse("lazy_refcounts needs compatibility level 1.1 (compat=1.1)");
    }
    if (s->version < 3) {
        return true;
    }
    if (!lazy) {
        s->lazy = false;
        if (qcow2_flush(s) || qcow2_set_dirty(s, false)) {
            return refuse("cannot write '%s'", s->image.name);
        }
    }
    s->compatible = lazy ? s->compatible | QCOW2_COMPAT_LAZY : s->compatible & ~(uint64_t)QCOW2_COMPAT_LAZY;
    return write_header(s, error);
}

static bool amend_raw(Qcow2 *s, bool raw, GError **error)
{
    if (raw == s->raw_external) {
        return true;
    }
    if (raw) {
        return refuse("data_file_raw cannot be set on an image that exists");
    }
    s->raw_external = false;
    s->autoclear &= ~(uint64_t)QCOW2_AUTOCLEAR_RAW;
    return write_header(s, error);
}

static bool amend_data_file(Qcow2 *s, const char *name, GError **error)
{
    if (!s->external) {
        return refuse("'%s' has no external data file", s->image.name);
    }
    g_free(s->data_file_name);
    s->data_file_name = *name ? g_strdup(name) : NULL;
    return write_header(s, error);
}

typedef struct Amendment {
    char *compat, *backing, *backing_format, *data_file;
    uint64_t size, refcount_bits;
    bool lazy, raw;
} Amendment;

static void free_amendment(Amendment *a)
{
    g_free(a->compat);
    g_free(a->backing);
    g_free(a->backing_format);
    g_free(a->data_file);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Amendment, free_amendment)

static bool wants_version(const char *compat, unsigned *version, GError **error)
{
    *version = 0;
    if (!compat) {
        return true;
    }
    *version = !strcmp(compat, "0.10") || !strcmp(compat, "v2") ? 2 : !strcmp(compat, "1.1") || !strcmp(compat, "v3") ? 3 : 0;
    return *version || refuse("compat cannot be '%s'", compat);
}

static bool apply(Qcow2 *s, const Amendment *a, unsigned version, GError **error)
{
    if (version == 3 && !upgrade(s, error)) {
        return false;
    }
    if (a->refcount_bits != 1u << s->refcount_order && !qcow2_change_refcount_bits(s, a->refcount_bits, error)) {
        return false;
    }
    if (a->lazy != ((s->compatible & QCOW2_COMPAT_LAZY) != 0) && !amend_lazy(s, a->lazy, error)) {
        return false;
    }
    if (!amend_raw(s, a->raw, error) || (a->data_file && !amend_data_file(s, a->data_file, error))) {
        return false;
    }
    if ((a->backing || a->backing_format) &&
        !set_backing(s, a->backing ? a->backing : s->image.backing_name,
                     a->backing_format ? a->backing_format : s->image.backing_format, error)) {
        return false;
    }
    return version != 2 || downgrade(s, error);
}

bool qcow2_amend(BlockImage *image, Json *options, GError **error)
{
    Qcow2 *s = (Qcow2 *)image;
    g_auto(Amendment) a = { .size = s->size, .refcount_bits = 1u << s->refcount_order,
                            .lazy = s->compatible & QCOW2_COMPAT_LAZY, .raw = s->raw_external };
    unsigned version;
    bool done;

    if (!block_option_string(options, "compat", &a.compat, error) ||
        !block_option_string(options, "backing_file", &a.backing, error) ||
        !block_option_string(options, "backing_fmt", &a.backing_format, error) ||
        !block_option_string(options, "data_file", &a.data_file, error) ||
        !block_option_bool(options, "lazy_refcounts", &a.lazy, error) ||
        !block_option_bool(options, "data_file_raw", &a.raw, error) ||
        !block_option_u64(options, "refcount_bits", &a.refcount_bits, error) ||
        !block_option_size(options, "size", &a.size, error) || !wants_version(a.compat, &version, error)) {
        return false;
    }
    if (!begin(s, error)) {
        return false;
    }
    done = apply(s, &a, version, error);
    qcow2_whole_end(s);
    return done && (a.size == s->size || qcow2_resize(image, a.size, false, error) == 0);
}
