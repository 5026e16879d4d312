/*
 * LSI 53C8xx SCSI controllers, shared by their files: registers, the bus, the SCRIPTS processor.
 *
 * LSI53C895A PCI to Ultra2 SCSI Controller Technical Manual, version 2.2; chapter 4 for registers, 5 for SCRIPTS.
 */
#ifndef HW_SCSI_LSI_H
#define HW_SCSI_LSI_H

#include "core/clock.h"
#include "hw/pci/pci.h"
#include "hw/scsi/scsi.h"
#include "util/bits.h"

enum {
    SCNTL0 = 0x00, SCNTL1 = 0x01, SCNTL2 = 0x02, SCNTL3 = 0x03, SCID = 0x04, SXFER = 0x05, SDID = 0x06, SFBR = 0x08,
    SOCL = 0x09, SSID = 0x0a, SBCL = 0x0b, DSTAT = 0x0c, SSTAT0 = 0x0d, SSTAT1 = 0x0e, SSTAT2 = 0x0f, DSA = 0x10,
    ISTAT0 = 0x14, ISTAT1 = 0x15, CTEST0 = 0x18, CTEST1 = 0x19, CTEST2 = 0x1a, CTEST3 = 0x1b, TEMP = 0x1c, DFIFO = 0x20,
    DBC = 0x24, DCMD = 0x27, DNAD = 0x28, DSP = 0x2c, DSPS = 0x30, DMODE = 0x38, DIEN = 0x39, DCNTL = 0x3b, ADDER = 0x3c,
    SIEN0 = 0x40, SIEN1 = 0x41, SIST0 = 0x42, SIST1 = 0x43, MACNTL = 0x46, STIME1 = 0x49, STEST1 = 0x4d, STEST4 = 0x52,
    CCNTL0 = 0x56, SBDL = 0x58, SCRATCHB = 0x5c, PMJAD1 = 0xc0, PMJAD2 = 0xc4, RBC = 0xc8, UA = 0xcc, ESA = 0xd0,
    IA = 0xd4, SBC = 0xd8,
};
enum { SCNTL1_CON = 0x10, SCNTL1_RST = 0x08, SCNTL2_SDU = 0x80, SCNTL2_WSR = 0x01 };
enum { ISTAT_ABRT = 0x80, ISTAT_SRST = 0x40, ISTAT_SIGP = 0x20, ISTAT_SEM = 0x10, ISTAT_CON = 0x08, ISTAT_INTF = 0x04,
       ISTAT_SIP = 0x02, ISTAT_DIP = 0x01 };
enum { DSTAT_DFE = 0x80, DSTAT_BF = 0x20, DSTAT_ABRT = 0x10, DSTAT_SSI = 0x08, DSTAT_SIR = 0x04, DSTAT_IID = 0x01 };
enum { SIST0_MA = 0x80, SIST0_UDC = 0x04, SIST0_RST = 0x02, SIST1_STO = 0x04, SIST1_GEN = 0x02 };
enum { DCNTL_SSM = 0x10, DCNTL_STD = 0x04, DMODE_MAN = 0x01 };
enum { CCNTL0_ENPMJ = 0x80, CCNTL0_PMJCTL = 0x40 };
enum { SOCL_ACK = 0x40, SOCL_ATN = 0x08 };

/* MSG, C/D and I/O of the bus. */
typedef enum LsiPhase {
    PHASE_DATA_OUT, PHASE_DATA_IN, PHASE_COMMAND, PHASE_STATUS, PHASE_MESSAGE_OUT = 6, PHASE_MESSAGE_IN,
} LsiPhase;

typedef enum LsiWait {
    WAIT_NOTHING,  /* SCRIPTS run */
    WAIT_STOPPED,
    WAIT_PHASE,    /* for the target */
    WAIT_RESELECT, /* for SIGP: no target here disconnects */
    WAIT_SLICE,    /* long at it: goes on a little later */
} LsiWait;

#define LSI_MESSAGE_MAX 32
#define LSI_SCRIPT_RAM  8192

#define LSI_STATE(FIELD, ARRAY)                                                       \
    ARRAY(uint8_t, reg, 256, 0) /* as software sees them, little-endian */            \
    FIELD(uint8_t, wait, WAIT_STOPPED)                                                \
    FIELD(bool, carry, false)                                                         \
    FIELD(bool, connected, false)                                                     \
    FIELD(bool, unanswered, false) /* a selection that will time out */               \
    FIELD(bool, ready, false)  /* the target asks for a byte, in this phase: */       \
    FIELD(uint8_t, phase, 0)                                                          \
    FIELD(bool, moving, false) /* a block move is half done: DBC and DNAD go on */    \
    FIELD(bool, copying, false) /* a memory move: DBC bytes from DNAD to: */          \
    FIELD(uint32_t, copy_to, 0)                                                       \
    FIELD(uint32_t, entry, 0)  /* its table entry */                                  \
    FIELD(uint8_t, target, 0)                                                         \
    FIELD(uint8_t, lun, 0)                                                            \
    FIELD(uint8_t, status, 0)                                                         \
    ARRAY(uint8_t, message, LSI_MESSAGE_MAX, 0) /* to the initiator */                \
    FIELD(uint8_t, message_size, 0)                                                   \
    FIELD(bool, last_message, false) /* then the bus is free */                       \
    FIELD(bool, busy, false)   /* a command is with the unit */

typedef struct LsiState {
    LSI_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} LsiState;

typedef struct Lsi {
    PciDevice pci;
    LsiState s;
    bool is_810;
    ScsiBus *bus;
    Region *io, *mmio, *ram;
    Timer *slice, *general;
    ScsiRequest *request;
    uint8_t *data; /* of the request, now on its way */
    uint32_t data_left;
    bool running;  /* SCRIPTS, on the stack */
    unsigned spent; /* instructions in a row, or what costs as much */
} Lsi;

static inline uint32_t lsi_get(const Lsi *l, unsigned reg)
{
    return load_le32(l->s.reg + reg);
}

static inline void lsi_put(Lsi *l, unsigned reg, uint32_t value)
{
    store_le32(l->s.reg + reg, value);
}

/* lsi53c8xx.c */
uint8_t lsi_read_register(Lsi *l, unsigned reg);
void lsi_write_register(Lsi *l, unsigned reg, uint8_t value);
void lsi_update(Lsi *l);
void lsi_dma_interrupt(Lsi *l, uint8_t dstat); /* both stop SCRIPTS */
void lsi_scsi_interrupt(Lsi *l, uint8_t sist0, uint8_t sist1);
/* lsi-scripts.c */
void lsi_run(Lsi *l);
/* lsi-bus.c: the target that is connected */
bool lsi_select(Lsi *l, unsigned target, bool attention); /* false: nobody answers */
void lsi_bus_free(Lsi *l);
void lsi_set_attention(Lsi *l);
void lsi_take_identify(Lsi *l); /* a message in place of the command */
/* Moves up to size bytes in the phase that is on; how many. */
uint32_t lsi_transfer(Lsi *l, uint8_t *data, uint32_t size);
void lsi_drop_command(Lsi *l);
extern const ScsiHbaOps lsi_hba_ops;

#endif
