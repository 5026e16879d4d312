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

bool x86_unrolls(X86Translator *tr, X86Insn *in, IrCc cc, IrVal flags)
{
    const IrBlock *ir = tr->ir;
    IrLook look = { .ir = ir, .steps = MAX_STEPS };
    uint64_t target;
    unsigned body, room, times;
    uint32_t begin;

    if (!x86_branch_target(tr, in, &target) || target > in->pc || target <= tr->t->key->pc || x86_each_insn_exits(tr) ||
        tr->mode & MODE_BREAKPOINTS || !(begin = ir_find_insn(ir, target, &body))) {
        return false;
    }
    room = tr->n_insns < tr->limit ? MIN(tr->limit - tr->n_insns, MAX_UNROLLED) / body : 0;
    times = ir_times_taken(&look, flags, cc, begin, room + 1);
    if (times == 0 || times > room) {
        return false;
    }
    x86_goes_on_at(tr, in, target);
    return true;
}
