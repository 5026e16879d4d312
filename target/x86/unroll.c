/*
 * Loops of a few iterations whose number is known where they begin, such as those over the coordinates of
 * a point: the block goes through them, iteration by iteration, and has no branch there.
 *
 * Behind a branch back that is always taken, since what it compares follows from constants that the block has
 * put into registers, translation goes on at its target.
 */
#include "target/x86/insns.h"
#include "tcg/known.h"

enum { MAX_UNROLLED = 32 /* instructions that one branch may add */, MAX_STEPS = 128 /* of a look at values */ };

/* How many more times a branch is taken, if a number of the loop's is compared with one that stays; many if that is not seen. */
static unsigned times_taken(IrLook *l, const IrInsn *compare, const uint64_t in[4], IrCc cc, uint32_t begin, unsigned many)
{
    const IrInsn *def = compare;
    uint64_t now, before, operands[4] = {in[0], in[1]}, out[2];
    uint32_t flags;

    do { /* the slot that counts */
        def = &l->ir->insns[l->ir->value_def[def->in[0]]];
    } while (def->op != IR_get && ir_op_pure(def->op) && ir_op_inputs(def->op) > 0);
    if (def->op != IR_get || !ir_known_slot(l, def->bits, def->type, l->ir->n_insns, &now) ||
        !ir_known_slot(l, def->bits, def->type, begin, &before)) {
        return many;
    }
    for (unsigned times = 0; times < many; times++) {
        ir_eval(compare, operands, out, &flags);
        if (!ir_cc_holds(cc, flags)) {
            return times;
        }
        operands[0] += now - before;
    }
    return many;
}

bool x86_unrolls(X86Translator *tr, X86Insn *in, IrCc cc, IrVal flags)
{
    const IrBlock *ir = tr->ir;
    const IrInsn *compare = &ir->insns[ir->value_def[flags.id]];
    IrLook look = { .ir = ir, .steps = MAX_STEPS };
    uint64_t target, inputs[4] = {0}, out[2];
    unsigned body, room;
    uint32_t begin, is;

    if (!x86_branch_target(tr, in, &target) || target > in->pc || target <= tr->t->key->pc || x86_each_insn_exits(tr) ||
        tr->mode & MODE_BREAKPOINTS || !(begin = ir_find_insn(ir, target, &body))) {
        return false;
    }
    if ((compare->op != IR_cmp && compare->op != IR_sub && compare->op != IR_add && compare->op != IR_test) ||
        !ir_known_value(&look, compare->in[0], &inputs[0]) || !ir_known_value(&look, compare->in[1], &inputs[1])) {
        return false;
    }
    ir_eval(compare, inputs, out, &is);
    room = tr->n_insns < tr->limit ? MIN(tr->limit - tr->n_insns, MAX_UNROLLED) / body : 0;
    if (!ir_cc_holds(cc, is) || times_taken(&look, compare, inputs, cc, begin, room + 1) > room) {
        return false;
    }
    x86_goes_on_at(tr, in, target);
    return true;
}
