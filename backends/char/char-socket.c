/* Character backends on TCP and Unix sockets, as server or client, with telnet's line discipline. */
#include "backends/char/char-internal.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

typedef struct SocketChar {
    GSocket *listener, *peer;
    GSocketAddress *address;
    guint listen_source, peer_source, retry;
    bool telnet, nodelay;
    int telnet_skip; /* bytes of a telnet command still to come */
    int reconnect;
    char *unlink_path;
} SocketChar;

static void drop_peer(CharBackend *chr);

static void socket_write(CharBackend *chr, const uint8_t *data, size_t size)
{
    SocketChar *sc = char_opaque(chr);
    int tries = 0;

    while (size && sc->peer) {
        gssize n = g_socket_send(sc->peer, (const char *)data, size, NULL, NULL);

        if (n > 0) {
            data += n;
            size -= n;
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR) && ++tries < 100) {
            g_usleep(1000);
        } else {
            return; /* the reader's side notices a closed peer */
        }
    }
}

/* Removes telnet commands (IAC verb option) from the stream, in place. */
static size_t strip_telnet(SocketChar *sc, uint8_t *buf, size_t size)
{
    size_t kept = 0;

    for (size_t i = 0; i < size; i++) {
        if (sc->telnet_skip) {
            if (sc->telnet_skip == 2 && buf[i] == 0xff) {
                buf[kept++] = 0xff; /* IAC IAC */
                sc->telnet_skip = 0;
            } else {
                sc->telnet_skip = sc->telnet_skip == 2 && buf[i] < 0xfb ? 0 : sc->telnet_skip - 1;
            }
        } else if (buf[i] == 0xff) {
            sc->telnet_skip = 2;
        } else if (buf[i] != 0) {
            buf[kept++] = buf[i];
        }
    }
    return kept;
}

static void watch_peer(CharBackend *chr);

static gboolean watch_again(gpointer opaque)
{
    SocketChar *sc = char_opaque(opaque);

    sc->retry = 0;
    watch_peer(opaque);
    return G_SOURCE_REMOVE;
}

static gboolean peer_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    CharBackend *chr = opaque;
    SocketChar *sc = char_opaque(chr);
    uint8_t buf[4096];
    size_t room = char_room(chr);
    ssize_t n;

    if (!room) {
        sc->peer_source = 0;
        sc->retry = g_timeout_add(20, watch_again, chr);
        return G_SOURCE_REMOVE;
    }
    n = read(fd, buf, MIN(room, sizeof(buf)));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    if (n <= 0) {
        sc->peer_source = 0;
        drop_peer(chr);
        return G_SOURCE_REMOVE;
    }
    if (sc->telnet) {
        n = strip_telnet(sc, buf, n);
    }
    char_deliver(chr, buf, n);
    return G_SOURCE_CONTINUE;
}

static void watch_peer(CharBackend *chr)
{
    SocketChar *sc = char_opaque(chr);

    if (sc->peer && !sc->peer_source) {
        sc->peer_source = g_unix_fd_add(g_socket_get_fd(sc->peer), G_IO_IN | G_IO_HUP | G_IO_ERR,
                                        peer_readable, chr);
    }
}

static void take_peer(CharBackend *chr, GSocket *peer)
{
    SocketChar *sc = char_opaque(chr);
    int one = 1;

    sc->peer = peer;
    g_socket_set_blocking(peer, FALSE);
    if (sc->nodelay) {
        setsockopt(g_socket_get_fd(peer), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    if (sc->telnet) { /* WILL ECHO, WILL SUPPRESS-GO-AHEAD, WILL and DO BINARY */
        static const uint8_t hello[] = { 0xff, 0xfb, 1, 0xff, 0xfb, 3, 0xff, 0xfb, 0, 0xff, 0xfd, 0 };

        socket_write(chr, hello, sizeof(hello));
        sc->telnet_skip = 0;
    }
    watch_peer(chr);
    char_deliver_event(chr, CHAR_OPENED);
}

static gboolean incoming(gint fd, GIOCondition condition, gpointer opaque)
{
    SocketChar *sc = char_opaque(opaque);
    GSocket *peer = g_socket_accept(sc->listener, NULL, NULL);

    if (peer && sc->peer) { /* one at a time */
        g_socket_close(peer, NULL);
        g_object_unref(peer);
    } else if (peer) {
        take_peer(opaque, peer);
    }
    return G_SOURCE_CONTINUE;
}

static bool connect_out(CharBackend *chr, GError **error)
{
    SocketChar *sc = char_opaque(chr);
    GSocket *peer = g_socket_new(g_socket_address_get_family(sc->address), G_SOCKET_TYPE_STREAM,
                                 G_SOCKET_PROTOCOL_DEFAULT, error);

    if (!peer) {
        return false;
    }
    if (!g_socket_connect(peer, sc->address, NULL, error)) {
        g_object_unref(peer);
        return false;
    }
    take_peer(chr, peer);
    return true;
}

static gboolean reconnect(gpointer opaque)
{
    SocketChar *sc = char_opaque(opaque);

    if (!connect_out(opaque, NULL)) {
        return G_SOURCE_CONTINUE;
    }
    sc->retry = 0;
    return G_SOURCE_REMOVE;
}

static void drop_peer(CharBackend *chr)
{
    SocketChar *sc = char_opaque(chr);

    if (sc->peer_source) {
        g_source_remove(sc->peer_source);
        sc->peer_source = 0;
    }
    g_socket_close(sc->peer, NULL);
    g_clear_object(&sc->peer);
    char_deliver_event(chr, CHAR_CLOSED);
    if (!sc->listener && sc->reconnect && !sc->retry) {
        sc->retry = g_timeout_add_seconds(sc->reconnect, reconnect, chr);
    }
}

static void socket_free(CharBackend *chr)
{
    SocketChar *sc = char_opaque(chr);

    if (sc->listen_source) {
        g_source_remove(sc->listen_source);
    }
    if (sc->peer_source) {
        g_source_remove(sc->peer_source);
    }
    if (sc->retry) {
        g_source_remove(sc->retry);
    }
    g_clear_object(&sc->peer);
    g_clear_object(&sc->listener);
    g_clear_object(&sc->address);
    if (sc->unlink_path) {
        unlink(sc->unlink_path);
        g_free(sc->unlink_path);
    }
    g_free(sc);
}

static const CharOps socket_ops = { .write = socket_write, .free = socket_free, .in_lines = true };

static GSocketAddress *resolve(const CharSocketOptions *o, GError **error)
{
    const char *host = o->host && *o->host ? o->host : (o->server ? "0.0.0.0" : "127.0.0.1");
    char *end;
    long port;
    GSocketAddress *address;

    if (o->path) {
        return g_unix_socket_address_new(o->path);
    }
    port = strtol(o->port ? o->port : "", &end, 10);
    if (end == o->port || *end || port < 0 || port > 65535) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is not a TCP port",
                    o->port ? o->port : "");
        return NULL;
    }
    if (g_str_equal(host, "localhost")) {
        host = "127.0.0.1";
    }
    address = g_inet_socket_address_new_from_string(host, port);
    if (!address) {
        g_autoptr(GResolver) resolver = g_resolver_get_default();
        GList *found = g_resolver_lookup_by_name(resolver, host, NULL, error);

        if (found) {
            address = g_inet_socket_address_new(found->data, port);
            g_resolver_free_addresses(found);
        }
    }
    return address;
}

CharBackend *char_socket_new(const char *id, const CharSocketOptions *o, GError **error)
{
    GSocketAddress *address = resolve(o, error);
    g_autofree char *about = NULL;
    SocketChar *sc;
    CharBackend *chr;

    if (!address) {
        return NULL;
    }
    sc = g_new0(SocketChar, 1);
    sc->address = address;
    sc->telnet = o->telnet;
    sc->nodelay = o->nodelay;
    sc->reconnect = o->reconnect;
    if (o->server) {
        if (o->path) {
            unlink(o->path);
        }
        sc->listener = g_socket_new(g_socket_address_get_family(address), G_SOCKET_TYPE_STREAM,
                                    G_SOCKET_PROTOCOL_DEFAULT, error);
        if (!sc->listener || !g_socket_bind(sc->listener, address, TRUE, error) ||
            !g_socket_listen(sc->listener, error)) {
            g_prefix_error(error, "cannot listen on '%s': ", o->path ? o->path : o->port);
            g_clear_object(&sc->listener);
            g_object_unref(address);
            g_free(sc);
            return NULL;
        }
        sc->unlink_path = g_strdup(o->path);
    }
    chr = char_register(id, &socket_ops, sc);
    about = o->path ? g_strdup_printf("%s:%s%s", o->server ? "disconnected:unix" : "unix", o->path,
                                      o->server ? ",server=on" : "")
                    : g_strdup_printf("%s:%s:%s%s", o->telnet ? "telnet" : "tcp",
                                      o->host ? o->host : "", o->port, o->server ? ",server=on" : "");
    char_set_about(chr, about);
    char_deliver_event(chr, CHAR_CLOSED);
    if (o->server && o->wait) {
        GSocket *peer;

        log_info("waiting for connection on: %s", about);
        peer = g_socket_accept(sc->listener, NULL, NULL);
        if (peer) {
            take_peer(chr, peer);
        }
    }
    if (o->server) {
        sc->listen_source =
            g_unix_fd_add(g_socket_get_fd(sc->listener), G_IO_IN, incoming, chr);
    } else if (!connect_out(chr, o->reconnect ? NULL : error)) {
        if (!o->reconnect) {
            g_prefix_error(error, "cannot connect '%s': ", o->path ? o->path : o->port);
            return NULL;
        }
        sc->retry = g_timeout_add_seconds(o->reconnect, reconnect, chr);
    }
    return chr;
}
