/* Special purpose registers and instructions that are not there, and decrementers over a long time. */
#include "accel/accel.h"
#include "core/lock.h"
#include "tests/target/ppc/rig.h"

#include <stdatomic.h>

#define R rig_state->gpr

/* Runs until `bit` of what waits is as wanted; false: it never was. */
static bool wait_for(uint32_t bit, bool wanted)
{
    enum { PATIENCE = 60 * G_USEC_PER_SEC };
    int64_t end = g_get_monotonic_time() + PATIENCE;

    while (!(atomic_load(&rig_state->pending) & bit) == wanted && g_get_monotonic_time() < end) {
        RIG_RUN(LIS(4, 1), MTSPR(SPR_CTR, 4), BC(16, 0, 0));
        g_main_context_iteration(NULL, FALSE);
    }
    return !(atomic_load(&rig_state->pending) & bit) != wanted;
}

/* So that it comes to -1 after so many ticks, however long the host is away meanwhile. */
static void set_decrementer(int64_t ticks)
{
    do {
        atomic_fetch_and(&rig_state->pending, ~(uint32_t)PPC_INT_DEC);
        rig_state->dec_end = (int64_t)ppc_timebase(rig_cpu) + ticks;
        rig_cpu->type->replaced(rig_cpu);
    } while (ppc_dec_negative(rig_state) != ((int32_t)ticks < 0));
}

/* It counts on from its lowest number to its highest one, where what waits because it is negative ends, and comes to -1 again. */
static void the_decrementer_comes_round(void)
{
    enum { SOME = 30000, SLOW = 10000000 /* from one end to the other in more than three minutes */, LARGE_DEC = 1 << 17 };
    uint64_t before = rig_state->tb_frequency;

    rig_reset(0);
    rig_state->tb_frequency = SLOW;
    rig_cpu->type->replaced(rig_cpu);
    rig_state->spr[SPR_LPCR] &= ~(uint64_t)LARGE_DEC;
    if (rig_state->model->level_decrementer) {
        set_decrementer(-INT32_MAX + SOME);
        g_assert_true(atomic_load(&rig_state->pending) & PPC_INT_DEC);
        g_assert_true(wait_for(PPC_INT_DEC, false));
        g_assert_cmpint((int32_t)ppc_dec_read(rig_state), >, 0);
    }
    set_decrementer(SOME);
    g_assert_true(wait_for(PPC_INT_DEC, true));
    g_assert_cmpint((int32_t)ppc_dec_read(rig_state), <, 0);
    set_decrementer(SOME - (INT64_C(1) << 32)); /* whole rounds ago */
    g_assert_true(wait_for(PPC_INT_DEC, true));
    g_assert_cmpint((int32_t)ppc_dec_read(rig_state), <, 0);
    atomic_fetch_and(&rig_state->pending, ~(uint32_t)PPC_INT_DEC);
    rig_state->tb_frequency = before;
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

static void reload(void)
{
    g_autoptr(GKeyFile) snapshot = g_key_file_new();
    g_autoptr(GError) error = NULL;

    rig_cpu->type->save(rig_cpu, snapshot);
    rig_reset(0);
    rig_cpu->type->load(rig_cpu, snapshot, &error);
    g_assert_no_error(error);
}

/* Whoever loads a snapshot finds both decrementers running, or what they came to before, even if the host was late then. */
static void decrementers_go_on_from_a_snapshot(void)
{
    enum { SOME = 500000, HDICE = 1 };
    void (*hypercall)(Cpu *cpu, void *opaque) = rig_state->hypercall;
    static const uint32_t here[] = { B(0) };

    if (!ppc_isa(rig_state, ISA_HV)) {
        g_test_skip("no hypervisor");
        return;
    }
    for (unsigned late = 0; late < 2; late++) {
        rig_reset(0);
        rig_state->hypercall = NULL; /* hypervisors' interrupts are for processors without one above them */
        rig_state->spr[SPR_LPCR] = HDICE;
        ppc_hdec_write(rig_state, late ? 1 : SOME);
        ppc_dec_write(rig_state, late ? 1 : SOME);
        g_usleep(late * 1000);
        reload();
        rig_words(0x980, here, 1);
        rig_words(RIG_CODE, here, 1);
        rig_state->pc = RIG_CODE;
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
}

/* Where an interrupt comes once, and not for as long as the number is negative, the same. */
static void a_decrementer_that_is_due_is_in_a_snapshot(void)
{
    rig_reset(0);
    ppc_dec_write(rig_state, 1);
    g_usleep(1000);
    reload();
    g_assert_true(atomic_load(&rig_state->pending) & PPC_INT_DEC);
    atomic_store(&rig_state->pending, 0);
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

#define SC 0x44000002u

/* Handlers keep their vector in r31, and in r6 what FSCR or SRR1 says. */
static void start_state(bool problem)
{
    static const uint32_t vectors[] = { 0x300, 0x700, 0xa00, 0xc00, 0xf60 };

    rig_reset(0);
    for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++) {
        const uint32_t words[] = { LI(31, vectors[i]), MFSPR(6, vectors[i] == 0xf60 ? SPR_FSCR : SPR_SRR1), RIG_END };

        rig_words(vectors[i], words, 3);
    }
    if (problem) {
        rig_state->msr |= MSR_PR;
        ppc_update_mode(rig_state);
    }
}

/* FSCR keeps TAR, DSCR and what belongs to event-based branches from problem state, and from nobody else. */
static void facilities_are_kept_from_problem_state(void)
{
    static const struct {
        unsigned spr, facility;
    } registers[] = { { SPR_DSCR_USER, FACILITY_DSCR }, { SPR_TAR, FACILITY_TAR }, { SPR_BESCRS, FACILITY_EBB }, { SPR_BESCRRU, FACILITY_EBB },
                      { SPR_EBBHR, FACILITY_EBB }, { SPR_EBBRR, FACILITY_EBB }, { SPR_BESCR, FACILITY_EBB } };

    if (!ppc_isa(rig_state, ISA_V207)) {
        g_test_skip("since ISA 2.07");
        return;
    }
    for (unsigned n = 0; n < 8 * G_N_ELEMENTS(registers); n++) {
        unsigned spr = registers[n / 8].spr, facility = registers[n / 8].facility;
        bool problem = n & 1, on = n & 2, denied = problem && !on;
        const uint32_t words[] = { n & 4 ? MTSPR(spr, 5) : MFSPR(5, spr), LI(7, 1), SC };

        start_state(problem);
        rig_state->spr[SPR_FSCR] = on ? UINT64_C(1) << facility : ~(UINT64_C(1) << facility) & 0x1fff;
        R[7] = 0;
        rig_run_words(words, 3);
        g_assert_cmphex(R[31], ==, denied ? 0xf60 : 0xc00);
        g_assert_cmpint(R[7], ==, !denied);
        if (denied) {
            g_assert_cmphex(R[6] >> 56, ==, facility);
        }
    }
}

/* And branches to TAR: nothing of one that is denied is done. */
static void branches_to_tar_are_kept_from_problem_state(void)
{
    static const uint32_t there[] = { LI(7, 2), SC };

    if (!ppc_isa(rig_state, ISA_V207)) {
        g_test_skip("since ISA 2.07");
        return;
    }
    for (unsigned n = 0; n < 8; n++) {
        bool problem = n & 1, on = n & 2, denied = problem && !on;
        const uint32_t words[] = { X_(19, 16, 0, 0, 560) | n >> 2 /* bdnztar, with LK */, LI(7, 1), SC };

        start_state(problem);
        rig_words(0x20000, there, 2);
        rig_state->spr[SPR_FSCR] = on ? UINT64_C(1) << FACILITY_TAR : 0;
        rig_state->spr[SPR_TAR] = 0x20000;
        rig_state->ctr = 5;
        rig_state->lr = 4;
        R[7] = 0;
        rig_run_words(words, 3);
        g_assert_cmphex(R[31], ==, denied ? 0xf60 : 0xc00);
        g_assert_cmpint(R[7], ==, denied ? 0 : 2);
        g_assert_cmpint(rig_state->ctr, ==, denied ? 5 : 4);
        g_assert_cmphex(rig_state->lr, ==, !denied && n & 4 ? RIG_CODE + 4 : 4);
    }
}

/* BESCR by five numbers, and the return that sets or clears its first bit. */
static void event_based_branches_return(void)
{
    const uint64_t ge = UINT64_C(1) << 63;
    static const uint32_t registers[] = { MTSPR(SPR_BESCRS, 3), MTSPR(SPR_BESCRSU, 4), MTSPR(SPR_BESCRR, 5), MTSPR(SPR_BESCRRU, 8),
                                          MFSPR(9, SPR_BESCR), MFSPR(10, SPR_BESCRSU), SC };
    static const uint32_t behind[] = { LI(9, 7), SC };

    if (!ppc_isa(rig_state, ISA_V207)) {
        g_test_skip("since ISA 2.07");
        return;
    }
    start_state(true);
    R[3] = 0xf0f;
    R[4] = 0x30003;
    R[5] = 0xf;
    R[8] = 1;
    rig_run_words(registers, G_N_ELEMENTS(registers));
    g_assert_cmphex(R[9], ==, UINT64_C(0x0003000200000f00));
    g_assert_cmphex(R[10], ==, 0x00030002);
    for (unsigned n = 0; n < 6; n++) {
        const uint32_t words[] = { X_(19, 0, 0, n & 1, 146), LI(9, 1), SC };

        start_state(n < 4);
        rig_words(0x20000, behind, 2);
        rig_state->spr[SPR_EBBRR] = 0x20003;
        rig_state->spr[SPR_BESCR] = n & 2 ? ge | 12 : 12;
        rig_run_words(words, 3);
        g_assert_cmphex(R[31], ==, 0xc00);
        g_assert_cmpint(R[9], ==, 7);
        g_assert_cmphex(rig_state->spr[SPR_BESCR], ==, n & 1 ? ge | 12 : 12);
    }
    start_state(true);
    rig_state->spr[SPR_FSCR] = 0;
    RIG_RUN(X_(19, 0, 0, 1, 146), SC);
    g_assert_cmphex(R[31], ==, 0xf60);
    g_assert_cmphex(R[6] >> 56, ==, FACILITY_EBB);
}

/* A message to the own core's only thread waits for MSR[EE]; to others, of other types, and when it is taken back, there is none. */
static void doorbells_ring(void)
{
    const uint64_t message = UINT64_C(5) << 27;
    static const struct {
        uint64_t message;
        bool clears, rings;
    } cases[] = { { message, false, true }, { message | 1, false, false }, { UINT64_C(4) << 27, false, false }, { message, true, false } };

    if (!ppc_isa(rig_state, ISA_V207)) {
        g_test_skip("since ISA 2.07");
        return;
    }
    for (unsigned n = 0; n < G_N_ELEMENTS(cases); n++) {
        const uint32_t words[] = { X_(31, 0, 0, 3, 142), MFSPR(9, SPR_DPDES), cases[n].clears ? X_(31, 0, 0, 3, 174) : ISYNC,
                                   X_(31, 4, 1, 0, 178) /* mtmsrd, EE */, LI(8, 1), RIG_END };

        start_state(false);
        R[3] = cases[n].message;
        R[4] = MSR_EE | MSR_RI;
        R[8] = 0;
        rig_run_words(words, G_N_ELEMENTS(words));
        g_assert_cmpint(R[9], ==, cases[n].rings || cases[n].clears);
        g_assert_cmphex(R[31], ==, cases[n].rings ? 0xa00 : 0);
        g_assert_cmpint(R[8], ==, !cases[n].rings);
        g_assert_cmphex(rig_state->pending & PPC_INT_DOORBELL, ==, 0);
    }
    start_state(true);
    RIG_RUN(X_(31, 0, 0, 3, 142), SC);
    g_assert_cmphex(R[31], ==, 0x700);
    g_assert_cmphex(R[6] & PROGRAM_PRIVILEGED, ==, PROGRAM_PRIVILEGED);
    start_state(false); /* msgsnd is the hypervisor's */
    RIG_RUN(X_(31, 0, 0, 3, 206), SC);
    g_assert_cmphex(R[31], ==, 0x700);
}

/* POWER7 and POWER8 have the instruction, but a machine without coprocessors. */
static void there_are_no_coprocessors(void)
{
    bool has = ppc_isa(rig_state, ISA_V206) && !ppc_isa(rig_state, ISA_V300);

    start_state(false);
    R[3] = 0x2000;
    R[4] = 0x80;
    RIG_RUN(X_(31, 5, 3, 4, 406) | 1);
    g_assert_cmphex(R[31], ==, has ? 0x300 : 0x700);
    if (has) {
        g_assert_cmphex(rig_state->spr[SPR_DAR], ==, 0x2080);
        g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, 0x4000);
    }
}

/* A snapshot from when the timer was late says of a negative decrementer that nothing waits. */
static void what_a_load_finds_due_interrupts(void)
{
    static const uint32_t here[] = { B(0) }, handler[] = { LI(31, 0x900), RIG_END };
    g_autoptr(GKeyFile) snapshot = g_key_file_new();
    g_autoptr(GError) error = NULL;

    if (!rig_state->model->level_decrementer) {
        g_test_skip("an edge is gone");
        return;
    }
    rig_reset(MSR_EE);
    rig_state->dec_end = (int64_t)ppc_timebase(rig_cpu) - 1000;
    rig_cpu->type->save(rig_cpu, snapshot);
    RIG_RUN(LI(5, 5)); /* no request is left */
    rig_cpu->type->load(rig_cpu, snapshot, &error);
    g_assert_no_error(error);
    rig_words(0x900, handler, 2);
    rig_words(RIG_CODE, here, 1);
    rig_run(RIG_CODE);
    g_assert_cmphex(R[31], ==, 0x900);
    g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE);
    rig_reset(0);
}

int main(int argc, char **argv)
{
    const char *model = argc > 1 ? argv[1] : "750";

    g_test_init(&argc, &argv, NULL);
    rig_start(model);
    g_test_add_func("/ppc/decrementer/round", the_decrementer_comes_round);
    g_test_add_func("/ppc/decrementer/due", a_decrementer_that_is_due_is_in_a_snapshot);
    g_test_add_func("/ppc/decrementer/short", a_short_time_is_not_missed);
    g_test_add_func("/ppc/decrementer/large", a_large_decrementer_has_56_bits);
    g_test_add_func("/ppc/decrementer/late", a_large_decrementer_that_is_found_late_interrupts);
    g_test_add_func("/ppc/decrementer/snapshot", decrementers_go_on_from_a_snapshot);
    g_test_add_func("/ppc/spr/absent", registers_that_are_not_there);
    g_test_add_func("/ppc/reserved", reserved_instructions_do_nothing);
    g_test_add_func("/ppc/facilities", facilities_are_kept_from_problem_state);
    g_test_add_func("/ppc/facilities-tar", branches_to_tar_are_kept_from_problem_state);
    g_test_add_func("/ppc/event-based-branches", event_based_branches_return);
    g_test_add_func("/ppc/doorbells", doorbells_ring);
    g_test_add_func("/ppc/coprocessors", there_are_no_coprocessors);
    g_test_add_func("/ppc/decrementer/load-due", what_a_load_finds_due_interrupts);
    return g_test_run();
}
