/*
 * PCMPESTRM and PCMPESTRI in C: their lengths are in general registers, and code that uses them is rare. (PCMPISTRM and
 * PCMPISTRI are the host's own.)
 *
 * SDM volume 2, 4.1.
 */
#include "target/x86/fp_state.h"

enum { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };
enum { IMM_WORDS = 1, IMM_SIGNED = 2, IMM_NEGATE = 0x10, IMM_MASKED = 0x20, IMM_LAST_OR_WIDE = 0x40 };
enum { OPCODE_INDEX = 1 }; /* of 60-61 */

static int element(const uint8_t *v, unsigned i, unsigned imm)
{
    unsigned word = v[i * 2 & 15] | v[(i * 2 + 1) & 15] << 8;

    if (imm & IMM_WORDS) {
        return imm & IMM_SIGNED ? (int16_t)word : (int)word;
    }
    return imm & IMM_SIGNED ? (int8_t)v[i] : v[i];
}

static unsigned explicit_length(uint64_t reg, bool wide, unsigned n)
{
    int64_t length = wide ? (int64_t)reg : (int32_t)reg;

    return length > (int)n || length < -(int)n ? n : ABS(length);
}

/* Bit i: what the aggregation says of element i of b. */
static unsigned aggregate(const uint8_t *a, unsigned a_length, const uint8_t *b, unsigned b_length,
                          unsigned n, unsigned imm)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < n; i++) {
        bool hit = false;

        switch (imm >> 2 & 3) {
        case EQUAL_ANY:
            for (unsigned j = 0; j < a_length && i < b_length; j++) {
                hit |= element(a, j, imm) == element(b, i, imm);
            }
            break;
        case RANGES:
            for (unsigned j = 0; j + 1 < a_length && i < b_length; j += 2) {
                hit |= element(b, i, imm) >= element(a, j, imm) &&
                       element(b, i, imm) <= element(a, j + 1, imm);
            }
            break;
        case EQUAL_EACH:
            hit = i < a_length && i < b_length ? element(a, i, imm) == element(b, i, imm)
                                               : i >= a_length && i >= b_length;
            break;
        case EQUAL_ORDERED:
            hit = true;
            for (unsigned j = 0; j < a_length && i + j < n; j++) {
                hit &= i + j < b_length && element(a, j, imm) == element(b, i + j, imm);
            }
            break;
        }
        bits |= hit << i;
    }
    return bits;
}

static void put_mask(uint8_t *out, unsigned bits, unsigned n, unsigned imm)
{
    memset(out, 0, 16);
    if (imm & IMM_LAST_OR_WIDE) {
        for (unsigned i = 0; i < 16; i++) {
            out[i] = bits >> i * n / 16 & 1 ? 0xff : 0;
        }
    } else {
        out[0] = bits;
        out[1] = bits >> 8;
    }
}

/*
 * (opcode | imm << 8 | reg << 16 | rm << 20 | is_mem << 24 | REX.W << 25 | VEX << 26, memory low, high): EFLAGS
 * in the low half, ECX in the high half. The mask forms write xmm0, with VEX its upper half too.
 */
uint64_t helper_fp_pcmpestr(X86State *s, uint64_t operands, uint64_t low, uint64_t high, uint64_t d)
{
    FxImage *fx = fx_image(s);
    unsigned imm = operands >> 8 & 0xff, n = imm & IMM_WORDS ? 8 : 16, all = (1u << n) - 1;
    bool wide = operands >> 25 & 1;
    const uint8_t *a = fx->xmm[operands >> 16 & 15];
    unsigned a_length = explicit_length(s->reg[R_AX], wide, n), b_length = explicit_length(s->reg[R_DX], wide, n);
    unsigned bits, index, flags;
    uint8_t b[16];

    if (operands >> 24 & 1) {
        memcpy(b, &low, 8);
        memcpy(b + 8, &high, 8);
    } else {
        memcpy(b, fx->xmm[operands >> 20 & 15], 16);
    }

    bits = aggregate(a, a_length, b, b_length, n, imm);
    if (imm & IMM_NEGATE) {
        bits ^= imm & IMM_MASKED ? (1u << b_length) - 1 : all;
    }
    flags = (bits ? FLAG_CF : 0) | (b_length < n ? FLAG_ZF : 0) | (a_length < n ? FLAG_SF : 0) |
            (bits & 1 ? FLAG_OF : 0);
    if (!(operands & OPCODE_INDEX)) {
        put_mask(fx->xmm[0], bits, n, imm);
        if (operands >> 26 & 1) {
            memset(s->ymm_high, 0, 16);
        }
        return flags;
    }
    index = !bits ? n : imm & IMM_LAST_OR_WIDE ? 31 - __builtin_clz(bits) : __builtin_ctz(bits);
    return (uint64_t)index << 32 | flags;
}
