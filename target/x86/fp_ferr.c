/* What runs with the guest's FP state still in the host's registers: FNCLEX, FNINIT, host signals. */
#include <signal.h>

#include "target/x86/fp_state.h"
#include "tcg/tcg.h"

/* Behind FNCLEX and FNINIT. */

uint64_t helper_fp_clear_ferr(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (s->fp_ferr) {
        tcg_fp_sync(s);
        x86_fp_clear_ferr(s);
    }
    return 0;
}

/* The host refused a raw instruction. */
void x86_raise_host_fp(Cpu *cpu, int signal, int code)
{
    X86State *s = x86_state(cpu);

    if (signal != SIGFPE) {
        /* Misaligned for the host, or a reserved bit of MXCSR that was set meanwhile. */
        x86_raise_error(s, EXC_GP, 0, 0);
    }
    if (code == FPE_INTDIV) {
        x86_raise(s, EXC_DE, 0);
    }
    tcg_fp_sync(s);
    if (code != TCG_FAULT_SIMD && fx_image(s)->fsw & FSW_ES) {
        x86_raise_x87(s, 0);
    }
    x86_raise(s, s->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD, 0);
}
