/*
 * Embedded floating point of the e500v2: single in the right words, double in whole registers, single in both words.
 *
 * Signal Processing Engine (SPE) Programming Environments Manual, chapters 3.4 and 5. It is not quite IEEE 754: denormalized
 * numbers count as zeros, infinities and NaNs as something beyond the largest number, and results beyond it become that
 * number; software that wants more enables FINV and the others and gets interrupts.
 */
#include "target/ppc/spe.h"

typedef struct Efp {
    const FpFormat *format;
    FpRound round;
    uint32_t flags; /* SPEFSCR, of the right element */
    unsigned cr;    /* of comparisons: 1 if it holds */
} Efp;

typedef struct Operand {
    uint64_t bits;
    FpNum n;
    bool is_zero;    /* or denormalized */
    bool is_special; /* infinity or NaN */
} Operand;

static uint64_t sign_bit(const FpFormat *f)
{
    return UINT64_C(1) << (f->width - 1);
}

static uint64_t largest(const FpFormat *f, bool negative)
{
    uint64_t exponent_one = UINT64_C(1) << (f->precision - 1);
    uint64_t infinity = (sign_bit(f) - 1) & ~(exponent_one - 1);

    return (infinity - 1) | (negative ? sign_bit(f) : 0);
}

static Operand operand(Efp *e, uint64_t bits)
{
    Operand o = { bits, fp_unpack(e->format, bits), false, false };
    uint64_t exponent = (bits & ~sign_bit(e->format)) >> (e->format->precision - 1);
    bool denormalized = !exponent && (bits & ~sign_bit(e->format));

    o.is_special = o.n.kind == FP_IS_INF || fp_is_nan(o.n);
    o.is_zero = !exponent;
    if (denormalized) {
        o.n.kind = FP_IS_ZERO;
    }
    if (denormalized || o.is_special) {
        e->flags |= SPEFSCR_FINV;
    }
    o.n.negative = bits & sign_bit(e->format);
    return o;
}

/* Rounds; too large becomes the largest, too small zero. */
static uint64_t pack(Efp *e, FpNum n)
{
    uint32_t flags = 0;
    uint64_t bits = fp_pack(e->format, n, e->round, 0, &flags);
    uint64_t exponent = (bits & ~sign_bit(e->format)) >> (e->format->precision - 1);

    if (n.kind != FP_IS_FINITE) {
        return bits;
    }
    if (flags & FPSCR_OX) {
        e->flags |= SPEFSCR_FOVF | SPEFSCR_FX | SPEFSCR_FG;
        return largest(e->format, n.negative);
    }
    if (!exponent) {
        e->flags |= SPEFSCR_FUNF | SPEFSCR_FX | SPEFSCR_FG;
        return n.negative ? sign_bit(e->format) : 0;
    }
    if (flags & FPSCR_FI) {
        e->flags |= SPEFSCR_FX | (flags & FPSCR_FR ? SPEFSCR_FG : 0);
    }
    return bits;
}

static uint64_t add(Efp *e, Operand a, Operand b)
{
    uint32_t flags = 0;

    if (a.is_special || b.is_special) {
        return largest(e->format, a.is_special ? a.n.negative : b.n.negative);
    }
    return pack(e, fp_add(a.n, b.n, e->round, &flags));
}

static uint64_t multiply(Efp *e, Operand a, Operand b)
{
    bool negative = a.n.negative != b.n.negative;
    uint32_t flags = 0;

    if (a.is_zero || b.is_zero) {
        return negative ? sign_bit(e->format) : 0;
    }
    return a.is_special || b.is_special ? largest(e->format, negative) : pack(e, fp_mul(a.n, b.n, &flags));
}

static uint64_t divide(Efp *e, Operand a, Operand b)
{
    bool negative = a.n.negative != b.n.negative;
    uint32_t flags = 0;

    if (a.is_zero && b.is_zero) {
        e->flags |= SPEFSCR_FINV;
    } else if (b.is_zero && !a.is_special && !(e->flags & SPEFSCR_FINV)) {
        e->flags |= SPEFSCR_FDBZ;
    }
    if (b.is_special) {
        return negative ? sign_bit(e->format) : 0;
    }
    if (b.is_zero || a.is_special) {
        return largest(e->format, negative);
    }
    return a.is_zero ? (negative ? sign_bit(e->format) : 0) : pack(e, fp_div(a.n, b.n, &flags));
}

/* Numbers, infinities and NaNs as their bits have them: sign and magnitude. */
static int64_t ordered(const Efp *e, uint64_t bits)
{
    int64_t magnitude = bits & ~sign_bit(e->format);

    return bits & sign_bit(e->format) ? -magnitude : magnitude;
}

static void compare(Efp *e, unsigned how, uint64_t a, uint64_t b)
{
    int64_t x = ordered(e, a), y = ordered(e, b);

    if (how <= EFP_CMPEQ) {
        operand(e, a);
        operand(e, b);
    }
    switch (how) {
    case EFP_CMPGT:
    case EFP_TSTGT:
        e->cr = x > y;
        break;
    case EFP_CMPLT:
    case EFP_TSTLT:
        e->cr = x < y;
        break;
    default:
        e->cr = x == y;
        break;
    }
}

/* A 32-bit integer, or a fraction whose point is before it (unsigned) or behind its sign. */
static uint64_t from_word(Efp *e, unsigned how, uint32_t v)
{
    bool is_signed = how == EFP_CFSI || how == EFP_CFSF, negative = is_signed && v >> 31;
    FpNum n = fp_from_int(negative, negative ? -v : v);

    if (n.kind == FP_IS_FINITE) {
        n.exp -= how == EFP_CFUF ? 32 : how == EFP_CFSF ? 31 : 0;
    }
    return pack(e, n);
}

static uint32_t to_word(Efp *e, unsigned how, uint64_t bits)
{
    bool is_signed = how == EFP_CTSI || how == EFP_CTSF || how == EFP_CTSIZ;
    FpRound round = how == EFP_CTUIZ || how == EFP_CTSIZ ? ROUND_ZERO : e->round;
    uint32_t flags = 0;
    Operand o = operand(e, bits);
    S128 v;

    if (fp_is_nan(o.n)) {
        return 0;
    }
    if (o.n.kind == FP_IS_FINITE) {
        o.n.exp += how == EFP_CTUF ? 32 : how == EFP_CTSF ? 31 : 0;
    }
    v = fp_to_int(o.n, round, is_signed ? UINT32_C(0x80000000) : 0, is_signed ? INT32_MAX : UINT32_MAX, &flags);
    if (flags & FPSCR_VXCVI) {
        e->flags |= SPEFSCR_FINV;
    } else if (flags & FPSCR_FI) {
        e->flags |= SPEFSCR_FX | (flags & FPSCR_FR ? SPEFSCR_FG : 0);
    }
    return v;
}

/* Between single and double: `from` is the format of the bits. */
static uint64_t convert(Efp *e, const FpFormat *from, uint64_t bits)
{
    const FpFormat *to = e->format;
    Operand o;

    e->format = from;
    o = operand(e, bits);
    e->format = to;
    return o.is_special ? largest(to, o.n.negative) : o.is_zero ? (o.n.negative ? sign_bit(to) : 0) : pack(e, o.n);
}

static uint64_t compute(Efp *e, unsigned how, uint64_t a, uint64_t b)
{
    uint64_t sign = sign_bit(e->format);

    switch (how) {
    case EFP_ADD:
        return add(e, operand(e, a), operand(e, b));
    case EFP_SUB:
        return add(e, operand(e, a), operand(e, b ^ sign));
    case EFP_MUL:
        return multiply(e, operand(e, a), operand(e, b));
    case EFP_DIV:
        return divide(e, operand(e, a), operand(e, b));
    case EFP_ABS:
        operand(e, a);
        return a & ~sign;
    case EFP_NABS:
        operand(e, a);
        return a | sign;
    case EFP_NEG:
        operand(e, a);
        return a ^ sign;
    case EFP_CFUI:
    case EFP_CFSI:
    case EFP_CFUF:
    case EFP_CFSF:
        return from_word(e, how, b);
    case EFP_CTUI:
    case EFP_CTSI:
    case EFP_CTUF:
    case EFP_CTSF:
    case EFP_CTUIZ:
    case EFP_CTSIZ:
        return to_word(e, how, b);
    default:
        compare(e, how, a, b);
        return 0;
    }
}

static bool is_comparison(unsigned how)
{
    return how >= EFP_CMPGT && how <= EFP_TSTEQ;
}

static bool is_test(unsigned how)
{
    return how >= EFP_TSTGT && how <= EFP_TSTEQ;
}

/* Flags and sticky bits; then the interrupt that an enabled one asks for, before anything is written. */
static void note(PpcState *s, uint32_t high, uint32_t low)
{
    uint64_t old = s->spr[SPR_SPEFSCR];
    uint32_t both = high | low, sticky = 0;

    sticky |= both & SPEFSCR_FOVF ? SPEFSCR_FOVFS : 0;
    sticky |= both & SPEFSCR_FUNF ? SPEFSCR_FUNFS : 0;
    sticky |= both & SPEFSCR_FDBZ ? SPEFSCR_FDBZS : 0;
    sticky |= both & SPEFSCR_FINV ? SPEFSCR_FINVS : 0;
    sticky |= both & SPEFSCR_FX ? SPEFSCR_FINXS : 0;
    s->spr[SPR_SPEFSCR] = (old & ~((uint64_t)SPEFSCR_FLAGS << 16 | SPEFSCR_FLAGS)) | (uint64_t)high << 16 | low | sticky;
    if (((both & SPEFSCR_FINV) && (old & SPEFSCR_FINVE)) || ((both & SPEFSCR_FDBZ) && (old & SPEFSCR_FDBZE)) ||
        ((both & SPEFSCR_FUNF) && (old & SPEFSCR_FUNFE)) || ((both & SPEFSCR_FOVF) && (old & SPEFSCR_FOVFE))) {
        ppc_raise(s, PPC_SPE_FP, 0, s->spe_return);
    }
}

/* Inexact results are cut off and written, and the interrupt comes behind the instruction. */
static bool rounds_in_software(const PpcState *s)
{
    return s->spr[SPR_SPEFSCR] & SPEFSCR_FINXE;
}

static void end(PpcState *s, uint32_t flags)
{
    if ((flags & SPEFSCR_FX) && rounds_in_software(s)) {
        tcg_restore(s, s->spe_return);
        s->pc = (uint32_t)(s->pc + 4);
        ppc_raise(s, PPC_SPE_ROUND, 0, 0);
    }
}

static Efp begin(const PpcState *s, const FpFormat *format)
{
    return (Efp){ .format = format, .round = rounds_in_software(s) ? ROUND_ZERO : (FpRound)(s->spr[SPR_SPEFSCR] & SPEFSCR_FRMC) };
}

void spe_fp_single(PpcState *s, uint32_t insn, unsigned how)
{
    Efp e = begin(s, &fp_single);
    uint64_t result;

    if (how == EFP_CONVERT) {
        result = convert(&e, &fp_double, spe_get(s, field_b(insn)));
    } else {
        result = compute(&e, how, spe_low(s, field_a(insn)), spe_low(s, field_b(insn)));
    }
    if (!is_test(how)) {
        note(s, 0, e.flags);
    }
    if (is_comparison(how)) {
        s->cr[field_bf(insn)] = e.cr << 2;
        return;
    }
    s->gpr[field_t(insn)] = (uint32_t)result;
    end(s, e.flags);
}

static bool makes_word(unsigned how)
{
    return how >= EFP_CTUI && how <= EFP_CTSIZ;
}

void spe_fp_double(PpcState *s, uint32_t insn, unsigned how)
{
    Efp e = begin(s, &fp_double);
    unsigned d = field_t(insn);
    uint64_t result;

    if (how == EFP_CONVERT) {
        result = convert(&e, &fp_single, spe_low(s, field_b(insn)));
    } else {
        result = compute(&e, how, spe_get(s, field_a(insn)), spe_get(s, field_b(insn)));
    }
    if (!is_test(how)) {
        note(s, 0, e.flags);
    }
    if (is_comparison(how)) {
        s->cr[field_bf(insn)] = e.cr << 2;
    } else if (makes_word(how)) {
        s->gpr[d] = (uint32_t)result;
        end(s, e.flags);
    } else {
        spe_put(s, d, result);
        end(s, e.flags);
    }
}

void spe_fp_vector(PpcState *s, uint32_t insn, unsigned how)
{
    Efp high = begin(s, &fp_single), low = high;
    unsigned a = field_a(insn), b = field_b(insn);
    uint32_t high_result = compute(&high, how, spe_high(s, a), spe_high(s, b));
    uint32_t low_result = compute(&low, how, spe_low(s, a), spe_low(s, b));

    if (!is_test(how)) {
        note(s, high.flags, low.flags);
    }
    if (is_comparison(how)) {
        s->cr[field_bf(insn)] = high.cr << 3 | low.cr << 2 | (high.cr | low.cr) << 1 | (high.cr & low.cr);
        return;
    }
    spe_put_words(s, field_t(insn), high_result, low_result);
    end(s, high.flags | low.flags);
}
