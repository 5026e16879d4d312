/*
 * Performance counters: Intel's architectural ones of version 2 (SDM vol. 3, 20.2) and AMD's core counters (APM vol. 2, 13.2).
 *
 * They count instructions, branches and cycles. While a counter of the first two is on, blocks are made that count (MODE_COUNT):
 * each instruction takes one off the slot pmu_left, and a block that begins with less than nothing left comes here, which is how
 * an overflow is found at the next block. Nothing is paid otherwise. A cycle is the time that the processor's thread has run, at
 * the frequency of the time stamp counter: a halted processor has none, nor has one that waits for the host. Their overflows are
 * found by a timer, which knows when the earliest could be and is set again if the thread was kept waiting.
 */
#include "target/x86/pmu.h"

#include <pthread.h>
#include <time.h>

#include "core/clock.h"
#include "core/lock.h"
#include "util/bits.h"

enum {
    MSR_PERFCTR0 = 0xc1, MSR_EVENTSEL0 = 0x186, MSR_FIXED0 = 0x309, MSR_FIXED_CONTROL = 0x38d, MSR_GLOBAL_STATUS,
    MSR_GLOBAL_CONTROL, MSR_GLOBAL_CLEAR,
};
enum { MSR_K7_EVNTSEL0 = 0xc0010000, MSR_K7_PERFCTR0 = 0xc0010004, MSR_AMD_CORE = 0xc0010200 };

/* Of an event selection; the two levels are bits 0 and 1 of a fixed counter's control, bit 3 its interrupt. */
enum { SELECT_USER = 1 << 16, SELECT_SYSTEM = 1 << 17, SELECT_EDGE = 1 << 18, SELECT_INTERRUPT = 1 << 20, SELECT_ENABLE = 1 << 22 };
enum { FIXED_INTERRUPT = 1 << 3 };
#define SELECT_MASK  UINT64_C(0xff000000) /* a count that an event has to reach in a cycle */
#define COUNTER_MASK (UINT64_MAX >> (64 - PMU_WIDTH))
#define FIXED_FIRST  32 /* bit of the first fixed counter in the global registers */
/* How far ahead pmu_left looks when no overflow is near. */
#define FAR (INT64_C(1) << 62)

typedef enum Event { EVENT_NONE, EVENT_INSNS, EVENT_BRANCHES, EVENT_CYCLES } Event;
enum { LEVEL_SYSTEM = 1, LEVEL_USER = 2 };

typedef struct Counter {
    uint64_t *value;
    Event event;       /* that it counts now */
    unsigned levels;
    bool interrupts;
    unsigned status;   /* bit of the global status */
} Counter;

bool x86_has_pmu(const X86State *s)
{
    return s->features->pmu;
}

bool x86_has_amd_core_counters(const X86State *s)
{
    return x86_has_pmu(s) && x86_is_amd(s) && s->features->family >= 0x15;
}

/* ---- what is on ---- */

static unsigned level_now(const X86State *s)
{
    return s->cpl ? LEVEL_USER : LEVEL_SYSTEM;
}

static Event selected(const X86State *s, uint64_t select)
{
    unsigned event = select & 0xffff;

    if (!(select & SELECT_ENABLE) || (select & (SELECT_EDGE | SELECT_MASK))) {
        return EVENT_NONE;
    }
    if (x86_is_amd(s)) {
        return event == 0x76 ? EVENT_CYCLES : event == 0xc0 ? EVENT_INSNS : event == 0xc2 ? EVENT_BRANCHES : EVENT_NONE;
    }
    return event == 0x3c || event == 0x13c ? EVENT_CYCLES : event == 0xc0 ? EVENT_INSNS
           : event == 0xc4 ? EVENT_BRANCHES : EVENT_NONE;
}

static Counter by_select(X86State *s, unsigned select, unsigned counter, unsigned status)
{
    uint64_t value = s->perf[select];

    return (Counter){
        .value = &s->perf[counter],
        .event = selected(s, value),
        .levels = (value & SELECT_USER ? LEVEL_USER : 0) | (value & SELECT_SYSTEM ? LEVEL_SYSTEM : 0),
        .interrupts = value & SELECT_INTERRUPT,
        .status = status,
    };
}

static Counter fixed(X86State *s, unsigned n)
{
    static const Event events[PMU_FIXED] = { EVENT_INSNS, EVENT_CYCLES, EVENT_CYCLES };
    unsigned control = s->perf[PERF_FIXED_CONTROL] >> 4 * n & 15;

    return (Counter){
        .value = &s->perf[PERF_FIXED + n],
        .event = events[n],
        .levels = (control & 1 ? LEVEL_SYSTEM : 0) | (control & 2 ? LEVEL_USER : 0),
        .interrupts = control & FIXED_INTERRUPT,
        .status = FIXED_FIRST + n,
    };
}

/* The n-th counter; false past the last. One that is off counts EVENT_NONE. */
static bool counter(X86State *s, unsigned n, Counter *c)
{
    if (x86_is_amd(s)) {
        if (n >= (x86_has_amd_core_counters(s) ? PMU_AMD_CORE : PMU_GENERAL)) {
            return false;
        }
        *c = n < PMU_GENERAL ? by_select(s, PERF_AMD_SELECT + n, PERF_AMD_COUNTER + n, 0)
                             : by_select(s, PERF_AMD_SELECT_CORE + n - PMU_GENERAL, PERF_AMD_COUNTER_CORE + n - PMU_GENERAL, 0);
    } else {
        if (n >= PMU_GENERAL + PMU_FIXED) {
            return false;
        }
        *c = n < PMU_GENERAL ? by_select(s, PERF_SELECT + n, PERF_GENERAL + n, n) : fixed(s, n - PMU_GENERAL);
        if (!(s->perf[PERF_GLOBAL_CONTROL] >> c->status & 1)) {
            c->event = EVENT_NONE;
        }
    }
    if (!c->levels) {
        c->event = EVENT_NONE;
    }
    return true;
}

/* ---- counting ---- */

/* What the processor's thread has run so far. */
static uint64_t thread_ns(X86State *s)
{
    struct timespec t;

    tcg_fp_sync(s);
    clock_gettime(s->pmu.clock, &t);
    return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

/* Adds what came since the last time, which all belongs to the level of then. Whoever is to be told is, by x86_pmu_service. */
static void add_events(X86State *s)
{
    X86Pmu *pmu = &s->pmu;
    uint64_t deltas[EVENT_CYCLES + 1] = { 0 };
    Counter c;

    deltas[EVENT_INSNS] = MAX(pmu->left_seen - s->pmu_left, 0); /* less than none: one that faulted, to be done again */
    deltas[EVENT_BRANCHES] = s->pmu_branches - pmu->branches_seen;
    pmu->left_seen = MIN(pmu->left_seen, s->pmu_left);
    pmu->branches_seen = s->pmu_branches;
    if (pmu->cycles) {
        uint64_t ns = thread_ns(s);

        deltas[EVENT_CYCLES] = mul_div(ns - pmu->ns_seen, x86_tsc_frequency(), NS_PER_SECOND);
        pmu->ns_seen = ns;
    }
    for (unsigned n = 0; counter(s, n, &c); n++) {
        if (c.levels & pmu->level) {
            *c.value += deltas[c.event];
        }
        if (*c.value >> PMU_WIDTH) {
            *c.value &= COUNTER_MASK;
            s->perf[PERF_GLOBAL_STATUS] |= UINT64_C(1) << c.status;
            if (c.interrupts) {
                pmu->interrupt_due = true;
                tcg_fp_sync(s);
                cpu_request(s->hot.cpu, CPU_REQ_TIMER);
            }
        }
    }
}

static void expired(void *opaque)
{
    X86State *s = opaque;

    cpu_request(s->hot.cpu, CPU_REQ_TIMER);
}

static void set_timer(X86State *s, uint64_t cycles)
{
    X86Pmu *pmu = &s->pmu;
    int64_t ns = MIN(mul_div(cycles, NS_PER_SECOND, x86_tsc_frequency()), UINT64_C(1) << 50);

    if (!pmu->timer) {
        pmu->timer = timer_new(CLOCK_GUEST, expired, s);
    }
    timer_set(pmu->timer, clock_now(CLOCK_GUEST) + ns + 1);
}

/* From the controls: what has to be counted, and when to look again. On the processor's thread. */
static void plan(X86State *s)
{
    X86Pmu *pmu = &s->pmu;
    uint64_t left = FAR, cycles = COUNTER_MASK;
    bool was_cycles = pmu->cycles;
    Counter c;

    pmu->blocks = 0;
    pmu->cycles = pmu->filtered = false;
    pmu->level = level_now(s);
    for (unsigned n = 0; counter(s, n, &c); n++) {
        uint64_t until = COUNTER_MASK + 1 - *c.value;

        if (c.event == EVENT_NONE) {
            continue;
        }
        pmu->filtered |= c.levels != (LEVEL_SYSTEM | LEVEL_USER);
        if (c.event == EVENT_CYCLES) {
            pmu->cycles = true;
            cycles = MIN(cycles, until);
        } else {
            pmu->blocks |= c.levels;
            left = MIN(left, until); /* there are no more branches than instructions */
        }
    }
    s->pmu_left = pmu->left_seen = left - 1; /* a block that begins with less than nothing is behind the overflow */
    if (pmu->cycles) {
        if (!was_cycles) {
            pthread_getcpuclockid(pthread_self(), &pmu->clock);
            pmu->ns_seen = thread_ns(s);
        }
        set_timer(s, cycles);
    } else if (pmu->timer) {
        timer_cancel(pmu->timer);
    }
    x86_forget_calls(s);
    x86_update_mode(s);
}

static bool is_counting(const X86State *s)
{
    return s->pmu.blocks || s->pmu.cycles;
}

void x86_pmu_update(X86State *s)
{
    if (is_counting(s)) {
        add_events(s);
    }
}

void x86_pmu_follow_level(X86State *s)
{
    if (s->pmu.filtered && level_now(s) != s->pmu.level) {
        add_events(s);
        s->pmu.level = level_now(s);
    }
}

void x86_pmu_service(X86State *s)
{
    Cpu *cpu = s->hot.cpu;

    x86_pmu_update(s);
    plan(s);
    if (s->pmu.interrupt_due) {
        s->pmu.interrupt_due = false;
        machine_lock();
        if (cpu->intc && cpu->intc->perf_interrupt) {
            cpu->intc->perf_interrupt(cpu->intc_opaque);
        }
        machine_unlock();
    }
}

void x86_pmu_restart(X86State *s)
{
    Counter c;

    s->pmu.blocks = 0;
    s->pmu.cycles = s->pmu.filtered = s->pmu.interrupt_due = false;
    for (unsigned n = 0; x86_has_pmu(s) && counter(s, n, &c); n++) {
        if (c.event != EVENT_NONE) {
            cpu_request(s->hot.cpu, CPU_REQ_TIMER);
        }
    }
}

/* A block begins with nothing left. */
uint64_t helper_pmu_look(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    tcg_fp_sync(s);
    x86_pmu_update(s);
    plan(s);
    return 0;
}

/* ---- registers ---- */

static bool amd_register(const X86State *s, uint32_t msr, unsigned *index, bool *is_counter)
{
    if (msr >= MSR_K7_EVNTSEL0 && msr < MSR_K7_EVNTSEL0 + 2 * PMU_GENERAL) {
        *is_counter = msr >= MSR_K7_PERFCTR0;
        *index = PERF_AMD_SELECT + msr - MSR_K7_EVNTSEL0;
        return true;
    }
    if (msr >= MSR_AMD_CORE && msr < MSR_AMD_CORE + 2 * PMU_AMD_CORE && x86_has_amd_core_counters(s)) {
        unsigned n = (msr - MSR_AMD_CORE) / 2;

        *is_counter = msr & 1;
        if (n < PMU_GENERAL) {
            *index = (*is_counter ? PERF_AMD_COUNTER : PERF_AMD_SELECT) + n;
        } else {
            *index = (*is_counter ? PERF_AMD_COUNTER_CORE : PERF_AMD_SELECT_CORE) + n - PMU_GENERAL;
        }
        return true;
    }
    return false;
}

/* Index in perf[], and the bits that may be written; counters take 32 bits and their sign, or all. */
typedef struct Register {
    unsigned index;
    uint64_t writable;
    bool is_counter, is_narrow;
} Register;

static bool find(const X86State *s, uint32_t msr, Register *r)
{
    const uint64_t global = UINT64_C(7) << FIXED_FIRST | 15;

    if (x86_is_amd(s)) {
        *r = (Register){ .writable = UINT64_MAX };
        return amd_register(s, msr, &r->index, &r->is_counter);
    }
    if (msr >= MSR_PERFCTR0 && msr < MSR_PERFCTR0 + PMU_GENERAL) {
        *r = (Register){ PERF_GENERAL + msr - MSR_PERFCTR0, UINT64_MAX, true, true };
    } else if (msr >= MSR_EVENTSEL0 && msr < MSR_EVENTSEL0 + PMU_GENERAL) {
        *r = (Register){ PERF_SELECT + msr - MSR_EVENTSEL0, UINT32_MAX, false, false };
    } else if (msr >= MSR_FIXED0 && msr < MSR_FIXED0 + PMU_FIXED) {
        *r = (Register){ PERF_FIXED + msr - MSR_FIXED0, COUNTER_MASK, true, false };
    } else if (msr == MSR_FIXED_CONTROL) {
        *r = (Register){ PERF_FIXED_CONTROL, 0xbbb, false, false };
    } else if (msr == MSR_GLOBAL_CONTROL) {
        *r = (Register){ PERF_GLOBAL_CONTROL, global, false, false };
    } else if (msr == MSR_GLOBAL_STATUS) {
        *r = (Register){ PERF_GLOBAL_STATUS, 0, false, false };
    } else {
        return false;
    }
    return true;
}

bool x86_pmu_read(X86State *s, uint32_t msr, uint64_t *value)
{
    Register r;

    if (!x86_has_pmu(s)) {
        return false;
    }
    if (find(s, msr, &r)) {
        x86_pmu_update(s);
        *value = s->perf[r.index];
        return true;
    }
    *value = 0;
    return msr == MSR_GLOBAL_CLEAR && !x86_is_amd(s);
}

bool x86_pmu_write(X86State *s, uint32_t msr, uint64_t value, bool *good)
{
    Register r;

    *good = true;
    if (!x86_has_pmu(s)) {
        return false;
    }
    if (msr == MSR_GLOBAL_CLEAR && !x86_is_amd(s)) {
        x86_pmu_update(s);
        s->perf[PERF_GLOBAL_STATUS] &= ~value;
        return true;
    }
    if (!find(s, msr, &r)) {
        return false;
    }
    if ((value & ~r.writable) || msr == MSR_GLOBAL_STATUS) {
        *good = false;
        return true;
    }
    x86_pmu_update(s);
    if (r.is_narrow) {
        value = (int32_t)value;
    }
    s->perf[r.index] = r.is_counter ? value & COUNTER_MASK : value;
    tcg_fp_sync(s);
    plan(s);
    return true;
}

bool x86_pmu_counter(X86State *s, uint32_t index, uint64_t *value)
{
    const uint32_t fixed_flag = 1u << 30;
    Counter c;
    unsigned n = index;

    if (index & fixed_flag) {
        n = (index & ~fixed_flag) + PMU_GENERAL;
        if (x86_is_amd(s) || n < PMU_GENERAL) {
            return false;
        }
    } else if (!x86_is_amd(s) && n >= PMU_GENERAL) {
        return false;
    }
    x86_pmu_update(s);
    if (!counter(s, n, &c)) {
        return false;
    }
    *value = *c.value;
    return true;
}
