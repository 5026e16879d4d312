/*
 * Matrix-multiply assist (Power ISA 3.1, book I, 7.6.1.13). Accumulator n is the registers 4n to 4n + 3, whatever xxmtacc and
 * xxmfacc say: programs that prime it and take it back cannot tell.
 */
#include "target/ppc/fp.h"
#include "target/ppc/insns.h"
#include "vec_ops.h"

enum {
    I4, I8, I16, F16, BF16, F32, F64, OPERANDS = 15,
    ACCUMULATE = 0x10, SATURATE = 0x20, NEGATE_PRODUCT = 0x40, NEGATE_SUM = 0x80,
};

/* Rows and columns that count, and products of each sum; bits from the left. */
typedef struct Masks {
    unsigned x, y, products;
} Masks;

static unsigned accumulator(uint32_t insn)
{
    return (insn >> 23 & 7) * 4;
}

/* Element k of the word, from the left; the second operand of bytes is unsigned. */
static int element(uint32_t word, unsigned kind, unsigned k, bool second)
{
    switch (kind) {
    case I4: return (int32_t)(word << 4 * k) >> 28;
    case I8: return second ? (uint8_t)(word >> (24 - 8 * k)) : (int8_t)(word >> (24 - 8 * k));
    default: return (int16_t)(word >> (16 - 16 * k));
    }
}

static uint32_t integer_sum(PpcState *s, unsigned how, uint32_t a, uint32_t b, uint32_t old, unsigned products)
{
    unsigned kind = how & OPERANDS, n = kind == I4 ? 8 : kind == I8 ? 4 : 2;
    int64_t sum = how & ACCUMULATE ? (int32_t)old : 0;

    for (unsigned k = 0; k < n; k++) {
        if (products >> (n - 1 - k) & 1) {
            sum += (int64_t)element(a, kind, k, false) * element(b, kind, k, true);
        }
    }
    return how & SATURATE ? clamp(s, sum, INT32_MIN, INT32_MAX) : sum;
}

static uint64_t signs(const FpFormat *f, uint64_t bits, bool negate)
{
    bool nan = fp_is_nan(fp_unpack(f, bits));

    return negate && !nan ? bits ^ (uint64_t)1 << (f->width - 1) : bits;
}

static bool invalid_product(const FpNum *a, const FpNum *b)
{
    return (a->kind == FP_IS_INF && b->kind == FP_IS_ZERO) || (a->kind == FP_IS_ZERO && b->kind == FP_IS_INF);
}

/* a * b or a * b + old, negated before it is rounded once. */
static uint64_t fused(PpcState *s, unsigned how, const FpFormat *f, uint64_t a, uint64_t b, uint64_t old, uint32_t *all)
{
    FpNum x = fp_unpack(f, a), y = fp_unpack(f, b), z = fp_unpack(f, old), n;
    const FpNum *const operands[] = { &x, how & ACCUMULATE ? &z : &y, &y };
    bool negate = how & NEGATE_PRODUCT, subtract = negate != !!(how & NEGATE_SUM);
    uint32_t flags = 0;
    uint64_t r;

    if (fp_pick_nan(operands, 3, &n, &flags)) {
        *all |= flags | (invalid_product(&x, &y) ? FPSCR_VXIMZ : 0);
        return fp_pack(f, n, ROUND_NEAREST, 0, &flags);
    }
    z.negative ^= subtract;
    n = how & ACCUMULATE ? fp_mul_add(x, y, z, fp_rn(s), &flags) : fp_mul(x, y, &flags);
    n.negative ^= negate && !fp_is_nan(n);
    r = fp_pack(f, n, fp_rn(s), s->fpscr & (FPSCR_OE | FPSCR_UE), &flags);
    *all |= fp_sticky(flags);
    return r;
}

/* The first NaN that there is, and whether an infinity meets a zero: as fp_arith does for a product and an addend. */
static FpNum multiply_add(FpNum a, FpNum b, const FpNum *addend, FpRound round, uint32_t *flags)
{
    const FpNum *const operands[] = { &a, addend ? addend : &b, &b };
    FpNum n;

    if (fp_pick_nan(operands, 3, &n, flags)) {
        *flags |= invalid_product(&a, &b) ? FPSCR_VXIMZ : 0;
        return n;
    }
    return addend ? fp_mul_add(a, b, *addend, round, flags) : fp_mul(a, b, flags);
}

/* Two products of halves, exact and rounded to a single; then the accumulator. */
static uint32_t pairs(PpcState *s, unsigned how, uint32_t a, uint32_t b, uint32_t old, unsigned products, uint32_t *all)
{
    const FpFormat *half = (how & OPERANDS) == F16 ? &fp_half : &fp_bfloat;
    uint32_t flags = 0, sum = 0, more = 0;
    FpNum n = { .kind = FP_IS_ZERO };

    if (products & 2) {
        n = multiply_add(fp_unpack(half, a >> 16), fp_unpack(half, b >> 16), NULL, fp_rn(s), &flags);
    }
    if (products & 1) {
        FpNum first = n; /* +0 where it does not count */

        n = multiply_add(fp_unpack(half, a & 0xffff), fp_unpack(half, b & 0xffff), &first, fp_rn(s), &flags);
    }
    if (products == 2) {
        n = fp_is_nan(n) ? n : fp_add(n, (FpNum){ .kind = FP_IS_ZERO }, fp_rn(s), &flags);
    }
    sum = fp_pack(&fp_single, n, fp_rn(s), 0, &flags);
    if (how & ACCUMULATE) {
        sum = fp_arith(s, FP_ADD, &fp_single, &fp_single, fp_rn(s), signs(&fp_single, sum, how & NEGATE_PRODUCT),
                       signs(&fp_single, old, how & NEGATE_SUM), 0, &more);
    }
    *all |= fp_sticky(flags) | fp_sticky(more);
    return sum;
}

static void outer_product(PpcState *s, uint32_t insn, unsigned how, const Masks *masks)
{
    const PpcVec *a = vec_reg(s, field_xa(insn)), *b = vec_reg(s, field_xb(insn));
    unsigned kind = how & OPERANDS, columns = kind == F64 ? 2 : 4;
    PpcVec x[2] = { a[0], kind == F64 ? vec_reg(s, field_xa(insn) | 1)[0] : a[0] }, y = *b, r[4];
    uint32_t flags = 0;

    for (unsigned i = 0; i < 4; i++) {
        const PpcVec *old = vec_reg(s, accumulator(insn) + i);

        r[i] = (PpcVec){ .d = { 0, 0 } };
        for (unsigned j = 0; j < columns; j++) {
            uint32_t wa = x[0].w[WORD_AT(i)], wb = y.w[WORD_AT(j)], was = old->w[WORD_AT(j)], sum;

            if (!(masks->x >> (3 - i) & 1) || !(masks->y >> (columns - 1 - j) & 1)) {
                continue;
            }
            switch (kind) {
            case F64: r[i].d[j] = fused(s, how, &fp_double, x[i / 2].d[i & 1], y.d[j], old->d[j], &flags); continue;
            case F32: sum = fused(s, how, &fp_single, wa, wb, was, &flags); break;
            case F16:
            case BF16: sum = pairs(s, how, wa, wb, was, masks->products, &flags); break;
            default: sum = integer_sum(s, how, wa, wb, was, masks->products); break;
            }
            r[i].w[WORD_AT(j)] = sum;
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        *vec_reg(s, accumulator(insn) + i) = r[i];
    }
    if (kind >= F16) {
        fp_note_vector(s, flags);
        fp_trap(s);
    }
}

/* Masks of a prefix: products in the bits from 16 on, then rows and columns. */
static Masks masks_of(unsigned how, uint32_t prefix)
{
    unsigned kind = how & OPERANDS;
    Masks m = { .x = prefix >> 4 & 15, .y = kind == F64 ? prefix >> 2 & 3 : prefix & 15 };

    m.products = kind == I4 ? prefix >> 8 & 0xff : kind == I8 ? prefix >> 12 & 15 : prefix >> 14 & 3;
    return m;
}

static const uint8_t hows[] = {
#define GER(name, xo, how) how,
#include "target/ppc/mma.def"
#undef GER
};

enum { ALL_ONES = 0xffff };

/* (row of mma.def, prefix << 32 | word); without a prefix the masks are all ones. */
uint64_t ppc_helper_mma(PpcState *s, uint64_t row, uint64_t words, uint64_t c, uint64_t d)
{
    uint32_t prefix = words >> 32;
    Masks masks = masks_of(hows[row], prefix ? prefix : ALL_ONES);

    ppc_fp_settle(s);
    outer_product(s, words, hows[row], &masks);
    ppc_fp_update_fast(s);
    return 0;
}

/* Operands in the accumulator's registers, or of pairs in an odd one, are invalid forms. */
static void emit_ger(PpcTranslator *tr, const PpcInsn *in)
{
    bool pair = (hows[in->row->op] & OPERANDS) == F64;
    unsigned acc = accumulator(in->word), xa = field_xa(in->word), xb = field_xb(in->word);

    if (xa / 4 * 4 == acc || xb / 4 * 4 == acc || (pair && xa & 1)) {
        ppc_emit_illegal(tr);
        return;
    }
    tr->fp_last = -1;
    PPC_CALL2(tr, mma, ppc_const(tr, IR_I64, in->row->op), ppc_const(tr, IR_I64, (uint64_t)in->prefix << 32 | in->word));
}

/* xxmfacc, xxmtacc: nothing moves. */
static void emit_prime(PpcTranslator *tr, const PpcInsn *in)
{
}

static void emit_setaccz(PpcTranslator *tr, const PpcInsn *in)
{
    for (unsigned i = 0; i < 8; i++) {
        uint32_t offset = offsetof(PpcState, vsr) + accumulator(in->word) * sizeof(PpcVsr) + i * 8;

        ir_put_field(tr->ir, IR_I64, offset, ppc_const(tr, IR_I64, 0));
    }
}

enum {
#define GER(name, xo, how) ROW_##name,
#include "target/ppc/mma.def"
#undef GER
};

const PpcRow ppc_rows_mma[] = {
    { "xxmfacc", 0x7c000162, 0xfc1f07fe, emit_prime, A_VSX, ISA_V310, 0, 0, 0 },
    { "xxmtacc", 0x7c010162, 0xfc1f07fe, emit_prime, A_VSX, ISA_V310, 0, 0, 0 },
    { "xxsetaccz", 0x7c030162, 0xfc1f07fe, emit_setaccz, A_VSX, ISA_V310, 0, 0, 0 },
#define GER(name, xo, how)                                                                                      \
    { #name, 0xec000000 | (xo) << 3, 0xfc0007f9, emit_ger, A_VSX, ISA_V310, ROW_##name, 0, 0 },                  \
    { "pm" #name, 0xec000000 | (xo) << 3, 0xfc0007f9, emit_ger, A_VSX | A_PREFIXED, ISA_V310, ROW_##name, 0x07900000, 0xfff00000 },
#include "target/ppc/mma.def"
#undef GER
    { NULL },
};
