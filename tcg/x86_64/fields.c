/*
 * Fields of the state: get and put, and copies of those that fast operations work on, in vector registers.
 *
 * A copy is mostly not newer than the field: operations store their result at once. So copies may be dropped wherever that is
 * simplest, and a cold stub that calls C, which may use vector registers, loads them again. Copies that are newer are late: of
 * results that are soon written again (rewritten.c), and in loops of a kind (carry.c).
 */
#include "backend.h"

enum { MOVSD_LOAD = P_F2 | MAP_0F | 0x10, MOVSD_STORE = P_F2 | MAP_0F | 0x11, MOVAPS_LOAD = MAP_0F | 0x28, VMOVQ = P_66 | MAP_0F | 0x6e, MOVQ_TO_GPR = P_66 | MAP_0F | 0x7e, VPINSRQ = P_66 | MAP_3A | 0x22,
       VPUNPCKLQDQ = P_66 | MAP_0F | 0x6c, VMOVAPS_STORE = MAP_0F | 0x29 };

/* The register with a copy that begins with the field, NO_REG if there is none. */
int xmm_find(const Context *c, int32_t field, bool whole)
{
    for (unsigned mask = c->xmm_valid; mask; mask &= mask - 1) {
        unsigned k = __builtin_ctz(mask);

        if (c->xmm[k].field == field && (c->xmm[k].whole || !whole)) {
            return k;
        }
    }
    return NO_REG;
}

static bool overlaps(XmmCopy copy, int32_t field)
{
    return (copy.field ^ field) < 16u && (copy.whole || ((copy.field ^ field) & 8) == 0);
}

/* The field in memory is what it should be. */
void xmm_in_memory(Context *c, int32_t field)
{
    for (unsigned mask = c->xmm_late; mask; mask &= mask - 1) {
        unsigned k = __builtin_ctz(mask);

        if (overlaps(c->xmm[k], field)) {
            xmm_store(c, (XmmSave){ .xmm = k, .whole = c->xmm[k].whole, .field = c->xmm[k].field });
        }
    }
}

void field_get(Context *c, const IrInsn *insn)
{
    int out, xmm;

    if (c->get_until) {
        c->get_until = 0;
        return;
    }
    if (c->values[insn->out].last_use < 0 || field_goes_to_store(c, insn)) {
        return;
    }
    out = out_reg(c, insn->out, 0, 0, 0, false);
    /* Without waiting for its store; not between the accesses of a group, whose slow way changes vector registers. */
    xmm = insn->type == IR_I64 && !c->held ? xmm_find(c, insn->imm, false) : NO_REG;
    if (xmm != NO_REG) {
        asm_op(&c->a, MOVQ_TO_GPR, 8, xmm, rm_reg(out));
    } else {
        xmm_in_memory(c, insn->imm);
        asm_load(&c->a, ir_type_size(insn->type), out, mem_state(insn->imm));
    }
    value_set_reg(c, insn->out, out, true);
}

void code_get(Context *c, const IrInsn *insn)
{
    int out;

    if (c->values[insn->out].last_use < 0) {
        return;
    }
    out = out_reg(c, insn->out, 0, 0, 0, false);
    asm_mov_ri(&c->a, out, insn->imm);
    asm_load(&c->a, ir_type_size(insn->type), out, mem_at(out, 0));
    value_set_reg(c, insn->out, out, true);
}

/* The other half of a vector whose first half this puts: the next insn, or NULL. */
static const IrInsn *other_half(const Context *c, const IrInsn *insn)
{
    const IrInsn *next = insn + 1;

    return host_has(HOST_AVX2) && insn->type == IR_I64 && (uint32_t)c->i + 1 < c->ir->n_insns && next->op == IR_put_field &&
                   next->type == IR_I64 && next->imm == (insn->imm ^ 8) && (insn->imm & ~UINT64_C(8)) % 16 == 0 &&
                   (!c->held || c->group_last) ? next : NULL;
}

/*
 * Both halves of a vector at once: operations on it need not wait until two stores have reached the cache. The second
 * put has nothing left to do.
 */
static void put_both(Context *c, const IrInsn *low, const IrInsn *high)
{
    int xmm = xmm_alloc(c), reg = value_use(c, low->in[0]);
    bool clean = false;
    int32_t imm;

    asm_vex(&c->a, VMOVQ, true, false, xmm, 0, rm_reg(reg));
    if (high->in[0] == low->in[0]) {
        asm_vex(&c->a, VPUNPCKLQDQ, false, false, xmm, xmm, rm_reg(xmm));
    } else if (value_imm(c, high->in[0], 8, &imm) && !imm) {
        clean = true;
    } else {
        asm_vex(&c->a, VPINSRQ, true, false, xmm, xmm, rm_reg(value_use(c, high->in[0])));
        asm_byte(&c->a, 1);
    }
    c->put_already = c->i + 1;
    xmm_put(c, xmm, low->imm, true, clean);
}

/* Whether one of the next operations computes with the doubleword that this puts. */
static bool is_operand_soon(const Context *c, const IrInsn *insn)
{
    enum { SOON = 40 };
    uint32_t end = MIN((uint32_t)c->i + SOON, c->ir->n_insns);

    for (uint32_t i = c->i + 1; i < end; i++) {
        const IrInsn *next = &c->ir->insns[i];

        if (next->op == IR_fast) {
            const IrFast *f = &c->ir->fasts[next->bits];
            int32_t field = insn->imm;

            if (fast_is_scalar(f) && (f->a == field || f->b == field || f->c == field)) {
                return true;
            }
            if (f->t == field) {
                return false;
            }
        } else if (next->op == IR_call || next->op == IR_label || (next->op == IR_put_field && next->imm == insn->imm)) {
            return false;
        }
    }
    return false;
}

/* A single that the next operation makes a double of: only its stub wants it in memory. */
static bool is_widened(const Context *c, const IrInsn *insn)
{
    const IrInsn *next = insn + 1;

    return insn->type == IR_I32 && !c->held && has_vector_fields() && (uint32_t)c->i + 1 < c->ir->n_insns && next->op == IR_fast &&
           c->ir->fasts[next->bits].kind == FAST_WIDEN && c->ir->fasts[next->bits].b == (int32_t)insn->imm;
}

static void put_late(Context *c, const IrInsn *insn)
{
    int reg = value_use(c, insn->in[0]), xmm = xmm_alloc(c);

    asm_op(&c->a, VMOVQ, 4, xmm, rm_reg(reg)); /* of 32 bits */
    xmm_set(c, xmm, insn->imm, false, true);
    c->xmm_late |= 1u << xmm;
}

void field_put(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    const IrInsn *other = other_half(c, insn);
    Mem mem = mem_state(insn->imm);
    int32_t imm;

    if (c->put_until && (uint32_t)c->i <= c->put_until) {
        c->put_until = (uint32_t)c->i == c->put_until ? 0 : c->put_until;
        return;
    }
    if (c->put_already == (uint32_t)c->i) {
        c->put_already = 0;
        return;
    }
    if (other) {
        put_both(c, insn->imm & 8 ? other : insn, insn->imm & 8 ? insn : other);
        return;
    }
    if (is_widened(c, insn)) {
        put_late(c, insn);
        return;
    }
    carry_keep_operands(c, insn->imm, false);
    xmm_in_memory(c, insn->imm);
    xmm_forget(c, insn->imm);
    if (value_imm(c, insn->in[0], size, &imm)) {
        asm_store_imm(&c->a, size, mem, imm);
    } else {
        int reg = value_use(c, insn->in[0]);

        asm_store(&c->a, size, mem, reg);
        if (size == 8 && (!c->held || c->group_last) && is_operand_soon(c, insn)) {
            int xmm = xmm_alloc(c);

            asm_op(&c->a, VMOVQ, 8, xmm, rm_reg(reg));
            xmm_set(c, xmm, insn->imm, false, true);
        }
    }
}

bool xmm_has_copy(const Context *c, int32_t field, bool whole)
{
    return xmm_find(c, field, whole) != NO_REG;
}

static void load_copy(Context *c, int xmm, int32_t field, bool whole)
{
    asm_op(&c->a, whole ? MOVAPS_LOAD : MOVSD_LOAD, 4, xmm, rm_mem(mem_state(field)));
}

void xmm_forget(Context *c, int32_t field)
{
    for (unsigned mask = c->xmm_valid; mask; mask &= mask - 1) {
        unsigned k = __builtin_ctz(mask);

        if (overlaps(c->xmm[k], field)) {
            c->xmm_valid &= ~(1u << k);
            c->xmm_late &= ~(1u << k);
        }
    }
}

void xmm_forget_all(Context *c)
{
    c->xmm_valid = 0;
}

int xmm_alloc(Context *c)
{
    unsigned best = 0;
    uint32_t oldest = UINT32_MAX;

    for (unsigned k = 0; k < HOST_XMMS; k++) {
        uint32_t time = c->xmm_valid >> k & 1 ? c->xmm[k].time : 0;

        if (!((c->xmm_locked | c->xmm_late) >> k & 1) && time < oldest) {
            oldest = time;
            best = k;
        }
    }
    if (oldest == UINT32_MAX && c->late) {
        c->late_failed = true;
        longjmp(c->out_of_registers, 1);
    }
    g_assert(oldest != UINT32_MAX);
    c->xmm_valid &= ~(1u << best);
    c->xmm_locked |= 1u << best;
    return best;
}

void xmm_set(Context *c, int xmm, int32_t field, bool whole, bool clean)
{
    xmm_forget(c, field);
    if (whole) {
        xmm_forget(c, field ^ 8);
    }
    c->xmm_valid |= 1u << xmm;
    c->xmm[xmm] = (XmmCopy){ .field = field, .whole = whole, .clean = clean, .time = ++c->xmm_clock };
}

/* Copies that are loaded again, behind a call, are so by the same instruction. */
bool xmm_is_clean(const Context *c, int xmm)
{
    return c->xmm_valid >> xmm & 1 && c->xmm[xmm].clean;
}

int xmm_get(Context *c, int32_t field, bool whole)
{
    int xmm = xmm_find(c, field, whole);

    if (xmm != NO_REG) {
        c->xmm[xmm].time = ++c->xmm_clock;
        c->xmm_locked |= 1u << xmm;
        return xmm;
    }
    xmm_in_memory(c, field);
    if (whole) {
        xmm_in_memory(c, field ^ 8);
    }
    xmm = xmm_alloc(c);
    load_copy(c, xmm, field, whole);
    xmm_set(c, xmm, field, whole, !whole);
    return xmm;
}

void xmm_load(Context *c, XmmSave copy)
{
    load_copy(c, copy.xmm, copy.field, copy.whole);
    c->xmm_valid |= 1u << copy.xmm;
    c->xmm[copy.xmm] = (XmmCopy){ .field = copy.field, .whole = copy.whole, .clean = !copy.whole, .time = ++c->xmm_clock };
}

void xmm_moved(Context *c, int to, int from)
{
    unsigned late = c->xmm_late >> from & 1;

    c->xmm[to] = c->xmm[from];
    c->xmm_valid = (c->xmm_valid & ~(1u << from)) | 1u << to;
    c->xmm_late = (c->xmm_late & ~(1u << from | 1u << to)) | late << to;
}

void xmm_store(Context *c, XmmSave copy)
{
    asm_op(&c->a, copy.whole ? VMOVAPS_STORE : MOVSD_STORE, 4, copy.xmm, rm_mem(mem_state(copy.field)));
}

void xmm_put(Context *c, int xmm, int32_t field, bool whole, bool clean)
{
    bool late;

    carry_keep_operands(c, field, whole);
    late = c->late || field_is_rewritten(c, field, whole);
    if (!late) {
        xmm_store(c, (XmmSave){ .xmm = xmm, .whole = whole, .field = field });
    }
    xmm_set(c, xmm, field, whole, clean);
    if (late) {
        c->xmm_late |= 1u << xmm;
    }
}

static void settle(Context *c, unsigned k)
{
    xmm_store(c, (XmmSave){ .xmm = k, .whole = c->xmm[k].whole, .field = c->xmm[k].field });
    c->xmm_late &= ~(1u << k);
}

void xmm_settle(Context *c, uint64_t field)
{
    for (unsigned mask = c->xmm_late; mask; mask &= mask - 1) {
        if (overlaps(c->xmm[__builtin_ctz(mask)], field)) {
            settle(c, __builtin_ctz(mask));
        }
    }
}

void xmm_settle_all(Context *c)
{
    while (c->xmm_late) {
        settle(c, __builtin_ctz(c->xmm_late));
    }
}

void xmm_store_late(Context *c, Snapshot s)
{
    for (uint32_t k = s.first; k < s.first + s.count; k++) {
        if (c->xmm_saves[k].is_late) {
            xmm_store(c, c->xmm_saves[k]);
        }
    }
}

Snapshot xmm_snapshot(Context *c)
{
    Snapshot s = { .first = c->n_xmm_saves };

    for (unsigned mask = c->xmm_valid; mask; mask &= mask - 1) {
        unsigned k = __builtin_ctz(mask);

        *CONTEXT_PUSH(c, xmm_saves) = (XmmSave){ .xmm = k, .whole = c->xmm[k].whole, .is_late = c->xmm_late >> k & 1, .field = c->xmm[k].field };
        s.count++;
    }
    return s;
}

void xmm_reload(Context *c, Snapshot s)
{
    for (uint32_t k = s.first; k < s.first + s.count; k++) {
        load_copy(c, c->xmm_saves[k].xmm, c->xmm_saves[k].field, c->xmm_saves[k].whole);
    }
}
