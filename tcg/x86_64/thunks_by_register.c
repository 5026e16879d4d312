/*
 * Entries of the thunks for loads and stores of one size, by the register that has the address. There are a few such calls for each
 * guest access, none of them taken often: what they have in common is here, and not in all of them.
 */
#include "backend.h"

static const void *entries[THUNK_SIZED][HOST_REGS];

void thunks_by_register_init(Asm *a)
{
    for (Thunk thunk = 0; thunk < THUNK_SIZED; thunk++) {
        for (int reg = 0; reg < HOST_REGS; reg++) {
            if (reg != RSP) {
                entries[thunk][reg] = a->p + a->to_exec;
                asm_store(a, 8, mem_at(RSP, -AREA_RETURN + AREA_X0), reg); /* RSP is one return address below the state */
                asm_jmp_to(a, backend.thunks[thunk]);
            }
        }
    }
}

void thunk_call_at(Context *c, Thunk thunk, int address)
{
    asm_call_to(&c->a, entries[thunk][address]);
}
