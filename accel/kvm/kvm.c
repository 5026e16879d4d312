/* KVM as an engine: what the host's kernel offers, options, the virtual machine and its vCPUs. */
#include "accel/kvm/internal.h"

#include "core/machine.h"
#include "target/x86/system.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEVICE "/dev/kvm"

/* Three pages below the firmware's 256 KiB, which Intel's real mode support wants; no RAM is ever there. */
#define IDENTITY_MAP UINT64_C(0xfeffc000)
#define TSS_PAGES    UINT64_C(0xfeffd000)

Kvm kvm = { .fd = -1, .vm = -1 };

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
    int result;

    do {
        result = ioctl(fd, request, arg);
    } while (result < 0 && errno == EINTR);
    return result;
}

static int capability(int cap)
{
    int value = ioctl(kvm.vm >= 0 ? kvm.vm : kvm.fd, KVM_CHECK_EXTENSION, cap);

    return MAX(value, 0);
}

/* Opens the device once. NULL, or why it cannot be used and what to do about it; the caller frees. */
static char *open_device(void)
{
    int version;

    if (kvm.fd >= 0) {
        return NULL;
    }
    kvm.fd = open(DEVICE, O_RDWR | O_CLOEXEC);
    if (kvm.fd < 0) {
        switch (errno) {
        case ENOENT:
            return g_strdup(DEVICE " does not exist: the kernel has no KVM, or its module (kvm_intel, kvm_amd) "
                            "is not loaded because the processor's VT/SVM is absent or switched off in the firmware");
        case EACCES:
        case EPERM:
            return g_strdup(DEVICE ": permission denied, add yourself to group kvm ('adduser USER kvm', "
                            "then log in again)");
        default:
            return g_strdup_printf(DEVICE ": %s", g_strerror(errno));
        }
    }
    version = ioctl(kvm.fd, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION) {
        close(kvm.fd);
        kvm.fd = -1;
        return version < 0 ? g_strdup(DEVICE " does not answer as KVM does")
                           : g_strdup_printf("the kernel's KVM speaks version %d of its interface, not %d", version,
                                             KVM_API_VERSION);
    }
    return NULL;
}

/* Without these nothing works. */
static char *missing_capability(void)
{
    static const struct {
        int cap;
        const char *name;
    } needed[] = {
        { KVM_CAP_USER_MEMORY, "user memory" }, { KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
        { KVM_CAP_EXT_CPUID, "CPUID" }, { KVM_CAP_VCPU_EVENTS, "vCPU events" },
        { KVM_CAP_SET_TSS_ADDR, "TSS address" }, { KVM_CAP_XSAVE, "XSAVE" },
        { KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "removal of memory" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(needed); i++) {
        if (!capability(needed[i].cap)) {
            return g_strdup_printf("the kernel's KVM is too old: it lacks '%s' (Linux 4.13 has it)", needed[i].name);
        }
    }
    return NULL;
}

static bool kvm_available(char **why_not)
{
    *why_not = open_device();
    if (!*why_not) {
        *why_not = missing_capability();
    }
    return !*why_not;
}

static bool chips_exist(KvmChips chips)
{
    switch (chips) {
    case CHIPS_ON:
        return capability(KVM_CAP_IRQCHIP) && capability(KVM_CAP_PIT2) && capability(KVM_CAP_PIT_STATE2) &&
               capability(KVM_CAP_IRQ_ROUTING) && capability(KVM_CAP_SIGNAL_MSI) && capability(KVM_CAP_MP_STATE);
    case CHIPS_SPLIT:
        return capability(KVM_CAP_SPLIT_IRQCHIP) && capability(KVM_CAP_SIGNAL_MSI) && capability(KVM_CAP_MP_STATE);
    default:
        return true;
    }
}

/* The value of kernel-irqchip=; NULL: on if the kernel can. */
static bool choose_chips(const char *value, GError **error)
{
    static const char *const names[] = { [CHIPS_OFF] = "off", [CHIPS_SPLIT] = "split", [CHIPS_ON] = "on" };

    if (!value) {
        kvm.chips = chips_exist(CHIPS_ON) ? CHIPS_ON : CHIPS_OFF;
        return true;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(value, names[i])) {
            if (!chips_exist(i)) {
                g_set_error(error, VM_ERROR, VM_ERROR_USER, "kernel-irqchip=%s: this kernel's KVM lacks it; use "
                            "kernel-irqchip=off", value);
                return false;
            }
            kvm.chips = i;
            return true;
        }
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "kernel-irqchip=%s: there are on, split and off", value);
    return false;
}

static bool parse_ring(const char *value, GError **error)
{
    char *end;
    guint64 n = g_ascii_strtoull(value, &end, 0);

    if (end == value || *end || (n & (n - 1)) || n > 65536 || (n && n < 1024)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-accel kvm: dirty-ring-size=%s is not 0 or a power of two from 1024 "
                    "to 65536", value);
        return false;
    }
    kvm.dirty_ring = n;
    return true;
}

static bool parse_options(const char *text, GError **error)
{
    g_auto(GStrv) items = g_strsplit(text ? text : "", ",", -1);
    const char *chips = machine_config.kernel_irqchip;

    for (int i = 0; items[i]; i++) {
        char *value = strchr(items[i], '=');

        if (!*items[i]) {
            continue;
        }
        if (value) {
            *value++ = 0;
        }
        g_strdelimit(items[i], "_", '-');
        if (value && !strcmp(items[i], "kernel-irqchip")) {
            chips = value;
        } else if (value && !strcmp(items[i], "dirty-ring-size")) {
            if (!parse_ring(value, error)) {
                return false;
            }
        } else {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "-accel kvm: no option '%s' (there are "
                        "kernel-irqchip=on|split|off and dirty-ring-size=N)", items[i]);
            return false;
        }
    }
    return choose_chips(chips, error) && kvm_ring_enable(error);
}

static bool host_error(GError **error, const char *what)
{
    g_set_error(error, VM_ERROR, VM_ERROR_HOST, "KVM: %s: %s", what, g_strerror(errno));
    return false;
}

static bool make_vm(GError **error)
{
    uint64_t identity = IDENTITY_MAP;

    kvm.vm = kvm_ioctl(kvm.fd, KVM_CREATE_VM, NULL);
    if (kvm.vm < 0) {
        return host_error(error, errno == EBUSY ? "cannot create a virtual machine (another hypervisor, such as "
                                                  "VirtualBox, may hold VT/SVM)"
                                                : "cannot create a virtual machine");
    }
    if (capability(KVM_CAP_SET_IDENTITY_MAP_ADDR)) {
        ioctl(kvm.vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    }
    if (ioctl(kvm.vm, KVM_SET_TSS_ADDR, (unsigned long)TSS_PAGES) < 0) {
        return host_error(error, "cannot place the task state segment");
    }
    kvm.run_size = ioctl(kvm.fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (kvm.run_size < (int)sizeof(struct kvm_run)) {
        return host_error(error, "cannot learn the size of a vCPU's mapping");
    }
    kvm.max_cpus = capability(KVM_CAP_MAX_VCPUS) ? capability(KVM_CAP_MAX_VCPUS) : MAX(capability(KVM_CAP_NR_VCPUS), 4);
    kvm.max_slots = MAX(capability(KVM_CAP_NR_MEMSLOTS), 32);
    kvm.readonly_memory = capability(KVM_CAP_READONLY_MEM);
    kvm.sregs2 = capability(KVM_CAP_SREGS2);
    kvm.xcrs = capability(KVM_CAP_XCRS);
    kvm.deadline_timer = capability(KVM_CAP_TSC_DEADLINE_TIMER);
    kvm.ioeventfd = capability(KVM_CAP_IOEVENTFD);
    kvm.irqfd = capability(KVM_CAP_IRQFD);
    kvm.max_routes = capability(KVM_CAP_IRQ_ROUTING);
    kvm.any_length = capability(KVM_CAP_IOEVENTFD_ANY_LENGTH);
    kvm.adjust_clock = capability(KVM_CAP_ADJUST_CLOCK);
    kvm.tsc_offset = capability(KVM_CAP_VCPU_ATTRIBUTES);
    kvm.debugregs = capability(KVM_CAP_DEBUGREGS);
    kvm.guest_debug = capability(KVM_CAP_SET_GUEST_DEBUG);
    kvm.xsave_size = capability(KVM_CAP_XSAVE2);
    kvm.ring_page = capability(KVM_CAP_COALESCED_MMIO);
    return true;
}

static bool kvm_init(const char *options, GError **error)
{
    if (!make_vm(error) || !parse_options(options, error) || !kvm_state_init(error) || !kvm_cpuid_init(error)) {
        return false;
    }
    kvm_install_kick_signal();
    if (kvm.ioeventfd) {
        memory_want_doorbells();
    }
    return true;
}

/* A board without local APICs has nothing that the kernel's could stand in for. */
static bool make_chips(Cpu *cpu, GError **error)
{
    static bool made;

    if (made) {
        return true;
    }
    made = true;
    if (!cpu->intc || !cpu->intc->get_base) {
        kvm.chips = CHIPS_OFF;
    }
    return kvm_irqchip_make(error);
}

static bool fits(GError **error)
{
    if (machine_config.smm) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "the machine has system management mode, which KVM does not go on with: "
                    "start it with -machine smm=off");
        return false;
    }
    for (int i = 0; i < cpu_count(); i++) {
        Cpu *cpu = cpu_get(i);
        g_autofree char *lacks = cpu->type->lacks(cpu, true);

        if (lacks) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "KVM here lacks what the guest's CPU has: %s (start without, as "
                        "-cpu default,-NAME)", lacks);
            return false;
        }
    }
    return true;
}

static void enter(void)
{
    x86_models_follow_host(true);
    kvm_memory_enter();
    kvm_irqchip_run(machine_state() == RUN_RUNNING);
}

static bool may_leave(GError **error)
{
    if (kvm_debug_in_use()) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "a debugger has breakpoints or watchpoints in KVM: remove them");
        return false;
    }
    return true;
}

static void leave(void)
{
    kvm_memory_leave();
    kvm_irqchip_leave();
    x86_models_follow_host(false);
}

/* Its descriptor and what comes with it, which last. */
static bool make_cpu(Cpu *cpu, GError **error)
{
    KvmCpu *kc = g_new0(KvmCpu, 1);

    if (cpu->index >= kvm.max_cpus) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "this kernel's KVM runs at most %d vCPUs a machine, not %d: use -smp %d, "
                    "or -accel tcg", kvm.max_cpus, cpu_count(), kvm.max_cpus);
        return false;
    }
    if (!make_chips(cpu, error)) {
        return false;
    }
    kc->cpu = cpu;
    kc->fd = ioctl(kvm.vm, KVM_CREATE_VCPU, (unsigned long)x86_state(cpu)->apic_id);
    if (kc->fd < 0) {
        return host_error(error, "cannot create a vCPU");
    }
    kc->run = mmap(NULL, kvm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, kc->fd, 0);
    if (kc->run == MAP_FAILED) {
        return host_error(error, "cannot map a vCPU");
    }
    if (kvm.ring_page && !kvm.ring) {
        kvm.ring = (void *)((char *)kc->run + kvm.ring_page * sysconf(_SC_PAGESIZE));
    }
    kc->watchpoints = g_array_new(FALSE, FALSE, sizeof(KvmWatch));
    cpu->engine = kc;
    return kvm_ring_map(kc, error) && kvm_cpuid_set(kc, error);
}

static bool start_cpu(Cpu *cpu, GError **error)
{
    if (x86_state(cpu)->svm.guest) { /* the translator's: the kernel is told nothing of that world */
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "vCPU %d runs a virtual machine of its guest, which KVM cannot carry on: "
                    "try again later", cpu->index);
        return false;
    }
    if (!cpu->engine && !make_cpu(cpu, error)) {
        return false;
    }
    accel_cpu_add(cpu);
    cpu->kick = kvm_kick;
    cpu->sync_registers = kvm_sync_registers;
    cpu->thread = g_thread_try_new("vcpu", kvm_cpu_thread, cpu->engine, error);
    if (cpu->thread && cpu->index == cpu_count() - 1) {
        irqchip_switch(kvm_irqchip_ops());
    }
    return cpu->thread != NULL;
}

static char *describe(void)
{
    static const char *const chips[] = { [CHIPS_OFF] = "off", [CHIPS_SPLIT] = "split", [CHIPS_ON] = "on" };
    g_autofree char *log = kvm.dirty_ring ? g_strdup_printf("rings of %d", kvm.dirty_ring) : g_strdup("bitmaps");

    return g_strdup_printf("KVM, no translation\nkernel-irqchip %s, read-only memory %s, coalesced MMIO %s, dirty log in %s, "
                           "up to %d vCPUs\n", chips[kvm.chips], kvm.readonly_memory ? "yes" : "no",
                           kvm.ring ? "yes" : "no", log, kvm.max_cpus);
}

const AccelOps kvm_accel_ops = {
    .name = "kvm",
    .about = "runs guest code on the host's processor",
    .init = kvm_init,
    .available = kvm_available,
    .start_cpu = start_cpu,
    .fits = fits,
    .may_leave = may_leave,
    .leave = leave,
    .enter = enter,
    .run_on_cpu = accel_cpu_run,
    .describe = describe,
    .insert_breakpoint = kvm_insert_breakpoint,
    .remove_breakpoint = kvm_remove_breakpoint,
    .insert_watchpoint = kvm_insert_watchpoint,
    .remove_watchpoint = kvm_remove_watchpoint,
    .set_single_step = kvm_set_single_step,
};
