/*
 * 8254 programmable interval timer: three counters whose outputs are functions of guest time.
 *
 * Manual: Intel 8254 data sheet (231164). Counting is not simulated: a counter remembers when it
 * was loaded, and values, outputs and the next edge are computed from the clock.
 */
#include "hw/timer/i8254.h"

#include "core/clock.h"
#include "core/irqchip.h"
#include "core/memory.h"
#include "util/bits.h"

#include <linux/kvm.h>

enum { CHANNELS = 3 };
enum { RW_LATCH = 0, RW_LOW = 1, RW_HIGH = 2, RW_BOTH = 3 };
enum { STATUS_OUT = 0x80, STATUS_NULL = 0x40 };

#define PIT_STATE(FIELD, ARRAY)                                                          \
    ARRAY(uint8_t, mode, CHANNELS, 0)                                                    \
    ARRAY(bool, bcd, CHANNELS, false)                                                    \
    ARRAY(uint8_t, access, CHANNELS, RW_BOTH)                                            \
    ARRAY(uint32_t, count, CHANNELS, 0x10000)  /* as loaded: 1 - 65536 */                \
    ARRAY(bool, armed, CHANNELS, false)        /* a count was written after the mode */  \
    ARRAY(bool, triggered, CHANNELS, false)    /* modes 1 and 5: the gate rose */        \
    ARRAY(int64_t, start, CHANNELS, 0)         /* guest time of the load */              \
    ARRAY(int64_t, paused, CHANNELS, -1)       /* ns counted when the gate fell */       \
    ARRAY(uint64_t, periods, CHANNELS, 0)      /* ends of periods signalled */           \
    ARRAY(bool, gate, CHANNELS, true)                                                    \
    ARRAY(bool, write_high, CHANNELS, false)   /* the next byte is the high one */       \
    ARRAY(bool, read_high, CHANNELS, false)                                              \
    ARRAY(uint8_t, write_low, CHANNELS, 0)                                               \
    ARRAY(uint8_t, latched, CHANNELS, 0)       /* bytes of the latch still to be read */ \
    ARRAY(uint16_t, latch, CHANNELS, 0)                                                  \
    ARRAY(bool, status_latched, CHANNELS, false)                                         \
    ARRAY(uint8_t, status, CHANNELS, 0)                                                  \
    FIELD(bool, muted, false)                  /* the HPET has the interrupt */

DEFINE_STATE(PitState, PIT_STATE);

typedef struct Pit {
    Device dev;
    PitState s;
    uint32_t iobase;
    Region *ports;
    Timer *timer[CHANNELS];
    Line *out[CHANNELS]; /* wiring */
    Ticks *ticks;
    bool speaker;        /* port 61's other bit, for an engine that has that port too */
} Pit;

static void update_channel(Pit *pit, int c);

static int64_t ticks_to_ns(uint64_t ticks)
{
    return ((unsigned __int128)ticks * NS_PER_SECOND + I8254_HZ - 1) / I8254_HZ;
}

/* Input clocks since the count was loaded, the gate's pauses left out. */
static uint64_t elapsed(const PitState *s, int c)
{
    int64_t ns = s->paused[c] >= 0 ? s->paused[c] : clock_now(CLOCK_GUEST) - s->start[c];

    return ns <= 0 ? 0 : mul_div(ns, I8254_HZ, NS_PER_SECOND);
}

static bool oscillates(const PitState *s, int c)
{
    return s->armed[c] && (s->mode[c] == 2 || s->mode[c] == 3);
}

static bool is_strobe(const PitState *s, int c)
{
    return s->armed[c] && (s->mode[c] == 4 || (s->mode[c] == 5 && s->triggered[c]));
}

static bool output(const PitState *s, int c)
{
    uint64_t d = elapsed(s, c), count = s->count[c];

    if (!s->armed[c]) {
        return s->mode[c] != 0;
    }
    switch (s->mode[c]) {
    case 0:
        return d >= count;
    case 1:
        return !s->triggered[c] || d >= count;
    case 2:
        return !s->gate[c] || d % count != count - 1;
    case 3:
        return !s->gate[c] || d % count < (count + 1) / 2;
    case 4:
        return d != count;
    default:
        return !s->triggered[c] || d != count;
    }
}

static uint16_t to_bcd(unsigned v)
{
    return v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12;
}

static unsigned from_bcd(uint16_t v)
{
    return (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 + (v >> 12) * 1000;
}

static uint16_t counter(const PitState *s, int c)
{
    uint64_t d = elapsed(s, c), count = s->count[c], value;

    switch (s->mode[c]) {
    case 2:
        value = count - d % count;
        break;
    case 3:
        value = count - d * 2 % count;
        break;
    default:
        value = count - d;
        break;
    }
    if (s->bcd[c]) {
        return to_bcd((value % 10000 + 10000) % 10000);
    }
    return value;
}

/* Clocks from the load to the next change of the output after `d`; UINT64_MAX: never. */
static uint64_t next_edge(const PitState *s, int c, uint64_t d)
{
    uint64_t count = s->count[c], period = d - d % count;

    if (!s->armed[c] || s->paused[c] >= 0) {
        return UINT64_MAX;
    }
    switch (s->mode[c]) {
    case 0:
        return d < count ? count : UINT64_MAX;
    case 1:
        return s->triggered[c] && d < count ? count : UINT64_MAX;
    case 2:
        return s->gate[c] ? period + count : UINT64_MAX;
    case 3:
        if (!s->gate[c]) {
            return UINT64_MAX;
        }
        return period + (d - period < (count + 1) / 2 ? (count + 1) / 2 : count);
    default:
        if (s->mode[c] == 5 && !s->triggered[c]) {
            return UINT64_MAX;
        }
        return s->periods[c] ? UINT64_MAX : count;
    }
}

/* A period begins with a rising edge: the low clock before it is too short to show, or whoever runs the timer came too late for it. */
static void begin_period(Pit *pit, int c, uint64_t periods)
{
    PitState *s = &pit->s;
    uint64_t ended = periods - s->periods[c];

    s->periods[c] = periods;
    line_set(pit->out[c], false);
    line_set(pit->out[c], true);
    if (c == 0) {
        ticks_ended(pit->ticks, ended);
    }
}

static void drive_output(Pit *pit, int c, uint64_t d)
{
    PitState *s = &pit->s;

    if (oscillates(s, c) && s->gate[c]) {
        uint64_t periods = d / s->count[c];

        if (periods != s->periods[c]) {
            begin_period(pit, c, periods);
        }
        line_set(pit->out[c], s->mode[c] == 2 || output(s, c));
    } else if (is_strobe(s, c)) {
        /* Whoever runs the timer is late for the one low clock of the strobe. */
        if (d >= s->count[c] && !s->periods[c]) {
            s->periods[c] = 1;
            line_set(pit->out[c], false);
        }
        line_set(pit->out[c], true);
    } else {
        line_set(pit->out[c], output(s, c));
    }
}

static void update_channel(Pit *pit, int c)
{
    PitState *s = &pit->s;
    uint64_t d = elapsed(s, c), next;

    if (!pit->out[c] || (c == 0 && s->muted)) {
        timer_cancel(pit->timer[c]);
        return;
    }
    drive_output(pit, c, d);
    next = next_edge(s, c, d);
    if (next == UINT64_MAX) {
        timer_cancel(pit->timer[c]);
    } else {
        timer_set(pit->timer[c], s->start[c] + ticks_to_ns(next));
    }
}

/* ---- an engine's timer in place of this one ---- */

enum { KERNEL_NONE, KERNEL_LOW, KERNEL_HIGH, KERNEL_FIRST, KERNEL_SECOND }; /* which byte is next */
enum { KERNEL_IDLE = 0xff }; /* mode of a channel that does nothing */

static uint8_t kernel_turn(uint8_t access, bool second)
{
    return access != RW_BOTH ? access : second ? KERNEL_SECOND : KERNEL_FIRST;
}

static void hand_over(Pit *pit)
{
    PitState *s = &pit->s;
    struct kvm_pit_state2 k = {
        .flags = (s->muted ? KVM_PIT_FLAGS_HPET_LEGACY : 0) | (pit->speaker ? KVM_PIT_FLAGS_SPEAKER_DATA_ON : 0),
    };

    for (int c = 0; c < CHANNELS; c++) {
        bool untouched = !s->armed[c] && s->mode[c] == 0 && s->access[c] == RW_BOTH;

        k.channels[c] = (struct kvm_pit_channel_state){
            .count = s->count[c], .mode = untouched ? KERNEL_IDLE : s->mode[c], .bcd = s->bcd[c], .gate = s->gate[c],
            .rw_mode = s->access[c], .read_state = kernel_turn(s->access[c], s->read_high[c]),
            .write_state = kernel_turn(s->access[c], s->write_high[c]), .write_latch = s->write_low[c],
            .latched_count = s->latch[c], .status_latched = s->status_latched[c], .status = s->status[c],
            .count_load_time = clock_now(CLOCK_GUEST) - s->start[c],
            .count_latched = !s->latched[c]              ? KERNEL_NONE
                             : s->access[c] != RW_BOTH   ? s->access[c]
                             : s->latched[c] == 2        ? KERNEL_FIRST
                                                         : KERNEL_HIGH,
        };
    }
    irqchip->set(IRQCHIP_PIT, &k);
}

static void pit_fetch(Device *dev)
{
    Pit *pit = (Pit *)dev;
    PitState *s = &pit->s;
    struct kvm_pit_state2 k = { 0 };

    if (!irqchip_has_pic()) {
        return;
    }
    irqchip->get(IRQCHIP_PIT, &k);
    for (int c = 0; c < CHANNELS; c++) {
        const struct kvm_pit_channel_state *from = &k.channels[c];

        s->armed[c] = s->triggered[c] = from->mode <= 5;
        s->mode[c] = from->mode <= 5 ? from->mode : 0;
        s->count[c] = CLAMP(from->count, 1, 0x10000);
        s->bcd[c] = from->bcd;
        s->gate[c] = from->gate;
        s->access[c] = CLAMP(from->rw_mode, RW_LOW, RW_BOTH);
        s->read_high[c] = from->read_state == KERNEL_SECOND || (from->count_latched == KERNEL_HIGH && s->access[c] == RW_BOTH);
        s->write_high[c] = from->write_state == KERNEL_SECOND;
        s->write_low[c] = from->write_latch;
        s->latch[c] = from->latched_count;
        s->latched[c] = from->count_latched == KERNEL_FIRST ? 2 : from->count_latched != KERNEL_NONE;
        s->status_latched[c] = from->status_latched;
        s->status[c] = from->status;
        s->start[c] = clock_now(CLOCK_GUEST) - (int64_t)from->count_load_time;
        s->paused[c] = -1;
        s->periods[c] = oscillates(s, c) ? elapsed(s, c) / s->count[c] : elapsed(s, c) >= s->count[c];
    }
    s->muted = k.flags & KVM_PIT_FLAGS_HPET_LEGACY;
    pit->speaker = k.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON;
}

static void pit_update(Device *dev)
{
    if (irqchip_has_pic()) {
        hand_over((Pit *)dev);
        for (int c = 0; c < CHANNELS; c++) {
            timer_cancel(((Pit *)dev)->timer[c]);
        }
        return;
    }
    for (int c = 0; c < CHANNELS; c++) {
        update_channel((Pit *)dev, c);
    }
}

static void load_count(Pit *pit, int c, uint16_t value)
{
    PitState *s = &pit->s;
    unsigned count = s->bcd[c] ? from_bcd(value) : value;

    s->count[c] = count ? count : s->bcd[c] ? 10000 : 0x10000;
    if (s->count[c] == 1 && (s->mode[c] == 2 || s->mode[c] == 3)) {
        s->count[c] = 2; /* not allowed by the manual; a period needs two levels */
    }
    s->armed[c] = true;
    s->periods[c] = 0;
    if (c == 0) {
        ticks_forget(pit->ticks);
    }
    if (s->mode[c] != 1 && s->mode[c] != 5) {
        s->start[c] = clock_now(CLOCK_GUEST);
        s->paused[c] = !s->gate[c] && (s->mode[c] == 0 || s->mode[c] == 4) ? 0 : -1;
    }
    update_channel(pit, c);
}

static void latch_count(PitState *s, int c)
{
    if (!s->latched[c]) {
        s->latch[c] = counter(s, c);
        s->latched[c] = s->access[c] == RW_BOTH ? 2 : 1;
    }
}

static void latch_status(PitState *s, int c)
{
    if (!s->status_latched[c]) {
        s->status[c] = (output(s, c) ? STATUS_OUT : 0) | (s->armed[c] ? 0 : STATUS_NULL) |
                       s->access[c] << 4 | s->mode[c] << 1 | s->bcd[c];
        s->status_latched[c] = true;
    }
}

static void read_back(PitState *s, uint8_t value)
{
    for (int c = 0; c < CHANNELS; c++) {
        if (value & 2 << c) {
            if (!(value & 0x20)) {
                latch_count(s, c);
            }
            if (!(value & 0x10)) {
                latch_status(s, c);
            }
        }
    }
}

static void write_control(Pit *pit, uint8_t value)
{
    PitState *s = &pit->s;
    int c = value >> 6, access = value >> 4 & 3, mode = value >> 1 & 7;

    if (c == CHANNELS) {
        read_back(s, value);
        return;
    }
    if (access == RW_LATCH) {
        latch_count(s, c);
        return;
    }
    s->access[c] = access;
    s->mode[c] = mode > 5 ? mode - 4 : mode; /* 6 and 7 are 2 and 3 */
    s->bcd[c] = value & 1;
    s->armed[c] = false;
    s->triggered[c] = false;
    s->write_high[c] = s->read_high[c] = false;
    s->latched[c] = 0;
    s->status_latched[c] = false;
    update_channel(pit, c);
}

static void pit_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Pit *pit = opaque;
    PitState *s = &pit->s;
    int c = offset;

    if (c == CHANNELS) {
        write_control(pit, value);
        return;
    }
    switch (s->access[c]) {
    case RW_LOW:
        load_count(pit, c, value);
        break;
    case RW_HIGH:
        load_count(pit, c, value << 8);
        break;
    default:
        if (s->write_high[c]) {
            load_count(pit, c, value << 8 | s->write_low[c]);
        } else {
            s->write_low[c] = value;
        }
        s->write_high[c] = !s->write_high[c];
        break;
    }
}

static uint64_t pit_read(void *opaque, PhysAddr offset, unsigned size)
{
    PitState *s = &((Pit *)opaque)->s;
    int c = offset;
    uint16_t value;

    if (c == CHANNELS) {
        return 0xff; /* the control word cannot be read */
    }
    if (s->status_latched[c]) {
        s->status_latched[c] = false;
        return s->status[c];
    }
    value = s->latched[c] ? s->latch[c] : counter(s, c);
    if (s->latched[c]) {
        s->latched[c]--;
    }
    if (s->access[c] == RW_BOTH) {
        s->read_high[c] = !s->read_high[c];
        return s->read_high[c] ? value & 0xff : value >> 8;
    }
    return s->access[c] == RW_HIGH ? value >> 8 : value & 0xff;
}

static const RegionOps pit_ops = { .read = pit_read, .write = pit_write, .max_size = 1 };

void i8254_connect(Device *dev, int channel, Line *out)
{
    Pit *pit = (Pit *)dev;

    pit->out[channel] = out;
    pit_update(dev);
}

void i8254_set_ticks(Device *dev, Ticks *ticks)
{
    ((Pit *)dev)->ticks = ticks;
}

void i8254_set_gate(Device *dev, int c, bool level)
{
    Pit *pit = (Pit *)dev;
    PitState *s = &pit->s;
    bool rises = level && !s->gate[c];
    int64_t now = clock_now(CLOCK_GUEST);

    if (level == s->gate[c]) {
        return;
    }
    s->gate[c] = level;
    switch (s->mode[c]) {
    case 0:
    case 4:
        if (rises) {
            s->start[c] = now - MAX(s->paused[c], 0);
            s->paused[c] = -1;
        } else {
            s->paused[c] = now - s->start[c];
        }
        break;
    case 1:
    case 5:
        s->triggered[c] |= rises;
        s->start[c] = rises ? now : s->start[c];
        s->periods[c] = rises ? 0 : s->periods[c];
        break;
    default:
        s->start[c] = rises ? now : s->start[c];
        s->periods[c] = rises ? 0 : s->periods[c];
        break;
    }
    update_channel(pit, c);
}

void i8254_get_port61(Device *dev, bool *gate, bool *speaker)
{
    device_fetch(dev);
    *gate = ((Pit *)dev)->s.gate[2];
    *speaker = ((Pit *)dev)->speaker;
}

void i8254_set_port61(Device *dev, bool gate, bool speaker)
{
    device_fetch(dev);
    ((Pit *)dev)->s.gate[2] = gate;
    ((Pit *)dev)->speaker = speaker;
    pit_update(dev);
}

bool i8254_output(Device *dev, int channel)
{
    return output(&((Pit *)dev)->s, channel);
}

uint32_t i8254_period(Device *dev, int channel)
{
    const PitState *s = &((Pit *)dev)->s;

    return oscillates(s, channel) && s->gate[channel] ? s->count[channel] : 0;
}

void i8254_set_muted(Device *dev, bool muted)
{
    Pit *pit = (Pit *)dev;

    device_fetch(dev);
    if (pit->s.muted != muted) {
        pit->s.muted = muted;
        line_set(pit->out[0], false);
        if (oscillates(&pit->s, 0)) {
            pit->s.periods[0] = elapsed(&pit->s, 0) / pit->s.count[0];
        }
        pit_update(dev);
    }
}

#define CHANNEL_EXPIRED(n)                       \
    static void channel##n##_expired(void *opaque) \
    {                                            \
        update_channel(opaque, n);               \
    }
CHANNEL_EXPIRED(0)
CHANNEL_EXPIRED(1)
CHANNEL_EXPIRED(2)

static bool pit_realize(Device *dev, GError **error)
{
    Pit *pit = (Pit *)dev;
    static TimerFn *const expired[] = { channel0_expired, channel1_expired, channel2_expired };

    for (int c = 0; c < CHANNELS; c++) {
        pit->timer[c] = timer_new(CLOCK_GUEST, expired[c], pit);
    }
    pit->ports = region_new_io("i8254", &pit_ops, pit, 4);
    region_add(memory_ports_root(), pit->iobase, pit->ports);
    return true;
}

static bool pit_post_load(Device *dev, GError **error)
{
    PitState *s = &((Pit *)dev)->s;

    for (int c = 0; c < CHANNELS; c++) {
        s->mode[c] = MIN(s->mode[c], 5);
        s->access[c] = CLAMP(s->access[c], RW_LOW, RW_BOTH);
        s->count[c] = CLAMP(s->count[c], 1, 0x10000);
    }
    return true;
}

static const Prop pit_props[] = {
    PROP(Pit, iobase, "iobase", PROP_U32, "0x40", "first of its four ports"),
    { NULL },
};

const DeviceType i8254_type = {
    .name = "i8254",
    .about = "8254 programmable interval timer",
    .bus = "system",
    .size = sizeof(Pit),
    .state_at = offsetof(Pit, s),
    .state = PitState_fields,
    .props = pit_props,
    .realize = pit_realize,
    .post_load = pit_post_load,
    .update = pit_update,
    .fetch = pit_fetch,
};
