/* Binary floating point in integers: see the header. */
#include "softfp.h"

const FpFormat fp_half = { 11, 15, 16, 0 };
const FpFormat fp_bfloat = { 8, 127, 16, 0 };
const FpFormat fp_single = { 24, 127, 32, 192 };
const FpFormat fp_double = { 53, 1023, 64, 1536 };
const FpFormat fp_quad = { 113, 16383, 128, 24576 };

#define TOP ((U128)1 << 127)

static int leading_zeros(U128 x)
{
    uint64_t high = x >> 64;

    return high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)x);
}

static FpNum zero(bool negative)
{
    return (FpNum){ .kind = FP_IS_ZERO, .negative = negative };
}

static FpNum infinity(bool negative)
{
    return (FpNum){ .kind = FP_IS_INF, .negative = negative };
}

FpNum fp_default_nan(void)
{
    return (FpNum){ .kind = FP_IS_QNAN, .sig = TOP >> 1 };
}

static FpNum normalise(FpNum n)
{
    if (n.sig == 0) {
        return zero(n.negative);
    }
    int shift = leading_zeros(n.sig);

    n.kind = FP_IS_FINITE;
    n.sig <<= shift;
    n.exp -= shift;
    return n;
}

/* Shifted right; what falls out is in the sticky bit. */
static void shift_right(FpNum *n, int by)
{
    if (by >= 128) {
        n->sticky |= n->sig != 0;
        n->sig = 0;
    } else if (by > 0) {
        n->sticky |= (n->sig & (((U128)1 << by) - 1)) != 0;
        n->sig >>= by;
    }
}

FpNum fp_unpack(const FpFormat *format, U128 bits)
{
    int fraction_bits = format->precision - 1;
    U128 fraction = bits & (((U128)1 << fraction_bits) - 1);
    int exponent = (int)(bits >> fraction_bits) & (2 * format->max + 1);
    FpNum n = { .negative = bits >> (format->width - 1) & 1, .exp = exponent - format->max };

    if (exponent == 2 * format->max + 1) {
        n.sig = fraction << (127 - fraction_bits);
        n.kind = !fraction ? FP_IS_INF : n.sig & TOP >> 1 ? FP_IS_QNAN : FP_IS_SNAN;
        return n;
    }
    if (exponent) {
        n.kind = FP_IS_FINITE;
        n.sig = fraction << (127 - fraction_bits) | TOP;
        return n;
    }
    n.exp = 1 - format->max;
    n.sig = fraction << (127 - fraction_bits);
    return normalise(n);
}

/* Whether a magnitude is incremented, given what lies below its last bit. */
static bool rounds_up(FpRound round, bool negative, bool odd, bool half, bool below)
{
    switch (round) {
    case ROUND_NEAREST: return half && (below || odd);
    case ROUND_AWAY: return half;
    case ROUND_UP: return !negative && (half || below);
    case ROUND_DOWN: return negative && (half || below);
    case ROUND_ODD: return !odd && (half || below);
    default: return false;
    }
}

static FpNum largest(const FpFormat *format, bool negative)
{
    return (FpNum){ .kind = FP_IS_FINITE, .negative = negative, .exp = format->max,
                    .sig = ~(U128)0 << (128 - format->precision) };
}

FpNum fp_round(const FpFormat *format, FpNum n, FpRound round, unsigned mode, uint32_t *flags)
{
    int drop = 128 - format->precision, least = 1 - format->max;
    U128 unit = (U128)1 << drop;
    bool tiny, half, below, up;

    if (n.kind != FP_IS_FINITE) {
        return n;
    }
    tiny = n.exp < least;
    if (tiny && (mode & FPSCR_UE)) {
        n.exp += format->adjust;
        *flags |= FPSCR_UX;
    } else if (tiny) {
        shift_right(&n, least - n.exp);
        n.exp = least;
    }
    half = n.sig >> (drop - 1) & 1;
    below = n.sticky || (n.sig & (unit / 2 - 1));
    up = rounds_up(round, n.negative, n.sig & unit, half, below);
    n.sticky = false;
    n.sig &= ~(unit - 1);
    if (up) {
        n.sig += unit;
        if (n.sig == 0) {
            n.sig = TOP;
            n.exp++;
        }
        *flags |= FPSCR_FR;
    }
    if (half || below) {
        *flags |= FPSCR_XX | FPSCR_FI | (tiny ? FPSCR_UX : 0);
    }
    if (n.sig == 0 || (tiny && (mode & (FPSCR_NI | FPSCR_UE)) == FPSCR_NI)) {
        return zero(n.negative);
    }
    if (n.exp > format->max) {
        *flags |= FPSCR_OX;
        if (mode & FPSCR_OE) {
            n.exp -= format->adjust;
        } else {
            bool to_inf = round == ROUND_NEAREST || round == ROUND_AWAY || (round == ROUND_UP && !n.negative) ||
                          (round == ROUND_DOWN && n.negative);

            *flags = (*flags & ~FPSCR_FR) | FPSCR_XX | FPSCR_FI | (to_inf ? FPSCR_FR : 0);
            return to_inf ? infinity(n.negative) : largest(format, n.negative);
        }
    }
    return normalise(n);
}

U128 fp_pack(const FpFormat *format, FpNum n, FpRound round, unsigned mode, uint32_t *flags)
{
    int fraction_bits = format->precision - 1, down = 127 - fraction_bits;
    U128 sign = (U128)n.negative << (format->width - 1);
    U128 special = (U128)(2 * format->max + 1) << fraction_bits;
    U128 fraction_mask = ((U128)1 << fraction_bits) - 1;

    n = fp_round(format, n, round, mode, flags);
    switch (n.kind) {
    case FP_IS_ZERO: return sign;
    case FP_IS_INF: return sign | special;
    case FP_IS_QNAN:
    case FP_IS_SNAN: return sign | special | n.sig >> down;
    default: break;
    }
    /* Where an adjusted exponent is out of range even so, it wraps: nothing defines that. */
    if (n.exp < 1 - format->max) {
        int by = down + 1 - format->max - n.exp;

        return sign | (by < 128 ? n.sig >> by : 0);
    }
    return sign | (U128)((n.exp + format->max) & (2 * format->max + 1)) << fraction_bits | (n.sig >> down & fraction_mask);
}

/* Magnitudes of finite numbers. */
static int compare_magnitude(const FpNum *a, const FpNum *b)
{
    if (a->exp != b->exp) {
        return a->exp < b->exp ? -1 : 1;
    }
    return a->sig != b->sig ? (a->sig < b->sig ? -1 : 1) : 0;
}

/*
 * Both finite. Where bits are shifted out, the difference cancels one bit at most, so that the sticky
 * bit stays far below the last place: 128 bits are enough for sums of products of doubles.
 */
static FpNum add_finite(FpNum a, FpNum b, FpRound round)
{
    if (compare_magnitude(&a, &b) < 0) {
        FpNum t = a;

        a = b;
        b = t;
    }
    a.sig >>= 1;
    a.exp++;
    shift_right(&b, a.exp - b.exp);
    if (a.negative == b.negative) {
        a.sig += b.sig;
    } else {
        /* What is below b's last bit borrows one, and leaves something there. */
        a.sig -= b.sig + b.sticky;
    }
    a.sticky = b.sticky;
    if (a.sig == 0 && !a.sticky) {
        return zero(round == ROUND_DOWN);
    }
    return normalise(a);
}

FpNum fp_add(FpNum a, FpNum b, FpRound round, uint32_t *flags)
{
    if (a.kind == FP_IS_INF && b.kind == FP_IS_INF && a.negative != b.negative) {
        *flags |= FPSCR_VXISI;
        return fp_default_nan();
    }
    if (a.kind == FP_IS_INF || (b.kind == FP_IS_ZERO && a.kind != FP_IS_ZERO)) {
        return a;
    }
    if (b.kind == FP_IS_INF || (a.kind == FP_IS_ZERO && b.kind != FP_IS_ZERO)) {
        return b;
    }
    if (a.kind == FP_IS_ZERO) {
        return zero(a.negative == b.negative ? a.negative : round == ROUND_DOWN);
    }
    return add_finite(a, b, round);
}

typedef struct U256 {
    U128 high, low;
} U256;

static U256 multiply(U128 a, U128 b)
{
    uint64_t a1 = a >> 64, a0 = a, b1 = b >> 64, b0 = b;
    U128 low = (U128)a0 * b0, m1 = (U128)a1 * b0, m2 = (U128)a0 * b1, high = (U128)a1 * b1;
    U128 mid = (low >> 64) + (uint64_t)m1 + (uint64_t)m2;

    return (U256){ high + (m1 >> 64) + (m2 >> 64) + (mid >> 64), mid << 64 | (uint64_t)low };
}

FpNum fp_mul(FpNum a, FpNum b, uint32_t *flags)
{
    bool negative = a.negative != b.negative;
    FpNum n = { .kind = FP_IS_FINITE, .negative = negative, .exp = a.exp + b.exp + 1 };
    U256 product;

    if ((a.kind == FP_IS_INF && b.kind == FP_IS_ZERO) || (a.kind == FP_IS_ZERO && b.kind == FP_IS_INF)) {
        *flags |= FPSCR_VXIMZ;
        return fp_default_nan();
    }
    if (a.kind == FP_IS_INF || b.kind == FP_IS_INF) {
        return infinity(negative);
    }
    if (a.kind == FP_IS_ZERO || b.kind == FP_IS_ZERO) {
        return zero(negative);
    }
    product = multiply(a.sig, b.sig);
    if (!(product.high & TOP)) {
        product.high = product.high << 1 | product.low >> 127;
        product.low <<= 1;
        n.exp--;
    }
    n.sig = product.high;
    n.sticky = product.low != 0;
    return n;
}

/*
 * The sum of a product of 256 bits and a number. The product is split into two numbers without an
 * overlap: where the lower one is not zero (128-bit format only), the larger sum is made first.
 */
static FpNum add_product(U256 product, int exp, bool negative, FpNum b, FpRound round)
{
    bool subtract = negative != b.negative;
    U256 other = { b.sig, 0 };
    FpNum n = { .kind = FP_IS_FINITE, .negative = negative, .exp = exp };
    int distance;
    U256 big = product, small = other;
    bool sticky = false;

    if (b.exp > exp || (b.exp == exp && (b.sig > product.high || (b.sig == product.high && !product.low)))) {
        big = other;
        small = product;
        n.negative = b.negative;
        n.exp = b.exp;
        distance = b.exp - exp;
    } else {
        distance = exp - b.exp;
    }
    /* One bit of room above. */
    big.low = big.low >> 1 | big.high << 127;
    big.high >>= 1;
    n.exp++;
    distance++;
    if (distance >= 256) {
        sticky = true;
        small = (U256){ 0, 0 };
    } else if (distance >= 128) {
        sticky = small.low != 0 || (distance > 128 && small.high << (256 - distance) != 0);
        small.low = small.high >> (distance - 128);
        small.high = 0;
    } else {
        sticky = small.low << (128 - distance) != 0;
        small.low = small.low >> distance | small.high << (128 - distance);
        small.high >>= distance;
    }
    if (subtract) {
        U128 low = big.low - small.low;

        big.high = big.high - small.high - (big.low < small.low);
        if (sticky) {
            big.high -= low == 0;
            low--;
        }
        big.low = low;
    } else {
        big.low += small.low;
        big.high += small.high + (big.low < small.low);
    }
    if (!big.high && !big.low) {
        return zero(round == ROUND_DOWN);
    }
    if (!big.high) {
        big = (U256){ big.low, 0 };
        n.exp -= 128;
    }
    int shift = leading_zeros(big.high);

    if (shift) {
        big.high = big.high << shift | big.low >> (128 - shift);
        big.low <<= shift;
        n.exp -= shift;
    }
    n.sig = big.high;
    n.sticky = sticky || big.low;
    return n;
}

FpNum fp_mul_add(FpNum a, FpNum c, FpNum b, FpRound round, uint32_t *flags)
{
    U256 product;
    int exp;

    if (a.kind != FP_IS_FINITE || c.kind != FP_IS_FINITE || b.kind != FP_IS_FINITE) {
        FpNum n = fp_mul(a, c, flags);

        return fp_is_nan(n) ? n : fp_add(n, b, round, flags);
    }
    product = multiply(a.sig, c.sig);
    exp = a.exp + c.exp + 1;
    if (!(product.high & TOP)) {
        product.high = product.high << 1 | product.low >> 127;
        product.low <<= 1;
        exp--;
    }
    return add_product(product, exp, a.negative != c.negative, b, round);
}

FpNum fp_div(FpNum a, FpNum b, uint32_t *flags)
{
    bool negative = a.negative != b.negative;
    FpNum n = { .kind = FP_IS_FINITE, .negative = negative, .exp = a.exp - b.exp };
    U128 rest;

    if (a.kind == FP_IS_INF && b.kind == FP_IS_INF) {
        *flags |= FPSCR_VXIDI;
        return fp_default_nan();
    }
    if (a.kind == FP_IS_ZERO && b.kind == FP_IS_ZERO) {
        *flags |= FPSCR_VXZDZ;
        return fp_default_nan();
    }
    if (a.kind == FP_IS_INF || b.kind == FP_IS_ZERO) {
        *flags |= a.kind == FP_IS_INF ? 0 : FPSCR_ZX;
        return infinity(negative);
    }
    if (a.kind == FP_IS_ZERO || b.kind == FP_IS_INF) {
        return zero(negative);
    }
    if (!(uint64_t)b.sig && !(uint64_t)a.sig) {
        /* Of 64-bit numbers: 127 / 64 bits. */
        uint64_t divisor = b.sig >> 64;
        U128 dividend = a.sig >> 1;

        n.sig = dividend / divisor;
        rest = dividend % divisor;
        n.sig = n.sig << 63 | (rest << 63) / divisor;
        n.sticky = (rest << 63) % divisor != 0;
        n.exp++;
        /* Now the value is sig * 2^-126 of the quotient of significands. */
        return normalise(n);
    }
    rest = a.sig;
    for (int i = 127; i >= 0; i--) {
        bool carry = false;

        if (i != 127) {
            carry = rest >> 127;
            rest <<= 1;
        }
        if (carry || rest >= b.sig) {
            rest -= b.sig;
            n.sig |= (U128)1 << i;
        }
    }
    n.sticky = rest != 0;
    return normalise(n);
}

FpNum fp_sqrt(FpNum a, uint32_t *flags)
{
    FpNum n = { .kind = FP_IS_FINITE };
    U128 root = 0, rest = 0, from;
    int pairs = 64;

    if (a.kind == FP_IS_ZERO) {
        return a;
    }
    if (a.negative) {
        *flags |= FPSCR_VXSQRT;
        return fp_default_nan();
    }
    if (a.kind == FP_IS_INF) {
        return a;
    }
    /* The exponent is made even; two bits at a time, then zeros for as many bits again. */
    from = a.sig;
    bool odd = a.exp & 1;

    n.exp = (a.exp - odd) / 2;
    for (int i = -1; i < 2 * pairs - 4; i++) {
        unsigned two;

        if (i < 0) {
            two = odd ? from >> 126 : from >> 127;
            from <<= odd ? 2 : 1;
        } else {
            two = from >> 126;
            from <<= 2;
        }
        rest = rest << 2 | two;
        root <<= 1;
        U128 trial = root << 1 | 1;

        if (rest >= trial) {
            rest -= trial;
            root |= 1;
        }
    }
    /* 125 bits of root. */
    n.sig = root << 3;
    n.sticky = rest != 0;
    return normalise(n);
}

FpNum fp_from_int(bool negative, U128 magnitude)
{
    return normalise((FpNum){ .negative = magnitude && negative, .exp = 127, .sig = magnitude });
}

FpNum fp_round_to_int(FpNum n, FpRound round, uint32_t *flags)
{
    bool half, below, odd;
    U128 whole;

    if (n.kind != FP_IS_FINITE || n.exp >= 127) {
        return n;
    }
    if (n.exp < -1) {
        whole = 0;
        half = false;
        below = true;
    } else {
        whole = n.exp < 0 ? 0 : n.sig >> (127 - n.exp);
        half = n.sig >> (126 - n.exp) & 1;
        below = n.sticky || (n.sig & (((U128)1 << (126 - n.exp)) - 1));
    }
    odd = whole & 1;
    if (half || below) {
        bool up = rounds_up(round, n.negative, odd, half, below);

        whole += up;
        *flags |= FPSCR_XX | FPSCR_FI | (up ? FPSCR_FR : 0);
    }
    return normalise((FpNum){ .negative = n.negative, .exp = 127, .sig = whole });
}

S128 fp_to_int(FpNum n, FpRound round, U128 low, U128 high, uint32_t *flags)
{
    uint32_t inexact = 0;
    U128 magnitude, limit = n.negative ? low : high;

    n = fp_round_to_int(n, round, &inexact);
    if (n.kind == FP_IS_ZERO) {
        *flags |= inexact;
        return 0;
    }
    if (n.kind == FP_IS_INF || n.exp > 127 || (magnitude = n.sig >> (127 - n.exp)) > limit) {
        *flags |= FPSCR_VXCVI;
        magnitude = limit;
    } else {
        *flags |= inexact;
    }
    return n.negative ? -magnitude : magnitude;
}

int fp_compare(FpNum a, FpNum b)
{
    int less = a.negative ? 1 : -1, magnitude;

    if (a.kind == FP_IS_ZERO && b.kind == FP_IS_ZERO) {
        return 0;
    }
    if (a.kind == FP_IS_ZERO) {
        return b.negative ? 1 : -1;
    }
    if (b.kind == FP_IS_ZERO || a.negative != b.negative) {
        return -less;
    }
    if (a.kind == FP_IS_INF || b.kind == FP_IS_INF) {
        return a.kind == b.kind ? 0 : a.kind == FP_IS_INF ? -less : less;
    }
    magnitude = compare_magnitude(&a, &b);
    return magnitude * -less;
}

uint32_t fp_class(const FpFormat *format, U128 bits)
{
    FpNum n = fp_unpack(format, bits);

    switch (n.kind) {
    case FP_IS_ZERO: return n.negative ? 0x12000 : 0x02000;
    case FP_IS_INF: return n.negative ? 0x09000 : 0x05000;
    case FP_IS_FINITE:
        return (n.negative ? 0x08000 : 0x04000) | (n.exp < 1 - format->max ? 0x10000 : 0);
    default: return 0x11000;
    }
}
