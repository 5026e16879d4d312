/* What the files of the PCI bus share: the bus itself, places in configuration space. */
#ifndef HW_PCI_BUS_H
#define HW_PCI_BUS_H

#include "hw/pci/pci.h"

enum {
    PCI_COMMAND = 0x04, PCI_STATUS = 0x06, PCI_HEADER_TYPE = 0x0e, PCI_BAR0 = 0x10,
    PCI_SECONDARY = 0x19, PCI_SUBORDINATE = 0x1a, PCI_PREFETCH = 0x24, PCI_PREFETCH_UPPER = 0x28, PCI_SUBSYSTEM = 0x2c, PCI_ROM = 0x30, PCI_CAPABILITIES = 0x34, PCI_IRQ_LINE = 0x3c,
    PCI_IRQ_PIN = 0x3d,
};
enum { COMMAND_IO = 1, COMMAND_MEMORY = 2, COMMAND_MASTER = 4, COMMAND_INTX_OFF = 0x400 };
enum { STATUS_INTX = 0x08, STATUS_CAPABILITIES = 0x10 };
#define ROM_BAR    6
#define MAX_DEVFN  256
#define UNMAPPED   UINT64_MAX

struct PciBus {
    Bus bus; /* first: a Bus of kind "pci" is one of these */
    PciDevice *bridge; /* that leads to it; NULL: the host's. What follows up to asserted is the host's bus's */
    PciMapIrq *map_irq;
    LineFn *set_irq;
    void *irq_opaque;
    int irq_count;
    int *asserted; /* functions that hold each interrupt input, behind bridges too */
    Region *memory, *ports;
    int first_slot; /* for functions without an address */
    PciTranslate *translate; /* NULL: functions see memory as it is */
    void *translate_opaque;
    int slots; /* how many there are */
    bool freeing, more; /* ejected functions go away; another was ejected meanwhile */
    PciDevice *at[MAX_DEVFN];
};

/* Maps and unmaps what BARs and the command register say now. */
void pci_update_bars(PciDevice *pci);

/* The host's bus, which a bus is or lies behind. */
static inline PciBus *pci_host_bus(PciBus *bus)
{
    while (bus->bridge) {
        bus = bus->bridge->bus;
    }
    return bus;
}

#endif
