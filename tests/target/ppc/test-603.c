/* The 603's TLB, which software loads: the registers of a miss, and what tlbld and tlbli make of them (603e UM, 5.5). */
#include "tests/target/ppc/rig.h"

#include "util/bits.h"

#define R rig_state->gpr

enum { HTAB = 0x200000, VSID = 0x103, VIRTUAL = MSR_IR | MSR_DR, TGPR = 0x20000 };
enum { KEY = 0x80000, INSN = 0x40000, WAY = 0x20000, STORE = 0x10000 }; /* SRR1 of a miss */
enum { CHANGED = 0x80, REFERENCED = 0x100 };
#define TLBLD(rb) X_(31, 0, 0, rb, 978)
#define TLBLI(rb) X_(31, 0, 0, rb, 1010)
#define TLBIE(rb) X_(31, 0, 0, rb, 306)
#define CMPWI(bf, ra, v) D_(11, (bf) << 2, ra, v)
#define MTCRF(rs) X_(31, rs, 16, 0, 144) /* CR0 alone */

/*
 * Handlers as short as they can be: what a miss has left goes to memory from 8000h on (a word counts them), and the entry at
 * the place of HASH1 in the page table is loaded. Registers 0 to 3 are theirs.
 */
static void write_handler(uint32_t vector, uint32_t miss, uint32_t compare, uint32_t load)
{
    const uint32_t words[] = {
        LIS(3, 0), ORI(3, 3, 0x8000), LWZ(2, 0, 3), ADDI(2, 2, 1), STW(2, 0, 3), LI(2, vector), STW(2, 4, 3),
        MFSPR(0, miss), STW(0, 8, 3), MFSPR(1, compare), STW(1, 12, 3), MFSPR(2, SPR_HASH1), STW(2, 16, 3), MFSPR(1, SPR_HASH2),
        STW(1, 20, 3), MFSPR(1, SPR_SRR1), STW(1, 24, 3), LWZ(1, 4, 2), MTSPR(SPR_RPA, 1), load, MFSPR(1, SPR_SRR1), MTCRF(1), RFI,
    };

    rig_words(vector, words, G_N_ELEMENTS(words));
}

static uint32_t noted(unsigned n)
{
    return load_be32(rig_ram + 0x8000 + 4 * n);
}

/* An entry in the first place of its group; `pte1` has the real page and the rights. */
static void map(uint32_t addr, uint32_t pte1)
{
    uint32_t at = HTAB + (((VSID ^ addr >> 12) & 0x3ff) << 6);

    store_be32(rig_ram + at, 0x80000000 | VSID << 7 | (addr >> 22 & 0x3f));
    store_be32(rig_ram + at + 4, pte1);
}

static void start(void)
{
    static const uint32_t dsi[] = { LI(31, 0x300), RIG_END };

    rig_reset(0);
    rig_words(0x300, dsi, 2);
    write_handler(0x1000, SPR_IMISS, SPR_ICMP, TLBLI(0));
    write_handler(0x1100, SPR_DMISS, SPR_DCMP, TLBLD(0));
    write_handler(0x1200, SPR_DMISS, SPR_DCMP, TLBLD(0));
    rig_state->spr[SPR_SDR1] = HTAB;
    rig_state->sr[3] = VSID;
    rig_state->spr[SPR_IBAT0U] = 2; /* 128 KiB at 0 */
    rig_state->spr[SPR_IBAT0U + 1] = 2;
    ppc_set_msr(rig_state, VIRTUAL);
    rig_state->sr_changed = true;
    ppc_context_sync(rig_state);
}

static void a_miss_describes_the_page(void)
{
    start();
    map(0x31245000, 0x300000 | CHANGED | 2);
    store_be32(rig_ram + 0x300010, 0x11223344);
    R[4] = 0x31245000;
    R[0] = 100;
    R[3] = 103;
    RIG_RUN(CMPWI(0, 4, 0), LWZ(5, 0x10, 4), LWZ(6, 0x10, 4));
    g_assert_cmphex(R[5], ==, 0x11223344);
    g_assert_cmphex(R[6], ==, 0x11223344);
    g_assert_cmpint(noted(0), ==, 1);
    g_assert_cmphex(noted(1), ==, 0x1100);
    g_assert_cmphex(noted(2), ==, 0x31245010);
    g_assert_cmphex(noted(3), ==, 0x80000000 | VSID << 7 | 0x04);
    g_assert_cmphex(noted(4), ==, HTAB + (((VSID ^ 0x1245) & 0x3ff) << 6));
    g_assert_cmphex(noted(5), ==, HTAB + ((~(VSID ^ 0x1245) & 0x3ff) << 6));
    g_assert_cmphex(noted(6) & 0x0fffffff & ~(uint32_t)WAY, ==, VIRTUAL);
    g_assert_cmphex(noted(6) >> 28, ==, 4); /* CR0: greater */
    g_assert_cmphex(rig_state->cr[0], ==, 4);
    g_assert_cmpint(R[0], ==, 100); /* the program's own again */
    g_assert_cmpint(R[3], ==, 103);
    g_assert_cmphex(rig_state->msr & TGPR, ==, 0);
}

static void a_store_to_an_unchanged_page_misses(void)
{
    start();
    map(0x31245000, 0x300000 | 2);
    R[4] = 0x31245000;
    R[5] = 77;
    RIG_RUN(LWZ(6, 0, 4));
    g_assert_cmphex(noted(1), ==, 0x1100);
    g_assert_cmphex(noted(6) & STORE, ==, 0);
    map(0x31245000, 0x300000 | CHANGED | REFERENCED | 2);
    R[7] = noted(6) & WAY; /* it goes over the entry that is there */
    RIG_RUN(STW(5, 0, 4));
    g_assert_cmpint(noted(0), ==, 2);
    g_assert_cmphex(noted(1), ==, 0x1200);
    g_assert_cmphex(noted(6) & (STORE | INSN | KEY), ==, STORE);
    g_assert_cmphex(noted(6) & WAY, ==, R[7]);
    g_assert_cmpint(load_be32(rig_ram + 0x300000), ==, 77);
}

static void the_key_is_that_of_the_segment(void)
{
    start();
    rig_state->sr[3] = VSID | 0x40000000; /* the supervisor's */
    rig_state->sr_changed = true;
    ppc_context_sync(rig_state);
    map(0x31245000, 0x300000 | CHANGED); /* PP 0: not with the key */
    R[4] = 0x31245000;
    RIG_RUN(LWZ(6, 0, 4));
    g_assert_cmphex(noted(6) & KEY, ==, KEY);
    g_assert_cmphex(R[31], ==, 0x300);
    g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, 0x08000000);
}

static void instructions_miss_by_themselves(void)
{
    static const uint32_t end_word = RIG_END;

    start();
    map(0x31245000, 0x300000 | 2);
    rig_words(0x300000, &end_word, 1);
    rig_run(0x31245000);
    g_assert_cmphex(noted(1), ==, 0x1000);
    g_assert_cmphex(noted(2), ==, 0x31245000);
    g_assert_cmphex(noted(6) & (INSN | STORE), ==, INSN);
}

/* Three pages of one set of two ways, the oldest of which makes room; and tlbie, which empties the set. */
static void ways_take_turns(void)
{
    start();
    for (uint32_t page = 0; page < 3; page++) {
        map(0x31240000 + page * 0x20000, 0x300000 | page << 12 | CHANGED | 2);
        store_be32(rig_ram + 0x300000 + (page << 12), page);
    }
    R[4] = 0x31240000;
    R[5] = 0x31260000;
    R[6] = 0x31280000;
    RIG_RUN(LWZ(7, 0, 4), LWZ(7, 0, 5), LWZ(8, 0, 4), LWZ(9, 0, 5));
    g_assert_cmpint(noted(0), ==, 2);
    g_assert_cmpint(R[8], ==, 0);
    g_assert_cmpint(R[9], ==, 1);
    RIG_RUN(LWZ(7, 0, 6), LWZ(8, 0, 5), LWZ(9, 0, 4));
    g_assert_cmpint(R[7], ==, 2);
    g_assert_cmpint(R[9], ==, 0);
    RIG_RUN(TLBIE(5), LWZ(8, 0, 5), LWZ(9, 0, 6), LWZ(7, 0, 6));
    g_assert_cmpint(R[8], ==, 1);
    g_assert_cmpint(R[9], ==, 2);
}

/* A snapshot's memory may have other tables: nothing of those before it stays. */
static void entries_go_with_the_state(void)
{
    start();
    map(0x31245000, 0x300000 | CHANGED | 2);
    R[4] = 0x31245000;
    RIG_RUN(LWZ(5, 0, 4));
    map(0x31245000, 0x301000 | CHANGED | 2);
    store_be32(rig_ram + 0x301000, 5);
    rig_cpu->type->replaced(rig_cpu);
    RIG_RUN(LWZ(5, 0, 4));
    g_assert_cmpint(noted(0), ==, 2);
    g_assert_cmpint(R[5], ==, 5);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_start("603e");
    g_test_add_func("/603/miss", a_miss_describes_the_page);
    g_test_add_func("/603/changed", a_store_to_an_unchanged_page_misses);
    g_test_add_func("/603/key", the_key_is_that_of_the_segment);
    g_test_add_func("/603/fetch", instructions_miss_by_themselves);
    g_test_add_func("/603/ways", ways_take_turns);
    g_test_add_func("/603/replaced", entries_go_with_the_state);
    return g_test_run();
}
