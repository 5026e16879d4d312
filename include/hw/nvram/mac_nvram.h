/* The non-volatile memory of a Macintosh. */
#ifndef HW_NVRAM_MAC_NVRAM_H
#define HW_NVRAM_MAC_NVRAM_H

#include "core/device.h"
#include "core/memory.h"

extern const DeviceType mac_nvram_type;

enum { MAC_NVRAM_SIZE = 8192 };

Region *mac_nvram_region(Device *dev);
/*
 * Makes partitions as firmware expects them, with these settings of Open Firmware ("auto-boot?=false", the list ends with
 * NULL) in the first, unless an image brought some; then changes what is wanted. False with a message if they do not fit.
 * Once, before the machine runs.
 */
bool mac_nvram_prepare(Device *dev, const char *const *defaults, GPtrArray *wanted, GError **error);

#endif
