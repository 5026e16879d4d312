/* Shared by the files of an IDE channel: registers, drives and the transfer in progress. */
#ifndef HW_IDE_INTERNAL_H
#define HW_IDE_INTERNAL_H

#include "hw/ide/ide.h"
#include "hw/scsi/mmc.h"

enum {
    ATA_ERR = 0x01, ATA_DRQ = 0x08, ATA_DSC = 0x10, ATA_DF = 0x20, ATA_DRDY = 0x40, ATA_BSY = 0x80,
};
enum { ATA_ABORTED = 0x04, ATA_NOT_FOUND = 0x10, ATA_UNCORRECTABLE = 0x40 };
enum { CTRL_NIEN = 0x02, CTRL_SRST = 0x04, CTRL_HOB = 0x80 };
enum { SELECT_LBA = 0x40, SELECT_SLAVE = 0x10 };
/* ATAPI interrupt reason, in the sector count register. */
enum { REASON_COMMAND = 0x01, REASON_TO_HOST = 0x02 };

#define CD_SECTOR MMC_SECTOR

#define IDE_DRIVE_STATE(FIELD, ARRAY)                                                   \
    FIELD(uint8_t, status, ATA_DRDY | ATA_DSC)                                          \
    FIELD(uint8_t, error, 0x01)                                                         \
    FIELD(uint8_t, multiple, 0)                                                         \
    FIELD(uint8_t, dma_mode, 0x45) /* as SET FEATURES names it: UDMA 5 */               \
    FIELD(bool, write_cache, true)                                                      \
    FIELD(bool, smart, true)                                                            \
    FIELD(uint8_t, self_test, 0) /* the last one, + 1 */                                \
    FIELD(uint16_t, heads, 16)                                                          \
    FIELD(uint16_t, sectors, 63)                                                        \
    FIELD(uint8_t, sense_key, 0)                                                        \
    FIELD(uint8_t, asc, 0)                                                              \
    FIELD(uint8_t, ascq, 0)

typedef struct IdeDriveState {
    IDE_DRIVE_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
    MmcState mmc;
} IdeDriveState;

struct IdeDrive {
    Device dev;
    IdeDriveState s;
    IdeChannel *ch;
    BlockBackend *blk;
    bool is_cd;
    int32_t unit;
    char *serial, *model, *version;
    uint64_t wwn;
    uint16_t rotation_rate;
    uint32_t physical_block;
    int32_t discard_granularity;
    bool write_cache_at_reset;
    uint32_t ncq_error; /* of a queued command, for READ LOG EXT: 1 << 31 | tag << 16 | status << 8 | error */
    uint64_t ncq_error_sector;
    uint16_t cylinders; /* of the default geometry */
    uint8_t cdb[12];
    uint32_t byte_limit; /* ATAPI PIO: bytes of one DRQ block */
};

typedef enum Phase {
    PHASE_IDLE,
    PHASE_BUSY,       /* the block layer works */
    PHASE_DATA_IN,    /* the host reads the buffer */
    PHASE_DATA_OUT,   /* the host fills the buffer */
    PHASE_PACKET,     /* the host sends a command packet */
    PHASE_DMA,        /* waits for the bus master */
} Phase;

/* The registers are written to both drives of a channel at once. The "hob" half is what a second
 * write pushed back: the high-order bytes of 48-bit commands. */
#define IDE_CHANNEL_STATE(FIELD, ARRAY)                       \
    FIELD(uint8_t, feature, 0)                                \
    FIELD(uint8_t, count, 1)                                  \
    FIELD(uint8_t, lba0, 1)                                   \
    FIELD(uint8_t, lba1, 0)                                   \
    FIELD(uint8_t, lba2, 0)                                   \
    FIELD(uint8_t, hob_feature, 0)                            \
    FIELD(uint8_t, hob_count, 0)                              \
    FIELD(uint8_t, hob_lba0, 0)                               \
    FIELD(uint8_t, hob_lba1, 0)                               \
    FIELD(uint8_t, hob_lba2, 0)                               \
    FIELD(uint8_t, select, 0xa0)                              \
    FIELD(uint8_t, control, 0)                                \
    FIELD(uint8_t, command, 0)                                \
    FIELD(bool, fresh, false) /* from a reset: each drive shows its signature */ \
    FIELD(uint8_t, irq, 0)

typedef struct IdeRegs {
    IDE_CHANNEL_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} IdeRegs;

typedef void IdeNext(IdeDrive *d);

struct IdeChannel {
    Bus bus; /* first: a Bus of kind "ide" is one of these */
    int number;
    IdeRegs r;
    IdeDrive *drive[2];
    Line *irq_line;
    const IdeDmaOps *dma;
    void *dma_opaque;
    Region *command, *control;
    /* The transfer in progress. Reset gives it a new generation, so that late answers are ignored. */
    Phase phase;
    uint32_t generation;
    uint8_t *buffer;
    uint32_t at, length;   /* position in and bytes of the buffer now on its way */
    uint64_t sector;       /* next sector to read or write, in 512 or 2048 bytes */
    uint32_t sectors_left;
    uint32_t block;        /* sectors per DRQ block */
    uint32_t answer_left;  /* ATAPI answers: bytes of the buffer not yet given */
    bool is_write, is_dma, dma_ready, lba48, raw_cd, fua;
    bool sata;             /* a port with one drive */
    IdeNext *next;         /* when the buffer has been read or filled */
    IdeNext *dma_step;     /* when the bus master is ready */
};

IdeDrive *ide_selected(IdeChannel *ch);
void ide_raise(IdeChannel *ch);
void ide_lower(IdeChannel *ch);
void ide_done(IdeDrive *d);                  /* command complete: ready, interrupt */
void ide_abort(IdeDrive *d);
void ide_fail(IdeDrive *d, uint8_t error_bits);
void ide_data_in(IdeDrive *d, uint32_t size, IdeNext *next);  /* the buffer is there to be read */
void ide_data_out(IdeDrive *d, uint32_t size, IdeNext *next); /* bytes are wanted */
/* A SATA port: an IDE bus for one drive whose data `dma` moves. */
IdeChannel *ide_port_new(Device *owner, const char *name, const IdeDmaOps *dma, void *dma_opaque);
bool ide_port_add_drive(IdeChannel *ch, BlockBackend *blk, GError **error);
void ide_port_free(IdeChannel *ch);
/* The drive is busy with the block layer; answer(d, error) runs unless the channel was reset. */
void ide_read_sectors(IdeDrive *d, uint64_t offset, uint32_t size, void (*answer)(IdeDrive *, int));
void ide_write_sectors(IdeDrive *d, uint64_t offset, uint32_t size, void (*answer)(IdeDrive *, int));
void ide_discard(IdeDrive *d, uint64_t offset, uint64_t size, void (*answer)(IdeDrive *, int));
void ide_flush(IdeDrive *d, void (*answer)(IdeDrive *, int));
/* Asks the bus master to move the buffer (PHASE_DMA); next runs for each full buffer moved. */
void ide_dma_begin(IdeDrive *d, IdeNext *step);
void ide_want_packet(IdeDrive *d, IdeNext *next);
void ide_end_quietly(IdeDrive *d); /* the host has read all: no interrupt at the end */
/* Whoever moved ch->buffer between `at` and `length` says so. */
void ide_buffer_moved(IdeDrive *d);
void ide_execute(IdeChannel *ch, uint8_t command);

void ata_command(IdeDrive *d, uint8_t command);
void ata_signature(IdeDrive *d);
void ata_string(uint16_t *words, const char *text, int bytes);
uint64_t ata_sectors(const IdeDrive *d);
void ata_identify(IdeDrive *d); /* fills the buffer: ata-identify.c */
void ata_smart(IdeDrive *d);    /* ata-smart.c */
void ata_read_log(IdeDrive *d, bool ext);
void atapi_identify(IdeDrive *d);
void atapi_packet_command(IdeDrive *d);

#endif
