/*
 * Scalar floating point: opcodes 59 and 63 (Power ISA, book I, 4.6), in exact integer arithmetic.
 */
#include "fp.h"
#include "target/ppc/internal.h"

#define SIGN UINT64_C(0x8000000000000000)

bool fp_pick_nan(const FpNum *const *operands, unsigned n, FpNum *out, uint32_t *flags)
{
    const FpNum *pick = NULL;

    for (unsigned i = 0; i < n; i++) {
        if (operands[i]->kind == FP_IS_SNAN) {
            *flags |= FPSCR_VXSNAN;
        }
        if (!pick && fp_is_nan(*operands[i])) {
            pick = operands[i];
        }
    }
    if (!pick) {
        return false;
    }
    *out = *pick;
    out->kind = FP_IS_QNAN;
    out->sig |= (U128)1 << 126;
    return true;
}

bool fp_is_g3(const PpcState *s)
{
    unsigned version = s->model->pvr >> 16;

    return version == 0x0008 || version == 0x7000 || version == 0x7002;
}

/* Of fp_round. NI means something to G3s: results that are tiny are zero, operands are what they are. */
static unsigned rounding_mode(const PpcState *s)
{
    unsigned mode = s->fpscr & (FPSCR_OE | FPSCR_UE | FPSCR_NI);

    return mode & FPSCR_NI && !fp_is_g3(s) ? mode & ~FPSCR_NI : mode;
}

U128 fp_arith(PpcState *s, FpArith op, const FpFormat *in, const FpFormat *format, FpRound round, U128 a, U128 b,
              U128 c, uint32_t *flags)
{
    FpNum x = fp_unpack(in, a), y = fp_unpack(in, b), z = fp_unpack(in, c), n;
    const FpNum *const two[] = { &x, &y }, *const three[] = { &x, &y, &z };
    unsigned mode = rounding_mode(s);
    bool fused = op >= FP_MADD, has_nan;

    has_nan = op == FP_SQRT ? fp_pick_nan(two + 1, 1, &n, flags) : fp_pick_nan(fused ? three : two, fused ? 3 : 2, &n, flags);
    if (has_nan) {
        if (fused && ((x.kind == FP_IS_INF && z.kind == FP_IS_ZERO) || (x.kind == FP_IS_ZERO && z.kind == FP_IS_INF))) {
            *flags |= FPSCR_VXIMZ;
        }
        return fp_pack(in, n, round, 0, flags);
    }
    if (op == FP_SUB || op == FP_MSUB || op == FP_NMSUB) {
        y.negative = !y.negative;
    }
    switch (op) {
    case FP_ADD:
    case FP_SUB: n = fp_add(x, y, round, flags); break;
    case FP_MUL: n = fp_mul(x, y, flags); break;
    case FP_DIV: n = fp_div(x, y, flags); break;
    case FP_SQRT: n = fp_sqrt(y, flags); break;
    default: n = fp_mul_add(x, z, y, round, flags); break;
    }
    n = fp_round(format, n, round, mode, flags);
    if ((op == FP_NMADD || op == FP_NMSUB) && !fp_is_nan(n)) {
        n.negative = !n.negative;
    }
    return fp_pack(in, n, ROUND_ZERO, 0, &(uint32_t){ 0 });
}

uint64_t fp_single_to_double(uint32_t bits)
{
    uint64_t sign = (uint64_t)(bits & 0x80000000) << 32, fraction = bits & 0x7fffff;
    unsigned exponent = bits >> 23 & 255;

    if (exponent == 255) {
        return sign | UINT64_C(0x7ff) << 52 | fraction << 29;
    }
    if (exponent) {
        return sign | (uint64_t)(exponent + 896) << 52 | fraction << 29;
    }
    if (!fraction) {
        return sign;
    }
    unsigned shift = __builtin_clzll(fraction) - 40;

    return sign | (uint64_t)(897 - shift) << 52 | (fraction << (29 + shift) & UINT64_C(0xfffffffffffff));
}

uint32_t fp_double_to_single(uint64_t bits)
{
    unsigned exponent = bits >> 52 & 0x7ff;

    if (exponent > 896 || !(bits << 1)) {
        return (bits >> 32 & 0xc0000000) | (bits >> 29 & 0x3fffffff);
    }
    if (exponent >= 874) {
        uint64_t fraction = (bits & UINT64_C(0xfffffffffffff)) | UINT64_C(1) << 52;

        return (bits >> 32 & 0x80000000) | (uint32_t)(fraction >> (926 - exponent));
    }
    /* The architecture leaves it open; the sign and a part of the fraction is what is there. */
    return bits >> 32 & 0x80000000;
}

uint32_t fp_class_in_double(const FpFormat *format, uint64_t bits)
{
    unsigned exponent = bits >> 52 & 0x7ff;

    return fp_class(&fp_double, bits) | (format == &fp_single && exponent && exponent < 897 ? FPSCR_C : 0);
}

static void arith(PpcState *s, uint32_t insn, FpArith op, const FpFormat *format)
{
    unsigned b = op == FP_MUL ? field_c(insn) : field_b(insn);
    uint32_t flags = 0;
    uint64_t r = fp_arith(s, op, &fp_double, format, fp_rn(s), s->vsr[field_a(insn)][0], s->vsr[b][0],
                          s->vsr[field_c(insn)][0], &flags);

    fp_write(s, field_t(insn), r, fp_class_in_double(format, r), flags);
    fp_end(s, insn);
}

#define ARITH(name, op)                                                                                  \
    void ppc_exec_##name(PpcState *s, uint32_t insn) { arith(s, insn, op, &fp_double); }                 \
    void ppc_exec_##name##s(PpcState *s, uint32_t insn) { arith(s, insn, op, &fp_single); }
ARITH(fadd, FP_ADD)
ARITH(fsub, FP_SUB)
ARITH(fmul, FP_MUL)
ARITH(fdiv, FP_DIV)
ARITH(fsqrt, FP_SQRT)
ARITH(fmadd, FP_MADD)
ARITH(fmsub, FP_MSUB)
ARITH(fnmadd, FP_NMADD)
ARITH(fnmsub, FP_NMSUB)

static void write_rounded(PpcState *s, uint32_t insn, const FpFormat *format, FpNum n, uint32_t flags)
{
    uint64_t r;

    n = fp_round(format, n, fp_rn(s), rounding_mode(s), &flags);
    r = fp_pack(&fp_double, n, ROUND_ZERO, 0, &(uint32_t){ 0 });
    fp_write(s, field_t(insn), r, fp_class_in_double(format, r), flags);
    fp_end(s, insn);
}

void ppc_exec_frsp(PpcState *s, uint32_t insn)
{
    FpNum x = fp_unpack(&fp_double, s->vsr[field_b(insn)][0]), n;
    const FpNum *const one[] = { &x };
    uint32_t flags = 0;

    if (fp_pick_nan(one, 1, &n, &flags)) {
        n.sig &= ~(U128)0 << 104;
        write_rounded(s, insn, &fp_single, n, flags);
    } else {
        write_rounded(s, insn, &fp_single, x, flags);
    }
}

/*
 * Estimates: the architecture bounds their error only; they are as near as a double (or single) can be.
 * FR and FI are undefined after them, and XX is left alone.
 */
U128 fp_estimate(PpcState *s, const FpFormat *format, const FpFormat *to, U128 bits, bool root, uint32_t *flags)
{
    FpNum x = fp_unpack(format, bits), n;
    const FpNum *const one[] = { &x };
    uint32_t inexact = 0;

    if (!fp_pick_nan(one, 1, &n, flags)) {
        if (root && x.kind != FP_IS_ZERO) {
            /* Rounded first, so that the quotient is taken of numbers of 64 bits. */
            x = fp_round(&fp_double, fp_sqrt(x, flags), ROUND_NEAREST, 0, &inexact);
        }
        n = fp_is_nan(x) ? x : fp_div(fp_from_int(false, 1), x, flags);
    }
    inexact = 0;
    n = fp_round(to, n, fp_rn(s), s->fpscr & (FPSCR_OE | FPSCR_UE), &inexact);
    *flags |= inexact & (FPSCR_OX | FPSCR_UX);
    return fp_pack(format, n, ROUND_ZERO, 0, &(uint32_t){ 0 });
}

static void estimate(PpcState *s, uint32_t insn, const FpFormat *format, bool root)
{
    uint32_t flags = 0;
    uint64_t r = fp_estimate(s, &fp_double, format, s->vsr[field_b(insn)][0], root, &flags);

    fp_write(s, field_t(insn), r, fp_class_in_double(format, r), flags);
    fp_end(s, insn);
}

void ppc_exec_fre(PpcState *s, uint32_t insn) { estimate(s, insn, &fp_double, false); }
void ppc_exec_fres(PpcState *s, uint32_t insn) { estimate(s, insn, &fp_single, false); }
void ppc_exec_frsqrte(PpcState *s, uint32_t insn) { estimate(s, insn, &fp_double, true); }
void ppc_exec_frsqrtes(PpcState *s, uint32_t insn) { estimate(s, insn, &fp_single, true); }

void ppc_exec_fsel(PpcState *s, uint32_t insn)
{
    FpNum x = fp_unpack(&fp_double, s->vsr[field_a(insn)][0]);
    bool positive = !fp_is_nan(x) && (!x.negative || x.kind == FP_IS_ZERO);

    fp_put_scalar(s, field_t(insn), s->vsr[positive ? field_c(insn) : field_b(insn)][0]);
    fp_end(s, insn);
}

uint64_t fp_convert_to_int(const FpFormat *format, U128 bits, unsigned width, bool is_unsigned, FpRound round,
                           uint32_t *flags)
{
    FpNum x = fp_unpack(format, bits);
    U128 high = ((U128)1 << (width - !is_unsigned)) - 1, low = is_unsigned ? 0 : high + 1;

    if (fp_is_nan(x)) {
        *flags |= FPSCR_VXCVI | (x.kind == FP_IS_SNAN ? FPSCR_VXSNAN : 0);
        return is_unsigned ? 0 : (uint64_t)1 << (width - 1);
    }
    return fp_to_int(x, round, low, high, flags);
}

/* The upper word of a converted word is undefined: what processors before POWER7 and QEMU leave there differs; of G3s it is known. */
static uint64_t mark_word(uint64_t r, bool negative)
{
    uint32_t mark = FP_WORD_MARK | (negative && !(uint32_t)r ? FP_WORD_MINUS_ZERO : 0);

    return (uint64_t)mark << 32 | (uint32_t)r;
}

static void to_int(PpcState *s, uint32_t insn, unsigned width, bool is_unsigned, FpRound round)
{
    uint32_t flags = 0;
    uint64_t b = s->vsr[field_b(insn)][0], r = fp_convert_to_int(&fp_double, b, width, is_unsigned, round, &flags);

    if (width == 32 && fp_is_g3(s)) {
        r = mark_word(r, b >> 63);
    }
    if (fp_note(s, flags, FP_SET_FR_FI)) {
        fp_put_scalar(s, field_t(insn), r);
    }
    fp_end(s, insn);
}

void ppc_exec_fctiw(PpcState *s, uint32_t insn) { to_int(s, insn, 32, false, fp_rn(s)); }
void ppc_exec_fctiwz(PpcState *s, uint32_t insn) { to_int(s, insn, 32, false, ROUND_ZERO); }
void ppc_exec_fctiwu(PpcState *s, uint32_t insn) { to_int(s, insn, 32, true, fp_rn(s)); }
void ppc_exec_fctiwuz(PpcState *s, uint32_t insn) { to_int(s, insn, 32, true, ROUND_ZERO); }
void ppc_exec_fctid(PpcState *s, uint32_t insn) { to_int(s, insn, 64, false, fp_rn(s)); }
void ppc_exec_fctidz(PpcState *s, uint32_t insn) { to_int(s, insn, 64, false, ROUND_ZERO); }
void ppc_exec_fctidu(PpcState *s, uint32_t insn) { to_int(s, insn, 64, true, fp_rn(s)); }
void ppc_exec_fctiduz(PpcState *s, uint32_t insn) { to_int(s, insn, 64, true, ROUND_ZERO); }

FpNum fp_from_int64(uint64_t v, bool is_unsigned)
{
    bool negative = !is_unsigned && v >> 63;

    return fp_from_int(negative, negative ? -v : v);
}

static void from_int(PpcState *s, uint32_t insn, bool is_unsigned, const FpFormat *format)
{
    write_rounded(s, insn, format, fp_from_int64(s->vsr[field_b(insn)][0], is_unsigned), 0);
}

void ppc_exec_fcfid(PpcState *s, uint32_t insn) { from_int(s, insn, false, &fp_double); }
void ppc_exec_fcfidu(PpcState *s, uint32_t insn) { from_int(s, insn, true, &fp_double); }
void ppc_exec_fcfids(PpcState *s, uint32_t insn) { from_int(s, insn, false, &fp_single); }
void ppc_exec_fcfidus(PpcState *s, uint32_t insn) { from_int(s, insn, true, &fp_single); }

U128 fp_to_integral(const FpFormat *format, U128 bits, FpRound round, uint32_t *flags)
{
    FpNum x = fp_unpack(format, bits), n;
    const FpNum *const one[] = { &x };

    if (!fp_pick_nan(one, 1, &n, flags)) {
        n = fp_round_to_int(x, round, flags);
    }
    return fp_pack(format, n, ROUND_ZERO, 0, &(uint32_t){ 0 });
}

/* Rounding to an integer never is inexact, and reports nothing but a signalling NaN. */
static void round_int(PpcState *s, uint32_t insn, FpRound round)
{
    uint32_t flags = 0;
    uint64_t r = fp_to_integral(&fp_double, s->vsr[field_b(insn)][0], round, &flags);

    fp_write(s, field_t(insn), r, fp_class(&fp_double, r), flags & FPSCR_VXSNAN);
    fp_end(s, insn);
}

void ppc_exec_frin(PpcState *s, uint32_t insn) { round_int(s, insn, ROUND_AWAY); }
void ppc_exec_friz(PpcState *s, uint32_t insn) { round_int(s, insn, ROUND_ZERO); }
void ppc_exec_frip(PpcState *s, uint32_t insn) { round_int(s, insn, ROUND_UP); }
void ppc_exec_frim(PpcState *s, uint32_t insn) { round_int(s, insn, ROUND_DOWN); }

unsigned fp_compare_bits(const FpFormat *format, U128 a, U128 b, bool ordered, unsigned ve, uint32_t *flags)
{
    FpNum x = fp_unpack(format, a), y = fp_unpack(format, b);
    int order;

    if (fp_is_nan(x) || fp_is_nan(y)) {
        if (x.kind == FP_IS_SNAN || y.kind == FP_IS_SNAN) {
            *flags |= FPSCR_VXSNAN | (ordered && !ve ? FPSCR_VXVC : 0);
        } else if (ordered) {
            *flags |= FPSCR_VXVC;
        }
        return 1;
    }
    order = fp_compare(x, y);
    return order < 0 ? 8 : order > 0 ? 4 : 2;
}

void fp_compare_scalars(PpcState *s, uint32_t insn, const FpFormat *format, U128 a, U128 b, bool ordered)
{
    uint32_t flags = 0;

    fp_put_fpcc(s, insn, fp_compare_bits(format, a, b, ordered, s->fpscr & FPSCR_VE, &flags));
    fp_note(s, flags, FP_KEEP_FR_FI);
    fp_trap(s);
}

static void compare(PpcState *s, uint32_t insn, bool ordered)
{
    fp_compare_scalars(s, insn, &fp_double, s->vsr[field_a(insn)][0], s->vsr[field_b(insn)][0], ordered);
}

void ppc_exec_fcmpu(PpcState *s, uint32_t insn) { compare(s, insn, false); }
void ppc_exec_fcmpo(PpcState *s, uint32_t insn) { compare(s, insn, true); }

unsigned fp_test_div(const FpFormat *f, U128 x, U128 y)
{
    FpNum a = fp_unpack(f, x), b = fp_unpack(f, y);
    bool special = a.kind == FP_IS_INF || b.kind == FP_IS_INF || b.kind == FP_IS_ZERO;
    bool fe = special || fp_is_nan(a) || fp_is_nan(b), fg = special || (b.kind == FP_IS_FINITE && b.exp < 1 - f->max);

    if (!fe) {
        fe = b.exp <= 1 - f->max || b.exp >= f->max - 2;
        if (a.kind == FP_IS_FINITE) {
            fe = fe || a.exp - b.exp >= f->max || a.exp - b.exp <= 2 - f->max || a.exp <= f->precision - f->max;
        }
    }
    return 8 | (fg ? 4 : 0) | (fe ? 2 : 0);
}

unsigned fp_test_sqrt(const FpFormat *f, U128 y)
{
    FpNum b = fp_unpack(f, y);
    bool fg = b.kind == FP_IS_INF || b.kind == FP_IS_ZERO || (b.kind == FP_IS_FINITE && b.exp < 1 - f->max);
    bool fe = b.kind != FP_IS_FINITE || b.negative || b.exp <= f->precision - f->max;

    return 8 | (fg ? 4 : 0) | (fe ? 2 : 0);
}

void ppc_exec_ftdiv(PpcState *s, uint32_t insn)
{
    s->cr[field_bf(insn)] = fp_test_div(&fp_double, s->vsr[field_a(insn)][0], s->vsr[field_b(insn)][0]);
}

void ppc_exec_ftsqrt(PpcState *s, uint32_t insn)
{
    s->cr[field_bf(insn)] = fp_test_sqrt(&fp_double, s->vsr[field_b(insn)][0]);
}

static void move(PpcState *s, uint32_t insn, uint64_t value)
{
    fp_put_scalar(s, field_t(insn), value);
    fp_end(s, insn);
}

void ppc_exec_fmr(PpcState *s, uint32_t insn) { move(s, insn, s->vsr[field_b(insn)][0]); }
void ppc_exec_fneg(PpcState *s, uint32_t insn) { move(s, insn, s->vsr[field_b(insn)][0] ^ SIGN); }
void ppc_exec_fabs(PpcState *s, uint32_t insn) { move(s, insn, s->vsr[field_b(insn)][0] & ~SIGN); }
void ppc_exec_fnabs(PpcState *s, uint32_t insn) { move(s, insn, s->vsr[field_b(insn)][0] | SIGN); }

void ppc_exec_fcpsgn(PpcState *s, uint32_t insn)
{
    move(s, insn, (s->vsr[field_a(insn)][0] & SIGN) | (s->vsr[field_b(insn)][0] & ~SIGN));
}

void ppc_exec_fmrgew(PpcState *s, uint32_t insn)
{
    uint64_t a = s->vsr[field_a(insn)][0], b = s->vsr[field_b(insn)][0];

    fp_put_scalar(s, field_t(insn), (a & UINT64_C(0xffffffff00000000)) | b >> 32);
}

void ppc_exec_fmrgow(PpcState *s, uint32_t insn)
{
    uint64_t a = s->vsr[field_a(insn)][0], b = s->vsr[field_b(insn)][0];

    fp_put_scalar(s, field_t(insn), a << 32 | (uint32_t)b);
}
