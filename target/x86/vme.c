/*
 * Virtual interrupts: EFLAGS.VIF stands in for IF where a program may not have IF (CR4.VME, CR4.PVI), and the bitmap that
 * sends the software interrupts of virtual-8086 mode to its own handlers.
 *
 * SDM vol. 3, 21.3 and 21.4; APM vol. 2, 8.10.
 */
#include "target/x86/vme.h"

/* The bitmap's 32 bytes end where the one for ports begins, whose offset is in the TSS. */
enum { TSS_IO_MAP = 102, REDIRECTION_SIZE = 32 };

bool x86_has_virtual_if(const X86State *s)
{
    if (!(s->cr0 & CR0_PE) || s->cpl <= iopl(s)) {
        return false;
    }
    return s->eflags & EFL_VM ? s->cr4 & CR4_VME : s->cpl == 3 && s->cr4 & CR4_PVI;
}

uint16_t x86_v86_flags(const X86State *s)
{
    uint32_t flags = x86_eflags(s);

    if (iopl(s) < 3) {
        flags = (flags & ~(uint32_t)EFL_IF) | EFL_IOPL | (flags & EFL_VIF ? EFL_IF : 0);
    }
    return flags;
}

void x86_v86_check_flags(X86State *s, uint16_t flags, uintptr_t ra)
{
    if (!(s->cr4 & CR4_VME) || (flags & EFL_TF) || ((flags & EFL_IF) && (s->eflags & EFL_VIP))) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
}

void x86_v86_set_flags(X86State *s, uint16_t flags)
{
    x86_set_eflags(s, flags | (flags & EFL_IF ? EFL_VIF : 0), FLAGS_ALL | EFL_TF | EFL_DF | EFL_NT | EFL_VIF);
}

/* Whether an INT n is for the program's own handler: its bit is clear. */
static bool is_redirected(X86State *s, unsigned vector, uintptr_t ra)
{
    const X86Segment *tr = &s->seg[S_TR];
    uint32_t byte;

    if (!(tr->attr & SEG_P) || !(tr->attr & 8) || tr->limit < TSS_IO_MAP + 1) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    byte = load_linear(s, tr->base + TSS_IO_MAP, 2, MMU_KERNEL, ra) - REDIRECTION_SIZE + vector / 8;
    if (byte > tr->limit) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    return !(load_linear(s, tr->base + byte, 1, MMU_KERNEL, ra) >> vector % 8 & 1);
}

bool x86_v86_interrupt(X86State *s, unsigned vector, uint64_t next_pc, uintptr_t ra)
{
    uint32_t handler;
    Stack k;

    if (!(s->cr4 & CR4_VME) || !is_redirected(s, vector, ra)) {
        return false;
    }
    handler = load_linear(s, vector * 4, 4, data_mode(s, s->cpl), ra);
    stack_current(s, &k);
    stack_push(s, &k, 2, x86_v86_flags(s), ra);
    stack_push(s, &k, 2, s->seg[S_CS].selector, ra);
    stack_push(s, &k, 2, next_pc, ra);

    tcg_restore(s, ra);
    stack_commit(s, &k);
    s->eflags &= ~(uint32_t)(EFL_TF | EFL_RF | (iopl(s) == 3 ? EFL_IF : EFL_VIF));
    seg_set_v86(s, S_CS, handler >> 16);
    s->pc = handler & 0xffff;
    x86_update_mode(s);
    return true;
}
