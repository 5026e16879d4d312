/* What the parts of the NBD server share. */
#ifndef BACKENDS_BLOCK_NBD_SERVER_H
#define BACKENDS_BLOCK_NBD_SERVER_H

#include "backends/block/driver.h"
#include "backends/block/nbd.h"
#include "backends/nbd.h"

typedef struct NbdExport {
    char *name, *description;
    BlockImage *image; /* a reference */
    bool writable;
    int refs;
} NbdExport;

/* A client after its choice. */
typedef struct NbdClient {
    int fd;
    NbdExport *export;
    bool structured, has_status;
} NbdClient;

enum { NBD_STATUS_ID = 1 };

/* A reference to the export of that name ("": the only one or the unnamed), or NULL. */
NbdExport *nbd_server_find(NbdServer *server, const char *name);
void nbd_export_unref(NbdExport *export);
/* Calls fn for each export, under the server's lock. */
void nbd_server_for_each(NbdServer *server, void (*fn)(NbdExport *export, void *opaque), void *opaque);
uint16_t nbd_export_flags(const NbdExport *export);

/* Options until the client has an export; false: it left or talked nonsense. */
bool nbd_server_negotiate(NbdServer *server, NbdClient *client);
/* Requests until it leaves. */
void nbd_server_transmit(NbdClient *client);

#endif
