/* Apple's AWACS and Screamer sound chip, a device of the macio. */
#ifndef HW_AUDIO_SCREAMER_H
#define HW_AUDIO_SCREAMER_H

#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

extern const DeviceType screamer_type;

enum { SCREAMER_WINDOW = 0x1000 };

Region *screamer_region(Device *dev);
/* Before it is realized: the channels that bring what is played and take what is recorded, with their interrupts. */
void screamer_connect(Device *dev, Device *dbdma, int play_channel, Line *play_irq, int record_channel, Line *record_irq);

#endif
