/* The user network against a guest made of frames: neighbours, connections, large segments, junk, forwards. */
#include "backends/net/internal.h"
#include "core/lock.h"
#include "core/mainloop.h"
#include "util/bits.h"
#include "util/checksum.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
static GPtrArray *frames; /* GBytes: what the guest received */
static NetHeader last_header;
static bool full;
static NetBackend *net;

static bool can_receive(void *opaque)
{
    return !full;
}

static void receive(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size)
{
    last_header = *header;
    g_ptr_array_add(frames, g_bytes_new(frame, size));
}

static const NetFrontend frontend = { .can_receive = can_receive, .receive_header = receive };

#define WAIT_FOR(condition)                                                        \
    for (int64_t end_ = g_get_monotonic_time() + 5 * G_USEC_PER_SEC; !(condition);) { \
        g_assert_cmpint(g_get_monotonic_time(), <, end_);                          \
        main_loop_step(false);                                                     \
        g_usleep(200);                                                             \
    }

static void start(const char *options)
{
    g_autofree char *text = g_strdup_printf("user,id=u0%s%s", *options ? "," : "", options);
    GError *error = NULL;

    net = net_new(text, &error);
    g_assert_no_error(error);
    g_assert_true(net_attach(net, &frontend, NULL, NULL));
    g_ptr_array_set_size(frames, 0);
    full = false;
}

static void stop(void)
{
    net_detach(net);
    g_assert_true(net_remove("u0", NULL));
}

static const uint8_t *frame_at(guint i, size_t *size)
{
    g_assert_cmpuint(i, <, frames->len);
    return g_bytes_get_data(g_ptr_array_index(frames, i), size);
}

/* Ethernet and IPv4 to the host's address (10.0.2.2); the rest of the packet is behind it. */
static void put_ip(uint8_t *f, uint8_t protocol, size_t size)
{
    memcpy(f, "\x52\x55\x0a\x00\x02\x02", 6);
    memcpy(f + 6, mac, 6);
    store_be16(f + 12, 0x0800);
    memset(f + 14, 0, 20);
    f[14] = 0x45;
    store_be16(f + 16, size - 14);
    f[22] = 64;
    f[23] = protocol;
    memcpy(f + 26, "\x0a\x00\x02\x0f\x0a\x00\x02\x02", 8);
    store_be16(f + 24, ~checksum_add(0, f + 14, 20));
}

static uint32_t pseudo(const uint8_t *f, size_t tcp_size)
{
    uint8_t words[4] = { 0, 6 };

    store_be16(words + 2, tcp_size);
    return checksum_add(checksum_add(0, f + 26, 8), words, 4);
}

typedef struct Tcp {
    uint16_t to, from;
    uint32_t seq, ack;
} Tcp;

static void send_tcp(const Tcp *t, uint8_t flags, const void *options, size_t n)
{
    uint8_t f[100] = { 0 };
    size_t size = 54 + n;

    put_ip(f, 6, size);
    store_be16(f + 34, t->from);
    store_be16(f + 36, t->to);
    store_be32(f + 38, t->seq);
    store_be32(f + 42, t->ack);
    f[46] = (20 + n) / 4 << 4;
    f[47] = flags;
    store_be16(f + 48, 60000);
    memcpy(f + 54, options, n);
    store_be16(f + 50, ~checksum_add(pseudo(f, size - 34), f + 34, size - 34));
    net_send(net, f, size);
}

static void learn_neighbour(void)
{
    uint8_t arp[42] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    size_t size;

    memcpy(arp + 6, mac, 6);
    memcpy(arp + 12, "\x08\x06\0\1\x08\0\6\4\0\1", 10);
    memcpy(arp + 22, mac, 6);
    memcpy(arp + 28, "\x0a\x00\x02\x0f\0\0\0\0\0\0\x0a\x00\x02\x02", 14);
    g_ptr_array_set_size(frames, 0);
    net_send(net, arp, sizeof(arp));
    WAIT_FOR(frames->len);
    g_assert_cmpmem(frame_at(0, &size) + 20, 2, "\0\2", 2);
    g_ptr_array_set_size(frames, 0);
}

static int listen_on(uint16_t *port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    g_assert_cmpint(bind(fd, (void *)&in, sizeof(in)) | listen(fd, 5), ==, 0);
    getsockname(fd, (void *)&in, &size);
    *port = ntohs(in.sin_port);
    return fd;
}

/* From the SYN to the data of a server that sends 40000 bytes; the frames with data are left in `frames`. */
static size_t download(uint16_t mss, size_t longest)
{
    Tcp t = { .from = 4000 + mss, .seq = 1000 };
    uint8_t option[4] = { 2, 4, mss >> 8, mss }, *data = g_malloc(40000);
    int fd = listen_on(&t.to), peer;
    size_t got = 0, size, n_frames = 0;

    learn_neighbour();
    send_tcp(&t, 2, option, 4);
    WAIT_FOR(frames->len);
    g_assert_cmphex(frame_at(0, &size)[47] & 0x12, ==, 0x12);
    t.seq++;
    t.ack = load_be32(frame_at(0, &size) + 38) + 1;
    g_ptr_array_set_size(frames, 0);
    send_tcp(&t, 0x10, "", 0);
    peer = accept(fd, NULL, NULL);
    for (int i = 0; i < 40000; i++) {
        data[i] = i * 3 + (i >> 8);
    }
    g_assert_cmpint(write(peer, data, 40000), ==, 40000);
    for (guint i = 0; got < 40000; i++) {
        const uint8_t *f;

        WAIT_FOR(frames->len > i);
        f = frame_at(i, &size);
        if (f[23] != 6 || size <= 54) {
            continue;
        }
        g_assert_cmpuint(size, <=, longest);
        g_assert_cmpuint(load_be32(f + 38), ==, t.ack);
        g_assert_cmpmem(f + 54, size - 54, data + got, size - 54);
        if (!(last_header.flags & NET_HDR_NEEDS_CSUM)) {
            size_t total = load_be16(f + 16) - 20;

            g_assert_cmphex(checksum_add(pseudo(f, total), f + 34, total), ==, 0xffff);
        }
        got += size - 54;
        t.ack += size - 54;
        n_frames++;
        send_tcp(&t, 0x10, "", 0);
    }
    close(peer);
    close(fd);
    g_free(data);
    return n_frames;
}

static void segments_fit_the_guests_link(void)
{
    start("");
    g_assert_cmpuint(download(1460, 1514), >=, 40000 / 1460);
    stop();
}

static void a_card_with_offloads_gets_large_segments(void)
{
    start("");
    net_set_offloads(net, NET_CAN_CSUM | NET_CAN_TSO4);
    g_assert_cmpuint(download(1460, 54 + 32768), <, 10);
    stop();
}

static void a_long_echo_comes_in_fragments(void)
{
    static uint8_t f[14 + 20 + 8 + 2960];
    uint8_t got[4096] = { 0 };
    size_t size, total = 0;

    start("");
    learn_neighbour();
    put_ip(f, 1, sizeof(f));
    f[34] = 8;
    for (size_t i = 42; i < sizeof(f); i++) {
        f[i] = i * 5;
    }
    store_be16(f + 36, ~checksum_add(0, f + 34, sizeof(f) - 34));
    for (size_t done = 0; done < sizeof(f) - 34; done += 1480) { /* as a guest sends it */
        uint8_t part[1514];
        size_t n = MIN(1480, sizeof(f) - 34 - done);

        memcpy(part + 34, f + 34 + done, n);
        put_ip(part, 1, 34 + n);
        store_be16(part + 18, 77);
        store_be16(part + 20, done / 8 | (done + n < sizeof(f) - 34 ? 0x2000 : 0));
        store_be16(part + 24, 0);
        store_be16(part + 24, ~checksum_add(0, part + 14, 20));
        net_send(net, part, 34 + n);
    }
    WAIT_FOR(frames->len == 3);
    for (guint i = 0; i < 3; i++) {
        const uint8_t *part = frame_at(i, &size);
        size_t at = (load_be16(part + 20) & 0x1fff) * 8;

        g_assert_cmpuint(size, <=, 1514);
        g_assert_cmphex(checksum_add(0, part + 14, 20), ==, 0xffff);
        g_assert_cmpuint(at + size - 34, <=, sizeof(got));
        memcpy(got + at, part + 34, size - 34);
        total += size - 34;
    }
    g_assert_cmpuint(total, ==, sizeof(f) - 34);
    g_assert_cmpmem(got + 8, total - 8, f + 42, total - 8);
    stop();
}

/* Whatever a guest sends, this process lives and stays in bounds: the sanitizer build looks. */
static void junk_does_no_harm(void)
{
    g_autofree uint8_t *f = g_malloc(NET_MAX_FRAME);

    start("restrict=on");
    for (int i = 0; i < 20000; i++) {
        size_t size = g_test_rand_int_range(0, 100) ? g_test_rand_int_range(14, 200) : g_test_rand_int_range(14, 65000);
        static const uint8_t protocols[] = { 1, 6, 17, 58, 0 };

        for (size_t k = 0; k < MIN(size, 200); k++) {
            f[k] = g_test_rand_int();
        }
        if (size >= 34 && g_test_rand_int_range(0, 4)) {
            put_ip(f, protocols[g_test_rand_int_range(0, 5)], size);
            f[14] = 0x40 | g_test_rand_int_range(0, 16);
            store_be16(f + 24, 0);
            store_be16(f + 24, ~checksum_add(0, f + 14, 20));
        } else if (g_test_rand_int_range(0, 2)) {
            store_be16(f + 12, 0x86dd);
            f[14] = 0x60;
        }
        net_send(net, f, size);
        if (i % 64 == 0) {
            main_loop_step(false);
            g_ptr_array_set_size(frames, 0);
        }
    }
    learn_neighbour();
    stop();
}

/* Each answers the other's broadcasts at once, from within its own. */
static void two_user_networks_bear_each_other_in_a_hub(void)
{
    static const char *const lines[] = { "user,id=a", "user,id=b,net=10.0.3.0/24", "hubport,id=h0,hubid=0,netdev=a",
                                         "hubport,id=h1,hubid=0,netdev=b", "hubport,id=u0,hubid=0" };
    uint8_t reply[42] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
    GError *error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        net = net_new(lines[i], &error);
        g_assert_no_error(error);
    }
    full = false;
    g_assert_true(net_attach(net, &frontend, NULL, NULL));
    learn_neighbour();
    for (int i = 0; i < 200; i++) { /* ARP requests, DHCP discoveries and worse, to both */
        memset(reply, 0xff, 6);
        reply[i % 42] ^= i;
        net_send(net, reply, sizeof(reply));
        main_loop_step(false);
    }
    learn_neighbour();
    stop();
    for (int i = 3; i >= 0; i--) {
        g_assert_true(net_remove((const char *const[]){ "a", "b", "h0", "h1" }[i], NULL));
    }
}

static void forwards_come_and_go(void)
{
    uint16_t port;
    g_autofree char *rule = NULL, *end = NULL, *info = NULL;
    GError *error = NULL;
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd;

    close(listen_on(&port));
    in.sin_port = htons(port);
    rule = g_strdup_printf("tcp:127.0.0.1:%d-:80", port);
    end = g_strdup_printf("tcp:127.0.0.1:%d", port);
    start("");
    g_assert_true(net_user_forward("u0", rule, &error));
    g_assert_false(net_user_forward(NULL, rule, &error)); /* it is taken */
    g_clear_error(&error);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    g_assert_cmpint(connect(fd, (void *)&in, sizeof(in)), ==, 0);
    close(fd);
    info = net_user_info();
    g_assert_nonnull(strstr(info, "HOST_FORWARD"));
    g_assert_true(net_user_unforward("u0", end, &error));
    fd = socket(AF_INET, SOCK_STREAM, 0);
    g_assert_cmpint(connect(fd, (void *)&in, sizeof(in)), ==, -1);
    close(fd);
    g_assert_false(net_user_unforward("u0", end, &error));
    g_clear_error(&error);
    g_assert_false(net_user_forward("u0", "tcp:127.0.0.1:80", &error));
    g_clear_error(&error);
    g_assert_false(net_user_forward("nobody", rule, &error));
    g_clear_error(&error);
    stop();
}

static void wrong_options_are_refused(void)
{
    static const char *const wrong[] = {
        "net=10.0.2/24", "net=10.0.2.0/31", "net=10.0.2.0/x", "host=10.0.3.2", "dns=fec0::1", "dhcpstart=300.1.1.1",
        "ipv6-net=fec0", "ipv6-net=fec0::/63", "ipv6-host=fec1::2", "tftp=/nowhere", "ipv4=off,ipv6=off",
        "host=10.0.2.9,dns=10.0.2.9", "hostfwd=tcp::99999-:80", "hostfwd=tcp:1.2.3:80-:80", "hostfwd=sctp::80-:80",
        "guestfwd=tcp:10.0.2.100:80", "guestfwd=udp:10.0.2.100:80-cmd:cat", "guestfwd=tcp:10.0.2.100:0-cmd:cat",
        "guestfwd=tcp:10.0.2.100:80-chardev:nobody", "restrict=perhaps", "color=red",
        "hostname=0123456789012345678901234567890123456789",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *text = g_strdup_printf("user,id=u0,%s", wrong[i]);
        GError *error = NULL;

        if (net_new(text, &error) || !error) {
            g_error("'%s' is taken", wrong[i]);
        }
        g_error_free(error);
        g_assert_null(net_find("u0"));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    signal(SIGPIPE, SIG_IGN);
    machine_lock();
    frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
#define ADD(fn) g_test_add_func("/user/" #fn, fn)
    ADD(segments_fit_the_guests_link);
    ADD(a_card_with_offloads_gets_large_segments);
    ADD(a_long_echo_comes_in_fragments);
    ADD(junk_does_no_harm);
    ADD(two_user_networks_bear_each_other_in_a_hub);
    ADD(forwards_come_and_go);
    ADD(wrong_options_are_refused);
    return g_test_run();
}
