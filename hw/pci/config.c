/*
 * PCI configuration space and its base address registers.
 *
 * PCI Local Bus Specification 3.0, chapter 6.
 */
#include "hw/pci/bus.h"

#include "hw/pci/express.h"
#include "hw/pci/msi.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

/* ---- base address registers ---- */

static unsigned bar_offset(int index)
{
    return index == ROM_BAR ? PCI_ROM : PCI_BAR0 + index * 4;
}

/* Where a BAR decodes now, by its value and the command register; UNMAPPED if nowhere. */
static uint64_t bar_address(const PciDevice *pci, int index)
{
    const PciBar *bar = &pci->bars[index];
    uint16_t command = load_le16(pci->config + PCI_COMMAND);
    uint64_t value = load_le32(pci->config + bar_offset(index)), address, limit;

    if (bar->kind & PCI_BAR_IO) {
        address = value & ~3ull & -bar->size;
        limit = 0x10000;
        if (!(command & COMMAND_IO) || !address) {
            return UNMAPPED;
        }
    } else {
        limit = UINT64_C(1) << 32;
        if (bar->kind & PCI_BAR_MEM64) {
            value |= (uint64_t)load_le32(pci->config + bar_offset(index) + 4) << 32;
            limit = UINT64_C(1) << 48;
        }
        if (!(command & COMMAND_MEMORY) || (index == ROM_BAR && !(value & 1))) {
            return UNMAPPED;
        }
        address = value & -bar->size & ~15ull;
        /* All ones is how a BAR is sized: the last bytes of the space are never a device. */
        if (!address || address + bar->size - 1 == UINT32_MAX) {
            return UNMAPPED;
        }
    }
    return address + bar->size > limit ? UNMAPPED : address;
}

void pci_update_bars(PciDevice *pci)
{
    bool changed = false;

    memory_begin();
    for (int i = 0; i <= ROM_BAR; i++) {
        PciBar *bar = &pci->bars[i];
        uint64_t address;

        if (!bar->region) {
            continue;
        }
        address = bar_address(pci, i);
        if (address == bar->mapped) {
            continue;
        }
        if (bar->mapped != UNMAPPED) {
            region_remove(bar->region);
        }
        if (address != UNMAPPED) {
            region_add_overlap(bar->kind & PCI_BAR_IO ? pci->bus->ports : pci->bus->memory, address,
                               bar->region, 1);
        }
        bar->mapped = address;
        changed = true;
    }
    memory_commit();
    if (changed && pci->bars_changed) {
        pci->bars_changed(pci);
    }
}

void pci_register_bar(PciDevice *pci, int index, PciBarKind kind, Region *region)
{
    PciBar *bar = &pci->bars[index];
    uint64_t size = region_size(region);
    uint64_t mask = -size;
    unsigned offset = bar_offset(index);

    g_assert((size & (size - 1)) == 0 && size >= 4);
    *bar = (PciBar){ region, size, kind, UNMAPPED };
    if (index == ROM_BAR) {
        store_le32(pci->writable + offset, mask | 1);
        return;
    }
    pci->config[offset] = kind & (PCI_BAR_IO | PCI_BAR_MEM64 | PCI_BAR_PREFETCH);
    store_le32(pci->writable + offset, mask & (kind & PCI_BAR_IO ? ~3u : ~15u));
    if (kind & PCI_BAR_MEM64) {
        store_le32(pci->writable + offset + 4, mask >> 32);
    }
}

/* ---- configuration space ---- */

void pci_device_init(PciDevice *pci, const PciInfo *info)
{
    uint8_t *c = pci->config;

    pci->info = info;
    store_le16(c + 0x00, info->vendor);
    store_le16(c + 0x02, info->device);
    store_le32(c + 0x08, info->class_rev);
    store_le16(c + PCI_SUBSYSTEM, info->subsystem_vendor);
    store_le16(c + PCI_SUBSYSTEM + 2, info->subsystem);
    c[PCI_HEADER_TYPE] |= pci->multifunction ? 0x80 : 0;
    c[PCI_IRQ_PIN] = info->interrupt_pin;
    store_le16(pci->writable + PCI_COMMAND,
               COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER | 0x140 | COMMAND_INTX_OFF);
    pci->writable[0x0c] = 0xff; /* cache line size */
    pci->writable[0x0d] = 0xff; /* latency timer */
    pci->writable[PCI_IRQ_LINE] = 0xff;
    store_le16(pci->clear_on_1 + PCI_STATUS, 0xf900);
}

uint8_t pci_add_capability(PciDevice *pci, uint8_t id, uint8_t size)
{
    uint8_t at = 0x40, *c = pci->config;

    /* Capabilities lie one behind the other; each one's size is kept where nothing reads it. */
    for (uint8_t p = c[PCI_CAPABILITIES]; p; p = c[p + 1]) {
        at = MAX(at, p + pci->reset_config[p]);
    }
    g_assert(at + size <= PCI_CONFIG_SIZE);
    c[at] = id;
    c[at + 1] = c[PCI_CAPABILITIES];
    c[PCI_CAPABILITIES] = at;
    c[PCI_STATUS] |= STATUS_CAPABILITIES;
    pci->reset_config[at] = (size + 3) & ~3;
    return at;
}

static uint32_t read_config(PciDevice *pci, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    if (pci->config_read) {
        return pci->config_read(pci, offset, size);
    }
    memcpy(&value, pci->config + offset, size);
    return value;
}

static void write_config(PciDevice *pci, unsigned offset, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = value >> i * 8, *c = &pci->config[offset + i];
        uint8_t writable = pci->writable[offset + i];

        *c = ((*c & ~writable) | (byte & writable)) & ~(byte & pci->clear_on_1[offset + i]);
    }
    if (offset < PCI_ROM + 4 && offset + size > PCI_COMMAND) {
        pci_update_bars(pci);
        pci_set_intx(pci, pci->intx); /* the command register may have cut the wire */
    }
    pci_msi_config_written(pci, offset, size);
    if (pci->config_written) {
        pci->config_written(pci, offset, size);
    }
}

uint8_t pci_bus_number(const PciBus *bus)
{
    return bus->bridge ? bus->bridge->config[PCI_SECONDARY] : 0;
}

/* A bus of that number, below bridges that let it through (PCI-to-PCI Bridge Architecture Specification 1.2, 3.1.2). */
static PciBus *find_bus(PciBus *bus, uint8_t number)
{
    if (number == 0) {
        return bus;
    }
    for (int i = 0; i < MAX_DEVFN; i++) {
        PciBus *below = bus->at[i] ? bus->at[i]->secondary : NULL;

        if (!below || number < pci_bus_number(below) || number > bus->at[i]->config[PCI_SUBORDINATE] ||
            !pci_bus_number(below)) {
            continue;
        }
        return number == pci_bus_number(below) ? below : find_bus(below, number);
    }
    return NULL;
}

PciDevice *pci_find_function(PciBus *bus, uint8_t busno, int devfn)
{
    PciBus *there = find_bus(bus, busno);
    PciDevice *pci = there ? there->at[devfn & 0xff] : NULL;

    return pci && !pci->ejected ? pci : NULL;
}

uint32_t pci_config_read(PciBus *bus, uint8_t busno, int devfn, unsigned offset, unsigned size)
{
    PciDevice *pci = pci_find_function(bus, busno, devfn);
    uint32_t value = UINT32_MAX >> (32 - size * 8);

    if (pci && offset >= PCI_CONFIG_SIZE && pci_is_express(pci)) {
        return 0; /* no extended capabilities */
    }
    if (pci && offset + size <= PCI_CONFIG_SIZE) {
        value = read_config(pci, offset, size);
        trace("pci_config_read", "%s [%02x] %u -> %x", pci->dev.id, offset, size, value);
    }
    return value;
}

void pci_config_write(PciBus *bus, uint8_t busno, int devfn, unsigned offset, uint32_t value,
                      unsigned size)
{
    PciDevice *pci = pci_find_function(bus, busno, devfn);

    if (pci && offset + size <= PCI_CONFIG_SIZE) {
        trace("pci_config_write", "%s [%02x] %u <- %x", pci->dev.id, offset, size, value);
        write_config(pci, offset, value, size);
    }
}

/* ---- what lies above 4 GiB ---- */

static void widen(uint64_t *first, uint64_t *last, uint64_t start, uint64_t end)
{
    *first = MIN(*first, start);
    *last = MAX(*last, end);
}

static void find_high(PciBus *bus, uint64_t *first, uint64_t *last)
{
    for (int i = 0; i < MAX_DEVFN; i++) {
        PciDevice *pci = bus->at[i];

        for (int n = 0; pci && n < ROM_BAR; n++) {
            const PciBar *bar = &pci->bars[n];

            if (bar->region && !(bar->kind & PCI_BAR_IO) && bar->mapped != UNMAPPED && bar->mapped > UINT32_MAX) {
                widen(first, last, bar->mapped, bar->mapped + bar->size - 1);
            }
        }
        if (pci && pci->secondary) {
            const uint8_t *c = pci->config;
            uint64_t start = (uint64_t)load_le32(c + PCI_PREFETCH_UPPER) << 32 | (load_le16(c + PCI_PREFETCH) & 0xfff0u) << 16;
            uint64_t end = (uint64_t)load_le32(c + PCI_PREFETCH_UPPER + 4) << 32 |
                           (load_le16(c + PCI_PREFETCH + 2) & 0xfff0u) << 16 | 0xfffff;

            if (start > UINT32_MAX && start < end) {
                widen(first, last, start, end);
            }
            find_high(pci->secondary, first, last);
        }
    }
}

bool pci_bus_high_window(PciBus *bus, uint64_t *first, uint64_t *last)
{
    *first = UINT64_MAX;
    *last = 0;
    find_high(bus, first, last);
    return *first < *last;
}
