/* The IDE interface of a macio. */
#ifndef HW_IDE_MACIO_IDE_H
#define HW_IDE_MACIO_IDE_H

#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

extern const DeviceType macio_ide_type;

enum { MACIO_IDE_WINDOW = 0x1000 };

Region *macio_ide_region(Device *dev);
/* Before it is realized. */
void macio_ide_connect(Device *dev, Line *irq, Device *dbdma, int channel, Line *dma_irq);

#endif
