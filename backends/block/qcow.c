/*
 * qcow images, version 1: an L1 table, L2 tables, clusters that are only ever appended.
 *
 * There are no refcounts, so nothing can leak worse than room at the end of the file. Changes of L2 tables stay in memory
 * until a flush, which makes the data stable first, then the tables. A new L2 table is on the file as zeros before that.
 * Header fields (big-endian): magic, version, backing name offset (8 bytes) and size, time, disk size (8), cluster bits
 * (1), L2 bits (1), 2 unused, encryption, L1 offset (8).
 */
#include "backends/block/blockmap.h"
#include "backends/block/qcow2/qcow2.h"
#include "util/error.h"

#include <errno.h>
#include <inttypes.h>

enum {
    MAGIC = 0x514649fb,
    HEADER = 48,
    MIN_CLUSTER_BITS = 9,
    MAX_CLUSTER_BITS = 16,
    MIN_L2_BITS = 6,
    MAX_L2_BITS = 13,
    MAX_L1 = 64 << 20, /* bytes */
    MAX_NAME = 1023,
    SLICE_BITS = 12,
    CACHE = 16 << 20,
};

#define COMPRESSED (1ull << 63)

typedef struct QcowImage {
    BlockMapImage base;
    unsigned cluster_bits, l2_bits;
    uint64_t l1_offset, *l1;
    uint32_t l1_size, l1_dirty_from, l1_dirty_to;
    uint64_t end; /* where the next cluster goes; changed under the map's lock, held alone */
    GMutex lock;  /* of the tables in memory */
    GMutex flushing;
    TableCache tables;
} QcowImage;

#define bad(...) g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, __VA_ARGS__)

static int qcow_probe(const uint8_t *head, size_t size, const char *name)
{
    return size >= HEADER && load_be32(head) == MAGIC && load_be32(head + 4) == 1 ? 100 : 0;
}

static QcowImage *of_map(BlockMap *map)
{
    return map->opaque;
}

/* ---- the tables ---- */

/* Where a cluster's entry is in the file; 0: no table. false: the table is damaged. */
static bool entry_place(QcowImage *q, uint64_t cluster, uint64_t *place)
{
    uint64_t table = q->l1[cluster >> q->l2_bits];

    *place = table ? table + (cluster & ((1ull << q->l2_bits) - 1)) * 8 : 0;
    return !(table & 511) && table < 1ull << 56;
}

static BlockMapKind lookup(BlockMap *map, uint64_t cluster, uint64_t *host, bool may_wait)
{
    QcowImage *q = of_map(map);
    const uint8_t *at = NULL;
    uint64_t place, entry = 0;
    int error = 0;

    if (cluster >> q->l2_bits >= q->l1_size) {
        return MAP_NONE;
    }
    g_mutex_lock(&q->lock);
    if (!entry_place(q, cluster, &place)) {
        error = EIO;
    } else if (place) {
        at = may_wait ? table_cache_get(&q->tables, place, &error) : table_cache_peek(&q->tables, place);
        entry = at ? load_be64(at) : 0;
    }
    g_mutex_unlock(&q->lock);
    if (error) {
        return MAP_ERROR;
    }
    if (place && !at) {
        return MAP_WAIT;
    }
    if (entry & COMPRESSED) {
        *host = entry & ((1ull << (63 - q->cluster_bits)) - 1);
        return MAP_COMPRESSED;
    }
    *host = entry;
    return !entry ? MAP_NONE : entry & ((1u << q->cluster_bits) - 1) || entry > 1ull << 62 ? MAP_ERROR : MAP_DATA;
}

static int allocate(BlockMap *map, uint64_t cluster, uint64_t count, uint64_t *host)
{
    QcowImage *q = of_map(map);

    *host = round_up(q->end, 1u << q->cluster_bits);
    q->end = *host + (count << q->cluster_bits);
    return *host > 1ull << 62 ? EFBIG : 0;
}

/* A table of zeros, on the file before anything can refer to it. */
static int need_table(QcowImage *q, uint64_t index)
{
    size_t size = 8ull << q->l2_bits;
    g_autofree uint8_t *zeros = NULL;
    uint64_t offset;
    int error;

    if (q->l1[index]) {
        return 0;
    }
    zeros = g_malloc0(size);
    offset = round_up(q->end, MAX(1u << q->cluster_bits, size));
    error = block_image_write(q->base.image.file, offset, zeros, size);
    if (error) {
        return error;
    }
    q->end = offset + size;
    g_mutex_lock(&q->lock);
    table_cache_forget(&q->tables, offset & ~((1ull << SLICE_BITS) - 1), size + (1 << SLICE_BITS) - 1);
    q->l1[index] = offset;
    q->l1_dirty_from = MIN(q->l1_dirty_from, index);
    q->l1_dirty_to = MAX(q->l1_dirty_to, index + 1);
    g_mutex_unlock(&q->lock);
    return 0;
}

static int store_entry(QcowImage *q, uint64_t cluster, uint64_t entry)
{
    uint64_t place;
    uint8_t *at;
    int error = need_table(q, cluster >> q->l2_bits);

    if (error) {
        return error;
    }
    g_mutex_lock(&q->lock);
    if (!entry_place(q, cluster, &place)) {
        error = EIO;
    } else {
        at = table_cache_get(&q->tables, place, &error);
        if (at) {
            store_be64(at, entry);
            table_cache_dirty(&q->tables, place, 8);
        }
    }
    g_mutex_unlock(&q->lock);
    return error;
}

/* ---- flushing ---- */

static int write_tables(QcowImage *q, GArray *writes, const uint64_t *l1, uint32_t from, uint32_t to)
{
    BlockImage *file = q->base.image.file;
    g_autofree uint64_t *raw = NULL;
    int error = table_writes_perform(&q->tables, writes);

    if (!error && from < to) {
        raw = g_new(uint64_t, to - from);
        for (uint32_t i = 0; i < to - from; i++) {
            store_be64(raw + i, l1[i]);
        }
        error = block_image_write(file, q->l1_offset + from * 8ull, raw, (to - from) * 8ull);
    }
    return error ? error : block_image_flush(file);
}

static int flush(QcowImage *q)
{
    g_autofree uint64_t *l1 = NULL;
    uint32_t from, to;
    GArray *writes;
    bool any;
    int error;

    g_mutex_lock(&q->flushing);
    g_mutex_lock(&q->lock);
    writes = table_cache_collect(&q->tables);
    from = q->l1_dirty_from;
    to = q->l1_dirty_to;
    l1 = from < to ? g_memdup2(q->l1 + from, (to - from) * 8ull) : NULL;
    q->l1_dirty_from = UINT32_MAX;
    q->l1_dirty_to = 0;
    g_mutex_unlock(&q->lock);
    any = writes->len || l1;
    error = block_image_flush(q->base.image.file); /* what the tables refer to */
    if (!error && any) {
        error = write_tables(q, writes, l1, from, to);
    }
    g_mutex_lock(&q->lock);
    table_writes_done(&q->tables, writes, !error);
    if (error && from < to) {
        q->l1_dirty_from = MIN(q->l1_dirty_from, from);
        q->l1_dirty_to = MAX(q->l1_dirty_to, to);
    }
    g_mutex_unlock(&q->lock);
    g_mutex_unlock(&q->flushing);
    return error;
}

static int qcow_flush(BlockImage *image)
{
    return image->flags & BLOCK_OPEN_READONLY ? 0 : flush((QcowImage *)image);
}

static int commit(BlockMap *map, uint64_t cluster, uint64_t count, uint64_t host)
{
    QcowImage *q = of_map(map);
    int error = 0;
    bool full;

    for (uint64_t i = 0; i < count && !error; i++) {
        error = store_entry(q, cluster + i, host + (i << q->cluster_bits));
    }
    g_mutex_lock(&q->lock);
    full = table_cache_is_full_of_changes(&q->tables);
    g_mutex_unlock(&q->lock);
    return error || !full ? error : flush(q);
}

/* ---- compressed clusters ---- */

static int read_compressed(BlockMap *map, uint64_t cluster, uint64_t host, void *buf)
{
    QcowImage *q = of_map(map);
    uint64_t place, entry = 0;
    const uint8_t *at;
    size_t size;
    g_autofree uint8_t *packed = NULL;
    int error = EIO;

    g_mutex_lock(&q->lock);
    if (entry_place(q, cluster, &place) && place && (at = table_cache_get(&q->tables, place, &error))) {
        entry = load_be64(at);
    }
    g_mutex_unlock(&q->lock);
    size = entry >> (63 - q->cluster_bits) & ((1u << q->cluster_bits) - 1);
    if (error || !(entry & COMPRESSED) || !size) {
        return EIO;
    }
    packed = g_malloc(size);
    error = block_image_read(q->base.image.file, host, packed, size);
    if (error) {
        return error;
    }
    return qcow2_expand(QCOW2_ZLIB, packed, size, buf, map->block_size) ? 0 : EIO;
}

/* map lock held alone. */
static int append_compressed(QcowImage *q, uint64_t cluster, const uint8_t *packed, size_t size)
{
    uint64_t host;
    int error = need_table(q, cluster >> q->l2_bits);

    if (error) {
        return error;
    }
    host = q->end;
    if (host >> (63 - q->cluster_bits)) {
        return EFBIG;
    }
    q->end += size;
    error = block_image_write(q->base.image.file, host, packed, size);
    q->base.map.cached = UINT64_MAX;
    return error ? error : store_entry(q, cluster, COMPRESSED | (uint64_t)size << (63 - q->cluster_bits) | host);
}

static int qcow_write_compressed(BlockImage *image, uint64_t offset, const void *buf, size_t size)
{
    QcowImage *q = (QcowImage *)image;
    uint32_t cluster = q->base.map.block_size;
    g_autofree uint8_t *whole = g_malloc0(cluster), *packed = g_malloc(cluster);
    struct iovec iov = { (void *)buf, size };
    size_t packed_size;
    int error;

    if (offset % cluster || size > cluster || (size < cluster && offset + size != q->base.map.size)) {
        return EINVAL;
    }
    memcpy(whole, buf, size);
    packed_size = qcow2_compress(QCOW2_ZLIB, whole, cluster, packed);
    if (!packed_size) {
        return block_map_image_write(image, offset, &iov, 1);
    }
    g_rw_lock_writer_lock(&q->base.map.lock);
    error = append_compressed(q, offset / cluster, packed, packed_size);
    g_rw_lock_writer_unlock(&q->base.map.lock);
    return error;
}

static const BlockMapOps qcow_map = {
    .lookup = lookup,
    .allocate = allocate,
    .commit = commit,
    .read_compressed = read_compressed,
    .replaces_compressed = true,
    .orders_flush = true,
};

/* ---- opening ---- */

static bool read_header(QcowImage *q, uint64_t *size, GError **error)
{
    BlockImage *file = q->base.image.file;
    uint8_t head[HEADER], name[MAX_NAME];
    uint64_t name_offset, span, end = block_image_size(file);
    uint32_t name_size;
    int failed = block_image_read(file, 0, head, HEADER);

    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot read the qcow header: %s", g_strerror(failed));
        return false;
    }
    if (load_be32(head) != MAGIC || load_be32(head + 4) != 1) {
        bad("image is not in qcow format, version 1");
        return false;
    }
    name_offset = load_be64(head + 8);
    name_size = load_be32(head + 16);
    *size = load_be64(head + 24);
    q->cluster_bits = head[32];
    q->l2_bits = head[33];
    q->l1_offset = load_be64(head + 40);
    if (load_be32(head + 36)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "encrypted qcow images of version 1 are not supported");
        return false;
    }
    if (q->cluster_bits < MIN_CLUSTER_BITS || q->cluster_bits > MAX_CLUSTER_BITS || q->l2_bits < MIN_L2_BITS ||
        q->l2_bits > MAX_L2_BITS || *size <= 1 || *size > 1ull << 62) {
        bad("the qcow header is damaged");
        return false;
    }
    span = 1ull << (q->cluster_bits + q->l2_bits);
    if (round_up(*size, span) / span > MAX_L1 / 8) {
        bad("the disk of %" PRIu64 " bytes is too large", *size);
        return false;
    }
    q->l1_size = round_up(*size, span) / span;
    if (q->l1_offset > end || q->l1_size * 8ull > end - q->l1_offset) {
        bad("the L1 table lies outside of the file");
        return false;
    }
    if (name_offset && name_size) {
        if (name_size > MAX_NAME || block_image_read(file, name_offset, name, name_size)) {
            bad("the backing file name is damaged");
            return false;
        }
        q->base.image.backing_name = g_strndup((char *)name, name_size);
    }
    return true;
}

static bool read_l1(QcowImage *q, GError **error)
{
    int failed;

    q->l1 = g_try_new(uint64_t, q->l1_size);
    failed = q->l1 ? block_image_read(q->base.image.file, q->l1_offset, q->l1, q->l1_size * 8ull) : ENOMEM;
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot read the L1 table: %s", g_strerror(failed));
        return false;
    }
    for (uint32_t i = 0; i < q->l1_size; i++) {
        q->l1[i] = load_be64(q->l1 + i);
    }
    return true;
}

static BlockImage *qcow_open(BlockOpen *how, GError **error)
{
    QcowImage *q = g_new0(QcowImage, 1);
    uint64_t size;

    q->base.image.driver = &block_qcow;
    q->base.image.file = how->file;
    if (!read_header(q, &size, error) || !read_l1(q, error)) {
        g_free(q->base.image.backing_name);
        g_free(q->l1);
        g_free(q);
        return NULL;
    }
    block_map_init(&q->base.map, &qcow_map, &q->base.image, how->file, size, 1u << q->cluster_bits, q);
    g_mutex_init(&q->lock);
    g_mutex_init(&q->flushing);
    table_cache_init(&q->tables, how->file, &q->lock, true, SLICE_BITS, CACHE);
    q->l1_dirty_from = UINT32_MAX;
    q->end = MAX(block_image_size(how->file), q->l1_offset + q->l1_size * 8ull);
    q->base.image.cluster_size = 1u << q->cluster_bits;
    q->base.image.zero_init = true;
    return &q->base.image;
}

static void qcow_close(BlockImage *image)
{
    QcowImage *q = (QcowImage *)image;

    qcow_flush(image);
    table_cache_free(&q->tables);
    block_map_clear(&q->base.map);
    g_mutex_clear(&q->lock);
    g_mutex_clear(&q->flushing);
    g_free(q->l1);
    g_free(q);
}

/* ---- whole images ---- */

static const BlockCreateOption qcow_create_options[] = {
    { "backing_file", BLOCK_OPT_STRING, NULL, "File name of a base image" },
    { "backing_fmt", BLOCK_OPT_STRING, NULL, "Format of the backing image" },
    { NULL },
};

static bool qcow_create(BlockImage *file, const char *name, uint64_t size, Json *options, GError **error)
{
    g_autofree char *backing = NULL, *format = NULL;
    g_autofree uint8_t *head = NULL;
    uint64_t l1_offset, l1_bytes, span;
    unsigned cluster_bits, l2_bits;
    size_t name_size;
    int failed;

    if (!block_option_string(options, "backing_file", &backing, error) ||
        !block_option_string(options, "backing_fmt", &format, error)) {
        return false;
    }
    size = round_up(size, 512);
    name_size = backing ? strlen(backing) : 0;
    cluster_bits = backing ? 9 : 12; /* small ones copy less from the backing image */
    l2_bits = backing ? 12 : 9;
    span = 1ull << (cluster_bits + l2_bits);
    if (!size || size > MAX_L1 / 8 * span || name_size > MAX_NAME) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, !size ? "a qcow image cannot be empty" : name_size > MAX_NAME ?
                    "the backing file name is too long" : "the disk is too large for the qcow format");
        return false;
    }
    l1_offset = round_up(HEADER + name_size, 8);
    l1_bytes = round_up(size, span) / span * 8;
    head = g_malloc0(l1_offset + l1_bytes);
    store_be32(head, MAGIC);
    store_be32(head + 4, 1);
    store_be64(head + 8, name_size ? HEADER : 0);
    store_be32(head + 16, name_size);
    store_be64(head + 24, size);
    head[32] = cluster_bits;
    head[33] = l2_bits;
    store_be64(head + 40, l1_offset);
    memcpy(head + HEADER, backing ? backing : "", name_size);
    failed = block_image_write(file, 0, head, l1_offset + l1_bytes);
    if (!failed) {
        failed = block_image_flush(file);
    }
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write '%s': %s", name, g_strerror(failed));
    }
    return !failed;
}

/* The tables go, then all that is behind the L1 table. */
static int qcow_make_empty(BlockImage *image)
{
    QcowImage *q = (QcowImage *)image;
    int error;

    g_rw_lock_writer_lock(&q->base.map.lock);
    g_mutex_lock(&q->lock);
    memset(q->l1, 0, q->l1_size * 8ull);
    q->l1_dirty_from = 0;
    q->l1_dirty_to = q->l1_size;
    table_cache_clear(&q->tables);
    g_mutex_unlock(&q->lock);
    error = flush(q);
    if (!error) {
        q->base.map.cached = UINT64_MAX;
        q->end = q->l1_offset + q->l1_size * 8ull;
        error = block_image_resize(image->file, q->end, NULL);
    }
    g_rw_lock_writer_unlock(&q->base.map.lock);
    return error;
}

/* ---- checking ---- */

/* Whether all of a range is in the file and nothing else has been there. */
static bool claim(GHashTable *seen, uint64_t offset, uint64_t size, uint64_t end)
{
    bool alone = true;

    if (offset >= end || size > end - offset) {
        return false;
    }
    for (uint64_t at = offset >> 9; at <= (offset + size - 1) >> 9; at++) {
        alone &= g_hash_table_add(seen, g_memdup2(&at, sizeof(at)));
    }
    return alone;
}

static int check_table(QcowImage *q, uint64_t table, GHashTable *seen, uint64_t end, BlockCheck *result)
{
    size_t size = 8ull << q->l2_bits;
    g_autofree uint8_t *raw = g_malloc(size);
    uint64_t cluster = 1ull << q->cluster_bits, expected = 0;
    int error = block_image_read(q->base.image.file, table, raw, size);

    for (size_t i = 0; i < size / 8 && !error; i++) {
        uint64_t entry = load_be64(raw + i * 8);

        if (!entry) {
            continue;
        }
        result->allocated_clusters++;
        if (entry & COMPRESSED) { /* they share sectors */
            uint64_t host = entry & ((1ull << (63 - q->cluster_bits)) - 1);

            result->compressed_clusters++;
            result->fragmented_clusters++;
            result->corruptions += host >= end;
        } else {
            result->fragmented_clusters += expected && entry != expected;
            expected = entry + cluster;
            result->corruptions += entry & (cluster - 1) || !claim(seen, entry, cluster, end);
        }
    }
    return error;
}

static int qcow_check(BlockImage *image, unsigned fix, BlockCheck *result, GError **error)
{
    QcowImage *q = (QcowImage *)image;
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    uint64_t end = round_up(block_image_size(image->file), 1u << q->cluster_bits);
    int failed = qcow_flush(image);

    *result = (BlockCheck){ .total_clusters = block_map_blocks(&q->base.map), .image_end_offset = end };
    g_rw_lock_writer_lock(&q->base.map.lock);
    for (uint32_t i = 0; i < q->l1_size && !failed; i++) {
        uint64_t table = q->l1[i];

        if (!table) {
            continue;
        }
        if (table & 511 || !claim(seen, table, 8ull << q->l2_bits, end)) {
            result->corruptions++;
        } else {
            failed = check_table(q, table, seen, end, result);
        }
    }
    g_rw_lock_writer_unlock(&q->base.map.lock);
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot check '%s': %s", image->name, g_strerror(failed));
    }
    return failed;
}

const BlockDriver block_qcow = {
    .name = "qcow",
    .probe = qcow_probe,
    .supports_backing = true,
    .open = qcow_open,
    .close = qcow_close,
    .size = block_map_image_size,
    .read = block_map_image_read,
    .write = block_map_image_write,
    .flush = qcow_flush,
    .write_zeroes = block_map_image_write_zeroes,
    .write_compressed = qcow_write_compressed,
    .status = block_map_image_status,
    .resolve = block_map_image_resolve,
    .create_options = qcow_create_options,
    .create = qcow_create,
    .check = qcow_check,
    .make_empty = qcow_make_empty,
};
