/* UHCI: schedules in memory as a driver would write them, good and bad, and devices behind them. */
#include "core/clock.h"
#include "core/input.h"
#include "tests/hw/rig.h"
#include "tests/hw/usb/gadget.h"
#include "util/bits.h"

#include <string.h>

enum { CMD = 0, STS = 2, INTR = 4, FRNUM = 6, FLBASE = 8, PORT1 = 16 };
enum { LIST = 0x10000, QH = 0x20000, TDS = 0x21000, DATA = 0x30000 };
enum { ACTIVE = 1 << 23, IOC = 1 << 24, SPD = 1 << 29, CERR = 3 << 27, STALLED = 1 << 22, BABBLE = 1 << 20,
       NAK = 1 << 19, TIMEOUT = 1 << 18 };
enum { END = 1, IS_QH = 2, DEPTH = 4 };
#define IO 0xc000

static Device *hc;
static UsbBus *bus;
static Gadget *gadget;

static uint8_t *mem(uint32_t at)
{
    return rig_ram() + at;
}

static void put_td(int n, uint32_t link, uint32_t flags, uint8_t pid, uint8_t addr, uint8_t ep, unsigned size,
                   uint32_t buffer)
{
    uint8_t *td = mem(TDS + n * 32);

    store_le32(td, link);
    store_le32(td + 4, ACTIVE | CERR | flags);
    store_le32(td + 8, ((size - 1) & 0x7ff) << 21 | ep << 15 | addr << 8 | pid);
    store_le32(td + 12, buffer);
}

static uint32_t td_link(int n)
{
    return (TDS + n * 32) | DEPTH;
}

static uint32_t td_status(int n)
{
    return load_le32(mem(TDS + n * 32 + 4));
}

static void put_qh(int n, uint32_t head, uint32_t element)
{
    store_le32(mem(QH + n * 16), head);
    store_le32(mem(QH + n * 16 + 4), element);
}

static void start(void)
{
    int devfn = ((PciDevice *)hc)->devfn;

    device_reset(hc);
    gadget_start_over(gadget);
    pci_config_write(rig_pci(), 0, devfn, 0x20, IO, 4);
    pci_config_write(rig_pci(), 0, devfn, 0x04, 5, 2);
    memset(mem(LIST), 0, 0x100000);
    for (int i = 0; i < 1024; i++) {
        store_le32(mem(LIST + i * 4), QH | IS_QH);
    }
    put_qh(0, END, END);
    rig_out32(IO + FLBASE, LIST);
    rig_out16(IO + INTR, 15);
    rig_out16(IO + PORT1, 0x200);
    rig_out16(IO + PORT1, 0);
    rig_out16(IO + PORT1, 0x04 | 0x0a);
    rig_out16(IO + STS, 0x3f);
    rig_out16(IO + CMD, 1);
}

static void run_ms(int ms)
{
    rig_run(ms * NS_PER_MS);
}

/* A control transfer with data towards the host in `pieces` packets. */
static void control_in(uint8_t addr, const uint8_t setup[8], unsigned size)
{
    int n = 1;

    memcpy(mem(DATA), setup, 8);
    put_td(0, td_link(1), 0, USB_SETUP, addr, 0, 8, DATA);
    for (unsigned at = 0; at < size; at += 8, n++) {
        put_td(n, td_link(n + 1), SPD, USB_IN, addr, 0, MIN(8, size - at), DATA + 0x100 + at);
    }
    put_td(n, END, IOC, USB_OUT, addr, 0, 0, 0);
    put_qh(0, END, TDS);
    run_ms(3);
}

static void control_none(uint8_t addr, uint8_t request, uint16_t value)
{
    uint8_t setup[8] = { 0, request, value, value >> 8 };

    memcpy(mem(DATA), setup, 8);
    put_td(0, td_link(1), 0, USB_SETUP, addr, 0, 8, DATA);
    put_td(1, END, IOC, USB_IN, addr, 0, 0, 0);
    put_qh(0, END, TDS);
    run_ms(3);
}

static void configure(void)
{
    start();
    control_none(0, 5, 7);
    control_none(7, 9, 1);
    rig_out16(IO + STS, 0x3f);
}

static void ports_are_found_and_enabled(void)
{
    start();
    g_assert_cmphex(rig_in16(IO + PORT1) & 0x85, ==, 0x85);
    g_assert_cmphex(rig_in16(IO + PORT1 + 2) & 0x85, ==, 0x80);
    g_assert_cmphex(rig_in16(IO + PORT1 + 4), ==, 0xff7f); /* there is no third */
}

static void a_descriptor_is_read(void)
{
    static const uint8_t setup[8] = { 0x80, 6, 0, 1, 0, 0, 18, 0 };

    start();
    control_in(0, setup, 18);
    g_assert_cmphex(load_le16(mem(DATA + 0x108)), ==, 0x1234);
    g_assert_cmphex(load_le16(mem(DATA + 0x10a)), ==, 0x5678);
    g_assert_cmphex(td_status(3) & 0x7ff, ==, 1); /* two bytes */
    g_assert_cmphex(load_le32(mem(QH + 4)), ==, END);
    g_assert_true(rig_pci_irq());
    rig_out16(IO + STS, 1);
    g_assert_false(rig_pci_irq());
}

static void an_address_is_taken(void)
{
    configure();
    g_assert_cmpint(gadget->usb.core.address, ==, 7);
    g_assert_cmpint(gadget->usb.core.configuration, ==, 1);
}

static void a_short_packet_stops_the_queue(void)
{
    configure();
    gadget->in_left = 70;
    put_td(0, td_link(1), SPD, USB_IN, 7, 1, 64, DATA);
    put_td(1, td_link(2), SPD, USB_IN, 7, 1, 64, DATA + 64);
    put_td(2, END, SPD | IOC, USB_IN, 7, 1, 64, DATA + 128);
    put_qh(0, END, TDS);
    run_ms(2);
    g_assert_cmphex(td_status(0) & (ACTIVE | 0x7ff), ==, 63);
    g_assert_cmphex(td_status(1) & (ACTIVE | 0x7ff), ==, 5);
    g_assert_true(td_status(2) & ACTIVE);
    g_assert_cmphex(load_le32(mem(QH + 4)) & ~15u, ==, TDS + 32); /* stays there */
    g_assert_true(rig_pci_irq());
}

static void a_nak_is_tried_again(void)
{
    configure();
    gadget->answer = USB_NAK;
    put_td(0, END, IOC, USB_OUT, 7, 2, 64, DATA);
    put_qh(0, END, TDS);
    run_ms(20);
    g_assert_cmphex(td_status(0) & (ACTIVE | NAK), ==, ACTIVE | NAK);
    g_assert_cmpuint(gadget->transfers, >=, 18);
    g_assert_false(rig_pci_irq());
    gadget->answer = 0;
    run_ms(2);
    g_assert_cmphex(td_status(0) & (ACTIVE | NAK | 0x7ff), ==, 63);
    g_assert_cmpuint(gadget->out_size, ==, 64);
    g_assert_true(rig_pci_irq());
}

static void a_stall_halts_the_queue_until_it_is_cleared(void)
{
    configure();
    gadget->answer = USB_STALL;
    put_td(0, END, 0, USB_OUT, 7, 2, 64, DATA);
    put_qh(0, END, TDS);
    run_ms(2);
    g_assert_cmphex(td_status(0) & (ACTIVE | STALLED | BABBLE | TIMEOUT), ==, STALLED);
    g_assert_cmphex(rig_in16(IO + STS) & 2, ==, 2);
    gadget->answer = 0;
    put_td(0, END, 0, USB_OUT, 7, 2, 64, DATA);
    put_qh(0, END, TDS);
    run_ms(2);
    g_assert_cmphex(td_status(0) & STALLED, ==, STALLED); /* still halted */
    memcpy(mem(DATA), (const uint8_t[]){ 2, 1, 0, 0, 2, 0, 0, 0 }, 8);
    put_td(0, td_link(1), 0, USB_SETUP, 7, 0, 8, DATA);
    put_td(1, END, 0, USB_IN, 7, 0, 0, 0);
    put_qh(0, END, TDS);
    run_ms(2);
    put_td(0, END, 0, USB_OUT, 7, 2, 64, DATA);
    put_qh(0, END, TDS);
    run_ms(2);
    g_assert_cmphex(td_status(0) & (ACTIVE | STALLED), ==, 0);
}

static void nobody_there_is_a_timeout(void)
{
    start();
    put_td(0, END, 0, USB_IN, 99, 0, 8, DATA);
    put_qh(0, END, TDS);
    run_ms(2);
    g_assert_cmphex(td_status(0) & (ACTIVE | STALLED | TIMEOUT | CERR), ==, STALLED | TIMEOUT);
}

static void babble_is_reported(void)
{
    configure();
    gadget->answer = USB_BABBLE;
    put_td(0, END, 0, USB_IN, 7, 1, 8, DATA);
    put_qh(0, END, TDS);
    run_ms(2);
    g_assert_cmphex(td_status(0) & (ACTIVE | STALLED | BABBLE), ==, STALLED | BABBLE);
}

static void a_ring_of_queues_is_gone_round_until_nothing_moves(void)
{
    configure();
    put_qh(0, (QH + 16) | IS_QH, TDS);
    put_qh(1, QH | IS_QH, TDS + 32 * 8);
    for (int n = 0; n < 8; n++) { /* breadth first: one each per visit */
        put_td(n, n < 7 ? (TDS + (n + 1) * 32) : END, 0, USB_OUT, 7, 2, 64, DATA);
        put_td(8 + n, n < 7 ? (TDS + (9 + n) * 32) : END, 0, USB_OUT, 7, 2, 64, DATA);
    }
    run_ms(2);
    g_assert_cmpuint(gadget->out_size, ==, 16 * 64);
    gadget->answer = USB_NAK;
    put_td(0, END, 0, USB_OUT, 7, 2, 64, DATA);
    put_qh(0, (QH + 16) | IS_QH, TDS);
    gadget->transfers = 0;
    run_ms(1);
    g_assert_cmpuint(gadget->transfers, <, 8); /* per frame */
}

static void loops_of_anything_are_bounded(void)
{
    configure();
    put_td(0, td_link(0), 0, USB_OUT, 7, 2, 1, DATA); /* a descriptor that follows itself, re-armed never */
    put_qh(0, QH | IS_QH, TDS);
    run_ms(2);
    put_qh(0, END, (QH + 0) | IS_QH); /* a queue of itself */
    run_ms(2);
    store_le32(mem(TDS), TDS); /* the list of a frame is a descriptor that follows itself */
    for (int i = 0; i < 1024; i++) {
        store_le32(mem(LIST + i * 4), TDS);
    }
    run_ms(2);
    rig_out32(IO + FLBASE, 0xfffff000); /* nothing there */
    run_ms(2);
}

static void an_impossible_descriptor_halts_the_controller(void)
{
    configure();
    put_td(0, END, 0, 0x42, 7, 2, 64, DATA);
    put_qh(0, END, TDS);
    run_ms(2);
    g_assert_cmphex(rig_in16(IO + STS) & 0x30, ==, 0x30);
    g_assert_cmphex(rig_in16(IO + CMD) & 1, ==, 0);
}

static void frames_are_counted_when_nothing_happens(void)
{
    start();
    run_ms(1000);
    g_assert_cmpuint(rig_in16(IO + FRNUM), ==, 1000);
    rig_run(NS_PER_MS / 2);
    g_assert_cmpuint(rig_in16(IO + FRNUM), ==, 1000);
    rig_run(NS_PER_MS);
    g_assert_cmpuint(rig_in16(IO + FRNUM), ==, 1001);
}

static void an_idle_schedule_wakes_when_a_device_has_something(void)
{
    uint64_t before;

    configure();
    gadget->answer = USB_NAK;
    put_td(0, END, IOC, USB_IN, 7, 3, 8, DATA);
    put_qh(0, END, TDS);
    run_ms(200);
    gadget->answer = 0;
    gadget->in_left = 8;
    rig_run(NS_PER_US);
    before = clock_now(CLOCK_GUEST);
    usb_ready(&gadget->usb, 0x83, 0);
    while (td_status(0) & ACTIVE) {
        rig_run(NS_PER_MS / 4);
    }
    g_assert_cmpint(clock_now(CLOCK_GUEST) - before, <=, 2 * NS_PER_MS);
}

static void a_snapshot_goes_on(void)
{
    configure();
    gadget->answer = USB_NAK;
    put_td(0, END, IOC, USB_OUT, 7, 2, 64, DATA);
    put_qh(0, END, TDS);
    run_ms(3);
    {
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autoptr(GError) error = NULL;

        device_save(hc, file);
        device_save(&gadget->usb.dev, file);
        device_reset(hc);
        device_reset(&gadget->usb.dev);
        device_load(hc, file, &error);
        g_assert_no_error(error);
        device_load(&gadget->usb.dev, file, &error);
        g_assert_no_error(error);
    }
    gadget->answer = 0;
    run_ms(3);
    g_assert_cmpuint(gadget->out_size, ==, 64);
}

static void unplugging_is_seen(void)
{
    Gadget *second = gadget_new(bus, "2", USB_FULL);

    start();
    g_assert_cmphex(rig_in16(IO + PORT1 + 2) & 3, ==, 3);
    rig_out16(IO + PORT1 + 2, 0x0a);
    device_free(&second->usb.dev);
    g_assert_cmphex(rig_in16(IO + PORT1 + 2) & 3, ==, 2);
}

static void a_tablet_reports(void)
{
    Device *tablet = rig_add("usb-tablet,port=2", &bus->bus);

    start();
    rig_out16(IO + PORT1 + 2, 0x200);
    rig_out16(IO + PORT1 + 2, 0);
    rig_out16(IO + PORT1 + 2, 0x04 | 0x0a);
    rig_out16(IO + PORT1, 0);
    control_none(0, 5, 9);
    control_none(9, 9, 1);
    g_assert_true(input_pointer_is_absolute());
    put_td(0, END, IOC, USB_IN, 9, 1, 8, DATA);
    put_qh(0, END, TDS);
    run_ms(30);
    g_assert_true(td_status(0) & ACTIVE);
    input_send_move_to(0x1234, 0x4321);
    input_send_button(BUTTON_LEFT, true);
    input_send_sync();
    run_ms(20);
    g_assert_cmphex(td_status(0) & (ACTIVE | 0x7ff), ==, 5);
    g_assert_cmpmem(mem(DATA), 6, "\x01\x34\x12\x21\x43\x00", 6);
    rig_save_and_load(tablet);
    device_free(tablet);
    g_assert_false(input_pointer_is_absolute());
}

static void random_schedules_end(void)
{
    for (int round = 0; round < 60; round++) {
        configure();
        for (int i = 0; i < 400; i++) {
            uint32_t at = LIST + g_test_rand_int_range(0, 0x8000) * 4, value = (uint32_t)g_test_rand_int();

            at = i & 1 ? QH + g_test_rand_int_range(0, 0x800) * 4 : at;
            if (g_test_rand_bit()) {
                value = (value & 0xf) | (QH + g_test_rand_int_range(0, 0x100) * 32);
            }
            store_le32(mem(at), value);
        }
        run_ms(5);
        rig_save_and_load(hc);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    hc = rig_add("piix3-usb-uhci", pci_bus_bus(rig_pci()));
    bus = (UsbBus *)bus_find_kind("usb");
    gadget = gadget_new(bus, "1", USB_FULL);
#define ADD(fn) g_test_add_func("/uhci/" #fn, fn)
    ADD(ports_are_found_and_enabled);
    ADD(a_descriptor_is_read);
    ADD(an_address_is_taken);
    ADD(a_short_packet_stops_the_queue);
    ADD(a_nak_is_tried_again);
    ADD(a_stall_halts_the_queue_until_it_is_cleared);
    ADD(nobody_there_is_a_timeout);
    ADD(babble_is_reported);
    ADD(a_ring_of_queues_is_gone_round_until_nothing_moves);
    ADD(loops_of_anything_are_bounded);
    ADD(an_impossible_descriptor_halts_the_controller);
    ADD(frames_are_counted_when_nothing_happens);
    ADD(an_idle_schedule_wakes_when_a_device_has_something);
    ADD(a_snapshot_goes_on);
    ADD(unplugging_is_seen);
    ADD(a_tablet_reports);
    ADD(random_schedules_end);
    return g_test_run();
}
