/*
 * PCI host bridge of the 440EP.
 *
 * PPC440EP Embedded Processor User's Manual, chapter 19 (PCI). Configuration and the bridge's own registers are
 * little-endian. Functions reach memory at the same addresses: the target windows (PTM) are kept and translate nothing.
 */
#include "hw/pci/ppc4xx_pci.h"

#include "util/bits.h"

#define CONFIG_ADDRESS 0xeec00000
#define REGISTERS      0xef400000
#define IO_WINDOW      0xe8000000
enum { CONFIG_WINDOW = 8, REGISTERS_SIZE = 0x40, IO_SIZE = 0x10000, MAPS = 3 };
enum { LOCAL, MASK, PCI_LOW, PCI_HIGH, MAP_WORDS, TARGETS = 4 }; /* words of a map (PMM), and of the target windows (PTM) */

#define PPC4XX_PCI_STATE(FIELD, ARRAY)          \
    FIELD(uint32_t, address, 0)                 \
    ARRAY(uint32_t, map, MAPS * MAP_WORDS, 0)   \
    ARRAY(uint32_t, target, TARGETS, 0)

DEFINE_STATE(Ppc4xxPciState, PPC4XX_PCI_STATE);

typedef struct Ppc4xxPci {
    PciDevice pci;
    Ppc4xxPciState s;
    Region *config, *registers, *io, *windows[MAPS];
    Line *irqs[4];
} Ppc4xxPci;

/* Windows of the processor's memory onto the bus. */
static void bridge_update(Device *dev)
{
    Ppc4xxPci *b = (Ppc4xxPci *)dev;

    if (!b->windows[0]) { /* a function like any other on a bus of another host */
        return;
    }
    memory_begin();
    for (int n = 0; n < MAPS; n++) {
        const uint32_t *map = &b->s.map[n * MAP_WORDS];
        uint64_t size = -(map[MASK] & ~0xfffu), at = map[PCI_LOW] & ~0xfffu;
        bool on = (map[MASK] & 1) && (uint32_t)size && !map[PCI_HIGH] && at + (uint32_t)size <= UINT64_C(1) << 32;

        region_set_enabled(b->windows[n], false);
        if (on) {
            region_set_alias(b->windows[n], pci_bus_memory(b->pci.bus), at);
            region_set_size(b->windows[n], (uint32_t)size);
            region_set_offset(b->windows[n], map[LOCAL] & ~0xfffu);
            region_set_enabled(b->windows[n], true);
        }
    }
    memory_commit();
}

static uint64_t config_read(void *opaque, PhysAddr offset, unsigned size)
{
    Ppc4xxPci *b = opaque;
    uint32_t a = b->s.address;

    if (offset < 4) {
        return size == 4 ? a : a >> 8 * offset & (UINT32_MAX >> (32 - 8 * size));
    }
    if (!(a & 0x80000000)) {
        return UINT64_MAX;
    }
    return pci_config_read(b->pci.bus, a >> 16, a >> 8 & 0xff, (a & 0xfc) + (offset & 3), size);
}

static void config_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Ppc4xxPci *b = opaque;
    uint32_t a = b->s.address;

    if (offset < 4) {
        b->s.address = size == 4 ? value & 0x80fffffc : a;
    } else if (a & 0x80000000) {
        pci_config_write(b->pci.bus, a >> 16, a >> 8 & 0xff, (a & 0xfc) + (offset & 3), value, size);
    }
}

static uint64_t register_read(void *opaque, PhysAddr offset, unsigned size)
{
    const Ppc4xxPciState *s = &((Ppc4xxPci *)opaque)->s;
    unsigned n = offset / 4;

    return n < MAPS * MAP_WORDS ? s->map[n] : s->target[n - MAPS * MAP_WORDS];
}

static void register_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Ppc4xxPci *b = opaque;
    unsigned n = offset / 4;

    if (n < MAPS * MAP_WORDS) {
        b->s.map[n] = value;
        bridge_update(&b->pci.dev);
    } else {
        b->s.target[n - MAPS * MAP_WORDS] = value;
    }
}

static const RegionOps config_ops = { config_read, config_write, 1, 4, ENDIAN_LITTLE };
static const RegionOps register_ops = { register_read, register_write, 4, 4, ENDIAN_LITTLE };

/* A slot has one wire. */
static int map_irq(PciDevice *pci, int pin)
{
    return (PCI_SLOT(pci->devfn) - 1) & 3;
}

static void set_irq(void *opaque, int n, bool level)
{
    line_set(((Ppc4xxPci *)opaque)->irqs[n], level);
}

static bool bridge_realize(Device *dev, GError **error)
{
    static const PciInfo info = { .vendor = 0x1014, .device = 0x027f, .class_rev = 0x068000 << 8 };

    pci_device_init((PciDevice *)dev, &info);
    return true;
}

static const Prop bridge_props[] = {
    PCI_PROPS(Ppc4xxPci),
    { 0 },
};

const DeviceType ppc4xx_pci_type = {
    .name = "ppc4xx-host-bridge",
    .about = "PCI host of the 440EP",
    .bus = "pci",
    .size = sizeof(Ppc4xxPci),
    .state_at = offsetof(Ppc4xxPci, s),
    .state = Ppc4xxPciState_fields,
    .props = bridge_props,
    .realize = bridge_realize,
    .update = bridge_update,
};

PciBus *ppc4xx_pci_new(const char *name, Region *memory, Region *ports, GError **error)
{
    enum { BEHIND_ALL = -1 };
    Device *dev = device_new(&ppc4xx_pci_type, NULL);
    Ppc4xxPci *b = (Ppc4xxPci *)dev;
    PciBus *bus = pci_bus_new(name, dev, memory, ports, map_irq, set_irq, b, 4);

    b->pci.devfn = 0;
    b->config = region_new_io("pci-config", &config_ops, b, CONFIG_WINDOW);
    b->registers = region_new_io("pci-registers", &register_ops, b, REGISTERS_SIZE);
    b->io = region_new_alias("pci-io", ports, 0, IO_SIZE);
    region_add(memory_system_root(), CONFIG_ADDRESS, b->config);
    region_add(memory_system_root(), REGISTERS, b->registers);
    region_add(memory_system_root(), IO_WINDOW, b->io);
    for (int n = 0; n < MAPS; n++) {
        b->windows[n] = region_new_alias("pci-window", memory, 0, GUEST_PAGE_SIZE);
        region_set_enabled(b->windows[n], false);
        region_add_overlap(memory_system_root(), 0, b->windows[n], BEHIND_ALL);
    }
    return device_realize(dev, pci_bus_bus(bus), error) ? bus : NULL;
}

void ppc4xx_pci_connect(PciBus *bus, Line *const irqs[4])
{
    Ppc4xxPci *b = (Ppc4xxPci *)pci_bus_bus(bus)->owner;

    for (int n = 0; n < 4; n++) {
        b->irqs[n] = irqs[n];
    }
}
