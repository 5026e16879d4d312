/* Power management of the ICH9: its ports, and the watchdog among them. */
#ifndef HW_ACPI_ICH9_PM_H
#define HW_ACPI_ICH9_PM_H

#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

enum {
    ICH9_PM_BASE = 0x600, /* where SeaBIOS and OVMF put it */
    ICH9_PM_SIZE = 0x80,
    ICH9_GPE = 0x20,      /* offsets */
    ICH9_GPE_LENGTH = 16,
    ICH9_TCO = 0x60,
    ICH9_TCO_SIZE = 0x20,
};

extern const DeviceType ich9_pm_type, ich9_tco_type;

/* Before it is realized. ports: where the APM ports and, by ich9_pm_place, the block go; sci and tco are borrowed. */
void ich9_pm_connect(Device *dev, Region *ports, Line *sci, Device *tco);
void ich9_pm_place(Device *dev, uint16_t base); /* 0: nowhere */
uint16_t ich9_pm_base(Device *dev); /* where firmware has put it; ICH9_PM_BASE until it has */
void ich9_pm_lock_smi(Device *dev, bool locked); /* the bit that turns SMIs on stays */
void ich9_pm_tco_event(Device *dev); /* the watchdog asks for an SMI */

Region *ich9_tco_region(Device *dev);
void ich9_tco_connect(Device *dev, Device *pm);
void ich9_tco_set_reboot(Device *dev, bool on); /* whether it resets the machine when it runs out again */

#endif
