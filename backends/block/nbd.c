/*
 * Images on NBD servers. Requests of any thread go out under one lock; a receiving thread hands replies to those who wait. A
 * connection that broke is made again by the next request, which waits for that as long as reconnect-delay= says.
 */
#include "backends/block/drivers.h"
#include "backends/block/nbd-handshake.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Pending {
    uint16_t type;
    uint64_t offset;
    uint32_t size;
    const struct iovec *iov; /* where a read's bytes go */
    int count;
    bool done, lost; /* lost: the connection broke before the reply */
    int error;
    BlockExtent *extent; /* what a status request found */
    GCond cond;
} Pending;

typedef struct NbdImage {
    BlockImage image;
    NbdAddress address;
    NbdSession session;
    uint64_t reconnect_delay; /* seconds */
    GMutex lock;              /* of all below */
    GMutex send_lock;
    int fd;                   /* -1: broken */
    bool broken;
    GThread *receiver;
    GHashTable *pending;      /* cookie to Pending */
    uint64_t next_cookie;
    int64_t last_attempt;
} NbdImage;

static const char *const nbd_protocols[] = { "nbd", "nbd+tcp", "nbd+unix", "nbds", "nbd+tls", NULL };

/* ---- replies ---- */

static Pending *find_pending(NbdImage *nbd, uint64_t cookie)
{
    Pending *p;

    g_mutex_lock(&nbd->lock);
    p = g_hash_table_lookup(nbd->pending, &cookie);
    g_mutex_unlock(&nbd->lock);
    return p; /* only this thread ends it, or the connection's end */
}

static void end_pending(NbdImage *nbd, uint64_t cookie)
{
    Pending *p;

    g_mutex_lock(&nbd->lock);
    p = g_hash_table_lookup(nbd->pending, &cookie);
    if (p) {
        g_hash_table_remove(nbd->pending, &cookie);
        p->done = true;
        g_cond_signal(&p->cond);
    }
    g_mutex_unlock(&nbd->lock);
}

/* Bytes of the request's vector from `skip` on. */
static bool receive_data(int fd, const Pending *p, uint64_t skip, uint64_t size)
{
    g_autofree struct iovec *part = g_new(struct iovec, MAX(p->count, 1));
    int n = block_iov_part(part, p->iov, p->count, skip, size);

    for (int i = 0; i < n; i++) {
        if (!nbd_receive(fd, part[i].iov_base, part[i].iov_len)) {
            return false;
        }
    }
    return true;
}

static void fill_hole(const Pending *p, uint64_t skip, uint64_t size)
{
    g_autofree struct iovec *part = g_new(struct iovec, MAX(p->count, 1));
    int n = block_iov_part(part, p->iov, p->count, skip, size);

    block_iov_fill(part, n, 0);
}

static bool is_inside(const Pending *p, uint64_t offset, uint64_t size)
{
    return p->type == NBD_CMD_READ && offset >= p->offset && offset - p->offset <= p->size &&
           size <= p->size - (offset - p->offset);
}

static bool receive_status(NbdImage *nbd, int fd, Pending *p, uint32_t size)
{
    uint8_t first[12];
    uint32_t length, flags;

    if (p->type != NBD_CMD_BLOCK_STATUS || size < sizeof(first) || size > (1 << 20) ||
        !nbd_receive(fd, first, sizeof(first)) || !nbd_skip(fd, size - sizeof(first))) {
        return false;
    }
    length = load_be32(first + 4);
    flags = load_be32(first + 8);
    if (load_be32(first) == nbd->session.status_id && length) {
        p->extent->size = MIN(length, p->size);
        p->extent->status = (flags & NBD_STATE_ZERO ? BLOCK_ZERO : BLOCK_DATA) | BLOCK_HERE;
    }
    return true;
}

static bool receive_chunk(NbdImage *nbd, int fd, Pending *p, uint16_t type, uint32_t size)
{
    uint8_t head[12];
    uint64_t offset;

    switch (type) {
    case NBD_REPLY_NONE:
        return size == 0;
    case NBD_REPLY_OFFSET_DATA:
        if (size < 8 || !nbd_receive(fd, head, 8)) {
            return false;
        }
        offset = load_be64(head);
        return is_inside(p, offset, size - 8) && receive_data(fd, p, offset - p->offset, size - 8);
    case NBD_REPLY_OFFSET_HOLE:
        if (size != 12 || !nbd_receive(fd, head, 12)) {
            return false;
        }
        offset = load_be64(head);
        if (!is_inside(p, offset, load_be32(head + 8))) {
            return false;
        }
        fill_hole(p, offset - p->offset, load_be32(head + 8));
        return true;
    case NBD_REPLY_BLOCK_STATUS:
        return receive_status(nbd, fd, p, size);
    default:
        if (!(type & 0x8000)) {
            return false;
        }
        if (size < 6 || size > 65536 || !nbd_receive(fd, head, 4) || !nbd_skip(fd, size - 4)) {
            return false;
        }
        p->error = nbd_error_to_errno(load_be32(head));
        p->error = p->error ? p->error : EIO;
        return true;
    }
}

/* False: the connection is of no more use. */
static bool receive_reply(NbdImage *nbd, int fd)
{
    uint8_t head[20];
    bool structured, done;
    uint64_t cookie;
    Pending *p;

    if (!nbd_receive(fd, head, 16)) {
        return false;
    }
    structured = load_be32(head) == NBD_STRUCTURED_MAGIC;
    cookie = load_be64(head + 8);
    p = find_pending(nbd, cookie);
    if ((!structured && load_be32(head) != NBD_SIMPLE_MAGIC) || !p) {
        return false;
    }
    if (structured) {
        done = load_be16(head + 4) & NBD_REPLY_DONE;
        if (!nbd->session.structured || !nbd_receive(fd, head + 16, 4) ||
            !receive_chunk(nbd, fd, p, load_be16(head + 6), load_be32(head + 16))) {
            return false;
        }
    } else {
        done = true;
        p->error = nbd_error_to_errno(load_be32(head + 4));
        if (p->type == NBD_CMD_READ && !p->error &&
            (nbd->session.structured || !receive_data(fd, p, 0, p->size))) {
            return false;
        }
    }
    if (done) {
        end_pending(nbd, cookie);
    }
    return true;
}

static gboolean lose(gpointer key, gpointer value, gpointer unused)
{
    Pending *p = value;

    p->done = p->lost = true;
    g_cond_signal(&p->cond);
    return TRUE;
}

static gpointer receive_all(gpointer data)
{
    NbdImage *nbd = data;
    int fd = nbd->fd;

    while (receive_reply(nbd, fd)) {
    }
    g_mutex_lock(&nbd->lock);
    nbd->broken = true;
    shutdown(fd, SHUT_RDWR);
    g_hash_table_foreach_remove(nbd->pending, lose, NULL);
    g_mutex_unlock(&nbd->lock);
    return NULL;
}

/* ---- connections ---- */

static bool connect_now(NbdImage *nbd, GError **error)
{
    int fd = nbd_connect(&nbd->address, error);
    NbdSession session;

    if (fd < 0) {
        return false;
    }
    if (!nbd_handshake(fd, nbd->address.export, &session, error)) {
        close(fd);
        return false;
    }
    if (nbd->session.size && session.size != nbd->session.size) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "the NBD export has changed its size");
        close(fd);
        return false;
    }
    nbd->session = session;
    nbd->fd = fd;
    nbd->broken = false;
    nbd->receiver = g_thread_new("nbd", receive_all, nbd);
    return true;
}

static void disconnect(NbdImage *nbd)
{
    if (nbd->receiver) {
        shutdown(nbd->fd, SHUT_RDWR);
        g_thread_join(nbd->receiver);
        nbd->receiver = NULL;
        close(nbd->fd);
        nbd->fd = -1;
    }
}

/* Under send_lock, which keeps others from a connection that changes. False: there is none, and no time left. */
static bool ensure_connected(NbdImage *nbd, int64_t deadline)
{
    for (;;) {
        bool broken;

        g_mutex_lock(&nbd->lock);
        broken = nbd->broken;
        g_mutex_unlock(&nbd->lock);
        if (!broken) {
            return true;
        }
        disconnect(nbd);
        if (connect_now(nbd, NULL)) {
            log_info("connected to '%s' again", nbd->image.name);
            return true;
        }
        if (g_get_monotonic_time() >= deadline) {
            return false;
        }
        g_usleep(200000);
    }
}

/* ---- requests ---- */

static bool send_request(NbdImage *nbd, uint16_t flags, const Pending *p, uint64_t cookie)
{
    uint8_t head[28];
    bool good;

    store_be32(head, NBD_REQUEST_MAGIC);
    store_be16(head + 4, flags);
    store_be16(head + 6, p->type);
    store_be64(head + 8, cookie);
    store_be64(head + 16, p->offset);
    store_be32(head + 24, p->size);
    good = nbd_send(nbd->fd, head, sizeof(head));
    for (int i = 0; i < p->count && p->type == NBD_CMD_WRITE && good; i++) {
        good = nbd_send(nbd->fd, p->iov[i].iov_base, p->iov[i].iov_len);
    }
    return good;
}

static void start(NbdImage *nbd, uint16_t flags, Pending *p, uint64_t *cookie)
{
    g_mutex_lock(&nbd->lock);
    if (nbd->broken) {
        p->done = p->lost = true;
    } else {
        *cookie = nbd->next_cookie++;
        g_hash_table_insert(nbd->pending, cookie, p);
    }
    g_mutex_unlock(&nbd->lock);
    if (!p->done && !send_request(nbd, flags, p, *cookie)) {
        shutdown(nbd->fd, SHUT_RDWR); /* the receiver sees it, and ends all that waits */
    }
}

static int request(NbdImage *nbd, uint16_t flags, Pending *p)
{
    int64_t deadline = g_get_monotonic_time() + nbd->reconnect_delay * G_USEC_PER_SEC;

    g_cond_init(&p->cond);
    do {
        uint64_t cookie;
        bool connected;

        p->done = p->lost = false;
        p->error = 0;
        g_mutex_lock(&nbd->send_lock);
        connected = ensure_connected(nbd, deadline);
        if (connected) {
            start(nbd, flags, p, &cookie);
        }
        g_mutex_unlock(&nbd->send_lock);
        if (!connected) {
            p->error = EIO;
            break;
        }
        g_mutex_lock(&nbd->lock);
        while (!p->done) {
            g_cond_wait(&p->cond, &nbd->lock);
        }
        g_mutex_unlock(&nbd->lock);
        p->error = p->lost ? EIO : p->error;
    } while (p->lost && g_get_monotonic_time() < deadline); /* requests may be repeated without harm */
    g_cond_clear(&p->cond);
    return p->error;
}

static int transfer(BlockImage *image, uint16_t type, uint64_t offset, const struct iovec *iov, int count)
{
    NbdImage *nbd = (NbdImage *)image;
    size_t size = block_iov_size(iov, count), done = 0;
    g_autofree struct iovec *part = g_new(struct iovec, MAX(count, 1));
    int error = 0;

    while (done < size && !error) {
        size_t n = MIN(size - done, nbd->session.max_block);
        int parts = block_iov_part(part, iov, count, done, n);
        Pending p = { .type = type, .offset = offset + done, .size = n, .iov = part, .count = parts };

        error = request(nbd, 0, &p);
        done += n;
    }
    return error;
}

static int nbd_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    return transfer(image, NBD_CMD_READ, offset, iov, count);
}

static int nbd_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    return transfer(image, NBD_CMD_WRITE, offset, iov, count);
}

static int nbd_flush(BlockImage *image)
{
    NbdImage *nbd = (NbdImage *)image;
    Pending p = { .type = NBD_CMD_FLUSH };

    if (!(nbd->session.flags & NBD_SEND_FLUSH) || image->flags & BLOCK_OPEN_READONLY) {
        return 0;
    }
    return request(nbd, 0, &p);
}

static int without_data(BlockImage *image, uint16_t type, uint16_t flags, uint64_t offset, uint64_t size)
{
    int error = 0;

    while (size && !error) {
        Pending p = { .type = type, .offset = offset, .size = MIN(size, UINT64_C(1) << 30) };

        error = request((NbdImage *)image, flags, &p);
        offset += p.size;
        size -= p.size;
    }
    return error;
}

static int nbd_discard(BlockImage *image, uint64_t offset, uint64_t size)
{
    return ((NbdImage *)image)->session.flags & NBD_SEND_TRIM ? without_data(image, NBD_CMD_TRIM, 0, offset, size) : ENOTSUP;
}

static int nbd_write_zeroes(BlockImage *image, uint64_t offset, uint64_t size, bool may_unmap)
{
    if (!(((NbdImage *)image)->session.flags & NBD_SEND_WRITE_ZEROES)) {
        return ENOTSUP;
    }
    return without_data(image, NBD_CMD_WRITE_ZEROES, may_unmap ? 0 : NBD_CMD_NO_HOLE, offset, size);
}

static int nbd_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent)
{
    NbdImage *nbd = (NbdImage *)image;
    Pending p = { .type = NBD_CMD_BLOCK_STATUS, .offset = offset, .size = MIN(size, UINT64_C(1) << 30), .extent = extent };
    int error = 0;

    *extent = (BlockExtent){ .size = p.size, .status = BLOCK_DATA | BLOCK_HERE };
    if (nbd->session.has_status) {
        error = request(nbd, NBD_CMD_REQ_ONE, &p);
    }
    extent->image = image;
    extent->offset = offset;
    return error;
}

static uint64_t nbd_size(BlockImage *image)
{
    return ((NbdImage *)image)->session.size;
}

/* ---- opening ---- */

static bool take_address(Json *options, NbdAddress *out, GError **error)
{
    g_autoptr(Json) server = json_remove(options, "server");
    g_autofree char *filename = NULL, *type = NULL, *export = NULL;

    if (!block_option_string(options, "filename", &filename, error)) {
        return false;
    }
    if (filename && !nbd_address_parse(filename, out, error)) {
        return false;
    }
    if (server && json_kind(server) != JSON_OBJECT) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "nbd: server has the members type, host and port, or path");
        return false;
    }
    if (!block_option_string(server, "type", &type, error) || !block_option_string(server, "host", &out->host, error) ||
        !block_option_string(server, "port", &out->port, error) || !block_option_string(server, "path", &out->path, error) ||
        !block_option_string(options, "host", &out->host, error) || !block_option_string(options, "port", &out->port, error) ||
        !block_option_string(options, "path", &out->path, error) || !block_option_string(options, "export", &export, error)) {
        return false;
    }
    if (export) {
        g_free(out->export);
        out->export = g_steal_pointer(&export);
    }
    out->export = out->export ? out->export : g_strdup("");
    if (out->host && !out->port) {
        out->port = g_strdup(NBD_DEFAULT_PORT);
    }
    if ((!out->host && !out->path) || (out->host && out->path)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "driver 'nbd' needs a host or the path of a socket");
        return false;
    }
    return true;
}

static void nbd_close(BlockImage *image)
{
    NbdImage *nbd = (NbdImage *)image;
    Pending bye = { .type = NBD_CMD_DISC };

    if (nbd->receiver && !nbd->broken) {
        send_request(nbd, 0, &bye, 0);
    }
    disconnect(nbd);
    g_hash_table_destroy(nbd->pending);
    g_mutex_clear(&nbd->lock);
    g_mutex_clear(&nbd->send_lock);
    nbd_address_clear(&nbd->address);
    g_free(nbd);
}

static BlockImage *nbd_open(BlockOpen *how, GError **error)
{
    NbdImage *nbd = g_new0(NbdImage, 1);
    uint64_t open_timeout = 0;
    GError *failed = NULL;
    int64_t deadline;
    bool good;

    nbd->image.driver = &block_nbd;
    nbd->image.flags = how->flags;
    nbd->fd = -1;
    g_mutex_init(&nbd->lock);
    g_mutex_init(&nbd->send_lock);
    nbd->pending = g_hash_table_new(g_int64_hash, g_int64_equal);
    good = take_address(how->options, &nbd->address, error) &&
           block_option_u64(how->options, "reconnect-delay", &nbd->reconnect_delay, error) &&
           block_option_u64(how->options, "open-timeout", &open_timeout, error);
    deadline = g_get_monotonic_time() + open_timeout * G_USEC_PER_SEC;
    while (good && !connect_now(nbd, &failed)) {
        if (g_get_monotonic_time() >= deadline) {
            g_propagate_error(error, g_steal_pointer(&failed));
            good = false;
        } else {
            g_clear_error(&failed);
            g_usleep(200000);
        }
    }
    if (good && nbd->session.flags & NBD_READ_ONLY && !(how->flags & BLOCK_OPEN_READONLY)) {
        if (how->flags & BLOCK_OPEN_AUTO_READONLY) {
            how->flags |= BLOCK_OPEN_READONLY;
        } else {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "the NBD export '%s' is read-only", nbd->address.export);
            good = false;
        }
    }
    if (!good) {
        nbd_close(&nbd->image);
        return NULL;
    }
    nbd->image.flags = how->flags;
    nbd->image.name = nbd_address_text(&nbd->address);
    nbd->image.align = nbd->session.min_block;
    return &nbd->image;
}

static bool nbd_reopen(BlockImage *image, unsigned flags, GError **error)
{
    if (!(flags & BLOCK_OPEN_READONLY) && ((NbdImage *)image)->session.flags & NBD_READ_ONLY) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is read-only", image->name);
        return false;
    }
    return true;
}

const BlockDriver block_nbd = {
    .name = "nbd",
    .protocols = nbd_protocols,
    .is_protocol = true,
    .open = nbd_open,
    .close = nbd_close,
    .size = nbd_size,
    .reopen = nbd_reopen,
    .read = nbd_read,
    .write = nbd_write,
    .flush = nbd_flush,
    .discard = nbd_discard,
    .write_zeroes = nbd_write_zeroes,
    .status = nbd_status,
};
