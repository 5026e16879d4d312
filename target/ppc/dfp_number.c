/*
 * Decimal floating point in digits: see the header. Zero is a finite number here, as it has an exponent.
 *
 * The formats are those of IEEE 754-2008, 3.5.2, with densely packed declets (Power ISA, book I, 5.3, 5.5).
 */
#include "dfp.h"

#include <glib.h>
#include <string.h>

const DfpFormat dfp_short = { 7, 101, 191, 6, 2, 192 };
const DfpFormat dfp_long = { 16, 398, 767, 8, 5, 576 };
const DfpFormat dfp_extended = { 34, 6176, 12287, 12, 11, 9216 };

/* Three digits of a declet, as 0xabc. Its bits are p q r s t u v w x y. */
static unsigned digits_of(unsigned declet)
{
    unsigned pqr = declet >> 7, pq = declet >> 8 & 3, r = declet >> 7 & 1, stu = declet >> 4 & 7, st = declet >> 5 & 3;
    unsigned u = declet >> 4 & 1, y = declet & 1;

    if (!(declet & 8)) {
        return pqr << 8 | stu << 4 | (declet & 7);
    }
    switch (declet >> 1 & 3) {
    case 0: return pqr << 8 | stu << 4 | (8 + y);
    case 1: return pqr << 8 | (8 + u) << 4 | (st << 1 | y);
    case 2: return (8 + r) << 8 | stu << 4 | (pq << 1 | y);
    default: break;
    }
    switch (st) {
    case 0: return (8 + r) << 8 | (8 + u) << 4 | (pq << 1 | y);
    case 1: return (8 + r) << 8 | (pq << 1 | u) << 4 | (8 + y);
    case 2: return pqr << 8 | (8 + u) << 4 | (8 + y);
    default: return (8 + r) << 8 | (8 + u) << 4 | (8 + y);
    }
}

/* The opposite; of several declets with the same digits the first one is canonical. */
static unsigned declet_of(const uint8_t *digit)
{
    static uint16_t declets[1000];
    static gsize made;

    if (g_once_init_enter(&made)) {
        for (unsigned i = 1024; i--;) {
            unsigned digits = digits_of(i);

            declets[(digits >> 8) * 100 + (digits >> 4 & 15) * 10 + (digits & 15)] = i;
        }
        g_once_init_leave(&made, 1);
    }
    return declets[digit[2] * 100 + digit[1] * 10 + digit[0]];
}

static int trailing_bits(const DfpFormat *f)
{
    return 10 * f->declets;
}

static int width_of(const DfpFormat *f)
{
    return 1 + 5 + f->exp_bits + trailing_bits(f);
}

DfpNum dfp_unpack(const DfpFormat *f, U128 bits)
{
    unsigned combination = (unsigned)(bits >> (width_of(f) - 6)) & 31;
    unsigned exponent = (unsigned)(bits >> trailing_bits(f)) & ((1u << f->exp_bits) - 1), first;
    DfpNum n = { .kind = FP_IS_FINITE, .negative = bits >> (width_of(f) - 1) & 1 };

    for (int i = 0; i < f->declets; i++) {
        unsigned digits = digits_of((unsigned)(bits >> 10 * i) & 1023);

        n.digit[3 * i] = digits & 15;
        n.digit[3 * i + 1] = digits >> 4 & 15;
        n.digit[3 * i + 2] = digits >> 8;
    }
    if (combination >= 30) {
        n.kind = combination == 30 ? FP_IS_INF : exponent >> (f->exp_bits - 1) ? FP_IS_SNAN : FP_IS_QNAN;
        return n;
    }
    first = combination < 24 ? combination & 7 : 8 + (combination & 1);
    exponent |= (combination < 24 ? combination >> 3 : combination >> 1 & 3) << f->exp_bits;
    n.digit[f->precision - 1] = first;
    n.exp = (int)exponent - f->bias;
    return n;
}

U128 dfp_pack(const DfpFormat *f, const DfpNum *n)
{
    unsigned first = n->digit[f->precision - 1], exponent = n->exp + f->bias, high = exponent >> f->exp_bits, combination;
    U128 bits = 0;

    for (int i = f->declets; i--;) {
        bits = bits << 10 | declet_of(n->digit + 3 * i);
    }
    switch (n->kind) {
    case FP_IS_INF:
        combination = 30;
        exponent = 0;
        break;
    case FP_IS_QNAN:
    case FP_IS_SNAN:
        combination = 31;
        exponent = n->kind == FP_IS_SNAN ? 1u << (f->exp_bits - 1) : 0;
        break;
    default:
        combination = first < 8 ? high << 3 | first : 24 | high << 1 | (first & 1);
        break;
    }
    bits |= (U128)(exponent & ((1u << f->exp_bits) - 1)) << trailing_bits(f);
    return bits | (U128)combination << (width_of(f) - 6) | (U128)n->negative << (width_of(f) - 1);
}

int dfp_length(const DfpNum *n)
{
    int length = DFP_DIGITS;

    while (length && !n->digit[length - 1]) {
        length--;
    }
    return length;
}

void dfp_shift_left(DfpNum *n, int by)
{
    memmove(n->digit + by, n->digit, DFP_DIGITS - by);
    memset(n->digit, 0, by);
    n->exp -= by;
}

/* Whether a magnitude is incremented: by its last digit, the first one that was dropped, and whether others were not 0. */
static bool rounds_up(DfpRound round, bool negative, unsigned last, unsigned dropped, bool below)
{
    bool inexact = dropped || below;

    switch (round) {
    case DFP_NEAREST: return dropped > 5 || (dropped == 5 && (below || last & 1));
    case DFP_UP: return inexact && !negative;
    case DFP_DOWN: return inexact && negative;
    case DFP_HALF_AWAY: return dropped >= 5;
    case DFP_HALF_ZERO: return dropped > 5 || (dropped == 5 && below);
    case DFP_AWAY: return inexact;
    case DFP_SHORTER: return inexact && (last == 0 || last == 5);
    default: return false;
    }
}

void dfp_drop(DfpNum *n, int count, DfpRound round, uint32_t *flags)
{
    unsigned dropped = 0;
    bool below = false, up;

    for (int i = 0; i < MIN(count, DFP_DIGITS); i++) {
        below |= dropped != 0;
        dropped = n->digit[i];
    }
    if (count > DFP_DIGITS) {
        below |= dropped != 0;
        dropped = 0;
    }
    if (count >= DFP_DIGITS) {
        memset(n->digit, 0, DFP_DIGITS);
    } else if (count > 0) {
        memmove(n->digit, n->digit + count, DFP_DIGITS - count);
        memset(n->digit + DFP_DIGITS - count, 0, count);
    }
    n->exp += count;
    up = rounds_up(round, n->negative, n->digit[0], dropped, below);
    for (int i = 0, carry = up; carry && i < DFP_DIGITS; i++) {
        carry = n->digit[i] == 9;
        n->digit[i] = carry ? 0 : n->digit[i] + 1;
    }
    if (dropped || below) {
        *flags |= FPSCR_XX | FPSCR_FI | (up ? FPSCR_FR : 0);
    }
}

static int least_exp(const DfpFormat *f) { return -f->bias; }
static int largest_exp(const DfpFormat *f) { return f->max - f->bias; }

/* Exponents of the first digit: of the smallest normal number, and of the largest. */
static int least_normal(const DfpFormat *f) { return least_exp(f) + f->precision - 1; }
static int largest_normal(const DfpFormat *f) { return largest_exp(f) + f->precision - 1; }

static int first_exp(const DfpNum *n)
{
    return n->exp + dfp_length(n) - 1;
}

bool dfp_is_subnormal(const DfpFormat *f, const DfpNum *n)
{
    return dfp_length(n) && first_exp(n) < least_normal(f);
}

static void overflow(const DfpFormat *f, DfpNum *n, DfpRound round, uint32_t *flags)
{
    bool to_largest = round == DFP_ZERO || round == DFP_SHORTER || (round == DFP_UP && n->negative) || (round == DFP_DOWN && !n->negative);

    memset(n->digit, 0, DFP_DIGITS);
    if (to_largest) {
        memset(n->digit, 9, f->precision);
        n->exp = largest_exp(f);
    } else {
        n->kind = FP_IS_INF;
    }
    *flags = (*flags & ~(uint32_t)FPSCR_FR) | FPSCR_XX | FPSCR_FI | (to_largest ? 0 : FPSCR_FR);
}

/* Digits and exponent into range, without a change of value: a zero has any exponent. Only a number of a longer format, rounded
 * with overflow or underflow enabled, may be still outside, and gets the nearest exponent. */
static void fold(const DfpFormat *f, DfpNum *n)
{
    int length = dfp_length(n), excess = n->exp - largest_exp(f);

    if (length && excess > 0) {
        dfp_shift_left(n, MIN(excess, f->precision - length));
    }
    n->exp = CLAMP(n->exp, least_exp(f), largest_exp(f));
}

void dfp_round(const DfpFormat *f, DfpNum *n, DfpRound round, unsigned mode, uint32_t *flags)
{
    bool tiny;
    int drop;

    if (!dfp_is_finite(n) || !dfp_length(n)) {
        fold(f, n);
        return;
    }
    tiny = dfp_is_subnormal(f, n);
    if (tiny && (mode & FPSCR_UE)) {
        n->exp += f->adjust;
        *flags |= FPSCR_UX;
    }
    drop = MAX(dfp_length(n) - f->precision, least_exp(f) - n->exp);
    if (drop > 0) {
        uint32_t found = 0;

        dfp_drop(n, drop, round, &found);
        *flags |= found | (found && tiny ? FPSCR_UX : 0);
        if (dfp_length(n) > f->precision) { /* 99..9 became 100..0 */
            dfp_drop(n, 1, DFP_ZERO, &(uint32_t){ 0 });
        }
    }
    if (dfp_length(n) && first_exp(n) > largest_normal(f)) {
        *flags |= FPSCR_OX;
        if (!(mode & FPSCR_OE)) {
            overflow(f, n, round, flags);
            return;
        }
        n->exp -= f->adjust;
    }
    fold(f, n);
}

uint32_t dfp_class(const DfpFormat *f, const DfpNum *n)
{
    enum { C = 0x10000, LT = 0x8000, GT = 0x4000, EQ = 0x2000, UN = 0x1000 };

    switch (n->kind) {
    case FP_IS_QNAN: return C | UN;
    case FP_IS_SNAN: return UN;
    case FP_IS_INF: return (n->negative ? LT : GT) | UN;
    default: break;
    }
    if (!dfp_length(n)) {
        return EQ | (n->negative ? C : 0);
    }
    return (n->negative ? LT : GT) | (dfp_is_subnormal(f, n) ? C : 0);
}

static int compare_digits(const DfpNum *a, const DfpNum *b)
{
    for (int i = DFP_DIGITS; i--;) {
        if (a->digit[i] != b->digit[i]) {
            return a->digit[i] < b->digit[i] ? -1 : 1;
        }
    }
    return 0;
}

/* a + b, or a - b where a >= b, at the same exponent. */
static void add_digits(DfpNum *a, const DfpNum *b, bool subtract)
{
    for (int i = 0, carry = 0; i < DFP_DIGITS; i++) {
        int digit = a->digit[i] + (subtract ? -b->digit[i] : b->digit[i]) + carry;

        carry = digit < 0 ? -1 : digit > 9 ? 1 : 0;
        a->digit[i] = digit - 10 * carry;
    }
}

/* Brings both to the lower exponent. Where that would be too many digits, the lower number is far below the last digit that
 * counts, and stands for something small. */
static void align(DfpNum *high, DfpNum *low)
{
    enum { ROOM = 70, ENOUGH = 37 };
    int distance = high->exp - low->exp, length = dfp_length(high);

    if (!length) {
        high->exp = low->exp;
    } else if (length + distance <= ROOM) {
        dfp_shift_left(high, distance);
    } else if (dfp_length(low)) {
        dfp_shift_left(high, ENOUGH - length);
        memset(low->digit, 0, DFP_DIGITS);
        low->digit[0] = 1;
        low->exp = high->exp;
    } else { /* a zero takes the exponent as near to its own as there are digits */
        dfp_shift_left(high, ENOUGH - length);
        low->exp = high->exp;
    }
}

DfpNum dfp_add(const DfpNum *a, const DfpNum *b, DfpRound round)
{
    DfpNum x = *a, y = *b;

    if (x.exp >= y.exp) {
        align(&x, &y);
    } else {
        align(&y, &x);
    }
    if (x.negative == y.negative) {
        add_digits(&x, &y, false);
        return x;
    }
    if (compare_digits(&x, &y) < 0) {
        add_digits(&y, &x, true);
        return y;
    }
    add_digits(&x, &y, true);
    if (!dfp_length(&x)) {
        x.negative = round == DFP_DOWN;
    }
    return x;
}

DfpNum dfp_mul(const DfpNum *a, const DfpNum *b)
{
    DfpNum r = { .kind = FP_IS_FINITE, .negative = a->negative != b->negative, .exp = a->exp + b->exp };
    int n = dfp_length(a), m = dfp_length(b);

    for (int i = 0; i < n; i++) {
        unsigned carry = 0;

        for (int k = 0; k < m || carry; k++) {
            unsigned sum = r.digit[i + k] + (k < m ? a->digit[i] * b->digit[k] : 0) + carry;

            r.digit[i + k] = sum % 10;
            carry = sum / 10;
        }
    }
    return r;
}

/* Digits until the division ends, or until there are more than any format has; then one more that says that it did not end.
 * Trailing zeros go as far as the exponent is below a.exp - b.exp. */
DfpNum dfp_div(const DfpNum *a, const DfpNum *b)
{
    enum { ENOUGH = 36 };
    DfpNum r = { .kind = FP_IS_FINITE, .negative = a->negative != b->negative, .exp = a->exp - b->exp }, rest = { 0 };
    int ideal = r.exp, next = dfp_length(a), length = 0;

    if (!next) {
        return r;
    }
    while (next > 0 || (length < ENOUGH && dfp_length(&rest))) {
        unsigned digit = 0;

        dfp_shift_left(&rest, 1);
        rest.digit[0] = next > 0 ? a->digit[next - 1] : 0;
        while (compare_digits(&rest, b) >= 0) {
            add_digits(&rest, b, true);
            digit++;
        }
        dfp_shift_left(&r, 1);
        r.exp += next > 0; /* the integer part of the quotient has its exponent already */
        r.digit[0] = digit;
        length += length || digit;
        next--;
    }
    if (dfp_length(&rest)) {
        dfp_shift_left(&r, 1);
        r.digit[0] = 1;
        return r;
    }
    while (r.exp < ideal && !r.digit[0]) {
        dfp_drop(&r, 1, DFP_ZERO, &(uint32_t){ 0 });
    }
    return r;
}

int dfp_compare(const DfpNum *a, const DfpNum *b)
{
    DfpNum minus = *b, r;

    if (a->kind == FP_IS_INF || b->kind == FP_IS_INF) {
        int x = a->kind != FP_IS_INF ? 0 : a->negative ? -1 : 1, y = b->kind != FP_IS_INF ? 0 : b->negative ? -1 : 1;

        return x < y ? -1 : x > y;
    }
    minus.negative = !minus.negative;
    r = dfp_add(a, &minus, DFP_NEAREST);
    return !dfp_length(&r) ? 0 : r.negative ? -1 : 1;
}

DfpNum dfp_from_int(bool negative, U128 magnitude)
{
    DfpNum n = { .kind = FP_IS_FINITE, .negative = negative };

    for (int i = 0; magnitude; i++) {
        n.digit[i] = magnitude % 10;
        magnitude /= 10;
    }
    return n;
}

bool dfp_to_int(const DfpNum *n, U128 *magnitude)
{
    U128 value = 0;

    for (int i = dfp_length(n) + n->exp; dfp_length(n) && i--;) {
        int at = i - n->exp;
        unsigned digit = at >= 0 ? n->digit[at] : 0;

        if (value > (~(U128)0 - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *magnitude = value;
    return true;
}
