/*
 * FPRF, FR and FI of an operation that the host did, from its operands: what softfp.c would find, for sums and products of
 * normal numbers whose result is normal by far. The exact result is a sum of two terms, here in a window of 128 bits; what
 * does not fit into that is one sticky bit.
 *
 * A host with fused operations finds the error of the rounded result by itself, where no step can overflow or be tiny: it is a
 * double for sums and products, and the sum of two for fused operations (Boldo and Muller, "Exact and approximated error of
 * the FMA", 2011). Only its sign counts here.
 */
#include "target/ppc/fp.h"

#include <math.h>
#include <string.h>

typedef struct Term {
    bool negative;
    U128 m;      /* its highest bit is TOP; 0: the term is zero */
    int exponent; /* of TOP */
} Term;

enum { TOP = 126, FRACTION = 52, BIAS = 1023, FAR = 900, FAR_SINGLE = 100 };

static int highest_bit(U128 m)
{
    uint64_t high = m >> 64;

    return high ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll((uint64_t)m);
}

/* m times a power of two. */
static Term term(bool negative, U128 m, int exponent)
{
    Term t = { .negative = negative };

    if (m) {
        int shift = TOP - highest_bit(m);

        t.m = m << shift;
        t.exponent = exponent + TOP - shift;
    }
    return t;
}

/* The significand as an integer; false: it is no normal number, nor zero. */
static bool unpack(uint64_t bits, uint64_t *m, int *exponent)
{
    unsigned field = bits >> FRACTION & 0x7ff;

    *m = 0;
    *exponent = 0;
    if (bits << 1 == 0) {
        return true;
    }
    if (field == 0 || field == 0x7ff) {
        return false;
    }
    *m = (bits & ((UINT64_C(1) << FRACTION) - 1)) | UINT64_C(1) << FRACTION;
    *exponent = (int)field - BIAS - FRACTION;
    return true;
}

/* The sum's magnitude, of which there is a bit more than an integer if sticky says so. */
static U128 add_terms(Term *big, Term small, bool *sticky)
{
    int distance;
    U128 m;

    if (!big->m || (small.m && (small.exponent > big->exponent || (small.exponent == big->exponent && small.m > big->m)))) {
        Term t = *big;

        *big = small;
        small = t;
    }
    *sticky = false;
    if (!small.m) {
        return big->m;
    }
    distance = big->exponent - small.exponent;
    m = distance > TOP ? 0 : small.m >> distance;
    *sticky = distance > TOP || m << distance != small.m;
    return big->negative == small.negative ? big->m + m : big->m - m - *sticky;
}

bool ppc_fp_status_by_integers(PpcFpSum sum, const uint64_t *operands, uint32_t *status)
{
    uint64_t a, b, c = 1;
    int ea, eb, ec = 0, shift, precision = sum.single ? 24 : FRACTION + 1, far = sum.single ? FAR_SINGLE : FAR, exponent;
    bool sign_a = operands[0] >> 63, sign_b = operands[1] >> 63, sign_c = false, sticky, up = false, inexact;
    Term big, other = { 0 };
    U128 m, rest;

    if (!unpack(operands[0], &a, &ea) || !unpack(operands[1], &b, &eb)) {
        return false;
    }
    if (sum.fused) {
        if (!unpack(operands[2], &c, &ec)) {
            return false;
        }
        sign_c = operands[2] >> 63;
    }
    if (sum.product) {
        big = term(sign_a ^ sign_b, (U128)a * b, ea + eb);
    } else {
        big = term(sign_a ^ sign_c, (U128)a * c, ea + ec);
        other = term(sign_b ^ sum.minus, b, eb);
    }
    m = add_terms(&big, other, &sticky);
    if (!m) {
        return false;
    }
    exponent = big.exponent + highest_bit(m) - TOP;
    shift = highest_bit(m) + 1 - precision;
    if (exponent > far || exponent < -far || (shift <= 0 && sticky)) {
        return false;
    }
    if (shift <= 0) {
        inexact = false;
    } else {
        U128 half = (U128)1 << (shift - 1);

        rest = m & (half * 2 - 1);
        inexact = rest || sticky;
        up = rest > half || (rest == half && (sticky || m >> shift & 1));
    }
    *status = (big.negative ^ sum.negated ? 0x8000 : 0x4000) | (inexact ? FPSCR_FI : 0) | (up ? FPSCR_FR : 0);
    return true;
}

#ifdef __x86_64__
/* Nothing that is made of so few numbers of such magnitudes, or of zeros, is too large or too small for doubles. */
static bool is_moderate(uint64_t bits)
{
    enum { SPAN = 250 };

    return (bits >> FRACTION & 0x7ff) - (BIAS - SPAN) <= 2 * SPAN || bits << 1 == 0;
}

static double double_of(uint64_t bits)
{
    double d;

    memcpy(&d, &bits, sizeof(d));
    return d;
}

/* a + b - *sum, exactly (Knuth). */
static double add_exactly(double a, double b, double *sum)
{
    double s = a + b, part = s - a;

    *sum = s;
    return (a - (s - part)) + (b - part);
}

/* The result, rounded once, and a number of the sign of what the exact one is more than that. */
__attribute__((target("fma"))) static double compute(PpcFpSum sum, const double *x, double *more)
{
    double b = sum.minus ? -x[1] : x[1], r, p, below, rest, high, low;

    if (sum.product) {
        r = x[0] * x[1];
        *more = __builtin_fma(x[0], x[1], -r);
        return r;
    }
    if (!sum.fused) {
        *more = add_exactly(x[0], b, &r);
        return r;
    }
    r = __builtin_fma(x[0], x[2], b);
    p = x[0] * x[2];
    __asm__("" : "+x"(p)); /* no part of a fused operation: compilers may make them */
    rest = add_exactly(b, __builtin_fma(x[0], x[2], -p), &below);
    low = add_exactly(p, below, &high);
    *more = (high - r) + low + rest;
    return r;
}

/* A double that was rounded to another, or to a single after that, but for what lies half-way between two singles. */
static bool find_by_host(PpcFpSum sum, const uint64_t *operands, uint32_t *status)
{
    enum { HALF_WAY = 0x10000000, BELOW_SINGLE = 0x1fffffff };
    double x[3] = { double_of(operands[0]), double_of(operands[1]), 0 }, r, more;
    uint64_t bits;
    bool negative;

    if (!is_moderate(operands[0]) || !is_moderate(operands[1]) || (sum.fused && !is_moderate(operands[2]))) {
        return false;
    }
    if (sum.fused) {
        x[2] = double_of(operands[2]);
    }
    r = compute(sum, x, &more);
    memcpy(&bits, &r, sizeof(bits));
    negative = bits >> 63;
    if (bits << 1 == 0) {
        return false;
    }
    if (sum.single) {
        double single;

        if ((bits >> FRACTION & 0x7ff) - (BIAS - FAR_SINGLE) > 2 * FAR_SINGLE || (bits & BELOW_SINGLE) == HALF_WAY) {
            return false;
        }
        single = (float)r;
        more = single == r ? more : r - single;
    }
    *status = negative != sum.negated ? 0x8000 : 0x4000;
    if (more != 0) {
        *status |= FPSCR_FI | ((more < 0) != negative ? FPSCR_FR : 0);
    }
    return true;
}

static bool host_finds(void)
{
    return __builtin_cpu_supports("fma");
}
#else
static bool find_by_host(PpcFpSum sum, const uint64_t *operands, uint32_t *status)
{
    return false;
}

static bool host_finds(void)
{
    return false;
}
#endif

bool ppc_fp_status_of(PpcFpSum sum, const uint64_t *operands, uint32_t *status)
{
    return (host_finds() && find_by_host(sum, operands, status)) || ppc_fp_status_by_integers(sum, operands, status);
}
