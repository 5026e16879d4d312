/*
 * Hot blocks go on where a branch leads, or a call within the page, and where that returns to: it saves the look for an interrupt, the
 * jump between two blocks and the stores before it, accesses on both sides share checks, and a return is one comparison.
 *
 * What is followed is translated once more in each block that leads there, so others do not do it.
 */
#include "target/ppc/insns.h"

static bool is_in_block(const IrBlock *ir, uint64_t pc)
{
    for (uint32_t at = 0; at < ir->n_insns; at++) {
        if (ir->insns[at].op == IR_insn_start && ir->insns[at].imm == pc) {
            return true;
        }
    }
    return false;
}

static bool fits_block(const PpcTranslator *tr, uint64_t pc)
{
    const Translation *t = tr->t;

    return tr->n_insns < tr->limit && !((pc ^ t->key->pc) >> GUEST_PAGE_BITS) && !translation_breaks_at(tr->t, pc);
}

static void go_on(PpcTranslator *tr, uint64_t target)
{
    tr->n_followed++;
    tr->follows = true;
    tr->follow_to = target;
}

/* Ends at the block's own start are loops, which do better. */
bool ppc_follows(PpcTranslator *tr, uint64_t target)
{
    target &= tr->pc_mask;
    if (!tr->t->is_hot || tr->n_followed >= PPC_MAX_FOLLOWED || ppc_branch_ends_block(tr) || tr->mode & MODE_COUNT ||
        target == tr->t->key->pc || !fits_block(tr, target) || is_in_block(tr->ir, target)) {
        return false;
    }
    go_on(tr, target);
    return true;
}

bool ppc_follows_call(PpcTranslator *tr, uint64_t target)
{
    uint64_t back = tr->next_pc;

    if (tr->n_returns == PPC_MAX_RETURNS || !ppc_follows(tr, target)) {
        return false;
    }
    tr->returns[tr->n_returns++] = back;
    return true;
}

bool ppc_follows_return(PpcTranslator *tr, const PpcInsn *in, IrVal target, PpcEmit *otherwise)
{
    uint64_t back;

    if (tr->n_returns == 0 || !fits_block(tr, back = tr->returns[tr->n_returns - 1])) {
        return false;
    }
    ppc_cold_if(tr, in, COND_NE, IR_I64, target, ppc_pc(tr, IR_I64, back), otherwise);
    tr->n_side_exits++;
    tr->n_returns--;
    go_on(tr, back);
    return true;
}
