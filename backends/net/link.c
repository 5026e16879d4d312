/*
 * Frames with their headers between two Mynas of one host, each a message of a SOCK_SEQPACKET socket.
 *
 * A message is a kind (1: a frame; others are ignored, for versions to come), a zero, a NetHeader and the
 * frame. Both ends are of one host, so numbers are in its byte order.
 */
#include "backends/net/link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64 /* messages per round of the main loop */

enum { MESSAGE_FRAME = 1 };

typedef struct Prefix {
    uint8_t kind, zero;
    NetHeader header;
} Prefix;

struct Link {
    int fd;
    const LinkOps *ops;
    void *opaque;
    guint read_source, write_source;
};

/* One buffer serves all links: a frame is handed on before the next one is read. */
static struct {
    Prefix prefix;
    uint8_t frame[NET_MAX_FRAME];
} in;

static gboolean can_write(gint fd, GIOCondition condition, gpointer opaque)
{
    Link *link = opaque;

    link->write_source = 0;
    if (link->ops->room) {
        link->ops->room(link->opaque);
    }
    return G_SOURCE_REMOVE;
}

bool link_send(Link *link, const NetHeader *header, const struct iovec *iov, int count)
{
    Prefix prefix = { .kind = MESSAGE_FRAME };
    struct iovec *out = g_newa(struct iovec, count + 1);
    struct msghdr message = { .msg_iov = out, .msg_iovlen = count + 1 };

    if (link->write_source) {
        return false;
    }
    if (header) {
        prefix.header = *header;
    }
    out[0] = (struct iovec){ &prefix, sizeof(prefix) };
    memcpy(out + 1, iov, count * sizeof(*iov));
    if (sendmsg(link->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
        link->write_source = net_watch(link->fd, G_IO_OUT, can_write, link);
        return false;
    }
    return true; /* also if the other side has gone: the reading side notices */
}

static gboolean can_read(gint fd, GIOCondition condition, gpointer opaque)
{
    Link *link = opaque;

    for (int i = 0; i < BATCH; i++) {
        ssize_t n;

        if (link->ops->can_take && !link->ops->can_take(link->opaque)) {
            link->read_source = 0; /* link_read watches again */
            return G_SOURCE_REMOVE;
        }
        n = recv(fd, &in, sizeof(in), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return G_SOURCE_CONTINUE;
        }
        if (n <= 0) {
            link->read_source = 0;
            link->ops->gone(link->opaque);
            return G_SOURCE_REMOVE;
        }
        if (n > (ssize_t)sizeof(Prefix) && in.prefix.kind == MESSAGE_FRAME) {
            NetHeader header = in.prefix.header;

            link->ops->frame(link->opaque, &header, in.frame, n - sizeof(Prefix));
        }
    }
    return G_SOURCE_CONTINUE;
}

void link_read(Link *link)
{
    if (!link->read_source) {
        link->read_source = net_watch(link->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, can_read, link);
    }
}

Link *link_new(int fd, const LinkOps *ops, void *opaque)
{
    Link *link = g_new0(Link, 1);
    int size = 1 << 20;

    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    link->fd = fd;
    link->ops = ops;
    link->opaque = opaque;
    link_read(link);
    return link;
}

void link_free(Link *link)
{
    if (link->read_source) {
        g_source_remove(link->read_source);
    }
    if (link->write_source) {
        g_source_remove(link->write_source);
    }
    close(link->fd);
    g_free(link);
}
