/*
 * IDE interface of Apple's I/O chips: one channel with its registers 16 bytes apart, moved by descriptor-based DMA.
 *
 * The sources of Linux (pata_macio.c) tell of the registers.
 */
#include "hw/ide/macio_ide.h"

#include "hw/dma/dbdma.h"
#include "hw/ide/ide.h"

/* OpenBIOS has the control register behind the others, Linux at its own place. */
enum { REG_CONTROL_NEAR = 0x80, REG_CONTROL = 0x160, REG_TIMING = 0x200, REG_INTERRUPT = 0x300 };
#define INTERRUPT_DMA    0x80000000u
#define INTERRUPT_DEVICE 0x40000000u

#define MACIO_IDE_STATE(FIELD, ARRAY) FIELD(uint32_t, timing, 0)

DEFINE_STATE(MacioIdeState, MACIO_IDE_STATE);

typedef struct MacioIde {
    Device dev;
    MacioIdeState s;
    uint32_t index;
    IdeChannel *ch;
    Region *region;
    Line *irq, *dma_irq, *from_channel;
    Device *dbdma;
    int dma_channel;
} MacioIde;

static void irq_changed(void *opaque, int n, bool level)
{
    line_set(((MacioIde *)opaque)->irq, level);
}

/* ---- DMA ---- */

/* The channel tells by its descriptors when data may move, not by being asked. */
static void dma_request(void *opaque, bool active)
{
}

static int64_t dma_transfer(void *opaque, void *buf, uint64_t size, bool to_memory)
{
    MacioIde *ide = opaque;
    uint64_t moved = dbdma_move(ide->dbdma, ide->dma_channel, buf, size, to_memory);

    return moved ? (int64_t)moved : -1;
}

static const IdeDmaOps dma_ops = { .request = dma_request, .transfer = dma_transfer };

static void dma_ready(void *opaque, bool ready)
{
    MacioIde *ide = opaque;

    if (ready) {
        ide_channel_dma_start(ide->ch);
    } else {
        ide_channel_dma_stop(ide->ch);
    }
}

static const DbdmaOps channel_ops = { .ready = dma_ready };

/* ---- registers ---- */

static uint64_t macio_ide_read(void *opaque, PhysAddr offset, unsigned size)
{
    MacioIde *ide = opaque;

    if (offset < 0x80) {
        return offset & 15 ? 0xff : ide_channel_read(ide->ch, offset >> 4, offset ? 1 : size);
    }
    switch (offset) {
    case REG_CONTROL_NEAR:
    case REG_CONTROL:
        return ide_channel_read_control(ide->ch);
    case REG_TIMING:
        return ide->s.timing;
    case REG_INTERRUPT:
        return (line_level(ide->dma_irq) ? INTERRUPT_DMA : 0) | (line_level(ide->irq) ? INTERRUPT_DEVICE : 0);
    default:
        return 0;
    }
}

static void macio_ide_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    MacioIde *ide = opaque;

    if (offset < 0x80) {
        if (!(offset & 15)) {
            ide_channel_write(ide->ch, offset >> 4, offset ? value & 0xff : value, offset ? 1 : size);
        }
    } else if (offset == REG_CONTROL || offset == REG_CONTROL_NEAR) {
        ide_channel_write_control(ide->ch, value);
    } else if (offset == REG_TIMING && size == 4) { /* kept, without effect */
        ide->s.timing = value;
    }
}

static const RegionOps macio_ide_ops = { macio_ide_read, macio_ide_write, 1, 4, ENDIAN_LITTLE };

Region *macio_ide_region(Device *dev)
{
    return ((MacioIde *)dev)->region;
}

void macio_ide_connect(Device *dev, Line *irq, Device *dbdma, int channel, Line *dma_irq)
{
    MacioIde *ide = (MacioIde *)dev;

    ide->irq = irq;
    ide->dbdma = dbdma;
    ide->dma_channel = channel;
    ide->dma_irq = dma_irq;
    dbdma_connect(dbdma, channel, &channel_ops, ide, dma_irq);
}

static bool macio_ide_realize(Device *dev, GError **error)
{
    MacioIde *ide = (MacioIde *)dev;

    ide->from_channel = line_new(irq_changed, ide, 0);
    ide->ch = ide_channel_new(dev, ide->index, ide->from_channel, ide->dbdma ? &dma_ops : NULL, ide, error);
    ide->region = region_new_io("macio-ide", &macio_ide_ops, ide, MACIO_IDE_WINDOW);
    return ide->ch != NULL;
}

static void macio_ide_reset(Device *dev)
{
    ide_channel_reset(((MacioIde *)dev)->ch);
}

static char *channel_key(Device *dev)
{
    return g_strconcat(dev->id, ".channel", NULL);
}

static void macio_ide_save(Device *dev, GKeyFile *out)
{
    g_autofree char *id = channel_key(dev);

    ide_channel_save(((MacioIde *)dev)->ch, out, id);
}

static bool macio_ide_load(Device *dev, GKeyFile *in, GError **error)
{
    g_autofree char *id = channel_key(dev);

    return ide_channel_load(((MacioIde *)dev)->ch, in, id, error);
}

static const Prop macio_ide_props[] = {
    PROP(MacioIde, index, "index", PROP_U32, "0", "number of the channel: drives 2 * index and up"),
    { 0 },
};

const DeviceType macio_ide_type = {
    .name = "macio-ide",
    .about = "IDE interface of a macio",
    .bus = "system",
    .size = sizeof(MacioIde),
    .state_at = offsetof(MacioIde, s),
    .state = MacioIdeState_fields,
    .props = macio_ide_props,
    .realize = macio_ide_realize,
    .reset = macio_ide_reset,
    .save_extra = macio_ide_save,
    .load_extra = macio_ide_load,
};
