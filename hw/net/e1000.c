/*
 * Intel 82540EM Gigabit Ethernet (e1000).
 *
 * PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453): chapter 3
 * for descriptors, 13 for registers.
 */
#include "core/clock.h"
#include "hw/net/frame.h"
#include "hw/net/microwire.h"
#include "hw/net/nic.h"
#include "hw/pci/pci.h"
#include "util/bits.h"
#include "util/checksum.h"
#include "util/log.h"

#include <string.h>

enum {
    CTRL = 0x0000, STATUS = 0x0008, EECD = 0x0010, EERD = 0x0014, CTRL_EXT = 0x0018, MDIC = 0x0020,
    FCAL = 0x0028, FCT = 0x0030, VET = 0x0038, ICR = 0x00c0, ITR = 0x00c4, ICS = 0x00c8, IMS = 0x00d0,
    IMC = 0x00d8, RCTL = 0x0100, FCTTV = 0x0170, TCTL = 0x0400, TIPG = 0x0410, LEDCTL = 0x0e00,
    PBA = 0x1000, RDBAL = 0x2800, RDBAH = 0x2804, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818,
    RDTR = 0x2820, RADV = 0x282c, TDBAL = 0x3800, TDBAH = 0x3804, TDLEN = 0x3808, TDH = 0x3810,
    TDT = 0x3818, TIDV = 0x3820, STATS = 0x4000, MPC = 0x4010, GPRC = 0x4074, BPRC = 0x4078,
    MPRC = 0x407c, GPTC = 0x4080, GORCL = 0x4088,
    GOTCL = 0x4090, TORL = 0x40c0, TOTL = 0x40c8, TPR = 0x40d0, TPT = 0x40d4, MPTC = 0x40f0, BPTC = 0x40f4, STATS_END = 0x4124,
    RXCSUM = 0x5000, MTA = 0x5200, RA = 0x5400, VFTA = 0x5600, WUFC = 0x5808, REGS_END = 0x8000,
};
enum { CTRL_SLU = 1 << 6, CTRL_RST = 1 << 26, CTRL_VME = 1 << 30 };
enum { STATUS_FD = 1, STATUS_LU = 2, STATUS_1000 = 0x80 };
enum { INT_TXDW = 1 << 0, INT_TXQE = 1 << 1, INT_LSC = 1 << 2, INT_RXDMT0 = 1 << 4, INT_RXO = 1 << 6, INT_RXT0 = 1 << 7, INT_MDAC = 1 << 9 };
enum { RCTL_EN = 1 << 1, RCTL_UPE = 1 << 3, RCTL_MPE = 1 << 4, RCTL_BAM = 1 << 15, RCTL_VFE = 1 << 18, RCTL_BSEX = 1 << 25, RCTL_SECRC = 1 << 26 };
enum { TCTL_EN = 1 << 1 };
enum { EECD_SK = 1, EECD_CS = 2, EECD_DI = 4, EECD_DO = 8, EECD_REQ = 0x40, EECD_GNT = 0x80, EECD_PRES = 0x100 };
/* Transmit descriptor: command byte, DTYP in the extended form. */
enum { TXD_EOP = 1, TXD_IFCS = 2, TXD_IC = 4, TXD_TSE = 4, TXD_RS = 8, TXD_DEXT = 0x20, TXD_VLE = 0x40 };
enum { TXD_IXSM = 1, TXD_TXSM = 2 }; /* packet options */
enum { RXD_DD = 1, RXD_EOP = 2, RXD_IXSM = 4, RXD_VP = 8, RXD_TCPCS = 0x20, RXD_IPCS = 0x40 };
enum { RXD_TCPE = 0x20, RXD_IPE = 0x40 }; /* errors */
enum { RXCSUM_IPOFL = 1 << 8, RXCSUM_TUOFL = 1 << 9 };
#define MAX_FRAME  16384
#define MAX_PACKET 65536

#define E1000_STATE(FIELD, ARRAY)                                       \
    ARRAY(uint32_t, reg, REGS_END / 4, 0)                               \
    ARRAY(uint16_t, phy, 32, 0)                                         \
    ARRAY(uint16_t, eeprom, 64, 0)                                      \
    ARRAY(uint16_t, eeprom_wires, MICROWIRE_WIRES, 0)                   \
    FIELD(int64_t, irq_allowed_at, 0) /* interrupt throttling */        \
    /* the context descriptor in force */                               \
    FIELD(uint8_t, ipcss, 0)                                            \
    FIELD(uint8_t, ipcso, 0)                                            \
    FIELD(uint16_t, ipcse, 0)                                           \
    FIELD(uint8_t, tucss, 0)                                            \
    FIELD(uint8_t, tucso, 0)                                            \
    FIELD(uint16_t, tucse, 0)                                           \
    FIELD(uint32_t, payload, 0)                                         \
    FIELD(uint8_t, header, 0)                                           \
    FIELD(uint16_t, mss, 0)                                             \
    FIELD(bool, is_ip4, false)                                          \
    FIELD(bool, is_tcp, false)

DEFINE_STATE(E1000State, E1000_STATE);

typedef struct E1000 {
    PciDevice pci;
    E1000State s;
    Nic nic;
    Region *mmio, *io;
    Timer *throttle;
    uint32_t io_address;
    /* The packet that descriptors are gathering. */
    uint8_t packet[MAX_PACKET];
    uint32_t packet_size;
    uint8_t packet_options;
    bool packet_tso;
} E1000;

static uint32_t *reg(E1000 *e, unsigned offset)
{
    return &e->s.reg[offset / 4];
}

static void e1000_update(Device *dev)
{
    E1000 *e = (E1000 *)dev;
    bool wanted = *reg(e, ICR) & *reg(e, IMS) & ~0x80000000u;
    uint32_t interval = *reg(e, ITR) & 0xffff; /* in 256 ns */

    if (wanted && interval && !e->pci.intx) {
        int64_t now = clock_now(CLOCK_GUEST);

        if (now < e->s.irq_allowed_at) {
            timer_set(e->throttle, e->s.irq_allowed_at);
            return;
        }
        e->s.irq_allowed_at = now + interval * 256;
    }
    pci_set_intx(&e->pci, wanted);
}

static void throttle_over(void *opaque)
{
    e1000_update(&((E1000 *)opaque)->pci.dev);
}

static void raise_causes(E1000 *e, uint32_t causes)
{
    *reg(e, ICR) |= causes;
    e1000_update(&e->pci.dev);
}

/* ---- EEPROM (Microwire, 64 words) and PHY ---- */

static void fill_eeprom(E1000 *e)
{
    uint16_t *w = e->s.eeprom, sum = 0;

    memset(w, 0, sizeof(e->s.eeprom));
    for (int i = 0; i < 3; i++) {
        w[i] = load_le16(e->nic.mac + 2 * i);
    }
    w[3] = 0x0100;
    w[5] = 0xffff;
    w[10] = 0x400b; /* initialization control 1 */
    w[11] = 0x1100; /* subsystem */
    w[12] = 0x1af4;
    w[13] = 0x100e;
    w[14] = 0x8086;
    w[15] = 0xff80; /* initialization control 2 */
    w[0x1f] = 0x0602;
    w[0x21] = 0x7863;
    for (int i = 0; i < 63; i++) {
        sum += w[i];
    }
    w[63] = 0xbaba - sum;
}

static Microwire eeprom(E1000 *e)
{
    return (Microwire){ e->s.eeprom, 6, e->s.eeprom_wires };
}

static void write_eecd(E1000 *e, uint32_t value)
{
    Microwire m = eeprom(e);

    *reg(e, EECD) = value & (EECD_SK | EECD_CS | EECD_DI | EECD_REQ | 0x30);
    microwire_drive(&m, value & EECD_CS, value & EECD_SK, value & EECD_DI);
}

static uint32_t read_eecd(E1000 *e)
{
    Microwire m = eeprom(e);
    uint32_t value = *reg(e, EECD) | EECD_PRES;

    return value | (value & EECD_REQ ? EECD_GNT : 0) | (microwire_data(&m) ? EECD_DO : 0);
}

static void write_eerd(E1000 *e, uint32_t value)
{
    if (value & 1) {
        unsigned address = value >> 8 & 0xff;
        uint16_t word = address < 64 ? e->s.eeprom[address] : 0xffff;

        *reg(e, EERD) = (uint32_t)word << 16 | address << 8 | 0x10;
    }
}

enum { PHY_CONTROL, PHY_STATUS, PHY_ID1, PHY_ID2, PHY_ADVERTISE, PHY_PARTNER, PHY_EXPANSION,
       PHY_1000_CONTROL = 9, PHY_1000_STATUS, PHY_SPECIFIC_CONTROL = 16, PHY_SPECIFIC_STATUS };

static void reset_phy(E1000 *e)
{
    uint16_t *p = e->s.phy;
    bool up = nic_link_up(&e->nic);

    memset(p, 0, sizeof(e->s.phy));
    p[PHY_CONTROL] = 0x1140;
    p[PHY_STATUS] = 0x7949 | (up ? 0x24 : 0);
    p[PHY_ID1] = 0x0141; /* Marvell 88E1011 */
    p[PHY_ID2] = 0x0c20;
    p[PHY_ADVERTISE] = 0x0de1;
    p[PHY_PARTNER] = 0x1e0;
    p[PHY_EXPANSION] = 0x01;
    p[PHY_1000_CONTROL] = 0x0e00;
    p[PHY_1000_STATUS] = 0x3c00;
    p[PHY_SPECIFIC_CONTROL] = 0x0360;
    p[PHY_SPECIFIC_STATUS] = 0xac00 | (up ? 0x0400 : 0);
}

static void write_mdic(E1000 *e, uint32_t value)
{
    unsigned address = value >> 16 & 31, phy = value >> 21 & 31, op = value >> 26 & 3;

    if (phy != 1 || (op != 1 && op != 2)) {
        value |= 1 << 30; /* nobody answers */
    } else if (op == 2) {
        value = (value & 0xffff0000) | e->s.phy[address];
    } else if (address == PHY_CONTROL) {
        e->s.phy[PHY_CONTROL] = value & 0x7dff & ~0x8000; /* reset and restart are done at once */
    } else if (address != PHY_STATUS && address != PHY_ID1 && address != PHY_ID2) {
        e->s.phy[address] = value;
    }
    *reg(e, MDIC) = value | 1 << 28;
    if (value & 1 << 29) {
        raise_causes(e, INT_MDAC);
    }
}

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

static void transmit(E1000 *e)
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
    raise_causes(e, causes | (*reg(e, TDH) == *reg(e, TDT) ? INT_TXQE : 0));
}

static void e1000_writable(void *opaque)
{
    transmit(opaque);
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
        raise_causes(e, INT_RXO);
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
    raise_causes(e, causes);
}

static void link_changed(void *opaque, bool up)
{
    E1000 *e = opaque;

    *reg(e, STATUS) = up ? *reg(e, STATUS) | STATUS_LU : *reg(e, STATUS) & ~STATUS_LU;
    reset_phy(e);
    raise_causes(e, INT_LSC);
}

static const NetFrontend frontend = {
    .can_receive = e1000_can_receive,
    .receive = e1000_receive,
    .link_changed = link_changed,
    .writable = e1000_writable,
};

/* ---- registers ---- */

static void e1000_reset(Device *dev)
{
    E1000 *e = (E1000 *)dev;
    bool up = nic_link_up(&e->nic);

    memset(e->s.reg, 0, sizeof(e->s.reg));
    *reg(e, CTRL) = 0x00000201 | CTRL_SLU;
    *reg(e, STATUS) = 0x80000000 | STATUS_1000 | STATUS_FD | (up ? STATUS_LU : 0);
    *reg(e, PBA) = 0x00100030;
    *reg(e, LEDCTL) = 0x00000602;
    *reg(e, RA) = load_le32(e->nic.mac);
    *reg(e, RA + 4) = load_le16(e->nic.mac + 4) | 0x80000000;
    e->packet_size = 0;
    e->packet_tso = false;
    reset_phy(e);
    fill_eeprom(e);
}

static uint64_t e1000_read(void *opaque, PhysAddr offset, unsigned size)
{
    E1000 *e = opaque;
    uint32_t value;

    if (offset >= REGS_END) {
        return 0;
    }
    value = *reg(e, offset);
    switch (offset) {
    case ICR: /* reading clears, and lets the line go */
        *reg(e, ICR) = 0;
        e1000_update(&e->pci.dev);
        break;
    case EECD:
        return read_eecd(e);
    case IMC:
        return 0;
    case ICS:
        return *reg(e, ICR);
    }
    if (offset >= STATS && offset < STATS_END) {
        *reg(e, offset) = 0; /* statistics clear when read */
    }
    return value;
}

static void write_ctrl(E1000 *e, uint32_t value)
{
    if (value & CTRL_RST) {
        e1000_reset(&e->pci.dev);
        e1000_update(&e->pci.dev);
        return;
    }
    *reg(e, CTRL) = value;
}

static void e1000_write(void *opaque, PhysAddr offset, uint64_t data, unsigned size)
{
    E1000 *e = opaque;
    uint32_t value = data;

    switch (offset) {
    case CTRL:
        write_ctrl(e, value);
        break;
    case EECD:
        write_eecd(e, value);
        break;
    case EERD:
        write_eerd(e, value);
        break;
    case MDIC:
        write_mdic(e, value);
        break;
    case ICR: /* writing ones clears */
        *reg(e, ICR) &= ~value;
        e1000_update(&e->pci.dev);
        break;
    case ICS:
        raise_causes(e, value);
        break;
    case IMS:
        *reg(e, IMS) |= value;
        e1000_update(&e->pci.dev);
        break;
    case IMC:
        *reg(e, IMS) &= ~value;
        e1000_update(&e->pci.dev);
        break;
    case RCTL:
        *reg(e, RCTL) = value;
        net_flush(e->nic.net);
        break;
    case RDT:
        *reg(e, RDT) = value & 0xffff;
        net_flush(e->nic.net);
        break;
    case TDT:
        *reg(e, TDT) = value & 0xffff;
        transmit(e);
        break;
    case TCTL:
        *reg(e, TCTL) = value;
        transmit(e);
        break;
    case RDH:
    case TDH:
    case ITR:
    case RDTR:
        *reg(e, offset) = value & 0xffff;
        break;
    case RDLEN:
    case TDLEN:
        *reg(e, offset) = value & 0xfff80;
        break;
    case STATUS:
        break;
    default:
        if (offset < REGS_END && (offset < STATS || offset >= STATS_END)) {
            *reg(e, offset) = value;
        }
    }
}

static const RegionOps mmio_ops = { e1000_read, e1000_write, 4, 4, ENDIAN_LITTLE };

/* BAR 1: an address register and a data register that show the memory registers. */
static uint64_t io_read(void *opaque, PhysAddr offset, unsigned size)
{
    E1000 *e = opaque;

    return offset == 0 ? e->io_address : offset == 4 ? e1000_read(e, e->io_address & ~3u, 4) : 0;
}

static void io_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    E1000 *e = opaque;

    if (offset == 0) {
        e->io_address = value & 0x1ffff;
    } else if (offset == 4) {
        e1000_write(e, e->io_address & ~3u, value, 4);
    }
}

static const RegionOps io_ops = { io_read, io_write, 4, 4, ENDIAN_LITTLE };

static bool e1000_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x8086, .device = 0x100e, .class_rev = 0x020000 << 8 | 0x03,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .interrupt_pin = 1, .rom = "efi-e1000.rom",
    };
    E1000 *e = (E1000 *)dev;

    pci_device_init(&e->pci, &info);
    e->mmio = region_new_io("e1000-mmio", &mmio_ops, e, 0x20000);
    e->io = region_new_io("e1000-io", &io_ops, e, 0x40);
    pci_register_bar(&e->pci, 0, PCI_BAR_MEM32, e->mmio);
    pci_register_bar(&e->pci, 1, PCI_BAR_IO, e->io);
    e->throttle = timer_new(CLOCK_GUEST, throttle_over, e);
    return nic_attach(&e->nic, &frontend, e, error) && pci_load_rom(&e->pci, error);
}

static void e1000_unrealize(Device *dev)
{
    E1000 *e = (E1000 *)dev;

    nic_detach(&e->nic);
    timer_free(e->throttle);
}

static const Prop e1000_props[] = {
    PCI_PROPS(E1000),
    NIC_PROPS(E1000),
    { 0 },
};

const DeviceType e1000_type = {
    .name = "e1000",
    .alias = "e1000-82540em",
    .about = "Intel 82540EM Gigabit Ethernet",
    .bus = "pci",
    .user = true,
    .hotplug = true,
    .size = sizeof(E1000),
    .state_at = offsetof(E1000, s),
    .state = E1000State_fields,
    .props = e1000_props,
    .realize = e1000_realize,
    .unrealize = e1000_unrealize,
    .reset = e1000_reset,
    .update = e1000_update,
};
