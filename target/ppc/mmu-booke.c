/*
 * The TLBs that software loads: 64 entries of the 440 (PPC440x5 CPU Core User's Manual, chapter 5), TLB0 and TLB1 of the
 * e500v2 (PowerPC e500 Core Family Reference Manual, chapter 12).
 *
 * There is no real mode: MSR[IS] and MSR[DS] choose one of two address spaces, which are MMU modes here (space * 2 + user).
 * Pages of process 0 belong to all processes: they are global.
 */
#include "target/ppc/booke.h"
#include "target/ppc/mmu.h"

#include "core/state.h"

#include <string.h>

enum { ENTRIES_440 = 64, TLB0_WAYS = 4, TLB0_ENTRIES = 512, TLB1_ENTRIES = 16, ENTRIES_MAX = TLB0_ENTRIES + TLB1_ENTRIES };

/* Words of an entry. 440: as tlbre reads them, word 3 is the TID. e500: MAS1, 2, 3 and 7. TLB1 is behind TLB0. */
#define BOOKE_TLB_STATE(FIELD, ARRAY)       \
    ARRAY(uint32_t, word0, ENTRIES_MAX, 0)  \
    ARRAY(uint32_t, word1, ENTRIES_MAX, 0)  \
    ARRAY(uint32_t, word2, ENTRIES_MAX, 0)  \
    ARRAY(uint32_t, word3, ENTRIES_MAX, 0)  \
    FIELD(uint8_t, next_way, 0) /* of TLB0, which software is told to replace */

DEFINE_STATE(BookeTlb, BOOKE_TLB_STATE);

typedef struct BookeMmu {
    BookeTlb tlb;
    bool seen[ENTRIES_MAX]; /* the engine may have learnt of it: entries are written word by word, often unseen */
} BookeMmu;

/* 440. */
enum { PAGEID_V = 0x200, PAGEID_TS = 0x100, MMUCR_STS = 0x00010000, MMUCR_STID = 0xff, TLB_440_UX = 0x20, TLB_440_USER = 3 };
/* e500. */
#define MAS1_V 0x80000000u
enum {
    MAS0_TLB1 = 0x10000000, MAS0_TLBSEL = 0x30000000, MAS0_ESEL = 0x000f0000, MAS0_NV = 3,
    MAS1_IPROT = 0x40000000, MAS1_TID = 0x00ff0000, MAS1_TS = 0x1000, MAS1_TSIZE = 0xf00, MAS2_ATTRIBUTES = 0x7f,
    MAS4_TIDSEL = 0x00030000, MAS6_SPID = 0x00ff0000, MAS6_SAS = 1, MAS3_RIGHTS = 0x3ff, TSIZE_4K = 0x100,
};
enum { HID0_EN_MAS7_UPDATE = 0x80, TLBIVAX_ALL = 4, TLBIVAX_TLB1 = 8 };
#define PAGE UINT32_C(0xfffff000)

typedef struct Entry {
    bool valid, space, uncached, user_read, user_write, user_execute, read, write, execute;
    uint8_t tid;
    uint32_t virt;
    uint64_t phys, size;
} Entry;

static BookeTlb *tlb_of(const PpcState *s)
{
    return &((BookeMmu *)s->mmu)->tlb;
}

static bool is_440(const PpcState *s)
{
    return s->model->mmu == PPC_MMU_440;
}

static unsigned entries(const PpcState *s)
{
    return is_440(s) ? ENTRIES_440 : ENTRIES_MAX;
}

static Entry entry_440(const BookeTlb *t, unsigned i)
{
    uint32_t page = t->word0[i], frame = t->word1[i], rights = t->word2[i];

    return (Entry){
        .valid = page & PAGEID_V, .space = page & PAGEID_TS, .tid = t->word3[i],
        .size = UINT64_C(1024) << 2 * (page >> 4 & 15), .virt = page & 0xfffffc00,
        .phys = (uint64_t)(frame & 15) << 32 | (frame & 0xfffffc00),
        .uncached = rights & 0xc00, .user_execute = rights & 0x20, .user_write = rights & 0x10, .user_read = rights & 8,
        .execute = rights & 4, .write = rights & 2, .read = rights & 1,
    };
}

static Entry entry_e500(const BookeTlb *t, unsigned i)
{
    uint32_t tag = __atomic_load_n(&t->word0[i], __ATOMIC_RELAXED), rights = t->word2[i];
    unsigned size = i < TLB0_ENTRIES ? 1 : (tag & MAS1_TSIZE) >> 8;

    return (Entry){
        .valid = tag & MAS1_V, .space = tag & MAS1_TS, .tid = tag >> 16,
        .size = UINT64_C(1024) << 2 * size, .virt = t->word1[i] & PAGE,
        .phys = (uint64_t)(t->word3[i] & 15) << 32 | (rights & PAGE),
        .uncached = t->word1[i] & 0x18, .user_execute = rights & 0x20, .execute = rights & 0x10, .user_write = rights & 8, .write = rights & 4,
        .user_read = rights & 2, .read = rights & 1,
    };
}

static Entry entry_at(const PpcState *s, unsigned i)
{
    return is_440(s) ? entry_440(tlb_of(s), i) : entry_e500(tlb_of(s), i);
}

static bool covers(const Entry *e, uint32_t addr)
{
    return e->valid && !((addr ^ e->virt) & ~(e->size - 1) & UINT32_MAX);
}

/* Processes whose pages are seen now, besides process 0's. */
static bool is_current(const PpcState *s, uint8_t tid)
{
    if (is_440(s)) {
        return tid == (uint8_t)s->spr[SPR_PID];
    }
    return tid == (uint8_t)s->spr[SPR_PID] || tid == (uint8_t)s->spr[SPR_PID1] || tid == (uint8_t)s->spr[SPR_PID2];
}

/* The entry of an address in a space for the current processes, or for one (process >= 0); -1: there is none. */
static int find(const PpcState *s, uint32_t addr, bool space, int process, Entry *e)
{
    unsigned first = 0;

    if (!is_440(s)) { /* one set of TLB0, then all of TLB1 */
        unsigned set = (addr >> 12) % (TLB0_ENTRIES / TLB0_WAYS) * TLB0_WAYS;

        for (unsigned i = set; i < set + TLB0_WAYS; i++) {
            *e = entry_e500(tlb_of(s), i);
            if (covers(e, addr) && e->space == space && (!e->tid || (process < 0 ? is_current(s, e->tid) : e->tid == process))) {
                return i;
            }
        }
        first = TLB0_ENTRIES;
    }
    for (unsigned i = first; i < entries(s); i++) {
        *e = entry_at(s, i);
        if (covers(e, addr) && e->space == space && (!e->tid || (process < 0 ? is_current(s, e->tid) : e->tid == process))) {
            return i;
        }
    }
    return -1;
}

/* Translation. */

bool ppc_walk_booke(PpcState *s, uint32_t addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out)
{
    bool user = mode & 1;
    uint64_t within;
    Entry e;
    int i = find(s, addr, mode >> 1 & 1, -1, &e);

    if (i < 0) {
        return ppc_mmu_fault(s, PPC_DTLB, 0);
    }
    within = (uint64_t)addr & (e.size - 1) & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    *out = (MmuResult){
        .phys = (e.phys & ~(e.size - 1)) | within, .page_size = e.size, .global = !e.tid,
        .readable = user ? e.user_read : e.read, .writable = user ? e.user_write : e.write,
        .executable = user ? e.user_execute : e.execute,
    };
    s->page_uncached = e.uncached ? PPC_INHIBITED : 0;
    if (debug || (access == MMU_LOAD ? out->readable : access == MMU_STORE ? out->writable : out->executable)) {
        ((BookeMmu *)s->mmu)->seen[i] |= !debug;
        return true;
    }
    return ppc_mmu_fault(s, PPC_DSI, 0);
}

/* A miss of the e500 fills the MAS registers with what a new entry would be (12.4.2.1, table 12-3). */
static void prepare_mas(PpcState *s, uint32_t addr, bool space)
{
    BookeTlb *t = tlb_of(s);
    uint32_t defaults = s->spr[SPR_MAS4], way = t->next_way;
    static const unsigned pids[] = { SPR_PID, SPR_PID1, SPR_PID2, 0 };
    unsigned pid = pids[(defaults & MAS4_TIDSEL) >> 16];
    uint32_t tid = pid ? s->spr[pid] & 0xff : 0;

    s->spr[SPR_MAS0] = defaults & MAS0_TLBSEL;
    if (!(defaults & MAS0_TLBSEL)) {
        s->spr[SPR_MAS0] |= way << 16 | ((way + 1) % TLB0_WAYS);
    }
    s->spr[SPR_MAS1] = MAS1_V | tid << 16 | (space ? MAS1_TS : 0) | (defaults & MAS1_TSIZE);
    s->spr[SPR_MAS2] = (addr & PAGE) | (defaults & MAS2_ATTRIBUTES);
    s->spr[SPR_MAS3] = 0;
    s->spr[SPR_MAS6] = (s->spr[SPR_PID] & 0xff) << 16 | space;
    if (s->spr[SPR_HID0] & HID0_EN_MAS7_UPDATE) {
        s->spr[SPR_MAS7] = 0;
    }
}

void ppc_raise_fault_booke(PpcState *s, uint32_t addr, MmuAccess access)
{
    bool fetch = access == MMU_FETCH;
    uint32_t vector = s->fault_vector;

    if (vector == PPC_DTLB && !is_440(s)) {
        prepare_mas(s, addr, s->msr & (fetch ? MSR_IR : MSR_DR));
    }
    if (fetch) {
        ppc_raise(s, vector == PPC_DTLB ? PPC_ITLB : PPC_ISI, 0, 0);
    }
    s->spr[SPR_DEAR] = addr;
    ppc_raise(s, vector, access == MMU_STORE ? ESR_ST : 0, 0);
}

uint64_t ppc_space_booke(const PpcState *s)
{
    uint64_t id = UINT64_C(1) << 32 | (s->spr[SPR_PID] & 0xff);

    return is_440(s) ? id : id | (s->spr[SPR_PID1] & 0xff) << 8 | (s->spr[SPR_PID2] & 0xff) << 16;
}

/* Changes. */

/* What the engine knows of an entry that goes. */
static void forget(PpcState *s, unsigned i, const Entry *e)
{
    enum { FEW = 0x10000 };
    BookeMmu *m = s->mmu;

    if (!e->valid || !m->seen[i] || e->size < GUEST_PAGE_SIZE) {
        return;
    }
    m->seen[i] = false;
    if (e->size > FEW) {
        engine.flush_all(s->hot.cpu);
        return;
    }
    for (uint32_t at = 0; at < e->size; at += GUEST_PAGE_SIZE) {
        engine.flush_page(s->hot.cpu, (e->virt & ~(uint32_t)(e->size - 1)) + at);
    }
}

static void put_entry(PpcState *s, unsigned i, uint32_t word0, uint32_t word1, uint32_t word2, uint32_t word3)
{
    BookeTlb *t = tlb_of(s);
    Entry old = entry_at(s, i);

    __atomic_store_n(&t->word0[i], 0, __ATOMIC_RELAXED);
    t->word1[i] = word1;
    t->word2[i] = word2;
    t->word3[i] = word3;
    __atomic_store_n(&t->word0[i], word0, __ATOMIC_RELEASE);
    forget(s, i, &old);
}

/* 440: word `ws` of an entry. Word 0 takes the process from MMUCR. */
static void tlbwe_440(PpcState *s, unsigned i, unsigned ws, uint32_t value)
{
    BookeTlb *t = tlb_of(s);

    switch (ws) {
    case 0:
        put_entry(s, i, value, t->word1[i], t->word2[i], s->spr[SPR_MMUCR] & MMUCR_STID);
        break;
    case 1:
        put_entry(s, i, t->word0[i], value & 0xfffffc0f, t->word2[i], t->word3[i]);
        break;
    default:
        put_entry(s, i, t->word0[i], t->word1[i], value & 0xff3f, t->word3[i]);
        break;
    }
}

static uint32_t tlbre_440(PpcState *s, unsigned i, unsigned ws)
{
    const BookeTlb *t = tlb_of(s);

    switch (ws) {
    case 0:
        s->spr[SPR_MMUCR] = (s->spr[SPR_MMUCR] & ~(uint64_t)MMUCR_STID) | t->word3[i];
        return t->word0[i];
    case 1:
        return t->word1[i];
    default:
        return t->word2[i];
    }
}

static uint64_t tlbsx_440(PpcState *s, uint32_t addr)
{
    uint32_t mmucr = s->spr[SPR_MMUCR];
    Entry e;
    int i = find(s, addr, mmucr & MMUCR_STS, mmucr & MMUCR_STID, &e);

    return i < 0 ? UINT64_C(1) << 32 : (uint64_t)i;
}

/* The entry that MAS0 and MAS2 name. */
static unsigned selected(const PpcState *s)
{
    uint32_t mas0 = s->spr[SPR_MAS0];
    unsigned esel = (mas0 & MAS0_ESEL) >> 16;

    if (mas0 & MAS0_TLBSEL) {
        return TLB0_ENTRIES + esel % TLB1_ENTRIES;
    }
    return (s->spr[SPR_MAS2] >> 12) % (TLB0_ENTRIES / TLB0_WAYS) * TLB0_WAYS + esel % TLB0_WAYS;
}

static void tlbwe_e500(PpcState *s)
{
    unsigned i = selected(s);
    uint32_t tag = s->spr[SPR_MAS1] & (MAS1_V | MAS1_IPROT | MAS1_TID | MAS1_TS | MAS1_TSIZE);

    if (i < TLB0_ENTRIES) {
        tag = (tag & ~(uint32_t)(MAS1_IPROT | MAS1_TSIZE)) | TSIZE_4K;
        tlb_of(s)->next_way = s->spr[SPR_MAS0] & MAS0_NV;
    }
    put_entry(s, i, tag, s->spr[SPR_MAS2] & (PAGE | MAS2_ATTRIBUTES), s->spr[SPR_MAS3] & (PAGE | MAS3_RIGHTS),
              s->spr[SPR_MAS7] & 15);
}

/* An entry into the MAS registers, by tlbre or tlbsx. */
static void show(PpcState *s, unsigned i)
{
    const BookeTlb *t = tlb_of(s);

    s->spr[SPR_MAS1] = t->word0[i];
    s->spr[SPR_MAS2] = t->word1[i];
    s->spr[SPR_MAS3] = t->word2[i];
    if (s->spr[SPR_HID0] & HID0_EN_MAS7_UPDATE) {
        s->spr[SPR_MAS7] = t->word3[i];
    }
}

static void tlbsx_e500(PpcState *s, uint32_t addr)
{
    uint32_t mas6 = s->spr[SPR_MAS6], next = tlb_of(s)->next_way;
    Entry e;
    int i = find(s, addr, mas6 & MAS6_SAS, (mas6 & MAS6_SPID) >> 16, &e);

    if (i < 0) {
        uint64_t keep = s->spr[SPR_MAS6];

        prepare_mas(s, addr, mas6 & MAS6_SAS);
        s->spr[SPR_MAS6] = keep;
        s->spr[SPR_MAS1] = (s->spr[SPR_MAS1] & (MAS1_TSIZE | MAS1_TS)) | (mas6 & MAS6_SPID);
        return;
    }
    s->spr[SPR_MAS0] = i < TLB0_ENTRIES ? (uint32_t)(i % TLB0_WAYS) << 16 | next
                                        : MAS0_TLB1 | (uint32_t)(i - TLB0_ENTRIES) << 16 | next;
    show(s, i);
}

/* Entries that hold the address, or all, of one TLB; those with IPROT stay. Any processor's, from any other. */
static bool invalidate(PpcState *s, uint32_t addr, bool all, bool tlb1)
{
    BookeTlb *t = tlb_of(s);
    unsigned set = (addr >> 12) % (TLB0_ENTRIES / TLB0_WAYS) * TLB0_WAYS;
    unsigned first = tlb1 ? TLB0_ENTRIES : all ? 0 : set;
    unsigned end = tlb1 ? ENTRIES_MAX : all ? TLB0_ENTRIES : set + TLB0_WAYS;
    bool large = all;

    for (unsigned i = first; i < end; i++) {
        Entry e = entry_e500(t, i);

        if (e.valid && !(t->word0[i] & MAS1_IPROT) && (all || covers(&e, addr))) {
            __atomic_fetch_and(&t->word0[i], ~MAS1_V, __ATOMIC_RELAXED);
            large |= e.size > GUEST_PAGE_SIZE;
        }
    }
    return large;
}

/* All processors, whatever process and space (12.4.3); the address has the choice of TLB and entries in its low bits. */
static void tlbivax(PpcState *s, uint32_t addr)
{
    bool large = false;

    for (int i = 0; i < cpu_count(); i++) {
        large |= invalidate(ppc_state(cpu_get(i)), addr, addr & TLBIVAX_ALL, addr & TLBIVAX_TLB1);
    }
    if (large) {
        engine.flush_all_everywhere(s->hot.cpu);
    } else {
        engine.flush_pages_everywhere(s->hot.cpu, addr & PAGE, GUEST_PAGE_BITS);
    }
}

void ppc_booke_flash_invalidate(PpcState *s, bool tlb0, bool tlb1)
{
    if (tlb0) {
        invalidate(s, 0, true, false);
    }
    if (tlb1) {
        invalidate(s, 0, true, true);
    }
    engine.flush_all(s->hot.cpu);
}

uint64_t ppc_helper_tlbwe(PpcState *s, uint64_t value, uint64_t index, uint64_t ws, uint64_t d)
{
    if (is_440(s)) {
        tlbwe_440(s, index % ENTRIES_440, ws, value);
    } else {
        tlbwe_e500(s);
    }
    return 0;
}

uint64_t ppc_helper_tlbre(PpcState *s, uint64_t index, uint64_t ws, uint64_t c, uint64_t d)
{
    if (is_440(s)) {
        return tlbre_440(s, index % ENTRIES_440, ws);
    }
    show(s, selected(s));
    return 0;
}

/* 440: the entry's number; bit 32: none. */
uint64_t ppc_helper_tlbsx(PpcState *s, uint64_t addr, uint64_t b, uint64_t c, uint64_t d)
{
    if (is_440(s)) {
        return tlbsx_440(s, addr);
    }
    tlbsx_e500(s, addr);
    return 0;
}

uint64_t ppc_helper_tlbivax(PpcState *s, uint64_t addr, uint64_t b, uint64_t c, uint64_t d)
{
    tlbivax(s, addr);
    return 0;
}

/* Beginnings. */

void ppc_map_page(Cpu *cpu, uint32_t virt, uint64_t phys, uint64_t size)
{
    enum { RIGHTS = 0x3f };
    PpcState *s = ppc_state(cpu);
    unsigned shift = 0;

    while (shift < (is_440(s) ? 9 : 11) && (UINT64_C(1024) << 2 * (shift + 1)) <= size) {
        shift++;
    }
    if (is_440(s)) {
        put_entry(s, 0, virt | PAGEID_V | shift << 4, (uint32_t)phys | phys >> 32, RIGHTS, 0);
    } else {
        put_entry(s, TLB0_ENTRIES, MAS1_V | MAS1_IPROT | shift << 8, virt, (uint32_t)phys | RIGHTS, phys >> 32);
        s->spr[SPR_L1CSR0] = 1; /* who maps it is the firmware, which has the data cache on */
        ppc_forget_uncached(s);
    }
}

/* A reset leaves one page, the last of the first 4 GiB (440: 5.1; e500: 12.4.1.1). */
void ppc_booke_reset(PpcState *s)
{
    state_reset(BookeTlb_fields, tlb_of(s));
    s->spr[SPR_PIR_BOOKE] = s->hot.cpu->index;
    ppc_map_page(s->hot.cpu, PAGE, PAGE, GUEST_PAGE_SIZE);
    s->spr[SPR_L1CSR0] = 0;
    if (s->reset_state.map_size) {
        ppc_map_page(s->hot.cpu, 0, 0, s->reset_state.map_size);
    }
    if (is_440(s)) {
        s->spr[SPR_RSTCFG] = 0;
        return;
    }
    s->spr[SPR_TLB0CFG] = 0x04110200; /* four ways, 512 entries of 4 KiB */
    s->spr[SPR_TLB1CFG] = 0x101bc010; /* 16 of 4 KiB to 4 GiB, with IPROT */
    s->spr[SPR_MMUCFG] = 0x000019c4;  /* two TLBs, three process registers of 8 bits, MAVN 0 */
    s->spr[SPR_L1CFG0] = 0x00383820;  /* 32 KiB, eight ways, lines of 32 bytes */
    s->spr[SPR_L1CFG0 + 1] = 0x00383820;
}

void ppc_booke_init(PpcState *s)
{
    s->mmu = g_new0(BookeMmu, 1);
}

static char *group_of(const PpcState *s)
{
    return g_strdup_printf("cpu%d-tlb", s->hot.cpu->index);
}

void ppc_booke_save(PpcState *s, GKeyFile *out)
{
    g_autofree char *id = group_of(s);

    state_save(BookeTlb_fields, tlb_of(s), out, id);
}

bool ppc_booke_load(PpcState *s, GKeyFile *in, GError **error)
{
    g_autofree char *id = group_of(s);

    if (!state_load(BookeTlb_fields, tlb_of(s), in, id, error)) {
        return false;
    }
    tlb_of(s)->next_way %= TLB0_WAYS;
    return true;
}
