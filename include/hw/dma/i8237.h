/* The two DMA controllers of a PC: what boards wire and ISA devices call. */
#ifndef HW_DMA_I8237_H
#define HW_DMA_I8237_H

#include "core/device.h"
#include "core/memory.h"

extern const DeviceType i8237_type;

/*
 * A device asks for its channel (0-3 bytes, 5-7 words) and moves data when the channel runs, that
 * is while it requests and the guest has unmasked the channel. `ready` tells it when that begins;
 * it is called under the machine lock, also from within i8237_request.
 */
typedef void I8237Ready(void *opaque);
void i8237_connect(Device *dma, int channel, I8237Ready *ready, void *opaque);
void i8237_request(Device *dma, int channel, bool level); /* DREQ */
bool i8237_running(Device *dma, int channel);

/*
 * Move up to `size` bytes as the channel is programmed and advance it; return how many were moved
 * (0: the channel does not run, or is programmed for the other direction; a verify channel counts
 * but moves nothing). *terminal is set when this reached the terminal count.
 */
size_t i8237_to_memory(Device *dma, int channel, const void *buf, size_t size, bool *terminal);
size_t i8237_from_memory(Device *dma, int channel, void *buf, size_t size, bool *terminal);

/* The memory that transfers reach; the default is memory_system(). */
void i8237_set_memory(Device *dma, AddressSpace *memory);

#endif
