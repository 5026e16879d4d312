/*
 * Loops of a few iterations, such as those over the coordinates of a point: a hot block goes through them, iteration by iteration.
 *
 * How many there are is a guess. A block is translated where it is about to run, so registers say what the branches that it makes will
 * do this time. Where that is wrong, the block is left.
 */
#include "target/ppc/insns.h"
#include "tcg/known.h"

enum { MAX_UNROLLED = 48 /* instructions that one branch may add */, MAX_INSNS = 128 /* of a block with them */, MAX_STEPS = 128 /* of a look at values */ };

bool ppc_unrolls(PpcTranslator *tr, const PpcInsn *in, IrCc cc, IrVal flags, uint64_t target)
{
    const IrBlock *ir = tr->ir;
    IrLook look = { .ir = ir, .state = tr->s, .steps = MAX_STEPS };
    unsigned body, times;
    uint32_t begin;

    target &= tr->pc_mask;
    if (!tr->t->is_hot || target > in->pc || target <= tr->t->key->pc || ppc_branch_ends_block(tr) ||
        tr->mode & MODE_COUNT || !(begin = ir_find_insn(ir, target, &body))) {
        return false;
    }
    times = ir_times_taken(&look, flags, cc, begin, MAX_UNROLLED / body + 1);
    if (times == 0 || times > MAX_UNROLLED / body || tr->n_insns + times * body > MAX_INSNS ||
        tr->n_side_exits + 2 * times >= PPC_MAX_SIDE_EXITS) {
        return false;
    }
    tr->limit = MIN(tr->limit + body, MAX_INSNS);
    tr->goes_back = true;
    tr->back_to = target;
    return true;
}
