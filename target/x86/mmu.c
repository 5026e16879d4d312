/* Address translation: all paging modes, from tables in guest RAM (SDM vol. 3, chapter 4). */
#include "target/x86/faulting.h"
#include "target/x86/fp_state.h"
#include "target/x86/paging.h"
#include "target/x86/svm.h"

#define PTE_KEY_SHIFT 59
#define PDPTE_RESERVED (~X86_PHYS_MASK | 0x1e6)

static PhysAddr apply_a20(const X86State *s, PhysAddr addr)
{
    return s->a20_masked ? addr & ~(UINT64_C(1) << 20) : addr;
}

/* Finds the RAM around a table entry; what it found last is nearly always right. */
struct X86TableRam *x86_table_ram(X86State *s, PhysAddr addr)
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

/* *host: where it was read, NULL if not in RAM. */
static uint64_t read_at(X86State *s, PhysAddr addr, unsigned size, const void **host)
{
    struct X86TableRam *t;

    addr = apply_a20(s, addr);
    t = x86_table_ram(s, addr);
    if (G_UNLIKELY(!t)) {
        *host = NULL;
        tcg_fp_sync(s);
        return memory_load(s->hot.cpu->memory, addr, size);
    }
    *host = t->host + (addr - t->start);
    return size == 8 ? __atomic_load_n((const uint64_t *)*host, __ATOMIC_RELAXED)
                     : __atomic_load_n((const uint32_t *)*host, __ATOMIC_RELAXED);
}

uint64_t x86_read_phys(X86State *s, PhysAddr addr, unsigned size)
{
    const void *host;

    return read_at(s, addr, size, &host);
}

/* Sets bits in an entry that must still have the value `old`. */
static bool update_entry(X86State *s, PhysAddr addr, unsigned size, uint64_t old, uint64_t bits)
{
    struct X86TableRam *t;
    uint8_t *host;
    bool done;

    addr = apply_a20(s, addr);
    t = x86_table_ram(s, addr);
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
    s->fault_is_nested = false;
    return false;
}

/* Where the machine's memory has an entry; false: a nested page fault. */
static bool locate(X86State *s, const X86Tables *t, PhysAddr at, bool debug, PhysAddr *out)
{
    X86NestedPage page;

    *out = at;
    if (G_LIKELY(!t->nested)) {
        return true;
    }
    if (!x86_nested_page(s, at, MMU_STORE, NESTED_TABLE, debug, &page)) {
        return false;
    }
    *out = page.phys | (at & 0xfff);
    return true;
}

/* The next entry of a walk. */
static bool read_entry(X86State *s, const X86Tables *t, PhysAddr at, bool debug, X86Walk *w)
{
    if (!locate(s, t, at, debug, &w->addr[w->depth])) {
        return false;
    }
    w->entry[w->depth] = read_at(s, w->addr[w->depth], w->size, &w->host[w->depth]);
    w->depth++;
    return true;
}

static unsigned find_leaf_32(X86State *s, const X86Tables *t, VirtAddr addr, bool debug, X86Walk *w, uint32_t *code)
{
    uint64_t e;

    w->size = 4;
    if (!read_entry(s, t, (t->root & 0xfffff000) + (addr >> 22 & 0x3ff) * 4, debug, w)) {
        *code = WALK_NESTED_FAULT;
        return 0;
    }
    e = w->entry[0];
    if (!(e & PTE_P)) {
        return 0;
    }
    if ((e & PTE_PS) && t->pse) {
        if (e & (1 << 21)) {
            *code = PF_P | PF_RSVD;
            return 0;
        }
        return 22;
    }
    if (!read_entry(s, t, (e & 0xfffff000) + (addr >> 12 & 0x3ff) * 4, debug, w)) {
        *code = WALK_NESTED_FAULT;
        return 0;
    }
    return w->entry[1] & PTE_P ? 12 : 0;
}

/* The top level of PAE outside of long mode: its entries have no rights of their own. */
static bool find_directory(X86State *s, const X86Tables *t, VirtAddr addr, bool debug, PhysAddr *table, uint32_t *code)
{
    unsigned index = addr >> 30 & 3;
    PhysAddr at;
    uint64_t e;

    if (t->pdpte) {
        e = t->pdpte[index];
    } else {
        if (!locate(s, t, (t->root & 0xffffffe0) + index * 8, debug, &at)) {
            *code = WALK_NESTED_FAULT;
            return false;
        }
        e = x86_read_phys(s, at, 8);
        if ((e & PTE_P) && (e & PDPTE_RESERVED)) {
            *code = PF_P | PF_RSVD;
            return false;
        }
    }
    *table = e & PTE_ADDR;
    return e & PTE_P;
}

unsigned x86_find_leaf(X86State *s, const X86Tables *t, VirtAddr addr, bool debug, X86Walk *w, uint32_t *code)
{
    uint64_t reserved = ~X86_PHYS_MASK & 0x000fffffffffffff;
    PhysAddr table = t->root & PTE_ADDR;
    int level = t->la57 ? 4 : 3;

    w->depth = 0;
    if (!t->pae) {
        return find_leaf_32(s, t, addr, debug, w, code);
    }
    w->size = 8;
    if (!t->nx) {
        reserved |= PTE_NX;
    }
    if (!t->lma) {
        if (!find_directory(s, t, addr, debug, &table, code)) {
            return 0;
        }
        reserved |= UINT64_C(0x7ff) << 52;
        level = 1;
    }
    for (;; level--) {
        unsigned shift = 12 + 9 * level;
        uint64_t e;

        if (!read_entry(s, t, table + (addr >> shift & 0x1ff) * 8, debug, w)) {
            *code = WALK_NESTED_FAULT;
            return 0;
        }
        e = w->entry[w->depth - 1];
        if (!(e & PTE_P)) {
            return 0;
        }
        if (G_UNLIKELY(e & reserved) || (level >= 3 && e & PTE_G && x86_has(s, FEAT_svm))) {
            break; /* bit 8 of the upper levels is reserved on AMD's processors */
        }
        if (level == 0) {
            return 12;
        }
        if (e & PTE_PS) {
            /* Bit 12 of a large page is its PAT bit; below the page size the rest is reserved. */
            if (level >= 3 || (level == 2 && !x86_has(s, FEAT_pdpe1gb)) ||
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

bool x86_mark_entries(X86State *s, X86Walk *w, bool dirty)
{
    for (int i = 0; i < w->depth; i++) {
        uint64_t want = PTE_A;

        if (i == w->depth - 1 && dirty) {
            want |= PTE_D;
        }
        if (G_UNLIKELY((w->entry[i] & want) != want)) {
            if (!update_entry(s, w->addr[i], w->size, w->entry[i], want)) {
                return false;
            }
            w->entry[i] |= want;
        }
    }
    return true;
}

PhysAddr x86_leaf_page(const X86Walk *w, unsigned bits, uint64_t addr)
{
    uint64_t leaf = w->entry[w->depth - 1], page = (UINT64_C(1) << bits) - 1, phys;

    if (bits == 22) {
        /* PSE-36: bits 13-20 are address bits 32-39. */
        phys = (leaf & 0xffc00000) | (leaf >> 13 & 0xff) << 32;
    } else {
        phys = leaf & PTE_ADDR & ~page;
    }
    return (phys | (addr & page)) & ~UINT64_C(0xfff);
}

static bool key_forbids(const X86State *s, uint64_t leaf, bool store, unsigned mode)
{
    unsigned key = leaf >> PTE_KEY_SHIFT & 15;
    unsigned rights = s->pkru >> (2 * key) & 3;

    return (rights & 1) || (store && (rights & 2) && (mode == MMU_USER || (s->cr0 & CR0_WP)));
}

static X86Tables own_tables(const X86State *s)
{
    bool nested = s->svm.guest && s->svm.nested_paging;

    return (X86Tables){
        .root = s->cr3,
        .pae = (s->cr4 & CR4_PAE) != 0,
        .lma = is_long(s),
        .la57 = (s->cr4 & CR4_LA57) != 0,
        .pse = (s->cr4 & CR4_PSE) != 0,
        .nx = (s->efer & EFER_NXE) != 0,
        .nested = nested,
        .pdpte = nested ? NULL : s->pdpte,
    };
}

/* The last step: out->phys is what the guest takes for a physical address. False: a nested page fault. */
static bool finish(X86State *s, VirtAddr addr, MmuAccess access, bool debug, MmuResult *out)
{
    X86NestedPage page;

    if (!s->svm.guest || !s->svm.nested_paging) {
        out->phys = apply_a20(s, out->phys);
        return true;
    }
    if (!x86_nested_page(s, out->phys | (addr & 0xfff), access, NESTED_FINAL, debug, &page)) {
        return false;
    }
    out->phys = apply_a20(s, page.phys);
    out->readable = out->readable && page.readable;
    out->writable = out->writable && page.writable;
    out->executable = out->executable && page.executable;
    return true;
}

/* What the walk has read, root first. A virtual machine's tables are mapped by others, of which nothing is told. */
static void tell_reads(X86State *s, const X86Tables *t, VirtAddr addr, const X86Walk *w, MmuResult *out)
{
    unsigned n = 0;

    if (t->nested) {
        return;
    }
    out->read[n++] = (MmuRead){ &s->cr3, s->cr3, sizeof(s->cr3) };
    if (t->pae && !t->lma) {
        unsigned index = addr >> 30 & 3;

        out->read[n++] = (MmuRead){ &s->pdpte[index], s->pdpte[index], sizeof(s->pdpte[index]) };
    }
    for (int i = 0; i < w->depth; i++) {
        if (!w->host[i]) {
            return;
        }
        out->read[n++] = (MmuRead){ w->host[i], w->entry[i], w->size };
    }
    out->n_reads = n;
    out->may_gain = PTE_A | PTE_D;
}

bool x86_walk(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out)
{
    X86State *s = x86_state(cpu);
    X86Tables tables;
    X86Walk w;

    if (!(s->cr0 & CR0_PG)) {
        *out = (MmuResult){
            .phys = (uint32_t)addr & ~UINT64_C(0xfff),
            .page_size = GUEST_PAGE_SIZE,
            .readable = true,
            .writable = true,
            .executable = true,
        };
        return finish(s, addr, access, debug, out);
    }
    if (is_long(s)) {
        if (G_UNLIKELY(!is_canonical(s, addr))) {
            s->fault_addr = addr;
            s->fault_code = 0;
            s->fault_is_gp = true;
            s->fault_is_nested = false;
            return false;
        }
    } else {
        addr = (uint32_t)addr;
    }

    tables = own_tables(s);
    for (;;) {
        uint32_t code = 0;
        unsigned bits = x86_find_leaf(s, &tables, addr, debug, &w, &code);
        uint64_t all = UINT64_MAX, any = 0, leaf;
        bool user, user_page, can_write, can_read, can_fetch;

        if (!bits) {
            return code == WALK_NESTED_FAULT ? false : fault(s, addr, code, access, mode);
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
            s->keys_cached |= 1u << (leaf >> PTE_KEY_SHIFT & 15);
            if (access != MMU_FETCH && key_forbids(s, leaf, access == MMU_STORE, mode)) {
                code = PF_PK; /* also where the page itself allows no such access (SDM vol. 3, 4.7) */
            }
            can_read = can_read && !key_forbids(s, leaf, false, mode);
            can_write = can_write && !key_forbids(s, leaf, true, mode);
        }
        out->phys = x86_leaf_page(&w, bits, addr);
        out->page_size = UINT64_C(1) << bits;
        out->global = (leaf & PTE_G) && (s->cr4 & CR4_PGE);
        if (debug) {
            out->readable = out->writable = out->executable = true;
            return finish(s, addr, access, debug, out);
        }
        if (access == MMU_LOAD ? !can_read : access == MMU_STORE ? !can_write : !can_fetch) {
            return fault(s, addr, code | PF_P, access, mode);
        }
        if (!x86_mark_entries(s, &w, access == MMU_STORE)) {
            continue; /* another processor changed one: its new value counts */
        }
        out->readable = can_read;
        out->writable = can_write && (w.entry[w.depth - 1] & PTE_D);
        out->executable = can_fetch;
        if (!out->global) {
            tell_reads(s, &tables, addr, &w, out);
        }
        return finish(s, addr, access, debug, out);
    }
}

void x86_raise_mmu_fault(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode)
{
    X86State *s = x86_state(cpu);
    bool known;
    X86Insn in;

    if (s->fault_is_nested) {
        svm_exit(s, (X86SvmExit){ SVM_EXIT_NPF, s->nested_info, s->fault_addr, 0 }, 0);
    }
    if (access == MMU_FETCH && s->mode_flags & MODE_COUNT) {
        s->pmu_left--; /* x86_deliver_exception takes the instruction back, which did not even begin */
    }
    tcg_fp_sync(s);
    if ((s->fault_code & PF_P) && !s->fault_is_gp) {
        engine.flush_page(cpu, s->fault_addr); /* what allowed less may allow it elsewhere now (SDM volume 3, 4.10.4.1) */
    }
    known = access != MMU_FETCH && (s->fault_is_gp || fx_image(s)->fsw & FSW_ES) && x86_insn_at_pc(s, &in);
    x86_raise_memory_fault(s, known ? &in : NULL, s->fault_addr, s->fault_code, s->fault_is_gp);
}

bool x86_read_pdptes(X86State *s, uint64_t cr3, uint64_t pdpte[4])
{
    PhysAddr table = cr3 & 0xffffffe0;

    for (int i = 0; i < 4; i++) {
        pdpte[i] = x86_read_phys(s, table + i * 8, 8);
        if ((pdpte[i] & PTE_P) && (pdpte[i] & PDPTE_RESERVED)) {
            return false;
        }
    }
    return true;
}

/* PAE without long mode keeps the four top entries in the processor; raises #GP if one is bad. With
 * nested paging they are read when they are used (APM vol. 2, 15.25.10). */
void x86_load_pdptes(X86State *s, uint64_t cr3, uintptr_t ra)
{
    uint64_t pdpte[4];

    if (s->svm.guest && s->svm.nested_paging) {
        return;
    }
    if (!x86_read_pdptes(s, cr3, pdpte)) {
        x86_raise_error(s, EXC_GP, 0, ra);
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
