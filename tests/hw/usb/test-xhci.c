/* xHCI: rings and contexts in memory as a driver would write them, good and bad. */
#include "core/clock.h"
#include "tests/hw/usb/gadget.h"
#include "tests/hw/usb/registers.h"
#include "util/bits.h"

#include <string.h>

enum { CMD = 0x40, STS = 0x44, CRCR = 0x58, DCBAAP = 0x70, CONFIG = 0x78, PORTSC = 0x440, IMAN = 0x1020, IMOD = 0x1024,
       ERSTSZ = 0x1028, ERSTBA = 0x1030, ERDP = 0x1038, DOORBELL = 0x2000 };
enum { CONTEXTS = 0x10000, OUTPUT = 0x11000, INPUT = 0x12000, COMMANDS = 0x13000, EVENTS = 0x14000, SEGMENTS = 0x15000,
       EP0 = 0x16000, BULK_IN = 0x17000, BULK_OUT = 0x18000, STREAMS = 0x19000, DATA = 0x40000 };
enum { NORMAL = 1, SETUP, DATA_STAGE, STATUS, LINK = 6, EVENT_DATA, NOOP, ENABLE_SLOT, DISABLE_SLOT, ADDRESS, CONFIGURE,
       EVALUATE, RESET_EP, STOP_EP, SET_DEQUEUE, RESET_DEVICE, CMD_NOOP = 23 };
enum { CYCLE = 1, TOGGLE = 2, ISP = 4, CHAIN = 16, IOC = 32, IDT = 64 };
enum { EVENT_RING = 16, IN = 3, OUT = 4 }; /* endpoint 1 IN, endpoint 2 OUT */

static Device *hc;
static UsbBus *bus;
static Gadget *gadget;
static unsigned commands, ep0, bulk_in, bulk_out, event, event_cycle;

static void put_trb(uint32_t ring, unsigned *n, uint64_t parameter, uint32_t status, unsigned type, uint32_t flags)
{
    uint8_t *trb = mem(ring + 16 * (*n)++);

    store_le64(trb, parameter);
    store_le32(trb + 8, status);
    store_le32(trb + 12, type << 10 | flags | CYCLE);
}

/* The next event, with its type checked; returns its completion code. */
static unsigned next_event(unsigned type, uint8_t out[16])
{
    const uint8_t *e = mem(EVENTS + event * 16);
    uint32_t control = load_le32(e + 12);

    g_assert_cmpuint(control & 1, ==, event_cycle);
    g_assert_cmpuint(control >> 10 & 63, ==, type);
    memcpy(out, e, 16);
    if (++event == EVENT_RING) {
        event = 0;
        event_cycle ^= 1;
    }
    put(ERDP, (EVENTS + event * 16) | 8);
    return load_le32(out + 8) >> 24;
}

static bool no_event(void)
{
    return (load_le32(mem(EVENTS + event * 16 + 12)) & 1) != event_cycle;
}

static unsigned command(uint64_t parameter, unsigned type, uint32_t flags)
{
    uint8_t e[16];

    put_trb(COMMANDS, &commands, parameter, 0, type, flags);
    put(DOORBELL, 0);
    return next_event(33, e);
}

static unsigned transfer_event(uint32_t *left)
{
    uint8_t e[16];
    unsigned code = next_event(32, e);

    *left = load_le32(e + 8) & 0xffffff;
    return code;
}

static void start(void)
{
    device_reset(hc);
    gadget_start_over(gadget);
    map_registers(hc);
    memset(mem(CONTEXTS), 0, 0x200000);
    commands = ep0 = bulk_in = bulk_out = event = 0;
    event_cycle = 1;
    store_le64(mem(SEGMENTS), EVENTS);
    store_le32(mem(SEGMENTS + 8), EVENT_RING);
    put(CONFIG, 8);
    put(DCBAAP, CONTEXTS);
    put(CRCR, COMMANDS | CYCLE);
    put(ERSTSZ, 1);
    put(ERDP, EVENTS);
    put(ERSTBA, SEGMENTS);
    put(IMOD, 0);
    put(IMAN, 2);
    put(CMD, 5);
    g_assert_true(no_event());
    g_assert_cmphex(get(PORTSC + 2 * 16) & 0x20001, ==, 0x20001); /* connected, and it was not before */
    put(PORTSC + 2 * 16, get(PORTSC + 2 * 16) & ~2u);
}

static void address(void)
{
    start();
    g_assert_cmpuint(command(0, ENABLE_SLOT, 0), ==, 1);
    store_le64(mem(CONTEXTS + 8), OUTPUT);
    store_le32(mem(INPUT + 4), 3);
    store_le32(mem(INPUT + 32), 1u << 27 | 4 << 20);
    store_le32(mem(INPUT + 36), 3 << 16);
    store_le32(mem(INPUT + 64 + 4), 512 << 16 | 4 << 3 | 3 << 1);
    store_le64(mem(INPUT + 64 + 8), EP0 | CYCLE);
    g_assert_cmpuint(command(INPUT, ADDRESS, 1 << 24), ==, 1);
}

static void control(const uint8_t setup[8], uint32_t size, unsigned expected, uint32_t expected_left)
{
    bool in = setup[0] & 0x80;
    uint32_t left;

    put_trb(EP0, &ep0, load_le64(setup), 8, SETUP, IDT);
    if (size) {
        put_trb(EP0, &ep0, DATA, size, DATA_STAGE, ISP | (in ? 1 << 16 : 0));
    }
    put_trb(EP0, &ep0, 0, 0, STATUS, IOC | (in && size ? 0 : 1 << 16));
    put(DOORBELL + 4, 1);
    if (expected != 1) {
        g_assert_cmpuint(transfer_event(&left), ==, expected);
        g_assert_cmpuint(left, ==, expected_left);
    }
    if (expected == 1 || expected == 13) {
        g_assert_cmpuint(transfer_event(&left), ==, 1);
    }
}

/* streams: log2 of their number - 1 for the IN endpoint; 0: none. */
static void configure(unsigned streams)
{
    address();
    control((const uint8_t[8]){ 0, 9, 1 }, 0, 1, 0);
    store_le32(mem(INPUT), 0);
    store_le32(mem(INPUT + 4), 1 | 1 << IN | 1 << OUT);
    store_le32(mem(INPUT + 32), (uint32_t)OUT << 27 | 4 << 20);
    store_le32(mem(INPUT + 32 * (IN + 1)), streams ? streams << 10 | 1 << 15 : 0);
    store_le32(mem(INPUT + 32 * (IN + 1) + 4), 1024 << 16 | 6 << 3 | 3 << 1);
    store_le64(mem(INPUT + 32 * (IN + 1) + 8), streams ? STREAMS : BULK_IN | CYCLE);
    store_le32(mem(INPUT + 32 * (OUT + 1) + 4), 1024 << 16 | 2 << 3 | 3 << 1);
    store_le64(mem(INPUT + 32 * (OUT + 1) + 8), BULK_OUT | CYCLE);
    g_assert_cmpuint(command(INPUT, CONFIGURE, 1 << 24), ==, 1);
}

static unsigned endpoint_state(unsigned e)
{
    return load_le32(mem(OUTPUT + 32 * e)) & 7;
}

static void the_capabilities_name_two_protocols(void)
{
    start();
    g_assert_cmphex(get(0), ==, 0x01000040);
    g_assert_cmphex(get(4) >> 24, ==, 4);
    g_assert_cmphex(get(0x20), ==, 0x02000402);
    g_assert_cmphex(get(0x28), ==, 0x00000201);
    g_assert_cmphex(get(0x30), ==, 0x03000002);
    g_assert_cmphex(get(0x38), ==, 0x00000203);
}

/* SLOF: commands have a cycle bit that the ring's address lacks, and the status stage the direction of the data stage. */
static void the_mistakes_of_firmware_are_forgiven(void)
{
    uint32_t left;

    start();
    put(CMD, 0);
    put(CRCR, COMMANDS);
    put(CMD, 5);
    g_assert_cmpuint(command(0, ENABLE_SLOT, 0), ==, 1);
    address();
    put_trb(EP0, &ep0, load_le64((const uint8_t[8]){ 0, 9, 1 }), 8, SETUP, IDT);
    put_trb(EP0, &ep0, 0, 0, STATUS, IOC);
    put(DOORBELL + 4, 1);
    g_assert_cmpuint(transfer_event(&left), ==, 1);
    g_assert_cmpuint(gadget->usb.core.configuration, ==, 1);
}

static void a_device_gets_an_address_and_is_read(void)
{
    address();
    g_assert_cmpuint(load_le32(mem(OUTPUT + 12)), ==, 2u << 27 | 1);
    g_assert_cmpuint(endpoint_state(1), ==, 1);
    g_assert_cmpuint(gadget->usb.core.address, ==, 1);
    control((const uint8_t[8]){ 0x80, 6, 0, 1, 0, 0, 64 }, 64, 13, 64 - 18); /* a short packet */
    g_assert_cmphex(load_le16(mem(DATA + 8)), ==, 0x1234);
    g_assert_cmphex(load_le16(mem(DATA + 2)), ==, 0x0300);
    control((const uint8_t[8]){ 0x80, 6, 0, 2, 0, 0, 9 }, 9, 1, 0);
    g_assert_cmpuint(mem(DATA)[2], ==, 9 + 9 + 3 * (7 + 6)); /* with SuperSpeed companions */
    control((const uint8_t[8]){ 0x80, 6, 0, 9 }, 0, 6, 0); /* there is no such descriptor */
    g_assert_cmpuint(endpoint_state(1), ==, 2);
    g_assert_cmpuint(command(0, RESET_EP, 1 << 24 | 1 << 16), ==, 1);
    g_assert_cmpuint(command(EP0 + ep0 * 16 + CYCLE, SET_DEQUEUE, 1 << 24 | 1 << 16), ==, 1);
    control((const uint8_t[8]){ 0x80, 6, 0, 2, 0, 0, 9 }, 9, 1, 0);
}

static void a_chain_with_a_link_is_one_transfer(void)
{
    uint32_t left;

    configure(0);
    for (int i = 0; i < 40000; i++) {
        mem(DATA)[i] = i * 3;
    }
    put_trb(BULK_OUT, &bulk_out, DATA, 10001, NORMAL, CHAIN);
    put_trb(BULK_OUT, &bulk_out, DATA + 10001, 5, NORMAL, CHAIN);
    put_trb(BULK_OUT, &bulk_out, BULK_OUT + 0x800, 0, LINK, CHAIN);
    bulk_out = 0x80;
    put_trb(BULK_OUT, &bulk_out, DATA + 10006, 29994, NORMAL, IOC);
    gadget->chunk = 4096;
    put(DOORBELL + 4, OUT);
    g_assert_cmpuint(transfer_event(&left), ==, 1);
    g_assert_cmpmem(gadget->out, gadget->out_size, mem(DATA), 40000);
    g_assert_true(no_event());
    put_trb(BULK_OUT, &bulk_out, UINT64_C(0x1122334455667788), 8, NORMAL, IOC | IDT);
    gadget->out_size = 0;
    put(DOORBELL + 4, OUT);
    g_assert_cmpmem(gadget->out, gadget->out_size, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
}

/* As a driver's that has its buffer in pages: many parts, but one event. */
static void a_transfer_may_have_more_parts_than_the_event_ring_has_room(void)
{
    uint32_t left;

    configure(0);
    gadget->in_left = 3 * EVENT_RING * 100;
    for (int n = 0; n < 3 * EVENT_RING; n++) {
        put_trb(BULK_IN, &bulk_in, DATA + n * 100, 100, NORMAL, n < 3 * EVENT_RING - 1 ? CHAIN | ISP : IOC | ISP);
    }
    put(DOORBELL + 4, IN);
    g_assert_cmpuint(transfer_event(&left), ==, 1);
    g_assert_cmpuint(left, ==, 0);
    g_assert_true(no_event());
}

static void a_short_packet_is_told_where_it_came(void)
{
    uint32_t left;

    configure(0);
    gadget->in_left = 1500;
    put_trb(BULK_IN, &bulk_in, DATA, 1000, NORMAL, CHAIN | ISP);
    put_trb(BULK_IN, &bulk_in, DATA + 1000, 1000, NORMAL, CHAIN | ISP);
    put_trb(BULK_IN, &bulk_in, DATA + 2000, 1000, NORMAL, IOC | ISP);
    put(DOORBELL + 4, IN);
    g_assert_cmpuint(transfer_event(&left), ==, 13);
    g_assert_cmpuint(left, ==, 500);
    g_assert_true(no_event());
    gadget->in_left = 100;
    put_trb(BULK_IN, &bulk_in, DATA, 1000, NORMAL, CHAIN);
    put_trb(BULK_IN, &bulk_in, 0xabcd, 0, EVENT_DATA, IOC);
    put(DOORBELL + 4, IN);
    {
        uint8_t e[16];

        g_assert_cmpuint(next_event(32, e), ==, 13);
        g_assert_cmphex(load_le64(e), ==, 0xabcd);
        g_assert_cmpuint(load_le32(e + 8) & 0xffffff, ==, 100);
        g_assert_cmphex(load_le32(e + 12) & 4, ==, 4);
    }
}

static void what_is_not_acknowledged_waits(void)
{
    uint32_t left;

    configure(0);
    gadget->answer = USB_NAK;
    put_trb(BULK_OUT, &bulk_out, DATA, 100, NORMAL, IOC);
    put(DOORBELL + 4, OUT);
    rig_run(NS_PER_SECOND);
    g_assert_true(no_event());
    g_assert_cmpuint(gadget->transfers, ==, 1); /* nobody polls */
    gadget->answer = 0;
    usb_ready(&gadget->usb, 2, 0);
    g_assert_cmpuint(transfer_event(&left), ==, 1);
}

static void save_and_load_both(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();

    device_save(hc, file);
    device_save(&gadget->usb.dev, file);
    device_reset(hc);
    device_reset(&gadget->usb.dev);
    g_assert_true(device_load(hc, file, NULL));
    g_assert_true(device_load(&gadget->usb.dev, file, NULL));
}

static void a_snapshot_looks_at_all_rings(void)
{
    uint32_t left;

    configure(0);
    gadget->answer = USB_NAK;
    put_trb(BULK_OUT, &bulk_out, DATA, 100, NORMAL, IOC);
    put(DOORBELL + 4, OUT);
    save_and_load_both();
    gadget->answer = 0;
    rig_run(2 * NS_PER_MS);
    g_assert_cmpuint(transfer_event(&left), ==, 1);
}

static void a_part_is_not_sent_twice(void)
{
    uint32_t left;

    configure(0);
    gadget->out_size = sizeof(gadget->out) - 1024; /* then it takes nothing for a while */
    put_trb(BULK_OUT, &bulk_out, DATA, 3000, NORMAL, IOC);
    mem(DATA)[1024] = 77;
    put(DOORBELL + 4, OUT);
    g_assert_true(no_event());
    save_and_load_both();
    g_assert_cmpuint(gadget->out_size, ==, sizeof(gadget->out));
    gadget->out_size = 0;
    usb_ready(&gadget->usb, 2, 0);
    g_assert_cmpuint(gadget->out_size, ==, 3000 - 1024);
    g_assert_cmpuint(gadget->out[0], ==, 77);
    g_assert_cmpuint(transfer_event(&left), ==, 1);
}

static void errors_halt_an_endpoint(void)
{
    static const struct {
        int answer;
        unsigned code;
    } cases[] = { { USB_STALL, 6 }, { USB_BABBLE, 3 }, { USB_NO_ANSWER, 4 } };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint32_t left;

        configure(0);
        gadget->answer = cases[i].answer;
        put_trb(BULK_IN, &bulk_in, DATA, 100, NORMAL, 0);
        put(DOORBELL + 4, IN);
        g_assert_cmpuint(transfer_event(&left), ==, cases[i].code);
        g_assert_cmpuint(left, ==, 100);
        g_assert_cmpuint(endpoint_state(IN), ==, 2);
        put(DOORBELL + 4, IN); /* not heard */
        g_assert_true(no_event());
        g_assert_cmpuint(command(0, SET_DEQUEUE, 1 << 24 | IN << 16), ==, 19);
        g_assert_cmpuint(command(0, RESET_EP, 1 << 24 | IN << 16), ==, 1);
        g_assert_cmpuint(endpoint_state(IN), ==, 3);
    }
}

static void an_endpoint_stops_and_goes_on(void)
{
    uint32_t left;
    uint8_t e[16];

    configure(0);
    gadget->answer = USB_NAK;
    put_trb(BULK_IN, &bulk_in, DATA, 100, NORMAL, IOC);
    put(DOORBELL + 4, IN);
    put_trb(COMMANDS, &commands, 0, 0, STOP_EP, 1 << 24 | IN << 16);
    put(DOORBELL, 0);
    g_assert_cmpuint(transfer_event(&left), ==, 26);
    g_assert_cmpuint(left, ==, 100);
    g_assert_cmpuint(next_event(33, e), ==, 1);
    g_assert_cmphex(load_le64(mem(OUTPUT + 32 * IN + 8)), ==, BULK_IN | CYCLE);
    gadget->answer = 0;
    gadget->in_left = 100;
    usb_ready(&gadget->usb, 0x81, 0);
    g_assert_true(no_event());
    put(DOORBELL + 4, IN);
    g_assert_cmpuint(transfer_event(&left), ==, 1);
}

static void streams_have_rings_of_their_own(void)
{
    uint32_t left;
    unsigned first = 0, second = 0;

    configure(2);
    store_le64(mem(STREAMS + 16 * 1), BULK_IN | 1 << 1 | CYCLE);
    store_le64(mem(STREAMS + 16 * 5), (BULK_IN + 0x400) | 1 << 1 | CYCLE);
    put_trb(BULK_IN, &first, DATA, 100, NORMAL, IOC);
    put_trb(BULK_IN + 0x400, &second, DATA + 1000, 200, NORMAL, IOC);
    gadget->answer = USB_NAK;
    put(DOORBELL + 4, IN | 1 << 16);
    put(DOORBELL + 4, IN | 5 << 16);
    put(DOORBELL + 4, IN | 9 << 16); /* there are eight */
    put(DOORBELL + 4, IN);
    gadget->answer = 0;
    gadget->in_left = 200;
    usb_ready(&gadget->usb, 0x81, 5);
    g_assert_cmpuint(transfer_event(&left), ==, 1);
    g_assert_cmpuint(gadget->stream, ==, 5);
    g_assert_cmphex(load_le64(mem(STREAMS + 16 * 5)), ==, (BULK_IN + 0x410) | 1 << 1 | CYCLE);
    gadget->in_left = 100;
    usb_ready(&gadget->usb, 0x81, 1);
    g_assert_cmpuint(transfer_event(&left), ==, 1);
    g_assert_cmpuint(gadget->stream, ==, 1);
    g_assert_true(no_event());
}

static void interrupts_are_moderated(void)
{
    configure(0);
    put(IMOD, 4000); /* a millisecond */
    put(IMAN, 3);
    g_assert_false(rig_pci_irq());
    rig_run(2 * NS_PER_MS);
    put_trb(COMMANDS, &commands, 0, 0, CMD_NOOP, 0);
    put(DOORBELL, 0);
    g_assert_true(rig_pci_irq());
    put(IMAN, 3);
    put(STS, 8);
    put(ERDP, get(ERDP) | 8);
    g_assert_false(rig_pci_irq()); /* an event is left, but not yet */
    g_assert_cmphex(get(STS) & 8, ==, 8);
    rig_run(NS_PER_MS / 2);
    g_assert_false(rig_pci_irq());
    rig_run(NS_PER_MS);
    g_assert_true(rig_pci_irq());
}

static void a_full_event_ring_makes_commands_wait(void)
{
    configure(0);
    for (int i = 0; i < 40; i++) {
        put_trb(COMMANDS, &commands, i, 0, CMD_NOOP, 0);
    }
    put(DOORBELL, 0);
    for (int i = 0; i < 40; i++) {
        uint8_t e[16];

        g_assert_cmpuint(next_event(33, e), ==, 1);
        g_assert_cmphex(load_le64(e), ==, COMMANDS + (commands - 40 + i) * 16);
    }
    g_assert_true(no_event());
}

static void wrong_commands_are_refused(void)
{
    start();
    g_assert_cmpuint(command(INPUT, ADDRESS, 1 << 24), ==, 11);
    g_assert_cmpuint(command(INPUT, ADDRESS, 200u << 24), ==, 11);
    g_assert_cmpuint(command(0, 60, 0), ==, 5);
    for (int i = 1; i <= 8; i++) {
        g_assert_cmpuint(command(0, ENABLE_SLOT, 0), ==, 1);
    }
    g_assert_cmpuint(command(0, ENABLE_SLOT, 0), ==, 9);
    store_le64(mem(CONTEXTS + 8), OUTPUT);
    store_le32(mem(INPUT + 4), 3);
    store_le32(mem(INPUT + 36), 1 << 16); /* a port with nothing in it */
    g_assert_cmpuint(command(INPUT, ADDRESS, 1 << 24), ==, 4);
    g_assert_cmpuint(command(INPUT, CONFIGURE, 1 << 24), ==, 19);
    g_assert_cmpuint(command(0, STOP_EP, 1 << 24 | 3 << 16), ==, 12);
    g_assert_cmpuint(command(0, DISABLE_SLOT, 1 << 24), ==, 1);
    g_assert_cmpuint(command(0, ENABLE_SLOT, 0), ==, 1);
}

static void unplugging_fails_what_waits(void)
{
    Gadget *other;
    uint8_t e[16];

    configure(0);
    other = gadget_new(bus, "2", USB_FULL);
    g_assert_cmpuint(next_event(34, e), ==, 1);
    g_assert_cmpuint(e[3], ==, 2);
    g_assert_cmphex(get(PORTSC + 16) & 3, ==, 1);
    put(PORTSC + 16, (get(PORTSC + 16) & ~2u) | 0x10);
    g_assert_cmpuint(next_event(34, e), ==, 1);
    g_assert_cmphex(get(PORTSC + 16) & 0x3c03, ==, 0x403); /* enabled, full speed */
    put(PORTSC + 16, (get(PORTSC + 16) & ~2u));
    device_free(&other->usb.dev);
    g_assert_cmpuint(next_event(34, e), ==, 1);
    g_assert_cmphex(get(PORTSC + 16) & 3, ==, 0);
}

static void rings_of_nonsense_end(void)
{
    unsigned n = 0;

    configure(0);
    put_trb(BULK_OUT, &bulk_out, BULK_OUT, 0, LINK, 0); /* a link to itself */
    put(DOORBELL + 4, OUT);
    put_trb(BULK_IN, &n, DATA, 0, NORMAL, 0); /* the same transfer for ever */
    put_trb(BULK_IN, &n, BULK_IN, 0, LINK, 0);
    put(DOORBELL + 4, IN);
    rig_run(NS_PER_MS);
    n = 0;
    put_trb(BULK_IN, &n, DATA, 65536, NORMAL, CHAIN); /* one without an end */
    put_trb(BULK_IN, &n, BULK_IN, 0, LINK, CHAIN);
    rig_run(NS_PER_MS);
    put(CMD, 0);
    rig_run(NS_PER_MS);
}

static void random_rings_end(void)
{
    for (int round = 0; round < 40; round++) {
        configure(round & 1 ? 3 : 0);
        gadget->in_left = 5000;
        for (int i = 0; i < 300; i++) {
            uint32_t at = OUTPUT + g_test_rand_int_range(0, 0x9000 / 4) * 4, value = (uint32_t)g_test_rand_int();

            if (g_test_rand_bit()) {
                value = OUTPUT + g_test_rand_int_range(0, 0x900) * 16;
            } else if (g_test_rand_bit()) {
                value = (value & 0x1000077) | (unsigned)g_test_rand_int_range(0, 24) << 10 | 1 << 24;
            }
            store_le32(mem(at), value | (g_test_rand_bit() ? CYCLE : 0));
            if (i % 10 == 0) {
                put(DOORBELL + 4 * g_test_rand_int_range(0, 3), g_test_rand_int_range(0, 6) | (round & 1) << 16);
                usb_ready(&gadget->usb, g_test_rand_bit() ? 0x81 : 2, round & 1);
                put(ERDP, EVENTS + g_test_rand_int_range(0, 16) * 16);
            }
        }
        rig_run(NS_PER_MS);
        rig_save_and_load(hc);
    }
}

/* A ring of commands that goes round, and events that go into the doorbells. */
static void events_into_the_doorbell_do_no_commands_anew(void)
{
    start();
    for (int i = 0; i < 15; i++) {
        put_trb(COMMANDS, &commands, 0, 0, CMD_NOOP, 0);
    }
    put_trb(COMMANDS, &commands, COMMANDS, 0, LINK, 0);
    store_le64(mem(SEGMENTS), BAR + DOORBELL);
    put(ERSTBA, SEGMENTS);
    put(DOORBELL, 0);
    store_le32(mem(COMMANDS + 12), 0);
    put(DOORBELL, 0);
    g_assert_cmphex(get(CRCR) & 8, ==, 8);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    hc = rig_add("qemu-xhci,id=usb,p2=2,p3=2", pci_bus_bus(rig_pci()));
    bus = (UsbBus *)bus_find("usb.0");
    gadget = gadget_new(bus, "1", USB_SUPER);
#define ADD(fn) g_test_add_func("/xhci/" #fn, fn)
    ADD(the_capabilities_name_two_protocols);
    ADD(a_device_gets_an_address_and_is_read);
    ADD(the_mistakes_of_firmware_are_forgiven);
    ADD(a_chain_with_a_link_is_one_transfer);
    ADD(a_transfer_may_have_more_parts_than_the_event_ring_has_room);
    ADD(a_short_packet_is_told_where_it_came);
    ADD(what_is_not_acknowledged_waits);
    ADD(a_snapshot_looks_at_all_rings);
    ADD(a_part_is_not_sent_twice);
    ADD(errors_halt_an_endpoint);
    ADD(an_endpoint_stops_and_goes_on);
    ADD(streams_have_rings_of_their_own);
    ADD(interrupts_are_moderated);
    ADD(a_full_event_ring_makes_commands_wait);
    ADD(wrong_commands_are_refused);
    ADD(unplugging_fails_what_waits);
    ADD(rings_of_nonsense_end);
    ADD(random_rings_end);
    ADD(events_into_the_doorbell_do_no_commands_anew);
    return g_test_run();
}
