/* Ethernet frames as cards look at them: check sequences, address hashes, headers, checksums. */
#ifndef HW_NET_FRAME_H
#define HW_NET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes, without the check sequence (FRAME_FCS). */
#define FRAME_HEADER 14
#define FRAME_MIN    60
#define FRAME_MAX    1514
#define FRAME_FCS    4
#define FRAME_TAG    4

/* IEEE 802.3, 3.2.9: the check sequence, to be stored little-endian behind the frame. */
uint32_t frame_fcs(const uint8_t *data, size_t size);
/* The generator's register after the six bytes of an address, its first bit the highest. */
uint32_t frame_hash(const uint8_t address[6]);
uint32_t frame_hash_low(const uint8_t address[6]); /* ... the lowest */

bool frame_is_broadcast(const uint8_t *frame);
bool frame_is_multicast(const uint8_t *frame); /* broadcast too */

/* Where the headers of an IP packet are. Offsets from the frame's first byte; all within the frame. */
typedef struct FrameLayout {
    bool ip4, ip6;
    bool tcp, udp;     /* with its whole header in the frame, and no later fragment */
    size_t ip;         /* IP header */
    size_t transport;  /* behind it */
    size_t payload;    /* behind the header of TCP or UDP */
    size_t end;        /* of the packet, as its length says: padding of the frame is behind it */
} FrameLayout;

/* False: neither IPv4 nor IPv6, or damaged. */
bool frame_parse(const uint8_t *frame, size_t size, FrameLayout *l);

void frame_put_ip_checksum(uint8_t *frame, const FrameLayout *l);        /* of IPv4 */
void frame_put_transport_checksum(uint8_t *frame, const FrameLayout *l); /* of TCP or UDP */
/* Into the checksum field: the pseudo header's sum alone, as net.h's NEEDS_CSUM wants it. */
void frame_put_pseudo_sum(uint8_t *frame, const FrameLayout *l);
bool frame_ip_checksum_ok(const uint8_t *frame, const FrameLayout *l);
bool frame_transport_checksum_ok(const uint8_t *frame, const FrameLayout *l); /* UDP without one: ok */

#endif
