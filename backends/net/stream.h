/* Frames over a stream socket: each behind its length as four big-endian bytes. */
#ifndef BACKENDS_NET_STREAM_H
#define BACKENDS_NET_STREAM_H

#include "backends/net/address.h"
#include "backends/net/internal.h"

/* How a port with a stream finds its peer. */
typedef struct StreamOptions {
    const char *kind;  /* for `info network`: "stream", "socket" */
    bool server;
    int reconnect_ms;  /* client: tries again after that long; 0: never */
    int fd;            /* a connected or listening socket that was passed in; -1: use address */
    NetAddress address;
} StreamOptions;

NetBackend *net_stream_new(const char *id, const StreamOptions *options, GError **error);

#endif
