/*
 * AMD's virtual machines (SVM): the control block, exit codes, and what the rest of the processor asks.
 *
 * Manual: AMD64 Architecture Programmer's Manual (APM) volume 2, chapter 15, appendices B and C. See docs/svm.md.
 */
#ifndef TARGET_X86_SVM_H
#define TARGET_X86_SVM_H

#include "target/x86/system.h"

/* The virtual machine control block (VMCB), one page: offsets of its fields (APM vol. 2, appendix B). */
enum {
    VMCB_INTERCEPTS = 0x000, /* six words: CR, DR, exceptions, three of instructions */
    VMCB_PAUSE_THRESHOLD = 0x03c, VMCB_PAUSE_COUNT = 0x03e, VMCB_IOPM = 0x040, VMCB_MSRPM = 0x048,
    VMCB_TSC_OFFSET = 0x050, VMCB_ASID = 0x058, VMCB_TLB_CONTROL = 0x05c, VMCB_INT_CONTROL = 0x060,
    VMCB_INT_VECTOR = 0x064, VMCB_INT_STATE = 0x068, VMCB_EXIT_CODE = 0x070, VMCB_EXIT_INFO1 = 0x078,
    VMCB_EXIT_INFO2 = 0x080, VMCB_EXIT_INT_INFO = 0x088, VMCB_NESTED_CONTROL = 0x090,
    VMCB_EVENT = 0x0a8, VMCB_NESTED_CR3 = 0x0b0, VMCB_NEXT_RIP = 0x0c8, VMCB_INSN_LENGTH = 0x0d0,
    VMCB_INSN_BYTES = 0x0d1,
    VMCB_ES = 0x400, VMCB_CS = 0x410, VMCB_SS = 0x420, VMCB_DS = 0x430, VMCB_FS = 0x440, VMCB_GS = 0x450,
    VMCB_GDTR = 0x460, VMCB_LDTR = 0x470, VMCB_IDTR = 0x480, VMCB_TR = 0x490, VMCB_CPL = 0x4cb,
    VMCB_EFER = 0x4d0, VMCB_CR4 = 0x548, VMCB_CR3 = 0x550, VMCB_CR0 = 0x558, VMCB_DR7 = 0x560,
    VMCB_DR6 = 0x568, VMCB_RFLAGS = 0x570, VMCB_RIP = 0x578, VMCB_RSP = 0x5d8, VMCB_RAX = 0x5f8,
    VMCB_STAR = 0x600, VMCB_LSTAR = 0x608, VMCB_CSTAR = 0x610, VMCB_FMASK = 0x618,
    VMCB_KERNEL_GS_BASE = 0x620, VMCB_SYSENTER_CS = 0x628, VMCB_SYSENTER_ESP = 0x630,
    VMCB_SYSENTER_EIP = 0x638, VMCB_CR2 = 0x640, VMCB_PAT = 0x668,
};

/* VMCB_INT_CONTROL. */
enum {
    V_TPR = 0xff, V_IRQ = 1 << 8, V_GIF = 1 << 9, V_INTR_PRIO_SHIFT = 16, V_IGN_TPR = 1 << 20, V_INTR_MASKING = 1 << 24,
    V_GIF_ENABLE = 1 << 25,
};

/* Exit codes; up to 0xbf they are also the numbers of bits in the intercept words (appendix C). */
enum {
    SVM_EXIT_READ_CR0 = 0x00, SVM_EXIT_WRITE_CR0 = 0x10, SVM_EXIT_READ_DR0 = 0x20, SVM_EXIT_WRITE_DR0 = 0x30,
    SVM_EXIT_EXCEPTION = 0x40, SVM_EXIT_INTR = 0x60, SVM_EXIT_NMI, SVM_EXIT_SMI, SVM_EXIT_INIT, SVM_EXIT_VINTR,
    SVM_EXIT_CR0_SELECTIVE, SVM_EXIT_READ_IDTR, SVM_EXIT_READ_GDTR, SVM_EXIT_READ_LDTR, SVM_EXIT_READ_TR,
    SVM_EXIT_WRITE_IDTR, SVM_EXIT_WRITE_GDTR, SVM_EXIT_WRITE_LDTR, SVM_EXIT_WRITE_TR, SVM_EXIT_RDTSC,
    SVM_EXIT_RDPMC, SVM_EXIT_PUSHF, SVM_EXIT_POPF, SVM_EXIT_CPUID, SVM_EXIT_RSM, SVM_EXIT_IRET, SVM_EXIT_INT_N,
    SVM_EXIT_INVD, SVM_EXIT_PAUSE, SVM_EXIT_HLT, SVM_EXIT_INVLPG, SVM_EXIT_INVLPGA, SVM_EXIT_IO, SVM_EXIT_MSR,
    SVM_EXIT_TASK_SWITCH, SVM_EXIT_FERR_FREEZE, SVM_EXIT_SHUTDOWN,
    SVM_EXIT_VMRUN = 0x80, SVM_EXIT_VMMCALL, SVM_EXIT_VMLOAD, SVM_EXIT_VMSAVE, SVM_EXIT_STGI, SVM_EXIT_CLGI,
    SVM_EXIT_SKINIT, SVM_EXIT_RDTSCP, SVM_EXIT_ICEBP, SVM_EXIT_WBINVD, SVM_EXIT_MONITOR, SVM_EXIT_MWAIT,
    SVM_EXIT_XSETBV = 0x8d, SVM_EXIT_INVPCID = 0xa2,
    SVM_EXIT_NPF = 0x400,
};
#define SVM_EXIT_INVALID UINT64_MAX

/* EXITINFO1 of a nested page fault, above the error code. */
#define NPF_FINAL (UINT64_C(1) << 32) /* the access itself */
#define NPF_TABLE (UINT64_C(1) << 33) /* the walk of the guest's tables */

/* EXITINFO1 of SVM_EXIT_IO; the operand's size in bytes is bits 4-6, the port bits 16-31. */
enum { IO_IN = 1 << 0, IO_STRING = 1 << 2, IO_REP = 1 << 3, IO_ADDR16 = 1 << 7, IO_SEGMENT_SHIFT = 10 };
/* EXITINFO1 of accesses to control registers: it was MOV, with the general register in bits 0-3. */
#define CR_IS_MOV (UINT64_C(1) << 63)

/* VM_CR. */
enum { VM_CR_LOCK = 1 << 3, VM_CR_SVMDIS = 1 << 4, VM_CR_ALL = 0x1f };

#define SVM_ASIDS 64
#define SVM_TSC_RATIO_ONE (UINT64_C(1) << 32)

typedef struct X86SvmExit {
    uint64_t code, info1, info2;
    uint64_t next_rip; /* 0: none */
} X86SvmExit;

static inline bool svm_intercepts(const X86State *s, unsigned code)
{
    return s->svm.guest && (s->svm.intercept[code / 32] >> code % 32 & 1);
}

/* Without it, an STGI or CLGI that is not intercepted sets the flag of the machine. */
static inline bool svm_has_virtual_gif(const X86State *s)
{
    return s->svm.guest && (s->svm.int_control & V_GIF_ENABLE) && x86_has(s, FEAT_vgif);
}

/* svm.c. #VMEXIT: ra as in x86_raise. */
void svm_exit(X86State *s, X86SvmExit exit, uintptr_t ra) G_GNUC_NORETURN;
/* A processor on which nothing of this has happened; after a snapshot or INIT too, as far as derived. */
void svm_state_loaded(X86State *s);

/* svm_memory.c: the machine's memory as control blocks and maps use it. */
typedef struct SvmPage {
    uint8_t *host;
    RamBlock *ram;
    uint64_t offset;
} SvmPage;
/* A page of RAM; false if there is none. */
bool svm_page_find(X86State *s, PhysAddr addr, SvmPage *page);
void svm_page_written(X86State *s, const SvmPage *page);

/* svm_intercept.c. Before an exception enters its handler: no return if that is intercepted. */
void svm_check_exception(X86State *s, const X86Exception *e);
/* What EXITINTINFO says of an event whose delivery did not come to its end. */
uint64_t svm_event_info(const X86Exception *e);
void svm_check_task_switch(X86State *s, uint16_t selector, TaskSource source, bool has_error, uint32_t error);
void svm_check_shutdown(X86State *s);

/* svm_interrupt.c. */
bool svm_can_take_intr(const X86State *s);    /* physical interrupts are open */
bool svm_can_take_virtual(const X86State *s); /* and the virtual one */
/* The part of x86_service that is a virtual machine's own; no return from an exit. */
void svm_check_request(X86State *s, unsigned code);
void svm_take_virtual(X86State *s);

/* Time stamps as the guest of a VMRUN sees them. */
uint64_t svm_guest_tsc(const X86State *s, uint64_t tsc);
bool svm_msr_read(X86State *s, uint32_t msr, uint64_t *value);
/* False: not one of SVM's. *good: the value was taken. */
bool svm_msr_write(X86State *s, uint32_t msr, uint64_t value, bool *good);

#endif
