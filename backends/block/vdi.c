/* VirtualBox disk images (VDI 1.1): a header, a table of 32-bit block numbers, blocks of 1 MiB as a rule. */
#include "backends/block/blockmap.h"
#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    VDI_SIGNATURE = 0xbeda107f,
    VDI_VERSION = 0x00010001,
    VDI_HEADER_SIZE = 0x180,
    VDI_SECTOR = 512,
    VDI_BLOCK = 1 << 20,
    VDI_TABLE_OFFSET = 512,
    VDI_NO_BLOCK = -1,  /* comes from the parent, or reads as zeros */
    VDI_DISCARDED = -2, /* reads as zeros */
    VDI_DYNAMIC = 1,
    VDI_STATIC = 2,
};

/* Offsets in the header; numbers are little-endian. */
enum {
    AT_SIGNATURE = 0x40,
    AT_VERSION = 0x44,
    AT_HEADER_SIZE = 0x48,
    AT_TYPE = 0x4c,
    AT_TABLE = 0x154,
    AT_DATA = 0x158,
    AT_SECTOR_SIZE = 0x168,
    AT_DISK_SIZE = 0x170,
    AT_BLOCK_SIZE = 0x178,
    AT_BLOCK_EXTRA = 0x17c,
    AT_BLOCKS = 0x180,
    AT_ALLOCATED = 0x184,
    AT_UUID_IMAGE = 0x188,
    AT_UUID_SNAPSHOT = 0x198,
    AT_UUID_LINK = 0x1a8,
    AT_UUID_PARENT = 0x1b8,
    HEADER_READ = 0x200,
};

#define VDI_MAX_BLOCKS (UINT64_C(1) << 26) /* 256 MiB of table, 64 TiB of disk */
#define TABLE_STEP 8192                     /* entries per write of a whole table */

typedef struct VdiImage {
    BlockMapImage base;
    uint32_t *table; /* block numbers, in the host's order */
    uint32_t blocks, allocated;
    uint64_t table_offset, data_offset, stride; /* from block to block: their size and what extra bytes precede it */
    uint32_t extra;
    uint32_t next; /* the first number that no block has */
} VdiImage;

static int vdi_probe(const uint8_t *head, size_t size, const char *name)
{
    return size >= HEADER_READ && load_le32(head + AT_SIGNATURE) == VDI_SIGNATURE ? 100 : 0;
}

static bool damaged(GError **error, const char *name, const char *what)
{
    g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s' is no usable VDI image: %s", name, what);
    return false;
}

static bool is_zero_uuid(const uint8_t *uuid)
{
    static const uint8_t zero[16];

    return !memcmp(uuid, zero, sizeof(zero));
}

static bool check_header(const uint8_t *h, const char *name, uint64_t file_size, GError **error)
{
    uint64_t size = load_le64(h + AT_DISK_SIZE), blocks = load_le32(h + AT_BLOCKS);
    uint64_t block = load_le32(h + AT_BLOCK_SIZE), table = load_le32(h + AT_TABLE), data = load_le32(h + AT_DATA);

    if (load_le32(h + AT_SIGNATURE) != VDI_SIGNATURE) {
        return damaged(error, name, "the signature is missing");
    }
    if (load_le32(h + AT_VERSION) != VDI_VERSION) {
        return damaged(error, name, "its version is not 1.1");
    }
    if (load_le32(h + AT_SECTOR_SIZE) != VDI_SECTOR || table % VDI_SECTOR || data % VDI_SECTOR || table < VDI_SECTOR) {
        return damaged(error, name, "the header's offsets or sector size are wrong");
    }
    if (block < VDI_SECTOR || (block & (block - 1)) || block > (64 << 20) || load_le32(h + AT_BLOCK_EXTRA) % VDI_SECTOR ||
        load_le32(h + AT_BLOCK_EXTRA) > block) {
        return damaged(error, name, "the block size is wrong");
    }
    if (blocks > VDI_MAX_BLOCKS || !size || size > blocks * block) {
        return damaged(error, name, "the disk is larger than its blocks");
    }
    if (data < table + blocks * 4 || table + blocks * 4 > file_size) {
        return damaged(error, name, "the block table reaches beyond its place");
    }
    if (!is_zero_uuid(h + AT_UUID_PARENT)) {
        return damaged(error, name, "it is a differencing image, and those are not supported");
    }
    return true;
}

static BlockMapKind vdi_lookup(BlockMap *map, uint64_t block, uint64_t *host, bool may_wait)
{
    VdiImage *vdi = map->opaque;
    uint32_t entry = vdi->table[block];

    if (entry >= (uint32_t)VDI_DISCARDED) {
        return entry == (uint32_t)VDI_NO_BLOCK ? MAP_NONE : MAP_ZERO;
    }
    *host = vdi->data_offset + entry * vdi->stride + vdi->extra;
    return MAP_DATA;
}

static int vdi_allocate(BlockMap *map, uint64_t block, uint64_t count, uint64_t *host)
{
    VdiImage *vdi = map->opaque;

    if (count > VDI_MAX_BLOCKS || vdi->next + count > VDI_MAX_BLOCKS) {
        return EFBIG;
    }
    *host = vdi->data_offset + vdi->next * vdi->stride + vdi->extra;
    return 0;
}

/* Entries of the table as they are now. */
static int write_table(VdiImage *vdi, uint64_t first, uint64_t count)
{
    uint32_t buf[TABLE_STEP];
    int error = 0;

    for (uint64_t done = 0; done < count && !error; done += TABLE_STEP) {
        uint64_t n = MIN(count - done, TABLE_STEP);

        for (uint64_t i = 0; i < n; i++) {
            store_le32(&buf[i], vdi->table[first + done + i]);
        }
        error = block_image_write(vdi->base.map.file, vdi->table_offset + (first + done) * 4, buf, n * 4);
    }
    return error;
}

static int vdi_commit(BlockMap *map, uint64_t block, uint64_t count, uint64_t host)
{
    VdiImage *vdi = map->opaque;
    uint8_t allocated[4];
    int error;

    for (uint64_t i = 0; i < count; i++) {
        vdi->table[block + i] = vdi->next++;
    }
    vdi->allocated += count;
    store_le32(allocated, vdi->allocated);
    error = write_table(vdi, block, count);
    return error ? error : block_image_write(map->file, AT_ALLOCATED, allocated, sizeof(allocated));
}

static const BlockMapOps vdi_map_ops = {
    .lookup = vdi_lookup,
    .allocate = vdi_allocate,
    .commit = vdi_commit,
};

static bool load_table(VdiImage *vdi, BlockImage *file, GError **error)
{
    int failed;

    vdi->table = g_try_new(uint32_t, MAX(vdi->blocks, 1));
    failed = vdi->table ? block_image_read(file, vdi->table_offset, vdi->table, vdi->blocks * UINT64_C(4)) : ENOMEM;
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot read the block table: %s", g_strerror(failed));
        return false;
    }
    for (uint32_t i = 0; i < vdi->blocks; i++) {
        uint32_t entry = load_le32(&vdi->table[i]);

        vdi->table[i] = entry;
        if (entry < (uint32_t)VDI_DISCARDED && entry >= vdi->next) {
            vdi->next = entry < VDI_MAX_BLOCKS ? entry + 1 : VDI_MAX_BLOCKS;
        }
    }
    return true;
}

static void vdi_close(BlockImage *image)
{
    VdiImage *vdi = (VdiImage *)image;

    block_map_clear(&vdi->base.map);
    g_free(vdi->table);
    g_free(vdi);
}

static BlockImage *vdi_open(BlockOpen *how, GError **error)
{
    uint8_t h[HEADER_READ];
    VdiImage *vdi;
    int failed = block_image_read(how->file, 0, h, sizeof(h));

    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot read '%s': %s", how->name, g_strerror(failed));
        return NULL;
    }
    if (!check_header(h, how->name, block_image_size(how->file), error)) {
        return NULL;
    }
    vdi = g_new0(VdiImage, 1);
    vdi->base.image = (BlockImage){
        .driver = &block_vdi,
        .file = how->file,
        .align = VDI_SECTOR,
        .cluster_size = load_le32(h + AT_BLOCK_SIZE),
        .zero_init = load_le32(h + AT_TYPE) == VDI_STATIC ? how->file->zero_init : true,
    };
    vdi->blocks = load_le32(h + AT_BLOCKS);
    vdi->allocated = load_le32(h + AT_ALLOCATED);
    vdi->table_offset = load_le32(h + AT_TABLE);
    vdi->data_offset = load_le32(h + AT_DATA);
    vdi->extra = load_le32(h + AT_BLOCK_EXTRA);
    vdi->stride = (uint64_t)vdi->base.image.cluster_size + vdi->extra;
    block_map_init(&vdi->base.map, &vdi_map_ops, &vdi->base.image, how->file, load_le64(h + AT_DISK_SIZE) / VDI_SECTOR * VDI_SECTOR,
                   vdi->base.image.cluster_size, vdi);
    vdi->base.map.block_gap = vdi->extra;
    if (!load_table(vdi, how->file, error)) {
        vdi_close(&vdi->base.image);
        return NULL;
    }
    return &vdi->base.image;
}

/* ---- new images ---- */

static const BlockCreateOption vdi_create_options[] = {
    { "static", BLOCK_OPT_BOOL, "off", "VDI static (pre-allocated) image" },
    { NULL },
};

static void random_uuid(uint8_t *uuid)
{
    for (int i = 0; i < 4; i++) {
        store_le32(uuid + 4 * i, g_random_int());
    }
    uuid[7] = (uuid[7] & 0x0f) | 0x40;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
}

static void fill_header(uint8_t *h, uint64_t size, uint32_t blocks, bool is_static)
{
    uint64_t table_size = (blocks * UINT64_C(4) + VDI_SECTOR - 1) / VDI_SECTOR * VDI_SECTOR;

    strcpy((char *)h, "<<< Oracle VM VirtualBox Disk Image >>>\n");
    store_le32(h + AT_SIGNATURE, VDI_SIGNATURE);
    store_le32(h + AT_VERSION, VDI_VERSION);
    store_le32(h + AT_HEADER_SIZE, VDI_HEADER_SIZE);
    store_le32(h + AT_TYPE, is_static ? VDI_STATIC : VDI_DYNAMIC);
    store_le32(h + AT_TABLE, VDI_TABLE_OFFSET);
    store_le32(h + AT_DATA, VDI_TABLE_OFFSET + table_size);
    store_le32(h + AT_SECTOR_SIZE, VDI_SECTOR);
    store_le64(h + AT_DISK_SIZE, size);
    store_le32(h + AT_BLOCK_SIZE, VDI_BLOCK);
    store_le32(h + AT_BLOCKS, blocks);
    store_le32(h + AT_ALLOCATED, is_static ? blocks : 0);
    random_uuid(h + AT_UUID_IMAGE);
    random_uuid(h + AT_UUID_SNAPSHOT);
}

static int write_new_table(BlockImage *file, uint32_t blocks, bool is_static)
{
    uint32_t buf[TABLE_STEP];
    int error = 0;

    for (uint32_t done = 0; done < blocks && !error; done += TABLE_STEP) {
        uint32_t n = MIN(blocks - done, TABLE_STEP);

        for (uint32_t i = 0; i < n; i++) {
            store_le32(&buf[i], is_static ? done + i : (uint32_t)VDI_NO_BLOCK);
        }
        error = block_image_write(file, VDI_TABLE_OFFSET + done * UINT64_C(4), buf, n * 4);
    }
    return error;
}

static bool vdi_create(BlockImage *file, const char *name, uint64_t size, Json *options, GError **error)
{
    uint64_t blocks = size / VDI_BLOCK + (size % VDI_BLOCK != 0);
    uint8_t h[HEADER_READ] = { 0 };
    bool is_static = false;
    int failed;

    if (!block_option_bool(options, "static", &is_static, error)) {
        return false;
    }
    if (blocks > VDI_MAX_BLOCKS) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: a VDI image has at most %d TiB", name,
                    (int)(VDI_MAX_BLOCKS >> 20));
        return false;
    }
    fill_header(h, (size + VDI_SECTOR - 1) / VDI_SECTOR * VDI_SECTOR, blocks, is_static);
    failed = block_image_write(file, 0, h, sizeof(h));
    failed = failed ? failed : write_new_table(file, blocks, is_static);
    if (!failed && file->growable) {
        failed = block_image_resize(file, load_le32(h + AT_DATA) + (is_static ? blocks * VDI_BLOCK : 0), NULL);
    }
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write '%s': %s", name, g_strerror(failed));
    }
    return !failed;
}

/* ---- check ---- */

/* Entries beyond the file, and blocks that two entries name. */
static int vdi_check(BlockImage *image, unsigned fix, BlockCheck *result, GError **error)
{
    VdiImage *vdi = (VdiImage *)image;
    uint64_t file_blocks = (block_image_size(image->file) + vdi->stride - 1) / vdi->stride;
    uint64_t words = (MIN(vdi->next, file_blocks) + 63) / 64;
    g_autofree uint64_t *seen = g_try_new0(uint64_t, MAX(words, 1));
    uint64_t used = 0;

    if (!seen) {
        return ENOMEM;
    }
    for (uint32_t i = 0; i < vdi->blocks; i++) {
        uint32_t entry = vdi->table[i];

        if (entry >= (uint32_t)VDI_DISCARDED) {
            continue;
        }
        used++;
        if (entry / 64 >= words || seen[entry / 64] >> entry % 64 & 1) {
            result->corruptions++;
        } else {
            seen[entry / 64] |= UINT64_C(1) << entry % 64;
        }
    }
    if (used != vdi->allocated) {
        uint8_t count[4];

        store_le32(count, used);
        if ((fix & BLOCK_FIX_ERRORS) && !block_image_write(image->file, AT_ALLOCATED, count, sizeof(count))) {
            vdi->allocated = used;
            result->corruptions_fixed++;
        } else {
            result->corruptions++;
        }
    }
    result->total_clusters = vdi->blocks;
    result->allocated_clusters = used;
    return 0;
}

const BlockDriver block_vdi = {
    .name = "vdi",
    .probe = vdi_probe,
    .open = vdi_open,
    .close = vdi_close,
    .size = block_map_image_size,
    .read = block_map_image_read,
    .write = block_map_image_write,
    .flush = block_map_image_flush,
    .discard = block_map_image_discard,
    .write_zeroes = block_map_image_write_zeroes,
    .status = block_map_image_status,
    .resolve = block_map_image_resolve,
    .create_options = vdi_create_options,
    .create = vdi_create,
    .check = vdi_check,
};
