/*
 * Sites: accesses that seem to stay on one page for a while, which they remember. The usual path compares with that page, and
 * takes neither an index from the address nor waits for the table of pages. Another page: out of line, the table is
 * looked at as always, and its entry is kept for the next time.
 *
 * The pages are kept with the CPU (TcgSites), not in the code, and their number is small: a site shares its entry with
 * others, of the same class of sizes, which cost each other some misses and nothing else. Loads and stores do not share:
 * a page that can be read need not be one that can be written.
 */
#include "backend.h"

static const struct {
    uint16_t size; /* accesses, or spans of them, of up to so many bytes */
    uint8_t first, count; /* entries of loads; as many of stores are behind them */
} classes[] = { { 8, 0, 16 }, { 16, 32, 4 }, { 64, 40, 6 }, { 256, 52, 6 } };

G_STATIC_ASSERT(TCG_SITES == 64);

static int32_t field(const Site *site, size_t offset)
{
    return AREA_SITES + (int32_t)(G_STRUCT_OFFSET(TcgSites, site) + site->entry * sizeof(TcgSite) + offset);
}

/* How far into the page an access of this class may begin. */
static uint32_t limit_of(const Site *site)
{
    unsigned k = 0;

    while (site->entry >= classes[k].first + 2 * classes[k].count) {
        k++;
    }
    return 4096 - classes[k].size + 1;
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

    if (!c->ir->use_sites) {
        return false;
    }
    access = loop_access_at(c, c->i);
    return access ? access->steps : is_number(c, insn) || is_steady(c, insn->in[0], DEPTH);
}

/* Entries go round, from one that depends on where the block is. */
static unsigned choose_entry(Context *c, unsigned size, bool is_store)
{
    unsigned k = 0;

    while (size > classes[k].size) {
        k++;
    }
    return classes[k].first + is_store * classes[k].count + (c->site_start + c->n_sites++) % classes[k].count;
}

void site_check(Context *c, Site *site, Address addr, unsigned width, unsigned size, bool is_store, int t1, int t2)
{
    Asm *a = &c->a;

    *site = (Site){
        .entry = choose_entry(c, size, is_store), .size = size, .is_store = is_store, .addr = addr, .t1 = t1, .t2 = t2,
    };
    asm_alu(a, ALU_SUB, 8, t1, rm_mem(mem_state(field(site, G_STRUCT_OFFSET(TcgSite, page)))));
    asm_alu(a, ALU_CMP, 8, t1, rm_mem(mem_state(field(site, G_STRUCT_OFFSET(TcgSite, limit)))));
    site->jump = asm_jcc(a, CC_AE);
    if (width == 8) {
        asm_load(a, 8, t1, mem_state(field(site, G_STRUCT_OFFSET(TcgSite, addend))));
    } else {
        asm_alu(a, ALU_ADD, 8, t1, rm_mem(mem_state(field(site, G_STRUCT_OFFSET(TcgSite, host)))));
    }
    site->resume = asm_offset(a);
}

/* Nothing has to be computed; page 0 is that of empty entries. */
bool site_can_be_late(uint64_t addr, unsigned size)
{
    return addr >= 4096 && addr <= INT32_MAX && (addr & 4095) + size <= 4096;
}

Mem site_check_constant(Context *c, Site *site, Address addr, unsigned size, bool is_store, int t1, int t2)
{
    Asm *a = &c->a;

    *site = (Site){
        .entry = choose_entry(c, size, is_store), .size = size, .is_store = is_store, .addr = addr, .t1 = t1, .t2 = t2,
    };
    asm_alu_ri(a, ALU_CMP, 8, rm_mem(mem_state(field(site, G_STRUCT_OFFSET(TcgSite, page)))), addr.value & ~4095);
    site->jump = asm_jcc(a, CC_NE);
    asm_load(a, 8, t1, mem_state(field(site, G_STRUCT_OFFSET(TcgSite, addend))));
    site->resume = asm_offset(a);
    return mem_at(t1, addr.value);
}

uint32_t cold_site(Context *c, const Site *site)
{
    unsigned width = address_width(site->addr);
    Asm *a = &c->a;
    uint32_t miss;

    asm_patch_here(a, site->jump);
    if (site->addr.is_late) {
        asm_mov_ri(a, site->addr.reg, site->addr.value);
    }
    miss = emit_table_check(c, site->addr, site->size, site->is_store, site->t1, site->t2);
    asm_store(a, 8, mem_state(field(site, G_STRUCT_OFFSET(TcgSite, page))), site->t2);
    asm_load(a, 8, site->t1, mem_at(site->t1, 8));
    asm_store(a, 8, mem_state(field(site, G_STRUCT_OFFSET(TcgSite, addend))), site->t1);
    asm_alu(a, ALU_ADD, 8, site->t2, rm_reg(site->t1));
    asm_store(a, 8, mem_state(field(site, G_STRUCT_OFFSET(TcgSite, host))), site->t2);
    asm_store_imm(a, 8, mem_state(field(site, G_STRUCT_OFFSET(TcgSite, limit))), limit_of(site));
    asm_store_imm(a, 8, mem_state(AREA_SITES + (int32_t)G_STRUCT_OFFSET(TcgSites, filled)), 1);
    if (width == 4) {
        emit_effective(c, site->t2, site->addr.reg, site->addr.disp, 4);
        asm_alu(a, ALU_ADD, 8, site->t1, rm_reg(site->t2));
    }
    asm_jmp_offset(a, site->resume);
    return miss;
}
