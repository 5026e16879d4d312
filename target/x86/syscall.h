/* Fast system calls that translated code makes by itself: what the helpers leave for it. */
#ifndef TARGET_X86_SYSCALL_H
#define TARGET_X86_SYSCALL_H

#include "target/x86/system.h"

/*
 * Indices of X86State.call: to CPL 0, to CPL 3; in 32-bit kernels FS gets all of memory, FS becomes null; in 64-bit ones EFLAGS.AC
 * lifts SMAP, and no longer does.
 */
typedef enum X86CallKind { CALL_IN, CALL_OUT, CALL_FS, CALL_NO_FS, CALL_AC = CALL_FS, CALL_NO_AC = CALL_NO_FS } X86CallKind;
#define CALL_FIELD(kind, field) (offsetof(X86State, call) + (kind) * sizeof(X86Call) + offsetof(X86Call, field))

/* FS was loaded in this mode. */
void x86_keep_fs(X86State *s, uint64_t from);
/* STAC or CLAC. */
void x86_keep_ac(X86State *s);

/* In no mode that asks for more at each instruction: 64-bit code, or flat code of 32-bit kernels. */
static inline bool x86_call_may_be_ready(uint64_t mode)
{
    const uint64_t unusual = MODE_SHADOW | MODE_TF | MODE_VM | MODE_BREAKPOINTS | MODE_GUEST | MODE_SMM | MODE_COUNT;

    return mode & MODE_PE && !(mode & unusual) && mode & MODE_FLAT && mode & (mode & MODE_LMA ? MODE_CS64 : MODE_CS32);
}

/* The mode behind a call from one of these, if EFLAGS.AC is clear, and IOPL is in 64-bit code. */
static inline uint64_t x86_mode_behind_call(uint64_t from, unsigned cpl, uint64_t flat_gs)
{
    uint64_t kept = ~(UINT64_C(3) << MODE_CPL_SHIFT | MODE_AC | MODE_FLAT_GS | (from & MODE_CS64 ? UINT64_C(3) << MODE_IOPL_SHIFT | MODE_FLAT_FS : 0));

    return (from & kept) | (uint64_t)cpl << MODE_CPL_SHIFT | MODE_CS32 | MODE_SS32 | MODE_FLAT_CS | flat_gs;
}

#endif
