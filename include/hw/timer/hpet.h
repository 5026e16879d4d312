/* High precision event timer. */
#ifndef HW_TIMER_HPET_H
#define HW_TIMER_HPET_H

#include "core/device.h"
#include "core/line.h"
#include "hw/timer/ticks.h"

#define HPET_BASE 0xfed00000u
#define HPET_SIZE 0x400u
#define HPET_ID   0x8086a201u /* Intel, legacy replacement, 64 bits, three timers */

extern const DeviceType hpet_type;

/* Inputs of the I/O APIC that timers may be routed to (24), and the lines of the legacy interrupts
 * 0 and 8, which the HPET takes over from the PIT and the RTC in legacy replacement mode. */
void hpet_connect(Device *dev, Line *const inputs[24], Line *irq0, Line *irq8);
/* Who makes up for late periods of legacy interrupt 0. */
void hpet_set_ticks(Device *dev, Ticks *ticks);
/* Told when legacy replacement begins and ends. */
void hpet_on_legacy(Device *dev, void (*fn)(void *opaque, bool on), void *opaque);

#endif
