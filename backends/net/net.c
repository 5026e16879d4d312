/* Network backends: the registry, links and the queue towards a card. */
#include "backends/net.h"

#include "backends/net/internal.h"
#include "config.h"
#include "util/error.h"

#include <string.h>

#define MAX_QUEUED 256

struct NetBackend {
    char *id;
    const char *kind;
    const NetOps *ops;
    void *opaque;
    const NetFrontend *frontend;
    void *frontend_opaque;
    GQueue *queue; /* of GBytes */
    bool up;
    bool flushing;
};

static GPtrArray *all;

NetBackend *net_register(const char *id, const char *kind, const NetOps *ops, void *opaque)
{
    NetBackend *net = g_new0(NetBackend, 1);

    net->id = g_strdup(id);
    net->kind = kind;
    net->ops = ops;
    net->opaque = opaque;
    net->queue = g_queue_new();
    net->up = true;
    if (!all) {
        all = g_ptr_array_new();
    }
    g_ptr_array_add(all, net);
    return net;
}

/* Nothing on the other side: frames vanish, as with the cable pulled. */
static void null_send(NetBackend *net, const uint8_t *frame, size_t size)
{
}

static const NetOps null_ops = { .send = null_send };

NetBackend *net_new(const char *text, GError **error)
{
    static const char *const kinds[] = { "none", "user", NULL };
    g_autoptr(Options) o = options_parse(text, "type", error);
    const char *kind, *id;
    NetBackend *net = NULL;

    if (!o) {
        return NULL;
    }
    kind = options_get(o, "type");
    id = options_get(o, "id");
    if (!kind || !id) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-netdev %s: needs a type and id=", text);
        return NULL;
    }
    if (net_find(id)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "two network backends have the id '%s'", id);
        return NULL;
    }
    if (g_str_equal(kind, "none")) {
        return net_register(id, "none", &null_ops, NULL);
    }
    if (g_str_equal(kind, "user")) {
#ifdef CONFIG_SLIRP
        net = net_user_new(id, o, error);
#else
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "user networking was left out of this build: install libslirp-dev and configure again");
#endif
    } else {
        g_autofree char *hint = options_hint(kind, kinds);

        g_set_error(error, VM_ERROR, VM_ERROR_USER, "no network backend '%s'%s; there are: user, none",
                    kind, hint);
    }
    return net && options_check_unknown(o, "-netdev user", error) ? net : NULL;
}

NetBackend *net_find(const char *id)
{
    for (guint i = 0; all && i < all->len; i++) {
        NetBackend *net = g_ptr_array_index(all, i);

        if (g_str_equal(net->id, id)) {
            return net;
        }
    }
    return NULL;
}

void net_for_each(void (*fn)(NetBackend *net, void *opaque), void *opaque)
{
    for (guint i = 0; all && i < all->len; i++) {
        fn(g_ptr_array_index(all, i), opaque);
    }
}

void net_close_all(void)
{
    while (all && all->len) {
        NetBackend *net = g_ptr_array_remove_index(all, all->len - 1);

        if (net->ops->free) {
            net->ops->free(net);
        }
        g_queue_free_full(net->queue, (GDestroyNotify)g_bytes_unref);
        g_free(net->id);
        g_free(net);
    }
}

const char *net_id(const NetBackend *net)
{
    return net->id;
}

void *net_opaque(const NetBackend *net)
{
    return net->opaque;
}

char *net_describe(const NetBackend *net)
{
    g_autofree char *more = net->ops->describe ? net->ops->describe(net) : g_strdup("");

    return g_strdup_printf("%s: type=%s,link=%s%s", net->id, net->kind, net->up ? "up" : "down", more);
}

bool net_attach(NetBackend *net, const NetFrontend *frontend, void *opaque, GError **error)
{
    if (net->frontend) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "network backend '%s' has a card already", net->id);
        return false;
    }
    net->frontend = frontend;
    net->frontend_opaque = opaque;
    return true;
}

void net_detach(NetBackend *net)
{
    net->frontend = NULL;
    g_queue_clear_full(net->queue, (GDestroyNotify)g_bytes_unref);
}

bool net_attached(const NetBackend *net)
{
    return net->frontend != NULL;
}

void net_send(NetBackend *net, const uint8_t *frame, size_t size)
{
    if (net && net->up) {
        net->ops->send(net, frame, size);
    }
}

bool net_can_deliver(const NetBackend *net)
{
    return net->queue->length < MAX_QUEUED;
}

void net_flush(NetBackend *net)
{
    if (!net || net->flushing) {
        return; /* the card asks again from within its receive */
    }
    net->flushing = true;
    while (net->frontend && net->up && !g_queue_is_empty(net->queue) &&
           net->frontend->can_receive(net->frontend_opaque)) {
        GBytes *frame = g_queue_pop_head(net->queue);
        gsize size;
        const uint8_t *data = g_bytes_get_data(frame, &size);

        net->frontend->receive(net->frontend_opaque, data, size);
        g_bytes_unref(frame);
    }
    net->flushing = false;
}

void net_deliver(NetBackend *net, const uint8_t *frame, size_t size)
{
    if (!net->frontend || !net->up || !net_can_deliver(net)) {
        return;
    }
    g_queue_push_tail(net->queue, g_bytes_new(frame, size));
    net_flush(net);
}

void net_set_link(NetBackend *net, bool up)
{
    if (net->up != up) {
        net->up = up;
        if (net->frontend && net->frontend->link_changed) {
            net->frontend->link_changed(net->frontend_opaque, up);
        }
        net_flush(net);
    }
}

bool net_link_up(const NetBackend *net)
{
    return net->up;
}

void net_pick_mac(uint8_t mac[6])
{
    static uint8_t next = 0x56;
    static const uint8_t first[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0 };

    memcpy(mac, first, 6);
    mac[5] = next++;
}
