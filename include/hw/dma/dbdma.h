/* Descriptor-based DMA: the channels that move data for the devices of a macio. */
#ifndef HW_DMA_DBDMA_H
#define HW_DMA_DBDMA_H

#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

extern const DeviceType dbdma_type;

enum { DBDMA_CHANNELS = 32, DBDMA_WINDOW = 0x1000 };

/* What the device at a channel offers. */
typedef struct DbdmaOps {
    /* The channel has a descriptor for data (true), or none any more. */
    void (*ready)(void *opaque, bool ready);
} DbdmaOps;

Region *dbdma_region(Device *dev);
void dbdma_connect(Device *dev, int channel, const DbdmaOps *ops, void *opaque, Line *irq);
/*
 * The device moves up to `size` bytes between buf and where the channel's descriptors say; returns how many
 * they had room for.
 */
uint64_t dbdma_move(Device *dev, int channel, void *buf, uint64_t size, bool to_memory);

#endif
