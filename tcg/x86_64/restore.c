/*
 * Finding and leaving: the state after a fault, unwinding, and the FP state. Runs with guest vector
 * and x87 state in the host's registers.
 */
#include "backend.h"
#include "tcg/interp.h"
#include "tcg/pic.h"

TcgSites *tcg_sites(void *state)
{
    return (TcgSites *)((uint8_t *)state + AREA_SITES);
}

static void clear_site(TcgSite *site)
{
    site->page = backend.empty_site;
    site->limit = 0;
    site->addend = 0; /* whoever guesses the page is nowhere, and not near the page that was here before */
}

void tcg_sites_clear(TcgSites *sites)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(sites->empty); k++) {
        TcgSite *first = &sites->site[k * TCG_SITE_GROUP];

        for (TcgSite *site = first; !sites->empty[k] && site < first + TCG_SITE_GROUP; site++) {
            clear_site(site);
        }
        sites->empty[k] = 1;
    }
}

/* Where a run ends is not known exactly here. */
void tcg_sites_drop_page(TcgSites *sites, uint64_t page)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(sites->empty); k++) {
        TcgSite *first = &sites->site[k * TCG_SITE_GROUP];

        for (TcgSite *site = first; !sites->empty[k] && site < first + TCG_SITE_GROUP; site++) {
            if (page - site->page < site->limit + 4096) {
                clear_site(site);
            }
        }
    }
}

void tcg_sites_init(TcgSites *sites)
{
    sites->tired = NULL;
    for (unsigned k = 0; k < G_N_ELEMENTS(sites->empty); k++) {
        sites->empty[k] = 0;
    }
    tcg_sites_clear(sites);
}

static uint64_t get_varint(const uint8_t **p)
{
    uint64_t v = 0;
    unsigned shift = 0;

    while (**p & 0x80) {
        v |= (uint64_t)(*(*p)++ & 0x7f) << shift;
        shift += 7;
    }
    return v | (uint64_t)*(*p)++ << shift;
}

static int64_t get_signed(const uint8_t **p)
{
    uint64_t v = get_varint(p);

    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static void store_slot(uint8_t *state, unsigned slot, uint64_t value)
{
    uint8_t *home = state + backend.target.slots[slot].offset;

    switch (ir_type_size(backend.target.slots[slot].type)) {
    case 1: *home = value; break;
    case 2: *(uint16_t *)home = value; break;
    case 4: *(uint32_t *)home = value; break;
    default: *(uint64_t *)home = value;
    }
}

/* What register r held when translated code was left: the thunks saved it. */
static uint64_t saved_register(const uint8_t *state, unsigned r)
{
    int slot = backend.reg_slot[r];

    if (slot >= 0) {
        return *(const uint64_t *)(state + backend.target.slots[slot].offset);
    }
    return *(const uint64_t *)(state + AREA_REGS + 8 * (int)r);
}

static uint64_t low_bytes(uint64_t value, unsigned size)
{
    return size < 8 ? value & ((1ull << size * 8) - 1) : value;
}

static uint64_t restore_place(uint8_t *state, const uint8_t **p, bool store);

/* A postponed order of three places, what ir_eval() computes. */
static uint64_t restore_order(uint8_t *state, const uint8_t **p, unsigned size, bool is_signed)
{
    unsigned unused = 64 - 8 * size;
    uint64_t a = restore_place(state, p, false) << unused, b = restore_place(state, p, false) << unused, add = restore_place(state, p, false);
    bool less = is_signed ? (int64_t)a < (int64_t)b : a < b;

    return (less ? 8 : a == b ? 2 : 4) + add;
}

/* Decodes one place and returns its value; stores the slot if asked. */
static uint64_t restore_place(uint8_t *state, const uint8_t **p, bool store)
{
    uint64_t head = get_varint(p);
    unsigned size = head >> 8;
    uint64_t value = 0;

    switch ((PlaceKind)(head >> 6 & 3)) {
    case PLACE_REG: {
        unsigned r = get_varint(p);

        value = saved_register(state, r);
        break;
    }
    case PLACE_CONST:
        value = get_varint(p);
        break;
    case PLACE_MEM: {
        int64_t disp = get_signed(p);

        value = *(const uint64_t *)(state + disp);
        break;
    }
    case PLACE_ORDER:
        value = restore_order(state, p, size >> 1, size & 1);
        size = 1;
        break;
    }
    value = low_bytes(value, size);
    if (store) {
        store_slot(state, head & 63, value);
    }
    return value;
}

bool tcg_restore(void *state, uintptr_t host_pc)
{
    const HostBlock *block;
    const uint8_t *p;
    uint32_t offset = 0;
    uint64_t pc = 0, records;

    if (!tcg_is_code(host_pc)) {
        return false;
    }
    block = backend.runtime.find_block(host_pc);
    if (!block) {
        return false;
    }
    p = block->fault_map;
    for (records = get_varint(&p); records; records--) {
        bool here;
        uint64_t places;

        offset += get_signed(&p);
        pc += get_signed(&p);
        here = block->code + offset == (const uint8_t *)host_pc;
        for (places = get_varint(&p); places; places--) {
            restore_place(state, &p, here);
        }
        if (here) {
            store_slot(state, backend.target.pc_slot, pic_pc(block->pic_bits, state, pc));
            return true;
        }
    }
    return false;
}

uintptr_t tcg_caller_pc(void *state)
{
    return tcg_interp_active() ? 0 : *(uintptr_t *)((uint8_t *)state + AREA_RETURN);
}

static void store_upper_halves(uint8_t *to)
{
#define STORE(n) __asm__ volatile("vextractf128 $1, %%ymm" #n ", %0" : "=m"(*(uint8_t (*)[16])(to + 16 * (n))));
    STORE(0) STORE(1) STORE(2) STORE(3) STORE(4) STORE(5) STORE(6) STORE(7)
    STORE(8) STORE(9) STORE(10) STORE(11) STORE(12) STORE(13) STORE(14) STORE(15)
#undef STORE
    __asm__ volatile("vzeroupper");
}

void tcg_fp_sync(void *state)
{
    CpuHot *hot = state;
    static const uint32_t default_mxcsr = MXCSR_DEFAULT;

    if (hot->fp_loaded == FP_LOADED_NOTHING) {
        return;
    }
    if (backend.target.use_fp_traps) {
        __asm__ volatile("ldmxcsr %0" : : "m"(default_mxcsr) : "memory");
        hot->fp_loaded = FP_LOADED_NOTHING;
        return;
    }
    if (hot->fp_loaded == FP_LOADED_YMM) {
        store_upper_halves((uint8_t *)state + backend.target.ymm_offset);
    }
    __asm__ volatile("fxsave64 (%0); fninit; ldmxcsr %1"
                     : : "r"((uint8_t *)state + backend.target.fxsave_offset), "m"(default_mxcsr) : "memory");
    hot->fp_loaded = FP_LOADED_NOTHING;
}

void tcg_unwind(void *state, TcgExit why)
{
    tcg_interp_unwind(why);
    tcg_fp_sync(state);
    backend.unwind(state, why);
}
