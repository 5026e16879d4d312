/*
 * Realtek RTL8139C(L)+ Fast Ethernet: registers, EEPROM, transceiver and timer.
 *
 * RTL8139C(L)+ data sheet, chapter 5. With cplus=off it is an RTL8139C, which old drivers want to see.
 */
#include "hw/net/rtl8139.h"

#include "util/log.h"

enum { UNLOCKED = 0xc0, MODE_RELOAD = 0x40, MODE_PROGRAM = 0x80, PIN_CS = 8, PIN_CLOCK = 4, PIN_IN = 2,
       PIN_OUT = 1 };
enum { MSR_LINK_DOWN = 1 << 2 };
enum { BMCR_RESET = 0x8000, BMCR_RESTART = 0x0200, BMSR_LINK = 0x0024 };
enum { CSCR_CONNECTED = 0x0408, CSCR_CHANGED = 0x0800 };
enum { DUMP = 1 << 3, DUMP_BYTES = 64 };
#define COUNTS_PER_US 33 /* TCTR counts PCI clocks */
#define HARDWARE_ID      0x74000000u /* in TCR: RTL8139C */
#define HARDWARE_ID_PLUS 0x74800000u

/* Bits that software may change; the rest is read-only or has a function below. */
static const uint8_t writable[256] = {
    [IDR ... IDR + 5] = 0xff,
    [MAR ... MAR + 7] = 0xff,
    [TSD ... TSAD + 15] = 0xff,
    [RBSTART ... RBSTART + 3] = 0xff,
    [CR] = CR_TE | CR_RE,
    [CAPR ... CAPR + 1] = 0xff,
    [IMR] = 0xff, [IMR + 1] = 0xe1,
    [TCR] = 0xf0, [TCR + 1] = 0x07, [TCR + 2] = 0x07, [TCR + 3] = 0x03,
    [RCR] = 0xbf, [RCR + 1] = 0xff, [RCR + 2] = 0x03, [RCR + 3] = 0x0f,
    [CR9346] = 0xce,
    [CONFIG1] = 0xf3,
    [TIMER_INT ... TIMER_INT + 3] = 0xff,
    [MSR] = 0xc0, [CONFIG3] = 0x7f, [CONFIG4] = 0xff,
    [BMCR] = 0x00, [BMCR + 1] = 0x31,
    [ANAR ... ANAR + 1] = 0xff,
    [0x78 ... PHY_LAST] = 0xff, /* tuning of the transceiver */
    [0x84 ... 0xd3] = 0xff, /* wake-up patterns */
    [CONFIG5] = 0x7f,
    [TPPOLL] = 0xc0,
    [CPCR] = 0xeb, [CPCR + 1] = 0x02,
    [RDSAR ... RDSAR + 7] = 0xff,
    [0xec] = 0x3f,
};

/* What CR9346 protects. */
static bool is_locked(const Rtl8139 *r, unsigned reg)
{
    bool config = reg < IDR + 6 || reg == CONFIG0 || reg == CONFIG1 || reg == CONFIG3 || reg == CONFIG4 ||
                  reg == CONFIG5 || reg == MSR || (reg >= BMCR && reg < BMCR + 2);

    return config && (r->s.reg[CR9346] & UNLOCKED) != UNLOCKED;
}

/* Registers that the RTL8139C does not have. */
static bool is_cplus(unsigned reg)
{
    return reg >= TPPOLL && reg <= 0xec;
}

static void rtl8139_update(Device *dev)
{
    Rtl8139 *r = (Rtl8139 *)dev;

    pci_set_intx(&r->pci, load_le16(r->s.reg + ISR) & load_le16(r->s.reg + IMR));
    if (r->s.timer_due >= 0) {
        timer_set(r->timer, r->s.timer_due);
    } else {
        timer_cancel(r->timer);
    }
}

void rtl8139_raise(Rtl8139 *r, uint16_t causes)
{
    store_le16(r->s.reg + ISR, load_le16(r->s.reg + ISR) | causes);
    rtl8139_update(&r->pci.dev);
}

/* ---- timer ---- */

static uint32_t timer_count(const Rtl8139 *r)
{
    return mul_div(clock_now(CLOCK_GUEST) - r->s.timer_base, COUNTS_PER_US, 1000);
}

/* When TCTR is equal to TimerInt the next time. */
static void plan_timer(Rtl8139 *r)
{
    uint32_t match = load_le32(r->s.reg + TIMER_INT), count = timer_count(r);
    uint64_t counts = match > count ? match - count : match + (UINT64_C(1) << 32) - count;

    r->s.timer_due = match ? clock_now(CLOCK_GUEST) + (int64_t)mul_div(counts, 1000, COUNTS_PER_US) + 1 : -1;
    rtl8139_update(&r->pci.dev);
}

static void timer_fired(void *opaque)
{
    Rtl8139 *r = opaque;

    plan_timer(r);
    rtl8139_raise(r, INT_TIMEOUT);
}

static void retry_fired(void *opaque)
{
    net_flush(((Rtl8139 *)opaque)->nic.net);
}

/* ---- EEPROM ---- */

static Microwire eeprom(Rtl8139 *r)
{
    return (Microwire){ r->s.eeprom, 6, r->s.eeprom_wires };
}

static void fill_eeprom(Rtl8139 *r)
{
    uint16_t *w = r->s.eeprom;

    w[0] = 0x8129; /* how the chip knows that somebody filled it */
    w[1] = 0x10ec;
    w[2] = 0x8139;
    w[3] = 0x1af4; /* subsystem */
    w[4] = 0x1100;
    w[5] = 0x4020; /* latencies */
    w[6] = 0xe110;
    for (int i = 0; i < 3; i++) {
        w[7 + i] = load_le16(r->nic.mac + 2 * i);
    }
    w[10] = 0x4d10;
    w[11] = 0xf7c2;
    w[12] = 0x8801;
}

static void load_address(Rtl8139 *r)
{
    for (int i = 0; i < 3; i++) {
        store_le16(r->s.reg + IDR + 2 * i, r->s.eeprom[7 + i]);
    }
}

static void write_9346(Rtl8139 *r)
{
    uint8_t pins = r->s.reg[CR9346];
    Microwire m = eeprom(r);

    if ((pins & UNLOCKED) == MODE_RELOAD) {
        load_address(r);
        r->s.reg[CR9346] &= ~UNLOCKED;
    }
    microwire_drive(&m, (pins & UNLOCKED) == MODE_PROGRAM && (pins & PIN_CS), pins & PIN_CLOCK, pins & PIN_IN);
}

/* ---- transceiver ---- */

static void show_link(Rtl8139 *r, bool up)
{
    uint8_t *reg = r->s.reg;

    reg[MSR] = up ? reg[MSR] & ~MSR_LINK_DOWN : reg[MSR] | MSR_LINK_DOWN;
    store_le16(reg + BMSR, 0x7849 | (up ? BMSR_LINK : 0));
    store_le16(reg + ANLPAR, up ? 0x45e1 : 0);
    store_le16(reg + ANER, up ? 0x0001 : 0);
    store_le16(reg + CSCR, (load_le16(reg + CSCR) & ~CSCR_CONNECTED) | (up ? CSCR_CONNECTED : 0));
}

void rtl8139_link_changed(void *opaque, bool up)
{
    Rtl8139 *r = opaque;

    show_link(r, up);
    store_le16(r->s.reg + CSCR, load_le16(r->s.reg + CSCR) | CSCR_CHANGED);
    rtl8139_raise(r, INT_LINK);
}

/* ---- registers ---- */

/* What CR.RST does: the address, the configuration and the transceiver stay. */
static void reset_chip(Rtl8139 *r)
{
    uint8_t *reg = r->s.reg;

    memset(reg + TSD, 0, CR9346 - TSD);
    memset(reg + CONFIG5 + 1, 0, 256 - CONFIG5 - 1);
    memset(reg + TIMER_INT, 0, 4);
    for (int slot = 0; slot < 4; slot++) {
        store_le32(reg + TSD + slot * 4, 1 << 13); /* OWN: the driver's */
    }
    store_le16(reg + CAPR, 0xfff0);
    store_le32(reg + TCR, r->cplus ? HARDWARE_ID_PLUS : HARDWARE_ID);
    memset(r->s.ring_next, 0, sizeof(r->s.ring_next));
    r->s.tx_next = 0;
    r->s.timer_base = clock_now(CLOCK_GUEST);
    r->s.timer_due = -1;
    timer_cancel(r->retry);
    rtl8139_update(&r->pci.dev);
}

static void rtl8139_reset(Device *dev)
{
    Rtl8139 *r = (Rtl8139 *)dev;
    uint8_t *reg = r->s.reg;

    fill_eeprom(r);
    load_address(r);
    reg[CONFIG1] = 0x0c; /* registers in ports and in memory */
    reg[CONFIG3] = 0x01;
    reg[RERID] = 0x10;
    store_le16(reg + BMCR, 0x3100);
    store_le16(reg + ANAR, 0x05e1);
    show_link(r, nic_link_up(&r->nic));
    reset_chip(r);
}

static uint16_t slot_summary(const Rtl8139 *r)
{
    uint16_t summary = 0;

    for (int slot = 0; slot < 4; slot++) {
        uint32_t tsd = load_le32(r->s.reg + TSD + slot * 4);

        summary |= (tsd >> 13 & 1) << slot | (tsd >> 14 & 1) << (slot + 8) | (tsd >> 15 & 1) << (slot + 12);
    }
    return summary;
}

/* Registers whose content is made when somebody looks. */
static void refresh(Rtl8139 *r)
{
    uint8_t *reg = r->s.reg;
    Microwire m = eeprom(r);

    store_le32(reg + TCTR, timer_count(r));
    store_le16(reg + TSALL, slot_summary(r));
    reg[CR9346] = (reg[CR9346] & ~PIN_OUT) | (microwire_data(&m) ? PIN_OUT : 0);
    if (!rtl8139_cplus_rx(r)) {
        reg[CR] = (reg[CR] & ~CR_BUFE) | (rtl8139_buffer_empty(r) ? CR_BUFE : 0);
    }
}

static uint64_t rtl8139_read(void *opaque, PhysAddr offset, unsigned size)
{
    Rtl8139 *r = opaque;
    uint32_t value = 0;

    refresh(r);
    for (unsigned i = 0; i < size && offset + i < 256; i++) {
        value |= (uint32_t)r->s.reg[offset + i] << i * 8;
    }
    if (offset <= CSCR + 1 && offset + size > CSCR + 1) {
        r->s.reg[CSCR + 1] &= ~(CSCR_CHANGED >> 8); /* seen */
    }
    return value;
}

static void dump_tallies(Rtl8139 *r)
{
    static const uint8_t widths[G_N_ELEMENTS(r->s.tally)] = { 8, 8, 8, 4, 2, 2, 4, 4, 8, 8, 4, 2, 2 };
    uint64_t address = load_le64(r->s.reg + DTCCR) & ~UINT64_C(63);
    uint8_t dump[DUMP_BYTES], *p = dump;

    for (unsigned i = 0; i < G_N_ELEMENTS(widths); i++) {
        memcpy(p, &r->s.tally[i], widths[i]);
        p += widths[i];
    }
    pci_dma_write(&r->pci, address, dump, sizeof(dump));
    r->s.reg[DTCCR] &= ~DUMP;
}

static bool touches(unsigned reg, unsigned count, PhysAddr offset, unsigned size)
{
    return offset < reg + count && offset + size > reg;
}

static void write_bytes(Rtl8139 *r, PhysAddr offset, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size && offset + i < 256; i++) {
        unsigned at = offset + i;
        uint8_t byte = value >> i * 8, *reg = &r->s.reg[at], mask = writable[at];

        if (at == ISR || at == ISR + 1) {
            *reg &= ~byte;
        } else if (at >= MPC && at < MPC + 4) {
            memset(r->s.reg + MPC, 0, 4);
        } else if (!is_locked(r, at) && (r->cplus || !is_cplus(at))) {
            *reg = (*reg & ~mask) | (byte & mask);
        }
    }
}

/* The second byte of a slot's status has OWN: software clears it to send. In C+ mode they are something else. */
static void slots_written(Rtl8139 *r, PhysAddr offset, unsigned size)
{
    if (load_le16(r->s.reg + CPCR) & (CPCR_TX | CPCR_RX)) {
        if (touches(DTCCR, 1, offset, size) && (r->s.reg[DTCCR] & DUMP)) {
            dump_tallies(r);
        }
    } else {
        for (int slot = 0; slot < 4; slot++) {
            uint8_t *tsd = r->s.reg + TSD + slot * 4;

            if (touches(TSD + slot * 4 + 1, 1, offset, size)) {
                store_le32(tsd, load_le32(tsd) & 0x3f3fff); /* status bits of the frame before */
            }
        }
        rtl8139_send_slots(r);
    }
}

static void rings_moved(Rtl8139 *r, PhysAddr offset, unsigned size)
{
    static const uint8_t registers[] = { TNPDS, THPDS, RDSAR };

    for (int ring = RING_NORMAL; ring <= RING_RX; ring++) {
        if (touches(registers[ring], 8, offset, size)) {
            r->s.ring_next[ring] = 0;
        }
    }
}

static void written(Rtl8139 *r, PhysAddr offset, uint32_t value, unsigned size)
{
    if (touches(TSD, 16, offset, size)) {
        slots_written(r, offset, size);
    }
    rings_moved(r, offset, size);
    if (touches(TCTR, 4, offset, size)) {
        r->s.timer_base = clock_now(CLOCK_GUEST);
    }
    if (touches(TCTR, 4, offset, size) || touches(TIMER_INT, 4, offset, size)) {
        plan_timer(r);
    }
    if (touches(CR9346, 1, offset, size)) {
        write_9346(r);
    }
    if (touches(BMCR + 1, 1, offset, size) && !is_locked(r, BMCR) &&
        (value >> (BMCR + 1 - offset) * 8 & BMCR_RESET >> 8)) {
        store_le16(r->s.reg + BMCR, 0x3100);
        store_le16(r->s.reg + ANAR, 0x05e1);
    }
    if (touches(TPPOLL, 1, offset, size) && r->cplus) {
        if (value >> (TPPOLL - offset) * 8 & TPPOLL_SW) {
            rtl8139_raise(r, INT_SW);
        }
        rtl8139_send_rings(r);
    }
    if (touches(CR, 1, offset, size)) {
        rtl8139_send_slots(r);
    }
    if (touches(CR, 3, offset, size) || touches(IMR, 4, offset, size) || touches(RCR, 4, offset, size)) {
        net_flush(r->nic.net); /* what made frames wait may be over */
    }
    rtl8139_update(&r->pci.dev);
}

static void rtl8139_write(void *opaque, PhysAddr offset, uint64_t data, unsigned size)
{
    Rtl8139 *r = opaque;

    if (touches(CR, 1, offset, size) && (data >> (CR - offset) * 8 & CR_RST)) {
        reset_chip(r);
        return;
    }
    write_bytes(r, offset, data, size);
    written(r, offset, data, size);
}

static const RegionOps ops = { rtl8139_read, rtl8139_write, 1, 4, ENDIAN_LITTLE };

/* ---- the device ---- */

static bool rtl8139_realize(Device *dev, GError **error)
{
    static const PciInfo plain = {
        .vendor = 0x10ec, .device = 0x8139, .class_rev = 0x020000 << 8 | 0x10,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .interrupt_pin = 1, .rom = "efi-rtl8139.rom",
    };
    static const PciInfo plus = {
        .vendor = 0x10ec, .device = 0x8139, .class_rev = 0x020000 << 8 | 0x20,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .interrupt_pin = 1, .rom = "efi-rtl8139.rom",
    };
    Rtl8139 *r = (Rtl8139 *)dev;

    pci_device_init(&r->pci, r->cplus ? &plus : &plain);
    r->ports = region_new_io("rtl8139-io", &ops, r, 256);
    r->mmio = region_new_io("rtl8139-mmio", &ops, r, 256);
    pci_register_bar(&r->pci, 0, PCI_BAR_IO, r->ports);
    pci_register_bar(&r->pci, 1, PCI_BAR_MEM32, r->mmio);
    r->timer = timer_new(CLOCK_GUEST, timer_fired, r);
    r->retry = timer_new(CLOCK_GUEST, retry_fired, r);
    return nic_attach(&r->nic, &rtl8139_frontend, r, error) && pci_load_rom(&r->pci, error);
}

static void rtl8139_unrealize(Device *dev)
{
    Rtl8139 *r = (Rtl8139 *)dev;

    nic_detach(&r->nic);
    timer_free(r->timer);
    timer_free(r->retry);
    region_free(r->ports);
    region_free(r->mmio);
}

static const Prop rtl8139_props[] = {
    PCI_PROPS(Rtl8139),
    NIC_PROPS(Rtl8139),
    PROP(Rtl8139, cplus, "cplus", PROP_BOOL, "on", "off: an RTL8139C, without C+ mode"),
    { 0 },
};

const DeviceType rtl8139_type = {
    .name = "rtl8139",
    .about = "Realtek RTL8139C+ Fast Ethernet",
    .bus = "pci",
    .user = true,
    .hotplug = true,
    .size = sizeof(Rtl8139),
    .state_at = offsetof(Rtl8139, s),
    .state = Rtl8139State_fields,
    .props = rtl8139_props,
    .realize = rtl8139_realize,
    .unrealize = rtl8139_unrealize,
    .reset = rtl8139_reset,
    .update = rtl8139_update,
};
