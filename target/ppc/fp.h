/*
 * Floating point and vectors of the PowerPC: instruction fields, registers, FPSCR.
 *
 * Instructions are C functions of the state and the instruction word; fp_table.c lists them.
 */
#ifndef PPC_FP_H
#define PPC_FP_H

#include "softfp.h"
#include "target/ppc/cpu.h"

typedef void PpcFpExec(PpcState *s, uint32_t insn);

/* Fields of an instruction word. */
static inline unsigned field_t(uint32_t insn) { return insn >> 21 & 31; }
static inline unsigned field_a(uint32_t insn) { return insn >> 16 & 31; }
static inline unsigned field_b(uint32_t insn) { return insn >> 11 & 31; }
static inline unsigned field_c(uint32_t insn) { return insn >> 6 & 31; }
static inline unsigned field_bf(uint32_t insn) { return insn >> 23 & 7; }
static inline unsigned field_xt(uint32_t insn) { return (insn >> 21 & 31) | (insn & 1) << 5; }
static inline unsigned field_xa(uint32_t insn) { return (insn >> 16 & 31) | (insn >> 2 & 1) << 5; }
static inline unsigned field_xb(uint32_t insn) { return (insn >> 11 & 31) | (insn >> 1 & 1) << 5; }
static inline unsigned field_xc(uint32_t insn) { return (insn >> 6 & 31) | (insn >> 3 & 1) << 5; }

static inline FpRound fp_rn(const PpcState *s)
{
    return s->fpscr & FPSCR_RN;
}

/* A scalar register. The right doubleword, which only VSX can see, becomes zero (v3.1; undefined before). */
static inline void fp_put_scalar(PpcState *s, unsigned reg, uint64_t value)
{
    s->vsr[reg][0] = value;
    s->vsr[reg][1] = 0;
}

/* The bits that moves to FPSCR reach: all but the summaries, the reserved one, and DRN with the left word. */
#define FPSCR_WRITABLE (UINT64_C(0x700000000) | (0xffffffff & ~(FPSCR_FEX | FPSCR_VX | 0x800)))

/* The host may do floating point: rounding to nearest, XX set, nothing enabled. */
#define FPSCR_FAST_MASK (FPSCR_RN | FPSCR_XX | FPSCR_VE | FPSCR_OE | FPSCR_UE | FPSCR_ZE | FPSCR_XE)
#define FPSCR_FAST      FPSCR_XX

static inline bool ppc_fp_is_fast(const PpcState *s)
{
    return (s->fpscr & FPSCR_FAST_MASK) == FPSCR_FAST;
}

/* Those that mtfsf moves. */
static inline uint64_t fp_moved_bits(uint32_t insn)
{
    uint64_t mask = 0;

    for (unsigned i = 0; i < 8; i++) {
        if (insn >> 17 & 1u << i) {
            mask |= UINT64_C(15) << 4 * i;
        }
    }
    if (insn & 0x02000000) { /* L: all of it */
        return UINT64_MAX;
    }
    return insn & 0x10000 ? mask << 32 : mask;
}

/* LT GT EQ UN in the instruction's CR field, and in FPCC. */
static inline void fp_put_fpcc(PpcState *s, uint32_t insn, unsigned cr)
{
    s->cr[field_bf(insn)] = cr;
    s->fpscr = (s->fpscr & ~(uint64_t)FPSCR_FPCC) | cr << 12;
}

enum { FP_KEEP_FR_FI, FP_SET_FR_FI };

/* Adds exceptions (FPSCR bits, with FR and FI) to FPSCR. False: the result must not be written. */
bool fp_note(PpcState *s, uint32_t flags, unsigned what);
/* Recomputes VX and FEX. */
void fp_summarise(PpcState *s);
/* CR1 of a recording instruction, then the program interrupt if an enabled exception is there. */
void fp_end(PpcState *s, uint32_t insn);
void fp_trap(PpcState *s);
/* Writes a double to a register with its FPRF, if flags allow. */
void fp_write(PpcState *s, unsigned reg, uint64_t value, uint32_t fprf, uint32_t flags);

/* The NaN that an operation of up to three operands gives: the first, quiet. False: there is none. */
bool fp_pick_nan(const FpNum *const *operands, unsigned n, FpNum *out, uint32_t *flags);

/* Load and store single (Power ISA, book I, 4.6.2, 4.6.3): no rounding, SNaNs stay what they are. */
uint64_t fp_single_to_double(uint32_t bits);
uint32_t fp_double_to_single(uint64_t bits);

typedef enum FpArith { FP_ADD, FP_SUB, FP_MUL, FP_DIV, FP_SQRT, FP_MADD, FP_MSUB, FP_NMADD, FP_NMSUB } FpArith;
/* One operation on packed numbers: a, b as in a + b, a - b, a / b; a * c + b. The result in `format`'s
 * precision, packed as `in`. A NaN is not rounded unless cut_nan. */
U128 fp_arith(PpcState *s, FpArith op, const FpFormat *in, const FpFormat *format, FpRound round, U128 a, U128 b,
              U128 c, uint32_t *flags);
/* To an integer of so many bits. */
uint64_t fp_convert_to_int(const FpFormat *format, U128 bits, unsigned width, bool is_unsigned, FpRound round,
                           uint32_t *flags);
/* FPRF of a number of `format` in double format: a denormalized single is normal as a double. */
uint32_t fp_class_in_double(const FpFormat *format, uint64_t bits);
/* An estimate of 1 / x, or of 1 / root(x), rounded to the format `to`, packed as `format`. No XX. */
U128 fp_estimate(PpcState *s, const FpFormat *format, const FpFormat *to, U128 bits, bool root, uint32_t *flags);
/* To a value that is an integer, packed. */
bool fp_is_g3(const PpcState *s);
/* In the left word of what fctiw and fctiwz of a G3 make, with a bit for zero from something negative. */
enum { FP_WORD_MARK = 0xfff80000u, FP_WORD_MINUS_ZERO = 1 };
U128 fp_to_integral(const FpFormat *format, U128 bits, FpRound round, uint32_t *flags);
FpNum fp_from_int64(uint64_t v, bool is_unsigned);
/* fcmpu, fcmpo and their like: CR field and FPSCR. */
void fp_compare_scalars(PpcState *s, uint32_t insn, const FpFormat *format, U128 a, U128 b, bool ordered);
/* Whether a software division or root would go wrong: FG, FE as CR bits. */
unsigned fp_test_div(const FpFormat *f, U128 x, U128 y);
unsigned fp_test_sqrt(const FpFormat *f, U128 y);
/* LT GT EQ UN as a CR field; *flags: VXSNAN, and VXVC of an ordered comparison. */
unsigned fp_compare_bits(const FpFormat *format, U128 a, U128 b, bool ordered, unsigned ve, uint32_t *flags);

/*
 * FPRF, FR and FI of an operation on doubles that the host did (fp_again.c): operands a, b, c as in a + b, a * b, a * c + b.
 * False: it is not one of the simple cases.
 */
bool ppc_fp_status_of(PpcFpSum sum, const uint64_t *operands, uint32_t *status);
/* The same without the host's floating point. */
bool ppc_fp_status_by_integers(PpcFpSum sum, const uint64_t *operands, uint32_t *status);

/* Interrupts, by the CPU's core. */
void ppc_raise_fp_enabled(PpcState *s);

/* fp_ops.c: opcodes 59 and 63. */
#define FP_EXECS(X)                                                                                             \
    X(fadd) X(fadds) X(fsub) X(fsubs) X(fmul) X(fmuls) X(fdiv) X(fdivs) X(fsqrt) X(fsqrts) X(fmadd) X(fmadds)   \
    X(fmsub) X(fmsubs) X(fnmadd) X(fnmadds) X(fnmsub) X(fnmsubs) X(fre) X(fres) X(frsqrte) X(frsqrtes) X(fsel)  \
    X(frsp) X(fctiw) X(fctiwz) X(fctiwu) X(fctiwuz) X(fctid) X(fctidz) X(fctidu) X(fctiduz) X(fcfid) X(fcfidu)  \
    X(fcfids) X(fcfidus) X(frin) X(friz) X(frip) X(frim) X(fcmpu) X(fcmpo) X(ftdiv) X(ftsqrt) X(fmr) X(fneg)    \
    X(fabs) X(fnabs) X(fcpsgn) X(fmrgew) X(fmrgow) X(mffs) X(mffsce) X(mffscdrn) X(mffscdrni) X(mffscrn)        \
    X(mffscrni) X(mffsl) X(mcrfs) X(mtfsb0) X(mtfsb1) X(mtfsfi) X(mtfsf)
#define X(name) PpcFpExec ppc_exec_##name;
FP_EXECS(X)
#undef X

#endif
