/* The NBD server: a client's requests, several at once, answered in the order that they end. */
#include "backends/block/nbd-server.h"

#include "util/bits.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define WORKERS 16      /* of all clients */
#define MAX_AT_ONCE 16  /* requests of one client */
#define MAX_EXTENTS 1024

typedef struct Stream {
    NbdClient *client;
    GMutex lock; /* of counts; and replies go out one by one */
    GCond changed;
    int active;
} Stream;

typedef struct Request {
    Stream *stream;
    uint16_t flags, type;
    uint8_t cookie[8];
    uint64_t offset;
    uint32_t size;
    uint8_t *data; /* of a write */
} Request;

/* ---- replies ---- */

static bool send_simple(Stream *s, const Request *r, int error, const void *data, size_t size)
{
    uint8_t head[16];
    bool good;

    store_be32(head, NBD_SIMPLE_MAGIC);
    store_be32(head + 4, nbd_error_from_errno(error));
    memcpy(head + 8, r->cookie, 8);
    g_mutex_lock(&s->lock);
    good = nbd_send(s->client->fd, head, sizeof(head)) && nbd_send(s->client->fd, data, error ? 0 : size);
    g_mutex_unlock(&s->lock);
    return good;
}

/* A chunk, with its own head and what follows it. */
static bool send_chunk(Stream *s, const Request *r, uint16_t flags, uint16_t type, const void *first, size_t first_size,
                       const void *data, size_t size)
{
    uint8_t head[20];
    bool good;

    store_be32(head, NBD_STRUCTURED_MAGIC);
    store_be16(head + 4, flags);
    store_be16(head + 6, type);
    memcpy(head + 8, r->cookie, 8);
    store_be32(head + 16, first_size + size);
    g_mutex_lock(&s->lock);
    good = nbd_send(s->client->fd, head, sizeof(head)) && nbd_send(s->client->fd, first, first_size) &&
           nbd_send(s->client->fd, data, size);
    g_mutex_unlock(&s->lock);
    return good;
}

static bool send_error(Stream *s, const Request *r, int error)
{
    uint8_t body[6] = { 0 };

    if (!s->client->structured) {
        return send_simple(s, r, error, "", 0);
    }
    store_be32(body, nbd_error_from_errno(error));
    return send_chunk(s, r, NBD_REPLY_DONE, error ? NBD_REPLY_ERROR : NBD_REPLY_NONE, body, error ? 6 : 0, "", 0);
}

/* ---- requests ---- */

static bool read_range(Stream *s, const Request *r)
{
    g_autofree uint8_t *buf = g_try_malloc(MAX(r->size, 1));
    uint8_t at[8];
    int error = buf ? block_image_read(s->client->export->image, r->offset, buf, r->size) : ENOMEM;

    if (error) {
        return send_error(s, r, error);
    }
    if (!s->client->structured) {
        return send_simple(s, r, 0, buf, r->size);
    }
    store_be64(at, r->offset);
    return send_chunk(s, r, NBD_REPLY_DONE, NBD_REPLY_OFFSET_DATA, at, 8, buf, r->size);
}

/* With structured replies holes are told, not sent. */
static bool read_sparse(Stream *s, const Request *r)
{
    BlockImage *image = s->client->export->image;
    uint32_t done = 0;

    while (done < r->size) {
        BlockExtent e;
        uint8_t hole[12];
        Request part = *r;
        int error = block_image_status(image, r->offset + done, r->size - done, &e);

        part.offset = r->offset + done;
        part.size = error ? r->size - done : MIN(e.size, r->size - done);
        if (!error && e.status & BLOCK_ZERO && part.size >= 4096) {
            store_be64(hole, part.offset);
            store_be32(hole + 8, part.size);
            if (!send_chunk(s, r, 0, NBD_REPLY_OFFSET_HOLE, hole, 12, "", 0)) {
                return false;
            }
        } else {
            g_autofree uint8_t *buf = g_try_malloc(part.size);

            error = buf ? block_image_read(image, part.offset, buf, part.size) : ENOMEM;
            if (error) {
                return send_error(s, r, error);
            }
            store_be64(hole, part.offset);
            if (!send_chunk(s, r, 0, NBD_REPLY_OFFSET_DATA, hole, 8, buf, part.size)) {
                return false;
            }
        }
        done += part.size;
    }
    return send_chunk(s, r, NBD_REPLY_DONE, NBD_REPLY_NONE, "", 0, "", 0);
}

static bool block_status(Stream *s, const Request *r)
{
    BlockImage *image = s->client->export->image;
    g_autoptr(GByteArray) body = g_byte_array_new();
    uint8_t word[4];
    uint64_t done = 0;
    uint32_t last = UINT32_MAX;
    int extents = 0;

    store_be32(word, NBD_STATUS_ID);
    g_byte_array_append(body, word, 4);
    while (done < r->size) {
        BlockExtent e;
        int error = block_image_status(image, r->offset + done, r->size - done, &e);
        uint32_t flags, length;

        if (error) {
            return send_error(s, r, error);
        }
        length = MIN(e.size, r->size - done);
        flags = (e.status & BLOCK_ZERO ? NBD_STATE_ZERO : 0) | (e.status & BLOCK_DATA ? 0 : NBD_STATE_HOLE);
        if (flags == last) {
            store_be32(body->data + body->len - 8, load_be32(body->data + body->len - 8) + length);
        } else if (extents == MAX_EXTENTS || (extents && r->flags & NBD_CMD_REQ_ONE)) {
            break;
        } else {
            store_be32(word, length);
            g_byte_array_append(body, word, 4);
            store_be32(word, flags);
            g_byte_array_append(body, word, 4);
            extents++;
        }
        last = flags;
        done += length;
    }
    return send_chunk(s, r, NBD_REPLY_DONE, NBD_REPLY_BLOCK_STATUS, body->data, body->len, "", 0);
}

static int change(const Request *r, NbdExport *e)
{
    BlockImage *image = e->image;
    int error = 0;

    if (!e->writable && r->type != NBD_CMD_FLUSH) {
        return EPERM;
    }
    switch (r->type) {
    case NBD_CMD_WRITE:
        error = block_image_write(image, r->offset, r->data, r->size);
        break;
    case NBD_CMD_WRITE_ZEROES:
        error = block_image_write_zeroes(image, r->offset, r->size, !(r->flags & NBD_CMD_NO_HOLE));
        break;
    case NBD_CMD_TRIM:
        error = block_image_discard(image, r->offset, r->size);
        break;
    default:
        return e->writable ? block_image_flush(image) : 0;
    }
    return !error && r->flags & NBD_CMD_FUA ? block_image_flush(image) : error;
}

static bool is_inside(const Request *r, uint64_t size)
{
    return r->offset <= size && r->size <= size - r->offset;
}

static bool carry_out(Stream *s, const Request *r)
{
    NbdClient *c = s->client;
    bool known_flags = !(r->flags & ~(NBD_CMD_FUA | NBD_CMD_NO_HOLE | NBD_CMD_DF | NBD_CMD_REQ_ONE));

    if (!known_flags || (r->type != NBD_CMD_FLUSH && !is_inside(r, block_image_size(c->export->image)))) {
        return send_error(s, r, r->type == NBD_CMD_WRITE && known_flags ? ENOSPC : EINVAL);
    }
    switch (r->type) {
    case NBD_CMD_READ:
        if (r->size > NBD_MAX_TRANSFER) {
            return send_error(s, r, EINVAL);
        }
        return c->structured && !(r->flags & NBD_CMD_DF) && r->size ? read_sparse(s, r) : read_range(s, r);
    case NBD_CMD_BLOCK_STATUS:
        return c->has_status && r->size ? block_status(s, r) : send_error(s, r, EINVAL);
    case NBD_CMD_CACHE:
        return send_error(s, r, 0);
    case NBD_CMD_WRITE:
    case NBD_CMD_WRITE_ZEROES:
    case NBD_CMD_TRIM:
    case NBD_CMD_FLUSH:
        return send_error(s, r, change(r, c->export));
    default:
        return send_error(s, r, EINVAL);
    }
}

static void work(gpointer data, gpointer unused)
{
    Request *r = data;
    Stream *s = r->stream;

    if (!carry_out(s, r)) {
        shutdown(s->client->fd, SHUT_RDWR); /* wakes the thread that receives */
    }
    g_free(r->data);
    g_free(r);
    g_mutex_lock(&s->lock);
    s->active--;
    g_cond_signal(&s->changed);
    g_mutex_unlock(&s->lock);
}

static void begin(Stream *s)
{
    g_mutex_lock(&s->lock);
    while (s->active >= MAX_AT_ONCE) {
        g_cond_wait(&s->changed, &s->lock);
    }
    s->active++;
    g_mutex_unlock(&s->lock);
}

static void wait_for_all(Stream *s)
{
    g_mutex_lock(&s->lock);
    while (s->active) {
        g_cond_wait(&s->changed, &s->lock);
    }
    g_mutex_unlock(&s->lock);
}

/* NULL: the client left, or what it sent is no request. */
static Request *receive(Stream *s)
{
    uint8_t head[28];
    Request *r;

    if (!nbd_receive(s->client->fd, head, sizeof(head)) || load_be32(head) != NBD_REQUEST_MAGIC ||
        load_be16(head + 6) == NBD_CMD_DISC) {
        return NULL;
    }
    r = g_new0(Request, 1);
    r->stream = s;
    r->flags = load_be16(head + 4);
    r->type = load_be16(head + 6);
    memcpy(r->cookie, head + 8, 8);
    r->offset = load_be64(head + 16);
    r->size = load_be32(head + 24);
    if (r->type == NBD_CMD_WRITE) {
        r->data = r->size <= NBD_MAX_TRANSFER ? g_try_malloc(MAX(r->size, 1)) : NULL;
        if (!r->data || !nbd_receive(s->client->fd, r->data, r->size)) {
            g_free(r->data);
            g_free(r);
            return NULL;
        }
    }
    return r;
}

void nbd_server_transmit(NbdClient *client)
{
    static GThreadPool *pool;
    Stream s = { .client = client };
    Request *r;

    if (g_once_init_enter(&pool)) {
        g_once_init_leave(&pool, g_thread_pool_new(work, NULL, WORKERS, FALSE, NULL));
    }
    g_mutex_init(&s.lock);
    g_cond_init(&s.changed);
    while ((r = receive(&s))) {
        begin(&s);
        g_thread_pool_push(pool, r, NULL);
    }
    wait_for_all(&s);
    g_mutex_clear(&s.lock);
    g_cond_clear(&s.changed);
}
