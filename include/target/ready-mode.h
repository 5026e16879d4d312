/* Translated code that takes the tables of a mode which the engine has left ready (EngineOps.keep_mode). */
#ifndef TARGET_READY_MODE_H
#define TARGET_READY_MODE_H

#include <stddef.h>

#include "core/cpu.h"
#include "target/guest.h"
#include "tcg/ir.h"

/* From the ReadyMode at `ready` in the state, whose `from` the block has looked at; chosen: GuestOps.chosen_offset. */
static inline void ready_mode_take(IrBlock *ir, uint32_t ready, uint32_t chosen)
{
    const struct {
        uint32_t from, to;
    } copies[] = {
        { offsetof(ReadyMode, tlb_mask), offsetof(CpuHot, tlb_mask) },
        { offsetof(ReadyMode, tlb_load), offsetof(CpuHot, tlb_load) },
        { offsetof(ReadyMode, tlb_store), offsetof(CpuHot, tlb_store) },
        { offsetof(ReadyMode, jump_cache), offsetof(CpuHot, jump_cache) },
        { offsetof(ReadyMode, chosen), chosen },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(copies); i++) {
        ir_put_field(ir, IR_I64, copies[i].to, ir_get_field(ir, IR_I64, ready + copies[i].from));
    }
}

#endif
