/*
 * copy, paste. and cp_abort (Power ISA 3.0B and 3.1, Book II, 4.4): a block goes to a buffer of the processor's and on to an accelerator or,
 * since 3.1, to memory. There is no accelerator. Before 3.1, paste. of memory is a data storage interrupt.
 *
 * The buffer is in no snapshot: programs that find their paste. undone begin again, as after a change of tasks.
 */
#include "target/ppc/mmu.h"

enum { BLOCK = 128, WRONG_MEMORY = 8 /* DSISR */ };

static void check_block(PpcState *s, uint64_t addr, MmuAccess access, uintptr_t ra)
{
    if (addr & (BLOCK - 1)) {
        tcg_restore(s, ra);
        ppc_raise_alignment(s->hot.cpu, addr, access == MMU_STORE);
    }
    ppc_check_cached(s, addr, access, WRONG_MEMORY, ra);
}

uint64_t ppc_helper_copy(PpcState *s, uint64_t addr, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);

    check_block(s, addr, MMU_LOAD, ra);
    for (unsigned i = 0; i < BLOCK; i += 8) { /* of one page: the first may fault, the others not */
        s->copied[i / 8] = engine.load(s->hot.cpu, addr + i, 8, ppc_data_mode(s), ra);
    }
    s->copy_waits = true;
    return 0;
}

uint64_t ppc_helper_paste(PpcState *s, uint64_t addr, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);

    if (!s->copy_waits) {
        return 0;
    }
    check_block(s, addr, MMU_STORE, ra);
    engine.probe(s->hot.cpu, addr, BLOCK, MMU_STORE, ppc_data_mode(s), ra);
    if (!ppc_isa(s, ISA_V310)) {
        tcg_restore(s, ra);
        s->spr[SPR_DAR] = addr;
        s->spr[SPR_DSISR] = WRONG_MEMORY | FAULT_STORE;
        ppc_raise(s, PPC_DSI, 0, 0);
    }
    for (unsigned i = 0; i < BLOCK; i += 8) {
        engine.store(s->hot.cpu, addr + i, s->copied[i / 8], 8, ppc_data_mode(s), ra);
    }
    s->copy_waits = false;
    return 1;
}
