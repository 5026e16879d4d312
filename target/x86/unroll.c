/*
 * Loops of a few iterations whose number is known where they begin, such as those over the coordinates of
 * a point: the block goes through them, iteration by iteration, and has no branch there.
 *
 * Behind a branch back that is always taken, since what it compares follows from constants that the block has
 * put into registers, translation goes on at its target.
 */
#include "target/x86/insns.h"

enum { MAX_UNROLLED = 32 /* instructions that one branch may add */, MAX_STEPS = 128 /* of a look at values */ };

typedef struct Look {
    const IrBlock *ir;
    unsigned steps; /* left */
} Look;

static bool known_slot(Look *l, unsigned slot, IrType type, uint32_t at, uint64_t *value);

/* What a value is, if it follows from constants. */
static bool known(Look *l, uint32_t id, uint64_t *value)
{
    uint32_t at = l->ir->value_def[id], flags;
    const IrInsn *def = &l->ir->insns[at];
    uint64_t in[4] = {0}, out[2];
    int inputs = ir_op_inputs(def->op);

    if (ir_is_const(l->ir, (IrVal){id}, value)) {
        return true;
    }
    if (l->steps == 0) {
        return false;
    }
    l->steps--;
    if (def->op == IR_get) {
        return known_slot(l, def->bits, def->type, at, value);
    }
    if (!ir_op_pure(def->op) || ir_op_outputs(def->op) != 1) {
        return false;
    }
    if ((def->op == IR_xor || def->op == IR_sub) && def->in[0] == def->in[1]) {
        *value = 0;
        return true;
    }
    for (int i = 0; i < inputs; i++) {
        if (l->ir->value_type[def->in[i]] == IR_FLAGS || !known(l, def->in[i], &in[i])) {
            return false;
        }
    }
    ir_eval(def, in, out, &flags);
    *value = out[0];
    return true;
}

/* What a slot holds before an operation. */
static bool known_slot(Look *l, unsigned slot, IrType type, uint32_t at, uint64_t *value)
{
    while (at-- > 0) {
        const IrInsn *insn = &l->ir->insns[at];

        if (insn->op == IR_put && insn->bits == slot) {
            bool is_whole = insn->type == IR_I32 || insn->type >= type; /* I32 puts zeros above */

            if (!is_whole || !known(l, insn->in[0], value)) {
                return false;
            }
            *value &= insn->type == IR_I32 ? UINT32_MAX : UINT64_MAX;
            return true;
        }
        if (insn->op == IR_label || (insn->op == IR_put8h && insn->bits == slot) ||
            (insn->op == IR_call && l->ir->helpers[insn->bits].writes >> slot & 1)) {
            return false;
        }
    }
    return false;
}

uint32_t x86_find_target(const IrBlock *ir, uint64_t target, unsigned *insns)
{
    *insns = 0;
    for (uint32_t at = ir->n_insns; at-- > 0;) {
        if (ir->insns[at].op == IR_insn_start) {
            ++*insns;
            if (ir->insns[at].imm == target) {
                return at;
            }
        }
    }
    return 0;
}

/* How many more times a branch is taken, if a number of the loop's is compared with one that stays; many if that is not seen. */
static unsigned times_taken(Look *l, const IrInsn *compare, const uint64_t in[4], IrCc cc, uint32_t begin, unsigned many)
{
    const IrInsn *def = compare;
    uint64_t now, before, operands[4] = {in[0], in[1]}, out[2];
    uint32_t flags;

    do { /* the slot that counts */
        def = &l->ir->insns[l->ir->value_def[def->in[0]]];
    } while (def->op != IR_get && ir_op_pure(def->op) && ir_op_inputs(def->op) > 0);
    if (def->op != IR_get || !known_slot(l, def->bits, def->type, l->ir->n_insns, &now) ||
        !known_slot(l, def->bits, def->type, begin, &before)) {
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
    Look look = {.ir = ir, .steps = MAX_STEPS};
    uint64_t target, inputs[4] = {0}, out[2];
    unsigned body, room;
    uint32_t begin, is;

    if (!x86_branch_target(tr, in, &target) || target > in->pc || target <= tr->t->key->pc || x86_each_insn_exits(tr) ||
        tr->mode & MODE_BREAKPOINTS || !(begin = x86_find_target(ir, target, &body))) {
        return false;
    }
    if ((compare->op != IR_cmp && compare->op != IR_sub && compare->op != IR_add && compare->op != IR_test) ||
        !known(&look, compare->in[0], &inputs[0]) || !known(&look, compare->in[1], &inputs[1])) {
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
