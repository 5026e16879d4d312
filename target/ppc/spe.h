/* The signal processing extension and embedded floating point of the e500: what its files share. */
#ifndef TARGET_PPC_SPE_H
#define TARGET_PPC_SPE_H

#include "target/ppc/booke.h"
#include "target/ppc/fp.h"

/* An instruction: `how` tells those of a family apart. */
typedef void SpeExec(PpcState *s, uint32_t insn, unsigned how);

SpeExec spe_logic, spe_shift, spe_compare, spe_select, spe_load, spe_store;         /* spe_int.c */
SpeExec spe_multiply, spe_accumulate, spe_divide, spe_move_acc;                     /* spe_multiply.c */
SpeExec spe_fp_single, spe_fp_double, spe_fp_vector;                                /* spe_fp.c */

/* SPEFSCR, flags of the right element; those of the left one are 16 bits further left (SPEPEM 2.3.1). */
enum {
    SPEFSCR_FRMC = 3, SPEFSCR_FOVFE = 0x04, SPEFSCR_FUNFE = 0x08, SPEFSCR_FDBZE = 0x10, SPEFSCR_FINVE = 0x20,
    SPEFSCR_FINXE = 0x40, SPEFSCR_FOVF = 0x100, SPEFSCR_FUNF = 0x200, SPEFSCR_FDBZ = 0x400, SPEFSCR_FINV = 0x800,
    SPEFSCR_FX = 0x1000, SPEFSCR_FG = 0x2000, SPEFSCR_OV = 0x4000, SPEFSCR_SOV = 0x8000, SPEFSCR_FOVFS = 0x20000,
    SPEFSCR_FUNFS = 0x40000, SPEFSCR_FDBZS = 0x80000, SPEFSCR_FINVS = 0x100000, SPEFSCR_FINXS = 0x200000,
    SPEFSCR_FLAGS = 0x3f00,
};

static inline uint32_t spe_high(const PpcState *s, unsigned n)
{
    return s->gprh[n];
}

static inline uint32_t spe_low(const PpcState *s, unsigned n)
{
    return s->gpr[n];
}

static inline uint64_t spe_get(const PpcState *s, unsigned n)
{
    return (uint64_t)s->gprh[n] << 32 | (uint32_t)s->gpr[n];
}

static inline void spe_put(PpcState *s, unsigned n, uint64_t value)
{
    s->gprh[n] = value >> 32;
    s->gpr[n] = (uint32_t)value;
}

static inline void spe_put_words(PpcState *s, unsigned n, uint32_t high, uint32_t low)
{
    s->gprh[n] = high;
    s->gpr[n] = low;
}

/* Overflow of an integer operation, by element, and the sticky bits. */
static inline void spe_note_overflow(PpcState *s, bool high, bool low)
{
    uint32_t flags = (high ? (uint32_t)(SPEFSCR_OV | SPEFSCR_SOV) << 16 : 0) | (low ? SPEFSCR_OV | SPEFSCR_SOV : 0);

    s->spr[SPR_SPEFSCR] = (s->spr[SPR_SPEFSCR] & ~((uint64_t)SPEFSCR_OV << 16 | SPEFSCR_OV)) | flags;
}

enum { /* how, of spe_logic */
    SPE_ADD, SPE_ADDI, SPE_SUBF, SPE_SUBIF, SPE_ABS, SPE_NEG, SPE_EXTSB, SPE_EXTSH, SPE_RND, SPE_CNTLZ, SPE_CNTLS, SPE_BRINC,
    SPE_AND, SPE_ANDC, SPE_XOR, SPE_OR, SPE_NOR, SPE_EQV, SPE_ORC, SPE_NAND, SPE_SPLATI, SPE_SPLATFI, SPE_MERGEHI, SPE_MERGELO,
    SPE_MERGEHILO, SPE_MERGELOHI,
};
enum { SPE_SRU, SPE_SRS, SPE_SL, SPE_RL, SPE_IMMEDIATE = 8 };          /* of spe_shift */
enum { SPE_GTU, SPE_GTS, SPE_LTU, SPE_LTS, SPE_EQ };                   /* of spe_compare */
enum {                                                                 /* of spe_load and spe_store */
    SPE_DD, SPE_DW, SPE_DH, SPE_HHESPLAT, SPE_HHOUSPLAT, SPE_HHOSSPLAT, SPE_WHE, SPE_WHOU, SPE_WHOS, SPE_WWSPLAT, SPE_WHSPLAT,
    SPE_WWE, SPE_WWO, SPE_INDEXED = 16,
};
enum {                                                                 /* of spe_multiply, spe_accumulate */
    MUL_HALF = 0, MUL_WORD_HIGH = 1, MUL_WORD_LOW = 2, MUL_DOUBLE = 3, MUL_GUARDED = 4, MUL_SIZE = 7,
    MUL_ODD = 8, MUL_SIGNED = 16, MUL_FRACTION = 32, MUL_SATURATE = 64, MUL_ACC = 128, MUL_ADD = 256, MUL_SUB = 512,
};
enum {                                                                 /* of spe_fp_* */
    EFP_ADD, EFP_SUB, EFP_MUL, EFP_DIV, EFP_ABS, EFP_NABS, EFP_NEG, EFP_CMPGT, EFP_CMPLT, EFP_CMPEQ, EFP_TSTGT, EFP_TSTLT, EFP_TSTEQ,
    EFP_CFUI, EFP_CFSI, EFP_CFUF, EFP_CFSF, EFP_CTUI, EFP_CTSI, EFP_CTUF, EFP_CTSF, EFP_CTUIZ, EFP_CTSIZ, EFP_CONVERT,
};

#endif
