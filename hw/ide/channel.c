/*
 * An IDE channel: task file registers shared by two drives, interrupts, data port, resets.
 *
 * AT Attachment with Packet Interface (ATA/ATAPI-6), chapters 7 to 9.
 */
#include "hw/ide/internal.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

enum { REG_DATA, REG_ERROR, REG_COUNT, REG_LBA0, REG_LBA1, REG_LBA2, REG_SELECT, REG_STATUS };

IdeDrive *ide_selected(IdeChannel *ch)
{
    return ch->drive[ch->r.select & SELECT_SLAVE ? 1 : 0];
}

/* For controllers that move the buffer by themselves. */
static void tell_phase(IdeChannel *ch)
{
    if (ch->dma && ch->dma->phase_changed) {
        ch->dma->phase_changed(ch->dma_opaque);
    }
}

void ide_raise(IdeChannel *ch)
{
    ch->r.irq = 1;
    line_set(ch->irq_line, !(ch->r.control & CTRL_NIEN));
    tell_phase(ch);
}

void ide_lower(IdeChannel *ch)
{
    ch->r.irq = 0;
    line_set(ch->irq_line, false);
}

void ide_end_quietly(IdeDrive *d)
{
    d->ch->phase = PHASE_IDLE;
    d->s.status = ATA_DRDY | ATA_DSC;
    tell_phase(d->ch);
}

void ide_done(IdeDrive *d)
{
    d->ch->phase = PHASE_IDLE;
    d->s.status = ATA_DRDY | ATA_DSC;
    ide_raise(d->ch);
}

void ide_fail(IdeDrive *d, uint8_t error_bits)
{
    IdeChannel *ch = d->ch;

    ch->phase = PHASE_IDLE;
    d->s.status = ATA_DRDY | ATA_DSC | ATA_ERR;
    d->s.error = error_bits;
    if (ch->is_dma && ch->dma) {
        ch->dma->request(ch->dma_opaque, false);
    }
    ide_raise(ch);
}

void ide_abort(IdeDrive *d)
{
    ide_fail(d, ATA_ABORTED);
}

void ide_data_in(IdeDrive *d, uint32_t size, IdeNext *next)
{
    IdeChannel *ch = d->ch;

    ch->at = 0;
    ch->length = size;
    ch->next = next;
    ch->phase = PHASE_DATA_IN;
    d->s.status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    ide_raise(ch);
}

void ide_data_out(IdeDrive *d, uint32_t size, IdeNext *next)
{
    IdeChannel *ch = d->ch;

    ch->at = 0;
    ch->length = size;
    ch->next = next;
    ch->phase = PHASE_DATA_OUT;
    d->s.status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    tell_phase(ch);
}

void ide_want_packet(IdeDrive *d, IdeNext *next)
{
    IdeChannel *ch = d->ch;

    ch->at = 0;
    ch->length = sizeof(d->cdb);
    ch->next = next;
    ch->phase = PHASE_PACKET;
    ch->r.count = REASON_COMMAND;
    d->s.status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    tell_phase(ch);
}

void ide_buffer_moved(IdeDrive *d)
{
    IdeChannel *ch = d->ch;

    ch->phase = PHASE_BUSY;
    d->s.status = ATA_DRDY | ATA_DSC | ATA_BSY;
    ch->next(d);
}

/* ---- the block layer ---- */

typedef struct Pending {
    IdeDrive *d;
    uint32_t generation;
    void (*answer)(IdeDrive *d, int error);
    struct iovec iov;
    void *buffer; /* its own: a reset channel may use its buffer for something else meanwhile */
    bool is_read;
} Pending;

static void block_done(void *opaque, int error)
{
    Pending *p = opaque;
    IdeChannel *ch = p->d->ch;

    if (p->generation == ch->generation) {
        if (p->is_read && !error) {
            memcpy(ch->buffer, p->buffer, p->iov.iov_len);
        }
        p->answer(p->d, error);
    }
    g_free(p->buffer);
    g_free(p);
}

static Pending *pending_new(IdeDrive *d, uint32_t size, void (*answer)(IdeDrive *, int))
{
    Pending *p = g_new0(Pending, 1);

    p->d = d;
    p->generation = d->ch->generation;
    p->answer = answer;
    p->buffer = size ? g_malloc(size) : NULL;
    p->iov = (struct iovec){ p->buffer, size };
    d->ch->phase = PHASE_BUSY;
    d->s.status = ATA_DRDY | ATA_DSC | ATA_BSY;
    return p;
}

void ide_read_sectors(IdeDrive *d, uint64_t offset, uint32_t size, void (*answer)(IdeDrive *, int))
{
    Pending *p = pending_new(d, size, answer);

    p->is_read = true;
    block_read(d->blk, offset, &p->iov, 1, block_done, p);
}

void ide_write_sectors(IdeDrive *d, uint64_t offset, uint32_t size, void (*answer)(IdeDrive *, int))
{
    Pending *p = pending_new(d, size, answer);

    memcpy(p->buffer, d->ch->buffer, size);
    block_write(d->blk, offset, &p->iov, 1, d->ch->fua ? BLOCK_FUA : 0, block_done, p);
}

void ide_discard(IdeDrive *d, uint64_t offset, uint64_t size, void (*answer)(IdeDrive *, int))
{
    block_discard(d->blk, offset, size, block_done, pending_new(d, 0, answer));
}

void ide_flush(IdeDrive *d, void (*answer)(IdeDrive *, int))
{
    block_flush(d->blk, block_done, pending_new(d, 0, answer));
}

/* ---- DMA ---- */

void ide_dma_begin(IdeDrive *d, IdeNext *step)
{
    IdeChannel *ch = d->ch;

    ch->dma_step = step;
    ch->phase = PHASE_DMA;
    d->s.status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    ch->dma->request(ch->dma_opaque, true);
    if (ch->dma_ready) {
        ide_channel_dma_start(ch);
    }
}

void ide_channel_dma_start(IdeChannel *ch)
{
    IdeDrive *d = ide_selected(ch);

    ch->dma_ready = true;
    if (ch->phase == PHASE_DMA && d) {
        ch->dma_step(d);
    }
}

/* Software stopped the bus master: what is under way ends as if the drive had been told so. */
void ide_channel_dma_stop(IdeChannel *ch)
{
    ch->dma_ready = false;
}

/* ---- resets ---- */

static void reset_transfer(IdeChannel *ch)
{
    ch->generation++;
    ch->phase = PHASE_IDLE;
    ch->is_dma = false;
    ch->dma_ready = false;
}

static void reset_drives(IdeChannel *ch)
{
    reset_transfer(ch);
    for (int i = 0; i < 2; i++) {
        IdeDrive *d = ch->drive[i];

        if (d) {
            d->s.status = d->is_cd ? 0 : ATA_DRDY | ATA_DSC;
            d->s.error = 0x01; /* diagnostics passed */
            d->s.multiple = d->is_cd ? 0 : 16;
        }
    }
    ch->r.select = 0xa0;
    ch->r.fresh = true;
    if (ide_selected(ch)) {
        ata_signature(ide_selected(ch));
    }
    ide_lower(ch);
}

void ide_channel_reset(IdeChannel *ch)
{
    memset(&ch->r, 0, sizeof(ch->r));
    ch->r.select = 0xa0;
    ch->r.count = ch->r.lba0 = 1;
    reset_drives(ch);
}

/* ---- registers ---- */

static uint32_t data_port(IdeChannel *ch, bool is_write, uint32_t value, unsigned size)
{
    IdeDrive *d = ide_selected(ch);
    Phase wanted = is_write ? PHASE_DATA_OUT : PHASE_DATA_IN;
    uint32_t result = 0;

    if (!d || (ch->phase != wanted && !(is_write && ch->phase == PHASE_PACKET))) {
        return UINT32_MAX;
    }
    size = MIN(size, ch->length - ch->at);
    if (is_write) {
        memcpy(ch->buffer + ch->at, &value, size);
    } else {
        memcpy(&result, ch->buffer + ch->at, size);
    }
    ch->at += size;
    if (ch->at == ch->length) {
        ide_buffer_moved(d);
    }
    return result;
}

static uint8_t status(IdeChannel *ch)
{
    IdeDrive *d = ide_selected(ch);

    /* With no drive at all the bus floats low; an absent slave is answered for by the master. */
    return d ? d->s.status : 0;
}

static uint64_t command_read(void *opaque, PhysAddr offset, unsigned size)
{
    IdeChannel *ch = opaque;
    const IdeRegs *r = &ch->r;
    IdeDrive *d = ide_selected(ch);
    bool hob = r->control & CTRL_HOB;

    if (offset == REG_DATA) {
        return data_port(ch, false, 0, size);
    }
    if (!ch->drive[0] && !ch->drive[1]) {
        return offset == REG_STATUS ? 0 : 0xff;
    }
    switch (offset) {
    case REG_ERROR:
        return hob ? r->hob_feature : d ? d->s.error : 0;
    case REG_COUNT:
        return hob ? r->hob_count : r->count;
    case REG_LBA0:
        return hob ? r->hob_lba0 : r->lba0;
    case REG_LBA1:
        return hob ? r->hob_lba1 : r->lba1;
    case REG_LBA2:
        return hob ? r->hob_lba2 : r->lba2;
    case REG_SELECT:
        return r->select | 0xa0;
    default: /* reading the status register acknowledges the interrupt */
        ide_lower(ch);
        return status(ch);
    }
}

void ide_execute(IdeChannel *ch, uint8_t command)
{
    IdeDrive *d = ide_selected(ch);

    if (command == 0x90) { /* EXECUTE DEVICE DIAGNOSTIC is for both */
        reset_drives(ch);
        ch->drive[0] ? ide_raise(ch) : (void)0;
        return;
    }
    if (!d || ((d->s.status & (ATA_BSY | ATA_DRQ)) && command != 0x08)) {
        return;
    }
    ide_lower(ch);
    trace("ide_command", "%s: %02x", d->dev.id, command);
    ch->r.command = command;
    ch->r.fresh = false;
    ch->is_dma = false;
    ata_command(d, command);
}

static void command_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    IdeChannel *ch = opaque;
    IdeRegs *r = &ch->r;

    if (offset != REG_DATA) {
        r->control &= ~CTRL_HOB;
    }
    switch (offset) {
    case REG_DATA:
        data_port(ch, true, value, size);
        break;
    case REG_ERROR:
        r->hob_feature = r->feature;
        r->feature = value;
        break;
    case REG_COUNT:
        r->hob_count = r->count;
        r->count = value;
        break;
    case REG_LBA0:
        r->hob_lba0 = r->lba0;
        r->lba0 = value;
        break;
    case REG_LBA1:
        r->hob_lba1 = r->lba1;
        r->lba1 = value;
        break;
    case REG_LBA2:
        r->hob_lba2 = r->lba2;
        r->lba2 = value;
        break;
    case REG_SELECT:
        r->select = value | 0xa0;
        if (r->fresh && ide_selected(ch)) {
            ata_signature(ide_selected(ch));
        }
        return;
    default:
        ide_execute(ch, value);
        return;
    }
    r->fresh = false;
}

static uint64_t control_read(void *opaque, PhysAddr offset, unsigned size)
{
    IdeChannel *ch = opaque;

    return ch->drive[0] || ch->drive[1] ? status(ch) : 0;
}

static void control_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    IdeChannel *ch = opaque;
    uint8_t old = ch->r.control;

    ch->r.control = value;
    if ((value & CTRL_SRST) && !(old & CTRL_SRST)) {
        reset_transfer(ch);
        for (int i = 0; i < 2; i++) {
            if (ch->drive[i]) {
                ch->drive[i]->s.status = ATA_BSY | ATA_DSC;
            }
        }
    } else if (!(value & CTRL_SRST) && (old & CTRL_SRST)) {
        reset_drives(ch);
    }
    line_set(ch->irq_line, ch->r.irq && !(value & CTRL_NIEN));
}

static const RegionOps command_ops = { command_read, command_write, 1, 4, ENDIAN_LITTLE };
static const RegionOps control_ops = { control_read, control_write, 1, 1, ENDIAN_LITTLE };

uint32_t ide_channel_read(IdeChannel *ch, unsigned reg, unsigned size)
{
    return command_read(ch, reg, size);
}

void ide_channel_write(IdeChannel *ch, unsigned reg, uint32_t value, unsigned size)
{
    command_write(ch, reg, value, size);
}

uint8_t ide_channel_read_control(IdeChannel *ch)
{
    return control_read(ch, 0, 1);
}

void ide_channel_write_control(IdeChannel *ch, uint8_t value)
{
    control_write(ch, 0, value, 1);
}

/* ---- the bus ---- */

static bool channel_attach(Bus *bus, Device *dev, GError **error)
{
    IdeChannel *ch = (IdeChannel *)bus;
    IdeDrive *d = (IdeDrive *)dev;

    if (d->unit < 0) {
        d->unit = ch->drive[0] ? 1 : 0;
    }
    if (d->unit >= (ch->sata ? 1 : 2) || ch->drive[d->unit]) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "no free place for '%s' on bus '%s'", dev->id,
                    bus->name);
        return false;
    }
    d->ch = ch;
    ch->drive[d->unit] = d;
    return true;
}

static void channel_detach(Bus *bus, Device *dev)
{
    IdeChannel *ch = (IdeChannel *)bus;

    if (ch->drive[((IdeDrive *)dev)->unit & 1] == (IdeDrive *)dev) {
        ch->drive[((IdeDrive *)dev)->unit & 1] = NULL;
    }
}

static bool add_drive(IdeChannel *ch, int unit, BlockBackend *blk, GError **error)
{
    const DeviceType *type = device_type_find(block_is_cdrom(blk) ? "ide-cd" : "ide-hd");
    Device *dev = device_new(type, NULL);

    ((IdeDrive *)dev)->unit = unit;
    device_set_pointer(dev, "drive", blk);
    return device_realize(dev, &ch->bus, error);
}

static IdeChannel *create(Device *owner, const char *name, const IdeDmaOps *dma, void *dma_opaque)
{
    IdeChannel *ch = g_new0(IdeChannel, 1);

    bus_init(&ch->bus, "ide", name, owner);
    ch->bus.attach = channel_attach;
    ch->bus.detach = channel_detach;
    ch->dma = dma;
    ch->dma_opaque = dma_opaque;
    ch->buffer = g_malloc0(IDE_BUFFER);
    return ch;
}

IdeChannel *ide_channel_new(Device *owner, int number, Line *irq, const IdeDmaOps *dma,
                            void *dma_opaque, GError **error)
{
    g_autofree char *name = g_strdup_printf("ide.%d", number);
    IdeChannel *ch = create(owner, name, dma, dma_opaque);

    ch->number = number;
    ch->irq_line = irq;
    ch->command = region_new_io("ide-command", &command_ops, ch, 8);
    ch->control = region_new_io("ide-control", &control_ops, ch, 1);
    for (int unit = 0; unit < 2; unit++) {
        BlockBackend *blk = block_find_drive("ide", number, unit);

        if (blk && !add_drive(ch, unit, blk, error)) {
            return NULL;
        }
    }
    ide_channel_reset(ch);
    return ch;
}

IdeChannel *ide_port_new(Device *owner, const char *name, const IdeDmaOps *dma, void *dma_opaque)
{
    IdeChannel *ch = create(owner, name, dma, dma_opaque);

    ch->sata = true;
    ide_channel_reset(ch);
    return ch;
}

bool ide_port_add_drive(IdeChannel *ch, BlockBackend *blk, GError **error)
{
    return add_drive(ch, 0, blk, error);
}

void ide_port_free(IdeChannel *ch)
{
    bus_clear(&ch->bus);
    g_free(ch->buffer);
    g_free(ch);
}

int ide_bus_number(const Bus *bus)
{
    return ((const IdeChannel *)bus)->number;
}

Bus *ide_channel_bus(IdeChannel *ch)
{
    return &ch->bus;
}

Region *ide_channel_command(IdeChannel *ch)
{
    return ch->command;
}

Region *ide_channel_control(IdeChannel *ch)
{
    return ch->control;
}

static const StateField *regs_fields(size_t *count)
{
    typedef IdeRegs Owner;
    static const StateField rows[] = { IDE_CHANNEL_STATE(STATE_ROW, STATE_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

void ide_channel_save(IdeChannel *ch, GKeyFile *out, const char *id)
{
    state_save(regs_fields, &ch->r, out, id);
}

/* A command that was under way is given up, as after a reset; its driver tries again. */
bool ide_channel_load(IdeChannel *ch, GKeyFile *in, const char *id, GError **error)
{
    reset_transfer(ch);
    return state_load(regs_fields, &ch->r, in, id, error);
}
