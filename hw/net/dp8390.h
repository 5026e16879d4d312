/* National Semiconductor DP8390D network interface controller, as NE2000 cards use it. */
#ifndef HW_NET_DP8390_H
#define HW_NET_DP8390_H

#include "core/device.h"
#include "hw/net/nic.h"

#define DP8390_RAM (16 * 1024) /* on the card, from address 0x4000 on */

#define DP8390_STATE(FIELD, ARRAY)                                                       \
    FIELD(uint8_t, cr, 0x21) /* stopped, no remote DMA */                                \
    FIELD(uint8_t, isr, 0x80)                                                            \
    FIELD(uint8_t, imr, 0)                                                               \
    FIELD(uint8_t, dcr, 0)                                                               \
    FIELD(uint8_t, rcr, 0)                                                               \
    FIELD(uint8_t, tcr, 0)                                                               \
    FIELD(uint8_t, rsr, 0)                                                               \
    FIELD(uint8_t, tsr, 0)                                                               \
    FIELD(uint8_t, pstart, 0)                                                            \
    FIELD(uint8_t, pstop, 0)                                                             \
    FIELD(uint8_t, bnry, 0)                                                              \
    FIELD(uint8_t, curr, 0)                                                              \
    FIELD(uint8_t, tpsr, 0)                                                              \
    FIELD(uint16_t, tbcr, 0)                                                             \
    FIELD(uint16_t, rsar, 0) /* remote DMA: where software reads and writes */           \
    FIELD(uint16_t, rbcr, 0)                                                             \
    FIELD(uint8_t, missed, 0)                                                            \
    ARRAY(uint8_t, par, 6, 0)                                                            \
    ARRAY(uint8_t, mar, 8, 0)                                                            \
    ARRAY(uint8_t, ram, DP8390_RAM, 0)

DEFINE_STATE(Dp8390State, DP8390_STATE);

typedef struct Dp8390 {
    Dp8390State s;
    Nic nic;
    Device *dev;
    void (*set_irq)(Device *dev, bool level);
    uint8_t prom[32];
} Dp8390;

#define DP8390_PORTS 32 /* 16 of the chip, the data port, the reset port */

bool dp8390_realize(Dp8390 *d, Device *dev, void (*set_irq)(Device *dev, bool level), GError **error);
void dp8390_update(Dp8390 *d);
/* RegionOps: opaque is the Dp8390. */
uint64_t dp8390_read(void *opaque, uint64_t offset, unsigned size);
void dp8390_write(void *opaque, uint64_t offset, uint64_t value, unsigned size);

#endif
