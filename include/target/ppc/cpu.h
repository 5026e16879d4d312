/*
 * The PowerPC processor: state and what boards and interrupt controllers call.
 *
 * Bits are named by value; the manuals number them from the left (Power ISA, Book I, 1.3.2).
 */
#ifndef TARGET_PPC_CPU_H
#define TARGET_PPC_CPU_H

#include "core/cpu.h"
#include "core/line.h"
#include "target/guest.h"

/* Machine state register (Power ISA, Book III, 4.2.1; PowerPC PEM, 2.3.1). */
#define MSR_LE   (UINT64_C(1) << 0)
#define MSR_RI   (UINT64_C(1) << 1)
#define MSR_PMM  (UINT64_C(1) << 2)
#define MSR_DR   (UINT64_C(1) << 4) /* BookE: DS */
#define MSR_IR   (UINT64_C(1) << 5) /* BookE: IS */
#define MSR_IP   (UINT64_C(1) << 6) /* exception prefix: vectors at 0xfff00000 */
#define MSR_FE1  (UINT64_C(1) << 8)
#define MSR_BE   (UINT64_C(1) << 9)  /* BookE: DE */
#define MSR_SE   (UINT64_C(1) << 10)
#define MSR_FE0  (UINT64_C(1) << 11)
#define MSR_ME   (UINT64_C(1) << 12)
#define MSR_FP   (UINT64_C(1) << 13)
#define MSR_PR   (UINT64_C(1) << 14)
#define MSR_EE   (UINT64_C(1) << 15)
#define MSR_ILE  (UINT64_C(1) << 16)
#define MSR_CE   (UINT64_C(1) << 17) /* BookE; TGPR on the 603 */
#define MSR_TGPR (UINT64_C(1) << 17)
#define MSR_POW  (UINT64_C(1) << 18) /* BookE: WE */
#define MSR_VSX  (UINT64_C(1) << 23)
#define MSR_VEC  (UINT64_C(1) << 25) /* e500: SPE */
#define MSR_UCLE (UINT64_C(1) << 26) /* e500 */
#define MSR_HV   (UINT64_C(1) << 60)
#define MSR_SF   (UINT64_C(1) << 63)

/* SPR numbers. */
enum {
    SPR_XER = 1, SPR_DSCR_USER = 3, SPR_LR = 8, SPR_CTR = 9, SPR_AMR_USER = 13, SPR_DSCR = 17, SPR_DSISR = 18,
    SPR_DAR = 19, SPR_DEC = 22, SPR_SDR1 = 25, SPR_SRR0 = 26, SPR_SRR1 = 27, SPR_CFAR = 28, SPR_AMR = 29,
    SPR_PID = 48, SPR_DECAR = 54, SPR_CSRR0 = 58, SPR_CSRR1 = 59, SPR_IAMR = 61, SPR_DEAR = 61, SPR_ESR = 62,
    SPR_IVPR = 63, SPR_CTRL_READ = 136, SPR_CTRL = 152, SPR_FSCR = 153, SPR_UAMOR = 157, SPR_PSPB = 159,
    SPR_DPDES = 176, SPR_DAWR0 = 180, SPR_DAWR1, SPR_CIABR = 187, SPR_DAWRX0, SPR_DAWRX1, SPR_VRSAVE = 256, SPR_SPRG3_USER = 259, SPR_TBL_USER = 268, SPR_TBU_USER = 269,
    SPR_SPRG0 = 272, SPR_SPRG1, SPR_SPRG2, SPR_SPRG3, SPR_SPRG4, SPR_SPRG5, SPR_SPRG6, SPR_SPRG7,
    SPR_ASR = 280, SPR_EAR = 282, SPR_TBL = 284, SPR_TBU = 285, SPR_TBU40 = 286, SPR_PVR = 287, SPR_DBSR = 304,
    SPR_HSPRG0 = 304, SPR_HSPRG1, SPR_HDSISR, SPR_HDAR, SPR_SPURR, SPR_PURR,
    SPR_HDEC = 310, SPR_HIOR = 311, SPR_RMOR = 312, SPR_HRMOR, SPR_HSRR0, SPR_HSRR1, SPR_TSR = 336, SPR_LPCR = 318, SPR_LPIDR = 319,
    SPR_HMER = 336, SPR_HMEER, SPR_PCR, SPR_HEIR, SPR_TCR = 340, SPR_AMOR = 349, SPR_IVOR0 = 400,
    SPR_PTCR = 464, SPR_IBAT0U = 528, SPR_DBAT0U = 536, SPR_IBAT4U = 560, SPR_DBAT4U = 568,
    SPR_TIR = 446, SPR_BESCRS = 800, SPR_BESCRSU, SPR_BESCRR, SPR_BESCRRU, SPR_EBBHR, SPR_EBBRR, SPR_BESCR,
    SPR_SIER = 784, SPR_MMCR2 = 785, SPR_MMCR0 = 795, SPR_TAR = 815, SPR_PPR = 896, SPR_UMMCR2 = 928,
    SPR_DMISS = 976, SPR_DCMP, SPR_HASH1, SPR_HASH2, SPR_IMISS, SPR_ICMP, SPR_RPA,
    SPR_HID0 = 1008, SPR_HID1, SPR_IABR, SPR_HID4 = 1012, SPR_DABR = 1013, SPR_MSSCR0 = 1014, SPR_HID5 = 1014, SPR_DABRX,
    SPR_L2CR = 1017, SPR_ICTC = 1019, SPR_PIR = 1023,
};

/* Bits of PpcState.pending: what waits for MSR[EE] and its kin. */
typedef enum PpcInterrupt {
    PPC_INT_EXTERNAL = 1 << 0, /* level: the pin */
    PPC_INT_DEC = 1 << 1,
    PPC_INT_SMI = 1 << 2,      /* level */
    PPC_INT_MCHECK = 1 << 3,
    PPC_INT_RESET = 1 << 4,    /* system reset at 0x100, not maskable */
    PPC_INT_HDEC = 1 << 5,
    PPC_INT_DOORBELL = 1 << 6,
    PPC_INT_PERF = 1 << 7,
    PPC_INT_EBB = 1 << 8,      /* of problem state: an event-based branch */
    PPC_INT_CRITICAL = 1 << 9, /* level, BookE */
} PpcInterrupt;

/* A 128-bit register as two doublewords, [0] the left one. FPR n is vsr[n][0], VR n is vsr[32 + n]. */
typedef uint64_t PpcVsr[2];

typedef struct PpcException {
    uint32_t vector;   /* offset: 0x300 ...; PPC_NO_EXCEPTION */
    uint64_t flags;    /* into SRR1 */
} PpcException;
/* The RAM that page tables were found in last. */
typedef struct PpcTableRam {
    uint64_t generation;
    PhysAddr start;
    uint64_t size;
    RamBlock *ram;
    PhysAddr offset;
    uint8_t *host;
} PpcTableRam;

/* The time base as a line over the host's counter, see timebase.c. */
typedef struct PpcTbLine {
    uint64_t start, span; /* host ticks for which it holds; span 0: none */
    uint64_t ticks;       /* at start */
    uint64_t slope;       /* for a host tick, times 2^64 */
} PpcTbLine;

/* How a page is not cached as usual. */
typedef enum PpcUncached { PPC_INHIBITED = 1, PPC_WRITE_THROUGH = 2 } PpcUncached;

typedef struct PpcRange {
    uint64_t start, size; /* UINT64_MAX: everything */
} PpcRange;

#define PPC_NO_EXCEPTION UINT32_MAX
#define PPC_NO_RESERVATION UINT64_MAX

/* Where a board wants a reset to leave pc, MSR and the first registers. */
typedef struct PpcResetState {
    bool given;
    bool halted;   /* waits until ppc_start is called, or a system reset comes */
    uint64_t pc, msr;
    uint64_t gpr[8]; /* r0 to r7 */
    uint64_t map_size; /* Book E: so many bytes from 0 on are mapped one to one (ppc_map_page) */
    uint64_t sdr1, lpcr; /* of a board that is a hypervisor */
    uint32_t hid0;       /* 603 to 7450: what firmware leaves to the board, such as caches that are on */
} PpcResetState;
struct PpcModel;

/* What a value of MSR means for the engine (excp.c). */
typedef struct PpcMode {
    uint64_t msr;       /* its bits that modes derive from, and MODE_FAST_FP; PPC_NO_MODE: empty */
    uint64_t flags;     /* PpcState.mode_flags */
    uint64_t key_flags; /* of the block key */
    unsigned data, fetch; /* MMU modes */
} PpcMode;
#define PPC_NO_MODE UINT64_MAX
enum { PPC_MODES = 32 };

/* What a floating-point operation computes: a + b, a * b (product) or a * c + b (fused), rounded to nearest. */
typedef struct PpcFpSum {
    bool known; /* it is one of these */
    bool product, fused, minus, negated, single;
} PpcFpSum;

/* A floating-point instruction that may have to be done again: where its result and operands are in the state. */
typedef struct PpcFpNote {
    uint32_t word;
    uint32_t row;
    int32_t places[4]; /* -1: none */
    PpcFpSum sum;
} PpcFpNote;

/* What the performance monitor counts now: pmu.c. */
typedef struct PpcPmu {
    bool active, blocks, cycles;
    uint32_t on;       /* counters, by bit */
    uint64_t level;    /* MSR's bits that `on` is for */
    int64_t left_seen; /* pmu_left when the counters were brought up to date */
    uint64_t ns_seen;
    int clock;         /* clockid_t of the thread */
    void *timer;
} PpcPmu;

typedef struct PpcState {
    CpuHot hot;
    /* Slots of translated code (target/ppc/slots.c). */
    uint64_t gpr[32];
    uint64_t pc, lr, ctr;
    uint8_t ca, ov, so, ca32, ov32; /* XER; 0 or 1 */
    uint8_t cr[8];                  /* each LT 8, GT 4, EQ 2, SO 1 */
    uint64_t reserve_addr;          /* effective; PPC_NO_RESERVATION */
    uint64_t reserve_value;         /* as the bytes lie in memory, little-endian; [1]: second half of quadwords */
    uint64_t reserve_value2;
    uint32_t reserve_size;
    bool copy_waits;                /* `copied` has a block for paste. */
    uint32_t vrsave;
    uint64_t fpscr;
    uint32_t vscr;
    int64_t pmu_left;               /* instructions until the performance monitor has to be looked at, less one */

    /* The last FP operation that the host did: what FPRF, FR and FI come from when somebody reads them. */
    uint32_t fp_noted __attribute__((aligned(8))); /* its word; 0: FPSCR is complete */
    uint32_t fp_last_fpcc;          /* low byte: of a comparison since then; 0 and 0xff: none */
    uint64_t fp_last_operands[3];

    PpcVsr vsr[64] __attribute__((aligned(16)));
    uint64_t fp_single;             /* the right half is on its way to a register, as a double */
    PpcFpNote fp_notes[8];          /* what is known of words in fp_noted, by some of their bits */

    uint64_t copied[16];            /* as the bytes lie in memory */
    uint32_t xer_low;               /* string count and what else XER has */
    uint64_t msr;
    uint64_t mode_flags;            /* of the block key, derived: ppc_update_mode */
    uint64_t mode_msr;              /* bits of MSR that are bits of the mode in problem state */
    uint64_t published_space;       /* the address space that the engine was told of with the mode */
    PpcMode modes[PPC_MODES];       /* known ones; while what else modes derive from stays as it is */
    ReadyMode keyed[READY_MODES];   /* that AMR's bits for key 0 lead to: ppc_keys_changed */
    void *chosen;                   /* the engine's: GuestOps.chosen_offset */
    uint64_t assumed;               /* MODE_ASSUMED that supervisor code is translated for: ppc_assume */
    uint64_t spr[1024];             /* of those SPRs that are no field of their own */
    uint64_t sr[16];                /* segment registers */
    uint64_t tgpr[4];               /* 603: GPR0-3 of the TLB miss handlers while MSR[TGPR] is off */
    uint64_t slb_esid[64], slb_vsid[64];
    PpcException exception;
    _Atomic uint32_t pending;       /* PpcInterrupt */
    int64_t tb_offset;              /* ticks that the time base is ahead of the clock */
    int64_t dec_end;                /* time base at which DEC is -1 */
    int64_t hdec_end;
    int64_t timers_polled;          /* Book E: time base up to which the timers' events are in TSR */
    uint32_t gprh[32];              /* e500: upper halves of the GPRs */
    uint64_t spe_acc;               /* e500: the accumulator */
    uint32_t pmr[16];               /* e500: performance monitor, PMC, PMLCa, PMLCb, PMGC */
    bool napping;                   /* in doze, nap or sleep by MSR[POW] */
    bool sr_changed;                /* segment registers differ from the address space in use */
    bool bats_changed;              /* since the address space was determined, or others that it derives from */
    uint64_t space_id;              /* derived: of the current address space */
    uint32_t fault_vector;          /* of the walk that failed last; 0: a miss of the 603's TLB */
    uint64_t fault_flags;           /* DSISR */
    uint8_t page_uncached;          /* PpcUncached of the page that a walk found last: dcbz must not be used on it */
    PpcRange uncached[2];           /* privileged and user: accesses have met such pages nowhere else; everything: caches are off */
    uint32_t keys_used;             /* storage keys of pages that accesses have met, since a change of AMR last emptied the engine's tables */
    PpcTableRam table_ram;

    /* Wiring: not guest state. */
    const struct PpcModel *model;
    uint64_t msr_mask;              /* bits that MSR has */
    uint64_t tb_frequency;          /* Hz */
    PpcResetState reset_state;
    Line *pins[32];                 /* by bit of PpcInterrupt */
    void *tb_timer, *wrap_timer, *hdec_timer;
    PpcTbLine tb_line;              /* the vCPU's copy */
    uint32_t tb_reads;
    void (*hypercall)(Cpu *cpu, void *opaque); /* what `sc 1` does outside of hypervisor state; NULL: an interrupt */
    void *hypercall_opaque;
    uintptr_t spe_return;           /* of the SPE instruction that runs: where its helper returns to */
    PpcPmu pmu;
    void *mmu;                      /* of the MMU's own making; Book E: the TLB, guest state */
    AddressSpace *dcrs;             /* 440: device control registers; NULL: there are none */
    void *papr;                     /* of a board that is a hypervisor */
} PpcState;

static inline PpcState *ppc_state(const Cpu *cpu)
{
    return cpu->state;
}

extern const CpuType ppc_cpu_type;

/*
 * For boards:
 *
 *     Cpu *cpu = cpu_new(&ppc_cpu_type, machine_config.cpu_model, i, error);
 *     ppc_set_timebase(cpu, 25000000);
 *     Line *irq = ppc_interrupt_line(cpu, PPC_INT_EXTERNAL);   // to the interrupt controller
 *     accel->start_cpu(cpu, error);
 *
 * The CPU starts at its model's reset vector (0xfff00100 with MSR[IP], 64-bit: 0x100) unless the board,
 * in a machine_on_reset function (which runs before CPUs are reset), has said ppc_set_reset_state.
 */

/* Ticks per second of time base and decrementer; before start. */
void ppc_set_timebase(Cpu *cpu, uint64_t hz);
uint64_t ppc_timebase(Cpu *cpu); /* its value now */

/* Stays until called again. */
void ppc_set_reset_state(Cpu *cpu, const PpcResetState *state);
/* Lets a CPU that was halted by its reset state go, at pc with r3. Any thread that has the machine lock. */
void ppc_start(Cpu *cpu, uint64_t pc, uint64_t r3);

/* Pins, under the machine lock: PPC_INT_EXTERNAL, SMI, MCHECK, RESET, CRITICAL. Owned by the CPU. */
Line *ppc_interrupt_line(Cpu *cpu, PpcInterrupt which);
/* The same without a line; any thread. MCHECK and RESET are edges: level true raises them. */
void ppc_set_interrupt(Cpu *cpu, PpcInterrupt which, bool level);

/* The hypervisor that a board is: called for `sc 1` in the CPU's thread, lock not held, with registers in the state,
 * pc behind the instruction; it changes what it likes. cpu->halted makes the CPU wait. */
void ppc_set_hypercall(Cpu *cpu, void (*fn)(Cpu *cpu, void *opaque), void *opaque);

/*
 * For hypervisors: what tlbie RB would do on every processor, of a page of the hashed page table (rb: low 64 bits of the
 * virtual address, B in bits 8 and 9, L in bit 0: all pages then). In a hypercall of `cpu`; the others have done it before
 * `cpu` runs guest code again.
 */
void ppc_invalidate_virtual_page(Cpu *cpu, uint64_t rb);

/*
 * Book E, which has no real mode: maps size bytes (a power of 4 from 4 KiB on; more than an entry takes becomes the most that
 * it takes) with all rights, by the first entry that is for large pages. While the CPU does not run.
 */
void ppc_map_page(Cpu *cpu, uint32_t virt, uint64_t phys, uint64_t size);
/* 440: what mfdcr and mtdcr access, register n at address 4 * n. Before start. */
void ppc_set_dcrs(Cpu *cpu, AddressSpace *dcrs);

/* For hypervisors: after they have changed DABR, DAWR, DAWRX or CIABR in the state. In the CPU's thread. */
void ppc_debug_changed(Cpu *cpu);

/* Model facts. */
bool ppc_is_64bit(const Cpu *cpu);
uint32_t ppc_pvr(const Cpu *cpu);
const char *ppc_model_name(const Cpu *cpu); /* "7400" */

/* XER and CR as the architecture has them. */
uint32_t ppc_get_cr(const PpcState *s);
void ppc_set_cr(PpcState *s, uint32_t value);
uint64_t ppc_get_xer(const PpcState *s);
void ppc_set_xer(PpcState *s, uint64_t value);
/* MSR as a whole (also from boards and hypercalls): modes and address space follow. */
void ppc_set_msr(PpcState *s, uint64_t value);

#endif
