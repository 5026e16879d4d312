/* OHCI: endpoint and transfer descriptors in memory as a driver would write them. */
#include "core/clock.h"
#include "tests/hw/usb/gadget.h"
#include "tests/hw/usb/registers.h"
#include "util/bits.h"

#include <string.h>

enum { CONTROL = 0x04, COMMAND = 0x08, STATUS = 0x0c, ENABLE = 0x10, HCCA = 0x18, CONTROL_HEAD = 0x20,
       BULK_HEAD = 0x28, FM_NUMBER = 0x3c, DESCRIPTOR_A = 0x48, PORT1 = 0x54 };
enum { AREA = 0x10000, EDS = 0x11000, TDS = 0x12000, DATA = 0x40000 };
enum { OPERATIONAL = 0x80, LISTS = 0x3c };
enum { SETUP = 0, OUT = 1, IN = 2, ROUNDING = 1 << 18 };
#define END 20 /* the descriptor that ends every queue */

static Device *hc;
static UsbBus *bus;
static Gadget *gadget;

static uint32_t td(int n)
{
    return TDS + n * 32;
}

static void put_td(int n, int next, unsigned pid, uint32_t flags, uint32_t buffer, unsigned size)
{
    store_le32(mem(td(n)), 15u << 28 | pid << 19 | flags);
    store_le32(mem(td(n) + 4), size ? buffer : 0);
    store_le32(mem(td(n) + 8), td(next));
    store_le32(mem(td(n) + 12), size ? buffer + size - 1 : 0);
}

static void put_ed(int n, uint8_t addr, uint8_t ep, unsigned direction, unsigned packet, int first)
{
    store_le32(mem(EDS + n * 16), packet << 16 | direction << 11 | ep << 7 | addr);
    store_le32(mem(EDS + n * 16 + 4), td(END));
    store_le32(mem(EDS + n * 16 + 8), td(first));
    store_le32(mem(EDS + n * 16 + 12), 0);
}

static unsigned code(int n)
{
    return load_le32(mem(td(n))) >> 28;
}

static void start(void)
{
    device_reset(hc);
    gadget_start_over(gadget);
    map_registers(hc);
    memset(mem(AREA), 0, 0x100000);
    put(HCCA, AREA);
    put(CONTROL_HEAD, EDS);
    put(BULK_HEAD, EDS + 16);
    put_ed(0, 0, 0, 0, 8, END);
    put_ed(1, 0, 0, 0, 8, END);
    put(PORT1, 1 << 4);
    put(PORT1, 0x1f0000);
    put(CONTROL, OPERATIONAL | LISTS);
    put(ENABLE, 1u << 31 | 2);
}

static void run_ms(int ms)
{
    rig_run(ms * NS_PER_MS);
}

static void control(uint8_t addr, const uint8_t setup[8], unsigned size)
{
    memcpy(mem(DATA), setup, 8);
    put_td(0, 1, SETUP, 0, DATA, 8);
    put_td(1, 2, IN, ROUNDING, DATA + 0x100, size);
    put_td(2, END, size ? OUT : IN, 0, 0, 0);
    if (!size) {
        put_td(0, 2, SETUP, 0, DATA, 8);
    }
    put_ed(0, addr, 0, 0, 8, 0);
    put(COMMAND, 2);
    run_ms(5);
    g_assert_cmpuint(code(2), ==, 0);
    put(STATUS, 0x7f);
}

static void configure(void)
{
    start();
    control(0, (const uint8_t[8]){ 0, 5, 7 }, 0);
    control(7, (const uint8_t[8]){ 0, 9, 1 }, 0);
}

static void a_descriptor_is_read(void)
{
    start();
    g_assert_cmpuint(get(DESCRIPTOR_A) & 0xff, ==, 3);
    g_assert_cmphex(get(PORT1) & 0x103, ==, 0x103);
    control(0, (const uint8_t[8]){ 0x80, 6, 0, 1, 0, 0, 64 }, 64);
    g_assert_cmphex(load_le16(mem(DATA + 0x108)), ==, 0x1234);
    g_assert_cmphex(load_le32(mem(td(1) + 4)), ==, DATA + 0x100 + 18); /* where the short packet ended */
    control(0, (const uint8_t[8]){ 0x80, 6, 0, 1, 0, 0, 18 }, 18);
    g_assert_cmphex(load_le32(mem(td(1) + 4)), ==, 0);
}

static void the_done_queue_is_given_out(void)
{
    configure();
    put_td(3, 4, OUT, 0, DATA, 64);
    put_td(4, END, OUT, 0, DATA + 0xfc0, 128); /* across two pages */
    put_ed(1, 7, 2, OUT, 64, 3);
    put(COMMAND, 4);
    run_ms(3);
    g_assert_cmpuint(gadget->out_size, ==, 192);
    g_assert_true(rig_pci_irq());
    g_assert_cmphex(load_le32(mem(AREA + 0x84)) & ~1u, ==, td(4)); /* the last first */
    g_assert_cmphex(load_le32(mem(td(4) + 8)), ==, td(3));
    g_assert_cmphex(load_le32(mem(td(3) + 8)), ==, 0);
    put(STATUS, 2);
    g_assert_false(rig_pci_irq());
}

static void a_nak_is_tried_again(void)
{
    configure();
    gadget->answer = USB_NAK;
    put_td(3, END, OUT, 0, DATA, 64);
    put_ed(1, 7, 2, OUT, 64, 3);
    put(COMMAND, 4);
    run_ms(10);
    g_assert_cmpuint(code(3), ==, 15);
    gadget->answer = 0;
    run_ms(3);
    g_assert_cmpuint(code(3), ==, 0);
}

static void errors_halt_an_endpoint(void)
{
    static const struct {
        int answer;
        unsigned code;
    } cases[] = { { USB_STALL, 4 }, { USB_NO_ANSWER, 5 }, { USB_BABBLE, 8 } };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        configure();
        gadget->answer = cases[i].answer;
        put_td(3, END, IN, 0, DATA, 64);
        put_ed(1, 7, 1, IN, 64, 3);
        put(COMMAND, 4);
        run_ms(3);
        g_assert_cmpuint(code(3), ==, cases[i].code);
        g_assert_cmphex(load_le32(mem(EDS + 16 + 8)) & 1, ==, 1);
    }
}

static void a_short_packet_is_an_error_unless_it_is_allowed(void)
{
    configure();
    gadget->in_left = 10;
    put_td(3, END, IN, 0, DATA, 64);
    put_ed(1, 7, 1, IN, 64, 3);
    put(COMMAND, 4);
    run_ms(3);
    g_assert_cmpuint(code(3), ==, 9);
}

static void an_interrupt_endpoint_is_polled_in_its_frames(void)
{
    configure();
    gadget->answer = USB_NAK;
    put_td(3, END, IN, ROUNDING, DATA, 8);
    put_ed(2, 7, 3, IN, 8, 3);
    for (int i = 0; i < 32; i += 8) {
        store_le32(mem(AREA + i * 4), EDS + 32);
    }
    gadget->transfers = 0;
    run_ms(320);
    g_assert_cmpuint(gadget->transfers, >=, 36);
    g_assert_cmpuint(gadget->transfers, <=, 42);
    gadget->answer = 0;
    gadget->in_left = 8;
    usb_ready(&gadget->usb, 0x83, 0);
    run_ms(12);
    g_assert_cmpuint(code(3), ==, 0);
}

static void frames_are_counted(void)
{
    uint32_t first;

    start();
    first = get(FM_NUMBER);
    run_ms(500);
    g_assert_cmpuint(get(FM_NUMBER) - first, ==, 500);
}

static void an_isochronous_packet_goes_in_its_frame(void)
{
    uint32_t frame;

    configure();
    gadget->in_left = 100;
    frame = get(FM_NUMBER) + 3;
    store_le32(mem(td(3)), 15u << 28 | 1 << 24 | (frame & 0xffff));
    store_le32(mem(td(3) + 4), DATA);
    store_le32(mem(td(3) + 8), td(END));
    store_le32(mem(td(3) + 12), DATA + 127);
    store_le32(mem(td(3) + 16), 0xe000 | 0xe040u << 16);
    put_ed(2, 7, 3, IN, 64, 3);
    store_le32(mem(EDS + 32), load_le32(mem(EDS + 32)) | 1 << 15);
    for (int i = 0; i < 32; i++) {
        store_le32(mem(AREA + i * 4), EDS + 32);
    }
    run_ms(40);
    g_assert_cmphex(load_le16(mem(td(3) + 16)), ==, 64);
    g_assert_cmphex(load_le16(mem(td(3) + 18)), ==, 9 << 12 | 36);
    g_assert_cmpuint(code(3), ==, 0);
}

static void loops_are_bounded(void)
{
    configure();
    put_td(3, 3, OUT, 0, DATA, 1);
    put_ed(1, 7, 2, OUT, 64, 3);
    store_le32(mem(EDS + 16 + 12), EDS + 16); /* an endpoint that follows itself */
    for (int i = 0; i < 32; i++) {
        store_le32(mem(AREA + i * 4), EDS + 16);
    }
    put(COMMAND, 6);
    run_ms(10);
}

/* More than a guest's driver ever queues: a frame does a part of it, and others get the lock in between. */
static void long_queues_are_done_in_parts(void)
{
    enum { FIRST = 100, COUNT = 3200, EACH = 50, SIZE = 8192 };
    int before;

    configure();
    for (int i = 0; i < COUNT; i++) {
        put_td(FIRST + i, i % EACH == EACH - 1 ? END : FIRST + i + 1, IN, 7 << 21, 0x100000, SIZE);
    }
    for (int n = 0; n < COUNT / EACH; n++) {
        put_ed(16 + n, 7, 1, IN, 64, FIRST + n * EACH);
        store_le32(mem(EDS + (16 + n) * 16 + 12), n + 1 < COUNT / EACH ? EDS + (17 + n) * 16 : 0);
    }
    put(BULK_HEAD, EDS + 16 * 16);
    gadget->answer = SIZE;
    gadget->transfers = 0;
    put(COMMAND, 4);
    for (before = 0; before < COUNT; before = gadget->transfers) {
        run_ms(1);
        g_assert_cmpint(gadget->transfers - before, >, 0);
        g_assert_cmpint(gadget->transfers - before, <, 200);
    }
    run_ms(2);
    g_assert_cmphex(get(COMMAND) & 4, ==, 0);
}

/* What a device does not take has been copied all the same. The list goes on where a frame left it. */
static void what_is_refused_counts(void)
{
    enum { COUNT = 500, SIZE = 8192, FIRST_ED = 0x7000 };

    configure();
    put_td(100, END, OUT, 0, 0x100000, SIZE);
    put_td(101, END, IN, 0, 0x100000, 1);
    for (int n = 0; n < COUNT; n++) {
        put_ed(FIRST_ED + n, 7, 2, OUT, 64, 100);
        store_le32(mem(EDS + (FIRST_ED + n) * 16 + 12), EDS + (FIRST_ED + n + 1) * 16);
    }
    put_ed(FIRST_ED + COUNT, 9, 1, IN, 64, 101); /* to nobody */
    put(BULK_HEAD, EDS + FIRST_ED * 16);
    gadget->answer = USB_NAK;
    gadget->transfers = 0;
    put(COMMAND, 4);
    run_ms(1);
    g_assert_cmpint(gadget->transfers, >, 0);
    g_assert_cmpint(gadget->transfers, <, 300);
    g_assert_cmphex(get(COMMAND) & 4, ==, 4);
    run_ms(10);
    g_assert_cmpuint(code(101), ==, 5); /* its turn has come */
    gadget->answer = 0;
    run_ms(20);
    g_assert_cmpuint(code(100), ==, 0);
}

static void random_schedules_end(void)
{
    for (int round = 0; round < 60; round++) {
        configure();
        gadget->in_left = 3000;
        for (int i = 0; i < 500; i++) {
            uint32_t at = AREA + g_test_rand_int_range(0, 0xc00) * 4, value = (uint32_t)g_test_rand_int();

            if (g_test_rand_bit()) {
                value = EDS + g_test_rand_int_range(0, 0x200) * 16;
            } else if (g_test_rand_bit()) {
                value = (value & 0x07ff0003) | 7;
            }
            store_le32(mem(at), value);
        }
        put(COMMAND, 6);
        run_ms(10);
        rig_save_and_load(hc);
        run_ms(1);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    hc = rig_add("pci-ohci,id=usb", pci_bus_bus(rig_pci()));
    bus = (UsbBus *)bus_find("usb.0");
    gadget = gadget_new(bus, "1", USB_FULL);
#define ADD(fn) g_test_add_func("/ohci/" #fn, fn)
    ADD(a_descriptor_is_read);
    ADD(the_done_queue_is_given_out);
    ADD(a_nak_is_tried_again);
    ADD(errors_halt_an_endpoint);
    ADD(a_short_packet_is_an_error_unless_it_is_allowed);
    ADD(an_interrupt_endpoint_is_polled_in_its_frames);
    ADD(frames_are_counted);
    ADD(an_isochronous_packet_goes_in_its_frame);
    ADD(loops_are_bounded);
    ADD(long_queues_are_done_in_parts);
    ADD(what_is_refused_counts);
    ADD(random_schedules_end);
    return g_test_run();
}
