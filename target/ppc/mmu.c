/* Address translation: what all MMUs share, and real mode. */
#include "target/ppc/mmu.h"
#include "target/ppc/booke.h"
#include "util/bits.h"

bool ppc_mmu_fault(PpcState *s, uint32_t vector, uint64_t flags)
{
    s->fault_vector = vector;
    s->fault_flags = flags;
    return false;
}

uint8_t *ppc_table(PpcState *s, PhysAddr addr, unsigned size)
{
    PpcTableRam *t = &s->table_ram;
    uint64_t generation = memory_generation();
    MemoryRange range;

    if (G_LIKELY(t->generation == generation && addr - t->start < t->size && t->size - (addr - t->start) >= size)) {
        return t->host + (addr - t->start);
    }
    tcg_fp_sync(s);
    range = address_space_find(s->hot.cpu->memory, addr);
    if (!range.ram || range.readonly || range.last - addr < size - 1) {
        return NULL;
    }
    *t = (PpcTableRam){ generation, range.start, range.last - range.start + 1, range.ram, range.offset,
                        range.ram->host + range.offset };
    return t->host + (addr - t->start);
}

void ppc_table_written(PpcState *s, PhysAddr addr, unsigned size)
{
    PpcTableRam *t = &s->table_ram;
    uint64_t offset = t->offset + (addr - t->start);

    if (G_UNLIKELY(__atomic_load_n((uint8_t *)&t->ram->page_flags[offset >> GUEST_PAGE_BITS], __ATOMIC_RELAXED))) {
        tcg_fp_sync(s);
        ram_mark_dirty(t->ram, offset, size);
    }
}

static bool real_walk(PpcState *s, VirtAddr addr, MmuResult *out)
{
    /* Some bits of real addresses are ignored, and the hypervisor's top bit says "uncached" (Book III, 6.7.3). */
    uint64_t mask = ppc_isa(s, ISA_64) ? UINT64_C(0x0fffffffffffffff) : UINT32_MAX;

    *out = (MmuResult){ .phys = addr & mask & ~(uint64_t)(GUEST_PAGE_SIZE - 1), .page_size = GUEST_PAGE_SIZE,
                        .readable = true, .writable = true, .executable = true, .global = true };
    return true;
}

static bool walk(PpcState *s, VirtAddr addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out)
{
    if (ppc_isa(s, ISA_BOOKE)) {
        return ppc_walk_booke(s, addr, access, mode, debug, out);
    }
    if (debug && access == MMU_LOAD && mode != MMU_REAL && !(s->msr & MSR_DR)) {
        mode = MMU_REAL;
    }
    if (mode == MMU_REAL || mode == MMU_FETCH_REAL) {
        return real_walk(s, addr, out);
    }
    if (ppc_radix_on(s)) {
        return ppc_walk_radix(s, addr, access, mode, debug, out);
    }
    switch (s->model->mmu) {
    case PPC_MMU_32:
    case PPC_MMU_603:
        return ppc_walk_32(s, addr, access, mode, debug, out);
    case PPC_MMU_HASH64:
    case PPC_MMU_RADIX: /* which can do both */
        return ppc_walk_hash64(s, addr, access, mode, debug, out);
    default:
        return real_walk(s, addr, out);
    }
}

static bool is_of_process(const PpcState *s, unsigned data_mode)
{
    return ppc_isa(s, ISA_BOOKE) ? data_mode & 1 : data_mode == MMU_USER;
}

/*
 * dcbz on a page that is caching inhibited or written through is an alignment interrupt. Code compares its addresses with the range that
 * has all such pages that accesses have met, which is cheap, as kernels map devices together. The first access to one outside of it
 * begins again, lest it be a dcbz that has compared already.
 */
static bool meet_page(PpcState *s, VirtAddr addr, unsigned mode)
{
    PpcRange *range = &s->uncached[is_of_process(s, mode)];
    uint64_t page = addr & ~(uint64_t)(GUEST_PAGE_SIZE - 1), last = range->start + range->size - 1;

    if (!s->page_uncached || page - range->start < range->size) {
        return true;
    }
    if (range->size) {
        last = MAX(last, page + GUEST_PAGE_SIZE - 1);
        range->start = MIN(range->start, page);
        range->size = MIN(last - range->start, UINT64_MAX - 1) + 1; /* of everything one byte less: no line begins there */
    } else {
        *range = (PpcRange){ page, GUEST_PAGE_SIZE };
    }
    return ppc_mmu_fault(s, FAULT_AGAIN, 0);
}

bool ppc_walk(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out)
{
    PpcState *s = ppc_state(cpu);

    s->page_uncached = false;
    return walk(s, addr, access, mode, debug, out) && (debug || access == MMU_FETCH || meet_page(s, addr, mode));
}

/*
 * HID0 of the 603 to 7450: the data cache is off, or locked (MPC7400 RISC Microprocessor User's Manual, 3.5.3.3). L1CSR0 of the e500: it is
 * off (PowerPC e500 Core Family Reference Manual, 2.11.1).
 */
static bool cache_is_off(const PpcState *s)
{
    enum { DCE = 0x4000, DLOCK = 0x1000, L1CSR0_CE = 1 };

    if (ppc_isa(s, ISA_E500)) {
        return !(s->spr[SPR_L1CSR0] & L1CSR0_CE);
    }
    return ppc_isa(s, ISA_CLASSIC) && (s->spr[SPR_HID0] & (DCE | DLOCK)) != DCE;
}

/* When no entry of the engine's tables is left. */
void ppc_forget_uncached(PpcState *s)
{
    s->uncached[0] = s->uncached[1] = (PpcRange){ 0, cache_is_off(s) ? UINT64_MAX : 0 };
}

/* After HID0 has changed. */
void ppc_caches_changed(PpcState *s)
{
    if (cache_is_off(s) != (s->uncached[0].size == UINT64_MAX)) {
        engine.flush_all(s->hot.cpu);
        ppc_forget_uncached(s);
    }
}

/* A dcbz in PpcState.uncached: of a line, its address. */
uint64_t ppc_helper_dcbz(PpcState *s, uint64_t addr, uint64_t line, uint64_t ea, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    unsigned mode = ppc_data_mode(s);
    MmuResult page;

    if (ppc_walk(s->hot.cpu, addr, MMU_STORE, mode, true, &page) && (s->page_uncached || cache_is_off(s))) {
        engine.probe(s->hot.cpu, addr, line, MMU_STORE, mode, ra); /* what else may be wrong */
        tcg_restore(s, ra);
        ppc_raise_alignment(s->hot.cpu, ea, true);
    }
    for (uint64_t i = 0; i < line; i += 8) {
        engine.store(s->hot.cpu, addr + i, 0, 8, mode, ra);
    }
    return 0;
}

void ppc_check_cached(PpcState *s, uint64_t addr, MmuAccess access, uint32_t dsisr, uintptr_t ra)
{
    unsigned mode = ppc_data_mode(s), wrong = ppc_isa(s, ISA_CLASSIC) ? PPC_WRITE_THROUGH : PPC_WRITE_THROUGH | PPC_INHIBITED;
    const PpcRange *range = &s->uncached[is_of_process(s, mode)];
    MmuResult page;

    if (addr - range->start >= range->size || mode == MMU_REAL || ppc_isa(s, ISA_BOOKE)) {
        return;
    }
    engine.probe(s->hot.cpu, addr, 1, access, mode, ra); /* what else may be wrong */
    if (ppc_walk(s->hot.cpu, addr, access, mode, true, &page) && s->page_uncached & wrong) {
        tcg_restore(s, ra);
        s->spr[SPR_DAR] = addr;
        s->spr[SPR_DSISR] = dsisr | (access == MMU_STORE ? FAULT_STORE : 0);
        ppc_raise(s, PPC_DSI, 0, 0);
    }
}

/*
 * Reservations (and with them, since 2.03, quadwords and atomic memory operations) are for memory that is cached: DSISR's bit for it is that
 * of direct-store segments (Book III, "Data Storage Interrupt"). The 603 to 7450 take pages that are inhibited, as they tell the bus
 * (MPC7400 RISC Microprocessor User's Manual, 4.6.3). Book E leaves it to the implementation; nothing there.
 */
void ppc_check_reservable(PpcState *s, uint64_t addr, MmuAccess access, uintptr_t ra)
{
    ppc_check_cached(s, addr, access, FAULT_DIRECT, ra);
}

uint64_t ppc_helper_check_reservable(PpcState *s, uint64_t addr, uint64_t size, uint64_t access, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);

    if (addr & (size - 1)) {
        tcg_restore(s, ra);
        ppc_raise_alignment(s->hot.cpu, addr, access == MMU_STORE);
    }
    ppc_check_reservable(s, addr, access, ra);
    return 0;
}

void ppc_raise_mmu_fault(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode)
{
    PpcState *s = ppc_state(cpu);

    if (s->fault_vector == FAULT_AGAIN) {
        ppc_begin_again(s);
        tcg_unwind(s, TCG_EXIT_LOOKUP);
    }
    if (ppc_isa(s, ISA_BOOKE)) {
        ppc_raise_fault_booke(s, addr, access);
    }
    if (!s->fault_vector) {
        ppc_raise_miss_603(s, addr, access);
    }
    if (access == MMU_FETCH) {
        ppc_raise(s, s->fault_vector == PPC_DSEG ? PPC_ISEG : PPC_ISI, s->fault_flags & ~(uint64_t)FAULT_STORE, 0);
    }
    s->spr[SPR_DAR] = addr;
    if (s->fault_vector != PPC_DSEG) {
        s->spr[SPR_DSISR] = s->fault_flags;
    }
    ppc_raise(s, s->fault_vector, 0, 0);
}

bool ppc_instruction_at(PpcState *s, uint64_t pc, uint32_t *word)
{
    MmuResult page;
    uint8_t *at;

    if (!ppc_walk(s->hot.cpu, pc, MMU_FETCH, ppc_fetch_mode(s), true, &page)) {
        return false;
    }
    at = ppc_table(s, mmu_phys(&page, pc), 4);
    *word = !at ? 0 : s->msr & MSR_LE ? load_le32(at) : load_be32(at);
    return at;
}

/* DSISR of an alignment interrupt: opcode and registers of the instruction (PEM, 6.4.6; Power ISA 2.07, Book III-S, 6.5.8). */
static uint32_t alignment_dsisr(uint32_t word)
{
    unsigned op = word >> 26;
    uint32_t registers = word >> 16 & 0x3ff;

    if (op == 31) { /* X-form: bits 29 and 30, 25, 21 to 24 */
        return registers | (word >> 1 & 3) << 15 | (word >> 6 & 1) << 14 | (word >> 7 & 15) << 10;
    }
    return registers | (op == 58 || op == 62 ? (word & 3) << 18 : 0) | (op & 1) << 14 | (op >> 1 & 15) << 10;
}

void ppc_raise_alignment(Cpu *cpu, VirtAddr addr, bool is_store)
{
    PpcState *s = ppc_state(cpu);
    uint32_t word;

    if (ppc_isa(s, ISA_BOOKE)) {
        s->spr[SPR_DEAR] = addr;
        ppc_raise(s, PPC_ALIGN, is_store ? ESR_ST : 0, 0);
    }
    s->spr[SPR_DAR] = addr;
    if (!ppc_isa(s, ISA_V300)) { /* which leave it alone */
        s->spr[SPR_DSISR] = ppc_instruction_at(s, s->pc, &word) ? alignment_dsisr(word) : 0;
    }
    ppc_raise(s, PPC_ALIGN, 0, 0);
}

uint64_t ppc_space_id(PpcState *s)
{
    if (ppc_radix_on(s)) {
        return ppc_space_radix(s);
    }
    if (ppc_isa(s, ISA_BOOKE)) {
        return ppc_space_booke(s);
    }
    return ppc_isa(s, ISA_CLASSIC) ? ppc_space_32(s) : ppc_isa(s, ISA_SLB) ? ppc_space_hash64(s) : 1;
}

void ppc_mmu_reset(PpcState *s)
{
    if (ppc_isa(s, ISA_SLB)) {
        ppc_reset_hash64(s);
    }
    if (s->model->mmu == PPC_MMU_603) { /* its TLB is not in snapshots: software loads it again */
        ppc_reset_603(s);
    }
    s->bats_changed = true;
    s->space_id = ppc_space_id(s);
    s->sr_changed = false;
}

/* Of processors without an SLB. */
uint64_t ppc_helper_mtsr_32(PpcState *s, uint64_t n, uint64_t value, uint64_t c, uint64_t d)
{
    s->sr_changed |= s->sr[n & 15] != (uint32_t)value;
    s->sr[n & 15] = (uint32_t)value;
    return 0;
}

uint64_t ppc_helper_mtsr(PpcState *s, uint64_t n, uint64_t value, uint64_t c, uint64_t d)
{
    ppc_helper_mtsr_32(s, n, value, c, d);
    ppc_write_sr_hash64(s, n & 15, value);
    return 0;
}

uint64_t ppc_helper_mfsr(PpcState *s, uint64_t n, uint64_t b, uint64_t c, uint64_t d)
{
    return s->sr[n & 15];
}

uint64_t ppc_helper_tlbie(PpcState *s, uint64_t addr, uint64_t word, uint64_t c, uint64_t d)
{
    if (ppc_isa(s, ISA_CLASSIC)) {
        ppc_tlbie_32(s, addr);
    } else if (ppc_radix_on(s)) {
        ppc_tlbie_radix(s, addr, s->gpr[word >> 21 & 31], word);
    } else {
        ppc_tlbie_hash64(s, addr, word);
    }
    return 0;
}

uint64_t ppc_helper_tlbia(PpcState *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (s->model->mmu == PPC_MMU_603) {
        ppc_reset_603(s);
    }
    engine.flush_all_everywhere(s->hot.cpu);
    return 0;
}

uint64_t ppc_helper_tlbld(PpcState *s, uint64_t addr, uint64_t is_insn, uint64_t c, uint64_t d)
{
    ppc_load_tlb_603(s, addr, is_insn);
    return 0;
}

void ppc_invalidate_virtual_page(Cpu *cpu, uint64_t rb)
{
    ppc_tlbie_hash64(ppc_state(cpu), rb, 0);
}
