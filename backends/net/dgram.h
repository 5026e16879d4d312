/* Frames as datagrams. */
#ifndef BACKENDS_NET_DGRAM_H
#define BACKENDS_NET_DGRAM_H

#include "backends/net/address.h"
#include "backends/net/internal.h"

/* Takes fd, a non-blocking datagram socket. remote NULL: frames go where the socket is connected to. */
NetBackend *net_dgram_new(const char *id, const char *kind, int fd, const NetAddress *remote, const char *unlink_path);
/* A socket bound to local (may be NULL) that has joined remote's group if that is a multicast address; -1: error. */
int net_dgram_socket(const NetAddress *local, const NetAddress *remote, GError **error);

#endif
