/* Between the interpreter and its execution of raw host instructions. */
#ifndef TCG_INTERP_PRIVATE_H
#define TCG_INTERP_PRIVATE_H

#include "interp.h"

typedef struct InterpRaw {
    uint64_t addr;  /* of the memory operand */
    uint64_t gpr;   /* in and out */
    uint64_t flags; /* EFLAGS image: in with IrRaw.flags_in, always out */
} InterpRaw;

extern const TcgTarget *interp_target;
extern const TcgRuntime *interp_runtime;

/* Executes one host instruction on the guest's FP state in memory. May unwind. */
void interp_raw(void *state, const IrRaw *raw, InterpRaw *r);

#endif
