/* The first part of an NBD connection, from the client's side. */
#ifndef BACKENDS_BLOCK_NBD_HANDSHAKE_H
#define BACKENDS_BLOCK_NBD_HANDSHAKE_H

#include "backends/block/nbd.h"

/* What was agreed. */
typedef struct NbdSession {
    uint64_t size;
    uint16_t flags;         /* NBD_HAS_FLAGS... */
    bool structured;        /* replies come in chunks */
    bool has_status;        /* base:allocation was granted, under the id */
    uint32_t status_id;
    uint32_t min_block, max_block; /* bytes; 1 and NBD_MAX_TRANSFER if the server says nothing */
} NbdSession;

bool nbd_handshake(int fd, const char *export, NbdSession *out, GError **error);
/* Names and descriptions of a server's exports, alternating; NULL: it does not tell. */
GPtrArray *nbd_list_exports(int fd, GError **error);

#endif
