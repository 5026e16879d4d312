/*
 * PIIX4 power management function: ACPI registers, PM timer, power button, soft off, SMBus host.
 *
 * Intel 82371AB (PIIX4) data sheet (order 290562), chapters 7 and 11; ACPI 6 chapter 4.8.
 */
#include "hw/acpi/piix4_pm.h"

#include "core/machine.h"
#include "hw/acpi/pci_hotplug.h"
#include "hw/acpi/pm.h"
#include "hw/pci/pci.h"
#include "util/bits.h"

enum { REG_PMBA = 0x40, REG_DEVACTB = 0x58, REG_PMREGMISC = 0x80, REG_SMBBA = 0x90, REG_SMBHSTCFG = 0xd2 };
enum { PM_SIZE = 64, PM_GLBSTS = 0x18, PM_GLBCTL = 0x28, GLB_APM = 1 << 5, GLB_SMI_ENABLE = 1 << 0, GLB_WRITABLE = 0x0f };
#define DEVACTB_APM 0x02000000

#define PIIX4_PM_STATE(FIELD, ARRAY)                                    \
    FIELD(uint16_t, pm1_status, 0)                                      \
    FIELD(uint16_t, pm1_enable, 0)                                      \
    FIELD(uint16_t, pm1_control, 0)                                     \
    FIELD(uint8_t, apm_control, 0)                                      \
    FIELD(uint8_t, apm_status, 0)                                       \
    FIELD(uint16_t, global_status, 0)                                   \
    FIELD(uint8_t, global_control, 0)                                   \
    FIELD(uint16_t, gpe_status, 0)                                      \
    FIELD(uint16_t, gpe_enable, 0)                                      \
    FIELD(uint32_t, slots_up, 0) /* PCI hot-plug */                     \
    FIELD(uint32_t, slots_down, 0)                                      \
    ARRAY(uint8_t, smb, 16, 0)                                          \
    FIELD(int64_t, overflow_at, 0) /* when bit 23 of the timer changes next */

DEFINE_STATE(Piix4PmState, PIIX4_PM_STATE);

typedef struct Piix4Pm {
    PciDevice pci;
    Piix4PmState s;
    Line *sci;
    AcpiPm1 pm1;
    AcpiApm apm;
    Region *pm, *smb, *gpe;
    PciHotplug hotplug;
} Piix4Pm;

static void map(Region *region, uint16_t base, bool on)
{
    if (on && base) {
        region_set_offset(region, base);
    }
    region_set_enabled(region, on && base);
}

static void update_map(Piix4Pm *pm)
{
    const uint8_t *c = pm->pci.config;

    memory_begin();
    map(pm->pm, load_le16(c + REG_PMBA) & 0xffc0, c[REG_PMREGMISC] & 1);
    map(pm->smb, load_le16(c + REG_SMBBA) & 0xfff0, c[REG_SMBHSTCFG] & 1);
    memory_commit();
}

static void piix4_pm_update(Device *dev)
{
    Piix4Pm *pm = (Piix4Pm *)dev;

    line_set(pm->sci, acpi_pm1_update(&pm->pm1, pm->s.gpe_status & pm->s.gpe_enable));
}

static void pm1_changed(void *opaque)
{
    piix4_pm_update(opaque);
}

/* ---- the block of power management ports ---- */

static uint64_t pm_read(void *opaque, PhysAddr offset, unsigned size)
{
    Piix4Pm *pm = opaque;

    switch (offset) {
    case PM_GLBSTS:
        return pm->s.global_status;
    case PM_GLBCTL:
        return pm->s.global_control;
    default:
        return acpi_pm1_read(&pm->pm1, offset, size);
    }
}

static void pm_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Piix4Pm *pm = opaque;

    switch (offset) {
    case PM_GLBSTS:
        pm->s.global_status &= ~value;
        break;
    case PM_GLBCTL:
        pm->s.global_control = value & GLB_WRITABLE;
        break;
    default:
        acpi_pm1_write(&pm->pm1, offset, value, size);
    }
}

static const RegionOps pm_ops = { pm_read, pm_write, 1, 4, ENDIAN_LITTLE };

/* 11.1.1 and 7.2: a command to port B2h, if the device monitor for it and SMIs as such are on. */
static void apm_written(void *opaque)
{
    Piix4Pm *pm = opaque;

    if (load_le32(pm->pci.config + REG_DEVACTB) & DEVACTB_APM) {
        pm->s.global_status |= GLB_APM;
        if (pm->s.global_control & GLB_SMI_ENABLE) {
            acpi_raise_smi();
        }
    }
}

static void slots_changed(void *opaque)
{
    Piix4Pm *pm = opaque;

    pm->s.gpe_status |= 1 << PCI_HOTPLUG_GPE;
    piix4_pm_update(&pm->pci.dev);
}

/* General-purpose events: two status bytes, two enable bytes. */
static uint64_t gpe_read(void *opaque, PhysAddr offset, unsigned size)
{
    Piix4PmState *s = &((Piix4Pm *)opaque)->s;

    return (s->gpe_status | (uint32_t)s->gpe_enable << 16) >> offset * 8;
}

static void gpe_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Piix4Pm *pm = opaque;
    unsigned shift = (offset & 1) * 8;

    if (offset < 2) {
        pm->s.gpe_status &= ~((value & 0xff) << shift);
    } else {
        pm->s.gpe_enable = (pm->s.gpe_enable & ~(0xff << shift)) | (value & 0xff) << shift;
    }
    piix4_pm_update(&pm->pci.dev);
}

static const RegionOps gpe_ops = { gpe_read, gpe_write, 1, 1, ENDIAN_LITTLE };

/* ---- SMBus ---- */

static uint64_t smb_read(void *opaque, PhysAddr offset, unsigned size)
{
    return smbus_read(((Piix4Pm *)opaque)->s.smb, offset);
}

static void smb_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    smbus_write(((Piix4Pm *)opaque)->s.smb, offset, value);
}

static const RegionOps smb_ops = { smb_read, smb_write, 1, 1, ENDIAN_LITTLE };

/* ---- the function ---- */

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    update_map((Piix4Pm *)pci);
}

void piix4_pm_connect(Device *dev, Line *sci)
{
    ((Piix4Pm *)dev)->sci = sci;
}

uint16_t piix4_pm_base(Device *dev)
{
    const uint8_t *c = ((Piix4Pm *)dev)->pci.config;
    uint16_t base = load_le16(c + REG_PMBA) & 0xffc0;

    return (c[REG_PMREGMISC] & 1) && base ? base : PIIX4_PM_BASE;
}

static Region *place(Region *ports, const char *name, const RegionOps *ops, Piix4Pm *pm, PhysAddr at,
                     uint64_t size, bool enabled)
{
    Region *region = region_new_io(name, ops, pm, size);

    region_set_enabled(region, enabled);
    region_add_overlap(ports, at, region, 1);
    return region;
}

static void machine_resets(void *opaque)
{
    pci_hotplug_reset(&((Piix4Pm *)opaque)->hotplug);
}

static bool piix4_pm_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x8086, .device = 0x7113, .class_rev = 0x068000 << 8 | 0x03,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .interrupt_pin = 1,
    };
    Piix4Pm *pm = (Piix4Pm *)dev;
    PciDevice *pci = &pm->pci;
    Region *ports = pci_bus_ports(pci->bus);

    pci_device_init(pci, &info);
    pci->config[0x07] = 0x02;
    store_le32(pci->config + REG_PMBA, 1);
    store_le32(pci->writable + REG_PMBA, 0xffc0);
    store_le32(pci->config + REG_SMBBA, 1);
    store_le32(pci->writable + REG_SMBBA, 0xfff0);
    pci->writable[REG_PMREGMISC] = 0x0f;
    pci->writable[REG_SMBHSTCFG] = 0x0f;
    for (int i = 0x44; i < 0x80; i++) {
        pci->writable[i] = 0xff; /* timers, device monitors */
    }
    pci->config_written = config_written;
    pm->pm = place(ports, "piix4-pm", &pm_ops, pm, PIIX4_PM_BASE, PM_SIZE, false);
    pm->smb = place(ports, "piix4-smb", &smb_ops, pm, PIIX4_SMB_BASE, 16, false);
    pm->gpe = place(ports, "piix4-gpe", &gpe_ops, pm, PIIX4_GPE_BASE, PIIX4_GPE_LENGTH, true);
    pm->pm1 = (AcpiPm1){ .status = &pm->s.pm1_status, .enable = &pm->s.pm1_enable, .control = &pm->s.pm1_control,
                         .overflow_at = &pm->s.overflow_at, .changed = pm1_changed, .opaque = pm };
    acpi_pm1_init(&pm->pm1);
    pm->apm = (AcpiApm){ .control = &pm->s.apm_control, .status = &pm->s.apm_status, .pm1 = &pm->pm1,
                         .written = apm_written, .opaque = pm };
    acpi_apm_init(&pm->apm, ports);
    pm->hotplug = (PciHotplug){ .up = &pm->s.slots_up, .down = &pm->s.slots_down, .event = slots_changed, .opaque = pm };
    pci_hotplug_init(&pm->hotplug, pci->bus);
    machine_on_reset(machine_resets, pm);
    return true;
}

static void piix4_pm_reset(Device *dev)
{
    Piix4Pm *pm = (Piix4Pm *)dev;
    uint8_t *c = pm->pci.config;

    store_le32(c + REG_PMBA, 1);
    store_le32(c + REG_SMBBA, 1);
    c[REG_PMREGMISC] = c[REG_SMBHSTCFG] = 0;
    /* Without SMM APMC_EN reads as set, so that firmware takes it as prepared and does not wait for an SMI. */
    store_le32(c + REG_DEVACTB, machine_config.smm ? 0 : DEVACTB_APM);
    update_map(pm);
}

static bool piix4_pm_loaded(Device *dev, GError **error)
{
    update_map((Piix4Pm *)dev);
    return true;
}

static const Prop piix4_pm_props[] = {
    PCI_PROPS(Piix4Pm),
    { 0 },
};

const DeviceType piix4_pm_type = {
    .name = "PIIX4_PM",
    .about = "Intel PIIX4 power management",
    .bus = "pci",
    .size = sizeof(Piix4Pm),
    .state_at = offsetof(Piix4Pm, s),
    .state = Piix4PmState_fields,
    .props = piix4_pm_props,
    .realize = piix4_pm_realize,
    .reset = piix4_pm_reset,
    .post_load = piix4_pm_loaded,
    .update = piix4_pm_update,
};
