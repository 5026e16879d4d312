/* Network backends: the registry and the paths of frames between a NIC and a host end. */
#include "backends/net.h"

#include "backends/net/internal.h"
#include "config.h"
#include "util/error.h"
#include "util/json.h"
#include "util/log.h"

#include <stdio.h>
#include <string.h>

/* What a port holds in each direction: many times what TCP has on its way to a NIC at its fastest. */
#define QUEUE_LIMIT (4u << 20)

struct NetBackend {
    char *id;
    const char *kind;
    const NetOps *ops;
    void *opaque;
    const NetFrontend *frontend;
    void *frontend_opaque;
    unsigned host_offloads, nic_offloads;
    int queues;
    NetQueue to_nic, to_host;
    GPtrArray *filters; /* NetFilter, borrowed */
    bool up, needs_no_card;
    bool flushing, sending;
    bool told_full, told_unwritable; /* somebody waits for receive_again, writable */
};

static GPtrArray *all;

#define NETDEV(name) extern const NetType name##_net_type;
#include "backends/net/types.def"
#undef NETDEV

/* ---- the registry ---- */

static bool none_send(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count)
{
    return true; /* nothing on the other side: frames vanish, as with the cable pulled */
}

static const NetOps none_ops = { .send = none_send };

static NetBackend *none_create(const char *id, const Options *o, GError **error)
{
    return net_register(id, "none", &none_ops, NULL);
}

const NetType none_net_type = { "none", "a cable that ends nowhere", none_create };

static const NetType *const types[] = {
#define NETDEV(name) &name##_net_type,
#include "backends/net/types.def"
#undef NETDEV
};

void net_print_types(void)
{
    printf("Available netdev backend types:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        printf("%-12s %s\n", types[i]->name, types[i]->about);
    }
}

static const NetType *find_type(const char *name, GError **error)
{
    /* Known names that this build or program has no code for. */
    static const char *const left_out[][2] = {
        { "user", "install libslirp-dev and configure again" },
        { "vde", "install libvdeplug-dev and configure again" },
    };
    const char *names[G_N_ELEMENTS(types) + 1] = { NULL };
    g_autofree char *hint = NULL;
    g_autoptr(GString) list = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (g_str_equal(types[i]->name, name)) {
            return types[i];
        }
        names[i] = types[i]->name;
        g_string_append_printf(list, "%s%s", i ? ", " : "", types[i]->name);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(left_out); i++) {
        if (g_str_equal(left_out[i][0], name)) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "network backend '%s' was left out of this build: %s", name,
                        left_out[i][1]);
            return NULL;
        }
    }
    hint = options_hint(name, names);
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "no network backend '%s'%s; there are: %s", name, hint, list->str);
    return NULL;
}

NetBackend *net_register(const char *id, const char *kind, const NetOps *ops, void *opaque)
{
    NetBackend *net = g_new0(NetBackend, 1);

    net->id = g_strdup(id);
    net->kind = kind;
    net->ops = ops;
    net->opaque = opaque;
    net->queues = 1;
    net->up = true;
    net->filters = g_ptr_array_new();
    net_queue_init(&net->to_nic, QUEUE_LIMIT);
    net_queue_init(&net->to_host, QUEUE_LIMIT);
    if (!all) {
        all = g_ptr_array_new();
    }
    g_ptr_array_add(all, net);
    return net;
}

static void net_free(NetBackend *net)
{
    g_ptr_array_remove(all, net);
    while (net->filters->len) {
        NetFilter *filter = g_ptr_array_index(net->filters, 0);

        filter->net = NULL;
        g_ptr_array_remove_index(net->filters, 0);
    }
    if (net->ops->free) {
        net->ops->free(net);
    }
    g_ptr_array_free(net->filters, TRUE);
    net_queue_clear(&net->to_nic);
    net_queue_clear(&net->to_host);
    g_free(net->id);
    g_free(net);
}

NetBackend *net_new_options(const Options *o, GError **error)
{
    const char *kind = options_get(o, "type"), *id = options_get(o, "id");
    const NetType *type;
    g_autofree char *what = g_strdup_printf("-netdev %s", kind ? kind : "");
    NetBackend *net;

    if (!kind || !id || !*id) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: needs a type and id=", what);
        return NULL;
    }
    if (net_find(id)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "two network backends have the id '%s'", id);
        return NULL;
    }
    type = find_type(kind, error);
    net = type ? type->create(id, o, error) : NULL;
    if (!net) {
        g_prefix_error(error, "network backend '%s': ", id);
        return NULL;
    }
    if (!options_check_unknown(o, what, error)) {
        net_free(net);
        return NULL;
    }
    return net;
}

NetBackend *net_new(const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse_any(text, "type", error);

    return o ? net_new_options(o, error) : NULL;
}

bool net_remove(const char *id, GError **error)
{
    NetBackend *net = net_find(id);

    if (!net) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "network backend '%s' not found", id);
        return false;
    }
    if (net->frontend) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "network backend '%s' is in use; unplug its card first", id);
        return false;
    }
    net_free(net);
    return true;
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
        net_free(g_ptr_array_index(all, all->len - 1));
    }
}

void net_check_unused(void)
{
    for (guint i = 0; all && i < all->len; i++) {
        NetBackend *net = g_ptr_array_index(all, i);

        if (!net->frontend && !net->needs_no_card) {
            log_warn("network backend '%s' has no card: -device CARD,netdev=%s connects one", net->id, net->id);
        }
    }
}

const char *net_id(const NetBackend *net)
{
    return net->id;
}

const char *net_kind(const NetBackend *net)
{
    return net->kind;
}

void *net_opaque(const NetBackend *net)
{
    return net->opaque;
}

GPtrArray *net_filters(NetBackend *net)
{
    return net->filters;
}

char *net_describe(const NetBackend *net)
{
    g_autofree char *more = net->ops->describe ? net->ops->describe(net) : g_strdup("");
    GString *text = g_string_new(NULL);

    g_string_printf(text, "%s: type=%s,link=%s%s", net->id, net->kind, net->up ? "up" : "down", more);
    for (guint i = 0; i < net->filters->len; i++) {
        const NetFilter *filter = g_ptr_array_index(net->filters, i);
        static const char *const queues[] = { [NET_TX] = "rx", [NET_RX] = "tx", [NET_ALL] = "all" };

        g_string_append_printf(text, "%s\n    - %s: type=%s,netdev=%s,queue=%s,status=%s", i ? "" : "\n  filters:",
                               filter->id, filter->kind, net->id, queues[filter->directions], filter->on ? "on" : "off");
    }
    return g_string_free(text, FALSE);
}

bool net_attach(NetBackend *net, const NetFrontend *frontend, void *opaque, GError **error)
{
    if (net->frontend) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "network backend '%s' has a card already", net->id);
        return false;
    }
    net->frontend = frontend;
    net->frontend_opaque = opaque;
    net->nic_offloads = 0;
    return true;
}

void net_detach(NetBackend *net)
{
    net->frontend = NULL;
    net_queue_clear(&net->to_nic);
}

bool net_attached(const NetBackend *net)
{
    return net->frontend != NULL;
}

void net_set_offloads(NetBackend *net, unsigned offloads)
{
    net->nic_offloads = offloads;
}

unsigned net_offloads(const NetBackend *net)
{
    return net->host_offloads;
}

void net_set_host_offloads(NetBackend *net, unsigned offloads)
{
    net->host_offloads = offloads;
}

int net_queues(const NetBackend *net)
{
    return net->queues;
}

void net_set_queues(NetBackend *net, int queues)
{
    net->queues = queues;
}

void net_needs_no_card(NetBackend *net)
{
    net->needs_no_card = true;
}

/*
 * GLib takes the descriptors of a source that may not recurse out of its list before each dispatch, and
 * puts them back after it, which wakes the loop for a round of its own.
 */
guint net_watch(int fd, GIOCondition condition, GUnixFDSourceFunc fn, void *opaque)
{
    GSource *source = g_unix_fd_source_new(fd, condition);
    guint id;

    g_source_set_can_recurse(source, TRUE);
    g_source_set_callback(source, (GSourceFunc)(void (*)(void))fn, opaque, NULL);
    id = g_source_attach(source, NULL);
    g_source_unref(source);
    return id;
}

/* ---- filters: what the NIC sends meets the first one first, what it receives the last ---- */

static bool pass_filters(NetBackend *net, int from, NetDirection direction, const NetHeader *header,
                         const struct iovec *iov, int count)
{
    int step = direction == NET_TX ? 1 : -1;

    for (int i = from; i >= 0 && i < (int)net->filters->len; i += step) {
        NetFilter *filter = g_ptr_array_index(net->filters, i);

        if (filter->on && (filter->directions & direction) &&
            !filter->ops->pass(filter, direction, header, iov, count)) {
            return false;
        }
    }
    return true;
}

/* ---- from the NIC to the host ---- */

static void host_send(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count)
{
    if (net->to_host.frames.head || net->sending || !net->ops->send(net, header, iov, count)) {
        net_queue_push(&net->to_host, header, iov, count); /* or dropped: the queue is full */
    }
}

static void emit_to_host(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size)
{
    struct iovec iov = { (void *)frame, size };

    host_send(opaque, header, &iov, 1);
}

/* Behind the filters. */
static void send_on(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count)
{
    unsigned needs = net_header_needs(header);

    if (!needs) {
        host_send(net, NULL, iov, count);
    } else if ((needs & ~net->host_offloads) == 0) {
        host_send(net, header, iov, count);
    } else {
        size_t size = iov_size(iov, count);
        g_autofree uint8_t *copy = NULL;
        const uint8_t *frame = iov[0].iov_base;

        if (count > 1) {
            frame = copy = g_malloc(size);
            iov_read(iov, count, 0, copy, size);
        }
        net_complete(header, frame, size, emit_to_host, net);
    }
}

void net_send_iov(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count)
{
    size_t size = iov_size(iov, count);

    if (!net || !net->up || size < 14 || size > NET_MAX_FRAME) {
        return;
    }
    if (net->filters->len && !pass_filters(net, 0, NET_TX, header, iov, count)) {
        return;
    }
    send_on(net, header, iov, count);
}

void net_send(NetBackend *net, const uint8_t *frame, size_t size)
{
    struct iovec iov = { (void *)frame, size };

    net_send_iov(net, NULL, &iov, 1);
}

bool net_writable(const NetBackend *net)
{
    if (!net) {
        return true;
    }
    for (guint i = 0; i < net->filters->len; i++) {
        NetFilter *filter = g_ptr_array_index(net->filters, i);

        if (filter->on && filter->ops->writable && !filter->ops->writable(filter)) {
            ((NetBackend *)net)->told_unwritable = true;
            return false;
        }
    }
    if (net->to_host.bytes > QUEUE_LIMIT / 4) {
        ((NetBackend *)net)->told_unwritable = true;
        return false;
    }
    return true;
}

static void tell_writable(NetBackend *net)
{
    if (net->told_unwritable && net_writable(net)) {
        net->told_unwritable = false;
        if (net->frontend && net->frontend->writable) {
            net->frontend->writable(net->frontend_opaque);
        }
    }
}

void net_send_again(NetBackend *net)
{
    const NetFrame *frame;

    if (net->sending) {
        return;
    }
    net->sending = true;
    while ((frame = net_queue_peek(&net->to_host))) {
        struct iovec iov = { (void *)frame->data, frame->size };

        if (!net->ops->send(net, frame->has_header ? &frame->header : NULL, &iov, 1)) {
            break;
        }
        net_queue_pop(&net->to_host);
    }
    net->sending = false;
    tell_writable(net);
}

/* ---- from the host to the NIC ---- */

static bool can_receive(NetBackend *net)
{
    return net->frontend->can_receive(net->frontend_opaque);
}

static void hand_over(NetBackend *net, const NetHeader *header, const uint8_t *frame, size_t size)
{
    static const NetHeader nothing;

    if (!net->frontend->receive_header) {
        net->frontend->receive(net->frontend_opaque, frame, size);
    } else if ((net_header_needs(header) & ~net->nic_offloads) == 0) {
        net->frontend->receive_header(net->frontend_opaque, header ? header : &nothing, frame, size);
    } /* else the driver was reset while the frame waited */
}

bool net_can_deliver(const NetBackend *net)
{
    bool room = net->to_nic.bytes < QUEUE_LIMIT / 2;

    for (guint i = 0; room && i < net->filters->len; i++) {
        NetFilter *filter = g_ptr_array_index(net->filters, i);

        room = !filter->on || !filter->ops->can_deliver || filter->ops->can_deliver(filter);
    }
    if (!room) {
        ((NetBackend *)net)->told_full = true;
    }
    return room;
}

static void tell_room(NetBackend *net)
{
    if (net->told_full && net_can_deliver(net)) {
        net->told_full = false;
        if (net->ops->receive_again) {
            net->ops->receive_again(net);
        }
    }
}

void net_flush(NetBackend *net)
{
    const NetFrame *frame;

    if (!net || net->flushing) {
        return; /* the card asks again from within its receive */
    }
    net->flushing = true;
    while (net->frontend && net->up && (frame = net_queue_peek(&net->to_nic)) && can_receive(net)) {
        hand_over(net, frame->has_header ? &frame->header : NULL, frame->data, frame->size);
        net_queue_pop(&net->to_nic);
    }
    net->flushing = false;
    tell_room(net);
}

static void emit_to_nic(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size)
{
    NetBackend *net = opaque;
    struct iovec iov = { (void *)frame, size };

    if (!net_queue_peek(&net->to_nic) && !net->flushing && can_receive(net)) {
        net->flushing = true;
        hand_over(net, header, frame, size);
        net->flushing = false;
    } else {
        net_queue_push(&net->to_nic, header, &iov, 1); /* or dropped: the queue is full */
    }
    net_flush(net);
}

/* Behind the filters. */
static void receive_on(NetBackend *net, const NetHeader *header, const uint8_t *frame, size_t size)
{
    if ((net_header_needs(header) & ~net->nic_offloads) == 0) {
        emit_to_nic(net, header, frame, size);
    } else {
        net_complete(header, frame, size, emit_to_nic, net);
    }
}

void net_deliver_header(NetBackend *net, const NetHeader *header, const uint8_t *frame, size_t size)
{
    struct iovec iov = { (void *)frame, size };

    if (!net->frontend || !net->up || size < 14 || size > NET_MAX_FRAME) {
        return;
    }
    if (net->filters->len && !pass_filters(net, net->filters->len - 1, NET_RX, header, &iov, 1)) {
        return;
    }
    receive_on(net, header, frame, size);
}

void net_deliver(NetBackend *net, const uint8_t *frame, size_t size)
{
    net_deliver_header(net, NULL, frame, size);
}

/* ---- what filters held ---- */

void net_filter_release(NetFilter *filter, NetDirection direction, const NetHeader *header, const struct iovec *iov,
                        int count)
{
    NetBackend *net = filter->net;
    guint index;
    size_t size = iov_size(iov, count);

    if (!net || !net->up || !g_ptr_array_find(net->filters, filter, &index)) {
        return;
    }
    if (!pass_filters(net, (int)index + (direction == NET_TX ? 1 : -1), direction, header, iov, count)) {
        return;
    }
    if (direction == NET_TX) {
        send_on(net, header, iov, count);
    } else if (net->frontend) {
        g_autofree uint8_t *copy = g_malloc(size);

        iov_read(iov, count, 0, copy, size);
        receive_on(net, header, copy, size);
    }
}

void net_filter_room(NetFilter *filter, NetDirection direction)
{
    if (filter->net && (direction & NET_TX)) {
        tell_writable(filter->net);
    }
    if (filter->net && (direction & NET_RX)) {
        tell_room(filter->net);
    }
}

/* ---- events ---- */

static NetEventFn *event_fn;

void net_set_event_fn(NetEventFn *fn)
{
    event_fn = fn;
}

void net_event(const char *name, Json *data)
{
    if (event_fn) {
        event_fn(name, data);
    } else {
        json_free(data);
    }
}

/* ---- the cable ---- */

void net_set_link(NetBackend *net, bool up)
{
    if (net->up != up) {
        net->up = up;
        if (!up) {
            net_queue_clear(&net->to_nic);
            net_queue_clear(&net->to_host);
        }
        if (net->ops->link_changed) {
            net->ops->link_changed(net, up);
        }
        if (net->frontend && net->frontend->link_changed) {
            net->frontend->link_changed(net->frontend_opaque, up);
        }
        net_flush(net);
        tell_writable(net);
    }
}

bool net_link_up(const NetBackend *net)
{
    return net->up;
}

/* Addresses of that row are told by their last byte. */
static const uint8_t first_mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };
static bool mac_used[256];

void net_note_mac(const uint8_t mac[6])
{
    if (memcmp(mac, first_mac, 5) == 0) {
        mac_used[mac[5]] = true;
    }
}

void net_pick_mac(uint8_t mac[6])
{
    static uint8_t next = 0x56;

    for (int i = 0; i < 256 && mac_used[next]; i++) {
        next++;
    }
    memcpy(mac, first_mac, 6);
    mac[5] = next++;
    net_note_mac(mac);
}
