/* The ISA bus of the machine and its A20 gate. */
#include "hw/isa/isa.h"

typedef struct IsaBus {
    Bus bus;
    Region *memory, *ports;
    Line *irq[ISA_IRQS];
    Device *dma;
} IsaBus;

typedef struct A20Gate {
    Line *source[A20_SOURCES];
    bool level[A20_SOURCES];
    bool open;
    LineFn *fn;
    void *opaque;
} A20Gate;

static IsaBus *the_bus;
static A20Gate gate;

Bus *isa_bus_new(const char *name, Device *owner, Region *memory, Region *ports,
                 Line *const irqs[ISA_IRQS], Device *dma)
{
    IsaBus *isa = g_new0(IsaBus, 1);

    bus_init(&isa->bus, ISA_BUS, name, owner);
    isa->memory = memory;
    isa->ports = ports;
    isa->dma = dma;
    for (int n = 0; n < ISA_IRQS; n++) {
        isa->irq[n] = irqs[n];
    }
    the_bus = isa;
    return &isa->bus;
}

Bus *isa_bus(void)
{
    return the_bus ? &the_bus->bus : NULL;
}

Line *isa_irq(int n)
{
    return the_bus && n >= 0 && n < ISA_IRQS ? the_bus->irq[n] : NULL;
}

Region *isa_memory(void)
{
    return the_bus ? the_bus->memory : memory_system_root();
}

Region *isa_ports(void)
{
    return the_bus ? the_bus->ports : memory_ports_root();
}

Device *isa_dma(void)
{
    return the_bus ? the_bus->dma : NULL;
}

void isa_add_ports(Region *region, uint32_t port)
{
    region_add(isa_ports(), port, region);
}

static void a20_source_changed(void *opaque, int n, bool level)
{
    bool open = false;

    gate.level[n] = level;
    for (int i = 0; i < A20_SOURCES; i++) {
        open |= gate.level[i];
    }
    if (open != gate.open && gate.fn) {
        gate.fn(gate.opaque, 0, open);
    }
    gate.open = open;
}

Line *isa_a20(IsaA20Source source)
{
    if (!gate.source[source]) {
        gate.source[source] = line_new(a20_source_changed, NULL, source);
    }
    return gate.source[source];
}

void isa_set_a20_fn(LineFn *fn, void *opaque)
{
    gate.fn = fn;
    gate.opaque = opaque;
}
