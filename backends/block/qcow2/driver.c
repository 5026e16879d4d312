/* The qcow2 driver: opening, closing, what it says of itself. */
#include "backends/block/qcow2/qcow2.h"
#include "util/error.h"

#include <errno.h>

enum { DEFAULT_L2_CACHE = 32 << 20, DEFAULT_REFCOUNT_CACHE = 8 << 20, MAX_SLICE_BITS = 16, MIN_SLICE_BITS = 9 };

static int qcow2_probe(const uint8_t *head, size_t size, const char *name)
{
    return size >= QCOW2_V2_HEADER && load_be32(head) == QCOW2_MAGIC && load_be32(head + 4) >= 2 ? 100 : 0;
}

/* ---- options ---- */

typedef struct Options {
    uint64_t l2_cache, refcount_cache, entry_size;
    bool lazy, pass_discard;
} Options;

/* Shares a "cache-size" between the two caches, most of it for L2 tables. */
static bool read_cache_options(Qcow2 *s, Json *json, Options *o, GError **error)
{
    uint64_t both = 0, interval, needed = (s->size >> s->l2_bits) + s->cluster_size;

    o->l2_cache = MIN(DEFAULT_L2_CACHE, MAX(needed, 1 << 20));
    o->refcount_cache = DEFAULT_REFCOUNT_CACHE;
    o->entry_size = MIN(s->cluster_size, 1u << MAX_SLICE_BITS);
    if (!block_option_size(json, "cache-size", &both, error)) {
        return false;
    }
    if (both) {
        o->refcount_cache = MAX(both / 8, 4 * o->entry_size);
        o->l2_cache = both > o->refcount_cache ? both - o->refcount_cache : 0;
    }
    if (!block_option_size(json, "l2-cache-size", &o->l2_cache, error) ||
        !block_option_size(json, "refcount-cache-size", &o->refcount_cache, error) ||
        !block_option_size(json, "l2-cache-entry-size", &o->entry_size, error) ||
        !block_option_u64(json, "cache-clean-interval", &interval, error)) { /* the caches are small: nothing to clean */
        return false;
    }
    if (o->entry_size < 1u << MIN_SLICE_BITS || o->entry_size > s->cluster_size || o->entry_size & (o->entry_size - 1)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "l2-cache-entry-size must be a power of two from 512 to the cluster size");
        return false;
    }
    return true;
}

static bool read_options(Qcow2 *s, BlockOpen *how, Options *o, GError **error)
{
    bool ignored;

    o->lazy = s->compatible & QCOW2_COMPAT_LAZY || how->flags & BLOCK_OPEN_LAZY_REFCOUNTS;
    o->pass_discard = how->flags & BLOCK_OPEN_DISCARD;
    json_free(json_remove(how->options, "overlap-check")); /* the checks here are the cheap ones, and always on */
    return read_cache_options(s, how->options, o, error) &&
           block_option_bool(how->options, "lazy-refcounts", &o->lazy, error) &&
           block_option_bool(how->options, "pass-discard-request", &o->pass_discard, error) &&
           block_option_bool(how->options, "pass-discard-snapshot", &ignored, error) &&
           block_option_bool(how->options, "pass-discard-other", &ignored, error) &&
           block_option_bool(how->options, "discard-no-unref", &ignored, error);
}

/* ---- the external data file ---- */

static bool open_data_file(Qcow2 *s, BlockOpen *how, GError **error)
{
    const Json *given = json_get(how->options, "data-file");
    unsigned flags = how->flags & ~(BLOCK_OPEN_CHECK | BLOCK_OPEN_NO_BACKING);

    if (!s->external) {
        s->data = s->image.file;
        if (given) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' has no external data file", how->name);
            return false;
        }
        return true;
    }
    if (given && json_kind(given) == JSON_OBJECT) {
        s->data = block_image_open(NULL, "raw", given, flags, error);
    } else if (given) {
        s->data = block_image_find(json_get_string(given));
        s->data = s->data ? block_image_ref(s->data) : block_image_open(json_get_string(given), "raw", NULL, flags, error);
    } else if (s->data_file_name) {
        g_autofree char *name = block_name_relative_to(how->name, s->data_file_name);

        s->data = block_image_open(name, "raw", NULL, flags, error);
    } else {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' needs its external data file: use data-file", how->name);
    }
    json_free(json_remove(how->options, "data-file"));
    return s->data != NULL;
}

/* ---- opening ---- */

/* What must be true before the first write. */
static bool prepare_writing(Qcow2 *s, unsigned flags, GError **error)
{
    uint64_t known = s->autoclear & QCOW2_AUTOCLEAR_KNOWN;
    int failed = 0;

    if (s->autoclear != known) {
        s->autoclear = known;
        failed = qcow2_write_features(s);
    }
    if (!failed && s->incompatible & QCOW2_INCOMPAT_DIRTY && !(flags & BLOCK_OPEN_CHECK)) {
        BlockCheck result = { 0 };

        failed = qcow2_check(&s->image, BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS, &result, error);
        if (!failed && (result.corruptions || result.check_errors)) {
            failed = EIO;
        }
    }
    if (failed && error && !*error) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "cannot make the image ready for writing: %s", g_strerror(failed));
    }
    return !failed;
}

static bool open_tables(Qcow2 *s, const Options *o, GError **error)
{
    unsigned slice_bits = __builtin_ctzll(o->entry_size), refs_bits = MIN(s->cluster_bits, MAX_SLICE_BITS);

    table_cache_init(&s->l2, s->image.file, &s->lock, true, slice_bits, o->l2_cache);
    table_cache_init(&s->refs, s->image.file, &s->refs_lock, false, refs_bits, o->refcount_cache);
    s->l1 = qcow2_read_table(s, s->l1_offset, s->l1_size, error);
    s->l1_dirty_from = UINT32_MAX;
    return s->l1 && qcow2_refcounts_open(s, error) && qcow2_snapshots_open(s, error) && qcow2_bitmaps_open(s, error);
}

static Qcow2 *new_image(BlockOpen *how)
{
    Qcow2 *s = g_new0(Qcow2, 1);

    s->image.driver = &block_qcow2;
    s->image.file = how->file;
    s->image.name = (char *)how->name; /* for messages during open; the core sets its own */
    s->writable = !(how->flags & BLOCK_OPEN_READONLY);
    s->frees = g_array_new(FALSE, FALSE, sizeof(Qcow2Free));
    s->free_batches = g_ptr_array_new();
    g_rw_lock_init(&s->ops);
    g_mutex_init(&s->flushing);
    g_mutex_init(&s->tables_lock);
    g_mutex_init(&s->refs_lock);
    g_mutex_init(&s->lock);
    g_cond_init(&s->settled);
    return s;
}

static void free_image(Qcow2 *s)
{
    table_cache_free(&s->l2);
    table_cache_free(&s->refs);
    qcow2_crypt_close(s);
    qcow2_snapshots_close(s);
    qcow2_bitmaps_close(s);
    qcow2_free_header(s);
    qcow2_free_inflated(s);
    if (s->data && s->data != s->image.file) {
        block_image_close(s->data);
    }
    g_free(s->l1);
    g_free(s->reftable);
    g_array_unref(s->frees);
    g_ptr_array_unref(s->free_batches);
    g_rw_lock_clear(&s->ops);
    g_mutex_clear(&s->flushing);
    g_mutex_clear(&s->tables_lock);
    g_mutex_clear(&s->refs_lock);
    g_mutex_clear(&s->lock);
    g_cond_clear(&s->settled);
    g_free(s);
}

BlockImage *qcow2_open(BlockOpen *how, GError **error)
{
    Qcow2 *s = new_image(how);
    Options o;

    if (!qcow2_read_header(s, how->flags & BLOCK_OPEN_CHECK, error) || !read_options(s, how, &o, error) ||
        !qcow2_crypt_open(s, how->options, how->flags, error) || !open_data_file(s, how, error) ||
        !open_tables(s, &o, error)) {
        goto failed;
    }
    if (!qcow2_compression_supported(s->compression)) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "this program was built without zstd, which '%s' needs", how->name);
        goto failed;
    }
    s->lazy = o.lazy && s->version >= 3;
    s->discard_passes = o.pass_discard;
    s->fresh_from = s->image.file->growable ? block_image_size(s->image.file) : UINT64_MAX;
    s->known_end = s->image.file->growable ? qcow2_clusters(s, s->fresh_from) : 0;
    s->image.cluster_size = s->cluster_size;
    s->image.encrypted = s->crypt_method != QCOW2_CRYPT_NONE;
    s->image.align = s->image.encrypted ? 512 : 0;
    s->image.zero_init = true;
    if (s->writable && !prepare_writing(s, how->flags, error)) {
        goto failed;
    }
    s->image.name = NULL;
    return &s->image;
failed:
    g_free(s->image.backing_name);
    g_free(s->image.backing_format);
    free_image(s);
    return NULL;
}

static int finish_writing(Qcow2 *s)
{
    int error = qcow2_whole_begin(s);

    if (!error) {
        error = qcow2_bitmaps_save(s);
    }
    s->lazy = false; /* write refcounts too */
    if (!error) {
        error = qcow2_flush(s); /* those of what the bitmaps and the last flush let go */
    }
    if (!error && s->dirty_marked && !(s->image.flags & BLOCK_OPEN_CHECK)) {
        error = qcow2_set_dirty(s, false);
    }
    qcow2_whole_end(s);
    return error;
}

void qcow2_close(BlockImage *image)
{
    Qcow2 *s = (Qcow2 *)image;

    if (s->writable) {
        finish_writing(s);
    }
    free_image(s);
}

static bool qcow2_reopen(BlockImage *image, unsigned flags, GError **error)
{
    Qcow2 *s = (Qcow2 *)image;
    bool writable = !(flags & BLOCK_OPEN_READONLY), lazy = s->lazy;
    int failed;

    if (writable == s->writable) {
        return true;
    }
    if (!writable) {
        failed = finish_writing(s);
        s->lazy = lazy;
        s->recording = false;
        s->writable = false;
        if (failed) {
            g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write '%s': %s", image->name, g_strerror(failed));
        }
        return !failed;
    }
    if (s->incompatible & QCOW2_INCOMPAT_CORRUPT) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s' is marked corrupt", image->name);
        return false;
    }
    s->writable = true;
    if (!prepare_writing(s, flags, error)) {
        s->writable = false;
    }
    return s->writable;
}

static uint64_t qcow2_size(BlockImage *image)
{
    return ((Qcow2 *)image)->size;
}

static int qcow2_flush_image(BlockImage *image)
{
    Qcow2 *s = (Qcow2 *)image;
    int error;

    if (!s->writable) {
        return 0;
    }
    g_rw_lock_reader_lock(&s->ops);
    error = qcow2_flush(s);
    g_rw_lock_reader_unlock(&s->ops);
    return error;
}

static void qcow2_info(BlockImage *image, Json *specific)
{
    Qcow2 *s = (Qcow2 *)image;

    json_set_string(specific, "compat", s->version == 2 ? "0.10" : "1.1");
    if (s->version >= 3 && s->data_file_name) {
        json_set_string(specific, "data-file", s->data_file_name);
    }
    if (s->external) {
        json_set_bool(specific, "data-file-raw", s->raw_external);
    }
    json_set_string(specific, "compression-type", s->compression == QCOW2_ZSTD ? "zstd" : "zlib");
    if (s->version >= 3) {
        json_set_bool(specific, "lazy-refcounts", s->compatible & QCOW2_COMPAT_LAZY);
    }
    json_set_int(specific, "refcount-bits", 1 << s->refcount_order);
    qcow2_crypt_info(s, specific);
    if (s->version >= 3) {
        json_set_bool(specific, "corrupt", s->incompatible & QCOW2_INCOMPAT_CORRUPT);
        qcow2_bitmaps_info(s, specific);
        json_set_bool(specific, "extended-l2", s->entry_bits == 4);
    }
    json_set_bool(specific, "dirty-flag", s->incompatible & QCOW2_INCOMPAT_DIRTY);
}

const BlockDriver block_qcow2 = {
    .name = "qcow2",
    .probe = qcow2_probe,
    .supports_backing = true,
    .open = qcow2_open,
    .close = qcow2_close,
    .size = qcow2_size,
    .reopen = qcow2_reopen,
    .read = qcow2_read,
    .write = qcow2_write,
    .flush = qcow2_flush_image,
    .discard = qcow2_discard,
    .write_zeroes = qcow2_write_zeroes,
    .write_compressed = qcow2_write_compressed,
    .status = qcow2_status,
    .resolve = qcow2_resolve,
    .resolved = qcow2_resolved,
    .create_options = qcow2_create_options,
    .create = qcow2_create,
    .resize = qcow2_resize,
    .check = qcow2_check,
    .amend = qcow2_amend,
    .change_backing = qcow2_change_backing,
    .make_empty = qcow2_make_empty,
    .measure = qcow2_measure,
    .info = qcow2_info,
    .snapshot_list = qcow2_snapshot_list,
    .snapshot_create = qcow2_snapshot_create,
    .snapshot_apply = qcow2_snapshot_apply,
    .snapshot_delete = qcow2_snapshot_delete,
    .snapshot_view = qcow2_snapshot_view,
    .bitmap_change = qcow2_bitmap_change,
    .bitmap_merge = qcow2_bitmap_merge,
    .vm_state_read = qcow2_vm_state_read,
    .vm_state_write = qcow2_vm_state_write,
};
