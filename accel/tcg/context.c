/*
 * MMU contexts: the TLB tables and jump caches (jumps.c) of each address space, kept while others run.
 *
 * Flushes of single pages are done in the current context at once. The others find them in a short
 * log when they are switched to; one that has missed too many is emptied. For general registers
 * only, as tlb.c.
 */
#include "accel/tcg/internal.h"
#include "accel/tcg/page-filter.h"

#include <time.h>

_Atomic uint64_t code_page_seq;

void large_add(LargeRanges *large, uint64_t addr, uint64_t size)
{
    uint64_t start = addr & -size, last = start + size - 1;
    uint64_t best_growth = UINT64_MAX;
    uint32_t best = 0;

    for (uint32_t i = 0; i < large->n; i++) {
        uint64_t low = MIN(start, large->range[i].start);
        uint64_t high = MAX(last, large->range[i].last);
        uint64_t growth = high - low - (large->range[i].last - large->range[i].start);

        if (growth < best_growth) {
            best_growth = growth;
            best = i;
        }
    }
    if (best_growth > size && large->n < LARGE_RANGES) {
        best = large->n++;
        large->range[best].start = start;
        large->range[best].last = last;
        return;
    }
    large->range[best].start = MIN(start, large->range[best].start);
    large->range[best].last = MAX(last, large->range[best].last);
}

static bool large_has(const LargeRanges *large, uint64_t addr)
{
    for (uint32_t i = 0; i < large->n; i++) {
        if (addr >= large->range[i].start && addr <= large->range[i].last) {
            return true;
        }
    }
    return false;
}

static void filter_clear(SpaceTables *tables)
{
    if (tables->has_jumps) {
        fill_words(tables->jump_pages, 0, G_N_ELEMENTS(tables->jump_pages));
        tables->has_jumps = false;
    }
}

SpaceTables *context_tables(EngineCpu *ec, unsigned mode)
{
    return is_system_mode(ec, mode) && !ec->globals->apart ? &ec->globals->shared : &ec->context->own;
}

static void tables_clear(SpaceTables *tables, bool keep_global)
{
    for (int i = 0; i < MMU_MODES; i++) {
        tlb_clear(&tables->tlb[i], keep_global);
    }
    for (int i = 0; i < JUMP_CACHES; i++) {
        jumps_clear(&tables->jumps[i], keep_global);
    }
    if (!keep_global) {
        filter_clear(tables);
    }
}

static void tables_drop_page(SpaceTables *tables, uint64_t page)
{
    for (unsigned mode = 0; mode < MMU_MODES; mode++) {
        tlb_drop_page(&tables->tlb[mode], page);
    }
    for (int i = 0; i < JUMP_CACHES && filter_has(tables->jump_pages, page_number(page)); i++) {
        jumps_drop_page(&tables->jumps[i], page);
    }
}

static void tables_drop_flagged_stores(SpaceTables *tables)
{
    uint64_t seq = atomic_load(&code_page_seq);

    if (tables->code_seq == seq) {
        return;
    }
    tables->code_seq = seq;
    for (int i = 0; i < MMU_MODES; i++) {
        tlb_drop_flagged_stores(&tables->tlb[i]);
    }
}

void context_flush(EngineCpu *ec, MmuContext *context, bool keep_global)
{
    pages_forget(&context->pages);
    context->large.n = 0;
    evidence_forget(&context->evidence);
    tables_clear(&context->own, keep_global);
    for (int i = 0; i < WORLDS; i++) {
        if (ec->worlds[i].owner == context) {
            tables_clear(&ec->worlds[i].shared, true);
        }
    }
    if (!keep_global) {
        context->flush_seq = ec->flush_seq;
    }
}

/* Pages that are flushed together: the address of the first, with log2 of their number in the bits below. */
static uint64_t pages_first(uint64_t pages)
{
    return pages & PAGE_MASK;
}

static uint64_t pages_end(uint64_t pages)
{
    return pages_first(pages) + ((uint64_t)GUEST_PAGE_SIZE << (pages & 63));
}

/* Of the second level and of the tables before it. */
static void drop_page(PageSets *sets, SpaceTables *tables, uint64_t page)
{
    pages_drop(sets, page);
    tables_drop_page(tables, page);
}

/* The part of a flush of pages that is the context's own. */
static void context_flush_pages(EngineCpu *ec, MmuContext *context, uint64_t pages)
{
    for (uint64_t page = pages_first(pages); page != pages_end(pages); page += GUEST_PAGE_SIZE) {
        if (large_has(&context->large, page)) {
            context_flush(ec, context, true);
        }
        drop_page(&context->pages, &context->own, page);
    }
}

/* One page of the context's, also from the tables that it shares. */
static void context_drop_page(EngineCpu *ec, MmuContext *context, uint64_t page)
{
    drop_page(&context->pages, &context->own, page);
    for (int i = 0; i < WORLDS; i++) {
        if (ec->worlds[i].owner == context) {
            tables_drop_page(&ec->worlds[i].shared, page);
        }
    }
}

void context_note_walk(EngineCpu *ec, uint64_t page, const MmuResult *result)
{
    if (!evidence_note(&ec->context->evidence, page, result)) {
        context_drop_page(ec, ec->context, page);
    }
}

/* More pages than this are not dropped one by one. */
enum { FEW_PAGES = 64 };

static void context_renew(EngineCpu *ec, MmuContext *context)
{
    uint64_t pages[FEW_PAGES];
    unsigned n = FEW_PAGES + 1;

    if (evidence_holds(&context->evidence)) {
        n = evidence_list_changed(&context->evidence, pages, FEW_PAGES);
    }
    if (n > FEW_PAGES) {
        ec->n_flushes++;
        context_flush(ec, context, true);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        context_drop_page(ec, context, pages[i]);
    }
}

void context_drop_flagged_stores(EngineCpu *ec)
{
    if (ec->context) {
        tables_drop_flagged_stores(&ec->context->own);
        tables_drop_flagged_stores(&ec->globals->shared);
    }
}

static void shared_flush_pages(SpaceTables *shared, uint64_t pages)
{
    for (uint64_t page = pages_first(pages); page != pages_end(pages); page += GUEST_PAGE_SIZE) {
        tables_drop_page(shared, page);
    }
}

static void context_catch_up(EngineCpu *ec, MmuContext *context)
{
    if (ec->flush_seq - context->flush_seq > FLUSH_LOG) {
        context_flush(ec, context, false);
    }
    while (context->flush_seq != ec->flush_seq) {
        uint64_t pages = ec->flush_log[context->flush_seq++ % FLUSH_LOG];

        context_flush_pages(ec, context, pages);
        if (ec->globals->owner == context) { /* other worlds were current since */
            shared_flush_pages(&ec->globals->shared, pages);
        }
    }
}

static MmuContext *context_of(EngineCpu *ec, uint64_t id)
{
    for (int i = 0; i < MMU_CONTEXTS; i++) {
        if (ec->contexts[i].valid && ec->contexts[i].id == id) {
            return &ec->contexts[i];
        }
    }
    return NULL;
}

static MmuContext *context_new(EngineCpu *ec, uint64_t id)
{
    MmuContext *context = &ec->contexts[0];

    for (int i = 1; i < MMU_CONTEXTS && context->valid; i++) {
        MmuContext *other = &ec->contexts[i];

        if (!other->valid || other->used < context->used) {
            context = other;
        }
    }
    context_flush(ec, context, false);
    context->id = id;
    context->valid = true;
    return context;
}

void globals_note_link(EngineCpu *ec, uint64_t addr)
{
    Globals *globals = ec->globals;
    uint64_t page = addr & PAGE_MASK;

    filter_add(globals->linked_pages, page_number(addr));
    globals->linked_first = globals->has_links ? MIN(globals->linked_first, page) : page;
    globals->linked_last = globals->has_links ? MAX(globals->linked_last, page) : page;
    globals->has_links = true;
}

/* Whether far exits may be linked to the page. Those of processes are out of a kernel's range. */
static bool may_be_linked(const Globals *globals, uint64_t page)
{
    return globals->has_links && page >= globals->linked_first && page <= globals->linked_last &&
           filter_has(globals->linked_pages, page_number(page));
}

static void unlink_far(EngineCpu *ec, const uint64_t *page)
{
    tcg_fp_sync(ec->cpu->state);
    g_mutex_lock(&tb_lock);
    code_block_unlink_far(page);
    g_mutex_unlock(&tb_lock);
}

static void globals_unlink(EngineCpu *ec, Globals *globals)
{
    if (globals->has_links) {
        fill_words(globals->linked_pages, 0, G_N_ELEMENTS(globals->linked_pages));
        globals->has_links = false;
        unlink_far(ec, NULL);
    }
}

static void globals_flush(EngineCpu *ec, Globals *globals)
{
    pages_forget(&globals->pages);
    globals->large.n = 0;
    tables_clear(&globals->shared, false);
    globals_unlink(ec, globals);
}

void globals_drop_page(EngineCpu *ec, uint64_t page)
{
    for (int i = 0; i < WORLDS; i++) {
        drop_page(&ec->worlds[i].pages, &ec->worlds[i].shared, page);
    }
}

/* The world's, over those of the one that was not used for longest; its address spaces go with them. */
static Globals *globals_of(EngineCpu *ec, uint64_t id)
{
    uint64_t world = id >> 32;
    Globals *oldest = &ec->worlds[0];

    for (int i = 0; i < WORLDS; i++) {
        if (ec->worlds[i].world == world && (ec->worlds[i].used || world == 0)) {
            return &ec->worlds[i];
        }
    }
    for (int i = 1; i < WORLDS; i++) {
        if (ec->worlds[i].used < oldest->used) {
            oldest = &ec->worlds[i];
        }
    }
    for (int i = 0; i < MMU_CONTEXTS; i++) {
        if (ec->contexts[i].valid && ec->contexts[i].id >> 32 == oldest->world) {
            context_flush(ec, &ec->contexts[i], false);
        }
    }
    globals_flush(ec, oldest);
    oldest->world = world;
    oldest->owner = NULL;
    oldest->apart = false;
    oldest->local_switches = 0;
    return oldest;
}

/* More blocks than this on pages that are not global, at so many more switches than others, and a kernel's tables are kept apart. */
enum { LOCAL_BLOCKS = 16, LOCAL_SWITCHES = 64 };

/* The current context's turn to have its pages in the shared tables. */
static void globals_own(EngineCpu *ec)
{
    Globals *globals = ec->globals;

    if (globals->owner != ec->context && !globals->apart) {
        unsigned n = 0;

        for (int i = 0; i < JUMP_CACHES; i++) {
            const JumpCache *jumps = &globals->shared.jumps[i];

            n += jumps->entries && !jumps->released ? jumps->filled[FILL_LOCAL].n : 0;
        }
        tables_clear(&globals->shared, true);
        globals->owner = ec->context;
        if (n > LOCAL_BLOCKS) {
            globals->local_switches++;
        } else if (globals->local_switches) {
            globals->local_switches--; /* a call of the firmware's runtime services now and then makes no such kernel */
        }
        if (globals->local_switches > LOCAL_SWITCHES) {
            globals->apart = true;
            globals->owner = NULL;
        }
    }
}

static void enter_world(EngineCpu *ec, uint64_t id)
{
    Globals *before = ec->globals;

    ec->globals = globals_of(ec, id);
    if (before && before != ec->globals && before->has_links && ec->ops->links_worlds) {
        ec->link_losses++;
        globals_unlink(ec, before);
    }
}

void kept_modes_forget(EngineCpu *ec, bool only_sites)
{
    for (unsigned i = 0; i < READY_MODES; i++) {
        if (ec->kept[i].ready && (ec->kept[i].has_sites || !only_sites)) {
            ec->kept[i].ready->from = READY_NONE;
        }
    }
}

/* The tables of some mode are others now. */
static void modes_changed(EngineCpu *ec)
{
    ec->modes_seq++;
    kept_modes_forget(ec, false);
}

static void release_idle(EngineCpu *ec, SpaceTables *tables)
{
    for (int i = 0; i < JUMP_CACHES; i++) {
        JumpCache *jumps = &tables->jumps[i];

        if (jumps->entries && !jumps->released && jumps->used <= ec->swept_clock && jumps != chosen(ec)->jumps &&
            jumps != ec->general.jumps) {
            jumps_release(jumps);
        }
    }
}

/*
 * The memory of jump caches that nobody has used for long, 1.6 MiB each: of address spaces that are gone, and of modes that were the
 * firmware's. Each that is used has been chosen since the last switch. No mode is known or kept now.
 */
static void sweep(EngineCpu *ec)
{
    enum { LONG = 10 }; /* seconds */
    struct timespec now;

    tcg_fp_sync(ec->cpu->state);
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (now.tv_sec - ec->swept_at < LONG) {
        return;
    }
    for (int i = 0; i < MMU_CONTEXTS; i++) {
        release_idle(ec, &ec->contexts[i].own);
    }
    for (int i = 0; i < WORLDS; i++) {
        release_idle(ec, &ec->worlds[i].shared);
    }
    ec->swept_at = now.tv_sec;
    ec->swept_clock = ec->clock;
}

static void context_enter(EngineCpu *ec, uint64_t id)
{
    enum { SWEEP = 64 };
    MmuContext *context = context_of(ec, id);

    ec->context = context ? context : context_new(ec, id);
    ec->context->used = ++ec->clock;
    enter_world(ec, id);
    ec->globals->used = ec->clock;
    modes_changed(ec);
    if (++ec->n_switches % SWEEP == 0) {
        sweep(ec);
    }
    context_catch_up(ec, ec->context);
    globals_own(ec);
    context_drop_flagged_stores(ec);
    for (unsigned i = 0; i < MMU_MODES; i++) {
        ec->tlb[i] = &context_tables(ec, i)->tlb[i];
    }
}

/* A kernel and its processes come in turn, and a 32-bit kernel's code with FS as processes left it and as it wants it. */
static JumpCache **recent_jumps(EngineCpu *ec, uint64_t flags)
{
    return &ec->recent_jumps[chosen(ec)->mode][(uint32_t)flags * 0x9e3779b1u >> 29];
}

/* Translated code does not tell how often it uses them. */
static void kept_jumps_used(EngineCpu *ec)
{
    for (unsigned i = 0; i < READY_MODES; i++) {
        if (ec->kept[i].ready && ec->kept[i].ready->from != READY_NONE) {
            ec->kept[i].chosen.jumps->used = ++ec->clock;
        }
    }
}

static void use_jumps(EngineCpu *ec, JumpCache *jumps)
{
    if (G_UNLIKELY(jumps->released)) {
        jumps_take_back(jumps);
    }
    jumps->used = ++ec->clock;
    ec->cpu->hot->jump_cache = jumps->entries;
}

static void choose_jumps(EngineCpu *ec, uint64_t flags, uint64_t base)
{
    ChosenMode *now = chosen(ec);
    JumpCache *list = context_tables(ec, now->mode)->jumps, *oldest = &list[0];
    JumpCache *recent = *recent_jumps(ec, flags);

    if (recent >= list && recent < list + JUMP_CACHES && recent->entries && recent->flags == flags && recent->base == base) {
        now->jumps = recent;
        use_jumps(ec, recent);
        return;
    }
    now->jumps = NULL;
    kept_jumps_used(ec);
    for (int i = 0; i < JUMP_CACHES && !now->jumps; i++) {
        if (list[i].entries && list[i].flags == flags && list[i].base == base) {
            now->jumps = &list[i];
        } else if (list[i].used < oldest->used) {
            oldest = &list[i];
        }
    }
    if (!now->jumps) {
        now->jumps = oldest;
        modes_changed(ec);
        if (oldest->entries) {
            jumps_clear(oldest, false);
        } else {
            jumps_allocate(oldest, JUMP_CACHE_SIZE >> ec->ops->tcg.pc_shift, list != ec->context->own.jumps);
        }
        oldest->flags = flags;
        oldest->pic_bits = 0; /* until the engine finds a block */
        oldest->base = base;
    }
    *recent_jumps(ec, flags) = now->jumps;
    use_jumps(ec, now->jumps);
}

void engine_update_mode(Cpu *cpu)
{
    EngineCpu *ec = cpu->engine;
    BlockKey key;
    uint64_t id;

    if (!ec) {
        return;
    }
    id = ec->ops->address_space_id(cpu);
    if (!ec->context || ec->context->id != id) {
        context_enter(ec, id);
    }
    ec->general.mode = ec->ops->mmu_mode(cpu, false);
    ec->kernel_mode = ec->ops->mmu_mode(cpu, true);
    ec->general.fetch_mode = ec->ops->fetch_mode ? ec->ops->fetch_mode(cpu) : ec->general.mode;
    *ec->chosen = &ec->general;
    tlb_publish(ec);
    ec->ops->block_key(cpu, &key);
    choose_jumps(ec, key.flags, key.base);
}

static KnownMode *known_modes(EngineCpu *ec, unsigned mode, uint64_t flags)
{
    return ec->known_modes[((uint32_t)(flags ^ flags >> 32) * 0x9e3779b1u >> 28 ^ mode) % KNOWN_MODES];
}

static bool still_holds(const EngineCpu *ec, const KnownMode *known, unsigned mode, uint64_t flags, uint64_t base)
{
    return known->seq == ec->modes_seq && known->flags == flags && known->base == base && known->mode == mode &&
           (!known->has_sites || known->tlb == ec->sites_of);
}

/* Apart, so that the usual way has few registers to save. */
static void __attribute__((noinline)) choose_mode(EngineCpu *ec, KnownMode known[KNOWN_WAYS], unsigned mode, uint64_t flags, uint64_t base)
{
    tlb_publish(ec);
    choose_jumps(ec, flags, base);
    known[1] = known[0];
    known[0] = (KnownMode){ flags, base, ec->tlb[mode], ec->general.jumps, ec->general.jumps->entries, ec->modes_seq, mode,
                            mode_has_sites(ec, mode) };
}

/* A system call and its return come here: what they chose last is still there, mostly. */
void engine_change_mode(Cpu *cpu, unsigned mode, unsigned fetch_mode, uint64_t flags, uint64_t base)
{
    EngineCpu *ec = cpu->engine;
    KnownMode *known;

    if (!ec || !ec->context) {
        return; /* the next block's start asks for all of it */
    }
    ec->general.mode = mode;
    ec->general.fetch_mode = fetch_mode;
    *ec->chosen = &ec->general;
    known = known_modes(ec, mode, flags);
    for (int i = 0; i < KNOWN_WAYS; i++) {
        if (G_LIKELY(still_holds(ec, &known[i], mode, flags, base))) {
            CpuHot *hot = cpu->hot;

            hot->tlb_mask = known[i].tlb->mask;
            hot->tlb_load = known[i].tlb->load;
            hot->tlb_store = known[i].tlb->store;
            hot->jump_cache = known[i].entries;
            known[i].jumps->used = ++ec->clock;
            ec->general.jumps = known[i].jumps;
            return;
        }
    }
    choose_mode(ec, known, mode, flags, base);
}

bool engine_keep_mode(Cpu *cpu, unsigned index, ReadyMode *ready)
{
    EngineCpu *ec = cpu->engine;
    KeptMode *kept;

    if (!ec || !ec->context || !chosen(ec)->jumps || chosen(ec)->jumps->entries != cpu->hot->jump_cache) {
        ready->from = READY_NONE;
        return false;
    }
    kept = &ec->kept[index];
    kept->ready = ready;
    kept->chosen = *chosen(ec);
    kept->has_sites = mode_has_sites(ec, kept->chosen.mode);
    ready->tlb_mask = cpu->hot->tlb_mask;
    ready->tlb_load = cpu->hot->tlb_load;
    ready->tlb_store = cpu->hot->tlb_store;
    ready->jump_cache = cpu->hot->jump_cache;
    ready->chosen = &kept->chosen;
    return true;
}

void engine_flush_all(Cpu *cpu)
{
    EngineCpu *ec = cpu->engine;

    if (!ec) {
        return;
    }
    ec->n_flushes++;
    for (int i = 0; i < WORLDS; i++) {
        globals_flush(ec, &ec->worlds[i]);
    }
    ec->flush_seq += FLUSH_LOG + 1;
    if (ec->context) {
        context_flush(ec, ec->context, false);
    }
}

void engine_flush_space(Cpu *cpu, uint64_t id, bool keep_global)
{
    EngineCpu *ec = cpu->engine;
    MmuContext *context;

    if (!ec) {
        return;
    }
    ec->n_flushes++;
    if (!keep_global) {
        globals_flush(ec, globals_of(ec, id));
    }
    if ((context = context_of(ec, id))) {
        context_flush(ec, context, keep_global);
    }
}

void engine_renew_space(Cpu *cpu, uint64_t id)
{
    EngineCpu *ec = cpu->engine;
    MmuContext *context = ec ? context_of(ec, id) : NULL;

    if (context) {
        ec->n_renewals++;
        context_renew(ec, context);
    }
}

/* Every address space whose id, as far as the mask goes, is this, and the global pages of their worlds. */
void engine_flush_spaces(Cpu *cpu, uint64_t id, uint64_t mask)
{
    EngineCpu *ec = cpu->engine;

    if (!ec) {
        return;
    }
    ec->n_flushes++;
    for (int i = 0; i < WORLDS; i++) {
        if (!((ec->worlds[i].world << 32 ^ id) & mask)) {
            globals_flush(ec, &ec->worlds[i]);
        }
    }
    for (int i = 0; i < MMU_CONTEXTS; i++) {
        if (ec->contexts[i].valid && !((ec->contexts[i].id ^ id) & mask)) {
            context_flush(ec, &ec->contexts[i], false);
        }
    }
}

void engine_flush_pages(Cpu *cpu, VirtAddr addr, unsigned shift)
{
    EngineCpu *ec = cpu->engine;
    uint64_t pages = (addr & -(UINT64_C(1) << shift)) | (shift - GUEST_PAGE_BITS);

    if (!ec || !ec->context) {
        return;
    }
    for (uint64_t page = pages_first(pages); page != pages_end(pages); page += GUEST_PAGE_SIZE) {
        if (large_has(&ec->globals->large, page)) {
            /* The other contexts are emptied when they are switched to, those of other worlds too. */
            ec->n_flushes++;
            globals_flush(ec, ec->globals);
            ec->flush_seq += FLUSH_LOG + 1;
            context_flush(ec, ec->context, false);
            return;
        }
        drop_page(&ec->globals->pages, &ec->globals->shared, page);
        if (may_be_linked(ec->globals, page)) {
            unlink_far(ec, &page);
        }
    }
    ec->flush_log[ec->flush_seq++ % FLUSH_LOG] = pages;
    context_flush_pages(ec, ec->context, pages);
    ec->context->flush_seq = ec->flush_seq;
}

void engine_flush_page(Cpu *cpu, VirtAddr addr)
{
    engine_flush_pages(cpu, addr, GUEST_PAGE_BITS);
}
