/*
 * SCSI: a bus of targets and logical units, and the commands on their way to them.
 *
 * A host adapter makes a bus, and for each command of the guest a request. Small answers and sectors move in
 * chunks by a callback of the adapter (buses with phases, USB bulk), or straight between the image and a
 * scatter list that the adapter gave (queues in guest memory).
 *
 *     r = scsi_request_new(bus, channel, target, lun, tag, cdb, size, mine);
 *     scsi_request_start(r, iov, count)   ->  ops->data ... scsi_request_continue  ->  ops->complete
 *
 * All functions of one bus run under the machine lock, or, if the adapter has an I/O thread, there under the
 * adapter's own lock.
 */
#ifndef HW_SCSI_SCSI_H
#define HW_SCSI_SCSI_H

#include "backends/block.h"
#include "core/device.h"
#include "core/iothread.h"

typedef struct ScsiBus ScsiBus;
typedef struct ScsiDevice ScsiDevice;
typedef struct ScsiRequest ScsiRequest;

#define SCSI_CDB_MAX    32
#define SCSI_SENSE_SIZE 18
#define SCSI_CHUNK      (128 * 1024) /* bytes that move at once */

typedef enum ScsiStatus {
    SCSI_GOOD = 0x00, SCSI_CHECK_CONDITION = 0x02, SCSI_BUSY = 0x08, SCSI_CONFLICT = 0x18,
    SCSI_TASK_SET_FULL = 0x28,
} ScsiStatus;

typedef enum ScsiDirection { SCSI_NO_DATA, SCSI_TO_HOST, SCSI_FROM_HOST } ScsiDirection;

/* Key, additional code and qualifier (SPC-3, 4.5). */
typedef struct ScsiSense {
    uint8_t key, asc, ascq;
} ScsiSense;

/* Sense data by name (SPC-3, tables 27 and 28). */
extern const ScsiSense sense_none, sense_no_medium, sense_read_error, sense_write_error, sense_target_failure,
    sense_invalid_opcode, sense_lba_range, sense_invalid_field, sense_invalid_lun, sense_parameter_length,
    sense_parameter_value, sense_saving_unsupported, sense_removal_prevented, sense_medium_changed,
    sense_write_protected, sense_space_full, sense_miscompare, sense_not_started;

typedef enum ScsiChange {
    SCSI_ATTACHED,
    SCSI_DETACHED,
    SCSI_MEDIUM_CHANGED, /* another medium, or another size of it */
} ScsiChange;

/* What a host adapter does for its bus. */
typedef struct ScsiHbaOps {
    int channels, targets, luns; /* how many of each it can address */
    bool autosense;              /* sense data travel with the status: none is kept for REQUEST SENSE */
    /*
     * Chunked requests only: `size` bytes at `data` are there for the initiator, or wanted from it. They stay
     * until scsi_request_continue, which may be called from here. An adapter whose host wants no more moves
     * what it can and continues.
     */
    void (*data)(ScsiRequest *r, ScsiDirection direction, uint8_t *data, uint32_t size);
    void (*complete)(ScsiRequest *r); /* the adapter still has its reference */
    /* After scsi_request_cancel, once nothing touches the scatter list any more; may be NULL. */
    void (*cancelled)(ScsiRequest *r);
    void (*changed)(ScsiBus *bus, ScsiDevice *dev, ScsiChange change); /* may be NULL; on the bus */
    /* The adapter's lock, for what comes from elsewhere: completions, media, hot-plug. NULL with the machine lock. */
    void (*enter)(ScsiBus *bus);
    void (*leave)(ScsiBus *bus);
} ScsiHbaOps;

struct ScsiBus {
    Bus bus; /* first: a Bus of kind "scsi" is one of these */
    const ScsiHbaOps *ops;
    void *hba; /* the adapter's */
    IoThread *thread;  /* runs commands and their completions; set before units come; NULL: none */
    GPtrArray *units;  /* ScsiDevice *, as commands find them */
};

/* `id.0` if the owner's id was given by the user, else scsi.0, scsi.1 ... */
ScsiBus *scsi_bus_new(Device *owner, const ScsiHbaOps *ops, void *hba);
/* Cancels what is under way and frees the devices. */
void scsi_bus_free(ScsiBus *bus);
/* Devices for -drive if=scsi,bus=N. */
bool scsi_bus_add_drives(ScsiBus *bus, int number, GError **error);
void scsi_bus_reset(ScsiBus *bus); /* cancels all commands; units tell of it by UNIT ATTENTION */

/* NULL if there is none. */
ScsiDevice *scsi_device_find(ScsiBus *bus, int channel, int target, int lun);
/* Whether anything answers at that target, so that a selection succeeds. */
bool scsi_target_exists(ScsiBus *bus, int channel, int target);
void scsi_device_reset(ScsiDevice *dev); /* as LOGICAL UNIT RESET */
/* An adapter that is about to start several commands may say so; what they submit may wait until `on` is false. */
void scsi_device_plug(ScsiDevice *dev, bool on);
/* Until the block layer has nothing of it any more; not on the bus. */
void scsi_device_wait(ScsiDevice *dev);
int scsi_device_target(const ScsiDevice *dev);
int scsi_device_lun(const ScsiDevice *dev);
/* The next command but INQUIRY, REPORT LUNS and REQUEST SENSE fails with UNIT ATTENTION. */
void scsi_device_attention(ScsiDevice *dev, uint8_t asc, uint8_t ascq);

struct ScsiRequest {
    /* For the adapter. */
    ScsiBus *bus;
    ScsiDevice *dev;   /* NULL: there is no such unit; REPORT LUNS and INQUIRY are answered nevertheless */
    void *hba;         /* what scsi_request_new was given */
    uint64_t tag;
    int channel, target, lun;
    uint8_t cdb[SCSI_CDB_MAX];
    unsigned cdb_size;
    ScsiDirection list_direction; /* of the scatter list; set before the start */
    ScsiDirection direction; /* known once data moves */
    uint64_t wanted;   /* bytes that the command would move */
    uint64_t moved;    /* bytes that moved; in a scatter list at most its size */
    uint8_t status;    /* at the end */
    ScsiSense sense;   /* with CHECK CONDITION */
    uint64_t info;     /* the sector that the sense speaks of */
    bool has_info;

    /* For hw/scsi. */
    int references;
    bool started, finished, cancelled, in_flight;
    void (*block_done)(ScsiRequest *r, int error);
    const struct iovec *iov;
    int iov_count;
    uint64_t iov_total;
    struct iovec *part; /* of iov, for one transfer */
    uint8_t *buffer, *other;
    uint32_t chunk;     /* bytes in the buffer */
    uint64_t offset, left; /* on the medium, bytes */
    unsigned flags;     /* BlockWriteFlags */
    void (*step)(ScsiRequest *r); /* what follows when the chunk has moved */
    void (*produce)(ScsiRequest *r);
    struct iovec whole;
};

/* One reference is the caller's. The length of a CDB follows from its first byte where size is 0. */
ScsiRequest *scsi_request_new(ScsiBus *bus, int channel, int target, int lun, uint64_t tag,
                              const uint8_t *cdb, unsigned size, void *hba);
ScsiRequest *scsi_request_ref(ScsiRequest *r);
void scsi_request_unref(ScsiRequest *r);
/*
 * count -1: data move in chunks. Otherwise the list (borrowed until the end), which is for r->list_direction alone,
 * is all there is; a command that wants more leaves the medium alone and ends with wanted > the list's total.
 */
void scsi_request_start(ScsiRequest *r, const struct iovec *iov, int count);
void scsi_request_continue(ScsiRequest *r);
/* The command ends without `complete`; `cancelled` comes at once or when the block layer is done. */
void scsi_request_cancel(ScsiRequest *r);
/* Runs fn for each command under way on the unit, or on all (dev NULL). */
void scsi_request_for_each(ScsiBus *bus, ScsiDevice *dev, void (*fn)(ScsiRequest *r, void *opaque),
                           void *opaque);
/* Sense data in fixed format; returns SCSI_SENSE_SIZE. */
unsigned scsi_request_sense(const ScsiRequest *r, uint8_t out[SCSI_SENSE_SIZE]);
/* Bytes of a CDB that begins with this one: 6, 10, 12 or 16 (SPC-3, 4.3.4.1). */
unsigned scsi_cdb_size(uint8_t first);

#endif
