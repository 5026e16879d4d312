/*
 * National Semiconductor DP8390D network interface controller with the memory and ports of an NE2000 around it.
 *
 * DP8390D/NS32490D data sheet, chapters 10 (registers), 7 (receive ring) and 8 (remote DMA); Novell's NE2000 puts
 * the address PROM at 0, each byte twice, and 16 KiB of memory at 0x4000.
 */
#include "hw/net/dp8390.h"

#include "hw/net/frame.h"
#include "util/bits.h"
#include "util/log.h"

enum { CR_STP = 0x01, CR_STA = 0x02, CR_TXP = 0x04, CR_RD = 0x38, CR_READ = 0x08, CR_WRITE = 0x10, CR_SEND = 0x18,
       CR_ABORT = 0x20 };
enum { ISR_PRX = 0x01, ISR_PTX = 0x02, ISR_RXE = 0x04, ISR_OVW = 0x10, ISR_CNT = 0x20, ISR_RDC = 0x40,
       ISR_RST = 0x80 };
enum { RCR_AB = 0x04, RCR_AM = 0x08, RCR_PRO = 0x10, RCR_MON = 0x20 };
enum { RSR_PRX = 0x01, RSR_MPA = 0x10, RSR_PHY = 0x20 };
enum { TCR_LOOPBACK = 0x06, TSR_PTX = 0x01, DCR_WORD = 0x01 };
/* Page 0 in writes; the same numbers mean other registers in reads and on other pages. */
enum { CR, PSTART, PSTOP, BNRY, TPSR, TBCR0, TBCR1, ISR, RSAR0, RSAR1, RBCR0, RBCR1, RCR, TCR, DCR, IMR };
enum { DATA_PORT = 0x10, RESET_PORT = 0x18, RAM_BASE = 0x4000, PAGE_SIZE = 256, RX_HEADER = 4, MAX_FRAME = 2048 };

void dp8390_update(Dp8390 *d)
{
    d->set_irq(d->dev, d->s.isr & d->s.imr & 0x7f);
}

static void raise_causes(Dp8390 *d, uint8_t causes)
{
    d->s.isr |= causes;
    dp8390_update(d);
}

/* ---- memory on the card ---- */

static uint8_t load_byte(const Dp8390 *d, uint16_t address)
{
    if (address < sizeof(d->prom)) {
        return d->prom[address];
    }
    if (address >= RAM_BASE && address < RAM_BASE + DP8390_RAM) {
        return d->s.ram[address - RAM_BASE];
    }
    return 0xff;
}

static void store_byte(Dp8390 *d, uint16_t address, uint8_t value)
{
    if (address >= RAM_BASE && address < RAM_BASE + DP8390_RAM) {
        d->s.ram[address - RAM_BASE] = value;
    }
}

/* ---- remote DMA: the data port ---- */

static void finish_remote(Dp8390 *d)
{
    if ((d->s.cr & CR_RD) == CR_SEND) { /* the packet is out of the ring */
        d->s.bnry = load_byte(d, d->s.bnry * PAGE_SIZE + 1);
    }
    d->s.cr = (d->s.cr & ~CR_RD) | CR_ABORT;
    raise_causes(d, ISR_RDC);
}

/* Bytes went through the data port. */
static void advance_remote(Dp8390 *d, unsigned count)
{
    Dp8390State *s = &d->s;

    s->rsar += count;
    if (s->rsar == s->pstop * PAGE_SIZE) {
        s->rsar = s->pstart * PAGE_SIZE; /* it follows the ring */
    }
    s->rbcr -= MIN(count, s->rbcr);
    if (!s->rbcr) {
        finish_remote(d);
    }
}

/* In word mode the port moves two bytes at a time, even if software looks at one. */
static unsigned port_width(const Dp8390 *d, unsigned size)
{
    return d->s.dcr & DCR_WORD ? MAX(size, 2u) : 1;
}

static uint32_t read_data(Dp8390 *d, unsigned size)
{
    unsigned width = port_width(d, size), direction = d->s.cr & CR_RD;
    uint32_t value = 0;

    if (direction != CR_READ && direction != CR_SEND) {
        return UINT32_MAX;
    }
    for (unsigned i = 0; i < width; i++) {
        value |= (uint32_t)load_byte(d, d->s.rsar + i) << i * 8;
    }
    advance_remote(d, width);
    return value;
}

static void write_data(Dp8390 *d, uint32_t value, unsigned size)
{
    unsigned width = port_width(d, size);

    if ((d->s.cr & CR_RD) != CR_WRITE) {
        return;
    }
    for (unsigned i = 0; i < width && i < d->s.rbcr; i++) {
        store_byte(d, d->s.rsar + i, value >> i * 8);
    }
    advance_remote(d, width);
}

/* ---- transmission ---- */

static void transmit(Dp8390 *d)
{
    uint8_t frame[MAX_FRAME];
    unsigned size = MIN(d->s.tbcr, MAX_FRAME);

    if (!(d->s.cr & CR_TXP) || (d->s.cr & CR_STP) || !nic_writable(&d->nic)) {
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        frame[i] = load_byte(d, d->s.tpsr * PAGE_SIZE + i);
    }
    if (!(d->s.tcr & TCR_LOOPBACK) && size >= FRAME_HEADER) {
        nic_send(&d->nic, frame, size);
    }
    d->s.cr &= ~CR_TXP;
    d->s.tsr = TSR_PTX;
    raise_causes(d, ISR_PTX);
}

/* ---- reception ---- */

static bool is_listening(const Dp8390 *d)
{
    return (d->s.cr & (CR_STA | CR_STP)) == CR_STA && !(d->s.tcr & TCR_LOOPBACK) && d->s.pstop > d->s.pstart;
}

/* Pages that can be filled without reaching the one that the host reads next. */
static unsigned free_pages(const Dp8390 *d)
{
    unsigned all = d->s.pstop - d->s.pstart;
    unsigned ahead = (d->s.bnry + all - d->s.curr % all) % all; /* modulo: BNRY may be out of the ring */

    return (ahead ? ahead : all) - 1;
}

static unsigned pages_of(size_t size)
{
    return (RX_HEADER + size + FRAME_FCS + PAGE_SIZE - 1) / PAGE_SIZE;
}

static bool can_receive(void *opaque)
{
    Dp8390 *d = opaque;

    if (!is_listening(d) || free_pages(d) >= pages_of(FRAME_MAX)) {
        return true;
    }
    raise_causes(d, ISR_PRX); /* the driver may have cleared it with packets left in the ring */
    return false;
}

static bool accepts(const Dp8390 *d, const uint8_t *frame)
{
    uint8_t rcr = d->s.rcr;
    unsigned hash;

    if (frame_is_broadcast(frame)) {
        return rcr & RCR_AB;
    }
    if (frame_is_multicast(frame)) {
        hash = frame_hash(frame) >> 26;
        return (rcr & RCR_AM) && (d->s.mar[hash / 8] >> hash % 8 & 1);
    }
    return (rcr & RCR_PRO) || memcmp(frame, d->s.par, 6) == 0;
}

/* The header's next-page pointer makes the ring a list. */
static void put_in_ring(Dp8390 *d, const uint8_t *packet, size_t size)
{
    Dp8390State *s = &d->s;
    unsigned page = s->curr >= s->pstart && s->curr < s->pstop ? s->curr : s->pstart;
    unsigned next = page + pages_of(size - RX_HEADER - FRAME_FCS);
    unsigned at = page * PAGE_SIZE;

    if (next >= s->pstop) {
        next -= s->pstop - s->pstart;
    }
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = i == 1 ? next : packet[i];

        store_byte(d, at, byte);
        if (++at == s->pstop * PAGE_SIZE) {
            at = s->pstart * PAGE_SIZE;
        }
    }
    s->curr = next;
}

static void receive(void *opaque, const uint8_t *frame, size_t size)
{
    Dp8390 *d = opaque;
    uint8_t packet[RX_HEADER + MAX_FRAME + FRAME_FCS] = { 0 }, *data = packet + RX_HEADER;

    if (!is_listening(d) || size < FRAME_HEADER || size > MAX_FRAME || !accepts(d, frame)) {
        return;
    }
    if (d->s.rcr & RCR_MON) { /* counted, not kept */
        if (d->s.missed < 255 && ++d->s.missed == 128) {
            raise_causes(d, ISR_CNT);
        }
        return;
    }
    memcpy(data, frame, size);
    size = MAX(size, FRAME_MIN);
    if (pages_of(size) > free_pages(d)) {
        raise_causes(d, ISR_OVW);
        return;
    }
    store_le32(data + size, frame_fcs(data, size));
    size += FRAME_FCS;
    d->s.rsr = RSR_PRX | (frame_is_multicast(frame) ? RSR_PHY : 0);
    packet[0] = d->s.rsr;
    store_le16(packet + 2, size);
    put_in_ring(d, packet, RX_HEADER + size);
    raise_causes(d, ISR_PRX);
}

static void writable(void *opaque)
{
    transmit(opaque);
}

static const NetFrontend frontend = { .can_receive = can_receive, .receive = receive, .writable = writable };

/* ---- registers ---- */

static uint8_t read_page0(Dp8390 *d, unsigned reg)
{
    const Dp8390State *s = &d->s;
    uint8_t missed = s->missed;

    switch (reg) {
    case 0x1: /* current local DMA address */
        return 0;
    case 0x2:
        return s->curr;
    case 0x3:
        return s->bnry;
    case 0x4:
        return s->tsr;
    case 0x7:
        return s->isr;
    case 0x8: /* current remote DMA address */
        return s->rsar;
    case 0x9:
        return s->rsar >> 8;
    case 0xa: /* Realtek's chips say who they are */
        return 0x50;
    case 0xb:
        return 0x70;
    case 0xc:
        return s->rsr;
    case 0xf:
        d->s.missed = 0;
        return missed;
    default: /* collisions, FIFO, errors: none */
        return 0;
    }
}

static uint8_t read_page2(const Dp8390 *d, unsigned reg)
{
    const Dp8390State *s = &d->s;

    switch (reg) {
    case PSTART:
        return s->pstart;
    case PSTOP:
        return s->pstop;
    case TPSR:
        return s->tpsr;
    case RCR:
        return s->rcr | 0xc0;
    case TCR:
        return s->tcr | 0xe0;
    case DCR:
        return s->dcr | 0x80;
    case IMR:
        return s->imr | 0x80;
    default:
        return 0;
    }
}

static uint8_t read_register(Dp8390 *d, unsigned reg)
{
    const Dp8390State *s = &d->s;

    if (reg == CR) {
        return s->cr;
    }
    switch (s->cr >> 6) {
    case 0:
        return read_page0(d, reg);
    case 1:
        return reg < 7 ? s->par[reg - 1] : reg == 7 ? s->curr : s->mar[reg - 8];
    case 2:
        return read_page2(d, reg);
    default: /* Realtek's configuration: nothing of interest */
        return 0;
    }
}

static void write_cr(Dp8390 *d, uint8_t value)
{
    Dp8390State *s = &d->s;

    if (!(value & (CR_STP | CR_STA))) {
        value |= s->cr & (CR_STP | CR_STA); /* neither: it goes on as it was */
    }
    s->cr = value | (s->cr & CR_TXP);
    if (value & CR_STP) {
        s->cr &= ~CR_TXP;
        s->isr |= ISR_RST;
    } else if (value & CR_STA) {
        s->isr &= ~ISR_RST;
    }
    if ((value & CR_RD) == CR_SEND) {
        uint16_t header = s->bnry * PAGE_SIZE;

        s->rsar = header;
        s->rbcr = load_byte(d, header + 2) | load_byte(d, header + 3) << 8;
    }
    if (!(value & CR_ABORT) && (value & CR_RD) && !s->rbcr) {
        finish_remote(d);
    }
    transmit(d);
    net_flush(d->nic.net);
}

static void write_page0(Dp8390 *d, unsigned reg, uint8_t value)
{
    Dp8390State *s = &d->s;

    switch (reg) {
    case PSTART:
        s->pstart = value;
        break;
    case PSTOP:
        s->pstop = value;
        break;
    case BNRY:
        s->bnry = value;
        net_flush(d->nic.net);
        break;
    case TPSR:
        s->tpsr = value;
        break;
    case TBCR0:
        s->tbcr = (s->tbcr & 0xff00) | value;
        break;
    case TBCR1:
        s->tbcr = (s->tbcr & 0xff) | value << 8;
        break;
    case ISR:
        s->isr &= ~(value & 0x7f);
        net_flush(d->nic.net);
        break;
    case RSAR0:
        s->rsar = (s->rsar & 0xff00) | value;
        break;
    case RSAR1:
        s->rsar = (s->rsar & 0xff) | value << 8;
        break;
    case RBCR0:
        s->rbcr = (s->rbcr & 0xff00) | value;
        break;
    case RBCR1:
        s->rbcr = (s->rbcr & 0xff) | value << 8;
        break;
    case RCR:
        s->rcr = value & 0x3f;
        break;
    case TCR:
        s->tcr = value & 0x1f;
        net_flush(d->nic.net);
        break;
    case DCR:
        s->dcr = value & 0x7f;
        break;
    case IMR:
        s->imr = value & 0x7f;
        break;
    }
}

static void write_register(Dp8390 *d, unsigned reg, uint8_t value)
{
    Dp8390State *s = &d->s;
    unsigned page = s->cr >> 6;

    if (reg == CR) {
        write_cr(d, value);
    } else if (page == 0) {
        write_page0(d, reg, value);
    } else if (page == 1 && reg < 7) {
        s->par[reg - 1] = value;
    } else if (page == 1 && reg == 7) {
        s->curr = value;
    } else if (page == 1) {
        s->mar[reg - 8] = value;
    } else if (page == 2) {
        guest_error(d->dev->id, "write to register %x of the diagnostic page", reg);
    }
    dp8390_update(d);
}

/* The reset port: reading it resets the chip, which stops and says so. */
static void reset_chip(Dp8390 *d)
{
    d->s.cr = CR_STP | CR_ABORT;
    d->s.isr |= ISR_RST;
    d->s.imr = 0;
    dp8390_update(d);
}

uint64_t dp8390_read(void *opaque, uint64_t offset, unsigned size)
{
    Dp8390 *d = opaque;
    uint32_t value = 0;

    if (offset >= RESET_PORT) {
        reset_chip(d);
        return 0;
    }
    if (offset >= DATA_PORT) {
        return read_data(d, size);
    }
    for (unsigned i = 0; i < size; i++) {
        value |= (uint32_t)read_register(d, (offset + i) & 15) << i * 8;
    }
    return value;
}

void dp8390_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Dp8390 *d = opaque;

    if (offset >= RESET_PORT) {
        return; /* ends the reset that a read began */
    }
    if (offset >= DATA_PORT) {
        write_data(d, value, size);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        write_register(d, (offset + i) & 15, value >> i * 8);
    }
}

bool dp8390_realize(Dp8390 *d, Device *dev, void (*set_irq)(Device *dev, bool level), GError **error)
{
    d->dev = dev;
    d->set_irq = set_irq;
    if (!nic_attach(&d->nic, &frontend, d, error)) {
        return false;
    }
    memset(d->prom, 0, sizeof(d->prom));
    for (int i = 0; i < 6; i++) {
        d->prom[2 * i] = d->prom[2 * i + 1] = d->nic.mac[i];
    }
    memset(d->prom + 28, 0x57, 4); /* 'W': a card with 16 bits */
    return true;
}
