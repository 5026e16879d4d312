/*
 * What debuggers set: breakpoints, watchpoints, single steps; and what the guest watches itself.
 *
 * Breakpoints are part of translations, so all blocks go when one changes. A watched page has no
 * TLB table entries; an access that hits is left before it happens, done again as a block of one
 * instruction, and reported after that. The guest's own ranges work the same way, but their hits are
 * noted while that block runs and go to the target behind it.
 */
#include "accel/internal.h"
#include "accel/tcg/internal.h"

#include "core/lock.h"

typedef struct Breakpoint {
    VirtAddr addr;
    bool guest; /* the guest set it, in its debug registers */
} Breakpoint;

static GArray *breakpoints; /* of Breakpoint */
static GMutex breakpoint_mutex;

static int find_breakpoint(VirtAddr addr, bool guest)
{
    for (guint i = 0; breakpoints && i < breakpoints->len; i++) {
        Breakpoint *b = &g_array_index(breakpoints, Breakpoint, i);

        if (b->addr == addr && b->guest == guest) {
            return i;
        }
    }
    return -1;
}

static bool has_breakpoint(VirtAddr addr, bool guest)
{
    bool found;

    if (!breakpoints) {
        return false;
    }
    g_mutex_lock(&breakpoint_mutex);
    found = find_breakpoint(addr, guest) >= 0;
    g_mutex_unlock(&breakpoint_mutex);
    return found;
}

bool debug_has_breakpoint(VirtAddr addr)
{
    return has_breakpoint(addr, false) || has_breakpoint(addr, true);
}

bool debug_has_breakpoints(void)
{
    bool any;

    if (!breakpoints) {
        return false;
    }
    g_mutex_lock(&breakpoint_mutex);
    any = breakpoints->len > 0;
    g_mutex_unlock(&breakpoint_mutex);
    return any;
}

static void drop_blocks(void)
{
    g_mutex_lock(&tb_lock);
    blocks_kill_all();
    g_mutex_unlock(&tb_lock);
}

bool debug_in_use(void)
{
    bool used = false;

    g_mutex_lock(&breakpoint_mutex);
    for (guint i = 0; breakpoints && i < breakpoints->len; i++) {
        used |= !g_array_index(breakpoints, Breakpoint, i).guest;
    }
    g_mutex_unlock(&breakpoint_mutex);
    for (int i = 0; i < cpu_count(); i++) {
        used |= engine_cpu(cpu_get(i))->watchpoints->len > 0;
    }
    return used;
}

/* What a CPU's own thread sets is the guest's. */
bool debug_insert_breakpoint(Cpu *cpu, VirtAddr addr)
{
    Breakpoint b = { addr, cpu_current() == cpu };

    g_mutex_lock(&breakpoint_mutex);
    if (!breakpoints) {
        breakpoints = g_array_new(FALSE, FALSE, sizeof(Breakpoint));
    }
    if (find_breakpoint(addr, b.guest) < 0) {
        g_array_append_val(breakpoints, b);
    }
    g_mutex_unlock(&breakpoint_mutex);
    drop_blocks();
    return true;
}

bool debug_remove_breakpoint(Cpu *cpu, VirtAddr addr)
{
    bool guest = cpu_current() == cpu;
    int at;

    g_mutex_lock(&breakpoint_mutex);
    at = find_breakpoint(addr, guest);
    if (at < 0) {
        at = find_breakpoint(addr, !guest); /* a reset takes the guest's back from outside */
    }
    if (at >= 0) {
        g_array_remove_index_fast(breakpoints, at);
    }
    g_mutex_unlock(&breakpoint_mutex);
    drop_blocks();
    return at >= 0;
}

void debug_breakpoints_changed(Cpu *cpu)
{
    tcg_fp_sync(cpu->state);
    drop_blocks();
    cpu_request(cpu, CPU_REQ_EXIT);
}

static void flush_now(Cpu *cpu, void *data)
{
    engine_flush_all(cpu);
}

bool debug_insert_watchpoint(Cpu *cpu, VirtAddr addr, VirtAddr size, bool on_read, bool on_write)
{
    Watchpoint watch = { addr, size, on_read, on_write };
    EngineCpu *ec = engine_cpu(cpu);

    if (size == 0) {
        return false;
    }
    g_array_append_val(ec->watchpoints, watch);
    accel_cpu_run(cpu, flush_now, NULL);
    return true;
}

bool debug_remove_watchpoint(Cpu *cpu, VirtAddr addr, VirtAddr size, bool on_read, bool on_write)
{
    EngineCpu *ec = engine_cpu(cpu);

    for (guint i = 0; i < ec->watchpoints->len; i++) {
        Watchpoint *watch = &g_array_index(ec->watchpoints, Watchpoint, i);

        if (watch->addr == addr && watch->size == size && watch->on_read == on_read &&
            watch->on_write == on_write) {
            g_array_remove_index_fast(ec->watchpoints, i);
            accel_cpu_run(cpu, flush_now, NULL);
            return true;
        }
    }
    return false;
}

void debug_set_single_step(Cpu *cpu, bool on)
{
    atomic_store(&engine_cpu(cpu)->single_step, on);
    cpu_request(cpu, CPU_REQ_EXIT);
}

static bool hits(const Watchpoint *watch, VirtAddr addr, uint64_t size)
{
    return addr <= watch->addr + (watch->size - 1) && watch->addr <= addr + (size - 1);
}

bool debug_page_watched(EngineCpu *ec, uint64_t page)
{
    for (guint i = 0; i < ec->watchpoints->len; i++) {
        if (hits(&g_array_index(ec->watchpoints, Watchpoint, i), page, GUEST_PAGE_SIZE)) {
            return true;
        }
    }
    for (unsigned i = 0; i < GUEST_WATCHES; i++) {
        if (ec->guest_watch[i].size && hits(&ec->guest_watch[i], page, GUEST_PAGE_SIZE)) {
            return true;
        }
    }
    return false;
}

/* What is known of the page does not say whether it is watched now. */
static void forget_page(EngineCpu *ec, VirtAddr addr)
{
    engine_flush_page(ec->cpu, addr);
    globals_drop_page(ec, addr & PAGE_MASK);
}

void debug_guest_watch(Cpu *cpu, unsigned index, VirtAddr addr, unsigned size, bool on_read,
                       bool on_write)
{
    EngineCpu *ec = engine_cpu(cpu);
    Watchpoint *watch, old;

    if (!ec) {
        return;
    }
    watch = &ec->guest_watch[index];
    if (watch->size == size && (!size || (watch->addr == addr && watch->on_read == on_read &&
                                          watch->on_write == on_write))) {
        return;
    }
    if (cpu_current() == cpu) {
        tcg_fp_sync(cpu->state);
    }
    old = *watch;
    *watch = (Watchpoint){ addr, size, on_read, on_write };
    ec->guest_watches += (size != 0) - (old.size != 0);
    if (old.size) {
        forget_page(ec, old.addr);
        forget_page(ec, old.addr + old.size - 1);
    }
    if (size) {
        forget_page(ec, addr);
        forget_page(ec, addr + size - 1);
    }
}

void debug_guest_report(Cpu *cpu, unsigned hits)
{
    engine_cpu(cpu)->guest_hits |= hits;
    cpu_request(cpu, CPU_REQ_EXIT);
}

bool debug_guest_hits(EngineCpu *ec, TcgExit why)
{
    unsigned found = ec->guest_hits;

    ec->guest_hits = 0;
    return why != TCG_EXIT_HALT &&
           ec->ops->watch_hits(ec->cpu, found, why == TCG_EXIT_EXCEPTION);
}

/* The instruction again, alone. */
static void restart_single(EngineCpu *ec, uintptr_t retaddr)
{
    ec->guest_hits = 0;
    ec->next_variant = VARIANT_SINGLE;
    if (retaddr) {
        tcg_restore(ec->cpu->state, retaddr);
    }
    tcg_unwind(ec->cpu->state, TCG_EXIT_LOOKUP);
}

static void check_guest_watch(EngineCpu *ec, VirtAddr addr, unsigned size, bool is_store,
                              bool probe, uintptr_t retaddr)
{
    unsigned found = 0;

    for (unsigned i = 0; i < GUEST_WATCHES; i++) {
        const Watchpoint *watch = &ec->guest_watch[i];

        if (watch->size && hits(watch, addr, size) && (is_store ? watch->on_write : watch->on_read)) {
            found |= 1u << i;
        }
    }
    if (!found) {
        return;
    }
    if (ec->ops->watch_before) {
        ec->ops->watch_before(ec->cpu, found, addr, is_store, retaddr);
        return;
    }
    if (!ec->variant && (retaddr || ec->current) && ec->ops->watch_restartable(ec->cpu)) {
        restart_single(ec, retaddr);
    }
    if (!probe) {
        /* Repeated instructions look at requests between elements. */
        debug_guest_report(ec->cpu, found);
    }
}

void debug_check_watch(EngineCpu *ec, VirtAddr addr, unsigned size, bool is_store, bool probe,
                       uintptr_t retaddr)
{
    if (!ec->in_code) {
        return;
    }
    tcg_fp_sync(ec->cpu->state);
    if (ec->guest_watches) {
        check_guest_watch(ec, addr, size, is_store, probe, retaddr);
    }
    if (ec->ignore_watch) {
        return;
    }
    for (guint i = 0; i < ec->watchpoints->len; i++) {
        Watchpoint *watch = &g_array_index(ec->watchpoints, Watchpoint, i);

        if (!hits(watch, addr, size) || !(is_store ? watch->on_write : watch->on_read)) {
            continue;
        }
        ec->watch_kind = watch->on_read && watch->on_write ? DEBUG_WATCH_ACCESS
                         : watch->on_read                  ? DEBUG_WATCH_READ
                                                           : DEBUG_WATCH_WRITE;
        ec->watch_addr = watch->addr;
        ec->watch_hit = true;
        ec->ignore_watch = true;
        if (ec->ops->watch_restartable && !ec->ops->watch_restartable(ec->cpu)) {
            return; /* reported behind the block */
        }
        restart_single(ec, retaddr);
    }
}

/* The listener stops the machine; until that has come about this CPU stands already. */
void debug_stop(EngineCpu *ec, int why, VirtAddr addr)
{
    if (!accel_debug_stop_fn) {
        return;
    }
    accel_cpu_pause_self(ec->cpu);
    machine_lock();
    accel_debug_stop_fn(ec->cpu, why, addr);
    machine_unlock();
}

TcgExit debug_exit(EngineCpu *ec)
{
    VirtAddr pc = ec->ops->get_pc(ec->cpu);
    bool again = ec->was_stopped && ec->stopped_at == pc;

    ec->was_stopped = false;
    if (has_breakpoint(pc, false) && !again && accel_debug_stop_fn) {
        ec->was_stopped = true;
        ec->stopped_at = pc;
        debug_stop(ec, DEBUG_BREAKPOINT, pc);
        return TCG_EXIT_DEBUG;
    }
    if (has_breakpoint(pc, true) && ec->ops->guest_debug_exception &&
        ec->ops->guest_debug_exception(ec->cpu)) {
        return TCG_EXIT_EXCEPTION;
    }
    if (debug_has_breakpoint(pc)) {
        /* Reported, or not to be: the instruction runs without it. */
        ec->next_variant = VARIANT_SINGLE;
    } else if (atomic_load(&ec->single_step)) {
        debug_stop(ec, DEBUG_STEP, pc);
    }
    return TCG_EXIT_DEBUG;
}
