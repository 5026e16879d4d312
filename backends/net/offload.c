/*
 * What network hardware does for its driver, in software: checksums, and large sends cut into segments.
 *
 * RFC 791, 8200 (IP), 9293 (TCP), 768 (UDP); which fields differ from segment to segment is what all
 * segmenting hardware agrees on (e.g. 317453, 3.5.9).
 */
#include "backends/net/internal.h"
#include "util/bits.h"
#include "util/checksum.h"

#include <string.h>

enum { ETHERTYPE_IP4 = 0x0800, ETHERTYPE_VLAN = 0x8100, ETHERTYPE_QINQ = 0x88a8, ETHERTYPE_IP6 = 0x86dd };
enum { TCP_FIN = 0x01, TCP_PSH = 0x08, TCP_CWR = 0x80 };
enum { UDP_CSUM_OFFSET = 6 };
/* Of a large send: 64 KiB through a path of the least unit there is, 68 bytes (RFC 791), of which headers take 60. */
enum { MOST_SEGMENTS = 8192 };

unsigned net_header_needs(const NetHeader *header)
{
    unsigned needs = 0;

    if (!header) {
        return 0;
    }
    if (header->flags & NET_HDR_NEEDS_CSUM) {
        needs |= NET_CAN_CSUM;
    }
    switch (header->gso_type & ~NET_GSO_ECN) {
    case NET_GSO_NONE:
        return needs;
    case NET_GSO_TCP4:
        needs |= NET_CAN_TSO4;
        break;
    case NET_GSO_TCP6:
        needs |= NET_CAN_TSO6;
        break;
    case NET_GSO_UDP_L4:
        needs |= NET_CAN_USO;
        break;
    default:
        return ~0u; /* no such thing: net_complete drops it */
    }
    return needs | NET_CAN_CSUM | (header->gso_type & NET_GSO_ECN ? NET_CAN_ECN : 0);
}

static void fill_checksum(uint8_t *frame, size_t size, size_t start, size_t offset)
{
    uint16_t sum = ~checksum_add(0, frame + start, size - start);

    /* In UDP a zero means that there is none. */
    store_be16(frame + start + offset, !sum && offset == UDP_CSUM_OFFSET ? 0xffff : sum);
}

/* Where the IP header starts, behind VLAN tags; 0 if the frame is too short. */
static size_t find_ip(const uint8_t *frame, size_t size, uint16_t *ethertype)
{
    size_t at = 12;

    while (at + 2 <= size) {
        *ethertype = load_be16(frame + at);
        if (*ethertype != ETHERTYPE_VLAN && *ethertype != ETHERTYPE_QINQ) {
            return at + 2;
        }
        at += 4;
    }
    return 0;
}

/* A large send, taken apart. */
typedef struct Send {
    size_t ip, transport, payload; /* offsets */
    bool ip4, tcp;
    size_t csum; /* of the checksum field */
} Send;

static bool take_apart(const NetHeader *h, const uint8_t *frame, size_t size, Send *s)
{
    unsigned type = h->gso_type & ~NET_GSO_ECN;
    uint16_t ethertype;

    s->ip = find_ip(frame, size, &ethertype);
    s->ip4 = ethertype == ETHERTYPE_IP4;
    s->tcp = type != NET_GSO_UDP_L4;
    s->transport = h->csum_start;
    s->csum = s->transport + (s->tcp ? 16 : UDP_CSUM_OFFSET);
    if (!s->ip || !(h->flags & NET_HDR_NEEDS_CSUM) || !h->gso_size || (!s->ip4 && ethertype != ETHERTYPE_IP6) ||
        (type == NET_GSO_TCP4 && !s->ip4) || (type == NET_GSO_TCP6 && s->ip4) ||
        s->transport < s->ip + (s->ip4 ? 20 : 40) || s->transport + (s->tcp ? 20 : 8) > size ||
        s->csum != (size_t)h->csum_start + h->csum_offset) {
        return false;
    }
    s->payload = s->transport + (s->tcp ? (frame[s->transport + 12] >> 4) * 4 : 8);
    return s->payload >= s->transport + (s->tcp ? 20 : 8) && s->payload < size &&
           (!s->ip4 || s->transport == s->ip + (frame[s->ip] & 15) * 4u);
}

/* The header of the segment that carries `n` bytes from `done` on; out starts with the send's own header. */
static void fix_segment(const Send *s, uint8_t *out, size_t whole, size_t done, size_t n, unsigned index)
{
    bool last = s->payload + done + n == whole;
    size_t size = s->payload + n;
    uint8_t *ip = out + s->ip, *transport = out + s->transport;
    uint32_t sum;

    if (s->ip4) {
        store_be16(ip + 2, size - s->ip);
        store_be16(ip + 4, load_be16(ip + 4) + index);
        store_be16(ip + 10, 0);
        store_be16(ip + 10, ~checksum_add(0, ip, s->transport - s->ip));
    } else {
        store_be16(ip + 4, size - s->ip - 40);
    }
    if (s->tcp) {
        store_be32(transport + 4, load_be32(transport + 4) + done);
        transport[13] &= ~((last ? 0 : TCP_FIN | TCP_PSH) | (index ? TCP_CWR : 0));
    } else {
        store_be16(transport + 4, size - s->transport);
    }
    /* The pseudo header's sum has the length of the whole in it: exchanged for that of the segment. */
    sum = load_be16(out + s->csum) + (~(whole - s->transport) & 0xffff) + (size - s->transport);
    sum = (sum & 0xffff) + (sum >> 16);
    store_be16(out + s->csum, (sum & 0xffff) + (sum >> 16));
    fill_checksum(out, size, s->transport, s->csum - s->transport);
}

static void cut(const NetHeader *h, const uint8_t *frame, size_t size, NetEmit *emit, void *opaque)
{
    g_autofree uint8_t *out = NULL;
    Send s;
    size_t n;

    if (!take_apart(h, frame, size, &s) || size - s.payload > (size_t)MOST_SEGMENTS * h->gso_size) {
        return;
    }
    out = g_malloc(s.payload + h->gso_size);
    for (size_t done = 0, index = 0; s.payload + done < size; done += n, index++) {
        n = MIN(h->gso_size, size - s.payload - done);
        memcpy(out, frame, s.payload);
        memcpy(out + s.payload, frame + s.payload + done, n);
        fix_segment(&s, out, size, done, n, index);
        emit(opaque, NULL, out, s.payload + n);
    }
}

void net_complete(const NetHeader *h, const uint8_t *frame, size_t size, NetEmit *emit, void *opaque)
{
    g_autofree uint8_t *copy = NULL;

    if ((h->gso_type & ~NET_GSO_ECN) != NET_GSO_NONE) {
        cut(h, frame, size, emit, opaque);
        return;
    }
    if (!(h->flags & NET_HDR_NEEDS_CSUM)) {
        emit(opaque, NULL, frame, size);
        return;
    }
    if ((size_t)h->csum_start + h->csum_offset + 2 > size) {
        return;
    }
    copy = g_memdup2(frame, size);
    fill_checksum(copy, size, h->csum_start, h->csum_offset);
    emit(opaque, NULL, copy, size);
}
