/*
 * A decoded x86 instruction, and the translator that turns it into IR.
 *
 * decode.c fills X86Insn from the opcode tables; each row names the function that emits IR for its
 * family. Instructions of the x87, MMX and SSE units all go through x86_translate_fp.
 */
#ifndef TARGET_X86_DECODE_H
#define TARGET_X86_DECODE_H

#include "target/x86/internal.h"

typedef struct X86Translator X86Translator;
typedef struct X86Insn X86Insn;
typedef void X86Emit(X86Translator *tr, X86Insn *in);

/* Operands in the notation of the SDM's opcode maps (volume 2, appendix A.2). */
typedef enum X86Operand {
    O_NONE,
    /* With a ModRM byte. Register or memory: */
    O_Eb, O_Ew, O_Ed, O_Ey, O_Ev,
    /* The register in ModRM.reg: */
    O_Gb, O_Gw, O_Gd, O_Gy, O_Gv,
    O_M,  /* memory of any size */
    O_R,  /* a full register in ModRM.rm: control and debug moves */
    O_Sw, /* the segment register in ModRM.reg */
    O_By, /* the register in VEX.vvvv */
    /* Immediate: unsigned byte, sign-extended byte, word, up to 32 bits, up to 64 bits; pointer. */
    O_Ib, O_Ibs, O_Iw, O_Iz, O_Iv, O_Ap,
    O_Jb, O_Jz,     /* branch displacement */
    O_Ob, O_Ov,     /* memory at an immediate offset */
    O_Zb, O_Zv,     /* the register in the opcode's low bits */
    O_AL, O_AX,     /* accumulator: byte, operand size */
    O_CL, O_DX, O_1,
} X86Operand;

typedef enum X86Attr {
    A_LOCK = 1 << 0,   /* LOCK is allowed with a memory destination */
    A_D64 = 1 << 1,    /* operand size is 64 in 64-bit mode unless 16 */
    A_F64 = 1 << 2,    /* operand size is 64 in 64-bit mode whatever the prefixes */
    A_I64 = 1 << 3,    /* invalid in 64-bit mode */
    A_O64 = 1 << 4,    /* only valid in 64-bit mode */
    A_MODRM = 1 << 5,  /* a ModRM byte although no operand says so */
    A_MEM = 1 << 6,    /* #UD with a register operand */
    A_REG = 1 << 7,    /* #UD with a memory operand */
    A_CPL0 = 1 << 8,   /* #GP(0) outside of ring 0 */
    A_PE = 1 << 9,     /* #UD in real and V86 mode */
    A_END = 1 << 10,   /* a block never continues behind it (the emitter ends it) */
    /* For the liveness of flags: */
    A_FLW = 1 << 11,   /* writes all arithmetic flags without reading any */
    A_FLN = 1 << 12,   /* reads none */
} X86Attr;

typedef struct X86Row {
    X86Emit *emit;           /* NULL: undefined opcode */
    const struct X86Row *group; /* eight rows by ModRM.reg; emit is that of the row found */
    uint8_t op;              /* the family's own number */
    uint8_t operand[3];
    uint16_t attr;
} X86Row;

typedef enum X86Map { MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A } X86Map;

struct X86Insn {
    const X86Row *row;
    uint64_t pc;
    uint64_t next_pc;      /* as the pc slot will have it */
    uint8_t length;
    uint8_t map, opcode;   /* X86Map */
    bool opsize, addrsize; /* 66 and 67 were there */
    uint8_t rep;           /* the last of f2, f3; 0: none */
    bool lock;
    uint8_t rex;           /* REX byte, 0: none. VEX bits are not mirrored here */
    bool w;                /* REX.W or VEX.W */
    uint8_t vex;           /* 0: legacy, 1: VEX.128, 2: VEX.256; then the prefix is in vex_pp */
    uint8_t vex_pp;        /* 0, 0x66, 0xf3, 0xf2 */
    uint8_t vvvv;
    bool vvvv_unused;      /* all of its bits are ones; outside of 64-bit code vvvv lacks the top one */
    uint8_t modrm;         /* the byte as it is */
    uint8_t mod;
    uint8_t reg, rm;       /* with REX.R, and REX.B in the register form */
    bool is_mem;           /* mod != 3 */
    int8_t seg_override;   /* S_ES ..., -1: none (already ignored where 64-bit mode does) */
    uint8_t seg;           /* of the memory operand: override or default */
    int8_t base, index;    /* general registers, -1: none */
    int8_t vsib;           /* the SIB byte's index as a vector register, -1: there is no SIB byte */
    uint8_t scale;         /* shift of index */
    bool rip_relative;     /* disp is to next_pc */
    int64_t disp;
    uint8_t disp_at, disp_size; /* in the instruction; disp_size 0: disp is something else */
    uint8_t type;          /* IrType of the operand size: IR_I16, IR_I32, IR_I64 */
    uint8_t type_y;        /* IR_I64 with W in 64-bit code, else IR_I32 */
    uint8_t addr_type;     /* IrType of the address size */
    uint64_t imm;          /* sign-extended, or zero-extended where the operand says so */
    uint64_t imm2;         /* second one: enter, far pointer's selector */
    /* Kept by x86_address: an address is computed once per instruction. */
    IrVal address;
    int64_t address_disp;
    bool address_written; /* and was checked for writing */
};

/* Which IR value holds current flags; none: they are only in the cc slots. */
typedef struct X86FlagValues {
    IrVal carry;    /* CF */
    IrVal overflow; /* OF */
    IrVal rest;     /* ZF SF PF AF */
} X86FlagValues;

/* What ADCX and ADOX left, as I32 numbers of which bit 0 counts; no id: not known. */
typedef struct X86Carries {
    IrVal cf, of;
    bool in_slots; /* the cc slots have them, by CC_ADX or one of its kin */
} X86Carries;

#define X86_COLD_LIMIT 64    /* a block ends when the next instruction's would be more, mostly */
#define X86_COLD_PER_INSN 16 /* but ENTER may have 63, and what is emitted for one may add others */
#define X86_MAX_COLD 256
#define X86_MAX_SIDE_EXITS 4
#define X86_MORE_READERS 2 /* instructions that read flags, behind the limit of a block */
#define X86_AHEAD 16
#define X86_MAX_RETURNS 4

/* Code at the block's end for a check that failed: raises an exception of an instruction, begins the
 * instruction again, or does it in another way. */
typedef struct X86Cold {
    unsigned label;
    uint64_t pc;
    int16_t vector; /* or one of the below */
    bool has_error; /* of 0 */
    X86Insn insn;   /* for COLD_EMIT */
    X86Emit *emit;
} X86Cold;
enum { COLD_RETRY = -1, COLD_EMIT = -2, COLD_LOOK = -3 };

struct X86Translator {
    Translation *t;
    IrBlock *ir;
    const X86State *s;  /* for features only: modes are in the key */
    uint64_t mode;      /* MODE_ bits */
    bool cs64, cs32, ss32; /* cs64: cs32 is false */
    bool pe, vm;        /* pe without vm: protected mode proper */
    bool flat, flat_cs;
    bool one_cpu; /* nobody else can see the steps of a locked instruction */
    unsigned cpl, iopl;
    uint64_t cs_base;
    IrType addr_type;   /* of linear addresses: IR_I64 in 64-bit mode, else IR_I32 */
    uint64_t pc_mask;   /* of pc values in this mode: 64 or 32 bits */
    bool done;          /* the block's last exit has been emitted */
    unsigned n_insns, n_side_exits;
    unsigned limit;     /* of n_insns */
    uint64_t next_known; /* of the Translation; where no instruction is if there is none */
    uint64_t next_pc;   /* of the instruction being translated */
    uint64_t run_pc;    /* where the bytes in a row begin that it is in now */
    uint64_t ahead_pc;  /* behind what was looked at in a row with them */
    unsigned n_followed, n_returns; /* follow.c: jumps and calls; where the calls return to */
    uint64_t returns[X86_MAX_RETURNS];
    uint64_t page;      /* number of the block's page */
    X86FlagValues flags;
    X86Carries carries;
    bool keep_flags;    /* in the slots, whoever reads them next: another part of them follows */
    unsigned n_cold;
    /* Instructions decoded ahead, and where flags are known to be dead, by low bits of the pc. */
    uint32_t ahead_valid, known_valid;
    X86Insn ahead[X86_AHEAD];
    struct { uint64_t pc; bool dead; } known[X86_AHEAD];
    X86Cold cold[X86_MAX_COLD];
};

/* decode.c: false if a byte cannot be fetched. A row without emit: undefined. */
typedef enum X86DecodeResult { DECODE_OK, DECODE_FETCH, DECODE_TOO_LONG } X86DecodeResult;
X86DecodeResult x86_decode(Translation *t, uint64_t mode, uint64_t pc, X86Insn *in);

/*
 * The linear address of the memory operand; the disp is to be given to ir_load and the like. Segment
 * limits are checked where the mode needs it, for an access of `size` bytes (0: whatever the row's
 * operand says, at least 1).
 */
IrVal x86_address(X86Translator *tr, X86Insn *in, int64_t *disp);
IrVal x86_address_sized(X86Translator *tr, X86Insn *in, unsigned size, bool write, int64_t *disp);
/* The same with the displacement added, as an I64 for helpers. */
IrVal x86_address_arg(X86Translator *tr, X86Insn *in, unsigned size, bool write);
/* Whether accesses in the segment need no check of its limit. */
bool x86_is_unlimited(const X86Translator *tr, int seg);
/* The offset alone (lea), of the address size. */
IrVal x86_effective(X86Translator *tr, X86Insn *in);
/* Offset (of the address size) in a segment to linear address, checked. */
IrVal x86_linear(X86Translator *tr, const X86Insn *in, int seg, IrVal offset, IrType addr_type,
                 unsigned size, bool write);

/* General registers. For IR_I8 and no REX, numbers 4-7 are AH CH DH BH. */
IrVal x86_gpr_get(X86Translator *tr, const X86Insn *in, IrType type, unsigned reg);
void x86_gpr_put(X86Translator *tr, const X86Insn *in, IrType type, unsigned reg, IrVal value);
/* The register or memory operand in ModRM.rm. */
IrVal x86_rm_get(X86Translator *tr, X86Insn *in, IrType type);
void x86_rm_put(X86Translator *tr, X86Insn *in, IrType type, IrVal value);
IrType x86_operand_type(const X86Insn *in, unsigned n);
IrVal x86_operand_get(X86Translator *tr, X86Insn *in, unsigned n);
/* The immediate that is this operand and the instruction's end: a constant, or what is in the code when it runs. */
IrVal x86_immediate(X86Translator *tr, const X86Insn *in, unsigned n);
unsigned x86_immediate_bytes(const X86Insn *in); /* that are such operands, at the instruction's end */
IrVal x86_operand_update(X86Translator *tr, X86Insn *in);
void x86_operand_put(X86Translator *tr, X86Insn *in, unsigned n, IrVal value);

/* Raise now: the instruction always faults, and the block ends. */
void x86_ud(X86Translator *tr);
void x86_gp0(X86Translator *tr);
void x86_raise_now(X86Translator *tr, int vector);
/* Raise if a <cond> b, in cold code at the block's end. */
void x86_raise_if(X86Translator *tr, const X86Insn *in, IrCond cond, IrType type, IrVal a, IrVal b,
                  int vector, bool has_error);

/* If a <cond> b, emit does the whole instruction instead, and the block ends with it. */
void x86_emit_other_if(X86Translator *tr, const X86Insn *in, IrCond cond, IrType type, IrVal a, IrVal b, X86Emit *emit);

/* Where a near branch goes. False: it is known only at run time. */
bool x86_branch_target(const X86Translator *tr, const X86Insn *in, uint64_t *target);
/* A pc as a value, for code that stores it or passes it on; that of the next instruction (I64). */
IrVal x86_pc(X86Translator *tr, IrType type, uint64_t pc);
IrVal x86_next_pc(X86Translator *tr, const X86Insn *in);

/* End the block: at a known pc in the same mode; at a computed pc (I64), also when the mode may have
 * changed; at the next instruction when it may have; at the pc that a helper put into the slot; back in the engine. */
void x86_end_jump(X86Translator *tr, uint64_t pc);
void x86_end_lookup(X86Translator *tr, IrVal pc, IrBranchHint hint);
void x86_end_next(X86Translator *tr, const X86Insn *in);
void x86_end_at_slot(X86Translator *tr);
void x86_end_main(X86Translator *tr, uint64_t pc, TcgExit why);
/* A conditional branch to target; the block goes on with the next instruction unless a mode wants
 * an exit after each. */
void x86_branch_if(X86Translator *tr, const X86Insn *in, IrCc cc, IrVal flags, uint64_t target);

/* Flags, flags.c. Producers put the cc slots and remember the IR value for consumers in the block. */
IrVal x86_flags_for(X86Translator *tr, IrCc cc);      /* a flags value that has what cc needs */
IrVal x86_flags_all(X86Translator *tr);
IrVal x86_flags_carry(X86Translator *tr);             /* at least CF */
void x86_flags_put(X86Translator *tr, X86CcOp op, IrType type, IrVal dst, IrVal src, IrVal flags);
/* ZF PF CF and the rest from the EFLAGS bits in image (I32): comis, fcomi, sahf... */
void x86_flags_put_image(X86Translator *tr, IrVal image);
/* The same from a flags value that an operation defined, with all six bits. */
void x86_flags_put_value(X86Translator *tr, IrVal flags);
/* Values do not live across labels: to be called with each ir_label. */
static inline void x86_flags_forget(X86Translator *tr)
{
    tr->flags = (X86FlagValues){0};
    tr->carries = (X86Carries){0};
}

/*
 * fp_translate.c: the rows of the x87, MMX and SSE units: D8-DF; in map 0F 10-17, 28-2F, 50-7F, AE
 * (but fences, clflush and FS/GS base), C2, C4-C6, D0-FF, C7 /3-/5; all of 0F38 and 0F3A but the
 * general-register ones. Also VEX forms of all these (in->vex). Returns false: #UD.
 * Does its own checks of features, CR0.TS/EM and LOCK (LOCK has been refused already).
 */
bool x86_translate_fp(X86Translator *tr, X86Insn *in);

/* Emitters of the integer side are listed in insns.h. */

#endif
