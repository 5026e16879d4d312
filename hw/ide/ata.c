/*
 * ATA disks: the command set. What the disk tells of itself is in ata-identify.c and ata-smart.c.
 *
 * ATA/ATAPI-6, chapter 8; TRIM as in ACS-2. The security commands are not there, and refused.
 */
#include "hw/ide/internal.h"
#include "util/bits.h"
#include "util/log.h"

#include <errno.h>
#include <string.h>

/* What the registers hold after a reset tells disks and packet drives apart (section 9.12). */
void ata_signature(IdeDrive *d)
{
    IdeRegs *r = &d->ch->r;

    r->count = r->lba0 = 1;
    r->lba1 = d->is_cd ? 0x14 : 0;
    r->lba2 = d->is_cd ? 0xeb : 0;
}

uint64_t ata_sectors(const IdeDrive *d)
{
    return block_size(d->blk) / BLOCK_SECTOR;
}

/* ---- addresses ---- */

static bool read_address(IdeDrive *d)
{
    IdeChannel *ch = d->ch;
    const IdeRegs *r = &ch->r;
    uint64_t total = ata_sectors(d);

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

/* ch->block sectors went by; false if they failed, which ends the command. */
static bool advance(IdeDrive *d, int error)
{
    IdeChannel *ch = d->ch;

    if (error) {
        media_error(d, error);
        return false;
    }
    ch->sector += ch->block;
    ch->sectors_left -= ch->block;
    write_back_address(d, ch->sector - 1);
    return true;
}

static bool begin(IdeDrive *d, bool is_write)
{
    d->ch->is_write = is_write;
    if (!read_address(d)) {
        ide_fail(d, ATA_NOT_FOUND);
        return false;
    }
    return true;
}

/* ---- PIO ---- */

static void pio_read_next(IdeDrive *d);

static void pio_read_answer(IdeDrive *d, int error)
{
    if (advance(d, error)) {
        ide_data_in(d, d->ch->block * BLOCK_SECTOR, pio_read_next);
    }
}

static void pio_read_next(IdeDrive *d)
{
    IdeChannel *ch = d->ch;

    if (!ch->sectors_left) {
        ide_end_quietly(d);
        return;
    }
    ch->block = MIN(ch->block, ch->sectors_left);
    ide_read_sectors(d, ch->sector * BLOCK_SECTOR, ch->block * BLOCK_SECTOR, pio_read_answer);
}

static void pio_write_block(IdeDrive *d);

static void pio_write_answer(IdeDrive *d, int error)
{
    IdeChannel *ch = d->ch;

    if (!advance(d, error)) {
        return;
    }
    if (!ch->sectors_left) {
        ide_done(d);
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
    if (!begin(d, is_write)) {
        return;
    }
    ch->block = MIN(multiple ? d->s.multiple : 1, ch->sectors_left);
    if (is_write) {
        ide_data_out(d, ch->block * BLOCK_SECTOR, pio_write_block);
    } else {
        pio_read_next(d);
    }
}

/* ---- DMA ---- */

static void dma_step(IdeDrive *d);

/* Between the buffer and the host; false if the host's table was too short, which ends the command. */
static bool move_dma(IdeDrive *d, uint32_t size, bool to_memory)
{
    IdeChannel *ch = d->ch;

    if (ch->dma->transfer(ch->dma_opaque, ch->buffer, size, to_memory) == size) {
        return true;
    }
    guest_error(d->dev.id, "DMA: the bus master's table is shorter than the command");
    ide_abort(d);
    return false;
}

static void dma_end(IdeDrive *d)
{
    d->ch->dma->request(d->ch->dma_opaque, false);
    ide_done(d);
}

static void dma_answer(IdeDrive *d, int error)
{
    IdeChannel *ch = d->ch;

    if (!error && !ch->is_write && !move_dma(d, ch->block * BLOCK_SECTOR, true)) {
        return;
    }
    if (!advance(d, error)) {
        return;
    }
    if (ch->sectors_left) {
        dma_step(d);
    } else {
        dma_end(d);
    }
}

static void dma_step(IdeDrive *d)
{
    IdeChannel *ch = d->ch;
    uint32_t size;

    ch->block = MIN(ch->sectors_left, IDE_BUFFER / BLOCK_SECTOR);
    size = ch->block * BLOCK_SECTOR;
    if (!ch->is_write) {
        ide_read_sectors(d, ch->sector * BLOCK_SECTOR, size, dma_answer);
    } else if (move_dma(d, size, false)) {
        ide_write_sectors(d, ch->sector * BLOCK_SECTOR, size, dma_answer);
    }
}

static void begin_dma(IdeDrive *d, bool is_write)
{
    IdeChannel *ch = d->ch;

    if (!ch->dma) {
        ide_abort(d);
    } else if (begin(d, is_write)) {
        ch->is_dma = true;
        ide_dma_begin(d, dma_step);
    }
}

/* ---- READ VERIFY: the sectors are read, and nothing is sent ---- */

static void verify_next(IdeDrive *d);

static void verified(IdeDrive *d, int error)
{
    if (!advance(d, error)) {
        return;
    }
    if (d->ch->sectors_left) {
        verify_next(d);
    } else {
        ide_done(d);
    }
}

static void verify_next(IdeDrive *d)
{
    IdeChannel *ch = d->ch;

    ch->block = MIN(ch->sectors_left, IDE_BUFFER / BLOCK_SECTOR);
    ide_read_sectors(d, ch->sector * BLOCK_SECTOR, ch->block * BLOCK_SECTOR, verified);
}

static void flushed(IdeDrive *d, int error)
{
    if (error) {
        media_error(d, error);
    } else {
        ide_done(d);
    }
}

/* ---- DATA SET MANAGEMENT: TRIM ---- */

static void trim_dma_step(IdeDrive *d);
static void trim_received(IdeDrive *d);

static void trim_block_done(IdeDrive *d)
{
    IdeChannel *ch = d->ch;

    if (--ch->sectors_left == 0) {
        if (ch->is_dma) {
            dma_end(d);
        } else {
            ide_done(d);
        }
    } else if (ch->is_dma) {
        trim_dma_step(d);
    } else {
        ide_data_out(d, BLOCK_SECTOR, trim_received);
        ide_raise(ch);
    }
}

/* The next of the 64 ranges in the buffer that is not empty. */
static void trim_next(IdeDrive *d, int error)
{
    IdeChannel *ch = d->ch;
    uint64_t total = ata_sectors(d);

    if (error) {
        media_error(d, error);
        return;
    }
    while (ch->at < BLOCK_SECTOR) {
        uint64_t entry = load_le64(ch->buffer + ch->at);
        uint64_t sector = entry & 0xffffffffffff, count = entry >> 48;

        ch->at += 8;
        if (!count) {
            continue;
        }
        if (sector >= total || count > total - sector) {
            ide_fail(d, ATA_NOT_FOUND);
        } else {
            ide_discard(d, sector * BLOCK_SECTOR, count * BLOCK_SECTOR, trim_next);
        }
        return;
    }
    trim_block_done(d);
}

static void trim_received(IdeDrive *d)
{
    d->ch->at = 0;
    trim_next(d, 0);
}

static void trim_dma_step(IdeDrive *d)
{
    if (move_dma(d, BLOCK_SECTOR, false)) {
        trim_received(d);
    }
}

/* Software programs DMA for it where the drive has it at all. */
static void trim(IdeDrive *d)
{
    IdeChannel *ch = d->ch;

    if (!(ch->r.feature & 1) || !ch->dma || !d->discard_granularity) {
        ide_abort(d);
        return;
    }
    ch->is_write = true;
    ch->is_dma = true;
    ch->sector = 0;
    ch->sectors_left = ch->r.hob_count << 8 | ch->r.count;
    if (ch->sectors_left) {
        ide_dma_begin(d, trim_dma_step);
    } else {
        ide_done(d);
    }
}

/* ---- the rest ---- */

static void set_features(IdeDrive *d)
{
    const IdeRegs *r = &d->ch->r;

    switch (r->feature) {
    case 0x02:
    case 0x82:
        if (d->is_cd) {
            break;
        }
        d->s.write_cache = r->feature == 0x02;
        block_set_write_cache(d->blk, d->s.write_cache);
        if (!d->s.write_cache) {
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

static void native_max(IdeDrive *d, bool ext)
{
    d->ch->lba48 = ext;
    write_back_address(d, ata_sectors(d) - 1);
    if (!ext && ata_sectors(d) > 0x0fffffff) {
        write_back_address(d, 0x0ffffffe);
    }
    ide_done(d);
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
        ide_data_in(d, 512, ide_end_quietly);
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
    ch->lba48 = command == 0x24 || command == 0x25 || command == 0x29 || command == 0x34 || command == 0x35 ||
                command == 0x39 || command == 0x42 || command == 0x3d || command == 0xce;
    ch->fua = command == 0x3d || command == 0xce;
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
    case 0xce:
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
        if (begin(d, false)) {
            verify_next(d);
        }
        break;
    case 0x2f: /* READ LOG (DMA) EXT */
    case 0x47:
        ata_read_log(d, true);
        break;
    case 0xe7:
    case 0xea:
        ide_flush(d, flushed);
        break;
    case 0xec:
        ata_identify(d);
        ide_data_in(d, 512, ide_end_quietly);
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
        ata_smart(d);
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
