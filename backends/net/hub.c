/* hubport: ports of a hub, which repeats each frame on all its other ports; and the `vlan` of old options. */
#include "backends/net/internal.h"
#include "util/error.h"

#define ALL_OFFLOADS (NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6 | NET_CAN_ECN | NET_CAN_USO)
#define MAX_HUBS  256
#define MAX_PORTS 64

typedef struct Hub {
    int id;
    GPtrArray *ports; /* HubPort */
} Hub;

typedef struct HubPort {
    Hub *hub;
    NetBackend *net;  /* what a NIC attaches to */
    char *other;      /* id of another backend that is plugged in here instead, or NULL */
} HubPort;

static GPtrArray *hubs;

static Hub *hub_get(int id)
{
    Hub *hub;

    if (!hubs) {
        hubs = g_ptr_array_new();
    }
    for (guint i = 0; i < hubs->len; i++) {
        hub = g_ptr_array_index(hubs, i);
        if (hub->id == id) {
            return hub;
        }
    }
    hub = g_new0(Hub, 1);
    hub->id = id;
    hub->ports = g_ptr_array_new();
    g_ptr_array_add(hubs, hub);
    return hub;
}

static NetBackend *other_of(const HubPort *port)
{
    return port->other ? net_find(port->other) : NULL;
}

static void repeat(HubPort *from, const NetHeader *header, const struct iovec *iov, int count)
{
    g_autofree uint8_t *copy = NULL;
    struct iovec one = iov[0];

    if (count > 1) {
        one.iov_len = iov_size(iov, count);
        one.iov_base = copy = g_malloc(one.iov_len);
        iov_read(iov, count, 0, copy, one.iov_len);
    }
    for (guint i = 0; i < from->hub->ports->len; i++) {
        HubPort *port = g_ptr_array_index(from->hub->ports, i);

        if (port == from || !net_link_up(port->net)) {
            continue;
        }
        if (port->other) {
            net_send_iov(other_of(port), header, &one, 1);
        } else {
            net_deliver_header(port->net, header, one.iov_base, one.iov_len);
        }
    }
}

static bool hub_send(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count)
{
    repeat(net_opaque(net), header, iov, count);
    return true;
}

/* ---- another backend plugged in: the port is its NIC ---- */

static bool other_can_receive(void *opaque)
{
    return true; /* a hub has no memory: what a port cannot take, that port's queue holds or drops */
}

static void other_receive(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size)
{
    HubPort *port = opaque;
    struct iovec iov = { (void *)frame, size };

    if (net_link_up(port->net)) {
        repeat(port, header, &iov, 1);
    }
}

static const NetFrontend other_frontend = { .can_receive = other_can_receive, .receive_header = other_receive };

static void hub_free(NetBackend *net)
{
    HubPort *port = net_opaque(net);
    NetBackend *other = other_of(port);

    if (other) {
        net_detach(other);
    }
    g_ptr_array_remove(port->hub->ports, port);
    if (!port->hub->ports->len) {
        g_ptr_array_remove(hubs, port->hub);
        g_ptr_array_free(port->hub->ports, TRUE);
        g_free(port->hub);
    }
    g_free(port->other);
    g_free(port);
}

static char *hub_describe(const NetBackend *net)
{
    const HubPort *port = net_opaque(net);

    return g_strdup_printf(",hubid=%d%s%s", port->hub->id, port->other ? ",netdev=" : "",
                           port->other ? port->other : "");
}

static const NetOps hub_ops = { .send = hub_send, .free = hub_free, .describe = hub_describe };

static NetBackend *hubport_create(const char *id, const Options *o, GError **error)
{
    const char *other_id = options_get(o, "netdev");
    NetBackend *other = other_id ? net_find(other_id) : NULL;
    HubPort *port;
    int hub_id = -1;

    if (!options_get_int(o, "hubid", &hub_id, error)) {
        return NULL;
    }
    if (hub_id < 0 || hub_id >= MAX_HUBS) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "needs hubid= from 0 to %d", MAX_HUBS - 1);
        return NULL;
    }
    if (other_id && !other) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "there is no network backend '%s'", other_id);
        return NULL;
    }
    if (other && g_str_equal(net_kind(other), "hubport")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is a port of a hub: hubs are not connected to hubs", other_id);
        return NULL;
    }
    if (hub_get(hub_id)->ports->len >= MAX_PORTS) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "hub %d has %d ports already", hub_id, MAX_PORTS);
        return NULL;
    }
    port = g_new0(HubPort, 1);
    if (other && !net_attach(other, &other_frontend, port, error)) {
        g_free(port);
        return NULL;
    }
    port->hub = hub_get(hub_id);
    port->other = g_strdup(other_id);
    port->net = net_register(id, "hubport", &hub_ops, port);
    net_set_host_offloads(port->net, ALL_OFFLOADS);
    if (other) {
        net_set_offloads(other, ALL_OFFLOADS);
        net_needs_no_card(port->net);
    }
    g_ptr_array_add(port->hub->ports, port);
    return port->net;
}

const NetType hubport_net_type = { "hubport", "a port of a hub inside this machine: hubid=, netdev=", hubport_create };
