/* The NBD server: its socket, its exports, a thread for each client. */
#include "backends/block/nbd-server.h"

#include "backends/block/backend.h"
#include "util/error.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct Connection {
    NbdServer *server;
    int fd;
} Connection;

struct NbdServer {
    int fd, stop_fd;
    char *path; /* of a unix socket, to remove at the end */
    GThread *thread;
    GMutex lock;
    GCond changed;
    GPtrArray *exports;     /* of NbdExport * */
    GPtrArray *connections; /* of Connection * */
    int max_clients, served;
};

/* ---- exports ---- */

void nbd_export_unref(NbdExport *e)
{
    if (g_atomic_int_dec_and_test(&e->refs)) {
        block_image_close(e->image);
        g_free(e->name);
        g_free(e->description);
        g_free(e);
    }
}

uint16_t nbd_export_flags(const NbdExport *e)
{
    uint16_t flags = NBD_HAS_FLAGS | NBD_SEND_FLUSH | NBD_SEND_DF | NBD_SEND_CACHE | NBD_CAN_MULTI_CONN;

    return flags | (e->writable ? NBD_SEND_FUA | NBD_SEND_TRIM | NBD_SEND_WRITE_ZEROES : NBD_READ_ONLY);
}

static NbdExport *find_locked(NbdServer *s, const char *name)
{
    for (guint i = 0; i < s->exports->len; i++) {
        NbdExport *e = g_ptr_array_index(s->exports, i);

        if (g_str_equal(e->name, name)) {
            return e;
        }
    }
    return NULL;
}

NbdExport *nbd_server_find(NbdServer *s, const char *name)
{
    NbdExport *e;

    g_mutex_lock(&s->lock);
    e = find_locked(s, name);
    if (e) {
        g_atomic_int_inc(&e->refs);
    }
    g_mutex_unlock(&s->lock);
    return e;
}

void nbd_server_for_each(NbdServer *s, void (*fn)(NbdExport *e, void *opaque), void *opaque)
{
    g_mutex_lock(&s->lock);
    for (guint i = 0; i < s->exports->len; i++) {
        fn(g_ptr_array_index(s->exports, i), opaque);
    }
    g_mutex_unlock(&s->lock);
}

bool nbd_server_add(NbdServer *s, const char *name, const char *description, BlockImage *image, bool writable,
                    GError **error)
{
    NbdExport *e;

    if (strlen(name) > NBD_MAX_STRING) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "the export's name is too long");
        return false;
    }
    if (writable && image->flags & BLOCK_OPEN_READONLY) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is read-only, and so must its export be", image->name);
        return false;
    }
    g_mutex_lock(&s->lock);
    if (find_locked(s, name)) {
        g_mutex_unlock(&s->lock);
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "two exports have the name '%s'", name);
        return false;
    }
    e = g_new0(NbdExport, 1);
    e->name = g_strdup(name);
    e->description = g_strdup(description);
    e->image = block_image_ref(image);
    e->writable = writable;
    e->refs = 1;
    g_ptr_array_add(s->exports, e);
    g_mutex_unlock(&s->lock);
    return true;
}

bool nbd_server_add_drive(NbdServer *s, const char *name, const char *description, const char *drive, bool writable,
                          GError **error)
{
    BlockBackend *blk = block_find(drive);
    BlockImage *image = blk ? blk->root : block_image_find(drive);

    if (!image) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, blk ? "drive '%s' has no medium" : "there is no drive '%s'", drive);
        return false;
    }
    return nbd_server_add(s, name, description, image, writable, error);
}

bool nbd_server_remove(NbdServer *s, const char *name, GError **error)
{
    NbdExport *e;

    g_mutex_lock(&s->lock);
    e = find_locked(s, name);
    if (e) {
        g_ptr_array_remove(s->exports, e);
    }
    g_mutex_unlock(&s->lock);
    if (!e) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "there is no export '%s'", name);
        return false;
    }
    nbd_export_unref(e);
    return true;
}

/* ---- clients ---- */

static gpointer serve(gpointer data)
{
    Connection *c = data;
    NbdServer *s = c->server;
    NbdClient client = { .fd = c->fd };

    if (nbd_server_negotiate(s, &client)) {
        nbd_server_transmit(&client);
    }
    if (client.export) {
        nbd_export_unref(client.export);
    }
    g_mutex_lock(&s->lock);
    g_ptr_array_remove(s->connections, c);
    s->served++;
    close(c->fd);
    g_cond_broadcast(&s->changed);
    g_mutex_unlock(&s->lock);
    g_free(c);
    return NULL;
}

static void welcome(NbdServer *s, int fd)
{
    Connection *c = g_new0(Connection, 1);
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* fails on unix sockets, which have no delay */
    c->server = s;
    c->fd = fd;
    g_mutex_lock(&s->lock);
    g_ptr_array_add(s->connections, c);
    g_mutex_unlock(&s->lock);
    g_thread_unref(g_thread_new("nbd-client", serve, c));
}

static bool is_full(NbdServer *s)
{
    bool full;

    g_mutex_lock(&s->lock);
    full = s->max_clients && (int)s->connections->len >= s->max_clients;
    g_mutex_unlock(&s->lock);
    return full;
}

static gpointer listen_all(gpointer data)
{
    NbdServer *s = data;

    for (;;) {
        bool full = is_full(s); /* then others wait in the socket's queue */
        struct pollfd fds[2] = { { s->stop_fd, POLLIN }, { full ? -1 : s->fd, POLLIN } };

        if (poll(fds, 2, full ? 50 : -1) < 0 && errno != EINTR) {
            return NULL;
        }
        if (fds[0].revents) {
            return NULL;
        }
        if (fds[1].revents & POLLIN) {
            int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

            if (fd >= 0) {
                welcome(s, fd);
            }
        }
    }
}

/* ---- the socket ---- */

static int listen_unix(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd, failed;

    if (strlen(path) >= sizeof(at.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    g_strlcpy(at.sun_path, path, sizeof(at.sun_path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 && errno == EADDRINUSE &&
        connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 && errno == ECONNREFUSED) { /* nobody listens any more */
        unlink(path);
        close(fd);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bind(fd, (struct sockaddr *)&at, sizeof(at));
    }
    if (fd >= 0 && listen(fd, 64) < 0) {
        failed = errno == EINVAL || errno == EISCONN ? EADDRINUSE : errno;
        close(fd);
        errno = failed;
        return -1;
    }
    return fd;
}

static int listen_tcp(const char *host, const char *port, const char **why)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list = NULL;
    int failed = getaddrinfo(host, port, &hints, &list), fd = -1, one = 1, zero = 0;

    *why = failed ? gai_strerror(failed) : NULL;
    for (int v6 = 1; v6 >= 0 && fd < 0; v6--) { /* one IPv6 socket takes both */
        for (struct addrinfo *i = list; i && fd < 0; i = i->ai_next) {
            if ((i->ai_family == AF_INET6) != v6) {
                continue;
            }
            fd = socket(i->ai_family, i->ai_socktype | SOCK_CLOEXEC, i->ai_protocol);
            if (fd < 0) {
                continue;
            }
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)); /* fails on others, which is fine */
            if (bind(fd, i->ai_addr, i->ai_addrlen) < 0 || listen(fd, 64) < 0) {
                failed = errno;
                close(fd);
                errno = failed;
                fd = -1;
            }
        }
    }
    if (list) {
        freeaddrinfo(list);
    }
    return fd;
}

NbdServer *nbd_server_new_fd(int fd)
{
    NbdServer *s = g_new0(NbdServer, 1);

    s->fd = fd;
    s->stop_fd = eventfd(0, EFD_CLOEXEC);
    s->exports = g_ptr_array_new();
    s->connections = g_ptr_array_new();
    g_mutex_init(&s->lock);
    g_cond_init(&s->changed);
    s->thread = g_thread_new("nbd-server", listen_all, s);
    return s;
}

NbdServer *nbd_server_new(const char *path, const char *host, const char *port, GError **error)
{
    const char *why = NULL;
    int fd = path ? listen_unix(path) : listen_tcp(host, port, &why);
    NbdServer *s;

    if (fd < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot listen on '%s%s%s': %s", path ? path : host ? host : "*",
                    path ? "" : ":", path ? "" : port, why ? why : g_strerror(errno));
        return NULL;
    }
    s = nbd_server_new_fd(fd);
    s->path = g_strdup(path);
    return s;
}

void nbd_server_set_limit(NbdServer *s, int max_clients)
{
    g_mutex_lock(&s->lock);
    s->max_clients = max_clients;
    g_mutex_unlock(&s->lock);
}

int nbd_server_clients(NbdServer *s)
{
    int n;

    g_mutex_lock(&s->lock);
    n = s->connections->len;
    g_mutex_unlock(&s->lock);
    return n;
}

int nbd_server_served(NbdServer *s)
{
    int n;

    g_mutex_lock(&s->lock);
    n = s->served;
    g_mutex_unlock(&s->lock);
    return n;
}

void nbd_server_free(NbdServer *s)
{
    static const uint64_t one = 1;

    if (write(s->stop_fd, &one, sizeof(one)) == sizeof(one)) {
        g_thread_join(s->thread);
    }
    close(s->fd);
    if (s->path) {
        unlink(s->path);
    }
    g_mutex_lock(&s->lock);
    for (guint i = 0; i < s->connections->len; i++) {
        shutdown(((Connection *)g_ptr_array_index(s->connections, i))->fd, SHUT_RDWR);
    }
    while (s->connections->len) {
        g_cond_wait(&s->changed, &s->lock);
    }
    g_mutex_unlock(&s->lock);
    for (guint i = 0; i < s->exports->len; i++) {
        nbd_export_unref(g_ptr_array_index(s->exports, i));
    }
    g_ptr_array_free(s->exports, TRUE);
    g_ptr_array_free(s->connections, TRUE);
    close(s->stop_fd);
    g_mutex_clear(&s->lock);
    g_cond_clear(&s->changed);
    g_free(s->path);
    g_free(s);
}
