/* Linking of blocks: one aligned store of a rel32 through the writable view. */
#include "backend.h"

static void patch_rel32(const uint8_t *at, const uint8_t *target)
{
    int32_t distance = target - (at + 4);

    /* Within 8 aligned bytes: other threads see the old or the new branch. */
    __atomic_store_n((int32_t *)buffer_writable(at), distance, __ATOMIC_RELEASE);
}

void tcg_link(HostExit *exit, const HostBlock *to)
{
    patch_rel32(exit->block->code + exit->patch, to->code);
}

void tcg_link_cached(HostExit *exit)
{
    patch_rel32(exit->block->code + exit->patch, exit->block->code + exit->cached);
}

void tcg_unlink(HostExit *exit)
{
    patch_rel32(exit->block->code + exit->patch, exit->block->code + exit->stub);
}

void tcg_retire(HostBlock *block)
{
    uint8_t *entry = buffer_writable(block->code);
    int32_t distance = (const uint8_t *)backend.thunks[THUNK_RETIRED] - (block->code + 5);
    uint64_t first;

    /* A call in place of the entry's first instruction, which is as long; and blocks are aligned: one store. */
    memcpy(&first, entry, 8);
    first = (first & ~0xffffffffffull) | 0xe8 | (uint64_t)(uint32_t)distance << 8;
    __atomic_store_n((uint64_t *)entry, first, __ATOMIC_RELEASE);
}
