/*
 * High precision event timer: a 100 MHz counter with three comparators.
 *
 * IA-PC HPET specification 1.0a.
 */
#include "hw/timer/hpet.h"

#include "core/clock.h"
#include "core/memory.h"

#include <string.h>

enum { TIMERS = 3, TICK_NS = 10 };
enum { REG_ID = 0x000, REG_CONFIG = 0x010, REG_STATUS = 0x020, REG_COUNTER = 0x0f0, REG_TIMERS = 0x100 };
enum { CONFIG_ENABLE = 1, CONFIG_LEGACY = 2 };
enum {
    TIMER_LEVEL = 1 << 1, TIMER_ENABLE = 1 << 2, TIMER_PERIODIC = 1 << 3, TIMER_CAN_REPEAT = 1 << 4,
    TIMER_CAN_64 = 1 << 5, TIMER_SET_VALUE = 1 << 6, TIMER_32 = 1 << 8, TIMER_WRITABLE = 0x3f4e,
};
#define PERIOD_FS  (TICK_NS * UINT64_C(1000000))
#define ROUTES     UINT64_C(0x00f00104) /* inputs of the I/O APIC: 2, 8, 20-23 */
#define JUST_MISSED 100000              /* ticks: a comparator set this late fires at once */

#define HPET_STATE(FIELD, ARRAY)                                                        \
    FIELD(uint64_t, config, 0)                                                          \
    FIELD(uint64_t, status, 0)                                                          \
    FIELD(uint64_t, stopped, 0)      /* the counter while it stands */                  \
    FIELD(int64_t, started, 0)       /* guest time at which it would have been zero */  \
    ARRAY(uint64_t, timer_config, TIMERS, ROUTES << 32 | TIMER_CAN_REPEAT | TIMER_CAN_64) \
    ARRAY(uint64_t, comparator, TIMERS, UINT64_MAX)                                     \
    ARRAY(uint64_t, period, TIMERS, 0)                                                  \
    ARRAY(bool, armed, TIMERS, false)                                                   \
    ARRAY(uint64_t, target, TIMERS, 0) /* counter at which an armed one fires */

#define FAR (UINT64_C(1) << 62) /* ticks; centuries: keeps differences signed */

DEFINE_STATE(HpetState, HPET_STATE);

typedef struct Hpet {
    Device dev;
    HpetState s;
    Region *window;
    Timer *timer[TIMERS];
    Line *inputs[24], *irq0, *irq8; /* wiring */
    Line *held[TIMERS]; /* what each level-triggered timer holds high now */
    Ticks *ticks;
    void (*on_legacy)(void *opaque, bool on);
    void *legacy_opaque;
} Hpet;

static bool running(const HpetState *s)
{
    return s->config & CONFIG_ENABLE;
}

static uint64_t counter(const HpetState *s)
{
    return running(s) ? ((uint64_t)clock_now(CLOCK_GUEST) - s->started) / TICK_NS : s->stopped;
}

static unsigned routed_input(const HpetState *s, int n)
{
    return MIN(s->timer_config[n] >> 9 & 31, 23);
}

static Line *route(const Hpet *hpet, int n)
{
    if ((hpet->s.config & CONFIG_LEGACY) && n < 2) {
        return n ? hpet->irq8 : hpet->irq0;
    }
    return hpet->inputs[routed_input(&hpet->s, n)];
}

/* Level-triggered timers may share an input, and leave it when they are routed elsewhere. */
static void update_lines(Hpet *hpet)
{
    const HpetState *s = &hpet->s;
    Line *old[TIMERS];

    memcpy(old, hpet->held, sizeof(old));
    for (int n = 0; n < TIMERS; n++) {
        uint64_t config = s->timer_config[n];

        hpet->held[n] = (config & TIMER_LEVEL) && (config & TIMER_ENABLE) && (s->status >> n & 1) ? route(hpet, n) : NULL;
        line_set(hpet->held[n], true);
    }
    for (int n = 0; n < TIMERS; n++) {
        if (old[n] != hpet->held[0] && old[n] != hpet->held[1] && old[n] != hpet->held[2]) {
            line_set(old[n], false);
        }
    }
}

static void hpet_update(Device *dev)
{
    Hpet *hpet = (Hpet *)dev;
    HpetState *s = &hpet->s;

    update_lines(hpet);
    for (int n = 0; n < TIMERS; n++) {
        if (running(s) && s->armed[n]) {
            uint64_t left = s->target[n] - counter(s);

            /* Far targets are looked at again in a while: guest time is 63 bits of nanoseconds. */
            left = (int64_t)left < 0 ? 0 : MIN(left, UINT64_C(1) << 40);
            timer_set(hpet->timer[n], clock_now(CLOCK_GUEST) + (int64_t)left * TICK_NS);
        } else {
            timer_cancel(hpet->timer[n]);
        }
    }
}

static void arm(HpetState *s, int n)
{
    uint64_t now = counter(s), left = s->comparator[n] - now;

    if (s->timer_config[n] & TIMER_32) {
        left = (uint32_t)left;
        if (left > UINT32_MAX - JUST_MISSED) {
            left = 0;
        }
    } else if (left > UINT64_MAX - JUST_MISSED) {
        left = 0;
    }
    s->target[n] = now + MIN(left, FAR);
    s->armed[n] = s->timer_config[n] & TIMER_ENABLE;
}

/* `periods` of a timer have ended, or its one shot. */
static void fire(Hpet *hpet, int n, uint64_t periods)
{
    HpetState *s = &hpet->s;

    if (!(s->timer_config[n] & TIMER_ENABLE)) {
        return;
    }
    if (s->timer_config[n] & TIMER_LEVEL) {
        s->status |= 1 << n;
    } else {
        line_pulse(route(hpet, n));
        if (route(hpet, n) == hpet->irq0) {
            ticks_ended(hpet->ticks, periods);
        }
    }
}

static void timer_expired(Hpet *hpet, int n)
{
    HpetState *s = &hpet->s;
    uint64_t now = counter(s);

    if (s->armed[n] && (int64_t)(s->target[n] - now) <= 0) {
        uint64_t period = MIN(s->period[n], FAR), ended = 1;

        if ((s->timer_config[n] & TIMER_PERIODIC) && period) {
            ended = (now - s->target[n]) / period + 1;
            s->target[n] += ended * period;
            s->comparator[n] = s->timer_config[n] & TIMER_32 ? (uint32_t)s->target[n] : s->target[n];
        } else {
            s->armed[n] = false;
        }
        fire(hpet, n, ended);
    }
    hpet_update(&hpet->dev);
}

#define TIMER_EXPIRED(n)                         \
    static void timer##n##_expired(void *opaque) \
    {                                            \
        timer_expired(opaque, n);                \
    }
TIMER_EXPIRED(0)
TIMER_EXPIRED(1)
TIMER_EXPIRED(2)

static uint64_t *find_register(HpetState *s, PhysAddr offset)
{
    int n = (int)(offset - REG_TIMERS) / 0x20;

    switch (offset & ~(PhysAddr)7) {
    case REG_CONFIG:
        return &s->config;
    case REG_STATUS:
        return &s->status;
    }
    if (offset < REG_TIMERS || n >= TIMERS) {
        return NULL;
    }
    switch (offset & 0x18) {
    case 0x00:
        return &s->timer_config[n];
    case 0x08:
        return &s->comparator[n];
    default:
        return NULL;
    }
}

static uint64_t read_register(HpetState *s, PhysAddr offset)
{
    const uint64_t *reg = find_register(s, offset);

    if (offset == REG_ID) {
        return HPET_ID | PERIOD_FS << 32;
    }
    if (offset == REG_COUNTER) {
        return counter(s);
    }
    return reg ? *reg : 0;
}

static void write_config(Hpet *hpet, uint64_t value)
{
    HpetState *s = &hpet->s;
    uint64_t old = s->config, now = counter(s);

    s->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
    if (!(old & CONFIG_ENABLE) && running(s)) {
        s->started = (uint64_t)clock_now(CLOCK_GUEST) - now * TICK_NS;
        for (int n = 0; n < TIMERS; n++) {
            arm(s, n);
        }
    } else if ((old & CONFIG_ENABLE) && !running(s)) {
        s->stopped = now;
    }
    if (((old ^ s->config) & CONFIG_LEGACY) && hpet->on_legacy) {
        hpet->on_legacy(hpet->legacy_opaque, s->config & CONFIG_LEGACY);
    }
}

static void write_counter(HpetState *s, uint64_t value)
{
    if (running(s)) { /* not allowed by the specification; it takes effect all the same */
        s->started = (uint64_t)clock_now(CLOCK_GUEST) - value * TICK_NS;
    } else {
        s->stopped = value;
    }
    for (int n = 0; n < TIMERS; n++) {
        arm(s, n);
    }
}

static void write_timer_config(Hpet *hpet, int n, uint64_t value)
{
    HpetState *s = &hpet->s;
    uint64_t old = s->timer_config[n];

    if (route(hpet, n) == hpet->irq0) {
        ticks_forget(hpet->ticks);
    }
    s->timer_config[n] = (old & ~(uint64_t)TIMER_WRITABLE) | (value & TIMER_WRITABLE);
    if (s->timer_config[n] & TIMER_32) {
        s->comparator[n] = (uint32_t)s->comparator[n];
        s->period[n] = (uint32_t)s->period[n];
    }
    arm(s, n);
}

/* In periodic mode a write sets the period, unless the bit before said that it is the comparator. */
static void write_comparator(HpetState *s, int n, uint64_t value)
{
    if (s->timer_config[n] & TIMER_32) {
        value = (uint32_t)value;
    }
    if (!(s->timer_config[n] & TIMER_PERIODIC) || (s->timer_config[n] & TIMER_SET_VALUE)) {
        s->comparator[n] = value;
    }
    if (s->timer_config[n] & TIMER_PERIODIC) {
        s->period[n] = value;
    }
    s->timer_config[n] &= ~(uint64_t)TIMER_SET_VALUE;
    arm(s, n);
}

static void write_register(Hpet *hpet, PhysAddr offset, uint64_t value)
{
    HpetState *s = &hpet->s;
    int n = (int)(offset - REG_TIMERS) / 0x20;

    switch (offset) {
    case REG_CONFIG:
        write_config(hpet, value);
        break;
    case REG_STATUS:
        s->status &= ~value;
        break;
    case REG_COUNTER:
        write_counter(s, value);
        break;
    default:
        if (offset >= REG_TIMERS && n < TIMERS) {
            if ((offset & 0x18) == 0) {
                write_timer_config(hpet, n, value);
            } else if ((offset & 0x18) == 8) {
                write_comparator(s, n, value);
            }
        }
        break;
    }
    hpet_update(&hpet->dev);
}

static uint64_t window_read(void *opaque, PhysAddr offset, unsigned size)
{
    uint64_t value = read_register(&((Hpet *)opaque)->s, offset & ~(PhysAddr)7);

    return value >> (offset & 4) * 8;
}

/* Halves of a register are merged with what the other half has. */
static void window_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Hpet *hpet = opaque;
    PhysAddr reg = offset & ~(PhysAddr)7;

    if (size == 4 && reg == REG_STATUS) {
        value = offset & 4 ? 0 : value;
    } else if (size == 4) {
        uint64_t old = read_register(&hpet->s, reg);

        value = offset & 4 ? (uint32_t)old | value << 32 : (old & ~UINT64_C(0xffffffff)) | value;
    }
    write_register(hpet, reg, value);
}

static const RegionOps window_ops = {
    .read = window_read,
    .write = window_write,
    .min_size = 4,
    .max_size = 8,
};

void hpet_connect(Device *dev, Line *const inputs[24], Line *irq0, Line *irq8)
{
    Hpet *hpet = (Hpet *)dev;

    for (int n = 0; n < 24; n++) {
        hpet->inputs[n] = inputs[n];
    }
    hpet->irq0 = irq0;
    hpet->irq8 = irq8;
}

void hpet_set_ticks(Device *dev, Ticks *ticks)
{
    ((Hpet *)dev)->ticks = ticks;
}

void hpet_on_legacy(Device *dev, void (*fn)(void *opaque, bool on), void *opaque)
{
    ((Hpet *)dev)->on_legacy = fn;
    ((Hpet *)dev)->legacy_opaque = opaque;
}

static bool hpet_realize(Device *dev, GError **error)
{
    Hpet *hpet = (Hpet *)dev;
    static TimerFn *const expired[] = { timer0_expired, timer1_expired, timer2_expired };

    for (int n = 0; n < TIMERS; n++) {
        hpet->timer[n] = timer_new(CLOCK_GUEST, expired[n], hpet);
    }
    hpet->window = region_new_io("hpet", &window_ops, hpet, HPET_SIZE);
    region_add_overlap(memory_system_root(), HPET_BASE, hpet->window, 1);
    return true;
}

static void tell_legacy(Hpet *hpet)
{
    if (hpet->on_legacy) {
        hpet->on_legacy(hpet->legacy_opaque, hpet->s.config & CONFIG_LEGACY);
    }
}

static void hpet_reset(Device *dev)
{
    tell_legacy((Hpet *)dev);
}

static bool hpet_post_load(Device *dev, GError **error)
{
    tell_legacy((Hpet *)dev);
    return true;
}

const DeviceType hpet_type = {
    .name = "hpet",
    .about = "high precision event timer",
    .bus = "system",
    .size = sizeof(Hpet),
    .state_at = offsetof(Hpet, s),
    .state = HpetState_fields,
    .realize = hpet_realize,
    .reset = hpet_reset,
    .post_load = hpet_post_load,
    .update = hpet_update,
};
