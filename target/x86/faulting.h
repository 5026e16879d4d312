/* Which exception a memory access that fails ends in. */
#ifndef TARGET_X86_FAULTING_H
#define TARGET_X86_FAULTING_H

#include "target/x86/decode.h"

/* The bytes at pc without side effects, as many as can be read. */
unsigned x86_read_instruction(X86State *s, uint8_t bytes[15]);
/* The instruction at pc; false: it cannot be read. */
bool x86_insn_at_pc(X86State *s, X86Insn *in);
/* Raises what the instruction (NULL: unknown) gets for an access at addr: a page fault with this error code, or that
 * addr is not canonical. The state is complete. Does not return. */
void x86_raise_memory_fault(X86State *s, const X86Insn *in, uint64_t addr, uint32_t code, bool non_canonical) G_GNUC_NORETURN;
/* The same for a vector operand that is not aligned. */
void x86_raise_misaligned(X86State *s, const X86Insn *in) G_GNUC_NORETURN;

#endif
