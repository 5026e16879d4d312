/*
 * The thread of a vCPU: finds the block to run, enters it, deals with why it came back.
 *
 * Requests to a CPU: who wants something sets it and then makes CpuHot.poll negative. The loop
 * zeroes poll first and looks for requests afterwards, so none is missed.
 */
#include "accel/internal.h"
#include "accel/tcg/internal.h"

#include "core/lock.h"
#include "util/log.h"

#include <inttypes.h>

/* Threads that wait for others to leave code. */
static GMutex wait_mutex;
static GCond wait_cond;
static _Atomic int waiters;

static GMutex exclusive_mutex;
static _Atomic bool exclusive_active;

/* thread=single: who holds it may run code. */
static GMutex turn_mutex;
static GCond turn_cond;
static EngineCpu *turn_holder, *turn_last;
static int turn_waiters;
#define TURN_US 2000

static void take_turn(EngineCpu *ec)
{
    g_mutex_lock(&turn_mutex);
    turn_waiters++;
    while (turn_holder || (turn_last == ec && turn_waiters > 1)) {
        if (!g_cond_wait_until(&turn_cond, &turn_mutex, g_get_monotonic_time() + TURN_US)) {
            if (turn_holder) {
                atomic_store(&turn_holder->cpu->hot->poll, -1);
            } else {
                turn_last = NULL;
            }
        }
    }
    turn_waiters--;
    turn_holder = ec;
    g_mutex_unlock(&turn_mutex);
}

static void give_turn(EngineCpu *ec)
{
    g_mutex_lock(&turn_mutex);
    turn_holder = NULL;
    turn_last = ec;
    g_cond_broadcast(&turn_cond);
    g_mutex_unlock(&turn_mutex);
}

static void wake_waiters(void)
{
    if (atomic_load(&waiters)) {
        g_mutex_lock(&wait_mutex);
        g_cond_broadcast(&wait_cond);
        g_mutex_unlock(&wait_mutex);
    }
}

/*
 * From here to leave_blocks, no block is freed. Alone, a CPU has nobody that frees them or waits for
 * it, so the flags need no ordering.
 */
static void enter_blocks(EngineCpu *ec)
{
    if (cpu_count() == 1) {
        atomic_store_explicit(&ec->busy, true, memory_order_relaxed);
        return;
    }
    for (;;) {
        atomic_store(&ec->busy, true);
        if (!atomic_load(&exclusive_active) || ec->exclusive) {
            return;
        }
        atomic_store(&ec->busy, false);
        wake_waiters();
        g_mutex_lock(&exclusive_mutex);
        g_mutex_unlock(&exclusive_mutex);
    }
}

static void leave_blocks(EngineCpu *ec)
{
    if (cpu_count() == 1) {
        atomic_store_explicit(&ec->busy, false, memory_order_relaxed);
        return;
    }
    atomic_store(&ec->busy, false);
    wake_waiters();
}

static void leave_code(EngineCpu *ec)
{
    if (cpu_count() == 1) {
        atomic_store_explicit(&ec->in_code, false, memory_order_relaxed);
        return;
    }
    atomic_store(&ec->in_code, false);
    wake_waiters();
}

/* False if there is something to do first. Who wants something of a lone CPU makes poll negative. */
static bool enter_code(EngineCpu *ec)
{
    if (cpu_count() == 1) {
        atomic_store_explicit(&ec->in_code, true, memory_order_relaxed);
        return true;
    }
    atomic_store(&ec->in_code, true);
    if (atomic_load(&ec->pending)) {
        leave_code(ec);
        return false;
    }
    return true;
}

/* Until no other CPU runs code that has not done so. Not in code. */
static void wait_for_pending(EngineCpu *self, uint32_t what)
{
    atomic_fetch_add(&waiters, 1);
    g_mutex_lock(&wait_mutex);
    for (int i = 0; i < cpu_count(); i++) {
        EngineCpu *ec = cpu_get(i)->engine;

        while (ec && ec != self && (atomic_load(&ec->in_code) || atomic_load(&ec->in_event)) && atomic_load(&ec->pending) & what) {
            g_cond_wait(&wait_cond, &wait_mutex);
        }
    }
    g_mutex_unlock(&wait_mutex);
    atomic_fetch_sub(&waiters, 1);
}

void cpus_pend(EngineCpu *self, uint32_t what, bool wait)
{
    if (!tcg_active()) {
        return;
    }
    for (int i = 0; i < cpu_count(); i++) {
        EngineCpu *ec = cpu_get(i)->engine;

        if (ec && ec != self && !(atomic_fetch_or(&ec->pending, what) & what)) {
            cpu_request(ec->cpu, CPU_REQ_EXIT);
        }
    }
    if (!wait || cpu_count() == 1) {
        return;
    }
    wait_for_pending(self, what);
}

/* What other CPUs want of this one's translations. */
static GMutex remote_mutex;

static void leave_soon_and_wait(EngineCpu *ec)
{
    ec->await_flushes = true;
    atomic_store(&ec->cpu->hot->poll, -1);
}

void cpus_flush_pages(Cpu *cpu, VirtAddr addr, unsigned shift)
{
    EngineCpu *self = cpu->engine;

    engine_flush_pages(cpu, addr, shift);
    if (cpu_count() == 1 || !self) {
        return;
    }
    g_mutex_lock(&remote_mutex);
    for (int i = 0; i < cpu_count(); i++) {
        EngineCpu *ec = cpu_get(i)->engine;
        uint32_t what = PENDING_FLUSH_PAGES;

        if (!ec || ec == self) {
            continue;
        }
        if (ec->n_remote_pages == REMOTE_PAGES) {
            what = PENDING_FLUSH_ALL;
        } else {
            ec->remote_pages[ec->n_remote_pages++] = (addr & PAGE_MASK) | (shift - GUEST_PAGE_BITS);
        }
        if (!(atomic_fetch_or(&ec->pending, what) & what)) {
            cpu_request(ec->cpu, CPU_REQ_EXIT);
        }
    }
    g_mutex_unlock(&remote_mutex);
    leave_soon_and_wait(self);
}

void cpus_flush_all(Cpu *cpu)
{
    EngineCpu *self = cpu->engine;

    engine_flush_all(cpu);
    if (cpu_count() > 1 && self) {
        cpus_pend(self, PENDING_FLUSH_ALL, false);
        leave_soon_and_wait(self);
    }
}

static void flush_remote_pages(EngineCpu *ec)
{
    g_mutex_lock(&remote_mutex);
    for (unsigned i = 0; i < ec->n_remote_pages; i++) {
        engine_flush_pages(ec->cpu, ec->remote_pages[i] & PAGE_MASK,
                           GUEST_PAGE_BITS + (ec->remote_pages[i] & ~PAGE_MASK));
    }
    ec->n_remote_pages = 0;
    g_mutex_unlock(&remote_mutex);
}

/* No other CPU is busy with blocks from here to exclusive_end. Nests. */
void exclusive_begin(EngineCpu *ec)
{
    bool busy = atomic_load(&ec->busy);

    if (ec->exclusive) {
        ec->exclusive++;
        return;
    }
    /* Another one may be waiting for this CPU. */
    leave_blocks(ec);
    g_mutex_lock(&exclusive_mutex);
    atomic_store(&exclusive_active, true);
    ec->exclusive = 1;
    ec->was_busy = busy;
    if (cpu_count() == 1) {
        return;
    }
    atomic_fetch_add(&waiters, 1);
    for (int i = 0; i < cpu_count(); i++) {
        EngineCpu *other = cpu_get(i)->engine;

        if (other && other != ec && atomic_load(&other->busy)) {
            cpu_request(other->cpu, CPU_REQ_EXIT);
        }
    }
    g_mutex_lock(&wait_mutex);
    for (int i = 0; i < cpu_count(); i++) {
        EngineCpu *other = cpu_get(i)->engine;

        while (other && other != ec && atomic_load(&other->busy)) {
            g_cond_wait(&wait_cond, &wait_mutex);
        }
    }
    g_mutex_unlock(&wait_mutex);
    atomic_fetch_sub(&waiters, 1);
}

void exclusive_end(EngineCpu *ec)
{
    if (--ec->exclusive) {
        return;
    }
    /* Before the next one may begin, which then waits for this CPU. */
    atomic_store(&ec->busy, ec->was_busy);
    atomic_store(&exclusive_active, false);
    g_mutex_unlock(&exclusive_mutex);
}

static void do_pending(EngineCpu *ec)
{
    uint32_t what = atomic_exchange(&ec->pending, 0);

    if (what & PENDING_FLUSH_ALL) {
        engine_flush_all(ec->cpu);
    }
    if (what & (PENDING_FLUSH_PAGES | PENDING_FLUSH_ALL)) {
        flush_remote_pages(ec);
    }
    if (what & PENDING_STORES) {
        context_drop_flagged_stores(ec);
    }
}

static void call_deliver(void *state)
{
    EngineCpu *ec = engine_of(state);

    ec->ops->deliver_exception(ec->cpu);
}

static void call_service(void *state)
{
    EngineCpu *ec = engine_of(state);

    ec->ops->service(ec->cpu);
}

static void call_fetch_fault(void *state)
{
    EngineCpu *ec = engine_of(state);

    ec->ops->raise_mmu_fault(ec->cpu, ec->fetch_addr, MMU_FETCH, chosen(ec)->fetch_mode);
}

/* What others want of the tables is done before the target stores by them, or they wait until it has. */
static TcgExit protected_event(EngineCpu *ec, void (*call)(void *state))
{
    TcgExit why;

    if (cpu_count() == 1) {
        return tcg_protect(ec->cpu->state, call);
    }
    atomic_store(&ec->in_event, true);
    while (atomic_load(&ec->pending)) {
        atomic_store(&ec->in_event, false);
        do_pending(ec);
        wake_waiters();
        atomic_store(&ec->in_event, true);
    }
    why = tcg_protect(ec->cpu->state, call);
    atomic_store(&ec->in_event, false);
    wake_waiters();
    return why;
}

/* Delivery may fault in turn; the target turns that into a double fault, a third into a reset. */
static void deliver(EngineCpu *ec)
{
    while (protected_event(ec, call_deliver) == TCG_EXIT_EXCEPTION) {
    }
}

static void wait_for_work(Cpu *cpu, EngineCpu *ec)
{
    g_mutex_lock(&cpu->halt_mutex);
    while (atomic_load(&cpu->halted) && !(atomic_load(&cpu->requests) & CPU_REQ_EXIT) &&
           !accel_cpu_wanted(cpu) && !atomic_load(&ec->pending) && !cpu->type->has_work(cpu)) {
        g_cond_wait(&cpu->halt_cond, &cpu->halt_mutex);
    }
    g_mutex_unlock(&cpu->halt_mutex);
}

/* What comes before running the next block. False: look again. */
static bool attend(EngineCpu *ec)
{
    Cpu *cpu = ec->cpu;
    uint32_t requests;

    if (atomic_load_explicit(&cpu->hot->poll, memory_order_relaxed)) {
        atomic_store(&cpu->hot->poll, 0);
    }
    requests = atomic_load(&cpu->requests);
    if (requests & CPU_REQ_EXIT) {
        cpu_clear_request(cpu, CPU_REQ_EXIT);
    }
    if (atomic_load(&ec->pending)) {
        do_pending(ec); /* before it stands: dirty logs are to show all that it has stored */
    }
    if (accel_cpu_wanted(cpu)) {
        accel_cpu_park(cpu);
        return false;
    }
    if (ec->await_flushes) {
        ec->await_flushes = false;
        wait_for_pending(ec, PENDING_FLUSH_PAGES | PENDING_FLUSH_ALL);
    }
    if (atomic_load(&cpu->halted)) {
        if (!cpu->type->has_work(cpu)) {
            wait_for_work(cpu, ec);
            return false;
        }
        atomic_store(&cpu->halted, false);
        cpu->woken = true;
    }
    if (G_UNLIKELY(ec->deliver_first)) {
        ec->deliver_first = cpu->woken = false;
        deliver(ec);
        return false;
    }
    if (requests & ~CPU_REQ_EXIT) {
        if (protected_event(ec, call_service) == TCG_EXIT_EXCEPTION) {
            deliver(ec);
        }
        if (atomic_load(&cpu->halted)) {
            return false;
        }
    }
    cpu->woken = false;
    if (atomic_load(&dead_interpreted) > 4096) {
        exclusive_begin(ec);
        g_mutex_lock(&tb_lock);
        blocks_collect();
        g_mutex_unlock(&tb_lock);
        exclusive_end(ec);
    }
    return true;
}

/* The target may have changed its mode without a word, e.g. when it was reset. */
static void check_mode(EngineCpu *ec, const BlockKey *key)
{
    if (!ec->context || !chosen(ec)->jumps || chosen(ec)->jumps->flags != key->flags ||
        chosen(ec)->jumps->base != key->base || ec->context->id != ec->ops->address_space_id(ec->cpu) ||
        chosen(ec)->mode != ec->ops->mmu_mode(ec->cpu, false)) {
        engine_update_mode(ec->cpu);
    }
}

static Block *cached_block(EngineCpu *ec, const BlockKey *key)
{
    uint32_t index = jump_cache_index(key->pc, ec->ops->tcg.pc_shift);
    Block *block;

    if (chosen(ec)->jumps->entries[index].pc != key->pc) {
        return NULL;
    }
    block = chosen(ec)->jumps->blocks[index];
    return block->dead ? NULL : block;
}

static void log_block(EngineCpu *ec, const Block *block)
{
    log_if(LOG_EXEC, "cpu %d runs %" PRIx64 ":%" PRIx64 " flags %" PRIx64 " phys %" PRIx64 "\n",
           ec->cpu->index, block->key.base, ec->ops->get_pc(ec->cpu) - block->key.base, block->key.flags,
           (uint64_t)block->key.phys);
    if (log_enabled(LOG_CPU) && ec->cpu->type->describe) {
        g_autofree char *text = ec->cpu->type->describe(ec->cpu, false);

        log_write(LOG_CPU, "%s\n", text);
    }
}

static bool may_link(const HostExit *exit, const Block *to)
{
    const Block *from = exit->block->engine;

    return !exit->link && !from->dead && !to->dead && !from->variant && !to->variant && to->code && !to->host2 &&
           exit->pc == to->key.pc && from->key.flags == to->key.flags && from->key.base == to->key.base &&
           from->key.pic_bits == to->key.pic_bits;
}

/* A direct exit has led here: next time it goes without us. */
static void try_link(EngineCpu *ec, HostExit *exit, const Lookup *found)
{
    Block *from, *to = found->block;

    g_mutex_lock(&tb_lock);
    from = exit->block->engine;
    if (!exit->cached) {
        if (may_link(exit, to) && ((uintptr_t)from->host & PAGE_MASK) == ((uintptr_t)to->host & PAGE_MASK)) {
            code_block_link(exit, to);
        }
    } else if (found->global && may_link(exit, to) && far_links_allowed(ec)) {
        globals_note_link(ec, code_address(ec, &to->key));
        code_block_link(exit, to);
    } else if (!exit->link && !from->dead) {
        code_block_link_cached(exit);
    }
    g_mutex_unlock(&tb_lock);
}

static TcgExit execute(EngineCpu *ec, Block *block, HostExit **exit)
{
    TcgExit why;

    if (block->key.pic_bits) {
        ec->cpu->hot->pic_page = ec->ops->get_pc(ec->cpu) & PAGE_MASK;
    }
    if (verify_wanted(block)) {
        return verify_run(ec, block, exit);
    }
    if (block->code) {
        return tcg_enter(ec->cpu->state, block->code->code, exit);
    }
    ec->current = block;
    why = tcg_interpret(ec->cpu->state, block->ir, NULL, NULL);
    ec->current = NULL;
    return why == TCG_EXIT_UNCHAINED ? TCG_EXIT_LOOKUP : why;
}

/* The block to run, linked to the exit that led here. NULL: the fetch faulted. */
static Lookup next_block(EngineCpu *ec, unsigned variant, HostExit *came_from)
{
    Lookup found = { 0 };
    BlockKey key = { 0 };

    ec->ops->block_key(ec->cpu, &key);
    check_mode(ec, &key);
    if (came_from && ec->evictions_seen != eviction_count) {
        came_from = NULL; /* the block that the exit is in may have been evicted meanwhile */
    }
    /* Whether its page is global, which is to be known where a far exit may be linked to it, the cache does not say. */
    if (!variant && !chaining_off() && !(came_from && came_from->cached)) {
        found.block = cached_block(ec, &key);
    }
    if (!found.block) {
        found = translate_lookup(ec, &key, variant);
        if (!found.block) {
            return found;
        }
        if (!variant && !found.once && !chaining_off()) {
            chosen(ec)->jumps->pic_bits = key.pic_bits;
            jumps_insert(ec, key.pc, found.block, found.global);
        }
    }
    /* A translation may have evicted it too. */
    if (came_from && !found.once && !chaining_off() && ec->evictions_seen == eviction_count) {
        try_link(ec, came_from, &found);
    }
    return found;
}

static void attend_sites(EngineCpu *ec)
{
    TcgSites *sites = tcg_sites(ec->cpu->state);

    if (G_UNLIKELY(sites->tired)) {
        code_site_tired(sites->tired);
        sites->tired = NULL;
    }
}

/* Runs from the block of the state's key; *from is the exit that led to it, and then to the next. */
static TcgExit run_blocks(EngineCpu *ec, HostExit **from)
{
    unsigned variant = ec->next_variant;
    bool exclusive = ec->next_exclusive;
    TcgExit why = TCG_EXIT_POLL;
    Lookup found;

    ec->next_variant = 0;
    ec->next_exclusive = false;
    if (atomic_load(&ec->single_step)) {
        variant |= VARIANT_STEP;
    }
    enter_blocks(ec);
    if (exclusive) {
        exclusive_begin(ec);
    }
    found = next_block(ec, variant, *from);
    *from = NULL;
    ec->evictions_seen = eviction_count;
    if (found.block) {
        if (log_enabled(LOG_EXEC | LOG_CPU)) {
            log_block(ec, found.block);
        }
        if (enter_code(ec)) {
            ec->variant = variant;
            ec->finds_in_code = !variant && !exclusive && !chaining_off() && !debug_has_breakpoints();
            tcg_sites(ec->cpu->state)->tired = NULL; /* what an exception left: its block may be gone */
            why = execute(ec, found.block, from);
            leave_code(ec);
            attend_sites(ec);
            if (why == TCG_EXIT_POLL) {
                hot_sample(ec);
            }
        } else { /* again, with the same variant */
            ec->next_variant = variant & ~VARIANT_STEP;
            ec->next_exclusive = exclusive;
        }
        if (found.once) {
            translate_discard(found.block);
            *from = NULL;
        }
    }
    if (exclusive) {
        exclusive_end(ec);
    }
    leave_blocks(ec);
    return found.block ? why : tcg_protect(ec->cpu->state, call_fetch_fault);
}

static void handle_exit(EngineCpu *ec, TcgExit why)
{
    ec->n_exits[why % G_N_ELEMENTS(ec->n_exits)]++;
    ec->cpu->exits++;
    switch (why) {
    case TCG_EXIT_EXCEPTION:
        deliver(ec);
        break;
    case TCG_EXIT_HALT:
        atomic_store(&ec->cpu->halted, true);
        break;
    case TCG_EXIT_DEBUG:
        /* A breakpoint of the guest's own is an exception; the rest is a debugger's. */
        if (ec->ops->guest_debug_exception && ec->ops->guest_debug_exception(ec->cpu)) {
            deliver(ec);
        } else {
            debug_exit(ec);
        }
        break;
    case TCG_EXIT_YIELD:
        if (cpu_count() > 1) {
            g_thread_yield();
        }
        break;
    default:
        break;
    }
}

void *cpu_thread(void *opaque)
{
    EngineCpu *ec = opaque;
    HostExit *from = NULL;

    cpu_set_current(ec->cpu);
    for (;;) {
        TcgExit why;

        if (!attend(ec)) {
            from = NULL;
            if (accel_cpu_leaves(ec->cpu)) {
                break;
            }
            continue;
        }
        if (engine_options.single_thread) {
            take_turn(ec);
        }
        why = run_blocks(ec, &from);
        if (engine_options.single_thread) {
            give_turn(ec);
        }
        if (why != TCG_EXIT_UNCHAINED) {
            from = NULL;
        }
        if (G_UNLIKELY(ec->guest_hits)) {
            if (debug_guest_hits(ec, why)) {
                deliver(ec);
                why = why == TCG_EXIT_EXCEPTION ? TCG_EXIT_LOOKUP : why;
            }
            from = NULL;
        }
        handle_exit(ec, why);
        if (ec->watch_hit && !ec->next_variant) {
            ec->watch_hit = false;
            ec->ignore_watch = false;
            debug_stop(ec, ec->watch_kind, ec->watch_addr);
        }
    }
    return NULL;
}
