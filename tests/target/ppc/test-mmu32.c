/* The 32-bit MMU: BATs, segments, hashed page table, faults, what tlbie and segment changes do. */
#include "tests/target/ppc/rig.h"

#include "util/bits.h"

#define R rig_state->gpr

enum { HTAB = 0x200000, PTE_R = 0x100, PTE_C = 0x80, VIRTUAL = MSR_IR | MSR_DR };
enum { PROTECTION = 0x08000000, NO_PAGE = 0x40000000, NO_EXECUTE = 0x10000000, STORE = 0x02000000 };

/* An entry in the page table (64 KiB); returns its address. slot: of eight in the group. */
static uint32_t map(uint32_t vsid, uint32_t addr, uint32_t pte1, unsigned slot, bool second)
{
    uint32_t page = addr >> 12 & 0xffff, hash = vsid ^ page;
    uint32_t at = HTAB + ((second ? ~hash : hash) & 0x3ff) * 64 + slot * 8;

    store_be32(rig_ram + at, 0x80000000 | vsid << 7 | (second ? 0x40 : 0) | page >> 10);
    store_be32(rig_ram + at + 4, pte1);
    return at;
}

/* Handlers that end, r31 telling which; code in a BAT of its own so that it runs with translation on. */
static void start(void)
{
    static const uint32_t dsi[] = { LI(31, 0x300), RIG_END }, isi[] = { LI(31, 0x400), RIG_END };

    rig_reset(0);
    rig_words(0x300, dsi, 2);
    rig_words(0x400, isi, 2);
    rig_state->spr[SPR_SDR1] = HTAB;
    for (int i = 0; i < 16; i++) {
        rig_state->sr[i] = 0x100 + i;
    }
    rig_state->spr[SPR_IBAT0U] = 3; /* 128 KiB at 0 */
    rig_state->spr[SPR_IBAT0U + 1] = 2;
    ppc_set_msr(rig_state, VIRTUAL);
    rig_state->sr_changed = true;
    ppc_context_sync(rig_state);
}

static void pages_are_found_by_both_hashes(void)
{
    start();
    map(0x103, 0x30005000, 0x300000 | 2, 7, false);
    map(0x103, 0x30006000, 0x301000 | 2, 5, true);
    store_be32(rig_ram + 0x300010, 0x11223344);
    store_be32(rig_ram + 0x301010, 0x55667788);
    RIG_RUN(LIS(4, 0x3000), ORI(4, 4, 0x5000), LWZ(5, 0x10, 4), LWZ(6, 0x1010, 4), LI(31, 0));
    g_assert_cmphex(R[5], ==, 0x11223344);
    g_assert_cmphex(R[6], ==, 0x55667788);
    g_assert_cmpint(R[31], ==, 0);
}

static void what_is_not_mapped_faults(void)
{
    start();
    RIG_RUN(LIS(4, 0x3000), LI(5, 1), LWZ(5, 0x10, 4));
    g_assert_cmphex(R[31], ==, 0x300);
    g_assert_cmphex(rig_state->spr[SPR_DAR], ==, 0x30000010);
    g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, NO_PAGE);
    g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE + 8);
    g_assert_cmphex(rig_state->spr[SPR_SRR1], ==, VIRTUAL);
    g_assert_cmphex(rig_state->msr & VIRTUAL, ==, 0);
    g_assert_cmpint(R[5], ==, 1);
    start();
    RIG_RUN(LIS(4, 0x3000), STW(5, 0x10, 4));
    g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, NO_PAGE | STORE);
}

static void rights_come_from_key_and_pp(void)
{
    static const struct {
        uint32_t sr, pp;
        bool load, store;
    } cases[] = {
        { 0, 0, true, true }, { 0, 3, true, false }, { 0x40000000, 0, false, false }, { 0x40000000, 1, true, false },
        { 0x40000000, 2, true, true }, { 0x40000000, 3, true, false }, { 0x20000000, 0, true, true },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        start();
        rig_state->sr[3] |= cases[i].sr;
        rig_state->sr_changed = true;
        ppc_context_sync(rig_state);
        map(0x103, 0x30000000, 0x300000 | cases[i].pp, 0, false);
        RIG_RUN(LI(31, 0), LIS(4, 0x3000), LWZ(5, 0, 4));
        g_assert_cmphex(R[31], ==, cases[i].load ? 0 : 0x300);
        ppc_set_msr(rig_state, VIRTUAL);
        RIG_RUN(LI(31, 0), LIS(4, 0x3000), STW(5, 0, 4));
        g_assert_cmphex(R[31], ==, cases[i].store ? 0 : 0x300);
        if (!cases[i].store) {
            g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, PROTECTION | STORE);
        }
    }
}

static void references_and_changes_are_noted(void)
{
    uint32_t at;

    start();
    at = map(0x103, 0x30000000, 0x300000 | 2, 0, false);
    RIG_RUN(LIS(4, 0x3000), LWZ(5, 0, 4));
    g_assert_cmphex(load_be32(rig_ram + at + 4), ==, 0x300000 | 2 | PTE_R);
    RIG_RUN(LIS(4, 0x3000), STW(5, 0, 4));
    g_assert_cmphex(load_be32(rig_ram + at + 4), ==, 0x300000 | 2 | PTE_R | PTE_C);
}

static void a_bat_goes_before_segments(void)
{
    start();
    rig_state->spr[SPR_DBAT0U + 2] = 0x30000000 | 0x3 << 2 | 2; /* 512 KiB, supervisor */
    rig_state->spr[SPR_DBAT0U + 3] = 0x00400000 | 2;
    rig_state->sr_changed = rig_state->bats_changed = true;
    ppc_context_sync(rig_state);
    store_be32(rig_ram + 0x470010, 77);
    RIG_RUN(LIS(4, 0x3007), LWZ(5, 0x10, 4), STW(5, 0x14, 4));
    g_assert_cmpint(R[5], ==, 77);
    g_assert_cmpint(load_be32(rig_ram + 0x470014), ==, 77);
    rig_state->spr[SPR_DBAT0U + 3] = 0x00400000 | 1;
    rig_state->sr_changed = rig_state->bats_changed = true;
    ppc_context_sync(rig_state);
    RIG_RUN(LIS(4, 0x3007), STW(5, 0x18, 4));
    g_assert_cmphex(R[31], ==, 0x300);
    g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, PROTECTION | STORE);
}

/* The second four pairs, of what was found as a page before they count. */
static void high_bats_count_when_they_are_turned_on(void)
{
    if (!ppc_isa(rig_state, ISA_7450)) {
        g_test_skip("no high BATs");
        return;
    }
    start();
    map(0x103, 0x30000000, 0x300000 | 2, 0, false);
    store_be32(rig_ram + 0x300010, 1);
    store_be32(rig_ram + 0x400010, 2);
    rig_state->spr[SPR_DBAT4U] = 0x30000000 | 2;
    rig_state->spr[SPR_DBAT4U + 1] = 0x00400000 | 2;
    rig_state->sr_changed = rig_state->bats_changed = true;
    ppc_context_sync(rig_state);
    RIG_RUN(LIS(4, 0x3000), LIS(6, 0x80), LI(8, 0), LWZ(5, 0x10, 4), MTSPR(SPR_HID0, 6), ISYNC, LWZ(7, 0x10, 4), MTSPR(SPR_HID0, 8),
            ISYNC, LWZ(9, 0x10, 4));
    g_assert_cmpint(R[5], ==, 1);
    g_assert_cmpint(R[7], ==, 2);
    g_assert_cmpint(R[9], ==, 1);
}

static void fetches_fault_in_their_own_way(void)
{
    static const uint32_t end_word = RIG_END;

    start();
    rig_run(0x30000000);
    g_assert_cmphex(R[31], ==, 0x400);
    g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, 0x30000000);
    g_assert_cmphex(rig_state->spr[SPR_SRR1], ==, NO_PAGE | VIRTUAL);
    start();
    map(0x103, 0x30000000, 0x300000 | 2, 0, false);
    rig_words(0x300000, &end_word, 1);
    rig_run(0x30000000);
    g_assert_cmphex(R[31], ==, 0);
    start();
    map(0x103, 0x30000000, 0x300000 | 2, 0, false);
    rig_state->sr[3] |= 0x10000000;
    rig_state->sr_changed = true;
    ppc_context_sync(rig_state);
    rig_run(0x30000000);
    g_assert_cmphex(rig_state->spr[SPR_SRR1], ==, NO_EXECUTE | VIRTUAL);
}

/* tlbie r4: the page is read again from the table; without it the old one may stay. */
static void tlbie_makes_a_new_entry_count(void)
{
    start();
    map(0x103, 0x30000000, 0x300000 | 2, 0, false);
    store_be32(rig_ram + 0x300000, 1);
    store_be32(rig_ram + 0x301000, 2);
    rig_state->gpr[7] = HTAB + (0x103 & 0x3ff) * 64; /* of the page's group; tables are in a data BAT */
    rig_state->spr[SPR_DBAT0U] = HTAB | 2;
    rig_state->spr[SPR_DBAT0U + 1] = HTAB | 2;
    rig_state->sr_changed = true;
    ppc_context_sync(rig_state);
    RIG_RUN(LIS(4, 0x3000), LWZ(5, 0, 4), LIS(6, 0x30), ORI(6, 6, 0x1002), STW(6, 4, 7), X_(31, 0, 0, 4, 306), LWZ(6, 0, 4));
    g_assert_cmpint(R[5], ==, 1);
    g_assert_cmpint(R[6], ==, 2);
}

/*
 * A segment that is in another segment register, too, now or in another address space, as where a kernel copies from a process:
 * tlbie looks at bits of the page's number alone.
 */
static void tlbie_reaches_a_segment_wherever_it_is(void)
{
    for (unsigned other = 0; other < 2; other++) {
        start();
        map(0x103, 0x30000000, 0x300000 | 2, 0, false);
        store_be32(rig_ram + 0x300000, 1);
        store_be32(rig_ram + 0x301000, 2);
        rig_state->gpr[7] = HTAB + (0x103 & 0x3ff) * 64;
        rig_state->spr[SPR_DBAT0U] = HTAB | 2;
        rig_state->spr[SPR_DBAT0U + 1] = HTAB | 2;
        rig_state->sr[5] = 0x103;
        rig_state->sr_changed = true;
        ppc_context_sync(rig_state);
        rig_state->gpr[8] = other ? 0x105 : 0x103;
        rig_state->gpr[9] = 0x103;
        /* Read by segment 5; there the other one, perhaps; the page is mapped anew, and read again. */
        RIG_RUN(LIS(4, 0x5000), LIS(10, 0x3000), LWZ(5, 0, 4), X_(31, 8, 5, 0, 210), ISYNC, LIS(6, 0x30), ORI(6, 6, 0x1002), STW(6, 4, 7),
                X_(31, 0, 0, 10, 306), X_(31, 9, 5, 0, 210), ISYNC, LWZ(6, 0, 4));
        g_assert_cmpint(R[5], ==, 1);
        g_assert_cmpint(R[6], ==, 2);
    }
}

/* mtsr r3, isync: another address space; and back, where all is as it was. */
static void segment_changes_switch_address_spaces(void)
{
    start();
    map(0x103, 0x30000000, 0x300000 | 2, 0, false);
    map(0x203, 0x30000000, 0x301000 | 2, 0, false);
    store_be32(rig_ram + 0x300000, 1);
    store_be32(rig_ram + 0x301000, 2);
    RIG_RUN(LIS(4, 0x3000), LI(8, 0x203), LI(9, 0x103), LWZ(5, 0, 4), X_(31, 8, 3, 0, 210), ISYNC, LWZ(6, 0, 4),
            X_(31, 9, 3, 0, 210), ISYNC, LWZ(7, 0, 4));
    g_assert_cmpint(R[5], ==, 1);
    g_assert_cmpint(R[6], ==, 2);
    g_assert_cmpint(R[7], ==, 1);
}

/*
 * dcbz r0,r4 on pages with W or I, in the page table and in a BAT: an alignment interrupt, and nothing stored. Others, above and
 * below, are cleared, before and after other accesses have met those.
 */
static void dcbz_wants_pages_that_are_cached(void)
{
    static const uint32_t handler[] = { LI(31, 0x600), RIG_END }, dcbz[] = { X_(31, 0, 0, 4, 1014) };
    static const struct {
        uint32_t page, offset;
        bool cached;
    } cases[] = {
        { 0x30003000, 0x300000, true }, { 0x30001000, 0x301000, false }, { 0x30003000, 0x300000, true }, { 0x30002000, 0x302000, false },
        { 0x40000000, 0x400000, false }, { 0x30000000, 0x303000, true }, { 0x30003000, 0x300000, true }, { 0x30001000, 0x301000, false },
    };

    for (unsigned touch = 0; touch < 3; touch++) { /* by nobody, a load, a store */
        start();
        rig_words(0x600, handler, 2);
        map(0x103, 0x30003000, 0x300000 | 2, 0, false);
        map(0x103, 0x30001000, 0x301000 | 0x20 | 2, 0, false);
        map(0x103, 0x30002000, 0x302000 | 0x40 | 2, 0, false);
        map(0x103, 0x30000000, 0x303000 | 0x10 | 2, 0, false);
        rig_state->spr[SPR_DBAT0U + 2] = 0x40000000 | 2;
        rig_state->spr[SPR_DBAT0U + 3] = 0x00400000 | 0x28 | 2;
        rig_state->sr_changed = rig_state->bats_changed = true;
        ppc_context_sync(rig_state);
        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
            ppc_set_msr(rig_state, VIRTUAL);
            store_be32(rig_ram + cases[i].offset + 0x44, 7);
            R[31] = 0;
            R[4] = cases[i].page + 0x44;
            R[5] = 7;
            if (touch) {
                const uint32_t access = touch == 1 ? LWZ(6, 0, 4) : STW(5, 0, 4);

                rig_run_words(&access, 1);
            }
            rig_run_words(dcbz, 1);
            g_assert_cmphex(R[31], ==, cases[i].cached ? 0 : 0x600);
            g_assert_cmphex(load_be32(rig_ram + cases[i].offset + 0x44), ==, cases[i].cached ? 0 : 7);
            if (!cases[i].cached) {
                g_assert_cmphex(rig_state->spr[SPR_DAR], ==, R[4]);
                g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE);
                g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, 0x17c00);
            }
        }
    }
}

/* What may not be written at all is a data storage interrupt, cached or not. */
static void dcbz_faults_before_it_is_told_of_caches(void)
{
    start();
    rig_state->sr[3] |= 0x40000000;
    rig_state->sr_changed = true;
    ppc_context_sync(rig_state);
    map(0x103, 0x30001000, 0x301000 | 0x20 | 3, 0, false);
    for (unsigned i = 0; i < 2; i++) {
        ppc_set_msr(rig_state, VIRTUAL);
        R[31] = 0;
        RIG_RUN(LIS(4, 0x3000), ORI(4, 4, 0x1000), X_(31, 0, 0, 4, 1014));
        g_assert_cmphex(R[31], ==, 0x300);
        g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, PROTECTION | STORE);
    }
}

/* lwarx and stwcx.: pages that are written through are a data storage interrupt, those that are inhibited are not. */
static void reservations_are_not_for_what_is_written_through(void)
{
    enum { NO_RESERVATION_HERE = 0x04000000 };
    static const struct {
        uint32_t wimg, page;
        bool good;
    } cases[] = { { 0, 0, true }, { 0x20, 1, true }, { 0x40, 2, false }, { 0x10, 3, true }, { 0x60, 4, false }, { 0, 0, true } };

    start();
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        map(0x103, 0x30000000 + (cases[i].page << 12), (0x300000 + (cases[i].page << 12)) | cases[i].wimg | 2, 0, false);
    }
    for (unsigned n = 0; n < 4 * G_N_ELEMENTS(cases); n++) {
        unsigned i = n * 5 % G_N_ELEMENTS(cases);
        uint8_t *at = rig_ram + 0x300000 + (cases[i].page << 12) + 0x44;
        bool store_alone = n & 1 && !cases[i].good;

        ppc_set_msr(rig_state, VIRTUAL);
        store_be32(at, 7);
        R[31] = 0;
        R[4] = 0x30000044 + (cases[i].page << 12);
        R[5] = 8;
        if (store_alone) {
            RIG_RUN(X_(31, 5, 0, 4, 150) | 1);
        } else {
            RIG_RUN(X_(31, 6, 0, 4, 20), X_(31, 5, 0, 4, 150) | 1);
        }
        g_assert_cmphex(R[31], ==, cases[i].good ? 0 : 0x300);
        g_assert_cmpint(load_be32(at), ==, cases[i].good ? 8 : 7);
        if (!cases[i].good) {
            g_assert_cmphex(rig_state->spr[SPR_DAR], ==, R[4]);
            g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE);
            g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, NO_RESERVATION_HERE | (store_alone ? STORE : 0));
        }
    }
}

/* HID0: the data cache is turned off, locked, and on again, in real mode and in virtual mode. */
static void dcbz_wants_a_cache(void)
{
    enum { DCE = 0x4000, DLOCK = 0x1000 };
    static const uint32_t handler[] = { LI(31, 0x600), RIG_END };
    static const uint32_t hid0[] = { DCE, 0, DCE, DCE | DLOCK, DCE };

    for (unsigned n = 0; n < 3 * 2 * G_N_ELEMENTS(hid0); n++) {
        bool real = n / G_N_ELEMENTS(hid0) & 1;

        if (n == 0) {
            start();
            rig_words(0x600, handler, 2);
            map(0x103, 0x30001000, 0x301000 | 2, 0, false);
        }
        ppc_set_msr(rig_state, real ? 0 : VIRTUAL);
        store_be32(rig_ram + 0x301044, 7);
        R[31] = 0;
        R[4] = real ? 0x301044 : 0x30001044;
        R[5] = hid0[n % G_N_ELEMENTS(hid0)];
        RIG_RUN(MTSPR(SPR_HID0, 5), ISYNC, X_(31, 0, 0, 4, 1014));
        g_assert_cmphex(R[31], ==, R[5] == DCE ? 0 : 0x600);
        g_assert_cmphex(load_be32(rig_ram + 0x301044), ==, R[5] == DCE ? 0 : 7);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_start(argc > 1 ? argv[1] : "750");
    g_test_add_func("/mmu32/hashes", pages_are_found_by_both_hashes);
    g_test_add_func("/mmu32/faults", what_is_not_mapped_faults);
    g_test_add_func("/mmu32/rights", rights_come_from_key_and_pp);
    g_test_add_func("/mmu32/changes", references_and_changes_are_noted);
    g_test_add_func("/mmu32/bats", a_bat_goes_before_segments);
    g_test_add_func("/mmu32/high-bats", high_bats_count_when_they_are_turned_on);
    g_test_add_func("/mmu32/fetches", fetches_fault_in_their_own_way);
    g_test_add_func("/mmu32/tlbie", tlbie_makes_a_new_entry_count);
    g_test_add_func("/mmu32/tlbie-segments", tlbie_reaches_a_segment_wherever_it_is);
    g_test_add_func("/mmu32/segments", segment_changes_switch_address_spaces);
    g_test_add_func("/mmu32/dcbz", dcbz_wants_pages_that_are_cached);
    g_test_add_func("/mmu32/dcbz-faults", dcbz_faults_before_it_is_told_of_caches);
    g_test_add_func("/mmu32/dcbz-cache", dcbz_wants_a_cache);
    g_test_add_func("/mmu32/reservations", reservations_are_not_for_what_is_written_through);
    return g_test_run();
}
