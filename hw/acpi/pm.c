/*
 * What power management has in common on PC chip sets: the PM1 registers with their timer, the APM ports, SMIs.
 *
 * ACPI specification 6.5, section 4.8; Intel 82371AB (PIIX4) data sheet (order 290562), chapters 7 and 11.
 */
#include "hw/acpi/pm.h"

#include "core/cpu.h"
#include "core/machine.h"
#include "util/bits.h"
#include "util/log.h"

enum { CNT_SLEEP_SHIFT = 10, CNT_SLEEP_NOW = 1 << 13 };
#define PM_TIMER_HZ 3579545

static uint64_t ticks(void)
{
    return mul_div(clock_now(CLOCK_GUEST), PM_TIMER_HZ, NS_PER_SECOND);
}

bool acpi_pm1_update(AcpiPm1 *pm, bool gpe)
{
    bool event;

    if ((*pm->enable & PM1_TIMER) && !(*pm->status & PM1_TIMER)) {
        uint64_t next = (ticks() | 0x7fffff) + 1;

        *pm->overflow_at = mul_div(next, NS_PER_SECOND, PM_TIMER_HZ) + 1;
        timer_set(pm->timer, *pm->overflow_at);
    } else {
        timer_cancel(pm->timer);
    }
    event = *pm->status & *pm->enable & (PM1_TIMER | PM1_GLOBAL | PM1_POWER_BUTTON | PM1_RTC);
    return (event || gpe) && (*pm->control & PM1_SCI_ENABLE);
}

static void timer_overflowed(void *opaque)
{
    AcpiPm1 *pm = opaque;

    *pm->status |= PM1_TIMER;
    pm->changed(pm->opaque);
}

static void power_button(void *opaque)
{
    AcpiPm1 *pm = opaque;

    *pm->status |= PM1_POWER_BUTTON;
    pm->changed(pm->opaque);
}

void acpi_pm1_init(AcpiPm1 *pm)
{
    pm->timer = timer_new(CLOCK_GUEST, timer_overflowed, pm);
    machine_on_powerdown(power_button, pm);
}

uint64_t acpi_pm1_read(const AcpiPm1 *pm, PhysAddr offset, unsigned size)
{
    uint64_t block = *pm->status | (uint64_t)*pm->enable << 16 | (uint64_t)*pm->control << 32;

    if (offset >= 8 && offset < 12) {
        return (ticks() & 0xffffff) >> (offset - 8) * 8;
    }
    return offset < 8 ? block >> offset * 8 : 0;
}

static void write_control(AcpiPm1 *pm, uint16_t value)
{
    unsigned type = value >> CNT_SLEEP_SHIFT & 7;

    *pm->control = value & ~CNT_SLEEP_NOW;
    if (!(value & CNT_SLEEP_NOW)) {
        return;
    }
    if (type == SLEEP_SOFT_OFF) {
        machine_request_shutdown(SHUTDOWN_GUEST);
    } else if (!pm->sleep || !pm->sleep(pm->opaque, type)) {
        guest_error("acpi-pm", "sleep type %u is not offered", type);
    }
}

void acpi_pm1_write(AcpiPm1 *pm, PhysAddr offset, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        uint16_t byte = value >> i * 8 & 0xff;

        switch (offset + i) {
        case 0:
            *pm->status &= ~byte;
            break;
        case 1:
            *pm->status &= ~(byte << 8);
            break;
        case 2:
            *pm->enable = (*pm->enable & 0xff00) | byte;
            break;
        case 3:
            *pm->enable = (*pm->enable & 0x00ff) | byte << 8;
            break;
        case 4:
            *pm->control = (*pm->control & 0xff00) | byte;
            break;
        case 5:
            write_control(pm, (*pm->control & 0x00ff) | byte << 8);
            break;
        }
    }
    pm->changed(pm->opaque);
}

/* ---- ports B2h and B3h ---- */

static uint64_t apm_read(void *opaque, PhysAddr offset, unsigned size)
{
    AcpiApm *apm = opaque;

    return offset ? *apm->status : *apm->control;
}

static void apm_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    AcpiApm *apm = opaque;
    AcpiPm1 *pm = apm->pm1;

    if (offset) {
        *apm->status = value;
        return;
    }
    *apm->control = value;
    if (value == APM_ACPI_ENABLE) {
        *pm->control |= PM1_SCI_ENABLE;
    } else if (value == APM_ACPI_DISABLE) {
        *pm->control &= ~PM1_SCI_ENABLE;
    }
    pm->changed(pm->opaque);
    apm->written(apm->opaque);
}

static const RegionOps apm_ops = { apm_read, apm_write, 1, 1, ENDIAN_LITTLE };

void acpi_apm_init(AcpiApm *apm, Region *ports)
{
    apm->region = region_new_io("apm", &apm_ops, apm, 2);
    region_add_overlap(ports, APM_PORT, apm->region, 1);
}

void acpi_raise_smi(void)
{
    Cpu *cpu = cpu_current() ? cpu_current() : cpu_get(0);

    if (cpu && machine_config.smm) {
        cpu_request(cpu, CPU_REQ_SMI);
    }
}

/* ---- SMBus ---- */

enum { SMB_STATUS, SMB_CONTROL = 2, SMB_DEVICE_ERROR = 0x04, SMB_START = 0x40 };

uint8_t smbus_read(const uint8_t *regs, unsigned offset)
{
    return regs[offset];
}

void smbus_write(uint8_t *regs, unsigned offset, uint8_t value)
{
    if (offset == SMB_STATUS) {
        regs[SMB_STATUS] &= ~value;
        return;
    }
    regs[offset] = value;
    if (offset == SMB_CONTROL && (value & SMB_START)) {
        regs[SMB_CONTROL] &= ~SMB_START;
        regs[SMB_STATUS] = SMB_DEVICE_ERROR;
    }
}
