/* Fixed-point arithmetic, comparison and trap instructions (Power ISA, Book I, 3.3.9 to 3.3.12). */
#include "target/ppc/insns.h"

static const IrVal none;

/*
 * The carry out of the lower half: without one into it, by a comparison; else bit 32 of a ^ b ^ sum, which is the one into the
 * upper half. For b - a: ~a + b + 1 carries where b - a does not borrow.
 */
static void put_ca32(PpcTranslator *tr, IrVal a, IrVal b, IrVal sum, bool subtract, bool carry_in)
{
    IrBlock *ir = tr->ir;
    IrVal ca32;

    if (!(tr->isa & ISA_V300)) {
        return;
    }
    if (!carry_in) {
        ca32 = subtract ? ir_setcond(ir, COND_GEU, IR_I32, b, a) : ir_setcond(ir, COND_LTU, IR_I32, sum, b);
    } else {
        IrVal x = ir_op2(ir, IR_xor, IR_I64, ir_op2(ir, IR_xor, IR_I64, subtract ? ir_op1(ir, IR_not, IR_I64, a) : a, b), sum);

        ca32 = ir_op2(ir, IR_and, IR_I8, ir_op2(ir, IR_shr, IR_I64, x, ppc_const(tr, IR_I8, 32)), ppc_const(tr, IR_I8, 1));
    }
    ir_put(ir, IR_I8, SLOT_CA32, ca32);
}

static void put_overflow(PpcTranslator *tr, IrOp op, IrVal a, IrVal b, IrVal carry, IrVal flags)
{
    IrVal ov = ir_setcc(tr->ir, CC_O, flags), ov32 = ov;

    if (tr->isa & ISA_V300) {
        ov32 = ir_setcc(tr->ir, CC_O, ir_opf(tr->ir, op, IR_I32, a, b, carry).flags);
    }
    ppc_put_ov(tr, ov, ov32);
}

enum { SUM_CARRY = 1, SUM_CARRY_IN = 2, SUM_SUBTRACT = 4 };

/* RT = a + b, b - a with SUM_SUBTRACT; with the carry, and what Rc and OE want. */
static void emit_sum(PpcTranslator *tr, unsigned rt, IrVal a, IrVal b, unsigned how, bool oe, bool rc)
{
    IrBlock *ir = tr->ir;
    bool subtract = how & SUM_SUBTRACT, wants_flags = oe || (how & SUM_CARRY);
    IrOp op = subtract ? IR_sub : IR_add;
    IrVal x = subtract ? b : a, y = subtract ? a : b, carry = none, value, flags = none;

    if (how & SUM_CARRY_IN) {
        carry = ppc_carry_in(tr, subtract); /* a borrow is the absence of CA */
        op = subtract ? IR_sbb : IR_adc;
    }
    if (!wants_flags) {
        value = ir_op3(ir, op, tr->width, x, y, carry);
    } else if (tr->address == tr->width) {
        IrValFlags v = ir_opf(ir, op, tr->width, x, y, carry);

        value = v.value;
        flags = v.flags;
    } else { /* 32-bit mode of a 64-bit processor */
        value = ir_op3(ir, op, tr->width, x, y, carry);
        flags = ir_opf(ir, op, IR_I32, x, y, carry).flags;
    }
    if (oe) {
        put_overflow(tr, op, x, y, carry, flags);
    }
    if (how & SUM_CARRY) {
        ppc_put_ca_flags(tr, flags, subtract); /* while the host has the flags */
        put_ca32(tr, a, b, value, subtract, how & SUM_CARRY_IN);
    }
    ppc_put_gpr(tr, rt, value);
    if (rc) {
        ppc_record(tr, value);
    }
}

static void emit_addi(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_gpr(tr, F_RT(in), ir_op2(tr->ir, IR_add, tr->width, ppc_gpr_or_0(tr, F_RA(in)), ppc_si(tr, in, tr->width, 0)));
}

static void emit_addis(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_gpr(tr, F_RT(in), ir_op2(tr->ir, IR_add, tr->width, ppc_gpr_or_0(tr, F_RA(in)),
                                     ppc_si(tr, in, tr->width, 16)));
}

/* addpcis: RT = next pc + D << 16. */
static void emit_addpcis(PpcTranslator *tr, const PpcInsn *in)
{
    int64_t d = (int16_t)((in->word & 0xffc0) | ppc_bits(in->word, 11, 15) << 1 | (in->word & 1));

    ppc_put_gpr(tr, F_RT(in), ir_op2(tr->ir, IR_add, tr->width, ppc_pc(tr, tr->width, in->next_pc), ppc_const(tr, tr->width, (uint64_t)d << 16)));
}

/* paddi: 34 bits, relative to the pc with R. */
static void emit_paddi(PpcTranslator *tr, const PpcInsn *in)
{
    bool relative = F_R(in);
    IrVal base = relative ? ppc_pc(tr, tr->width, in->pc) : ppc_gpr_or_0(tr, F_RA(in));

    if (relative && F_RA(in)) {
        ppc_emit_illegal(tr);
        return;
    }
    ppc_put_gpr(tr, F_RT(in), ir_op2(tr->ir, IR_add, tr->width, base, ppc_const(tr, tr->width, F_D34(in))));
}

/* addic, addic., subfic */
enum { IMMEDIATE_RC = 8 };
static void emit_sum_immediate(PpcTranslator *tr, const PpcInsn *in)
{
    emit_sum(tr, F_RT(in), ppc_gpr(tr, F_RA(in)), ppc_si(tr, in, tr->width, 0), in->row->op & ~IMMEDIATE_RC, false,
             in->row->op & IMMEDIATE_RC);
}

static void emit_sum_registers(PpcTranslator *tr, const PpcInsn *in)
{
    emit_sum(tr, F_RT(in), ppc_gpr(tr, F_RA(in)), ppc_gpr(tr, F_RB(in)), in->row->op, IS_OE(in), IS_RC(in));
}

/* addze, subfze, addme, subfme: B is 0 or -1. */
static void emit_sum_zero(PpcTranslator *tr, const PpcInsn *in)
{
    emit_sum(tr, F_RT(in), ppc_gpr(tr, F_RA(in)), ppc_const(tr, tr->width, 0), in->row->op, IS_OE(in), IS_RC(in));
}

static void emit_sum_minus_one(PpcTranslator *tr, const PpcInsn *in)
{
    emit_sum(tr, F_RT(in), ppc_gpr(tr, F_RA(in)), ppc_const(tr, tr->width, UINT64_MAX), in->row->op, IS_OE(in), IS_RC(in));
}

/* addex with CY = 0: OV is the carry, in and out. */
static void emit_addex(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal a = ppc_gpr(tr, F_RA(in)), b = ppc_gpr(tr, F_RB(in));
    IrVal carry = ir_opf(ir, IR_add, IR_I8, ir_get(ir, IR_I8, SLOT_OV), ppc_const(tr, IR_I8, 0xff), none).flags;
    IrValFlags sum = ir_opf(ir, IR_adc, IR_I64, a, b, carry);
    IrVal low = ir_opf(ir, IR_adc, IR_I32, a, b, carry).flags;

    ir_put(ir, IR_I8, SLOT_OV32, ir_setcc(ir, CC_B, low));
    ir_put(ir, IR_I8, SLOT_OV, ir_setcc(ir, CC_B, tr->sf ? sum.flags : low));
    ppc_put_gpr(tr, F_RT(in), sum.value);
}

static void emit_neg(PpcTranslator *tr, const PpcInsn *in)
{
    emit_sum(tr, F_RT(in), ppc_gpr(tr, F_RA(in)), ppc_const(tr, tr->width, 0), SUM_SUBTRACT, IS_OE(in), IS_RC(in));
}

/* Multiplication. */

static void emit_mulli(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_gpr(tr, F_RT(in), ir_op2(tr->ir, IR_mul, tr->width, ppc_gpr(tr, F_RA(in)), ppc_si(tr, in, tr->width, 0)));
}

static void finish(PpcTranslator *tr, const PpcInsn *in, IrVal value)
{
    ppc_put_gpr(tr, F_RT(in), value);
    if (IS_RC(in)) {
        ppc_record(tr, value);
    }
}

static IrVal extended(PpcTranslator *tr, unsigned n, bool is_signed)
{
    return is_signed ? ir_sext(tr->ir, IR_I64, IR_I32, ppc_gpr_as(tr, IR_I32, n)) : ppc_gpr_zero_extended(tr, n);
}

/* mullw: on 64-bit processors all of the product. */
static void emit_mullw(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal value;

    if (IS_OE(in)) {
        IrVal flags = ir_opf(ir, IR_mul, IR_I32, ppc_gpr_as(tr, IR_I32, F_RA(in)), ppc_gpr_as(tr, IR_I32, F_RB(in)), none).flags;

        ppc_put_ov(tr, ir_setcc(ir, CC_O, flags), none);
    }
    value = tr->is64 ? ir_op2(ir, IR_mul, IR_I64, extended(tr, F_RA(in), true), extended(tr, F_RB(in), true))
                     : ir_op2(ir, IR_mul, IR_I32, ppc_gpr(tr, F_RA(in)), ppc_gpr(tr, F_RB(in)));
    finish(tr, in, value);
}

/* mulhw, mulhwu: Rc compares 32 bits whatever the mode, the upper half of RT being undefined. */
enum { IS_UNSIGNED = 1 };
static void emit_mulhw(PpcTranslator *tr, const PpcInsn *in)
{
    bool is_signed = !(in->row->op & IS_UNSIGNED);
    IrVal product = ir_op2(tr->ir, IR_mul, IR_I64, extended(tr, F_RA(in), is_signed), extended(tr, F_RB(in), is_signed));
    IrVal value = ir_op2(tr->ir, IR_shr, IR_I64, product, ppc_const(tr, IR_I8, 32));

    ppc_put_gpr(tr, F_RT(in), value);
    if (IS_RC(in)) {
        ppc_compare(tr, 0, IR_I32, true, value, ppc_const(tr, IR_I32, 0));
    }
}

static void emit_mulld(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal a = ppc_gpr(tr, F_RA(in)), b = ppc_gpr(tr, F_RB(in));

    if (IS_OE(in)) {
        IrValFlags v = ir_opf(tr->ir, IR_mul, IR_I64, a, b, none);

        ppc_put_ov(tr, ir_setcc(tr->ir, CC_O, v.flags), none);
        finish(tr, in, v.value);
        return;
    }
    finish(tr, in, ir_op2(tr->ir, IR_mul, IR_I64, a, b));
}

static void emit_mulhd(PpcTranslator *tr, const PpcInsn *in)
{
    IrOp op = in->row->op & IS_UNSIGNED ? IR_mulu2 : IR_muls2;

    finish(tr, in, ir_mul2(tr->ir, op, IR_I64, ppc_gpr(tr, F_RA(in)), ppc_gpr(tr, F_RB(in)), false).high);
}

enum { MADD_LOW = 0, MADD_HIGH = 2 };
static void emit_madd(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal a = ppc_gpr(tr, F_RA(in)), b = ppc_gpr(tr, F_RB(in)), c = ppc_gpr(tr, F_RC(in));
    IrPair p;
    IrVal carry, high;

    if (in->row->op == MADD_LOW) {
        ppc_put_gpr(tr, F_RT(in), ir_op2(ir, IR_add, IR_I64, ir_op2(ir, IR_mul, IR_I64, a, b), c));
        return;
    }
    p = ir_mul2(ir, in->row->op & IS_UNSIGNED ? IR_mulu2 : IR_muls2, IR_I64, a, b, false);
    carry = ir_opf(ir, IR_add, IR_I64, p.low, c, none).flags;
    high = in->row->op & IS_UNSIGNED ? ppc_const(tr, IR_I64, 0) : ir_op2(ir, IR_sar, IR_I64, c, ppc_const(tr, IR_I8, 63));
    ppc_put_gpr(tr, F_RT(in), ir_op3(ir, IR_adc, IR_I64, p.high, high, carry));
}

/* Division. What the architecture leaves undefined is 0, or -1 of a negative dividend, as on the 7xx and 74xx. */

enum { DIV_UNSIGNED = 1, DIV_64 = 2, DIV_REMAINDER = 4 };

static IrVal has_no_quotient(PpcTranslator *tr, unsigned how, IrType type, IrVal a, IrVal b)
{
    IrBlock *ir = tr->ir;
    IrVal by_zero = ir_setcond(ir, COND_EQ, type, b, ppc_const(tr, type, 0)), overflows;

    if (how & DIV_UNSIGNED) {
        return by_zero;
    }
    overflows = ir_op2(ir, IR_and, IR_I8, ir_setcond(ir, COND_EQ, type, a, ppc_const(tr, type, type == IR_I64 ? UINT64_C(1) << 63 : 1u << 31)),
                       ir_setcond(ir, COND_EQ, type, b, ppc_const(tr, type, UINT64_MAX)));
    return ir_op2(ir, IR_or, IR_I8, by_zero, overflows);
}

static void emit_div(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    unsigned how = in->row->op;
    IrType type = how & DIV_64 ? IR_I64 : IR_I32;
    IrVal a = ppc_gpr_as(tr, type, F_RA(in)), b = ppc_gpr_as(tr, type, F_RB(in));
    IrVal zero = ppc_const(tr, type, 0), high, value;
    IrPair q;

    high = how & DIV_UNSIGNED ? zero : ir_op2(ir, IR_sar, type, a, ppc_const(tr, IR_I8, type == IR_I64 ? 63 : 31));
    q = ir_div2(ir, how & DIV_UNSIGNED ? IR_divu2 : IR_divs2, type, a, high, b);
    value = how & DIV_REMAINDER ? q.high : q.low;
    if (type == IR_I32 && tr->is64) {
        value = how & DIV_REMAINDER && !(how & DIV_UNSIGNED) ? ir_sext(ir, IR_I64, IR_I32, value) : ir_zext(ir, IR_I64, IR_I32, value);
    }
    ppc_put_gpr(tr, F_RT(in), value);
    if (how & DIV_REMAINDER) {
        return;
    }
    if (IS_OE(in)) {
        ppc_put_ov(tr, has_no_quotient(tr, how, type, a, b), none);
    }
    if (IS_RC(in)) {
        ppc_compare(tr, 0, type, true, value, zero);
    }
}

/* divde, divdeu: the dividend has 64 zeros below. */
static void emit_divde(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal a = ppc_gpr(tr, F_RA(in)), b = ppc_gpr(tr, F_RB(in));
    IrVal value = in->row->op & IS_UNSIGNED ? PPC_CALL2(tr, divdeu, a, b) : PPC_CALL2(tr, divde, a, b);

    if (IS_OE(in)) {
        ppc_put_ov(tr, PPC_CALL3(tr, divde_overflows, a, b, ppc_const(tr, IR_I64, in->row->op & IS_UNSIGNED)), none);
    }
    finish(tr, in, value);
}

/* divwe, divweu: 32 zeros below, which 64-bit division can do. */
static void emit_divwe(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    bool is_signed = !(in->row->op & IS_UNSIGNED);
    IrVal a = ir_op2(ir, IR_shl, IR_I64, ppc_gpr_as(tr, IR_I64, F_RA(in)), ppc_const(tr, IR_I8, 32));
    IrVal b = extended(tr, F_RB(in), is_signed), zero = ppc_const(tr, IR_I64, 0);
    IrVal wrong = has_no_quotient(tr, is_signed ? 0 : DIV_UNSIGNED, IR_I64, a, b); /* the least number by -1 is beyond 64 bits */
    IrVal high = is_signed ? ir_op2(ir, IR_sar, IR_I64, a, ppc_const(tr, IR_I8, 63)) : zero, value, back;

    value = ir_div2(ir, is_signed ? IR_divs2 : IR_divu2, IR_I64, a, high, b).low;
    back = is_signed ? ir_sext(ir, IR_I64, IR_I32, value) : ir_zext(ir, IR_I64, IR_I32, value);
    wrong = ir_op2(ir, IR_or, IR_I8, wrong, ir_setcond(ir, COND_NE, IR_I64, back, value));
    value = ir_select(ir, IR_I64, wrong, zero, ir_zext(ir, IR_I64, IR_I32, value));
    ppc_put_gpr(tr, F_RT(in), value);
    if (IS_OE(in)) {
        ppc_put_ov(tr, wrong, none);
    }
    if (IS_RC(in)) {
        ppc_compare(tr, 0, IR_I32, true, value, ppc_const(tr, IR_I32, 0));
    }
}

/* Comparison and traps. */

static IrType compare_type(PpcTranslator *tr, const PpcInsn *in)
{
    return tr->is64 && F_L(in) ? IR_I64 : IR_I32;
}

static void emit_cmp(PpcTranslator *tr, const PpcInsn *in)
{
    IrType type = compare_type(tr, in);

    ppc_compare(tr, F_BF(in), type, !(in->row->op & IS_UNSIGNED), ppc_gpr_as(tr, type, F_RA(in)), ppc_gpr_as(tr, type, F_RB(in)));
}

static void emit_cmpi(PpcTranslator *tr, const PpcInsn *in)
{
    IrType type = compare_type(tr, in);
    IrVal value = in->row->op & IS_UNSIGNED ? ppc_ui(tr, in, type, 0) : ppc_si(tr, in, type, 0);

    ppc_compare(tr, F_BF(in), type, !(in->row->op & IS_UNSIGNED), ppc_gpr_as(tr, type, F_RA(in)), value);
}

/* cmprb: whether the byte of RA lies in the range, or one of the two ranges, of RB. */
static void emit_cmprb(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal a = ir_zext(ir, IR_I32, IR_I8, ppc_gpr_as(tr, IR_I8, F_RA(in))), found = ppc_const(tr, IR_I8, 0);
    IrVal b = ppc_gpr_as(tr, IR_I32, F_RB(in));

    for (unsigned i = 0; i < (F_L(in) ? 2u : 1u); i++) {
        IrVal low = ir_op2(ir, IR_and, IR_I32, ir_op2(ir, IR_shr, IR_I32, b, ppc_const(tr, IR_I8, 16 * i)), ppc_const(tr, IR_I32, 255));
        IrVal high = ir_op2(ir, IR_and, IR_I32, ir_op2(ir, IR_shr, IR_I32, b, ppc_const(tr, IR_I8, 16 * i + 8)), ppc_const(tr, IR_I32, 255));

        found = ir_op2(ir, IR_or, IR_I8, found,
                       ir_op2(ir, IR_and, IR_I8, ir_setcond(ir, COND_LEU, IR_I32, low, a), ir_setcond(ir, COND_LEU, IR_I32, a, high)));
    }
    ppc_put_cr(tr, F_BF(in), ir_op2(ir, IR_shl, IR_I8, found, ppc_const(tr, IR_I8, 2)));
}

static void emit_cmpeqb(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal found = PPC_CALL2(tr, cmpeqb, ppc_gpr(tr, F_RA(in)), ppc_gpr(tr, F_RB(in)));

    ppc_put_cr(tr, F_BF(in), ir_op2(tr->ir, IR_shl, IR_I8, found, ppc_const(tr, IR_I8, 2)));
}

static void cold_trap(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_emit_raise(tr, PPC_PROGRAM, PROGRAM_TRAP);
}

/* TO: 16 <, 8 >, 4 ==, 2 unsigned <, 1 unsigned >. */
static void emit_trap(PpcTranslator *tr, const PpcInsn *in, IrType type, IrVal a, IrVal b)
{
    unsigned to = F_RT(in);

    if ((to & 28) == 28 || (to & 7) == 7) {
        cold_trap(tr, in);
        return;
    }
    switch (to >> 2) {
    case 6:
        ppc_cold_if(tr, in, COND_NE, type, a, b, cold_trap);
        return; /* the unsigned ones add nothing but EQ, which is bit 4 of the same */
    case 4: case 5:
        ppc_cold_if(tr, in, to & 4 ? COND_LES : COND_LTS, type, a, b, cold_trap);
        break;
    case 2: case 3:
        ppc_cold_if(tr, in, to & 4 ? COND_GES : COND_GTS, type, a, b, cold_trap);
        break;
    case 1:
        if (!(to & 3)) {
            ppc_cold_if(tr, in, COND_EQ, type, a, b, cold_trap);
        }
        break;
    default:
        break;
    }
    if ((to & 3) == 3) {
        ppc_cold_if(tr, in, COND_NE, type, a, b, cold_trap);
    } else if (to & 2) {
        ppc_cold_if(tr, in, to & 4 ? COND_LEU : COND_LTU, type, a, b, cold_trap);
    } else if (to & 1) {
        ppc_cold_if(tr, in, to & 4 ? COND_GEU : COND_GTU, type, a, b, cold_trap);
    }
}

static void emit_tw(PpcTranslator *tr, const PpcInsn *in)
{
    IrType type = in->row->op;

    emit_trap(tr, in, type, ppc_gpr_as(tr, type, F_RA(in)), ppc_gpr_as(tr, type, F_RB(in)));
}

static void emit_twi(PpcTranslator *tr, const PpcInsn *in)
{
    IrType type = in->row->op;

    emit_trap(tr, in, type, ppc_gpr_as(tr, type, F_RA(in)), ppc_const(tr, type, F_SI(in)));
}

static void emit_addg6s(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_gpr(tr, F_RT(in), PPC_CALL2(tr, addg6s, ppc_gpr(tr, F_RA(in)), ppc_gpr(tr, F_RB(in))));
}

static void emit_darn(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_gpr(tr, F_RT(in), PPC_CALL1(tr, darn, ppc_const(tr, IR_I64, ppc_bits(in->word, 14, 15))));
}

const PpcRow ppc_rows_integer[] = {
    { "paddi", OPCD(14), emit_paddi, A_PREFIXED, ISA_V310, .prefix_match = 0x06000000, .prefix_mask = 0xffe00000 },
    { "paddi", OPCD(14), emit_paddi, A_PREFIXED, ISA_V310, .prefix_match = 0x06100000, .prefix_mask = 0xffe00000 },
    { "tdi", OPCD(2), emit_twi, .isa = ISA_64, .op = IR_I64 },
    { "twi", OPCD(3), emit_twi, .op = IR_I32 },
    { "mulli", OPCD(7), emit_mulli, A_IMMEDIATE },
    { "subfic", OPCD(8), emit_sum_immediate, A_IMMEDIATE, .op = SUM_CARRY | SUM_SUBTRACT },
    { "cmpli", OPCD(10), emit_cmpi, A_IMMEDIATE, .op = IS_UNSIGNED },
    { "cmpi", OPCD(11), emit_cmpi, A_IMMEDIATE },
    { "addic", OPCD(12), emit_sum_immediate, A_IMMEDIATE, .op = SUM_CARRY },
    { "addic.", OPCD(13), emit_sum_immediate, A_IMMEDIATE, .op = SUM_CARRY | IMMEDIATE_RC },
    { "addi", OPCD(14), emit_addi, A_IMMEDIATE | A_PLAIN },
    { "addis", OPCD(15), emit_addis, A_IMMEDIATE | A_PLAIN },
    { "addpcis", A_FORM(19, 2), emit_addpcis, .isa = ISA_V300 },
    { "maddhd", VA_FORM(48), emit_madd, .isa = ISA_V300, .op = MADD_HIGH },
    { "maddhdu", VA_FORM(49), emit_madd, .isa = ISA_V300, .op = MADD_HIGH | IS_UNSIGNED },
    { "maddld", VA_FORM(51), emit_madd, .isa = ISA_V300, .op = MADD_LOW },
    { "cmp", X_FORM(31, 0), emit_cmp },
    { "tw", X_FORM(31, 4), emit_tw, .op = IR_I32 },
    { "subfc", XO_FORM(31, 8), emit_sum_registers, .op = SUM_CARRY | SUM_SUBTRACT },
    { "mulhdu", XO_FORM(31, 9), emit_mulhd, .isa = ISA_64, .op = IS_UNSIGNED },
    { "addc", XO_FORM(31, 10), emit_sum_registers, .op = SUM_CARRY },
    { "mulhwu", XO_FORM(31, 11), emit_mulhw, .op = IS_UNSIGNED },
    { "cmpl", X_FORM(31, 32), emit_cmp, .op = IS_UNSIGNED },
    { "subf", XO_FORM(31, 40), emit_sum_registers, A_PLAIN, .op = SUM_SUBTRACT },
    { "td", X_FORM(31, 68), emit_tw, .isa = ISA_64, .op = IR_I64 },
    { "mulhd", XO_FORM(31, 73), emit_mulhd, .isa = ISA_64 },
    { "mulhw", XO_FORM(31, 75), emit_mulhw },
    { "addg6s", XO_FORM(31, 74), emit_addg6s, .isa = ISA_V206 },
    { "neg", XO_FORM(31, 104), emit_neg, A_PLAIN },
    { "subfe", XO_FORM(31, 136), emit_sum_registers, .op = SUM_CARRY | SUM_CARRY_IN | SUM_SUBTRACT },
    { "adde", XO_FORM(31, 138), emit_sum_registers, .op = SUM_CARRY | SUM_CARRY_IN },
    { "addex", 31u << 26 | 170 << 1, 0xfc0007fe, emit_addex, .isa = ISA_V300 },
    { "cmprb", X_FORM(31, 192), emit_cmprb, .isa = ISA_V300 },
    { "subfze", XO_FORM(31, 200), emit_sum_zero, .op = SUM_CARRY | SUM_CARRY_IN | SUM_SUBTRACT },
    { "addze", XO_FORM(31, 202), emit_sum_zero, .op = SUM_CARRY | SUM_CARRY_IN },
    { "cmpeqb", X_FORM(31, 224), emit_cmpeqb, .isa = ISA_V300 },
    { "subfme", XO_FORM(31, 232), emit_sum_minus_one, .op = SUM_CARRY | SUM_CARRY_IN | SUM_SUBTRACT },
    { "mulld", XO_FORM(31, 233), emit_mulld, A_PLAIN, .isa = ISA_64 },
    { "addme", XO_FORM(31, 234), emit_sum_minus_one, .op = SUM_CARRY | SUM_CARRY_IN },
    { "mullw", XO_FORM(31, 235), emit_mullw, A_PLAIN },
    { "modud", X_FORM(31, 265), emit_div, .isa = ISA_V300, .op = DIV_64 | DIV_UNSIGNED | DIV_REMAINDER },
    { "add", XO_FORM(31, 266), emit_sum_registers, A_PLAIN },
    { "moduw", X_FORM(31, 267), emit_div, .isa = ISA_V300, .op = DIV_UNSIGNED | DIV_REMAINDER },
    { "divdeu", XO_FORM(31, 393), emit_divde, .isa = ISA_V206, .op = IS_UNSIGNED },
    { "divweu", XO_FORM(31, 395), emit_divwe, .isa = ISA_V206, .op = IS_UNSIGNED },
    { "divde", XO_FORM(31, 425), emit_divde, .isa = ISA_V206 },
    { "divwe", XO_FORM(31, 427), emit_divwe, .isa = ISA_V206 },
    { "divdu", XO_FORM(31, 457), emit_div, .isa = ISA_64, .op = DIV_64 | DIV_UNSIGNED },
    { "divwu", XO_FORM(31, 459), emit_div, .op = DIV_UNSIGNED },
    { "divd", XO_FORM(31, 489), emit_div, .isa = ISA_64, .op = DIV_64 },
    { "divw", XO_FORM(31, 491), emit_div },
    { "darn", X_FORM(31, 755), emit_darn, .isa = ISA_V300 },
    { "modsd", X_FORM(31, 777), emit_div, .isa = ISA_V300, .op = DIV_64 | DIV_REMAINDER },
    { "modsw", X_FORM(31, 779), emit_div, .isa = ISA_V300, .op = DIV_REMAINDER },
    { NULL },
};
