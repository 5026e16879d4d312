/* A guest architecture as the translating engine sees it. */
#ifndef TARGET_GUEST_H
#define TARGET_GUEST_H

#include "core/cpu.h"
#include "tcg/tcg.h"

/* What a translated block depends on besides the bytes of its code. */
typedef struct BlockKey {
    uint64_t pc;    /* the pc slot's value */
    uint64_t base;  /* added to pc for the virtual (linear) address: x86 CS base */
    uint64_t flags; /* mode bits, target-defined; equal flags and base: same jump cache */
    /*
     * 0, or the width at which pcs wrap, 32 or 64: base is 0, and the front end can make a block for
     * these flags that does not depend on where in the address space its page is. In the key of a
     * translation: it is to be such a block. The pc, and all others, are distances from the page, as in
     * the IR; code that wants a real one adds the slot of CpuHot.pic_page.
     */
    uint32_t pic_bits;
    PhysAddr phys;  /* filled in by the engine */
} BlockKey;

typedef enum MmuAccess { MMU_LOAD, MMU_STORE, MMU_FETCH } MmuAccess;

#define GUEST_WATCHES 4

/* MMU modes have a TLB each. Targets number them from 0. */
#define MMU_MODES 9

/* The one size of pages below GUEST_PAGE_SIZE. */
#define SMALL_PAGE 1024

/* What a walk read in host memory: a register of the state, or an entry of a table in RAM, of 4 or 8 bytes. */
typedef struct MmuRead {
    const void *host;
    uint64_t value;
    unsigned size;
} MmuRead;

#define MMU_READS 7

typedef struct MmuResult {
    PhysAddr phys;      /* of the page's first byte, 4 KiB pages or small ones */
    uint64_t page_size; /* of the mapping; entries of larger pages are dropped by range; SMALL_PAGE: nothing is kept of those */
    bool readable, writable, executable; /* right now: writable only if the dirty bit is set already
                                            or was set by this walk (access == MMU_STORE) */
    bool global;        /* survives an address-space switch */
    /*
     * All that the translation follows from beside what flushes everything, the page's own entry last: while it reads the same,
     * another walk would say the same. Zero of them, as the engine sets it before: that cannot be told.
     */
    MmuRead read[MMU_READS];
    unsigned n_reads;
    uint64_t may_gain;  /* bits of the last one that walks set themselves: accessed, dirty */
} MmuResult;

/* Of an address on the page. */
static inline PhysAddr mmu_phys(const MmuResult *page, VirtAddr addr)
{
    return page->phys + (addr & ((page->page_size < GUEST_PAGE_SIZE ? SMALL_PAGE : GUEST_PAGE_SIZE) - 1));
}

/* A translation in progress: what the front end sees of the engine. */
#define TRANSLATION_MORE 32

typedef struct Translation {
    IrBlock *ir;
    Cpu *cpu;
    const BlockKey *key;
    unsigned max_insns;
    bool single_step;   /* one instruction, then TCG_EXIT_DEBUG */
    /* Next bytes of guest code: reads byte at virtual address base+pc. On a page that cannot be
     * read it returns false: end the block before this instruction, or, if it is the first one,
     * call raise_fetch_fault in code (the engine has recorded the address). */
    bool (*fetch)(struct Translation *t, uint64_t pc, uint8_t *byte);
    /* So many at once, where they are on one page of memory; NULL: by `fetch`. May be NULL itself. */
    const uint8_t *(*bytes)(struct Translation *t, uint64_t pc, unsigned size);
    /*
     * Where these bytes of guest code are in host memory, if they are rewritten so often that the block had better load
     * them when it runs (ir_load_code): stores to them do not invalidate it then. NULL: it had not. May be NULL itself.
     */
    const uint8_t *(*patched)(struct Translation *t, uint64_t pc, unsigned size);
    /* Whether `patched` may say so. */
    bool (*may_be_patched)(struct Translation *t, uint64_t pc, unsigned size);
    /* The engine wants an exit before this pc (breakpoint). */
    bool (*has_breakpoint)(struct Translation *t, uint64_t pc);
    void *engine;
    bool is_hot;        /* found hot: worth a longer translation */
    uint64_t next_known; /* the pc of a block behind key->pc that is there already, where this one may end; 0: none */
    /* Results. */
    uint64_t end_pc;    /* behind the bytes of the block that begin at key->pc */
    struct { uint64_t pc; uint32_t size; } more[TRANSLATION_MORE]; /* see translation_relies_on */
    unsigned n_more;
    unsigned n_insns;
} Translation;

/* A block ends before pc, for a debugger. */
static inline bool translation_breaks_at(Translation *t, uint64_t pc)
{
    return t->has_breakpoint && t->has_breakpoint(t, pc);
}

/*
 * The block is made of these bytes too, on its first page, or right only as long as they are what they are. False, and nothing is
 * noted: no room for so many, of which `spare` more are wanted for others. With none to spare, the last run grows over what is
 * between instead, which says too much.
 */
static inline bool translation_relies_on(Translation *t, uint64_t pc, uint32_t size, unsigned spare)
{
    for (unsigned i = 0; i < t->n_more; i++) {
        uint64_t at = pc - t->more[i].pc;

        if (at <= t->more[i].size) {
            t->more[i].size = at + size > t->more[i].size ? at + size : t->more[i].size;
            return true;
        }
    }
    if (t->n_more + spare >= TRANSLATION_MORE) {
        uint64_t begin = t->more[TRANSLATION_MORE - 1].pc, end = begin + t->more[TRANSLATION_MORE - 1].size;

        if (spare) {
            return false;
        }
        begin = pc < begin ? pc : begin;
        end = pc + size > end ? pc + size : end;
        t->more[TRANSLATION_MORE - 1].pc = begin;
        t->more[TRANSLATION_MORE - 1].size = end - begin;
        return true;
    }
    t->more[t->n_more].pc = pc;
    t->more[t->n_more++].size = size;
    return true;
}

/*
 * A mode that translated code may change to by itself, while `from` says so: it copies the tables into CpuHot, and `chosen` to
 * GuestOps.chosen_offset.
 */
typedef struct ReadyMode {
    uint64_t from; /* what the target puts there; READY_NONE: the engine has to be asked */
    uint64_t tlb_mask;
    void *tlb_load, *tlb_store, *jump_cache, *chosen;
} ReadyMode;
#define READY_NONE  UINT64_MAX
#define READY_MODES 4

typedef struct GuestOps {
    TcgTarget tcg;
    const IrHelper *helpers;
    uint32_t n_helpers;

    /* The key of the block to run next, from the state. */
    void (*block_key)(Cpu *cpu, BlockKey *key);
    /* Decodes from key->pc and builds IR that ends in an exit. */
    void (*translate)(Translation *t);
    /* Disassembles one instruction at code for -d in_asm; returns its length. */
    unsigned (*disassemble)(const BlockKey *key, const uint8_t *code, unsigned size, uint64_t pc, GString *text);

    /* The MMU mode of ordinary accesses now, and of IRM_KERNEL accesses. */
    unsigned (*mmu_mode)(Cpu *cpu, bool kernel);
    /* That of instruction fetches, where it is another than that of ordinary accesses; may be NULL. */
    unsigned (*fetch_mode)(Cpu *cpu);
    /* Bits by MMU mode: those of a kernel, which is mapped by global pages mostly; one set of tables does for all spaces. */
    unsigned system_modes;
    /* Modes whose tables for stores have pages that are for nothing else, too: IrBlock.stores_apart of all their blocks. */
    unsigned store_modes;
    /* Code of these modes may be linked over the ends of global pages, outside of virtual machines. */
    bool links_global;
    bool system_sites; /* code of these modes always uses their tables, so that it may have sites before there are processes */
    /* The same in all worlds of global pages (address_space_id), which come one after the other rather than in turn. */
    bool links_worlds;
    /* Of a pointer in the state that says which mode of the engine's is current, if translated code changes modes; else 0. */
    uint32_t chosen_offset;
    /* An identifier of the current address space (x86: PCID, and ASID of a virtual machine); TLB
     * contexts are kept by it. Global pages are shared by those whose upper 32 bits are equal. */
    uint64_t (*address_space_id)(Cpu *cpu);
    /*
     * Walks the page tables for one access. debug: change nothing (A/D bits), permissions ignored.
     * False: fault; the walk recorded it in the state for raise_mmu_fault.
     */
    bool (*walk)(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out);
    /* Delivers the recorded fault of addr: sets the pending exception, then tcg_unwind. No return. */
    void (*raise_mmu_fault)(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode);
    void (*raise_alignment)(Cpu *cpu, VirtAddr addr, bool is_store);
    void (*raise_host_fp)(Cpu *cpu, int signal, int code);
    /* The bus answered with an error (nothing there): most targets ignore it. May be NULL. */
    void (*bus_error)(Cpu *cpu, PhysAddr addr, MmuAccess access);

    /*
     * Between blocks, in the CPU's thread, no lock held, state complete:
     * deliver_exception: after TCG_EXIT_EXCEPTION, enters the guest's handler.
     * service: looks at cpu->requests (interrupts, NMI, INIT, SIPI...) and acts on what can be
     * taken now; takes the machine lock itself where needed.
     */
    void (*deliver_exception)(Cpu *cpu);
    void (*service)(Cpu *cpu);
    /* A debugger stopped on its own breakpoint at the current pc: is it one of the guest's (DR0-3)? */
    bool (*guest_debug_exception)(Cpu *cpu);
    /*
     * The guest's own watched ranges (EngineOps.watch; both may be NULL where nothing calls that).
     * watch_restartable: whether the instruction that makes an access may still be left and done
     * again. watch_hits: after the instruction, with the state complete; raised: it has an exception
     * to deliver. True if there is one now.
     */
    bool (*watch_restartable)(Cpu *cpu);
    bool (*watch_hits)(Cpu *cpu, unsigned hits, bool raised);
    /* Instead of these two, where a hit is an exception before the access: raises it, or returns if it is none after all. */
    void (*watch_before)(Cpu *cpu, unsigned hits, VirtAddr addr, bool is_store, uintptr_t retaddr);

    uint64_t (*get_pc)(Cpu *cpu); /* linear */
    void (*set_pc)(Cpu *cpu, uint64_t pc);
    /* gdb: XML target description names, register access by gdb number. */
    const char *(*gdb_target_xml)(Cpu *cpu, const char *annex);
    int (*gdb_read_register)(Cpu *cpu, int number, uint8_t *buf); /* size, 0: none */
    int (*gdb_write_register)(Cpu *cpu, int number, const uint8_t *buf);
    bool (*gdb_big_endian)(Cpu *cpu); /* the order of their bytes now; NULL: little-endian always */
} GuestOps;

static inline const GuestOps *guest_ops(const Cpu *cpu)
{
    return cpu->type->guest_ops;
}

/* Services of the engine to targets (set by the engine at start; KVM leaves the defaults). */
typedef struct EngineOps {
    /* Guest memory as the current mode (or supervisor) sees it, from C helpers. All unwind on faults
     * when retaddr is 0 or a return address into translated code. */
    uint64_t (*load)(Cpu *cpu, VirtAddr addr, unsigned size, unsigned mode, uintptr_t retaddr);
    void (*store)(Cpu *cpu, VirtAddr addr, uint64_t value, unsigned size, unsigned mode, uintptr_t retaddr);
    /* Faults as the access would; returns a host pointer valid for `size` bytes if all of it is plain
     * RAM within one page, else NULL (use load/store). Stores through it are only allowed after
     * access == MMU_STORE. */
    void *(*probe)(Cpu *cpu, VirtAddr addr, unsigned size, MmuAccess access, unsigned mode, uintptr_t retaddr);
    void (*flush_all)(Cpu *cpu);               /* every context, also global entries */
    void (*flush_space)(Cpu *cpu, uint64_t space_id, bool keep_global);
    /* What of a space is not global is as a walk would find it now: the rest is dropped. */
    void (*renew_space)(Cpu *cpu, uint64_t space_id);
    /* Those whose id, as far as mask goes, is this; mask has all of the upper bits that tell worlds
     * of global pages apart, or a prefix of them. */
    void (*flush_spaces)(Cpu *cpu, uint64_t space_id, uint64_t mask);
    void (*flush_page)(Cpu *cpu, VirtAddr addr); /* in all contexts of this CPU */
    void (*flush_pages)(Cpu *cpu, VirtAddr addr, unsigned shift); /* 2^shift bytes around addr: a page or a few */
    /* The same on every CPU, from helpers with EFFECT_FP whose block ends behind them: the next one begins when all others
     * have done it. */
    void (*flush_pages_everywhere)(Cpu *cpu, VirtAddr addr, unsigned shift);
    void (*flush_all_everywhere)(Cpu *cpu);
    /* CR3, mode or key flags changed: choose tables and jump cache again. */
    void (*update_mode)(Cpu *cpu);
    /* The same, quicker, where the address space is what it was: the MMU modes of accesses and of fetches, and the key's flags
     * and base. */
    void (*change_mode)(Cpu *cpu, unsigned mode, unsigned fetch_mode, uint64_t flags, uint64_t base);
    /* Has the current mode in `ready`, the one with this index below READY_MODES; all but `from`, which becomes READY_NONE when that
     * does not hold any more. False: it cannot. May be NULL. */
    bool (*keep_mode)(Cpu *cpu, unsigned index, ReadyMode *ready);
    /* Stop translating/running this block after the current instruction (e.g. self-modified). */
    void (*breakpoints_changed)(Cpu *cpu);
    /* A block that loads these bytes of its code (Translation.patched) has found there what it is not made for: makes it anew. */
    void (*code_differs)(Cpu *cpu, VirtAddr addr, unsigned size);
    /* Watched range number index (below GUEST_WATCHES) of this CPU; size 0: none. Accesses by
     * translated code and its helpers come to GuestOps.watch_hits as bits by index. */
    /* For what takes more than one access: unless no other vCPU runs now, the instruction begins again when none does. */
    void (*exclusive)(Cpu *cpu, uintptr_t retaddr);
    void (*watch)(Cpu *cpu, unsigned index, VirtAddr addr, unsigned size, bool on_read, bool on_write);
    /* As if the current instruction had hit these; seen where the next block begins. */
    void (*watch_report)(Cpu *cpu, unsigned hits);
} EngineOps;

extern EngineOps engine;

#endif
