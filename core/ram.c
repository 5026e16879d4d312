/* RAM blocks: host memory, page flags and the dirty log. */
#include "core/memory-internal.h"

#include "util/huge-pages.h"
#include "util/error.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define CLEAN_FLAGS (PAGE_CLEAN_DISPLAY | PAGE_CLEAN_MIGRATION)

static GPtrArray *blocks;
static GPtrArray *retired; /* blocks whose memory is gone */
static CodeWriteFn *code_write_fn;
static void *code_write_opaque;
static CleanFn *clean_fn;
static void *clean_opaque;
static LogSyncFn *log_sync_fn;
static void *log_sync_opaque;

RamBlock *ram_block_new(const char *name, uint64_t size, GError **error)
{
    RamBlock *ram = g_new0(RamBlock, 1);
    int saved;

    ram->name = g_strdup(name);
    ram->size = round_up(size, GUEST_PAGE_SIZE);
    ram->host = huge_pages_map(ram->size);
    if (ram->host) {
        ram->page_flags = g_try_malloc0(ram->size >> GUEST_PAGE_BITS);
        ram->page_stores = g_try_malloc0(ram->size >> GUEST_PAGE_BITS);
    }
    if (!ram->page_flags || !ram->page_stores) {
        saved = errno;
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot allocate %" G_GUINT64_FORMAT
                    " bytes for '%s': %s", (guint64)ram->size, name, g_strerror(saved));
        if (ram->host) {
            munmap(ram->host, ram->size);
        }
        g_free(ram->page_flags);
        g_free(ram->page_stores);
        g_free(ram->name);
        g_free(ram);
        return NULL;
    }
    madvise(ram->host, ram->size, MADV_DONTDUMP);
    if (!blocks) {
        blocks = g_ptr_array_new();
    }
    g_ptr_array_add(blocks, ram);
    return ram;
}

/*
 * The address space and the struct stay for the life of the process: a vCPU may hold a lookup's
 * copy until its next TLB flush. Only the memory goes back to the host.
 */
void ram_block_free(RamBlock *ram)
{
    g_ptr_array_remove(blocks, ram);
    madvise(ram->host, ram->size, MADV_DONTNEED);
    ram->freed = true;
    if (!retired) {
        retired = g_ptr_array_new();
    }
    g_ptr_array_add(retired, ram);
}

void ram_block_for_each(void (*fn)(RamBlock *ram, void *opaque), void *opaque)
{
    for (guint i = 0; blocks && i < blocks->len; i++) {
        fn(blocks->pdata[i], opaque);
    }
}

void **ram_page_data(RamBlock *ram)
{
    void **table = __atomic_load_n(&ram->page_data, __ATOMIC_ACQUIRE);
    void **expected = NULL;

    if (!table) {
        table = g_malloc0_n(ram->size >> GUEST_PAGE_BITS, sizeof(*table));
        if (!__atomic_compare_exchange_n(&ram->page_data, &expected, table, false,
                                         __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            g_free(table);
            table = expected;
        }
    }
    return table;
}

void memory_set_code_write_fn(CodeWriteFn *fn, void *opaque)
{
    code_write_fn = fn;
    code_write_opaque = opaque;
}

void memory_set_clean_fn(CleanFn *fn, void *opaque)
{
    clean_fn = fn;
    clean_opaque = opaque;
}

void memory_set_log_sync_fn(LogSyncFn *fn, void *opaque)
{
    log_sync_fn = fn;
    log_sync_opaque = opaque;
}

void ram_mark_dirty(RamBlock *ram, uint64_t offset, uint64_t size)
{
    uint64_t page = offset >> GUEST_PAGE_BITS;
    uint64_t end = size ? ((offset + size - 1) >> GUEST_PAGE_BITS) + 1 : page;

    atomic_thread_fence(memory_order_seq_cst); /* who flags a page of code now reads what was written */
    while (page < end) {
        uint8_t flags = atomic_load_explicit(&ram->page_flags[page], memory_order_relaxed);
        uint64_t first = page;

        if (flags & CLEAN_FLAGS) {
            atomic_fetch_and(&ram->page_flags[page], (uint8_t)~CLEAN_FLAGS);
        }
        page++;
        if (!(flags & PAGE_CODE) || !code_write_fn) {
            continue;
        }
        while (page < end && (ram->page_flags[page] & PAGE_CODE)) {
            atomic_fetch_and(&ram->page_flags[page], (uint8_t)~CLEAN_FLAGS);
            page++;
        }
        code_write_fn(code_write_opaque, ram, first, page - 1);
    }
}

void ram_discard(RamBlock *ram, uint64_t offset, uint64_t size)
{
    uint64_t first = round_up(offset, GUEST_PAGE_SIZE), end = (offset + size) & -(uint64_t)GUEST_PAGE_SIZE;

    if (first >= end || end > ram->size || ram->readonly) {
        return;
    }
    if (madvise(ram->host + first, end - first, MADV_DONTNEED) == 0) {
        ram_mark_dirty(ram, first, end - first);
    }
}

/* Follows aliases to RAM; NULL if there is none. */
static RamBlock *logged_ram(Region *region, uint64_t *offset)
{
    while (region->kind == REGION_ALIAS) {
        *offset += region->target_offset;
        region = region->target;
    }
    return region->ram;
}

/* Until it is first read, the log says that all is dirty: no flag needs setting here. */
void region_log_start(Region *region, PageFlags client)
{
    uint64_t offset = 0;
    RamBlock *ram = logged_ram(region, &offset);

    g_assert((client & ~CLEAN_FLAGS) == 0);
    region->logs_writes = true;
    if (ram && !ram->logged) {
        ram->logged = true;
        memory_republish();
    }
}

bool region_log_test_and_clear(Region *region, PageFlags client, uint64_t offset, uint64_t size)
{
    RamBlock *ram = logged_ram(region, &offset);
    bool dirty = false;
    uint64_t page, end;

    if (!ram || offset >= ram->size || size == 0) {
        return false;
    }
    if (log_sync_fn) {
        log_sync_fn(log_sync_opaque, ram);
    }
    page = offset >> GUEST_PAGE_BITS;
    end = ((MIN(offset + size, ram->size) - 1) >> GUEST_PAGE_BITS) + 1;
    while (page < end) {
        uint64_t first = page;

        if (atomic_load_explicit(&ram->page_flags[page], memory_order_relaxed) & client) {
            page++;
            continue;
        }
        while (page < end && !(ram->page_flags[page] & client)) {
            atomic_fetch_or(&ram->page_flags[page], (uint8_t)client);
            page++;
        }
        dirty = true;
        if (clean_fn) {
            clean_fn(clean_opaque, ram, first, page - 1);
        }
    }
    return dirty;
}
