/*
 * Grackle, the MPC106: PCI host of OldWorld Macintoshes.
 *
 * Motorola MPC106 PCI Bridge/Memory Controller User's Manual, address map B: configuration address at FEC00000,
 * data at FEE00000, both little-endian.
 */
#include "hw/pci/grackle.h"

#define CONFIG_ADDRESS 0xfec00000
#define CONFIG_DATA    0xfee00000
enum { CONFIG_WINDOW = 0x1000 };

#define GRACKLE_STATE(FIELD, ARRAY) FIELD(uint32_t, address, 0)

DEFINE_STATE(GrackleState, GRACKLE_STATE);

typedef struct Grackle {
    PciDevice pci;
    GrackleState s;
    Region *config_address, *config_data;
    Line *irqs[4];
} Grackle;

static uint64_t data_read(void *opaque, PhysAddr offset, unsigned size)
{
    Grackle *g = opaque;
    uint32_t a = g->s.address;

    if (!(a & 0x80000000)) {
        return UINT64_MAX;
    }
    return pci_config_read(g->pci.bus, a >> 16, a >> 8 & 0xff, (a & 0xfc) + (offset & 3), size);
}

static void data_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Grackle *g = opaque;
    uint32_t a = g->s.address;

    if (a & 0x80000000) {
        pci_config_write(g->pci.bus, a >> 16, a >> 8 & 0xff, (a & 0xfc) + (offset & 3), value, size);
    }
}

static uint64_t address_read(void *opaque, PhysAddr offset, unsigned size)
{
    return offset == 0 ? ((Grackle *)opaque)->s.address : 0;
}

static void address_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    if (offset == 0) {
        ((Grackle *)opaque)->s.address = value & 0x80fffffc;
    }
}

static const RegionOps address_ops = { address_read, address_write, 4, 4, ENDIAN_LITTLE };
static const RegionOps data_ops = { data_read, data_write, 1, 4, ENDIAN_LITTLE };

static int map_irq(PciDevice *pci, int pin)
{
    return (PCI_SLOT(pci->devfn) + pin) & 3;
}

static void set_irq(void *opaque, int n, bool level)
{
    line_set(((Grackle *)opaque)->irqs[n], level);
}

static bool grackle_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x1057, .device = 0x0002, .class_rev = 0x060000 << 8, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
    };
    PciDevice *pci = (PciDevice *)dev;

    pci_device_init(pci, &info);
    for (int i = 0x70; i < PCI_CONFIG_SIZE; i++) { /* memory and processor interface: kept, without effect */
        pci->writable[i] = 0xff;
    }
    return true;
}

static const Prop grackle_props[] = {
    PCI_PROPS(Grackle),
    { 0 },
};

const DeviceType grackle_type = {
    .name = "grackle",
    .about = "Grackle PCI host",
    .bus = "pci",
    .size = sizeof(Grackle),
    .state_at = offsetof(Grackle, s),
    .state = GrackleState_fields,
    .props = grackle_props,
    .realize = grackle_realize,
};

PciBus *grackle_new(const char *name, Region *memory, Region *ports, GError **error)
{
    Device *dev = device_new(&grackle_type, NULL);
    Grackle *g = (Grackle *)dev;
    PciBus *bus = pci_bus_new(name, dev, memory, ports, map_irq, set_irq, g, 4);

    g->pci.devfn = 0;
    g->config_address = region_new_io("pci-config-address", &address_ops, g, CONFIG_WINDOW);
    g->config_data = region_new_io("pci-config-data", &data_ops, g, CONFIG_WINDOW);
    region_add(memory_system_root(), CONFIG_ADDRESS, g->config_address);
    region_add(memory_system_root(), CONFIG_DATA, g->config_data);
    return device_realize(dev, pci_bus_bus(bus), error) ? bus : NULL;
}

void grackle_connect(PciBus *bus, Line *const irqs[4])
{
    Grackle *g = (Grackle *)pci_bus_bus(bus)->owner;

    for (int n = 0; n < 4; n++) {
        g->irqs[n] = irqs[n];
    }
}
