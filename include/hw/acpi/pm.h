/* What power management has in common on PC chip sets: the PM1 registers with their timer, the APM ports, SMIs. */
#ifndef HW_ACPI_PM_H
#define HW_ACPI_PM_H

#include "core/clock.h"
#include "core/memory.h"

enum { PM1_TIMER = 1 << 0, PM1_GLOBAL = 1 << 5, PM1_POWER_BUTTON = 1 << 8, PM1_RTC = 1 << 10 };
enum { PM1_SCI_ENABLE = 1 << 0 };
/* Commands to port B2h, as the tables have them. */
enum { APM_PORT = 0xb2, APM_ACPI_ENABLE = 0xf1, APM_ACPI_DISABLE = 0xf0, SLEEP_SOFT_OFF = 0, SCI_IRQ = 9 };

/* The PM1 event and control blocks and the timer, at offsets 0 to 11 (ACPI 6.5, 4.8.3). */
typedef struct AcpiPm1 {
    uint16_t *status, *enable, *control; /* in the owner's state */
    int64_t *overflow_at;                /* likewise: when bit 23 of the timer changes next */
    bool (*sleep)(void *opaque, unsigned type); /* offers a sleep type other than soft off; NULL: none */
    void (*changed)(void *opaque);       /* the owner's update, after a change of what drives the SCI */
    void *opaque;
    Timer *timer;
} AcpiPm1;

void acpi_pm1_init(AcpiPm1 *pm);
/* Arms the timer; the level of the SCI. gpe: a general-purpose event asks for it too. */
bool acpi_pm1_update(AcpiPm1 *pm, bool gpe);
uint64_t acpi_pm1_read(const AcpiPm1 *pm, PhysAddr offset, unsigned size);
void acpi_pm1_write(AcpiPm1 *pm, PhysAddr offset, uint64_t value, unsigned size);

/* Ports B2h and B3h: software asks firmware for something. Of ACPI mode the chip itself knows. */
typedef struct AcpiApm {
    uint8_t *control, *status;     /* in the owner's state */
    AcpiPm1 *pm1;
    void (*written)(void *opaque); /* a command: an SMI may be due */
    void *opaque;
    Region *region;
} AcpiApm;

void acpi_apm_init(AcpiApm *apm, Region *ports);

/* A system management interrupt to the processor whose access caused it; nothing where there is no such mode. */
void acpi_raise_smi(void);

/* An SMBus host whose bus is empty: every transaction ends with "no device". Offset 0 status, 2 control. */
uint8_t smbus_read(const uint8_t *regs, unsigned offset);
void smbus_write(uint8_t *regs, unsigned offset, uint8_t value);

#endif
