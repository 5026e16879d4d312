/*
 * Condition register fields and XER bits.
 *
 * A field is a byte of four bits in a slot of its own. The block also remembers the comparison that made it, so that a
 * branch in the same block is a host compare and jump; the byte is computed where somebody wants it (IR_order).
 */
#include "target/ppc/insns.h"

void ppc_cr_forget(PpcTranslator *tr)
{
    for (unsigned i = 0; i < 8; i++) {
        tr->compare[i].valid = false;
    }
}

void ppc_put_cr(PpcTranslator *tr, unsigned field, IrVal bits)
{
    tr->compare[field].valid = false;
    tr->cr_put |= 1u << field;
    ir_put(tr->ir, IR_I8, SLOT_CR0 + field, bits);
}

void ppc_put_cr0_eq(PpcTranslator *tr, IrVal yes)
{
    ppc_put_cr(tr, 0, ir_op2(tr->ir, IR_or, IR_I8, ir_op2(tr->ir, IR_shl, IR_I8, yes, ppc_const(tr, IR_I8, 1)),
                             ir_get(tr->ir, IR_I8, SLOT_SO)));
}

IrVal ppc_get_cr_field(PpcTranslator *tr, unsigned field)
{
    return ir_get(tr->ir, IR_I8, SLOT_CR0 + field);
}

void ppc_compare(PpcTranslator *tr, unsigned field, IrType type, bool is_signed, IrVal a, IrVal b)
{
    ppc_put_cr(tr, field, ir_order(tr->ir, type, is_signed, a, b, ir_get(tr->ir, IR_I8, SLOT_SO)));
    tr->compare[field] = (PpcCompare){ .valid = true, .is_signed = is_signed, .type = type, .a = a, .b = b };
}

void ppc_record(PpcTranslator *tr, IrVal value)
{
    ppc_compare(tr, 0, tr->address, true, value, ppc_const(tr, tr->address, 0));
}

IrVal ppc_cr_bit_flags(PpcTranslator *tr, unsigned bi, IrCc *cc)
{
    static const IrCc with_sign[] = { CC_L, CC_G, CC_E }, without[] = { CC_B, CC_A, CC_E };
    PpcCompare *known = &tr->compare[bi / 4];

    if (known->valid && bi % 4 != 3) {
        if (!known->flags.id || known->epoch != tr->flags_epoch) {
            known->flags = ir_opf(tr->ir, IR_cmp, known->type, known->a, known->b, (IrVal){ 0 }).flags;
            known->epoch = tr->flags_epoch;
        }
        *cc = (known->is_signed ? with_sign : without)[bi % 4];
        return known->flags;
    }
    *cc = CC_NE;
    return ir_opf(tr->ir, IR_test, IR_I8, ppc_get_cr_field(tr, bi / 4), ppc_const(tr, IR_I8, 8 >> bi % 4), (IrVal){ 0 }).flags;
}

IrVal ppc_guarded_value(PpcTranslator *tr, IrVal value, IrVal old)
{
    IrVal flags;
    IrCc cc;

    tr->flags_epoch++; /* what has computed the value may have changed the host's */
    flags = ppc_cr_bit_flags(tr, tr->guard_bi, &cc);
    return ir_selectcc(tr->ir, tr->width, cc ^ !tr->guard_value, flags, value, old);
}

/* XER. */

IrVal ppc_carry_in(PpcTranslator *tr, bool inverted)
{
    IrVal ca;

    if (tr->carry.id && tr->carry_inverted == inverted && tr->carry_epoch == tr->flags_epoch) {
        return tr->carry;
    }
    ca = ir_get(tr->ir, IR_I8, SLOT_CA);
    return inverted ? ir_opf(tr->ir, IR_cmp, IR_I8, ca, ppc_const(tr, IR_I8, 1), (IrVal){ 0 }).flags /* 0 - 1 borrows */
                    : ir_opf(tr->ir, IR_add, IR_I8, ca, ppc_const(tr, IR_I8, 0xff), (IrVal){ 0 }).flags; /* 1 + 255 carries */
}

void ppc_put_ca(PpcTranslator *tr, IrVal ca)
{
    tr->carry = (IrVal){ 0 };
    tr->ca_put = true;
    ir_put(tr->ir, IR_I8, SLOT_CA, ca);
}

void ppc_put_ca_flags(PpcTranslator *tr, IrVal flags, bool inverted)
{
    ppc_put_ca(tr, ir_setcc(tr->ir, inverted ? CC_AE : CC_B, flags));
    tr->carry = flags;
    tr->carry_inverted = inverted;
    tr->carry_epoch = tr->flags_epoch + 1;
}

void ppc_put_ov(PpcTranslator *tr, IrVal ov, IrVal ov32)
{
    ir_put(tr->ir, IR_I8, SLOT_OV, ov);
    ir_put(tr->ir, IR_I8, SLOT_SO, ir_op2(tr->ir, IR_or, IR_I8, ir_get(tr->ir, IR_I8, SLOT_SO), ov));
    if (tr->isa & ISA_V300) {
        ir_put(tr->ir, IR_I8, SLOT_OV32, ov32.id ? ov32 : ov);
    }
}

static void emit_crlogic(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    unsigned bt = F_RT(in), mask = 8 >> bt % 4;
    IrVal bit[2], result, old;
    const unsigned source[2] = { F_RA(in), F_RB(in) };

    for (int i = 0; i < 2; i++) {
        IrCc cc;
        IrVal flags = ppc_cr_bit_flags(tr, source[i], &cc);

        bit[i] = ir_setcc(ir, cc, flags);
    }
    switch (in->row->op) {
    case 257: /* crand */
    case 225: /* crnand */
        result = ir_op2(ir, IR_and, IR_I8, bit[0], bit[1]);
        break;
    case 449: /* cror */
    case 33:  /* crnor */
        result = ir_op2(ir, IR_or, IR_I8, bit[0], bit[1]);
        break;
    case 129: /* crandc */
        result = ir_op2(ir, IR_andn, IR_I8, bit[0], bit[1]);
        break;
    case 417: /* crorc: a | !b */
        result = ir_op2(ir, IR_or, IR_I8, bit[0], ir_op2(ir, IR_xor, IR_I8, bit[1], ppc_const(tr, IR_I8, 1)));
        break;
    default: /* crxor, creqv */
        result = source[0] == source[1] ? ppc_const(tr, IR_I8, 0) : ir_op2(ir, IR_xor, IR_I8, bit[0], bit[1]);
        break;
    }
    if (in->row->op == 225 || in->row->op == 33 || in->row->op == 289) {
        result = ir_op2(ir, IR_xor, IR_I8, result, ppc_const(tr, IR_I8, 1));
    }
    result = ir_op2(ir, IR_shl, IR_I8, result, ppc_const(tr, IR_I8, 3 - bt % 4));
    old = ir_op2(ir, IR_and, IR_I8, ppc_get_cr_field(tr, bt / 4), ppc_const(tr, IR_I8, 15 & ~mask));
    ppc_put_cr(tr, bt / 4, ir_op2(ir, IR_or, IR_I8, old, result));
}

static void emit_mcrf(PpcTranslator *tr, const PpcInsn *in)
{
    PpcCompare known = tr->compare[F_BFA(in)];

    ppc_put_cr(tr, F_BF(in), ppc_get_cr_field(tr, F_BFA(in)));
    tr->compare[F_BF(in)] = known;
}

/* mfcr, and mfocrf with one field: the others, which are undefined, too. Older processors do not look at the bit that tells them apart. */
static void emit_mfcr(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal all = ir_zext(ir, IR_I32, IR_I8, ppc_get_cr_field(tr, 0));
    unsigned fxm = in->word >> 12 & 0xff;

    if (in->word & 1u << 20 && tr->isa & (ISA_V202 | ISA_970)) {
        int field = __builtin_clz(fxm | 1) - 24;

        all = ir_zext(ir, IR_I32, IR_I8, ppc_get_cr_field(tr, field));
        all = ir_op2(ir, IR_shl, IR_I32, all, ppc_const(tr, IR_I8, 28 - 4 * field));
    } else {
        for (unsigned i = 1; i < 8; i++) {
            all = ir_op2(ir, IR_or, IR_I32, ir_op2(ir, IR_shl, IR_I32, all, ppc_const(tr, IR_I8, 4)),
                         ir_zext(ir, IR_I32, IR_I8, ppc_get_cr_field(tr, i)));
        }
    }
    ir_put(ir, IR_I32, SLOT_R0 + F_RT(in), all);
}

static void emit_mtcrf(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal rs = ppc_gpr_as(tr, IR_I32, F_RS(in));
    unsigned fxm = in->word >> 12 & 0xff;

    for (unsigned i = 0; i < 8; i++) {
        if (fxm >> (7 - i) & 1) {
            IrVal field = ir_op2(tr->ir, IR_shr, IR_I32, rs, ppc_const(tr, IR_I8, 28 - 4 * i));

            ppc_put_cr(tr, i, ir_op2(tr->ir, IR_and, IR_I8, field, ppc_const(tr, IR_I8, 15)));
        }
    }
}

/* CR field from XER[SO OV CA], which become 0. */
static void emit_mcrxr(PpcTranslator *tr, const PpcInsn *in)
{
    static const unsigned slots[3] = { SLOT_SO, SLOT_OV, SLOT_CA };
    IrVal bits = ppc_const(tr, IR_I8, 0);

    for (unsigned i = 0; i < 3; i++) {
        bits = ir_op2(tr->ir, IR_or, IR_I8, bits,
                      ir_op2(tr->ir, IR_shl, IR_I8, ir_get(tr->ir, IR_I8, slots[i]), ppc_const(tr, IR_I8, 3 - i)));
    }
    ppc_put_cr(tr, F_BF(in), bits);
    for (unsigned i = 0; i < 3; i++) {
        ir_put(tr->ir, IR_I8, slots[i], ppc_const(tr, IR_I8, 0));
    }
    tr->carry = (IrVal){ 0 };
}

static void emit_mcrxrx(PpcTranslator *tr, const PpcInsn *in)
{
    static const unsigned slots[4] = { SLOT_OV, SLOT_OV32, SLOT_CA, SLOT_CA32 };
    IrVal bits = ppc_const(tr, IR_I8, 0);

    for (unsigned i = 0; i < 4; i++) {
        bits = ir_op2(tr->ir, IR_or, IR_I8, bits,
                      ir_op2(tr->ir, IR_shl, IR_I8, ir_get(tr->ir, IR_I8, slots[i]), ppc_const(tr, IR_I8, 3 - i)));
    }
    ppc_put_cr(tr, F_BF(in), bits);
}

static void emit_isel(PpcTranslator *tr, const PpcInsn *in)
{
    IrCc cc;
    IrVal flags = ppc_cr_bit_flags(tr, F_RC(in), &cc);

    ppc_put_gpr(tr, F_RT(in), ir_selectcc(tr->ir, tr->width, cc, flags, ppc_gpr_or_0(tr, F_RA(in)), ppc_gpr(tr, F_RB(in))));
}

/* setb: -1, 1 or 0 for LT, GT, else. */
static void emit_setb(PpcTranslator *tr, const PpcInsn *in)
{
    IrCc lt, gt;
    IrVal flags = ppc_cr_bit_flags(tr, 4 * F_BFA(in) + 1, &gt);
    IrVal value = ir_selectcc(tr->ir, IR_I64, gt, flags, ppc_const(tr, IR_I64, 1), ppc_const(tr, IR_I64, 0));

    flags = ppc_cr_bit_flags(tr, 4 * F_BFA(in), &lt);
    ppc_put_gpr(tr, F_RT(in), ir_selectcc(tr->ir, IR_I64, lt, flags, ppc_const(tr, IR_I64, UINT64_MAX), value));
}

enum { SETBC_NEGATIVE = 1, SETBC_REVERSED = 2 };
static void emit_setbc(PpcTranslator *tr, const PpcInsn *in)
{
    IrCc cc;
    IrVal flags = ppc_cr_bit_flags(tr, F_BI(in), &cc);
    IrVal yes = ppc_const(tr, IR_I64, in->row->op & SETBC_NEGATIVE ? UINT64_MAX : 1);

    ppc_put_gpr(tr, F_RT(in), ir_selectcc(tr->ir, IR_I64, in->row->op & SETBC_REVERSED ? cc ^ 1 : cc, flags, yes,
                                          ppc_const(tr, IR_I64, 0)));
}

const PpcRow ppc_rows_cr[] = {
    { "mcrf", X_FORM(19, 0), emit_mcrf },
    { "crnor", X_FORM(19, 33), emit_crlogic, .op = 33 },
    { "crandc", X_FORM(19, 129), emit_crlogic, .op = 129 },
    { "crxor", X_FORM(19, 193), emit_crlogic, .op = 193 },
    { "crnand", X_FORM(19, 225), emit_crlogic, .op = 225 },
    { "crand", X_FORM(19, 257), emit_crlogic, .op = 257 },
    { "creqv", X_FORM(19, 289), emit_crlogic, .op = 289 },
    { "crorc", X_FORM(19, 417), emit_crlogic, .op = 417 },
    { "cror", X_FORM(19, 449), emit_crlogic, .op = 449 },
    { "mfcr", X_FORM(31, 19), emit_mfcr },
    { "mtcrf", X_FORM(31, 144), emit_mtcrf },
    { "mcrxr", X_FORM(31, 512), emit_mcrxr, .isa = ISA_CLASSIC | ISA_BOOKE | ISA_970 },
    { "mcrxrx", X_FORM(31, 576), emit_mcrxrx, .isa = ISA_V300 },
    { "isel", A_FORM(31, 15), emit_isel, .isa = ISA_ISEL },
    { "setb", X_FORM(31, 128), emit_setb, .isa = ISA_V300 },
    { "setbc", X_FORM(31, 384), emit_setbc, .isa = ISA_V310 },
    { "setbcr", X_FORM(31, 416), emit_setbc, .isa = ISA_V310, .op = SETBC_REVERSED },
    { "setnbc", X_FORM(31, 448), emit_setbc, .isa = ISA_V310, .op = SETBC_NEGATIVE },
    { "setnbcr", X_FORM(31, 480), emit_setbc, .isa = ISA_V310, .op = SETBC_NEGATIVE | SETBC_REVERSED },
    { NULL },
};
