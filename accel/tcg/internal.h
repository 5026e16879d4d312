/*
 * The translating engine's own structures: vCPUs, MMU contexts, blocks. See docs/translator.md.
 *
 * Locks, outermost first: turn, machine lock, exclusive section, tb_lock. A vCPU thread is "in code"
 * from entering translated code until it is back in its loop, whatever C functions are called in
 * between; it then only ever waits for the machine lock and tb_lock. Who waits for a vCPU to leave
 * code holds neither.
 */
#ifndef ACCEL_TCG_INTERNAL_H
#define ACCEL_TCG_INTERNAL_H

#include "target/guest.h"
#include "tcg/tcg.h"
#include "util/huge-pages.h"

#include <stdatomic.h>

#define PAGE_MASK (~(uint64_t)(GUEST_PAGE_SIZE - 1))

/*
 * A page as an MMU mode of a context sees it. These form the second level behind the tables that
 * translated code looks at: dropping an entry there costs a few nanoseconds, no page walk.
 */
typedef struct PageEntry {
    uint64_t tag;              /* page address | mode */
    uint64_t generation;       /* valid while equal to that of its set's owner */
    uint8_t *host;             /* NULL: not RAM */
    _Atomic uint8_t *flags;    /* PageFlags of the page; NULL: not RAM */
    RamBlock *ram;
    PhysAddr phys;
    uint64_t prot;             /* PROT_ bits */
    uint64_t unused;
} PageEntry;

enum {
    PROT_LOAD = 1 << MMU_LOAD,
    PROT_STORE = 1 << MMU_STORE,
    PROT_FETCH = 1 << MMU_FETCH,
    PROT_GLOBAL = 1 << 3,
    PROT_ROM = 1 << 4,   /* RAM that stores do not reach */
    PROT_WATCH = 1 << 5, /* has watchpoints */
    PROT_SMALL = 1 << 6, /* only the SMALL_PAGE that was asked for; phys is right for offsets in that */
};

/* A page is in one set for all modes. */
#define PAGES_WAYS 8
#define PAGES_SETS 1024

/* Entries lie in the order in which they came, so that few of the host's pages are touched, and few cache lines. */
typedef struct PageSets {
    uint64_t generation;
    uint32_t next_way;
    uint32_t n_entries; /* of this generation; all of entries if that is over */
    uint32_t touched;   /* of entries, where the host has pages */
    PageEntry *entries;
    uint64_t (*marks)[PAGES_WAYS]; /* of the sets' entries, on one cache line: most that are looked for are not there */
    uint32_t (*places)[PAGES_WAYS]; /* of them in entries, with the low half of their generation above */
} PageSets;

/* The number of an entry's page in its RAM. */
static inline uint64_t entry_page(const PageEntry *entry)
{
    return entry->flags - entry->ram->page_flags;
}

/* RamBlock.page_stores: whether tables may have the page for stores. GOING: it has PAGE_CODE, and they drop it when they see that. */
enum { STORES_NEVER, STORES_NOTED, STORES_GOING };

/*
 * Before a store entry is made, or a host address for stores is used: who begins to translate the page from here on waits for this
 * CPU to leave code. PAGE_CODE is to be looked at afterwards.
 */
static inline void note_stores(const PageEntry *entry)
{
    _Atomic uint8_t *noted = &entry->ram->page_stores[entry_page(entry)];

    if (!atomic_load_explicit(noted, memory_order_relaxed)) {
        atomic_store(noted, STORES_NOTED);
    }
}

/* Which elements of a table were filled, so that emptying it costs what filling did. */
#define FILL_MAX 16384
typedef struct FillList {
    uint32_t n;
    bool overflow;
    uint16_t index[FILL_MAX];
} FillList;

enum { FILL_LOCAL, FILL_GLOBAL };

#define TLB_MIN_SIZE 1024u
#define TLB_MAX_SIZE 8192u

/* The tables of one MMU mode. */
typedef struct Tlb {
    TlbEntry *load, *store;        /* NULL: not used yet */
    _Atomic uint8_t **store_flags; /* page flags behind each store entry */
    uint8_t *listed;               /* per element: bit FILL_LOCAL and FILL_GLOBAL */
    uint64_t mask;                 /* as CpuHot.tlb_mask */
    uint32_t refills;              /* since the last change of size, but for those that made up for flushes */
    FillList *filled;              /* two of them, apart, so that a look at all modes' tables stays on a few cache lines */
    TcgSites *sites;               /* where translated code keeps entries of these tables; or NULL */
} Tlb;

struct Block;

/*
 * Which places of a jump cache were filled, in groups that a page's low four bits choose: its blocks are in one by their first
 * place and in one by their second.
 */
#define JUMP_GROUPS    16
#define JUMP_GROUP_MAX (FILL_MAX / JUMP_GROUPS)
typedef struct JumpList {
    uint32_t n;
    bool overflow;
    uint16_t of_group[JUMP_GROUPS];
    uint16_t index[JUMP_GROUPS][JUMP_GROUP_MAX];
} JumpList;

typedef struct JumpCache {
    uint64_t flags, base;
    uint32_t pic_bits; /* of keys with these flags; perhaps 0 until there is one */
    uint64_t used; /* for replacement */
    JumpCacheEntry *entries; /* NULL: not used yet */
    uint32_t size;           /* places */
    size_t bytes;            /* of memory, from `entries` on */
    bool huge;               /* in a huge page, of which no part is given back */
    bool released;           /* nothing is in it, and its memory is not there: see jumps_take_back */
    struct Block **blocks;   /* behind each entry */
    JumpList *filled;        /* two of them */
    uint8_t *listed;
} JumpCache;

#define JUMP_CACHES 8
#define PAGE_FILTER_WORDS 512
#define LARGE_RANGES 16
#define FLUSH_LOG 512

/* Where pages larger than 4 KiB were mapped; neighbours are merged, so it may say too much. */
typedef struct LargeRanges {
    uint32_t n;
    struct {
        uint64_t start, last;
    } range[LARGE_RANGES];
} LargeRanges;

/* What translated code looks pages and blocks up in. */
typedef struct SpaceTables {
    Tlb tlb[MMU_MODES];
    JumpCache jumps[JUMP_CACHES];
    uint64_t code_seq;  /* how many new code pages its store entries know of */
    bool has_jumps;
    uint64_t jump_pages[PAGE_FILTER_WORDS]; /* filter of the pages that entries of the jump caches are on */
} SpaceTables;

/* A page of a context, and the entry of a table that maps it. */
typedef struct PageEvidence {
    const void *host;
    uint64_t value;
    uint64_t page;
    uint16_t place; /* in Evidence.place */
    uint8_t size;
} PageEvidence;

#define EVIDENCE_UPPER  24
#define EVIDENCE_PAGES  512
#define EVIDENCE_PLACES 1024

/* What a context's pages that are not global follow from; see evidence.c. */
typedef struct Evidence {
    bool incomplete;       /* some follow from what is not noted here */
    uint64_t generation;   /* of the memory map, where the entries are */
    unsigned n_upper, n_pages;
    MmuRead upper[EVIDENCE_UPPER];
    PageEvidence pages[EVIDENCE_PAGES];
    uint16_t place[EVIDENCE_PLACES]; /* by a hash of the page, indices of pages */
} Evidence;

/* What belongs to one address space on one CPU. */
typedef struct MmuContext {
    uint64_t id;
    bool valid;
    uint64_t used;
    uint64_t flush_seq; /* how far in EngineCpu.flush_log */
    PageSets pages;
    SpaceTables own;
    LargeRanges large;  /* of pages that are not global */
    Evidence evidence;  /* of those too */
} MmuContext;

#define MMU_CONTEXTS 16

/*
 * The global pages of those address spaces whose ids have the same upper half. A kernel's pages are mostly these: the tables of
 * its modes (GuestOps.system_modes) are kept here, once for all spaces. Of pages that are not global they have those of
 * `owner` only, which are dropped at a switch. A kernel that runs on such pages (one that keeps its mappings from its
 * processes) would start anew each time: it gets tables apart for each space.
 */
typedef struct Globals {
    uint64_t world;
    uint64_t used; /* for replacement */
    PageSets pages;
    LargeRanges large;
    SpaceTables shared;
    MmuContext *owner;       /* NULL: nobody */
    uint64_t linked_pages[PAGE_FILTER_WORDS]; /* filter of those that far exits were linked to */
    uint64_t linked_first, linked_last; /* the lowest and the highest of them */
    bool has_links;
    unsigned local_switches; /* that found much code on pages of the owner's, less those that did not */
    bool apart;
} Globals;

#define WORLDS 8
#define RECENT_JUMPS 8

/* What engine_change_mode found for a mode and key flags, for the next time. */
typedef struct KnownMode {
    uint64_t flags, base;
    Tlb *tlb;
    JumpCache *jumps;
    JumpCacheEntry *entries;
    uint64_t seq;      /* valid while equal to EngineCpu.modes_seq */
    unsigned mode;
    bool has_sites;    /* tlb must be EngineCpu.sites_of */
} KnownMode;
#define KNOWN_MODES 16
#define KNOWN_WAYS  2

/* What accesses and fetches are made by now. */
typedef struct ChosenMode {
    unsigned mode, fetch_mode;
    JumpCache *jumps;
} ChosenMode;

/* A mode that translated code changes to by itself, as it was when the target asked for that. */
typedef struct KeptMode {
    ReadyMode *ready;  /* NULL: none yet */
    ChosenMode chosen;
    bool has_sites;    /* its tables are those of EngineCpu.sites_of */
} KeptMode;

enum { PENDING_FLUSH_ALL = 1, PENDING_STORES = 2, PENDING_FLUSH_PAGES = 4 };

#define REMOTE_PAGES 256

typedef struct Watchpoint {
    VirtAddr addr, size;
    bool on_read, on_write;
} Watchpoint;

/* How a block differs from the usual one for its key. */
enum {
    VARIANT_SINGLE = 1, /* one instruction, and breakpoints are ignored */
    VARIANT_STEP = 2,   /* one instruction, then TCG_EXIT_DEBUG */
};

typedef struct EngineCpu {
    Cpu *cpu;
    const GuestOps *ops;
    _Atomic bool in_code;
    _Atomic bool in_event; /* the target delivers one, or serves a request: its stores use the tables, too */
    _Atomic bool busy;         /* uses blocks: none is freed */
    _Atomic uint32_t pending;
    unsigned exclusive;        /* no other is busy; how often begun */
    bool was_busy;
    uint64_t evictions_seen;

    unsigned kernel_mode;
    ChosenMode **chosen;       /* in the state, where translated code changes it; see chosen() */
    ChosenMode *own_chosen;    /* for targets whose code does not */
    ChosenMode general;        /* for *chosen, unless that is one of the kept */
    KeptMode kept[READY_MODES];
    MmuContext *context;
    KnownMode known_modes[KNOWN_MODES][KNOWN_WAYS]; /* by a hash, the newest first */
    uint64_t modes_seq;        /* changes with the tables that modes have */
    PageEntry small_page; /* the last one that was asked for */
    JumpCache *recent_jumps[MMU_MODES][RECENT_JUMPS]; /* the last ones of each mode, by a hash of their flags */
    MmuContext contexts[MMU_CONTEXTS];
    Globals worlds[WORLDS];
    Globals *globals;          /* of the current context's world */
    unsigned link_losses;      /* how often far links were undone because another world came */
    Tlb *tlb[MMU_MODES];       /* of the current context, its own or shared */
    Tlb *sites_of;             /* whose entries TcgSites has: the last one of a mode that is not the system's */
    uint64_t clock;            /* for replacement */
    uint64_t swept_clock;      /* when jump caches were looked at that nobody uses */
    int64_t swept_at;          /* the same in the host's seconds */
    uint64_t flush_seq;
    VirtAddr flush_log[FLUSH_LOG];       /* addresses | log2 of how many pages */
    VirtAddr remote_pages[REMOTE_PAGES]; /* the same, that other CPUs want flushed here; under remote_mutex */
    unsigned n_remote_pages;
    bool await_flushes;        /* before the next block: others do what this CPU wanted of them */

    struct Block *current;     /* under the interpreter: what runs */
    unsigned next_variant;     /* of the block to run next */
    bool next_exclusive;
    bool deliver_first;        /* what another engine may have left */
    bool ignore_watch;
    bool watch_hit;
    int watch_kind;            /* DebugStop */
    VirtAddr watch_addr;
    VirtAddr stopped_at;       /* the breakpoint that was reported last */
    bool was_stopped;
    bool finds_in_code;        /* see lookup_in_code */
    _Atomic bool single_step;
    GArray *watchpoints;       /* of Watchpoint */
    Watchpoint guest_watch[GUEST_WATCHES]; /* the guest's own; size 0: off */
    unsigned guest_watches;    /* how many are on */
    unsigned guest_hits;       /* by the instruction that runs */
    unsigned variant;          /* of the block that runs */
    VirtAddr fetch_addr;       /* whose fetch faulted */
    const uint8_t *samples[24]; /* the guest code that was interrupted last */
    unsigned n_samples;
    int64_t credit_since;      /* of hot_by_default: that of a block for each interval since then */

    uint64_t n_exits[16], n_found, n_fills, n_walks, n_flushes, n_renewals, n_switches;
} EngineCpu;

static inline EngineCpu *engine_cpu(Cpu *cpu)
{
    return cpu->engine;
}

/* The mode that the vCPU is in. */
static inline ChosenMode *chosen(const EngineCpu *ec)
{
    return *ec->chosen;
}

/* Of the code that runs next, whose key this is: a segment may lead around the end of 32-bit addresses. */
static inline VirtAddr code_address(const EngineCpu *ec, const BlockKey *key)
{
    return key->base ? ec->ops->get_pc(ec->cpu) : key->pc;
}

static inline bool is_system_mode(const EngineCpu *ec, unsigned mode)
{
    return ec->ops->system_modes >> mode & 1;
}

static inline EngineCpu *engine_of(void *state)
{
    return ((CpuHot *)state)->cpu->engine;
}

/*
 * A translated block. Kept, once dead, until its code region is evicted, which happens while no CPU
 * is busy with blocks.
 */
/* Guest code of a block that it loads when it runs. */
typedef struct BlockHole {
    const uint8_t *host;
    uint32_t size;
} BlockHole;

#define BLOCK_HOLES 4

/* Bytes of a page, by their offsets. */
typedef struct BlockRun {
    uint16_t first, last;
} BlockRun;

typedef struct Block {
    /* What a lookup reads, on one cache line. */
    BlockKey key;             /* pic_bits: of this block; its pc then is one within the page */
    const uint8_t *host;      /* first byte of guest code; with the key, what identifies it */
    const uint8_t *host2;     /* the second page's start, or NULL */
    struct Block *hash_next;
    uint32_t variant;
    _Atomic bool dead;

    RamBlock *ram, *ram2;
    uint32_t size, size2;     /* bytes of guest code on the first and second page */
    uint32_t n_more;          /* other bytes of the first page that it derives from: runs, behind this struct */
    BlockHole *holes;         /* on the first one; NULL: none */
    uint32_t n_holes;
    uint32_t n_insns;
    int64_t born;             /* microseconds, of the monotonic clock */
    struct Block *page_next[2];
    struct Block **page_link[2]; /* what points to it on the page's list */
    struct Block *dead_next;
    HostBlock *code;          /* NULL under the interpreter */
    IrBlock *ir;              /* the interpreter's, and for verify */
    HostExit *in;             /* linked exits of other blocks */
    BlockRun more[];
} Block;

/* Of a CodePage.pc_page, no page of the pc; nothing has been translated yet. */
#define PAGE_ANYWHERE 1
#define PAGE_NOWHERE  0

/* A bit of CodePage.starts is for so many bytes. */
#define STARTS_BYTES 4

/* A page that blocks derive from, in RamBlock.page_data. Without blocks it stays until code_pages_forget_empty,
 * and becomes another one's then. */
typedef struct CodePage {
    _Atomic uint64_t bytes[GUEST_PAGE_SIZE / 64]; /* which bytes blocks cover; may say too much */
    uint64_t starts[GUEST_PAGE_SIZE / STARTS_BYTES / 64]; /* where blocks begin; may say too much */
    Block *first;     /* blocks, by page_next[0] if they begin here, else page_next[1] */
    uint64_t pc_page; /* where the blocks here run that could be position-independent; PAGE_ANYWHERE: are */
    uint32_t rewrites; /* stores that killed blocks soon after they were made; fewer again if others do */
    uint64_t *scattered; /* bits by first byte: instructions with operands that are elsewhere all the time; or NULL */
    uint64_t *hot;     /* bits by first byte: blocks that take a good part of the time; or NULL */
    uint64_t *patched; /* bits of bytes that short stores over code have been to, or NULL */
    _Atomic uint32_t holds; /* translations of it that are under way: PAGE_CODE stays */
    uint32_t stopping; /* of these, who wait for other vCPUs to store the slow way */
    RamBlock *ram;     /* whose page `number` this is */
    uint64_t number;
    struct CodePage *next; /* on the list of all */
} CodePage;

/* engine.c */
/* Which code of processes may have entries in TcgSites: none, what is known to be hot (hot.c), all. */
typedef enum SitesOption { SITES_HOT, SITES_OFF, SITES_ALL } SitesOption;
typedef struct EngineOptions {
    bool interpret;
    unsigned verify; /* one in so many blocks; 0: off */
    bool single_thread;
    bool perf_map; /* names for perf(1) in /tmp/perf-PID.map */
    SitesOption sites;
    uint64_t buffer_size;
    char *host_features;
} EngineOptions;
extern EngineOptions engine_options;
bool chaining_off(void);
bool tcg_active(void); /* Cpu.engine is an EngineCpu */

/* run.c */
void *cpu_thread(void *opaque);
void exclusive_begin(EngineCpu *ec);
void exclusive_end(EngineCpu *ec);
/* All CPUs: do this before running code again. wait: until none runs code that has not. Not in code. */
void cpus_pend(EngineCpu *self, uint32_t what, bool wait);
void cpus_flush_pages(Cpu *cpu, VirtAddr addr, unsigned shift);
void cpus_flush_all(Cpu *cpu);

/* mmu.c, compiled for general registers only: memory accesses of translated code and helpers. */
extern const TcgRuntime mmu_runtime;
extern const EngineOps tcg_engine_ops;
/* The page of addr, if the access is allowed; faults otherwise, see EngineOps for retaddr. */
PageEntry *mmu_page(EngineCpu *ec, uint64_t addr, MmuAccess access, unsigned mode, uintptr_t retaddr);
/* The same, NULL for a fault, which the walk has recorded. */
PageEntry *mmu_page_or_null(EngineCpu *ec, uint64_t addr, MmuAccess access, unsigned mode);
/* What the second level has under a tag, without a walk; or NULL. */
PageEntry *mmu_known_page(EngineCpu *ec, uint64_t tag);

/* tlb.c and context.c, general registers only. */
void fill_note(FillList lists[2], uint8_t *listed, uint32_t index, unsigned which);
void fill_words(void *words, uint64_t value, size_t n);
void *map_zeroed(size_t size);
void *map_zeroed_huge(size_t size); /* for what is filled all over: in few pages, if the host has huge ones */
/* Pages of such memory become zeros again, and need no memory until they are touched. */
void zero_pages(void *pages, size_t size);
PageEntry *pages_find(PageSets *sets, uint64_t tag);
PageEntry *pages_slot(PageSets *sets, uint64_t tag);
void pages_drop(PageSets *sets, uint64_t page); /* of all modes */
void pages_forget(PageSets *sets); /* all */
void tlb_clear(Tlb *tlb, bool keep_global);
void tlb_fill(EngineCpu *ec, Tlb *tlb, const PageEntry *entry, uint64_t page, bool load, bool store);
void tlb_drop_page(Tlb *tlb, uint64_t page);
/* Entries of pages that have flags set meanwhile; those pages count as written. */
void tlb_drop_flagged_stores(Tlb *tlb);
void tlb_publish(EngineCpu *ec);

/* evidence.c, general registers only. Nothing of the context is left. */
void evidence_forget(Evidence *evidence);
/* A page was walked for. False: older entries of it are to be dropped first, they followed from something else. */
bool evidence_note(Evidence *evidence, uint64_t page, const MmuResult *result);
/* Whether all of the upper levels is as it was. */
bool evidence_holds(const Evidence *evidence);
/* The pages whose own entries have changed, to be dropped now; max + 1 if there are more than that. */
unsigned evidence_list_changed(Evidence *evidence, uint64_t *pages, unsigned max);

/* Before a page is entered that a walk in this context has found. */
void context_note_walk(EngineCpu *ec, uint64_t page, const MmuResult *result);
/* Lets the current context know of code pages and dirty logs that began since. */
void context_drop_flagged_stores(EngineCpu *ec);
/* The context's own tables, and what the shared ones have of its pages that are not global. */
void context_flush(EngineCpu *ec, MmuContext *context, bool keep_global);
void large_add(LargeRanges *large, uint64_t addr, uint64_t size);
/* Where the current context has its tables of this mode. */
SpaceTables *context_tables(EngineCpu *ec, unsigned mode);
/* A far exit was linked to the page: until its global mapping goes. */
void globals_note_link(EngineCpu *ec, uint64_t addr);
/* What any world has of a page as a global one. */
void globals_drop_page(EngineCpu *ec, uint64_t page);
void engine_flush_all(Cpu *cpu);
void engine_flush_space(Cpu *cpu, uint64_t id, bool keep_global);
void engine_flush_spaces(Cpu *cpu, uint64_t id, uint64_t mask);
void engine_renew_space(Cpu *cpu, uint64_t id);
void engine_flush_page(Cpu *cpu, VirtAddr addr);
/* Those of 2^shift bytes around addr: a page, or neighbours. */
void engine_flush_pages(Cpu *cpu, VirtAddr addr, unsigned shift);
void engine_update_mode(Cpu *cpu);
void engine_change_mode(Cpu *cpu, unsigned mode, unsigned fetch_mode, uint64_t flags, uint64_t base);
bool engine_keep_mode(Cpu *cpu, unsigned index, ReadyMode *ready);
/* Modes that were kept may have other tables, all or those with sites: translated code has to ask. */
void kept_modes_forget(EngineCpu *ec, bool only_sites);
extern _Atomic uint64_t code_page_seq; /* grows when a page gets PAGE_CODE */

/* hot.c: a block was left at its poll, and the vCPU is to go on there. Blocks are in use. */
void hot_sample(EngineCpu *ec);
/* Whether the block that is about to be made at this address of the page is taken for hot: one of few of a process. Under tb_lock. */
bool hot_by_default(EngineCpu *ec, const PageEntry *entry, VirtAddr addr);
void hot_start(const EngineCpu *ec); /* the first vCPU is there */
/* Whether no vCPU has been in a mode of processes yet: blocks of the system's may have sites. */
bool hot_before_processes(const EngineCpu *ec);
/* Whether blocks of this mode may have sites now. */
static inline bool mode_has_sites(const EngineCpu *ec, unsigned mode)
{
    return !is_system_mode(ec, mode) || hot_before_processes(ec);
}
/* One is about to be. From here on there are no such blocks. */
void hot_process_comes(EngineCpu *ec);

/* smc.c */
/* Before a store to bytes that blocks cover: drops those blocks. May not return. */
void smc_store(EngineCpu *ec, const PageEntry *entry, unsigned offset, unsigned size, uintptr_t retaddr);
/* After it, where another CPU may have translated the bytes meanwhile. */
void smc_stored(const PageEntry *entry, unsigned offset, unsigned size);
/* Marks a page as code before its bytes are read, so that stores to it are seen. Not in code. */
void smc_hold(EngineCpu *ec, RamBlock *ram, uint64_t page); /* until its code_page_release */
/* EngineOps.code_differs */
void smc_code_differs(Cpu *cpu, VirtAddr addr, unsigned size);
void smc_code_written(void *opaque, RamBlock *ram, uint64_t first_page, uint64_t last_page);
void smc_pages_cleaned(void *opaque, RamBlock *ram, uint64_t first_page, uint64_t last_page);

/* jumps.c, general registers only. */
void jumps_allocate(JumpCache *jumps, uint32_t size, bool shared); /* a power of two of places, empty */
void jumps_clear(JumpCache *jumps, bool keep_global);
void jumps_release(JumpCache *jumps);   /* one that is not in use */
void jumps_take_back(JumpCache *jumps); /* before it is used again */
void jumps_forget_blocks(JumpCache *jumps); /* that are about to be freed; it is empty */
void jumps_insert(EngineCpu *ec, uint64_t pc, Block *block, bool global);
void jumps_drop_page(JumpCache *jumps, uint64_t addr);

/* lookup.c, general registers only. Changes of the index are under tb_lock, who looks uses blocks. */
/* A block for the key and variant; one that goes on in a second page only if that is at host2. */
Block *code_block_find(const BlockKey *key, unsigned variant, const uint8_t *host, const uint8_t *host2);
/* The nearest one behind `key`'s that has the same key but for the pc, and is worth ending before; its pc, or 0. Under tb_lock. */
uint64_t code_block_next(const BlockKey *key, const CodePage *cp, const uint8_t *host);
/* Whether there is one that goes on in a second page. */
bool code_block_crosses(const BlockKey *key, unsigned variant, const uint8_t *host);
void index_add(Block *block);
void index_remove(Block *block);
void index_init(void);
void index_each_remove(void (*remove)(Block *block)); /* calls it for all, which removes them */
/* TcgRuntime.find_code: of a block for this pc that is there and needs nothing of the engine. It comes into the jump cache. */
const void *lookup_in_code(void *state, uint64_t pc);

/* blocks.c. All under tb_lock unless noted. */
extern GMutex tb_lock;
CodePage *code_page(RamBlock *ram, uint64_t page, bool create);
void code_block_insert(Block *block);
/*
 * Whether blocks of this key, whose code is on the page, are to be position-independent. They are when
 * code of the page has been seen at two places; its blocks for one place are dropped then.
 */
bool code_page_is_shared(RamBlock *ram, uint64_t page, uint64_t pc);
void code_block_kill(Block *block);
void code_page_release(RamBlock *ram, uint64_t page);
/* Whether a store of so many bytes there changes the block. */
bool code_block_covers(const Block *block, const uint8_t *host, unsigned size);
/* Whether any of these bytes is rewritten often by stores that are as short. */
bool code_page_is_patched(const CodePage *cp, unsigned first, unsigned last);
/* Whether the operands of a block's instruction at this offset within a page are elsewhere all the time. */
bool code_page_is_scattered(const CodePage *cp, unsigned offset);
/* Whether a block that begins at this offset within a page takes a good part of the time. */
bool code_page_is_hot(const CodePage *cp, unsigned offset);
/* Blocks that begin here do, and are to be made anew; false: that is known. Under tb_lock; blocks are in use. */
bool code_is_hot(const PageEntry *entry, const uint8_t *host);
/* A block that is about to be made here is to be taken for one. Likewise. */
void code_will_be_hot(const PageEntry *entry, const uint8_t *host);
/* Those that begin here are made as they were before. Likewise. */
void code_is_not_hot(const PageEntry *entry, const uint8_t *host);
/* A place in the code of a block has met many new pages. Takes tb_lock; the block is in use. */
void code_site_tired(TcgSiteUse *use);
void blocks_kill_range(RamBlock *ram, uint64_t page, unsigned first, unsigned last);
/* Those that load any of these bytes, which then do not count as rewritten often for a while. */
void blocks_kill_loaders(RamBlock *ram, uint64_t page, unsigned first, unsigned last);
void blocks_kill_all(void);
void code_block_link(HostExit *exit, Block *to);
/* A far exit that has nobody to be linked to now. */
void code_block_link_cached(HostExit *exit);
/* Far exits that lead to this page; NULL: all of them, also those that were not to be linked. */
void code_block_unlink_far(const uint64_t *page);
void code_block_register_code(Block *block);
const HostBlock *code_block_of_host_pc(uintptr_t host_pc); /* no lock needed */
/* In an exclusive section: frees a region's blocks; dead blocks of the interpreter. */
void blocks_evict(unsigned region);
void blocks_collect(void);
/* What is known of pages that have no blocks. While no vCPU runs blocks: they look at pages without a lock. */
void code_pages_forget_empty(void);
extern uint64_t eviction_count;
extern _Atomic uint32_t dead_interpreted;
typedef struct BlockStats {
    uint64_t blocks, killed, translated, linked, insns, evicted;
    uint64_t guest_bytes;     /* of code that live blocks derive from */
    uint64_t host_bytes, usual_bytes; /* of their code, and what is not out of line of it */
    uint64_t metadata;        /* bytes besides the code, of blocks in the buffer, live or dead */
    uint64_t hot;    /* places whose blocks were made anew for that */
    uint64_t scattered; /* instructions whose sites were given up */
    uint64_t pages;  /* that are known for the blocks that they have, or had */
    uint64_t shared; /* pages whose blocks became position-independent */
} BlockStats;
extern BlockStats code_stats;

/* translate.c: finds or makes the block for the key. block is NULL if the fetch faulted. */
typedef struct Lookup {
    Block *block;
    bool once;   /* for one run, not in the index */
    bool global; /* its page is mapped so */
} Lookup;
Lookup translate_lookup(EngineCpu *ec, const BlockKey *key, unsigned variant);
/* Whether exits of blocks that run now may be linked to blocks on other pages, if those are global. */
bool far_links_allowed(const EngineCpu *ec);
void translate_discard(Block *block); /* after a run of one for once */

/* debug.c */
bool debug_in_use(void); /* by a debugger */
bool debug_has_breakpoint(VirtAddr addr);
bool debug_has_breakpoints(void); /* any, anywhere */
bool debug_insert_breakpoint(Cpu *cpu, VirtAddr addr);
bool debug_remove_breakpoint(Cpu *cpu, VirtAddr addr);
bool debug_insert_watchpoint(Cpu *cpu, VirtAddr addr, VirtAddr size, bool on_read, bool on_write);
bool debug_remove_watchpoint(Cpu *cpu, VirtAddr addr, VirtAddr size, bool on_read, bool on_write);
void debug_set_single_step(Cpu *cpu, bool on);
bool debug_page_watched(EngineCpu *ec, uint64_t page);
/* An access to a watched page: unwinds if it hits a watchpoint. probe: before it, or instead. */
void debug_check_watch(EngineCpu *ec, VirtAddr addr, unsigned size, bool is_store, bool probe,
                       uintptr_t retaddr);
void debug_guest_watch(Cpu *cpu, unsigned index, VirtAddr addr, unsigned size, bool on_read, bool on_write);
void debug_guest_report(Cpu *cpu, unsigned hits);
/* After a block: the hits of its instruction come to the target. True: it has an exception now. */
bool debug_guest_hits(EngineCpu *ec, TcgExit why);
void debug_stop(EngineCpu *ec, int why, VirtAddr addr);
TcgExit debug_exit(EngineCpu *ec); /* TCG_EXIT_EXCEPTION: the target has one to deliver */
void debug_breakpoints_changed(Cpu *cpu);

/* verify.c: runs the block by both engines and compares. */
TcgExit verify_run(EngineCpu *ec, Block *block, HostExit **exit);
bool verify_wanted(const Block *block);

/* stats.c */
char *engine_describe(void);
void perf_map_add(const Block *block);

#endif
