/* Floppy media by the size of their image, and the drives that suit them. */
#include "hw/block/fdc-internal.h"

enum { RATE_500K, RATE_300K, RATE_250K, RATE_1M };

/* The first of a size wins; images of other sizes count as the next larger of the standard ones. */
static const FloppyMedium media[] = {
    { 80, 2, 18, RATE_500K, false }, { 80, 2, 36, RATE_1M, false },   { 80, 2, 9, RATE_250K, false },
    { 80, 2, 15, RATE_500K, true },  { 40, 2, 9, RATE_300K, true },   { 40, 2, 8, RATE_300K, true },
    { 40, 1, 9, RATE_300K, true },   { 40, 1, 8, RATE_300K, true },   { 80, 2, 21, RATE_500K, false },
    { 82, 2, 21, RATE_500K, false }, { 83, 2, 21, RATE_500K, false }, { 80, 2, 20, RATE_500K, false },
    { 80, 2, 10, RATE_250K, false }, { 82, 2, 10, RATE_250K, false }, { 83, 2, 10, RATE_250K, false },
    { 80, 2, 39, RATE_1M, false },   { 80, 2, 40, RATE_1M, false },   { 80, 2, 44, RATE_1M, false },
    { 80, 2, 48, RATE_1M, false },
};
enum { MEDIUM_1440K, MEDIUM_2880K };

static uint64_t capacity(const FloppyMedium *m)
{
    return (uint64_t)m->cylinders * m->heads * m->sectors * FDC_SECTOR;
}

static const FloppyMedium *medium_of_size(uint64_t size)
{
    for (size_t i = 0; i < G_N_ELEMENTS(media); i++) {
        if (capacity(&media[i]) == size) {
            return &media[i];
        }
    }
    return size < capacity(&media[MEDIUM_1440K]) ? &media[MEDIUM_1440K] : &media[MEDIUM_2880K];
}

const FloppyMedium *fdc_medium(const Fdc *fdc, int unit)
{
    if (unit >= FDC_UNITS || !fdc->type[unit] || !fdc->blk[unit] || !block_inserted(fdc->blk[unit])) {
        return NULL;
    }
    return medium_of_size(block_size(fdc->blk[unit]));
}

/* The usual drive that reads what is in it now: 1.44 MB when empty. */
FloppyType fdc_choose_type(const BlockBackend *blk)
{
    const FloppyMedium *m;

    if (!blk || !block_inserted(blk)) {
        return FLOPPY_1440K;
    }
    m = medium_of_size(block_size(blk));
    if (m->five_inch) {
        return FLOPPY_1200K;
    }
    return m->rate == RATE_1M ? FLOPPY_2880K : FLOPPY_1440K;
}

int fdc_track_step(const Fdc *fdc, int unit, const FloppyMedium *medium)
{
    return medium->cylinders <= 42 && fdc->type[unit] != FLOPPY_360K ? 2 : 1;
}
