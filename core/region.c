/* The tree of regions. */
#include "core/memory-internal.h"

static unsigned depth; /* of memory_begin */
static bool pending;

void memory_begin(void)
{
    depth++;
}

void memory_commit(void)
{
    g_assert(depth > 0);
    if (--depth == 0 && pending) {
        pending = false;
        memory_rebuild_all();
    }
}

void memory_changed(void)
{
    memory_begin();
    pending = true;
    memory_commit();
}

static Region *region_new(RegionKind kind, const char *name, uint64_t size)
{
    Region *region = g_new0(Region, 1);

    region->kind = kind;
    region->name = g_strdup(name);
    region->size = size;
    region->enabled = true;
    region->children = g_ptr_array_new();
    return region;
}

Region *region_new_container(const char *name, uint64_t size)
{
    return region_new(REGION_CONTAINER, name, size);
}

static Region *new_with_ram(RegionKind kind, const char *name, uint64_t size, GError **error)
{
    RamBlock *ram = ram_block_new(name, size, error);
    Region *region;

    if (!ram) {
        return NULL;
    }
    ram->readonly = kind != REGION_RAM;
    region = region_new(kind, name, size);
    region->ram = ram;
    return region;
}

Region *region_new_ram(const char *name, uint64_t size, GError **error)
{
    return new_with_ram(REGION_RAM, name, size, error);
}

Region *region_new_rom(const char *name, uint64_t size, GError **error)
{
    return new_with_ram(REGION_ROM, name, size, error);
}

Region *region_new_io(const char *name, const RegionOps *ops, void *opaque, uint64_t size)
{
    Region *region = region_new(REGION_IO, name, size);

    region->ops = ops;
    region->opaque = opaque;
    return region;
}

Region *region_new_alias(const char *name, Region *target, PhysAddr offset, uint64_t size)
{
    Region *region = region_new(REGION_ALIAS, name, size);

    region->target = target;
    region->target_offset = offset;
    return region;
}

Region *region_new_romd(const char *name, const RegionOps *ops, void *opaque, uint64_t size,
                        GError **error)
{
    Region *region = new_with_ram(REGION_ROMD, name, size, error);

    if (region) {
        region->ops = ops;
        region->opaque = opaque;
        region->romd = true;
    }
    return region;
}

static bool doorbells_wanted;

void memory_want_doorbells(void)
{
    doorbells_wanted = true;
}

bool memory_doorbells_wanted(void)
{
    return doorbells_wanted;
}

void region_add_doorbell(Region *region, const Doorbell *doorbell)
{
    if (!region->doorbells) {
        region->doorbells = g_array_new(FALSE, FALSE, sizeof(Doorbell));
    }
    g_array_append_val(region->doorbells, *doorbell);
}

const Doorbell *region_doorbells(const Region *region, unsigned *n)
{
    *n = region->doorbells ? region->doorbells->len : 0;
    return *n ? &g_array_index(region->doorbells, Doorbell, 0) : NULL;
}

void region_free(Region *region)
{
    if (!region) {
        return;
    }
    memory_begin();
    if (region->parent) {
        region_remove(region);
    }
    while (region->children->len) {
        region_remove(region->children->pdata[0]);
    }
    memory_commit();
    if (region->ram) {
        ram_block_free(region->ram);
    }
    g_ptr_array_free(region->children, TRUE);
    if (region->doorbells) {
        g_array_free(region->doorbells, TRUE);
    }
    g_free(region->name);
    g_free(region);
}

void region_add_overlap(Region *parent, PhysAddr offset, Region *child, int priority)
{
    guint i = 0;

    g_assert(!child->parent);
    child->parent = parent;
    child->offset = offset;
    child->priority = priority;
    while (i < parent->children->len &&
           ((Region *)parent->children->pdata[i])->priority > priority) {
        i++;
    }
    g_ptr_array_insert(parent->children, i, child);
    memory_changed();
}

void region_add(Region *parent, PhysAddr offset, Region *child)
{
    region_add_overlap(parent, offset, child, 0);
}

void region_remove(Region *child)
{
    if (child->parent) {
        g_ptr_array_remove(child->parent->children, child);
        child->parent = NULL;
        memory_changed();
    }
}

void region_set_enabled(Region *region, bool enabled)
{
    if (region->enabled != enabled) {
        region->enabled = enabled;
        memory_changed();
    }
}

void region_set_offset(Region *region, PhysAddr offset)
{
    if (region->offset != offset) {
        region->offset = offset;
        memory_changed();
    }
}

void region_set_alias(Region *alias, Region *target, PhysAddr offset)
{
    g_assert(alias->kind == REGION_ALIAS);
    if (alias->target != target || alias->target_offset != offset) {
        alias->target = target;
        alias->target_offset = offset;
        memory_changed();
    }
}

/* RAM cannot grow beyond its block. */
void region_set_size(Region *region, uint64_t size)
{
    g_assert(!region->ram || size <= region->ram->size);
    if (region->size != size) {
        region->size = size;
        memory_changed();
    }
}

void region_set_readonly(Region *region, bool readonly)
{
    if (region->readonly != readonly) {
        region->readonly = readonly;
        memory_changed();
    }
}

void region_set_romd(Region *region, bool romd)
{
    g_assert(region->kind == REGION_ROMD);
    if (region->romd != romd) {
        region->romd = romd;
        memory_changed();
    }
}

bool region_enabled(const Region *region)
{
    return region->enabled;
}

PhysAddr region_offset(const Region *region)
{
    return region->offset;
}

uint64_t region_size(const Region *region)
{
    return region->size;
}

const char *region_name(const Region *region)
{
    return region->name;
}

RamBlock *region_ram(Region *region)
{
    return region->ram;
}

uint8_t *region_host(Region *region)
{
    return region->ram ? region->ram->host : NULL;
}
