/*
 * Entries of the thunks for loads and stores of one size, by the registers that have the address, and what is stored or loaded. There is such a
 * call for each guest access, few of them are ever taken: what they have in common is here, and not in all of them.
 */
#include "backend.h"

static const void *entries[THUNK_SIZED][HOST_REGS];
static const void *load_entries[THUNK_STORE1][HOST_REGS][HOST_REGS]; /* by address, and result */
static const void *store_entries[THUNK_SIZED - THUNK_STORE1][HOST_REGS][HOST_REGS]; /* by address, and value */

/* RSP is one return address below the state. */
static void put_argument(Asm *a, int32_t area, int reg)
{
    asm_store(a, 8, mem_at(RSP, -AREA_RETURN + area), reg);
}

void thunks_by_register_init(Asm *a)
{
    for (Thunk thunk = 0; thunk < THUNK_SIZED; thunk++) {
        for (int reg = 0; reg < HOST_REGS; reg++) {
            if (reg != RSP) {
                entries[thunk][reg] = a->p + a->to_exec;
                put_argument(a, AREA_X0, reg);
                asm_jmp_to(a, backend.thunks[thunk]);
            }
        }
    }
    for (Thunk thunk = 0; thunk < THUNK_STORE1; thunk++) {
        for (int address = 0; address < HOST_REGS; address++) {
            for (int out = 0; out < HOST_REGS; out++) {
                if (address != RSP && out != RSP) {
                    load_entries[thunk][address][out] = a->p + a->to_exec;
                    put_argument(a, AREA_X1, address);
                    asm_call_to(a, backend.thunks[THUNK_INNER_LOAD1 + thunk]);
                    asm_load(a, 8, out, mem_at(RSP, -AREA_RETURN + AREA_X1));
                    asm_ret(a);
                }
            }
        }
    }
    for (Thunk thunk = THUNK_STORE1; thunk < THUNK_SIZED; thunk++) {
        for (int address = 0; address < HOST_REGS; address++) {
            for (int value = 0; value < HOST_REGS; value++) {
                if (address != RSP && value != RSP) {
                    store_entries[thunk - THUNK_STORE1][address][value] = a->p + a->to_exec;
                    put_argument(a, AREA_X1, value);
                    asm_jmp_to(a, entries[thunk][address]);
                }
            }
        }
    }
}

void thunk_call_at(Context *c, Thunk thunk, int address)
{
    asm_call_to(&c->a, entries[thunk][address]);
}

void thunk_load_at(Context *c, Thunk thunk, int address, int out)
{
    asm_call_to(&c->a, load_entries[thunk][address][out]);
}

void thunk_store_at(Context *c, Thunk thunk, int address, int value)
{
    asm_call_to(&c->a, store_entries[thunk - THUNK_STORE1][address][value]);
}
