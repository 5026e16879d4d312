/* Changes of persistent dirty bitmaps themselves: made, removed, cleared, switched, merged. */
#include "backends/block/qcow2/qcow2.h"
#include "util/error.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { TYPE_DIRTY = 1, MIN_GRANULARITY_BITS = 9, MAX_GRANULARITY_BITS = 31, USUAL_GRANULARITY = 4096, MAX_NAME = 1023 };

static Qcow2Bitmap *find(Qcow2 *s, const char *name)
{
    for (guint i = 0; s->bitmaps && i < s->bitmaps->len; i++) {
        Qcow2Bitmap *bitmap = g_ptr_array_index(s->bitmaps, i);

        if (g_str_equal(bitmap->name, name)) {
            return bitmap;
        }
    }
    return NULL;
}

static Qcow2Bitmap *find_sound(Qcow2 *s, const char *name, GError **error)
{
    Qcow2Bitmap *bitmap = find(s, name);

    if (!bitmap) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "Dirty bitmap '%s' not found", name);
    } else if (bitmap->flags & QCOW2_BITMAP_IN_USE) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "Bitmap '%s' is inconsistent and cannot be used: it can be removed", name);
    } else if (bitmap->type != TYPE_DIRTY || (bitmap->extra_size && !(bitmap->flags & QCOW2_BITMAP_EXTRA_OK))) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "Bitmap '%s' is of a kind that this program does not know", name);
    } else {
        return bitmap;
    }
    return NULL;
}

static bool failed(int code, const char *what, const char *name, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_HOST, "Failed to %s bitmap '%s': %s", what, name, g_strerror(code));
    return false;
}

/* ---- made and removed ---- */

static bool choose_granularity(const Qcow2 *s, uint64_t wanted, uint8_t *bits, GError **error)
{
    wanted = wanted ? wanted : MAX(s->cluster_size, USUAL_GRANULARITY);
    if (wanted & (wanted - 1) || wanted < 1u << MIN_GRANULARITY_BITS || wanted > 1ull << MAX_GRANULARITY_BITS) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "Granularity must be a power of 2 from 512 to 2G, and not %" PRIu64, wanted);
        return false;
    }
    *bits = __builtin_ctzll(wanted);
    return true;
}

/* Why the image cannot have one of that name; NULL: it can. */
static const char *refusal(Qcow2 *s, const char *name)
{
    if (s->version < 3) {
        return "Cannot store dirty bitmaps in qcow2 v2 files";
    }
    if (!*name || strlen(name) > MAX_NAME) {
        return *name ? "Bitmap name too long" : "Bitmap name cannot be empty";
    }
    if (find(s, name)) {
        return "Bitmap already exists";
    }
    return s->bitmaps && s->bitmaps->len >= QCOW2_MAX_BITMAPS ? "The image has as many bitmaps as it can hold" : NULL;
}

static bool add(Qcow2 *s, const char *name, uint64_t granularity, GError **error)
{
    const char *reason = refusal(s, name);
    Qcow2Bitmap *bitmap;
    g_autofree uint64_t *empty = NULL;
    uint64_t table_clusters;
    uint8_t bits;
    int code;

    if (reason) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: %s", reason, name);
        return false;
    }
    if (!choose_granularity(s, granularity, &bits, error)) {
        return false;
    }
    bitmap = g_new0(Qcow2Bitmap, 1);
    bitmap->type = TYPE_DIRTY;
    bitmap->flags = QCOW2_BITMAP_AUTO;
    bitmap->granularity_bits = bits;
    bitmap->name = g_strdup(name);
    bitmap->table_size = qcow2_clusters(s, qcow2_bitmap_bytes(s, bitmap));
    table_clusters = MAX(qcow2_clusters(s, bitmap->table_size * 8ull), 1);
    empty = g_new0(uint64_t, MAX(bitmap->table_size, 1));
    code = bitmap->table_size > QCOW2_MAX_L1 / 8 ? EFBIG : qcow2_alloc_exactly(s, table_clusters, &bitmap->table_offset);
    if (!code) {
        code = qcow2_write_table(s, bitmap->table_offset, empty, bitmap->table_size);
    }
    if (!code) {
        s->bitmaps = s->bitmaps ? s->bitmaps : g_ptr_array_new();
        g_ptr_array_add(s->bitmaps, bitmap);
        code = qcow2_bitmaps_move_directory(s);
        if (!code) {
            return true;
        }
        g_ptr_array_set_size(s->bitmaps, s->bitmaps->len - 1);
    }
    if (bitmap->table_offset) {
        qcow2_unalloc(s, bitmap->table_offset, table_clusters);
    }
    qcow2_bitmap_free(bitmap);
    return failed(code, "add", name, error);
}

/* Its clusters; a damaged table's leak. */
static void free_clusters(Qcow2 *s, const Qcow2Bitmap *bitmap)
{
    g_autofree uint64_t *table = qcow2_read_table(s, bitmap->table_offset, bitmap->table_size, NULL);

    for (uint32_t i = 0; table && i < bitmap->table_size; i++) {
        uint64_t offset = table[i] & QCOW2_OFFSET;

        if (offset && !(offset & (s->cluster_size - 1))) {
            qcow2_unalloc(s, offset, 1);
        }
    }
    qcow2_unalloc(s, bitmap->table_offset, MAX(qcow2_clusters(s, bitmap->table_size * 8ull), 1));
}

static bool drop(Qcow2 *s, const char *name, GError **error)
{
    Qcow2Bitmap *bitmap = find(s, name);
    guint at = 0;
    int code;

    if (!bitmap) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "Dirty bitmap '%s' not found", name);
        return false;
    }
    code = qcow2_bitmaps_save(s); /* what an earlier change left in memory */
    if (!code) {
        g_ptr_array_find(s->bitmaps, bitmap, &at);
        g_ptr_array_remove_index(s->bitmaps, at);
        code = qcow2_bitmaps_move_directory(s);
        if (code) {
            g_ptr_array_insert(s->bitmaps, at, bitmap);
        }
    }
    if (code) {
        return failed(code, "remove", name, error);
    }
    free_clusters(s, bitmap);
    qcow2_bitmap_free(bitmap);
    return true;
}

/* ---- content ---- */

/* In use meanwhile: a crash leaves nothing that looks sound. The caller saves. */
static bool load_for_change(Qcow2 *s, Qcow2Bitmap *bitmap, const char *what, GError **error)
{
    int code;

    if (!qcow2_bitmap_load(s, bitmap)) {
        return failed(EIO, what, bitmap->name, error);
    }
    bitmap->flags |= QCOW2_BITMAP_IN_USE;
    code = qcow2_bitmaps_write_directory(s);
    return !code || failed(code, what, bitmap->name, error);
}

static bool save(Qcow2 *s, const Qcow2Bitmap *bitmap, const char *what, GError **error)
{
    int code = qcow2_bitmaps_save(s);

    return !code || failed(code, what, bitmap->name, error);
}

static bool clear(Qcow2 *s, const char *name, GError **error)
{
    Qcow2Bitmap *bitmap = find_sound(s, name, error);

    if (!bitmap || !load_for_change(s, bitmap, "clear", error)) {
        return false;
    }
    memset(bitmap->bits, 0, (uint64_t)bitmap->table_size << s->cluster_bits);
    return save(s, bitmap, "clear", error);
}

static bool set_recording(Qcow2 *s, const char *name, bool on, GError **error)
{
    Qcow2Bitmap *bitmap = find_sound(s, name, error);
    int code;

    if (!bitmap) {
        return false;
    }
    bitmap->flags = on ? bitmap->flags | QCOW2_BITMAP_AUTO : bitmap->flags & ~(uint32_t)QCOW2_BITMAP_AUTO;
    code = qcow2_bitmaps_write_directory(s);
    return !code || failed(code, on ? "enable" : "disable", name, error);
}

static void merge(Qcow2 *s, Qcow2Bitmap *to, const Qcow2Bitmap *from)
{
    uint64_t grain = 1ull << from->granularity_bits;

    for (uint64_t offset = 0, bit = 0; offset < s->size; offset += grain, bit++) {
        if (from->bits[bit / 8] >> bit % 8 & 1) {
            qcow2_bitmap_mark(to, offset, MIN(grain, s->size - offset));
        }
    }
}

/* ---- the driver's functions ---- */

bool qcow2_bitmap_change(BlockImage *image, BlockBitmapAction action, const char *name, uint64_t granularity, GError **error)
{
    Qcow2 *s = (Qcow2 *)image;
    int code = qcow2_whole_begin(s);
    bool ok = false;

    if (code) {
        failed(code, "change", name, error);
    } else if (action == BLOCK_BITMAP_ADD) {
        ok = add(s, name, granularity, error);
    } else if (action == BLOCK_BITMAP_REMOVE) {
        ok = drop(s, name, error);
    } else if (action == BLOCK_BITMAP_CLEAR) {
        ok = clear(s, name, error);
    } else {
        ok = set_recording(s, name, action == BLOCK_BITMAP_ENABLE, error);
    }
    qcow2_whole_end(s);
    return ok;
}

bool qcow2_bitmap_merge(BlockImage *image, const char *name, BlockImage *source, const char *source_name, GError **error)
{
    Qcow2 *s = (Qcow2 *)image, *other = (Qcow2 *)source;
    Qcow2Bitmap *to, *from;
    int code = qcow2_whole_begin(s);
    bool ok = false;

    to = code ? NULL : find_sound(s, name, error);
    from = to ? find_sound(other, source_name, error) : NULL;
    if (code) {
        failed(code, "merge into", name, error);
    } else if (from == to) {
        ok = to != NULL;
    } else if (from && s->size != other->size) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "Bitmaps are of different sizes (destination size is %" PRIu64
                    ", source size is %" PRIu64 ")", s->size, other->size);
    } else if (from && !qcow2_bitmap_load(other, from)) {
        failed(EIO, "read", source_name, error);
    } else if (from && load_for_change(s, to, "merge into", error)) {
        merge(s, to, from);
        ok = true;
    }
    if (from && from != to) {
        g_clear_pointer(&from->bits, g_free);
        g_clear_pointer(&from->table, g_free);
    }
    if (ok && from != to) {
        ok = save(s, to, "merge into", error);
    }
    qcow2_whole_end(s);
    return ok;
}
