/* Configuration registers of the 440EP that are reached by an address and a data register: CPR0, SDR0, SDRAM0, EBC0. */
#ifndef HW_MISC_PPC4XX_DCR_H
#define HW_MISC_PPC4XX_DCR_H

#include "core/device.h"
#include "core/memory.h"

extern const DeviceType ppc4xx_dcr_type;

enum { PPC4XX_DCR_FIRST = 0x0c, PPC4XX_DCRS = 8 };

Region *ppc4xx_dcr_region(Device *dev); /* a word each, for the space of DCRs from PPC4XX_DCR_FIRST on */

#endif
