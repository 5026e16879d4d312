/* Time base and decrementers on the machine's clock. */
#include "core/clock.h"
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

uint64_t ppc_tb(PpcState *s)
{
    return ticks_now(s) + s->tb_offset;
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

/* 32 bits, or 64 with LPCR[LD] of POWER9. */
static bool is_large(const PpcState *s)
{
    return ppc_isa(s, ISA_V300) && (s->spr[SPR_LPCR] >> 17 & 1);
}

/* dec_end is where the decrementer shows -1. */
static uint64_t dec_value(PpcState *s, int64_t end)
{
    int64_t left = end - 1 - (int64_t)ppc_tb(s);

    return is_large(s) ? (uint64_t)left : (uint32_t)(left < INT32_MIN ? (uint32_t)left : left);
}

uint64_t ppc_dec_read(PpcState *s)
{
    if (ppc_isa(s, ISA_BOOKE)) {
        return ppc_booke_dec_value(s);
    }
    return dec_value(s, s->dec_end);
}

uint64_t ppc_hdec_read(PpcState *s)
{
    return dec_value(s, s->hdec_end);
}

bool ppc_dec_negative(PpcState *s)
{
    return is_large(s) ? (int64_t)ppc_dec_read(s) < 0 : (int32_t)ppc_dec_read(s) < 0;
}

static void arm(PpcState *s)
{
    timer_set(s->tb_timer, time_of_ticks(s, s->dec_end - s->tb_offset));
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
    int64_t ticks = is_large(s) ? (int64_t)value : (int32_t)value;

    s->dec_end = (int64_t)ppc_tb(s) + ticks + 1;
    if (ticks >= 0) {
        if (s->model->level_decrementer) {
            atomic_fetch_and(&s->pending, ~(uint32_t)PPC_INT_DEC);
        }
        arm(s);
        return;
    }
    timer_cancel(s->tb_timer);
    if (!was_negative || s->model->level_decrementer) {
        atomic_fetch_or(&s->pending, PPC_INT_DEC);
        ppc_poll_interrupts(s);
    }
}

void ppc_hdec_write(PpcState *s, uint64_t value)
{
    int64_t ticks = is_large(s) ? (int64_t)value : (int32_t)value;

    s->hdec_end = (int64_t)ppc_tb(s) + ticks + 1;
    atomic_fetch_and(&s->pending, ~(uint32_t)PPC_INT_HDEC);
    timer_set(s->hdec_timer, time_of_ticks(s, s->hdec_end - s->tb_offset));
}

uint64_t ppc_helper_mftb(PpcState *s, uint64_t upper, uint64_t b, uint64_t c, uint64_t d)
{
    static __thread unsigned reads;
    uint64_t tb;

    /* Delay loops read it thousands of times in a millisecond: the interrupts they wait for must come. */
    if (!(++reads % 32)) {
        clock_catch_up(NS_PER_MS);
    }
    tb = ppc_tb(s);
    return upper ? tb >> 32 : ppc_isa(s, ISA_64) ? tb : (uint32_t)tb;
}

void ppc_timers_init(Cpu *cpu)
{
    PpcState *s = ppc_state(cpu);

    s->tb_timer = timer_new(CLOCK_GUEST, dec_expires, cpu);
    s->hdec_timer = timer_new(CLOCK_GUEST, hdec_expires, cpu);
}

void ppc_timers_update(PpcState *s)
{
    if (ppc_isa(s, ISA_BOOKE)) {
        ppc_booke_timers_update(s);
    } else if (ppc_dec_negative(s)) {
        timer_cancel(s->tb_timer);
    } else {
        arm(s);
    }
}

void ppc_set_timebase(Cpu *cpu, uint64_t hz)
{
    ppc_state(cpu)->tb_frequency = hz;
}
