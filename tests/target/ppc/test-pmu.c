/* The performance monitor: instructions are counted exactly, cycles move, freezes hold, a counter that becomes negative interrupts. */
#include "tests/target/ppc/rig.h"

#define R rig_state->gpr

#define FREEZE UINT32_C(0x80000000)
enum { FREEZE_SUPERVISOR = 0x40000000, ALERT_ENABLE = 0x04000000, FREEZE_ON_ALERT = 0x02000000, PMAO = 0x80 };
enum { FIRST_ALERTS = 0x8000, OTHERS_ALERT = 0x4000 };

/* Register numbers, and MMCR1 or MMCR0 for counter 1 to count cycles and the next instructions. */
typedef struct Pmu {
    unsigned mmcr0, mmcr1, siar, cycles, insns;
    uint32_t mmcr0_events, mmcr1_events;
} Pmu;

static Pmu pmu(void)
{
    if (ppc_isa(rig_state, ISA_CLASSIC)) {
        return (Pmu){ 952, 956, 955, 953, 954, 1 << 6 | 2, 0 };
    }
    if (ppc_isa(rig_state, ISA_V206)) {
        return (Pmu){ 795, 798, 796, 787, 788, 0, 0x1e020000 };
    }
    return (Pmu){ 795, 798, 796, 787, 788, 7 << 8 | 1 << 1, 0 };
}

/* For a loop of 4 instructions, a hundred times, between two writes of MMCR0; `mmcr0` is for beside the events. */
static void prepare(uint32_t mmcr0, uint32_t insns, uint64_t msr)
{
    Pmu p = pmu();

    rig_reset(msr);
    R[10] = p.mmcr1_events;
    R[12] = insns;
    R[13] = p.mmcr0_events | mmcr0;
    R[14] = p.mmcr0_events | FREEZE;
}

static void run(void)
{
    Pmu p = pmu();
    const uint32_t code[] = {
        MTSPR(p.mmcr1, 10), MTSPR(p.cycles, 11), MTSPR(p.insns, 12), LI(4, 100), MTSPR(SPR_CTR, 4), MTSPR(p.mmcr0, 13),
        ADDI(5, 5, 1), ADDI(6, 6, 1), ADDI(7, 7, 1), BC(16, 0, -12),
        MTSPR(p.mmcr0, 14), MFSPR(20, p.cycles), MFSPR(21, p.insns), MFSPR(22, p.mmcr0),
    };

    rig_run_words(code, G_N_ELEMENTS(code));
}

static void instructions_and_cycles_are_counted(void)
{
    prepare(0, 5, 0);
    run();
    g_assert_cmpint(R[21], ==, 5 + 401); /* the loop, and what freezes */
    g_assert_cmpint(R[20], >, 0);
}

static void what_is_frozen_stands(void)
{
    prepare(FREEZE_SUPERVISOR, 5, 0);
    run();
    g_assert_cmpint(R[20], ==, 0);
    g_assert_cmpint(R[21], ==, 5);
    if (ppc_isa(rig_state, ISA_V207)) { /* counter 2 alone */
        prepare(0, 5, 0);
        rig_state->spr[SPR_MMCR2] = UINT64_C(1) << (63 - 9);
        run();
        g_assert_cmpint(R[20], >, 0);
        g_assert_cmpint(R[21], ==, 5);
    }
}

static void a_negative_counter_interrupts(void)
{
    Pmu p = pmu();
    const uint32_t handler[] = { MFSPR(23, p.mmcr0), MFSPR(24, p.insns), MFSPR(25, p.siar), MFSPR(26, SPR_SRR0), RIG_END };

    prepare(ALERT_ENABLE | FREEZE_ON_ALERT | OTHERS_ALERT, 0x80000000u - 200, MSR_EE);
    rig_words(PPC_PERF, handler, G_N_ELEMENTS(handler));
    run();
    g_assert_cmphex(R[23] & FREEZE, ==, FREEZE);
    g_assert_cmphex(R[23] & ALERT_ENABLE, ==, 0);
    g_assert_cmphex(R[23] & PMAO, ==, ppc_is_64bit(rig_cpu) ? PMAO : 0);
    g_assert_cmphex((uint32_t)R[24], >=, 0x80000000u);
    g_assert_cmphex((uint32_t)R[24], <, 0x80000000u + 8);
    g_assert_cmpint(R[5], >, 40);
    g_assert_cmpint(R[5], <, 60);
    g_assert_cmphex(R[25], >=, RIG_CODE + 24);
    g_assert_cmphex(R[25], <, RIG_CODE + 40);
    g_assert_cmphex(R[25], ==, R[26]);
    prepare(ALERT_ENABLE | FIRST_ALERTS, 0x80000000u - 200, MSR_EE); /* another's */
    run();
    g_assert_cmphex((uint32_t)R[21], ==, 0x80000000u - 200 + 401);
}

int main(int argc, char **argv)
{
    const char *model = argc > 1 ? argv[1] : "750";

    g_test_init(&argc, &argv, NULL);
    rig_start(model);
    g_test_add_func("/pmu/counts", instructions_and_cycles_are_counted);
    g_test_add_func("/pmu/freezes", what_is_frozen_stands);
    g_test_add_func("/pmu/alerts", a_negative_counter_interrupts);
    return g_test_run();
}
