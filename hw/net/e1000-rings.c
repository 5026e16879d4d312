/*
 * Intel 82540EM Gigabit Ethernet (e1000): the transmit and receive rings, and what the card does to frames.
 *
 * PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453), chapter 3.
 */
#include "hw/net/e1000.h"
#include "hw/net/frame.h"
#include "util/bits.h"
#include "util/checksum.h"
#include "util/log.h"

#include <string.h>

/* ---- checksums ---- */

static void put_checksum(uint8_t *packet, size_t size, unsigned start, unsigned at, unsigned end)
{
    size_t last = end && end < size ? end + 1u : size;

    if (at + 1 < size && start < last) {
        uint16_t sum = ~checksum_add(0, packet + start, last - start);

        store_be16(packet + at, sum ? sum : 0xffff);
    }
}

/* ---- transmission ---- */

static void count_frame(E1000 *e, unsigned frames, unsigned all_frames, unsigned octets,
                        unsigned all_octets, size_t size)
{
    uint64_t total;

    ++*reg(e, frames);
    ++*reg(e, all_frames);
    total = (*reg(e, octets) | (uint64_t)*reg(e, octets + 4) << 32) + size + 4;
    *reg(e, octets) = total;
    *reg(e, octets + 4) = total >> 32;
    total = (*reg(e, all_octets) | (uint64_t)*reg(e, all_octets + 4) << 32) + size + 4;
    *reg(e, all_octets) = total;
    *reg(e, all_octets + 4) = total >> 32;
}

static void e1000_receive(void *opaque, const uint8_t *data, size_t size);

static bool is_looped_back(E1000 *e)
{
    return *reg(e, RCTL) >> 6 & 3;
}

static void count_kind(E1000 *e, const uint8_t *frame, unsigned broadcast, unsigned multicast)
{
    if (frame_is_multicast(frame)) {
        ++*reg(e, frame_is_broadcast(frame) ? broadcast : multicast);
    }
}

static void send_frame(E1000 *e, const uint8_t *frame, size_t size)
{
    if (size < FRAME_HEADER) {
        return;
    }
    count_frame(e, GPTC, TPT, GOTCL, TOTL, MAX(size, FRAME_MIN));
    count_kind(e, frame, BPTC, MPTC);
    if (is_looped_back(e)) {
        e1000_receive(e, frame, size);
    } else {
        nic_send(&e->nic, frame, size);
    }
}

/* One segment of a large TCP send: its own lengths, sequence number, flags and checksums. */
static void send_segment(E1000 *e, uint8_t *frame, size_t header, size_t data, uint32_t done, bool last,
                         unsigned index)
{
    const E1000State *s = &e->s;
    uint8_t *ip = frame + s->ipcss, *tcp = frame + s->tucss;
    size_t size = header + data, transport = size - s->tucss;
    uint32_t sum;

    if (s->is_ip4) {
        store_be16(ip + 2, size - s->ipcss);
        store_be16(ip + 4, load_be16(ip + 4) + index);
    } else {
        store_be16(ip + 4, size - s->ipcss - 40);
    }
    if (s->is_tcp) {
        store_be32(tcp + 4, load_be32(tcp + 4) + done);
        if (!last) {
            tcp[13] &= ~0x09; /* FIN and PSH belong to the last */
        }
    } else {
        store_be16(tcp + 4, transport);
    }
    /* Software left the pseudo header's sum without the length in the checksum field. */
    if (e->packet_options & TXD_TXSM && (size_t)s->tucso + 2 <= size) {
        sum = load_be16(frame + s->tucso) + transport;
        store_be16(frame + s->tucso, (sum & 0xffff) + (sum >> 16));
        put_checksum(frame, size, s->tucss, s->tucso, 0);
    }
    if (e->packet_options & TXD_IXSM && (size_t)s->ipcso + 2 <= size) {
        store_be16(frame + s->ipcso, 0);
        put_checksum(frame, size, s->ipcss, s->ipcso, s->ipcse);
    }
    send_frame(e, frame, size);
}

/* The usual send of a driver goes to the backend in one piece, with a note how to cut it. */
static bool send_whole(E1000 *e)
{
    const E1000State *s = &e->s;
    size_t size = e->packet_size;
    uint8_t *ip = e->packet + s->ipcss;
    struct iovec iov = { e->packet, size };
    FrameLayout l;
    NetHeader header;

    if (!s->is_tcp || !(e->packet_options & TXD_TXSM) || (s->is_ip4 && !(e->packet_options & TXD_IXSM)) || !s->mss ||
        s->header + s->mss >= size || s->ipcss + 20u > s->header || size - s->ipcss > UINT16_MAX || is_looped_back(e)) {
        return false;
    }
    if (s->is_ip4) {
        store_be16(ip + 2, size - s->ipcss);
    } else {
        store_be16(ip + 4, size - s->ipcss - 40);
    }
    if (!frame_parse(e->packet, size, &l) || l.ip4 != s->is_ip4 || !l.tcp || l.ip != s->ipcss ||
        l.transport != s->tucss || l.payload != s->header || l.end != size || s->tucso != s->tucss + 16) {
        return false;
    }
    if (l.ip4) {
        frame_put_ip_checksum(e->packet, &l);
    }
    frame_put_pseudo_sum(e->packet, &l);
    header = (NetHeader){
        .flags = NET_HDR_NEEDS_CSUM,
        .gso_type = l.ip4 ? NET_GSO_TCP4 : NET_GSO_TCP6,
        .header_size = l.payload,
        .gso_size = s->mss,
        .csum_start = l.transport,
        .csum_offset = 16,
    };
    for (size_t done = s->header; done < size; done += s->mss) {
        count_frame(e, GPTC, TPT, GOTCL, TOTL, s->header + MIN(s->mss, size - done));
    }
    net_send_iov(e->nic.net, &header, &iov, 1);
    return true;
}

/* As the context descriptor says, whatever the packet is. */
static void send_segments(E1000 *e)
{
    const E1000State *s = &e->s;
    size_t header = s->header, left;
    uint32_t done = 0;
    uint8_t frame[MAX_FRAME];

    if (header > e->packet_size || header + s->mss > sizeof(frame) || !s->mss ||
        s->ipcss + 20u > header || s->tucss + 16u > header) {
        guest_error(e->pci.dev.id, "segmentation with a header of %zu and segments of %u bytes", header, s->mss);
        return;
    }
    left = e->packet_size - header;
    for (unsigned i = 0; left; i++) {
        size_t n = MIN(left, s->mss);

        memcpy(frame, e->packet, header);
        memcpy(frame + header, e->packet + header + done, n);
        left -= n;
        send_segment(e, frame, header, n, done, !left, i);
        done += n;
    }
}

static void send_packet(E1000 *e)
{
    if (e->packet_tso) {
        if (!send_whole(e)) {
            send_segments(e);
        }
    } else if (e->packet_size) {
        if (e->packet_options & TXD_TXSM) {
            put_checksum(e->packet, e->packet_size, e->s.tucss, e->s.tucso, e->s.tucse);
        }
        if (e->packet_options & TXD_IXSM) {
            put_checksum(e->packet, e->packet_size, e->s.ipcss, e->s.ipcso, e->s.ipcse);
        }
        send_frame(e, e->packet, e->packet_size);
    }
    e->packet_size = 0;
    e->packet_options = 0;
    e->packet_tso = false;
}

static void take_context(E1000 *e, const uint8_t *d)
{
    E1000State *s = &e->s;
    uint32_t command = load_le32(d + 8);

    s->ipcss = d[0];
    s->ipcso = d[1];
    s->ipcse = load_le16(d + 2);
    s->tucss = d[4];
    s->tucso = d[5];
    s->tucse = load_le16(d + 6);
    s->payload = command & 0xfffff;
    s->is_tcp = command >> 24 & 1;
    s->is_ip4 = command >> 25 & 1;
    s->header = d[13];
    s->mss = load_le16(d + 14);
}

static void take_data(E1000 *e, const uint8_t *d)
{
    uint64_t address = load_le64(d);
    uint8_t command = d[11];
    bool extended = command & TXD_DEXT;
    uint32_t size = extended ? load_le32(d + 8) & 0xfffff : load_le16(d + 8);

    if (extended && e->packet_size == 0) {
        e->packet_options = d[13];
        e->packet_tso = command & TXD_TSE;
    }
    size = MIN(size, MAX_PACKET - e->packet_size);
    pci_dma_read(&e->pci, address, e->packet + e->packet_size, size);
    e->packet_size += size;
    if (!(command & TXD_EOP)) {
        return;
    }
    if (!extended && (command & TXD_IC)) { /* a checksum as the descriptor itself says */
        put_checksum(e->packet, e->packet_size, d[13], d[10], 0);
    }
    if ((command & TXD_VLE) && (*reg(e, CTRL) & CTRL_VME) && e->packet_size >= 12 &&
        e->packet_size + 4 <= MAX_PACKET) {
        memmove(e->packet + 16, e->packet + 12, e->packet_size - 12);
        store_be16(e->packet + 12, *reg(e, VET));
        store_be16(e->packet + 14, load_le16(d + 14));
        e->packet_size += 4;
    }
    send_packet(e);
}

void e1000_transmit(E1000 *e)
{
    uint32_t count = *reg(e, TDLEN) / 16, causes = 0;
    uint64_t base = (*reg(e, TDBAL) & ~15u) | (uint64_t)*reg(e, TDBAH) << 32;

    if (!(*reg(e, TCTL) & TCTL_EN) || !count) {
        return;
    }
    /* A ring is gone round once at most: the tail may be out of it. */
    for (uint32_t n = 0; n < count && *reg(e, TDH) != *reg(e, TDT) && nic_writable(&e->nic); n++) {
        uint64_t at = base + (uint64_t)*reg(e, TDH) * 16;
        uint8_t d[16];

        if (!pci_dma_read(&e->pci, at, d, sizeof(d))) {
            return;
        }
        if ((d[11] & TXD_DEXT) && (load_le32(d + 8) >> 20 & 15) == 0) {
            take_context(e, d);
        } else {
            take_data(e, d);
        }
        if (d[11] & TXD_RS) {
            d[12] |= RXD_DD;
            pci_dma_write(&e->pci, at + 12, d + 12, 1);
            causes |= INT_TXDW;
        }
        *reg(e, TDH) = *reg(e, TDH) + 1 >= count ? 0 : *reg(e, TDH) + 1;
    }
    e1000_raise(e, causes | (*reg(e, TDH) == *reg(e, TDT) ? INT_TXQE : 0));
}

static void e1000_writable(void *opaque)
{
    e1000_transmit(opaque);
}

/* ---- reception ---- */

static uint32_t rx_free(E1000 *e)
{
    uint32_t count = *reg(e, RDLEN) / 16, head = *reg(e, RDH), tail = *reg(e, RDT);

    if (!count || head >= count || tail >= count) {
        return 0;
    }
    return tail >= head ? tail - head : count - head + tail;
}

static uint32_t rx_buffer_size(E1000 *e)
{
    uint32_t rctl = *reg(e, RCTL), size = 2048 >> (rctl >> 16 & 3);

    return rctl & RCTL_BSEX && size < 2048 ? size * 16 : size;
}

static bool e1000_can_receive(void *opaque)
{
    E1000 *e = opaque;

    return (*reg(e, RCTL) & RCTL_EN) && (*reg(e, STATUS) & STATUS_LU) && pci_bus_master(&e->pci) &&
           rx_free(e) * rx_buffer_size(e) >= 1522;
}

static bool accepts(E1000 *e, const uint8_t *frame)
{
    static const unsigned shifts[] = { 4, 3, 2, 0 };
    uint32_t rctl = *reg(e, RCTL);

    if ((rctl & RCTL_UPE) || ((rctl & RCTL_MPE) && (frame[0] & 1)) ||
        ((rctl & RCTL_BAM) && memcmp(frame, "\xff\xff\xff\xff\xff\xff", 6) == 0)) {
        return true;
    }
    for (int i = 0; i < 16; i++) {
        uint32_t low = *reg(e, RA + i * 8), high = *reg(e, RA + i * 8 + 4);

        if ((high & 0x80000000) && load_le32(frame) == low && load_le16(frame + 4) == (high & 0xffff)) {
            return true;
        }
    }
    if (frame[0] & 1) {
        unsigned hash = load_le16(frame + 4) >> shifts[rctl >> 12 & 3] & 0xfff;

        return *reg(e, MTA + (hash >> 5) * 4) >> (hash & 31) & 1;
    }
    return false;
}

/* Status and errors of a received frame's checksums; what the card did not look at leaves IXSM set. */
static void check_sums(E1000 *e, const uint8_t *frame, size_t size, uint8_t *status, uint8_t *errors)
{
    uint32_t wanted = *reg(e, RXCSUM);
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

/* With VLAN filtering on, tagged frames need the bit of their id. */
static bool accepts_tag(E1000 *e, const uint8_t *frame, size_t size)
{
    unsigned vlan = size >= FRAME_HEADER + FRAME_TAG ? load_be16(frame + 14) & 0xfff : 0;

    return !(*reg(e, RCTL) & RCTL_VFE) || load_be16(frame + 12) != (*reg(e, VET) & 0xffff) ||
           (*reg(e, VFTA + vlan / 32 * 4) >> vlan % 32 & 1);
}

static void e1000_receive(void *opaque, const uint8_t *data, size_t size)
{
    E1000 *e = opaque;
    uint16_t tag = 0;
    uint32_t buffer = rx_buffer_size(e), count = *reg(e, RDLEN) / 16, causes = INT_RXT0;
    uint64_t base = (*reg(e, RDBAL) & ~15u) | (uint64_t)*reg(e, RDBAH) << 32;
    uint8_t frame[MAX_FRAME + 4], sums, errors;
    size_t total, at = 0;

    if (size > MAX_FRAME || size < FRAME_HEADER || !(*reg(e, RCTL) & RCTL_EN) || !accepts(e, data) ||
        !accepts_tag(e, data, size)) {
        return;
    }
    memset(frame, 0, 64);
    memcpy(frame, data, size);
    check_sums(e, data, size, &sums, &errors);
    total = MAX(size, FRAME_MIN);
    count_frame(e, GPRC, TPR, GORCL, TORL, total);
    count_kind(e, data, BPRC, MPRC);
    if ((*reg(e, CTRL) & CTRL_VME) && load_be16(frame + 12) == (*reg(e, VET) & 0xffff)) {
        tag = load_be16(frame + 14);
        memmove(frame + 12, frame + 16, total - 16);
        total -= FRAME_TAG;
        sums |= RXD_VP;
    }
    if (!(*reg(e, RCTL) & RCTL_SECRC)) {
        memset(frame + total, 0, 4); /* the frame check sequence: nobody looks at it */
        total += 4;
    }
    if (rx_free(e) * (uint64_t)buffer < total) {
        ++*reg(e, MPC);
        e1000_raise(e, INT_RXO);
        return;
    }
    while (at < total) {
        uint64_t descriptor = base + (uint64_t)*reg(e, RDH) * 16;
        uint32_t n = MIN(total - at, buffer);
        uint8_t d[16];

        pci_dma_read(&e->pci, descriptor, d, sizeof(d));
        if (load_le64(d)) {
            pci_dma_write(&e->pci, load_le64(d), frame + at, n);
        }
        at += n;
        store_le16(d + 8, n);
        store_le16(d + 10, 0);
        d[12] = RXD_DD | (at == total ? RXD_EOP | sums : 0);
        d[13] = at == total ? errors : 0;
        store_le16(d + 14, tag);
        pci_dma_write(&e->pci, descriptor + 8, d + 8, 8);
        *reg(e, RDH) = *reg(e, RDH) + 1 >= count ? 0 : *reg(e, RDH) + 1;
    }
    if (rx_free(e) <= count >> ((*reg(e, RCTL) >> 8 & 3) + 1)) {
        causes |= INT_RXDMT0;
    }
    e1000_raise(e, causes);
}

const NetFrontend e1000_frontend = {
    .can_receive = e1000_can_receive,
    .receive = e1000_receive,
    .link_changed = e1000_link_changed,
    .writable = e1000_writable,
};
