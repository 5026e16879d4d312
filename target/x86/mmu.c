/* Address translation: all paging modes, from tables in guest RAM (SDM vol. 3, chapter 4). */
#include "target/x86/system.h"

enum {
    PTE_P = 1 << 0, PTE_W = 1 << 1, PTE_U = 1 << 2, PTE_A = 1 << 5, PTE_D = 1 << 6, PTE_PS = 1 << 7,
    PTE_G = 1 << 8,
};
#define PTE_NX (UINT64_C(1) << 63)
#define PTE_ADDR (X86_PHYS_MASK & ~UINT64_C(0xfff))
#define PTE_KEY_SHIFT 59

enum { PF_P = 1 << 0, PF_W = 1 << 1, PF_U = 1 << 2, PF_RSVD = 1 << 3, PF_I = 1 << 4, PF_PK = 1 << 5 };

/* The entries that a walk used, from the root down. */
typedef struct Walk {
    uint64_t entry[4];
    PhysAddr addr[4];
    int depth;       /* entries in use */
    unsigned size;   /* of an entry in bytes */
} Walk;

static PhysAddr apply_a20(const X86State *s, PhysAddr addr)
{
    return s->a20_masked ? addr & ~(UINT64_C(1) << 20) : addr;
}

/* Finds the RAM around a table entry; what it found last is nearly always right. */
static struct X86TableRam *table_ram(X86State *s, PhysAddr addr)
{
    struct X86TableRam *t = &s->table_ram[addr >> 32 != 0];
    uint64_t generation = memory_generation();

    if (G_LIKELY(t->generation == generation && addr - t->start < t->size)) {
        return t;
    }
    tcg_fp_sync(s);
    MemoryRange range = address_space_find(s->hot.cpu->memory, addr);
    if (!range.ram) {
        return NULL;
    }
    t->generation = generation;
    t->start = range.start;
    /* Entries are aligned, ranges are at least so: no entry is cut off at the end. */
    t->size = range.last - range.start + 1;
    t->ram = range.ram;
    t->offset = range.offset;
    t->host = range.ram->host + range.offset;
    t->readonly = range.readonly;
    return t;
}

static uint64_t read_entry(X86State *s, PhysAddr addr, unsigned size)
{
    struct X86TableRam *t;

    addr = apply_a20(s, addr);
    t = table_ram(s, addr);
    if (G_UNLIKELY(!t)) {
        tcg_fp_sync(s);
        return memory_load(s->hot.cpu->memory, addr, size);
    }
    if (size == 8) {
        return __atomic_load_n((uint64_t *)(t->host + (addr - t->start)), __ATOMIC_RELAXED);
    }
    return __atomic_load_n((uint32_t *)(t->host + (addr - t->start)), __ATOMIC_RELAXED);
}

/* Sets bits in an entry that must still have the value `old`. */
static bool update_entry(X86State *s, PhysAddr addr, unsigned size, uint64_t old, uint64_t bits)
{
    struct X86TableRam *t;
    uint8_t *host;
    bool done;

    addr = apply_a20(s, addr);
    t = table_ram(s, addr);
    if (!t || t->readonly) {
        return true;
    }
    host = t->host + (addr - t->start);
    if (size == 8) {
        done = __atomic_compare_exchange_n((uint64_t *)host, &old, old | bits, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    } else {
        uint32_t old32 = old;

        done = __atomic_compare_exchange_n((uint32_t *)host, &old32, old32 | (uint32_t)bits, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
    if (done) {
        uint64_t offset = t->offset + (addr - t->start);
        uint8_t flags = __atomic_load_n((uint8_t *)&t->ram->page_flags[offset >> GUEST_PAGE_BITS],
                                        __ATOMIC_RELAXED);

        if (G_UNLIKELY(flags)) {
            tcg_fp_sync(s);
            ram_mark_dirty(t->ram, offset, size);
        }
    }
    return done;
}

static bool fault(X86State *s, VirtAddr addr, uint32_t code, MmuAccess access, unsigned mode)
{
    if (access == MMU_STORE) {
        code |= PF_W;
    } else if (access == MMU_FETCH &&
               ((s->cr4 & CR4_SMEP) || ((s->cr4 & CR4_PAE) && (s->efer & EFER_NXE)))) {
        code |= PF_I;
    }
    if (mode == MMU_USER) {
        code |= PF_U;
    }
    s->fault_addr = addr;
    s->fault_code = code;
    s->fault_is_gp = false;
    return false;
}

/*
 * Follows the tables down to the leaf. Returns the number of page offset bits (12, 21, 22, 30), or 0
 * with *code set to what the error code says.
 */
static unsigned find_leaf(X86State *s, VirtAddr addr, Walk *w, uint32_t *code)
{
    w->depth = 0;
    if (!(s->cr4 & CR4_PAE)) {
        uint64_t e;

        w->size = 4;
        w->addr[0] = (s->cr3 & 0xfffff000) + (addr >> 22 & 0x3ff) * 4;
        w->entry[0] = e = read_entry(s, w->addr[0], 4);
        w->depth = 1;
        if (!(e & PTE_P)) {
            return 0;
        }
        if ((e & PTE_PS) && (s->cr4 & CR4_PSE)) {
            if (e & (1 << 21)) {
                *code = PF_P | PF_RSVD;
                return 0;
            }
            return 22;
        }
        w->addr[1] = (e & 0xfffff000) + (addr >> 12 & 0x3ff) * 4;
        w->entry[1] = read_entry(s, w->addr[1], 4);
        w->depth = 2;
        return w->entry[1] & PTE_P ? 12 : 0;
    }

    uint64_t reserved = ~X86_PHYS_MASK & 0x000fffffffffffff;
    PhysAddr table;
    int level;

    w->size = 8;
    if (!(s->efer & EFER_NXE)) {
        reserved |= PTE_NX;
    }
    if (is_long(s)) {
        table = s->cr3 & PTE_ADDR;
        level = 3;
    } else {
        uint64_t e = s->pdpte[addr >> 30 & 3];

        if (!(e & PTE_P)) {
            return 0;
        }
        reserved |= UINT64_C(0x7ff) << 52;
        table = e & PTE_ADDR;
        level = 1;
    }
    for (;; level--) {
        unsigned shift = 12 + 9 * level;
        PhysAddr at = table + (addr >> shift & 0x1ff) * 8;
        uint64_t e = read_entry(s, at, 8);

        w->addr[w->depth] = at;
        w->entry[w->depth++] = e;
        if (!(e & PTE_P)) {
            return 0;
        }
        if (G_UNLIKELY(e & reserved)) {
            break;
        }
        if (level == 0) {
            return 12;
        }
        if (e & PTE_PS) {
            /* Bit 12 of a large page is its PAT bit; below the page size the rest is reserved. */
            if (level == 3 || (level == 2 && !x86_has(s, FEAT_pdpe1gb)) ||
                (e & ((UINT64_C(1) << shift) - 1) & ~UINT64_C(0x1fff))) {
                break;
            }
            return shift;
        }
        table = e & PTE_ADDR;
    }
    *code = PF_P | PF_RSVD;
    return 0;
}

static bool key_forbids(const X86State *s, uint64_t leaf, bool store, unsigned mode)
{
    unsigned key = leaf >> PTE_KEY_SHIFT & 15;
    unsigned rights = s->pkru >> (2 * key) & 3;

    return (rights & 1) || (store && (rights & 2) && (mode == MMU_USER || (s->cr0 & CR0_WP)));
}

bool x86_walk(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out)
{
    X86State *s = x86_state(cpu);
    Walk w;

    if (!(s->cr0 & CR0_PG)) {
        *out = (MmuResult){
            .phys = apply_a20(s, (uint32_t)addr & ~UINT64_C(0xfff)),
            .page_size = GUEST_PAGE_SIZE,
            .readable = true,
            .writable = true,
            .executable = true,
        };
        return true;
    }
    if (is_long(s)) {
        if (G_UNLIKELY(!is_canonical(addr))) {
            s->fault_addr = addr;
            s->fault_code = 0;
            s->fault_is_gp = true;
            return false;
        }
    } else {
        addr = (uint32_t)addr;
    }

    for (;;) {
        uint32_t code = 0;
        unsigned bits = find_leaf(s, addr, &w, &code);
        uint64_t all = UINT64_MAX, any = 0, leaf, page;
        bool user, user_page, can_write, can_read, can_fetch, retry = false;

        if (!bits) {
            return fault(s, addr, code, access, mode);
        }
        for (int i = 0; i < w.depth; i++) {
            all &= w.entry[i];
            any |= w.entry[i];
        }
        leaf = w.entry[w.depth - 1];
        user = mode == MMU_USER;
        user_page = (all & PTE_U) != 0;
        can_read = user ? user_page : !user_page || !(s->cr4 & CR4_SMAP) || mode == MMU_KERNEL_AC;
        can_write = can_read && ((all & PTE_W) || (!user && !(s->cr0 & CR0_WP)));
        can_fetch = user ? user_page : !user_page || !(s->cr4 & CR4_SMEP);
        if ((any & PTE_NX) && w.size == 8) {
            can_fetch = false;
        }
        if (G_UNLIKELY((s->cr4 & CR4_PKE) && is_long(s) && user_page)) {
            if (can_read && access == MMU_LOAD && key_forbids(s, leaf, false, mode)) {
                code = PF_PK;
            } else if (can_write && access == MMU_STORE && key_forbids(s, leaf, true, mode)) {
                code = PF_PK;
            }
            can_read = can_read && !key_forbids(s, leaf, false, mode);
            can_write = can_write && !key_forbids(s, leaf, true, mode);
        }
        page = (UINT64_C(1) << bits) - 1;
        if (bits == 22) {
            /* PSE-36: bits 13-20 are address bits 32-39. */
            out->phys = (leaf & 0xffc00000) | (leaf >> 13 & 0xff) << 32;
        } else {
            out->phys = leaf & PTE_ADDR & ~page;
        }
        out->phys = apply_a20(s, (out->phys | (addr & page)) & ~UINT64_C(0xfff));
        out->page_size = page + 1;
        out->global = (leaf & PTE_G) && (s->cr4 & CR4_PGE);
        if (debug) {
            out->readable = out->writable = out->executable = true;
            return true;
        }
        if (access == MMU_LOAD ? !can_read : access == MMU_STORE ? !can_write : !can_fetch) {
            return fault(s, addr, code | PF_P, access, mode);
        }
        for (int i = 0; i < w.depth; i++) {
            uint64_t want = PTE_A;

            if (i == w.depth - 1 && access == MMU_STORE) {
                want |= PTE_D;
            }
            if (G_UNLIKELY((w.entry[i] & want) != want)) {
                if (!update_entry(s, w.addr[i], w.size, w.entry[i], want)) {
                    retry = true; /* another processor changed it: its new value counts */
                    break;
                }
                w.entry[i] |= want;
            }
        }
        if (retry) {
            continue;
        }
        out->readable = can_read;
        out->writable = can_write && (w.entry[w.depth - 1] & PTE_D);
        out->executable = can_fetch;
        return true;
    }
}

void x86_raise_mmu_fault(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode)
{
    X86State *s = x86_state(cpu);

    if (s->fault_is_gp) {
        x86_raise_error(s, EXC_GP, 0, 0);
    }
    s->exception.cr2 = s->fault_addr;
    x86_raise_error(s, EXC_PF, s->fault_code, 0);
}

/* PAE without long mode keeps the four top entries in the processor; raises #GP if one is bad. */
void x86_load_pdptes(X86State *s, uint64_t cr3, uintptr_t ra)
{
    uint64_t pdpte[4];
    PhysAddr table = cr3 & 0xffffffe0;

    for (int i = 0; i < 4; i++) {
        pdpte[i] = read_entry(s, table + i * 8, 8);
        if ((pdpte[i] & PTE_P) && (pdpte[i] & (~X86_PHYS_MASK | 0x1e6))) {
            x86_raise_error(s, EXC_GP, 0, ra);
        }
    }
    for (int i = 0; i < 4; i++) {
        s->pdpte[i] = pdpte[i];
    }
}

void x86_set_a20(Cpu *cpu, bool enabled)
{
    X86State *s = x86_state(cpu);

    if (s->a20_masked == enabled) {
        s->a20_masked = !enabled;
        if (engine.flush_all) {
            engine.flush_all(cpu);
        }
    }
}
