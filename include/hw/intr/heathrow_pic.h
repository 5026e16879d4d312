/* The interrupt controller of Heathrow. */
#ifndef HW_INTR_HEATHROW_PIC_H
#define HW_INTR_HEATHROW_PIC_H

#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

extern const DeviceType heathrow_pic_type;

enum { HEATHROW_SOURCES = 64 };

Region *heathrow_pic_region(Device *dev); /* 32 bytes, at 10h of the macio */
Line *heathrow_pic_input(Device *dev, int source);
void heathrow_pic_connect(Device *dev, Line *external);

#endif
