/* Ethernet frames as cards look at them: check sequences, address hashes, headers, checksums. */
#include "hw/net/frame.h"

#include "util/bits.h"
#include "util/checksum.h"

#include <string.h>

enum { ETHERTYPE_IP4 = 0x0800, ETHERTYPE_VLAN = 0x8100, ETHERTYPE_IP6 = 0x86dd };
enum { IP_TCP = 6, IP_UDP = 17 };

/* The register after data, its first bit the lowest; 0xedb88320 is the generator read that way. */
static uint32_t run_crc(const uint8_t *data, size_t size)
{
    static uint32_t table[256];
    uint32_t crc = 0xffffffff;

    if (!table[1]) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;

            for (int bit = 0; bit < 8; bit++) {
                c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
            }
            table[i] = c;
        }
    }
    for (size_t i = 0; i < size; i++) {
        crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xff];
    }
    return crc;
}

uint32_t frame_fcs(const uint8_t *data, size_t size)
{
    return ~run_crc(data, size);
}

uint32_t frame_hash(const uint8_t address[6])
{
    uint32_t crc = run_crc(address, 6), reversed = 0;

    for (int bit = 0; bit < 32; bit++) {
        reversed = reversed << 1 | (crc >> bit & 1);
    }
    return reversed;
}

uint32_t frame_hash_low(const uint8_t address[6])
{
    return run_crc(address, 6);
}

bool frame_is_broadcast(const uint8_t *frame)
{
    return memcmp(frame, "\xff\xff\xff\xff\xff\xff", 6) == 0;
}

bool frame_is_multicast(const uint8_t *frame)
{
    return frame[0] & 1;
}

static bool parse_ip4(const uint8_t *frame, size_t size, FrameLayout *l)
{
    const uint8_t *ip = frame + l->ip;
    size_t header, total;

    if (l->ip + 20 > size || ip[0] >> 4 != 4) {
        return false;
    }
    header = (ip[0] & 15) * 4;
    total = load_be16(ip + 2);
    /* A send that is larger than 64 KiB less a little has no length: the frame's counts. */
    l->end = total ? l->ip + total : size;
    if (header < 20 || l->ip + header > l->end || l->end > size) {
        return false;
    }
    l->transport = l->ip + header;
    if (!(load_be16(ip + 6) & 0x3fff)) { /* whole packets only */
        l->tcp = ip[9] == IP_TCP;
        l->udp = ip[9] == IP_UDP;
    }
    return true;
}

static bool parse_ip6(const uint8_t *frame, size_t size, FrameLayout *l)
{
    const uint8_t *ip = frame + l->ip;
    size_t total;

    if (l->ip + 40 > size || ip[0] >> 4 != 6) {
        return false;
    }
    total = load_be16(ip + 4);
    l->end = total ? l->ip + 40 + total : size;
    if (l->end > size) {
        return false;
    }
    l->transport = l->ip + 40;
    l->tcp = ip[6] == IP_TCP;
    l->udp = ip[6] == IP_UDP;
    return true;
}

bool frame_parse(const uint8_t *frame, size_t size, FrameLayout *l)
{
    size_t at = 12;
    uint16_t type;

    memset(l, 0, sizeof(*l));
    if (size < FRAME_HEADER) {
        return false;
    }
    type = load_be16(frame + at);
    if (type == ETHERTYPE_VLAN && size >= FRAME_HEADER + FRAME_TAG) {
        at += FRAME_TAG;
        type = load_be16(frame + at);
    }
    l->ip = at + 2;
    l->ip4 = type == ETHERTYPE_IP4;
    l->ip6 = type == ETHERTYPE_IP6;
    if ((!l->ip4 || !parse_ip4(frame, size, l)) && (!l->ip6 || !parse_ip6(frame, size, l))) {
        return false;
    }
    l->payload = l->transport;
    if (l->tcp) {
        l->tcp = l->transport + 20 <= l->end;
        l->payload += l->tcp ? (frame[l->transport + 12] >> 4) * 4 : 0;
        l->tcp = l->tcp && l->payload >= l->transport + 20 && l->payload <= l->end;
    } else if (l->udp) {
        l->payload += 8;
        l->udp = l->payload <= l->end;
    }
    return true;
}

/* Addresses, protocol and length: what TCP and UDP protect besides themselves. */
static uint32_t pseudo_sum(const uint8_t *frame, const FrameLayout *l)
{
    const uint8_t *ip = frame + l->ip;
    uint32_t sum = (l->tcp ? IP_TCP : IP_UDP) + (l->end - l->transport);

    return l->ip4 ? checksum_add(sum, ip + 12, 8) : checksum_add(sum, ip + 8, 32);
}

static uint8_t *checksum_field(uint8_t *frame, const FrameLayout *l)
{
    return frame + l->transport + (l->tcp ? 16 : 6);
}

void frame_put_ip_checksum(uint8_t *frame, const FrameLayout *l)
{
    uint8_t *ip = frame + l->ip;

    store_be16(ip + 10, 0);
    store_be16(ip + 10, ~checksum_add(0, ip, l->transport - l->ip));
}

void frame_put_transport_checksum(uint8_t *frame, const FrameLayout *l)
{
    uint8_t *field = checksum_field(frame, l);
    uint16_t sum;

    store_be16(field, 0);
    sum = ~checksum_add(pseudo_sum(frame, l), frame + l->transport, l->end - l->transport);
    store_be16(field, l->udp && !sum ? 0xffff : sum); /* to UDP a zero says: no checksum */
}

void frame_put_pseudo_sum(uint8_t *frame, const FrameLayout *l)
{
    store_be16(checksum_field(frame, l), pseudo_sum(frame, l));
}

bool frame_ip_checksum_ok(const uint8_t *frame, const FrameLayout *l)
{
    return checksum_add(0, frame + l->ip, l->transport - l->ip) == 0xffff;
}

bool frame_transport_checksum_ok(const uint8_t *frame, const FrameLayout *l)
{
    if (l->udp && load_be16(frame + l->transport + 6) == 0) {
        return true;
    }
    return checksum_add(pseudo_sum(frame, l), frame + l->transport, l->end - l->transport) == 0xffff;
}
