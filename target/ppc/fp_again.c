/*
 * FPRF, FR and FI of an operation that the host did, from its operands: what softfp.c would find, for sums and products of
 * normal numbers whose result is normal by far. The exact result is a sum of two terms, here in a window of 128 bits; what
 * does not fit into that is one sticky bit.
 */
#include "target/ppc/fp.h"

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

bool ppc_fp_status_of(PpcFpSum sum, const uint64_t *operands, uint32_t *status)
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
