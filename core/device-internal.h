/* What device.c needs of property.c. */
#ifndef CORE_DEVICE_INTERNAL_H
#define CORE_DEVICE_INTERNAL_H

#include "core/device.h"

void device_init_properties(Device *dev);
void device_free_properties(Device *dev);

#endif
