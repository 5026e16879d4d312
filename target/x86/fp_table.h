/* The table of vector and MMX instructions that the host executes as they are. */
#ifndef TARGET_X86_FP_TABLE_H
#define TARGET_X86_FP_TABLE_H

#include "target/x86/decode.h"

/* What ModRM.reg and ModRM.rm name; the SDM's letters. */
typedef enum FpOperand {
    FP_NONE, /* reg: part of the opcode or unused; rm: no ModRM byte */
    FP_V,    /* reg: xmm */
    FP_P,    /* reg: mmx */
    FP_G,    /* reg: general register, written */
    FP_W,    /* rm: xmm or memory */
    FP_U,    /* rm: xmm, no memory form */
    FP_Q,    /* rm: mmx or memory */
    FP_N,    /* rm: mmx, no memory form */
    FP_E,    /* rm: general register or memory */
    FP_M,    /* rm: memory, no register form */
} FpOperand;

typedef enum FpFlags {
    FPF_IMM = 1 << 0,     /* an immediate byte follows */
    FPF_STORE = 1 << 1,   /* rm is the destination */
    FPF_LOOSE = 1 << 2,   /* a 16-byte memory operand may be misaligned */
    FPF_EXC = 1 << 3,     /* can raise SIMD floating-point exceptions */
    FPF_EFLAGS = 1 << 4,  /* writes EFLAGS */
    FPF_Y = 1 << 5,       /* the general register is 64 bits wide with REX.W, memory too (size is 4) */
    FPF_GPR64 = 1 << 6,   /* the general register is, memory is not affected */
    FPF_STRING = 1 << 7,  /* pcmpXstrX */
    FPF_MASKMOV = 1 << 8, /* stores at DI */
    /* VEX rows: */
    FPF_ALIGNED = 1 << 9,   /* the memory operand must be aligned to its size */
    FPF_MERGE = 1 << 10,    /* VEX.vvvv names a register where there is no memory operand */
    FPF_REG_AVX2 = 1 << 11, /* without memory operand AVX2 is needed */
    FPF_IS4 = 1 << 12,      /* the immediate's high half is a register */
    FPF_MASKED = 1 << 13,   /* vmaskmov, vpmaskmov */
    FPF_GATHER = 1 << 14,
    FPF_MXCSR = 1 << 15,    /* vldmxcsr, vstmxcsr */
} FpFlags;

typedef struct FpRow {
    uint8_t map, prefix, opcode;
    uint8_t reg, rm;   /* FpOperand */
    uint8_t size;      /* of the memory form, in bytes */
    uint8_t feature;   /* X86Feature */
    uint16_t flags;
    uint8_t digits;    /* mask of the values of ModRM.reg, where reg is FP_NONE */
} FpRow;

extern const FpRow x86_fp_rows[];
extern const unsigned x86_fp_row_count;

/* A mandatory prefix (0, 0x66, 0xf3, 0xf2) as VEX.pp has it. */
static inline unsigned x86_prefix_index(unsigned prefix)
{
    return prefix == 0 ? 0 : prefix == 0x66 ? 1 : prefix == 0xf3 ? 2 : 3;
}

/* The row of an opcode under its mandatory prefix, or NULL. */
const FpRow *x86_fp_row(unsigned map, unsigned prefix, unsigned opcode);

/* fp_translate.c: one instruction as a host instruction. vex: 0, or VEX.128 (1) or VEX.256 (2); w: REX.W or VEX.W. */
void x86_translate_fp_row(X86Translator *tr, X86Insn *in, const FpRow *row, unsigned vex, bool w);
/* Those that need a helper: maskmovq and its like, pcmpestrX, ldmxcsr or stmxcsr. */
void x86_translate_maskmov(X86Translator *tr, X86Insn *in, const FpRow *row);
void x86_translate_pcmpestr(X86Translator *tr, X86Insn *in);
void x86_translate_mxcsr(X86Translator *tr, X86Insn *in, bool load);

/* Whether the lengths are operands, in general registers that the host has for other things. */
static inline bool x86_is_explicit_string(const FpRow *row)
{
    enum { IMPLICIT = 2 };

    return row->flags & FPF_STRING && !(row->opcode & IMPLICIT);
}

/* A pending x87 exception comes before a fault of the memory operand: where a segment's limit is checked in translated
 * code, this goes first. (Page faults: faulting.c.) */
void x86_wait_before_limit(X86Translator *tr, int seg);

/* fp_x87.c: D8-DF and FWAIT. */
bool x86_translate_x87(X86Translator *tr, X86Insn *in);

/* vex_translate.c: VEX forms. */
bool x86_translate_vex(X86Translator *tr, X86Insn *in);

/* sha.c: whether SHA instructions run as the host's own. */
bool x86_host_has_sha(void);

#endif
