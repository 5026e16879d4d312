/*
 * Which results need not be stored: fields that the block writes again before anybody can look at them. Their copies are late
 * (fields.c) until then. What may be in between only computes, is an access, or leaves: a stub out of line stores what is late
 * before it calls C, or goes.
 */
#include "backend.h"

enum { NEAR = 128, MOST = 6 }; /* insns that are looked at; registers that may be late at once */

static bool overlaps(int32_t field, int32_t other)
{
    return other >= 0 && (field ^ other) < 16;
}

typedef enum Effect { NONE, REWRITES, LOOKS } Effect;

static Effect effect_of_fast(const IrFast *f, int32_t field, bool whole)
{
    if (!fast_is_scalar(f) && (overlaps(field, f->a) || overlaps(field, f->b) || overlaps(field, f->c))) {
        return LOOKS;
    }
    if (!overlaps(field, f->t)) {
        return NONE;
    }
    return f->t == field && (fast_is_scalar(f) || f->kind == FAST_FROM_INT || f->kind == FAST_WIDEN) && (!whole || f->clear) ? REWRITES : LOOKS;
}

/* Both halves of a whole vector must be put by neighbours. */
static Effect effect_of_put(const Context *c, uint32_t i, int32_t field, bool whole)
{
    const IrInsn *put = &c->ir->insns[i], *other = put + 1;

    if (!overlaps(field, put->imm)) {
        return NONE;
    }
    if (put->type != IR_I64 || (put->imm != (uint64_t)field && !whole)) {
        return LOOKS;
    }
    if (!whole) {
        return REWRITES;
    }
    other += other->op == IR_const;
    return other < c->ir->insns + c->ir->n_insns && other->op == IR_put_field && other->type == IR_I64 &&
                   other->imm == (put->imm ^ 8) ? REWRITES : LOOKS;
}

static Effect effect_of(const Context *c, uint32_t i, int32_t field, bool whole)
{
    const IrInsn *insn = &c->ir->insns[i];

    switch (insn->op) {
    case IR_fast:
        return effect_of_fast(&c->ir->fasts[insn->bits], field, whole);
    case IR_put_field:
        return effect_of_put(c, i, field, whole);
    case IR_get_field:
        return overlaps(field, insn->imm) && (insn->type != IR_I64 || insn->imm != (uint64_t)field) ? LOOKS : NONE;
    case IR_load:
    case IR_store:
        return insn->bits & (IRM_KERNEL | IRM_UPDATE) ? LOOKS : NONE;
    case IR_exit_if: /* whose stub stores it */
        return ir_is_loop_edge(c->ir, insn) ? LOOKS : NONE;
    case IR_brcond:
    case IR_brcc:
        return branch_has_stub(c, insn) ? NONE : LOOKS;
    case IR_get:
    case IR_put:
    case IR_insn_start:
        return NONE;
    default:
        return ir_op_pure(insn->op) ? NONE : LOOKS;
    }
}

bool field_is_rewritten(const Context *c, int32_t field, bool whole)
{
    uint32_t i = MAX(MAX((uint32_t)c->i, c->put_until), c->put_already) + 1, end = MIN(i + NEAR, c->ir->n_insns);

    if (c->held || !has_vector_fields() || carry_count_late(c) >= MOST) {
        return false;
    }
    for (; i < end; i++) {
        Effect effect = effect_of(c, i, field, whole);

        if (effect != NONE) {
            return effect == REWRITES;
        }
    }
    return false;
}
