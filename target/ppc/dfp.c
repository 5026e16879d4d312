/*
 * Decimal floating point instructions (Power ISA, book I, chapter 5). A number of 34 digits is in an even FPR and the next.
 */
#include "dfp.h"

#include <glib.h>

#include "fp.h"
#include "vec_ops.h"

static U128 get_bits(const PpcState *s, const DfpFormat *f, unsigned reg)
{
    return f == &dfp_extended ? (U128)s->vsr[reg & ~1][0] << 64 | s->vsr[reg | 1][0] : s->vsr[reg][0];
}

static void put_bits(PpcState *s, const DfpFormat *f, unsigned reg, U128 bits)
{
    if (f == &dfp_extended) {
        fp_put_scalar(s, reg & ~1, bits >> 64);
        fp_put_scalar(s, reg | 1, bits);
    } else {
        fp_put_scalar(s, reg, bits);
    }
}

static DfpNum get(const PpcState *s, const DfpFormat *f, unsigned reg)
{
    return dfp_unpack(f, get_bits(s, f, reg));
}

static DfpRound current_rounding(const PpcState *s)
{
    return s->fpscr >> 32 & 7;
}

/* RMC, bits 21 and 22; with R, four other modes. */
static DfpRound chosen_rounding(const PpcState *s, uint32_t insn, bool secondary)
{
    static const DfpRound primary[] = { DFP_NEAREST, DFP_ZERO, DFP_HALF_AWAY };
    static const DfpRound others[] = { DFP_UP, DFP_DOWN, DFP_AWAY, DFP_HALF_ZERO };
    unsigned rmc = insn >> 9 & 3;

    return secondary ? others[rmc] : rmc == 3 ? current_rounding(s) : primary[rmc];
}

/* The NaN that an operation of these gives, quiet: a signalling one goes before others. */
static bool pick_nan(const DfpNum *a, const DfpNum *b, DfpNum *out, uint32_t *flags)
{
    const DfpNum *pick = a->kind == FP_IS_SNAN ? a : b->kind == FP_IS_SNAN ? b : dfp_is_nan(a) ? a : dfp_is_nan(b) ? b : NULL;

    if (!pick) {
        return false;
    }
    *flags |= pick->kind == FP_IS_SNAN ? FPSCR_VXSNAN : 0;
    *out = *pick;
    out->kind = FP_IS_QNAN;
    return true;
}

static DfpNum invalid(uint32_t *flags, uint32_t why)
{
    *flags |= why;
    return (DfpNum){ .kind = FP_IS_QNAN };
}

/* A result that needs no rounding any more. */
static void finish(PpcState *s, uint32_t insn, const DfpFormat *f, const DfpNum *n, uint32_t flags)
{
    if (fp_note(s, flags, FP_SET_FR_FI)) {
        put_bits(s, f, field_t(insn), dfp_pack(f, n));
        s->fpscr = (s->fpscr & ~(uint64_t)FPSCR_FPRF) | dfp_class(f, n);
    }
    fp_end(s, insn);
}

static void round_and_finish(PpcState *s, uint32_t insn, const DfpFormat *f, DfpNum *n, uint32_t flags)
{
    dfp_round(f, n, current_rounding(s), s->fpscr & (FPSCR_OE | FPSCR_UE), &flags);
    finish(s, insn, f, n, flags);
}

/* Arithmetic. */

static DfpNum infinity(bool negative)
{
    return (DfpNum){ .kind = FP_IS_INF, .negative = negative };
}

static DfpNum add(const DfpNum *a, const DfpNum *b, DfpRound round, uint32_t *flags)
{
    if (a->kind == FP_IS_INF && b->kind == FP_IS_INF && a->negative != b->negative) {
        return invalid(flags, FPSCR_VXISI);
    }
    return a->kind == FP_IS_INF ? infinity(a->negative) : b->kind == FP_IS_INF ? infinity(b->negative) : dfp_add(a, b, round);
}

static bool is_zero(const DfpNum *n)
{
    return dfp_is_finite(n) && !dfp_length(n);
}

static DfpNum multiply(const DfpNum *a, const DfpNum *b, uint32_t *flags)
{
    if (a->kind == FP_IS_INF || b->kind == FP_IS_INF) {
        return is_zero(a) || is_zero(b) ? invalid(flags, FPSCR_VXIMZ) : infinity(a->negative != b->negative);
    }
    return dfp_mul(a, b);
}

static DfpNum divide(const DfpFormat *f, const DfpNum *a, const DfpNum *b, uint32_t *flags)
{
    bool negative = a->negative != b->negative;

    if (a->kind == FP_IS_INF) {
        return b->kind == FP_IS_INF ? invalid(flags, FPSCR_VXIDI) : infinity(negative);
    }
    if (b->kind == FP_IS_INF) { /* zero, with the smallest exponent */
        return (DfpNum){ .kind = FP_IS_FINITE, .negative = negative, .exp = -f->bias };
    }
    if (is_zero(b)) {
        if (is_zero(a)) {
            return invalid(flags, FPSCR_VXZDZ);
        }
        *flags |= FPSCR_ZX;
        return infinity(negative);
    }
    return dfp_div(a, b);
}

typedef enum Arith { ADD, SUB, MUL, DIV } Arith;

static void arith(PpcState *s, uint32_t insn, const DfpFormat *f, Arith op)
{
    DfpNum a = get(s, f, field_a(insn)), b = get(s, f, field_b(insn)), n;
    uint32_t flags = 0;

    if (pick_nan(&a, &b, &n, &flags)) {
        finish(s, insn, f, &n, flags);
        return;
    }
    b.negative ^= op == SUB;
    n = op == MUL ? multiply(&a, &b, &flags) : op == DIV ? divide(f, &a, &b, &flags) : add(&a, &b, current_rounding(s), &flags);
    round_and_finish(s, insn, f, &n, flags);
}

#define BOTH(name, function, ...)                                                                              \
    void ppc_exec_##name(PpcState *s, uint32_t insn) { function(s, insn, &dfp_long, ##__VA_ARGS__); }          \
    void ppc_exec_##name##q(PpcState *s, uint32_t insn) { function(s, insn, &dfp_extended, ##__VA_ARGS__); }
BOTH(dadd, arith, ADD)
BOTH(dsub, arith, SUB)
BOTH(dmul, arith, MUL)
BOTH(ddiv, arith, DIV)

/* Comparisons and tests. */

enum { CR_LT = 8, CR_GT = 4, CR_EQ = 2, CR_UN = 1 };

static void compare(PpcState *s, uint32_t insn, const DfpFormat *f, bool ordered)
{
    DfpNum a = get(s, f, field_a(insn)), b = get(s, f, field_b(insn));
    uint32_t flags = 0;
    unsigned cr = CR_UN;

    if (a.kind == FP_IS_SNAN || b.kind == FP_IS_SNAN) {
        flags = FPSCR_VXSNAN | (ordered && !(s->fpscr & FPSCR_VE) ? FPSCR_VXVC : 0);
    } else if (dfp_is_nan(&a) || dfp_is_nan(&b)) {
        flags = ordered ? FPSCR_VXVC : 0;
    } else {
        int order = dfp_compare(&a, &b);

        cr = order < 0 ? CR_LT : order > 0 ? CR_GT : CR_EQ;
    }
    fp_put_fpcc(s, insn, cr);
    fp_note(s, flags, FP_KEEP_FR_FI);
    fp_trap(s);
}
BOTH(dcmpu, compare, false)
BOTH(dcmpo, compare, true)

/* Exponents; special values are equal to their own kind. */
static void test_exponent(PpcState *s, uint32_t insn, const DfpFormat *f)
{
    DfpNum a = get(s, f, field_a(insn)), b = get(s, f, field_b(insn));
    unsigned cr = CR_UN;

    if (dfp_is_finite(&a) && dfp_is_finite(&b)) {
        cr = a.exp < b.exp ? CR_LT : a.exp > b.exp ? CR_GT : CR_EQ;
    } else if ((dfp_is_nan(&a) && dfp_is_nan(&b)) || (a.kind == FP_IS_INF && b.kind == FP_IS_INF)) {
        cr = CR_EQ;
    }
    fp_put_fpcc(s, insn, cr);
}
BOTH(dtstex, test_exponent)

/* How many digits are wanted against how many there are; zero has none. */
static void compare_significance(PpcState *s, uint32_t insn, const DfpFormat *f, int wanted)
{
    DfpNum b = get(s, f, field_b(insn));
    int length = dfp_length(&b);

    fp_put_fpcc(s, insn, !dfp_is_finite(&b) ? CR_UN : !wanted || wanted > length ? CR_GT : wanted < length ? CR_LT : CR_EQ);
}

static void test_significance(PpcState *s, uint32_t insn, const DfpFormat *f)
{
    compare_significance(s, insn, f, s->vsr[field_a(insn)][0] & 63);
}
BOTH(dtstsf, test_significance)

static void test_significance_immediate(PpcState *s, uint32_t insn, const DfpFormat *f)
{
    compare_significance(s, insn, f, insn >> 16 & 63);
}
BOTH(dtstsfi, test_significance_immediate)

/* classes: a mask of six bits, of which the number has one. */
static void put_test(PpcState *s, uint32_t insn, const DfpNum *n, unsigned is)
{
    fp_put_fpcc(s, insn, (n->negative ? 8 : 0) | (insn >> 10 & is ? 2 : 0));
}

static void test_class(PpcState *s, uint32_t insn, const DfpFormat *f)
{
    DfpNum a = get(s, f, field_a(insn));
    unsigned is;

    switch (a.kind) {
    case FP_IS_SNAN: is = 1; break;
    case FP_IS_QNAN: is = 2; break;
    case FP_IS_INF: is = 4; break;
    default: is = is_zero(&a) ? 32 : dfp_is_subnormal(f, &a) ? 16 : 8; break;
    }
    put_test(s, insn, &a, is);
}
BOTH(dtstdc, test_class)

static void test_group(PpcState *s, uint32_t insn, const DfpFormat *f)
{
    DfpNum a = get(s, f, field_a(insn));
    bool extreme = a.exp == -f->bias || a.exp == f->max - f->bias;
    unsigned is;

    if (!dfp_is_finite(&a)) {
        is = 1;
    } else if (is_zero(&a)) {
        is = extreme ? 16 : 32;
    } else if (extreme || dfp_is_subnormal(f, &a)) {
        is = 8;
    } else {
        is = dfp_length(&a) == f->precision ? 2 : 4;
    }
    put_test(s, insn, &a, is);
}
BOTH(dtstdg, test_group)

/* Quantities. */

static void quantize(PpcState *s, uint32_t insn, const DfpFormat *f, DfpNum *b, int exp)
{
    uint32_t flags = 0;

    if (exp > b->exp) {
        dfp_drop(b, exp - b->exp, chosen_rounding(s, insn, false), &flags);
    } else if (dfp_length(b) && dfp_length(b) + b->exp - exp <= f->precision) {
        dfp_shift_left(b, b->exp - exp);
    } else if (!dfp_length(b)) {
        b->exp = exp;
    }
    if (b->exp != exp || dfp_length(b) > f->precision) {
        flags = 0;
        *b = invalid(&flags, FPSCR_VXCVI);
    }
    finish(s, insn, f, b, flags);
}

static void quantize_as(PpcState *s, uint32_t insn, const DfpFormat *f)
{
    DfpNum a = get(s, f, field_a(insn)), b = get(s, f, field_b(insn)), n;
    uint32_t flags = 0;

    if (pick_nan(&a, &b, &n, &flags)) {
        finish(s, insn, f, &n, flags);
    } else if (a.kind == FP_IS_INF || b.kind == FP_IS_INF) {
        n = a.kind == b.kind ? infinity(b.negative) : invalid(&flags, FPSCR_VXCVI);
        finish(s, insn, f, &n, flags);
    } else {
        quantize(s, insn, f, &b, a.exp);
    }
}
BOTH(dqua, quantize_as)

static void quantize_immediate(PpcState *s, uint32_t insn, const DfpFormat *f)
{
    DfpNum b = get(s, f, field_b(insn)), n;
    uint32_t flags = 0;

    if (pick_nan(&b, &b, &n, &flags)) {
        finish(s, insn, f, &n, flags);
    } else if (b.kind == FP_IS_INF) {
        n = invalid(&flags, FPSCR_VXCVI);
        finish(s, insn, f, &n, flags);
    } else {
        quantize(s, insn, f, &b, (int32_t)(insn << 11) >> 27);
    }
}
BOTH(dquai, quantize_immediate)

/* To so many digits as A says. */
static void reround(PpcState *s, uint32_t insn, const DfpFormat *f)
{
    int wanted = s->vsr[field_a(insn)][0] & 63, exp;
    DfpNum b = get(s, f, field_b(insn)), n;
    uint32_t flags = 0;

    if (pick_nan(&b, &b, &n, &flags)) {
        b = n;
    } else if (b.kind == FP_IS_INF) {
        b = infinity(b.negative);
    } else if (wanted && dfp_length(&b) > wanted) {
        dfp_drop(&b, dfp_length(&b) - wanted, chosen_rounding(s, insn, false), &flags);
        if (dfp_length(&b) > wanted) {
            dfp_drop(&b, 1, DFP_ZERO, &(uint32_t){ 0 });
        }
        exp = b.exp;
        if (exp > f->max - f->bias) {
            flags = 0;
            b = invalid(&flags, FPSCR_VXCVI);
        }
    }
    finish(s, insn, f, &b, flags);
}
BOTH(drrnd, reround)

static void round_to_integer(PpcState *s, uint32_t insn, const DfpFormat *f, bool tells)
{
    DfpNum b = get(s, f, field_b(insn)), n;
    uint32_t flags = 0;

    if (pick_nan(&b, &b, &n, &flags)) {
        b = n;
    } else if (b.kind == FP_IS_INF) {
        b = infinity(b.negative);
    } else if (b.exp < 0) {
        dfp_drop(&b, -b.exp, chosen_rounding(s, insn, insn & 0x10000), &flags);
    }
    finish(s, insn, f, &b, tells ? flags : flags & FPSCR_VX_ALL);
}
BOTH(drintx, round_to_integer, true)
BOTH(drintn, round_to_integer, false)

/* Formats. A NaN keeps what digits of its payload there is room for; an infinity has none. */
static void keep_payload(DfpNum *n, const DfpFormat *to)
{
    for (int i = dfp_is_nan(n) ? 3 * to->declets : 0; !dfp_is_finite(n) && i < DFP_DIGITS; i++) {
        n->digit[i] = 0;
    }
}

/* From seven digits in the right word. */
void ppc_exec_dctdp(PpcState *s, uint32_t insn)
{
    DfpNum b = dfp_unpack(&dfp_short, (uint32_t)s->vsr[field_b(insn)][0]);

    keep_payload(&b, &dfp_long);
    finish(s, insn, &dfp_long, &b, 0); /* a signalling NaN stays one */
}

void ppc_exec_dctqpq(PpcState *s, uint32_t insn)
{
    DfpNum b = dfp_unpack(&dfp_long, s->vsr[field_b(insn)][0]), n;
    uint32_t flags = 0;

    if (pick_nan(&b, &b, &n, &flags)) {
        b = n;
    }
    keep_payload(&b, &dfp_extended);
    finish(s, insn, &dfp_extended, &b, flags);
}

void ppc_exec_drsp(PpcState *s, uint32_t insn)
{
    DfpNum b = get(s, &dfp_long, field_b(insn));
    uint32_t flags = 0;

    keep_payload(&b, &dfp_short);
    dfp_round(&dfp_short, &b, current_rounding(s), s->fpscr & (FPSCR_OE | FPSCR_UE), &flags);
    if (fp_note(s, flags, FP_SET_FR_FI)) {
        fp_put_scalar(s, field_t(insn), dfp_pack(&dfp_short, &b));
        s->fpscr = (s->fpscr & ~(uint64_t)FPSCR_FPRF) | dfp_class(&dfp_short, &b);
    }
    fp_end(s, insn);
}

/* The other register of the pair becomes zero. */
void ppc_exec_drdpq(PpcState *s, uint32_t insn)
{
    DfpNum b = get(s, &dfp_extended, field_b(insn)), n;
    uint32_t flags = 0;

    if (pick_nan(&b, &b, &n, &flags)) {
        b = n;
    }
    keep_payload(&b, &dfp_long);
    dfp_round(&dfp_long, &b, current_rounding(s), s->fpscr & (FPSCR_OE | FPSCR_UE), &flags);
    if (fp_note(s, flags, FP_SET_FR_FI)) {
        fp_put_scalar(s, field_t(insn), dfp_pack(&dfp_long, &b));
        fp_put_scalar(s, field_t(insn) | 1, 0);
        s->fpscr = (s->fpscr & ~(uint64_t)FPSCR_FPRF) | dfp_class(&dfp_long, &b);
    }
    fp_end(s, insn);
}

/* Integers. */

static void from_int(PpcState *s, uint32_t insn, const DfpFormat *f, S128 value)
{
    DfpNum n = dfp_from_int(value < 0, value < 0 ? -(U128)value : (U128)value);

    round_and_finish(s, insn, f, &n, 0);
}

void ppc_exec_dcffix(PpcState *s, uint32_t insn) { from_int(s, insn, &dfp_long, (int64_t)s->vsr[field_b(insn)][0]); }
void ppc_exec_dcffixq(PpcState *s, uint32_t insn) { from_int(s, insn, &dfp_extended, (int64_t)s->vsr[field_b(insn)][0]); }
void ppc_exec_dcffixqq(PpcState *s, uint32_t insn) { from_int(s, insn, &dfp_extended, vec_u128(vec_b(s, insn))); }

static S128 to_int(PpcState *s, const DfpFormat *f, unsigned reg, unsigned width, uint32_t *flags)
{
    DfpNum b = get(s, f, reg);
    U128 limit = (U128)1 << (width - 1), magnitude;

    if (dfp_is_nan(&b)) {
        *flags |= FPSCR_VXCVI | (b.kind == FP_IS_SNAN ? FPSCR_VXSNAN : 0);
        return -limit;
    }
    if (dfp_is_finite(&b) && b.exp < 0) {
        dfp_drop(&b, -b.exp, current_rounding(s), flags);
    }
    if (b.kind == FP_IS_INF || !dfp_to_int(&b, &magnitude) || magnitude > limit - !b.negative) {
        *flags = FPSCR_VXCVI;
        magnitude = limit - !b.negative;
    }
    return b.negative ? -magnitude : magnitude;
}

static void to_int64(PpcState *s, uint32_t insn, const DfpFormat *f)
{
    uint32_t flags = 0;
    int64_t r = to_int(s, f, field_b(insn), 64, &flags);

    if (fp_note(s, flags, FP_SET_FR_FI)) {
        fp_put_scalar(s, field_t(insn), r);
    }
    fp_end(s, insn);
}
BOTH(dctfix, to_int64)

void ppc_exec_dctfixqq(PpcState *s, uint32_t insn)
{
    uint32_t flags = 0;
    S128 r = to_int(s, &dfp_extended, field_b(insn), 128, &flags);

    if (fp_note(s, flags, FP_SET_FR_FI)) {
        vec_set_u128(vec_t(s, insn), r);
    }
    fp_trap(s);
}

/* Packed decimal; these two and those below leave FPSCR alone, but for denbcd's result. */

static unsigned packed_digits(const DfpFormat *f)
{
    return f == &dfp_extended ? 32 : 16;
}

static void decode_digits(PpcState *s, uint32_t insn, const DfpFormat *f)
{
    DfpNum b = get(s, f, field_b(insn));
    bool with_sign = insn & 0x100000;
    U128 bits = 0;

    for (int i = packed_digits(f) - with_sign; i--;) {
        bits = bits << 4 | b.digit[i];
    }
    if (with_sign) {
        bits = bits << 4 | (b.negative ? 0xd : insn & 0x80000 ? 0xf : 0xc);
    }
    put_bits(s, f, field_t(insn), bits);
    fp_end(s, insn);
}
BOTH(ddedpd, decode_digits)

static void encode_digits(PpcState *s, uint32_t insn, const DfpFormat *f)
{
    U128 bits = get_bits(s, f, field_b(insn));
    bool with_sign = insn & 0x100000, valid = true;
    unsigned sign = bits & 15;
    DfpNum n = { .kind = FP_IS_FINITE };
    uint32_t flags = 0;

    if (with_sign) {
        valid = sign >= 10;
        n.negative = sign == 0xb || sign == 0xd;
        bits >>= 4;
    }
    for (unsigned i = 0; i < packed_digits(f) - with_sign; i++) {
        n.digit[i] = bits >> 4 * i & 15;
        valid &= n.digit[i] <= 9;
    }
    if (!valid) {
        n = invalid(&flags, FPSCR_VXCVI);
    }
    finish(s, insn, f, &n, flags);
}
BOTH(denbcd, encode_digits)

/* Parts of numbers. Special values have exponents of their own. */
enum { EXP_INF = -1, EXP_QNAN = -2, EXP_SNAN = -3 };

static void extract_exponent(PpcState *s, uint32_t insn, const DfpFormat *f)
{
    DfpNum b = get(s, f, field_b(insn));
    int64_t r;

    switch (b.kind) {
    case FP_IS_INF: r = EXP_INF; break;
    case FP_IS_QNAN: r = EXP_QNAN; break;
    case FP_IS_SNAN: r = EXP_SNAN; break;
    default: r = b.exp + f->bias; break;
    }
    fp_put_scalar(s, field_t(insn), r);
    fp_end(s, insn);
}
BOTH(dxex, extract_exponent)

static void insert_exponent(PpcState *s, uint32_t insn, const DfpFormat *f)
{
    int64_t exp = s->vsr[field_a(insn)][0];
    DfpNum b = get(s, f, field_b(insn));

    if (exp >= 0 && exp <= f->max) {
        b.kind = FP_IS_FINITE;
        b.exp = exp - f->bias;
    } else {
        b.kind = exp == EXP_INF ? FP_IS_INF : exp == EXP_SNAN ? FP_IS_SNAN : FP_IS_QNAN;
        b.digit[f->precision - 1] = 0;
    }
    put_bits(s, f, field_t(insn), dfp_pack(f, &b));
    fp_end(s, insn);
}
BOTH(diex, insert_exponent)

/* Digits of the significand; a special value's do not reach the place of the first one. */
static void shift_digits(PpcState *s, uint32_t insn, const DfpFormat *f, bool left)
{
    DfpNum a = get(s, f, field_a(insn)), n = a;
    int by = insn >> 10 & 63, width = dfp_is_finite(&a) ? f->precision : f->precision - 1;

    for (int i = 0; i < f->precision; i++) {
        int from = left ? i - by : i + by;

        n.digit[i] = i < width && from >= 0 && from < width ? a.digit[from] : 0;
    }
    put_bits(s, f, field_t(insn), dfp_pack(f, &n));
    fp_end(s, insn);
}
BOTH(dscli, shift_digits, true)
BOTH(dscri, shift_digits, false)
