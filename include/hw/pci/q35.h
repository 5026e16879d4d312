/* Intel Q35 memory controller hub: the PCI Express host bridge. */
#ifndef HW_PCI_Q35_H
#define HW_PCI_Q35_H

#include "hw/pci/pci.h"

#define Q35_PIRQS 8

/*
 * Makes the host bridge with its bus "pcie.0", the configuration ports, and configuration space in memory where the
 * PCIEXBAR register says. Arguments as for i440fx_new, with PIRQ numbers 0-7; low_ram is how much of ram lies below
 * 4 GiB.
 */
PciBus *q35_new(Region *memory, Region *ports, Region *pci_memory, Region *ram, uint64_t low_ram, PciMapIrq *map_irq,
                LineFn *set_irq, void *irq_opaque, GError **error);
/* As i440fx_set_reset_register. */
void q35_set_reset_register(PciBus *bus, uint8_t (*read)(Device *dev), void (*write)(Device *dev, uint8_t value),
                            Device *dev);
/* Where configuration space is in memory, and how many buses it has; 0 buses: nowhere. */
uint64_t q35_mmconfig(PciBus *bus, unsigned *buses);

#endif
