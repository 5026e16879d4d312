/*
 * What the pages of an address space follow from, so that it can be kept where the guest asks for it to be emptied.
 *
 * A processor without address-space identifiers forgets all pages that are not global whenever CR3 is written, which also is how
 * a kernel says that it has changed much. A translator pays far more for a walk, and for the blocks that it must look for again.
 * So a context remembers the table entries that its walks read, and what they said. Emptied it would walk again and might do that at
 * once, for any address: a processor may walk ahead. If all entries still say the same, it would find what it has. So they are
 * compared, a nanosecond each, pages whose own entry differs are dropped, and the rest counts as found anew.
 *
 * For general registers only, as tlb.c.
 */
#include "accel/tcg/internal.h"

static uint64_t read_now(const void *host, unsigned size)
{
    return size == 8 ? __atomic_load_n((const uint64_t *)host, __ATOMIC_RELAXED) : __atomic_load_n((const uint32_t *)host, __ATOMIC_RELAXED);
}

void evidence_forget(Evidence *e)
{
    e->n_upper = e->n_pages = 0;
    e->incomplete = false;
}

static void note_upper(Evidence *e, const MmuRead *read)
{
    for (unsigned i = 0; i < e->n_upper; i++) {
        if (e->upper[i].host == read->host) {
            e->incomplete |= e->upper[i].value != read->value; /* pages may follow from the older one */
            return;
        }
    }
    if (e->n_upper == EVIDENCE_UPPER) {
        e->incomplete = true;
        return;
    }
    e->upper[e->n_upper++] = *read;
}

static unsigned page_hash(uint64_t page)
{
    uint64_t number = page >> GUEST_PAGE_BITS;

    return number ^ number >> 10;
}

/* Where the page is in the list, or its empty place. A place counts if what it leads to leads back. */
static uint16_t *find_place(Evidence *e, uint64_t page)
{
    unsigned at = page_hash(page) % EVIDENCE_PLACES;

    for (;; at = (at + 1) % EVIDENCE_PLACES) {
        uint16_t *place = &e->place[at];

        if (*place >= e->n_pages || e->pages[*place].place != at || e->pages[*place].page == page) {
            return place;
        }
    }
}

static bool is_at(const Evidence *e, const uint16_t *place)
{
    return *place < e->n_pages && e->pages[*place].place == place - e->place;
}

/* Nothing that was derived from the old entry is wrong: the walk has set bits that only add rights. */
static bool only_gained(uint64_t old, uint64_t value, uint64_t may_gain)
{
    return !(old & ~value) && !((old ^ value) & ~may_gain);
}

bool evidence_note(Evidence *e, uint64_t page, const MmuResult *result)
{
    uint64_t generation = memory_generation();
    const MmuRead *leaf;
    PageEvidence *p;
    uint16_t *place;
    bool same;

    if (!e->n_pages) {
        e->generation = generation;
    }
    if (e->incomplete || !result->n_reads || e->generation != generation) {
        e->incomplete = true;
        return true;
    }
    for (unsigned i = 0; i + 1 < result->n_reads; i++) {
        note_upper(e, &result->read[i]);
    }
    leaf = &result->read[result->n_reads - 1];
    place = find_place(e, page);
    if (is_at(e, place)) {
        p = &e->pages[*place];
        same = p->host == leaf->host && only_gained(p->value, leaf->value, result->may_gain);
        p->host = leaf->host;
        p->value = leaf->value;
        return same;
    }
    if (e->n_pages == EVIDENCE_PAGES) {
        e->incomplete = true;
        return true;
    }
    *place = e->n_pages++;
    e->pages[*place] = (PageEvidence){ leaf->host, leaf->value, page, place - e->place, leaf->size };
    return true;
}

bool evidence_holds(const Evidence *e)
{
    if (e->incomplete || (e->n_pages && e->generation != memory_generation())) {
        return false;
    }
    for (unsigned i = 0; i < e->n_upper; i++) {
        if (read_now(e->upper[i].host, e->upper[i].size) != e->upper[i].value) {
            return false;
        }
    }
    return true;
}

unsigned evidence_list_changed(Evidence *e, uint64_t *pages, unsigned max)
{
    unsigned n = 0;

    for (unsigned i = 0; i < e->n_pages; i++) {
        PageEvidence *p = &e->pages[i];
        uint64_t now = read_now(p->host, p->size);

        if (G_LIKELY(now == p->value)) {
            continue;
        }
        if (n == max) {
            return max + 1;
        }
        p->value = now; /* nothing will be left that followed from the old one */
        pages[n++] = p->page;
    }
    return n;
}
