/* The pair of 8259s as an operating system programs it. */
#include "core/line.h"
#include "hw/intr/i8259.h"
#include "tests/hw/rig.h"

enum { MASTER = 0x20, SLAVE = 0xa0, EOI = 0x20, READ_ISR = 0x0b, READ_IRR = 0x0a };

static Device *master, *slave;
static bool intr;
static int ends;

static void intr_changed(void *opaque, int n, bool level)
{
    intr = level;
}

static void set_up(void)
{
    for (int n = 0; n < 8; n++) {
        line_set(i8259_input(master, n), false);
        line_set(i8259_input(slave, n), false);
    }
    device_reset(master);
    device_reset(slave);
    rig_out8(MASTER, 0x11);
    rig_out8(MASTER + 1, 0x20);
    rig_out8(MASTER + 1, 0x04);
    rig_out8(MASTER + 1, 0x01);
    rig_out8(SLAVE, 0x11);
    rig_out8(SLAVE + 1, 0x28);
    rig_out8(SLAVE + 1, 0x02);
    rig_out8(SLAVE + 1, 0x01);
}

static Line *input(int irq)
{
    return i8259_input(irq < 8 ? master : slave, irq & 7);
}

static void an_edge_is_delivered_once(void)
{
    set_up();
    line_set(input(4), true);
    g_assert_true(intr);
    g_assert_cmphex(i8259_acknowledge(master), ==, 0x24);
    g_assert_false(intr);
    rig_out8(MASTER, EOI);
    g_assert_false(intr);
    line_set(input(4), false);
    line_set(input(4), true);
    g_assert_true(intr);
}

static void ended(void *opaque)
{
    ends++;
}

static void the_listener_hears_of_ends(void)
{
    set_up();
    i8259_on_end(master, 0, ended, NULL);
    ends = 0;
    line_pulse(input(0));
    line_pulse(input(4));
    i8259_acknowledge(master);
    g_assert_cmpint(ends, ==, 0);
    rig_out8(MASTER, EOI);
    g_assert_cmpint(ends, ==, 1);
    i8259_acknowledge(master);
    rig_out8(MASTER, EOI); /* input 4's */
    rig_out8(MASTER, EOI); /* nobody's */
    g_assert_cmpint(ends, ==, 1);
    rig_out8(MASTER, 0x11);
    rig_out8(MASTER + 1, 0x20);
    rig_out8(MASTER + 1, 0x04);
    rig_out8(MASTER + 1, 0x03); /* automatic EOI */
    line_pulse(input(0));
    i8259_acknowledge(master);
    g_assert_cmpint(ends, ==, 2);
}

static void a_level_comes_back_until_it_falls(void)
{
    set_up();
    rig_out8(0x4d1, 1 << (11 - 8));
    line_set(input(11), true);
    g_assert_cmphex(i8259_acknowledge(master), ==, 0x2b);
    rig_out8(SLAVE, EOI);
    rig_out8(MASTER, EOI);
    g_assert_cmphex(i8259_acknowledge(master), ==, 0x2b);
    line_set(input(11), false);
    rig_out8(SLAVE, EOI);
    rig_out8(MASTER, EOI);
    g_assert_false(intr);
    rig_out8(0x4d1, 0);
}

static void a_lower_number_interrupts_a_higher_one(void)
{
    set_up();
    line_set(input(5), true);
    g_assert_cmphex(i8259_acknowledge(master), ==, 0x25);
    line_set(input(6), true);
    g_assert_false(intr);
    line_set(input(1), true);
    g_assert_cmphex(i8259_acknowledge(master), ==, 0x21);
    rig_out8(MASTER, READ_ISR);
    g_assert_cmphex(rig_in8(MASTER), ==, 0x22);
    rig_out8(MASTER, EOI);
    rig_out8(MASTER, EOI);
    g_assert_cmphex(i8259_acknowledge(master), ==, 0x26);
}

static void a_masked_request_waits(void)
{
    set_up();
    rig_out8(MASTER + 1, 0x08);
    line_set(input(3), true);
    g_assert_false(intr);
    rig_out8(MASTER, READ_IRR);
    g_assert_cmphex(rig_in8(MASTER), ==, 0x08);
    rig_out8(MASTER + 1, 0x00);
    g_assert_true(intr);
}

static void both_slave_requests_arrive(void)
{
    set_up();
    line_set(input(8), true);
    line_set(input(14), true);
    g_assert_cmphex(i8259_acknowledge(master), ==, 0x28);
    rig_out8(SLAVE, EOI);
    rig_out8(MASTER, EOI);
    g_assert_true(intr);
    g_assert_cmphex(i8259_acknowledge(master), ==, 0x2e);
}

static void a_request_that_vanished_is_spurious(void)
{
    set_up();
    rig_out8(0x4d0, 0x20);
    line_set(input(5), true);
    line_set(input(5), false);
    g_assert_cmphex(i8259_acknowledge(master), ==, 0x27);
    rig_out8(MASTER, READ_ISR);
    g_assert_cmphex(rig_in8(MASTER), ==, 0);
    rig_out8(0x4d0, 0);
}

static void automatic_eoi_leaves_nothing_in_service(void)
{
    set_up();
    rig_out8(MASTER, 0x11);
    rig_out8(MASTER + 1, 0x20);
    rig_out8(MASTER + 1, 0x04);
    rig_out8(MASTER + 1, 0x03);
    line_set(input(0), true);
    i8259_acknowledge(master);
    rig_out8(MASTER, READ_ISR);
    g_assert_cmphex(rig_in8(MASTER), ==, 0);
}

static void rotation_moves_the_priority(void)
{
    set_up();
    line_set(input(3), true);
    i8259_acknowledge(master);
    rig_out8(MASTER, 0xa0); /* rotate on non-specific EOI: 3 is lowest now */
    line_set(input(3), false);
    line_set(input(3), true);
    line_set(input(4), true);
    g_assert_cmphex(i8259_acknowledge(master), ==, 0x24);
}

static void special_mask_lets_lower_ones_through(void)
{
    set_up();
    line_set(input(1), true);
    i8259_acknowledge(master);
    rig_out8(MASTER + 1, 0x02);
    line_set(input(6), true);
    g_assert_false(intr);
    rig_out8(MASTER, 0x68);
    g_assert_true(intr);
    g_assert_cmphex(i8259_acknowledge(master), ==, 0x26);
}

static void polling_acknowledges(void)
{
    set_up();
    line_set(input(7), true);
    rig_out8(MASTER, 0x0c);
    g_assert_cmphex(rig_in8(MASTER), ==, 0x87);
    g_assert_false(intr);
    rig_out8(MASTER, 0x0c);
    g_assert_cmphex(rig_in8(MASTER) & 0x80, ==, 0);
}

static void a_snapshot_keeps_what_is_pending(void)
{
    set_up();
    rig_out8(MASTER + 1, 0xff);
    line_set(input(1), true);
    rig_save_and_load(master);
    g_assert_false(intr);
    rig_out8(MASTER + 1, 0x00);
    g_assert_cmphex(i8259_acknowledge(master), ==, 0x21);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    master = rig_add("i8259", NULL);
    slave = rig_add("i8259,iobase=0xa0,elcr=0x4d1,master=off", NULL);
    i8259_cascade(master, slave);
    i8259_connect(master, line_new(intr_changed, NULL, 0));
    g_test_add_func("/i8259/an-edge-is-delivered-once", an_edge_is_delivered_once);
    g_test_add_func("/i8259/the-listener-hears-of-ends", the_listener_hears_of_ends);
    g_test_add_func("/i8259/a-level-comes-back-until-it-falls", a_level_comes_back_until_it_falls);
    g_test_add_func("/i8259/a-lower-number-interrupts-a-higher-one",
                    a_lower_number_interrupts_a_higher_one);
    g_test_add_func("/i8259/a-masked-request-waits", a_masked_request_waits);
    g_test_add_func("/i8259/both-slave-requests-arrive", both_slave_requests_arrive);
    g_test_add_func("/i8259/a-request-that-vanished-is-spurious",
                    a_request_that_vanished_is_spurious);
    g_test_add_func("/i8259/automatic-eoi-leaves-nothing-in-service",
                    automatic_eoi_leaves_nothing_in_service);
    g_test_add_func("/i8259/rotation-moves-the-priority", rotation_moves_the_priority);
    g_test_add_func("/i8259/special-mask-lets-lower-ones-through",
                    special_mask_lets_lower_ones_through);
    g_test_add_func("/i8259/polling-acknowledges", polling_acknowledges);
    g_test_add_func("/i8259/a-snapshot-keeps-what-is-pending", a_snapshot_keeps_what_is_pending);
    return g_test_run();
}
