/*
 * Which bits of a value may be ones, by a look at the few operations that made it: masks, extensions, shifts by constants.
 *
 * PowerPC's strings rotate an address under a mask and shift doublewords by that: the result is never 64 or more, which the
 * shift would have to ask.
 */
#include "passes.h"

#include "tcg/ir_private.h"

enum { MAX_DEPTH = 6 };

static uint64_t ones(const IrBlock *ir, const uint32_t *same, uint32_t id, unsigned depth)
{
    const IrInsn *def = &ir->insns[ir->value_def[id]];
    uint64_t mask = ir_mask(ir->value_type[id]), k;

    if (ir_is_const(ir, (IrVal){ id }, &k)) {
        return k & mask;
    }
    if (depth == MAX_DEPTH || ir_insn_defines_flags(def)) {
        return mask;
    }
    switch ((IrOp)def->op) {
    case IR_get:
        return same[id] ? mask & ones(ir, same, same[id], depth + 1) : mask;
    case IR_and:
        return mask & ones(ir, same, def->in[0], depth + 1) & ones(ir, same, def->in[1], depth + 1);
    case IR_zext:
        return mask & ir_mask(def->bits) & ones(ir, same, def->in[0], depth + 1);
    case IR_shl:
        return ir_is_const(ir, (IrVal){ def->in[1] }, &k) && k < 8 * ir_type_size(def->type)
                   ? mask & ones(ir, same, def->in[0], depth + 1) << k : mask;
    case IR_shr:
        return ir_is_const(ir, (IrVal){ def->in[1] }, &k) && k < 8 * ir_type_size(def->type) && ir->value_type[def->in[0]] == def->type
                   ? ones(ir, same, def->in[0], depth + 1) >> k : mask;
    case IR_setcc:
    case IR_setcond:
        return 1;
    default:
        return mask;
    }
}

uint64_t ir_possible_ones(const IrBlock *ir, const uint32_t *same, uint32_t id)
{
    return ones(ir, same, id, 0);
}
