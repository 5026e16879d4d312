/*
 * PIIX3 IDE: two channels at the classic ports, with bus mastering.
 *
 * Intel 82371SB data sheet, "IDE interface"; Programming Interface for Bus Master IDE Controller 1.0.
 */
#include "hw/ide/ide.h"
#include "hw/isa/isa.h"
#include "hw/pci/pci.h"
#include "util/bits.h"
#include "util/log.h"

enum { BM_COMMAND, BM_STATUS = 2, BM_TABLE = 4 };
enum { CMD_START = 0x01, CMD_TO_MEMORY = 0x08 };
enum { STATUS_ACTIVE = 0x01, STATUS_ERROR = 0x02, STATUS_INTERRUPT = 0x04, STATUS_CAPABLE = 0x60 };

#define PIIX3_IDE_STATE(FIELD, ARRAY)         \
    ARRAY(uint8_t, command, 2, 0)             \
    ARRAY(uint8_t, status, 2, 0)              \
    ARRAY(uint32_t, table, 2, 0)

DEFINE_STATE(Piix3IdeState, PIIX3_IDE_STATE);

typedef struct Piix3Ide Piix3Ide;

typedef struct BusMaster {
    Piix3Ide *ide;
    int number;
    IdeChannel *ch;
    Line *irq_in; /* from the channel: sets the interrupt bit on its way to the ISA line */
    /* Where the walk through the descriptor table stands. */
    uint32_t next_entry, address, left;
    bool last;
} BusMaster;

struct Piix3Ide {
    PciDevice pci;
    Piix3IdeState s;
    BusMaster bm[2];
    Region *bar;
};

static void channel_irq(void *opaque, int n, bool level)
{
    Piix3Ide *ide = opaque;

    if (level) {
        ide->s.status[n] |= STATUS_INTERRUPT;
    }
    line_set(isa_irq(14 + n), level);
}

static void dma_request(void *opaque, bool active)
{
    BusMaster *bm = opaque;
    uint8_t *status = &bm->ide->s.status[bm->number];

    if (!active && (bm->last && !bm->left)) {
        *status &= ~STATUS_ACTIVE; /* stays set if the table was longer than the command */
    }
}

/* The next region of the descriptor table; false at its end. */
static bool next_region(BusMaster *bm)
{
    uint8_t entry[8];

    if (bm->last || !pci_dma_read(&bm->ide->pci, bm->next_entry, entry, sizeof(entry))) {
        return false;
    }
    bm->next_entry += sizeof(entry);
    bm->address = load_le32(entry) & ~1u;
    bm->left = load_le16(entry + 4) & 0xfffe;
    bm->left = bm->left ? bm->left : 0x10000;
    bm->last = entry[7] & 0x80;
    return true;
}

static int64_t dma_transfer(void *opaque, void *buf, uint64_t size, bool to_memory)
{
    BusMaster *bm = opaque;
    uint64_t moved = 0;

    while (moved < size) {
        uint32_t n;

        if (!bm->left && !next_region(bm)) {
            break;
        }
        n = MIN(bm->left, size - moved);
        if (to_memory) {
            pci_dma_write(&bm->ide->pci, bm->address, (uint8_t *)buf + moved, n);
        } else {
            pci_dma_read(&bm->ide->pci, bm->address, (uint8_t *)buf + moved, n);
        }
        bm->address += n;
        bm->left -= n;
        moved += n;
    }
    if (moved < size) {
        bm->ide->s.status[bm->number] &= ~STATUS_ACTIVE;
    }
    return moved ? (int64_t)moved : -1;
}

static const IdeDmaOps dma_ops = { .request = dma_request, .transfer = dma_transfer };

static uint64_t bm_read(void *opaque, PhysAddr offset, unsigned size)
{
    Piix3IdeState *s = &((Piix3Ide *)opaque)->s;
    int n = offset >> 3 & 1;

    switch (offset & 7) {
    case BM_COMMAND:
        return s->command[n];
    case BM_STATUS:
        return s->status[n];
    case BM_TABLE ... BM_TABLE + 3:
        return s->table[n] >> (offset & 3) * 8 & 0xff;
    default:
        return 0;
    }
}

static void write_bm_command(Piix3Ide *ide, int n, uint8_t value)
{
    BusMaster *bm = &ide->bm[n];
    uint8_t old = ide->s.command[n];

    ide->s.command[n] = value & (CMD_START | CMD_TO_MEMORY);
    if ((value & CMD_START) && !(old & CMD_START)) {
        bm->next_entry = ide->s.table[n];
        bm->left = 0;
        bm->last = false;
        ide->s.status[n] |= STATUS_ACTIVE;
        ide_channel_dma_start(bm->ch);
    } else if (!(value & CMD_START) && (old & CMD_START)) {
        ide->s.status[n] &= ~STATUS_ACTIVE;
        ide_channel_dma_stop(bm->ch);
    }
}

static void bm_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Piix3Ide *ide = opaque;
    Piix3IdeState *s = &ide->s;
    int n = offset >> 3 & 1;

    switch (offset & 7) {
    case BM_COMMAND:
        write_bm_command(ide, n, value);
        break;
    case BM_STATUS: /* error and interrupt clear on writing 1 */
        s->status[n] = (s->status[n] & STATUS_ACTIVE) | (value & STATUS_CAPABLE) |
                       (s->status[n] & ~value & (STATUS_ERROR | STATUS_INTERRUPT));
        break;
    case BM_TABLE ... BM_TABLE + 3:
        s->table[n] = bits_set(s->table[n], (offset & 3) * 8, 8, value) & ~3u;
        break;
    }
}

static const RegionOps bm_ops = { bm_read, bm_write, 1, 1, ENDIAN_LITTLE };

static bool piix3_ide_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x8086, .device = 0x7010, .class_rev = 0x010180 << 8,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
    };
    static const uint16_t command_ports[] = { 0x1f0, 0x170 }, control_ports[] = { 0x3f6, 0x376 };
    Piix3Ide *ide = (Piix3Ide *)dev;
    PciDevice *pci = &ide->pci;

    pci_device_init(pci, &info);
    pci->config[0x07] = 0x02;
    for (int i = 0x40; i <= 0x44; i++) { /* timings: kept, without effect */
        pci->writable[i] = 0xff;
    }
    for (int n = 0; n < 2; n++) {
        BusMaster *bm = &ide->bm[n];

        bm->ide = ide;
        bm->number = n;
        bm->irq_in = line_new(channel_irq, ide, n);
        bm->ch = ide_channel_new(dev, n, bm->irq_in, &dma_ops, bm, error);
        if (!bm->ch) {
            return false;
        }
        region_add(pci_bus_ports(pci->bus), command_ports[n], ide_channel_command(bm->ch));
        region_add(pci_bus_ports(pci->bus), control_ports[n], ide_channel_control(bm->ch));
    }
    ide->bar = region_new_io("bus-master-ide", &bm_ops, ide, 16);
    pci_register_bar(pci, 4, PCI_BAR_IO, ide->bar);
    return true;
}

static void piix3_ide_reset(Device *dev)
{
    Piix3Ide *ide = (Piix3Ide *)dev;

    for (int n = 0; n < 2; n++) {
        /* Both channels decode from the start: software older than PCI looks for them. */
        ide->pci.config[0x41 + 2 * n] = 0x80;
        ide_channel_reset(ide->bm[n].ch);
        for (int unit = 0; unit < 2; unit++) {
            ide->s.status[n] |= block_find_drive("ide", n, unit) ? 0x20 << unit : 0;
        }
    }
}

static void piix3_ide_save(Device *dev, GKeyFile *out)
{
    for (int n = 0; n < 2; n++) {
        g_autofree char *id = g_strdup_printf("%s.channel%d", dev->id, n);

        ide_channel_save(((Piix3Ide *)dev)->bm[n].ch, out, id);
    }
}

static bool piix3_ide_load(Device *dev, GKeyFile *in, GError **error)
{
    for (int n = 0; n < 2; n++) {
        g_autofree char *id = g_strdup_printf("%s.channel%d", dev->id, n);

        if (!ide_channel_load(((Piix3Ide *)dev)->bm[n].ch, in, id, error)) {
            return false;
        }
    }
    return true;
}

static const Prop piix3_ide_props[] = {
    PCI_PROPS(Piix3Ide),
    { 0 },
};

const DeviceType piix3_ide_type = {
    .name = "piix3-ide",
    .about = "PIIX3 IDE controller",
    .bus = "pci",
    .size = sizeof(Piix3Ide),
    .state_at = offsetof(Piix3Ide, s),
    .state = Piix3IdeState_fields,
    .props = piix3_ide_props,
    .realize = piix3_ide_realize,
    .reset = piix3_ide_reset,
    .save_extra = piix3_ide_save,
    .load_extra = piix3_ide_load,
};
