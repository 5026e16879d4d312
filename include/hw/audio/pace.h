/* The pace of a converter: how many frames have gone through it by the machine's clock. */
#ifndef HW_AUDIO_PACE_H
#define HW_AUDIO_PACE_H

#include <stdint.h>

/* How often devices look: their timer's period while something plays. */
#define PACE_PERIOD_NS (5 * INT64_C(1000000))

/* Two fields of a device's state: at `since` it had moved no frame, `frames` have been moved or dropped. */
void pace_start(int64_t *since, uint64_t *frames);
/*
 * Frames that the converter has gone through and the device has not moved; it adds to `frames` what it moves. On a busy host
 * sound comes later: what is more than 20 ms behind is dropped, so that it is not played faster than the guest can bring it.
 */
uint64_t pace_due(int64_t *since, uint64_t *frames, unsigned rate);

/* The factor, of 256, that is `steps` times 1.5 dB below full. */
static inline unsigned pace_gain(unsigned steps)
{
    static const uint16_t of_256[4] = { 256, 215, 181, 152 };

    return steps >= 32 ? 0 : of_256[steps % 4] >> steps / 4;
}

#endif
