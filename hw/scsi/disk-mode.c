/* SCSI disks: mode pages, of which the write cache can be changed, and log pages (SPC-3, SBC-3). */
#include "hw/scsi/internal.h"

#include "util/bits.h"

#include <string.h>

enum { PAGE_ERRORS = 0x01, PAGE_GEOMETRY = 0x04, PAGE_CACHING = 0x08, PAGE_CONTROL = 0x0a, PAGE_EXCEPTIONS = 0x1c, ALL_PAGES = 0x3f };
enum { CURRENT, CHANGEABLE, DEFAULT, SAVED };
enum { CACHE_WCE = 0x04 };

static const uint8_t all_pages[] = { PAGE_ERRORS, PAGE_GEOMETRY, PAGE_CACHING, PAGE_CONTROL, PAGE_EXCEPTIONS };

void scsi_set_write_cache(ScsiDevice *dev, bool on)
{
    dev->s.write_cache = on;
    if (dev->blk && !dev->is_cd) {
        block_set_write_cache(dev->blk, on);
    }
}

/* What page 4 tells old systems; nothing else depends on it. */
static void put_geometry(const ScsiDevice *dev, uint8_t *b)
{
    uint64_t cylinders = MIN(block_size(dev->blk) / BLOCK_SECTOR / (255 * 63), 0xffffff);

    b[2] = cylinders >> 16;
    store_be16(b + 3, cylinders);
    b[5] = 255;
    store_be16(b + 20, dev->rotation_rate > 1 ? dev->rotation_rate : 5400);
}

/* Returns the size of the page, 0 if there is no such page. Unknown parts and what cannot change are zero. */
static unsigned put_page(const ScsiDevice *dev, uint8_t page, int control, uint8_t *b)
{
    bool values = control != CHANGEABLE;
    unsigned size = 0;

    switch (page) {
    case PAGE_ERRORS:
        size = 12;
        b[2] = values ? 0x80 : 0; /* automatic reallocation of writes */
        break;
    case PAGE_GEOMETRY:
        size = 24;
        if (values) {
            put_geometry(dev, b);
        }
        break;
    case PAGE_CACHING:
        size = 20;
        if (control == CHANGEABLE || (control == DEFAULT ? dev->write_cache_at_reset : dev->s.write_cache)) {
            b[2] = CACHE_WCE;
        }
        break;
    case PAGE_CONTROL:
        size = 12;
        b[3] = values ? 0x10 : 0; /* unrestricted reordering */
        break;
    case PAGE_EXCEPTIONS:
        size = 12;
        break;
    default:
        return 0;
    }
    b[0] = page;
    b[1] = size - 2;
    return size;
}

static unsigned put_block_descriptor(const ScsiDevice *dev, uint8_t *b)
{
    uint64_t blocks = block_size(dev->blk) / dev->logical_block;

    store_be32(b, MIN(blocks, 0xffffff));
    store_be32(b + 4, dev->logical_block);
    b[4] = 0;
    return 8;
}

void scsi_mode_sense(ScsiRequest *r)
{
    const ScsiDevice *dev = r->dev;
    const uint8_t *c = r->cdb;
    bool six = c[0] == 0x1a, descriptor = !(c[1] & 8);
    uint8_t b[256] = { 0 }, page = c[2] & 0x3f, specific;
    unsigned n = six ? 4 : 8, pages = 0, control = c[2] >> 6;

    if (control == SAVED) {
        scsi_check(r, sense_saving_unsupported);
        return;
    }
    if (descriptor) {
        n += put_block_descriptor(dev, b + n);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(all_pages); i++) {
        if ((page == ALL_PAGES || page == all_pages[i]) && (c[3] == 0 || c[3] == 0xff)) {
            pages += put_page(dev, all_pages[i], control, b + n + pages);
        }
    }
    if (!pages) {
        scsi_check(r, sense_invalid_field);
        return;
    }
    n += pages;
    specific = 0x10 | (block_readonly(dev->blk) ? 0x80 : 0); /* FUA; write protected */
    if (six) {
        b[0] = n - 1;
        b[2] = specific;
        b[3] = descriptor ? 8 : 0;
        scsi_answer(r, b, n, c[4]);
    } else {
        store_be16(b, n - 2);
        b[3] = specific;
        b[7] = descriptor ? 8 : 0;
        scsi_answer(r, b, n, load_be16(c + 7));
    }
}

/* Whether a page that was sent differs from the current one only where it may. */
static bool page_is_fine(const ScsiDevice *dev, const uint8_t *given, unsigned size)
{
    uint8_t now[32] = { 0 }, mask[32] = { 0 };
    unsigned expected = put_page(dev, given[0] & 0x3f, CURRENT, now);

    if (!expected || (given[0] & 0x40) || size != expected) {
        return false;
    }
    put_page(dev, given[0] & 0x3f, CHANGEABLE, mask);
    for (unsigned i = 2; i < size; i++) {
        if ((given[i] ^ now[i]) & ~mask[i]) {
            return false;
        }
    }
    return true;
}

/* Ends the command if it is wrong; `apply` false only looks. */
static bool take_pages(ScsiRequest *r, const uint8_t *b, unsigned size, bool apply)
{
    while (size) {
        unsigned length;

        if (size < 2 || (length = b[1] + 2u) > size) {
            scsi_check(r, sense_parameter_length);
            return false;
        }
        if (!page_is_fine(r->dev, b, length)) {
            scsi_check(r, sense_parameter_value);
            return false;
        }
        if (apply && (b[0] & 0x3f) == PAGE_CACHING) {
            scsi_set_write_cache(r->dev, b[2] & CACHE_WCE);
        }
        b += length;
        size -= length;
    }
    return true;
}

static void mode_received(ScsiRequest *r)
{
    bool six = r->cdb[0] == 0x15;
    const uint8_t *b = r->buffer;
    unsigned header = six ? 4 : 8, descriptor;

    if (r->chunk < header) {
        scsi_check(r, sense_parameter_length);
        return;
    }
    descriptor = six ? b[3] : load_be16(b + 6);
    if (header + descriptor > r->chunk || (descriptor != 0 && descriptor != 8)) {
        scsi_check(r, sense_parameter_length);
        return;
    }
    if (descriptor && (load_be32(b + header + 4) & 0xffffff) != r->dev->logical_block) {
        scsi_check(r, sense_parameter_value);
        return;
    }
    header += descriptor;
    if (!take_pages(r, b + header, r->chunk - header, false) || !take_pages(r, b + header, r->chunk - header, true)) {
        return;
    }
    if (r->dev->s.write_cache) {
        scsi_good(r);
    } else { /* what the cache held goes to the disk with it */
        block_flush(r->dev->blk, scsi_block(r, scsi_block_done), r);
    }
}

void scsi_mode_select(ScsiRequest *r)
{
    uint32_t size = r->cdb[0] == 0x15 ? r->cdb[4] : load_be16(r->cdb + 7);

    if ((r->cdb[1] & 0x11) != 0x10) { /* pages in the standard's format, not to be saved */
        scsi_check(r, sense_invalid_field);
    } else if (size) {
        scsi_collect(r, size, mode_received);
    } else {
        scsi_good(r);
    }
}

/* Log pages: the list, and informational exceptions of a healthy disk. */
void scsi_log_sense(ScsiRequest *r)
{
    uint8_t b[32] = { 0 }, page = r->cdb[2] & 0x3f;
    unsigned n = 4;

    if (r->cdb[3] || (page != 0x00 && page != 0x2f)) {
        scsi_check(r, sense_invalid_field);
        return;
    }
    if (page == 0x00) {
        b[n++] = 0x00;
        b[n++] = 0x2f;
    } else {
        b[n + 2] = 0x03;
        b[n + 3] = 4;
        b[n + 6] = 30; /* degrees */
        n += 8;
    }
    b[0] = page;
    store_be16(b + 2, n - 4);
    scsi_answer(r, b, n, load_be16(r->cdb + 7));
}
