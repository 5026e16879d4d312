/* The passes over a block, in the order in which ir_optimise runs them. */
#ifndef TCG_PASSES_H
#define TCG_PASSES_H

#include "tcg/ir.h"

/* Forwards puts to gets, propagates copies and constants, folds. Each is one walk over the block. */
void ir_pass_forward(IrBlock *ir);
/* Drops values, flags and puts that nobody sees. */
void ir_pass_dead(IrBlock *ir);

#endif
