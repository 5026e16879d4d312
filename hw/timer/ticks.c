/* Interrupts that a periodic timer owes to a processor which could not take them in time. */
#include "hw/timer/ticks.h"

#include "core/clock.h"

#include <glib.h>

/* A guest that took none for so long has the interrupt masked, and wants no burst of old ones. */
#define PATIENCE NS_PER_SECOND

struct Ticks {
    Line *irq;
    uint64_t owed;
    int64_t taken_at;
};

Ticks *ticks_new(Line *irq)
{
    Ticks *ticks = g_new0(Ticks, 1);

    ticks->irq = irq;
    return ticks;
}

void ticks_ended(Ticks *ticks, uint64_t periods)
{
    if (!ticks) {
        return;
    }
    if (!ticks->owed) {
        ticks->taken_at = clock_now(CLOCK_GUEST);
    }
    ticks->owed += periods;
}

void ticks_taken(Ticks *ticks)
{
    int64_t now;

    if (!ticks || !ticks->owed) {
        return;
    }
    now = clock_now(CLOCK_GUEST);
    ticks->owed = now - ticks->taken_at < PATIENCE ? ticks->owed - 1 : 0;
    ticks->taken_at = now;
    if (ticks->owed) {
        bool level = line_level(ticks->irq);

        line_set(ticks->irq, false);
        line_set(ticks->irq, true);
        line_set(ticks->irq, level);
    }
}

void ticks_forget(Ticks *ticks)
{
    if (ticks) {
        ticks->owed = 0;
    }
}
