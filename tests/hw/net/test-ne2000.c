/* The NE2000: data port, receive ring, filters, and a driver that writes nonsense. */
#include "tests/hw/net/wire.h"
#include "util/bits.h"

#include <string.h>

enum { CR, PSTART, PSTOP, BNRY, TPSR, TBCR0, TBCR1, ISR, RSAR0, RSAR1, RBCR0, RBCR1, RCR, TCR, DCR, IMR, DATA };
enum { FIRST = 0x46, STOP = 0x80 };
#define PORT 0x300
#define ADDRESS "\x52\x54\x00\x12\x34\x56"

static Device *card;

static void remote(uint8_t direction, uint16_t address, uint16_t count)
{
    rig_out8(PORT + RSAR0, address);
    rig_out8(PORT + RSAR1, address >> 8);
    rig_out8(PORT + RBCR0, count);
    rig_out8(PORT + RBCR1, count >> 8);
    rig_out8(PORT + CR, 0x02 | direction);
}

static void start(void)
{
    device_reset(card);
    wire_clear();
    rig_in8(PORT + 0x1f);
    g_assert_cmphex(rig_in8(PORT + ISR) & 0x80, ==, 0x80);
    rig_out8(PORT + CR, 0x21);
    rig_out8(PORT + DCR, 0x49);
    rig_out8(PORT + PSTART, FIRST);
    rig_out8(PORT + PSTOP, STOP);
    rig_out8(PORT + BNRY, STOP - 1);
    rig_out8(PORT + RCR, 0x04);
    rig_out8(PORT + CR, 0x61); /* page 1 */
    for (int i = 0; i < 6; i++) {
        rig_out8(PORT + 1 + i, ADDRESS[i]);
    }
    rig_out8(PORT + 7, FIRST);
    rig_out8(PORT + CR, 0x22);
    rig_out8(PORT + ISR, 0x7f);
    rig_out8(PORT + IMR, 0x1f);
}

static void the_prom_has_the_address(void)
{
    start();
    remote(0x08, 0, 32);
    for (int i = 0; i < 6; i++) {
        g_assert_cmphex(rig_in8(PORT + DATA), ==, (uint8_t)ADDRESS[i]); /* each is there twice, a word at a time */
    }
}

static void a_frame_leaves(void)
{
    uint8_t data[100];

    start();
    wire_fill(data, sizeof(data), "\xff\xff\xff\xff\xff\xff", 0);
    remote(0x10, 0x4000, sizeof(data));
    for (unsigned i = 0; i < sizeof(data); i += 2) {
        rig_out16(PORT + DATA, load_le16(data + i));
    }
    g_assert_cmphex(rig_in8(PORT + ISR) & 0x40, ==, 0x40);
    rig_out8(PORT + TPSR, 0x40);
    rig_out8(PORT + TBCR0, sizeof(data));
    rig_out8(PORT + TBCR1, 0);
    rig_out8(PORT + CR, 0x26);
    g_assert_cmpuint(wire_count(), ==, 1);
    g_assert_cmpmem(wire_frame(0)->data, wire_frame(0)->size, data, sizeof(data));
    g_assert_true(rig_irq(9));
    rig_out8(PORT + ISR, 0x42);
    g_assert_false(rig_irq(9));
}

/* Linux selects a page with neither bit in its interrupt handler. */
static void without_start_and_stop_the_chip_goes_on(void)
{
    uint8_t data[100];

    start();
    rig_out8(PORT + CR, 0x20);
    wire_fill(data, sizeof(data), ADDRESS, 0);
    wire_deliver(data, sizeof(data));
    g_assert_cmphex(rig_in8(PORT + ISR) & 1, ==, 1);
}

static void the_ring_wraps_and_frames_wait(void)
{
    uint8_t data[1000], page = FIRST;

    start();
    wire_fill(data, sizeof(data), ADDRESS, 0);
    for (int i = 0; i < 60; i++) {
        wire_deliver(data, sizeof(data));
    }
    for (int i = 0; i < 60; i++) {
        uint8_t header[4];

        rig_out8(PORT + CR, 0x62);
        g_assert_cmphex(rig_in8(PORT + 7), !=, page); /* the chip is ahead */
        if (i < 30) {
            g_assert_true(rig_irq(9)); /* frames wait: whatever was acknowledged, there is more */
        }
        rig_out8(PORT + CR, 0x22);
        remote(0x08, page * 256, 4 + sizeof(data));
        store_le32(header, rig_in32(PORT + DATA));
        g_assert_cmphex(header[0], ==, 1);
        g_assert_cmpuint(load_le16(header + 2), ==, sizeof(data) + 4);
        for (unsigned n = 0; n < sizeof(data); n += 2) {
            g_assert_cmphex(rig_in16(PORT + DATA), ==, load_le16(data + n));
        }
        page = header[1];
        rig_out8(PORT + BNRY, page == FIRST ? STOP - 1 : page - 1);
        rig_out8(PORT + ISR, 1);
    }
    g_assert_cmphex(rig_in8(PORT + ISR) & 1, ==, 0);
}

static void nonsense_is_survived(void)
{
    uint8_t data[1514];

    start();
    wire_fill(data, sizeof(data), ADDRESS, 0);
    for (int i = 0; i < 30000; i++) {
        rig_out8(PORT + g_test_rand_int_range(0, 17), g_test_rand_int());
        rig_in16(PORT + DATA);
        if (i % 10 == 0) {
            rig_out8(PORT + CR, 0x22);
            wire_deliver(data, g_test_rand_int_range(1, sizeof(data)));
            wire_clear();
        }
    }
    rig_save_and_load(card);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    wire_init();
    card = rig_add("ne2k_isa,mac=52:54:00:12:34:56,netdev=wire", rig_isa());
#define ADD(fn) g_test_add_func("/ne2000/" #fn, fn)
    ADD(the_prom_has_the_address);
    ADD(a_frame_leaves);
    ADD(without_start_and_stop_the_chip_goes_on);
    ADD(the_ring_wraps_and_frames_wait);
    ADD(nonsense_is_survived);
    return g_test_run();
}
