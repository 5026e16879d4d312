/*
 * AHCI: commands fetched from memory, their FIS and data, the queue of a drive.
 *
 * Serial ATA AHCI 1.3.1, chapters 4 and 5; Serial ATA 2.6, chapter 10 for the FIS.
 */
#include "hw/ide/ahci.h"
#include "util/bits.h"
#include "util/log.h"

#include <errno.h>
#include <string.h>

enum { FIS_H2D = 0x27, FIS_D2H = 0x34, FIS_PIO_SETUP = 0x5f, FIS_DEVICE_BITS = 0xa1 };
enum { RECEIVED_PIO = 0x20, RECEIVED_D2H = 0x40, RECEIVED_BITS = 0x58 };
enum { HEADER_ATAPI = 1 << 5, HEADER_WRITE = 1 << 6, HEADER_CLEAR_BUSY = 1 << 10 };
enum { OP_READ_QUEUED = 0x60, OP_WRITE_QUEUED = 0x61 };
#define TABLE_ATAPI 0x40
#define TABLE_PRDT  0x80

static AhciState *state(AhciPort *p)
{
    return &p->ahci->s;
}

static IdeDrive *drive(AhciPort *p)
{
    return p->ch->drive[0];
}

/* ---- what the drive sends ---- */

static void set_tfd(AhciPort *p, uint8_t status, uint8_t error)
{
    state(p)->tfd[p->number] = error << 8 | status;
}

static void store_fis(AhciPort *p, unsigned at, const uint8_t *fis, unsigned size)
{
    if (state(p)->cmd[p->number] & CMD_FRE) {
        pci_dma_write(&p->ahci->pci, state(p)->received[p->number] + at, fis, size);
    }
}

static void put_registers(AhciPort *p, uint8_t *fis)
{
    const IdeRegs *r = &p->ch->r;
    const IdeDrive *d = drive(p);

    fis[2] = d ? d->s.status : 0x7f;
    fis[3] = d ? d->s.error : 0;
    fis[4] = r->lba0;
    fis[5] = r->lba1;
    fis[6] = r->lba2;
    fis[7] = r->select;
    fis[8] = r->hob_lba0;
    fis[9] = r->hob_lba1;
    fis[10] = r->hob_lba2;
    fis[12] = r->count;
    fis[13] = r->hob_count;
}

static void send_d2h(AhciPort *p, bool interrupt)
{
    uint8_t fis[20] = { FIS_D2H, interrupt ? 0x40 : 0 };

    put_registers(p, fis);
    set_tfd(p, fis[2], fis[3]);
    store_fis(p, RECEIVED_D2H, fis, sizeof(fis));
    if (fis[2] & ATA_ERR) {
        state(p)->failed[p->number] = true;
        ahci_raise(p, IS_TFE | IS_DHR);
    } else if (interrupt) {
        ahci_raise(p, IS_DHR);
    }
}

static void send_pio_setup(AhciPort *p, uint32_t size, bool to_host)
{
    uint8_t fis[20] = { FIS_PIO_SETUP, (to_host ? 0x20 : 0) | 0x40 };

    put_registers(p, fis);
    fis[15] = fis[2]; /* status at the end: what follows will say */
    store_le16(fis + 16, size);
    store_fis(p, RECEIVED_PIO, fis, sizeof(fis));
    ahci_raise(p, IS_PS);
}

static void send_device_bits(AhciPort *p, uint32_t done, uint8_t status, uint8_t error)
{
    uint8_t fis[8] = { FIS_DEVICE_BITS, 0x40, status & 0x77, error };

    store_le32(fis + 4, done);
    state(p)->sact[p->number] &= ~done;
    set_tfd(p, status, error);
    store_fis(p, RECEIVED_BITS, fis, sizeof(fis));
    if (status & ATA_ERR) {
        state(p)->failed[p->number] = true;
        ahci_raise(p, IS_TFE | IS_SDB);
    } else {
        ahci_raise(p, IS_SDB);
    }
}

void ahci_reset_drive(AhciPort *p)
{
    IdeDrive *d = drive(p);

    ide_channel_reset(p->ch);
    if (!d) {
        state(p)->sig[p->number] = UINT32_MAX;
        set_tfd(p, 0x7f, 0);
        return;
    }
    state(p)->sig[p->number] = d->is_cd ? 0xeb140101 : 0x00000101;
    state(p)->cmd[p->number] = d->is_cd ? state(p)->cmd[p->number] | CMD_ATAPI : state(p)->cmd[p->number] & ~CMD_ATAPI;
    d->s.error = 1;
    send_d2h(p, false);
}

/* ---- what the host wrote ---- */

static bool fetch_header(AhciPort *p, unsigned slot, AhciHeader *header)
{
    uint8_t b[32];

    if (!pci_dma_read(&p->ahci->pci, state(p)->list[p->number] + slot * 32, b, sizeof(b))) {
        return false;
    }
    header->flags = load_le16(b);
    header->prdtl = load_le16(b + 2);
    header->table = load_le64(b + 8) & ~127ull;
    return true;
}

/*
 * The regions of a command's data, up to the first that is not memory: commands without data may name anything
 * (SeaBIOS gives them 4 MiB at address 0), and those with data fail when they find too little.
 */
static void map_regions(AhciPort *p, const AhciHeader *header, DmaList *list, bool to_guest)
{
    uint8_t entries[64 * 16];

    dma_list_clear(list);
    for (uint32_t i = 0; i < header->prdtl && pci_bus_master(&p->ahci->pci); i++) {
        const uint8_t *entry = entries + i % 64 * 16;
        uint32_t size;

        if (i % 64 == 0) {
            pci_dma_read(&p->ahci->pci, header->table + TABLE_PRDT + i * 16, entries,
                         MIN(header->prdtl - i, 64) * 16);
        }
        size = (load_le32(entry + 12) & 0x3fffff) + 1;
        /* 64 MiB are more than 65536 sectors: nobody needs the rest. */
        if (list->size > UINT64_C(64) << 20) {
            break;
        }
        if (!pci_dma_list_add(&p->ahci->pci, list, load_le64(entry) & ~1ull, size, to_guest)) {
            break;
        }
    }
}

static void host_bus_error(AhciPort *p)
{
    guest_error(p->ahci->pci.dev.id, "port %u: bus mastering is off", p->number);
    state(p)->failed[p->number] = true;
    ahci_raise(p, IS_HBF);
}

static void take_registers(IdeChannel *ch, const uint8_t *fis)
{
    IdeRegs *r = &ch->r;

    r->feature = fis[3];
    r->lba0 = fis[4];
    r->lba1 = fis[5];
    r->lba2 = fis[6];
    r->select = (fis[7] & ~SELECT_SLAVE) | 0xa0;
    r->hob_lba0 = fis[8];
    r->hob_lba1 = fis[9];
    r->hob_lba2 = fis[10];
    r->hob_feature = fis[11];
    r->count = fis[12];
    r->hob_count = fis[13];
}

static void put_moved(AhciPort *p, unsigned slot, uint32_t bytes)
{
    uint8_t b[4];

    store_le32(b, bytes);
    pci_dma_write(&p->ahci->pci, state(p)->list[p->number] + slot * 32 + 4, b, 4);
}

/* ---- through the channel: one command at a time ---- */

static void dma_request(void *opaque, bool active)
{
}

static int64_t dma_transfer(void *opaque, void *buf, uint64_t size, bool to_memory)
{
    AhciPort *p = opaque;
    uint64_t moved;

    if (p->slot < 0) {
        return -1;
    }
    moved = to_memory ? dma_list_put(&p->list, p->position, buf, size)
                      : dma_list_get(&p->list, p->position, buf, size);
    p->position += moved;
    return moved ? (int64_t)moved : -1;
}

/* A block of PIO data: the controller is the host that reads or fills the buffer. */
static void move_pio(AhciPort *p, bool to_host)
{
    IdeChannel *ch = p->ch;
    uint32_t size = ch->length - ch->at, moved;

    send_pio_setup(p, size, to_host);
    if (to_host) {
        moved = dma_list_put(&p->list, p->position, ch->buffer + ch->at, size);
    } else {
        moved = dma_list_get(&p->list, p->position, ch->buffer + ch->at, size);
        memset(ch->buffer + ch->at + moved, 0, size - moved);
    }
    p->position += moved;
    ch->at = ch->length;
    ide_buffer_moved(drive(p));
}

static void give_packet(AhciPort *p)
{
    IdeChannel *ch = p->ch;

    pci_dma_read(&p->ahci->pci, p->header.table + TABLE_ATAPI, ch->buffer, ch->length);
    ch->at = ch->length;
    ide_buffer_moved(drive(p));
}

static void end_command(AhciPort *p)
{
    unsigned slot = p->slot;

    put_moved(p, slot, p->position);
    p->slot = -1;
    if (!(drive(p)->s.status & ATA_ERR)) {
        state(p)->ci[p->number] &= ~(1u << slot);
    }
    send_d2h(p, true);
}

/* As far as it goes without the block layer. */
static void step(AhciPort *p)
{
    if (p->stepping) {
        return;
    }
    p->stepping = true;
    while (p->slot >= 0) {
        Phase phase = p->ch->phase;

        if (phase == PHASE_DATA_IN || phase == PHASE_DATA_OUT) {
            move_pio(p, phase == PHASE_DATA_IN);
        } else if (phase == PHASE_PACKET) {
            give_packet(p);
        } else if (phase == PHASE_IDLE) {
            end_command(p);
        } else {
            break;
        }
    }
    p->stepping = false;
}

static void phase_changed(void *opaque)
{
    AhciPort *p = opaque;

    if (p->slot >= 0 && !p->stepping) {
        step(p);
        ahci_run_port(p);
    }
}

const IdeDmaOps ahci_dma_ops = { dma_request, dma_transfer, phase_changed };

static void run_on_channel(AhciPort *p, unsigned slot, const AhciHeader *header, const uint8_t *fis)
{
    IdeChannel *ch = p->ch;

    p->header = *header;
    p->position = 0;
    map_regions(p, header, &p->list, !(header->flags & HEADER_WRITE));
    p->slot = slot;
    take_registers(ch, fis);
    ch->dma_ready = true;
    set_tfd(p, ATA_BSY | ATA_DRDY, 0);
    p->stepping = true; /* what comes before the command is on its way is not yet a phase */
    ide_execute(ch, fis[2]);
    p->stepping = false;
    step(p);
}

/* A control FIS: SRST on, and off again. */
static void write_control(AhciPort *p, unsigned slot, const AhciHeader *header, const uint8_t *fis)
{
    IdeChannel *ch = p->ch;
    bool was = ch->r.control & CTRL_SRST;

    state(p)->ci[p->number] &= ~(1u << slot);
    if ((fis[15] & CTRL_SRST) && !was) {
        ahci_stop_port(p);
        set_tfd(p, ATA_BSY, 0);
        ch->r.control |= CTRL_SRST;
    } else if (!(fis[15] & CTRL_SRST) && was) {
        ahci_reset_drive(p);
    }
}

/* ---- the drive's queue ---- */

static void queued_done(void *opaque, int error)
{
    AhciQueued *q = opaque;
    AhciPort *p = q->port;
    uint32_t bit = 1u << q->slot;

    p->in_flight--;
    if (q->generation != p->generation) {
        if (!p->in_flight) {
            p->draining = false;
            ahci_port_quiet(p);
            ahci_run_port(p);
        }
        return;
    }
    state(p)->queued[p->number] &= ~bit;
    if (error) {
        IdeDrive *d = drive(p);
        uint8_t bits = error == EROFS ? ATA_ABORTED : error == EINVAL ? ATA_NOT_FOUND : ATA_UNCORRECTABLE;

        d->ncq_error = 1u << 31 | q->slot << 16 | (ATA_DRDY | ATA_ERR) << 8 | bits;
        d->ncq_error_sector = q->sector;
        send_device_bits(p, 0, ATA_DRDY | ATA_DSC | ATA_ERR, bits);
        return;
    }
    if (!q->is_write) {
        dma_list_written(&q->list, q->list.size);
    }
    send_device_bits(p, bit, ATA_DRDY | ATA_DSC, 0);
    ahci_run_port(p);
}

/* Cuts the list to what the command moves; false if it is too short. */
static bool fit_list(DmaList *list, uint64_t size)
{
    if (list->size < size) {
        return false;
    }
    for (int i = 0; i < list->count; i++) {
        if (size <= list->iov[i].iov_len) {
            list->iov[i].iov_len = size;
            list->count = i + 1;
            break;
        }
        size -= list->iov[i].iov_len;
    }
    list->size = 0;
    for (int i = 0; i < list->count; i++) {
        list->size += list->iov[i].iov_len;
    }
    return true;
}

static void refuse_queued(AhciPort *p, unsigned slot, uint8_t error)
{
    drive(p)->ncq_error = 1u << 31 | slot << 16 | (ATA_DRDY | ATA_ERR) << 8 | error;
    state(p)->queued[p->number] &= ~(1u << slot);
    send_device_bits(p, 0, ATA_DRDY | ATA_DSC | ATA_ERR, error);
}

static void run_queued(AhciPort *p, unsigned slot, const AhciHeader *header, const uint8_t *fis)
{
    AhciQueued *q = &p->queue[slot];
    IdeDrive *d = drive(p);
    uint32_t count = fis[11] << 8 | fis[3];
    uint64_t sector = (uint64_t)fis[10] << 40 | (uint64_t)fis[9] << 32 | (uint64_t)fis[8] << 24 | fis[6] << 16 |
                      fis[5] << 8 | fis[4];

    count = count ? count : 65536;
    state(p)->ci[p->number] &= ~(1u << slot); /* the drive has it: PxSACT tells of the end */
    state(p)->queued[p->number] |= 1u << slot;
    q->is_write = fis[2] == OP_WRITE_QUEUED;
    q->sector = sector;
    q->generation = p->generation;
    if (d->is_cd || fis[12] >> 3 != slot) {
        refuse_queued(p, slot, ATA_ABORTED);
        return;
    }
    if (sector >= ata_sectors(d) || count > ata_sectors(d) - sector) {
        refuse_queued(p, slot, ATA_NOT_FOUND);
        return;
    }
    map_regions(p, header, &q->list, !q->is_write);
    if (!fit_list(&q->list, (uint64_t)count * BLOCK_SECTOR)) {
        ahci_raise(p, IS_OF);
        refuse_queued(p, slot, ATA_ABORTED);
        return;
    }
    put_moved(p, slot, q->list.size);
    p->in_flight++;
    if (q->is_write) {
        block_write(d->blk, sector * BLOCK_SECTOR, q->list.iov, q->list.count, fis[7] & 0x80 ? BLOCK_FUA : 0,
                    queued_done, q);
    } else {
        block_read(d->blk, sector * BLOCK_SECTOR, q->list.iov, q->list.count, queued_done, q);
    }
}

/* ---- slots ---- */

/* False: it has to wait. */
static bool run_slot(AhciPort *p, unsigned slot)
{
    AhciHeader header;
    uint8_t fis[20];
    bool queued;

    if (!fetch_header(p, slot, &header) || !pci_dma_read(&p->ahci->pci, header.table, fis, sizeof(fis))) {
        host_bus_error(p);
        return false;
    }
    if (fis[0] != FIS_H2D) {
        guest_error(p->ahci->pci.dev.id, "port %u: FIS %02x", p->number, fis[0]);
        state(p)->failed[p->number] = true;
        ahci_raise(p, IS_IF);
        return false;
    }
    trace("ahci_command", "%s port %u slot %u: %02x control %02x", p->ahci->pci.dev.id, p->number, slot, fis[2], fis[15]);
    if (!(fis[1] & 0x80)) {
        write_control(p, slot, &header, fis);
        return true;
    }
    queued = fis[2] == OP_READ_QUEUED || fis[2] == OP_WRITE_QUEUED;
    if (!queued && p->in_flight) {
        return false; /* the queue must be empty first */
    }
    if (queued) {
        run_queued(p, slot, &header, fis);
    } else {
        run_on_channel(p, slot, &header, fis);
    }
    return true;
}

void ahci_run_port(AhciPort *p)
{
    AhciState *s = state(p);
    unsigned n = p->number;

    for (unsigned slot = 0; slot < AHCI_SLOTS; slot++) {
        if (!(s->cmd[n] & CMD_ST) || s->failed[n] || p->resetting || p->draining || p->slot >= 0 || !drive(p) || p->stepping) {
            return;
        }
        /* A slot in the queue that software issued again is still busy. */
        if ((s->ci[n] >> slot & 1) && !(s->queued[n] >> slot & 1) && !run_slot(p, slot)) {
            return;
        }
    }
}

void ahci_stop_port(AhciPort *p)
{
    p->generation++;
    p->draining = p->in_flight != 0;
    p->slot = -1;
    state(p)->queued[p->number] = 0;
    p->ch->generation++; /* what the channel waits for comes too late */
    p->ch->phase = PHASE_IDLE;
    if (drive(p)) {
        drive(p)->s.status &= ~(ATA_BSY | ATA_DRQ);
    }
}
