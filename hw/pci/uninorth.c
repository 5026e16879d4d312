/*
 * UniNorth and U3: PCI hosts of NewWorld Macintoshes, and the controller's own registers.
 *
 * A configuration address names its slot by a bit of its own (11 to 30) on the host's bus, or, with bit 0 set, by number
 * on a bus behind bridges. The sources of Linux (arch/powerpc/platforms/powermac/pci.c) tell of both forms. With bit 31
 * set it has the form of configuration mechanism 1, which is what OpenBIOS writes.
 */
#include "hw/pci/uninorth.h"

#include "util/log.h"

enum { CONFIG_ADDRESS = 0x800000, CONFIG_DATA = 0xc00000, CONFIG_WINDOW = 0x1000 };
enum { ADDRESS_TYPE_1 = 1, FIRST_SLOT = 11 };
#define ADDRESS_MECHANISM_1 0x80000000u
enum { REGISTERS = 64, REG_VERSION = 0, VERSION = 7 };

#define UNINORTH_PCI_STATE(FIELD, ARRAY) FIELD(uint32_t, address, 0)

DEFINE_STATE(UninorthPciState, UNINORTH_PCI_STATE);

typedef struct UninorthPci {
    PciDevice pci;
    UninorthPciState s;
    Region *config_address, *config_data;
    Line *irqs[4];
} UninorthPci;

/* ---- configuration ---- */

typedef struct Target {
    uint8_t bus;
    int devfn; /* -1: the address names nobody */
} Target;

static Target target(uint32_t address)
{
    uint32_t slots = address >> FIRST_SLOT;

    if (address & (ADDRESS_TYPE_1 | ADDRESS_MECHANISM_1)) {
        return (Target){ address >> 16, address >> 8 & 0xff };
    }
    if (!slots) {
        return (Target){ 0, -1 };
    }
    return (Target){ 0, PCI_DEVFN(FIRST_SLOT + __builtin_ctz(slots), address >> 8 & 7) };
}

/* The data register is as wide as the bus, so its own place says which half; mechanism 1 knows 32 bits only. */
static unsigned config_offset(const UninorthPci *host, PhysAddr offset)
{
    uint32_t address = host->s.address;

    return address & ADDRESS_MECHANISM_1 ? (address & 0xfc) | (offset & 3) : (address & 0xf8) | (offset & 7);
}

static uint64_t data_read(void *opaque, PhysAddr offset, unsigned size)
{
    UninorthPci *host = opaque;
    Target t = target(host->s.address);

    if (t.devfn < 0) {
        return UINT64_MAX;
    }
    return pci_config_read(host->pci.bus, t.bus, t.devfn, config_offset(host, offset), size);
}

static void data_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    UninorthPci *host = opaque;
    Target t = target(host->s.address);

    if (t.devfn >= 0) {
        pci_config_write(host->pci.bus, t.bus, t.devfn, config_offset(host, offset), value, size);
    }
}

static uint64_t address_read(void *opaque, PhysAddr offset, unsigned size)
{
    return offset == 0 ? ((UninorthPci *)opaque)->s.address : 0;
}

static void address_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    if (offset == 0) {
        trace("uninorth_address", "%08x", (unsigned)value);
        ((UninorthPci *)opaque)->s.address = value;
    }
}

static const RegionOps address_ops = { address_read, address_write, 4, 4, ENDIAN_LITTLE };
static const RegionOps data_ops = { data_read, data_write, 1, 4, ENDIAN_LITTLE };

/* ---- the hosts ---- */

static int map_irq(PciDevice *pci, int pin)
{
    return (PCI_SLOT(pci->devfn) + pin) & 3;
}

static void set_irq(void *opaque, int n, bool level)
{
    line_set(((UninorthPci *)opaque)->irqs[n], level);
}

static bool uninorth_pci_realize(Device *dev, GError **error)
{
    static const PciInfo infos[] = {
        { .vendor = 0x106b, .device = 0x001f, .class_rev = 0x060000 << 8, .subsystem_vendor = 0x1af4, .subsystem = 0x1100 },
        { .vendor = 0x106b, .device = 0x001e, .class_rev = 0x060000 << 8, .subsystem_vendor = 0x1af4, .subsystem = 0x1100 },
        { .vendor = 0x106b, .device = 0x0020, .class_rev = 0x060000 << 8, .subsystem_vendor = 0x1af4, .subsystem = 0x1100 },
        { .vendor = 0x106b, .device = 0x004b, .class_rev = 0x060000 << 8, .subsystem_vendor = 0x1af4, .subsystem = 0x1100 },
    };
    const DeviceType *const types[] = { &uninorth_pci_type, &uninorth_internal_type, &uninorth_agp_type, &u3_agp_type };
    PciDevice *pci = (PciDevice *)dev;

    for (unsigned i = 0; i < G_N_ELEMENTS(infos); i++) {
        if (dev->type == types[i]) {
            pci_device_init(pci, &infos[i]);
        }
    }
    pci->config[0x0c] = 0x08; /* cache line size */
    pci->config[0x0d] = 0x10; /* latency timer */
    pci->writable[0x0c] = pci->writable[0x0d] = 0;
    return true;
}

static const Prop uninorth_pci_props[] = {
    PCI_PROPS(UninorthPci),
    { 0 },
};

#define HOST_TYPE(symbol, spelling, text)          \
    const DeviceType symbol = {                    \
        .name = spelling,                          \
        .about = text,                             \
        .bus = "pci",                              \
        .size = sizeof(UninorthPci),               \
        .state_at = offsetof(UninorthPci, s),      \
        .state = UninorthPciState_fields,          \
        .props = uninorth_pci_props,               \
        .realize = uninorth_pci_realize,           \
    }

HOST_TYPE(uninorth_pci_type, "uni-north-pci", "UniNorth PCI host");
HOST_TYPE(uninorth_internal_type, "uni-north-internal-pci", "UniNorth host of the internal PCI bus");
HOST_TYPE(uninorth_agp_type, "uni-north-agp", "UniNorth AGP host");
HOST_TYPE(u3_agp_type, "u3-agp", "U3 AGP host");

PciBus *uninorth_pci_new(const DeviceType *type, const char *name, PhysAddr base, Region *memory, Region *ports,
                         GError **error)
{
    Device *dev = device_new(type, NULL);
    UninorthPci *host = (UninorthPci *)dev;
    PciBus *bus = pci_bus_new(name, dev, memory, ports, map_irq, set_irq, host, 4);

    pci_bus_set_first_slot(bus, FIRST_SLOT);
    host->pci.devfn = PCI_DEVFN(type == &uninorth_internal_type ? 0x0e : 0x0b, 0);
    host->config_address = region_new_io("pci-config-address", &address_ops, host, CONFIG_WINDOW);
    host->config_data = region_new_io("pci-config-data", &data_ops, host, CONFIG_WINDOW);
    region_add(memory_system_root(), base + CONFIG_ADDRESS, host->config_address);
    region_add(memory_system_root(), base + CONFIG_DATA, host->config_data);
    return device_realize(dev, pci_bus_bus(bus), error) ? bus : NULL;
}

void uninorth_pci_connect(PciBus *bus, Line *const irqs[4])
{
    UninorthPci *host = (UninorthPci *)pci_bus_bus(bus)->owner;

    for (int n = 0; n < 4; n++) {
        host->irqs[n] = irqs[n];
    }
}

/* ---- the controller's own registers: kept, without effect ---- */

#define UNINORTH_STATE(FIELD, ARRAY) ARRAY(uint32_t, reg, REGISTERS, 0)

DEFINE_STATE(UninorthState, UNINORTH_STATE);

typedef struct Uninorth {
    Device dev;
    UninorthState s;
    Region *region;
} Uninorth;

/* A register each 16 bytes. */
static uint64_t uninorth_read(void *opaque, PhysAddr offset, unsigned size)
{
    if (offset == REG_VERSION) {
        return VERSION;
    }
    return offset & 15 ? 0 : ((Uninorth *)opaque)->s.reg[offset >> 4 & (REGISTERS - 1)];
}

static void uninorth_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    trace("uninorth_write", "[%03x] = %08x", (unsigned)offset, (unsigned)value);
    if (!(offset & 15)) {
        ((Uninorth *)opaque)->s.reg[offset >> 4 & (REGISTERS - 1)] = value;
    }
}

static const RegionOps uninorth_ops = { uninorth_read, uninorth_write, 4, 4, ENDIAN_BIG };

Region *uninorth_region(Device *dev)
{
    return ((Uninorth *)dev)->region;
}

static bool uninorth_realize(Device *dev, GError **error)
{
    ((Uninorth *)dev)->region = region_new_io("uni-north", &uninorth_ops, dev, UNINORTH_WINDOW);
    return true;
}

const DeviceType uninorth_type = {
    .name = "uni-north",
    .about = "UniNorth system controller",
    .bus = "system",
    .size = sizeof(Uninorth),
    .state_at = offsetof(Uninorth, s),
    .state = UninorthState_fields,
    .realize = uninorth_realize,
};
