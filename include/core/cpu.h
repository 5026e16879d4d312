/*
 * What engines, boards and interrupt controllers know of a guest CPU.
 *
 * The architectural state is a struct of the target (X86State) that begins with CpuHot. Under
 * translation the host stack pointer holds its address: translated code reaches every field as
 * [rsp + displacement] without spending a register, and C code that it calls uses the stack below.
 * So a state is never allocated by anything but cpu_new.
 */
#ifndef CORE_CPU_H
#define CORE_CPU_H

#include "core/memory.h"

typedef struct Cpu Cpu;
typedef uint64_t VirtAddr;

/* FP_LOADED_YMM: the upper halves of the vector registers too, which are zero in the host's otherwise. */
enum { FP_LOADED_NOTHING, FP_LOADED_XMM, FP_LOADED_YMM };

/* The first 64 bytes of a state: what translated code touches all the time. */
typedef struct CpuHot {
    _Atomic int32_t poll;   /* negative: leave translated code at the next poll */
    uint32_t fp_loaded;     /* FP_LOADED_: how much of the guest's vector/x87 state is in the host's registers */
    uint64_t tlb_mask;      /* (entries - 1) * sizeof(TlbEntry) */
    void *tlb_load;         /* TlbEntry table of the current MMU mode, for loads */
    void *tlb_store;        /* and for stores */
    void *jump_cache;       /* JumpCacheEntry table of the current address space and mode */
    Cpu *cpu;
    uint64_t pic_page;      /* page of the pc, for blocks that run at any (IrBlock.pic_bits) */
    uint64_t scratch;
} CpuHot;

G_STATIC_ASSERT(sizeof(CpuHot) == 64);

/* Why a CPU should look up from its work. Set with cpu_request from any thread. */
typedef enum CpuRequest {
    CPU_REQ_INTR = 1 << 0,   /* level: the interrupt controller has something */
    CPU_REQ_NMI = 1 << 1,
    CPU_REQ_SMI = 1 << 2,
    CPU_REQ_INIT = 1 << 3,
    CPU_REQ_SIPI = 1 << 4,   /* with sipi_vector */
    CPU_REQ_EXIT = 1 << 5,   /* back to the engine's loop: stop, pause, queued work */
    CPU_REQ_TIMER = 1 << 6,  /* target's own */
    CPU_REQ_MCE = 1 << 7,
    CPU_REQ_VIRTUAL = 1 << 8, /* target's own: an interrupt of the virtual machine that runs on this CPU */
} CpuRequest;

/* What the CPU asks of its interrupt controller (x86: local APIC, else the 8259 directly). */
typedef struct CpuIntc {
    /* The vector to deliver now, acknowledging it; -1 if there is none after all (spurious). */
    int (*acknowledge)(void *opaque);
    uint8_t (*get_tpr)(void *opaque); /* as CR8 */
    void (*set_tpr)(void *opaque, uint8_t cr8);
    uint64_t (*get_base)(void *opaque); /* IA32_APIC_BASE */
    bool (*set_base)(void *opaque, uint64_t value); /* false: #GP */
    bool (*read_msr)(void *opaque, uint32_t msr, uint64_t *value); /* x2APIC, TSC deadline */
    bool (*write_msr)(void *opaque, uint32_t msr, uint64_t value);
    void (*perf_interrupt)(void *opaque); /* a performance counter overflowed; locked. May be NULL */
    void (*ended)(void *opaque, uint8_t vector); /* an engine's local APIC ended a level-triggered one; locked */
} CpuIntc;

/* A hardware error, in the terms of x86's machine-check banks. */
typedef struct MachineCheck {
    unsigned bank;
    uint64_t status, mcg_status, addr, misc;
} MachineCheck;

/* A family of guest CPUs. */
typedef struct CpuType {
    const char *name; /* "x86" */
    size_t state_size;
    const void *guest_ops; /* const GuestOps *, see target/guest.h */
    bool (*init)(Cpu *cpu, const char *model, GError **error); /* "qemu64,+sse4.2,-apic" */
    void (*reset)(Cpu *cpu);
    bool (*has_work)(Cpu *cpu); /* a halted CPU should wake */
    void (*save)(Cpu *cpu, GKeyFile *out);
    bool (*load)(Cpu *cpu, GKeyFile *in, GError **error);
    /* Features that the CPU has and the translator (or KVM) lacks, "avx, avx2"; NULL: none. Caller frees. */
    char *(*lacks)(Cpu *cpu, bool under_kvm);
    void (*replaced)(Cpu *cpu); /* after somebody else filled the state struct; may be NULL */
    char *(*describe)(Cpu *cpu, bool with_fpu); /* `info registers`; caller frees */
    void (*list_models)(GString *out); /* -cpu help */
    /* Reports a hardware error to the guest. On the CPU's thread, or paused. NULL: there are none. */
    bool (*machine_check)(Cpu *cpu, const MachineCheck *check, GError **error);
} CpuType;

struct Cpu {
    const CpuType *type;
    CpuHot *hot;  /* == state */
    void *state;  /* the target's struct */
    int index;
    _Atomic uint32_t requests;
    _Atomic bool halted;  /* waits for an interrupt */
    bool woken;           /* while its target looks at requests: it was halted */
    bool stopped;         /* paused by the machine: under the machine lock */
    uint8_t sipi_vector;
    AddressSpace *memory;
    AddressSpace *smm_memory; /* memory in system management mode; NULL: the machine has no such view */
    AddressSpace *ports;
    const CpuIntc *intc;
    void *intc_opaque;
    void *engine; /* the engine's own */
    GThread *thread;
    GMutex halt_mutex;
    GCond halt_cond;
    int64_t exits; /* statistics */
    /* Of engines whose vCPUs run outside of this program (KVM); NULL otherwise. */
    void (*kick)(Cpu *cpu); /* a request has been made: look at it. Any thread */
    void (*sync_registers)(Cpu *cpu, bool write); /* see cpu_read_registers */
};

/* Allocates the state with its stack below. The model string is checked here. */
Cpu *cpu_new(const CpuType *type, const char *model, int index, GError **error);
void cpu_free(Cpu *cpu);

void cpu_request(Cpu *cpu, uint32_t requests);       /* sets, wakes, makes it poll */
void cpu_clear_request(Cpu *cpu, uint32_t requests);
void cpu_wake(Cpu *cpu);
/*
 * For devices that look at general registers of cpu_current() during an access (and change them: then write after it).
 * Elsewhere the state of a paused CPU is complete.
 */
void cpu_read_registers(Cpu *cpu);
void cpu_write_registers(Cpu *cpu);
Cpu *cpu_get(int index); /* NULL past the last */
int cpu_count(void);
Cpu *cpu_current(void);  /* of this thread, or NULL */
void cpu_set_current(Cpu *cpu);
void cpus_reset_all(void);
void cpus_nmi(void); /* a non-maskable interrupt to each */

/* Room below a state for C code that translated code calls, in bytes. */
#define CPU_STACK_SIZE (1024 * 1024)

#endif
