/* Port instructions and who may use them. */
#include "target/x86/smm.h"

void x86_check_io(X86State *s, uint32_t port, unsigned size, uintptr_t ra)
{
    const X86Segment *tr = &s->seg[S_TR];
    uint32_t offset, bits;

    if (!(s->cr0 & CR0_PE) || (!(s->eflags & EFL_VM) && s->cpl <= iopl(s))) {
        return;
    }
    /* The bitmap of a 32-bit TSS; two bytes are always read, so the last one must be there too. */
    if ((tr->attr & SEG_P) && (tr->attr & 8) && tr->limit >= 103) {
        offset = load_linear(s, tr->base + 0x66, 2, MMU_KERNEL, ra) + port / 8;
        if (offset + 1 <= tr->limit) {
            bits = load_linear(s, tr->base + offset, 2, MMU_KERNEL, ra) >> (port & 7);
            if (!(bits & ((1u << size) - 1))) {
                return;
            }
        }
    }
    x86_raise_error(s, EXC_GP, 0, ra);
}

static void report_breakpoints(X86State *s, uint32_t port, unsigned size)
{
    unsigned hits = x86_port_hits(s, port, size);

    if (hits && engine.watch_report) {
        engine.watch_report(s->hot.cpu, hits);
    }
}

uint64_t helper_check_io(X86State *s, uint64_t port, uint64_t size, uint64_t c, uint64_t d)
{
    x86_check_io(s, port & 0xffff, size, tcg_caller_pc(s));
    return 0;
}

uint64_t helper_in(X86State *s, uint64_t port, uint64_t size, uint64_t c, uint64_t d)
{
    port &= 0xffff;
    x86_check_io(s, port, size, tcg_caller_pc(s));
    tcg_fp_sync(s);
    if (G_UNLIKELY(s->mode_flags & MODE_IO_BREAKPOINTS)) {
        report_breakpoints(s, port, size);
    }
    return memory_load(s->hot.cpu->ports, port, size);
}

uint64_t helper_out(X86State *s, uint64_t port, uint64_t value, uint64_t size_length, uint64_t next_pc)
{
    unsigned size = size_length & 0xff, length = size_length >> 8;

    port &= 0xffff;
    x86_check_io(s, port, size, tcg_caller_pc(s));
    tcg_fp_sync(s);
    if (G_UNLIKELY(s->mode_flags & MODE_IO_BREAKPOINTS)) {
        report_breakpoints(s, port, size);
    }
    memory_store(s->hot.cpu->ports, port, value, size);
    if (G_UNLIKELY(s->hot.cpu->requests & CPU_REQ_SMI) && length) {
        x86_smm_note_output(s, port, size, next_pc, length);
    }
    return 0;
}
