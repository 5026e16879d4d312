/* Multiplication, division and decimal adjustment: SDM volume 2, MUL to IDIV, AAA to DAS, MULX. */
#include "target/x86/insns.h"

#define NONE ((IrVal){0})

/* 8 and 16 bits, by way of 32: AX, or DX:AX, = AX * value. */
static void emit_narrow(X86Translator *tr, X86Insn *in, IrType type, bool sign)
{
    IrBlock *ir = tr->ir;
    unsigned width = 8 * x86_size(type);
    IrVal a = ir_get(ir, type, SLOT_AX);
    IrVal b = x86_operand_get(tr, in, 0);
    IrVal product, high, lost;

    a = sign ? ir_sext(ir, IR_I32, type, a) : ir_zext(ir, IR_I32, type, a);
    b = sign ? ir_sext(ir, IR_I32, type, b) : ir_zext(ir, IR_I32, type, b);
    product = ir_op2(ir, IR_mul, IR_I32, a, b);
    high = ir_op2(ir, IR_shr, IR_I32, product, x86_const(tr, IR_I8, width));
    if (sign) {
        lost = ir_op2(ir, IR_xor, IR_I32, ir_sext(ir, IR_I32, type, product), product);
    } else {
        lost = high;
    }
    /* Nonzero at the operand's type if the high half says anything. */
    lost = ir_setcond(ir, COND_NE, IR_I32, lost, x86_const(tr, IR_I32, 0));
    if (type == IR_I8) {
        ir_put(ir, IR_I16, SLOT_AX, product);
    } else {
        ir_put(ir, IR_I16, SLOT_AX, product);
        ir_put(ir, IR_I16, SLOT_DX, high);
    }
    x86_flags_put(tr, CC_MUL, type, product, ir_zext(ir, IR_I32, IR_I8, lost), NONE);
}

static void emit_wide(X86Translator *tr, X86Insn *in, IrType type, bool sign)
{
    IrBlock *ir = tr->ir;
    IrVal b = x86_operand_get(tr, in, 0);
    IrPair r = ir_mul2(ir, sign ? IR_muls2 : IR_mulu2, type, ir_get(ir, type, SLOT_AX), b, true);
    IrVal lost = r.high;

    if (sign) {
        lost = ir_op2(ir, IR_xor, type, lost,
                      ir_op2(ir, IR_sar, type, r.low, x86_const(tr, IR_I8, 8 * x86_size(type) - 1)));
    }
    ir_put(ir, type, SLOT_AX, r.low);
    ir_put(ir, type, SLOT_DX, r.high);
    x86_flags_put(tr, CC_MUL, type, r.low, lost, r.flags);
}

void x86_emit_mul(X86Translator *tr, X86Insn *in)
{
    IrType type = x86_operand_type(in, 0);

    if (type < IR_I32) {
        emit_narrow(tr, in, type, false);
    } else {
        emit_wide(tr, in, type, false);
    }
}

void x86_emit_imul1(X86Translator *tr, X86Insn *in)
{
    IrType type = x86_operand_type(in, 0);

    if (type < IR_I32) {
        emit_narrow(tr, in, type, true);
    } else {
        emit_wide(tr, in, type, true);
    }
}

void x86_emit_imul(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrVal a = x86_operand_get(tr, in, 1);
    IrVal b = in->row->operand[2] != O_NONE ? x86_immediate(tr, in, 2) : x86_operand_get(tr, in, 0);
    IrValFlags r = ir_opf(ir, IR_mul, in->type, a, b, NONE);
    IrVal lost = ir_zext(ir, in->type, IR_I8, ir_setcc(ir, CC_O, r.flags));

    x86_operand_put(tr, in, 0, r.value);
    x86_flags_put(tr, CC_MUL, in->type, r.value, lost, r.flags);
}

void x86_emit_mulx(X86Translator *tr, X86Insn *in)
{
    IrType type = in->type_y;
    IrPair r;

    if (!x86_feature(tr, FEAT_bmi2) || in->vex != 1) {
        x86_ud(tr);
        return;
    }
    r = ir_mul2(tr->ir, IR_mulu2, type, ir_get(tr->ir, type, SLOT_DX), x86_operand_get(tr, in, 2), false);
    x86_operand_put(tr, in, 1, r.low);
    x86_operand_put(tr, in, 0, r.high);
}

/* Flags are undefined after a division; they stay. The host finds what does not fit. */
static void emit_division(X86Translator *tr, X86Insn *in, bool sign)
{
    IrBlock *ir = tr->ir;
    IrType type = x86_operand_type(in, 0);
    IrVal divisor = x86_operand_get(tr, in, 0);
    IrPair r;

    if (type < IR_I32) {
        IrVal size = x86_const(tr, IR_I64, x86_size(type));

        if (sign) {
            X86_CALL2(tr, idiv, ir_sext(ir, IR_I64, type, divisor), size);
        } else {
            X86_CALL2(tr, div, x86_arg(tr, type, divisor), size);
        }
        return;
    }
    r = ir_div2(ir, sign ? IR_divs2_checked : IR_divu2_checked, type, ir_get(ir, type, SLOT_AX),
                ir_get(ir, type, SLOT_DX), divisor);
    ir_put(ir, type, SLOT_AX, r.low);
    ir_put(ir, type, SLOT_DX, r.high);
}

void x86_emit_div(X86Translator *tr, X86Insn *in)
{
    emit_division(tr, in, false);
}

void x86_emit_idiv(X86Translator *tr, X86Insn *in)
{
    emit_division(tr, in, true);
}

static void put_logic_flags(X86Translator *tr, IrVal al)
{
    IrVal flags = ir_opf(tr->ir, IR_test, IR_I8, al, al, NONE).flags;

    x86_flags_put(tr, CC_LOGIC, IR_I8, al, NONE, flags);
}

void x86_emit_aam(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrPair r;
    IrVal al;

    if (in->imm == 0) {
        x86_raise_now(tr, EXC_DE);
        return;
    }
    al = ir_zext(ir, IR_I32, IR_I8, ir_get(ir, IR_I8, SLOT_AX));
    r = ir_div2(ir, IR_divu2, IR_I32, al, x86_const(tr, IR_I32, 0), x86_const(tr, IR_I32, in->imm));
    ir_put(ir, IR_I8, SLOT_AX, r.high);
    ir_put8h(ir, SLOT_AX, r.low);
    put_logic_flags(tr, r.high);
}

void x86_emit_aad(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrVal ah = ir_zext(ir, IR_I32, IR_I8, ir_get8h(ir, SLOT_AX));
    IrVal al = ir_zext(ir, IR_I32, IR_I8, ir_get(ir, IR_I8, SLOT_AX));
    IrVal sum = ir_op2(ir, IR_add, IR_I32, al, ir_op2(ir, IR_mul, IR_I32, ah, x86_const(tr, IR_I32, in->imm)));

    sum = ir_op2(ir, IR_and, IR_I32, sum, x86_const(tr, IR_I32, 0xff));
    ir_put(ir, IR_I16, SLOT_AX, sum);
    put_logic_flags(tr, sum);
}

void x86_emit_decimal(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrVal flags = ir_op1(ir, IR_flags_image, IR_I32, x86_flags_all(tr));
    IrVal both = X86_CALL3(tr, decimal, x86_arg(tr, IR_I16, ir_get(ir, IR_I16, SLOT_AX)),
                           x86_arg(tr, IR_I32, flags), x86_const(tr, IR_I64, in->row->op));

    ir_put(ir, IR_I16, SLOT_AX, ir_op2(ir, IR_shr, IR_I64, both, x86_const(tr, IR_I8, 32)));
    x86_flags_put_image(tr, ir_op2(ir, IR_and, IR_I32, both, x86_const(tr, IR_I32, FLAGS_ALL)));
}
