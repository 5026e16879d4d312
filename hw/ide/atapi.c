/*
 * ATAPI CD-ROM: packet commands.
 *
 * INCITS 361 (ATA/ATAPI-6) for the protocol, MMC-5 for the commands, SFF-8020i for old drivers.
 */
#include "hw/ide/internal.h"
#include "util/bits.h"
#include "util/log.h"

#include <errno.h>
#include <string.h>

enum { SENSE_NONE = 0, SENSE_NOT_READY = 2, SENSE_MEDIUM = 3, SENSE_ILLEGAL = 5, SENSE_ATTENTION = 6 };
enum {
    ASC_INVALID_OPCODE = 0x20, ASC_LBA_RANGE = 0x21, ASC_INVALID_FIELD = 0x24,
    ASC_MEDIUM_CHANGED = 0x28, ASC_SAVING_UNSUPPORTED = 0x39, ASC_NO_MEDIUM = 0x3a,
    ASC_UNRECOVERED = 0x11, ASC_REMOVAL_PREVENTED = 0x53,
};

static uint32_t cd_sectors(const IdeDrive *d)
{
    return MIN(block_size(d->blk) / CD_SECTOR, UINT32_MAX);
}

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

static void check(IdeDrive *d, uint8_t key, uint8_t asc)
{
    d->s.sense_key = key;
    d->s.asc = asc;
    d->s.ascq = 0;
    end_command(d, ATA_DRDY | ATA_ERR, key << 4 | ATA_ABORTED);
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

void atapi_dma_step(IdeDrive *d)
{
    IdeChannel *ch = d->ch;
    uint32_t size = ch->answer_left;

    if (ch->dma->transfer(ch->dma_opaque, ch->buffer, size, true) < 0) {
        check(d, SENSE_MEDIUM, ASC_UNRECOVERED);
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
        ide_dma_begin(d);
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

/* Wraps cooked sectors for READ CD: sync pattern, header, data, empty error correction. */
static void make_raw(IdeChannel *ch, uint32_t count)
{
    g_autofree uint8_t *cooked = g_memdup2(ch->buffer, (gsize)count * CD_SECTOR);

    for (uint32_t i = 0; i < count; i++) {
        uint8_t *out = ch->buffer + (gsize)i * 2352;
        uint32_t frame = ch->sector - count + i + 150;

        memset(out, 0, 2352);
        memset(out + 1, 0xff, 10);
        out[12] = frame / 75 / 60 / 10 << 4 | frame / 75 / 60 % 10;
        out[13] = frame / 75 % 60 / 10 << 4 | frame / 75 % 60 % 10;
        out[14] = frame % 75 / 10 << 4 | frame % 75 % 10;
        out[15] = 1;
        memcpy(out + 16, cooked + (gsize)i * CD_SECTOR, CD_SECTOR);
    }
}

static void sectors_read(IdeDrive *d, int error)
{
    IdeChannel *ch = d->ch;

    if (error) {
        check(d, SENSE_MEDIUM, error == EINVAL ? ASC_LBA_RANGE : ASC_UNRECOVERED);
        return;
    }
    ch->sector += ch->block;
    ch->sectors_left -= ch->block;
    if (ch->raw_cd) {
        make_raw(ch, ch->block);
        give(d, ch->block * 2352);
    } else {
        give(d, ch->block * CD_SECTOR);
    }
}

static void read_next(IdeDrive *d)
{
    IdeChannel *ch = d->ch;

    ch->block = MIN(ch->sectors_left, ch->raw_cd ? IDE_BUFFER / 2352 : IDE_BUFFER / CD_SECTOR);
    ide_read_sectors(d, ch->sector * CD_SECTOR, ch->block * CD_SECTOR, sectors_read);
}

static void begin_read(IdeDrive *d, uint32_t lba, uint32_t count, bool raw)
{
    IdeChannel *ch = d->ch;

    if (!count) {
        good(d);
        return;
    }
    if (lba >= cd_sectors(d) || count > cd_sectors(d) - lba) {
        check(d, SENSE_ILLEGAL, ASC_LBA_RANGE);
        return;
    }
    ch->sector = lba;
    ch->sectors_left = count;
    ch->raw_cd = raw;
    read_next(d);
}

static void read_cd(IdeDrive *d)
{
    const uint8_t *c = d->cdb;
    uint32_t count = c[6] << 16 | c[7] << 8 | c[8];

    switch (c[9] & 0xf8) {
    case 0x00: /* no data wanted */
        good(d);
        break;
    case 0x10:
        begin_read(d, load_be32(c + 2), count, false);
        break;
    case 0xf8:
        begin_read(d, load_be32(c + 2), count, true);
        break;
    default:
        check(d, SENSE_ILLEGAL, ASC_INVALID_FIELD);
    }
}

/* ---- information ---- */

static void inquiry(IdeDrive *d)
{
    uint8_t *b = d->ch->buffer;

    if (d->cdb[1] & 1) {
        check(d, SENSE_ILLEGAL, ASC_INVALID_FIELD);
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
    uint8_t *b = d->ch->buffer;

    memset(b, 0, 18);
    b[0] = 0x70;
    b[2] = d->s.sense_key;
    b[7] = 10;
    b[12] = d->s.asc;
    b[13] = d->s.ascq;
    d->s.medium_changed = false;
    give_allocated(d, 18, d->cdb[4]);
}

static void put_msf(uint8_t *out, uint32_t lba, bool msf)
{
    if (msf) {
        lba += 150;
        out[0] = 0;
        out[1] = lba / 75 / 60;
        out[2] = lba / 75 % 60;
        out[3] = lba % 75;
    } else {
        store_be32(out, lba);
    }
}

/* One data track, then the lead-out. */
static void read_toc(IdeDrive *d)
{
    const uint8_t *c = d->cdb;
    uint8_t *b = d->ch->buffer;
    bool msf = c[1] & 2;
    unsigned format = c[2] & 15 ? c[2] & 15 : c[9] >> 6, start = c[6], n = 4;

    memset(b, 0, 64);
    b[2] = b[3] = 1;
    switch (format) {
    case 0:
        if (start > 1 && start != 0xaa) {
            check(d, SENSE_ILLEGAL, ASC_INVALID_FIELD);
            return;
        }
        if (start <= 1) {
            b[n + 1] = 0x14;
            b[n + 2] = 1;
            put_msf(b + n + 4, 0, msf);
            n += 8;
        }
        b[n + 1] = 0x16;
        b[n + 2] = 0xaa;
        put_msf(b + n + 4, cd_sectors(d), msf);
        n += 8;
        break;
    case 1: /* session information: one session */
        b[5] = 0x14;
        b[6] = 1;
        put_msf(b + 8, 0, msf);
        n = 12;
        break;
    case 2: { /* full TOC: first track, last track, lead-out, track 1 */
        static const uint8_t points[4] = { 0xa0, 0xa1, 0xa2, 0x01 };

        for (int i = 0; i < 4; i++, n += 11) {
            b[n] = 1;
            b[n + 1] = 0x14;
            b[n + 3] = points[i];
            if (i < 2) {
                b[n + 8] = 1;
            } else {
                put_msf(b + n + 7, i == 2 ? cd_sectors(d) : 0, true);
            }
        }
        break;
    }
    default:
        check(d, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    store_be16(b, n - 2);
    give_allocated(d, n, load_be16(c + 7));
}

static void read_capacity(IdeDrive *d)
{
    store_be32(d->ch->buffer, cd_sectors(d) - 1);
    store_be32(d->ch->buffer + 4, CD_SECTOR);
    give_allocated(d, 8, 8);
}

static unsigned put_feature(uint8_t *b, uint16_t code, uint8_t flags, const uint8_t *data, uint8_t size)
{
    store_be16(b, code);
    b[2] = flags; /* version << 2 | persistent << 1 | current */
    b[3] = size;
    if (size) {
        memcpy(b + 4, data, size);
    }
    return 4 + size;
}

static void get_configuration(IdeDrive *d)
{
    const uint8_t *c = d->cdb;
    uint8_t *b = d->ch->buffer;
    bool present = block_inserted(d->blk) && !d->s.tray_open;
    bool dvd = present && block_size(d->blk) > UINT64_C(900) << 20;
    uint16_t profile = !present ? 0 : dvd ? 0x10 : 0x08, start = load_be16(c + 2);
    const uint8_t profiles[8] = { 0, 0x10, dvd, 0, 0, 0x08, present && !dvd, 0 };
    static const uint8_t core[8] = { 0, 0, 0, 2, 0, 0, 0, 0 }; /* ATAPI */
    static const uint8_t removable[4] = { 0x29, 0, 0, 0 };
    static const uint8_t random_read[8] = { 0, 0, 8, 0, 0, 1, 0, 0 };
    unsigned n = 8, kind = c[1] & 3;
    const struct {
        uint16_t code;
        uint8_t flags;
        const uint8_t *data;
        uint8_t size;
    } features[] = {
        { 0x0000, 0x03, profiles, 8 },
        { 0x0001, 0x0b, core, 8 },
        { 0x0003, 0x03, removable, 4 },
        { 0x0010, present, random_read, 8 },
        { 0x001e, present && !dvd, (const uint8_t[]){ 0, 0, 0, 0 }, 4 },
        { 0x001f, dvd, NULL, 0 },
    };

    memset(b, 0, 128);
    for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
        bool current = features[i].flags & 1;

        if (kind == 2 ? features[i].code == start
                      : features[i].code >= start && (kind == 0 || current)) {
            n += put_feature(b + n, features[i].code, features[i].flags, features[i].data, features[i].size);
        }
    }
    store_be32(b, n - 4);
    store_be16(b + 6, profile);
    give_allocated(d, n, load_be16(c + 7));
}

static void get_event(IdeDrive *d)
{
    const uint8_t *c = d->cdb;
    uint8_t *b = d->ch->buffer;

    if (!(c[1] & 1)) { /* only polled operation */
        check(d, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    memset(b, 0, 8);
    b[3] = 0x10; /* media events are supported */
    if (c[4] & 0x10) {
        store_be16(b, 6);
        b[2] = 4;
        b[4] = d->s.event;
        b[5] = (d->s.tray_open ? 1 : 0) | (block_inserted(d->blk) ? 2 : 0);
        d->s.event = 0;
        give_allocated(d, 8, load_be16(c + 7));
    } else {
        store_be16(b, 2);
        b[2] = 0x80;
        give_allocated(d, 4, load_be16(c + 7));
    }
}

static unsigned put_page(IdeDrive *d, uint8_t page, uint8_t *b)
{
    switch (page) {
    case 0x01: /* error recovery */
        memset(b, 0, 8);
        b[0] = 0x01;
        b[1] = 6;
        b[3] = 5;
        return 8;
    case 0x0e: /* audio: none, full volume */
        memset(b, 0, 16);
        b[0] = 0x0e;
        b[1] = 14;
        b[2] = 4;
        return 16;
    case 0x2a: /* capabilities */
        memset(b, 0, 22);
        b[0] = 0x2a;
        b[1] = 20;
        b[2] = 0x3b; /* reads CD-R, CD-RW, DVD-ROM, DVD-R */
        b[4] = 0x70;
        b[6] = 0x29 | (d->s.locked ? 2 : 0); /* tray, ejects, locks */
        store_be16(b + 8, 706);  /* 4x, in kB/s */
        store_be16(b + 12, 512); /* KiB of buffer */
        store_be16(b + 14, 706);
        return 22;
    default:
        return 0;
    }
}

static void mode_sense(IdeDrive *d)
{
    const uint8_t *c = d->cdb;
    uint8_t *b = d->ch->buffer, page = c[2] & 0x3f;
    static const uint8_t pages[] = { 0x01, 0x0e, 0x2a };
    unsigned n = 8;

    if (c[2] >> 6 == 3) {
        check(d, SENSE_ILLEGAL, ASC_SAVING_UNSUPPORTED);
        return;
    }
    memset(b, 0, 8);
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        if (page == pages[i] || page == 0x3f) {
            n += put_page(d, pages[i], b + n);
        }
    }
    if (n == 8) {
        check(d, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    store_be16(b, n - 2);
    b[2] = !block_inserted(d->blk) ? 0x70 : 0x01; /* no disc, or data CD 120 mm */
    give_allocated(d, n, load_be16(c + 7));
}

static void read_disc_information(IdeDrive *d)
{
    uint8_t *b = d->ch->buffer;

    memset(b, 0, 34);
    store_be16(b, 32);
    b[2] = 0x0e; /* complete, last session complete */
    b[3] = b[4] = b[5] = b[6] = 1;
    b[7] = 0x20;
    give_allocated(d, 34, load_be16(d->cdb + 7));
}

static void read_track_information(IdeDrive *d)
{
    uint8_t *b = d->ch->buffer;

    memset(b, 0, 36);
    store_be16(b, 34);
    b[2] = b[3] = 1;
    b[5] = 4;
    b[6] = 1;
    store_be32(b + 24, cd_sectors(d));
    give_allocated(d, 36, load_be16(d->cdb + 7));
}

static void read_dvd_structure(IdeDrive *d)
{
    uint8_t *b = d->ch->buffer;

    if (d->cdb[7] != 0 || block_size(d->blk) <= UINT64_C(900) << 20) {
        check(d, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    memset(b, 0, 2052);
    store_be16(b, 2050);
    b[4] = 0x01;            /* DVD-ROM, version 1 */
    b[5] = 0x0f;            /* 120 mm */
    b[6] = 0x01;            /* one layer */
    store_be32(b + 8, 0x30000);
    store_be32(b + 12, 0x30000 + cd_sectors(d) - 1);
    give_allocated(d, 2052, load_be16(d->cdb + 8));
}

static void mechanism_status(IdeDrive *d)
{
    memset(d->ch->buffer, 0, 8);
    d->ch->buffer[5] = 1;
    give_allocated(d, 8, load_be16(d->cdb + 8));
}

static void read_subchannel(IdeDrive *d)
{
    uint8_t *b = d->ch->buffer;

    memset(b, 0, 4);
    b[1] = 0x15; /* no audio status */
    give_allocated(d, 4, load_be16(d->cdb + 7));
}

/* ---- the tray ---- */

static void start_stop(IdeDrive *d)
{
    bool load_or_eject = d->cdb[4] & 2, start = d->cdb[4] & 1;

    if (load_or_eject) {
        if (!start && d->s.locked) {
            check(d, block_inserted(d->blk) ? SENSE_ILLEGAL : SENSE_NOT_READY, ASC_REMOVAL_PREVENTED);
            return;
        }
        if (d->s.tray_open == start) {
            d->s.tray_open = !start;
            d->s.event = start ? 2 : 3;
            d->s.medium_changed = start;
        }
    }
    good(d);
}

static bool needs_medium(uint8_t command)
{
    switch (command) {
    case 0x00:
    case 0x25:
    case 0x28:
    case 0x2b:
    case 0x42:
    case 0x43:
    case 0x51:
    case 0x52:
    case 0xa8:
    case 0xad:
    case 0xb9:
    case 0xbe:
        return true;
    default:
        return false;
    }
}

static void packet(IdeDrive *d)
{
    const uint8_t *c = d->cdb;

    trace("atapi_packet", "%s: %02x %02x %02x%02x%02x%02x", d->dev.id, c[0], c[1], c[2], c[3], c[4], c[5]);
    /* INQUIRY and REQUEST SENSE answer whatever the state; GET EVENT and GET CONFIGURATION too. */
    if (d->s.medium_changed && c[0] != 0x12 && c[0] != 0x03 && c[0] != 0x4a && c[0] != 0x46) {
        d->s.medium_changed = false;
        check(d, SENSE_ATTENTION, ASC_MEDIUM_CHANGED);
        return;
    }
    if (needs_medium(c[0]) && (!block_inserted(d->blk) || d->s.tray_open)) {
        check(d, SENSE_NOT_READY, ASC_NO_MEDIUM);
        return;
    }
    switch (c[0]) {
    case 0x00: /* TEST UNIT READY */
    case 0x2b: /* SEEK */
    case 0xbb: /* SET CD SPEED */
    case 0x4e: /* STOP PLAY */
    case 0x4b: /* PAUSE/RESUME */
        good(d);
        break;
    case 0x03:
        request_sense(d);
        break;
    case 0x12:
        inquiry(d);
        break;
    case 0x1b:
        start_stop(d);
        break;
    case 0x1e:
        d->s.locked = c[4] & 1;
        good(d);
        break;
    case 0x25:
        read_capacity(d);
        break;
    case 0x28:
        begin_read(d, load_be32(c + 2), load_be16(c + 7), false);
        break;
    case 0xa8:
        begin_read(d, load_be32(c + 2), load_be32(c + 6), false);
        break;
    case 0xbe:
        read_cd(d);
        break;
    case 0x42:
        read_subchannel(d);
        break;
    case 0x43:
        read_toc(d);
        break;
    case 0x46:
        get_configuration(d);
        break;
    case 0x4a:
        get_event(d);
        break;
    case 0x51:
        read_disc_information(d);
        break;
    case 0x52:
        read_track_information(d);
        break;
    case 0x5a:
        mode_sense(d);
        break;
    case 0xad:
        read_dvd_structure(d);
        break;
    case 0xbd:
        mechanism_status(d);
        break;
    default:
        check(d, SENSE_ILLEGAL, ASC_INVALID_OPCODE);
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
    ch->at = 0;
    ch->length = 12;
    ch->next = packet_received;
    ch->phase = PHASE_PACKET;
    ch->r.count = REASON_COMMAND;
    d->s.status = ATA_DRDY | ATA_DSC | ATA_DRQ;
}
