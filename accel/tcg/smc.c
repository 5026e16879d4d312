/*
 * Stores to translated code.
 *
 * A page with code has PAGE_CODE, so no store entry of a TLB table leads to it: stores take the slow
 * path, which comes here when the page's bit map says that blocks cover the bytes. On x86 the next
 * instruction sees the new code. So a block that is about to change itself is left before the store,
 * and that instruction runs again as a block of its own.
 */
#include "accel/tcg/internal.h"

/* The block that this CPU is in the middle of. */
static const Block *running_block(EngineCpu *ec, uintptr_t retaddr)
{
    const HostBlock *code;

    if (!ec->in_code) {
        return NULL;
    }
    if (ec->current) {
        return ec->current;
    }
    code = code_block_of_host_pc(retaddr ? retaddr : tcg_caller_pc(ec->cpu->state));
    return code ? code->engine : NULL;
}

/* While an event's handler is being entered nothing can be left and done again; nor does the block go on behind that. */
static bool is_restartable(const EngineCpu *ec)
{
    return !ec->ops->watch_restartable || ec->ops->watch_restartable(ec->cpu);
}

void smc_store(EngineCpu *ec, const PageEntry *entry, unsigned offset, unsigned size,
               uintptr_t retaddr)
{
    const Block *running = running_block(ec, retaddr);

    g_mutex_lock(&tb_lock);
    blocks_kill_range(entry->ram, entry_page(entry), offset, offset + size - 1);
    g_mutex_unlock(&tb_lock);
    if (running && !running->variant && code_block_covers(running, entry->host + offset, size) && is_restartable(ec)) {
        if (retaddr) {
            tcg_restore(ec->cpu->state, retaddr);
        }
        ec->next_variant = VARIANT_SINGLE;
        tcg_unwind(ec->cpu->state, TCG_EXIT_SMC);
    }
}

void smc_stored(const PageEntry *entry, unsigned offset, unsigned size)
{
    g_mutex_lock(&tb_lock);
    blocks_kill_range(entry->ram, entry_page(entry), offset, offset + size - 1);
    g_mutex_unlock(&tb_lock);
}

void smc_code_differs(Cpu *cpu, VirtAddr addr, unsigned size)
{
    EngineCpu *ec = cpu->engine;
    const PageEntry *entry = mmu_page_or_null(ec, addr, MMU_FETCH, chosen(ec)->fetch_mode);
    unsigned offset = addr & (GUEST_PAGE_SIZE - 1);

    if (!entry || !entry->ram) {
        return; /* whoever looks for the block next finds that too */
    }
    g_mutex_lock(&tb_lock);
    blocks_kill_loaders(entry->ram, entry_page(entry), offset, offset + size - 1);
    g_mutex_unlock(&tb_lock);
}

/*
 * Before a page is read to translate it: no vCPU stores there any more without that it is seen. Whoever comes while another
 * vCPU still waits for that waits too, and nobody clears PAGE_CODE until the block is in the index. A page that no TLB has
 * for stores (page_stores) needs no waiting: its next store finds PAGE_CODE. Contexts that are not current, and vCPUs that do not
 * run, drop what they have later, by code_page_seq, if it still is a page of code by then; recount_page thinks of that.
 */
void smc_hold(EngineCpu *ec, RamBlock *ram, uint64_t page)
{
    CodePage *cp;
    bool wait;

    g_mutex_lock(&tb_lock);
    cp = code_page(ram, page, true);
    cp->holds++;
    wait = cp->stopping;
    if (!(atomic_fetch_or(&ram->page_flags[page], PAGE_CODE) & PAGE_CODE) && atomic_load(&ram->page_stores[page])) {
        atomic_store(&ram->page_stores[page], STORES_GOING);
        wait = true;
    }
    cp->stopping += wait;
    g_mutex_unlock(&tb_lock);
    if (wait) {
        atomic_fetch_add(&code_page_seq, 1);
        cpus_pend(ec, PENDING_STORES, true);
        g_mutex_lock(&tb_lock);
        cp->stopping--;
        g_mutex_unlock(&tb_lock);
    }
    context_drop_flagged_stores(ec);
}

void smc_code_written(void *opaque, RamBlock *ram, uint64_t first_page, uint64_t last_page)
{
    g_mutex_lock(&tb_lock);
    for (uint64_t page = first_page; page <= last_page; page++) {
        blocks_kill_range(ram, page, 0, GUEST_PAGE_SIZE - 1);
    }
    g_mutex_unlock(&tb_lock);
}

void smc_pages_cleaned(void *opaque, RamBlock *ram, uint64_t first_page, uint64_t last_page)
{
    atomic_fetch_add(&code_page_seq, 1);
    cpus_pend(NULL, PENDING_STORES, false);
}
