/* user: a NAT with DHCP, DNS and TFTP inside this process, by libslirp. */
#include "backends/net/user.h"

#include "core/clock.h"
#include "util/bits.h"
#include "util/checksum.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EPOLL_BATCH 64

typedef struct Wanted {
    int fd;
    uint32_t events, came; /* of epoll */
} Wanted;

typedef struct UserSource {
    GSource source;
    UserNet *user;
} UserSource;

/* ---- slirp's callbacks ---- */

static ssize_t send_packet(const void *buf, size_t size, void *opaque)
{
    user_deliver(opaque, buf, size);
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

void user_enter(UserNet *user)
{
    user->inside = true;
}

void user_leave(UserNet *user)
{
    user->inside = false;
    if (user->refused) {
        user->refused = false;
        net_send_again(user->net);
    }
}

typedef struct UserTimer {
    UserNet *user;
    Timer *timer;
    SlirpTimerCb fn;
    void *opaque;
} UserTimer;

static void timer_fired(void *opaque)
{
    UserTimer *t = opaque;

    user_enter(t->user);
    t->fn(t->opaque);
    user_leave(t->user);
}

static void *user_timer_new(SlirpTimerCb fn, void *fn_opaque, void *opaque)
{
    UserTimer *t = g_new0(UserTimer, 1);

    t->user = opaque;
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

/* The number may be used again by another socket before the next round: epoll forgot it when it closed. */
static void forget_fd(int fd, void *opaque)
{
    UserNet *user = opaque;

    if (g_hash_table_remove(user->watched, GINT_TO_POINTER(fd))) {
        epoll_ctl(user->epoll, EPOLL_CTL_DEL, fd, NULL);
    }
}

void user_wake(UserNet *user)
{
    if (user->waiting) {
        user->waiting = false;
        g_main_context_wakeup(NULL);
    }
}

static void notify(void *opaque)
{
    user_wake(opaque);
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = slirp_guest_error,
    .clock_get_ns = clock_get_ns,
    .timer_new = user_timer_new,
    .timer_free = user_timer_free,
    .timer_mod = user_timer_mod,
    .register_poll_fd = forget_fd,
    .unregister_poll_fd = forget_fd,
    .notify = notify,
};

/* ---- the main loop: slirp's sockets are in one epoll descriptor, which is changed where they change ---- */

static int add_poll(int fd, int events, void *opaque)
{
    UserNet *user = opaque;
    Wanted wanted = { .fd = fd };

    /* No more from the host while the card has no room for what came. */
    if (events & SLIRP_POLL_IN && net_can_deliver(user->net)) {
        wanted.events |= EPOLLIN;
    }
    wanted.events |= (events & SLIRP_POLL_OUT ? EPOLLOUT : 0) | (events & SLIRP_POLL_PRI ? EPOLLPRI : 0);
    g_array_append_val(user->wanted, wanted);
    return user->wanted->len - 1;
}

static int get_revents(int index, void *opaque)
{
    uint32_t came = g_array_index(((UserNet *)opaque)->wanted, Wanted, index).came;

    return (came & EPOLLIN ? SLIRP_POLL_IN : 0) | (came & EPOLLOUT ? SLIRP_POLL_OUT : 0) |
           (came & EPOLLPRI ? SLIRP_POLL_PRI : 0) | (came & EPOLLERR ? SLIRP_POLL_ERR : 0) |
           (came & EPOLLHUP ? SLIRP_POLL_HUP : 0);
}

/* Where fd is among what is wanted in this round; NULL: nowhere. */
static Wanted *find_wanted(UserNet *user, int fd)
{
    guint place = (guint)fd < user->places->len ? g_array_index(user->places, guint, fd) : G_MAXUINT;
    Wanted *w = place < user->wanted->len ? &g_array_index(user->wanted, Wanted, place) : NULL;

    return w && w->fd == fd ? w : NULL;
}

static void watch(UserNet *user, guint place)
{
    Wanted *w = &g_array_index(user->wanted, Wanted, place);
    struct epoll_event event = { .events = w->events, .data.fd = w->fd };
    uint32_t known = GPOINTER_TO_UINT(g_hash_table_lookup(user->watched, GINT_TO_POINTER(w->fd)));

    if ((guint)w->fd >= user->places->len) {
        g_array_set_size(user->places, w->fd + 1);
    }
    g_array_index(user->places, guint, w->fd) = place;
    if (!w->events || known == w->events) {
        return;
    }
    if (epoll_ctl(user->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, w->fd, &event) == 0) {
        g_hash_table_insert(user->watched, GINT_TO_POINTER(w->fd), GUINT_TO_POINTER(w->events));
    }
}

static gboolean is_unwanted(gpointer key, gpointer value, gpointer opaque)
{
    UserNet *user = opaque;
    const Wanted *w = find_wanted(user, GPOINTER_TO_INT(key));

    if (w && w->events) {
        return FALSE;
    }
    epoll_ctl(user->epoll, EPOLL_CTL_DEL, GPOINTER_TO_INT(key), NULL);
    return TRUE;
}

static gboolean source_prepare(GSource *source, gint *timeout)
{
    UserNet *user = ((UserSource *)source)->user;
    uint32_t wait = UINT32_MAX;
    guint active = 0;

    g_array_set_size(user->wanted, 0);
    slirp_pollfds_fill(user->slirp, &wait, add_poll, user);
    for (guint i = 0; i < user->wanted->len; i++) {
        watch(user, i);
        active += g_array_index(user->wanted, Wanted, i).events != 0;
    }
    if (g_hash_table_size(user->watched) > active) {
        g_hash_table_foreach_remove(user->watched, is_unwanted, user);
    }
    *timeout = wait > 1000 ? 1000 : (int)wait;
    user->waiting = true;
    return FALSE;
}

/* Every round counts: slirp's own timeouts are looked at in its poll function. */
static gboolean source_check(GSource *source)
{
    ((UserSource *)source)->user->waiting = false;
    return TRUE;
}

static gboolean source_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    UserNet *user = ((UserSource *)source)->user;
    struct epoll_event events[EPOLL_BATCH];
    int n = epoll_wait(user->epoll, events, EPOLL_BATCH, 0);

    for (int i = 0; i < n; i++) {
        Wanted *w = find_wanted(user, events[i].data.fd);

        if (w) {
            w->came = events[i].events;
        }
    }
    user_enter(user);
    slirp_pollfds_poll(user->slirp, 0, get_revents, user);
    user_leave(user);
    user_serve_guest_forwards(user);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = { source_prepare, source_check, source_dispatch, NULL };

/* ---- the backend ---- */

/*
 * slirp takes a packet as long as IP allows: a large send needs its checksum, but no cutting.
 */
static bool user_send(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count)
{
    static uint8_t frame[NET_MAX_FRAME];
    UserNet *user = net_opaque(net);
    size_t size;

    if (user->inside) {
        user->refused = true;
        return false;
    }
    size = iov_read(iov, count, 0, frame, sizeof(frame));
    if (header && (header->flags & NET_HDR_NEEDS_CSUM)) {
        size_t at = (size_t)header->csum_start + header->csum_offset;

        if (at + 2 > size) {
            return true;
        }
        store_be16(frame + at, ~checksum_add(0, frame + header->csum_start, size - header->csum_start));
    }
    user_raise_mss(frame, size);
    user_enter(user);
    slirp_input(user->slirp, frame, size);
    user_leave(user);
    user_wake(user); /* sockets may be new, or have room again */
    return true;
}

static void user_receive_again(NetBackend *net)
{
    user_wake(net_opaque(net));
}

static void user_free(NetBackend *net)
{
    UserNet *user = net_opaque(net);

    if (user->source) {
        g_source_destroy(user->source);
        g_source_unref(user->source);
    }
    user_free_rules(user);
    slirp_cleanup(user->slirp);
    close(user->epoll);
    g_array_free(user->wanted, TRUE);
    g_array_free(user->places, TRUE);
    g_hash_table_destroy(user->watched);
    user_config_clear(&user->config);
    g_free(user);
}

static char *user_describe(const NetBackend *net)
{
    UserNet *user = net_opaque(net);
    const SlirpConfig *c = &user->config.slirp;
    GString *text = g_string_new(NULL);
    char network[INET_ADDRSTRLEN], mask[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &c->vnetwork, network, sizeof(network));
    inet_ntop(AF_INET, &c->vnetmask, mask, sizeof(mask));
    g_string_append_printf(text, ",net=%s,mask=%s,restrict=%s", network, mask, c->restricted ? "on" : "off");
    for (guint i = 0; i < user->forwards->len; i++) {
        g_string_append_printf(text, ",hostfwd=%s", (char *)g_ptr_array_index(user->forwards, i));
    }
    return g_string_free(text, FALSE);
}

static const NetOps user_ops = {
    .send = user_send,
    .free = user_free,
    .describe = user_describe,
    .receive_again = user_receive_again,
};

static NetBackend *user_create(const char *id, const Options *o, GError **error)
{
    UserNet *user = g_new0(UserNet, 1);

    if (!user_config_read(&user->config, o, error)) {
        user_config_clear(&user->config);
        g_free(user);
        return NULL;
    }
    user->epoll = epoll_create1(EPOLL_CLOEXEC);
    user->wanted = g_array_new(FALSE, FALSE, sizeof(Wanted));
    user->places = g_array_new(FALSE, TRUE, sizeof(guint));
    user->watched = g_hash_table_new(NULL, NULL);
    user->forwards = g_ptr_array_new_with_free_func(g_free);
    user->guest_forwards = g_ptr_array_new();
    user->slirp = slirp_new(&user->config.slirp, &callbacks, user);
    user->net = net_register(id, "user", &user_ops, user);
    net_set_host_offloads(user->net, NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6);
    if (!user_add_rules(user, o, error)) {
        net_remove(id, NULL);
        return NULL;
    }
    user->source = g_source_new(&source_funcs, sizeof(UserSource));
    ((UserSource *)user->source)->user = user;
    g_source_add_unix_fd(user->source, user->epoll, G_IO_IN);
    /* Else GLib takes its descriptor out and back in around each dispatch, which wakes the loop again at once. */
    g_source_set_can_recurse(user->source, TRUE);
    g_source_attach(user->source, NULL);
    return user->net;
}

const NetType user_net_type = { "user", "NAT with DHCP, DNS and TFTP inside this process", user_create };
