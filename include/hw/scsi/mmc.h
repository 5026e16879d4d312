/* CD and DVD drives: the commands of MMC-5 that answer from state, for packet drives on ATA and on SCSI. */
#ifndef HW_SCSI_MMC_H
#define HW_SCSI_MMC_H

#include "backends/block.h"
#include "hw/scsi/scsi.h"

#define MMC_SECTOR     2048
#define MMC_RAW_SECTOR 2352
#define MMC_ANSWER_MAX 4096

/* Of a drive with removable media. */
#define MMC_STATE(FIELD, ARRAY)                                             \
    FIELD(bool, locked, false)                                              \
    FIELD(bool, tray_open, false)                                           \
    FIELD(bool, medium_changed, false) /* UNIT ATTENTION is due */          \
    FIELD(uint8_t, event, 0)           /* for GET EVENT STATUS: 1 eject, 2 new medium, 3 removal */

typedef struct MmcState {
    MMC_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} MmcState;

/* Rows of an owner that embeds it as `mmc`; the keys are the plain names. */
#define MMC_ROW(type, name, reset)             MMC_ROW_ARRAY(type, name, 1, reset)
#define MMC_ROW_ARRAY(type, name, count, reset) \
    { #name, offsetof(Owner, mmc.name), sizeof(type), count, reset, STATE_IS_BOOL(type) },

typedef struct MmcAnswer {
    enum {
        MMC_UNKNOWN, /* not a command of these */
        MMC_DONE,    /* good, without data */
        MMC_FAILED,  /* `sense` says why */
        MMC_DATA,    /* `size` bytes of the buffer, already cut to what the command allocated */
        MMC_READ,    /* `count` sectors from `lba`, with mmc_make_raw if `raw` */
    } kind;
    ScsiSense sense;
    uint32_t size, lba, count;
    bool raw;
} MmcAnswer;

/* buffer has room for MMC_ANSWER_MAX bytes. atapi tells the interface in GET CONFIGURATION. */
MmcAnswer mmc_command(MmcState *s, BlockBackend *blk, const uint8_t *cdb, bool atapi, uint8_t *buffer);
/* Wraps a cooked sector for READ CD: sync pattern, header, data, empty error correction. */
void mmc_make_raw(uint8_t out[MMC_RAW_SECTOR], const uint8_t data[MMC_SECTOR], uint32_t lba);

/* For the BlockMediaOps of the drive. */
void mmc_medium_changed(MmcState *s, bool loaded);
void mmc_eject_request(MmcState *s);
/* START STOP UNIT; true, or false with the sense. */
bool mmc_start_stop(MmcState *s, BlockBackend *blk, const uint8_t *cdb, ScsiSense *sense);

#endif
