/* The caches that a processor model tells of: one description, from which all leaves of CPUID about them are made. */
#ifndef TARGET_X86_CACHES_H
#define TARGET_X86_CACHES_H

#include <stdbool.h>
#include <stdint.h>

enum { CACHE_DATA = 1, CACHE_CODE, CACHE_UNIFIED };

typedef struct X86Cache {
    uint8_t type, level; /* level 0: the list's end */
    uint16_t ways;
    uint32_t sets;       /* of lines of 64 bytes */
    uint8_t sharers;     /* cores that share it; 0: all of a socket */
    uint8_t flags;       /* leaf 4's EDX */
} X86Cache;

typedef struct X86Caches {
    uint32_t leaf2[4];        /* descriptors (SDM vol. 2, table 3-12); FFh: leaf 4 tells */
    X86Cache cache[5];
    uint32_t amd_l1_tlb[2], amd_l2_tlb[2]; /* leaves 80000005h and 80000006h, EAX and EBX */
} X86Caches;

extern const X86Caches x86_caches_generic, x86_caches_p6_512k, x86_caches_p6_512k_4way_tlb, x86_caches_k7, x86_caches_atom, x86_caches_yonah,
    x86_caches_merom, x86_caches_penryn, x86_caches_nehalem, x86_caches_westmere, x86_caches_sandybridge, x86_caches_ivybridge, x86_caches_haswell,
    x86_caches_skylake, x86_caches_k10, x86_caches_zen;

/* Leaf 4 and AMD's 8000001Dh; out is zero past the last. */
void x86_cache_leaf(const X86Caches *c, uint32_t subleaf, unsigned threads, unsigned cores, bool amd, uint32_t out[4]);
/* Leaf 80000005h or 80000006h. */
void x86_cache_leaf_amd(const X86Caches *c, unsigned level, bool amd, uint32_t out[4]);

#endif
