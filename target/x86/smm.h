/* System management mode: how it is entered, and the memory that it sees. */
#ifndef TARGET_X86_SMM_H
#define TARGET_X86_SMM_H

#include "target/x86/system.h"

void x86_smm_enter(X86State *s);
/* After a port write that brought an SMI: the handler may ask for it to be done again. length: of the instruction. */
void x86_smm_note_output(X86State *s, uint32_t port, unsigned size, uint64_t next_pc, unsigned length);
/* Physical memory follows in_smm. */
void x86_smm_choose_memory(X86State *s);

#endif
