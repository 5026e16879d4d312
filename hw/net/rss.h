/* Receive side scaling: the hash by which a card spreads connections over its queues. */
#ifndef HW_NET_RSS_H
#define HW_NET_RSS_H

#include "hw/net/frame.h"

#define RSS_KEY_SIZE 40

/* What the hash was made of. */
typedef enum RssKind { RSS_NONE, RSS_IP4, RSS_TCP4, RSS_IP6, RSS_TCP6 } RssKind;

/*
 * kinds: which of them are wanted, as bits 1 << RssKind. Ports go in where the packet is TCP and that is wanted.
 * Returns what the hash was made of; with RSS_NONE it is 0.
 */
RssKind rss_hash(const uint8_t key[RSS_KEY_SIZE], unsigned kinds, const uint8_t *frame, const FrameLayout *l,
                 uint32_t *hash);

#endif
