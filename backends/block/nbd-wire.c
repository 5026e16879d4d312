/* Network block devices: bytes on sockets, error numbers, addresses. */
#include "backends/block/nbd.h"

#include "util/error.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- bytes ---- */

bool nbd_receive(int fd, void *buf, size_t size)
{
    char *at = buf;

    while (size) {
        ssize_t n = recv(fd, at, size, 0);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        size -= n;
    }
    return true;
}

bool nbd_send(int fd, const void *buf, size_t size)
{
    const char *at = buf;

    while (size) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        size -= n;
    }
    return true;
}

bool nbd_skip(int fd, uint64_t size)
{
    char waste[4096];

    while (size) {
        size_t n = MIN(size, sizeof(waste));

        if (!nbd_receive(fd, waste, n)) {
            return false;
        }
        size -= n;
    }
    return true;
}

/* ---- errors ---- */

static const struct {
    uint32_t wire;
    int host;
} errors[] = {
    { 0, 0 },       { 1, EPERM },   { 1, EROFS },       { 5, EIO },      { 12, ENOMEM },     { 22, EINVAL },
    { 28, ENOSPC }, { 28, EDQUOT }, { 75, EOVERFLOW }, { 95, ENOTSUP }, { 108, ESHUTDOWN },
};

uint32_t nbd_error_from_errno(int error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        if (errors[i].host == error) {
            return errors[i].wire;
        }
    }
    return 5;
}

int nbd_error_to_errno(uint32_t error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        if (errors[i].wire == error) {
            return errors[i].host;
        }
    }
    return EIO;
}

/* ---- addresses ---- */

void nbd_address_clear(NbdAddress *a)
{
    g_free(a->host);
    g_free(a->port);
    g_free(a->path);
    g_free(a->export);
    *a = (NbdAddress){ NULL };
}

static bool bad(const char *name, const char *why, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s': %s", name, why);
    return false;
}

static bool parse_uri(const char *name, NbdAddress *out, GError **error)
{
    g_autoptr(GUri) uri = g_uri_parse(name, G_URI_FLAGS_NONE, NULL);
    const char *path;

    if (!uri) {
        return bad(name, "no valid URI", error);
    }
    path = g_uri_get_path(uri);
    out->export = g_strdup(*path == '/' ? path + 1 : path);
    if (g_str_equal(g_uri_get_scheme(uri), "nbd+unix")) {
        g_autoptr(GHashTable) query = g_uri_get_query(uri)
                                          ? g_uri_parse_params(g_uri_get_query(uri), -1, "&", G_URI_PARAMS_NONE, NULL)
                                          : NULL;

        out->path = query ? g_strdup(g_hash_table_lookup(query, "socket")) : NULL;
        return out->path || bad(name, "a unix socket needs ?socket=PATH", error);
    }
    if (!g_uri_get_host(uri) || !*g_uri_get_host(uri)) {
        return bad(name, "no host", error);
    }
    out->host = g_strdup(g_uri_get_host(uri));
    out->port = g_uri_get_port(uri) > 0 ? g_strdup_printf("%d", g_uri_get_port(uri)) : g_strdup(NBD_DEFAULT_PORT);
    return true;
}

bool nbd_address_parse(const char *name, NbdAddress *out, GError **error)
{
    g_autofree char *rest = NULL;
    char *export, *port;

    *out = (NbdAddress){ NULL };
    if (g_str_has_prefix(name, "nbd+tls:") || g_str_has_prefix(name, "nbds")) {
        return bad(name, "NBD over TLS is not supported", error);
    }
    if (strstr(name, "://") || g_str_has_prefix(name, "nbd+")) {
        return parse_uri(name, out, error);
    }
    rest = g_strdup(name + (g_str_has_prefix(name, "nbd:") ? 4 : 0));
    export = strstr(rest, ":exportname=");
    if (export) {
        *export = 0;
        out->export = g_strdup(export + strlen(":exportname="));
    } else {
        out->export = g_strdup("");
    }
    if (g_str_has_prefix(rest, "unix:")) {
        out->path = g_strdup(rest + 5);
        return true;
    }
    port = strrchr(rest, ':');
    if (!port || port == rest || !port[1]) {
        return bad(name, "an NBD server is host:port", error);
    }
    *port++ = 0;
    if (*rest == '[' && port[-2] == ']') {
        port[-2] = 0;
        out->host = g_strdup(rest + 1);
    } else {
        out->host = g_strdup(rest);
    }
    out->port = g_strdup(port);
    return true;
}

char *nbd_address_text(const NbdAddress *a)
{
    g_autofree char *export = g_uri_escape_string(a->export ? a->export : "", "/", FALSE);
    bool v6 = a->host && strchr(a->host, ':');

    return a->path ? g_strdup_printf("nbd+unix:///%s?socket=%s", export, a->path)
                   : g_strdup_printf("nbd://%s%s%s:%s/%s", v6 ? "[" : "", a->host, v6 ? "]" : "", a->port, export);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd, failed;

    if (strlen(path) >= sizeof(to.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    g_strlcpy(to.sun_path, path, sizeof(to.sun_path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        failed = errno;
        close(fd);
        errno = failed;
        fd = -1;
    }
    return fd;
}

static int connect_tcp(const NbdAddress *a, const char **why)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    int failed = getaddrinfo(a->host, a->port, &hints, &list), fd = -1, one = 1;

    *why = failed ? gai_strerror(failed) : NULL;
    for (struct addrinfo *i = list; i && fd < 0; i = i->ai_next) {
        fd = socket(i->ai_family, i->ai_socktype | SOCK_CLOEXEC, i->ai_protocol);
        if (fd >= 0 && connect(fd, i->ai_addr, i->ai_addrlen) < 0) {
            failed = errno;
            close(fd);
            errno = failed;
            fd = -1;
        }
    }
    if (list) {
        freeaddrinfo(list);
    }
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    }
    return fd;
}

int nbd_connect(const NbdAddress *a, GError **error)
{
    const char *why = NULL;
    int fd = a->path ? connect_unix(a->path) : connect_tcp(a, &why);

    if (fd < 0) {
        g_autofree char *text = nbd_address_text(a);

        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot connect to '%s': %s", text, why ? why : g_strerror(errno));
    }
    return fd;
}
