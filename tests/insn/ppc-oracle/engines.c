/*
 * What the host computes of floating point and vectors against the helpers, which are all that the interpreter has: without
 * a black box, in the mode in which the host may compute.
 */
#include "tests/insn/ppc-oracle/oracle.h"

#include "target/ppc/fp.h"

#include <string.h>

/* A fraction of few ones or few zeros, or with zeros at its end. */
static uint64_t fraction(void)
{
    uint64_t few = next() >> (63 - below(8));

    return below(3) == 0 ? next() << below(52) : below(2) ? few : ~few;
}

/* Registers whose products are about the least normal number, as doubles or as singles. */
static void fill_near_least(OracleState *s)
{
    bool singles = below(2);
    unsigned exponent = singles ? 40 + below(50) : 300 + below(400), bias = singles ? 127 : 1023;

    for (unsigned i = 0; i < 64; i++) {
        unsigned e = i & 1 ? exponent : bias + 1 - exponent - below(3);

        for (unsigned k = 0; k < (i < 32 && !setup->has_vsx ? 1 : 2); k++) {
            uint64_t m = fraction(), sign = next() & 1;
            uint32_t single = (uint32_t)sign << 31 | e << 23 | (m & 0x7fffff);

            s->vsr[i][k] = !singles ? sign << 63 | (uint64_t)e << 52 | (m & UINT64_C(0xfffffffffffff))
                           : i < 32 ? fp_single_to_double(single)
                                    : (uint64_t)single << 32 | (single ^ (next() & 0x8000000f));
        }
    }
}

unsigned compare_engines(unsigned n)
{
    unsigned wrong = 0;

    for (unsigned i = 0, tried = 0; tried < n; i++) {
        OracleState got[2];
        OracleCase c;

        if (!(g_array_index(rows, Row, i % rows->len).row->attr & (A_FP | A_VEC | A_VSX))) {
            continue;
        }
        tried++;
        make_case(&c, i);
        c.state.fpscr = FPSCR_XX | FPSCR_FX;
        if (below(3) == 0) {
            fill_near_least(&c.state);
        }
        run_case(&c, false, &got[0]);
        run_case(&c, true, &got[1]);
        if (c.n_insns > 1) { /* conversions to integers leave FPRF undefined: that of an older operation, or not even that */
            got[1].fpscr = (got[1].fpscr & ~(uint64_t)FPSCR_FPRF) | (got[0].fpscr & FPSCR_FPRF);
        }
        if (!got[0].signal && memcmp(&got[0], &got[1], sizeof(got[0]))) {
            g_autofree char *text = difference(&c, &got[0], &got[1], 0);

            g_print("case %u, %s\n%s", i, g_array_index(rows, Row, i % rows->len).row->name, text ? text : "");
            wrong++;
        }
    }
    return wrong;
}
