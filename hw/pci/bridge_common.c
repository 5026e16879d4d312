/*
 * What bridges between PCI buses have in common: a type 1 header, windows, the reset of what is behind.
 *
 * PCI-to-PCI Bridge Architecture Specification 1.2.
 */
#include "hw/pci/bridge.h"

#include "core/mainloop.h"
#include "util/bits.h"

#include <string.h>

enum {
    COMMAND = 0x04, PRIMARY = 0x18, SECONDARY = 0x19, SUBORDINATE = 0x1a, LATENCY = 0x1b, IO_BASE = 0x1c,
    SECONDARY_STATUS = 0x1e, MEMORY_BASE = 0x20, PREFETCH_BASE = 0x24, PREFETCH_UPPER = 0x28, IO_UPPER = 0x30,
    CONTROL = 0x3e, HEADER_END = 0x40, HEADER_TYPE = 0x0e, HEADER_BRIDGE = 1,
};
enum { COMMAND_IO = 1, COMMAND_MEMORY = 2 };
enum { CONTROL_PARITY = 1, CONTROL_SERR = 2, CONTROL_RESET = 0x40 };
#define PORT_SPACE  0x10000u
#define MEMORY_LAST ((UINT64_C(1) << 40) - 1) /* BARs are decoded up to there */

static void set_window(BridgeWindow *w, const char *name, Region *outside, Region *inside, uint64_t first, uint64_t last)
{
    last = MIN(last, MEMORY_LAST);
    if (first > last) {
        first = 1;
        last = 0;
    }
    if (w->first == first && w->last == last) {
        return;
    }
    if (w->alias) {
        region_remove(w->alias);
        region_free(w->alias);
        w->alias = NULL;
    }
    w->first = first;
    w->last = last;
    if (first <= last) {
        w->alias = region_new_alias(name, inside, first, last - first + 1);
        region_add_overlap(outside, first, w->alias, 1);
    }
}

/* 3.2.5.6 to 3.2.5.9: bases and limits in units of 4 KiB of ports and 1 MiB of memory. */
void pci_bridge_update(PciBridge *b)
{
    const uint8_t *c = b->pci.config;
    uint16_t command = load_le16(c + COMMAND);
    uint64_t io = (c[IO_BASE] & 0xf0) << 8 | load_le16(c + IO_UPPER) << 16;
    uint64_t io_last = (c[IO_BASE + 1] & 0xf0) << 8 | 0xfff | load_le16(c + IO_UPPER + 2) << 16;
    uint64_t low = (uint64_t)(load_le16(c + MEMORY_BASE) & 0xfff0) << 16;
    uint64_t low_last = (uint64_t)(load_le16(c + MEMORY_BASE + 2) & 0xfff0) << 16 | 0xfffff;
    uint64_t prefetch = (uint64_t)(load_le16(c + PREFETCH_BASE) & 0xfff0) << 16 |
                        (uint64_t)load_le32(c + PREFETCH_UPPER) << 32;
    uint64_t prefetch_last = (uint64_t)(load_le16(c + PREFETCH_BASE + 2) & 0xfff0) << 16 | 0xfffff |
                             (uint64_t)load_le32(c + PREFETCH_UPPER + 4) << 32;
    bool ports = (command & COMMAND_IO) && io_last < PORT_SPACE, memory = command & COMMAND_MEMORY;

    memory_begin();
    set_window(&b->io, "bridge-io", pci_bus_ports(b->pci.bus), b->ports, ports ? io : 1, ports ? io_last : 0);
    set_window(&b->low, "bridge-memory", pci_bus_memory(b->pci.bus), b->memory, memory ? low : 1, memory ? low_last : 0);
    set_window(&b->prefetch, "bridge-prefetch", pci_bus_memory(b->pci.bus), b->memory, memory ? prefetch : 1,
               memory ? prefetch_last : 0);
    memory_commit();
}

/*
 * 3.2.5.18: setting the bit resets what is behind. A function may have been told to set it by what it writes, in the midst of
 * a request whose end its reset would wait for: then the reset comes a little later, in the main loop. Bridges are never unplugged.
 */
static void reset_late(void *opaque)
{
    pci_bridge_fetch(opaque);
}

/* And what is behind bridges there. */
static void reset_bus(PciBus *bus)
{
    const GPtrArray *devices = pci_bus_bus(bus)->devices;

    for (guint i = 0; i < devices->len; i++) {
        PciDevice *pci = devices->pdata[i];

        device_reset(&pci->dev);
        if (pci->secondary) {
            reset_bus(pci->secondary);
        }
    }
}

static void reset_secondary(PciBridge *b)
{
    if (pci_dma_writing()) {
        b->reset_waits = true;
        main_loop_call(reset_late, b);
        return;
    }
    b->reset_waits = false;
    reset_bus(b->bus);
}

/* A snapshot has no reset that waits. What is behind is saved after the bridge. */
void pci_bridge_fetch(PciBridge *b)
{
    if (b->reset_waits) {
        reset_secondary(b);
    }
}

void pci_bridge_written(PciBridge *b, unsigned offset)
{
    bool reset = load_le16(b->pci.config + CONTROL) & CONTROL_RESET;

    if (reset && !b->in_reset) {
        reset_secondary(b);
    }
    b->in_reset = reset;
    if (offset < HEADER_END) {
        pci_bridge_update(b);
    }
}

static void make_header(PciBridge *b)
{
    uint8_t *c = b->pci.config, *w = b->pci.writable;

    c[HEADER_TYPE] |= HEADER_BRIDGE;
    store_le32(c + 0x2c, 0); /* no subsystem there: a limit's upper half */
    memset(w + PRIMARY, 0xff, 4);
    c[IO_BASE] = c[IO_BASE + 1] = 0; /* 16 bits of address, as there are ports */
    w[IO_BASE] = w[IO_BASE + 1] = 0xf0;
    store_le16(b->pci.clear_on_1 + SECONDARY_STATUS, 0xf900);
    store_le32(w + MEMORY_BASE, 0xfff0fff0);
    store_le32(c + PREFETCH_BASE, 0x00010001); /* 64 bits */
    store_le32(w + PREFETCH_BASE, 0xfff0fff0);
    memset(w + PREFETCH_UPPER, 0xff, 8);
    store_le16(w + CONTROL, CONTROL_PARITY | CONTROL_SERR | CONTROL_RESET);
}

void pci_bridge_init(PciBridge *b, const PciInfo *info)
{
    pci_device_init(&b->pci, info);
    make_header(b);
    b->memory = region_new_container("bridge-memory", UINT64_MAX);
    b->ports = region_new_container("bridge-ports", PORT_SPACE);
    b->io = b->low = b->prefetch = (BridgeWindow){ 1, 0, NULL };
    b->bus = pci_bus_new_behind(b->pci.dev.id, &b->pci, b->memory, b->ports);
}

void pci_bridge_reset(PciBridge *b)
{
    b->in_reset = false;
    b->reset_waits = false;
}
