/*
 * The architectural state of an x86 processor, and what the files of target/x86 share with boards.
 *
 * Manuals: Intel 64 and IA-32 Architectures Software Developer's Manual (SDM); AMD64 Architecture
 * Programmer's Manual (APM).
 */
#ifndef TARGET_X86_CPU_H
#define TARGET_X86_CPU_H

#include "target/guest.h"

enum { R_AX, R_CX, R_DX, R_BX, R_SP, R_BP, R_SI, R_DI, R_8, R_9, R_10, R_11, R_12, R_13, R_14, R_15 };
enum { S_ES, S_CS, S_SS, S_DS, S_FS, S_GS, S_LDTR, S_TR, S_COUNT };

/* EFLAGS bits besides the arithmetic ones of tcg/ir.h. */
enum {
    EFL_TF = 1 << 8, EFL_IF = 1 << 9, EFL_DF = 1 << 10, EFL_IOPL = 3 << 12, EFL_NT = 1 << 14,
    EFL_RF = 1 << 16, EFL_VM = 1 << 17, EFL_AC = 1 << 18, EFL_VIF = 1 << 19, EFL_VIP = 1 << 20,
    EFL_ID = 1 << 21,
};

enum {
    CR0_PE = 1 << 0, CR0_MP = 1 << 1, CR0_EM = 1 << 2, CR0_TS = 1 << 3, CR0_ET = 1 << 4,
    CR0_NE = 1 << 5, CR0_WP = 1 << 16, CR0_AM = 1 << 18, CR0_NW = 1 << 29, CR0_CD = 1 << 30,
};
#define CR0_PG (1u << 31)
enum {
    CR4_VME = 1 << 0, CR4_PVI = 1 << 1, CR4_TSD = 1 << 2, CR4_DE = 1 << 3, CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5, CR4_MCE = 1 << 6, CR4_PGE = 1 << 7, CR4_PCE = 1 << 8, CR4_OSFXSR = 1 << 9,
    CR4_OSXMMEXCPT = 1 << 10, CR4_UMIP = 1 << 11, CR4_LA57 = 1 << 12, CR4_FSGSBASE = 1 << 16, CR4_PCIDE = 1 << 17,
    CR4_OSXSAVE = 1 << 18, CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21, CR4_PKE = 1 << 22,
};
enum { EFER_SCE = 1 << 0, EFER_LME = 1 << 8, EFER_LMA = 1 << 10, EFER_NXE = 1 << 11, EFER_SVME = 1 << 12 };

enum {
    EXC_DE, EXC_DB, EXC_NMI, EXC_BP, EXC_OF, EXC_BR, EXC_UD, EXC_NM, EXC_DF, EXC_TS = 10, EXC_NP,
    EXC_SS, EXC_GP, EXC_PF, EXC_MF = 16, EXC_AC, EXC_MC, EXC_XM,
};

typedef struct X86Segment {
    uint64_t base;
    uint32_t limit;  /* in bytes, granularity applied */
    uint16_t selector;
    uint16_t attr;   /* descriptor bits 40-47 and 52-55: type 0-3, S 4, DPL 5-6, P 7, AVL 8, L 9, DB 10, G 11 */
} X86Segment;

/* The last load of a data segment that any level may load: the descriptor, and what it gave. */
typedef struct X86SegMemo {
    uint32_t key;    /* the selector; above 16 bits: none */
    uint32_t unused;
    uint64_t raw;
    X86Segment seg;
} X86SegMemo;

enum { SEG_TYPE = 0xf, SEG_S = 1 << 4, SEG_DPL_SHIFT = 5, SEG_P = 1 << 7, SEG_L = 1 << 9, SEG_DB = 1 << 10, SEG_G = 1 << 11 };

/*
 * How the arithmetic flags are kept between instructions: a word that says which operation set them
 * last, and its values; x86_flags() derives the bits. cc_op has four parts:
 *
 *   bits 0-7    base: X86_CC(op, type), all flags from cc_dst and cc_src
 *   bits 8-15   aux: X86_CC_AUX(op, type) if not none, all flags but CF from cc_aux_dst instead
 *   bits 16-17  X86_CC_CF_KNOWN, and then CF is bit 17 whatever the above say
 *   bits 18-19  X86_CC_OF_KNOWN, and then OF is bit 19
 *
 * A full producer puts one constant; inc and dec set aux and clear OF_KNOWN; rotates and bit tests
 * set the known bits only.
 *
 *   op      cc_dst        cc_src       flags
 *   IMAGE   EFLAGS bits   -            cc_dst & FLAGS_ALL
 *   ADD     result        b            of result - b + b
 *   SUB     result        b            of (result + b) - b
 *   CMP     a             b            of a - b
 *   TEST    a             b            of a & b
 *   ADC     result        b            of result - b - 1 + b + 1  (without carry in it is ADD)
 *   SBB     result        b            of (result + b + 1) - b - 1
 *   LOGIC   result        -            CF = OF = AF = 0
 *   SHL     result        a << (n-1)   CF = top bit of cc_src; OF = CF ^ top bit of result
 *   SHR     result        a >> (n-1)   CF = bit 0 of cc_src; OF = top bit of result ^ next one
 *   SAR     result        a >> (n-1)   CF = bit 0 of cc_src; OF = 0
 *   MUL     low half      nonzero if CF = OF = 1;  SF ZF PF of the low half
 *   ADX     EFLAGS bits   CF           SF ZF PF AF of cc_dst; CF = bit 0 of cc_src; OF = bit 0 of cc_aux_dst, if aux is none
 *   ADX_INC, ADX_DEC  result, CF   SF ZF PF AF of INC or DEC; CF and OF like ADX
 *   NEG is SUB with result and b; INC/DEC (aux): cc_aux_dst = result
 */
typedef enum X86CcOp { CC_IMAGE, CC_ADD, CC_SUB, CC_ADC, CC_SBB, CC_LOGIC, CC_SHL, CC_SHR, CC_SAR, CC_MUL, CC_CMP, CC_TEST, CC_ADX, CC_ADX_INC, CC_ADX_DEC,
               CC_OP_COUNT } X86CcOp;
typedef enum X86CcAux { CC_AUX_NONE, CC_AUX_INC, CC_AUX_DEC } X86CcAux;
#define X86_CC(op, type)     ((op) << 2 | (type))  /* type: IR_I8 .. IR_I64 */
#define X86_CC_AUX(op, type) (((op) << 2 | (type)) << 8)
#define X86_CC_AUX_MASK      0xff00u
enum {
    X86_CC_CF_KNOWN = 1 << 16, X86_CC_CF_SHIFT = 17,
    X86_CC_OF_KNOWN = 1 << 18, X86_CC_OF_SHIFT = 19,
    X86_CC_CF_MASK = 3 << 16, X86_CC_OF_MASK = 3 << 18,
};

/* Pending event, between the code that raises it and x86_deliver_exception. */
typedef struct X86Exception {
    int32_t vector;      /* -1: none */
    uint32_t error_code;
    bool has_error;
    bool software;       /* INT n, INT3, INTO: return address is next_pc */
    bool external;       /* hardware interrupt */
    bool by_opcode;      /* software, and INT3, INTO or INT1: SVM takes it for an exception */
    bool injected;       /* by VMRUN: not to be intercepted */
    uint64_t next_pc;    /* of a software interrupt */
    uint64_t cr2;
    uint64_t dr6;        /* bits for #DB */
} X86Exception;

/* Secure virtual machine (target/x86/svm.h). All but the first line only means something while `guest`. */
typedef struct X86Svm {
    bool gif, guest;          /* global interrupt flag; between VMRUN and #VMEXIT */
    bool nested_paging;
    uint64_t vm_cr, hsave_pa, tsc_ratio; /* MSRs */
    /* Of the control block at `vmcb`: */
    uint64_t vmcb, iopm, msrpm, tsc_offset, nested_cr3;
    uint32_t intercept[6];
    uint32_t asid, int_control, int_vector;
    uint16_t pause_count, pause_threshold, pause_left;
    uint64_t last_pause;      /* host TSC */
    uint64_t shadow_pc;       /* of the instruction that runs in an interrupt shadow; UINT64_MAX: none */
    /* What #VMEXIT brings back. */
    struct {
        X86Segment seg[4];    /* ES CS SS DS */
        struct { uint64_t base; uint32_t limit; } gdtr, idtr;
        uint64_t cr0, cr3, cr4, efer, rip, rsp, rax, pat, pdpte[4];
        uint32_t rflags;
    } host;
} X86Svm;

/* What a system call, the return of one, or a load of FS by a 32-bit kernel comes to from some mode; see target/x86/syscall.c. */
typedef struct X86Call {
    ReadyMode mode;
    uint64_t to;         /* mode_flags behind it */
    uint64_t cs, ss, gs; /* limit, selector and attributes; those of GS are as they were */
    uint32_t kept;       /* EFLAGS that SYSCALL keeps */
} X86Call;

/* How the performance counters are counted (target/x86/pmu.c); what they hold is X86State.perf. */
typedef struct X86Pmu {
    int64_t left_seen;        /* pmu_left and so on when events were added last */
    uint64_t branches_seen, ns_seen;
    unsigned blocks;          /* levels whose blocks count */
    unsigned level;           /* of what is not added yet */
    bool cycles;              /* cycles are counted */
    bool filtered;            /* some counter is for one level alone */
    bool interrupt_due;
    int clock;                /* clockid_t of the processor's thread, while cycles are counted */
    struct Timer *timer;      /* when a count of cycles may overflow; made when it is first needed */
} X86Pmu;

typedef struct X86Features X86Features; /* target/x86/features.h: the CPU model */

typedef struct X86State {
    CpuHot hot;           /* offset 0 */
    /* Within [rsp + disp8] of translated code: */
    uint64_t cc_dst, cc_src;            /* 64, 72 */
    uint32_t cc_op, cc_reserved;        /* 80, 84 */
    uint64_t cc_aux_dst;                /* 88 */
    int64_t pmu_left;                   /* 96: instructions until the counters are looked at (MODE_COUNT) */
    uint64_t pmu_branches;              /* 104 */
    uint64_t tsc_add;                   /* 112: RDTSC is the host's counter and this */
    uint32_t tsc_left;                  /* 120: for so many times; then it asks (x86_tsc_read) */
    uint32_t hot_reserved;              /* 124 */
    uint64_t reg[16];
    uint64_t pc;          /* EIP/RIP: offset in CS */
    uint32_t eflags;      /* bits other than FLAGS_ALL and DF; bit 1 always set */
    int32_t df;           /* 1 or -1: added per string step, times the size */
    uint64_t mode_flags;  /* BlockKey.flags as of now, kept by x86_update_mode() */
    X86Segment seg[S_COUNT];
    struct { uint64_t base; uint32_t limit; } gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, cr8_unused, efer, xcr0;
    uint64_t dr[8];
    uint64_t pdpte[4];    /* PAE: loaded on CR3 writes */
    uint32_t cpl;         /* == SS.DPL in protected mode, 3 in V86, 0 in real mode */
    uint8_t interrupt_shadow; /* 1: STI, 2: MOV SS; interrupts blocked for one more instruction */
    bool monitor_armed;
    bool masked_intr_wakes;   /* the halt is an MWAIT that interrupts end even with IF clear */
    uint16_t pending_debug; /* DR6 bits of a trap at MOV SS, which comes behind the next instruction */
    bool nmi_blocked;
    bool in_smm;
    /* While in it (target/x86/smm.c): what RSM brings back that is not in SMRAM, and the port write that the SMI came with. */
    bool smm_guest, smm_nmi_blocked, smm_io_valid;
    uint8_t smm_io_size;
    uint16_t smm_io_port;
    uint64_t smm_io_pc, smm_io_next, smm_efer;
    uint64_t no_interrupt_waits; /* 1: STI need not look for one; 0: perhaps it must (CpuHot.poll does not tell of old ones) */
    bool a20_masked;      /* address line 20 forced low; changed only by x86_set_a20 */
    X86Exception exception;
    VirtAddr fault_addr;  /* of the last failed walk */
    uint32_t fault_code;  /* its #PF error code */
    bool fault_is_gp;     /* non-canonical: #GP/#SS instead */
    bool fault_is_nested; /* a nested page fault instead, of fault_addr and nested_info */
    uint64_t nested_info; /* its EXITINFO1 */

    /* MSRs. */
    uint64_t star, lstar, cstar, fmask, kernel_gs_base, tsc_aux, tsc_offset, tsc_adjust;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, mtrr_def, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
    uint64_t misc_enable, mcg_status, mcg_ctl, mc_banks[10 * 4], debugctl, smbase, spec_ctrl;
    uint64_t feature_control, bios_sign_id, xss, pkru;
    uint64_t perf[32];
    uint64_t mwait_addr, monitor_line[8]; /* the physical address that MONITOR armed, and what was there then */
    uint64_t kvm_clock;   /* ns that it is ahead of the guest's clock; the first processor's counts */
    uint64_t kvm_msr[8];  /* from 4B564D00h on: KVM's paravirtual clock and its like */

    /* FP: an FXSAVE image, then XSAVE header and upper halves; the host loads and stores it. */
    uint8_t fx[512] __attribute__((aligned(64)));
    uint8_t xsave_header[64];
    uint8_t ymm_high[16 * 16];
    uint8_t fp_ferr;      /* FERR# asserted: IRQ 13 with CR0.NE = 0 */
    uint64_t bounce[64];  /* for instructions that cross pages */
    X86Svm svm;

    const X86Features *features;
    uint32_t apic_id;
    struct Line *ferr_line; /* to IRQ 13; NULL: none */
    bool wait_sipi;         /* an AP after reset or INIT: only SIPI starts it */
    bool shut_down;         /* after a triple fault, until reset */

    /* Working data: no guest state. */
    X86Pmu pmu;
    uint64_t published_base; /* what the engine was told last, with mode_flags */
    unsigned published_mmu;
    void *chosen;            /* GuestOps.chosen_offset */
    X86Call call[READY_MODES];
    X86SegMemo seg_memo[5];  /* of ES, DS and FS, the last by CPL 0 */
    const X86Exception *delivering; /* the event whose handler is being entered */
    bool catching;          /* x86_raise jumps to catch_point instead of unwinding */
    void *catch_point[5];   /* of __builtin_setjmp */
    struct X86TableRam {    /* where page tables were found last: below and above 4 GiB */
        uint64_t generation;
        PhysAddr start;
        uint64_t size;
        uint8_t *host;
        RamBlock *ram;
        uint64_t offset;    /* of start, in ram */
        bool readonly;
    } table_ram[2];
    uint16_t keys_cached;   /* protection keys of pages that the engine may have cached */
    uint64_t nested_generation;
    struct X86NestedEntry { /* pages of the virtual machine's memory that were found last */
        uint64_t generation;
        PhysAddr guest, phys;
        bool writable, executable;
    } nested_cache[256];
    uint64_t asid_space[64]; /* the name of each ASID's space at its last VMRUN; 0: its modes have changed since */
} X86State;

static inline X86State *x86_state(Cpu *cpu)
{
    return cpu->state;
}

extern const CpuType x86_cpu_type;

/* All of EFLAGS, and setting the part in mask. */
uint32_t x86_eflags(const X86State *s);
void x86_set_eflags(X86State *s, uint32_t value, uint32_t mask);
uint32_t x86_flags(const X86State *s); /* the arithmetic bits only */

/* After any change of CR0, CR4, EFER, CPL, CS/SS attributes, EFLAGS.VM/TF/AC, features of FP use:
 * recomputes mode_flags and tells the engine. */
void x86_update_mode(X86State *s);
/* The same where only CPL, segments and EFLAGS changed (SYSCALL, interrupts and their returns): quicker. */
void x86_update_privilege(X86State *s);
/* The same behind SYSCALL, SYSENTER and their returns, which load flat segments of 32 or 64 bits into CS and SS. */
void x86_update_flat_call(X86State *s);
/* After changes of what system calls go by: their MSRs and EFER.SCE, whether counters are for one level alone. */
void x86_forget_calls(X86State *s);
/* The same where nothing but this data segment may have changed. */
void x86_update_segment(X86State *s, int seg);

/* FP state as FNINIT leaves it, and MXCSR 1F80. It must not be in the host's registers. */
void x86_fp_reset(X86State *s);
/* Boards: a write to port F0. Takes FERR# (ferr_line) back and ignores the x87 exception. */
void x86_fp_ignne(Cpu *cpu);

/* The time stamp counter, from any thread, and its frequency in Hz. */
uint64_t x86_tsc(const X86State *s);
uint64_t x86_tsc_frequency(void);

/* Boards: the A20 gate. CPU stopped or its own thread (use accel run_on_cpu otherwise). */
void x86_set_a20(Cpu *cpu, bool enabled);
/* State for a direct kernel start, SIPI and INIT. */
void x86_load_real_segment(X86State *s, int seg, uint16_t selector);
void x86_init_signal(Cpu *cpu);  /* INIT: reset but for FP, APIC base, MSRs */

#endif
