/*
 * Vector registers by element. Element 0 is the leftmost one: the architecture's order, in which a
 * register is two doublewords of the host.
 */
#ifndef PPC_VEC_H
#define PPC_VEC_H

#include "fp.h"

typedef union PpcVec {
    uint64_t d[2];
    int64_t sd[2];
    uint32_t w[4];
    int32_t sw[4];
    uint16_t h[8];
    int16_t sh[8];
    uint8_t b[16];
    int8_t sb[16];
} PpcVec;

/* Places of the elements on a little-endian host: PpcVec.b[BYTE_AT(i)] is byte i. */
#define BYTE_AT(i) ((i) ^ 7)
#define HALF_AT(i) ((i) ^ 3)
#define WORD_AT(i) ((i) ^ 1)

enum { VSCR_NJ = 0x10000, VSCR_SAT = 1 };

static inline PpcVec *vec_reg(PpcState *s, unsigned vsr)
{
    return (PpcVec *)s->vsr[vsr];
}

static inline PpcVec *vec_t(PpcState *s, uint32_t insn) { return vec_reg(s, 32 + field_t(insn)); }
static inline PpcVec *vec_a(PpcState *s, uint32_t insn) { return vec_reg(s, 32 + field_a(insn)); }
static inline PpcVec *vec_b(PpcState *s, uint32_t insn) { return vec_reg(s, 32 + field_b(insn)); }
static inline PpcVec *vec_c(PpcState *s, uint32_t insn) { return vec_reg(s, 32 + field_c(insn)); }

static inline U128 vec_u128(const PpcVec *v)
{
    return (U128)v->d[0] << 64 | v->d[1];
}

static inline void vec_set_u128(PpcVec *v, U128 value)
{
    v->d[0] = value >> 64;
    v->d[1] = value;
}

/* Saturation, which VSCR[SAT] remembers. */
static inline int64_t clamp(PpcState *s, int64_t value, int64_t low, int64_t high)
{
    if (value < low || value > high) {
        s->vscr |= VSCR_SAT;
        return value < low ? low : high;
    }
    return value;
}

/* The single or double in place i, for operations that need not know which element it is. */
static inline uint64_t vec_number(const PpcVec *v, const FpFormat *format, unsigned i)
{
    return format == &fp_single ? v->w[i] : v->d[i];
}

static inline void vec_set_number(PpcVec *v, const FpFormat *format, unsigned i, uint64_t value)
{
    if (format == &fp_single) {
        v->w[i] = value;
    } else {
        v->d[i] = value;
    }
}

#endif
