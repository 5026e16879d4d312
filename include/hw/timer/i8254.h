/* 8254 programmable interval timer. */
#ifndef HW_TIMER_I8254_H
#define HW_TIMER_I8254_H

#include "core/device.h"
#include "core/line.h"
#include "hw/timer/ticks.h"

#define I8254_HZ 1193182

extern const DeviceType i8254_type;

void i8254_connect(Device *dev, int channel, Line *out);
/* Who makes up for channel 0's late periods. */
void i8254_set_ticks(Device *dev, Ticks *ticks);
void i8254_set_gate(Device *dev, int channel, bool level);
bool i8254_output(Device *dev, int channel); /* level of OUT now */
/* Port 61 of an engine that has this timer (core/irqchip.h). */
void i8254_get_port61(Device *dev, bool *gate, bool *speaker);
void i8254_set_port61(Device *dev, bool gate, bool speaker);
/* Input clocks per period of a square wave or rate generator; 0 if it does not oscillate. */
uint32_t i8254_period(Device *dev, int channel);
/* Another device (HPET) takes the interrupt of channel 0 over. */
void i8254_set_muted(Device *dev, bool muted);

#endif
