/*
 * Interrupts of Book E: vectors that software places (IVPR, IVOR), three levels of save registers, causes in ESR.
 *
 * Book E: Enhanced PowerPC Architecture, chapter 7; the user's manuals of the 440 and the e500 for what they lack.
 */
#include "target/ppc/booke.h"

#include <stdatomic.h>

enum { BASE, CRITICAL, MACHINE_CHECK };

static unsigned level_of(uint32_t vector)
{
    switch (vector) {
    case PPC_CRITICAL:
    case PPC_WATCHDOG:
    case PPC_DEBUG:
        return CRITICAL;
    case PPC_MCHECK:
        return MACHINE_CHECK;
    default:
        return BASE;
    }
}

/* IVOR numbers. */
static unsigned ivor_of(uint32_t vector)
{
    switch (vector) {
    case PPC_CRITICAL: return 0;
    case PPC_MCHECK: return 1;
    case PPC_DSI: return 2;
    case PPC_ISI: return 3;
    case PPC_EXTERNAL: return 4;
    case PPC_ALIGN: return 5;
    case PPC_PROGRAM: return 6;
    case PPC_FPU: return 7;
    case PPC_SC: return 8;
    case PPC_APU: return 9;
    case PPC_DEC: return 10;
    case PPC_FIT: return 11;
    case PPC_WATCHDOG: return 12;
    case PPC_DTLB: return 13;
    case PPC_ITLB: return 14;
    case PPC_DEBUG: return 15;
    case PPC_SPE: return 32;
    case PPC_SPE_FP: return 33;
    case PPC_SPE_ROUND: return 34;
    default: return 35; /* performance monitor */
    }
}

static uint32_t handler_pc(const PpcState *s, uint32_t vector)
{
    unsigned n = ivor_of(vector), spr = n < 16 ? SPR_IVOR0 + n : SPR_IVOR32 + n - 32;

    return (s->spr[SPR_IVPR] & 0xffff0000) | (s->spr[spr] & 0xfff0);
}

static uint64_t handler_msr(const PpcState *s, unsigned level)
{
    static const uint64_t kept[] = { MSR_ME | MSR_CE | MSR_BE, MSR_ME, 0 };

    return s->msr & kept[level];
}

/* ESR of what has one; other interrupts leave it. flags: of the exception. */
static void set_syndrome(PpcState *s, uint32_t vector, uint64_t flags)
{
    switch (vector) {
    case PPC_PROGRAM:
        s->spr[SPR_ESR] = flags & PROGRAM_ILLEGAL ? ESR_PIL : flags & PROGRAM_PRIVILEGED ? ESR_PPR
                          : flags & PROGRAM_TRAP ? ESR_PTR : flags & PROGRAM_FP ? ESR_FP : 0;
        break;
    case PPC_SPE:
    case PPC_SPE_FP:
    case PPC_SPE_ROUND:
        s->spr[SPR_ESR] = ESR_SPV;
        break;
    case PPC_DSI:
    case PPC_ISI:
    case PPC_DTLB:
    case PPC_ITLB:
    case PPC_ALIGN:
        s->spr[SPR_ESR] = flags;
        break;
    default:
        break;
    }
}

void ppc_booke_enter(PpcState *s, uint32_t vector)
{
    static const unsigned save[] = { SPR_SRR0, SPR_CSRR0, SPR_MCSRR0 };
    unsigned level = level_of(vector);

    s->spr[save[level]] = s->pc;
    s->spr[save[level] + 1] = s->msr;
    set_syndrome(s, vector, s->exception.flags);
    s->exception.vector = PPC_NO_EXCEPTION;
    s->pc = handler_pc(s, vector);
    s->napping = false;
    ppc_set_msr(s, handler_msr(s, level));
}

/* The timers' interrupts are levels of TSR. */
static uint32_t wanted_timer(const PpcState *s)
{
    uint32_t tsr = s->spr[SPR_TSR], tcr = s->spr[SPR_TCR];

    if (!(s->msr & MSR_EE)) {
        return 0;
    }
    if ((tsr & TSR_DIS) && (tcr & TCR_DIE)) {
        return PPC_DEC;
    }
    return (tsr & TSR_FIS) && (tcr & TCR_FIE) ? PPC_FIT : 0;
}

uint32_t ppc_booke_wanted(const PpcState *s)
{
    uint32_t pending = atomic_load(&s->pending);

    if ((pending & PPC_INT_MCHECK) && (s->msr & MSR_ME)) {
        return PPC_MCHECK;
    }
    if ((pending & PPC_INT_CRITICAL) && (s->msr & MSR_CE)) {
        return PPC_CRITICAL;
    }
    if ((s->spr[SPR_TSR] & TSR_WIS) && (s->spr[SPR_TCR] & TCR_WIE) && (s->msr & MSR_CE)) {
        return PPC_WATCHDOG;
    }
    if ((pending & PPC_INT_EXTERNAL) && (s->msr & MSR_EE)) {
        return PPC_EXTERNAL;
    }
    return wanted_timer(s);
}

void ppc_booke_traced(PpcState *s)
{
    s->spr[SPR_DBSR] |= DBSR_IC;
    ppc_raise(s, PPC_DEBUG, 0, 0);
}

bool ppc_booke_steps(const PpcState *s)
{
    enum { WANTS = DBCR0_IDM | DBCR0_ICMP };

    return (s->msr & MSR_BE) && (s->spr[SPR_DBCR0] & WANTS) == WANTS;
}
