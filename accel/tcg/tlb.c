/*
 * The tables of pages: those that translated code looks at, and the larger second level.
 *
 * Compiled for general registers only, and without calls of memset and the like: translated code
 * gets here with guest vectors in the host's registers.
 */
#include "accel/tcg/internal.h"

#include <sys/mman.h>

/* The barrier keeps the compiler from making this a call of memset, which uses vectors. */
void fill_words(void *words, uint64_t value, size_t n)
{
    uint64_t *p = words;

    for (size_t i = 0; i < n; i++) {
        p[i] = value;
        __asm__ volatile("" ::: "memory");
    }
}

void *map_zeroed(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    g_assert(p != MAP_FAILED);
    return p;
}

void *map_zeroed_huge(size_t size)
{
    void *p = huge_pages_map(round_up(size, HUGE_PAGE));

    g_assert(p);
    return p;
}

void zero_pages(void *pages, size_t size)
{
    int error = madvise(pages, size, MADV_DONTNEED);

    g_assert(!error);
}

void fill_note(FillList lists[2], uint8_t *listed, uint32_t index, unsigned which)
{
    FillList *list = &lists[which];

    if (listed[index] & 1 << which) {
        return;
    }
    listed[index] |= 1 << which;
    if (list->n < FILL_MAX) {
        list->index[list->n++] = index;
    } else {
        list->overflow = true;
    }
}

enum { PAGES_ENTRIES = PAGES_SETS * PAGES_WAYS };

static uint64_t pages_set(uint64_t tag)
{
    uint64_t number = tag >> GUEST_PAGE_BITS;

    return (number ^ number >> 10) & (PAGES_SETS - 1);
}

/* Of a page that was dropped. If another page has that mark too, its place may be taken early. */
#define NO_MARK 0

/* An entry without it is another page's, or of an older generation. */
static uint64_t page_mark(const PageSets *sets, uint64_t tag)
{
    return tag ^ sets->generation << 48;
}

/* An entry of this generation, perhaps one that has been dropped; NULL: the way has none. */
static PageEntry *pages_at(const PageSets *sets, uint64_t set, unsigned way)
{
    uint32_t place = sets->places[set][way];

    return place >> 16 == (uint16_t)sets->generation ? &sets->entries[(uint16_t)place] : NULL;
}

PageEntry *pages_find(PageSets *sets, uint64_t tag)
{
    uint64_t mark = page_mark(sets, tag), set = pages_set(tag);

    if (!sets->entries) {
        return NULL;
    }
    for (int i = 0; i < PAGES_WAYS; i++) {
        if (sets->marks[set][i] == mark) {
            PageEntry *entry = pages_at(sets, set, i);

            if (entry && entry->tag == tag && entry->generation == sets->generation) {
                return entry;
            }
        }
    }
    return NULL;
}

void pages_drop(PageSets *sets, uint64_t page)
{
    uint64_t mark = page_mark(sets, page), set = pages_set(page);

    for (int i = 0; sets->entries && i < PAGES_WAYS; i++) {
        if (!((sets->marks[set][i] ^ mark) & PAGE_MASK)) {
            PageEntry *entry = pages_at(sets, set, i);

            if (entry && (entry->tag & PAGE_MASK) == page) {
                entry->generation = 0;
                sets->marks[set][i] = NO_MARK;
            }
        }
    }
}

/* The host's pages for more entries at once, which costs less than a fault for each. */
static void pages_touch(PageSets *sets)
{
    enum { AHEAD = 1024 };

    touch_pages(sets->entries + sets->touched, AHEAD * sizeof(*sets->entries));
    sets->touched += AHEAD;
}

static PageEntry *pages_take(PageSets *sets, uint64_t tag, unsigned way)
{
    uint64_t set = pages_set(tag);

    sets->marks[set][way] = page_mark(sets, tag);
    if (!pages_at(sets, set, way)) {
        if (sets->n_entries == sets->touched && sets->touched < PAGES_ENTRIES) {
            pages_touch(sets);
        }
        sets->places[set][way] = (uint32_t)(uint16_t)sets->generation << 16 | sets->n_entries++;
    }
    return pages_at(sets, set, way);
}

static void pages_allocate(PageSets *sets)
{
    enum { FEW = 256 };
    size_t index = PAGES_ENTRIES * (sizeof(**sets->marks) + sizeof(**sets->places));
    uint8_t *base = map_zeroed(index + (FEW + PAGES_ENTRIES) * sizeof(*sets->entries));

    G_STATIC_ASSERT(PAGES_ENTRIES <= 1 << 16);
    touch_pages(base, index + FEW * sizeof(*sets->entries));
    sets->touched = FEW;
    sets->marks = (void *)base;
    sets->places = (void *)(sets->marks + PAGES_SETS);
    sets->entries = (void *)(sets->places + PAGES_SETS);
    sets->generation = MAX(sets->generation, 1);
}

void pages_forget(PageSets *sets)
{
    sets->n_entries = 0;
    sets->generation++;
    if (!(uint16_t)sets->generation) { /* places of 65536 generations ago would count again */
        sets->generation++;
        if (sets->entries) {
            fill_words(sets->places, 0, sizeof(*sets->places) * PAGES_SETS / sizeof(uint64_t));
        }
    }
}

/* Where to put the page: over its older entry, or an invalid one, or any. */
PageEntry *pages_slot(PageSets *sets, uint64_t tag)
{
    PageEntry *found = pages_find(sets, tag);
    uint64_t set = pages_set(tag);

    if (found) {
        return found;
    }
    if (!sets->entries) {
        pages_allocate(sets);
    }
    /* By marks and places alone: the entries are on eight other cache lines. */
    for (int i = 0; i < PAGES_WAYS; i++) {
        if (!pages_at(sets, set, i) || sets->marks[set][i] == NO_MARK) {
            return pages_take(sets, tag, i);
        }
    }
    return pages_take(sets, tag, sets->next_way++ % PAGES_WAYS);
}

static uint32_t tlb_size(const Tlb *tlb)
{
    return tlb->mask / sizeof(TlbEntry) + 1;
}

static uint32_t tlb_index(const Tlb *tlb, uint64_t page)
{
    return page >> GUEST_PAGE_BITS & (tlb_size(tlb) - 1);
}

static void sites_clear(Tlb *tlb)
{
    if (tlb->sites) {
        tcg_sites_clear(tlb->sites);
    }
}

static void sites_drop_page(Tlb *tlb, uint64_t page)
{
    if (tlb->sites) {
        tcg_sites_drop_page(tlb->sites, page);
    }
}

/* Empties everything, whatever the lists say. */
static void tlb_wipe(Tlb *tlb)
{
    fill_words(tlb->load, TLB_INVALID, 2 * (size_t)tlb_size(tlb));
    fill_words(tlb->store, TLB_INVALID, 2 * (size_t)tlb_size(tlb));
    fill_words(tlb->listed, 0, tlb_size(tlb) / 8);
    for (int i = 0; i < 2; i++) {
        tlb->filled[i].n = 0;
        tlb->filled[i].overflow = false;
    }
    tlb->refills = 0;
}

static void tlb_allocate(Tlb *tlb)
{
    size_t table = TLB_MAX_SIZE * sizeof(TlbEntry);
    uint8_t *base = map_zeroed(2 * table + TLB_MAX_SIZE * (sizeof(*tlb->store_flags) + 1) + 2 * sizeof(FillList));

    tlb->load = (TlbEntry *)base;
    tlb->store = (TlbEntry *)(base + table);
    tlb->store_flags = (_Atomic uint8_t **)(base + 2 * table);
    tlb->listed = base + 2 * table + TLB_MAX_SIZE * sizeof(*tlb->store_flags);
    tlb->filled = (FillList *)(tlb->listed + TLB_MAX_SIZE);
    touch_pages(tlb->load, TLB_MIN_SIZE * sizeof(TlbEntry));
    touch_pages(tlb->store, TLB_MIN_SIZE * sizeof(TlbEntry));
    tlb->mask = (TLB_MIN_SIZE - 1) * sizeof(TlbEntry);
    tlb_wipe(tlb);
}

void tlb_clear(Tlb *tlb, bool keep_global)
{
    if (!tlb->load) {
        return;
    }
    sites_clear(tlb);
    if (tlb->filled[FILL_LOCAL].overflow || (!keep_global && tlb->filled[FILL_GLOBAL].overflow)) {
        tlb_wipe(tlb);
        return;
    }
    for (unsigned which = 0; which < (keep_global ? 1 : 2); which++) {
        FillList *list = &tlb->filled[which];

        for (uint32_t i = 0; i < list->n; i++) {
            uint32_t index = list->index[i];

            tlb->load[index].tag = TLB_INVALID;
            tlb->store[index].tag = TLB_INVALID;
            tlb->listed[index] &= ~(1 << which);
        }
        tlb->refills -= MIN(tlb->refills, list->n); /* for each one, which is not the size's fault */
        list->n = 0;
    }
}

/*
 * Sites are of one mode, so that a system call leaves them alone: the kernel's blocks have none. Those of what runs before
 * the first process, such as a kernel's decompressor, have; they go when it comes.
 */
static void sites_hand_over(EngineCpu *ec, Tlb *tlb)
{
    TcgSites *sites = tcg_sites(ec->cpu->hot);
    bool system = is_system_mode(ec, chosen(ec)->mode);

    if (tlb == ec->sites_of || !mode_has_sites(ec, chosen(ec)->mode)) {
        return;
    }
    if (!system && hot_before_processes(ec)) {
        hot_process_comes(ec);
    }
    if (ec->sites_of) {
        tcg_sites_clear(sites);
        ec->sites_of->sites = NULL;
    } else {
        tcg_sites_init(sites);
    }
    ec->sites_of = tlb;
    tlb->sites = sites;
    kept_modes_forget(ec, true);
}

/* The tables of the current context and mode, for translated code. */
void tlb_publish(EngineCpu *ec)
{
    Tlb *tlb = ec->tlb[chosen(ec)->mode];
    CpuHot *hot = ec->cpu->hot;

    if (!tlb->load) {
        tlb_allocate(tlb);
    }
    sites_hand_over(ec, tlb);
    hot->tlb_mask = tlb->mask;
    hot->tlb_load = tlb->load;
    hot->tlb_store = tlb->store;
}

void tlb_fill(EngineCpu *ec, Tlb *tlb, const PageEntry *entry, uint64_t page, bool load, bool store)
{
    uint64_t addend = (uintptr_t)entry->host - page;
    uint32_t index;
    bool may_load;

    if (!tlb->load) {
        tlb_allocate(tlb);
    }
    /* Much more refilled than flushes explain: too small for what the guest works on. */
    if (++tlb->refills > 4 * tlb_size(tlb) && tlb_size(tlb) < TLB_MAX_SIZE) {
        tlb->mask = (2 * (uint64_t)tlb_size(tlb) - 1) * sizeof(TlbEntry);
        tlb_wipe(tlb);
        sites_clear(tlb);
        tlb_publish(ec);
        kept_modes_forget(ec, false);
    }
    index = tlb_index(tlb, page);
    if (load) {
        tlb->load[index] = (TlbEntry){ page, addend };
    }
    if (store) {
        note_stores(entry);
    }
    may_load = entry->prot & PROT_LOAD || ec->ops->store_modes >> (entry->tag & ~PAGE_MASK) & 1;
    if (store && may_load && !(atomic_load(entry->flags) & PAGE_CODE)) { /* groups of accesses load by it too */
        if (tlb->store[index].tag != TLB_INVALID && tlb->store[index].tag != page) {
            sites_drop_page(tlb, tlb->store[index].tag); /* tlb_drop_flagged_stores notes writes to pages that the table has */
        }
        tlb->store[index] = (TlbEntry){ page, addend };
        tlb->store_flags[index] = entry->flags;
    }
    fill_note(tlb->filled, tlb->listed, index, entry->prot & PROT_GLOBAL ? FILL_GLOBAL : FILL_LOCAL);
    ec->n_fills++;
}

void tlb_drop_page(Tlb *tlb, uint64_t page)
{
    uint32_t index;

    if (!tlb->load) {
        return;
    }
    sites_drop_page(tlb, page);
    index = tlb_index(tlb, page);
    if (tlb->load[index].tag == page) {
        tlb->load[index].tag = TLB_INVALID;
    }
    if (tlb->store[index].tag == page) {
        tlb->store[index].tag = TLB_INVALID;
    }
}

static void drop_flagged(Tlb *tlb, uint32_t index)
{
    uint8_t flags, clean = PAGE_CLEAN_DISPLAY | PAGE_CLEAN_MIGRATION;

    if (tlb->store[index].tag == TLB_INVALID) {
        return;
    }
    flags = atomic_load_explicit(tlb->store_flags[index], memory_order_relaxed);
    if (!flags) {
        return;
    }
    tlb->store[index].tag = TLB_INVALID;
    if (flags & clean) {
        atomic_fetch_and(tlb->store_flags[index], (uint8_t)~clean);
    }
}

void tlb_drop_flagged_stores(Tlb *tlb)
{
    if (!tlb->load) {
        return;
    }
    sites_clear(tlb);
    if (tlb->filled[FILL_LOCAL].overflow || tlb->filled[FILL_GLOBAL].overflow) {
        for (uint32_t i = 0; i < tlb_size(tlb); i++) {
            drop_flagged(tlb, i);
        }
        return;
    }
    for (unsigned which = 0; which < 2; which++) {
        for (uint32_t i = 0; i < tlb->filled[which].n; i++) {
            drop_flagged(tlb, tlb->filled[which].index[i]);
        }
    }
}
