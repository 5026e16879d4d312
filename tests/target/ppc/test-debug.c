/* What watches the program: data and instruction breakpoints, single steps, branch trace; causes in SRR1 and DSISR. */
#include "tests/target/ppc/rig.h"

#include "util/bits.h"

#define R rig_state->gpr

enum { DSISR_MATCH = 0x00400000, DSISR_STORE = 0x02000000 };
enum { FOR_PROBLEM = 1, FOR_PRIVILEGED = 2, ANY_TRANSLATION = 8, ON_READ = 0x20, ON_WRITE = 0x40 };

/* A handler that tells where and why, and ends. */
static void stop_at(uint32_t vector)
{
    static const uint32_t handler[] = { MFSPR(20, SPR_SRR0), MFSPR(21, SPR_SRR1), MFSPR(22, SPR_DSISR), MFSPR(23, SPR_DAR), RIG_END };

    R[20] = 0;
    rig_words(vector, handler, G_N_ELEMENTS(handler));
}

static bool has_dawr(void)
{
    return ppc_isa(rig_state, ISA_V207);
}

/* Watches bytes from addr on, of real mode, by what the model has; DABR has 8 bytes. */
static void watch(uint64_t addr, unsigned size, bool on_read, bool on_write)
{
    if (has_dawr()) {
        rig_state->spr[SPR_DAWR0] = addr;
        rig_state->spr[SPR_DAWRX0] = FOR_PRIVILEGED | ANY_TRANSLATION | (on_read ? ON_READ : 0) | (on_write ? ON_WRITE : 0) |
                                     (size / 8 - 1) << 10;
    } else {
        rig_state->spr[SPR_DABR] = addr | (on_read ? 1 : 0) | (on_write ? 2 : 0);
    }
    ppc_debug_changed(rig_cpu);
}

static void stores_are_found_before_they_happen(void)
{
    rig_reset(0);
    stop_at(PPC_DSI);
    watch(0x20008, 8, false, true);
    RIG_RUN(LIS(4, 2), LI(3, 7), STW(3, 0, 4), STW(3, 16, 4), LWZ(5, 8, 4), STW(3, 12, 4), LI(3, 9));
    g_assert_cmphex(R[20], ==, RIG_CODE + 20);
    g_assert_cmphex((uint32_t)R[22], ==, DSISR_MATCH | DSISR_STORE);
    g_assert_cmphex(R[23], ==, 0x2000c);
    g_assert_cmphex(load_be32(rig_ram + 0x2000c), ==, 0);
    g_assert_cmphex(load_be32(rig_ram + 0x20010), ==, 7);
    g_assert_cmpint(R[3], ==, 7);
    watch(0, 8, false, false);
    rig_run(RIG_CODE + 20);
    g_assert_cmphex(load_be32(rig_ram + 0x2000c), ==, 7);
    g_assert_cmpint(R[3], ==, 9);
}

static void loads_are_found(void)
{
    rig_reset(0);
    stop_at(PPC_DSI);
    watch(0x20008, 8, true, false);
    RIG_RUN(LIS(4, 2), LI(5, 1), STW(5, 8, 4), LWZ(5, 6, 4));
    g_assert_cmphex(R[20], ==, RIG_CODE + 12);
    g_assert_cmphex((uint32_t)R[22], ==, DSISR_MATCH);
    g_assert_cmpint(R[5], ==, 1);
    watch(0, 8, false, false);
}

static void ranges_are_as_long_as_they_say(void)
{
    if (!has_dawr()) {
        g_test_skip("DABR watches a doubleword");
        return;
    }
    rig_reset(0);
    stop_at(PPC_DSI);
    watch(0x20100, 32, false, true);
    RIG_RUN(LIS(4, 2), STW(5, 0xfc, 4), STW(5, 0x120, 4), STW(5, 0x11c, 4));
    g_assert_cmphex(R[20], ==, RIG_CODE + 12);
    if (ppc_isa(rig_state, ISA_V310)) { /* the second one */
        rig_reset(0);
        stop_at(PPC_DSI);
        watch(0x20100, 8, false, true);
        rig_state->spr[SPR_DAWR1] = 0x30000;
        rig_state->spr[SPR_DAWRX1] = FOR_PRIVILEGED | ANY_TRANSLATION | ON_WRITE;
        ppc_debug_changed(rig_cpu);
        RIG_RUN(LIS(4, 3), STW(5, 0, 4));
        g_assert_cmphex(R[20], ==, RIG_CODE + 4);
        rig_state->spr[SPR_DAWRX1] = 0;
    }
    watch(0, 8, false, false);
}

static void who_is_not_meant_is_not_stopped(void)
{
    rig_reset(0);
    stop_at(PPC_DSI);
    if (has_dawr()) {
        rig_state->spr[SPR_DAWR0] = 0x20008;
        rig_state->spr[SPR_DAWRX0] = FOR_PROBLEM | ANY_TRANSLATION | ON_WRITE;
    } else {
        rig_state->spr[SPR_DABR] = 0x20008 | 7; /* with translation */
    }
    ppc_debug_changed(rig_cpu);
    RIG_RUN(LIS(4, 2), STW(5, 8, 4), LI(3, 9));
    g_assert_cmpint(R[3], ==, 9);
    g_assert_cmpint(R[20], ==, 0);
    rig_state->spr[SPR_DAWRX0] = 0;
    watch(0, 8, false, false);
}

static void instructions_are_found(void)
{
    bool completed = has_dawr();

    if (!completed && !ppc_isa(rig_state, ISA_CLASSIC)) {
        g_test_skip("no register for instructions");
        return;
    }
    rig_reset(0);
    stop_at(completed ? PPC_TRACE : PPC_IABR);
    rig_state->spr[completed ? SPR_CIABR : SPR_IABR] = (RIG_CODE + 8) | 2;
    ppc_debug_changed(rig_cpu);
    RIG_RUN(LI(3, 1), LI(3, 2), LI(3, 3), LI(3, 4));
    g_assert_cmphex(R[20], ==, RIG_CODE + (completed ? 12 : 8)); /* CIABR: behind it */
    g_assert_cmpint(R[3], ==, completed ? 3 : 2);
    if (completed) {
        g_assert_cmphex((uint32_t)R[21] & 0x40100000, ==, 0x40100000);
    }
    rig_state->spr[completed ? SPR_CIABR : SPR_IABR] = 0;
    ppc_debug_changed(rig_cpu);
}

static void steps_and_branches_are_traced(void)
{
    rig_reset(MSR_SE);
    stop_at(PPC_TRACE);
    RIG_RUN(LI(3, 1), LI(3, 2));
    g_assert_cmphex(R[20], ==, RIG_CODE + 4);
    g_assert_cmpint(R[3], ==, 1);
    rig_reset(MSR_BE);
    stop_at(PPC_TRACE);
    RIG_RUN(LI(3, 1), LI(3, 2), BC(4, 2, 8) /* bne: taken */, LI(3, 3), LI(3, 4));
    g_assert_cmphex(R[20], ==, RIG_CODE + 16);
    g_assert_cmpint(R[3], ==, 2);
}

/* Of a conditional store beside its reservation, and of a load with one: DSISR has the instruction's registers. */
static void alignment_tells_the_instruction(void)
{
    static const uint32_t rows[][2] = {
        { X_(31, 6, 5, 4, 20) /* lwarx */, 0x00 }, { X_(31, 6, 5, 4, 150) | 1 /* stwcx. */, 0x16 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        rig_reset(0);
        stop_at(PPC_ALIGN);
        R[4] = 0x20002;
        rig_run_words(rows[i], 1);
        g_assert_cmphex(R[20], ==, RIG_CODE);
        g_assert_cmphex(R[23], ==, 0x20002);
        if (!ppc_isa(rig_state, ISA_V300)) {
            uint32_t w = rows[i][0];

            g_assert_cmphex((uint32_t)R[22], ==, (w >> 16 & 0x3ff) | (w >> 1 & 3) << 15 | (w >> 6 & 1) << 14 | (w >> 7 & 15) << 10);
        }
    }
}

/* Multiple and string forms in little-endian mode. */
static void words_in_a_row_are_for_big_endian(void)
{
    static const uint32_t rows[] = { D_(46, 29, 4, 8), D_(47, 29, 4, 8), X_(31, 29, 4, 4, 597), X_(31, 29, 4, 4, 725) };

    if (ppc_isa(rig_state, ISA_970)) {
        g_test_skip("its interrupts are always big-endian");
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        rig_reset(MSR_LE);
        R[4] = 0x20000;
        rig_state->spr[SPR_LPCR] = 1 << 25;        /* handlers of either kind are little-endian */
        ppc_set_msr(rig_state, rig_state->msr | MSR_ILE);
        stop_at(PPC_ALIGN);
        rig_run_words(&rows[i], 1);
        g_assert_cmphex(R[20], ==, RIG_CODE);
        g_assert_cmphex(R[23], ==, i < 2 ? 0x20008 : 0x20000);
    }
}

static void a_prefix_is_told(void)
{
    if (!ppc_isa(rig_state, ISA_V310)) {
        g_test_skip("no prefixed instructions");
        return;
    }
    rig_reset(0);
    stop_at(PPC_DSI);
    watch(0x20008, 8, true, true);
    RIG_RUN(LIS(4, 2), 0x06000000, 0x80a40008 /* plwz r5, 8(r4) */);
    g_assert_cmphex(R[20], ==, RIG_CODE + 4);
    g_assert_cmphex((uint32_t)R[21] & 0x20000000, ==, 0x20000000);
    watch(0, 8, false, false);
}

int main(int argc, char **argv)
{
    const char *model = argc > 1 ? argv[1] : "750";

    g_test_init(&argc, &argv, NULL);
    rig_start(model);
    g_test_add_func("/debug/stores", stores_are_found_before_they_happen);
    g_test_add_func("/debug/loads", loads_are_found);
    g_test_add_func("/debug/ranges", ranges_are_as_long_as_they_say);
    g_test_add_func("/debug/others", who_is_not_meant_is_not_stopped);
    g_test_add_func("/debug/instructions", instructions_are_found);
    g_test_add_func("/debug/trace", steps_and_branches_are_traced);
    g_test_add_func("/debug/alignment", alignment_tells_the_instruction);
    g_test_add_func("/debug/rows", words_in_a_row_are_for_big_endian);
    g_test_add_func("/debug/prefix", a_prefix_is_told);
    return g_test_run();
}
