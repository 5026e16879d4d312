/*
 * Translated blocks: by page for invalidation, by host code for faults; and the exits that are linked into each. By guest code
 * lookup.c has them.
 *
 * A block is identified by where its guest code lies in host memory, not by its guest-physical
 * address: shadow RAM and flash change what an address means without a store.
 */
#include "accel/tcg/internal.h"
#include "util/bits.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

GMutex tb_lock;
uint64_t eviction_count;
_Atomic uint32_t dead_interpreted;
BlockStats code_stats;

static Block *dead_list; /* of the interpreter */

/* The blocks of a code region in the order of their code. */
typedef struct RegionIndex {
    const HostBlock **blocks;
    uint32_t *starts[2];  /* of their code in line and out of line, from `base` on: a search meets few cache lines */
    const uint8_t *base;  /* the first block's code */
    _Atomic uint32_t n;
} RegionIndex;

/* The host's pages for so many blocks more are there at once, which costs less than a fault for each. */
#define INDEX_AHEAD 4096u

static RegionIndex *regions;
static unsigned n_regions;
static uint32_t region_capacity;

static CodePage *code_pages, *spare_pages; /* all; those that have been forgotten */
static uint64_t pages_kept; /* when those without blocks went last */

CodePage *code_page(RamBlock *ram, uint64_t page, bool create)
{
    void **table;

    if (!create && !ram->page_data) {
        return NULL;
    }
    table = ram_page_data(ram);
    if (!table[page] && create) {
        CodePage *cp = spare_pages;

        if (cp) {
            spare_pages = cp->next;
        } else {
            cp = g_new0(CodePage, 1);
        }
        cp->ram = ram;
        cp->number = page;
        cp->next = code_pages;
        code_pages = cp;
        code_stats.pages++;
        __atomic_store_n(&table[page], cp, __ATOMIC_RELEASE);
    }
    return __atomic_load_n(&table[page], __ATOMIC_ACQUIRE);
}

static uint64_t page_of(RamBlock *ram, const uint8_t *host)
{
    return (uint64_t)(host - ram->host) >> GUEST_PAGE_BITS;
}

#define PAGE_WORDS (GUEST_PAGE_SIZE / 64)

static void cover(uint64_t map[PAGE_WORDS], unsigned first, unsigned last)
{
    for (unsigned at = first, n; at <= last; at += n) {
        n = MIN(64 - at % 64, last + 1 - at);
        map[at / 64] |= n == 64 ? UINT64_MAX : ((UINT64_C(1) << n) - 1) << at % 64;
    }
}

/* vCPUs look without a lock: bytes that stay covered are so all the time. */
static void publish(CodePage *page, const uint64_t map[PAGE_WORDS])
{
    for (unsigned i = 0; i < PAGE_WORDS; i++) {
        atomic_store_explicit(&page->bytes[i], map[i], memory_order_relaxed);
    }
}

static void cover_runs(uint64_t map[PAGE_WORDS], const Block *block, unsigned list, unsigned first, unsigned last)
{
    cover(map, first, last);
    for (unsigned i = 0; list == 0 && i < block->n_more; i++) {
        cover(map, block->more[i].first, block->more[i].last);
    }
}

static void cover_block(uint64_t map[PAGE_WORDS], const Block *block, unsigned list, unsigned first, unsigned last)
{
    uint64_t own[PAGE_WORDS] = { 0 };

    if (list != 0 || !block->n_holes) {
        cover_runs(map, block, list, first, last);
        return;
    }
    cover_runs(own, block, list, first, last);
    for (unsigned i = 0; i < block->n_holes; i++) {
        unsigned at = (uintptr_t)block->holes[i].host & (GUEST_PAGE_SIZE - 1), end = at + block->holes[i].size;

        for (; at < end; at++) {
            own[at / 64] &= ~(UINT64_C(1) << at % 64);
        }
    }
    for (unsigned i = 0; i < PAGE_WORDS; i++) {
        map[i] |= own[i];
    }
}

static bool relies_on(const Block *block, const uint8_t *host, const uint8_t *last)
{
    const uint8_t *page = (const uint8_t *)((uintptr_t)block->host & PAGE_MASK);

    for (unsigned i = 0; i < block->n_more; i++) {
        if (host <= page + block->more[i].last && last >= page + block->more[i].first) {
            return true;
        }
    }
    return false;
}

bool code_block_covers(const Block *block, const uint8_t *host, unsigned size)
{
    const uint8_t *last = host + size - 1;

    for (unsigned i = 0; i < block->n_holes; i++) {
        if (host >= block->holes[i].host && last < block->holes[i].host + block->holes[i].size) {
            return false;
        }
    }
    return (host < block->host + block->size && last >= block->host) || relies_on(block, host, last) ||
           (block->host2 && host < block->host2 + block->size2 && last >= block->host2);
}

/* On which of its two lists a block is in a page. */
static unsigned list_of(const Block *block, RamBlock *ram, uint64_t page)
{
    return !(block->ram == ram && page_of(ram, block->host) == page);
}

/* What a block covers of a page. */
static void extent(const Block *block, unsigned list, unsigned *first, unsigned *last)
{
    unsigned start = list ? 0 : (unsigned)((uintptr_t)block->host & (GUEST_PAGE_SIZE - 1));

    *first = start;
    *last = start + (list ? block->size2 : block->size) - 1;
}

static void note_start(CodePage *cp, const Block *block, unsigned list)
{
    unsigned bit = ((uintptr_t)block->host & (GUEST_PAGE_SIZE - 1)) / STARTS_BYTES;

    if (list == 0) {
        cp->starts[bit / 64] |= UINT64_C(1) << bit % 64;
    }
}

static void add_to_page(Block *block, RamBlock *ram, uint64_t page, unsigned list)
{
    CodePage *cp = code_page(ram, page, true);
    uint64_t map[PAGE_WORDS];
    unsigned first, last;

    for (unsigned i = 0; i < PAGE_WORDS; i++) {
        map[i] = atomic_load_explicit(&cp->bytes[i], memory_order_relaxed);
    }
    extent(block, list, &first, &last);
    cover_block(map, block, list, first, last);
    publish(cp, map);
    note_start(cp, block, list);
    block->page_next[list] = cp->first;
    block->page_link[list] = &cp->first;
    if (cp->first) {
        cp->first->page_link[list_of(cp->first, ram, page)] = &block->page_next[list];
    }
    cp->first = block;
}

static void count_block(const Block *block, int sign)
{
    code_stats.blocks += sign;
    code_stats.guest_bytes += sign * (int64_t)(block->size + block->size2);
    if (block->code) {
        code_stats.host_bytes += sign * (int64_t)(block->code->size + block->code->cold_size);
        code_stats.usual_bytes += sign * (int64_t)block->code->usual_size;
    }
}

void code_block_insert(Block *block)
{
    index_add(block);
    add_to_page(block, block->ram, page_of(block->ram, block->host), 0);
    /* A block that wraps into its own page is found by its first part. */
    if (block->host2 && block->host2 != (const uint8_t *)((uintptr_t)block->host & PAGE_MASK)) {
        add_to_page(block, block->ram2, page_of(block->ram2, block->host2), 1);
    }
    count_block(block, 1);
}

/* The bytes that blocks cover, anew; a page without blocks is no code page any more. */
static void recount_page(CodePage *cp, RamBlock *ram, uint64_t page)
{
    uint64_t map[PAGE_WORDS] = { 0 };

    memset(cp->starts, 0, sizeof(cp->starts));
    for (Block *block = cp->first; block;) {
        unsigned first, last, list = list_of(block, ram, page);

        extent(block, list, &first, &last);
        cover_block(map, block, list, first, last);
        note_start(cp, block, list);
        block = block->page_next[list];
    }
    publish(cp, map);
    if (!cp->first && !cp->holds) {
        cp->pc_page = PAGE_NOWHERE;
        g_clear_pointer(&cp->scattered, g_free);
        g_clear_pointer(&cp->hot, g_free);
        if (atomic_load(&ram->page_stores[page]) == STORES_GOING) {
            atomic_store(&ram->page_stores[page], STORES_NOTED); /* who has not dropped it yet will not */
        }
        atomic_fetch_and(&ram->page_flags[page], (uint8_t)~PAGE_CODE);
    }
}

void code_page_release(RamBlock *ram, uint64_t page)
{
    CodePage *cp = code_page(ram, page, false);

    if (--cp->holds == 0 && !cp->first) {
        recount_page(cp, ram, page);
    }
}

static void remove_from_page(Block *block, RamBlock *ram, uint64_t page)
{
    unsigned list = list_of(block, ram, page);
    Block *next = block->page_next[list];

    if (!block->page_link[list]) {
        return; /* both parts of the block are on one page, and it is on one list */
    }
    *block->page_link[list] = next;
    if (next) {
        next->page_link[list_of(next, ram, page)] = block->page_link[list];
    }
    block->page_link[list] = NULL;
}

/* Far exits that go to a block, or through the jump cache since they could not. */
static HostExit *far_exits;

static void far_list_add(HostExit *exit)
{
    exit->next_far = far_exits;
    exit->far_link = &far_exits;
    if (far_exits) {
        far_exits->far_link = &exit->next_far;
    }
    far_exits = exit;
}

static void far_list_remove(HostExit *exit)
{
    if (exit->far_link) {
        *exit->far_link = exit->next_far;
        if (exit->next_far) {
            exit->next_far->far_link = exit->far_link;
        }
        exit->far_link = NULL;
    }
}

static void unlink_exit(HostExit *exit)
{
    Block *to = exit->link;
    HostExit **link = &to->in;

    while (*link && *link != exit) {
        link = &(*link)->next_in;
    }
    if (*link) {
        *link = exit->next_in;
    }
    far_list_remove(exit);
    tcg_unlink(exit);
    exit->link = NULL;
    exit->next_in = NULL;
}

void code_block_link(HostExit *exit, Block *to)
{
    exit->link = to;
    exit->next_in = to->in;
    to->in = exit;
    tcg_link(exit, to->code);
    if (exit->cached && !exit->far_link) {
        far_list_add(exit);
    }
    code_stats.linked++;
}

void code_block_link_cached(HostExit *exit)
{
    if (!exit->far_link) {
        far_list_add(exit);
    }
    tcg_link_cached(exit);
}

/* On 32-bit address spaces a pc may have wrapped: only so many bits count. */
static bool is_on_page(uint64_t pc, uint64_t page)
{
    return !((uint32_t)(pc ^ page) >> GUEST_PAGE_BITS);
}

void code_block_unlink_far(const uint64_t *page)
{
    for (HostExit *exit = far_exits, *next; exit; exit = next) {
        next = exit->next_far;
        if (exit->link && (!page || is_on_page(((Block *)exit->link)->key.base + exit->pc, *page))) {
            unlink_exit(exit);
        } else if (!exit->link && !page) {
            far_list_remove(exit); /* it may get another chance */
            tcg_unlink(exit);
        }
    }
}

void code_block_kill(Block *block)
{
    if (block->dead) {
        return;
    }
    block->dead = true;
    index_remove(block);
    remove_from_page(block, block->ram, page_of(block->ram, block->host));
    if (block->host2) {
        remove_from_page(block, block->ram2, page_of(block->ram2, block->host2));
    }
    while (block->in) {
        unlink_exit(block->in);
    }
    if (block->code) {
        for (unsigned i = 0; i < block->code->n_exits; i++) {
            if (block->code->exits[i].link) {
                unlink_exit(&block->code->exits[i]);
            }
            far_list_remove(&block->code->exits[i]);
        }
        tcg_retire(block->code);
    } else {
        block->dead_next = dead_list;
        dead_list = block;
        atomic_fetch_add(&dead_interpreted, 1);
    }
    count_block(block, -1);
    code_stats.killed++;
}

/* Of a store over blocks, the youngest of which was born then. What has run for long may well be made anew at once. */
static void note_rewrite(CodePage *cp, unsigned first, unsigned last, int64_t born)
{
    enum { FEW = 8, SHORT = 8, SOON = 200 };

    if (g_get_monotonic_time() - born > SOON) {
        cp->rewrites /= 2;
        return;
    }
    cp->rewrites++;
    if (cp->rewrites < FEW || last - first >= SHORT) {
        return;
    }
    if (!cp->patched) {
        cp->patched = g_new0(uint64_t, PAGE_WORDS);
    }
    cover(cp->patched, first, last);
}

bool code_page_is_patched(const CodePage *cp, unsigned first, unsigned last)
{
    for (unsigned at = first; cp->patched && at <= last; at++) {
        if (cp->patched[at / 64] >> at % 64 & 1) {
            return true;
        }
    }
    return false;
}

static bool has_bit(const uint64_t *bits, unsigned offset)
{
    return bits && bits[offset / 64] >> offset % 64 & 1;
}

static void set_bit(uint64_t **bits, unsigned offset)
{
    if (!*bits) {
        *bits = g_new0(uint64_t, PAGE_WORDS);
    }
    (*bits)[offset / 64] |= UINT64_C(1) << offset % 64;
}

bool code_page_is_scattered(const CodePage *cp, unsigned offset)
{
    return has_bit(cp->scattered, offset);
}

bool code_page_is_hot(const CodePage *cp, unsigned offset)
{
    return has_bit(cp->hot, offset);
}

static void kill_at(CodePage *cp, const PageEntry *entry, const uint8_t *host)
{
    for (Block *block = cp->first, *next; block; block = next) {
        next = block->page_next[list_of(block, entry->ram, entry_page(entry))];
        if (block->host == host) {
            code_block_kill(block);
        }
    }
}

bool code_is_hot(const PageEntry *entry, const uint8_t *host)
{
    unsigned offset = (uintptr_t)host & (GUEST_PAGE_SIZE - 1);
    CodePage *cp = code_page(entry->ram, entry_page(entry), false);

    if (!cp || !cp->first || has_bit(cp->hot, offset)) {
        return false;
    }
    kill_at(cp, entry, host);
    set_bit(&cp->hot, offset); /* last: a page whose only block this was has forgotten all */
    code_stats.hot++;
    return true;
}

void code_will_be_hot(const PageEntry *entry, const uint8_t *host)
{
    set_bit(&code_page(entry->ram, entry_page(entry), true)->hot, (uintptr_t)host & (GUEST_PAGE_SIZE - 1));
}

void code_is_not_hot(const PageEntry *entry, const uint8_t *host)
{
    unsigned offset = (uintptr_t)host & (GUEST_PAGE_SIZE - 1);
    CodePage *cp = code_page(entry->ram, entry_page(entry), false);

    if (cp && has_bit(cp->hot, offset)) {
        cp->hot[offset / 64] &= ~(UINT64_C(1) << offset % 64);
        kill_at(cp, entry, host);
    }
}

/* Of all threads, as all vCPUs share what is counted; in microseconds. */
static int64_t processor_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* Whether sites have met more new pages lately than all of them are worth: a hundredth of the time goes there. */
static bool sites_overloaded(int64_t now)
{
    enum { WINDOW = 32000, MANY = 16 };
    static int64_t start;
    static unsigned n;

    if (now - start > WINDOW) {
        start = now;
        n = 0;
    }
    return ++n > MANY;
}

void code_site_tired(TcgSiteUse *use)
{
    enum { LONG = 16000 }; /* a new page in 16 us costs a thousandth, and there may be many such sites */
    Block *block = use->block->engine;
    unsigned offset = (block->key.base + use->pc) & (GUEST_PAGE_SIZE - 1);
    int64_t now = processor_time();
    CodePage *cp;

    use->left = TCG_SITE_PATIENCE;
    g_mutex_lock(&tb_lock);
    if (!sites_overloaded(now) && (!use->since || now - use->since > LONG)) {
        use->since = now;
        g_mutex_unlock(&tb_lock);
        return;
    }
    if (!block->dead) {
        cp = code_page(block->ram, page_of(block->ram, block->host), true);
        code_block_kill(block);
        set_bit(&cp->scattered, offset); /* last, as above */
        code_stats.scattered++;
    }
    g_mutex_unlock(&tb_lock);
}

void blocks_kill_range(RamBlock *ram, uint64_t page, unsigned first, unsigned last)
{
    CodePage *cp = code_page(ram, page, false);
    const uint8_t *host = ram->host + (page << GUEST_PAGE_BITS) + first;
    int64_t born = 0;
    bool hit = false;

    if (!cp) {
        return;
    }
    for (Block *block = cp->first, *next; block; block = next) {
        next = block->page_next[list_of(block, ram, page)];
        if (code_block_covers(block, host, last - first + 1)) {
            born = MAX(born, block->born);
            code_block_kill(block);
            hit = true;
        }
    }
    if (hit) {
        note_rewrite(cp, first, last, born);
    }
    recount_page(cp, ram, page);
}

static bool loads(const Block *block, const uint8_t *host, unsigned size)
{
    for (unsigned i = 0; i < block->n_holes; i++) {
        if (host < block->holes[i].host + block->holes[i].size && host + size > block->holes[i].host) {
            return true;
        }
    }
    return false;
}

void blocks_kill_loaders(RamBlock *ram, uint64_t page, unsigned first, unsigned last)
{
    CodePage *cp = code_page(ram, page, false);
    const uint8_t *host = ram->host + (page << GUEST_PAGE_BITS) + first;

    if (!cp) {
        return;
    }
    for (Block *block = cp->first, *next; block; block = next) {
        next = block->page_next[list_of(block, ram, page)];
        if (loads(block, host, last - first + 1)) {
            code_block_kill(block);
        }
    }
    for (unsigned at = first; cp->patched && at <= last; at++) {
        cp->patched[at / 64] &= ~(UINT64_C(1) << at % 64);
    }
    cp->rewrites = 0;
    recount_page(cp, ram, page);
}

void blocks_kill_all(void)
{
    index_each_remove(code_block_kill);
}

bool code_page_is_shared(RamBlock *ram, uint64_t page, uint64_t pc)
{
    CodePage *cp = code_page(ram, page, true);
    uint64_t pc_page = pc & PAGE_MASK;

    if (cp->pc_page == PAGE_NOWHERE) {
        cp->pc_page = pc_page;
    } else if (cp->pc_page != pc_page && cp->pc_page != PAGE_ANYWHERE) {
        for (Block *block = cp->first, *next; block; block = next) {
            next = block->page_next[list_of(block, ram, page)];
            code_block_kill(block);
        }
        cp->pc_page = PAGE_ANYWHERE;
        code_stats.shared++;
    }
    return cp->pc_page == PAGE_ANYWHERE;
}

/* The back-end gives code of a region out in rising order, so this keeps the index sorted. */
void code_block_register_code(Block *block)
{
    RegionIndex *index;
    uint32_t n;

    if (!regions) {
        uint64_t used, size;

        tcg_code_usage(&used, &size);
        n_regions = tcg_region_count();
        region_capacity = round_up(size / n_regions / 16 + 1, INDEX_AHEAD);
        regions = g_new0(RegionIndex, n_regions);
        for (unsigned i = 0; i < n_regions; i++) {
            regions[i].blocks = map_zeroed(region_capacity * sizeof(*regions[i].blocks));
            regions[i].starts[0] = map_zeroed(2 * region_capacity * sizeof(*regions[i].starts[0]));
            regions[i].starts[1] = regions[i].starts[0] + region_capacity;
        }
    }
    index = &regions[tcg_region_of(block->code->code)];
    n = atomic_load(&index->n);
    g_assert(n < region_capacity);
    g_assert(n == 0 || index->blocks[n - 1]->code < block->code->code);
    if (n == 0) {
        index->base = block->code->code;
    }
    if (n % INDEX_AHEAD == 0) {
        touch_pages(&index->blocks[n], INDEX_AHEAD * sizeof(*index->blocks));
        touch_pages(&index->starts[0][n], INDEX_AHEAD * sizeof(*index->starts[0]));
        touch_pages(&index->starts[1][n], INDEX_AHEAD * sizeof(*index->starts[1]));
    }
    index->blocks[n] = block->code;
    index->starts[0][n] = block->code->code - index->base;
    index->starts[1][n] = block->code->cold - index->base;
    code_stats.metadata += sizeof(*block) + block->n_more * sizeof(*block->more) + sizeof(*index->blocks) + tcg_metadata_size(block->code);
    atomic_store_explicit(&index->n, n + 1, memory_order_release);
    block->code->engine = block;
}

/* Blocks lie in the same order in both parts of a region. Most often one that was made just now is asked for. */
static const HostBlock *find_host_pc(uintptr_t host_pc)
{
    const RegionIndex *index;
    const uint32_t *starts;
    uint32_t low = 0, high, step, offset;

    if (!regions || !tcg_is_code(host_pc)) {
        return NULL;
    }
    index = &regions[tcg_region_of((const void *)host_pc)];
    high = atomic_load_explicit(&index->n, memory_order_acquire);
    if (!high) {
        return NULL;
    }
    starts = index->starts[tcg_is_out_of_line(host_pc)];
    offset = host_pc - (uintptr_t)index->base;
    for (step = 1; step < high && starts[high - step] >= offset; step *= 2) {
        high -= step;
    }
    low = step < high ? high - step : 0;
    /* The last one that begins below. A return address may be right behind a block's code. */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (starts[middle] < offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return tcg_block_has(index->blocks[low], host_pc) ? index->blocks[low] : NULL;
}

/* The search goes to cache lines that nobody else uses; faults come from the same places again and again. */
const HostBlock *code_block_of_host_pc(uintptr_t host_pc)
{
    enum { KNOWN = 256 };
    static __thread struct {
        uintptr_t host_pc;
        uint64_t evictions;
        const HostBlock *block;
    } known[KNOWN], *k;

    k = &known[(host_pc ^ host_pc >> 8) % KNOWN];
    if (k->host_pc != host_pc || k->evictions != eviction_count || !k->block) {
        k->block = find_host_pc(host_pc);
        k->host_pc = host_pc;
        k->evictions = eviction_count;
    }
    return k->block;
}

static void block_free(Block *block)
{
    g_free(block->holes);
    if (block->ir) {
        ir_block_free(block->ir);
    }
    if (block->code) {
        code_stats.metadata -= sizeof(*block) + block->n_more * sizeof(*block->more) + sizeof(*regions->blocks) + tcg_metadata_size(block->code);
    } else {
        free(block);
    }
}

static void forget_jumps_of(SpaceTables *tables)
{
    for (int i = 0; i < JUMP_CACHES; i++) {
        JumpCache *jumps = &tables->jumps[i];

        jumps_clear(jumps, false);
        jumps_forget_blocks(jumps);
    }
}

static void forget_jumps(void)
{
    for (int i = 0; i < cpu_count(); i++) {
        EngineCpu *ec = cpu_get(i)->engine;

        for (int j = 0; ec && j < MMU_CONTEXTS; j++) {
            forget_jumps_of(&ec->contexts[j].own);
        }
        for (int j = 0; ec && j < WORLDS; j++) {
            forget_jumps_of(&ec->worlds[j].shared);
        }
    }
}

/* Bits of blocks that are gone may stay until a store hits one; then the page is counted anew. */
static void forget_page_if_empty(RamBlock *ram, uint64_t page)
{
    CodePage *cp = code_page(ram, page, false);

    if (!cp->first) {
        recount_page(cp, ram, page);
    }
}

/* A vCPU that delivers an exception does not wait for who is exclusive, and may be about to look at one: they stay in memory, covering nothing. */
void code_pages_forget_empty(void)
{
    for (CodePage **at = &code_pages, *cp; (cp = *at);) {
        if (cp->first || cp->holds) {
            at = &cp->next;
            continue;
        }
        recount_page(cp, cp->ram, cp->number);
        __atomic_store_n(&cp->ram->page_data[cp->number], NULL, __ATOMIC_RELEASE);
        *at = cp->next;
        g_clear_pointer(&cp->patched, g_free);
        cp->rewrites = 0;
        cp->next = spare_pages;
        spare_pages = cp;
        code_stats.pages--;
    }
    pages_kept = code_stats.pages;
}

/* A guest that runs for long has had code in all of its memory. */
static void forget_pages_if_many(void)
{
    enum { FEW = 1024 };

    if (code_stats.pages > 2 * pages_kept + FEW) {
        code_pages_forget_empty();
    }
}

void blocks_evict(unsigned region)
{
    RegionIndex *index = &regions[region];
    uint32_t n = regions ? index->n : 0;

    if (n == 0) {
        return; /* not used yet: nobody knows anything of it */
    }
    for (uint32_t i = 0; i < n; i++) {
        Block *block = index->blocks[i]->engine;

        if (!block->dead) {
            code_block_kill(block);
            forget_page_if_empty(block->ram, page_of(block->ram, block->host));
            if (block->host2) {
                forget_page_if_empty(block->ram2, page_of(block->ram2, block->host2));
            }
        }
    }
    forget_jumps();
    for (uint32_t i = 0; i < n; i++) {
        block_free(index->blocks[i]->engine);
    }
    index->n = 0;
    forget_pages_if_many();
    eviction_count++;
    code_stats.evicted += n;
}

void blocks_collect(void)
{
    forget_jumps();
    while (dead_list) {
        Block *block = dead_list;

        dead_list = block->dead_next;
        block_free(block);
    }
    forget_pages_if_many();
    atomic_store(&dead_interpreted, 0);
    eviction_count++;
}
