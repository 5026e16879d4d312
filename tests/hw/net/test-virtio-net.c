/* The virtio network card: header, merged buffers, offloads, filters of the control queue, frames that wait. */
#include "tests/hw/net/wire.h"
#include "tests/hw/virtio/driver.h"
#include "util/bits.h"

#include <string.h>

enum { RX, TX, CTRL, BUFFERS = 0x20000, OUT = 0x50000, ACK = 0x60000 };
enum { CSUM = 0, GUEST_CSUM = 1, GUEST_TSO4 = 7, HOST_TSO4 = 11, MRG_RXBUF = 15, STATUS = 16, CTRL_VQ = 17, CTRL_RX = 18,
       CTRL_VLAN = 19, CTRL_MAC_ADDR = 23 };
#define F(n) (UINT64_C(1) << (n))
#define PLAIN (F(32) | F(5) | F(MRG_RXBUF) | F(STATUS) | F(CTRL_VQ) | F(CTRL_RX) | F(CTRL_VLAN) | F(CTRL_MAC_ADDR))
#define ADDRESS "\x52\x54\x00\x12\x34\x56"
#define HEADER  12

static Device *card;
static NetBackend *net;
static Driver driver;

static void start(uint64_t features)
{
    driver_start(&driver, card, features);
    for (int i = 0; i < 3; i++) {
        driver_queue(&driver, i, 64);
    }
    driver_ok(&driver);
    wire_clear();
    wire_offloads(0);
    memset(rig_ram() + BUFFERS, 0, 0x30000);
}

static void add_buffer(PhysAddr address, uint32_t size)
{
    DriverBuffer buffer = { address, size, true };

    driver_add(&driver, RX, &buffer, 1, false);
    driver_kick(&driver, RX);
}

static void send(const void *header, uint32_t size)
{
    DriverBuffer buffers[2] = { { OUT, HEADER, false }, { OUT + 0x100, size, false } };

    memcpy(rig_ram() + OUT, header, HEADER);
    driver_request(&driver, TX, buffers, 2);
}

static uint8_t control(uint8_t class, uint8_t command, const void *data, uint32_t size)
{
    DriverBuffer buffers[3] = { { OUT, 2, false }, { OUT + 16, size, false }, { ACK, 1, true } };

    rig_ram()[OUT] = class;
    rig_ram()[OUT + 1] = command;
    memcpy(rig_ram() + OUT + 16, data, size);
    rig_ram()[ACK] = 0xee;
    driver_request(&driver, CTRL, buffers, 3);
    return rig_ram()[ACK];
}

static bool received(uint32_t *length)
{
    uint16_t id;

    rig_run(1000000);
    return driver_used(&driver, RX, &id, length);
}

static void the_configuration_has_address_and_link(void)
{
    start(PLAIN);
    g_assert_cmphex(driver_config(0, 4), ==, 0x12005452);
    g_assert_cmphex(driver_config(6, 2), ==, 1);
    net_set_link(net, false);
    g_assert_cmphex(driver_config(6, 2), ==, 0);
    net_set_link(net, true);
    g_assert_cmphex(driver_config(6, 2), ==, 1);
}

static void frames_are_spread_over_buffers(void)
{
    uint8_t frame[1000];
    uint32_t length;

    start(PLAIN);
    for (int i = 0; i < 4; i++) {
        add_buffer(BUFFERS + i * 0x1000, 400);
    }
    wire_fill(frame, sizeof(frame), ADDRESS, 0);
    wire_deliver(frame, sizeof(frame));
    g_assert_true(received(&length) && length == 400);
    g_assert_true(received(&length) && length == 400);
    g_assert_true(received(&length) && length == 212);
    g_assert_false(received(&length));
    g_assert_cmpuint(load_le16(rig_ram() + BUFFERS + 10), ==, 3);
    g_assert_cmpmem(rig_ram() + BUFFERS + HEADER, 388, frame, 388);
    g_assert_cmpmem(rig_ram() + BUFFERS + 0x1000, 400, frame + 388, 400);
    g_assert_cmpmem(rig_ram() + BUFFERS + 0x2000, 212, frame + 788, 212);
}

static void frames_wait_for_buffers(void)
{
    uint8_t frame[1000];
    uint32_t length;

    start(PLAIN);
    wire_fill(frame, sizeof(frame), ADDRESS, 0);
    wire_deliver(frame, sizeof(frame));
    add_buffer(BUFFERS, 600);
    g_assert_false(received(&length)); /* not enough yet */
    add_buffer(BUFFERS + 0x1000, 600);
    g_assert_true(received(&length) && length == 600);
    g_assert_true(received(&length) && length == 412);
}

static void checksums_are_completed(void)
{
    uint8_t header[HEADER] = { 1, 0, 0, 0, 0, 0, 34, 0, 16, 0 };
    size_t size;

    start(PLAIN | F(CSUM));
    size = wire_tcp(rig_ram() + OUT + 0x100, 100);
    store_be16(rig_ram() + OUT + 0x100 + 50, 0x0a00 + 0x020f + 0x0a00 + 0x0202 + 6 + 120); /* the pseudo header's sum */
    store_be16(rig_ram() + OUT + 0x100 + 24, 0x5e7f);
    send(header, size);
    g_assert_cmpuint(wire_count(), ==, 1);
    g_assert_cmpuint(wire_frame(0)->size, ==, size);
    g_assert_cmphex(wire_frame(0)->header.flags, ==, 0);
    g_assert_cmphex(load_be16(wire_frame(0)->data + 50), !=, 0x0a00 + 0x020f + 0x0a00 + 0x0202 + 6 + 120);
}

static void large_sends_are_cut_or_passed_on(void)
{
    uint8_t header[HEADER] = { 1, 1, 54, 0, 0xe8, 0x03, 34, 0, 16, 0 }; /* segments of 1000 */
    uint16_t pseudo = 0x0a00 + 0x020f + 0x0a00 + 0x0202 + 6 + 20 + 2500;
    size_t size;

    start(PLAIN | F(CSUM) | F(HOST_TSO4));
    size = wire_tcp(rig_ram() + OUT + 0x100, 2500);
    store_be16(rig_ram() + OUT + 0x100 + 50, pseudo);
    send(header, size);
    g_assert_cmpuint(wire_count(), ==, 3);
    for (int i = 0; i < 3; i++) {
        wire_check_tcp(wire_frame(i)->data, wire_frame(i)->size);
    }
    wire_clear();
    wire_offloads(NET_CAN_CSUM | NET_CAN_TSO4);
    send(header, size);
    g_assert_cmpuint(wire_count(), ==, 1);
    g_assert_cmpuint(wire_frame(0)->header.gso_size, ==, 1000);
    g_assert_cmpuint(wire_frame(0)->size, ==, size);
}

static bool is_taken(const char *to, int vlan)
{
    uint8_t frame[64];
    uint32_t length;

    add_buffer(BUFFERS, 600);
    wire_fill(frame, sizeof(frame), to, 0);
    if (vlan >= 0) {
        store_be32(frame + 12, 0x81000000u | vlan);
    }
    wire_deliver(frame, sizeof(frame));
    return received(&length);
}

static void filters_choose(void)
{
    static const uint8_t table[] = { 1, 0, 0, 0, 2, 0, 0, 0, 0, 9, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 5 };
    static const uint8_t too_many[] = { 0xff, 0xff, 0xff, 0x0f };

    start(PLAIN);
    g_assert_true(is_taken("\x02\0\0\0\0\x07", -1)); /* promiscuous at first */
    g_assert_cmphex(control(0, 0, "", 1), ==, 0);
    g_assert_false(is_taken("\x02\0\0\0\0\x07", -1));
    g_assert_true(is_taken(ADDRESS, -1));
    g_assert_true(is_taken("\xff\xff\xff\xff\xff\xff", -1));
    g_assert_cmphex(control(1, 0, table, sizeof(table)), ==, 0);
    g_assert_true(is_taken("\x02\0\0\0\0\x09", -1));
    g_assert_true(is_taken("\x01\0\x5e\0\0\x05", -1));
    g_assert_false(is_taken("\x01\0\x5e\0\0\x06", -1));
    g_assert_cmphex(control(1, 0, table, 7), ==, 1);
    g_assert_cmphex(control(1, 0, too_many, 4), ==, 1);
    g_assert_true(is_taken("\x02\0\0\0\0\x09", -1)); /* as it was */
    g_assert_false(is_taken(ADDRESS, 5));
    g_assert_cmphex(control(2, 0, "\x05", 2), ==, 0);
    g_assert_true(is_taken(ADDRESS, 5));
    g_assert_cmphex(control(1, 1, "\x02\0\0\0\0\x0a", 6), ==, 0);
    g_assert_true(is_taken("\x02\0\0\0\0\x0a", -1));
    g_assert_cmphex(control(9, 9, "x", 1), ==, 1);
    rig_save_and_load(card);
    g_assert_true(is_taken("\x02\0\0\0\0\x0a", -1));
    g_assert_false(is_taken("\x02\0\0\0\0\x07", -1));
}

static void nonsense_is_survived(void)
{
    start(PLAIN | F(CSUM) | F(HOST_TSO4));
    for (int i = 0; i < 500; i++) {
        uint8_t header[HEADER];

        for (int n = 0; n < HEADER; n++) {
            header[n] = g_test_rand_int_range(0, 3) ? g_test_rand_int_range(0, 80) : g_test_rand_int();
        }
        wire_tcp(rig_ram() + OUT + 0x100, g_test_rand_int_range(0, 3000));
        rig_ram()[OUT + 0x100 + g_test_rand_int_range(0, 60)] = g_test_rand_int();
        send(header, g_test_rand_int_range(1, 3000));
        wire_clear();
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    net = wire_init();
    card = rig_add("virtio-net-pci,mac=52:54:00:12:34:56,netdev=wire,romfile=", pci_bus_bus(rig_pci()));
#define ADD(fn) g_test_add_func("/virtio-net/" #fn, fn)
    ADD(the_configuration_has_address_and_link);
    ADD(frames_are_spread_over_buffers);
    ADD(frames_wait_for_buffers);
    ADD(checksums_are_completed);
    ADD(large_sends_are_cut_or_passed_on);
    ADD(filters_choose);
    ADD(nonsense_is_survived);
    return g_test_run();
}
