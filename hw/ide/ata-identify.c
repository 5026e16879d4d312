/* ATA disks: IDENTIFY DEVICE (ACS-2, 7.12; SATA 3.0, 13.2.1 for the serial words). */
#include "hw/ide/internal.h"
#include "util/bits.h"

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

static void put_geometry(const IdeDrive *d, uint16_t *w)
{
    uint64_t total = ata_sectors(d), chs;

    w[1] = d->cylinders;
    w[3] = 16;
    w[6] = 63;
    w[54] = d->cylinders;
    w[55] = d->s.heads;
    w[56] = d->s.sectors;
    chs = (uint64_t)w[54] * w[55] * w[56];
    w[57] = chs;
    w[58] = chs >> 16;
    w[60] = MIN(total, 0x0fffffff) & 0xffff;
    w[61] = MIN(total, 0x0fffffff) >> 16;
    for (int i = 0; i < 4; i++) {
        w[100 + i] = total >> 16 * i;
    }
}

/* Which commands there are (82 to 84), and which are in force (85 to 87). */
static void put_features(const IdeDrive *d, uint16_t *w)
{
    w[82] = 1 << 14 | 1 << 5 | 1 << 3 | 1;         /* NOP, write cache, power management, SMART */
    w[83] = 1 << 14 | 1 << 13 | 1 << 12 | 1 << 10; /* FLUSH CACHE (EXT), 48 bits */
    w[84] = 1 << 14 | 1 << 6 | 1 << 5 | 2 | 1;     /* FUA, general purpose logs, self test and error log */
    w[85] = 1 << 14 | (d->s.write_cache ? 1 << 5 : 0) | 1 << 3 | d->s.smart;
    w[86] = 1 << 13 | 1 << 12 | 1 << 10;
    w[87] = 1 << 14 | 1 << 6 | 1 << 5 | 2 | 1;
    if (d->wwn) {
        w[84] |= 1 << 8;
        w[87] |= 1 << 8;
        for (int i = 0; i < 4; i++) {
            w[108 + i] = d->wwn >> (48 - 16 * i);
        }
    }
}

static void put_transfer_modes(const IdeDrive *d, uint16_t *w)
{
    w[62] = 0;
    w[63] = 0x07 | ((d->s.dma_mode & 0xf8) == 0x20 ? 0x100 << (d->s.dma_mode & 7) : 0);
    w[64] = 3;
    w[65] = w[66] = w[67] = w[68] = 120;
    w[88] = 0x3f | ((d->s.dma_mode & 0xf8) == 0x40 ? 0x100 << (d->s.dma_mode & 7) : 0);
    if (d->ch->sata) {
        w[75] = 31;                       /* commands in a queue, less one */
        w[76] = 1 << 8 | 1 << 3 | 1 << 2 | 1 << 1; /* queues; three speeds */
        w[222] = 0x1020;                  /* serial, SATA 2.6 */
    } else {
        w[93] = 1 | 1 << 14 | 0x2000;     /* 80-wire cable */
    }
}

void ata_identify(IdeDrive *d)
{
    uint16_t w[256] = { 0 };
    uint8_t sum = 0;

    w[0] = 0x0040;
    ata_string(w + 10, d->serial, 20);
    w[22] = 4;
    ata_string(w + 23, d->version, 8);
    ata_string(w + 27, d->model, 40);
    w[47] = 0x8010;               /* READ MULTIPLE: up to 16 */
    w[48] = 0;                    /* once "32-bit data port", now "trusted computing" */
    w[49] = 1 << 11 | 1 << 9 | (d->ch->dma ? 1 << 8 : 0); /* IORDY, LBA, DMA */
    w[51] = w[52] = 0x200;
    w[53] = 7;                    /* words 54-58, 64-70 and 88 are valid */
    w[59] = d->s.multiple ? 0x100 | d->s.multiple : 0;
    w[80] = 0x1f0;                /* ATA-4 to ATA8 */
    w[81] = 0x16;
    put_geometry(d, w);
    put_features(d, w);
    put_transfer_modes(d, w);
    w[106] = 0x4000;
    if (d->physical_block > BLOCK_SECTOR) {
        w[106] |= 1 << 13 | __builtin_ctz(d->physical_block / BLOCK_SECTOR);
    }
    if (d->ch->dma && d->discard_granularity) {
        w[105] = 8;               /* sectors of ranges at once */
        w[169] = 1;               /* TRIM */
    }
    w[209] = 0x4000;
    w[217] = d->rotation_rate;
    w[255] = 0xa5;                /* a checksum follows */
    memcpy(d->ch->buffer, w, 512);
    for (int i = 0; i < 511; i++) {
        sum += d->ch->buffer[i];
    }
    d->ch->buffer[511] = -sum;
}
