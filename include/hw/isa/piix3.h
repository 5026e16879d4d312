/* Intel 82371SB (PIIX3): PCI to ISA bridge. */
#ifndef HW_ISA_PIIX3_H
#define HW_ISA_PIIX3_H

#include "hw/pci/pci.h"

/* irqs: the 16 ISA interrupt inputs that PIRQs can be routed to; borrowed. */
void piix3_connect(Device *dev, Line *const irqs[16]);

/* LineFn for the PCI bus: level of PIRQ n (0-3) of the bridge `opaque`. */
void piix3_set_pirq(void *opaque, int n, bool level);

/* CF9h, the reset control register. */
uint8_t piix3_read_reset(Device *dev);
void piix3_write_reset(Device *dev, uint8_t value);

#endif
