/* Hyper-V disk images (VHDX), dynamic and fixed. */
#include "backends/block/vhdx.h"

#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TABLE (256u << 20) /* bytes */

/* GUIDs as they lie in the file. */
const uint8_t vhdx_guid_table[16] = { 0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
                                      0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08 };
const uint8_t vhdx_guid_metadata[16] = { 0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                         0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e };
const uint8_t vhdx_guid_file[16] = { 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
                                     0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b };
const uint8_t vhdx_guid_size[16] = { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
                                     0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8 };
const uint8_t vhdx_guid_page83[16] = { 0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45,
                                       0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46 };
const uint8_t vhdx_guid_logical[16] = { 0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
                                        0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f };
const uint8_t vhdx_guid_physical[16] = { 0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44,
                                         0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56 };

typedef struct VhdxImage {
    BlockMapImage base;
    VhdxLog log;
    uint64_t *table; /* with the entries of sector bitmaps between those of blocks, little-endian */
    uint64_t table_offset, table_entries; /* entries: of whole pages */
    uint64_t metadata_offset, metadata_size;
    uint64_t chunk;  /* blocks for each bitmap entry */
    uint64_t size, end;
    uint32_t sector, block;
    gint begun;      /* the header says that the image is written to */
    GMutex begin_lock;
} VhdxImage;

static int vhdx_probe(const uint8_t *head, size_t size, const char *name)
{
    return size >= 8 && !memcmp(head, "vhdxfile", 8) ? 100 : 0;
}

static bool damaged(GError **error, const char *name, const char *what)
{
    g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s' is no usable VHDX image: %s", name, what);
    return false;
}

/* ---- regions and metadata ---- */

static bool take_region(VhdxImage *v, const uint8_t *entry, uint64_t file_size, const char *name, GError **error)
{
    uint64_t offset = load_le64(entry + 16), length = load_le32(entry + 24);
    bool is_table = !memcmp(entry, vhdx_guid_table, 16), is_metadata = !memcmp(entry, vhdx_guid_metadata, 16);

    if (!is_table && !is_metadata) {
        return !(load_le32(entry + 28) & 1) || damaged(error, name, "it has a required region that is not known");
    }
    if (offset < VHDX_MIB || offset % VHDX_MIB || length % VHDX_MIB || offset > file_size || length > file_size - offset) {
        return damaged(error, name, "a region reaches beyond the file");
    }
    if (is_table) {
        v->table_offset = offset;
        v->table_entries = length / 8;
    } else {
        v->metadata_offset = offset;
        v->metadata_size = length;
    }
    return true;
}

static bool load_regions(VhdxImage *v, const BlockOpen *how, GError **error)
{
    g_autofree uint8_t *r = g_malloc(VHDX_REGIONS_SIZE);
    uint64_t file_size = block_image_size(how->file);
    bool found = false;
    uint32_t count;

    for (int i = 0; i < 2 && !found; i++) {
        found = !vhdx_log_read(&v->log, i ? VHDX_REGIONS_2 : VHDX_REGIONS_1, r, VHDX_REGIONS_SIZE) &&
                !memcmp(r, "regi", 4) && vhdx_checksum(r, VHDX_REGIONS_SIZE, 4) == load_le32(r + 4);
    }
    count = found ? load_le32(r + 8) : 0;
    if (!found || count > (VHDX_REGIONS_SIZE - 16) / 32) {
        return damaged(error, how->name, "the region table is damaged");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!take_region(v, r + 16 + 32 * i, file_size, how->name, error)) {
            return false;
        }
    }
    return (v->table_offset && v->metadata_offset) || damaged(error, how->name, "a region is missing");
}

/* Copies the value of an item; false: it is not there. */
static bool metadata_item(VhdxImage *v, const uint8_t *table, unsigned count, const uint8_t *guid, void *value,
                          uint32_t size)
{
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *entry = table + 32 + 32 * i;
        uint32_t at = load_le32(entry + 16);

        if (!memcmp(entry, guid, 16)) {
            return load_le32(entry + 20) >= size && at <= v->metadata_size - size &&
                   !vhdx_log_read(&v->log, v->metadata_offset + at, value, size);
        }
    }
    return false;
}

static bool load_metadata(VhdxImage *v, const BlockOpen *how, GError **error)
{
    g_autofree uint8_t *table = g_malloc(VHDX_METADATA_TABLE);
    uint8_t file[8], size[8], logical[4];
    unsigned count;

    if (vhdx_log_read(&v->log, v->metadata_offset, table, VHDX_METADATA_TABLE) || memcmp(table, "metadata", 8) ||
        load_le16(table + 10) > (VHDX_METADATA_TABLE - 32) / 32) {
        return damaged(error, how->name, "the metadata table is damaged");
    }
    count = load_le16(table + 10);
    if (!metadata_item(v, table, count, vhdx_guid_file, file, sizeof(file)) ||
        !metadata_item(v, table, count, vhdx_guid_size, size, sizeof(size)) ||
        !metadata_item(v, table, count, vhdx_guid_logical, logical, sizeof(logical))) {
        return damaged(error, how->name, "metadata is missing");
    }
    if (load_le32(file + 4) & 2) {
        return damaged(error, how->name, "it is a differencing image, and those are not supported");
    }
    v->block = load_le32(file);
    v->size = load_le64(size);
    v->sector = load_le32(logical);
    if (v->sector != 512 && v->sector != 4096) {
        return damaged(error, how->name, "the sector size is wrong");
    }
    if (v->block < VHDX_MIB || v->block > 256 * VHDX_MIB || (v->block & (v->block - 1))) {
        return damaged(error, how->name, "the block size is wrong");
    }
    if (v->size > VHDX_MAX_SIZE || v->size % v->sector) {
        return damaged(error, how->name, "the disk size is wrong");
    }
    return true;
}

static bool load_table(VhdxImage *v, const BlockOpen *how, GError **error)
{
    uint64_t blocks = (v->size + v->block - 1) / v->block, needed;

    v->chunk = (UINT64_C(1) << 23) * v->sector / v->block;
    needed = round_up((blocks + (blocks ? (blocks - 1) / v->chunk : 0)) * 8, VHDX_PAGE) / 8;
    if (needed > v->table_entries || needed * 8 > MAX_TABLE) {
        return damaged(error, how->name, "the disk is larger than its block table");
    }
    v->table_entries = needed;
    v->table = g_try_malloc(MAX(needed, 1) * 8);
    if (!v->table || vhdx_log_read(&v->log, v->table_offset, v->table, needed * 8)) {
        return damaged(error, how->name, "the block table cannot be read");
    }
    v->end = round_up(block_image_size(how->file), VHDX_MIB);
    for (uint64_t i = 0; i < needed; i++) {
        uint64_t entry = load_le64(&v->table[i]), end = (entry & ~UINT64_C(0xfffff)) + v->block;

        /* A state other than "present" may still have a place. */
        if (entry & ~UINT64_C(0xfffff) && (entry >> 63 || end > INT64_MAX)) {
            return damaged(error, how->name, "a block lies beyond the largest file");
        }
        if (entry & ~UINT64_C(0xfffff)) {
            v->end = MAX(v->end, end);
        }
    }
    return true;
}

/* ---- the table ---- */

static uint64_t entry_index(const VhdxImage *v, uint64_t block)
{
    return block + block / v->chunk;
}

static BlockMapKind lookup(BlockMap *map, uint64_t block, uint64_t *host, bool may_wait)
{
    VhdxImage *v = map->opaque;
    uint64_t entry = load_le64(&v->table[entry_index(v, block)]);

    switch (entry & 7) {
    case VHDX_PRESENT:
        *host = entry & ~UINT64_C(0xfffff);
        return *host ? MAP_DATA : MAP_ERROR;
    case VHDX_NOT_PRESENT:
        return MAP_NONE;
    case VHDX_UNDEFINED:
    case VHDX_ZERO:
    case VHDX_UNMAPPED:
        return MAP_ZERO;
    default:
        return MAP_ERROR;
    }
}

static int allocate(BlockMap *map, uint64_t block, uint64_t count, uint64_t *host)
{
    VhdxImage *v = map->opaque;

    *host = v->end;
    return 0;
}

static int commit(BlockMap *map, uint64_t block, uint64_t count, uint64_t host)
{
    VhdxImage *v = map->opaque;
    uint64_t first = entry_index(v, block), last = entry_index(v, block + count - 1);
    uint64_t per_page = VHDX_PAGE / 8, page = first / per_page, pages = last / per_page - page + 1;

    for (uint64_t i = 0; i < count; i++) {
        store_le64(&v->table[entry_index(v, block + i)], (host + i * v->block) | VHDX_PRESENT);
    }
    v->end = host + count * v->block;
    return vhdx_log_write(&v->log, v->table_offset + page * VHDX_PAGE, &v->table[page * per_page], pages);
}

static const BlockMapOps map_ops = {
    .lookup = lookup,
    .allocate = allocate,
    .commit = commit,
};

/* ---- the image ---- */

static VhdxImage *vhdx_of(BlockImage *image)
{
    return (VhdxImage *)image;
}

static void vhdx_close(BlockImage *image)
{
    VhdxImage *v = vhdx_of(image);

    vhdx_log_close(&v->log);
    block_map_clear(&v->base.map);
    g_mutex_clear(&v->begin_lock);
    g_free(v->table);
    g_free(v);
}

static BlockImage *vhdx_open(BlockOpen *how, GError **error)
{
    VhdxImage *v = g_new0(VhdxImage, 1);

    g_mutex_init(&v->begin_lock);
    v->base.image.driver = &block_vhdx;
    v->base.image.file = how->file;
    block_map_init(&v->base.map, &map_ops, &v->base.image, how->file, 0, VHDX_MIB, v);
    if (!vhdx_log_open(&v->log, how->file, how->name, how->flags & BLOCK_OPEN_READONLY, error) ||
        !load_regions(v, how, error) || !load_metadata(v, how, error) || !load_table(v, how, error)) {
        vhdx_close(&v->base.image);
        return NULL;
    }
    v->base.image.align = v->sector;
    v->base.image.cluster_size = v->block;
    v->base.image.zero_init = true;
    v->base.map.size = v->size;
    v->base.map.block_size = v->block;
    return &v->base.image;
}

static bool vhdx_reopen(BlockImage *image, unsigned flags, GError **error)
{
    if (vhdx_of(image)->log.pages && !(flags & BLOCK_OPEN_READONLY)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' has a log that was not replayed: open it for writing first",
                    image->name);
        return false;
    }
    return true;
}

/* Before the first change the header has to say so. */
static int begin(VhdxImage *v)
{
    int error;

    if (g_atomic_int_get(&v->begun)) {
        return 0;
    }
    g_mutex_lock(&v->begin_lock);
    error = vhdx_log_begin(&v->log);
    g_atomic_int_set(&v->begun, !error);
    g_mutex_unlock(&v->begin_lock);
    return error;
}

static int vhdx_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    int error = begin(vhdx_of(image));

    return error ? error : block_map_image_write(image, offset, iov, count);
}

static int vhdx_write_zeroes(BlockImage *image, uint64_t offset, uint64_t size, bool may_unmap)
{
    int error = begin(vhdx_of(image));

    return error ? error : block_map_image_write_zeroes(image, offset, size, may_unmap);
}

static int vhdx_discard(BlockImage *image, uint64_t offset, uint64_t size)
{
    int error = begin(vhdx_of(image));

    return error ? error : block_map_image_discard(image, offset, size);
}

static bool vhdx_resolve(BlockImage *image, uint64_t offset, uint64_t size, bool is_write, int *fd, uint64_t *host_offset)
{
    return (!is_write || g_atomic_int_get(&vhdx_of(image)->begun)) &&
           block_map_image_resolve(image, offset, size, is_write, fd, host_offset);
}

static int compare_offsets(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Blocks beyond the file, in it twice, or of a state that only differencing images have. */
static int vhdx_check(BlockImage *image, unsigned fix, BlockCheck *result, GError **error)
{
    VhdxImage *v = vhdx_of(image);
    uint64_t blocks = block_map_blocks(&v->base.map), used = 0, file_size = block_image_size(image->file);
    g_autofree uint64_t *places = g_try_new(uint64_t, MAX(blocks, 1));

    if (!places) {
        return ENOMEM;
    }
    for (uint64_t block = 0; block < blocks; block++) {
        uint64_t host = 0;
        BlockMapKind kind = lookup(&v->base.map, block, &host, true);

        if (kind == MAP_ERROR || (kind == MAP_DATA && (host >= file_size || host < VHDX_MIB))) {
            result->corruptions++;
        } else if (kind == MAP_DATA) {
            places[used++] = host;
        }
    }
    qsort(places, used, sizeof(*places), compare_offsets);
    for (uint64_t i = 1; i < used; i++) {
        result->corruptions += places[i] - places[i - 1] < v->block;
    }
    return 0;
}

const BlockDriver block_vhdx = {
    .name = "vhdx",
    .probe = vhdx_probe,
    .open = vhdx_open,
    .close = vhdx_close,
    .size = block_map_image_size,
    .reopen = vhdx_reopen,
    .read = block_map_image_read,
    .write = vhdx_write,
    .flush = block_map_image_flush,
    .discard = vhdx_discard,
    .write_zeroes = vhdx_write_zeroes,
    .status = block_map_image_status,
    .resolve = vhdx_resolve,
    .create_options = vhdx_create_options,
    .create = vhdx_create,
    .check = vhdx_check,
};
