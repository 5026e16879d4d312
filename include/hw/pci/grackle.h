/* Grackle, Motorola's MPC106: the PCI host and memory controller of OldWorld Macintoshes. */
#ifndef HW_PCI_GRACKLE_H
#define HW_PCI_GRACKLE_H

#include "core/line.h"
#include "hw/pci/pci.h"

extern const DeviceType grackle_type;

PciBus *grackle_new(const char *name, Region *memory, Region *ports, GError **error);
void grackle_connect(PciBus *bus, Line *const irqs[4]); /* pins rotate with the slot */

#endif
