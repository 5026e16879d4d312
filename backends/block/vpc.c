/*
 * Virtual PC and Hyper-V disk images (VHD): fixed, dynamic, and differencing images read-only.
 *
 * Microsoft's "Virtual Hard Disk Image Format Specification". A footer of 512 bytes describes the disk and ends the file;
 * dynamic images have a copy of it at the start, a header behind that, and a table from blocks (2 MiB as a rule) to
 * sectors of the file. Each block begins with a bitmap of its sectors, which matters in differencing images only.
 * Numbers are big-endian.
 */
#include "backends/block/blockmap.h"
#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    FOOTER_SIZE = 512,
    HEADER_SIZE = 1024,
    SECTOR = 512,
    NEW_BLOCK = 2 << 20,
    TABLE_OFFSET = FOOTER_SIZE + HEADER_SIZE, /* in images that we make */
    TYPE_FIXED = 2,
    TYPE_DYNAMIC = 3,
    TYPE_DIFFERENCING = 4,
    EPOCH = 946684800, /* 2000-01-01 */
    MAX_GEOMETRY_SECTORS = 65535 * 16 * 255,
    TABLE_STEP = 8192,
};

/* In the footer. */
enum {
    F_COOKIE = 0,
    F_FEATURES = 8,
    F_VERSION = 12,
    F_DATA_OFFSET = 16,
    F_TIME = 24,
    F_CREATOR = 28,
    F_CREATOR_VERSION = 32,
    F_CREATOR_OS = 36,
    F_ORIGINAL_SIZE = 40,
    F_CURRENT_SIZE = 48,
    F_CYLINDERS = 56,
    F_HEADS = 58,
    F_SECTORS = 59,
    F_TYPE = 60,
    F_CHECKSUM = 64,
    F_UUID = 68,
};

/* In the header of a dynamic image. */
enum {
    H_COOKIE = 0,
    H_DATA_OFFSET = 8,
    H_TABLE_OFFSET = 16,
    H_VERSION = 24,
    H_ENTRIES = 28,
    H_BLOCK_SIZE = 32,
    H_CHECKSUM = 36,
    H_PARENT_NAME = 64, /* 256 UTF-16 units */
    H_LOCATORS = 576,   /* eight of 24 bytes */
};

#define NO_BLOCK        UINT32_MAX
#define MAX_SECTORS     UINT64_C(0xff000000) /* 2040 GiB */
#define MAX_ENTRIES     (1u << 26)

typedef struct VpcImage {
    BlockMapImage base;
    uint8_t footer[FOOTER_SIZE];
    uint64_t size;
    uint32_t type;
    uint32_t *table; /* sector of each block's bitmap */
    uint32_t entries;
    uint64_t table_offset, bitmap_size;
    uint64_t end; /* where the footer lies and the next block goes */
} VpcImage;

static int vpc_probe(const uint8_t *head, size_t size, const char *name)
{
    return size >= FOOTER_SIZE && !memcmp(head, "conectix", 8) ? 100 : 0;
}

/* The ones' complement of the sum of all other bytes. */
static uint32_t checksum(const uint8_t *data, size_t size, size_t field)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < size; i++) {
        sum += i >= field && i < field + 4 ? 0 : data[i];
    }
    return ~sum;
}

/* ---- geometry ---- */

typedef struct Geometry {
    uint16_t cylinders;
    uint8_t heads, sectors;
} Geometry;

/* The specification's appendix: cylinders, heads and sectors that make at most so many sectors. */
static Geometry find_geometry(uint64_t total)
{
    uint32_t tracks, heads, sectors;

    total = MIN(total, MAX_GEOMETRY_SECTORS);
    if (total >= 65535 * 16 * 63) {
        sectors = 255;
        heads = 16;
        tracks = total / sectors;
    } else {
        sectors = 17;
        tracks = total / sectors;
        heads = MAX((tracks + 1023) / 1024, 4);
        if (tracks >= heads * 1024 || heads > 16) {
            sectors = 31;
            heads = 16;
            tracks = total / sectors;
        }
        if (tracks >= heads * 1024) {
            sectors = 63;
            heads = 16;
            tracks = total / sectors;
        }
    }
    return (Geometry){ tracks / heads, heads, sectors };
}

static uint64_t geometry_sectors(Geometry g)
{
    return (uint64_t)g.cylinders * g.heads * g.sectors;
}

/* The smallest geometry that has room for so many sectors. */
static Geometry geometry_for(uint64_t sectors)
{
    Geometry g = find_geometry(sectors);

    for (uint64_t more = sectors; geometry_sectors(g) < sectors && more < MAX_GEOMETRY_SECTORS;) {
        g = find_geometry(++more);
    }
    return g;
}

/* Virtual PC sees what the geometry has; others what the size says. */
static uint64_t disk_size(const uint8_t *footer)
{
    Geometry g = { load_be16(footer + F_CYLINDERS), footer[F_HEADS], footer[F_SECTORS] };
    bool by_geometry = !memcmp(footer + F_CREATOR, "vpc ", 4) || !memcmp(footer + F_CREATOR, "qemu", 4);
    uint64_t size = load_be64(footer + F_CURRENT_SIZE);

    if (by_geometry && geometry_sectors(g) < MAX_GEOMETRY_SECTORS && geometry_sectors(g)) {
        return geometry_sectors(g) * SECTOR;
    }
    return size / SECTOR * SECTOR;
}

/* ---- the table ---- */

static BlockMapKind vpc_lookup(BlockMap *map, uint64_t block, uint64_t *host, bool may_wait)
{
    VpcImage *vpc = map->opaque;

    if (block >= vpc->entries || vpc->table[block] == NO_BLOCK) {
        return MAP_NONE;
    }
    *host = (uint64_t)vpc->table[block] * SECTOR + vpc->bitmap_size;
    return MAP_DATA;
}

static int vpc_allocate(BlockMap *map, uint64_t block, uint64_t count, uint64_t *host)
{
    VpcImage *vpc = map->opaque;
    uint64_t stride = vpc->bitmap_size + map->block_size;

    if (block + count > vpc->entries || (vpc->end + count * stride) / SECTOR >= NO_BLOCK) {
        return EFBIG;
    }
    *host = vpc->end + vpc->bitmap_size;
    return 0;
}

static int write_table(VpcImage *vpc, uint64_t first, uint64_t count)
{
    uint32_t buf[TABLE_STEP];
    int error = 0;

    for (uint64_t done = 0; done < count && !error; done += TABLE_STEP) {
        uint64_t n = MIN(count - done, TABLE_STEP);

        for (uint64_t i = 0; i < n; i++) {
            store_be32(&buf[i], vpc->table[first + done + i]);
        }
        error = block_image_write(vpc->base.map.file, vpc->table_offset + (first + done) * 4, buf, n * 4);
    }
    return error;
}

static int vpc_commit(BlockMap *map, uint64_t block, uint64_t count, uint64_t host)
{
    VpcImage *vpc = map->opaque;
    uint64_t stride = vpc->bitmap_size + map->block_size;
    g_autofree uint8_t *bitmap = g_malloc(vpc->bitmap_size);
    int error;

    memset(bitmap, 0xff, vpc->bitmap_size);
    error = block_image_write(map->file, vpc->end + count * stride, vpc->footer, FOOTER_SIZE);
    for (uint64_t i = 0; i < count && !error; i++) {
        error = block_image_write(map->file, vpc->end + i * stride, bitmap, vpc->bitmap_size);
        vpc->table[block + i] = (vpc->end + i * stride) / SECTOR;
    }
    vpc->end += count * stride;
    return error ? error : write_table(vpc, block, count);
}

static const BlockMapOps vpc_map_ops = {
    .lookup = vpc_lookup,
    .allocate = vpc_allocate,
    .commit = vpc_commit,
};

/* ---- opening ---- */

static bool damaged(GError **error, const char *name, const char *what)
{
    g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s' is no usable VHD image: %s", name, what);
    return false;
}

/* The footer at the end of the file, or its copy at the start. */
static bool load_footer(VpcImage *vpc, const BlockOpen *how, bool *at_start, GError **error)
{
    uint64_t end = block_image_size(how->file);
    uint8_t *f = vpc->footer;

    *at_start = true;
    if (block_image_read(how->file, 0, f, FOOTER_SIZE)) {
        return damaged(error, how->name, "it cannot be read");
    }
    if (memcmp(f, "conectix", 8)) {
        *at_start = false;
        if (end < FOOTER_SIZE || block_image_read(how->file, end - FOOTER_SIZE, f, FOOTER_SIZE) ||
            memcmp(f, "conectix", 8)) {
            return damaged(error, how->name, "the footer is missing");
        }
    }
    if (checksum(f, FOOTER_SIZE, F_CHECKSUM) != load_be32(f + F_CHECKSUM)) {
        return damaged(error, how->name, "the footer's checksum is wrong");
    }
    vpc->type = load_be32(f + F_TYPE);
    return true;
}

static bool load_table(VpcImage *vpc, const BlockOpen *how, GError **error)
{
    uint64_t file_size = block_image_size(how->file);

    if (vpc->entries > MAX_ENTRIES || vpc->table_offset > file_size ||
        vpc->entries * UINT64_C(4) > file_size - vpc->table_offset) {
        return damaged(error, how->name, "the block table reaches beyond the file");
    }
    vpc->table = g_try_new(uint32_t, MAX(vpc->entries, 1));
    if (!vpc->table || block_image_read(how->file, vpc->table_offset, vpc->table, vpc->entries * UINT64_C(4))) {
        return damaged(error, how->name, "the block table cannot be read");
    }
    vpc->end = round_up(vpc->table_offset + vpc->entries * UINT64_C(4), SECTOR);
    for (uint32_t i = 0; i < vpc->entries; i++) {
        vpc->table[i] = load_be32(&vpc->table[i]);
        if (vpc->table[i] != NO_BLOCK) {
            uint64_t end = (uint64_t)vpc->table[i] * SECTOR + vpc->bitmap_size + vpc->base.image.cluster_size;

            vpc->end = MAX(vpc->end, end);
        }
    }
    return true;
}

/* UTF-16 as a file name with the host's separators. */
static char *file_name(const uint8_t *text, size_t size, bool big_endian)
{
    char *name = g_convert((const char *)text, size, "UTF-8", big_endian ? "UTF-16BE" : "UTF-16LE", NULL, NULL, NULL);

    return name && *name ? g_strdelimit(name, "\\", '/') : (g_free(name), NULL);
}

/* A differencing image's parent: the relative path if there is one, else the name alone. */
static char *find_parent(const BlockOpen *how, const uint8_t *header)
{
    g_autofree char *name = NULL;

    for (int i = 0; i < 8; i++) {
        const uint8_t *locator = header + H_LOCATORS + 24 * i;
        uint32_t length = load_be32(locator + 8);
        uint8_t text[2048];

        if (!memcmp(locator, "W2ru", 4) && length <= sizeof(text) && length % 2 == 0 &&
            !block_image_read(how->file, load_be64(locator + 16), text, length)) {
            return file_name(text, length, false);
        }
    }
    name = file_name(header + H_PARENT_NAME, 512, true);
    return name ? g_path_get_basename(name) : NULL;
}

static bool open_dynamic(VpcImage *vpc, BlockOpen *how, GError **error)
{
    uint8_t h[HEADER_SIZE];
    uint64_t offset = load_be64(vpc->footer + F_DATA_OFFSET);
    uint32_t block;

    if (offset > INT64_MAX || block_image_read(how->file, offset, h, sizeof(h)) || memcmp(h, "cxsparse", 8)) {
        return damaged(error, how->name, "the header of the dynamic disk is missing");
    }
    if (checksum(h, HEADER_SIZE, H_CHECKSUM) != load_be32(h + H_CHECKSUM)) {
        return damaged(error, how->name, "the header's checksum is wrong");
    }
    block = load_be32(h + H_BLOCK_SIZE);
    if (block < SECTOR || (block & (block - 1)) || block > (256 << 20)) {
        return damaged(error, how->name, "the block size is wrong");
    }
    vpc->base.image.cluster_size = block;
    vpc->bitmap_size = round_up(MAX(block / SECTOR / 8, 1), SECTOR);
    vpc->table_offset = load_be64(h + H_TABLE_OFFSET);
    vpc->entries = load_be32(h + H_ENTRIES);
    if (vpc->entries < (vpc->size + block - 1) / block) {
        return damaged(error, how->name, "the disk is larger than its blocks");
    }
    if (vpc->type == TYPE_DIFFERENCING) {
        vpc->base.image.backing_name = find_parent(how, h);
        vpc->base.image.backing_format = g_strdup("vpc");
        if (!vpc->base.image.backing_name) {
            return damaged(error, how->name, "it does not say what its parent is");
        }
        how->flags |= BLOCK_OPEN_READONLY;
    }
    return load_table(vpc, how, error);
}

static void vpc_close(BlockImage *image)
{
    VpcImage *vpc = (VpcImage *)image;

    block_map_clear(&vpc->base.map);
    g_free(vpc->table);
    g_free(vpc);
}

static bool open_type(VpcImage *vpc, BlockOpen *how, bool at_start, GError **error)
{
    g_autofree char *mode = NULL;

    if (!block_option_string(how->options, "force_size_calc", &mode, error)) {
        return false;
    }
    vpc->size = disk_size(vpc->footer);
    if (mode && !strcmp(mode, "current_size")) {
        vpc->size = load_be64(vpc->footer + F_CURRENT_SIZE) / SECTOR * SECTOR;
    } else if (mode && !strcmp(mode, "chs")) {
        vpc->size = (uint64_t)load_be16(vpc->footer + F_CYLINDERS) * vpc->footer[F_HEADS] * vpc->footer[F_SECTORS] * SECTOR;
    } else if (mode && strcmp(mode, "auto")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "force_size_calc=%s: there are auto, chs and current_size", mode);
        return false;
    }
    if (vpc->size > MAX_SECTORS * SECTOR) {
        return damaged(error, how->name, "the disk is larger than the format allows");
    }
    switch (vpc->type) {
    case TYPE_FIXED:
        if (at_start || vpc->size > block_image_size(how->file) - FOOTER_SIZE) {
            return damaged(error, how->name, "the file is shorter than the disk");
        }
        vpc->base.image.zero_init = how->file->zero_init;
        return true;
    case TYPE_DYNAMIC:
    case TYPE_DIFFERENCING:
        vpc->base.image.zero_init = true;
        return open_dynamic(vpc, how, error);
    default:
        return damaged(error, how->name, "its type is unknown");
    }
}

static BlockImage *vpc_open(BlockOpen *how, GError **error)
{
    VpcImage *vpc = g_new0(VpcImage, 1);
    bool at_start;

    vpc->base.image.driver = &block_vpc;
    vpc->base.image.file = how->file;
    vpc->base.image.align = SECTOR;
    block_map_init(&vpc->base.map, &vpc_map_ops, &vpc->base.image, how->file, 0, SECTOR, vpc);
    if (!load_footer(vpc, how, &at_start, error) || !open_type(vpc, how, at_start, error)) {
        g_free(vpc->base.image.backing_name);
        g_free(vpc->base.image.backing_format);
        vpc_close(&vpc->base.image);
        return NULL;
    }
    vpc->base.map.size = vpc->size;
    vpc->base.map.block_size = MAX(vpc->base.image.cluster_size, SECTOR);
    vpc->base.map.block_gap = vpc->bitmap_size;
    return &vpc->base.image;
}

/* ---- reading and writing ---- */

static bool is_fixed(BlockImage *image)
{
    return ((VpcImage *)image)->type == TYPE_FIXED;
}

/* How many bytes from the offset come from the same place, the block here or the parent. */
static int differencing_run(VpcImage *vpc, uint64_t offset, uint64_t size, bool *here, uint64_t *run)
{
    uint32_t block_size = vpc->base.map.block_size;
    uint64_t block = offset / block_size, inside = offset % block_size;
    g_autofree uint8_t *bitmap = NULL;
    int error;

    *run = MIN(size, block_size - inside);
    *here = vpc->table[block] != NO_BLOCK;
    if (!*here) {
        return 0;
    }
    bitmap = g_malloc(vpc->bitmap_size);
    error = block_image_read(vpc->base.image.file, (uint64_t)vpc->table[block] * SECTOR, bitmap, vpc->bitmap_size);
    *here = bitmap[inside / SECTOR / 8] >> (7 - inside / SECTOR % 8) & 1;
    for (uint64_t at = inside - inside % SECTOR + SECTOR; at < inside + *run; at += SECTOR) {
        if ((bitmap[at / SECTOR / 8] >> (7 - at / SECTOR % 8) & 1) != *here) {
            *run = at - inside;
            break;
        }
    }
    return error;
}

static int read_differencing(VpcImage *vpc, uint64_t offset, const struct iovec *iov, int count)
{
    size_t size = block_iov_size(iov, count);
    g_autofree struct iovec *part = g_new(struct iovec, count);
    int error = 0;

    for (uint64_t done = 0, run; done < size && !error; done += run) {
        uint64_t at = offset + done, host = 0;
        bool here;
        int n;

        error = differencing_run(vpc, at, size - done, &here, &run);
        n = block_iov_part(part, iov, count, done, run);
        if (!error && here) {
            vpc_lookup(&vpc->base.map, at / vpc->base.map.block_size, &host, true);
            error = block_image_readv(vpc->base.image.file, host + at % vpc->base.map.block_size, part, n);
        } else if (!error) {
            error = block_image_read_backing(&vpc->base.image, at, part, n);
        }
    }
    return error;
}

static int vpc_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    if (((VpcImage *)image)->type == TYPE_DIFFERENCING) {
        return read_differencing((VpcImage *)image, offset, iov, count);
    }
    return is_fixed(image) ? block_image_readv(image->file, offset, iov, count)
                           : block_map_image_read(image, offset, iov, count);
}

static int vpc_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    return is_fixed(image) ? block_image_writev(image->file, offset, iov, count)
                           : block_map_image_write(image, offset, iov, count);
}

static uint64_t vpc_size(BlockImage *image)
{
    return ((VpcImage *)image)->size;
}

static int vpc_write_zeroes(BlockImage *image, uint64_t offset, uint64_t size, bool may_unmap)
{
    return is_fixed(image) ? block_image_write_zeroes(image->file, offset, size, may_unmap)
                           : block_map_image_write_zeroes(image, offset, size, may_unmap);
}

static int vpc_discard(BlockImage *image, uint64_t offset, uint64_t size)
{
    return is_fixed(image) ? block_image_discard(image->file, offset, size)
                           : block_map_image_discard(image, offset, size);
}

static int vpc_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent)
{
    VpcImage *vpc = (VpcImage *)image;
    bool here;
    int error;

    if (vpc->type == TYPE_DIFFERENCING) {
        error = differencing_run(vpc, offset, size, &here, &extent->size);
        extent->status = here ? BLOCK_DATA | BLOCK_HERE : 0;
        extent->image = NULL;
        return error;
    }
    if (is_fixed(image)) {
        error = block_image_status(image->file, offset, size, extent);
        extent->status |= BLOCK_HERE;
        return error;
    }
    return block_map_image_status(image, offset, size, extent);
}

static bool vpc_resolve(BlockImage *image, uint64_t offset, uint64_t size, bool is_write, int *fd, uint64_t *host_offset)
{
    if (is_fixed(image)) {
        return block_image_resolve(image->file, offset, size, is_write, fd, host_offset);
    }
    return ((VpcImage *)image)->type == TYPE_DYNAMIC &&
           block_map_image_resolve(image, offset, size, is_write, fd, host_offset);
}

static int vpc_flush(BlockImage *image)
{
    return block_image_flush(image->file);
}

/* ---- new images ---- */

static const BlockCreateOption vpc_create_options[] = {
    { "subformat", BLOCK_OPT_STRING, NULL, "Type of virtual hard disk format. Supported formats are {dynamic (default) | fixed}" },
    { "force_size", BLOCK_OPT_BOOL, NULL,
      "Force disk size calculation to use the actual size specified, rather than using the nearest CHS-based calculation" },
    { NULL },
};

static void fill_footer(uint8_t *f, uint64_t sectors, Geometry g, bool force_size, bool is_fixed_disk)
{
    memcpy(f + F_COOKIE, "conectix", 8);
    store_be32(f + F_FEATURES, 2); /* always set */
    store_be32(f + F_VERSION, 0x00010000);
    store_be64(f + F_DATA_OFFSET, is_fixed_disk ? UINT64_MAX : FOOTER_SIZE);
    store_be32(f + F_TIME, time(NULL) - EPOCH);
    /* Readers take the geometry's size or the size itself by who made the image; these are names that they know. */
    memcpy(f + F_CREATOR, force_size ? "qem2" : "qemu", 4);
    store_be16(f + F_CREATOR_VERSION, 5);
    store_be16(f + F_CREATOR_VERSION + 2, 3);
    memcpy(f + F_CREATOR_OS, "Wi2k", 4);
    store_be64(f + F_ORIGINAL_SIZE, sectors * SECTOR);
    store_be64(f + F_CURRENT_SIZE, sectors * SECTOR);
    store_be16(f + F_CYLINDERS, g.cylinders);
    f[F_HEADS] = g.heads;
    f[F_SECTORS] = g.sectors;
    store_be32(f + F_TYPE, is_fixed_disk ? TYPE_FIXED : TYPE_DYNAMIC);
    for (int i = 0; i < 4; i++) {
        store_be32(f + F_UUID + 4 * i, g_random_int());
    }
    f[F_UUID + 6] = (f[F_UUID + 6] & 0x0f) | 0x40;
    f[F_UUID + 8] = (f[F_UUID + 8] & 0x3f) | 0x80;
    store_be32(f + F_CHECKSUM, checksum(f, FOOTER_SIZE, F_CHECKSUM));
}

static int write_dynamic(BlockImage *file, const uint8_t *footer, uint64_t sectors)
{
    uint64_t entries = (sectors * SECTOR + NEW_BLOCK - 1) / NEW_BLOCK;
    uint64_t table_size = round_up(entries * 4, SECTOR);
    g_autofree uint8_t *table = g_malloc(table_size);
    uint8_t h[HEADER_SIZE] = { 0 };
    int error;

    memset(table, 0xff, table_size);
    memcpy(h + H_COOKIE, "cxsparse", 8);
    store_be64(h + H_DATA_OFFSET, UINT64_MAX);
    store_be64(h + H_TABLE_OFFSET, TABLE_OFFSET);
    store_be32(h + H_VERSION, 0x00010000);
    store_be32(h + H_ENTRIES, entries);
    store_be32(h + H_BLOCK_SIZE, NEW_BLOCK);
    store_be32(h + H_CHECKSUM, checksum(h, HEADER_SIZE, H_CHECKSUM));
    error = block_image_write(file, 0, footer, FOOTER_SIZE);
    error = error ? error : block_image_write(file, FOOTER_SIZE, h, HEADER_SIZE);
    error = error ? error : block_image_write(file, TABLE_OFFSET, table, table_size);
    return error ? error : block_image_write(file, TABLE_OFFSET + table_size, footer, FOOTER_SIZE);
}

static bool vpc_create(BlockImage *file, const char *name, uint64_t size, Json *options, GError **error)
{
    g_autofree char *subformat = NULL;
    uint64_t sectors = (size + SECTOR - 1) / SECTOR;
    uint8_t footer[FOOTER_SIZE] = { 0 };
    bool force_size = false, fixed_disk;
    Geometry g = { 0xffff, 16, 255 };
    int failed;

    if (!block_option_string(options, "subformat", &subformat, error) ||
        !block_option_bool(options, "force_size", &force_size, error)) {
        return false;
    }
    fixed_disk = subformat && !strcmp(subformat, "fixed");
    if (subformat && !fixed_disk && strcmp(subformat, "dynamic")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "subformat=%s: there are dynamic and fixed", subformat);
        return false;
    }
    if (!force_size && sectors <= MAX_GEOMETRY_SECTORS) {
        g = geometry_for(sectors);
        sectors = geometry_sectors(g);
    }
    if (sectors > MAX_SECTORS) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: a VHD image has at most 2040 GiB", name);
        return false;
    }
    fill_footer(footer, sectors, g, force_size, fixed_disk);
    if (fixed_disk) {
        failed = file->growable ? block_image_resize(file, sectors * SECTOR, NULL) : 0;
        failed = failed ? failed : block_image_write(file, sectors * SECTOR, footer, FOOTER_SIZE);
    } else {
        failed = write_dynamic(file, footer, sectors);
    }
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write '%s': %s", name, g_strerror(failed));
    }
    return !failed;
}

const BlockDriver block_vpc = {
    .name = "vpc",
    .supports_backing = true,
    .probe = vpc_probe,
    .open = vpc_open,
    .close = vpc_close,
    .size = vpc_size,
    .read = vpc_read,
    .write = vpc_write,
    .flush = vpc_flush,
    .discard = vpc_discard,
    .write_zeroes = vpc_write_zeroes,
    .status = vpc_status,
    .resolve = vpc_resolve,
    .create_options = vpc_create_options,
    .create = vpc_create,
};
