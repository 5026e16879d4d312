/*
 * What Intel's gigabit cards do to frames: checksums, tags and segmentation of those they send, filters of those that come.
 *
 * PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453), chapter 3; the 82574's data
 * sheet (317694), chapter 7, has the same.
 */
#include "hw/net/e1000-family.h"

#include "hw/net/frame.h"
#include "util/bits.h"
#include "util/checksum.h"
#include "util/log.h"

#include <string.h>

enum { TXD_EOP = 1, TXD_IC = 4, TXD_TSE = 4, TXD_VLE = 0x40 }; /* command byte */
enum { TXD_IXSM = 1, TXD_TXSM = 2 }; /* packet options */

/* ---- counters ---- */

static void add_octets(uint32_t *low, uint64_t n)
{
    uint64_t total = (low[0] | (uint64_t)low[1] << 32) + n;

    low[0] = total;
    low[1] = total >> 32;
}

static void count_frame(uint32_t *regs, unsigned frames, unsigned all_frames, unsigned octets, unsigned all_octets,
                        size_t size)
{
    regs[frames / 4]++;
    regs[all_frames / 4]++;
    add_octets(regs + octets / 4, size + FRAME_FCS);
    add_octets(regs + all_octets / 4, size + FRAME_FCS);
}

static void count_kind(uint32_t *regs, const uint8_t *frame, unsigned broadcast, unsigned multicast)
{
    if (frame_is_multicast(frame)) {
        regs[(frame_is_broadcast(frame) ? broadcast : multicast) / 4]++;
    }
}

static void count_sent(uint32_t *regs, const uint8_t *frame, size_t size)
{
    count_frame(regs, GPTC, TPT, GOTCL, TOTL, MAX(size, FRAME_MIN));
    count_kind(regs, frame, BPTC, MPTC);
}

void e1000_count_received(uint32_t *regs, const uint8_t *frame, size_t size)
{
    count_frame(regs, GPRC, TPR, GORCL, TORL, MAX(size, FRAME_MIN));
    count_kind(regs, frame, BPRC, MPRC);
}

/* ---- transmission ---- */

static void put_checksum(uint8_t *packet, size_t size, unsigned start, unsigned at, unsigned end)
{
    size_t last = end && end < size ? end + 1u : size;

    if (at + 1 < size && start < last) {
        uint16_t sum = ~checksum_add(0, packet + start, last - start);

        store_be16(packet + at, sum ? sum : 0xffff);
    }
}

static bool is_looped_back(const E1000Tx *tx)
{
    return tx->regs[RCTL / 4] >> 6 & 3;
}

enum { FRAME_COST = 128, MANY_SEGMENTS = 1024 };

static void send_frame(E1000Tx *tx, const uint8_t *frame, size_t size)
{
    if (size < FRAME_HEADER) {
        return;
    }
    tx->spent += FRAME_COST + size;
    count_sent(tx->regs, frame, size);
    if (is_looped_back(tx)) {
        tx->ops->loop_back(tx->card, frame, size);
    } else {
        nic_send(tx->nic, frame, size);
    }
}

/* One segment of a large TCP send: its own lengths, sequence number, flags and checksums. */
static void send_segment(E1000Tx *tx, const TxContext *c, uint8_t *frame, size_t header, size_t data, uint32_t done,
                         bool last, unsigned index)
{
    uint8_t *ip = frame + c->ipcss, *tcp = frame + c->tucss;
    size_t size = header + data, transport = size - c->tucss;
    uint32_t sum;

    if (c->is_ip4) {
        store_be16(ip + 2, size - c->ipcss);
        store_be16(ip + 4, load_be16(ip + 4) + index);
    } else {
        store_be16(ip + 4, size - c->ipcss - 40);
    }
    if (c->is_tcp) {
        store_be32(tcp + 4, load_be32(tcp + 4) + done);
        if (!last) {
            tcp[13] &= ~0x09; /* FIN and PSH belong to the last */
        }
    } else {
        store_be16(tcp + 4, transport);
    }
    /* Software left the pseudo header's sum without the length in the checksum field. */
    if (tx->s.options & TXD_TXSM && (size_t)c->tucso + 2 <= size) {
        sum = load_be16(frame + c->tucso) + transport;
        store_be16(frame + c->tucso, (sum & 0xffff) + (sum >> 16));
        put_checksum(frame, size, c->tucss, c->tucso, 0);
    }
    if (tx->s.options & TXD_IXSM && (size_t)c->ipcso + 2 <= size) {
        store_be16(frame + c->ipcso, 0);
        put_checksum(frame, size, c->ipcss, c->ipcso, c->ipcse);
    }
    send_frame(tx, frame, size);
}

/* The usual send of a driver goes to the backend in one piece, with a note how to cut it. Not into thousands: that is one go for the backend. */
static bool send_whole(E1000Tx *tx, const TxContext *c)
{
    size_t size = tx->s.size;
    uint8_t *ip = tx->packet + c->ipcss;
    struct iovec iov = { tx->packet, size };
    FrameLayout l;
    NetHeader header;

    if (size / MANY_SEGMENTS > c->mss || !c->is_tcp || !(tx->s.options & TXD_TXSM) || (c->is_ip4 && !(tx->s.options & TXD_IXSM)) || !c->mss ||
        c->header + c->mss >= size || c->ipcss + 20u > c->header || size - c->ipcss > UINT16_MAX || is_looped_back(tx)) {
        return false;
    }
    if (c->is_ip4) {
        store_be16(ip + 2, size - c->ipcss);
    } else {
        store_be16(ip + 4, size - c->ipcss - 40);
    }
    if (!frame_parse(tx->packet, size, &l) || l.ip4 != c->is_ip4 || !l.tcp || l.ip != c->ipcss ||
        l.transport != c->tucss || l.payload != c->header || l.end != size || c->tucso != c->tucss + 16) {
        return false;
    }
    if (l.ip4) {
        frame_put_ip_checksum(tx->packet, &l);
    }
    frame_put_pseudo_sum(tx->packet, &l);
    header = (NetHeader){
        .flags = NET_HDR_NEEDS_CSUM,
        .gso_type = l.ip4 ? NET_GSO_TCP4 : NET_GSO_TCP6,
        .header_size = l.payload,
        .gso_size = c->mss,
        .csum_start = l.transport,
        .csum_offset = 16,
    };
    for (size_t done = c->header; done < size; done += c->mss) {
        tx->spent += FRAME_COST;
        count_sent(tx->regs, tx->packet, c->header + MIN(c->mss, size - done));
    }
    net_send_iov(tx->nic->net, &header, &iov, 1);
    return true;
}

/* As the context descriptor says, whatever the packet is. Where these are too many for one go, the next one begins with the others. */
void e1000_tx_cut(E1000Tx *tx, const TxContext *c)
{
    uint8_t frame[MAX_FRAME];

    while (tx->s.left && tx->spent < E1000_TX_GO) {
        uint32_t n = MIN(tx->s.left, c->mss), done = tx->s.size - c->header - tx->s.left;

        memcpy(frame, tx->packet, c->header);
        memcpy(frame + c->header, tx->packet + c->header + done, n);
        tx->s.left -= n;
        send_segment(tx, c, frame, c->header, n, done, !tx->s.left, done / c->mss); /* which may reset the card */
    }
    if (!tx->s.left) {
        e1000_tx_reset(tx);
    }
}

bool e1000_tx_can_cut(const E1000Tx *tx, const TxContext *c)
{
    return c->mss && c->header <= tx->s.size && c->header + c->mss <= MAX_FRAME && c->ipcss + 20 <= c->header &&
           c->tucss + 16 <= c->header;
}

static void send_segments(E1000Tx *tx, const TxContext *c)
{
    if (!e1000_tx_can_cut(tx, c)) {
        guest_error(tx->pci->dev.id, "segmentation with a header of %u and segments of %u bytes", c->header, c->mss);
        return;
    }
    tx->s.left = tx->s.size - c->header;
    e1000_tx_cut(tx, c);
}

static void send_packet(E1000Tx *tx, const TxContext *c)
{
    if (tx->s.large) {
        if (!send_whole(tx, c)) {
            send_segments(tx, c);
        }
    } else if (tx->s.size) {
        if (tx->s.options & TXD_TXSM) {
            put_checksum(tx->packet, tx->s.size, c->tucss, c->tucso, c->tucse);
        }
        if (tx->s.options & TXD_IXSM) {
            put_checksum(tx->packet, tx->s.size, c->ipcss, c->ipcso, c->ipcse);
        }
        send_frame(tx, tx->packet, tx->s.size);
    }
    if (!tx->s.left) {
        e1000_tx_reset(tx);
    }
}

void e1000_tx_reset(E1000Tx *tx)
{
    tx->s = (E1000TxState){ 0 };
}

TxContext e1000_read_context(const uint8_t *d)
{
    uint32_t command = load_le32(d + 8);

    return (TxContext){
        .ipcss = d[0],
        .ipcso = d[1],
        .ipcse = load_le16(d + 2),
        .tucss = d[4],
        .tucso = d[5],
        .tucse = load_le16(d + 6),
        .payload = command & 0xfffff,
        .is_tcp = command >> 24 & 1,
        .is_ip4 = command >> 25 & 1,
        .header = d[13],
        .mss = load_le16(d + 14),
    };
}

static void insert_tag(E1000Tx *tx, uint16_t tag)
{
    if (tx->s.size >= 12 && tx->s.size + FRAME_TAG <= MAX_PACKET) {
        memmove(tx->packet + 16, tx->packet + 12, tx->s.size - 12);
        store_be16(tx->packet + 12, tx->regs[VET / 4]);
        store_be16(tx->packet + 14, tag);
        tx->s.size += FRAME_TAG;
    }
}

void e1000_tx_data(E1000Tx *tx, const TxContext *context, const uint8_t *d)
{
    uint8_t command = d[TXD_COMMAND];
    bool extended = command & TXD_DEXT;
    uint32_t size = extended ? load_le32(d + 8) & 0xfffff : load_le16(d + 8), start = tx->s.size;

    if (extended && start == 0) {
        tx->s.options = d[13];
        tx->s.large = command & TXD_TSE;
    }
    size = MIN(size, MAX_PACKET - start);
    tx->spent += FRAME_COST + size;
    pci_dma_read(tx->pci, load_le64(d), tx->packet + start, size);
    tx->s.size = start + size; /* reading from the card's own registers may have sent something */
    if (!(command & TXD_EOP)) {
        return;
    }
    if (!extended && (command & TXD_IC)) { /* a checksum as the descriptor itself says */
        put_checksum(tx->packet, tx->s.size, d[13], d[10], 0);
    }
    if ((command & TXD_VLE) && (tx->regs[CTRL / 4] & CTRL_VME)) {
        insert_tag(tx, load_le16(d + 14));
    }
    send_packet(tx, context);
}

/* ---- reception ---- */

static bool accepts_address(const uint32_t *regs, const uint8_t *frame)
{
    static const unsigned shifts[] = { 4, 3, 2, 0 };
    uint32_t rctl = regs[RCTL / 4];

    if ((rctl & RCTL_UPE) || ((rctl & RCTL_MPE) && frame_is_multicast(frame)) ||
        ((rctl & RCTL_BAM) && frame_is_broadcast(frame))) {
        return true;
    }
    for (int i = 0; i < 16; i++) {
        uint32_t low = regs[RA / 4 + i * 2], high = regs[RA / 4 + i * 2 + 1];

        if ((high & 0x80000000) && load_le32(frame) == low && load_le16(frame + 4) == (high & 0xffff)) {
            return true;
        }
    }
    if (frame_is_multicast(frame)) {
        unsigned hash = load_le16(frame + 4) >> shifts[rctl >> 12 & 3] & 0xfff;

        return regs[MTA / 4 + (hash >> 5)] >> (hash & 31) & 1;
    }
    return false;
}

bool e1000_is_tagged(const uint32_t *regs, const uint8_t *frame, size_t size)
{
    return size >= FRAME_HEADER + FRAME_TAG && load_be16(frame + 12) == (regs[VET / 4] & 0xffff);
}

/* With VLAN filtering on, tagged frames need the bit of their id. */
static bool accepts_tag(const uint32_t *regs, const uint8_t *frame, size_t size)
{
    unsigned vlan;

    if (!(regs[RCTL / 4] & RCTL_VFE) || !e1000_is_tagged(regs, frame, size)) {
        return true;
    }
    vlan = load_be16(frame + 14) & 0xfff;
    return regs[VFTA / 4 + vlan / 32] >> vlan % 32 & 1;
}

bool e1000_accepts(const uint32_t *regs, const uint8_t *frame, size_t size)
{
    return accepts_address(regs, frame) && accepts_tag(regs, frame, size);
}

void e1000_check_sums(const uint32_t *regs, const uint8_t *frame, size_t size, uint8_t *status, uint8_t *errors)
{
    uint32_t wanted = regs[RXCSUM / 4];
    FrameLayout l;

    *errors = 0;
    *status = RXD_IXSM;
    if (!(wanted & (RXCSUM_IPOFL | RXCSUM_TUOFL)) || !frame_parse(frame, size, &l)) {
        return;
    }
    if (l.ip4 && wanted & RXCSUM_IPOFL) {
        *status = RXD_IPCS;
        *errors |= frame_ip_checksum_ok(frame, &l) ? 0 : RXD_IPE;
    }
    if (wanted & RXCSUM_TUOFL && (l.tcp || l.udp)) {
        *status = (*status & ~RXD_IXSM) | RXD_TCPCS;
        *errors |= frame_transport_checksum_ok(frame, &l) ? 0 : RXD_TCPE;
    }
}

uint32_t e1000_buffer_size(uint32_t rctl)
{
    uint32_t size = 2048 >> (rctl >> 16 & 3);

    return rctl & RCTL_BSEX && size < 2048 ? size * 16 : size;
}
