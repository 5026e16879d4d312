/* Registers that Intel's gigabit cards share, and what they do to frames in the same way. */
#ifndef HW_NET_E1000_FAMILY_H
#define HW_NET_E1000_FAMILY_H

#include "core/clock.h"
#include "hw/net/nic.h"
#include "hw/pci/pci.h"

/* Offsets of registers. The functions below take the file of them, indexed by offset / 4. */
enum {
    CTRL = 0x0000, STATUS = 0x0008, EECD = 0x0010, EERD = 0x0014, CTRL_EXT = 0x0018, MDIC = 0x0020,
    FCAL = 0x0028, FCT = 0x0030, VET = 0x0038, ICR = 0x00c0, ITR = 0x00c4, ICS = 0x00c8, IMS = 0x00d0,
    IMC = 0x00d8, RCTL = 0x0100, FCTTV = 0x0170, TCTL = 0x0400, TIPG = 0x0410, LEDCTL = 0x0e00,
    PBA = 0x1000, RDBAL = 0x2800, RDBAH = 0x2804, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818,
    RDTR = 0x2820, RADV = 0x282c, TDBAL = 0x3800, TDBAH = 0x3804, TDLEN = 0x3808, TDH = 0x3810,
    TDT = 0x3818, TIDV = 0x3820, STATS = 0x4000, MPC = 0x4010, GPRC = 0x4074, BPRC = 0x4078,
    MPRC = 0x407c, GPTC = 0x4080, GORCL = 0x4088,
    GOTCL = 0x4090, TORL = 0x40c0, TOTL = 0x40c8, TPR = 0x40d0, TPT = 0x40d4, MPTC = 0x40f0, BPTC = 0x40f4, STATS_END = 0x4124,
    RXCSUM = 0x5000, MTA = 0x5200, RA = 0x5400, VFTA = 0x5600, WUFC = 0x5808,
};
enum { CTRL_SLU = 1 << 6, CTRL_RST = 1 << 26, CTRL_VME = 1 << 30 };
enum { STATUS_FD = 1, STATUS_LU = 2, STATUS_1000 = 0x80 };
enum { INT_TXDW = 1 << 0, INT_TXQE = 1 << 1, INT_LSC = 1 << 2, INT_RXDMT0 = 1 << 4, INT_RXO = 1 << 6, INT_RXT0 = 1 << 7, INT_MDAC = 1 << 9 };
enum { RCTL_EN = 1 << 1, RCTL_UPE = 1 << 3, RCTL_MPE = 1 << 4, RCTL_BAM = 1 << 15, RCTL_VFE = 1 << 18, RCTL_BSEX = 1 << 25, RCTL_SECRC = 1 << 26 };
enum { TCTL_EN = 1 << 1 };
enum { EECD_SK = 1, EECD_CS = 2, EECD_DI = 4, EECD_DO = 8, EECD_REQ = 0x40, EECD_GNT = 0x80, EECD_PRES = 0x100 };
enum { TXD_RS = 8, TXD_DEXT = 0x20 }; /* transmit descriptor, command byte: report status, extended */
enum { TXD_COMMAND = 11, TXD_STATUS = 12 };
enum { RXD_DD = 1, RXD_EOP = 2, RXD_IXSM = 4, RXD_VP = 8, RXD_UDPCS = 0x10, RXD_TCPCS = 0x20, RXD_IPCS = 0x40 };
enum { RXD_TCPE = 0x20, RXD_IPE = 0x40 }; /* errors */
enum { RXCSUM_IPOFL = 1 << 8, RXCSUM_TUOFL = 1 << 9 };
#define MAX_FRAME  16384
#define MAX_PACKET 65536

/* What a context descriptor says of the packets behind it. Offsets into the packet, the last byte's or 0 for the end. */
#define TX_CONTEXT(FIELD)                                               \
    FIELD(uint8_t, ipcss, 0)                                            \
    FIELD(uint8_t, ipcso, 0)                                            \
    FIELD(uint16_t, ipcse, 0)                                           \
    FIELD(uint8_t, tucss, 0)                                            \
    FIELD(uint8_t, tucso, 0)                                            \
    FIELD(uint16_t, tucse, 0)                                           \
    FIELD(uint32_t, payload, 0)                                         \
    FIELD(uint8_t, header, 0)                                           \
    FIELD(uint16_t, mss, 0)                                             \
    FIELD(bool, is_ip4, false)                                          \
    FIELD(bool, is_tcp, false)

#define TX_CONTEXT_MEMBER(type, name, initial) type name;
typedef struct TxContext {
    TX_CONTEXT(TX_CONTEXT_MEMBER)
} TxContext;

/* What a card does for its rings. */
typedef struct E1000TxOps {
    TxContext (*context)(void *card, unsigned ring); /* in force */
    void (*set_context)(void *card, unsigned ring, const uint8_t *d);
    void (*loop_back)(void *card, const uint8_t *frame, size_t size);
    void (*raise)(void *card, uint32_t causes); /* bits of ICR */
} E1000TxOps;

/* A packet that a ring's descriptors have begun. */
#define E1000_TX_STATE(FIELD, ARRAY)                                    \
    FIELD(uint32_t, size, 0) /* bytes of it that are gathered */        \
    FIELD(uint8_t, options, 0)                                          \
    FIELD(bool, large, false) /* to be cut into segments */             \
    FIELD(uint32_t, left, 0) /* bytes of it that are in no segment yet: its last descriptor is not done before there are none */

DEFINE_STATE(E1000TxState, E1000_TX_STATE);

/* A transmitter: the packet that the descriptors of one ring are gathering, and where it goes. */
typedef struct E1000Tx {
    PciDevice *pci;
    Nic *nic;
    uint32_t *regs;
    void *card;
    const E1000TxOps *ops;
    Timer *more;      /* goes on with the ring after others had a turn */
    unsigned ring;    /* registers of ring 1 are 0x100 behind those of ring 0 */
    uint32_t done;    /* causes of a descriptor that reports */
    uint32_t spent;   /* bytes moved in this go, and what looking at descriptors and making frames is worth */
    bool sending;
    E1000TxState s;
    uint8_t packet[MAX_PACKET];
} E1000Tx;

/* A ring is worked on in goes: it may have 65536 descriptors, each of 64 KiB that are cut into as many frames. */
enum { E1000_TX_GO = 1 << 20, E1000_TX_REST = 20000 /* ns between them */ };

/* d: 16 bytes of a descriptor that was read from the ring. */
TxContext e1000_read_context(const uint8_t *d);
/* Takes the data of a descriptor that is no context; with its last one the packet is sent. */
void e1000_tx_data(E1000Tx *tx, const TxContext *context, const uint8_t *d);
/* Goes on with a packet of which there is something left, as the context descriptor that is still in force says. */
void e1000_tx_cut(E1000Tx *tx, const TxContext *context);
/* Whether the packet can be cut into segments so. */
bool e1000_tx_can_cut(const E1000Tx *tx, const TxContext *context);
void e1000_tx_reset(E1000Tx *tx);

/* e1000-tx.c: the ring. */
void e1000_tx_run(E1000Tx *tx);
void e1000_tx_go_on(void *tx); /* the same, if the ring has descriptors that are not done */
void e1000_tx_save(const E1000Tx *tx, GKeyFile *out);
bool e1000_tx_load(E1000Tx *tx, GKeyFile *in, GError **error);

/* Reception. `size` is the frame's without check sequence, at least FRAME_HEADER. */
bool e1000_accepts(const uint32_t *regs, const uint8_t *frame, size_t size); /* filters of addresses and tags */
bool e1000_is_tagged(const uint32_t *regs, const uint8_t *frame, size_t size);
void e1000_count_received(uint32_t *regs, const uint8_t *frame, size_t size);
/* Status and errors of a received frame's checksums; what the card did not look at leaves IXSM set. */
void e1000_check_sums(const uint32_t *regs, const uint8_t *frame, size_t size, uint8_t *status, uint8_t *errors);
uint32_t e1000_buffer_size(uint32_t rctl); /* bytes, as RCTL's BSIZE and BSEX say */

#endif
