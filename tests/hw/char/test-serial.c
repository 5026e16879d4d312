/* The 16550A: FIFOs, interrupts, loopback and the line to the host. */
#include "core/clock.h"
#include "core/mainloop.h"
#include "tests/hw/rig.h"

#include <string.h>

enum { BASE = 0x3f8, DATA = BASE, IER, IIR, FCR = IIR, LCR, MCR, LSR, MSR, SCR, IRQ = 4 };

static Device *serial;
static RigChar *line;

static void start(void)
{
    device_reset(serial);
    rig_out8(MCR, 0x0b);
    rig_in8(MSR);
    g_string_truncate(line->written, 0);
    rig_irq_edges(IRQ);
}

static void bytes_reach_the_host_in_order(void)
{
    start();
    g_assert_cmphex(rig_in8(LSR), ==, 0x60);
    for (const char *c = "hello"; *c; c++) {
        rig_out8(DATA, *c);
    }
    g_assert_cmpstr(line->written->str, ==, "hello");
}

static void the_divisor_latch_hides_data_and_ier(void)
{
    start();
    rig_out8(IER, 0x0f);
    rig_out8(LCR, 0x83);
    rig_out8(DATA, 0x34);
    rig_out8(IER, 0x12);
    g_assert_cmphex(rig_in8(DATA), ==, 0x34);
    g_assert_cmphex(rig_in8(IER), ==, 0x12);
    rig_out8(LCR, 0x03);
    g_assert_cmphex(rig_in8(IER), ==, 0x0f);
    g_assert_cmpuint(line->written->len, ==, 0);
    rig_out8(SCR, 0x5a);
    g_assert_cmphex(rig_in8(SCR), ==, 0x5a);
}

static void an_empty_transmitter_interrupts_once(void)
{
    start();
    rig_out8(IER, 0x02);
    g_assert_true(rig_irq(IRQ));
    g_assert_cmphex(rig_in8(IIR), ==, 0x02);
    g_assert_false(rig_irq(IRQ));
    g_assert_cmphex(rig_in8(IIR), ==, 0x01);
    rig_out8(DATA, 'x');
    g_assert_true(rig_irq(IRQ));
}

static void a_byte_from_the_host_interrupts(void)
{
    start();
    rig_out8(IER, 0x01);
    g_assert_cmpuint(char_deliver(line->chr, (const uint8_t *)"A", 1), ==, 1);
    g_assert_true(rig_irq(IRQ));
    g_assert_cmphex(rig_in8(IIR), ==, 0x04);
    g_assert_cmphex(rig_in8(LSR), ==, 0x61);
    g_assert_cmphex(rig_in8(DATA), ==, 'A');
    g_assert_false(rig_irq(IRQ));
    g_assert_cmphex(rig_in8(LSR), ==, 0x60);
}

static void fifos_wait_for_the_trigger_or_a_timeout(void)
{
    start();
    rig_out8(FCR, 0x81); /* 8 bytes */
    rig_out8(IER, 0x01);
    char_deliver(line->chr, (const uint8_t *)"1234567", 7);
    g_assert_false(rig_irq(IRQ));
    char_deliver(line->chr, (const uint8_t *)"8", 1);
    g_assert_true(rig_irq(IRQ));
    g_assert_cmphex(rig_in8(IIR), ==, 0xc4);
    rig_in8(DATA);
    g_assert_false(rig_irq(IRQ));
    rig_run(NS_PER_SECOND);
    g_assert_true(rig_irq(IRQ));
    g_assert_cmphex(rig_in8(IIR), ==, 0xcc);
    for (int i = 2; i <= 8; i++) {
        g_assert_cmphex(rig_in8(DATA), ==, '0' + i);
    }
    g_assert_false(rig_irq(IRQ));
}

static void a_full_fifo_holds_the_host_back(void)
{
    char text[41] = "abcdefghijklmnopqrstuvwxyz0123456789ABCD";
    GString *got = g_string_new(NULL);

    start();
    rig_out8(FCR, 0x01);
    g_assert_cmpuint(char_deliver(line->chr, (const uint8_t *)text, 40), ==, 40);
    for (int i = 0; i < 50; i++) {
        g_assert_cmphex(rig_in8(LSR) & 2, ==, 0);
        while (rig_in8(LSR) & 1) {
            g_string_append_c(got, rig_in8(DATA));
        }
        main_loop_step(false); /* the rest waits for its turn */
    }
    g_assert_cmpstr(got->str, ==, text);
    g_string_free(got, TRUE);
}

static void loopback_returns_bytes_and_modem_lines(void)
{
    start();
    rig_out8(MCR, 0x1b); /* DTR, RTS, OUT2 */
    g_assert_cmphex(rig_in8(MSR) & 0xf0, ==, 0xb0);
    rig_out8(DATA, 0x42);
    g_assert_cmphex(rig_in8(LSR) & 1, ==, 1);
    g_assert_cmphex(rig_in8(DATA), ==, 0x42);
    rig_out8(DATA, 1);
    rig_out8(DATA, 2); /* without FIFOs the second overruns the first */
    g_assert_cmphex(rig_in8(LSR) & 2, ==, 2);
    g_assert_cmphex(rig_in8(LSR) & 2, ==, 0);
    g_assert_cmpuint(line->written->len, ==, 0);
}

static void a_break_is_a_line_status(void)
{
    start();
    rig_out8(IER, 0x04);
    char_deliver_event(line->chr, CHAR_BREAK);
    g_assert_true(rig_irq(IRQ));
    g_assert_cmphex(rig_in8(IIR), ==, 0x06);
    g_assert_cmphex(rig_in8(LSR) & 0x11, ==, 0x11);
    g_assert_false(rig_irq(IRQ));
    g_assert_cmphex(rig_in8(DATA), ==, 0);
}

static void out2_gates_the_interrupt(void)
{
    start();
    rig_out8(MCR, 0x03);
    rig_out8(IER, 0x02);
    g_assert_false(rig_irq(IRQ));
    rig_out8(MCR, 0x0b);
    g_assert_true(rig_irq(IRQ));
}

static void received_bytes_survive_a_snapshot(void)
{
    start();
    rig_out8(FCR, 0xc1);
    rig_out8(IER, 0x01);
    char_deliver(line->chr, (const uint8_t *)"xyz", 3);
    rig_save_and_load(serial);
    rig_run(NS_PER_SECOND);
    g_assert_true(rig_irq(IRQ));
    g_assert_cmphex(rig_in8(DATA), ==, 'x');
    g_assert_cmphex(rig_in8(DATA), ==, 'y');
    g_assert_cmphex(rig_in8(DATA), ==, 'z');
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    line = rig_char("line");
    serial = rig_add("isa-serial,index=0,chardev=line", rig_isa());
#define ADD(fn) g_test_add_func("/serial/" #fn, fn)
    ADD(bytes_reach_the_host_in_order);
    ADD(the_divisor_latch_hides_data_and_ier);
    ADD(an_empty_transmitter_interrupts_once);
    ADD(a_byte_from_the_host_interrupts);
    ADD(fifos_wait_for_the_trigger_or_a_timeout);
    ADD(a_full_fifo_holds_the_host_back);
    ADD(loopback_returns_bytes_and_modem_lines);
    ADD(a_break_is_a_line_status);
    ADD(out2_gates_the_interrupt);
    ADD(received_bytes_survive_a_snapshot);
    return g_test_run();
}
