/*
 * VSX arithmetic, comparison and rounding (Power ISA, book I, 7.6): scalars leave FPRF, FR and FI as FPR
 * instructions do, vectors only the sticky bits; a vector with an enabled exception is not written at all.
 */
#include "vec_ops.h"

#define SIGN64 UINT64_C(0x8000000000000000)
#define SIGN32 0x80000000u

static void scalar_result(PpcState *s, unsigned xt, const FpFormat *format, uint64_t r, uint32_t flags)
{
    fp_write(s, xt, r, fp_class_in_double(format, r), flags);
    fp_trap(s);
}

/* Multiply-add has two forms: the register that is written is the addend, or a factor. */
typedef struct Operands {
    unsigned a, b, c;
} Operands;

static Operands operands(uint32_t insn, FpArith op, bool is_m)
{
    if (op < FP_MADD) {
        return (Operands){ field_xa(insn), field_xb(insn), field_xb(insn) };
    }
    return is_m ? (Operands){ field_xa(insn), field_xb(insn), field_xt(insn) }
                : (Operands){ field_xa(insn), field_xt(insn), field_xb(insn) };
}

static void scalar(PpcState *s, uint32_t insn, FpArith op, bool is_m, const FpFormat *format)
{
    Operands o = operands(insn, op, is_m);
    uint32_t flags = 0;
    uint64_t r = fp_arith(s, op, &fp_double, format, fp_rn(s), s->vsr[o.a][0], s->vsr[o.b][0], s->vsr[o.c][0], &flags);

    scalar_result(s, field_xt(insn), format, r, flags);
}

void vsx_vector_result(PpcState *s, uint32_t insn, const PpcVec *r, uint32_t flags)
{
    if (fp_note_vector(s, flags)) {
        *vec_reg(s, field_xt(insn)) = *r;
    }
    fp_trap(s);
}

static void vector(PpcState *s, uint32_t insn, FpArith op, bool is_m, const FpFormat *format)
{
    Operands o = operands(insn, op, is_m);
    const PpcVec *a = vec_reg(s, o.a), *b = vec_reg(s, o.b), *c = vec_reg(s, o.c);
    uint32_t all = 0;
    PpcVec r;

    for (unsigned i = 0; i < 128u / format->width; i++) {
        uint32_t flags = 0;

        vec_set_number(&r, format, i, fp_arith(s, op, format, format, fp_rn(s), vec_number(a, format, i), vec_number(b, format, i),
                                               vec_number(c, format, i), &flags));
        all |= fp_sticky(flags);
    }
    vsx_vector_result(s, insn, &r, all);
}

#define ARITH(name, op, m)                                                                                       \
    void ppc_exec_xs##name##dp(PpcState *s, uint32_t insn) { scalar(s, insn, op, m, &fp_double); }               \
    void ppc_exec_xs##name##sp(PpcState *s, uint32_t insn) { scalar(s, insn, op, m, &fp_single); }               \
    void ppc_exec_xv##name##dp(PpcState *s, uint32_t insn) { vector(s, insn, op, m, &fp_double); }               \
    void ppc_exec_xv##name##sp(PpcState *s, uint32_t insn) { vector(s, insn, op, m, &fp_single); }
ARITH(add, FP_ADD, false)
ARITH(sub, FP_SUB, false)
ARITH(mul, FP_MUL, false)
ARITH(div, FP_DIV, false)
ARITH(sqrt, FP_SQRT, false)
ARITH(madda, FP_MADD, false)
ARITH(maddm, FP_MADD, true)
ARITH(msuba, FP_MSUB, false)
ARITH(msubm, FP_MSUB, true)
ARITH(nmadda, FP_NMADD, false)
ARITH(nmaddm, FP_NMADD, true)
ARITH(nmsuba, FP_NMSUB, false)
ARITH(nmsubm, FP_NMSUB, true)

/* Functions of one number, packed in and out. */
typedef U128 Unary(PpcState *s, const FpFormat *format, U128 bits, uint32_t *flags);

static void scalar_unary(PpcState *s, uint32_t insn, Unary *fn)
{
    uint32_t flags = 0;
    uint64_t r = fn(s, &fp_double, s->vsr[field_xb(insn)][0], &flags);

    scalar_result(s, field_xt(insn), &fp_double, r, flags);
}

static void vector_unary(PpcState *s, uint32_t insn, const FpFormat *format, Unary *fn)
{
    const PpcVec *b = vec_reg(s, field_xb(insn));
    uint32_t all = 0;
    PpcVec r;

    for (unsigned i = 0; i < 128u / format->width; i++) {
        uint32_t flags = 0;

        vec_set_number(&r, format, i, fn(s, format, vec_number(b, format, i), &flags));
        all |= fp_sticky(flags);
    }
    vsx_vector_result(s, insn, &r, all);
}

#define ROUND_TO(name, round, exact)                                                                            \
    static U128 round_##name(PpcState *s, const FpFormat *format, U128 bits, uint32_t *flags)                   \
    {                                                                                                           \
        uint32_t found = 0;                                                                                     \
        U128 r = fp_to_integral(format, bits, round, &found);                                                   \
                                                                                                                \
        *flags |= exact ? found : found & ~(FPSCR_XX | FPSCR_FI | FPSCR_FR);                                    \
        return r;                                                                                               \
    }                                                                                                           \
    void ppc_exec_xsrdp##name(PpcState *s, uint32_t insn) { scalar_unary(s, insn, round_##name); }              \
    void ppc_exec_xvrdp##name(PpcState *s, uint32_t insn) { vector_unary(s, insn, &fp_double, round_##name); }  \
    void ppc_exec_xvrsp##name(PpcState *s, uint32_t insn) { vector_unary(s, insn, &fp_single, round_##name); }
ROUND_TO(i, ROUND_AWAY, false)
ROUND_TO(iz, ROUND_ZERO, false)
ROUND_TO(ip, ROUND_UP, false)
ROUND_TO(im, ROUND_DOWN, false)
ROUND_TO(ic, fp_rn(s), true) /* the current mode, and the only one that says whether it was exact */

/* Estimates, as near as the format can be. */
#define ESTIMATE(name, root)                                                                                    \
    static U128 estimate_##name(PpcState *s, const FpFormat *format, U128 bits, uint32_t *flags)                \
    {                                                                                                           \
        return fp_estimate(s, format, format, bits, root, flags);                                               \
    }                                                                                                           \
    void ppc_exec_xs##name##dp(PpcState *s, uint32_t insn) { scalar_unary(s, insn, estimate_##name); }          \
    void ppc_exec_xs##name##sp(PpcState *s, uint32_t insn)                                                      \
    {                                                                                                           \
        uint32_t flags = 0;                                                                                     \
        uint64_t r = fp_estimate(s, &fp_double, &fp_single, s->vsr[field_xb(insn)][0], root, &flags);           \
                                                                                                                \
        scalar_result(s, field_xt(insn), &fp_single, r, flags);                                                 \
    }                                                                                                           \
    void ppc_exec_xv##name##dp(PpcState *s, uint32_t insn) { vector_unary(s, insn, &fp_double, estimate_##name); } \
    void ppc_exec_xv##name##sp(PpcState *s, uint32_t insn) { vector_unary(s, insn, &fp_single, estimate_##name); }
ESTIMATE(re, false)
ESTIMATE(rsqrte, true)

/* Larger or smaller: a NaN loses to a number, unless it signals; +0 is larger than -0. */
static U128 choose(const FpFormat *format, U128 a, U128 b, bool smaller, uint32_t *flags)
{
    FpNum x = fp_unpack(format, a), y = fp_unpack(format, b), n;
    const FpNum *const two[] = { &x, &y };
    int order;

    if (x.kind == FP_IS_SNAN || y.kind == FP_IS_SNAN || (fp_is_nan(x) && fp_is_nan(y))) {
        fp_pick_nan(two, 2, &n, flags);
        return fp_pack(format, n, ROUND_ZERO, 0, &(uint32_t){ 0 });
    }
    if (fp_is_nan(x) || fp_is_nan(y)) {
        return fp_is_nan(x) ? b : a;
    }
    order = fp_compare(x, y);
    if (order == 0) {
        return smaller ? a | b : a & b;
    }
    return (order < 0) == smaller ? a : b;
}

static void scalar_choose(PpcState *s, uint32_t insn, bool smaller)
{
    uint32_t flags = 0;
    uint64_t r = choose(&fp_double, s->vsr[field_xa(insn)][0], s->vsr[field_xb(insn)][0], smaller, &flags);

    if (fp_note(s, flags, FP_KEEP_FR_FI)) {
        fp_put_scalar(s, field_xt(insn), r);
    }
    fp_trap(s);
}

void ppc_exec_xsmaxdp(PpcState *s, uint32_t insn) { scalar_choose(s, insn, false); }
void ppc_exec_xsmindp(PpcState *s, uint32_t insn) { scalar_choose(s, insn, true); }

static void vector_choose(PpcState *s, uint32_t insn, const FpFormat *format, bool smaller)
{
    const PpcVec *a = vec_reg(s, field_xa(insn)), *b = vec_reg(s, field_xb(insn));
    uint32_t flags = 0;
    PpcVec r;

    for (unsigned i = 0; i < 128u / format->width; i++) {
        vec_set_number(&r, format, i, choose(format, vec_number(a, format, i), vec_number(b, format, i), smaller, &flags));
    }
    vsx_vector_result(s, insn, &r, flags);
}

void ppc_exec_xvmaxdp(PpcState *s, uint32_t insn) { vector_choose(s, insn, &fp_double, false); }
void ppc_exec_xvmindp(PpcState *s, uint32_t insn) { vector_choose(s, insn, &fp_double, true); }
void ppc_exec_xvmaxsp(PpcState *s, uint32_t insn) { vector_choose(s, insn, &fp_single, false); }
void ppc_exec_xvminsp(PpcState *s, uint32_t insn) { vector_choose(s, insn, &fp_single, true); }

/* As the conditional operator of C: where the comparison fails, the second operand. */
static void choose_c(PpcState *s, uint32_t insn, bool smaller)
{
    uint64_t a = s->vsr[field_xa(insn)][0], b = s->vsr[field_xb(insn)][0];
    uint32_t flags = 0;
    unsigned order = fp_compare_bits(&fp_double, a, b, false, 0, &flags);

    if (fp_note(s, flags, FP_KEEP_FR_FI)) {
        fp_put_scalar(s, field_xt(insn), order == (smaller ? 8 : 4) ? a : b);
    }
    fp_trap(s);
}

void ppc_exec_xsmaxcdp(PpcState *s, uint32_t insn) { choose_c(s, insn, false); }
void ppc_exec_xsmincdp(PpcState *s, uint32_t insn) { choose_c(s, insn, true); }

/* As Java's: NaNs win, as they are, and +0 is larger than -0. */
static void choose_j(PpcState *s, uint32_t insn, bool smaller)
{
    uint64_t a = s->vsr[field_xa(insn)][0], b = s->vsr[field_xb(insn)][0], r;
    uint32_t flags = 0;
    unsigned order = fp_compare_bits(&fp_double, a, b, false, 0, &flags);

    if (order == 1) {
        r = fp_is_nan(fp_unpack(&fp_double, a)) ? a : b;
    } else if (order == 2) {
        r = smaller ? a | b : a & b;
    } else {
        r = order == (smaller ? 8 : 4) ? a : b;
    }
    if (fp_note(s, flags, FP_KEEP_FR_FI)) {
        fp_put_scalar(s, field_xt(insn), r);
    }
    fp_trap(s);
}

void ppc_exec_xsmaxjdp(PpcState *s, uint32_t insn) { choose_j(s, insn, false); }
void ppc_exec_xsminjdp(PpcState *s, uint32_t insn) { choose_j(s, insn, true); }

static void scalar_compare(PpcState *s, uint32_t insn, bool ordered)
{
    fp_compare_scalars(s, insn, &fp_double, s->vsr[field_xa(insn)][0], s->vsr[field_xb(insn)][0], ordered);
}

void ppc_exec_xscmpudp(PpcState *s, uint32_t insn) { scalar_compare(s, insn, false); }
void ppc_exec_xscmpodp(PpcState *s, uint32_t insn) { scalar_compare(s, insn, true); }

/* Comparisons that make masks. accept: of LT 8, GT 4, EQ 2. Unordered ones signal for GE and GT. */
static bool compare_mask(PpcState *s, const FpFormat *format, U128 a, U128 b, unsigned accept, uint32_t *flags)
{
    return fp_compare_bits(format, a, b, accept != 2, s->fpscr & FPSCR_VE, flags) & accept;
}

static void scalar_mask(PpcState *s, uint32_t insn, unsigned accept)
{
    uint32_t flags = 0;
    bool yes = compare_mask(s, &fp_double, s->vsr[field_xa(insn)][0], s->vsr[field_xb(insn)][0], accept, &flags);

    if (fp_note(s, flags, FP_KEEP_FR_FI)) {
        fp_put_scalar(s, field_xt(insn), yes ? UINT64_MAX : 0);
    }
    fp_trap(s);
}

void ppc_exec_xscmpeqdp(PpcState *s, uint32_t insn) { scalar_mask(s, insn, 2); }
void ppc_exec_xscmpgtdp(PpcState *s, uint32_t insn) { scalar_mask(s, insn, 4); }
void ppc_exec_xscmpgedp(PpcState *s, uint32_t insn) { scalar_mask(s, insn, 6); }

static void vector_mask(PpcState *s, uint32_t insn, const FpFormat *format, unsigned accept)
{
    const PpcVec *a = vec_reg(s, field_xa(insn)), *b = vec_reg(s, field_xb(insn));
    uint32_t flags = 0;
    PpcVec r;

    for (unsigned i = 0; i < 128u / format->width; i++) {
        bool yes = compare_mask(s, format, vec_number(a, format, i), vec_number(b, format, i), accept, &flags);

        vec_set_number(&r, format, i, yes ? UINT64_MAX : 0);
    }
    vec_record(s, insn, &r);
    vsx_vector_result(s, insn, &r, flags);
}

void ppc_exec_xvcmpeqdp(PpcState *s, uint32_t insn) { vector_mask(s, insn, &fp_double, 2); }
void ppc_exec_xvcmpgtdp(PpcState *s, uint32_t insn) { vector_mask(s, insn, &fp_double, 4); }
void ppc_exec_xvcmpgedp(PpcState *s, uint32_t insn) { vector_mask(s, insn, &fp_double, 6); }
void ppc_exec_xvcmpeqsp(PpcState *s, uint32_t insn) { vector_mask(s, insn, &fp_single, 2); }
void ppc_exec_xvcmpgtsp(PpcState *s, uint32_t insn) { vector_mask(s, insn, &fp_single, 4); }
void ppc_exec_xvcmpgesp(PpcState *s, uint32_t insn) { vector_mask(s, insn, &fp_single, 6); }

/* Sign bits. */
#define SIGNS(name, expression32, expression64)                                                      \
    void ppc_exec_xs##name##dp(PpcState *s, uint32_t insn)                                           \
    {                                                                                                \
        uint64_t a = s->vsr[field_xa(insn)][0], b = s->vsr[field_xb(insn)][0], sign = SIGN64;        \
                                                                                                     \
        (void)a;                                                                                     \
        fp_put_scalar(s, field_xt(insn), expression64);                                                 \
    }                                                                                                \
    void ppc_exec_xv##name##dp(PpcState *s, uint32_t insn)                                           \
    {                                                                                                \
        for (unsigned i = 0; i < 2; i++) {                                                           \
            uint64_t a = s->vsr[field_xa(insn)][i], b = s->vsr[field_xb(insn)][i], sign = SIGN64;    \
                                                                                                     \
            (void)a;                                                                                 \
            s->vsr[field_xt(insn)][i] = expression64;                                                \
        }                                                                                            \
    }                                                                                                \
    void ppc_exec_xv##name##sp(PpcState *s, uint32_t insn)                                           \
    {                                                                                                \
        for (unsigned i = 0; i < 4; i++) {                                                           \
            uint32_t a = vec_reg(s, field_xa(insn))->w[i], b = vec_reg(s, field_xb(insn))->w[i], sign = SIGN32; \
                                                                                                     \
            (void)a;                                                                                 \
            vec_reg(s, field_xt(insn))->w[i] = expression32;                                         \
        }                                                                                            \
    }
SIGNS(abs, b & ~sign, b & ~sign)
SIGNS(nabs, b | sign, b | sign)
SIGNS(neg, b ^ sign, b ^ sign)
SIGNS(cpsgn, (a & sign) | (b & ~sign), (a & sign) | (b & ~sign))

void ppc_exec_xstdivdp(PpcState *s, uint32_t insn)
{
    s->cr[field_bf(insn)] = fp_test_div(&fp_double, s->vsr[field_xa(insn)][0], s->vsr[field_xb(insn)][0]);
}

void ppc_exec_xstsqrtdp(PpcState *s, uint32_t insn)
{
    s->cr[field_bf(insn)] = fp_test_sqrt(&fp_double, s->vsr[field_xb(insn)][0]);
}

void ppc_exec_xvtdivdp(PpcState *s, uint32_t insn)
{
    s->cr[field_bf(insn)] = fp_test_div(&fp_double, s->vsr[field_xa(insn)][0], s->vsr[field_xb(insn)][0]) |
                            fp_test_div(&fp_double, s->vsr[field_xa(insn)][1], s->vsr[field_xb(insn)][1]);
}

void ppc_exec_xvtsqrtdp(PpcState *s, uint32_t insn)
{
    s->cr[field_bf(insn)] = fp_test_sqrt(&fp_double, s->vsr[field_xb(insn)][0]) | fp_test_sqrt(&fp_double, s->vsr[field_xb(insn)][1]);
}

void ppc_exec_xvtdivsp(PpcState *s, uint32_t insn)
{
    unsigned r = 0;

    for (unsigned i = 0; i < 4; i++) {
        r |= fp_test_div(&fp_single, vec_reg(s, field_xa(insn))->w[i], vec_reg(s, field_xb(insn))->w[i]);
    }
    s->cr[field_bf(insn)] = r;
}

void ppc_exec_xvtsqrtsp(PpcState *s, uint32_t insn)
{
    unsigned r = 0;

    for (unsigned i = 0; i < 4; i++) {
        r |= fp_test_sqrt(&fp_single, vec_reg(s, field_xb(insn))->w[i]);
    }
    s->cr[field_bf(insn)] = r;
}
