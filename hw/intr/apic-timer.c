/* The timer of a local APIC: one-shot, periodic and TSC deadline. Its input clock is 1 GHz. */
#include "hw/intr/apic-internal.h"

/* Divide configuration bits 3, 1 and 0: 2, 4 ... 128, and 7 divides by 1. */
static unsigned divide_shift(const ApicState *s)
{
    return (((s->divide & 3) | (s->divide >> 1 & 4)) + 1) & 7;
}

static bool periodic(const ApicState *s)
{
    return (s->lvt[LVT_TIMER] & (3 << 17)) == LVT_PERIODIC;
}

static bool by_deadline(const ApicState *s)
{
    return (s->lvt[LVT_TIMER] & (3 << 17)) == LVT_DEADLINE;
}

/* Ticks since the initial count was loaded. */
static uint64_t elapsed(const ApicState *s)
{
    int64_t ns = clock_now(CLOCK_GUEST) - s->started;

    return ns > 0 ? (uint64_t)ns >> divide_shift(s) : 0;
}

/* How often the count has run out since it was loaded: a single shot's does so once. */
static uint64_t periods_gone(const ApicState *s)
{
    uint64_t periods = elapsed(s) / s->initial;

    return periodic(s) ? periods : MIN(periods, 1);
}

uint32_t apic_timer_count(Apic *apic)
{
    const ApicState *s = &apic->s;
    uint64_t d = elapsed(s);

    if (!s->initial || s->ended || by_deadline(s)) {
        return 0;
    }
    if (periodic(s)) {
        return s->initial - d % s->initial;
    }
    return d < s->initial ? s->initial - d : 0;
}

void apic_timer_arm(Apic *apic)
{
    ApicState *s = &apic->s;

    if (by_deadline(s)) {
        if (s->deadline && apic->tsc_to_ns) {
            timer_set(apic->timer, apic->tsc_to_ns(apic->cpu, s->deadline));
        } else {
            timer_cancel(apic->timer);
        }
    } else if (s->initial && !s->ended && (periodic(s) || s->periods == 0)) {
        uint64_t ticks = (s->periods + 1) * s->initial;

        timer_set(apic->timer, s->started + (int64_t)(ticks << divide_shift(s)));
    } else {
        timer_cancel(apic->timer);
    }
}

/* Periods that went by while the host was busy elsewhere count as one interrupt. */
void apic_timer_expired(void *opaque)
{
    Apic *apic = opaque;
    ApicState *s = &apic->s;

    if (by_deadline(s)) {
        if (s->deadline && apic->tsc_to_ns &&
            apic->tsc_to_ns(apic->cpu, s->deadline) <= clock_now(CLOCK_GUEST)) {
            s->deadline = 0;
            apic_fire_lvt(apic, LVT_TIMER);
        }
    } else if (s->initial && !s->ended) {
        uint64_t periods = periods_gone(s);

        if (periods > s->periods) {
            s->periods = periods;
            apic_fire_lvt(apic, LVT_TIMER);
        }
    }
    apic_timer_arm(apic);
}

/* A count that has run out is an interrupt already, whether the main loop has got to it or not. */
uint32_t apic_timer_read(Apic *apic)
{
    const ApicState *s = &apic->s;
    uint32_t count = apic_timer_count(apic);

    if (!by_deadline(s) && s->initial && !s->ended && periods_gone(s) > s->periods) {
        apic_timer_expired(apic);
    }
    return count;
}

void apic_timer_load(Apic *apic, uint32_t initial)
{
    ApicState *s = &apic->s;

    apic_timer_expired(apic); /* what ran out before has fired */
    if (!by_deadline(s)) {
        s->initial = initial;
        s->started = clock_now(CLOCK_GUEST);
        s->periods = 0;
        s->ended = false;
    }
    apic_timer_arm(apic);
}

/* Makes it that many ticks since the count was loaded: the time of that may come out before the clock began. */
static void set_gone(ApicState *s, uint32_t ticks)
{
    s->started = clock_now(CLOCK_GUEST) - ((int64_t)ticks << divide_shift(s));
}

void apic_timer_restore(Apic *apic, uint32_t initial, uint32_t current)
{
    ApicState *s = &apic->s;

    s->initial = initial;
    set_gone(s, initial - MIN(current, initial));
    s->ended = false;
    s->periods = initial && !current; /* a single shot that has been fired */
}

/* A deadline that has passed fires at once, not when the main loop gets to it; so has the one before. */
void apic_timer_set_deadline(Apic *apic, uint64_t tsc)
{
    ApicState *s = &apic->s;

    apic_timer_expired(apic);
    s->deadline = by_deadline(s) ? tsc : 0; /* ignored in the other modes */
    apic_timer_expired(apic);
}

/*
 * Ends what was measured by the mode and the divisor so far: a count that ran out has fired, a single shot's stands, and a
 * period that has begun is the first.
 */
static void settle(Apic *apic)
{
    ApicState *s = &apic->s;

    apic_timer_expired(apic);
    if (periodic(s)) {
        s->started += (int64_t)(s->periods * s->initial << divide_shift(s));
        s->periods = 0;
    } else if (s->periods) {
        s->ended = true;
    }
}

/* Going to or from deadline mode disarms the timer (SDM volume 3, 11.5.4.1); otherwise a count goes on. */
void apic_timer_set_lvt(Apic *apic, uint32_t lvt)
{
    ApicState *s = &apic->s;
    uint32_t old = s->lvt[LVT_TIMER];

    settle(apic);
    s->lvt[LVT_TIMER] = lvt;
    if ((old ^ lvt) & LVT_DEADLINE) {
        s->initial = 0;
        s->deadline = 0;
    }
    apic_timer_arm(apic);
}

void apic_timer_set_divide(Apic *apic, uint32_t divide)
{
    ApicState *s = &apic->s;

    if (divide != s->divide) {
        uint32_t gone;

        settle(apic);
        gone = MIN(elapsed(s), s->initial);
        s->divide = divide;
        set_gone(s, gone);
    }
    apic_timer_arm(apic);
}
