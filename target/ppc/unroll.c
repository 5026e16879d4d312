/*
 * Loops of a few iterations, such as those over the coordinates of a point: a hot block goes through them, iteration by iteration.
 *
 * How many there are is a guess. A block is translated where it is about to run, so registers say what the branches that it makes will
 * do this time. Where that is wrong, the block is left.
 */
#include "target/ppc/insns.h"

enum { MAX_UNROLLED = 48 /* instructions that one branch may add */, MAX_INSNS = 128 /* of a block with them */, MAX_STEPS = 128 /* of a look at values */ };

typedef struct Look {
    const PpcTranslator *tr;
    unsigned steps; /* left */
} Look;

static uint64_t slot_in_state(const Look *l, unsigned slot)
{
    const uint8_t *at = (const uint8_t *)l->tr->s + l->tr->ir->slots[slot].offset;
    uint64_t value = 0;

    memcpy(&value, at, ir_type_size(l->tr->ir->slots[slot].type));
    return value;
}

static bool guess_slot(Look *l, unsigned slot, IrType type, uint32_t at, uint64_t *value);

/* What a value will be. */
static bool guess(Look *l, uint32_t id, uint64_t *value)
{
    const IrBlock *ir = l->tr->ir;
    uint32_t at = ir->value_def[id], flags;
    const IrInsn *def = &ir->insns[at];
    uint64_t in[4] = { 0 }, out[2];
    int inputs = ir_op_inputs(def->op);

    if (ir_is_const(ir, (IrVal){ id }, value)) {
        return true;
    }
    if (l->steps == 0) {
        return false;
    }
    l->steps--;
    if (def->op == IR_get) {
        return guess_slot(l, def->bits, def->type, at, value);
    }
    if (!ir_op_pure(def->op) || ir_op_outputs(def->op) != 1) {
        return false;
    }
    for (int i = 0; i < inputs; i++) {
        if (ir->value_type[def->in[i]] == IR_FLAGS || !guess(l, def->in[i], &in[i])) {
            return false;
        }
    }
    ir_eval(def, in, out, &flags);
    *value = out[0];
    return true;
}

/* What a slot will hold before an operation. */
static bool guess_slot(Look *l, unsigned slot, IrType type, uint32_t at, uint64_t *value)
{
    const IrBlock *ir = l->tr->ir;

    while (at-- > 0) {
        const IrInsn *insn = &ir->insns[at];

        if (insn->op == IR_put && insn->bits == slot) {
            bool is_whole = insn->type == IR_I32 || insn->type >= type; /* I32 puts zeros above */

            if (!is_whole || !guess(l, insn->in[0], value)) {
                return false;
            }
            *value &= ir_mask(insn->type);
            return true;
        }
        if (insn->op == IR_label || (insn->op == IR_call && ir->helpers[insn->bits].writes >> slot & 1)) {
            return false;
        }
    }
    *value = slot_in_state(l, slot) & ir_mask(type);
    return true;
}

/* Where the last iteration begins, and how many instructions it has; 0: the target is not in the block. */
static uint32_t find_target(const IrBlock *ir, uint64_t target, unsigned *insns)
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

/* How much an operand of the comparison changes in an iteration, as that slot does which it is computed from. False: that is not seen. */
static bool find_step(Look *l, uint32_t operand, uint32_t begin, uint64_t *step)
{
    const IrBlock *ir = l->tr->ir;
    const IrInsn *def = &ir->insns[ir->value_def[operand]];
    uint64_t now, before;

    *step = 0;
    while (def->op != IR_get && ir_op_pure(def->op) && ir_op_inputs(def->op) > 0) {
        def = &ir->insns[ir->value_def[def->in[0]]];
    }
    if (def->op == IR_const) {
        return true;
    }
    if (def->op != IR_get || !guess_slot(l, def->bits, def->type, ir->n_insns, &now) ||
        !guess_slot(l, def->bits, def->type, begin, &before)) {
        return false;
    }
    *step = now - before;
    return true;
}

/* How many more times the branch is taken; many if that is not seen. */
static unsigned times_taken(Look *l, const IrInsn *compare, const uint64_t in[4], IrCc cc, uint32_t begin, unsigned many)
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
    Look look = { .tr = tr, .steps = MAX_STEPS };
    uint64_t inputs[4] = { 0 };
    unsigned body, times;
    uint32_t begin;

    target &= tr->pc_mask;
    if (!tr->t->is_hot || target > in->pc || target <= tr->t->key->pc || target < tr->run_pc || ppc_branch_ends_block(tr) ||
        tr->mode & MODE_COUNT || !(begin = find_target(ir, target, &body))) {
        return false;
    }
    if ((compare->op != IR_cmp && compare->op != IR_sub && compare->op != IR_add && compare->op != IR_test) ||
        !guess(&look, compare->in[0], &inputs[0]) || !guess(&look, compare->in[1], &inputs[1])) {
        return false;
    }
    times = times_taken(&look, compare, inputs, cc, begin, MAX_UNROLLED / body + 1);
    if (times == 0 || times > MAX_UNROLLED / body || tr->n_insns + times * body > MAX_INSNS ||
        tr->n_side_exits + 2 * times >= PPC_MAX_SIDE_EXITS) {
        return false;
    }
    tr->limit = MIN(tr->limit + body, MAX_INSNS);
    tr->goes_back = true;
    tr->follow_to = target;
    return true;
}
