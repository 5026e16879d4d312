/*
 * Virtio network device: features, configuration, receive and transmit queues.
 *
 * VIRTIO 1.2, 5.1. Checksums and segmentation are offered both ways whatever the backend is: what it cannot take,
 * backends/net completes.
 */
#include "hw/net/virtio-net.h"

#include "core/machine.h"
#include "hw/net/frame.h"
#include "util/bits.h"
#include "util/error.h"

#include <string.h>

#define HEADER_SHORT 10 /* before virtio 1, without mergeable buffers */
#define HEADER_LONG  12 /* with num_buffers */
#define MAX_BUFFERS  64 /* that one frame may be spread over */
#define TX_TURN      256 /* frames sent before the vCPU goes on */
#define TX_PAUSE     (10 * NS_PER_US)
enum { ETHERTYPE_IP4 = 0x0800, ETHERTYPE_IP6 = 0x86dd };
enum { CONFIG_MAC = 0, CONFIG_STATUS = 6, CONFIG_PAIRS = 8, CONFIG_MTU = 10, CONFIG_SPEED = 12, CONFIG_DUPLEX = 16,
       CONFIG_SIZE = 17 };

static VirtioNet *net_of(VirtioDevice *v)
{
    return (VirtioNet *)v;
}

static size_t header_size(const VirtioNet *n)
{
    return virtio_has(&n->v, VIRTIO_F_VERSION_1) || virtio_has(&n->v, NET_F_MRG_RXBUF) ? HEADER_LONG : HEADER_SHORT;
}

/* ---- features and configuration ---- */

static uint64_t features(VirtioDevice *v)
{
    const VirtioNet *n = net_of(v);
    bool ctrl = n->ctrl_vq;
    const struct {
        unsigned bit;
        bool on;
    } offered[] = {
        { NET_F_MAC, true },
        { NET_F_CSUM, n->csum },
        { NET_F_HOST_TSO4, n->csum && n->gso && n->host_tso4 },
        { NET_F_HOST_TSO6, n->csum && n->gso && n->host_tso6 },
        { NET_F_HOST_ECN, n->csum && n->gso && n->host_ecn },
        { NET_F_HOST_USO, n->csum && n->gso && n->host_uso },
        { NET_F_GUEST_CSUM, n->guest_csum },
        { NET_F_GUEST_TSO4, n->guest_csum && n->guest_tso4 },
        { NET_F_GUEST_TSO6, n->guest_csum && n->guest_tso6 },
        { NET_F_GUEST_ECN, n->guest_csum && n->guest_ecn },
        { NET_F_GUEST_USO4, n->guest_csum && n->guest_uso4 },
        { NET_F_GUEST_USO6, n->guest_csum && n->guest_uso6 },
        { NET_F_MRG_RXBUF, n->mrg_rxbuf },
        { NET_F_STATUS, n->status },
        { NET_F_CTRL_VQ, ctrl },
        { NET_F_CTRL_RX, ctrl && n->ctrl_rx },
        { NET_F_CTRL_RX_EXTRA, ctrl && n->ctrl_rx_extra },
        { NET_F_CTRL_VLAN, ctrl && n->ctrl_vlan },
        { NET_F_CTRL_MAC_ADDR, ctrl && n->ctrl_mac_addr },
        { NET_F_CTRL_GUEST_OFFLOADS, ctrl && n->ctrl_guest_offloads },
        { NET_F_GUEST_ANNOUNCE, ctrl && n->status && n->guest_announce },
        { NET_F_MQ, ctrl && n->max_pairs > 1 },
        { NET_F_MTU, n->host_mtu != 0 },
        { NET_F_SPEED_DUPLEX, n->speed >= 0 || n->duplex },
    };
    uint64_t bits = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(offered); i++) {
        bits |= offered[i].on ? VIRTIO_BIT(offered[i].bit) : 0;
    }
    return bits;
}

static void features_set(VirtioDevice *v)
{
    VirtioNet *n = net_of(v);

    /* At first all of them are on; the control queue may switch some off. */
    n->s.guest_offloads = v->features & (VIRTIO_BIT(NET_F_GUEST_CSUM) | VIRTIO_BIT(NET_F_GUEST_TSO4) |
                                         VIRTIO_BIT(NET_F_GUEST_TSO6) | VIRTIO_BIT(NET_F_GUEST_ECN) |
                                         VIRTIO_BIT(NET_F_GUEST_USO4) | VIRTIO_BIT(NET_F_GUEST_USO6));
    virtio_net_apply_offloads(n);
}

void virtio_net_apply_offloads(VirtioNet *n)
{
    uint64_t on = n->s.guest_offloads, uso = VIRTIO_BIT(NET_F_GUEST_USO4) | VIRTIO_BIT(NET_F_GUEST_USO6);
    unsigned offloads = 0;

    if (on & VIRTIO_BIT(NET_F_GUEST_CSUM)) {
        offloads = NET_CAN_CSUM | (on & VIRTIO_BIT(NET_F_GUEST_TSO4) ? NET_CAN_TSO4 : 0) |
                   (on & VIRTIO_BIT(NET_F_GUEST_TSO6) ? NET_CAN_TSO6 : 0) |
                   (on & VIRTIO_BIT(NET_F_GUEST_ECN) ? NET_CAN_ECN : 0) | ((on & uso) == uso ? NET_CAN_USO : 0);
    }
    if (n->nic.net) {
        net_set_offloads(n->nic.net, offloads);
    }
}

static void get_config(VirtioDevice *v, uint8_t *config)
{
    const VirtioNet *n = net_of(v);

    memcpy(config + CONFIG_MAC, n->s.mac, 6);
    store_le16(config + CONFIG_STATUS, (nic_link_up(&n->nic) ? NET_S_LINK_UP : 0) | (n->s.announce ? NET_S_ANNOUNCE : 0));
    store_le16(config + CONFIG_PAIRS, n->max_pairs);
    store_le16(config + CONFIG_MTU, n->host_mtu);
    store_le32(config + CONFIG_SPEED, n->speed);
    config[CONFIG_DUPLEX] = !n->duplex ? 0xff : g_str_equal(n->duplex, "full") ? 1 : 0;
}

/* Before virtio 1 a driver sets the address by writing it here. */
static void set_config(VirtioDevice *v, unsigned offset, const uint8_t *bytes, unsigned size)
{
    VirtioNet *n = net_of(v);

    if (!virtio_has(v, VIRTIO_F_VERSION_1) && !virtio_has(v, NET_F_CTRL_MAC_ADDR)) {
        for (unsigned i = 0; i < size && offset + i < 6; i++) {
            n->s.mac[offset + i] = bytes[i];
        }
    }
}

static void link_changed(void *opaque, bool up)
{
    VirtioNet *n = opaque;

    virtio_config_changed(&n->v);
}

/* ---- queues ---- */

static VirtQueue *rx_queue(const VirtioNet *n, unsigned pair)
{
    return virtio_queue((VirtioDevice *)&n->v, pair * 2);
}

/* The control queue is behind the pairs that the driver knows of. */
static unsigned control_index(const VirtioNet *n)
{
    return virtio_has(&n->v, NET_F_MQ) ? n->max_pairs * 2 : 2;
}

/*
 * Both directions of a connection give the same number, below VIRTIO_NET_FLOWS: the queue that sends is where the
 * answers go. The beginning of the frame is enough, and a wrong guess costs nothing but order.
 */
static unsigned flow_of(const uint8_t *frame, size_t size)
{
    uint16_t type = size >= FRAME_HEADER ? load_be16(frame + 12) : 0;
    const uint8_t *ip = frame + FRAME_HEADER;
    size_t addresses = type == ETHERTYPE_IP4 ? 12 : 8, ports = type == ETHERTYPE_IP4 ? 20 : 40;
    uint32_t mix = 0;

    if ((type != ETHERTYPE_IP4 && type != ETHERTYPE_IP6) || size < FRAME_HEADER + ports + 4) {
        return 0;
    }
    for (size_t at = addresses; at < ports; at += 4) {
        mix ^= load_be32(ip + at);
    }
    mix ^= load_be16(ip + ports) ^ load_be16(ip + ports + 2);
    return (mix * 0x9e3779b1u) >> 24;
}

/* ---- reception ---- */

static bool is_receiving(const VirtioNet *n)
{
    VirtQueue *q = rx_queue(n, 0);

    return virtio_ready(&n->v) && virtq_enabled(q);
}

static bool can_receive(void *opaque)
{
    VirtioNet *n = opaque;
    bool room = false;

    if (!is_receiving(n)) {
        return true; /* lost, as on the wire of a card that is off */
    }
    for (unsigned pair = 0; pair < n->s.pairs && !n->waiting && !room; pair++) {
        VirtQueue *q = rx_queue(n, pair);

        /* Off again in notify, when buffers have come. */
        room = virtq_has_buffers(q) || (virtq_want_notify(q, true) && virtq_has_buffers(q));
    }
    return room;
}

/*
 * Puts a frame behind its header into one buffer, or several if the driver merges them. False: not enough of them
 * yet, and none was taken.
 */
static bool put_in_queue(VirtioNet *n, VirtQueue *q, const NetHeader *header, const uint8_t *frame, size_t size)
{
    VirtqChain *chains[MAX_BUFFERS];
    size_t written[MAX_BUFFERS], room = 0, done = 0, head = header_size(n), wanted = head + size;
    unsigned count = 0, limit = virtio_has(&n->v, NET_F_MRG_RXBUF) ? MAX_BUFFERS : 1;
    uint8_t bytes[HEADER_LONG] = { 0 };

    while (room < wanted && count < limit) {
        VirtqChain *chain = virtq_pop(q, sizeof(*chain));

        if (!chain) {
            break;
        }
        room += chain->in_size;
        chains[count++] = chain;
    }
    if (room < wanted && count < limit && count < virtq_size(q)) {
        while (count) {
            virtq_unpop(chains[--count]);
        }
        return false;
    }
    if (room < wanted || chains[0]->in_size < head) { /* it never fits: lost, and the buffers go on */
        while (count) {
            virtq_unpop(chains[--count]);
        }
        return true;
    }
    memcpy(bytes, header, HEADER_SHORT);
    store_le16(bytes + HEADER_SHORT, count);
    for (unsigned i = 0; i < count; i++) {
        size_t at = i ? 0 : iov_write(chains[0]->in, chains[0]->in_count, 0, bytes, head);
        size_t part = iov_write(chains[i]->in, chains[i]->in_count, at, frame + done, size - done);

        written[i] = at + part;
        done += part;
    }
    virtq_push_all(chains, written, count);
    virtq_notify(q);
    return true;
}

static void deliver(VirtioNet *n, const NetHeader *header, const uint8_t *frame, size_t size)
{
    unsigned pair = n->s.pairs > 1 ? n->flows[flow_of(frame, size)] % n->s.pairs : 0;
    VirtQueue *q = rx_queue(n, pair);

    if (put_in_queue(n, q, header, frame, size)) {
        return;
    }
    if (!n->waiting) {
        n->waiting = g_memdup2(frame, size);
        n->waiting_size = size;
        n->waiting_header = *header;
    }
    if (virtq_want_notify(q, true) && put_in_queue(n, q, header, frame, size)) { /* buffers came meanwhile */
        g_clear_pointer(&n->waiting, g_free);
    }
}

static void receive(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size)
{
    VirtioNet *n = opaque;
    uint8_t padded[FRAME_MIN];

    if (!is_receiving(n) || size < FRAME_HEADER || !virtio_net_accepts(n, frame, size)) {
        return;
    }
    if (size < FRAME_MIN) {
        memset(padded, 0, sizeof(padded));
        memcpy(padded, frame, size);
        frame = padded;
        size = FRAME_MIN;
    }
    deliver(n, header, frame, size);
}

static void buffers_came(VirtioNet *n, VirtQueue *q)
{
    g_autofree uint8_t *frame = g_steal_pointer(&n->waiting);

    virtq_want_notify(q, false);
    if (frame) {
        NetHeader header = n->waiting_header;

        deliver(n, &header, frame, n->waiting_size);
    }
    net_flush(n->nic.net);
}

/* ---- transmission ---- */

static void send_chain(VirtioNet *n, VirtqChain *chain, unsigned pair)
{
    size_t head = header_size(n);
    NetHeader header;
    struct iovec parts[VIRTQ_MAX_SIZE];
    unsigned count;

    if (iov_read(chain->out, chain->out_count, 0, &header, sizeof(header)) != sizeof(header) ||
        chain->out_size < head + FRAME_HEADER || chain->out_size > head + NET_MAX_FRAME ||
        chain->out_count > G_N_ELEMENTS(parts)) {
        return;
    }
    count = iov_part(chain->out, chain->out_count, head, chain->out_size - head, parts);
    if (n->s.pairs > 1) {
        uint8_t start[128];
        size_t size = iov_read(chain->out, chain->out_count, head, start, sizeof(start));

        n->flows[flow_of(start, size)] = pair;
    }
    header.flags &= NET_HDR_NEEDS_CSUM;
    net_send_iov(n->nic.net, header.flags || header.gso_type ? &header : NULL, parts, count);
}

static void transmit(VirtioNet *n, VirtQueue *q)
{
    unsigned pair = virtq_index(q) / 2;

    if (!virtio_ready(&n->v) || !virtq_enabled(q)) {
        return;
    }
    virtq_want_notify(q, false);
    for (int sent = 0;;) {
        VirtqChain *chain;

        if (!nic_writable(&n->nic)) {
            break; /* `writable` goes on */
        }
        if (sent == TX_TURN) {
            timer_set(n->more, clock_now(CLOCK_GUEST) + TX_PAUSE);
            break;
        }
        chain = virtq_pop(q, sizeof(*chain));
        if (!chain) {
            if (virtq_want_notify(q, true)) {
                virtq_want_notify(q, false);
                continue;
            }
            break;
        }
        send_chain(n, chain, pair);
        virtq_push(chain, 0);
        sent++;
    }
    virtq_notify(q);
}

static void transmit_all(void *opaque)
{
    VirtioNet *n = opaque;

    for (unsigned pair = 0; pair < n->max_pairs; pair++) {
        transmit(n, virtio_queue(&n->v, pair * 2 + 1));
    }
}

static const NetFrontend frontend = {
    .can_receive = can_receive,
    .receive_header = receive,
    .link_changed = link_changed,
    .writable = transmit_all,
};

static void notify(VirtioDevice *v, VirtQueue *q)
{
    VirtioNet *n = net_of(v);
    unsigned index = virtq_index(q);

    if (virtio_has(v, NET_F_CTRL_VQ) && index == control_index(n)) {
        virtio_net_control(n, q);
    } else if (index >= n->max_pairs * 2) {
        return; /* the control queue's number if the driver knew of several pairs */
    } else if (index & 1) {
        transmit(n, q);
    } else {
        buffers_came(n, q);
    }
}

/* ---- the device ---- */

static void reset(VirtioDevice *v, VirtQueue *q)
{
    VirtioNet *n = net_of(v);

    g_clear_pointer(&n->waiting, g_free);
    if (q) {
        return;
    }
    state_reset(VirtioNetState_fields, &n->s);
    memcpy(n->s.mac, n->nic.mac, 6);
    memset(n->flows, 0, sizeof(n->flows));
    timer_cancel(n->more);
    timer_cancel(n->moved);
    virtio_net_apply_offloads(n);
}

/* A group of its own: the transport resets the device before it loads. A frame that waits is lost, as networks may. */
static char *state_group(VirtioDevice *v)
{
    return g_strconcat(v->pci.dev.id, ".net", NULL);
}

static void save(VirtioDevice *v, GKeyFile *out)
{
    g_autofree char *group = state_group(v);

    state_save(VirtioNetState_fields, &net_of(v)->s, out, group);
}

static bool load(VirtioDevice *v, GKeyFile *in, GError **error)
{
    VirtioNet *n = net_of(v);
    VirtioNetState *s = &n->s;
    g_autofree char *group = state_group(v);

    if (!state_load(VirtioNetState_fields, s, in, group, error)) {
        return false;
    }
    s->pairs = CLAMP(s->pairs, 1, n->max_pairs);
    s->uni_count = MIN(s->uni_count, VIRTIO_NET_MACS);
    s->multi_count = MIN(s->multi_count, VIRTIO_NET_MACS - s->uni_count);
    g_clear_pointer(&n->waiting, g_free);
    virtio_net_apply_offloads(n);
    timer_set(n->moved, clock_now(CLOCK_GUEST));
    return true;
}

/* The machine runs again after a snapshot was loaded: the network learns where the guest is now. */
static void moved(void *opaque)
{
    VirtioNet *n = opaque;

    if (virtio_has(&n->v, NET_F_GUEST_ANNOUNCE)) {
        n->s.announce = true;
        virtio_config_changed(&n->v);
    }
    transmit_all(n);
}

static bool check_properties(const VirtioNet *n, GError **error)
{
    const struct {
        const char *name;
        uint32_t size;
    } queues[] = { { "rx_queue_size", n->rx_queue_size }, { "tx_queue_size", n->tx_queue_size } };

    for (size_t i = 0; i < G_N_ELEMENTS(queues); i++) {
        uint32_t size = queues[i].size;

        if (size < 64 || size > VIRTQ_MAX_SIZE || (size & (size - 1))) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s=%u: must be a power of two from 64 to %d", queues[i].name, size,
                        VIRTQ_MAX_SIZE);
            return false;
        }
    }
    if (n->duplex && !g_str_equal(n->duplex, "full") && !g_str_equal(n->duplex, "half")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "duplex=%s: must be full or half", n->duplex);
        return false;
    }
    if (n->host_mtu && (n->host_mtu < 68 || n->host_mtu > 65535)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "host_mtu=%u: must be from 68 to 65535", n->host_mtu);
        return false;
    }
    return true;
}

static bool realize(VirtioDevice *v, GError **error)
{
    VirtioNet *n = net_of(v);

    if (!check_properties(n, error)) {
        return false;
    }
    n->max_pairs = 1;
    if (n->mq) { /* as many as the backend has, else one for each processor */
        int queues = n->nic.net ? net_queues(n->nic.net) : 1;

        n->max_pairs = CLAMP(queues > 1 ? queues : machine_config.cpus, 1, VIRTIO_NET_MAX_PAIRS);
    }
    for (unsigned pair = 0; pair < n->max_pairs; pair++) {
        virtio_add_queue(v, n->rx_queue_size);
        virtio_add_queue(v, n->tx_queue_size);
    }
    if (n->ctrl_vq) {
        virtio_add_queue(v, 64);
    }
    n->more = timer_new(CLOCK_GUEST, transmit_all, n);
    n->moved = timer_new(CLOCK_GUEST, moved, n);
    return nic_attach(&n->nic, &frontend, n, error);
}

static void unrealize(VirtioDevice *v)
{
    VirtioNet *n = net_of(v);

    nic_detach(&n->nic);
    timer_free(n->more);
    timer_free(n->moved);
    g_clear_pointer(&n->waiting, g_free);
}

static const VirtioClass virtio_net_class = {
    .name = "virtio-net",
    .id = VIRTIO_ID_NET,
    .legacy_id = 0x1000,
    .pci_class = 0x020000,
    .config_size = CONFIG_SIZE,
    .rom = "efi-virtio.rom",
    .realize = realize,
    .unrealize = unrealize,
    .features = features,
    .features_set = features_set,
    .get_config = get_config,
    .set_config = set_config,
    .notify = notify,
    .reset = reset,
    .save = save,
    .load = load,
};

#define FEATURE(member, text) PROP(VirtioNet, member, #member, PROP_BOOL, "on", text)

static const Prop virtio_net_props[] = {
    VIRTIO_PROPS(VirtioNet),
    NIC_PROPS(VirtioNet),
    FEATURE(csum, "checksums of what the guest sends"),
    FEATURE(gso, "large sends of the guest"),
    FEATURE(host_tso4, "... by TCP over IPv4"),
    FEATURE(host_tso6, "... by TCP over IPv6"),
    FEATURE(host_ecn, "... with explicit congestion notification"),
    FEATURE(host_uso, "... by UDP"),
    FEATURE(guest_csum, "the guest takes frames without checksums"),
    FEATURE(guest_tso4, "the guest takes large TCP over IPv4"),
    FEATURE(guest_tso6, "the guest takes large TCP over IPv6"),
    FEATURE(guest_ecn, "... with explicit congestion notification"),
    FEATURE(guest_uso4, "the guest takes large UDP over IPv4"),
    FEATURE(guest_uso6, "the guest takes large UDP over IPv6"),
    FEATURE(guest_announce, "the guest announces itself after it moved"),
    FEATURE(mrg_rxbuf, "frames over several receive buffers"),
    FEATURE(status, "the link's status"),
    FEATURE(ctrl_vq, "the control queue"),
    FEATURE(ctrl_rx, "receive modes by the control queue"),
    FEATURE(ctrl_rx_extra, "further receive modes"),
    FEATURE(ctrl_vlan, "VLAN filters by the control queue"),
    FEATURE(ctrl_mac_addr, "addresses by the control queue"),
    FEATURE(ctrl_guest_offloads, "offloads by the control queue"),
    PROP(VirtioNet, mq, "mq", PROP_BOOL, "off", "several pairs of queues"),
    PROP(VirtioNet, rx_queue_size, "rx_queue_size", PROP_U32, "256", "entries of a receive queue"),
    PROP(VirtioNet, tx_queue_size, "tx_queue_size", PROP_U32, "256", "entries of a transmit queue"),
    PROP(VirtioNet, host_mtu, "host_mtu", PROP_U32, "0", "MTU that the guest is to use, 0: as it likes"),
    PROP(VirtioNet, speed, "speed", PROP_I32, "-1", "Mbit/s to report, -1: unknown"),
    PROP(VirtioNet, duplex, "duplex", PROP_STRING, NULL, "full or half, to report"),
    { 0 },
};

VIRTIO_TYPES(virtio_net, "virtio-net", "virtio-net", "Virtio network card", VirtioNet, &virtio_net_class,
             virtio_net_props, NULL, 0, true);
