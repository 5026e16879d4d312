/* Shifts, rotates and bit counting. */
#include "backend.h"

static Shift shift_of(IrOp op)
{
    switch (op) {
    case IR_shl: return SH_SHL;
    case IR_shr: return SH_SHR;
    case IR_sar: return SH_SAR;
    case IR_rol: return SH_ROL;
    default: return SH_ROR;
    }
}

/* shlx and its kin: any count register, EFLAGS stay. */
static bool try_bmi2(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    uint32_t a = insn->in[0], b = insn->in[1];
    uint32_t prefix = insn->op == IR_shl ? P_66 : insn->op == IR_shr ? P_F2 : P_F3;
    int ra, rb, out;

    if (!host_has(HOST_BMI2) || flags_wanted(c, insn) || insn->op == IR_rol || insn->op == IR_ror ||
        (size < 4 && insn->op != IR_shl)) {
        return false;
    }
    ra = value_use(c, a);
    rb = value_use(c, b);
    out = out_reg(c, insn->out, a, 0, 0, false);
    asm_vex(&c->a, 0xf7 | MAP_38 | prefix, size == 8, false, out, rb, rm_reg(ra));
    value_set_reg(c, insn->out, out, size <= 4);
    return true;
}

/* The value goes into out, extended as a shift at this width wants it. */
static unsigned move_extended(Context *c, const IrInsn *insn, int out, bool flags)
{
    unsigned size = ir_type_size(insn->type);

    value_move_to(c, insn->in[0], out, size);
    if (flags || size >= 4 || insn->op == IR_rol || insn->op == IR_ror) {
        return size;
    }
    if (insn->op == IR_shr) {
        asm_zext_rr(&c->a, size, out, out);
    } else if (insn->op == IR_sar) {
        asm_sext_rr(&c->a, size, 4, out, out);
    }
    return 4;
}

static void shift_by_const(Context *c, const IrInsn *insn, unsigned count)
{
    unsigned size = ir_type_size(insn->type);
    bool flags = flags_wanted(c, insn);
    int out;

    if ((insn->op == IR_rol || insn->op == IR_ror) && !flags && size >= 4 && host_has(HOST_BMI2)) {
        int from = value_use(c, insn->in[0]);

        out = out_reg(c, insn->out, insn->in[0], 0, 0, false);
        asm_vex(&c->a, 0xf0 | MAP_3A | P_F2, size == 8, false, out, 0, rm_reg(from));
        asm_byte(&c->a, (insn->op == IR_ror ? count : -count) & (size * 8 - 1));
        value_set_reg(c, insn->out, out, size == 4);
        return;
    }
    clobber_flags(c);
    out = out_reg(c, insn->out, insn->in[0], 0, 0, false);
    size = move_extended(c, insn, out, flags);
    asm_shift_imm(&c->a, shift_of(insn->op), size, out, count);
    value_set_reg(c, insn->out, out, size == 4);
    define_flags(c, insn);
}

/* Brings a count into cl; returns the register to exchange back, RCX for none. */
static void load_count(Context *c, uint32_t count)
{
    if (c->values[count].reg != RCX || c->values[count].is_const) {
        asm_store(&c->a, 8, mem_state(AREA_SAVE0), RCX);
        value_move_to(c, count, RCX, 1);
    }
}

static void restore_count(Context *c, uint32_t count)
{
    if (c->values[count].reg != RCX || c->values[count].is_const) {
        asm_load(&c->a, 8, RCX, mem_state(AREA_SAVE0));
    }
}

/* An output that must not be rcx: the wish is left to the put. */
static int out_not_rcx(Context *c, const IrInsn *insn, uint32_t reuse, uint32_t keep, uint32_t keep2)
{
    Value *out = &c->values[insn->out];
    bool in_rcx = reuse && c->values[reuse].reg == RCX;

    if (out->wish >= 0 && backend.slot_reg[out->wish] == RCX) {
        out->wish = -1;
    }
    lock_reg(c, RCX);
    return out_reg(c, insn->out, in_rcx ? 0 : reuse, keep, keep2, false);
}

void emit_shift(Context *c, const IrInsn *insn)
{
    const Value *count = &c->values[insn->in[1]];
    bool flags = flags_wanted(c, insn);
    unsigned size;
    int out;

    if (count->is_const) {
        shift_by_const(c, insn, count->imm & (insn->type == IR_I64 ? 63 : 31));
        return;
    }
    if (try_bmi2(c, insn)) {
        return;
    }
    clobber_flags(c);
    if (count->reg != NO_REG) {
        lock_reg(c, count->reg);
    }
    out = out_not_rcx(c, insn, insn->in[0], insn->in[1], 0);
    size = move_extended(c, insn, out, flags);
    load_count(c, insn->in[1]);
    asm_shift_cl(&c->a, shift_of(insn->op), size, out);
    restore_count(c, insn->in[1]);
    value_set_reg(c, insn->out, out, size == 4);
    define_flags(c, insn);
}

/* On x86 there is none for bytes: (a:b) as 16 bits, whose flags would not be right. */
static void double_shift8(Context *c, const IrInsn *insn)
{
    int out = out_not_rcx(c, insn, 0, insn->in[0], insn->in[1]);
    bool left = insn->op == IR_shld;

    /* out = high:low of the pair in 16 bits, shifted within 32. */
    value_move_zext(c, insn->in[left ? 0 : 1], out, 1);
    asm_shift_imm(&c->a, SH_SHL, 4, out, 8);
    asm_op(&c->a, 0x0a | BYTE_REG | BYTE_RM, 1, out, rm_reg(value_use(c, insn->in[left ? 1 : 0])));
    load_count(c, insn->in[2]);
    asm_shift_cl(&c->a, left ? SH_SHL : SH_SHR, 4, out);
    restore_count(c, insn->in[2]);
    if (left) {
        asm_shift_imm(&c->a, SH_SHR, 4, out, 8);
    }
    value_set_reg(c, insn->out, out, true);
}

static void double_shift(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    const Value *count = &c->values[insn->in[2]];
    bool left = insn->op == IR_shld;
    int out, b;

    clobber_flags(c);
    if (count->reg != NO_REG) {
        lock_reg(c, count->reg);
    }
    if (size == 1) {
        double_shift8(c, insn);
    } else if (count->is_const) {
        b = value_use(c, insn->in[1]);
        out = out_reg(c, insn->out, insn->in[0], insn->in[1], 0, false);
        value_move_to(c, insn->in[0], out, size);
        asm_op(&c->a, (left ? 0xa4 : 0xac) | MAP_0F, size, b, rm_reg(out));
        asm_byte(&c->a, count->imm & (size * 8 - 1));
        value_set_reg(c, insn->out, out, size == 4);
    } else {
        b = value_use(c, insn->in[1]);
        out = out_not_rcx(c, insn, insn->in[0], insn->in[1], insn->in[2]);
        value_move_to(c, insn->in[0], out, size);
        if (b == RCX && count->reg != RCX) {
            b = alloc_temp(c);
            asm_mov_rr(&c->a, 8, b, RCX);
        }
        load_count(c, insn->in[2]);
        asm_op(&c->a, (left ? 0xa5 : 0xad) | MAP_0F, size, b, rm_reg(out));
        restore_count(c, insn->in[2]);
        value_set_reg(c, insn->out, out, size == 4);
    }
    define_flags(c, insn);
}

/* lzcnt and tzcnt; on older hosts bsr and bsf with the case of zero apart. */
static void count_zeros(Context *c, const IrInsn *insn, int out)
{
    unsigned size = ir_type_size(insn->type), work = MAX(size, 4);
    bool leading = insn->op == IR_clz;

    value_move_zext(c, insn->in[0], out, size);
    if (leading) {
        if (host_has(HOST_LZCNT)) {
            asm_op(&c->a, 0xbd | MAP_0F | P_F3, work, out, rm_reg(out));
        } else { /* bsr of 2x + 1 in 64 bits, or by halves: 63 - bsr; zero counts as bit -1 */
            int temp = alloc_temp(c);

            asm_mov_ri(&c->a, temp, (uint64_t)-1);
            asm_op(&c->a, 0xbd | MAP_0F, work, out, rm_reg(out));
            asm_op(&c->a, 0x40 | MAP_0F | CC_E, 8, out, rm_reg(temp));
            asm_group3(&c->a, 3, 4, rm_reg(out));
            asm_alu_ri(&c->a, ALU_ADD, 4, rm_reg(out), work * 8 - 1);
            unlock_reg(c, temp);
        }
        if (size < 4) {
            asm_alu_ri(&c->a, ALU_SUB, 4, rm_reg(out), 32 - size * 8);
        }
        return;
    }
    if (size < 4) { /* a bit to be found past the top */
        asm_alu_ri(&c->a, ALU_OR, 4, rm_reg(out), 1 << size * 8);
    }
    if (host_has(HOST_BMI1)) {
        asm_op(&c->a, 0xbc | MAP_0F | P_F3, work, out, rm_reg(out));
    } else {
        int temp = alloc_temp(c);

        asm_mov_ri(&c->a, temp, work * 8);
        asm_op(&c->a, 0xbc | MAP_0F, work, out, rm_reg(out));
        asm_op(&c->a, 0x40 | MAP_0F | CC_E, 4, out, rm_reg(temp));
        unlock_reg(c, temp);
    }
}

/* The sum by halves, for hosts without POPCNT. */
static void popcnt_by_parts(Context *c, unsigned size, int x)
{
    static const uint64_t masks[] = { 0x5555555555555555, 0x3333333333333333, 0x0f0f0f0f0f0f0f0f,
                                      0x00ff00ff00ff00ff, 0x0000ffff0000ffff, 0x00000000ffffffff };
    int t = alloc_temp(c), m = alloc_temp(c);

    for (unsigned k = 0; 1u << k < size * 8; k++) {
        asm_mov_ri(&c->a, m, masks[k]);
        asm_mov_rr(&c->a, 8, t, x);
        asm_shift_imm(&c->a, SH_SHR, 8, t, 1 << k);
        asm_alu(&c->a, ALU_AND, 8, t, rm_reg(m));
        asm_alu(&c->a, ALU_AND, 8, x, rm_reg(m));
        asm_alu(&c->a, ALU_ADD, 8, x, rm_reg(t));
    }
}

void emit_bits(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    int out;

    if (insn->op == IR_shld || insn->op == IR_shrd) {
        double_shift(c, insn);
        return;
    }
    if (insn->op != IR_bswap || size < 4) {
        clobber_flags(c);
    }
    out = out_reg(c, insn->out, insn->in[0], 0, 0, false);
    if (insn->op == IR_bswap) {
        value_move_to(c, insn->in[0], out, size);
        if (size == 2) {
            asm_shift_imm(&c->a, SH_ROL, 2, out, 8);
        } else if (size >= 4) {
            if (size == 8 || out >= 8) {
                asm_byte(&c->a, 0x40 | (size == 8 ? 8 : 0) | out >> 3);
            }
            asm_byte(&c->a, 0x0f);
            asm_byte(&c->a, 0xc8 | (out & 7));
        }
    } else if (insn->op == IR_popcnt) {
        value_move_zext(c, insn->in[0], out, size);
        if (host_has(HOST_POPCNT)) {
            asm_op(&c->a, 0xb8 | MAP_0F | P_F3, MAX(size, 4), out, rm_reg(out));
        } else {
            popcnt_by_parts(c, size, out);
        }
    } else {
        count_zeros(c, insn, out);
    }
    value_set_reg(c, insn->out, out, size == 4);
}
