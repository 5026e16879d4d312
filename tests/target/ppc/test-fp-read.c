/* What mffs reads in problem state, where the host has done the operation before it, is what that
 * leaves in FPSCR (fp_ops.c). */
#include "tests/target/ppc/rig.h"

#include "target/ppc/fp.h"
#include "util/bits.h"

#include <inttypes.h>

enum { NUMBERS = 0x20000, RESULTS = 0x40000, COUNT = 2000, XX = 6 };

#define LFD(rt, d, ra)    D_(50, rt, ra, d)
#define STFD(rt, d, ra)   D_(54, rt, ra, d)
#define MTFSB1(bit)       X_(63, bit, 0, 0, 38)
#define MFFS(rt)          X_(63, rt, 0, 0, 583)
#define FCMPU(bf, ra, rb) X_(63, (bf) << 2, ra, rb, 0)
#define FABC(op, xo)      (X_(op, 4, 1, 2, xo) | 3 << 6) /* f4 = f1, f3, f2 */
#define FAB(op, xo)       X_(op, 4, 1, 2, xo)
#define FAC(op, xo)       (X_(op, 4, 1, 0, xo) | 3 << 6)

typedef struct Op {
    const char *name;
    PpcFpExec *exec;
    uint32_t word;
} Op;

static const Op ops[] = {
    { "fadd", ppc_exec_fadd, FAB(63, 21) },      { "fsub", ppc_exec_fsub, FAB(63, 20) },
    { "fmul", ppc_exec_fmul, FAC(63, 25) },      { "fdiv", ppc_exec_fdiv, FAB(63, 18) },
    { "fmadd", ppc_exec_fmadd, FABC(63, 29) },   { "fmsub", ppc_exec_fmsub, FABC(63, 28) },
    { "fnmadd", ppc_exec_fnmadd, FABC(63, 31) }, { "fnmsub", ppc_exec_fnmsub, FABC(63, 30) },
    { "fadds", ppc_exec_fadds, FAB(59, 21) },    { "fmadds", ppc_exec_fmadds, FABC(59, 29) },
};

/* Few bits, so that results are exact or half-way often; exponents near each other, or at the ends;
 * what is no number. */
static uint64_t number(GRand *rand)
{
    static const unsigned spreads[] = { 2, 4, 30, 60, 300, 1020 };
    static const uint64_t others[] = {
        0, UINT64_C(0x7ff0000000000000), UINT64_C(0x7ff8000000000123), UINT64_C(0x7ff0000000000456),
        1, UINT64_C(0x0010000000000000), UINT64_C(0x7fefffffffffffff), UINT64_C(0x000fffffffffffff)
    };
    uint64_t m = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand), sign = m & UINT64_C(1) << 63;
    unsigned spread = spreads[g_rand_int_range(rand, 0, G_N_ELEMENTS(spreads))];

    if (!g_rand_int_range(rand, 0, 30)) {
        return sign | others[g_rand_int_range(rand, 0, G_N_ELEMENTS(others))];
    }
    m &= ~UINT64_C(0) << g_rand_int_range(rand, 0, 53);
    m = g_rand_boolean(rand) ? m : ~m;
    return sign | (m & ((UINT64_C(1) << 52) - 1)) |
           (uint64_t)(1023 + g_rand_int_range(rand, -(int)spread, spread)) << 52;
}

/* Where problem state has translation on: a radix tree of one level, in which memory is where it is. */
static void map_memory(void)
{
    enum { PROCESSES = 0x200000, TREE = 0x400000, RIGHTS = 0x187 /* all, and referenced and changed */, BITS = 19, PAGES = 128, HR = 1 << 20 };

    store_be64(rig_ram + PROCESSES, TREE | BITS);
    for (unsigned page = 0; page < PAGES; page++) {
        store_be64(rig_ram + TREE + 8 * page, UINT64_C(3) << 62 | page << 12 | RIGHTS);
    }
    rig_state->spr[SPR_PTCR] = PROCESSES;
    rig_state->spr[SPR_LPCR] |= HR;
    rig_cpu->type->replaced(rig_cpu);
}

/* One operation, perhaps a comparison, and FPSCR as mffs reads it. */
static void check(GRand *rand, const Op *op, const Op *noted, bool compares)
{
    g_autofree PpcState *want = g_new0(PpcState, 1);
    const uint32_t code[] = {
        MTFSB1(XX),
        noted->word,
        B(8), /* a block of its own begins behind that, with this one noted */
        ORI(0, 0, 0),
        LFD(1, 0, 6),
        LFD(2, 8, 6),
        LFD(3, 16, 6),
        op->word,
        compares ? FCMPU(3, 1, 2) : ORI(0, 0, 0),
        MFFS(5),
        STFD(5, 0, 7),
        ADDI(6, 6, 24),
        ADDI(7, 7, 8),
        BC(16, 0, -9 * 4), /* bdnz */
    };

    rig_reset(MSR_FP | MSR_PR);
    if (rig_state->model->mmu == PPC_MMU_RADIX) {
        map_memory();
    }
    store_be32(rig_ram + 0x700, RIG_END); /* which problem state must not use */
    for (unsigned i = 0; i < 3 * COUNT; i++) {
        store_be64(rig_ram + NUMBERS + 8 * i, number(rand));
    }
    for (unsigned i = 1; i < 4; i++) {
        rig_state->vsr[i][0] = UINT64_C(0x3ff4000000000000) + i;
    }
    rig_state->vsr[5][1] = 1;
    rig_state->gpr[6] = NUMBERS;
    rig_state->gpr[7] = RESULTS;
    rig_state->ctr = COUNT;
    rig_run_words(code, G_N_ELEMENTS(code));
    g_assert_cmphex(rig_state->gpr[7], ==, RESULTS + 8 * COUNT);
    if (ppc_isa(rig_state, ISA_V206)) {
        g_assert_cmphex(rig_state->vsr[5][1], ==, 0);
    }
    want->fpscr = FPSCR_FX | FPSCR_XX;
    for (unsigned i = 0; i < COUNT; i++) {
        const uint8_t *at = rig_ram + NUMBERS + 24 * i;

        for (unsigned k = 0; k < 3; k++) {
            want->vsr[1 + k][0] = load_be64(at + 8 * k);
        }
        op->exec(want, op->word);
        if (compares) {
            ppc_exec_fcmpu(want, FCMPU(3, 1, 2));
        }
        if (load_be64(rig_ram + RESULTS + 8 * i) != want->fpscr) {
            g_error("%s%s %016" PRIx64 " %016" PRIx64 " %016" PRIx64 ": %08" PRIx64
                    ", not %08" PRIx64,
                    op->name, compares ? ", fcmpu" : "", load_be64(at), load_be64(at + 8),
                    load_be64(at + 16), load_be64(rig_ram + RESULTS + 8 * i), want->fpscr);
        }
    }
}

static void fpscr_is_what_the_operation_leaves(void)
{
    const char *wanted = g_getenv("MYNA_SEED");
    unsigned seed = wanted ? strtoul(wanted, NULL, 0) : g_test_rand_int();
    GRand *rand = g_rand_new_with_seed(seed);

    g_test_message("MYNA_SEED=%u", seed);
    for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
        for (unsigned k = 0; k < G_N_ELEMENTS(ops); k++) {
            check(rand, &ops[i], &ops[k == 0 ? i : k], k & 1);
        }
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_start(argc > 1 ? argv[1] : "7400");
    g_test_add_func("/ppc/fp-read", fpscr_is_what_the_operation_leaves);
    return g_test_run();
}
