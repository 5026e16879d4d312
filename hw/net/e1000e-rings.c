/*
 * Intel 82574L (e1000e): two transmit and two receive rings, with legacy, extended and packet-split descriptors.
 *
 * 82574 data sheet (317694), sections 7.1 and 7.2.
 */
#include "hw/net/e1000e.h"
#include "hw/net/frame.h"
#include "hw/net/rss.h"
#include "util/bits.h"

#include <string.h>

enum { RXD_SPLIT = 0x8000, EXTENDED_L4E = 1 << 29, EXTENDED_IPE = 1 << 30 };
enum { PARTS = 4 };

/* ---- transmission ---- */

static TxContext context(void *card, unsigned ring)
{
    return e1000_read_context(((E1000e *)card)->s.context + ring * 16);
}

static void set_context(void *card, unsigned ring, const uint8_t *d)
{
    memcpy(((E1000e *)card)->s.context + ring * 16, d, 16);
}

static void raise_causes(void *card, uint32_t causes)
{
    e1000e_raise(card, causes);
}

const E1000TxOps e1000e_tx_ops = { context, set_context, e1000e_receive, raise_causes };

static void e1000e_writable(void *opaque)
{
    E1000e *e = opaque;

    for (unsigned queue = 0; queue < E1000E_QUEUES; queue++) {
        e1000_tx_run(&e->tx[queue]);
    }
}

/* ---- reception ---- */

static bool is_split(E1000e *e)
{
    return (*reg(e, RFCTL) & RFCTL_EXTEN) && (*reg(e, RCTL) >> 10 & 3) == 1;
}

static unsigned descriptor_size(E1000e *e)
{
    return is_split(e) ? 32 : 16;
}

/* Bytes of the buffers of one descriptor; those of one that is not split have one. */
static uint32_t buffer_sizes(E1000e *e, uint32_t sizes[PARTS])
{
    uint32_t split = *reg(e, PSRCTL), rctl = *reg(e, RCTL), flexible = rctl >> 27 & 15;

    if (!is_split(e)) {
        sizes[0] = flexible ? flexible * 1024 : e1000_buffer_size(rctl);
        sizes[1] = sizes[2] = sizes[3] = 0;
    } else {
        sizes[0] = (split & 0x7f) * 128;
        sizes[1] = (split >> 8 & 0x3f) * 1024;
        sizes[2] = (split >> 16 & 0x3f) * 1024;
        sizes[3] = (split >> 24 & 0x3f) * 1024;
    }
    return sizes[0] + sizes[1] + sizes[2] + sizes[3];
}

/* Head and tail count units of 16 bytes, of which a split descriptor has two. */
static uint32_t rx_free(E1000e *e, unsigned queue)
{
    unsigned q = queue * QUEUE;
    uint32_t count = *reg(e, RDLEN + q) / 16, head = *reg(e, RDH + q), tail = *reg(e, RDT + q);

    if (!count || head >= count || tail >= count) {
        return 0;
    }
    return (tail >= head ? tail - head : count - head + tail) * 16 / descriptor_size(e);
}

static bool has_room(E1000e *e, unsigned queue, size_t size)
{
    uint32_t sizes[PARTS];

    return (uint64_t)rx_free(e, queue) * buffer_sizes(e, sizes) >= size;
}

static bool uses_rss(E1000e *e)
{
    return (*reg(e, MRQC) & 3) == MRQC_RSS;
}

static bool e1000e_can_receive(void *opaque)
{
    E1000e *e = opaque;

    return (*reg(e, RCTL) & RCTL_EN) && (*reg(e, STATUS) & STATUS_LU) && pci_bus_master(&e->pci) &&
           has_room(e, 0, 1522) && (!uses_rss(e) || has_room(e, 1, 1522));
}

/* What is known of a frame that came, for its descriptor. */
typedef struct Arrival {
    uint8_t bytes[MAX_FRAME + 8];
    size_t size;
    size_t header;           /* bytes that go into a split descriptor's first buffer; 0: not split */
    uint8_t status, errors;  /* as a legacy descriptor has them */
    uint16_t tag;
    uint32_t rss_kind, hash; /* or the IP identification and the packet's checksum */
    unsigned queue;
} Arrival;

static void hash_frame(E1000e *e, Arrival *a, const FrameLayout *l)
{
    static const uint8_t codes[] = { [RSS_NONE] = 0, [RSS_IP4] = 2, [RSS_TCP4] = 1, [RSS_IP6] = 5, [RSS_TCP6] = 3 };
    uint32_t mrqc = *reg(e, MRQC);
    unsigned kinds = (mrqc >> 16 & 1) << RSS_TCP4 | (mrqc >> 17 & 1) << RSS_IP4 | (mrqc >> 18 & 1 || mrqc >> 21 & 1) << RSS_TCP6 |
                     (mrqc >> 20 & 1) << RSS_IP6;
    uint8_t key[RSS_KEY_SIZE], entry;

    for (int i = 0; i < RSS_KEY_SIZE / 4; i++) {
        store_le32(key + i * 4, *reg(e, RSSRK + i * 4));
    }
    a->rss_kind = codes[rss_hash(key, kinds, a->bytes, l, &a->hash)];
    entry = *reg(e, RETA + (a->hash & 0x7c)) >> (a->hash & 3) * 8;
    a->queue = uses_rss(e) && a->rss_kind ? entry >> 7 : 0;
}

static void examine(E1000e *e, Arrival *a, const uint8_t *data, size_t size)
{
    FrameLayout l;

    memset(a->bytes, 0, FRAME_MIN);
    memcpy(a->bytes, data, size);
    a->size = MAX(size, FRAME_MIN);
    a->header = a->rss_kind = a->hash = a->tag = a->queue = 0;
    e1000_check_sums(e->s.reg, data, size, &a->status, &a->errors);
    if (frame_parse(a->bytes, size, &l)) {
        a->header = l.tcp || l.udp ? l.payload : l.transport;
        if (l.udp && (a->status & RXD_TCPCS)) {
            a->status |= RXD_UDPCS;
        }
        if (*reg(e, RXCSUM) & RXCSUM_PCSD) {
            hash_frame(e, a, &l);
        }
    }
    if ((*reg(e, CTRL) & CTRL_VME) && e1000_is_tagged(e->s.reg, a->bytes, size)) {
        a->tag = load_be16(a->bytes + 14);
        memmove(a->bytes + 12, a->bytes + 16, a->size - 16);
        a->size -= FRAME_TAG;
        a->header -= MIN(a->header, FRAME_TAG);
        a->status |= RXD_VP;
    }
    if (!(*reg(e, RCTL) & RCTL_SECRC)) {
        memset(a->bytes + a->size, 0, FRAME_FCS); /* nobody looks at it */
        a->size += FRAME_FCS;
    }
}

/* Puts as much as fits into the buffers of a descriptor; lengths is what went where. */
static size_t fill_buffers(E1000e *e, const uint8_t *d, const uint32_t sizes[PARTS], const Arrival *a, size_t at,
                           bool split, uint16_t lengths[PARTS])
{
    size_t start = at;

    for (int i = 0; i < PARTS; i++) {
        size_t left = split && i == 0 ? a->header : a->size - at;
        size_t n = MIN(left, sizes[i]);

        if (n && load_le64(d + i * 8)) {
            pci_dma_write(&e->pci, load_le64(d + i * 8), a->bytes + at, n);
        }
        lengths[i] = n;
        at += n;
    }
    return at - start;
}

static void write_legacy(uint8_t *d, const Arrival *a, uint16_t length, bool last)
{
    store_le16(d + 8, length);
    store_le16(d + 10, 0);
    d[12] = RXD_DD | (last ? RXD_EOP | a->status : 0);
    d[13] = last ? a->errors : 0;
    store_le16(d + 14, a->tag);
}

static void write_extended(uint8_t *d, const Arrival *a, uint16_t length, bool last)
{
    uint32_t status = RXD_DD;

    if (last) {
        status |= RXD_EOP | a->status | (a->errors & RXD_TCPE ? EXTENDED_L4E : 0) |
                  (a->errors & RXD_IPE ? EXTENDED_IPE : 0);
    }
    store_le32(d, a->rss_kind | a->queue << 8);
    store_le32(d + 4, a->hash);
    store_le32(d + 8, status);
    store_le16(d + 12, length);
    store_le16(d + 14, a->tag);
}

static void write_split(uint8_t *d, const Arrival *a, const uint16_t lengths[PARTS], bool split, bool last)
{
    write_extended(d, a, lengths[0], last);
    store_le16(d + 16, split ? RXD_SPLIT | a->header : 0);
    for (int i = 1; i < PARTS; i++) {
        store_le16(d + 16 + i * 2, lengths[i]);
    }
    store_le64(d + 24, 0);
}

/* Whether a packet's headers get the first buffer for themselves. */
static bool splits(E1000e *e, const Arrival *a, const uint32_t sizes[PARTS])
{
    return is_split(e) && a->header && a->header <= sizes[0];
}

static bool fits(E1000e *e, const Arrival *a)
{
    uint32_t sizes[PARTS], all = buffer_sizes(e, sizes);
    size_t unused = splits(e, a, sizes) ? sizes[0] - a->header : 0;

    return (uint64_t)rx_free(e, a->queue) * all >= a->size + unused;
}

static void put_in_ring(E1000e *e, const Arrival *a)
{
    unsigned q = a->queue * QUEUE, width = descriptor_size(e);
    uint32_t count = *reg(e, RDLEN + q) / 16, *head = reg(e, RDH + q), sizes[PARTS];
    uint64_t base = (*reg(e, RDBAL + q) & ~15u) | (uint64_t)*reg(e, RDBAH + q) << 32;

    buffer_sizes(e, sizes);
    for (size_t at = 0; at < a->size;) {
        uint64_t where = base + (uint64_t)*head * 16;
        bool split = at == 0 && splits(e, a, sizes);
        uint16_t lengths[PARTS];
        uint8_t d[32] = { 0 };

        pci_dma_read(&e->pci, where, d, width);
        at += fill_buffers(e, d, sizes, a, at, split, lengths);
        if (width == 32) {
            write_split(d, a, lengths, split, at == a->size);
        } else if (*reg(e, RFCTL) & RFCTL_EXTEN) {
            write_extended(d, a, lengths[0], at == a->size);
        } else {
            write_legacy(d, a, lengths[0], at == a->size);
        }
        pci_dma_write(&e->pci, where, d, width);
        *head = *head + width / 16 >= count ? 0 : *head + width / 16;
    }
}

void e1000e_receive(void *opaque, const uint8_t *data, size_t size)
{
    E1000e *e = opaque;
    Arrival a;
    uint32_t causes, count;

    if (size > MAX_FRAME || size < FRAME_HEADER || !(*reg(e, RCTL) & RCTL_EN) || !e1000_accepts(e->s.reg, data, size)) {
        return;
    }
    examine(e, &a, data, size);
    if (!fits(e, &a)) {
        ++*reg(e, MPC);
        e1000e_raise(e, INT_RXO);
        return;
    }
    e1000_count_received(e->s.reg, data, size);
    put_in_ring(e, &a);
    causes = INT_RXT0 | INT_RXQ0 << a.queue;
    count = *reg(e, RDLEN + a.queue * QUEUE) / descriptor_size(e);
    if (rx_free(e, a.queue) <= count >> ((*reg(e, RCTL) >> 8 & 3) + 1)) {
        causes |= INT_RXDMT0;
    }
    e1000e_raise(e, causes);
}

const NetFrontend e1000e_frontend = {
    .can_receive = e1000e_can_receive,
    .receive = e1000e_receive,
    .link_changed = e1000e_link_changed,
    .writable = e1000e_writable,
};
