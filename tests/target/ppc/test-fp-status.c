/* FPRF, FR and FI from an operation's operands (fp_again.c) are what doing it again says (fp_ops.c); estimates and their bounds. */
#include "target/ppc/fp.h"
#include "target/ppc/vec_ops.h"

#include <glib.h>
#include <inttypes.h>
#include <math.h>

typedef struct Case {
    const char *name;
    PpcFpExec *exec;
    PpcFpSum sum;
} Case;

static const Case cases[] = {
    { "fadd", ppc_exec_fadd, { .known = true } },
    { "fsub", ppc_exec_fsub, { .known = true, .minus = true } },
    { "fmul", ppc_exec_fmul, { .known = true, .product = true } },
    { "fmadd", ppc_exec_fmadd, { .known = true, .fused = true } },
    { "fmsub", ppc_exec_fmsub, { .known = true, .fused = true, .minus = true } },
    { "fnmadd", ppc_exec_fnmadd, { .known = true, .fused = true, .negated = true } },
    { "fnmsub", ppc_exec_fnmsub, { .known = true, .fused = true, .minus = true, .negated = true } },
    { "fadds", ppc_exec_fadds, { .known = true, .single = true } },
    { "fsubs", ppc_exec_fsubs, { .known = true, .single = true, .minus = true } },
    { "fmuls", ppc_exec_fmuls, { .known = true, .single = true, .product = true } },
    { "fmadds", ppc_exec_fmadds, { .known = true, .single = true, .fused = true } },
    { "fnmsubs", ppc_exec_fnmsubs, { .known = true, .single = true, .fused = true, .minus = true, .negated = true } },
};

typedef bool StatusOf(PpcFpSum sum, const uint64_t *operands, uint32_t *status);

/* Few bits set, so that results are exact or ties often; exponents near each other, so that sums cancel. */
static uint64_t number(GRand *rand)
{
    uint64_t m = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
    static const unsigned spreads[] = { 4, 4, 30, 70, 280 };
    unsigned spread = spreads[g_rand_int_range(rand, 0, G_N_ELEMENTS(spreads))];

    if (!g_rand_int_range(rand, 0, 50)) {
        return m & UINT64_C(1) << 63;
    }
    m &= ~UINT64_C(0) << g_rand_int_range(rand, 0, 53);
    return (m & ((UINT64_C(1) << 52) - 1)) | (uint64_t)(1023 + g_rand_int_range(rand, -(int)spread, spread)) << 52 |
           (uint64_t)(g_rand_int(rand) & 1) << 63;
}

static uint32_t done_again(PpcState *s, const Case *k, const uint64_t *operands)
{
    /* A and B; a product of two is of A and C. */
    s->vsr[1][0] = operands[0];
    s->vsr[2][0] = operands[1];
    s->vsr[3][0] = k->sum.fused ? operands[2] : operands[1];
    s->fpscr = FPSCR_XX | FPSCR_FX;
    k->exec(s, 4u << 21 | 1u << 16 | 2u << 11 | 3u << 6);
    return s->fpscr & (FPSCR_FPRF | FPSCR_FR | FPSCR_FI);
}

static void status_is_that_of_the_operation_done_again(gconstpointer way)
{
    StatusOf *status_of = way;
    enum { ROUNDS = 100000 };
    g_autofree PpcState *s = g_new0(PpcState, 1);
    GRand *rand = g_rand_new_with_seed(7);

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        unsigned found = 0;

        for (unsigned n = 0; n < ROUNDS; n++) {
            uint64_t operands[3] = { number(rand), number(rand), number(rand) };
            uint32_t status, want = done_again(s, &cases[i], operands);

            if (!status_of(cases[i].sum, operands, &status)) {
                continue;
            }
            found++;
            if (status != want) {
                g_error("%s %016" PRIx64 " %016" PRIx64 " %016" PRIx64 ": %x, not %x", cases[i].name, operands[0],
                        operands[1], operands[2], status, want);
            }
        }
        g_assert_cmpuint(found, >, ROUNDS / 2);
    }
    g_rand_free(rand);
}

/* A double as the instruction makes it of register 2; of a vector instruction the first element, made of a single. */
static double estimate_of(PpcState *s, PpcFpExec *exec, bool vector, double x)
{
    union {
        double d;
        uint64_t u;
    } wide = { .d = x };
    union {
        float f;
        uint32_t u;
    } word = { .f = x };

    s->fpscr = 0;
    s->vsr[vector ? 34 : 2][0] = vector ? (uint64_t)word.u << 32 | word.u : wide.u;
    exec(s, 4u << 21 | 2u << 11);
    wide.u = s->vsr[vector ? 36 : 4][0];
    word.u = wide.u >> 32;
    return vector ? word.f : wide.d;
}

/* Power ISA, Book I, 4.6.6.1, 6.10 and 7.6: how far from the truth an estimate may be. */
static void estimates_are_within_their_bounds(void)
{
    enum { RECIPROCAL, ROOT, EXPONENT, LOGARITHM, ROUNDS = 20000 };
    static const struct {
        const char *name;
        PpcFpExec *exec;
        bool vector;
        int what;
        double bound;
    } estimates[] = {
        { "fre", ppc_exec_fre, false, RECIPROCAL, 1.0 / 256 }, { "fres", ppc_exec_fres, false, RECIPROCAL, 1.0 / 256 },
        { "frsqrte", ppc_exec_frsqrte, false, ROOT, 1.0 / 32 }, { "frsqrtes", ppc_exec_frsqrtes, false, ROOT, 1.0 / 32 },
        { "vrefp", ppc_exec_vrefp, true, RECIPROCAL, 1.0 / 4096 }, { "vrsqrtefp", ppc_exec_vrsqrtefp, true, ROOT, 1.0 / 4096 },
        { "vexptefp", ppc_exec_vexptefp, true, EXPONENT, 1.0 / 16 }, { "vlogefp", ppc_exec_vlogefp, true, LOGARITHM, 1.0 / 32 },
    };
    g_autofree PpcState *s = g_new0(PpcState, 1);
    GRand *rand = g_rand_new_with_seed(11);

    for (unsigned i = 0; i < G_N_ELEMENTS(estimates); i++) {
        for (unsigned n = 0; n < ROUNDS; n++) {
            double x = ldexp(g_rand_double_range(rand, 1, 2), g_rand_int_range(rand, -60, 60)), got, error;

            x = estimates[i].what == EXPONENT ? g_rand_double_range(rand, -100, 100) : x;
            x = estimates[i].what == RECIPROCAL && n & 1 ? -x : x;
            x = estimates[i].vector ? (float)x : x;
            got = estimate_of(s, estimates[i].exec, estimates[i].vector, x);
            error = estimates[i].what == RECIPROCAL ? got * x - 1 : estimates[i].what == ROOT ? got * sqrt(x) - 1
                    : estimates[i].what == EXPONENT ? got / exp2(x) - 1 : got - log2(x);
            if (!(fabs(error) <= estimates[i].bound)) {
                g_error("%s of %a is %a", estimates[i].name, x, got);
            }
        }
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/ppc/fp-status", ppc_fp_status_of, status_is_that_of_the_operation_done_again);
    g_test_add_data_func("/ppc/fp-status-by-integers", ppc_fp_status_by_integers, status_is_that_of_the_operation_done_again);
    g_test_add_func("/ppc/estimates", estimates_are_within_their_bounds);
    return g_test_run();
}
