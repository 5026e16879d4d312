/* Addresses of sockets as network backends spell them. */
#include "backends/net/address.h"

#include "util/error.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <fcntl.h>

static bool resolve(const char *host, const char *port, bool passive, int family, NetAddress *out, GError **error)
{
    struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_DGRAM, .ai_flags = passive ? AI_PASSIVE : 0 };
    struct addrinfo *found;
    uint64_t number;
    int code;

    if (!port || (parse_u64(port, &number) && number > 65535)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is not a port", port ? port : "");
        return false;
    }
    if (!host || !*host) {
        host = NULL;
        hints.ai_family = family == AF_UNSPEC ? AF_INET : family;
    }
    code = getaddrinfo(host, port, &hints, &found);
    if (code) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot find '%s:%s': %s", host ? host : "", port,
                    gai_strerror(code));
        return false;
    }
    memset(out, 0, sizeof(*out));
    memcpy(&out->socket, found->ai_addr, found->ai_addrlen);
    out->size = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

bool net_address_parse(const char *text, bool passive, NetAddress *out, GError **error)
{
    const char *colon = strrchr(text, ':');
    g_autofree char *host = NULL;
    size_t n = colon ? colon - text : 0;

    if (!colon) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is not HOST:PORT", text);
        return false;
    }
    host = n >= 2 && text[0] == '[' && colon[-1] == ']' ? g_strndup(text + 1, n - 2) : g_strndup(text, n);
    return resolve(host, colon + 1, passive, AF_UNSPEC, out, error);
}

static bool set_unix(const char *path, bool abstract, NetAddress *out, GError **error)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    size_t n = strlen(path);

    if (!n || n >= sizeof(un.sun_path)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is no path for a unix socket: from 1 to %zu bytes", path,
                    sizeof(un.sun_path) - 1);
        return false;
    }
    memset(out, 0, sizeof(*out));
    memcpy(un.sun_path + abstract, path, n - (abstract && n == sizeof(un.sun_path) - 1));
    memcpy(&out->socket, &un, sizeof(un));
    out->size = offsetof(struct sockaddr_un, sun_path) + n + 1;
    if (!abstract) {
        memcpy(out->path, path, n);
    }
    return true;
}

bool net_address_unix(const char *path, NetAddress *out, GError **error)
{
    return set_unix(path, false, out, error);
}

static const char *get(const Options *o, const char *prefix, const char *key)
{
    g_autofree char *name = g_strconcat(prefix, ".", key, NULL);

    return options_get(o, name);
}

bool net_address_is(const Options *o, const char *prefix, const char *type)
{
    return g_strcmp0(get(o, prefix, "type"), type) == 0;
}

static bool get_bool(const Options *o, const char *prefix, const char *key, bool *value, GError **error)
{
    g_autofree char *name = g_strconcat(prefix, ".", key, NULL);

    return options_get_bool(o, name, value, error);
}

bool net_address_get(const Options *o, const char *prefix, bool passive, NetAddress *out, GError **error)
{
    const char *type = get(o, prefix, "type");
    bool ipv4 = true, ipv6 = true, keep = false, abstract = false, tight = true;

    if (type && g_str_equal(type, "unix")) {
        const char *path = get(o, prefix, "path");

        if (!path) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s.type=unix needs %s.path=", prefix, prefix);
            return false;
        }
        return get_bool(o, prefix, "abstract", &abstract, error) && get_bool(o, prefix, "tight", &tight, error) &&
               set_unix(path, abstract, out, error);
    }
    if (type && g_str_equal(type, "inet")) {
        const char *port = get(o, prefix, "port"), *host = get(o, prefix, "host");

        if (!port) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s.type=inet needs %s.port=", prefix, prefix);
            return false;
        }
        return get_bool(o, prefix, "ipv4", &ipv4, error) && get_bool(o, prefix, "ipv6", &ipv6, error) &&
               get_bool(o, prefix, "keep-alive", &keep, error) &&
               resolve(host, port, passive, !ipv6 ? AF_INET : !ipv4 ? AF_INET6 : AF_UNSPEC, out, error);
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s.type=%s: there are inet, unix, fd", prefix, type ? type : "");
    return false;
}

int net_socket_from_text(const char *text, int type, GError **error)
{
    uint64_t number;
    int have;
    socklen_t size = sizeof(have);

    if (!text || !parse_u64(text, &number) || number > INT_MAX ||
        getsockopt(number, SOL_SOCKET, SO_TYPE, &have, &size) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "fd %s is not an open socket", text ? text : "");
        return -1;
    }
    if (type && have != type) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "fd %s is a socket of the wrong kind (%s wanted)", text,
                    type == SOCK_STREAM ? "stream" : "datagram");
        return -1;
    }
    fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK);
    fcntl(number, F_SETFD, FD_CLOEXEC);
    return number;
}

int net_socket_new(const NetAddress *address, int type, GError **error)
{
    int fd = socket(address->socket.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot make a socket: %s", g_strerror(errno));
    }
    return fd;
}

char *net_address_text(const struct sockaddr_storage *socket, socklen_t size)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];

    if (socket->ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const void *)socket;
        size_t n = size > offsetof(struct sockaddr_un, sun_path) ? size - offsetof(struct sockaddr_un, sun_path) : 0;

        return n && un->sun_path[0] ? g_strndup(un->sun_path, strnlen(un->sun_path, n)) : g_strdup("(unnamed)");
    }
    if (getnameinfo((const void *)socket, size, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV)) {
        return g_strdup("(unknown)");
    }
    return g_strdup_printf(strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}
