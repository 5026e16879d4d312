/* IDE channels and the drives on them, for controllers. */
#ifndef HW_IDE_IDE_H
#define HW_IDE_IDE_H

#include "backends/block.h"
#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

typedef struct IdeChannel IdeChannel;
typedef struct IdeDrive IdeDrive;

#define IDE_BUFFER (128 * 1024) /* bytes that move between drive and host at once */

/* What a bus-master controller does for a channel. */
typedef struct IdeDmaOps {
    /* A DMA command has begun and the drive waits, or (active false) it has ended. */
    void (*request)(void *opaque, bool active);
    /* Moves up to size bytes between buf and guest memory; returns how many, -1 for an error. */
    int64_t (*transfer)(void *opaque, void *buf, uint64_t size, bool to_memory);
    /* The drive came to another phase of its command; NULL for those that software drives by the data port. */
    void (*phase_changed)(void *opaque);
} IdeDmaOps;

/* Creates the bus "ide.N" with its registers and the drives that -drive if=ide asked for. */
IdeChannel *ide_channel_new(Device *owner, int number, Line *irq, const IdeDmaOps *dma,
                            void *dma_opaque, GError **error);
int ide_bus_number(const Bus *bus); /* of the channel or port at its controller */
Bus *ide_channel_bus(IdeChannel *ch);
void ide_channel_reset(IdeChannel *ch);
/* The eight command registers and the control register (device control, alternate status). */
Region *ide_channel_command(IdeChannel *ch);
Region *ide_channel_control(IdeChannel *ch);
/* The same by number (0-7) and the control register, for controllers that lay registers out otherwise. */
uint32_t ide_channel_read(IdeChannel *ch, unsigned reg, unsigned size);
void ide_channel_write(IdeChannel *ch, unsigned reg, uint32_t value, unsigned size);
uint8_t ide_channel_read_control(IdeChannel *ch);
void ide_channel_write_control(IdeChannel *ch, uint8_t value);
/* Bus master: started or stopped. */
void ide_channel_dma_start(IdeChannel *ch);
void ide_channel_dma_stop(IdeChannel *ch);
void ide_channel_save(IdeChannel *ch, GKeyFile *out, const char *id);
bool ide_channel_load(IdeChannel *ch, GKeyFile *in, const char *id, GError **error);

#endif
