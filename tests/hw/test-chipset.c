/* The chips of a PC under random accesses: nothing crashes, and each one saves and loads. */
#include "core/clock.h"
#include "core/machine.h"
#include "core/mainloop.h"
#include "hw/acpi/piix4_pm.h"
#include "hw/acpi/pm.h"
#include "hw/intr/apic.h"
#include "hw/intr/i8259.h"
#include "hw/intr/ioapic.h"
#include "hw/isa/isa.h"
#include "hw/isa/piix3.h"
#include "hw/misc/pcspk.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/pci/i440fx.h"
#include "hw/timer/hpet.h"
#include "hw/timer/i8254.h"
#include "tests/hw/rig.h"

static const CpuType fake_type = { .name = "fake", .state_size = 4096 };
static Cpu *cpu;

/* First port, number of ports. */
static const uint16_t port_ranges[][2] = {
    { 0x00, 0x10 }, { 0x20, 2 },  { 0x40, 4 },   { 0x61, 1 },    { 0x70, 2 },    { 0x80, 16 },
    { 0xa0, 2 },    { 0xc0, 32 }, { 0x4d0, 2 },  { 0x510, 12 },  { 0xcf8, 8 },   { 0x600, 64 },
    { 0x700, 16 },  { 0xb2, 2 },  { 0xafe0, 4 }, { 0xc000, 32 },
};
static const uint32_t memory_ranges[][2] = {
    { HPET_BASE, HPET_SIZE },
    { IOAPIC_BASE, 0x50 },
    { APIC_BASE, 0x400 },
};

static void access_port(GRand *rand)
{
    unsigned n = g_rand_int_range(rand, 0, G_N_ELEMENTS(port_ranges));
    uint16_t port = port_ranges[n][0] + g_rand_int_range(rand, 0, port_ranges[n][1]);
    uint32_t value = g_rand_int(rand);

    switch (g_rand_int_range(rand, 0, 6)) {
    case 0:
        rig_in8(port);
        break;
    case 1:
        rig_in16(port);
        break;
    case 2:
        rig_in32(port);
        break;
    case 3:
        rig_out8(port, value);
        break;
    case 4:
        rig_out16(port, value);
        break;
    default:
        rig_out32(port, value);
        break;
    }
}

static void access_memory(GRand *rand)
{
    unsigned n = g_rand_int_range(rand, 0, G_N_ELEMENTS(memory_ranges));
    uint32_t addr = memory_ranges[n][0] + g_rand_int_range(rand, 0, memory_ranges[n][1]);
    unsigned size = 1 << g_rand_int_range(rand, 0, 3);

    if (g_rand_boolean(rand)) {
        rig_load(addr, size);
    } else {
        rig_store(addr, g_rand_int(rand) & g_rand_int(rand), size);
    }
}

static void round_trip(Device *dev, void *opaque)
{
    rig_save_and_load(dev);
}

static void random_accesses_do_no_harm(void)
{
    GRand *rand = g_rand_new_with_seed(20);

    cpu_set_current(cpu);
    for (int n = 0; n < 200000; n++) {
        if (n % 3) {
            access_port(rand);
        } else {
            access_memory(rand);
        }
        if (n % 16 == 0) {
            clock_advance(g_rand_int_range(rand, 0, 1000000));
        }
        if (n % 20000 == 0) {
            device_for_each(round_trip, NULL);
        }
    }
    g_rand_free(rand);
}

static void shadow_ram_covers_rom(void)
{
    rig_out32(0xcf8, 0x80000058);
    rig_out32(0xcfc, 0);
    g_assert_cmphex(rig_load(0xf0000, 1), ==, 0x55);
    rig_out32(0xcfc, 0x3000); /* 59h: F0000 from RAM */
    rig_store(0xf0000, 0x77, 1);
    g_assert_cmphex(rig_load(0xf0000, 1), ==, 0x77);
    rig_out32(0xcfc, 0x1000); /* reads only */
    rig_store(0xf0000, 0x99, 1);
    g_assert_cmphex(rig_load(0xf0000, 1), ==, 0x77);
    rig_out32(0xcfc, 0);
    g_assert_cmphex(rig_load(0xf0000, 1), ==, 0x55);
}

static void a_pirq_goes_where_it_is_routed(void)
{
    Device *bridge = device_find("piix3");

    rig_out32(0xcf8, 0x80000860);
    rig_out32(0xcfc, 0x80800b80); /* PIRQ B on 11 */
    piix3_set_pirq(bridge, 1, true);
    g_assert_true(rig_irq(11));
    rig_out32(0xcfc, 0x80800a80);
    g_assert_false(rig_irq(11));
    g_assert_true(rig_irq(10));
    piix3_set_pirq(bridge, 1, false);
    g_assert_false(rig_irq(10));
}

static void cf9_is_beside_the_address_register(void)
{
    rig_out32(0xcf8, 0x80000800);
    rig_out8(0xcf9, 0x02);
    g_assert_cmphex(rig_in8(0xcf9), ==, 0x02);
    g_assert_cmphex(rig_in32(0xcf8), ==, 0x80000800);
    g_assert_cmphex(rig_in32(0xcfc), ==, 0x70008086);
}

static void a20_follows_whoever_moved_it_last(void)
{
    line_set(isa_a20_keyboard(), true);
    rig_out8(0x92, 0x00);
    g_assert_false(isa_a20());
    line_set(isa_a20_keyboard(), false);
    line_set(isa_a20_keyboard(), true);
    g_assert_true(isa_a20());
    g_assert_cmphex(rig_in8(0x92), ==, 0x02);
    line_set(isa_a20_keyboard(), false);
    g_assert_false(isa_a20());
    rig_out8(0x92, 0x02);
    g_assert_true(isa_a20());
}

static void config_write(int slot_function, unsigned offset, uint32_t value)
{
    rig_out32(0xcf8, 0x80000000 | slot_function << 8 | offset);
    rig_out32(0xcfc, value);
}

static void the_power_button_interrupts(void)
{
    config_write(PCI_DEVFN(1, 3), 0x40, 0x601);
    config_write(PCI_DEVFN(1, 3), 0x80, 1);
    rig_out8(0xb2, 0xf1); /* ACPI mode */
    g_assert_cmphex(rig_in16(0x604), ==, 1);
    rig_out16(0x602, 0x100);
    machine_request_powerdown();
    main_loop_step(false);
    g_assert_cmphex(rig_in16(0x600), ==, 0x100);
    g_assert_true(rig_irq(9));
    rig_out16(0x600, 0x100);
    g_assert_false(rig_irq(9));
}

static void the_pm_timer_runs_at_its_rate(void)
{
    uint32_t before = rig_in32(0x608);

    clock_advance(NS_PER_SECOND);
    g_assert_cmpuint((rig_in32(0x608) - before) & 0xffffff, ==, 3579545);
}

static void make_interrupts(void)
{
    Device *apic = device_new(&apic_type, NULL), *master, *slave;

    cpu = cpu_new(&fake_type, NULL, 0, NULL);
    apic_connect(apic, cpu, 0, NULL);
    g_assert_true(device_realize(apic, NULL, NULL));
    region_add_overlap(memory_system_root(), APIC_BASE, apic_region(), 1);
    master = rig_add("i8259", NULL);
    slave = rig_add("i8259,iobase=0xa0,elcr=0x4d1,master=off", NULL);
    i8259_cascade(master, slave);
    i8259_connect(master, apic_lint(apic, 0));
    apic_set_external(apic, i8259_acknowledge, master);
    rig_add("ioapic", NULL);
}

static void make_timers(void)
{
    Device *pit = rig_add("i8254", NULL), *hpet;
    Line *none[24] = { NULL };

    pcspk_connect(rig_add("isa-pcspk", NULL), pit);
    rig_add("mc146818rtc", NULL);
    hpet = rig_add("hpet", NULL);
    hpet_connect(hpet, none, NULL, NULL);
}

static void make_pci(void)
{
    Region *pci_memory = region_new_container("pci", UINT64_MAX), *rom = region_new_rom("rom", 0x10000, NULL);
    Region *ram = region_new_ram("low", 1 << 20, NULL);
    Device *bridge = device_new(device_type_find("PIIX3"), "piix3");
    Line *irqs[16];
    PciBus *bus;

    region_host(rom)[0] = 0x55;
    region_add(pci_memory, 0xf0000, rom);
    bus = i440fx_new(memory_system_root(), memory_ports_root(), pci_memory, ram, piix3_set_pirq, bridge, NULL);
    g_assert_true(device_set_property(bridge, "addr", "1", NULL));
    g_assert_true(device_realize(bridge, pci_bus_bus(bus), NULL));
    for (int n = 0; n < 16; n++) {
        irqs[n] = isa_irq(n);
    }
    piix3_connect(bridge, irqs);
    i440fx_set_reset_register(bus, piix3_read_reset, piix3_write_reset, bridge);
    piix4_pm_connect(rig_add("PIIX4_PM,addr=1.3", pci_bus_bus(bus)), isa_irq(SCI_IRQ));
    devices_reset_all();
}

int main(int argc, char **argv)
{
    Device *fw;

    g_test_init(&argc, &argv, NULL);
    rig_init();
    make_interrupts();
    make_timers();
    make_pci();
    rig_add("port92", rig_isa());
    fw = rig_add("fw_cfg", NULL);
    fw_cfg_add_writable_file(fw, "etc/w", "abcdefgh", 8);
    g_test_add_func("/chipset/shadow-ram-covers-rom", shadow_ram_covers_rom);
    g_test_add_func("/chipset/a-pirq-goes-where-it-is-routed", a_pirq_goes_where_it_is_routed);
    g_test_add_func("/chipset/cf9-is-beside-the-address-register", cf9_is_beside_the_address_register);
    g_test_add_func("/chipset/a20-follows-whoever-moved-it-last", a20_follows_whoever_moved_it_last);
    g_test_add_func("/chipset/the-power-button-interrupts", the_power_button_interrupts);
    g_test_add_func("/chipset/the-pm-timer-runs-at-its-rate", the_pm_timer_runs_at_its_rate);
    g_test_add_func("/chipset/random-accesses-do-no-harm", random_accesses_do_no_harm);
    return g_test_run();
}
