/* The 82574's state, shared by its registers, interrupts and rings. */
#ifndef HW_NET_E1000E_H
#define HW_NET_E1000E_H

#include "hw/net/e1000-family.h"

#define E1000E_QUEUES  2
#define E1000E_VECTORS 5
#define REGS_END       0xc000
#define NVM_WORDS      64
#define PHY_PAGES      8

/* Registers that the older cards do not have. Those of queue 1 are 0x100 behind those of queue 0. */
enum {
    IVAR = 0x00e4, EIAC = 0x00dc, IAM = 0x00e0, EITR = 0x00e8, EXTCNF_CTRL = 0x0f00, EEMNGCTL = 0x1010, EEWR = 0x102c,
    PSRCTL = 0x2170, SWSM = 0x5b50, RFCTL = 0x5008, MRQC = 0x5818, RETA = 0x5c00, RSSRK = 0x5c80, SYSTIML = 0xb600,
    SYSTIMH = 0xb604, TIMINCA = 0xb608, QUEUE = 0x100,
};
enum { CTRL_GIO_MASTER_DISABLE = 1 << 2, STATUS_GIO_MASTER_ENABLE = 1 << 19 };
enum { EXT_EIAME = 1 << 24, EXT_IAME = 1 << 27 };
/* Causes: of the queues, with vectors of their own in MSI-X, and of all the rest. */
enum { INT_RXQ0 = 1 << 20, INT_TXQ0 = 1 << 22, INT_OTHER = 1 << 24, INT_ASSERTED = INT32_MIN };
enum { RFCTL_EXTEN = 1 << 15, RXCSUM_PCSD = 1 << 13, RCTL_SPLIT = 1 << 10, MRQC_RSS = 1 };

#define E1000E_STATE(FIELD, ARRAY)                                      \
    ARRAY(uint32_t, reg, REGS_END / 4, 0)                               \
    ARRAY(uint16_t, phy, PHY_PAGES * 32, 0)                             \
    ARRAY(uint16_t, nvm, NVM_WORDS, 0)                                  \
    ARRAY(uint8_t, context, E1000E_QUEUES * 16, 0) /* descriptors */    \
    ARRAY(int64_t, allowed_at, E1000E_VECTORS, 0) /* throttling */      \
    FIELD(uint32_t, announced, 0) /* causes whose message was sent */   \
    FIELD(uint32_t, io_address, 0)                                      \
    FIELD(int64_t, systim_at, 0)                                        \
    FIELD(uint64_t, systim, 0) /* at that time */

DEFINE_STATE(E1000eState, E1000E_STATE);

typedef struct E1000e {
    PciDevice pci;
    E1000eState s;
    Nic nic;
    Region *mmio, *flash, *io, *msix;
    Timer *throttle, *more;
    E1000Tx tx[E1000E_QUEUES];
} E1000e;

static inline uint32_t *reg(E1000e *e, unsigned offset)
{
    return &e->s.reg[offset / 4];
}

void e1000e_raise(E1000e *e, uint32_t causes); /* bits of ICR */
uint32_t e1000e_read_icr(E1000e *e);           /* with what reading does */
void e1000e_acknowledge(E1000e *e, uint32_t causes);
void e1000e_update(Device *dev);
void e1000e_link_changed(void *opaque, bool up);
void e1000e_receive(void *opaque, const uint8_t *frame, size_t size);
extern const NetFrontend e1000e_frontend;
extern const E1000TxOps e1000e_tx_ops;

#endif
