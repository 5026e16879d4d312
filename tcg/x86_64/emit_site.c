/*
 * Sites: accesses that seem to stay on one page for a while, which they remember. The usual path compares with that page, and
 * takes neither an index from the address nor waits for the table of pages. Another page: a thunk looks at the table as
 * always, keeps its entry for the next time, and the check is made again.
 *
 * The pages are kept with the CPU (TcgSites), not in the code, and their number is small: a site shares its entry with
 * others, of the same class of sizes, which cost each other some misses and nothing else. Loads and stores do not share:
 * a page that can be read need not be one that can be written. Addresses that are known when the code is made share by page.
 *
 * In a kernel's code (IrBlock.links_far), whose next pages mostly are at the next addresses of the host too, an entry has the run of them. How far
 * an access may be into it depends on its size: by its class, so that the shorter ones of a class miss the run's last bytes.
 *
 * Where the engine keeps account of those that meet new pages all the time (IrBlock.scattered), every access is tried.
 */
#include "backend.h"

typedef struct SiteClass {
    uint16_t size; /* accesses, or spans of them, of up to so many bytes */
    uint16_t first, count; /* entries of loads; as many of stores are behind them */
} SiteClass;

static const SiteClass classes[] = { { 8, 0, 128 }, { 16, 256, 24 }, { 64, 304, 16 }, { 256, 336, 12 } };
static const SiteClass of_known_pages = { 0, 360, 24 }, of_one_page = { 0, 408, 20 };

G_STATIC_ASSERT(TCG_SITES == 408 + 2 * 20);
G_STATIC_ASSERT(AREA_SITES + (int)sizeof(TcgSites) <= AREA_SWAP);

static Mem field(const TcgSiteUse *use, size_t offset)
{
    return mem_state(use->entry + (int32_t)offset);
}

/* Whether an address is made of stack and frame pointers: other registers may well be elsewhere the next time. */
static bool is_steady(const Context *c, uint32_t id, unsigned depth)
{
    const IrBlock *ir = c->ir;
    const IrInsn *def = &ir->insns[ir->value_def[id]];

    switch (def->op) {
    case IR_const:
        return true;
    case IR_get:
        return c->ir->steady_slots >> def->bits & 1;
    case IR_add:
    case IR_sub:
    case IR_shl:
        return depth && is_steady(c, def->in[0], depth - 1) && is_steady(c, def->in[1], depth - 1);
    case IR_sext:
    case IR_zext:
        return depth && is_steady(c, def->in[0], depth - 1);
    default:
        return false;
    }
}

/*
 * Operands of the x87 and single numbers of the vector unit: what programs compute with is together more often than what
 * they copy, and the addresses that a table is asked for are in the way of much.
 */
static bool is_number(const Context *c, const IrInsn *insn)
{
    const IrRaw *raw = insn->op == IR_raw ? &c->ir->raws[insn->bits & ~IRB_FLAGS] : NULL;

    return raw && (raw->x87 ? raw->reg_role == RAW_DIGIT : raw->reg_role == RAW_XMM && raw->mem_size <= 8);
}

bool site_wanted(const Context *c, const IrInsn *insn)
{
    enum { DEPTH = 6 };
    const LoopAccess *access;

    if (!c->ir->use_sites || c->block->n_sites + LOOP_ROOTS + GROUP_ROOTS > c->block->max_sites) {
        return false;
    }
    if (c->ir->scattered) {
        return !c->ir->scattered(c->opaque, c->pc);
    }
    access = loop_access_at(c, c->i);
    return access ? access->steps : is_number(c, insn) || is_steady(c, insn->in[0], DEPTH);
}

static const SiteClass *class_of(unsigned size)
{
    const SiteClass *class = classes;

    while (size > class->size) {
        class++;
    }
    return class;
}

/*
 * Entries go round: what is found hot one after another is part of one program mostly, and does not meet itself until it has taken
 * all of them. Where nobody finds that, from one that depends on where the block is, so that the same code is made each time.
 */
static unsigned next_in_turn(Context *c, const SiteClass *class, bool is_store)
{
    static unsigned turns[G_N_ELEMENTS(classes) + 1][2]; /* blocks are made one at a time */
    unsigned place = c->site_start + c->n_sites++;

    if (c->ir->scattered) {
        place = turns[class == &of_one_page ? G_N_ELEMENTS(classes) : (size_t)(class - classes)][is_store]++;
    }
    return place % class->count;
}

static unsigned choose_entry(Context *c, Address addr, unsigned size, bool is_store)
{
    const SiteClass *class;

    if (addr.on_known_page) {
        return of_known_pages.first + is_store * of_known_pages.count + addr.page % of_known_pages.count;
    }
    if (addr.by_page) {
        class = &of_one_page;
    } else {
        class = class_of(size);
    }
    return class->first + is_store * class->count + next_in_turn(c, class, is_store);
}

/* Pages of processes seldom are neighbours, and comparing with a constant is cheaper. */
static bool follows_runs(const Context *c, Address addr)
{
    return c->ir->links_far && !addr.by_page && !addr.on_known_page;
}

static TcgSiteUse *use_new(Context *c, Address addr, unsigned size, bool is_store)
{
    unsigned entry = choose_entry(c, addr, size, is_store);
    TcgSiteUse *use = &c->block->sites[c->block->n_sites++];

    g_assert(c->block->n_sites <= c->block->max_sites);
    *use = (TcgSiteUse){
        .left = c->ir->scattered ? TCG_SITE_PATIENCE : INT32_MAX,
        .entry = AREA_SITES + (int32_t)(G_STRUCT_OFFSET(TcgSites, site) + entry * sizeof(TcgSite)),
        .last = size - 1, .largest = follows_runs(c, addr) ? class_of(size)->size : 0, .group = entry / TCG_SITE_GROUP, .pc = c->pc, .block = c->block,
    };
    return use;
}

void site_check(Context *c, Site *site, Address addr, uint32_t retry, unsigned width, unsigned size, bool is_store, int t1)
{
    TcgSiteUse *use = use_new(c, addr, size, is_store);
    Asm *a = &c->a;

    *site = (Site){ .retry = retry, .is_store = is_store, .addr = addr, .t1 = t1, .use = use };
    asm_alu(a, ALU_SUB, 8, t1, rm_mem(field(use, G_STRUCT_OFFSET(TcgSite, page))));
    if (use->largest) {
        asm_alu(a, ALU_CMP, 8, t1, rm_mem(field(use, G_STRUCT_OFFSET(TcgSite, limit))));
    } else {
        asm_alu_ri(a, ALU_CMP, 8, rm_reg(t1), 4096 - size + 1); /* not by the entry: others that use it may be smaller */
    }
    site->jump = asm_jcc(a, CC_AE);
    if (width == 8) {
        asm_load(a, 8, t1, field(use, G_STRUCT_OFFSET(TcgSite, addend)));
    } else {
        asm_alu(a, ALU_ADD, 8, t1, rm_mem(field(use, G_STRUCT_OFFSET(TcgSite, host))));
    }
}

/* Nothing has to be computed; page 0 is that of empty entries. */
bool site_can_be_late(uint64_t addr, unsigned size)
{
    return addr >= 4096 && addr <= INT32_MAX && (addr & 4095) + size <= 4096;
}

Mem site_check_constant(Context *c, Site *site, Address addr, unsigned size, bool is_store, int t1)
{
    TcgSiteUse *use = use_new(c, addr, size, is_store);
    Asm *a = &c->a;

    *site = (Site){ .retry = asm_offset(a), .is_store = is_store, .addr = addr, .t1 = t1, .use = use };
    asm_alu_ri(a, ALU_CMP, 8, rm_mem(field(use, G_STRUCT_OFFSET(TcgSite, page))), addr.value & ~4095);
    site->jump = asm_jcc(a, CC_NE);
    asm_load(a, 8, t1, field(use, G_STRUCT_OFFSET(TcgSite, addend)));
    return mem_at(t1, addr.value);
}

uint32_t cold_site(Context *c, const Site *site)
{
    Asm *a = &c->a;
    uint32_t miss;

    asm_patch_here(a, site->jump);
    if (site->addr.is_late) {
        asm_mov_ri(a, site->addr.reg, site->addr.value);
    }
    emit_effective(c, site->t1, site->addr.reg, site->addr.disp, address_width(site->addr));
    asm_store(a, 8, mem_state(AREA_X0), site->t1);
    asm_mov_ri(a, site->t1, (uintptr_t)site->use);
    asm_store(a, 8, mem_state(AREA_SITE), site->t1);
    thunk_call(c, site->is_store ? THUNK_SITE_STORE : THUNK_SITE_LOAD);
    miss = asm_jcc(a, CC_NE);
    asm_jmp_offset(a, site->retry);
    return miss;
}
