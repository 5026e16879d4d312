/* Shared by the floppy controller's files: state, media and the data commands. */
#ifndef HW_BLOCK_FDC_INTERNAL_H
#define HW_BLOCK_FDC_INTERNAL_H

#include "backends/block.h"
#include "core/clock.h"
#include "hw/block/fdc.h"
#include "hw/isa/isa.h"

#define FDC_DRIVES 4  /* that registers can name */
#define FDC_UNITS  2  /* that can be there */
#define FDC_SECTOR 512
#define FDC_COMMAND_MAX 9
#define FDC_RESULT_MAX  10
#define FDC_MARKS       1024 /* bytes of a bit for each sector of the largest medium: 84 * 2 * 48 */

typedef enum FdcPhase {
    FDC_COMMAND,  /* takes the bytes of a command */
    FDC_STARTING, /* leaves reset; until `deadline` */
    FDC_DELAY,    /* a command that ends at `deadline` */
    FDC_FETCH,    /* reads a sector of the image */
    FDC_IN,       /* `data` goes to the guest */
    FDC_OUT,      /* `data` comes from the guest */
    FDC_STORE,    /* writes a sector of the image */
    FDC_RESULT,   /* gives the bytes of a result */
    FDC_PHASES,
} FdcPhase;

#define FDC_STATE(FIELD, ARRAY)                                                                \
    FIELD(uint8_t, dor, 0)                                                                     \
    FIELD(uint8_t, tdr, 0)                                                                     \
    FIELD(uint8_t, rate, 2)           /* DSR and CCR: 500, 300, 250 kbit/s, 1 Mbit/s */        \
    FIELD(uint8_t, phase, FDC_COMMAND)                                                         \
    ARRAY(uint8_t, command, FDC_COMMAND_MAX, 0)                                                \
    FIELD(uint8_t, command_size, 0)   /* bytes received */                                     \
    ARRAY(uint8_t, result, FDC_RESULT_MAX, 0)                                                  \
    FIELD(uint8_t, result_size, 0)                                                             \
    FIELD(uint8_t, result_at, 0)                                                               \
    ARRAY(uint8_t, specify, 2, 0)     /* step rate, head unload; head load, non-DMA */         \
    FIELD(uint8_t, configure, FDC_NO_FIFO)                                                     \
    FIELD(uint8_t, precompensation, 0)                                                         \
    FIELD(uint8_t, perpendicular, 0)                                                           \
    FIELD(bool, locked, false)                                                                 \
    FIELD(bool, irq, false)                                                                    \
    FIELD(uint8_t, reset_senses, 0)   /* drives whose status after reset is not yet sensed */  \
    FIELD(int64_t, deadline, -1)                                                               \
    ARRAY(int64_t, seek_until, FDC_DRIVES, -1)                                                 \
    ARRAY(uint8_t, seek_st0, FDC_DRIVES, 0) /* what SENSE INTERRUPT will say */                \
    ARRAY(bool, seek_done, FDC_DRIVES, false)                                                  \
    ARRAY(uint8_t, track, FDC_DRIVES, 0)    /* where the head is */                            \
    ARRAY(bool, changed, FDC_DRIVES, true)  /* the change line: until a step with a medium */  \
    FIELD(uint8_t, st1, 0)                                                                     \
    FIELD(uint8_t, st2, 0)                                                                     \
    FIELD(uint8_t, cylinder, 0)       /* of the sector under way, then of the result */        \
    FIELD(uint8_t, head, 0)                                                                    \
    FIELD(uint8_t, sector, 0)                                                                  \
    FIELD(uint8_t, sectors_left, 0)   /* FORMAT, VERIFY with a count */                        \
    FIELD(bool, terminal, false)      /* the DMA controller has said so */                     \
    FIELD(uint16_t, at, 0)            /* within data */                                        \
    FIELD(uint16_t, size, 0)                                                                   \
    ARRAY(uint8_t, data, FDC_SECTOR, 0)                                                        \
    FIELD(uint8_t, ignored, 0)        /* interrupts for data that nobody fetched */            \
    ARRAY(uint8_t, deleted, FDC_UNITS * FDC_MARKS, 0) /* sectors with a deleted data mark */

enum { FDC_IMPLIED_SEEK = 0x40, FDC_NO_FIFO = 0x20, FDC_NO_POLL = 0x10 }; /* CONFIGURE */
enum { DOR_RUN = 0x04, DOR_DMA_GATE = 0x08 };
enum { SPECIFY_NO_DMA = 0x01 };

typedef struct FdcState {
    FDC_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} FdcState;

typedef struct Fdc {
    IsaDevice isa;
    FdcState s;
    BlockBackend *blk[FDC_UNITS]; /* NULL: always empty */
    FloppyType type[FDC_UNITS];
    char *type_name[FDC_UNITS];
    Region *low, *high;
    Timer *timer;
    /* The host's request works on its own copy: a reset does not wait for it. */
    uint8_t io[FDC_SECTOR];
    struct iovec io_vector;
    bool io_busy;
    uint32_t operation, io_operation; /* a request of an older operation is of no interest */
} Fdc;

typedef struct FloppyMedium {
    uint8_t cylinders, heads, sectors;
    uint8_t rate;
    bool five_inch;
} FloppyMedium;

/* fdc-media.c */
/* What is in the drive; NULL if nothing. */
const FloppyMedium *fdc_medium(const Fdc *fdc, int unit);
FloppyType fdc_choose_type(const BlockBackend *blk);
/* Tracks of the drive for each of the medium's: 2 for 40-track media in 80-track drives. */
int fdc_track_step(const Fdc *fdc, int unit, const FloppyMedium *medium);

/* fdc.c */
void fdc_update(Device *dev);
/* The command ends with the usual seven bytes and an interrupt; ic: 0 fine, 1 not. */
void fdc_finish(Fdc *fdc);
void fdc_finish_later(Fdc *fdc, int64_t ns);
bool fdc_uses_dma(const Fdc *fdc);

/* fdc-transfer.c */
void fdc_begin_read(Fdc *fdc); /* READ DATA, READ DELETED DATA, READ TRACK, VERIFY */
void fdc_begin_write(Fdc *fdc); /* WRITE DATA, WRITE DELETED DATA */
void fdc_begin_scan(Fdc *fdc);  /* SCAN EQUAL, SCAN LOW OR EQUAL, SCAN HIGH OR EQUAL */
void fdc_begin_format(Fdc *fdc);
void fdc_read_id(Fdc *fdc);
void fdc_run_dma(Fdc *fdc);
void fdc_start_io(Fdc *fdc);
uint8_t fdc_read_data(Fdc *fdc); /* the FIFO in the execution phase, without DMA */
void fdc_write_data(Fdc *fdc, uint8_t value);

#endif
