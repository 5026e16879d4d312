/*
 * AltiVec integer arithmetic, logic, shifts and comparisons (Power ISA, book I, 6.9 to 6.11).
 */
#include "vec.h"
#include "vec_ops.h"

/* A function of two elements at the same place. */
#define ELEMENTS(name, member, count, expression)                                       \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                                    \
    {                                                                                   \
        const PpcVec *va = vec_a(s, insn), *vb = vec_b(s, insn);                        \
        PpcVec *vt = vec_t(s, insn);                                                    \
                                                                                        \
        for (unsigned i = 0; i < count; i++) {                                          \
            __typeof__(va->member[0]) a = va->member[i], b = vb->member[i];             \
            (void)a;                                                                    \
            vt->member[i] = expression;                                                 \
        }                                                                               \
    }

/* For bytes, halfwords, words and doublewords. */
#define SIZES(name, sign, expression)                    \
    ELEMENTS(name##b, sign##b, 16, expression)           \
    ELEMENTS(name##h, sign##h, 8, expression)            \
    ELEMENTS(name##w, sign##w, 4, expression)            \
    ELEMENTS(name##d, sign##d, 2, expression)

ELEMENTS(vaddubm, b, 16, a + b)
ELEMENTS(vadduhm, h, 8, a + b)
ELEMENTS(vadduwm, w, 4, a + b)
ELEMENTS(vaddudm, d, 2, a + b)
ELEMENTS(vsububm, b, 16, a - b)
ELEMENTS(vsubuhm, h, 8, a - b)
ELEMENTS(vsubuwm, w, 4, a - b)
ELEMENTS(vsubudm, d, 2, a - b)
ELEMENTS(vaddcuw, w, 4, ((uint64_t)a + b) >> 32)
ELEMENTS(vsubcuw, w, 4, a >= b)
ELEMENTS(vaddubs, b, 16, clamp(s, a + b, 0, UINT8_MAX))
ELEMENTS(vadduhs, h, 8, clamp(s, a + b, 0, UINT16_MAX))
ELEMENTS(vadduws, w, 4, clamp(s, (int64_t)a + b, 0, UINT32_MAX))
ELEMENTS(vaddsbs, sb, 16, clamp(s, a + b, INT8_MIN, INT8_MAX))
ELEMENTS(vaddshs, sh, 8, clamp(s, a + b, INT16_MIN, INT16_MAX))
ELEMENTS(vaddsws, sw, 4, clamp(s, (int64_t)a + b, INT32_MIN, INT32_MAX))
ELEMENTS(vsububs, b, 16, clamp(s, a - b, 0, UINT8_MAX))
ELEMENTS(vsubuhs, h, 8, clamp(s, a - b, 0, UINT16_MAX))
ELEMENTS(vsubuws, w, 4, clamp(s, (int64_t)a - b, 0, UINT32_MAX))
ELEMENTS(vsubsbs, sb, 16, clamp(s, a - b, INT8_MIN, INT8_MAX))
ELEMENTS(vsubshs, sh, 8, clamp(s, a - b, INT16_MIN, INT16_MAX))
ELEMENTS(vsubsws, sw, 4, clamp(s, (int64_t)a - b, INT32_MIN, INT32_MAX))
SIZES(vmaxu, , a > b ? a : b)
SIZES(vmaxs, s, a > b ? a : b)
SIZES(vminu, , a < b ? a : b)
SIZES(vmins, s, a < b ? a : b)
ELEMENTS(vavgub, b, 16, (a + b + 1) >> 1)
ELEMENTS(vavguh, h, 8, (a + b + 1) >> 1)
ELEMENTS(vavguw, w, 4, ((uint64_t)a + b + 1) >> 1)
ELEMENTS(vavgsb, sb, 16, (a + b + 1) >> 1)
ELEMENTS(vavgsh, sh, 8, (a + b + 1) >> 1)
ELEMENTS(vavgsw, sw, 4, ((int64_t)a + b + 1) >> 1)
ELEMENTS(vabsdub, b, 16, a > b ? a - b : b - a)
ELEMENTS(vabsduh, h, 8, a > b ? a - b : b - a)
ELEMENTS(vabsduw, w, 4, a > b ? a - b : b - a)
ELEMENTS(vand, d, 2, a & b)
ELEMENTS(vandc, d, 2, a & ~b)
ELEMENTS(vor, d, 2, a | b)
ELEMENTS(vorc, d, 2, a | ~b)
ELEMENTS(vxor, d, 2, a ^ b)
ELEMENTS(vnor, d, 2, ~(a | b))
ELEMENTS(vnand, d, 2, ~(a & b))
ELEMENTS(veqv, d, 2, ~(a ^ b))
ELEMENTS(vmuluwm, w, 4, a * b)
ELEMENTS(vrlb, b, 16, a << (b & 7) | a >> (-b & 7))
ELEMENTS(vrlh, h, 8, a << (b & 15) | a >> (-b & 15))
ELEMENTS(vrlw, w, 4, a << (b & 31) | a >> (-b & 31))
ELEMENTS(vrld, d, 2, a << (b & 63) | a >> (-b & 63))
ELEMENTS(vslb, b, 16, a << (b & 7))
ELEMENTS(vslh, h, 8, a << (b & 15))
ELEMENTS(vslw, w, 4, a << (b & 31))
ELEMENTS(vsld, d, 2, a << (b & 63))
ELEMENTS(vsrb, b, 16, a >> (b & 7))
ELEMENTS(vsrh, h, 8, a >> (b & 15))
ELEMENTS(vsrw, w, 4, a >> (b & 31))
ELEMENTS(vsrd, d, 2, a >> (b & 63))
ELEMENTS(vsrab, sb, 16, a >> (b & 7))
ELEMENTS(vsrah, sh, 8, a >> (b & 15))
ELEMENTS(vsraw, sw, 4, a >> (b & 31))
ELEMENTS(vsrad, sd, 2, a >> (b & 63))
ELEMENTS(vclzb, b, 16, b ? __builtin_clz(b) - 24 : 8)
ELEMENTS(vclzh, h, 8, b ? __builtin_clz(b) - 16 : 16)
ELEMENTS(vclzw, w, 4, b ? __builtin_clz(b) : 32)
ELEMENTS(vclzd, d, 2, b ? __builtin_clzll(b) : 64)
ELEMENTS(vctzb, b, 16, b ? __builtin_ctz(b) : 8)
ELEMENTS(vctzh, h, 8, b ? __builtin_ctz(b) : 16)
ELEMENTS(vctzw, w, 4, b ? __builtin_ctz(b) : 32)
ELEMENTS(vctzd, d, 2, b ? __builtin_ctzll(b) : 64)
ELEMENTS(vpopcntb, b, 16, __builtin_popcount(b))
ELEMENTS(vpopcnth, h, 8, __builtin_popcount(b))
ELEMENTS(vpopcntw, w, 4, __builtin_popcount(b))
ELEMENTS(vpopcntd, d, 2, __builtin_popcountll(b))
ELEMENTS(vnegw, w, 4, -b)
ELEMENTS(vnegd, d, 2, -b)
ELEMENTS(vextsb2w, sw, 4, (int8_t)b)
ELEMENTS(vextsh2w, sw, 4, (int16_t)b)
ELEMENTS(vextsb2d, sd, 2, (int8_t)b)
ELEMENTS(vextsh2d, sd, 2, (int16_t)b)
ELEMENTS(vextsw2d, sd, 2, (int32_t)b)
ELEMENTS(vprtybw, w, 4, __builtin_parity(b & 0x01010101))
ELEMENTS(vprtybd, d, 2, __builtin_parityll(b & UINT64_C(0x0101010101010101)))
ELEMENTS(vmulld, d, 2, a * b)
ELEMENTS(vmulhuw, w, 4, ((uint64_t)a * b) >> 32)
ELEMENTS(vmulhsw, sw, 4, ((int64_t)a * b) >> 32)
ELEMENTS(vmulhud, d, 2, ((U128)a * b) >> 64)
ELEMENTS(vmulhsd, sd, 2, ((S128)a * b) >> 64)
/* A quotient that does not exist is undefined. */
ELEMENTS(vdivuw, w, 4, b ? a / b : 0)
ELEMENTS(vdivud, d, 2, b ? a / b : 0)
ELEMENTS(vdivsw, sw, 4, b == 0 || (a == INT32_MIN && b == -1) ? 0 : a / b)
ELEMENTS(vdivsd, sd, 2, b == 0 || (a == INT64_MIN && b == -1) ? 0 : a / b)
ELEMENTS(vmoduw, w, 4, b ? a % b : 0)
ELEMENTS(vmodud, d, 2, b ? a % b : 0)
ELEMENTS(vmodsw, sw, 4, b == 0 || (a == INT32_MIN && b == -1) ? 0 : a % b)
ELEMENTS(vmodsd, sd, 2, b == 0 || (a == INT64_MIN && b == -1) ? 0 : a % b)
ELEMENTS(vdiveuw, w, 4, b && a < b ? (uint32_t)(((uint64_t)a << 32) / b) : 0)
ELEMENTS(vdiveud, d, 2, b && a < b ? (uint64_t)(((U128)a << 64) / b) : 0)

/* Products of every second element: "even" ones are 0, 2, 4 from the left. */
#define PRODUCTS(name, from, to, count, odd, type)                                      \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                                    \
    {                                                                                   \
        const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);                          \
        PpcVec r;                                                                       \
                                                                                        \
        for (unsigned i = 0; i < count; i++) {                                          \
            r.to[i] = (type)a->from[2 * i + !odd] * b->from[2 * i + !odd];              \
        }                                                                               \
        *vec_t(s, insn) = r;                                                            \
    }
#define PRODUCTS_BOTH(suffix, from, to, count, type)   \
    PRODUCTS(vmule##suffix, from, to, count, 0, type)  \
    PRODUCTS(vmulo##suffix, from, to, count, 1, type)
PRODUCTS_BOTH(ub, b, h, 8, uint32_t)
PRODUCTS_BOTH(sb, sb, sh, 8, int32_t)
PRODUCTS_BOTH(uh, h, w, 4, uint32_t)
PRODUCTS_BOTH(sh, sh, sw, 4, int32_t)
PRODUCTS_BOTH(uw, w, d, 2, uint64_t)
PRODUCTS_BOTH(sw, sw, sd, 2, int64_t)

#define QUAD(name, expression)                                                              \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                                        \
    {                                                                                       \
        U128 a = vec_u128(vec_a(s, insn)), b = vec_u128(vec_b(s, insn)), c = vec_u128(vec_c(s, insn)); \
                                                                                            \
        (void)a;                                                                            \
        (void)b;                                                                            \
        (void)c;                                                                            \
        vec_set_u128(vec_t(s, insn), expression);                                           \
    }

static bool carry_of(U128 a, U128 b, unsigned in)
{
    U128 sum = a + b;

    return sum < a || sum + in < sum;
}

QUAD(vadduqm, a + b)
QUAD(vaddcuq, carry_of(a, b, 0))
QUAD(vaddeuqm, a + b + (c & 1))
QUAD(vaddecuq, carry_of(a, b, c & 1))
QUAD(vsubuqm, a - b)
QUAD(vsubcuq, carry_of(a, ~b, 1))
QUAD(vsubeuqm, a + ~b + (c & 1))
QUAD(vsubecuq, carry_of(a, ~b, c & 1))
QUAD(vprtybq, __builtin_parityll((uint64_t)(b ^ b >> 64) & UINT64_C(0x0101010101010101)))
QUAD(vmuloud, (U128)(uint64_t)a * (uint64_t)b)
QUAD(vmuleud, (a >> 64) * (b >> 64))
QUAD(vmulosd, (U128)((S128)(int64_t)a * (int64_t)b))
QUAD(vmulesd, (U128)((S128)(int64_t)(a >> 64) * (int64_t)(b >> 64)))
/* The count is in the last bits (vsl, vsr), or the bytes of the last byte (vslo, vsro). */
QUAD(vsl, a << (b & 7))
QUAD(vsr, a >> (b & 7))
QUAD(vslo, a << (b & 0x78))
QUAD(vsro, a >> (b & 0x78))
QUAD(vslq, a << (b >> 64 & 127))
QUAD(vsrq, a >> (b >> 64 & 127))
QUAD(vsraq, (U128)((S128)a >> (b >> 64 & 127)))
QUAD(vrlq, b >> 64 & 127 ? a << (b >> 64 & 127) | a >> (-(b >> 64) & 127) : a)
/* Products of quadwords and ten, for decimal conversions. */
QUAD(vmul10uq, a * 10)
QUAD(vmul10euq, a * 10 + (b & 15))
QUAD(vmsumudm, (a >> 64) * (b >> 64) + (U128)(uint64_t)a * (uint64_t)b + c)

/* What a * 10 + digit has above 128 bits. */
static unsigned mul10_carry(U128 a, unsigned digit)
{
    U128 low = (U128)(uint64_t)a * 10 + digit, high = (a >> 64) * 10 + (low >> 64);

    return high >> 64;
}

QUAD(vmul10cuq, mul10_carry(a, 0))
QUAD(vmul10ecuq, mul10_carry(a, b & 15))

/* Shifts by a byte each, of that byte and its neighbour. */
void ppc_exec_vslv(PpcState *s, uint32_t insn)
{
    const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);
    PpcVec r;

    for (unsigned i = 0; i < 16; i++) {
        unsigned pair = a->b[BYTE_AT(i)] << 8 | (i < 15 ? a->b[BYTE_AT(i + 1)] : 0);

        r.b[BYTE_AT(i)] = pair << (b->b[BYTE_AT(i)] & 7) >> 8;
    }
    *vec_t(s, insn) = r;
}

void ppc_exec_vsrv(PpcState *s, uint32_t insn)
{
    const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);
    PpcVec r;

    for (unsigned i = 0; i < 16; i++) {
        unsigned pair = a->b[BYTE_AT(i)] | (i ? a->b[BYTE_AT(i - 1)] << 8 : 0);

        r.b[BYTE_AT(i)] = pair >> (b->b[BYTE_AT(i)] & 7);
    }
    *vec_t(s, insn) = r;
}

/* Ones from bit `first` to bit `last`, counted from the left of `width`; around the end if first > last. */
static uint64_t mask_of(unsigned first, unsigned last, unsigned width)
{
    uint64_t ones = width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
    uint64_t from = ones >> first, to = ones << (width - 1 - last) & ones;

    return first <= last ? from & to : from | to;
}

static uint64_t rotated(uint64_t a, uint64_t control, unsigned width, uint64_t *mask)
{
    unsigned by = control & (width - 1), last = control >> 8 & (width - 1), first = control >> 16 & (width - 1);

    *mask = mask_of(first, last, width);
    return width == 64 ? a << by | a >> (-by & 63) : (uint32_t)((uint32_t)a << by | (uint32_t)a >> (-by & 31));
}

#define ROTATE_MASK(name, member, count, width, keep)                                             \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                                              \
    {                                                                                             \
        PpcVec *t = vec_t(s, insn);                                                               \
                                                                                                  \
        for (unsigned i = 0; i < count; i++) {                                                    \
            uint64_t mask, r = rotated(vec_a(s, insn)->member[i], vec_b(s, insn)->member[i], width, &mask); \
                                                                                                  \
            t->member[i] = (r & mask) | (keep ? t->member[i] & ~mask : 0);                        \
        }                                                                                         \
    }
ROTATE_MASK(vrlwnm, w, 4, 32, 0)
ROTATE_MASK(vrldnm, d, 2, 64, 0)
/* Here the old contents of T are read, and T may be a source too. */
ROTATE_MASK(vrlwmi, w, 4, 32, 1)
ROTATE_MASK(vrldmi, d, 2, 64, 1)

/* Multiply and add. */
static void multiply_high(PpcState *s, uint32_t insn, int round)
{
    const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn), *c = vec_c(s, insn);
    PpcVec *t = vec_t(s, insn);

    for (unsigned i = 0; i < 8; i++) {
        t->sh[i] = clamp(s, ((a->sh[i] * b->sh[i] + round) >> 15) + c->sh[i], INT16_MIN, INT16_MAX);
    }
}

void ppc_exec_vmhaddshs(PpcState *s, uint32_t insn) { multiply_high(s, insn, 0); }
void ppc_exec_vmhraddshs(PpcState *s, uint32_t insn) { multiply_high(s, insn, 0x4000); }

void ppc_exec_vmladduhm(PpcState *s, uint32_t insn)
{
    const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn), *c = vec_c(s, insn);

    for (unsigned i = 0; i < 8; i++) {
        vec_t(s, insn)->h[i] = (uint32_t)a->h[i] * b->h[i] + c->h[i];
    }
}

/* Sums of the products within each word, and a word. */
#define SUM_OF_PRODUCTS(name, ma, mb, per, finish)                                           \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                                         \
    {                                                                                        \
        const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn), *c = vec_c(s, insn);          \
        PpcVec r;                                                                            \
                                                                                             \
        for (unsigned i = 0; i < 4; i++) {                                                   \
            int64_t sum = 0;                                                                 \
                                                                                             \
            for (unsigned k = 0; k < per; k++) {                                             \
                sum += (int64_t)a->ma[i * per + k] * b->mb[i * per + k];                     \
            }                                                                                \
            r.w[i] = finish;                                                                 \
        }                                                                                    \
        *vec_t(s, insn) = r;                                                                 \
    }
SUM_OF_PRODUCTS(vmsumubm, b, b, 4, sum + c->w[i])
SUM_OF_PRODUCTS(vmsummbm, sb, b, 4, sum + c->w[i])
SUM_OF_PRODUCTS(vmsumuhm, h, h, 2, sum + c->w[i])
SUM_OF_PRODUCTS(vmsumuhs, h, h, 2, clamp(s, sum + c->w[i], 0, UINT32_MAX))
SUM_OF_PRODUCTS(vmsumshm, sh, sh, 2, sum + c->w[i])
SUM_OF_PRODUCTS(vmsumshs, sh, sh, 2, clamp(s, sum + c->sw[i], INT32_MIN, INT32_MAX))

#define SUM4(name, member, word, per, low, high)                              \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                          \
    {                                                                         \
        const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);                \
        PpcVec r;                                                             \
                                                                              \
        for (unsigned i = 0; i < 4; i++) {                                    \
            int64_t sum = b->word[i];                                         \
                                                                              \
            for (unsigned k = 0; k < per; k++) {                              \
                sum += a->member[i * per + k];                                \
            }                                                                 \
            r.w[i] = clamp(s, sum, low, high);                                \
        }                                                                     \
        *vec_t(s, insn) = r;                                                  \
    }
SUM4(vsum4ubs, b, w, 4, 0, UINT32_MAX)
SUM4(vsum4sbs, sb, sw, 4, INT32_MIN, INT32_MAX)
SUM4(vsum4shs, sh, sw, 2, INT32_MIN, INT32_MAX)

void ppc_exec_vsum2sws(PpcState *s, uint32_t insn)
{
    const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);
    PpcVec r = { .d = { 0, 0 } };

    for (unsigned i = 0; i < 2; i++) {
        int64_t sum = (int64_t)a->sw[2 * i] + a->sw[2 * i + 1] + b->sw[2 * i];

        r.sw[2 * i] = clamp(s, sum, INT32_MIN, INT32_MAX);
    }
    *vec_t(s, insn) = r;
}

void ppc_exec_vsumsws(PpcState *s, uint32_t insn)
{
    const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);
    int64_t sum = (int64_t)a->sw[0] + a->sw[1] + a->sw[2] + a->sw[3] + b->sw[WORD_AT(3)];
    PpcVec r = { .d = { 0, 0 } };

    r.sw[WORD_AT(3)] = clamp(s, sum, INT32_MIN, INT32_MAX);
    *vec_t(s, insn) = r;
}

/* Comparisons: ones where true. The recording form tells in CR6 whether all, or none, are. */
void vec_record(PpcState *s, uint32_t insn, const PpcVec *r)
{
    if (insn & 0x400) {
        s->cr[6] = (r->d[0] & r->d[1]) == UINT64_MAX ? 8 : !(r->d[0] | r->d[1]) ? 2 : 0;
    }
}

#define COMPARE(name, member, count, condition)                                \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                           \
    {                                                                          \
        const PpcVec *va = vec_a(s, insn), *vb = vec_b(s, insn);               \
        PpcVec *r = vec_t(s, insn);                                            \
                                                                               \
        for (unsigned i = 0; i < count; i++) {                                 \
            __typeof__(va->member[0]) a = va->member[i], b = vb->member[i];    \
                                                                               \
            r->member[i] = condition ? -1 : 0;                                 \
        }                                                                      \
        vec_record(s, insn, r);                                                \
    }
#define COMPARE_SIZES(name, sign, condition)      \
    COMPARE(name##b, sign##b, 16, condition)      \
    COMPARE(name##h, sign##h, 8, condition)       \
    COMPARE(name##w, sign##w, 4, condition)
COMPARE_SIZES(vcmpequ, , a == b)
COMPARE_SIZES(vcmpgtu, , a > b)
COMPARE_SIZES(vcmpgts, s, a > b)
COMPARE_SIZES(vcmpne, , a != b)
COMPARE_SIZES(vcmpnez, , a != b || !a || !b)
COMPARE(vcmpequd, d, 2, a == b)
COMPARE(vcmpgtud, d, 2, a > b)
COMPARE(vcmpgtsd, sd, 2, a > b)
