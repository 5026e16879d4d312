/* The Q35 board: its windows on memory, interrupt routing, system management interrupts, watchdog, ports. */
#include "core/clock.h"
#include "core/cpu.h"
#include "core/lock.h"
#include "core/machine.h"
#include "core/mainloop.h"
#include "hw/acpi/ich9_pm.h"
#include "tests/hw/rig.h"
#include "util/error.h"

extern const BoardType q35_board;

enum { MCH = 0, LPC = 0x1f << 3, PM = 0x600, APM = 0xb2 };

static uint32_t get(int devfn, unsigned offset)
{
    rig_out32(0xcf8, 0x80000000 | devfn << 8 | offset);
    return rig_in32(0xcfc);
}

static void set(int devfn, unsigned offset, uint32_t value)
{
    rig_out32(0xcf8, 0x80000000 | devfn << 8 | offset);
    rig_out32(0xcfc, value);
}

static void set8(int devfn, unsigned offset, uint8_t value)
{
    rig_out32(0xcf8, 0x80000000 | devfn << 8 | (offset & ~3u));
    rig_out8(0xcfc + (offset & 3), value);
}

static void configuration_space_is_in_memory(void)
{
    machine_reset();
    g_assert_cmphex(rig_load(0xb0000000, 4), ==, UINT32_MAX);
    set(MCH, 0x60, 0xb0000001);
    g_assert_cmphex(rig_load(0xb0000000, 4), ==, 0x29c08086);
    g_assert_cmphex(rig_load(0xb0000000 + (LPC << 12), 4), ==, 0x29188086);
    g_assert_cmphex(rig_load(0xb0000000 + (LPC << 12) + 0x100, 4), ==, UINT32_MAX); /* conventional */
    g_assert_cmphex(rig_load(0xb0000000 + (0x10 << 12) + 0x100, 4), ==, 0);         /* Express, without more */
    g_assert_cmphex(rig_load(0xbff00000, 4), ==, UINT32_MAX);                       /* no bus 255 */
    set(MCH, 0x60, 0xa4000005); /* 64 buses */
    g_assert_cmphex(rig_load(0xa4000000, 4), ==, 0x29c08086);
    rig_store(0xa4000090, 0x30, 1); /* PAM0 */
    g_assert_cmphex(get(MCH, 0x90) & 0xff, ==, 0x30);
    set(MCH, 0x60, 0xa4000007); /* a length that is none */
    g_assert_cmphex(rig_load(0xa4000000, 4), ==, UINT32_MAX);
}

static uint32_t in_smm(PhysAddr addr)
{
    return memory_load(cpu_get(0)->smm_memory, addr, 4);
}

static void smram_is_for_system_management_mode(void)
{
    machine_reset();
    set8(MCH, 0x9d, 0x4a); /* open and enabled */
    rig_store(0xa0000, 0x11223344, 4);
    set8(MCH, 0x9d, 0x0a);
    g_assert_cmphex(rig_load(0xa0000, 4), !=, 0x11223344);
    g_assert_cmphex(in_smm(0xa0000), ==, 0x11223344);
    set8(MCH, 0x9d, 0x1a); /* locked */
    set8(MCH, 0x9d, 0x4a);
    g_assert_cmphex(get(MCH, 0x9c) >> 8 & 0xff, ==, 0x1a);
    g_assert_cmphex(rig_load(0xa0000, 4), !=, 0x11223344);
    machine_reset();
    g_assert_cmphex(get(MCH, 0x9c) >> 8 & 0xff, ==, 0x02);
    g_assert_cmphex(in_smm(0xa0000), !=, 0x11223344);
}

static void tseg_is_hidden(void)
{
    enum { TSEG = RIG_RAM - (1 << 20) };

    machine_reset();
    g_assert_cmphex(get(MCH, 0xb0) & 0xffff, ==, RIG_RAM >> 16);
    rig_store(TSEG, 0x55667788, 4);
    set8(MCH, 0x9d, 0x0a);
    set8(MCH, 0x9e, 0x01); /* 1 MiB */
    g_assert_cmphex(rig_load(TSEG, 4), ==, UINT32_MAX);
    rig_store(TSEG, 0, 4);
    g_assert_cmphex(rig_load(TSEG - 4, 4), ==, 0);
    g_assert_cmphex(in_smm(TSEG), ==, 0x55667788);
    set8(MCH, 0x9d, 0x1a);
    set8(MCH, 0x9e, 0x00); /* locked */
    g_assert_cmphex(rig_load(TSEG, 4), ==, UINT32_MAX);
    machine_reset();
    g_assert_cmphex(rig_load(TSEG, 4), ==, 0x55667788);
}

static void map_pm(void)
{
    machine_reset();
    set(LPC, 0x40, PM | 1);
    set8(LPC, 0x44, 0x80);
}

static bool smi_pending(void)
{
    bool pending = cpu_get(0)->requests & CPU_REQ_SMI;

    cpu_clear_request(cpu_get(0), CPU_REQ_SMI);
    return pending;
}

static void software_asks_for_an_smi(void)
{
    map_pm();
    rig_out8(APM, 1);
    g_assert_false(smi_pending());
    rig_out32(PM + 0x30, 0x21); /* APMC and global */
    rig_out8(APM, 2);
    g_assert_true(smi_pending());
    g_assert_cmphex(rig_in32(PM + 0x34), ==, 0x20);
    rig_out32(PM + 0x34, 0x20);
    g_assert_cmphex(rig_in32(PM + 0x34), ==, 0);
    set8(LPC, 0xa0, 0x10); /* locked on */
    rig_out32(PM + 0x30, 0x20);
    g_assert_cmphex(rig_in32(PM + 0x30) & 1, ==, 1);
    set8(LPC, 0xa0, 0x00);
    g_assert_cmphex(get(LPC, 0xa0) & 0x10, ==, 0x10);
    g_assert_cmphex(rig_in8(APM), ==, 2);
}

static void the_watchdog_warns_and_resets(void)
{
    map_pm();
    rig_out16(PM + 0x72, 10);   /* 6 seconds */
    rig_out16(PM + 0x60, 1);
    rig_out16(PM + 0x68, 0);    /* go */
    rig_run(5 * NS_PER_SECOND);
    g_assert_cmphex(rig_in16(PM + 0x64), ==, 0);
    g_assert_cmpuint(rig_in16(PM + 0x60), ==, 1);
    rig_out16(PM + 0x60, 1);    /* fed */
    rig_run(5 * NS_PER_SECOND);
    g_assert_cmphex(rig_in16(PM + 0x64), ==, 0);
    rig_run(2 * NS_PER_SECOND);
    g_assert_cmphex(rig_in16(PM + 0x64), ==, 8);
    rig_out16(PM + 0x68, 0x800); /* halted */
    rig_run(100 * NS_PER_SECOND);
    g_assert_cmphex(rig_in16(PM + 0x66), ==, 0);
    set(LPC, 0xf0, 0xfed1c001);
    rig_store(0xfed1f410, 0x20, 4); /* no reboot, only a note of it */
    rig_out16(PM + 0x68, 0);
    rig_run(7 * NS_PER_SECOND);
    g_assert_cmphex(rig_in16(PM + 0x66), ==, 2);
}

static void pirqs_are_routed(void)
{
    map_pm();
    set8(LPC, 0x44, 0);
    set(LPC, 0xf0, 0xfed1c001);
    g_assert_cmphex(rig_load(0xfed1f140, 2), ==, 0x3210);
    rig_store(0xfed1f140, 0x0123, 2);
    g_assert_cmphex(rig_load(0xfed1f140, 4), ==, 0x32100123);
    set(LPC, 0x60, 0x0b0a0b0a);
    g_assert_cmphex(get(LPC, 0x60), ==, 0x0b0a0b0a);
}

static void a_port_leads_to_one_device(void)
{
    g_autoptr(GError) error = NULL;
    Device *dev = device_new(device_type_find("pvpanic-pci"), NULL);

    g_assert_true(device_set_property(dev, "addr", "1", NULL));
    g_assert_false(device_realize(dev, bus_find("rp"), &error));
    g_assert_error(error, VM_ERROR, VM_ERROR_USER);
    device_free(dev);
    rig_add("pvpanic-pci", bus_find("rp"));
}

/* A function that runs the main loop while it goes, as those do that wait for their requests. */
typedef struct Slow {
    PciDevice pci;
    bool going;
} Slow;

static int slow_gone;

static bool slow_realize(Device *dev, GError **error)
{
    static const PciInfo info = { .vendor = 0x1b36, .device = 0x0011, .class_rev = 0xff0000 << 8 };

    pci_device_init((PciDevice *)dev, &info);
    return true;
}

static void slow_unrealize(Device *dev)
{
    Slow *slow = (Slow *)dev;

    g_assert_false(slow->going);
    slow->going = true;
    for (int i = 0; i < 4; i++) {
        main_loop_step(false);
    }
    slow_gone++;
}

static const Prop slow_props[] = {
    PCI_PROPS(Slow),
    { 0 },
};

static const DeviceType slow_type = {
    .name = "slow", .about = "a function that waits", .bus = "pci", .size = sizeof(Slow), .hotplug = true,
    .props = slow_props, .realize = slow_realize, .unrealize = slow_unrealize,
};

static void functions_leave_a_port_once_though_they_wait(void)
{
    Bus *bus = bus_find("slot");
    const char *const at[] = { "0.0", "0.1" };

    for (int fn = 0; fn < 2; fn++) {
        g_autoptr(GError) error = NULL;
        Device *dev = device_new(&slow_type, NULL);

        g_assert_true(device_set_property(dev, "multifunction", "on", NULL));
        g_assert_true(device_set_property(dev, "addr", at[fn], NULL));
        device_realize(dev, bus, &error);
        g_assert_no_error(error);
        bus->unplug_request(dev, &error);
        g_assert_no_error(error);
    }
    machine_reset(); /* nobody will turn the slot's power off now */
    g_assert_cmpint(slow_gone, ==, 0);
    for (int i = 0; i < 64; i++) {
        main_loop_step(false);
    }
    g_assert_cmpint(slow_gone, ==, 2);
    g_assert_cmpuint(bus->devices->len, ==, 0);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;

    g_test_init(&argc, &argv, NULL);
    if (!firmware_find("bios-256k.bin")) {
        g_test_message("no firmware: skipped");
        return 77;
    }
    machine_lock();
    clock_make_manual();
    memory_init();
    rig_resolve();
    machine_config.ram_size = RIG_RAM;
    machine_config.cpus = 1;
    machine_config.default_devices = machine_config.acpi = machine_config.smm = true;
    machine_config.boot_menu_timeout_ms = machine_config.reboot_timeout_ms = -1;
    q35_board.build(&q35_board, &error);
    g_assert_no_error(error);
    rig_add("pcie-root-port,id=rp,addr=2", bus_find("pcie.0"));
    rig_add("pcie-root-port,id=slot,addr=3", bus_find("pcie.0"));
#define ADD(fn) g_test_add_func("/q35/" #fn, fn)
    ADD(configuration_space_is_in_memory);
    ADD(smram_is_for_system_management_mode);
    ADD(tseg_is_hidden);
    ADD(software_asks_for_an_smi);
    ADD(the_watchdog_warns_and_resets);
    ADD(pirqs_are_routed);
    ADD(a_port_leads_to_one_device);
    ADD(functions_leave_a_port_once_though_they_wait);
    return g_test_run();
}
