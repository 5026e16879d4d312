/*
 * Decimal integers in vector registers (Power ISA, book I, 6.15): signed packed ones of 31 digits and a sign, unsigned
 * packed ones of 32, national and zoned ones. CR6 is LT GT EQ of the result, and SO: an operand is no number, or digits
 * were lost.
 */
#include "vec_ops.h"

enum { POSITIVE_CODE = 0xc, NEGATIVE_CODE = 0xd, PREFERRED_CODE = 0xf, DIGITS = 32 };
enum { CR_LT = 8, CR_GT = 4, CR_EQ = 2, CR_SO = 1 };

/* digit[0] is the last one, beside the sign. */
typedef struct Decimal {
    uint8_t digit[DIGITS];
    bool negative, valid;
} Decimal;

static unsigned nibble(U128 bits, unsigned at)
{
    return bits >> 4 * at & 15;
}

static Decimal unpack_unsigned(U128 bits)
{
    Decimal d = { .valid = true };

    for (unsigned i = 0; i < 32; i++) {
        d.digit[i] = nibble(bits, i);
        d.valid &= d.digit[i] <= 9;
    }
    return d;
}

static Decimal unpack(U128 bits)
{
    Decimal d = unpack_unsigned(bits >> 4);
    unsigned sign = nibble(bits, 0);

    d.negative = sign == 0xb || sign == 0xd;
    d.valid &= sign >= 0xa;
    return d;
}

static U128 pack_digits(const Decimal *d, unsigned n)
{
    U128 bits = 0;

    while (n--) {
        bits = bits << 4 | d->digit[n];
    }
    return bits;
}

/* PS, bit 22 of the instruction, chooses the sign of what is positive. */
static U128 pack(const Decimal *d, uint32_t insn)
{
    return pack_digits(d, 31) << 4 | (d->negative ? NEGATIVE_CODE : insn & 0x200 ? PREFERRED_CODE : POSITIVE_CODE);
}

/* Whether digits from `from` on are all zero. */
static bool is_zero(const Decimal *d, unsigned from)
{
    for (unsigned i = from; i < DIGITS; i++) {
        if (d->digit[i]) {
            return false;
        }
    }
    return true;
}

static unsigned order_of(const Decimal *d)
{
    return is_zero(d, 0) ? CR_EQ : d->negative ? CR_LT : CR_GT;
}

/* A register and CR6. Operands that are no numbers leave the register undefined: it stays. */
static void put(PpcState *s, uint32_t insn, U128 bits, unsigned cr)
{
    vec_set_u128(vec_t(s, insn), bits);
    s->cr[6] = cr;
}

static Decimal operand_a(PpcState *s, uint32_t insn) { return unpack(vec_u128(vec_a(s, insn))); }
static Decimal operand_b(PpcState *s, uint32_t insn) { return unpack(vec_u128(vec_b(s, insn))); }

static int compare_magnitudes(const Decimal *a, const Decimal *b)
{
    for (unsigned i = DIGITS; i--;) {
        if (a->digit[i] != b->digit[i]) {
            return a->digit[i] < b->digit[i] ? -1 : 1;
        }
    }
    return 0;
}

/* a + b, or a - b of magnitudes with a >= b. The last digit has room for the carry out of 31. */
static Decimal add_magnitudes(const Decimal *a, const Decimal *b, bool subtract)
{
    Decimal r = { .valid = true, .negative = a->negative };
    int carry = 0;

    for (unsigned i = 0; i < DIGITS; i++) {
        int digit = a->digit[i] + (subtract ? -b->digit[i] : b->digit[i]) + carry;

        carry = digit < 0 ? -1 : digit > 9 ? 1 : 0;
        r.digit[i] = digit - 10 * carry;
    }
    return r;
}

static void add(PpcState *s, uint32_t insn, bool subtract)
{
    Decimal a = operand_a(s, insn), b = operand_b(s, insn), r;
    unsigned cr;

    if (!a.valid || !b.valid) {
        s->cr[6] = CR_SO;
        return;
    }
    b.negative ^= subtract;
    if (a.negative == b.negative) {
        r = add_magnitudes(&a, &b, false);
    } else if (compare_magnitudes(&a, &b) >= 0) {
        r = add_magnitudes(&a, &b, true);
    } else {
        r = add_magnitudes(&b, &a, true);
    }
    cr = order_of(&r);
    if (r.digit[31]) {
        cr |= CR_SO;
    }
    if (cr == CR_EQ) {
        r.negative = false;
    }
    put(s, insn, pack(&r, insn), cr);
}

void ppc_exec_bcdadd(PpcState *s, uint32_t insn) { add(s, insn, false); }
void ppc_exec_bcdsub(PpcState *s, uint32_t insn) { add(s, insn, true); }

/* B with its digits checked, and the result of a conversion or copy. */
static void result(PpcState *s, uint32_t insn, const Decimal *d, U128 bits, bool lost)
{
    if (!d->valid) {
        s->cr[6] = CR_SO;
        return;
    }
    put(s, insn, bits, order_of(d) | (lost ? CR_SO : 0));
}

void ppc_exec_bcdsetsgn(PpcState *s, uint32_t insn)
{
    Decimal b = operand_b(s, insn);

    result(s, insn, &b, pack(&b, insn), false);
}

void ppc_exec_bcdcpsgn(PpcState *s, uint32_t insn)
{
    Decimal a = operand_a(s, insn), b = operand_b(s, insn);

    a.valid &= b.valid;
    a.negative = b.negative;
    result(s, insn, &a, (vec_u128(vec_a(s, insn)) & ~(U128)15) | nibble(vec_u128(vec_b(s, insn)), 0), false);
}

/* National: seven digits and a sign as UTF-16 characters. */
void ppc_exec_bcdcfn(PpcState *s, uint32_t insn)
{
    const PpcVec *b = vec_b(s, insn);
    uint16_t sign = b->h[HALF_AT(7)];
    Decimal d = { .negative = sign == '-', .valid = sign == '+' || sign == '-' };

    for (unsigned i = 0; i < 7; i++) {
        unsigned digit = b->h[HALF_AT(6 - i)] - '0';

        d.valid &= digit <= 9;
        d.digit[i] = digit;
    }
    result(s, insn, &d, pack(&d, insn), false);
}

void ppc_exec_bcdctn(PpcState *s, uint32_t insn)
{
    Decimal b = operand_b(s, insn);
    U128 bits = 0;

    for (unsigned i = 7; i--;) {
        bits = bits << 16 | (0x30 + b.digit[i]);
    }
    bits = bits << 16 | (b.negative ? '-' : '+');
    result(s, insn, &b, bits, !is_zero(&b, 7));
}

/* Zoned: sixteen digits in bytes; the zone of the last one is the sign. PS: EBCDIC's zones, else ASCII's. */
void ppc_exec_bcdcfz(PpcState *s, uint32_t insn)
{
    U128 bits = vec_u128(vec_b(s, insn));
    bool ebcdic = insn & 0x200;
    unsigned sign = nibble(bits, 1);
    Decimal d = { .valid = !ebcdic || sign >= 0xa, .negative = ebcdic ? sign == 0xb || sign == 0xd : sign & 4 };

    for (unsigned i = 0; i < 16; i++) {
        d.digit[i] = nibble(bits, 2 * i);
        d.valid &= d.digit[i] <= 9 && (i == 0 || nibble(bits, 2 * i + 1) == (ebcdic ? 15 : 3));
    }
    result(s, insn, &d, pack(&d, 0), false);
}

void ppc_exec_bcdctz(PpcState *s, uint32_t insn)
{
    Decimal b = operand_b(s, insn);
    bool ebcdic = insn & 0x200;
    U128 bits = 0;

    for (unsigned i = 16; i--;) {
        unsigned zone = i ? (ebcdic ? 15 : 3) : ebcdic ? (b.negative ? 0xd : 0xc) : b.negative ? 7 : 3;

        bits = bits << 8 | zone << 4 | b.digit[i];
    }
    result(s, insn, &b, bits, !is_zero(&b, 16));
}

/* Binary quadwords. */
void ppc_exec_bcdcfsq(PpcState *s, uint32_t insn)
{
    S128 value = vec_u128(vec_b(s, insn));
    U128 rest = value < 0 ? -(U128)value : (U128)value;
    Decimal d = { .negative = value < 0, .valid = true };
    unsigned cr = value < 0 ? CR_LT : value > 0 ? CR_GT : CR_EQ;

    for (unsigned i = 0; i < 31; i++) {
        d.digit[i] = rest % 10;
        rest /= 10;
    }
    put(s, insn, pack(&d, insn), cr | (rest ? CR_SO : 0));
}

void ppc_exec_bcdctsq(PpcState *s, uint32_t insn)
{
    Decimal b = operand_b(s, insn);
    U128 value = 0;

    for (unsigned i = 31; i--;) {
        value = value * 10 + b.digit[i];
    }
    result(s, insn, &b, b.negative ? -value : value, false);
}

/* Left by n digits, or right if n is negative; what falls out on the left is *lost. Returns the last digit that fell out right. */
static unsigned shift(Decimal *d, int n, unsigned width, bool *lost)
{
    Decimal from = *d;
    unsigned last = 0;

    *lost = false;
    for (int i = 0; i < DIGITS; i++) {
        d->digit[i] = i < (int)width && i - n >= 0 && i - n < (int)width ? from.digit[i - n] : 0;
    }
    for (int i = 0; i < (int)width; i++) {
        *lost |= i + n >= (int)width && from.digit[i];
    }
    if (n < 0 && -n - 1 < (int)width) {
        last = from.digit[-n - 1];
    }
    return last;
}

static int shift_count(PpcState *s, uint32_t insn)
{
    return vec_a(s, insn)->sb[BYTE_AT(7)];
}

void ppc_exec_bcds(PpcState *s, uint32_t insn)
{
    Decimal b = operand_b(s, insn);
    bool lost;

    shift(&b, shift_count(s, insn), 31, &lost);
    result(s, insn, &b, pack(&b, insn), lost);
}

void ppc_exec_bcdus(PpcState *s, uint32_t insn)
{
    Decimal b = unpack_unsigned(vec_u128(vec_b(s, insn)));
    bool lost;

    shift(&b, shift_count(s, insn), 32, &lost);
    result(s, insn, &b, pack_digits(&b, 32), lost);
}

void ppc_exec_bcdsr(PpcState *s, uint32_t insn)
{
    static const Decimal one = { .digit = { 1 } };
    Decimal b = operand_b(s, insn);
    bool lost;

    if (shift(&b, shift_count(s, insn), 31, &lost) >= 5 && b.valid) {
        Decimal up = add_magnitudes(&b, &one, false);

        b = up;
    }
    result(s, insn, &b, pack(&b, insn), lost);
}

/* The last so many digits. */
static void keep_last(PpcState *s, uint32_t insn, Decimal *d, unsigned width)
{
    unsigned keep = vec_a(s, insn)->h[HALF_AT(3)];
    bool lost = keep < width && !is_zero(d, keep);

    for (unsigned i = keep; i < width; i++) {
        d->digit[i] = 0;
    }
    result(s, insn, d, width == 31 ? pack(d, insn) : pack_digits(d, 32), lost);
}

void ppc_exec_bcdtrunc(PpcState *s, uint32_t insn)
{
    Decimal b = operand_b(s, insn);

    keep_last(s, insn, &b, 31);
}

void ppc_exec_bcdutrunc(PpcState *s, uint32_t insn)
{
    Decimal b = unpack_unsigned(vec_u128(vec_b(s, insn)));

    keep_last(s, insn, &b, 32);
}
