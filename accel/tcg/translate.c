/* From a block's key to something that runs: fetching guest code, the front end, passes, back-end. */
#include "accel/tcg/internal.h"

#include "tcg/region.h"
#include "util/bits.h"
#include "util/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INSNS 64
/* A page whose code is rewritten this often, and soon, gets short blocks, so that each rewrite costs less. */
#define MANY_REWRITES  64
#define SHORT_INSNS    8

/* The pages that a translation reads from: the one it begins on, and the next. */
typedef struct FetchPage {
    bool known, readable;
    bool held; /* see smc_hold */
    PageEntry entry;
    unsigned first;   /* offset of bytes[0] */
    uint8_t bytes[16]; /* of one instruction, if the page is a device's */
} FetchPage;

typedef struct Fetch {
    EngineCpu *ec;
    uint64_t vaddr;  /* of the block's first byte */
    uint64_t origin; /* of the pcs in the translation: added to one, it gives the virtual address */
    unsigned variant;
    FetchPage page[2];
    bool wanted_second;
    BlockHole holes[BLOCK_HOLES];
    unsigned n_holes;
} Fetch;

static IrBlock *scratch; /* under tb_lock */

/* 32-bit addresses may have wrapped: only their low half counts. */
static bool on_first_page(const Fetch *f, uint64_t vaddr)
{
    return !((vaddr ^ f->vaddr) & 0xfffff000);
}

static bool fetch_byte(Translation *t, uint64_t pc, uint8_t *byte)
{
    Fetch *f = t->engine;
    uint64_t vaddr = f->origin + pc;
    FetchPage *page = &f->page[!on_first_page(f, vaddr)];
    unsigned offset = vaddr & (GUEST_PAGE_SIZE - 1);

    if (page == &f->page[1]) {
        f->wanted_second = true;
    }
    if (!page->readable) {
        return false;
    }
    if (page->entry.host) {
        *byte = page->entry.host[offset];
        return true;
    }
    if (offset - page->first >= sizeof(page->bytes)) {
        return false;
    }
    *byte = page->bytes[offset - page->first];
    return true;
}

static const uint8_t *fetch_bytes(Translation *t, uint64_t pc, unsigned size)
{
    Fetch *f = t->engine;
    uint64_t vaddr = f->origin + pc;
    const FetchPage *page = &f->page[0];
    unsigned offset = vaddr & (GUEST_PAGE_SIZE - 1);

    return on_first_page(f, vaddr) && page->readable && page->entry.host && offset + size <= GUEST_PAGE_SIZE ? page->entry.host + offset : NULL;
}

static const uint8_t *patched(Translation *t, uint64_t pc, unsigned size)
{
    Fetch *f = t->engine;
    uint64_t vaddr = f->origin + pc;
    const PageEntry *entry = &f->page[0].entry;
    unsigned offset = vaddr & (GUEST_PAGE_SIZE - 1);
    const CodePage *cp;

    if (f->variant || !entry->host || !on_first_page(f, vaddr) || offset + size > GUEST_PAGE_SIZE) {
        return NULL;
    }
    for (unsigned i = 0; i < f->n_holes; i++) {
        if (f->holes[i].host == entry->host + offset && f->holes[i].size == size) {
            return entry->host + offset;
        }
    }
    cp = code_page(entry->ram, entry_page(entry), false);
    if (f->n_holes == BLOCK_HOLES || !cp || !code_page_is_patched(cp, offset, offset + size - 1)) {
        return NULL;
    }
    f->holes[f->n_holes++] = (BlockHole){ entry->host + offset, size };
    return entry->host + offset;
}

static bool may_be_patched(Translation *t, uint64_t pc, unsigned size)
{
    const Fetch *f = t->engine;
    uint64_t vaddr = f->origin + pc;
    const PageEntry *entry = &f->page[0].entry;
    unsigned offset = vaddr & (GUEST_PAGE_SIZE - 1);
    const CodePage *cp = entry->host && on_first_page(f, vaddr) ? code_page(entry->ram, entry_page(entry), false) : NULL;

    return cp && code_page_is_patched(cp, offset, MIN(offset + size, GUEST_PAGE_SIZE) - 1);
}

static bool is_scattered(void *opaque, uint64_t pc)
{
    Translation *t = opaque;
    Fetch *f = t->engine;
    const PageEntry *entry = &f->page[0].entry;
    const CodePage *cp = entry->host ? code_page(entry->ram, entry_page(entry), false) : NULL;

    return cp && code_page_is_scattered(cp, (f->origin + pc) & (GUEST_PAGE_SIZE - 1));
}

static bool is_hot(const Fetch *f)
{
    const PageEntry *entry = &f->page[0].entry;
    const CodePage *cp;

    if (engine_options.sites != SITES_HOT || !entry->host) {
        return engine_options.sites == SITES_ALL;
    }
    cp = code_page(entry->ram, entry_page(entry), false);
    return cp && code_page_is_hot(cp, f->vaddr & (GUEST_PAGE_SIZE - 1));
}

/* Where another block begins: what is not hot is not translated a second time behind that. */
static uint64_t next_known(const Fetch *f, const BlockKey *key)
{
    const PageEntry *entry = &f->page[0].entry;
    const CodePage *cp = entry->host ? code_page(entry->ram, entry_page(entry), false) : NULL;

    return cp ? code_block_next(key, cp, entry->host + (f->vaddr & (GUEST_PAGE_SIZE - 1))) : 0;
}

static bool may_use_sites(const Fetch *f)
{
    return (is_system_mode(f->ec, chosen(f->ec)->mode) ? hot_before_processes(f->ec) : scratch->use_sites) && is_hot(f);
}

static bool has_breakpoint(Translation *t, uint64_t pc)
{
    Fetch *f = t->engine;

    return !(f->variant & VARIANT_SINGLE) && debug_has_breakpoint(f->origin + pc);
}

/*
 * Direct exits may be linked within the page that the block begins on, but not to blocks that go on
 * in the next page: an instruction may begin close to the end.
 */
static bool is_far(void *opaque, uint64_t pc)
{
    enum { LONGEST_INSN = 15 };
    Translation *t = opaque;
    Fetch *f = t->engine;
    uint64_t addr = f->origin + pc;

    return !on_first_page(f, addr) || (addr & (GUEST_PAGE_SIZE - 1)) > GUEST_PAGE_SIZE - LONGEST_INSN;
}

/* Devices want the machine lock, which is not to be had once tb_lock is held. */
static void read_device(Fetch *f, FetchPage *page, unsigned first)
{
    page->first = first;
    for (unsigned i = 0; i < sizeof(page->bytes) && first + i < GUEST_PAGE_SIZE; i++) {
        page->bytes[i] = memory_load(f->ec->cpu->memory, page->entry.phys + first + i, 1);
    }
}

static bool open_page(Fetch *f, unsigned which)
{
    FetchPage *page = &f->page[which];
    uint64_t vaddr = which ? (f->vaddr & PAGE_MASK) + GUEST_PAGE_SIZE : f->vaddr;
    PageEntry *entry = mmu_page_or_null(f->ec, vaddr, MMU_FETCH, chosen(f->ec)->fetch_mode);

    page->known = true;
    page->readable = entry != NULL;
    if (!entry) {
        f->ec->fetch_addr = vaddr;
        return false;
    }
    page->entry = *entry;
    if (!entry->host) {
        read_device(f, page, vaddr & (GUEST_PAGE_SIZE - 1));
    }
    return true;
}

static void hold_page(Fetch *f, unsigned which)
{
    FetchPage *page = &f->page[which];

    if (page->readable && page->entry.host) {
        page->held = true;
        smc_hold(f->ec, page->entry.ram, entry_page(&page->entry));
    }
}

/* Under tb_lock. */
static void release_pages(Fetch *f)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(f->page); i++) {
        const PageEntry *entry = &f->page[i].entry;

        if (f->page[i].held) {
            code_page_release(entry->ram, entry_page(entry));
        }
    }
}

static void log_guest_code(Translation *t)
{
    const GuestOps *ops = guest_ops(t->cpu);
    uint64_t pc = t->key->pc;
    g_autoptr(GString) text = g_string_new(NULL);

    while (ops->disassemble && (int64_t)(t->end_pc - pc) > 0) {
        uint8_t code[16];
        unsigned size = 0, length;

        while (size < sizeof(code) && pc + size != t->end_pc && t->fetch(t, pc + size, &code[size])) {
            size++;
        }
        length = ops->disassemble(t->key, code, size, pc, text);
        g_string_append_c(text, '\n');
        pc += MAX(length, 1);
    }
    log_write(LOG_IN_ASM, "guest code at %" PRIx64 ":%" PRIx64 " flags %" PRIx64 " phys %" PRIx64
              "\n%s\n", t->key->base, t->key->pc, t->key->flags, (uint64_t)t->key->phys, text->str);
}

static void log_ir(LogMask mask, const IrBlock *ir, const char *when)
{
    if (log_enabled(mask)) {
        g_autoptr(GString) text = g_string_new(NULL);

        ir_dump(ir, text);
        log_write(mask, "%s:\n%s\n", when, text->str);
    }
}

static void check_ir(const IrBlock *ir, const BlockKey *key)
{
    char *why = NULL;

    if (!ir_verify(ir, &why)) {
        g_autoptr(GString) text = g_string_new(NULL);

        ir_dump(ir, text);
        g_error("wrong IR for the code at %" PRIx64 ":%" PRIx64 ": %s\n%s", key->base, key->pc, why,
                text->str);
    }
}

static bool wants_checks(void)
{
    return engine_options.interpret || engine_options.verify ||
           log_enabled(LOG_OP | LOG_OP_OPT | LOG_OUT_ASM);
}

/*
 * One vCPU alone: what is mapped globally is so in all of its address spaces, but perhaps not in those of another. Nor is it in those of
 * another world: links are undone when one comes, and no longer made where they come and go.
 */
bool far_links_allowed(const EngineCpu *ec)
{
    enum { WORLDS_THAT_FOLLOW = 64 };

    if (!ec->ops->links_global || !is_system_mode(ec, chosen(ec)->mode) || !ec->globals || cpu_count() > 1) {
        return false;
    }
    return ec->ops->links_worlds ? ec->link_losses < WORLDS_THAT_FOLLOW : ec->globals->world == 0;
}

static void build_ir(Translation *t)
{
    const GuestOps *ops = guest_ops(t->cpu);

    if (!scratch) {
        scratch = ir_block_new(ops->tcg.slots, ops->tcg.n_slots, ops->helpers, ops->n_helpers);
    }
    ir_block_reset(scratch);
    scratch->pic_bits = t->key->pic_bits;
    scratch->links_far = !t->key->pic_bits && !((Fetch *)t->engine)->variant && far_links_allowed(((Fetch *)t->engine)->ec);
    t->ir = scratch;
    ops->translate(t);
    scratch->scattered = is_scattered;
    scratch->use_sites = may_use_sites(t->engine);
    if (log_enabled(LOG_IN_ASM)) {
        log_guest_code(t);
    }
    log_ir(LOG_OP, scratch, "IR");
    if (wants_checks()) {
        check_ir(scratch, t->key);
    }
    ir_optimise(scratch);
    log_ir(LOG_OP_OPT, scratch, "IR after the passes");
    if (wants_checks()) {
        check_ir(scratch, t->key);
    }
    code_stats.translated++;
    code_stats.insns += t->n_insns;
}

static unsigned insn_limit(Fetch *f)
{
    const PageEntry *entry = &f->page[0].entry;
    CodePage *page;

    if (f->variant) {
        return 1;
    }
    if (!entry->host) {
        return 1; /* devices: whatever is read may change with the next access */
    }
    page = code_page(entry->ram, entry_page(entry), false);
    return page && page->rewrites > MANY_REWRITES ? SHORT_INSNS : MAX_INSNS;
}

/* What it relies on besides, as far as the bytes at its pc do not have it. */
static unsigned other_runs(const Fetch *f, const Translation *t, BlockRun runs[TRANSLATION_MORE])
{
    unsigned n = 0;

    for (unsigned i = 0; i < t->n_more; i++) {
        uint64_t pc = t->more[i].pc, end = pc + t->more[i].size;
        unsigned first = (f->origin + pc) & (GUEST_PAGE_SIZE - 1);

        if (pc - t->key->pc >= t->end_pc - t->key->pc || end - t->key->pc > t->end_pc - t->key->pc) {
            runs[n++] = (BlockRun){ first, MIN(first + t->more[i].size, GUEST_PAGE_SIZE) - 1 };
        }
    }
    return n;
}

/* What the block covers, in guest memory. */
static void measure(Block *block, Fetch *f, const Translation *t)
{
    uint64_t bytes = t->end_pc - t->key->pc;
    unsigned offset = f->vaddr & (GUEST_PAGE_SIZE - 1), room = GUEST_PAGE_SIZE - offset;

    block->host = f->page[0].entry.host ? f->page[0].entry.host + offset : NULL;
    block->ram = f->page[0].entry.ram;
    block->size = CLAMP(bytes, 1, room);
    if (bytes > room && bytes < 2 * GUEST_PAGE_SIZE && f->page[1].readable) {
        block->host2 = f->page[1].entry.host;
        block->ram2 = f->page[1].entry.ram;
        block->size2 = MIN(bytes - room, GUEST_PAGE_SIZE);
    }
}

/* Under tb_lock. NULL: no room for code, or the second page is wanted first. */
static Block *translate(Fetch *f, const BlockKey *key, unsigned limit, bool *once)
{
    bool hot = !f->variant && (is_hot(f) || hot_by_default(f->ec, &f->page[0].entry, f->vaddr));
    Translation t = {
        .cpu = f->ec->cpu,
        .key = key,
        .max_insns = limit,
        .single_step = f->variant & VARIANT_STEP,
        .fetch = fetch_byte,
        .bytes = fetch_bytes,
        .patched = patched,
        .may_be_patched = may_be_patched,
        .has_breakpoint = has_breakpoint,
        .engine = f,
        .is_hot = hot,
        .next_known = f->variant || hot ? 0 : next_known(f, key),
        .end_pc = key->pc,
    };
    BlockRun runs[TRANSLATION_MORE];
    HostBlock *code = NULL;
    Block *block;
    size_t bytes;

    f->wanted_second = false;
    f->n_holes = 0;
    build_ir(&t);
    /* Without the second page the block ends before it, unless its first instruction needs it. */
    if (f->wanted_second && !f->page[1].known && t.n_insns <= 1) {
        return NULL;
    }
    f->wanted_second &= f->page[1].known;
    if (!engine_options.interpret) {
        code = tcg_compile(t.ir, is_far, &t);
        if (!code) {
            f->wanted_second = false;
            return NULL;
        }
    }
    t.n_more = other_runs(f, &t, runs);
    bytes = sizeof(*block) + t.n_more * sizeof(*runs);
    block = code ? tcg_region_alloc(bytes, 64) : aligned_alloc(64, round_up(bytes, 64));
    if (!block) {
        g_assert(code);
        f->wanted_second = false;
        return NULL;
    }
    *block = (Block){ 0 };
    block->key = *key;
    block->variant = f->variant;
    block->n_insns = t.n_insns;
    block->born = g_get_monotonic_time();
    block->code = code;
    if (engine_options.interpret || engine_options.verify) {
        block->ir = ir_block_copy(t.ir);
    }
    measure(block, f, &t);
    block->n_more = t.n_more;
    memcpy(block->more, runs, t.n_more * sizeof(*runs));
    block->holes = f->n_holes ? g_memdup2(f->holes, f->n_holes * sizeof(*f->holes)) : NULL;
    block->n_holes = f->n_holes;
    if (code) {
        code->n_insns = t.n_insns;
        code->pc = key->pc; /* a block without a poll need not say it */
        code_block_register_code(block);
        if (engine_options.perf_map) {
            perf_map_add(block);
        }
        if (log_enabled(LOG_OUT_ASM)) {
            g_autofree char *text = tcg_disassemble_host(code);

            log_write(LOG_OUT_ASM, "host code:\n%s\n", text ? text : "(no disassembler)");
        }
    }
    *once = !block->host || (f->wanted_second && (!f->page[1].readable || !f->page[1].entry.host));
    if (*once) {
        block->dead = true;
    } else {
        code_block_insert(block);
    }
    return block;
}

/* The next code region becomes empty and the one being filled. */
static void make_room(EngineCpu *ec)
{
    exclusive_begin(ec);
    g_mutex_lock(&tb_lock);
    blocks_evict((tcg_region_current() + 1) % tcg_region_count());
    tcg_region_next();
    g_mutex_unlock(&tb_lock);
    exclusive_end(ec);
}

/*
 * The block that the jump cache had here, if it still is the one: flushes empty the cache's entries
 * but mostly change nothing.
 */
static Block *remembered(EngineCpu *ec, const BlockKey *key, unsigned variant, const uint8_t *host)
{
    Block *block = variant ? NULL : chosen(ec)->jumps->blocks[jump_cache_index(key->pc, ec->ops->tcg.pc_shift)];

    if (block && !block->dead && block->host == host && (block->key.pic_bits || block->key.pc == key->pc) &&
        block->key.flags == key->flags && block->key.base == key->base && !block->host2 &&
        !block->variant) {
        return block;
    }
    return NULL;
}

/* Under tb_lock: the key of the block to look for or make, for this pc or for all that are so far into a page. */
static void choose_place(Fetch *f, BlockKey *key)
{
    const PageEntry *entry = &f->page[0].entry;

    if (key->pic_bits && entry->host && !f->variant && !debug_has_breakpoints() &&
        code_page_is_shared(entry->ram, entry_page(entry), key->pc)) {
        f->origin = key->pc & PAGE_MASK;
        key->pc &= ~PAGE_MASK;
    } else {
        f->origin = key->base;
        key->pic_bits = 0;
    }
}

Lookup translate_lookup(EngineCpu *ec, const BlockKey *wanted, unsigned variant)
{
    BlockKey place = *wanted, *key = &place;
    Fetch f = { .ec = ec, .vaddr = code_address(ec, key), .variant = variant };
    const uint8_t *host, *host2 = NULL;
    Lookup found = { 0 };
    unsigned limit;
    bool crosses = false;

    if (!open_page(&f, 0)) {
        return found;
    }
    found.global = f.page[0].entry.prot & PROT_GLOBAL;
    key->phys = f.page[0].entry.phys + (f.vaddr & (GUEST_PAGE_SIZE - 1));
    host = f.page[0].entry.host ? f.page[0].entry.host + (f.vaddr & (GUEST_PAGE_SIZE - 1)) : NULL;
    if (host && (found.block = remembered(ec, key, variant, host))) {
        return found;
    }
    g_mutex_lock(&tb_lock);
    choose_place(&f, key);
    if (host) {
        found.block = code_block_find(key, variant, host, NULL);
        crosses = !found.block && code_block_crosses(key, variant, host);
    }
    g_mutex_unlock(&tb_lock);
    if (found.block) {
        return found;
    }
    limit = insn_limit(&f);
    hold_page(&f, 0);
    for (unsigned tries = 0;; tries++) {
        if (crosses && !f.page[1].known) {
            open_page(&f, 1);
            hold_page(&f, 1);
            host2 = f.page[1].readable ? f.page[1].entry.host : NULL;
        }
        g_mutex_lock(&tb_lock);
        found.block = host ? code_block_find(key, variant, host, host2) : NULL;
        if (!found.block) {
            found.block = translate(&f, key, limit, &found.once);
        }
        if (found.block) {
            release_pages(&f);
        }
        g_mutex_unlock(&tb_lock);
        if (found.block) {
            if (found.block->host2 && !(f.page[1].known && f.page[1].entry.prot & PROT_GLOBAL)) {
                found.global = false;
            }
            return found;
        }
        if (f.wanted_second) {
            crosses = true;
            continue;
        }
        make_room(ec);
        if (tries > 2 && limit > 1) {
            limit /= 2; /* its code does not even fit into an empty region */
        }
    }
}

void translate_discard(Block *block)
{
    /* Host code stays until its region is evicted, as for any dead block. */
    if (!block->code) {
        ir_block_free(block->ir);
        g_free(block->holes);
        free(block);
    }
}
