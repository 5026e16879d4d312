/* Special purpose registers and instructions that are not there. */
#include "tests/target/ppc/rig.h"

#define R rig_state->gpr

/* What a move to or from a register is in privileged and in problem state: nothing at all, or a program interrupt with a reason. */
static void registers_that_are_not_there(void)
{
    enum { ILLEGAL = PROGRAM_ILLEGAL, PRIVILEGED = PROGRAM_PRIVILEGED };
    static const struct {
        unsigned n;
        bool write;
        uint32_t privileged, problem; /* 0: nothing is done */
    } cases[] = {
        { 0, false, ILLEGAL, ILLEGAL }, { 4, false, ILLEGAL, ILLEGAL }, { 5, false, ILLEGAL, ILLEGAL }, { 6, false, ILLEGAL, ILLEGAL },
        { 0, true, ILLEGAL, ILLEGAL }, { 4, true, 0, ILLEGAL }, { 6, true, 0, ILLEGAL }, { 7, false, 0, ILLEGAL },
        { 7, true, 0, ILLEGAL }, { 21, false, 0, PRIVILEGED }, { 21, true, 0, PRIVILEGED }, { 808, false, 0, 0 }, { 811, true, 0, 0 },
        { SPR_HDEC, false, 0, PRIVILEGED }, { SPR_HDEC, true, 0, PRIVILEGED }, { SPR_DEC, false, 1, PRIVILEGED },
        { SPR_CTRL_READ, true, 0, ILLEGAL },
    };
    static const uint32_t handler[] = { MFSPR(6, SPR_SRR1), LI(31, 0x700), RIG_END };

    if (!ppc_isa(rig_state, ISA_V207)) {
        g_test_skip("by the rules of Power ISA 2.07");
        return;
    }
    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(cases); i++) {
        bool problem = i >= G_N_ELEMENTS(cases);
        unsigned k = i % G_N_ELEMENTS(cases);
        uint32_t want = problem ? cases[k].problem : cases[k].privileged;
        const uint32_t words[] = { cases[k].write ? MTSPR(cases[k].n, 7) : MFSPR(7, cases[k].n), LI(8, 1), X_(17, 0, 0, 0, 1) /* sc */ };
        static const uint32_t end[] = { RIG_END };

        rig_reset(0);
        rig_words(0x700, handler, 3);
        rig_words(0xc00, end, 1);
        R[7] = 1234;
        if (problem) { /* which has translation on */
            rig_state->msr |= MSR_PR;
            ppc_update_mode(rig_state);
        }
        rig_run_words(words, 3);
        if (want == 1) {
            g_assert_cmphex(R[31], ==, 0);
        } else if (want) {
            g_assert_cmphex(R[31], ==, 0x700);
            g_assert_cmphex(R[6] & (ILLEGAL | PRIVILEGED), ==, want);
            g_assert_cmpint(R[8], ==, 0);
        } else {
            g_assert_cmphex(R[31], ==, 0);
            g_assert_cmpint(R[7], ==, 1234);
            g_assert_cmpint(R[8], ==, 1);
        }
    }
}

/* Compilers check return addresses (hashst, hashchk) on processors that do not know of that. */
static void reserved_instructions_do_nothing(void)
{
    static const unsigned opcodes[] = { 530, 562, 594, 626, 722, 754, 658, 690 };
    static const uint32_t end[] = { RIG_END }, handler[] = { MFSPR(6, SPR_SRR1), RIG_END };

    if (!ppc_isa(rig_state, ISA_V207)) {
        g_test_skip("since ISA 2.07");
        return;
    }
    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(opcodes); i++) {
        unsigned opcode = opcodes[i / 2];
        bool problem = i & 1, privileged = problem && ppc_isa(rig_state, ISA_V310) && (opcode == 658 || opcode == 690);
        const uint32_t words[] = { LI(3, 1), X_(31, 29, 1, 0, opcode) | 1, LI(3, 2), X_(17, 0, 0, 0, 1) /* sc */ };

        rig_reset(0);
        rig_words(0xc00, end, 1);
        rig_words(0x700, handler, 2);
        R[1] = UINT64_C(0x123456789); /* nothing is there */
        if (problem) {
            rig_state->msr |= MSR_PR;
            ppc_update_mode(rig_state);
        }
        rig_run_words(words, 4);
        g_assert_cmpint(R[3], ==, privileged ? 1 : 2);
        g_assert_cmphex(R[6] & PROGRAM_PRIVILEGED, ==, privileged ? PROGRAM_PRIVILEGED : 0);
    }
}

int main(int argc, char **argv)
{
    const char *model = argc > 1 ? argv[1] : "750";

    g_test_init(&argc, &argv, NULL);
    rig_start(model);
    g_test_add_func("/ppc/spr/absent", registers_that_are_not_there);
    g_test_add_func("/ppc/reserved", reserved_instructions_do_nothing);
    return g_test_run();
}
