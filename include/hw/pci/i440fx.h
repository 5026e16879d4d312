/* Intel 440FX PCI host bridge. */
#ifndef HW_PCI_I440FX_H
#define HW_PCI_I440FX_H

#include "hw/pci/pci.h"

/*
 * Makes the host bridge with its bus "pci.0" and the configuration ports CF8h and CFCh.
 * memory: the system's root; pci_memory: container of everything on the PCI bus, ROMs included;
 * ram: RAM from address 0 (at least a megabyte), shown in A0000-FFFFF as PAM and SMRAM say.
 * All regions are borrowed. set_irq gets PIRQ numbers 0-3.
 */
PciBus *i440fx_new(Region *memory, Region *ports, Region *pci_memory, Region *ram, LineFn *set_irq,
                   void *irq_opaque, GError **error);

/* Port CF9h lies within the address register, of which only doublewords are decoded: a byte there
 * goes to the south bridge. */
void i440fx_set_reset_register(PciBus *bus, uint8_t (*read)(Device *dev),
                               void (*write)(Device *dev, uint8_t value), Device *dev);

#endif
