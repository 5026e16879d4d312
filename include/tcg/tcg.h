/*
 * The back-end as engines see it: compile a block, enter it, find the guest state after a fault.
 *
 * tcg/ knows neither guests nor engines: what compiled code needs at run time comes in TcgRuntime.
 */
#ifndef TCG_TCG_H
#define TCG_TCG_H

#include "tcg/ir.h"

/* One softmmu entry. An access of `size` bytes at `addr` hits if
 *     tag == ((addr + size - 1) & ~0xfff)   when size > 1 accesses may not cross the page
 * so a page-crossing access misses. Reserved tag TLB_INVALID never matches (low bits set). */
typedef struct TlbEntry {
    uint64_t tag;
    uint64_t addend; /* host address = guest address + addend */
} TlbEntry;
#define TLB_INVALID    UINT64_MAX
#define TLB_ENTRY_BITS 4

/* Where the byte at an address is, by a table and its mask (CpuHot.tlb_mask); NULL: the table does not have its page. */
static inline void *tlb_lookup(const void *table, uint64_t mask, uint64_t addr)
{
    const TlbEntry *entry = (const TlbEntry *)((const uint8_t *)table + (addr >> (12 - TLB_ENTRY_BITS) & mask));

    return entry->tag == (addr & ~UINT64_C(0xfff)) ? (void *)(uintptr_t)(addr + entry->addend) : NULL;
}

/* Inline lookup of indirect and cross-page branches. */
typedef struct JumpCacheEntry {
    uint64_t pc; /* value of the pc slot; jump_cache_empty() of the place never matches */
    const void *code;
} JumpCacheEntry;
/*
 * The place is the low half of a word, without the bits that are always zero (TcgTarget.pc_shift): two instructions. A table's
 * memory is there from the start, since most is used sooner or later; of its places the first JUMP_CACHE_SIZE >> pc_shift are used.
 */
#define JUMP_CACHE_SIZE  (1u << 16)
static inline uint32_t jump_cache_index(uint64_t pc, unsigned pc_shift)
{
    return (uint16_t)pc >> pc_shift;
}
/* Where an entry goes that another drove from its place; looked at before the engine is. */
#define JUMP_CACHE_SECOND_SHIFT 9
static inline uint32_t jump_cache_second(uint64_t pc, unsigned pc_shift)
{
    return jump_cache_index(pc ^ pc >> JUMP_CACHE_SECOND_SHIFT, pc_shift);
}
/* The pc of an empty place, whose first and second places are others. Memory of zeros is empty but for place 0. */
static inline uint64_t jump_cache_empty(uint32_t place)
{
    return place == 0;
}

/* A direct exit: rel32 at `patch` (in the writable view) goes to the stub until it is linked. */
typedef struct HostExit {
    uint64_t pc; /* as in the IR */
    uint32_t patch; /* offset of the rel32 from HostBlock.code */
    uint32_t stub;  /* offset of the code that returns this exit to the engine */
    uint32_t cached; /* a far one's (IrBlock.links_far): offset of code that goes through the jump cache; else 0 */
    struct HostBlock *block; /* the block that this exit is in */
    void *link;              /* the engine's: the block that it is linked to */
    struct HostExit *next_in; /* the engine's: list of exits into that block */
    struct HostExit *next_far, **far_link; /* the engine's: list of far exits that no longer lead to their stub */
} HostExit;

/* Code whose floating-point exceptions continue somewhere else: offsets from HostBlock.code. */
typedef struct HostTrap {
    uint32_t from, to, cold;
} HostTrap;

/* What compilation made. Allocated with exits and fault map by tcg_compile. */
typedef struct HostBlock {
    const uint8_t *code; /* executable view */
    const uint8_t *entry; /* where the jump cache leads, with the pc in a register: sets CpuHot.pic_page first */
    const uint8_t *cold; /* what is out of line, further on in the same region */
    uint64_t pc;         /* of its start, as in the IR */
    uint32_t pic_bits;   /* as the IrBlock had it */
    uint32_t size;       /* bytes of code in line: the usual path, and a loop's second copy */
    uint32_t usual_size; /* of these, the former */
    uint32_t cold_size;
    uint16_t n_exits, max_exits;
    uint16_t n_insns;    /* guest instructions */
    uint16_t inner;      /* where a loop's branch back leads, behind what is loaded before it: an offset, 0 if there is nothing */
    HostExit *exits;
    uint8_t *fault_map;  /* private encoding, see tcg_restore */
    uint32_t fault_map_size;
    uint16_t n_sites, max_sites;
    struct TcgSiteUse *sites;
    HostTrap *traps;
    uint32_t n_traps;
    void *engine;        /* the engine's block */
} HostBlock;

enum { TCG_FAULT_SIMD = -1 }; /* a SIGFPE of a vector instruction, not of the x87 unit */
#define TCG_ATOMIC(op, size) ((op) << 8 | (size))

/* Whether a host pc, or a return address, is in a block's code. */
static inline bool tcg_block_has(const HostBlock *block, uintptr_t host_pc)
{
    return host_pc - (uintptr_t)block->code <= block->size || host_pc - (uintptr_t)block->cold <= block->cold_size;
}

/* What the engine lends to compiled code. All functions may unwind. retaddr: host pc to restore by. */
typedef struct TcgRuntime {
    /* size 1, 2, 4, 8; returns zero-extended; mem = IrMem bits. Handle everything: misses, MMIO,
     * page crossing, code pages, watchpoints. Always little-endian, at any alignment: IRM_BE and
     * IRM_ALIGNED are the caller's business. */
    uint64_t (*load)(void *state, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr);
    void (*store)(void *state, uint64_t addr, uint64_t value, unsigned size, unsigned mem, uintptr_t retaddr);
    /* Any size up to 512, for raw memory operands through a buffer. */
    void (*load_bytes)(void *state, uint64_t addr, void *buf, unsigned size, uintptr_t retaddr);
    void (*store_bytes)(void *state, uint64_t addr, const void *buf, unsigned size, uintptr_t retaddr);
    /* Faults as a store would, writes nothing. */
    void (*probe_store)(void *state, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr);
    /* The atomic operations: op_size is TCG_ATOMIC(IR_atomic_*, size). Returns the old value. */
    uint64_t (*atomic)(void *state, uint64_t addr, unsigned op_size, uint64_t b, uint64_t c, uintptr_t retaddr);
    /* Misaligned address for an aligned access; never returns. */
    void (*unaligned)(void *state, uint64_t addr, bool is_store, uintptr_t retaddr);
    /* Host SIGFPE or SIGSEGV/SIGBUS at a host pc inside translated code; state already restored. Never returns. code: the
     * signal's si_code, or TCG_FAULT_SIMD. */
    void (*host_fault)(void *state, int signal, int code, uintptr_t host_pc);
    /* Finds the block that holds a host pc (binary search in the engine's index). */
    const HostBlock *(*find_block)(uintptr_t host_pc);
    /*
     * May be NULL. For a pc that the jump cache does not have: HostBlock.entry of the block there, or NULL, which leads to
     * TCG_EXIT_LOOKUP. Does not unwind; the state is not complete.
     */
    const void *(*find_code)(void *state, uint64_t pc);
} TcgRuntime;

/*
 * Pages that accesses of translated code have met last, below the state: entries of the TLB tables, which whoever changes
 * or replaces those must drop (tcg_sites_clear). What an empty entry has for a page would be taken for one that is remembered:
 * it is another one in each process (tcg_init), unknown to guests, and no address of this host's.
 * Only blocks with IrBlock.use_sites look at them.
 */
enum { TCG_SITES = 448, TCG_SITE_GROUP = 16 };

typedef struct TcgSite {
    uint64_t page, addend, host; /* host: of the page */
    uint64_t limit; /* accesses of its class begin before page + limit: on this page, or on a run of pages with one addend */
} TcgSite;
typedef struct TcgSites {
    struct TcgSiteUse *tired;                     /* a place of the code that met new pages so often, or NULL */
    uint8_t empty[TCG_SITES / TCG_SITE_GROUP];    /* not 0: these entries are empty */
    TcgSite site[TCG_SITES];
} TcgSites;

/*
 * A place of the code that remembers pages. When it has met new ones for `left` times, and TcgSites.tired is free, it is put
 * there and a poll asked for: the engine gives it more, or makes the block anew with IrBlock.scattered saying so.
 */
typedef struct TcgSiteUse {
    int32_t left;
    int32_t entry;     /* the TcgSite, from the state */
    uint8_t last;      /* distance of an access's last byte */
    uint8_t group;     /* in TcgSites.empty */
    uint16_t largest;  /* access that uses the entry; 0: which has one page only */
    uint64_t pc;       /* of the instruction, as in the IR */
    int64_t since;     /* the engine's: when `left` was given */
    struct HostBlock *block;
} TcgSiteUse;
enum { TCG_SITE_PATIENCE = 1024 }; /* what `left` begins with where IrBlock.scattered is known */
TcgSites *tcg_sites(void *state);
void tcg_sites_init(TcgSites *sites); /* before the first use */
void tcg_sites_clear(TcgSites *sites);
void tcg_sites_drop_page(TcgSites *sites, uint64_t page); /* entries that have it */

/*
 * Of guests with TcgTarget.use_fp_traps: whether the host's floating-point exceptions are unmasked while translated code
 * runs, as blocks with IrFast.traps want it. It is part of the block's key. `on` changes in tcg_fp_traps_review only, which the
 * target calls where no block runs, whenever it looks at requests: CPU_REQ_TIMER is raised for it.
 */
typedef struct TcgFpTraps {
    bool on;
    uint32_t taken;
    int64_t paused_until; /* monotonic time in microseconds; 0: not paused */
} TcgFpTraps;
TcgFpTraps *tcg_fp_traps(void *state);
void tcg_fp_traps_init(void *state); /* after tcg_init */
void tcg_fp_traps_review(void *state);

/* Where the guest's vector/x87 state lives in the state struct, in XSAVE/FXSAVE layout. */
typedef struct TcgTarget {
    const IrSlot *slots;
    uint32_t n_slots;
    unsigned pc_slot;
    uint32_t fxsave_offset; /* 64-byte aligned offset of a 512-byte FXSAVE image; 0: none */
    uint32_t ymm_offset;    /* 16-byte aligned offset of 16 upper halves of YMM registers; 0: none */
    bool use_fp_traps;      /* see TcgFpTraps */
    bool use_vector_pins;   /* guest vector register n is host vector register n while loaded */
    unsigned pc_shift;      /* log2 of what instructions are aligned to */
} TcgTarget;

typedef struct TcgOptions {
    uint64_t buffer_size;       /* bytes of code, 0: default */
    const char *host_features;  /* mask, "-avx,-bmi2", or NULL */
} TcgOptions;

/* Once per process. */
bool tcg_init(const TcgTarget *target, const TcgRuntime *runtime, const TcgOptions *options, GError **error);

/*
 * Compiles an optimised block. NULL when the code buffer is full: the engine evicts and retries.
 * Its code and records go with their region.
 * Thread-safe against running code; callers serialise compilation themselves.
 * far_exit(opaque, pc): whether a direct exit to pc must go through the jump cache (another page).
 */
HostBlock *tcg_compile(IrBlock *ir, bool (*far_exit)(void *opaque, uint64_t pc), void *opaque);
size_t tcg_metadata_size(const HostBlock *block); /* all but the code itself */

/* Code buffer: regions are filled in turn. Eviction: the engine drops all blocks of a region. */
unsigned tcg_region_count(void);
unsigned tcg_region_of(const void *code);
bool tcg_is_code(uintptr_t host_pc);        /* whether a region has it */
bool tcg_is_out_of_line(uintptr_t host_pc); /* which part of a region has it */
unsigned tcg_region_current(void);
unsigned tcg_region_next(void); /* starts filling the next region, which must be empty by then */
void tcg_code_usage(uint64_t *used, uint64_t *size);

/*
 * Runs translated code until it leaves: TcgExit, or for TCG_EXIT_UNCHAINED the HostExit in *exit.
 * The state must be complete in memory before and is complete after, pc slot included; so must
 * CpuHot.pic_page for a block that is position-independent.
 */
TcgExit tcg_enter(void *state, const void *code, HostExit **exit);

/* From C called by translated code (or by the interpreter): abandons the block. Never returns. */
void tcg_unwind(void *state, TcgExit why) G_GNUC_NORETURN;
/* Outside of translated code: C that may call tcg_unwind. What it did that with, else TCG_EXIT_LOOKUP. */
TcgExit tcg_protect(void *state, void (*fn)(void *state));
/* The return address of the innermost call from translated code, for retaddr arguments. */
uintptr_t tcg_caller_pc(void *state);
/*
 * Completes the state in memory as of the instruction that contains host pc: slots and pc. Only
 * within a call from translated code. Returns false if the pc is not in translated code (then the
 * state is complete already, e.g. under the interpreter).
 */
bool tcg_restore(void *state, uintptr_t host_pc);

/* If the guest's FP state is in host registers, store it to the state (and mark it so). Called by C
 * code that is about to use or change the FP state, or to run vector code. With use_fp_traps: masks exceptions. */
void tcg_fp_sync(void *state);

/* Linking. Atomic against running code. */
void tcg_link(HostExit *exit, const HostBlock *to);
void tcg_unlink(HostExit *exit);
/* To the exit's own way through the jump cache. */
void tcg_link_cached(HostExit *exit);
/* Makes the start of a dead block leave to the engine (TCG_EXIT_LOOKUP with its pc). */
void tcg_retire(HostBlock *block);

/* The portable engine: runs IR directly with the same results. Uses the same runtime. */
TcgExit tcg_interpret(void *state, const IrBlock *ir, HostExit **exit, uint64_t *exit_pc);

/* Host code as text for -d out_asm (capstone), caller frees; NULL without capstone. The line TCG_OUT_OF_LINE
 * separates the usual path from the rest. */
#define TCG_OUT_OF_LINE "  out of line:\n"
char *tcg_disassemble_host(const HostBlock *block);

#endif
