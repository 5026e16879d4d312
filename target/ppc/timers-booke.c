/*
 * Decrementer, fixed-interval timer and watchdog of Book E, whose events are bits of TSR (Book E, chapter 8).
 *
 * TSR belongs to the vCPU's thread, which brings it up to date whenever it is looked at. The clock's timer only asks for that.
 */
#include "target/ppc/booke.h"

#include "core/clock.h"
#include "core/incident.h"
#include "core/lock.h"

#include <stdatomic.h>

#define NEVER INT64_MAX
enum { WATCHDOG_ENABLED = 1, WATCHDOG_WARNED = 2 };

/* Events happen when a bit of the time base becomes 1: its number, from the right. */
static unsigned fit_bit(const PpcState *s)
{
    uint32_t tcr = s->spr[SPR_TCR], period = tcr >> 24 & 3;

    return ppc_isa(s, ISA_E500) ? 63 - ((tcr >> 13 & 15) << 2 | period) : 12 + 4 * period;
}

static unsigned watchdog_bit(const PpcState *s)
{
    uint32_t tcr = s->spr[SPR_TCR], period = tcr >> 30;

    return ppc_isa(s, ISA_E500) ? 63 - ((tcr >> 17 & 15) << 2 | period) : 20 + 4 * period;
}

/* How often the bit became 1 up to that time. */
static uint64_t edges(uint64_t tb, unsigned bit)
{
    uint64_t half = UINT64_C(1) << bit;

    return bit == 63 ? tb >> 63 : (tb + half) >> (bit + 1);
}

static int64_t next_edge(uint64_t tb, unsigned bit)
{
    uint64_t half = UINT64_C(1) << bit;

    if (bit >= 62) { /* longer than machines live */
        return NEVER;
    }
    return (int64_t)(((tb + half) >> (bit + 1) << (bit + 1)) + half);
}

static bool watchdog_matters(const PpcState *s)
{
    return s->spr[SPR_TCR] & (TCR_WRC | TCR_WIE);
}

static int64_t earliest(const PpcState *s, uint64_t now)
{
    int64_t at = s->dec_end;

    if (s->spr[SPR_TCR] & TCR_FIE) {
        at = MIN(at, next_edge(now, fit_bit(s)));
    }
    if (watchdog_matters(s)) {
        at = MIN(at, next_edge(now, watchdog_bit(s)));
    }
    return at;
}

static void arm(PpcState *s, uint64_t now)
{
    int64_t at = earliest(s, now);
    __int128 ns = ((__int128)at - s->tb_offset) * NS_PER_SECOND / s->tb_frequency + 1;

    if (!s->tb_timer) {
        return;
    }
    tcg_fp_sync(s);
    if (at == NEVER || ns > INT64_MAX) {
        timer_cancel(s->tb_timer);
    } else {
        timer_set(s->tb_timer, (int64_t)ns);
    }
}

static void poll_decrementer(PpcState *s, int64_t now)
{
    uint32_t reload = s->spr[SPR_DECAR];

    if (now < s->dec_end) {
        return;
    }
    s->spr[SPR_TSR] |= TSR_DIS;
    if ((s->spr[SPR_TCR] & TCR_ARE) && reload) {
        s->dec_end += ((now - s->dec_end) / reload + 1) * (int64_t)reload;
    } else {
        s->dec_end = NEVER; /* and it stays 0 */
    }
}

/* Enabled, then warned, then what TCR[WRC] says. */
static void poll_watchdog(PpcState *s, uint64_t before, uint64_t now)
{
    uint64_t n = edges(now, watchdog_bit(s)) - edges(before, watchdog_bit(s));

    for (; n; n--) {
        if (!(s->spr[SPR_TSR] & TSR_ENW)) {
            s->spr[SPR_TSR] |= TSR_ENW;
        } else if (!(s->spr[SPR_TSR] & TSR_WIS)) {
            s->spr[SPR_TSR] |= TSR_WIS;
        } else {
            if (s->spr[SPR_TCR] & TCR_WRC) {
                s->spr[SPR_TSR] |= s->spr[SPR_TCR] & TCR_WRC;
                s->spr[SPR_TCR] &= ~(uint64_t)TCR_WRC; /* it comes once */
                tcg_fp_sync(s);
                machine_lock();
                incident_watchdog();
                machine_unlock();
            }
            return;
        }
    }
}

void ppc_booke_timers_poll(PpcState *s)
{
    uint64_t now = ppc_tb(s), before = s->timers_polled;

    atomic_fetch_and(&s->pending, ~(uint32_t)PPC_INT_DEC);
    s->timers_polled = now;
    poll_decrementer(s, now);
    if (edges(now, fit_bit(s)) != edges(before, fit_bit(s))) {
        s->spr[SPR_TSR] |= TSR_FIS;
    }
    poll_watchdog(s, before, now);
    arm(s, now);
}

void ppc_booke_timers_due(PpcState *s)
{
    atomic_fetch_or(&s->pending, PPC_INT_DEC);
    cpu_request(s->hot.cpu, CPU_REQ_TIMER);
}

void ppc_booke_timers_update(PpcState *s)
{
    arm(s, ppc_tb(s));
}

uint64_t ppc_booke_dec_value(PpcState *s)
{
    return s->dec_end == NEVER ? 0 : (uint32_t)CLAMP(s->dec_end - (int64_t)ppc_tb(s), 0, UINT32_MAX);
}

/* 0 does not count as having been reached. */
void ppc_booke_dec_write(PpcState *s, uint64_t value)
{
    ppc_booke_timers_poll(s);
    s->dec_end = value ? (int64_t)ppc_tb(s) + (uint32_t)value : NEVER;
    ppc_booke_timers_update(s);
}

/* The time base was set: the decrementer counts on, and nothing has happened in between. */
void ppc_booke_tb_moved(PpcState *s, int64_t by)
{
    if (s->dec_end != NEVER) {
        s->dec_end += by;
    }
    s->timers_polled += by;
    ppc_booke_timers_update(s);
}
