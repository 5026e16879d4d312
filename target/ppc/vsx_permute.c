/*
 * VSX logic, selection and element moves, and the parts of floating-point numbers (Power ISA, book I, 7.6.1.9 on).
 */
#include "vec_ops.h"

#define LOGIC(name, expression)                                                              \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                                         \
    {                                                                                        \
        for (unsigned i = 0; i < 2; i++) {                                                   \
            uint64_t a = s->vsr[field_xa(insn)][i], b = s->vsr[field_xb(insn)][i];           \
                                                                                             \
            s->vsr[field_xt(insn)][i] = expression;                                          \
        }                                                                                    \
    }
LOGIC(xxland, a & b)
LOGIC(xxlandc, a & ~b)
LOGIC(xxlor, a | b)
LOGIC(xxlxor, a ^ b)
LOGIC(xxlnor, ~(a | b))
LOGIC(xxlorc, a | ~b)
LOGIC(xxlnand, ~(a & b))
LOGIC(xxleqv, ~(a ^ b))

static PpcVec *xt(PpcState *s, uint32_t insn) { return vec_reg(s, field_xt(insn)); }
static const PpcVec *xa(PpcState *s, uint32_t insn) { return vec_reg(s, field_xa(insn)); }
static const PpcVec *xb(PpcState *s, uint32_t insn) { return vec_reg(s, field_xb(insn)); }

void ppc_exec_xxsel(PpcState *s, uint32_t insn)
{
    const PpcVec *c = vec_reg(s, field_xc(insn));

    for (unsigned i = 0; i < 2; i++) {
        xt(s, insn)->d[i] = (xa(s, insn)->d[i] & ~c->d[i]) | (xb(s, insn)->d[i] & c->d[i]);
    }
}

void ppc_exec_xxpermdi(PpcState *s, uint32_t insn)
{
    *xt(s, insn) = (PpcVec){ .d = { xa(s, insn)->d[insn >> 9 & 1], xb(s, insn)->d[insn >> 8 & 1] } };
}

void ppc_exec_xxsldwi(PpcState *s, uint32_t insn)
{
    unsigned by = insn >> 8 & 3;
    PpcVec r;

    for (unsigned i = 0; i < 4; i++) {
        r.w[WORD_AT(i)] = i + by < 4 ? xa(s, insn)->w[WORD_AT(i + by)] : xb(s, insn)->w[WORD_AT(i + by - 4)];
    }
    *xt(s, insn) = r;
}

static void merge_words(PpcState *s, uint32_t insn, unsigned first)
{
    PpcVec r;

    for (unsigned i = 0; i < 2; i++) {
        r.w[WORD_AT(2 * i)] = xa(s, insn)->w[WORD_AT(first + i)];
        r.w[WORD_AT(2 * i + 1)] = xb(s, insn)->w[WORD_AT(first + i)];
    }
    *xt(s, insn) = r;
}

void ppc_exec_xxmrghw(PpcState *s, uint32_t insn) { merge_words(s, insn, 0); }
void ppc_exec_xxmrglw(PpcState *s, uint32_t insn) { merge_words(s, insn, 2); }

void ppc_exec_xxspltw(PpcState *s, uint32_t insn)
{
    uint32_t w = xb(s, insn)->w[WORD_AT(insn >> 16 & 3)];

    *xt(s, insn) = (PpcVec){ .w = { w, w, w, w } };
}

void ppc_exec_xxspltib(PpcState *s, uint32_t insn)
{
    for (unsigned i = 0; i < 16; i++) {
        xt(s, insn)->b[i] = insn >> 11;
    }
}

/* The bytes of XA and the old XT that XB names. */
static void permute(PpcState *s, uint32_t insn, unsigned flip)
{
    *xt(s, insn) = vec_permute(xa(s, insn), xt(s, insn), xb(s, insn), flip);
}

void ppc_exec_xxperm(PpcState *s, uint32_t insn) { permute(s, insn, 0); }
void ppc_exec_xxpermr(PpcState *s, uint32_t insn) { permute(s, insn, 31); }

void ppc_exec_xxextractuw(PpcState *s, uint32_t insn)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 4; i++) {
        unsigned at = (insn >> 16 & 15) + i;

        r = r << 8 | xb(s, insn)->b[BYTE_AT(at & 15)];
    }
    *xt(s, insn) = (PpcVec){ .d = { r, 0 } };
}

void ppc_exec_xxinsertw(PpcState *s, uint32_t insn)
{
    PpcVec from = *xb(s, insn);

    for (unsigned i = 0; i < 4; i++) {
        xt(s, insn)->b[BYTE_AT(((insn >> 16 & 15) + i) & 15)] = from.b[BYTE_AT(4 + i)];
    }
}

/* A function of one element. */
#define ELEMENTS(name, member, count, fn)                               \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                    \
    {                                                                   \
        for (unsigned i = 0; i < count; i++) {                          \
            xt(s, insn)->member[i] = fn(xb(s, insn)->member[i]);        \
        }                                                               \
    }
ELEMENTS(xxbrh, h, 8, __builtin_bswap16)
ELEMENTS(xxbrw, w, 4, __builtin_bswap32)
ELEMENTS(xxbrd, d, 2, __builtin_bswap64)

void ppc_exec_xxbrq(PpcState *s, uint32_t insn)
{
    PpcVec b = *xb(s, insn);

    *xt(s, insn) = (PpcVec){ .d = { __builtin_bswap64(b.d[1]), __builtin_bswap64(b.d[0]) } };
}

/* Exponents and significands. */
static uint64_t exponent64(uint64_t x) { return x >> 52 & 0x7ff; }
static uint32_t exponent32(uint32_t x) { return x >> 23 & 0xff; }

static uint64_t significand64(uint64_t x)
{
    unsigned e = exponent64(x);

    return (x & UINT64_C(0xfffffffffffff)) | (uint64_t)(e != 0 && e != 0x7ff) << 52;
}

static uint32_t significand32(uint32_t x)
{
    unsigned e = exponent32(x);

    return (x & 0x7fffff) | (uint32_t)(e != 0 && e != 0xff) << 23;
}

static uint64_t insert64(uint64_t significand, uint64_t exponent)
{
    return (significand & UINT64_C(0x800fffffffffffff)) | (exponent & 0x7ff) << 52;
}

void ppc_exec_xsxexpdp(PpcState *s, uint32_t insn) { s->gpr[field_t(insn)] = exponent64(xb(s, insn)->d[0]); }
void ppc_exec_xsxsigdp(PpcState *s, uint32_t insn) { s->gpr[field_t(insn)] = significand64(xb(s, insn)->d[0]); }

void ppc_exec_xsiexpdp(PpcState *s, uint32_t insn)
{
    *xt(s, insn) = (PpcVec){ .d = { insert64(s->gpr[field_a(insn)], s->gpr[field_b(insn)]), 0 } };
}

void ppc_exec_xviexpdp(PpcState *s, uint32_t insn)
{
    for (unsigned i = 0; i < 2; i++) {
        xt(s, insn)->d[i] = insert64(xa(s, insn)->d[i], xb(s, insn)->d[i]);
    }
}

void ppc_exec_xviexpsp(PpcState *s, uint32_t insn)
{
    for (unsigned i = 0; i < 4; i++) {
        xt(s, insn)->w[i] = (xa(s, insn)->w[i] & 0x807fffff) | (xb(s, insn)->w[i] & 0xff) << 23;
    }
}

ELEMENTS(xvxexpdp, d, 2, exponent64)
ELEMENTS(xvxsigdp, d, 2, significand64)
ELEMENTS(xvxexpsp, w, 4, exponent32)
ELEMENTS(xvxsigsp, w, 4, significand32)

/* Whether a number is of the classes in DCMX: NaN, +inf, -inf, +0, -0, +denormal, -denormal. */
static bool is_of_class(const FpFormat *format, U128 bits, unsigned classes)
{
    FpNum n = fp_unpack(format, bits);

    switch (n.kind) {
    case FP_IS_ZERO: return classes & (n.negative ? 4 : 8);
    case FP_IS_INF: return classes & (n.negative ? 16 : 32);
    case FP_IS_FINITE: return n.exp < 1 - format->max && classes & (n.negative ? 1 : 2);
    default: return classes & 64;
    }
}

/* The sign and the answer, also in FPCC. */
void vsx_test_class(PpcState *s, uint32_t insn, const FpFormat *format, U128 bits, bool not_single)
{
    bool negative = bits >> (format->width - 1) & 1;
    unsigned cr = (negative ? 8 : 0) | (is_of_class(format, bits, insn >> 16 & 127) ? 2 : 0) | (not_single ? 1 : 0);

    fp_put_fpcc(s, insn, cr);
}

void ppc_exec_xststdcdp(PpcState *s, uint32_t insn)
{
    vsx_test_class(s, insn, &fp_double, xb(s, insn)->d[0], false);
}

/* A single in double format: denormalized if it is as a single; SO tells that it is no single at all. */
void ppc_exec_xststdcsp(PpcState *s, uint32_t insn)
{
    uint64_t bits = xb(s, insn)->d[0];
    unsigned e = exponent64(bits), classes = insn >> 16 & 127;
    bool negative = bits >> 63, is_small = e > 0 && e < 897;
    bool yes = is_of_class(&fp_double, bits, classes) || (is_small && classes & (negative ? 1 : 2));
    bool not_single = fp_single_to_double(fp_double_to_single(bits)) != bits;
    unsigned cr = (negative ? 8 : 0) | (yes ? 2 : 0) | (not_single ? 1 : 0);

    fp_put_fpcc(s, insn, cr);
}

/* DCMX of the vector forms is in three pieces. */
static unsigned vector_classes(uint32_t insn)
{
    return (insn >> 16 & 31) | (insn >> 2 & 1) << 5 | (insn >> 6 & 1) << 6;
}

void ppc_exec_xvtstdcdp(PpcState *s, uint32_t insn)
{
    for (unsigned i = 0; i < 2; i++) {
        xt(s, insn)->d[i] = is_of_class(&fp_double, xb(s, insn)->d[i], vector_classes(insn)) ? UINT64_MAX : 0;
    }
}

void ppc_exec_xvtstdcsp(PpcState *s, uint32_t insn)
{
    for (unsigned i = 0; i < 4; i++) {
        xt(s, insn)->w[i] = is_of_class(&fp_single, xb(s, insn)->w[i], vector_classes(insn)) ? UINT32_MAX : 0;
    }
}

void ppc_exec_xscmpexpdp(PpcState *s, uint32_t insn)
{
    uint64_t a = xa(s, insn)->d[0], b = xb(s, insn)->d[0];
    bool nan = fp_is_nan(fp_unpack(&fp_double, a)) || fp_is_nan(fp_unpack(&fp_double, b));
    unsigned x = exponent64(a), y = exponent64(b), cr = nan ? 1 : x < y ? 8 : x > y ? 4 : 2;

    fp_put_fpcc(s, insn, cr);
}
