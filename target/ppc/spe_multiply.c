/*
 * SPE: products of half words and words, the accumulator, divisions.
 *
 * Signal Processing Engine (SPE) Programming Environments Manual, chapter 5: names are evm, size and place of the factors
 * (h: even or odd half words, wh, wl: words, of which the high or low half of the product is wanted, w: the right words),
 * saturating or modulo, integers or fractions, and what becomes of the accumulator.
 */
#include "target/ppc/spe.h"

static int64_t half(uint32_t word, unsigned how)
{
    uint32_t v = how & MUL_ODD ? word & 0xffff : word >> 16;

    return how & MUL_SIGNED ? (int16_t)v : (int64_t)v;
}

/* The product of two half words as 32 bits; fractions have one bit of sign only. */
static int64_t half_product(uint32_t a, uint32_t b, unsigned how, bool *overflow)
{
    int64_t product = half(a, how) * half(b, how);

    if (how & MUL_FRACTION) {
        product *= 2;
        if ((how & MUL_SATURATE) && product > INT32_MAX) { /* -1 * -1 */
            *overflow = true;
            return INT32_MAX;
        }
    }
    return product;
}

static uint64_t word_product(uint32_t a, uint32_t b, unsigned how, bool *overflow)
{
    if (!(how & MUL_SIGNED)) {
        return (uint64_t)a * b;
    }
    if (how & MUL_FRACTION) {
        if (a == 0x80000000 && b == 0x80000000) {
            *overflow = how & MUL_SATURATE;
            return *overflow ? (uint64_t)INT64_MAX : UINT64_C(1) << 63;
        }
        return (uint64_t)((int64_t)(int32_t)a * (int32_t)b) << 1;
    }
    return (int64_t)(int32_t)a * (int32_t)b;
}

/* A word of the accumulator with a product: v is 32 bits, with their sign if they have one. */
static uint32_t into_word(uint32_t acc, int64_t v, unsigned how, bool *overflow)
{
    int64_t old = how & MUL_SIGNED ? (int32_t)acc : (int64_t)acc, sum = how & MUL_SUB ? old - v : old + v;
    int64_t low = how & MUL_SIGNED ? INT32_MIN : 0, high = how & MUL_SIGNED ? INT32_MAX : UINT32_MAX;

    if (!(how & MUL_SATURATE) || (sum >= low && sum <= high)) {
        return sum;
    }
    *overflow = true;
    return sum < low ? low : high;
}

static uint64_t into_double(uint64_t acc, uint64_t v, unsigned how, bool *overflow)
{
    __int128 sum = how & MUL_SUB ? (__int128)(int64_t)acc - (int64_t)v : (__int128)(int64_t)acc + (int64_t)v;

    if (!(how & MUL_SATURATE) || sum == (int64_t)sum) {
        return sum;
    }
    *overflow = true;
    return sum < 0 ? INT64_MIN : INT64_MAX;
}

static void finish(PpcState *s, uint32_t insn, unsigned how, uint64_t result)
{
    spe_put(s, field_t(insn), result);
    if (how & MUL_ACC) {
        s->spe_acc = result;
    }
}

/* Both elements apart. */
static void multiply_words(PpcState *s, uint32_t insn, unsigned how)
{
    uint32_t result[2];
    bool overflow[2] = { false, false };

    for (unsigned i = 0; i < 2; i++) {
        uint32_t a = spe_get(s, field_a(insn)) >> (32 - 32 * i), b = spe_get(s, field_b(insn)) >> (32 - 32 * i);
        uint32_t acc = s->spe_acc >> (32 - 32 * i);
        int64_t v;

        switch (how & MUL_SIZE) {
        case MUL_HALF:
            v = half_product(a, b, how, &overflow[i]);
            break;
        case MUL_WORD_HIGH:
            v = word_product(a, b, how, &overflow[i]) >> 32;
            break;
        default: {
            uint32_t low = word_product(a, b, how, &overflow[i]);

            v = how & MUL_SIGNED ? (int32_t)low : (int64_t)low;
            break;
        }
        }
        result[i] = how & (MUL_ADD | MUL_SUB) ? into_word(acc, v, how, &overflow[i]) : (uint32_t)v;
    }
    if (how & MUL_SATURATE) {
        spe_note_overflow(s, overflow[0], overflow[1]);
    }
    finish(s, insn, how, (uint64_t)result[0] << 32 | result[1]);
}

void spe_multiply(PpcState *s, uint32_t insn, unsigned how)
{
    uint32_t a = spe_low(s, field_a(insn)), b = spe_low(s, field_b(insn));
    bool overflow = false, ignored;
    uint64_t product;

    switch (how & MUL_SIZE) {
    case MUL_DOUBLE:
        product = word_product(a, b, how, &overflow);
        break;
    case MUL_GUARDED:
        product = half_product(a, b, how, &ignored);
        break;
    default:
        multiply_words(s, insn, how);
        return;
    }
    if (how & (MUL_ADD | MUL_SUB)) {
        product = into_double(s->spe_acc, product, how, &overflow);
    }
    if (how & MUL_SATURATE) {
        spe_note_overflow(s, false, overflow);
    }
    finish(s, insn, how, product);
}

void spe_accumulate(PpcState *s, uint32_t insn, unsigned how)
{
    uint32_t a[2] = { spe_high(s, field_a(insn)), spe_low(s, field_a(insn)) }, result[2];
    bool overflow[2] = { false, false };

    for (unsigned i = 0; i < 2; i++) {
        result[i] = into_word(s->spe_acc >> (32 - 32 * i), how & MUL_SIGNED ? (int32_t)a[i] : (int64_t)a[i], how, &overflow[i]);
    }
    if (how & MUL_SATURATE) {
        spe_note_overflow(s, overflow[0], overflow[1]);
    }
    finish(s, insn, how | MUL_ACC, (uint64_t)result[0] << 32 | result[1]);
}

void spe_move_acc(PpcState *s, uint32_t insn, unsigned how)
{
    finish(s, insn, MUL_ACC, spe_get(s, field_a(insn)));
}

/* What cannot be divided gives the number nearest to it. */
static uint32_t quotient(uint32_t a, uint32_t b, bool is_signed, bool *overflow)
{
    if (is_signed && (!b || (a == 0x80000000 && b == UINT32_MAX))) {
        *overflow = true;
        return !b && a >> 31 ? 0x80000000 : 0x7fffffff;
    }
    if (!b) {
        *overflow = true;
        return UINT32_MAX;
    }
    return is_signed ? (uint32_t)((int32_t)a / (int32_t)b) : a / b;
}

void spe_divide(PpcState *s, uint32_t insn, unsigned how)
{
    unsigned a = field_a(insn), b = field_b(insn);
    bool high_over = false, low_over = false;
    uint32_t high = quotient(spe_high(s, a), spe_high(s, b), how & MUL_SIGNED, &high_over);
    uint32_t low = quotient(spe_low(s, a), spe_low(s, b), how & MUL_SIGNED, &low_over);

    spe_note_overflow(s, high_over, low_over);
    spe_put_words(s, field_t(insn), high, low);
}
