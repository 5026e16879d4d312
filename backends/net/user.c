/* The user-mode network: a NAT with DHCP, DNS and TFTP inside this process, by libslirp. */
#include "backends/net/internal.h"
#include "core/clock.h"
#include "util/error.h"
#include "util/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libslirp.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SENT 16384 /* what is longer than any MTU is cut off */

typedef struct UserNet {
    NetBackend *net;
    Slirp *slirp;
    GSource *source;
    GArray *polled;       /* of GPollFD *, registered with the source for one round */
    char *hostname, *tftp, *bootfile, *domain;
    GPtrArray *forwards;  /* texts, for `info usernet` */
} UserNet;

typedef struct UserSource {
    GSource source;
    UserNet *user;
} UserSource;

/* ---- slirp's callbacks ---- */

static ssize_t send_packet(const void *buf, size_t size, void *opaque)
{
    net_deliver(((UserNet *)opaque)->net, buf, size);
    return size;
}

static void slirp_guest_error(const char *text, void *opaque)
{
    guest_error("user network", "%s", text);
}

static int64_t clock_get_ns(void *opaque)
{
    return clock_now(CLOCK_REAL);
}

typedef struct UserTimer {
    Timer *timer;
    SlirpTimerCb fn;
    void *opaque;
} UserTimer;

static void timer_fired(void *opaque)
{
    UserTimer *t = opaque;

    t->fn(t->opaque);
}

static void *user_timer_new(SlirpTimerCb fn, void *fn_opaque, void *opaque)
{
    UserTimer *t = g_new0(UserTimer, 1);

    t->fn = fn;
    t->opaque = fn_opaque;
    t->timer = timer_new(CLOCK_REAL, timer_fired, t);
    return t;
}

static void user_timer_free(void *timer, void *opaque)
{
    timer_free(((UserTimer *)timer)->timer);
    g_free(timer);
}

static void user_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    timer_set(((UserTimer *)timer)->timer, expire_ms * NS_PER_MS);
}

static void no_poll_fd(int fd, void *opaque)
{
    /* descriptors are collected anew for each round of the main loop */
}

static void notify(void *opaque)
{
    g_main_context_wakeup(NULL);
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = slirp_guest_error,
    .clock_get_ns = clock_get_ns,
    .timer_new = user_timer_new,
    .timer_free = user_timer_free,
    .timer_mod = user_timer_mod,
    .register_poll_fd = no_poll_fd,
    .unregister_poll_fd = no_poll_fd,
    .notify = notify,
};

/* ---- the main loop ---- */

static int add_poll(int fd, int events, void *opaque)
{
    UserNet *user = opaque;
    GPollFD *poll = g_new0(GPollFD, 1);

    poll->fd = fd;
    poll->events = (events & SLIRP_POLL_IN ? G_IO_IN : 0) | (events & SLIRP_POLL_OUT ? G_IO_OUT : 0) |
                   (events & SLIRP_POLL_PRI ? G_IO_PRI : 0) | (events & SLIRP_POLL_ERR ? G_IO_ERR : 0) |
                   (events & SLIRP_POLL_HUP ? G_IO_HUP : 0);
    g_source_add_poll(user->source, poll);
    g_array_append_val(user->polled, poll);
    return user->polled->len - 1;
}

static int get_revents(int index, void *opaque)
{
    unsigned events = g_array_index(((UserNet *)opaque)->polled, GPollFD *, index)->revents;

    return (events & G_IO_IN ? SLIRP_POLL_IN : 0) | (events & G_IO_OUT ? SLIRP_POLL_OUT : 0) |
           (events & G_IO_PRI ? SLIRP_POLL_PRI : 0) | (events & G_IO_ERR ? SLIRP_POLL_ERR : 0) |
           (events & G_IO_HUP ? SLIRP_POLL_HUP : 0);
}

static void forget_polls(UserNet *user)
{
    for (guint i = 0; i < user->polled->len; i++) {
        GPollFD *poll = g_array_index(user->polled, GPollFD *, i);

        g_source_remove_poll(user->source, poll);
        g_free(poll);
    }
    g_array_set_size(user->polled, 0);
}

static gboolean source_prepare(GSource *source, gint *timeout)
{
    UserNet *user = ((UserSource *)source)->user;
    uint32_t wait = UINT32_MAX;

    forget_polls(user);
    slirp_pollfds_fill(user->slirp, &wait, add_poll, user);
    *timeout = wait > 1000 ? 1000 : (int)wait;
    return FALSE;
}

/* Every round counts: slirp's own timeouts are looked at in its poll function. */
static gboolean source_check(GSource *source)
{
    return TRUE;
}

static gboolean source_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    UserNet *user = ((UserSource *)source)->user;

    slirp_pollfds_poll(user->slirp, 0, get_revents, user);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = { source_prepare, source_check, source_dispatch, NULL };

/* ---- the backend ---- */

static bool user_send(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count)
{
    uint8_t frame[MAX_SENT];
    size_t size = iov_copy(iov, count, 0, frame, sizeof(frame));

    slirp_input(((UserNet *)net_opaque(net))->slirp, frame, size);
    g_main_context_wakeup(NULL); /* new sockets may want to be polled */
    return true;
}

static void user_free(NetBackend *net)
{
    UserNet *user = net_opaque(net);

    if (user->source) {
        forget_polls(user);
        g_source_destroy(user->source);
        g_source_unref(user->source);
    }
    slirp_cleanup(user->slirp);
    g_array_free(user->polled, TRUE);
    g_ptr_array_free(user->forwards, TRUE);
    g_free(user->hostname);
    g_free(user->tftp);
    g_free(user->bootfile);
    g_free(user->domain);
    g_free(user);
}

static char *user_describe(const NetBackend *net)
{
    UserNet *user = net_opaque(net);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < user->forwards->len; i++) {
        g_string_append_printf(text, ",hostfwd=%s", (char *)g_ptr_array_index(user->forwards, i));
    }
    return g_string_free(text, FALSE);
}

static const NetOps user_ops = { .send = user_send, .free = user_free, .describe = user_describe };

static bool get_address(const Options *o, const char *key, struct in_addr *out, GError **error)
{
    const char *text = options_get(o, key);

    if (text && inet_pton(AF_INET, text, out) != 1) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s=%s is not an IPv4 address", key, text);
        return false;
    }
    return true;
}

/* net=10.0.2.0/24 or net=10.0.2.0/255.255.255.0 or net=10.0.2.0 */
static bool get_network(const Options *o, SlirpConfig *config, GError **error)
{
    const char *text = options_get(o, "net");
    g_auto(GStrv) part = NULL;
    char *end;
    long bits;

    if (!text) {
        return true;
    }
    part = g_strsplit(text, "/", 2);
    if (inet_pton(AF_INET, part[0], &config->vnetwork) != 1) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "net=%s is not a network", text);
        return false;
    }
    bits = part[1] ? strtol(part[1], &end, 10) : 24;
    if (part[1] && *end) {
        if (inet_pton(AF_INET, part[1], &config->vnetmask) != 1) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "net=%s is not a network", text);
            return false;
        }
    } else if (bits < 4 || bits > 30) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "net=%s: from 4 to 30 bits", text);
        return false;
    } else {
        config->vnetmask.s_addr = htonl(UINT32_MAX << (32 - bits));
    }
    config->vnetwork.s_addr &= config->vnetmask.s_addr;
    config->vhost.s_addr = config->vnetwork.s_addr | htonl(2);
    config->vnameserver.s_addr = config->vnetwork.s_addr | htonl(3);
    config->vdhcp_start.s_addr = config->vnetwork.s_addr | htonl(15);
    return true;
}

/* [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport */
static bool add_forward(UserNet *user, const char *text, struct in_addr guest_default, GError **error)
{
    g_auto(GStrv) side = g_strsplit(text, "-", 2);
    g_auto(GStrv) host = g_strsplit(side[0] ? side[0] : "", ":", 3);
    g_auto(GStrv) guest = g_strsplit(side[0] && side[1] ? side[1] : "", ":", 2);
    struct in_addr host_addr = { INADDR_ANY }, guest_addr = guest_default;
    uint64_t host_port, guest_port;
    bool udp;

    if (g_strv_length(host) != 3 || g_strv_length(guest) != 2 || !parse_u64(host[2], &host_port) ||
        !parse_u64(guest[1], &guest_port) || host_port > 65535 || !guest_port || guest_port > 65535 ||
        (*host[1] && inet_pton(AF_INET, host[1], &host_addr) != 1) ||
        (*guest[0] && inet_pton(AF_INET, guest[0], &guest_addr) != 1) ||
        (*host[0] && !g_str_equal(host[0], "tcp") && !g_str_equal(host[0], "udp"))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "hostfwd=%s: not [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport", text);
        return false;
    }
    udp = g_str_equal(host[0], "udp");
    if (slirp_add_hostfwd(user->slirp, udp, host_addr, host_port, guest_addr, guest_port) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "hostfwd=%s: the host's port cannot be had: %s",
                    text, g_strerror(errno));
        return false;
    }
    g_ptr_array_add(user->forwards, g_strdup(text));
    return true;
}

/* [tcp]:server:port-cmd:command: connections of the guest to server:port start a command. */
static bool add_guest_forward(UserNet *user, const char *text, GError **error)
{
    g_auto(GStrv) side = g_strsplit(text, "-", 2);
    g_auto(GStrv) server = g_strsplit(side[0] ? side[0] : "", ":", 3);
    struct in_addr addr;
    uint64_t port;

    if (g_strv_length(server) != 3 || !side[1] || !g_str_has_prefix(side[1], "cmd:") ||
        inet_pton(AF_INET, server[1], &addr) != 1 || !parse_u64(server[2], &port) || port > 65535) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "guestfwd=%s: not [tcp]:server:port-cmd:command", text);
        return false;
    }
    if (slirp_add_exec(user->slirp, side[1] + 4, &addr, port) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "guestfwd=%s: the address is not free", text);
        return false;
    }
    return true;
}

static bool add_forwards(UserNet *user, const Options *o, struct in_addr guest, GError **error)
{
    options_get(o, "hostfwd");
    options_get(o, "guestfwd");
    for (int i = 0; i < options_count(o); i++) {
        const char *key = options_key(o, i), *value = options_value(o, i);

        if ((g_str_equal(key, "hostfwd") && !add_forward(user, value, guest, error)) ||
            (g_str_equal(key, "guestfwd") && !add_guest_forward(user, value, error))) {
            return false;
        }
    }
    return true;
}

static NetBackend *user_create(const char *id, const Options *o, GError **error)
{
    SlirpConfig config = { .version = 1, .in_enabled = true, .in6_enabled = true, .vprefix_len = 64 };
    UserNet *user;
    bool restricted = false;

    inet_pton(AF_INET, "10.0.2.0", &config.vnetwork);
    inet_pton(AF_INET, "255.255.255.0", &config.vnetmask);
    inet_pton(AF_INET, "10.0.2.2", &config.vhost);
    inet_pton(AF_INET, "10.0.2.3", &config.vnameserver);
    inet_pton(AF_INET, "10.0.2.15", &config.vdhcp_start);
    inet_pton(AF_INET6, "fec0::", &config.vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &config.vhost6);
    inet_pton(AF_INET6, "fec0::3", &config.vnameserver6);
    if (!get_network(o, &config, error) || !get_address(o, "host", &config.vhost, error) ||
        !get_address(o, "dns", &config.vnameserver, error) ||
        !get_address(o, "dhcpstart", &config.vdhcp_start, error) ||
        !options_get_bool(o, "restrict", &restricted, error) ||
        !options_get_bool(o, "ipv4", &config.in_enabled, error) ||
        !options_get_bool(o, "ipv6", &config.in6_enabled, error)) {
        return NULL;
    }
    user = g_new0(UserNet, 1);
    user->polled = g_array_new(FALSE, FALSE, sizeof(GPollFD *));
    user->forwards = g_ptr_array_new_with_free_func(g_free);
    config.restricted = restricted;
    config.vhostname = user->hostname = g_strdup(options_get(o, "hostname"));
    config.tftp_path = user->tftp = g_strdup(options_get(o, "tftp"));
    config.bootfile = user->bootfile = g_strdup(options_get(o, "bootfile"));
    config.vdomainname = user->domain = g_strdup(options_get(o, "domainname"));
    user->slirp = slirp_new(&config, &callbacks, user);
    if (!user->slirp) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot start the user network");
        return NULL;
    }
    user->net = net_register(id, "user", &user_ops, user);
    if (!add_forwards(user, o, config.vdhcp_start, error)) {
        return NULL;
    }
    user->source = g_source_new(&source_funcs, sizeof(UserSource));
    ((UserSource *)user->source)->user = user;
    g_source_attach(user->source, NULL);
    return user->net;
}

const NetType user_net_type = { "user", "NAT with DHCP, DNS and TFTP inside this process", user_create };
