/*
 * Spans: an address that is one of a few near what a register of the guest's holds, as that of one of two children of a node, is
 * checked by that register: all that it might be lies on one page. So the host looks the page up while it still waits
 * for what the choice is made by. A search through a tree is a chain of these waits.
 *
 * Where the span is over a page's end, or its page is not in the table, the access goes the slow way with its own address.
 */
#include "backend.h"

enum { MAX_SPAN = 64, MAX_DEPTH = 8 };

/* What a value may be: from low to high, added to root if there is one. */
typedef struct Range {
    uint32_t root; /* a value; 0: none */
    int64_t low, high;
} Range;

static bool range_of(const IrBlock *ir, uint32_t id, unsigned depth, Range *r);

static bool is_narrow(const Range *r)
{
    return r->low >= -MAX_SPAN && r->high <= MAX_SPAN;
}

static bool range_of_choice(const IrBlock *ir, const IrInsn *def, unsigned depth, Range *r)
{
    Range other;

    if (!range_of(ir, def->in[1], depth, r) || !range_of(ir, def->in[2], depth, &other) || r->root != other.root) {
        return false;
    }
    r->low = MIN(r->low, other.low);
    r->high = MAX(r->high, other.high);
    return true;
}

static bool range_of_sum(const IrBlock *ir, const IrInsn *def, unsigned depth, Range *r)
{
    Range other;

    if (!range_of(ir, def->in[0], depth, r) || !range_of(ir, def->in[1], depth, &other) || (r->root && other.root)) {
        return false;
    }
    r->root |= other.root;
    r->low += other.low;
    r->high += other.high;
    return true;
}

/* Of numbers without a root: what does not depend on their type's width. */
static bool range_of_bits(const IrBlock *ir, const IrInsn *def, unsigned depth, Range *r)
{
    uint64_t constant;

    switch (def->op) {
    case IR_setcc:
        *r = (Range){ .high = 1 };
        return true;
    case IR_and:
        *r = (Range){ 0 };
        if (!ir_is_const(ir, (IrVal){ def->in[1] }, &constant) || constant > MAX_SPAN) {
            return false;
        }
        r->high = constant;
        return true;
    case IR_zext:
        return range_of(ir, def->in[0], depth, r) && !r->root && r->low >= 0;
    case IR_shl:
        if (!ir_is_const(ir, (IrVal){ def->in[1] }, &constant) || constant > 5 || def->type < IR_I32 ||
            !range_of(ir, def->in[0], depth, r) || r->root) {
            return false;
        }
        r->low *= 1 << constant;
        r->high *= 1 << constant;
        return true;
    default:
        return false;
    }
}

/* False: it may be more than is worth it. The sums of narrow ones have no overflow that matters. */
static bool range_of(const IrBlock *ir, uint32_t id, unsigned depth, Range *r)
{
    const IrInsn *def = &ir->insns[ir->value_def[id]];
    uint64_t constant;

    if (ir_is_const(ir, (IrVal){ id }, &constant)) {
        *r = (Range){ .low = ir->value_type[id] == IR_I32 ? (int32_t)constant : (int64_t)constant };
        r->high = r->low;
        return is_narrow(r);
    }
    if (depth > 0 && ir->value_type[id] >= IR_I32) {
        if ((def->op == IR_select || def->op == IR_selectcc) && range_of_choice(ir, def, depth - 1, r) && is_narrow(r)) {
            return true;
        }
        if (def->op == IR_add && range_of_sum(ir, def, depth - 1, r) && is_narrow(r)) {
            return true;
        }
    }
    if (depth > 0 && range_of_bits(ir, def, depth - 1, r) && is_narrow(r)) {
        return true;
    }
    *r = (Range){ .root = id };
    return true;
}

static bool changes(const IrBlock *ir, const IrInsn *insn, unsigned slot)
{
    return ((insn->op == IR_put || insn->op == IR_put8h) && insn->bits == slot) ||
           (insn->op == IR_call && ir->helpers[insn->bits].writes >> slot & 1);
}

/* The pinned register that holds a value now, as all slots are in place where an access may fault; NO_REG: none. */
static int holder_of(const Context *c, uint32_t id)
{
    const IrBlock *ir = c->ir;
    uint32_t at = ir->value_def[id];
    const IrInsn *def = &ir->insns[at];
    unsigned type = ir->value_type[id];

    while (def->op != IR_get && ++at < (uint32_t)c->i) {
        const IrInsn *insn = &ir->insns[at];

        if (insn->op == IR_put && insn->in[0] == id && insn->type == type && backend.slot_reg[insn->bits] != NO_REG) {
            def = insn;
            break;
        }
    }
    if ((def->op != IR_get && def->op != IR_put) || def->type != type || backend.slot_reg[def->bits] == NO_REG) {
        return NO_REG;
    }
    for (at++; at < (uint32_t)c->i; at++) {
        if (changes(ir, &ir->insns[at], def->bits)) {
            return NO_REG;
        }
    }
    return backend.slot_reg[def->bits];
}

Address span_find(const Context *c, const IrInsn *insn, Address addr, unsigned size)
{
    unsigned type = c->ir->value_type[insn->in[0]];
    Range r;
    int reg;

    if (addr.is_site || c->loop.running || !range_of(c->ir, insn->in[0], MAX_DEPTH, &r) || !r.root || r.low == r.high ||
        c->ir->value_type[r.root] != type || r.high - r.low + size > MAX_SPAN || !fits_s32(insn->imm + MAX_SPAN) ||
        !fits_s32(insn->imm - MAX_SPAN) || (reg = holder_of(c, r.root)) == NO_REG) {
        return addr;
    }
    addr.span = r.high - r.low + size;
    addr.span_reg = reg;
    addr.span_disp = (type == IR_I32 ? (int32_t)insn->imm : insn->imm) + r.low;
    /* Where the sum with the displacement has not wrapped, the choice alone may have. */
    addr.is_wide = addr.is_wide && (!addr.disp || (addr.disp > 0 && r.low >= 0 && c->pins_clean >> reg & 1));
    return addr;
}
