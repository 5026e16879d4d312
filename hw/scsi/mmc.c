/*
 * CD and DVD drives: what they tell of themselves and of the disc, and the tray.
 *
 * MMC-5; SFF-8020i for old drivers.
 */
#include "hw/scsi/mmc.h"

#include "util/bits.h"

#include <string.h>

typedef struct Mmc {
    MmcState *s;
    BlockBackend *blk;
    const uint8_t *cdb;
    uint8_t *b; /* the answer */
    bool atapi;
} Mmc;

static uint32_t disc_sectors(const Mmc *m)
{
    return MIN(block_size(m->blk) / MMC_SECTOR, UINT32_MAX);
}

static bool disc_present(const Mmc *m)
{
    return block_inserted(m->blk) && !m->s->tray_open;
}

/* What is larger than any CD. */
static bool is_dvd(const Mmc *m)
{
    return disc_present(m) && block_size(m->blk) > UINT64_C(900) << 20;
}

static MmcAnswer done(void)
{
    return (MmcAnswer){ .kind = MMC_DONE };
}

static MmcAnswer failed(ScsiSense sense)
{
    return (MmcAnswer){ .kind = MMC_FAILED, .sense = sense };
}

/* At most what the command allocated for its answer; the rest of it never was to be sent. */
static MmcAnswer answer(uint32_t size, uint32_t allocated)
{
    return (MmcAnswer){ .kind = MMC_DATA, .size = MIN(size, allocated) };
}

/* ---- reading ---- */

void mmc_make_raw(uint8_t out[MMC_RAW_SECTOR], const uint8_t data[MMC_SECTOR], uint32_t lba)
{
    uint32_t frame = lba + 150;

    memset(out, 0, MMC_RAW_SECTOR);
    memset(out + 1, 0xff, 10);
    out[12] = frame / 75 / 60 / 10 << 4 | frame / 75 / 60 % 10;
    out[13] = frame / 75 % 60 / 10 << 4 | frame / 75 % 60 % 10;
    out[14] = frame % 75 / 10 << 4 | frame % 75 % 10;
    out[15] = 1;
    memcpy(out + 16, data, MMC_SECTOR);
}

static MmcAnswer read_sectors(const Mmc *m, uint32_t lba, uint32_t count, bool raw)
{
    if (!count) {
        return done();
    }
    if (lba >= disc_sectors(m) || count > disc_sectors(m) - lba) {
        return failed(sense_lba_range);
    }
    return (MmcAnswer){ .kind = MMC_READ, .lba = lba, .count = count, .raw = raw };
}

static MmcAnswer read_cd(const Mmc *m)
{
    const uint8_t *c = m->cdb;
    uint32_t count = c[6] << 16 | c[7] << 8 | c[8];

    switch (c[9] & 0xf8) {
    case 0x00: /* no data wanted */
        return done();
    case 0x10:
        return read_sectors(m, load_be32(c + 2), count, false);
    case 0xf8:
        return read_sectors(m, load_be32(c + 2), count, true);
    default:
        return failed(sense_invalid_field);
    }
}

/* ---- the disc ---- */

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

/* One data track, then the lead-out; returns the size, 0 for a track that is not there. */
static unsigned put_tracks(const Mmc *m, bool msf, unsigned start)
{
    uint8_t *b = m->b;
    unsigned n = 4;

    if (start > 1 && start != 0xaa) {
        return 0;
    }
    if (start <= 1) {
        b[n + 1] = 0x14;
        b[n + 2] = 1;
        put_msf(b + n + 4, 0, msf);
        n += 8;
    }
    b[n + 1] = 0x16;
    b[n + 2] = 0xaa;
    put_msf(b + n + 4, disc_sectors(m), msf);
    return n + 8;
}

/* The points of the lead-in: first track, last track, lead-out, track 1. */
static unsigned put_full_toc(const Mmc *m)
{
    static const uint8_t points[4] = { 0xa0, 0xa1, 0xa2, 0x01 };
    uint8_t *b = m->b + 4;

    for (int i = 0; i < 4; i++, b += 11) {
        b[0] = 1;
        b[1] = 0x14;
        b[3] = points[i];
        if (i < 2) {
            b[8] = 1;
        } else {
            put_msf(b + 7, i == 2 ? disc_sectors(m) : 0, true);
        }
    }
    return b - m->b;
}

static MmcAnswer read_toc(const Mmc *m)
{
    const uint8_t *c = m->cdb;
    uint8_t *b = m->b;
    bool msf = c[1] & 2;
    unsigned format = c[2] & 15 ? c[2] & 15 : c[9] >> 6, n = 0;

    b[2] = b[3] = 1;
    switch (format) {
    case 0:
        n = put_tracks(m, msf, c[6]);
        break;
    case 1: /* session information: one session */
        b[5] = 0x14;
        b[6] = 1;
        put_msf(b + 8, 0, msf);
        n = 12;
        break;
    case 2:
        n = put_full_toc(m);
        break;
    }
    if (!n) {
        return failed(sense_invalid_field);
    }
    store_be16(b, n - 2);
    return answer(n, load_be16(c + 7));
}

static MmcAnswer read_capacity(const Mmc *m)
{
    store_be32(m->b, disc_sectors(m) - 1);
    store_be32(m->b + 4, MMC_SECTOR);
    return answer(8, 8);
}

static MmcAnswer read_disc_information(const Mmc *m)
{
    uint8_t *b = m->b;

    store_be16(b, 32);
    b[2] = 0x0e; /* complete, last session complete */
    b[3] = b[4] = b[5] = b[6] = 1;
    b[7] = 0x20;
    return answer(34, load_be16(m->cdb + 7));
}

static MmcAnswer read_track_information(const Mmc *m)
{
    uint8_t *b = m->b;

    store_be16(b, 34);
    b[2] = b[3] = 1;
    b[5] = 4;
    b[6] = 1;
    store_be32(b + 24, disc_sectors(m));
    return answer(36, load_be16(m->cdb + 7));
}

static MmcAnswer read_dvd_structure(const Mmc *m)
{
    uint8_t *b = m->b;

    if (m->cdb[7] != 0 || !is_dvd(m)) {
        return failed(sense_invalid_field);
    }
    store_be16(b, 2050);
    b[4] = 0x01;            /* DVD-ROM, version 1 */
    b[5] = 0x0f;            /* 120 mm */
    b[6] = 0x01;            /* one layer */
    store_be32(b + 8, 0x30000);
    store_be32(b + 12, 0x30000 + disc_sectors(m) - 1);
    return answer(2052, load_be16(m->cdb + 8));
}

static MmcAnswer read_subchannel(const Mmc *m)
{
    m->b[1] = 0x15; /* no audio status */
    return answer(4, load_be16(m->cdb + 7));
}

/* ---- the drive ---- */

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

static MmcAnswer get_configuration(const Mmc *m)
{
    const uint8_t *c = m->cdb;
    bool present = disc_present(m), dvd = is_dvd(m);
    uint16_t profile = !present ? 0 : dvd ? 0x10 : 0x08, start = load_be16(c + 2);
    const uint8_t profiles[8] = { 0, 0x10, dvd, 0, 0, 0x08, present && !dvd, 0 };
    const uint8_t core[8] = { 0, 0, 0, m->atapi ? 2 : 1, 0, 0, 0, 0 };
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

    for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
        bool current = features[i].flags & 1;

        if (kind == 2 ? features[i].code == start
                      : features[i].code >= start && (kind == 0 || current)) {
            n += put_feature(m->b + n, features[i].code, features[i].flags, features[i].data,
                             features[i].size);
        }
    }
    store_be32(m->b, n - 4);
    store_be16(m->b + 6, profile);
    return answer(n, load_be16(c + 7));
}

static MmcAnswer get_event(const Mmc *m)
{
    const uint8_t *c = m->cdb;
    uint8_t *b = m->b;

    if (!(c[1] & 1)) { /* only polled operation */
        return failed(sense_invalid_field);
    }
    b[3] = 0x10; /* media events are supported */
    if (!(c[4] & 0x10)) {
        store_be16(b, 2);
        b[2] = 0x80;
        return answer(4, load_be16(c + 7));
    }
    store_be16(b, 6);
    b[2] = 4;
    b[4] = m->s->event;
    b[5] = (m->s->tray_open ? 1 : 0) | (block_inserted(m->blk) ? 2 : 0);
    m->s->event = 0;
    return answer(8, load_be16(c + 7));
}

static unsigned put_page(const Mmc *m, uint8_t page, uint8_t *b)
{
    switch (page) {
    case 0x01: /* error recovery */
        b[0] = 0x01;
        b[1] = 6;
        b[3] = 5;
        return 8;
    case 0x0e: /* audio: none, full volume */
        b[0] = 0x0e;
        b[1] = 14;
        b[2] = 4;
        return 16;
    default: /* 2a, capabilities */
        b[0] = 0x2a;
        b[1] = 20;
        b[2] = 0x3b; /* reads CD-R, CD-RW, DVD-ROM, DVD-R */
        b[4] = 0x70;
        b[6] = 0x29 | (m->s->locked ? 2 : 0); /* tray, ejects, locks */
        store_be16(b + 8, 706);  /* 4x, in kB/s */
        store_be16(b + 12, 512); /* KiB of buffer */
        store_be16(b + 14, 706);
        return 22;
    }
}

/* Headers of 4 bytes for the six-byte command, which packet drives lack, else 8. */
static MmcAnswer mode_sense(const Mmc *m)
{
    const uint8_t *c = m->cdb;
    bool six = c[0] == 0x1a;
    uint8_t *b = m->b, page = c[2] & 0x3f, medium = block_inserted(m->blk) ? 0x01 : 0x70;
    static const uint8_t pages[] = { 0x01, 0x0e, 0x2a };
    unsigned header = six ? 4 : 8, n = header;

    if (c[2] >> 6 == 3) {
        return failed(sense_saving_unsupported);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        if (page == pages[i] || page == 0x3f) {
            n += put_page(m, pages[i], b + n);
        }
    }
    if (n == header) {
        return failed(sense_invalid_field);
    }
    if (six) {
        b[0] = n - 1;
        b[1] = medium;
        return answer(n, c[4]);
    }
    store_be16(b, n - 2);
    b[2] = medium; /* no disc, or data CD 120 mm */
    return answer(n, load_be16(c + 7));
}

static MmcAnswer mechanism_status(const Mmc *m)
{
    m->b[5] = 1;
    return answer(8, load_be16(m->cdb + 8));
}

/* ---- the tray ---- */

bool mmc_start_stop(MmcState *s, BlockBackend *blk, const uint8_t *cdb, ScsiSense *sense)
{
    bool load_or_eject = cdb[4] & 2, start = cdb[4] & 1;

    if (!load_or_eject) {
        return true;
    }
    if (!start && s->locked) {
        *sense = sense_removal_prevented;
        sense->key = block_inserted(blk) ? sense->key : sense_no_medium.key;
        return false;
    }
    if (s->tray_open == start) {
        s->tray_open = !start;
        s->event = start ? 2 : 3;
        s->medium_changed = start;
    }
    return true;
}

void mmc_medium_changed(MmcState *s, bool loaded)
{
    s->tray_open = false;
    s->medium_changed = loaded;
    s->event = loaded ? 2 : 3;
}

void mmc_eject_request(MmcState *s)
{
    s->event = 1; /* the guest sees the button pressed */
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

static MmcAnswer carry_out(const Mmc *m)
{
    const uint8_t *c = m->cdb;
    ScsiSense sense;

    switch (c[0]) {
    case 0x00: /* TEST UNIT READY */
    case 0x2b: /* SEEK */
    case 0xbb: /* SET CD SPEED */
    case 0x4e: /* STOP PLAY */
    case 0x4b: /* PAUSE/RESUME */
        return done();
    case 0x1a:
        return m->atapi ? (MmcAnswer){ .kind = MMC_UNKNOWN } : mode_sense(m);
    case 0x1b:
        return mmc_start_stop(m->s, m->blk, c, &sense) ? done() : failed(sense);
    case 0x1e:
        m->s->locked = c[4] & 1;
        return done();
    case 0x25:
        return read_capacity(m);
    case 0x28:
        return read_sectors(m, load_be32(c + 2), load_be16(c + 7), false);
    case 0xa8:
        return read_sectors(m, load_be32(c + 2), load_be32(c + 6), false);
    case 0xbe:
        return read_cd(m);
    case 0x42:
        return read_subchannel(m);
    case 0x43:
        return read_toc(m);
    case 0x46:
        return get_configuration(m);
    case 0x4a:
        return get_event(m);
    case 0x51:
        return read_disc_information(m);
    case 0x52:
        return read_track_information(m);
    case 0x5a:
        return mode_sense(m);
    case 0xad:
        return read_dvd_structure(m);
    case 0xbd:
        return mechanism_status(m);
    default:
        return (MmcAnswer){ .kind = MMC_UNKNOWN };
    }
}

MmcAnswer mmc_command(MmcState *s, BlockBackend *blk, const uint8_t *cdb, bool atapi, uint8_t *buffer)
{
    Mmc m = { s, blk, cdb, buffer, atapi };

    memset(buffer, 0, MMC_ANSWER_MAX);
    /* GET CONFIGURATION and GET EVENT answer whatever the state. */
    if (s->medium_changed && cdb[0] != 0x4a && cdb[0] != 0x46) {
        s->medium_changed = false;
        return failed(sense_medium_changed);
    }
    if (needs_medium(cdb[0]) && !disc_present(&m)) {
        return failed(sense_no_medium);
    }
    return carry_out(&m);
}
