/*
 * Hot-plug of PCI functions through ACPI: registers that tell the guest's methods which slots gained or shall lose
 * their device, as the DSDT knows them.
 */
#ifndef HW_ACPI_PCI_HOTPLUG_H
#define HW_ACPI_PCI_HOTPLUG_H

#include "hw/pci/pci.h"

enum {
    PCI_HOTPLUG_BASE = 0xae00,
    PCI_HOTPLUG_SIZE = 0x14,
    PCI_HOTPLUG_UP = 0x0,        /* slots with something new; reading takes note of it */
    PCI_HOTPLUG_DOWN = 0x4,      /* slots that shall be given up */
    PCI_HOTPLUG_EJECT = 0x8,     /* written: these slots are free */
    PCI_HOTPLUG_REMOVABLE = 0xc, /* slots whose device can be removed */
    PCI_HOTPLUG_GPE = 1,
};

/* Bit n of a set is slot n. */
typedef struct PciHotplug {
    uint32_t *up, *down; /* in the owner's state */
    void (*event)(void *opaque); /* either changed: raise the GPE */
    void *opaque;
    PciBus *bus;
    Region *region;
} PciHotplug;

/* Puts the registers into the port space and makes the bus ask here when something is plugged. */
void pci_hotplug_init(PciHotplug *hp, PciBus *bus);
/* The machine resets: what shall go goes, for nobody will eject it. */
void pci_hotplug_reset(PciHotplug *hp);
/* Whether the slot is empty or has only functions that can be removed. */
bool pci_hotplug_slot_removable(PciBus *bus, int slot);

#endif
