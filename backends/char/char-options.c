/* What -serial, -parallel, -monitor and -chardev say, made into backends. */
#include "backends/char/char-internal.h"
#include "util/error.h"
#include "util/options.h"

#include <string.h>

const char *const char_kinds[] = {
    "file", "null", "parallel", "pipe", "pty", "serial", "socket", "stdio", "telnet", "tcp", "unix", "vc", NULL,
};

/* "host:port" of tcp:, telnet:; an empty host is everywhere or here. */
static void split_host(const char *text, char **host, char **port)
{
    const char *colon = strrchr(text, ':');

    *host = colon ? g_strndup(text, colon - text) : g_strdup("");
    *port = g_strdup(colon ? colon + 1 : text);
    if ((*host)[0] == '[' && g_str_has_suffix(*host, "]")) { /* [::1] */
        char *bare = g_strndup(*host + 1, strlen(*host) - 2);

        g_free(*host);
        *host = bare;
    }
}

static CharBackend *new_socket(const char *id, const Options *o, const char *host, const char *port,
                               const char *path, bool telnet, bool wait, GError **error)
{
    CharSocketOptions so = { host, port, path, false, wait, telnet, true, 0 };
    bool ipv4 = true;

    if (!options_get_bool(o, "server", &so.server, error) ||
        !options_get_bool(o, "wait", &so.wait, error) ||
        !options_get_bool(o, "telnet", &so.telnet, error) ||
        !options_get_bool(o, "nodelay", &so.nodelay, error) ||
        !options_get_bool(o, "ipv4", &ipv4, error) || !options_get_bool(o, "ipv6", &ipv4, error) ||
        !options_get_int(o, "reconnect", &so.reconnect, error)) {
        return NULL;
    }
    return char_socket_new(id, &so, error);
}

static const char *need(const Options *o, const char *kind, const char *key, GError **error)
{
    const char *value = options_get(o, key);

    if (!value || !*value) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "character device '%s' needs %s=", kind, key);
        return NULL;
    }
    return value;
}

/* rest is what followed "kind:" in the short spelling, or NULL. */
static CharBackend *new_kind(const char *id, const char *kind, const char *rest, const Options *o,
                             GError **error)
{
    const char *path = rest;

    if (!g_strv_contains(char_kinds, kind) && !g_str_equal(kind, "none") && !g_str_equal(kind, "tty")) {
        g_autofree char *hint = options_hint(kind, char_kinds);

        g_set_error(error, VM_ERROR, VM_ERROR_USER, "no character device kind '%s'%s; -chardev help lists them",
                    kind, hint);
        return NULL;
    }
    if (g_str_equal(kind, "null") || g_str_equal(kind, "none")) {
        return char_null_new(id);
    }
    if (g_str_equal(kind, "stdio")) {
        bool signals = true;

        return options_get_bool(o, "signal", &signals, error) ? char_stdio_new(id, signals, error)
                                                              : NULL;
    }
    if (g_str_equal(kind, "pty")) {
        return char_pty_new(id, options_get(o, "path"), error);
    }
    if (g_str_equal(kind, "vc")) {
        if (!char_vc_factory()) {
            return char_null_new(id); /* no window: nobody could see it */
        }
        options_get(o, "width");
        options_get(o, "height");
        options_get(o, "cols");
        options_get(o, "rows");
        return char_vc_factory()(id, rest, error);
    }
    if (g_str_equal(kind, "tcp") || g_str_equal(kind, "telnet")) {
        g_autofree char *host = NULL, *port = NULL;

        split_host(rest ? rest : "", &host, &port);
        return new_socket(id, o, host, port, NULL, g_str_equal(kind, "telnet"), true, error);
    }
    if (g_str_equal(kind, "socket")) {
        const char *unix_path = options_get(o, "path");
        const char *host = options_get(o, "host");
        const char *port = unix_path ? NULL : need(o, kind, "port", error);

        return unix_path || port ? new_socket(id, o, host, port, unix_path, false, true, error) : NULL;
    }
    if (!path && !(path = need(o, kind, "path", error))) {
        return NULL;
    }
    if (g_str_equal(kind, "unix")) {
        return new_socket(id, o, NULL, NULL, path, false, true, error);
    }
    if (g_str_equal(kind, "file")) {
        bool append = false;

        return options_get_bool(o, "append", &append, error)
                   ? char_file_new(id, path, options_get(o, "input-path"), append, error)
                   : NULL;
    }
    if (g_str_equal(kind, "pipe")) {
        return char_pipe_new(id, path, error);
    }
    return char_device_new(id, path, error); /* serial, parallel, tty */
}

static CharBackend *finish(CharBackend *chr, const Options *o, const char *what, GError **error)
{
    bool mux = false;

    if (!chr || !options_get_bool(o, "mux", &mux, error) ||
        !options_check_unknown(o, what, error)) {
        return NULL;
    }
    if (mux) {
        char_enable_mux(chr);
    }
    return chr;
}

CharBackend *char_new(const char *id, const char *spec, GError **error)
{
    g_autoptr(Options) o = NULL;
    g_autofree char *kind = NULL;
    const char *first, *rest;
    CharBackend *chr;

    if (g_str_has_prefix(spec, "chardev:")) {
        chr = char_find(spec + 8);
        if (!chr) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "no character device '%s'", spec + 8);
        }
        return chr;
    }
    if (g_str_has_prefix(spec, "mon:")) {
        chr = char_new(id, spec + 4, error);
        if (chr) {
            char_enable_mux(chr);
        }
        return chr;
    }
    if (g_str_has_prefix(spec, "/dev/")) {
        return char_device_new(id, spec, error);
    }
    o = options_parse(spec, "", error);
    if (!o) {
        return NULL;
    }
    first = options_get(o, "");
    first = first ? first : "";
    rest = strchr(first, ':');
    kind = rest ? g_strndup(first, rest - first) : g_strdup(first);
    chr = new_kind(id, kind, rest ? rest + 1 : NULL, o, error);
    return finish(chr, o, kind, error);
}

CharBackend *char_new_options(const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse(text, "backend", error);
    const char *kind, *id;

    if (!o) {
        return NULL;
    }
    kind = options_get(o, "backend");
    id = options_get(o, "id");
    if (!kind || !id) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-chardev %s: needs a kind and id=", text);
        return NULL;
    }
    if (char_find(id)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "two character devices have the id '%s'", id);
        return NULL;
    }
    return finish(new_kind(id, kind, NULL, o, error), o, "-chardev", error);
}
