/*
 * Guest memory for translated code and helpers, where the inline check of a TLB table missed.
 *
 * Compiled for general registers only: guest vectors are in the host's registers. Page walks and
 * devices are ordinary C, so tcg_fp_sync comes before them. An access that cannot be done leaves by
 * tcg_unwind with nothing changed.
 */
#include "accel/tcg/internal.h"

#define CLEAN_FLAGS (PAGE_CLEAN_DISPLAY | PAGE_CLEAN_MIGRATION)

static uint64_t read_host(const void *p, unsigned size)
{
    switch (size) {
    case 1:
        return *(const volatile uint8_t *)p;
    case 2:
        return *(const volatile uint16_t *)p;
    case 4:
        return *(const volatile uint32_t *)p;
    default:
        return *(const volatile uint64_t *)p;
    }
}

static void write_host(void *p, uint64_t value, unsigned size)
{
    switch (size) {
    case 1:
        *(volatile uint8_t *)p = value;
        break;
    case 2:
        *(volatile uint16_t *)p = value;
        break;
    case 4:
        *(volatile uint32_t *)p = value;
        break;
    default:
        *(volatile uint64_t *)p = value;
        break;
    }
}

static unsigned page_offset(uint64_t addr)
{
    return addr & (GUEST_PAGE_SIZE - 1);
}

static bool crosses_page(uint64_t addr, unsigned size)
{
    return page_offset(addr) + size > GUEST_PAGE_SIZE;
}

/*
 * One that is smaller than those that tables have. It is taken for a device's: each access asks for it again, and each instruction
 * there is translated when it runs.
 */
static PageEntry *note_small_page(EngineCpu *ec, uint64_t tag, uint64_t addr, const MmuResult *result)
{
    ec->small_page = (PageEntry){
        .tag = tag, .phys = result->phys + (addr & (SMALL_PAGE - 1)) - page_offset(addr),
        .prot = (result->readable ? PROT_LOAD : 0) | (result->writable ? PROT_STORE : 0) | (result->executable ? PROT_FETCH : 0) | PROT_SMALL,
    };
    if ((ec->watchpoints->len || ec->guest_watches) && debug_page_watched(ec, addr & PAGE_MASK)) {
        ec->small_page.prot |= PROT_WATCH;
    }
    return &ec->small_page;
}

/* What is behind a page that a walk found. */
static PageEntry *insert_page(EngineCpu *ec, uint64_t tag, uint64_t addr, const MmuResult *result)
{
    MemoryRange range = address_space_find(ec->cpu->memory, result->phys);
    PageSets *sets = result->global ? &ec->globals->pages : &ec->context->pages;
    PageEntry *old = pages_find(result->global ? &ec->context->pages : &ec->globals->pages, tag);
    PageEntry *entry;

    if (!result->global) {
        context_note_walk(ec, addr & PAGE_MASK, result);
    }
    entry = pages_slot(sets, tag);
    if (old) {
        old->generation = 0;
    }
    entry->tag = tag;
    entry->generation = sets->generation;
    entry->phys = result->phys;
    entry->host = NULL;
    entry->flags = NULL;
    entry->ram = NULL;
    entry->prot = (result->readable ? PROT_LOAD : 0) | (result->writable ? PROT_STORE : 0) |
                  (result->executable ? PROT_FETCH : 0) | (result->global ? PROT_GLOBAL : 0);
    if (range.ram && result->phys >= range.start &&
        range.last - result->phys >= GUEST_PAGE_SIZE - 1 &&
        ((range.offset + (result->phys - range.start)) & (GUEST_PAGE_SIZE - 1)) == 0) {
        uint64_t offset = range.offset + (result->phys - range.start);

        entry->ram = range.ram;
        entry->host = range.ram->host + offset;
        entry->flags = &range.ram->page_flags[offset >> GUEST_PAGE_BITS];
        if (range.readonly || range.ram->readonly) {
            entry->prot |= PROT_ROM;
        }
    }
    if ((ec->watchpoints->len || ec->guest_watches) && debug_page_watched(ec, addr & PAGE_MASK)) {
        entry->prot |= PROT_WATCH;
    }
    if (result->page_size > GUEST_PAGE_SIZE) {
        large_add(result->global ? &ec->globals->large : &ec->context->large, addr, result->page_size);
    }
    return entry;
}

PageEntry *mmu_known_page(EngineCpu *ec, uint64_t tag)
{
    bool upper_half = tag >> 63; /* of the address space, where 64-bit kernels are, whose pages are global */
    PageSets *own = &ec->context->pages, *global = &ec->globals->pages;
    PageEntry *entry = pages_find(upper_half ? global : own, tag);

    return entry ? entry : pages_find(upper_half ? own : global, tag);
}

PageEntry *mmu_page_or_null(EngineCpu *ec, uint64_t addr, MmuAccess access, unsigned mode)
{
    uint64_t tag = (addr & PAGE_MASK) | mode;
    PageEntry *entry;
    MmuResult result;

    if (!ec->context) {
        engine_update_mode(ec->cpu);
    }
    entry = mmu_known_page(ec, tag);
    if (entry && entry->prot & 1 << access) {
        return entry;
    }
    ec->n_walks++;
    tcg_fp_sync(ec->cpu->state);
    result.n_reads = 0;
    if (!ec->ops->walk(ec->cpu, addr, access, mode, false, &result)) {
        return NULL;
    }
    return result.page_size < GUEST_PAGE_SIZE ? note_small_page(ec, tag, addr, &result) : insert_page(ec, tag, addr, &result);
}

PageEntry *mmu_page(EngineCpu *ec, uint64_t addr, MmuAccess access, unsigned mode, uintptr_t retaddr)
{
    PageEntry *entry = mmu_page_or_null(ec, addr, access, mode);

    if (entry) {
        return entry;
    }
    if (retaddr) {
        tcg_restore(ec->cpu->state, retaddr);
    }
    ec->ops->raise_mmu_fault(ec->cpu, addr, access, mode);
    g_assert_not_reached();
}

/* How many bytes of an access from addr on are on the page of the entry. */
static unsigned bytes_on_page(const PageEntry *entry, uint64_t addr, unsigned size)
{
    unsigned page = G_UNLIKELY(entry->prot & PROT_SMALL) ? SMALL_PAGE : GUEST_PAGE_SIZE;

    return MIN(size, page - (addr & (page - 1)));
}

static bool is_io(const PageEntry *entry, bool store)
{
    return !entry->host || (store && entry->prot & PROT_ROM);
}

static uint64_t io_load(EngineCpu *ec, PhysAddr phys, unsigned size)
{
    tcg_fp_sync(ec->cpu->state);
    if (ec->ops->bus_error && !address_space_find(ec->cpu->memory, phys).region) {
        ec->ops->bus_error(ec->cpu, phys, MMU_LOAD);
    }
    return memory_load(ec->cpu->memory, phys, size);
}

static void io_store(EngineCpu *ec, PhysAddr phys, uint64_t value, unsigned size)
{
    tcg_fp_sync(ec->cpu->state);
    if (ec->ops->bus_error && !address_space_find(ec->cpu->memory, phys).region) {
        ec->ops->bus_error(ec->cpu, phys, MMU_STORE);
    }
    memory_store(ec->cpu->memory, phys, value, size);
}

static CodePage *code_page_of(const PageEntry *entry)
{
    RamBlock *ram = entry->ram;
    void **table = __atomic_load_n(&ram->page_data, __ATOMIC_ACQUIRE);

    return table ? __atomic_load_n(&table[entry_page(entry)], __ATOMIC_ACQUIRE) : NULL;
}

/* Whether blocks derive from any of the bytes, as far as the page's bit map knows. */
static bool is_code(const PageEntry *entry, unsigned offset, unsigned size)
{
    CodePage *page = code_page_of(entry);

    for (unsigned at = offset, n; page && at < offset + size; at += n) {
        uint64_t word = atomic_load_explicit(&page->bytes[at / 64], memory_order_relaxed);

        n = MIN(64 - at % 64, offset + size - at);
        if (word >> at % 64 & (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1)) {
            return true;
        }
    }
    return false;
}

/* RAM is about to be written: tells those who watch the page. May not return. */
static void prepare_store(EngineCpu *ec, const PageEntry *entry, unsigned offset, unsigned size,
                          uintptr_t retaddr)
{
    uint8_t flags = atomic_load_explicit(entry->flags, memory_order_relaxed);

    if (G_LIKELY(!flags)) {
        return;
    }
    if (flags & PAGE_CODE && is_code(entry, offset, size)) {
        tcg_fp_sync(ec->cpu->state);
        smc_store(ec, entry, offset, size, retaddr);
    }
    if (flags & CLEAN_FLAGS) {
        atomic_fetch_and(entry->flags, (uint8_t)~CLEAN_FLAGS);
    }
}

static bool is_held(const PageEntry *entry)
{
    CodePage *page = code_page_of(entry);

    return page && atomic_load_explicit(&page->holds, memory_order_acquire);
}

/*
 * It is written. With other CPUs about, one may have translated the bytes in between, or be about to: either it reads the new
 * ones, or the hold that it took before is seen here, and its block when it is in the index. Holds are looked at first: once one is
 * gone, the page's bit map has its block.
 */
static void finish_store(EngineCpu *ec, const PageEntry *entry, unsigned offset, unsigned size)
{
    if (cpu_count() <= 1 && !entry->ram->logged) {
        return;
    }
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(entry->flags) & CLEAN_FLAGS) { /* the log was read between prepare_store and the store, and perhaps the bytes too */
        atomic_fetch_and(entry->flags, (uint8_t)~CLEAN_FLAGS);
    }
    if (cpu_count() > 1 && atomic_load(entry->flags) & PAGE_CODE && (is_held(entry) || is_code(entry, offset, size))) {
        tcg_fp_sync(ec->cpu->state);
        smc_stored(entry, offset, size);
    }
}

/* Where the bytes are if a table of the TLB has their page, and they do not go on in another one; else NULL. */
static void *tlb_host(const Tlb *tlb, const TlbEntry *table, uint64_t addr, unsigned size)
{
    return table && !crosses_page(addr, size) ? tlb_lookup(table, tlb->mask, addr) : NULL;
}

static void check_watch(EngineCpu *ec, const PageEntry *entry, uint64_t addr, unsigned size,
                        bool store, uintptr_t retaddr)
{
    if (entry->prot & PROT_WATCH) {
        debug_check_watch(ec, addr, size, store, false, retaddr);
    }
}

/* For a probe, which must not let an instruction go halfway that is then done again. */
static void check_watch_early(EngineCpu *ec, const PageEntry *entry, uint64_t addr, unsigned size,
                              bool store, uintptr_t retaddr)
{
    if (G_UNLIKELY(entry->prot & PROT_WATCH)) {
        debug_check_watch(ec, addr, size, store, true, retaddr);
    }
}

static uint64_t load_part(EngineCpu *ec, const PageEntry *entry, unsigned offset, unsigned size)
{
    return is_io(entry, false) ? io_load(ec, entry->phys + offset, size)
                               : read_host(entry->host + offset, size);
}

static void store_part(EngineCpu *ec, const PageEntry *entry, unsigned offset, uint64_t value,
                       unsigned size)
{
    if (is_io(entry, true)) {
        io_store(ec, entry->phys + offset, value, size);
        return;
    }
    write_host(entry->host + offset, value, size);
    finish_store(ec, entry, offset, size);
}

/* The largest access of a power of two at this offset that stays within `size`. */
static unsigned piece(unsigned offset, unsigned size)
{
    for (unsigned n = 8; n > 1; n /= 2) {
        if (size >= n && offset % n == 0) {
            return n;
        }
    }
    return 1;
}

/* The guest's values are in vector registers, which memcpy() would take. */
static void copy_bytes(uint8_t *to, const uint8_t *from, unsigned size)
{
    for (unsigned done = 0, n; done < size; done += n) {
        n = piece(done, size - done);
        write_host(to + done, read_host(from + done, n), n);
    }
}

/* Any number of bytes up to a page: all of it is checked before any of it happens. */
static void load_range(EngineCpu *ec, uint64_t addr, uint8_t *out, unsigned size, unsigned mode,
                       uintptr_t retaddr)
{
    unsigned first;
    PageEntry entry[2];

    entry[0] = *mmu_page(ec, addr, MMU_LOAD, mode, retaddr);
    first = bytes_on_page(&entry[0], addr, size);
    check_watch(ec, &entry[0], addr, first, false, retaddr);
    if (size > first) {
        entry[1] = *mmu_page(ec, addr + first, MMU_LOAD, mode, retaddr);
        check_watch(ec, &entry[1], addr + first, size - first, false, retaddr);
    }
    for (unsigned done = 0, n; done < size; done += n) {
        const PageEntry *e = &entry[done >= first];
        unsigned left = done >= first ? size - done : first - done;

        n = piece(page_offset(addr + done), left);
        write_host(out + done, load_part(ec, e, page_offset(addr + done), n), n);
    }
}

static void store_range(EngineCpu *ec, uint64_t addr, const uint8_t *in, unsigned size,
                        unsigned mode, uintptr_t retaddr)
{
    unsigned first;
    PageEntry entry[2];

    entry[0] = *mmu_page(ec, addr, MMU_STORE, mode, retaddr);
    first = bytes_on_page(&entry[0], addr, size);
    if (size > first) {
        entry[1] = *mmu_page(ec, addr + first, MMU_STORE, mode, retaddr);
        check_watch(ec, &entry[1], addr + first, size - first, true, retaddr);
        if (!is_io(&entry[1], true)) {
            prepare_store(ec, &entry[1], 0, size - first, retaddr);
        }
    }
    check_watch(ec, &entry[0], addr, first, true, retaddr);
    if (!is_io(&entry[0], true)) {
        prepare_store(ec, &entry[0], page_offset(addr), first, retaddr);
    }
    for (unsigned done = 0, n; done < size; done += n) {
        const PageEntry *e = &entry[done >= first];
        unsigned left = done >= first ? size - done : first - done;

        n = piece(page_offset(addr + done), left);
        store_part(ec, e, page_offset(addr + done), read_host(in + done, n), n);
    }
}

static uint64_t load_crossing(EngineCpu *ec, uint64_t addr, unsigned size, unsigned mode,
                              uintptr_t retaddr)
{
    uint64_t value = 0;

    load_range(ec, addr, (uint8_t *)&value, size, mode, retaddr);
    return value;
}

static uint64_t mem_load(EngineCpu *ec, uint64_t addr, unsigned size, unsigned mode,
                         uintptr_t retaddr)
{
    Tlb *tlb = ec->tlb[mode];
    const void *host = tlb_host(tlb, tlb->load, addr, size);
    PageEntry *entry;

    if (host) {
        return read_host(host, size);
    }
    if (crosses_page(addr, size)) {
        return load_crossing(ec, addr, size, mode, retaddr);
    }
    entry = mmu_page(ec, addr, MMU_LOAD, mode, retaddr);
    if (G_UNLIKELY(bytes_on_page(entry, addr, size) < size)) {
        return load_crossing(ec, addr, size, mode, retaddr);
    }
    if (G_UNLIKELY(entry->prot & PROT_WATCH)) {
        check_watch(ec, entry, addr, size, false, retaddr);
    } else if (!is_io(entry, false)) {
        tlb_fill(ec, tlb, entry, addr & PAGE_MASK, true, false);
    }
    return load_part(ec, entry, page_offset(addr), size);
}

static void mem_store(EngineCpu *ec, uint64_t addr, uint64_t value, unsigned size, unsigned mode,
                      uintptr_t retaddr)
{
    Tlb *tlb = ec->tlb[mode];
    void *host = tlb_host(tlb, tlb->store, addr, size);
    PageEntry *entry;

    if (host) {
        write_host(host, value, size);
        return;
    }
    if (crosses_page(addr, size)) {
        store_range(ec, addr, (const uint8_t *)&value, size, mode, retaddr);
        return;
    }
    entry = mmu_page(ec, addr, MMU_STORE, mode, retaddr);
    if (G_UNLIKELY(bytes_on_page(entry, addr, size) < size)) {
        store_range(ec, addr, (const uint8_t *)&value, size, mode, retaddr);
        return;
    }
    check_watch(ec, entry, addr, size, true, retaddr);
    if (!is_io(entry, true)) {
        prepare_store(ec, entry, page_offset(addr), size, retaddr);
        if (!(entry->prot & PROT_WATCH) && !atomic_load(entry->flags)) {
            tlb_fill(ec, tlb, entry, addr & PAGE_MASK, false, true);
        }
    }
    store_part(ec, entry, page_offset(addr), value, size);
}

static unsigned mode_of(EngineCpu *ec, unsigned mem)
{
    return mem & IRM_KERNEL ? ec->kernel_mode : chosen(ec)->mode;
}

static void runtime_probe_store(void *state, uint64_t addr, unsigned size, unsigned mem,
                                uintptr_t retaddr)
{
    EngineCpu *ec = engine_of(state);
    unsigned mode = mode_of(ec, mem), first;
    PageEntry *entry;

    if (tlb_host(ec->tlb[mode], ec->tlb[mode]->store, addr, size)) {
        return;
    }
    entry = mmu_page(ec, addr, MMU_STORE, mode, retaddr);
    first = bytes_on_page(entry, addr, size);
    check_watch_early(ec, entry, addr, first, true, retaddr);
    if (size > first) {
        entry = mmu_page(ec, addr + first, MMU_STORE, mode, retaddr);
        check_watch_early(ec, entry, addr + first, size - first, true, retaddr);
    } else if (!is_io(entry, true)) {
        prepare_store(ec, entry, page_offset(addr), size, retaddr); /* of several stores, none is done before the block is left */
    }
}

static uint64_t runtime_load(void *state, uint64_t addr, unsigned size, unsigned mem,
                             uintptr_t retaddr)
{
    EngineCpu *ec = engine_of(state);
    unsigned mode = mode_of(ec, mem);

    if (mem & IRM_UPDATE) {
        PageEntry *entry;

        runtime_probe_store(state, addr, size, mem, retaddr);
        entry = mmu_page(ec, addr, MMU_STORE, mode, retaddr);
        if (!(entry->prot & 1 << MMU_LOAD) && !crosses_page(addr, size)) { /* keys of PowerPC's allow stores alone */
            check_watch(ec, entry, addr, size, false, retaddr);
            return load_part(ec, entry, page_offset(addr), size);
        }
    }
    return mem_load(ec, addr, size, mode, retaddr);
}

static void runtime_store(void *state, uint64_t addr, uint64_t value, unsigned size, unsigned mem,
                          uintptr_t retaddr)
{
    EngineCpu *ec = engine_of(state);

    mem_store(ec, addr, value, size, mode_of(ec, mem), retaddr);
}

/* Vector code may be the only one that touches a page: its next access should hit. */
static void fill_for_next(EngineCpu *ec, uint64_t addr, unsigned size, MmuAccess access)
{
    bool store = access == MMU_STORE;
    PageEntry *entry;

    if (crosses_page(addr, size)) {
        return;
    }
    entry = mmu_known_page(ec, (addr & PAGE_MASK) | chosen(ec)->mode);
    if (entry && entry->prot & 1 << access &&
        !(entry->prot & PROT_WATCH) && !is_io(entry, store) && !(store && atomic_load(entry->flags))) {
        tlb_fill(ec, ec->tlb[chosen(ec)->mode], entry, addr & PAGE_MASK, !store, store);
    }
}

static void runtime_load_bytes(void *state, uint64_t addr, void *buf, unsigned size,
                               uintptr_t retaddr)
{
    EngineCpu *ec = engine_of(state);
    Tlb *tlb = ec->tlb[chosen(ec)->mode];
    const void *host = tlb_host(tlb, tlb->load, addr, size);

    if (host) {
        copy_bytes(buf, host, size);
        return;
    }
    load_range(ec, addr, buf, size, chosen(ec)->mode, retaddr);
    fill_for_next(ec, addr, size, MMU_LOAD);
}

static void runtime_store_bytes(void *state, uint64_t addr, const void *buf, unsigned size,
                                uintptr_t retaddr)
{
    EngineCpu *ec = engine_of(state);
    Tlb *tlb = ec->tlb[chosen(ec)->mode];
    void *host = tlb_host(tlb, tlb->store, addr, size);

    if (host) {
        copy_bytes(host, buf, size);
        return;
    }
    store_range(ec, addr, buf, size, chosen(ec)->mode, retaddr);
    fill_for_next(ec, addr, size, MMU_STORE);
}

#define ATOMIC_ON(type)                                                                       \
    {                                                                                         \
        type *p = host, expected = b;                                                         \
        switch (op) {                                                                         \
        case IR_atomic_add:                                                                   \
            return __atomic_fetch_add(p, (type)b, __ATOMIC_SEQ_CST);                          \
        case IR_atomic_and:                                                                   \
            return __atomic_fetch_and(p, (type)b, __ATOMIC_SEQ_CST);                          \
        case IR_atomic_or:                                                                    \
            return __atomic_fetch_or(p, (type)b, __ATOMIC_SEQ_CST);                           \
        case IR_atomic_xor:                                                                   \
            return __atomic_fetch_xor(p, (type)b, __ATOMIC_SEQ_CST);                          \
        case IR_atomic_xchg:                                                                  \
            return __atomic_exchange_n(p, (type)b, __ATOMIC_SEQ_CST);                         \
        default:                                                                              \
            __atomic_compare_exchange_n(p, &expected, (type)c, false, __ATOMIC_SEQ_CST,       \
                                        __ATOMIC_SEQ_CST);                                    \
            return expected;                                                                  \
        }                                                                                     \
    }

static uint64_t atomic_on_host(void *host, unsigned op, uint64_t b, uint64_t c, unsigned size)
{
    switch (size) {
    case 1:
        ATOMIC_ON(uint8_t)
    case 2:
        ATOMIC_ON(uint16_t)
    case 4:
        ATOMIC_ON(uint32_t)
    default:
        ATOMIC_ON(uint64_t)
    }
}

/* Does the instruction again while all other CPUs stand. */
static void restart_exclusive(EngineCpu *ec, uintptr_t retaddr)
{
    if (retaddr) {
        tcg_restore(ec->cpu->state, retaddr);
    }
    ec->guest_hits = 0;
    ec->next_exclusive = true;
    ec->next_variant = VARIANT_SINGLE;
    tcg_unwind(ec->cpu->state, TCG_EXIT_LOOKUP);
}

static void engine_exclusive(Cpu *cpu, uintptr_t retaddr)
{
    EngineCpu *ec = cpu->engine;

    if (cpu_count() > 1 && !engine_options.single_thread && !ec->exclusive && ec->in_code) {
        restart_exclusive(ec, retaddr);
    }
}

static uint64_t runtime_atomic(void *state, uint64_t addr, unsigned op_size, uint64_t b, uint64_t c,
                               uintptr_t retaddr)
{
    EngineCpu *ec = engine_of(state);
    unsigned op = op_size >> 8, size = op_size & 0xff;
    PageEntry *entry = mmu_page(ec, addr, MMU_STORE, chosen(ec)->mode, retaddr);
    uint64_t old;

    if (!crosses_page(addr, size) && !is_io(entry, true)) {
        check_watch(ec, entry, addr, size, true, retaddr);
        prepare_store(ec, entry, page_offset(addr), size, retaddr);
        if (!(entry->prot & PROT_WATCH) && !atomic_load(entry->flags)) { /* counters of a kernel's may be all that is stored there */
            tlb_fill(ec, ec->tlb[chosen(ec)->mode], entry, addr & PAGE_MASK, false, true);
        }
        old = atomic_on_host(entry->host + page_offset(addr), op, b, c, size);
        finish_store(ec, entry, page_offset(addr), size);
        return old;
    }
    if (cpu_count() > 1 && !engine_options.single_thread && !ec->exclusive && ec->in_code) {
        restart_exclusive(ec, retaddr);
    }
    if (crosses_page(addr, size)) {
        mmu_page(ec, (addr + size - 1) & PAGE_MASK, MMU_STORE, chosen(ec)->mode, retaddr);
    }
    old = mem_load(ec, addr, size, chosen(ec)->mode, retaddr);
    mem_store(ec, addr, ir_atomic_result(op, old, b, c, size), size, chosen(ec)->mode, retaddr);
    return old;
}

static void runtime_unaligned(void *state, uint64_t addr, bool is_store, uintptr_t retaddr)
{
    EngineCpu *ec = engine_of(state);

    if (retaddr) {
        tcg_restore(state, retaddr);
    }
    ec->ops->raise_alignment(ec->cpu, addr, is_store);
}

#define SIGNAL_FP 8 /* SIGFPE; <signal.h> is no part of this file's world */

static void runtime_host_fault(void *state, int signal, int code, uintptr_t host_pc)
{
    EngineCpu *ec = engine_of(state);

    if (signal == SIGNAL_FP) {
        ec->ops->raise_host_fp(ec->cpu, signal, code);
    } else {
        ec->ops->raise_alignment(ec->cpu, 0, false);
    }
    tcg_unwind(state, TCG_EXIT_EXCEPTION);
}

const TcgRuntime mmu_runtime = {
    .load = runtime_load,
    .store = runtime_store,
    .load_bytes = runtime_load_bytes,
    .store_bytes = runtime_store_bytes,
    .probe_store = runtime_probe_store,
    .atomic = runtime_atomic,
    .unaligned = runtime_unaligned,
    .host_fault = runtime_host_fault,
    .find_block = code_block_of_host_pc,
    .find_code = lookup_in_code,
};

static uint64_t helper_load(Cpu *cpu, VirtAddr addr, unsigned size, unsigned mode, uintptr_t retaddr)
{
    EngineCpu *ec = engine_cpu(cpu);

    if (!ec->context) {
        engine_update_mode(cpu);
    }
    return mem_load(ec, addr, size, mode, retaddr);
}

static void helper_store(Cpu *cpu, VirtAddr addr, uint64_t value, unsigned size, unsigned mode,
                         uintptr_t retaddr)
{
    EngineCpu *ec = engine_cpu(cpu);

    if (!ec->context) {
        engine_update_mode(cpu);
    }
    mem_store(ec, addr, value, size, mode, retaddr);
}

static void *helper_probe(Cpu *cpu, VirtAddr addr, unsigned size, MmuAccess access, unsigned mode,
                          uintptr_t retaddr)
{
    EngineCpu *ec = engine_cpu(cpu);
    bool store = access == MMU_STORE;
    Tlb *tlb = ec->tlb[mode];
    PageEntry *entry;
    void *host = tlb && access != MMU_FETCH ? tlb_host(tlb, store ? tlb->store : tlb->load, addr, size) : NULL;

    if (host) {
        return host;
    }
    entry = mmu_page(ec, addr, access, mode, retaddr);
    tlb = ec->tlb[mode];
    if (bytes_on_page(entry, addr, size) < size) {
        unsigned first = bytes_on_page(entry, addr, size);

        if (access != MMU_FETCH) {
            check_watch_early(ec, entry, addr, first, store, retaddr);
        }
        entry = mmu_page(ec, addr + first, access, mode, retaddr);
        if (access != MMU_FETCH) {
            check_watch_early(ec, entry, addr + first, size - first, store, retaddr);
        }
        return NULL;
    }
    if (G_UNLIKELY(entry->prot & PROT_WATCH) && access != MMU_FETCH) {
        check_watch_early(ec, entry, addr, size, store, retaddr);
        return NULL; /* the accesses themselves are what counts */
    }
    if (is_io(entry, store)) {
        return NULL;
    }
    if (store) {
        prepare_store(ec, entry, page_offset(addr), size, retaddr);
        note_stores(entry);
        if (cpu_count() > 1 && atomic_load(entry->flags) & PAGE_CODE) {
            return NULL; /* another one may translate the bytes before they are written: see finish_store */
        }
    }
    if (access != MMU_FETCH && !(store && atomic_load(entry->flags))) { /* the next one need not ask */
        tlb_fill(ec, tlb, entry, addr & PAGE_MASK, !store, store);
    }
    return entry->host + page_offset(addr);
}

const EngineOps tcg_engine_ops = {
    .load = helper_load,
    .store = helper_store,
    .probe = helper_probe,
    .flush_all = engine_flush_all,
    .flush_space = engine_flush_space,
    .flush_spaces = engine_flush_spaces,
    .renew_space = engine_renew_space,
    .flush_page = engine_flush_page,
    .flush_pages = engine_flush_pages,
    .flush_pages_everywhere = cpus_flush_pages,
    .flush_all_everywhere = cpus_flush_all,
    .update_mode = engine_update_mode,
    .change_mode = engine_change_mode,
    .keep_mode = engine_keep_mode,
    .breakpoints_changed = debug_breakpoints_changed,
    .code_differs = smc_code_differs,
    .exclusive = engine_exclusive,
    .watch = debug_guest_watch,
    .watch_report = debug_guest_report,
};
