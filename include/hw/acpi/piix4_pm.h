/* PIIX4 power management: where the ACPI tables find its registers. */
#ifndef HW_ACPI_PIIX4_PM_H
#define HW_ACPI_PIIX4_PM_H

#include "core/device.h"
#include "core/line.h"

/* What the tables say. SeaBIOS chooses these bases where it finds tables to load; OVMF has its own for power management. */
enum {
    PIIX4_PM_BASE = 0x600,
    PIIX4_SMB_BASE = 0x700,
    PIIX4_GPE_BASE = 0xafe0,
    PIIX4_GPE_LENGTH = 4,
};

/* The system control interrupt, borrowed. */
void piix4_pm_connect(Device *dev, Line *sci);
/* Where firmware has put the ports; PIIX4_PM_BASE until it has. */
uint16_t piix4_pm_base(Device *dev);

#endif
