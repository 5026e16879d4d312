/*
 * switch: a network between several Mynas of one user, without privileges, over a unix socket.
 *
 * The first one serves: it holds a lock on PATH.lock, listens on PATH and runs the switch; the others
 * connect to it. When it ends, the kernel drops the lock, the connections of the others break, and each
 * of them tries to take the lock: one gets it and serves, the others connect to that one. Nothing but
 * the members is on this network, unless host=on adds a user network's address, DHCP and forwards,
 * cut off from everything else.
 */
#include "backends/net/address.h"
#include "backends/net/internal.h"
#include "backends/net/lan.h"
#include "backends/net/link.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_MEMBERS  64
#define RETRY_MS     50
#define MEMBER_QUEUE (2u << 20)
#define ALL_OFFLOADS (NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6 | NET_CAN_ECN | NET_CAN_USO)

typedef struct Switch {
    NetBackend *net;
    NetAddress address;
    char *lock_path;
    guint retry;
    Link *server; /* of a client */
    /* Of the one that serves: */
    int lock, listener;
    guint listen_source;
    Lan *lan;
    LanPort *own, *host_port;
    GPtrArray *members;
    /* host=on: what the user network is made with, and it */
    Options *host_options;
    NetBackend *host;
} Switch;

typedef struct Member {
    Switch *s;
    Link *link;
    LanPort *port;
    NetQueue queue;
} Member;

static void elect(Switch *s);

/* ---- members of the one that serves ---- */

static void member_frame(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size)
{
    lan_input(((Member *)opaque)->port, header, frame, size);
}

static void member_output(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size)
{
    Member *m = opaque;
    struct iovec iov = { (void *)frame, size };

    if (net_queue_peek(&m->queue) || !link_send(m->link, header, &iov, 1)) {
        net_queue_push(&m->queue, header, &iov, 1); /* or dropped, as a switch does */
    }
}

static void member_room(void *opaque)
{
    Member *m = opaque;
    const NetFrame *frame;

    while ((frame = net_queue_peek(&m->queue))) {
        struct iovec iov = { (void *)frame->data, frame->size };

        if (!link_send(m->link, frame->has_header ? &frame->header : NULL, &iov, 1)) {
            return;
        }
        net_queue_pop(&m->queue);
    }
}

static void member_gone(void *opaque)
{
    Member *m = opaque;

    lan_port_free(m->port);
    link_free(m->link);
    net_queue_clear(&m->queue);
    g_ptr_array_remove(m->s->members, m);
    g_free(m);
}

static gboolean incoming(gint fd, GIOCondition condition, gpointer opaque)
{
    static const LinkOps ops = { .frame = member_frame, .room = member_room, .gone = member_gone };
    Switch *s = opaque;
    int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    Member *m;

    if (peer < 0) {
        return G_SOURCE_CONTINUE;
    }
    if (s->members->len >= MAX_MEMBERS) {
        close(peer);
        return G_SOURCE_CONTINUE;
    }
    m = g_new0(Member, 1);
    m->s = s;
    net_queue_init(&m->queue, MEMBER_QUEUE);
    m->port = lan_port_new(s->lan, member_output, m);
    m->link = link_new(peer, &ops, m);
    g_ptr_array_add(s->members, m);
    return G_SOURCE_CONTINUE;
}

/* ---- the host's port ---- */

static bool host_can_receive(void *opaque)
{
    return true;
}

static void host_receive(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size)
{
    lan_input(((Switch *)opaque)->host_port, header, frame, size);
}

static const NetFrontend host_frontend = { .can_receive = host_can_receive, .receive_header = host_receive };

static void host_output(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size)
{
    struct iovec iov = { (void *)frame, size };

    net_send_iov(((Switch *)opaque)->host, header, &iov, 1);
}

static bool open_host(Switch *s, GError **error)
{
    if (!s->host_options) {
        return true;
    }
    s->host = net_new_options(s->host_options, error);
    if (!s->host || !net_attach(s->host, &host_frontend, s, error)) {
        return false;
    }
    net_set_offloads(s->host, ALL_OFFLOADS);
    s->host_port = lan_port_new(s->lan, host_output, s);
    return true;
}

static void close_host(Switch *s)
{
    g_autofree char *id = s->host ? g_strdup(net_id(s->host)) : NULL;

    if (!s->host) {
        return;
    }
    lan_port_free(s->host_port);
    net_detach(s->host);
    net_remove(id, NULL);
    s->host = NULL;
}

/* ---- serving ---- */

static void own_output(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size)
{
    net_deliver_header(((Switch *)opaque)->net, header, frame, size);
}

/* With the lock: whatever is at the path was left behind. Only this user may connect. */
static bool listen_there(Switch *s, GError **error)
{
    s->listener = net_socket_new(&s->address, SOCK_SEQPACKET, error);
    if (s->listener < 0) {
        return false;
    }
    unlink(s->address.path);
    if (fchmod(s->listener, 0600) < 0 || bind(s->listener, (void *)&s->address.socket, s->address.size) < 0 ||
        listen(s->listener, MAX_MEMBERS) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot listen on '%s': %s", s->address.path, g_strerror(errno));
        close(s->listener);
        s->listener = -1;
        return false;
    }
    s->listen_source = net_watch(s->listener, G_IO_IN, incoming, s);
    return true;
}

static void stop_serving(Switch *s)
{
    if (s->listener >= 0) {
        g_source_remove(s->listen_source);
        close(s->listener);
        s->listener = -1;
        unlink(s->address.path);
    }
    if (s->lan) {
        while (s->members->len) {
            member_gone(g_ptr_array_index(s->members, 0));
        }
        close_host(s);
        lan_port_free(s->own);
        lan_free(s->lan);
        s->lan = NULL;
    }
    if (s->lock >= 0) {
        close(s->lock);
        s->lock = -1;
    }
}

static bool serve(Switch *s, GError **error)
{
    s->lan = lan_new();
    s->own = lan_port_new(s->lan, own_output, s);
    if (!listen_there(s, error) || !open_host(s, error)) {
        stop_serving(s);
        return false;
    }
    return true;
}

/* ---- being a client ---- */

static gboolean elect_again(gpointer opaque)
{
    Switch *s = opaque;

    s->retry = 0;
    elect(s);
    return G_SOURCE_REMOVE;
}

static void server_frame(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size)
{
    net_deliver_header(((Switch *)opaque)->net, header, frame, size);
}

static void server_room(void *opaque)
{
    net_send_again(((Switch *)opaque)->net);
}

static bool server_can_take(void *opaque)
{
    return net_can_deliver(((Switch *)opaque)->net);
}

static void server_gone(void *opaque)
{
    Switch *s = opaque;

    link_free(s->server);
    s->server = NULL;
    elect(s);
    net_send_again(s->net);
}

/* False with errno: nobody serves there. */
static bool join(Switch *s)
{
    static const LinkOps ops = { server_frame, server_room, server_gone, server_can_take };
    int fd = net_socket_new(&s->address, SOCK_SEQPACKET, NULL), code;

    if (fd < 0) {
        return false;
    }
    if (connect(fd, (void *)&s->address.socket, s->address.size) < 0) {
        code = errno;
        close(fd);
        errno = code;
        return false;
    }
    s->server = link_new(fd, &ops, s);
    return true;
}

/* True: the lock is ours. */
static bool take_lock(Switch *s, GError **error)
{
    s->lock = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot open '%s': %s", s->lock_path, g_strerror(errno));
        return false;
    }
    if (flock(s->lock, LOCK_EX | LOCK_NB) < 0) {
        close(s->lock);
        s->lock = -1;
        return false;
    }
    return true;
}

static void elect(Switch *s)
{
    g_autoptr(GError) error = NULL;

    if (take_lock(s, &error)) {
        if (serve(s, &error)) {
            log_info("network backend '%s' serves '%s' now", net_id(s->net), s->address.path);
            return;
        }
    } else if (!error && join(s)) {
        return;
    }
    if (error) {
        log_warn("network backend '%s': %s", net_id(s->net), error->message);
    }
    s->retry = g_timeout_add(error ? 5000 : RETRY_MS, elect_again, s);
}

/* ---- the backend ---- */

static bool switch_send(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count)
{
    Switch *s = net_opaque(net);

    if (s->server) {
        return link_send(s->server, header, iov, count);
    }
    if (s->lan && count == 1) {
        lan_input(s->own, header, iov[0].iov_base, iov[0].iov_len);
    } else if (s->lan) {
        size_t size = iov_size(iov, count);
        g_autofree uint8_t *copy = g_malloc(size);

        iov_read(iov, count, 0, copy, size);
        lan_input(s->own, header, copy, size);
    }
    return true; /* between two servers frames are lost */
}

static void switch_receive_again(NetBackend *net)
{
    Switch *s = net_opaque(net);

    if (s->server) {
        link_read(s->server);
    }
}

static void switch_free(NetBackend *net)
{
    Switch *s = net_opaque(net);

    if (s->retry) {
        g_source_remove(s->retry);
    }
    if (s->server) {
        link_free(s->server);
    }
    stop_serving(s);
    options_free(s->host_options);
    g_ptr_array_free(s->members, TRUE);
    g_free(s->lock_path);
    g_free(s);
}

static char *switch_describe(const NetBackend *net)
{
    Switch *s = net_opaque(net);

    if (s->lan) {
        return g_strdup_printf(",path=%s,serving,members=%u,addresses=%u%s", s->address.path, s->members->len + 1,
                               lan_learnt(s->lan), s->host ? ",host=on" : "");
    }
    return g_strdup_printf(",path=%s,%s", s->address.path, s->server ? "connected" : "looking for a server");
}

static const NetOps switch_ops = {
    .send = switch_send,
    .free = switch_free,
    .describe = switch_describe,
    .receive_again = switch_receive_again,
};

/* The keys of the user network that make sense at a port without an outside. */
static Options *get_host_options(const char *id, const Options *o)
{
    static const char *const keys[] = { "net", "dhcpstart", "hostname", "tftp", "bootfile", "hostfwd",
                                        "guestfwd", "ipv4", "ipv6", "ipv6-net", "ipv6-host", "ipv6-prefix",
                                        "ipv6-prefixlen", "domainname", "tftp-server-name", "dnssearch", NULL };
    Options *host = options_new();
    g_autofree char *host_id = g_strdup_printf("%s-host", id);

    options_set(host, "type", "user");
    options_set(host, "id", host_id);
    options_set(host, "restrict", "on");
    for (int k = 0; keys[k]; k++) {
        options_get(o, keys[k]);
        for (int i = 0; i < options_count(o); i++) {
            if (g_str_equal(options_key(o, i), keys[k])) {
                options_set(host, keys[k], options_value(o, i));
            }
        }
    }
    return host;
}

static NetBackend *switch_create(const char *id, const Options *o, GError **error)
{
    const char *path = options_get(o, "path");
    Switch *s;
    NetAddress address;
    bool host = false;

    if (!path) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "needs path=, of a socket that all members name");
        return NULL;
    }
    if (!net_address_unix(path, &address, error) || !options_get_bool(o, "host", &host, error)) {
        return NULL;
    }
    s = g_new0(Switch, 1);
    s->address = address;
    s->lock_path = g_strconcat(path, ".lock", NULL);
    s->lock = s->listener = -1;
    s->members = g_ptr_array_new();
    s->host_options = host ? get_host_options(id, o) : NULL;
    s->net = net_register(id, "switch", &switch_ops, s);
    net_set_host_offloads(s->net, ALL_OFFLOADS);
    if (take_lock(s, error)) {
        if (!serve(s, error)) {
            net_remove(id, NULL);
            return NULL;
        }
    } else if (error && *error) {
        net_remove(id, NULL);
        return NULL;
    } else if (!join(s)) {
        s->retry = g_timeout_add(RETRY_MS, elect_again, s); /* its server is about to listen, or just left */
    }
    return s->net;
}

const NetType switch_net_type = { "switch", "a network between the Mynas of one user: path=, host=", switch_create };
