/*
 * Intel ICH9 SATA controller in AHCI mode: registers of the controller and of its six ports.
 *
 * Serial ATA AHCI 1.3.1, chapter 3; Intel I/O Controller Hub 9 data sheet, chapter 15.
 */
#include "hw/ide/ahci.h"
#include "hw/pci/msi.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

enum { REG_CAP = 0x00, REG_GHC = 0x04, REG_IS = 0x08, REG_PI = 0x0c, REG_VS = 0x10, REG_CAP2 = 0x24 };
enum {
    PORT_CLB = 0x00, PORT_CLBU = 0x04, PORT_FB = 0x08, PORT_FBU = 0x0c, PORT_IS = 0x10, PORT_IE = 0x14, PORT_CMD = 0x18,
    PORT_TFD = 0x20, PORT_SIG = 0x24, PORT_SSTS = 0x28, PORT_SCTL = 0x2c, PORT_SERR = 0x30, PORT_SACT = 0x34,
    PORT_CI = 0x38,
};
enum { GHC_HR = 1, GHC_IE = 2, GHC_AE = 1u << 31 };
enum { SERR_EXCHANGED = 1 << 26, SERR_PHY = 1 << 16 };
#define PORTS_AT  0x100
#define PORT_SIZE 0x80

static const StateField *AhciState_fields(size_t *count)
{
    typedef AhciState Owner;
    static const StateField rows[] = { AHCI_STATE(STATE_ROW, STATE_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

/* ---- interrupts ---- */

void ahci_update(Ahci *a)
{
    bool level;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        if (a->s.port_is[n] & a->s.port_ie[n]) {
            a->s.is |= 1u << n;
        }
    }
    level = (a->s.ghc & GHC_IE) && a->s.is;
    if (pci_msi_enabled(&a->pci)) {
        if (level && !a->level) {
            pci_msi_notify(&a->pci, 0);
        }
    } else {
        pci_set_intx(&a->pci, level);
    }
    a->level = level;
}

void ahci_raise(AhciPort *p, uint32_t bits)
{
    Ahci *a = p->ahci;
    bool news = bits & a->s.port_ie[p->number] & ~a->s.port_is[p->number];

    a->s.port_is[p->number] |= bits;
    if (news && pci_msi_enabled(&a->pci)) {
        a->level = false; /* each new cause is a message */
    }
    ahci_update(a);
}

/* ---- resets ---- */

static void reset_port(AhciPort *p)
{
    AhciState *s = &p->ahci->s;
    unsigned n = p->number;

    ahci_stop_port(p);
    s->port_is[n] = s->port_ie[n] = 0;
    s->cmd[n] = CMD_SUD | CMD_POD;
    s->sctl[n] = s->sact[n] = s->ci[n] = s->serr[n] = 0;
    s->failed[n] = false;
    ahci_reset_drive(p);
    if (p->ch->drive[0]) {
        s->serr[n] = SERR_EXCHANGED | SERR_PHY;
    }
}

static void finish_reset(Ahci *a)
{
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        if (a->port[n].in_flight) {
            return; /* GHC.HR stays until memory is left alone */
        }
    }
    a->s.ghc = GHC_AE;
    a->s.is = 0;
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        a->port[n].resetting = false;
        reset_port(&a->port[n]);
    }
    ahci_update(a);
}

static void begin_reset(Ahci *a)
{
    a->s.ghc |= GHC_HR;
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        a->port[n].resetting = true;
        ahci_stop_port(&a->port[n]);
    }
    finish_reset(a);
}

void ahci_port_quiet(AhciPort *p)
{
    if (p->resetting && (p->ahci->s.ghc & GHC_HR)) {
        finish_reset(p->ahci);
    }
}

/* ---- registers of a port ---- */

static uint32_t port_ssts(const AhciPort *p)
{
    unsigned detection = p->ahci->s.sctl[p->number] & 15;

    if (!p->ch->drive[0] || detection == 4) {
        return 0;
    }
    return detection == 1 ? 1 : 0x113; /* present, first generation, active */
}

static uint32_t read_port(const AhciPort *p, unsigned offset)
{
    const AhciState *s = &p->ahci->s;
    unsigned n = p->number;

    switch (offset) {
    case PORT_CLB:
        return s->list[n];
    case PORT_CLBU:
        return s->list[n] >> 32;
    case PORT_FB:
        return s->received[n];
    case PORT_FBU:
        return s->received[n] >> 32;
    case PORT_IS:
        /* Some causes are what other registers say. */
        return s->port_is[n] | (s->serr[n] & SERR_EXCHANGED ? IS_PC : 0) | (s->serr[n] & SERR_PHY ? IS_PRC : 0);
    case PORT_IE:
        return s->port_ie[n];
    case PORT_CMD: {
        uint32_t cmd = s->cmd[n];

        cmd |= cmd & CMD_FRE ? CMD_FR : 0;
        cmd |= (cmd & CMD_ST) || p->in_flight ? CMD_CR : 0;
        return cmd | (p->slot > 0 ? p->slot << 8 : 0);
    }
    case PORT_TFD:
        return s->tfd[n];
    case PORT_SIG:
        return s->sig[n];
    case PORT_SSTS:
        return port_ssts(p);
    case PORT_SCTL:
        return s->sctl[n];
    case PORT_SERR:
        return s->serr[n];
    case PORT_SACT:
        return s->sact[n];
    case PORT_CI:
        return s->ci[n];
    default:
        return 0;
    }
}

static void write_cmd(AhciPort *p, uint32_t value)
{
    AhciState *s = &p->ahci->s;
    unsigned n = p->number;
    uint32_t old = s->cmd[n], writable = CMD_ST | CMD_FRE | CMD_SUD | CMD_POD | CMD_ATAPI | 1 << 25;

    s->cmd[n] = (old & ~writable) | (value & writable); /* CLO and ICC are done at once */
    if (value & CMD_CLO) {
        s->tfd[n] &= ~(uint32_t)(ATA_BSY | ATA_DRQ);
    }
    if ((old & CMD_ST) && !(value & CMD_ST)) {
        ahci_stop_port(p);
        s->ci[n] = s->sact[n] = 0;
        s->failed[n] = false;
    } else if (!(old & CMD_ST) && (value & CMD_ST)) {
        ahci_run_port(p);
    }
}

static void write_sctl(AhciPort *p, uint32_t value)
{
    AhciState *s = &p->ahci->s;
    unsigned n = p->number, old = s->sctl[n] & 15;

    s->sctl[n] = value & 0xfff;
    if ((value & 15) == 1 && old != 1) {
        ahci_stop_port(p);
        s->sact[n] = s->ci[n] = 0;
        s->tfd[n] = 0x7f;
    } else if ((value & 15) == 0 && old == 1) {
        ahci_reset_drive(p);
        s->serr[n] |= p->ch->drive[0] ? SERR_EXCHANGED | SERR_PHY : 0;
    }
}

static void write_port(AhciPort *p, unsigned offset, uint32_t value)
{
    AhciState *s = &p->ahci->s;
    unsigned n = p->number;

    switch (offset) {
    case PORT_CLB:
        s->list[n] = bits_set(s->list[n], 0, 32, value & ~1023u);
        break;
    case PORT_CLBU:
        s->list[n] = bits_set(s->list[n], 32, 32, value);
        break;
    case PORT_FB:
        s->received[n] = bits_set(s->received[n], 0, 32, value & ~255u);
        break;
    case PORT_FBU:
        s->received[n] = bits_set(s->received[n], 32, 32, value);
        break;
    case PORT_IS:
        s->port_is[n] &= ~value;
        break;
    case PORT_IE:
        s->port_ie[n] = value & 0xfdc000ff;
        break;
    case PORT_CMD:
        write_cmd(p, value);
        break;
    case PORT_SCTL:
        write_sctl(p, value);
        break;
    case PORT_SERR:
        s->serr[n] &= ~value;
        break;
    case PORT_SACT:
        if (s->cmd[n] & CMD_ST) {
            s->sact[n] |= value;
        }
        break;
    case PORT_CI:
        if (s->cmd[n] & CMD_ST) {
            s->ci[n] |= value;
            ahci_run_port(p);
        }
        break;
    }
}

/* ---- registers of the controller ---- */

static uint32_t capabilities(void)
{
    /* 64-bit addresses, queues, port multipliers not, AHCI only, third generation, 32 slots. */
    return 1u << 31 | 1 << 30 | 1 << 24 | 1 << 18 | 3 << 20 | (AHCI_SLOTS - 1) << 8 | (AHCI_PORTS - 1);
}

static uint64_t ahci_read(void *opaque, PhysAddr offset, unsigned size)
{
    Ahci *a = opaque;

    if (offset >= PORTS_AT) {
        unsigned n = (offset - PORTS_AT) / PORT_SIZE;

        return n < AHCI_PORTS ? read_port(&a->port[n], offset % PORT_SIZE) : 0;
    }
    switch (offset) {
    case REG_CAP:
        return capabilities();
    case REG_GHC:
        return a->s.ghc;
    case REG_IS:
        return a->s.is;
    case REG_PI:
        return (1 << AHCI_PORTS) - 1;
    case REG_VS:
        return 0x00010200;
    default:
        return 0;
    }
}

static void ahci_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Ahci *a = opaque;

    if (offset >= PORTS_AT) {
        unsigned n = (offset - PORTS_AT) / PORT_SIZE;

        if (n < AHCI_PORTS) {
            write_port(&a->port[n], offset % PORT_SIZE, value);
        }
    } else if (offset == REG_GHC) {
        a->s.ghc = (value & GHC_IE) | GHC_AE | (a->s.ghc & GHC_HR);
        if (value & GHC_HR) {
            begin_reset(a);
        }
    } else if (offset == REG_IS) {
        a->s.is &= ~(uint32_t)value;
        a->level = false; /* what still holds is news again */
    }
    ahci_update(a);
}

static const RegionOps ahci_ops = { ahci_read, ahci_write, 4, 4, ENDIAN_LITTLE };

/* BAR 4: an index and a data register that show the memory registers. */
static uint64_t index_read(void *opaque, PhysAddr offset, unsigned size)
{
    Ahci *a = opaque;

    return offset == 0x10 ? a->index : offset == 0x14 ? ahci_read(a, a->index, 4) : 0;
}

static void index_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Ahci *a = opaque;

    if (offset == 0x10) {
        a->index = value & 0xffc;
    } else if (offset == 0x14) {
        ahci_write(a, a->index, value, 4);
    }
}

static const RegionOps index_ops = { index_read, index_write, 4, 4, ENDIAN_LITTLE };

/* ---- life ---- */

static void ahci_reset(Device *dev)
{
    Ahci *a = (Ahci *)dev;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        ahci_stop_port(&a->port[n]);
        if (a->port[n].ch->drive[0]) {
            block_drain(a->port[n].ch->drive[0]->blk);
        }
        a->port[n].resetting = false;
        a->port[n].stepping = false;
        reset_port(&a->port[n]);
    }
    a->s.ghc = GHC_AE;
    a->level = false;
}

static void ahci_update_device(Device *dev)
{
    ahci_update((Ahci *)dev);
}

static char *port_name(const Ahci *a, unsigned n)
{
    const Device *dev = &a->pci.dev;
    size_t length = strlen(dev->type->name);
    bool made_up = strncmp(dev->id, dev->type->name, length) == 0 && dev->id[length] == '.';
    static unsigned next;

    if (!made_up && !a->builtin) {
        return g_strdup_printf("%s.%u", dev->id, n);
    }
    /* The board's own are ide.0 and on; further ones go on behind any other IDE bus. */
    for (;;) {
        char *name = g_strdup_printf("ide.%u", next++);

        if (!bus_find(name)) {
            return name;
        }
        g_free(name);
    }
}

static bool ahci_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x8086, .device = 0x2922, .class_rev = 0x010601 << 8 | 0x02,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .interrupt_pin = 1,
    };
    Ahci *a = (Ahci *)dev;

    pci_device_init(&a->pci, &info);
    a->bar = region_new_io("ahci", &ahci_ops, a, 0x1000);
    a->index_bar = region_new_io("ahci-index", &index_ops, a, 0x20);
    pci_register_bar(&a->pci, 4, PCI_BAR_IO, a->index_bar);
    pci_register_bar(&a->pci, 5, PCI_BAR_MEM32, a->bar);
    a->pci.config[0x90] = 0x40; /* map: AHCI */
    if (!pci_msi_init(&a->pci, 1, true, error)) {
        return false;
    }
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        AhciPort *p = &a->port[n];
        g_autofree char *name = port_name(a, n);
        BlockBackend *blk = a->builtin ? block_find_drive("ide", n, 0) : NULL;

        p->ahci = a;
        p->number = n;
        p->slot = -1;
        p->ch = ide_port_new(dev, name, &ahci_dma_ops, p);
        p->ch->number = n;
        for (unsigned slot = 0; slot < AHCI_SLOTS; slot++) {
            p->queue[slot].port = p;
            p->queue[slot].slot = slot;
        }
        if (blk && !ide_port_add_drive(p->ch, blk, error)) {
            return false;
        }
    }
    return true;
}

static void ahci_unrealize(Device *dev)
{
    Ahci *a = (Ahci *)dev;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        AhciPort *p = &a->port[n];

        ahci_stop_port(p);
        a->s.cmd[n] = 0; /* what waits for the end of others does not begin any more */
        if (p->ch->drive[0]) {
            block_drain(p->ch->drive[0]->blk);
        }
        for (unsigned slot = 0; slot < AHCI_SLOTS; slot++) {
            dma_list_free(&p->queue[slot].list);
        }
        dma_list_free(&p->list);
        ide_port_free(p->ch);
    }
}

static void ahci_save(Device *dev, GKeyFile *out)
{
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        g_autofree char *id = g_strdup_printf("%s.port%u", dev->id, n);

        ide_channel_save(((Ahci *)dev)->port[n].ch, out, id);
    }
}

/* Commands that the drive had are given to it again: they are still in the list. */
static bool ahci_load(Device *dev, GKeyFile *in, GError **error)
{
    Ahci *a = (Ahci *)dev;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        AhciPort *p = &a->port[n];
        uint32_t queued = a->s.queued[n];
        g_autofree char *id = g_strdup_printf("%s.port%u", dev->id, n);

        ahci_stop_port(p);
        if (!ide_channel_load(p->ch, in, id, error)) {
            return false;
        }
        a->s.ci[n] |= queued;
        p->resetting = false;
    }
    a->level = (a->s.ghc & GHC_IE) && a->s.is;
    a->s.ghc &= ~GHC_HR;
    return true;
}

static bool ahci_loaded(Device *dev, GError **error)
{
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        ahci_run_port(&((Ahci *)dev)->port[n]);
    }
    return true;
}

static const Prop ahci_props[] = {
    PCI_PROPS(Ahci),
    PROP(Ahci, builtin, "builtin", PROP_BOOL, "off", "takes the drives of -drive if=ide, one per port"),
    { 0 },
};

const DeviceType ich9_ahci_type = {
    .name = "ich9-ahci",
    .alias = "ahci",
    .about = "Intel ICH9 SATA controller (AHCI)",
    .bus = "pci",
    .user = true,
    .hotplug = true,
    .size = sizeof(Ahci),
    .state_at = offsetof(Ahci, s),
    .state = AhciState_fields,
    .props = ahci_props,
    .realize = ahci_realize,
    .unrealize = ahci_unrealize,
    .reset = ahci_reset,
    .post_load = ahci_loaded,
    .update = ahci_update_device,
    .save_extra = ahci_save,
    .load_extra = ahci_load,
};
