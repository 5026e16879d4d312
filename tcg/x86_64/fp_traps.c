/*
 * The host's floating-point exceptions as the check of fast operations' results: all but inexactness are unmasked while
 * translated code runs, and whatever the host's arithmetic alone cannot decide is a signal, which leads to the operation's
 * cold stub. A program that has many of them goes on in blocks that check (IrFast.traps is false), for a while.
 *
 * It is the guest's FP state as far as thunks and tcg_fp_sync() are concerned: C code that is more than moves of general
 * registers has the usual MXCSR, and the thunk that called it unmasks exceptions again.
 */
#include <signal.h>
#include <stdatomic.h>
#include <ucontext.h>

#include "backend.h"

enum { MXCSR_MASKS = MXCSR_DEFAULT & ~MXCSR_UNMASKED };
enum { MANY = 64, PAUSE = 100000 /* microseconds */ };

static __thread CpuHot *running; /* with exceptions unmasked */

TcgFpTraps *tcg_fp_traps(void *state)
{
    return (TcgFpTraps *)((uint8_t *)state + AREA_FP_TRAPS);
}

void tcg_fp_traps_init(void *state)
{
    double *doubles = (double *)((uint8_t *)state + AREA_HALF_DOUBLES);
    float *singles = (float *)((uint8_t *)state + AREA_HALF_SINGLES);
    uint8_t *bits = (uint8_t *)state + AREA_BITS, *swap = (uint8_t *)state + AREA_SWAP;
    uint64_t *sign = (uint64_t *)((uint8_t *)state + AREA_SIGN), *magnitude = (uint64_t *)((uint8_t *)state + AREA_MAGNITUDE);

    sign[0] = UINT64_C(1) << 63;
    magnitude[0] = ~sign[0];
    sign[1] = magnitude[1] = 0;
    for (unsigned k = 0; k < 16; k++) {
        swap[k] = k ^ 7;
        bits[k] = 0x80 >> k;
    }
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

TcgExit fp_traps_enter(void *state, const void *code, HostExit **exit)
{
    CpuHot *hot = state;
    TcgExit why;

    running = hot;
    hot->fp_loaded = FP_LOADED_XMM;
    __builtin_ia32_ldmxcsr(MXCSR_UNMASKED);
    why = backend.enter(state, code, exit);
    __builtin_ia32_ldmxcsr(MXCSR_DEFAULT);
    hot->fp_loaded = FP_LOADED_NOTHING;
    running = NULL;
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

/* The same in C code that should have called tcg_fp_sync(), which is made up for. False: exceptions were not ours to unmask. */
bool fp_traps_sync(ucontext_t *uc)
{
    if (!running || running->fp_loaded == FP_LOADED_NOTHING) {
        return false;
    }
    uc->uc_mcontext.fpregs->mxcsr |= MXCSR_MASKS;
    running->fp_loaded = FP_LOADED_NOTHING;
    return true;
}
