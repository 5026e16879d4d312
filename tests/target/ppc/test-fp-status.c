/* FPRF, FR and FI from an operation's operands (fp_again.c) are what doing it again says (fp_ops.c). */
#include "target/ppc/fp.h"

#include <glib.h>
#include <inttypes.h>

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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/ppc/fp-status", ppc_fp_status_of, status_is_that_of_the_operation_done_again);
    g_test_add_data_func("/ppc/fp-status-by-integers", ppc_fp_status_by_integers, status_is_that_of_the_operation_done_again);
    return g_test_run();
}
