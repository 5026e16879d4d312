/* The RTL8139: its buffer and slots, C+ mode's rings and offloads, EEPROM, timer, and what a hostile driver does. */
#include "core/clock.h"
#include "tests/hw/net/wire.h"
#include "util/bits.h"

#include <string.h>

enum { IDR = 0, MAR = 8, TSD = 0x10, TSAD = 0x20, RBSTART = 0x30, CR = 0x37, CAPR = 0x38, CBR = 0x3a, IMR = 0x3c,
       ISR = 0x3e, TCR = 0x40, RCR = 0x44, TCTR = 0x48, CR9346 = 0x50, TIMER_INT = 0x54, MSR = 0x58, BMSR = 0x64,
       TPPOLL = 0xd9, CPCR = 0xe0, RDSAR = 0xe4, TNPDS = 0x20 };
enum { RX_BUFFER = 0x10000, TX_DATA = 0x40000, TX_RING = 0x60000, RX_RING = 0x61000, RX_DATA = 0x70000 };
#define PORT WIRE_PORTS(0)
#define ADDRESS "\x52\x54\x00\x12\x34\x56"
#define BROADCAST "\xff\xff\xff\xff\xff\xff"

static Device *card;
static NetBackend *net;

static void start(void)
{
    device_reset(card);
    wire_place(card);
    wire_clear();
    memset(rig_ram() + RX_BUFFER, 0xee, 0x80000);
    rig_out8(PORT + CR, 0x10);
    g_assert_cmphex(rig_in8(PORT + CR) & 0x10, ==, 0);
    rig_out8(PORT + CR, 0x0c);
    rig_out32(PORT + RBSTART, RX_BUFFER);
    rig_out32(PORT + RCR, 0x0e); /* own address, multicast, broadcast; 8 KiB */
}

static void frames_leave_through_the_slots_in_turn(void)
{
    start();
    rig_out16(PORT + IMR, 4);
    for (int i = 0; i < 5; i++) {
        wire_fill(rig_ram() + TX_DATA, 100 + i, BROADCAST, i);
        rig_out32(PORT + TSAD + 4 * (i % 4), TX_DATA);
        rig_out32(PORT + TSD + 4 * (i % 4), 100 + i);
        g_assert_cmphex(rig_in32(PORT + TSD + 4 * (i % 4)), ==, (100 + i) | 0xa000);
    }
    g_assert_cmpuint(wire_count(), ==, 5);
    g_assert_cmpuint(wire_frame(4)->size, ==, 104);
    g_assert_cmpint(wire_frame(4)->data[103], ==, 107);
    g_assert_true(rig_pci_irq());
    rig_out16(PORT + ISR, 4);
    g_assert_false(rig_pci_irq());
}

static void a_full_host_makes_slots_wait(void)
{
    start();
    wire_block(true);
    wire_fill(rig_ram() + TX_DATA, 1500, BROADCAST, 0);
    for (int i = 0; i < 20000; i++) {
        rig_out32(PORT + TSAD + 4 * (i % 4), TX_DATA);
        rig_out32(PORT + TSD + 4 * (i % 4), 1500);
        if (!(rig_in32(PORT + TSD + 4 * (i % 4)) & 0x2000)) {
            break;
        }
        g_assert_cmpint(i, <, 19999);
    }
    wire_block(false);
    g_assert_cmphex(rig_in16(PORT + 0x60) & 15, ==, 15); /* all slots are the driver's */
}

static void short_frames_are_padded(void)
{
    start();
    wire_fill(rig_ram() + TX_DATA, 42, BROADCAST, 0);
    rig_out32(PORT + TSAD, TX_DATA);
    rig_out32(PORT + TSD, 42);
    g_assert_cmpuint(wire_frame(0)->size, ==, 60);
    g_assert_cmpint(wire_frame(0)->data[42], ==, 0);
}

static void the_buffer_wraps(void)
{
    uint8_t data[1000];
    uint32_t read = 0;

    start();
    for (int i = 0; i < 30; i++) {
        uint8_t *buffer = rig_ram() + RX_BUFFER;

        g_assert_cmphex(rig_in8(PORT + CR) & 1, ==, 1);
        wire_fill(data, sizeof(data), ADDRESS, i);
        wire_deliver(data, sizeof(data));
        g_assert_cmphex(rig_in8(PORT + CR) & 1, ==, 0);
        g_assert_cmphex(load_le16(buffer + read), ==, 0x4001);
        g_assert_cmpuint(load_le16(buffer + read + 2), ==, 1004);
        for (uint32_t n = 0; n < sizeof(data); n++) {
            g_assert_cmpint(buffer[(read + 4 + n) % 8192], ==, data[n]);
        }
        read = (read + 1008) % 8192;
        g_assert_cmpuint(rig_in16(PORT + CBR), ==, read);
        rig_out16(PORT + CAPR, read - 16);
    }
    g_assert_cmphex(rig_ram()[RX_BUFFER + 8192], ==, 0xee);
}

static void with_the_wrap_bit_frames_go_beyond_the_end(void)
{
    uint8_t data[1500];
    uint32_t read = 0;

    start();
    rig_out32(PORT + RCR, 0x8e);
    wire_fill(data, sizeof(data), ADDRESS, 0);
    for (int i = 0; i < 6; i++) {
        wire_deliver(data, sizeof(data));
        g_assert_cmpmem(rig_ram() + RX_BUFFER + read + 4, sizeof(data), data, sizeof(data));
        read = (read + 1508) % 8192;
        rig_out16(PORT + CAPR, read - 16);
    }
    g_assert_cmphex(rig_ram()[RX_BUFFER + 8192], !=, 0xee);
}

static void a_full_buffer_makes_frames_wait_and_tells(void)
{
    uint8_t data[1500];

    start();
    wire_fill(data, sizeof(data), ADDRESS, 0);
    for (int i = 0; i < 10; i++) {
        wire_deliver(data, sizeof(data));
    }
    g_assert_cmpuint(rig_in16(PORT + CBR), ==, 5 * 1508);
    rig_out16(PORT + IMR, 1);
    rig_out16(PORT + ISR, 1);
    g_assert_true(rig_pci_irq()); /* frames are left in the buffer */
    rig_out16(PORT + CAPR, 5 * 1508 - 16);
    g_assert_cmpuint(rig_in16(PORT + CBR), ==, 10 * 1508 % 8192);
}

static void filters_choose(void)
{
    uint8_t data[60];

    start();
    wire_fill(data, 60, "\x52\x54\x00\x12\x34\x57", 0);
    wire_deliver(data, 60);
    wire_fill(data, 60, "\x01\x00\x5e\x00\x00\x01", 0);
    wire_deliver(data, 60);
    g_assert_cmpuint(rig_in16(PORT + CBR), ==, 0);
    rig_out32(PORT + MAR, 1u << 31); /* 224.0.0.1 is bit 31 of this hash, as IEEE 802.3's CRC has it */
    wire_deliver(data, 60);
    g_assert_cmpuint(rig_in16(PORT + CBR), ==, 68);
    g_assert_cmphex(load_le16(rig_ram() + RX_BUFFER), ==, 0x8001);
    wire_fill(data, 60, BROADCAST, 0);
    wire_deliver(data, 60);
    g_assert_cmphex(load_le16(rig_ram() + RX_BUFFER + 68), ==, 0x2001);
    rig_out32(PORT + RCR, 1); /* everything */
    wire_fill(data, 60, "\x52\x54\x00\x12\x34\x57", 0);
    wire_deliver(data, 60);
    g_assert_cmpuint(rig_in16(PORT + CBR), ==, 3 * 68);
}

static void the_check_sequence_is_right(void)
{
    /* 802.3's sequence over "123456789" is the well-known cbf43926; here over a frame, sequence and all. */
    uint8_t data[64];
    uint32_t crc = 0xffffffff;

    start();
    wire_fill(data, 60, ADDRESS, 9);
    wire_deliver(data, 60);
    for (int i = 0; i < 64; i++) {
        crc ^= rig_ram()[RX_BUFFER + 4 + i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        }
    }
    g_assert_cmphex(crc, ==, 0xdebb20e3); /* the residue */
}

static void loopback_comes_back(void)
{
    start();
    rig_out32(PORT + TCR, 3 << 17);
    wire_fill(rig_ram() + TX_DATA, 200, ADDRESS, 0);
    rig_out32(PORT + TSAD, TX_DATA);
    rig_out32(PORT + TSD, 200);
    g_assert_cmpuint(wire_count(), ==, 0);
    g_assert_cmpmem(rig_ram() + RX_BUFFER + 4, 200, rig_ram() + TX_DATA, 200);
}

static uint16_t read_eeprom(unsigned address)
{
    uint32_t command = 6 << 6 | address;
    uint16_t value = 0;

    rig_out8(PORT + CR9346, 0x88);
    for (int bit = 8; bit >= 0; bit--) {
        uint8_t pins = 0x88 | (command >> bit & 1) << 1;

        rig_out8(PORT + CR9346, pins);
        rig_out8(PORT + CR9346, pins | 4);
    }
    rig_out8(PORT + CR9346, 0x88);
    for (int bit = 0; bit < 16; bit++) {
        rig_out8(PORT + CR9346, 0x8c);
        value = value << 1 | (rig_in8(PORT + CR9346) & 1);
        rig_out8(PORT + CR9346, 0x88);
    }
    rig_out8(PORT + CR9346, 0);
    return value;
}

static void the_eeprom_holds_the_address(void)
{
    start();
    g_assert_cmphex(read_eeprom(0), ==, 0x8129);
    g_assert_cmphex(read_eeprom(7), ==, 0x5452);
    g_assert_cmphex(read_eeprom(8), ==, 0x1200);
    g_assert_cmphex(read_eeprom(9), ==, 0x5634);
    g_assert_cmphex(rig_in32(PORT + IDR), ==, 0x12005452);
    rig_out32(PORT + IDR, 0); /* locked */
    g_assert_cmphex(rig_in32(PORT + IDR), ==, 0x12005452);
    rig_out8(PORT + CR9346, 0xc0);
    rig_out32(PORT + IDR, 0);
    g_assert_cmphex(rig_in32(PORT + IDR), ==, 0);
    rig_out8(PORT + CR9346, 0x40); /* loads it again */
    g_assert_cmphex(rig_in32(PORT + IDR), ==, 0x12005452);
}

static void the_timer_interrupts(void)
{
    start();
    rig_out16(PORT + IMR, 0x4000);
    rig_out32(PORT + TCTR, 0);
    rig_out32(PORT + TIMER_INT, 33000); /* 1 ms */
    rig_run(900 * NS_PER_US);
    g_assert_false(rig_pci_irq());
    rig_run(200 * NS_PER_US);
    g_assert_true(rig_pci_irq());
    g_assert_cmpuint(rig_in32(PORT + TCTR), ==, 36300);
}

static void a_pulled_cable_is_noticed(void)
{
    start();
    rig_out16(PORT + IMR, 0x20);
    net_set_link(net, false);
    g_assert_true(rig_pci_irq());
    g_assert_cmphex(rig_in8(PORT + MSR) & 4, ==, 4);
    g_assert_cmphex(rig_in16(PORT + BMSR) & 4, ==, 0);
    net_set_link(net, true);
    g_assert_cmphex(rig_in16(PORT + BMSR) & 4, ==, 4);
}

/* ---- C+ mode ---- */

static void descriptor(uint32_t ring, int n, uint32_t first, uint32_t second, uint64_t address)
{
    uint8_t *d = rig_ram() + ring + n * 16;

    store_le32(d, first | 0x80000000u | (n == 7 ? 0x40000000 : 0));
    store_le32(d + 4, second);
    store_le64(d + 8, address);
}

static void start_cplus(void)
{
    start();
    rig_out16(PORT + CPCR, 0x63); /* VLAN, checksums, receive, transmit */
    rig_out32(PORT + TNPDS, TX_RING);
    rig_out32(PORT + TNPDS + 4, 0);
    rig_out32(PORT + RDSAR, RX_RING);
    rig_out32(PORT + RDSAR + 4, 0);
    memset(rig_ram() + TX_RING, 0, 0x2000);
}

static void rings_carry_packets_in_pieces(void)
{
    start_cplus();
    wire_fill(rig_ram() + TX_DATA, 300, BROADCAST, 1);
    for (int round = 0; round < 8; round++) {
        int at = round * 3 % 8;

        descriptor(TX_RING, at, 1 << 29 | 100, 0, TX_DATA);
        descriptor(TX_RING, (at + 1) % 8, 150, 0, TX_DATA + 100);
        rig_out8(PORT + TPPOLL, 0x40);
        g_assert_cmpuint(wire_count(), ==, round); /* the end is not there yet */
        descriptor(TX_RING, (at + 2) % 8, 1 << 28 | 50, 0, TX_DATA + 250);
        rig_out8(PORT + TPPOLL, 0x40);
        g_assert_cmpuint(wire_count(), ==, round + 1);
        g_assert_cmpmem(wire_frame(round)->data, wire_frame(round)->size, rig_ram() + TX_DATA, 300);
        g_assert_cmphex(load_le32(rig_ram() + TX_RING + at * 16) >> 31, ==, 0);
    }
}

static void checksums_and_tags_are_filled_in(void)
{
    const WireFrame *f;

    start_cplus();
    descriptor(TX_RING, 0, 3 << 28 | 1 << 18 | 1 << 16 | wire_tcp(rig_ram() + TX_DATA, 101), 0, TX_DATA);
    rig_out8(PORT + TPPOLL, 0x40);
    wire_check_tcp(wire_frame(0)->data, wire_frame(0)->size);
    descriptor(TX_RING, 1, 3 << 28 | 100, 1 << 17 | 0x3412, TX_DATA);
    rig_out8(PORT + TPPOLL, 0x40);
    f = wire_frame(1);
    g_assert_cmpuint(f->size, ==, 104);
    g_assert_cmphex(load_be32(f->data + 12), ==, 0x81001234);
    g_assert_cmphex(load_be16(f->data + 16), ==, 0x0800);
}

static void large_sends_become_segments(void)
{
    start_cplus();
    descriptor(TX_RING, 0, 0xf8000000u | 1000 << 16 | wire_tcp(rig_ram() + TX_DATA, 2500), 0, TX_DATA);
    rig_out8(PORT + TPPOLL, 0x40);
    g_assert_cmpuint(wire_count(), ==, 3);
    for (int i = 0; i < 3; i++) {
        const WireFrame *f = wire_frame(i);

        wire_check_tcp(f->data, f->size);
        g_assert_cmpuint(load_be32(f->data + 38), ==, 5000 + i * 1000);
        g_assert_cmphex(f->data[47], ==, i == 2 ? 0x19 : 0x10);
    }
}

static void rings_receive_and_check(void)
{
    uint8_t data[1514];
    size_t size = wire_tcp(data, 1000);

    start_cplus();
    for (int i = 0; i < 8; i++) {
        descriptor(RX_RING, i, 600, 0, RX_DATA + i * 0x1000);
    }
    memcpy(data, ADDRESS, 6);
    wire_deliver(data, size); /* over two descriptors; the checksums are bad */
    g_assert_cmphex(load_le32(rig_ram() + RX_RING), ==, 1 << 29 | 1 << 25 | 1 << 16 | 5 << 13 | 600);
    g_assert_cmphex(load_le32(rig_ram() + RX_RING + 16), ==,
                    1 << 28 | 1 << 25 | 1 << 16 | 5 << 13 | (size + 4));
    g_assert_cmpmem(rig_ram() + RX_DATA, 600, data, 600);
    g_assert_cmpmem(rig_ram() + RX_DATA + 0x1000, size - 600, data + 600, size - 600);
    wire_fill(data, 104, ADDRESS, 3);
    store_be32(data + 12, 0x81000123);
    wire_deliver(data, 104);
    g_assert_cmphex(load_le32(rig_ram() + RX_RING + 32) & 0x1fff, ==, 104);
    g_assert_cmphex(load_le32(rig_ram() + RX_RING + 36), ==, 0x12301);
    g_assert_cmpmem(rig_ram() + RX_DATA + 0x2000 + 12, 88, data + 16, 88);
}

static void an_empty_ring_makes_frames_wait(void)
{
    uint8_t data[1514];

    start_cplus();
    wire_fill(data, sizeof(data), ADDRESS, 0);
    wire_deliver(data, sizeof(data));
    descriptor(RX_RING, 0, 2048, 0, RX_DATA);
    rig_run(NS_PER_MS);
    g_assert_cmpmem(rig_ram() + RX_DATA, sizeof(data), data, sizeof(data));
}

static void the_tallies_are_dumped(void)
{
    start_cplus();
    descriptor(TX_RING, 0, 3 << 28 | 100, 0, TX_DATA);
    rig_out8(PORT + TPPOLL, 0x40);
    rig_out32(PORT + 0x14, 0);
    rig_out32(PORT + 0x10, RX_DATA | 8);
    g_assert_cmphex(rig_in32(PORT + 0x10) & 8, ==, 0);
    g_assert_cmphex(rig_ram()[RX_DATA + 64], ==, 0xee);
    g_assert_cmpuint(load_le64(rig_ram() + RX_DATA), >=, 1);
}

static void rings_of_nonsense_end(void)
{
    uint8_t data[1514];

    start_cplus();
    memset(rig_ram() + TX_RING, 0xff, 0x1000);
    for (int i = 0; i < 8; i++) { /* no end of a packet, and a ring that never comes back to its start */
        descriptor(TX_RING, i, 0, 0, 0);
    }
    rig_out8(PORT + TPPOLL, 0xc0);
    for (int i = 0; i < 8; i++) {
        descriptor(RX_RING, i, 0, 0, RX_DATA);
    }
    wire_fill(data, sizeof(data), ADDRESS, 0);
    wire_deliver(data, sizeof(data));
    for (int i = 0; i < 20000; i++) {
        uint8_t *ring = rig_ram() + (g_test_rand_bit() ? TX_RING : RX_RING);

        store_le32(ring + g_test_rand_int_range(0, 64) * 4, g_test_rand_int());
        if (i % 8 == 0) {
            rig_out8(PORT + TPPOLL, 0xc0);
            wire_deliver(data, g_test_rand_int_range(1, sizeof(data)));
        }
        if (i % 100 == 0) {
            static const uint8_t registers[] = { CPCR, RCR, RCR + 2, TCR, CR, CAPR, RDSAR, TNPDS, TSD, IMR };

            rig_out16(PORT + registers[g_test_rand_int_range(0, sizeof(registers))], g_test_rand_int());
            rig_out8(PORT + CR, 0x0c);
            rig_run(10 * NS_PER_US);
        }
        if (i % 5000 == 0) {
            rig_save_and_load(card);
            wire_clear();
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    net = wire_init();
    card = rig_add("rtl8139,mac=52:54:00:12:34:56,netdev=wire,romfile=", pci_bus_bus(rig_pci()));
#define ADD(fn) g_test_add_func("/rtl8139/" #fn, fn)
    ADD(frames_leave_through_the_slots_in_turn);
    ADD(a_full_host_makes_slots_wait);
    ADD(short_frames_are_padded);
    ADD(the_buffer_wraps);
    ADD(with_the_wrap_bit_frames_go_beyond_the_end);
    ADD(a_full_buffer_makes_frames_wait_and_tells);
    ADD(filters_choose);
    ADD(the_check_sequence_is_right);
    ADD(loopback_comes_back);
    ADD(the_eeprom_holds_the_address);
    ADD(the_timer_interrupts);
    ADD(a_pulled_cable_is_noticed);
    ADD(rings_carry_packets_in_pieces);
    ADD(checksums_and_tags_are_filled_in);
    ADD(large_sends_become_segments);
    ADD(rings_receive_and_check);
    ADD(an_empty_ring_makes_frames_wait);
    ADD(the_tallies_are_dumped);
    ADD(rings_of_nonsense_end);
    return g_test_run();
}
