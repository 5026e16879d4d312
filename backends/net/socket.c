/* socket: the older spelling of stream and dgram: listen=, connect=, mcast=, udp=, fd=. */
#include "backends/net/dgram.h"
#include "backends/net/stream.h"
#include "util/error.h"

static NetBackend *from_stream(const char *id, const char *where, bool server, GError **error)
{
    StreamOptions s = { .kind = "socket", .server = server, .fd = -1 };

    return net_address_parse(where, server, &s.address, error) ? net_stream_new(id, &s, error) : NULL;
}

static NetBackend *from_fd(const char *id, const char *text, GError **error)
{
    StreamOptions s = { .kind = "socket", .fd = -1 };
    int type;
    socklen_t size = sizeof(type);

    s.fd = net_socket_from_text(text, 0, error);
    if (s.fd < 0) {
        return NULL;
    }
    getsockopt(s.fd, SOL_SOCKET, SO_TYPE, &type, &size);
    return type == SOCK_STREAM ? net_stream_new(id, &s, error) : net_dgram_new(id, "socket", s.fd, NULL, NULL);
}

/* localaddr= of mcast= is an address without a port. */
static bool get_local(const char *text, bool has_port, NetAddress *out, GError **error)
{
    g_autofree char *with_port = has_port ? g_strdup(text) : g_strconcat(text, ":0", NULL);

    return net_address_parse(with_port, true, out, error);
}

static NetBackend *socket_create(const char *id, const Options *o, GError **error)
{
    const char *listen = options_get(o, "listen"), *connect = options_get(o, "connect"), *fd = options_get(o, "fd");
    const char *mcast = options_get(o, "mcast"), *udp = options_get(o, "udp");
    const char *local_text = options_get(o, "localaddr");
    NetAddress local = { 0 }, remote = { 0 };
    int sock;

    if (!!listen + !!connect + !!fd + !!mcast + !!udp != 1) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "needs exactly one of listen=, connect=, mcast=, udp=, fd=");
        return NULL;
    }
    if (listen || connect) {
        return from_stream(id, listen ? listen : connect, listen != NULL, error);
    }
    if (fd) {
        return from_fd(id, fd, error);
    }
    if (udp && !local_text) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "udp= needs localaddr=HOST:PORT");
        return NULL;
    }
    if (!net_address_parse(mcast ? mcast : udp, false, &remote, error) ||
        (local_text && !get_local(local_text, udp != NULL, &local, error))) {
        return NULL;
    }
    sock = net_dgram_socket(local_text ? &local : NULL, &remote, error);
    return sock < 0 ? NULL : net_dgram_new(id, "socket", sock, &remote, NULL);
}

const NetType socket_net_type = { "socket", "frames over TCP, UDP or multicast, in the older spelling", socket_create };
