/*
 * The thread of a vCPU under KVM: enters the guest and carries out what it exits for.
 *
 * Interrupt controllers are Myna's own devices: a pending interrupt is injected when the guest can take it, and until
 * then the kernel is asked to exit as soon as it can (KVM_IRQ_WINDOW_OPEN).
 */
#include "accel/kvm/internal.h"

#include "core/lock.h"
#include "core/machine.h"
#include "target/x86/system.h"
#include "util/log.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#define KICK_SIGNAL SIGUSR1

static void ignore_signal(int number)
{
}

/* Not ignored: it has to interrupt KVM_RUN. */
void kvm_install_kick_signal(void)
{
    struct sigaction action = { .sa_handler = ignore_signal };

    sigaction(KICK_SIGNAL, &action, NULL);
}

/* From cpu_request: the vCPU looks at its requests before it goes on. */
void kvm_kick(Cpu *cpu)
{
    KvmCpu *kc = kvm_cpu(cpu);

    if (cpu_current() == cpu) {
        return;
    }
    kc->run->immediate_exit = 1;
    if (atomic_load(&kc->in_run)) {
        pthread_kill(kc->thread_id, KICK_SIGNAL);
    }
}

/* ---- what comes before entering the guest ---- */

static bool interrupts_enabled(const KvmCpu *kc)
{
    return kc->loaded ? kc->run->if_flag : (x86_state(kc->cpu)->eflags & EFL_IF) != 0;
}

static bool has_work(KvmCpu *kc)
{
    uint32_t requests = atomic_load(&kc->cpu->requests);
    const X86State *s = x86_state(kc->cpu);

    if (requests & CPU_REQ_INIT) {
        return true;
    }
    if (s->shut_down) {
        return false;
    }
    if (s->wait_sipi) {
        return requests & CPU_REQ_SIPI;
    }
    return (requests & CPU_REQ_NMI) || ((requests & CPU_REQ_INTR) && interrupts_enabled(kc));
}

/* The kernel's APIC wakes a processor that halts or waits to be started. */
static bool waits_in_kernel(KvmCpu *kc)
{
    return kvm.chips != CHIPS_OFF && !x86_state(kc->cpu)->shut_down;
}

static void wait_for_work(KvmCpu *kc)
{
    Cpu *cpu = kc->cpu;

    g_mutex_lock(&cpu->halt_mutex);
    while (atomic_load(&cpu->halted) && !(atomic_load(&cpu->requests) & CPU_REQ_EXIT) && !accel_cpu_wanted(cpu) &&
           !has_work(kc)) {
        g_cond_wait(&cpu->halt_cond, &cpu->halt_mutex);
    }
    g_mutex_unlock(&cpu->halt_mutex);
}

static void inject_interrupt(KvmCpu *kc)
{
    Cpu *cpu = kc->cpu;
    struct kvm_interrupt interrupt;
    int vector;

    machine_lock();
    vector = cpu->intc ? cpu->intc->acknowledge(cpu->intc_opaque) : -1;
    machine_unlock();
    if (vector >= 0 && kvm.chips != CHIPS_OFF) {
        kvm_inject_external(kc, vector);
    } else if (vector >= 0) {
        interrupt.irq = vector;
        if (ioctl(kc->fd, KVM_INTERRUPT, &interrupt) < 0) {
            log_error("KVM: cannot inject interrupt %d: %s", vector, g_strerror(errno));
        }
    }
}

static void service(KvmCpu *kc)
{
    Cpu *cpu = kc->cpu;
    uint32_t requests;

    while (atomic_load(&cpu->requests) & (CPU_REQ_INIT | CPU_REQ_SIPI)) {
        kvm_state_pull(kc);
        x86_service(cpu);
    }
    requests = atomic_load(&cpu->requests);
    if (requests & CPU_REQ_SMI) {
        cpu_clear_request(cpu, CPU_REQ_SMI);
    }
    if (x86_state(cpu)->wait_sipi && kvm.chips == CHIPS_OFF) {
        return;
    }
    if (requests & CPU_REQ_NMI) {
        cpu_clear_request(cpu, CPU_REQ_NMI);
        kvm_state_push(kc);
        ioctl(kc->fd, KVM_NMI);
    }
    if ((requests & CPU_REQ_INTR) && kc->run->ready_for_interrupt_injection && kc->loaded && kc->run->if_flag) {
        inject_interrupt(kc);
        requests = atomic_load(&cpu->requests);
    }
    kc->run->request_interrupt_window = (requests & CPU_REQ_INTR) != 0;
}

/* False: look again. */
static bool attend(KvmCpu *kc)
{
    Cpu *cpu = kc->cpu;

    kc->run->immediate_exit = 0;
    atomic_store(&kc->in_run, true);
    if (atomic_load(&cpu->requests) & CPU_REQ_EXIT) {
        cpu_clear_request(cpu, CPU_REQ_EXIT);
    }
    if (accel_cpu_wanted(cpu)) {
        atomic_store(&kc->in_run, false);
        kvm_state_pull(kc);
        accel_cpu_park(cpu);
        ioctl(kc->fd, KVM_KVMCLOCK_CTRL); /* the guest's watchdogs hear of it, if it has KVM's clock */
        return false;
    }
    if (atomic_load(&cpu->halted) && !waits_in_kernel(kc)) {
        if (!has_work(kc)) {
            atomic_store(&kc->in_run, false);
            wait_for_work(kc);
            return false;
        }
        atomic_store(&cpu->halted, false);
    }
    service(kc);
    return !atomic_load(&cpu->halted) || waits_in_kernel(kc);
}

/* ---- exits ---- */

static void port_access(KvmCpu *kc)
{
    struct kvm_run *run = kc->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    AddressSpace *ports = kc->cpu->ports;

    for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
        uint32_t value = 0;

        if (run->io.direction == KVM_EXIT_IO_OUT) {
            memcpy(&value, data, run->io.size);
            memory_store(ports, run->io.port, value, run->io.size);
        } else {
            value = memory_load(ports, run->io.port, run->io.size);
            memcpy(data, &value, run->io.size);
        }
    }
}

static void memory_access(KvmCpu *kc)
{
    struct kvm_run *run = kc->run;

    if (run->mmio.is_write) {
        memory_write(kc->cpu->memory, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
    } else {
        memory_read(kc->cpu->memory, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
    }
}

static void triple_fault(KvmCpu *kc)
{
    kvm_state_pull(kc);
    x86_state(kc->cpu)->shut_down = true;
    atomic_store(&kc->cpu->halted, true);
    machine_request_reset(SHUTDOWN_GUEST);
}

static void handle_exit(KvmCpu *kc)
{
    struct kvm_run *run = kc->run;

    kvm_flush_coalesced();
    kc->io_unfinished = run->exit_reason == KVM_EXIT_IO || run->exit_reason == KVM_EXIT_MMIO;
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        port_access(kc);
        break;
    case KVM_EXIT_MMIO:
        memory_access(kc);
        break;
    case KVM_EXIT_HLT:
        atomic_store(&kc->cpu->halted, true);
        break;
    case KVM_EXIT_IOAPIC_EOI:
        machine_lock();
        kc->cpu->intc->ended(kc->cpu->intc_opaque, run->eoi.vector);
        machine_unlock();
        break;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_INTR:
    case KVM_EXIT_SET_TPR:
        break;
    case KVM_EXIT_SHUTDOWN:
        triple_fault(kc);
        break;
    case KVM_EXIT_DEBUG:
        kvm_debug_exit(kc);
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        kvm_fail_internal(kc);
        break;
    case KVM_EXIT_FAIL_ENTRY:
        kvm_fail_entry(kc);
        break;
    case KVM_EXIT_DIRTY_RING_FULL:
        machine_lock();
        kvm_ring_collect();
        machine_unlock();
        break;
    default:
        kvm_fail_unknown(kc);
    }
}

/* The guest's own priority and APIC base, which instructions change without an exit. */
static void take_apic_registers(KvmCpu *kc)
{
    Cpu *cpu = kc->cpu;
    const CpuIntc *intc = cpu->intc;

    if (!intc) {
        return;
    }
    if (intc->get_tpr && (kc->run->cr8 & 15) != intc->get_tpr(cpu->intc_opaque)) {
        machine_lock();
        intc->set_tpr(cpu->intc_opaque, kc->run->cr8 & 15);
        machine_unlock();
    }
    if (intc->get_base && kc->run->apic_base != intc->get_base(cpu->intc_opaque)) {
        machine_lock();
        intc->set_base(cpu->intc_opaque, kc->run->apic_base);
        machine_unlock();
    }
}

static void run_guest(KvmCpu *kc)
{
    Cpu *cpu = kc->cpu;
    int result;

    kvm_state_push(kc);
    if (kc->guest_debug_changed) {
        kvm_debug_apply(kc);
    }
    if (kvm.chips == CHIPS_OFF && cpu->intc && cpu->intc->get_tpr) {
        kc->run->cr8 = cpu->intc->get_tpr(cpu->intc_opaque);
    }
    result = ioctl(kc->fd, KVM_RUN, 0);
    atomic_store(&kc->in_run, false);
    cpu->exits++;
    kc->io_unfinished = false;
    if (result < 0 && errno != EINTR && errno != EAGAIN) {
        kvm_fail_run(kc, errno);
        return;
    }
    if (kvm.chips == CHIPS_OFF) {
        take_apic_registers(kc);
    }
    if (result >= 0) {
        handle_exit(kc);
    }
}

void *kvm_cpu_thread(void *opaque)
{
    KvmCpu *kc = opaque;

    kc->thread_id = pthread_self();
    cpu_set_current(kc->cpu);
    for (;;) {
        if (attend(kc)) {
            run_guest(kc);
        } else if (accel_cpu_leaves(kc->cpu)) {
            break;
        }
    }
    return NULL;
}
