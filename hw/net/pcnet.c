/*
 * AMD Am79C970A (PCnet-PCI II) Ethernet: ports, control and status registers, bus configuration registers.
 *
 * Am79C970A data sheet (19436), "User Accessible Registers".
 */
#include "hw/net/pcnet.h"

#include "util/bits.h"
#include "util/log.h"

#include <string.h>

enum { CSR0_CAUSES = CSR0_BABL | CSR0_MISS | CSR0_MERR | CSR0_RINT | CSR0_TINT | CSR0_IDON };
enum { BCR_LED0 = 4, BCR_BUS = 18, BCR_STYLE = 20, LED_ON = 0x8000, BUS_DWIO = 0x80, STYLE_32 = 0x0100 };
enum { RDP = 0x10, DATA_BYTES = 0x10 };

/* ---- interrupts ---- */

static bool interrupt_pending(const Pcnet *p)
{
    const uint16_t *csr = p->s.csr;

    /* CSR4 and CSR5 have each cause beside its mask, or its enable bit. */
    return (csr[0] & CSR0_CAUSES & ~csr[3]) || (csr[4] >> 1 & ~csr[4] & 0x0115) || (csr[4] & 0x0040) ||
           (csr[5] >> 1 & csr[5] & 0x0548);
}

static void pcnet_update(Device *dev)
{
    Pcnet *p = (Pcnet *)dev;
    uint16_t *csr0 = &p->s.csr[0];
    bool pending = interrupt_pending(p);

    *csr0 = (*csr0 & ~(CSR0_INTR | CSR0_ERR)) | (pending ? CSR0_INTR : 0) |
            (*csr0 & (CSR0_BABL | CSR0_CERR | CSR0_MISS | CSR0_MERR) ? CSR0_ERR : 0);
    pci_set_intx(&p->pci, pending && (*csr0 & CSR0_IENA));
}

void pcnet_raise(Pcnet *p, uint16_t causes)
{
    p->s.csr[0] |= causes;
    pcnet_update(&p->pci.dev);
}

static void retry_fired(void *opaque)
{
    net_flush(((Pcnet *)opaque)->nic.net);
}

/* ---- initialization ---- */

static void set_rings(Pcnet *p, uint32_t rx, unsigned rx_log, uint32_t tx, unsigned tx_log)
{
    PcnetState *s = &p->s;

    s->rx_base = rx;
    s->tx_base = tx;
    s->rx_count = 1 << MIN(rx_log, 9u);
    s->tx_count = 1 << MIN(tx_log, 9u);
    s->rx_next = s->tx_next = 0;
    s->csr[76] = -s->rx_count;
    s->csr[78] = -s->tx_count;
    s->csr[6] = rx_log << 8 | tx_log << 12;
}

static void read_init_block(Pcnet *p)
{
    PcnetState *s = &p->s;
    bool wide = s->bcr[BCR_STYLE] & STYLE_32;
    uint32_t address = s->csr[1] | (uint32_t)s->csr[2] << 16, high = (uint32_t)(s->csr[2] & 0xff00) << 16;
    uint8_t b[28], *filter = b + (wide ? 12 : 8);

    if (!pci_dma_read(&p->pci, address, b, wide ? 28 : 24)) {
        pcnet_raise(p, CSR0_MERR);
        return;
    }
    s->csr[15] = load_le16(b);
    for (int i = 0; i < 3; i++) {
        s->csr[12 + i] = load_le16(b + (wide ? 4 : 2) + 2 * i);
    }
    for (int i = 0; i < 4; i++) {
        s->csr[8 + i] = load_le16(filter + 2 * i);
    }
    if (wide) {
        set_rings(p, load_le32(b + 20), b[2] >> 4, load_le32(b + 24), b[3] >> 4);
    } else {
        uint32_t rx = load_le32(b + 16), tx = load_le32(b + 20);

        set_rings(p, (rx & 0xffffff) | high, rx >> 29, (tx & 0xffffff) | high, tx >> 29);
    }
    s->csr[0] |= CSR0_IDON;
}

static void stop(Pcnet *p)
{
    p->s.csr[0] = CSR0_STOP;
    p->s.csr[5] &= ~CSR5_SPND;
}

/* ---- control and status registers ---- */

static void write_csr0(Pcnet *p, uint16_t value)
{
    PcnetState *s = &p->s;
    uint16_t *csr0 = &s->csr[0];

    *csr0 &= ~(value & 0x7f00); /* causes clear when written with one */
    *csr0 = (*csr0 & ~CSR0_IENA) | (value & CSR0_IENA);
    if (value & CSR0_STOP) {
        stop(p);
        return;
    }
    if ((value & CSR0_INIT) && !(*csr0 & CSR0_INIT)) {
        *csr0 = (*csr0 & ~CSR0_STOP) | CSR0_INIT;
        read_init_block(p);
    }
    if ((value & CSR0_STRT) && !(*csr0 & CSR0_STRT)) {
        *csr0 = (*csr0 & ~CSR0_STOP) | CSR0_STRT;
        *csr0 |= (s->csr[15] & MODE_DTX ? 0 : CSR0_TXON) | (s->csr[15] & MODE_DRX ? 0 : CSR0_RXON);
    }
    if (value & CSR0_TDMD) {
        pcnet_transmit(p);
    }
    net_flush(p->nic.net); /* the driver was here: perhaps with new buffers */
}

/* Registers that only change while the chip is stopped or suspended. */
static bool needs_stop(unsigned n)
{
    return n == 1 || n == 2 || (n >= 8 && n <= 17) || (n >= 24 && n <= 47) || (n >= 76 && n <= 78);
}

static void write_ring_base(uint32_t *base, bool high, uint16_t value)
{
    *base = high ? (*base & 0xffff) | (uint32_t)value << 16 : (*base & 0xffff0000) | value;
}

static void write_csr(Pcnet *p, unsigned n, uint16_t value)
{
    PcnetState *s = &p->s;

    if (needs_stop(n) && !(s->csr[0] & CSR0_STOP) && !(s->csr[5] & CSR5_SPND)) {
        guest_error(p->pci.dev.id, "CSR%u written while the chip runs", n);
        return;
    }
    switch (n) {
    case 0:
        write_csr0(p, value);
        break;
    case 1: case 2: case 8: case 9: case 10: case 11: case 12: case 13: case 14: case 15: case 46: case 47: case 80:
        s->csr[n] = value;
        break;
    case 16: case 17: /* CSR1 and CSR2 under another name */
        s->csr[n - 15] = value;
        break;
    case 3:
        s->csr[3] = value & 0x5f7c;
        break;
    case 4: /* causes clear when written with one; UINTCMD raises UINT */
        s->csr[4] = (s->csr[4] & 0x026a & ~value) | (value & 0xfd15);
        if (value & 0x0080) {
            s->csr[4] = (s->csr[4] & ~0x0080) | 0x0040;
        }
        break;
    case 5:
        s->csr[5] = (s->csr[5] & 0x0a90 & ~value) | (value & 0xc54f);
        net_flush(p->nic.net);
        break;
    case 24: case 25:
        write_ring_base(&s->rx_base, n & 1, value);
        break;
    case 30: case 31:
        write_ring_base(&s->tx_base, n & 1, value);
        break;
    case 58:
        s->bcr[BCR_STYLE] = (s->bcr[BCR_STYLE] & ~0xff) | (value & 0xff);
        break;
    case 76:
        s->rx_count = CLAMP(-value & 0xffff, 1, 4096);
        s->rx_next = 0;
        s->csr[76] = value;
        break;
    case 78:
        s->tx_count = CLAMP(-value & 0xffff, 1, 4096);
        s->tx_next = 0;
        s->csr[78] = value;
        break;
    case 112:
        s->csr[112] = 0;
        break;
    }
    pcnet_update(&p->pci.dev);
}

static uint16_t read_csr(const Pcnet *p, unsigned n)
{
    const PcnetState *s = &p->s;

    switch (n) {
    case 16: case 17:
        return s->csr[n - 15];
    case 24:
        return s->rx_base;
    case 25:
        return s->rx_base >> 16;
    case 30:
        return s->tx_base;
    case 31:
        return s->tx_base >> 16;
    case 58:
        return s->bcr[BCR_STYLE];
    case 72: /* counts down from the ring's length */
        return s->rx_count - s->rx_next;
    case 74:
        return s->tx_count - s->tx_next;
    default:
        return n < G_N_ELEMENTS(s->csr) ? s->csr[n] : 0;
    }
}

/* ---- bus configuration registers ---- */

static void write_bcr(Pcnet *p, unsigned n, uint16_t value)
{
    uint16_t *bcr = p->s.bcr;

    switch (n) {
    case BCR_LED0: case 5: case 6: case 7:
        bcr[n] = (bcr[n] & LED_ON) | (value & 0x7fff);
        break;
    case 2: case 9: case 19: case 21: case 22:
        bcr[n] = value;
        break;
    case BCR_BUS: /* double-word ports end with a reset only */
        bcr[n] = value | (bcr[n] & BUS_DWIO);
        break;
    case BCR_STYLE:
        /* Styles but the LANCE's have 32-bit structures. */
        bcr[n] = (value & 0x06ff) | (value & 0xff ? STYLE_32 : 0);
        break;
    }
}

static uint16_t read_bcr(const Pcnet *p, unsigned n)
{
    return n < G_N_ELEMENTS(p->s.bcr) ? p->s.bcr[n] : 0;
}

void pcnet_link_changed(void *opaque, bool up)
{
    Pcnet *p = opaque;

    p->s.bcr[BCR_LED0] = up ? p->s.bcr[BCR_LED0] | LED_ON : p->s.bcr[BCR_LED0] & ~LED_ON;
}

/* ---- resets ---- */

/* The RESET register: stops the chip; the bus configuration and the address stay. */
static void soft_reset(Pcnet *p)
{
    PcnetState *s = &p->s;
    uint16_t address[3];

    memcpy(address, &s->csr[12], sizeof(address));
    memset(s->csr, 0, sizeof(s->csr));
    memcpy(&s->csr[12], address, sizeof(address));
    s->csr[0] = CSR0_STOP;
    s->csr[4] = 0x0115;
    s->csr[80] = 0x1410;
    s->csr[88] = 0x1003; /* AMD, part 2621 */
    s->csr[89] = 0x0262;
    s->rap = 0;
    set_rings(p, 0, 0, 0, 0);
    pcnet_update(&p->pci.dev);
}

static void fill_prom(Pcnet *p)
{
    uint8_t *prom = p->s.prom;
    uint16_t sum = 0;

    memset(prom, 0, sizeof(p->s.prom));
    memcpy(prom, p->nic.mac, 6);
    prom[9] = 0x11; /* hardware id */
    prom[14] = prom[15] = 'W';
    for (unsigned i = 0; i < sizeof(p->s.prom); i++) {
        sum += prom[i];
    }
    store_le16(prom + 12, sum);
}

static void pcnet_reset(Device *dev)
{
    Pcnet *p = (Pcnet *)dev;
    uint16_t *bcr = p->s.bcr;

    fill_prom(p);
    bcr[0] = bcr[1] = 5;
    bcr[2] = 0x0002;
    bcr[BCR_LED0] = 0x00c0;
    bcr[5] = 0x0084;
    bcr[6] = 0x0088;
    bcr[7] = 0x0090;
    bcr[BCR_BUS] = 0x9001;
    bcr[19] = 0x0002;
    bcr[BCR_STYLE] = 0x0200;
    bcr[22] = 0xff06;
    for (int i = 0; i < 3; i++) {
        p->s.csr[12 + i] = load_le16(p->nic.mac + 2 * i);
    }
    pcnet_link_changed(p, nic_link_up(&p->nic));
    timer_cancel(p->retry);
    soft_reset(p);
}

/* ---- ports ---- */

enum { PORT_DATA, PORT_ADDRESS, PORT_RESET, PORT_BUS, PORT_NONE };

/* What a port is: the four registers are words, or double words once software has written one. */
static unsigned port_of(const Pcnet *p, PhysAddr offset)
{
    static const uint8_t words[8] = { PORT_DATA, PORT_ADDRESS, PORT_RESET, PORT_BUS, PORT_NONE, PORT_NONE,
                                      PORT_NONE, PORT_NONE };

    return p->s.bcr[BCR_BUS] & BUS_DWIO ? (offset - RDP) / 4 : words[(offset - RDP) / 2];
}

static uint64_t pcnet_read(void *opaque, PhysAddr offset, unsigned size)
{
    Pcnet *p = opaque;
    uint32_t value = 0;

    offset &= 31;
    if (offset < DATA_BYTES) {
        for (unsigned i = 0; i < size && offset + i < DATA_BYTES; i++) {
            value |= (uint32_t)p->s.prom[offset + i] << i * 8;
        }
        return value;
    }
    switch (port_of(p, offset)) {
    case PORT_DATA:
        return read_csr(p, p->s.rap);
    case PORT_ADDRESS:
        return p->s.rap;
    case PORT_RESET:
        soft_reset(p);
        return 0;
    case PORT_BUS:
        return read_bcr(p, p->s.rap);
    default:
        return UINT32_MAX;
    }
}

static void pcnet_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Pcnet *p = opaque;

    offset &= 31;
    if (offset < DATA_BYTES) {
        if (p->s.bcr[2] & 0x0100) { /* APROMWE */
            for (unsigned i = 0; i < size && offset + i < DATA_BYTES; i++) {
                p->s.prom[offset + i] = value >> i * 8;
            }
        }
        return;
    }
    if (size == 4 && offset == RDP && !(p->s.bcr[BCR_BUS] & BUS_DWIO)) {
        p->s.bcr[BCR_BUS] |= BUS_DWIO;
        return;
    }
    switch (port_of(p, offset)) {
    case PORT_DATA:
        write_csr(p, p->s.rap, value);
        break;
    case PORT_ADDRESS:
        p->s.rap = value & 0x7f;
        break;
    case PORT_BUS:
        write_bcr(p, p->s.rap, value);
        break;
    }
}

static const RegionOps ops = { pcnet_read, pcnet_write, 1, 4, ENDIAN_LITTLE };

/* ---- the device ---- */

static bool pcnet_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x1022, .device = 0x2000, .class_rev = 0x020000 << 8 | 0x16, .interrupt_pin = 1,
        .rom = "efi-pcnet.rom",
    };
    Pcnet *p = (Pcnet *)dev;

    pci_device_init(&p->pci, &info);
    p->ports = region_new_io("pcnet-io", &ops, p, 32);
    p->mmio = region_new_io("pcnet-mmio", &ops, p, 32);
    pci_register_bar(&p->pci, 0, PCI_BAR_IO, p->ports);
    pci_register_bar(&p->pci, 1, PCI_BAR_MEM32, p->mmio);
    p->retry = timer_new(CLOCK_GUEST, retry_fired, p);
    return nic_attach(&p->nic, &pcnet_frontend, p, error) && pci_load_rom(&p->pci, error);
}

static void pcnet_unrealize(Device *dev)
{
    Pcnet *p = (Pcnet *)dev;

    nic_detach(&p->nic);
    timer_free(p->retry);
    region_free(p->ports);
    region_free(p->mmio);
}

/* Rings that no chip has come from damaged snapshots only. */
static bool pcnet_post_load(Device *dev, GError **error)
{
    PcnetState *s = &((Pcnet *)dev)->s;

    s->rx_count = CLAMP(s->rx_count, 1, 4096);
    s->tx_count = CLAMP(s->tx_count, 1, 4096);
    s->rx_next %= s->rx_count;
    s->tx_next %= s->tx_count;
    s->rap &= 0x7f;
    return true;
}

static const Prop pcnet_props[] = {
    PCI_PROPS(Pcnet),
    NIC_PROPS(Pcnet),
    { 0 },
};

const DeviceType pcnet_type = {
    .name = "pcnet",
    .about = "AMD Am79C970A (PCnet-PCI II) Ethernet",
    .bus = "pci",
    .user = true,
    .hotplug = true,
    .size = sizeof(Pcnet),
    .state_at = offsetof(Pcnet, s),
    .state = PcnetState_fields,
    .props = pcnet_props,
    .realize = pcnet_realize,
    .unrealize = pcnet_unrealize,
    .reset = pcnet_reset,
    .post_load = pcnet_post_load,
    .update = pcnet_update,
};
