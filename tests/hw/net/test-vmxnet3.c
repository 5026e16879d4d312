/* VMXNET3: rings, offloads, filters, interrupts and hostile descriptors, as a driver's memory describes them. */
#include "core/clock.h"
#include "tests/hw/net/wire.h"
#include "util/bits.h"
#include "util/checksum.h"

#include <string.h>

enum { TXPROD = 0x600, RXPROD = 0x800 };                                        /* BAR 0 */
enum { VRRS = 0, UVRS = 8, DSAL = 0x10, DSAH = 0x18, CMD = 0x20, ICR = 0x38, ECR = 0x40 }; /* BAR 1 */
enum { ACTIVATE = 0xcafe0000, QUIESCE, RESET, RX_MODE, GROUPS, VLANS, FEATURES = 0xcafe0009, GET_STATS = 0xf00d0001, GET_LINK,
       GET_MAC_LOW };
enum { SHARED = 0x10000, QUEUES = 0x11000, TX_RING = 0x12000, TX_COMP = 0x13000, RX_RING = 0x14000, RX_RING2 = 0x15000,
       RX_COMP = 0x16000, TX_DATA = 0x20000, RX_DATA = 0x30000, GROUP_LIST = 0x40000, ENTRIES = 32, BUFFER = 2048 };
enum { EOP = 1 << 12, COMPLETE = 1 << 13, TAG = 1 << 15, TX_GEN = 1 << 14, BODY = 1 << 14 };
#define GEN  (1u << 31)
#define ME   "\x52\x54\x00\x12\x34\x56"
#define ALL  "\xff\xff\xff\xff\xff\xff"

static Device *nic;

static uint32_t get(uint32_t offset)
{
    return rig_load(WIRE_MEMORY(1) + offset, 4);
}

static void put(uint32_t offset, uint32_t value)
{
    rig_store(WIRE_MEMORY(1) + offset, value, 4);
}

static void ring(uint32_t offset)
{
    rig_store(WIRE_MEMORY(0) + offset, 0, 4);
}

static uint8_t *at(uint32_t address)
{
    return rig_ram() + address;
}

static uint32_t command(uint32_t value)
{
    put(CMD, value);
    return get(CMD);
}

/* One queue each way; heads of 2 KiB in the first ring, bodies in the second. */
static void describe(void)
{
    uint8_t *s = at(SHARED), *tx = at(QUEUES), *rx = at(QUEUES + 256);

    memset(at(SHARED), 0, 0x60000);
    store_le32(s, 0xbabefee1);
    store_le64(s + 40, QUEUES);
    store_le32(s + 56, 1500);
    s[62] = s[63] = 1;
    s[80] = 1; /* vectors mask themselves */
    s[81] = 1;
    store_le32(s + 120, 1 | 4); /* unicast and broadcast */
    store_le64(tx + 16, TX_RING);
    store_le64(tx + 32, TX_COMP);
    store_le32(tx + 56, ENTRIES);
    store_le32(tx + 64, ENTRIES);
    store_le64(rx + 16, RX_RING);
    store_le64(rx + 24, RX_RING2);
    store_le64(rx + 32, RX_COMP);
    store_le32(rx + 56, ENTRIES);
    store_le32(rx + 60, ENTRIES);
    store_le32(rx + 64, ENTRIES * 2);
    for (int i = 0; i < ENTRIES; i++) {
        store_le64(at(RX_RING) + i * 16, RX_DATA + i * BUFFER);
        store_le32(at(RX_RING) + i * 16 + 8, BUFFER | (i < ENTRIES - 1 ? GEN : 0));
        store_le64(at(RX_RING2) + i * 16, RX_DATA + (ENTRIES + i) * BUFFER);
        store_le32(at(RX_RING2) + i * 16 + 8, BUFFER | BODY | (i < ENTRIES - 1 ? GEN : 0));
    }
}

static void activate(void)
{
    put(DSAL, SHARED);
    put(DSAH, 0);
    g_assert_cmphex(command(ACTIVATE), ==, 0);
}

static void start(void)
{
    device_reset(nic);
    wire_place(nic);
    wire_clear();
    describe();
    activate();
}

static void send(int n, uint64_t address, uint32_t third, uint32_t fourth)
{
    store_le64(at(TX_RING) + n * 16, address);
    store_le32(at(TX_RING) + n * 16 + 8, third | TX_GEN);
    store_le32(at(TX_RING) + n * 16 + 12, fourth);
}

static uint32_t completion(uint32_t base, int n, int dword)
{
    return load_le32(at(base) + n * 16 + dword * 4);
}

static void it_says_who_it_is(void)
{
    start();
    g_assert_cmphex(get(VRRS), ==, 1);
    g_assert_cmphex(get(UVRS), ==, 1);
    g_assert_cmphex(command(GET_MAC_LOW), ==, 0x12005452);
    g_assert_cmphex(command(GET_LINK), ==, 10000 << 16 | 1);
    net_set_link(net_find("wire"), false);
    g_assert_cmphex(command(GET_LINK), ==, 0);
    g_assert_cmphex(get(ECR), ==, 4);
    put(ECR, 4);
    g_assert_cmphex(get(ECR), ==, 0);
    net_set_link(net_find("wire"), true);
}

static void a_packet_in_two_pieces_is_sent_and_completed(void)
{
    start();
    rig_store(WIRE_MEMORY(0), 0, 4);
    wire_fill(at(TX_DATA), 300, ALL, 0);
    send(0, TX_DATA, 100, 0);
    send(1, TX_DATA + 100, 200, EOP | COMPLETE | TAG | 0x1007u << 16);
    ring(TXPROD);
    g_assert_cmpuint(wire_count(), ==, 1);
    g_assert_cmpuint(wire_frame(0)->size, ==, 304);
    g_assert_cmphex(load_be32(wire_frame(0)->data + 12), ==, 0x81001007);
    g_assert_cmpmem(wire_frame(0)->data + 16, 288, at(TX_DATA) + 12, 288);
    g_assert_cmpuint(completion(TX_COMP, 0, 0), ==, 1);
    g_assert_cmphex(completion(TX_COMP, 0, 3), ==, GEN);
    g_assert_true(rig_pci_irq());
    g_assert_cmpuint(get(ICR), ==, 1);
    g_assert_cmpuint(get(ICR), ==, 0);
    g_assert_false(rig_pci_irq());
    send(2, TX_DATA, 100, EOP | COMPLETE);
    ring(TXPROD);
    g_assert_false(rig_pci_irq()); /* masked since the last one */
    rig_store(WIRE_MEMORY(0), 0, 4);
    g_assert_true(rig_pci_irq());
}

static void large_sends_are_cut(void)
{
    size_t size;

    start();
    size = wire_tcp(at(TX_DATA), 250);
    send(0, TX_DATA, size | 100u << 18, 54 | 3 << 10 | EOP | COMPLETE);
    ring(TXPROD);
    g_assert_cmpuint(wire_count(), ==, 3);
    for (int n = 0; n < 3; n++) {
        wire_check_tcp(wire_frame(n)->data, n < 2 ? 154 : 104);
    }
    send(1, TX_DATA, size | 100u << 18, 70 | 3 << 10 | EOP | COMPLETE); /* its headers are not that long */
    ring(TXPROD);
    g_assert_cmpuint(wire_count(), ==, 3);
    g_assert_cmpuint(completion(TX_COMP, 1, 0), ==, 1);
}

static void checksums_are_completed(void)
{
    uint8_t *p = at(TX_DATA);
    size_t size;

    start();
    size = wire_tcp(p, 100);
    store_be16(p + 24, ~checksum_add(0, p + 14, 20));    /* IP's is the driver's work */
    store_be16(p + 50, 0x1811 + 6 + 120);                /* and so is the pseudo header's sum */
    send(0, TX_DATA, size | 50u << 18, 34 | 2 << 10 | EOP | COMPLETE);
    ring(TXPROD);
    g_assert_cmpuint(wire_frame(0)->size, ==, size);
    wire_check_tcp(wire_frame(0)->data, size);
}

static void frames_fill_heads_and_bodies(void)
{
    uint8_t frame[5000];

    start();
    wire_fill(frame, sizeof(frame), ME, 3);
    wire_deliver(frame, sizeof(frame));
    g_assert_cmphex(completion(RX_COMP, 0, 0), ==, 1 << 15);                             /* first, of the first ring */
    g_assert_cmphex(completion(RX_COMP, 1, 0), ==, 1 << 16);                             /* of the second ring */
    g_assert_cmphex(completion(RX_COMP, 2, 0), ==, 1 | 1 << 14 | 1 << 16 | 1 << 30);     /* last, without checksums */
    g_assert_cmpuint(completion(RX_COMP, 2, 2), ==, 5000 - 2 * BUFFER);
    g_assert_cmphex(completion(RX_COMP, 2, 3), ==, 3u << 24 | 1 << 23 | GEN);
    g_assert_cmpmem(at(RX_DATA), BUFFER, frame, BUFFER);
    g_assert_cmpmem(at(RX_DATA + ENTRIES * BUFFER), BUFFER, frame + BUFFER, BUFFER);
}

static void received_checksums_and_tags(void)
{
    uint8_t frame[158];
    size_t size = wire_tcp(frame, 100);

    start();
    store_le32(at(SHARED) + 24, 1 | 4);
    command(FEATURES);
    memcpy(frame, ME, 6);
    wire_deliver(frame, size);
    g_assert_cmphex(completion(RX_COMP, 0, 0) & 1 << 30, ==, 0);
    g_assert_cmphex(completion(RX_COMP, 0, 3) & 0x7f0000, ==, 1 << 21 | 1 << 18); /* TCP over IPv4, and both wrong */
    memmove(frame + 16, frame + 12, size - 12);
    store_be32(frame + 12, 0x81000005);
    wire_deliver(frame, size + 4);
    g_assert_cmphex(completion(RX_COMP, 1, 0), ==, 0); /* that network is not let in */
    store_le32(at(SHARED) + 136, 1 << 5);
    command(VLANS);
    wire_deliver(frame, size + 4);
    g_assert_cmphex(completion(RX_COMP, 1, 2), ==, size | 1 << 15 | 5u << 16);
}

static void filters_are_obeyed(void)
{
    static const char *const frames[] = { ME, ALL, "\x01\x00\x5e\x01\x02\x03", "\x01\x00\x5e\x01\x02\x04", "\x52\x54\x00\x12\x34\x57" };
    static const struct {
        uint32_t mode;
        unsigned taken;
    } cases[] = { { 0, 0 }, { 1, 1 }, { 4, 2 }, { 2, 4 }, { 8, 12 }, { 16, 31 } };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        unsigned taken = 0, before = 0;

        start();
        memcpy(at(GROUP_LIST), frames[2], 6);
        store_le16(at(SHARED) + 124, 6);
        store_le64(at(SHARED) + 128, GROUP_LIST);
        store_le32(at(SHARED) + 120, cases[i].mode);
        command(GROUPS);
        command(RX_MODE);
        for (unsigned n = 0; n < G_N_ELEMENTS(frames); n++) {
            uint8_t frame[60];

            wire_fill(frame, sizeof(frame), frames[n], 0);
            wire_deliver(frame, sizeof(frame));
            if (completion(RX_COMP, before, 3) & GEN) {
                taken |= 1u << n;
                before++;
            }
        }
        g_assert_cmphex(taken, ==, cases[i].taken);
    }
}

static void without_buffers_frames_wait(void)
{
    uint8_t frame[100];

    start();
    wire_fill(frame, sizeof(frame), ME, 0);
    for (int i = 0; i < ENTRIES; i++) {
        wire_deliver(frame, sizeof(frame));
    }
    g_assert_cmphex(completion(RX_COMP, ENTRIES - 1, 3), ==, 0);
    g_assert_cmpuint(*at(QUEUES + 256), ==, 1); /* tell me */
    store_le32(at(RX_RING) + (ENTRIES - 1) * 16 + 8, BUFFER | GEN);
    ring(RXPROD);
    g_assert_cmphex(completion(RX_COMP, ENTRIES - 1, 3) & GEN, ==, GEN);
    command(GET_STATS);
    g_assert_cmpuint(load_le64(at(QUEUES + 256) + 88 + 16), ==, ENTRIES);
}

static void nonsense_is_refused(void)
{
    static const struct {
        uint32_t offset, value;
    } cases[] = { { SHARED, 1 }, { SHARED + 60, 0x09090000 }, { SHARED + 60, 0 }, { QUEUES + 56, 0 }, { QUEUES + 56, 5000 },
                  { QUEUES + 64, 1 << 30 }, { QUEUES + 256 + 56, 0 }, { QUEUES + 256 + 60, 1 << 20 }, { QUEUES + 256 + 64, 0 } };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        start();
        store_le32(at(cases[i].offset), cases[i].value);
        g_assert_cmphex(command(ACTIVATE), !=, 0);
        ring(TXPROD);
        wire_deliver(at(TX_DATA), 100);
    }
    rig_save_and_load(nic);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* Rings full of noise, some of it pointing into the card's own registers. */
static void random_descriptors_do_no_harm(void)
{
    const char *rounds = g_getenv("FUZZ_ROUNDS");
    uint32_t seed = g_test_rand_int() | 1;
    uint8_t frame[9018];

    g_test_message("seed %08x", seed);
    device_reset(nic);
    wire_place(nic);
    for (int round = 0; round < (rounds ? atoi(rounds) : 2000); round++) {
        size_t size = 14 + next_random(&seed) % (sizeof(frame) - 14);

        if (round % 16 == 0) {
            describe();
            put(DSAL, SHARED);
            for (int n = next_random(&seed) % 4; n > 0; n--) {
                *at(SHARED + next_random(&seed) % 0x1200) = next_random(&seed);
            }
            command(ACTIVATE);
        }
        for (int i = 0; i < 0x4000; i += 16) {
            bool registers = next_random(&seed) % 64 == 0;

            store_le64(at(TX_RING) + i, registers ? WIRE_MEMORY(next_random(&seed) & 1) + (next_random(&seed) & 0xfff)
                                                  : next_random(&seed) & 0xfffff);
            store_le32(at(TX_RING) + i + 8, next_random(&seed));
            store_le32(at(TX_RING) + i + 12, next_random(&seed));
        }
        rig_store(WIRE_MEMORY(next_random(&seed) & 1) + (next_random(&seed) & 0xffc), next_random(&seed), 4);
        ring(TXPROD);
        wire_tcp(frame, size > 54 ? size - 54 : 0);
        memcpy(frame, ALL, 6);
        frame[next_random(&seed) % 64] ^= next_random(&seed);
        wire_deliver(frame, size);
        wire_clear();
    }
    rig_save_and_load(nic);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    wire_init();
    nic = rig_add("vmxnet3,mac=52:54:00:12:34:56,netdev=wire,romfile=", pci_bus_bus(rig_pci()));
#define ADD(fn) g_test_add_func("/vmxnet3/" #fn, fn)
    ADD(it_says_who_it_is);
    ADD(a_packet_in_two_pieces_is_sent_and_completed);
    ADD(large_sends_are_cut);
    ADD(checksums_are_completed);
    ADD(frames_fill_heads_and_bodies);
    ADD(received_checksums_and_tags);
    ADD(filters_are_obeyed);
    ADD(without_buffers_frames_wait);
    ADD(nonsense_is_refused);
    ADD(random_descriptors_do_no_harm);
    return g_test_run();
}
