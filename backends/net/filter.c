/* What all network filters have: a place in the chain of a backend, directions, and a switch. */
#include "backends/net/internal.h"
#include "util/error.h"

/* The field's names are those of the backend's queues: what it receives is what the NIC sends. */
static bool get_directions(const Options *o, NetDirection *directions, GError **error)
{
    const char *queue = options_get(o, "queue");

    if (!queue || g_str_equal(queue, "all")) {
        *directions = NET_ALL;
    } else if (g_str_equal(queue, "rx")) {
        *directions = NET_TX;
    } else if (g_str_equal(queue, "tx")) {
        *directions = NET_RX;
    } else {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "queue=%s: not all, rx (what the card sends) or tx (what it receives)", queue);
        return false;
    }
    return true;
}

NetFilter *net_filter_new(const NetFilterOps *ops, const char *kind, const char *id, void *opaque, const Options *o,
                          GError **error)
{
    const char *netdev = options_get(o, "netdev"), *position = options_get(o, "position");
    NetBackend *net = netdev ? net_find(netdev) : NULL;
    NetFilter *filter;
    NetDirection directions;
    bool on = true;

    if (!net) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, netdev ? "there is no network backend '%s'" : "needs netdev=%s",
                    netdev ? netdev : "ID");
        return NULL;
    }
    if (position && !g_str_equal(position, "head") && !g_str_equal(position, "tail")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "position=%s: not head or tail", position);
        return NULL;
    }
    if (!get_directions(o, &directions, error) || !options_get_bool(o, "status", &on, error)) {
        return NULL;
    }
    filter = g_new0(NetFilter, 1);
    filter->ops = ops;
    filter->id = g_strdup(id);
    filter->kind = kind;
    filter->opaque = opaque;
    filter->net = net;
    filter->directions = directions;
    filter->on = on;
    g_ptr_array_insert(net_filters(net), position && g_str_equal(position, "head") ? 0 : -1, filter);
    return filter;
}

void net_filter_free(NetFilter *filter)
{
    if (filter->net) {
        g_ptr_array_remove(net_filters(filter->net), filter);
        net_filter_room(filter, NET_ALL); /* nobody waits for it any more */
    }
    g_free(filter->id);
    g_free(filter);
}
