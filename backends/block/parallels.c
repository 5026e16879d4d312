/* Parallels expanding disks, read-only: a header and a table from blocks to places in the file; little-endian. */
#include "backends/block/blockmap.h"

#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <string.h>

enum {
    HEADER = 64,
    AT_VERSION = 16,
    AT_BLOCK = 28, /* sectors */
    AT_ENTRIES = 32,
    AT_SECTORS = 36,
    MAX_ENTRIES = 1 << 26,
};

typedef struct ParallelsImage {
    BlockMapImage base;
    uint32_t *table, entries;
    uint64_t unit; /* bytes that an entry counts */
} ParallelsImage;

static bool is_old(const uint8_t *head)
{
    return !memcmp(head, "WithoutFreeSpace", 16);
}

static int parallels_probe(const uint8_t *head, size_t size, const char *name)
{
    return size >= HEADER && (is_old(head) || !memcmp(head, "WithouFreSpacExt", 16)) && load_le32(head + AT_VERSION) == 2
               ? 100
               : 0;
}

static bool damaged(GError **error, const char *name, const char *what)
{
    g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s' is no usable Parallels image: %s", name, what);
    return false;
}

static BlockMapKind lookup(BlockMap *map, uint64_t block, uint64_t *host, bool may_wait)
{
    ParallelsImage *p = map->opaque;
    uint32_t entry = block < p->entries ? load_le32(&p->table[block]) : 0;

    *host = entry * p->unit;
    return entry ? MAP_DATA : MAP_NONE;
}

static const BlockMapOps map_ops = { .lookup = lookup };

static bool load(ParallelsImage *p, const BlockOpen *how, GError **error)
{
    uint64_t file_size = block_image_size(how->file), sectors, block;
    uint8_t h[HEADER];

    if (block_image_read(how->file, 0, h, sizeof(h)) || !parallels_probe(h, sizeof(h), "")) {
        return damaged(error, how->name, "it does not begin as one");
    }
    block = load_le32(h + AT_BLOCK);
    p->entries = load_le32(h + AT_ENTRIES);
    sectors = load_le64(h + AT_SECTORS);
    sectors = is_old(h) ? sectors & UINT32_MAX : sectors;
    if (!block || block > (256 << 20) / BLOCK_SECTOR) {
        return damaged(error, how->name, "the block size is wrong");
    }
    if (p->entries > MAX_ENTRIES || file_size < HEADER || p->entries * UINT64_C(4) > file_size - HEADER) {
        return damaged(error, how->name, "the block table reaches beyond the file");
    }
    if (sectors > p->entries * block) {
        return damaged(error, how->name, "the disk is larger than its blocks");
    }
    p->table = g_try_new(uint32_t, MAX(p->entries, 1));
    if (!p->table || block_image_read(how->file, HEADER, p->table, p->entries * UINT64_C(4))) {
        return damaged(error, how->name, "the block table cannot be read");
    }
    p->unit = is_old(h) ? BLOCK_SECTOR : block * BLOCK_SECTOR;
    p->base.map.size = sectors * BLOCK_SECTOR;
    p->base.map.block_size = block * BLOCK_SECTOR;
    p->base.image.cluster_size = block * BLOCK_SECTOR;
    return true;
}

static void parallels_close(BlockImage *image)
{
    ParallelsImage *p = (ParallelsImage *)image;

    block_map_clear(&p->base.map);
    g_free(p->table);
    g_free(p);
}

static BlockImage *parallels_open(BlockOpen *how, GError **error)
{
    ParallelsImage *p = g_new0(ParallelsImage, 1);

    how->flags |= BLOCK_OPEN_READONLY;
    p->base.image.driver = &block_parallels;
    p->base.image.file = how->file;
    block_map_init(&p->base.map, &map_ops, &p->base.image, how->file, 0, BLOCK_SECTOR, p);
    if (!load(p, how, error)) {
        parallels_close(&p->base.image);
        return NULL;
    }
    return &p->base.image;
}

const BlockDriver block_parallels = {
    .name = "parallels",
    .probe = parallels_probe,
    .open = parallels_open,
    .close = parallels_close,
    .size = block_map_image_size,
    .read = block_map_image_read,
    .status = block_map_image_status,
};
