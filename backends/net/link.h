/* Frames with their headers between two Mynas of one host, over a connected SOCK_SEQPACKET socket. */
#ifndef BACKENDS_NET_LINK_H
#define BACKENDS_NET_LINK_H

#include "backends/net/internal.h"

typedef struct Link Link;
typedef struct LinkOps {
    void (*frame)(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size);
    void (*room)(void *opaque); /* link_send works again; may be NULL */
    void (*gone)(void *opaque); /* the other side closed: free the link */
    bool (*can_take)(void *opaque); /* false: read nothing until link_read; may be NULL */
} LinkOps;

Link *link_new(int fd, const LinkOps *ops, void *opaque); /* takes fd */
void link_free(Link *link);
/* False: no room now, the frame is not taken. */
bool link_send(Link *link, const NetHeader *header, const struct iovec *iov, int count);
void link_read(Link *link);

#endif
