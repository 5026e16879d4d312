/* Ports for firmware and test programs: a debug console and an exit port. */
#include "hw/isa/debug.h"

#include "backends/char.h"
#include "core/machine.h"

typedef struct Debugcon {
    IsaDevice isa;
    uint32_t readback;
    CharBackend *chr;
    Region *port;
} Debugcon;

/* SeaBIOS takes the read-back value as the sign that somebody listens. */
static uint64_t debugcon_read(void *opaque, PhysAddr offset, unsigned size)
{
    return ((Debugcon *)opaque)->readback;
}

static void debugcon_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Debugcon *con = opaque;
    uint8_t byte = value;

    if (con->chr) {
        char_write(con->chr, &byte, 1);
    }
}

static const RegionOps debugcon_ops = {
    .read = debugcon_read,
    .write = debugcon_write,
    .max_size = 1,
};

static size_t debugcon_can_receive(void *opaque)
{
    return 0;
}

static void debugcon_receive(void *opaque, const uint8_t *data, size_t size)
{
}

static const CharFrontend debugcon_frontend = {
    .can_receive = debugcon_can_receive,
    .receive = debugcon_receive,
};

static bool debugcon_realize(Device *dev, GError **error)
{
    Debugcon *con = (Debugcon *)dev;

    if (con->chr && !char_attach(con->chr, &debugcon_frontend, con, error)) {
        return false;
    }
    con->port = region_new_io("debugcon", &debugcon_ops, con, 1);
    isa_add_ports(con->port, con->isa.iobase);
    return true;
}

static const Prop debugcon_props[] = {
    ISA_PROPS(Debugcon, "0x402", "255", "255"),
    PROP(Debugcon, readback, "readback", PROP_U32, "0xe9", "what reads of the port give"),
    PROP(Debugcon, chr, "chardev", PROP_CHAR, NULL, "character backend"),
    { NULL },
};

const DeviceType isa_debugcon_type = {
    .name = "isa-debugcon",
    .about = "debug console port",
    .bus = ISA_BUS,
    .user = true,
    .size = sizeof(Debugcon),
    .props = debugcon_props,
    .realize = debugcon_realize,
};

typedef struct DebugExit {
    IsaDevice isa;
    uint32_t iosize;
    Region *port;
} DebugExit;

static uint64_t debug_exit_read(void *opaque, PhysAddr offset, unsigned size)
{
    return 0;
}

static void debug_exit_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    machine_request_exit((int)(value << 1 | 1));
}

static const RegionOps debug_exit_ops = { .read = debug_exit_read, .write = debug_exit_write };

static bool debug_exit_realize(Device *dev, GError **error)
{
    DebugExit *port = (DebugExit *)dev;

    port->port = region_new_io("debug-exit", &debug_exit_ops, port, CLAMP(port->iosize, 1, 16));
    isa_add_ports(port->port, port->isa.iobase);
    return true;
}

static const Prop debug_exit_props[] = {
    ISA_PROPS(DebugExit, "0x501", "255", "255"),
    PROP(DebugExit, iosize, "iosize", PROP_U32, "2", "number of ports"),
    { NULL },
};

const DeviceType isa_debug_exit_type = {
    .name = "isa-debug-exit",
    .about = "writing the port ends the emulator",
    .bus = ISA_BUS,
    .user = true,
    .size = sizeof(DebugExit),
    .props = debug_exit_props,
    .realize = debug_exit_realize,
};
