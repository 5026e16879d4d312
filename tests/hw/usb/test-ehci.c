/* EHCI: schedules in memory as a driver would write them, and who owns which port. */
#include "core/clock.h"
#include "tests/hw/usb/gadget.h"
#include "tests/hw/usb/registers.h"
#include "util/bits.h"

#include <string.h>

enum { CMD = 0x20, STS = 0x24, INTR = 0x28, FRINDEX = 0x2c, PERIODIC = 0x34, ASYNC = 0x38, CONFIG = 0x60,
       PORT1 = 0x64 };
enum { LIST = 0x10000, QHS = 0x20000, TDS = 0x21000, DATA = 0x40000, QHS2 = 0x80000 };
enum { ACTIVE = 1 << 7, HALTED = 1 << 6, BABBLE = 1 << 4, XACT = 1 << 3, IOC = 1 << 15 };
enum { OUT, IN, SETUP };
enum { END = 1, IS_QH = 2 };
enum { RUN = 1, PERIODIC_ON = 0x10, ASYNC_ON = 0x20, DOORBELL = 0x40 };
enum { PED = 4, RESET = 0x100, OWNER = 0x2000 };

static Device *hc, *companion;
static UsbBus *bus;
static Gadget *gadget;

static uint32_t qtd(int n)
{
    return TDS + n * 64;
}

static uint32_t token(int n)
{
    return load_le32(mem(qtd(n) + 8));
}

static void put_qtd(int n, uint32_t next, uint32_t alternate, unsigned pid, unsigned size, uint32_t flags,
                    uint32_t buffer)
{
    uint8_t *td = mem(qtd(n));

    store_le32(td, next);
    store_le32(td + 4, alternate);
    store_le32(td + 12, buffer);
    for (int i = 1; i < 5; i++) {
        store_le32(td + 12 + i * 4, (buffer & ~0xfffu) + i * 4096);
    }
    store_le32(td + 8, ACTIVE | 3 << 10 | pid << 8 | size << 16 | flags);
}

/* An empty queue that starts with descriptor n. */
static void put_qh(int q, uint32_t link, uint8_t addr, uint8_t ep, unsigned packet, uint32_t caps, uint32_t next)
{
    uint8_t *qh = mem(QHS + q * 64);

    memset(qh, 0, 64);
    store_le32(qh, link);
    store_le32(qh + 4, packet << 16 | (q == 0 ? 1 << 15 : 0) | 2 << 12 | ep << 8 | addr);
    store_le32(qh + 8, caps | 1u << 30);
    store_le32(qh + 16, next);
    store_le32(qh + 20, END);
}

static uint32_t qh_link(int q)
{
    return (QHS + q * 64) | IS_QH;
}

static void run_ms(int ms)
{
    rig_run(ms * NS_PER_MS);
}

static void start(void)
{
    device_reset(hc);
    device_reset(companion);
    gadget_start_over(gadget);
    map_registers(hc);
    memset(mem(LIST), 0, 0x100000);
    for (int i = 0; i < 1024; i++) {
        store_le32(mem(LIST + i * 4), END);
    }
    put(PERIODIC, LIST);
    put(ASYNC, QHS);
    put_qh(0, qh_link(0), 0, 0, 64, 0, END);
    put(INTR, 0x3f);
    put(CONFIG, 1);
    put(PORT1, get(PORT1) | RESET);
    put(PORT1, get(PORT1) & ~RESET);
    put(STS, 0x3f);
    put(CMD, RUN);
}

static void control(uint8_t addr, const uint8_t setup[8], unsigned size)
{
    memcpy(mem(DATA), setup, 8);
    put_qtd(0, size ? qtd(1) : qtd(2), END, SETUP, 8, 0, DATA);
    put_qtd(1, qtd(2), qtd(2), IN, size, 0, DATA + 0x1000);
    put_qtd(2, END, END, size ? OUT : IN, 0, IOC, 0);
    put_qh(0, qh_link(0), addr, 0, 64, 0, qtd(0));
    put(CMD, RUN | ASYNC_ON);
    run_ms(2);
    g_assert_cmphex(token(2) & (ACTIVE | HALTED), ==, 0);
    put(CMD, RUN);
    put(STS, 0x3f);
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
    g_assert_cmphex(get(PORT1) & (1 | PED), ==, 1 | PED);
    control(0, (const uint8_t[8]){ 0x80, 6, 0, 1, 0, 0, 64 }, 64); /* it is shorter than that */
    g_assert_cmphex(load_le16(mem(DATA + 0x1008)), ==, 0x1234);
    g_assert_cmpuint(token(1) >> 16 & 0x7fff, ==, 64 - 18);
    control(0, (const uint8_t[8]){ 0x80, 6, 0, 2, 0, 0, 255 }, 255);
    g_assert_cmpuint(mem(DATA + 0x1000)[2], ==, 9 + 9 + 3 * 7);
    control(0, (const uint8_t[8]){ 0x80, 6, 2, 3, 9, 4, 255 }, 255);
    g_assert_cmpmem(mem(DATA + 0x1000), 14, "\x0e\x03g\0a\0d\0g\0e\0t\0", 14);
    control(0, (const uint8_t[8]){ 0x80, 6, 0, 6, 0, 0, 10 }, 10); /* qualifier */
    g_assert_cmphex(load_le16(mem(DATA + 0x1000)), ==, 0x060a);
    control(0, (const uint8_t[8]){ 0x80, 6, 0, 15, 0, 0, 64 }, 64); /* BOS */
    g_assert_cmphex(load_le16(mem(DATA + 0x1000)), ==, 0x0f05);
}

static void a_large_transfer_crosses_pages(void)
{
    configure();
    for (int i = 0; i < 16000; i++) {
        mem(DATA + 0x123)[i] = i * 7;
    }
    gadget->chunk = 512;
    put_qtd(0, END, END, OUT, 16000, IOC, DATA + 0x123);
    put_qh(0, qh_link(0), 7, 2, 512, 0, qtd(0));
    put(CMD, RUN | ASYNC_ON);
    run_ms(2);
    g_assert_cmpuint(gadget->out_size, ==, 16000);
    g_assert_cmpmem(gadget->out, 16000, mem(DATA + 0x123), 16000);
    g_assert_cmphex(token(0) & (ACTIVE | HALTED | 0x7fff0000), ==, 0);
    g_assert_cmphex(get(STS) & 1, ==, 1);
    g_assert_true(rig_pci_irq());
}

static void a_short_packet_takes_the_other_way(void)
{
    configure();
    gadget->in_left = 700;
    put_qtd(0, qtd(1), qtd(2), IN, 2048, 0, DATA);
    put_qtd(1, END, END, IN, 512, 0, DATA + 4096);
    put_qtd(2, END, END, OUT, 5, IOC, DATA); /* to the same endpoint number: nobody there */
    put_qh(0, qh_link(0), 7, 1, 512, 0, qtd(0));
    put(CMD, RUN | ASYNC_ON);
    run_ms(2);
    g_assert_cmpuint(token(0) >> 16 & 0x7fff, ==, 2048 - 700);
    g_assert_true(token(1) & ACTIVE);
    g_assert_cmphex(token(2) & (ACTIVE | HALTED | XACT), ==, HALTED | XACT);
    g_assert_cmphex(get(STS) & 3, ==, 3);
}

static void a_nak_waits_and_is_woken(void)
{
    configure();
    gadget->answer = USB_NAK;
    put_qtd(0, END, END, OUT, 100, IOC, DATA);
    put_qh(0, qh_link(0), 7, 2, 512, 0, qtd(0));
    put(CMD, RUN | ASYNC_ON);
    run_ms(500);
    g_assert_true(token(0) & ACTIVE);
    g_assert_cmpuint(gadget->transfers, <, 200); /* no longer each microframe */
    gadget->answer = 0;
    usb_ready(&gadget->usb, 2, 0);
    rig_run(NS_PER_US);
    g_assert_cmpuint(gadget->out_size, ==, 100);
    g_assert_false(token(0) & ACTIVE);
}

static void errors_halt_a_queue(void)
{
    static const struct {
        int answer;
        uint32_t bits;
    } cases[] = { { USB_STALL, HALTED }, { USB_BABBLE, HALTED | BABBLE }, { USB_NO_ANSWER, HALTED | XACT } };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        configure();
        gadget->answer = cases[i].answer;
        put_qtd(0, qtd(1), END, IN, 100, 0, DATA);
        put_qtd(1, END, END, IN, 100, 0, DATA);
        put_qh(0, qh_link(0), 7, 1, 512, 0, qtd(0));
        put(CMD, RUN | ASYNC_ON);
        run_ms(2);
        g_assert_cmphex(token(0) & (ACTIVE | HALTED | BABBLE | XACT), ==, cases[i].bits);
        g_assert_true(token(1) & ACTIVE);
        g_assert_cmphex(get(STS) & 2, ==, 2);
    }
}

static void the_doorbell_is_answered(void)
{
    start();
    put(CMD, RUN | ASYNC_ON);
    put(CMD, RUN | ASYNC_ON | DOORBELL);
    g_assert_cmphex(get(STS) & 0x20, ==, 0x20);
    g_assert_cmphex(get(CMD) & DOORBELL, ==, 0);
}

static void an_interrupt_endpoint_is_polled(void)
{
    configure();
    gadget->answer = USB_NAK;
    put_qtd(0, END, END, IN, 8, IOC, DATA);
    put_qh(1, END, 7, 3, 8, 0x01, qtd(0));
    for (int i = 0; i < 1024; i += 4) {
        store_le32(mem(LIST + i * 4), qh_link(1));
    }
    put(CMD, RUN | PERIODIC_ON);
    run_ms(400);
    g_assert_cmpuint(gadget->transfers, >=, 90);
    g_assert_cmpuint(gadget->transfers, <=, 101);
    gadget->answer = 0;
    gadget->in_left = 8;
    usb_ready(&gadget->usb, 0x83, 0);
    run_ms(5);
    g_assert_cmphex(token(0) & (ACTIVE | 0x7fff0000), ==, 0);
    g_assert_true(rig_pci_irq());
}

static void the_frame_index_goes_on_with_time(void)
{
    start();
    run_ms(100);
    rig_run(3 * NS_PER_MS / 8);
    g_assert_cmpuint(get(FRINDEX), ==, 803);
    put(CMD, 0);
    run_ms(10);
    g_assert_cmpuint(get(FRINDEX), ==, 800);
    g_assert_cmphex(get(STS) & 0x1000, ==, 0x1000);
}

static void a_full_speed_device_goes_to_the_companion(void)
{
    Gadget *slow = gadget_new(bus, "3", USB_FULL);
    uint16_t portsc;

    start();
    pci_config_write(rig_pci(), 0, ((PciDevice *)companion)->devfn, 0x20, 0xc000, 4);
    pci_config_write(rig_pci(), 0, ((PciDevice *)companion)->devfn, 0x04, 5, 2);
    g_assert_cmphex(get(PORT1 + 8) & 0xc01, ==, 0x801); /* connected, J */
    put(PORT1 + 8, get(PORT1 + 8) | RESET);
    put(PORT1 + 8, get(PORT1 + 8) & ~RESET);
    g_assert_cmphex(get(PORT1 + 8) & PED, ==, 0);
    put(PORT1 + 8, get(PORT1 + 8) | OWNER);
    g_assert_cmphex(get(PORT1 + 8) & (OWNER | 1), ==, OWNER);
    portsc = rig_in16(0xc010);
    g_assert_cmphex(portsc & 3, ==, 3);
    g_assert_true(usb_root_port(&slow->usb) != slow->usb.socket);
    put(CONFIG, 0); /* all ports to the companions */
    put(CONFIG, 1);
    g_assert_cmphex(get(PORT1 + 8) & (OWNER | 1), ==, 1);
    put(PORT1 + 8, get(PORT1 + 8) | OWNER);
    device_free(&slow->usb.dev);
    g_assert_cmphex(rig_in16(0xc010) & 1, ==, 0);
    g_assert_cmphex(get(PORT1 + 8) & OWNER, ==, 0);
}

static void a_split_descriptor_moves_one_packet(void)
{
    uint8_t *td = mem(TDS);

    configure();
    gadget->in_left = 8;
    memset(td, 0, 64);
    store_le32(td, END);
    store_le32(td + 4, 1u << 31 | 3 << 8 | 7); /* IN, endpoint 3 */
    store_le32(td + 12, 1u << 31 | 8 << 16 | ACTIVE);
    store_le32(td + 16, DATA);
    for (int i = 0; i < 1024; i++) {
        store_le32(mem(LIST + i * 4), TDS | 2 << 1);
    }
    put(CMD, RUN | PERIODIC_ON);
    run_ms(3);
    g_assert_cmphex(load_le32(td + 12) & (ACTIVE | 0x03ff0000), ==, 0);
    g_assert_cmphex(get(STS) & 1, ==, 1);
}

static void an_isochronous_descriptor_moves_all_that_is_active(void)
{
    uint8_t *td = mem(TDS);

    configure();
    gadget->in_left = 100;
    memset(td, 0, 64);
    store_le32(td, END);
    store_le32(td + 4, 1u << 31 | 64 << 16);
    store_le32(td + 8, 1u << 31 | 64 << 16 | IOC | 64);
    store_le32(td + 36, DATA | 1 << 8 | 7);
    store_le32(td + 40, (DATA + 4096) | 1 << 11 | 64);
    for (int i = 0; i < 1024; i++) {
        store_le32(mem(LIST + i * 4), TDS);
    }
    put(CMD, RUN | PERIODIC_ON);
    run_ms(3);
    g_assert_cmphex(load_le32(td + 4) >> 16, ==, 64);
    g_assert_cmphex(load_le32(td + 8) >> 16, ==, 36);
}

static void loops_are_bounded(void)
{
    configure();
    put_qtd(0, qtd(0), qtd(0), OUT, 0, 0, 0); /* follows itself */
    put_qh(0, qh_link(1), 7, 2, 512, 0, qtd(0));
    put_qh(1, qh_link(2), 7, 2, 512, 0, qtd(0));
    put_qh(2, qh_link(1), 7, 2, 512, 0, qtd(0)); /* and the head is never come to again */
    for (int i = 0; i < 1024; i++) {
        store_le32(mem(LIST + i * 4), qh_link(2));
    }
    put(CMD, RUN | ASYNC_ON | PERIODIC_ON);
    run_ms(10);
    put(ASYNC, 0xffffffe0);
    put(PERIODIC, 0xfffff000);
    run_ms(10);
}

/* More than a guest's driver ever queues: a pass does a part of it, and others get the lock in between. */
static void long_queues_are_done_in_parts(void)
{
    enum { COUNT = 4096, SIZE = 16384 };
    int before;

    configure();
    for (int i = 0; i < COUNT; i++) {
        put_qtd(i, i + 1 < COUNT ? qtd(i + 1) : END, END, IN, SIZE, 0, 0x100000);
    }
    gadget->answer = SIZE;
    for (int q = 0; q < 3; q++) {
        put_qh(q, qh_link((q + 1) % 3), 7, 1, 512, 0, q == 1 ? qtd(0) : END);
    }
    put(CMD, RUN | ASYNC_ON);
    for (before = 0; before < COUNT; before = gadget->transfers) {
        rig_run(NS_PER_MS / 8);
        g_assert_cmpint(gadget->transfers - before, >, 0);
        g_assert_cmpint(gadget->transfers - before, <, 200);
    }
    g_assert_false(token(COUNT - 1) & ACTIVE);

    configure();
    for (int i = 0; i < 1024; i++) {
        put_qtd(i, END, END, IN, SIZE, 0, 0x100000);
        memcpy(mem(QHS2 + i * 64), mem(QHS), 64);
        store_le32(mem(QHS2 + i * 64), i < 1023 ? (QHS2 + (i + 1) * 64) | IS_QH : END);
        store_le32(mem(QHS2 + i * 64 + 4), 512 << 16 | 2 << 12 | 1 << 8 | 7);
        store_le32(mem(QHS2 + i * 64 + 8), 1u << 30 | 0xff);
        store_le32(mem(QHS2 + i * 64 + 16), qtd(i));
        store_le32(mem(LIST + i * 4), QHS2 | IS_QH);
    }
    gadget->answer = SIZE;
    gadget->transfers = 0;
    put(CMD, RUN | PERIODIC_ON);
    run_ms(1);
    g_assert_cmpint(gadget->transfers, >, 0);
    g_assert_cmpint(gadget->transfers, <, 200);
    run_ms(50);
    g_assert_cmpint(gadget->transfers, ==, 1024);
}

/* What a device does not take has been copied all the same. The list goes on where a pass left it. */
static void a_queue_has_its_turn_behind_greedy_ones(void)
{
    enum { COUNT = 500, SIZE = 16384 };

    configure();
    put_qtd(0, END, END, IN, 1, 0, 0x100000);
    for (int i = 0; i <= COUNT; i++) {
        put_qh(i ? 0x1000 + i : 0, i < COUNT ? qh_link(0x1000 + i + 1) : qh_link(0), i < COUNT ? 7 : 9, 2, 512, 0, i < COUNT ? qtd(1 + i) : qtd(0));
        put_qtd(1 + i, END, END, OUT, SIZE, 0, 0x100000);
    }
    gadget->answer = USB_NAK;
    gadget->transfers = 0;
    put(CMD, RUN | ASYNC_ON);
    rig_run(NS_PER_MS / 8);
    g_assert_cmpint(gadget->transfers, <, 200);
    run_ms(100);
    g_assert_cmphex(token(0) & (ACTIVE | HALTED | XACT), ==, HALTED | XACT); /* it is for nobody */
}

static void a_snapshot_goes_on(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();

    configure();
    gadget->answer = USB_NAK;
    put_qtd(0, END, END, OUT, 100, IOC, DATA);
    put_qh(0, qh_link(0), 7, 2, 512, 0, qtd(0));
    put(CMD, RUN | ASYNC_ON);
    run_ms(5);
    device_save(hc, file);
    device_save(&gadget->usb.dev, file);
    device_reset(hc);
    device_reset(&gadget->usb.dev);
    g_assert_true(device_load(hc, file, NULL));
    g_assert_true(device_load(&gadget->usb.dev, file, NULL));
    gadget->answer = 0;
    run_ms(20);
    g_assert_cmpuint(gadget->out_size, ==, 100);
}

static void random_schedules_end(void)
{
    for (int round = 0; round < 60; round++) {
        configure();
        gadget->in_left = 3000;
        for (int i = 0; i < 600; i++) {
            uint32_t at = i & 1 ? QHS + g_test_rand_int_range(0, 0x800) * 4 : LIST + g_test_rand_int_range(0, 1024) * 4;
            uint32_t value = (uint32_t)g_test_rand_int();

            if (g_test_rand_bit()) {
                value = (value & 0xf) | (QHS + g_test_rand_int_range(0, 0x80) * 64);
            } else if (g_test_rand_bit()) {
                value = (value & 0x7fff8f80) | ACTIVE;
            }
            store_le32(mem(at), value);
        }
        put(CMD, RUN | ASYNC_ON | PERIODIC_ON);
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
    hc = rig_add("usb-ehci,id=usb", pci_bus_bus(rig_pci()));
    companion = rig_add("ich9-usb-uhci1,masterbus=usb.0,firstport=2", pci_bus_bus(rig_pci()));
    bus = (UsbBus *)bus_find("usb.0");
    gadget = gadget_new(bus, "1", USB_HIGH);
#define ADD(fn) g_test_add_func("/ehci/" #fn, fn)
    ADD(a_descriptor_is_read);
    ADD(a_large_transfer_crosses_pages);
    ADD(a_short_packet_takes_the_other_way);
    ADD(a_nak_waits_and_is_woken);
    ADD(errors_halt_a_queue);
    ADD(the_doorbell_is_answered);
    ADD(an_interrupt_endpoint_is_polled);
    ADD(the_frame_index_goes_on_with_time);
    ADD(a_full_speed_device_goes_to_the_companion);
    ADD(a_split_descriptor_moves_one_packet);
    ADD(an_isochronous_descriptor_moves_all_that_is_active);
    ADD(loops_are_bounded);
    ADD(long_queues_are_done_in_parts);
    ADD(a_queue_has_its_turn_behind_greedy_ones);
    ADD(a_snapshot_goes_on);
    ADD(random_schedules_end);
    return g_test_run();
}
