/* The time stamp counter: the host's, less the time that the machine stood still. */
#include <x86intrin.h>

#include "core/clock.h"
#include "core/machine.h"
#include "target/x86/system.h"
#include "util/bits.h"

/* Written while no vCPU runs. */
static uint64_t base;       /* host ticks at guest tick 0 */
static uint64_t stopped_at; /* host ticks, 0: runs */
static uint64_t frequency;
static bool started;

/* Ticks per second, against the host's monotonic clock. */
static void measure(void)
{
    int64_t t0 = clock_now(CLOCK_REAL), t1;
    uint64_t c0 = __rdtsc(), c1;

    do {
        t1 = clock_now(CLOCK_REAL);
        c1 = __rdtsc();
    } while (t1 - t0 < 10 * NS_PER_MS);
    frequency = mul_div(c1 - c0, NS_PER_SECOND, t1 - t0);
    /* Guests print it: whole units of 10 kHz look less odd. */
    frequency = (frequency + 5000) / 10000 * 10000;
}

void x86_tsc_rules_changed(X86State *s)
{
    s->tsc_left = 0; /* what translated code adds is no longer right */
}

static void forget_all(void)
{
    for (int i = 0; i < cpu_count(); i++) {
        x86_tsc_rules_changed(x86_state(cpu_get(i)));
    }
}

static void state_changed(void *opaque, RunState state)
{
    bool run = state == RUN_RUNNING;

    forget_all();
    if (!run && !stopped_at) {
        stopped_at = __rdtsc();
    } else if (run && stopped_at) {
        base += __rdtsc() - stopped_at;
        stopped_at = 0;
    }
}

void x86_tsc_start(void)
{
    if (!started) {
        started = true;
        measure();
        base = __rdtsc();
        stopped_at = machine_state() == RUN_RUNNING ? 0 : base;
        machine_on_state(state_changed, NULL);
    }
}

uint64_t x86_tsc_frequency(void)
{
    x86_tsc_start();
    return frequency;
}

uint64_t x86_tsc(const X86State *s)
{
    return (stopped_at ? stopped_at : __rdtsc()) - base + s->tsc_offset;
}

uint64_t x86_tsc_read(X86State *s)
{
    enum { READS = 128 };

    if (s->tsc_left) {
        s->tsc_left--;
    } else {
        /* Delay loops read it thousands of times in a millisecond: the ticks they wait for must come. */
        tcg_fp_sync(s);
        clock_catch_up(NS_PER_MS);
        if (!stopped_at && !(s->cr4 & CR4_TSD)) {
            s->tsc_add = s->tsc_offset - base;
            s->tsc_left = READS - 1;
        }
    }
    return x86_tsc(s);
}

/* The first processor's reset is that of all: they stay in step. */
void x86_tsc_reset(X86State *s)
{
    if (s->hot.cpu->index == 0) {
        base = stopped_at ? stopped_at : __rdtsc();
        forget_all();
    }
    s->tsc_offset = 0;
    x86_tsc_rules_changed(s);
}

void x86_tsc_set(X86State *s, uint64_t value)
{
    s->tsc_offset += value - x86_tsc(s);
    x86_tsc_rules_changed(s);
}

uint64_t x86_tsc_host_offset(const X86State *s)
{
    uint64_t stood = stopped_at ? __rdtsc() - stopped_at : 0;

    return s->tsc_offset - base - stood;
}

void x86_tsc_set_host_offset(X86State *s, uint64_t offset)
{
    s->tsc_offset += offset - x86_tsc_host_offset(s);
    x86_tsc_rules_changed(s);
}

uint64_t helper_rdrand(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    tcg_fp_sync(s);
    return (uint64_t)g_random_int() << 32 | g_random_int();
}
