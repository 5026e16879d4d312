/* What bridges between PCI buses have in common: a type 1 header, windows, the reset of what is behind. */
#ifndef HW_PCI_BRIDGE_H
#define HW_PCI_BRIDGE_H

#include "hw/pci/pci.h"

/* A part of what is behind, as the parent sees it. */
typedef struct BridgeWindow {
    uint64_t first, last; /* first > last: closed */
    Region *alias;
} BridgeWindow;

typedef struct PciBridge {
    PciDevice pci; /* first */
    PciBus *bus;   /* behind it, named by its id */
    Region *memory, *ports; /* of that bus, whole */
    BridgeWindow io, low, prefetch;
    bool in_reset;
    bool reset_waits; /* what is behind is to be reset from the main loop */
} PciBridge;

/* In realize: header and bus. */
void pci_bridge_init(PciBridge *b, const PciInfo *info);
/* After the guest wrote configuration space; the type's update and reset. */
void pci_bridge_written(PciBridge *b, unsigned offset);
void pci_bridge_update(PciBridge *b);
void pci_bridge_reset(PciBridge *b);
void pci_bridge_fetch(PciBridge *b); /* the type's fetch */

#endif
