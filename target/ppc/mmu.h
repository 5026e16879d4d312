/* What the files of the MMUs share. */
#ifndef TARGET_PPC_MMU_H
#define TARGET_PPC_MMU_H

#include "target/ppc/internal.h"

/* Why a walk failed: DSISR has these bits, and SRR1 of instruction storage interrupts most of them. */
enum {
    FAULT_NO_PAGE = 0x40000000, FAULT_PROTECTION = 0x08000000, FAULT_DIRECT = 0x04000000, FAULT_STORE = 0x02000000,
    FAULT_NO_EXECUTE = 0x10000000, FAULT_KEY = 0x00200000, FAULT_BAD_TABLE = 0x00080000,
};
/* PpcState.fault_vector: there is no fault, the instruction begins again. */
enum { FAULT_AGAIN = 1 };

/* Notes the fault for ppc_raise_mmu_fault; false. vector: PPC_DSI or PPC_DSEG, their instruction forms are derived. */
bool ppc_mmu_fault(PpcState *s, uint32_t vector, uint64_t flags);
/* The same of data storage interrupts; FAULT_STORE comes with the access. */
static inline bool ppc_mmu_fault_dsi(PpcState *s, MmuAccess access, uint64_t flags)
{
    return ppc_mmu_fault(s, PPC_DSI, flags | (access == MMU_STORE ? FAULT_STORE : 0));
}

/* Host memory behind a table in guest RAM, `size` bytes (within 64 KiB) from addr on; NULL if that is no RAM. */
uint8_t *ppc_table(PpcState *s, PhysAddr addr, unsigned size);
void ppc_table_written(PpcState *s, PhysAddr addr, unsigned size); /* after a store to it */

/*
 * Pages of 64 KiB, Linux' usual ones, are 16 of 4 KiB to the engine, and flushed as such: it keeps no track of single larger
 * ones, but drops a whole space for each.
 */
static inline uint64_t ppc_engine_page(unsigned shift)
{
    return shift == 16 ? GUEST_PAGE_SIZE : UINT64_C(1) << shift;
}

/* PpcUncached of W and I, which are where they are in page table entries and BATs. */
static inline uint8_t ppc_uncached(uint32_t wimg)
{
    enum { W = 0x40, I = 0x20 };

    return (wimg & W ? PPC_WRITE_THROUGH : 0) | (wimg & I ? PPC_INHIBITED : 0);
}

bool ppc_walk_32(PpcState *s, uint32_t addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out);
uint64_t ppc_space_32(PpcState *s);
void ppc_tlbie_32(PpcState *s, uint32_t addr);
bool ppc_walk_hash64(PpcState *s, uint64_t addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out);
uint64_t ppc_space_hash64(PpcState *s);
void ppc_tlbie_hash64(PpcState *s, uint64_t rb, uint32_t word);
void ppc_write_sr_hash64(PpcState *s, unsigned n, uint32_t value);
void ppc_reset_hash64(PpcState *s);
bool ppc_walk_radix(PpcState *s, uint64_t addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out);
uint64_t ppc_space_radix(const PpcState *s);
void ppc_tlbie_radix(PpcState *s, uint64_t rb, uint64_t rs, uint32_t insn); /* and tlbiel */
/* 603: the software's TLB. */
void ppc_reset_603(PpcState *s); /* empties it */
void ppc_load_tlb_603(PpcState *s, uint32_t addr, bool is_insn);
void ppc_raise_miss_603(PpcState *s, uint32_t addr, MmuAccess access) G_GNUC_NORETURN;

static inline bool mode_is_user(unsigned mode)
{
    return mode == MMU_USER || mode == MMU_FETCH_USER;
}

/* Data storage interrupt with this bit of DSISR, if an address is on a page that is not cached as usual. */
void ppc_check_cached(PpcState *s, uint64_t addr, MmuAccess access, uint32_t dsisr, uintptr_t ra);

#endif
