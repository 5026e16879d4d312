/* Bit instructions: BT to BTC, BSF, BSR, POPCNT, LZCNT, TZCNT, BMI, CRC32, CMPXCHG8B and 16B. */
#include "target/x86/insns.h"

#define NONE ((IrVal){0})

/* With a bit offset in a register, memory is a string of bits around the address. */
static IrVal bit_string_address(X86Translator *tr, X86Insn *in, IrVal offset, bool write)
{
    IrBlock *ir = tr->ir;
    IrType type = in->type, addr = in->addr_type;
    IrVal wide = addr > type ? ir_sext(ir, addr, type, offset) : offset;
    IrType at = MAX(addr, type);
    IrVal words = ir_op2(ir, IR_sar, at, wide, x86_const(tr, IR_I8, 3 + type));
    IrVal bytes = ir_op2(ir, IR_shl, at, words, x86_const(tr, IR_I8, type));

    return x86_linear(tr, in, in->seg, ir_op2(ir, IR_add, addr, x86_effective(tr, in), bytes), addr,
                      x86_size(type), write);
}

static IrVal changed(X86Translator *tr, X86BitOp op, IrType type, IrVal value, IrVal mask)
{
    switch (op) {
    case BIT_SET:
        return ir_op2(tr->ir, IR_or, type, value, mask);
    case BIT_RESET:
        return ir_op2(tr->ir, IR_andn, type, value, mask);
    default:
        return ir_op2(tr->ir, IR_xor, type, value, mask);
    }
}

void x86_emit_bt(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    X86BitOp op = in->row->op;
    IrType type = in->type;
    bool is_imm = in->row->operand[1] == O_Ib;
    IrVal offset = is_imm ? x86_const(tr, type, in->imm) : x86_operand_get(tr, in, 1);
    IrVal bit = ir_op2(ir, IR_and, IR_I8, offset, x86_const(tr, IR_I8, 8 * x86_size(type) - 1));
    IrVal mask = op == BIT_TEST ? NONE : ir_op2(ir, IR_shl, type, x86_const(tr, type, 1), bit);
    IrVal value, flags, cf;
    IrVal address = NONE;
    int64_t disp = 0;

    if (!in->is_mem) {
        value = x86_gpr_get(tr, in, type, in->rm);
    } else {
        if (is_imm) {
            address = x86_address_sized(tr, in, x86_size(type), op != BIT_TEST, &disp);
        } else {
            address = bit_string_address(tr, in, offset, op != BIT_TEST);
        }
        if (!in->lock) {
            value = ir_load(ir, type, address, disp, op == BIT_TEST ? 0 : IRM_UPDATE);
        } else if (op == BIT_RESET) {
            value = ir_atomic(ir, IR_atomic_and, type, address, disp, ir_op1(ir, IR_not, type, mask), NONE);
        } else {
            value = ir_atomic(ir, op == BIT_SET ? IR_atomic_or : IR_atomic_xor, type, address, disp, mask, NONE);
        }
    }
    flags = ir_opf(ir, IR_bt, type, value, bit, NONE).flags;
    cf = ir_op2(ir, IR_and, IR_I8, ir_op2(ir, IR_shr, type, value, bit), x86_const(tr, IR_I8, 1));
    if (op != BIT_TEST && !in->lock) {
        IrVal new = changed(tr, op, type, value, mask);

        if (in->is_mem) {
            ir_store(ir, type, address, disp, new, 0);
        } else {
            x86_gpr_put(tr, in, type, in->rm, new);
        }
    }
    x86_flags_put_carry(tr, cf, flags);
}

/* CF and ZF as given (I8), the others clear: what the counting instructions define. */
static void put_carry_zero(X86Translator *tr, IrVal cf, IrVal zf)
{
    IrBlock *ir = tr->ir;
    IrVal image = ir_op2(ir, IR_shl, IR_I32, ir_zext(ir, IR_I32, IR_I8, zf), x86_const(tr, IR_I8, 6));

    if (cf.id) {
        image = ir_op2(ir, IR_or, IR_I32, image, ir_zext(ir, IR_I32, IR_I8, cf));
    }
    x86_flags_put_image(tr, image);
}

static IrVal is_zero(X86Translator *tr, IrType type, IrVal value)
{
    return ir_setcond(tr->ir, COND_EQ, type, value, x86_const(tr, type, 0));
}

static void emit_count(X86Translator *tr, X86Insn *in, IrOp op)
{
    IrType type = in->type;
    IrVal src = x86_operand_get(tr, in, 1);
    IrVal count = ir_op1(tr->ir, op, type, src);

    x86_operand_put(tr, in, 0, count);
    put_carry_zero(tr, is_zero(tr, type, src), is_zero(tr, type, count));
}

/* BSF, BSR: the destination stays if the source is zero. */
static void emit_scan(X86Translator *tr, X86Insn *in, bool reverse)
{
    IrBlock *ir = tr->ir;
    IrType type = in->type;
    IrVal src = x86_operand_get(tr, in, 1);
    IrVal flags = ir_opf(ir, IR_test, type, src, src, NONE).flags;
    IrVal index = ir_op1(ir, reverse ? IR_clz : IR_ctz, type, src);

    if (reverse) {
        index = ir_op2(ir, IR_xor, type, index, x86_const(tr, type, 8 * x86_size(type) - 1));
    }
    if (type == IR_I32 && tr->cs64) {
        ir_put(ir, IR_I64, SLOT_AX + in->reg,
               ir_selectcc(ir, IR_I64, CC_E, flags, ir_get(ir, IR_I64, SLOT_AX + in->reg),
                           ir_zext(ir, IR_I64, IR_I32, index)));
    } else {
        x86_operand_put(tr, in, 0, ir_selectcc(ir, type, CC_E, flags, x86_operand_get(tr, in, 0), index));
    }
    x86_flags_put(tr, CC_LOGIC, type, src, NONE, flags);
}

void x86_emit_bsf(X86Translator *tr, X86Insn *in)
{
    if (in->rep == 0xf3 && x86_feature(tr, FEAT_bmi1)) {
        emit_count(tr, in, IR_ctz);
    } else {
        emit_scan(tr, in, false);
    }
}

void x86_emit_bsr(X86Translator *tr, X86Insn *in)
{
    if (in->rep == 0xf3 && x86_feature(tr, FEAT_abm)) {
        emit_count(tr, in, IR_clz);
    } else {
        emit_scan(tr, in, true);
    }
}

void x86_emit_popcnt(X86Translator *tr, X86Insn *in)
{
    IrVal src;

    if (in->rep != 0xf3 || !x86_feature(tr, FEAT_popcnt)) {
        x86_ud(tr);
        return;
    }
    src = x86_operand_get(tr, in, 1);
    x86_operand_put(tr, in, 0, ir_op1(tr->ir, IR_popcnt, in->type, src));
    put_carry_zero(tr, NONE, is_zero(tr, in->type, src));
}

static bool has_bmi(X86Translator *tr, const X86Insn *in, X86Feature feature)
{
    if (!x86_feature(tr, feature) || in->vex != 1) {
        x86_ud(tr);
        return false;
    }
    return true;
}

static void put_logic(X86Translator *tr, IrType type, IrVal result)
{
    x86_flags_put(tr, CC_LOGIC, type, result, NONE, ir_opf(tr->ir, IR_test, type, result, result, NONE).flags);
}

static void put_logic_carry(X86Translator *tr, IrType type, IrVal result, IrVal cf)
{
    tr->keep_flags = true;
    put_logic(tr, type, result);
    x86_flags_put_carry(tr, cf, NONE);
    tr->keep_flags = false;
}

void x86_emit_andn(X86Translator *tr, X86Insn *in)
{
    IrVal result;

    if (has_bmi(tr, in, FEAT_bmi1)) {
        result = ir_op2(tr->ir, IR_andn, in->type_y, x86_operand_get(tr, in, 2), x86_operand_get(tr, in, 1));
        x86_operand_put(tr, in, 0, result);
        put_logic(tr, in->type_y, result);
    }
}

/* BLSR, BLSMSK, BLSI */
void x86_emit_bls(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrType type = in->type_y;
    unsigned which = in->modrm >> 3 & 7;
    IrVal src, less, result, cf;

    if (which == 0 || which > 3) {
        x86_ud(tr);
        return;
    }
    if (!has_bmi(tr, in, FEAT_bmi1)) {
        return;
    }
    src = x86_operand_get(tr, in, 1);
    less = ir_op2(ir, IR_sub, type, src, x86_const(tr, type, 1));
    if (which == 1) {
        result = ir_op2(ir, IR_and, type, src, less);
    } else if (which == 2) {
        result = ir_op2(ir, IR_xor, type, src, less);
    } else {
        result = ir_op2(ir, IR_and, type, src, ir_op1(ir, IR_neg, type, src));
    }
    cf = ir_setcond(ir, which == 3 ? COND_NE : COND_EQ, type, src, x86_const(tr, type, 0));
    x86_operand_put(tr, in, 0, result);
    put_logic_carry(tr, type, result, cf);
}

void x86_emit_bzhi(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrType type = in->type_y;
    unsigned width = 8 * x86_size(type);
    IrVal src, count, mask, inside, result;

    if (!has_bmi(tr, in, FEAT_bmi2)) {
        return;
    }
    src = x86_operand_get(tr, in, 1);
    count = ir_zext(ir, IR_I32, IR_I8, x86_operand_get(tr, in, 2));
    inside = ir_setcond(ir, COND_LTU, IR_I32, count, x86_const(tr, IR_I32, width));
    mask = ir_op2(ir, IR_shl, type, x86_const(tr, type, 1), ir_op2(ir, IR_and, IR_I8, count, x86_const(tr, IR_I8, width - 1)));
    mask = ir_op2(ir, IR_sub, type, mask, x86_const(tr, type, 1));
    result = ir_select(ir, type, inside, ir_op2(ir, IR_and, type, src, mask), src);
    x86_operand_put(tr, in, 0, result);
    put_logic_carry(tr, type, result, ir_op2(ir, IR_xor, IR_I8, inside, x86_const(tr, IR_I8, 1)));
}

static void emit_deposit(X86Translator *tr, X86Insn *in, X86Helper helper)
{
    IrVal source, mask;

    if (has_bmi(tr, in, FEAT_bmi2)) {
        source = x86_arg(tr, in->type_y, x86_operand_get(tr, in, 1));
        mask = x86_arg(tr, in->type_y, x86_operand_get(tr, in, 2));
        x86_operand_put(tr, in, 0, x86_call(tr, helper, source, mask, NONE, NONE));
    }
}

void x86_emit_pdep(X86Translator *tr, X86Insn *in)
{
    emit_deposit(tr, in, HELPER_pdep);
}

void x86_emit_pext(X86Translator *tr, X86Insn *in)
{
    emit_deposit(tr, in, HELPER_pext);
}

void x86_emit_bextr(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrType type = in->type_y;
    unsigned width = 8 * x86_size(type);
    IrVal src, control, start, length, shifted, mask, zero, last;

    if (!has_bmi(tr, in, FEAT_bmi1)) {
        return;
    }
    src = x86_operand_get(tr, in, 1);
    control = x86_operand_get(tr, in, 2);
    zero = x86_const(tr, type, 0);
    last = x86_const(tr, IR_I8, width - 1);
    start = ir_zext(ir, IR_I32, IR_I8, control);
    length = ir_zext(ir, IR_I32, IR_I8, ir_op2(ir, IR_shr, IR_I32, control, x86_const(tr, IR_I8, 8)));
    shifted = ir_op2(ir, IR_shr, type, src, ir_op2(ir, IR_and, IR_I8, start, last));
    shifted = ir_select(ir, type, ir_setcond(ir, COND_LTU, IR_I32, start, x86_const(tr, IR_I32, width)), shifted, zero);
    mask = ir_op2(ir, IR_shl, type, x86_const(tr, type, UINT64_MAX), ir_op2(ir, IR_and, IR_I8, length, last));
    mask = ir_op1(ir, IR_not, type, mask);
    mask = ir_select(ir, type, ir_setcond(ir, COND_LTU, IR_I32, length, x86_const(tr, IR_I32, width)), mask,
                     x86_const(tr, type, UINT64_MAX));
    shifted = ir_op2(ir, IR_and, type, shifted, mask);
    x86_operand_put(tr, in, 0, shifted);
    put_logic(tr, type, shifted);
}

void x86_emit_crc32(X86Translator *tr, X86Insn *in)
{
    IrType type = x86_operand_type(in, 1);
    IrVal crc;

    if (!x86_feature(tr, FEAT_sse4_2)) {
        x86_ud(tr);
        return;
    }
    crc = X86_CALL3(tr, crc32, x86_arg(tr, in->type_y, x86_operand_get(tr, in, 0)),
                    x86_arg(tr, type, x86_operand_get(tr, in, 1)), x86_const(tr, IR_I64, x86_size(type)));
    x86_operand_put(tr, in, 0, crc);
}

/* One of two halves of equal type that are both as expected: a number that is zero then. */
static IrVal difference(IrBlock *ir, IrType type, const IrVal found[2])
{
    IrVal low = ir_op2(ir, IR_xor, type, found[0], ir_get(ir, type, SLOT_AX));
    IrVal high = ir_op2(ir, IR_xor, type, found[1], ir_get(ir, type, SLOT_DX));

    return ir_op2(ir, IR_or, type, low, high);
}

/* Without LOCK, by two accesses that are of one group. What is there is written back if it is not as expected. */
static void exchange_halves(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrType type = in->type_y;
    int64_t half = x86_size(type), disp;
    IrVal address = x86_address_sized(tr, in, 2 * half, true, &disp), found[2], flags;
    bool only_zero = x86_only_zero_flag_wanted(tr);
    IrVal image = only_zero ? NONE : ir_op1(ir, IR_flags_image, IR_I32, x86_flags_all(tr));

    if (half == 8) {
        IrVal sum = ir_op2(ir, IR_add, IR_I64, address, x86_const(tr, IR_I64, disp));

        x86_raise_if(tr, in, COND_NE, IR_I64, ir_op2(ir, IR_and, IR_I64, sum, x86_const(tr, IR_I64, 15)), x86_const(tr, IR_I64, 0),
                     EXC_GP, true);
    }
    found[0] = ir_load(ir, type, address, disp, IRM_UPDATE);
    found[1] = ir_load(ir, type, address, disp + half, IRM_UPDATE);
    flags = ir_opf(ir, IR_cmp, type, difference(ir, type, found), x86_const(tr, type, 0), NONE).flags;
    ir_store(ir, type, address, disp, ir_selectcc(ir, type, CC_E, flags, ir_get(ir, type, SLOT_BX), found[0]), 0);
    ir_store(ir, type, address, disp + half, ir_selectcc(ir, type, CC_E, flags, ir_get(ir, type, SLOT_CX), found[1]), 0);
    if (only_zero) {
        tr->flags = (X86FlagValues){flags, flags, flags};
    } else {
        IrVal zf = ir_op2(ir, IR_shl, IR_I32, ir_zext(ir, IR_I32, IR_I8, ir_setcc(ir, CC_E, flags)), x86_const(tr, IR_I8, 6));

        image = ir_op2(ir, IR_and, IR_I32, image, x86_const(tr, IR_I32, ~FLAG_ZF));
        x86_flags_put_image(tr, ir_op2(ir, IR_or, IR_I32, image, zf));
    }
    ir_put(ir, type, SLOT_AX, found[0]); /* as they are already, if it is as expected */
    ir_put(ir, type, SLOT_DX, found[1]);
}

/* CMPXCHG8B, CMPXCHG16B: only ZF changes. */
void x86_emit_cmpxchg_wide(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrType type = in->type_y;
    unsigned size = 2 * x86_size(type);
    IrVal address, equal, image;

    if (!x86_feature(tr, size == 16 ? FEAT_cx16 : FEAT_cx8)) {
        x86_ud(tr);
        return;
    }
    if (!in->lock && (size == 16 || !tr->cs64)) { /* EAX and EDX keep their upper halves if it is as expected */
        exchange_halves(tr, in);
        return;
    }
    image = ir_op1(ir, IR_flags_image, IR_I32, x86_flags_all(tr));
    address = x86_address_arg(tr, in, size, true);
    equal = x86_call(tr, HELPER_cmpxchg_wide, address,
                     x86_arg(tr, type, ir_get(ir, type, SLOT_BX)), x86_arg(tr, type, ir_get(ir, type, SLOT_CX)),
                     x86_const(tr, IR_I64, size));
    image = ir_op2(ir, IR_and, IR_I32, image, x86_const(tr, IR_I32, ~FLAG_ZF));
    x86_flags_put_image(tr, ir_op2(ir, IR_or, IR_I32, image,
                                   ir_op2(ir, IR_shl, IR_I32, equal, x86_const(tr, IR_I8, 6))));
}
