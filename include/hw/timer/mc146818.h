/* MC146818 real-time clock with its battery-backed memory (CMOS). */
#ifndef HW_TIMER_MC146818_H
#define HW_TIMER_MC146818_H

#include "core/device.h"
#include "core/line.h"

extern const DeviceType mc146818_type;

void mc146818_connect(Device *dev, Line *irq);
/* Contents beyond the clock's own 14 bytes; they survive a reset. */
void mc146818_set_byte(Device *dev, uint8_t index, uint8_t value);
uint8_t mc146818_get_byte(Device *dev, uint8_t index);
bool mc146818_nmi_masked(Device *dev);

#endif
