/*
 * Data commands of the floppy controller: sectors between the image and the guest.
 *
 * One sector at a time goes through `data`: FETCH and IN for reading, OUT and STORE for writing, OUT and FETCH for scans.
 * All sectors of an image have 512 bytes and MFM encoding. Images have no place for deleted data marks, so these last as
 * long as the medium stays in its drive.
 */
#include "hw/block/fdc-internal.h"

#include "hw/dma/i8237.h"
#include "util/log.h"

#include <string.h>

enum { ST1_MISSING_MARK = 0x01, ST1_WRITE_PROTECTED = 0x02, ST1_NO_DATA = 0x04, ST1_OVERRUN = 0x10,
       ST1_DATA_ERROR = 0x20, ST1_END_OF_CYLINDER = 0x80 };
enum { ST2_WRONG_CYLINDER = 0x10, ST2_DATA_ERROR = 0x20, ST2_CONTROL_MARK = 0x40,
       ST2_SCAN_EQUAL = 0x08, ST2_SCAN_NOT_SATISFIED = 0x04 };
enum { COMMAND_MT = 0x80, COMMAND_MFM = 0x40, COMMAND_SKIP = 0x20, COMMAND_KIND = 0x1f };
enum { READ_TRACK = 0x02, WRITE_DELETED = 0x09, READ_DELETED = 0x0c, FORMAT = 0x0d, SCAN_EQUAL = 0x11, VERIFY = 0x16,
       SCAN_LOW = 0x19, SCAN_HIGH = 0x1d };
enum { SIZE_CODE = 2 /* 128 << 2 bytes */, VERIFY_COUNT = 0x80 };

#define SHORT_DELAY (200 * NS_PER_US)
#define SECTOR_END  (1 * NS_PER_MS)
#define REVOLUTION  (200 * NS_PER_MS)

static int kind(const FdcState *s)
{
    return s->command[0] & COMMAND_KIND;
}

static int unit_of(const FdcState *s)
{
    return s->command[1] & 3;
}

static int side_of(const FdcState *s)
{
    return s->command[1] >> 2 & 1;
}

static void fail(Fdc *fdc, uint8_t st1, uint8_t st2)
{
    fdc->s.st1 |= st1;
    fdc->s.st2 |= st2;
    fdc_finish_later(fdc, SHORT_DELAY);
}

/* ---- what is under the head ---- */

/* The medium if this head can make out anything on it at the programmed rate. */
static const FloppyMedium *readable(Fdc *fdc)
{
    const FdcState *s = &fdc->s;
    const FloppyMedium *m = fdc_medium(fdc, unit_of(s));
    uint8_t rate;

    if (!m || !(s->command[0] & COMMAND_MFM) || side_of(s) >= m->heads) {
        return NULL;
    }
    /* A 360 KB drive turns at 300/min and thus needs 250 kbit/s, 1.2 MB drives turn faster. */
    rate = m->rate == 1 && fdc->type[unit_of(s)] == FLOPPY_360K ? 2 : m->rate;
    return rate == s->rate ? m : NULL;
}

static bool is_on(const FdcState *s, const FloppyMedium *m)
{
    return s->cylinder < m->cylinders && s->head < m->heads && s->sector && s->sector <= m->sectors;
}

/* The medium of the sector under way; NULL: it has been taken out, or another is there. */
static const FloppyMedium *current_medium(Fdc *fdc)
{
    const FloppyMedium *m = fdc_medium(fdc, unit_of(&fdc->s));

    return m && is_on(&fdc->s, m) ? m : NULL;
}

/* Reports a sector that is not there. */
static bool find_sector(Fdc *fdc, const FloppyMedium *m)
{
    FdcState *s = &fdc->s;

    if (!is_on(s, m)) {
        fail(fdc, ST1_NO_DATA, s->cylinder >= m->cylinders ? ST2_WRONG_CYLINDER : 0);
        return false;
    }
    return true;
}

static unsigned sector_number(const FdcState *s, const FloppyMedium *m)
{
    return (s->cylinder * m->heads + s->head) * m->sectors + s->sector - 1;
}

static uint64_t sector_offset(const FdcState *s, const FloppyMedium *m)
{
    return (uint64_t)sector_number(s, m) * FDC_SECTOR;
}

static uint8_t *mark_byte(FdcState *s, const FloppyMedium *m)
{
    return &s->deleted[unit_of(s) * FDC_MARKS + sector_number(s, m) / 8];
}

static bool is_deleted(FdcState *s, const FloppyMedium *m)
{
    return *mark_byte(s, m) >> sector_number(s, m) % 8 & 1;
}

static void set_mark(FdcState *s, const FloppyMedium *m)
{
    uint8_t bit = 1 << sector_number(s, m) % 8;

    *mark_byte(s, m) = (*mark_byte(s, m) & ~bit) | (kind(s) == WRITE_DELETED ? bit : 0);
}

/* READ TRACK takes what comes, the others want one of the marks. */
static bool has_other_mark(FdcState *s, const FloppyMedium *m)
{
    return kind(s) != READ_TRACK && is_deleted(s, m) != (kind(s) == READ_DELETED);
}

static bool is_scan(const FdcState *s)
{
    return kind(s) == SCAN_EQUAL || kind(s) == SCAN_LOW || kind(s) == SCAN_HIGH;
}

/* ---- host side ---- */

static void sector_fetched(Fdc *fdc);
static void sector_stored(Fdc *fdc);

static void io_done(void *opaque, int error)
{
    Fdc *fdc = opaque;
    FdcState *s = &fdc->s;

    fdc->io_busy = false;
    if (fdc->io_operation == fdc->operation && (s->phase == FDC_FETCH || s->phase == FDC_STORE)) {
        if (error) {
            s->st1 |= ST1_DATA_ERROR;
            s->st2 |= ST2_DATA_ERROR;
            fdc_finish(fdc);
        } else if (s->phase == FDC_FETCH) {
            sector_fetched(fdc);
        } else {
            sector_stored(fdc);
        }
    }
    fdc_update(&fdc->isa.dev);
}

/* Called for every update in FETCH or STORE: begins the request unless one is under way. */
void fdc_start_io(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    const FloppyMedium *m = current_medium(fdc);
    BlockBackend *blk;
    uint64_t offset;

    if (fdc->io_busy) {
        return;
    }
    if (!m) { /* taken out meanwhile */
        fail(fdc, ST1_MISSING_MARK, 0);
        fdc_update(&fdc->isa.dev);
        return;
    }
    blk = fdc->blk[unit_of(s)];
    offset = sector_offset(s, m);
    fdc->io_busy = true;
    fdc->io_operation = fdc->operation;
    fdc->io_vector = (struct iovec){ fdc->io, FDC_SECTOR };
    if (s->phase == FDC_STORE) {
        if (kind(s) == FORMAT) {
            memset(fdc->io, s->command[5], FDC_SECTOR);
        } else {
            memcpy(fdc->io, s->data, FDC_SECTOR);
        }
        block_write(blk, offset, &fdc->io_vector, 1, 0, io_done, fdc);
    } else {
        /* Images may be shorter than their medium. */
        uint64_t size = block_size(blk);

        memset(fdc->io, 0, FDC_SECTOR);
        if (offset < size) {
            fdc->io_vector.iov_len = MIN(size - offset, FDC_SECTOR);
        } else {
            fdc->io_vector.iov_len = 0;
            offset = 0;
        }
        block_read(blk, offset, &fdc->io_vector, 1, io_done, fdc);
    }
}

/* ---- from sector to sector ---- */

typedef enum Next { NEXT_SECTOR, NEXT_CYLINDER } Next;

/* What follows the current sector, without going there. */
static Next next_sector(const FdcState *s, uint8_t *head, uint8_t *sector)
{
    bool both_sides = (s->command[0] & COMMAND_MT) && kind(s) != READ_TRACK;

    unsigned step = is_scan(s) && s->command[8] == 2 ? 2 : 1;

    *head = s->head;
    if (is_scan(s) ? s->sector + step <= s->command[6] : s->sector != s->command[6]) {
        *sector = s->sector + step;
        return NEXT_SECTOR;
    }
    *sector = 1;
    if (both_sides) {
        *head ^= 1;
        return s->head ? NEXT_CYLINDER : NEXT_SECTOR;
    }
    return NEXT_CYLINDER;
}

static void advance(FdcState *s)
{
    uint8_t head, sector;

    s->cylinder += next_sector(s, &head, &sector) == NEXT_CYLINDER;
    s->head = head;
    s->sector = sector;
}

/* On to the next sector with the wanted mark; false: there is none, the command has failed. */
static bool find_wanted(Fdc *fdc, const FloppyMedium *m)
{
    FdcState *s = &fdc->s;
    uint8_t head, sector;

    while ((s->command[0] & COMMAND_SKIP) && has_other_mark(s, m)) {
        s->st2 |= ST2_CONTROL_MARK;
        if (next_sector(s, &head, &sector) == NEXT_CYLINDER) {
            fail(fdc, ST1_END_OF_CYLINDER, 0);
            return false;
        }
        advance(s);
        if (!find_sector(fdc, m)) {
            return false;
        }
    }
    return true;
}

/* Without DMA a driver that has moved the last byte leaves its interrupt handler before the result's interrupt comes: the
 * end of the sector has yet to pass the head. */
static void end_transfer(Fdc *fdc)
{
    if (fdc->s.specify[1] & SPECIFY_NO_DMA) {
        fdc_finish_later(fdc, SECTOR_END);
    } else {
        fdc_finish(fdc);
    }
}

/* The current sector is done with; `again` is the phase of the next one. */
static void sector_ended(Fdc *fdc, FdcPhase again)
{
    FdcState *s = &fdc->s;
    const FloppyMedium *m = current_medium(fdc);
    uint8_t head, sector;
    bool is_last = s->terminal;

    if (kind(s) == VERIFY && (s->command[1] & VERIFY_COUNT)) {
        is_last = --s->sectors_left == 0;
    }
    if (again == FDC_FETCH && m && has_other_mark(s, m)) {
        s->st2 |= ST2_CONTROL_MARK;
        is_last = true;
    }
    if (is_last) {
        advance(s);
        end_transfer(fdc);
    } else if (next_sector(s, &head, &sector) == NEXT_CYLINDER) {
        if (kind(s) != VERIFY || (s->command[1] & VERIFY_COUNT)) {
            s->st1 |= ST1_END_OF_CYLINDER; /* the address stays that of the last sector */
        } else {
            advance(s);
        }
        end_transfer(fdc);
    } else {
        advance(s);
        if (!m) {
            fail(fdc, ST1_MISSING_MARK, 0);
        } else if (find_sector(fdc, m) && (again != FDC_FETCH || find_wanted(fdc, m))) {
            s->at = 0;
            s->phase = again;
        }
    }
}

/* What a scan makes of a sector on the disk and the guest's bytes: ff on either side goes with everything. */
static uint8_t scan_status(const FdcState *s, const uint8_t *disk)
{
    bool equal = true, satisfied = true;

    for (int i = 0; i < s->at; i++) {
        uint8_t have = disk[i], want = s->data[i];

        if (have != want && have != 0xff && want != 0xff) {
            equal = false;
            satisfied &= kind(s) == SCAN_LOW ? have < want : kind(s) == SCAN_HIGH ? have > want : false;
        }
    }
    return equal ? ST2_SCAN_EQUAL : satisfied ? 0 : ST2_SCAN_NOT_SATISFIED;
}

static void sector_scanned(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    const FloppyMedium *m = current_medium(fdc);
    uint8_t head, sector;

    s->st2 = (s->st2 & ST2_CONTROL_MARK) | scan_status(s, fdc->io);
    if (!m) {
        fail(fdc, ST1_MISSING_MARK, 0);
    } else if (!(s->st2 & ST2_SCAN_NOT_SATISFIED) || s->terminal ||
               next_sector(s, &head, &sector) == NEXT_CYLINDER) {
        end_transfer(fdc); /* the address is that of the sector */
    } else {
        advance(s);
        if (find_sector(fdc, m) && find_wanted(fdc, m)) {
            s->at = 0;
            s->phase = FDC_OUT;
        }
    }
}

static void sector_fetched(Fdc *fdc)
{
    if (is_scan(&fdc->s)) {
        sector_scanned(fdc);
        return;
    }
    memcpy(fdc->s.data, fdc->io, FDC_SECTOR);
    if (kind(&fdc->s) == VERIFY) {
        sector_ended(fdc, FDC_FETCH);
        return;
    }
    fdc->s.at = 0;
    fdc->s.size = FDC_SECTOR;
    fdc->s.phase = FDC_IN;
}

static void sector_stored(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    const FloppyMedium *m = current_medium(fdc);

    if (m) {
        set_mark(s, m);
    }
    if (kind(s) != FORMAT) {
        sector_ended(fdc, FDC_OUT);
    } else if (--s->sectors_left == 0 || s->terminal) {
        end_transfer(fdc);
    } else {
        s->at = 0;
        s->phase = FDC_OUT;
    }
}

/* FORMAT has received a sector's address. */
static void format_sector(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    const FloppyMedium *m = fdc_medium(fdc, unit_of(s));

    if (!m) {
        fail(fdc, ST1_MISSING_MARK, 0);
        return;
    }
    s->sector = s->data[2];
    if (s->data[0] != s->cylinder || s->data[1] != s->head || s->data[3] != SIZE_CODE) {
        guest_error(fdc->isa.dev.id, "formats sector %u/%u/%u of size code %u at %u/%u: no image can hold it",
                    s->data[0], s->data[1], s->data[2], s->data[3], s->cylinder, s->head);
        fail(fdc, ST1_NO_DATA, 0);
    } else if (find_sector(fdc, m)) {
        s->phase = FDC_STORE;
    }
}

/* The guest has given or taken all of `data`, or the DMA controller wants no more. */
static void data_ended(Fdc *fdc)
{
    FdcState *s = &fdc->s;

    if (s->phase == FDC_IN) {
        sector_ended(fdc, FDC_FETCH);
    } else if (kind(s) == FORMAT) {
        if (s->at == s->size) {
            format_sector(fdc);
        } else {
            fail(fdc, ST1_OVERRUN, 0);
        }
    } else if (is_scan(s)) {
        s->phase = FDC_FETCH;
    } else {
        memset(s->data + s->at, 0, FDC_SECTOR - s->at);
        s->phase = FDC_STORE;
    }
}

/* Moves what the DMA controller lets through. */
void fdc_run_dma(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    Device *dma = isa_dma();

    while ((s->phase == FDC_IN || s->phase == FDC_OUT) && fdc_uses_dma(fdc)) {
        size_t left = s->size - s->at, moved;
        bool terminal = false;

        moved = s->phase == FDC_IN
                    ? i8237_to_memory(dma, fdc->isa.dma, s->data + s->at, left, &terminal)
                    : i8237_from_memory(dma, fdc->isa.dma, s->data + s->at, left, &terminal);
        s->at += moved;
        s->terminal |= terminal;
        if (!moved) {
            if (i8237_running(dma, fdc->isa.dma)) {
                guest_error(fdc->isa.dev.id, "DMA is programmed for the other direction");
                s->st1 |= ST1_OVERRUN;
                fdc_finish(fdc);
            }
            break;
        }
        if (s->at == s->size || terminal) {
            data_ended(fdc);
        }
    }
}

uint8_t fdc_read_data(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    uint8_t value = s->data[s->at++];

    if (s->at == s->size) {
        data_ended(fdc);
    }
    return value;
}

void fdc_write_data(Fdc *fdc, uint8_t value)
{
    FdcState *s = &fdc->s;

    s->data[s->at++] = value;
    if (s->at == s->size) {
        data_ended(fdc);
    }
}

/* ---- beginnings ---- */

/* Common to reading and writing: C, H, R, N, EOT in bytes 2 to 6. NULL: it has failed. */
static const FloppyMedium *begin(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    const FloppyMedium *m = readable(fdc);
    int unit = unit_of(s), track;

    s->cylinder = s->command[2];
    s->head = s->command[3];
    s->sector = kind(s) == READ_TRACK ? 1 : s->command[4];
    if (!m) {
        fail(fdc, ST1_MISSING_MARK, 0);
        return NULL;
    }
    if (s->head != side_of(s) || s->command[5] != SIZE_CODE) {
        fail(fdc, ST1_NO_DATA, 0);
        return NULL;
    }
    if (!find_sector(fdc, m)) {
        return NULL;
    }
    /* Also without CONFIGURE's implied seek: nobody means another cylinder than the one named. */
    track = s->cylinder * fdc_track_step(fdc, unit, m);
    if (track != s->track[unit]) {
        s->track[unit] = track;
        s->changed[unit] = false;
    }
    return m;
}

void fdc_begin_read(Fdc *fdc)
{
    const FloppyMedium *m = begin(fdc);

    if (m && find_wanted(fdc, m)) {
        fdc->s.sectors_left = fdc->s.command[8];
        fdc->s.phase = FDC_FETCH;
    }
}

void fdc_begin_scan(Fdc *fdc)
{
    const FloppyMedium *m = begin(fdc);

    if (m && find_wanted(fdc, m)) {
        fdc->s.size = FDC_SECTOR;
        fdc->s.phase = FDC_OUT;
    }
}

static bool may_write(Fdc *fdc)
{
    if (!block_readonly(fdc->blk[unit_of(&fdc->s)])) {
        return true;
    }
    fail(fdc, ST1_WRITE_PROTECTED, 0);
    return false;
}

void fdc_begin_write(Fdc *fdc)
{
    if (begin(fdc) && may_write(fdc)) {
        fdc->s.size = FDC_SECTOR;
        fdc->s.phase = FDC_OUT;
    }
}

/* N, sectors, gap, filler in bytes 2 to 5; each sector's C, H, R, N come as data. */
void fdc_begin_format(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    const FloppyMedium *m = readable(fdc);

    s->head = side_of(s);
    s->sector = 1;
    if (!m) {
        fail(fdc, ST1_MISSING_MARK, 0);
        return;
    }
    s->cylinder = s->track[unit_of(s)] / fdc_track_step(fdc, unit_of(s), m);
    if (!may_write(fdc)) {
        return;
    }
    s->sectors_left = s->command[3];
    s->size = 4;
    if (s->sectors_left) {
        s->phase = FDC_OUT;
    } else {
        fdc_finish_later(fdc, SHORT_DELAY);
    }
}

/* The next sector's address as the disk turns. */
void fdc_read_id(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    const FloppyMedium *m = readable(fdc);

    s->head = side_of(s);
    if (!m) {
        fail(fdc, ST1_MISSING_MARK, 0);
        return;
    }
    s->cylinder = s->track[unit_of(s)] / fdc_track_step(fdc, unit_of(s), m);
    if (s->cylinder >= m->cylinders) {
        fail(fdc, ST1_MISSING_MARK, 0);
        return;
    }
    s->sector = clock_now(CLOCK_GUEST) % REVOLUTION * m->sectors / REVOLUTION + 1;
    fdc_finish_later(fdc, SHORT_DELAY);
}
