/* 8042 keyboard controller: what other pointing devices ask of it. */
#ifndef HW_INPUT_I8042_H
#define HW_INPUT_I8042_H

#include "core/device.h"

extern const DeviceType i8042_type;

/* The mouse sends a packet without motion: the interrupt of devices that have none of their own. */
void i8042_nudge_mouse(Device *dev);

#endif
