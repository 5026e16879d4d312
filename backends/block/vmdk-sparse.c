/*
 * Sparse extents of VMDK images: a directory of tables of grains (VMware's "Virtual Disk Format 5.0").
 *
 * Tables are read as they are needed into a small cache and written through it, both copies where the extent has two. In
 * stream-optimized extents each grain is compressed behind a marker of its sector and size.
 */
#include "backends/block/vmdk.h"

#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    HEADER_SIZE = 512,
    FLAG_NEWLINES = 1 << 0,
    FLAG_SPARE_TABLES = 1 << 1,
    FLAG_ZERO_GRAINS = 1 << 2,
    FLAG_COMPRESSED = 1 << 16,
    FLAG_MARKERS = 1 << 17,
    COMPRESS_DEFLATE = 1,
    MARKER_SIZE = 12,
    GRAIN_ZERO = 1, /* a table entry, with FLAG_ZERO_GRAINS */
    MAX_TABLES = 1 << 24,
    MAX_TABLE_ENTRIES = 4096,
    MAX_GRAIN = 16 << 20,
    CACHE_SLOTS = 4096,
};

/* In the header; numbers are little-endian, lengths in sectors. */
enum {
    H_MAGIC = 0,
    H_VERSION = 4,
    H_FLAGS = 8,
    H_CAPACITY = 12,
    H_GRAIN = 20,
    H_DESCRIPTOR = 28,
    H_DESCRIPTOR_SIZE = 36,
    H_TABLE_ENTRIES = 44,
    H_SPARE_DIRECTORY = 48,
    H_DIRECTORY = 56,
    H_OVERHEAD = 64,
    H_NEWLINES = 73,
    H_COMPRESSION = 77,
};

#define DIRECTORY_AT_END UINT64_MAX

typedef struct VmdkTable {
    uint32_t *entries;
    uint32_t index; /* of the table; UINT32_MAX: empty */
} VmdkTable;

int vmdk_sparse_probe(const uint8_t *head, size_t size)
{
    return size >= HEADER_SIZE && (!memcmp(head, "KDMV", 4) || !memcmp(head, "COWD", 4)) ? 100 : 0;
}

/* ---- grain tables ---- */

/* The table in the cache, read if need be. NULL: damaged, or not here and may_wait is false. */
static VmdkTable *find_table_locked(VmdkSparse *s, uint32_t index, bool may_wait)
{
    VmdkTable *slot = &s->cache[index % CACHE_SLOTS];
    size_t size = s->table_entries * 4;

    if (slot->entries && slot->index == index) {
        return slot;
    }
    if (!may_wait) {
        return NULL;
    }
    if (!slot->entries) {
        slot->entries = g_malloc(size);
    }
    slot->index = UINT32_MAX;
    if (block_image_read(s->map.file, (uint64_t)s->directory[index] * VMDK_SECTOR, slot->entries, size)) {
        return NULL;
    }
    slot->index = index;
    return slot;
}

static BlockMapKind lookup(BlockMap *map, uint64_t block, uint64_t *host, bool may_wait)
{
    VmdkSparse *s = map->opaque;
    uint32_t index = block / s->table_entries, entry = 0;
    VmdkTable *table;

    if (!s->directory[index]) {
        return MAP_NONE;
    }
    g_mutex_lock(&s->cache_lock);
    table = find_table_locked(s, index, may_wait);
    if (table) {
        entry = load_le32(&table->entries[block % s->table_entries]);
    }
    g_mutex_unlock(&s->cache_lock);
    if (!table) {
        return may_wait ? MAP_ERROR : MAP_WAIT;
    }
    if (!entry) {
        return MAP_NONE;
    }
    if (entry == GRAIN_ZERO && s->has_zero_grains) {
        return MAP_ZERO;
    }
    *host = (uint64_t)entry * VMDK_SECTOR;
    return s->compressed ? MAP_COMPRESSED : MAP_DATA;
}

/* Appends an empty table and enters it in a directory. */
static int add_table(VmdkSparse *s, uint32_t *directory, uint64_t directory_offset, uint32_t index)
{
    uint64_t size = round_up(s->table_entries * 4, VMDK_SECTOR);
    g_autofree uint8_t *empty = g_malloc0(size);
    uint64_t at = round_up(s->end, VMDK_SECTOR);
    uint8_t entry[4];
    int error;

    if (at / VMDK_SECTOR > UINT32_MAX) {
        return EFBIG;
    }
    error = block_image_write(s->map.file, at, empty, size);
    if (error) {
        return error;
    }
    s->end = at + size;
    store_le32(entry, at / VMDK_SECTOR);
    error = block_image_write(s->map.file, directory_offset + index * UINT64_C(4), entry, 4);
    if (!error) {
        directory[index] = at / VMDK_SECTOR;
    }
    return error;
}

static int need_tables(VmdkSparse *s, uint64_t block, uint64_t count)
{
    int error = 0;

    for (uint64_t i = block / s->table_entries; i <= (block + count - 1) / s->table_entries && !error; i++) {
        if (!s->directory[i]) {
            error = add_table(s, s->directory, s->directory_offset, i);
        }
        if (!error && s->spare_directory && !s->spare_directory[i]) {
            error = add_table(s, s->spare_directory, s->spare_offset, i);
        }
    }
    return error;
}

static int allocate(BlockMap *map, uint64_t block, uint64_t count, uint64_t *host)
{
    VmdkSparse *s = map->opaque;
    int error = need_tables(s, block, count);

    if (error) {
        return error;
    }
    *host = (s->end + map->block_size - 1) / map->block_size * map->block_size;
    return (*host + count * map->block_size) / VMDK_SECTOR > UINT32_MAX ? EFBIG : 0;
}

/* Entries of one table, in the cache and on the file. */
static int write_entries(VmdkSparse *s, uint64_t block, uint32_t count, uint32_t first, uint32_t step)
{
    uint32_t index = block / s->table_entries, at = block % s->table_entries;
    VmdkTable *table;
    int error = EIO;

    g_mutex_lock(&s->cache_lock);
    table = find_table_locked(s, index, true);
    if (table) {
        const uint32_t *from = &table->entries[at];

        for (uint32_t i = 0; i < count; i++) {
            store_le32(&table->entries[at + i], first + i * step);
        }
        error = block_image_write(s->map.file, (uint64_t)s->directory[index] * VMDK_SECTOR + at * 4, from, count * 4);
        if (!error && s->spare_directory) {
            error = block_image_write(s->map.file, (uint64_t)s->spare_directory[index] * VMDK_SECTOR + at * 4, from,
                                      count * 4);
        }
    }
    g_mutex_unlock(&s->cache_lock);
    return error;
}

static int enter(VmdkSparse *s, uint64_t block, uint64_t count, uint32_t first, uint32_t step)
{
    int error = 0;

    for (uint64_t done = 0, n; done < count && !error; done += n) {
        n = MIN(count - done, s->table_entries - (block + done) % s->table_entries);
        error = write_entries(s, block + done, n, first + done * step, step);
    }
    return error;
}

static int commit(BlockMap *map, uint64_t block, uint64_t count, uint64_t host)
{
    VmdkSparse *s = map->opaque;

    s->end = host + count * map->block_size;
    return enter(s, block, count, host / VMDK_SECTOR, map->block_size / VMDK_SECTOR);
}

static int set_zero(BlockMap *map, uint64_t block, uint64_t count)
{
    VmdkSparse *s = map->opaque;
    int error;

    if (!s->has_zero_grains) {
        return ENOTSUP;
    }
    error = need_tables(s, block, count);
    return error ? error : enter(s, block, count, GRAIN_ZERO, 0);
}

/* ---- compressed grains ---- */

static int read_compressed(BlockMap *map, uint64_t block, uint64_t host, void *buf)
{
    uint8_t marker[MARKER_SIZE];
    g_autofree uint8_t *data = NULL;
    uLongf size = map->block_size;
    int error = block_image_read(map->file, host, marker, sizeof(marker));
    uint32_t packed = load_le32(marker + 8);

    if (error) {
        return error;
    }
    if (!packed || packed > 2 * map->block_size) {
        return EIO;
    }
    data = g_try_malloc(packed);
    error = data ? block_image_read(map->file, host + MARKER_SIZE, data, packed) : ENOMEM;
    if (error) {
        return error;
    }
    if (uncompress(buf, &size, data, packed) != Z_OK) {
        return EIO;
    }
    memset((uint8_t *)buf + size, 0, map->block_size - size); /* the last grain of the disk */
    return 0;
}

int vmdk_sparse_write_compressed(VmdkSparse *s, uint64_t offset, const void *buf, size_t size)
{
    BlockMap *map = &s->map;
    uint64_t block = offset / map->block_size, host = 0, space;
    uLongf packed = compressBound(map->block_size);
    g_autofree uint8_t *data = NULL, *whole = NULL;
    int error;

    if (!s->compressed || offset % map->block_size || size > map->block_size) {
        return EINVAL;
    }
    if (size < map->block_size) {
        whole = g_malloc0(map->block_size);
        memcpy(whole, buf, size);
        buf = whole;
    }
    data = g_malloc0(MARKER_SIZE + packed + VMDK_SECTOR);
    if (compress2(data + MARKER_SIZE, &packed, buf, map->block_size, Z_DEFAULT_COMPRESSION) != Z_OK) {
        return EIO;
    }
    store_le64(data, offset / VMDK_SECTOR);
    store_le32(data + 8, packed);
    space = round_up(MARKER_SIZE + packed, VMDK_SECTOR);
    g_rw_lock_writer_lock(&map->lock);
    error = lookup(map, block, &host, true) == MAP_NONE ? need_tables(s, block, 1) : EIO;
    host = round_up(s->end, VMDK_SECTOR);
    if (!error && (host + space) / VMDK_SECTOR > UINT32_MAX) {
        error = EFBIG;
    }
    error = error ? error : block_image_write(map->file, host, data, space);
    if (!error) {
        s->end = host + space;
        error = enter(s, block, 1, host / VMDK_SECTOR, 0);
    }
    g_rw_lock_writer_unlock(&map->lock);
    return error;
}

static const BlockMapOps plain_ops = {
    .lookup = lookup,
    .allocate = allocate,
    .commit = commit,
    .set_zero = set_zero,
};

static const BlockMapOps compressed_ops = {
    .lookup = lookup,
    .read_compressed = read_compressed,
};

/* ---- opening ---- */

typedef struct Header {
    uint64_t capacity, grain; /* sectors */
    uint64_t descriptor, descriptor_size, directory, spare_directory; /* sectors */
    uint32_t table_entries, flags, version;
    uint16_t compression;
} Header;

static bool damaged(GError **error, const char *name, const char *what)
{
    g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s' is no usable VMDK extent: %s", name, what);
    return false;
}

static void load_header(const uint8_t *h, Header *out)
{
    *out = (Header){
        .version = load_le32(h + H_VERSION),
        .flags = load_le32(h + H_FLAGS),
        .capacity = load_le64(h + H_CAPACITY),
        .grain = load_le64(h + H_GRAIN),
        .descriptor = load_le64(h + H_DESCRIPTOR),
        .descriptor_size = load_le64(h + H_DESCRIPTOR_SIZE),
        .table_entries = load_le32(h + H_TABLE_ENTRIES),
        .spare_directory = load_le64(h + H_SPARE_DIRECTORY),
        .directory = load_le64(h + H_DIRECTORY),
        .compression = load_le16(h + H_COMPRESSION),
    };
}

/* The older header of ESX's copy-on-write disks. */
static void load_cowd_header(const uint8_t *h, Header *out)
{
    *out = (Header){
        .version = 1,
        .capacity = load_le32(h + 12),
        .grain = load_le32(h + 16),
        .directory = load_le32(h + 20),
        .table_entries = 4096,
    };
}

static bool read_header(BlockImage *file, const char *name, Header *header, GError **error)
{
    uint8_t h[HEADER_SIZE];
    uint64_t end = block_image_size(file);

    if (block_image_read(file, 0, h, sizeof(h)) || !vmdk_sparse_probe(h, sizeof(h))) {
        return damaged(error, name, "the header is missing");
    }
    if (!memcmp(h, "COWD", 4)) {
        load_cowd_header(h, header);
        return true;
    }
    load_header(h, header);
    if (header->directory == DIRECTORY_AT_END) {
        /* Written as a stream: the header that is complete lies before the end-of-stream marker. */
        if (end < 2 * HEADER_SIZE || block_image_read(file, end - 2 * HEADER_SIZE, h, sizeof(h)) ||
            !vmdk_sparse_probe(h, sizeof(h))) {
            return damaged(error, name, "the footer is missing");
        }
        load_header(h, header);
    }
    return true;
}

static bool check_header(const Header *h, const char *name, uint64_t file_size, GError **error)
{
    uint64_t span = h->grain * h->table_entries;

    if (h->version == 0 || h->version > 3) {
        return damaged(error, name, "its version is not supported");
    }
    if (!h->grain || (h->grain & (h->grain - 1)) || h->grain > MAX_GRAIN / VMDK_SECTOR) {
        return damaged(error, name, "the grain size is wrong");
    }
    if (!h->table_entries || h->table_entries > MAX_TABLE_ENTRIES) {
        return damaged(error, name, "the size of its grain tables is wrong");
    }
    if (!h->capacity || h->capacity > INT64_MAX / VMDK_SECTOR || h->capacity / span >= MAX_TABLES) {
        return damaged(error, name, "the capacity is wrong");
    }
    if (h->flags & FLAG_COMPRESSED && (!(h->flags & FLAG_MARKERS) || h->compression != COMPRESS_DEFLATE)) {
        return damaged(error, name, "its compression is not known");
    }
    if (!h->directory || h->directory > file_size / VMDK_SECTOR ||
        ((h->capacity + span - 1) / span) * 4 > file_size - h->directory * VMDK_SECTOR) {
        return damaged(error, name, "the grain directory reaches beyond the file");
    }
    return true;
}

static uint32_t *load_directory(BlockImage *file, uint64_t offset, uint32_t tables)
{
    g_autofree uint32_t *directory = g_try_new(uint32_t, tables);

    if (!directory || block_image_read(file, offset, directory, tables * UINT64_C(4))) {
        return NULL;
    }
    for (uint32_t i = 0; i < tables; i++) {
        directory[i] = load_le32(&directory[i]);
    }
    return g_steal_pointer(&directory);
}

void vmdk_sparse_close(VmdkSparse *s)
{
    for (int i = 0; i < CACHE_SLOTS; i++) {
        g_free(s->cache[i].entries);
    }
    g_free(s->cache);
    g_free(s->directory);
    g_free(s->spare_directory);
    g_mutex_clear(&s->cache_lock);
    block_map_clear(&s->map);
    g_free(s);
}

VmdkSparse *vmdk_sparse_open(BlockImage *image, BlockImage *file, const char *name, GError **error)
{
    uint64_t file_size = block_image_size(file), span;
    VmdkSparse *s;
    Header h;

    if (!read_header(file, name, &h, error) || !check_header(&h, name, file_size, error)) {
        return NULL;
    }
    s = g_new0(VmdkSparse, 1);
    span = h.grain * h.table_entries;
    s->table_entries = h.table_entries;
    s->tables = (h.capacity + span - 1) / span;
    s->has_zero_grains = h.flags & FLAG_ZERO_GRAINS && h.version >= 2;
    s->compressed = h.flags & FLAG_COMPRESSED;
    s->end = file_size;
    s->directory_offset = h.directory * VMDK_SECTOR;
    if (h.descriptor && h.descriptor < file_size / VMDK_SECTOR) {
        s->descriptor_offset = h.descriptor * VMDK_SECTOR;
        s->descriptor_size = MIN(h.descriptor_size, VMDK_DESCRIPTOR_MAX / VMDK_SECTOR) * VMDK_SECTOR;
    }
    s->cache = g_new0(VmdkTable, CACHE_SLOTS);
    g_mutex_init(&s->cache_lock);
    block_map_init(&s->map, s->compressed ? &compressed_ops : &plain_ops, image, file, h.capacity * VMDK_SECTOR,
                   h.grain * VMDK_SECTOR, s);
    s->directory = load_directory(file, s->directory_offset, s->tables);
    if (s->directory && h.flags & FLAG_SPARE_TABLES && h.spare_directory && h.spare_directory != h.directory &&
        h.spare_directory < file_size / VMDK_SECTOR) {
        s->spare_offset = h.spare_directory * VMDK_SECTOR;
        s->spare_directory = load_directory(file, s->spare_offset, s->tables);
    }
    if (!s->directory) {
        damaged(error, name, "the grain directory cannot be read");
        vmdk_sparse_close(s);
        return NULL;
    }
    return s;
}

/* ---- check and create ---- */

int vmdk_sparse_check(VmdkSparse *s, BlockCheck *result)
{
    uint64_t blocks = block_map_blocks(&s->map), file_size = block_image_size(s->map.file);

    for (uint64_t block = 0; block < blocks; block++) {
        uint64_t host = 0;
        BlockMapKind kind = MAP_NONE;

        if (!s->directory[block / s->table_entries]) {
            block += s->table_entries - block % s->table_entries - 1;
            continue;
        }
        kind = lookup(&s->map, block, &host, true);
        if (kind == MAP_ERROR) {
            result->check_errors++;
        } else if ((kind == MAP_DATA || kind == MAP_COMPRESSED) && host >= file_size) {
            result->corruptions++;
        }
    }
    return 0;
}

/* A directory whose tables follow it without a gap. */
static int write_directory(BlockImage *file, uint64_t sector, uint32_t tables, uint64_t directory_sectors)
{
    g_autofree uint8_t *directory = g_malloc0(directory_sectors * VMDK_SECTOR);

    for (uint32_t i = 0; i < tables; i++) {
        store_le32(directory + 4 * i, sector + directory_sectors + i * (VMDK_GT_ENTRIES * 4 / VMDK_SECTOR));
    }
    return block_image_write(file, sector * VMDK_SECTOR, directory, directory_sectors * VMDK_SECTOR);
}

bool vmdk_sparse_create(BlockImage *file, const char *name, uint64_t sectors, bool with_descriptor, bool compressed,
                        bool zero_grains, GError **error)
{
    uint64_t span = (uint64_t)VMDK_GRAIN / VMDK_SECTOR * VMDK_GT_ENTRIES;
    uint64_t tables = (sectors + span - 1) / span, directory_sectors = (tables * 4 + VMDK_SECTOR - 1) / VMDK_SECTOR;
    uint64_t one = directory_sectors + tables * (VMDK_GT_ENTRIES * 4 / VMDK_SECTOR);
    uint64_t spare = VMDK_DESCRIPTOR_SECTOR + VMDK_DESCRIPTOR_SECTORS, directory = spare + one;
    uint64_t overhead = round_up(directory + one, VMDK_GRAIN / VMDK_SECTOR);
    uint8_t h[HEADER_SIZE] = { 0 };
    int failed;

    if (sectors > UINT32_MAX - overhead) { /* grains are found by 32-bit sector numbers */
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "%s: a sparse VMDK extent has less than 2 TiB: use subformat=twoGbMaxExtentSparse or monolithicFlat", name);
        return false;
    }
    memcpy(h + H_MAGIC, "KDMV", 4);
    store_le32(h + H_VERSION, compressed ? 3 : zero_grains ? 2 : 1);
    store_le32(h + H_FLAGS, FLAG_NEWLINES | FLAG_SPARE_TABLES | (compressed ? FLAG_COMPRESSED | FLAG_MARKERS : 0) |
                                (zero_grains ? FLAG_ZERO_GRAINS : 0));
    store_le64(h + H_CAPACITY, sectors);
    store_le64(h + H_GRAIN, VMDK_GRAIN / VMDK_SECTOR);
    store_le64(h + H_DESCRIPTOR, with_descriptor ? VMDK_DESCRIPTOR_SECTOR : 0);
    store_le64(h + H_DESCRIPTOR_SIZE, with_descriptor ? VMDK_DESCRIPTOR_SECTORS : 0);
    store_le32(h + H_TABLE_ENTRIES, VMDK_GT_ENTRIES);
    store_le64(h + H_SPARE_DIRECTORY, spare);
    store_le64(h + H_DIRECTORY, directory);
    store_le64(h + H_OVERHEAD, overhead);
    memcpy(h + H_NEWLINES, "\n \r\n", 4);
    store_le16(h + H_COMPRESSION, compressed ? COMPRESS_DEFLATE : 0);
    failed = file->growable ? block_image_resize(file, overhead * VMDK_SECTOR, NULL) : 0;
    failed = failed ? failed : block_image_write(file, 0, h, sizeof(h));
    failed = failed ? failed : write_directory(file, spare, tables, directory_sectors);
    failed = failed ? failed : write_directory(file, directory, tables, directory_sectors);
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write '%s': %s", name, g_strerror(failed));
    }
    return !failed;
}
