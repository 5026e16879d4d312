/*
 * Virtio network device: the control queue and the filters that it sets.
 *
 * VIRTIO 1.2, 5.1.6.5.
 */
#include "hw/net/frame.h"
#include "hw/net/virtio-net.h"
#include "util/bits.h"

#include <string.h>

enum { ACK_OK = 0, ACK_ERROR = 1 };
enum { CLASS_RX, CLASS_MAC, CLASS_VLAN, CLASS_ANNOUNCE, CLASS_MQ, CLASS_OFFLOADS };
enum { RX_PROMISC, RX_ALLMULTI, RX_ALLUNI, RX_NOMULTI, RX_NOUNI, RX_NOBROADCAST };
enum { MAC_TABLE_SET, MAC_ADDRESS_SET, VLAN_ADD = 0, VLAN_DELETE = 1, ANNOUNCE_ACK = 0, MQ_PAIRS_SET = 0,
       OFFLOADS_SET = 0 };
#define MAX_VLAN 4096

/* ---- filters ---- */

static bool in_table(const uint8_t *table, unsigned count, const uint8_t *address)
{
    for (unsigned i = 0; i < count; i++) {
        if (memcmp(table + i * 6, address, 6) == 0) {
            return true;
        }
    }
    return false;
}

bool virtio_net_accepts(const VirtioNet *n, const uint8_t *frame, size_t size)
{
    const VirtioNetState *s = &n->s;

    if (virtio_has(&n->v, NET_F_CTRL_VLAN) && size >= FRAME_HEADER + FRAME_TAG && load_be16(frame + 12) == 0x8100) {
        unsigned vlan = load_be16(frame + 14) & (MAX_VLAN - 1);

        if (!(s->vlans[vlan / 32] >> vlan % 32 & 1)) {
            return false;
        }
    }
    if (s->promisc) {
        return true;
    }
    if (frame_is_broadcast(frame)) {
        return !s->no_broadcast;
    }
    if (frame_is_multicast(frame)) {
        return !s->no_multi && (s->all_multi || s->multi_overflow ||
                                in_table(s->table + s->uni_count * 6, s->multi_count, frame));
    }
    return !s->no_uni && (s->all_uni || s->uni_overflow || memcmp(s->mac, frame, 6) == 0 ||
                          in_table(s->table, s->uni_count, frame));
}

/* ---- commands ---- */

/* What is left of a request's data. */
typedef struct Input {
    const VirtqChain *chain;
    size_t at;
} Input;

static bool take(Input *in, void *to, size_t size)
{
    if (iov_read(in->chain->out, in->chain->out_count, in->at, to, size) != size) {
        return false;
    }
    in->at += size;
    return true;
}

static uint8_t set_rx_mode(VirtioNet *n, unsigned command, Input *in)
{
    bool *const modes[] = { &n->s.promisc, &n->s.all_multi, &n->s.all_uni, &n->s.no_multi, &n->s.no_uni,
                            &n->s.no_broadcast };
    uint8_t on;

    if (command >= G_N_ELEMENTS(modes) || !take(in, &on, 1)) {
        return ACK_ERROR;
    }
    *modes[command] = on;
    net_flush(n->nic.net);
    return ACK_OK;
}

/* One of the table's two lists; behind `used` entries. More than fit are not kept: then all are let in. */
static bool take_list(Input *in, uint8_t *table, unsigned used, uint8_t *count, bool *overflow)
{
    uint8_t bytes[4];
    uint32_t entries;

    if (!take(in, bytes, 4)) {
        return false;
    }
    entries = load_le32(bytes);
    *overflow = entries > VIRTIO_NET_MACS - used;
    *count = *overflow ? 0 : entries;
    if (*overflow) {
        in->at += (size_t)entries * 6;
        return in->at <= in->chain->out_size;
    }
    return take(in, table + used * 6, (size_t)entries * 6);
}

static uint8_t set_table(VirtioNet *n, Input *in)
{
    VirtioNetState new = n->s;

    if (!take_list(in, new.table, 0, &new.uni_count, &new.uni_overflow) ||
        !take_list(in, new.table, new.uni_count, &new.multi_count, &new.multi_overflow)) {
        return ACK_ERROR;
    }
    n->s = new;
    return ACK_OK;
}

static uint8_t set_vlan(VirtioNet *n, unsigned command, Input *in)
{
    uint8_t bytes[2];
    unsigned vlan;

    if (command > VLAN_DELETE || !take(in, bytes, 2) || (vlan = load_le16(bytes)) >= MAX_VLAN) {
        return ACK_ERROR;
    }
    if (command == VLAN_ADD) {
        n->s.vlans[vlan / 32] |= 1u << vlan % 32;
    } else {
        n->s.vlans[vlan / 32] &= ~(1u << vlan % 32);
    }
    return ACK_OK;
}

static uint8_t set_pairs(VirtioNet *n, Input *in)
{
    uint8_t bytes[2];

    if (!take(in, bytes, 2) || load_le16(bytes) < 1 || load_le16(bytes) > n->max_pairs) {
        return ACK_ERROR;
    }
    n->s.pairs = load_le16(bytes);
    memset(n->flows, 0, sizeof(n->flows));
    return ACK_OK;
}

static uint8_t set_offloads(VirtioNet *n, Input *in)
{
    const uint64_t known = VIRTIO_BIT(NET_F_GUEST_CSUM) | VIRTIO_BIT(NET_F_GUEST_TSO4) | VIRTIO_BIT(NET_F_GUEST_TSO6) |
                           VIRTIO_BIT(NET_F_GUEST_ECN) | VIRTIO_BIT(NET_F_GUEST_USO4) | VIRTIO_BIT(NET_F_GUEST_USO6);
    uint8_t bytes[8];

    if (!take(in, bytes, 8) || (load_le64(bytes) & ~(n->v.features & known))) {
        return ACK_ERROR;
    }
    n->s.guest_offloads = load_le64(bytes);
    virtio_net_apply_offloads(n);
    return ACK_OK;
}

static uint8_t run(VirtioNet *n, unsigned class, unsigned command, Input *in)
{
    switch (class) {
    case CLASS_RX:
        return set_rx_mode(n, command, in);
    case CLASS_MAC:
        if (command == MAC_TABLE_SET) {
            return set_table(n, in);
        }
        return command == MAC_ADDRESS_SET && in->chain->out_size >= in->at + 6 && take(in, n->s.mac, 6) ? ACK_OK
                                                                                                     : ACK_ERROR;
    case CLASS_VLAN:
        return set_vlan(n, command, in);
    case CLASS_ANNOUNCE:
        if (command != ANNOUNCE_ACK || !n->s.announce) {
            return ACK_ERROR;
        }
        n->s.announce = false;
        return ACK_OK;
    case CLASS_MQ:
        return command == MQ_PAIRS_SET && virtio_has(&n->v, NET_F_MQ) ? set_pairs(n, in) : ACK_ERROR;
    case CLASS_OFFLOADS:
        return command == OFFLOADS_SET && virtio_has(&n->v, NET_F_CTRL_GUEST_OFFLOADS) ? set_offloads(n, in) : ACK_ERROR;
    default:
        return ACK_ERROR;
    }
}

void virtio_net_control(VirtioNet *n, VirtQueue *q)
{
    VirtqChain *chain;

    while ((chain = virtq_pop(q, sizeof(*chain)))) {
        Input in = { chain, 0 };
        uint8_t header[2], ack = ACK_ERROR;

        if (!take(&in, header, sizeof(header)) || chain->in_size < 1) {
            virtio_error(&n->v, "control request of %zu bytes with %zu for its answer", chain->out_size, chain->in_size);
            virtq_push(chain, 0);
            return;
        }
        ack = run(n, header[0], header[1], &in);
        iov_write(chain->in, chain->in_count, 0, &ack, 1);
        virtq_push(chain, 1);
    }
    virtq_notify(q);
}
