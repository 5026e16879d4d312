/* CUDA and PMU: the microcontrollers of a Macintosh for clock, power and the desktop bus. */
#ifndef HW_MISC_CUDA_H
#define HW_MISC_CUDA_H

#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

extern const DeviceType cuda_type, pmu_type;

Region *cuda_region(Device *dev); /* the registers of its 6522, VIA_WINDOW bytes */
void cuda_connect(Device *dev, Line *irq);

Region *pmu_region(Device *dev);
/* gpio: low while the PMU has something to say. */
void pmu_connect(Device *dev, Line *irq, Line *gpio);

#endif
