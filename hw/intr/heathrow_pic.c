/*
 * The interrupt controller of Heathrow: 64 sources in two banks, each with event, mask, clear and level words.
 *
 * Sources 0-31 are the bank at 20h of the macio, 32-63 the one at 10h. An edge sets its event until software clears it;
 * the sources of PCI slots and the like are levels, which no clearing makes go away.
 */
#include "hw/intr/heathrow_pic.h"

#include "util/log.h"

enum { EVENT, MASK, CLEAR, LEVEL };

#define HEATHROW_PIC_STATE(FIELD, ARRAY) \
    ARRAY(uint32_t, event, 2, 0)         \
    ARRAY(uint32_t, mask, 2, 0)          \
    ARRAY(uint32_t, level, 2, 0)

DEFINE_STATE(HeathrowPicState, HEATHROW_PIC_STATE);

typedef struct HeathrowPic {
    Device dev;
    HeathrowPicState s;
    Region *region;
    Line *inputs[HEATHROW_SOURCES];
    Line *external;
} HeathrowPic;

static const uint32_t level_sources[2] = { 0x1ff00000, 0 };

static uint32_t events(const HeathrowPicState *s, int bank)
{
    return s->event[bank] | (s->level[bank] & level_sources[bank]);
}

static void heathrow_pic_update(Device *dev)
{
    HeathrowPic *pic = (HeathrowPic *)dev;
    const HeathrowPicState *s = &pic->s;

    line_set(pic->external, (events(s, 0) & s->mask[0]) || (events(s, 1) & s->mask[1]));
}

static void input_changed(void *opaque, int n, bool level)
{
    HeathrowPic *pic = opaque;
    uint32_t bit = 1u << (n & 31);
    int bank = n >> 5;

    if (level) {
        pic->s.level[bank] |= bit;
        pic->s.event[bank] |= bit & ~level_sources[bank];
    } else {
        pic->s.level[bank] &= ~bit;
    }
    trace("heathrow_pic_input", "source %d is %d", n, level);
    heathrow_pic_update(&pic->dev);
}

/* The bank of sources 32-63 comes first. */
static int bank_at(PhysAddr offset)
{
    return offset < 16 ? 1 : 0;
}

static uint64_t pic_read(void *opaque, PhysAddr offset, unsigned size)
{
    const HeathrowPicState *s = &((HeathrowPic *)opaque)->s;
    int bank = bank_at(offset);

    switch (offset >> 2 & 3) {
    case EVENT:
        return events(s, bank);
    case MASK:
        return s->mask[bank];
    case LEVEL:
        return s->level[bank];
    default:
        return 0;
    }
}

static void pic_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    HeathrowPic *pic = opaque;
    int bank = bank_at(offset);

    switch (offset >> 2 & 3) {
    case MASK:
        pic->s.mask[bank] = value;
        break;
    case CLEAR: /* bit 31 asks for all of them */
        pic->s.event[bank] &= value & 0x80000000 ? 0 : ~value;
        break;
    }
    heathrow_pic_update(&pic->dev);
}

static const RegionOps pic_ops = { pic_read, pic_write, 4, 4, ENDIAN_LITTLE };

Region *heathrow_pic_region(Device *dev)
{
    return ((HeathrowPic *)dev)->region;
}

Line *heathrow_pic_input(Device *dev, int source)
{
    return ((HeathrowPic *)dev)->inputs[source];
}

void heathrow_pic_connect(Device *dev, Line *external)
{
    ((HeathrowPic *)dev)->external = external;
}

static bool heathrow_pic_realize(Device *dev, GError **error)
{
    HeathrowPic *pic = (HeathrowPic *)dev;

    pic->region = region_new_io("heathrow-pic", &pic_ops, pic, 32);
    for (int n = 0; n < HEATHROW_SOURCES; n++) {
        pic->inputs[n] = line_new(input_changed, pic, n);
    }
    return true;
}

/* The wires are as the devices on them left them. */
static void heathrow_pic_reset(Device *dev)
{
    HeathrowPic *pic = (HeathrowPic *)dev;

    for (int n = 0; n < HEATHROW_SOURCES; n++) {
        pic->s.level[n >> 5] |= (uint32_t)line_level(pic->inputs[n]) << (n & 31);
    }
}

const DeviceType heathrow_pic_type = {
    .name = "heathrow-pic",
    .about = "interrupt controller of Heathrow",
    .bus = "system",
    .size = sizeof(HeathrowPic),
    .state_at = offsetof(HeathrowPic, s),
    .state = HeathrowPicState_fields,
    .realize = heathrow_pic_realize,
    .reset = heathrow_pic_reset,
    .update = heathrow_pic_update,
};
