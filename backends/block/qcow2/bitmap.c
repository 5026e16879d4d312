/*
 * Persistent dirty bitmaps in qcow2 images. Those that are to record changes are kept in memory while the disk is written
 * and saved at the end; meanwhile, and after a crash, they are marked as in use, which tells others not to trust them.
 */
#include "backends/block/qcow2/qcow2.h"
#include "util/error.h"

#include <errno.h>

enum { ENTRY_HEAD = 24, KNOWN_FLAGS = 7, TYPE_DIRTY = 1, MAX_BITS_SIZE = 256 << 20 };

void qcow2_bitmap_free(Qcow2Bitmap *bitmap)
{
    if (bitmap) {
        g_free(bitmap->name);
        g_free(bitmap->extra);
        g_free(bitmap->table);
        g_free(bitmap->bits);
        g_free(bitmap);
    }
}

void qcow2_bitmaps_close(Qcow2 *s)
{
    for (guint i = 0; s->bitmaps && i < s->bitmaps->len; i++) {
        qcow2_bitmap_free(g_ptr_array_index(s->bitmaps, i));
    }
    g_clear_pointer(&s->bitmaps, g_ptr_array_unref);
}

/* ---- the directory ---- */

static uint64_t parse_entry(Qcow2 *s, const uint8_t *at, uint64_t room, Qcow2Bitmap **out)
{
    Qcow2Bitmap *bitmap;
    uint16_t name_size;
    uint64_t size;

    if (room < ENTRY_HEAD) {
        return 0;
    }
    name_size = load_be16(at + 18);
    size = round_up(ENTRY_HEAD + (uint64_t)name_size + load_be32(at + 20), 8);
    if (size > room || !name_size || at[17] > 63 || load_be32(at + 12) & ~KNOWN_FLAGS ||
        load_be64(at) & (s->cluster_size - 1) || load_be32(at + 8) > QCOW2_MAX_L1 / 8) {
        return 0;
    }
    bitmap = g_new0(Qcow2Bitmap, 1);
    bitmap->table_offset = load_be64(at);
    bitmap->table_size = load_be32(at + 8);
    bitmap->flags = load_be32(at + 12);
    bitmap->type = at[16];
    bitmap->granularity_bits = at[17];
    bitmap->extra_size = load_be32(at + 20);
    bitmap->extra = g_memdup2(at + ENTRY_HEAD, bitmap->extra_size);
    bitmap->name = g_strndup((const char *)at + ENTRY_HEAD + bitmap->extra_size, name_size);
    *out = bitmap;
    return size;
}

bool qcow2_bitmaps_open(Qcow2 *s, GError **error)
{
    g_autofree uint8_t *directory = NULL;
    uint64_t at = 0, end = round_up(block_image_size(s->image.file), s->cluster_size);
    int failed;

    if (!s->bitmaps) {
        return true;
    }
    if (s->bitmaps_offset >= end || s->bitmaps_size > end - s->bitmaps_offset) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "the bitmap directory lies outside of the file");
        return false;
    }
    directory = g_try_malloc(s->bitmaps_size);
    failed = directory ? block_image_read(s->image.file, s->bitmaps_offset, directory, s->bitmaps_size) : ENOMEM;
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot read the bitmap directory: %s", g_strerror(failed));
        return false;
    }
    for (guint i = 0; i < s->bitmaps->len; i++) {
        Qcow2Bitmap *bitmap = NULL;
        uint64_t size = parse_entry(s, directory + at, s->bitmaps_size - at, &bitmap);

        s->bitmaps->pdata[i] = bitmap;
        if (!size) {
            g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "bitmap %u of the image is damaged", i);
            return false;
        }
        at += size;
    }
    return true;
}

static GByteArray *make_directory(Qcow2 *s)
{
    GByteArray *out = g_byte_array_new();

    for (guint i = 0; i < s->bitmaps->len; i++) {
        const Qcow2Bitmap *bitmap = g_ptr_array_index(s->bitmaps, i);
        uint8_t head[ENTRY_HEAD] = { 0 }, padding[8] = { 0 };

        store_be64(head, bitmap->table_offset);
        store_be32(head + 8, bitmap->table_size);
        store_be32(head + 12, bitmap->flags);
        head[16] = bitmap->type;
        head[17] = bitmap->granularity_bits;
        store_be16(head + 18, strlen(bitmap->name));
        store_be32(head + 20, bitmap->extra_size);
        g_byte_array_append(out, head, ENTRY_HEAD);
        g_byte_array_append(out, bitmap->extra, bitmap->extra_size);
        g_byte_array_append(out, (const uint8_t *)bitmap->name, strlen(bitmap->name));
        g_byte_array_append(out, padding, round_up(out->len, 8) - out->len);
    }
    return out;
}

int qcow2_bitmaps_write_directory(Qcow2 *s)
{
    g_autoptr(GByteArray) out = make_directory(s);
    int error = out->len == s->bitmaps_size ? block_image_write(s->image.file, s->bitmaps_offset, out->data, out->len) : EIO;

    return error ? error : block_image_flush(s->image.file);
}

int qcow2_bitmaps_move_directory(Qcow2 *s)
{
    g_autoptr(GByteArray) out = make_directory(s);
    uint64_t offset = 0, old_offset = s->bitmaps_offset, old_size = s->bitmaps_size, old_features = s->autoclear;
    int error = out->len > QCOW2_MAX_BITMAP_DIRECTORY ? EFBIG : 0;

    if (!error && out->len) {
        error = qcow2_alloc_exactly(s, qcow2_clusters(s, out->len), &offset);
        error = error ? error : block_image_write(s->image.file, offset, out->data, out->len);
    }
    if (!error) {
        error = qcow2_flush(s); /* refcounts before references */
    }
    if (!error) {
        s->bitmaps_offset = offset;
        s->bitmaps_size = out->len;
        s->autoclear = out->len ? old_features | QCOW2_AUTOCLEAR_BITMAPS : old_features & ~(uint64_t)QCOW2_AUTOCLEAR_BITMAPS;
        error = qcow2_write_header(s);
        error = error ? error : block_image_flush(s->image.file);
    }
    if (error) {
        s->bitmaps_offset = old_offset;
        s->bitmaps_size = old_size;
        s->autoclear = old_features;
        if (offset) {
            qcow2_unalloc(s, offset, qcow2_clusters(s, out->len));
        }
    } else if (old_size) {
        qcow2_unalloc(s, old_offset, qcow2_clusters(s, old_size));
    }
    return error;
}

/* ---- recording ---- */

static bool records(const Qcow2Bitmap *bitmap)
{
    return bitmap->type == TYPE_DIRTY && bitmap->flags & QCOW2_BITMAP_AUTO && !(bitmap->flags & QCOW2_BITMAP_IN_USE) &&
           (!bitmap->extra_size || bitmap->flags & QCOW2_BITMAP_EXTRA_OK);
}

uint64_t qcow2_bitmap_bytes(const Qcow2 *s, const Qcow2Bitmap *bitmap)
{
    uint64_t size = s->size, bits = (size >> bitmap->granularity_bits) + ((size & ((1ull << bitmap->granularity_bits) - 1)) != 0);

    return (bits + 7) / 8;
}

bool qcow2_bitmap_load(Qcow2 *s, Qcow2Bitmap *bitmap)
{
    uint64_t size = qcow2_bitmap_bytes(s, bitmap);

    bitmap->bits_size = size;
    if (size > MAX_BITS_SIZE || qcow2_clusters(s, size) != bitmap->table_size) {
        return false;
    }
    bitmap->bits = g_try_malloc0(round_up(size, s->cluster_size) + 1);
    bitmap->table = qcow2_read_table(s, bitmap->table_offset, bitmap->table_size, NULL);
    for (uint32_t i = 0; bitmap->bits && bitmap->table && i < bitmap->table_size; i++) {
        uint64_t entry = bitmap->table[i], offset = entry & QCOW2_OFFSET;
        uint8_t *at = bitmap->bits + ((uint64_t)i << s->cluster_bits);

        if (!offset) {
            memset(at, entry & 1 ? 0xff : 0, s->cluster_size);
        } else if (offset & (s->cluster_size - 1) || block_image_read(s->image.file, offset, at, s->cluster_size)) {
            g_clear_pointer(&bitmap->table, g_free);
        }
    }
    if (!bitmap->bits || !bitmap->table) {
        g_clear_pointer(&bitmap->bits, g_free);
        return false;
    }
    return true;
}

int qcow2_bitmaps_start(Qcow2 *s)
{
    bool any = false;
    int error = 0;

    if (g_atomic_int_get(&s->recording)) {
        return 0;
    }
    g_mutex_lock(&s->tables_lock);
    if (!s->recording) {
        for (guint i = 0; s->bitmaps && i < s->bitmaps->len; i++) {
            Qcow2Bitmap *bitmap = g_ptr_array_index(s->bitmaps, i);

            if (records(bitmap)) {
                qcow2_bitmap_load(s, bitmap); /* if that fails it stays marked in use */
                bitmap->flags |= QCOW2_BITMAP_IN_USE;
                any = true;
            }
        }
        error = any ? qcow2_bitmaps_write_directory(s) : 0;
        g_atomic_int_set(&s->recording, !error);
    }
    g_mutex_unlock(&s->tables_lock);
    return error;
}

void qcow2_bitmap_mark(Qcow2Bitmap *bitmap, uint64_t offset, uint64_t size)
{
    uint64_t last = (offset + size - 1) >> bitmap->granularity_bits;

    for (uint64_t bit = offset >> bitmap->granularity_bits; bit <= last; bit++) {
        bitmap->bits[bit / 8] |= 1u << bit % 8;
    }
}

void qcow2_bitmaps_mark(Qcow2 *s, uint64_t offset, uint64_t size)
{
    for (guint i = 0; s->bitmaps && i < s->bitmaps->len && size; i++) {
        Qcow2Bitmap *bitmap = g_ptr_array_index(s->bitmaps, i);

        if (bitmap->bits) {
            qcow2_bitmap_mark(bitmap, offset, size);
        }
    }
}

/* ---- saving ---- */

static bool is_zero(const uint8_t *at, size_t size)
{
    return !at[0] && !memcmp(at, at + 1, size - 1);
}

/* The bits, in clusters of their own; table entries for what is in the file already stay. */
static int store_bits(Qcow2 *s, Qcow2Bitmap *bitmap)
{
    int error = 0;

    for (uint32_t i = 0; i < bitmap->table_size && !error; i++) {
        const uint8_t *at = bitmap->bits + ((uint64_t)i << s->cluster_bits);
        uint64_t offset = bitmap->table[i] & QCOW2_OFFSET;

        if (is_zero(at, s->cluster_size)) {
            if (offset) {
                g_mutex_lock(&s->lock);
                qcow2_free_later(s, offset, 1, false);
                g_mutex_unlock(&s->lock);
            }
            bitmap->table[i] = 0;
            continue;
        }
        if (!offset) {
            error = qcow2_alloc_exactly(s, 1, &offset);
        }
        if (!error) {
            bitmap->table[i] = offset;
            error = block_image_write(s->image.file, offset, at, s->cluster_size);
        }
    }
    return error;
}

int qcow2_bitmaps_save(Qcow2 *s)
{
    bool any = false;
    int error = 0;

    for (guint i = 0; s->bitmaps && i < s->bitmaps->len && !error; i++) {
        Qcow2Bitmap *bitmap = g_ptr_array_index(s->bitmaps, i);

        if (bitmap->bits) {
            error = store_bits(s, bitmap);
            any = true;
        }
    }
    if (!any || error) {
        return error;
    }
    error = qcow2_flush(s); /* their refcounts before their references */
    for (guint i = 0; i < s->bitmaps->len && !error; i++) {
        Qcow2Bitmap *bitmap = g_ptr_array_index(s->bitmaps, i);

        if (bitmap->bits) {
            error = qcow2_write_table(s, bitmap->table_offset, bitmap->table, bitmap->table_size);
            bitmap->flags &= ~QCOW2_BITMAP_IN_USE;
            g_clear_pointer(&bitmap->bits, g_free);
            g_clear_pointer(&bitmap->table, g_free);
        }
    }
    if (!error) {
        error = block_image_flush(s->image.file);
    }
    return error ? error : qcow2_bitmaps_write_directory(s);
}

/* ---- what is shown ---- */

void qcow2_bitmaps_info(Qcow2 *s, Json *specific)
{
    Json *list;

    if (!s->bitmaps || !s->bitmaps->len) {
        return;
    }
    list = json_array();
    for (guint i = 0; i < s->bitmaps->len; i++) {
        const Qcow2Bitmap *bitmap = g_ptr_array_index(s->bitmaps, i);
        Json *one = json_object(), *flags = json_array();

        if (bitmap->flags & QCOW2_BITMAP_IN_USE) {
            json_append(flags, json_string("in-use"));
        }
        if (bitmap->flags & QCOW2_BITMAP_AUTO) {
            json_append(flags, json_string("auto"));
        }
        json_set(one, "flags", flags);
        json_set_string(one, "name", bitmap->name);
        json_set(one, "granularity", json_uint(1ull << bitmap->granularity_bits));
        json_append(list, one);
    }
    json_set(specific, "bitmaps", list);
}
