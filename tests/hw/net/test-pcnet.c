/* The Am79C970A: initialization, both widths of descriptors, loopback, and rings of nonsense. */
#include "core/clock.h"
#include "tests/hw/net/wire.h"
#include "util/bits.h"

#include <string.h>

enum { BLOCK = 0x10000, RX_RING = 0x11000, TX_RING = 0x12000, TX_DATA = 0x20000, RX_DATA = 0x30000 };
#define PORT WIRE_PORTS(0)
#define ADDRESS "\x52\x54\x00\x12\x34\x56"

static Device *card;
static unsigned style;

static uint16_t csr(unsigned n)
{
    rig_out16(PORT + 0x12, n);
    return rig_in16(PORT + 0x10);
}

static void set_csr(unsigned n, uint16_t value)
{
    rig_out16(PORT + 0x12, n);
    rig_out16(PORT + 0x10, value);
}

static void set_bcr(unsigned n, uint16_t value)
{
    rig_out16(PORT + 0x12, n);
    rig_out16(PORT + 0x16, value);
}

/* Gives descriptor n of a ring to the chip. */
static void give(uint32_t ring, int n, uint32_t buffer, unsigned size, uint8_t flags)
{
    uint8_t *d = rig_ram() + ring + n * (style ? 16 : 8);

    if (style == 0) {
        store_le32(d, buffer | (uint32_t)(0x80 | flags) << 24);
        store_le32(d + 4, (-size & 0xffff) | 0xf000);
    } else {
        store_le32(d + (style == 3 ? 8 : 0), buffer);
        store_le32(d + 4, (uint32_t)(0x80 | flags) << 24 | (-size & 0xffff) | 0xf000);
        store_le32(d + (style == 3 ? 0 : 8), 0);
    }
}

static void start(unsigned software_style, uint16_t mode)
{
    uint8_t *b = rig_ram() + BLOCK;

    style = software_style;
    device_reset(card);
    wire_place(card);
    wire_clear();
    rig_in16(PORT + 0x14);
    g_assert_cmphex(csr(0), ==, 4);
    set_bcr(20, style);
    memset(b, 0, 0x3000);
    store_le16(b, mode);
    if (style) {
        b[2] = b[3] = 2 << 4; /* rings of 4 */
        memcpy(b + 4, ADDRESS, 6);
        store_le32(b + 20, RX_RING);
        store_le32(b + 24, TX_RING);
    } else {
        memcpy(b + 2, ADDRESS, 6);
        store_le32(b + 16, RX_RING | 2u << 29);
        store_le32(b + 20, TX_RING | 2u << 29);
    }
    set_csr(1, BLOCK & 0xffff);
    set_csr(2, BLOCK >> 16);
    set_csr(0, 0x0041); /* INIT, IENA */
    g_assert_cmphex(csr(0) & 0x0101, ==, 0x0101);
    g_assert_true(rig_pci_irq());
    set_csr(0, 0x0142);
    g_assert_false(rig_pci_irq());
}

static void frames_come_and_go(gconstpointer data)
{
    uint8_t frame[700];

    start(GPOINTER_TO_UINT(data), 0);
    for (int i = 0; i < 10; i++) {
        wire_fill(frame, sizeof(frame), ADDRESS, i);
        memcpy(rig_ram() + TX_DATA, frame, sizeof(frame));
        give(TX_RING, 2 * i % 4, TX_DATA, 300, 2);
        give(TX_RING, (2 * i + 1) % 4, TX_DATA + 300, 400, 1);
        set_csr(0, 0x0048);
        g_assert_cmpuint(wire_count(), ==, i + 1);
        g_assert_cmpmem(wire_frame(i)->data, wire_frame(i)->size, frame, sizeof(frame));
        g_assert_cmphex(csr(0) & 0x0200, ==, 0x0200);
        set_csr(0, 0x0240);
        give(RX_RING, 2 * i % 4, RX_DATA, 512, 0);
        give(RX_RING, (2 * i + 1) % 4, RX_DATA + 0x1000, 512, 0);
        memset(rig_ram() + RX_DATA, 0, 0x2000);
        wire_deliver(frame, sizeof(frame));
        rig_run(NS_PER_MS); /* the chip looks again for what was too little for a whole frame */
        give(RX_RING, (2 * i + 2) % 4, RX_DATA + 0x2000, 2048, 0);
        rig_run(NS_PER_MS);
        give(RX_RING, (2 * i + 2) % 4, RX_DATA + 0x2000, 2048, 0);
        rig_ram()[RX_RING + (2 * i + 2) % 4 * (style ? 16 : 8) + (style ? 7 : 3)] = 0; /* and takes it back */
        g_assert_cmpmem(rig_ram() + RX_DATA, 512, frame, 512);
        g_assert_cmpmem(rig_ram() + RX_DATA + 0x1000, 188, frame + 512, 188);
        g_assert_cmphex(csr(0) & 0x0400, ==, 0x0400);
        set_csr(0, 0x0440);
    }
}

static void loopback_comes_back(void)
{
    start(2, 0x0004);
    wire_fill(rig_ram() + TX_DATA, 100, ADDRESS, 7);
    give(RX_RING, 0, RX_DATA, 2048, 0);
    give(TX_RING, 0, TX_DATA, 100, 3);
    set_csr(0, 0x0048);
    g_assert_cmpuint(wire_count(), ==, 0);
    g_assert_cmpmem(rig_ram() + RX_DATA, 100, rig_ram() + TX_DATA, 100);
    g_assert_cmpuint(load_le32(rig_ram() + RX_RING + 8), ==, 104);
}

static void double_words_are_chosen_by_writing_one(void)
{
    start(2, 0);
    rig_out32(PORT + 0x10, 0);
    rig_out32(PORT + 0x14, 88);
    g_assert_cmphex(rig_in32(PORT + 0x10) & 0xffff, ==, 0x1003);
}

static void the_cable_shows(void)
{
    start(2, 0);
    rig_out16(PORT + 0x12, 4);
    g_assert_cmphex(rig_in16(PORT + 0x16), ==, 0x80c0);
    net_set_link(net_find("wire"), false);
    g_assert_cmphex(rig_in16(PORT + 0x16), ==, 0x00c0);
    net_set_link(net_find("wire"), true);
}

static void nonsense_is_survived(void)
{
    uint8_t frame[1514];

    wire_fill(frame, sizeof(frame), ADDRESS, 0);
    for (int round = 0; round < 40; round++) {
        start(round % 4, 0x8000);
        for (int i = 0; i < 500; i++) {
            store_le32(rig_ram() + (g_test_rand_bit() ? TX_RING : RX_RING) + g_test_rand_int_range(0, 16) * 4,
                       g_test_rand_int());
            if (i % 5 == 0) {
                set_csr(0, 0x0048);
                wire_deliver(frame, g_test_rand_int_range(1, sizeof(frame)));
                wire_clear();
            }
            if (i % 50 == 0) {
                set_csr(g_test_rand_int_range(1, 128), g_test_rand_int());
                rig_run(10 * NS_PER_US);
            }
        }
        rig_save_and_load(card);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    wire_init();
    card = rig_add("pcnet,mac=52:54:00:12:34:56,netdev=wire,romfile=", pci_bus_bus(rig_pci()));
    for (unsigned s = 0; s < 4; s++) {
        g_autofree char *name = g_strdup_printf("/pcnet/frames_come_and_go/style%u", s);

        g_test_add_data_func(name, GUINT_TO_POINTER(s), frames_come_and_go);
    }
#define ADD(fn) g_test_add_func("/pcnet/" #fn, fn)
    ADD(loopback_comes_back);
    ADD(double_words_are_chosen_by_writing_one);
    ADD(the_cable_shows);
    ADD(nonsense_is_survived);
    return g_test_run();
}
