/* Memory that a battery keeps: part of snapshots, and of an image of the host if it has one. */
#ifndef HW_NVRAM_BATTERY_H
#define HW_NVRAM_BATTERY_H

#include "backends/block.h"
#include "core/device.h"

#include <sys/uio.h>

typedef struct Battery {
    Device *dev;       /* whose memory it is; named in messages and snapshots */
    uint8_t *bytes;
    uint32_t size;
    BlockBackend *blk; /* NULL: forgotten with the machine */
    bool writing, dirty;
    struct iovec iov;
} Battery;

/* bytes stay the owner's. With an image they are what it has; its size in bytes is that of the memory. */
bool battery_init(Battery *b, Device *dev, uint8_t *bytes, uint32_t size, BlockBackend *blk, GError **error);
void battery_changed(Battery *b); /* writes the image, one request at a time */
/* Under "key" of the device, with a dot: "nvram.data". A snapshot with another size is refused. */
void battery_save(const Battery *b, GKeyFile *out, const char *key);
bool battery_load(Battery *b, GKeyFile *in, const char *key, GError **error);

#endif
