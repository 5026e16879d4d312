/* Virtual interrupts (CR4.VME, CR4.PVI): see vme.c. */
#ifndef TARGET_X86_VME_H
#define TARGET_X86_VME_H

#include "target/x86/system.h"

/* CLI and STI, which IOPL forbids, work on VIF. In virtual-8086 mode so do PUSHF, POPF and IRET of 16 bits. */
bool x86_has_virtual_if(const X86State *s);

/* FLAGS as PUSHF and INT n of virtual-8086 mode store them: below IOPL 3 with VIF as IF, and an IOPL of 3. */
uint16_t x86_v86_flags(const X86State *s);
/* FLAGS from POPF and IRET below IOPL 3: #GP if the monitor has to see them; what of them changes. */
void x86_v86_check_flags(X86State *s, uint16_t flags, uintptr_t ra);
void x86_v86_set_flags(X86State *s, uint16_t flags);

/* INT n in virtual-8086 mode: enters the program's own handler if the TSS's bitmap says so. */
bool x86_v86_interrupt(X86State *s, unsigned vector, uint64_t next_pc, uintptr_t ra);

#endif
