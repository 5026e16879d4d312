/* What values of a block that is being built are, as far as the block and the state tell: for front ends that go through loops. */
#ifndef TCG_KNOWN_H
#define TCG_KNOWN_H

#include "tcg/ir.h"

typedef struct IrLook {
    const IrBlock *ir;
    const void *state; /* that the block will begin with, so slots it has not put are what they are there; NULL: they are not known */
    unsigned steps;    /* values that may yet be looked at */
} IrLook;

/* False: it is not known. */
bool ir_known_value(IrLook *l, uint32_t id, uint64_t *value);

/* What a slot holds before the operation at `at`, as a value of the type. False: it is not known. */
bool ir_known_slot(IrLook *l, unsigned slot, IrType type, uint32_t at, uint64_t *value);

/* The last insn_start of a pc, and how many there are from it on in *insns; 0: there is none. */
uint32_t ir_find_insn(const IrBlock *ir, uint64_t pc, unsigned *insns);

/*
 * How many times a branch back by the flags of the comparison that the block ends with is taken, this one counted, if its operands go on changing as
 * they did since `begin`, where an iteration begins; `many` if it is so many or that is not seen.
 */
unsigned ir_times_taken(IrLook *l, IrVal flags, IrCc cc, uint32_t begin, unsigned many);

#endif
