/*
 * The kernel's interrupt controllers and timer: kernel-irqchip=on (all of them) and split (local APICs only).
 *
 * They are made with the first vCPU and take over what the devices have when the last is there.
 */
#include "accel/kvm/internal.h"

#include "core/clock.h"
#include "core/machine.h"
#include "target/x86/cpu.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

enum { PINS = KVM_PINS, PIC_PINS = KVM_FIXED_ROUTES - PINS, CASCADE = 2 };
enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0 };
enum { PIT_IDLE = 0xff }; /* mode of a channel that does nothing */

/* While the machine stands its timer is kept here, and the kernel's has nothing to do. */
static struct kvm_pit_state2 kept_pit;

/* Without all: what the pins of the I/O APIC send. */
static struct {
    uint64_t address;
    uint32_t data;
} pins[PINS];

static void complain(const char *what)
{
    log_error("KVM: cannot %s: %s", what, g_strerror(errno));
}

/* ---- routes ---- */

static struct kvm_irq_routing_entry *add_route(struct kvm_irq_routing *table, uint32_t gsi, uint32_t type)
{
    struct kvm_irq_routing_entry *entry = &table->entries[table->nr++];

    entry->gsi = gsi;
    entry->type = type;
    return entry;
}

static void add_chip_route(struct kvm_irq_routing *table, uint32_t gsi, uint32_t chip, uint32_t pin)
{
    struct kvm_irq_routing_entry *entry = add_route(table, gsi, KVM_IRQ_ROUTING_IRQCHIP);

    entry->u.irqchip.irqchip = chip;
    entry->u.irqchip.pin = pin;
}

/* A PC's wiring: the timer, interrupt 0, is on input 2 of the I/O APIC. */
static void add_wires(struct kvm_irq_routing *table)
{
    for (uint32_t gsi = 0; gsi < PINS; gsi++) {
        if (gsi < PIC_PINS && gsi != CASCADE) {
            add_chip_route(table, gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, gsi & 7);
        }
        add_chip_route(table, gsi, KVM_IRQCHIP_IOAPIC, gsi == 0 ? 2 : gsi == 2 ? 0 : gsi);
    }
}

void kvm_add_message_route(struct kvm_irq_routing *table, uint32_t gsi, uint64_t address, uint32_t data)
{
    struct kvm_irq_routing_entry *entry = add_route(table, gsi, KVM_IRQ_ROUTING_MSI);

    entry->u.msi.address_lo = address;
    entry->u.msi.address_hi = address >> 32;
    entry->u.msi.data = data;
}

static void add_pins(struct kvm_irq_routing *table)
{
    for (uint32_t pin = 0; pin < PINS; pin++) {
        if (pins[pin].address) {
            kvm_add_message_route(table, pin, pins[pin].address, pins[pin].data);
        }
    }
}

bool kvm_set_routes(void)
{
    g_autofree struct kvm_irq_routing *table =
        g_malloc0(sizeof(*table) + (KVM_FIXED_ROUTES + kvm_irqfd_count()) * sizeof(struct kvm_irq_routing_entry));

    if (kvm.chips == CHIPS_ON) {
        add_wires(table);
    } else {
        add_pins(table);
    }
    kvm_irqfd_add_routes(table);
    return ioctl(kvm.vm, KVM_SET_GSI_ROUTING, table) >= 0;
}

static void route_pin(int pin, uint64_t address, uint32_t data)
{
    if (pins[pin].address != address || pins[pin].data != data) {
        pins[pin].address = address;
        pins[pin].data = data;
        if (!kvm_set_routes()) {
            complain("route an input of the I/O APIC");
        }
    }
}

/* ---- what devices send ---- */

static void set_line(int gsi, bool level)
{
    struct kvm_irq_level line = { .irq = gsi, .level = level };

    if (ioctl(kvm.vm, KVM_IRQ_LINE, &line) < 0) {
        complain("drive an interrupt line");
    }
}

static void send_msi(uint64_t address, uint32_t data)
{
    struct kvm_msi msi = { .address_lo = address, .address_hi = address >> 32, .data = data };

    /* 0: no APIC has that address, or it is blocked, which is the guest's affair */
    if (ioctl(kvm.vm, KVM_SIGNAL_MSI, &msi) < 0) {
        trace("kvm_msi", "address %" G_GINT64_MODIFIER "x data %x: %s", address, data, g_strerror(errno));
    }
}

/* ---- state ---- */


/* Of the kernel's count_load_time. */
static int64_t monotonic(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

/* Between a time and an age: it is its own inverse. */
static void turn_times(struct kvm_pit_state2 *pit)
{
    int64_t now = monotonic();

    for (unsigned i = 0; i < G_N_ELEMENTS(pit->channels); i++) {
        pit->channels[i].count_load_time = now - pit->channels[i].count_load_time;
    }
}

static void read_pit(struct kvm_pit_state2 *pit)
{
    if (ioctl(kvm.vm, KVM_GET_PIT2, pit) < 0) {
        complain("read the timer");
    }
    turn_times(pit);
}

static void write_pit(const struct kvm_pit_state2 *wanted)
{
    struct kvm_pit_state2 pit = *wanted;

    turn_times(&pit);
    if (ioctl(kvm.vm, KVM_SET_PIT2, &pit) < 0) {
        complain("write the timer");
    }
}

static void stop_pit(void)
{
    struct kvm_pit_state2 idle = kept_pit;

    idle.channels[0].mode = PIT_IDLE;
    write_pit(&idle);
}

static bool stands(void)
{
    return machine_state() != RUN_RUNNING;
}

static void transfer_chip(IrqchipPart part, void *state, bool write)
{
    static const uint32_t ids[] = {
        [IRQCHIP_PIC_MASTER] = KVM_IRQCHIP_PIC_MASTER, [IRQCHIP_PIC_SLAVE] = KVM_IRQCHIP_PIC_SLAVE,
        [IRQCHIP_IOAPIC] = KVM_IRQCHIP_IOAPIC,
    };
    struct kvm_irqchip chip = { .chip_id = ids[part] };
    size_t size = part == IRQCHIP_IOAPIC ? sizeof(chip.chip.ioapic) : sizeof(chip.chip.pic);

    if (write) {
        memcpy(&chip.chip, state, size);
    }
    if (ioctl(kvm.vm, write ? KVM_SET_IRQCHIP : KVM_GET_IRQCHIP, &chip) < 0) {
        complain(write ? "write an interrupt controller" : "read an interrupt controller");
    }
    if (!write) {
        memcpy(state, &chip.chip, size);
    }
}

static void get_state(IrqchipPart part, void *state)
{
    if (part != IRQCHIP_PIT) {
        transfer_chip(part, state, false);
    } else if (stands()) {
        memcpy(state, &kept_pit, sizeof(kept_pit));
    } else {
        read_pit(state);
    }
}

static void set_state(IrqchipPart part, void *state)
{
    if (part != IRQCHIP_PIT) {
        transfer_chip(part, state, true);
    } else if (stands()) {
        memcpy(&kept_pit, state, sizeof(kept_pit));
    } else {
        write_pit(state);
    }
}

/* ---- local APICs ---- */

typedef struct ApicTransfer {
    ApicPage *in;
    const ApicPage *out;
} ApicTransfer;

static void complain_of_cpu(Cpu *cpu, const char *what)
{
    log_error("KVM: cpu %d: cannot %s: %s", cpu->index, what, g_strerror(errno));
}

static void transfer_apic(Cpu *cpu, void *data)
{
    const ApicTransfer *t = data;
    KvmCpu *kc = kvm_cpu(cpu);
    struct kvm_lapic_state regs;

    G_STATIC_ASSERT(sizeof(regs) == sizeof(t->in->regs));
    if (t->out) {
        memcpy(&regs, t->out->regs, sizeof(regs));
        kvm_set_msr(kc, MSR_APIC_BASE, t->out->base);
        if (ioctl(kc->fd, KVM_SET_LAPIC, &regs) < 0) {
            complain_of_cpu(cpu, "write the local APIC");
        }
        kc->deadline = t->out->deadline;
        kc->deadline_waits = true; /* for the time stamp counter */
    } else {
        if (ioctl(kc->fd, KVM_GET_LAPIC, &regs) < 0) {
            complain_of_cpu(cpu, "read the local APIC");
        }
        memcpy(t->in->regs, &regs, sizeof(regs));
        t->in->base = kvm_get_msr(kc, MSR_APIC_BASE);
        t->in->deadline = kc->deadline_waits ? kc->deadline : kvm_get_msr(kc, MSR_TSC_DEADLINE);
    }
}

/* A vCPU that runs is asked in its own thread. */
static void on_cpu(Cpu *cpu, ApicTransfer *t)
{
    if (cpu->stopped) {
        transfer_apic(cpu, t);
    } else {
        accel_cpu_run(cpu, transfer_apic, t);
    }
}

static void get_apic(Cpu *cpu, ApicPage *page)
{
    on_cpu(cpu, &(ApicTransfer){ .in = page });
}

static void set_apic(Cpu *cpu, const ApicPage *page)
{
    on_cpu(cpu, &(ApicTransfer){ .out = page });
}

void kvm_irqchip_push_deadline(KvmCpu *kc)
{
    if (kc->deadline_waits) {
        kc->deadline_waits = false;
        if (kc->deadline) {
            kvm_set_msr(kc, MSR_TSC_DEADLINE, kc->deadline);
        }
    }
}

/* ---- making them ---- */

static const IrqchipOps split_ops = {
    .set_line = set_line,
    .send_msi = send_msi,
    .route_pin = route_pin,
    .connect = kvm_irqfd_connect,
    .disconnect = kvm_irqfd_disconnect,
    .get = get_state,
    .set = set_state,
    .get_apic = get_apic,
    .set_apic = set_apic,
};

static const IrqchipOps all_ops = {
    .all = true,
    .set_line = set_line,
    .send_msi = send_msi,
    .connect = kvm_irqfd_connect,
    .disconnect = kvm_irqfd_disconnect,
    .get = get_state,
    .set = set_state,
    .get_apic = get_apic,
    .set_apic = set_apic,
};

/* The kernel's time is the machine's: it stands when that stands. X86State.kvm_clock is what it is ahead of the guest's. */
static void start_clock(void)
{
    struct kvm_clock_data clock = { .clock = clock_now(CLOCK_GUEST) + x86_state(cpu_get(0))->kvm_clock };

    if (kvm.adjust_clock) {
        ioctl(kvm.vm, KVM_SET_CLOCK, &clock);
    }
}

static void stop_clock(void)
{
    struct kvm_clock_data clock = { 0 };

    if (kvm.adjust_clock && ioctl(kvm.vm, KVM_GET_CLOCK, &clock) == 0) {
        x86_state(cpu_get(0))->kvm_clock = clock.clock - clock_now(CLOCK_GUEST);
    }
}

static bool runs, has_pit;

void kvm_irqchip_run(bool run)
{
    if (run == runs) {
        return;
    }
    runs = run;
    if (run) {
        start_clock();
        if (has_pit) {
            write_pit(&kept_pit);
        }
    } else {
        stop_clock();
        if (has_pit) {
            read_pit(&kept_pit);
            stop_pit();
        }
    }
}

static void state_changed(void *opaque, RunState state)
{
    if (accel == &kvm_accel_ops) {
        kvm_irqchip_run(state == RUN_RUNNING);
    }
}

/* Another engine has the state now: no timer of the kernel's runs on. */
void kvm_irqchip_leave(void)
{
    struct kvm_lapic_state idle = { 0 };

    kvm_irqchip_run(false);
    for (int i = 0; i < cpu_count() && kvm.chips != CHIPS_OFF; i++) {
        ioctl(kvm_cpu(cpu_get(i))->fd, KVM_SET_LAPIC, &idle);
    }
}

static bool cannot(GError **error, const char *what)
{
    g_set_error(error, VM_ERROR, VM_ERROR_HOST, "KVM: cannot %s: %s (kernel-irqchip=off does without)", what,
                g_strerror(errno));
    return false;
}

static bool make_all(GError **error)
{
    struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

    if (ioctl(kvm.vm, KVM_CREATE_IRQCHIP, 0) < 0) {
        return cannot(error, "make the kernel's interrupt controllers");
    }
    if (ioctl(kvm.vm, KVM_CREATE_PIT2, &pit) < 0) {
        return cannot(error, "make the kernel's timer");
    }
    has_pit = true;
    return kvm_set_routes() || cannot(error, "route interrupts");
}

static bool make_split(GError **error)
{
    struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = PINS };

    return ioctl(kvm.vm, KVM_ENABLE_CAP, &split) >= 0 || cannot(error, "make the kernel's local APICs");
}

bool kvm_irqchip_make(GError **error)
{
    struct kvm_enable_cap wide = {
        .cap = KVM_CAP_X2APIC_API,
        .args[0] = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK,
    };

    machine_on_state(state_changed, NULL);
    if (kvm.chips == CHIPS_OFF) {
        return true;
    }
    if (!(kvm.chips == CHIPS_ON ? make_all(error) : make_split(error))) {
        return false;
    }
    ioctl(kvm.vm, KVM_ENABLE_CAP, &wide); /* refused by old kernels, whose identifiers have 8 bits */
    return true;
}

const IrqchipOps *kvm_irqchip_ops(void)
{
    return kvm.chips == CHIPS_ON ? &all_ops : kvm.chips == CHIPS_SPLIT ? &split_ops : NULL;
}
