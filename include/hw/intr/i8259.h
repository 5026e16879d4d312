/* 8259A interrupt controller: one chip; a PC has a master and a slave on its input 2. */
#ifndef HW_INTR_I8259_H
#define HW_INTR_I8259_H

#include "core/device.h"
#include "core/line.h"

extern const DeviceType i8259_type;

/* After realize. */
Line *i8259_input(Device *dev, int n); /* IR0-IR7 */
void i8259_connect(Device *dev, Line *intr);
/* Makes `slave` answer for input 2 of `master`, and connects its output there. */
void i8259_cascade(Device *master, Device *slave);
/* INTA cycles: the vector to deliver, of IR7 if the request went away. */
int i8259_acknowledge(Device *master);
/* Told when a processor has taken and ended the interrupt of input `n`; one input of a chip has a listener. */
void i8259_on_end(Device *dev, int n, void (*fn)(void *opaque), void *opaque);
bool i8259_pending(Device *master); /* INT is high */

#endif
