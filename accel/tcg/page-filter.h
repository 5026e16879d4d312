/* A filter of pages (Bloom's, of two bits): one that is not in it was never added; one that is may have been. */
#ifndef ACCEL_TCG_PAGE_FILTER_H
#define ACCEL_TCG_PAGE_FILTER_H

#include "accel/tcg/internal.h"

/* Pages modulo 2^32, so that 32-bit addresses that wrapped compare equal. */
static inline uint32_t page_number(uint64_t addr)
{
    return (uint32_t)addr >> GUEST_PAGE_BITS;
}

/* A page's two bits in the filter: kernels alone run through thousands of pages. */
static inline void filter_bits(uint32_t page, uint32_t bit[2])
{
    enum { BITS = 64 * PAGE_FILTER_WORDS };

    bit[0] = (page ^ page >> 15) % BITS;
    bit[1] = page * 0x9e3779b1u >> 16 & (BITS - 1);
}

static inline bool filter_has(const uint64_t *filter, uint32_t page)
{
    uint32_t bit[2];

    filter_bits(page, bit);
    return filter[bit[0] / 64] >> bit[0] % 64 & filter[bit[1] / 64] >> bit[1] % 64 & 1;
}

static inline void filter_add(uint64_t *filter, uint32_t page)
{
    uint32_t bit[2];

    filter_bits(page, bit);
    for (int i = 0; i < 2; i++) {
        filter[bit[i] / 64] |= UINT64_C(1) << bit[i] % 64;
    }
}

#endif
