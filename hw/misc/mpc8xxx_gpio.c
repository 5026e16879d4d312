/*
 * General-purpose I/O pins of Freescale's chips: 32, the first is the leftmost bit.
 *
 * MPC8544E PowerQUICC III Reference Manual and its successors' chapters on GPIO.
 */
#include "hw/misc/fsl_guts.h"

enum { DIRECTION = 0x00, OPEN_DRAIN = 0x04, DATA = 0x08, EVENT = 0x0c, MASK = 0x10, CONTROL = 0x14, WINDOW = 0x1000, PINS = 32 };

#define GPIO_STATE(FIELD, ARRAY)                                       \
    FIELD(uint32_t, output, 0) /* of each pin: it is one */            \
    FIELD(uint32_t, open_drain, 0)                                     \
    FIELD(uint32_t, data, 0)   /* what outputs drive */                \
    FIELD(uint32_t, level, 0)  /* what comes from outside */           \
    FIELD(uint32_t, event, 0)                                          \
    FIELD(uint32_t, mask, 0)                                           \
    FIELD(uint32_t, falling, 0) /* of each pin: only that is an event */

DEFINE_STATE(GpioState, GPIO_STATE);

typedef struct Gpio {
    Device dev;
    GpioState s;
    Region *region;
    Line *irq, *out[PINS], *in[PINS];
} Gpio;

static void gpio_update(Device *dev)
{
    Gpio *gpio = (Gpio *)dev;

    for (int n = 0; n < PINS; n++) {
        line_set(gpio->out[n], gpio->s.output & gpio->s.data & 0x80000000u >> n);
    }
    line_set(gpio->irq, gpio->s.event & gpio->s.mask);
}

static void input_changed(void *opaque, int n, bool level)
{
    Gpio *gpio = opaque;
    uint32_t bit = 0x80000000u >> n;

    gpio->s.level = (gpio->s.level & ~bit) | (level ? bit : 0);
    if (!(gpio->s.output & bit) && (!level || !(gpio->s.falling & bit))) {
        gpio->s.event |= bit;
    }
    gpio_update(&gpio->dev);
}

static uint64_t gpio_read(void *opaque, PhysAddr offset, unsigned size)
{
    const GpioState *s = &((Gpio *)opaque)->s;

    switch (offset) {
    case DIRECTION:
        return s->output;
    case OPEN_DRAIN:
        return s->open_drain;
    case DATA:
        return (s->data & s->output) | (s->level & ~s->output);
    case EVENT:
        return s->event;
    case MASK:
        return s->mask;
    case CONTROL:
        return s->falling;
    default:
        return 0;
    }
}

static void gpio_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Gpio *gpio = opaque;
    GpioState *s = &gpio->s;

    switch (offset) {
    case DIRECTION:
        s->output = value;
        break;
    case OPEN_DRAIN:
        s->open_drain = value;
        break;
    case DATA:
        s->data = value;
        break;
    case EVENT: /* bits that are written 1 become 0 */
        s->event &= ~value;
        break;
    case MASK:
        s->mask = value;
        break;
    case CONTROL:
        s->falling = value;
        break;
    }
    gpio_update(&gpio->dev);
}

static const RegionOps gpio_ops = { gpio_read, gpio_write, 4, 4, ENDIAN_BIG };

Region *mpc8xxx_gpio_region(Device *dev)
{
    return ((Gpio *)dev)->region;
}

void mpc8xxx_gpio_connect(Device *dev, Line *irq, int pin, Line *out)
{
    ((Gpio *)dev)->irq = irq;
    ((Gpio *)dev)->out[pin] = out;
}

Line *mpc8xxx_gpio_input(Device *dev, int pin)
{
    return ((Gpio *)dev)->in[pin];
}

static bool gpio_realize(Device *dev, GError **error)
{
    Gpio *gpio = (Gpio *)dev;

    gpio->region = region_new_io("mpc8xxx-gpio", &gpio_ops, gpio, WINDOW);
    for (int n = 0; n < PINS; n++) {
        gpio->in[n] = line_new(input_changed, gpio, n);
    }
    return true;
}

const DeviceType mpc8xxx_gpio_type = {
    .name = "mpc8xxx_gpio",
    .about = "general-purpose I/O of Freescale's chips",
    .bus = "system",
    .size = sizeof(Gpio),
    .state_at = offsetof(Gpio, s),
    .state = GpioState_fields,
    .realize = gpio_realize,
    .update = gpio_update,
};
