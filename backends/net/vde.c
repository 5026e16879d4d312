/* vde: a port of a VDE switch, by libvdeplug. */
#include "backends/net/internal.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <libvdeplug.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64 /* frames per round of the main loop */

typedef struct Vde {
    NetBackend *net;
    VDECONN *conn;
    guint read_source;
    char *sock;
} Vde;

static bool vde_transmit(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count)
{
    Vde *v = net_opaque(net);
    uint8_t frame[VDE_ETHBUFSIZE];
    size_t size = iov_size(iov, count);

    if (size <= sizeof(frame)) {
        iov_read(iov, count, 0, frame, size);
        vde_send(v->conn, frame, size, MSG_DONTWAIT); /* a switch drops what it has no room for */
    }
    return true;
}

static gboolean can_read(gint fd, GIOCondition condition, gpointer opaque)
{
    Vde *v = opaque;
    uint8_t frame[VDE_ETHBUFSIZE];

    for (int i = 0; i < BATCH; i++) {
        ssize_t n;

        if (!net_can_deliver(v->net)) {
            v->read_source = 0; /* vde_receive_again watches again */
            return G_SOURCE_REMOVE;
        }
        n = vde_recv(v->conn, frame, sizeof(frame), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return G_SOURCE_CONTINUE;
        }
        if (n <= 0) {
            v->read_source = 0; /* the switch has gone */
            return G_SOURCE_REMOVE;
        }
        net_deliver(v->net, frame, n);
    }
    return G_SOURCE_CONTINUE;
}

static void vde_receive_again(NetBackend *net)
{
    Vde *v = net_opaque(net);

    if (!v->read_source) {
        v->read_source = net_watch(vde_datafd(v->conn), G_IO_IN, can_read, v);
    }
}

static void vde_free(NetBackend *net)
{
    Vde *v = net_opaque(net);

    if (v->read_source) {
        g_source_remove(v->read_source);
    }
    vde_close(v->conn);
    g_free(v->sock);
    g_free(v);
}

static char *vde_describe(const NetBackend *net)
{
    const Vde *v = net_opaque(net);

    return g_strdup_printf(",sock=%s", v->sock ? v->sock : "(default)");
}

static const NetOps vde_ops = {
    .send = vde_transmit,
    .free = vde_free,
    .describe = vde_describe,
    .receive_again = vde_receive_again,
};

static NetBackend *vde_create(const char *id, const Options *o, GError **error)
{
    const char *mode = options_get(o, "mode");
    g_autofree char *sock = g_strdup(options_get(o, "sock")), *group = g_strdup(options_get(o, "group"));
    struct vde_open_args args = { .group = group, .mode = mode ? g_ascii_strtoull(mode, NULL, 8) : 0700 };
    VDECONN *conn;
    Vde *v;

    if (!options_get_int(o, "port", &args.port, error)) {
        return NULL;
    }
    conn = vde_open(sock, (char *)"Myna", &args);
    if (!conn) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot connect to VDE switch '%s': %s", sock ? sock : "(default)",
                    g_strerror(errno));
        return NULL;
    }
    fcntl(vde_datafd(conn), F_SETFL, fcntl(vde_datafd(conn), F_GETFL) | O_NONBLOCK);
    v = g_new0(Vde, 1);
    v->conn = conn;
    v->sock = g_steal_pointer(&sock);
    v->net = net_register(id, "vde", &vde_ops, v);
    vde_receive_again(v->net);
    return v->net;
}

const NetType vde_net_type = { "vde", "a port of a VDE switch: sock=, port=, group=, mode=", vde_create };
