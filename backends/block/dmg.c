/*
 * Apple disk images (UDIF, .dmg), read-only.
 *
 * The file ends with a "koly" block, which says where a property list is; its blkx resources are "mish" tables of chunks,
 * one for each partition. Numbers are big-endian, lengths of the disk in sectors of 512 bytes.
 */
#include "backends/block/chunks.h"

#include "util/bits.h"
#include "util/error.h"

#include <string.h>

enum {
    TRAILER = 512,
    K_DATA_OFFSET = 24,
    K_XML_OFFSET = 216,
    K_XML_LENGTH = 224,
    K_SECTORS = 492,
    MISH_HEADER = 204,
    M_SECTOR = 8,
    M_DATA_OFFSET = 24,
    M_COUNT = 200,
    CHUNK_ENTRY = 40,
    MAX_XML = 64 << 20,
    MAX_CHUNKS = 1 << 22,
};

/* Types of chunks. */
#define TYPE_ZERO    0u
#define TYPE_RAW     1u
#define TYPE_IGNORED 2u
#define TYPE_COMMENT 0x7ffffffeu
#define TYPE_ADC     0x80000004u
#define TYPE_ZLIB    0x80000005u
#define TYPE_BZIP2   0x80000006u
#define TYPE_LZFSE   0x80000007u
#define TYPE_LZMA    0x80000008u
#define TYPE_END     UINT32_MAX

static int dmg_probe(const uint8_t *head, size_t size, const char *name)
{
    /* What marks it is at the end of the file. */
    return g_str_has_suffix(name, ".dmg") ? 2 : 0;
}

static bool damaged(GError **error, const char *name, const char *what)
{
    g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s' is no usable DMG image: %s", name, what);
    return false;
}

/* False: a chunk in a way of compression that is not supported. */
static bool chunk_kind(uint32_t type, ChunkKind *kind, const char **missing)
{
    switch (type) {
    case TYPE_ZERO:
    case TYPE_IGNORED:
        *kind = CHUNK_ZERO;
        return true;
    case TYPE_RAW:
        *kind = CHUNK_RAW;
        return true;
    case TYPE_ZLIB:
        *kind = CHUNK_ZLIB;
        return true;
    case TYPE_BZIP2:
        *kind = CHUNK_BZIP2;
        return true;
    default:
        *missing = type == TYPE_ADC     ? "ADC compression is not supported"
                   : type == TYPE_LZFSE ? "LZFSE compression is not supported"
                   : type == TYPE_LZMA  ? "LZMA compression is not supported"
                                        : "it has chunks of an unknown type";
        return false;
    }
}

static bool add_mish(ChunkImage *c, const uint8_t *mish, size_t size, uint64_t data_offset, const char *name, GError **error)
{
    uint64_t first, base, count;

    if (size < MISH_HEADER || memcmp(mish, "mish", 4)) {
        return true; /* another kind of resource */
    }
    first = load_be64(mish + M_SECTOR);
    base = data_offset + load_be64(mish + M_DATA_OFFSET);
    count = load_be32(mish + M_COUNT);
    if (count > (size - MISH_HEADER) / CHUNK_ENTRY || count > MAX_CHUNKS - c->chunks->len) {
        return damaged(error, name, "a chunk table is longer than its resource");
    }
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *entry = mish + MISH_HEADER + i * CHUNK_ENTRY;
        uint32_t type = load_be32(entry);
        uint64_t sector = first + load_be64(entry + 8), sectors = load_be64(entry + 16);
        Chunk chunk = { .host = base + load_be64(entry + 24), .packed = load_be64(entry + 32) };
        const char *missing;

        if (type == TYPE_COMMENT || type == TYPE_END || !sectors) {
            continue;
        }
        if (!chunk_kind(type, &chunk.kind, &missing)) {
            return damaged(error, name, missing);
        }
        if (sector > INT64_MAX / BLOCK_SECTOR / 2 || sectors > INT64_MAX / BLOCK_SECTOR / 2 ||
            (chunk.kind == CHUNK_RAW && chunk.packed < sectors * BLOCK_SECTOR)) {
            return damaged(error, name, "a chunk is too large");
        }
        chunk.start = sector * BLOCK_SECTOR;
        chunk.size = sectors * BLOCK_SECTOR;
        c->size = MAX(c->size, chunk.start + chunk.size);
        g_array_append_val(c->chunks, chunk);
    }
    return true;
}

/* Each <data> of the array behind <key>blkx</key>. */
static bool parse_xml(ChunkImage *c, char *xml, uint64_t data_offset, const char *name, GError **error)
{
    char *at = strstr(xml, "<key>blkx</key>"), *end = at ? strstr(at, "</array>") : NULL;
    bool ok = true;

    if (!end) {
        return damaged(error, name, "the property list names no partitions");
    }
    *end = 0;
    while (ok && (at = strstr(at, "<data>"))) {
        char *close = strstr(at, "</data>");
        g_autofree uint8_t *mish = NULL;
        size_t size;

        if (!close) {
            return damaged(error, name, "the property list is cut off");
        }
        *close = 0;
        mish = g_base64_decode(at + 6, &size);
        ok = add_mish(c, mish, size, data_offset, name, error);
        at = close + 1;
    }
    return ok;
}

static bool load(ChunkImage *c, const BlockOpen *how, GError **error)
{
    uint64_t file_size = block_image_size(how->file), offset, length, sectors;
    g_autofree char *xml = NULL;
    uint8_t koly[TRAILER];

    if (file_size < TRAILER || block_image_read(how->file, file_size - TRAILER, koly, TRAILER) || memcmp(koly, "koly", 4)) {
        return damaged(error, how->name, "the trailer is missing");
    }
    offset = load_be64(koly + K_XML_OFFSET);
    length = load_be64(koly + K_XML_LENGTH);
    if (!length) {
        return damaged(error, how->name, "it has no property list (an image of before Mac OS X 10.2)");
    }
    if (length > MAX_XML || offset > file_size || length > file_size - offset) {
        return damaged(error, how->name, "the property list reaches beyond the file");
    }
    xml = g_malloc0(length + 1);
    if (block_image_read(how->file, offset, xml, length)) {
        return damaged(error, how->name, "the property list cannot be read");
    }
    if (!parse_xml(c, xml, load_be64(koly + K_DATA_OFFSET), how->name, error)) {
        return false;
    }
    sectors = load_be64(koly + K_SECTORS);
    if (sectors <= INT64_MAX / BLOCK_SECTOR) {
        c->size = MAX(c->size, sectors * BLOCK_SECTOR);
    }
    return chunk_image_finish(c, how->name, error);
}

static BlockImage *dmg_open(BlockOpen *how, GError **error)
{
    ChunkImage *c = chunk_image_new(&block_dmg, how->file);

    how->flags |= BLOCK_OPEN_READONLY;
    if (!load(c, how, error)) {
        chunk_image_close(&c->image);
        return NULL;
    }
    return &c->image;
}

const BlockDriver block_dmg = {
    .name = "dmg",
    .probe = dmg_probe,
    .open = dmg_open,
    .close = chunk_image_close,
    .size = chunk_image_size,
    .read = chunk_image_read,
    .status = chunk_image_status,
};
