/* The machine's memory as virtual machine control blocks use it: whole pages of RAM. */
#include "target/x86/svm.h"

bool svm_page_find(X86State *s, PhysAddr addr, SvmPage *page)
{
    struct X86TableRam *ram;

    if (addr & 0xfff || addr & ~X86_PHYS_MASK) {
        return false;
    }
    ram = x86_table_ram(s, addr);
    if (!ram || ram->readonly || ram->size - (addr - ram->start) < GUEST_PAGE_SIZE) {
        return false;
    }
    *page = (SvmPage){ ram->host + (addr - ram->start), ram->ram, ram->offset + (addr - ram->start) };
    return true;
}

void svm_page_written(X86State *s, const SvmPage *page)
{
    uint8_t flags = __atomic_load_n((uint8_t *)&page->ram->page_flags[page->offset >> GUEST_PAGE_BITS], __ATOMIC_RELAXED);

    if (G_UNLIKELY(flags)) {
        tcg_fp_sync(s);
        ram_mark_dirty(page->ram, page->offset, GUEST_PAGE_SIZE);
    }
}
