/*
 * Hot blocks go on where a jump leads, or a call within the page, and where that returns to: it saves the look for an interrupt, the jump
 * between two blocks and the stores before it, accesses on both sides share checks, and a return is one comparison.
 *
 * What is followed is translated once more in each block that leads there, so others do not do it.
 */
#include "target/x86/insns.h"
#include "tcg/known.h"

enum { MAX_FOLLOWED = 6 };

/* Ends at the block's own start are loops, which do better. */
static bool may_go_on(X86Translator *tr, const X86Insn *in, uint64_t target)
{
    unsigned insns;

    return tr->t->is_hot && tr->n_followed < MAX_FOLLOWED && tr->n_insns < tr->limit && in->type != IR_I16 && (tr->cs64 || tr->flat_cs) &&
           !x86_each_insn_exits(tr) && !(tr->mode & MODE_BREAKPOINTS) && target != tr->t->key->pc &&
           !ir_find_insn(tr->ir, target, &insns) && x86_fits_block(tr, target);
}

static void go_on(X86Translator *tr, X86Insn *in, uint64_t target)
{
    tr->n_followed++;
    x86_goes_on_at(tr, in, target);
}

bool x86_follows(X86Translator *tr, X86Insn *in)
{
    uint64_t target;

    if (!x86_branch_target(tr, in, &target) || !may_go_on(tr, in, target)) {
        return false;
    }
    go_on(tr, in, target);
    return true;
}

bool x86_follows_call(X86Translator *tr, X86Insn *in)
{
    uint64_t back = in->next_pc & tr->pc_mask;

    if (tr->n_returns == X86_MAX_RETURNS || !x86_follows(tr, in)) {
        return false;
    }
    tr->returns[tr->n_returns++] = back;
    return true;
}

bool x86_follows_return(X86Translator *tr, X86Insn *in, IrVal target)
{
    uint64_t back;

    if (tr->n_returns == 0 || in->type == IR_I16 || !x86_fits_block(tr, back = tr->returns[tr->n_returns - 1])) {
        return false;
    }
    x86_emit_other_if(tr, in, COND_NE, IR_I64, target, x86_arg(tr, in->type, x86_pc(tr, in->type, back)), x86_emit_ret);
    tr->n_returns--;
    go_on(tr, in, back);
    return true;
}
