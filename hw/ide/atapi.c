/*
 * ATAPI CD-ROM: packets, and how their answers reach the host. What drive and disc tell is in hw/scsi/mmc.c.
 *
 * INCITS 361 (ATA/ATAPI-6).
 */
#include "hw/ide/internal.h"
#include "util/bits.h"
#include "util/log.h"

#include <errno.h>
#include <string.h>

static void end_command(IdeDrive *d, uint8_t status, uint8_t error)
{
    IdeChannel *ch = d->ch;

    ch->phase = PHASE_IDLE;
    d->s.status = status;
    d->s.error = error;
    ch->r.count = REASON_COMMAND | REASON_TO_HOST;
    if (ch->is_dma) {
        ch->dma->request(ch->dma_opaque, false);
    }
    ide_raise(ch);
}

static void good(IdeDrive *d)
{
    d->s.sense_key = d->s.asc = d->s.ascq = 0;
    end_command(d, ATA_DRDY | ATA_DSC, 0);
}

static void check(IdeDrive *d, ScsiSense sense)
{
    d->s.sense_key = sense.key;
    d->s.asc = sense.asc;
    d->s.ascq = sense.ascq;
    end_command(d, ATA_DRDY | ATA_ERR, sense.key << 4 | ATA_ABORTED);
}

void atapi_identify(IdeDrive *d)
{
    uint16_t w[256] = { 0 };

    w[0] = 0x85c0; /* packet drive, CD-ROM, removable, DRQ within 50 us, 12-byte packets */
    ata_string(w + 10, d->serial, 20);
    w[20] = 3;
    w[21] = 512;
    w[22] = 4;
    ata_string(w + 23, d->version, 8);
    ata_string(w + 27, d->model, 40);
    w[48] = 1;
    w[49] = 1 << 11 | 1 << 9 | (d->ch->dma ? 1 << 8 : 0);
    w[53] = 7;
    w[62] = 7;
    w[63] = 7 | ((d->s.dma_mode & 0xf8) == 0x20 ? 0x100 << (d->s.dma_mode & 7) : 0);
    w[64] = 3;
    w[65] = w[66] = 180;
    w[67] = w[68] = 120;
    w[71] = w[72] = 30;
    w[80] = 0x1e;
    w[82] = 1 << 14 | 1 << 9 | 1 << 4; /* NOP, DEVICE RESET, PACKET */
    w[83] = w[84] = 1 << 14;
    w[85] = 1 << 14 | 1 << 9 | 1 << 4;
    w[87] = 1 << 14;
    w[88] = 0x3f | ((d->s.dma_mode & 0xf8) == 0x40 ? 0x100 << (d->s.dma_mode & 7) : 0);
    w[93] = 1 | 1 << 14 | 0x2000;
    memcpy(d->ch->buffer, w, 512);
}

/* ---- answers: a buffer goes to the host in DRQ blocks of at most the byte count limit ---- */

static void answer_block(IdeDrive *d);
static void read_next(IdeDrive *d);

static void give_block(IdeDrive *d)
{
    IdeChannel *ch = d->ch;
    uint32_t n = MIN(ch->answer_left, d->byte_limit);

    ch->r.count = REASON_TO_HOST;
    ch->r.lba1 = n;
    ch->r.lba2 = n >> 8;
    ch->phase = PHASE_DATA_IN;
    ch->length = ch->at + n;
    ch->next = answer_block;
    d->s.status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    ide_raise(ch);
}

/* One block has been read: the next of this buffer, the next sectors, or the end. */
static void answer_block(IdeDrive *d)
{
    IdeChannel *ch = d->ch;

    ch->answer_left -= MIN(ch->answer_left, d->byte_limit);
    if (ch->answer_left) {
        give_block(d);
    } else if (ch->sectors_left) {
        read_next(d);
    } else {
        good(d);
    }
}

static void dma_step(IdeDrive *d)
{
    IdeChannel *ch = d->ch;
    uint32_t size = ch->answer_left;

    if (ch->dma->transfer(ch->dma_opaque, ch->buffer, size, true) < 0) {
        check(d, sense_read_error);
        return;
    }
    ch->answer_left = 0;
    if (ch->sectors_left) {
        read_next(d);
    } else {
        good(d);
    }
}

/* The buffer holds `size` bytes of answer. */
static void give(IdeDrive *d, uint32_t size)
{
    IdeChannel *ch = d->ch;

    ch->at = 0;
    ch->answer_left = size;
    if (!size) {
        good(d);
    } else if (ch->is_dma) {
        ide_dma_begin(d, dma_step);
    } else {
        give_block(d);
    }
}

/* At most what the command allocated for its answer; the rest of it never was to be sent. */
static void give_allocated(IdeDrive *d, uint32_t size, uint32_t allocated)
{
    d->ch->sectors_left = 0;
    give(d, MIN(size, allocated));
}

/* ---- reading ---- */

static void make_raw(IdeChannel *ch, uint32_t count)
{
    g_autofree uint8_t *cooked = g_memdup2(ch->buffer, (gsize)count * CD_SECTOR);

    for (uint32_t i = 0; i < count; i++) {
        mmc_make_raw(ch->buffer + (gsize)i * MMC_RAW_SECTOR, cooked + (gsize)i * CD_SECTOR, ch->sector - count + i);
    }
}

static void sectors_read(IdeDrive *d, int error)
{
    IdeChannel *ch = d->ch;

    if (error) {
        check(d, error == EINVAL ? sense_lba_range : sense_read_error);
        return;
    }
    ch->sector += ch->block;
    ch->sectors_left -= ch->block;
    if (ch->raw_cd) {
        make_raw(ch, ch->block);
        give(d, ch->block * MMC_RAW_SECTOR);
    } else {
        give(d, ch->block * CD_SECTOR);
    }
}

static void read_next(IdeDrive *d)
{
    IdeChannel *ch = d->ch;

    ch->block = MIN(ch->sectors_left, ch->raw_cd ? IDE_BUFFER / MMC_RAW_SECTOR : IDE_BUFFER / CD_SECTOR);
    ide_read_sectors(d, ch->sector * CD_SECTOR, ch->block * CD_SECTOR, sectors_read);
}

static void begin_read(IdeDrive *d, uint32_t lba, uint32_t count, bool raw)
{
    IdeChannel *ch = d->ch;

    ch->sector = lba;
    ch->sectors_left = count;
    ch->raw_cd = raw;
    read_next(d);
}

/* ---- commands ---- */

static void inquiry(IdeDrive *d)
{
    uint8_t *b = d->ch->buffer;

    if (d->cdb[1] & 1) {
        check(d, sense_invalid_field);
        return;
    }
    memset(b, 0, 36);
    b[0] = 0x05; /* CD-ROM */
    b[1] = 0x80; /* removable */
    b[3] = 0x21;
    b[4] = 31;
    memcpy(b + 8, "MYNA    ", 8);
    memcpy(b + 16, "MYNA CD-ROM     ", 16);
    memset(b + 32, ' ', 4);
    memcpy(b + 32, d->version, MIN(4, strlen(d->version)));
    give_allocated(d, 36, d->cdb[4]);
}

static void request_sense(IdeDrive *d)
{
    const ScsiRequest last = { .sense = { d->s.sense_key, d->s.asc, d->s.ascq } };

    scsi_request_sense(&last, d->ch->buffer);
    d->s.mmc.medium_changed = false;
    give_allocated(d, SCSI_SENSE_SIZE, d->cdb[4]);
}

static void packet(IdeDrive *d)
{
    const uint8_t *c = d->cdb;
    MmcAnswer answer;

    trace("atapi_packet", "%s: %02x %02x %02x%02x%02x%02x", d->dev.id, c[0], c[1], c[2], c[3], c[4], c[5]);
    if (c[0] == 0x03) {
        request_sense(d);
        return;
    }
    if (c[0] == 0x12) {
        inquiry(d);
        return;
    }
    answer = mmc_command(&d->s.mmc, d->blk, c, true, d->ch->buffer);
    switch (answer.kind) {
    case MMC_UNKNOWN:
        check(d, sense_invalid_opcode);
        break;
    case MMC_DONE:
        good(d);
        break;
    case MMC_FAILED:
        check(d, answer.sense);
        break;
    case MMC_DATA:
        give_allocated(d, answer.size, answer.size);
        break;
    case MMC_READ:
        begin_read(d, answer.lba, answer.count, answer.raw);
        break;
    }
}

static void packet_received(IdeDrive *d)
{
    memcpy(d->cdb, d->ch->buffer, 12);
    packet(d);
}

void atapi_packet_command(IdeDrive *d)
{
    IdeChannel *ch = d->ch;

    if ((ch->r.feature & 2) || ((ch->r.feature & 1) && !ch->dma)) { /* overlapped, or no DMA here */
        ide_abort(d);
        return;
    }
    ch->is_dma = ch->r.feature & 1;
    ch->is_write = false;
    d->byte_limit = ch->r.lba2 << 8 | ch->r.lba1;
    d->byte_limit = d->byte_limit == 0 || d->byte_limit == 0xffff ? 0xfffe : d->byte_limit & ~1u;
    d->byte_limit = MAX(d->byte_limit, 2);
    ide_want_packet(d, packet_received);
}
