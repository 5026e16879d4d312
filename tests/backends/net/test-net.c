/* Network backends: the core's queues, offloads in software, filters, hubs, sockets and the switch. */
#include "backends/net/internal.h"
#include "core/lock.h"
#include "core/mainloop.h"
#include "core/object.h"
#include "util/bits.h"
#include "util/checksum.h"
#include "util/error.h"
#include "util/json.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- a card and a host end that remember ---- */

typedef struct Card {
    NetBackend *net;
    GPtrArray *frames; /* GBytes */
    NetHeader last;
    bool full;
    int writable, links;
} Card;

static bool card_can_receive(void *opaque)
{
    return !((Card *)opaque)->full;
}

static void card_receive(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size)
{
    Card *card = opaque;

    card->last = *header;
    g_ptr_array_add(card->frames, g_bytes_new(frame, size));
}

static void card_writable(void *opaque)
{
    ((Card *)opaque)->writable++;
}

static void card_link(void *opaque, bool up)
{
    ((Card *)opaque)->links++;
}

static const NetFrontend card_frontend = { card_can_receive, NULL, card_link, card_receive, card_writable };

static Card *card_new(NetBackend *net)
{
    Card *card = g_new0(Card, 1);

    g_assert_nonnull(net);
    card->net = net;
    card->frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_assert_true(net_attach(net, &card_frontend, card, NULL));
    return card;
}

static void card_free(Card *card)
{
    g_autofree char *id = g_strdup(net_id(card->net));

    net_detach(card->net);
    g_assert_true(net_remove(id, NULL));
    g_ptr_array_free(card->frames, TRUE);
    g_free(card);
}

static const uint8_t *card_frame(Card *card, guint i, size_t *size)
{
    g_assert_cmpuint(i, <, card->frames->len);
    return g_bytes_get_data(g_ptr_array_index(card->frames, i), size);
}

static bool host_full;
static GPtrArray *host_frames;

static bool host_send(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count)
{
    size_t size = iov_size(iov, count);
    uint8_t *copy = g_malloc(size);

    iov_read(iov, count, 0, copy, size);
    if (host_full) {
        g_free(copy);
        return false;
    }
    g_ptr_array_add(host_frames, g_bytes_new_take(copy, size));
    return true;
}

static int asked_again;

static void host_receive_again(NetBackend *net)
{
    asked_again++;
}

static const NetOps host_ops = { .send = host_send, .receive_again = host_receive_again };

static Card *test_card(void)
{
    host_full = false;
    g_ptr_array_set_size(host_frames, 0);
    asked_again = 0;
    return card_new(net_register("t0", "test", &host_ops, NULL));
}

static NetBackend *make(const char *format, ...) G_GNUC_PRINTF(1, 2);

static NetBackend *make(const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;
    GError *error = NULL;
    NetBackend *net;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    net = net_new(text, &error);
    g_assert_no_error(error);
    return net;
}

static void refuse(const char *text, const char *pattern)
{
    GError *error = NULL;

    g_assert_null(net_new(text, &error));
    g_assert_nonnull(error);
    if (!g_pattern_match_simple(pattern, error->message)) {
        g_error("'%s' says '%s'", text, error->message);
    }
    g_error_free(error);
}

/* Lets the main loop run until the condition holds, for up to five seconds. */
#define WAIT_FOR(condition)                                                        \
    for (int64_t end_ = g_get_monotonic_time() + 5 * G_USEC_PER_SEC; !(condition);) { \
        g_assert_cmpint(g_get_monotonic_time(), <, end_);                          \
        main_loop_step(false);                                                     \
        g_usleep(200);                                                             \
    }

static const uint8_t hello[64] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x08, 0x06, 'h', 'i' };

static void send_from(Card *card, uint8_t to, uint8_t from, uint8_t mark)
{
    uint8_t frame[64] = { 0x52, 0x54, 0, 0, 0, to, 0x52, 0x54, 0, 0, 0, from, 0x08, 0x06, mark };

    net_send(card->net, frame, sizeof(frame));
}

/* ---- the core ---- */

static void frames_wait_for_the_card_in_order(void)
{
    Card *card = test_card();
    size_t size;

    card->full = true;
    for (int i = 0; i < 5; i++) {
        uint8_t frame[60 + 5] = { 1, [14] = i };

        net_deliver(card->net, frame, 60 + i);
    }
    g_assert_cmpuint(card->frames->len, ==, 0);
    card->full = false;
    net_flush(card->net);
    g_assert_cmpuint(card->frames->len, ==, 5);
    for (int i = 0; i < 5; i++) {
        g_assert_cmpuint(card_frame(card, i, &size)[14], ==, i);
        g_assert_cmpuint(size, ==, 60 + i);
    }
    card_free(card);
}

static void a_card_that_takes_nothing_bounds_the_queue(void)
{
    Card *card = test_card();
    g_autofree uint8_t *frame = g_malloc0(NET_MAX_FRAME);

    card->full = true;
    for (int i = 0; i < 1000; i++) {
        net_deliver(card->net, frame, NET_MAX_FRAME);
    }
    g_assert_false(net_can_deliver(card->net));
    card->full = false;
    net_flush(card->net);
    g_assert_cmpuint(card->frames->len, <, 100);
    g_assert_true(net_can_deliver(card->net));
    g_assert_cmpint(asked_again, ==, 1);
    card_free(card);
}

static void a_full_host_end_stops_the_card(void)
{
    Card *card = test_card();
    g_autofree uint8_t *frame = g_malloc0(1514);
    int n = 0;

    host_full = true;
    for (; net_writable(card->net); n++) {
        g_assert_cmpint(n, <, 100000);
        frame[14] = n;
        net_send(card->net, frame, 1514);
    }
    host_full = false;
    net_send_again(card->net);
    g_assert_cmpint(card->writable, ==, 1);
    g_assert_cmpuint(host_frames->len, ==, n);
    for (int i = 0; i < n; i++) {
        g_assert_cmpuint(((const uint8_t *)g_bytes_get_data(g_ptr_array_index(host_frames, i), NULL))[14], ==,
                         (uint8_t)i);
    }
    card_free(card);
}

static void a_pulled_cable_carries_nothing(void)
{
    Card *card = test_card();

    net_set_link(card->net, false);
    net_send(card->net, hello, sizeof(hello));
    net_deliver(card->net, hello, sizeof(hello));
    net_set_link(card->net, true);
    g_assert_cmpuint(host_frames->len + card->frames->len, ==, 0);
    g_assert_cmpint(card->links, ==, 2);
    net_deliver(card->net, hello, sizeof(hello));
    g_assert_cmpuint(card->frames->len, ==, 1);
    card_free(card);
}

static void sizes_that_are_no_frames_are_dropped(void)
{
    Card *card = test_card();
    g_autofree uint8_t *big = g_malloc0(NET_MAX_FRAME + 1);

    net_send(card->net, big, 13);
    net_send(card->net, big, NET_MAX_FRAME + 1);
    net_deliver(card->net, big, 13);
    net_deliver(card->net, big, NET_MAX_FRAME + 1);
    net_send(NULL, big, 60);
    g_assert_cmpuint(host_frames->len + card->frames->len, ==, 0);
    card_free(card);
}

/* ---- offloads ---- */

enum { DATA = 4000 };

/* A TCP send of DATA bytes over IPv4 or IPv6 (optionally behind a VLAN tag) as a driver leaves it. */
static size_t build_send(uint8_t *f, bool ip4, bool vlan, NetHeader *h)
{
    size_t ip = vlan ? 18 : 14, tcp = ip + (ip4 ? 20 : 40), size = tcp + 20 + DATA;
    uint32_t sum;

    memset(f, 0, size);
    store_be16(f + 12, vlan ? 0x8100 : ip4 ? 0x0800 : 0x86dd);
    if (vlan) {
        store_be16(f + 16, ip4 ? 0x0800 : 0x86dd);
    }
    if (ip4) {
        f[ip] = 0x45;
        store_be16(f + ip + 2, size - ip);
        store_be16(f + ip + 4, 0xfffe);
        f[ip + 8] = 64;
        f[ip + 9] = 6;
        memcpy(f + ip + 12, "\x0a\x00\x02\x0f\x0a\x00\x02\x02", 8);
    } else {
        f[ip] = 0x60;
        store_be16(f + ip + 4, size - tcp);
        f[ip + 6] = 6;
        for (int i = 0; i < 32; i++) {
            f[ip + 8 + i] = 0x20 + i;
        }
    }
    store_be32(f + tcp + 4, 0xfffffff0);
    f[tcp + 12] = 5 << 4;
    f[tcp + 13] = 0x19 | 0x80; /* FIN PSH ACK CWR */
    for (int i = 0; i < DATA; i++) {
        f[tcp + 20 + i] = i * 7 + (i >> 8);
    }
    sum = checksum_add(ip4 ? checksum_add(0, f + ip + 12, 8) : checksum_add(0, f + ip + 8, 32), "\0\6", 2);
    sum += size - tcp;
    store_be16(f + tcp + 16, (sum & 0xffff) + (sum >> 16));
    *h = (NetHeader){ NET_HDR_NEEDS_CSUM, ip4 ? NET_GSO_TCP4 : NET_GSO_TCP6, tcp + 20, 1448, tcp, 16 };
    return size;
}

static void check_segment(const uint8_t *f, size_t size, bool ip4, bool vlan, int index, int count)
{
    size_t ip = vlan ? 18 : 14, tcp = ip + (ip4 ? 20 : 40), done = index * 1448, n = size - tcp - 20;
    uint32_t sum = ip4 ? checksum_add(0, f + ip + 12, 8) : checksum_add(0, f + ip + 8, 32);
    uint8_t length[4] = { 0, 6 };

    store_be16(length + 2, size - tcp);
    g_assert_cmpuint(n, ==, index == count - 1 ? DATA - done : 1448);
    if (ip4) {
        g_assert_cmpuint(load_be16(f + ip + 2), ==, size - ip);
        g_assert_cmpuint(load_be16(f + ip + 4), ==, (uint16_t)(0xfffe + index));
        g_assert_cmpuint(checksum_add(0, f + ip, 20), ==, 0xffff);
    } else {
        g_assert_cmpuint(load_be16(f + ip + 4), ==, size - tcp);
    }
    g_assert_cmpuint(load_be32(f + tcp + 4), ==, (uint32_t)(0xfffffff0 + done));
    g_assert_cmpuint(f[tcp + 13], ==, 0x10 | (index == count - 1 ? 0x09 : 0) | (index ? 0 : 0x80));
    g_assert_cmpuint(checksum_add(checksum_add(sum, length, 4), f + tcp, size - tcp), ==, 0xffff);
    for (size_t i = 0; i < n; i++) {
        g_assert_cmpuint(f[tcp + 20 + i], ==, (uint8_t)((done + i) * 7 + ((done + i) >> 8)));
    }
}

static void a_large_send_is_cut_into_right_segments(void)
{
    g_autofree uint8_t *frame = g_malloc(8192);

    for (int form = 0; form < 4; form++) {
        bool ip4 = form & 1, vlan = form & 2;
        Card *card = test_card();
        NetHeader header;
        size_t size = build_send(frame, ip4, vlan, &header), n;
        /* scattered, as descriptors have it */
        struct iovec iov[3] = { { frame, 14 }, { frame + 14, 100 }, { frame + 114, size - 114 } };

        net_send_iov(card->net, &header, iov, 3);
        net_deliver_header(card->net, &header, frame, size);
        g_assert_cmpuint(host_frames->len, ==, 3);
        g_assert_cmpuint(card->frames->len, ==, 3);
        for (int i = 0; i < 3; i++) {
            const uint8_t *out = g_bytes_get_data(g_ptr_array_index(host_frames, i), &n);

            check_segment(out, n, ip4, vlan, i, 3);
            check_segment(card_frame(card, i, &n), n, ip4, vlan, i, 3);
        }
        card_free(card);
    }
}

static void a_card_that_can_gets_the_send_whole(void)
{
    Card *card = test_card();
    g_autofree uint8_t *frame = g_malloc(8192);
    NetHeader header;
    size_t size = build_send(frame, true, false, &header), n;

    net_set_offloads(card->net, NET_CAN_CSUM | NET_CAN_TSO4);
    net_deliver_header(card->net, &header, frame, size);
    g_assert_cmpuint(card->frames->len, ==, 1);
    g_assert_cmpmem(card_frame(card, 0, &n), size, frame, size);
    g_assert_cmpuint(card->last.gso_size, ==, 1448);
    card_free(card);
}

static void nonsense_headers_drop_their_frame(void)
{
    Card *card = test_card();
    g_autofree uint8_t *frame = g_malloc(8192);
    NetHeader good;
    size_t size = build_send(frame, true, false, &good);
    NetHeader bad[] = { good, good, good, good, good, good, good };

    bad[0].gso_size = 0;
    bad[1].gso_type = NET_GSO_TCP6;
    bad[2].csum_start = 0xffff;
    bad[3].csum_offset = 0xffff;
    bad[4].gso_type = 0x33;
    bad[5].flags = 0;
    bad[6].csum_start = 15;
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        net_deliver_header(card->net, &bad[i], frame, size);
    }
    for (int i = 0; i < 20000; i++) { /* whatever it is, it stays in bounds: the sanitizer build looks */
        NetHeader any = { g_test_rand_int_range(0, 4), g_test_rand_int_range(0, 7), 0, g_test_rand_int_range(0, 3000),
                          g_test_rand_int_range(0, 100), g_test_rand_int_range(0, 40) };
        uint8_t few[120];

        for (size_t k = 0; k < sizeof(few); k++) {
            few[k] = k < 54 && g_test_rand_int_range(0, 4) ? frame[k] : g_test_rand_int_range(0, 256);
        }
        net_deliver_header(card->net, &any, few, g_test_rand_int_range(14, sizeof(few)));
        if (i < (int)G_N_ELEMENTS(bad)) {
            continue;
        }
        g_ptr_array_set_size(card->frames, 0);
    }
    card_free(card);
}

/* No path asks for segments of less than 8 bytes; 64 KiB of such would be cut into as many frames in one go. */
static void very_small_segments_are_not_cut(void)
{
    enum { SIZE = 65000 };
    Card *card = test_card();
    g_autofree uint8_t *frame = g_malloc0(SIZE);
    NetHeader header;
    size_t size = build_send(frame, true, false, &header), n;

    header.gso_size = 7;
    net_deliver_header(card->net, &header, frame, SIZE);
    g_assert_cmpuint(card->frames->len, ==, 0);
    net_deliver_header(card->net, &header, frame, size);
    g_assert_cmpuint(card->frames->len, >, 0);
    g_ptr_array_set_size(card->frames, 0);
    header.gso_size = 8;
    net_deliver_header(card->net, &header, frame, SIZE);
    g_assert_cmpuint(card->frames->len, ==, (SIZE - 54 + 7) / 8);
    card_frame(card, 1, &n);
    g_assert_cmpuint(n, ==, 62);
    card_free(card);
}

static void an_open_checksum_is_filled(void)
{
    Card *card = test_card();
    uint8_t frame[43] = { [12] = 8 };
    NetHeader header = { NET_HDR_NEEDS_CSUM, 0, 0, 0, 34, 6 };
    size_t size;

    memset(frame + 34, 0x11, 9);
    net_deliver_header(card->net, &header, frame, sizeof(frame));
    g_assert_cmpuint(card->frames->len, ==, 1);
    /* 0x1111 four times (its own place included) and an odd 0x11 in the high half */
    g_assert_cmpuint(load_be16(card_frame(card, 0, &size) + 40), ==, (uint16_t)~(4 * 0x1111 + 0x1100));
    card_free(card);
}

/* ---- filters ---- */

static void a_dump_is_a_capture_file(void)
{
    Card *card = test_card();
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "myna-test-dump.pcap", NULL), *data = NULL;
    g_autofree char *text = g_strdup_printf("filter-dump,id=d0,netdev=t0,maxlen=32,file=%s", path);
    gsize size;

    g_assert_true(object_add(text, NULL));
    net_send(card->net, hello, sizeof(hello));
    net_deliver(card->net, hello, 40);
    g_assert_true(object_del("d0", NULL));
    net_send(card->net, hello, sizeof(hello));
    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    g_assert_cmpuint(size, ==, 24 + 2 * (16 + 32));
    g_assert_cmpuint(load_le32((uint8_t *)data), ==, 0xa1b2c3d4);
    g_assert_cmpuint(load_le32((uint8_t *)data + 24 + 8), ==, 32);
    g_assert_cmpuint(load_le32((uint8_t *)data + 24 + 12), ==, 64);
    g_assert_cmpuint(load_le32((uint8_t *)data + 24 + 48 + 12), ==, 40);
    g_assert_cmpmem(data + 40, 32, hello, 32);
    g_unlink(path);
    card_free(card);
}

static void a_rate_is_kept_and_pushes_back(void)
{
    Card *card = test_card();
    uint8_t frame[1514] = { 1 };
    int64_t start = g_get_monotonic_time();
    int n = 0;
    double seconds;

    /* 8 Mbit/s: a megabyte in a second */
    g_assert_true(object_add("filter-rate,id=r0,netdev=t0,out-rate=8M,burst=16k", NULL));
    while (host_frames->len < 100) {
        while (n < 3000 && net_writable(card->net)) {
            net_send(card->net, frame, sizeof(frame));
            n++;
        }
        main_loop_step(false);
        g_usleep(500);
    }
    seconds = (g_get_monotonic_time() - start) / 1e6;
    g_assert_cmpint(n, <, 3000); /* it was told to wait */
    g_assert_cmpfloat(seconds, >, 0.9 * (100 * 1514 - 16384 - 1514) / 1e6);
    g_assert_true(object_del("r0", NULL));
    card_free(card);
}

static void a_filter_that_cannot_be_says_why(void)
{
    GError *error = NULL;

    g_assert_false(object_add("filter-rate,id=r,netdev=nobody,out-rate=1M", &error));
    g_assert_nonnull(strstr(error->message, "nobody"));
    g_clear_error(&error);
    g_assert_false(object_add("filter-dump,id=d,netdev=nobody,file=/nowhere/x", &error));
    g_clear_error(&error);
    g_assert_false(object_add("filter-dumb,id=d", &error));
    g_assert_nonnull(strstr(error->message, "did you mean"));
    g_clear_error(&error);
}

static void a_backend_that_goes_leaves_its_filter(void)
{
    Card *card = test_card();

    g_assert_true(object_add("filter-rate,id=r0,netdev=t0,out-rate=1M", NULL));
    card_free(card);
    g_assert_true(object_del("r0", NULL));
}

/* ---- hubs ---- */

static void a_hub_repeats_to_all_others(void)
{
    Card *a = card_new(make("hubport,id=p0,hubid=3")), *b = card_new(make("hubport,id=p1,hubid=3"));
    Card *c = card_new(make("hubport,id=p2,hubid=3")), *other = card_new(make("hubport,id=q0,hubid=4"));
    NetBackend *host = net_register("t0", "test", &host_ops, NULL), *port;

    g_ptr_array_set_size(host_frames, 0);
    port = make("hubport,id=p3,hubid=3,netdev=t0");
    net_send(a->net, hello, sizeof(hello));
    g_assert_cmpuint(a->frames->len, ==, 0);
    g_assert_cmpuint(b->frames->len, ==, 1);
    g_assert_cmpuint(c->frames->len, ==, 1);
    g_assert_cmpuint(other->frames->len, ==, 0);
    g_assert_cmpuint(host_frames->len, ==, 1);
    net_deliver(host, hello, sizeof(hello));
    g_assert_cmpuint(a->frames->len, ==, 1);
    g_assert_cmpuint(b->frames->len, ==, 2);
    net_set_link(port, false);
    net_deliver(host, hello, sizeof(hello));
    g_assert_cmpuint(a->frames->len, ==, 1);
    g_assert_true(net_remove("p3", NULL));
    g_assert_true(net_remove("t0", NULL));
    card_free(a);
    card_free(b);
    card_free(c);
    card_free(other);
}

/* ---- sockets ---- */

static char *folder;

static void exchange(Card *a, Card *b)
{
    guint before;

    WAIT_FOR((net_send(a->net, hello, sizeof(hello)), b->frames->len)); /* until both are connected */
    before = a->frames->len;
    net_send(b->net, hello, sizeof(hello));
    WAIT_FOR(a->frames->len > before);
    g_assert_cmpmem(g_bytes_get_data(g_ptr_array_index(a->frames, before), NULL), sizeof(hello), hello, sizeof(hello));
}

static void streams_reach_each_other(void)
{
    Card *a = card_new(make("stream,id=s0,server=on,addr.type=unix,addr.path=%s/stream", folder));
    Card *b = card_new(make("stream,id=s1,server=off,addr.type=unix,addr.path=%s/stream", folder));

    exchange(a, b);
    card_free(b);
    card_free(a);
    a = card_new(make("socket,id=s0,listen=127.0.0.1:45631"));
    b = card_new(make("socket,id=s1,connect=127.0.0.1:45631"));
    exchange(a, b);
    card_free(b);
    card_free(a);
}

static GString *events;

static void note_event(const char *name, Json *data)
{
    g_autofree char *text = json_write(data, false);

    g_string_append_printf(events, "%s %s\n", name, text);
    json_free(data);
}

static void streams_tell_of_their_peers(void)
{
    g_autofree char *wanted = g_strdup_printf("NETDEV_STREAM_CONNECTED {\"netdev-id\": \"s0\", \"addr\": "
                                              "{\"path\": \"%s/told\", \"type\": \"unix\"}}\n"
                                              "NETDEV_STREAM_DISCONNECTED {\"netdev-id\": \"s0\"}\n", folder);
    Card *a, *b;

    events = g_string_new(NULL);
    net_set_event_fn(note_event);
    a = card_new(make("stream,id=s0,server=on,addr.type=unix,addr.path=%s/told", folder));
    b = card_new(make("socket,id=s1,fd=%d", ({
                          struct sockaddr_un un = { .sun_family = AF_UNIX };
                          int fd = socket(AF_UNIX, SOCK_STREAM, 0);

                          g_snprintf(un.sun_path, sizeof(un.sun_path), "%s/told", folder);
                          g_assert_cmpint(connect(fd, (void *)&un, sizeof(un)), ==, 0);
                          fd;
                      })));
    exchange(a, b);
    card_free(b);
    WAIT_FOR(strstr(events->str, "DISCONNECTED"));
    card_free(a);
    net_set_event_fn(NULL);
    g_assert_cmpstr(events->str, ==, wanted);
    g_string_free(events, TRUE);
}

static void a_client_comes_back_to_its_server(void)
{
    Card *b = card_new(make("stream,id=s1,addr.type=unix,addr.path=%s/back,reconnect-ms=20", folder));
    Card *a;

    for (int i = 0; i < 3; i++) {
        a = card_new(make("stream,id=s0,server=on,addr.type=unix,addr.path=%s/back", folder));
        g_ptr_array_set_size(b->frames, 0);
        exchange(a, b);
        card_free(a);
    }
    card_free(b);
}

static void large_frames_survive_a_full_stream(void)
{
    int pair[2];
    Card *a, *b;
    g_autofree uint8_t *frame = g_malloc0(60000);
    int sent = 0;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    a = card_new(make("socket,id=s0,fd=%d", pair[0]));
    b = card_new(make("stream,id=s1,addr.type=fd,addr.str=%d", pair[1]));
    b->full = true;
    for (; sent < 60 && net_writable(a->net); sent++) {
        store_be32(frame + 20, sent);
        net_send(a->net, frame, 20000 + sent * 500);
    }
    for (int i = 0; i < 50; i++) {
        main_loop_step(false);
    }
    b->full = false;
    net_flush(b->net);
    WAIT_FOR(b->frames->len == (guint)sent);
    for (int i = 0; i < sent; i++) {
        size_t size;

        g_assert_cmpuint(load_be32(card_frame(b, i, &size) + 20), ==, i);
        g_assert_cmpuint(size, ==, 20000 + i * 500);
    }
    card_free(a);
    card_free(b);
}

static void a_peer_that_talks_nonsense_is_dropped(void)
{
    static const uint8_t huge[] = { 0x7f, 0xff, 0xff, 0xff, 1, 2, 3 };
    int pair[2];
    Card *a;
    char byte;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    a = card_new(make("socket,id=s0,fd=%d", pair[0]));
    g_assert_cmpint(write(pair[1], huge, sizeof(huge)), ==, sizeof(huge));
    WAIT_FOR(recv(pair[1], &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET); /* closed */
    net_send(a->net, hello, sizeof(hello));
    close(pair[1]);
    card_free(a);
}

static void datagrams_reach_each_other(void)
{
    Card *a = card_new(make("dgram,id=d0,local.type=unix,local.path=%1$s/a,remote.type=unix,remote.path=%1$s/b", folder));
    Card *b = card_new(make("dgram,id=d1,local.type=unix,local.path=%1$s/b,remote.type=unix,remote.path=%1$s/a", folder));

    exchange(a, b);
    card_free(a);
    card_free(b);
    a = card_new(make("socket,id=d0,udp=127.0.0.1:45632,localaddr=127.0.0.1:45633"));
    b = card_new(make("dgram,id=d1,local.type=inet,local.host=127.0.0.1,local.port=45632,remote.type=inet,"
                      "remote.host=127.0.0.1,remote.port=45633"));
    exchange(a, b);
    card_free(a);
    card_free(b);
}

/* ---- the switch ---- */

static void a_switch_learns_where_cards_are(void)
{
    Card *a = card_new(make("switch,id=w0,path=%s/lan", folder)), *b = card_new(make("switch,id=w1,path=%s/lan", folder));
    Card *c = card_new(make("switch,id=w2,path=%s/lan", folder));

    WAIT_FOR((send_from(b, 0xee, 2, 'x'), a->frames->len && c->frames->len)); /* unknown: to all */
    send_from(a, 0xee, 1, 'x');
    send_from(c, 0xee, 3, 'x');
    for (int i = 0; i < 20; i++) {
        main_loop_step(false);
    }
    g_ptr_array_set_size(a->frames, 0);
    g_ptr_array_set_size(b->frames, 0);
    g_ptr_array_set_size(c->frames, 0);
    send_from(c, 2, 3, 'c'); /* from member to member, through the one that serves */
    send_from(a, 3, 1, 'a');
    WAIT_FOR(b->frames->len && c->frames->len);
    for (int i = 0; i < 20; i++) {
        main_loop_step(false);
    }
    g_assert_cmpuint(a->frames->len, ==, 0);
    g_assert_cmpuint(b->frames->len, ==, 1);
    g_assert_cmpuint(c->frames->len, ==, 1);
    card_free(a);
    card_free(b);
    card_free(c);
}

static void a_switch_outlives_the_one_that_serves(void)
{
    Card *a = card_new(make("switch,id=w0,path=%s/lan2", folder)), *b = card_new(make("switch,id=w1,path=%s/lan2", folder));
    Card *c = card_new(make("switch,id=w2,path=%s/lan2", folder));

    WAIT_FOR((send_from(b, 0xee, 2, 'x'), a->frames->len && c->frames->len));
    card_free(a);
    g_ptr_array_set_size(c->frames, 0);
    WAIT_FOR((send_from(b, 0xee, 2, 'x'), c->frames->len));
    a = card_new(make("switch,id=w0,path=%s/lan2", folder));
    WAIT_FOR((send_from(c, 0xee, 3, 'x'), a->frames->len));
    card_free(b);
    card_free(c);
    g_ptr_array_set_size(a->frames, 0);
    b = card_new(make("switch,id=w1,path=%s/lan2", folder));
    WAIT_FOR((send_from(b, 0xee, 2, 'x'), a->frames->len));
    card_free(a);
    card_free(b);
}

static void a_switch_bears_strangers(void)
{
    Card *a = card_new(make("switch,id=w0,path=%s/lan3", folder)), *b = card_new(make("switch,id=w1,path=%s/lan3", folder));
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    g_autofree uint8_t *junk = g_malloc0(70000);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    g_snprintf(un.sun_path, sizeof(un.sun_path), "%s/lan3", folder);
    g_assert_cmpint(connect(fd, (void *)&un, sizeof(un)), ==, 0);
    for (int i = 0; i < 400; i++) { /* every size; many sources: the table is bounded */
        memset(junk, i % 3, 12);
        store_be32(junk + 20, i);
        send(fd, junk, i < 100 ? i : 64 + i * 160, MSG_DONTWAIT);
        main_loop_step(false);
    }
    WAIT_FOR((send_from(b, 0xee, 2, 'x'), a->frames->len > 0 && card_frame(a, a->frames->len - 1, &(size_t){ 0 })[14] == 'x'));
    close(fd);
    card_free(a);
    card_free(b);
}

/* ---- options ---- */

static void wrong_options_are_refused_with_a_word(void)
{
    refuse("usr,id=a", "*did you mean 'user'*");
    refuse("stream,id=a,addr.type=unix", "*addr.path*");
    refuse("stream,id=a,addr.type=ip", "*inet, unix, fd*");
    refuse("stream,id=a,addr.type=unix,addr.path=/nowhere/x", "*cannot connect*");
    refuse("socket,id=a,listen=127.0.0.1:1,connect=127.0.0.1:2", "*exactly one*");
    refuse("socket,id=a,fd=9999", "*not an open socket*");
    refuse("socket,id=a,listen=127.0.0.1:99999", "*not a port*");
    refuse("dgram,id=a,remote.type=inet,remote.host=127.0.0.1,remote.port=9", "*needs local.type*");
    refuse("hubport,id=a,hubid=1,netdev=none", "*no network backend 'none'*");
    refuse("switch,id=a", "*needs path*");
    refuse("switch,id=a,path=/nowhere/at/all", "*cannot open*");
    refuse("tap,id=a,fd=0x7fffffff", "*not a tap*");
    refuse("bridge,id=a,helper=/nowhere", "*cannot start*");
    refuse("none,id=a,color=red", "*does not know 'color'*");
}

static void options_in_json_make_the_same(void)
{
    g_autofree char *text = g_strdup_printf("{\"type\": \"stream\", \"id\": \"j0\", \"server\": true, "
                                            "\"addr\": {\"type\": \"unix\", \"path\": \"%s/json\"}}", folder);
    NetBackend *net = net_new(text, NULL);
    g_autofree char *about = NULL;

    g_assert_nonnull(net);
    about = net_describe(net);
    g_assert_nonnull(strstr(about, "listening on"));
    g_assert_true(net_remove("j0", NULL));
}

static void addresses_of_cards_do_not_repeat(void)
{
    static const uint8_t given[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x57 };
    uint8_t a[6], b[6];

    net_note_mac(given);
    net_pick_mac(a);
    net_pick_mac(b);
    g_assert_cmphex(a[5], ==, 0x56);
    g_assert_cmphex(b[5], ==, 0x58);
}

static void a_backend_in_use_is_not_removed(void)
{
    Card *card = card_new(make("none,id=n0"));

    g_assert_false(net_remove("n0", NULL));
    g_assert_false(net_attach(card->net, &card_frontend, card, NULL));
    card_free(card);
    g_assert_null(net_find("n0"));
    g_assert_false(net_remove("n0", NULL));
}

int main(int argc, char **argv)
{
    extern const ObjectType net_dump_object_type, net_rate_object_type;
    static const ObjectType *const types[] = { &net_dump_object_type, &net_rate_object_type, NULL };
    int status;

    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    signal(SIGPIPE, SIG_IGN);
    machine_lock();
    object_set_types(types);
    folder = g_dir_make_tmp("myna-test-XXXXXX", NULL);
    host_frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
#define ADD(fn) g_test_add_func("/net/" #fn, fn)
    ADD(frames_wait_for_the_card_in_order);
    ADD(a_card_that_takes_nothing_bounds_the_queue);
    ADD(a_full_host_end_stops_the_card);
    ADD(a_pulled_cable_carries_nothing);
    ADD(sizes_that_are_no_frames_are_dropped);
    ADD(a_large_send_is_cut_into_right_segments);
    ADD(a_card_that_can_gets_the_send_whole);
    ADD(nonsense_headers_drop_their_frame);
    ADD(very_small_segments_are_not_cut);
    ADD(an_open_checksum_is_filled);
    ADD(a_dump_is_a_capture_file);
    ADD(a_rate_is_kept_and_pushes_back);
    ADD(a_filter_that_cannot_be_says_why);
    ADD(a_backend_that_goes_leaves_its_filter);
    ADD(a_hub_repeats_to_all_others);
    ADD(streams_reach_each_other);
    ADD(streams_tell_of_their_peers);
    ADD(a_client_comes_back_to_its_server);
    ADD(large_frames_survive_a_full_stream);
    ADD(a_peer_that_talks_nonsense_is_dropped);
    ADD(datagrams_reach_each_other);
    ADD(a_switch_learns_where_cards_are);
    ADD(a_switch_outlives_the_one_that_serves);
    ADD(a_switch_bears_strangers);
    ADD(wrong_options_are_refused_with_a_word);
    ADD(options_in_json_make_the_same);
    ADD(addresses_of_cards_do_not_repeat);
    ADD(a_backend_in_use_is_not_removed);
    status = g_test_run();
    {
        g_autofree char *command = g_strdup_printf("rm -rf '%s'", folder);

        g_assert_cmpint(system(command), ==, 0);
    }
    return status;
}
