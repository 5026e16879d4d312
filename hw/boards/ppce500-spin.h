/* The spin table of the ppce500 board: where secondary processors wait for an address to begin at. */
#ifndef HW_BOARDS_PPCE500_SPIN_H
#define HW_BOARDS_PPCE500_SPIN_H

#include "core/device.h"
#include "core/memory.h"

extern const DeviceType ppce500_spin_type;

enum { SPIN_ENTRY = 32, SPIN_CPUS = 4 };
#define SPIN_MAP_SIZE UINT64_C(0x04000000) /* what a processor has mapped when it begins */

Region *ppce500_spin_region(Device *dev);

#endif
