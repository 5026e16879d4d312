/*
 * 128-bit floating point (Power ISA 3.0, book I, 7.6): in VR registers, with a bit for rounding to odd.
 */
#include "vec_ops.h"

static U128 reg(PpcState *s, unsigned vr)
{
    return vec_u128(vec_reg(s, 32 + vr));
}

static FpRound rounding(const PpcState *s, uint32_t insn)
{
    return insn & 1 ? ROUND_ODD : fp_rn(s);
}

static void write_quad(PpcState *s, uint32_t insn, U128 r, uint32_t flags)
{
    if (fp_note(s, flags, FP_SET_FR_FI)) {
        vec_set_u128(vec_t(s, insn), r);
        s->fpscr = (s->fpscr & ~(uint64_t)FPSCR_FPRF) | fp_class(&fp_quad, r);
    }
    fp_trap(s);
}

/* Of multiply-add, T is the addend. */
static void arith(PpcState *s, uint32_t insn, FpArith op)
{
    bool fused = op >= FP_MADD;
    U128 a = reg(s, field_a(insn)), b = reg(s, field_b(insn)), t = reg(s, field_t(insn));
    uint32_t flags = 0;
    U128 r = fp_arith(s, op, &fp_quad, &fp_quad, rounding(s, insn), a, fused ? t : b, b, &flags);

    write_quad(s, insn, r, flags);
}

void ppc_exec_xsaddqp(PpcState *s, uint32_t insn) { arith(s, insn, FP_ADD); }
void ppc_exec_xssubqp(PpcState *s, uint32_t insn) { arith(s, insn, FP_SUB); }
void ppc_exec_xsmulqp(PpcState *s, uint32_t insn) { arith(s, insn, FP_MUL); }
void ppc_exec_xsdivqp(PpcState *s, uint32_t insn) { arith(s, insn, FP_DIV); }
void ppc_exec_xssqrtqp(PpcState *s, uint32_t insn) { arith(s, insn, FP_SQRT); }
void ppc_exec_xsmaddqp(PpcState *s, uint32_t insn) { arith(s, insn, FP_MADD); }
void ppc_exec_xsmsubqp(PpcState *s, uint32_t insn) { arith(s, insn, FP_MSUB); }
void ppc_exec_xsnmaddqp(PpcState *s, uint32_t insn) { arith(s, insn, FP_NMADD); }
void ppc_exec_xsnmsubqp(PpcState *s, uint32_t insn) { arith(s, insn, FP_NMSUB); }

static void compare(PpcState *s, uint32_t insn, bool ordered)
{
    fp_compare_scalars(s, insn, &fp_quad, reg(s, field_a(insn)), reg(s, field_b(insn)), ordered);
}

void ppc_exec_xscmpuqp(PpcState *s, uint32_t insn) { compare(s, insn, false); }
void ppc_exec_xscmpoqp(PpcState *s, uint32_t insn) { compare(s, insn, true); }

#define SIGN ((U128)1 << 127)
#define EXPONENT(x) ((unsigned)((x) >> 112) & 0x7fff)

static void put(PpcState *s, uint32_t insn, U128 r)
{
    vec_set_u128(vec_t(s, insn), r);
}

void ppc_exec_xsabsqp(PpcState *s, uint32_t insn) { put(s, insn, reg(s, field_b(insn)) & ~SIGN); }
void ppc_exec_xsnabsqp(PpcState *s, uint32_t insn) { put(s, insn, reg(s, field_b(insn)) | SIGN); }
void ppc_exec_xsnegqp(PpcState *s, uint32_t insn) { put(s, insn, reg(s, field_b(insn)) ^ SIGN); }

void ppc_exec_xscpsgnqp(PpcState *s, uint32_t insn)
{
    put(s, insn, (reg(s, field_a(insn)) & SIGN) | (reg(s, field_b(insn)) & ~SIGN));
}

void ppc_exec_xsxexpqp(PpcState *s, uint32_t insn)
{
    *vec_t(s, insn) = (PpcVec){ .d = { EXPONENT(reg(s, field_b(insn))), 0 } };
}

void ppc_exec_xsxsigqp(PpcState *s, uint32_t insn)
{
    U128 b = reg(s, field_b(insn)), one = (U128)1 << 112;
    unsigned e = EXPONENT(b);

    put(s, insn, (b & (one - 1)) | (e && e != 0x7fff ? one : 0));
}

void ppc_exec_xsiexpqp(PpcState *s, uint32_t insn)
{
    U128 a = reg(s, field_a(insn)), mask = (U128)0x7fff << 112;

    put(s, insn, (a & ~mask) | (U128)(vec_b(s, insn)->d[0] & 0x7fff) << 112);
}

void ppc_exec_xscmpexpqp(PpcState *s, uint32_t insn)
{
    U128 a = reg(s, field_a(insn)), b = reg(s, field_b(insn));
    bool nan = fp_is_nan(fp_unpack(&fp_quad, a)) || fp_is_nan(fp_unpack(&fp_quad, b));
    unsigned x = EXPONENT(a), y = EXPONENT(b), cr = nan ? 1 : x < y ? 8 : x > y ? 4 : 2;

    fp_put_fpcc(s, insn, cr);
}

void ppc_exec_xststdcqp(PpcState *s, uint32_t insn)
{
    vsx_test_class(s, insn, &fp_quad, reg(s, field_b(insn)), false);
}

static void to_int(PpcState *s, uint32_t insn, unsigned width, bool is_unsigned)
{
    uint32_t flags = 0;
    uint64_t r = fp_convert_to_int(&fp_quad, reg(s, field_b(insn)), width, is_unsigned, ROUND_ZERO, &flags);

    if (fp_note(s, flags, FP_SET_FR_FI)) {
        *vec_t(s, insn) = (PpcVec){ .d = { width == 32 && !is_unsigned ? (uint64_t)(int32_t)r : r, 0 } };
    }
    fp_trap(s);
}

void ppc_exec_xscvqpswz(PpcState *s, uint32_t insn) { to_int(s, insn, 32, false); }
void ppc_exec_xscvqpuwz(PpcState *s, uint32_t insn) { to_int(s, insn, 32, true); }
void ppc_exec_xscvqpsdz(PpcState *s, uint32_t insn) { to_int(s, insn, 64, false); }
void ppc_exec_xscvqpudz(PpcState *s, uint32_t insn) { to_int(s, insn, 64, true); }

static void from_int(PpcState *s, uint32_t insn, bool is_unsigned)
{
    FpNum n = fp_from_int64(vec_b(s, insn)->d[0], is_unsigned);
    uint32_t flags = 0;

    write_quad(s, insn, fp_pack(&fp_quad, n, ROUND_NEAREST, 0, &flags), 0);
}

void ppc_exec_xscvsdqp(PpcState *s, uint32_t insn) { from_int(s, insn, false); }
void ppc_exec_xscvudqp(PpcState *s, uint32_t insn) { from_int(s, insn, true); }

void ppc_exec_xscvdpqp(PpcState *s, uint32_t insn)
{
    FpNum x = fp_unpack(&fp_double, vec_b(s, insn)->d[0]), n;
    const FpNum *const one[] = { &x };
    uint32_t flags = 0;

    if (!fp_pick_nan(one, 1, &n, &flags)) {
        n = x;
    }
    write_quad(s, insn, fp_pack(&fp_quad, n, ROUND_NEAREST, 0, &flags), flags);
}

void ppc_exec_xscvqpdp(PpcState *s, uint32_t insn)
{
    FpNum x = fp_unpack(&fp_quad, reg(s, field_b(insn))), n;
    const FpNum *const one[] = { &x };
    uint32_t flags = 0;
    uint64_t r;

    if (!fp_pick_nan(one, 1, &n, &flags)) {
        n = x;
    }
    r = fp_pack(&fp_double, n, rounding(s, insn), s->fpscr & (FPSCR_OE | FPSCR_UE), &flags);
    fp_write(s, 32 + field_t(insn), r, fp_class(&fp_double, r), flags);
    fp_trap(s);
}

/* Quadword integers (v3.1). */
static void to_quad_int(PpcState *s, uint32_t insn, bool is_unsigned)
{
    FpNum x = fp_unpack(&fp_quad, reg(s, field_b(insn)));
    U128 high = is_unsigned ? ~(U128)0 : ~SIGN, low = is_unsigned ? 0 : SIGN, r = low;
    uint32_t flags = 0;

    if (fp_is_nan(x)) {
        flags = FPSCR_VXCVI | (x.kind == FP_IS_SNAN ? FPSCR_VXSNAN : 0);
    } else {
        r = fp_to_int(x, ROUND_ZERO, low, high, &flags);
    }
    if (fp_note(s, flags, FP_SET_FR_FI)) {
        put(s, insn, r);
    }
    fp_trap(s);
}

void ppc_exec_xscvqpsqz(PpcState *s, uint32_t insn) { to_quad_int(s, insn, false); }
void ppc_exec_xscvqpuqz(PpcState *s, uint32_t insn) { to_quad_int(s, insn, true); }

static void from_quad_int(PpcState *s, uint32_t insn, bool is_unsigned)
{
    U128 b = reg(s, field_b(insn));
    bool negative = !is_unsigned && b & SIGN;
    uint32_t flags = 0;
    U128 r = fp_pack(&fp_quad, fp_from_int(negative, negative ? -b : b), fp_rn(s), 0, &flags);

    write_quad(s, insn, r, flags);
}

void ppc_exec_xscvsqqp(PpcState *s, uint32_t insn) { from_quad_int(s, insn, false); }
void ppc_exec_xscvuqqp(PpcState *s, uint32_t insn) { from_quad_int(s, insn, true); }

/* Comparisons that make masks, and the choices that C's conditional operator makes (v3.1). accept: of LT 8, GT 4, EQ 2. */
static unsigned order(PpcState *s, uint32_t insn, bool ordered, uint32_t *flags)
{
    return fp_compare_bits(&fp_quad, reg(s, field_a(insn)), reg(s, field_b(insn)), ordered, s->fpscr & FPSCR_VE, flags);
}

static void mask(PpcState *s, uint32_t insn, unsigned accept)
{
    uint32_t flags = 0;
    bool yes = order(s, insn, accept != 2, &flags) & accept;

    if (fp_note(s, flags, FP_KEEP_FR_FI)) {
        put(s, insn, yes ? ~(U128)0 : 0);
    }
    fp_trap(s);
}

void ppc_exec_xscmpeqqp(PpcState *s, uint32_t insn) { mask(s, insn, 2); }
void ppc_exec_xscmpgtqp(PpcState *s, uint32_t insn) { mask(s, insn, 4); }
void ppc_exec_xscmpgeqp(PpcState *s, uint32_t insn) { mask(s, insn, 6); }

static void choose(PpcState *s, uint32_t insn, unsigned accept)
{
    uint32_t flags = 0;
    bool first = order(s, insn, false, &flags) & accept;

    if (fp_note(s, flags, FP_KEEP_FR_FI)) {
        put(s, insn, reg(s, first ? field_a(insn) : field_b(insn)));
    }
    fp_trap(s);
}

void ppc_exec_xsmaxcqp(PpcState *s, uint32_t insn) { choose(s, insn, 4); }
void ppc_exec_xsmincqp(PpcState *s, uint32_t insn) { choose(s, insn, 8); }

/* Constants by number: 1 to 7, infinity, a NaN; with 16, the negative ones, and -0. Others are reserved: the register stays. */
void ppc_exec_lxvkq(PpcState *s, uint32_t insn)
{
    unsigned n = insn >> 11 & 31, k = n & 15;
    uint64_t high;

    if ((k == 0 && n == 0) || k > 9 || (k == 9 && n > 9)) {
        return;
    }
    if (k == 0) {
        high = 0;
    } else if (k >= 8) {
        high = k == 8 ? UINT64_C(0x7fff) << 48 : UINT64_C(0x7fff8) << 44;
    } else {
        high = fp_pack(&fp_quad, fp_from_int(false, k), ROUND_NEAREST, 0, &(uint32_t){ 0 }) >> 64;
    }
    s->vsr[field_xt(insn)][0] = high | (uint64_t)(n >> 4) << 63;
    s->vsr[field_xt(insn)][1] = 0;
}

/* R and RMC choose the rounding: to nearest away, or as FPSCR says; or one of four. */
static FpRound chosen(const PpcState *s, uint32_t insn)
{
    static const FpRound with_r[4] = { ROUND_NEAREST, ROUND_ZERO, ROUND_UP, ROUND_DOWN };
    unsigned rmc = insn >> 9 & 3;

    return insn & 0x10000 ? with_r[rmc] : rmc == 3 ? fp_rn(s) : ROUND_AWAY;
}

void ppc_exec_xsrqpi(PpcState *s, uint32_t insn)
{
    uint32_t flags = 0;
    U128 r = fp_to_integral(&fp_quad, reg(s, field_b(insn)), chosen(s, insn), &flags);

    /* The form with EX = 1 tells of inexactness. */
    if (!(insn & 1)) {
        flags &= ~(FPSCR_XX | FPSCR_FI | FPSCR_FR);
    }
    write_quad(s, insn, r, flags);
}

/* To the precision of the x87's format, in the range of this one. */
void ppc_exec_xsrqpxp(PpcState *s, uint32_t insn)
{
    static const FpFormat extended = { 64, 16383, 128, 24576 };
    FpNum x = fp_unpack(&fp_quad, reg(s, field_b(insn))), n;
    const FpNum *const one[] = { &x };
    uint32_t flags = 0;

    if (!fp_pick_nan(one, 1, &n, &flags)) {
        n = fp_round(&extended, x, chosen(s, insn), s->fpscr & (FPSCR_OE | FPSCR_UE), &flags);
    } else {
        n.sig &= ~(U128)0 << 64;
    }
    write_quad(s, insn, fp_pack(&fp_quad, n, ROUND_ZERO, 0, &(uint32_t){ 0 }), flags);
}
