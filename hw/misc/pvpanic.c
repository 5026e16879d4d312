/*
 * pvpanic: a register where guests tell that they panicked, as an I/O port with an ACPI device, or behind a PCI BAR.
 *
 * Reads say which events are understood, writes report some: bit 0 a panic, bit 1 a panic after which the guest's crash
 * kernel runs. PCI: vendor 1b36h, device 0011h.
 */
#include "hw/isa/isa.h"
#include "hw/pci/pci.h"

#include "core/incident.h"
#include "util/error.h"

enum { PANICKED = 1, CRASHLOADED = 2, KNOWN_EVENTS = PANICKED | CRASHLOADED };

static bool check_events(const char *id, unsigned events, GError **error)
{
    if (events & ~KNOWN_EVENTS) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s': events=%u: 1 is a panic, 2 a crash kernel, 3 both", id, events);
    }
    return !(events & ~KNOWN_EVENTS);
}

static void report(uint8_t events)
{
    if (events & PANICKED) {
        incident_panicked();
    } else if (events & CRASHLOADED) {
        incident_crashloaded();
    }
}

/* ---- ISA ---- */

typedef struct IsaPvpanic {
    IsaDevice isa;
    uint8_t events;
    Region *port;
} IsaPvpanic;

static uint64_t isa_read(void *opaque, PhysAddr offset, unsigned size)
{
    return ((IsaPvpanic *)opaque)->events;
}

static void isa_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    report(value & ((IsaPvpanic *)opaque)->events);
}

static const RegionOps isa_ops = { isa_read, isa_write, 1, 1, ENDIAN_LITTLE, false };

static bool isa_realize(Device *dev, GError **error)
{
    IsaPvpanic *s = (IsaPvpanic *)dev;

    if (!check_events(dev->id, s->events, error)) {
        return false;
    }
    s->port = region_new_io("pvpanic", &isa_ops, s, 1);
    isa_add_ports(s->port, s->isa.iobase);
    return true;
}

static const Prop isa_props[] = {
    PROP(IsaPvpanic, isa.iobase, "ioport", PROP_U32, "0x505", "its port"),
    PROP(IsaPvpanic, events, "events", PROP_U8, "3", "1 panic, 2 crash kernel started"),
    { 0 },
};

const DeviceType pvpanic_type = {
    .name = "pvpanic", .about = "the guest tells of panics, ISA", .bus = ISA_BUS, .user = true, .size = sizeof(IsaPvpanic),
    .props = isa_props, .realize = isa_realize,
};

/* ---- PCI ---- */

typedef struct PciPvpanic {
    PciDevice pci;
    uint8_t events;
    Region *bar;
} PciPvpanic;

static uint64_t pci_read(void *opaque, PhysAddr offset, unsigned size)
{
    return offset == 0 ? ((PciPvpanic *)opaque)->events : 0;
}

static void pci_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    if (offset == 0) {
        report(value & ((PciPvpanic *)opaque)->events);
    }
}

static const RegionOps pci_ops = { pci_read, pci_write, 1, 1, ENDIAN_LITTLE, false };

static bool pci_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x1b36, .device = 0x0011, .class_rev = 0x088000 << 8 | 1, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
    };
    PciPvpanic *s = (PciPvpanic *)dev;

    if (!check_events(dev->id, s->events, error)) {
        return false;
    }
    pci_device_init(&s->pci, &info);
    s->bar = region_new_io("pvpanic", &pci_ops, s, 16);
    pci_register_bar(&s->pci, 0, PCI_BAR_MEM32, s->bar);
    return true;
}

static void pci_unrealize(Device *dev)
{
    region_free(((PciPvpanic *)dev)->bar);
}

static const Prop pci_props[] = {
    PCI_PROPS(PciPvpanic),
    PROP(PciPvpanic, events, "events", PROP_U8, "3", "1 panic, 2 crash kernel started"),
    { 0 },
};

const DeviceType pvpanic_pci_type = {
    .name = "pvpanic-pci", .about = "the guest tells of panics, PCI", .bus = "pci", .user = true, .hotplug = true,
    .size = sizeof(PciPvpanic), .props = pci_props, .realize = pci_realize, .unrealize = pci_unrealize,
};
