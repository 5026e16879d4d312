/* Debuggers under KVM: breakpoints as INT3 in guest memory, watchpoints and steps by the kernel's guest debugging. */
#include "accel/kvm/internal.h"

#include "core/lock.h"
#include "target/x86/system.h"
#include "util/log.h"

#include <errno.h>
#include <sys/ioctl.h>

enum { INT3 = 0xcc, WATCHES = 4 };

typedef struct Breakpoint {
    VirtAddr addr;
    uint8_t saved;
} Breakpoint;

static GArray *breakpoints; /* of Breakpoint; under the machine lock */

static Breakpoint *find_breakpoint(VirtAddr addr)
{
    for (guint i = 0; breakpoints && i < breakpoints->len; i++) {
        Breakpoint *b = &g_array_index(breakpoints, Breakpoint, i);

        if (b->addr == addr) {
            return b;
        }
    }
    return NULL;
}

static void changed(void)
{
    for (int i = 0; i < cpu_count(); i++) {
        kvm_cpu(cpu_get(i))->guest_debug_changed = true;
        cpu_request(cpu_get(i), CPU_REQ_EXIT);
    }
}

bool kvm_insert_breakpoint(Cpu *cpu, VirtAddr addr)
{
    Breakpoint b = { .addr = addr };
    const uint8_t code = INT3;

    if (find_breakpoint(addr)) {
        return true;
    }
    if (!kvm.guest_debug || !accel_debug_read(cpu, addr, &b.saved, 1) || !accel_debug_write(cpu, addr, &code, 1)) {
        return false;
    }
    if (!breakpoints) {
        breakpoints = g_array_new(FALSE, FALSE, sizeof(Breakpoint));
    }
    g_array_append_val(breakpoints, b);
    changed();
    return true;
}

bool kvm_remove_breakpoint(Cpu *cpu, VirtAddr addr)
{
    Breakpoint *b = find_breakpoint(addr);

    if (!b) {
        return false;
    }
    accel_debug_write(cpu, addr, &b->saved, 1);
    g_array_remove_index_fast(breakpoints, b - &g_array_index(breakpoints, Breakpoint, 0));
    changed();
    return true;
}

bool kvm_insert_watchpoint(Cpu *cpu, VirtAddr addr, VirtAddr size, bool on_read, bool on_write)
{
    KvmWatch watch = { addr, size, on_read, on_write };
    GArray *all = kvm_cpu(cpu)->watchpoints;

    if (!kvm.guest_debug || all->len == WATCHES || !size || size > 8 || (size & (size - 1)) || addr % size) {
        return false;
    }
    g_array_append_val(all, watch);
    changed();
    return true;
}

bool kvm_remove_watchpoint(Cpu *cpu, VirtAddr addr, VirtAddr size, bool on_read, bool on_write)
{
    GArray *all = kvm_cpu(cpu)->watchpoints;

    for (guint i = 0; i < all->len; i++) {
        KvmWatch *w = &g_array_index(all, KvmWatch, i);

        if (w->addr == addr && w->size == size && w->on_read == on_read && w->on_write == on_write) {
            g_array_remove_index(all, i);
            changed();
            return true;
        }
    }
    return false;
}

void kvm_set_single_step(Cpu *cpu, bool on)
{
    KvmCpu *kc = kvm_cpu(cpu);

    atomic_store(&kc->single_step, on);
    kc->guest_debug_changed = true;
}

bool kvm_debug_in_use(void)
{
    bool used = breakpoints && breakpoints->len;

    for (int i = 0; i < cpu_count(); i++) {
        used |= kvm_cpu(cpu_get(i))->watchpoints->len > 0;
    }
    return used;
}

/* DR7: enable bits 2n, read/write kind at 16 + 4n, length behind it (SDM vol. 3, 18.2.4). */
static uint64_t debug_control(const GArray *watchpoints)
{
    static const uint8_t length_codes[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };
    uint64_t control = 0x400;

    for (guint i = 0; i < watchpoints->len; i++) {
        const KvmWatch *w = &g_array_index(watchpoints, KvmWatch, i);
        uint64_t kind = w->on_read ? 3 : 1;

        control |= UINT64_C(2) << (2 * i) | (kind | (uint64_t)length_codes[w->size] << 2) << (16 + 4 * i);
    }
    return control;
}

void kvm_debug_apply(KvmCpu *kc)
{
    struct kvm_guest_debug debug = { 0 };

    kc->guest_debug_changed = false;
    if (!kvm.guest_debug) {
        return;
    }
    if (breakpoints && breakpoints->len) {
        debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
    }
    if (atomic_load(&kc->single_step)) {
        debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
    }
    if (kc->watchpoints->len) {
        debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
        for (guint i = 0; i < kc->watchpoints->len; i++) {
            debug.arch.debugreg[i] = g_array_index(kc->watchpoints, KvmWatch, i).addr;
        }
        debug.arch.debugreg[7] = debug_control(kc->watchpoints);
    }
    if (ioctl(kc->fd, KVM_SET_GUEST_DEBUG, &debug) < 0) {
        log_error("KVM: cannot set debugging: %s", g_strerror(errno));
    }
}

static void stop(KvmCpu *kc, DebugStop why, VirtAddr addr)
{
    kvm_state_pull(kc);
    if (accel_debug_stop_fn) {
        machine_lock();
        accel_debug_stop_fn(kc->cpu, why, addr);
        machine_unlock();
    }
}

/* Traps of the guest's own are given back to it. */
static void reinject(KvmCpu *kc, int vector)
{
    X86State *s = x86_state(kc->cpu);

    kvm_state_pull(kc);
    s->exception = (X86Exception){ .vector = vector };
}

void kvm_debug_exit(KvmCpu *kc)
{
    const struct kvm_debug_exit_arch *arch = &kc->run->debug.arch;

    if (arch->exception == EXC_BP) {
        if (find_breakpoint(arch->pc)) {
            stop(kc, DEBUG_BREAKPOINT, arch->pc);
        } else {
            reinject(kc, EXC_BP);
        }
        return;
    }
    for (guint i = 0; i < kc->watchpoints->len; i++) {
        const KvmWatch *w = &g_array_index(kc->watchpoints, KvmWatch, i);

        if (arch->dr6 >> i & 1) {
            stop(kc, w->on_read && w->on_write ? DEBUG_WATCH_ACCESS : w->on_read ? DEBUG_WATCH_READ : DEBUG_WATCH_WRITE,
                 w->addr);
            return;
        }
    }
    if (atomic_load(&kc->single_step)) {
        stop(kc, DEBUG_STEP, arch->pc);
    } else {
        reinject(kc, EXC_DB);
    }
}
