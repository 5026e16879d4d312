/* Shared by the files of target/x86 and nobody else. */
#ifndef TARGET_X86_INTERNAL_H
#define TARGET_X86_INTERNAL_H

#include "target/guest.h"
#include "target/x86/cpu.h"

/* Slots, in the order of x86_slots[]. Ranks of pins: see docs/translator.md. */
typedef enum X86Slot {
    SLOT_AX, SLOT_CX, SLOT_DX, SLOT_BX, SLOT_SP, SLOT_BP, SLOT_SI, SLOT_DI,
    SLOT_R8, SLOT_R9, SLOT_R10, SLOT_R11, SLOT_R12, SLOT_R13, SLOT_R14, SLOT_R15,
    SLOT_PC, SLOT_CC_OP, SLOT_CC_DST, SLOT_CC_SRC, SLOT_CC_AUX_DST,
    SLOT_DF, SLOT_EFLAGS, SLOT_PIC_PAGE, SLOT_PMU_LEFT, SLOT_PMU_BRANCHES,
    SLOT_ES_BASE, SLOT_CS_BASE, SLOT_SS_BASE, SLOT_DS_BASE, SLOT_FS_BASE, SLOT_GS_BASE, SLOT_KERNEL_GS_BASE,
    SLOT_COUNT
} X86Slot;
#define SLOT_MASK(slot) (UINT64_C(1) << (slot))
#define SLOTS_CC (SLOT_MASK(SLOT_CC_OP) | SLOT_MASK(SLOT_CC_DST) | SLOT_MASK(SLOT_CC_SRC) | \
                  SLOT_MASK(SLOT_CC_AUX_DST))
#define SLOTS_SEG_BASE (SLOT_MASK(SLOT_ES_BASE) | SLOT_MASK(SLOT_CS_BASE) | SLOT_MASK(SLOT_SS_BASE) | SLOT_MASK(SLOT_DS_BASE) | \
                        SLOT_MASK(SLOT_FS_BASE) | SLOT_MASK(SLOT_GS_BASE))

/* BlockKey.flags. */
enum {
    MODE_CS32 = 1 << 0,     /* default operand and address size 32 */
    MODE_CS64 = 1 << 1,     /* 64-bit code */
    MODE_SS32 = 1 << 2,     /* stack pointer is ESP */
    MODE_CPL_SHIFT = 3,     /* 2 bits */
    MODE_PE = 1 << 5,
    MODE_VM = 1 << 6,
    MODE_FLAT = 1 << 7,     /* DS, ES, SS: base 0, limit 4 GiB, writable, expand-up: no checks */
    MODE_FLAT_CS = 1 << 8,  /* CS: base 0 and limit 4 GiB */
    MODE_TF = 1 << 9,
    MODE_EM = 1 << 10,
    MODE_TS = 1 << 11,
    MODE_MP = 1 << 12,
    MODE_OSFXSR = 1 << 13,
    MODE_FP_UNMASKED = 1 << 14, /* x87 control word has unmasked exceptions: the precise path */
    MODE_IOPL_SHIFT = 15,   /* 2 bits */
    MODE_SHADOW = 1 << 17,  /* interrupt shadow: the block is one instruction, then TCG_EXIT_MODE */
    MODE_AC = 1 << 18,      /* alignment checks on: CR0.AM, EFLAGS.AC, CPL 3 */
    MODE_SMM = 1 << 19,
    MODE_OSXSAVE = 1 << 20,
    MODE_LMA = 1 << 21,
    MODE_BREAKPOINTS = 1 << 22, /* DR7 has some on instructions: each one asks check_breakpoint */
    MODE_IO_BREAKPOINTS = 1 << 23, /* DR7 has some on ports: port instructions end their block */
    MODE_OSXMMEXCPT = 1 << 24,
    MODE_AVX = 1 << 25,     /* XCR0 enables YMM */
    MODE_GUEST = 1 << 26,   /* of a VMRUN: what can be intercepted asks first */
    MODE_FLAT_FS = 1 << 27, /* outside of 64-bit code: as MODE_FLAT, but any base */
    MODE_FLAT_GS = 1 << 28, /* likewise; at CPL 3 only, see gs_bit() */
    MODE_COUNT = 1 << 29,   /* a performance counter wants instructions or branches */
};

/* MMU modes. */
enum { MMU_KERNEL, MMU_USER, MMU_KERNEL_AC /* supervisor with EFLAGS.AC: SMAP lifted */ };

/* C helpers that translated code calls are declared in target/x86/helpers.def:
 *   HELPER(name, result, args, effects, reads, writes)
 * defines HELPER_name and declares uint64_t helper_name(X86State *s, uint64_t a, ... d). */
typedef enum X86Helper {
#define HELPER(name, result, args, effects, reads, writes) HELPER_##name,
#include "helpers.def"
#undef HELPER
    HELPER_COUNT
} X86Helper;

#define HELPER(name, result, args, effects, reads, writes) \
    uint64_t helper_##name(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
#include "helpers.def"
#undef HELPER

extern const IrSlot x86_slots[SLOT_COUNT];
extern const IrHelper x86_helpers[HELPER_COUNT];

/* Exceptions. retaddr: tcg_caller_pc() in a helper, so that the state is completed first. */
void x86_raise(X86State *s, int vector, uintptr_t retaddr) G_GNUC_NORETURN;
void x86_raise_error(X86State *s, int vector, uint32_t error, uintptr_t retaddr) G_GNUC_NORETURN;
void x86_deliver_exception(Cpu *cpu);
void x86_service(Cpu *cpu);
/* Interrupts may be possible now (IF set, a shadow over): look again at the next poll. */
void x86_poll_interrupts(X86State *s);
void x86_block_key(Cpu *cpu, BlockKey *key);
void x86_translate(Translation *t);
bool x86_walk(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out);
void x86_raise_mmu_fault(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode);
unsigned x86_disassemble(const BlockKey *key, const uint8_t *code, unsigned size, uint64_t pc, GString *text);

/* FP. A pending x87 exception at the current instruction; the FP image is complete. */
void x86_raise_x87(X86State *s, uintptr_t retaddr) G_GNUC_NORETURN;
void x86_raise_host_fp(Cpu *cpu, int signal, int code); /* GuestOps.raise_host_fp */
void x86_fp_clear_ferr(X86State *s);
uint32_t x86_mxcsr_mask(void); /* bits of MXCSR that exist */

/* Segmentation for C code: how many bytes a segment allows from an offset on, 0 also if an access of
 * the kind is not allowed at all; the linear address, or #GP/#SS. */
uint64_t x86_segment_room(const X86State *s, int seg, uint64_t offset, bool write);
uint64_t x86_segment_linear(X86State *s, int seg, uint64_t offset, unsigned size, bool write, uintptr_t ra);

/* Features of the model, for the decoder's checks. */
typedef enum X86Feature {
#define FEATURE(name, leaf, subleaf, reg, bit) FEAT_##name,
#include "features.def"
#undef FEATURE
    FEAT_COUNT
} X86Feature;
bool x86_has(const X86State *s, X86Feature feature);
bool x86_is_amd(const X86State *s);

#endif
