/* The 85C30: pointers, bytes both ways, interrupts and loopback of two channels. */
#include "hw/char/escc.h"
#include "tests/hw/rig.h"

#define BASE   0x80000000u
#define LEGACY 0x80001000u
enum { B_CONTROL = 0x00, B_DATA = 0x10, A_CONTROL = 0x20, A_DATA = 0x30 };

static Device *escc;
static RigChar *line;
static bool irq[2];
static int edges[2];

static void irq_changed(void *opaque, int n, bool level)
{
    edges[n] += level && !irq[n];
    irq[n] = level;
}

static uint8_t get(unsigned at)
{
    return rig_load(BASE + at, 1);
}

static void set(unsigned at, uint8_t value)
{
    rig_store(BASE + at, value, 1);
}

static uint8_t get_reg(unsigned control, int reg)
{
    set(control, reg);
    return get(control);
}

static void set_reg(unsigned control, int reg, uint8_t value)
{
    set(control, reg); /* from 8 on the bits are those of the command "point high" */
    set(control, value);
}

static void start(void)
{
    device_reset(escc);
    set_reg(A_CONTROL, 9, 0xc0);
    set_reg(A_CONTROL, 3, 0xc1);
    set_reg(A_CONTROL, 5, 0xea);
    g_string_truncate(line->written, 0);
}

static void bytes_leave_in_order(void)
{
    start();
    g_assert_true(get(A_CONTROL) & 4);
    for (const char *c = "mac"; *c; c++) {
        set(A_DATA, *c);
    }
    g_assert_cmpstr(line->written->str, ==, "mac");
    rig_store(LEGACY + 6, '!', 1);
    g_assert_cmpstr(line->written->str, ==, "mac!");
}

static void bytes_arrive_and_interrupt(void)
{
    start();
    set_reg(A_CONTROL, 1, 0x10);
    set_reg(A_CONTROL, 9, 0x08);
    g_assert_false(irq[ESCC_A]);
    g_assert_cmpuint(char_deliver(line->chr, (const uint8_t *)"xy", 2), ==, 2);
    g_assert_true(irq[ESCC_A]);
    g_assert_cmphex(get_reg(A_CONTROL, 3), ==, 0x20);
    g_assert_true(get(A_CONTROL) & 1);
    g_assert_cmpint(get(A_DATA), ==, 'x');
    g_assert_cmpint(rig_load(LEGACY + 6, 1), ==, 'y');
    g_assert_false(irq[ESCC_A]);
    g_assert_false(get(A_CONTROL) & 1);
}

static void a_full_fifo_makes_the_line_wait(void)
{
    start();
    char_deliver(line->chr, (const uint8_t *)"0123456789", 10);
    for (const char *c = "01234567"; *c; c++) {
        g_assert_true(get(A_CONTROL) & 1);
        g_assert_cmpint(get(A_DATA), ==, *c);
    }
    g_assert_false(get_reg(A_CONTROL, 1) & 0x20);
    while (g_main_context_iteration(NULL, FALSE)) { /* which brings the rest */
    }
    g_assert_cmpint(get(A_DATA), ==, '8');
    g_assert_cmpint(get(A_DATA), ==, '9');
}

static void an_empty_transmitter_interrupts_until_it_is_told(void)
{
    start();
    set_reg(A_CONTROL, 1, 0x02);
    set_reg(A_CONTROL, 9, 0x08);
    g_assert_false(irq[ESCC_A]);
    edges[ESCC_A] = 0;
    set(A_DATA, 'z');
    g_assert_true(irq[ESCC_A]);
    set(A_DATA, 'z'); /* again, for controllers that look for edges */
    g_assert_true(irq[ESCC_A]);
    g_assert_cmpint(edges[ESCC_A], ==, 2);
    set(A_CONTROL, 0x28);
    g_assert_false(irq[ESCC_A]);
}

static void channels_are_apart(void)
{
    start();
    set_reg(B_CONTROL, 14, 0x10); /* loops back */
    set_reg(B_CONTROL, 5, 0x08);
    set(B_DATA, 'q');
    g_assert_cmpstr(line->written->str, ==, "");
    g_assert_cmpint(get(B_DATA), ==, 'q');
    set_reg(B_CONTROL, 12, 0x34);
    set_reg(A_CONTROL, 12, 0x12);
    g_assert_cmphex(get_reg(B_CONTROL, 12), ==, 0x34);
    set_reg(A_CONTROL, 2, 0x50);
    g_assert_cmphex(get_reg(A_CONTROL, 2), ==, 0x50);
    g_assert_cmphex(get_reg(B_CONTROL, 2), ==, 0x56);
    rig_save_and_load(escc);
    g_assert_cmphex(get_reg(A_CONTROL, 12), ==, 0x12);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    line = rig_char("line");
    escc = rig_add("escc,chrA=line", NULL);
    region_add(memory_system_root(), BASE, escc_region(escc));
    region_add(memory_system_root(), LEGACY, escc_legacy_region(escc));
    for (int n = 0; n < 2; n++) {
        escc_connect(escc, n, line_new(irq_changed, NULL, n));
    }
#define ADD(fn) g_test_add_func("/escc/" #fn, fn)
    ADD(bytes_leave_in_order);
    ADD(bytes_arrive_and_interrupt);
    ADD(a_full_fifo_makes_the_line_wait);
    ADD(an_empty_transmitter_interrupts_until_it_is_told);
    ADD(channels_are_apart);
    return g_test_run();
}
