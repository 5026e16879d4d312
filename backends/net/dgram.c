/* dgram: each frame a datagram, between two sockets or in a multicast group. */
#include "backends/net/dgram.h"

#include "util/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#define BATCH 64 /* datagrams per round of the main loop */

typedef struct Dgram {
    NetBackend *net;
    int fd;
    bool has_remote;
    NetAddress remote;
    guint read_source, write_source;
    char *unlink_path;
    uint8_t frame[NET_MAX_FRAME];
} Dgram;

static gboolean can_write(gint fd, GIOCondition condition, gpointer opaque)
{
    Dgram *d = opaque;

    d->write_source = 0;
    net_send_again(d->net);
    return G_SOURCE_REMOVE;
}

static bool dgram_send(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count)
{
    Dgram *d = net_opaque(net);
    struct msghdr message = {
        .msg_name = d->has_remote ? &d->remote.socket : NULL,
        .msg_namelen = d->has_remote ? d->remote.size : 0,
        .msg_iov = (struct iovec *)iov,
        .msg_iovlen = count,
    };

    if (d->write_source) {
        return false;
    }
    if (sendmsg(d->fd, &message, MSG_NOSIGNAL) < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
        d->write_source = net_watch(d->fd, G_IO_OUT, can_write, d);
        return false;
    }
    return true; /* also when nobody is there: lost, as on a cable */
}

static gboolean can_read(gint fd, GIOCondition condition, gpointer opaque)
{
    Dgram *d = opaque;

    for (int i = 0; i < BATCH; i++) {
        ssize_t n;

        if (!net_can_deliver(d->net)) {
            d->read_source = 0; /* dgram_receive_again watches again */
            return G_SOURCE_REMOVE;
        }
        n = recv(fd, d->frame, sizeof(d->frame), MSG_TRUNC);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n > 0 && n <= (ssize_t)sizeof(d->frame)) {
            net_deliver(d->net, d->frame, n);
        }
    }
    return G_SOURCE_CONTINUE;
}

static void dgram_receive_again(NetBackend *net)
{
    Dgram *d = net_opaque(net);

    if (!d->read_source) {
        d->read_source = net_watch(d->fd, G_IO_IN, can_read, d);
    }
}

static void dgram_free(NetBackend *net)
{
    Dgram *d = net_opaque(net);

    if (d->read_source) {
        g_source_remove(d->read_source);
    }
    if (d->write_source) {
        g_source_remove(d->write_source);
    }
    close(d->fd);
    if (d->unlink_path) {
        unlink(d->unlink_path);
    }
    g_free(d->unlink_path);
    g_free(d);
}

static char *dgram_describe(const NetBackend *net)
{
    const Dgram *d = net_opaque(net);
    struct sockaddr_storage local = { 0 };
    socklen_t size = sizeof(local);
    g_autofree char *from = NULL, *to = NULL;

    getsockname(d->fd, (void *)&local, &size);
    from = net_address_text(&local, size);
    to = d->has_remote ? net_address_text(&d->remote.socket, d->remote.size) : g_strdup("its peer");
    return g_strdup_printf(",from %s to %s", from, to);
}

static const NetOps dgram_ops = {
    .send = dgram_send,
    .free = dgram_free,
    .describe = dgram_describe,
    .receive_again = dgram_receive_again,
};

NetBackend *net_dgram_new(const char *id, const char *kind, int fd, const NetAddress *remote, const char *unlink_path)
{
    Dgram *d = g_new0(Dgram, 1);

    d->fd = fd;
    d->has_remote = remote != NULL;
    if (remote) {
        d->remote = *remote;
    }
    d->unlink_path = unlink_path && *unlink_path ? g_strdup(unlink_path) : NULL;
    d->net = net_register(id, kind, &dgram_ops, d);
    dgram_receive_again(d->net);
    return d->net;
}

static bool is_multicast(const NetAddress *a)
{
    const struct sockaddr_in *in = (const void *)&a->socket;

    return a->socket.ss_family == AF_INET && IN_MULTICAST(ntohl(in->sin_addr.s_addr));
}

/* Several processes of a host share the group's port and hear each other. */
static bool join(int fd, const NetAddress *local, const NetAddress *group, GError **error)
{
    const struct sockaddr_in *in = (const void *)&group->socket;
    struct ip_mreq request = { .imr_multiaddr = in->sin_addr, .imr_interface.s_addr = htonl(INADDR_ANY) };
    int one = 1;

    if (local && local->socket.ss_family == AF_INET) {
        request.imr_interface = ((const struct sockaddr_in *)&local->socket)->sin_addr;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, (const void *)in, sizeof(*in)) < 0 ||
        setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request)) < 0 ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof(one)) < 0 ||
        (local && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request.imr_interface,
                             sizeof(request.imr_interface)) < 0)) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot join the multicast group: %s", g_strerror(errno));
        return false;
    }
    return true;
}

int net_dgram_socket(const NetAddress *local, const NetAddress *remote, GError **error)
{
    int fd = net_socket_new(remote ? remote : local, SOCK_DGRAM, error), one = 1;
    g_autofree char *text = NULL;

    if (fd < 0) {
        return -1;
    }
    if (remote && is_multicast(remote)) {
        if (!join(fd, local, remote, error)) {
            close(fd);
            return -1;
        }
        return fd;
    }
    if (local) {
        text = net_address_text(&local->socket, local->size);
        if (local->path[0]) {
            unlink(local->path);
        }
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, (const void *)&local->socket, local->size) < 0) {
            g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot bind '%s': %s", text, g_strerror(errno));
            close(fd);
            return -1;
        }
    }
    return fd;
}

static NetBackend *dgram_create(const char *id, const Options *o, GError **error)
{
    NetAddress local = { 0 }, remote = { 0 };
    bool has_local = options_has(o, "local.type"), has_remote = options_has(o, "remote.type");
    int fd;

    if (has_local && net_address_is(o, "local", "fd")) {
        fd = net_socket_from_text(options_get(o, "local.str"), SOCK_DGRAM, error);
        return fd < 0 ? NULL : net_dgram_new(id, "dgram", fd, NULL, NULL);
    }
    if ((has_local && !net_address_get(o, "local", true, &local, error)) ||
        (has_remote && !net_address_get(o, "remote", false, &remote, error))) {
        return NULL;
    }
    if (!has_remote || (!has_local && !is_multicast(&remote)) ||
        (has_local && local.socket.ss_family != remote.socket.ss_family)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "needs local.type= and remote.type= of one kind, remote.type=inet with a multicast address, or "
                    "local.type=fd");
        return NULL;
    }
    fd = net_dgram_socket(has_local ? &local : NULL, &remote, error);
    return fd < 0 ? NULL : net_dgram_new(id, "dgram", fd, &remote, local.path);
}

const NetType dgram_net_type = { "dgram", "frames as UDP or unix datagrams, or in a multicast group", dgram_create };
