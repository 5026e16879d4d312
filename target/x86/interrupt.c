/* Interrupts between blocks, the flag that gates them, and waiting for them. */
#include "core/lock.h"
#include "target/x86/pmu.h"
#include "target/x86/smm.h"
#include "target/x86/svm.h"
#include "target/x86/syscall.h"
#include "target/x86/vme.h"

/* What might be taken once IF is set or a shadow ends. */
#define MASKABLE (CPU_REQ_INTR | CPU_REQ_NMI | CPU_REQ_SMI | CPU_REQ_VIRTUAL)

void x86_poll_interrupts(X86State *s)
{
    bool waits = s->hot.cpu->requests & MASKABLE;

    if (waits) {
        atomic_store_explicit(&s->hot.poll, -1, memory_order_relaxed);
    }
    s->no_interrupt_waits = !waits;
}

/* EFLAGS with IF set, where STI could not tell that no interrupt has been waiting. */
uint64_t helper_set_if(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    x86_poll_interrupts(s);
    return s->eflags | EFL_IF;
}

uint64_t helper_poll_if(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (s->eflags & EFL_IF) {
        x86_poll_interrupts(s);
    }
    return 0;
}

static void start_ap(Cpu *cpu)
{
    X86State *s = x86_state(cpu);

    x86_load_real_segment(s, S_CS, cpu->sipi_vector << 8);
    s->pc = 0;
    s->wait_sipi = false;
    cpu->halted = false;
    x86_update_mode(s);
}

bool x86_has_work(Cpu *cpu)
{
    X86State *s = x86_state(cpu);
    uint32_t requests = cpu->requests;

    if (!s->svm.gif) {
        return false;
    }
    if ((requests & CPU_REQ_INIT) && !s->in_smm) {
        return true;
    }
    if (s->shut_down) {
        return false;
    }
    if (s->wait_sipi) {
        return (requests & CPU_REQ_SIPI) != 0;
    }
    return (requests & CPU_REQ_MCE) || ((requests & CPU_REQ_SMI) && !s->in_smm) || ((requests & CPU_REQ_NMI) && !s->nmi_blocked) ||
           ((requests & CPU_REQ_INTR) && (svm_can_take_intr(s) || s->masked_intr_wakes)) || svm_can_take_virtual(s);
}

static void serve(Cpu *cpu)
{
    X86State *s = x86_state(cpu);

    if (cpu->requests & CPU_REQ_TIMER) {
        cpu_clear_request(cpu, CPU_REQ_TIMER);
        x86_pmu_service(s);
    }
    if (!s->svm.gif) {
        return; /* all of them wait */
    }
    if ((cpu->requests & CPU_REQ_INIT) && !s->in_smm) {
        svm_check_request(s, SVM_EXIT_INIT);
        cpu_clear_request(cpu, CPU_REQ_INIT); /* a start-up that is pending came after it */
        x86_init_signal(cpu);
        return;
    }
    if (cpu->requests & CPU_REQ_SIPI) {
        cpu_clear_request(cpu, CPU_REQ_SIPI);
        if (s->wait_sipi) {
            start_ap(cpu);
        }
        return;
    }
    if (s->wait_sipi || s->shut_down) {
        return;
    }
    if (cpu->requests & CPU_REQ_MCE) {
        cpu_clear_request(cpu, CPU_REQ_MCE);
        x86_take_machine_check(s);
        return;
    }
    if (s->interrupt_shadow == 2) {
        return;
    }
    if ((cpu->requests & CPU_REQ_SMI) && !s->in_smm && !s->interrupt_shadow) {
        svm_check_request(s, SVM_EXIT_SMI);
        cpu_clear_request(cpu, CPU_REQ_SMI);
        if (cpu->smm_memory) {
            x86_smm_enter(s);
            return;
        }
    }
    if ((cpu->requests & CPU_REQ_NMI) && !s->nmi_blocked && !s->interrupt_shadow) {
        X86Exception e = { .vector = EXC_NMI, .external = true };

        svm_check_request(s, SVM_EXIT_NMI);
        cpu_clear_request(cpu, CPU_REQ_NMI);
        cpu->halted = false;
        s->nmi_blocked = true;
        x86_interrupt(s, &e);
        return;
    }
    if ((cpu->requests & CPU_REQ_INTR) && svm_can_take_intr(s) && !s->interrupt_shadow && cpu->intc) {
        int vector;

        svm_check_request(s, SVM_EXIT_INTR);
        machine_lock();
        vector = cpu->intc->acknowledge(cpu->intc_opaque);
        machine_unlock();
        if (vector >= 0) {
            X86Exception e = { .vector = vector, .external = true };

            cpu->halted = false;
            x86_interrupt(s, &e);
            return;
        }
    }
    if (svm_can_take_virtual(s) && !s->interrupt_shadow) {
        svm_take_virtual(s);
    }
}

/* May not return. Who is not served now is not asked for by CpuHot.poll again: whoever sets IF looks. */
void x86_service(Cpu *cpu)
{
    X86State *s = x86_state(cpu);

    s->no_interrupt_waits = 0;
    serve(cpu);
    s->no_interrupt_waits = !(cpu->requests & MASKABLE);
}

uint64_t helper_cli(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (s->cpl <= iopl(s)) {
        s->eflags &= ~(uint32_t)EFL_IF;
    } else if (x86_has_virtual_if(s)) {
        s->eflags &= ~(uint32_t)EFL_VIF;
    } else {
        x86_raise_error(s, EXC_GP, 0, tcg_caller_pc(s));
    }
    return 0;
}

uint64_t helper_sti(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (s->cpl > iopl(s)) {
        if (!x86_has_virtual_if(s) || (s->eflags & EFL_VIP)) {
            x86_raise_error(s, EXC_GP, 0, tcg_caller_pc(s));
        }
        s->eflags |= EFL_VIF;
    } else if (!(s->eflags & EFL_IF)) {
        s->eflags |= EFL_IF;
        s->interrupt_shadow = 1;
        x86_update_mode(s);
    }
    return 0;
}

uint64_t helper_pushf(X86State *s, uint64_t opsize, uint64_t b, uint64_t c, uint64_t d)
{
    if ((s->eflags & EFL_VM) && iopl(s) < 3) {
        if (opsize == IR_I16 && x86_has_virtual_if(s)) {
            return x86_v86_flags(s);
        }
        x86_raise_error(s, EXC_GP, 0, tcg_caller_pc(s));
    }
    return x86_eflags(s) & ~(uint32_t)(EFL_VM | EFL_RF);
}

/* POPF of 16 bits in virtual-8086 mode below IOPL 3. */
uint64_t helper_check_popf(X86State *s, uint64_t value, uint64_t b, uint64_t c, uint64_t d)
{
    x86_v86_check_flags(s, value, tcg_caller_pc(s));
    return 0;
}

uint64_t helper_popf(X86State *s, uint64_t value, uint64_t opsize, uint64_t c, uint64_t d)
{
    uint32_t mask = FLAGS_ALL | EFL_TF | EFL_DF | EFL_NT, old = s->eflags;

    if ((s->eflags & EFL_VM) && iopl(s) < 3) {
        x86_v86_set_flags(s, value);
        x86_update_mode(s);
        return 0;
    }
    if (opsize != IR_I16) {
        mask |= EFL_AC | EFL_ID;
        s->eflags &= ~(uint32_t)EFL_RF;
    }
    if (s->cpl <= iopl(s)) {
        mask |= EFL_IF;
    }
    if (s->cpl == 0) {
        mask |= EFL_IOPL;
    }
    x86_set_eflags(s, value, mask);
    if ((old ^ s->eflags) & (EFL_TF | EFL_IOPL | EFL_AC)) {
        x86_update_mode(s);
    }
    if (s->eflags & EFL_IF) {
        x86_poll_interrupts(s);
    }
    return 0;
}

static uint64_t set_ac(X86State *s, bool on, uintptr_t ra)
{
    if (!(s->cr0 & CR0_PE) || !x86_has(s, FEAT_smap)) {
        x86_raise(s, EXC_UD, ra);
    }
    if (s->cpl) {
        x86_raise(s, EXC_UD, ra);
    }
    s->eflags = on ? s->eflags | EFL_AC : s->eflags & ~(uint32_t)EFL_AC;
    x86_update_privilege(s);
    x86_keep_ac(s);
    return 0;
}

uint64_t helper_clac(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return set_ac(s, false, tcg_caller_pc(s));
}

uint64_t helper_stac(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return set_ac(s, true, tcg_caller_pc(s));
}

static void halt(X86State *s, uint64_t next_pc)
{
    s->pc = next_pc;
    if (s->interrupt_shadow) {
        /* STI; HLT: the shadow ends with the HLT. */
        s->interrupt_shadow = 0;
        x86_update_mode(s);
    }
    if (s->mode_flags & MODE_TF) {
        helper_single_step(s, 0, 0, 0, 0); /* the trap ends the halt as it begins */
    }
    s->masked_intr_wakes = false;
    s->hot.cpu->halted = true;
}

uint64_t helper_hlt(X86State *s, uint64_t next_pc, uint64_t b, uint64_t c, uint64_t d)
{
    if (s->cpl) {
        x86_raise_error(s, EXC_GP, 0, tcg_caller_pc(s));
    }
    halt(s, next_pc);
    return 0;
}

/* The line that MONITOR armed; RAM alone is watched. */
static void read_line(X86State *s, uint64_t line[8])
{
    for (int i = 0; i < 8; i++) {
        line[i] = x86_read_phys(s, s->mwait_addr + 8 * i, 8);
    }
}

uint64_t helper_monitor(X86State *s, uint64_t addr, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    MmuResult page;

    if (s->cpl || !x86_has(s, FEAT_monitor)) {
        x86_raise(s, EXC_UD, ra);
    }
    if ((uint32_t)s->reg[R_CX]) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    addr = linear(s, addr);
    load_linear(s, addr, 1, data_mode(s, s->cpl), ra);
    s->monitor_armed = x86_walk(s->hot.cpu, addr, MMU_LOAD, data_mode(s, s->cpl), true, &page);
    if (s->monitor_armed) {
        s->mwait_addr = page.phys | (addr & 0xfc0);
        s->monitor_armed = x86_table_ram(s, s->mwait_addr) != NULL;
    }
    if (s->monitor_armed) {
        read_line(s, s->monitor_line);
    }
    return 0;
}

static bool line_changed(X86State *s)
{
    uint64_t now[8];

    read_line(s, now);
    return memcmp(now, s->monitor_line, sizeof(now)) != 0;
}

/*
 * Other processors may store to the armed line. It is looked at now and then, for a fraction of a millisecond in all, since MWAIT
 * may end for no reason, and who stops all processors should not wait for this one.
 */
static void watch_line(X86State *s)
{
    enum { LOOKS = 4, BETWEEN_US = 50 };

    tcg_fp_sync(s);
    for (int i = 0; i < LOOKS && !atomic_load_explicit(&s->hot.poll, memory_order_relaxed); i++) {
        g_usleep(BETWEEN_US);
        if (line_changed(s) || x86_has_work(s->hot.cpu)) {
            break;
        }
    }
}

uint64_t helper_mwait(X86State *s, uint64_t next_pc, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint32_t extensions = s->reg[R_CX];

    if (s->cpl || !x86_has(s, FEAT_monitor)) {
        x86_raise(s, EXC_UD, ra);
    }
    if (extensions & ~1u) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    halt(s, next_pc);
    s->masked_intr_wakes = extensions & 1;
    if (!s->monitor_armed || line_changed(s)) {
        s->hot.cpu->halted = false;
    } else if (cpu_count() > 1) {
        watch_line(s);
        s->hot.cpu->halted = false;
    }
    s->monitor_armed = false;
    return 0;
}
