/* Flattening of region trees, and lock-free lookup in the result. */
#include "core/memory-internal.h"

#include <stdatomic.h>
#include <string.h>

#define PORT_COUNT 0x10000

typedef __int128 Wide; /* region arithmetic leaves 64 bits on both sides */

typedef struct Listener {
    MemoryListener *fn;
    void *opaque;
} Listener;

static GPtrArray *spaces;
static GArray *listeners;
static _Atomic uint64_t generation;

/* Index of the first range that ends at or after addr. */
static guint first_ending_after(GArray *ranges, PhysAddr addr)
{
    guint low = 0, high = ranges->len;

    while (low < high) {
        guint middle = (low + high) / 2;

        if (g_array_index(ranges, MemoryRange, middle).last < addr) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Puts the part of `want` that nothing covers yet into the gaps. */
static void fill_gaps(GArray *ranges, const MemoryRange *want)
{
    guint i = first_ending_after(ranges, want->start);
    PhysAddr at = want->start;

    for (;;) {
        bool at_end = i == ranges->len || g_array_index(ranges, MemoryRange, i).start > want->last;
        PhysAddr limit = at_end ? want->last : g_array_index(ranges, MemoryRange, i).start - 1;

        if (at_end || g_array_index(ranges, MemoryRange, i).start > at) {
            MemoryRange piece = *want;

            piece.start = at;
            piece.last = limit;
            piece.offset = want->offset + (at - want->start);
            g_array_insert_val(ranges, i, piece);
            i++;
        }
        if (at_end || g_array_index(ranges, MemoryRange, i).last >= want->last) {
            return;
        }
        at = g_array_index(ranges, MemoryRange, i).last + 1;
        i++;
    }
}

/*
 * Adds a region to the sorted ranges; what is rendered first wins, so high priorities come first.
 * base: where byte 0 of the region would be; only what lies within first..last is seen.
 */
static void render(GArray *ranges, Region *region, Wide base, Wide first, Wide last, bool readonly,
                   int nesting)
{
    Wide end = base + (region->size == UINT64_MAX ? (Wide)1 << 64 : (Wide)region->size) - 1;
    MemoryRange want = { 0 };

    first = MAX(first, base);
    last = MIN(last, end);
    if (!region->enabled || first > last || nesting > 64) {
        return;
    }
    readonly |= region->readonly;
    for (guint i = 0; i < region->children->len; i++) {
        Region *child = region->children->pdata[i];

        render(ranges, child, base + child->offset, first, last, readonly, nesting + 1);
    }
    if (region->kind == REGION_ALIAS) {
        render(ranges, region->target, base - region->target_offset, first, last, readonly,
               nesting + 1);
        return;
    }
    if (region->kind == REGION_CONTAINER) {
        return;
    }
    want.start = first;
    want.last = last;
    want.region = region;
    want.offset = first - base;
    want.ram = region->kind == REGION_ROMD && !region->romd ? NULL : region->ram;
    want.readonly = readonly || (want.ram && want.ram->readonly);
    fill_gaps(ranges, &want);
}

static bool continues(const MemoryRange *a, const MemoryRange *b)
{
    return a->region == b->region && a->ram == b->ram && a->readonly == b->readonly &&
           (!a->region || a->offset + (b->start - a->start) == b->offset);
}

/* Holes become ranges of their own, and ranges that continue each other become one. */
static GArray *flatten(Region *root)
{
    MemoryRange hole = { .last = UINT64_MAX };
    GArray *ranges = g_array_new(FALSE, FALSE, sizeof(MemoryRange));
    guint kept = 0;

    if (root) {
        render(ranges, root, 0, 0, UINT64_MAX, false, 0);
    }
    fill_gaps(ranges, &hole);
    for (guint i = 1; i < ranges->len; i++) {
        MemoryRange *last = &g_array_index(ranges, MemoryRange, kept);
        MemoryRange *next = &g_array_index(ranges, MemoryRange, i);

        if (continues(last, next)) {
            last->last = next->last;
        } else {
            g_array_index(ranges, MemoryRange, ++kept) = *next;
        }
    }
    g_array_set_size(ranges, kept + 1);
    for (guint i = 0; i < ranges->len; i++) {
        MemoryRange *range = &g_array_index(ranges, MemoryRange, i);

        if (!range->region) {
            range->offset = range->start;
        }
    }
    return ranges;
}

static void index_ports(FlatView *view)
{
    uint32_t port = 0;

    for (uint32_t i = 0; i < view->count && port < PORT_COUNT; i++) {
        for (; port < PORT_COUNT && port <= view->ranges[i].last; port++) {
            view->by_port[port] = i;
        }
    }
}

static bool same_ranges(const FlatView *view, GArray *ranges)
{
    if (view->count != ranges->len) {
        return false;
    }
    for (guint i = 0; i < ranges->len; i++) {
        const MemoryRange *a = &view->ranges[i], *b = &g_array_index(ranges, MemoryRange, i);

        if (a->start != b->start || a->last != b->last || !continues(a, b) ||
            a->offset != b->offset) {
            return false;
        }
    }
    return true;
}

/* Fills the view that is not in use and makes it the current one. */
static bool publish(AddressSpace *as)
{
    g_autoptr(GArray) ranges = flatten(as->root);
    FlatView *old = atomic_load(&as->view);
    int slot = old == as->views[0];
    FlatView *view = as->views[slot];

    if (old && same_ranges(old, ranges)) {
        return false;
    }
    atomic_fetch_add(&view->sequence, 1);
    if (ranges->len > as->capacity[slot]) {
        if (view->ranges) {
            g_ptr_array_add(as->outgrown, view->ranges);
        }
        as->capacity[slot] = ranges->len * 2;
        view->count = 0;
        __atomic_store_n(&view->ranges, g_new0(MemoryRange, as->capacity[slot]), __ATOMIC_RELEASE);
    }
    memcpy(view->ranges, ranges->data, ranges->len * sizeof(MemoryRange));
    __atomic_store_n(&view->count, ranges->len, __ATOMIC_RELEASE);
    if (view->by_port) {
        index_ports(view);
    }
    atomic_fetch_add(&view->sequence, 1);
    atomic_store(&as->view, view);
    return true;
}

static void tell_listeners(AddressSpace *as)
{
    for (guint i = 0; listeners && i < listeners->len; i++) {
        Listener *listener = &g_array_index(listeners, Listener, i);

        listener->fn(listener->opaque, as);
    }
}

void memory_rebuild_all(void)
{
    for (guint i = 0; spaces && i < spaces->len; i++) {
        AddressSpace *as = spaces->pdata[i];

        if (publish(as)) {
            atomic_fetch_add(&generation, 1);
            tell_listeners(as);
        }
    }
}

void memory_republish(void)
{
    for (guint i = 0; spaces && i < spaces->len; i++) {
        tell_listeners(spaces->pdata[i]);
    }
}

uint64_t memory_generation(void)
{
    return atomic_load_explicit(&generation, memory_order_acquire);
}

void memory_listen(MemoryListener *fn, void *opaque)
{
    Listener listener = { fn, opaque };

    if (!listeners) {
        listeners = g_array_new(FALSE, FALSE, sizeof(Listener));
    }
    g_array_append_val(listeners, listener);
}

GPtrArray *address_spaces(void)
{
    return spaces;
}

AddressSpace *address_space_new(const char *name, Region *root)
{
    AddressSpace *as = g_new0(AddressSpace, 1);

    as->name = g_strdup(name);
    as->root = root;
    as->outgrown = g_ptr_array_new_with_free_func(g_free);
    for (int i = 0; i < 2; i++) {
        as->views[i] = g_new0(FlatView, 1);
        if (root->size <= PORT_COUNT) {
            as->views[i]->by_port = g_new0(uint16_t, PORT_COUNT);
        }
    }
    if (!spaces) {
        spaces = g_ptr_array_new();
    }
    g_ptr_array_add(spaces, as);
    publish(as);
    atomic_fetch_add(&generation, 1);
    return as;
}

/* Nobody may look anything up in it any more. */
void address_space_free(AddressSpace *as)
{
    g_ptr_array_remove(spaces, as);
    for (int i = 0; i < 2; i++) {
        g_free(as->views[i]->ranges);
        g_free(as->views[i]->by_port);
        g_free(as->views[i]);
    }
    g_ptr_array_free(as->outgrown, TRUE);
    g_free(as->name);
    g_free(as);
}

Region *address_space_root(AddressSpace *as)
{
    return as->root;
}

const FlatView *address_space_view(AddressSpace *as)
{
    return atomic_load(&as->view);
}

/* The view may change under us: every index is kept below a bound read once. */
static MemoryRange search(const FlatView *view, PhysAddr addr)
{
    uint32_t low = 0, count = __atomic_load_n(&view->count, __ATOMIC_ACQUIRE);
    const MemoryRange *ranges = __atomic_load_n(&view->ranges, __ATOMIC_ACQUIRE);

    if (view->by_port && addr < PORT_COUNT) {
        low = view->by_port[addr];
        return ranges[low < count ? low : 0];
    }
    while (count > 1) {
        uint32_t half = count / 2;

        low += ranges[low + half].start <= addr ? half : 0; /* a conditional move, no branch */
        count -= half;
    }
    return ranges[low];
}

MemoryRange address_space_find(AddressSpace *as, PhysAddr addr)
{
    for (;;) {
        FlatView *view = atomic_load_explicit(&as->view, memory_order_acquire);
        uint32_t sequence = atomic_load_explicit(&view->sequence, memory_order_acquire);

        if (!(sequence & 1)) {
            MemoryRange range = search(view, addr);

            atomic_thread_fence(memory_order_acquire);
            if (atomic_load_explicit(&view->sequence, memory_order_relaxed) == sequence) {
                return range;
            }
        }
    }
}
