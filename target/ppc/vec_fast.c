/*
 * Vector instructions as a few of the host's (IrFastStep).
 *
 * A register is two doublewords of the host, the left one first. So words are in the order 1 0 3 2, halves 3 2 1 0 7 6 5 4, bytes
 * 7 to 0 and 15 to 8: what does not care about the order of elements is the host's own instruction.
 */
#include "target/ppc/fp.h"
#include "target/ppc/fp_rows.h"

static void step(IrFast *f, unsigned prefix, unsigned map, unsigned opcode, IrFastReg to, IrFastReg a, IrFastReg b)
{
    g_assert(f->n_steps < IR_FAST_STEPS);
    f->steps[f->n_steps++] = (IrFastStep){ .prefix = prefix, .map = map, .opcode = opcode, .to = to, .a = a, .b = b };
}

static void op(IrFast *f, unsigned opcode, IrFastReg to, IrFastReg a, IrFastReg b)
{
    step(f, 0x66, 1, opcode, to, a, b);
}

static void with_imm(IrFast *f, unsigned imm)
{
    f->steps[f->n_steps - 1].imm = imm;
    f->steps[f->n_steps - 1].how |= STEP_IMM;
}

enum { PAND = 0xdb, PANDN = 0xdf, POR = 0xeb, PXOR = 0xef, PADDB = 0xfc, PADDW = 0xfd, PMULLW = 0xd5, PCMPEQB = 0x74, PSHUFD = 0x70,
       PUNPCKLBW = 0x60, PUNPCKHBW = 0x68, PUNPCKLDQ = 0x62, PUNPCKHDQ = 0x6a, PSHUFB = 0x00, PABSB = 0x1c, PALIGNR = 0x0f, PSUBB = 0xf8,
       SHIFTS_W = 0x71, SHIFTS_D = 0x72, SHIFTS_Q = 0x73, RIGHT = 2, LEFT = 6, SLLV = 0x47, SRLV = 0x45, SRAV = 0x46, SLLVW = 0x12, SRLVW = 0x10, PMOVSXBW = 0x20, PMOVSXWD = 0x23,
       PMOVSXDQ = 0x25 };
enum { SWAP_DOUBLES = 0x4e };

/* All elements of a size (SHIFTS_*) shifted by a constant. */
static void shift(IrFast *f, unsigned size, unsigned way, IrFastReg to, IrFastReg from, unsigned by)
{
    op(f, size, to, way, from);
    f->steps[f->n_steps - 1].how = STEP_GROUP;
    with_imm(f, by);
}

static void shuffle(IrFast *f, IrFastReg to, IrFastReg from, unsigned order)
{
    op(f, PSHUFD, to, V_NONE, from);
    with_imm(f, order);
}

static void ones(IrFast *f, IrFastReg to)
{
    op(f, PCMPEQB, to, to, to);
}

/* 0f map, 0f38 map: one instruction on A and B. */
static bool plan_simple(unsigned row, IrFast *f)
{
    static const struct {
        uint16_t row;
        uint8_t map, opcode;
        bool swapped; /* the host negates its first operand: a & ~b */
    } hosts[] = {
        { EXEC_vaddubm, 1, 0xfc }, { EXEC_vadduhm, 1, 0xfd }, { EXEC_vadduwm, 1, 0xfe }, { EXEC_vaddudm, 1, 0xd4 },
        { EXEC_vsububm, 1, 0xf8 }, { EXEC_vsubuhm, 1, 0xf9 }, { EXEC_vsubuwm, 1, 0xfa }, { EXEC_vsubudm, 1, 0xfb },
        { EXEC_vand, 1, PAND }, { EXEC_vor, 1, POR }, { EXEC_vxor, 1, PXOR }, { EXEC_vandc, 1, PANDN, true },
        { EXEC_vmaxub, 1, 0xde }, { EXEC_vminub, 1, 0xda }, { EXEC_vmaxsh, 1, 0xee }, { EXEC_vminsh, 1, 0xea },
        { EXEC_vmaxsb, 2, 0x3c }, { EXEC_vminsb, 2, 0x38 }, { EXEC_vmaxuh, 2, 0x3e }, { EXEC_vminuh, 2, 0x3a },
        { EXEC_vmaxsw, 2, 0x3d }, { EXEC_vminsw, 2, 0x39 }, { EXEC_vmaxuw, 2, 0x3f }, { EXEC_vminuw, 2, 0x3b },
        { EXEC_vavgub, 1, 0xe0 }, { EXEC_vavguh, 1, 0xe3 },
        { EXEC_vcmpequb, 1, 0x74 }, { EXEC_vcmpequh, 1, 0x75 }, { EXEC_vcmpequw, 1, 0x76 }, { EXEC_vcmpequd, 2, 0x29 },
        { EXEC_vcmpgtsb, 1, 0x64 }, { EXEC_vcmpgtsh, 1, 0x65 }, { EXEC_vcmpgtsw, 1, 0x66 }, { EXEC_vcmpgtsd, 2, 0x37 },
        { EXEC_xxland, 1, PAND }, { EXEC_xxlor, 1, POR }, { EXEC_xxlxor, 1, PXOR }, { EXEC_xxlandc, 1, PANDN, true },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(hosts); i++) {
        if (hosts[i].row == row) {
            step(f, 0x66, hosts[i].map, hosts[i].opcode, V_T, hosts[i].swapped ? V_B : V_A, hosts[i].swapped ? V_A : V_B);
            return true;
        }
    }
    return false;
}

/* Unsigned comparison: a > b unless their minimum is a. */
static void greater_unsigned(IrFast *f, unsigned map, unsigned minimum, unsigned equal)
{
    step(f, 0x66, map, minimum, V_X, V_A, V_B);
    op(f, equal, V_X, V_X, V_A);
    ones(f, V_Y);
    op(f, PXOR, V_T, V_X, V_Y);
}

/* Halves by their own counts: where the host has no such instruction in words, the low ones and the high ones by themselves. */
static void shift_halves(IrFast *f, bool left)
{
    enum { IN_WORDS = 10 };

    ones(f, V_X);
    shift(f, SHIFTS_W, RIGHT, V_X, V_X, 12);
    op(f, PAND, V_X, V_X, V_B);
    step(f, 0x66, 2, left ? SLLVW : SRLVW, V_T, V_A, V_X);
    f->steps[f->n_steps - 1].how = STEP_EVEX | STEP_W;
    f->steps[f->n_steps - 1].imm = IN_WORDS;
    shift(f, SHIFTS_D, LEFT, V_Y, V_X, 16);
    shift(f, SHIFTS_D, RIGHT, V_Y, V_Y, 16);
    shift(f, SHIFTS_D, RIGHT, V_X, V_X, 16);
    if (left) {
        step(f, 0x66, 2, SLLV, V_T, V_A, V_Y);
        shift(f, SHIFTS_D, LEFT, V_T, V_T, 16);
        shift(f, SHIFTS_D, RIGHT, V_T, V_T, 16);
        shift(f, SHIFTS_D, RIGHT, V_Y, V_A, 16);
        shift(f, SHIFTS_D, LEFT, V_Y, V_Y, 16);
        step(f, 0x66, 2, SLLV, V_Y, V_Y, V_X);
    } else {
        shift(f, SHIFTS_D, LEFT, V_T, V_A, 16);
        shift(f, SHIFTS_D, RIGHT, V_T, V_T, 16);
        step(f, 0x66, 2, SRLV, V_T, V_T, V_Y);
        step(f, 0x66, 2, SRLV, V_Y, V_A, V_X);
        shift(f, SHIFTS_D, RIGHT, V_Y, V_Y, 16);
        shift(f, SHIFTS_D, LEFT, V_Y, V_Y, 16);
    }
    op(f, POR, V_T, V_T, V_Y);
}

/* Words and doublewords by their own counts, of which the low bits count. */
static void shift_each(IrFast *f, unsigned opcode, bool doubles)
{
    ones(f, V_X);
    shift(f, doubles ? SHIFTS_Q : SHIFTS_D, RIGHT, V_X, V_X, doubles ? 58 : 27);
    op(f, PAND, V_X, V_X, V_B);
    step(f, 0x66, 2, opcode, V_T, V_A, V_X);
    f->steps[f->n_steps - 1].how |= doubles ? STEP_W : 0;
}

/* The half at a place of the host's, to all. */
static void splat_half(IrFast *f, IrFastReg from, unsigned place)
{
    step(f, place < 4 ? 0xf2 : 0xf3, 1, PSHUFD, V_T, V_NONE, from);
    with_imm(f, (place & 3) * 0x55);
    shuffle(f, V_T, V_T, place < 4 ? 0x00 : 0xaa);
}

/* Bytes of A and B by the low five bits of C's: both shuffled, with zeros where the other one is meant. */
static void permute(IrFast *f)
{
    ones(f, V_T);
    step(f, 0x66, 2, PABSB, V_T, V_NONE, V_T); /* 1 in each byte */
    shift(f, SHIFTS_W, LEFT, V_Y, V_T, 3);
    op(f, PSUBB, V_Y, V_Y, V_T);
    op(f, PXOR, V_Y, V_Y, V_C); /* element i is byte i ^ 7 */
    shift(f, SHIFTS_W, LEFT, V_X, V_T, 5);
    op(f, PSUBB, V_X, V_X, V_T);
    op(f, PAND, V_Y, V_Y, V_X); /* five bits */
    shift(f, SHIFTS_W, LEFT, V_X, V_T, 4);
    op(f, PSUBB, V_Z, V_Y, V_X); /* negative for A's */
    step(f, 0x66, 2, PSHUFB, V_Z, V_B, V_Z);
    shift(f, SHIFTS_W, LEFT, V_X, V_X, 3);
    shift(f, SHIFTS_W, LEFT, V_T, V_Y, 3);
    op(f, PAND, V_T, V_T, V_X);
    op(f, POR, V_Y, V_Y, V_T); /* negative for B's */
    step(f, 0x66, 2, PSHUFB, V_T, V_A, V_Y);
    op(f, POR, V_T, V_T, V_Z);
}

static void select_bits(IrFast *f)
{
    op(f, PAND, V_X, V_B, V_C);
    op(f, PANDN, V_T, V_C, V_A);
    op(f, POR, V_T, V_T, V_X);
}

/* The left or right half's elements, sign-extended: each doubleword is in the host's order, the left one first. */
static void unpack_signed(IrFast *f, unsigned opcode, bool right)
{
    enum { BOTH_RIGHT = 0xee };

    if (right) {
        shuffle(f, V_X, V_B, BOTH_RIGHT);
    }
    step(f, 0x66, 2, opcode, V_T, V_NONE, right ? V_X : V_B);
    shuffle(f, V_T, V_T, SWAP_DOUBLES);
}

static void negated(IrFast *f)
{
    ones(f, V_X);
    op(f, PXOR, V_T, V_T, V_X);
}

/*
 * For each byte of B, all ones if the bit of A is set that it names: bit & 7 of the byte whose number is above that. Bytes
 * from the 16th on are none, and their numbers become negative.
 */
static void bits_of(IrFast *f)
{
    enum { MOVDQA = 0x6f };

    ones(f, V_T);
    step(f, 0x66, 2, PABSB, V_T, V_NONE, V_T); /* 1 in each byte */
    shift(f, SHIFTS_W, LEFT, V_Y, V_T, 3);
    op(f, PSUBB, V_Y, V_Y, V_T);
    op(f, PAND, V_X, V_Y, V_B);
    op(f, MOVDQA, V_Z, V_NONE, V_NONE);
    f->steps[f->n_steps - 1].how = STEP_BITS;
    step(f, 0x66, 2, PSHUFB, V_X, V_Z, V_X);
    shift(f, SHIFTS_W, RIGHT, V_Z, V_B, 3);
    shift(f, SHIFTS_W, LEFT, V_T, V_Y, 5);
    op(f, PANDN, V_Z, V_T, V_Z); /* five bits */
    op(f, PXOR, V_Z, V_Z, V_Y); /* element i is byte i ^ 7 */
    shift(f, SHIFTS_W, LEFT, V_T, V_Y, 4);
    op(f, PADDB, V_Z, V_Z, V_T);
    step(f, 0x66, 2, PSHUFB, V_T, V_A, V_Z);
    op(f, PAND, V_T, V_T, V_X);
    op(f, PCMPEQB, V_T, V_T, V_X);
}

static bool plan_integer(unsigned row, uint32_t word, IrFast *f)
{
    unsigned place;

    switch (row) {
    case EXEC_vcmpgtub: greater_unsigned(f, 1, 0xda, 0x74); return true;
    case EXEC_vcmpgtuh: greater_unsigned(f, 2, 0x3a, 0x75); return true;
    case EXEC_vcmpgtuw: greater_unsigned(f, 2, 0x3b, 0x76); return true;
    case EXEC_vnor:
    case EXEC_xxlnor: op(f, POR, V_T, V_A, V_B); negated(f); return true;
    case EXEC_vnand:
    case EXEC_xxlnand: op(f, PAND, V_T, V_A, V_B); negated(f); return true;
    case EXEC_veqv:
    case EXEC_xxleqv: op(f, PXOR, V_T, V_A, V_B); negated(f); return true;
    case EXEC_vorc:
    case EXEC_xxlorc: op(f, PANDN, V_T, V_A, V_B); negated(f); return true;
    case EXEC_vsel:
    case EXEC_xxsel: select_bits(f); return true;
    case EXEC_vslh: shift_halves(f, true); return true;
    case EXEC_vsrh: shift_halves(f, false); return true;
    case EXEC_vslw: shift_each(f, SLLV, false); return true;
    case EXEC_vsrw: shift_each(f, SRLV, false); return true;
    case EXEC_vsraw: shift_each(f, SRAV, false); return true;
    case EXEC_vsld: shift_each(f, SLLV, true); return true;
    case EXEC_vsrd: shift_each(f, SRLV, true); return true;
    case EXEC_vmladduhm:
        op(f, PMULLW, V_T, V_A, V_B);
        op(f, PADDW, V_T, V_T, V_C);
        return true;
    case EXEC_vspltb:
        place = (field_a(word) & 15) ^ 7;
        op(f, place < 8 ? PUNPCKLBW : PUNPCKHBW, V_T, V_B, V_B);
        splat_half(f, V_T, place & 7);
        return true;
    case EXEC_vsplth: splat_half(f, V_B, (field_a(word) & 7) ^ 3); return true;
    case EXEC_vspltw:
    case EXEC_xxspltw: shuffle(f, V_T, V_B, ((field_a(word) & 3) ^ 1) * 0x55); return true;
    case EXEC_vmrghw:
    case EXEC_xxmrghw:
        op(f, PUNPCKLDQ, V_T, V_B, V_A);
        shuffle(f, V_T, V_T, SWAP_DOUBLES);
        return true;
    case EXEC_vmrglw:
    case EXEC_xxmrglw:
        op(f, PUNPCKHDQ, V_T, V_B, V_A);
        shuffle(f, V_T, V_T, SWAP_DOUBLES);
        return true;
    case EXEC_vsldoi:
        shuffle(f, V_X, V_A, SWAP_DOUBLES); /* as numbers of 128 bits */
        shuffle(f, V_Y, V_B, SWAP_DOUBLES);
        step(f, 0x66, 3, PALIGNR, V_T, V_X, V_Y);
        with_imm(f, 16 - (word >> 6 & 15));
        shuffle(f, V_T, V_T, SWAP_DOUBLES);
        return true;
    case EXEC_vupkhsb:
    case EXEC_vupklsb: unpack_signed(f, PMOVSXBW, row == EXEC_vupklsb); return true;
    case EXEC_vupkhsh:
    case EXEC_vupklsh: unpack_signed(f, PMOVSXWD, row == EXEC_vupklsh); return true;
    case EXEC_vupkhsw:
    case EXEC_vupklsw: unpack_signed(f, PMOVSXDQ, row == EXEC_vupklsw); return true;
    case EXEC_vperm: permute(f); return true;
    case EXEC_vbpermq:
        bits_of(f);
        f->helper = HELPER_vec_bits_of; /* what is left to do is the same for both (gather_bytes) */
        return true;
    default: return false;
    }
}

enum { ADDPS = 0x58, MINPS = 0x5d, MULPS = 0x59, SUBPS = 0x5c, CMPPS = 0xc2, FMADDPS = 0xa8, FNMADDPS = 0xac };
enum { A = 1 << V_A, B = 1 << V_B, C = 1 << V_C, T = 1 << V_T };

/* Of several NaNs the host might choose another one than the guest. */
static void trap_if_nan(IrFast *f)
{
    step(f, 0, 1, MINPS, V_X, V_T, V_T);
}

/* A product that came to the smallest normal number may have been tiny before it was rounded. */
static void trap_if_least(IrFast *f)
{
    step(f, 0, 1, MULPS, V_X, V_T, V_NONE);
    f->steps[f->n_steps - 1].how = STEP_HALF;
}

/* Plain: rounded to nearest, no flags; denormals may be zeros, so there must be none. */
static bool plan_altivec_fp(unsigned row, IrFast *f)
{
    switch (row) {
    case EXEC_vaddfp:
    case EXEC_vsubfp:
        step(f, 0, 1, row == EXEC_vaddfp ? ADDPS : SUBPS, V_T, V_A, V_B);
        f->checks = f->traps ? 0 : T;
        f->checks_again = A | B | T;
        return true;
    case EXEC_vmaddfp:
    case EXEC_vnmsubfp:
        op(f, POR, V_T, V_A, V_A);
        step(f, 0x66, 2, row == EXEC_vmaddfp ? FMADDPS : FNMADDPS, V_T, V_C, V_B);
        if (f->traps && row == EXEC_vmaddfp) {
            trap_if_nan(f);
            return true;
        }
        f->checks = A | C | T;
        f->checks_again = row == EXEC_vmaddfp ? A | B | C | T : 0; /* zeros differ in their signs */
        return true;
    default: return false;
    }
}

static bool compare_singles(IrFast *f, unsigned how)
{
    step(f, 0, 1, CMPPS, V_T, V_A, V_B);
    with_imm(f, how);
    f->checks = f->checks_again = f->traps ? 0 : A | B;
    return true;
}

/* With FPSCR: in the mode in which the host may do arithmetic. */
static bool plan_vsx_fp(unsigned row, IrFast *f)
{
    switch (row) {
    case EXEC_xvaddsp:
    case EXEC_xvsubsp:
        step(f, 0, 1, row == EXEC_xvaddsp ? ADDPS : SUBPS, V_T, V_A, V_B);
        f->checks = f->checks_again = f->traps ? 0 : T;
        return true;
    case EXEC_xvmulsp:
        step(f, 0, 1, MULPS, V_T, V_A, V_B);
        if (f->traps) {
            trap_if_least(f);
            return true;
        }
        f->checks = f->checks_again = T;
        f->is_product = true;
        return true;
    default: return false;
    }
}

static bool plan_comparison(unsigned row, IrFast *f)
{
    enum { EQ = 0, GE = 0x1d, GT = 0x1e, GE_NO_NAN = 0x0d, GT_NO_NAN = 0x0e };

    switch (row) {
    case EXEC_vcmpeqfp:
    case EXEC_xvcmpeqsp: return compare_singles(f, EQ);
    case EXEC_vcmpgefp: return compare_singles(f, GE);
    case EXEC_vcmpgtfp: return compare_singles(f, GT);
    case EXEC_xvcmpgesp: return compare_singles(f, f->traps ? GE_NO_NAN : GE); /* invalid with a NaN */
    case EXEC_xvcmpgtsp: return compare_singles(f, f->traps ? GT_NO_NAN : GT);
    default: return false;
    }
}

static int32_t offset_of(unsigned reg)
{
    return offsetof(PpcState, vsr) + reg * sizeof(PpcVsr);
}

static bool uses(const IrFast *f, IrFastReg reg)
{
    for (unsigned i = 0; i < f->n_steps; i++) {
        if (f->steps[i].b == reg || (!(f->steps[i].how & STEP_GROUP) && f->steps[i].a == reg)) {
            return true;
        }
    }
    return false;
}

/* CR6 of a recording comparison: all true, all false. */
static void put_cr6(PpcTranslator *tr, int32_t t)
{
    IrBlock *ir = tr->ir;
    IrVal left = ir_get_field(ir, IR_I64, t), right = ir_get_field(ir, IR_I64, t + 8);
    IrVal all = ir_setcond(ir, COND_EQ, IR_I64, ir_op2(ir, IR_and, IR_I64, left, right), ppc_const(tr, IR_I64, UINT64_MAX));
    IrVal none = ir_setcond(ir, COND_EQ, IR_I64, ir_op2(ir, IR_or, IR_I64, left, right), ppc_const(tr, IR_I64, 0));

    all = ir_op2(ir, IR_shl, IR_I8, all, ppc_const(tr, IR_I8, 3));
    none = ir_op2(ir, IR_shl, IR_I8, none, ppc_const(tr, IR_I8, 1));
    ppc_put_cr(tr, 6, ir_op2(ir, IR_or, IR_I8, all, none));
}

/* A bit of each byte, all of whose are the same; the first byte's goes to the left. */
static IrVal gather_half(PpcTranslator *tr, IrVal v)
{
    v = ir_op2(tr->ir, IR_and, IR_I64, v, ppc_const(tr, IR_I64, UINT64_C(0x8040201008040201)));
    v = ir_op2(tr->ir, IR_mul, IR_I64, v, ppc_const(tr, IR_I64, UINT64_C(0x0101010101010101)));
    return ir_op2(tr->ir, IR_shr, IR_I64, v, ppc_const(tr, IR_I8, 56));
}

/* A vector of such bytes becomes the number that their bits are. */
static void gather_bytes(PpcTranslator *tr, int32_t t)
{
    IrVal left = gather_half(tr, ir_get_field(tr->ir, IR_I64, t)), right = gather_half(tr, ir_get_field(tr->ir, IR_I64, t + 8));

    left = ir_op2(tr->ir, IR_shl, IR_I64, left, ppc_const(tr, IR_I8, 8));
    ir_put_field(tr->ir, IR_I64, t, ir_op2(tr->ir, IR_or, IR_I64, left, right));
    ir_put_field(tr->ir, IR_I64, t + 8, ppc_const(tr, IR_I64, 0));
}

static bool put_immediate(PpcTranslator *tr, const PpcInsn *in)
{
    int64_t v = (int32_t)(in->word << 11) >> 27;
    uint64_t all;

    switch (in->row->op) {
    case EXEC_vspltisb: all = (v & 0xff) * UINT64_C(0x0101010101010101); break;
    case EXEC_vspltish: all = (v & 0xffff) * UINT64_C(0x0001000100010001); break;
    case EXEC_vspltisw: all = (v & 0xffffffff) * UINT64_C(0x0000000100000001); break;
    default: return false;
    }
    for (unsigned half = 0; half < 2; half++) {
        ir_put_field(tr->ir, IR_I64, offset_of(32 + field_t(in->word)) + 8 * half, ppc_const(tr, IR_I64, all));
    }
    return true;
}

bool ppc_emit_vector_fast(PpcTranslator *tr, const PpcInsn *in)
{
    unsigned row = in->row->op, xo;
    uint32_t word = in->word;
    bool is_vsx = word >> 26 == 60, traps = tr->mode & MODE_TRAP_FP, is_fp = true, compares, records;
    IrFast f = { .kind = FAST_STEPS, .a = -1, .b = -1, .c = -1, .last = -1, .helper = HELPER_fp_exec, .args = { row, word } };

    if (word >> 26 != 4 && !is_vsx) {
        return false;
    }
    if (put_immediate(tr, in)) {
        return true;
    }
    f.traps = traps;
    compares = plan_comparison(row, &f);
    if (compares ? is_vsx && !ppc_assume(tr, in, MODE_FAST_FP)
                 : !plan_altivec_fp(row, &f) && !(is_vsx && plan_vsx_fp(row, &f) && ppc_assume(tr, in, MODE_FAST_FP))) {
        is_fp = false;
        if (compares || (!plan_simple(row, &f) && !plan_integer(row, word, &f))) {
            return false;
        }
    }
    f.traps = traps && is_fp;
    xo = word & 0x3f;
    records = word & 0x400 && (is_vsx ? compares : xo == 6 || xo == 7);
    if (records) { /* the helper would write CR6 itself */
        f.args[1] = word & ~0x400u;
    }
    f.t = offset_of(is_vsx ? field_xt(word) : 32 + field_t(word));
    f.a = uses(&f, V_A) ? offset_of(is_vsx ? field_xa(word) : 32 + field_a(word)) : -1;
    f.b = uses(&f, V_B) ? offset_of(is_vsx ? field_xb(word) : 32 + field_b(word)) : -1;
    f.c = uses(&f, V_C) ? offset_of(is_vsx ? field_xc(word) : 32 + field_c(word)) : -1;
    ir_fast(tr->ir, &f);
    if (records) {
        put_cr6(tr, f.t);
    } else if (row == EXEC_vbpermq) {
        gather_bytes(tr, f.t);
    }
    return true;
}
