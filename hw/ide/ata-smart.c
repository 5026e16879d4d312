/* ATA disks: SMART and the general purpose logs, of a disk that is well (ACS-2, 7.48, A.1). */
#include "core/clock.h"
#include "hw/ide/internal.h"
#include "util/bits.h"

#include <string.h>

enum { READ_DATA = 0xd0, READ_THRESHOLDS, AUTOSAVE, EXECUTE = 0xd4, READ_LOG, WRITE_LOG, ENABLE = 0xd8, DISABLE, STATUS };
enum { LOG_DIRECTORY = 0x00, LOG_ERRORS = 0x01, LOG_SELF_TESTS = 0x06, LOG_NCQ_ERROR = 0x10 };

typedef struct Attribute {
    uint8_t id;
    uint16_t flags; /* bit 0: a failure is near if it falls to the threshold; bit 1: collected on-line */
    uint8_t value, threshold;
    uint32_t raw;
} Attribute;

static const Attribute attributes[] = {
    { 1, 0x0003, 100, 6, 0 },     /* read errors */
    { 3, 0x0003, 100, 0, 16 },    /* spin-up time */
    { 4, 0x0002, 100, 20, 1 },    /* starts and stops */
    { 5, 0x0003, 100, 36, 0 },    /* reallocated sectors */
    { 9, 0x0003, 100, 0, 0 },     /* hours: counted */
    { 12, 0x0003, 100, 0, 1 },    /* power cycles */
    { 190, 0x0003, 69, 50, 31 },  /* degrees below 100 */
    { 194, 0x0002, 31, 0, 31 },   /* degrees */
    { 197, 0x0012, 100, 0, 0 },   /* sectors that are pending */
    { 198, 0x0010, 100, 0, 0 },   /* and that cannot be corrected */
};

static uint32_t hours(void)
{
    return clock_now(CLOCK_GUEST) / NS_PER_SECOND / 3600;
}

static void put_sum(uint8_t *b)
{
    uint8_t sum = 0;

    for (int i = 0; i < 511; i++) {
        sum += b[i];
    }
    b[511] = -sum;
}

static void put_data(uint8_t *b)
{
    memset(b, 0, 512);
    b[0] = 1;
    for (size_t i = 0; i < G_N_ELEMENTS(attributes); i++) {
        const Attribute *a = &attributes[i];
        uint8_t *entry = b + 2 + 12 * i;

        entry[0] = a->id;
        store_le16(entry + 1, a->flags);
        entry[3] = entry[4] = a->value;
        store_le32(entry + 5, a->id == 9 ? hours() : a->raw);
    }
    b[362] = 0x02;              /* off-line data collection: done */
    store_le16(b + 364, 60);    /* seconds it takes */
    b[367] = 0x19;              /* EXECUTE OFF-LINE, self test */
    store_le16(b + 368, 0x03);
    b[370] = 1;                 /* error log */
    b[372] = 1;                 /* minutes of the self tests */
    b[373] = 2;
    put_sum(b);
}

static void put_thresholds(uint8_t *b)
{
    memset(b, 0, 512);
    b[0] = 1;
    for (size_t i = 0; i < G_N_ELEMENTS(attributes); i++) {
        b[2 + 12 * i] = attributes[i].id;
        b[3 + 12 * i] = attributes[i].threshold;
    }
    put_sum(b);
}

/* False: there is no such log. */
static bool put_log(IdeDrive *d, uint8_t log, uint8_t *b)
{
    memset(b, 0, 512);
    switch (log) {
    case LOG_DIRECTORY:
        b[0] = 1;
        b[2 * LOG_ERRORS] = b[2 * LOG_SELF_TESTS] = 1;
        b[2 * LOG_NCQ_ERROR] = d->ch->sata;
        return true;
    case LOG_ERRORS:
        b[0] = 1;
        put_sum(b);
        return true;
    case LOG_SELF_TESTS:
        store_le16(b, 1);
        if (d->s.self_test) {
            b[2] = d->s.self_test - 1; /* which; and it passed */
            store_le16(b + 4, hours());
            b[508] = 1;
        }
        put_sum(b);
        return true;
    case LOG_NCQ_ERROR:
        if (!d->ch->sata) {
            return false;
        }
        b[0] = d->ncq_error ? d->ncq_error >> 16 & 31 : 0x80; /* the tag, or none of the queue */
        b[2] = d->ncq_error >> 8;
        b[3] = d->ncq_error;
        for (int i = 0; i < 3; i++) {
            b[4 + i] = d->ncq_error_sector >> 8 * i;
            b[8 + i] = d->ncq_error_sector >> (24 + 8 * i);
        }
        b[7] = SELECT_LBA;
        put_sum(b);
        d->ncq_error = 0;
        return true;
    default:
        return false;
    }
}

static void give_buffer(IdeDrive *d)
{
    IdeChannel *ch = d->ch;

    if (ch->dma->transfer(ch->dma_opaque, ch->buffer, 512, true) != 512) {
        ide_abort(d);
        return;
    }
    ch->dma->request(ch->dma_opaque, false);
    ide_done(d);
}

void ata_read_log(IdeDrive *d, bool ext)
{
    IdeChannel *ch = d->ch;
    unsigned count = ext ? ch->r.hob_count << 8 | ch->r.count : ch->r.count;

    if (count != 1 || (ext && (ch->r.lba1 || ch->r.hob_lba1)) || !put_log(d, ch->r.lba0, ch->buffer)) {
        ide_abort(d);
    } else if (ch->r.command == 0x47) {
        if (!ch->dma) {
            ide_abort(d);
            return;
        }
        ch->is_dma = true;
        ide_dma_begin(d, give_buffer);
    } else {
        ide_data_in(d, 512, ide_end_quietly);
    }
}

/* Tests pass at once. Off-line, short, extended; as a captive, too. */
static void self_test(IdeDrive *d)
{
    uint8_t kind = d->ch->r.lba0;

    if ((kind & 0x7f) > 2) {
        ide_abort(d);
        return;
    }
    d->s.self_test = kind + 1;
    ide_done(d);
}

void ata_smart(IdeDrive *d)
{
    IdeRegs *r = &d->ch->r;

    if (r->lba1 != 0x4f || r->lba2 != 0xc2 || (!d->s.smart && r->feature != ENABLE)) {
        ide_abort(d);
        return;
    }
    switch (r->feature) {
    case READ_DATA:
        put_data(d->ch->buffer);
        ide_data_in(d, 512, ide_end_quietly);
        break;
    case READ_THRESHOLDS:
        put_thresholds(d->ch->buffer);
        ide_data_in(d, 512, ide_end_quietly);
        break;
    case READ_LOG:
        ata_read_log(d, false);
        break;
    case EXECUTE:
        self_test(d);
        break;
    case ENABLE:
    case DISABLE:
        d->s.smart = r->feature == ENABLE;
        ide_done(d);
        break;
    case AUTOSAVE:
    case STATUS: /* the signature stays: all is well */
        ide_done(d);
        break;
    default:
        ide_abort(d);
    }
}
