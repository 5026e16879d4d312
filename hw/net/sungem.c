/*
 * Sun GEM Ethernet, as Apple's UniNorth has it (GMAC): rings, address filter, transceiver.
 *
 * Sun GEM Gigabit Ethernet ASIC Specification; names of registers as in Linux (sungem.h). Words in registers and rings
 * are little-endian. There is no PROM: firmware finds the address in the MAC's registers.
 */
#include "hw/net/frame.h"
#include "hw/net/nic.h"
#include "hw/pci/pci.h"
#include "util/bits.h"
#include "util/checksum.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

enum { BAR_SIZE = 0x200000, FRAME_ROOM = 16384, DESCRIPTOR = 16 };

/* Register files: where they begin, and how many words they have. */
enum { GREG = 0x0000, BIF = 0x1000, TXDMA = 0x2000, WOL = 0x3000, RXDMA = 0x4000, MAC = 0x6000, MIF = 0x6200, PCS = 0x9000 };
enum { GREG_WORDS = 8, BIF_WORDS = 5, TXDMA_WORDS = 72, WOL_WORDS = 8, RXDMA_WORDS = 74, MAC_WORDS = 80, MIF_WORDS = 8, PCS_WORDS = 24 };

enum { STAT = 0x0c, IMASK = 0x10, IACK = 0x14, STAT2 = 0x1c, SWRST = 0x1010 };
enum { TX_KICK = 0x2000, TX_CFG = 0x2004, TX_BASE_LOW = 0x2008, TX_BASE_HIGH = 0x200c, TX_DONE = 0x2100 };
enum { RX_CFG = 0x4000, RX_BASE_LOW = 0x4004, RX_BASE_HIGH = 0x4008, RX_KICK = 0x4100, RX_DONE = 0x4104 };
enum { MAC_TXRST = 0x6000, MAC_RXRST = 0x6004, MAC_TXSTAT = 0x6010, MAC_RXSTAT = 0x6014, MAC_CSTAT = 0x6018, MAC_TXMASK = 0x6020,
       MAC_RXMASK = 0x6024, MAC_MCMASK = 0x6028, MAC_TXCFG = 0x6030, MAC_RXCFG = 0x6034, MAC_MAXFSZ = 0x6054, MAC_ADDR0 = 0x6080,
       MAC_HASH0 = 0x60c0 };
enum { MIF_FRAME = 0x620c };

enum { STAT_TXINTME = 0x01, STAT_TXALL = 0x02, STAT_TXDONE = 0x04, STAT_RXDONE = 0x10, STAT_RXNOBUF = 0x20, STAT_LATCHED = 0x7f,
       STAT_TXMAC = 0x4000, STAT_RXMAC = 0x8000, STAT_MAC = 0x10000 };
enum { RST_TX = 1, RST_RX = 2 };
enum { ENABLE = 1 };
enum { MAC_TX_SENT = 1, MAC_RX_GOT = 1 };
enum { RXCFG_STRIP_FCS = 0x04, RXCFG_PROMISCUOUS = 0x08, RXCFG_ALL_GROUPS = 0x10, RXCFG_HASH = 0x20 };
#define STAT_TXNR_SHIFT 19

#define TXD_SIZE     0x7fffu
#define TXD_CHECKSUM 0x20000000u
#define TXD_END      0x40000000u
#define TXD_START    0x80000000u
#define TXD_INTME    UINT64_C(0x100000000)
#define RXD_OWN      0x80000000u
#define RXD_HASHED   (UINT64_C(1) << 60)

/* Of the transceiver: registers of clause 22 of IEEE 802.3. */
enum { BMCR, BMSR, ANAR = 4, LPA, PHY_REGS = 32 };
enum { BMCR_RESET = 0x8000, BMCR_RESTART = 0x0200, BMSR_ALL = 0x7849, BMSR_LINK = 0x0024, LPA_ALL = 0x45e1 };

#define SUNGEM_STATE(FIELD, ARRAY)             \
    ARRAY(uint32_t, greg, GREG_WORDS, 0)       \
    ARRAY(uint32_t, bif, BIF_WORDS, 0)         \
    ARRAY(uint32_t, txdma, TXDMA_WORDS, 0)     \
    ARRAY(uint32_t, wol, WOL_WORDS, 0)         \
    ARRAY(uint32_t, rxdma, RXDMA_WORDS, 0)     \
    ARRAY(uint32_t, mac, MAC_WORDS, 0)         \
    ARRAY(uint32_t, mif, MIF_WORDS, 0)         \
    ARRAY(uint32_t, pcs, PCS_WORDS, 0)         \
    ARRAY(uint16_t, phy, PHY_REGS, 0)          \
    FIELD(uint32_t, frame_size, 0) /* so far of the frame to send, */ \
    FIELD(uint64_t, frame_flags, 0) /* by its first descriptor */ \
    FIELD(bool, frame_too_long, false)

DEFINE_STATE(SungemState, SUNGEM_STATE);

typedef struct Sungem {
    PciDevice pci;
    SungemState s;
    Nic nic;
    Region *bar;
    uint8_t frame[FRAME_ROOM]; /* that is put together from its descriptors */
} Sungem;

/* The word at an offset of the BAR; NULL where there is none. */
static uint32_t *word(SungemState *s, unsigned offset)
{
    const struct {
        unsigned base, words;
        uint32_t *reg;
    } files[] = {
        { GREG, GREG_WORDS, s->greg }, { BIF, BIF_WORDS, s->bif }, { TXDMA, TXDMA_WORDS, s->txdma }, { WOL, WOL_WORDS, s->wol },
        { RXDMA, RXDMA_WORDS, s->rxdma }, { MAC, MAC_WORDS, s->mac }, { MIF, MIF_WORDS, s->mif }, { PCS, PCS_WORDS, s->pcs },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
        if (offset >= files[i].base && offset - files[i].base < files[i].words * 4) {
            return &files[i].reg[(offset - files[i].base) / 4];
        }
    }
    return NULL;
}

static uint32_t get(Sungem *g, unsigned offset)
{
    return *word(&g->s, offset);
}

static void set(Sungem *g, unsigned offset, uint32_t value)
{
    *word(&g->s, offset) = value;
}

/* ---- interrupts ---- */

static uint32_t status(Sungem *g)
{
    uint32_t value = get(g, STAT) & STAT_LATCHED;

    value |= get(g, MAC_TXSTAT) & ~get(g, MAC_TXMASK) ? STAT_TXMAC : 0;
    value |= get(g, MAC_RXSTAT) & ~get(g, MAC_RXMASK) ? STAT_RXMAC : 0;
    value |= get(g, MAC_CSTAT) & ~get(g, MAC_MCMASK) ? STAT_MAC : 0;
    return value | get(g, TX_DONE) << STAT_TXNR_SHIFT;
}

static void sungem_update(Device *dev)
{
    Sungem *g = (Sungem *)dev;

    pci_set_intx(&g->pci, status(g) & ~get(g, IMASK) & ((1u << STAT_TXNR_SHIFT) - 1));
}

static void set_status(Sungem *g, uint32_t bits)
{
    set(g, STAT, get(g, STAT) | bits);
}

/* ---- rings ---- */

static unsigned ring_size(uint32_t cfg)
{
    return 32u << MIN(cfg >> 1 & 15, 8);
}

static uint64_t base(Sungem *g, unsigned low)
{
    return (get(g, low) & ~0x7ffu) | (uint64_t)get(g, low + 4) << 32;
}

/* The word where the sum goes holds the pseudo header's. */
static void put_checksum(Sungem *g)
{
    unsigned from = g->s.frame_flags >> 15 & 0x3f, at = g->s.frame_flags >> 21 & 0xff;

    if (from < g->s.frame_size && at + 2 <= g->s.frame_size) {
        store_be16(g->frame + at, ~checksum_add(0, g->frame + from, g->s.frame_size - from));
    }
}

static void add_buffer(Sungem *g, uint64_t flags, uint64_t buffer)
{
    unsigned size = flags & TXD_SIZE;

    if (flags & TXD_START) {
        g->s.frame_size = 0;
        g->s.frame_flags = flags;
        g->s.frame_too_long = false;
    }
    if (g->s.frame_size + size > FRAME_ROOM) {
        g->s.frame_too_long = true;
    } else {
        pci_dma_read(&g->pci, buffer, g->frame + g->s.frame_size, size);
        g->s.frame_size += size;
    }
    if (!(flags & TXD_END)) {
        return;
    }
    if ((get(g, MAC_TXCFG) & ENABLE) && !g->s.frame_too_long && g->s.frame_size >= FRAME_HEADER) {
        if (g->s.frame_flags & TXD_CHECKSUM) {
            put_checksum(g);
        }
        nic_send(&g->nic, g->frame, g->s.frame_size);
    }
    g->s.frame_size = 0;
}

static void transmit(Sungem *g)
{
    unsigned size = ring_size(get(g, TX_CFG)), at = get(g, TX_DONE) & (size - 1), end = get(g, TX_KICK) & (size - 1);
    bool any = false;

    if (!(get(g, TX_CFG) & ENABLE)) {
        return;
    }
    for (; at != end && nic_writable(&g->nic); at = (at + 1) & (size - 1)) {
        uint8_t d[DESCRIPTOR];

        if (!pci_dma_read(&g->pci, base(g, TX_BASE_LOW) + at * DESCRIPTOR, d, sizeof(d))) {
            break;
        }
        add_buffer(g, load_le64(d), load_le64(d + 8));
        set_status(g, load_le64(d) & TXD_INTME ? STAT_TXINTME : 0);
        any = true;
    }
    set(g, TX_DONE, at);
    if (any) {
        set(g, MAC_TXSTAT, get(g, MAC_TXSTAT) | MAC_TX_SENT);
        set_status(g, STAT_TXDONE | (at == end ? STAT_TXALL : 0));
    }
}

static void sungem_writable(void *opaque)
{
    Sungem *g = opaque;

    transmit(g);
    sungem_update(&g->pci.dev);
}

/* The descriptor before the kick is the last: a driver that has given all back kicks where the chip is. */
static unsigned free_buffers(Sungem *g)
{
    unsigned size = ring_size(get(g, RX_CFG));

    return (get(g, RX_KICK) - get(g, RX_DONE) - 1) & (size - 1);
}

static bool sungem_can_receive(void *opaque)
{
    Sungem *g = opaque;

    return (get(g, RX_CFG) & ENABLE) && (get(g, MAC_RXCFG) & ENABLE) && pci_bus_master(&g->pci) && free_buffers(g);
}

static bool hashed(Sungem *g, const uint8_t *address)
{
    unsigned hash = frame_hash_low(address) >> 24;

    return get(g, MAC_HASH0 + (hash >> 4) * 4) >> (15 - (hash & 15)) & 1;
}

static bool is_ours(Sungem *g, const uint8_t *frame)
{
    for (int i = 0; i < 3; i++) {
        if (load_be16(frame + 4 - 2 * i) != (get(g, MAC_ADDR0 + 4 * i) & 0xffff)) {
            return false;
        }
    }
    return true;
}

static bool accepts(Sungem *g, const uint8_t *frame, bool *by_hash)
{
    uint32_t cfg = get(g, MAC_RXCFG);

    if ((cfg & RXCFG_PROMISCUOUS) || frame_is_broadcast(frame)) {
        return true;
    }
    if (!frame_is_multicast(frame)) {
        return is_ours(g, frame);
    }
    *by_hash = (cfg & RXCFG_HASH) && hashed(g, frame);
    return *by_hash || (cfg & RXCFG_ALL_GROUPS);
}

static void sungem_receive(void *opaque, const uint8_t *data, size_t size)
{
    Sungem *g = opaque;
    uint32_t cfg = get(g, RX_CFG), from = cfg >> 13 & 0x7f, at = get(g, RX_DONE) & (ring_size(cfg) - 1);
    uint64_t where = base(g, RX_BASE_LOW) + at * DESCRIPTOR;
    uint8_t frame[FRAME_ROOM], d[DESCRIPTOR];
    bool by_hash = false;
    uint16_t checksum;
    size_t total;

    if (size < FRAME_HEADER || size + FRAME_FCS > MIN(get(g, MAC_MAXFSZ) & 0x7fff, FRAME_ROOM) || !accepts(g, data, &by_hash)) {
        return;
    }
    if (!free_buffers(g)) {
        set_status(g, STAT_RXNOBUF);
        sungem_update(&g->pci.dev);
        return;
    }
    memset(frame, 0, FRAME_MIN);
    memcpy(frame, data, size);
    total = MAX(size, FRAME_MIN);
    if (!(get(g, MAC_RXCFG) & RXCFG_STRIP_FCS)) {
        store_le32(frame + total, frame_fcs(frame, total));
        total += FRAME_FCS;
    }
    if (!pci_dma_read(&g->pci, where, d, sizeof(d)) || !(load_le64(d) & RXD_OWN) || (load_le64(d) >> 16 & 0x7fff) < total) {
        set_status(g, STAT_RXNOBUF);
        sungem_update(&g->pci.dev);
        return;
    }
    pci_dma_write(&g->pci, load_le64(d + 8) + (cfg >> 10 & 7), frame, total);
    checksum = ~(from < total ? checksum_add(0, frame + from, total - from) : 0);
    store_le64(d, checksum | (uint64_t)total << 16 | (by_hash ? RXD_HASHED : 0));
    pci_dma_write(&g->pci, where, d, 8);
    set(g, RX_DONE, (at + 1) & (ring_size(cfg) - 1));
    set(g, MAC_RXSTAT, get(g, MAC_RXSTAT) | MAC_RX_GOT);
    set_status(g, STAT_RXDONE | (free_buffers(g) ? 0 : STAT_RXNOBUF));
    sungem_update(&g->pci.dev);
}

/* ---- the transceiver ---- */

static uint16_t phy_read(Sungem *g, int reg)
{
    switch (reg) {
    case BMSR:
        return BMSR_ALL | (nic_link_up(&g->nic) ? BMSR_LINK : 0);
    case LPA:
        return nic_link_up(&g->nic) ? LPA_ALL : 0;
    default:
        return g->s.phy[reg];
    }
}

static void phy_write(Sungem *g, int reg, uint16_t value)
{
    if (reg == BMCR && (value & BMCR_RESET)) {
        memset(g->s.phy, 0, sizeof(g->s.phy));
        g->s.phy[BMCR] = 0x3100;
        g->s.phy[ANAR] = 0x01e1;
    } else if (reg == BMCR) {
        g->s.phy[BMCR] = value & ~BMCR_RESTART;
    } else if (reg == ANAR) {
        g->s.phy[ANAR] = value;
    }
}

/* A frame of management data, which has arrived at once. The one transceiver is at address 0. */
static uint32_t mif_frame(Sungem *g, uint32_t frame)
{
    int phy = frame >> 23 & 31, reg = frame >> 18 & 31;
    uint16_t data = frame;

    switch (frame >> 28) {
    case 6: /* start, read */
        data = phy == 0 ? phy_read(g, reg) : 0xffff;
        break;
    case 5:
        if (phy == 0) {
            phy_write(g, reg, data);
        }
        break;
    default:
        guest_error(g->pci.dev.id, "management frame %08x is neither a read nor a write", frame);
    }
    return (frame & 0xfffe0000) | 0x00010000 | data;
}

/* ---- registers ---- */

static void reset_dma(Sungem *g, uint32_t what)
{
    if (what & RST_TX) {
        set(g, TX_CFG, 0);
        set(g, TX_KICK, 0);
        set(g, TX_DONE, 0);
        g->s.frame_size = 0;
    }
    if (what & RST_RX) {
        set(g, RX_CFG, 0);
        set(g, RX_KICK, 0);
        set(g, RX_DONE, 0);
    }
}

static uint64_t sungem_read(void *opaque, PhysAddr offset, unsigned size)
{
    Sungem *g = opaque;
    const uint32_t *reg = word(&g->s, offset);
    uint32_t value = reg ? *reg : 0;

    switch (offset) {
    case STAT: /* what is latched goes */
        value = status(g);
        set(g, STAT, 0);
        break;
    case STAT2:
        value = status(g);
        break;
    case SWRST:
        return 0; /* a reset takes no time */
    case MAC_TXSTAT:
    case MAC_RXSTAT:
    case MAC_CSTAT:
        set(g, offset, 0);
        break;
    default:
        return value;
    }
    sungem_update(&g->pci.dev);
    return value;
}

static void sungem_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Sungem *g = opaque;
    uint32_t *reg = word(&g->s, offset);

    if (!reg) {
        return;
    }
    switch (offset) {
    case STAT:
    case STAT2:
    case MAC_TXSTAT:
    case MAC_RXSTAT:
    case MAC_CSTAT:
    case TX_DONE:
    case RX_DONE:
        break; /* these are for reading */
    case IACK:
        set(g, STAT, get(g, STAT) & ~(value & STAT_LATCHED));
        break;
    case SWRST:
        reset_dma(g, value);
        break;
    case MAC_TXRST: /* done as soon as they are written */
        set(g, MAC_TXCFG, 0);
        break;
    case MAC_RXRST:
        set(g, MAC_RXCFG, 0);
        break;
    case MIF_FRAME:
        *reg = mif_frame(g, value);
        break;
    default:
        *reg = value;
    }
    switch (offset) {
    case TX_KICK:
    case TX_CFG:
    case MAC_TXCFG:
        transmit(g);
        break;
    case RX_KICK:
    case RX_CFG:
    case MAC_RXCFG:
        net_flush(g->nic.net);
        break;
    }
    sungem_update(&g->pci.dev);
}

static const RegionOps sungem_ops = { sungem_read, sungem_write, 4, 4, ENDIAN_LITTLE };

/* ---- the device ---- */

static const NetFrontend frontend = {
    .can_receive = sungem_can_receive,
    .receive = sungem_receive,
    .writable = sungem_writable,
};

static bool sungem_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x106b, .device = 0x0021, .class_rev = 0x020000 << 8, .interrupt_pin = 1,
    };
    Sungem *g = (Sungem *)dev;

    pci_device_init(&g->pci, &info);
    g->bar = region_new_io("sungem", &sungem_ops, g, BAR_SIZE);
    pci_register_bar(&g->pci, 0, PCI_BAR_MEM32, g->bar);
    return nic_attach(&g->nic, &frontend, g, error);
}

static void sungem_unrealize(Device *dev)
{
    Sungem *g = (Sungem *)dev;

    nic_detach(&g->nic);
    region_free(g->bar);
}

static void sungem_reset(Device *dev)
{
    Sungem *g = (Sungem *)dev;

    for (int i = 0; i < 3; i++) {
        set(g, MAC_ADDR0 + 4 * i, load_be16(g->nic.mac + 4 - 2 * i));
    }
    set(g, IMASK, 0xffffffff);
    set(g, MAC_TXMASK, 0xffff);
    set(g, MAC_RXMASK, 0xffff);
    set(g, MAC_MCMASK, 0xffff);
    set(g, MAC_MAXFSZ, 0x5ee);
    phy_write(g, BMCR, BMCR_RESET);
}

/* A frame may be handed over in several kicks. */
static void sungem_save(Device *dev, GKeyFile *out)
{
    const Sungem *g = (Sungem *)dev;

    state_save_bytes(out, dev->id, "frame.data", g->frame, g->s.frame_size);
}

static bool sungem_load(Device *dev, GKeyFile *in, GError **error)
{
    Sungem *g = (Sungem *)dev;

    if (g->s.frame_size > FRAME_ROOM) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: a frame of %u bytes in '%s'", g->s.frame_size, dev->id);
        return false;
    }
    return !g->s.frame_size || state_load_bytes(in, dev->id, "frame.data", g->frame, g->s.frame_size, error);
}

static const Prop sungem_props[] = {
    PCI_PROPS(Sungem),
    NIC_PROPS(Sungem),
    { 0 },
};

const DeviceType sungem_type = {
    .name = "sungem",
    .about = "Sun GEM Ethernet (Apple GMAC)",
    .bus = "pci",
    .user = true,
    .hotplug = true,
    .size = sizeof(Sungem),
    .state_at = offsetof(Sungem, s),
    .state = SungemState_fields,
    .props = sungem_props,
    .realize = sungem_realize,
    .unrealize = sungem_unrealize,
    .reset = sungem_reset,
    .save_extra = sungem_save,
    .load_extra = sungem_load,
    .update = sungem_update,
};
