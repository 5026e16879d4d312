/* The non-volatile memory of a Macintosh. */
#ifndef HW_NVRAM_MAC_NVRAM_H
#define HW_NVRAM_MAC_NVRAM_H

#include "core/device.h"
#include "core/memory.h"

extern const DeviceType mac_nvram_type;

enum { MAC_NVRAM_SIZE = 8192 };

Region *mac_nvram_region(Device *dev);
/*
 * Partitions as firmware expects them, with Open Firmware's settings ("auto-boot?=false") in the first. False with a
 * message if they do not fit. Once, before the machine runs.
 */
bool mac_nvram_format(Device *dev, GPtrArray *settings, GError **error);

#endif
