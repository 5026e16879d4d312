/* New VHDX images. */
#include "backends/block/vhdx.h"

#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <string.h>

const BlockCreateOption vhdx_create_options[] = {
    { "block_size", BLOCK_OPT_SIZE, "0", "Block Size; min 1MB, max 256MB. 0 means auto-calculate based on image size." },
    { "block_state_zero", BLOCK_OPT_BOOL, NULL,
      "Force use of payload blocks of type 'ZERO'. Non-standard, but default.  Do not set to 'off' when using 'convert' "
      "with subformat=dynamic." },
    { "log_size", BLOCK_OPT_SIZE, "1048576", "Log size; min 1MB." },
    { "subformat", BLOCK_OPT_STRING, NULL, "VHDX format type, can be either 'dynamic' or 'fixed'. Default is 'dynamic'." },
    { NULL },
};

typedef struct Layout {
    uint64_t size, blocks, entries, chunk;
    uint64_t log, table, table_size, metadata, end; /* bytes */
    uint64_t block_size, log_size;
    bool fixed, state_zero;
} Layout;

static uint64_t default_block_size(uint64_t size)
{
    return size > UINT64_C(32) << 40    ? 64 << 20
           : size > UINT64_C(100) << 30 ? 32 << 20
           : size > UINT64_C(1) << 30   ? 16 << 20
                                        : 8 << 20;
}

static bool parse_options(Layout *l, uint64_t size, Json *options, GError **error)
{
    g_autofree char *subformat = NULL;

    l->size = size;
    l->log_size = VHDX_MIB;
    l->state_zero = true;
    if (!block_option_size(options, "block_size", &l->block_size, error) ||
        !block_option_size(options, "log_size", &l->log_size, error) ||
        !block_option_bool(options, "block_state_zero", &l->state_zero, error) ||
        !block_option_string(options, "subformat", &subformat, error)) {
        return false;
    }
    l->fixed = subformat && !strcmp(subformat, "fixed");
    if (subformat && !l->fixed && strcmp(subformat, "dynamic")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "subformat=%s: there are dynamic and fixed", subformat);
    } else if (size > VHDX_MAX_SIZE) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "a VHDX image has at most 64 TiB");
    } else if (l->log_size < VHDX_MIB || l->log_size % VHDX_MIB || l->log_size > VHDX_LOG_MAX) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "log_size is a multiple of 1 MiB, at most 256 MiB");
    } else if (l->block_size && (l->block_size < VHDX_MIB || l->block_size > 256 * VHDX_MIB ||
                                 (l->block_size & (l->block_size - 1)))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "block_size is a power of two from 1 MiB to 256 MiB");
    } else {
        return true;
    }
    return false;
}

static void plan(Layout *l)
{
    l->block_size = l->block_size ? l->block_size : default_block_size(l->size);
    l->blocks = (l->size + l->block_size - 1) / l->block_size;
    l->chunk = (UINT64_C(1) << 23) * BLOCK_SECTOR / l->block_size;
    l->entries = l->blocks + (l->blocks ? (l->blocks - 1) / l->chunk : 0);
    l->log = VHDX_MIB;
    l->table = l->log + l->log_size;
    l->table_size = round_up(MAX(l->entries * 8, 1), VHDX_MIB);
    l->metadata = l->table + l->table_size;
    l->end = l->metadata + VHDX_MIB;
}

static int write_identifier(BlockImage *file)
{
    static const char creator[] = "Myna";
    uint8_t id[VHDX_PAGE] = { 0 };

    memcpy(id, "vhdxfile", 8);
    for (size_t i = 0; i < sizeof(creator) - 1; i++) {
        id[8 + 2 * i] = creator[i];
    }
    return block_image_write(file, 0, id, sizeof(id));
}

static int write_headers(BlockImage *file, const Layout *l)
{
    uint8_t h[VHDX_PAGE] = { 0 };
    int error = 0;

    memcpy(h, "head", 4);
    vhdx_new_guid(h + VHDX_H_FILE_GUID);
    vhdx_new_guid(h + VHDX_H_DATA_GUID);
    store_le16(h + VHDX_H_VERSION, 1);
    store_le32(h + VHDX_H_LOG_LENGTH, l->log_size);
    store_le64(h + VHDX_H_LOG_OFFSET, l->log);
    for (int i = 0; i < 2 && !error; i++) {
        store_le64(h + VHDX_H_SEQUENCE, 1 + i);
        store_le32(h + VHDX_H_CHECKSUM, vhdx_checksum(h, VHDX_PAGE, VHDX_H_CHECKSUM));
        error = block_image_write(file, i ? VHDX_HEADER_2 : VHDX_HEADER_1, h, VHDX_PAGE);
    }
    return error;
}

static int write_regions(BlockImage *file, const Layout *l)
{
    g_autofree uint8_t *r = g_malloc0(VHDX_REGIONS_SIZE);
    int error;

    memcpy(r, "regi", 4);
    store_le32(r + 8, 2);
    memcpy(r + 16, vhdx_guid_table, 16);
    store_le64(r + 32, l->table);
    store_le32(r + 40, l->table_size);
    store_le32(r + 44, 1); /* required */
    memcpy(r + 48, vhdx_guid_metadata, 16);
    store_le64(r + 64, l->metadata);
    store_le32(r + 72, VHDX_MIB);
    store_le32(r + 76, 1);
    store_le32(r + 4, vhdx_checksum(r, VHDX_REGIONS_SIZE, 4));
    error = block_image_write(file, VHDX_REGIONS_1, r, VHDX_REGIONS_SIZE);
    return error ? error : block_image_write(file, VHDX_REGIONS_2, r, VHDX_REGIONS_SIZE);
}

static int write_metadata(BlockImage *file, const Layout *l)
{
    enum { IS_DISK = 2, IS_REQUIRED = 4 };
    const struct {
        const uint8_t *guid;
        uint32_t size, flags;
    } items[] = {
        { vhdx_guid_file, 8, IS_REQUIRED },
        { vhdx_guid_size, 8, IS_DISK | IS_REQUIRED },
        { vhdx_guid_page83, 16, IS_DISK | IS_REQUIRED },
        { vhdx_guid_logical, 4, IS_DISK | IS_REQUIRED },
        { vhdx_guid_physical, 4, IS_DISK | IS_REQUIRED },
    };
    g_autofree uint8_t *m = g_malloc0(VHDX_METADATA_TABLE + VHDX_PAGE);
    uint32_t at = VHDX_METADATA_TABLE;
    uint8_t *values = m + at;

    memcpy(m, "metadata", 8);
    store_le16(m + 10, G_N_ELEMENTS(items));
    for (unsigned i = 0; i < G_N_ELEMENTS(items); i++) {
        uint8_t *entry = m + 32 + 32 * i;

        memcpy(entry, items[i].guid, 16);
        store_le32(entry + 16, at);
        store_le32(entry + 20, items[i].size);
        store_le32(entry + 24, items[i].flags);
        at += items[i].size;
    }
    store_le32(values, l->block_size);
    store_le32(values + 4, l->fixed ? 1 : 0); /* blocks stay allocated */
    store_le64(values + 8, l->size);
    vhdx_new_guid(values + 16);
    store_le32(values + 32, BLOCK_SECTOR);
    store_le32(values + 36, BLOCK_SECTOR);
    return block_image_write(file, l->metadata, m, VHDX_METADATA_TABLE + VHDX_PAGE);
}

static int write_table(BlockImage *file, const Layout *l)
{
    g_autofree uint8_t *table = g_try_malloc0(MAX(l->entries * 8, 8));

    if (!table) {
        return ENOMEM;
    }
    for (uint64_t i = 0; i < l->blocks; i++) {
        uint64_t entry = l->fixed        ? (l->end + i * l->block_size) | VHDX_PRESENT
                         : l->state_zero ? VHDX_ZERO
                                         : VHDX_NOT_PRESENT;

        store_le64(table + 8 * (i + i / l->chunk), entry);
    }
    return block_image_write(file, l->table, table, l->entries * 8);
}

bool vhdx_create(BlockImage *file, const char *name, uint64_t size, Json *options, GError **error)
{
    Layout l = { 0 };
    int failed;

    if (!parse_options(&l, round_up(size, BLOCK_SECTOR), options, error)) {
        return false;
    }
    plan(&l);
    failed = file->growable ? block_image_resize(file, l.end + (l.fixed ? l.blocks * l.block_size : 0), NULL) : 0;
    failed = failed ? failed : write_identifier(file);
    failed = failed ? failed : write_headers(file, &l);
    failed = failed ? failed : write_regions(file, &l);
    failed = failed ? failed : write_metadata(file, &l);
    failed = failed ? failed : write_table(file, &l);
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write '%s': %s", name, g_strerror(failed));
    }
    return !failed;
}
