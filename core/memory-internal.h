/* What the files of the memory map share: the tree's nodes and the flat views. */
#ifndef CORE_MEMORY_INTERNAL_H
#define CORE_MEMORY_INTERNAL_H

#include "core/memory.h"

typedef enum RegionKind {
    REGION_CONTAINER,
    REGION_RAM,
    REGION_ROM,
    REGION_ROMD, /* reads like ROM while romd is on, writes go to ops */
    REGION_IO,
    REGION_ALIAS,
} RegionKind;

struct Region {
    RegionKind kind;
    char *name;
    uint64_t size; /* UINT64_MAX stands for 2^64 */
    Region *parent;
    PhysAddr offset; /* in the parent */
    int priority;
    bool enabled;
    bool readonly;
    bool romd;
    bool logs_writes; /* region_log_start was called */
    GPtrArray *children; /* highest priority first; among equals the newest first */
    RamBlock *ram;
    const RegionOps *ops;
    void *opaque;
    Region *target; /* of an alias */
    PhysAddr target_offset;
    GArray *doorbells; /* of Doorbell, or NULL */
};

/*
 * The flat map of one address space. `ranges` covers 0 to UINT64_MAX without holes.
 *
 * Readers take no lock: they search a view and then look whether `sequence` is still what it was.
 * A view is rewritten only after another one took its place, and its memory is never given back
 * while the space lives, so a reader that was overtaken has read stale words, no more, and retries.
 */
typedef struct FlatView {
    _Atomic uint32_t sequence; /* odd while being rewritten */
    uint32_t count;
    MemoryRange *ranges;
    uint16_t *by_port; /* index of the range of each port; only in small spaces */
} FlatView;

struct AddressSpace {
    char *name;
    Region *root;
    FlatView *_Atomic view;
    FlatView *views[2];
    uint32_t capacity[2];
    GPtrArray *outgrown; /* range arrays that a reader may still look at */
};

/* The tree changed: publish now or at the outermost memory_commit. */
void memory_changed(void);
void memory_rebuild_all(void);
void memory_republish(void); /* nothing moved, but what listeners know of a block has changed */
GPtrArray *address_spaces(void);

/* The view for who holds the machine lock. */
const FlatView *address_space_view(AddressSpace *as);

RamBlock *ram_block_new(const char *name, uint64_t size, GError **error);
void ram_block_free(RamBlock *ram);

static inline uint64_t last_of(PhysAddr start, uint64_t size)
{
    return size == UINT64_MAX ? UINT64_MAX : start + size - 1;
}

#endif
