/* The other end of a network card's cable, for tests: keeps what the card sends. */
#ifndef TESTS_HW_NET_WIRE_H
#define TESTS_HW_NET_WIRE_H

#include "backends/net/internal.h"
#include "tests/hw/rig.h"

typedef struct WireFrame {
    NetHeader header; /* zero if there was none */
    size_t size;
    uint8_t data[];
} WireFrame;

/* A backend with the id "wire" for netdev=; after rig_init. */
NetBackend *wire_init(void);
void wire_offloads(unsigned offloads); /* what it takes without help; 0 at first */
void wire_block(bool blocked);         /* the host end has no room */
void wire_clear(void);
guint wire_count(void);
const WireFrame *wire_frame(guint n);
/* A frame of `size` bytes to an address, each byte behind the header by its place plus `seed`. */
void wire_fill(uint8_t *frame, size_t size, const char *to, uint8_t seed);
void wire_deliver(const uint8_t *frame, size_t size);

/* Puts a PCI card's BARs at 0xc000 + 0x100 * index or 0xf0000000 + 0x100000 * index, and enables it. */
void wire_place(Device *card);
#define WIRE_PORTS(index)  (0xc000 + 0x100 * (index))
#define WIRE_MEMORY(index) (0xf0000000u + 0x100000 * (index))

/* A TCP packet with `payload` bytes over IPv4 at `p`, its checksums zero; returns the frame's size (54 + payload). */
size_t wire_tcp(uint8_t *p, size_t payload);
/* Checks both checksums of such a packet, and its lengths. */
void wire_check_tcp(const uint8_t *frame, size_t size);

#endif
