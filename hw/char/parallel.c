/* Parallel printer port on the ISA bus, in the standard (SPP) mode: bytes go to a character backend. */
#include "backends/char.h"
#include "hw/isa/isa.h"

/* IBM PC AT Technical Reference, printer adapter. BUSY and ACK read inverted. */
enum { STATUS_BUSY = 0x80, STATUS_ACK = 0x40, STATUS_PAPER = 0x20, STATUS_SELECT = 0x10, STATUS_ERROR = 0x08 };
enum { CTRL_STROBE = 0x01, CTRL_INIT = 0x04, CTRL_SELECT = 0x08, CTRL_IRQ = 0x10, CTRL_INPUT = 0x20 };
enum { PAR_DATA, PAR_STATUS, PAR_CONTROL };

#define PARALLEL_STATE(FIELD, ARRAY)                                               \
    FIELD(uint8_t, data, 0xff)                                                     \
    FIELD(uint8_t, status, STATUS_BUSY | STATUS_ACK | STATUS_SELECT | STATUS_ERROR) \
    FIELD(uint8_t, control, CTRL_INIT | CTRL_SELECT)                               \
    FIELD(bool, irq, false)

DEFINE_STATE(ParallelState, PARALLEL_STATE);

typedef struct Parallel {
    IsaDevice isa;
    ParallelState s;
    uint32_t index;
    CharBackend *chr;
    Region *region;
} Parallel;

static void parallel_update(Device *dev)
{
    Parallel *par = (Parallel *)dev;

    line_set(isa_irq(par->isa.irq), par->s.irq && (par->s.control & CTRL_IRQ));
}

static uint64_t parallel_read(void *opaque, PhysAddr offset, unsigned size)
{
    Parallel *par = opaque;

    switch (offset) {
    case PAR_DATA:
        return par->s.control & CTRL_INPUT ? 0xff : par->s.data;
    case PAR_STATUS:
        par->s.irq = false;
        parallel_update(&par->isa.dev);
        return par->s.status;
    case PAR_CONTROL:
        return par->s.control | 0xc0;
    default:
        return 0xff;
    }
}

static void parallel_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Parallel *par = opaque;
    ParallelState *s = &par->s;

    switch (offset) {
    case PAR_DATA:
        s->data = value;
        break;
    case PAR_CONTROL:
        /* The strobe's rising edge hands the byte over; the printer takes it at once. */
        if ((value & ~s->control & CTRL_STROBE) && (value & CTRL_INIT)) {
            char_write(par->chr, &s->data, 1);
            s->irq = true;
        }
        s->control = value & 0x3f;
        break;
    }
    parallel_update(&par->isa.dev);
}

static const RegionOps parallel_ops = { parallel_read, parallel_write, 1, 1, ENDIAN_LITTLE };

static size_t cannot_receive(void *opaque)
{
    return 0;
}

static bool parallel_realize(Device *dev, GError **error)
{
    static const uint16_t ports[] = { 0x378, 0x278, 0x3bc };
    static const CharFrontend sink = { .can_receive = cannot_receive };
    Parallel *par = (Parallel *)dev;

    if (!par->isa.iobase && par->index < G_N_ELEMENTS(ports)) {
        par->isa.iobase = ports[par->index];
    }
    if (par->chr && !char_attach(par->chr, &sink, par, error)) {
        return false;
    }
    par->region = region_new_io("parallel", &parallel_ops, par, 8);
    isa_add_ports(par->region, par->isa.iobase);
    return true;
}

static const Prop parallel_props[] = {
    ISA_PROPS(Parallel, "0", "7", "255"),
    PROP(Parallel, index, "index", PROP_U32, "0", "0-2: LPT1-LPT3, gives the default port"),
    PROP(Parallel, chr, "chardev", PROP_CHAR, NULL, "character backend"),
    { 0 },
};

const DeviceType isa_parallel_type = {
    .name = "isa-parallel",
    .about = "parallel printer port",
    .bus = "isa",
    .user = true,
    .size = sizeof(Parallel),
    .state_at = offsetof(Parallel, s),
    .state = ParallelState_fields,
    .props = parallel_props,
    .realize = parallel_realize,
    .update = parallel_update,
};
