/* UniNorth and U3: the system controllers of NewWorld Macintoshes, with their PCI hosts. */
#ifndef HW_PCI_UNINORTH_H
#define HW_PCI_UNINORTH_H

#include "core/line.h"
#include "hw/pci/pci.h"

extern const DeviceType uninorth_type, uninorth_pci_type, uninorth_internal_type, uninorth_agp_type, u3_agp_type;

enum { UNINORTH_WINDOW = 0x1000 };

Region *uninorth_region(Device *dev); /* registers of an uninorth_type */
/*
 * A PCI host: its own function is of that type, and configuration is reached at 800000h (address) and C00000h (data) from
 * `base`. memory and ports are what functions on the bus are mapped into; the board shows them to the processor.
 */
PciBus *uninorth_pci_new(const DeviceType *type, const char *name, PhysAddr base, Region *memory, Region *ports,
                         GError **error);
/* Interrupt pins rotate with the slot over these four. */
void uninorth_pci_connect(PciBus *bus, Line *const irqs[4]);

#endif
