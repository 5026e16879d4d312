/* Shared by the files of the SCSI bus: units, and what their commands do with a request. */
#ifndef HW_SCSI_INTERNAL_H
#define HW_SCSI_INTERNAL_H

#include "hw/scsi/mmc.h"
#include "hw/scsi/scsi.h"

/* asc << 8 | ascq: power on, or reset. */
#define ATTENTION_POWER_ON 0x2900
#define ATTENTION_RESET    0x2903

#define SCSI_DEVICE_STATE(FIELD, ARRAY)                                           \
    FIELD(uint16_t, attention, ATTENTION_POWER_ON) /* UNIT ATTENTION due, or 0 */ \
    FIELD(uint8_t, sense_key, 0) /* of the last command, for REQUEST SENSE */     \
    FIELD(uint8_t, asc, 0)                                                        \
    FIELD(uint8_t, ascq, 0)                                                       \
    FIELD(bool, write_cache, true)                                                \
    FIELD(bool, stopped, false)

typedef struct ScsiDeviceState {
    SCSI_DEVICE_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
    MmcState mmc;
} ScsiDeviceState;

struct ScsiDevice {
    Device dev;
    ScsiDeviceState s;
    ScsiBus *bus;
    BlockBackend *blk;
    bool is_cd;
    bool removable;
    uint32_t channel;
    int32_t target, lun;
    char *serial, *vendor, *product, *version, *device_id;
    uint64_t wwn;
    uint32_t logical_block, physical_block, min_io, opt_io;
    int32_t discard_granularity; /* -1: as the image says */
    uint16_t rotation_rate;
    bool write_cache_at_reset;
    GPtrArray *requests; /* under way */
};

/* ---- how a command ends, and moves data (request.c) ---- */

void scsi_finish(ScsiRequest *r, uint8_t status);
void scsi_good(ScsiRequest *r);
void scsi_check(ScsiRequest *r, ScsiSense sense);
void scsi_check_at(ScsiRequest *r, ScsiSense sense, uint64_t sector);
/* Sends `size` bytes, at most what the command allocated for them, then ends well. */
void scsi_answer(ScsiRequest *r, const void *data, uint32_t size, uint32_t allocated);
/* Gets `size` bytes (at most SCSI_CHUNK) into r->buffer, then calls received. */
void scsi_collect(ScsiRequest *r, uint32_t size, void (*received)(ScsiRequest *r));
/* Between the medium and the initiator, offsets and sizes in bytes; then ends. */
void scsi_read_medium(ScsiRequest *r, uint64_t offset, uint64_t size);
void scsi_write_medium(ScsiRequest *r, uint64_t offset, uint64_t size, unsigned flags);
void scsi_compare_medium(ScsiRequest *r, uint64_t offset, uint64_t size); /* VERIFY with data */
void scsi_verify_medium(ScsiRequest *r, uint64_t offset, uint64_t size);  /* reads, sends nothing */
void scsi_read_raw_sectors(ScsiRequest *r, uint32_t lba, uint32_t count); /* READ CD with headers */
/*
 * What a request to the block layer is given as its callback: done runs on the bus, unless the command was cancelled
 * meanwhile. scsi_block_done: ends well, or with the sense of an error.
 */
BlockDone *scsi_block(ScsiRequest *r, void (*done)(ScsiRequest *r, int error));
void scsi_block_done(ScsiRequest *r, int error);
void scsi_bus_enter(ScsiBus *bus);
void scsi_bus_leave(ScsiBus *bus);
void scsi_fail_errno(ScsiRequest *r, int error, bool is_write);

/* ---- commands ---- */

void scsi_command(ScsiRequest *r);      /* spc.c: for all, then on to the two below */
void scsi_disk_command(ScsiRequest *r); /* disk.c */
void scsi_cd_command(ScsiRequest *r);   /* cd.c */
/* disk-mode.c */
void scsi_mode_sense(ScsiRequest *r);
void scsi_mode_select(ScsiRequest *r);
void scsi_log_sense(ScsiRequest *r);
void scsi_set_write_cache(ScsiDevice *dev, bool on);

uint32_t scsi_discard_granularity(const ScsiDevice *dev); /* 0: none */

#endif
