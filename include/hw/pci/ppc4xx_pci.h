/* The PCI host bridge of the 440EP. */
#ifndef HW_PCI_PPC4XX_PCI_H
#define HW_PCI_PPC4XX_PCI_H

#include "core/line.h"
#include "hw/pci/pci.h"

extern const DeviceType ppc4xx_pci_type;

/* memory: what functions are mapped into, by bus address; windows into it appear in the machine's memory. */
PciBus *ppc4xx_pci_new(const char *name, Region *memory, Region *ports, GError **error);
void ppc4xx_pci_connect(PciBus *bus, Line *const irqs[4]); /* all pins of a slot; slot 1 is the first */

#endif
