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

/* A call in place of the first instruction there, which is as long or longer; and such places are aligned: one store. */
static void retire_at(const uint8_t *at)
{
    uint8_t *entry = buffer_writable(at);
    int32_t distance = (const uint8_t *)backend.thunks[THUNK_RETIRED] - (at + 5);
    uint64_t first;

    memcpy(&first, entry, 8);
    first = (first & ~0xffffffffffull) | 0xe8 | (uint64_t)(uint32_t)distance << 8;
    __atomic_store_n((uint64_t *)entry, first, __ATOMIC_RELEASE);
}

void tcg_retire(HostBlock *block)
{
    retire_at(block->code);
    if (block->inner) {
        retire_at(block->code + block->inner);
    }
}
