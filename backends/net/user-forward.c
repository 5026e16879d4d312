/* Ways into and out of the user network: hostfwd=, guestfwd=, smb=, and hostfwd_add at run time. */
#include "backends/net/user.h"
#include "util/error.h"
#include "util/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* "[tcp|udp]:[ADDRESS]:PORT", with an IPv6 address in brackets; an empty address is any. */
typedef struct Place {
    bool udp;
    struct sockaddr_storage address;
    socklen_t size;
} Place;

static bool parse_end(const char *text, bool may_be_zero, Place *out)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon ? colon - text : 0;
    g_autofree char *host = g_strndup(text, n);
    struct sockaddr_in *in = (void *)&out->address;
    struct sockaddr_in6 *in6 = (void *)&out->address;
    uint64_t port;

    memset(&out->address, 0, sizeof(out->address));
    if (!colon || !parse_u64(colon + 1, &port) || port > 65535 || (!port && !may_be_zero)) {
        return false;
    }
    if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        *in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
        out->size = sizeof(*in6);
        return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1;
    }
    *in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
    out->size = sizeof(*in);
    return !n || inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

static bool parse_host(const char *text, Place *out)
{
    static const struct {
        const char *prefix;
        bool udp;
    } protocols[] = { { "tcp:", false }, { "udp:", true }, { ":", false } };

    for (size_t i = 0; i < G_N_ELEMENTS(protocols); i++) {
        if (g_str_has_prefix(text, protocols[i].prefix)) {
            out->udp = protocols[i].udp;
            return parse_end(text + strlen(protocols[i].prefix), true, out);
        }
    }
    return false;
}

static bool parse_rule(const char *rule, Place *host, Place *guest)
{
    const char *dash = strchr(rule, '-');
    g_autofree char *left = dash ? g_strndup(rule, dash - rule) : NULL;

    return dash && parse_host(left, host) && parse_end(dash + 1, false, guest);
}

static bool add_forward(UserNet *user, const char *rule, GError **error)
{
    Place host, guest;
    int done;

    if (!parse_rule(rule, &host, &guest)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "hostfwd=%s: not [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport", rule);
        return false;
    }
    if (host.address.ss_family == AF_INET && guest.address.ss_family == AF_INET) {
        const struct sockaddr_in *h = (void *)&host.address, *g = (void *)&guest.address;

        done = slirp_add_hostfwd(user->slirp, host.udp, h->sin_addr, ntohs(h->sin_port), g->sin_addr,
                                 ntohs(g->sin_port));
    } else {
        done = slirp_add_hostxfwd(user->slirp, (void *)&host.address, host.size, (void *)&guest.address, guest.size,
                                  host.udp ? SLIRP_HOSTFWD_UDP : 0);
    }
    if (done < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "hostfwd=%s: the host's port cannot be had: %s", rule,
                    g_strerror(errno));
        return false;
    }
    g_ptr_array_add(user->forwards, g_strdup(rule));
    user_wake(user);
    return true;
}

static bool same_host(const char *rule, const Place *host)
{
    Place have, guest;

    return parse_rule(rule, &have, &guest) && have.udp == host->udp && have.size == host->size &&
           memcmp(&have.address, &host->address, have.size) == 0;
}

static bool remove_forward(UserNet *user, const char *text, GError **error)
{
    Place host;
    int done;

    if (!parse_host(text, &host)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is not [tcp|udp]:[hostaddr]:hostport", text);
        return false;
    }
    if (host.address.ss_family == AF_INET) {
        const struct sockaddr_in *h = (void *)&host.address;

        done = slirp_remove_hostfwd(user->slirp, host.udp, h->sin_addr, ntohs(h->sin_port));
    } else {
        done = slirp_remove_hostxfwd(user->slirp, (void *)&host.address, host.size, host.udp ? SLIRP_HOSTFWD_UDP : 0);
    }
    if (done < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "host forwarding rule for %s not found", text);
        return false;
    }
    for (guint i = user->forwards->len; i-- > 0;) {
        if (same_host(g_ptr_array_index(user->forwards, i), &host)) {
            g_ptr_array_remove_index(user->forwards, i);
        }
    }
    user_wake(user);
    return true;
}

/* ---- guestfwd ---- */

static size_t forward_can_receive(void *opaque)
{
    GuestForward *f = opaque;

    return slirp_socket_can_recv(f->user->slirp, f->address, f->port);
}

static void forward_receive(void *opaque, const uint8_t *data, size_t size)
{
    GuestForward *f = opaque;

    user_enter(f->user);
    slirp_socket_recv(f->user->slirp, f->address, f->port, data, size);
    user_leave(f->user);
}

static const CharFrontend forward_frontend = { .can_receive = forward_can_receive, .receive = forward_receive };

static ssize_t forward_write(const void *data, size_t size, void *opaque)
{
    char_write(((GuestForward *)opaque)->chr, data, size);
    return size;
}

void user_serve_guest_forwards(UserNet *user)
{
    for (guint i = 0; i < user->guest_forwards->len; i++) {
        char_accept(((GuestForward *)g_ptr_array_index(user->guest_forwards, i))->chr);
    }
}

static bool forward_to_char(UserNet *user, const char *spec, struct in_addr address, uint16_t port, GError **error)
{
    g_autofree char *id = g_strdup_printf("guestfwd.tcp.%d", port);
    CharBackend *chr = char_new(id, spec, error);
    GuestForward *f;

    if (!chr) {
        return false;
    }
    f = g_new0(GuestForward, 1);
    *f = (GuestForward){ user, chr, address, port };
    if (!char_attach(chr, &forward_frontend, f, error)) {
        g_free(f);
        return false;
    }
    g_ptr_array_add(user->guest_forwards, f);
    if (slirp_add_guestfwd(user->slirp, forward_write, f, &address, port) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "the address is taken, or not in the guest's network");
        return false;
    }
    return true;
}

/* [tcp]:SERVER:PORT-DEV: what the guest sends to SERVER:PORT goes to a command (cmd:), socket or -chardev. */
static bool add_guest_forward(UserNet *user, const char *text, GError **error)
{
    const char *dash = strchr(text, '-'), *to = dash ? dash + 1 : "";
    g_autofree char *left = dash ? g_strndup(text, dash - text) : g_strdup("");
    Place at;
    struct sockaddr_in *in = (void *)&at.address;
    bool done;

    if (!parse_host(left, &at) || at.udp || at.address.ss_family != AF_INET || !in->sin_port || !*to) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "guestfwd=%s: not [tcp]:server:port-DEVICE or -cmd:COMMAND", text);
        return false;
    }
    if (g_str_has_prefix(to, "cmd:")) {
        done = slirp_add_exec(user->slirp, to + 4, &in->sin_addr, ntohs(in->sin_port)) >= 0;
        if (!done) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "the address is taken, or not in the guest's network");
        }
    } else {
        done = forward_to_char(user, to, in->sin_addr, ntohs(in->sin_port), error);
    }
    if (!done) {
        g_prefix_error(error, "guestfwd=%s: ", text);
    }
    return done;
}

/* ---- smb: a Samba server of the host on an address of its own, started for each connection ---- */

static bool add_smb(UserNet *user, const char *folder, const char *server, GError **error)
{
    static const char *const programs[] = { "/usr/sbin/smbd", "/usr/local/sbin/smbd" };
    const char *smbd = NULL;
    struct in_addr address = { user->config.slirp.vnetwork.s_addr | htonl(4) };
    g_autofree char *config = NULL, *file = NULL, *command = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(programs) && !smbd; i++) {
        smbd = access(programs[i], X_OK) == 0 ? programs[i] : NULL;
    }
    if (!smbd) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "smb=%s: Samba is not installed (Debian package samba)", folder);
        return false;
    }
    if (access(folder, R_OK | X_OK) < 0 || (server && inet_pton(AF_INET, server, &address) != 1)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "smb=%s: not a folder that can be read, or smbserver= is no address",
                    folder);
        return false;
    }
    user->smb_folder = g_dir_make_tmp("myna-smb-XXXXXX", error);
    if (!user->smb_folder) {
        return false;
    }
    file = g_build_filename(user->smb_folder, "smb.conf", NULL);
    config = g_strdup_printf("[global]\nprivate dir=%1$s\ninterfaces=127.0.0.1\nbind interfaces only=yes\n"
                             "pid directory=%1$s\nlock directory=%1$s\nstate directory=%1$s\ncache directory=%1$s\n"
                             "ncalrpc dir=%1$s/ncalrpc\nlog file=%1$s/log.smbd\nsmb passwd file=%1$s/smbpasswd\n"
                             "security = user\nmap to guest = Bad User\nload printers = no\nprinting = bsd\n"
                             "disable spoolss = yes\nusershare max shares = 0\n"
                             "[qemu]\npath=%2$s\nread only=no\nguest ok=yes\nforce user=%3$s\n",
                             user->smb_folder, folder, g_get_user_name());
    command = g_strdup_printf("%s -l %s -s %s", smbd, user->smb_folder, file);
    if (!g_file_set_contents(file, config, -1, error)) {
        return false;
    }
    if (slirp_add_exec(user->slirp, command, &address, 139) < 0 ||
        slirp_add_exec(user->slirp, command, &address, 445) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "smb=%s: its address is taken, or not in the guest's network",
                    folder);
        return false;
    }
    return true;
}

static void remove_folder(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        if (g_file_test(child, G_FILE_TEST_IS_DIR) && !g_file_test(child, G_FILE_TEST_IS_SYMLINK)) {
            remove_folder(child);
        } else {
            g_unlink(child);
        }
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_rmdir(path);
}

/* ---- all of them ---- */

bool user_add_rules(UserNet *user, const Options *o, GError **error)
{
    const char *smb = options_get(o, "smb"), *server = options_get(o, "smbserver");

    options_get(o, "hostfwd");
    options_get(o, "guestfwd");
    for (int i = 0; i < options_count(o); i++) {
        const char *key = options_key(o, i), *value = options_value(o, i);

        if ((g_str_equal(key, "hostfwd") && !add_forward(user, value, error)) ||
            (g_str_equal(key, "guestfwd") && !add_guest_forward(user, value, error))) {
            return false;
        }
    }
    return !smb || add_smb(user, smb, server, error);
}

void user_free_rules(UserNet *user)
{
    for (guint i = 0; i < user->guest_forwards->len; i++) {
        GuestForward *f = g_ptr_array_index(user->guest_forwards, i);

        char_detach(f->chr, f);
        g_free(f);
    }
    g_ptr_array_free(user->guest_forwards, TRUE);
    g_ptr_array_free(user->forwards, TRUE);
    if (user->smb_folder) {
        remove_folder(user->smb_folder);
        g_free(user->smb_folder);
    }
}

/* ---- at run time ---- */

typedef struct Search {
    const char *id;
    UserNet *found;
} Search;

static void look(NetBackend *net, void *opaque)
{
    Search *search = opaque;

    if (!search->found && g_str_equal(net_kind(net), "user") &&
        (!search->id || g_str_equal(search->id, net_id(net)))) {
        search->found = net_opaque(net);
    }
}

static UserNet *find_user(const char *id, GError **error)
{
    Search search = { id, NULL };

    net_for_each(look, &search);
    if (!search.found) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, id ? "there is no user network '%s'" : "there is no user network",
                    id ? id : "");
    }
    return search.found;
}

bool net_user_forward(const char *id, const char *rule, GError **error)
{
    UserNet *user = find_user(id, error);

    return user && add_forward(user, rule, error);
}

bool net_user_unforward(const char *id, const char *rule, GError **error)
{
    UserNet *user = find_user(id, error);

    return user && remove_forward(user, rule, error);
}

static void put_info(NetBackend *net, void *opaque)
{
    if (g_str_equal(net_kind(net), "user")) {
        UserNet *user = net_opaque(net);
        char *connections = slirp_connection_info(user->slirp), *neighbours = slirp_neighbor_info(user->slirp);

        g_string_append_printf(opaque, "%s:\n%s%s", net_id(net), connections, neighbours);
        g_free(connections);
        g_free(neighbours);
    }
}

char *net_user_info(void)
{
    GString *text = g_string_new(NULL);

    net_for_each(put_info, text);
    return g_string_free(text, FALSE);
}
