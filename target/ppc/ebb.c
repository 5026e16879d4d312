/*
 * Event-based branches (Power ISA 2.07, Book II, chapter 7; Book III, 9.4.4): with MMCR0[EBE] an alert of the performance monitor
 * leads problem state to a handler of its own instead of the kernel to an interrupt.
 *
 * An alert that is let through by BESCR[PME] becomes BESCR[PMEO], which waits, over interrupts and changes of tasks, until problem
 * state has BESCR[GE] on. No board has external events: BESCR[EEO] is what software makes of it.
 */
#include "target/ppc/spr.h"

#include <stdatomic.h>

#define GLOBAL_ENABLE  (UINT64_C(1) << 63)
#define MONITOR_ENABLE (UINT64_C(1) << 32)
#define EXTERNAL       UINT64_C(2)
#define MONITOR        UINT64_C(1)

void ppc_ebb_update(PpcState *s)
{
    const uint64_t alert = MMCR0_EVENT_BRANCH | MMCR0_ALERT_OCCURRED;
    uint64_t *bescr = &s->spr[SPR_BESCR];

    if (!ppc_isa(s, ISA_V207)) {
        return;
    }
    if ((s->spr[SPR_MMCR0] & alert) == alert && *bescr & MONITOR_ENABLE) {
        *bescr = (*bescr & ~MONITOR_ENABLE) | MONITOR;
    }
    if (*bescr & GLOBAL_ENABLE && *bescr & (EXTERNAL | MONITOR) && s->spr[SPR_FSCR] >> FACILITY_EBB & 1) {
        atomic_fetch_or(&s->pending, PPC_INT_EBB);
        ppc_poll_interrupts(s);
    } else {
        atomic_fetch_and(&s->pending, ~(uint32_t)PPC_INT_EBB);
    }
}

/* An address that the mode has. */
static uint64_t address_of(const PpcState *s, uint64_t value)
{
    return value & PPC_PC_MASK & (s->msr & MSR_SF ? UINT64_MAX : UINT32_MAX);
}

void ppc_ebb_take(PpcState *s)
{
    if (!(atomic_load(&s->pending) & PPC_INT_EBB) || !(s->msr & MSR_PR)) {
        return;
    }
    s->spr[SPR_BESCR] &= ~GLOBAL_ENABLE;
    s->spr[SPR_EBBRR] = s->pc;
    s->pc = address_of(s, s->spr[SPR_EBBHR]);
    ppc_ebb_update(s);
}

uint64_t ppc_helper_rfebb(PpcState *s, uint64_t enable, uint64_t b, uint64_t c, uint64_t d)
{
    if (s->msr & MSR_PR && !(s->spr[SPR_FSCR] >> FACILITY_EBB & 1)) {
        ppc_facility_unavailable(s, FACILITY_EBB, tcg_caller_pc(s));
    }
    s->spr[SPR_BESCR] = (s->spr[SPR_BESCR] & ~GLOBAL_ENABLE) | (enable ? GLOBAL_ENABLE : 0);
    s->pc = address_of(s, s->spr[SPR_EBBRR]);
    ppc_ebb_update(s);
    return 0;
}

/* BESCR by other numbers, which set or clear bits that are written 1; U: of the upper half. */
uint64_t ppc_bescr_read(PpcState *s, unsigned n)
{
    return n == SPR_BESCRSU || n == SPR_BESCRRU ? s->spr[SPR_BESCR] >> 32 : s->spr[SPR_BESCR];
}

void ppc_bescr_write(PpcState *s, unsigned n, uint64_t value)
{
    uint64_t bits = n == SPR_BESCRSU || n == SPR_BESCRRU ? value << 32 : value, *bescr = &s->spr[SPR_BESCR];

    *bescr = n == SPR_BESCR ? value : n <= SPR_BESCRSU ? *bescr | bits : *bescr & ~bits;
    ppc_ebb_update(s);
}
