/* The I/O chips of Macintoshes: KeyLargo and Heathrow, PCI functions full of devices. */
#ifndef HW_MISC_MACIO_H
#define HW_MISC_MACIO_H

#include "core/device.h"
#include "core/line.h"

extern const DeviceType macio_newworld_type, macio_oldworld_type;

/* To the external interrupt input of processor n. */
void macio_connect(Device *dev, int cpu, Line *external);
Line *macio_interrupt(Device *dev, int source); /* an input of its interrupt controller */
Device *macio_nvram(Device *dev); /* of Heathrow; KeyLargo has none of its own: NULL */

#endif
