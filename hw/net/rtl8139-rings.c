/*
 * Realtek RTL8139: where frames come from and go to, in both of the chip's modes.
 *
 * RTL8139C(L)+ data sheet, chapters 5 (receive buffer, four transmit slots) and 9 (descriptor rings of C+ mode).
 */
#include "hw/net/frame.h"
#include "hw/net/rtl8139.h"
#include "util/log.h"

enum { TSD_SIZE = 0x1fff, TSD_OWN = 1 << 13, TSD_TOK = 1 << 15 };
enum { RCR_AAP = 1, RCR_APM = 2, RCR_AM = 4, RCR_AB = 8, RCR_WRAP = 0x80 };
enum { RX_OK = 1 << 0, RX_BROADCAST = 1 << 13, RX_PHYSICAL = 1 << 14, RX_MULTICAST = 1 << 15 };
/* First word of a C+ descriptor. */
#define DESC_OWN 0x80000000u
enum { DESC_EOR = 1 << 30, DESC_FS = 1 << 29, DESC_LS = 1 << 28, TXD_LARGE = 1 << 27, TXD_IPCS = 1 << 18,
       TXD_UDPCS = 1 << 17, TXD_TCPCS = 1 << 16, TXD_SIZE = 0xffff };
enum { RXD_SIZE = 0x1fff, RXD_MULTICAST = 1 << 26, RXD_PHYSICAL = 1 << 25, RXD_BROADCAST = 1 << 24,
       RXD_PID_TCP = 1 << 16, RXD_PID_UDP = 2 << 16, RXD_PID_IP = 3 << 16, RXD_IPF = 1 << 15, RXD_UDPF = 1 << 14,
       RXD_TCPF = 1 << 13 };
enum { TXD_TAG = 1 << 17, RXD_TAG = 1 << 16 }; /* second word */
enum { DESC_BYTES = 16, MAX_RING = 1024 /* the chip has 64; rings end with EOR */ };
#define MAX_FRAME 4096 /* received; more than this chip takes */
#define RX_HEADER 4    /* ahead of each frame in the buffer */
#define RETRY_NS  (500 * NS_PER_US)

/* ---- reception ---- */

static uint32_t buffer_size(const Rtl8139 *r)
{
    return 8192u << (r->s.reg[RCR + 1] >> 3 & 3);
}

/* Bytes that can be written without reaching the reader. */
static uint32_t buffer_room(const Rtl8139 *r)
{
    uint32_t read = load_le16(r->s.reg + CAPR) + 16u, written = load_le16(r->s.reg + CBR);

    return (read - written - 1) & (buffer_size(r) - 1);
}

bool rtl8139_buffer_empty(const Rtl8139 *r)
{
    return buffer_room(r) == buffer_size(r) - 1;
}

/* Whether the filters let it in: its kind as the bits of the receive status, or 0. */
static unsigned accept_kind(const Rtl8139 *r, const uint8_t *frame)
{
    const uint8_t *reg = r->s.reg;
    uint32_t rcr = load_le32(reg + RCR);
    unsigned kind = RX_PHYSICAL;
    bool wanted;

    if (frame_is_broadcast(frame)) {
        kind = RX_BROADCAST;
        wanted = rcr & RCR_AB;
    } else if (frame_is_multicast(frame)) {
        unsigned bit = frame_hash(frame) >> 26;

        kind = RX_MULTICAST;
        wanted = (rcr & RCR_AM) && (reg[MAR + bit / 8] >> bit % 8 & 1);
    } else {
        wanted = (rcr & RCR_APM) && memcmp(frame, reg + IDR, 6) == 0;
    }
    return wanted || (rcr & RCR_AAP) ? kind : 0;
}

static void count_received(Rtl8139 *r, unsigned kind)
{
    r->s.tally[TALLY_RX_OK]++;
    r->s.tally[kind == RX_BROADCAST ? TALLY_RX_BROAD : kind == RX_MULTICAST ? TALLY_RX_MULTI : TALLY_RX_PHYS]++;
}

static void miss_frame(Rtl8139 *r)
{
    uint32_t missed = load_le32(r->s.reg + MPC);

    store_le32(r->s.reg + MPC, (missed + 1) & 0xffffff);
    r->s.tally[TALLY_MISSED]++;
    rtl8139_raise(r, INT_RXOVW | INT_RER);
}

static void put_in_buffer(Rtl8139 *r, uint32_t at, const uint8_t *data, uint32_t size)
{
    uint32_t base = load_le32(r->s.reg + RBSTART), whole = buffer_size(r);
    /* With WRAP set the driver has room behind the end; with 64 KiB the bit is ignored. */
    bool linear = (load_le32(r->s.reg + RCR) & RCR_WRAP) && whole < 65536;
    uint32_t n = linear ? size : MIN(size, whole - at);

    pci_dma_write(&r->pci, base + at, data, n);
    pci_dma_write(&r->pci, base, data + n, size - n);
}

/* packet: room for a header, the frame, room for FRAME_FCS. */
static void receive_in_buffer(Rtl8139 *r, uint8_t *packet, uint32_t size, unsigned kind)
{
    uint32_t at = load_le16(r->s.reg + CBR) & (buffer_size(r) - 1);
    uint8_t *data = packet + RX_HEADER;

    store_le32(data + size, frame_fcs(data, size));
    size += FRAME_FCS;
    if (round_up(RX_HEADER + size, 4) > buffer_room(r)) {
        miss_frame(r);
        return;
    }
    store_le16(packet, RX_OK | kind);
    store_le16(packet + 2, size);
    put_in_buffer(r, at, packet, RX_HEADER + size);
    store_le16(r->s.reg + CBR, (at + round_up(RX_HEADER + size, 4)) & (buffer_size(r) - 1));
    count_received(r, kind);
    rtl8139_raise(r, INT_ROK);
}

static uint64_t ring_base(const Rtl8139 *r, int ring)
{
    static const uint8_t registers[] = { TNPDS, THPDS, RDSAR };

    return load_le64(r->s.reg + registers[ring]) & ~UINT64_C(255);
}

static bool read_descriptor(Rtl8139 *r, int ring, uint32_t n, uint8_t d[DESC_BYTES])
{
    return pci_dma_read(&r->pci, ring_base(r, ring) + (uint64_t)n * DESC_BYTES, d, DESC_BYTES);
}

static void write_descriptor(Rtl8139 *r, int ring, uint32_t n, const uint8_t d[DESC_BYTES])
{
    pci_dma_write(&r->pci, ring_base(r, ring) + (uint64_t)n * DESC_BYTES, d, 8);
}

static uint32_t following(uint32_t n, const uint8_t d[DESC_BYTES])
{
    return (load_le32(d) & DESC_EOR) || n + 1 >= MAX_RING ? 0 : n + 1;
}

static uint32_t checksum_status(const uint8_t *frame, size_t size)
{
    FrameLayout l;
    uint32_t status;

    if (!frame_parse(frame, size, &l) || !l.ip4) {
        return 0;
    }
    status = l.tcp ? RXD_PID_TCP : l.udp ? RXD_PID_UDP : RXD_PID_IP;
    if (!frame_ip_checksum_ok(frame, &l)) {
        status |= RXD_IPF;
    }
    if ((l.tcp || l.udp) && !frame_transport_checksum_ok(frame, &l)) {
        status |= l.tcp ? RXD_TCPF : RXD_UDPF;
    }
    return status;
}

/* Takes a VLAN tag out of the frame; returns what the second word of the descriptor says. */
static uint32_t strip_tag(uint8_t *frame, uint32_t *size)
{
    uint16_t tag;

    if (*size < FRAME_HEADER + FRAME_TAG || load_be16(frame + 12) != 0x8100) {
        return 0;
    }
    tag = load_le16(frame + 14); /* the chip keeps the order of the wire */
    memmove(frame + 12, frame + 16, *size - 16);
    *size -= FRAME_TAG;
    return RXD_TAG | tag;
}

/* Bytes of the buffers that the driver has given from the next descriptor on, up to `wanted`. */
static uint32_t ring_room(Rtl8139 *r, uint32_t wanted)
{
    uint32_t n = r->s.ring_next[RING_RX], room = 0;
    uint8_t d[DESC_BYTES];

    for (int i = 0; i < MAX_RING && room < wanted; i++) {
        if (!read_descriptor(r, RING_RX, n, d) || !(load_le32(d) & DESC_OWN)) {
            break;
        }
        room += load_le32(d) & RXD_SIZE;
        n = following(n, d);
    }
    return room;
}

/* data has room for FRAME_FCS more. */
static void receive_in_ring(Rtl8139 *r, uint8_t *data, uint32_t size, unsigned kind)
{
    uint16_t cpcr = load_le16(r->s.reg + CPCR);
    uint32_t status = kind == RX_BROADCAST ? RXD_BROADCAST : kind == RX_MULTICAST ? RXD_MULTICAST : RXD_PHYSICAL;
    uint32_t tag, done = 0;

    status |= cpcr & CPCR_CHECKSUM ? checksum_status(data, size) : 0;
    tag = cpcr & CPCR_VLAN ? strip_tag(data, &size) : 0;
    store_le32(data + size, frame_fcs(data, size));
    size += FRAME_FCS;
    if (ring_room(r, size) < size) {
        miss_frame(r);
        return;
    }
    for (int i = 0; i < MAX_RING && done < size; i++) {
        uint32_t *next = &r->s.ring_next[RING_RX], n, eor;
        uint8_t d[DESC_BYTES];

        read_descriptor(r, RING_RX, *next, d);
        eor = load_le32(d) & DESC_EOR;
        n = MIN(load_le32(d) & RXD_SIZE, size - done);
        pci_dma_write(&r->pci, load_le64(d + 8), data + done, n);
        store_le32(d, eor | status | (done ? 0 : DESC_FS) | (done + n == size ? DESC_LS | size : n));
        store_le32(d + 4, tag);
        write_descriptor(r, RING_RX, *next, d);
        done += n;
        *next = following(*next, d);
    }
    count_received(r, kind);
    rtl8139_raise(r, INT_ROK);
}

static bool can_receive(void *opaque)
{
    Rtl8139 *r = opaque;

    if (!(r->s.reg[CR] & CR_RE) || !pci_bus_master(&r->pci)) {
        return true; /* what comes is lost, as on a real wire */
    }
    if (!rtl8139_cplus_rx(r)) {
        if (buffer_room(r) >= FRAME_MAX + FRAME_TAG + FRAME_FCS + 8) {
            return true;
        }
        /*
         * A driver may clear ROK with frames left in the buffer. On a wire the next frame would tell it; here
         * that frame waits, so it tells the driver before it comes in.
         */
        rtl8139_raise(r, INT_ROK);
        return false;
    }
    if (ring_room(r, FRAME_MAX + FRAME_TAG + FRAME_FCS) >= FRAME_MAX + FRAME_FCS) {
        return true;
    }
    /* The driver gives descriptors back without a word to the chip, so it has to look again. */
    if (!timer_pending(r->retry)) {
        timer_set(r->retry, clock_now(CLOCK_GUEST) + RETRY_NS);
    }
    return false;
}

static void receive(void *opaque, const uint8_t *frame, size_t size)
{
    Rtl8139 *r = opaque;
    uint8_t packet[RX_HEADER + MAX_FRAME + FRAME_FCS], *data = packet + RX_HEADER;
    unsigned kind;

    if (!(r->s.reg[CR] & CR_RE) || !pci_bus_master(&r->pci) || size < FRAME_HEADER || size > MAX_FRAME) {
        return;
    }
    kind = accept_kind(r, frame);
    if (!kind) {
        return;
    }
    memset(data, 0, FRAME_MIN);
    memcpy(data, frame, size);
    size = MAX(size, FRAME_MIN);
    if (rtl8139_cplus_rx(r)) {
        receive_in_ring(r, data, size, kind);
    } else {
        receive_in_buffer(r, packet, size, kind);
    }
}

static void writable(void *opaque)
{
    rtl8139_send_slots(opaque);
    rtl8139_send_rings(opaque);
}

const NetFrontend rtl8139_frontend = {
    .can_receive = can_receive,
    .receive = receive,
    .link_changed = rtl8139_link_changed,
    .writable = writable,
};

/* ---- transmission ---- */

static bool looped_back(const Rtl8139 *r)
{
    return (r->s.reg[TCR + 2] >> 1 & 3) == 3;
}

static void send_frame(Rtl8139 *r, const uint8_t *frame, size_t size)
{
    if (looped_back(r)) {
        receive(r, frame, size);
    } else {
        nic_send(&r->nic, frame, size);
    }
    r->s.tally[TALLY_TX_OK]++;
}

/* The slots leave in turn; each is the chip's while OWN is zero. */
static void send_slots(Rtl8139 *r)
{
    uint8_t data[TSD_SIZE + 1];

    if (!(r->s.reg[CR] & CR_TE) || (load_le16(r->s.reg + CPCR) & CPCR_TX)) {
        return;
    }
    for (int i = 0; i < 4 && nic_writable(&r->nic); i++) {
        unsigned slot = r->s.tx_next & 3;
        uint8_t *tsd = r->s.reg + TSD + slot * 4;
        uint32_t status = load_le32(tsd), size = status & TSD_SIZE;

        if ((status & TSD_OWN) || !pci_dma_read(&r->pci, load_le32(r->s.reg + TSAD + slot * 4), data, size)) {
            return;
        }
        store_le32(tsd, status | TSD_OWN | TSD_TOK);
        r->s.tx_next = (slot + 1) & 3;
        if (size >= FRAME_HEADER) {
            send_frame(r, data, size);
        }
        rtl8139_raise(r, INT_TOK);
    }
}

void rtl8139_send_slots(Rtl8139 *r)
{
    if (!r->sending) { /* a frame that comes back may be written into the registers that it left by */
        r->sending = true;
        send_slots(r);
        r->sending = false;
    }
}

/* A large send goes out in one piece with a note to the backend; the pieces are cut where it is cheapest. */
static void send_large(Rtl8139 *r, uint8_t *packet, size_t size, uint16_t mss)
{
    struct iovec iov = { packet, size };
    FrameLayout l;
    NetHeader header;

    if (!mss || looped_back(r) || !frame_parse(packet, size, &l) || !l.tcp) {
        guest_error(r->pci.dev.id, "large send of %zu bytes in segments of %u is no TCP", size, mss);
        return;
    }
    if (l.payload + mss >= l.end) { /* one segment */
        frame_put_ip_checksum(packet, &l);
        frame_put_transport_checksum(packet, &l);
        send_frame(r, packet, size);
        return;
    }
    frame_put_pseudo_sum(packet, &l);
    header = (NetHeader){
        .flags = NET_HDR_NEEDS_CSUM,
        .gso_type = l.ip4 ? NET_GSO_TCP4 : NET_GSO_TCP6,
        .header_size = l.payload,
        .gso_size = mss,
        .csum_start = l.transport,
        .csum_offset = 16,
    };
    iov.iov_len = l.end;
    net_send_iov(r->nic.net, &header, &iov, 1);
    r->s.tally[TALLY_TX_OK] += (l.end - l.payload + mss - 1) / mss;
}

static void fill_checksums(uint8_t *packet, size_t size, uint32_t wishes)
{
    FrameLayout l;

    if (!(wishes & (TXD_IPCS | TXD_TCPCS | TXD_UDPCS)) || !frame_parse(packet, size, &l)) {
        return;
    }
    if ((wishes & TXD_IPCS) && l.ip4) {
        frame_put_ip_checksum(packet, &l);
    }
    if (((wishes & TXD_TCPCS) && l.tcp) || ((wishes & TXD_UDPCS) && l.udp)) {
        frame_put_transport_checksum(packet, &l);
    }
}

/* first: the two words of the packet's first descriptor. packet has room for a tag more. */
static void send_packet(Rtl8139 *r, uint8_t *packet, size_t size, uint32_t first, uint32_t second)
{
    if (size < FRAME_HEADER) {
        return;
    }
    if (second & TXD_TAG) {
        memmove(packet + 16, packet + 12, size - 12);
        store_be16(packet + 12, 0x8100);
        store_le16(packet + 14, second);
        size += FRAME_TAG;
    }
    if (first & TXD_LARGE) {
        send_large(r, packet, size, first >> 16 & 0x7ff);
    } else {
        fill_checksums(packet, size, first);
        send_frame(r, packet, size);
    }
}

/* Sends the packet at the ring's head if all of it is there. False: nothing more to send. */
static bool send_next(Rtl8139 *r, int ring)
{
    uint32_t start = r->s.ring_next[ring], n = start, first = 0, second = 0, size = 0, count = 0;
    uint8_t d[DESC_BYTES];

    do {
        uint32_t part;

        if (!read_descriptor(r, ring, n, d) || !(load_le32(d) & DESC_OWN)) {
            return false;
        }
        if (count++ == 0) {
            first = load_le32(d);
            second = load_le32(d + 4);
        }
        part = MIN(load_le32(d) & TXD_SIZE, RTL8139_PACKET - size);
        pci_dma_read(&r->pci, load_le64(d + 8), r->packet + size, part);
        size += part;
        n = following(n, d);
    } while (!(load_le32(d) & DESC_LS) && count < MAX_RING);
    for (uint32_t i = 0, at = start; i < count; i++) {
        read_descriptor(r, ring, at, d);
        store_le32(d, load_le32(d) & ~DESC_OWN);
        write_descriptor(r, ring, at, d);
        at = following(at, d);
    }
    r->s.ring_next[ring] = n;
    if (load_le32(d) & DESC_LS) { /* otherwise: a ring without an end of a packet */
        send_packet(r, r->packet, size, first, second);
    }
    return true;
}

static void send_ring(Rtl8139 *r, int ring, uint8_t poll)
{
    unsigned sent = 0;

    while (nic_writable(&r->nic)) {
        /* A driver that refills while we send does so for one ring at most: it gets its turn to run. */
        if (sent == MAX_RING || !send_next(r, ring)) {
            r->s.reg[TPPOLL] &= ~poll;
            rtl8139_raise(r, INT_TDU | (sent ? INT_TOK : 0));
            return;
        }
        sent++;
    }
    rtl8139_raise(r, sent ? INT_TOK : 0);
}

static void send_rings(Rtl8139 *r)
{
    if (!(r->s.reg[CR] & CR_TE) || !(load_le16(r->s.reg + CPCR) & CPCR_TX)) {
        r->s.reg[TPPOLL] = 0;
        return;
    }
    if (r->s.reg[TPPOLL] & TPPOLL_HIGH) {
        send_ring(r, RING_HIGH, TPPOLL_HIGH);
    }
    if (r->s.reg[TPPOLL] & TPPOLL_NORMAL) {
        send_ring(r, RING_NORMAL, TPPOLL_NORMAL);
    }
}

void rtl8139_send_rings(Rtl8139 *r)
{
    if (!r->sending) {
        r->sending = true;
        send_rings(r);
        r->sending = false;
    }
}
