/*
 * The LPC bridge of the ICH9: PCI to ISA, interrupt routing, chip set registers, where power management is.
 *
 * Intel I/O Controller Hub 9 Family data sheet (order 316972), chapters 10 and 13.
 */
#include "hw/isa/ich9.h"

#include "core/machine.h"
#include "hw/acpi/ich9_pm.h"
#include "util/bits.h"

#include <string.h>

enum {
    REG_PMBASE = 0x40, REG_ACPI_CNTL = 0x44, REG_GPIOBASE = 0x48, REG_GPIO_CNTL = 0x4c, REG_PIRQ = 0x60, REG_PIRQ2 = 0x68,
    REG_GEN_PMCON1 = 0xa0, REG_BIOS_CNTL = 0xdc, REG_RCBA = 0xf0,
};
enum { ACPI_ENABLE = 0x80, PIRQ_OFF = 0x80, SMI_LOCK = 0x10, RCBA_ENABLE = 1 };
enum { RESET_FULL = 0x0a, RESET_NOW = 0x04 };
/* Chip set registers (10.1), at RCBA. */
enum { RCRB_SIZE = 0x4000, RCRB_ROUTES = 0x3140, RCRB_HPET = 0x3404, RCRB_GCS = 0x3410, RCRB_DISABLE = 0x3418 };
enum { HPET_ON = 0x80, GCS_NO_REBOOT = 1 << 5, PIRQS = 8, FIRST_OWN_SLOT = 25, ROUTES = 10 };
#define PLAIN_ROUTE 0x3210 /* pins A to D to PIRQ A to D */

#define ICH9_STATE(FIELD, ARRAY)            \
    ARRAY(bool, pirq, PIRQS, false)         \
    FIELD(uint8_t, reset_control, 0)        \
    ARRAY(uint16_t, routes, ROUTES, PLAIN_ROUTE) /* of device 31, 30, 29, 28, 27, none, 26, none, 25 */ \
    FIELD(uint32_t, hpet, HPET_ON)          \
    FIELD(uint32_t, gcs, 0)                 \
    FIELD(uint32_t, disable, 0)

DEFINE_STATE(Ich9State, ICH9_STATE);

typedef struct Ich9 {
    PciDevice pci;
    Ich9State s;
    Line *irqs[16], *apic[PIRQS];
    Region *memory, *rcrb;
    Device *pm, *tco;
} Ich9;

static Ich9 *the_bridge; /* for the map of interrupts: a machine has one */

static unsigned route_register(int pirq)
{
    return pirq < 4 ? REG_PIRQ + pirq : REG_PIRQ2 + pirq - 4;
}

/* Several PIRQs may share an ISA input: it is high while any of them is. */
static void update_irqs(Ich9 *ich)
{
    uint16_t high = 0, routed = 0;

    for (int n = 0; n < PIRQS; n++) {
        uint8_t route = ich->pci.config[route_register(n)];

        if (!(route & PIRQ_OFF)) {
            routed |= 1 << (route & 15);
            high |= ich->s.pirq[n] << (route & 15);
        }
        line_set(ich->apic[n], ich->s.pirq[n]);
    }
    for (int irq = 3; irq < 16; irq++) {
        if (routed >> irq & 1) {
            line_set(ich->irqs[irq], high >> irq & 1);
        }
    }
}

static void ich9_update(Device *dev)
{
    Ich9 *ich = (Ich9 *)dev;
    const uint8_t *c = ich->pci.config;
    uint32_t rcba = load_le32(c + REG_RCBA);

    update_irqs(ich);
    ich9_pm_place(ich->pm, c[REG_ACPI_CNTL] & ACPI_ENABLE ? load_le16(c + REG_PMBASE) & 0xff80 : 0);
    ich9_pm_lock_smi(ich->pm, c[REG_GEN_PMCON1] & SMI_LOCK);
    ich9_tco_set_reboot(ich->tco, !(ich->s.gcs & GCS_NO_REBOOT));
    memory_begin();
    region_set_offset(ich->rcrb, rcba & -RCRB_SIZE);
    region_set_enabled(ich->rcrb, rcba & RCBA_ENABLE);
    memory_commit();
}

void ich9_set_pirq(void *opaque, int n, bool level)
{
    Ich9 *ich = opaque;

    ich->s.pirq[n] = level;
    update_irqs(ich);
}

int ich9_map_irq(PciDevice *pci, int pin)
{
    int slot = PCI_SLOT(pci->devfn);

    if (slot < FIRST_OWN_SLOT) {
        return 4 + ((slot + pin) & 3);
    }
    slot = 31 - slot; /* 10.1.47 and on: the registers are not quite in a row */
    return the_bridge->s.routes[slot < 5 ? slot : slot == 5 ? 6 : 8] >> pin * 4 & 7;
}

/* ---- chip set registers ---- */

static uint64_t rcrb_read(void *opaque, PhysAddr offset, unsigned size)
{
    const Ich9State *s = &((Ich9 *)opaque)->s;

    switch (offset) {
    case RCRB_ROUTES ... RCRB_ROUTES + 2 * ROUTES - 1:
        return s->routes[(offset - RCRB_ROUTES) / 2] |
               (uint32_t)(offset % 4 ? 0 : s->routes[(offset - RCRB_ROUTES) / 2 + 1]) << 16;
    case RCRB_HPET:
        return s->hpet;
    case RCRB_GCS:
        return s->gcs;
    case RCRB_DISABLE:
        return s->disable;
    default:
        return 0;
    }
}

static void write_route(Ich9 *ich, unsigned n, uint16_t value)
{
    ich->s.routes[n] = value & 0x7777;
    pci_bus_update_irqs(ich->pci.bus);
}

static void rcrb_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Ich9 *ich = opaque;
    unsigned n = (offset - RCRB_ROUTES) / 2;

    switch (offset) {
    case RCRB_ROUTES ... RCRB_ROUTES + 2 * ROUTES - 1:
        write_route(ich, n, value);
        if (size == 4 && n + 1 < ROUTES) {
            write_route(ich, n + 1, value >> 16);
        }
        break;
    case RCRB_HPET:
        ich->s.hpet = value & (HPET_ON | 3);
        break;
    case RCRB_GCS:
        ich->s.gcs = value & (0xc00 | GCS_NO_REBOOT);
        ich9_tco_set_reboot(ich->tco, !(value & GCS_NO_REBOOT));
        break;
    case RCRB_DISABLE:
        ich->s.disable = value;
        break;
    }
}

static const RegionOps rcrb_ops = { rcrb_read, rcrb_write, 2, 4, ENDIAN_LITTLE };

/* ---- the function ---- */

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    Ich9 *ich = (Ich9 *)pci;

    if (pci->config[REG_GEN_PMCON1] & SMI_LOCK) { /* until reset */
        pci->writable[REG_GEN_PMCON1] &= ~SMI_LOCK;
    }
    for (int irq = 3; irq < 16; irq++) { /* inputs that lose their route fall */
        if (irq != 8 && irq != 13 && offset < REG_PIRQ2 + 4 && offset + size > REG_PIRQ) {
            line_set(ich->irqs[irq], false);
        }
    }
    ich9_update(&pci->dev);
}

void ich9_connect(Device *dev, Line *const irqs[16], Line *const apic[8], Region *memory, Device *pm, Device *tco)
{
    Ich9 *ich = (Ich9 *)dev;

    for (int i = 0; i < 16; i++) {
        ich->irqs[i] = irqs[i];
    }
    for (int i = 0; i < PIRQS; i++) {
        ich->apic[i] = apic ? apic[i] : NULL;
    }
    ich->memory = memory;
    ich->pm = pm;
    ich->tco = tco;
}

/* CF9h: bit 2 going up resets (13.7.5). */
uint8_t ich9_read_reset(Device *dev)
{
    return ((Ich9 *)dev)->s.reset_control;
}

void ich9_write_reset(Device *dev, uint8_t value)
{
    if (value & RESET_NOW) {
        machine_request_reset(SHUTDOWN_GUEST);
        return;
    }
    ((Ich9 *)dev)->s.reset_control = value & RESET_FULL;
}

static bool ich9_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x8086, .device = 0x2918, .class_rev = 0x060100 << 8 | 0x02,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
    };
    Ich9 *ich = (Ich9 *)dev;
    PciDevice *pci = &ich->pci;

    pci->multifunction = true; /* SATA and SMBus share the slot */
    pci_device_init(pci, &info);
    store_le16(pci->config + 0x04, 0x0007);
    store_le16(pci->writable + 0x04, 0x0140);
    store_le16(pci->config + 0x06, 0x0200);
    store_le32(pci->config + REG_PMBASE, 1);
    store_le32(pci->writable + REG_PMBASE, 0xff80);
    pci->writable[REG_ACPI_CNTL] = ACPI_ENABLE;
    store_le32(pci->config + REG_GPIOBASE, 1);
    for (int n = 0; n < PIRQS; n++) {
        pci->writable[route_register(n)] = 0x8f;
    }
    memset(pci->writable + 0x80, 0xff, 0x14); /* what is decoded to LPC */
    store_le16(pci->writable + REG_GEN_PMCON1, 0x16ff);
    memset(pci->writable + 0xa4, 0xff, 4);
    memset(pci->writable + 0xd0, 0xff, 12); /* which flash is where */
    pci->writable[REG_BIOS_CNTL] = 0x1f;
    store_le32(pci->writable + REG_RCBA, -(uint32_t)RCRB_SIZE | RCBA_ENABLE);
    pci->config_written = config_written;
    ich->rcrb = region_new_io("ich9-rcrb", &rcrb_ops, ich, RCRB_SIZE);
    region_set_enabled(ich->rcrb, false);
    region_add_overlap(ich->memory, 0, ich->rcrb, 1);
    the_bridge = ich;
    return true;
}

static void ich9_reset(Device *dev)
{
    PciDevice *pci = (PciDevice *)dev;

    store_le16(pci->config + 0x04, 0x0007);
    store_le32(pci->config + REG_PMBASE, 1);
    pci->config[REG_ACPI_CNTL] = 0;
    for (int n = 0; n < PIRQS; n++) {
        pci->config[route_register(n)] = PIRQ_OFF;
    }
    store_le16(pci->config + REG_GEN_PMCON1, 0);
    pci->writable[REG_GEN_PMCON1] |= SMI_LOCK;
    store_le32(pci->config + REG_RCBA, 0);
}

static const Prop ich9_props[] = {
    PCI_PROPS(Ich9),
    { 0 },
};

const DeviceType ich9_lpc_type = {
    .name = "ICH9-LPC",
    .about = "Intel ICH9 LPC bridge",
    .bus = "pci",
    .size = sizeof(Ich9),
    .state_at = offsetof(Ich9, s),
    .state = Ich9State_fields,
    .props = ich9_props,
    .realize = ich9_realize,
    .reset = ich9_reset,
    .update = ich9_update,
};
