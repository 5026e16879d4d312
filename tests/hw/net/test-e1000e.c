/* The 82574L: both queues, the three kinds of receive descriptors, MSI-X, NVM, and rings that a hostile driver makes. */
#include "core/clock.h"
#include "tests/hw/net/wire.h"
#include "util/bits.h"

#include <string.h>

enum { CTRL = 0, STATUS = 8, EERD = 0x14, CTRL_EXT = 0x18, MDIC = 0x20, ICR = 0xc0, IMS = 0xd0, IMC = 0xd8, EIAC = 0xdc,
       IVAR = 0xe4, EITR = 0xe8, RCTL = 0x100, TCTL = 0x400, EEWR = 0x102c, PSRCTL = 0x2170, RDBAL = 0x2800, RDLEN = 0x2808,
       RDH = 0x2810, RDT = 0x2818, TDBAL = 0x3800, TDLEN = 0x3808, TDH = 0x3810, TDT = 0x3818, RXCSUM = 0x5000,
       RFCTL = 0x5008, RAL = 0x5400, MRQC = 0x5818, RETA = 0x5c00, RSSRK = 0x5c80, SYSTIML = 0xb600, TIMINCA = 0xb608 };
enum { QUEUE = 0x100, TX_RING = 0x10000, RX_RING = 0x11000, RX_RING1 = 0x12000, TX_DATA = 0x20000, RX_DATA = 0x30000,
       MESSAGE = 0x80000, ENTRIES = 8 };
enum { RXQ0 = 1 << 20, TXQ0 = 1 << 22, OTHER = 1 << 24 };
#define ME  "\x52\x54\x00\x12\x34\x56"
#define BAR WIRE_MEMORY(0)

static Device *nic;

static uint32_t get(uint32_t offset)
{
    return rig_load(BAR + offset, 4);
}

static void put(uint32_t offset, uint32_t value)
{
    rig_store(BAR + offset, value, 4);
}

static void start(void)
{
    device_reset(nic);
    wire_place(nic);
    wire_clear();
    memset(rig_ram() + TX_RING, 0, 0x80000);
    for (int q = 0; q < 2; q++) {
        put(TDBAL + q * QUEUE, TX_RING + q * 0x800);
        put(TDLEN + q * QUEUE, ENTRIES * 16);
        put(RDBAL + q * QUEUE, RX_RING + q * 0x1000);
        put(RDLEN + q * QUEUE, ENTRIES * 16);
        put(RDT + q * QUEUE, ENTRIES - 1);
        for (int i = 0; i < ENTRIES; i++) {
            store_le64(rig_ram() + RX_RING + q * 0x1000 + i * 16, RX_DATA + q * 0x8000 + i * 2048);
        }
    }
    put(TCTL, 2);
    put(RCTL, 1 << 1 | 1 << 15 | 1 << 26); /* on, broadcast, no check sequence */
    put(IMC, UINT32_MAX);
    get(ICR);
}

/* Vector n's message is n + 1 at MESSAGE + 4 * n. */
static void use_msix(void)
{
    PciDevice *pci = (PciDevice *)nic;

    for (int n = 0; n < 5; n++) {
        rig_store(WIRE_MEMORY(3) + n * 16, MESSAGE + 4 * n, 4);
        rig_store(WIRE_MEMORY(3) + n * 16 + 8, n + 1, 4);
        rig_store(WIRE_MEMORY(3) + n * 16 + 12, 0, 4);
    }
    pci_config_write(rig_pci(), 0, pci->devfn, pci->msix_cap + 2, 0x8000, 2);
    put(IVAR, 8 | 9 << 4 | 10 << 8 | 11 << 12 | 12 << 16);
}

static uint32_t message(int vector)
{
    uint32_t value = load_le32(rig_ram() + MESSAGE + 4 * vector);

    store_le32(rig_ram() + MESSAGE + 4 * vector, 0);
    return value;
}

static void descriptor(int queue, int n, uint64_t address, uint32_t low, uint32_t high)
{
    uint8_t *d = rig_ram() + TX_RING + queue * 0x800 + n * 16;

    store_le64(d, address);
    store_le32(d + 8, low);
    store_le32(d + 12, high);
}

static void the_nvm_holds_the_address_and_can_be_written(void)
{
    uint16_t sum = 0;

    start();
    for (int i = 0; i < 64; i++) {
        put(EERD, i << 2 | 1);
        g_assert_cmphex(get(EERD) & 3, ==, 2);
        sum += get(EERD) >> 16;
    }
    g_assert_cmphex(sum, ==, 0xbaba);
    g_assert_cmphex(get(RAL), ==, 0x12005452);
    put(EEWR, 0x1122u << 16 | 0 << 2 | 1);
    put(EEWR, 0xffffu << 16 | 0x3000 << 2 | 1); /* there is no such word */
    put(CTRL, 1 << 26);
    g_assert_cmphex(get(RAL), ==, 0x12001122);
}

static void the_transceiver_answers(void)
{
    start();
    put(MDIC, 2 << 26 | 1 << 21 | 3 << 16);
    g_assert_cmphex(get(MDIC) & 0x1000ffff, ==, 0x10000cb1);
    put(MDIC, 1 << 26 | 1 << 21 | 22 << 16 | 0xffff); /* a page that there is not */
    put(MDIC, 1 << 26 | 1 << 21 | 17 << 16 | 0x1234);
    put(MDIC, 2 << 26 | 1 << 21 | 17 << 16);
    g_assert_cmphex(get(MDIC) & 0xffff, ==, 0);
    g_assert_cmphex(get(STATUS) & 3, ==, 3);
    put(CTRL, 1 << 2);
    g_assert_cmphex(get(STATUS) & 1 << 19, ==, 0); /* no DMA is under way */
}

static void both_queues_send(void)
{
    start();
    use_msix();
    put(IMS, TXQ0 | TXQ0 << 1);
    for (int queue = 0; queue < 2; queue++) {
        wire_fill(rig_ram() + TX_DATA, 100, "\xff\xff\xff\xff\xff\xff", queue);
        descriptor(queue, 0, TX_DATA, 100 | 0x0bu << 24, 0);
        put(TDT + queue * QUEUE, 1);
        g_assert_cmpuint(wire_count(), ==, queue + 1);
        g_assert_cmpuint(wire_frame(queue)->size, ==, 100);
        g_assert_cmpint(wire_frame(queue)->data[20], ==, 20 + queue);
        g_assert_cmphex(rig_ram()[TX_RING + queue * 0x800 + 12] & 1, ==, 1);
        g_assert_cmpuint(message(2 + queue), ==, 3 + queue);
        g_assert_cmpuint(message(3 - queue), ==, 0);
    }
}

static void messages_come_once_and_at_intervals(void)
{
    uint8_t frame[64];

    start();
    use_msix();
    wire_fill(frame, sizeof(frame), ME, 0);
    put(EIAC, RXQ0);
    put(IMS, RXQ0 | OTHER | 4);
    put(EITR, 1000); /* 256 us */
    wire_deliver(frame, sizeof(frame));
    g_assert_cmpuint(message(0), ==, 1);
    g_assert_cmphex(get(ICR) & RXQ0, ==, 0); /* cleared on its own */
    wire_deliver(frame, sizeof(frame));
    g_assert_cmpuint(message(0), ==, 0);
    rig_run(300 * NS_PER_US);
    g_assert_cmpuint(message(0), ==, 1);
    net_set_link(net_find("wire"), false);
    g_assert_cmpuint(message(4), ==, 5);
    put(IMS, OTHER);
    g_assert_cmpuint(message(4), ==, 0); /* it was told already */
    g_assert_cmphex(get(ICR) & (OTHER | 4), ==, OTHER | 4);
    net_set_link(net_find("wire"), true);
    g_assert_cmpuint(message(4), ==, 5);
}

static void the_wire_is_let_go_by_reading(void)
{
    uint8_t frame[64];

    start();
    wire_fill(frame, sizeof(frame), ME, 0);
    put(IMS, 0x80);
    wire_deliver(frame, sizeof(frame));
    g_assert_true(rig_pci_irq());
    g_assert_cmphex(get(ICR) & 0x80000080, ==, 0x80000080);
    g_assert_false(rig_pci_irq());
    g_assert_cmphex(get(ICR), ==, 0);
}

static void extended_descriptors_tell_the_hash(void)
{
    /* "Verifying the RSS hash calculation": 66.9.149.187:2794 to 161.142.100.80:1766 gives 51ccc178, without ports 323e8fc2. */
    static const uint8_t key[40] = {
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
        0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa };
    uint8_t frame[154], *d = rig_ram() + RX_RING1;
    size_t size = wire_tcp(frame, 100);

    start();
    memcpy(frame, ME, 6);
    store_be32(frame + 26, 0x420995bb);
    store_be32(frame + 30, 0xa18e6450);
    store_be16(frame + 34, 2794);
    store_be16(frame + 36, 1766);
    for (int i = 0; i < 40; i += 4) {
        put(RSSRK + i, load_le32(key + i));
    }
    put(RFCTL, 1 << 15);
    put(RXCSUM, 1 << 13 | 3 << 8);
    put(MRQC, 1 | 3 << 16);
    put(RETA + 0x78, 0x80); /* of hash 78: the second queue */
    wire_deliver(frame, size);
    g_assert_cmphex(load_le32(d), ==, 1 | 1 << 8);
    g_assert_cmphex(load_le32(d + 4), ==, 0x51ccc178);
    g_assert_cmphex(load_le32(d + 8), ==, 0x60000063); /* done, end, both checksums looked at and wrong */
    g_assert_cmpuint(load_le32(d + 12), ==, size);
    g_assert_cmpmem(rig_ram() + RX_DATA + 0x8000, size, frame, size);
    put(MRQC, 2 << 16);
    wire_deliver(frame, size);
    g_assert_cmphex(load_le32(rig_ram() + RX_RING), ==, 2);
    g_assert_cmphex(load_le32(rig_ram() + RX_RING + 4), ==, 0x323e8fc2);
}

static void split_descriptors_keep_headers_apart(void)
{
    uint8_t frame[3054], *d = rig_ram() + RX_RING;
    size_t size = wire_tcp(frame, 3000);

    start();
    memcpy(frame, ME, 6);
    put(RFCTL, 1 << 15);
    put(PSRCTL, 2 | 1 << 8 | 1 << 16 | 1 << 24); /* 256 bytes and three times 1 KiB */
    put(RCTL, get(RCTL) | 1 << 10);
    for (int n = 0; n < 4; n++) {
        for (int i = 0; i < 4; i++) {
            store_le64(d + n * 32 + i * 8, RX_DATA + n * 4096 + i * 1024);
        }
    }
    put(RDT, 6); /* in units of 16 bytes */
    wire_deliver(frame, size);
    g_assert_cmpuint(get(RDH), ==, 2);
    g_assert_cmphex(load_le32(d + 8) & 3, ==, 3);
    g_assert_cmpuint(load_le16(d + 12), ==, 54);
    g_assert_cmphex(load_le16(d + 16), ==, 0x8000 | 54);
    g_assert_cmpuint(load_le16(d + 18) + load_le16(d + 20) + load_le16(d + 22), ==, 3000);
    g_assert_cmpmem(rig_ram() + RX_DATA, 54, frame, 54);
    g_assert_cmpmem(rig_ram() + RX_DATA + 1024, 3000, frame + 54, 3000);
    wire_fill(frame, 100, ME, 0); /* no headers that the card knows */
    wire_deliver(frame, 100);
    g_assert_cmphex(load_le16(d + 32 + 16), ==, 0);
    g_assert_cmpuint(load_le16(d + 32 + 12), ==, 100);
}

static void large_sends_are_cut(void)
{
    uint8_t *p = rig_ram() + TX_DATA;
    size_t size;

    start();
    size = wire_tcp(p, 250);
    store_be16(p + 50, 0x1811 + 6); /* the pseudo header's sum without the length, as drivers leave it */
    store_le64(rig_ram() + TX_RING, 14 | 24 << 8 | 33 << 16 | UINT64_C(34) << 32 | UINT64_C(50) << 40);
    store_le32(rig_ram() + TX_RING + 8, 250 | 0x27u << 24);
    store_le32(rig_ram() + TX_RING + 12, 54 << 8 | 100 << 16);
    descriptor(0, 1, TX_DATA, size | 1 << 20 | 0x2fu << 24, 3 << 8);
    put(TDT, 2);
    g_assert_cmpuint(wire_count(), ==, 3);
    for (int n = 0; n < 3; n++) {
        wire_check_tcp(wire_frame(n)->data, n < 2 ? 154 : 104);
    }
}

/* Of both queues. */
static void a_half_gathered_packet_is_in_snapshots(void)
{
    start();
    for (int q = 0; q < 2; q++) {
        wire_fill(rig_ram() + TX_DATA + q * 0x100, 100, ME, q);
        descriptor(q, 0, TX_DATA + q * 0x100, 60 | 0x02u << 24, 0);
        descriptor(q, 1, TX_DATA + q * 0x100 + 60, 40 | 0x0bu << 24, 0);
        put(TDT + q * QUEUE, 1);
    }
    rig_save_and_load(nic);
    for (int q = 0; q < 2; q++) {
        put(TDT + q * QUEUE, 2);
        g_assert_cmpint(wire_count(), ==, q + 1);
        g_assert_cmpmem(wire_frame(q)->data, wire_frame(q)->size, rig_ram() + TX_DATA + q * 0x100, 100);
    }
}

static void the_clock_runs(void)
{
    start();
    put(TIMINCA, 1 << 24 | 40);
    put(SYSTIML, 0);
    rig_run(NS_PER_MS);
    g_assert_cmpuint(get(SYSTIML), ==, 1000000);
}

/* Descriptors whose status, and buffers whose data, are written into the card's own registers. */
static void a_card_that_writes_to_itself_goes_on(void)
{
    uint8_t frame[1500];

    start();
    descriptor(0, 0, TX_DATA, 100 | 0x0bu << 24, 0);
    put(RCTL, get(RCTL) | 1 << 6 | 1 << 3); /* looped back */
    put(TDBAL, BAR + TDT - 12);
    put(TDBAL + 4, 0);
    put(TDT, 5);
    memset(frame, 0x11, sizeof(frame));
    put(RCTL, 1 << 1 | 1 << 3);
    store_le64(rig_ram() + RX_RING + 16, BAR + RDLEN);
    put(RDH, 1);
    for (int i = 0; i < 10; i++) {
        wire_deliver(frame, sizeof(frame));
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

/* Rings full of noise, registers that drivers would not write so, frames of all sizes. */
static void random_descriptors_do_no_harm(void)
{
    static const uint16_t registers[] = { RDLEN, RDH, RDT, TDLEN, TDH, TDT, RCTL, RFCTL, PSRCTL, MRQC, RXCSUM, CTRL_EXT, IMS,
                                          IVAR, EIAC, CTRL, TDBAL, RDBAL };
    const char *rounds = g_getenv("FUZZ_ROUNDS");
    uint32_t seed = g_test_rand_int() | 1;
    uint8_t frame[9018];

    g_test_message("seed %08x", seed);
    start();
    use_msix();
    for (int round = 0; round < (rounds ? atoi(rounds) : 2000); round++) {
        uint8_t *ring = rig_ram() + TX_RING;
        unsigned which = registers[next_random(&seed) % G_N_ELEMENTS(registers)];
        uint32_t value = next_random(&seed) >> next_random(&seed) % 32;
        size_t size = 14 + next_random(&seed) % (sizeof(frame) - 14);

        for (int i = 0; i < 0x3000; i += 4) {
            store_le32(ring + i, next_random(&seed) & (i % 8 == 4 ? 0xff1fffff : 0x000fffff));
        }
        if (which == CTRL) {
            value &= ~(1u << 26);
        } else if (which == TDBAL || which == RDBAL) {
            value = TX_RING + (value & 0x3ff0);
        }
        put(which + (next_random(&seed) & 1) * QUEUE * (which >= RDBAL && which <= TDT), value);
        put(RCTL, get(RCTL) | 1 << 1 | 1 << 3);
        put(TCTL, 2);
        wire_tcp(frame, size > 54 ? size - 54 : 0);
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
    nic = rig_add("e1000e,mac=52:54:00:12:34:56,netdev=wire,romfile=", pci_bus_bus(rig_pci()));
#define ADD(fn) g_test_add_func("/e1000e/" #fn, fn)
    ADD(the_nvm_holds_the_address_and_can_be_written);
    ADD(the_transceiver_answers);
    ADD(both_queues_send);
    ADD(messages_come_once_and_at_intervals);
    ADD(the_wire_is_let_go_by_reading);
    ADD(extended_descriptors_tell_the_hash);
    ADD(split_descriptors_keep_headers_apart);
    ADD(large_sends_are_cut);
    ADD(a_half_gathered_packet_is_in_snapshots);
    ADD(the_clock_runs);
    ADD(a_card_that_writes_to_itself_goes_on);
    ADD(random_descriptors_do_no_harm);
    return g_test_run();
}
