/* Sun GEM: rings both ways, checksums, address filter and transceiver. */
#include "tests/hw/net/wire.h"
#include "util/bits.h"

#include <string.h>

enum { STAT = 0x0c, IMASK = 0x10, TX_KICK = 0x2000, TX_CFG = 0x2004, TX_BASE = 0x2008, TX_DONE = 0x2100, RX_CFG = 0x4000, RX_BASE = 0x4004,
       RX_KICK = 0x4100, RX_DONE = 0x4104, TXMASK = 0x6020, RXMASK = 0x6024, TXCFG = 0x6030, RXCFG = 0x6034, ADDR0 = 0x6080,
       HASH0 = 0x60c0, MIF_FRAME = 0x620c };
enum { TX_RING = 0x10000, RX_RING = 0x20000, BUFFERS = 0x100000 };
#define START 0x80000000u
#define END   0x40000000u
#define OWN   0x80000000u
#define US    "\x52\x54\x00\x11\x22\x33"

static Device *card;

static uint32_t get(unsigned reg)
{
    return rig_load(WIRE_MEMORY(0) + reg, 4);
}

static void set(unsigned reg, uint32_t value)
{
    rig_store(WIRE_MEMORY(0) + reg, value, 4);
}

static void start(void)
{
    device_reset(card);
    wire_place(card);
    wire_clear();
    rig_store(WIRE_MEMORY(0), 0, 4);
    set(TX_BASE, TX_RING);
    set(RX_BASE, RX_RING);
    for (int i = 0; i < 32; i++) {
        store_le64(rig_ram() + RX_RING + i * 16, (uint64_t)1600 << 16 | OWN);
        store_le64(rig_ram() + RX_RING + i * 16 + 8, BUFFERS + i * 2048);
    }
    set(RX_KICK, 28);
    set(TX_CFG, 1);
    set(RX_CFG, 1 | 2 << 10 | 14 << 13);
    set(TXCFG, 1);
    set(RXCFG, 1 | 4);
    get(STAT);
    set(IMASK, 0);
}

static void put(int n, uint64_t flags, uint32_t address)
{
    store_le64(rig_ram() + TX_RING + n * 16, flags);
    store_le64(rig_ram() + TX_RING + n * 16 + 8, address);
}

static void the_address_is_in_its_registers(void)
{
    start();
    g_assert_cmphex(get(ADDR0), ==, 0x2233);
    g_assert_cmphex(get(ADDR0 + 4), ==, 0x0011);
    g_assert_cmphex(get(ADDR0 + 8), ==, 0x5254);
}

static void a_frame_is_gathered_and_leaves(void)
{
    uint8_t data[200];

    start();
    wire_fill(data, sizeof(data), "\xff\xff\xff\xff\xff\xff", 3);
    memcpy(rig_ram() + BUFFERS, data, 50);
    memcpy(rig_ram() + BUFFERS + 4096, data + 50, 150);
    put(0, START | 50 | UINT64_C(1) << 32, BUFFERS);
    put(1, END | 150, BUFFERS + 4096);
    set(TX_KICK, 2);
    g_assert_cmpuint(wire_count(), ==, 1);
    g_assert_cmpmem(wire_frame(0)->data, wire_frame(0)->size, data, sizeof(data));
    g_assert_true(rig_pci_irq());
    g_assert_cmphex(get(STAT) & 0x3ffff, ==, 7);
    g_assert_cmpuint(get(TX_DONE), ==, 2);
    g_assert_false(rig_pci_irq());
}

static void a_frame_of_two_kicks_survives_a_snapshot(void)
{
    uint8_t data[200];

    start();
    wire_fill(data, sizeof(data), "\xff\xff\xff\xff\xff\xff", 3);
    memcpy(rig_ram() + BUFFERS, data, 50);
    memcpy(rig_ram() + BUFFERS + 4096, data + 50, 150);
    put(0, START | 50, BUFFERS);
    set(TX_KICK, 1);
    g_assert_cmpuint(wire_count(), ==, 0);
    rig_save_and_load(card);
    put(1, END | 150, BUFFERS + 4096);
    set(TX_KICK, 2);
    g_assert_cmpuint(wire_count(), ==, 1);
    g_assert_cmpmem(wire_frame(0)->data, wire_frame(0)->size, data, sizeof(data));
}

static void sums_are_put_in(void)
{
    uint8_t data[1600];
    size_t size = wire_tcp(data, 100);

    start();
    store_be16(data + 24, 0); /* of the header: software's work */
    memcpy(rig_ram() + BUFFERS, data, size);
    /* The pseudo header's sum where the checksum goes. */
    store_be16(rig_ram() + BUFFERS + 50, 0x1234);
    put(0, START | END | 0x20000000 | 34 << 15 | (uint64_t)50 << 21 | size, BUFFERS);
    set(TX_KICK, 1);
    g_assert_cmpuint(wire_count(), ==, 1);
    {
        const uint8_t *sent = wire_frame(0)->data;
        uint32_t total = 0x1234;

        for (size_t i = 34; i < size; i += 2) {
            total += i == 50 ? 0 : load_be16(sent + i);
        }
        total = (total & 0xffff) + (total >> 16);
        total = (total & 0xffff) + (total >> 16);
        g_assert_cmphex(load_be16(sent + 50), ==, (uint16_t)~total);
    }
}

static void frames_arrive_behind_the_offset(void)
{
    uint8_t data[100];
    uint32_t total = 0;
    uint64_t d;

    start();
    wire_fill(data, sizeof(data), US, 9);
    wire_deliver(data, sizeof(data));
    d = load_le64(rig_ram() + RX_RING);
    g_assert_cmpuint(d >> 16 & 0x7fff, ==, sizeof(data));
    g_assert_false(d & OWN);
    g_assert_cmpmem(rig_ram() + BUFFERS + 2, sizeof(data), data, sizeof(data));
    for (unsigned i = 14; i < sizeof(data); i += 2) {
        total += load_be16(data + i);
    }
    g_assert_cmphex(d & 0xffff, ==, (uint16_t)~((total & 0xffff) + (total >> 16)));
    g_assert_cmphex(get(STAT) & 0x10, ==, 0x10);
    g_assert_cmpuint(get(RX_DONE), ==, 1);
    wire_fill(data, sizeof(data), "\x52\x54\x00\x11\x22\x34", 9); /* somebody else's */
    wire_deliver(data, sizeof(data));
    g_assert_cmpuint(get(RX_DONE), ==, 1);
    rig_save_and_load(card);
    g_assert_cmpuint(get(RX_DONE), ==, 1);
}

static void groups_are_filtered_by_hash(void)
{
    uint8_t data[100];

    start();
    wire_fill(data, sizeof(data), "\x01\x00\x5e\x00\x00\x01", 9);
    wire_deliver(data, sizeof(data));
    g_assert_cmpuint(get(RX_DONE), ==, 0);
    for (int i = 0; i < 16; i++) {
        set(HASH0 + 4 * i, 0xffff);
    }
    set(RXCFG, 1 | 4 | 0x20);
    wire_deliver(data, sizeof(data));
    g_assert_cmpuint(get(RX_DONE), ==, 1);
}

static void a_full_ring_makes_frames_wait(void)
{
    uint8_t data[100];

    start();
    wire_fill(data, sizeof(data), US, 9);
    for (int i = 0; i < 40; i++) {
        wire_deliver(data, sizeof(data));
    }
    g_assert_cmpuint(get(RX_DONE), ==, 27);
    for (int i = 0; i < 27; i++) {
        store_le64(rig_ram() + RX_RING + i * 16, (uint64_t)1600 << 16 | OWN);
    }
    set(RX_KICK, 27); /* all of them, where the chip stands */
    g_assert_cmpuint(get(RX_DONE), !=, 27);
}

static void the_transceiver_tells_of_the_link(void)
{
    start();
    set(MIF_FRAME, 0x60020000 | 1 << 18);
    g_assert_cmphex(get(MIF_FRAME) & 0x10004, ==, 0x10004);
    set(MIF_FRAME, 0x60020000 | 3 << 23 | 1 << 18); /* nobody there */
    g_assert_cmphex(get(MIF_FRAME) & 0xffff, ==, 0xffff);
    set(MIF_FRAME, 0x50020000 | 4 << 18 | 0x0181);
    set(MIF_FRAME, 0x60020000 | 4 << 18);
    g_assert_cmphex(get(MIF_FRAME) & 0xffff, ==, 0x0181);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    device_set_resolver(PROP_NETDEV, (PropResolver *)(void (*)(void))net_find);
    wire_init();
    card = rig_add("sungem,mac=52:54:00:11:22:33,netdev=wire", pci_bus_bus(rig_pci()));
#define ADD(fn) g_test_add_func("/sungem/" #fn, fn)
    ADD(the_address_is_in_its_registers);
    ADD(a_frame_is_gathered_and_leaves);
    ADD(a_frame_of_two_kicks_survives_a_snapshot);
    ADD(sums_are_put_in);
    ADD(frames_arrive_behind_the_offset);
    ADD(groups_are_filtered_by_hash);
    ADD(a_full_ring_makes_frames_wait);
    ADD(the_transceiver_tells_of_the_link);
    return g_test_run();
}
