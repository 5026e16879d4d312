/*
 * Copies of fields that a loop (loop.h) carries from one iteration to the next: those that its body reads before it writes
 * them are loaded before the loop, and at its edge they are in the same registers again. So a sum over an array need not go
 * through the state in each iteration.
 *
 * They are copies like others, never newer than the state (fields.c). Who enters the block comes by its start, where they
 * are loaded; the edge leads behind that.
 *
 * The second copy of a body whose accesses have all been checked, and that is left at its edge alone, is seen by nobody
 * before that: there the copies are *late*. All fields that it writes have registers of their own, and are stored when the loop
 * is left, and so is the note of the last operation; a cold stub stores them before it calls its helper.
 */
#include "backend.h"

enum { MOVAPS_LOAD = MAP_0F | 0x28, MOVQ = P_F3 | MAP_0F | 0x7e };

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

static XmmSave *find_carried(Context *c, int32_t field)
{
    for (unsigned k = 0; k < c->n_carried; k++) {
        if ((c->carried[k].field ^ field) < 16u) {
            return &c->carried[k];
        }
    }
    return NULL;
}

static void carry(Context *c, int32_t field, bool whole)
{
    c->carried[c->n_carried] = (XmmSave){ .xmm = HOST_XMMS - 1 - c->n_carried, .whole = whole, .field = field };
    c->n_carried++;
}

static void see_read(Context *c, const Scan *s, int32_t field, bool whole)
{
    if (field == -1 || is_written(s, field) || (whole && is_written(s, field ^ 8))) {
        return;
    }
    if (!find_carried(c, field) && c->n_carried < MAX_CARRIED) {
        carry(c, field, whole);
    }
}

static void see_fast(Context *c, Scan *s, const IrFast *f)
{
    bool two = fast_is_whole(f);

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

/* What is in a loop with late copies, or in its first copy with a late note: nothing that looks at the state or leaves, but accesses in the latter. */
static bool may_be_late(const Context *c, uint32_t i)
{
    const IrInsn *insn = &c->ir->insns[i];

    switch (insn->op) {
    case IR_load:
    case IR_store:
    case IR_probe_store:
        return c->loop.running ? loop_covers(c, i) : !(insn->bits & (IRM_KERNEL | IRM_UPDATE));
    case IR_get_field:
    case IR_put_field:
        return insn->type == IR_I64 || insn->type == IR_I32;
    case IR_get:
    case IR_put:
    case IR_insn_start:
        return true;
    case IR_fast:
        return c->ir->fasts[insn->bits].kind != FAST_COMPARE && c->ir->fasts[insn->bits].kind != FAST_TO_INT &&
               c->ir->fasts[insn->bits].kind != FAST_STATUS;
    default:
        return ir_op_pure(insn->op);
    }
}

/* A doubleword that is written with zero beside it, a whole vector, or a doubleword alone. */
static bool carry_written(Context *c, int32_t field, bool whole, bool clear)
{
    XmmSave *s = find_carried(c, field);

    if (s && (s->field != field || (s->is_late && (s->whole != whole || s->clear != clear)))) {
        return false;
    }
    if (!s) {
        if (c->n_carried == MAX_LATE) {
            return false;
        }
        carry(c, field, whole);
        s = &c->carried[c->n_carried - 1];
    }
    if (clear && s->whole) {
        return false; /* it was read as a vector */
    }
    s->whole |= whole;
    s->is_late = true;
    s->clear = clear;
    return true;
}

static bool carry_fast(Context *c, const IrFast *f)
{
    bool two = fast_is_whole(f);

    return carry_written(c, f->t, two, !two && f->clear);
}

static bool carry_put(Context *c, uint32_t *i)
{
    const IrInsn *insn = &c->ir->insns[*i];
    unsigned size = load_goes_to_field(c, insn);
    uint32_t last;

    if (!size) {
        return insn->op != IR_put_field || insn->type == IR_I32;
    }
    last = direct_last_put(c, insn);
    insn += size == 16 ? 2 : 1;
    *i = last;
    return size == 16 ? carry_written(c, insn->imm & ~UINT64_C(8), true, false)
                      : carry_written(c, insn->imm, false, &c->ir->insns[last] != insn);
}

/* Helpers of vectors' arithmetic, which keeps the status: it must not see half of a note. */
static bool looks_at_note(const IrFast *f)
{
    return f->kind == FAST_DOUBLES || f->kind == FAST_FUSED2 || (f->kind == FAST_STEPS && (f->checks || f->traps));
}

/*
 * In the first copy of a loop the note, too, may be stored when it is left: the next iteration has another one. Stubs of accesses behind
 * the operation store it; a fault before it, or an interrupt between two iterations, shows older status to its handler, and the
 * operation gives the status behind that.
 */
static bool note_may_wait(const Context *c)
{
    unsigned recorded = 0;

    if (!c->loop.conditional) {
        return false;
    }
    for (uint32_t i = 1; i < c->loop.edge; i++) {
        const IrInsn *insn = &c->ir->insns[i];

        if (!may_be_late(c, i)) {
            return false;
        }
        if (insn->op == IR_fast) {
            const IrFast *f = &c->ir->fasts[insn->bits];

            recorded += f->record;
            if (looks_at_note(f)) {
                return false;
            }
        }
    }
    return recorded == 1;
}

void carry_plan(Context *c)
{
    Scan s;

    c->n_carried = 0;
    c->note_waits = false;
    if (!c->loop.edge || !c->loop.at_start || !has_vector_fields()) {
        return;
    }
    s.n_written = 0;
    s.full = false;
    for (uint32_t i = 0; i < c->loop.edge; i++) {
        const IrInsn *insn = &c->ir->insns[i];

        if (insn->op == IR_put_field) {
            see_write(&s, insn->imm);
        } else if (insn->op == IR_fast) {
            see_fast(c, &s, &c->ir->fasts[insn->bits]);
        }
    }
    c->note_waits = note_may_wait(c);
}

static bool is_cleared(Context *c, int32_t field)
{
    XmmSave *s = field >= 0 ? find_carried(c, field) : NULL;

    return s && s->clear;
}

/* What becomes zero beside doublewords does so before the loop: nobody may look at it. */
static bool halves_stay(Context *c)
{
    for (uint32_t i = 1; i < c->loop.edge; i++) {
        const IrInsn *insn = &c->ir->insns[i];

        if (insn->op == IR_get_field && insn->imm & 8 && is_cleared(c, insn->imm)) {
            return false;
        }
        if (insn->op == IR_fast) {
            const IrFast *f = &c->ir->fasts[insn->bits];

            if (fast_is_whole(f) && (is_cleared(c, f->a) || is_cleared(c, f->b) || is_cleared(c, f->c))) {
                return false;
            }
        }
    }
    return true;
}

/* Of the second copy, whose insns these are. */
static bool plan_late(Context *c)
{
    unsigned recorded = 0;
    bool looks = false;

    if (c->late_failed || !c->loop.at_start || !has_vector_fields() || !host_has(HOST_FMA)) {
        return false;
    }
    for (uint32_t i = 1; i < c->loop.edge; i++) {
        const IrInsn *insn = &c->ir->insns[i];

        if (!may_be_late(c, i)) {
            return false;
        }
        if (insn->op == IR_fast) {
            recorded += c->ir->fasts[insn->bits].record;
            looks |= looks_at_note(&c->ir->fasts[insn->bits]);
            if (!carry_fast(c, &c->ir->fasts[insn->bits])) {
                return false;
            }
        } else if ((insn->op == IR_load || insn->op == IR_put_field) && !carry_put(c, &i)) {
            return false;
        }
    }
    return recorded <= 1 && !(recorded && looks) && halves_stay(c);
}

void carry_begin_late(Context *c)
{
    unsigned before = c->n_carried;
    XmmSave kept[MAX_LATE];

    memcpy(kept, c->carried, sizeof(kept));
    c->late_note = NULL;
    c->late = plan_late(c);
    if (!c->late) {
        c->n_carried = before;
        memcpy(c->carried, kept, sizeof(kept));
    }
}

void carry_load(Context *c)
{
    for (unsigned k = 0; k < c->n_carried; k++) {
        if (c->late && c->carried[k].clear) {
            asm_store_imm(&c->a, 8, mem_state(c->carried[k].field + 8), 0);
        }
        xmm_load(c, c->carried[k]);
        if (c->late && c->carried[k].is_late) {
            c->xmm_late |= 1u << c->carried[k].xmm;
        }
    }
}

/* Whether a register has what another one that is carried still needs, or an operand of the note. */
static bool is_wanted(Context *c, int xmm, unsigned pending)
{
    if (c->xmm_late >> xmm & 1 && !find_carried(c, c->xmm[xmm].field)) {
        return true;
    }
    for (; pending; pending &= pending - 1) {
        const XmmSave *other = &c->carried[__builtin_ctz(pending)];

        if (xmm_find(c, other->field, other->whole) == xmm) {
            return true;
        }
    }
    return false;
}

static void move(Context *c, int to, int from)
{
    asm_op(&c->a, MOVAPS_LOAD, 4, to, rm_reg(from));
    xmm_moved(c, to, from);
}

/* Doublewords had zero beside them when they were loaded, which operations on them may rely on. */
static bool needs_zero_beside(const Context *c, const XmmSave *s, int from)
{
    return !s->whole && !c->late && !xmm_is_clean(c, from);
}

static void move_carried(Context *c, const XmmSave *s, int from)
{
    if (needs_zero_beside(c, s, from)) {
        asm_op(&c->a, MOVQ, 4, s->xmm, rm_reg(from));
        c->xmm_valid |= 1u << s->xmm;
        c->xmm[s->xmm] = (XmmCopy){ .field = s->field, .clean = true, .time = c->xmm[from].time };
    } else if (from != s->xmm) {
        move(c, s->xmm, from);
    }
}

void carry_again(Context *c)
{
    unsigned pending = (1u << c->n_carried) - 1;

    while (pending) {
        bool moved = false;
        unsigned k = 0;

        for (unsigned rest = pending; rest; rest &= rest - 1) {
            int from;

            k = __builtin_ctz(rest);
            from = xmm_find(c, c->carried[k].field, c->carried[k].whole);
            if (from != NO_REG && from != c->carried[k].xmm && is_wanted(c, c->carried[k].xmm, pending & ~(1u << k))) {
                continue;
            }
            if (from != NO_REG) {
                move_carried(c, &c->carried[k], from);
            }
            if (from != NO_REG || !is_wanted(c, c->carried[k].xmm, pending & ~(1u << k))) {
                if (from == NO_REG) {
                    xmm_load(c, c->carried[k]);
                }
                pending &= ~(1u << k);
                moved = true;
            }
        }
        if (!moved) { /* a circle */
            int other, held = c->carried[k].xmm;

            for (unsigned i = 0; i < c->n_carried; i++) { /* those that are where they should be stay there */
                c->xmm_locked |= (~pending >> i & 1) << c->carried[i].xmm;
            }
            other = xmm_alloc(c);
            move(c, other, held);
            c->xmm_valid &= ~(1u << held);
            c->xmm_late &= ~(1u << held);
        }
    }
}

/* Whether the field is written from here to there. */
static bool is_written_later(const Context *c, int32_t field, uint32_t end)
{
    for (uint32_t i = c->i; i < end; i++) {
        const IrInsn *insn = &c->ir->insns[i];

        if ((insn->op == IR_put_field && (insn->imm & ~UINT64_C(7)) == (uint64_t)field) ||
            (insn->op == IR_fast && c->ir->fasts[insn->bits].t == field)) {
            return true;
        }
    }
    return false;
}

static int32_t noted_operand(const IrFast *f, unsigned k)
{
    return f->last + 8 + 8 * (int32_t)k;
}

/* A copy of what is in a register becomes the note's operand. */
static void copy_operand(Context *c, const IrFast *f, unsigned k, int from)
{
    int to = xmm_alloc(c);

    asm_op(&c->a, MOVAPS_LOAD, 4, to, rm_reg(from));
    xmm_set(c, to, noted_operand(f, k), false, false);
    c->xmm_late |= 1u << to;
}

void carry_note(Context *c, const IrFast *f, uint32_t end)
{
    const int32_t operands[] = { f->a, f->b, f->c };

    c->late_note = f;
    for (unsigned k = 0; k < G_N_ELEMENTS(operands); k++) {
        if (operands[k] >= 0 && is_written_later(c, operands[k], end)) {
            copy_operand(c, f, k, xmm_get(c, operands[k], false));
        }
    }
}

/* Where the note waits for the next one its operands stay where they are, until one of these fields is written: then its register has it as the note's. */
void carry_wait(Context *c, const IrFast *f)
{
    c->late_note = f;
}

static void keep_operand(Context *c, const IrFast *f, unsigned k)
{
    const int32_t operands[] = { f->a, f->b, f->c };
    int from;

    for (unsigned other = 0; other < k; other++) {
        if (operands[other] == operands[k]) { /* whose register is the first one's by now */
            copy_operand(c, f, k, xmm_find(c, noted_operand(f, other), false));
            return;
        }
    }
    from = xmm_get(c, operands[k], false);
    c->xmm[from] = (XmmCopy){ .field = noted_operand(f, k), .time = c->xmm[from].time };
    c->xmm_late |= 1u << from;
}

void carry_keep_operands(Context *c, int32_t field, bool whole)
{
    const IrFast *f = c->late_note;
    const int32_t operands[] = { f ? f->a : -1, f ? f->b : -1, f ? f->c : -1 };

    for (unsigned k = 0; k < G_N_ELEMENTS(operands); k++) {
        if (operands[k] >= 0 && (operands[k] ^ field) < (whole ? 16 : 8) &&
            xmm_find(c, noted_operand(f, k), false) == NO_REG) {
            keep_operand(c, f, k);
        }
    }
}

unsigned carry_count_late(const Context *c)
{
    unsigned n = 0;

    for (unsigned mask = c->xmm_late; mask; mask &= mask - 1) {
        int32_t field = c->xmm[__builtin_ctz(mask)].field;

        n += !c->late_note || (uint32_t)(field - noted_operand(c->late_note, 0)) >= 24;
    }
    return n;
}

void carry_forget_note(Context *c)
{
    for (unsigned k = 0; k < 3 && c->late_note; k++) {
        xmm_forget(c, noted_operand(c->late_note, k));
    }
    c->late_note = NULL;
}

/* Whether it can be stored between here and the next operation that is noted: what is between only computes, is an access, or leaves. */
static bool may_be_before_note(const Context *c, uint32_t i)
{
    const IrInsn *insn = &c->ir->insns[i];

    switch (insn->op) {
    case IR_load:
    case IR_store:
    case IR_probe_store:
        return !(insn->bits & (IRM_KERNEL | IRM_UPDATE));
    case IR_get_field:
    case IR_put_field:
        return insn->type == IR_I64 || insn->type == IR_I32;
    case IR_exit_if:
        return !ir_is_loop_edge(c->ir, insn);
    case IR_get:
    case IR_put:
    case IR_insn_start:
        return true;
    default:
        return ir_op_pure(insn->op);
    }
}

static bool is_of_note(const IrFast *f, const IrInsn *insn)
{
    enum { SIZE = 32 };

    return (insn->op == IR_get_field || insn->op == IR_put_field) && insn->imm - (uint64_t)f->last < SIZE;
}

uint32_t carry_next_note(const Context *c, const IrFast *f)
{
    enum { NEAR = 160 };
    uint32_t end = MIN(c->ir->n_insns, (uint32_t)c->i + NEAR);

    if (c->late || f->kind == FAST_TO_INT || !has_vector_fields()) {
        return 0;
    }
    for (uint32_t i = c->i + 1; i < end; i++) {
        const IrInsn *insn = &c->ir->insns[i];

        if (insn->op == IR_fast) {
            const IrFast *other = &c->ir->fasts[insn->bits];

            if (fast_is_whole(other) || other->kind == FAST_COMPARE || other->kind == FAST_STATUS || other->kind == FAST_TO_INT) {
                return 0;
            }
            if (other->record) {
                return i;
            }
        } else if (!may_be_before_note(c, i) || is_of_note(f, insn)) {
            return 0;
        }
    }
    return 0;
}

static void store_note(Context *c)
{
    const IrFast *f = c->late_note;
    const int32_t operands[] = { f->a, f->b, f->c };

    asm_store_imm(&c->a, 8, mem_state(f->last), f->args[1]);
    for (unsigned k = 0; k < G_N_ELEMENTS(operands); k++) {
        if (operands[k] >= 0 && xmm_find(c, noted_operand(f, k), false) == NO_REG) {
            xmm_store(c, (XmmSave){ .xmm = xmm_get(c, operands[k], false), .field = noted_operand(f, k) });
        }
    }
}

void carry_flush(Context *c)
{
    uint16_t valid = c->xmm_valid, late = c->xmm_late;
    XmmCopy copies[HOST_XMMS];

    memcpy(copies, c->xmm, sizeof(copies));
    if (c->late_note) {
        store_note(c);
    }
    xmm_store_late(c, xmm_snapshot(c));
    memcpy(c->xmm, copies, sizeof(copies)); /* there is another way out */
    c->xmm_valid = valid;
    c->xmm_late = late;
}

bool carry_note_waits(const Context *c, const IrInsn *insn)
{
    return c->note_waits && !c->loop.running && insn < &c->ir->insns[c->loop.edge];
}

void carry_leave(Context *c)
{
    if (c->late_note) {
        store_note(c);
        xmm_settle_all(c);
        carry_forget_note(c);
    }
}

static bool has_copy(const Context *c, Snapshot s, int32_t field)
{
    for (uint32_t k = s.first; k < s.first + s.count; k++) {
        if (c->xmm_saves[k].field == field) {
            return true;
        }
    }
    return false;
}

void carry_settle(Context *c, Snapshot before, const IrFast *note)
{
    xmm_store_late(c, before);
    if (note) {
        const int32_t operands[] = { note->a, note->b, note->c };

        asm_store_imm(&c->a, 8, mem_state(note->last), note->args[1]);
        for (unsigned k = 0; k < G_N_ELEMENTS(operands); k++) {
            XmmSave copy = { .field = noted_operand(note, k) };

            if (operands[k] >= 0 && !has_copy(c, before, copy.field)) {
                asm_op(&c->a, MOVQ, 4, copy.xmm, rm_mem(mem_state(operands[k])));
                xmm_store(c, copy);
            }
        }
    }
}

/* In a cold stub, where all is stored: the helper does the operation, and so has its status; it is noted as on the usual path. */
void carry_note_again(Context *c, const IrFast *f)
{
    const int32_t operands[] = { f->a, f->b, f->c };

    for (unsigned k = 0; k < G_N_ELEMENTS(operands); k++) {
        if (operands[k] >= 0) {
            asm_load(&c->a, 8, R11, mem_state(operands[k]));
            asm_store(&c->a, 8, mem_state(noted_operand(f, k)), R11);
        }
    }
}
