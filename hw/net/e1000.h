/* The 8254x's state, shared by the registers' functions and the rings. */
#ifndef HW_NET_E1000_H
#define HW_NET_E1000_H

#include "hw/net/e1000-family.h"
#include "hw/net/microwire.h"

#define REGS_END 0x8000

#define E1000_STATE(FIELD, ARRAY)                                       \
    ARRAY(uint32_t, reg, REGS_END / 4, 0)                               \
    ARRAY(uint16_t, phy, 32, 0)                                         \
    ARRAY(uint16_t, eeprom, 64, 0)                                      \
    ARRAY(uint16_t, eeprom_wires, MICROWIRE_WIRES, 0)                   \
    FIELD(int64_t, irq_allowed_at, 0) /* interrupt throttling */        \
    FIELD(uint32_t, io_address, 0) /* of the register in BAR 1's window */ \
    TX_CONTEXT(FIELD) /* in force */

DEFINE_STATE(E1000State, E1000_STATE);

typedef struct E1000 {
    PciDevice pci;
    E1000State s;
    Nic nic;
    const struct E1000Model *model;
    Region *mmio, *io;
    Timer *throttle, *more;
    E1000Tx tx;
} E1000;

static inline uint32_t *reg(E1000 *e, unsigned offset)
{
    return &e->s.reg[offset / 4];
}

void e1000_raise(E1000 *e, uint32_t causes); /* bits of ICR */
void e1000_link_changed(void *opaque, bool up);
void e1000_receive(void *opaque, const uint8_t *data, size_t size);
extern const NetFrontend e1000_frontend;
extern const E1000TxOps e1000_tx_ops;

#endif
