/* Parallel NOR flash: what boards ask of it. */
#ifndef HW_BLOCK_PFLASH_H
#define HW_BLOCK_PFLASH_H

#include "core/device.h"
#include "core/memory.h"

extern const DeviceType cfi_pflash01_type;

#define PFLASH_SECTOR 4096 /* bytes that are erased together; the image is a multiple of it */

/* The chip's memory, to be mapped by the board; of a realized device. */
Region *pflash_region(Device *dev);

#endif
