/* Between the parts of the VHDX driver: structures of the file (Microsoft's MS-VHDX), headers and log, new images. */
#ifndef BACKENDS_BLOCK_VHDX_H
#define BACKENDS_BLOCK_VHDX_H

#include "backends/block/blockmap.h"

enum {
    VHDX_PAGE = 4096,      /* what the log carries */
    VHDX_MIB = 1 << 20,    /* what everything is aligned to */
    VHDX_HEADER_1 = 64 << 10,
    VHDX_HEADER_2 = 128 << 10,
    VHDX_REGIONS_1 = 192 << 10,
    VHDX_REGIONS_2 = 256 << 10,
    VHDX_REGIONS_SIZE = 64 << 10,
    VHDX_METADATA_TABLE = 64 << 10,
    VHDX_LOG_MAX = 256 << 20,
};

/* In a header. */
enum {
    VHDX_H_CHECKSUM = 4,
    VHDX_H_SEQUENCE = 8,
    VHDX_H_FILE_GUID = 16,
    VHDX_H_DATA_GUID = 32,
    VHDX_H_LOG_GUID = 48,
    VHDX_H_LOG_VERSION = 64,
    VHDX_H_VERSION = 66,
    VHDX_H_LOG_LENGTH = 68,
    VHDX_H_LOG_OFFSET = 72,
};

/* States of a block, the low bits of its table entry; the offset in MiB is in bits 20 and up. */
enum {
    VHDX_NOT_PRESENT = 0,
    VHDX_UNDEFINED = 1,
    VHDX_ZERO = 2,
    VHDX_UNMAPPED = 3,
    VHDX_PRESENT = 6,
    VHDX_PARTIAL = 7,
};

#define VHDX_MAX_SIZE (UINT64_C(64) << 40)

extern const uint8_t vhdx_guid_table[16], vhdx_guid_metadata[16];          /* regions */
extern const uint8_t vhdx_guid_file[16], vhdx_guid_size[16], vhdx_guid_page83[16], vhdx_guid_logical[16],
    vhdx_guid_physical[16];                                                 /* metadata items */

uint32_t vhdx_crc32c(const void *data, size_t size);
/* With the four bytes of the checksum at `field` taken for zeros. */
uint32_t vhdx_checksum(const uint8_t *data, size_t size, size_t field);
void vhdx_new_guid(uint8_t *guid);

/* ---- vhdx-log.c ---- */

/* The current header, and the log that metadata goes through. */
typedef struct VhdxLog {
    BlockImage *file;
    uint8_t header[VHDX_PAGE];
    bool second; /* which of the two places has it */
    uint64_t offset, length; /* of the log */
    uint64_t sequence;       /* of the last entry */
    uint64_t next;           /* where in the log the next entry goes */
    bool writing;            /* the header says that the log is in use */
    GHashTable *pages;       /* of a log that could not be replayed onto the file: page data by offset; NULL: none */
} VhdxLog;

/* Finds the header and brings the file up to date with the log, or keeps its pages where the file is read-only. */
bool vhdx_log_open(VhdxLog *log, BlockImage *file, const char *name, bool readonly, GError **error);
void vhdx_log_close(VhdxLog *log);
/* Reads metadata as the log leaves it. 0 or errno. */
int vhdx_log_read(VhdxLog *log, uint64_t offset, void *buf, size_t size);
/* Before the first change: new identities in the header. */
int vhdx_log_begin(VhdxLog *log);
/* Whole pages of metadata go to the file such that a crash leaves the old ones or the new ones. */
int vhdx_log_write(VhdxLog *log, uint64_t offset, const void *pages, uint32_t count);

/* ---- vhdx-create.c ---- */

extern const BlockCreateOption vhdx_create_options[];
bool vhdx_create(BlockImage *file, const char *name, uint64_t size, Json *options, GError **error);

#endif
