/*
 * Hot-plug of PCI functions through ACPI.
 *
 * A device that is added is on the bus at once; the guest hears of it by GPE 1, whose method reads the slots and
 * notifies their objects. To remove one the guest is asked the same way, and its _EJ0 ends here. ACPI 6.5, 6.3.3.
 */
#include "hw/acpi/pci_hotplug.h"

#include "util/error.h"

static PciHotplug *hotplug_of; /* the bus has one */

bool pci_hotplug_slot_removable(PciBus *bus, int slot)
{
    for (int fn = 0; fn < 8; fn++) {
        PciDevice *pci = pci_bus_device(bus, PCI_DEVFN(slot, fn));

        if (pci && (!pci->dev.type->hotplug || !pci->dev.type->unrealize)) {
            return false;
        }
    }
    return slot > 0;
}

static uint32_t removable_slots(PciBus *bus)
{
    uint32_t slots = 0;

    for (int slot = 0; slot < 32; slot++) {
        slots |= pci_hotplug_slot_removable(bus, slot) ? 1u << slot : 0;
    }
    return slots;
}

static void eject(PciHotplug *hp, uint32_t slots)
{
    for (int slot = 0; slot < 32; slot++) {
        if (!(slots >> slot & 1) || !pci_hotplug_slot_removable(hp->bus, slot)) {
            continue;
        }
        for (int fn = 0; fn < 8; fn++) {
            PciDevice *pci = pci_bus_device(hp->bus, PCI_DEVFN(slot, fn));

            if (pci && !pci->ejected) {
                pci_eject(pci);
            }
        }
    }
    *hp->up &= ~slots;
    *hp->down &= ~slots;
}

static uint64_t hotplug_read(void *opaque, PhysAddr offset, unsigned size)
{
    PciHotplug *hp = opaque;
    uint32_t slots;

    switch (offset) {
    case PCI_HOTPLUG_UP:
        slots = *hp->up;
        *hp->up = 0;
        return slots;
    case PCI_HOTPLUG_DOWN:
        return *hp->down;
    case PCI_HOTPLUG_REMOVABLE:
        return removable_slots(hp->bus);
    default:
        return 0;
    }
}

static void hotplug_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    if (offset == PCI_HOTPLUG_EJECT) {
        eject(opaque, value);
    }
}

static const RegionOps hotplug_ops = { hotplug_read, hotplug_write, 4, 4, ENDIAN_LITTLE, false };

static void plugged(Device *dev)
{
    PciHotplug *hp = hotplug_of;

    *hp->up |= 1u << PCI_SLOT(((PciDevice *)dev)->devfn);
    hp->event(hp->opaque);
}

static bool unplug_request(Device *dev, GError **error)
{
    PciHotplug *hp = hotplug_of;
    int slot = PCI_SLOT(((PciDevice *)dev)->devfn);

    if (!pci_hotplug_slot_removable(hp->bus, slot)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "Device '%s' shares its slot with one that cannot be unplugged",
                    dev->id);
        return false;
    }
    ((PciDevice *)dev)->leaving = true;
    *hp->down |= 1u << slot;
    *hp->up &= ~(1u << slot);
    hp->event(hp->opaque);
    return true;
}

void pci_hotplug_init(PciHotplug *hp, PciBus *bus)
{
    hotplug_of = hp;
    hp->bus = bus;
    hp->region = region_new_io("acpi-pci-hotplug", &hotplug_ops, hp, PCI_HOTPLUG_SIZE);
    region_add_overlap(pci_bus_ports(bus), PCI_HOTPLUG_BASE, hp->region, 1);
    pci_bus_bus(bus)->plugged = plugged;
    pci_bus_bus(bus)->unplug_request = unplug_request;
}

void pci_hotplug_reset(PciHotplug *hp)
{
    uint32_t slots = 0;

    for (int devfn = 0; devfn < 256; devfn++) {
        PciDevice *pci = pci_bus_device(hp->bus, devfn);

        slots |= pci && pci->leaving ? 1u << PCI_SLOT(devfn) : 0;
    }
    eject(hp, slots);
}
