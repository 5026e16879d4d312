/* kvm-unit-tests' device: what is written reads back, and interrupt lines follow. */
#include "tests/hw/rig.h"

static Device *dev;

static void latches_and_memory_keep_parts_of_any_size(void)
{
    device_reset(dev);
    rig_out32(0xe0, 0x12345678);
    rig_out8(0xe1, 0xab);
    g_assert_cmphex(rig_in32(0xe0), ==, 0x1234ab78);
    g_assert_cmphex(rig_in16(0xe2), ==, 0x1234);
    rig_store(0xff00fffc, 0xa1b2c3d4, 4);
    rig_store(0xff00fffe, 0x55, 1);
    g_assert_cmphex(rig_load(0xff00fffc, 4), ==, 0xa155c3d4);
    rig_save_and_load(dev);
    g_assert_cmphex(rig_in32(0xe0), ==, 0x1234ab78);
}

static void a_line_follows_its_byte(void)
{
    device_reset(dev);
    rig_out8(0x2000 + 14, 1);
    g_assert_true(rig_irq(14));
    rig_save_and_load(dev);
    g_assert_true(rig_irq(14));
    rig_out8(0x2000 + 14, 0);
    g_assert_false(rig_irq(14));
    g_assert_cmpint(rig_in8(0x2000 + 14), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    dev = rig_add("pc-testdev", rig_isa());
    g_test_add_func("/pc-testdev/latches", latches_and_memory_keep_parts_of_any_size);
    g_test_add_func("/pc-testdev/lines", a_line_follows_its_byte);
    return g_test_run();
}
