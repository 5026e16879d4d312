/*
 * Loops: a block that branches back to its own start gets a second copy of its body without TLB checks,
 * entered when those of a number of iterations have been made at once. See loop.c and emit_loop.c.
 */
#ifndef TCG_X86_64_LOOP_H
#define TCG_X86_64_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "site.h"

enum { LOOP_TERMS = 3, LOOP_ROOTS = 8, LOOP_ACCESSES = 48, LOOP_BASES = 3 };

/* Slots' contents when an iteration begins, times small factors, plus a constant. */
typedef struct Linear {
    bool known;
    uint8_t type;    /* IR_I32 or IR_I64: what it wraps at */
    uint8_t n_terms;
    uint8_t slot[LOOP_TERMS];
    int8_t factor[LOOP_TERMS];
    int64_t add;
    uint8_t align;   /* 0, or: it is this only if it is a multiple of align when add is align_add */
    int64_t align_add;
} Linear;

/* Accesses at constant distances from each other. */
typedef struct LoopRoot {
    Linear sum;          /* their addresses, without constants */
    int32_t step;        /* how far they go in an iteration */
    int32_t low, high;   /* of the first and last byte, from sum */
    uint8_t align;       /* what their addresses must be multiples of, at distance align_at */
    int32_t align_at;
    bool is_store;
    /*
     * The operand is [base + index * scale + displacement]: index is the pinned register of the only slot in sum that
     * changes, or NO_REG if none does. Otherwise it is the address itself.
     */
    bool by_slot;
    int8_t index;
    uint8_t scale;       /* log2 */
    int32_t lowest;      /* of what the index register is off its contents at the iteration's begin */
    int8_t base;         /* a register that has it all the time, or NO_REG: it is in memory */
    uint16_t uses;
    uint64_t pc;         /* of the first access's instruction */
    Site site;           /* of its check */
} LoopRoot;

typedef struct LoopAccess {
    uint32_t insn;
    int8_t root;         /* -1: checked in every iteration */
    bool steps;          /* its address goes some distance that is made of slots */
    int32_t disp;        /* with by_slot */
    int32_t left;        /* how much further the counter goes in this iteration */
} LoopAccess;

typedef struct Loop {
    uint32_t edge;       /* the insn that branches back; 0: the block is no such loop */
    uint64_t pc, next_pc; /* of the block; behind the edge */
    bool conditional;    /* the edge is an exit_if */
    bool at_start;       /* the second copy is entered from the block's start, not from the edge */
    bool running;        /* the second copy is being made */
    uint16_t bases;      /* registers that it does not give away */
    unsigned n_roots, n_accesses;
    Linear count;        /* goes to zero by count_step an iteration; not known: it ends otherwise */
    int64_t count_step;
    int8_t counter;      /* a register that goes up or down by counter_step an iteration, NO_REG: none */
    uint8_t counter_type;
    int32_t counter_step;
    unsigned shortest;   /* iterations that are worth checking operands before */
    uint8_t fp_level;    /* FP_LOADED_ that it needs */
    uint32_t pins_clean; /* at the second copy's start, as in Context */
    uint64_t live_at_top; /* slots that the second copy looks at, or lets others see, before it puts them */
    uint32_t entry;      /* rel32 that leads to it */
    uint32_t again;      /* where the first copy goes on from its edge, if not at_start */
    uint32_t otherwise;  /* where to go when a check fails */
    uint32_t top;
    LoopRoot roots[LOOP_ROOTS];
    LoopAccess accesses[LOOP_ACCESSES];
} Loop;

#endif
