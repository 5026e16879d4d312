/* Quadword integers of v3.1 (Power ISA 3.1, book I, 6.9, 6.12): comparisons, division, extended division, rotation under a mask. */
#include "vec_ops.h"

static void compare(PpcState *s, uint32_t insn, bool less, bool equal)
{
    s->cr[field_bf(insn)] = equal ? 2 : less ? 8 : 4;
}

void ppc_exec_vcmpuq(PpcState *s, uint32_t insn)
{
    U128 a = vec_u128(vec_a(s, insn)), b = vec_u128(vec_b(s, insn));

    compare(s, insn, a < b, a == b);
}

void ppc_exec_vcmpsq(PpcState *s, uint32_t insn)
{
    S128 a = vec_u128(vec_a(s, insn)), b = vec_u128(vec_b(s, insn));

    compare(s, insn, a < b, a == b);
}

#define MASK(name, type, condition)                                                    \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                                   \
    {                                                                                  \
        type a = vec_u128(vec_a(s, insn)), b = vec_u128(vec_b(s, insn));               \
        PpcVec *t = vec_t(s, insn);                                                    \
                                                                                       \
        t->d[0] = t->d[1] = condition ? UINT64_MAX : 0;                                \
        vec_record(s, insn, t);                                                        \
    }
MASK(vcmpequq, U128, a == b)
MASK(vcmpgtuq, U128, a > b)
MASK(vcmpgtsq, S128, a > b)

/* high || 0 divided by b; false: the quotient has no room, or there is none. */
static bool divide_extended(U128 high, U128 b, U128 *quotient)
{
    U128 rest = high, q = 0;

    if (high >= b) {
        return false;
    }
    for (unsigned i = 0; i < 128; i++) {
        bool carry = rest >> 127;

        rest <<= 1;
        q <<= 1;
        if (carry || rest >= b) {
            rest -= b;
            q |= 1;
        }
    }
    *quotient = q;
    return true;
}

static U128 magnitude(S128 x)
{
    return x < 0 ? -(U128)x : (U128)x;
}

/* Quotients that do not exist are undefined: zero. */
static U128 divide_extended_signed(S128 a, S128 b)
{
    bool negative = (a < 0) != (b < 0);
    U128 q;

    if (!divide_extended(magnitude(a), magnitude(b), &q) || q > ((U128)1 << 127) - !negative) {
        return 0;
    }
    return negative ? -q : q;
}

static U128 divide_extended_unsigned(U128 a, U128 b)
{
    U128 q;

    return divide_extended(a, b, &q) ? q : 0;
}

static bool overflows(S128 a, S128 b)
{
    return b == 0 || (b == -1 && a == (S128)((U128)1 << 127));
}

#define QUAD(name, type, expression)                                                   \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                                   \
    {                                                                                  \
        type a = vec_u128(vec_a(s, insn)), b = vec_u128(vec_b(s, insn));               \
                                                                                       \
        vec_set_u128(vec_t(s, insn), expression);                                      \
    }
QUAD(vdivuq, U128, b ? a / b : 0)
QUAD(vmoduq, U128, b ? a % b : 0)
QUAD(vdivsq, S128, overflows(a, b) ? 0 : a / b)
QUAD(vmodsq, S128, overflows(a, b) ? 0 : a % b)
QUAD(vdiveuq, U128, divide_extended_unsigned(a, b))
QUAD(vdivesq, S128, divide_extended_signed(a, b))

void ppc_exec_vdivesw(PpcState *s, uint32_t insn)
{
    for (unsigned i = 0; i < 4; i++) {
        int64_t a = (uint64_t)vec_a(s, insn)->w[i] << 32, b = vec_b(s, insn)->sw[i], q;

        q = b == 0 || (b == -1 && a == INT64_MIN) ? INT64_MAX : a / b;
        vec_t(s, insn)->sw[i] = q == (int32_t)q ? q : 0;
    }
}

void ppc_exec_vdivesd(PpcState *s, uint32_t insn)
{
    for (unsigned i = 0; i < 2; i++) {
        S128 a = (U128)vec_a(s, insn)->d[i] << 64, b = vec_b(s, insn)->sd[i], q;

        q = overflows(a, b) ? INT64_MAX + (S128)1 : a / b;
        vec_t(s, insn)->sd[i] = q == (int64_t)q ? q : 0;
    }
}

void ppc_exec_vextsd2q(PpcState *s, uint32_t insn)
{
    vec_set_u128(vec_t(s, insn), (S128)vec_b(s, insn)->sd[1]);
}

/* The carry out of two products and an addend. */
void ppc_exec_vmsumcud(PpcState *s, uint32_t insn)
{
    const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);
    U128 first = (U128)a->d[0] * b->d[0], second = (U128)a->d[1] * b->d[1], c = vec_u128(vec_c(s, insn));
    U128 sum = first + second;
    unsigned carry = (sum < first) + (U128)(sum + c < sum);

    *vec_t(s, insn) = (PpcVec){ .d = { 0, carry } };
}

/* Rotated left; the control in B's left doubleword names the first and last bit of the mask, as rlwnm's. */
static U128 rotated(PpcState *s, uint32_t insn, U128 *mask)
{
    U128 a = vec_u128(vec_a(s, insn)), ones = ~(U128)0;
    uint64_t control = vec_b(s, insn)->d[0];
    unsigned by = control & 127, first = control >> 16 & 127, last = control >> 8 & 127;
    U128 from_first = ones >> first, to_last = ones << (127 - last);

    *mask = first <= last ? from_first & to_last : from_first | to_last;
    return by ? a << by | a >> (128 - by) : a;
}

void ppc_exec_vrlqnm(PpcState *s, uint32_t insn)
{
    U128 mask, r = rotated(s, insn, &mask);

    vec_set_u128(vec_t(s, insn), r & mask);
}

void ppc_exec_vrlqmi(PpcState *s, uint32_t insn)
{
    U128 mask, r = rotated(s, insn, &mask), old = vec_u128(vec_t(s, insn));

    vec_set_u128(vec_t(s, insn), (r & mask) | (old & ~mask));
}
