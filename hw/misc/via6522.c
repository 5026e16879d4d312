/*
 * 6522 versatile interface adapter: two ports, two timers, a shift register and their interrupt flags.
 *
 * MOS Technology 6522 data sheet. The shift register is clocked by the chip at its other end, which sets its flag.
 */
#include "hw/misc/via6522.h"

#include "util/bits.h"
#include "util/log.h"

enum { B, A, DDRB, DDRA, T1CL, T1CH, T1LL, T1LH, T2CL, T2CH, SR, ACR, PCR, IFR, IER, ANH };
enum { IFR_T2 = 0x20, IFR_T1 = 0x40, IFR_ANY = 0x80, ACR_T1_FREE = 0x40 };
/* The clock of the timers is 4.7 MHz / 6. */
#define TICKS_PER_6_SECONDS 4700000

static const uint8_t timer_flag[2] = { IFR_T1, IFR_T2 };

static uint64_t ns_to_ticks(int64_t ns)
{
    return mul_div(ns, TICKS_PER_6_SECONDS, 6 * NS_PER_SECOND);
}

/* The first nanosecond at which so many ticks are past. */
static int64_t ticks_to_ns(uint64_t ticks)
{
    int64_t ns = mul_div(ticks, 6 * NS_PER_SECOND, TICKS_PER_6_SECONDS);

    return ns_to_ticks(ns) < ticks ? ns + 1 : ns;
}

static uint64_t elapsed(const ViaState *s, int n)
{
    return ns_to_ticks(MAX(clock_now(CLOCK_GUEST) - s->start[n], 0));
}

/* A timer counts down to zero and one on, where its flag goes up. */
static uint32_t ticks_to_flag(const ViaState *s, int n)
{
    return s->count[n] + 1u;
}

/* Brings flags up to the present; timer 1 may start over by itself. */
static void settle(Via *via)
{
    ViaState *s = &via->s;

    for (int n = 0; n < 2; n++) {
        uint64_t past;

        if (!s->armed[n] || elapsed(s, n) < ticks_to_flag(s, n)) {
            continue;
        }
        s->ifr |= timer_flag[n];
        if (n == 1 || !(s->acr & ACR_T1_FREE)) {
            s->armed[n] = false;
            continue;
        }
        past = (elapsed(s, n) - ticks_to_flag(s, n)) / (s->latch[n] + 2u);
        s->start[n] += ticks_to_ns(ticks_to_flag(s, n) + past * (s->latch[n] + 2u));
        s->count[n] = s->latch[n] + 1u;
    }
}

static uint16_t counter(const ViaState *s, int n)
{
    return s->count[n] - elapsed(s, n);
}

static void start_timer(ViaState *s, int n)
{
    s->count[n] = s->latch[n];
    s->start[n] = clock_now(CLOCK_GUEST);
    s->armed[n] = true;
    s->ifr &= ~timer_flag[n];
}

/* Only flags that interrupt need a timer of ours: others are found when they are looked for. */
void via_update(Via *via)
{
    ViaState *s = &via->s;
    int64_t next = INT64_MAX;

    settle(via);
    line_set(via->irq, s->ifr & s->ier & 0x7f);
    for (int n = 0; n < 2; n++) {
        if (s->armed[n] && (s->ier & timer_flag[n])) {
            next = MIN(next, s->start[n] + ticks_to_ns(ticks_to_flag(s, n)));
        }
    }
    if (next != INT64_MAX) {
        timer_set(via->timer, MAX(next, clock_now(CLOCK_GUEST) + NS_PER_US));
    } else {
        timer_cancel(via->timer);
    }
}

void via_set_flag(Via *via, uint8_t ifr)
{
    via->s.ifr |= ifr;
    via_update(via);
}

static void timer_expired(void *opaque)
{
    via_update(opaque);
}

uint8_t via_port_b(const Via *via)
{
    const ViaState *s = &via->s;

    return (s->b & s->ddrb) | (s->b_in & ~s->ddrb);
}

static uint64_t via_read(void *opaque, PhysAddr offset, unsigned size)
{
    Via *via = opaque;
    ViaState *s = &via->s;
    uint8_t value = 0;

    clock_catch_up(0); /* software waits for flags in tight loops, which leave others little time */
    settle(via);
    switch (offset >> 9 & 15) {
    case B:
        value = via_port_b(via);
        break;
    case A:
    case ANH:
        value = (s->a & s->ddra) | (uint8_t)~s->ddra;
        break;
    case DDRB:
        value = s->ddrb;
        break;
    case DDRA:
        value = s->ddra;
        break;
    case T1CL:
        value = counter(s, 0);
        s->ifr &= ~IFR_T1;
        break;
    case T1CH:
        value = counter(s, 0) >> 8;
        break;
    case T1LL:
        value = s->latch[0];
        break;
    case T1LH:
        value = s->latch[0] >> 8;
        break;
    case T2CL:
        value = counter(s, 1);
        s->ifr &= ~IFR_T2;
        break;
    case T2CH:
        value = counter(s, 1) >> 8;
        break;
    case SR:
        value = s->sr;
        s->ifr &= ~VIA_IFR_SR;
        break;
    case ACR:
        value = s->acr;
        break;
    case PCR:
        value = s->pcr;
        break;
    case IFR:
        value = s->ifr | (s->ifr & s->ier & 0x7f ? IFR_ANY : 0);
        break;
    case IER:
        value = s->ier | 0x80;
        break;
    }
    via_update(via);
    trace("via_read", "%s: register %d is %02x", via->id, (int)(offset >> 9 & 15), value);
    return value;
}

static void via_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Via *via = opaque;
    ViaState *s = &via->s;
    uint8_t old = via_port_b(via);

    trace("via_write", "%s: register %d = %02x", via->id, (int)(offset >> 9 & 15), (int)value);
    settle(via);
    switch (offset >> 9 & 15) {
    case B:
        s->b = value;
        break;
    case A:
    case ANH:
        s->a = value;
        break;
    case DDRB:
        s->ddrb = value;
        break;
    case DDRA:
        s->ddra = value;
        break;
    case T1CL:
    case T1LL:
        s->latch[0] = (s->latch[0] & 0xff00) | value;
        break;
    case T1CH:
        s->latch[0] = (s->latch[0] & 0xff) | value << 8;
        start_timer(s, 0);
        break;
    case T1LH:
        s->latch[0] = (s->latch[0] & 0xff) | value << 8;
        s->ifr &= ~IFR_T1;
        break;
    case T2CL:
        s->latch[1] = (s->latch[1] & 0xff00) | value;
        break;
    case T2CH:
        s->latch[1] = (s->latch[1] & 0xff) | value << 8;
        start_timer(s, 1);
        break;
    case SR:
        s->sr = value;
        s->ifr &= ~VIA_IFR_SR;
        break;
    case ACR:
        s->acr = value;
        break;
    case PCR:
        s->pcr = value;
        break;
    case IFR:
        s->ifr &= ~value;
        break;
    case IER:
        s->ier = value & 0x80 ? s->ier | (value & 0x7f) : s->ier & ~value;
        break;
    }
    if (via_port_b(via) != old && via->port_b_written) {
        via->port_b_written(via->opaque, old);
    }
    via_update(via);
}

static const RegionOps via_ops = { via_read, via_write, 1, 1, ENDIAN_LITTLE };

void via_init(Via *via, const char *id, void (*port_b_written)(void *opaque, uint8_t old), void *opaque)
{
    via->id = id;
    via->port_b_written = port_b_written;
    via->opaque = opaque;
    via->timer = timer_new(CLOCK_GUEST, timer_expired, via);
    via->region = region_new_io("via", &via_ops, via, VIA_WINDOW);
    via_reset(via);
}

void via_reset(Via *via)
{
    state_reset(ViaState_fields, &via->s);
}

static char *key(const Via *via)
{
    return g_strconcat(via->id, ".via", NULL);
}

void via_save(Via *via, GKeyFile *out)
{
    g_autofree char *id = key(via);

    settle(via);
    state_save(ViaState_fields, &via->s, out, id);
}

bool via_load(Via *via, GKeyFile *in, GError **error)
{
    g_autofree char *id = key(via);

    if (!state_load(ViaState_fields, &via->s, in, id, error)) {
        return false;
    }
    for (int n = 0; n < 2; n++) { /* no time that would take for ever to come round to */
        via->s.start[n] = CLAMP(via->s.start[n], 0, clock_now(CLOCK_GUEST));
    }
    return true;
}
