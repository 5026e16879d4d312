/*
 * Large segments between libslirp and the guest.
 *
 * libslirp works packet by packet, and each costs it much more than the bytes in it. So it is told that
 * its link carries packets of 64 KiB, and believes that the guest's TCP takes segments as large. (It looks
 * at the limit in a guest's SYN only where it connects to the guest itself; there the usual one is raised.)
 * What comes back is marked as one large send to be cut into segments of the usual size, which a card with
 * receive offloads takes as it is and the core cuts for others. What is not TCP is cut into fragments here.
 */
#include "backends/net/user.h"
#include "util/bits.h"
#include "util/checksum.h"

#include <string.h>

enum { ETHERNET = 14, ETHERTYPE_IP4 = 0x0800, ETHERTYPE_IP6 = 0x86dd };
enum { PROTOCOL_TCP = 6 };
enum { TCP_SYN = 2, OPTION_END = 0, OPTION_NOP = 1, OPTION_MSS = 2 };
enum { IP4_MORE_FRAGMENTS = 0x2000 };
/* Segments that libslirp makes; it bounds them by 32 KiB itself. */
#define LARGE_MSS 32768

/* Where TCP is in a frame without VLAN tag, extension headers or fragments; 0: nowhere. */
static size_t find_tcp(const uint8_t *f, size_t size, bool *ip4)
{
    size_t tcp;

    if (size < ETHERNET + 40) {
        return 0;
    }
    *ip4 = load_be16(f + 12) == ETHERTYPE_IP4;
    if (*ip4) {
        tcp = ETHERNET + (f[ETHERNET] & 15) * 4;
        return f[ETHERNET + 9] == PROTOCOL_TCP && !(load_be16(f + ETHERNET + 6) & 0x3fff) && tcp + 20 <= size ? tcp : 0;
    }
    tcp = ETHERNET + 40;
    return load_be16(f + 12) == ETHERTYPE_IP6 && f[ETHERNET + 6] == PROTOCOL_TCP && tcp + 20 <= size ? tcp : 0;
}

static size_t usual_mss(bool ip4)
{
    return USER_MTU - (ip4 ? 40 : 60);
}

/* RFC 1624: the checksum after a 16-bit word of what it covers changed. */
static void replace_word(uint8_t *word, uint16_t value, uint8_t *sum)
{
    uint32_t n = (uint16_t)~load_be16(sum) + (uint16_t)~load_be16(word) + (uint32_t)value;

    n = (n & 0xffff) + (n >> 16);
    n = (n & 0xffff) + (n >> 16);
    store_be16(sum, ~n);
    store_be16(word, value);
}

void user_raise_mss(uint8_t *f, size_t size)
{
    bool ip4;
    size_t tcp = find_tcp(f, size, &ip4), end;

    if (!tcp || !(f[tcp + 13] & TCP_SYN)) {
        return;
    }
    end = MIN(size, tcp + (f[tcp + 12] >> 4) * 4u);
    for (size_t at = tcp + 20; at < end && f[at] != OPTION_END;) {
        if (f[at] == OPTION_NOP) {
            at++;
            continue;
        }
        if (at + 2 > end || f[at + 1] < 2) {
            return;
        }
        /* A word at an even place; a guest with a smaller limit keeps it. */
        if (f[at] == OPTION_MSS && at + 4 <= end && !((at - tcp) & 1) && load_be16(f + at + 2) >= usual_mss(ip4)) {
            replace_word(f + at + 2, LARGE_MSS, f + tcp + 16);
        }
        at += f[at + 1];
    }
}

static void deliver_segments(UserNet *user, const uint8_t *f, size_t size, size_t tcp, bool ip4)
{
    static uint8_t frame[NET_MAX_FRAME];
    uint8_t pseudo[4] = { 0, PROTOCOL_TCP };
    uint32_t sum;
    NetHeader header = {
        .flags = NET_HDR_NEEDS_CSUM,
        .gso_type = ip4 ? NET_GSO_TCP4 : NET_GSO_TCP6,
        .header_size = tcp + (f[tcp + 12] >> 4) * 4,
        .gso_size = usual_mss(ip4),
        .csum_start = tcp,
        .csum_offset = 16,
    };

    memcpy(frame, f, size);
    store_be16(pseudo + 2, size - tcp);
    sum = checksum_add(0, frame + ETHERNET + (ip4 ? 12 : 8), ip4 ? 8 : 32);
    store_be16(frame + tcp + 16, checksum_add(sum, pseudo, 4));
    net_deliver_header(user->net, &header, frame, size);
}

/* RFC 791, 3.2 */
static void deliver_fragments(UserNet *user, const uint8_t *f, size_t size)
{
    size_t header = (f[ETHERNET] & 15) * 4, room = (USER_MTU - header) & ~7u, start = ETHERNET + header;
    uint16_t flags = load_be16(f + ETHERNET + 6);
    uint8_t frame[ETHERNET + USER_MTU];

    if (header < 20 || start > size) {
        return;
    }
    for (size_t done = 0, n; start + done < size; done += n) {
        bool last = size - start - done <= room;
        uint8_t *ip = frame + ETHERNET;

        n = last ? size - start - done : room;
        memcpy(frame, f, start);
        memcpy(frame + start, f + start + done, n);
        store_be16(ip + 2, header + n);
        store_be16(ip + 6, (flags + done / 8) | (last ? 0 : IP4_MORE_FRAGMENTS));
        store_be16(ip + 10, 0);
        store_be16(ip + 10, ~checksum_add(0, ip, header));
        net_deliver(user->net, frame, start + n);
    }
}

void user_deliver(UserNet *user, const uint8_t *f, size_t size)
{
    size_t tcp;
    bool ip4;

    if (size > ETHERNET + USER_MTU) {
        tcp = find_tcp(f, size, &ip4);
        if (tcp) {
            deliver_segments(user, f, size, tcp, ip4);
        } else if (load_be16(f + 12) == ETHERTYPE_IP4) {
            deliver_fragments(user, f, size);
        } /* else IPv6, where only the sender cuts: too big for this link */
    } else {
        net_deliver(user->net, f, size);
    }
}
