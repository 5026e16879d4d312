/*
 * Vector elements on the move: pack, unpack, merge, splat, permute, insert, extract (Power ISA, book I, 6.8),
 * and what counts or gathers bits.
 */
#include "target/ppc/internal.h"
#include "vec.h"
#include "vec_ops.h"

#include <string.h>

/* The two sources as one array of elements, in the architecture's order. */
#define PACK(name, from, count, at_from, to, at_to, expression)                              \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                                         \
    {                                                                                        \
        const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);                               \
        PpcVec r;                                                                            \
                                                                                             \
        for (unsigned i = 0; i < 2 * count; i++) {                                           \
            __typeof__(a->from[0]) x = i < count ? a->from[at_from(i)] : b->from[at_from(i - count)]; \
                                                                                             \
            r.to[at_to(i)] = expression;                                                     \
        }                                                                                    \
        *vec_t(s, insn) = r;                                                                 \
    }

static uint32_t clamp_unsigned(PpcState *s, uint64_t value, uint32_t high)
{
    if (value > high) {
        s->vscr |= VSCR_SAT;
        return high;
    }
    return value;
}

#define DOUBLE_AT(i) (i)
PACK(vpkuhum, h, 8, HALF_AT, b, BYTE_AT, x)
PACK(vpkuwum, w, 4, WORD_AT, h, HALF_AT, x)
PACK(vpkudum, d, 2, DOUBLE_AT, w, WORD_AT, x)
PACK(vpkuhus, h, 8, HALF_AT, b, BYTE_AT, clamp_unsigned(s, x, UINT8_MAX))
PACK(vpkuwus, w, 4, WORD_AT, h, HALF_AT, clamp_unsigned(s, x, UINT16_MAX))
PACK(vpkudus, d, 2, DOUBLE_AT, w, WORD_AT, clamp_unsigned(s, x, UINT32_MAX))
PACK(vpkshus, sh, 8, HALF_AT, b, BYTE_AT, clamp(s, x, 0, UINT8_MAX))
PACK(vpkswus, sw, 4, WORD_AT, h, HALF_AT, clamp(s, x, 0, UINT16_MAX))
PACK(vpksdus, sd, 2, DOUBLE_AT, w, WORD_AT, clamp(s, x, 0, UINT32_MAX))
PACK(vpkshss, sh, 8, HALF_AT, sb, BYTE_AT, clamp(s, x, INT8_MIN, INT8_MAX))
PACK(vpkswss, sw, 4, WORD_AT, sh, HALF_AT, clamp(s, x, INT16_MIN, INT16_MAX))
PACK(vpksdss, sd, 2, DOUBLE_AT, sw, WORD_AT, clamp(s, x, INT32_MIN, INT32_MAX))
/* Pixels: 8 8 8 8 bits to 1 5 5 5. */
PACK(vpkpx, w, 4, WORD_AT, h, HALF_AT, (x >> 9 & 0xfc00) | (x >> 6 & 0x3e0) | (x >> 3 & 0x1f))

#define UNPACK(name, from, at_from, to, count, at_to, first, expression)   \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                       \
    {                                                                      \
        const PpcVec *b = vec_b(s, insn);                                  \
        PpcVec r;                                                          \
                                                                           \
        for (unsigned i = 0; i < count; i++) {                             \
            __typeof__(b->from[0]) x = b->from[at_from(first + i)];        \
                                                                           \
            r.to[at_to(i)] = expression;                                   \
        }                                                                  \
        *vec_t(s, insn) = r;                                               \
    }

static uint32_t pixel(uint16_t x)
{
    return (x & 0x8000 ? 0xff000000 : 0) | (x >> 10 & 31) << 16 | (x >> 5 & 31) << 8 | (x & 31);
}

UNPACK(vupkhsb, sb, BYTE_AT, sh, 8, HALF_AT, 0, x)
UNPACK(vupklsb, sb, BYTE_AT, sh, 8, HALF_AT, 8, x)
UNPACK(vupkhsh, sh, HALF_AT, sw, 4, WORD_AT, 0, x)
UNPACK(vupklsh, sh, HALF_AT, sw, 4, WORD_AT, 4, x)
UNPACK(vupkhsw, sw, WORD_AT, sd, 2, DOUBLE_AT, 0, x)
UNPACK(vupklsw, sw, WORD_AT, sd, 2, DOUBLE_AT, 2, x)
UNPACK(vupkhpx, h, HALF_AT, w, 4, WORD_AT, 0, pixel(x))
UNPACK(vupklpx, h, HALF_AT, w, 4, WORD_AT, 4, pixel(x))

/* Pairs of one element of each source. */
#define MERGE(name, member, count, at, index)                    \
    void ppc_exec_##name(PpcState *s, uint32_t insn)             \
    {                                                            \
        const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);   \
        PpcVec r;                                                \
                                                                 \
        for (unsigned i = 0; i < count / 2; i++) {               \
            r.member[at(2 * i)] = a->member[at(index)];          \
            r.member[at(2 * i + 1)] = b->member[at(index)];      \
        }                                                        \
        *vec_t(s, insn) = r;                                     \
    }
MERGE(vmrghb, b, 16, BYTE_AT, (i))
MERGE(vmrglb, b, 16, BYTE_AT, (i + 8))
MERGE(vmrghh, h, 8, HALF_AT, (i))
MERGE(vmrglh, h, 8, HALF_AT, (i + 4))
MERGE(vmrghw, w, 4, WORD_AT, (i))
MERGE(vmrglw, w, 4, WORD_AT, (i + 2))
MERGE(vmrgew, w, 4, WORD_AT, (2 * i))
MERGE(vmrgow, w, 4, WORD_AT, (2 * i + 1))

#define SPLAT(name, member, count, value)                     \
    void ppc_exec_##name(PpcState *s, uint32_t insn)          \
    {                                                         \
        __typeof__(vec_b(s, insn)->member[0]) x = value;      \
                                                              \
        for (unsigned i = 0; i < count; i++) {                \
            vec_t(s, insn)->member[i] = x;                    \
        }                                                     \
    }
SPLAT(vspltb, b, 16, vec_b(s, insn)->b[BYTE_AT(field_a(insn) & 15)])
SPLAT(vsplth, h, 8, vec_b(s, insn)->h[HALF_AT(field_a(insn) & 7)])
SPLAT(vspltw, w, 4, vec_b(s, insn)->w[WORD_AT(field_a(insn) & 3)])
SPLAT(vspltisb, sb, 16, (int32_t)(insn << 11) >> 27)
SPLAT(vspltish, sh, 8, (int32_t)(insn << 11) >> 27)
SPLAT(vspltisw, sw, 4, (int32_t)(insn << 11) >> 27)

void ppc_exec_vsel(PpcState *s, uint32_t insn)
{
    const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn), *c = vec_c(s, insn);
    PpcVec *t = vec_t(s, insn);

    for (unsigned i = 0; i < 2; i++) {
        t->d[i] = (a->d[i] & ~c->d[i]) | (b->d[i] & c->d[i]);
    }
}

/* Byte i of the sources side by side. */
static uint8_t byte_of_pair(const PpcVec *a, const PpcVec *b, unsigned i)
{
    return i & 16 ? b->b[BYTE_AT(i & 15)] : a->b[BYTE_AT(i & 15)];
}

PpcVec vec_permute(const PpcVec *a, const PpcVec *b, const PpcVec *control, unsigned flip)
{
    PpcVec r;

    for (unsigned i = 0; i < 16; i++) {
        r.b[i] = byte_of_pair(a, b, (control->b[i] & 31) ^ flip);
    }
    return r;
}

static void permute(PpcState *s, uint32_t insn, unsigned flip)
{
    *vec_t(s, insn) = vec_permute(vec_a(s, insn), vec_b(s, insn), vec_c(s, insn), flip);
}

void ppc_exec_vperm(PpcState *s, uint32_t insn) { permute(s, insn, 0); }
void ppc_exec_vpermr(PpcState *s, uint32_t insn) { permute(s, insn, 31); }

void ppc_exec_vsldoi(PpcState *s, uint32_t insn)
{
    const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);
    unsigned by = insn >> 6 & 15;
    PpcVec r;

    for (unsigned i = 0; i < 16; i++) {
        r.b[BYTE_AT(i)] = byte_of_pair(a, b, i + by);
    }
    *vec_t(s, insn) = r;
}

void ppc_exec_vpermxor(PpcState *s, uint32_t insn)
{
    const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn), *c = vec_c(s, insn);
    PpcVec r;

    for (unsigned i = 0; i < 16; i++) {
        r.b[i] = a->b[BYTE_AT(c->b[i] >> 4)] ^ b->b[BYTE_AT(c->b[i] & 15)];
    }
    *vec_t(s, insn) = r;
}

/* The bit of A that a byte of B names; those from the 128th on are zero. */
static unsigned named_bit(const PpcVec *a, unsigned index)
{
    return a->d[index >> 6 & 1] >> (~index & 63) & ~index >> 7 & 1;
}

/* All ones in each byte for which vbpermq has a one. */
uint64_t ppc_helper_vec_bits_of(PpcState *s, uint64_t row, uint64_t insn, uint64_t c, uint64_t d)
{
    const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);
    PpcVec r;

    for (unsigned i = 0; i < 16; i++) {
        r.b[i] = named_bit(a, b->b[i]) ? 0xff : 0;
    }
    *vec_t(s, insn) = r;
    return 0;
}

/* The bits of A that the bytes of B name; others are zero. */
void ppc_exec_vbpermq(PpcState *s, uint32_t insn)
{
    const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);
    uint64_t r = 0;

    for (unsigned i = 0; i < 16; i++) {
        r = r << 1 | named_bit(a, b->b[BYTE_AT(i)]);
    }
    *vec_t(s, insn) = (PpcVec){ .d = { r, 0 } };
}

void ppc_exec_vbpermd(PpcState *s, uint32_t insn)
{
    const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);
    PpcVec r = { .d = { 0, 0 } };

    for (unsigned i = 0; i < 16; i++) {
        unsigned index = b->b[BYTE_AT(i)];

        r.d[i / 8] = r.d[i / 8] << 1 | (index < 64 && a->d[i / 8] >> (63 - index) & 1);
    }
    *vec_t(s, insn) = r;
}

/* Bits under the mask change places with those that many further up. */
static uint64_t swap_bits(uint64_t v, uint64_t mask, unsigned distance)
{
    uint64_t differ = (v ^ v >> distance) & mask;

    return v ^ differ ^ differ << distance;
}

/* An 8 by 8 matrix of bits: corners of 2 by 2, of 4 by 4 and of 8 by 8 bits change places. */
static uint64_t transposed(uint64_t v)
{
    v = swap_bits(v, UINT64_C(0x00aa00aa00aa00aa), 7);
    v = swap_bits(v, UINT64_C(0x0000cccc0000cccc), 14);
    return swap_bits(v, UINT64_C(0x00000000f0f0f0f0), 28);
}

/* Each doubleword is such a matrix. */
void ppc_exec_vgbbd(PpcState *s, uint32_t insn)
{
    const PpcVec *b = vec_b(s, insn);

    *vec_t(s, insn) = (PpcVec){ .d = { transposed(b->d[0]), transposed(b->d[1]) } };
}

/* Bytes with an even value before the first odd one. */
static void count_bytes(PpcState *s, uint32_t insn, bool from_right)
{
    const PpcVec *b = vec_b(s, insn);
    unsigned n = 0;

    while (n < 16 && !(b->b[BYTE_AT(from_right ? 15 - n : n)] & 1)) {
        n++;
    }
    s->gpr[field_t(insn)] = n;
}

void ppc_exec_vclzlsbb(PpcState *s, uint32_t insn) { count_bytes(s, insn, false); }
void ppc_exec_vctzlsbb(PpcState *s, uint32_t insn) { count_bytes(s, insn, true); }

/* `size` bytes from byte `at` on; what lies behind the register reads as zero. */
static uint64_t bytes_at(const PpcVec *v, unsigned at, unsigned size)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < size; i++) {
        r = r << 8 | (at + i < 16 ? v->b[BYTE_AT(at + i)] : 0);
    }
    return r;
}

#define EXTRACT(name, size)                                                                                \
    void ppc_exec_vextu##name##lx(PpcState *s, uint32_t insn)                                              \
    {                                                                                                      \
        s->gpr[field_t(insn)] = bytes_at(vec_b(s, insn), s->gpr[field_a(insn)] & 15, size);                \
    }                                                                                                      \
    void ppc_exec_vextu##name##rx(PpcState *s, uint32_t insn)                                              \
    {                                                                                                      \
        unsigned at = 16 - size - (s->gpr[field_a(insn)] & 15);                                            \
                                                                                                           \
        s->gpr[field_t(insn)] = (int)at < 0 ? bytes_at(vec_b(s, insn), 0, size + (int)at) :                \
                                              bytes_at(vec_b(s, insn), at, size);                          \
    }
EXTRACT(b, 1)
EXTRACT(h, 2)
EXTRACT(w, 4)

#define EXTRACT_IMMEDIATE(name, size)                                                            \
    void ppc_exec_vextract##name(PpcState *s, uint32_t insn)                                     \
    {                                                                                            \
        uint64_t r = bytes_at(vec_b(s, insn), field_a(insn) & 15, size);                         \
                                                                                                 \
        *vec_t(s, insn) = (PpcVec){ .d = { r, 0 } };                                             \
    }
EXTRACT_IMMEDIATE(ub, 1)
EXTRACT_IMMEDIATE(uh, 2)
EXTRACT_IMMEDIATE(uw, 4)
EXTRACT_IMMEDIATE(d, 8)

#define INSERT(name, size)                                                                  \
    void ppc_exec_vinsert##name(PpcState *s, uint32_t insn)                                 \
    {                                                                                       \
        PpcVec from = *vec_b(s, insn);                                                      \
        unsigned at = field_a(insn) & 15;                                                   \
                                                                                            \
        for (unsigned i = 0; i < size && at + i < 16; i++) {                                \
            vec_t(s, insn)->b[BYTE_AT(at + i)] = from.b[BYTE_AT(8 - size + i)];             \
        }                                                                                   \
    }
INSERT(b, 1)
INSERT(h, 2)
INSERT(w, 4)
INSERT(d, 8)

void ppc_exec_mfvscr(PpcState *s, uint32_t insn)
{
    *vec_t(s, insn) = (PpcVec){ .d = { 0, s->vscr } };
}

void ppc_exec_mtvscr(PpcState *s, uint32_t insn)
{
    s->vscr = vec_b(s, insn)->d[1] & (VSCR_NJ | VSCR_SAT);
}
