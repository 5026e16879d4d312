/*
 * Time base and decrementers on the machine's clock.
 *
 * Programs read the time base so often that the host's clock_gettime would be most of it. So for some milliseconds at a time
 * the time base is a straight line over the host's counter. Who finds the line at its end asks the clock, and begins the next
 * one: where the clock is, or, if that would be back, where the last line ended, with a slope that meets the clock at the
 * end. All processors have copies of the same line, so that none sees another's time before its own.
 */
#include <cpuid.h>
#include <x86gprintrin.h>

#include "core/clock.h"
#include "core/machine.h"
#include "target/ppc/booke.h"
#include "util/bits.h"

#include <stdatomic.h>

static int64_t ticks_now(const PpcState *s)
{
    uint64_t now = clock_now(CLOCK_GUEST), seconds = now / NS_PER_SECOND;

    return seconds * s->tb_frequency + (now - seconds * NS_PER_SECOND) * s->tb_frequency / NS_PER_SECOND;
}

/* The clock's time when so many ticks have gone by. */
static int64_t time_of_ticks(const PpcState *s, int64_t ticks)
{
    __int128 ns = (__int128)ticks * NS_PER_SECOND / s->tb_frequency + 1;

    return ns > INT64_MAX ? INT64_MAX : (int64_t)ns;
}

enum { LINE_SPAN = 1 << 24, SHORTEST_LOOK = 1 << 20 }; /* host ticks: some ms, some hundred us */

static GMutex line_mutex;
static PpcTbLine line;
static uint64_t looked_at, ticks_then; /* the host's counter and the clock when that was asked last, for a line; 0: never */
static uint64_t highest;               /* that anybody has been told without a line */

static uint64_t ticks_on(const PpcTbLine *l, uint64_t since_start)
{
    return l->ticks + (uint64_t)((unsigned __int128)since_start * l->slope >> 64);
}

/* Whether the counter runs at one speed whatever the processor does. */
static bool counter_is_steady(void)
{
    static int known = -1;
    unsigned a, b, c, d = 0;

    if (known < 0) {
        known = __get_cpuid(0x80000007, &a, &b, &c, &d) && d >> 8 & 1;
    }
    return known;
}

/* No reading may be below this. */
static uint64_t floor_now(void)
{
    return MAX(highest, line.span ? ticks_on(&line, line.span) : 0);
}

/* From the clock, which shows `ticks` at `now`. */
static void draw_line(uint64_t now, uint64_t ticks)
{
    uint64_t elapsed = now - looked_at, passed = ticks - ticks_then, start = MAX(floor_now(), ticks), ahead = start - ticks;

    if (looked_at && elapsed < SHORTEST_LOOK) {
        return;
    }
    if (looked_at && ticks >= ticks_then && passed < elapsed) {
        uint64_t slope = ((unsigned __int128)passed << 64) / elapsed, less = ((unsigned __int128)ahead << 64) / LINE_SPAN;

        line = (PpcTbLine){ now, LINE_SPAN, start, ahead < LINE_SPAN && less < slope ? slope - less : 0 };
    }
    looked_at = now;
    ticks_then = ticks;
}

/* The clock, and the counter at that time; false: the host was busy elsewhere in between. */
static bool look_at_clock(const PpcState *s, uint64_t *now, uint64_t *ticks)
{
    enum { TRIES = 8, TOGETHER = 1 << 13 }; /* host ticks */

    for (unsigned i = 0; i < TRIES; i++) {
        *now = __rdtsc();
        *ticks = ticks_now(s);
        if (__rdtsc() - *now < TOGETHER) {
            return true;
        }
    }
    return false;
}

/* Ticks of the clock, and the line that they are on, if there is one. */
static uint64_t ticks_and_line(const PpcState *s, PpcTbLine *copy)
{
    uint64_t now, ticks;

    g_mutex_lock(&line_mutex);
    now = __rdtsc();
    if (now - line.start >= line.span && look_at_clock(s, &now, &ticks) && clock_running() && counter_is_steady()) {
        draw_line(now, ticks);
    }
    if (now - line.start < line.span) {
        ticks = ticks_on(&line, now - line.start);
        *copy = line;
    } else {
        ticks = highest = MAX(floor_now(), (uint64_t)ticks_now(s));
    }
    g_mutex_unlock(&line_mutex);
    return ticks;
}

/* Any thread. */
uint64_t ppc_tb(PpcState *s)
{
    PpcTbLine unused;

    return ticks_and_line(s, &unused) + s->tb_offset;
}

/* In the vCPU's thread. */
static uint64_t tb_of_vcpu(PpcState *s)
{
    uint64_t since = __rdtsc() - s->tb_line.start;

    if (G_LIKELY(since < s->tb_line.span)) {
        return ticks_on(&s->tb_line, since) + s->tb_offset;
    }
    tcg_fp_sync(s);
    return ticks_and_line(s, &s->tb_line) + s->tb_offset;
}

/* The clock is about to stand or go on, or has been set: lines end. No vCPU runs. */
static void forget_lines(uint64_t not_before)
{
    g_mutex_lock(&line_mutex);
    highest = not_before;
    looked_at = 0;
    line.span = 0;
    for (int i = 0; i < cpu_count(); i++) {
        ppc_state(cpu_get(i))->tb_line.span = 0;
    }
    g_mutex_unlock(&line_mutex);
}

static void state_changed(void *opaque, RunState state)
{
    uint64_t since = __rdtsc() - line.start;

    forget_lines(since < line.span ? ticks_on(&line, since) : floor_now());
}

uint64_t ppc_timebase(Cpu *cpu)
{
    return ppc_tb(ppc_state(cpu));
}

void ppc_tb_set(PpcState *s, uint64_t value)
{
    int64_t by = value - ppc_tb(s);

    s->tb_offset += by;
    if (ppc_isa(s, ISA_BOOKE)) {
        ppc_booke_tb_moved(s, by);
        return;
    }
    s->dec_end += by; /* the decrementer counts on */
    s->hdec_end += by;
}

/* 32 bits, or 56 with LPCR[LD] of POWER9. */
static bool is_large(const PpcState *s)
{
    return ppc_isa(s, ISA_V300) && (s->spr[SPR_LPCR] >> 17 & 1);
}

/* The bits that a decrementer has of a number. */
static int64_t in_dec(const PpcState *s, uint64_t value)
{
    enum { LARGE_BITS = 56 };

    return is_large(s) ? (int64_t)(value << (64 - LARGE_BITS)) >> (64 - LARGE_BITS) : (int32_t)value;
}

/* What a decrementer has that shows -1 at `end`. One of 32 bits begins again from above when it has counted through all. */
static int64_t dec_value(PpcState *s, int64_t end)
{
    return in_dec(s, end - 1 - (int64_t)ppc_tb(s));
}

/* As software reads it. */
static uint64_t dec_shown(PpcState *s, int64_t end)
{
    int64_t value = dec_value(s, end);

    return is_large(s) ? (uint64_t)value : (uint32_t)value;
}

uint64_t ppc_dec_read(PpcState *s)
{
    if (ppc_isa(s, ISA_BOOKE)) {
        return ppc_booke_dec_value(s);
    }
    return dec_shown(s, s->dec_end);
}

uint64_t ppc_hdec_read(PpcState *s)
{
    return dec_shown(s, s->hdec_end);
}

bool ppc_dec_negative(PpcState *s)
{
    return dec_value(s, s->dec_end) < 0;
}

/* At once, if it is negative. Two threads may do so, the vCPU's and that of timers: who comes last arms for what is there then. */
static void arm(PpcState *s)
{
    int64_t end;

    do {
        end = __atomic_load_n(&s->dec_end, __ATOMIC_SEQ_CST);
        timer_set(s->tb_timer, time_of_ticks(s, end - s->tb_offset));
    } while (__atomic_load_n(&s->dec_end, __ATOMIC_SEQ_CST) != end);
}

#define HALF_ROUND (INT64_C(1) << 31)

static void arm_wrap(PpcState *s, int64_t end)
{
    if (!is_large(s)) { /* there it takes years */
        timer_set(s->wrap_timer, time_of_ticks(s, end + HALF_ROUND - s->tb_offset));
    }
}

static void arm_hdec(PpcState *s)
{
    if (dec_value(s, s->hdec_end) >= 0) {
        timer_set(s->hdec_timer, time_of_ticks(s, s->hdec_end - s->tb_offset));
    } else {
        timer_cancel(s->hdec_timer);
    }
}

static void dec_expires(void *opaque)
{
    Cpu *cpu = opaque;
    PpcState *s = ppc_state(cpu);

    if (ppc_isa(s, ISA_BOOKE)) {
        ppc_booke_timers_due(s);
        return;
    }
    if ((int64_t)ppc_tb(s) < s->dec_end) { /* a race with a write, which has armed it again */
        arm(s);
        return;
    }
    atomic_fetch_or(&s->pending, PPC_INT_DEC);
    cpu_request(cpu, CPU_REQ_TIMER);
    arm_wrap(s, s->dec_end);
}

/*
 * After 2^31 ticks more a decrementer of 32 bits that nobody has written becomes positive, and in as many again it comes to -1 once more.
 * The vCPU may be writing it just now: what it has written then counts.
 */
static void dec_wraps(void *opaque)
{
    PpcState *s = ppc_state(opaque);
    int64_t end = __atomic_load_n(&s->dec_end, __ATOMIC_SEQ_CST), since = (int64_t)ppc_tb(s) - end;

    if (is_large(s)) { /* it has become */
        return;
    }
    if (since < HALF_ROUND) { /* it has been written meanwhile */
        if (since >= 0) {
            arm_wrap(s, end);
        }
        return;
    }
    if (s->model->level_decrementer) {
        atomic_fetch_and(&s->pending, ~(uint32_t)PPC_INT_DEC);
    }
    __atomic_compare_exchange_n(&s->dec_end, &end, end + 2 * HALF_ROUND, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    arm(s);
}

static void hdec_expires(void *opaque)
{
    Cpu *cpu = opaque;
    PpcState *s = ppc_state(cpu);

    if ((s->spr[SPR_LPCR] & 1) && !s->hypercall) { /* LPCR[HDICE] */
        atomic_fetch_or(&s->pending, PPC_INT_HDEC);
        cpu_request(cpu, CPU_REQ_TIMER);
    }
}

void ppc_dec_write(PpcState *s, uint64_t value)
{
    bool was_negative = ppc_dec_negative(s);
    int64_t ticks = in_dec(s, value);

    __atomic_store_n(&s->dec_end, (int64_t)ppc_tb(s) + ticks + 1, __ATOMIC_SEQ_CST);
    if (ticks >= 0) {
        if (s->model->level_decrementer) {
            atomic_fetch_and(&s->pending, ~(uint32_t)PPC_INT_DEC);
        }
        arm(s);
        return;
    }
    timer_cancel(s->tb_timer);
    arm_wrap(s, s->dec_end);
    if (!was_negative || s->model->level_decrementer) {
        atomic_fetch_or(&s->pending, PPC_INT_DEC);
        ppc_poll_interrupts(s);
    }
}

void ppc_hdec_write(PpcState *s, uint64_t value)
{
    int64_t ticks = in_dec(s, value);

    s->hdec_end = (int64_t)ppc_tb(s) + ticks + 1;
    atomic_fetch_and(&s->pending, ~(uint32_t)PPC_INT_HDEC);
    timer_set(s->hdec_timer, time_of_ticks(s, s->hdec_end - s->tb_offset));
}

uint64_t ppc_helper_mftb(PpcState *s, uint64_t upper, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t tb;

    /* Delay loops read it thousands of times in a millisecond: the interrupts they wait for must come. */
    tcg_fp_sync(s);
    clock_catch_up(NS_PER_MS);
    tb = tb_of_vcpu(s);
    return upper ? tb >> 32 : ppc_isa(s, ISA_64) ? tb : (uint32_t)tb;
}

void ppc_timers_init(Cpu *cpu)
{
    PpcState *s = ppc_state(cpu);

    if (cpu->index == 0) {
        machine_on_state(state_changed, NULL);
    }
    s->tb_timer = timer_new(CLOCK_GUEST, dec_expires, cpu);
    s->wrap_timer = timer_new(CLOCK_GUEST, dec_wraps, cpu);
    s->hdec_timer = timer_new(CLOCK_GUEST, hdec_expires, cpu);
}

static void run_if_due(Timer *timer, TimerFn *fn, Cpu *cpu)
{
    if (timer_pending(timer) && timer_deadline(timer) <= clock_now(CLOCK_GUEST)) {
        timer_cancel(timer);
        fn(cpu);
    }
}

/* Timers come somewhat late. Who saves the state must find that what is due has happened, since timers are not saved. */
void ppc_timers_catch_up(PpcState *s)
{
    run_if_due(s->wrap_timer, dec_wraps, s->hot.cpu);
    run_if_due(s->tb_timer, dec_expires, s->hot.cpu);
    run_if_due(s->hdec_timer, hdec_expires, s->hot.cpu);
}

void ppc_timers_update(PpcState *s)
{
    forget_lines(0);
    if (ppc_isa(s, ISA_BOOKE)) {
        ppc_booke_timers_update(s);
        return;
    }
    timer_cancel(s->wrap_timer);
    if (!is_large(s)) { /* however many rounds there were */
        s->dec_end += ((int64_t)ppc_tb(s) - s->dec_end + HALF_ROUND) / (2 * HALF_ROUND) * (2 * HALF_ROUND);
    }
    if (ppc_dec_negative(s)) {
        timer_cancel(s->tb_timer);
        arm_wrap(s, s->dec_end);
    } else {
        arm(s);
    }
    if (s->model->level_decrementer) {
        ppc_set_interrupt(s->hot.cpu, PPC_INT_DEC, ppc_dec_negative(s));
    }
    arm_hdec(s);
}

void ppc_set_timebase(Cpu *cpu, uint64_t hz)
{
    ppc_state(cpu)->tb_frequency = hz;
}
