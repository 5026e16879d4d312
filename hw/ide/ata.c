/*
 * ATA disks: the command set.
 *
 * ATA/ATAPI-6, chapter 8; 48-bit addressing, multiple sectors, UDMA, TRIM as in ACS-2.
 */
#include "hw/ide/internal.h"
#include "util/bits.h"
#include "util/log.h"

#include <errno.h>
#include <string.h>

void ata_string(uint16_t *words, const char *text, int bytes)
{
    char padded[64];

    memset(padded, ' ', sizeof(padded));
    memcpy(padded, text, MIN(strlen(text), (size_t)bytes));
    for (int i = 0; i < bytes / 2; i++) { /* two characters a word, the first one high */
        words[i] = (uint8_t)padded[2 * i] << 8 | (uint8_t)padded[2 * i + 1];
    }
}

/* What the registers hold after a reset tells disks and packet drives apart (section 9.12). */
void ata_signature(IdeDrive *d)
{
    IdeRegs *r = &d->ch->r;

    r->count = r->lba0 = 1;
    r->lba1 = d->is_cd ? 0x14 : 0;
    r->lba2 = d->is_cd ? 0xeb : 0;
}

static uint64_t total_sectors(const IdeDrive *d)
{
    return block_size(d->blk) / BLOCK_SECTOR;
}

static void identify(IdeDrive *d)
{
    uint16_t w[256] = { 0 };
    uint64_t total = total_sectors(d), chs;

    w[0] = 0x0040;
    w[1] = d->cylinders;
    w[3] = 16;
    w[6] = 63;
    ata_string(w + 10, d->serial, 20);
    w[22] = 4;
    ata_string(w + 23, d->version, 8);
    ata_string(w + 27, d->model, 40);
    w[47] = 0x8010;               /* READ MULTIPLE: up to 16 */
    w[48] = 1;                    /* 32-bit data port */
    w[49] = 1 << 11 | 1 << 9 | 1 << 8; /* IORDY, LBA, DMA */
    w[51] = w[52] = 0x200;
    w[53] = 7;                    /* words 54-58, 64-70 and 88 are valid */
    w[54] = d->cylinders;
    w[55] = d->s.heads;
    w[56] = d->s.sectors;
    chs = (uint64_t)w[54] * w[55] * w[56];
    w[57] = chs;
    w[58] = chs >> 16;
    w[59] = d->s.multiple ? 0x100 | d->s.multiple : 0;
    w[60] = MIN(total, 0x0fffffff) & 0xffff;
    w[61] = MIN(total, 0x0fffffff) >> 16;
    w[63] = 0x07 | ((d->s.dma_mode & 0xf8) == 0x20 ? 0x100 << (d->s.dma_mode & 7) : 0);
    w[64] = 3;
    w[65] = w[66] = w[67] = w[68] = 120;
    w[69] = 1 << 14 | 1 << 5;     /* TRIM reads back zeros */
    w[80] = 0xf0;                 /* ATA-4 to ATA-7 */
    w[81] = 0x16;
    w[82] = 1 << 14 | 1 << 5 | 1; /* NOP, write cache, SMART */
    w[83] = 1 << 14 | 1 << 13 | 1 << 12 | 1 << 10; /* FLUSH CACHE (EXT), 48 bits */
    w[84] = 1 << 14;
    w[85] = 1 << 14 | (d->s.write_cache ? 1 << 5 : 0) | 1;
    w[86] = 1 << 13 | 1 << 12 | 1 << 10;
    w[87] = 1 << 14;
    w[88] = 0x3f | ((d->s.dma_mode & 0xf8) == 0x40 ? 0x100 << (d->s.dma_mode & 7) : 0);
    w[93] = 1 | 1 << 14 | 0x2000; /* 80-wire cable */
    for (int i = 0; i < 4; i++) {
        w[100 + i] = total >> 16 * i;
    }
    w[106] = 0x4000;
    w[169] = 1;                   /* TRIM */
    memcpy(d->ch->buffer, w, 512);
}

/* ---- addresses ---- */

static bool read_address(IdeDrive *d)
{
    IdeChannel *ch = d->ch;
    const IdeRegs *r = &ch->r;
    uint64_t total = total_sectors(d);

    if (ch->lba48) {
        ch->sectors_left = r->hob_count << 8 | r->count;
        ch->sectors_left = ch->sectors_left ? ch->sectors_left : 65536;
        ch->sector = (uint64_t)r->hob_lba2 << 40 | (uint64_t)r->hob_lba1 << 32 |
                     (uint64_t)r->hob_lba0 << 24 | r->lba2 << 16 | r->lba1 << 8 | r->lba0;
    } else {
        ch->sectors_left = r->count ? r->count : 256;
        if (r->select & SELECT_LBA) {
            ch->sector = (r->select & 15) << 24 | r->lba2 << 16 | r->lba1 << 8 | r->lba0;
        } else {
            uint32_t cylinder = r->lba2 << 8 | r->lba1, head = r->select & 15;

            if (!r->lba0) {
                return false; /* sectors count from 1 */
            }
            ch->sector = ((uint64_t)cylinder * d->s.heads + head) * d->s.sectors + r->lba0 - 1;
        }
    }
    return ch->sector < total && ch->sectors_left <= total - ch->sector;
}

/* Leaves the address of the last sector in the registers, as drivers and tests expect. */
static void write_back_address(IdeDrive *d, uint64_t sector)
{
    IdeChannel *ch = d->ch;
    IdeRegs *r = &ch->r;

    if (ch->lba48 || (r->select & SELECT_LBA)) {
        r->lba0 = sector;
        r->lba1 = sector >> 8;
        r->lba2 = sector >> 16;
        if (ch->lba48) {
            r->hob_lba0 = sector >> 24;
            r->hob_lba1 = sector >> 32;
            r->hob_lba2 = sector >> 40;
        } else {
            r->select = (r->select & 0xf0) | (sector >> 24 & 15);
        }
    } else {
        uint32_t per_cylinder = d->s.heads * d->s.sectors;

        r->lba0 = sector % d->s.sectors + 1;
        r->select = (r->select & 0xf0) | (sector % per_cylinder / d->s.sectors & 15);
        r->lba1 = sector / per_cylinder;
        r->lba2 = sector / per_cylinder >> 8;
    }
    r->count = ch->sectors_left;
}

static void media_error(IdeDrive *d, int error)
{
    log_if(LOG_GUEST_ERRORS, "%s: %s error at sector %" G_GUINT64_FORMAT ": %s\n", d->dev.id,
           d->ch->is_write ? "write" : "read", d->ch->sector, g_strerror(error));
    write_back_address(d, d->ch->sector);
    ide_fail(d, error == EINVAL ? ATA_NOT_FOUND : error == EROFS ? ATA_ABORTED : ATA_UNCORRECTABLE);
}

/* ---- PIO ---- */

static void pio_read_next(IdeDrive *d);

static void pio_read_answer(IdeDrive *d, int error)
{
    IdeChannel *ch = d->ch;

    if (error) {
        media_error(d, error);
        return;
    }
    ch->sector += ch->block;
    ch->sectors_left -= ch->block;
    write_back_address(d, ch->sector - 1);
    ide_data_in(d, ch->block * BLOCK_SECTOR, pio_read_next);
}

static void pio_read_next(IdeDrive *d)
{
    IdeChannel *ch = d->ch;

    if (!ch->sectors_left) { /* the last block was read: no interrupt at the end */
        ch->phase = PHASE_IDLE;
        d->s.status = ATA_DRDY | ATA_DSC;
        return;
    }
    ch->block = MIN(ch->block, ch->sectors_left);
    ide_read_sectors(d, ch->sector * BLOCK_SECTOR, ch->block * BLOCK_SECTOR, pio_read_answer);
}

static void pio_write_block(IdeDrive *d);

static void flushed(IdeDrive *d, int error)
{
    if (error) {
        media_error(d, error);
    } else {
        ide_done(d);
    }
}

static void write_finished(IdeDrive *d)
{
    if (d->s.write_cache) {
        ide_done(d);
    } else {
        ide_flush(d, flushed); /* without a write cache, done means on the disk */
    }
}

static void pio_write_answer(IdeDrive *d, int error)
{
    IdeChannel *ch = d->ch;

    if (error) {
        media_error(d, error);
        return;
    }
    ch->sector += ch->block;
    ch->sectors_left -= ch->block;
    write_back_address(d, ch->sector - 1);
    if (!ch->sectors_left) {
        write_finished(d);
        return;
    }
    ch->block = MIN(ch->block, ch->sectors_left);
    ide_data_out(d, ch->block * BLOCK_SECTOR, pio_write_block);
    ide_raise(ch);
}

static void pio_write_block(IdeDrive *d)
{
    ide_write_sectors(d, d->ch->sector * BLOCK_SECTOR, d->ch->block * BLOCK_SECTOR, pio_write_answer);
}

static void begin_pio(IdeDrive *d, bool is_write, bool multiple)
{
    IdeChannel *ch = d->ch;

    if (multiple && !d->s.multiple) {
        ide_abort(d);
        return;
    }
    if (!read_address(d)) {
        ide_fail(d, ATA_NOT_FOUND);
        return;
    }
    ch->is_write = is_write;
    ch->block = MIN(multiple ? d->s.multiple : 1, ch->sectors_left);
    if (is_write) {
        ide_data_out(d, ch->block * BLOCK_SECTOR, pio_write_block);
    } else {
        pio_read_next(d);
    }
}

/* ---- DMA ---- */

static void dma_end(IdeDrive *d)
{
    IdeChannel *ch = d->ch;

    write_back_address(d, ch->sector ? ch->sector - 1 : 0);
    ch->dma->request(ch->dma_opaque, false);
    if (ch->is_write) {
        write_finished(d);
    } else {
        ide_done(d);
    }
}

static bool dma_failed(IdeDrive *d, int64_t moved, uint32_t wanted)
{
    if (moved == wanted) {
        return false;
    }
    guest_error(d->dev.id, "DMA: the bus master's table is shorter than the command");
    ide_abort(d);
    return true;
}

static void dma_read_answer(IdeDrive *d, int error)
{
    IdeChannel *ch = d->ch;
    uint32_t size = ch->block * BLOCK_SECTOR;

    if (error) {
        media_error(d, error);
        return;
    }
    if (dma_failed(d, ch->dma->transfer(ch->dma_opaque, ch->buffer, size, true), size)) {
        return;
    }
    ch->sector += ch->block;
    ch->sectors_left -= ch->block;
    if (ch->sectors_left) {
        ata_dma_step(d);
    } else {
        dma_end(d);
    }
}

static void dma_write_answer(IdeDrive *d, int error)
{
    IdeChannel *ch = d->ch;

    if (error) {
        media_error(d, error);
        return;
    }
    ch->sector += ch->block;
    ch->sectors_left -= ch->block;
    if (ch->sectors_left) {
        ata_dma_step(d);
    } else {
        dma_end(d);
    }
}

void ata_dma_step(IdeDrive *d)
{
    IdeChannel *ch = d->ch;
    uint32_t size;

    ch->block = MIN(ch->sectors_left, IDE_BUFFER / BLOCK_SECTOR);
    size = ch->block * BLOCK_SECTOR;
    if (!ch->is_write) {
        ide_read_sectors(d, ch->sector * BLOCK_SECTOR, size, dma_read_answer);
    } else if (!dma_failed(d, ch->dma->transfer(ch->dma_opaque, ch->buffer, size, false), size)) {
        ide_write_sectors(d, ch->sector * BLOCK_SECTOR, size, dma_write_answer);
    }
}

static void begin_dma(IdeDrive *d, bool is_write)
{
    IdeChannel *ch = d->ch;

    if (!ch->dma) {
        ide_abort(d);
        return;
    }
    if (!read_address(d)) {
        ide_fail(d, ATA_NOT_FOUND);
        return;
    }
    ch->is_write = is_write;
    ch->is_dma = true;
    ide_dma_begin(d);
}

/* ---- DATA SET MANAGEMENT: TRIM ---- */

static void trim_block(IdeDrive *d)
{
    uint64_t total = total_sectors(d);

    for (int i = 0; i < 64; i++) {
        uint64_t entry = load_le64(d->ch->buffer + i * 8);
        uint64_t sector = entry & 0xffffffffffff, count = entry >> 48;

        if (count && sector < total && count <= total - sector) {
            block_discard(d->blk, sector * BLOCK_SECTOR, count * BLOCK_SECTOR, NULL, NULL);
        }
    }
}

static void trim_received(IdeDrive *d)
{
    trim_block(d);
    if (--d->ch->sectors_left) {
        ide_data_out(d, BLOCK_SECTOR, trim_received);
        ide_raise(d->ch);
    } else {
        ide_done(d);
    }
}

static void trim(IdeDrive *d)
{
    IdeChannel *ch = d->ch;

    if (!(ch->r.feature & 1)) {
        ide_abort(d);
        return;
    }
    ch->sectors_left = MAX(1, ch->r.hob_count << 8 | ch->r.count);
    if (!ch->dma) {
        ide_data_out(d, BLOCK_SECTOR, trim_received);
        return;
    }
    while (ch->sectors_left) {
        if (ch->dma_ready &&
            ch->dma->transfer(ch->dma_opaque, ch->buffer, BLOCK_SECTOR, false) != BLOCK_SECTOR) {
            break;
        }
        trim_block(d);
        ch->sectors_left--;
    }
    ide_done(d);
}

/* ---- the rest ---- */

static void set_features(IdeDrive *d)
{
    const IdeRegs *r = &d->ch->r;

    switch (r->feature) {
    case 0x02:
    case 0x82:
        d->s.write_cache = r->feature == 0x02;
        if (!d->s.write_cache && d->blk && !d->is_cd) {
            ide_flush(d, flushed);
            return;
        }
        break;
    case 0x03: /* transfer mode */
        if (r->count > 0x0f && (r->count & 0xf8) != 0x20 && (r->count & 0xf8) != 0x40) {
            ide_abort(d);
            return;
        }
        if (r->count >= 0x20) {
            d->s.dma_mode = r->count;
        }
        break;
    case 0x05: /* power management, acoustic management, read look-ahead, defaults */
    case 0x85:
    case 0x42:
    case 0xc2:
    case 0x55:
    case 0xaa:
    case 0x66:
    case 0xcc:
        break;
    default:
        ide_abort(d);
        return;
    }
    ide_done(d);
}

static void smart_data_read(IdeDrive *d)
{
    d->ch->phase = PHASE_IDLE;
    d->s.status = ATA_DRDY | ATA_DSC;
}

/* A healthy disk: no attributes beyond power-on, no errors. */
static void smart(IdeDrive *d)
{
    IdeRegs *r = &d->ch->r;

    if (r->lba1 != 0x4f || r->lba2 != 0xc2) {
        ide_abort(d);
        return;
    }
    switch (r->feature) {
    case 0xd0:   /* read data */
    case 0xd1: { /* read thresholds */
        uint8_t *b = d->ch->buffer, sum = 0;

        memset(b, 0, 512);
        b[0] = 1;
        if (r->feature == 0xd0) {
            b[0x16a] = 60; /* seconds of off-line collection */
        }
        for (int i = 0; i < 511; i++) {
            sum += b[i];
        }
        b[511] = -sum;
        ide_data_in(d, 512, smart_data_read);
        break;
    }
    case 0xd2: /* autosave */
    case 0xd4: /* self test: passes at once */
    case 0xd8: /* enable */
    case 0xd9: /* disable */
    case 0xda: /* status: the signature stays, all is well */
        ide_done(d);
        break;
    default:
        ide_abort(d);
    }
}

static void native_max(IdeDrive *d, bool ext)
{
    d->ch->lba48 = ext;
    write_back_address(d, total_sectors(d) - 1);
    if (!ext && total_sectors(d) > 0x0fffffff) {
        write_back_address(d, 0x0ffffffe);
    }
    ide_done(d);
}

static void identified(IdeDrive *d)
{
    d->ch->phase = PHASE_IDLE;
    d->s.status = ATA_DRDY | ATA_DSC;
}

static bool common_command(IdeDrive *d, uint8_t command)
{
    switch (command) {
    case 0xef:
        set_features(d);
        return true;
    case 0xe0: /* standby, idle, sleep: nothing spins */
    case 0xe1:
    case 0xe2:
    case 0xe3:
    case 0xe6:
    case 0x94:
    case 0x95:
    case 0x96:
    case 0x97:
    case 0x99:
        ide_done(d);
        return true;
    case 0xe5:
    case 0x98:
        d->ch->r.count = 0xff; /* active */
        ide_done(d);
        return true;
    default:
        return false;
    }
}

static void packet_drive_command(IdeDrive *d, uint8_t command)
{
    switch (command) {
    case 0x08: /* DEVICE RESET */
        d->ch->generation++;
        d->ch->phase = PHASE_IDLE;
        d->s.status = 0;
        d->s.error = 0x01;
        ata_signature(d);
        break;
    case 0xa0:
        atapi_packet_command(d);
        break;
    case 0xa1:
        atapi_identify(d);
        ide_data_in(d, 512, identified);
        break;
    default:
        if (!common_command(d, command)) {
            if (command == 0xec || command == 0x20) {
                ata_signature(d);
            }
            ide_abort(d);
        }
    }
}

void ata_command(IdeDrive *d, uint8_t command)
{
    IdeChannel *ch = d->ch;

    d->s.error = 0;
    if (d->is_cd) {
        packet_drive_command(d, command);
        return;
    }
    ch->lba48 = command == 0x24 || command == 0x25 || command == 0x29 || command == 0x34 ||
                command == 0x35 || command == 0x39 || command == 0x42 || command == 0x3d;
    switch (command) {
    case 0x20:
    case 0x21:
    case 0x24:
        begin_pio(d, false, false);
        break;
    case 0x30:
    case 0x31:
    case 0x3c:
    case 0x34:
        begin_pio(d, true, false);
        break;
    case 0xc4:
    case 0x29:
        begin_pio(d, false, true);
        break;
    case 0xc5:
    case 0x39:
        begin_pio(d, true, true);
        break;
    case 0xc8:
    case 0xc9:
    case 0x25:
        begin_dma(d, false);
        break;
    case 0xca:
    case 0xcb:
    case 0x35:
    case 0x3d:
        begin_dma(d, true);
        break;
    case 0x40: /* READ VERIFY */
    case 0x41:
    case 0x42:
        if (read_address(d)) {
            ide_done(d);
        } else {
            ide_fail(d, ATA_NOT_FOUND);
        }
        break;
    case 0xe7:
    case 0xea:
        ide_flush(d, flushed);
        break;
    case 0xec:
        identify(d);
        ide_data_in(d, 512, identified);
        break;
    case 0xc6: /* SET MULTIPLE MODE: powers of two up to 16 */
        if (ch->r.count > 16 || (ch->r.count & (ch->r.count - 1))) {
            ide_abort(d);
        } else {
            d->s.multiple = ch->r.count;
            ide_done(d);
        }
        break;
    case 0x91: /* INITIALIZE DEVICE PARAMETERS */
        if (ch->r.count) {
            d->s.heads = (ch->r.select & 15) + 1;
            d->s.sectors = ch->r.count;
            ide_done(d);
        } else {
            ide_abort(d);
        }
        break;
    case 0x10 ... 0x1f: /* RECALIBRATE */
    case 0x70 ... 0x7f: /* SEEK */
        ide_done(d);
        break;
    case 0x06:
        trim(d);
        break;
    case 0xb0:
        smart(d);
        break;
    case 0xf8:
        native_max(d, false);
        break;
    case 0x27:
        native_max(d, true);
        break;
    default:
        if (!common_command(d, command)) {
            ide_abort(d);
        }
    }
}
