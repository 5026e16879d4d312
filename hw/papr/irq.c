/* Interrupt sources of a logical partition by number, and the controller that has them at present. */
#include "core/device.h"
#include "hw/papr/papr.h"
#include "util/bits.h"

#define WORDS (PAPR_IRQS / 64)

/* Two bits per source: whether it is in use, and whether it is a level. */
#define PAPR_IRQ_STATE(FIELD, ARRAY)  \
    ARRAY(uint64_t, used, WORDS, 0)   \
    ARRAY(uint64_t, is_level, WORDS, 0) \
    ARRAY(uint64_t, high, WORDS, 0)

DEFINE_STATE(PaprIrqState, PAPR_IRQ_STATE);

typedef struct PaprIrq {
    Device dev;
    PaprIrqState s;
    const PaprIrqOps *ops;
    void *opaque;
} PaprIrq;

static PaprIrq *the_sources; /* a machine has one */

static bool test(const uint64_t *bits, unsigned index)
{
    return bits[index / 64] >> index % 64 & 1;
}

static void assign(uint64_t *bits, unsigned index, bool on)
{
    bits[index / 64] = bits_set(bits[index / 64], index % 64, 1, on);
}

static bool is_source(uint32_t number)
{
    return the_sources && number - PAPR_IRQ_FIRST < PAPR_IRQS;
}

void papr_irq_use(const PaprIrqOps *ops, void *opaque)
{
    the_sources->ops = ops;
    the_sources->opaque = opaque;
}

void papr_irq_claim(uint32_t number, PaprIrqKind kind)
{
    unsigned index = number - PAPR_IRQ_FIRST;

    if (!is_source(number)) {
        return;
    }
    assign(the_sources->s.used, index, kind != PAPR_IRQ_NONE);
    assign(the_sources->s.is_level, index, kind == PAPR_IRQ_LEVEL);
    assign(the_sources->s.high, index, false);
    if (the_sources->ops && the_sources->ops->claimed) {
        the_sources->ops->claimed(the_sources->opaque, index);
    }
}

PaprIrqKind papr_irq_kind(uint32_t number)
{
    unsigned index = number - PAPR_IRQ_FIRST;

    if (!is_source(number) || !test(the_sources->s.used, index)) {
        return PAPR_IRQ_NONE;
    }
    return test(the_sources->s.is_level, index) ? PAPR_IRQ_LEVEL : PAPR_IRQ_EDGE;
}

bool papr_irq_level(uint32_t number)
{
    return is_source(number) && test(the_sources->s.high, number - PAPR_IRQ_FIRST);
}

void papr_irq_set(uint32_t number, bool level)
{
    unsigned index = number - PAPR_IRQ_FIRST;

    if (papr_irq_kind(number) == PAPR_IRQ_LEVEL && papr_irq_level(number) != level) {
        assign(the_sources->s.high, index, level);
        if (the_sources->ops) {
            the_sources->ops->set_level(the_sources->opaque, index, level);
        }
    }
}

void papr_irq_pulse(uint32_t number)
{
    if (papr_irq_kind(number) == PAPR_IRQ_EDGE && the_sources->ops) {
        the_sources->ops->trigger(the_sources->opaque, number - PAPR_IRQ_FIRST);
    }
}

static bool realize(Device *dev, GError **error)
{
    the_sources = (PaprIrq *)dev;
    return true;
}

static void unrealize(Device *dev)
{
    the_sources = NULL;
}

const DeviceType spapr_irq_type = {
    .name = "spapr-irq",
    .about = "interrupt sources of a logical partition",
    .bus = "system",
    .size = sizeof(PaprIrq),
    .state_at = offsetof(PaprIrq, s),
    .state = PaprIrqState_fields,
    .realize = realize,
    .unrealize = unrealize,
};
