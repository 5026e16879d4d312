/*
 * PIIX4 power management function: ACPI registers, PM timer, power button, soft off, SMBus host.
 *
 * Intel 82371AB (PIIX4) data sheet (order 290562), chapters 7 and 11; ACPI 6 chapter 4.8.
 */
#include "hw/acpi/piix4_pm.h"

#include "core/clock.h"
#include "core/machine.h"
#include "hw/acpi/pci_hotplug.h"
#include "hw/pci/pci.h"
#include "util/bits.h"
#include "util/log.h"

enum { STS_TIMER = 1 << 0, STS_POWER_BUTTON = 1 << 8, STS_RTC = 1 << 10, STS_WAKE = 1 << 15 };
enum { CNT_SCI_ENABLE = 1 << 0, CNT_SLEEP_SHIFT = 10, CNT_SLEEP_NOW = 1 << 13 };
enum { REG_PMBA = 0x40, REG_DEVACTB = 0x58, REG_PMREGMISC = 0x80, REG_SMBBA = 0x90, REG_SMBHSTCFG = 0xd2 };
#define PM_TIMER_HZ 3579545

#define PIIX4_PM_STATE(FIELD, ARRAY)                                    \
    FIELD(uint16_t, pm1_status, 0)                                      \
    FIELD(uint16_t, pm1_enable, 0)                                      \
    FIELD(uint16_t, pm1_control, 0)                                     \
    FIELD(uint8_t, apm_control, 0)                                      \
    FIELD(uint8_t, apm_status, 0)                                       \
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
    Timer *timer;
    Region *pm, *smb, *gpe, *apm;
    PciHotplug hotplug;
} Piix4Pm;

static uint64_t pm_ticks(void)
{
    return mul_div(clock_now(CLOCK_GUEST), PM_TIMER_HZ, NS_PER_SECOND);
}

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
    Piix4PmState *s = &pm->s;
    bool sci = (s->pm1_status & s->pm1_enable & (STS_TIMER | STS_POWER_BUTTON | STS_RTC)) ||
               (s->gpe_status & s->gpe_enable);

    line_set(pm->sci, sci && (s->pm1_control & CNT_SCI_ENABLE));
    if ((s->pm1_enable & STS_TIMER) && !(s->pm1_status & STS_TIMER)) {
        uint64_t next = (pm_ticks() | 0x7fffff) + 1;

        s->overflow_at = mul_div(next, NS_PER_SECOND, PM_TIMER_HZ) + 1;
        timer_set(pm->timer, s->overflow_at);
    } else {
        timer_cancel(pm->timer);
    }
}

static void timer_overflowed(void *opaque)
{
    Piix4Pm *pm = opaque;

    pm->s.pm1_status |= STS_TIMER;
    piix4_pm_update(&pm->pci.dev);
}

static void power_button(void *opaque)
{
    Piix4Pm *pm = opaque;

    pm->s.pm1_status |= STS_POWER_BUTTON;
    piix4_pm_update(&pm->pci.dev);
}

/* ---- the ACPI block ---- */

static uint64_t pm_read(void *opaque, PhysAddr offset, unsigned size)
{
    Piix4Pm *pm = opaque;
    Piix4PmState *s = &pm->s;
    uint64_t block = s->pm1_status | (uint64_t)s->pm1_enable << 16 | (uint64_t)s->pm1_control << 32;

    if (offset >= 8 && offset < 12) {
        return (pm_ticks() & 0xffffff) >> (offset - 8) * 8;
    }
    return offset < 8 ? block >> offset * 8 : 0;
}

static void write_control(Piix4Pm *pm, uint16_t value)
{
    pm->s.pm1_control = value & ~CNT_SLEEP_NOW;
    if (value & CNT_SLEEP_NOW) {
        unsigned type = value >> CNT_SLEEP_SHIFT & 7;

        if (type == PIIX4_SLEEP_S5) {
            machine_request_shutdown(SHUTDOWN_GUEST);
        } else {
            guest_error("piix4-pm", "sleep type %u is not offered", type);
        }
    }
}

static void pm_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Piix4Pm *pm = opaque;
    Piix4PmState *s = &pm->s;

    for (unsigned i = 0; i < size; i++) {
        uint16_t byte = value >> i * 8 & 0xff;

        switch (offset + i) {
        case 0:
            s->pm1_status &= ~byte;
            break;
        case 1:
            s->pm1_status &= ~(byte << 8);
            break;
        case 2:
            s->pm1_enable = (s->pm1_enable & 0xff00) | byte;
            break;
        case 3:
            s->pm1_enable = (s->pm1_enable & 0x00ff) | byte << 8;
            break;
        case 4:
            s->pm1_control = (s->pm1_control & 0xff00) | byte;
            break;
        case 5:
            write_control(pm, (s->pm1_control & 0x00ff) | byte << 8);
            break;
        }
    }
    piix4_pm_update(&pm->pci.dev);
}

static const RegionOps pm_ops = { pm_read, pm_write, 1, 4, ENDIAN_LITTLE };

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

/* B2h and B3h: software asks firmware for ACPI mode; here the chip itself answers. */
static uint64_t apm_read(void *opaque, PhysAddr offset, unsigned size)
{
    Piix4Pm *pm = opaque;

    return offset ? pm->s.apm_status : pm->s.apm_control;
}

static void apm_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Piix4Pm *pm = opaque;

    if (offset) {
        pm->s.apm_status = value;
        return;
    }
    pm->s.apm_control = value;
    if (value == PIIX4_ACPI_ENABLE) {
        pm->s.pm1_control |= CNT_SCI_ENABLE;
    } else if (value == PIIX4_ACPI_DISABLE) {
        pm->s.pm1_control &= ~CNT_SCI_ENABLE;
    }
    piix4_pm_update(&pm->pci.dev);
}

static const RegionOps apm_ops = { apm_read, apm_write, 1, 1, ENDIAN_LITTLE };

/* ---- SMBus: no slave answers on this board ---- */

enum { SMB_STATUS, SMB_CONTROL = 2, SMB_DEVICE_ERROR = 0x04, SMB_START = 0x40 };

static uint64_t smb_read(void *opaque, PhysAddr offset, unsigned size)
{
    return ((Piix4Pm *)opaque)->s.smb[offset & 15];
}

static void smb_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Piix4PmState *s = &((Piix4Pm *)opaque)->s;

    if (offset == SMB_STATUS) {
        s->smb[SMB_STATUS] &= ~value;
        return;
    }
    s->smb[offset & 15] = value;
    if (offset == SMB_CONTROL && (value & SMB_START)) {
        s->smb[SMB_CONTROL] &= ~SMB_START;
        s->smb[SMB_STATUS] = SMB_DEVICE_ERROR;
    }
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
    pm->pm = place(ports, "piix4-pm", &pm_ops, pm, PIIX4_PM_BASE, 64, false);
    pm->smb = place(ports, "piix4-smb", &smb_ops, pm, PIIX4_SMB_BASE, 16, false);
    pm->gpe = place(ports, "piix4-gpe", &gpe_ops, pm, PIIX4_GPE_BASE, PIIX4_GPE_LENGTH, true);
    pm->apm = place(ports, "apm", &apm_ops, pm, PIIX4_SMI_COMMAND, 2, true);
    pm->timer = timer_new(CLOCK_GUEST, timer_overflowed, pm);
    pm->hotplug = (PciHotplug){ .up = &pm->s.slots_up, .down = &pm->s.slots_down, .event = slots_changed, .opaque = pm };
    pci_hotplug_init(&pm->hotplug, pci->bus);
    machine_on_powerdown(power_button, pm);
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
    /* APMC_EN reads as set, so that firmware takes SMM as prepared and does not wait for an SMI. */
    store_le32(c + REG_DEVACTB, 0x02000000);
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
