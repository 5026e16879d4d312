/*
 * Fast operations: floating point and vectors of guests whose registers are fields of the state, on SSE2, AVX and FMA3.
 *
 * MXCSR has round to nearest, and exceptions are masked, but for those that fp_traps.c wants. Vector registers have copies
 * of fields (fields.c). What the host's result does not tell (it is tiny, infinite or NaN) is left to the helper, in a
 * cold stub. r11 is free.
 */
#include "backend.h"

enum { MOVSD_STORE = P_F2 | MAP_0F | 0x11, MOVAPS_LOAD = MAP_0F | 0x28, MOVUPS_STORE = MAP_0F | 0x11, PSLLQ = P_66 | MAP_0F | 0x73, PXOR = P_66 | MAP_0F | 0xef, PCMPEQB = P_66 | MAP_0F | 0x74, MOVMSKPD = P_66 | MAP_0F | 0x50,
       MOVQ_TO_GPR = P_66 | MAP_0F | 0x7e, MOVQ_FROM_GPR = P_66 | MAP_0F | 0x6e, CVTSD2SS = P_F2 | MAP_0F | 0x5a,
       CVTSS2SD = P_F3 | MAP_0F | 0x5a, CVTSI2SD = P_F2 | MAP_0F | 0x2a,
       MULSD = P_F2 | MAP_0F | 0x59, MULPD = P_66 | MAP_0F | 0x59, MULSS = P_F3 | MAP_0F | 0x59, MINSD = P_F2 | MAP_0F | 0x5d,
       MINPD = P_66 | MAP_0F | 0x5d, CVTSI2SS = P_F3 | MAP_0F | 0x2a, UCOMISD = P_66 | MAP_0F | 0x2e, XORPS = MAP_0F | 0x57, CMOV = MAP_0F | 0x40, MOVSXD = 0x63 };
/* Exponents that are safe: neither tiny before rounding, nor the largest; for singles, also after rounding. */
enum { LEAST_DOUBLE = 2, LAST_DOUBLE = 0x7fe, LEAST_SINGLE = 898, LAST_SINGLE = 1149 };

static void sse(Context *c, uint32_t opcode, int reg, Rm rm)
{
    asm_op(&c->a, opcode, 4, reg, rm);
}

static void sse64(Context *c, uint32_t opcode, int reg, Rm rm)
{
    asm_op(&c->a, opcode, 8, reg, rm);
}

static Rm field(int32_t offset)
{
    return rm_mem(mem_state(offset));
}

static void load_value(Context *c, int xmm, uint32_t id)
{
    int32_t imm;

    if (value_imm(c, id, 8, &imm) && !imm) {
        sse(c, PXOR, xmm, rm_reg(xmm));
    } else {
        sse64(c, MOVQ_FROM_GPR, xmm, value_rm(c, id, 8));
    }
}

/* In the vector unit, whose registers hold copies that may be dropped; EFLAGS stay. */
void emit_eqb(Context *c, const IrInsn *insn)
{
    int x = xmm_alloc(c), y = xmm_alloc(c), out;

    g_assert(!backend.target.use_vector_pins);
    load_value(c, x, insn->in[0]);
    load_value(c, y, insn->in[1]);
    sse(c, PCMPEQB, x, rm_reg(y));
    out = out_reg(c, insn->out, 0, 0, 0, false);
    sse64(c, MOVQ_TO_GPR, x, rm_reg(out));
    value_set_reg(c, insn->out, out, false);
}

static void leave_if(Context *c, ColdStub *s, IrCc cc)
{
    s->jumps[1] = asm_jcc(&c->a, cc);
}

/* The sign shifted out, the exponent at the bottom. */
static void exponent_to_r11(Context *c, int xmm)
{
    sse64(c, MOVQ_TO_GPR, xmm, rm_reg(R11));
    asm_op(&c->a, 0x03, 8, R11, rm_reg(R11));
    asm_shift_imm(&c->a, SH_SHR, 8, R11, 53);
}

/*
 * The double in an xmm register must be normal, by a margin. Doubles: between 2^-510 and 2^513, where the two highest
 * bits of the exponent differ, which is told by an addition's overflow; cold code looks at the others.
 */
static uint32_t check_number(Context *c, int xmm, bool single)
{
    Asm *a = &c->a;

    if (single) {
        exponent_to_r11(c, xmm);
        asm_alu_ri(a, ALU_SUB, 4, rm_reg(R11), LEAST_SINGLE);
        asm_alu_ri(a, ALU_CMP, 4, rm_reg(R11), LAST_SINGLE - LEAST_SINGLE);
        return asm_jcc(a, CC_A);
    }
    sse64(c, MOVQ_TO_GPR, xmm, rm_reg(R11));
    asm_op(a, 0x03, 8, R11, rm_reg(R11));
    asm_op(a, 0x03, 8, R11, rm_reg(R11));
    return asm_jcc(a, CC_NO);
}

/* The same of both doubles; x is free. */
static uint32_t check_pair(Context *c, int xmm, int x)
{
    enum { SHIFT_LEFT = 6, BOTH = 3 };
    Asm *a = &c->a;

    sse(c, MOVAPS_LOAD, x, rm_reg(xmm));
    sse(c, PSLLQ, SHIFT_LEFT, rm_reg(x));
    asm_byte(a, 1);
    sse(c, PXOR, x, rm_reg(xmm));
    sse(c, PSLLQ, SHIFT_LEFT, rm_reg(x));
    asm_byte(a, 1);
    sse(c, MOVMSKPD, R11, rm_reg(x));
    asm_alu_ri(a, ALU_CMP, 4, rm_reg(R11), BOTH);
    return asm_jcc(a, CC_NE);
}

/* Rounded twice, first to a double: wrong only if that came to lie half-way between two singles. */
static void check_not_half_way(Context *c, ColdStub *s, int xmm)
{
    Asm *a = &c->a;

    sse64(c, MOVQ_TO_GPR, xmm, rm_reg(R11));
    asm_alu_ri(a, ALU_AND, 4, rm_reg(R11), 0x1fffffff);
    asm_alu_ri(a, ALU_CMP, 4, rm_reg(R11), 0x10000000);
    leave_if(c, s, CC_E);
}

/*
 * With exceptions unmasked (fp_traps.c) most of what the host cannot do raises one by itself. These make it raise one for
 * the rest. The host is tiny after rounding, the guest before: the smallest normal number, and some that are near it,
 * are tiny when halved. A minimum does not like NaNs, of which the host might choose another one.
 */
static void trap_if_least(Context *c, int xmm, uint32_t multiply, int32_t halves, int temp)
{
    int half = xmm_get(c, halves, true);

    asm_vex(&c->a, multiply, false, false, temp, xmm, rm_reg(half));
}

static void trap_if_nan(Context *c, int xmm, bool two, int temp)
{
    asm_vex(&c->a, two ? MINPD : MINSD, false, false, temp, xmm, rm_reg(xmm));
}

static void round_to_single(Context *c, int xmm, bool traps)
{
    sse(c, CVTSD2SS, xmm, rm_reg(xmm));
    if (traps) {
        trap_if_least(c, xmm, MULSS, AREA_HALF_SINGLES, xmm_alloc(c));
    }
    sse(c, CVTSS2SD, xmm, rm_reg(xmm));
}

/* The instruction word is negative as an int32_t or not: the upper half of `last` is 0 or -1, which both mean nothing. */
static void record(Context *c, const IrFast *f, ColdStub *s)
{
    const int32_t operands[] = { f->a, f->b, f->c };

    carry_forget_note(c);
    if (c->late || carry_note_waits(c, &c->ir->insns[c->i])) {
        carry_note(c, f, c->loop.edge);
        s->note_is_late = true;
        return;
    }
    if (carry_next_note(c, f)) {
        carry_wait(c, f);
        s->note_is_late = true;
        return;
    }
    asm_store_imm(&c->a, 8, mem_state(f->last), f->args[1]);
    for (unsigned i = 0; i < 3; i++) {
        if (operands[i] >= 0) {
            sse(c, MOVSD_STORE, xmm_get(c, operands[i], false), field(f->last + 8 + 8 * i));
        }
    }
}

static uint32_t opcode_of(const IrFast *f)
{
    return f->opcode | f->map << 8 | (uint32_t)f->prefix << 16;
}

static bool is_pair(const IrFast *f)
{
    return f->kind == FAST_DOUBLES || f->kind == FAST_FUSED2;
}

static bool is_fused(const IrFast *f)
{
    return f->kind == FAST_FUSED || f->kind == FAST_FUSED2;
}

/* -(a * c +- b): the host negates the product, the guest the sum, but no NaN. */
static bool is_negated(const IrFast *f)
{
    enum { VFNMADD = 0xac };

    return is_fused(f) && f->opcode >= VFNMADD;
}

/* A scalar result; with f->clear zero is beside it, which the register may have there, too. */
static void put_scalar(Context *c, const IrFast *f, int to, bool clean)
{
    bool both = f->clear && clean && !c->late; /* late ones have zero beside them in memory */

    xmm_put(c, to, f->t, both, clean);
    if (f->clear && !both && !c->late) {
        asm_store_imm(&c->a, 8, mem_state(f->t + 8), 0);
    }
}

/* The operation, into a register of its own; nothing has been stored. *clean: of a scalar's, the upper half is zero, as the operand's it comes from. */
static int compute(Context *c, const IrFast *f, bool *clean)
{
    bool two = is_pair(f);
    int b = xmm_get(c, f->b, two), a = f->a >= 0 ? xmm_get(c, f->a, two) : b, to;

    *clean = !two && xmm_is_clean(c, f->kind == FAST_ROUND ? b : a);
    if (is_fused(f)) {
        int third = xmm_get(c, f->c, two);

        to = xmm_alloc(c);
        sse(c, MOVAPS_LOAD, to, rm_reg(a));
        asm_vex(&c->a, opcode_of(f), true, false, to, third, rm_reg(b));
        return to;
    }
    to = xmm_alloc(c);
    if (f->kind == FAST_ROUND) {
        sse(c, MOVAPS_LOAD, to, rm_reg(b));
    } else if (host_has(HOST_FMA)) {
        asm_vex(&c->a, opcode_of(f), false, false, to, a, rm_reg(b));
    } else {
        sse(c, MOVAPS_LOAD, to, rm_reg(a));
        sse(c, opcode_of(f), to, rm_reg(b));
    }
    return to;
}

static void check_by_traps(Context *c, const IrFast *f, int to)
{
    enum { MUL = 0x59 };
    bool two = is_pair(f);
    int temp = xmm_alloc(c);

    if (f->kind != FAST_ROUND && (f->single || is_fused(f))) {
        trap_if_nan(c, to, two, temp);
    }
    if (!f->single && (is_fused(f) || f->opcode == MUL)) { /* what is tiny of others is exact, or not near the least number */
        trap_if_least(c, to, two ? MULPD : MULSD, AREA_HALF_DOUBLES, temp);
    }
}

/* Zeros, whose sign may be another one, and NaNs go to cold code; the rest is as for the others. Nothing waits for it. */
static uint32_t check_negated(Context *c, const IrFast *f, int to)
{
    if (!f->single) {
        trap_if_least(c, to, MULSD, AREA_HALF_DOUBLES, xmm_alloc(c));
    }
    asm_vex(&c->a, UCOMISD, false, false, to, 0, field(AREA_MAGNITUDE + 8));
    return asm_jcc(&c->a, CC_E);
}

static void emit_number(Context *c, const IrFast *f, ColdStub *s)
{
    bool two = is_pair(f), clean;
    int to = compute(c, f, &clean);

    s->temp = to;
    if (f->traps && !is_negated(f)) {
        check_by_traps(c, f, to);
    } else if (f->traps && !two) {
        s->jumps[0] = check_negated(c, f, to);
    } else {
        s->jumps[0] = two ? check_pair(c, to, xmm_alloc(c)) : check_number(c, to, f->single);
    }
    s->store_at = asm_offset(&c->a);
    if (f->single) {
        if (f->kind != FAST_ROUND) {
            check_not_half_way(c, s, to);
        }
        round_to_single(c, to, f->traps);
    }
    if (f->record) {
        record(c, f, s);
    }
    if (two) {
        xmm_put(c, to, f->t, true, false);
    } else {
        put_scalar(c, f, to, clean);
    }
}

/* R11 as one of 32 bits; leaves if it is not. */
static void check_word(Context *c, const IrFast *f, ColdStub *s, int other)
{
    Asm *a = &c->a;

    if (f->is_unsigned) {
        asm_mov_rr(a, 4, other, R11);
    } else {
        asm_op(a, MOVSXD, 8, other, rm_reg(R11));
    }
    asm_alu(a, ALU_CMP, 8, other, rm_reg(R11));
    leave_if(c, s, CC_NE);
    if (f->twice) {
        asm_mov_rr(a, 4, R11, R11);
        asm_shift_imm(a, SH_SHL, 8, other, 32);
        asm_alu(a, ALU_OR, 8, R11, rm_reg(other));
    }
}

/* Without a range to check, the host answers the smallest integer. */
static void check_int(Context *c, const IrFast *f, ColdStub *s, int other)
{
    Asm *a = &c->a;

    if (f->size == 4) {
        check_word(c, f, s, other);
    } else if (f->is_unsigned) {
        asm_op(a, 0x85, 8, R11, rm_reg(R11)); /* test */
        leave_if(c, s, CC_S);
    } else if (!f->traps) {
        asm_mov_ri(a, other, UINT64_C(1) << 63);
        asm_alu(a, ALU_CMP, 8, other, rm_reg(R11));
        leave_if(c, s, CC_E);
    }
}

static void emit_to_int(Context *c, const IrFast *f, ColdStub *s)
{
    int from = xmm_get(c, f->b, false), other = s->value_reg, to = xmm_alloc(c);
    Asm *a = &c->a;

    if (f->traps && !f->is_unsigned && f->size == 4) {
        sse(c, opcode_of(f), R11, rm_reg(from));
        if (f->twice) {
            asm_mov_rr(a, 4, other, R11);
            asm_shift_imm(a, SH_SHL, 8, other, 32);
            asm_alu(a, ALU_OR, 8, R11, rm_reg(other));
        } else {
            asm_op(a, MOVSXD, 8, R11, rm_reg(R11));
        }
    } else {
        sse64(c, opcode_of(f), R11, rm_reg(from));
        check_int(c, f, s, other);
    }
    sse64(c, MOVQ_FROM_GPR, to, rm_reg(R11));
    if (f->record) {
        record(c, f, s);
    }
    put_scalar(c, f, to, true);
}
static void emit_from_int(Context *c, const IrFast *f, ColdStub *s)
{
    int to = xmm_alloc(c);

    xmm_in_memory(c, f->b);
    if (f->is_unsigned) {
        asm_load(&c->a, 8, R11, mem_state(f->b));
        asm_op(&c->a, 0x85, 8, R11, rm_reg(R11)); /* test */
        leave_if(c, s, CC_S);
    }
    sse(c, XORPS, to, rm_reg(to)); /* no false dependence */
    sse64(c, f->single ? CVTSI2SS : CVTSI2SD, to, field(f->b));
    if (f->single) {
        sse(c, CVTSS2SD, to, rm_reg(to));
    }
    if (f->record) {
        record(c, f, s);
    }
    put_scalar(c, f, to, true);
}

static void emit_widen(Context *c, const IrFast *f)
{
    bool is_late = xmm_has_copy(c, f->b, false);
    int from = is_late ? xmm_get(c, f->b, false) : NO_REG, to = xmm_alloc(c);

    if (is_late) {
        asm_vex(&c->a, CVTSS2SD, false, false, to, from, rm_reg(from));
        xmm_forget(c, f->b);
    } else {
        sse(c, XORPS, to, rm_reg(to)); /* no false dependence */
        sse(c, CVTSS2SD, to, field(f->b));
    }
    put_scalar(c, f, to, true);
}

static void emit_fast_compare(Context *c, const IrFast *f, ColdStub *s, int out)
{
    enum { BIT_8 = 4, BIT_2 = 6 };
    int x = xmm_get(c, f->a, false), y = xmm_get(c, f->b, false);
    Asm *a = &c->a;

    sse(c, UCOMISD, x, rm_reg(y));
    leave_if(c, s, CC_P);
    asm_mov_ri(a, out, 4); /* the low byte; what is above may be anything */
    asm_op(a, CMOV | CC_E, 4, out, field(AREA_BITS + BIT_2));
    asm_op(a, CMOV | CC_B, 4, out, field(AREA_BITS + BIT_8));
    asm_store(a, 1, mem_state(f->t), out);
}

/* Needs no helper: no number is looked at. */
static void emit_sign(Context *c, const IrFast *f)
{
    enum { PCMPEQD = P_66 | MAP_0F | 0x76, SHIFT_Q = P_66 | MAP_0F | 0x73, LEFT = 6, RIGHT = 2, ANDPS = 0x54 };
    int b = xmm_get(c, f->b, false), to;
    bool clean = xmm_is_clean(c, b) && (!f->opcode || f->opcode == ANDPS); /* the mask is for both halves */

    to = xmm_alloc(c);
    if (f->opcode && host_has(HOST_AVX2)) {
        clean = clean || xmm_is_clean(c, b) || f->opcode == ANDPS;
        asm_vex(&c->a, f->opcode | MAP_0F, false, false, to, b, field(f->opcode == ANDPS ? AREA_MAGNITUDE : AREA_SIGN));
        put_scalar(c, f, to, clean);
        return;
    }
    sse(c, MOVAPS_LOAD, to, rm_reg(b));
    if (f->opcode) {
        int mask = xmm_alloc(c);

        sse(c, PCMPEQD, mask, rm_reg(mask));
        sse(c, SHIFT_Q, f->opcode == ANDPS ? RIGHT : LEFT, rm_reg(mask));
        asm_byte(&c->a, f->opcode == ANDPS ? 1 : 63);
        sse(c, f->opcode | MAP_0F, to, rm_reg(mask));
    }
    put_scalar(c, f, to, clean);
}

static bool host_can(const IrFast *f)
{
    if (f->kind == FAST_STATUS) {
        return host_has(HOST_AVX512) && host_has(HOST_FMA);
    }
    return !is_fused(f) || host_has(HOST_FMA);
}

static void emit_on_host(Context *c, const IrFast *f, ColdStub *s)
{
    switch (f->kind) {
    case FAST_TO_INT: emit_to_int(c, f, s); break;
    case FAST_FROM_INT: emit_from_int(c, f, s); break;
    case FAST_WIDEN: emit_widen(c, f); break;
    case FAST_COMPARE: emit_fast_compare(c, f, s, s->out); break;
    case FAST_STATUS: put_scalar(c, f, emit_status(c, f, s), true); break;
    default: emit_number(c, f, s); break;
    }
}

void emit_fast(Context *c, const IrInsn *insn)
{
    const IrFast *f = &c->ir->fasts[insn->bits];
    ColdStub *s;
    int out = NO_REG, spare = NO_REG;

    if (f->kind == FAST_STEPS) {
        emit_steps(c, insn);
        return;
    }
    if (f->kind == FAST_SIGN) {
        emit_sign(c, f);
        return;
    }
    clobber_flags(c);
    lock_reg(c, R11);
    displace(c, R11, true);
    if (f->kind == FAST_COMPARE) {
        out = alloc_temp(c);
    } else if (f->kind == FAST_TO_INT || f->kind == FAST_STATUS) {
        spare = alloc_temp(c);
    }
    s = cold_new(c, COLD_FAST);
    s->insn = insn;
    s->out = out;
    s->value_reg = spare;
    s->pc = c->pc;
    s->snapshot = snapshot_take(c, UINT64_MAX);
    if (host_can(f)) {
        s->trap_from = asm_offset(&c->a);
        emit_on_host(c, f, s);
        s->trap_to = backend.target.use_fp_traps ? asm_offset(&c->a) : 0;
    } else {
        s->jumps[1] = asm_jmp(&c->a);
        xmm_forget(c, f->t);
        xmm_forget(c, f->t + 8);
        if (f->record) { /* the helper leaves the status */
            carry_forget_note(c);
        }
    }
    s->resume = asm_offset(&c->a);
    s->xmms = xmm_snapshot(c);
    unlock_reg(c, R11);
    if (out != NO_REG) {
        value_set_reg(c, insn->out, out, false);
    }
}

/* Cold code's jumps to where a number has been found good, and to where the helper is called. */
typedef struct Verdict {
    uint32_t good[4], bad[5];
    unsigned n_good, n_bad;
} Verdict;

static void good_at(Verdict *v, uint32_t jump)
{
    g_assert(v->n_good < G_N_ELEMENTS(v->good));
    v->good[v->n_good++] = jump;
}

static void bad_at(Verdict *v, uint32_t jump)
{
    g_assert(v->n_bad < G_N_ELEMENTS(v->bad));
    v->bad[v->n_bad++] = jump;
}

/* R11 = the doubleword without its sign; EFLAGS tell whether it is zero. */
static void load_magnitude(Context *c, int32_t at)
{
    asm_load(&c->a, 8, R11, mem_state(at));
    asm_op(&c->a, 0x03, 8, R11, rm_reg(R11));
}

/*
 * A fused operation came to zero: exactly, if the product is zero, or if what was added is so large that nothing tiny can
 * remain. The host negates the product, the guest the sum, so that zeros differ in their signs: where the product is zero
 * it is the helper's.
 */
static void accept_fused_zero(Context *c, const IrFast *f, Verdict *v, int temp, int32_t at)
{
    enum { LARGE = 1023 - 900 };
    bool negated = is_negated(f);

    for (unsigned i = 0; i < 2; i++) {
        load_magnitude(c, (i ? f->c : f->a) + at);
        if (negated) {
            bad_at(v, asm_jcc(&c->a, CC_E));
        } else {
            good_at(v, asm_jcc(&c->a, CC_E));
        }
    }
    if (negated && is_pair(f)) {
        return;
    }
    load_magnitude(c, f->b + at);
    asm_shift_imm(&c->a, SH_SHR, 8, R11, 53);
    asm_alu_ri(&c->a, ALU_CMP, 4, rm_reg(R11), LARGE);
    if (negated) {
        bad_at(v, asm_jcc(&c->a, CC_B));
        asm_mov_ri(&c->a, R11, UINT64_C(1) << 63);
        sse64(c, MOVQ_FROM_GPR, temp, rm_reg(R11));
        good_at(v, asm_jmp(&c->a));
    } else {
        good_at(v, asm_jcc(&c->a, CC_AE));
    }
}

/* A result of zero: whether it is exact, from what the operands are. at: 8 of the second ones of pairs. */
static void accept_zero(Context *c, const IrFast *f, Verdict *v, int temp, int32_t at)
{
    enum { MUL = 0x59, DIV = 0x5e };

    if (is_fused(f)) {
        accept_fused_zero(c, f, v, temp, at);
    } else if (f->kind == FAST_ROUND) {
        load_magnitude(c, f->b);
        good_at(v, asm_jcc(&c->a, CC_E));
    } else if (f->opcode == MUL || f->opcode == DIV) {
        load_magnitude(c, f->a + at);
        good_at(v, asm_jcc(&c->a, CC_E));
        if (f->opcode == MUL) {
            load_magnitude(c, f->b + at);
            good_at(v, asm_jcc(&c->a, CC_E));
        }
    } else { /* sums that are zero are exact; so are roots */
        good_at(v, asm_jmp(&c->a));
    }
}

/* A number that the usual check has not passed, in R11 without its sign, is zero, which is common, or of another magnitude. */
static void judge(Context *c, const IrFast *f, Verdict *v, int temp, int32_t at)
{
    Asm *a = &c->a;
    uint32_t not_zero = asm_jcc(a, CC_NE);

    accept_zero(c, f, v, temp, at);
    bad_at(v, asm_jmp(a));
    asm_patch_here(a, not_zero);
    if (!f->single) {
        asm_shift_imm(a, SH_SHR, 8, R11, 53);
        asm_alu_ri(a, ALU_SUB, 4, rm_reg(R11), LEAST_DOUBLE);
        asm_alu_ri(a, ALU_CMP, 4, rm_reg(R11), LAST_DOUBLE - LEAST_DOUBLE);
        good_at(v, asm_jcc(&c->a, CC_BE));
    }
    bad_at(v, asm_jmp(a));
}

/* Goes on where the result is stored if all numbers are good on second thought; falls through to the helper's call. */
static void look_again(Context *c, ColdStub *s, const IrFast *f)
{
    unsigned lanes = is_pair(f) ? 2 : 1;
    Verdict v[2] = { { .n_good = 0 } };
    Asm *a = &c->a;

    asm_patch_here(a, s->jumps[0]);
    xmm_store_late(c, s->before); /* operands are looked at where they should be */
    if (lanes == 2) {
        sse(c, MOVUPS_STORE, s->temp, rm_mem(mem_state(AREA_X1)));
    }
    for (unsigned k = 0; k < lanes; k++) {
        if (lanes == 2) {
            load_magnitude(c, AREA_X1 + 8 * (int)k);
        } else {
            sse64(c, MOVQ_TO_GPR, s->temp, rm_reg(R11));
            asm_op(a, 0x03, 8, R11, rm_reg(R11));
        }
        judge(c, f, &v[k], s->temp, 8 * (int)k);
        for (unsigned i = 0; i < v[k].n_good; i++) {
            asm_patch_here(a, v[k].good[i]);
        }
    }
    asm_jmp_offset(a, s->store_at);
    for (unsigned k = 0; k < lanes; k++) {
        for (unsigned i = 0; i < v[k].n_bad; i++) {
            asm_patch_here(a, v[k].bad[i]);
        }
    }
}

void cold_fast(Context *c, ColdStub *s)
{
    const IrFast *f = &c->ir->fasts[s->insn->bits];

    if (s->jumps[0] && f->kind == FAST_STEPS) {
        cold_steps(c, s, f);
    } else if (s->jumps[0]) {
        look_again(c, s, f);
    }
    for (unsigned i = 1; i < G_N_ELEMENTS(s->jumps); i++) {
        if (s->jumps[i]) {
            asm_patch_here(&c->a, s->jumps[i]);
        }
    }
    if (s->trap_to) {
        *CONTEXT_PUSH(c, traps) = (HostTrap){ s->trap_from, s->trap_to, asm_offset(&c->a) };
    }
    carry_settle(c, s->before, s->note);
    if (s->note_is_late) {
        carry_note_again(c, f);
    }
    asm_store_imm(&c->a, 8, mem_state(AREA_X0), f->args[0]);
    asm_store_imm(&c->a, 8, mem_state(AREA_X1), f->args[1]);
    asm_mov_ri(&c->a, R11, (uintptr_t)c->ir->helpers[f->helper].fn);
    thunk_call(c, THUNK_CALL);
    fault_record(c, asm_offset(&c->a), s->pc, s->snapshot);
    if (s->out != NO_REG) {
        asm_load(&c->a, 1, s->out, mem_state(AREA_X0));
    }
    xmm_reload(c, s->xmms);
    asm_jmp_offset(&c->a, s->resume);
}
