/* The Realtek RTL8139's state, shared by its registers and its rings. */
#ifndef HW_NET_RTL8139_H
#define HW_NET_RTL8139_H

#include "core/clock.h"
#include "hw/net/microwire.h"
#include "hw/net/nic.h"
#include "hw/pci/pci.h"
#include "util/bits.h"

/* Registers. In C+ mode some of the transmit registers have another meaning. */
enum {
    IDR = 0x00, MAR = 0x08, TSD = 0x10, TSAD = 0x20, RBSTART = 0x30, CR = 0x37, CAPR = 0x38, CBR = 0x3a,
    IMR = 0x3c, ISR = 0x3e, TCR = 0x40, RCR = 0x44, TCTR = 0x48, MPC = 0x4c, CR9346 = 0x50, CONFIG0 = 0x51,
    CONFIG1 = 0x52, TIMER_INT = 0x54, MSR = 0x58, CONFIG3 = 0x59, CONFIG4 = 0x5a, RERID = 0x5e, TSALL = 0x60,
    BMCR = 0x62, BMSR = 0x64, ANAR = 0x66, ANLPAR = 0x68, ANER = 0x6a, DIS = 0x6c, CSCR = 0x74,
    PHY_LAST = 0x83, CONFIG5 = 0xd8, TPPOLL = 0xd9, CPCR = 0xe0, RDSAR = 0xe4,
    DTCCR = 0x10, TNPDS = 0x20, THPDS = 0x28,
};
enum { CR_BUFE = 1 << 0, CR_TE = 1 << 2, CR_RE = 1 << 3, CR_RST = 1 << 4 };
enum { INT_ROK = 1 << 0, INT_RER = 1 << 1, INT_TOK = 1 << 2, INT_TER = 1 << 3, INT_RXOVW = 1 << 4,
       INT_LINK = 1 << 5, INT_TDU = 1 << 7, INT_SW = 1 << 8, INT_TIMEOUT = 1 << 14 };
enum { TPPOLL_HIGH = 1 << 7, TPPOLL_NORMAL = 1 << 6, TPPOLL_SW = 1 << 0 };
enum { CPCR_TX = 1 << 0, CPCR_RX = 1 << 1, CPCR_CHECKSUM = 1 << 5, CPCR_VLAN = 1 << 6 };

#define RTL8139_STATE(FIELD, ARRAY)                                                     \
    ARRAY(uint8_t, reg, 256, 0)                                                         \
    ARRAY(uint16_t, eeprom, 64, 0)                                                      \
    ARRAY(uint16_t, eeprom_wires, MICROWIRE_WIRES, 0)                                   \
    FIELD(uint8_t, tx_next, 0)        /* of the four slots */                           \
    ARRAY(uint32_t, ring_next, 3, 0)  /* C+ mode: descriptor that is next; RING_ order */ \
    FIELD(int64_t, timer_base, 0)     /* when TCTR was zero */                          \
    FIELD(int64_t, timer_due, -1)     /* when TCTR reaches TimerInt */                  \
    ARRAY(uint64_t, tally, 13, 0)     /* TALLY_ order */

DEFINE_STATE(Rtl8139State, RTL8139_STATE);

enum { RING_NORMAL, RING_HIGH, RING_RX };
/* In the order, and in the end with the widths, of the dump (data sheet 5.14). */
enum { TALLY_TX_OK, TALLY_RX_OK, TALLY_TX_ERR, TALLY_RX_ERR, TALLY_MISSED, TALLY_ALIGN, TALLY_TX_1COL,
       TALLY_TX_MCOL, TALLY_RX_PHYS, TALLY_RX_BROAD, TALLY_RX_MULTI, TALLY_TX_ABORT, TALLY_TX_UNDERRUN };

#define RTL8139_PACKET 65535 /* bytes of a large send */

typedef struct Rtl8139 {
    PciDevice pci;
    Rtl8139State s;
    Nic nic;
    bool cplus;
    Region *ports, *mmio;
    Timer *timer, *retry;
    bool sending;
    uint8_t packet[RTL8139_PACKET + 4]; /* while it is sent; room for a tag */
} Rtl8139;

void rtl8139_raise(Rtl8139 *r, uint16_t causes);
static inline bool rtl8139_cplus_rx(const Rtl8139 *r)
{
    return load_le16(r->s.reg + CPCR) & CPCR_RX;
}

extern const NetFrontend rtl8139_frontend;
void rtl8139_send_slots(Rtl8139 *r);
void rtl8139_send_rings(Rtl8139 *r); /* those that TPPOLL names */
bool rtl8139_buffer_empty(const Rtl8139 *r);
void rtl8139_link_changed(void *opaque, bool up);

#endif
