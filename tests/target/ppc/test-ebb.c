/* Event-based branches, what the performance monitor lets problem state do, and the history of branches. */
#include "tests/target/ppc/rig.h"

#define R rig_state->gpr

#define FREEZE          UINT64_C(0x80000000)
#define GLOBAL_ENABLE   (UINT64_C(1) << 63)
#define MONITOR_ENABLE  (UINT64_C(1) << 32)
enum { ALERT_ENABLE = 0x04000000, FREEZE_ON_ALERT = 0x02000000, HISTORY_ACCESS = 0x00200000, OTHERS_ALERT = 0x4000, PMCCEXT = 0x200, HANDLER = 0x20000 };
enum { MONITOR = 1, EXTERNAL = 2, MMCR0_USER = 779, PMC1 = 771, PMC2 = 772, MMCR1 = 798, PMC2_WRITE = 788 };

#define SC        0x44000002u
#define RFEBB(s)  X_(19, 0, 0, s, 146)
#define CONTROL(n) ((uint64_t)(n) << 18)

/* Handlers keep their vector in r31, and in r30 what FSCR or SRR1 says. Real mode, whatever the state. */
static void start(bool problem)
{
    static const uint32_t vectors[] = { 0x700, 0xc00, PPC_PERF, PPC_FAC };

    rig_reset(0);
    for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++) {
        const uint32_t words[] = { LI(31, vectors[i]), MFSPR(30, vectors[i] == PPC_FAC ? SPR_FSCR : SPR_SRR1), RIG_END };

        rig_words(vectors[i], words, 3);
    }
    if (problem) {
        rig_state->msr |= MSR_PR;
        ppc_update_mode(rig_state);
    }
}

static void set(unsigned spr, uint64_t value)
{
    rig_state->msr &= ~MSR_PR;
    ppc_helper_mtspr(rig_state, spr, value, 0, 0);
}

static void to_problem_state(void)
{
    rig_state->msr |= MSR_PR;
    ppc_update_mode(rig_state);
}

/* The counter is set anew twice, so there are three branches, each as the counter becomes negative, and the loop comes to its end. */
static void an_alert_branches_to_the_handler(void)
{
    static const uint32_t loop[] = { ADDI(5, 5, 1), ADDI(6, 6, 1), BC(16, 0, -8), SC };
    static const uint32_t handler[] = {
        MFSPR(20, SPR_BESCR), MFSPR(21, MMCR0_USER), MFSPR(22, SPR_EBBRR), MFSPR(23, PMC2), ADDI(24, 24, 1),
        MTSPR(PMC2, 10), MTSPR(MMCR0_USER, 11), MTSPR(SPR_BESCRR, 12), MTSPR(SPR_BESCRS, 13), RFEBB(1),
    };

    start(false);
    rig_words(HANDLER, handler, G_N_ELEMENTS(handler));
    rig_state->ctr = 1000;
    R[10] = 0x80000000u - 1000;
    R[11] = ALERT_ENABLE;
    R[12] = MONITOR;
    R[13] = MONITOR_ENABLE;
    set(SPR_EBBHR, HANDLER | 3);
    set(SPR_BESCR, GLOBAL_ENABLE | MONITOR_ENABLE);
    set(MMCR1, 0x00020000);
    set(PMC2_WRITE, 0x80000000u - 200);
    set(SPR_MMCR0, ALERT_ENABLE | FREEZE_ON_ALERT | OTHERS_ALERT | MMCR0_EVENT_BRANCH | CONTROL(2));
    to_problem_state();
    rig_run_words(loop, G_N_ELEMENTS(loop));
    g_assert_cmphex(R[31], ==, 0xc00);
    g_assert_cmpint(R[5], ==, 1000);
    g_assert_cmpint(R[6], ==, 1000);
    g_assert_cmpint(R[24], ==, 3);
    g_assert_cmphex(R[20], ==, MONITOR);
    g_assert_cmphex(R[21], ==, FREEZE | MMCR0_ALERT_OCCURRED);
    g_assert_cmphex(R[22], >=, RIG_CODE);
    g_assert_cmphex(R[22], <, RIG_CODE + 12);
    g_assert_cmphex(R[23], >=, 0x80000000u);
    g_assert_cmphex(R[23], <, 0x80000000u + 100);
    g_assert_cmphex(rig_state->spr[SPR_BESCR], ==, GLOBAL_ENABLE | MONITOR_ENABLE);
}

/* An alert, which is written here, needs four things to branch. What was an alert waits for the last of them. */
static void a_branch_waits_for_what_lets_it(void)
{
    static const uint32_t handler[] = { ADDI(24, 24, 1), SC }, code[] = { LI(9, 1), SC }, privileged[] = { LI(9, 1), RIG_END };

    for (unsigned n = 0; n < 32; n++) {
        bool global = n & 1, monitor = n & 2, events = n & 4, facility = n & 8, problem = n & 16;
        bool counts = events && monitor, branches = counts && global && facility && problem;

        start(false);
        rig_words(HANDLER, handler, G_N_ELEMENTS(handler));
        R[9] = 0;
        set(SPR_EBBHR, HANDLER);
        set(SPR_FSCR, facility ? 1 << FACILITY_EBB : 0);
        set(SPR_BESCR, (global ? GLOBAL_ENABLE : 0) | (monitor ? MONITOR_ENABLE : 0));
        set(SPR_MMCR0, FREEZE | MMCR0_ALERT_OCCURRED | (events ? MMCR0_EVENT_BRANCH : 0));
        g_assert_cmphex(rig_state->pending & PPC_INT_PERF, ==, events ? 0 : PPC_INT_PERF);
        if (problem) {
            to_problem_state();
        }
        rig_run_words(problem ? code : privileged, 2);
        g_assert_cmpint(R[24], ==, branches);
        g_assert_cmpint(R[9], ==, !branches);
        g_assert_cmphex(rig_state->spr[SPR_BESCR], ==, (global && !branches ? GLOBAL_ENABLE : 0) | (counts ? MONITOR : monitor ? MONITOR_ENABLE : 0));
        if (branches) {
            g_assert_cmphex(rig_state->spr[SPR_EBBRR], ==, RIG_CODE);
            continue;
        }
        R[24] = R[31] = 0;
        set(SPR_FSCR, 1 << FACILITY_EBB);
        set(SPR_BESCR, rig_state->spr[SPR_BESCR] | GLOBAL_ENABLE);
        to_problem_state();
        rig_run_words(code, 2);
        g_assert_cmphex(R[31], ==, 0xc00);
        g_assert_cmpint(R[24], ==, counts);
    }
}

/* The same of rfebb, and of BESCR that problem state writes; in 32-bit mode addresses have 32 bits. */
static void what_enables_branches_at_once(void)
{
    static const uint32_t handler[] = { ADDI(24, 24, 1), SC };
    static const uint32_t code[][3] = {
        { RFEBB(1), SC }, { RFEBB(0), SC }, { MTSPR(SPR_BESCR, 3), B(4), SC }, { MTSPR(SPR_BESCRSU, 4), B(4), SC }, { MTSPR(SPR_BESCRS, 5), B(4), SC },
    };

    for (unsigned n = 0; n < 2 * G_N_ELEMENTS(code); n++) {
        unsigned i = n / 2;

        start(true);
        if (n & 1) {
            rig_state->msr &= ~MSR_SF;
        }
        rig_words(HANDLER, handler, G_N_ELEMENTS(handler));
        rig_state->spr[SPR_EBBHR] = HANDLER | (n & 1 ? UINT64_C(5) << 32 : 0);
        rig_state->spr[SPR_EBBRR] = RIG_CODE + 4;
        rig_state->spr[SPR_BESCR] = MONITOR;
        ppc_update_mode(rig_state);
        R[3] = GLOBAL_ENABLE | EXTERNAL;
        R[4] = 0x80000000u;
        R[5] = GLOBAL_ENABLE;
        rig_run_words(code[i], 3);
        g_assert_cmphex(R[31], ==, 0xc00);
        g_assert_cmpint(R[24], ==, i != 1);
        g_assert_cmphex(rig_state->spr[SPR_BESCR], ==, i == 2 ? EXTERNAL : MONITOR);
    }
}

/* By MMCR0[PMCC]: registers of group A, counters 5 and 6, and group B, which are only read. */
static void problem_state_has_what_it_is_given(void)
{
    enum { A, COUNTER_56, B_ };
    static const struct {
        uint16_t number;
        uint8_t group;
    } registers[] = { { 769, A }, { 770, A }, { PMC1, A }, { 774, A }, { 775, COUNTER_56 }, { 776, COUNTER_56 }, { MMCR0_USER, A }, { 768, B_ }, { 780, B_ }, { 782, B_ } };

    for (unsigned n = 0; n < 16 * G_N_ELEMENTS(registers); n++) {
        unsigned number = registers[n / 16].number, group = registers[n / 16].group, control = n >> 1 & 3;
        bool write = n & 1, extends = n & 8;
        bool unavailable = control == 1 || (control == 3 && group == COUNTER_56) ||
                           (control == 0 && extends && group == B_ && ppc_isa(rig_state, ISA_V310));
        bool refused = write && (group == B_ || control == 0);
        const uint32_t words[] = { write ? MTSPR(number, 5) : MFSPR(5, number), LI(7, 1), SC };

        start(false);
        set(SPR_MMCR0, FREEZE | CONTROL(control) | (extends ? PMCCEXT : 0));
        to_problem_state();
        R[7] = 0;
        rig_run_words(words, 3);
        g_assert_cmphex(R[31], ==, write && group == B_ ? 0x700 : unavailable ? PPC_FAC : refused ? 0x700 : 0xc00);
        g_assert_cmpint(R[7], ==, !unavailable && !refused);
        if (R[31] == PPC_FAC) {
            g_assert_cmphex(R[30] >> 56, ==, FACILITY_PMU);
        }
    }
}

/* It sees and changes three bits of MMCR0, and of MMCR2 those that freeze counters in problem state. */
static void problem_state_has_some_bits(void)
{
    const uint64_t mine = FREEZE | ALERT_ENABLE | MMCR0_ALERT_OCCURRED, freezes = UINT64_C(0x4020100804020000);
    static const uint32_t words[] = { MFSPR(20, MMCR0_USER), MFSPR(21, 769), MTSPR(MMCR0_USER, 5), MTSPR(769, 6), MTSPR(PMC1, 7), SC };

    for (unsigned n = 0; n < 2; n++) {
        uint64_t mmcr0 = CONTROL(2) | FREEZE | (n ? HISTORY_ACCESS | OTHERS_ALERT : ALERT_ENABLE);

        start(false);
        set(SPR_MMCR0, mmcr0);
        set(SPR_MMCR2, n ? 0 : ~UINT64_C(0));
        to_problem_state();
        R[5] = n ? UINT64_MAX : FREEZE;
        R[6] = n ? UINT64_MAX : 0;
        R[7] = 77;
        rig_run_words(words, G_N_ELEMENTS(words));
        g_assert_cmphex(R[20], ==, mmcr0 & mine);
        g_assert_cmphex(R[21], ==, n ? 0 : freezes);
        g_assert_cmphex(rig_state->spr[SPR_MMCR0], ==, (mmcr0 & ~mine) | (n ? mine : FREEZE));
        g_assert_cmphex(rig_state->spr[SPR_MMCR2], ==, n ? freezes : ~freezes);
        g_assert_cmpint(rig_state->spr[787], ==, 77);
    }
}

/* What problem state lets count does so in the next instruction, though blocks from there on have been linked when it did not. */
static void counters_go_and_stop_at_once(void)
{
    static const uint32_t words[] = { MTSPR(MMCR0_USER, 5), ADDI(6, 6, 1), BC(16, 0, -4), MTSPR(MMCR0_USER, 8), MTSPR(SPR_CTR, 9), ADDI(6, 6, 1), BC(16, 0, -4),
                                      MFSPR(7, PMC2), SC };
    enum { TRIPS = 100 };

    start(false);
    set(MMCR1, 0x00020000);
    set(SPR_MMCR0, FREEZE | CONTROL(2));
    R[8] = FREEZE;
    for (unsigned n = 0; n < 6; n++) {
        bool counts = n / 2 == 1;

        set(PMC2_WRITE, 0);
        to_problem_state();
        R[5] = counts ? 0 : FREEZE;
        R[9] = rig_state->ctr = TRIPS;
        R[31] = 0;
        rig_run_words(words, G_N_ELEMENTS(words));
        g_assert_cmphex(R[31], ==, 0xc00);
        g_assert_cmpint(R[7], >=, counts ? 2 * TRIPS : 0);
        g_assert_cmpint(R[7], <=, counts ? 2 * TRIPS + 2 : 0);
    }
}

/* Nothing is recorded. */
static void the_history_of_branches_is_empty(void)
{
    static const uint32_t insns[] = { X_(31, 0, 0, 0, 430) /* clrbhrb */, X_(31, 5, 0, 0, 302) /* mfbhrbe 0 */, X_(31, 5, 31, 31, 302) };

    for (unsigned n = 0; n < 4 * G_N_ELEMENTS(insns); n++) {
        bool has = ppc_isa(rig_state, ISA_V207), problem = n & 1, given = n & 2, denied = has && problem && !given;
        const uint32_t words[] = { insns[n / 4], LI(7, 1), SC };

        start(false);
        if (has) {
            set(SPR_MMCR0, FREEZE | (given ? HISTORY_ACCESS : 0));
        }
        R[5] = 9;
        R[7] = 0;
        if (problem) {
            to_problem_state();
        }
        rig_run_words(words, 3);
        g_assert_cmphex(R[31], ==, !has ? 0x700 : denied ? PPC_FAC : 0xc00);
        g_assert_cmpint(R[7], ==, has && !denied);
        g_assert_cmpint(R[5], ==, has && !denied && n / 4 ? 0 : 9);
        if (denied) {
            g_assert_cmphex(R[30] >> 56, ==, FACILITY_BHRB);
        }
    }
}

/* attn, and since 3.0 urfid, of an ultravisor that is not there. */
static void there_is_nobody_above(void)
{
    for (unsigned n = 0; n < 4; n++) {
        bool problem = n & 1, has_privileged = n & 2 && ppc_isa(rig_state, ISA_V300);
        const uint32_t words[] = { n & 2 ? X_(19, 0, 0, 0, 306) : 256 << 1, SC };

        start(problem);
        rig_run_words(words, 2);
        g_assert_cmphex(R[31], ==, 0x700);
        g_assert_cmphex(R[30] & (PROGRAM_ILLEGAL | PROGRAM_PRIVILEGED), ==, problem && has_privileged ? PROGRAM_PRIVILEGED : PROGRAM_ILLEGAL);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_start(argc > 1 ? argv[1] : "power8");
    g_test_add_func("/ebb/history", the_history_of_branches_is_empty);
    g_test_add_func("/ebb/above", there_is_nobody_above);
    if (ppc_isa(rig_state, ISA_V207)) {
        g_test_add_func("/ebb/alert", an_alert_branches_to_the_handler);
        g_test_add_func("/ebb/waits", a_branch_waits_for_what_lets_it);
        g_test_add_func("/ebb/enabled", what_enables_branches_at_once);
        g_test_add_func("/ebb/access", problem_state_has_what_it_is_given);
        g_test_add_func("/ebb/at-once", counters_go_and_stop_at_once);
        g_test_add_func("/ebb/bits", problem_state_has_some_bits);
    }
    return g_test_run();
}
