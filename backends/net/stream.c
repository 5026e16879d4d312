/* stream: frames over a TCP or unix stream socket, each behind its length as four big-endian bytes. */
#include "backends/net/stream.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/json.h"
#include "util/log.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define PREFIX   4
#define IN_SIZE  (2 * NET_MAX_FRAME)
#define CONNECT_WAIT_MS 2000 /* then it goes on in the main loop */

typedef struct Stream {
    NetBackend *net;
    StreamOptions options;
    int listener, peer; /* -1: none */
    bool connecting;
    guint listen_source, read_source, write_source, retry;
    /* Bytes that came; frames start at in_at. */
    uint8_t *in;
    size_t in_at, in_end;
    /* The rest of a frame that the socket took in part. */
    uint8_t *out;
    size_t out_at, out_end;
    char *about;
} Stream;

static void watch_read(Stream *s);
static void connect_out(Stream *s);

static void forget_source(guint *source)
{
    if (*source) {
        g_source_remove(*source);
        *source = 0;
    }
}

static void set_about(Stream *s, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void set_about(Stream *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_free(s->about);
    s->about = g_strdup_vprintf(format, args);
    va_end(args);
}

static void say_waiting(Stream *s)
{
    g_autofree char *where =
        s->options.fd >= 0 ? g_strdup("fd") : net_address_text(&s->options.address.socket, s->options.address.size);

    set_about(s, s->options.server ? "listening on %s" : "no connection to %s", where);
}

/* ---- to the peer ---- */

static void drop_peer(Stream *s);

static gboolean can_write(gint fd, GIOCondition condition, gpointer opaque)
{
    Stream *s = opaque;

    while (s->out_at < s->out_end) {
        ssize_t n = send(s->peer, s->out + s->out_at, s->out_end - s->out_at, MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return G_SOURCE_CONTINUE;
        }
        if (n < 0) {
            s->write_source = 0;
            drop_peer(s);
            return G_SOURCE_REMOVE;
        }
        s->out_at += n;
    }
    s->out_at = s->out_end = 0;
    s->write_source = 0;
    net_send_again(s->net);
    return G_SOURCE_REMOVE;
}

static bool stream_send(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count)
{
    Stream *s = net_opaque(net);
    size_t size = iov_size(iov, count);
    uint8_t prefix[PREFIX];
    struct iovec *out = g_newa(struct iovec, count + 1);
    struct msghdr message = { .msg_iov = out, .msg_iovlen = count + 1 };
    ssize_t n;

    if (s->peer < 0 || s->connecting) {
        return true; /* nobody there: lost, as on a cable */
    }
    if (s->write_source) {
        return false;
    }
    store_be32(prefix, size);
    out[0] = (struct iovec){ prefix, PREFIX };
    memcpy(out + 1, iov, count * sizeof(*iov));
    n = sendmsg(s->peer, &message, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        return true; /* the reading side notices */
    }
    if (n == (ssize_t)(size + PREFIX)) {
        return true;
    }
    n = MAX(n, 0);
    s->out_at = 0;
    s->out_end = iov_read(out, count + 1, n, s->out, NET_MAX_FRAME + PREFIX);
    s->write_source = net_watch(s->peer, G_IO_OUT | G_IO_HUP | G_IO_ERR, can_write, s);
    return true;
}

/* ---- from the peer ---- */

/* Hands on what is complete. False: the peer talks nonsense. */
static bool take_frames(Stream *s)
{
    while (s->in_end - s->in_at >= PREFIX && net_can_deliver(s->net)) {
        size_t size = load_be32(s->in + s->in_at);

        if (!size || size > NET_MAX_FRAME) {
            log_warn("network backend '%s': the peer sent a frame of %zu bytes; the connection is closed",
                     net_id(s->net), size);
            return false;
        }
        if (s->in_end - s->in_at < PREFIX + size) {
            break;
        }
        s->in_at += PREFIX + size;
        net_deliver(s->net, s->in + s->in_at - size, size);
    }
    if (s->in_at == s->in_end) {
        s->in_at = s->in_end = 0;
    } else if (s->in_at && IN_SIZE - s->in_at < NET_MAX_FRAME + PREFIX) {
        memmove(s->in, s->in + s->in_at, s->in_end - s->in_at);
        s->in_end -= s->in_at;
        s->in_at = 0;
    }
    return true;
}

static gboolean can_read(gint fd, GIOCondition condition, gpointer opaque)
{
    Stream *s = opaque;
    ssize_t n;

    if (!net_can_deliver(s->net)) {
        s->read_source = 0; /* stream_receive_again watches again */
        return G_SOURCE_REMOVE;
    }
    n = recv(s->peer, s->in + s->in_end, IN_SIZE - s->in_end, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    if (n > 0) {
        s->in_end += n;
    }
    if (n <= 0 || !take_frames(s)) {
        s->read_source = 0;
        drop_peer(s);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

static void watch_read(Stream *s)
{
    if (s->peer >= 0 && !s->connecting && !s->read_source) {
        s->read_source = net_watch(s->peer, G_IO_IN | G_IO_HUP | G_IO_ERR, can_read, s);
    }
}

static void stream_receive_again(NetBackend *net)
{
    Stream *s = net_opaque(net);

    if (s->peer >= 0 && !take_frames(s)) {
        drop_peer(s);
    }
    watch_read(s);
}

/* ---- coming and going ---- */

static void tell(Stream *s, const struct sockaddr_storage *peer)
{
    Json *data, *addr;
    char host[NI_MAXHOST], port[NI_MAXSERV];

    if (!g_str_equal(s->options.kind, "stream")) {
        return; /* socket is older than the events */
    }
    data = json_object();
    json_set_string(data, "netdev-id", net_id(s->net));
    if (!peer) {
        net_event("NETDEV_STREAM_DISCONNECTED", data);
        return;
    }
    addr = json_object();
    if (peer->ss_family == AF_UNIX) {
        json_set_string(addr, "path", s->options.address.path);
        json_set_string(addr, "type", "unix");
    } else if (!getnameinfo((const void *)peer, sizeof(*peer), host, sizeof(host), port, sizeof(port),
                            NI_NUMERICHOST | NI_NUMERICSERV)) {
        json_set_string(addr, "host", host);
        json_set_string(addr, "port", port);
        json_set_string(addr, "type", "inet");
    }
    json_set(data, "addr", addr);
    net_event("NETDEV_STREAM_CONNECTED", data);
}

static void take_peer(Stream *s, int fd)
{
    struct sockaddr_storage socket = { 0 };
    socklen_t size = sizeof(socket);
    int one = 1;
    g_autofree char *text = NULL;

    s->peer = fd;
    s->connecting = false;
    s->in_at = s->in_end = s->out_at = s->out_end = 0;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* fails on unix sockets, which need it not */
    getpeername(fd, (void *)&socket, &size);
    text = net_address_text(&socket, size);
    set_about(s, s->options.server ? "connection from %s" : "connected to %s",
              socket.ss_family == AF_UNIX && s->options.address.path[0] ? s->options.address.path : text);
    tell(s, &socket);
    watch_read(s);
    net_send_again(s->net);
}

static gboolean incoming(gint fd, GIOCondition condition, gpointer opaque)
{
    Stream *s = opaque;
    int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (peer < 0) {
        return G_SOURCE_CONTINUE;
    }
    take_peer(s, peer);
    s->listen_source = 0; /* one at a time; the next waits until this one leaves */
    return G_SOURCE_REMOVE;
}

static void watch_listener(Stream *s)
{
    if (s->listener >= 0 && !s->listen_source) {
        s->listen_source = net_watch(s->listener, G_IO_IN, incoming, s);
    }
}

static gboolean try_again(gpointer opaque)
{
    Stream *s = opaque;

    s->retry = 0;
    connect_out(s);
    return G_SOURCE_REMOVE;
}

static void drop_peer(Stream *s)
{
    bool was_connected = s->peer >= 0 && !s->connecting;

    forget_source(&s->read_source);
    forget_source(&s->write_source);
    if (s->peer >= 0) {
        close(s->peer);
        s->peer = -1;
    }
    s->connecting = false;
    if (was_connected) {
        tell(s, NULL);
    }
    s->in_at = s->in_end = s->out_at = s->out_end = 0;
    say_waiting(s);
    watch_listener(s);
    if (!s->options.server && s->options.reconnect_ms && !s->retry) {
        s->retry = g_timeout_add(s->options.reconnect_ms, try_again, s);
    }
    net_send_again(s->net); /* frames that waited are lost with the peer */
}

static gboolean connected(gint fd, GIOCondition condition, gpointer opaque)
{
    Stream *s = opaque;
    int code = 0;
    socklen_t size = sizeof(code);

    s->write_source = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0 || code) {
        if (!s->options.reconnect_ms) {
            log_warn("network backend '%s': cannot connect: %s", net_id(s->net), g_strerror(code));
        }
        drop_peer(s);
        return G_SOURCE_REMOVE;
    }
    take_peer(s, fd);
    return G_SOURCE_REMOVE;
}

/* Goes on in the main loop; what fails there is tried again, or a warning. */
static void connect_out(Stream *s)
{
    int fd = net_socket_new(&s->options.address, SOCK_STREAM, NULL);

    s->peer = fd;
    if (fd < 0) {
        drop_peer(s);
    } else if (connect(fd, (void *)&s->options.address.socket, s->options.address.size) == 0) {
        take_peer(s, fd);
    } else if (errno == EINPROGRESS) {
        s->connecting = true;
        s->write_source = net_watch(fd, G_IO_OUT | G_IO_HUP | G_IO_ERR, connected, s);
    } else {
        drop_peer(s);
    }
}

static void stream_free(NetBackend *net)
{
    Stream *s = net_opaque(net);

    forget_source(&s->listen_source);
    forget_source(&s->read_source);
    forget_source(&s->write_source);
    forget_source(&s->retry);
    if (s->peer >= 0) {
        close(s->peer);
    }
    if (s->listener >= 0) {
        close(s->listener);
        if (s->options.address.path[0]) {
            unlink(s->options.address.path);
        }
    }
    g_free(s->in);
    g_free(s->out);
    g_free(s->about);
    g_free(s);
}

static char *stream_describe(const NetBackend *net)
{
    return g_strdup_printf(",%s", ((Stream *)net_opaque(net))->about);
}

static const NetOps stream_ops = {
    .send = stream_send,
    .free = stream_free,
    .describe = stream_describe,
    .receive_again = stream_receive_again,
};

/* A file that a server left behind is in the way; one that answers is somebody else's. */
static bool bind_to(int fd, const NetAddress *a, GError **error)
{
    int one = 1;
    g_autofree char *text = net_address_text(&a->socket, a->size);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (a->path[0]) {
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (probe >= 0 && connect(probe, (void *)&a->socket, a->size) < 0 && errno == ECONNREFUSED) {
            unlink(a->path);
        }
        if (probe >= 0) {
            close(probe);
        }
    }
    if (bind(fd, (void *)&a->socket, a->size) < 0 || listen(fd, 1) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot listen on '%s': %s", text, g_strerror(errno));
        return false;
    }
    return true;
}

/* Errors of the first connect are the user's to see, unless it will be tried again. */
static bool connect_first(Stream *s, GError **error)
{
    g_autofree char *text = net_address_text(&s->options.address.socket, s->options.address.size);
    int fd = net_socket_new(&s->options.address, SOCK_STREAM, error), code = 0;
    struct pollfd wait = { fd, POLLOUT, 0 };
    socklen_t size = sizeof(code);

    if (fd < 0) {
        return false;
    }
    if (connect(fd, (void *)&s->options.address.socket, s->options.address.size) < 0) {
        code = errno;
        if (code == EINPROGRESS && poll(&wait, 1, CONNECT_WAIT_MS) >= 0) {
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size);
        }
    }
    if (code) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot connect to '%s': %s", text, g_strerror(code));
        close(fd);
        return false;
    }
    s->peer = fd;
    s->connecting = true;
    return true;
}

static bool open_first(Stream *s, GError **error)
{
    StreamOptions *o = &s->options;
    int listening = 0;
    socklen_t size = sizeof(listening);

    if (o->fd >= 0) {
        getsockopt(o->fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size);
        *(listening ? &s->listener : &s->peer) = o->fd;
        o->server = listening;
        return true;
    }
    if (!o->server) {
        return o->reconnect_ms || connect_first(s, error);
    }
    s->listener = net_socket_new(&o->address, SOCK_STREAM, error);
    if (s->listener >= 0 && !bind_to(s->listener, &o->address, error)) {
        close(s->listener);
        s->listener = -1;
    }
    return s->listener >= 0;
}

NetBackend *net_stream_new(const char *id, const StreamOptions *options, GError **error)
{
    Stream *s = g_new0(Stream, 1);

    s->options = *options;
    s->listener = s->peer = -1;
    if (!open_first(s, error)) {
        g_free(s);
        return NULL;
    }
    s->in = g_malloc(IN_SIZE);
    s->out = g_malloc(NET_MAX_FRAME + PREFIX);
    s->net = net_register(id, options->kind, &stream_ops, s);
    say_waiting(s);
    if (s->listener >= 0) {
        watch_listener(s);
    } else if (s->connecting) {
        s->write_source = net_watch(s->peer, G_IO_OUT | G_IO_HUP | G_IO_ERR, connected, s);
    } else if (s->peer >= 0) {
        take_peer(s, s->peer);
    } else {
        connect_out(s);
    }
    return s->net;
}

static NetBackend *stream_create(const char *id, const Options *o, GError **error)
{
    StreamOptions s = { .kind = "stream", .fd = -1 };
    int seconds = 0;

    if (!options_get_bool(o, "server", &s.server, error) || !options_get_int(o, "reconnect", &seconds, error) ||
        !options_get_int(o, "reconnect-ms", &s.reconnect_ms, error)) {
        return NULL;
    }
    if (seconds < 0 || seconds > 3600 || s.reconnect_ms < 0 || (s.server && (seconds || s.reconnect_ms))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "reconnect= is for clients, in seconds up to 3600");
        return NULL;
    }
    s.reconnect_ms = seconds ? seconds * 1000 : s.reconnect_ms;
    if (net_address_is(o, "addr", "fd")) {
        s.fd = net_socket_from_text(options_get(o, "addr.str"), SOCK_STREAM, error);
        return s.fd < 0 ? NULL : net_stream_new(id, &s, error);
    }
    return net_address_get(o, "addr", s.server, &s.address, error) ? net_stream_new(id, &s, error) : NULL;
}

const NetType stream_net_type = { "stream", "frames over a TCP or unix stream socket", stream_create };
