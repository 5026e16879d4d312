/*
 * The 32-bit MMU: block address registers, segments, the hashed page table (PEM, chapter 7); the 603's TLB that
 * software loads (603e user's manual, chapter 5).
 *
 * Address spaces are told apart by what the segment registers hold. Segments 12 to 15, BATs and SDR1 are those of
 * an operating system's kernel: the world, in the upper half of the identifier, whose pages are global.
 */
#include "target/ppc/mmu.h"

#include "util/bits.h"

#include <string.h>

enum { KERNEL_SEGMENT = 12, SPACES = 64, WORLDS_KNOWN = 8, BATS = 32 };

/* The sets of registers that have been seen, by number; the numbers are never used again. */
typedef struct Mmu32 {
    struct {
        uint32_t sr[KERNEL_SEGMENT];
        uint32_t id; /* 0: free */
        uint64_t used;
    } space[SPACES];
    uint8_t hint[SPACES]; /* by a hash of sr[0]: which space it may be */
    struct {
        uint32_t sr[16 - KERNEL_SEGMENT];
        uint32_t bat[BATS];
        uint32_t id;
        uint64_t used;
    } world[WORLDS_KNOWN];
    unsigned last_world;
    uint32_t next_id;
    uint64_t clock;
    /* 603: 32 sets of two ways, for data and instructions. */
    struct {
        uint32_t pte0, pte1, page;
        bool valid;
    } tlb[2][32][2];
    uint32_t next_way[2]; /* a bit per set */
    /* Virtual segments that pages were looked for in: a hash table, and the last ones by register. */
    uint32_t *noted, last_noted[16];
    unsigned n_noted, noted_room;
    bool segments_wander; /* one has been in two registers */
} Mmu32;

static Mmu32 *mmu_of(PpcState *s)
{
    if (!s->mmu) {
        tcg_fp_sync(s);
        s->mmu = g_new0(Mmu32, 1);
    }
    return s->mmu;
}

static bool same_words(const uint32_t *a, const uint32_t *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (a[i] != b[i]) {
            return false;
        }
    }
    return true;
}

static void copy_words(uint32_t *to, const uint32_t *from, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        to[i] = from[i];
    }
}

/* A virtual segment and the segment register that it has been used in, as one word. */
enum { FIRST_ROOM = 1024 };
#define NOTED (UINT32_C(1) << 31)

static uint32_t *noted_place(uint32_t *noted, unsigned room, uint32_t vsid)
{
    unsigned i = vsid * 0x9e3779b1u >> 8 & (room - 1);

    while (noted[i] && (noted[i] & ~NOTED) >> 4 != vsid) {
        i = (i + 1) & (room - 1);
    }
    return &noted[i];
}

static void noted_grow(PpcState *s, Mmu32 *m)
{
    unsigned room = m->noted_room ? 2 * m->noted_room : FIRST_ROOM;
    uint32_t *old = m->noted, *more;

    tcg_fp_sync(s);
    more = g_new0(uint32_t, room);
    for (unsigned i = 0; i < m->noted_room; i++) {
        if (old[i]) {
            *noted_place(more, room, (old[i] & ~NOTED) >> 4) = old[i];
        }
    }
    g_free(old);
    m->noted = more;
    m->noted_room = room;
}

/*
 * Linux uses each virtual segment in one register only. Where a kernel has a process's segment in a window of its own, tlbie has more
 * to empty than the address that it names.
 */
static void note_segment(PpcState *s, uint32_t vsid, unsigned segment)
{
    Mmu32 *m = mmu_of(s);
    uint32_t word = NOTED | vsid << 4 | segment, *place;

    if (m->last_noted[segment] == word) {
        return;
    }
    if (2 * m->n_noted >= m->noted_room) {
        noted_grow(s, m);
    }
    place = noted_place(m->noted, m->noted_room, vsid);
    if (!*place) {
        *place = word;
        m->n_noted++;
    } else if (*place != word) {
        m->segments_wander = true;
    }
    m->last_noted[segment] = word;
}

static bool is_space(const Mmu32 *m, unsigned i, const uint32_t *sr)
{
    return m->space[i].id && same_words(m->space[i].sr, sr, KERNEL_SEGMENT);
}

static uint32_t space_of(Mmu32 *m, const uint32_t *sr)
{
    uint8_t *hint = &m->hint[sr[0] * 0x9e3779b1u >> 26];
    unsigned i = *hint, oldest = 0;

    G_STATIC_ASSERT(SPACES == 64);
    if (!is_space(m, i, sr)) {
        for (i = 0; i < SPACES && !is_space(m, i, sr); i++) {
            oldest = m->space[i].used < m->space[oldest].used ? i : oldest;
        }
        if (i == SPACES) {
            i = oldest;
            copy_words(m->space[i].sr, sr, KERNEL_SEGMENT);
            m->space[i].id = ++m->next_id;
        }
        *hint = i;
    }
    m->space[i].used = ++m->clock;
    return m->space[i].id;
}

static uint32_t world_of(Mmu32 *m, const uint32_t *sr, const uint32_t *bat)
{
    unsigned oldest = 0;

    for (unsigned i = 0; i < WORLDS_KNOWN; i++) {
        if (m->world[i].id && same_words(m->world[i].sr, sr, 16 - KERNEL_SEGMENT) && same_words(m->world[i].bat, bat, BATS)) {
            m->world[i].used = ++m->clock;
            m->last_world = i;
            return m->world[i].id;
        }
        if (m->world[i].used < m->world[oldest].used) {
            oldest = i;
        }
    }
    copy_words(m->world[oldest].sr, sr, 16 - KERNEL_SEGMENT);
    copy_words(m->world[oldest].bat, bat, BATS);
    m->world[oldest].used = ++m->clock;
    m->last_world = oldest;
    return m->world[oldest].id = ++m->next_id;
}

/* That of before, where only segment registers have changed since, and none of the kernel's. */
static uint32_t same_world(const PpcState *s, const Mmu32 *m, const uint32_t *sr)
{
    const uint32_t *last = m->world[m->last_world].sr;

    return s->bats_changed || !same_words(last, sr, 16 - KERNEL_SEGMENT) ? 0 : m->world[m->last_world].id;
}

uint64_t ppc_space_32(PpcState *s)
{
    Mmu32 *m = mmu_of(s);
    uint32_t sr[16], bat[BATS], world;

    for (unsigned i = 0; i < 16; i++) {
        sr[i] = s->sr[i];
    }
    world = same_world(s, m, sr + KERNEL_SEGMENT);
    if (!world) {
        for (unsigned i = 0; i < 16; i++) {
            bat[i] = s->spr[SPR_IBAT0U + i];
            bat[16 + i] = s->spr[SPR_IBAT4U + i];
        }
        world = world_of(m, sr + KERNEL_SEGMENT, bat);
        s->bats_changed = false;
    }
    return (uint64_t)world << 32 | space_of(m, sr);
}

/* A page is gone in the current world; others, which the engine does not look at, begin anew when they come back. */
static void forget_other_worlds(PpcState *s, Mmu32 *m)
{
    for (unsigned i = 0; i < WORLDS_KNOWN; i++) {
        if (m->world[i].id != s->space_id >> 32) {
            m->world[i].id = 0;
        }
    }
}

/*
 * tlbie empties a congruence class: bits 14 to 19 of the address choose it, whatever is above. Who means one page
 * gives its address; who means all goes through the classes from address 0 on.
 */
void ppc_tlbie_32(PpcState *s, uint32_t addr)
{
    enum { CLASSES_END = 64 << 12, SEGMENT_BITS = 28 };
    Mmu32 *m = mmu_of(s);

    for (unsigned side = 0; side < 2; side++) {
        for (unsigned way = 0; way < 2; way++) {
            m->tlb[side][addr >> 12 & 31][way].valid = false;
        }
    }
    if (addr < CLASSES_END) {
        engine.flush_all_everywhere(s->hot.cpu);
    } else if (!m->segments_wander) {
        engine.flush_pages_everywhere(s->hot.cpu, addr, GUEST_PAGE_BITS);
    } else {
        for (uint32_t i = 0; i < 16; i++) {
            engine.flush_pages_everywhere(s->hot.cpu, i << SEGMENT_BITS | (addr & ((1u << SEGMENT_BITS) - 1)), GUEST_PAGE_BITS);
        }
    }
    forget_other_worlds(s, m);
}

/* Block address registers: pairs in a row, `first` the SPR of the first upper one. 1: out is filled, -1: a fault. */
static int walk_bats(PpcState *s, unsigned first, unsigned count, uint32_t addr, MmuAccess access, bool user, bool debug, MmuResult *out)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t upper = s->spr[first + 2 * i], lower = s->spr[first + 2 * i + 1];
        uint32_t within = (upper << 15 & 0x0ffe0000) | 0x1ffff;
        unsigned pp = lower & 3;

        if (!(upper & (user ? 1 : 2)) || ((addr ^ upper) & 0xfffe0000 & ~within)) {
            continue;
        }
        *out = (MmuResult){
            .phys = ((lower & 0xfffe0000 & ~within) | (addr & within)) & ~UINT32_C(0xfff),
            .page_size = (uint64_t)within + 1,
            .readable = pp != 0, .executable = pp != 0, .writable = pp == 2, .global = true,
        };
        s->page_uncached = ppc_uncached(lower);
        if (!debug && (pp == 0 || (access == MMU_STORE && pp != 2))) {
            ppc_mmu_fault_dsi(s, access, FAULT_PROTECTION);
            return -1;
        }
        return 1;
    }
    return 0;
}

enum { PTE_V = 0x80000000, PTE_H = 0x40, PTE_R = 0x100, PTE_C = 0x80, PTE_G = 8 };

static uint32_t group_address(const PpcState *s, uint32_t hash)
{
    uint32_t sdr1 = s->spr[SPR_SDR1];

    return (sdr1 & 0xffff0000) | (hash >> 10 & sdr1 & 0x1ff) << 16 | (hash & 0x3ff) << 6;
}

/* The entry of a page in its two groups; its second word in *pte1. NULL: there is none. *addr: of that word. */
static uint8_t *find_pte(PpcState *s, uint32_t vsid, uint32_t addr, uint32_t *pte1, PhysAddr *where)
{
    uint32_t page = addr >> 12 & 0xffff, hash = (vsid & 0x7ffff) ^ page;
    uint32_t wanted = PTE_V | vsid << 7 | page >> 10;

    for (unsigned second = 0; second < 2; second++, hash = ~hash, wanted |= PTE_H) {
        uint32_t at = group_address(s, hash);
        uint8_t *group = ppc_table(s, at, 64);

        for (unsigned i = 0; group && i < 8; i++) {
            if (load_be32(group + 8 * i) == wanted) {
                *pte1 = load_be32(group + 8 * i + 4);
                *where = at + 8 * i + 4;
                return group + 8 * i + 4;
            }
        }
    }
    return NULL;
}

/* Rights by the page's PP bits and the segment's key. */
static void set_rights(MmuResult *out, unsigned pp, bool key, bool no_execute)
{
    out->readable = !key || pp != 0;
    out->writable = key ? pp == 2 : pp != 3;
    out->executable = out->readable && !no_execute;
}

static bool walk_603(PpcState *s, uint32_t vsid, uint32_t addr, MmuAccess access, bool debug, uint32_t *pte1)
{
    Mmu32 *m = mmu_of(s);
    unsigned side = access == MMU_FETCH, set = addr >> 12 & 31;
    uint32_t wanted = PTE_V | vsid << 7 | (addr >> 22 & 0x3f);
    PhysAddr where;

    for (unsigned way = 0; way < 2; way++) {
        if (m->tlb[side][set][way].valid && (m->tlb[side][set][way].pte0 & ~(uint32_t)PTE_H) == wanted &&
            m->tlb[side][set][way].page == addr >> 12) {
            *pte1 = m->tlb[side][set][way].pte1;
            /* A store to a page that is not marked changed goes to the software too. */
            return access != MMU_STORE || (*pte1 & PTE_C);
        }
    }
    return debug && find_pte(s, vsid, addr, pte1, &where);
}

bool ppc_walk_32(PpcState *s, uint32_t addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out)
{
    bool user = mode_is_user(mode), fetch = access == MMU_FETCH, key;
    bool more = ppc_isa(s, ISA_7450) && (s->spr[SPR_HID0] & 0x00800000); /* HID0[HIGH_BAT_EN] */
    uint32_t sr = s->sr[addr >> 28], pte1;
    PhysAddr where;
    uint8_t *pte = NULL;
    int found = walk_bats(s, fetch ? SPR_IBAT0U : SPR_DBAT0U, 4, addr, access, user, debug, out);

    if (!found && more) {
        found = walk_bats(s, fetch ? SPR_IBAT4U : SPR_DBAT4U, 4, addr, access, user, debug, out);
    }
    if (found) {
        return found > 0;
    }
    if (sr & 0x80000000) { /* direct-store segments, which nothing here answers to */
        return ppc_mmu_fault_dsi(s, access, fetch ? FAULT_NO_EXECUTE : FAULT_DIRECT);
    }
    if (fetch && (sr & 0x10000000)) {
        return ppc_mmu_fault_dsi(s, access, FAULT_NO_EXECUTE);
    }
    if (!debug) {
        note_segment(s, sr & 0xffffff, addr >> 28);
    }
    if (s->model->mmu == PPC_MMU_603) {
        if (!walk_603(s, sr & 0xffffff, addr, access, debug, &pte1)) {
            s->fault_vector = 0; /* a miss */
            return false;
        }
    } else {
        pte = find_pte(s, sr & 0xffffff, addr, &pte1, &where);
        if (!pte) {
            return ppc_mmu_fault_dsi(s, access, FAULT_NO_PAGE);
        }
    }
    key = sr & (user ? 0x20000000 : 0x40000000);
    *out = (MmuResult){ .phys = pte1 & 0xfffff000, .page_size = GUEST_PAGE_SIZE, .global = addr >> 28 >= KERNEL_SEGMENT };
    set_rights(out, pte1 & 3, key, (pte1 & PTE_G) || (sr & 0x10000000));
    s->page_uncached = ppc_uncached(pte1);
    if (debug) {
        return true;
    }
    if (fetch && (pte1 & PTE_G)) {
        return ppc_mmu_fault_dsi(s, access, FAULT_NO_EXECUTE);
    }
    if (!out->readable || (access == MMU_STORE && !out->writable)) {
        return ppc_mmu_fault_dsi(s, access, FAULT_PROTECTION);
    }
    if (pte && (!(pte1 & PTE_R) || (access == MMU_STORE && !(pte1 & PTE_C)))) {
        pte1 |= PTE_R | (access == MMU_STORE ? PTE_C : 0);
        /* R and C are in different bytes, so that no other processor's change is undone. */
        pte[2] |= PTE_R >> 8;
        if (access == MMU_STORE) {
            pte[3] |= PTE_C;
        }
        ppc_table_written(s, where, 4);
    }
    out->writable = out->writable && (pte1 & PTE_C);
    return true;
}

void ppc_reset_603(PpcState *s)
{
    Mmu32 *m = mmu_of(s);

    memset(m->tlb, 0, sizeof(m->tlb));
}

/* tlbld, tlbli: the entry that the miss registers describe, into the way of SRR1. */
void ppc_load_tlb_603(PpcState *s, uint32_t addr, bool is_insn)
{
    Mmu32 *m = mmu_of(s);
    unsigned set = addr >> 12 & 31, way = s->spr[SPR_SRR1] >> 17 & 1;

    m->tlb[is_insn][set][way].pte0 = s->spr[is_insn ? SPR_ICMP : SPR_DCMP];
    m->tlb[is_insn][set][way].pte1 = s->spr[SPR_RPA];
    m->tlb[is_insn][set][way].page = addr >> 12;
    m->tlb[is_insn][set][way].valid = true;
    m->next_way[is_insn] = (m->next_way[is_insn] & ~(1u << set)) | (way ^ 1u) << set;
    engine.flush_page(s->hot.cpu, addr & ~UINT32_C(0xfff));
}

void ppc_raise_miss_603(PpcState *s, uint32_t addr, MmuAccess access)
{
    Mmu32 *m = mmu_of(s);
    bool fetch = access == MMU_FETCH, key;
    uint32_t sr = s->sr[addr >> 28], vsid = sr & 0xffffff, page = addr >> 12 & 0xffff, hash = (vsid & 0x7ffff) ^ page;
    unsigned set = addr >> 12 & 31, way = m->next_way[fetch] >> set & 1;
    uint32_t compare = PTE_V | vsid << 7 | page >> 10;

    /* A change of C is loaded over the entry that is there. */
    for (unsigned i = 0; i < 2; i++) {
        if (m->tlb[fetch][set][i].valid && m->tlb[fetch][set][i].page == addr >> 12 &&
            (m->tlb[fetch][set][i].pte0 & ~(uint32_t)PTE_H) == compare) {
            way = i;
        }
    }
    key = sr & (s->msr & MSR_PR ? 0x20000000 : 0x40000000);
    s->spr[fetch ? SPR_IMISS : SPR_DMISS] = addr;
    s->spr[fetch ? SPR_ICMP : SPR_DCMP] = compare;
    s->spr[SPR_HASH1] = group_address(s, hash);
    s->spr[SPR_HASH2] = group_address(s, ~hash);
    ppc_raise(s, fetch ? PPC_IMISS : access == MMU_STORE ? PPC_DSMISS : PPC_DLMISS,
              (uint64_t)s->cr[0] << 28 | (uint64_t)key << 19 | (uint64_t)fetch << 18 | (uint64_t)way << 17 |
                  (uint64_t)(access == MMU_STORE) << 16, 0);
}
