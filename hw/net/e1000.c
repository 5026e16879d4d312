/*
 * Intel 8254x Gigabit Ethernet (e1000): registers, interrupts, EEPROM and transceiver.
 *
 * PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453), chapter 13.
 */
#include "hw/net/e1000.h"

#include "util/bits.h"

#include <string.h>

/* Members of the family differ in their names as far as drivers can tell. */
typedef struct E1000Model {
    PciInfo info;
    uint16_t phy_id; /* second word; the first is Marvell's */
} E1000Model;

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

void e1000_raise(E1000 *e, uint32_t causes)
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
    w[13] = e->model->info.device;
    w[14] = e->model->info.vendor;
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
    p[PHY_ID1] = 0x0141; /* Marvell */
    p[PHY_ID2] = e->model->phy_id;
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
        e1000_raise(e, INT_MDAC);
    }
}

void e1000_link_changed(void *opaque, bool up)
{
    E1000 *e = opaque;

    *reg(e, STATUS) = up ? *reg(e, STATUS) | STATUS_LU : *reg(e, STATUS) & ~STATUS_LU;
    reset_phy(e);
    e1000_raise(e, INT_LSC);
}

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
    e1000_tx_reset(&e->tx);
    timer_cancel(e->more);
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
        e1000_raise(e, value);
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
        e1000_tx_run(&e->tx);
        break;
    case TCTL:
        *reg(e, TCTL) = value;
        e1000_tx_run(&e->tx);
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

    return offset == 0 ? e->s.io_address : offset == 4 ? e1000_read(e, e->s.io_address & ~3u, 4) : 0;
}

static void io_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    E1000 *e = opaque;

    if (offset == 0) {
        e->s.io_address = value & 0x1ffff;
    } else if (offset == 4) {
        e1000_write(e, e->s.io_address & ~3u, value, 4);
    }
}

static const RegionOps io_ops = { io_read, io_write, 4, 4, ENDIAN_LITTLE };

static bool realize_as(Device *dev, const E1000Model *model, GError **error)
{
    E1000 *e = (E1000 *)dev;

    pci_device_init(&e->pci, &model->info);
    e->model = model;
    e->mmio = region_new_io("e1000-mmio", &mmio_ops, e, 0x20000);
    e->io = region_new_io("e1000-io", &io_ops, e, 0x40);
    pci_register_bar(&e->pci, 0, PCI_BAR_MEM32, e->mmio);
    pci_register_bar(&e->pci, 1, PCI_BAR_IO, e->io);
    e->throttle = timer_new(CLOCK_GUEST, throttle_over, e);
    e->more = timer_new(CLOCK_GUEST, e1000_tx_go_on, &e->tx);
    e->tx = (E1000Tx){ .pci = &e->pci, .nic = &e->nic, .regs = e->s.reg, .card = e, .ops = &e1000_tx_ops, .more = e->more,
                       .done = INT_TXDW };
    return nic_attach(&e->nic, &e1000_frontend, e, error) && pci_load_rom(&e->pci, error);
}

static void e1000_unrealize(Device *dev)
{
    E1000 *e = (E1000 *)dev;

    nic_detach(&e->nic);
    timer_free(e->throttle);
    timer_free(e->more);
    region_free(e->mmio);
    region_free(e->io);
}

static void e1000_save(Device *dev, GKeyFile *out)
{
    e1000_tx_save(&((E1000 *)dev)->tx, out);
}

static bool e1000_load(Device *dev, GKeyFile *in, GError **error)
{
    return e1000_tx_load(&((E1000 *)dev)->tx, in, error);
}

static bool e1000_loaded(Device *dev, GError **error)
{
    timer_set(((E1000 *)dev)->more, clock_now(CLOCK_GUEST));
    return true;
}

static const Prop e1000_props[] = {
    PCI_PROPS(E1000),
    NIC_PROPS(E1000),
    { 0 },
};

#define E1000_MODEL(model_name, spelling, other_spelling, text, device_id, phy)                                          \
    static bool model_name##_realize(Device *dev, GError **error)                                                        \
    {                                                                                                                    \
        static const E1000Model model = {                                                                                \
            .info = { .vendor = 0x8086, .device = device_id, .class_rev = 0x020000 << 8 | 0x03,                          \
                      .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .interrupt_pin = 1, .rom = "efi-e1000.rom" },     \
            .phy_id = phy,                                                                                               \
        };                                                                                                               \
        return realize_as(dev, &model, error);                                                                           \
    }                                                                                                                    \
    const DeviceType model_name##_type = {                                                                               \
        .name = spelling, .alias = other_spelling, .about = "Intel " text " Gigabit Ethernet", .bus = "pci",             \
        .user = true, .hotplug = true, .size = sizeof(E1000), .state_at = offsetof(E1000, s),                            \
        .state = E1000State_fields, .props = e1000_props, .realize = model_name##_realize,                               \
        .unrealize = e1000_unrealize, .reset = e1000_reset, .update = e1000_update, .save_extra = e1000_save,            \
        .load_extra = e1000_load, .post_load = e1000_loaded,                                                             \
    }

E1000_MODEL(e1000, "e1000", "e1000-82540em", "82540EM", 0x100e, 0x0c20);
E1000_MODEL(e1000_82544gc, "e1000-82544gc", NULL, "82544GC", 0x100c, 0x0c30);
E1000_MODEL(e1000_82545em, "e1000-82545em", NULL, "82545EM", 0x100f, 0x0c20);
