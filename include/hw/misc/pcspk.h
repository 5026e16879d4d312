/* Port 61 of a PC: the speaker and the gate of timer channel 2. */
#ifndef HW_MISC_PCSPK_H
#define HW_MISC_PCSPK_H

#include "core/device.h"

extern const DeviceType pcspk_type;

void pcspk_connect(Device *dev, Device *pit);

#endif
