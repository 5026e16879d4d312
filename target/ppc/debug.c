/*
 * What watches the program from within the processor: DABR of the older processors and DAWR of the newer ones for data, IABR (7xx,
 * 74xx manuals, "instruction address breakpoint") and CIABR for instructions, and the trace interrupt (Power ISA, Book III, 10).
 *
 * Data addresses are watched ranges of the engine: an access to a page that holds one takes the slow path. A match is a data
 * storage interrupt before the access is done. Instructions cost nothing unless a register is on for the current state.
 */
#include "target/ppc/booke.h"

enum { DSISR_MATCH = 0x00400000, DSISR_STORE = 0x02000000 };

/* Of DABR; the address is of a doubleword. */
enum { DABR_READ = 1, DABR_WRITE = 2, DABR_TRANSLATED = 4 };
/* Of DABRX and DAWRX: whose accesses count. */
enum { FOR_PROBLEM = 1, FOR_PRIVILEGED = 2, FOR_HYPERVISOR = 4, DABRX_ANY_TRANSLATION = 8 };
enum {
    DAWRX_ANY_TRANSLATION = 8, DAWRX_TRANSLATED = 0x10, DAWRX_READ = 0x20, DAWRX_WRITE = 0x40, DAWRX_LENGTH_AT = 10,
    DAWRX_LENGTH = 63, /* doublewords, less one */
};
/* Of IABR, whose other bits are the address; and of CIABR: 1 problem state, 2 privileged, 3 hypervisor. */
enum { IABR_TRANSLATED = 1, IABR_ENABLE = 2, CIABR_PRIVILEGE = 3 };

/* SRR1 of trace interrupts. */
enum { TRACE_ALWAYS = 0x40000000, TRACE_CIABR = 0x00100000 };

static bool has_dawr(const PpcState *s, unsigned n)
{
    return ppc_isa(s, n ? ISA_V310 : ISA_V207);
}

static bool has_dabr(const PpcState *s)
{
    return ppc_isa(s, ISA_64 | ISA_CLASSIC) && !ppc_isa(s, ISA_602TLB) && !has_dawr(s, 0);
}

static unsigned privilege_now(const PpcState *s)
{
    return s->msr & MSR_PR ? FOR_PROBLEM : s->msr & MSR_HV ? FOR_HYPERVISOR : FOR_PRIVILEGED;
}

void ppc_watches_update(PpcState *s)
{
    if (!engine.watch) {
        return;
    }
    for (unsigned n = 0; n < 2; n++) {
        uint64_t address = s->spr[SPR_DAWR0 + n], how = s->spr[SPR_DAWRX0 + n];
        unsigned size = 8 * ((how >> DAWRX_LENGTH_AT & DAWRX_LENGTH) + 1);
        bool on_read = how & DAWRX_READ, on_write = how & DAWRX_WRITE;

        if (has_dabr(s) && n == 0) {
            address = s->spr[SPR_DABR];
            size = 8;
            on_read = address & DABR_READ;
            on_write = address & DABR_WRITE;
        } else if (!has_dawr(s, n)) {
            size = 0;
        }
        engine.watch(s->hot.cpu, n, address & ~UINT64_C(7), on_read || on_write ? size : 0, on_read, on_write);
    }
}

static bool applies(const PpcState *s, unsigned n)
{
    bool translated = s->msr & MSR_DR;
    uint64_t how;

    if (has_dawr(s, 0)) {
        how = s->spr[SPR_DAWRX0 + n];
        return how & privilege_now(s) && (how & DAWRX_ANY_TRANSLATION || !!(how & DAWRX_TRANSLATED) == translated);
    }
    how = s->spr[SPR_DABRX];
    if (ppc_isa(s, ISA_V205) && !(how & privilege_now(s))) {
        return false;
    }
    return (ppc_isa(s, ISA_V205) && how & DABRX_ANY_TRANSLATION) || !!(s->spr[SPR_DABR] & DABR_TRANSLATED) == translated;
}

void ppc_watch_before(Cpu *cpu, unsigned hits, VirtAddr addr, bool is_store, uintptr_t retaddr)
{
    PpcState *s = ppc_state(cpu);

    for (unsigned n = 0; n < 2; n++) {
        if ((hits >> n & 1) && applies(s, n)) {
            s->spr[SPR_DAR] = addr;
            s->spr[SPR_DSISR] = DSISR_MATCH | (is_store ? DSISR_STORE : 0);
            ppc_raise(s, PPC_DSI, 0, retaddr);
        }
    }
}

uint64_t ppc_debug_mode(const PpcState *s)
{
    uint64_t iabr = s->spr[SPR_IABR];

    if (ppc_isa(s, ISA_CLASSIC)) {
        bool translation_fits = ppc_isa(s, ISA_602TLB) || !!(iabr & IABR_TRANSLATED) == !!(s->msr & MSR_IR);

        return iabr & IABR_ENABLE && translation_fits ? MODE_IABR : 0;
    }
    if (ppc_isa(s, ISA_V207) && s->spr[SPR_CIABR] & CIABR_PRIVILEGE) {
        static const uint8_t state[] = { 0, FOR_PROBLEM, FOR_PRIVILEGED, FOR_HYPERVISOR };

        return state[s->spr[SPR_CIABR] & CIABR_PRIVILEGE] == privilege_now(s) ? MODE_CIABR : 0;
    }
    return 0;
}

/* Before an instruction, in blocks of MODE_IABR. */
uint64_t ppc_helper_check_iabr(PpcState *s, uint64_t pc, uint64_t b, uint64_t c, uint64_t d)
{
    if ((s->spr[SPR_IABR] & ~UINT64_C(3)) == pc) {
        ppc_raise(s, PPC_IABR, 0, tcg_caller_pc(s));
    }
    return 0;
}

/* Behind the instruction at pc, in blocks of MODE_SE, MODE_BE and MODE_CIABR; the pc slot has been put. */
uint64_t ppc_helper_trace(PpcState *s, uint64_t pc, uint64_t is_traced, uint64_t c, uint64_t d)
{
    bool completed = s->mode_flags & MODE_CIABR && (s->spr[SPR_CIABR] & ~(uint64_t)CIABR_PRIVILEGE) == pc;

    if (is_traced || completed) {
        if (ppc_isa(s, ISA_BOOKE)) {
            ppc_booke_traced(s);
        }
        ppc_raise(s, PPC_TRACE, ppc_isa(s, ISA_V206) ? TRACE_ALWAYS | (completed ? TRACE_CIABR : 0) : 0, 0);
    }
    return 0;
}

void ppc_debug_changed(Cpu *cpu)
{
    ppc_watches_update(ppc_state(cpu));
    ppc_update_mode(ppc_state(cpu));
}
