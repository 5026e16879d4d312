/*
 * Power management ports of the ICH9: ACPI registers, system management interrupts.
 *
 * Intel I/O Controller Hub 9 Family data sheet (order 316972), section 13.8.
 */
#include "hw/acpi/ich9_pm.h"

#include "core/machine.h"
#include "hw/acpi/pm.h"
#include "util/bits.h"

enum { PM_GPE_STS = ICH9_GPE, PM_GPE_EN = ICH9_GPE + 8, PM_SMI_EN = 0x30, PM_SMI_STS = 0x34 };
enum { SMI_GLOBAL = 1 << 0, SMI_END = 1 << 1, SMI_SLEEP = 1 << 4, SMI_APM = 1 << 5, SMI_TCO = 1 << 13 };
#define SMI_WRITABLE 0x060668fdu

#define ICH9_PM_STATE(FIELD, ARRAY)                                     \
    FIELD(uint16_t, base, 0)                                            \
    FIELD(uint16_t, pm1_status, 0)                                      \
    FIELD(uint16_t, pm1_enable, 0)                                      \
    FIELD(uint16_t, pm1_control, 0)                                     \
    FIELD(uint8_t, apm_control, 0)                                      \
    FIELD(uint8_t, apm_status, 0)                                       \
    FIELD(uint64_t, gpe_status, 0)                                      \
    FIELD(uint64_t, gpe_enable, 0)                                      \
    FIELD(uint32_t, smi_enable, SMI_END)                                \
    FIELD(uint32_t, smi_status, 0)                                      \
    FIELD(bool, smi_locked, false)                                      \
    FIELD(int64_t, overflow_at, 0) /* when bit 23 of the timer changes next */

DEFINE_STATE(Ich9PmState, ICH9_PM_STATE);

typedef struct Ich9Pm {
    Device dev;
    Ich9PmState s;
    AcpiPm1 pm1;
    AcpiApm apm;
    Region *ports, *block;
    Line *sci;
    Device *tco;
} Ich9Pm;

static void ich9_pm_update(Device *dev)
{
    Ich9Pm *pm = (Ich9Pm *)dev;

    line_set(pm->sci, acpi_pm1_update(&pm->pm1, pm->s.gpe_status & pm->s.gpe_enable));
    memory_begin();
    if (pm->s.base) {
        region_set_offset(pm->block, pm->s.base);
    }
    region_set_enabled(pm->block, pm->s.base);
    memory_commit();
}

static void pm1_changed(void *opaque)
{
    ich9_pm_update(opaque);
}

/* An event for which firmware may have asked: bit of SMI_EN and SMI_STS. */
static void smi_event(Ich9Pm *pm, uint32_t event)
{
    if (pm->s.smi_enable & event) {
        pm->s.smi_status |= event;
        if (pm->s.smi_enable & SMI_GLOBAL) {
            acpi_raise_smi();
        }
    }
}

static void apm_written(void *opaque)
{
    smi_event(opaque, SMI_APM);
}

void ich9_pm_tco_event(Device *dev)
{
    smi_event((Ich9Pm *)dev, SMI_TCO);
}

static uint64_t pm_read(void *opaque, PhysAddr offset, unsigned size)
{
    const Ich9PmState *s = &((Ich9Pm *)opaque)->s;
    unsigned shift = (offset & 7) * 8;

    switch (offset) {
    case PM_GPE_STS ... PM_GPE_STS + 7:
        return s->gpe_status >> shift;
    case PM_GPE_EN ... PM_GPE_EN + 7:
        return s->gpe_enable >> shift;
    case PM_SMI_EN ... PM_SMI_EN + 7:
        return (s->smi_enable | (uint64_t)s->smi_status << 32) >> shift;
    default:
        return acpi_pm1_read(&((Ich9Pm *)opaque)->pm1, offset, size);
    }
}

static void write_smi_enable(Ich9PmState *s, uint32_t value)
{
    uint32_t locked = s->smi_locked ? SMI_GLOBAL | SMI_TCO : 0;

    s->smi_enable = (s->smi_enable & locked) | (value & SMI_WRITABLE & ~locked) | SMI_END;
}

static void pm_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Ich9Pm *pm = opaque;
    Ich9PmState *s = &pm->s;
    unsigned shift = (offset & 7) * 8;

    switch (offset) {
    case PM_GPE_STS ... PM_GPE_STS + 7:
        s->gpe_status &= ~(value << shift);
        ich9_pm_update(&pm->dev);
        break;
    case PM_GPE_EN ... PM_GPE_EN + 7:
        s->gpe_enable = bits_set(s->gpe_enable, shift, size * 8, value);
        ich9_pm_update(&pm->dev);
        break;
    case PM_SMI_EN ... PM_SMI_EN + 3:
        write_smi_enable(s, bits_set(s->smi_enable, shift, size * 8, value));
        break;
    case PM_SMI_STS ... PM_SMI_STS + 3:
        s->smi_status &= ~(value << (shift - 32));
        break;
    default:
        acpi_pm1_write(&pm->pm1, offset, value, size);
    }
}

static const RegionOps pm_ops = { pm_read, pm_write, 1, 4, ENDIAN_LITTLE };

void ich9_pm_place(Device *dev, uint16_t base)
{
    ((Ich9Pm *)dev)->s.base = base;
    ich9_pm_update(dev);
}

uint16_t ich9_pm_base(Device *dev)
{
    uint16_t base = ((Ich9Pm *)dev)->s.base;

    return base ? base : ICH9_PM_BASE;
}

void ich9_pm_lock_smi(Device *dev, bool locked)
{
    ((Ich9Pm *)dev)->s.smi_locked = locked;
}

void ich9_pm_connect(Device *dev, Region *ports, Line *sci, Device *tco)
{
    Ich9Pm *pm = (Ich9Pm *)dev;

    pm->ports = ports;
    pm->sci = sci;
    pm->tco = tco;
}

static bool ich9_pm_realize(Device *dev, GError **error)
{
    Ich9Pm *pm = (Ich9Pm *)dev;

    pm->block = region_new_container("ich9-pm", ICH9_PM_SIZE);
    region_add(pm->block, 0, region_new_io("ich9-acpi", &pm_ops, pm, ICH9_TCO));
    region_add(pm->block, ICH9_TCO, ich9_tco_region(pm->tco));
    region_set_enabled(pm->block, false);
    region_add_overlap(pm->ports, ICH9_PM_BASE, pm->block, 1);
    pm->pm1 = (AcpiPm1){ .status = &pm->s.pm1_status, .enable = &pm->s.pm1_enable, .control = &pm->s.pm1_control,
                         .overflow_at = &pm->s.overflow_at, .changed = pm1_changed, .opaque = pm };
    acpi_pm1_init(&pm->pm1);
    pm->apm = (AcpiApm){ .control = &pm->s.apm_control, .status = &pm->s.apm_status, .pm1 = &pm->pm1,
                         .written = apm_written, .opaque = pm };
    acpi_apm_init(&pm->apm, pm->ports);
    return true;
}

static void ich9_pm_reset(Device *dev)
{
    /* Without SMM it reads as set, so that firmware takes SMM as prepared and does not wait for an SMI. */
    ((Ich9Pm *)dev)->s.smi_enable |= machine_config.smm ? 0 : SMI_APM;
}

const DeviceType ich9_pm_type = {
    .name = "ich9-pm",
    .about = "Power management of the ICH9",
    .bus = "system",
    .size = sizeof(Ich9Pm),
    .state_at = offsetof(Ich9Pm, s),
    .state = Ich9PmState_fields,
    .realize = ich9_pm_realize,
    .reset = ich9_pm_reset,
    .update = ich9_pm_update,
};
