/* How PCI functions reach memory: as masters, through bridges and what their host translates by. */
#include "hw/pci/bus.h"

#include "core/dma.h"
#include "util/log.h"

#include <string.h>

/* A bridge that is no master keeps what comes from behind it. */
bool pci_bus_master(const PciDevice *pci)
{
    bool master = true;

    for (; pci && master; pci = pci->bus->bridge) {
        master = pci->config[PCI_COMMAND] & COMMAND_MASTER;
    }
    return master;
}

void pci_bus_set_translate(PciBus *bus, PciTranslate *translate, void *opaque)
{
    bus->translate = translate;
    bus->translate_opaque = opaque;
}

/* Where an access of at most *left bytes begins; *left shrinks to what lies together. */
static bool translate(PciDevice *pci, PhysAddr *addr, bool is_write, uint64_t *left)
{
    PciBus *host = pci_host_bus(pci->bus);
    uint64_t room = *left;

    if (!host->translate) {
        return true;
    }
    if (!host->translate(host->translate_opaque, *addr, is_write, addr, &room)) {
        guest_error(pci->dev.id, "may not %s %" G_GINT64_MODIFIER "x", is_write ? "write" : "read", *addr);
        return false;
    }
    *left = MIN(*left, room);
    return true;
}

static __thread unsigned writing;

bool pci_dma_writing(void)
{
    return writing;
}

void pci_dma_count_writing(int by)
{
    writing += by;
}

/* What the bridge refuses reads as ones. */
bool pci_dma_read(PciDevice *pci, PhysAddr addr, void *buf, uint64_t size)
{
    bool good = pci_bus_master(pci);

    for (uint8_t *to = buf; size;) {
        PhysAddr phys = addr;
        uint64_t left = size;

        if (!good || !translate(pci, &phys, false, &left)) {
            memset(to, 0xff, size);
            return false;
        }
        memory_read(memory_system(), phys, to, left);
        to += left;
        addr += left;
        size -= left;
    }
    return good;
}

bool pci_dma_write(PciDevice *pci, PhysAddr addr, const void *buf, uint64_t size)
{
    bool good = pci_bus_master(pci);

    for (const uint8_t *from = buf; size;) {
        PhysAddr phys = addr;
        uint64_t left = size;

        if (!good || !translate(pci, &phys, true, &left)) {
            return false;
        }
        pci_dma_count_writing(1);
        memory_write(memory_system(), phys, from, left);
        pci_dma_count_writing(-1);
        from += left;
        addr += left;
        size -= left;
    }
    return good;
}

void *pci_dma_map(PciDevice *pci, PhysAddr addr, uint64_t *size, bool is_write, RamBlock **ram, uint64_t *offset)
{
    return translate(pci, &addr, is_write, size) ? memory_map(memory_system(), addr, size, is_write, ram, offset) : NULL;
}

bool pci_dma_list_add(PciDevice *pci, DmaList *list, PhysAddr addr, uint64_t size, bool is_write)
{
    PhysAddr phys = addr;
    uint64_t left = size;

    if (!pci_host_bus(pci->bus)->translate) {
        return dma_list_add(list, addr, size, is_write);
    }
    for (; size; size -= left, addr += left, phys = addr, left = size) {
        if (!translate(pci, &phys, is_write, &left) || !dma_list_add(list, phys, left, is_write)) {
            return false;
        }
    }
    return true;
}
