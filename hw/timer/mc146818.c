/*
 * MC146818 real-time clock with its battery-backed memory (CMOS).
 *
 * Manual: Motorola MC146818A data sheet. The time is guest time plus an offset; its registers are
 * filled in when the guest looks at them, and flags of seconds that went by are caught up then.
 */
#include "hw/timer/mc146818.h"

#include "core/clock.h"
#include "core/machine.h"
#include "core/memory.h"
#include "util/bits.h"
#include "util/error.h"

#include <time.h>

enum {
    REG_SECONDS, REG_SECONDS_ALARM, REG_MINUTES, REG_MINUTES_ALARM, REG_HOURS, REG_HOURS_ALARM,
    REG_WEEKDAY, REG_DAY, REG_MONTH, REG_YEAR, REG_A, REG_B, REG_C, REG_D, REG_CENTURY = 0x32,
};
enum { A_UIP = 0x80, A_DIVIDER = 0x70, A_RATE = 0x0f, A_DIVIDER_RESET = 0x60 };
enum { B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_BINARY = 0x04, B_24H = 0x02 };
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };
enum { D_VALID = 0x80 };

#define UIP_NS (244 * NS_PER_US) /* before the update */
#define RTC_HZ 32768
#define OFFSET_MAX_SECONDS (INT64_C(231) * 366 * 86400) /* a guest can set 1970 to 2200 */

#define RTC_STATE(FIELD, ARRAY)                     \
    FIELD(uint8_t, index, 0)      /* of port 71 */  \
    FIELD(bool, nmi_masked, false)

DEFINE_STATE(RtcState, RTC_STATE);

/* What the battery keeps through a reset. */
#define RTC_BATTERY(FIELD, ARRAY)                                                         \
    ARRAY(uint8_t, cmos, 128, 0)                                                          \
    FIELD(int64_t, offset, 0)       /* ns that the guest set the clock ahead */           \
    FIELD(int64_t, seen_second, 0)  /* the last one whose update has been flagged */      \
    FIELD(int64_t, seen_period, 0)  /* likewise of the periodic rate */

DEFINE_STATE(RtcBattery, RTC_BATTERY);

typedef struct Rtc {
    Device dev;
    RtcState s;
    RtcBattery b;
    uint32_t iobase;
    Region *ports;
    Timer *timer;
    Line *irq; /* wiring */
} Rtc;

static void rtc_update(Device *dev);

/* Nanoseconds since 1970 by this clock. */
static int64_t rtc_now(const Rtc *rtc)
{
    return clock_base() * NS_PER_SECOND + clock_now(CLOCK_GUEST) + rtc->b.offset;
}

static bool frozen(const Rtc *rtc)
{
    return (rtc->b.cmos[REG_B] & B_SET) ||
           (rtc->b.cmos[REG_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;
}

static uint8_t encode(const Rtc *rtc, unsigned value)
{
    return rtc->b.cmos[REG_B] & B_BINARY ? value : value / 10 % 10 << 4 | value % 10;
}

static unsigned decode(const Rtc *rtc, uint8_t value)
{
    return rtc->b.cmos[REG_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static uint8_t encode_hour(const Rtc *rtc, unsigned hour)
{
    if (rtc->b.cmos[REG_B] & B_24H) {
        return encode(rtc, hour);
    }
    return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

static unsigned decode_hour(const Rtc *rtc, uint8_t value)
{
    if (rtc->b.cmos[REG_B] & B_24H) {
        return decode(rtc, value);
    }
    return decode(rtc, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

static void time_to_registers(Rtc *rtc)
{
    time_t seconds = rtc_now(rtc) / NS_PER_SECOND;
    uint8_t *r = rtc->b.cmos;
    struct tm tm;

    gmtime_r(&seconds, &tm);
    r[REG_SECONDS] = encode(rtc, tm.tm_sec);
    r[REG_MINUTES] = encode(rtc, tm.tm_min);
    r[REG_HOURS] = encode_hour(rtc, tm.tm_hour);
    r[REG_WEEKDAY] = encode(rtc, tm.tm_wday + 1);
    r[REG_DAY] = encode(rtc, tm.tm_mday);
    r[REG_MONTH] = encode(rtc, tm.tm_mon + 1);
    r[REG_YEAR] = encode(rtc, tm.tm_year % 100);
    r[REG_CENTURY] = (tm.tm_year + 1900) / 1000 << 4 | (tm.tm_year + 1900) / 100 % 10;
}

static void registers_to_time(Rtc *rtc)
{
    const uint8_t *r = rtc->b.cmos;
    int64_t fraction = rtc_now(rtc) % NS_PER_SECOND;
    unsigned century = (r[REG_CENTURY] >> 4) * 10 + (r[REG_CENTURY] & 15);
    int year = decode(rtc, r[REG_YEAR]) + century * 100;
    /* Fields beyond their range stand at its end: so the offset stays within its bounds. */
    struct tm tm = {
        .tm_sec = MIN(decode(rtc, r[REG_SECONDS]), 59),
        .tm_min = MIN(decode(rtc, r[REG_MINUTES]), 59),
        .tm_hour = MIN(decode_hour(rtc, r[REG_HOURS]), 23),
        .tm_mday = CLAMP(decode(rtc, r[REG_DAY]), 1, 31),
        .tm_mon = (int)CLAMP(decode(rtc, r[REG_MONTH]), 1, 12) - 1,
        .tm_year = CLAMP(year, 1970, 2200) - 1900, /* what 64 bits of nanoseconds hold */
    };
    int64_t wanted = (int64_t)timegm(&tm) * NS_PER_SECOND + fraction;

    rtc->b.offset += wanted - rtc_now(rtc);
    rtc->b.seen_second = wanted / NS_PER_SECOND;
}

/* In input clocks of 32768 Hz; 0: no periodic flag. */
static unsigned period(const Rtc *rtc)
{
    unsigned rate = rtc->b.cmos[REG_A] & A_RATE;

    if (!rate || (rtc->b.cmos[REG_A] & A_DIVIDER) != 0x20) {
        return 0;
    }
    return 1 << ((rate <= 2 ? rate + 7 : rate) - 1);
}

static int64_t periods_so_far(unsigned clocks)
{
    return mul_div(clock_now(CLOCK_GUEST), RTC_HZ, NS_PER_SECOND) / clocks;
}

static bool alarm_matches(const Rtc *rtc, int64_t second)
{
    const uint8_t *r = rtc->b.cmos;
    unsigned of_day = second % 86400;

    return ((r[REG_SECONDS_ALARM] & 0xc0) == 0xc0 ||
            decode(rtc, r[REG_SECONDS_ALARM]) == of_day % 60) &&
           ((r[REG_MINUTES_ALARM] & 0xc0) == 0xc0 ||
            decode(rtc, r[REG_MINUTES_ALARM]) == of_day / 60 % 60) &&
           ((r[REG_HOURS_ALARM] & 0xc0) == 0xc0 ||
            decode_hour(rtc, r[REG_HOURS_ALARM]) == of_day / 3600);
}

/* Sets the flags of what happened since the last look. */
static void catch_up(Rtc *rtc)
{
    uint8_t *c = &rtc->b.cmos[REG_C];
    int64_t second = rtc_now(rtc) / NS_PER_SECOND;
    unsigned clocks = period(rtc);

    if (!frozen(rtc) && second > rtc->b.seen_second) {
        int64_t from = MAX(rtc->b.seen_second + 1, second - 86399);

        *c |= C_UF;
        for (int64_t t = from; t <= second && !(*c & C_AF); t++) {
            *c |= alarm_matches(rtc, t) ? C_AF : 0;
        }
    }
    if (!frozen(rtc)) {
        rtc->b.seen_second = second;
    }
    if (clocks) {
        int64_t periods = periods_so_far(clocks);

        *c |= periods != rtc->b.seen_period ? C_PF : 0;
        rtc->b.seen_period = periods;
    }
}

static int64_t next_deadline(const Rtc *rtc)
{
    int64_t now = clock_now(CLOCK_GUEST), at = INT64_MAX;
    uint8_t b = rtc->b.cmos[REG_B];
    unsigned clocks = period(rtc);

    if ((b & B_PIE) && clocks) {
        unsigned __int128 edge = (unsigned __int128)(rtc->b.seen_period + 1) * clocks;

        at = (edge * NS_PER_SECOND + RTC_HZ - 1) / RTC_HZ;
    }
    if ((b & (B_AIE | B_UIE)) && !frozen(rtc)) {
        at = MIN(at, now + NS_PER_SECOND - rtc_now(rtc) % NS_PER_SECOND);
    }
    return at;
}

static void rtc_update(Device *dev)
{
    Rtc *rtc = (Rtc *)dev;
    uint8_t *r = rtc->b.cmos;
    int64_t at;

    r[REG_C] &= ~C_IRQF;
    if (r[REG_C] & r[REG_B] & (C_PF | C_AF | C_UF)) {
        r[REG_C] |= C_IRQF;
    }
    line_set(rtc->irq, r[REG_C] & C_IRQF);
    at = next_deadline(rtc);
    if (at == INT64_MAX) {
        timer_cancel(rtc->timer);
    } else {
        timer_set(rtc->timer, at);
    }
}

static void timer_expired(void *opaque)
{
    catch_up(opaque);
    rtc_update(opaque);
}

static bool is_time_register(uint8_t index)
{
    return index == REG_SECONDS || index == REG_MINUTES || index == REG_HOURS ||
           (index >= REG_WEEKDAY && index <= REG_YEAR) || index == REG_CENTURY;
}

static uint8_t read_register(Rtc *rtc, uint8_t index)
{
    uint8_t value;

    if (is_time_register(index) && !frozen(rtc)) {
        time_to_registers(rtc);
    }
    if (index == REG_A) {
        bool soon = rtc_now(rtc) % NS_PER_SECOND >= NS_PER_SECOND - UIP_NS;

        return rtc->b.cmos[REG_A] | (soon && !frozen(rtc) ? A_UIP : 0);
    }
    if (index == REG_C) {
        catch_up(rtc);
        rtc_update(&rtc->dev);
        value = rtc->b.cmos[REG_C];
        rtc->b.cmos[REG_C] = 0;
        rtc_update(&rtc->dev);
        return value;
    }
    return index == REG_D ? D_VALID : rtc->b.cmos[index];
}

/* Registers A and B: the time stops while it is set, and goes on from what was written. */
static void write_control(Rtc *rtc, uint8_t index, uint8_t value)
{
    bool was_frozen = frozen(rtc);

    catch_up(rtc);
    if (!was_frozen) {
        time_to_registers(rtc);
    }
    if (index == REG_A) {
        rtc->b.cmos[REG_A] = value & ~A_UIP;
    } else {
        rtc->b.cmos[REG_B] = value & B_SET ? value & ~B_UIE : value;
    }
    if (was_frozen && !frozen(rtc)) {
        registers_to_time(rtc);
    }
    if (period(rtc)) {
        rtc->b.seen_period = periods_so_far(period(rtc));
    }
    rtc_update(&rtc->dev);
}

static void write_register(Rtc *rtc, uint8_t index, uint8_t value)
{
    switch (index) {
    case REG_A:
    case REG_B:
        write_control(rtc, index, value);
        return;
    case REG_C:
    case REG_D:
        return;
    }
    if (!is_time_register(index)) {
        rtc->b.cmos[index] = value;
    } else if (frozen(rtc)) {
        rtc->b.cmos[index] = value;
    } else {
        time_to_registers(rtc);
        rtc->b.cmos[index] = value;
        registers_to_time(rtc);
    }
    rtc_update(&rtc->dev);
}

static uint64_t rtc_read(void *opaque, PhysAddr offset, unsigned size)
{
    Rtc *rtc = opaque;

    return offset == 0 ? 0xff : read_register(rtc, rtc->s.index);
}

static void rtc_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Rtc *rtc = opaque;

    if (offset == 0) {
        rtc->s.index = value & 0x7f;
        rtc->s.nmi_masked = value & 0x80;
    } else {
        write_register(rtc, rtc->s.index, value);
    }
}

static const RegionOps rtc_ops = { .read = rtc_read, .write = rtc_write, .max_size = 1 };

void mc146818_connect(Device *dev, Line *irq)
{
    ((Rtc *)dev)->irq = irq;
    rtc_update(dev);
}

void mc146818_set_byte(Device *dev, uint8_t index, uint8_t value)
{
    ((Rtc *)dev)->b.cmos[index & 0x7f] = value;
}

uint8_t mc146818_get_byte(Device *dev, uint8_t index)
{
    return ((Rtc *)dev)->b.cmos[index & 0x7f];
}

bool mc146818_nmi_masked(Device *dev)
{
    return ((Rtc *)dev)->s.nmi_masked;
}

static bool rtc_realize(Device *dev, GError **error)
{
    Rtc *rtc = (Rtc *)dev;

    rtc->b.cmos[REG_A] = 0x26; /* 32768 Hz crystal, 1024 Hz periodic */
    rtc->b.cmos[REG_B] = B_24H;
    rtc->timer = timer_new(CLOCK_GUEST, timer_expired, rtc);
    rtc->b.seen_second = rtc_now(rtc) / NS_PER_SECOND;
    rtc->ports = region_new_io("rtc", &rtc_ops, rtc, 2);
    region_add(memory_ports_root(), rtc->iobase, rtc->ports);
    return true;
}

static void rtc_reset(Device *dev)
{
    Rtc *rtc = (Rtc *)dev;

    rtc->b.cmos[REG_B] &= ~(B_PIE | B_AIE | B_UIE);
    rtc->b.cmos[REG_C] = 0;
}

static void rtc_save_extra(Device *dev, GKeyFile *out)
{
    g_autofree char *group = g_strconcat(dev->id, ".battery", NULL);

    state_save(RtcBattery_fields, &((Rtc *)dev)->b, out, group);
}

static bool rtc_load_extra(Device *dev, GKeyFile *in, GError **error)
{
    g_autofree char *group = g_strconcat(dev->id, ".battery", NULL);

    return state_load(RtcBattery_fields, &((Rtc *)dev)->b, in, group, error);
}

static bool rtc_post_load(Device *dev, GError **error)
{
    Rtc *rtc = (Rtc *)dev;

    if (ABS(rtc->b.offset / NS_PER_SECOND) > OFFSET_MAX_SECONDS) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad time of '%s'", dev->id);
        rtc->b.offset = 0;
        return false;
    }
    rtc->s.index &= 0x7f;
    return true;
}

static const Prop rtc_props[] = {
    PROP(Rtc, iobase, "iobase", PROP_U32, "0x70", "first of its two ports"),
    { NULL },
};

const DeviceType mc146818_type = {
    .name = "mc146818rtc",
    .about = "MC146818 real-time clock and CMOS memory",
    .bus = "system",
    .size = sizeof(Rtc),
    .state_at = offsetof(Rtc, s),
    .state = RtcState_fields,
    .props = rtc_props,
    .realize = rtc_realize,
    .reset = rtc_reset,
    .save_extra = rtc_save_extra,
    .load_extra = rtc_load_extra,
    .post_load = rtc_post_load,
    .update = rtc_update,
};
