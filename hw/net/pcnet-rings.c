/*
 * AMD Am79C970A: the rings of descriptors.
 *
 * Am79C970A data sheet (19436), "Descriptor Rings" and "Receive/Transmit Descriptor". The software style in BCR20
 * chooses between the LANCE's 8-byte descriptors and two orders of 16 bytes.
 */
#include "hw/net/frame.h"
#include "hw/net/pcnet.h"
#include "util/bits.h"

#include <string.h>

/* The status byte of both kinds, in place as in 32-bit descriptors. */
#define DESC_OWN 0x80000000u
enum { DESC_ERR = 1 << 30, DESC_STP = 1 << 25, DESC_ENP = 1 << 24, DESC_BITS = 0x7ff00000 };
enum { RXD_OFLO = 1 << 28, RXD_BUFF = 1 << 26, RXD_PAM = 1 << 22, RXD_LAFM = 1 << 21, RXD_BAM = 1 << 20,
       TXD_LTINT = 1 << 28, TXD_KEEP = 1 << 29 | 1 << 23 /* ADD_FCS, BPE */ };
enum { MAX_FRAME = 4096 };
#define RETRY_NS (500 * NS_PER_US)

typedef struct Descriptor {
    uint32_t at;      /* its own address */
    uint32_t buffer, flags;
    uint32_t size;    /* of the buffer */
    uint32_t result;  /* written back: message length, or errors of transmission */
} Descriptor;

static uint32_t ring_entry(const Pcnet *p, uint32_t base, unsigned n)
{
    return base + n * (pcnet_style(p) == 0 ? 8 : 16);
}

static bool read_descriptor(Pcnet *p, uint32_t at, Descriptor *d)
{
    uint8_t raw[16];
    unsigned style = pcnet_style(p);

    d->at = at;
    if (!pci_dma_read(&p->pci, at, raw, style == 0 ? 8 : 16)) {
        return false;
    }
    if (style == 0) {
        d->buffer = (load_le32(raw) & 0xffffff) | (uint32_t)(p->s.csr[2] & 0xff00) << 16;
        d->flags = (uint32_t)raw[3] << 24;
        d->size = load_le16(raw + 4);
        d->result = load_le16(raw + 6);
    } else {
        d->buffer = load_le32(raw + (style == 3 ? 8 : 0));
        d->flags = load_le32(raw + 4);
        d->size = d->flags & 0xffff;
        d->result = load_le32(raw + (style == 3 ? 0 : 8));
    }
    d->size = 4096 - (d->size & 0xfff); /* the field has the negative of it */
    return true;
}

/* The result goes first: with OWN the descriptor is the driver's. */
static void write_descriptor(Pcnet *p, const Descriptor *d)
{
    unsigned style = pcnet_style(p);
    uint8_t raw[4];

    if (style == 0) {
        store_le16(raw, d->result);
        pci_dma_write(&p->pci, d->at + 6, raw, 2);
        raw[0] = d->flags >> 24;
        pci_dma_write(&p->pci, d->at + 3, raw, 1);
        return;
    }
    store_le32(raw, d->result);
    pci_dma_write(&p->pci, d->at + (style == 3 ? 0 : 8), raw, 4);
    store_le32(raw, d->flags);
    pci_dma_write(&p->pci, d->at + 4, raw, 4);
}

/* ---- reception ---- */

static unsigned following(unsigned n, unsigned count)
{
    return n + 1 >= count ? 0 : n + 1;
}

static bool is_listening(const Pcnet *p)
{
    return (p->s.csr[0] & CSR0_RXON) && !(p->s.csr[5] & CSR5_SPND) && pci_bus_master(&p->pci);
}

/* Bytes of the buffers that are ours from the next descriptor on, up to `wanted`. */
static uint32_t ring_room(Pcnet *p, uint32_t wanted)
{
    unsigned n = p->s.rx_next;
    uint32_t room = 0;

    for (unsigned i = 0; i < p->s.rx_count && room < wanted; i++) {
        Descriptor d;

        if (!read_descriptor(p, ring_entry(p, p->s.rx_base, n), &d) || !(d.flags & DESC_OWN)) {
            break;
        }
        room += d.size;
        n = following(n, p->s.rx_count);
    }
    return room;
}

static bool can_receive(void *opaque)
{
    Pcnet *p = opaque;

    if (!is_listening(p) || ring_room(p, FRAME_MAX + FRAME_FCS) >= FRAME_MAX + FRAME_FCS) {
        return true; /* a chip that does not listen loses what comes */
    }
    /* The driver gives descriptors back without a word to the chip, so it has to look again. */
    if (!timer_pending(p->retry)) {
        timer_set(p->retry, clock_now(CLOCK_GUEST) + RETRY_NS);
    }
    return false;
}

/* How the filters take it, as a bit of the descriptor; 0: they do not. */
static uint32_t accept_kind(const Pcnet *p, const uint8_t *frame)
{
    uint16_t mode = p->s.csr[15];
    uint8_t own[6];

    for (int i = 0; i < 3; i++) {
        store_le16(own + 2 * i, p->s.csr[12 + i]);
    }
    if (frame_is_broadcast(frame) && !(mode & MODE_DRCVBC)) {
        return RXD_BAM;
    }
    if (frame_is_multicast(frame) && !frame_is_broadcast(frame)) {
        unsigned hash = frame_hash_low(frame) >> 26;

        if (p->s.csr[8 + hash / 16] >> hash % 16 & 1) {
            return RXD_LAFM;
        }
    }
    if ((!(mode & MODE_DRCVPA) && memcmp(frame, own, 6) == 0) || (mode & MODE_PROM)) {
        return RXD_PAM;
    }
    return 0;
}

/* With ASTRP_RCV, padding and check sequence of 802.3 frames stay behind. */
static size_t stripped(const Pcnet *p, const uint8_t *frame, size_t size)
{
    uint16_t length = load_be16(frame + 12);

    return (p->s.csr[4] & CSR4_ASTRP) && length && length < 46 ? FRAME_HEADER + length : size + FRAME_FCS;
}

static void store_frame(Pcnet *p, const uint8_t *data, size_t size, uint32_t kind)
{
    size_t done = 0;

    for (unsigned i = 0; i < p->s.rx_count && done < size; i++) {
        Descriptor d;
        uint32_t n;

        if (!read_descriptor(p, ring_entry(p, p->s.rx_base, p->s.rx_next), &d) || !(d.flags & DESC_OWN)) {
            break;
        }
        n = MIN(d.size, size - done);
        pci_dma_write(&p->pci, d.buffer, data + done, n);
        d.flags = (d.flags & ~(DESC_OWN | DESC_BITS)) | (done ? 0 : DESC_STP);
        d.result = 0;
        done += n;
        if (done == size) {
            d.flags |= DESC_ENP | kind;
            d.result = size;
        }
        write_descriptor(p, &d);
        p->s.rx_next = following(p->s.rx_next, p->s.rx_count);
    }
    pcnet_raise(p, CSR0_RINT);
}

static void receive(void *opaque, const uint8_t *frame, size_t size)
{
    Pcnet *p = opaque;
    uint8_t data[MAX_FRAME + FRAME_FCS];
    uint32_t kind;

    if (!is_listening(p) || size < FRAME_HEADER || size > MAX_FRAME) {
        return;
    }
    kind = accept_kind(p, frame);
    if (!kind) {
        return;
    }
    memset(data, 0, FRAME_MIN);
    memcpy(data, frame, size);
    size = MAX(size, FRAME_MIN);
    store_le32(data + size, frame_fcs(data, size));
    size = stripped(p, data, size);
    if (ring_room(p, size) < size) {
        p->s.csr[112]++; /* missed frames */
        pcnet_raise(p, CSR0_MISS);
        return;
    }
    store_frame(p, data, size, kind);
}

static void writable(void *opaque)
{
    pcnet_transmit(opaque);
}

const NetFrontend pcnet_frontend = {
    .can_receive = can_receive,
    .receive = receive,
    .link_changed = pcnet_link_changed,
    .writable = writable,
};

/* ---- transmission ---- */

static void send_frame(Pcnet *p, size_t size)
{
    if (size < FRAME_HEADER) {
        return;
    }
    if (p->s.csr[15] & MODE_LOOP) {
        receive(p, p->packet, size);
    } else {
        nic_send(&p->nic, p->packet, size);
    }
}

/* Sends the frame at the ring's head if all of it is ours. False: nothing more to send. */
static bool send_next(Pcnet *p)
{
    PcnetState *s = &p->s;
    unsigned n = s->tx_next, count = 0;
    size_t size = 0;
    bool whole = false, wants_interrupt;
    Descriptor d = { 0 };

    do {
        uint32_t part;

        if (!read_descriptor(p, ring_entry(p, s->tx_base, n), &d) || !(d.flags & DESC_OWN)) {
            return false;
        }
        if (count == 0 && !(d.flags & DESC_STP)) { /* the rest of a frame that has no start is skipped */
            d.flags &= ~DESC_OWN;
            write_descriptor(p, &d);
            s->tx_next = following(n, s->tx_count);
            return true;
        }
        part = MIN(d.size, PCNET_PACKET - size);
        pci_dma_read(&p->pci, d.buffer, p->packet + size, part);
        size += part;
        whole = d.flags & DESC_ENP;
        n = following(n, s->tx_count);
        count++;
    } while (!whole && count < s->tx_count);
    wants_interrupt = !(s->csr[5] & CSR5_LTINTEN) || (d.flags & TXD_LTINT);
    for (unsigned i = 0; i < count; i++) {
        if (!read_descriptor(p, ring_entry(p, s->tx_base, s->tx_next), &d)) {
            return false;
        }
        d.flags &= ~(DESC_OWN | DESC_ERR | (DESC_BITS & ~(TXD_KEEP | DESC_STP | DESC_ENP)));
        d.result = 0;
        write_descriptor(p, &d);
        s->tx_next = following(s->tx_next, s->tx_count);
    }
    if (whole) {
        s->csr[4] |= CSR4_TXSTRT;
        send_frame(p, size);
    }
    if (wants_interrupt && !(s->csr[5] & CSR5_TOKINTD)) {
        pcnet_raise(p, CSR0_TINT);
    }
    return true;
}

static void transmit(Pcnet *p)
{
    /* Once round the ring at most: a driver that refills meanwhile gets its turn to run. */
    for (unsigned i = 0; i < p->s.tx_count; i++) {
        if (!(p->s.csr[0] & CSR0_TXON) || (p->s.csr[5] & CSR5_SPND) || !nic_writable(&p->nic) || !send_next(p)) {
            return;
        }
    }
}

void pcnet_transmit(Pcnet *p)
{
    if (!p->sending) { /* a frame that comes back may be written into the registers that it left by */
        p->sending = true;
        transmit(p);
        p->sending = false;
    }
}
