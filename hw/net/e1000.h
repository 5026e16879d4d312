/* The 82540EM's registers and state, shared by the registers' functions and the rings. */
#ifndef HW_NET_E1000_H
#define HW_NET_E1000_H

#include "core/clock.h"
#include "hw/net/microwire.h"
#include "hw/net/nic.h"
#include "hw/pci/pci.h"

enum {
    CTRL = 0x0000, STATUS = 0x0008, EECD = 0x0010, EERD = 0x0014, CTRL_EXT = 0x0018, MDIC = 0x0020,
    FCAL = 0x0028, FCT = 0x0030, VET = 0x0038, ICR = 0x00c0, ITR = 0x00c4, ICS = 0x00c8, IMS = 0x00d0,
    IMC = 0x00d8, RCTL = 0x0100, FCTTV = 0x0170, TCTL = 0x0400, TIPG = 0x0410, LEDCTL = 0x0e00,
    PBA = 0x1000, RDBAL = 0x2800, RDBAH = 0x2804, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818,
    RDTR = 0x2820, RADV = 0x282c, TDBAL = 0x3800, TDBAH = 0x3804, TDLEN = 0x3808, TDH = 0x3810,
    TDT = 0x3818, TIDV = 0x3820, STATS = 0x4000, MPC = 0x4010, GPRC = 0x4074, BPRC = 0x4078,
    MPRC = 0x407c, GPTC = 0x4080, GORCL = 0x4088,
    GOTCL = 0x4090, TORL = 0x40c0, TOTL = 0x40c8, TPR = 0x40d0, TPT = 0x40d4, MPTC = 0x40f0, BPTC = 0x40f4, STATS_END = 0x4124,
    RXCSUM = 0x5000, MTA = 0x5200, RA = 0x5400, VFTA = 0x5600, WUFC = 0x5808, REGS_END = 0x8000,
};
enum { CTRL_SLU = 1 << 6, CTRL_RST = 1 << 26, CTRL_VME = 1 << 30 };
enum { STATUS_FD = 1, STATUS_LU = 2, STATUS_1000 = 0x80 };
enum { INT_TXDW = 1 << 0, INT_TXQE = 1 << 1, INT_LSC = 1 << 2, INT_RXDMT0 = 1 << 4, INT_RXO = 1 << 6, INT_RXT0 = 1 << 7, INT_MDAC = 1 << 9 };
enum { RCTL_EN = 1 << 1, RCTL_UPE = 1 << 3, RCTL_MPE = 1 << 4, RCTL_BAM = 1 << 15, RCTL_VFE = 1 << 18, RCTL_BSEX = 1 << 25, RCTL_SECRC = 1 << 26 };
enum { TCTL_EN = 1 << 1 };
enum { EECD_SK = 1, EECD_CS = 2, EECD_DI = 4, EECD_DO = 8, EECD_REQ = 0x40, EECD_GNT = 0x80, EECD_PRES = 0x100 };
/* Transmit descriptor: command byte, DTYP in the extended form. */
enum { TXD_EOP = 1, TXD_IFCS = 2, TXD_IC = 4, TXD_TSE = 4, TXD_RS = 8, TXD_DEXT = 0x20, TXD_VLE = 0x40 };
enum { TXD_IXSM = 1, TXD_TXSM = 2 }; /* packet options */
enum { RXD_DD = 1, RXD_EOP = 2, RXD_IXSM = 4, RXD_VP = 8, RXD_TCPCS = 0x20, RXD_IPCS = 0x40 };
enum { RXD_TCPE = 0x20, RXD_IPE = 0x40 }; /* errors */
enum { RXCSUM_IPOFL = 1 << 8, RXCSUM_TUOFL = 1 << 9 };
#define MAX_FRAME  16384
#define MAX_PACKET 65536

#define E1000_STATE(FIELD, ARRAY)                                       \
    ARRAY(uint32_t, reg, REGS_END / 4, 0)                               \
    ARRAY(uint16_t, phy, 32, 0)                                         \
    ARRAY(uint16_t, eeprom, 64, 0)                                      \
    ARRAY(uint16_t, eeprom_wires, MICROWIRE_WIRES, 0)                   \
    FIELD(int64_t, irq_allowed_at, 0) /* interrupt throttling */        \
    /* the context descriptor in force */                               \
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

DEFINE_STATE(E1000State, E1000_STATE);

typedef struct E1000 {
    PciDevice pci;
    E1000State s;
    Nic nic;
    Region *mmio, *io;
    Timer *throttle;
    uint32_t io_address;
    /* The packet that descriptors are gathering. */
    uint8_t packet[MAX_PACKET];
    uint32_t packet_size;
    uint8_t packet_options;
    bool packet_tso;
} E1000;

static inline uint32_t *reg(E1000 *e, unsigned offset)
{
    return &e->s.reg[offset / 4];
}

void e1000_raise(E1000 *e, uint32_t causes); /* bits of ICR */
void e1000_link_changed(void *opaque, bool up);
void e1000_transmit(E1000 *e);
extern const NetFrontend e1000_frontend;

#endif
