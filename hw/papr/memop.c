/*
 * Hypercalls on plain memory: accesses to devices for firmware in real mode, cache lines, pages.
 *
 * LoPAPR 1.1, 14.5.4.3 (H_PAGE_INIT) and 14.5.4.4 (H_LOGICAL_...). H_CALL_MEMOP is what SLOF moves blocks with.
 */
#include "hw/papr/memop.h"

#include "hw/papr/papr.h"

#include <string.h>

enum { PAGE = 4096, MEMOP_COPY = 0, MEMOP_XOR = 1, MEMOP_MAX_COUNT = 1 << 24 };
#define FLAG_ZERO_PAGE (UINT64_C(1) << 15)
#define FLAG_COPY_PAGE (UINT64_C(1) << 14)
#define FLAG_ICACHE    (UINT64_C(3) << 12)

static bool is_size(uint64_t size)
{
    return size == 1 || size == 2 || size == 4 || size == 8;
}

/* Registers have a big-endian view of memory. */
static uint64_t swap(uint64_t value, unsigned size)
{
    return __builtin_bswap64(value) >> (64 - size * 8);
}

/* size, address -> value. */
static int64_t h_load(void *opaque, uint64_t opcode, uint64_t *args)
{
    if (!is_size(args[0])) {
        return H_PARAMETER;
    }
    args[0] = swap(memory_load(memory_system(), args[1], args[0]), args[0]);
    return H_SUCCESS;
}

static int64_t h_store(void *opaque, uint64_t opcode, uint64_t *args)
{
    if (!is_size(args[0])) {
        return H_PARAMETER;
    }
    memory_store(memory_system(), args[1], swap(args[2], args[0]), args[0]);
    return H_SUCCESS;
}

/* Caches are coherent here. */
static int64_t h_nothing(void *opaque, uint64_t opcode, uint64_t *args)
{
    return H_SUCCESS;
}

/* to, from, log2 of the element's size, elements, operation. Ranges may overlap. */
static int64_t h_memop(void *opaque, uint64_t opcode, uint64_t *args)
{
    uint64_t to = args[0], from = args[1], size = UINT64_C(1) << (args[2] & 3), count = args[3];
    bool down = from < to && to < from + count * size;

    if (args[2] > 3 || count > MEMOP_MAX_COUNT || (args[4] != MEMOP_COPY && args[4] != MEMOP_XOR) ||
        ((to | from) & (size - 1))) {
        return H_PARAMETER;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = (down ? count - 1 - i : i) * size;
        uint64_t value = memory_load(memory_system(), from + at, size);

        memory_store(memory_system(), to + at, args[4] == MEMOP_XOR ? ~value : value, size);
    }
    return H_SUCCESS;
}

/* flags, to, from. */
static int64_t h_page_init(void *opaque, uint64_t opcode, uint64_t *args)
{
    uint8_t page[PAGE];

    if (args[0] & ~(FLAG_ZERO_PAGE | FLAG_COPY_PAGE | FLAG_ICACHE | UINT64_C(0xffff000000000000))) {
        return H_PARAMETER;
    }
    if (args[1] % PAGE || ((args[0] & FLAG_COPY_PAGE) && args[2] % PAGE)) {
        return H_PARAMETER;
    }
    if (args[0] & FLAG_COPY_PAGE) {
        memory_read(memory_system(), args[2], page, PAGE);
        memory_write(memory_system(), args[1], page, PAGE);
    } else if (args[0] & FLAG_ZERO_PAGE) {
        memory_fill(memory_system(), args[1], 0, PAGE);
    }
    return H_SUCCESS;
}

void papr_memop_init(void)
{
    papr_hcall_add(H_LOGICAL_CI_LOAD, h_load, NULL);
    papr_hcall_add(H_LOGICAL_CI_STORE, h_store, NULL);
    papr_hcall_add(H_LOGICAL_CACHE_LOAD, h_load, NULL);
    papr_hcall_add(H_LOGICAL_CACHE_STORE, h_store, NULL);
    papr_hcall_add(H_LOGICAL_ICBI, h_nothing, NULL);
    papr_hcall_add(H_LOGICAL_DCBF, h_nothing, NULL);
    papr_hcall_add(H_CALL_MEMOP, h_memop, NULL);
    papr_hcall_add(H_PAGE_INIT, h_page_init, NULL);
}
