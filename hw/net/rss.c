/*
 * Receive side scaling: Toeplitz hashes of addresses and ports.
 *
 * Microsoft, "RSS Hashing Types"; the 82574's data sheet (317694), section 7.1.11.
 */
#include "hw/net/rss.h"

#include "util/bits.h"

#include <string.h>

#define MAX_INPUT 36 /* two IPv6 addresses and two ports */

/* For each bit that is set, from the first on: the 32 bits of the key that begin there. */
static uint32_t toeplitz(const uint8_t *key, const uint8_t *input, size_t size)
{
    uint64_t window = load_be64(key);
    uint32_t hash = 0;

    for (size_t i = 0; i < size; i++) {
        for (int bit = 7; bit >= 0; bit--) {
            if (input[i] >> bit & 1) {
                hash ^= window >> 32;
            }
            window <<= 1;
        }
        window |= i + 8 < RSS_KEY_SIZE ? key[i + 8] : 0;
    }
    return hash;
}

RssKind rss_hash(const uint8_t key[RSS_KEY_SIZE], unsigned kinds, const uint8_t *frame, const FrameLayout *l,
                 uint32_t *hash)
{
    RssKind with_ports = l->ip4 ? RSS_TCP4 : RSS_TCP6, without = l->ip4 ? RSS_IP4 : RSS_IP6, kind = RSS_NONE;
    size_t addresses = l->ip4 ? 8 : 32, size = 0;
    uint8_t input[MAX_INPUT];

    *hash = 0;
    if (l->tcp && (kinds >> with_ports & 1)) {
        kind = with_ports;
    } else if ((l->ip4 || l->ip6) && (kinds >> without & 1)) {
        kind = without;
    }
    if (kind != RSS_NONE) {
        memcpy(input, frame + l->ip + (l->ip4 ? 12 : 8), addresses);
        size = addresses;
        if (kind == with_ports) {
            memcpy(input + size, frame + l->transport, 4);
            size += 4;
        }
        *hash = toeplitz(key, input, size);
    }
    return kind;
}
