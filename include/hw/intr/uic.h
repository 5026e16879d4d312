/* The universal interrupt controller of IBM's and AMCC's 4xx chips. */
#ifndef HW_INTR_UIC_H
#define HW_INTR_UIC_H

#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

extern const DeviceType uic_type;

enum { UIC_INPUTS = 32, UIC_DCRS = 9 };

Region *uic_region(Device *dev);        /* its UIC_DCRS registers, a word each, for the space of DCRs */
Line *uic_input(Device *dev, int n);    /* active high, whatever its polarity bit says */
void uic_connect(Device *dev, Line *external, Line *critical);

#endif
