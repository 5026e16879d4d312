/*
 * What both ends of the network block device protocol share; the names are those of its specification,
 * "The NBD protocol" (doc/proto.md of the nbd project). All numbers on the wire are big-endian.
 */
#ifndef BACKENDS_BLOCK_NBD_H
#define BACKENDS_BLOCK_NBD_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NBD_MAGIC            UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define NBD_OPT_MAGIC        UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_REP_MAGIC        UINT64_C(0x0003e889045565a9)
#define NBD_REQUEST_MAGIC    0x25609513u
#define NBD_SIMPLE_MAGIC     0x67446698u
#define NBD_STRUCTURED_MAGIC 0x668e33efu
#define NBD_DEFAULT_PORT     "10809"
#define NBD_MAX_TRANSFER     (32u << 20)
#define NBD_MAX_STRING       4096

enum { NBD_FLAG_FIXED_NEWSTYLE = 1, NBD_FLAG_NO_ZEROES = 2 };
enum {
    NBD_OPT_EXPORT_NAME = 1,
    NBD_OPT_ABORT = 2,
    NBD_OPT_LIST = 3,
    NBD_OPT_STARTTLS = 5,
    NBD_OPT_INFO = 6,
    NBD_OPT_GO = 7,
    NBD_OPT_STRUCTURED_REPLY = 8,
    NBD_OPT_LIST_META_CONTEXT = 9,
    NBD_OPT_SET_META_CONTEXT = 10,
};
#define NBD_REP_ERR 0x80000000u
enum {
    NBD_REP_ACK = 1,
    NBD_REP_SERVER = 2,
    NBD_REP_INFO = 3,
    NBD_REP_META_CONTEXT = 4,
};
#define NBD_REP_ERR_UNSUP   (NBD_REP_ERR | 1)
#define NBD_REP_ERR_INVALID (NBD_REP_ERR | 3)
#define NBD_REP_ERR_UNKNOWN (NBD_REP_ERR | 6)
#define NBD_REP_ERR_TOO_BIG (NBD_REP_ERR | 9)
enum { NBD_INFO_EXPORT = 0, NBD_INFO_NAME = 1, NBD_INFO_DESCRIPTION = 2, NBD_INFO_BLOCK_SIZE = 3 };
enum {
    NBD_HAS_FLAGS = 1 << 0,
    NBD_READ_ONLY = 1 << 1,
    NBD_SEND_FLUSH = 1 << 2,
    NBD_SEND_FUA = 1 << 3,
    NBD_SEND_TRIM = 1 << 5,
    NBD_SEND_WRITE_ZEROES = 1 << 6,
    NBD_SEND_DF = 1 << 7,
    NBD_CAN_MULTI_CONN = 1 << 8,
    NBD_SEND_CACHE = 1 << 10,
};
enum {
    NBD_CMD_READ = 0,
    NBD_CMD_WRITE = 1,
    NBD_CMD_DISC = 2,
    NBD_CMD_FLUSH = 3,
    NBD_CMD_TRIM = 4,
    NBD_CMD_CACHE = 5,
    NBD_CMD_WRITE_ZEROES = 6,
    NBD_CMD_BLOCK_STATUS = 7,
};
enum { NBD_CMD_FUA = 1, NBD_CMD_NO_HOLE = 2, NBD_CMD_DF = 4, NBD_CMD_REQ_ONE = 8 };
enum { NBD_REPLY_DONE = 1 };
enum {
    NBD_REPLY_NONE = 0,
    NBD_REPLY_OFFSET_DATA = 1,
    NBD_REPLY_OFFSET_HOLE = 2,
    NBD_REPLY_BLOCK_STATUS = 5,
    NBD_REPLY_ERROR = 0x8001,
    NBD_REPLY_ERROR_OFFSET = 0x8002,
};
enum { NBD_STATE_HOLE = 1, NBD_STATE_ZERO = 2 };

/* All of the bytes, blocking; false: the other end is gone or the socket failed. */
bool nbd_receive(int fd, void *buf, size_t size);
bool nbd_send(int fd, const void *buf, size_t size);
bool nbd_skip(int fd, uint64_t size); /* receives and drops */
/* Errors of the protocol and of the host. */
uint32_t nbd_error_from_errno(int error);
int nbd_error_to_errno(uint32_t error);

/* Where a server is. */
typedef struct NbdAddress {
    char *host, *port; /* TCP; or */
    char *path;        /* a unix socket */
    char *export;
} NbdAddress;
void nbd_address_clear(NbdAddress *address);
/* nbd://host:port/export, nbd+unix:///export?socket=path, nbd:host:port:exportname=x, nbd:unix:path:exportname=x */
bool nbd_address_parse(const char *name, NbdAddress *out, GError **error);
char *nbd_address_text(const NbdAddress *address); /* as an URI; caller frees */
int nbd_connect(const NbdAddress *address, GError **error); /* a blocking socket; -1 */

#endif
