/* System control port A (port 92): fast A20 and fast reset. */
#include "hw/isa/port92.h"

#include "core/machine.h"

enum { PORT92_RESET = 0x01, PORT92_A20 = 0x02 };

#define PORT92_STATE(FIELD, ARRAY)                                       \
    FIELD(uint8_t, control, 0)  /* bits without an effect */             \
    FIELD(bool, a20, true)      /* the gate, whoever moved it */

DEFINE_STATE(Port92State, PORT92_STATE);

typedef struct Port92 {
    IsaDevice isa;
    Port92State s;
    Region *port;
} Port92;

static void port92_update(Device *dev)
{
    isa_set_a20(((Port92 *)dev)->s.a20);
}

static void a20_moved(void *opaque, int n, bool open)
{
    ((Port92 *)opaque)->s.a20 = open;
}

static uint64_t port92_read(void *opaque, PhysAddr offset, unsigned size)
{
    const Port92State *s = &((Port92 *)opaque)->s;

    return s->control | (s->a20 ? PORT92_A20 : 0);
}

static void port92_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Port92 *port = opaque;

    if (value & PORT92_RESET) {
        machine_request_reset(SHUTDOWN_GUEST);
    }
    port->s.control = value & ~(PORT92_RESET | PORT92_A20);
    port->s.a20 = value & PORT92_A20;
    port92_update(&port->isa.dev);
}

static const RegionOps port92_ops = { .read = port92_read, .write = port92_write, .max_size = 1 };

static bool port92_realize(Device *dev, GError **error)
{
    Port92 *port = (Port92 *)dev;

    port->port = region_new_io("port92", &port92_ops, port, 1);
    isa_add_ports(port->port, port->isa.iobase);
    isa_on_a20(0, a20_moved, port);
    return true;
}

static const Prop port92_props[] = { ISA_PROPS(Port92, "0x92", "255", "255"), { NULL } };

const DeviceType port92_type = {
    .name = "port92",
    .about = "system control port A",
    .bus = ISA_BUS,
    .size = sizeof(Port92),
    .state_at = offsetof(Port92, s),
    .state = Port92State_fields,
    .props = port92_props,
    .realize = port92_realize,
    .update = port92_update,
};
