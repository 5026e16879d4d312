/*
 * Copies of fields that a loop (loop.h) carries from one iteration to the next: those that its body reads before it writes
 * them are loaded before the loop, and at its edge they are in the same registers again. So a sum over an array need not go
 * through the state in each iteration.
 *
 * They are copies like others, never newer than the state (fields.c). Who enters the block comes by its start, where they
 * are loaded; the edge leads behind that.
 */
#include "backend.h"

enum { MOVAPS_LOAD = MAP_0F | 0x28 };

typedef struct Scan {
    int32_t written[64]; /* doublewords */
    unsigned n_written;
    bool full;
} Scan;

static bool is_written(const Scan *s, int32_t doubleword)
{
    for (unsigned k = 0; k < s->n_written; k++) {
        if (s->written[k] == doubleword) {
            return true;
        }
    }
    return s->full;
}

static void see_write(Scan *s, int32_t field)
{
    int32_t doubleword = field & ~7;

    if (!is_written(s, doubleword)) {
        s->full = s->n_written == G_N_ELEMENTS(s->written);
        if (!s->full) {
            s->written[s->n_written++] = doubleword;
        }
    }
}

static void see_read(Context *c, const Scan *s, int32_t field, bool whole)
{
    if (field == -1 || is_written(s, field) || (whole && is_written(s, field ^ 8))) {
        return;
    }
    for (unsigned k = 0; k < c->n_carried; k++) {
        if ((c->carried[k].field ^ field) < 16u) {
            return;
        }
    }
    if (c->n_carried < MAX_CARRIED) {
        c->carried[c->n_carried] = (XmmSave){ .xmm = HOST_XMMS - 1 - c->n_carried, .whole = whole, .field = field };
        c->n_carried++;
    }
}

static void see_fast(Context *c, Scan *s, const IrFast *f)
{
    bool two = f->kind == FAST_STEPS || f->kind == FAST_DOUBLES || f->kind == FAST_FUSED2;

    if (f->kind != FAST_FROM_INT && f->kind != FAST_WIDEN) { /* whose operands are in memory */
        see_read(c, s, f->a, two);
        see_read(c, s, f->b, two);
        see_read(c, s, f->c, two);
    }
    see_write(s, f->t);
    if (two || f->clear) {
        see_write(s, f->t ^ 8);
    }
}

void carry_plan(Context *c)
{
    Scan s = { .n_written = 0 };

    c->n_carried = 0;
    if (!c->loop.edge || !c->loop.at_start || !has_vector_fields()) {
        return;
    }
    for (uint32_t i = 0; i < c->loop.edge; i++) {
        const IrInsn *insn = &c->ir->insns[i];

        if (insn->op == IR_put_field) {
            see_write(&s, insn->imm);
        } else if (insn->op == IR_fast) {
            see_fast(c, &s, &c->ir->fasts[insn->bits]);
        }
    }
}

void carry_load(Context *c)
{
    for (unsigned k = 0; k < c->n_carried; k++) {
        xmm_load(c, c->carried[k]);
    }
}

void carry_again(Context *c)
{
    for (unsigned k = 0; k < c->n_carried; k++) {
        XmmSave to = c->carried[k];
        int from = xmm_find(c, to.field, to.whole);

        if (from == NO_REG) {
            xmm_load(c, to);
        } else if (from != to.xmm) {
            asm_op(&c->a, MOVAPS_LOAD, 4, to.xmm, rm_reg(from));
            xmm_moved(c, to.xmm, from);
        }
    }
}
