/* Intel's 8255x: command blocks, receive descriptors, statistics, EEPROM, and lists of nonsense. */
#include "core/clock.h"
#include "tests/hw/net/wire.h"
#include "util/bits.h"

#include <string.h>

enum { BLOCKS = 0x10000, FRAMES = 0x20000, DATA = 0x40000, STATS = 0x50000 };
#define PORT WIRE_PORTS(1)
#define ADDRESS "\x52\x54\x00\x12\x34\x56"

static Device *card;

static void command(uint8_t code, uint32_t pointer)
{
    rig_out32(PORT + 4, pointer);
    rig_out8(PORT + 2, code);
}

static void start(void)
{
    device_reset(card);
    wire_place(card);
    wire_clear();
    rig_out32(PORT + 8, 0);
    memset(rig_ram() + BLOCKS, 0, 0x50000);
    command(0x60, 0);
    command(0x06, 0);
}

static void block(uint32_t at, uint16_t code, uint32_t link)
{
    store_le32(rig_ram() + at, (uint32_t)code << 16);
    store_le32(rig_ram() + at + 4, link);
}

static void frame_descriptor(uint32_t at, uint16_t code, uint32_t link, uint16_t size)
{
    block(at, code, link);
    store_le32(rig_ram() + at + 12, (uint32_t)size << 16);
}

static void frames_leave_in_both_modes(void)
{
    start();
    wire_fill(rig_ram() + DATA, 300, "\xff\xff\xff\xff\xff\xff", 0);
    /* simplified: the data is behind the block */
    block(BLOCKS, 4, BLOCKS + 0x1000);
    store_le32(rig_ram() + BLOCKS + 8, UINT32_MAX);
    store_le32(rig_ram() + BLOCKS + 12, 0x8000 | 300);
    memcpy(rig_ram() + BLOCKS + 16, rig_ram() + DATA, 300);
    /* flexible: an array of two buffers */
    block(BLOCKS + 0x1000, 0x8000 | 0x2000 | 0x0008 | 4, 0);
    store_le32(rig_ram() + BLOCKS + 0x1008, BLOCKS + 0x1100);
    store_le32(rig_ram() + BLOCKS + 0x100c, 2u << 24);
    store_le32(rig_ram() + BLOCKS + 0x1100, DATA);
    store_le32(rig_ram() + BLOCKS + 0x1104, 100);
    store_le32(rig_ram() + BLOCKS + 0x1108, DATA + 100);
    store_le32(rig_ram() + BLOCKS + 0x110c, 200);
    command(0x10, BLOCKS);
    g_assert_cmpuint(wire_count(), ==, 2);
    for (int i = 0; i < 2; i++) {
        g_assert_cmpmem(wire_frame(i)->data, wire_frame(i)->size, rig_ram() + DATA, 300);
        g_assert_cmphex(load_le16(rig_ram() + BLOCKS + i * 0x1000), ==, 0xa000);
    }
    g_assert_cmphex(rig_in8(PORT + 1), ==, 0xa0);
    g_assert_true(rig_pci_irq());
    rig_out8(PORT + 1, 0xff);
    g_assert_false(rig_pci_irq());
}

static void a_suspended_unit_resumes_behind(void)
{
    start();
    block(BLOCKS, 0x4000, BLOCKS + 0x100);
    block(BLOCKS + 0x100, 0x4001, 0);
    memcpy(rig_ram() + BLOCKS + 0x108, "\x02\0\0\0\0\x09", 6);
    command(0x10, BLOCKS);
    g_assert_cmphex(rig_in8(PORT) >> 6, ==, 1);
    g_assert_cmphex(load_le16(rig_ram() + BLOCKS + 0x100), ==, 0);
    rig_out8(PORT + 2, 0x20);
    g_assert_cmphex(load_le16(rig_ram() + BLOCKS + 0x100), ==, 0xa000);
}

static void the_receiver_stops_where_it_is_told(void)
{
    uint8_t frame[500];

    start();
    for (int i = 0; i < 3; i++) { /* the last is a mark: no buffer */
        frame_descriptor(FRAMES + i * 0x1000, i == 2 ? 0x8000 : 0, FRAMES + (i + 1) * 0x1000, i == 2 ? 0 : 1518);
    }
    command(0x01, FRAMES);
    wire_fill(frame, sizeof(frame), ADDRESS, 1);
    for (int i = 0; i < 4; i++) {
        wire_deliver(frame, sizeof(frame));
    }
    for (int i = 0; i < 2; i++) {
        g_assert_cmphex(load_le16(rig_ram() + FRAMES + i * 0x1000), ==, 0xa000);
        g_assert_cmphex(load_le16(rig_ram() + FRAMES + i * 0x1000 + 12), ==, 0xc000 | 500);
        g_assert_cmpmem(rig_ram() + FRAMES + i * 0x1000 + 16, 500, frame, 500);
    }
    g_assert_cmphex(load_le16(rig_ram() + FRAMES + 0x2000), ==, 0);
    g_assert_cmphex(rig_in8(PORT) >> 2 & 15, ==, 2); /* no resources */
    g_assert_cmphex(rig_in8(PORT + 1), ==, 0x50);
    frame_descriptor(FRAMES + 0x2000, 0, FRAMES + 0x3000, 1518);
    frame_descriptor(FRAMES + 0x3000, 0x8000, 0, 1518);
    command(0x01, FRAMES + 0x2000);
    g_assert_cmphex(load_le16(rig_ram() + FRAMES + 0x3000), ==, 0xa000); /* what waited came in */
}

static void counters_are_dumped(void)
{
    frames_leave_in_both_modes();
    command(0x40, STATS);
    rig_out8(PORT + 2, 0x70);
    g_assert_cmpuint(load_le32(rig_ram() + STATS), ==, 2);
    g_assert_cmphex(load_le32(rig_ram() + STATS + 64), ==, 0xa007);
    rig_out8(PORT + 2, 0x50);
    g_assert_cmpuint(load_le32(rig_ram() + STATS), ==, 0);
}

/* A dump of the configuration into the registers, where it is the command to start: at the list that goes round. */
static void a_dump_into_the_registers_starts_no_second_unit(void)
{
    static const uint8_t config[] = { 22, 0, 0x10, 0, BLOCKS & 0xff, BLOCKS >> 8 & 0xff, BLOCKS >> 16, 0, 0x0f };

    start();
    block(FRAMES, 0x8000 | 2, 0); /* configure, the last */
    memcpy(rig_ram() + FRAMES + 8, config, sizeof(config));
    command(0x10, FRAMES);
    block(BLOCKS, 6, BLOCKS);
    store_le32(rig_ram() + BLOCKS + 8, WIRE_MEMORY(0));
    command(0x10, BLOCKS);
    g_assert_cmphex(rig_in8(PORT) >> 6, ==, 2);
    rig_run(NS_PER_MS);
    block(BLOCKS, 0x8000, 0);
    rig_run(NS_PER_MS);
    g_assert_cmphex(rig_in8(PORT) >> 6, ==, 0);
}

static void nonsense_is_survived(void)
{
    uint8_t frame[1514];

    start();
    wire_fill(frame, sizeof(frame), ADDRESS, 0);
    for (int i = 0; i < 20000; i++) {
        uint32_t at = (g_test_rand_bit() ? BLOCKS : FRAMES) + g_test_rand_int_range(0, 64) * 4;

        store_le32(rig_ram() + at, g_test_rand_bit() ? (uint32_t)g_test_rand_int() : at & ~63u);
        if (i % 10 == 0) {
            command(g_test_rand_int(), g_test_rand_bit() ? BLOCKS : FRAMES);
            wire_deliver(frame, g_test_rand_int_range(1, sizeof(frame)));
            wire_clear();
            rig_run(10 * NS_PER_US);
        }
        if (i % 1000 == 0) {
            rig_save_and_load(card);
            rig_out32(PORT + 8, 0);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    wire_init();
    card = rig_add("i82559er,mac=52:54:00:12:34:56,netdev=wire,romfile=", pci_bus_bus(rig_pci()));
#define ADD(fn) g_test_add_func("/i8255x/" #fn, fn)
    ADD(frames_leave_in_both_modes);
    ADD(a_suspended_unit_resumes_behind);
    ADD(the_receiver_stops_where_it_is_told);
    ADD(counters_are_dumped);
    ADD(a_dump_into_the_registers_starts_no_second_unit);
    ADD(nonsense_is_survived);
    return g_test_run();
}
