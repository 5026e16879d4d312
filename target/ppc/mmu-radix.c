/*
 * Radix tree translation of POWER9 and later, for a partition whose hypervisor is the board.
 *
 * Power ISA 3.0B, Book III, 5.7.6 (quadrants), 5.7.10 (process and radix tables), 5.7.11 and 5.7.12 (access and its
 * recording). The process table's place, which the partition registered, is in PTCR. Partition-scoped translation is one
 * to one: real addresses of the partition are those of the machine.
 */
#include "target/ppc/mmu.h"

#include "util/bits.h"

#define LPCR_HR (UINT64_C(1) << 20)
#define QUADRANT(addr) ((addr) >> 62)
#define NO_ADDRESS  UINT64_C(0x3ff0000000000000) /* bits 2 to 11 of an effective address, which are zero (5.7.6) */
#define TABLE_BASE  UINT64_C(0x0ffffffffffff000)
#define TABLE_SIZE  UINT64_C(0x1f)
#define ENTRY_BASE  UINT64_C(0x0fffffffffffff00) /* of the next level */
#define ENTRY_SIZE  UINT64_C(0x1f)               /* log2 of its entries */
#define ENTRY_VALID (UINT64_C(1) << 63)
#define ENTRY_LEAF  (UINT64_C(1) << 62)
#define PAGE_NUMBER UINT64_C(0x01fffffffffff000)
enum { PTE_REF = 0x100, PTE_CHANGE = 0x80, PTE_ATTRIBUTES = 0x30, PTE_PRIVILEGED = 8, PTE_READ = 4, PTE_WRITE = 2, PTE_EXEC = 1 };
enum { ATTRIBUTE_GUARDED = 0x20 }; /* non-idempotent or tolerant I/O: no instructions are fetched from it */
enum { SMALLEST = 12, PROCESS_ENTRY = 16 };
/* Key 0, the only one, is for problem state's pages in privileged state: its bits of AMR make MMU modes, and no execution. */
#define IAMR_KEY0 (UINT64_C(1) << 62)
#define WORLD (UINT64_C(1) << 32)     /* a bit of space ids that no other kind of translation has */

/* 0, which is no valid entry, where there is no memory. */
static uint64_t read_entry(PpcState *s, PhysAddr addr)
{
    uint8_t *entry = ppc_table(s, addr & ~UINT64_C(7), 8);

    return entry ? __builtin_bswap64(__atomic_load_n((uint64_t *)entry, __ATOMIC_RELAXED)) : 0;
}

/* Sets bits in an entry that still has the value `old`; false: it has another by now. */
static bool set_bits(PpcState *s, PhysAddr addr, uint64_t old, uint64_t bits)
{
    uint8_t *entry = ppc_table(s, addr & ~UINT64_C(7), 8);
    uint64_t expected = __builtin_bswap64(old);

    if (entry && !__atomic_compare_exchange_n((uint64_t *)entry, &expected, __builtin_bswap64(old | bits), false,
                                              __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
        return false;
    }
    if (entry) {
        ppc_table_written(s, addr & ~UINT64_C(7), 8);
    }
    return true;
}

bool ppc_radix_on(const PpcState *s)
{
    return s->model->mmu == PPC_MMU_RADIX && (s->spr[SPR_LPCR] & LPCR_HR);
}

uint64_t ppc_space_radix(const PpcState *s)
{
    return WORLD | (uint32_t)s->spr[SPR_PID];
}

typedef struct Leaf {
    PhysAddr at; /* of its entry */
    uint64_t entry;
    unsigned bits; /* log2 of the page's size */
} Leaf;

/* From the process table to the entry of the page. store: what a fault says of the access. */
static bool find_leaf(PpcState *s, VirtAddr addr, uint32_t store, Leaf *leaf)
{
    uint64_t table = s->spr[SPR_PTCR], pid = QUADRANT(addr) == 3 ? 0 : (uint32_t)s->spr[SPR_PID];
    uint64_t entry, base;
    unsigned left, size;

    if (pid * PROCESS_ENTRY >= UINT64_C(4096) << (table & TABLE_SIZE)) {
        return ppc_mmu_fault(s, PPC_DSI, FAULT_BAD_TABLE | store);
    }
    entry = read_entry(s, (table & TABLE_BASE) + pid * PROCESS_ENTRY);
    base = entry & ENTRY_BASE;
    size = entry & ENTRY_SIZE;
    left = ((entry >> 61 & 3) << 3 | (entry >> 5 & 7)) + 31;
    if (size < 5) {
        return ppc_mmu_fault(s, PPC_DSI, (size ? FAULT_BAD_TABLE : FAULT_NO_PAGE) | store);
    }
    for (;;) {
        if (size > left || left - size < SMALLEST) {
            return ppc_mmu_fault(s, PPC_DSI, FAULT_BAD_TABLE | store);
        }
        leaf->at = base + (addr << (64 - left) >> (64 - size)) * 8;
        left -= size;
        entry = read_entry(s, leaf->at);
        if (!(entry & ENTRY_VALID)) {
            return ppc_mmu_fault(s, PPC_DSI, FAULT_NO_PAGE | store);
        }
        if (entry & ENTRY_LEAF) {
            leaf->entry = entry;
            leaf->bits = left;
            return true;
        }
        base = entry & ENTRY_BASE;
        size = entry & ENTRY_SIZE;
        if (size < 5) {
            return ppc_mmu_fault(s, PPC_DSI, FAULT_BAD_TABLE | store);
        }
    }
}

static void set_rights(const PpcState *s, uint64_t entry, unsigned mode, MmuResult *out)
{
    bool user = mode_is_user(mode), keyed = mode >= MMU_KERNEL_NO_LOADS && !(entry & PTE_PRIVILEGED);
    bool denied = user && (entry & PTE_PRIVILEGED);
    bool guarded = (entry & PTE_ATTRIBUTES) >= ATTRIBUTE_GUARDED;

    out->readable = !denied && !(keyed && mode != MMU_KERNEL_NO_STORES) && (entry & (PTE_READ | PTE_WRITE));
    out->writable = !denied && !(keyed && mode != MMU_KERNEL_NO_LOADS) && (entry & PTE_WRITE);
    out->executable = !denied && (entry & PTE_EXEC) && !guarded &&
                      (user || (entry & PTE_PRIVILEGED) || !(s->spr[SPR_IAMR] & IAMR_KEY0));
}

bool ppc_walk_radix(PpcState *s, VirtAddr addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out)
{
    uint32_t store = access == MMU_STORE ? FAULT_STORE : 0;
    uint64_t wanted = PTE_REF | (access == MMU_STORE ? PTE_CHANGE : 0), within;
    Leaf leaf = { 0 };

    if (QUADRANT(addr) == 1 || QUADRANT(addr) == 2 || (addr & NO_ADDRESS)) {
        return ppc_mmu_fault(s, PPC_DSEG, 0);
    }
    do {
        if (!find_leaf(s, addr, store, &leaf)) {
            return false;
        }
        set_rights(s, leaf.entry, mode, out);
        if (!debug && !(access == MMU_FETCH ? out->executable : access == MMU_STORE ? out->writable : out->readable)) {
            return ppc_mmu_fault(s, PPC_DSI, access == MMU_FETCH && !(leaf.entry & PTE_EXEC) ? FAULT_NO_EXECUTE
                                                                                            : FAULT_PROTECTION | store);
        }
    } while (!debug && (leaf.entry & wanted) != wanted && !set_bits(s, leaf.at, leaf.entry, wanted));
    out->writable &= (leaf.entry & PTE_CHANGE) || access == MMU_STORE;
    s->page_uncached = (leaf.entry & PTE_ATTRIBUTES) >= ATTRIBUTE_GUARDED ? PPC_INHIBITED : 0;
    within = (UINT64_C(1) << leaf.bits) - 1;
    out->page_size = ppc_engine_page(leaf.bits);
    out->phys = (leaf.entry & PAGE_NUMBER & ~within) | (addr & within & ~(uint64_t)(GUEST_PAGE_SIZE - 1));
    out->global = QUADRANT(addr) == 3;
    return true;
}

/* ---- invalidation (5.10.1 of Book III) ---- */

static bool is_local(uint32_t insn)
{
    return (insn >> 1 & 0x3ff) == 274; /* tlbiel */
}

/* Software empties a processor's TLB set by set: all entries are in the first. */
static unsigned tlbiel_set(uint64_t rb)
{
    return rb >> 12 & 0xfff;
}

/* What the page walk caches alone (RIC 1) is nothing here. */
void ppc_tlbie_radix(PpcState *s, uint64_t rb, uint64_t rs, uint32_t insn)
{
    enum { ONE_PAGE = 0, ONE_PROCESS = 1, RIC_WALKS = 1, AP_64K = 5 };
    unsigned scope = rb >> 10 & 3, ric = insn >> 18 & 3, shift = (rb >> 5 & 7) == AP_64K ? 16 : SMALLEST;
    Cpu *cpu = s->hot.cpu;

    if (ric == RIC_WALKS || (is_local(insn) && scope != ONE_PAGE && tlbiel_set(rb))) {
        return;
    }
    if (!is_local(insn) && cpu_count() > 1) {
        if (scope == ONE_PAGE) {
            engine.flush_pages_everywhere(cpu, rb, shift);
        } else {
            engine.flush_all_everywhere(cpu);
        }
    } else if (scope == ONE_PAGE) {
        engine.flush_pages(cpu, rb, shift);
    } else if (scope == ONE_PROCESS && rs >> 32) {
        engine.flush_space(cpu, WORLD | rs >> 32, true);
    } else {
        engine.flush_all(cpu);
    }
}
