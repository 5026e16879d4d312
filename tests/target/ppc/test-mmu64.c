/* The hashed 64-bit MMU and radix trees: SLB misses, both segment sizes, rights, address spaces by what the SLB holds. */
#include "tests/target/ppc/rig.h"

#include "target/ppc/fp.h"
#include "util/bits.h"

#define R rig_state->gpr

enum { HPT = 0x200000, VIRTUAL = MSR_IR | MSR_DR };
#define SLBMTE(rs, rb) X_(31, rs, 0, rb, 402)
#define SLBIA          X_(31, 0, 0, 0, 498)
#define SLBIE(rb)      X_(31, 0, 0, rb, 434)
#define TLBIE(rb)      X_(31, 0, 0, rb, 306)
#define LD(rt, d, ra)  D_(58, rt, ra, d)
#define STD(rt, d, ra) D_(62, rt, ra, d)
#define MFCR(rt)       X_(31, rt, 0, 0, 19)

static void map(uint64_t vsid, bool tera, uint64_t offset, uint64_t r, unsigned slot, bool second)
{
    uint64_t hash = vsid ^ (tera ? vsid << 25 : 0) ^ offset >> 12;
    uint64_t at = HPT + ((second ? ~hash : hash) & 0x7ff) * 128 + slot * 16;
    uint64_t avpn = vsid << (tera ? 17 : 5) | offset >> 23;

    store_be64(rig_ram + at, (uint64_t)tera << 62 | avpn << 7 | (second ? 2 : 0) | 1);
    store_be64(rig_ram + at + 8, r);
}

/* Code is in segment 0, VSID 0x100; handlers end with their vector in r31. */
static void start(void)
{
    static const uint32_t vectors[] = { 0x300, 0x380, 0x400, 0x480, 0x600 };

    rig_reset(0);
    for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++) {
        uint32_t words[] = { LI(31, vectors[i]), RIG_END };

        rig_words(vectors[i], words, 2);
    }
    rig_state->spr[SPR_SDR1] = HPT;
    for (uint64_t page = 0; page < 0x20000; page += 0x1000) {
        map(0x100, false, page, page | 2, 0, false);
    }
    rig_state->slb_esid[0] = 0x08000000;
    rig_state->slb_vsid[0] = 0x100 << 12;
    rig_cpu->type->replaced(rig_cpu);
    ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
}

static void a_segment_that_is_not_there_misses(void)
{
    start();
    RIG_RUN(LIS(4, 0x4000), LD(5, 0, 4));
    g_assert_cmphex(R[31], ==, 0x380);
    g_assert_cmphex(rig_state->spr[SPR_DAR], ==, 0x40000000);
    g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE + 4);
    start();
    rig_run(0x40000000);
    g_assert_cmphex(R[31], ==, 0x480);
}

static void both_segment_sizes_translate(void)
{
    start();
    map(0x234, false, 0x123000, 0x300000 | 2, 3, false);
    map(0x77, true, 0x3456789000, 0x301000 | 2, 6, true);
    store_be64(rig_ram + 0x300008, 11);
    store_be64(rig_ram + 0x301010, 22);
    rig_state->gpr[10] = UINT64_C(0x40000000) | 0x08000000 | 1;
    rig_state->gpr[11] = 0x234 << 12;
    rig_state->gpr[12] = UINT64_C(0x50000000000) | 0x08000000 | 2;
    rig_state->gpr[13] = UINT64_C(1) << 62 | 0x77 << 24;
    rig_state->gpr[4] = 0x40123000;
    rig_state->gpr[6] = UINT64_C(0x53456789000);
    RIG_RUN(SLBMTE(11, 10), SLBMTE(13, 12), ISYNC, LD(5, 8, 4), LD(7, 16, 6), STD(5, 24, 6));
    g_assert_cmphex(R[31], ==, 0);
    g_assert_cmpint(R[5], ==, 11);
    g_assert_cmpint(R[7], ==, 22);
    g_assert_cmpint(load_be64(rig_ram + 0x301018), ==, 11);
}

static void faults_say_why(void)
{
    start();
    map(0x234, false, 0, 0x300000 | 3, 0, false);
    rig_state->gpr[10] = UINT64_C(0x40000000) | 0x08000000 | 1;
    rig_state->gpr[11] = 0x234 << 12;
    RIG_RUN(SLBMTE(11, 10), LIS(4, 0x4000), LD(5, 0, 4), STD(5, 0, 4));
    g_assert_cmphex(R[31], ==, 0x300);
    g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, 0x0a000000);
    g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE + 12);
    ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
    RIG_RUN(LIS(4, 0x4000), LD(5, 0x1000, 4));
    g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, 0x40000000);
}

/* The same address in two processes, switched as Linux does it. */
static void spaces_are_told_apart(void)
{
    start();
    map(0x234, false, 0, 0x300000 | 2, 0, false);
    map(0x235, false, 0, 0x301000 | 2, 0, false);
    store_be64(rig_ram + 0x300000, 1);
    store_be64(rig_ram + 0x301000, 2);
    rig_state->gpr[10] = UINT64_C(0x40000000) | 0x08000000 | 1;
    rig_state->gpr[11] = 0x234 << 12;
    rig_state->gpr[12] = 0x235 << 12;
    RIG_RUN(LIS(4, 0x4000), SLBMTE(11, 10), LD(5, 0, 4), SLBIA, ISYNC, SLBMTE(12, 10), LD(6, 0, 4), SLBIE(10), SLBMTE(11, 10),
            LD(7, 0, 4), SLBMTE(12, 10), LD(8, 0, 4), SLBIA, LD(9, 0, 4));
    g_assert_cmpint(R[5], ==, 1);
    g_assert_cmpint(R[6], ==, 2);
    g_assert_cmpint(R[7], ==, 1);
    g_assert_cmpint(R[8], ==, 2);
    g_assert_cmphex(R[31], ==, 0x380);
}

/* Entries 0 and 2 of class 0, 1 of class 1; what slbia of the kind leaves of them, a bit for each. */
static unsigned left_by_slbia(unsigned ih)
{
    uint32_t words[] = { SLBMTE(11, 10), SLBMTE(13, 12), SLBIA | ih << 21 };
    unsigned left = 0;

    start();
    rig_state->gpr[10] = UINT64_C(0x40000000) | 0x08000000 | 1;
    rig_state->gpr[11] = 0x234 << 12 | 0x80;
    rig_state->gpr[12] = UINT64_C(0x50000000) | 0x08000000 | 2;
    rig_state->gpr[13] = 0x235 << 12;
    rig_run_words(words, G_N_ELEMENTS(words));
    for (unsigned i = 0; i < 3; i++) {
        left |= (rig_state->slb_esid[i] >> 27 & 1) << i;
    }
    return left;
}

static void slbia_takes_what_its_hint_says(void)
{
    bool hints = ppc_isa(rig_state, ISA_V300);

    g_assert_cmpuint(left_by_slbia(0), ==, 1);
    g_assert_cmpuint(left_by_slbia(1), ==, 1);
    g_assert_cmpuint(left_by_slbia(3), ==, hints ? 5 : 1);
    g_assert_cmpuint(left_by_slbia(6), ==, 1);
    g_assert_cmpuint(left_by_slbia(7), ==, hints ? 7 : 1);
}

/* slbiag is for SLBs outside of processors, slbieg for entries that are not software's. On older processors they are no instructions. */
static void global_invalidations_leave_what_software_made(void)
{
    static const uint32_t handler[] = { LI(31, 0x700), RIG_END };
    bool has = ppc_isa(rig_state, ISA_V300);

    for (unsigned n = 0; n < 3; n++) {
        const uint32_t words[] = { n == 0 ? X_(31, 9, 0, 0, 850) : n == 1 ? X_(31, 9, 0, 6, 466) : X_(31, 0, 0, 0, 338) /* slbsync */ };
        unsigned left = 0;

        start();
        rig_words(0x700, handler, 2);
        ppc_set_msr(rig_state, MSR_SF); /* code needs no segment */
        for (unsigned i = 0; i < 8; i++) {
            rig_state->slb_esid[i] = (uint64_t)i << 28 | 0x08000000;
            rig_state->slb_vsid[i] = (0x100 + i) << 12;
        }
        rig_cpu->type->replaced(rig_cpu);
        R[6] = UINT64_C(3) << 28;
        R[9] = R[31] = 0;
        rig_run_words(words, 1);
        for (unsigned i = 0; i < 8; i++) {
            left += (rig_state->slb_esid[i] & 0x08000000) != 0;
        }
        g_assert_cmphex(R[31], ==, has ? 0 : 0x700);
        g_assert_cmpint(left, ==, 8);
    }
}

static void write_segment(unsigned index, uint64_t number, uint64_t vsid)
{
    ppc_helper_slb(rig_state, 402, vsid << 12, number << 40 | 0x18000000 | index, 0);
}

/* A process with so many segments, then its first one beside many of another process. */
static void fill_space(unsigned count)
{
    uint64_t number = count * 0x100;

    start();
    for (unsigned i = 1; i <= count; i++) {
        write_segment(i, number + i, number + i);
    }
    ppc_helper_slb(rig_state, 498, 0, 0, 0);
    for (unsigned i = 1; i < 40; i++) {
        write_segment(i, number + 0x80 + i, number + 0x80 + i);
    }
    ppc_helper_slb(rig_state, 434, 0, (number + 0x81) << 40 | 0x10000000, 0);
    write_segment(1, number + 1, number + 1);
    rig_state->gpr[4] = UINT64_C(0x234) << 12; /* looks at all segments of all spaces */
    RIG_RUN(TLBIE(4), LI(5, 1));
    g_assert_cmpint(R[5], ==, 1);
}

static void a_space_that_is_full_takes_no_more(void)
{
    for (unsigned count = 56; count < 64; count++) {
        fill_space(count);
    }
}

/* Two pages of 64 KiB, which have the memory of the other one after each was changed and invalidated. */
static void large_pages_are_invalidated_alone(void)
{
    enum { V_L = 4, LP_64K = 0x1000, SEGMENT_64K = 0x110, VSID = 0x236 };
    uint8_t *entry[2];

    start();
    for (unsigned i = 0; i < 2; i++) {
        entry[i] = rig_ram + HPT + ((VSID ^ (5 + i)) & 0x7ff) * 128;
        store_be64(entry[i], (uint64_t)VSID << 12 | V_L | 1);
        store_be64(entry[i] + 8, (0x300000 + 0x10000 * i) | LP_64K | 2);
        store_be64(rig_ram + 0x30e008 + 0x10000 * i, 100 + i);
    }
    rig_state->gpr[10] = UINT64_C(0x40000000) | 0x08000000 | 1;
    rig_state->gpr[11] = VSID << 12 | SEGMENT_64K;
    rig_state->gpr[3] = 0x4005e000;
    rig_state->gpr[4] = 0x4006e000;
    RIG_RUN(SLBMTE(11, 10), ISYNC, LD(5, 8, 3), LD(6, 8, 4), STD(5, 16, 3));
    g_assert_cmphex(R[31], ==, 0);
    g_assert_cmpint(R[5], ==, 100);
    g_assert_cmpint(R[6], ==, 101);
    store_be64(entry[0] + 8, 0x310000 | LP_64K | 2);
    rig_state->gpr[9] = (uint64_t)VSID << 28 | 0x50000 | LP_64K | 1;
    RIG_RUN(TLBIE(9), LD(5, 8, 3), LD(6, 8, 4));
    g_assert_cmphex(R[31], ==, 0);
    g_assert_cmpint(R[5], ==, 101);
    g_assert_cmpint(R[6], ==, 101);
    store_be64(entry[0], 0);
    RIG_RUN(TLBIE(9), LD(5, 8, 3));
    g_assert_cmphex(R[31], ==, 0x300);
}

/* dcbz r0,r4 on pages by their WIMG, at the first access and later: an alignment interrupt with nothing stored, or zeros. */
static void dcbz_wants_pages_that_are_cached(void)
{
    static const uint32_t dcbz[] = { X_(31, 0, 0, 4, 1014) }, end[] = { RIG_END };
    static const struct {
        unsigned wimg;
        bool cached;
    } cases[] = { { 2, true }, { 6, false }, { 0, true }, { 5, false }, { 8, false }, { 14, true /* strong access order */ }, { 2, true } };

    start();
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        map(0x234, false, i << 12, 0x300000 | i << 12 | cases[i].wimg << 3 | 2, 0, false);
    }
    rig_state->slb_esid[1] = 0x40000000 | 0x08000000;
    rig_state->slb_vsid[1] = 0x234 << 12;
    rig_cpu->type->replaced(rig_cpu);
    rig_words(rig_words(RIG_CODE, dcbz, 1), end, 1);
    for (unsigned n = 0; n < 3 * G_N_ELEMENTS(cases); n++) {
        unsigned i = n * 3 % G_N_ELEMENTS(cases);
        uint8_t *at = rig_ram + 0x300000 + (i << 12) + 0x88;
        bool cached = cases[i].cached && (cases[i].wimg != 14 || ppc_isa(rig_state, ISA_V206));

        ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
        store_be64(at, 7);
        R[31] = 0;
        R[4] = 0x40000088 + (i << 12);
        rig_run(RIG_CODE);
        g_assert_cmphex(R[31], ==, cached ? 0 : 0x600);
        g_assert_cmphex(load_be64(at), ==, cached ? 0 : 7);
        g_assert_cmphex(rig_state->spr[SPR_DAR], ==, cached ? rig_state->spr[SPR_DAR] : R[4]);
    }
}

/* The first page of all and the last: all between them counts as such, too. */
static void the_range_of_what_is_not_cached_may_be_everything(void)
{
    static const uint32_t dcbz[] = { X_(31, 0, 0, 4, 1014) };
    static const uint64_t pages[] = { 0, UINT64_C(0xfffffffffffff000), 0x40000000, 0 };

    start();
    map(0x100, false, 0, 0x300000 | 2 << 4 | 2, 0, false);
    map(0x235, false, 0xffff000, 0x301000 | 2 << 4 | 2, 0, false);
    map(0x234, false, 0, 0x302000 | 2, 0, false);
    for (unsigned i = 1; i < 3; i++) {
        rig_state->slb_esid[i] = (i == 1 ? 0x40000000 : UINT64_C(0xfffffffff0000000)) | 0x08000000;
        rig_state->slb_vsid[i] = (0x233 + i) << 12;
    }
    rig_cpu->type->replaced(rig_cpu);
    ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
    R[4] = pages[0];
    R[6] = pages[1];
    RIG_RUN(LD(5, 0x80, 4), LD(5, 0x80, 6));
    for (unsigned n = 0; n < G_N_ELEMENTS(pages); n++) {
        uint8_t *at = rig_ram + (n == 1 ? 0x301080 : n == 2 ? 0x302080 : 0x300080);

        ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
        store_be64(at, 7);
        R[4] = pages[n] + 0x80;
        R[31] = 0;
        rig_run_words(dcbz, 1);
        g_assert_cmphex(R[31], ==, n == 2 ? 0 : 0x600);
        g_assert_cmphex(load_be64(at), ==, n == 2 ? 0 : 7);
    }
}

/* Pages of key 3 and of key 0, whose rights AMR and IAMR take away from entries that were used before. */
static void check_denied_key(unsigned spr, bool only_stores)
{
    enum { KEY = 3, DENIED = 0x00200000, STORE = 0x02000000 };
    const uint32_t words[] = { SLBMTE(11, 10), LD(5, 0, 4), STD(5, 0, 4), MTSPR(spr, 6), LD(7, 0, 4), STD(7, 0, 4) };

    start();
    map(0x234, false, 0, 0x300000 | 2 | KEY << 9, 0, false);
    rig_state->gpr[10] = UINT64_C(0x40000000) | 0x08000000 | 1;
    rig_state->gpr[11] = 0x234 << 12;
    R[4] = 0x40000000;
    R[6] = (uint64_t)(3 - only_stores) << (62 - 2 * KEY);
    R[8] = 0;
    rig_run_words(words, G_N_ELEMENTS(words));
    g_assert_cmphex(R[31], ==, 0x300);
    g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, DENIED | (only_stores ? STORE : 0));
    g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE + (only_stores ? 20 : 16));
    R[31] = 0;
    ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
    RIG_RUN(MTSPR(SPR_AMR, 8), STD(7, 0, 4), LD(7, 0, 4));
    g_assert_cmphex(R[31], ==, 0);
}

static void keys_take_rights_away_at_once(void)
{
    if (!ppc_isa(rig_state, ISA_V206)) {
        g_test_skip("no keys");
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        check_denied_key(i & 1 ? SPR_AMR_USER : SPR_AMR, i & 2);
    }
}

/* A reservation, a quadword or an atomic operation on a page with W or I. A conditional store without a reservation is told, too. */
static void reservations_are_for_what_is_cached(void)
{
    enum { NO_RESERVATION_HERE = 0x04000000, STORE = 0x02000000, CONDITIONAL = 2 };
    static const struct {
        uint32_t word;
        uint64_t isa;
        bool is_store;
    } insns[] = {
        { X_(31, 6, 0, 4, 20), ISA_ALL, false },       /* lwarx */
        { X_(31, 6, 0, 4, 84), ISA_ALL, false },       /* ldarx */
        { X_(31, 6, 0, 4, 214) | 1, ISA_ALL, true },   /* stdcx. */
        { X_(31, 6, 0, 4, 52), ISA_V206, false },      /* lbarx */
        { X_(31, 6, 0, 4, 276), ISA_V207, false },     /* lqarx */
        { D_(56, 6, 4, 0), ISA_V207, false },          /* lq */
        { D_(62, 6, 4, 2), ISA_V207, true },           /* stq */
        { X_(31, 6, 4, 0, 614), ISA_V300, true },      /* ldat, fetch and add */
        { X_(31, 6, 4, 0, 742), ISA_V300, true },      /* stdat */
    };
    static const unsigned wimg[] = { 2, 6, 0, 10, 14, 2 };
    bool met[G_N_ELEMENTS(wimg)] = { false };

    start();
    for (unsigned i = 0; i < G_N_ELEMENTS(wimg); i++) {
        map(0x234, false, i << 12, 0x300000 | i << 12 | wimg[i] << 3 | 2, 0, false);
    }
    rig_state->slb_esid[1] = 0x40000000 | 0x08000000;
    rig_state->slb_vsid[1] = 0x234 << 12;
    rig_cpu->type->replaced(rig_cpu);
    for (unsigned n = 0; n < 5 * G_N_ELEMENTS(insns) * G_N_ELEMENTS(wimg); n++) {
        unsigned i = n % G_N_ELEMENTS(wimg), k = n * 7 / G_N_ELEMENTS(wimg) % G_N_ELEMENTS(insns);
        bool cached = !(wimg[i] & 12) || (wimg[i] == 14 && ppc_isa(rig_state, ISA_V206) /* strong access order */);

        /* One that stores nothing does not look at a page that nobody has met. */
        if ((insns[k].isa && !ppc_isa(rig_state, insns[k].isa)) || (k == CONDITIONAL && !met[i])) {
            continue;
        }
        met[i] = true;
        ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
        R[31] = 0;
        R[4] = 0x40000080 + (i << 12);
        rig_run_words(&insns[k].word, 1);
        g_assert_cmphex(R[31], ==, cached ? 0 : 0x300);
        if (!cached) {
            g_assert_cmphex(rig_state->spr[SPR_DAR], ==, R[4]);
            g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, NO_RESERVATION_HERE | (insns[k].is_store ? STORE : 0));
        }
    }
}

/* A process that denies all keys would keep its kernel from its own memory. */
static void processes_change_the_keys_that_are_theirs(void)
{
    if (!ppc_isa(rig_state, ISA_V206)) {
        g_test_skip("no keys");
        return;
    }
    start();
    rig_state->spr[SPR_UAMOR] = UINT64_C(0x00f0000000000000);
    rig_state->spr[SPR_AMR] = UINT64_C(0x0550000000000000);
    rig_state->msr |= MSR_PR;
    ppc_helper_mtspr(rig_state, SPR_AMR_USER, UINT64_MAX, 0, 0);
    g_assert_cmphex(rig_state->spr[SPR_AMR], ==, UINT64_C(0x05f0000000000000));
    ppc_helper_mtspr(rig_state, SPR_AMR_USER, 0, 0, 0);
    g_assert_cmphex(rig_state->spr[SPR_AMR], ==, UINT64_C(0x0500000000000000));
    rig_state->msr &= ~MSR_PR;
    ppc_helper_mtspr(rig_state, SPR_AMR_USER, UINT64_MAX, 0, 0);
    g_assert_cmphex(rig_state->spr[SPR_AMR], ==, UINT64_MAX);
}

enum {
    PROCESSES = 0x200000, TREE = 0x400000, READ = 4, WRITE = 2, EXECUTE = 1, PRIVILEGED = 8, REFERENCED = 0x100, CHANGED = 0x80,
    PAGE_0 = 0x40000000, FRAME_0 = 0x300000,
};

static void map_radix(unsigned page, uint64_t entry)
{
    store_be64(rig_ram + TREE + 8 * page, UINT64_C(3) << 62 | entry);
}

/* A radix tree of one level over 2 GiB, with the first pages as they are; false: the processor has none. */
static bool start_radix(void)
{
    if (rig_state->model->mmu != PPC_MMU_RADIX) {
        g_test_skip("no radix trees");
        return false;
    }
    start();
    store_be64(rig_ram + PROCESSES, TREE | 19);
    for (unsigned page = 0; page < 32; page++) {
        map_radix(page, page << 12 | READ | WRITE | EXECUTE | PRIVILEGED);
    }
    rig_state->spr[SPR_PTCR] = PROCESSES;
    rig_state->spr[SPR_LPCR] |= UINT64_C(1) << 20; /* HR */
    rig_cpu->type->replaced(rig_cpu);
    return true;
}

/* Rights, references and changes, and dcbz on pages by their attributes. */
static void radix_trees_translate(void)
{
    static const uint32_t dcbz[] = { X_(31, 0, 0, 4, 1014) }, load[] = { LD(5, 8, 4) }, store[] = { STD(5, 8, 4) };
    static const uint8_t attributes[] = { 0, 0x30, 0x10, 0x20, 0 };

    if (!start_radix()) {
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(attributes); i++) {
        map_radix(0x40000 + i, FRAME_0 | i << 12 | attributes[i] | READ | WRITE);
    }
    map_radix(0x40010, 0x310000 | READ);
    for (unsigned n = 0; n < 3 * G_N_ELEMENTS(attributes); n++) {
        unsigned i = n * 3 % G_N_ELEMENTS(attributes);
        uint8_t *at = rig_ram + 0x300000 + (i << 12) + 0x88;
        bool cached = attributes[i] < 0x20;

        ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
        store_be64(at, 7);
        R[31] = 0;
        R[4] = 0x40000088 + (i << 12);
        rig_run_words(dcbz, 1);
        g_assert_cmphex(R[31], ==, cached ? 0 : 0x600);
        g_assert_cmphex(load_be64(at), ==, cached ? 0 : 7);
        g_assert_cmphex(rig_state->spr[SPR_DAR], ==, cached ? rig_state->spr[SPR_DAR] : R[4]);
    }
    R[31] = 0;
    R[4] = 0x40010000;
    store_be64(rig_ram + 0x310008, 9);
    ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
    rig_run_words(load, 1);
    g_assert_cmpint(R[5], ==, 9);
    g_assert_cmphex(load_be64(rig_ram + TREE + 8 * 0x40010) & (REFERENCED | CHANGED), ==, REFERENCED);
    rig_run_words(store, 1);
    g_assert_cmphex(R[31], ==, 0x300);
    g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, 0x0a000000);
    /* Addresses have 52 bits and a quadrant: what is between is no part that a tree ignores. */
    for (unsigned bit = 52; bit < 62; bit++) {
        R[4] = 0x40010000 | UINT64_C(1) << bit;
        ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
        rig_run_words(load, 1);
        g_assert_cmphex(R[31], ==, 0x380);
        g_assert_cmphex(rig_state->spr[SPR_DAR], ==, R[4] + 8);
    }
}

/* Of key 0's two bits, one denies loads and one stores, of problem state's pages, to privileged state and to nobody else. */
static void privileged_state_keeps_off_pages_by_key_0(void)
{
    enum { DENIED = 0x08000000, STORE = 0x02000000, NO_LOAD = 1, NO_STORE = 2 };
    const uint32_t words[2][2] = {
        { MTSPR(SPR_AMR, 6), LD(5, 0, 4) }, { MTSPR(SPR_AMR, 6), STD(5, 0, 4) },
    };

    if (!start_radix()) {
        return;
    }
    map_radix(0x40000, FRAME_0 | READ | WRITE);
    map_radix(0x40001, FRAME_0 | READ | WRITE | PRIVILEGED);
    for (unsigned n = 0; n < 400; n++) {
        uint64_t keys = n * 7 % 11 % 4;
        bool stores = n * 5 % 3 % 2, user_page = n % 5;
        bool denied = user_page && keys & (stores ? NO_STORE : NO_LOAD);

        ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
        R[31] = 0;
        R[4] = PAGE_0 | (user_page ? 0 : 0x1000);
        R[5] = n;
        R[6] = keys << 62 | (n & 8 ? UINT64_MAX >> 2 : 0); /* the other keys are nothing here */
        rig_run_words(words[stores], 2);
        g_assert_cmphex(R[31], ==, denied ? 0x300 : 0);
        if (denied) {
            g_assert_cmphex(rig_state->spr[SPR_DAR], ==, R[4]);
            g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, DENIED | (stores ? STORE : 0));
            g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE + 4);
        }
    }
}

/* Between neighbouring accesses, which would share a check; from privileged state by either number. */
static void keys_change_within_a_block(void)
{
    if (!start_radix()) {
        return;
    }
    map_radix(0x40000, FRAME_0 | READ | WRITE);
    store_be64(rig_ram + FRAME_0 + 8, 5);
    for (unsigned n = 0; n < 40; n++) {
        ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
        R[4] = PAGE_0;
        R[5] = R[7] = 0;
        R[6] = UINT64_C(3) << 62;
        R[8] = 0;
        R[9] = UINT64_C(1) << 62;
        R[31] = 0;
        if (n & 1) {
            RIG_RUN(MTSPR(SPR_AMR, 8), LD(5, 8, 4), STD(5, 16, 4), MTSPR(SPR_AMR, 9), STD(5, 24, 4), LD(7, 8, 4), RIG_END);
            g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE + 20);
        } else {
            RIG_RUN(MTSPR(SPR_AMR, 8), LD(5, 8, 4), STD(5, 16, 4), MTSPR(SPR_AMR_USER, 6), MFSPR(9, SPR_AMR), LD(7, 8, 4), RIG_END);
            g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE + 20);
        }
        g_assert_cmphex(R[31], ==, 0x300);
        g_assert_cmpint(R[5], ==, 5);
        g_assert_cmpint(R[7], ==, 0);
    }
}

#define SLDI_62(ra)           (X_(30, ra, ra, 62 & 31, 0) | 1 << 6 | 1 << 2 | 1 << 1) /* rldicr ra, ra, 62, 1 */
#define LFD(frt, d, ra)       D_(50, frt, ra, d)
#define STFD(frs, d, ra)      D_(54, frs, ra, d)
#define FADD(frt, fra, frb)   X_(63, frt, fra, frb, 21)

/* In a loop whose accesses are checked before it: they walk from a privileged page into one that is not. */
static void keys_change_within_a_loop(void)
{
    enum { TO_NEXT_PAGE = 0x200 - 2 };
    static const uint32_t words[] = {
        LI(8, 0), MTSPR(SPR_AMR, 8), LFD(1, 0, 7), LD(5, 8, 7), LI(9, 1), SLDI_62(9), MTSPR(SPR_AMR, 9), LD(6, 16, 4), LI(8, 0), MTSPR(SPR_AMR, 8),
        ADDI(12, 12, 1), ADDI(4, 4, 8), D_(16, 16, 0, -40) /* bdnz */, RIG_END,
    };

    if (!start_radix()) {
        return;
    }
    map_radix(0x40000, FRAME_0 | READ | WRITE | PRIVILEGED);
    map_radix(0x40001, (FRAME_0 + 0x1000) | READ | WRITE);
    rig_words(RIG_CODE, words, G_N_ELEMENTS(words));
    for (unsigned n = 0; n < 10; n++) {
        ppc_set_msr(rig_state, VIRTUAL | MSR_SF | MSR_FP);
        R[4] = PAGE_0;
        R[7] = PAGE_0 + 0x1000;
        R[12] = 0;
        R[31] = 0;
        rig_state->ctr = TO_NEXT_PAGE + n % 2 * 0x100;
        rig_run(RIG_CODE);
        g_assert_cmphex(R[31], ==, n % 2 ? 0x300 : 0);
        g_assert_cmpuint(R[12], ==, TO_NEXT_PAGE);
    }
}

/* Among operations of floating point, where accesses share checks. */
static void keys_change_among_operations(void)
{
    static const uint32_t all_then_none[] = {
        LI(8, 0), MTSPR(SPR_AMR, 8), LFD(1, 0, 4), LFD(2, 8, 4), FADD(3, 1, 2), LI(9, 3), SLDI_62(9), MTSPR(SPR_AMR, 9), LFD(4, 16, 4), RIG_END,
    };
    static const uint32_t stores_only[] = {
        LI(9, 1), SLDI_62(9), MTSPR(SPR_AMR, 9), STFD(1, 0, 4), FADD(3, 1, 2), STFD(3, 8, 4), FADD(3, 1, 2), STFD(3, 16, 4), LFD(4, 24, 4), RIG_END,
    };

    if (!start_radix()) {
        return;
    }
    map_radix(0x40000, FRAME_0 | READ | WRITE);
    for (unsigned k = 0; k < 2; k++) {
        rig_words(RIG_CODE, k ? stores_only : all_then_none, 10);
        for (unsigned n = 0; n < 200; n++) {
            rig_state->fpscr |= FPSCR_FX | FPSCR_XX; /* as it is for most of the time: operations are done in place */
            ppc_set_msr(rig_state, VIRTUAL | MSR_SF | MSR_FP);
            R[4] = PAGE_0;
            R[31] = 0;
            rig_run(RIG_CODE);
            g_assert_cmphex(R[31], ==, 0x300);
            g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE + 32);
        }
    }
}

/* An atomic operation loads and stores. */
static void keys_of_what_loads_and_stores(void)
{
    static const uint32_t words[] = { MTSPR(SPR_AMR, 6), X_(31, 8, 4, 0, 614) /* ldat, fetch and add */, RIG_END };

    if (!start_radix()) {
        return;
    }
    map_radix(0x40000, FRAME_0 | READ | WRITE);
    rig_words(RIG_CODE, words, G_N_ELEMENTS(words));
    for (unsigned n = 0; n < 16; n++) {
        uint64_t keys = n * 3 % 4;

        ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
        R[4] = PAGE_0;
        R[6] = keys << 62;
        R[9] = 7;
        R[31] = 0;
        store_be64(rig_ram + FRAME_0, 50);
        rig_run(RIG_CODE);
        g_assert_cmphex(R[31], ==, keys ? 0x300 : 0);
        g_assert_cmpuint(load_be64(rig_ram + FRAME_0), ==, keys ? 50 : 57);
    }
}

/* A conditional store is no load: that loads are denied is nothing to it, and what it raises is a store's. */
static void conditional_stores_need_no_loads(void)
{
    enum { DENIED = 0x08000000, STORE = 0x02000000, NO_STORE = 2 };
    static const unsigned opcodes[][2] = { { 52, 694 }, { 116, 726 }, { 20, 150 }, { 84, 214 }, { 276, 182 } }; /* b, h, w, d, q */

    if (!start_radix()) {
        return;
    }
    map_radix(0x40000, FRAME_0 | READ | WRITE);
    for (unsigned n = 0; n < 20 * G_N_ELEMENTS(opcodes); n++) {
        const unsigned *insn = opcodes[n % G_N_ELEMENTS(opcodes)];
        uint64_t keys = n / G_N_ELEMENTS(opcodes) * 3 % 4;
        const uint32_t words[] = { MTSPR(SPR_AMR, 0), X_(31, 10, 0, 4, insn[0]), MTSPR(SPR_AMR, 6), X_(31, 8, 0, 4, insn[1]) | 1 };

        if (n >= 10 * G_N_ELEMENTS(opcodes)) { /* of an entry that is the engine's first */
            engine.flush_all(rig_cpu);
        }
        ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
        store_be64(rig_ram + FRAME_0, 0);
        R[0] = R[31] = 0;
        R[4] = PAGE_0;
        R[6] = keys << 62;
        R[8] = UINT64_C(0x0101010101010101);
        rig_run_words(words, 4);
        g_assert_cmphex(R[31], ==, keys & NO_STORE ? 0x300 : 0);
        g_assert_cmphex(rig_ram[FRAME_0], ==, keys & NO_STORE ? 0 : 1);
        if (keys & NO_STORE) {
            g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, DENIED | STORE);
        }
    }
}

#define COPY(rb)  (X_(31, 1, 0, rb, 774))
#define PASTE(rb) (X_(31, 1, 0, rb, 902) | 1)
#define CP_ABORT  X_(31, 0, 0, 0, 838)

/* From r4 to r5; behind it r8 to r10 have CR of three more tries. */
static void blocks_are_copied_and_pasted(void)
{
    enum { WRONG_MEMORY = 8, NO_PAGE = 0x40000000, STORE = 0x02000000, INHIBITED = 0x20, EQ = 0x20000000 };
    static const uint32_t words[] = { COPY(4), PASTE(5), MFCR(7), PASTE(5), MFCR(8), COPY(4), CP_ABORT, PASTE(5), MFCR(9) };
    static const uint32_t aborted[] = { COPY(4), CP_ABORT, PASTE(5), MFCR(9) };
    static const struct {
        uint32_t from, to;
        unsigned vector;
        uint32_t dsisr;
        bool at_copy;
    } cases[] = {
        { 0x0080, 0x1100, 0, 0, false }, { 0x0000, 0x0f80, 0, 0, false }, { 0x0040, 0x1100, 0x600, 0, true }, { 0x0080, 0x1108, 0x600, 0, false },
        { 0x2000, 0x1100, 0x300, WRONG_MEMORY, true }, { 0x0080, 0x2100, 0x300, WRONG_MEMORY | STORE, false },
        { 0x3000, 0x1100, 0x300, NO_PAGE, true }, { 0x0080, 0x3100, 0x300, NO_PAGE | STORE, false },
    };

    if (!start_radix()) {
        return;
    }
    map_radix(0x40000, FRAME_0 | READ | WRITE);
    map_radix(0x40001, FRAME_0 | 0x1000 | READ | WRITE);
    map_radix(0x40002, FRAME_0 | 0x2000 | READ | WRITE | INHIBITED);
    map_radix(0x40003, 0);
    store_be64(rig_ram + TREE + 8 * 0x40003, 0);
    for (unsigned n = 0; n < 4 * G_N_ELEMENTS(cases); n++) {
        unsigned i = n % G_N_ELEMENTS(cases);
        bool memory = ppc_isa(rig_state, ISA_V310), wrong = !cases[i].vector && !memory;
        uint8_t *from = rig_ram + FRAME_0 + cases[i].from, *to = rig_ram + FRAME_0 + cases[i].to;

        ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
        for (unsigned k = 0; k < 128; k++) {
            from[k] = n + k;
            to[k] = 0xee;
        }
        R[4] = PAGE_0 | cases[i].from;
        R[5] = PAGE_0 | cases[i].to;
        R[7] = R[8] = R[9] = 0xf;
        R[31] = 0;
        rig_run_words(words, G_N_ELEMENTS(words));
        g_assert_cmphex(R[31], ==, wrong ? 0x300 : cases[i].vector);
        g_assert_cmpint(memcmp(from, to, 128) == 0, ==, !R[31]);
        if (R[31]) {
            g_assert_cmphex(rig_state->spr[SPR_DAR], ==, cases[i].at_copy ? R[4] : R[5]);
            g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE + (cases[i].at_copy ? 0 : 4));
            g_assert_cmphex(to[0], ==, 0xee);
        } else {
            g_assert_cmphex(R[7] & 0xf0000000, ==, EQ);
            g_assert_cmphex(R[8] & 0xf0000000, ==, 0);
            g_assert_cmphex(R[9] & 0xf0000000, ==, 0);
        }
        if (R[31] == 0x300) {
            g_assert_cmphex(rig_state->spr[SPR_DSISR], ==, wrong ? WRONG_MEMORY | STORE : cases[i].dsisr);
        }
        if (!cases[i].at_copy) { /* nothing to paste: r5 does not matter */
            R[9] = 0xf;
            R[31] = 0;
            ppc_set_msr(rig_state, VIRTUAL | MSR_SF);
            rig_run_words(aborted, G_N_ELEMENTS(aborted));
            g_assert_cmphex(R[31], ==, 0);
            g_assert_cmphex(R[9] & 0xf0000000, ==, 0);
        }
    }
}

/* Interrupts and returns find the key that there is then; problem state, which may change it, goes by the page's rights alone. */
static void keys_stay_over_changes_of_state(void)
{
    const uint32_t code = 0x18000;
    static const uint32_t process[] = { MTSPR(SPR_AMR_USER, 6), LD(5, 0, 4), STD(5, 8, 4), 0x44000002 /* sc */ };
    static const uint32_t system_call[] = { MFSPR(9, SPR_AMR), LD(7, 8, 4), LI(31, 0xc), RIG_END };

    if (!start_radix()) {
        return;
    }
    rig_words(code, process, G_N_ELEMENTS(process));
    map_radix(code >> 12, code | READ | EXECUTE);
    map_radix(0x40000, FRAME_0 | READ | WRITE);
    rig_state->spr[SPR_UAMOR] = UINT64_MAX;
    rig_state->spr[SPR_LPCR] |= 3 << 23; /* AIL: handlers have translation on, and are in the last quadrant */
    rig_words(0x4c00, system_call, G_N_ELEMENTS(system_call));
    rig_words(0x4300, (uint32_t[]){ LI(31, 0x300), RIG_END }, 2);
    rig_cpu->type->replaced(rig_cpu);
    for (unsigned n = 0; n < 60; n++) {
        uint64_t keys = n * 7 % 11 % 4;

        ppc_set_msr(rig_state, VIRTUAL | MSR_SF | MSR_PR);
        store_be64(rig_ram + FRAME_0, n);
        R[4] = PAGE_0;
        R[5] = R[7] = 0;
        R[6] = keys << 62;
        R[31] = 0;
        rig_run(code);
        g_assert_cmpint(R[5], ==, n);
        g_assert_cmphex(R[9], ==, R[6]);
        g_assert_cmphex(R[31], ==, keys & 1 ? 0x300 : 0xc);
        g_assert_cmpint(R[7], ==, keys & 1 ? 0 : n);
    }
}

/* IAMR keeps privileged state from executing what problem state could. */
static void key_0_keeps_privileged_state_from_executing(void)
{
    static const uint32_t code[] = { LI(5, 7), 0x44000002 /* sc */ }, system_call[] = { RIG_END };

    if (!start_radix()) {
        return;
    }
    rig_words(FRAME_0, code, G_N_ELEMENTS(code));
    rig_words(0xc00, system_call, G_N_ELEMENTS(system_call));
    map_radix(0x40000, FRAME_0 | READ | EXECUTE);
    for (unsigned n = 0; n < 12; n++) {
        bool denied = n % 3 == 1, user = n % 4 == 1;

        R[5] = R[31] = 0;
        ppc_helper_mtspr(rig_state, SPR_IAMR, denied ? UINT64_C(1) << 62 : UINT64_MAX >> 2, 0, 0);
        ppc_set_msr(rig_state, VIRTUAL | MSR_SF | (user ? MSR_PR : 0));
        rig_run(PAGE_0);
        g_assert_cmphex(R[31], ==, denied && !user ? 0x400 : 0);
        g_assert_cmpint(R[5], ==, denied && !user ? 0 : 7);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_start(argc > 1 ? argv[1] : "power8");
    g_test_add_func("/mmu64/misses", a_segment_that_is_not_there_misses);
    g_test_add_func("/mmu64/sizes", both_segment_sizes_translate);
    g_test_add_func("/mmu64/faults", faults_say_why);
    g_test_add_func("/mmu64/spaces", spaces_are_told_apart);
    g_test_add_func("/mmu64/slbia", slbia_takes_what_its_hint_says);
    g_test_add_func("/mmu64/slbiag", global_invalidations_leave_what_software_made);
    g_test_add_func("/mmu64/full", a_space_that_is_full_takes_no_more);
    g_test_add_func("/mmu64/large", large_pages_are_invalidated_alone);
    g_test_add_func("/mmu64/dcbz", dcbz_wants_pages_that_are_cached);
    g_test_add_func("/mmu64/dcbz-everywhere", the_range_of_what_is_not_cached_may_be_everything);
    g_test_add_func("/mmu64/keys", keys_take_rights_away_at_once);
    g_test_add_func("/mmu64/reservations", reservations_are_for_what_is_cached);
    g_test_add_func("/mmu64/user-keys", processes_change_the_keys_that_are_theirs);
    g_test_add_func("/mmu64/radix", radix_trees_translate);
    g_test_add_func("/mmu64/radix-keys", privileged_state_keeps_off_pages_by_key_0);
    g_test_add_func("/mmu64/radix-keys-block", keys_change_within_a_block);
    g_test_add_func("/mmu64/radix-keys-loop", keys_change_within_a_loop);
    g_test_add_func("/mmu64/radix-keys-fp", keys_change_among_operations);
    g_test_add_func("/mmu64/radix-keys-atomic", keys_of_what_loads_and_stores);
    g_test_add_func("/mmu64/radix-keys-conditional", conditional_stores_need_no_loads);
    g_test_add_func("/mmu64/copy-paste", blocks_are_copied_and_pasted);
    g_test_add_func("/mmu64/radix-keys-state", keys_stay_over_changes_of_state);
    g_test_add_func("/mmu64/radix-keys-fetch", key_0_keeps_privileged_state_from_executing);
    return g_test_run();
}
