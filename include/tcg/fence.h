/* Kinds of fences: the imm of IR_fence. Hosts that have no weaker one order everything. */
#ifndef TCG_FENCE_H
#define TCG_FENCE_H

#include "tcg/ir.h"

typedef enum IrFence {
    FENCE_ALL,
    FENCE_LOADS,  /* loads before all that comes later, and before the host's counter is read */
    FENCE_STORES, /* stores before later ones, also such as the host may put off (x86: MOVNT) */
} IrFence;

static inline void ir_fence_of(IrBlock *ir, IrFence kind)
{
    ir_fence(ir);
    ir->insns[ir->n_insns - 1].imm = kind;
}

#endif
