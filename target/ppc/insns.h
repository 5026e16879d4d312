/* Decoding and emitting PowerPC instructions: what the files that hold a family's rows and emitters share. */
#ifndef TARGET_PPC_INSNS_H
#define TARGET_PPC_INSNS_H

#include "target/ppc/internal.h"

typedef struct PpcTranslator PpcTranslator;

/* One instruction: its word, and the prefix if it has one (else 0). */
typedef struct PpcInsn {
    uint32_t word, prefix;
    uint64_t pc, next_pc;
    const struct PpcRow *row;
    IrVal loaded; /* A_IMMEDIATE: the word as it is when the block runs, I32; none: as it was translated */
} PpcInsn;

typedef void PpcEmit(PpcTranslator *tr, const PpcInsn *in);

/* Attributes of rows. */
enum {
    A_PRIV = 1 << 0,    /* MSR[PR] set: privileged program interrupt */
    A_HV = 1 << 1,      /* needs hypervisor state */
    A_FP = 1 << 2,      /* needs MSR[FP] */
    A_VEC = 1 << 3,     /* needs MSR[VEC] */
    A_VSX = 1 << 4,     /* needs MSR[VSX] */
    A_BRANCH = 1 << 5,  /* branch trace */
    A_VSX_VEC = 1 << 6, /* MSR[VEC] for registers 32 to 63, else MSR[VSX]; by bit TX, the last one */
    A_TX28 = 1 << 9,    /* TX is bit 28: DQ forms */
    A_TX5 = 1 << 10,    /* TX is bit 5: prefixed forms */
    A_PREFIXED = 1 << 7, /* the row's word is the suffix, and prefix_match, prefix_mask count */
    A_SPE = 1 << 8,     /* needs MSR[SPE] */
    A_IMMEDIATE = 1 << 11, /* the right half is a constant, which the emitter takes by ppc_si or ppc_ui */
    A_PLAIN = 1 << 12,  /* without Rc and OE, all that it does is one ppc_put_gpr */
};

/* A row of a family's table: what a word (masked) must be. Rows are looked at in the order of tables and rows. */
typedef struct PpcRow {
    const char *name;
    uint32_t match, mask;
    PpcEmit *emit;
    uint32_t attr;
    uint64_t isa;       /* any of these; ISA_ALL: all processors */
    unsigned op;        /* for families with several operations */
    uint32_t prefix_match, prefix_mask;
} PpcRow;

/* Forms: which bits are opcode. */
#define OPCD(op)          (uint32_t)(op) << 26, 0xfc000000u
#define X_FORM(op, xo)    ((uint32_t)(op) << 26 | (xo) << 1), 0xfc0007feu    /* bit 31 is Rc or free */
#define X_RC(op, xo)      ((uint32_t)(op) << 26 | (xo) << 1 | 1), 0xfc0007ffu
#define XO_FORM(op, xo)   ((uint32_t)(op) << 26 | (xo) << 1), 0xfc0003feu    /* OE is free */
#define A_FORM(op, xo)    ((uint32_t)(op) << 26 | (xo) << 1), 0xfc00003eu
#define DS_FORM(op, xo)   ((uint32_t)(op) << 26 | (xo)), 0xfc000003u
#define MD_FORM(op, xo)   ((uint32_t)(op) << 26 | (xo) << 2), 0xfc00001cu
#define MDS_FORM(op, xo)  ((uint32_t)(op) << 26 | (xo) << 1), 0xfc00001eu
#define XS_FORM(op, xo)   ((uint32_t)(op) << 26 | (xo) << 2), 0xfc0007fcu
#define VA_FORM(xo)       (4u << 26 | (xo)), 0xfc00003fu

/* Fields, by the names of the ISA's instruction formats. */
static inline unsigned ppc_bits(uint32_t word, unsigned first, unsigned last)
{
    return word >> (31 - last) & (UINT32_MAX >> (31 - (last - first)));
}
#define F_RT(in) ppc_bits((in)->word, 6, 10)
#define F_RS(in) F_RT(in)
#define F_RA(in) ppc_bits((in)->word, 11, 15)
#define F_RB(in) ppc_bits((in)->word, 16, 20)
#define F_RC(in) ppc_bits((in)->word, 21, 25)
#define F_BF(in) ppc_bits((in)->word, 6, 8)
#define F_BFA(in) ppc_bits((in)->word, 11, 13)
#define F_L(in)  ppc_bits((in)->word, 10, 10)
#define F_SH(in) ppc_bits((in)->word, 16, 20)
#define F_MB(in) ppc_bits((in)->word, 21, 25)
#define F_ME(in) ppc_bits((in)->word, 26, 30)
#define F_BO(in) ppc_bits((in)->word, 6, 10)
#define F_BI(in) ppc_bits((in)->word, 11, 15)
#define F_SPR(in) (ppc_bits((in)->word, 11, 15) | ppc_bits((in)->word, 16, 20) << 5)
#define F_UI(in) ((in)->word & 0xffff)
#define F_SI(in) ((int64_t)(int16_t)(in)->word)
#define F_DS(in) ((int64_t)(int16_t)((in)->word & 0xfffc))
#define F_DQ(in) ((int64_t)(int16_t)((in)->word & 0xfff0))
/* Of prefixed instructions: a displacement of 34 bits, and whether it counts from the instruction. */
#define F_D34(in) ((int64_t)((uint64_t)((in)->prefix & 0x3ffff) << 46) >> 30 | F_UI(in))
#define F_R(in) ((in)->prefix >> 20 & 1)
#define IS_RC(in) ((in)->word & 1)
#define IS_OE(in) ((in)->word >> 10 & 1)
#define IS_LK(in) ((in)->word & 1)
#define IS_AA(in) ((in)->word >> 1 & 1)

#define PPC_MAX_COLD 64
#define PPC_COLD_OF_ONE 5 /* an instruction has no more than so many */
#define PPC_MAX_SIDE_EXITS 16

/* Cold code behind the block; it may use slots and constants only. */
typedef struct PpcCold {
    unsigned label;
    PpcInsn insn;
    PpcEmit *emit; /* must end the block (ppc_end_*) or goes on at insn.next_pc */
} PpcCold;

/*
 * A comparison that this block made: a branch on the field compares again, unless the host still has the flags of the last one who did.
 */
typedef struct PpcCompare {
    bool valid;      /* LT, GT, EQ of the field are those of a and b */
    bool is_signed;
    IrType type;
    IrVal a, b;
    unsigned epoch;  /* PpcTranslator.flags_epoch at flags */
    IrVal flags;     /* none yet */
} PpcCompare;

struct PpcTranslator {
    Translation *t;
    IrBlock *ir;
    PpcState *s;
    uint64_t mode, isa;
    bool is64;       /* the processor has 64-bit registers */
    bool sf;         /* and uses 64-bit addresses now */
    IrType width;    /* of registers: IR_I64 or IR_I32 */
    IrType address;  /* of effective addresses, and of what Rc compares */
    unsigned order;  /* IRM_BE or 0: of loads and stores */
    uint64_t pc_mask;
    uint64_t pc, next_pc; /* of the current instruction */
    bool done;       /* the block has its end */
    unsigned n_insns, limit, n_side_exits, n_cold;
    int fp_last;     /* index in ir->fasts of the operation that FPSCR's status comes from, -1: none in reach */
    unsigned fp_last_exits; /* n_side_exits then */
    PpcCompare compare[8];
    uint64_t looked_at; /* bits of MODE_ASSUMED that the block has compared with the state */
    uint8_t cr_put;  /* fields that the block has put */
    bool ca_put;
    unsigned n_looks; /* instructions that ppc_mark_exit has looked at */
    unsigned guarded; /* so many instructions from here on are done, or not, by a condition instead of a branch over them */
    unsigned guard_bi; /* which bit of CR that is */
    bool guard_value;  /* they are done if it is this */
    unsigned flags_epoch; /* how many instructions so far may have changed the host's flags */
    unsigned carry_epoch; /* that of carry */
    IrVal carry;     /* a flags value that holds CA, none: look at the slot */
    IrVal tb;        /* the time base as instruction tb_insn (of n_insns) read it; none yet */
    unsigned tb_insn;
    bool goes_back;      /* the current instruction is a branch that the block goes on at, within itself (unroll.c) */
    uint64_t back_to;
    uint64_t size;       /* bytes of the block where it went back */
    bool carry_inverted; /* it has CA as a borrow: CF = !CA */
    PpcCold cold[PPC_MAX_COLD];
};

/* The word at pc, in the order of the mode; false: it cannot be read. */
bool ppc_fetch_word(PpcTranslator *tr, uint64_t pc, uint32_t *word);
/* decode.c: the row of a word; NULL: there is none for this processor. */
const PpcRow *ppc_decode(uint64_t isa, uint32_t prefix, uint32_t word);
/* All rows, for tests: tables end with a NULL table. */
typedef struct PpcTable {
    const PpcRow *rows; /* ends with name NULL */
} PpcTable;
extern const PpcTable ppc_tables[];

extern const PpcRow ppc_rows_integer[], ppc_rows_cr[], ppc_rows_logic[], ppc_rows_branch[], ppc_rows_memory[], ppc_rows_system[], ppc_rows_cache[];
extern const PpcRow ppc_rows_booke[], ppc_rows_spe[];
extern const PpcRow ppc_rows_mma[], ppc_rows_vsx_prefixed[];
extern const PpcRow ppc_rows_fp[], ppc_rows_altivec[], ppc_rows_vsx[], ppc_rows_dfp[], ppc_rows_fp_memory[];

/* Operands (operands.c). */
IrVal ppc_const(PpcTranslator *tr, IrType type, uint64_t value);
/* A pc of the translation as a value: what LR gets, and what addresses are relative to. */
IrVal ppc_pc(PpcTranslator *tr, IrType type, uint64_t pc);
IrVal ppc_gpr(PpcTranslator *tr, unsigned n);            /* at tr->width */
IrVal ppc_gpr_as(PpcTranslator *tr, IrType type, unsigned n);
/* The low word, zeros above it: an I64. */
IrVal ppc_gpr_zero_extended(PpcTranslator *tr, unsigned n);
IrVal ppc_gpr_or_0(PpcTranslator *tr, unsigned n);       /* (RA|0) */
/* SI and UI, shifted left, as values: constants, unless the word is one that is rewritten often. */
IrVal ppc_si(PpcTranslator *tr, const PpcInsn *in, IrType type, unsigned shift);
IrVal ppc_ui(PpcTranslator *tr, const PpcInsn *in, IrType type, unsigned shift);
void ppc_put_gpr(PpcTranslator *tr, unsigned n, IrVal value); /* value of type tr->width */
/* Addresses, of type tr->address. */
IrVal ppc_address_x(PpcTranslator *tr, const PpcInsn *in);  /* (RA|0) + RB */
IrVal ppc_address_xu(PpcTranslator *tr, const PpcInsn *in); /* RA + RB */
IrVal ppc_base(PpcTranslator *tr, unsigned ra);             /* (RA|0), for a displacement in ir_load */
void ppc_put_address(PpcTranslator *tr, unsigned ra, IrVal address); /* update forms: zero-extended */
/* Arguments of helpers are I64. */
IrVal ppc_arg(PpcTranslator *tr, IrVal value, IrType type);
IrVal ppc_call(PpcTranslator *tr, PpcHelper helper, IrVal a, IrVal b, IrVal c, IrVal d);
#define PPC_CALL0(tr, name)             ppc_call(tr, HELPER_##name, (IrVal){0}, (IrVal){0}, (IrVal){0}, (IrVal){0})
#define PPC_CALL1(tr, name, a)          ppc_call(tr, HELPER_##name, a, (IrVal){0}, (IrVal){0}, (IrVal){0})
#define PPC_CALL2(tr, name, a, b)       ppc_call(tr, HELPER_##name, a, b, (IrVal){0}, (IrVal){0})
#define PPC_CALL3(tr, name, a, b, c)    ppc_call(tr, HELPER_##name, a, b, c, (IrVal){0})
#define PPC_CALL4(tr, name, a, b, c, d) ppc_call(tr, HELPER_##name, a, b, c, d)

/* Condition register (cr.c). */
void ppc_compare(PpcTranslator *tr, unsigned field, IrType type, bool is_signed, IrVal a, IrVal b); /* cmp: with XER[SO] */
void ppc_record(PpcTranslator *tr, IrVal value); /* Rc = 1: CR0 from a value of tr->width */
void ppc_put_cr(PpcTranslator *tr, unsigned field, IrVal bits); /* I8: LT 8, GT 4, EQ 2, SO 1 */
void ppc_put_cr0_eq(PpcTranslator *tr, IrVal yes);              /* EQ from 0 or 1, SO from XER; as stwcx. does */
IrVal ppc_get_cr_field(PpcTranslator *tr, unsigned field);      /* the same, I8 */
/* One bit as flags: *cc holds when CR bit BI is set. */
IrVal ppc_cr_bit_flags(PpcTranslator *tr, unsigned bi, IrCc *cc);
/* Behind an exit to pc: which fields need not be stored there (liveness.c). */
void ppc_mark_exit(PpcTranslator *tr, uint64_t pc);
/* What a guarded instruction puts: the value, or the old one again. */
IrVal ppc_guarded_value(PpcTranslator *tr, IrVal value, IrVal old);
/* Forget what is known of fields that a helper has changed. */
void ppc_cr_forget(PpcTranslator *tr);

/* XER. */
IrVal ppc_carry_in(PpcTranslator *tr, bool inverted); /* flags with CF = CA, or the opposite */
void ppc_put_ca(PpcTranslator *tr, IrVal ca);          /* I8, 0 or 1 */
void ppc_put_ca_flags(PpcTranslator *tr, IrVal flags, bool inverted);
void ppc_put_ov(PpcTranslator *tr, IrVal ov, IrVal ov32); /* I8: OV, OV32 (none: the same), and SO with OV */

/* Ends of blocks, as in target/x86. */
void ppc_end_jump(PpcTranslator *tr, uint64_t pc);
void ppc_end_lookup(PpcTranslator *tr, IrVal pc, IrBranchHint hint); /* pc is I64 */
void ppc_end_at_slot(PpcTranslator *tr);                             /* the pc slot has been written */
void ppc_end_mode(PpcTranslator *tr, uint64_t pc);                   /* modes may have changed */
void ppc_branch_if(PpcTranslator *tr, const PpcInsn *in, IrCc cc, IrVal flags, uint64_t target);
/* Whether a hot block goes through another iteration of a loop, since the branch will probably be taken (unroll.c). */
bool ppc_unrolls(PpcTranslator *tr, const PpcInsn *in, IrCc cc, IrVal flags, uint64_t target);
/* Interrupts at the current instruction; they end the block. */
void ppc_emit_raise(PpcTranslator *tr, uint32_t vector, uint64_t flags);
void ppc_emit_illegal(PpcTranslator *tr);
/* Goes to cold code if a <cond> b. */
void ppc_cold_if(PpcTranslator *tr, const PpcInsn *in, IrCond cond, IrType type, IrVal a, IrVal b, PpcEmit *emit);
void ppc_cold_if_bits(PpcTranslator *tr, const PpcInsn *in, IrType type, IrVal value, uint64_t bits, PpcEmit *emit); /* the value has one of them */
/* If the page at addr may be one that is not cached as usual. */
void ppc_cold_if_uncached(PpcTranslator *tr, const PpcInsn *in, IrVal addr, PpcEmit *emit);
/* Whether the mode has this bit of MODE_ASSUMED. Before anything that the instruction does. */
bool ppc_assume(PpcTranslator *tr, const PpcInsn *in, uint64_t bit);
bool ppc_each_insn_exits(const PpcTranslator *tr);
/* A branch under branch trace does, whether taken or not. */
bool ppc_branch_ends_block(const PpcTranslator *tr);
/* Whether so many instructions from pc on are A_PLAIN, and will be in this block. */
bool ppc_are_plain(PpcTranslator *tr, uint64_t pc, unsigned count);
void ppc_translate(Translation *t); /* GuestOps.translate */

#endif
