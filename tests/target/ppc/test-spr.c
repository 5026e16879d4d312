/* Special purpose registers and instructions that are not there, and decrementers over a long time. */
#include "accel/accel.h"
#include "core/lock.h"
#include "tests/target/ppc/rig.h"

#include <stdatomic.h>

#define R rig_state->gpr

/* Runs for some milliseconds, until `bit` of what waits is as wanted; false: it never was. */
static bool wait_for(uint32_t bit, bool wanted)
{
    for (unsigned i = 0; i < 1000 && !(atomic_load(&rig_state->pending) & bit) == wanted; i++) {
        RIG_RUN(LIS(4, 1), MTSPR(SPR_CTR, 4), BC(16, 0, 0));
    }
    return !(atomic_load(&rig_state->pending) & bit) != wanted;
}

/* It counts on from its lowest number to its highest one, where what waits because it is negative ends, and comes to -1 again. */
static void the_decrementer_comes_round(void)
{
    enum { SOME = 500000, LARGE_DEC = 1 << 17 };

    rig_reset(0);
    rig_state->spr[SPR_LPCR] &= ~(uint64_t)LARGE_DEC;
    rig_state->dec_end = (int64_t)ppc_timebase(rig_cpu) - INT32_MAX + SOME;
    rig_cpu->type->replaced(rig_cpu);
    atomic_fetch_or(&rig_state->pending, PPC_INT_DEC);
    if (rig_state->model->level_decrementer) {
        g_assert_true(wait_for(PPC_INT_DEC, false));
        g_assert_cmpint((int32_t)ppc_dec_read(rig_state), >, 0);
    }
    atomic_fetch_and(&rig_state->pending, ~(uint32_t)PPC_INT_DEC);
    rig_state->dec_end = (int64_t)ppc_timebase(rig_cpu) - (INT64_C(1) << 32) + SOME;
    rig_cpu->type->replaced(rig_cpu);
    g_assert_true(wait_for(PPC_INT_DEC, true));
    g_assert_cmpint((int32_t)ppc_dec_read(rig_state), <, 0);
    atomic_fetch_and(&rig_state->pending, ~(uint32_t)PPC_INT_DEC);
}

/* Numbers so small that they are through before the move has ended: each interrupts. */
static void a_short_time_is_not_missed(void)
{
    enum { TIMES = 2000 };
    const uint32_t handler[] = {
        ADDI(3, 3, 1), 21u << 26 | 3u << 21 | 4u << 16 | 26u << 6 | 31u << 1 /* clrlwi r4, r3, 26 */, MTSPR(SPR_DEC, 4),
        ppc_is_64bit(rig_cpu) ? RFID : RFI,
    };

    rig_reset(0);
    rig_words(0x900, handler, G_N_ELEMENTS(handler));
    RIG_RUN(LI(4, 1), MTSPR(SPR_DEC, 4), LI(5, 0), ORI(5, 5, 0x8000), MTMSR(5), D_(11, 0, 3, TIMES) /* cmpwi */, BC(12, 0, -4));
    g_assert_cmpint(R[3], >=, TIMES);
}

/* POWER9 and LPCR[LD]: 56 bits, and their sign. */
static void a_large_decrementer_has_56_bits(void)
{
    if (!ppc_isa(rig_state, ISA_V300)) {
        g_test_skip("no large decrementer");
        return;
    }
    rig_reset(0);
    rig_state->spr[SPR_LPCR] |= 1 << 17;
    R[4] = UINT64_C(0x7fc0000000000000);
    RIG_RUN(MTSPR(SPR_DEC, 4), MFSPR(5, SPR_DEC));
    g_assert_cmphex(R[5] >> 40, ==, 0xffbfff);
    rig_state->spr[SPR_LPCR] = 0;
}

/* The host was busy elsewhere for more than 2^31 ticks: a large one is negative then for more than a small one can be, and stays it. */
static void a_large_decrementer_that_is_found_late_interrupts(void)
{
    enum { LARGE_DEC = 1 << 17, STALL_MS = 200, SOON = 160000000 };
    uint64_t before = rig_state->tb_frequency;
    int64_t end;

    if (!ppc_isa(rig_state, ISA_V300)) {
        g_test_skip("no large decrementer");
        return;
    }
    rig_reset(0);
    rig_state->tb_frequency = UINT64_C(16000000000); /* 2^31 ticks are 134 ms */
    rig_cpu->type->replaced(rig_cpu);
    ppc_dec_write(rig_state, UINT32_MAX); /* when it was a small one */
    rig_state->spr[SPR_LPCR] |= LARGE_DEC;
    ppc_dec_write(rig_state, SOON);
    end = rig_state->dec_end;
    g_usleep(STALL_MS * 1000);
    g_assert_true(wait_for(PPC_INT_DEC, true));
    RIG_RUN(ORI(0, 0, 0));
    g_assert_true(atomic_load(&rig_state->pending) & PPC_INT_DEC);
    g_assert_cmpint((int64_t)ppc_dec_read(rig_state), <, 0);
    g_assert_cmpint(rig_state->dec_end, ==, end);
    atomic_store(&rig_state->pending, 0);
    rig_state->spr[SPR_LPCR] = 0;
    rig_state->tb_frequency = before;
    rig_reset(0);
}

/* Whoever loads a snapshot finds both decrementers running. */
static void decrementers_go_on_from_a_snapshot(void)
{
    enum { SOME = 500000, HDICE = 1 };
    void (*hypercall)(Cpu *cpu, void *opaque) = rig_state->hypercall;
    static const uint32_t here[] = { B(0) };
    g_autoptr(GKeyFile) snapshot = g_key_file_new();
    g_autoptr(GError) error = NULL;

    if (!ppc_isa(rig_state, ISA_HV)) {
        g_test_skip("no hypervisor");
        return;
    }
    rig_reset(0);
    rig_state->spr[SPR_LPCR] = HDICE;
    ppc_hdec_write(rig_state, SOME);
    ppc_dec_write(rig_state, SOME);
    rig_cpu->type->save(rig_cpu, snapshot);
    rig_reset(0);
    rig_cpu->type->load(rig_cpu, snapshot, &error);
    g_assert_no_error(error);
    rig_words(0x980, here, 1);
    rig_words(RIG_CODE, here, 1);
    rig_state->pc = RIG_CODE;
    rig_state->hypercall = NULL; /* hypervisors' interrupts are for processors without one above them */
    machine_lock();
    rig_cpu->halted = false;
    accel_resume_all();
    machine_unlock();
    for (int i = 0; i < 50000 && !(rig_state->spr[SPR_HSRR0] && atomic_load(&rig_state->pending) & PPC_INT_DEC); i++) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(200);
    }
    machine_lock();
    accel_pause_all();
    machine_unlock();
    rig_state->hypercall = hypercall;
    g_assert_cmphex(rig_state->spr[SPR_HSRR0], ==, RIG_CODE);
    g_assert_true(atomic_load(&rig_state->pending) & PPC_INT_DEC);
    atomic_store(&rig_state->pending, 0);
    rig_state->spr[SPR_LPCR] = 0;
}

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
    g_test_add_func("/ppc/decrementer/round", the_decrementer_comes_round);
    g_test_add_func("/ppc/decrementer/short", a_short_time_is_not_missed);
    g_test_add_func("/ppc/decrementer/large", a_large_decrementer_has_56_bits);
    g_test_add_func("/ppc/decrementer/late", a_large_decrementer_that_is_found_late_interrupts);
    g_test_add_func("/ppc/decrementer/snapshot", decrementers_go_on_from_a_snapshot);
    g_test_add_func("/ppc/spr/absent", registers_that_are_not_there);
    g_test_add_func("/ppc/reserved", reserved_instructions_do_nothing);
    return g_test_run();
}
