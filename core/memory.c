/* The machine's two address spaces, and the text that shows them. */
#include "core/memory-internal.h"

static AddressSpace *system_space, *port_space;
static Region *system_root, *port_root;

void memory_init(void)
{
    g_assert(!system_space);
    system_root = region_new_container("system", UINT64_MAX);
    port_root = region_new_container("io", 0x10000);
    system_space = address_space_new("memory", system_root);
    port_space = address_space_new("I/O", port_root);
}

AddressSpace *memory_system(void)
{
    return system_space;
}

AddressSpace *memory_ports(void)
{
    return port_space;
}

Region *memory_system_root(void)
{
    return system_root;
}

Region *memory_ports_root(void)
{
    return port_root;
}

static const char *kind_of(const Region *region)
{
    static const char *const names[] = {
        [REGION_CONTAINER] = "container", [REGION_RAM] = "ram", [REGION_ROM] = "rom",
        [REGION_ROMD] = "romd",           [REGION_IO] = "i/o",  [REGION_ALIAS] = "alias",
    };

    return names[region->kind];
}

static void describe_bounds(GString *out, uint64_t start, uint64_t last)
{
    g_string_append_printf(out, "%016" G_GINT64_MODIFIER "x-%016" G_GINT64_MODIFIER "x",
                           (guint64)start, (guint64)last);
}

static void describe_tree(const Region *region, PhysAddr base, unsigned depth, GString *out)
{
    g_string_append_printf(out, "%*s", 2 + 2 * (int)depth, "");
    describe_bounds(out, base, last_of(base, region->size));
    g_string_append_printf(out, " (prio %d, %s): ", region->priority, kind_of(region));
    if (region->kind == REGION_ALIAS) {
        g_string_append_printf(out, "%s @%s ", region->name, region->target->name);
        describe_bounds(out, region->target_offset, last_of(region->target_offset, region->size));
    } else {
        g_string_append(out, region->name);
    }
    g_string_append_printf(out, "%s%s\n", region->readonly ? " [read only]" : "",
                           region->enabled ? "" : " [disabled]");
    for (guint i = 0; i < region->children->len; i++) {
        const Region *child = region->children->pdata[i];

        describe_tree(child, base + child->offset, depth + 1, out);
    }
}

static void describe_flat(AddressSpace *as, GString *out)
{
    const FlatView *view = address_space_view(as);

    for (uint32_t i = 0; i < view->count; i++) {
        const MemoryRange *range = &view->ranges[i];

        if (!range->region) {
            continue;
        }
        g_string_append(out, "  ");
        describe_bounds(out, range->start, range->last);
        g_string_append_printf(out, " (%s%s): %s @%016" G_GINT64_MODIFIER "x\n",
                               kind_of(range->region),
                               range->readonly && range->region->kind == REGION_RAM ? ", read only"
                                                                                     : "",
                               range->region->name, (guint64)range->offset);
    }
}

char *memory_describe(bool flat)
{
    GString *out = g_string_new(NULL);
    GPtrArray *spaces = address_spaces();

    for (guint i = 0; spaces && i < spaces->len; i++) {
        AddressSpace *as = spaces->pdata[i];

        g_string_append_printf(out, flat ? "flat view: %s\n" : "address-space: %s\n", as->name);
        if (flat) {
            describe_flat(as, out);
        } else {
            describe_tree(as->root, 0, 0, out);
        }
        g_string_append_c(out, '\n');
    }
    return g_string_free(out, FALSE);
}
