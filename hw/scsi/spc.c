/* SCSI commands that every unit has: INQUIRY with its vital product data, REPORT LUNS, sense (SPC-3, SBC-3). */
#include "hw/scsi/internal.h"

#include "util/bits.h"

#include <string.h>

enum { TYPE_DISK = 0x00, TYPE_CD = 0x05, TYPE_ABSENT = 0x7f };

static void put_padded(uint8_t *out, const char *text, size_t size)
{
    memset(out, ' ', size);
    memcpy(out, text, MIN(strlen(text), size));
}

static uint8_t device_type(const ScsiDevice *dev)
{
    return dev->is_cd ? TYPE_CD : TYPE_DISK;
}

static uint32_t allocation_length(const ScsiRequest *r)
{
    return load_be16(r->cdb + 3);
}

static void standard_inquiry(ScsiRequest *r)
{
    const ScsiDevice *dev = r->dev;
    uint8_t b[36] = { 0 };

    if (dev) {
        b[0] = device_type(dev);
        b[1] = dev->removable ? 0x80 : 0;
        put_padded(b + 8, dev->vendor, 8);
        put_padded(b + 16, dev->product, 16);
        put_padded(b + 32, dev->version, 4);
    } else {
        b[0] = TYPE_ABSENT;
    }
    b[2] = 5;    /* SPC-3 */
    b[3] = 0x12; /* hierarchical LUNs, response format 2 */
    b[4] = sizeof(b) - 5;
    b[7] = 0x02; /* command queueing */
    scsi_answer(r, b, sizeof(b), allocation_length(r));
}

/* ---- vital product data: each puts its page behind the header and returns its length ---- */

static unsigned put_serial(const ScsiDevice *dev, uint8_t *b)
{
    unsigned n = MIN(strlen(dev->serial), 36);

    memcpy(b, dev->serial, n);
    return n;
}

static unsigned put_descriptor(uint8_t *b, uint8_t set_and_kind, const void *data, unsigned size)
{
    b[0] = set_and_kind >> 4;
    b[1] = set_and_kind & 15;
    b[2] = 0;
    b[3] = size;
    memcpy(b + 4, data, size);
    return size + 4;
}

static unsigned put_identification(const ScsiDevice *dev, uint8_t *b)
{
    const char *given = dev->device_id && *dev->device_id ? dev->device_id : dev->serial;
    unsigned n = 0, length = MIN(strlen(given), 32);
    char text[8 + 32];

    put_padded((uint8_t *)text, dev->vendor, 8);
    memcpy(text + 8, given, length);
    n += put_descriptor(b, 0x21, text, 8 + length); /* ASCII, vendor and what it calls the unit */
    if (dev->wwn) {
        uint8_t name[8];

        store_be64(name, dev->wwn);
        n += put_descriptor(b + n, 0x13, name, 8); /* binary, NAA */
    }
    return n;
}

static unsigned put_limits(const ScsiDevice *dev, uint8_t *b)
{
    uint32_t block = dev->logical_block, discard = scsi_discard_granularity(dev);
    uint8_t *page = b - 4; /* offsets as the standard has them */

    store_be16(page + 6, MIN(dev->min_io / block, 0xffff));
    store_be32(page + 12, dev->opt_io / block);
    if (discard) {
        store_be32(page + 20, (UINT32_C(1) << 30) / block); /* blocks of one UNMAP */
        store_be32(page + 24, 255);                         /* and its descriptors */
        store_be32(page + 28, MAX(discard / block, 1));
    }
    store_be64(page + 36, (UINT64_C(1) << 31) / block); /* of one WRITE SAME */
    return 60;
}

static unsigned put_characteristics(const ScsiDevice *dev, uint8_t *b)
{
    store_be16(b, dev->rotation_rate);
    return 60;
}

static unsigned put_provisioning(const ScsiDevice *dev, uint8_t *b)
{
    b[1] = scsi_discard_granularity(dev) ? 0xe0 : 0; /* UNMAP, WRITE SAME (16) and (10) */
    b[2] = scsi_discard_granularity(dev) ? 2 : 0;    /* thin */
    return 4;
}

static unsigned put_page_list(const ScsiDevice *dev, uint8_t *b)
{
    unsigned n = 0;

    b[n++] = 0x00;
    if (*dev->serial) {
        b[n++] = 0x80;
    }
    b[n++] = 0x83;
    if (!dev->is_cd) {
        b[n++] = 0xb0;
        b[n++] = 0xb1;
        b[n++] = 0xb2;
    }
    return n;
}

static void product_data(ScsiRequest *r)
{
    const ScsiDevice *dev = r->dev;
    uint8_t b[256] = { 0 }, page = r->cdb[2];
    unsigned n;

    if (page == 0x00) {
        n = put_page_list(dev, b + 4);
    } else if (page == 0x80 && *dev->serial) {
        n = put_serial(dev, b + 4);
    } else if (page == 0x83) {
        n = put_identification(dev, b + 4);
    } else if (page == 0xb0 && !dev->is_cd) {
        n = put_limits(dev, b + 4);
    } else if (page == 0xb1 && !dev->is_cd) {
        n = put_characteristics(dev, b + 4);
    } else if (page == 0xb2 && !dev->is_cd) {
        n = put_provisioning(dev, b + 4);
    } else {
        scsi_check(r, sense_invalid_field);
        return;
    }
    b[0] = device_type(dev);
    b[1] = page;
    store_be16(b + 2, n);
    scsi_answer(r, b, n + 4, allocation_length(r));
}

static void inquiry(ScsiRequest *r)
{
    bool wants_page = r->cdb[1] & 1;

    if (r->cdb[1] & 2 || (!wants_page && r->cdb[2]) || (wants_page && !r->dev)) {
        scsi_check(r, sense_invalid_field);
    } else if (wants_page) {
        product_data(r);
    } else {
        standard_inquiry(r);
    }
}

/* ---- the others ---- */

static void report_luns(ScsiRequest *r)
{
    uint32_t allocated = load_be32(r->cdb + 6), n = 8;
    g_autofree uint8_t *b = NULL;

    if (allocated < 16 || r->cdb[2] > 2) {
        scsi_check(r, sense_invalid_field);
        return;
    }
    b = g_malloc0(8 + 8 * (gsize)MAX(r->bus->ops->luns, 1));
    if (r->cdb[2] != 1) { /* 1 asks for well-known units only: there are none */
        for (int lun = 0; lun < r->bus->ops->luns; lun++) {
            /* LUN 0 is always listed: it answers this command. */
            if (lun && !scsi_device_find(r->bus, r->channel, r->target, lun)) {
                continue;
            }
            b[n] = lun >= 256 ? 0x40 | lun >> 8 : 0; /* flat addressing above 255 */
            b[n + 1] = lun;
            n += 8;
        }
    }
    store_be32(b, n - 8);
    scsi_answer(r, b, n, allocated);
}

static void request_sense(ScsiRequest *r)
{
    ScsiDevice *dev = r->dev;
    ScsiRequest shown = { .sense = sense_invalid_lun };
    uint8_t b[SCSI_SENSE_SIZE];

    if (dev) {
        shown.sense = (ScsiSense){ dev->s.sense_key, dev->s.asc, dev->s.ascq };
        dev->s.sense_key = dev->s.asc = dev->s.ascq = 0;
        if (!shown.sense.key && dev->s.attention) { /* as good as by CHECK CONDITION */
            shown.sense = (ScsiSense){ sense_medium_changed.key, dev->s.attention >> 8, dev->s.attention & 0xff };
            dev->s.attention = 0;
        }
    }
    scsi_request_sense(&shown, b);
    scsi_answer(r, b, sizeof(b), r->cdb[4]);
}

void scsi_command(ScsiRequest *r)
{
    ScsiDevice *dev = r->dev;

    switch (r->cdb[0]) {
    case 0x03:
        request_sense(r);
        return;
    case 0x12:
        inquiry(r);
        return;
    case 0xa0:
        report_luns(r);
        return;
    }
    if (!dev) {
        scsi_check(r, sense_invalid_lun);
        return;
    }
    /* GET CONFIGURATION and GET EVENT STATUS leave it, too (MMC-5, 4.1.6). */
    if (dev->s.attention && r->cdb[0] != 0x46 && r->cdb[0] != 0x4a) {
        ScsiSense sense = { sense_medium_changed.key, dev->s.attention >> 8, dev->s.attention & 0xff };

        dev->s.attention = 0;
        scsi_check(r, sense);
        return;
    }
    switch (r->cdb[0]) {
    case 0x16: /* RESERVE, RELEASE: the only initiator has it anyway */
    case 0x17:
        scsi_good(r);
        break;
    case 0x1d: /* SEND DIAGNOSTIC: the self test passes */
        if (r->cdb[1] & 4) {
            scsi_good(r);
        } else {
            scsi_check(r, sense_invalid_field);
        }
        break;
    default:
        if (dev->is_cd) {
            scsi_cd_command(r);
        } else {
            scsi_disk_command(r);
        }
    }
}
