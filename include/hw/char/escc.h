/* The serial ports of a Macintosh: a Zilog 85C30. */
#ifndef HW_CHAR_ESCC_H
#define HW_CHAR_ESCC_H

#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

extern const DeviceType escc_type;

enum { ESCC_B, ESCC_A }; /* the order of the registers; A is the first port, the modem's */

Region *escc_region(Device *dev);        /* control and data of B, then of A, 10h apart */
Region *escc_legacy_region(Device *dev); /* control of B and A, then data of B and A, 2 apart */
void escc_connect(Device *dev, int channel, Line *irq);

#endif
