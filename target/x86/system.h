/* Shared by the files of the x86 system half: modes, descriptors, memory as the processor uses it. */
#ifndef TARGET_X86_SYSTEM_H
#define TARGET_X86_SYSTEM_H

#include <inttypes.h>
#include <stdatomic.h>

#include "target/x86/internal.h"
#include "util/log.h"

/* Physical address bits, as CPUID 0x80000008 has them. */
#define X86_PHYS_BITS 40
#define X86_PHYS_MASK ((UINT64_C(1) << X86_PHYS_BITS) - 1)

/* Of DR6: the breakpoints that were hit, and a single step. */
enum { DR6_HITS = 0xf, DR6_BS = 1 << 14 };

/* Messages may use vector registers: the guest's are put away first. */
#define x86_log(s, mask, ...)               \
    do {                                    \
        if (log_enabled(mask)) {            \
            tcg_fp_sync(s);                 \
            log_write(mask, __VA_ARGS__);   \
        }                                   \
    } while (0)

/* Modes. */
static inline bool is_protected(const X86State *s)
{
    return (s->cr0 & CR0_PE) && !(s->eflags & EFL_VM);
}

static inline bool is_long(const X86State *s)
{
    return (s->efer & EFER_LMA) != 0;
}

static inline bool is_code64(const X86State *s)
{
    return is_long(s) && (s->seg[S_CS].attr & SEG_L);
}

static inline unsigned iopl(const X86State *s)
{
    return s->eflags >> 12 & 3;
}

static inline uint64_t mask_of(unsigned bytes)
{
    return UINT64_MAX >> (64 - 8 * bytes);
}

/* Linear addresses have so many bits: as paging is now, and as a processor's registers for bases hold them. */
static inline unsigned linear_bits(const X86State *s)
{
    return s->cr4 & CR4_LA57 ? 57 : 48;
}

static inline unsigned most_linear_bits(const X86State *s)
{
    return x86_has(s, FEAT_la57) ? 57 : 48;
}

static inline uint64_t make_canonical(uint64_t addr, unsigned bits)
{
    return (uint64_t)((int64_t)(addr << (64 - bits)) >> (64 - bits));
}

static inline bool is_canonical(const X86State *s, uint64_t addr)
{
    return make_canonical(addr, linear_bits(s)) == addr;
}

/* What MSRs, descriptor tables and hidden bases may hold, and INVPCID name, whatever CR4.LA57 says (SDM vol. 3, 4.5.2). */
static inline bool is_canonical_base(const X86State *s, uint64_t addr)
{
    return make_canonical(addr, most_linear_bits(s)) == addr;
}

/* ESP, SP or RSP is the stack pointer: the mask of the bits in use. */
static inline uint64_t stack_mask(const X86State *s)
{
    if (is_code64(s)) {
        return UINT64_MAX;
    }
    return s->seg[S_SS].attr & SEG_DB ? UINT32_MAX : 0xffff;
}

static inline uint64_t merge(uint64_t old, uint64_t value, uint64_t mask)
{
    /* A 32-bit stack pointer in 32-bit modes has no upper half to keep. */
    return mask == UINT32_MAX ? (uint32_t)value : (old & ~mask) | (value & mask);
}

/* Linear memory. Outside of long mode linear addresses have 32 bits. */
static inline VirtAddr linear(const X86State *s, VirtAddr addr)
{
    return is_long(s) ? addr : (uint32_t)addr;
}

static inline unsigned data_mode(const X86State *s, unsigned cpl)
{
    return cpl == 3 ? MMU_USER : (s->eflags & EFL_AC) && (s->cr4 & CR4_SMAP) ? MMU_KERNEL_AC : MMU_KERNEL;
}

static inline uint64_t load_linear(X86State *s, VirtAddr addr, unsigned size, unsigned mode, uintptr_t ra)
{
    return engine.load(s->hot.cpu, linear(s, addr), size, mode, ra);
}

static inline void store_linear(X86State *s, VirtAddr addr, uint64_t value, unsigned size,
                                unsigned mode, uintptr_t ra)
{
    engine.store(s->hot.cpu, linear(s, addr), value, size, mode, ra);
}

/* A stack in use by a transfer: nothing of the state changes until the caller commits sp. */
typedef struct Stack {
    uint64_t base, sp, mask;
    unsigned mode;       /* MMU mode */
    uint64_t last;       /* highest offset, or lowest - 1 if expand-down */
    bool expand_down, checked;
    bool is_new;         /* faults name the new stack's selector */
    uint16_t selector;
    uint8_t frame;       /* so many bytes will be pushed or popped in all, maybe: they are looked for at once; 0: one by one */
    uint16_t seen_size;  /* linear addresses from `seen_from` on that are at `seen` */
    uint64_t seen_from;
    uint8_t *seen;
} Stack;

void stack_current(const X86State *s, Stack *k);
void stack_push(X86State *s, Stack *k, unsigned size, uint64_t value, uintptr_t ra);
uint64_t stack_pop(X86State *s, Stack *k, unsigned size, uintptr_t ra);
uint64_t stack_peek(X86State *s, const Stack *k, unsigned offset, unsigned size, uintptr_t ra);
void stack_commit(X86State *s, const Stack *k);

/* Segment descriptors. */
typedef struct Descriptor {
    uint32_t low, high;
    VirtAddr addr;
    uint16_t selector;
} Descriptor;

enum {
    DESC_CODE = 1 << 11, DESC_CONFORMING = 1 << 10, DESC_RW = 1 << 9, DESC_ACCESSED = 1 << 8,
    DESC_EXPAND_DOWN = 1 << 10, DESC_S = 1 << 12, DESC_P = 1 << 15, DESC_L = 1 << 21, DESC_DB = 1 << 22,
    DESC_G = 1 << 23, DESC_TSS_BUSY = 1 << 9,
};
enum {
    SYS_TSS16 = 1, SYS_LDT = 2, SYS_TSS16_BUSY = 3, SYS_CALL16 = 4, SYS_TASK_GATE = 5, SYS_INT16 = 6,
    SYS_TRAP16 = 7, SYS_TSS32 = 9, SYS_TSS32_BUSY = 11, SYS_CALL32 = 12, SYS_INT32 = 14, SYS_TRAP32 = 15,
};

static inline unsigned desc_type(const Descriptor *d)
{
    return d->high >> 8 & 15;
}

static inline unsigned desc_dpl(const Descriptor *d)
{
    return d->high >> 13 & 3;
}

static inline uint32_t desc_base(const Descriptor *d)
{
    return d->low >> 16 | (d->high & 0xff) << 16 | (d->high & 0xff000000);
}

static inline uint32_t desc_limit(const Descriptor *d)
{
    uint32_t limit = (d->low & 0xffff) | (d->high & 0xf0000);

    return d->high & DESC_G ? limit << 12 | 0xfff : limit;
}

static inline uint16_t desc_attr(const Descriptor *d)
{
    return (d->high >> 8 & 0xff) | (d->high >> 20 & 0xf) << 8;
}

static inline bool is_null(uint16_t selector)
{
    return (selector & ~3) == 0;
}

/* False if the selector lies outside of its table. */
bool desc_read(X86State *s, uint16_t selector, Descriptor *d, uintptr_t ra);
/* The same, raising vector(selector, ext) then. */
void desc_fetch(X86State *s, uint16_t selector, Descriptor *d, int vector, unsigned ext, uintptr_t ra);
/* Upper half of the base of a 16-byte descriptor. */
uint64_t desc_base64(X86State *s, const Descriptor *d, uintptr_t ra);
void desc_set_accessed(X86State *s, Descriptor *d, uintptr_t ra);
void desc_set_busy(X86State *s, Descriptor *d, bool busy, uintptr_t ra);
void seg_from_descriptor(X86Segment *seg, uint16_t selector, const Descriptor *d);
void seg_set_null(X86Segment *seg, uint16_t selector);
/* The 16 bytes that AMD64's control blocks and SMM save areas have for a segment register. */
void seg_load_image(const uint8_t *from, X86Segment *seg);
void seg_store_image(uint8_t *to, const X86Segment *seg);
/* Flat or real-mode-like content for the modes' fixed segments. */
void seg_set_v86(X86State *s, int seg, uint16_t selector);
/* Checks and loads a data or stack segment for the given privilege level; raises vector on failure
 * instead of #GP if it is not 0 (task switches: #TS). */
void seg_load_protected(X86State *s, X86Segment *out, int seg, uint16_t selector, unsigned cpl,
                        int vector, uintptr_t ra);
/* After a return to an outer level: data segments that it may not use become null. */
void seg_drop_privileged(X86State *s, unsigned cpl);

/* CS and CPL in one step, then pc; the caller calls x86_update_mode once all is committed. */
static inline void set_code_segment(X86State *s, const X86Segment *cs, unsigned cpl)
{
    s->seg[S_CS] = *cs;
    s->seg[S_CS].selector = (cs->selector & ~3) | cpl;
    s->cpl = cpl;
}

/* The stack of an inner level from the TSS; ist 1-7 in long mode. */
void tss_stack(X86State *s, unsigned level, uint16_t *ss, uint64_t *sp, unsigned ext, uintptr_t ra);
uint64_t tss_rsp(X86State *s, unsigned level, unsigned ist, unsigned ext, uintptr_t ra);

typedef enum TaskSource { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_INT } TaskSource;
/* Switches to the task of a TSS descriptor. next_pc is saved as the old task's pc. */
void task_switch(X86State *s, Descriptor *d, TaskSource source, uint64_t next_pc, bool has_error,
                 uint32_t error, unsigned ext, uintptr_t ra);

/* Runs the handler of an event; false if that raised another, which s->exception then holds. */
void x86_interrupt(X86State *s, const X86Exception *event);
void x86_set_pc_linear(X86State *s, uint64_t pc);

bool x86_has_work(Cpu *cpu);

/* What the engine calls the current address space, or that of a PCID; and all of a virtual machine's. */
uint64_t x86_space_id(const X86State *s);
uint64_t x86_pcid_space(const X86State *s, unsigned pcid);
#define SVM_SPACE_SHIFT 44
#define SVM_SPACE(asid) (UINT64_C(1) << 63 | (uint64_t)(asid) << SVM_SPACE_SHIFT)
#define SVM_SPACE_MASK  (UINT64_MAX << SVM_SPACE_SHIFT)

/* Physical memory as the processor's own accesses see it; NULL: no RAM. */
struct X86TableRam *x86_table_ram(X86State *s, PhysAddr addr);
uint64_t x86_read_phys(X86State *s, PhysAddr addr, unsigned size);
/* False: reserved bits are set. */
bool x86_read_pdptes(X86State *s, uint64_t cr3, uint64_t pdpte[4]);
void x86_load_pdptes(X86State *s, uint64_t cr3, uintptr_t ra);
void x86_set_cr0(X86State *s, uint64_t value, uintptr_t ra);
void x86_set_cr3(X86State *s, uint64_t value, uintptr_t ra);
void x86_set_cr4(X86State *s, uint64_t value, uintptr_t ra);
void x86_set_efer(X86State *s, uint64_t value);
/* The instruction breakpoints of DR0-3 at a linear address, as bits of DR6. */
uint64_t x86_breakpoint_hits(const X86State *s, VirtAddr addr);
/* The I/O breakpoints that an access to a port hits, likewise. */
unsigned x86_port_hits(const X86State *s, uint32_t port, unsigned size);
/* DR0-3 or DR7 have changed: the engine watches what they say of data. */
void x86_update_watches(X86State *s);
/* GuestOps.watch_hits. */
bool x86_watch_hits(Cpu *cpu, unsigned hits, bool raised);

/* Machine checks. */
enum { MCG_BANKS = 10 };
bool x86_machine_check(Cpu *cpu, const MachineCheck *check, GError **error); /* CpuType.machine_check */
void x86_take_machine_check(X86State *s); /* CPU_REQ_MCE */
/* What a triple fault ends in: the machine is reset. */
void x86_shut_down(X86State *s);

/* #GP unless IOPL or the TSS's bitmap allow the ports. */
void x86_check_io(X86State *s, uint32_t port, unsigned size, uintptr_t ra);
/* What DR6 and DR7 become with a #DB. */
void x86_enter_debug(X86State *s, const X86Exception *e);

/* Bits that exist on this model. */
uint64_t x86_allowed_cr4(const X86State *s);
uint64_t x86_allowed_efer(const X86State *s);
bool x86_pat_ok(uint64_t pat);
bool x86_msr_read(X86State *s, uint32_t msr, uint64_t *value);
bool x86_msr_write(X86State *s, uint32_t msr, uint64_t value);
void x86_tsc_start(void);
/* For a guest that reads it, on its CPU's thread: timers that are late may run. */
uint64_t x86_tsc_read(X86State *s);
void x86_tsc_set(X86State *s, uint64_t value);
/* CR4.TSD or MSRs have changed: the next read asks. */
void x86_tsc_rules_changed(X86State *s);
uint64_t x86_tsc_host_offset(const X86State *s); /* what added to the host's counter makes the guest's */
void x86_tsc_set_host_offset(X86State *s, uint64_t offset);
void x86_tsc_reset(X86State *s);

/* Models. Features are kept as the words of CPUID that have them. */
typedef enum X86FeatureWord {
    WORD_1_EDX, WORD_1_ECX, WORD_6_EAX, WORD_7_EBX, WORD_7_ECX, WORD_7_EDX, WORD_D_1_EAX,
    WORD_X1_EDX, WORD_X1_ECX, WORD_XA_EDX, WORD_COUNT
} X86FeatureWord;

struct X86Features {
    const char *name;
    uint32_t words[WORD_COUNT];
    bool on[FEAT_COUNT]; /* the same, for x86_has */
    bool asked[FEAT_COUNT]; /* with a + of its own */
    bool missing[FEAT_COUNT]; /* asked for, and the engine lacks it */
    bool pmu; /* has performance counters */
    bool check, enforce; /* -cpu MODEL,check=,enforce=: what comes of these */
    char vendor[13];
    char model_id[49];
    unsigned family, model, stepping;
    uint32_t level, xlevel;
    const struct X86Caches *caches; /* that it tells of; NULL: none */
};

/* Engines on the host's own processor: whether it, and the host's kernel, let a guest have that CPUID bit. */
typedef bool X86HostHasFn(uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit);
void x86_models_know_host(X86HostHasFn *has);
void x86_models_follow_host(bool follow); /* or the translator */
X86Features *x86_model_parse(const char *spec, GError **error); /* caller frees */
char *x86_model_lacks(const X86Features *f, bool under_kvm); /* see CpuType */
char *x86_model_names(const X86Features *f);                     /* of its features, with spaces between; caller frees */
char *x86_model_misses(const X86Features *f, const char *names); /* which of such names it has not: a list for people, or NULL */
void x86_model_list(GString *out);
void x86_cpuid(X86State *s, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

char *x86_describe(Cpu *cpu, bool with_fpu);
const char *x86_gdb_xml(Cpu *cpu, const char *annex);
int x86_gdb_read(Cpu *cpu, int number, uint8_t *buf);
int x86_gdb_write(Cpu *cpu, int number, const uint8_t *buf);
extern const GuestOps x86_guest_ops;

#endif
