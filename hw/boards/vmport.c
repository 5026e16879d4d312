/*
 * The port through which guest tools talk to a virtual machine, and its absolute pointer.
 *
 * The protocol is VMware's "backdoor": IN from port 5658h with a magic number in EAX and a command
 * in CX; answers come in EAX to EDX. Linux' vmmouse driver and the X server's use it.
 */
#include "hw/boards/vmport.h"

#include "core/input.h"
#include "core/machine.h"
#include "core/memory.h"
#include "hw/input/i8042.h"
#include "target/x86/cpu.h"
#include "util/log.h"

#include <string.h>

#define MAGIC          0x564d5868u
#define PORT           0x5658
#define POINTER_ID     0x3442554au
#define QUEUE          1024 /* words */
#define PACKET         4

enum {
    CMD_GET_VERSION = 10, CMD_GET_RAM_SIZE = 20, CMD_POINTER_DATA = 39,
    CMD_POINTER_STATUS = 40, CMD_POINTER_COMMAND = 41,
};
enum {
    POINTER_ENABLE = 0x45414552, POINTER_DISABLE = 0x000000f5, POINTER_RELATIVE = 0x4c455252,
    POINTER_ABSOLUTE = 0x53424152,
};
enum { PROTOCOL_VERSION = 6, PRODUCT = 2, RAM_SIZE_REPLY = 0x1177, STATUS_ERROR = 0xffff0000 };
enum { POINTER_LEFT = 0x20, POINTER_RIGHT = 0x10, POINTER_MIDDLE = 0x08 };

#define VMPORT_STATE(FIELD, ARRAY)                            \
    FIELD(bool, enabled, false)                               \
    FIELD(bool, absolute, false)                              \
    FIELD(uint32_t, buttons, 0)                               \
    FIELD(uint32_t, x, 0)                                     \
    FIELD(uint32_t, y, 0)                                     \
    FIELD(int32_t, wheel, 0)                                  \
    FIELD(bool, changed, false)  /* since the last packet */  \
    FIELD(uint16_t, count, 0)    /* words in the queue */     \
    ARRAY(uint32_t, queue, QUEUE, 0)

DEFINE_STATE(VmportState, VMPORT_STATE);

typedef struct Vmport {
    Device dev;
    VmportState s;
    Region *port;
    bool listening;
    Device *i8042; /* wiring */
} Vmport;

/* ---- the pointer ---- */

static void push_packet(Vmport *v)
{
    VmportState *s = &v->s;
    const uint32_t packet[PACKET] = { s->buttons, s->x, s->y, s->wheel };

    if (s->count + PACKET <= QUEUE) {
        memcpy(s->queue + s->count, packet, sizeof(packet));
        s->count += PACKET;
    }
    s->wheel = 0;
    s->changed = false;
    if (v->i8042) {
        i8042_nudge_mouse(v->i8042);
    }
}

static void button_event(void *opaque, InputButton button, bool down)
{
    static const uint8_t bits[] = { [BUTTON_LEFT] = POINTER_LEFT,
                                    [BUTTON_MIDDLE] = POINTER_MIDDLE,
                                    [BUTTON_RIGHT] = POINTER_RIGHT };
    Vmport *v = opaque;

    if (button == BUTTON_WHEEL_UP || button == BUTTON_WHEEL_DOWN) {
        v->s.wheel += down ? (button == BUTTON_WHEEL_UP ? -1 : 1) : 0;
    } else if (button < G_N_ELEMENTS(bits)) {
        v->s.buttons = down ? v->s.buttons | bits[button] : v->s.buttons & ~bits[button];
    }
    v->s.changed = true;
}

/* The guest sees 16 bits a direction. */
static void move_to_event(void *opaque, int x, int y)
{
    Vmport *v = opaque;

    v->s.x = x * 0xffff / INPUT_ABS_MAX;
    v->s.y = y * 0xffff / INPUT_ABS_MAX;
    v->s.changed = true;
}

static void sync_event(void *opaque)
{
    Vmport *v = opaque;

    if (v->s.changed) {
        push_packet(v);
    }
}

static const InputHandler pointer_handler = {
    .name = "vmmouse",
    .button = button_event,
    .move_to = move_to_event,
    .sync = sync_event,
};

/* The user interface follows: with an absolute pointer it need not catch the mouse. */
static void vmport_update(Device *dev)
{
    Vmport *v = (Vmport *)dev;
    bool listen = v->s.enabled && v->s.absolute;

    if (listen && !v->listening) {
        input_register(&pointer_handler, v);
        input_activate(v);
    } else if (!listen && v->listening) {
        input_unregister(v);
    }
    v->listening = listen;
}

static void pointer_command(Vmport *v, uint32_t command)
{
    VmportState *s = &v->s;

    switch (command) {
    case POINTER_ENABLE:
        s->enabled = true;
        s->queue[0] = POINTER_ID;
        s->count = 1;
        break;
    case POINTER_DISABLE:
        s->enabled = false;
        s->absolute = false;
        s->count = 0;
        break;
    case POINTER_RELATIVE:
        s->absolute = false;
        break;
    case POINTER_ABSOLUTE:
        s->absolute = true;
        break;
    default:
        guest_error(v->dev.id, "unknown pointer command %08x", command);
    }
    vmport_update(&v->dev);
}

/* Up to four words to EAX, EBX, ECX and EDX. */
static uint32_t pointer_data(Vmport *v, X86State *cpu, uint32_t words)
{
    static const uint8_t registers[PACKET] = { R_AX, R_BX, R_CX, R_DX };
    VmportState *s = &v->s;
    uint32_t first = s->queue[0];

    if (words == 0 || words > PACKET || words > s->count) {
        s->enabled = false;
        vmport_update(&v->dev);
        return STATUS_ERROR;
    }
    for (uint32_t n = 1; n < words; n++) {
        cpu->reg[registers[n]] = s->queue[n];
    }
    s->count -= words;
    memmove(s->queue, s->queue + words, s->count * sizeof(s->queue[0]));
    return first;
}

/* ---- the port ---- */

static uint64_t answer(Vmport *v, X86State *cpu)
{
    if ((uint32_t)cpu->reg[R_AX] != MAGIC) {
        return UINT32_MAX;
    }
    switch (cpu->reg[R_CX] & 0xffff) {
    case CMD_GET_VERSION:
        cpu->reg[R_BX] = MAGIC;
        cpu->reg[R_CX] = PRODUCT;
        return PROTOCOL_VERSION;
    case CMD_GET_RAM_SIZE:
        cpu->reg[R_BX] = RAM_SIZE_REPLY;
        return machine_config.ram_size;
    case CMD_POINTER_DATA:
        return pointer_data(v, cpu, cpu->reg[R_BX]);
    case CMD_POINTER_STATUS:
        return v->s.enabled ? v->s.count : STATUS_ERROR;
    case CMD_POINTER_COMMAND:
        pointer_command(v, cpu->reg[R_BX]);
        return MAGIC;
    default:
        return UINT32_MAX;
    }
}

/* The answer is in EAX, and more of it in other registers. */
static uint64_t vmport_read(void *opaque, PhysAddr offset, unsigned size)
{
    Cpu *cpu = cpu_current();
    uint64_t eax;

    if (!cpu) {
        return UINT32_MAX;
    }
    cpu_read_registers(cpu);
    eax = answer(opaque, x86_state(cpu));
    cpu_write_registers(cpu);
    return eax;
}

static const RegionOps vmport_ops = { .read = vmport_read, .min_size = 4, .max_size = 4 };

void vmport_connect(Device *dev, Device *i8042)
{
    ((Vmport *)dev)->i8042 = i8042;
}

static bool vmport_realize(Device *dev, GError **error)
{
    Vmport *v = (Vmport *)dev;

    v->port = region_new_io("vmport", &vmport_ops, v, 4);
    region_add(memory_ports_root(), PORT, v->port);
    return true;
}

static bool vmport_post_load(Device *dev, GError **error)
{
    ((Vmport *)dev)->s.count = MIN(((Vmport *)dev)->s.count, QUEUE);
    return true;
}

const DeviceType vmport_type = {
    .name = "vmport",
    .about = "VMware-compatible port and pointer",
    .bus = "system",
    .size = sizeof(Vmport),
    .state_at = offsetof(Vmport, s),
    .state = VmportState_fields,
    .realize = vmport_realize,
    .post_load = vmport_post_load,
    .update = vmport_update,
};
