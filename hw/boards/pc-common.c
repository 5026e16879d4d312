/* What the PC boards share: memory, processors and the chips of an AT. */
#include "hw/boards/pc.h"

#include "core/clock.h"
#include "hw/boards/vmport.h"
#include "hw/dma/i8237.h"
#include "hw/intr/apic.h"
#include "hw/intr/i8259.h"
#include "hw/intr/ioapic.h"
#include "hw/isa/port92.h"
#include "hw/misc/pcspk.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/timer/hpet.h"
#include "hw/timer/i8254.h"
#include "hw/timer/mc146818.h"
#include "target/x86/cpu.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

#define FOUR_GIB  (UINT64_C(1) << 32)

bool pc_make_memory(Pc *pc, GError **error)
{
    uint64_t size = machine_config.ram_size;
    Region *low;

    if (size < 1024 * 1024) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "a PC needs at least 1 MiB of memory");
        return false;
    }
    pc->ram = region_new_ram("pc.ram", size, error);
    if (!pc->ram) {
        return false;
    }
    pc->low_ram = MIN(size, pc->chipset->low_ram_max);
    pc->high_ram = size - pc->low_ram;
    low = region_new_alias("ram-below-4g", pc->ram, 0, pc->low_ram);
    region_add(memory_system_root(), 0, low);
    if (pc->high_ram) {
        Region *high = region_new_alias("ram-above-4g", pc->ram, pc->low_ram, pc->high_ram);

        region_add(memory_system_root(), FOUR_GIB, high);
    }
    return true;
}

bool pc_make_cpus(Pc *pc, const BoardType *board, GError **error)
{
    const char *model = machine_config.cpu_model ? machine_config.cpu_model : board->cpu_default;

    for (int n = 0; n < machine_config.cpus; n++) {
        if (!cpu_new(&x86_cpu_type, model, n, error)) {
            return false;
        }
    }
    return true;
}

/* text: "name=value,...", or NULL. */
static bool set_properties(Device *dev, const char *text, GError **error)
{
    g_auto(GStrv) pairs = g_strsplit(text ? text : "", ",", -1);

    for (char **pair = pairs; *pair; pair++) {
        char *value = strchr(*pair, '=');

        if (value) {
            *value++ = '\0';
            if (!device_set_property(dev, *pair, value, error)) {
                return false;
            }
        }
    }
    return true;
}

/* A chip of the board. */
static Device *make_chip(const DeviceType *type, const char *id, Bus *bus, const char *properties,
                         GError **error)
{
    Device *dev = device_new(type, id);

    if (!set_properties(dev, properties, error) || !device_realize(dev, bus, error)) {
        device_free(dev);
        return NULL;
    }
    return dev;
}

bool pc_add(const char *name, Bus *bus, const char *properties, Device **made, GError **error)
{
    const DeviceType *type = device_type_find(name);
    Device *dev;

    if (made) {
        *made = NULL;
    }
    if (!type) {
        log_warn("this build has no device '%s'", name);
        return true;
    }
    dev = make_chip(type, NULL, bus, properties, error);
    if (made) {
        *made = dev;
    }
    return dev != NULL;
}

bool pc_make_pic(Pc *pc, GError **error)
{
    pc->pic_master = make_chip(&i8259_type, "pic0", NULL, "iobase=0x20,elcr=0x4d0", error);
    pc->pic_slave = pc->pic_master ? make_chip(&i8259_type, "pic1", NULL,
                                               "iobase=0xa0,elcr=0x4d1,master=off", error)
                                   : NULL;
    if (!pc->pic_slave) {
        return false;
    }
    i8259_cascade(pc->pic_master, pc->pic_slave);
    for (int n = 0; n < ISA_IRQS; n++) {
        pc->irqs[n] = i8259_input(n < 8 ? pc->pic_master : pc->pic_slave, n & 7);
    }
    pc->irqs[2] = NULL; /* the cascade */
    return true;
}

static void intr_changed(void *opaque, int n, bool level)
{
    if (level) {
        cpu_request(opaque, CPU_REQ_INTR);
    } else {
        cpu_clear_request(opaque, CPU_REQ_INTR);
    }
}

static int pic_acknowledge(void *opaque)
{
    return i8259_acknowledge(opaque);
}

/* Without local APICs the 8259 pair drives the INTR pin of the first processor. */
static const CpuIntc pic_intc = { .acknowledge = pic_acknowledge };

/* When the guest's time stamp counter will read `tsc`, on the guest's clock. */
static int64_t tsc_to_ns(Cpu *cpu, uint64_t tsc)
{
    int64_t ticks = tsc - x86_tsc(x86_state(cpu)), now = clock_now(CLOCK_GUEST);

    if (ticks <= 0) {
        return now;
    }
    /* A year is for ever, and keeps sums within 64 bits. */
    return now + MIN(mul_div(ticks, NS_PER_SECOND, x86_tsc_frequency()),
                     UINT64_C(365) * 86400 * NS_PER_SECOND);
}

static bool make_local_apic(Pc *pc, Cpu *cpu, GError **error)
{
    g_autofree char *id = g_strdup_printf("apic%d", cpu->index);
    Device *apic = device_new(&apic_type, id);

    apic_connect(apic, cpu, x86_state(cpu)->apic_id, tsc_to_ns);
    if (!device_realize(apic, NULL, error)) {
        return false;
    }
    apic_set_external(apic, i8259_acknowledge, pc->pic_master);
    cpu->intc = &apic_intc;
    cpu->intc_opaque = apic;
    if (cpu->index == 0) {
        i8259_connect(pc->pic_master, apic_lint(apic, 0));
    }
    return true;
}

/* A processor without an APIC cannot use one; several cannot do without. */
static bool wants_apic(const BoardType *board)
{
    const char *model = machine_config.cpu_model ? machine_config.cpu_model : board->cpu_default;

    return machine_config.cpus > 1 || !(strstr(model, ",-apic") || strstr(model, ",apic=off") ||
                                        strncmp(model, "486", 3) == 0);
}

/* Interrupts reach both kinds of controller; the timer is on pin 2 of the I/O APIC. */
bool pc_make_apics(Pc *pc, const BoardType *board, GError **error)
{
    if (!wants_apic(board)) {
        cpu_get(0)->intc = &pic_intc;
        cpu_get(0)->intc_opaque = pc->pic_master;
        i8259_connect(pc->pic_master, line_new(intr_changed, cpu_get(0), 0));
        return true;
    }
    for (int n = 0; cpu_get(n); n++) {
        if (!make_local_apic(pc, cpu_get(n), error)) {
            return false;
        }
    }
    region_add_overlap(memory_system_root(), APIC_BASE, apic_region(), 2);
    pc->ioapic = make_chip(&ioapic_type, "ioapic", NULL, NULL, error);
    if (!pc->ioapic) {
        return false;
    }
    ioapic_set_external(pc->ioapic, i8259_acknowledge, pc->pic_master);
    for (int n = 0; n < ISA_IRQS; n++) {
        if (pc->irqs[n]) {
            pc->irqs[n] = line_split(pc->irqs[n], ioapic_input(pc->ioapic, n == 0 ? 2 : n));
        }
    }
    return true;
}

void pc_share_irqs(Pc *pc, Line *pirqs[ISA_IRQS])
{
    for (int n = 0; n < ISA_IRQS; n++) {
        pirqs[n] = NULL;
        if (pc->irqs[n]) {
            Line **gate = line_or_gate(pc->irqs[n], 2);

            pirqs[n] = gate[0];
            pc->irqs[n] = gate[1];
        }
    }
}

/* Processors other than the one that flips the gate see it at their next start. */
static void a20_changed(void *opaque, int n, bool open)
{
    Cpu *self = cpu_current();

    for (int i = 0; cpu_get(i); i++) {
        if (cpu_get(i) == self || !self || cpu_get(i)->halted) {
            x86_set_a20(cpu_get(i), open);
        }
    }
}

/* Port F0: the numeric error is taken note of. */
static void fpu_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    if (cpu_current()) {
        x86_fp_ignne(cpu_current());
    }
}

static const RegionOps fpu_ops = { .write = fpu_write, .max_size = 1 };

static void timer_interrupt_ended(void *opaque)
{
    ticks_taken(opaque);
}

static void make_up_for_ticks(Pc *pc)
{
    pc->ticks = ticks_new(pc->irqs[0]);
    i8254_set_ticks(pc->pit, pc->ticks);
    i8259_on_end(pc->pic_master, 0, timer_interrupt_ended, pc->ticks);
    if (pc->ioapic) {
        ioapic_on_end(pc->ioapic, 2, timer_interrupt_ended, pc->ticks);
    }
}

bool pc_make_isa(Pc *pc, Device *owner, GError **error)
{
    Bus *bus;

    pc->dma = make_chip(&i8237_type, "dma", NULL, NULL, error);
    pc->pit = pc->dma ? make_chip(&i8254_type, "pit", NULL, NULL, error) : NULL;
    pc->rtc = pc->pit ? make_chip(&mc146818_type, "rtc", NULL, NULL, error) : NULL;
    pc->speaker = pc->rtc ? make_chip(&pcspk_type, "speaker", NULL, NULL, error) : NULL;
    if (!pc->speaker) {
        return false;
    }
    bus = isa_bus_new("isa.0", owner, pc->rom_space, memory_ports_root(), pc->irqs, pc->dma);
    isa_on_a20(1, a20_changed, NULL);
    i8254_connect(pc->pit, 0, pc->irqs[0]);
    make_up_for_ticks(pc);
    mc146818_connect(pc->rtc, pc->irqs[8]);
    pcspk_connect(pc->speaker, pc->pit);
    x86_state(cpu_get(0))->ferr_line = pc->irqs[13];
    region_add(memory_ports_root(), 0xf0, region_new_io("fpu", &fpu_ops, NULL, 1));
    /* Port 92 after the keyboard controller: when a snapshot is loaded it has the last word on A20. */
    return pc_add("i8042", bus, NULL, &pc->i8042, error) &&
           make_chip(&port92_type, "port92", bus, NULL, error) &&
           pc_add("isa-fdc", bus, NULL, &pc->fdc, error);
}

/* The HPET stands in for the timer and the clock: these lose their interrupts meanwhile. */
static void hpet_legacy_changed(void *opaque, bool on)
{
    Pc *pc = opaque;

    i8254_set_muted(pc->pit, on);
    mc146818_connect(pc->rtc, on ? NULL : pc->irqs[8]);
}

bool pc_make_hpet(Pc *pc, GError **error)
{
    Line *inputs[IOAPIC_PINS];

    if (!machine_config.hpet || !pc->ioapic) {
        return true;
    }
    pc->hpet = make_chip(&hpet_type, "hpet", NULL, NULL, error);
    if (!pc->hpet) {
        return false;
    }
    for (int n = 0; n < IOAPIC_PINS; n++) {
        inputs[n] = pc->hpet_inputs[n] ? pc->hpet_inputs[n] : ioapic_input(pc->ioapic, n);
    }
    hpet_connect(pc->hpet, inputs, pc->irqs[0], pc->irqs[8]);
    hpet_on_legacy(pc->hpet, hpet_legacy_changed, pc);
    hpet_set_ticks(pc->hpet, pc->ticks);
    return true;
}

bool pc_make_vmport(Pc *pc, GError **error)
{
    Device *vmport;

    if (!machine_config.vmport) {
        return true;
    }
    vmport = make_chip(&vmport_type, "vmport", NULL, NULL, error);
    if (!vmport) {
        return false;
    }
    vmport_connect(vmport, pc->i8042);
    return true;
}

bool pc_make_fw_cfg(Pc *pc, GError **error)
{
    pc->fw_cfg = make_chip(&fw_cfg_type, "fw_cfg", NULL, NULL, error);
    return pc->fw_cfg != NULL;
}

/*
 * At every reset. Other devices come after the board, from the command line: what depends on them
 * waits for the first one.
 */
static void machine_resets(void *opaque)
{
    Pc *pc = opaque;
    const char *once = pc->finished ? NULL : machine_config.boot_once;

    if (!pc->finished) {
        pc->finished = true;
        pc_fill_cmos(pc);
        if (pc->fw_cfg) {
            pc_fill_fw_cfg(pc);
        }
    }
    pc_set_boot_order(pc, once ? once : machine_config.boot_order);
}

void pc_finish(Pc *pc)
{
    machine_on_reset(machine_resets, pc);
}
