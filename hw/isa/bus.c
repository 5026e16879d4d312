/* The ISA bus of the machine and its A20 gate. */
#include "hw/isa/isa.h"

typedef struct IsaBus {
    Bus bus;
    Region *memory, *ports;
    Line *irq[ISA_IRQS];
    Device *dma;
} IsaBus;

enum { A20_LISTENERS = 2 };

typedef struct A20Gate {
    Line *keyboard;
    bool open;
    LineFn *fn[A20_LISTENERS];
    void *opaque[A20_LISTENERS];
} A20Gate;

static IsaBus *the_bus;
static A20Gate gate = { .open = true };

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

void isa_set_a20(bool open)
{
    if (open == gate.open) {
        return;
    }
    gate.open = open;
    for (int n = 0; n < A20_LISTENERS; n++) {
        if (gate.fn[n]) {
            gate.fn[n](gate.opaque[n], n, open);
        }
    }
}

bool isa_a20(void)
{
    return gate.open;
}

static void keyboard_changed(void *opaque, int n, bool level)
{
    isa_set_a20(level);
}

Line *isa_a20_keyboard(void)
{
    if (!gate.keyboard) {
        gate.keyboard = line_new(keyboard_changed, NULL, 0);
    }
    return gate.keyboard;
}

void isa_on_a20(int n, LineFn *fn, void *opaque)
{
    gate.fn[n] = fn;
    gate.opaque[n] = opaque;
}
