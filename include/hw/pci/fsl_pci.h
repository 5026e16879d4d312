/* The PCI host bridge of Freescale's e500 chips. */
#ifndef HW_PCI_FSL_PCI_H
#define HW_PCI_FSL_PCI_H

#include "core/line.h"
#include "hw/pci/pci.h"

extern const DeviceType fsl_pci_type;

/*
 * memory: what functions are mapped into, by bus address; windows into it appear in the machine's memory. ccsr: the chip's
 * registers, which the bus sees through the bridge's first base address register (messages go there).
 */
PciBus *fsl_pci_new(const char *name, Region *memory, Region *ports, Region *ccsr, GError **error);
Region *fsl_pci_region(PciBus *bus); /* 4 KiB of registers */
void fsl_pci_connect(PciBus *bus, Line *const irqs[4]); /* pins rotate with the slot */

/* What is there after a reset, as boot programs leave it. Addresses of the processor, and of the bus. */
#define FSL_PCI_MEMORY     UINT64_C(0xc00000000)
#define FSL_PCI_MEMORY_BUS 0xe0000000u
enum { FSL_PCI_MEMORY_SIZE = 0x20000000 };
#define FSL_PCI_IO         UINT64_C(0xfe1000000)
enum { FSL_PCI_IO_SIZE = 0x10000 };

#endif
