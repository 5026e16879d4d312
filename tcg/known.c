/* See tcg/known.h. */
#include "tcg/known.h"

#include <string.h>

bool ir_known_value(IrLook *l, uint32_t id, uint64_t *value)
{
    uint32_t at = l->ir->value_def[id], flags;
    const IrInsn *def = &l->ir->insns[at];
    uint64_t in[4] = { 0 }, out[2];
    int inputs = ir_op_inputs(def->op);

    if (ir_is_const(l->ir, (IrVal){ id }, value)) {
        return true;
    }
    if (l->steps == 0) {
        return false;
    }
    l->steps--;
    if (def->op == IR_get) {
        return ir_known_slot(l, def->bits, def->type, at, value);
    }
    if (!ir_op_pure(def->op) || ir_op_outputs(def->op) != 1) {
        return false;
    }
    if ((def->op == IR_xor || def->op == IR_sub) && def->in[0] == def->in[1]) {
        *value = 0;
        return true;
    }
    for (int i = 0; i < inputs; i++) {
        if (l->ir->value_type[def->in[i]] == IR_FLAGS || !ir_known_value(l, def->in[i], &in[i])) {
            return false;
        }
    }
    ir_eval(def, in, out, &flags);
    *value = out[0];
    return true;
}

static uint64_t slot_in_state(const IrLook *l, unsigned slot)
{
    const IrSlot *s = &l->ir->slots[slot];
    uint64_t value = 0;

    memcpy(&value, (const uint8_t *)l->state + s->offset, ir_type_size(s->type));
    return value;
}

bool ir_known_slot(IrLook *l, unsigned slot, IrType type, uint32_t at, uint64_t *value)
{
    while (at-- > 0) {
        const IrInsn *insn = &l->ir->insns[at];

        if (insn->op == IR_put && insn->bits == slot) {
            bool is_whole = insn->type == IR_I32 || insn->type >= type; /* I32 puts zeros above */

            if (!is_whole || !ir_known_value(l, insn->in[0], value)) {
                return false;
            }
            *value &= ir_mask(insn->type);
            return true;
        }
        if (insn->op == IR_label || (insn->op == IR_put8h && insn->bits == slot) ||
            (insn->op == IR_call && l->ir->helpers[insn->bits].writes >> slot & 1)) {
            return false;
        }
    }
    if (!l->state) {
        return false;
    }
    *value = slot_in_state(l, slot) & ir_mask(type);
    return true;
}

uint32_t ir_find_insn(const IrBlock *ir, uint64_t pc, unsigned *insns)
{
    *insns = 0;
    for (uint32_t at = ir->n_insns; at-- > 0;) {
        if (ir->insns[at].op == IR_insn_start) {
            ++*insns;
            if (ir->insns[at].imm == pc) {
                return at;
            }
        }
    }
    return 0;
}

/* How much an operand of the comparison changes in an iteration, as that slot does which it is computed from. False: that is not seen. */
static bool find_step(IrLook *l, uint32_t operand, uint32_t begin, uint64_t *step)
{
    const IrBlock *ir = l->ir;
    const IrInsn *def = &ir->insns[ir->value_def[operand]];
    uint64_t now, before;

    *step = 0;
    while (def->op != IR_get && ir_op_pure(def->op) && ir_op_inputs(def->op) > 0) {
        def = &ir->insns[ir->value_def[def->in[0]]];
    }
    if (def->op == IR_const) {
        return true;
    }
    if (def->op != IR_get || !ir_known_slot(l, def->bits, def->type, ir->n_insns, &now) ||
        !ir_known_slot(l, def->bits, def->type, begin, &before)) {
        return false;
    }
    *step = now - before;
    return true;
}

unsigned ir_times_taken(IrLook *l, IrVal flags, IrCc cc, uint32_t begin, unsigned many)
{
    const IrInsn *compare = &l->ir->insns[l->ir->value_def[flags.id]];
    uint64_t operands[4] = { 0 }, step[2], out[2];
    uint32_t is;

    if (compare->op != IR_cmp && compare->op != IR_sub && compare->op != IR_add && compare->op != IR_test) {
        return many;
    }
    for (unsigned k = 0; k < 2; k++) {
        if (!ir_known_value(l, compare->in[k], &operands[k]) || !find_step(l, compare->in[k], begin, &step[k])) {
            return many;
        }
    }
    for (unsigned times = 0; times < many; times++) {
        ir_eval(compare, operands, out, &is);
        if (!ir_cc_holds(cc, is)) {
            return times;
        }
        operands[0] += step[0];
        operands[1] += step[1];
    }
    return many;
}
