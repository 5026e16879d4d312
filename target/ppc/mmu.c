/* Address translation: what all MMUs share, and real mode. */
#include "target/ppc/mmu.h"

unsigned ppc_data_mode(const PpcState *s)
{
    return !(s->msr & MSR_DR) ? MMU_REAL : s->msr & MSR_PR ? MMU_USER : MMU_KERNEL;
}

unsigned ppc_fetch_mode(const PpcState *s)
{
    return !(s->msr & MSR_IR) ? MMU_FETCH_REAL : s->msr & MSR_PR ? MMU_FETCH_USER : MMU_FETCH_KERNEL;
}

static bool real_walk(PpcState *s, VirtAddr addr, MmuResult *out)
{
    /* Some bits of real addresses are ignored, and the hypervisor's top bit says "uncached" (Book III, 6.7.3). */
    uint64_t mask = ppc_isa(s, ISA_64) ? UINT64_C(0x0fffffffffffffff) : UINT32_MAX;

    *out = (MmuResult){ .phys = addr & mask & ~(uint64_t)(GUEST_PAGE_SIZE - 1), .page_size = GUEST_PAGE_SIZE,
                        .readable = true, .writable = true, .executable = true };
    return true;
}

bool ppc_walk(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out)
{
    PpcState *s = ppc_state(cpu);

    if (debug && access == MMU_LOAD && mode != MMU_REAL && !(s->msr & MSR_DR)) {
        mode = MMU_REAL;
    }
    if (mode == MMU_REAL || mode == MMU_FETCH_REAL) {
        return real_walk(s, addr, out);
    }
    switch (s->model->mmu) {
    default:
        return real_walk(s, addr, out);
    }
}

void ppc_raise_mmu_fault(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode)
{
    PpcState *s = ppc_state(cpu);

    if (access == MMU_FETCH) {
        ppc_raise(s, PPC_ISI, 0x40000000, 0);
    }
    s->spr[SPR_DAR] = addr;
    s->spr[SPR_DSISR] = 0x40000000 | (access == MMU_STORE ? 0x02000000 : 0);
    ppc_raise(s, PPC_DSI, 0, 0);
}

/* DSISR of alignment interrupts is derived from the instruction, which software reads itself if it wants it. */
void ppc_raise_alignment(Cpu *cpu, VirtAddr addr, bool is_store)
{
    PpcState *s = ppc_state(cpu);

    s->spr[SPR_DAR] = addr;
    s->spr[SPR_DSISR] = 0;
    ppc_raise(s, PPC_ALIGN, 0, 0);
}

uint64_t ppc_space_id(PpcState *s)
{
    return 1;
}

void ppc_mmu_init(PpcState *s)
{
}

void ppc_mmu_reset(PpcState *s)
{
    s->space_id = ppc_space_id(s);
    s->sr_changed = false;
}

uint64_t ppc_helper_mtsr(PpcState *s, uint64_t n, uint64_t value, uint64_t c, uint64_t d)
{
    s->sr_changed |= s->sr[n & 15] != (uint32_t)value;
    s->sr[n & 15] = (uint32_t)value;
    return 0;
}

uint64_t ppc_helper_mfsr(PpcState *s, uint64_t n, uint64_t b, uint64_t c, uint64_t d)
{
    return s->sr[n & 15];
}

uint64_t ppc_helper_tlbie(PpcState *s, uint64_t addr, uint64_t word, uint64_t c, uint64_t d)
{
    engine.flush_all(s->hot.cpu);
    return 0;
}

uint64_t ppc_helper_tlbia(PpcState *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    engine.flush_all(s->hot.cpu);
    return 0;
}

uint64_t ppc_helper_tlbld(PpcState *s, uint64_t addr, uint64_t is_insn, uint64_t c, uint64_t d)
{
    return 0;
}

uint64_t ppc_helper_slb(PpcState *s, uint64_t op, uint64_t rs, uint64_t rb, uint64_t d)
{
    return 0;
}
