/* PCI hosts of Macintoshes: configuration in both forms, several hosts at once, and the memory of settings. */
#include "hw/nvram/mac_nvram.h"
#include "hw/pci/grackle.h"
#include "hw/pci/uninorth.h"
#include "tests/hw/rig.h"

#include <string.h>

#define MAIN 0xf2000000u
#define AGP  0xf0000000u
enum { ADDRESS = 0x800000, DATA = 0xc00000 };

static PciBus *main_bus, *agp_bus, *grackle_bus;
static bool irq[4];

static void irq_changed(void *opaque, int n, bool level)
{
    irq[n] = level;
}

static uint32_t slot_address(int slot, int reg)
{
    return 1u << slot | (reg & 0xfc);
}

static uint32_t read_at(uint32_t host, uint32_t address, int byte, int size)
{
    rig_store(host + ADDRESS, address, 4);
    return rig_load(host + DATA + byte, size);
}

static void each_host_has_its_own_functions(void)
{
    g_assert_cmphex(read_at(MAIN, slot_address(11, 0), 0, 4), ==, 0x001f106b);
    g_assert_cmphex(read_at(AGP, slot_address(11, 0), 0, 4), ==, 0x0020106b);
    g_assert_cmphex(read_at(AGP, slot_address(15, 0), 0, 4), ==, 0xffffffff);
    g_assert_cmphex(read_at(MAIN, slot_address(15, 0), 0, 4), ==, 0x100e8086);
    g_assert_cmphex(read_at(MAIN, 0, 0, 4), ==, 0xffffffff);
}

static void bytes_are_where_they_are(void)
{
    g_assert_cmphex(read_at(MAIN, slot_address(15, 0), 2, 2), ==, 0x100e);
    g_assert_cmphex(read_at(MAIN, slot_address(15, 0), 0, 1), ==, 0x86);
    /* Which half of the data register is used says which half of eight bytes is meant, whatever the address says. */
    rig_store(MAIN + ADDRESS, slot_address(15, 4), 4);
    rig_store(MAIN + DATA + 4, 0x0006, 2);
    g_assert_cmphex(read_at(MAIN, slot_address(15, 0), 4, 2), ==, 0x0006);
    g_assert_cmphex(read_at(MAIN, slot_address(15, 4), 4, 2), ==, 0x0006);
    g_assert_cmphex(read_at(MAIN, slot_address(15, 4), 0, 2), ==, 0x8086);
    /* In OpenBIOS's form it is the address that says it. */
    g_assert_cmphex(read_at(MAIN, 0x80000000 | PCI_DEVFN(15, 0) << 8 | 4, 0, 2), ==, 0x0006);
}

static void buses_behind_bridges_are_numbered(void)
{
    g_assert_cmphex(read_at(MAIN, 0x80000000 | PCI_DEVFN(15, 0) << 8, 0, 4), ==, 0x100e8086); /* OpenBIOS's form */
    g_assert_cmphex(read_at(MAIN, 0 << 16 | PCI_DEVFN(15, 0) << 8 | 1, 0, 4), ==, 0x100e8086);
    g_assert_cmphex(read_at(MAIN, 3 << 16 | PCI_DEVFN(15, 0) << 8 | 1, 0, 4), ==, 0xffffffff);
}

static void pins_rotate_with_the_slot(void)
{
    PciDevice *card = pci_bus_device(main_bus, PCI_DEVFN(15, 0));

    pci_set_intx(card, true);
    g_assert_true(irq[3]);
    pci_set_intx(card, false);
    g_assert_false(irq[3]);
}

static void grackle_uses_mechanism_1(void)
{
    rig_store(0xfec00000, 0x80000000, 4);
    g_assert_cmphex(rig_load(0xfee00000, 4), ==, 0x00021057);
    g_assert_cmphex(rig_load(0xfee00002, 2), ==, 0x0002);
    rig_store(0xfec00000, 0, 4);
    g_assert_cmphex(rig_load(0xfee00000, 4), ==, 0xffffffff);
    g_assert_nonnull(grackle_bus);
}

static void settings_are_in_the_first_partition(void)
{
    g_autoptr(GPtrArray) settings = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    Device *nvram = rig_add("macio-nvram", NULL);
    char text[32];

    region_add(memory_system_root(), 0xfff04000, mac_nvram_region(nvram));
    g_ptr_array_add(settings, (char *)"auto-boot?=false");
    g_ptr_array_add(settings, (char *)"foo=bar");
    g_assert_true(mac_nvram_prepare(nvram, NULL, settings, NULL));
    for (unsigned i = 0; i < sizeof(text); i++) {
        text[i] = rig_load(0xfff04000 + 2 * (16 + i), 1);
    }
    g_assert_cmpstr(text, ==, "auto-boot?=false");
    g_assert_cmpstr(text + 17, ==, "foo=bar");
    /* Sums as Open Firmware and Mac OS X check them. */
    g_assert_cmphex(rig_load(0xfff04002, 1), ==, 0xd9);
    g_assert_cmphex(rig_load(0xfff04000 + 2 * 0x1010, 1), ==, 0x1f);
    g_assert_cmphex(rig_load(0xfff04000 + 2 * 0x1011, 1), ==, 0xd2);
    rig_store(0xfff04000 + 2 * 100, 0x77, 1);
    device_reset(nvram);
    g_assert_cmphex(rig_load(0xfff04000 + 2 * 100, 1), ==, 0x77);
    g_ptr_array_add(settings, (char *)"nonsense");
    g_assert_false(mac_nvram_prepare(nvram, NULL, settings, &error));
}

int main(int argc, char **argv)
{
    Line *irqs[4];
    Region *none = NULL;

    g_test_init(&argc, &argv, NULL);
    rig_init();
    for (int n = 0; n < 4; n++) {
        irqs[n] = line_new(irq_changed, NULL, n);
    }
    none = region_new_container("none", 0x10000);
    main_bus = uninorth_pci_new(&uninorth_pci_type, "pci.0", MAIN, memory_system_root(), memory_ports_root(), NULL);
    uninorth_pci_connect(main_bus, irqs);
    agp_bus = uninorth_pci_new(&uninorth_agp_type, "pci.1", AGP, none, none, NULL);
    uninorth_pci_connect(agp_bus, irqs);
    grackle_bus = grackle_new("pci.2", none, none, NULL);
    grackle_connect(grackle_bus, irqs);
    rig_add("e1000,addr=f", pci_bus_bus(main_bus));
#define ADD(fn) g_test_add_func("/uninorth/" #fn, fn)
    ADD(each_host_has_its_own_functions);
    ADD(bytes_are_where_they_are);
    ADD(buses_behind_bridges_are_numbered);
    ADD(pins_rotate_with_the_slot);
    ADD(grackle_uses_mechanism_1);
    ADD(settings_are_in_the_first_partition);
    return g_test_run();
}
