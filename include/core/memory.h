/*
 * Guest physical memory and port space: trees of regions, flattened for lookup.
 *
 * A tree is changed under the machine lock; each change publishes a new flat view that readers
 * (vCPUs, DMA) use without a lock. RAM is one private mapping per block, in huge pages where the host
 * has them.
 */
#ifndef CORE_MEMORY_H
#define CORE_MEMORY_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t PhysAddr;

#define GUEST_PAGE_BITS 12
#define GUEST_PAGE_SIZE (1u << GUEST_PAGE_BITS)

typedef struct Region Region;
typedef struct RamBlock RamBlock;
typedef struct AddressSpace AddressSpace;

typedef enum Endian { ENDIAN_LITTLE, ENDIAN_BIG } Endian;

/*
 * What a device answers. Accesses outside [min_size, max_size] are widened or split by the core
 * (a narrower read reads min_size bytes and shifts; a wider one is several of max_size), so a
 * function only sees sizes that it declared. Called under the machine lock.
 */
typedef struct RegionOps {
    uint64_t (*read)(void *opaque, PhysAddr offset, unsigned size);
    void (*write)(void *opaque, PhysAddr offset, uint64_t value, unsigned size);
    unsigned min_size, max_size; /* 0: 1 and 4 */
    Endian endian;               /* of the device's registers */
    bool unlocked;               /* called without the machine lock, unless the caller has it: doorbells */
} RegionOps;

/* Per 4 KiB page of a RAM block: why a store to it must not take the fast path. */
typedef enum PageFlags {
    PAGE_CODE = 1 << 0,        /* translated code derives from it */
    PAGE_CLEAN_DISPLAY = 1 << 1, /* not written since the display's dirty log was last read */
    PAGE_CLEAN_MIGRATION = 1 << 2,
} PageFlags;

struct RamBlock {
    char *name;
    uint8_t *host;     /* mapping in this process */
    uint64_t size;     /* bytes, a multiple of the page size */
    _Atomic uint8_t *page_flags; /* PageFlags of each page */
    void **page_data;  /* per page, the engine's own (translated blocks); NULL until one asks */
    _Atomic uint8_t *page_stores; /* per page, the engine's own: whether a TLB table may have it for stores */
    bool freed;        /* its memory has been given back */
    bool readonly;     /* ROM: guest stores are dropped */
    bool logged;       /* somebody reads its dirty log */
};

/* Regions. `name` is copied. A parent borrows its children. All need the machine lock. */
Region *region_new_container(const char *name, uint64_t size);
Region *region_new_ram(const char *name, uint64_t size, GError **error);
Region *region_new_rom(const char *name, uint64_t size, GError **error);
Region *region_new_io(const char *name, const RegionOps *ops, void *opaque, uint64_t size);
Region *region_new_alias(const char *name, Region *target, PhysAddr offset, uint64_t size);
/* Reads come from `size` bytes of ROM content, writes go to ops: flash, write-protected option ROMs. */
Region *region_new_romd(const char *name, const RegionOps *ops, void *opaque, uint64_t size,
                        GError **error);
/*
 * A doorbell: a store of `size` bytes (0: any) at an offset, of `value` if match, may just add 1 to an eventfd. Engines that can do
 * that without leaving the guest do so; elsewhere the region's write function is called as ever. Before the region is mapped;
 * the descriptor stays the caller's and is closed after the region is gone from the map.
 */
typedef struct Doorbell {
    PhysAddr offset;
    unsigned size;
    bool match;
    uint64_t value;
    int fd;
} Doorbell;
void region_add_doorbell(Region *region, const Doorbell *doorbell);
const Doorbell *region_doorbells(const Region *region, unsigned *n);
void memory_want_doorbells(void); /* by an engine, before devices are made */
bool memory_doorbells_wanted(void);
void region_free(Region *region);

void region_add(Region *parent, PhysAddr offset, Region *child); /* priority 0 */
void region_add_overlap(Region *parent, PhysAddr offset, Region *child, int priority);
void region_remove(Region *child);
void region_set_enabled(Region *region, bool enabled);
void region_set_offset(Region *region, PhysAddr offset);  /* within its parent */
void region_set_alias(Region *alias, Region *target, PhysAddr offset);
void region_set_size(Region *region, uint64_t size);
void region_set_readonly(Region *region, bool readonly);  /* of this view, e.g. a shadow-RAM alias */
void region_set_romd(Region *region, bool romd); /* off: reads go to the ops too (flash commands) */
bool region_enabled(const Region *region);
PhysAddr region_offset(const Region *region);
uint64_t region_size(const Region *region);
const char *region_name(const Region *region);
RamBlock *region_ram(Region *region);   /* NULL unless RAM or ROM */
uint8_t *region_host(Region *region);   /* RAM or ROM content */

/* Several changes between these publish one new view. Nest. */
void memory_begin(void);
void memory_commit(void);

/* All RAM and ROM there is, for snapshots. */
void ram_block_for_each(void (*fn)(RamBlock *ram, void *opaque), void *opaque);
/* page_data of the block, allocated at the first call; any thread. */
void **ram_page_data(RamBlock *ram);

/* Dirty log of a RAM region, for the display. Sizes in bytes, rounded out to pages. */
void region_log_start(Region *region, PageFlags client);
bool region_log_test_and_clear(Region *region, PageFlags client, uint64_t offset, uint64_t size);

/* Address spaces. */
AddressSpace *address_space_new(const char *name, Region *root);
void address_space_free(AddressSpace *as);
Region *address_space_root(AddressSpace *as);

/* One flat range as a lookup finds it. */
typedef struct MemoryRange {
    PhysAddr start, last; /* of the range in the address space, inclusive */
    Region *region;       /* NULL: nothing answers there (reads give all ones) */
    PhysAddr offset;      /* of `start` within the region */
    RamBlock *ram;        /* set if this is RAM or ROM; `offset` is then into the block */
    bool readonly;
} MemoryRange;

/* Lock-free; the copy stays valid until the map changes (see memory_generation). */
MemoryRange address_space_find(AddressSpace *as, PhysAddr addr);
/* Grows by one with every published change of any map. */
uint64_t memory_generation(void);

/* Called (under the machine lock) after each published change; engines flush their TLBs here. */
typedef void MemoryListener(void *opaque, AddressSpace *as);
void memory_listen(MemoryListener *fn, void *opaque);

/*
 * Called when somebody other than translated code (DMA, a monitor, a loader) writes to pages that
 * have PAGE_CODE set. first and last are page numbers in the block.
 */
typedef void CodeWriteFn(void *opaque, RamBlock *ram, uint64_t first_page, uint64_t last_page);
void memory_set_code_write_fn(CodeWriteFn *fn, void *opaque);
/*
 * Called when pages get a PAGE_CLEAN_* flag: from now on stores to them must come to ram_mark_dirty,
 * so the engine drops its store TLB entries of them.
 */
typedef void CleanFn(void *opaque, RamBlock *ram, uint64_t first_page, uint64_t last_page);
void memory_set_clean_fn(CleanFn *fn, void *opaque);
/*
 * Called before a dirty log is read, for engines whose guests write without ram_mark_dirty: they call it now for what
 * was written since the last time.
 */
typedef void LogSyncFn(void *opaque, RamBlock *ram);
void memory_set_log_sync_fn(LogSyncFn *fn, void *opaque);
/* Marks pages written: clears PAGE_CLEAN_* and calls the above for code pages. */
void ram_mark_dirty(RamBlock *ram, uint64_t offset, uint64_t size);

/*
 * Gives whole pages of a range back to the host: they read as zeros and take memory when they are next used.
 * Counts as a write to them.
 */
void ram_discard(RamBlock *ram, uint64_t offset, uint64_t size);

/* DMA and loaders. Any size and alignment; RAM is copied, devices are accessed piecewise. */
void memory_read(AddressSpace *as, PhysAddr addr, void *buf, uint64_t size);
void memory_write(AddressSpace *as, PhysAddr addr, const void *buf, uint64_t size);
void memory_fill(AddressSpace *as, PhysAddr addr, uint8_t byte, uint64_t size);
/* As memory_write, but also into ROM: for loaders. */
void memory_load_rom(AddressSpace *as, PhysAddr addr, const void *buf, uint64_t size);

/* One access of 1, 2, 4 or 8 bytes, little-endian value; takes the machine lock for devices. */
uint64_t memory_load(AddressSpace *as, PhysAddr addr, unsigned size);
void memory_store(AddressSpace *as, PhysAddr addr, uint64_t value, unsigned size);

/*
 * Direct access to RAM: a host pointer for at most *size bytes, which shrinks to what is
 * contiguous; NULL if not RAM (or ROM, for a write). A written range must be ended with
 * ram_mark_dirty, for which `ram` and `offset` may be asked for.
 */
void *memory_map(AddressSpace *as, PhysAddr addr, uint64_t *size, bool is_write, RamBlock **ram,
                 uint64_t *offset);

/* The machine's two spaces. Created by memory_init() with empty containers as roots. */
void memory_init(void);
AddressSpace *memory_system(void); /* physical memory */
AddressSpace *memory_ports(void);  /* 64 KiB of I/O ports */
Region *memory_system_root(void);
Region *memory_ports_root(void);

/* Text of the trees or flat views, for `info mtree [-f]`. Caller frees. */
char *memory_describe(bool flat);

#endif
