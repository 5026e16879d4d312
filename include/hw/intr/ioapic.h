/* I/O APIC: 24 inputs whose interrupts go to local APICs. */
#ifndef HW_INTR_IOAPIC_H
#define HW_INTR_IOAPIC_H

#include "core/device.h"
#include "core/line.h"

#define IOAPIC_BASE UINT64_C(0xfec00000)
#define IOAPIC_PINS 24

extern const DeviceType ioapic_type;

Line *ioapic_input(Device *dev, int n); /* after realize */
/* Told when a processor has ended the interrupt of input `n`; one input has a listener. */
void ioapic_on_end(Device *dev, int n, void (*fn)(void *opaque), void *opaque);
/* For pins in ExtINT mode. */
void ioapic_set_external(Device *dev, int (*acknowledge)(Device *pic), Device *pic);

#endif
