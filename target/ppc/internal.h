/* Shared by the files of target/ppc and nobody else. */
#ifndef TARGET_PPC_INTERNAL_H
#define TARGET_PPC_INTERNAL_H

#include "target/guest.h"
#include "target/ppc/cpu.h"

/* Slots, in the order of ppc_slots[]. */
typedef enum PpcSlot {
    SLOT_R0 = 0,
    SLOT_PC = 32, SLOT_LR, SLOT_CTR,
    SLOT_CA, SLOT_OV, SLOT_SO, SLOT_CA32, SLOT_OV32,
    SLOT_CR0, SLOT_CR7 = SLOT_CR0 + 7,
    SLOT_RESERVE_ADDR, SLOT_RESERVE_VALUE, SLOT_RESERVE_VALUE2, SLOT_RESERVE_SIZE,
    SLOT_VRSAVE, SLOT_VSCR, SLOT_PIC_PAGE, SLOT_PMU_LEFT,
    SLOT_COUNT
} PpcSlot;
#define SLOT_MASK(slot) (UINT64_C(1) << (slot))
#define SLOTS_CR (UINT64_C(0xff) << SLOT_CR0)

/* What a processor implements. A row of the decoder names those that have its instruction: any will do. */
enum {
    ISA_ALL = 0,                    /* rows: every processor */
    ISA_CLASSIC = 1 << 0,           /* 32-bit segment registers, BATs: 603 to 7450 */
    ISA_64 = 1 << 1,
    ISA_FPU = 1 << 2,               /* FPRs */
    ISA_FP_OPTIONAL = 1 << 3,       /* fres, frsqrte, fsel */
    ISA_FSQRT = 1 << 4,
    ISA_ALTIVEC = 1 << 5,
    ISA_602TLB = 1 << 6,            /* tlbld, tlbli: software table search of the 603 and 7450 */
    ISA_SLB = 1 << 7,
    ISA_V202 = 1 << 8,              /* popcntb, mfocrf: POWER5 (970: without popcntb) */
    ISA_V205 = 1 << 9,              /* POWER6 */
    ISA_V206 = 1 << 10,             /* POWER7, VSX */
    ISA_V207 = 1 << 11,             /* POWER8 */
    ISA_V300 = 1 << 12,             /* POWER9 */
    ISA_V310 = 1 << 13,             /* POWER10 */
    ISA_BOOKE = 1 << 14,
    ISA_440 = 1 << 15,
    ISA_E500 = 1 << 16,             /* SPE */
    ISA_DFP = 1 << 17,
    ISA_TM = 1 << 18,
    ISA_ECIWX = 1 << 19,
    ISA_7450 = 1 << 20,
    ISA_HV = 1 << 21,               /* hypervisor state */
    ISA_MFTB = 1 << 22,             /* (all but some embedded) */
    ISA_ISEL = 1 << 23,
    ISA_970 = 1 << 24,
};

typedef enum PpcMmu { PPC_MMU_32, PPC_MMU_603, PPC_MMU_HASH64, PPC_MMU_RADIX, PPC_MMU_440, PPC_MMU_E500 } PpcMmu;

typedef struct PpcModel {
    const char *name, *about;
    uint32_t pvr;
    uint64_t isa;
    PpcMmu mmu;
    uint64_t msr_mask;
    uint16_t cache_line; /* bytes, of dcbz */
    bool prefix_high;    /* leaves reset with MSR[IP] */
    bool level_decrementer;
} PpcModel;

const PpcModel *ppc_model_find(const char *name, GError **error);
void ppc_model_list(GString *out);
static inline bool ppc_isa(const PpcState *s, uint64_t isa)
{
    return (s->model->isa & isa) != 0;
}

/* XER's bits that are no slots: the string count; the byte to compare. */
static inline uint32_t ppc_xer_low_mask(const PpcState *s)
{
    return ppc_isa(s, ISA_CLASSIC) ? 0xff7f : 0x7f;
}

/* BlockKey.flags: bits of MSR, and others where those that modes derive from leave room. */
#define MODE_LE      MSR_LE
#define MODE_DR      MSR_DR
#define MODE_IR      MSR_IR
#define MODE_BE      MSR_BE /* branch trace */
#define MODE_SE      MSR_SE /* single-step trace */
#define MODE_FP      MSR_FP
#define MODE_PR      MSR_PR
#define MODE_VSX     MSR_VSX
#define MODE_VEC     MSR_VEC
#define MODE_HV      MSR_HV
#define MODE_SF      MSR_SF
#define MODE_FAST_FP (UINT64_C(1) << 32) /* the host may do floating point: ppc_fp_is_fast */
#define MODE_PREFIX  (UINT64_C(1) << 33) /* prefixed instructions: privileged, or FSCR[PREFIX] */
#define MODE_DCBZ32  (UINT64_C(1) << 34) /* 970, HID5[DCBZ_size]: dcbz clears 32 bytes */
#define MODE_IABR    (UINT64_C(1) << 35) /* instructions are compared with IABR */
#define MODE_CIABR   (UINT64_C(1) << 36) /* the same, behind them, with CIABR */
#define MODE_COUNT   (UINT64_C(1) << 37) /* the performance monitor counts instructions */
#define MODE_TRAP_FP (UINT64_C(1) << 38) /* host exceptions find what the host cannot do: TcgFpTraps.on */
/*
 * In privileged state these are what they were when it last mattered, and blocks whom it matters to look whether they
 * still are. Kernels turn the facilities on for moments, and few of their blocks have such instructions.
 */
#define MODE_ASSUMED (MODE_FP | MODE_VEC | MODE_VSX | MODE_FAST_FP)

/* Whole, with what is not the guest's. */
static inline uint64_t ppc_key_flags(PpcState *s)
{
    return s->mode_flags | (tcg_fp_traps(s)->on ? MODE_TRAP_FP : 0);
}

/*
 * MMU modes: of data, and those of instruction fetches, which BATs and MSR[IR] treat apart. Where radix trees may be, what AMR's
 * two bits for key 0 deny makes MMU_KERNEL four (ppc_kernel_mode).
 */
enum {
    MMU_KERNEL, MMU_USER, MMU_REAL, MMU_FETCH_KERNEL, MMU_FETCH_USER, MMU_FETCH_REAL,
    MMU_KERNEL_NO_LOADS, MMU_KERNEL_NO_STORES, MMU_KERNEL_NEITHER,
};

typedef enum PpcHelper {
#define HELPER(name, result, args, effects, reads, writes) HELPER_##name,
#include "helpers.def"
#undef HELPER
    HELPER_COUNT
} PpcHelper;

#define HELPER(name, result, args, effects, reads, writes) \
    uint64_t ppc_helper_##name(PpcState *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
#include "helpers.def"
#undef HELPER

extern const IrSlot ppc_slots[SLOT_COUNT];
extern const IrHelper ppc_helpers[HELPER_COUNT];
extern const GuestOps ppc_guest_ops;

/* Instructions are words, and jump caches count on it (TcgTarget.pc_shift): whoever sets the pc drops the bits below. */
#define PPC_PC_MASK (~UINT64_C(3))

/* Interrupt vectors, as offsets (Power ISA, Book III, 7.5; BookE: an index of IVORs is derived). */
enum {
    PPC_RESET = 0x100, PPC_MCHECK = 0x200, PPC_DSI = 0x300, PPC_DSEG = 0x380, PPC_ISI = 0x400, PPC_ISEG = 0x480,
    PPC_EXTERNAL = 0x500, PPC_ALIGN = 0x600, PPC_PROGRAM = 0x700, PPC_FPU = 0x800, PPC_DEC = 0x900,
    PPC_HDEC = 0x980, PPC_DOORBELL = 0xa00, PPC_SC = 0xc00, PPC_TRACE = 0xd00, PPC_HDSI = 0xe00, PPC_HISI = 0xe20,
    PPC_HEMU = 0xe40, PPC_HMI = 0xe60, PPC_HDOORBELL = 0xe80, PPC_PERF = 0xf00, PPC_VPU = 0xf20, PPC_VSU = 0xf40,
    PPC_FAC = 0xf60, PPC_HFAC = 0xf80, PPC_IMISS = 0x1000, PPC_DLMISS = 0x1100, PPC_DSMISS = 0x1200,
    PPC_IABR = 0x1300, PPC_SMI = 0x1400, PPC_VASSIST_603 = 0x1600, PPC_SOFT_PATCH = 0x1500, PPC_VASSIST = 0x1700,
    PPC_SCV = 0x3000,
    /* BookE only: beyond all offsets. */
    PPC_CRITICAL = 0x10000, PPC_DTLB = 0x10100, PPC_ITLB = 0x10200, PPC_WATCHDOG = 0x10300, PPC_FIT = 0x10400,
    PPC_APU = 0x10500, PPC_DEBUG = 0x10600, PPC_SPE = 0x10700, PPC_SPE_FP = 0x10800, PPC_SPE_ROUND = 0x10900,
};
/* SRR1 flags of program interrupts. */
enum {
    PROGRAM_FP = 0x100000, PROGRAM_ILLEGAL = 0x80000, PROGRAM_PRIVILEGED = 0x40000, PROGRAM_TRAP = 0x20000,
    PROGRAM_TM = 0x200000,
};

/* Raises an interrupt at the current instruction. retaddr: tcg_caller_pc(s) in a helper, so that the state is
 * completed first; 0 where it is complete. */
void ppc_raise(PpcState *s, uint32_t vector, uint64_t flags, uintptr_t retaddr) G_GNUC_NORETURN;
void ppc_program(PpcState *s, uint64_t flags, uintptr_t retaddr) G_GNUC_NORETURN;
/* Bits of FSCR, and what its left byte says when one was off. BHRB and PMU are the operating system's by MMCR0. */
enum {
    FACILITY_DSCR = 2, FACILITY_BHRB = 3, FACILITY_PMU = 4, FACILITY_TM = 5, FACILITY_EBB = 7, FACILITY_TAR = 8, FACILITY_SCV = 12, FACILITY_PREFIX = 13,
};
void ppc_facility_unavailable(PpcState *s, unsigned facility, uintptr_t retaddr) G_GNUC_NORETURN;

void ppc_deliver_exception(Cpu *cpu);
void ppc_service(Cpu *cpu);
bool ppc_has_work(Cpu *cpu);
void ppc_poll_interrupts(PpcState *s); /* EE may have been set: look again at the next poll */
void ppc_update_mode(PpcState *s);     /* what modes derive from changed: MSR, or anything else */
void ppc_keys_changed(PpcState *s);    /* AMR has */
void ppc_forget_modes(PpcState *s);    /* only anything else has, and the mode is up to date */
void ppc_begin_again(PpcState *s);     /* an instruction that has been counted, where the block is left before it */
void ppc_context_sync(PpcState *s);    /* isync and the like: pending changes of the address space count now */

/* pmu.c: the performance monitor. All but restart in the CPU's thread, or while it stands. */
uint64_t ppc_pmu_mode(PpcState *s);    /* bits of the mode; MSR may have changed */
void ppc_pmu_service(PpcState *s);     /* after CPU_REQ_TIMER */
void ppc_pmu_restart(PpcState *s);     /* after the state has been replaced */
void ppc_pmu_update(PpcState *s);      /* brings counters up to date */
uint64_t ppc_pmu_read(PpcState *s, unsigned n);
uint64_t ppc_pmu_read_user(PpcState *s, unsigned n);
void ppc_pmu_write(PpcState *s, unsigned n, uint64_t value);
void ppc_pmu_write_user(PpcState *s, unsigned n, uint64_t value);
/* What MMCR0 makes of a register of the monitor in problem state. */
typedef enum PpcPmuAccess { PMU_ALLOWED, PMU_REFUSED, PMU_UNAVAILABLE } PpcPmuAccess;
PpcPmuAccess ppc_pmu_access(const PpcState *s, unsigned n, bool write);
#define MMCR0_EVENT_BRANCH   UINT64_C(0x00100000)
#define MMCR0_ALERT_OCCURRED UINT64_C(0x00000080)

/* ebb.c: event-based branches. */
void ppc_ebb_update(PpcState *s); /* after BESCR, MMCR0 or FSCR have changed */
void ppc_ebb_take(PpcState *s);   /* branches, if one waits and the state lets it */

/* debug.c: addresses that the program watches. */
void ppc_watches_update(PpcState *s);             /* after DABR, DAWR and their kin have changed */
uint64_t ppc_debug_mode(const PpcState *s);       /* bits of the mode */
void ppc_watch_before(Cpu *cpu, unsigned hits, VirtAddr addr, bool is_store, uintptr_t retaddr); /* GuestOps.watch_before */

/* fp_fast.c: FPRF, FR and FI of what the host did go to FPSCR; before anybody reads or writes that. */
void ppc_fp_settle(PpcState *s);
void ppc_fp_update_fast(PpcState *s); /* after FPSCR has changed */

/* Of privileged data accesses that are translated. */
static inline unsigned ppc_kernel_mode(const PpcState *s)
{
    unsigned denied = s->spr[SPR_AMR] >> 62;

    return s->model->mmu == PPC_MMU_RADIX && denied ? MMU_KERNEL_NO_LOADS - 1 + denied : MMU_KERNEL;
}

/* The MMU modes of data and of instruction fetches. Book E: the address space, and whether it is a process. */
static inline unsigned ppc_data_mode(const PpcState *s)
{
    if (ppc_isa(s, ISA_BOOKE)) {
        return (s->msr & MSR_DR ? 2 : 0) | (s->msr & MSR_PR ? 1 : 0);
    }
    return !(s->msr & MSR_DR) ? MMU_REAL : s->msr & MSR_PR ? MMU_USER : ppc_kernel_mode(s);
}

static inline unsigned ppc_fetch_mode(const PpcState *s)
{
    if (ppc_isa(s, ISA_BOOKE)) {
        return (s->msr & MSR_IR ? 2 : 0) | (s->msr & MSR_PR ? 1 : 0);
    }
    return !(s->msr & MSR_IR) ? MMU_FETCH_REAL : s->msr & MSR_PR ? MMU_FETCH_USER : MMU_FETCH_KERNEL;
}

/* mmu.c and the MMUs. Addresses are effective. */
bool ppc_walk(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out);
void ppc_raise_mmu_fault(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode);
void ppc_raise_alignment(Cpu *cpu, VirtAddr addr, bool is_store);
uint64_t ppc_space_id(PpcState *s);
bool ppc_instruction_at(PpcState *s, uint64_t pc, uint32_t *word); /* as fetched, without a fault */
void ppc_mmu_reset(PpcState *s);
void ppc_forget_uncached(PpcState *s);
void ppc_caches_changed(PpcState *s); /* HID0 has changed */
/* Data storage interrupt, if a reservation is not for what is at an address. */
void ppc_check_reservable(PpcState *s, uint64_t addr, MmuAccess access, uintptr_t ra);

/* Time base (timebase.c). Every so many reads are done in C. */
enum { PPC_TB_READS = 32 };
uint64_t ppc_tb(PpcState *s);
void ppc_tb_set(PpcState *s, uint64_t value);
uint64_t ppc_dec_read(PpcState *s);
void ppc_dec_write(PpcState *s, uint64_t value);
void ppc_hdec_write(PpcState *s, uint64_t value);
uint64_t ppc_hdec_read(PpcState *s);
bool ppc_dec_negative(PpcState *s);
void ppc_timers_init(Cpu *cpu);
void ppc_timers_update(PpcState *s);   /* after the state has been replaced */
void ppc_timers_catch_up(PpcState *s); /* before it is saved */

/* spr.c */
/* Whether a move to or from an SPR is no more than one of PpcState.spr[n], in a mode of the block key. */
bool ppc_spr_is_plain(uint64_t mode, const PpcModel *model, unsigned n, bool write);
/* Whether it does nothing: registers that are not there. */
bool ppc_spr_is_noop(uint64_t mode, const PpcModel *model, unsigned n, bool write);
/* Whether it is the performance monitor's, by a number that problem state has. */
bool ppc_spr_is_user_pmu(unsigned n);
/* Whether the partition uses radix trees: LPCR[HR] of a processor that has them. */
bool ppc_radix_on(const PpcState *s);
void ppc_spr_reset(PpcState *s);
void ppc_sprs_init(const PpcModel *model);

unsigned ppc_disassemble(const BlockKey *key, const uint8_t *code, unsigned size, uint64_t pc, GString *text);
char *ppc_describe(Cpu *cpu, bool with_fpu);
const char *ppc_gdb_xml(Cpu *cpu, const char *annex);
int ppc_gdb_read(Cpu *cpu, int number, uint8_t *buf);
int ppc_gdb_write(Cpu *cpu, int number, const uint8_t *buf);
bool ppc_gdb_big_endian(Cpu *cpu);

#endif
