/*
 * Intel 82574L Gigabit Ethernet (e1000e): registers, NVM, transceiver and clock.
 *
 * 82574 data sheet (317694), chapter 10.
 */
#include "hw/net/e1000e.h"

#include "hw/pci/express.h"
#include "hw/pci/msi.h"
#include "util/bits.h"

#include <string.h>

enum { MSIX_TABLE = 0, MSIX_PBA = 0x2000 };
enum { MMIO_SIZE = 128 << 10, FLASH_SIZE = 128 << 10, IO_SIZE = 32, MSIX_SIZE = 16 << 10 };
enum { EERD_START = 1, EERD_DONE = 2, EECD_AUTO_READ = 0x200 };
enum { SMBI = 1 };
enum { EEMNGCTL_DONE = 1 << 18 };
enum { MDI_WRITE = 1, MDI_READ = 2, MDI_READY = 1 << 28, MDI_INTERRUPT = 1 << 29, MDI_ERROR = 1 << 30 };
enum { PHY_CONTROL, PHY_STATUS, PHY_ID1, PHY_ID2, PHY_ADVERTISE, PHY_PARTNER, PHY_EXPANSION,
       PHY_1000_CONTROL = 9, PHY_1000_STATUS, PHY_EXTENDED = 15, PHY_SPECIFIC_CONTROL, PHY_SPECIFIC_STATUS, PHY_PAGE = 22 };
enum { NVM_CHECKSUM = 63 };
#define SYSTIM_CLOCK 40 /* ns */

/* ---- NVM ---- */

static void seal_nvm(E1000e *e)
{
    uint16_t sum = 0;

    for (int i = 0; i < NVM_CHECKSUM; i++) {
        sum += e->s.nvm[i];
    }
    e->s.nvm[NVM_CHECKSUM] = 0xbaba - sum;
}

static void fill_nvm(E1000e *e)
{
    static const uint16_t words[NVM_WORDS] = {
        [0x03] = 0x0420, [0x04] = 0xf746, [0x05] = 0x2010, [0x06] = 0xffff, [0x07] = 0xffff, [0x0a] = 0x026b,
        [0x0b] = 0x0000, [0x0c] = 0x8086, [0x0d] = 0x10d3, [0x0e] = 0x8086, [0x0f] = 0x8058, [0x10] = 0x0010,
        [0x18] = 0x092d, [0x1b] = 0x5001, [0x1c] = 0x10d3, [0x37] = 0xffff,
    };

    memcpy(e->s.nvm, words, sizeof(words));
    for (int i = 0; i < 3; i++) {
        e->s.nvm[i] = load_le16(e->nic.mac + 2 * i);
    }
    seal_nvm(e);
}

static void access_nvm(E1000e *e, unsigned offset, uint32_t value)
{
    unsigned word = value >> 2 & 0x3fff;

    if (!(value & EERD_START)) {
        *reg(e, offset) = value;
        return;
    }
    if (offset == EEWR && word < NVM_WORDS) {
        e->s.nvm[word] = value >> 16;
    } else if (offset == EERD) {
        value = (value & 0xffff) | (uint32_t)(word < NVM_WORDS ? e->s.nvm[word] : 0xffff) << 16;
    }
    *reg(e, offset) = (value & ~EERD_START) | EERD_DONE;
}

/* ---- transceiver ---- */

static void reset_phy(E1000e *e)
{
    uint16_t *p = e->s.phy;
    bool up = nic_link_up(&e->nic);

    memset(p, 0, sizeof(e->s.phy));
    p[PHY_CONTROL] = 0x1140;
    p[PHY_STATUS] = 0x7949 | (up ? 0x24 : 0);
    p[PHY_ID1] = 0x0141; /* Marvell 88E1149R */
    p[PHY_ID2] = 0x0cb1;
    p[PHY_ADVERTISE] = 0x0de1;
    p[PHY_PARTNER] = up ? 0xcde1 : 0;
    p[PHY_EXPANSION] = up ? 0x0f : 0x04;
    p[PHY_1000_CONTROL] = 0x0e00;
    p[PHY_1000_STATUS] = up ? 0x7c00 : 0;
    p[PHY_EXTENDED] = 0x3000;
    p[PHY_SPECIFIC_CONTROL] = 0x0360;
    p[PHY_SPECIFIC_STATUS] = 0x2800 | (up ? 0x8400 : 0x4000);
}

/* Registers from 16 on come in pages, but for the one that chooses the page. NULL: there is no such page. */
static uint16_t *phy_register(E1000e *e, unsigned address)
{
    unsigned page = address < 16 || address == PHY_PAGE ? 0 : e->s.phy[PHY_PAGE];

    return page < PHY_PAGES ? &e->s.phy[page * 32 + address] : NULL;
}

static void write_mdic(E1000e *e, uint32_t value)
{
    unsigned address = value >> 16 & 31, phy = value >> 21 & 31, op = value >> 26 & 3;
    uint16_t *p = phy_register(e, address);

    if (phy != 1 || (op != MDI_READ && op != MDI_WRITE)) {
        value |= MDI_ERROR;
    } else if (op == MDI_READ) {
        value = (value & 0xffff0000) | (p ? *p : 0);
    } else if (address == PHY_CONTROL) {
        *p = value & 0x7dff; /* reset and restart are done at once */
    } else if (p && address != PHY_STATUS && address != PHY_ID1 && address != PHY_ID2 && address != PHY_SPECIFIC_STATUS) {
        *p = value;
    }
    *reg(e, MDIC) = value | MDI_READY;
    if (value & MDI_INTERRUPT) {
        e1000e_raise(e, INT_MDAC);
    }
}

void e1000e_link_changed(void *opaque, bool up)
{
    E1000e *e = opaque;

    *reg(e, STATUS) = up ? *reg(e, STATUS) | STATUS_LU : *reg(e, STATUS) & ~STATUS_LU;
    reset_phy(e);
    e1000e_raise(e, INT_LSC);
    net_flush(e->nic.net);
}

/* ---- the clock of time stamps ---- */

static uint64_t systim_now(E1000e *e)
{
    uint32_t increment = *reg(e, TIMINCA), period = increment >> 24;

    if (!period) {
        return e->s.systim;
    }
    return e->s.systim + (uint64_t)(clock_now(CLOCK_GUEST) - e->s.systim_at) / (SYSTIM_CLOCK * period) * (increment & 0xffffff);
}

static void set_systim(E1000e *e, uint64_t value)
{
    e->s.systim = value;
    e->s.systim_at = clock_now(CLOCK_GUEST);
}

/* Reading the low half keeps the high half of that moment. */
static uint32_t read_systim(E1000e *e)
{
    uint64_t now = systim_now(e);

    *reg(e, SYSTIMH) = now >> 32;
    return now;
}

static void write_systim(E1000e *e, unsigned offset, uint32_t value)
{
    uint64_t now = systim_now(e);

    if (offset == TIMINCA) {
        *reg(e, TIMINCA) = value;
    } else if (offset == SYSTIML) {
        now = (now & ~(uint64_t)UINT32_MAX) | value;
    } else {
        now = (now & UINT32_MAX) | (uint64_t)value << 32;
    }
    set_systim(e, now);
}

/* ---- registers ---- */

/* What CTRL.RST does. The NVM keeps its content. */
static void reset_chip(E1000e *e)
{
    bool up = nic_link_up(&e->nic);

    memset(e->s.reg, 0, sizeof(e->s.reg));
    memset(e->s.context, 0, sizeof(e->s.context));
    memset(e->s.allowed_at, 0, sizeof(e->s.allowed_at));
    e->s.announced = 0;
    *reg(e, CTRL) = 0x00000201 | CTRL_SLU;
    *reg(e, STATUS) = STATUS_GIO_MASTER_ENABLE | STATUS_1000 | STATUS_FD | (up ? STATUS_LU : 0);
    *reg(e, EECD) = EECD_AUTO_READ | EECD_PRES | EECD_GNT;
    *reg(e, EEMNGCTL) = EEMNGCTL_DONE;
    *reg(e, PBA) = 0x00140014;
    *reg(e, LEDCTL) = 0x07061302;
    *reg(e, RA) = e->s.nvm[0] | (uint32_t)e->s.nvm[1] << 16;
    *reg(e, RA + 4) = e->s.nvm[2] | 0x80000000;
    for (unsigned queue = 0; queue < E1000E_QUEUES; queue++) {
        e1000_tx_reset(&e->tx[queue]);
    }
    reset_phy(e);
    timer_cancel(e->throttle);
    timer_cancel(e->more);
    set_systim(e, 0);
}

static void e1000e_reset(Device *dev)
{
    E1000e *e = (E1000e *)dev;

    fill_nvm(e);
    reset_chip(e);
}

static uint64_t e1000e_read(void *opaque, PhysAddr offset, unsigned size)
{
    E1000e *e = opaque;
    uint32_t value;

    if (offset >= REGS_END) {
        return 0;
    }
    value = *reg(e, offset);
    switch (offset) {
    case ICR:
        return e1000e_read_icr(e);
    case IMC:
        return 0;
    case ICS:
        return *reg(e, ICR);
    case STATUS:
        return *reg(e, CTRL) & CTRL_GIO_MASTER_DISABLE ? value & ~STATUS_GIO_MASTER_ENABLE : value;
    case SWSM:
        *reg(e, SWSM) |= SMBI; /* who reads a zero has the semaphore */
        break;
    case SYSTIML:
        return read_systim(e);
    }
    if (offset >= STATS && offset < STATS_END) {
        *reg(e, offset) = 0; /* statistics clear when read */
    }
    return value;
}

static void write_ctrl(E1000e *e, uint32_t value)
{
    if (value & CTRL_RST) {
        reset_chip(e);
        e1000e_update(&e->pci.dev);
        return;
    }
    *reg(e, CTRL) = value;
}

/* Those of one queue; offset is that of queue 0. */
static bool write_queue(E1000e *e, unsigned offset, unsigned queue, uint32_t value)
{
    unsigned at = offset + queue * QUEUE;

    switch (offset) {
    case RDT:
        *reg(e, at) = value & 0xffff;
        net_flush(e->nic.net);
        return true;
    case TDT:
        *reg(e, at) = value & 0xffff;
        e1000_tx_run(&e->tx[queue]);
        return true;
    case RDH:
    case TDH:
    case RDTR:
        *reg(e, at) = value & 0xffff;
        return true;
    case RDLEN:
    case TDLEN:
        *reg(e, at) = value & 0xfff80;
        return true;
    }
    return false;
}

static void e1000e_write(void *opaque, PhysAddr offset, uint64_t data, unsigned size)
{
    E1000e *e = opaque;
    uint32_t value = data;

    for (unsigned queue = 0; queue < E1000E_QUEUES; queue++) {
        if (write_queue(e, offset - queue * QUEUE, queue, value)) {
            return;
        }
    }
    switch (offset) {
    case CTRL:
        write_ctrl(e, value);
        break;
    case EERD:
    case EEWR:
        access_nvm(e, offset, value);
        break;
    case MDIC:
        write_mdic(e, value);
        break;
    case ICR: /* writing ones clears */
        e1000e_acknowledge(e, value);
        break;
    case ICS:
        e1000e_raise(e, value & ~(uint32_t)INT_ASSERTED);
        break;
    case IMS:
        *reg(e, IMS) |= value;
        e1000e_update(&e->pci.dev);
        break;
    case IMC:
        *reg(e, IMS) &= ~value;
        e1000e_update(&e->pci.dev);
        break;
    case RCTL:
        *reg(e, RCTL) = value;
        net_flush(e->nic.net);
        break;
    case TCTL:
        *reg(e, TCTL) = value;
        for (unsigned queue = 0; queue < E1000E_QUEUES; queue++) {
            e1000_tx_run(&e->tx[queue]);
        }
        break;
    case SYSTIML:
    case SYSTIMH:
    case TIMINCA:
        write_systim(e, offset, value);
        break;
    case STATUS:
    case EEMNGCTL:
        break;
    case EECD: /* the content is read on its own at reset, and by EERD */
        *reg(e, EECD) = (value & ~(uint32_t)(EECD_GNT | EECD_PRES | 0x7800)) | EECD_AUTO_READ | EECD_PRES |
                        (value & EECD_REQ ? EECD_GNT : 0);
        break;
    default:
        if (offset < REGS_END && (offset < STATS || offset >= STATS_END)) {
            *reg(e, offset) = value;
        }
    }
}

static const RegionOps mmio_ops = { e1000e_read, e1000e_write, 4, 4, ENDIAN_LITTLE };

/* BAR 2: an address register and a data register that show the memory registers. */
static uint64_t io_read(void *opaque, PhysAddr offset, unsigned size)
{
    E1000e *e = opaque;

    return offset == 0 ? e->s.io_address : offset == 4 ? e1000e_read(e, e->s.io_address & ~3u, 4) : 0;
}

static void io_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    E1000e *e = opaque;

    if (offset == 0) {
        e->s.io_address = value & 0x1ffff;
    } else if (offset == 4) {
        e1000e_write(e, e->s.io_address & ~3u, value, 4);
    }
}

static const RegionOps io_ops = { io_read, io_write, 4, 4, ENDIAN_LITTLE };

/* BAR 1: the flash, which is erased. */
static uint64_t flash_read(void *opaque, PhysAddr offset, unsigned size)
{
    return UINT64_MAX;
}

static const RegionOps flash_ops = { flash_read, NULL, 1, 4, ENDIAN_LITTLE };

/* ---- the device ---- */

static void throttle_over(void *opaque)
{
    e1000e_update(&((E1000e *)opaque)->pci.dev);
}

static void transmit_more(void *opaque)
{
    E1000e *e = opaque;

    for (unsigned queue = 0; queue < E1000E_QUEUES; queue++) {
        e1000_tx_go_on(&e->tx[queue]);
    }
}

static bool e1000e_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x8086, .device = 0x10d3, .class_rev = 0x020000 << 8,
        .subsystem_vendor = 0x8086, .subsystem = 0x0000, .interrupt_pin = 1, .rom = "efi-e1000e.rom",
    };
    E1000e *e = (E1000e *)dev;

    pci_device_init(&e->pci, &info);
    e->mmio = region_new_io("e1000e-mmio", &mmio_ops, e, MMIO_SIZE);
    e->flash = region_new_io("e1000e-flash", &flash_ops, e, FLASH_SIZE);
    e->io = region_new_io("e1000e-io", &io_ops, e, IO_SIZE);
    e->msix = region_new_container("e1000e-msix", MSIX_SIZE);
    pci_register_bar(&e->pci, 0, PCI_BAR_MEM32, e->mmio);
    pci_register_bar(&e->pci, 1, PCI_BAR_MEM32, e->flash);
    pci_register_bar(&e->pci, 2, PCI_BAR_IO, e->io);
    pci_register_bar(&e->pci, 3, PCI_BAR_MEM32, e->msix);
    e->throttle = timer_new(CLOCK_GUEST, throttle_over, e);
    e->more = timer_new(CLOCK_GUEST, transmit_more, e);
    for (unsigned queue = 0; queue < E1000E_QUEUES; queue++) {
        e->tx[queue] = (E1000Tx){ .pci = &e->pci, .nic = &e->nic, .regs = e->s.reg, .card = e, .ops = &e1000e_tx_ops,
                                  .more = e->more, .ring = queue, .done = INT_TXDW | INT_TXQ0 << queue };
    }
    pci_add_express_endpoint(&e->pci);
    return pci_msi_init(&e->pci, 1, true, error) &&
           pci_msix_init(&e->pci, E1000E_VECTORS, 3, e->msix, MSIX_TABLE, MSIX_PBA, error) &&
           nic_attach(&e->nic, &e1000e_frontend, e, error) && pci_load_rom(&e->pci, error);
}

static void e1000e_unrealize(Device *dev)
{
    E1000e *e = (E1000e *)dev;

    nic_detach(&e->nic);
    timer_free(e->throttle);
    timer_free(e->more);
    region_free(e->mmio);
    region_free(e->flash);
    region_free(e->io);
    region_free(e->msix);
}

static void e1000e_save(Device *dev, GKeyFile *out)
{
    for (unsigned queue = 0; queue < E1000E_QUEUES; queue++) {
        e1000_tx_save(&((E1000e *)dev)->tx[queue], out);
    }
}

static bool e1000e_load(Device *dev, GKeyFile *in, GError **error)
{
    bool loaded = true;

    for (unsigned queue = 0; loaded && queue < E1000E_QUEUES; queue++) {
        loaded = e1000_tx_load(&((E1000e *)dev)->tx[queue], in, error);
    }
    return loaded;
}

static bool e1000e_loaded(Device *dev, GError **error)
{
    timer_set(((E1000e *)dev)->more, clock_now(CLOCK_GUEST));
    return true;
}

static const Prop e1000e_props[] = {
    PCI_PROPS(E1000e),
    NIC_PROPS(E1000e),
    { 0 },
};

const DeviceType e1000e_type = {
    .name = "e1000e",
    .about = "Intel 82574L Gigabit Ethernet",
    .bus = "pci",
    .user = true,
    .hotplug = true,
    .size = sizeof(E1000e),
    .state_at = offsetof(E1000e, s),
    .state = E1000eState_fields,
    .props = e1000e_props,
    .realize = e1000e_realize,
    .unrealize = e1000e_unrealize,
    .reset = e1000e_reset,
    .update = e1000e_update,
    .save_extra = e1000e_save,
    .load_extra = e1000e_load,
    .post_load = e1000e_loaded,
};
