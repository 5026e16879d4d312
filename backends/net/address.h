/* Addresses of sockets as network backends spell them. */
#ifndef BACKENDS_NET_ADDRESS_H
#define BACKENDS_NET_ADDRESS_H

#include "util/options.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>

typedef struct NetAddress {
    struct sockaddr_storage socket;
    socklen_t size;
    char path[108]; /* of a unix socket with a file, or "" */
} NetAddress;

/* PREFIX.type=inet,PREFIX.host=,PREFIX.port= or unix,PREFIX.path= ; type=fd is for the caller (net_address_is). */
bool net_address_get(const Options *o, const char *prefix, bool passive, NetAddress *out, GError **error);
bool net_address_is(const Options *o, const char *prefix, const char *type);
/* "host:port", ":port", "[::1]:port". */
bool net_address_parse(const char *text, bool passive, NetAddress *out, GError **error);
bool net_address_unix(const char *path, NetAddress *out, GError **error);
/* A descriptor that the user passed in, by its number; it must be a socket of that type (SOCK_STREAM ...). */
int net_socket_from_text(const char *text, int type, GError **error);
/* A new non-blocking socket for that address; -1 and an error. */
int net_socket_new(const NetAddress *address, int type, GError **error);
char *net_address_text(const struct sockaddr_storage *socket, socklen_t size); /* caller frees */

#endif
