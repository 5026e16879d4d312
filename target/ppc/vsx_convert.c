/*
 * VSX conversions between formats and integers (Power ISA, book I, 7.6.1.8). A word or single that comes of a
 * doubleword is in both halves of it: the architecture says the left one since 2.06, and both since 3.1.
 */
#include "vec_ops.h"

static uint64_t twice(uint32_t word)
{
    return (uint64_t)word << 32 | word;
}

/* From one format to another. */
static U128 reformat(PpcState *s, const FpFormat *from, const FpFormat *to, U128 bits, uint32_t *flags)
{
    FpNum x = fp_unpack(from, bits), n;
    const FpNum *const one[] = { &x };

    if (!fp_pick_nan(one, 1, &n, flags)) {
        n = x;
    }
    return fp_pack(to, n, fp_rn(s), s->fpscr & (FPSCR_OE | FPSCR_UE), flags);
}

static void write_scalar(PpcState *s, unsigned xt, uint64_t value, uint32_t fprf, uint32_t flags)
{
    fp_write(s, xt, value, fprf, flags);
    fp_trap(s);
}

void ppc_exec_xscvdpsp(PpcState *s, uint32_t insn)
{
    uint32_t flags = 0, r = reformat(s, &fp_double, &fp_single, s->vsr[field_xb(insn)][0], &flags);

    write_scalar(s, field_xt(insn), twice(r), fp_class(&fp_single, r), flags);
}

void ppc_exec_xscvspdp(PpcState *s, uint32_t insn)
{
    uint32_t flags = 0;
    uint64_t r = reformat(s, &fp_single, &fp_double, s->vsr[field_xb(insn)][0] >> 32, &flags);

    write_scalar(s, field_xt(insn), r, fp_class(&fp_double, r), flags);
}

/* Like frsp: single precision in double format. */
void ppc_exec_xsrsp(PpcState *s, uint32_t insn)
{
    FpNum x = fp_unpack(&fp_double, s->vsr[field_xb(insn)][0]), n;
    const FpNum *const one[] = { &x };
    uint32_t flags = 0;
    uint64_t r;

    if (fp_pick_nan(one, 1, &n, &flags)) {
        n.sig &= ~(U128)0 << 104;
    } else {
        n = fp_round(&fp_single, x, fp_rn(s), s->fpscr & (FPSCR_OE | FPSCR_UE), &flags);
    }
    r = fp_pack(&fp_double, n, ROUND_ZERO, 0, &(uint32_t){ 0 });
    write_scalar(s, field_xt(insn), r, fp_class_in_double(&fp_single, r), flags);
}

/* Without signalling: bits are moved. */
void ppc_exec_xscvdpspn(PpcState *s, uint32_t insn)
{
    fp_put_scalar(s, field_xt(insn), twice(fp_double_to_single(s->vsr[field_xb(insn)][0])));
}

void ppc_exec_xscvspdpn(PpcState *s, uint32_t insn)
{
    fp_put_scalar(s, field_xt(insn), fp_single_to_double(s->vsr[field_xb(insn)][0] >> 32));
}

void ppc_exec_xvcvdpsp(PpcState *s, uint32_t insn)
{
    uint32_t all = 0;
    PpcVec r;

    for (unsigned i = 0; i < 2; i++) {
        uint32_t flags = 0;

        r.d[i] = twice(reformat(s, &fp_double, &fp_single, s->vsr[field_xb(insn)][i], &flags));
        all |= fp_sticky(flags);
    }
    vsx_vector_result(s, insn, &r, all);
}

void ppc_exec_xvcvspdp(PpcState *s, uint32_t insn)
{
    uint32_t flags = 0;
    PpcVec r;

    for (unsigned i = 0; i < 2; i++) {
        r.d[i] = reformat(s, &fp_single, &fp_double, s->vsr[field_xb(insn)][i] >> 32, &flags);
    }
    vsx_vector_result(s, insn, &r, flags);
}

/* Half precision. */
void ppc_exec_xscvhpdp(PpcState *s, uint32_t insn)
{
    uint32_t flags = 0;
    uint64_t r = reformat(s, &fp_half, &fp_double, s->vsr[field_xb(insn)][0] & 0xffff, &flags);

    write_scalar(s, field_xt(insn), r, fp_class(&fp_double, r), flags);
}

void ppc_exec_xscvdphp(PpcState *s, uint32_t insn)
{
    uint32_t flags = 0, r = reformat(s, &fp_double, &fp_half, s->vsr[field_xb(insn)][0], &flags);

    write_scalar(s, field_xt(insn), r, fp_class(&fp_half, r), flags);
}

void ppc_exec_xvcvhpsp(PpcState *s, uint32_t insn)
{
    uint32_t flags = 0;
    PpcVec r;

    for (unsigned i = 0; i < 4; i++) {
        r.w[i] = reformat(s, &fp_half, &fp_single, vec_reg(s, field_xb(insn))->w[i] & 0xffff, &flags);
    }
    vsx_vector_result(s, insn, &r, flags);
}

void ppc_exec_xvcvsphp(PpcState *s, uint32_t insn)
{
    uint32_t all = 0;
    PpcVec r;

    for (unsigned i = 0; i < 4; i++) {
        uint32_t flags = 0;

        r.w[i] = reformat(s, &fp_single, &fp_half, vec_reg(s, field_xb(insn))->w[i], &flags);
        all |= fp_sticky(flags);
    }
    vsx_vector_result(s, insn, &r, all);
}

/* bfloat16, the left half of a single, in the right half of a word (v3.1). */
void ppc_exec_xvcvspbf16(PpcState *s, uint32_t insn)
{
    uint32_t all = 0;
    PpcVec r;

    for (unsigned i = 0; i < 4; i++) {
        uint32_t flags = 0;

        r.w[i] = reformat(s, &fp_single, &fp_bfloat, vec_reg(s, field_xb(insn))->w[i], &flags);
        all |= fp_sticky(flags);
    }
    vsx_vector_result(s, insn, &r, all);
}

void ppc_exec_xvcvbf16spn(PpcState *s, uint32_t insn)
{
    for (unsigned i = 0; i < 4; i++) {
        vec_reg(s, field_xt(insn))->w[i] = vec_reg(s, field_xb(insn))->w[i] << 16;
    }
}

/* To integers, toward zero. FPRF is undefined: it stays. */
static void scalar_to_int(PpcState *s, uint32_t insn, unsigned width, bool is_unsigned)
{
    uint32_t flags = 0;
    uint64_t r = fp_convert_to_int(&fp_double, s->vsr[field_xb(insn)][0], width, is_unsigned, ROUND_ZERO, &flags);

    if (fp_note(s, flags, FP_SET_FR_FI)) {
        fp_put_scalar(s, field_xt(insn), width == 32 ? twice(r) : r);
    }
    fp_trap(s);
}

void ppc_exec_xscvdpsxds(PpcState *s, uint32_t insn) { scalar_to_int(s, insn, 64, false); }
void ppc_exec_xscvdpuxds(PpcState *s, uint32_t insn) { scalar_to_int(s, insn, 64, true); }
void ppc_exec_xscvdpsxws(PpcState *s, uint32_t insn) { scalar_to_int(s, insn, 32, false); }
void ppc_exec_xscvdpuxws(PpcState *s, uint32_t insn) { scalar_to_int(s, insn, 32, true); }

static void vector_to_int(PpcState *s, uint32_t insn, const FpFormat *from, unsigned width, bool is_unsigned)
{
    const PpcVec *b = vec_reg(s, field_xb(insn));
    uint32_t all = 0;
    PpcVec r;

    if (from == &fp_single && width == 32) {
        for (unsigned i = 0; i < 4; i++) {
            uint32_t flags = 0;

            r.w[i] = fp_convert_to_int(from, b->w[i], width, is_unsigned, ROUND_ZERO, &flags);
            all |= fp_sticky(flags);
        }
    } else {
        for (unsigned i = 0; i < 2; i++) {
            uint32_t flags = 0;
            U128 bits = from == &fp_single ? b->d[i] >> 32 : b->d[i];
            uint64_t value = fp_convert_to_int(from, bits, width, is_unsigned, ROUND_ZERO, &flags);

            r.d[i] = width == 32 ? twice(value) : value;
            all |= fp_sticky(flags);
        }
    }
    vsx_vector_result(s, insn, &r, all);
}

void ppc_exec_xvcvdpsxds(PpcState *s, uint32_t insn) { vector_to_int(s, insn, &fp_double, 64, false); }
void ppc_exec_xvcvdpuxds(PpcState *s, uint32_t insn) { vector_to_int(s, insn, &fp_double, 64, true); }
void ppc_exec_xvcvdpsxws(PpcState *s, uint32_t insn) { vector_to_int(s, insn, &fp_double, 32, false); }
void ppc_exec_xvcvdpuxws(PpcState *s, uint32_t insn) { vector_to_int(s, insn, &fp_double, 32, true); }
void ppc_exec_xvcvspsxds(PpcState *s, uint32_t insn) { vector_to_int(s, insn, &fp_single, 64, false); }
void ppc_exec_xvcvspuxds(PpcState *s, uint32_t insn) { vector_to_int(s, insn, &fp_single, 64, true); }
void ppc_exec_xvcvspsxws(PpcState *s, uint32_t insn) { vector_to_int(s, insn, &fp_single, 32, false); }
void ppc_exec_xvcvspuxws(PpcState *s, uint32_t insn) { vector_to_int(s, insn, &fp_single, 32, true); }

static void scalar_from_int(PpcState *s, uint32_t insn, bool is_unsigned, const FpFormat *to)
{
    uint32_t flags = 0;
    FpNum n = fp_round(to, fp_from_int64(s->vsr[field_xb(insn)][0], is_unsigned), fp_rn(s), 0, &flags);
    uint64_t r = fp_pack(&fp_double, n, ROUND_ZERO, 0, &(uint32_t){ 0 });

    write_scalar(s, field_xt(insn), r, fp_class(&fp_double, r), flags);
}

void ppc_exec_xscvsxddp(PpcState *s, uint32_t insn) { scalar_from_int(s, insn, false, &fp_double); }
void ppc_exec_xscvuxddp(PpcState *s, uint32_t insn) { scalar_from_int(s, insn, true, &fp_double); }
void ppc_exec_xscvsxdsp(PpcState *s, uint32_t insn) { scalar_from_int(s, insn, false, &fp_single); }
void ppc_exec_xscvuxdsp(PpcState *s, uint32_t insn) { scalar_from_int(s, insn, true, &fp_single); }

static void vector_from_int(PpcState *s, uint32_t insn, unsigned width, bool is_unsigned, const FpFormat *to)
{
    const PpcVec *b = vec_reg(s, field_xb(insn));
    uint32_t flags = 0;
    PpcVec r;

    for (unsigned i = 0; i < (width == 32 && to == &fp_single ? 4 : 2); i++) {
        uint32_t word = to == &fp_single ? b->w[i] : b->d[i] >> 32;
        uint64_t v = width == 64 ? b->d[i] : is_unsigned ? word : (uint64_t)(int32_t)word;
        U128 packed = fp_pack(to, fp_from_int64(v, is_unsigned), fp_rn(s), 0, &flags);

        if (to == &fp_double) {
            r.d[i] = packed;
        } else if (width == 64) {
            r.d[i] = twice(packed);
        } else {
            r.w[i] = packed;
        }
    }
    vsx_vector_result(s, insn, &r, fp_sticky(flags));
}

void ppc_exec_xvcvsxddp(PpcState *s, uint32_t insn) { vector_from_int(s, insn, 64, false, &fp_double); }
void ppc_exec_xvcvuxddp(PpcState *s, uint32_t insn) { vector_from_int(s, insn, 64, true, &fp_double); }
void ppc_exec_xvcvsxdsp(PpcState *s, uint32_t insn) { vector_from_int(s, insn, 64, false, &fp_single); }
void ppc_exec_xvcvuxdsp(PpcState *s, uint32_t insn) { vector_from_int(s, insn, 64, true, &fp_single); }
void ppc_exec_xvcvsxwdp(PpcState *s, uint32_t insn) { vector_from_int(s, insn, 32, false, &fp_double); }
void ppc_exec_xvcvuxwdp(PpcState *s, uint32_t insn) { vector_from_int(s, insn, 32, true, &fp_double); }
void ppc_exec_xvcvsxwsp(PpcState *s, uint32_t insn) { vector_from_int(s, insn, 32, false, &fp_single); }
void ppc_exec_xvcvuxwsp(PpcState *s, uint32_t insn) { vector_from_int(s, insn, 32, true, &fp_single); }
