/*
 * The host's floating-point exceptions as the check of fast operations' results: all but inexactness are unmasked while
 * translated code runs, and whatever the host's arithmetic alone cannot decide is a signal, which leads to the operation's
 * cold stub. A program that has many of them goes on in blocks that check (IrFast.traps is false), for a while.
 *
 * C code that translated code calls runs unmasked, too. There an exception means nothing: its instruction is stepped over
 * with all of them masked.
 */
#include <signal.h>
#include <stdatomic.h>
#include <ucontext.h>

#include "backend.h"

enum { MXCSR_DEFAULT = 0x1f80, MXCSR_MASKS = 0xf80, FLAG_TRAP = 0x100 };
enum { MANY = 64, PAUSE = 100000 /* microseconds */ };

static __thread bool stepping;

TcgFpTraps *tcg_fp_traps(void *state)
{
    return (TcgFpTraps *)((uint8_t *)state + AREA_FP_TRAPS);
}

void tcg_fp_traps_init(void *state)
{
    double *doubles = (double *)((uint8_t *)state + AREA_HALF_DOUBLES);
    float *singles = (float *)((uint8_t *)state + AREA_HALF_SINGLES);

    for (unsigned k = 0; k < 2; k++) {
        doubles[k] = 0.5;
    }
    for (unsigned k = 0; k < 4; k++) {
        singles[k] = 0.5f;
    }
    *tcg_fp_traps(state) = (TcgFpTraps){ .on = host_has(HOST_FMA) && host_has(HOST_AVX2) };
}

void tcg_fp_traps_review(void *state)
{
    TcgFpTraps *traps = tcg_fp_traps(state);

    if (traps->on && traps->taken >= MANY) {
        *traps = (TcgFpTraps){ .paused_until = g_get_monotonic_time() + PAUSE };
    } else if (traps->paused_until && g_get_monotonic_time() > traps->paused_until) {
        *traps = (TcgFpTraps){ .on = true };
    }
}

uint32_t tcg_fp_mask(void)
{
    uint32_t old = __builtin_ia32_stmxcsr();

    __builtin_ia32_ldmxcsr(MXCSR_DEFAULT);
    return old;
}

void tcg_fp_unmask(uint32_t old)
{
    __builtin_ia32_ldmxcsr(old);
}

TcgExit fp_traps_enter(void *state, const void *code, HostExit **exit)
{
    TcgExit why;

    __builtin_ia32_ldmxcsr(MXCSR_DEFAULT & ~MXCSR_MASKS);
    why = backend.enter(state, code, exit);
    __builtin_ia32_ldmxcsr(MXCSR_DEFAULT);
    return why;
}

/* Within the signal handler, of an exception in translated code. False: it was no fast operation's. */
bool fp_traps_resume(ucontext_t *uc)
{
    greg_t *gregs = uc->uc_mcontext.gregs;
    uint8_t *state = (uint8_t *)gregs[REG_RSP];
    const HostBlock *block = backend.runtime.find_block(gregs[REG_RIP] + 1);
    TcgFpTraps *traps = tcg_fp_traps(state);
    CpuHot *hot = (CpuHot *)state;
    uint32_t at;

    if (!block) {
        return false;
    }
    at = (const uint8_t *)gregs[REG_RIP] - block->code;
    for (uint32_t k = 0; k < block->n_traps; k++) {
        if (at >= block->traps[k].from && at < block->traps[k].to) {
            gregs[REG_RIP] = (uintptr_t)block->code + block->traps[k].cold;
            if (++traps->taken == MANY && hot->cpu) {
                atomic_fetch_or(&hot->cpu->requests, CPU_REQ_TIMER);
                atomic_store(&hot->poll, -1);
            }
            return true;
        }
    }
    return false;
}

/* The same in C code: false if exceptions were not ours to unmask. */
bool fp_traps_step(ucontext_t *uc)
{
    if ((uc->uc_mcontext.fpregs->mxcsr & MXCSR_DEFAULT) != (MXCSR_DEFAULT & ~MXCSR_MASKS)) {
        return false;
    }
    uc->uc_mcontext.fpregs->mxcsr |= MXCSR_MASKS;
    uc->uc_mcontext.gregs[REG_EFL] |= FLAG_TRAP;
    stepping = true;
    return true;
}

/* Behind that instruction. */
bool fp_traps_stepped(ucontext_t *uc)
{
    if (!stepping) {
        return false;
    }
    stepping = false;
    uc->uc_mcontext.fpregs->mxcsr &= ~MXCSR_MASKS;
    uc->uc_mcontext.gregs[REG_EFL] &= ~FLAG_TRAP;
    return true;
}
