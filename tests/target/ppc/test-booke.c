/* Book E on a 440 and an e500 (the argument): TLBs, address spaces, interrupts and their levels, timers, snapshots. */
#include "tests/target/ppc/rig.h"

#include "core/lock.h"
#include "hw/boards/ppce500-spin.h"
#include "target/ppc/booke.h"
#include "util/bits.h"

#include <string.h>

#define R rig_state->gpr

enum { HANDLERS = 0x30000, DEC_ = 10, FIT_ = 11, WATCHDOG_ = 12, DTLB_ = 13, ITLB_ = 14, CRITICAL_ = 0, DSI_ = 2, ISI_ = 3, ALIGNMENT_ = 5, PROGRAM_ = 6 };
/* Rights as both have them, translated where words differ. */
enum { SR_ = 1, SW_ = 2, SX_ = 4, UR_ = 8, UW_ = 16, UX_ = 32, INHIBITED_ = 0x400 };

#define TLBWE(rs, ra, ws) X_(31, rs, ra, ws, 978)
#define TLBRE(rt, ra, ws) X_(31, rt, ra, ws, 946)
#define TLBSX(rt, ra, rb) (X_(31, rt, ra, rb, 914) | 1)
#define TLBSX_E500(rb)    X_(31, 0, 0, rb, 914)
#define TLBIVAX(rb)       X_(31, 0, 0, rb, 786)
#define WRTEEI(on)        (X_(31, 0, 0, (on) ? 16 : 0, 163))
#define MFDCR(rt, n)      X_(31, rt, (n) & 31, (n) >> 5, 323)
#define MTDCR(n, rs)      X_(31, rs, (n) & 31, (n) >> 5, 451)
#define RFCI              0x4c000066u
#define LWZ_(rt, ra)      LWZ(rt, 0, ra)

static bool is_440;

/* Code is mapped one to one in space 0; handlers tell their IVOR in r31 and end. */
static void start(void)
{
    rig_reset(0);
    ppc_map_page(rig_cpu, 0, 0, RIG_RAM);
    rig_state->spr[SPR_IVPR] = HANDLERS;
    for (unsigned n = 0; n < 16; n++) {
        const uint32_t handler[] = { LI(31, n), RIG_END };

        rig_state->spr[SPR_IVOR0 + n] = n * 0x100;
        rig_words(HANDLERS + n * 0x100, handler, 2);
    }
    R[31] = 99;
}

/* A page of 4 KiB by the processor's own instructions, in entry 5 (of TLB1). */
static void map_entry(unsigned entry, uint32_t virt, uint64_t phys, unsigned rights, unsigned tid, bool space)
{
    if (is_440) {
        rig_state->spr[SPR_MMUCR] = tid;
        R[3] = entry;
        R[4] = virt | 0x210 | (space ? 0x100 : 0);
        R[5] = (uint32_t)phys | phys >> 32;
        R[6] = rights;
        RIG_RUN(TLBWE(4, 3, 0), TLBWE(5, 3, 1), TLBWE(6, 3, 2));
        return;
    }
    rig_state->spr[SPR_MAS0] = 0x10000000 | entry << 16;
    rig_state->spr[SPR_MAS1] = 0x80000100 | tid << 16 | (space ? 0x1000 : 0);
    rig_state->spr[SPR_MAS2] = virt | (rights & INHIBITED_ ? 8 : 0);
    rig_state->spr[SPR_MAS3] = (uint32_t)phys | (rights & SR_ ? 1 : 0) | (rights & SW_ ? 4 : 0) | (rights & SX_ ? 0x10 : 0) |
                               (rights & UR_ ? 2 : 0) | (rights & UW_ ? 8 : 0) | (rights & UX_ ? 0x20 : 0);
    rig_state->spr[SPR_MAS7] = phys >> 32;
    RIG_RUN(TLBWE(0, 0, 0));
}

static void map(uint32_t virt, uint64_t phys, unsigned rights, unsigned tid, bool space)
{
    map_entry(5, virt, phys, rights, tid, space);
}

static void load_at(uint32_t addr)
{
    R[31] = 99;
    R[7] = addr;
    RIG_RUN(LWZ_(8, 7));
}

static void store_at(uint32_t addr, uint32_t value)
{
    R[31] = 99;
    R[7] = addr;
    R[8] = value;
    RIG_RUN(STW(8, 0, 7));
}

static void pages_that_software_wrote_translate(void)
{
    start();
    map(0x40001000, 0x300000, SR_ | SW_, 0, false);
    store_be32(rig_ram + 0x300010, 0x11223344);
    load_at(0x40001010);
    g_assert_cmphex(R[8], ==, 0x11223344);
    store_at(0x40001020, 0x55667788);
    g_assert_cmphex(load_be32(rig_ram + 0x300020), ==, 0x55667788);
    g_assert_cmpint(R[31], ==, 99);
}

static void a_miss_tells_address_and_kind(void)
{
    start();
    if (!is_440) {
        rig_state->spr[SPR_MAS4] = 0x00000100 | 4; /* TLB0, 4 KiB, M */
        rig_state->spr[SPR_PID] = 7;
    }
    load_at(0x40001010);
    g_assert_cmpint(R[31], ==, DTLB_);
    g_assert_cmphex(rig_state->spr[SPR_DEAR], ==, 0x40001010);
    g_assert_cmphex(rig_state->spr[SPR_ESR], ==, 0);
    g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE);
    if (!is_440) {
        g_assert_cmphex(rig_state->spr[SPR_MAS0] & 0xfff00000, ==, 0);
        g_assert_cmphex(rig_state->spr[SPR_MAS1], ==, 0x80070100);
        g_assert_cmphex(rig_state->spr[SPR_MAS2], ==, 0x40001004);
        g_assert_cmphex(rig_state->spr[SPR_MAS6], ==, 0x00070000);
    }
    store_at(0x40001014, 1);
    g_assert_cmpint(R[31], ==, DTLB_);
    g_assert_cmphex(rig_state->spr[SPR_ESR], ==, ESR_ST);
    R[31] = 99;
    rig_run(0x50000000);
    g_assert_cmpint(R[31], ==, ITLB_);
    g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, 0x50000000);
}

static void rights_are_of_user_and_supervisor(void)
{
    start();
    map(0x40001000, 0x300000, SR_, 0, false);
    load_at(0x40001000);
    g_assert_cmpint(R[31], ==, 99);
    store_at(0x40001000, 1);
    g_assert_cmpint(R[31], ==, DSI_);
    g_assert_cmphex(rig_state->spr[SPR_ESR], ==, ESR_ST);
    R[31] = 99;
    rig_run(0x40001000);
    g_assert_cmpint(R[31], ==, ISI_);
    ppc_set_msr(rig_state, MSR_PR);
    load_at(0x40001000);
    g_assert_cmpint(R[31], ==, DSI_);
    map(0x40001000, 0x300000, UR_ | UW_, 0, false);
    ppc_set_msr(rig_state, MSR_PR);
    store_at(0x40001000, 0x77);
    g_assert_cmpint(R[31], ==, 99);
    g_assert_cmphex(load_be32(rig_ram + 0x300000), ==, 0x77);
}

static void pages_belong_to_processes(void)
{
    start();
    map(0x40001000, 0x300000, SR_ | SW_, 5, false);
    load_at(0x40001000);
    g_assert_cmpint(R[31], ==, DTLB_);
    R[9] = 5;
    RIG_RUN(MTSPR(SPR_PID, 9));
    load_at(0x40001000);
    g_assert_cmpint(R[31], ==, 99);
    R[9] = 6;
    RIG_RUN(MTSPR(SPR_PID, 9));
    load_at(0x40001000);
    g_assert_cmpint(R[31], ==, DTLB_);
    if (!is_440) {
        R[9] = 5;
        RIG_RUN(MTSPR(SPR_PID2, 9));
        load_at(0x40001000);
        g_assert_cmpint(R[31], ==, 99);
    }
}

static void there_are_two_spaces(void)
{
    start();
    map(0x40001000, 0x300000, SR_ | SW_, 0, true);
    store_be32(rig_ram + 0x300000, 0x1234);
    load_at(0x40001000);
    g_assert_cmpint(R[31], ==, DTLB_);
    ppc_set_msr(rig_state, MSR_DR);
    load_at(0x40001000);
    g_assert_cmpint(R[31], ==, 99);
    g_assert_cmphex(R[8], ==, 0x1234);
}

static void a_replaced_entry_is_forgotten(void)
{
    start();
    map(0x40001000, 0x300000, SR_ | SW_, 0, false);
    load_at(0x40001000);
    map(0x40002000, 0x300000, SR_ | SW_, 0, false);
    load_at(0x40001000);
    g_assert_cmpint(R[31], ==, DTLB_);
    load_at(0x40002000);
    g_assert_cmpint(R[31], ==, 99);
    map(0x40002000, 0x301000, SR_ | SW_, 0, false);
    store_be32(rig_ram + 0x301000, 0x99);
    load_at(0x40002000);
    g_assert_cmphex(R[8], ==, 0x99);
}

static void entries_are_searched_and_read(void)
{
    start();
    map(0x40001000, 0x200300000, SR_ | SW_, 5, false);
    if (is_440) {
        rig_state->spr[SPR_MMUCR] = 5;
        R[4] = 0x40001abc;
        RIG_RUN(TLBSX(5, 0, 4), TLBRE(6, 5, 0), TLBRE(7, 5, 1), TLBRE(8, 5, 2));
        g_assert_cmpint(R[5], ==, 5);
        g_assert_cmpint(rig_state->cr[0], ==, 2);
        g_assert_cmphex(R[6], ==, 0x40001210);
        g_assert_cmphex(R[7], ==, 0x300002);
        g_assert_cmphex(R[8], ==, 3);
        R[4] = 0x40002abc;
        RIG_RUN(TLBSX(5, 0, 4));
        g_assert_cmpint(rig_state->cr[0], ==, 0);
        return;
    }
    rig_state->spr[SPR_HID0] = 0x80; /* MAS7 is written too */
    rig_state->spr[SPR_MAS6] = 5 << 16;
    R[4] = 0x40001abc;
    RIG_RUN(TLBSX_E500(4));
    g_assert_cmphex(rig_state->spr[SPR_MAS0] & 0xfffffff0, ==, 0x10050000);
    g_assert_cmphex(rig_state->spr[SPR_MAS1], ==, 0x80050100);
    g_assert_cmphex(rig_state->spr[SPR_MAS2], ==, 0x40001000);
    g_assert_cmphex(rig_state->spr[SPR_MAS3], ==, 0x300005);
    g_assert_cmphex(rig_state->spr[SPR_MAS7], ==, 2);
    R[4] = 0x40002abc;
    RIG_RUN(TLBSX_E500(4));
    g_assert_cmphex(rig_state->spr[SPR_MAS1] & 0x80000000, ==, 0);
}

/* e500: TLB0 has four ways; the fifth page of a set takes the place of another. */
static void sets_have_four_ways(void)
{
    unsigned there = 0;

    if (is_440) {
        g_test_skip("the 440 has one TLB");
        return;
    }
    start();
    rig_state->spr[SPR_MAS4] = 0x100;
    for (uint32_t n = 0; n < 5; n++) {
        load_at(0x40000000 + n * 0x80000);
        g_assert_cmpint(R[31], ==, DTLB_);
        rig_state->spr[SPR_MAS3] = 0x300001;
        RIG_RUN(TLBWE(0, 0, 0));
    }
    for (uint32_t n = 0; n < 5; n++) {
        load_at(0x40000000 + n * 0x80000);
        there += R[31] == 99;
    }
    g_assert_cmpint(there, ==, 4);
}

static void tlbivax_leaves_what_is_protected(void)
{
    if (is_440) {
        g_test_skip("the 440 has no tlbivax");
        return;
    }
    start();
    map(0x40001000, 0x300000, SR_, 3, false);
    rig_state->spr[SPR_PID] = 3;
    load_at(0x40001000);
    g_assert_cmpint(R[31], ==, 99);
    R[4] = 0x40001000 | 8;
    RIG_RUN(TLBIVAX(4));
    load_at(0x40001000);
    g_assert_cmpint(R[31], ==, DTLB_);
    map(0x40001000, 0x300000, SR_, 0, false);
    R[4] = 8 | 4; /* all of TLB1 but the code's, which has IPROT */
    RIG_RUN(TLBIVAX(4));
    load_at(0x40001000);
    g_assert_cmpint(R[31], ==, DTLB_);
}

static void program_interrupts_have_syndromes(void)
{
    start();
    RIG_RUN(0x00000000);
    g_assert_cmpint(R[31], ==, PROGRAM_);
    g_assert_cmphex(rig_state->spr[SPR_ESR], ==, ESR_PIL);
    RIG_RUN(X_(31, 31, 0, 0, 4)); /* trap */
    g_assert_cmphex(rig_state->spr[SPR_ESR], ==, ESR_PTR);
    ppc_set_msr(rig_state, MSR_PR | MSR_EE | MSR_CE | MSR_ME);
    RIG_RUN(X_(31, 3, 0, 0, 83)); /* mfmsr */
    g_assert_cmphex(rig_state->spr[SPR_ESR], ==, ESR_PPR);
    g_assert_cmphex(rig_state->spr[SPR_SRR1], ==, MSR_PR | MSR_EE | MSR_CE | MSR_ME);
    g_assert_cmphex(rig_state->msr, ==, MSR_CE | MSR_ME);
}

static void critical_interrupts_have_their_own_return(void)
{
    start();
    R[31] = 99;
    ppc_set_interrupt(rig_cpu, PPC_INT_CRITICAL, true);
    ppc_set_msr(rig_state, MSR_ME | MSR_EE);
    RIG_RUN(LI(31, 0), LI(29, 1));
    g_assert_cmpint(R[31], ==, 0); /* MSR[CE] is off */
    ppc_set_msr(rig_state, MSR_ME | MSR_CE | MSR_EE);
    RIG_RUN(LI(28, 1));
    g_assert_cmpint(R[31], ==, CRITICAL_);
    g_assert_cmphex(rig_state->spr[SPR_CSRR0], ==, RIG_CODE);
    g_assert_cmphex(rig_state->spr[SPR_CSRR1], ==, MSR_ME | MSR_CE | MSR_EE);
    g_assert_cmphex(rig_state->msr, ==, MSR_ME);
    ppc_set_interrupt(rig_cpu, PPC_INT_CRITICAL, false);
    rig_state->spr[SPR_SRR0] = 0x123;
    ppc_set_msr(rig_state, MSR_ME | MSR_CE | MSR_EE);
    rig_state->spr[SPR_CSRR0] = RIG_CODE + 4;
    rig_state->spr[SPR_CSRR1] = MSR_CE;
    RIG_RUN(RFCI, LI(31, 7));
    g_assert_cmpint(R[31], ==, 7);
    g_assert_cmphex(rig_state->msr, ==, MSR_CE);
    g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, 0x123);
}

/* Waits in a loop for what the handler says. */
static void the_decrementer_reloads_itself(void)
{
    static const uint32_t handler[] = {
        ADDI(31, 31, 1), LIS(30, 0x0800), MTSPR(SPR_TSR, 30), X_(31, 0, 31, 29, 0) /* cmpw r31, r29 */, BC(4, 2, 8), RIG_END, RFI,
    };

    start();
    rig_words(HANDLERS + DEC_ * 0x100, handler, G_N_ELEMENTS(handler));
    R[31] = 0;
    R[29] = 5;
    R[4] = 1000;
    R[5] = TCR_DIE | TCR_ARE;
    /* Reload before the count: on a busy host it may be at its end at once. */
    RIG_RUN(MTSPR(SPR_DECAR, 4), MTSPR(SPR_TCR, 5), MTSPR(SPR_DEC, 4), WRTEEI(1), B(0));
    g_assert_cmpint(R[31], ==, 5);
}

static void without_reload_it_stays_at_zero(void)
{
    start();
    R[4] = 10;
    RIG_RUN(MTSPR(SPR_DEC, 4), MFSPR(5, SPR_TSR), 0x54a60109u /* rlwinm. r6, r5, 0, 4, 4 */, BC(12, 2, -8),
            MFSPR(7, SPR_DEC), MTSPR(SPR_TSR, 6), MFSPR(8, SPR_TSR));
    g_assert_cmphex(R[6], ==, TSR_DIS);
    g_assert_cmpint(R[7], ==, 0);
    g_assert_cmphex(R[8] & TSR_DIS, ==, 0);
}

static void the_interval_timer_interrupts(void)
{
    start();
    ppc_set_msr(rig_state, MSR_EE);
    R[5] = TCR_FIE;
    if (!is_440) { /* bit 50 from the left */
        R[5] = TCR_FIE | (50 & 3) << 24 | (50 >> 2) << 13;
    }
    RIG_RUN(MTSPR(SPR_TCR, 5), B(0));
    g_assert_cmpint(R[31], ==, FIT_);
    g_assert_cmphex(rig_state->spr[SPR_TSR] & TSR_FIS, ==, TSR_FIS);
}

static void the_watchdog_warns(void)
{
    start();
    ppc_set_msr(rig_state, MSR_CE);
    R[5] = TCR_WIE;
    if (!is_440) {
        R[5] = TCR_WIE | (uint32_t)(50 & 3) << 30 | (50 >> 2) << 17;
    }
    RIG_RUN(MTSPR(SPR_TCR, 5), B(0));
    g_assert_cmpint(R[31], ==, WATCHDOG_);
    g_assert_cmphex(rig_state->spr[SPR_TSR] & (TSR_ENW | TSR_WIS), ==, TSR_ENW | TSR_WIS);
    g_assert_cmphex(rig_state->spr[SPR_CSRR0], ==, RIG_CODE + 4);
}

/* The decrementer's end is noted, and wakes nobody who has it masked; the watchdog's does later. */
static void masked_timers_do_not_wake(void)
{
    start();
    rig_state->spr[SPR_HID0] |= 0x00e00000; /* e500: DOZE, NAP, SLEEP */
    R[4] = 100;
    R[5] = TCR_WIE | TCR_DIE;
    if (!is_440) {
        R[5] |= (uint32_t)(46 & 3) << 30 | (46 >> 2) << 17;
    }
    R[6] = MSR_POW | MSR_CE;
    RIG_RUN(MTSPR(SPR_TCR, 5), MTSPR(SPR_DEC, 4), MTMSR(6), LI(9, 1), B(0));
    g_assert_cmpint(R[31], ==, WATCHDOG_);
    g_assert_cmphex(rig_state->spr[SPR_TSR] & (TSR_ENW | TSR_DIS), ==, TSR_ENW | TSR_DIS);
    g_assert_cmpint(R[9], ==, 0);
    g_assert_cmphex(rig_state->spr[SPR_CSRR0], ==, RIG_CODE + 12);
}

static void reset_of_the_watchdog_cannot_be_taken_back(void)
{
    start();
    R[5] = 0xc0000000u | 0x10000000;
    RIG_RUN(MTSPR(SPR_TCR, 5), LI(6, 0), MTSPR(SPR_TCR, 6), MFSPR(7, SPR_TCR));
    g_assert_cmphex(R[7], ==, 0x10000000);
}

static void a_step_is_a_debug_interrupt(void)
{
    start();
    rig_state->spr[SPR_DBCR0] = DBCR0_IDM | DBCR0_ICMP;
    ppc_set_msr(rig_state, MSR_BE);
    RIG_RUN(LI(3, 1), LI(3, 2));
    g_assert_cmpint(R[31], ==, 15);
    g_assert_cmpint(R[3], ==, 1);
    g_assert_cmphex(rig_state->spr[SPR_CSRR0], ==, RIG_CODE + 4);
    g_assert_cmphex(rig_state->spr[SPR_DBSR], ==, DBSR_IC);
}

static void snapshots_have_the_tlb(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;

    start();
    map(0x40001000, 0x300000, SR_ | SW_, 0, false);
    rig_cpu->type->save(rig_cpu, file);
    rig_cpu->type->reset(rig_cpu);
    g_assert_true(rig_cpu->type->load(rig_cpu, file, &error));
    g_assert_no_error(error);
    store_be32(rig_ram + 0x300000, 0x4242);
    load_at(0x40001000);
    g_assert_cmphex(R[8], ==, 0x4242);
}

static uint64_t dcr_read(void *opaque, PhysAddr offset, unsigned size)
{
    return 0x1000 + offset;
}

static uint64_t written;

static void dcr_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    written = value;
}

static void device_control_registers_are_a_space(void)
{
    static const RegionOps ops = { dcr_read, dcr_write, 4, 4, ENDIAN_LITTLE };

    if (!is_440) {
        g_test_skip("the e500 has no DCRs");
        return;
    }
    start();
    machine_lock();
    ppc_set_dcrs(rig_cpu, address_space_new("dcrs", region_new_io("dcrs", &ops, NULL, 0x1000)));
    machine_unlock();
    R[4] = 0xabcdef01;
    RIG_RUN(MFDCR(3, 0xc3), MTDCR(0xc3, 4));
    g_assert_cmphex(R[3], ==, 0x1000 + 0xc3 * 4);
    g_assert_cmphex(written, ==, 0xabcdef01);
    ppc_set_msr(rig_state, MSR_PR);
    RIG_RUN(MFDCR(3, 0xc3));
    g_assert_cmpint(R[31], ==, PROGRAM_);
}

static void dcbz_wants_pages_that_are_cached(void)
{
    start();
    map(0x40001000, 0x300000, SR_ | SW_, 0, false);
    map_entry(6, 0x40002000, 0x301000, SR_ | SW_ | INHIBITED_, 0, false);
    map_entry(7, 0x40003000, 0x302000, SR_ | SW_, 0, false);
    R[3] = 1;
    if (!is_440) {
        RIG_RUN(MTSPR(SPR_L1CSR0, 3));
    }
    for (unsigned n = 0; n < 9; n++) {
        uint32_t page = n % 3 << 12, inhibited = page == 0x1000;

        store_be32(rig_ram + 0x300000 + page + 8, 7);
        R[31] = 99;
        R[4] = 0x40001008 + page;
        RIG_RUN(X_(31, 0, 0, 4, 1014));
        g_assert_cmpint(R[31], ==, inhibited ? ALIGNMENT_ : 99);
        g_assert_cmpint(load_be32(rig_ram + 0x300000 + page + 8), ==, inhibited ? 7 : 0);
        if (inhibited) {
            g_assert_cmphex(rig_state->spr[SPR_DEAR], ==, R[4]);
            g_assert_cmphex(rig_state->spr[SPR_ESR], ==, ESR_ST);
        }
    }
}

/* Nor does it go without the e500's data cache. */
static void dcbz_wants_the_cache(void)
{
    if (is_440) {
        g_test_skip("its data cache is always on");
        return;
    }
    start();
    for (unsigned n = 0; n < 6; n++) {
        store_be32(rig_ram + 0x300008, 7);
        R[31] = 99;
        R[3] = n & 1;
        R[4] = 0x300008;
        RIG_RUN(MTSPR(SPR_L1CSR0, 3), X_(31, 0, 0, 4, 1014));
        g_assert_cmpint(R[31], ==, n & 1 ? 99 : ALIGNMENT_);
        g_assert_cmpint(load_be32(rig_ram + 0x300008), ==, n & 1 ? 0 : 7);
    }
}

/* A page of 1 KiB, which only the 440 has. */
static void map_small(unsigned entry, uint32_t virt, uint32_t phys, unsigned rights)
{
    rig_state->spr[SPR_MMUCR] = 0;
    R[3] = entry;
    R[4] = virt | 0x200;
    R[5] = phys;
    R[6] = rights;
    RIG_RUN(TLBWE(4, 3, 0), TLBWE(5, 3, 1), TLBWE(6, 3, 2));
}

static void check_load(uint32_t addr, uint32_t value)
{
    load_at(addr);
    g_assert_cmpint(R[31], ==, 99);
    g_assert_cmphex(R[8], ==, value);
}

/* Four neighbours, which are elsewhere each, the second read-only, the last one not there. */
static void small_pages_are_apart(void)
{
    enum { RIGHTS = SR_ | SW_ | SX_, VIRT = 0x40000000 };
    static const uint32_t frames[] = { 0x300c00, 0x300400, 0x302000 };
    static const uint32_t lwarx[] = { X_(31, 8, 0, 7, 20), ADDI(8, 8, 1), X_(31, 8, 0, 7, 150) | 1 };

    if (!is_440) {
        g_test_skip("no small pages");
        return;
    }
    start();
    for (unsigned i = 0; i < 3; i++) {
        map_small(10 + i, VIRT + 0x400 * i, frames[i], i == 1 ? SR_ : RIGHTS);
        for (uint32_t at = 0; at < 0x400; at += 4) {
            store_be32(rig_ram + frames[i] + at, i << 28 | i << 12 | at);
        }
    }
    for (unsigned n = 0; n < 200; n++) {
        unsigned i = n * 7 % 11 % 3;
        uint32_t at = n * 52 % 0x400;

        check_load(VIRT + 0x400 * i + at, i << 28 | i << 12 | at);
    }
    check_load(VIRT + 0x3fe, 0x03fc1000); /* parts of two pages */
    check_load(VIRT + 0x7ff, 0xfc200020);
    load_at(VIRT + 0xbfe);
    g_assert_cmpint(R[31], ==, DTLB_);
    g_assert_cmphex(rig_state->spr[SPR_DEAR] & ~3u, ==, VIRT + 0xc00);
    load_at(VIRT + 0xc10);
    g_assert_cmpint(R[31], ==, DTLB_);
    store_at(VIRT + 0x3f8, 0x1234);
    g_assert_cmpint(R[31], ==, 99);
    g_assert_cmphex(load_be32(rig_ram + 0x300ff8), ==, 0x1234);
    store_at(VIRT + 0x404, 1);
    g_assert_cmpint(R[31], ==, DSI_);
    store_at(VIRT + 0x3fe, 0x5678); /* nothing of it is done */
    g_assert_cmpint(R[31], ==, DSI_);
    g_assert_cmphex(load_be32(rig_ram + 0x300ffc), ==, 0x3fc);
    R[7] = VIRT + 0x3c4;
    R[31] = 99;
    RIG_RUN(X_(31, 0, 0, 7, 1014) /* dcbz */);
    g_assert_cmphex(load_be32(rig_ram + 0x300fbc), ==, 0x3bc);
    g_assert_cmphex(load_be32(rig_ram + 0x300fc0) | load_be32(rig_ram + 0x300fdc), ==, 0);
    g_assert_cmphex(load_be32(rig_ram + 0x300fe0), ==, 0x3e0);
    R[7] = VIRT + 0x810;
    rig_run_words(lwarx, G_N_ELEMENTS(lwarx));
    g_assert_cmphex(load_be32(rig_ram + 0x302010), ==, 0x20002011);
    R[7] = VIRT + 0x3f0; /* lswi of 32 bytes */
    RIG_RUN(X_(31, 8, 7, 0, 597));
    g_assert_cmphex(R[10], ==, 0x1234);
    g_assert_cmphex(R[12], ==, 0x10001000);
    g_assert_cmphex(R[15], ==, 0x1000100c);
    map_small(11, VIRT + 0x400, 0x303800, RIGHTS);
    check_load(VIRT + 0x404, 0);
    check_load(VIRT + 0x10, 0x10);
    store_at(VIRT + 0x7fc, 7);
    g_assert_cmphex(load_be32(rig_ram + 0x303bfc), ==, 7);
    map_entry(12, VIRT + 0x1000, 0x304000, RIGHTS, 0, false); /* a neighbour of the usual size */
    check_load(VIRT + 0x10, 0x10);
}

/* Code runs on where the next page is, and after that has become another one. */
static void code_runs_in_small_pages(void)
{
    enum { RIGHTS = SR_ | SX_, VIRT = 0x40000000 };

    if (!is_440) {
        g_test_skip("no small pages");
        return;
    }
    start();
    map_small(10, VIRT, 0x300c00, RIGHTS);
    map_small(11, VIRT + 0x400, 0x302800, RIGHTS);
    rig_words(0x300c00 + 0x3f8, (uint32_t[]){ LI(8, 1), ADDI(8, 8, 2) }, 2);
    rig_words(0x302800, (uint32_t[]){ ADDI(8, 8, 4), RIG_END }, 2);
    rig_words(0x301000, (uint32_t[]){ ADDI(8, 8, 64), RIG_END }, 2); /* what lies behind the first one in memory */
    rig_words(0x303000, (uint32_t[]){ ADDI(8, 8, 8), RIG_END }, 2);
    for (unsigned n = 0; n < 10; n++) {
        rig_run(VIRT + 0x3f8);
        g_assert_cmpint(R[8], ==, n & 1 ? 11 : 7);
        map_small(11, VIRT + 0x400, n & 1 ? 0x302800 : 0x303000, RIGHTS);
    }
    map_small(11, VIRT + 0x400, 0x302800, SR_);
    R[31] = 99;
    rig_run(VIRT + 0x3f8);
    g_assert_cmpint(R[31], ==, ISI_);
    g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, VIRT + 0x400);
}

/* Who runs does not look at the table any more, whatever is written there. */
static void a_processor_is_released_once(void)
{
    enum { SPIN = 0x20000000, ENTRY = SPIN + SPIN_ENTRY, LOW = 4, R3 = 12 };
    Cpu *second;
    Device *spin;

    if (is_440) {
        g_test_skip("no spin table");
        return;
    }
    machine_lock();
    second = cpu_new(&ppc_cpu_type, "e500v2", 1, NULL);
    spin = device_new(&ppce500_spin_type, "spin");
    g_assert_true(device_realize(spin, NULL, NULL));
    region_add(memory_system_root(), SPIN, ppce500_spin_region(spin));
    device_reset(spin);
    memory_store(memory_system(), ENTRY + R3, __builtin_bswap32(77), 4);
    g_assert_cmpuint(ppc_state(second)->gpr[3], ==, 0);
    memory_store(memory_system(), ENTRY + LOW, __builtin_bswap32(0x2000), 4);
    g_assert_cmphex(ppc_state(second)->pc, ==, 0x2000);
    g_assert_cmpuint(ppc_state(second)->gpr[3], ==, 77);
    memory_store(memory_system(), ENTRY + LOW, __builtin_bswap32(1), 4);
    memory_store(memory_system(), ENTRY + LOW, __builtin_bswap32(0x3000), 4);
    g_assert_cmphex(ppc_state(second)->pc, ==, 0x2000);
    device_reset(spin);
    memory_store(memory_system(), ENTRY + LOW, __builtin_bswap32(0x4000), 4);
    g_assert_cmphex(ppc_state(second)->pc, ==, 0x4000);
    machine_unlock();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    is_440 = argc < 2 || g_str_equal(argv[1], "440ep");
    rig_start(is_440 ? "440ep" : "e500v2");
#define TEST(name) g_test_add_func("/booke/" #name, name)
    TEST(pages_that_software_wrote_translate);
    TEST(a_miss_tells_address_and_kind);
    TEST(rights_are_of_user_and_supervisor);
    TEST(pages_belong_to_processes);
    TEST(there_are_two_spaces);
    TEST(a_replaced_entry_is_forgotten);
    TEST(entries_are_searched_and_read);
    TEST(sets_have_four_ways);
    TEST(tlbivax_leaves_what_is_protected);
    TEST(program_interrupts_have_syndromes);
    TEST(critical_interrupts_have_their_own_return);
    TEST(the_decrementer_reloads_itself);
    TEST(without_reload_it_stays_at_zero);
    TEST(the_interval_timer_interrupts);
    TEST(the_watchdog_warns);
    TEST(masked_timers_do_not_wake);
    TEST(reset_of_the_watchdog_cannot_be_taken_back);
    TEST(a_step_is_a_debug_interrupt);
    TEST(snapshots_have_the_tlb);
    TEST(device_control_registers_are_a_space);
    TEST(dcbz_wants_pages_that_are_cached);
    TEST(dcbz_wants_the_cache);
    TEST(small_pages_are_apart);
    TEST(code_runs_in_small_pages);
    TEST(a_processor_is_released_once); /* the last: there are two from here on */
    return g_test_run();
}
