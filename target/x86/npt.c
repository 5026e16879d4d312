/*
 * Nested paging: a virtual machine's physical addresses through the tables of who runs it (APM vol. 2, 15.25).
 *
 * The nested tables have the format of the host's own paging modes. All accesses count as user accesses, and those
 * to the guest's page tables as writes.
 */
#include "target/x86/paging.h"
#include "target/x86/svm.h"

static bool fault(X86State *s, PhysAddr addr, uint64_t code, MmuAccess access, X86NestedUse use, bool debug)
{
    if (debug) {
        return false;
    }
    code |= PF_U | (use == NESTED_FINAL ? NPF_FINAL : NPF_TABLE);
    if (access == MMU_STORE) {
        code |= PF_W;
    } else if (access == MMU_FETCH && (s->svm.host.efer & EFER_NXE || s->svm.host.cr4 & CR4_SMEP)) {
        code |= PF_I;
    }
    s->fault_addr = addr;
    s->nested_info = code;
    s->fault_is_nested = true;
    s->fault_is_gp = false;
    return false;
}

void x86_nested_flush(X86State *s)
{
    s->nested_generation++;
}

static X86Tables nested_tables(const X86State *s)
{
    return (X86Tables){
        .root = s->svm.nested_cr3,
        .pae = (s->svm.host.cr4 & CR4_PAE) != 0,
        .lma = (s->svm.host.efer & EFER_LMA) != 0,
        .la57 = (s->svm.host.cr4 & CR4_LA57) != 0,
        .pse = (s->svm.host.cr4 & CR4_PSE) != 0,
        .nx = (s->svm.host.efer & EFER_NXE) != 0,
    };
}

static bool walk(X86State *s, PhysAddr addr, MmuAccess access, X86NestedUse use, bool debug, X86NestedPage *out)
{
    X86Tables tables = nested_tables(s);
    X86Walk w;

    for (;;) {
        uint32_t code = 0;
        /* Outside of long mode the tables reach 4 GiB. */
        unsigned bits = tables.lma || !(addr >> 32) ? x86_find_leaf(s, &tables, addr, debug, &w, &code) : 0;
        uint64_t all = UINT64_MAX, any = 0;
        bool can_write, can_fetch;

        if (!bits) {
            return fault(s, addr, code, access, use, debug);
        }
        for (int i = 0; i < w.depth; i++) {
            all &= w.entry[i];
            any |= w.entry[i];
        }
        can_write = (all & PTE_W) != 0;
        can_fetch = w.size == 4 || !(any & PTE_NX);
        out->phys = x86_leaf_page(&w, bits, addr);
        out->readable = true;
        out->writable = can_write;
        out->executable = can_fetch;
        if (debug) {
            return true;
        }
        if (!(all & PTE_U) || (access == MMU_STORE && !can_write) || (access == MMU_FETCH && !can_fetch)) {
            return fault(s, addr, PF_P, access, use, debug);
        }
        if (x86_mark_entries(s, &w, access == MMU_STORE)) {
            out->writable = can_write && (w.entry[w.depth - 1] & PTE_D);
            return true;
        }
    }
}

bool x86_nested_page(X86State *s, PhysAddr addr, MmuAccess access, X86NestedUse use, bool debug, X86NestedPage *out)
{
    PhysAddr page = addr & ~UINT64_C(0xfff);
    struct X86NestedEntry *entry = &s->nested_cache[addr >> 12 & (G_N_ELEMENTS(s->nested_cache) - 1)];

    if (entry->generation == s->nested_generation && entry->guest == page &&
        (access == MMU_LOAD || (access == MMU_STORE ? entry->writable : entry->executable))) {
        *out = (X86NestedPage){ entry->phys, true, entry->writable, entry->executable };
        return true;
    }
    if (!walk(s, addr, access, use, debug, out)) {
        return false;
    }
    if (!debug) {
        *entry = (struct X86NestedEntry){ s->nested_generation, page, out->phys, out->writable, out->executable };
    }
    return true;
}
