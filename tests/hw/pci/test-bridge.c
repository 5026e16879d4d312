/* A PCI bridge: bus numbers, windows, pins and the master bit, with functions one and two bridges away. */
#include "tests/hw/rig.h"
#include "util/bits.h"
#include "util/error.h"

enum { COMMAND = 4, BAR0 = 0x10, BUSES = 0x18, IO = 0x1c, MEMORY = 0x20, PREFETCH = 0x24, CONTROL = 0x3e };
enum { NEAR = 0xe0000000u, FAR = 0xe0200000u };

static Device *outer, *inner, *near, *far;

static void set(unsigned bus, Device *dev, unsigned offset, uint32_t value, unsigned size)
{
    pci_config_write(rig_pci(), bus, ((PciDevice *)dev)->devfn, offset, value, size);
}

static uint32_t get(unsigned bus, Device *dev, unsigned offset, unsigned size)
{
    return pci_config_read(rig_pci(), bus, ((PciDevice *)dev)->devfn, offset, size);
}

/* Bus 1 behind outer, bus 2 behind inner; windows of 2 and 1 MiB; pvpanic-pci on each. */
static void start(void)
{
    device_reset(outer);
    device_reset(inner);
    device_reset(near);
    device_reset(far);
    set(0, outer, BUSES, 0x020100, 4);
    set(1, inner, BUSES, 0x020201, 4);
    set(0, outer, MEMORY, 0xe020e000, 4);
    set(1, inner, MEMORY, 0xe020e020, 4);
    set(0, outer, PREFETCH, 0x0000fff0, 4);
    set(1, inner, PREFETCH, 0x0000fff0, 4);
    set(1, near, BAR0, NEAR, 4);
    set(2, far, BAR0, FAR, 4);
    set(0, outer, COMMAND, 7, 2);
    set(1, inner, COMMAND, 7, 2);
    set(1, near, COMMAND, 7, 2);
    set(2, far, COMMAND, 7, 2);
}

static void functions_are_found_by_the_numbers_of_buses(void)
{
    start();
    g_assert_cmphex(get(0, outer, 0, 4), ==, 0x00011b36);
    g_assert_cmphex(get(0, outer, 0x0e, 1), ==, 1);
    g_assert_cmphex(get(1, near, 0, 4), ==, 0x00111b36);
    g_assert_cmphex(get(2, far, 0, 4), ==, 0x00111b36);
    g_assert_cmphex(get(3, far, 0, 4), ==, UINT32_MAX);
    set(0, outer, BUSES + 2, 1, 1); /* it lets bus 2 through no more */
    g_assert_cmphex(get(2, far, 0, 4), ==, UINT32_MAX);
    set(0, outer, BUSES, 0x090700, 4);
    g_assert_cmphex(get(7, near, 0, 4), ==, 0x00111b36);
    g_assert_cmphex(get(1, near, 0, 4), ==, UINT32_MAX);
    start();
    set(1, inner, BUSES, 0, 4); /* numbers that make no sense end nowhere */
    g_assert_cmphex(get(2, far, 0, 4), ==, UINT32_MAX);
}

static void memory_is_what_windows_show(void)
{
    start();
    g_assert_cmphex(rig_load(NEAR, 1), ==, 3);
    g_assert_cmphex(rig_load(FAR, 1), ==, 3);
    set(1, inner, COMMAND, 4, 2);
    g_assert_cmphex(rig_load(FAR, 1), !=, 3);
    g_assert_cmphex(rig_load(NEAR, 1), ==, 3);
    set(1, inner, COMMAND, 6, 2);
    g_assert_cmphex(rig_load(FAR, 1), ==, 3);
    set(0, outer, MEMORY, 0xe000e000, 4); /* a megabyte: far is outside of it */
    g_assert_cmphex(rig_load(FAR, 1), !=, 3);
    g_assert_cmphex(rig_load(NEAR, 1), ==, 3);
    rig_save_and_load(outer);
    g_assert_cmphex(rig_load(NEAR, 1), ==, 3);
    g_assert_cmphex(rig_load(FAR, 1), !=, 3);
    set(0, outer, MEMORY, 0xe000e010, 4); /* its end before its beginning */
    g_assert_cmphex(rig_load(NEAR, 1), !=, 3);
    set(0, outer, PREFETCH, 0xfff00000, 4); /* everything there is */
    set(0, outer, PREFETCH + 8, UINT32_MAX, 4);
    g_assert_cmphex(rig_load(NEAR, 1), ==, 3);
}

static void pins_reach_the_host(void)
{
    PciDevice *pci = (PciDevice *)far;

    start();
    pci->config[0x3d] = 1;
    g_assert_false(rig_pci_irq());
    pci_set_intx(pci, true);
    g_assert_true(rig_pci_irq());
    pci_bus_update_irqs(rig_pci());
    g_assert_true(rig_pci_irq());
    pci_set_intx(pci, false);
    g_assert_false(rig_pci_irq());
    pci->config[0x3d] = 0;
}

static void bridges_that_are_no_masters_stop_dma(void)
{
    uint32_t word = 0x12345678;

    start();
    g_assert_true(pci_dma_write((PciDevice *)far, 0x1000, &word, 4));
    set(1, inner, COMMAND, 3, 2);
    g_assert_false(pci_dma_write((PciDevice *)far, 0x1000, &word, 4));
    set(1, inner, COMMAND, 7, 2);
    set(0, outer, COMMAND, 3, 2);
    g_assert_false(pci_dma_write((PciDevice *)far, 0x1000, &word, 4));
    g_assert_false(pci_bus_master((PciDevice *)near));
}

static void a_reset_of_the_secondary_bus_resets_what_is_there(void)
{
    start();
    set(0, outer, CONTROL, 0x40, 2);
    g_assert_cmphex(get(1, near, BAR0, 4), ==, 0);
    set(0, outer, CONTROL, 0, 2);
    g_assert_cmphex(get(1, inner, BUSES, 4), ==, 0);
    g_assert_cmphex(load_le32(((PciDevice *)far)->config + BAR0), ==, 0);
}

/* What a bridge has to do later may point to it. */
static void bridges_stay(void)
{
    g_assert_null(device_type_find("pci-bridge")->unrealize);
    g_assert_null(device_type_find("pcie-root-port")->unrealize);
}

static void hot_plug_controllers_are_refused(void)
{
    g_autoptr(GError) error = NULL;
    Device *dev = device_new(device_type_find("pci-bridge"), "bad");

    g_assert_true(device_set_property(dev, "shpc", "on", NULL));
    g_assert_false(device_realize(dev, pci_bus_bus(rig_pci()), &error));
    g_assert_error(error, VM_ERROR, VM_ERROR_USER);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    outer = rig_add("pci-bridge,id=outer,chassis_nr=1", pci_bus_bus(rig_pci()));
    inner = rig_add("pci-bridge,id=inner,chassis_nr=2,addr=3", bus_find("outer"));
    near = rig_add("pvpanic-pci,addr=1", bus_find("outer"));
    far = rig_add("pvpanic-pci,addr=2", bus_find("inner"));
#define ADD(fn) g_test_add_func("/bridge/" #fn, fn)
    ADD(functions_are_found_by_the_numbers_of_buses);
    ADD(memory_is_what_windows_show);
    ADD(pins_reach_the_host);
    ADD(bridges_that_are_no_masters_stop_dma);
    ADD(a_reset_of_the_secondary_bus_resets_what_is_there);
    ADD(bridges_stay);
    ADD(hot_plug_controllers_are_refused);
    return g_test_run();
}
