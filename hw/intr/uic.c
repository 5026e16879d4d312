/*
 * UIC: 32 interrupt inputs by bits, each to the processor's external or critical interrupt.
 *
 * PPC440EP Embedded Processor User's Manual, chapter 10 (Universal Interrupt Controller). Input 0 is the leftmost bit.
 */
#include "hw/intr/uic.h"

#include "util/log.h"

enum { SR, SRS, ER, CR, PR, TR, MSR, VR, VCR };

#define UIC_STATE(FIELD, ARRAY)                                                \
    FIELD(uint32_t, status, 0)                                                 \
    FIELD(uint32_t, enable, 0)                                                 \
    FIELD(uint32_t, critical, 0) /* of each input: to the critical interrupt */ \
    FIELD(uint32_t, polarity, 0)                                               \
    FIELD(uint32_t, edge, 0)     /* of each input: edges count, not levels */  \
    FIELD(uint32_t, vector, 0)                                                 \
    FIELD(uint32_t, level, 0)    /* of the wires */

DEFINE_STATE(UicState, UIC_STATE);

typedef struct Uic {
    Device dev;
    UicState s;
    Region *region;
    Line *inputs[UIC_INPUTS];
    Line *external, *critical;
} Uic;

static uint32_t masked(const UicState *s)
{
    return s->status & s->enable;
}

static void uic_update(Device *dev)
{
    Uic *uic = (Uic *)dev;
    UicState *s = &uic->s;

    line_set(uic->external, masked(s) & ~s->critical);
    line_set(uic->critical, masked(s) & s->critical);
}

static void input_changed(void *opaque, int n, bool level)
{
    Uic *uic = opaque;
    UicState *s = &uic->s;
    uint32_t bit = 0x80000000u >> n;

    if (level) {
        s->level |= bit;
        s->status |= bit;
    } else {
        s->level &= ~bit;
        s->status &= ~bit | s->edge;
    }
    trace("uic_input", "input %d is %d", n, level);
    uic_update(&uic->dev);
}

/* Where the handler of the most urgent critical interrupt is: 512 bytes for each, from the left or from the right on. */
static uint32_t vector_now(const UicState *s)
{
    enum { FROM_LEFT = 1, BASE = ~3 };
    uint32_t waiting = masked(s) & s->critical;
    unsigned place;

    if (!waiting) {
        return 0;
    }
    place = s->vector & FROM_LEFT ? __builtin_clz(waiting) : __builtin_ctz(waiting);
    return (s->vector & BASE) + place * 512;
}

static uint64_t uic_read(void *opaque, PhysAddr offset, unsigned size)
{
    const UicState *s = &((Uic *)opaque)->s;

    switch (offset / 4) {
    case SR:
    case SRS:
        return s->status;
    case ER:
        return s->enable;
    case CR:
        return s->critical;
    case PR:
        return s->polarity;
    case TR:
        return s->edge;
    case MSR:
        return masked(s);
    case VR:
        return vector_now(s);
    default: /* VCR is for writing */
        return 0;
    }
}

static void uic_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Uic *uic = opaque;
    UicState *s = &uic->s;

    switch (offset / 4) {
    case SR: /* what is still high comes again */
        s->status = (s->status & ~value) | (s->level & ~s->edge);
        break;
    case SRS:
        s->status |= value;
        break;
    case ER:
        s->enable = value;
        break;
    case CR:
        s->critical = value;
        break;
    case PR:
        s->polarity = value;
        break;
    case TR:
        s->edge = value;
        s->status |= s->level & ~s->edge;
        break;
    case VCR:
        s->vector = value;
        break;
    }
    uic_update(&uic->dev);
}

static const RegionOps uic_ops = { uic_read, uic_write, 4, 4, ENDIAN_LITTLE };

Region *uic_region(Device *dev)
{
    return ((Uic *)dev)->region;
}

Line *uic_input(Device *dev, int n)
{
    return ((Uic *)dev)->inputs[n];
}

void uic_connect(Device *dev, Line *external, Line *critical)
{
    ((Uic *)dev)->external = external;
    ((Uic *)dev)->critical = critical;
}

static bool uic_realize(Device *dev, GError **error)
{
    Uic *uic = (Uic *)dev;

    uic->region = region_new_io("uic", &uic_ops, uic, UIC_DCRS * 4);
    for (int n = 0; n < UIC_INPUTS; n++) {
        uic->inputs[n] = line_new(input_changed, uic, n);
    }
    return true;
}

/* Devices that were reset before drive their wires again: what they are now is the level. */
static void uic_reset(Device *dev)
{
    Uic *uic = (Uic *)dev;

    for (int n = 0; n < UIC_INPUTS; n++) {
        uic->s.level |= line_level(uic->inputs[n]) ? 0x80000000u >> n : 0;
    }
    uic->s.status = uic->s.level;
}

const DeviceType uic_type = {
    .name = "ppc-uic",
    .about = "universal interrupt controller of 4xx chips",
    .bus = "system",
    .size = sizeof(Uic),
    .state_at = offsetof(Uic, s),
    .state = UicState_fields,
    .realize = uic_realize,
    .reset = uic_reset,
    .update = uic_update,
};
