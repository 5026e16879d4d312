/* The pace of a converter, of which every sound device has one. */
#include "hw/audio/pace.h"

#include "core/clock.h"
#include "util/bits.h"

#define LATE_NS (20 * NS_PER_MS)

void pace_start(int64_t *since, uint64_t *frames)
{
    *since = clock_now(CLOCK_GUEST);
    *frames = 0;
}

uint64_t pace_due(int64_t *since, uint64_t *frames, unsigned rate)
{
    int64_t elapsed = clock_now(CLOCK_GUEST) - *since;
    uint64_t total, most = rate * LATE_NS / NS_PER_SECOND;

    if (elapsed < 0 || elapsed > 3600 * NS_PER_SECOND) { /* numbers stay small; a snapshot may bring any */
        pace_start(since, frames);
        return 0;
    }
    total = mul_div(elapsed, rate, NS_PER_SECOND);
    if (total < *frames || total - *frames > most) {
        *frames = total < most ? 0 : total - most;
    }
    return total - *frames;
}
