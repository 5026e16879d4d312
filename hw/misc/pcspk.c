/* Port 61 of a PC: the speaker, the gate of timer channel 2, and the refresh toggle. */
#include "hw/misc/pcspk.h"

#include "core/clock.h"
#include "core/irqchip.h"
#include "core/memory.h"
#include "hw/timer/i8254.h"

enum { PORT_GATE = 0x01, PORT_SPEAKER = 0x02, PORT_CHECKS = 0x0c, PORT_REFRESH = 0x10, PORT_OUT = 0x20 };
#define REFRESH_NS 15085 /* 18 input clocks of timer channel 1 */

#define PCSPK_STATE(FIELD, ARRAY) FIELD(uint8_t, control, 0)

DEFINE_STATE(PcspkState, PCSPK_STATE);

typedef struct Pcspk {
    Device dev;
    PcspkState s;
    uint32_t iobase;
    Region *port;
    Device *pit; /* wiring */
} Pcspk;

static void pcspk_update(Device *dev)
{
    Pcspk *spk = (Pcspk *)dev;

    if (spk->pit && irqchip_has_pic()) { /* an engine that has the timer has this port too */
        i8254_set_port61(spk->pit, spk->s.control & PORT_GATE, spk->s.control & PORT_SPEAKER);
    } else if (spk->pit) {
        i8254_set_gate(spk->pit, 2, spk->s.control & PORT_GATE);
    }
}

static void pcspk_fetch(Device *dev)
{
    Pcspk *spk = (Pcspk *)dev;
    bool gate, speaker;

    if (spk->pit && irqchip_has_pic()) {
        i8254_get_port61(spk->pit, &gate, &speaker);
        spk->s.control = (spk->s.control & PORT_CHECKS) | (gate ? PORT_GATE : 0) | (speaker ? PORT_SPEAKER : 0);
    }
}

static uint64_t pcspk_read(void *opaque, PhysAddr offset, unsigned size)
{
    Pcspk *spk = opaque;
    uint8_t value = spk->s.control;

    if (clock_now(CLOCK_GUEST) / REFRESH_NS & 1) {
        value |= PORT_REFRESH;
    }
    if (spk->pit && i8254_output(spk->pit, 2)) {
        value |= PORT_OUT;
    }
    return value;
}

static void pcspk_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Pcspk *spk = opaque;

    spk->s.control = value & (PORT_GATE | PORT_SPEAKER | PORT_CHECKS);
    pcspk_update(&spk->dev);
}

static const RegionOps pcspk_ops = { .read = pcspk_read, .write = pcspk_write, .max_size = 1 };

void pcspk_connect(Device *dev, Device *pit)
{
    ((Pcspk *)dev)->pit = pit;
    pcspk_update(dev);
}

static bool pcspk_realize(Device *dev, GError **error)
{
    Pcspk *spk = (Pcspk *)dev;

    spk->port = region_new_io("pcspk", &pcspk_ops, spk, 1);
    region_add(memory_ports_root(), spk->iobase, spk->port);
    return true;
}

static const Prop pcspk_props[] = {
    PROP(Pcspk, iobase, "iobase", PROP_U32, "0x61", "its port"),
    { NULL },
};

const DeviceType pcspk_type = {
    .name = "isa-pcspk",
    .about = "PC speaker",
    .bus = "system",
    .size = sizeof(Pcspk),
    .state_at = offsetof(Pcspk, s),
    .state = PcspkState_fields,
    .props = pcspk_props,
    .realize = pcspk_realize,
    .update = pcspk_update,
    .fetch = pcspk_fetch,
};
