/* VMXNET3: what is sent from and received into the driver's rings. The facts are those of the drivers in Linux and iPXE. */
#include "hw/net/vmxnet3.h"

#include "hw/net/frame.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

/* A descriptor's third doubleword ... */
enum { TXD_GEN = 1 << 14, RXD_BODY = 1 << 14, LENGTH_MASK = 0x3fff };
#define RXD_GEN (1u << 31)
/* ... and the fourth of one to send. */
enum { TXD_HEADER_MASK = 0x3ff, TXD_OFFLOAD_SHIFT = 10, TXD_EOP = 1 << 12, TXD_COMPLETE = 1 << 13, TXD_TAG = 1 << 15 };
enum { OFFLOAD_CSUM = 2, OFFLOAD_TSO = 3 };
/* Completions: first, third and fourth doubleword. */
enum { RXC_EOP = 1 << 14, RXC_SOP = 1 << 15, RXC_NO_CSUM = 1 << 30 };
enum { RXC_TAG_STRIPPED = 1 << 15 };
enum { RXC_TRANSPORT_OK = 1 << 16, RXC_UDP = 1 << 17, RXC_TCP = 1 << 18, RXC_IP_OK = 1 << 19, RXC_IP6 = 1 << 20, RXC_IP4 = 1 << 21,
       RXC_FCS_OK = 1 << 23, RXC_TYPE = 3 << 24 };
#define COMP_GEN (1u << 31)
#define MAX_BUFFERS 64 /* of one packet that comes */
enum { ETHERTYPE_VLAN = 0x8100 };

static void step(uint32_t *next, uint8_t *gen, uint32_t size)
{
    if (++*next >= size) {
        *next = 0;
        *gen ^= 1;
    }
}

/* ---- transmission ---- */

/* What the descriptors of a packet say of it besides where it is. */
typedef struct TxPacket {
    size_t size;
    unsigned offload, header, value; /* header: where the checksum starts, or the headers' size with TSO */
    bool is_tagged, is_complete, is_damaged;
    uint16_t tag;
} TxPacket;

static void complete(Vmxnet3 *v, unsigned queue, uint32_t index)
{
    Vmxnet3State *s = &v->s;
    uint8_t c[16] = { 0 };

    store_le32(c, index);
    store_le32(c + 12, s->tx_comp_gen[queue] ? COMP_GEN : 0);
    pci_dma_write(&v->pci, s->tx_comp_base[queue] + (uint64_t)s->tx_comp_next[queue] * 16, c, sizeof(c));
    step(&s->tx_comp_next[queue], &s->tx_comp_gen[queue], s->tx_comp_size[queue]);
}

static void insert_tag(Vmxnet3 *v, TxPacket *p)
{
    if (p->is_tagged && p->size >= 12 && p->size + FRAME_TAG <= sizeof(v->packet)) {
        memmove(v->packet + 16, v->packet + 12, p->size - 12);
        store_be16(v->packet + 12, ETHERTYPE_VLAN);
        store_be16(v->packet + 14, p->tag);
        p->size += FRAME_TAG;
        p->header += FRAME_TAG;
        p->value += p->offload == OFFLOAD_CSUM ? FRAME_TAG : 0;
    }
}

/* False: the packet is not what its descriptor says. */
static bool make_segments_header(Vmxnet3 *v, const TxPacket *p, NetHeader *header)
{
    FrameLayout l;

    if (!p->value || !frame_parse(v->packet, p->size, &l) || !l.tcp || l.payload != p->header || l.end != p->size) {
        return false;
    }
    if (l.ip4) {
        frame_put_ip_checksum(v->packet, &l);
    }
    frame_put_pseudo_sum(v->packet, &l);
    *header = (NetHeader){
        .flags = NET_HDR_NEEDS_CSUM,
        .gso_type = l.payload + p->value >= p->size ? NET_GSO_NONE : l.ip4 ? NET_GSO_TCP4 : NET_GSO_TCP6,
        .header_size = l.payload,
        .gso_size = p->value,
        .csum_start = l.transport,
        .csum_offset = 16,
    };
    return true;
}

static void count_sent(Vmxnet3 *v, unsigned queue, const TxPacket *p)
{
    uint64_t *c = v->s.tx_counters + queue * VMXNET3_COUNTERS;
    unsigned kind = p->offload == OFFLOAD_TSO            ? TX_TSO
                    : frame_is_broadcast(v->packet) ? TX_BROADCAST
                    : frame_is_multicast(v->packet) ? TX_MULTICAST
                                                    : TX_UNICAST;

    c[kind]++;
    c[kind + 1] += p->size;
}

static void send_packet(Vmxnet3 *v, unsigned queue, TxPacket *p)
{
    uint64_t *counters = v->s.tx_counters + queue * VMXNET3_COUNTERS;
    NetHeader header = { 0 };
    struct iovec iov;

    insert_tag(v, p);
    if (p->is_damaged || p->size < FRAME_HEADER || (p->offload == OFFLOAD_TSO && !make_segments_header(v, p, &header))) {
        guest_error(v->pci.dev.id, "a packet of %zu bytes that its descriptors do not describe", p->size);
        counters[TX_ERRORS]++;
        return;
    }
    count_sent(v, queue, p);
    if (p->offload == OFFLOAD_CSUM && p->value >= p->header) {
        header = (NetHeader){ .flags = NET_HDR_NEEDS_CSUM, .csum_start = p->header, .csum_offset = p->value - p->header };
    }
    if (header.flags && p->size >= FRAME_MIN) {
        iov = (struct iovec){ v->packet, p->size };
        net_send_iov(v->nic.net, &header, &iov, 1);
        return;
    }
    if (header.flags) { /* too short for the wire as it is, and what fills it up does not change its sum */
        memset(v->packet + p->size, 0, FRAME_MIN - p->size);
        iov = (struct iovec){ v->packet, FRAME_MIN };
        net_send_iov(v->nic.net, &header, &iov, 1);
        return;
    }
    nic_send(&v->nic, v->packet, p->size);
}

/* Adds the data of one descriptor; the first says what is to be done with the packet. */
static void gather(Vmxnet3 *v, TxPacket *p, const uint8_t *d, bool is_first)
{
    uint32_t low = load_le32(d + 8), high = load_le32(d + 12);
    size_t size = low & LENGTH_MASK ? low & LENGTH_MASK : LENGTH_MASK + 1;

    if (is_first) {
        *p = (TxPacket){ .offload = high >> TXD_OFFLOAD_SHIFT & 3, .header = high & TXD_HEADER_MASK, .value = low >> 18 };
    }
    if (size > sizeof(v->packet) - p->size) {
        p->is_damaged = true;
        return;
    }
    pci_dma_read(&v->pci, load_le64(d), v->packet + p->size, size);
    p->size += size;
    if (high & TXD_TAG) {
        p->is_tagged = true;
        p->tag = high >> 16;
    }
    p->is_complete = high & TXD_COMPLETE;
}

/*
 * Sends the packet that begins at the ring's next entry, and steps over it. False: there is none, or its last
 * descriptor is not there yet, which drivers do not do.
 */
static bool send_next(Vmxnet3 *v, unsigned queue)
{
    Vmxnet3State *s = &v->s;
    uint32_t next = s->tx_next[queue], size = s->tx_size[queue];
    uint8_t gen = s->tx_gen[queue];
    TxPacket packet;

    for (uint32_t n = 0; n < size; n++) {
        uint32_t index = next;
        uint8_t d[16];

        if (!pci_dma_read(&v->pci, s->tx_base[queue] + (uint64_t)index * 16, d, sizeof(d)) ||
            (load_le32(d + 8) & TXD_GEN ? 1 : 0) != gen) {
            return false;
        }
        gather(v, &packet, d, n == 0);
        step(&next, &gen, size);
        if (load_le32(d + 12) & TXD_EOP) {
            s->tx_next[queue] = next;
            s->tx_gen[queue] = gen;
            send_packet(v, queue, &packet);
            if (packet.is_complete) {
                complete(v, queue, index);
            }
            return true;
        }
    }
    return false;
}

void vmxnet3_transmit(Vmxnet3 *v, unsigned queue)
{
    bool any = false;

    if (!v->s.active || queue >= v->s.tx_count) {
        return;
    }
    for (uint32_t n = 0; n < v->s.tx_size[queue] && nic_writable(&v->nic) && send_next(v, queue); n++) {
        any = true;
    }
    if (any) {
        vmxnet3_raise(v, v->s.tx_vector[queue]);
    }
}

void vmxnet3_transmit_all(void *opaque)
{
    for (unsigned queue = 0; queue < VMXNET3_TX_QUEUES; queue++) {
        vmxnet3_transmit(opaque, queue);
    }
}

/* ---- reception ---- */

/* A place in one of a queue's two rings. */
typedef struct Cursor {
    uint32_t next;
    uint8_t gen;
} Cursor;

typedef struct Buffer {
    uint64_t address;
    uint32_t size, index;
    unsigned ring;
} Buffer;

/* The descriptor under the cursor, if it is the card's to use. */
static bool look(Vmxnet3 *v, unsigned ring, const Cursor *at, uint8_t d[16])
{
    return pci_dma_read(&v->pci, v->s.rx_base[ring] + (uint64_t)at->next * 16, d, 16) &&
           (load_le32(d + 8) & RXD_GEN ? 1 : 0) == at->gen;
}

static void take(Vmxnet3 *v, unsigned ring, Cursor *at, const uint8_t *d, Buffer *buffer)
{
    *buffer = (Buffer){ load_le64(d), load_le32(d + 8) & LENGTH_MASK, at->next, ring };
    step(&at->next, &at->gen, v->s.rx_size[ring]);
}

static bool is_body(const uint8_t *d)
{
    return load_le32(d + 8) & RXD_BODY;
}

/* The first ring has heads, each with some bodies behind it, which are left out if they are not needed. */
static bool find_head(Vmxnet3 *v, unsigned ring, Cursor *at, Buffer *buffer)
{
    uint8_t d[16];

    for (uint32_t n = 0; n < v->s.rx_size[ring] && look(v, ring, at, d); n++) {
        take(v, ring, at, d, buffer);
        if (!is_body(d)) {
            return true;
        }
    }
    return false;
}

/* More for the same packet: what is behind its head, else from the second ring. */
static bool find_body(Vmxnet3 *v, unsigned ring, Cursor at[2], Buffer *buffer)
{
    for (unsigned i = 0; i < 2; i++) {
        uint8_t d[16];

        if (v->s.rx_size[ring + i] && look(v, ring + i, &at[i], d) && is_body(d)) {
            take(v, ring + i, &at[i], d, buffer);
            return true;
        }
    }
    return false;
}

/* Fewer than the frame needs: 0, and the rings are as they were. */
static unsigned find_buffers(Vmxnet3 *v, unsigned queue, size_t size, Buffer buffers[MAX_BUFFERS])
{
    Vmxnet3State *s = &v->s;
    unsigned ring = queue * 2, count = 0;
    Cursor at[2] = { { s->rx_next[ring], s->rx_gen[ring] }, { s->rx_next[ring + 1], s->rx_gen[ring + 1] } };
    size_t room = 0;

    while (room < size) {
        if (count == MAX_BUFFERS || !(count ? find_body(v, ring, at, buffers + count) : find_head(v, ring, at, buffers))) {
            return 0;
        }
        room += buffers[count++].size;
    }
    for (int i = 0; i < 2; i++) {
        s->rx_next[ring + i] = at[i].next;
        s->rx_gen[ring + i] = at[i].gen;
    }
    return count;
}

/* What completions say of a frame. */
typedef struct RxInfo {
    unsigned queue;
    uint32_t rss, hash; /* its kind as in the first doubleword */
    uint32_t tag;       /* third doubleword */
    uint32_t sums;      /* fourth, and RXC_NO_CSUM for the first in `unchecked` */
    uint32_t unchecked;
} RxInfo;

static void check_sums(const Vmxnet3 *v, const uint8_t *frame, const FrameLayout *l, RxInfo *info)
{
    info->sums |= (l->ip4 ? RXC_IP4 : 0) | (l->ip6 ? RXC_IP6 : 0) | (l->tcp ? RXC_TCP : 0) | (l->udp ? RXC_UDP : 0);
    if ((v->s.features & FEATURE_RX_CSUM) && (l->tcp || l->udp)) {
        info->unchecked = 0;
        info->sums |= l->ip4 && frame_ip_checksum_ok(frame, l) ? RXC_IP_OK : 0;
        info->sums |= frame_transport_checksum_ok(frame, l) ? RXC_TRANSPORT_OK : 0;
    }
}

static void choose_queue(const Vmxnet3 *v, const uint8_t *frame, const FrameLayout *l, RxInfo *info)
{
    static const uint8_t codes[] = { [RSS_NONE] = 0, [RSS_IP4] = 1, [RSS_TCP4] = 2, [RSS_IP6] = 3, [RSS_TCP6] = 4 };
    const Vmxnet3State *s = &v->s;
    RssKind kind = RSS_NONE;

    if ((s->features & FEATURE_RSS) && s->rss_table_size) {
        kind = rss_hash(s->rss_key, s->rss_kinds, frame, l, &info->hash);
    }
    if (kind != RSS_NONE) {
        info->rss = (uint32_t)codes[kind] << 26;
        info->queue = s->rss_table[info->hash % s->rss_table_size] % s->rx_count;
    }
}

static size_t examine(Vmxnet3 *v, uint8_t *frame, const uint8_t *data, size_t size, RxInfo *info)
{
    FrameLayout l;

    memset(frame, 0, FRAME_MIN);
    memcpy(frame, data, size);
    size = MAX(size, FRAME_MIN);
    *info = (RxInfo){ .sums = RXC_FCS_OK, .unchecked = RXC_NO_CSUM };
    if (frame_parse(frame, size, &l)) {
        check_sums(v, frame, &l, info);
        choose_queue(v, frame, &l, info);
    }
    if ((v->s.features & FEATURE_RX_VLAN) && load_be16(frame + 12) == ETHERTYPE_VLAN) {
        info->tag = RXC_TAG_STRIPPED | (uint32_t)load_be16(frame + 14) << 16;
        memmove(frame + 12, frame + 16, size - 16);
        size -= FRAME_TAG;
    }
    return size;
}

static void put_completion(Vmxnet3 *v, const RxInfo *info, const Buffer *buffer, size_t length, bool first, bool last)
{
    Vmxnet3State *s = &v->s;
    unsigned queue = info->queue, ring = buffer->ring & 1 ? s->rx_count + queue : queue;
    uint8_t c[16];

    store_le32(c, buffer->index | (first ? RXC_SOP : 0) | (last ? RXC_EOP | info->unchecked : 0) | ring << 16 | info->rss);
    store_le32(c + 4, info->hash);
    store_le32(c + 8, length | (last ? info->tag : 0));
    store_le32(c + 12, (last ? info->sums : 0) | RXC_TYPE | (s->rx_comp_gen[queue] ? COMP_GEN : 0));
    pci_dma_write(&v->pci, s->rx_comp_base[queue] + (uint64_t)s->rx_comp_next[queue] * 16, c, sizeof(c));
    step(&s->rx_comp_next[queue], &s->rx_comp_gen[queue], s->rx_comp_size[queue]);
}

/* Whether the frame has a tag, and one of a network that is not wanted; what ends within its tag is not wanted either. */
static bool is_of_other_vlan(const Vmxnet3State *s, const uint8_t *frame, size_t size)
{
    unsigned vlan;

    if (load_be16(frame + 12) != ETHERTYPE_VLAN) {
        return false;
    }
    if (size < FRAME_HEADER + 4) {
        return true;
    }
    vlan = load_be16(frame + 14) & 0xfff;
    return !(s->vlans[vlan / 32] >> vlan % 32 & 1);
}

static bool accepts(const Vmxnet3 *v, const uint8_t *frame, size_t size)
{
    const Vmxnet3State *s = &v->s;

    if (s->rx_mode & RX_MODE_PROMISCUOUS) {
        return true;
    }
    if (is_of_other_vlan(s, frame, size)) {
        return false;
    }
    if (frame_is_broadcast(frame)) {
        return s->rx_mode & RX_MODE_BROADCAST;
    }
    if (!frame_is_multicast(frame)) {
        return (s->rx_mode & RX_MODE_UNICAST) && memcmp(frame, s->mac, 6) == 0;
    }
    if ((s->rx_mode & RX_MODE_ALL_MULTI) || ((s->rx_mode & RX_MODE_MULTICAST) && s->all_groups)) {
        return true;
    }
    for (uint32_t i = 0; (s->rx_mode & RX_MODE_MULTICAST) && i < s->groups_count; i++) {
        if (memcmp(frame, s->groups + i * 6, 6) == 0) {
            return true;
        }
    }
    return false;
}

/* Asks the driver to tell when it has put buffers into the queue's rings. */
static void ask_for_buffers(Vmxnet3 *v, unsigned queue)
{
    static const uint8_t yes = 1;

    pci_dma_write(&v->pci, vmxnet3_queue_address(v, v->s.tx_count + queue) + RXQ_UPDATE_PROD, &yes, 1);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static bool has_buffer(Vmxnet3 *v, unsigned queue)
{
    Cursor at = { v->s.rx_next[queue * 2], v->s.rx_gen[queue * 2] };
    uint8_t d[16];

    return look(v, queue * 2, &at, d);
}

bool vmxnet3_can_receive(void *opaque)
{
    Vmxnet3 *v = opaque;

    if (!v->s.active) {
        return true; /* lost, as on the wire of a card that is off */
    }
    for (unsigned queue = 0; queue < v->s.rx_count; queue++) {
        if (!has_buffer(v, queue)) {
            ask_for_buffers(v, queue);
            if (!has_buffer(v, queue)) {
                return false;
            }
        }
    }
    return true;
}

void vmxnet3_receive(void *opaque, const uint8_t *data, size_t size)
{
    Vmxnet3 *v = opaque;
    uint8_t frame[VMXNET3_MAX_RX_FRAME];
    Buffer buffers[MAX_BUFFERS];
    uint64_t *counters;
    unsigned count, kind;
    size_t received = size;
    RxInfo info;

    if (!v->s.active || size < FRAME_HEADER || size > sizeof(frame)) {
        return;
    }
    size = examine(v, frame, data, size, &info);
    if (!accepts(v, data, received)) {
        return;
    }
    counters = v->s.rx_counters + info.queue * VMXNET3_COUNTERS;
    count = find_buffers(v, info.queue, size, buffers);
    if (!count) {
        counters[RX_NO_BUFFER]++;
        return;
    }
    kind = frame_is_broadcast(data) ? RX_BROADCAST : frame_is_multicast(data) ? RX_MULTICAST : RX_UNICAST;
    counters[kind]++;
    counters[kind + 1] += size;
    for (size_t i = 0, at = 0; i < count; i++) {
        size_t n = MIN(buffers[i].size, size - at);

        pci_dma_write(&v->pci, buffers[i].address, frame + at, n);
        put_completion(v, &info, &buffers[i], n, i == 0, i + 1 == count);
        at += n;
    }
    vmxnet3_raise(v, v->s.rx_vector[info.queue]);
}
