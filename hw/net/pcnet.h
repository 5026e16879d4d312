/* The Am79C970A's state, shared by its registers and its rings. */
#ifndef HW_NET_PCNET_H
#define HW_NET_PCNET_H

#include "core/clock.h"
#include "hw/net/nic.h"
#include "hw/pci/pci.h"

enum { CSR0_INIT = 0x0001, CSR0_STRT = 0x0002, CSR0_STOP = 0x0004, CSR0_TDMD = 0x0008, CSR0_TXON = 0x0010,
       CSR0_RXON = 0x0020, CSR0_IENA = 0x0040, CSR0_INTR = 0x0080, CSR0_IDON = 0x0100, CSR0_TINT = 0x0200,
       CSR0_RINT = 0x0400, CSR0_MERR = 0x0800, CSR0_MISS = 0x1000, CSR0_CERR = 0x2000, CSR0_BABL = 0x4000,
       CSR0_ERR = 0x8000 };
enum { CSR4_APAD = 0x0800, CSR4_ASTRP = 0x0400, CSR4_TXSTRT = 0x0008 };
enum { CSR5_SPND = 0x0001, CSR5_LTINTEN = 0x4000, CSR5_TOKINTD = 0x8000 };
enum { MODE_DRX = 0x0001, MODE_DTX = 0x0002, MODE_LOOP = 0x0004, MODE_DRCVPA = 0x2000, MODE_DRCVBC = 0x4000,
       MODE_PROM = 0x8000 };

#define PCNET_STATE(FIELD, ARRAY)                                                 \
    ARRAY(uint16_t, csr, 128, 0)                                                  \
    ARRAY(uint16_t, bcr, 32, 0)                                                   \
    ARRAY(uint8_t, prom, 16, 0)                                                   \
    FIELD(uint16_t, rap, 0)                                                       \
    FIELD(uint32_t, rx_base, 0)                                                   \
    FIELD(uint32_t, tx_base, 0)                                                   \
    FIELD(uint16_t, rx_count, 1) /* descriptors in the ring */                    \
    FIELD(uint16_t, tx_count, 1)                                                  \
    FIELD(uint16_t, rx_next, 0)                                                   \
    FIELD(uint16_t, tx_next, 0)

DEFINE_STATE(PcnetState, PCNET_STATE);

#define PCNET_PACKET 65536 /* bytes gathered for one frame at most */

typedef struct Pcnet {
    PciDevice pci;
    PcnetState s;
    Nic nic;
    Region *ports, *mmio;
    Timer *retry;
    bool sending;
    uint8_t packet[PCNET_PACKET]; /* while it is sent */
} Pcnet;

void pcnet_raise(Pcnet *p, uint16_t causes); /* bits of CSR0 */
void pcnet_transmit(Pcnet *p);
static inline unsigned pcnet_style(const Pcnet *p)
{
    return p->s.bcr[20] & 0xff;
}

extern const NetFrontend pcnet_frontend;
void pcnet_link_changed(void *opaque, bool up);

#endif
