/*
 * One walk from the end of the block: pure operations whose values nobody uses go, so do flags
 * values and puts that are overwritten before anything can see them.
 *
 * Needs: nothing.  Keeps: value ids; the insns are renumbered.
 *
 * A put is seen by gets, by calls that read the slot, and by whatever may leave the block: exits,
 * branches, and operations that may fault. The back-end keeps puts lazily, so the ones that only a
 * fault would see cost nothing in the end.
 */
#include "passes.h"

#include <string.h>

#include "tcg/ir_private.h"

/* Slots whose bits 0-7, 8-15 and above will be overwritten before they are seen. */
typedef struct DeadSlots {
    uint64_t low, high, rest;
} DeadSlots;

typedef struct Backward {
    IrBlock *ir;
    uint8_t *live; /* by value */
    uint8_t *keep; /* by insn */
    DeadSlots dead;
    uint32_t next_exit; /* entries of exit_dead before this one are still to come */
} Backward;

static void all_seen_but(Backward *b, uint64_t slots)
{
    b->dead.low &= slots;
    b->dead.high &= slots;
    b->dead.rest &= slots;
}

static uint64_t dead_at_exit(Backward *b, uint32_t at)
{
    GArray *dead = b->ir->exit_dead;

    while (b->next_exit > 0 && g_array_index(dead, IrExitDead, b->next_exit - 1).insn > at) {
        b->next_exit--;
    }
    if (b->next_exit > 0 && g_array_index(dead, IrExitDead, b->next_exit - 1).insn == at) {
        return g_array_index(dead, IrExitDead, b->next_exit - 1).slots;
    }
    return 0;
}

static bool put_is_dead(Backward *b, const IrInsn *insn)
{
    uint64_t bit = 1ull << insn->bits;
    bool whole = insn->type >= IR_I32 || insn->type == b->ir->slots[insn->bits].type;
    bool low = insn->op == IR_put, high = insn->op == IR_put8h || insn->type >= IR_I16 || whole;

    if (insn->op == IR_put8h) {
        whole = false;
    }
    if ((!low || b->dead.low & bit) && (!high || b->dead.high & bit) && (!whole || b->dead.rest & bit)) {
        return true;
    }
    b->dead.low |= low ? bit : 0;
    b->dead.high |= high ? bit : 0;
    b->dead.rest |= whole ? bit : 0;
    return false;
}

static void see_get(Backward *b, const IrInsn *insn)
{
    uint64_t bit = 1ull << insn->bits;

    if (insn->op == IR_get) {
        b->dead.low &= ~bit;
    }
    if (insn->op == IR_get8h || insn->type >= IR_I16) {
        b->dead.high &= ~bit;
    }
    if (insn->type >= IR_I32) {
        b->dead.rest &= ~bit;
    }
}

/* An operation of which only the flags, or only one half, is used may be a cheaper one. */
static void reduce(const Backward *b, IrInsn *insn)
{
    uint32_t flags_id = ir_insn_flags_id(insn);

    if (flags_id && ir_facts[insn->op].flags != OP_ALWAYS_FLAGS && !b->live[flags_id]) {
        insn->bits &= ~IRB_FLAGS;
        flags_id = 0;
    }
    if (flags_id && !b->live[insn->out] && (insn->op == IR_sub || insn->op == IR_and)) {
        insn->op = insn->op == IR_sub ? IR_cmp : IR_test;
        insn->bits = 0;
        insn->out = flags_id;
    }
    if ((insn->op == IR_mulu2 || insn->op == IR_muls2) && !flags_id && !b->live[insn->out + 1]) {
        insn->op = IR_mul;
    }
}

static bool pure_is_live(const Backward *b, const IrInsn *insn)
{
    uint32_t flags_id = ir_insn_flags_id(insn);

    for (int i = 0; i < ir_facts[insn->op].outputs; i++) {
        if (b->live[insn->out + i]) {
            return true;
        }
    }
    return flags_id && b->live[flags_id];
}

/* Whether the insn stays; updates what is dead before it. */
static bool visit(Backward *b, uint32_t at)
{
    IrBlock *ir = b->ir;
    IrInsn *insn = &ir->insns[at];
    const IrHelper *helper;

    if (ir_facts[insn->op].pure) {
        if (!pure_is_live(b, insn)) {
            return false;
        }
        reduce(b, insn);
        return true;
    }
    switch ((IrOp)insn->op) {
    case IR_get:
    case IR_get8h:
        if (!b->live[insn->out]) {
            return false;
        }
        see_get(b, insn);
        return true;
    case IR_put:
    case IR_put8h:
        return !put_is_dead(b, insn);
    case IR_call:
        helper = &ir->helpers[insn->bits];
        if (helper->effects & EFFECT_PURE && !b->live[insn->out]) {
            return false;
        }
        all_seen_but(b, helper->effects & (EFFECT_FAULT | EFFECT_NORETURN) ? 0 : ~helper->reads);
        return true;
    case IR_exit_jump:
    case IR_exit_lookup:
    case IR_exit_main: {
        uint64_t dead = dead_at_exit(b, at);

        b->dead = (DeadSlots){dead, dead, dead};
        return true;
    }
    case IR_exit_if:
    case IR_poll:
        all_seen_but(b, ir_is_loop_edge(ir, insn) ? 0 : dead_at_exit(b, at));
        return true;
    case IR_label:
    case IR_br:
    case IR_brcc:
    case IR_brcond:
        all_seen_but(b, 0);
        return true;
    default:
        /* A raw instruction keeps IRB_FLAGS: it says that EFLAGS change, wanted or not. */
        if (ir_op_faults(ir, insn)) {
            all_seen_but(b, 0);
        }
        return true;
    }
}

static void compact(IrBlock *ir, const uint8_t *keep)
{
    GArray *dead = ir->exit_dead;
    uint32_t to = 0, exit = 0;

    for (uint32_t i = 0; i < ir->n_insns; i++) {
        const IrInsn *insn = &ir->insns[i];

        if (!keep[i]) {
            continue;
        }
        if (to != i && insn->out) {
            for (unsigned k = 0, n = ir_count_ids(insn); k < n; k++) {
                ir->value_def[insn->out + k] = to;
            }
        }
        if (exit < dead->len && g_array_index(dead, IrExitDead, exit).insn == i) {
            g_array_index(dead, IrExitDead, exit++).insn = to;
        }
        if (to != i) {
            ir->insns[to] = *insn;
        }
        to++;
    }
    ir->n_insns = to;
}

void ir_pass_dead(IrBlock *ir)
{
    Backward b = {.ir = ir, .next_exit = ir->exit_dead->len};
    uint8_t *scratch = ir_scratch(ir, ir->n_values + ir->n_insns);

    b.live = scratch;
    b.keep = scratch + ir->n_values;
    for (uint32_t i = ir->n_insns; i-- > 0;) {
        const IrInsn *insn = &ir->insns[i];

        if (visit(&b, i)) {
            b.keep[i] = 1;
            for (unsigned k = 0, inputs = ir_facts[insn->op].inputs; k < inputs; k++) {
                b.live[insn->in[k]] = 1;
            }
        }
    }
    compact(ir, b.keep);
    /* The builder's constants may be gone. */
    ir_consts_forget(ir);
}
