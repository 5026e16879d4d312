/* PowerPC instructions by what the manual says of them: a few of each kind. */
#include "tests/target/ppc/rig.h"

#include "core/clock.h"
#include "util/bits.h"

#define R rig_state->gpr

static void a_loop_adds_up(void)
{
    rig_reset(0);
    RIG_RUN(LI(3, 0), LIS(4, 1), MTSPR(SPR_CTR, 4), ADDI(3, 3, 3), BC(16, 0, -4));
    g_assert_cmphex(R[3], ==, 3 << 16);
    g_assert_cmphex(rig_state->ctr, ==, 0);
    g_assert_cmphex(rig_state->pc, ==, RIG_CODE + 24);
}

static void loads_and_stores_are_big_endian(void)
{
    rig_reset(0);
    RIG_RUN(LIS(3, 0x1122), ORI(3, 3, 0x3344), LIS(4, 2), STW(3, 8, 4), D_(34, 5, 4, 8) /* lbz */,
            D_(40, 6, 4, 10) /* lhz */, D_(44, 3, 4, 16) /* sth */, LWZ(7, 14, 4), X_(31, 8, 0, 4, 534) /* lwbrx */);
    g_assert_cmphex(load_be32(rig_ram + 0x20008), ==, 0x11223344);
    g_assert_cmphex(R[5], ==, 0x11);
    g_assert_cmphex(R[6], ==, 0x3344);
    g_assert_cmphex(R[7], ==, 0x3344);
}

static void little_endian_mode_swaps_nothing(void)
{
    rig_reset(MSR_LE);
    RIG_RUN(LIS(3, 0x1122), ORI(3, 3, 0x3344), LIS(4, 2), STW(3, 8, 4), D_(34, 5, 4, 8), D_(40, 6, 4, 8));
    g_assert_cmphex(load_le32(rig_ram + 0x20008), ==, 0x11223344);
    g_assert_cmphex(R[5], ==, 0x44);
    g_assert_cmphex(R[6], ==, 0x3344);
}

static void update_forms_move_the_base(void)
{
    rig_reset(0);
    RIG_RUN(LIS(1, 2), LI(3, 77), D_(37, 3, 1, -16) /* stwu */, D_(33, 4, 1, 0) /* lwzu */, D_(46, 30, 1, 0) /* lmw */);
    g_assert_cmphex(R[1], ==, 0x1fff0);
    g_assert_cmpint(R[4], ==, 77);
    g_assert_cmpint(R[30], ==, 77);
    g_assert_cmpint(R[31], ==, 0);
}

static void comparisons_set_fields(void)
{
    rig_reset(0);
    RIG_RUN(LI(3, -1), LI(4, 1), X_(31, 0, 3, 4, 0) /* cmpw cr0 */, X_(31, 4, 3, 4, 32) /* cmplw cr1 */,
            X_(31, 8, 3, 3, 0) /* cr2 */, BC(12, 0, 8) /* blt */, LI(5, 1), LI(6, 1), BC(12, 5, 8) /* bgt cr1 */, LI(7, 1),
            X_(19, 31, 0, 5, 257) /* crand so7, lt0, gt1 */, X_(31, 8, 0, 0, 19) /* mfcr */);
    g_assert_cmphex(rig_state->cr[0], ==, 8);
    g_assert_cmphex(rig_state->cr[1], ==, 4);
    g_assert_cmphex(rig_state->cr[2], ==, 2);
    g_assert_cmphex(R[5], ==, 0);
    g_assert_cmphex(R[6], ==, 1);
    g_assert_cmphex(R[7], ==, 0);
    g_assert_cmphex(R[8], ==, 0x84200001);
}

/* Branches over few instructions that only compute are no branches: what they skip is done, and put or not. */
static void what_a_short_branch_skips_is_not_done(void)
{
    static const struct {
        unsigned bo, bi;
        bool skips;
    } cases[] = { { 12, 0, true }, { 4, 0, false }, { 12, 1, false }, { 4, 1, true }, { 12, 2, false }, { 4, 5, false }, { 12, 5, true } };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        const uint32_t words[] = {
            LI(3, -5), LI(4, 7), LI(5, 100), LI(6, 200),
            X_(31, 0, 3, 4, 0) /* cmpw: lt */, X_(31, 4, 3, 4, 32) /* cmplw cr1: gt */,
            BC(cases[i].bo, cases[i].bi, 12), ADD(5, 5, 5), ADD(6, 5, 6),
            BC(cases[i].bo, cases[i].bi, 8), X_(31, 5, 7, 5, 444) /* mr 7,5 */, /* the flags of the first are gone */
        };

        rig_reset(0);
        R[7] = 1;
        rig_run_words(words, G_N_ELEMENTS(words));
        g_assert_cmpint(R[5], ==, cases[i].skips ? 100 : 200);
        g_assert_cmpint(R[6], ==, cases[i].skips ? 200 : 400);
        g_assert_cmpint(R[7], ==, cases[i].skips ? 1 : 200);
        g_assert_cmphex(rig_state->cr[0], ==, 8);
        g_assert_cmphex(rig_state->cr[1], ==, 4);
    }
}

/* The same where the field was there before the block, and what is skipped has Rc, which needs a branch. */
static void a_short_branch_reads_any_field(void)
{
    for (unsigned set = 0; set < 2; set++) {
        rig_reset(0);
        rig_state->cr[7] = set ? 2 : 13;
        R[3] = 3;
        R[4] = 4;
        RIG_RUN(BC(12, 30, 8), ADD(3, 3, 4), BC(4, 30, 8), ADD(4, 4, 4) | 1);
        g_assert_cmpint(R[3], ==, set ? 3 : 7);
        g_assert_cmpint(R[4], ==, set ? 8 : 4);
        g_assert_cmphex(rig_state->cr[0], ==, set ? 4 : 0);
    }
}

static void carries_go_from_one_to_the_next(void)
{
    rig_reset(0);
    RIG_RUN(LI(3, -1), LI(4, 1), X_(31, 5, 3, 4, 10) /* addc */, X_(31, 6, 4, 4, 138) /* adde: 3 */,
            X_(31, 7, 4, 3, 8) /* subfc: -1 - 1 */, X_(31, 8, 4, 4, 136) /* subfe: 1 - 1 */, D_(8, 9, 3, 0) /* subfic: 0 - -1 */,
            X_(31, 10, 4, 4, 136) /* 1 - 1 - 1 */, X_(31, 11, 0, 0, 202) /* addze: 0 */);
    if (ppc_is_64bit(rig_cpu)) {
        g_assert_cmphex(R[5], ==, 0);
        g_assert_cmphex(R[10], ==, UINT64_MAX);
    } else {
        g_assert_cmphex(R[10], ==, UINT32_MAX);
    }
    g_assert_cmphex(R[6], ==, 3);
    g_assert_cmphex(R[8], ==, 0);
    g_assert_cmphex(R[9], ==, 1);
    g_assert_cmphex(R[11], ==, 0);
    g_assert_false(rig_state->ca);
}

static void reservations_are_kept_and_lost(void)
{
    rig_reset(0);
    RIG_RUN(LIS(4, 2), LI(5, 7), STW(5, 0, 4), X_(31, 6, 0, 4, 20) /* lwarx */, ADDI(6, 6, 1), X_(31, 6, 0, 4, 150) | 1,
            X_(31, 8, 0, 0, 19), X_(31, 6, 0, 4, 150) | 1, X_(31, 9, 0, 0, 19), LWZ(7, 0, 4));
    g_assert_cmpint(R[7], ==, 8);
    g_assert_cmphex(R[8], ==, 0x20000000);
    g_assert_cmphex(R[9], ==, 0);
}

/* Atomic memory operations of one operand, of two, and a function that there is not. */
static void memory_operations_are_done_in_memory(void)
{
    static const uint32_t handler[] = { MFSPR(9, SPR_DSISR), MFSPR(10, SPR_DAR), RIG_END };

    if (!ppc_isa(rig_state, ISA_V300)) {
        g_test_skip("no atomic memory operations");
        return;
    }
    rig_reset(0);
    RIG_RUN(LIS(4, 2), LI(5, 7), STW(5, 0, 4), STW(5, 4, 4), LI(7, 3), X_(31, 6, 4, 0, 582) /* lwat add */,
            LI(11, 20), X_(31, 10, 4, 24, 582) /* lwat increment bounded */, X_(31, 12, 4, 24, 582), LI(15, 10), LI(16, 99),
            X_(31, 14, 4, 16, 582) /* lwat compare and swap not equal */, LWZ(8, 0, 4));
    g_assert_cmphex(R[6], ==, 7);
    g_assert_cmphex(R[10], ==, 10);
    g_assert_cmphex(R[12], ==, 11);
    g_assert_cmphex(R[14], ==, 12);
    g_assert_cmphex(R[8], ==, 99);
    rig_reset(0);
    RIG_RUN(LIS(4, 2), LI(5, 7), STW(5, 0, 4), STW(5, 4, 4), X_(31, 6, 4, 24, 582) /* at its bound */, LI(5, -2),
            X_(31, 5, 4, 24, 710) /* stwat twin */, X_(31, 5, 4, 5, 742) /* stdat max */);
    g_assert_cmphex(R[6], ==, 0x80000000);
    g_assert_cmphex(load_be64(rig_ram + 0x20000), ==, UINT64_C(0xfffffffffffffffe));
    rig_reset(0);
    rig_words(PPC_DSI, handler, 3);
    RIG_RUN(LIS(4, 2), X_(31, 5, 4, 8, 710) /* stwat swap */);
    g_assert_cmphex(R[9], ==, 4);
    g_assert_cmphex(R[10], ==, 0x20000);
}

/* Function 28 has its bound before the operand. Operands are in one block of 32 bytes. */
static void memory_operations_have_a_block(void)
{
    static const uint32_t handler[] = { MFSPR(10, SPR_DAR), MFSPR(9, SPR_SRR0), RIG_END };
    static const struct {
        unsigned at;
        uint32_t word;
    } across[] = {
        { 28, X_(31, 5, 4, 24, 582) }, { 32, X_(31, 5, 4, 28, 582) }, { 24, X_(31, 5, 4, 24, 614) }, { 28, X_(31, 5, 4, 24, 710) },
    };

    if (!ppc_isa(rig_state, ISA_V300)) {
        g_test_skip("no atomic memory operations");
        return;
    }
    rig_reset(0);
    RIG_RUN(LIS(4, 2), LI(5, 7), STW(5, 0, 4), LI(5, 9), STW(5, 4, 4), ADDI(4, 4, 4), X_(31, 6, 4, 28, 582), X_(31, 7, 4, 28, 582),
            X_(31, 8, 4, 28, 582), LWZ(9, 0, 4));
    g_assert_cmpint(R[6], ==, 9);
    g_assert_cmpint(R[7], ==, 8);
    g_assert_cmphex(R[8], ==, 0x80000000); /* at its bound */
    g_assert_cmpint(R[9], ==, 7);
    for (unsigned i = 0; i < G_N_ELEMENTS(across); i++) {
        rig_reset(0);
        rig_words(PPC_ALIGN, handler, 3);
        rig_state->gpr[4] = 0x20000 + across[i].at;
        rig_run_words(&across[i].word, 1);
        g_assert_cmphex(R[10], ==, 0x20000 + across[i].at);
        g_assert_cmphex(R[9], ==, RIG_CODE);
    }
}

/* Wherever a processor is told to begin, it begins at a word. */
static void the_pc_is_that_of_a_word(void)
{
    rig_reset(0);
    rig_state->gpr[5] = 1;
    rig_words(RIG_CODE, (const uint32_t[]){ ADDI(5, 5, 1), RIG_END }, 2);
    ppc_start(rig_cpu, RIG_CODE + 3, 0);
    rig_run(rig_state->pc);
    g_assert_cmpint(R[5], ==, 2);
    if (ppc_isa(rig_state, ISA_970)) { /* where its interrupts go */
        rig_reset(0);
        rig_state->spr[SPR_HIOR] = 0x100003;
        rig_words(0x100000 + PPC_PROGRAM, (const uint32_t[]){ LI(5, 7), RIG_END }, 2);
        RIG_RUN(0);
        g_assert_cmpint(R[5], ==, 7);
    }
}

/* Whatever gdb reads it can write. */
static void gdb_has_each_register(void)
{
    uint8_t buf[16], again[16];
    int size, n = 0;

    rig_reset(0);
    g_assert_nonnull(strstr(ppc_gdb_xml(rig_cpu, "target.xml"), "org.gnu.gdb.power.core"));
    for (; (size = ppc_gdb_read(rig_cpu, n, buf)) > 0; n++) {
        memset(buf, 0, sizeof(buf));
        buf[size - 1] = ppc_isa(rig_state, ISA_64) ? 8 : 4;
        g_assert_cmpint(ppc_gdb_write(rig_cpu, n, buf), ==, size);
        g_assert_cmpint(ppc_gdb_read(rig_cpu, n, again), ==, size);
        if (n < 32) {
            g_assert_cmpmem(buf, size, again, size);
        }
    }
    g_assert_cmpint(n, ==, ppc_isa(rig_state, ISA_V207) ? 140 : ppc_isa(rig_state, ISA_ALTIVEC) ? 105 : 71);
    g_assert_cmpint(ppc_gdb_write(rig_cpu, n, buf), ==, 0);
    g_assert_cmpint(ppc_gdb_read(rig_cpu, -1, buf), ==, 0);
}

static void rotates_and_masks(void)
{
    rig_reset(0);
    RIG_RUN(LIS(3, 0x1234), ORI(3, 3, 0x5678), D_(21, 3, 4, 8 << 11 | 0 << 6 | 31 << 1) /* rotlwi 8 */,
            D_(21, 3, 5, 16 << 11 | 24 << 6 | 31 << 1), D_(21, 3, 6, 0 << 11 | 28 << 6 | 3 << 1), LI(7, -1),
            D_(20, 3, 7, 4 << 11 | 8 << 6 | 15 << 1) /* rlwimi */, LI(8, 33), X_(31, 3, 9, 8, 24) /* slw */,
            X_(31, 3, 10, 4, 26) /* cntlzw */);
    g_assert_cmphex((uint32_t)R[4], ==, 0x34567812);
    g_assert_cmphex((uint32_t)R[5], ==, 0x34);
    g_assert_cmphex((uint32_t)R[6], ==, 0x10000008);
    g_assert_cmphex((uint32_t)R[7], ==, 0xff45ffff);
    g_assert_cmphex(R[9], ==, 0);
    g_assert_cmpint(R[10], ==, 3);
}

static void a_system_call_comes_back(void)
{
    static const uint32_t handler[] = { MFSPR(5, SPR_SRR0), MFSPR(6, SPR_SRR1), ADDI(3, 3, 1), RFI };
    static const uint32_t handler64[] = { MFSPR(5, SPR_SRR0), MFSPR(6, SPR_SRR1), ADDI(3, 3, 1), RFID };

    rig_reset(MSR_EE | MSR_RI);
    rig_words(0xc00, ppc_is_64bit(rig_cpu) ? handler64 : handler, 4);
    RIG_RUN(LI(3, 41), 0x44000002, ADDI(3, 3, 100));
    g_assert_cmpint(R[3], ==, 142);
    g_assert_cmphex(R[5], ==, RIG_CODE + 8);
    g_assert_cmphex((uint32_t)R[6], ==, MSR_EE | MSR_RI);
}

static void what_is_no_instruction_is_a_program_interrupt(void)
{
    static const uint32_t handler[] = { MFSPR(5, SPR_SRR0), MFSPR(6, SPR_SRR1), RIG_END };

    rig_reset(0);
    rig_words(0x700, handler, 3);
    RIG_RUN(LI(3, 1), 0, LI(3, 2));
    g_assert_cmpint(R[3], ==, 1);
    g_assert_cmphex(R[5], ==, RIG_CODE + 4);
    g_assert_cmphex((uint32_t)R[6], ==, 0x80000);
    rig_reset(0);
    rig_words(0x700, handler, 3);
    RIG_RUN(LI(3, 5), D_(3, 16, 3, 6) /* twlti r3, 6 */);
    g_assert_cmphex(R[5], ==, RIG_CODE + 4);
    g_assert_cmphex((uint32_t)R[6], ==, 0x20000);
}

/* Runs a word with bits of MSR off; the interrupt must be there. */
static void check_unavailable(uint32_t word, uint64_t off, uint32_t vector)
{
    static const uint32_t handler[] = { MFSPR(5, SPR_SRR0), LI(6, 77), RIG_END };

    rig_reset(0);
    ppc_set_msr(rig_state, (rig_state->msr | MSR_FP | MSR_VEC | MSR_VSX) & ~off);
    rig_words(vector, handler, 3);
    rig_run_words(&word, 1);
    g_assert_cmphex(R[5], ==, RIG_CODE);
    g_assert_cmpint(R[6], ==, 77);
}

/* The same block while the facility comes and goes. */
static void check_toggled(uint32_t word, uint64_t bit, uint32_t vector)
{
    const uint32_t handler[] = { LI(6, 77), RIG_END }, code[] = { word, RIG_END };

    rig_reset(0);
    rig_words(vector, handler, 2);
    rig_words(RIG_CODE, code, 2);
    for (unsigned turn = 0; turn < 6; turn++) {
        bool off = turn % 2;

        ppc_set_msr(rig_state, (rig_state->msr | MSR_FP | MSR_VEC | MSR_VSX) & ~(off ? bit : 0));
        R[6] = 0;
        rig_run(RIG_CODE);
        g_assert_cmpint(R[6], ==, off ? 77 : 0);
    }
}

static void privileged_code_sees_facilities_come_and_go(void)
{
    if (!ppc_isa(rig_state, ISA_V300)) {
        return;
    }
    check_toggled(0xfc01102a /* fadd */, MSR_FP, PPC_FPU);
    check_toggled(0x10011000 /* vaddubm */, MSR_VEC, PPC_VPU);
    check_toggled(0xf4000001 /* lxv vs0 */, MSR_VSX, PPC_VSU);
    check_toggled(0x7c000066 /* mfvsrd from vs0 */, MSR_FP, PPC_FPU);
}

/* 1 / 3 rounded to nearest, then up: privileged code again, whose block was made for the host's rounding. */
static void privileged_code_sees_its_rounding(void)
{
    static const uint32_t code[] = { 0xfc001024 /* fdiv f0, f0, f2 */, RIG_END };

    rig_reset(MSR_FP);
    rig_words(RIG_CODE, code, 2);
    for (unsigned turn = 0; turn < 4; turn++) {
        rig_state->fpscr = 0x02000000 | (turn % 2 ? 2 : 0); /* XX, RN */
        rig_state->vsr[0][0] = 0x3ff0000000000000;
        rig_state->vsr[2][0] = 0x4008000000000000;
        rig_run(RIG_CODE);
        g_assert_cmphex(rig_state->vsr[0][0], ==, 0x3fd5555555555555 + turn % 2);
    }
}

static void facilities_that_are_off_interrupt(void)
{
    if (!ppc_isa(rig_state, ISA_V300)) {
        return;
    }
    check_unavailable(0xfc01102a /* fadd */, MSR_FP, PPC_FPU);
    check_unavailable(0xec011004 /* dadd */, MSR_FP, PPC_FPU);
    check_unavailable(0x10011000 /* vaddubm */, MSR_VEC, PPC_VPU);
    check_unavailable(0xf00114d0 /* xxlxor */, MSR_VSX, PPC_VSU);
    check_unavailable(0xf4000001 /* lxv vs0 */, MSR_VSX, PPC_VSU);
    check_unavailable(0xf4000009 /* lxv vs32 */, MSR_VEC, PPC_VPU);
    check_unavailable(0x7c000067 /* mfvsrd from vs32 */, MSR_VEC, PPC_VPU);
    check_unavailable(0x7c000066 /* mfvsrd from vs0 */, MSR_FP, PPC_FPU);
    if (ppc_isa(rig_state, ISA_TM)) {
        check_unavailable(0x7c00051d /* tbegin. */, 0, PPC_FAC);
        g_assert_cmphex(rig_state->spr[SPR_FSCR] >> 56, ==, FACILITY_TM);
    }
}

static void a_prefix_stays_within_64_bytes(void)
{
    static const uint32_t handler[] = { MFSPR(5, SPR_SRR0), MFSPR(6, SPR_SRR1), RIG_END };
    uint32_t words[18];

    if (!ppc_isa(rig_state, ISA_V310)) {
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        words[i] = 0x60000000;
    }
    words[13] = 0x06000001; /* pli r3, 0x10005 */
    words[14] = 0x38600005;
    words[15] = 0x06000000;
    rig_reset(0);
    rig_words(PPC_ALIGN, handler, 3);
    rig_run_words(words, G_N_ELEMENTS(words));
    g_assert_cmphex(R[3], ==, 0x10005);
    g_assert_cmphex(R[5], ==, RIG_CODE + 60);
    g_assert_cmphex((uint32_t)R[6] & 0x10000000, ==, 0x10000000);
}

/* What a word of the list below makes of r3, and of "less" in CR0. */
static uint32_t done_by(uint32_t word, uint32_t r3, bool *less)
{
    uint32_t ui = word & 0xffff, si = (uint32_t)(int16_t)ui;

    switch (word >> 26) {
    case 7: return r3 * si;
    case 8: return si - r3;
    case 14: return r3 + si;
    case 15: return r3 + (si << 16);
    case 24: return r3 | ui;
    case 26: return r3 ^ ui;
    case 27: return r3 ^ ui << 16;
    case 28: *less = false; return r3 & ui;
    default: return r3;
    }
}

/*
 * A word of a routine is rewritten before each call. Mostly only its constant changes, which blocks then load; now and
 * then it is another instruction, which may also make the CR0 that the branch behind it looks at.
 */
static void a_word_that_is_rewritten(void)
{
    enum { TABLE = 0x20000, SITE = 0x11000, COUNT = 600 };
    static const uint32_t caller[] = {
        LIS(4, TABLE >> 16), LI(6, COUNT), MTSPR(SPR_CTR, 6), LIS(7, SITE >> 16), ORI(7, 7, SITE & 0xffff), LI(3, 1), LI(8, 0),
        LWZ(5, 0, 4), ADDI(4, 4, 4), STW(5, 0, 7), X_(31, 0, 0, 7, 54) /* dcbst */, X_(31, 0, 0, 0, 598) /* sync */,
        X_(31, 0, 0, 7, 982) /* icbi */, ISYNC, B(SITE - 8 - RIG_CODE - 14 * 4) | 1, BC(16, 0, -8 * 4) /* bdnz */, RIG_END,
    };
    static const uint32_t routine[] = { ADD(8, 8, 3), D_(11, 0, 3, 100) /* cmpwi r3, 100 */, ADDI(3, 3, 1), BC(4, 0, 8) /* bge */,
                                        ADDI(8, 8, 1), BLR };
    static const uint8_t ops[] = { 14, 7, 8, 15, 24, 26, 27, 28 };
    uint32_t r3 = 1, r8 = 0, words[COUNT];

    rig_reset(0);
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned op = i % 100 < 50 ? ops[i / 100 % 8] : i % 100 < 60 ? ops[i % 8] : i % 7 == 0 ? 28 : 14;
        bool less;

        words[i] = i % 97 == 96 ? 0x60000000 : D_(op, 3, 3, i * 2654435761u >> 7);
        r8 += r3;
        less = (int32_t)r3 < 100;
        r3 = done_by(words[i], r3, &less);
        r8 += less;
    }
    rig_words(TABLE, words, COUNT);
    rig_words(SITE - 8, routine, G_N_ELEMENTS(routine));
    rig_words(RIG_CODE, caller, G_N_ELEMENTS(caller));
    rig_run(RIG_CODE);
    g_assert_cmphex((uint32_t)R[3], ==, r3);
    g_assert_cmphex((uint32_t)R[8], ==, r8);
}

/*
 * Code and numbers beside it are stored one behind the other. The first store is slow, as it takes away what was translated;
 * the numbers have to survive that in whatever registers of the host they are.
 */
static void numbers_are_stored_beside_code(void)
{
    enum { FROM = 0x20000, TO = 0x30000, SITE = 0x11000, COUNT = 40 };
    static const uint32_t code[] = {
        D_(50, 1, 4, 0) /* lfd f1, 0(r4) */, X_(63, 2, 0, 1, 40) /* fneg f2, f1 */, STW(5, 0, 7), D_(54, 2, 7, 8) /* stfd */,
        D_(54, 1, 7, 16), X_(31, 0, 0, 7, 54) /* dcbst */, X_(31, 0, 0, 0, 598) /* sync */, X_(31, 0, 0, 7, 982) /* icbi */,
        ISYNC, B(SITE - RIG_CODE - 9 * 4) | 1, D_(50, 3, 7, 8), D_(54, 3, 6, 0), D_(50, 3, 7, 16), D_(54, 3, 6, 8),
        ADDI(5, 5, 1), ADDI(4, 4, 8), ADDI(6, 6, 16), BC(16, 0, -17 * 4) /* bdnz */, RIG_END,
    };
    static const uint32_t routine[] = { ADDI(8, 8, 0), BLR };

    rig_reset(MSR_FP);
    rig_words(RIG_CODE, code, G_N_ELEMENTS(code));
    rig_words(SITE, routine, G_N_ELEMENTS(routine));
    for (unsigned i = 0; i < COUNT; i++) {
        store_be64(rig_ram + FROM + 8 * i, UINT64_C(0x4000123456789abc) + i);
    }
    R[4] = FROM;
    R[5] = ADDI(8, 8, 1);
    R[6] = TO;
    R[7] = SITE;
    rig_state->ctr = COUNT;
    rig_run(RIG_CODE);
    g_assert_cmpint(R[8], ==, COUNT * (COUNT + 1) / 2);
    for (unsigned i = 0; i < COUNT; i++) {
        g_assert_cmphex(load_be64(rig_ram + TO + 16 * i), ==, UINT64_C(0xc000123456789abc) + i);
        g_assert_cmphex(load_be64(rig_ram + TO + 16 * i + 8), ==, UINT64_C(0x4000123456789abc) + i);
    }
}

/* A comparison overwrote CR0 behind another block's exit; then MFCR is there, which reads what that block compared. */
static void a_field_that_was_dead_is_read(void)
{
    enum { WRITER = 0x13000, READER = RIG_CODE + 0x100 };
    static const uint32_t code[] = { D_(11, 0, 3, 0) /* cmpwi r3, 0 */, B(READER - RIG_CODE - 4) };
    static const uint32_t reader[] = { D_(11, 0, 4, 0), RIG_END };
    static const uint32_t writer[] = { STW(5, 0, 7), X_(31, 0, 0, 7, 54) /* dcbst */, X_(31, 0, 0, 0, 598) /* sync */,
                                       X_(31, 0, 0, 7, 982) /* icbi */, ISYNC, RIG_END };

    rig_reset(0);
    rig_words(RIG_CODE, code, G_N_ELEMENTS(code));
    rig_words(READER, reader, G_N_ELEMENTS(reader));
    rig_words(WRITER, writer, G_N_ELEMENTS(writer));
    for (unsigned i = 0; i < 3; i++) {
        R[3] = i;
        rig_run(RIG_CODE);
    }
    R[5] = X_(31, 9, 0, 0, 19) /* mfcr r9 */;
    R[7] = READER;
    rig_run(WRITER);
    R[3] = (uint64_t)-1;
    rig_run(RIG_CODE);
    g_assert_cmphex(R[9] >> 28 & 15, ==, 8);
    R[3] = 0;
    rig_run(RIG_CODE);
    g_assert_cmphex(R[9] >> 28 & 15, ==, 2);
}

/* Bit 31 of instructions without Rc is reserved: they leave CR0, which the block before them made, alone. */
static void a_reserved_bit_records_nothing(void)
{
    enum { POPCNTB = 122, POPCNTW = 378, POPCNTD = 506, CMPB = 508, NEXT = RIG_CODE + 0x100 };
    static const uint32_t code[] = { D_(11, 0, 3, 0) /* cmpwi r3, 0 */, B(NEXT - RIG_CODE - 4) };
    static const unsigned ops[] = { POPCNTB, POPCNTW, POPCNTD, CMPB };

    for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
        uint32_t next[] = { X_(31, 4, 5, 6, ops[i]) | 1, RIG_END };

        if (!ppc_isa(rig_state, ISA_V206)) {
            return;
        }
        rig_reset(0);
        rig_words(RIG_CODE, code, G_N_ELEMENTS(code));
        rig_words(NEXT, next, G_N_ELEMENTS(next));
        R[3] = 1;
        rig_run(RIG_CODE);
        g_assert_cmphex(rig_state->cr[0], ==, 4);
    }
}

/* A double is made of two words in memory, the right one stored first, also where it lies on two pages; r31 says where the code is. */
static void words_are_loaded_as_a_double(void)
{
    enum { TO = 0x30000, COUNT = 3 };
    static const uint32_t places[COUNT] = { 0x20008, 0x20ffc, 0x20ffd };
    static const uint32_t code[] = {
        BC(20, 31, 4) | 1 /* bcl */, X_(31, 31, 8, 0, 339) /* mflr r31 */, STW(6, 4, 7), STW(5, 0, 7), D_(50, 1, 7, 0) /* lfd f1 */,
        D_(54, 1, 4, 0) /* stfd */, STW(5, 0, 7), STW(6, 4, 7), D_(38, 8, 7, 5) /* stb r8, 5(r7) */, D_(50, 1, 7, 0), D_(54, 1, 4, 8), RIG_END,
    };

    for (unsigned i = 0; i < COUNT; i++) {
        rig_reset(MSR_FP);
        rig_words(RIG_CODE, code, G_N_ELEMENTS(code));
        R[4] = TO;
        R[5] = 0x43300000;
        R[6] = 0x80001234;
        R[7] = places[i];
        R[8] = 0x56;
        rig_run(RIG_CODE);
        g_assert_cmphex(load_be64(rig_ram + TO), ==, UINT64_C(0x4330000080001234));
        g_assert_cmphex(load_be64(rig_ram + TO + 8), ==, UINT64_C(0x4330000080561234));
        g_assert_cmphex(load_be64(rig_ram + places[i]), ==, UINT64_C(0x4330000080561234));
        g_assert_cmphex((uint32_t)R[31], ==, RIG_CODE + 4);
    }
}

/* Privileged code copies by vector registers over several pages, until the facility is off. */
static void a_loop_of_privileged_vectors(void)
{
    enum { FROM = 0x20010, TO = 0x30020, COUNT = 1000 };
    static const uint32_t handler[] = { LI(6, 77), RIG_END };
    static const uint32_t code[] = { X_(31, 0, 0, 4, 103) /* lvx v0, 0, r4 */, X_(31, 0, 0, 3, 231) /* stvx v0, 0, r3 */,
                                     ADDI(4, 4, 16), ADDI(3, 3, 16), BC(16, 0, -16) /* bdnz */, RIG_END };

    if (!ppc_isa(rig_state, ISA_ALTIVEC)) {
        return;
    }
    for (unsigned turn = 0; turn < 4; turn++) {
        bool off = turn == 2;

        rig_reset(off ? 0 : MSR_VEC);
        rig_words(PPC_VPU, handler, 2);
        rig_words(RIG_CODE, code, G_N_ELEMENTS(code));
        for (unsigned i = 0; i < COUNT * 16; i++) {
            rig_ram[FROM + i] = i * 7 + (i >> 8) + turn;
        }
        R[3] = TO;
        R[4] = FROM;
        rig_state->ctr = COUNT;
        rig_run(RIG_CODE);
        g_assert_cmpint(R[6], ==, off ? 77 : 0);
        g_assert_cmphex(R[3], ==, TO + (off ? 0 : COUNT * 16));
        g_assert_cmpint(memcmp(rig_ram + FROM, rig_ram + TO, COUNT * 16) == 0, ==, !off);
    }
}

/* As fast as the clock, and never back. */
static void check_zeros(unsigned from, unsigned end)
{
    for (unsigned i = 0x20000; i < 0x23000; i++) {
        g_assert_cmphex(rig_ram[i], ==, i >= from && i < end ? 0 : 0xaa);
    }
}

/* One line, and many in a loop; doublewords of zeros, some of them over a page's end. */
static void lines_of_zeros(void)
{
    unsigned line = rig_state->model->cache_line;

    for (unsigned n = 1; n < 60; n += 29) {
        rig_reset(0);
        memset(rig_ram + 0x20000, 0xaa, 0x3000);
        R[4] = 0x20104;
        R[5] = n;
        R[7] = line;
        RIG_RUN(MTSPR(SPR_CTR, 5), X_(31, 0, 0, 4, 1014) /* dcbz */, ADD(4, 4, 7), BC(16, 0, -8));
        check_zeros(0x20100, 0x20100 + n * line);
    }
    for (unsigned from = 0xfd0; ppc_is_64bit(rig_cpu) && from < 0x1010; from += 4) {
        rig_reset(0);
        memset(rig_ram + 0x20000, 0xaa, 0x3000);
        R[4] = 0x20000 + from;
        RIG_RUN(LI(6, 0), D_(62, 6, 4, 0), D_(62, 6, 4, 8), D_(62, 6, 4, 16), D_(62, 6, 4, 24), D_(62, 6, 4, 32),
                D_(62, 6, 4, 40), D_(62, 6, 4, 48));
        check_zeros(0x20000 + from, 0x20000 + from + 56);
    }
}

static void the_time_base_follows_the_clock(void)
{
    enum { TURNS = 30 };
    static const uint32_t code[] = { MFSPR(4, SPR_TBL_USER), LIS(5, 1), MTSPR(SPR_CTR, 5), MFSPR(5, SPR_TBL_USER),
                                     X_(31, 6, 4, 5, 40) /* subf r6, r4, r5 */, X_(31, 6, 7, 7, 444) /* or r7, r6, r7 */,
                                     X_(31, 5, 4, 5, 444) /* mr r4, r5 */, BC(16, 0, -16) /* bdnz */, RIG_END };
    uint64_t sign = ppc_is_64bit(rig_cpu) ? UINT64_C(1) << 63 : UINT64_C(1) << 31, first = 0, last = 0;
    int64_t began = 0, now = 0;

    rig_reset(0);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        rig_words(RIG_CODE, code, G_N_ELEMENTS(code));
        rig_run(RIG_CODE);
        g_assert_cmphex(R[7] & sign, ==, 0);
        now = clock_now(CLOCK_GUEST);
        last = ppc_timebase(rig_cpu);
        began = turn ? began : now;
        first = turn ? first : last;
    }
    now = (now - began) * rig_state->tb_frequency / NS_PER_SECOND;
    g_assert_cmpint(ABS((int64_t)(last - first) - now), <, now / 50 + (int64_t)rig_state->tb_frequency / 10000);
}

static void the_decrementer_interrupts(void)
{
    static const uint32_t handler[] = { LI(3, 99), RIG_END };

    rig_reset(0);
    rig_words(0x900, handler, 2);
    RIG_RUN(LI(4, 1000), MTSPR(SPR_DEC, 4), LI(5, 0), ORI(5, 5, 0x8000), MTMSR(5), B(0));
    g_assert_cmpint(R[3], ==, 99);
    g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE + 20);
}

/* RLWINM that clears one bit of the low word. */
#define CLEAR_BIT(ra, rs, bit) (21u << 26 | (rs) << 21 | (ra) << 16 | (32 - (bit)) << 6 | (30 - (bit)) << 1)

static void a_waiting_interrupt_comes_behind_mtmsr(void)
{
    static const uint32_t handler[] = { MFSPR(7, SPR_SRR0), LI(3, 99), RIG_END };

    rig_reset(0);
    rig_words(0x900, handler, 3);
    RIG_RUN(LI(4, -1), MTSPR(SPR_DEC, 4), MFMSR(5), ORI(5, 5, 0x8000), MTMSR(5), LI(6, 1), B(0));
    g_assert_cmpint(R[3], ==, 99);
    g_assert_cmphex(R[7], ==, RIG_CODE + 20);
    g_assert_cmpint(R[6], ==, 0);
}

static void what_mfmsr_read_goes_back_with_ee_off(void)
{
    static const uint32_t handler[] = { LI(3, 99), RIG_END };

    rig_reset(0);
    rig_words(0x900, handler, 2);
    RIG_RUN(MFMSR(5), ORI(8, 5, 0x8000), MTMSR(8), MFMSR(9), CLEAR_BIT(10, 9, 15), MTMSR(10), LI(4, -1), MTSPR(SPR_DEC, 4), LI(6, 1),
            MFMSR(11));
    g_assert_cmpint(R[3], ==, 0);
    g_assert_cmpint(R[6], ==, 1);
    g_assert_cmphex(R[9], ==, R[5] | 0x8000);
    g_assert_cmphex(R[11], ==, R[5] & ~UINT64_C(0x8000));
}

/* LE and ME; a 7400 changes them. */
static void mtmsr_leaves_the_byte_order_to_rfid(void)
{
    if (!ppc_isa(rig_state, ISA_V206)) {
        g_test_skip("before ISA 2.06");
        return;
    }
    rig_reset(MSR_ME);
    RIG_RUN(MFMSR(5), D_(26, 5, 6, MSR_LE | MSR_ME) /* xori */, MTMSR(6), MFMSR(7), LI(3, 1));
    g_assert_cmpint(R[3], ==, 1);
    g_assert_cmphex(R[7], ==, R[5]);
    rig_reset(MSR_ME);
    RIG_RUN(MFMSR(5), D_(26, 5, 6, MSR_LE | MSR_ME), X_(31, 6, 0, 0, 178) /* mtmsrd */, MFMSR(7), LI(3, 1));
    g_assert_cmpint(R[3], ==, 1);
    g_assert_cmphex(R[7], ==, R[5]);
}

static void other_bits_of_what_mfmsr_read_count(void)
{
    static const uint32_t handler[] = { MFSPR(7, SPR_SRR0), LI(3, 99), RIG_END };

    rig_reset(0);
    rig_words(PPC_FPU, handler, 3);
    RIG_RUN(MFMSR(5), CLEAR_BIT(5, 5, 13), MTMSR(5), 0xfc01102a /* fadd */, LI(6, 1));
    g_assert_cmpint(R[3], ==, 99);
    g_assert_cmphex(R[7], ==, RIG_CODE + 12);
    g_assert_cmpint(R[6], ==, 0);
}

static void xer_keeps_what_it_has(void)
{
    uint64_t has = 0xe0000000 | ppc_xer_low_mask(rig_state) | (ppc_isa(rig_state, ISA_V300) ? 0xc0000 : 0);

    rig_reset(0);
    RIG_RUN(LIS(4, 0xe00c), ORI(4, 4, 0xffff), MTSPR(SPR_XER, 4), X_(31, 6, 7, 7, 138) /* adde */, MFSPR(5, SPR_XER), LI(4, 0),
            MTSPR(SPR_XER, 4), X_(31, 8, 7, 7, 138), MFSPR(9, SPR_XER));
    g_assert_cmphex(R[5] & ~UINT64_C(0x20040000), ==, has & ~UINT64_C(0x20040000)); /* adde has changed CA and CA32 */
    g_assert_cmpint(R[6], ==, 1);
    g_assert_cmpint(R[8], ==, 0);
    g_assert_cmphex(R[9], ==, 0);
}

static void neighbours_read_one_time(void)
{
    uint64_t before, after;

    rig_reset(0);
    before = ppc_timebase(rig_cpu);
    RIG_RUN(MFSPR(4, SPR_TBU_USER), MFSPR(5, SPR_TBL_USER), MFSPR(6, SPR_TBU_USER));
    after = ppc_timebase(rig_cpu);
    g_assert_cmphex(R[4], ==, R[6]);
    g_assert_cmphex(R[4] << 32 | (uint32_t)R[5], >=, before);
    g_assert_cmphex(R[4] << 32 | (uint32_t)R[5], <=, after);
}

static void doublewords_are_for_64_bits(void)
{
    if (!ppc_is_64bit(rig_cpu)) {
        return;
    }
    rig_reset(0);
    RIG_RUN(LI(3, -1), D_(30, 3, 4, 0x20) /* clrldi r4, r3, 32 */, LIS(5, 2), D_(62, 3, 5, 8) /* std */,
            D_(58, 6, 5, 8) /* ld */, D_(58, 7, 5, 8 | 2) /* lwa */, X_(31, 8, 3, 3, 233) /* mulld */, X_(31, 9, 3, 3, 9) /* mulhdu */,
            LI(10, 65), X_(31, 3, 11, 10, 539) /* srd */, X_(31, 3, 12, 10, 794) /* srad */);
    g_assert_cmphex(R[4], ==, UINT32_MAX);
    g_assert_cmphex(R[6], ==, UINT64_MAX);
    g_assert_cmphex(R[7], ==, UINT64_MAX);
    g_assert_cmphex(R[8], ==, 1);
    g_assert_cmphex(R[9], ==, UINT64_MAX - 1);
    g_assert_cmphex(R[11], ==, 0);
    g_assert_cmphex(R[12], ==, UINT64_MAX);
    g_assert_true(rig_state->ca);
}

int main(int argc, char **argv)
{
    const char *model = argc > 1 ? argv[1] : "750";

    g_test_init(&argc, &argv, NULL);
    rig_start(model);
    g_test_add_func("/ppc/loop", a_loop_adds_up);
    g_test_add_func("/ppc/memory", loads_and_stores_are_big_endian);
    g_test_add_func("/ppc/little-endian", little_endian_mode_swaps_nothing);
    g_test_add_func("/ppc/update", update_forms_move_the_base);
    g_test_add_func("/ppc/compare", comparisons_set_fields);
    g_test_add_func("/ppc/branch/short", what_a_short_branch_skips_is_not_done);
    g_test_add_func("/ppc/branch/field", a_short_branch_reads_any_field);
    g_test_add_func("/ppc/carry", carries_go_from_one_to_the_next);
    g_test_add_func("/ppc/reservation", reservations_are_kept_and_lost);
    g_test_add_func("/ppc/amo", memory_operations_are_done_in_memory);
    g_test_add_func("/ppc/amo/block", memory_operations_have_a_block);
    g_test_add_func("/ppc/pc", the_pc_is_that_of_a_word);
    g_test_add_func("/ppc/gdb", gdb_has_each_register);
    g_test_add_func("/ppc/rotate", rotates_and_masks);
    g_test_add_func("/ppc/syscall", a_system_call_comes_back);
    g_test_add_func("/ppc/illegal", what_is_no_instruction_is_a_program_interrupt);
    g_test_add_func("/ppc/facilities", facilities_that_are_off_interrupt);
    g_test_add_func("/ppc/facilities/toggled", privileged_code_sees_facilities_come_and_go);
    g_test_add_func("/ppc/facilities/rounding", privileged_code_sees_its_rounding);
    g_test_add_func("/ppc/prefix", a_prefix_stays_within_64_bytes);
    g_test_add_func("/ppc/rewritten", a_word_that_is_rewritten);
    g_test_add_func("/ppc/reserved-bit", a_reserved_bit_records_nothing);
    g_test_add_func("/ppc/rewritten/beside", numbers_are_stored_beside_code);
    g_test_add_func("/ppc/words-as-double", words_are_loaded_as_a_double);
    g_test_add_func("/ppc/vector-loop", a_loop_of_privileged_vectors);
    g_test_add_func("/ppc/zeros", lines_of_zeros);
    g_test_add_func("/ppc/time-base", the_time_base_follows_the_clock);
    g_test_add_func("/ppc/decrementer", the_decrementer_interrupts);
    g_test_add_func("/ppc/time-base/neighbours", neighbours_read_one_time);
    g_test_add_func("/ppc/mtmsr/interrupt", a_waiting_interrupt_comes_behind_mtmsr);
    g_test_add_func("/ppc/mtmsr/ee-off", what_mfmsr_read_goes_back_with_ee_off);
    g_test_add_func("/ppc/mtmsr/kept", mtmsr_leaves_the_byte_order_to_rfid);
    g_test_add_func("/ppc/mtmsr/others", other_bits_of_what_mfmsr_read_count);
    g_test_add_func("/ppc/xer", xer_keeps_what_it_has);
    g_test_add_func("/ppc/dead", a_field_that_was_dead_is_read);
    g_test_add_func("/ppc/doublewords", doublewords_are_for_64_bits);
    return g_test_run();
}
