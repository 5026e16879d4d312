/* Shifts and rotates: SDM volume 2, RCL to ROR, SAL to SHR, SHLD, SHRD and their BMI2 forms. */
#include "target/x86/insns.h"

#define NONE ((IrVal){0})

static IrVal bit_of(X86Translator *tr, IrType type, IrVal value, unsigned bit)
{
    if (bit) {
        value = ir_op2(tr->ir, IR_shr, type, value, x86_const(tr, IR_I8, bit));
    }
    return ir_op2(tr->ir, IR_and, IR_I8, value, x86_const(tr, IR_I8, 1));
}

/* OF of a rotate by one, which is also what processors do for other counts. */
static IrVal rotate_overflow(X86Translator *tr, IrType type, IrVal result, IrVal cf, bool right)
{
    unsigned top = 8 * x86_size(type) - 1;
    IrVal other = right ? bit_of(tr, type, result, top - 1) : cf;

    return ir_op2(tr->ir, IR_xor, IR_I8, bit_of(tr, type, result, top), other);
}

static void emit_rotate(X86Translator *tr, X86Insn *in, IrType type, bool right, IrVal count, bool is_const)
{
    IrBlock *ir = tr->ir;
    unsigned width = 8 * x86_size(type);
    IrVal a = x86_operand_update(tr, in);
    IrVal by = ir_op2(ir, IR_and, IR_I8, count, x86_const(tr, IR_I8, width - 1));
    IrVal result, cf, of, flags = NONE;
    uint64_t n;

    if (ir_is_const(ir, by, &n) && n == 0) {
        result = a;
    } else if (is_const) {
        IrValFlags out = ir_opf(ir, right ? IR_ror : IR_rol, type, a, by, NONE);

        result = out.value;
        flags = out.flags;
    } else {
        result = ir_op2(ir, right ? IR_ror : IR_rol, type, a, by);
    }
    cf = bit_of(tr, type, result, right ? width - 1 : 0);
    of = rotate_overflow(tr, type, result, cf, right);
    x86_operand_put(tr, in, 0, result);
    x86_flags_put_rotate(tr, is_const ? NONE : count, cf, of, flags);
}

static void emit_rotate_carry(X86Translator *tr, X86Insn *in, IrType type, bool right, IrVal count, bool is_const)
{
    IrBlock *ir = tr->ir;
    unsigned width = 8 * x86_size(type);
    IrVal carry = x86_flags_carry(tr);
    IrVal a = x86_operand_update(tr, in);
    IrVal result, cf, of, flags = NONE;
    uint64_t n = 0;

    if (ir_is_const(ir, count, &n) && n == 1 && !right) {
        IrValFlags out = ir_opf(ir, IR_adc, type, a, a, carry);

        result = out.value;
        flags = out.flags;
        cf = bit_of(tr, type, a, width - 1);
    } else if (n == 1) {
        IrVal top = ir_zext(ir, type, IR_I8, ir_setcc(ir, CC_B, carry));

        top = ir_op2(ir, IR_shl, type, top, x86_const(tr, IR_I8, width - 1));
        result = ir_op2(ir, IR_or, type, ir_op2(ir, IR_shr, type, a, x86_const(tr, IR_I8, 1)), top);
        cf = bit_of(tr, type, a, 0);
    } else {
        IrVal wide = x86_arg(tr, type, a);
        IrVal by = ir_zext(ir, IR_I64, IR_I8, count);
        IrVal size = x86_const(tr, IR_I64, width);
        IrVal how = ir_zext(ir, IR_I64, IR_I8, ir_setcc(ir, CC_B, carry));

        how = ir_op2(ir, IR_or, IR_I64, ir_op2(ir, IR_shl, IR_I64, how, x86_const(tr, IR_I8, 1)),
                     x86_const(tr, IR_I64, right));
        result = x86_call(tr, HELPER_rotate_through, wide, by, size, how);
        cf = ir_op2(ir, IR_and, IR_I8, x86_call(tr, HELPER_rotate_carry, wide, by, size, how),
                    x86_const(tr, IR_I8, 1));
    }
    of = rotate_overflow(tr, type, result, cf, right);
    x86_operand_put(tr, in, 0, result);
    x86_flags_put_rotate(tr, is_const ? NONE : count, cf, of, flags);
}

/* a shifted at 32 bits or its own width, wide enough for every masked count. */
static IrVal shifted(X86Translator *tr, X86ShiftOp op, IrType type, IrVal a, IrVal count)
{
    IrOp ir_op = op == SHIFT_SAR ? IR_sar : op == SHIFT_SHR ? IR_shr : IR_shl;

    if (type < IR_I32) {
        a = op == SHIFT_SAR ? ir_sext(tr->ir, IR_I32, type, a) : ir_zext(tr->ir, IR_I32, type, a);
        type = IR_I32;
    }
    return ir_op2(tr->ir, ir_op, type, a, count);
}

static void emit_plain(X86Translator *tr, X86Insn *in, X86ShiftOp op, IrType type, IrVal count, bool is_const)
{
    IrBlock *ir = tr->ir;
    X86CcOp cc = op == SHIFT_SAR ? CC_SAR : op == SHIFT_SHR ? CC_SHR : CC_SHL;
    IrOp ir_op = op == SHIFT_SAR ? IR_sar : op == SHIFT_SHR ? IR_shr : IR_shl;
    unsigned width = 8 * x86_size(type);
    IrVal a = x86_operand_update(tr, in);
    uint64_t n = 0;

    if (is_const) {
        IrVal before;
        IrValFlags out;

        ir_is_const(ir, count, &n);
        before = shifted(tr, op, type, a, x86_const(tr, IR_I8, n - 1));
        if (n < width) {
            out = ir_opf(ir, ir_op, type, a, count, NONE);
        } else {
            out = (IrValFlags){.value = shifted(tr, op, type, a, count)};
        }
        x86_operand_put(tr, in, 0, out.value);
        x86_flags_put(tr, cc, type, out.value, before, out.flags);
    } else {
        IrVal less = ir_op2(ir, IR_sub, IR_I8, count, x86_const(tr, IR_I8, 1));
        IrVal result = shifted(tr, op, type, a, count);
        IrVal before;

        less = ir_op2(ir, IR_and, IR_I8, less, x86_const(tr, IR_I8, type == IR_I64 ? 63 : 31));
        before = shifted(tr, op, type, a, less);
        x86_operand_put(tr, in, 0, result);
        x86_flags_put_if(tr, count, cc, type, result, before);
    }
}

/* The count, masked as the processor does. */
static IrVal get_count(X86Translator *tr, X86Insn *in, unsigned n, IrType type, bool *is_const)
{
    IrVal count = x86_operand_get(tr, in, n);
    uint64_t value;

    count = ir_op2(tr->ir, IR_and, IR_I8, count, x86_const(tr, IR_I8, type == IR_I64 ? 63 : 31));
    *is_const = ir_is_const(tr->ir, count, &value);
    return count;
}

void x86_emit_shift(X86Translator *tr, X86Insn *in)
{
    X86ShiftOp op = in->row->op;
    IrType type = x86_operand_type(in, 0);
    bool is_const;
    IrVal count = get_count(tr, in, 1, type, &is_const);
    uint64_t n;

    if (is_const && ir_is_const(tr->ir, count, &n) && n == 0) {
        x86_operand_put(tr, in, 0, x86_operand_update(tr, in)); /* clears the upper half */
    } else if (op < SHIFT_RCL) {
        emit_rotate(tr, in, type, op == SHIFT_ROR, count, is_const);
    } else if (op < SHIFT_SHL) {
        emit_rotate_carry(tr, in, type, op == SHIFT_RCR, count, is_const);
    } else {
        emit_plain(tr, in, op, type, count, is_const);
    }
}

/*
 * 16-bit SHLD and SHRD as rotations of both operands in 32 bits. A count of 16 moves the source over; beyond, where the
 * manual leaves the result undefined, the destination's own bits follow, as on Intel's processors.
 */
static void emit_double_16(X86Translator *tr, X86Insn *in, bool right)
{
    IrBlock *ir = tr->ir;
    bool is_const;
    IrVal count = get_count(tr, in, 2, IR_I16, &is_const);
    IrVal a = x86_operand_update(tr, in), b = x86_operand_get(tr, in, 1);
    IrVal sixteen = x86_const(tr, IR_I8, 16), one = x86_const(tr, IR_I8, 1);
    IrVal high = ir_op2(ir, IR_shl, IR_I32, ir_zext(ir, IR_I32, IR_I16, right ? b : a), sixteen);
    IrVal both = ir_op2(ir, IR_or, IR_I32, high, ir_zext(ir, IR_I32, IR_I16, right ? a : b));
    IrVal safe = ir_select(ir, IR_I8, count, count, one);
    IrVal less = ir_op2(ir, IR_sub, IR_I8, safe, one);
    IrVal result = ir_op2(ir, right ? IR_ror : IR_rol, IR_I32, both, count);
    IrVal before = ir_op2(ir, right ? IR_ror : IR_rol, IR_I32, both, less);

    if (!right) {
        result = ir_op2(ir, IR_shr, IR_I32, result, sixteen);
        before = ir_op2(ir, IR_shr, IR_I32, before, sixteen);
    }
    x86_operand_put(tr, in, 0, result);
    x86_flags_put_if(tr, count, right ? CC_SHR : CC_SHL, IR_I16, result, before);
}

static void emit_double_wide(X86Translator *tr, X86Insn *in, bool right)
{
    IrBlock *ir = tr->ir;
    IrType type = in->type;
    IrOp op = right ? IR_shrd : IR_shld;
    X86CcOp cc = right ? CC_SHR : CC_SHL;
    bool is_const;
    IrVal count = get_count(tr, in, 2, type, &is_const);
    IrVal a = x86_operand_update(tr, in);
    IrVal b = x86_operand_get(tr, in, 1);
    IrVal safe, result, before, less;
    uint64_t n = 0;

    if (is_const) {
        ir_is_const(ir, count, &n);
        if (n == 0) {
            x86_operand_put(tr, in, 0, a);
        } else {
            IrValFlags out = ir_opf(ir, op, type, a, b, x86_const(tr, IR_I8, n));

            before = ir_op2(ir, right ? IR_shr : IR_shl, type, a, x86_const(tr, IR_I8, n - 1));
            x86_operand_put(tr, in, 0, out.value);
            x86_flags_put(tr, cc, type, out.value, before, out.flags);
        }
        return;
    }
    safe = ir_select(ir, IR_I8, count, count, x86_const(tr, IR_I8, 1));
    less = ir_op2(ir, IR_sub, IR_I8, safe, x86_const(tr, IR_I8, 1));
    result = ir_select(ir, type, count, ir_op3(ir, op, type, a, b, safe), a);
    before = ir_op2(ir, right ? IR_shr : IR_shl, type, a, less);
    x86_operand_put(tr, in, 0, result);
    x86_flags_put_if(tr, count, cc, type, result, before);
}

static void emit_double(X86Translator *tr, X86Insn *in, bool right)
{
    if (in->type == IR_I16) {
        emit_double_16(tr, in, right);
    } else {
        emit_double_wide(tr, in, right);
    }
}

void x86_emit_shld(X86Translator *tr, X86Insn *in)
{
    emit_double(tr, in, false);
}

void x86_emit_shrd(X86Translator *tr, X86Insn *in)
{
    emit_double(tr, in, true);
}

/* SHLX, SHRX, SARX: no flags. */
void x86_emit_shiftx(X86Translator *tr, X86Insn *in)
{
    IrType type = in->type_y;
    IrOp op = in->vex_pp == 0x66 ? IR_shl : in->vex_pp == 0xf2 ? IR_shr : IR_sar;
    IrVal count;

    if (!x86_feature(tr, FEAT_bmi2) || in->vex != 1) {
        x86_ud(tr);
        return;
    }
    count = ir_op2(tr->ir, IR_and, IR_I8, x86_operand_get(tr, in, 2), x86_const(tr, IR_I8, type == IR_I64 ? 63 : 31));
    x86_operand_put(tr, in, 0, ir_op2(tr->ir, op, type, x86_operand_get(tr, in, 1), count));
}

void x86_emit_rorx(X86Translator *tr, X86Insn *in)
{
    IrType type = in->type_y;
    unsigned count = in->imm & (type == IR_I64 ? 63 : 31);

    if (!x86_feature(tr, FEAT_bmi2) || in->vex != 1 || !in->vvvv_unused) {
        x86_ud(tr);
        return;
    }
    x86_operand_put(tr, in, 0, ir_op2(tr->ir, IR_ror, type, x86_operand_get(tr, in, 1), x86_const(tr, IR_I8, count)));
}
