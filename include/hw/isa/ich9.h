/* Intel ICH9: the LPC bridge. */
#ifndef HW_ISA_ICH9_H
#define HW_ISA_ICH9_H

#include "hw/pci/pci.h"

/*
 * Before it is realized. irqs: the 16 ISA interrupts that PIRQs can be routed to; apic: the inputs of the I/O APIC for
 * PIRQ A-H (NULL: none). memory: the system's root, for the chip set's registers. All are borrowed.
 */
void ich9_connect(Device *dev, Line *const irqs[16], Line *const apic[8], Region *memory, Device *pm, Device *tco);

/* LineFn for the PCI bus: level of PIRQ n (0-7) of the bridge `opaque`. */
void ich9_set_pirq(void *opaque, int n, bool level);
/* PIRQ of a pin: slots from 25 on are the chip set's own, which routes them; the others rotate over PIRQ E-H. */
int ich9_map_irq(PciDevice *pci, int pin);

/* CF9h, the reset control register. */
uint8_t ich9_read_reset(Device *dev);
void ich9_write_reset(Device *dev, uint8_t value);

#endif
