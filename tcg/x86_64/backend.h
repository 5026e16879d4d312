/*
 * The x86-64 back-end's parts, as they see each other. docs/translator.md has the design.
 *
 * While translated code runs, RSP is the address of the state. The bytes below it are laid out here;
 * the first 128 are the red zone, which signal handlers leave alone.
 */
#ifndef TCG_X86_64_BACKEND_H
#define TCG_X86_64_BACKEND_H

#include <setjmp.h>
#include <ucontext.h>

#include "asm.h"
#include "loop.h"
#include "core/cpu.h" /* layer: CpuHot is what translated code touches of any guest */
#include "tcg/tcg.h"

enum {
    AREA_RETURN = -8,     /* return address of a call out of translated code */
    AREA_X0 = -16,        /* arguments of the memory thunks: address, and the result */
    AREA_X1 = -24,        /* value */
    AREA_X2 = -32,        /* third operand, or size and IrMem bits */
    AREA_HOST_RSP = -40,  /* of tcg_enter */
    AREA_EXIT = -48,      /* tcg_enter's HostExit ** */
    AREA_FP_WAS = -56,    /* CpuHot.fp_loaded before a call */
    AREA_SAVE0 = -64,     /* within an instruction: registers whose contents must come back */
    AREA_SAVE1 = -72,
    AREA_SPILL = -80,     /* spill slot k is at AREA_SPILL - 8 * k */
    N_SPILLS = 54,
    AREA_UPDATE = -0x200, /* address of an update that goes the slow way */
    AREA_REGS = -0x280,   /* thunks: register r at AREA_REGS + 8 * r */
    AREA_SITE = AREA_REGS + 8 * RSP, /* of THUNK_SITE_LOAD and _STORE: nobody keeps RSP there */
    AREA_LOOP = -0x300,   /* of a loop without checks: its limit, and the bases of its operands */
    AREA_ROOTS = AREA_LOOP, /* of a region (emit_region.c), where there is no such loop: host addresses of what its roots check */
    AREA_LOOP_TRIPS = AREA_LOOP + 0x78, /* iterations that are made before its operands are checked at once */
    AREA_BOUNCE = -0x500, /* 512 bytes: memory operands that cannot be used in place */
    AREA_FP_TRAPS = -0x510, /* TcgFpTraps */
    AREA_HALF_SINGLES = -0x520, /* of fp_traps.c: vectors of one half */
    AREA_HALF_DOUBLES = -0x530,
    AREA_BITS = -0x540,   /* bytes with one bit, for STEP_BITS */
    AREA_SIGN = -0x550,   /* a double's sign bit, zero beside it */
    AREA_MAGNITUDE = -0x560, /* its other bits, likewise */
    AREA_SWAP = -0x570,   /* PSHUFB: the bytes of doublewords the other way round */
    AREA_SITES = -0x3dc0, /* TcgSites */
    AREA_SIZE = 0x3dc0,
    MXCSR_DEFAULT = 0x1f80,  /* all exceptions masked, round to nearest: what C expects */
    MXCSR_UNMASKED = 0x1000, /* but for inexactness */
};

/* Features of the host. */
enum { HOST_BMI1 = 1 << 0, HOST_BMI2 = 1 << 1, HOST_LZCNT = 1 << 2, HOST_POPCNT = 1 << 3, HOST_MOVBE = 1 << 4, HOST_FMA = 1 << 5, HOST_AVX2 = 1 << 6,
       HOST_JCC_ERRATUM = 1 << 7, HOST_AVX512 = 1 << 8 /* BW and VL */, HOST_FSRM = 1 << 9 /* repeated string instructions begin quickly */,
       HOST_GUESSES_FLDCW = 1 << 10 /* see control_word.c */, HOST_LAHF = 1 << 11 /* in 64-bit mode */ };

/* Calls out of translated code. */
typedef enum Thunk {
    THUNK_LOAD1, THUNK_LOAD2, THUNK_LOAD4, THUNK_LOAD8,
    THUNK_UPDATE1, THUNK_UPDATE2, THUNK_UPDATE4, THUNK_UPDATE8, /* a load whose page is stored to next */
    THUNK_STORE1, THUNK_STORE2, THUNK_STORE4, THUNK_STORE8,
    THUNK_SIZED, /* those before this one are called with the address in a register, see thunk_call_at */
    THUNK_LOAD = THUNK_SIZED, THUNK_STORE,
    THUNK_INNER_LOAD1, THUNK_INNER_LOAD2, THUNK_INNER_LOAD4, THUNK_INNER_LOAD8, /* of thunk_load_at */
    THUNK_INNER_UPDATE1, THUNK_INNER_UPDATE2, THUNK_INNER_UPDATE4, THUNK_INNER_UPDATE8,
    THUNK_LOAD_BYTES, THUNK_STORE_BYTES, THUNK_PROBE_STORE, THUNK_ATOMIC, THUNK_UNALIGNED,
    THUNK_FIND_LOAD, THUNK_FIND_STORE, /* AREA_X2 bytes at the address in AREA_X0: host address in AREA_X1; ZF: found */
    THUNK_SITE_LOAD, THUNK_SITE_STORE, /* fills a site's entry: address in AREA_X0, TcgSiteUse in AREA_SITE; ZF: done */
    THUNK_CALL,       /* r11 = function; arguments in AREA_X0 X1 X2 SAVE0; result in AREA_X0; r11 changes */
    THUNK_CALL_WRITES, /* the same; the function may change pinned slots */
    THUNK_CALL_FP, THUNK_CALL_FP_WRITES, /* the same, with FP state in memory */
    THUNK_FP_LOAD,    /* to FP_LOADED_XMM */
    THUNK_YMM_LOAD,   /* to FP_LOADED_YMM, from either */
    THUNK_EXIT,       /* jump: r11 = TcgExit */
    THUNK_EXIT_AT,    /* jump: r11 = TcgExit, r13 = pc */
    THUNK_UNCHAINED,  /* call: the HostExit is that whose stub this is; tcg_enter finds it */
    THUNK_POLL,       /* call: TCG_EXIT_POLL at the block's start, which tcg_enter finds */
    THUNK_RETIRED,    /* call: TCG_EXIT_LOOKUP, the same */
    THUNK_SECOND,     /* jump: r13 = pc: the second place in the jump cache, then THUNK_LOOKUP */
    THUNK_LOOKUP,     /* jump: r13 = pc; TCG_EXIT_LOOKUP */
    THUNK_COUNT,
} Thunk;

/* What Backend.enter answers beside TcgExit: where it was is the return address in *exit, see tcg_enter. */
enum { FOUND_FIRST = 0x100, FOUND_UNCHAINED = FOUND_FIRST, FOUND_POLL, FOUND_RETIRED };

typedef struct Backend {
    TcgTarget target;
    TcgRuntime runtime;
    int8_t slot_reg[IR_MAX_SLOTS];  /* host register of a pinned slot, NO_REG */
    int8_t reg_slot[HOST_REGS];     /* the other way, -1 */
    uint64_t pinned_slots;          /* mask */
    uint16_t temps;                 /* mask of registers that are not pinned */
    uint32_t features;
    uint64_t empty_site;            /* TcgSite.page of entries that have none */
    const void *thunks[THUNK_COUNT];
    TcgExit (*enter)(void *state, const void *code, HostExit **exit);
    void (*unwind)(void *state, TcgExit why) G_GNUC_NORETURN;
} Backend;

extern Backend backend;

static inline bool host_has(uint32_t feature)
{
    return backend.features & feature;
}

static inline Mem slot_home(unsigned slot)
{
    return mem_state(backend.target.slots[slot].offset);
}

/* buffer.c */
bool buffer_init(uint64_t size, GError **error);
void buffer_begin(Asm *a, AsmRoom *cold); /* at the next free byte; and what is out of line. NULL: for thunks */
void buffer_start_regions(void);      /* behind the thunks */
void buffer_end(const Asm *a, const AsmRoom *cold); /* keeps what was written */
uint8_t *buffer_writable(const void *code);

/* metadata.c: memory of the region being filled. */
void *metadata_room(size_t size, size_t align); /* where so much is free, and stays so; NULL: nowhere */
void metadata_keep(const void *end);            /* it is used up to here */
void metadata_clear(unsigned region);

/* thunks.c */
void thunks_init(void);
/* thunks_by_register.c */
void thunks_by_register_init(Asm *a);
/* fp_traps.c */
TcgExit fp_traps_enter(void *state, const void *code, HostExit **exit);
bool fp_traps_resume(ucontext_t *uc);
bool fp_traps_sync(ucontext_t *uc);
/* signal.c */
void signals_init(void);
void signals_init_thread(void);

enum { CC_UNKNOWN = -1, CC_MIXED = -2 };

/* compile.c: one block on its way through the back-end. */
typedef struct Value {
    uint64_t imm;
    int32_t last_use;   /* index of an insn; -1: none */
    uint32_t next;      /* next value in the same register */
    uint32_t next_home; /* next value that is in the home of the same slot */
    int8_t reg;         /* NO_REG: none */
    int8_t home;        /* slot whose memory holds the value; -1 */
    int8_t spill;       /* spill slot; -1 */
    int8_t wish;        /* pinned slot that the value will be put into; -1 */
    int8_t cc;          /* flags: the condition that all consumers read, or CC_UNKNOWN, CC_MIXED */
    uint8_t refs;       /* dirty slots with this value, postponed orders of it, and a group that checks it */
    bool is_const;
    bool is_read;       /* by something else than puts of slots in memory */
    bool is_postponed;  /* an order that is computed when a slot with it must be in memory */
    bool clean;         /* I32 in a register: bits 32-63 are zero. Flags: spilled as the condition, not the image */
    uint8_t type;
    uint8_t uses;       /* how many inputs it is, up to 255 */
    uint8_t scale;      /* nonzero: not computed, its only user takes scaled << scale */
    uint32_t scaled;
} Value;

typedef struct Slot {
    uint32_t value; /* of a dirty slot */
    uint32_t homes; /* values that are in its home memory */
    bool dirty;
} Slot;

/* Where a slot's value is at a point of the code. */
typedef enum PlaceKind { PLACE_REG, PLACE_CONST, PLACE_MEM, PLACE_ORDER } PlaceKind;
typedef struct Place {
    uint8_t slot;
    uint8_t kind;
    uint8_t size; /* bytes that are valid; a larger slot is zero-extended. Of an order: bytes compared, and in bit 0 whether signed */
    int8_t reg;
    int32_t disp; /* from RSP */
    uint64_t imm; /* of an order: its index */
} Place;

/* A postponed order at such a point. */
typedef struct Order {
    Place in[3];
    uint8_t type;
    bool is_signed;
} Order;

/* The dirty slots at a point: a range of Context.places. */
typedef struct Snapshot {
    uint32_t first, count;
} Snapshot;

/* A vector register that holds a field, or its low doubleword; and such a one to load again. */
enum { HOST_XMMS = 16 };
typedef struct XmmCopy {
    int32_t field;
    bool whole;
    bool clean; /* the upper doubleword is zero */
    uint32_t time;
} XmmCopy;
typedef struct XmmSave {
    uint8_t xmm;
    bool whole;
    bool is_late; /* newer than the field, or so it is when it has been written (carry.c) */
    bool clear;   /* of a late doubleword: zero is beside it */
    int32_t field;
} XmmSave;

enum { GROUP_ROOTS = 3, MAX_CARRIED = 8, MAX_LATE = 12 };

typedef enum ColdKind {
    COLD_LOAD, COLD_UPDATE, COLD_GROUP, COLD_REGION, COLD_REGION_CHECK, COLD_STORE, COLD_PROBE, COLD_ATOMIC, COLD_UNALIGNED, COLD_RAW, COLD_FAST, COLD_FP_LOAD, COLD_CALL, COLD_EXIT, COLD_BRANCH, COLD_POLL,
    COLD_DIV, COLD_STRING,
} ColdKind;

typedef struct ColdStub {
    uint8_t kind;
    uint16_t size;     /* of the access */
    uint8_t addr_size; /* 4 or 8 */
    int8_t temp, out, addr_reg, value_reg, value2_reg;
    bool value_is_imm, is_store, in_vector; /* the last as of Member */
    bool is_loop;      /* an exit that leads on to the second copy of a loop; an access within that */
    uint16_t bits;     /* IrMem, or the raw index, or op_size, or TcgExit */
    int32_t disp;
    int32_t loop_left; /* see loop_expire */
    uint32_t jumps[2 * GROUP_ROOTS]; /* rel32 offsets that lead here; 0: none */
    uint32_t trap_from, trap_to; /* code whose exceptions lead here; both 0: none */
    uint32_t resume;
    uint64_t imm;      /* value, pc of exits */
    uint64_t pc;       /* guest pc of a faulting access */
    Snapshot snapshot;
    Snapshot xmms;     /* vector registers that C may change: a range of Context.xmm_saves */
    Snapshot before;   /* the same before the operation: what is late is stored first */
    const IrFast *note; /* late_note then */
    bool note_is_late;  /* that of the operation itself */
    const IrInsn *insn;
    HostExit *exit;    /* whose branch leads here directly */
    /* COLD_UPDATE: the store's part. */
    Snapshot store_snapshot;
    uint32_t store_at, end; /* code between resume and store_at is done here too */
    bool keep_flags;
    uint32_t first_member, n_members; /* COLD_GROUP and COLD_REGION: in Context.members */
    uint32_t first_cold, end_cold;    /* COLD_REGION: stubs of the code between */
    int8_t step_regs[V_NONE], step_temps[4]; /* COLD_FAST of FAST_STEPS: vector registers */
    Site sites[GROUP_ROOTS];
} ColdStub;

/* An access of a group, or a branch out between two, see emit_group.c. Those of regions have the rest, too. */
typedef struct Member {
    const IrInsn *insn;
    uint64_t pc;
    Snapshot snapshot;
    uint32_t at, end; /* offsets of the access on the usual path */
    uint32_t begin;   /* of all that is for the access alone, as its check */
    uint32_t check;   /* the stub of its check; 0: it has none */
    Snapshot before, after; /* vector registers, as of ColdStub: what is late is stored, and they are loaded again */
    const IrFast *note;     /* late_note then */
    uint64_t addr;          /* the address, if it is a constant */
    int32_t addr_home;      /* where it is, if it is in no register */
    bool addr_is_const;
    int8_t temp;
    int32_t disp, imm;
    int8_t addr_reg, out, value_reg;
    uint8_t addr_size;
    bool value_is_imm, keep_flags;
    bool in_vector; /* a load to a vector register, which is `out`, or a store of the field `imm` from one */
    bool is_pair;   /* two of them, of 16 bytes */
} Member;

/* See emit_region.c. */
enum { REGION_ROOTS = 12, REGION_MEMBERS = 32 };
typedef struct RegionRoot {
    uint32_t id;       /* the value that its accesses are at constant distances from */
    int64_t low, high; /* of the first and the last byte of them all */
    bool stores;       /* there is a store among them */
    bool checked;      /* the check has been made, and the host address of `low` is in AREA_ROOTS */
    uint8_t members;
} RegionRoot;
typedef struct Region {
    bool active;
    unsigned n_roots, n_members;
    RegionRoot roots[REGION_ROOTS];
    struct { uint32_t insn; uint8_t root; } members[REGION_MEMBERS];
    uint32_t first_member, first_cold;
    uint8_t base_in[HOST_REGS]; /* of temporaries without a value: the root whose host address one has all the same, from 1 */
} Region;

typedef struct FaultRecord {
    uint32_t offset;
    uint64_t pc;
    Snapshot snapshot;
} FaultRecord;

/* A branch to a label further on. */
typedef struct Branch {
    uint32_t rel32, label;
} Branch;

typedef struct Context {
    Asm a;
    AsmRoom other;        /* the part of the region that code does not go to just now */
    bool out_of_line;     /* it goes where out-of-line code is */
    IrBlock *ir;
    Value *values;
    uint32_t max_values;
    uint64_t *live_slots; /* by insn: slots whose contents are needed after it */
    bool *dead;           /* by insn */
    uint32_t max_insns;
    Slot slots[IR_MAX_SLOTS];
    uint32_t reg_values[HOST_REGS]; /* list heads */
    struct {
        uint32_t insns;   /* of the guest */
        uint32_t exits;   /* that the engine may link, or more */
        bool goes_back;   /* to the block's start, perhaps as a loop */
    } counts;
    uint16_t temps;       /* mask of registers that are not pinned */
    uint16_t locked;      /* in use by the current insn */
    uint16_t held;        /* the host address of an update between its load and its store */
    uint16_t kept;        /* the bases of a loop's operands, while its second copy is made */
    Loop loop;
    bool loop_wanted;
    unsigned loop_bases;  /* registers that it may have for bases */
    IrInsn *body_insns;   /* of its second copy */
    uint32_t update;      /* index of its stub */
    uint32_t group_last;  /* the last insn of the current group, 0: none */
    uint32_t group_stub;
    Region region;        /* of which group_last is the last insn while it is active */
    unsigned site_start, n_sites; /* which entries sites take */
    unsigned max_roots;   /* of a group */
    jmp_buf out_of_registers; /* of what an operation within a group of more roots, or in a loop, wants */
    uint32_t group_root[GROUP_ROOTS]; /* values that its addresses are at constant distances from; 0: none */
    int group_addend[GROUP_ROOTS];    /* registers, held: what makes an address the host's; 32-bit: the host address of the lowest byte */
    int64_t group_low[GROUP_ROOTS];   /* whose distance from the root is this */
    bool group_is_wide[GROUP_ROOTS];  /* 32-bit: it is an addend all the same */
    Member *members;
    uint32_t n_members, max_members;
    uint8_t spill_refs[N_SPILLS];
    uint64_t dirty;       /* mask of slots */
    uint32_t pins_clean;  /* mask of pinned registers whose bits 32-63 are zero */
    uint32_t flags_now;   /* value that EFLAGS holds, 0: none */
    uint8_t fp_known;     /* FP_LOADED_: so much is loaded for sure */
    int32_t i;            /* current insn */
    uint64_t pc;          /* current guest instruction */
    XmmCopy xmm[HOST_XMMS];
    uint16_t xmm_valid, xmm_locked;
    uint32_t xmm_clock;
    uint32_t put_already; /* a put_field that the one before it has done, 0: none */
    uint32_t put_until;   /* those up to here are done by a load's, as is a second load before them; 0: none */
    uint32_t get_until;   /* get_fields up to here are done by a store's, 0: none */
    uint32_t store_at;    /* the store that takes its value from a field's copy, 0: none */
    uint32_t store_until; /* stores up to here are done by the one before */
    int32_t store_field;  /* of store_at, or of the first one of a pair */
    bool store_pair;
    unsigned zeros_left;  /* stores behind this one that a wider one has done */
    int8_t step_regs[V_NONE]; /* of the current FAST_STEPS */
    XmmSave carried[MAX_LATE]; /* from one iteration of the loop to the next */
    unsigned n_carried;
    bool late, late_failed;    /* fields are stored when the loop is left; there are too few registers for that */
    uint16_t xmm_late;         /* copies that are newer than their fields */
    const IrFast *late_note;   /* the operation whose note has not been stored yet */
    bool note_waits;           /* so it is in the loop's first copy, too */
    XmmSave *xmm_saves;
    uint32_t n_xmm_saves, max_xmm_saves;
    uint32_t *labels;     /* offsets, UINT32_MAX: not yet */
    uint32_t max_labels;
    Place *places;
    uint32_t n_places, max_places;
    Order *orders;        /* of places */
    uint32_t n_orders, max_orders;
    ColdStub *cold;
    bool has_near_stubs;  /* see is_near, or had before a group was given up */
    uint32_t n_cold, max_cold;
    FaultRecord *faults;
    uint32_t n_faults, max_faults;
    HostTrap *traps;
    uint32_t n_traps, max_traps;
    Branch *branches;
    uint32_t n_branches, max_branches;
    HostBlock *block;
    uint8_t *map;         /* fault map being encoded */
    uint32_t max_map;
    bool (*far_exit)(void *opaque, uint64_t pc);
    void *opaque;
} Context;

/* Grows a growing array of the context by one and returns the new element. */
#define CONTEXT_PUSH(c, array)                                                          \
    ((c)->n_##array == (c)->max_##array                                                 \
         ? ((c)->max_##array = (c)->max_##array * 2 + 64,                               \
            (c)->array = g_realloc((c)->array, (c)->max_##array * sizeof(*(c)->array))) \
         : (c)->array,                                                                  \
     &(c)->array[(c)->n_##array++])

/* liveness.c */
void liveness(Context *c);
/* fold.c: also counts (Context.counts). */
void fold_addresses(Context *c);

/* alloc.c: registers, values and slots. */
static inline Value *value_of(Context *c, uint32_t id)
{
    return &c->values[id];
}

static inline void lock_reg(Context *c, int reg)
{
    c->locked |= 1u << reg;
    c->region.base_in[reg] = 0;
}

static inline void unlock_reg(Context *c, int reg)
{
    c->locked &= ~(1u << reg);
}

static inline bool is_pinned(const Context *c, int reg)
{
    return !(c->temps >> reg & 1);
}

/* Whether nobody reads the slot of a pinned register any more before it is put again. */
static inline bool is_dead_pin(const Context *c, int reg)
{
    return backend.reg_slot[reg] >= 0 && !(c->live_slots[c->i] >> backend.reg_slot[reg] & 1);
}

int alloc_temp(Context *c);                  /* locked */
int alloc_free_temp(Context *c);             /* the same, if one has no value; else NO_REG */
void value_set_reg(Context *c, uint32_t id, int reg, bool clean);
void value_release(Context *c, uint32_t id); /* if nothing needs it any more */
int value_use(Context *c, uint32_t id);      /* in a register, locked */
/* A register or memory operand with at least size valid bytes. */
Rm value_rm(Context *c, uint32_t id, unsigned size);
/* Emits a move of the value to reg: size bytes are valid then (at least), zero-extended if asked. */
void value_move_to(Context *c, uint32_t id, int reg, unsigned size);
void value_move_zext(Context *c, uint32_t id, int reg, unsigned size);
bool value_imm(const Context *c, uint32_t id, unsigned size, int32_t *imm);
/* The register for an output, which may be the pinned one that it will be put into. Not that of the
 * inputs `keep`, which are read after it is written (0: none). strict: the insn may fault. */
int out_reg(Context *c, uint32_t out, uint32_t reuse, uint32_t keep, uint32_t keep2, bool strict);
/* Empties a register that is about to be overwritten. */
void displace(Context *c, int reg, bool strict);
void slot_get(Context *c, const IrInsn *insn);
void slot_put(Context *c, const IrInsn *insn);
void slot_get8h(Context *c, const IrInsn *insn);
void slot_put8h(Context *c, const IrInsn *insn);
void slots_flush(Context *c, uint64_t mask);  /* dirty ones to memory */
void slots_forget(Context *c, uint64_t mask); /* before a call changes their homes */
void values_forget(Context *c);               /* at labels */
Snapshot snapshot_take(Context *c, uint64_t mask);
void snapshot_flush(Context *c, Snapshot s);  /* emits the stores */
int spill_alloc(Context *c);
static inline Mem spill_mem(int spill)
{
    return mem_state(AREA_SPILL - 8 * spill);
}

Place value_place(const Context *c, uint32_t id);

/* emit_order.c */
void emit_order(Context *c, const IrInsn *insn);
void order_compute(Context *c, uint32_t id);        /* of a postponed one; changes EFLAGS */
void order_release_inputs(Context *c, uint32_t id); /* of one that has gone */
uint64_t orders_postponed(const Context *c);        /* dirty slots */
Place order_place(Context *c, uint32_t id);
/* At an exit: into its slot. Registers `others` must stay. */
void order_store(Context *c, Place *p, uint16_t others);
uint16_t order_registers(const Context *c, const Place *p);

/* emit_flags.c */
void clobber_flags(Context *c);               /* before EFLAGS change */
void define_flags(Context *c, const IrInsn *insn); /* EFLAGS hold the insn's flags value now */
void need_flags(Context *c, uint32_t id);     /* brings a flags value into EFLAGS */
void need_carry(Context *c, uint32_t id);     /* only CF */
IrCc need_condition(Context *c, uint32_t id, IrCc cc); /* the host condition that tells */
void save_flags(Context *c, int32_t area);    /* EFLAGS, in the area below the state */
void restore_flags(Context *c, int32_t area);
bool flags_wanted(const Context *c, const IrInsn *insn);
void emit_setcc(Context *c, const IrInsn *insn);
void emit_selectcc(Context *c, const IrInsn *insn);
void emit_flags_image(Context *c, const IrInsn *insn);
void emit_flags_from(Context *c, const IrInsn *insn);

/* emit_arith.c, emit_shift.c, emit_muldiv.c */
void emit_arith(Context *c, const IrInsn *insn);
void emit_compare(Context *c, const IrInsn *insn);
void emit_shift(Context *c, const IrInsn *insn);
void emit_muldiv(Context *c, const IrInsn *insn);
void emit_counter(Context *c, const IrInsn *insn);
void cold_div(Context *c, ColdStub *s);
void emit_bits(Context *c, const IrInsn *insn);
IrCc host_condition(IrCond cond);
void compare_values(Context *c, unsigned size, uint32_t x, uint32_t y);

/* emit_memory.c, emit_atomic.c */
void emit_load(Context *c, const IrInsn *insn);
void emit_store(Context *c, const IrInsn *insn);
/* Whether a store of a doubleword of zeros needs no more, being part of a wider one; the next insns up to `last` may be too. */
bool store_zeros(Context *c, const IrInsn *insn, Mem to, uint32_t last);
void emit_probe_store(Context *c, const IrInsn *insn);
void emit_atomic(Context *c, const IrInsn *insn);
Address address_of(Context *c, const IrInsn *insn);
Address probe_address_of(Context *c, const IrInsn *insn, unsigned size, unsigned align); /* for emit_probe, perhaps late */
/* Emits the TLB check; the operand is valid after it. The cold stub's jumps are set. */
Mem emit_probe(Context *c, ColdStub *stub, Address addr, unsigned size, bool is_store, unsigned align);
/* The same with temporaries of the caller's: t1 is the addend afterwards if the address is wide or of 64 bits. */
Mem emit_probe_in(Context *c, ColdStub *stub, Address addr, unsigned size, bool is_store, unsigned align, int t1, int t2);
/* How wide sums for the address may be. */
bool sums_are_wide(const Context *c, uint32_t id, int64_t disp);
unsigned address_width(Address addr);
/* The same check alone: leaves the entry in t1 and its page in t2; returns the jump that is taken if it is another's. */
uint32_t emit_table_check(Context *c, Address addr, unsigned size, bool is_store, int t1, int t2);
/* The same of consecutive bytes, 64 KiB at most, from where `first` points to `last`. */
uint32_t emit_table_check_run(Context *c, int first, Mem last, unsigned width, bool is_store, int t1, int t2);
ColdStub *begin_access(Context *c, const IrInsn *insn, ColdKind kind, bool is_store);
void end_access(Context *c, ColdStub *stub); /* the stub comes back to here */
/* Parts of cold stubs: the address and size for the thunk, and the call with its fault record. */
void patch_jumps(Context *c, const ColdStub *s);
void cold_address(Context *c, const ColdStub *s);
void cold_size(Context *c, const ColdStub *s, unsigned size);
void cold_call(Context *c, const ColdStub *s, Thunk thunk);
/* A load's thunk, and its move from there; a store's: the value comes from a register, or is in AREA_X1 already. */
void slow_load(Context *c, const IrInsn *insn, int address, int out, uint64_t pc, Snapshot snapshot);
void slow_store(Context *c, const IrInsn *insn, int address, int value);
int slow_address(Context *c, int temp, int addr_reg, int32_t disp, unsigned addr_size); /* the register that has it */
void emit_effective(Context *c, int to, int addr_reg, int32_t disp, unsigned addr_size);
void cold_load(Context *c, ColdStub *s);
void cold_update(Context *c, ColdStub *s);
void cold_store(Context *c, ColdStub *s);
void cold_probe(Context *c, ColdStub *s);
void cold_atomic(Context *c, ColdStub *s);
void cold_unaligned(Context *c, ColdStub *s);

bool changes_tables(const IrInsn *insn); /* what was checked before is not good any more */
bool may_be_between(const IrBlock *ir, const IrInsn *insn); /* of accesses that share a check: makes no branch out and few registers */
/* The move of a load or store, in its byte order. The value to store is in a register, swapped if the host has no movbe. */
void emit_loaded(Context *c, const IrInsn *insn, int out, Mem from);
bool is_stored_in_words(const Context *c, const IrInsn *load);
void load_words(Context *c, int xmm, Mem from); /* in memory's order: big-endian ones are not swapped yet */
/* emit_direct.c */
bool has_vector_fields(void);
/* Whether it works on whole vectors, and else on doublewords that have copies in vector registers (others come from memory). */
static inline bool fast_is_whole(const IrFast *f)
{
    return f->kind == FAST_STEPS || f->kind == FAST_DOUBLES || f->kind == FAST_FUSED2;
}
static inline bool fast_is_scalar(const IrFast *f)
{
    return !fast_is_whole(f) && f->kind != FAST_FROM_INT && f->kind != FAST_WIDEN;
}
/* Bytes that go from memory to fields through no general register: 8, or 16 with the next load's; 0: not so. */
unsigned load_goes_to_field(const Context *c, const IrInsn *load);
void direct_begin(Context *c, const IrInsn *access); /* before a stub is made that loads copies again */
void vector_loaded(Context *c, const IrInsn *load, int xmm, Mem from, bool is_usual);
void vector_put(Context *c, int xmm); /* the puts behind the load */
uint32_t direct_last_put(const Context *c, const IrInsn *load); /* the last of these */
/* The other way: what get_field would read is stored from its copy. */
bool field_goes_to_store(Context *c, const IrInsn *get);
bool store_is_direct(const Context *c, const IrInsn *insn);
int direct_copy(Context *c); /* likewise */
void cold_field(Context *c, const IrInsn *store, int32_t field, int temp); /* on the slow way: to the argument of its thunk */
void vector_stored(Context *c, const IrInsn *store, Mem to);
/* EFLAGS stay, but for two bytes. */
void swap_bytes(Context *c, unsigned size, int reg);
/* The same of the guest's memory, perhaps in two parts (emit_words.c). EFLAGS stay where emit_loaded leaves them. */
void emit_loaded_at_once(Context *c, const IrInsn *insn, int out, Mem from);
/* The address of an access as a value and a constant. (emit_group.c) */
uint32_t root_of(const IrBlock *ir, const IrInsn *access, int64_t *offset);
void emit_stored(Context *c, const IrInsn *insn, Mem to, int reg);
bool stored_imm(const Context *c, const IrInsn *insn, int32_t *imm); /* as it is in memory */
void repeat_code(Context *c, uint32_t from, uint32_t to);
static inline Thunk sized(Thunk first, unsigned size)
{
    return first + __builtin_ctz(size);
}

/* emit_group.c */
/* An operand at an address of its own on a page with this addend. */
Mem loop_address(Context *c, const IrInsn *insn, int addend);
int load_out(Context *c, const IrInsn *insn); /* the register to load to, or NO_REG if the insn is no load */
bool emit_group(Context *c, const IrInsn *insn); /* false: it belongs to none */
void group_exit(Context *c, const IrInsn *insn, IrCc cc, uint32_t at); /* of a branch out, in a group's middle or not */
void cold_group(Context *c, ColdStub *s);
/* What regions and loops share with groups. */
bool access_is_plain(const IrInsn *insn);
bool access_is_store(const IrBlock *ir, const IrInsn *insn); /* or is checked as one, as a load for an update is */
void member_alone(Context *c, const ColdStub *s, const Member *m, int scratch);
void second_half(Context *c, const Member *m, int scratch); /* of 16 bytes, of which the first 8 have been loaded or stored */

/* emit_region.c */
bool region_begin(Context *c, const IrInsn *first); /* false: the access begins none */
void region_access(Context *c, const IrInsn *insn); /* of the active region */
void cold_region(Context *c, ColdStub *s);

/* loop.c: whether the block is a loop with checks that can be made before it; plans it in Context.loop. */
bool loop_plan(Context *c);
/* While the second copy is made: whether an access has been checked before, and what is known of it (NULL: it is none). */
bool loop_covers(const Context *c, uint32_t insn);
const LoopAccess *loop_access(const Context *c, uint32_t insn); /* in the second copy */
const LoopAccess *loop_access_at(const Context *c, uint32_t insn); /* in either */
/* emit_loop.c */
void loop_enter_at_start(Context *c);              /* to what loop_enter makes, if enough iterations are left */
void loop_enter(Context *c);                       /* to the second copy */
void cold_loop(Context *c);                        /* of its checks */
void loop_edge(Context *c, const IrInsn *insn);    /* of the second copy */
Mem loop_operand(Context *c, const IrInsn *insn);  /* of an access that it covers */
/* The current iteration becomes the last, from where the counter has so far to go in it. EFLAGS stay. */
void loop_expire(Context *c, int32_t left, int temp);

/* carry.c */
void carry_plan(Context *c);
void carry_load(Context *c);  /* before the loop */
void carry_again(Context *c); /* at its edge; EFLAGS stay */
void carry_begin_late(Context *c);                  /* of the second copy, if it can be so */
void carry_note(Context *c, const IrFast *f, uint32_t end); /* the operation is the last one that has a status, until insn `end` */
void carry_wait(Context *c, const IrFast *f);       /* the same, up to the next one (carry_next_note) */
void carry_keep_operands(Context *c, int32_t field, bool whole); /* the field will be written: what the late note has of it is kept */
unsigned carry_count_late(const Context *c);        /* copies that are late but for the note's */
void carry_forget_note(Context *c);                 /* another one is */
/* The next operation that is noted, if the note of this one can wait for it: stubs store it. 0: it cannot. */
uint32_t carry_next_note(const Context *c, const IrFast *f);
void carry_note_again(Context *c, const IrFast *f);
void carry_flush(Context *c);                       /* where the second copy is left */
bool carry_note_waits(const Context *c, const IrInsn *insn); /* for the loop to be left, so that carry_note has it */
void carry_leave(Context *c);                       /* behind the first copy's edge; EFLAGS stay */
/* In a stub, before it calls C: what is late is stored, by ColdStub.before and its note; vector registers change. */
void carry_settle(Context *c, Snapshot before, const IrFast *note);

/* emit_site.c */
bool site_wanted(const Context *c, const IrInsn *insn); /* for the current insn, an access */
/*
 * t1, in this width the address since `retry`, becomes the addend, or with a width of 4 the host address. Afterwards the
 * code from there on runs again when another page has been met.
 */
void site_check(Context *c, Site *site, Address addr, uint32_t retry, unsigned width, unsigned size, bool is_store, int t1);
/* The same for addresses that are constants, and late; returns the operand. */
bool site_can_be_late(uint64_t addr, unsigned size);
Mem site_check_constant(Context *c, Site *site, Address addr, unsigned size, bool is_store, int t1);
uint32_t cold_site(Context *c, const Site *site); /* returns the jump that is taken if the table does not have the page */

/* emit_span.c */
Address span_find(const Context *c, const IrInsn *insn, Address addr, unsigned size); /* with a span, if there is one */

/* emit_string.c */
void emit_string(Context *c, const IrInsn *insn);
void cold_string(Context *c, ColdStub *s);

/* fields.c: fields of the state, and their copies in vector registers (guests whose vector registers are pinned have none). */
void field_get(Context *c, const IrInsn *insn);
void field_put(Context *c, const IrInsn *insn);
void code_get(Context *c, const IrInsn *insn);
int xmm_get(Context *c, int32_t field, bool whole); /* a copy, locked for the current insn */
int xmm_alloc(Context *c);                          /* locked */
void xmm_set(Context *c, int xmm, int32_t field, bool whole, bool clean); /* the field has just been stored from it */
bool xmm_is_clean(const Context *c, int xmm);
bool xmm_has_copy(const Context *c, int32_t field, bool whole);
int xmm_find(const Context *c, int32_t field, bool whole); /* or NO_REG */
void xmm_load(Context *c, XmmSave copy);
void xmm_moved(Context *c, int to, int from); /* a copy has another register, which it had been copied to */
void xmm_put(Context *c, int xmm, int32_t field, bool whole, bool clean); /* stores it, now or late */
void xmm_in_memory(Context *c, int32_t field); /* if it is late, it is stored now */
void xmm_store(Context *c, XmmSave copy);
void xmm_store_late(Context *c, Snapshot s);
void xmm_forget(Context *c, int32_t field);         /* the doubleword at this offset changes */
void xmm_forget_all(Context *c);
void xmm_settle(Context *c, uint64_t field); /* it is stored if it is late, and late no more */
void xmm_settle_all(Context *c);
Snapshot xmm_snapshot(Context *c);
void xmm_reload(Context *c, Snapshot s);

/* rewritten.c: whether the field, which the current insn writes, is written again before anybody can look at it. */
bool field_is_rewritten(const Context *c, int32_t field, bool whole);

/* emit_fast.c */
void emit_fast(Context *c, const IrInsn *insn);
void emit_eqb(Context *c, const IrInsn *insn);
void cold_fast(Context *c, ColdStub *s);
/* emit_status.c: the result is in a register */
int emit_status(Context *c, const IrFast *f, ColdStub *s);
/* emit_vector.c */
void emit_steps(Context *c, const IrInsn *insn);
void cold_steps(Context *c, ColdStub *s, const IrFast *f); /* what comes before the helper's call */

/* emit_raw.c */
/* The guest's FP state must be in the host's registers, at least so much of it: tested once, until a label. */
void need_fp(Context *c, unsigned level);
void emit_raw(Context *c, const IrInsn *insn);
void cold_raw(Context *c, ColdStub *s);
/* The instruction itself; gpr is its general register, mem its memory operand, if it has them. */
void raw_encode(Context *c, const IrRaw *raw, int gpr, Mem mem);
/* Its memory operand by way of a buffer: the address is in AREA_X0. */
void raw_through_buffer(Context *c, const IrRaw *raw, int gpr, uint64_t pc, Snapshot snapshot);
void cold_fp_load(Context *c, ColdStub *s);

/* control_word.c */
/* Nops for the raw instruction with a memory operand that comes next, if it loads the x87's control word. */
void control_word_place(Context *c, const IrInsn *insn, Mem mem);

/* emit_control.c */
void emit_call(Context *c, const IrInsn *insn);
void emit_control(Context *c, const IrInsn *insn);
void cold_exit(Context *c, ColdStub *s);
/* Whether a branch within the block goes on out of line, where it stores slots and what is late. */
bool branch_has_stub(const Context *c, const IrInsn *insn);
void cold_branch(Context *c, ColdStub *s);
/* A pc of the IR as it is at the page that a block of these pic_bits runs at. */
void pc_to_r13(Asm *a, unsigned pic_bits, uint64_t pc);
void cold_shortcut(Context *c, ColdStub *s);
void cold_poll(Context *c, ColdStub *s);

/* compile.c */
ColdStub *cold_new(Context *c, ColdKind kind);
void thunk_call(Context *c, Thunk thunk);
/* thunks_by_register.c: the sized ones */
void thunk_call_at(Context *c, Thunk thunk, int address);
void thunk_load_at(Context *c, Thunk thunk, int address, int out); /* zero-extended */
void thunk_store_at(Context *c, Thunk thunk, int address, int value);
/* The call or raw instruction that ends or begins at the current offset may fault. */
void fault_record(Context *c, uint32_t offset, uint64_t pc, Snapshot snapshot);

/* faultmap.c */
/* The map is Context.map. Returns its size. */
uint32_t fault_map_encode(Context *c);

#endif
