/* The 82540EM: rings, filters, offloads and the small serial buses, as a driver uses them. */
#include "backends/net/internal.h"
#include "core/clock.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <string.h>

enum { CTRL = 0, STATUS = 8, EERD = 0x14, MDIC = 0x20, ICR = 0xc0, ICS = 0xc8, IMS = 0xd0, IMC = 0xd8,
       RCTL = 0x100, TCTL = 0x400, RDBAL = 0x2800, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818,
       TDBAL = 0x3800, TDLEN = 0x3808, TDH = 0x3810, TDT = 0x3818, RAL = 0x5400, RAH = 0x5404 };
enum { TX_RING = 0x10000, RX_RING = 0x11000, TX_DATA = 0x20000, RX_DATA = 0x30000, ENTRIES = 8 };
#define BAR 0xf0000000u

static Device *nic;
static NetBackend *net;
static GPtrArray *sent; /* of GBytes */

static bool note_frame(NetBackend *n, const NetHeader *header, const struct iovec *iov, int count)
{
    size_t size = iov_size(iov, count);
    uint8_t *copy = g_malloc(size);

    iov_read(iov, count, 0, copy, size);
    g_ptr_array_add(sent, g_bytes_new_take(copy, size));
    return true;
}

static void *resolve_net(const char *id, GError **error)
{
    return net_find(id);
}

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
    int devfn = ((PciDevice *)nic)->devfn;

    device_reset(nic);
    pci_config_write(rig_pci(), 0, devfn, 0x10, BAR, 4);
    pci_config_write(rig_pci(), 0, devfn, 0x14, 0xc000, 4);
    pci_config_write(rig_pci(), 0, devfn, 0x04, 7, 2);
    rig_run(10 * NS_PER_SECOND); /* the link comes up */
    memset(rig_ram() + TX_RING, 0, 0x2000);
    put(CTRL, get(CTRL) | 1 << 6);
    put(TDBAL, TX_RING);
    put(TDLEN, ENTRIES * 16);
    put(TCTL, 2);
    put(RDBAL, RX_RING);
    put(RDLEN, ENTRIES * 16);
    for (int i = 0; i < ENTRIES; i++) {
        store_le64(rig_ram() + RX_RING + i * 16, RX_DATA + i * 2048);
    }
    put(IMC, UINT32_MAX);
    get(ICR);
    g_ptr_array_set_size(sent, 0);
}

static void descriptor(int n, uint64_t address, uint32_t low, uint32_t high)
{
    store_le64(rig_ram() + TX_RING + n * 16, address);
    store_le32(rig_ram() + TX_RING + n * 16 + 8, low);
    store_le32(rig_ram() + TX_RING + n * 16 + 12, high);
}

static const uint8_t *frame(guint n, size_t *size)
{
    g_assert_cmpuint(n, <, sent->len);
    return g_bytes_get_data(sent->pdata[n], size);
}

static void the_eeprom_holds_the_address(void)
{
    static const uint16_t words[3] = { 0x5452, 0x1200, 0x5634 };
    uint16_t sum = 0;

    start();
    for (int i = 0; i < 64; i++) {
        put(EERD, i << 8 | 1);
        g_assert_cmphex(get(EERD) & 0x10, ==, 0x10);
        sum += get(EERD) >> 16;
        if (i < 3) {
            g_assert_cmphex(get(EERD) >> 16, ==, words[i]);
        }
    }
    g_assert_cmphex(sum, ==, 0xbaba);
    g_assert_cmphex(get(RAL), ==, 0x12005452);
    g_assert_cmphex(get(RAH), ==, 0x80005634);
}

static void the_phy_answers_and_the_link_is_up(void)
{
    start();
    put(MDIC, 2 << 26 | 1 << 21 | 2 << 16);
    g_assert_cmphex(get(MDIC) & 0x1000ffff, ==, 0x10000141);
    g_assert_cmphex(get(STATUS) & 3, ==, 3);
}

/* A frame of 100 bytes that count up, by two descriptors. */
static void describe_two_pieces(void)
{
    for (int i = 0; i < 100; i++) {
        rig_ram()[TX_DATA + i] = i;
    }
    descriptor(0, TX_DATA, 60 | 0x02u << 24, 0);
    descriptor(1, TX_DATA + 60, 40 | 0x0bu << 24, 0); /* EOP, IFCS, RS */
}

static void a_frame_leaves_in_two_pieces(void)
{
    size_t size;
    const uint8_t *data;

    start();
    describe_two_pieces();
    put(IMS, 1);
    g_assert_false(rig_pci_irq());
    put(TDT, 2);
    rig_run(NS_PER_MS);
    g_assert_cmpuint(sent->len, ==, 1);
    data = frame(0, &size);
    g_assert_cmpuint(size, ==, 100);
    g_assert_cmpint(data[99], ==, 99);
    g_assert_cmphex(rig_ram()[TX_RING + 16 + 12] & 1, ==, 1);
    g_assert_cmpuint(get(TDH), ==, 2);
    g_assert_true(rig_pci_irq());
    g_assert_cmphex(get(ICR) & 1, ==, 1);
    g_assert_false(rig_pci_irq());
}

static void received_frames_fill_the_ring(void)
{
    uint8_t data[200];

    start();
    memset(data, 0xff, 6);
    for (int i = 6; i < 200; i++) {
        data[i] = i;
    }
    put(RDT, ENTRIES - 1);
    put(RCTL, 1 << 1 | 1 << 15); /* broadcast is accepted */
    put(IMS, 0x80);
    net_deliver(net, data, sizeof(data));
    rig_run(NS_PER_MS);
    g_assert_cmpmem(rig_ram() + RX_DATA, 200, data, 200);
    g_assert_cmpuint(load_le16(rig_ram() + RX_RING + 8), ==, 204); /* with the checksum */
    g_assert_cmphex(rig_ram()[RX_RING + 12] & 3, ==, 3);
    g_assert_cmpuint(get(RDH), ==, 1);
    g_assert_true(rig_pci_irq());
    get(ICR);
    g_assert_false(rig_pci_irq());
}

static void frames_for_others_are_not_taken(void)
{
    uint8_t data[64] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x57 };

    start();
    put(RDT, ENTRIES - 1);
    put(RCTL, 1 << 1 | 1 << 26); /* strips the checksum */
    net_deliver(net, data, sizeof(data));
    g_assert_cmpuint(get(RDH), ==, 0);
    data[5] = 0x56;
    net_deliver(net, data, sizeof(data));
    g_assert_cmpuint(get(RDH), ==, 1);
    g_assert_cmpuint(load_le16(rig_ram() + RX_RING + 8), ==, 64);
    data[5] = 0x57;
    put(RCTL, 1 << 1 | 1 << 3); /* promiscuous */
    net_deliver(net, data, sizeof(data));
    g_assert_cmpuint(get(RDH), ==, 2);
}

static void a_full_ring_makes_frames_wait(void)
{
    uint8_t data[64];

    start();
    memset(data, 0xff, sizeof(data));
    put(RDT, 2);
    put(RCTL, 1 << 1 | 1 << 15);
    for (int i = 0; i < 4; i++) {
        data[20] = i;
        net_deliver(net, data, sizeof(data));
    }
    g_assert_cmpuint(get(RDH), ==, 2);
    put(RDT, 5);
    rig_run(NS_PER_MS);
    g_assert_cmpuint(get(RDH), ==, 4);
    g_assert_cmpint(rig_ram()[RX_DATA + 3 * 2048 + 20], ==, 3);
}

static uint16_t checksum(uint32_t sum, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i += 2) {
        sum += data[i] << 8 | (i + 1 < size ? data[i + 1] : 0);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static uint32_t pseudo_header(const uint8_t *ip, size_t tcp_size)
{
    return checksum(6 + tcp_size, ip + 12, 8);
}

/* 250 bytes of TCP in segments of 100. */
static void segmentation_makes_correct_packets(void)
{
    uint8_t *p = rig_ram() + TX_DATA;

    start();
    memset(p, 0, 54 + 250);
    store_be16(p + 12, 0x0800);
    p[14] = 0x45;
    store_be16(p + 18, 1000); /* identification */
    p[22] = 64;
    p[23] = 6;
    store_be32(p + 26, 0x0a00020f);
    store_be32(p + 30, 0x0a000202);
    store_be32(p + 38, 5000); /* sequence number */
    p[46] = 0x50;
    p[47] = 0x19; /* FIN, PSH, ACK */
    store_be16(p + 50, pseudo_header(p + 14, 0));
    for (int i = 0; i < 250; i++) {
        p[54 + i] = i;
    }
    /* context: IP at 14, TCP at 34, header of 54, MSS 100 */
    store_le64(rig_ram() + TX_RING, 14 | 24 << 8 | 33 << 16 | UINT64_C(34) << 32 | UINT64_C(50) << 40);
    store_le32(rig_ram() + TX_RING + 8, 250 | 0x27u << 24); /* DEXT, TSE, IP, TCP */
    store_le32(rig_ram() + TX_RING + 12, 54 << 8 | 100 << 16);
    descriptor(1, TX_DATA, 304 | 1 << 20 | 0x2fu << 24, 3 << 8); /* EOP, IFCS, TSE, RS, DEXT; IXSM, TXSM */
    put(TDT, 2);
    rig_run(NS_PER_MS);
    g_assert_cmpuint(sent->len, ==, 3);
    for (guint n = 0; n < 3; n++) {
        size_t size, payload = n < 2 ? 100 : 50;
        const uint8_t *f = frame(n, &size);

        g_assert_cmpuint(size, ==, 54 + payload);
        g_assert_cmpuint(load_be16(f + 16), ==, 40 + payload);
        g_assert_cmpuint(load_be16(f + 18), ==, 1000 + n);
        g_assert_cmphex(checksum(0, f + 14, 20), ==, 0xffff);
        g_assert_cmpuint(load_be32(f + 38), ==, 5000 + n * 100);
        g_assert_cmphex(f[47], ==, n == 2 ? 0x19 : 0x10);
        g_assert_cmphex(checksum(pseudo_header(f + 14, 20 + payload), f + 34, 20 + payload), ==, 0xffff);
        g_assert_cmpint(f[54], ==, (uint8_t)(n * 100));
    }
}

static void a_pulled_cable_is_noticed(void)
{
    start();
    put(IMS, 4);
    net_set_link(net, false);
    rig_run(NS_PER_SECOND);
    g_assert_cmphex(get(STATUS) & 2, ==, 0);
    g_assert_true(rig_pci_irq());
    g_assert_cmphex(get(ICR) & 4, ==, 4);
    net_set_link(net, true);
    rig_run(10 * NS_PER_SECOND);
    g_assert_cmphex(get(STATUS) & 2, ==, 2);
}

/* Frames that come back are written over the registers of both rings, and make them as they were: full. */
static void frames_written_into_the_registers_send_no_others(void)
{
    enum { SIZE = TDT + 4 - RDBAL };
    uint8_t *data = rig_ram() + TX_DATA;

    start();
    for (int i = 0; i < ENTRIES; i++) {
        descriptor(i, TX_DATA, SIZE | 0x01u << 24, 0);
        store_le64(rig_ram() + RX_RING + i * 16, BAR + RDBAL);
    }
    store_le32(data + RDBAL - RDBAL, RX_RING);
    store_le32(data + RDLEN - RDBAL, ENTRIES * 16);
    store_le32(data + RDT - RDBAL, ENTRIES - 1);
    store_le32(data + TDBAL - RDBAL, TX_RING);
    store_le32(data + TDLEN - RDBAL, ENTRIES * 16);
    store_le32(data + TDT - RDBAL, UINT16_MAX);
    put(RDT, ENTRIES - 1);
    put(RCTL, 1 << 1 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 16 | 1 << 25); /* on, promiscuous, looped back, buffers of 16 KiB */
    put(TDT, UINT16_MAX);
    g_assert_cmpuint(sent->len, ==, 0);
    g_assert_cmphex(get(TDT), ==, UINT16_MAX);
    g_assert_cmphex(get(RDLEN), ==, ENTRIES * 16);
}

static void rings_of_nonsense_end(void)
{
    start();
    put(TDLEN, 0xfffff80);
    put(TDBAL, 0xfffffff0);
    put(TDT, 0xffff);
    put(TDLEN, 0);
    put(TDT, 3);
    put(RDLEN, 128);
    put(RDH, 500);
    put(RCTL, 1 << 1 | 1 << 3);
    for (int i = 0; i < 20; i++) {
        net_deliver(net, rig_ram(), 1514);
    }
    rig_save_and_load(nic);
}

/* A ring of thousands of large sends, cut into small segments, is worked on in parts. */
static void a_long_ring_leaves_in_parts(void)
{
    enum { RING = 0x100000, COUNT = 4096, SIZE = 0xfff0, HEADER = 54, SEGMENT = 1400 };
    guint before = 0, each = (SIZE - HEADER + SEGMENT - 1) / SEGMENT, total = (COUNT - 2) / 2 * each;

    start();
    put(TDBAL, RING);
    put(TDLEN, COUNT * 16);
    put(TDH, 0);
    for (int i = 0; i < COUNT; i += 2) {
        uint8_t *context = rig_ram() + RING + i * 16, *data = context + 16;

        memset(context, 0, 32);
        context[0] = 14;
        context[4] = 34;
        store_le32(context + 8, 0x27000000u | (SIZE - HEADER));
        context[13] = HEADER;
        store_le16(context + 14, SEGMENT);
        store_le64(data, TX_DATA);
        store_le32(data + 8, 0x25100000u | SIZE);
    }
    put(TDT, COUNT - 2);
    while (sent->len < total) {
        g_assert_cmpuint(sent->len, >, before);
        g_assert_cmpuint(sent->len - before, <, 2000);
        before = sent->len;
        rig_run(50 * NS_PER_US);
    }
    g_assert_cmpuint(sent->len, ==, total);
    g_assert_cmpuint(get(TDH), ==, COUNT - 2);
}

/* So is one large send, cut into as many segments as it has bytes; its descriptor is done when all of them are out. */
static void smallest_segments(bool in_snapshots)
{
    enum { SIZE = 0xfff0, HEADER = 54 };
    guint before = 0, total = SIZE - HEADER;
    uint8_t *p = rig_ram() + TX_DATA;

    start();
    memset(p, 0, SIZE);
    store_be16(p + 12, 0x0800);
    p[14] = 0x45;
    p[23] = 6;
    p[46] = 0x50;
    for (uint32_t i = HEADER; i < SIZE; i++) {
        p[i] = i * 7;
    }
    store_le64(rig_ram() + TX_RING, 14 | 24 << 8 | 33 << 16 | UINT64_C(34) << 32 | UINT64_C(50) << 40);
    store_le32(rig_ram() + TX_RING + 8, total | 0x27u << 24);
    store_le32(rig_ram() + TX_RING + 12, HEADER << 8 | 1 << 16);
    descriptor(1, TX_DATA, SIZE | 1 << 20 | 0x2du << 24, 3 << 8);
    put(TDT, 2);
    while (sent->len < total) {
        g_assert_cmpuint(sent->len, >, before);
        g_assert_cmpuint(sent->len - before, <, 20000);
        g_assert_cmpuint(get(TDH), ==, 1);
        g_assert_cmphex(rig_ram()[TX_RING + 16 + 12] & 1, ==, 0);
        before = sent->len;
        if (in_snapshots) {
            rig_save_and_load(nic);
        }
        rig_run(50 * NS_PER_US);
    }
    g_assert_cmpuint(get(TDH), ==, 2);
    g_assert_cmphex(rig_ram()[TX_RING + 16 + 12] & 1, ==, 1);
    for (guint n = 0; n < total; n++) {
        size_t size;
        const uint8_t *f = frame(n, &size);

        g_assert_cmpuint(size, ==, 60); /* padded */
        g_assert_cmpuint(load_be16(f + 18), ==, (uint16_t)n);
        g_assert_cmpuint(load_be32(f + 38), ==, n);
        g_assert_cmphex(f[HEADER], ==, (uint8_t)((HEADER + n) * 7));
    }
}

static void the_smallest_segments_leave_in_parts(void)
{
    smallest_segments(false);
}

static void a_half_cut_packet_is_in_snapshots(void)
{
    smallest_segments(true);
}

static void a_half_gathered_packet_is_in_snapshots(void)
{
    size_t size;
    const uint8_t *data;

    start();
    describe_two_pieces();
    put(TDT, 1);
    g_assert_cmpuint(get(TDH), ==, 1);
    rig_save_and_load(nic);
    put(TDT, 2);
    g_assert_cmpuint(sent->len, ==, 1);
    data = frame(0, &size);
    g_assert_cmpuint(size, ==, 100);
    g_assert_cmpint(data[1], ==, 1);
    g_assert_cmpint(data[99], ==, 99);
}

/* Damaged snapshots do not cut beyond a packet; older ones have none that was begun. */
static void packets_of_nonsense_are_refused(void)
{
    static const struct {
        const char *key, *value;
    } wrong[] = { { "size", "20000" }, { "left", "1" }, { "size", "3d" }, { "packet.data", "AAAA" } };
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *group = g_strconcat(nic->id, "/tx0", NULL);

    start();
    descriptor(0, TX_DATA, 60 | 0x02u << 24, 0);
    put(TDT, 1);
    device_save(nic, file);
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *right = g_key_file_get_value(file, group, wrong[i].key, NULL);
        g_autoptr(GError) error = NULL;

        g_key_file_set_value(file, group, wrong[i].key, wrong[i].value);
        g_assert_false(device_load(nic, file, &error));
        g_assert_nonnull(error);
        g_key_file_set_value(file, group, wrong[i].key, right);
    }
    g_assert_true(device_load(nic, file, NULL));
    g_key_file_remove_group(file, group, NULL);
    g_assert_true(device_load(nic, file, NULL));
}

/* BAR 1's window shows the register that it showed. */
static void the_window_of_ports_is_in_snapshots(void)
{
    start();
    rig_out32(0xc000, 8);
    g_assert_cmphex(rig_in32(0xc004), ==, get(STATUS));
    rig_save_and_load(nic);
    g_assert_cmphex(rig_in32(0xc004), ==, get(STATUS));
}

int main(int argc, char **argv)
{
    static const NetOps ops = { .send = note_frame };

    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    sent = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    net = net_register("n0", "test", &ops, NULL);
    device_set_resolver(PROP_NETDEV, resolve_net);
    nic = rig_add("e1000,mac=52:54:00:12:34:56,netdev=n0,romfile=", pci_bus_bus(rig_pci()));
#define ADD(fn) g_test_add_func("/e1000/" #fn, fn)
    ADD(the_eeprom_holds_the_address);
    ADD(the_phy_answers_and_the_link_is_up);
    ADD(a_frame_leaves_in_two_pieces);
    ADD(received_frames_fill_the_ring);
    ADD(frames_for_others_are_not_taken);
    ADD(a_full_ring_makes_frames_wait);
    ADD(segmentation_makes_correct_packets);
    ADD(a_pulled_cable_is_noticed);
    ADD(frames_written_into_the_registers_send_no_others);
    ADD(rings_of_nonsense_end);
    ADD(a_long_ring_leaves_in_parts);
    ADD(the_smallest_segments_leave_in_parts);
    ADD(a_half_cut_packet_is_in_snapshots);
    ADD(a_half_gathered_packet_is_in_snapshots);
    ADD(packets_of_nonsense_are_refused);
    ADD(the_window_of_ports_is_in_snapshots);
    return g_test_run();
}
