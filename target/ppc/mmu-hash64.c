/*
 * The 64-bit MMU with a hashed page table: SLB, segments of 256 MiB and 1 TiB, page sizes (Power ISA 2.07, Book III-S, 5.7).
 *
 * Address spaces. The engine keeps translations by address space, but this architecture has no name for one: it is
 * what the SLB holds. So a space is a set of pairs of segments (ESID, VSID) that have been seen together. Emptying the
 * SLB leads to no space at all; the first pair that comes in then tells which one it is, or that it is new. A pair that
 * contradicts one of the space makes another space. Segments in the upper half of the addresses are the kernel's:
 * they are in all spaces, and their pages global.
 *
 * A translation that was made while its segment was in the SLB may be used when it is not: an operating system gives a
 * segment of a process one VSID for good, and says with tlbie what becomes of its pages.
 */
#include "target/ppc/mmu.h"

#include "util/bits.h"

enum { SPACES = 64, PAIRS = 64, KERNEL_PAIRS = 256, SLB_SIZE = 64 };
G_STATIC_ASSERT(PAIRS >= SLB_SIZE); /* a new space has room for all */

#define ESID_VALID   UINT64_C(0x08000000)
#define VSID_KS      UINT64_C(0x800)
#define VSID_KP      UINT64_C(0x400)
#define VSID_N       UINT64_C(0x200)
#define VSID_SIZE    UINT64_C(0x130) /* L and LP: the base page size */
#define VSID_CLASS   UINT64_C(0x80)
#define KERNEL_HALF  (UINT64_C(1) << 63)

typedef struct Pair {
    uint64_t esid; /* address of the segment's first byte */
    uint64_t vsid; /* the whole register: sizes and keys count too */
} Pair;

typedef struct Mmu64 {
    struct {
        uint32_t id; /* 0: free */
        uint32_t n;
        uint64_t used;
        Pair pair[PAIRS];
    } space[SPACES];
    uint32_t n_kernel;
    Pair kernel[KERNEL_PAIRS];
    int current; /* index of the space, -1: none */
    uint32_t next_id, world;
    uint64_t clock;
} Mmu64;

static Mmu64 *mmu_of(PpcState *s)
{
    if (!s->mmu) {
        Mmu64 *m;

        tcg_fp_sync(s);
        m = g_new0(Mmu64, 1);
        m->current = -1;
        m->world = 1;
        s->mmu = m;
    }
    return s->mmu;
}

/* Segments. */

static unsigned segment_shift(uint64_t vsid)
{
    return vsid >> 62 == 1 ? 40 : 28;
}

static uint64_t segment_of(uint64_t addr, uint64_t vsid)
{
    return addr & -(UINT64_C(1) << segment_shift(vsid));
}

/* The SLB entry of an address, -1. */
static int find_segment(const PpcState *s, uint64_t addr)
{
    for (int i = 0; i < SLB_SIZE; i++) {
        if ((s->slb_esid[i] & ESID_VALID) && segment_of(addr, s->slb_vsid[i]) == segment_of(s->slb_esid[i], s->slb_vsid[i])) {
            return i;
        }
    }
    return -1;
}

/* Spaces. */

/* No process's space: what is in the engine of the last time is not of this one. */
static void leave_space(PpcState *s, Mmu64 *m)
{
    m->current = -1;
    engine.flush_space(s->hot.cpu, (uint64_t)m->world << 32, true);
}

/* What a space has of a segment, or NULL. */
static const Pair *find_pair(const Mmu64 *m, int space, uint64_t esid)
{
    for (uint32_t i = 0; i < m->space[space].n; i++) {
        if (m->space[space].pair[i].esid == esid) {
            return &m->space[space].pair[i];
        }
    }
    return NULL;
}

static void space_add(Mmu64 *m, int space, const Pair *pair)
{
    if (!find_pair(m, space, pair->esid)) {
        m->space[space].pair[m->space[space].n++] = *pair;
    }
}

static int new_space(Mmu64 *m)
{
    int oldest = 0;

    for (int i = 1; i < SPACES; i++) {
        if (m->space[i].used < m->space[oldest].used) {
            oldest = i;
        }
    }
    m->space[oldest].id = ++m->next_id;
    m->space[oldest].n = 0;
    return oldest;
}

/* One that has had this very pair. */
static int space_with(const Mmu64 *m, const Pair *pair)
{
    for (int i = 0; i < SPACES; i++) {
        for (uint32_t k = 0; m->space[i].id && k < m->space[i].n; k++) {
            if (m->space[i].pair[k].esid == pair->esid && m->space[i].pair[k].vsid == pair->vsid) {
                return i;
            }
        }
    }
    return -1;
}

static bool slb_pair(const PpcState *s, int i, Pair *pair)
{
    *pair = (Pair){ segment_of(s->slb_esid[i], s->slb_vsid[i]), s->slb_vsid[i] };
    return (s->slb_esid[i] & ESID_VALID) && !(pair->esid & KERNEL_HALF);
}

/* Whether a space may have all user segments of the SLB: it contradicts none, and has room for those that are new to it. */
static bool space_accepts(const PpcState *s, const Mmu64 *m, int space)
{
    uint32_t n = m->space[space].n;
    Pair other;

    for (int i = 0; i < SLB_SIZE; i++) {
        const Pair *known = slb_pair(s, i, &other) ? find_pair(m, space, other.esid) : &other;

        if (known && known->vsid != other.vsid) {
            return false;
        }
        n += !known;
    }
    return n <= PAIRS;
}

/* The space of all user segments of the SLB, the newest of which is `pair`. */
static void settle(PpcState *s, Mmu64 *m, const Pair *pair)
{
    int space = m->current >= 0 ? m->current : space_with(m, pair);
    Pair other;

    if (space < 0 || !space_accepts(s, m, space)) {
        space = new_space(m);
    }
    for (int i = 0; i < SLB_SIZE; i++) {
        if (slb_pair(s, i, &other)) {
            space_add(m, space, &other);
        }
    }
    m->space[space].used = ++m->clock;
    m->current = space;
}

static void add_kernel(PpcState *s, Mmu64 *m, const Pair *pair)
{
    for (uint32_t i = 0; i < m->n_kernel; i++) {
        if (m->kernel[i].esid == pair->esid) {
            if (m->kernel[i].vsid != pair->vsid) {
                m->kernel[i].vsid = pair->vsid;
                engine.flush_all(s->hot.cpu);
            }
            return;
        }
    }
    if (m->n_kernel == KERNEL_PAIRS) {
        m->n_kernel = 0;
        engine.flush_all(s->hot.cpu);
    }
    m->kernel[m->n_kernel++] = *pair;
}

uint64_t ppc_space_hash64(PpcState *s)
{
    Mmu64 *m = mmu_of(s);

    return (uint64_t)m->world << 32 | (m->current >= 0 ? m->space[m->current].id : 0);
}

static void space_changed(PpcState *s)
{
    s->space_id = s->published_space = ppc_space_hash64(s);
    if (engine.update_mode) {
        engine.update_mode(s->hot.cpu);
    }
}

/* SLB instructions. */

static void slb_write(PpcState *s, unsigned index, uint64_t esid, uint64_t vsid)
{
    Mmu64 *m = mmu_of(s);
    Pair pair;

    s->slb_esid[index] = esid;
    s->slb_vsid[index] = vsid;
    if (!(esid & ESID_VALID)) {
        return;
    }
    pair = (Pair){ segment_of(esid, vsid), vsid };
    if (pair.esid & KERNEL_HALF) {
        add_kernel(s, m, &pair);
    } else {
        settle(s, m, &pair);
        space_changed(s);
    }
}

/*
 * slbia. Since 3.0 IH says what is meant (Book III, 5.9.3.2): entries of class 1, which processes have, in any place; all; none, but what
 * is remembered of them. Otherwise, and on older processors always, it is all entries but the first.
 */
enum { IH_CLASS_1 = 3, IH_ALL = 4, IH_REMEMBERED = 7 };
static void slb_invalidate_all(PpcState *s, unsigned ih)
{
    ih = ppc_isa(s, ISA_V300) ? ih : 0;
    for (unsigned i = ih == IH_CLASS_1 || ih == IH_ALL ? 0 : 1; i < SLB_SIZE && ih != IH_REMEMBERED; i++) {
        if (ih != IH_CLASS_1 || (s->slb_vsid[i] & VSID_CLASS)) {
            s->slb_esid[i] &= ~ESID_VALID;
        }
    }
    leave_space(s, mmu_of(s));
    space_changed(s);
}

static void slb_invalidate(PpcState *s, uint64_t rb)
{
    int i = find_segment(s, rb);
    bool user = !(rb & KERNEL_HALF);

    if (i >= 0) {
        s->slb_esid[i] &= ~ESID_VALID;
    }
    if (user) {
        leave_space(s, mmu_of(s));
        space_changed(s);
    }
}

/* op: the extended opcode, the word above it. */
uint64_t ppc_helper_slb(PpcState *s, uint64_t op, uint64_t rs, uint64_t rb, uint64_t d)
{
    unsigned index = rb & 0xfff;
    uint32_t word = op >> 32;
    int i;

    switch ((uint32_t)op) {
    case 402: /* slbmte */
        if (index >= SLB_SIZE || rs >> 62 > 1) {
            ppc_program(s, PROGRAM_ILLEGAL, tcg_caller_pc(s));
        }
        slb_write(s, index, rb & ~UINT64_C(0xfff), rs);
        return 0;
    case 434: /* slbie */
        slb_invalidate(s, rb);
        return 0;
    case 498: /* slbia */
        slb_invalidate_all(s, word >> 21 & 7);
        return 0;
    case 851: /* slbmfev */
        return s->slb_vsid[index % SLB_SIZE];
    case 915: /* slbmfee */
        return s->slb_esid[index % SLB_SIZE];
    default: /* slbfee. */
        i = find_segment(s, rb);
        return i < 0 ? UINT64_MAX : s->slb_vsid[i];
    }
}

/* mtsr of the 970: a segment of the first 4 GiB. */
void ppc_write_sr_hash64(PpcState *s, unsigned n, uint32_t value)
{
    uint64_t keys = (value >> 30 & 1 ? VSID_KS : 0) | (value >> 29 & 1 ? VSID_KP : 0) | (value >> 28 & 1 ? VSID_N : 0);

    leave_space(s, mmu_of(s));
    slb_write(s, n, (uint64_t)n << 28 | ESID_VALID, (uint64_t)(value & 0x0fffffff) << 12 | keys);
}

/* What is derived from the SLB, after it has changed as a whole. */
void ppc_reset_hash64(PpcState *s)
{
    Mmu64 *m = mmu_of(s);
    Pair pair;

    m->n_kernel = 0;
    m->current = -1;
    m->world++;
    for (int i = 0; i < SLB_SIZE; i++) {
        pair = (Pair){ segment_of(s->slb_esid[i], s->slb_vsid[i]), s->slb_vsid[i] };
        if ((s->slb_esid[i] & ESID_VALID) && (pair.esid & KERNEL_HALF)) {
            add_kernel(s, m, &pair);
        } else if (s->slb_esid[i] & ESID_VALID) {
            settle(s, m, &pair);
        }
    }
}

/* The page table. */

#define PTE_V     UINT64_C(1)
#define PTE_H     UINT64_C(2)
#define PTE_L     UINT64_C(4)
#define PTE_SW    UINT64_C(0x78)
#define PTE_RPN   UINT64_C(0x0ffffffffffff000)
#define PTE_R     UINT64_C(0x100)
#define PTE_C     UINT64_C(0x80)
#define PTE_G     UINT64_C(8)
#define PTE_SAO   UINT64_C(0x70) /* W, I and M: strong access order, which is cached (2.06) */
#define PTE_N     UINT64_C(4)

/* Base page sizes by L and LP of the segment, the page sizes that they may hold, and how LP of an entry tells those. */
static const struct {
    uint16_t slb;
    uint8_t base, shift, encoding;
} page_sizes[] = {
    { 0x000, 12, 12, 0 }, { 0x000, 12, 16, 7 }, { 0x000, 12, 24, 0x38 },
    { 0x110, 16, 16, 1 }, { 0x110, 16, 24, 8 },
    { 0x100, 24, 24, 0 },
    { 0x120, 34, 34, 3 },
};

static unsigned base_shift(uint64_t vsid)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(page_sizes); i++) {
        if (page_sizes[i].slb == (vsid & VSID_SIZE)) {
            return page_sizes[i].base;
        }
    }
    return 12;
}

/* The size of an entry's page; 0: none that the segment may have. */
static unsigned entry_shift(uint64_t vsid, uint64_t v, uint64_t r)
{
    if (!(v & PTE_L)) {
        return vsid & VSID_SIZE ? 0 : 12;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(page_sizes); i++) {
        uint64_t low = PTE_RPN & ((UINT64_C(1) << page_sizes[i].shift) - 1);

        if (page_sizes[i].slb == (vsid & VSID_SIZE) && page_sizes[i].shift > 12 &&
            (r & low & 0xff000) == (uint64_t)page_sizes[i].encoding << 12) {
            return page_sizes[i].shift;
        }
    }
    return 0;
}

typedef struct Found {
    uint8_t *entry; /* in host memory */
    PhysAddr where;
    uint64_t v, r;
    unsigned shift;
} Found;

static bool find_entry(PpcState *s, uint64_t addr, uint64_t slb_vsid, Found *f)
{
    unsigned segment = segment_shift(slb_vsid), base = base_shift(slb_vsid);
    uint64_t b = slb_vsid >> 62, vsid = (slb_vsid & UINT64_C(0x3ffffffffffff000)) >> (segment == 40 ? 24 : 12);
    uint64_t offset = addr & ((UINT64_C(1) << segment) - 1) & -(UINT64_C(1) << base);
    uint64_t hash = (vsid ^ (segment == 40 ? vsid << 25 : 0) ^ offset >> base) & UINT64_C(0x7fffffffff);
    uint64_t wanted = b << 62 | ((vsid << (segment - 23) | offset >> 23) << 7 & UINT64_C(0x3fffffffffffff80)) | PTE_V;
    uint64_t sdr1 = s->spr[SPR_SDR1], mask = (UINT64_C(1) << (MIN(sdr1 & 31, 28) + 11)) - 1;

    for (unsigned second = 0; second < 2; second++, hash = ~hash, wanted |= PTE_H) {
        PhysAddr at = (sdr1 & UINT64_C(0x0ffffffffffc0000)) + ((hash & mask) << 7);
        uint8_t *group = ppc_table(s, at, 128);

        for (unsigned i = 0; group && i < 8; i++) {
            f->v = load_be64(group + 16 * i);
            if ((f->v ^ wanted) & ~(PTE_SW | PTE_L)) {
                continue;
            }
            f->r = load_be64(group + 16 * i + 8);
            f->shift = entry_shift(slb_vsid, f->v, f->r);
            if (f->shift) {
                f->entry = group + 16 * i;
                f->where = at + 16 * i;
                return true;
            }
        }
    }
    return false;
}

static uint8_t uncached(const PpcState *s, uint64_t r)
{
    return (r & PTE_SAO) == PTE_SAO && ppc_isa(s, ISA_V206) ? 0 : ppc_uncached(r);
}

static void set_rights(MmuResult *out, const Found *f, uint64_t vsid, bool user)
{
    unsigned pp = (f->r & 3) | (f->r >> 63) << 2;
    bool key = vsid & (user ? VSID_KP : VSID_KS);

    out->readable = !key || (pp != 0 && pp != 6);
    out->writable = key ? pp == 2 : pp < 3;
    out->executable = !(f->r & (PTE_N | PTE_G)) && !(vsid & VSID_N) && out->readable;
}

/* Storage keys: two bits of AMR for each, a bit of IAMR (2.07, 5.7.9.1). */
static unsigned key_of(uint64_t r)
{
    return (r >> 57 & 0x18) | (r >> 9 & 7);
}

static bool key_allows(const PpcState *s, uint64_t r, MmuAccess access)
{
    unsigned key = key_of(r);

    if (!ppc_isa(s, ISA_V206)) {
        return true;
    }
    if (access == MMU_FETCH) {
        return !ppc_isa(s, ISA_V207) || !(s->spr[SPR_IAMR] >> (62 - 2 * key) & 1);
    }
    return !(s->spr[SPR_AMR] >> (62 - 2 * key) & (access == MMU_STORE ? 2 : 1));
}

bool ppc_walk_hash64(PpcState *s, uint64_t addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out)
{
    int segment = find_segment(s, addr);
    bool user = mode_is_user(mode);
    uint64_t vsid, within;
    Found f;

    if (segment < 0) {
        return ppc_mmu_fault(s, PPC_DSEG, 0);
    }
    vsid = s->slb_vsid[segment];
    if (access == MMU_FETCH && (vsid & VSID_N)) {
        return ppc_mmu_fault_dsi(s, access, FAULT_NO_EXECUTE);
    }
    if (!find_entry(s, addr, vsid, &f)) {
        return ppc_mmu_fault_dsi(s, access, FAULT_NO_PAGE);
    }
    within = (UINT64_C(1) << f.shift) - 1;
    *out = (MmuResult){ .phys = ((f.r & PTE_RPN & ~within) | (addr & within)) & ~UINT64_C(0xfff),
                        .page_size = ppc_engine_page(f.shift), .global = (addr & KERNEL_HALF) != 0 };
    set_rights(out, &f, vsid, user);
    s->page_uncached = uncached(s, f.r);
    if (debug) {
        return true;
    }
    if (access == MMU_FETCH && out->readable && !out->executable) {
        return ppc_mmu_fault_dsi(s, access, FAULT_NO_EXECUTE);
    }
    if (!out->readable || (access == MMU_STORE && !out->writable)) {
        return ppc_mmu_fault_dsi(s, access, FAULT_PROTECTION);
    }
    if (!key_allows(s, f.r, access)) {
        return ppc_mmu_fault_dsi(s, access, FAULT_KEY);
    }
    s->keys_used |= UINT32_C(1) << key_of(f.r);
    if (!(f.r & PTE_R) || (access == MMU_STORE && !(f.r & PTE_C))) {
        f.entry[14] |= PTE_R >> 8;
        if (access == MMU_STORE) {
            f.entry[15] |= PTE_C;
            f.r |= PTE_C;
        }
        ppc_table_written(s, f.where + 8, 8);
    }
    out->readable = out->readable && key_allows(s, f.r, MMU_LOAD);
    out->writable = out->writable && (f.r & PTE_C) && key_allows(s, f.r, MMU_STORE);
    return true;
}

/* A page that tlbie names: its virtual address, the segment's size and its own, as powers of two. */
typedef struct VirtualPage {
    uint64_t va;
    unsigned segment, shift;
} VirtualPage;

/* Flushes the page where a segment has it. Only the low 48 bits of a virtual address count: older processors are given no
 * more, and a page too many does no harm. */
static void flush_in_segment(PpcState *s, const Pair *pair, const VirtualPage *page)
{
    unsigned shift = page->segment;
    uint64_t va = page->va;
    uint64_t vsid = (pair->vsid & UINT64_C(0x3ffffffffffff000)) >> (shift == 40 ? 24 : 12);

    if (segment_shift(pair->vsid) == shift && !((vsid << shift ^ va) << 16 >> 16 >> shift)) {
        engine.flush_pages_everywhere(s->hot.cpu, pair->esid | (va & ((UINT64_C(1) << shift) - 1)), page->shift);
    }
}

/* The segments that some processor has translations of; it may be adding one now, but of a page that is gone already. */
static void flush_in_segments_of(PpcState *s, const PpcState *other, const VirtualPage *page)
{
    const Mmu64 *m = other->mmu;
    Pair pair;

    for (int i = -1; m && i < SPACES; i++) {
        const Pair *pairs = i < 0 ? m->kernel : m->space[i].pair;
        uint32_t n = i < 0 ? m->n_kernel : m->space[i].id ? m->space[i].n : 0;

        for (uint32_t k = 0; k < n; k++) {
            flush_in_segment(s, &pairs[k], page);
        }
    }
    for (int i = 0; i < SLB_SIZE; i++) {
        if (slb_pair(other, i, &pair)) {
            flush_in_segment(s, &pair, page);
        }
    }
}

/*
 * tlbie names a virtual page; those are its addresses in the spaces that have its segment. Pages of 4 KiB, and since 2.06
 * those of 64 KiB in segments of such (L in RB, and LP), are flushed alone; for the larger ones, the 970's L among them, and
 * scopes beyond a page all is.
 */
void ppc_tlbie_hash64(PpcState *s, uint64_t rb, uint32_t word)
{
    enum { L = 1, LP = 0xf000, LP_64K = 0x1000 };
    bool is_64k = (rb & (L | LP)) == (L | LP_64K);
    VirtualPage page = { .segment = (rb >> 8 & 3) == 1 ? 40 : 28, .shift = is_64k ? 16 : 12 };

    if (word >> 21 & 1 || ((rb & L) && !is_64k) || (rb >> 10 & 3)) {
        engine.flush_all_everywhere(s->hot.cpu);
        return;
    }
    page.va = rb & -(UINT64_C(1) << page.shift);
    for (int i = 0; i < cpu_count(); i++) {
        flush_in_segments_of(s, ppc_state(cpu_get(i)), &page);
    }
}
