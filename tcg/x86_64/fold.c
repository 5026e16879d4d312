/*
 * Addresses that are what a pinned slot holds and a constant: accesses name the slot's register, with a displacement. The
 * sums between need no registers then, and it is seen which accesses are neighbours.
 *
 * The slot must not have been put since it was read: the register has what it holds at each access.
 */
#include "backend.h"

static bool is_access(const IrBlock *ir, const IrInsn *insn)
{
    return insn->op == IR_load || insn->op == IR_store || insn->op == IR_probe_store ||
           (insn->op == IR_raw && ir->raws[insn->bits & ~IRB_FLAGS].rm_role == RAW_MEM);
}

static void fold(const IrBlock *ir, IrInsn *insn, const uint32_t changed[IR_MAX_SLOTS])
{
    enum { DEPTH = 24, ROOM = 256 };
    unsigned type = ir->value_type[insn->in[0]];
    const IrInsn *def = &ir->insns[ir->value_def[insn->in[0]]];
    int64_t disp = insn->imm;
    uint64_t add;

    for (unsigned depth = 0; depth < DEPTH && def->op == IR_add && def->type == type && ir->value_type[def->in[0]] == type &&
                             ir_is_const(ir, (IrVal){ def->in[1] }, &add); depth++) {
        disp += add;
        def = &ir->insns[ir->value_def[def->in[0]]];
    }
    disp = type == IR_I32 ? (int32_t)disp : disp;
    if (def->op == IR_get && def->type == type && backend.slot_reg[def->bits] != NO_REG && def >= &ir->insns[changed[def->bits]] &&
        fits_s32(disp + ROOM)) {
        insn->in[0] = def->out;
        insn->imm = disp;
    }
}

void fold_addresses(IrBlock *ir)
{
    uint32_t changed[IR_MAX_SLOTS] = { 0 };

    for (uint32_t i = 0; i < ir->n_insns; i++) {
        IrInsn *insn = &ir->insns[i];

        if (insn->op == IR_put || insn->op == IR_put8h) {
            changed[insn->bits] = i;
        } else if (insn->op == IR_call) {
            for (uint64_t slots = ir->helpers[insn->bits].writes; slots; slots &= slots - 1) {
                changed[__builtin_ctzll(slots)] = i;
            }
        } else if (is_access(ir, insn)) {
            fold(ir, insn, changed);
        }
    }
}
