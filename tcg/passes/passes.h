/* The passes over a block, in the order in which ir_optimise runs them. */
#ifndef TCG_PASSES_H
#define TCG_PASSES_H

#include "tcg/ir.h"

/* Forwards puts to gets, propagates copies and constants, folds. Each is one walk over the block. */
void ir_pass_forward(IrBlock *ir);
/* Drops values, flags and puts that nobody sees. */
void ir_pass_dead(IrBlock *ir);
/* The bits of a value that may be ones. same: by value, for that of a get the value that its slot was known to hold, or 0. */
uint64_t ir_possible_ones(const IrBlock *ir, const uint32_t *same, uint32_t id);

#endif
