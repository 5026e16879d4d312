/* A server of network block devices: images of this process for others. */
#ifndef BACKENDS_NBD_H
#define BACKENDS_NBD_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct BlockImage;
typedef struct NbdServer NbdServer;

/* Listens on a unix socket (path) or on TCP (host NULL: all addresses). Threads of its own serve the clients. */
NbdServer *nbd_server_new(const char *path, const char *host, const char *port, GError **error);
/* On a socket that listens already; takes it. */
NbdServer *nbd_server_new_fd(int fd);
void nbd_server_free(NbdServer *server); /* ends connections, drops exports */
void nbd_server_set_limit(NbdServer *server, int max_clients); /* 0: none */
int nbd_server_clients(NbdServer *server);  /* connections now */
int nbd_server_served(NbdServer *server);   /* connections that have ended */

/* Takes a reference to the image. */
bool nbd_server_add(NbdServer *server, const char *name, const char *description, struct BlockImage *image,
                    bool writable, GError **error);
/* The image of a drive or a block node. */
bool nbd_server_add_drive(NbdServer *server, const char *name, const char *description, const char *drive, bool writable,
                          GError **error);
/* Clients that are connected keep it until they leave. */
bool nbd_server_remove(NbdServer *server, const char *name, GError **error);

#endif
