/* The qcow2 header: fixed fields, feature bits, header extensions, backing file name. */
#include "backends/block/qcow2/qcow2.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <inttypes.h>

enum {
    EXT_END = 0,
    EXT_BACKING_FORMAT = (int)0xe2792aca,
    EXT_FEATURE_NAMES = 0x6803f857,
    EXT_BITMAPS = 0x23852875,
    EXT_CRYPT = 0x0537be77,
    EXT_DATA_FILE = 0x44415441,
};

enum { /* offsets of fields */
    AT_BACKING_OFFSET = 8, AT_BACKING_SIZE = 16, AT_CLUSTER_BITS = 20, AT_SIZE = 24, AT_CRYPT = 32, AT_L1_SIZE = 36,
    AT_L1_OFFSET = 40, AT_REFTABLE_OFFSET = 48, AT_REFTABLE_CLUSTERS = 56, AT_SNAPSHOTS = 60, AT_SNAPSHOTS_OFFSET = 64,
    AT_INCOMPATIBLE = 72, AT_COMPATIBLE = 80, AT_AUTOCLEAR = 88, AT_REFCOUNT_ORDER = 96, AT_LENGTH = 100,
    AT_COMPRESSION = 104, V3_LENGTH_WRITTEN = 112,
};

typedef struct FeatureName {
    uint8_t kind, bit; /* 0 incompatible, 1 compatible, 2 autoclear */
    char name[46];
} FeatureName;

static const FeatureName feature_names[] = {
    { 0, 0, "dirty bit" },        { 0, 1, "corrupt bit" },         { 0, 2, "external data file" },
    { 0, 3, "compression type" }, { 0, 4, "extended L2 entries" }, { 1, 0, "lazy refcounts" },
    { 2, 0, "bitmaps" },          { 2, 1, "raw external data" },
};

#define bad(...) g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, __VA_ARGS__)

static bool is_cluster(const Qcow2 *s, uint64_t offset)
{
    return (offset & (s->cluster_size - 1)) == 0;
}

/* ---- reading ---- */

/* Names of the unknown features, from the image's own table where it has them. */
static char *name_features(uint64_t bits, const uint8_t *table, size_t size)
{
    GString *text = g_string_new(NULL);

    for (unsigned bit = 0; bit < 64; bit++) {
        size_t at = 0;

        if (!(bits >> bit & 1)) {
            continue;
        }
        g_string_append(text, text->len ? ", " : "");
        while (at + 48 <= size && (table[at] != 0 || table[at + 1] != bit)) {
            at += 48;
        }
        if (at + 48 <= size) {
            g_autofree char *name = g_strndup((const char *)table + at + 2, 46);
            g_autofree char *clean = g_utf8_make_valid(name, -1);

            g_string_append(text, clean);
        } else {
            g_string_append_printf(text, "feature %u", bit);
        }
    }
    return g_string_free(text, FALSE);
}

static bool read_extension(Qcow2 *s, uint32_t type, uint8_t *data, uint32_t size, GError **error)
{
    Qcow2Extension kept = { type, size };

    switch (type) {
    case (uint32_t)EXT_BACKING_FORMAT:
        g_free(s->image.backing_format);
        s->image.backing_format = g_strndup((char *)data, size);
        return true;
    case EXT_FEATURE_NAMES:
        return true; /* written anew */
    case EXT_DATA_FILE:
        g_free(s->data_file_name);
        s->data_file_name = g_strndup((char *)data, size);
        return true;
    case EXT_CRYPT:
        if (size != 16) {
            bad("the header's encryption pointer has %u bytes, not 16", size);
            return false;
        }
        s->crypt_offset = load_be64(data);
        s->crypt_length = load_be64(data + 8);
        if (!is_cluster(s, s->crypt_offset) || s->crypt_length > 64 << 20) {
            bad("the encryption header lies at a damaged place");
            return false;
        }
        return true;
    case EXT_BITMAPS:
        if (size != 24 || load_be32(data + 4)) {
            bad("the header's bitmaps extension is damaged");
            return false;
        }
        if (!(s->autoclear & QCOW2_AUTOCLEAR_BITMAPS)) {
            return true; /* written by software that does not know bitmaps: void */
        }
        s->bitmaps_size = load_be64(data + 8);
        s->bitmaps_offset = load_be64(data + 16);
        if (!load_be32(data) || load_be32(data) > QCOW2_MAX_BITMAPS || !is_cluster(s, s->bitmaps_offset) ||
            !s->bitmaps_offset || s->bitmaps_size < 24ull * load_be32(data) ||
            s->bitmaps_size > QCOW2_MAX_BITMAP_DIRECTORY) {
            bad("the bitmap directory lies at a damaged place");
            return false;
        }
        s->bitmaps = g_ptr_array_new();
        g_ptr_array_set_size(s->bitmaps, load_be32(data)); /* filled by qcow2_bitmaps_open */
        return true;
    default:
        kept.data = g_memdup2(data, size);
        g_array_append_val(s->extensions, kept);
        return true;
    }
}

static bool read_extensions(Qcow2 *s, uint8_t *head, size_t from, size_t to, const uint8_t **names, size_t *names_size,
                            GError **error)
{
    while (from + 8 <= to) {
        uint32_t type = load_be32(head + from), size = load_be32(head + from + 4);

        if (type == EXT_END) {
            return true;
        }
        if (size > to - from - 8) {
            bad("header extension 0x%08x is longer than the header", type);
            return false;
        }
        if (type == EXT_FEATURE_NAMES) {
            *names = head + from + 8;
            *names_size = size;
        }
        if (!read_extension(s, type, head + from + 8, size, error)) {
            return false;
        }
        from += 8 + round_up(size, 8);
    }
    return true;
}

static bool read_v3_fields(Qcow2 *s, const uint8_t *head, GError **error)
{
    s->incompatible = load_be64(head + AT_INCOMPATIBLE);
    s->compatible = load_be64(head + AT_COMPATIBLE);
    s->autoclear = load_be64(head + AT_AUTOCLEAR);
    s->refcount_order = load_be32(head + AT_REFCOUNT_ORDER);
    s->header_length = load_be32(head + AT_LENGTH);
    if (s->header_length < QCOW2_V3_HEADER || s->header_length > s->cluster_size || s->header_length % 8) {
        bad("header length %u is wrong", s->header_length);
        return false;
    }
    if (s->refcount_order > 6) {
        bad("refcounts of 2^%u bits are not possible", s->refcount_order);
        return false;
    }
    if (s->header_length > AT_COMPRESSION) {
        s->compression = head[AT_COMPRESSION];
    }
    if (s->header_length > V3_LENGTH_WRITTEN) {
        s->extra_header_size = s->header_length - V3_LENGTH_WRITTEN;
        s->extra_header = g_memdup2(head + V3_LENGTH_WRITTEN, s->extra_header_size);
    }
    return true;
}

/* Whether the features make sense together, and we know them. */
static bool check_features(Qcow2 *s, const uint8_t *names, size_t names_size, GError **error)
{
    uint64_t unknown = s->incompatible & ~(uint64_t)QCOW2_INCOMPAT_KNOWN;

    if (unknown) {
        g_autofree char *text = name_features(unknown, names, names_size);

        bad("unsupported qcow2 features: %s", text);
        return false;
    }
    if (!(s->incompatible & QCOW2_INCOMPAT_COMPRESSION) != (s->compression == QCOW2_ZLIB) ||
        s->compression > QCOW2_ZSTD) {
        bad("unknown compression type %u", s->compression);
        return false;
    }
    if (s->incompatible & QCOW2_INCOMPAT_EXTENDED_L2 && s->cluster_bits < QCOW2_EXTENDED_MIN_CLUSTER_BITS) {
        bad("extended L2 entries need clusters of at least 16 KiB");
        return false;
    }
    if (s->autoclear & QCOW2_AUTOCLEAR_RAW && !(s->incompatible & QCOW2_INCOMPAT_DATA_FILE)) {
        s->autoclear &= ~(uint64_t)QCOW2_AUTOCLEAR_RAW;
    }
    return true;
}

static bool read_backing(Qcow2 *s, const uint8_t *head, GError **error)
{
    uint64_t offset = load_be64(head + AT_BACKING_OFFSET);
    uint32_t size = load_be32(head + AT_BACKING_SIZE);

    if (!offset) {
        return true;
    }
    if (size > QCOW2_MAX_NAME || offset > s->cluster_size || size > s->cluster_size - offset) {
        bad("the backing file name is too long");
        return false;
    }
    if (size) {
        s->image.backing_name = g_strndup((const char *)head + offset, size);
    }
    return true;
}

static bool check_places(Qcow2 *s, const uint8_t *head, GError **error)
{
    uint64_t end = round_up(block_image_size(s->image.file), s->cluster_size);
    uint64_t entries = s->size >> qcow2_l1_shift(s);

    entries += (s->size & ((1ull << qcow2_l1_shift(s)) - 1)) != 0;
    if (s->size > 1ull << 62 || entries > QCOW2_MAX_L1 / 8 || s->l1_size > QCOW2_MAX_L1 / 8) {
        bad("the disk of %" PRIu64 " bytes is too large", s->size);
        return false;
    }
    if (s->l1_size < entries) {
        bad("the L1 table is too small for the disk");
        return false;
    }
    if (!is_cluster(s, s->l1_offset) || (s->l1_size && (!s->l1_offset || s->l1_offset >= end))) {
        bad("the L1 table lies at a damaged place");
        return false;
    }
    if (!s->reftable_clusters || (uint64_t)s->reftable_clusters << s->cluster_bits > QCOW2_MAX_REFTABLE ||
        !is_cluster(s, s->reftable_offset) || s->reftable_offset >= end) {
        bad("the refcount table lies at a damaged place");
        return false;
    }
    if (load_be32(head + AT_SNAPSHOTS) > QCOW2_MAX_SNAPSHOTS || !is_cluster(s, s->snapshots_offset) ||
        (load_be32(head + AT_SNAPSHOTS) && s->snapshots_offset >= end)) {
        bad("the snapshot table lies at a damaged place");
        return false;
    }
    return true;
}

static bool parse(Qcow2 *s, uint8_t *head, GError **error)
{
    const uint8_t *names = NULL;
    size_t names_size = 0;
    uint64_t backing = load_be64(head + AT_BACKING_OFFSET);

    s->size = load_be64(head + AT_SIZE);
    s->crypt_method = load_be32(head + AT_CRYPT);
    s->l1_size = load_be32(head + AT_L1_SIZE);
    s->l1_offset = load_be64(head + AT_L1_OFFSET);
    s->reftable_offset = load_be64(head + AT_REFTABLE_OFFSET);
    s->reftable_clusters = load_be32(head + AT_REFTABLE_CLUSTERS);
    s->snapshots_offset = load_be64(head + AT_SNAPSHOTS_OFFSET);
    s->refcount_order = 4;
    s->header_length = QCOW2_V2_HEADER;
    if (s->version >= 3 && !read_v3_fields(s, head, error)) {
        return false;
    }
    if (!read_extensions(s, head, s->header_length, backing && backing < s->cluster_size ? backing : s->cluster_size,
                         &names, &names_size, error) ||
        !check_features(s, names, names_size, error) || !read_backing(s, head, error)) {
        return false;
    }
    s->external = s->incompatible & QCOW2_INCOMPAT_DATA_FILE;
    s->raw_external = s->autoclear & QCOW2_AUTOCLEAR_RAW;
    s->entry_bits = s->incompatible & QCOW2_INCOMPAT_EXTENDED_L2 ? 4 : 3;
    s->l2_bits = s->cluster_bits - s->entry_bits;
    s->subcluster_bits = s->entry_bits == 4 ? s->cluster_bits - 5 : s->cluster_bits;
    if (s->crypt_method > QCOW2_CRYPT_LUKS) {
        bad("unknown encryption method %u", s->crypt_method);
        return false;
    }
    if (s->autoclear & QCOW2_AUTOCLEAR_BITMAPS && !s->bitmaps) {
        bad("the header promises bitmaps and has none");
        return false;
    }
    if (!check_places(s, head, error)) {
        return false;
    }
    s->snapshots = g_ptr_array_new();
    g_ptr_array_set_size(s->snapshots, load_be32(head + AT_SNAPSHOTS)); /* filled by qcow2_snapshots_open */
    return true;
}

bool qcow2_read_header(Qcow2 *s, bool check, GError **error)
{
    uint8_t first[QCOW2_V3_HEADER];
    g_autofree uint8_t *head = NULL;
    int failed = block_image_read(s->image.file, 0, first, sizeof(first));

    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot read the qcow2 header: %s", g_strerror(failed));
        return false;
    }
    s->version = load_be32(first + 4);
    s->cluster_bits = load_be32(first + AT_CLUSTER_BITS);
    if (load_be32(first) != QCOW2_MAGIC || s->version < 2) {
        bad("image is not in qcow2 format");
        return false;
    }
    if (s->version > 3) {
        bad("unsupported qcow2 version %u", s->version);
        return false;
    }
    if (s->cluster_bits < QCOW2_MIN_CLUSTER_BITS || s->cluster_bits > QCOW2_MAX_CLUSTER_BITS) {
        bad("clusters of 2^%u bytes are not supported", s->cluster_bits);
        return false;
    }
    s->cluster_size = 1ull << s->cluster_bits;
    s->extensions = g_array_new(FALSE, FALSE, sizeof(Qcow2Extension));
    head = g_malloc(s->cluster_size);
    failed = block_image_read(s->image.file, 0, head, s->cluster_size);
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot read the qcow2 header: %s", g_strerror(failed));
        return false;
    }
    if (!parse(s, head, error)) {
        return false;
    }
    if (s->incompatible & QCOW2_INCOMPAT_CORRUPT && s->writable && !check) {
        bad("image is marked corrupt: open it read-only, or repair it");
        return false;
    }
    s->dirty_marked = s->incompatible & QCOW2_INCOMPAT_DIRTY;
    return true;
}

void qcow2_free_header(Qcow2 *s)
{
    for (guint i = 0; s->extensions && i < s->extensions->len; i++) {
        g_free(g_array_index(s->extensions, Qcow2Extension, i).data);
    }
    g_clear_pointer(&s->extensions, g_array_unref);
    g_free(s->extra_header);
    g_free(s->data_file_name);
}

uint64_t *qcow2_read_table(Qcow2 *s, uint64_t offset, size_t entries, GError **error)
{
    uint64_t *table = g_try_new0(uint64_t, entries + 1); /* never NULL for none */
    int failed = table ? block_image_read(s->image.file, offset, table, entries * 8) : ENOMEM;

    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot read a table at 0x%" PRIx64 ": %s", offset, g_strerror(failed));
        g_free(table);
        return NULL;
    }
    for (size_t i = 0; i < entries; i++) {
        table[i] = load_be64(table + i);
    }
    return table;
}

/* ---- writing ---- */

static void put_extension(GByteArray *out, uint32_t type, const void *data, uint32_t size)
{
    uint8_t head[8], padding[8] = { 0 };

    store_be32(head, type);
    store_be32(head + 4, size);
    g_byte_array_append(out, head, 8);
    g_byte_array_append(out, data, size);
    g_byte_array_append(out, padding, round_up(size, 8) - size);
}

static void put_known_extensions(Qcow2 *s, GByteArray *out)
{
    uint8_t data[24] = { 0 };

    if (s->image.backing_format) {
        put_extension(out, EXT_BACKING_FORMAT, s->image.backing_format, strlen(s->image.backing_format));
    }
    if (s->external && s->data_file_name) {
        put_extension(out, EXT_DATA_FILE, s->data_file_name, strlen(s->data_file_name));
    }
    if (s->crypt_offset) {
        store_be64(data, s->crypt_offset);
        store_be64(data + 8, s->crypt_length);
        put_extension(out, EXT_CRYPT, data, 16);
    }
    if (s->bitmaps && s->bitmaps->len) {
        store_be32(data, s->bitmaps->len);
        store_be32(data + 4, 0);
        store_be64(data + 8, s->bitmaps_size);
        store_be64(data + 16, s->bitmaps_offset);
        put_extension(out, EXT_BITMAPS, data, 24);
    }
    for (guint i = 0; i < s->extensions->len; i++) {
        const Qcow2Extension *ext = &g_array_index(s->extensions, Qcow2Extension, i);

        put_extension(out, ext->type, ext->data, ext->size);
    }
}

int qcow2_write_header(Qcow2 *s)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    size_t name_size = s->image.backing_name ? strlen(s->image.backing_name) : 0;
    uint8_t head[V3_LENGTH_WRITTEN] = { 0 };

    store_be32(head, QCOW2_MAGIC);
    store_be32(head + 4, s->version);
    store_be32(head + AT_CLUSTER_BITS, s->cluster_bits);
    store_be64(head + AT_SIZE, s->size);
    store_be32(head + AT_CRYPT, s->crypt_method);
    store_be32(head + AT_L1_SIZE, s->l1_size);
    store_be64(head + AT_L1_OFFSET, s->l1_offset);
    store_be64(head + AT_REFTABLE_OFFSET, s->reftable_offset);
    store_be32(head + AT_REFTABLE_CLUSTERS, s->reftable_clusters);
    store_be32(head + AT_SNAPSHOTS, s->snapshots->len);
    store_be64(head + AT_SNAPSHOTS_OFFSET, s->snapshots_offset);
    store_be64(head + AT_INCOMPATIBLE, s->incompatible);
    store_be64(head + AT_COMPATIBLE, s->compatible);
    store_be64(head + AT_AUTOCLEAR, s->autoclear);
    store_be32(head + AT_REFCOUNT_ORDER, s->refcount_order);
    store_be32(head + AT_LENGTH, V3_LENGTH_WRITTEN + s->extra_header_size);
    head[AT_COMPRESSION] = s->compression;
    g_byte_array_append(out, head, s->version >= 3 ? V3_LENGTH_WRITTEN : QCOW2_V2_HEADER);
    if (s->version >= 3 && s->extra_header_size) {
        g_byte_array_append(out, s->extra_header, s->extra_header_size);
    }
    put_known_extensions(s, out);
    if (s->version >= 3 && out->len + 8 + sizeof(feature_names) + 8 + name_size <= s->cluster_size) {
        put_extension(out, EXT_FEATURE_NAMES, feature_names, sizeof(feature_names));
    }
    put_extension(out, EXT_END, NULL, 0);
    if (name_size) {
        store_be64(out->data + AT_BACKING_OFFSET, out->len);
        store_be32(out->data + AT_BACKING_SIZE, name_size);
        g_byte_array_append(out, (const uint8_t *)s->image.backing_name, name_size);
    }
    if (out->len > s->cluster_size) {
        return ENOSPC;
    }
    while (out->len < s->cluster_size) { /* nothing old stays behind */
        static const uint8_t zeros[512];

        g_byte_array_append(out, zeros, MIN(sizeof(zeros), s->cluster_size - out->len));
    }
    s->header_length = s->version >= 3 ? V3_LENGTH_WRITTEN + s->extra_header_size : QCOW2_V2_HEADER;
    return block_image_write(s->image.file, 0, out->data, out->len);
}

int qcow2_write_features(Qcow2 *s)
{
    uint8_t fields[24];

    if (s->version < 3) {
        return 0;
    }
    store_be64(fields, s->incompatible);
    store_be64(fields + 8, s->compatible);
    store_be64(fields + 16, s->autoclear);
    return block_image_write(s->image.file, AT_INCOMPATIBLE, fields, sizeof(fields));
}

int qcow2_write_size(Qcow2 *s)
{
    uint8_t field[8];

    store_be64(field, s->size);
    return block_image_write(s->image.file, AT_SIZE, field, sizeof(field));
}

int qcow2_write_l1_location(Qcow2 *s)
{
    uint8_t fields[12];

    store_be32(fields, s->l1_size);
    store_be64(fields + 4, s->l1_offset);
    return block_image_write(s->image.file, AT_L1_SIZE, fields, sizeof(fields));
}

int qcow2_write_reftable_location(Qcow2 *s)
{
    uint8_t fields[12];

    store_be64(fields, s->reftable_offset);
    store_be32(fields + 8, s->reftable_clusters);
    return block_image_write(s->image.file, AT_REFTABLE_OFFSET, fields, sizeof(fields));
}

int qcow2_write_snapshots_location(Qcow2 *s)
{
    uint8_t fields[12];

    store_be32(fields, s->snapshots->len);
    store_be64(fields + 4, s->snapshots_offset);
    return block_image_write(s->image.file, AT_SNAPSHOTS, fields, sizeof(fields));
}

int qcow2_set_dirty(Qcow2 *s, bool dirty)
{
    int error;

    if (s->version < 3 || s->dirty_marked == dirty) {
        return 0;
    }
    s->incompatible = dirty ? s->incompatible | QCOW2_INCOMPAT_DIRTY : s->incompatible & ~(uint64_t)QCOW2_INCOMPAT_DIRTY;
    error = qcow2_write_features(s);
    if (!error) {
        error = block_image_flush(s->image.file);
    }
    if (!error) {
        s->dirty_marked = dirty;
    }
    return error;
}

void qcow2_set_corrupt(Qcow2 *s, const char *what, uint64_t offset)
{
    if (s->incompatible & QCOW2_INCOMPAT_CORRUPT) {
        return;
    }
    log_warn("qcow2 image '%s' is damaged: %s at 0x%" PRIx64, s->image.name ? s->image.name : "", what, offset);
    s->incompatible |= QCOW2_INCOMPAT_CORRUPT; /* written by the next flush */
    s->corrupt_seen = true;
}

int qcow2_write_table(Qcow2 *s, uint64_t offset, const uint64_t *table, size_t entries)
{
    g_autofree uint64_t *raw = g_try_new(uint64_t, entries + 1);

    if (!raw) {
        return ENOMEM;
    }
    for (size_t i = 0; i < entries; i++) {
        store_be64(raw + i, table[i]);
    }
    return block_image_write(s->image.file, offset, raw, entries * 8);
}
