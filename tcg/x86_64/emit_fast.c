/*
 * Fast operations: floating point and vectors of guests whose registers are fields of the state, on SSE2 and FMA3.
 *
 * xmm0 to xmm2 are free, as such a guest has none of them; MXCSR is the process's: nearest, all masked. What the
 * host's result does not tell (it is tiny, infinite, NaN or zero) is left to the helper, in a cold stub. r11 is free.
 */
#include "backend.h"

enum { XMM0, XMM1 };
enum { MOVSD_LOAD = P_F2 | MAP_0F | 0x10, MOVSD_STORE = P_F2 | MAP_0F | 0x11, MOVAPS_LOAD = MAP_0F | 0x28, MOVAPS_STORE = MAP_0F | 0x29,
       MOVHLPS = MAP_0F | 0x12, MOVQ_TO_GPR = P_66 | MAP_0F | 0x7e, CVTSD2SS = P_F2 | MAP_0F | 0x5a, CVTSS2SD = P_F3 | MAP_0F | 0x5a,
       CVTTSD2SI = P_F2 | MAP_0F | 0x2c, CVTSI2SD = P_F2 | MAP_0F | 0x2a, UCOMISD = P_66 | MAP_0F | 0x2e,
       CMOV = MAP_0F | 0x40 };
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

static void leave_if(Context *c, ColdStub *s, IrCc cc)
{
    unsigned i = 0;

    while (s->jumps[i]) {
        i++;
    }
    s->jumps[i] = asm_jcc(&c->a, cc);
}

/* The double in an xmm register must be normal, by a margin. */
static void check_number(Context *c, ColdStub *s, int xmm, bool single)
{
    unsigned least = single ? LEAST_SINGLE : LEAST_DOUBLE, last = single ? LAST_SINGLE : LAST_DOUBLE;
    Asm *a = &c->a;

    sse64(c, MOVQ_TO_GPR, xmm, rm_reg(R11));
    asm_op(a, 0x03, 8, R11, rm_reg(R11)); /* without the sign */
    asm_shift_imm(a, SH_SHR, 8, R11, 53);
    asm_alu_ri(a, ALU_SUB, 4, rm_reg(R11), least);
    asm_alu_ri(a, ALU_CMP, 4, rm_reg(R11), last - least);
    leave_if(c, s, CC_A);
}

/* Rounded twice, first to a double: wrong only if that came to lie half-way between two singles. */
static void check_not_half_way(Context *c, ColdStub *s)
{
    Asm *a = &c->a;

    sse64(c, MOVQ_TO_GPR, XMM0, rm_reg(R11));
    asm_alu_ri(a, ALU_AND, 4, rm_reg(R11), 0x1fffffff);
    asm_alu_ri(a, ALU_CMP, 4, rm_reg(R11), 0x10000000);
    leave_if(c, s, CC_E);
}

static void round_to_single(Context *c)
{
    sse(c, CVTSD2SS, XMM0, rm_reg(XMM0));
    sse(c, CVTSS2SD, XMM0, rm_reg(XMM0));
}

static void record(Context *c, const IrFast *f)
{
    const int32_t operands[] = { f->a, f->b, f->c };

    asm_store_imm(&c->a, 4, mem_state(f->last), f->args[0]);
    asm_store_imm(&c->a, 4, mem_state(f->last + 4), f->args[1]);
    asm_store_imm(&c->a, 1, mem_state(f->last + 32), 0);
    for (unsigned i = 0; i < 3; i++) {
        if (operands[i] >= 0) {
            asm_load(&c->a, 8, R11, mem_state(operands[i]));
            asm_store(&c->a, 8, mem_state(f->last + 8 + 8 * i), R11);
        }
    }
}

static uint32_t opcode_of(const IrFast *f)
{
    return f->opcode | f->map << 8 | (uint32_t)f->prefix << 16;
}

static void emit_number(Context *c, const IrFast *f, ColdStub *s)
{
    bool two = f->kind == FAST_DOUBLES || f->kind == FAST_FUSED2;
    uint32_t load = two ? MOVAPS_LOAD : MOVSD_LOAD;

    if (f->kind == FAST_FUSED || f->kind == FAST_FUSED2) {
        sse(c, load, XMM0, field(f->a));
        sse(c, load, XMM1, field(f->c));
        asm_vex(&c->a, opcode_of(f), true, false, XMM0, XMM1, field(f->b));
    } else if (f->kind == FAST_ROUND) {
        sse(c, MOVSD_LOAD, XMM0, field(f->b));
    } else {
        if (f->a >= 0) {
            sse(c, load, XMM0, field(f->a));
        }
        sse(c, opcode_of(f), XMM0, field(f->b));
    }
    if (two) {
        sse(c, MOVHLPS, XMM1, rm_reg(XMM0));
        check_number(c, s, XMM1, false);
    }
    check_number(c, s, XMM0, f->single);
    if (f->single) {
        if (f->kind != FAST_ROUND) {
            check_not_half_way(c, s);
        }
        round_to_single(c);
    }
    if (f->record) {
        record(c, f);
    }
    sse(c, two ? MOVAPS_STORE : MOVSD_STORE, XMM0, field(f->t));
}

/* Without a range to check, the host answers the smallest integer. */
static void emit_to_int(Context *c, const IrFast *f, ColdStub *s, int temp)
{
    Asm *a = &c->a;

    sse64(c, CVTTSD2SI, R11, field(f->b));
    if (f->size == 4) {
        asm_op(a, 0x63, 8, temp, rm_reg(R11)); /* movsxd */
        asm_alu(a, ALU_CMP, 8, temp, rm_reg(R11));
        leave_if(c, s, CC_NE);
    } else {
        asm_mov_ri(a, temp, UINT64_C(1) << 63);
        asm_alu(a, ALU_CMP, 8, temp, rm_reg(R11));
        leave_if(c, s, CC_E);
    }
    if (f->record) {
        asm_mov_rr(a, 8, temp, R11);
        record(c, f);
        asm_store(a, 8, mem_state(f->t), temp);
        return;
    }
    asm_store(a, 8, mem_state(f->t), R11);
}

static void emit_from_int(Context *c, const IrFast *f)
{
    sse(c, MAP_0F | 0x57, XMM0, rm_reg(XMM0)); /* xorps: no false dependence */
    sse64(c, CVTSI2SD, XMM0, field(f->b));
    if (f->record) {
        record(c, f);
    }
    sse(c, MOVSD_STORE, XMM0, field(f->t));
}

static void emit_fast_compare(Context *c, const IrFast *f, ColdStub *s, int out)
{
    Asm *a = &c->a;

    sse(c, MOVSD_LOAD, XMM0, field(f->a));
    sse(c, UCOMISD, XMM0, field(f->b));
    leave_if(c, s, CC_P);
    asm_mov_ri(a, out, 4);
    asm_mov_ri(a, R11, 2);
    asm_op(a, CMOV | CC_E, 4, out, rm_reg(R11));
    asm_mov_ri(a, R11, 8);
    asm_op(a, CMOV | CC_B, 4, out, rm_reg(R11));
    asm_store(a, 1, mem_state(f->t), out);
}

static void emit_vector(Context *c, const IrFast *f)
{
    sse(c, MOVAPS_LOAD, XMM0, field(f->a));
    sse(c, opcode_of(f), XMM0, field(f->b));
    sse(c, MOVAPS_STORE, XMM0, field(f->t));
}

static bool host_can(const IrFast *f)
{
    return (f->kind != FAST_FUSED && f->kind != FAST_FUSED2) || host_has(HOST_FMA);
}

static void emit_on_host(Context *c, const IrFast *f, ColdStub *s, int temp)
{
    if (f->gate >= 0) {
        asm_alu_ri(&c->a, ALU_CMP, 1, field(f->gate), 0);
        leave_if(c, s, CC_E);
    }
    switch (f->kind) {
    case FAST_TO_INT: emit_to_int(c, f, s, temp); break;
    case FAST_FROM_INT: emit_from_int(c, f); break;
    case FAST_COMPARE: emit_fast_compare(c, f, s, s->out); break;
    default: emit_number(c, f, s); break;
    }
    if (f->clear) {
        asm_store_imm(&c->a, 8, mem_state(f->t + 8), 0);
    }
}

void emit_fast(Context *c, const IrInsn *insn)
{
    const IrFast *f = &c->ir->fasts[insn->bits];
    ColdStub *s;
    int out = NO_REG, temp = NO_REG;

    if (f->kind == FAST_VECTOR) {
        emit_vector(c, f);
        return;
    }
    clobber_flags(c);
    lock_reg(c, R11);
    displace(c, R11, true);
    if (f->kind == FAST_COMPARE) {
        out = alloc_temp(c);
    }
    if (f->kind == FAST_TO_INT) { /* now: a register that it evicts is stored on both ways */
        temp = alloc_temp(c);
    }
    s = cold_new(c, COLD_FAST);
    s->insn = insn;
    s->out = out;
    s->pc = c->pc;
    s->snapshot = snapshot_take(c, UINT64_MAX);
    if (host_can(f)) {
        emit_on_host(c, f, s, temp);
    } else {
        s->jumps[0] = asm_jmp(&c->a);
    }
    s->resume = asm_offset(&c->a);
    unlock_reg(c, R11);
    if (out != NO_REG) {
        value_set_reg(c, insn->out, out, true);
    }
}

void cold_fast(Context *c, ColdStub *s)
{
    const IrFast *f = &c->ir->fasts[s->insn->bits];

    for (unsigned i = 0; i < G_N_ELEMENTS(s->jumps) && s->jumps[i]; i++) {
        asm_patch_here(&c->a, s->jumps[i]);
    }
    asm_store_imm(&c->a, 8, mem_state(AREA_X0), f->args[0]);
    asm_store_imm(&c->a, 8, mem_state(AREA_X1), f->args[1]);
    asm_mov_ri(&c->a, R11, (uintptr_t)c->ir->helpers[f->helper].fn);
    thunk_call(c, THUNK_CALL);
    fault_record(c, asm_offset(&c->a), s->pc, s->snapshot);
    if (s->out != NO_REG) {
        asm_load(&c->a, 1, s->out, mem_state(AREA_X0));
    }
    asm_jmp_offset(&c->a, s->resume);
}
