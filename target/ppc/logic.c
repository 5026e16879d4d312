/* Fixed-point logical, rotate and shift instructions (Power ISA, Book I, 3.3.13 and 3.3.14). */
#include "target/ppc/insns.h"

static void finish(PpcTranslator *tr, const PpcInsn *in, IrVal value)
{
    ppc_put_gpr(tr, F_RA(in), value);
    if (IS_RC(in)) {
        ppc_record(tr, value);
    }
}

/* Immediate forms: 16 bits, shifted or not. */
enum { IMMEDIATE_SHIFTED = 0x100, IMMEDIATE_RC = 0x200 };
static void emit_logic_immediate(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal ui = ppc_ui(tr, in, tr->width, in->row->op & IMMEDIATE_SHIFTED ? 16 : 0);
    IrVal value = ir_op2(tr->ir, in->row->op & 0xff, tr->width, ppc_gpr(tr, F_RS(in)), ui);

    ppc_put_gpr(tr, F_RA(in), value);
    if (in->row->op & IMMEDIATE_RC) {
        ppc_record(tr, value);
    }
}

enum { COMPLEMENT = 0x100, COMPLEMENT_B = 0x200 };
static void emit_logic(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal rs = ppc_gpr(tr, F_RS(in)), rb = ppc_gpr(tr, F_RB(in)), value;

    if (in->row->op & COMPLEMENT_B) {
        rb = ir_op1(ir, IR_not, tr->width, rb);
    }
    value = F_RS(in) == F_RB(in) && (in->row->op == IR_or || in->row->op == IR_and)
                ? rs : ir_op2(ir, in->row->op & 0xff, tr->width, rs, rb);
    if (in->row->op & COMPLEMENT) {
        value = ir_op1(ir, IR_not, tr->width, value);
    }
    finish(tr, in, value);
}

/* extsb, extsh, extsw: op is the IrType. */
static void emit_exts(PpcTranslator *tr, const PpcInsn *in)
{
    IrType from = in->row->op;

    finish(tr, in, ir_sext(tr->ir, tr->width, from, ppc_gpr_as(tr, from, F_RS(in))));
}

enum { COUNT_TRAILING = 0x100 };
static void emit_count_zeros(PpcTranslator *tr, const PpcInsn *in)
{
    IrType type = in->row->op & 0xff;
    IrVal n = ir_op1(tr->ir, in->row->op & COUNT_TRAILING ? IR_ctz : IR_clz, type, ppc_gpr_as(tr, type, F_RS(in)));

    finish(tr, in, type == IR_I32 && tr->is64 ? ir_zext(tr->ir, IR_I64, IR_I32, n) : n);
}

static void emit_popcntd(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_gpr(tr, F_RA(in), ir_op1(tr->ir, IR_popcnt, IR_I64, ppc_gpr(tr, F_RS(in))));
}

/* Those that a helper computes from RS and RB; op is the helper. */
static void emit_by_helper(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal rs = ppc_gpr(tr, F_RS(in)), rb = { 0 };

    if (ppc_helpers[in->row->op].args > 1) {
        rb = ppc_gpr(tr, F_RB(in));
    }
    ppc_put_gpr(tr, F_RA(in), ppc_call(tr, in->row->op, rs, rb, (IrVal){ 0 }, (IrVal){ 0 }));
}

static void emit_cmpb(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_gpr(tr, F_RA(in), ir_op2(tr->ir, IR_eqb, IR_I64, ppc_gpr_as(tr, IR_I64, F_RS(in)), ppc_gpr_as(tr, IR_I64, F_RB(in))));
}

static void emit_zeros_under(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_gpr(tr, F_RA(in), PPC_CALL3(tr, zeros_under, ppc_gpr(tr, F_RS(in)), ppc_gpr(tr, F_RB(in)), ppc_const(tr, IR_I64, in->row->op)));
}

/* prtyw, prtyd: parity of the lowest bits of the bytes. op: log2 of the size in bytes. */
static void emit_parity(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal v = ppc_gpr(tr, F_RS(in));

    for (unsigned shift = 8; shift < 8u << in->row->op; shift *= 2) {
        v = ir_op2(ir, IR_xor, IR_I64, v, ir_op2(ir, IR_shr, IR_I64, v, ppc_const(tr, IR_I8, shift)));
    }
    ppc_put_gpr(tr, F_RA(in), ir_op2(ir, IR_and, IR_I64, v, ppc_const(tr, IR_I64, in->row->op == 2 ? UINT64_C(0x100000001) : 1)));
}

/* brh, brw, brd: bytes reversed within each; op is the IrType. */
static void emit_byte_reverse(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal v = ir_op1(ir, IR_bswap, IR_I64, ppc_gpr(tr, F_RS(in)));

    if (in->row->op == IR_I32) {
        v = ir_op2(ir, IR_rol, IR_I64, v, ppc_const(tr, IR_I8, 32));
    } else if (in->row->op == IR_I16) {
        uint64_t mask = UINT64_C(0x00ff00ff00ff00ff);

        v = ppc_gpr(tr, F_RS(in));
        v = ir_op2(ir, IR_or, IR_I64,
                   ir_op2(ir, IR_shl, IR_I64, ir_op2(ir, IR_and, IR_I64, v, ppc_const(tr, IR_I64, mask)), ppc_const(tr, IR_I8, 8)),
                   ir_op2(ir, IR_and, IR_I64, ir_op2(ir, IR_shr, IR_I64, v, ppc_const(tr, IR_I8, 8)), ppc_const(tr, IR_I64, mask)));
    }
    ppc_put_gpr(tr, F_RA(in), v);
}

static void emit_bcd(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_gpr(tr, F_RA(in), PPC_CALL2(tr, bcd, ppc_gpr(tr, F_RS(in)), ppc_const(tr, IR_I64, in->row->op)));
}

/* Rotates of words. */

/* MASK(mb, me) of 32 bits. */
static uint32_t mask32(unsigned mb, unsigned me)
{
    uint32_t from = UINT32_MAX >> mb, to = UINT32_MAX << (31 - me);

    return mb <= me ? from & to : from | to;
}

/* The rotated word under the mask: what 64-bit processors have in the upper half depends on whether the mask wraps. */
static IrVal masked_word(PpcTranslator *tr, IrVal rotated, unsigned mb, unsigned me)
{
    IrBlock *ir = tr->ir;
    uint32_t mask = mask32(mb, me);
    IrVal both;

    if (!tr->is64) {
        return ir_op2(ir, IR_and, IR_I32, rotated, ppc_const(tr, IR_I32, mask));
    }
    if (mb <= me) {
        return ir_zext(ir, IR_I64, IR_I32, ir_op2(ir, IR_and, IR_I32, rotated, ppc_const(tr, IR_I32, mask)));
    }
    both = ir_zext(ir, IR_I64, IR_I32, rotated);
    both = ir_op2(ir, IR_or, IR_I64, both, ir_op2(ir, IR_shl, IR_I64, both, ppc_const(tr, IR_I8, 32)));
    return ir_op2(ir, IR_and, IR_I64, both, ppc_const(tr, IR_I64, UINT64_C(0xffffffff00000000) | mask));
}

/* RS rotated by SH under the mask: shifts where these do all of it. */
static IrVal rotated_field(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    unsigned sh = F_SH(in), mb = F_MB(in), me = F_ME(in);
    IrVal rs = ppc_gpr_as(tr, IR_I32, F_RS(in)), word;

    if (sh && mb == 0 && me == 31 - sh) {
        word = ir_op2(ir, IR_shl, IR_I32, rs, ppc_const(tr, IR_I8, sh));
        return tr->is64 ? ir_zext(ir, IR_I64, IR_I32, word) : word;
    }
    if (sh && me == 31 && mb >= 32 - sh) { /* a field moved to the right */
        word = ir_op2(ir, IR_shr, IR_I32, rs, ppc_const(tr, IR_I8, 32 - sh));
        if (mb == 32 - sh) {
            return tr->is64 ? ir_zext(ir, IR_I64, IR_I32, word) : word;
        }
    } else {
        word = ir_op2(ir, IR_rol, IR_I32, rs, ppc_const(tr, IR_I8, sh));
        if (mb == 0 && me == 31) {
            return tr->is64 ? ir_zext(ir, IR_I64, IR_I32, word) : word;
        }
    }
    return masked_word(tr, word, mb, me);
}

static void emit_rlwinm(PpcTranslator *tr, const PpcInsn *in)
{
    finish(tr, in, rotated_field(tr, in));
}

static void emit_rlwnm(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal count = ir_op2(tr->ir, IR_and, IR_I8, ppc_gpr_as(tr, IR_I8, F_RB(in)), ppc_const(tr, IR_I8, 31));

    finish(tr, in, masked_word(tr, ir_op2(tr->ir, IR_rol, IR_I32, ppc_gpr_as(tr, IR_I32, F_RS(in)), count), F_MB(in), F_ME(in)));
}

static void emit_rlwimi(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    unsigned mb = F_MB(in), me = F_ME(in);
    uint64_t mask = mask32(mb, me);

    if (tr->is64 && mb > me) {
        mask |= UINT64_C(0xffffffff00000000);
    }
    finish(tr, in, ir_op2(ir, IR_or, tr->width, rotated_field(tr, in),
                          ir_op2(ir, IR_and, tr->width, ppc_gpr(tr, F_RA(in)), ppc_const(tr, tr->width, ~mask))));
}

/* Rotates of doublewords. */

static uint64_t mask64(unsigned mb, unsigned me)
{
    uint64_t from = UINT64_MAX >> mb, to = UINT64_MAX << (63 - me);

    return mb <= me ? from & to : from | to;
}

static unsigned sh6(const PpcInsn *in)
{
    return F_SH(in) | (in->word >> 1 & 1) << 5;
}

static unsigned mb6(const PpcInsn *in)
{
    return F_MB(in) | (in->word >> 5 & 1) << 5;
}

/* rldicl, rldicr, rldic; and with a register as count rldcl, rldcr. */
enum { MASK_LEFT, MASK_RIGHT, MASK_BOTH, MASK_KINDS, COUNT_REGISTER = 0x100 };
static void emit_rld(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    unsigned kind = in->row->op & 0xff, sh = sh6(in), bound = mb6(in), mb, me;
    IrVal rs = ppc_gpr(tr, F_RS(in)), count, value;

    if (in->row->op & COUNT_REGISTER) {
        sh = 64;
        count = ir_op2(ir, IR_and, IR_I8, ppc_gpr_as(tr, IR_I8, F_RB(in)), ppc_const(tr, IR_I8, 63));
    } else {
        count = ppc_const(tr, IR_I8, sh);
    }
    mb = kind == MASK_RIGHT ? 0 : bound;
    me = kind == MASK_LEFT ? 63 : kind == MASK_RIGHT ? bound : 63 - sh;
    if (sh > 0 && sh < 64 && mb == 0 && me == 63 - sh) {
        value = ir_op2(ir, IR_shl, IR_I64, rs, count);
    } else if (sh > 0 && sh < 64 && me == 63 && mb >= 64 - sh) {
        value = ir_op2(ir, IR_shr, IR_I64, rs, ppc_const(tr, IR_I8, 64 - sh));
        if (mb > 64 - sh) {
            value = ir_op2(ir, IR_and, IR_I64, value, ppc_const(tr, IR_I64, mask64(mb, me)));
        }
    } else if (sh == 0 && me == 63 && mb == 32) {
        value = ir_zext(ir, IR_I64, IR_I32, ppc_gpr_as(tr, IR_I32, F_RS(in)));
    } else {
        value = ir_op2(ir, IR_and, IR_I64, ir_op2(ir, IR_rol, IR_I64, rs, count), ppc_const(tr, IR_I64, mask64(mb, me)));
    }
    finish(tr, in, value);
}

static void emit_rldimi(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    uint64_t mask = mask64(mb6(in), 63 - sh6(in));
    IrVal rs = ppc_gpr(tr, F_RS(in)), ra = ppc_gpr(tr, F_RA(in)), count = ppc_const(tr, IR_I8, sh6(in)), differ;

    if (mb6(in) == 0) {
        finish(tr, in, ir_op2(ir, IR_or, IR_I64, ir_op2(ir, IR_shl, IR_I64, rs, count),
                              ir_op2(ir, IR_and, IR_I64, ra, ppc_const(tr, IR_I64, ~mask))));
        return;
    }
    /* With one mask only, which may be long. */
    differ = ir_op2(ir, IR_xor, IR_I64, ir_op2(ir, IR_rol, IR_I64, rs, count), ra);
    finish(tr, in, ir_op2(ir, IR_xor, IR_I64, ir_op2(ir, IR_and, IR_I64, differ, ppc_const(tr, IR_I64, mask)), ra));
}

/* Shifts. Words are shifted as doublewords, so that counts from 32 to 63 do what they should. */

static void emit_slw(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal value = ir_op2(ir, in->row->op, IR_I64, ppc_gpr_zero_extended(tr, F_RS(in)), ppc_gpr_as(tr, IR_I8, F_RB(in)));

    if (!tr->is64 && in->row->op == IR_shr && !tr->guarded && !IS_RC(in)) {
        ir_put(ir, IR_I64, SLOT_R0 + F_RA(in), value); /* with the zeros above */
        return;
    }
    finish(tr, in, tr->is64 && in->row->op == IR_shl ? ir_zext(ir, IR_I64, IR_I32, value) : value);
}

static void emit_sld(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal rb = ppc_gpr_as(tr, IR_I8, F_RB(in));
    IrVal value = ir_op2(ir, in->row->op, IR_I64, ppc_gpr(tr, F_RS(in)), rb);
    IrVal large = ir_opf(ir, IR_test, IR_I8, rb, ppc_const(tr, IR_I8, 64), (IrVal){ 0 }).flags;

    finish(tr, in, ir_selectcc(ir, IR_I64, CC_NE, large, ppc_const(tr, IR_I64, 0), value));
}

static void put_shift_carry(PpcTranslator *tr, IrVal ca)
{
    ppc_put_ca(tr, ca);
    if (tr->isa & ISA_V300) {
        ir_put(tr->ir, IR_I8, SLOT_CA32, ca);
    }
}

/* CA of arithmetic shifts: the value is negative and ones were lost. back: the result shifted the other way. */
static IrVal lost_ones(PpcTranslator *tr, IrVal value, IrVal back)
{
    return ir_op2(tr->ir, IR_and, IR_I8, ir_setcond(tr->ir, COND_NE, IR_I64, value, back),
                  ir_setcond(tr->ir, COND_LTS, IR_I64, value, ppc_const(tr, IR_I64, 0)));
}

/* The same for a count that is known: the sign and one of the bits below it are there. */
static IrVal lost_ones_of(PpcTranslator *tr, IrType type, IrVal value, unsigned count)
{
    uint64_t sign = UINT64_C(1) << (type == IR_I64 ? 63 : 31), lost = (UINT64_C(1) << count) - 1;

    return ir_setcond(tr->ir, COND_GTU, type, ir_op2(tr->ir, IR_and, type, value, ppc_const(tr, type, sign | lost)),
                      ppc_const(tr, type, sign));
}

static void emit_sraw(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal count = ppc_gpr_as(tr, IR_I8, F_RB(in)); /* six bits of it */
    IrVal word = ir_sext(ir, IR_I64, IR_I32, ppc_gpr_as(tr, IR_I32, F_RS(in)));
    IrVal value = ir_op2(ir, IR_sar, IR_I64, word, count);

    put_shift_carry(tr, lost_ones(tr, word, ir_op2(ir, IR_shl, IR_I64, value, count)));
    finish(tr, in, value);
}

static void emit_srawi(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal word = ppc_gpr_as(tr, IR_I32, F_RS(in)), count = ppc_const(tr, IR_I8, F_SH(in));
    IrVal value = tr->is64 ? ir_op2(ir, IR_sar, IR_I64, ir_sext(ir, IR_I64, IR_I32, word), count) : ir_op2(ir, IR_sar, IR_I32, word, count);

    put_shift_carry(tr, lost_ones_of(tr, IR_I32, word, F_SH(in)));
    finish(tr, in, value);
}

static void emit_srad(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal rs = ppc_gpr(tr, F_RS(in)), rb = ppc_gpr_as(tr, IR_I8, F_RB(in));
    IrVal large = ir_op2(ir, IR_and, IR_I8, rb, ppc_const(tr, IR_I8, 64));
    IrVal count = ir_select(ir, IR_I8, large, ppc_const(tr, IR_I8, 63), rb);
    IrVal value = ir_op2(ir, IR_sar, IR_I64, rs, count);
    IrVal negative = ir_setcond(ir, COND_LTS, IR_I64, rs, ppc_const(tr, IR_I64, 0));

    put_shift_carry(tr, ir_select(ir, IR_I8, large, negative, lost_ones(tr, rs, ir_op2(ir, IR_shl, IR_I64, value, count))));
    finish(tr, in, value);
}

static void emit_sradi(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal rs = ppc_gpr(tr, F_RS(in)), count = ppc_const(tr, IR_I8, sh6(in));
    IrVal value = ir_op2(ir, IR_sar, IR_I64, rs, count);

    put_shift_carry(tr, lost_ones_of(tr, IR_I64, rs, sh6(in)));
    finish(tr, in, value);
}

static void emit_extswsli(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal word = ir_sext(tr->ir, IR_I64, IR_I32, ppc_gpr_as(tr, IR_I32, F_RS(in)));

    finish(tr, in, ir_op2(tr->ir, IR_shl, IR_I64, word, ppc_const(tr, IR_I8, sh6(in))));
}

const PpcRow ppc_rows_logic[] = {
    { "rlwimi", OPCD(20), emit_rlwimi, A_PLAIN },
    { "rlwinm", OPCD(21), emit_rlwinm, A_PLAIN },
    { "rlwnm", OPCD(23), emit_rlwnm, A_PLAIN },
    { "ori", OPCD(24), emit_logic_immediate, A_IMMEDIATE | A_PLAIN, .op = IR_or },
    { "oris", OPCD(25), emit_logic_immediate, A_IMMEDIATE | A_PLAIN, .op = IR_or | IMMEDIATE_SHIFTED },
    { "xori", OPCD(26), emit_logic_immediate, A_IMMEDIATE | A_PLAIN, .op = IR_xor },
    { "xoris", OPCD(27), emit_logic_immediate, A_IMMEDIATE | A_PLAIN, .op = IR_xor | IMMEDIATE_SHIFTED },
    { "andi.", OPCD(28), emit_logic_immediate, A_IMMEDIATE, .op = IR_and | IMMEDIATE_RC },
    { "andis.", OPCD(29), emit_logic_immediate, A_IMMEDIATE, .op = IR_and | IMMEDIATE_SHIFTED | IMMEDIATE_RC },
    { "rldicl", MD_FORM(30, 0), emit_rld, A_PLAIN, .isa = ISA_64, .op = MASK_LEFT },
    { "rldicr", MD_FORM(30, 1), emit_rld, A_PLAIN, .isa = ISA_64, .op = MASK_RIGHT },
    { "rldic", MD_FORM(30, 2), emit_rld, A_PLAIN, .isa = ISA_64, .op = MASK_BOTH },
    { "rldimi", MD_FORM(30, 3), emit_rldimi, A_PLAIN, .isa = ISA_64 },
    { "rldcl", MDS_FORM(30, 8), emit_rld, A_PLAIN, .isa = ISA_64, .op = MASK_LEFT | COUNT_REGISTER },
    { "rldcr", MDS_FORM(30, 9), emit_rld, A_PLAIN, .isa = ISA_64, .op = MASK_RIGHT | COUNT_REGISTER },
    { "slw", X_FORM(31, 24), emit_slw, A_PLAIN, .op = IR_shl },
    { "cntlzw", X_FORM(31, 26), emit_count_zeros, A_PLAIN, .op = IR_I32 },
    { "sld", X_FORM(31, 27), emit_sld, .isa = ISA_64, .op = IR_shl },
    { "and", X_FORM(31, 28), emit_logic, A_PLAIN, .op = IR_and },
    { "cntlzd", X_FORM(31, 58), emit_count_zeros, A_PLAIN, .isa = ISA_64, .op = IR_I64 },
    { "cntlzdm", X_FORM(31, 59), emit_zeros_under, .isa = ISA_V310, .op = 0 },
    { "andc", X_FORM(31, 60), emit_logic, A_PLAIN, .op = IR_andn },
    { "popcntb", X_FORM(31, 122), emit_by_helper, .isa = ISA_V202, .op = HELPER_popcntb },
    { "nor", X_FORM(31, 124), emit_logic, A_PLAIN, .op = IR_or | COMPLEMENT },
    { "prtyw", X_FORM(31, 154), emit_parity, .isa = ISA_V205, .op = 2 },
    { "brw", X_FORM(31, 155), emit_byte_reverse, .isa = ISA_V310, .op = IR_I32 },
    { "pdepd", X_FORM(31, 156), emit_by_helper, .isa = ISA_V310, .op = HELPER_pdepd },
    { "prtyd", X_FORM(31, 186), emit_parity, .isa = ISA_V205, .op = 3 },
    { "brd", X_FORM(31, 187), emit_byte_reverse, .isa = ISA_V310, .op = IR_I64 },
    { "pextd", X_FORM(31, 188), emit_by_helper, .isa = ISA_V310, .op = HELPER_pextd },
    { "brh", X_FORM(31, 219), emit_byte_reverse, .isa = ISA_V310, .op = IR_I16 },
    { "cfuged", X_FORM(31, 220), emit_by_helper, .isa = ISA_V310, .op = HELPER_cfuged },
    { "bpermd", X_FORM(31, 252), emit_by_helper, .isa = ISA_V206, .op = HELPER_bpermd },
    { "cdtbcd", X_FORM(31, 282), emit_bcd, .isa = ISA_V206, .op = 0 },
    { "eqv", X_FORM(31, 284), emit_logic, A_PLAIN, .op = IR_xor | COMPLEMENT },
    { "cbcdtd", X_FORM(31, 314), emit_bcd, .isa = ISA_V206, .op = 1 },
    { "xor", X_FORM(31, 316), emit_logic, A_PLAIN, .op = IR_xor },
    { "popcntw", X_FORM(31, 378), emit_by_helper, .isa = ISA_V206, .op = HELPER_popcntw },
    { "orc", X_FORM(31, 412), emit_logic, A_PLAIN, .op = IR_or | COMPLEMENT_B },
    { "or", X_FORM(31, 444), emit_logic, A_PLAIN, .op = IR_or },
    { "nand", X_FORM(31, 476), emit_logic, A_PLAIN, .op = IR_and | COMPLEMENT },
    { "popcntd", X_FORM(31, 506), emit_popcntd, .isa = ISA_V206 },
    { "cmpb", X_FORM(31, 508), emit_cmpb, .isa = ISA_V205 },
    { "srw", X_FORM(31, 536), emit_slw, A_PLAIN, .op = IR_shr },
    { "cnttzw", X_FORM(31, 538), emit_count_zeros, A_PLAIN, .isa = ISA_V300, .op = IR_I32 | COUNT_TRAILING },
    { "srd", X_FORM(31, 539), emit_sld, .isa = ISA_64, .op = IR_shr },
    { "cnttzd", X_FORM(31, 570), emit_count_zeros, A_PLAIN, .isa = ISA_V300, .op = IR_I64 | COUNT_TRAILING },
    { "cnttzdm", X_FORM(31, 571), emit_zeros_under, .isa = ISA_V310, .op = 1 },
    { "sraw", X_FORM(31, 792), emit_sraw },
    { "srad", X_FORM(31, 794), emit_srad, .isa = ISA_64 },
    { "srawi", X_FORM(31, 824), emit_srawi },
    { "sradi", XS_FORM(31, 413), emit_sradi, .isa = ISA_64 },
    { "extswsli", XS_FORM(31, 445), emit_extswsli, .isa = ISA_V300 },
    { "extsh", X_FORM(31, 922), emit_exts, A_PLAIN, .op = IR_I16 },
    { "extsb", X_FORM(31, 954), emit_exts, A_PLAIN, .op = IR_I8 },
    { "extsw", X_FORM(31, 986), emit_exts, A_PLAIN, .isa = ISA_64, .op = IR_I32 },
    { NULL },
};
