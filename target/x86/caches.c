/* Caches of the processor models, as dumps of the real ones have them, and CPUID's leaves about them (SDM vol. 2; APM vol. 3, E.4). */
#include "target/x86/caches.h"

#define DATA(ways, sets)            { CACHE_DATA, 1, ways, sets, 1, 0 }
#define CODE(ways, sets)            { CACHE_CODE, 1, ways, sets, 1, 0 }
#define OWN_L2(ways, sets)          { CACHE_UNIFIED, 2, ways, sets, 1, 0 }
#define SHARED_L2(ways, sets)       { CACHE_UNIFIED, 2, ways, sets, 0, 0 }
#define SHARED_L3(ways, sets, flags) { CACHE_UNIFIED, 3, ways, sets, 0, flags }
enum { INCLUSIVE = 2, COMPLEX_INDEX = 4, NO_WRITE_BACK_BELOW = 1 };

/* What stands for no particular processor. */
const X86Caches x86_caches_generic = {
    .leaf2 = { 1, 0, 0, 0x002c307d },
    .cache = { DATA(8, 64), CODE(8, 64), SHARED_L2(16, 4096) },
    .amd_l1_tlb = { 0x01ff01ff, 0x01ff01ff }, .amd_l2_tlb = { 0, 0x42004200 },
};
const X86Caches x86_caches_p6_512k = { .leaf2 = { 0x03020101, 0, 0, 0x0c040843 } };
const X86Caches x86_caches_p6_512k_4way_tlb = { .leaf2 = { 0x03020101, 0, 0, 0x0c040844 } };
const X86Caches x86_caches_k7 = {
    .cache = { DATA(2, 512), CODE(2, 512), OWN_L2(2, 4096) },
    .amd_l1_tlb = { 0x0408ff08, 0xff18ff10 }, .amd_l2_tlb = { 0, 0x41004100 },
};
const X86Caches x86_caches_atom = {
    .leaf2 = { 0x4fba5901, 0x0e3080c0, 0, 0 },
    .cache = { DATA(6, 64), CODE(8, 64), OWN_L2(8, 1024) },
};
const X86Caches x86_caches_yonah = {
    .leaf2 = { 0x02b3b001, 0x000000f0, 0, 0x2c04307d },
    .cache = { DATA(8, 64), CODE(8, 64), SHARED_L2(8, 4096) },
};
const X86Caches x86_caches_merom = {
    .leaf2 = { 0x05b0b101, 0x005657f0, 0, 0x2cb43049 },
    .cache = { DATA(8, 64), CODE(8, 64), SHARED_L2(16, 4096) },
};
const X86Caches x86_caches_penryn = {
    .leaf2 = { 0x05b0b101, 0x005657f0, 0, 0x2cb43048 },
    .cache = { DATA(8, 64), CODE(8, 64), SHARED_L2(12, 4096) },
};
const X86Caches x86_caches_nehalem = {
    .leaf2 = { 0x55035a01, 0x00f0b2e4, 0, 0x09ca212c },
    .cache = { DATA(8, 64), CODE(4, 128), OWN_L2(8, 512), SHARED_L3(16, 8192, INCLUSIVE) },
};
const X86Caches x86_caches_westmere = {
    .leaf2 = { 0x55035a01, 0x00f0b2ff, 0, 0x00ca0000 },
    .cache = { DATA(8, 64), CODE(4, 128), OWN_L2(8, 512), SHARED_L3(16, 12288, INCLUSIVE) },
};
const X86Caches x86_caches_sandybridge = {
    .leaf2 = { 0x76035a01, 0x00f0b0ff, 0, 0x00ca0000 },
    .cache = { DATA(8, 64), CODE(8, 64), OWN_L2(8, 512), SHARED_L3(12, 8192, INCLUSIVE | COMPLEX_INDEX) },
};
const X86Caches x86_caches_ivybridge = {
    .leaf2 = { 0x76035a01, 0x00f0b2ff, 0, 0x00ca0000 },
    .cache = { DATA(8, 64), CODE(8, 64), OWN_L2(8, 512), SHARED_L3(16, 8192, INCLUSIVE | COMPLEX_INDEX) },
};
const X86Caches x86_caches_haswell = {
    .leaf2 = { 0x76036301, 0x00f0b5ff, 0, 0x00c10000 },
    .cache = { DATA(8, 64), CODE(8, 64), OWN_L2(8, 512), SHARED_L3(16, 8192, INCLUSIVE | COMPLEX_INDEX) },
};
const X86Caches x86_caches_skylake = {
    .leaf2 = { 0x76036301, 0x00f0b6ff, 0, 0x00c30000 },
    .cache = { DATA(8, 64), CODE(8, 64), OWN_L2(4, 1024), SHARED_L3(12, 8192, INCLUSIVE | COMPLEX_INDEX) },
};
const X86Caches x86_caches_k10 = {
    .cache = { DATA(2, 512), CODE(2, 512), OWN_L2(16, 512), SHARED_L3(32, 1024, 0) },
    .amd_l1_tlb = { 0xff30ff10, 0xff30ff20 }, .amd_l2_tlb = { 0x20800000, 0x42004200 },
};
const X86Caches x86_caches_zen = {
    .cache = { DATA(8, 64), CODE(4, 256), { CACHE_UNIFIED, 2, 8, 1024, 1, INCLUSIVE }, { CACHE_UNIFIED, 3, 16, 8192, 4, NO_WRITE_BACK_BELOW } },
    .amd_l1_tlb = { 0xff40ff40, 0xff40ff40 }, .amd_l2_tlb = { 0x36006400, 0x56006400 },
};

enum { LINE = 64 };

static unsigned ceil_power_of_2(unsigned n)
{
    unsigned power = 1;

    while (power < n) {
        power *= 2;
    }
    return power;
}

void x86_cache_leaf(const X86Caches *c, uint32_t subleaf, unsigned threads, unsigned cores, bool amd, uint32_t out[4])
{
    const X86Cache *cache;
    unsigned sharers;

    if (subleaf >= sizeof(c->cache) / sizeof(c->cache[0]) || !c->cache[subleaf].level) {
        return;
    }
    cache = &c->cache[subleaf];
    sharers = threads * (cache->sharers && cache->sharers < cores ? cache->sharers : cores);
    out[0] = cache->type | cache->level << 5 | 1 << 8 | (ceil_power_of_2(sharers) - 1) << 14;
    if (!amd) {
        out[0] |= (ceil_power_of_2(cores) - 1) << 26;
    }
    out[1] = (cache->ways - 1u) << 22 | (LINE - 1);
    out[2] = cache->sets - 1;
    out[3] = cache->flags;
}

static unsigned associativity(unsigned ways)
{
    static const uint8_t codes[][2] = { { 96, 13 }, { 64, 12 }, { 48, 11 }, { 32, 10 }, { 16, 8 }, { 8, 6 }, { 4, 4 }, { 2, 2 }, { 1, 1 } };
    unsigned i = 0;

    while (codes[i][0] > ways) {
        i++;
    }
    return codes[i][1];
}

static const X86Cache *find(const X86Caches *c, unsigned type, unsigned level)
{
    for (const X86Cache *cache = c->cache; cache->level; cache++) {
        if (cache->type == type && cache->level == level) {
            return cache;
        }
    }
    return 0;
}

static uint32_t size_in_kb(const X86Cache *cache)
{
    return cache->ways * cache->sets * LINE / 1024;
}

static uint32_t level1(const X86Cache *cache)
{
    return cache ? size_in_kb(cache) << 24 | cache->ways << 16 | 1 << 8 | LINE : 0;
}

void x86_cache_leaf_amd(const X86Caches *c, unsigned level, bool amd, uint32_t out[4])
{
    const X86Cache *l2 = find(c, CACHE_UNIFIED, 2), *l3 = find(c, CACHE_UNIFIED, 3);

    if (level == 1 && amd) {
        out[0] = c->amd_l1_tlb[0];
        out[1] = c->amd_l1_tlb[1];
        out[2] = level1(find(c, CACHE_DATA, 1));
        out[3] = level1(find(c, CACHE_CODE, 1));
    } else if (level == 2 && l2) {
        /* Intel's tell of the second level alone, without lines per tag. */
        out[2] = size_in_kb(l2) << 16 | associativity(l2->ways) << 12 | (amd ? 1 << 8 : 0) | LINE;
        if (amd) {
            out[0] = c->amd_l2_tlb[0];
            out[1] = c->amd_l2_tlb[1];
            out[3] = l3 ? size_in_kb(l3) / 512 << 18 | associativity(l3->ways) << 12 | 1 << 8 | LINE : 0;
        }
    }
}
