/*
 * What each pure operation computes, in plain C: the one home of their meaning.
 *
 * Folding and the interpreter call ir_eval; the back-end is tested against it. Flags are those of
 * the x86 instruction of the same name (Intel SDM vol. 1, 3.4.3 and appendix A); a flag that the
 * manual leaves undefined is zero here and missing in ir_eval_flags_defined.
 */
#include "tcg/ir.h"
#include "util/bits.h"

#define FLAGS_ARITH FLAGS_ALL
#define FLAGS_LOGIC (FLAGS_ALL & ~FLAG_AF)

typedef unsigned __int128 Wide;
typedef __int128 SignedWide;

static unsigned type_width(IrType type)
{
    return ir_type_size(type) * 8;
}

static uint32_t top_bit(uint64_t v, unsigned width)
{
    return v >> (width - 1) & 1;
}

/* SF, ZF and PF, which depend on the result alone. */
static uint32_t result_flags(uint64_t out, unsigned width)
{
    uint32_t flags = 0;

    flags |= out == 0 ? FLAG_ZF : 0;
    flags |= top_bit(out, width) ? FLAG_SF : 0;
    flags |= __builtin_parity((uint8_t)out) ? 0 : FLAG_PF;
    return flags;
}

static uint32_t carry_overflow(bool carry, bool overflow)
{
    return (carry ? FLAG_CF : 0) | (overflow ? FLAG_OF : 0);
}

static uint32_t add_flags(uint64_t a, uint64_t b, uint64_t out, unsigned width)
{
    return result_flags(out, width) | ((a ^ b ^ out) & FLAG_AF) |
           carry_overflow(top_bit((a & b) | ((a | b) & ~out), width),
                          top_bit((a ^ out) & (b ^ out), width));
}

static uint32_t sub_flags(uint64_t a, uint64_t b, uint64_t out, unsigned width)
{
    return result_flags(out, width) | ((a ^ b ^ out) & FLAG_AF) |
           carry_overflow(top_bit((~a & b) | (~(a ^ b) & out), width),
                          top_bit((a ^ b) & (a ^ out), width));
}

/* Rotate counts are taken as hosts do: modulo 32 or 64 first, then modulo the width. */
static unsigned rotate_count(uint64_t b, unsigned width)
{
    return b & (width == 64 ? 63 : 31);
}

static uint64_t rotate_left(uint64_t a, unsigned n, unsigned width, uint64_t mask)
{
    n %= width;
    return n == 0 ? a : (a << n | a >> (width - n)) & mask;
}

bool ir_cc_holds(IrCc cc, uint32_t flags)
{
    bool of = flags & FLAG_OF, sf = flags & FLAG_SF, zf = flags & FLAG_ZF, cf = flags & FLAG_CF;
    bool holds = false;

    switch (cc & ~1) {
    case CC_O: holds = of; break;
    case CC_B: holds = cf; break;
    case CC_E: holds = zf; break;
    case CC_BE: holds = cf || zf; break;
    case CC_S: holds = sf; break;
    case CC_P: holds = flags & FLAG_PF; break;
    case CC_L: holds = sf != of; break;
    case CC_LE: holds = zf || sf != of; break;
    }
    return holds != (cc & 1);
}

static bool cond_holds(IrCond cond, uint64_t a, uint64_t b, unsigned width)
{
    int64_t sa = sign_extend(a, width), sb = sign_extend(b, width);

    switch (cond) {
    case COND_EQ: return a == b;
    case COND_NE: return a != b;
    case COND_LTU: return a < b;
    case COND_GEU: return a >= b;
    case COND_LEU: return a <= b;
    case COND_GTU: return a > b;
    case COND_LTS: return sa < sb;
    case COND_GES: return sa >= sb;
    case COND_LES: return sa <= sb;
    case COND_GTS: return sa > sb;
    }
    return false;
}

static uint32_t eval_mul(const IrInsn *insn, uint64_t a, uint64_t b, unsigned width, uint64_t out[2])
{
    uint64_t mask = ir_mask(insn->type);
    Wide product;
    bool lost;

    if (insn->op == IR_mulu2) {
        product = (Wide)a * b;
        lost = product >> width != 0;
    } else {
        SignedWide p = (SignedWide)sign_extend(a, width) * sign_extend(b, width);

        product = (Wide)p;
        lost = p != sign_extend((uint64_t)p & mask, width);
    }
    out[0] = (uint64_t)product & mask;
    out[1] = (uint64_t)(product >> width) & mask;
    return carry_overflow(lost, lost);
}

/* Whatever comes here must not trap. */
static void eval_div(const IrInsn *insn, uint64_t a, uint64_t b, uint64_t c, unsigned width, uint64_t out[2])
{
    uint64_t mask = ir_mask(insn->type);
    Wide n = (Wide)b << width | a;

    out[0] = b;
    out[1] = (a - b * c) & mask;
    if (c == 0 || (insn->op == IR_divs2 && c == mask && b == mask && a == mask / 2 + 1)) {
        return;
    }
    if (insn->op == IR_divu2) {
        out[0] = (uint64_t)(n / c) & mask;
        out[1] = (uint64_t)(n % c) & mask;
    } else {
        SignedWide s = (SignedWide)(n << (128 - 2 * width)) >> (128 - 2 * width);
        int64_t d = sign_extend(c, width);

        if (d == -1) { /* the quotient of the most negative number does not fit any type */
            out[0] = (uint64_t)(0 - (Wide)s) & mask;
            out[1] = 0;
        } else {
            out[0] = (uint64_t)(s / d) & mask;
            out[1] = (uint64_t)(s % d) & mask;
        }
    }
}

/* Shifts and rotates: in range by contract, masked so that nothing here is undefined in C. */
static uint32_t eval_shift(const IrInsn *insn, uint64_t a, uint64_t b, unsigned width, uint64_t *out)
{
    uint64_t mask = ir_mask(insn->type);
    unsigned n = b & (width - 1);
    uint64_t r;
    bool cf = false, of = false;

    switch (insn->op) {
    case IR_shl:
        r = a << n & mask;
        cf = n && a >> (width - n) & 1;
        of = n == 1 && top_bit(r, width) != cf;
        break;
    case IR_shr:
        r = a >> n;
        cf = n && a >> (n - 1) & 1;
        of = n == 1 && top_bit(a, width);
        break;
    default:
        r = (uint64_t)(sign_extend(a, width) >> n) & mask;
        cf = n && sign_extend(a, width) >> (n - 1) & 1;
        break;
    }
    *out = r;
    return n ? result_flags(r, width) | carry_overflow(cf, of) : 0;
}

static uint32_t eval_rotate(const IrInsn *insn, uint64_t a, uint64_t b, unsigned width, uint64_t *out)
{
    uint64_t mask = ir_mask(insn->type);
    unsigned n = rotate_count(b, width);
    uint64_t r;

    if (insn->op == IR_rol) {
        r = rotate_left(a, n, width, mask);
        *out = r;
        return n ? carry_overflow(r & 1, n == 1 && (r & 1) != top_bit(r, width)) : 0;
    }
    r = rotate_left(a, width - n % width, width, mask);
    *out = r;
    return n ? carry_overflow(top_bit(r, width), n == 1 && top_bit(r ^ r << 1, width)) : 0;
}

static uint32_t eval_double_shift(const IrInsn *insn, uint64_t a, uint64_t b, uint64_t c,
                                  unsigned width, uint64_t *out)
{
    uint64_t mask = ir_mask(insn->type);
    unsigned n = c & (width - 1);
    uint64_t r = a;
    bool cf = false;

    if (n == 0) {
        *out = a;
        return 0;
    }
    if (insn->op == IR_shld) {
        r = (a << n | b >> (width - n)) & mask;
        cf = a >> (width - n) & 1;
    } else {
        r = (a >> n | b << (width - n)) & mask;
        cf = a >> (n - 1) & 1;
    }
    *out = r;
    return result_flags(r, width) | carry_overflow(cf, n == 1 && top_bit(a ^ r, width));
}

void ir_eval(const IrInsn *insn, const uint64_t in[4], uint64_t out[2], uint32_t *flags)
{
    unsigned width = insn->type <= IR_I64 ? type_width(insn->type) : 64;
    uint64_t mask = ir_mask(insn->type);
    uint64_t a = in[0] & mask, b = in[1] & mask, c = in[2] & mask;
    uint64_t r = 0, more = 0;
    uint64_t two[2] = {0, 0};
    uint32_t f = 0;

    switch (insn->op) {
    case IR_const:
        r = insn->imm;
        break;
    case IR_add:
        r = (a + b) & mask;
        f = add_flags(a, b, r, width);
        break;
    case IR_adc:
        r = (a + b + (in[2] & FLAG_CF)) & mask;
        f = add_flags(a, b, r, width);
        break;
    case IR_sub:
    case IR_cmp:
        r = (a - b) & mask;
        f = sub_flags(a, b, r, width);
        break;
    case IR_sbb:
        r = (a - b - (in[2] & FLAG_CF)) & mask;
        f = sub_flags(a, b, r, width);
        break;
    case IR_neg:
        r = -a & mask;
        f = sub_flags(0, a, r, width);
        break;
    case IR_and:
    case IR_test:
        r = a & b;
        f = result_flags(r, width);
        break;
    case IR_or:
        r = a | b;
        f = result_flags(r, width);
        break;
    case IR_xor:
        r = a ^ b;
        f = result_flags(r, width);
        break;
    case IR_andn:
        r = a & ~b;
        break;
    case IR_not:
        r = ~a & mask;
        break;
    case IR_shl:
    case IR_shr:
    case IR_sar:
        f = eval_shift(insn, a, in[1], width, &r);
        break;
    case IR_rol:
    case IR_ror:
        f = eval_rotate(insn, a, in[1], width, &r);
        break;
    case IR_shld:
    case IR_shrd:
        f = eval_double_shift(insn, a, b, in[2], width, &r);
        break;
    case IR_mul:
    case IR_mulu2:
    case IR_muls2:
        f = eval_mul(insn, a, b, width, two);
        r = two[0];
        more = two[1];
        break;
    case IR_divu2:
    case IR_divs2:
        eval_div(insn, a, b, c, width, two);
        r = two[0];
        more = two[1];
        break;
    case IR_sext:
        r = (uint64_t)sign_extend(in[0], type_width(insn->bits)) & mask;
        break;
    case IR_zext:
        r = in[0] & ir_mask(insn->bits) & mask;
        break;
    case IR_clz:
        r = a ? __builtin_clzll(a) - (64 - width) : width;
        break;
    case IR_ctz:
        r = a ? __builtin_ctzll(a) : width;
        break;
    case IR_popcnt:
        r = __builtin_popcountll(a);
        break;
    case IR_bswap:
        r = __builtin_bswap64(a) >> (64 - width);
        break;
    case IR_eqb:
        for (unsigned k = 0; k < 64; k += 8) {
            r |= (uint64_t)((a >> k & 0xff) == (b >> k & 0xff) ? 0xff : 0) << k;
        }
        break;
    case IR_setcond:
        r = cond_holds(insn->bits, a, b, width);
        break;
    case IR_order:
        r = (cond_holds(insn->bits ? COND_LTS : COND_LTU, a, b, width)   ? 8
             : cond_holds(insn->bits ? COND_LTS : COND_LTU, b, a, width) ? 4
                                                                         : 2) + in[2];
        break;
    case IR_select:
        r = (uint8_t)in[0] ? b : c;
        break;
    case IR_bt:
        f = in[0] >> (in[1] & (width - 1)) & 1 ? FLAG_CF : 0;
        break;
    case IR_setcc:
        r = ir_cc_holds(insn->bits, in[0]);
        break;
    case IR_selectcc:
        r = ir_cc_holds(insn->bits, in[0]) ? b : c;
        break;
    case IR_flags_image:
        r = in[0] & FLAGS_ALL;
        break;
    case IR_flags_from:
        f = in[0] & FLAGS_ALL;
        break;
    default:
        g_assert_not_reached();
    }
    out[0] = r;
    out[1] = more;
    *flags = f;
}

uint32_t ir_eval_flags_defined(const IrInsn *insn, const uint64_t in[4])
{
    unsigned width = insn->type <= IR_I64 ? type_width(insn->type) : 64;
    unsigned n = in[1] & (width - 1);

    switch (insn->op) {
    case IR_add:
    case IR_adc:
    case IR_sub:
    case IR_sbb:
    case IR_neg:
    case IR_cmp:
    case IR_flags_from:
        return FLAGS_ARITH;
    case IR_and:
    case IR_or:
    case IR_xor:
    case IR_test:
        return FLAGS_LOGIC;
    case IR_rol:
    case IR_ror:
        n = rotate_count(in[1], width);
        return n == 0 ? 0 : n == 1 ? FLAG_CF | FLAG_OF : FLAG_CF;
    case IR_shld:
    case IR_shrd:
        n = in[2] & (width - 1);
        /* fall through */
    case IR_shl:
    case IR_shr:
    case IR_sar:
        return n == 0 ? 0 : n == 1 ? FLAGS_LOGIC : FLAGS_LOGIC & ~FLAG_OF;
    case IR_mul:
    case IR_mulu2:
    case IR_muls2:
        return FLAG_CF | FLAG_OF;
    case IR_bt:
        return FLAG_CF;
    default:
        return 0;
    }
}
