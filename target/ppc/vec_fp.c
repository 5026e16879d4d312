/*
 * AltiVec floating point (Power ISA, book I, 6.10): round to nearest, no flags; VSCR[NJ] flushes denormals.
 */
#include "vec.h"
#include "vec_ops.h"

#include <math.h>
#include <string.h>

static float as_float(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

static uint32_t as_bits(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

static bool is_nan(uint32_t x)
{
    return (x & 0x7fffffff) > 0x7f800000;
}

/* Inputs and results: a denormal is a zero in non-Java mode. */
static uint32_t flush(const PpcState *s, uint32_t x)
{
    return s->vscr & VSCR_NJ && !(x & 0x7f800000) ? x & 0x80000000 : x;
}

/* The first NaN of the operands, quiet; 0 for none. */
static uint32_t pick_nan(uint32_t a, uint32_t b, uint32_t c)
{
    return is_nan(a) ? a | 0x400000 : is_nan(b) ? b | 0x400000 : is_nan(c) ? c | 0x400000 : 0;
}

/*
 * What the host's arithmetic made, in the default modes that C code runs in. Only its own NaN has the
 * wrong sign; a result that was tiny before rounding is the smallest normal number at most.
 */
static uint32_t result(const PpcState *s, float r)
{
    return isnan(r) ? 0x7fc00000 : flush(s, as_bits(r));
}

#define ARITH(name, third, expression)                                                        \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                                          \
    {                                                                                         \
        const PpcVec *va = vec_a(s, insn), *vb = vec_b(s, insn), *vc = vec_c(s, insn);        \
        PpcVec r;                                                                             \
                                                                                              \
        for (unsigned i = 0; i < 4; i++) {                                                    \
            uint32_t x = flush(s, va->w[i]), y = flush(s, vb->w[i]);                          \
            uint32_t z = third ? flush(s, vc->w[i]) : 0, nan = pick_nan(x, y, z);             \
            float a = as_float(x), b = as_float(y), c = as_float(z);                          \
                                                                                              \
            (void)c;                                                                          \
            r.w[i] = nan ? nan : result(s, expression);                                       \
        }                                                                                     \
        *vec_t(s, insn) = r;                                                                  \
    }
ARITH(vaddfp, false, a + b)
ARITH(vsubfp, false, a - b)
ARITH(vmaddfp, true, fmaf(a, c, b))
ARITH(vnmsubfp, true, -fmaf(a, c, -b))
/* +0 is larger than -0. */
ARITH(vmaxfp, false, a > b ? a : b > a ? b : as_float(x & y))
ARITH(vminfp, false, a < b ? a : b < a ? b : as_float(x | y))

#define UNARY(name, expression)                                               \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                          \
    {                                                                         \
        for (unsigned i = 0; i < 4; i++) {                                    \
            uint32_t y = flush(s, vec_b(s, insn)->w[i]), nan = pick_nan(y, 0, 0); \
            float b = as_float(y);                                            \
                                                                              \
            vec_t(s, insn)->w[i] = nan ? nan : result(s, expression);         \
        }                                                                     \
    }
/* Estimates are as good as a float can be: the architecture bounds the error only. */
UNARY(vrefp, 1 / b)
UNARY(vrsqrtefp, 1 / sqrtf(b))
UNARY(vexptefp, exp2f(b))
UNARY(vlogefp, log2f(b))
UNARY(vrfin, rintf(b))
UNARY(vrfiz, truncf(b))
UNARY(vrfip, ceilf(b))
UNARY(vrfim, floorf(b))

#define FROM_INT(name, word)                                                                  \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                                          \
    {                                                                                         \
        float scale = ldexpf(1, -(int)field_a(insn));                                         \
                                                                                              \
        for (unsigned i = 0; i < 4; i++) {                                                    \
            vec_t(s, insn)->w[i] = as_bits((float)vec_b(s, insn)->word[i] * scale);           \
        }                                                                                     \
    }
FROM_INT(vcfux, w)
FROM_INT(vcfsx, sw)

/* Toward zero, saturated. */
static int64_t to_int(PpcState *s, uint32_t x, unsigned scale, double low, double high)
{
    double v;

    if (is_nan(x)) {
        return 0;
    }
    v = trunc(ldexp(as_float(flush(s, x)), scale));
    if (v < low || v > high) {
        s->vscr |= VSCR_SAT;
        return v < low ? low : high;
    }
    return v;
}

void ppc_exec_vctuxs(PpcState *s, uint32_t insn)
{
    for (unsigned i = 0; i < 4; i++) {
        vec_t(s, insn)->w[i] = to_int(s, vec_b(s, insn)->w[i], field_a(insn), 0, UINT32_MAX);
    }
}

void ppc_exec_vctsxs(PpcState *s, uint32_t insn)
{
    for (unsigned i = 0; i < 4; i++) {
        vec_t(s, insn)->w[i] = to_int(s, vec_b(s, insn)->w[i], field_a(insn), INT32_MIN, INT32_MAX);
    }
}

#define COMPARE(name, condition)                                                                        \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                                                    \
    {                                                                                                   \
        PpcVec r;                                                                                       \
                                                                                                        \
        for (unsigned i = 0; i < 4; i++) {                                                              \
            float a = as_float(flush(s, vec_a(s, insn)->w[i])), b = as_float(flush(s, vec_b(s, insn)->w[i])); \
                                                                                                        \
            r.w[i] = condition ? UINT32_MAX : 0;                                                        \
        }                                                                                               \
        vec_record(s, insn, &r);                                                                        \
        *vec_t(s, insn) = r;                                                                            \
    }
COMPARE(vcmpeqfp, a == b)
COMPARE(vcmpgefp, a >= b)
COMPARE(vcmpgtfp, a > b)

/* Bounds: two bits tell that a is not at most b, and not at least -b. */
void ppc_exec_vcmpbfp(PpcState *s, uint32_t insn)
{
    uint32_t all = 0;

    for (unsigned i = 0; i < 4; i++) {
        float a = as_float(flush(s, vec_a(s, insn)->w[i])), b = as_float(flush(s, vec_b(s, insn)->w[i]));
        uint32_t r = (a <= b ? 0 : 0x80000000) | (a >= -b ? 0 : 0x40000000);

        vec_t(s, insn)->w[i] = r;
        all |= r;
    }
    if (insn & 0x400) {
        s->cr[6] = all ? 0 : 2;
    }
}
