/*
 * Loops of a few iterations, such as those over the coordinates of a point: a hot block goes through them, iteration by iteration.
 *
 * How many there are is a guess. A block is translated where it is about to run, so registers say what the branches that it makes will
 * do this time. Where that is wrong, the block is left.
 */
#include "target/ppc/insns.h"
#include "tcg/known.h"

enum { MAX_UNROLLED = 48 /* instructions that one branch may add */, MAX_INSNS = 128 /* of a block with them */, MAX_STEPS = 128 /* of a look at values */ };

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

/* How many more times the branch is taken; many if that is not seen. */
static unsigned times_taken(IrLook *l, const IrInsn *compare, const uint64_t in[4], IrCc cc, uint32_t begin, unsigned many)
{
    uint64_t operands[4] = { in[0], in[1] }, step[2], out[2];
    uint32_t flags;

    if (!find_step(l, compare->in[0], begin, &step[0]) || !find_step(l, compare->in[1], begin, &step[1])) {
        return many;
    }
    for (unsigned times = 0; times < many; times++) {
        ir_eval(compare, operands, out, &flags);
        if (!ir_cc_holds(cc, flags)) {
            return times;
        }
        operands[0] += step[0];
        operands[1] += step[1];
    }
    return many;
}

bool ppc_unrolls(PpcTranslator *tr, const PpcInsn *in, IrCc cc, IrVal flags, uint64_t target)
{
    const IrBlock *ir = tr->ir;
    const IrInsn *compare = &ir->insns[ir->value_def[flags.id]];
    IrLook look = { .ir = ir, .state = tr->s, .steps = MAX_STEPS };
    uint64_t inputs[4] = { 0 };
    unsigned body, times;
    uint32_t begin;

    target &= tr->pc_mask;
    if (!tr->t->is_hot || target > in->pc || target <= tr->t->key->pc || ppc_branch_ends_block(tr) ||
        tr->mode & MODE_COUNT || !(begin = ir_find_insn(ir, target, &body))) {
        return false;
    }
    if ((compare->op != IR_cmp && compare->op != IR_sub && compare->op != IR_add && compare->op != IR_test) ||
        !ir_known_value(&look, compare->in[0], &inputs[0]) || !ir_known_value(&look, compare->in[1], &inputs[1])) {
        return false;
    }
    times = times_taken(&look, compare, inputs, cc, begin, MAX_UNROLLED / body + 1);
    if (times == 0 || times > MAX_UNROLLED / body || tr->n_insns + times * body > MAX_INSNS ||
        tr->n_side_exits + 2 * times >= PPC_MAX_SIDE_EXITS) {
        return false;
    }
    tr->limit = MIN(tr->limit + body, MAX_INSNS);
    tr->goes_back = true;
    tr->back_to = target;
    return true;
}
