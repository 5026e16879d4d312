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
