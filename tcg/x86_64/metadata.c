/*
 * What is known of translated blocks, in memory of their region: taken without a search, near to what was made before and after,
 * and given back with the region at once. It is in huge pages if the host has some.
 */
#include "backend.h"
#include "tcg/region.h"
#include "util/huge-pages.h"

enum { MAX_REGIONS = 16 };

/* Blocks' records take as much as their code or somewhat more; what is not touched takes no memory. */
static struct {
    uint8_t *start;
    size_t used;
} region_memory[MAX_REGIONS];

static size_t capacity(void)
{
    static size_t bytes;
    uint64_t used, size;

    if (!bytes) {
        tcg_code_usage(&used, &size);
        bytes = round_up(3 * size / tcg_region_count(), HUGE_PAGE);
    }
    return bytes;
}

static uint8_t *memory_of(unsigned region)
{
    if (!region_memory[region].start) {
        region_memory[region].start = huge_pages_map(capacity());
        g_assert(region_memory[region].start);
    }
    return region_memory[region].start;
}

void *metadata_room(size_t size, size_t align)
{
    unsigned region = tcg_region_current();
    size_t at = round_up(region_memory[region].used, align);

    g_assert(region < MAX_REGIONS);
    return at + size <= capacity() ? memory_of(region) + at : NULL;
}

void metadata_keep(const void *end)
{
    unsigned region = tcg_region_current();

    region_memory[region].used = (const uint8_t *)end - region_memory[region].start;
}

void metadata_clear(unsigned region)
{
    region_memory[region].used = 0;
}

void *tcg_region_alloc(size_t size, size_t align)
{
    uint8_t *p = metadata_room(size, align);

    if (p) {
        metadata_keep(p + size);
    }
    return p;
}
