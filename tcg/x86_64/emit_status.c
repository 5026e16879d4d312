/*
 * The status of the operation that was noted last, inline: PowerPC's mffs (FAST_STATUS). AVX-512
 * has the rounding in the instruction, and does not raise exceptions then, so the operation is done
 * four times over. r11 is free.
 */
#include "backend.h"

enum {
    MOVSD_LOAD = P_F2 | MAP_0F | 0x10,
    MOVAPS_LOAD = MAP_0F | 0x28,
    PXOR = P_66 | MAP_0F | 0xef,
    MOVQ_TO_GPR = P_66 | MAP_0F | 0x7e,
    MOVQ_FROM_GPR = P_66 | MAP_0F | 0x6e,
    MOVSX_BYTE = MAP_0F | BYTE_RM | 0xbe,
    CMOV_G = MAP_0F | 0x40 | CC_G,
};

/* The noted operation again, rounded so, into a register of its own. */
static int compute(Context *c, const IrFast *f, const int *operands, AsmRound round)
{
    uint32_t opcode = f->opcode | f->map << 8 | (uint32_t)f->prefix << 16;
    int to = xmm_alloc(c);

    if (f->is_fused) {
        asm_op(&c->a, MOVAPS_LOAD, 4, to, rm_reg(operands[0]));
        asm_evex_round(&c->a, opcode, true, round, to, operands[2], operands[1]);
    } else {
        asm_evex_round(&c->a, opcode, true, round, to, operands[0], operands[1]);
    }
    return to;
}

/*
 * Down and up differ, by one as integers, if the result is inexact; nearest and cut off, if it is
 * rounded to more than it is. What is no normal number, or near to none, is the helper's.
 */
int emit_status(Context *c, const IrFast *f, ColdStub *s)
{
    enum { POSITIVE = 1 << 14, STATUS = 0x7f << 12, FPCC = 12, FI = 17 };
    int operands[3] = { 0 }, other = s->value_reg, nearest, cut, down, up;
    Asm *a = &c->a;

    asm_load(a, 4, R11, mem_state(f->last));
    asm_alu_ri(a, ALU_AND, 4, rm_reg(R11), (int32_t)f->note_mask);
    asm_alu_ri(a, ALU_CMP, 4, rm_reg(R11), (int32_t)f->note_key);
    s->jumps[1] = asm_jcc(a, CC_NE);
    for (int k = 0; k < 2 + f->is_fused; k++) {
        operands[k] = xmm_alloc(c);
        asm_op(a, MOVSD_LOAD, 4, operands[k], rm_mem(mem_state(f->last + 8 + 8 * k)));
    }
    nearest = compute(c, f, operands, ROUND_NEAREST);
    asm_op(a, MOVQ_TO_GPR, 8, nearest, rm_reg(R11));
    asm_mov_rr(a, 8, other, R11);
    asm_alu(a, ALU_ADD, 8, R11, rm_reg(R11));
    asm_alu(a, ALU_ADD, 8, R11, rm_reg(R11));
    s->jumps[2] = asm_jcc(a, CC_NO);
    cut = compute(c, f, operands, ROUND_CUT);
    down = compute(c, f, operands, ROUND_DOWN);
    up = compute(c, f, operands, ROUND_UP);
    asm_op(a, PXOR, 4, cut, rm_reg(nearest));
    asm_op(a, PXOR, 4, down, rm_reg(up));
    asm_shift_imm(a, SH_SAR, 8, other, 63);
    asm_alu_ri(a, ALU_AND, 4, rm_reg(other), POSITIVE);
    asm_alu_ri(a, ALU_ADD, 4, rm_reg(other), POSITIVE);
    asm_op(a, MOVSX_BYTE, 4, R11, rm_mem(mem_state(f->last + 4)));
    asm_shift_imm(a, SH_SHL, 4, R11, FPCC);
    asm_test_rr(a, 4, R11, R11);
    asm_op(a, CMOV_G, 4, other, rm_reg(R11));
    for (unsigned k = 0; k < 2; k++) {
        asm_op(a, MOVQ_TO_GPR, 8, k ? cut : down, rm_reg(R11));
        asm_alu_ri(a, ALU_AND, 4, rm_reg(R11), 1);
        asm_shift_imm(a, SH_SHL, 4, R11, FI + k);
        asm_alu(a, ALU_OR, 4, other, rm_reg(R11));
    }
    asm_load(a, 8, R11, mem_state(f->control));
    asm_alu_ri(a, ALU_AND, 8, rm_reg(R11), ~STATUS);
    asm_alu(a, ALU_OR, 8, R11, rm_reg(other));
    asm_op(a, MOVQ_FROM_GPR, 8, nearest, rm_reg(R11));
    return nearest;
}
