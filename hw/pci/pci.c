/* PCI bus: placement of functions, their life, reset and snapshots. */
#include "hw/pci/bus.h"

#include "core/mainloop.h"
#include "hw/pci/msi.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

static bool slot_taken(const PciBus *bus, int slot)
{
    for (int fn = 0; fn < 8; fn++) {
        if (bus->at[PCI_DEVFN(slot, fn)]) {
            return true;
        }
    }
    return false;
}

static bool pci_attach(Bus *b, Device *dev, GError **error)
{
    PciBus *bus = (PciBus *)b;
    PciDevice *pci = (PciDevice *)dev;

    if (pci->devfn < 0) {
        int slot = bus->first_slot;

        while (slot < bus->slots && slot_taken(bus, slot)) {
            slot++;
        }
        if (slot == bus->slots) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "no free slot on bus '%s' for '%s'", b->name,
                        dev->id);
            return false;
        }
        pci->devfn = PCI_DEVFN(slot, 0);
    } else if (PCI_SLOT(pci->devfn) >= bus->slots) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "bus '%s' has no slot %d for '%s': its last one is %d", b->name,
                    PCI_SLOT(pci->devfn), dev->id, bus->slots - 1);
        return false;
    } else if (bus->at[pci->devfn]) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "address %02x.%d of bus '%s' is taken by '%s'",
                    PCI_SLOT(pci->devfn), PCI_FUNC(pci->devfn), b->name, bus->at[pci->devfn]->dev.id);
        return false;
    }
    pci->bus = bus;
    bus->at[pci->devfn] = pci;
    return true;
}

static void pci_detach(Bus *b, Device *dev)
{
    PciBus *bus = (PciBus *)b;
    PciDevice *pci = (PciDevice *)dev;

    if (pci->bus && bus->at[pci->devfn] == pci) {
        pci_msi_free(pci);
        region_free(pci->bars[ROM_BAR].region);
        pci->bars[ROM_BAR].region = NULL;
        bus->at[pci->devfn] = NULL;
    }
}

/* After this the type may free what its BARs show. */
static void pci_quiesce(Device *dev)
{
    PciDevice *pci = (PciDevice *)dev;

    pci_set_intx(pci, false);
    store_le16(pci->config + PCI_COMMAND, 0);
    pci_update_bars(pci);
}

static char *pci_address(Device *dev)
{
    PciDevice *pci = (PciDevice *)dev;

    return g_strdup_printf("%02x.%x", PCI_SLOT(pci->devfn), PCI_FUNC(pci->devfn));
}

/*
 * In the main loop: vCPUs stand while a function goes away. One that waits for its requests runs the loop, which may
 * come here again for another: that is left to the call that goes on already.
 */
static void free_ejected(void *opaque)
{
    PciBus *bus = opaque;

    bus->more = true;
    if (bus->freeing) {
        return;
    }
    bus->freeing = true;
    while (bus->more) {
        bus->more = false;
        for (int i = 0; i < MAX_DEVFN; i++) {
            if (bus->at[i] && bus->at[i]->ejected) {
                device_unplug(&bus->at[i]->dev);
            }
        }
    }
    bus->freeing = false;
}

void pci_eject(PciDevice *pci)
{
    trace("pci_eject", "%s", pci->dev.id);
    pci->ejected = true;
    main_loop_call(free_ejected, pci->bus);
}

/* Everything that software can write goes back to zero; the rest is identity. */
void pci_device_reset_common(PciDevice *pci)
{
    for (int i = 0; i < PCI_CONFIG_SIZE; i++) {
        uint8_t changes = pci->writable[i] | pci->clear_on_1[i];

        if (i < 0x40) {
            pci->config[i] &= ~changes;
        }
    }
    pci_msi_reset(pci);
    pci_set_intx(pci, false);
    pci_update_bars(pci);
}

static void pci_reset(Device *dev)
{
    pci_device_reset_common((PciDevice *)dev);
}

static void pci_save(Device *dev, GKeyFile *out)
{
    PciDevice *pci = (PciDevice *)dev;
    g_autoptr(GString) text = g_string_new(NULL);

    for (int i = 0; i < PCI_CONFIG_SIZE; i++) {
        g_string_append_printf(text, "%02x", pci->config[i]);
    }
    g_key_file_set_string(out, dev->id, "pci.config", text->str);
    g_key_file_set_boolean(out, dev->id, "pci.intx", pci->intx);
    pci_msi_save(pci, out);
}

/* What tells software which function this is, where snapshots bring only bits that software writes. */
static bool is_identity(const PciDevice *pci, unsigned i)
{
    const uint8_t *c = pci->config;

    for (uint8_t p = c[PCI_CAPABILITIES]; p; p = c[p + 1]) {
        if (i >= p && i < p + pci->reset_config[p]) {
            return true;
        }
    }
    return i < 0x10 || (i >= PCI_SUBSYSTEM && i < PCI_SUBSYSTEM + 4) || i == PCI_CAPABILITIES;
}

static bool pci_load(Device *dev, GKeyFile *in, GError **error)
{
    PciDevice *pci = (PciDevice *)dev;
    g_autofree char *text = g_key_file_get_string(in, dev->id, "pci.config", error);

    if (!text) {
        return false;
    }
    if (strlen(text) != PCI_CONFIG_SIZE * 2) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad configuration space of '%s'",
                    dev->id);
        return false;
    }
    for (int i = 0; i < PCI_CONFIG_SIZE; i++) {
        int high = g_ascii_xdigit_value(text[2 * i]), low = g_ascii_xdigit_value(text[2 * i + 1]);
        uint8_t loads = is_identity(pci, i) ? pci->writable[i] | pci->clear_on_1[i] : 0xff;

        if (high < 0 || low < 0) {
            g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad configuration space of '%s'",
                        dev->id);
            return false;
        }
        pci->config[i] = (pci->config[i] & ~loads) | ((high << 4 | low) & loads);
    }
    pci_update_bars(pci);
    pci_set_intx(pci, g_key_file_get_boolean(in, dev->id, "pci.intx", NULL));
    return pci_msi_load(pci, in, error);
}

static bool refuse_unplug(Device *dev, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "Device '%s' is behind a bridge, where nothing is plugged or unplugged",
                dev->id);
    return false;
}

PciBus *pci_bus_new(const char *name, Device *owner, Region *memory, Region *ports,
                    PciMapIrq *map_irq, LineFn *set_irq, void *irq_opaque, int irq_count)
{
    PciBus *bus = g_new0(PciBus, 1);

    bus_init(&bus->bus, "pci", name, owner);
    bus->bus.attach = pci_attach;
    bus->bus.detach = pci_detach;
    bus->bus.quiesce = pci_quiesce;
    bus->bus.address = pci_address;
    bus->bus.reset = pci_reset;
    bus->bus.save = pci_save;
    bus->bus.load = pci_load;
    bus->memory = memory;
    bus->ports = ports;
    bus->map_irq = map_irq;
    bus->set_irq = set_irq;
    bus->irq_opaque = irq_opaque;
    bus->irq_count = irq_count;
    bus->asserted = g_new0(int, irq_count);
    bus->slots = MAX_DEVFN / 8;
    return bus;
}

PciBus *pci_bus_new_behind(const char *name, PciDevice *bridge, Region *memory, Region *ports)
{
    PciBus *bus = pci_bus_new(name, &bridge->dev, memory, ports, NULL, NULL, NULL, 0);

    bus->bridge = bridge;
    bus->bus.unplug_request = refuse_unplug;
    bridge->secondary = bus;
    return bus;
}

void pci_bus_set_slots(PciBus *bus, int slots)
{
    bus->slots = slots;
}

PciDevice *pci_bus_bridge(const PciBus *bus)
{
    return bus->bridge;
}

void pci_bus_set_first_slot(PciBus *bus, int slot)
{
    bus->first_slot = slot;
}

Bus *pci_bus_bus(PciBus *bus)
{
    return &bus->bus;
}

Region *pci_bus_memory(PciBus *bus)
{
    return bus->memory;
}

Region *pci_bus_ports(PciBus *bus)
{
    return bus->ports;
}

PciDevice *pci_bus_device(PciBus *bus, int devfn)
{
    return bus->at[devfn & 0xff];
}
