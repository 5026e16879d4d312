/*
 * Which blocks of processes take a good part of the time, found by where the guest is when it is interrupted.
 *
 * TcgSites has room for the accesses of a few hundred instructions. A loop that fits runs up to twice as fast with it; a compiler,
 * whose time goes into a hundred thousand blocks, would do nothing but replace entries. So blocks are made without sites until one is
 * met twice within a few interrupts of its vCPU's. Blocks that count their runs would be found sooner, but the counting costs more
 * than is won: a fifth of that compiler's time.
 */
#include "accel/tcg/internal.h"

/* Where the code of the next block is, if that is known without a walk. */
static const PageEntry *page_of_next(EngineCpu *ec, const BlockKey *key)
{
    uint64_t tag = ((key->base + key->pc) & PAGE_MASK) | chosen(ec)->fetch_mode;
    const PageEntry *entry = pages_find(&ec->context->pages, tag);

    return entry && entry->host && entry->prot & PROT_FETCH ? entry : NULL;
}

void hot_sample(EngineCpu *ec)
{
    const PageEntry *entry;
    const uint8_t *host;
    BlockKey key = { 0 };
    bool met = false;

    if (engine_options.sites != SITES_HOT || ec->ops->system_modes >> chosen(ec)->mode & 1) {
        return;
    }
    ec->ops->block_key(ec->cpu, &key);
    if (!(entry = page_of_next(ec, &key))) {
        return;
    }
    host = entry->host + ((key.base + key.pc) & (GUEST_PAGE_SIZE - 1));
    for (unsigned i = 0; i < G_N_ELEMENTS(ec->samples); i++) {
        met |= ec->samples[i] == host;
    }
    if (met) {
        code_is_hot(entry, host);
    }
    ec->samples[ec->n_samples++ % G_N_ELEMENTS(ec->samples)] = host;
}
