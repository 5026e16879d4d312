/* What runs behind FNCLEX and FNINIT with the guest's FP state still in the host's registers. */
#include "target/x86/internal.h"

uint64_t helper_fp_clear_ferr(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (s->fp_ferr) {
        tcg_fp_sync(s);
        x86_fp_clear_ferr(s);
    }
    return 0;
}
