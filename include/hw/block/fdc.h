/* The floppy controller: what boards ask it. */
#ifndef HW_BLOCK_FDC_H
#define HW_BLOCK_FDC_H

#include "core/device.h"

extern const DeviceType isa_fdc_type;

/* Drive types as CMOS byte 10h has them. */
typedef enum FloppyType {
    FLOPPY_NONE, FLOPPY_360K, FLOPPY_1200K, FLOPPY_720K, FLOPPY_1440K, FLOPPY_2880K,
    FLOPPY_TYPES,
} FloppyType;

/* The drive at unit 0 or 1 of a realized controller. */
FloppyType fdc_drive_type(const Device *fdc, int unit);

#endif
