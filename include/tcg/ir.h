/*
 * The intermediate representation: typed three-address code over values that are assigned once.
 *
 * A block is a straight line with side exits, or a region with labels. Guest state is reached
 * through slots only. See docs/translator.md for the contract of every part.
 */
#ifndef TCG_IR_H
#define TCG_IR_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum IrType {
    IR_I8,
    IR_I16,
    IR_I32,
    IR_I64,
    IR_I128,
    IR_F32,
    IR_F64,
    IR_F80,
    IR_V128,
    IR_V256,
    IR_FLAGS,
    IR_VOID,
} IrType;

typedef enum IrOp {
#define PURE(name, outputs, inputs, meaning)   IR_##name,
#define EFFECT(name, outputs, inputs, meaning) IR_##name,
#include "tcg/ops.def"
#undef PURE
#undef EFFECT
    IR_OP_COUNT
} IrOp;

/* The x86 condition codes, in their encoding; the opposite is cc ^ 1. */
typedef enum IrCc {
    CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A,
    CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G,
} IrCc;

typedef enum IrCond {
    COND_EQ, COND_NE, COND_LTU, COND_GEU, COND_LEU, COND_GTU,
    COND_LTS, COND_GES, COND_LES, COND_GTS,
} IrCond;

enum {
    FLAG_CF = 0x001, FLAG_PF = 0x004, FLAG_AF = 0x010, FLAG_ZF = 0x040, FLAG_SF = 0x080,
    FLAG_OF = 0x800, FLAGS_ALL = 0x8d5,
};

/* IrInsn.bits of arithmetic: the operation also defines a flags value. */
#define IRB_FLAGS 0x8000

/* IrInsn.bits of memory operations. */
typedef enum IrMem {
    IRM_BE = 1 << 0,    /* byte-swapped: the guest's order is big-endian */
    IRM_ZX = 1 << 1,    /* load: out is I64, zero-extended */
    IRM_SX = 1 << 2,    /* load: out is I64, sign-extended */
    IRM_SX32 = 1 << 3,  /* load: out is I32, sign-extended */
    IRM_ALIGNED = 1 << 4, /* misaligned faults (the target's alignment exception) */
    IRM_STACK = 1 << 5, /* a hint: likely shares a page with its neighbours */
    IRM_KERNEL = 1 << 6, /* as supervisor whatever the current mode (x86: descriptor tables) */
    IRM_UPDATE = 1 << 7, /* load: a store to the same place follows, and it faults as that store */
} IrMem;

/* What a fence orders: the imm of IR_fence. Hosts that have no weaker one order everything. */
typedef enum IrFence {
    FENCE_ALL,
    FENCE_LOADS,  /* loads before all that comes later, and before the host's counter is read */
    FENCE_STORES, /* stores before later ones, also such as the host may put off (x86: MOVNT) */
} IrFence;

typedef enum IrBranchHint { BRANCH_JUMP, BRANCH_CALL, BRANCH_RETURN } IrBranchHint;

/* Why translated code came back to the engine. */
typedef enum TcgExit {
    TCG_EXIT_LOOKUP,     /* continue at the pc slot, nothing special */
    TCG_EXIT_POLL,       /* CpuHot.poll was negative */
    TCG_EXIT_EXCEPTION,  /* unwound by a helper or a fault: the target's pending exception */
    TCG_EXIT_HALT,       /* the CPU waits for an interrupt */
    TCG_EXIT_MODE,       /* mode bits of the block key may have changed; also after sti etc. */
    TCG_EXIT_SMC,        /* the running block was invalidated by its own store */
    TCG_EXIT_DEBUG,      /* breakpoint, watchpoint or step */
    TCG_EXIT_YIELD,      /* pause: let others run */
    TCG_EXIT_UNCHAINED,  /* a direct exit that is not linked yet */
} TcgExit;

/* A struct, so that a value cannot be mistaken for a number. id 0: no value. */
typedef struct IrVal {
    uint32_t id;
} IrVal;

typedef struct IrValFlags {
    IrVal value;
    IrVal flags;
} IrValFlags;

typedef struct IrPair {
    IrVal low, high;
    IrVal flags;
} IrPair;

typedef struct IrInsn {
    uint8_t op;   /* IrOp */
    uint8_t type; /* IrType */
    uint16_t bits;
    uint32_t out; /* id of the first output; further outputs and the flags value follow */
    uint32_t in[4];
    uint64_t imm;
} IrInsn;

G_STATIC_ASSERT(sizeof(IrInsn) == 32);

/* A piece of guest state that translated code may keep in a host register. Once per target. */
typedef struct IrSlot {
    const char *name;
    uint32_t offset; /* in the state */
    uint8_t type;    /* IR_I8 .. IR_I64 */
    int8_t pin;      /* rank of its claim to a fixed host register, 0 first; -1: none */
} IrSlot;
#define IR_MAX_SLOTS 64 /* helper effects are masks */

/* A C function that translated code calls: uint64_t fn(void *state, uint64_t a, b, c, d). */
typedef struct IrHelper {
    const char *name;
    void *fn;
    uint8_t args;     /* besides the state */
    uint8_t result;   /* IrType, IR_VOID for none */
    uint16_t effects; /* IrEffects */
    uint64_t reads, writes; /* masks of slots; ~0 for all */
} IrHelper;

typedef enum IrEffects {
    EFFECT_FAULT = 1 << 0,    /* may unwind (tcg_unwind): needs the precise pc, and sees all slots */
    EFFECT_FP = 1 << 1,       /* not compiled general-regs-only: vector and x87 registers are
                                 stored to the state before */
    EFFECT_NORETURN = 1 << 2,
    EFFECT_PURE = 1 << 3,     /* depends on its arguments only (and on what it reads); may be dropped */
    EFFECT_SHORTCUT = 1 << 4, /* returns b if a is not zero: then it need not be called. Of two arguments */
} IrEffects;

/* Same-ISA lane: one host instruction. */
typedef enum RawRole {
    RAW_NONE,
    RAW_DIGIT,   /* ModRM.reg is part of the opcode */
    RAW_XMM,     /* a guest vector register, by number */
    RAW_MMX,     /* a guest MMX register */
    RAW_ST,      /* ModRM.rm is the low part of an x87 register form */
    RAW_GPR_IN,  /* the value in[1] */
    RAW_GPR_OUT, /* the value out */
    RAW_GPR_INOUT, /* out starts as in[1] */
    RAW_MEM,     /* memory at in[0] + imm */
    RAW_AX_OUT,  /* rm_role of fnstsw ax (DF E0) only: out (I32, low 16 bits) is what it would leave
                    in AX; no other register changes. Emit fnstsw m16 (DD /7) to hot.scratch */
} RawRole;

typedef struct IrRaw {
    uint8_t prefix; /* 0, 0x66, 0xf2, 0xf3 */
    uint8_t map;    /* 0: one byte, 1: 0f, 2: 0f38, 3: 0f3a */
    uint8_t opcode;
    bool w;         /* REX.W or VEX.W */
    uint8_t vex;    /* 0: legacy, 1: VEX.128, 2: VEX.256 */
    uint8_t reg_role, reg;
    uint8_t rm_role, rm;
    uint8_t vvvv;   /* VEX second source, a vector register number */
    bool has_imm;
    uint8_t imm;
    uint8_t gpr_type;  /* IrType of the GPR operand: I32 or I64 */
    uint16_t mem_size; /* bytes: 1 2 4 8 10 14 16 28 32 94 108 512 */
    bool mem_read, mem_write;
    uint8_t mem_align; /* 16, 32: misaligned addresses raise the target's alignment fault; else 0 */
    bool x87;          /* uses the x87/MMX unit, otherwise vector registers */
    bool may_fault;    /* unmasked FP exceptions are possible */
    bool flags_in;     /* in[1] is a flags value which EFLAGS must hold (fcmovcc), no GPR */
} IrRaw;

/*
 * A floating-point or vector operation on fields of the state, which a helper does completely and exactly. A host may
 * do it itself where it knows the same outcome. All but FAST_STEPS without numbers are for guests in a mode that rounds to nearest, has
 * noted inexactness already, and traps nothing.
 */
typedef enum IrFastKind {
    FAST_STEPS,    /* a few instructions on vectors of 128 bits */
    FAST_DOUBLE,   /* t = a op b, doubles; a is -1 for a square root */
    FAST_DOUBLES,  /* two of them */
    FAST_FUSED,    /* t = +-(a * c +- b) */
    FAST_FUSED2,   /* two of them */
    FAST_ROUND,    /* t = b rounded to a single */
    FAST_TO_INT,   /* t = b as an integer of `size` bytes, sign-extended; the host instruction says how it is rounded */
    FAST_FROM_INT, /* t = the 64-bit integer b */
    FAST_WIDEN,    /* t = the single b as a double; always with `traps` */
    FAST_SIGN,     /* t = the doubleword b, by `opcode`: as it is, 57: with the other sign, 54: without, 56: negative */
    FAST_COMPARE,  /* out (I8) = a < b ? 8 : a > b ? 4 : 2; no t */
    FAST_STATUS,   /* t = the doubleword `control` with the status of what is noted at `last`: PowerPC's mffs */
} IrFastKind;

/* Registers of steps: the operands, the result, and free ones. */
typedef enum IrFastReg { V_A, V_B, V_C, V_T, V_X, V_Y, V_Z, V_NONE } IrFastReg;
enum {
    STEP_IMM = 1 << 0,   /* has an immediate byte */
    STEP_GROUP = 1 << 1, /* a is no register but part of the opcode (shifts by constants) */
    STEP_W = 1 << 2,     /* VEX.W */
    STEP_HALF = 1 << 3,  /* b is no register but four singles of one half (with IrFast.traps) */
    STEP_BITS = 1 << 4,  /* b is no register but the bytes 0x80, 0x40, ... 0x01, 0, ... */
    STEP_EVEX = 1 << 5,  /* an instruction of AVX-512, where the host has that; then the next imm steps are left out, else this one */
};
/* An instruction in VEX encoding: to = a op b. */
typedef struct IrFastStep {
    uint8_t prefix, map, opcode;
    uint8_t to, a, b; /* IrFastReg */
    uint8_t imm, how;
} IrFastStep;
enum { IR_FAST_STEPS = 18 };

typedef struct IrFast {
    uint8_t kind;             /* IrFastKind */
    uint8_t prefix, map, opcode; /* of the host instruction, as in IrRaw; the fused ones are VEX */
    uint8_t size;
    bool is_unsigned;         /* the integer */
    bool twice;               /* an integer of 4 bytes is in both halves of t */
    bool single;              /* the result is rounded to a single */
    bool clear;               /* the doubleword behind t becomes zero */
    bool traps;               /* it runs with the host's exceptions unmasked: TcgFpTraps */
    bool record;              /* args[1] and operands go to `last`: what the status bits can be made of */
    int32_t t, a, b, c, last; /* offsets in the state; last: args[1], sign-extended, and three doublewords */
    uint16_t helper;
    uint32_t args[2];
    /*
     * Of FAST_STATUS: bits 12 to 18 become what `opcode` gives, an operation in FAST_FUSED's or FAST_DOUBLE's encoding, if the note is of one
     * of its kind, that is equals note_key under note_mask. Bit 18: its result is rounded to more than it is; 17: it is inexact; 15: it is
     * negative; 14: it is not. A byte behind the note that is more than zero has what bits 12 to 15 are instead.
     */
    int32_t control;
    uint32_t note_mask, note_key;
    bool is_fused;
    /*
     * Of FAST_STEPS. checks: registers (by IrFastReg) whose four singles must be normal, else the helper does it all;
     * checks_again: those that must be normal or zero, which is looked at before the helper is called; 0: it is called.
     */
    uint8_t n_steps, checks, checks_again;
    bool is_product; /* a zero is a product that must have a factor of zero */
    IrFastStep steps[IR_FAST_STEPS];
} IrFast;

typedef struct IrBlock {
    IrInsn *insns;
    uint32_t n_insns, max_insns;
    uint32_t n_values; /* ids run from 1 to n_values - 1 */
    uint32_t n_labels;
    IrRaw *raws;
    uint32_t n_raws, max_raws;
    IrFast *fasts;
    uint32_t n_fasts, max_fasts;
    uint8_t *value_type;   /* IrType by id */
    uint32_t *value_def;   /* index of the defining insn by id */
    uint32_t max_values;
    const IrSlot *slots;
    uint32_t n_slots;
    const IrHelper *helpers;
    uint32_t n_helpers;
    /*
     * Position-independent code: 0, or the width, 32 or 64, that sums of pcs wrap at. Then the pcs in
     * operations are distances from the page in CpuHot.pic_page, but exit_lookup's is what it is.
     */
    uint32_t pic_bits;
    bool links_far; /* direct exits that are far may be linked too (HostExit.cached) */
    bool use_sites; /* it runs with the tables of TcgSites: accesses may remember their pages there */
    bool narrow; /* slots of 64 bits hold 32, with zeros above as a rule, and no page is beyond 4 GiB: addresses are checked as if it was one */
    bool stores_apart; /* pages that stores find in their table need not be for loads, so the two share no checks */
    bool loop_branches; /* a loop may have its brcond, which go to cold code behind the block */
    uint64_t steady_slots; /* with use_sites: those that point to the same page for a while */
    /*
     * With use_sites: whether the operands of the instruction at a pc are elsewhere all the time, by tcg_compile's opaque. NULL:
     * nobody knows, so that only accesses by steady_slots and those of loops remember their pages, without an end.
     */
    bool (*scattered)(void *opaque, uint64_t pc);
    /* Slots that the successors are known to overwrite before reading: dead at exits. Per block,
     * applied to every exit unless exit_dead has an entry for its insn. */
    GArray *exit_dead; /* of IrExitDead, by rising insn index; may be empty */
} IrBlock;

/*
 * A branch to the block's own start. The back-end's loops leave the block where it is not taken, so the slots that
 * need not be stored for the branch are still seen there.
 */
static inline bool ir_is_loop_edge(const IrBlock *ir, const IrInsn *insn)
{
    return insn->op == IR_exit_if && ir->insns[0].op == IR_poll && insn->imm == ir->insns[0].imm;
}

typedef struct IrExitDead {
    uint32_t insn;
    uint64_t slots; /* mask of slots that need not be stored at that exit */
} IrExitDead;

/* A block is reused: ir_block_reset keeps its memory. */
IrBlock *ir_block_new(const IrSlot *slots, uint32_t n_slots, const IrHelper *helpers, uint32_t n_helpers);
void ir_block_reset(IrBlock *ir);
void ir_block_free(IrBlock *ir);
IrBlock *ir_block_copy(const IrBlock *ir);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrBlock, ir_block_free)

/* Building. Operands may be of a wider integer type than the operation: the low part is used. */
IrVal ir_const(IrBlock *ir, IrType type, uint64_t value);
IrVal ir_get(IrBlock *ir, IrType type, unsigned slot);
void ir_put(IrBlock *ir, IrType type, unsigned slot, IrVal value);
IrVal ir_get8h(IrBlock *ir, unsigned slot);
void ir_put8h(IrBlock *ir, unsigned slot, IrVal value);
/* A field of the state that is in no slot, at an offset; types I8 to I64. */
IrVal ir_get_field(IrBlock *ir, IrType type, uint32_t offset);
/* Part of an instruction as it is when the code runs: see Translation.patched. */
IrVal ir_load_code(IrBlock *ir, IrType type, const uint8_t *host);
void ir_put_field(IrBlock *ir, IrType type, uint32_t offset, IrVal value);
/* PURE operations with one output, without flags; unused inputs are (IrVal){0}. Folds constants. */
IrVal ir_op1(IrBlock *ir, IrOp op, IrType type, IrVal a);
IrVal ir_op2(IrBlock *ir, IrOp op, IrType type, IrVal a, IrVal b);
IrVal ir_op3(IrBlock *ir, IrOp op, IrType type, IrVal a, IrVal b, IrVal c);
/* The same, also defining flags; for cmp, test, bt and flags_from value is none. */
IrValFlags ir_opf(IrBlock *ir, IrOp op, IrType type, IrVal a, IrVal b, IrVal c);
/* A counter of the host's that goes at one speed, most likely (x86: RDTSC); halves of 32 bits, in 64. */
IrPair ir_host_counter(IrBlock *ir);
IrPair ir_mul2(IrBlock *ir, IrOp op, IrType type, IrVal a, IrVal b, bool flags); /* mulu2, muls2 */
IrPair ir_div2(IrBlock *ir, IrOp op, IrType type, IrVal low, IrVal high, IrVal divisor);
IrVal ir_sext(IrBlock *ir, IrType to, IrType from, IrVal a);
IrVal ir_zext(IrBlock *ir, IrType to, IrType from, IrVal a);
IrVal ir_setcond(IrBlock *ir, IrCond cond, IrType type, IrVal a, IrVal b);
IrVal ir_order(IrBlock *ir, IrType type, bool is_signed, IrVal a, IrVal b, IrVal add);
IrVal ir_select(IrBlock *ir, IrType type, IrVal cond, IrVal yes, IrVal no);
IrVal ir_setcc(IrBlock *ir, IrCc cc, IrVal flags);
IrVal ir_selectcc(IrBlock *ir, IrType type, IrCc cc, IrVal flags, IrVal yes, IrVal no);
IrVal ir_load(IrBlock *ir, IrType type, IrVal addr, int64_t disp, unsigned mem);
void ir_store(IrBlock *ir, IrType type, IrVal addr, int64_t disp, IrVal value, unsigned mem);
void ir_probe_store(IrBlock *ir, IrType type, IrVal addr, int64_t disp, unsigned mem);
/* count elements of 1 << shift bytes, see IR_try_copy and IR_try_fill. addr_type: that of to, of from for a copy, and of count. */
IrVal ir_try_string(IrBlock *ir, IrOp op, IrType addr_type, unsigned shift, IrVal to, IrVal from, IrVal count);
IrVal ir_atomic(IrBlock *ir, IrOp op, IrType type, IrVal addr, int64_t disp, IrVal b, IrVal c);
void ir_fence(IrBlock *ir, IrFence kind);
/* Copies raw. Returns the GPR output and flags, where the instruction has them. gpr is in[1]: the GPR
 * input, or the flags input with raw->flags_in. */
IrValFlags ir_raw(IrBlock *ir, const IrRaw *raw, IrVal addr, int64_t disp, IrVal gpr, bool flags);
/* Copies fast. Returns the output of a comparison. */
IrVal ir_fast(IrBlock *ir, const IrFast *fast);
IrVal ir_call(IrBlock *ir, unsigned helper, IrVal a, IrVal b, IrVal c, IrVal d);
void ir_insn_start(IrBlock *ir, uint64_t pc);
unsigned ir_new_label(IrBlock *ir);
void ir_label(IrBlock *ir, unsigned label);
void ir_br(IrBlock *ir, unsigned label);
void ir_brcc(IrBlock *ir, IrCc cc, IrVal flags, unsigned label);
void ir_brcond(IrBlock *ir, IrCond cond, IrType type, IrVal a, IrVal b, unsigned label);
void ir_exit_if(IrBlock *ir, IrCc cc, IrVal flags, uint64_t pc);
void ir_exit_jump(IrBlock *ir, uint64_t pc);
/* The block's last insn is an exit of a call: if it goes to the block's start, that is no loop. */
void ir_mark_call(IrBlock *ir);
void ir_exit_lookup(IrBlock *ir, IrVal pc, IrBranchHint hint);
void ir_exit_main(IrBlock *ir, TcgExit why);
void ir_poll(IrBlock *ir, uint64_t pc);

/* Whether bits 32 to 63 of an I64 value are seen to be zero. */
bool ir_upper_half_is_zero(const IrBlock *ir, uint32_t id);

/* Facts about operations, from ops.def: passes and back-end ask for every insn. */
typedef enum IrOpFlags { OP_NO_FLAGS, OP_MAY_FLAGS, OP_ALWAYS_FLAGS } IrOpFlags;
typedef enum IrOpFaults { OP_NEVER_FAULTS, OP_FAULTS, OP_MAY_FAULT /* some of them */ } IrOpFaults;
typedef struct IrOpFact {
    const char *name;
    uint8_t outputs, inputs;
    bool pure, exits;
    uint8_t flags;  /* IrOpFlags */
    uint8_t faults; /* IrOpFaults */
} IrOpFact;
extern const IrOpFact ir_facts[IR_OP_COUNT];
extern const uint8_t ir_type_sizes[];
extern const uint64_t ir_type_masks[];

static inline const char *ir_op_name(IrOp op)
{
    return ir_facts[op].name;
}

static inline int ir_op_outputs(IrOp op) /* without the flags value */
{
    return ir_facts[op].outputs;
}

static inline int ir_op_inputs(IrOp op)
{
    return ir_facts[op].inputs;
}

static inline bool ir_op_pure(IrOp op)
{
    return ir_facts[op].pure;
}

static inline bool ir_op_exits(IrOp op) /* exit_*, poll, br* */
{
    return ir_facts[op].exits;
}

bool ir_insn_may_fault(const IrBlock *ir, const IrInsn *insn);
static inline bool ir_op_faults(const IrBlock *ir, const IrInsn *insn) /* loads, stores, raw memory, faulting calls, checked divisions */
{
    IrOpFaults faults = ir_facts[insn->op].faults;

    return faults == OP_FAULTS || (faults == OP_MAY_FAULT && ir_insn_may_fault(ir, insn));
}

static inline bool ir_insn_defines_flags(const IrInsn *insn)
{
    IrOpFlags flags = ir_facts[insn->op].flags;

    return flags == OP_ALWAYS_FLAGS || (flags == OP_MAY_FLAGS && insn->bits & IRB_FLAGS);
}

static inline uint32_t ir_insn_flags_id(const IrInsn *insn) /* its flags value, 0 if none */
{
    return ir_insn_defines_flags(insn) ? insn->out + ir_facts[insn->op].outputs : 0;
}

static inline unsigned ir_type_size(IrType type) /* bytes */
{
    return ir_type_sizes[type];
}

static inline uint64_t ir_mask(IrType type) /* integer types */
{
    return ir_type_masks[type];
}

/* Whether a value is a constant, and which. */
static inline bool ir_is_const(const IrBlock *ir, IrVal v, uint64_t *value)
{
    const IrInsn *def = &ir->insns[ir->value_def[v.id]];

    if (!v.id || ir->value_type[v.id] == IR_FLAGS || def->op != IR_const) {
        return false;
    }
    if (value) {
        *value = def->imm;
    }
    return true;
}

/*
 * What a pure operation computes: folding, the interpreter and the back-end tests all ask here.
 * Flags inputs and outputs are EFLAGS bits. out[0], out[1] are the outputs, *flags the flags value
 * with undefined bits zero; ir_eval_flags_defined says which bits are defined.
 */
void ir_eval(const IrInsn *insn, const uint64_t in[4], uint64_t out[2], uint32_t *flags);
uint32_t ir_eval_flags_defined(const IrInsn *insn, const uint64_t in[4]);
bool ir_cc_holds(IrCc cc, uint32_t flags);

/* What IR_atomic_* leaves in memory that had `old`, in the low bits; of `b` and `c` those count, too. */
static inline uint64_t ir_atomic_result(unsigned op, uint64_t old, uint64_t b, uint64_t c, unsigned size)
{
    uint64_t mask = UINT64_MAX >> (64 - 8 * size);

    switch (op) {
    case IR_atomic_add:
        return old + b;
    case IR_atomic_and:
        return old & b;
    case IR_atomic_or:
        return old | b;
    case IR_atomic_xor:
        return old ^ b;
    case IR_atomic_xchg:
        return b;
    default:
        return (old & mask) == (b & mask) ? c : old;
    }
}

/* Text for -d op, one line per insn. */
void ir_dump(const IrBlock *ir, GString *text);
/* Checks types, single assignment, defined inputs, labels; the reason in *why (caller frees). */
bool ir_verify(const IrBlock *ir, char **why);
/* The pass list: dead puts and values, copy and constant propagation, redundant gets, folding. */
void ir_optimise(IrBlock *ir);

#endif
