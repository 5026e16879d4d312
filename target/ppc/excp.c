/* Interrupts as the architecture calls them: raising, delivering, returning (Power ISA, Book III, chapter 7; PEM, chapter 6). */
#include "core/lock.h"
#include "target/ppc/booke.h"
#include "target/ppc/fp.h"

#include <stdatomic.h>

void ppc_raise(PpcState *s, uint32_t vector, uint64_t flags, uintptr_t retaddr)
{
    s->exception.vector = vector;
    s->exception.flags = flags;
    if (retaddr) {
        tcg_restore(s, retaddr);
    }
    tcg_unwind(s, TCG_EXIT_EXCEPTION);
}

void ppc_program(PpcState *s, uint64_t flags, uintptr_t retaddr)
{
    ppc_raise(s, PPC_PROGRAM, flags, retaddr);
}

uint64_t ppc_helper_raise(PpcState *s, uint64_t vector, uint64_t flags, uint64_t c, uint64_t d)
{
    ppc_raise(s, vector, flags, tcg_caller_pc(s));
}

/* FSCR's left byte tells which facility was not there (Power ISA, Book III, 7.2.11). */
void ppc_facility_unavailable(PpcState *s, unsigned facility, uintptr_t retaddr)
{
    enum { CAUSE = 56 };

    s->spr[SPR_FSCR] = (s->spr[SPR_FSCR] << 8 >> 8) | (uint64_t)facility << CAUSE;
    ppc_raise(s, PPC_FAC, 0, retaddr);
}

uint64_t ppc_helper_facility_unavailable(PpcState *s, uint64_t facility, uint64_t b, uint64_t c, uint64_t d)
{
    ppc_facility_unavailable(s, facility, tcg_caller_pc(s));
}

uint64_t ppc_helper_raise_fetch_fault(PpcState *s, uint64_t addr, uint64_t b, uint64_t c, uint64_t d)
{
    tcg_restore(s, tcg_caller_pc(s));
    ppc_raise_mmu_fault(s->hot.cpu, addr, MMU_FETCH, ppc_fetch_mode(s));
    return 0;
}

uint64_t ppc_helper_unaligned(PpcState *s, uint64_t addr, uint64_t is_store, uint64_t c, uint64_t d)
{
    tcg_restore(s, tcg_caller_pc(s));
    ppc_raise_alignment(s->hot.cpu, addr, is_store);
    return 0;
}

void ppc_poll_interrupts(PpcState *s)
{
    if (atomic_load_explicit(&s->pending, memory_order_relaxed) || (ppc_isa(s, ISA_BOOKE) && ppc_booke_wanted(s))) {
        atomic_store_explicit(&s->hot.poll, -1, memory_order_relaxed);
        atomic_fetch_or(&s->hot.cpu->requests, CPU_REQ_INTR);
    }
}

/* MODE_ASSUMED as it is. */
static uint64_t assumable_mode(const PpcState *s)
{
    return (s->msr & MODE_ASSUMED) | (ppc_fp_is_fast(s) ? MODE_FAST_FP : 0);
}

void ppc_begin_again(PpcState *s)
{
    if (s->mode_flags & MODE_COUNT) {
        s->pmu_left++;
    }
}

/* A block of privileged state has found these bits of its mode to be wrong. Its instruction begins again. */
uint64_t ppc_helper_assume(PpcState *s, uint64_t bits, uint64_t pc, uint64_t c, uint64_t d)
{
    s->pc = pc;
    s->assumed = (s->assumed & ~bits) | (assumable_mode(s) & bits);
    ppc_begin_again(s);
    ppc_update_mode(s);
    return 0;
}

uint64_t ppc_helper_code_differs(PpcState *s, uint64_t pc, uint64_t b, uint64_t c, uint64_t d)
{
    s->pc = pc;
    ppc_begin_again(s);
    engine.code_differs(s->hot.cpu, pc, 4);
    return 0;
}

/* Bits of the mode that few processors have, or that something rare turns on. */
static uint64_t rare_mode(PpcState *s)
{
    uint64_t m = 0;

    if (ppc_isa(s, ISA_BOOKE)) {
        m |= ppc_booke_steps(s) ? MODE_SE : 0;
    }
    if (ppc_isa(s, ISA_970)) {
        m |= s->spr[SPR_HID5] & 0x80 ? MODE_DCBZ32 : 0;
    }
    return m | ppc_debug_mode(s) | ppc_pmu_mode(s);
}

/* That none of rare_mode's is on, by the registers that turn them on. */
static bool nothing_rare(const PpcState *s)
{
    return !((s->spr[SPR_IABR] | s->spr[SPR_CIABR]) || s->pmu.active || ppc_isa(s, ISA_BOOKE) ||
             (ppc_isa(s, ISA_970) && s->spr[SPR_HID5] & 0x80));
}

/* Where ppc_set_msr looks for what modes derive from. */
static uint64_t mode_source(const PpcState *s)
{
    return (s->msr & s->mode_msr) | (s->msr & MSR_PR && ppc_fp_is_fast(s) ? MODE_FAST_FP : 0);
}

/* What a system call and its kernel's interrupts alternate between have different places: by IR, DR, PR, FP and VEC. */
static PpcMode *known_mode(PpcState *s, uint64_t source)
{
    return &s->modes[((source >> 4 & 3) | (source >> 12 & 4) | (source >> 10 & 8) | ((source >> 25 ^ source >> 32) & 1) << 4)];
}

void ppc_forget_modes(PpcState *s)
{
    for (unsigned i = 0; i < PPC_MODES; i++) {
        s->modes[i].msr = PPC_NO_MODE;
    }
}

static void note_mode(PpcState *s)
{
    uint64_t source = mode_source(s);
    unsigned data = ppc_data_mode(s);

    if (nothing_rare(s)) {
        *known_mode(s, source) = (PpcMode){ source, s->mode_flags, ppc_key_flags(s), data >= MMU_KERNEL_NO_LOADS ? MMU_KERNEL : data, ppc_fetch_mode(s) };
    }
}

static void publish_mode(PpcState *s)
{
    if (engine.change_mode && s->published_space == s->space_id) {
        engine.change_mode(s->hot.cpu, ppc_data_mode(s), ppc_fetch_mode(s), ppc_key_flags(s), 0);
        note_mode(s);
    } else if (engine.update_mode) {
        s->published_space = s->space_id;
        engine.update_mode(s->hot.cpu);
    }
}

void ppc_keys_changed(PpcState *s)
{
    ReadyMode *ready = &s->keyed[s->spr[SPR_AMR] >> 62];

    if ((s->msr & (MSR_DR | MSR_PR)) != MSR_DR) {
        return;
    }
    publish_mode(s);
    if (engine.keep_mode && s->published_space == s->space_id && engine.keep_mode(s->hot.cpu, s->spr[SPR_AMR] >> 62, ready)) {
        ready->from = ppc_key_flags(s); /* which stay as they are */
    }
}

static void derive_mode(PpcState *s)
{
    uint64_t m = s->msr & s->mode_msr;

    if (m & MODE_PR) {
        m |= ppc_fp_is_fast(s) ? MODE_FAST_FP : 0;
        m |= s->spr[SPR_FSCR] >> FACILITY_PREFIX & 1 ? MODE_PREFIX : 0;
    } else {
        m = (m & ~MODE_ASSUMED) | s->assumed | MODE_PREFIX;
    }
    s->mode_flags = nothing_rare(s) ? m : m | rare_mode(s);
    ppc_poll_interrupts(s);
    publish_mode(s);
}

void ppc_update_mode(PpcState *s)
{
    ppc_forget_modes(s);
    derive_mode(s);
}

void ppc_context_sync(PpcState *s)
{
    if (s->sr_changed) {
        s->space_id = s->published_space = ppc_space_id(s);
        s->sr_changed = false;
        if (engine.update_mode) {
            engine.update_mode(s->hot.cpu);
        }
    }
}

uint64_t ppc_helper_context_sync(PpcState *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    ppc_context_sync(s);
    return 0;
}

/* The 603's handlers of TLB misses have r0 to r3 of their own. */
static void swap_tgpr(PpcState *s)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t other = s->tgpr[i];

        s->tgpr[i] = s->gpr[i];
        s->gpr[i] = other;
    }
}

void ppc_set_msr(PpcState *s, uint64_t value)
{
    bool same;

    value &= s->msr_mask;
    /* Problem state has interrupts and translation on in the 64-bit architecture (Book III, 4.2.1). */
    if ((value & MSR_PR) && ppc_isa(s, ISA_64) && ppc_isa(s, ISA_V206)) {
        value |= MSR_EE | MSR_IR | MSR_DR;
    }
    if (s->model->mmu == PPC_MMU_603 && ((s->msr ^ value) & MSR_TGPR)) {
        swap_tgpr(s);
    }
    same = !((s->msr ^ value) & ~(MSR_EE | MSR_RI)) && !s->sr_changed && s->space_id;
    s->msr = value & ~MSR_POW;
    if (same) {
        ppc_poll_interrupts(s);
        return;
    }
    if (s->published_space == s->space_id && !s->sr_changed) {
        uint64_t source = mode_source(s);
        const PpcMode *known = known_mode(s, source);

        if (known->msr == source) {
            s->mode_flags = known->flags;
            if (G_UNLIKELY(atomic_load_explicit(&s->pending, memory_order_relaxed))) {
                ppc_poll_interrupts(s);
            }
            engine.change_mode(s->hot.cpu, known->data == MMU_KERNEL ? ppc_data_mode(s) : known->data, known->fetch, known->key_flags, 0);
            return;
        }
    }
    s->sr_changed |= !s->space_id;
    ppc_context_sync(s);
    derive_mode(s);
}

/* Whether MSR[POW] does anything: HID0 has DOZE, NAP or SLEEP set (on the 970, without that). */
static bool may_nap(const PpcState *s)
{
    enum { HID0_DOZE = 0x800000, HID0_NAP = 0x400000, HID0_SLEEP = 0x200000 };

    if (ppc_isa(s, ISA_BOOKE)) {
        return true;
    }
    if (ppc_isa(s, ISA_64)) {
        return (s->spr[SPR_HID0] >> 32 & (HID0_DOZE | HID0_NAP | HID0_SLEEP)) != 0;
    }
    return (s->spr[SPR_HID0] & (HID0_DOZE | HID0_NAP | HID0_SLEEP)) != 0;
}

static void go_to_sleep(PpcState *s)
{
    Cpu *cpu = s->hot.cpu;

    atomic_store(&cpu->halted, true);
    /* An interrupt that is pending already wakes at once: has_work looks. */
    atomic_store_explicit(&s->hot.poll, -1, memory_order_relaxed);
}

uint64_t ppc_helper_mtmsr(PpcState *s, uint64_t value, uint64_t mask, uint64_t c, uint64_t d)
{
    bool pow = (value & mask & MSR_POW & s->msr_mask) != 0;

    ppc_set_msr(s, (s->msr & ~mask) | (value & mask));
    if (pow && may_nap(s)) {
        s->napping = true;
        go_to_sleep(s);
    }
    return 0;
}

/* MSR[EE] may have been set while an interrupt waits. */
uint64_t ppc_helper_poll_interrupts(PpcState *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (s->msr & MSR_EE) {
        ppc_poll_interrupts(s);
    }
    return 0;
}

uint64_t ppc_helper_nap(PpcState *s, uint64_t next_pc, uint64_t b, uint64_t c, uint64_t d)
{
    s->pc = next_pc;
    s->napping = true;
    go_to_sleep(s);
    return 0;
}

/* To a thread of the processor's own core, of which it is number 0 and the only one (Book III, chapter 11). */
uint64_t ppc_helper_doorbell(PpcState *s, uint64_t message, uint64_t clear, uint64_t c, uint64_t d)
{
    enum { TYPE_SHIFT = 27, DIRECTED = 5, THREAD = 0x7f };

    if ((message >> TYPE_SHIFT & 31) == DIRECTED && !(message & THREAD)) {
        ppc_set_interrupt(s->hot.cpu, PPC_INT_DOORBELL, !clear);
        ppc_poll_interrupts(s);
    }
    return 0;
}

/* There is no coprocessor of any type. */
uint64_t ppc_helper_icswx(PpcState *s, uint64_t addr, uint64_t b, uint64_t c, uint64_t d)
{
    enum { NO_COPROCESSOR = 0x4000 }; /* what Linux calls DSISR_ICSWX_NO_CT */

    tcg_restore(s, tcg_caller_pc(s));
    s->spr[SPR_DAR] = addr;
    s->spr[SPR_DSISR] = NO_COPROCESSOR;
    ppc_raise(s, PPC_DSI, 0, 0);
}

/* Delivery. */

static bool is_hypervisor_vector(uint32_t vector)
{
    return vector == PPC_HDEC || (vector >= PPC_HDSI && vector < PPC_PERF) || vector == PPC_HFAC;
}

/* MSR that a handler begins with. */
static uint64_t handler_msr(const PpcState *s, uint32_t vector)
{
    uint64_t old = s->msr, msr = old & (MSR_ME | MSR_IP | MSR_ILE);
    bool little;

    if (vector == PPC_MCHECK) {
        msr &= ~MSR_ME;
    }
    if (ppc_isa(s, ISA_64)) {
        enum { LPCR_ILE = 1 << 25 };
        unsigned ail = s->spr[SPR_LPCR] >> 23 & 3;

        msr |= MSR_SF | (old & MSR_HV);
        if (is_hypervisor_vector(vector) || (vector == PPC_RESET && !s->hypercall)) {
            msr |= MSR_HV;
        }
        little = ppc_isa(s, ISA_V206) && (s->spr[SPR_LPCR] & LPCR_ILE);
        if (ail >= 2 && ppc_isa(s, ISA_V207) && (old & MSR_IR) && (old & MSR_DR) && vector != PPC_RESET && vector != PPC_MCHECK) {
            msr |= MSR_IR | MSR_DR;
        }
    } else {
        little = old & MSR_ILE;
        if (vector == PPC_IMISS || vector == PPC_DLMISS || vector == PPC_DSMISS) {
            msr |= MSR_TGPR;
        }
    }
    return msr | (little ? MSR_LE : 0);
}

static uint64_t handler_pc(const PpcState *s, uint32_t vector, uint64_t msr)
{
    if (!ppc_isa(s, ISA_64)) {
        return (msr & MSR_IP ? 0xfff00000 : 0) + vector;
    }
    if (ppc_isa(s, ISA_970)) {
        return (s->spr[SPR_HIOR] & PPC_PC_MASK) + vector;
    }
    if (msr & MSR_IR) { /* LPCR[AIL] */
        return ((s->spr[SPR_LPCR] >> 23 & 3) == 2 ? UINT64_C(0x18000) : UINT64_C(0xc000000000004000)) + vector;
    }
    return (s->spr[SPR_HIOR] & UINT64_C(0x000ffffffff00000)) + vector; /* of the 970; other processors have none */
}

/* Bits of SRR1 that hold the cause, not the MSR: all that are implemented have these (PEM, 6.2.1: 1-4 and 10-15). */
#define SRR1_CAUSE UINT64_C(0x783f0000)

static void save_return(PpcState *s, uint32_t vector)
{
    unsigned srr0 = is_hypervisor_vector(vector) ? SPR_HSRR0 : SPR_SRR0;

    s->spr[srr0] = s->pc;
    s->spr[srr0 + 1] = (s->msr & ~SRR1_CAUSE) | s->exception.flags;
}

static void enter(PpcState *s, uint32_t vector)
{
    uint64_t msr;

    if (ppc_isa(s, ISA_BOOKE)) {
        ppc_booke_enter(s, vector);
        return;
    }
    msr = handler_msr(s, vector);
    save_return(s, vector);
    s->exception.vector = PPC_NO_EXCEPTION;
    s->pc = handler_pc(s, vector, msr);
    s->napping = false;
    ppc_set_msr(s, msr);
}

/* Of a prefixed instruction SRR1 says so, or else handlers would read half of it (Book III, 7.5). */
static bool tells_prefix(uint32_t vector)
{
    switch (vector) {
    case PPC_DSI: case PPC_DSEG: case PPC_ALIGN: case PPC_PROGRAM: case PPC_FPU: case PPC_VPU: case PPC_VSU: case PPC_TRACE:
        return true;
    default:
        return false;
    }
}

void ppc_deliver_exception(Cpu *cpu)
{
    enum { SRR1_PREFIXED = 0x20000000 };
    PpcState *s = ppc_state(cpu);
    uint32_t vector = s->exception.vector, word;

    if (vector == PPC_NO_EXCEPTION) {
        return;
    }
    if (ppc_isa(s, ISA_V310) && tells_prefix(vector) && ppc_instruction_at(s, s->pc, &word) && word >> 26 == 1) {
        s->exception.flags |= SRR1_PREFIXED;
    }
    if (s->mode_flags & MODE_COUNT && vector != PPC_TRACE) {
        s->pmu_left++; /* the instruction did not come to its end */
    }
    enter(s, vector);
}

/* What to take now of what is pending; 0: nothing. */
static uint32_t wanted(PpcState *s)
{
    uint32_t pending = atomic_load(&s->pending);
    bool ee = s->msr & MSR_EE;

    if (ppc_isa(s, ISA_BOOKE)) {
        return ppc_booke_wanted(s);
    }
    if (pending & PPC_INT_RESET) {
        return PPC_RESET;
    }
    if ((pending & PPC_INT_MCHECK) && (s->msr & MSR_ME)) {
        return PPC_MCHECK;
    }
    if ((pending & PPC_INT_HDEC) && (ee || !(s->msr & MSR_HV))) {
        return PPC_HDEC;
    }
    if (!ee) {
        return 0;
    }
    if (pending & PPC_INT_SMI) {
        return PPC_SMI;
    }
    if (pending & PPC_INT_EXTERNAL) {
        return PPC_EXTERNAL;
    }
    if (pending & PPC_INT_DEC) {
        return PPC_DEC;
    }
    if (pending & PPC_INT_DOORBELL) {
        return PPC_DOORBELL;
    }
    return pending & PPC_INT_PERF ? PPC_PERF : 0;
}

/* A napping processor of the 64-bit architecture wakes whatever MSR[EE] says, through the system reset vector or, where
 * PAPR's H_CEDE put it to sleep, by going on. */
bool ppc_has_work(Cpu *cpu)
{
    PpcState *s = ppc_state(cpu);
    uint32_t pending = atomic_load(&s->pending);

    if (s->napping && ppc_isa(s, ISA_64) && pending & ~(uint32_t)PPC_INT_EBB) {
        return true;
    }
    if (ppc_isa(s, ISA_BOOKE) && (pending & PPC_INT_DEC)) { /* the timers want to be looked at */
        return true;
    }
    return wanted(s) != 0;
}

static void forget(PpcState *s, uint32_t vector)
{
    switch (vector) {
    case PPC_RESET:
        atomic_fetch_and(&s->pending, ~(uint32_t)PPC_INT_RESET);
        break;
    case PPC_MCHECK:
        atomic_fetch_and(&s->pending, ~(uint32_t)PPC_INT_MCHECK);
        break;
    case PPC_DEC:
        if (!s->model->level_decrementer) {
            atomic_fetch_and(&s->pending, ~(uint32_t)PPC_INT_DEC);
        }
        break;
    case PPC_HDEC:
        atomic_fetch_and(&s->pending, ~(uint32_t)PPC_INT_HDEC);
        break;
    case PPC_DOORBELL:
        atomic_fetch_and(&s->pending, ~(uint32_t)PPC_INT_DOORBELL);
        break;
    case PPC_PERF:
        atomic_fetch_and(&s->pending, ~(uint32_t)PPC_INT_PERF);
        break;
    default:
        break;
    }
}

void ppc_service(Cpu *cpu)
{
    PpcState *s = ppc_state(cpu);
    bool looked = false;
    uint32_t vector;

    cpu_clear_request(cpu, CPU_REQ_INTR | CPU_REQ_TIMER);
    tcg_fp_traps_review(s);
    ppc_forget_modes(s);
    ppc_pmu_service(s);
    cpu_clear_request(cpu, CPU_REQ_INTR); /* a look at interrupts that wait, which comes now */
    if (ppc_isa(s, ISA_BOOKE) && (atomic_load(&s->pending) & PPC_INT_DEC)) {
        ppc_booke_timers_poll(s);
        looked = true;
    }
    vector = wanted(s);
    if (!vector) {
        if (looked && cpu->woken) { /* for that look only */
            atomic_store(&cpu->halted, true);
        }
        ppc_ebb_take(s);
        return;
    }
    forget(s, vector);
    s->exception = (PpcException){ .vector = vector };
    enter(s, vector);
}

/* sc: LEV 1 goes to the hypervisor that a board is, if there is one. */
uint64_t ppc_helper_syscall(PpcState *s, uint64_t lev, uint64_t next_pc, uint64_t c, uint64_t d)
{
    Cpu *cpu = s->hot.cpu;

    s->pc = next_pc;
    if ((lev & 1) && s->hypercall && !(s->msr & MSR_HV)) {
        if (s->msr & MSR_PR && ppc_isa(s, ISA_64)) {
            s->pc = next_pc - 4;
            ppc_program(s, PROGRAM_PRIVILEGED, 0);
        }
        s->hypercall(cpu, s->hypercall_opaque);
        if (atomic_load(&cpu->halted)) { /* TCG_EXIT_HALT would undo what wakes it meanwhile */
            atomic_store_explicit(&s->hot.poll, -1, memory_order_relaxed);
        }
        return 0;
    }
    s->exception = (PpcException){ .vector = PPC_SC };
    if ((lev & 1) && ppc_isa(s, ISA_HV)) {
        enter(s, PPC_SC);
        ppc_set_msr(s, s->msr | MSR_HV);
        return 0;
    }
    enter(s, PPC_SC);
    return 0;
}

/*
 * scv (Book III, 6.5.27): the return address goes to LR, MSR to CTR, and interrupts stay as they are. The handlers are apart
 * from the others: at 17000, or where translated ones are with LPCR[AIL].
 */
uint64_t ppc_helper_scv(PpcState *s, uint64_t level, uint64_t next_pc, uint64_t c, uint64_t d)
{
    uint64_t old, msr;

    if (!(s->spr[SPR_FSCR] >> FACILITY_SCV & 1)) {
        ppc_facility_unavailable(s, FACILITY_SCV, tcg_caller_pc(s));
    }
    old = s->msr;
    msr = handler_msr(s, PPC_SCV) | (old & (MSR_EE | MSR_RI));
    s->lr = next_pc;
    s->ctr = old & ~SRR1_CAUSE;
    s->pc = (msr & MSR_IR ? UINT64_C(0xc000000000003000) : UINT64_C(0x17000)) + level * 0x20;
    ppc_set_msr(s, msr);
    return 0;
}

uint64_t ppc_helper_rfi(PpcState *s, uint64_t kind, uint64_t b, uint64_t c, uint64_t d)
{
    enum { VECTORED = 4 }; /* rfscv returns by LR and CTR */
    static const unsigned from[] = { SPR_SRR0, SPR_SRR0, SPR_HSRR0, SPR_CSRR0, SPR_SRR0, SPR_MCSRR0 };
    uint64_t pc = kind == VECTORED ? s->lr : s->spr[from[kind]];
    uint64_t msr = kind == VECTORED ? s->ctr : s->spr[from[kind] + 1];

    if (!ppc_isa(s, ISA_BOOKE)) { /* ILE stays, and the 603's TGPR ends */
        msr = (msr & ~SRR1_CAUSE) | (s->msr & MSR_ILE);
    }
    if (ppc_isa(s, ISA_64) && kind != 2) {
        msr = (msr & ~MSR_HV) | (s->msr & msr & MSR_HV);
    }
    s->pc = pc & PPC_PC_MASK;
    if (!(msr & MSR_SF) || !ppc_isa(s, ISA_64)) {
        s->pc &= UINT32_MAX;
    }
    ppc_set_msr(s, msr);
    return 0;
}

/* Pins. */

void ppc_set_interrupt(Cpu *cpu, PpcInterrupt which, bool level)
{
    PpcState *s = ppc_state(cpu);

    if (level) {
        atomic_fetch_or(&s->pending, which);
        cpu_request(cpu, CPU_REQ_INTR);
    } else if (which != PPC_INT_MCHECK && which != PPC_INT_RESET) {
        atomic_fetch_and(&s->pending, ~(uint32_t)which);
    }
}
