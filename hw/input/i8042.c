/*
 * 8042 keyboard controller of the PC/AT with the PS/2 mouse port.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Keyboard/Auxiliary Device Controller". One
 * output buffer serves both ports: its byte raises IRQ 1 or IRQ 12 until port 60h is read.
 */
#include "hw/input/i8042.h"
#include "core/input.h"
#include "core/machine.h"
#include "hw/input/ps2.h"
#include "hw/isa/isa.h"
#include "util/log.h"

enum { STATUS_OBF = 0x01, STATUS_SYSTEM = 0x04, STATUS_COMMAND = 0x08, STATUS_UNLOCKED = 0x10, STATUS_AUX = 0x20 };
enum {
    MODE_KBD_IRQ = 0x01, MODE_AUX_IRQ = 0x02, MODE_SYSTEM = 0x04, MODE_KBD_OFF = 0x10,
    MODE_AUX_OFF = 0x20, MODE_TRANSLATE = 0x40,
};
enum { OUT_RESET = 0x01, OUT_A20 = 0x02 };
enum { FROM_CONTROLLER, FROM_KEYBOARD, FROM_AUX };

#define I8042_STATE(FIELD, ARRAY)                                          \
    FIELD(uint8_t, status, STATUS_UNLOCKED)                                \
    FIELD(uint8_t, mode, MODE_KBD_IRQ | MODE_AUX_IRQ)                      \
    FIELD(uint8_t, output, 0)   /* the output buffer */                    \
    FIELD(uint8_t, source, 0)   /* where its byte came from */             \
    FIELD(uint8_t, command, 0)  /* waits for its parameter at port 60h */  \
    FIELD(uint8_t, out_port, OUT_RESET | OUT_A20)                          \
    FIELD(bool, break_code, false) /* translation has swallowed an F0 */   \
    ARRAY(uint8_t, ram, 32, 0)

DEFINE_STATE(I8042State, I8042_STATE);

typedef struct I8042 {
    IsaDevice isa;
    I8042State s;
    Ps2Keyboard keyboard;
    Ps2Mouse mouse;
    Region *data, *control;
} I8042;

static int next_keyboard_byte(I8042 *kbc)
{
    I8042State *s = &kbc->s;
    int byte;

    while ((byte = ps2_keyboard_read(&kbc->keyboard)) >= 0) {
        if (!(s->mode & MODE_TRANSLATE)) {
            return byte;
        }
        if (byte == 0xf0) {
            s->break_code = true;
            continue;
        }
        byte = ps2_translate(byte) | (s->break_code ? 0x80 : 0);
        s->break_code = false;
        return byte;
    }
    return -1;
}

static void fill(I8042State *s, int byte, uint8_t source)
{
    s->output = byte;
    s->source = source;
    s->status |= STATUS_OBF;
    s->status = source == FROM_AUX ? s->status | STATUS_AUX : s->status & ~STATUS_AUX;
}

static void i8042_update(Device *dev)
{
    I8042 *kbc = (I8042 *)dev;
    I8042State *s = &kbc->s;

    if (!(s->status & STATUS_OBF) && !(s->mode & MODE_KBD_OFF)) {
        int byte = next_keyboard_byte(kbc);

        if (byte >= 0) {
            fill(s, byte, FROM_KEYBOARD);
        }
    }
    if (!(s->status & STATUS_OBF) && !(s->mode & MODE_AUX_OFF)) {
        int byte;

        ps2_mouse_report(&kbc->mouse);
        byte = ps2_mouse_read(&kbc->mouse);
        if (byte >= 0) {
            fill(s, byte, FROM_AUX);
        }
    }
    line_set(isa_irq(1),
             (s->status & STATUS_OBF) && s->source != FROM_AUX && (s->mode & MODE_KBD_IRQ));
    line_set(isa_irq(12),
             (s->status & STATUS_OBF) && s->source == FROM_AUX && (s->mode & MODE_AUX_IRQ));
    line_set(isa_a20_keyboard(), s->out_port & OUT_A20);
}

static uint64_t data_read(void *opaque, PhysAddr offset, unsigned size)
{
    I8042 *kbc = opaque;
    uint8_t byte = kbc->s.output;

    kbc->s.status &= ~(STATUS_OBF | STATUS_AUX);
    /* The line must be seen to fall before the next byte raises it: 8259 inputs are edges. */
    line_set(isa_irq(1), false);
    line_set(isa_irq(12), false);
    i8042_update(&kbc->isa.dev);
    return byte;
}

static void write_out_port(I8042 *kbc, uint8_t value)
{
    if (!(value & OUT_RESET)) {
        machine_request_reset(SHUTDOWN_GUEST);
    }
    kbc->s.out_port = value;
}

static void parameter(I8042 *kbc, uint8_t command, uint8_t value)
{
    I8042State *s = &kbc->s;

    switch (command) {
    case 0x60 ... 0x7f:
        s->ram[command & 0x1f] = value;
        if (command == 0x60) {
            s->mode = value;
            s->status = value & MODE_SYSTEM ? s->status | STATUS_SYSTEM : s->status & ~STATUS_SYSTEM;
        }
        break;
    case 0xd1:
        write_out_port(kbc, value);
        break;
    case 0xd2:
        fill(s, value, FROM_KEYBOARD);
        break;
    case 0xd3:
        fill(s, value, FROM_AUX);
        break;
    case 0xd4:
        s->mode &= ~MODE_AUX_OFF;
        ps2_mouse_write(&kbc->mouse, value);
        break;
    }
}

static void data_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    I8042 *kbc = opaque;
    uint8_t command = kbc->s.command;

    kbc->s.status &= ~STATUS_COMMAND;
    kbc->s.command = 0;
    if (command) {
        parameter(kbc, command, value);
    } else {
        kbc->s.mode &= ~MODE_KBD_OFF;
        ps2_keyboard_write(&kbc->keyboard, value);
    }
    i8042_update(&kbc->isa.dev);
}

static uint64_t status_read(void *opaque, PhysAddr offset, unsigned size)
{
    return ((I8042 *)opaque)->s.status;
}

static void command_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    I8042 *kbc = opaque;
    I8042State *s = &kbc->s;

    s->status |= STATUS_COMMAND;
    s->command = 0;
    switch (value) {
    case 0x20:
        fill(s, s->mode, FROM_CONTROLLER);
        break;
    case 0x21 ... 0x3f:
        fill(s, s->ram[value & 0x1f], FROM_CONTROLLER);
        break;
    case 0x60 ... 0x7f:
    case 0xd1 ... 0xd4:
        s->command = value;
        break;
    case 0xa7:
        s->mode |= MODE_AUX_OFF;
        break;
    case 0xa8:
        s->mode &= ~MODE_AUX_OFF;
        break;
    case 0xa9: /* test the mouse port: passed */
    case 0xab: /* test the keyboard port: passed */
        fill(s, 0x00, FROM_CONTROLLER);
        break;
    case 0xaa:
        s->status |= STATUS_SYSTEM;
        fill(s, 0x55, FROM_CONTROLLER);
        break;
    case 0xad:
        s->mode |= MODE_KBD_OFF;
        break;
    case 0xae:
        s->mode &= ~MODE_KBD_OFF;
        break;
    case 0xc0: /* input port: keyboard not locked, manufacturing jumper absent */
        fill(s, 0x80 | 0x20, FROM_CONTROLLER);
        break;
    case 0xd0:
        fill(s, s->out_port | (s->status & STATUS_OBF ? 0x10 : 0), FROM_CONTROLLER);
        break;
    case 0xdd:
        s->out_port &= ~OUT_A20;
        break;
    case 0xdf:
        s->out_port |= OUT_A20;
        break;
    case 0xf0 ... 0xff: /* pulse the output port bits that are 0 */
        if (!(value & 1)) {
            machine_request_reset(SHUTDOWN_GUEST);
        }
        break;
    default:
        guest_error("i8042", "unknown command 0x%02x", (unsigned)value);
    }
    i8042_update(&kbc->isa.dev);
}

static const RegionOps data_ops = { data_read, data_write, 1, 1, ENDIAN_LITTLE };
static const RegionOps control_ops = { status_read, command_write, 1, 1, ENDIAN_LITTLE };

static void key_event(void *opaque, InputKey key, bool down)
{
    I8042 *kbc = opaque;

    ps2_keyboard_key(&kbc->keyboard, key, down);
    i8042_update(&kbc->isa.dev);
}

static void button_event(void *opaque, InputButton button, bool down)
{
    static const int8_t bits[] = { [BUTTON_LEFT] = 0, [BUTTON_RIGHT] = 1, [BUTTON_MIDDLE] = 2,
                                   [BUTTON_SIDE] = 3, [BUTTON_EXTRA] = 4 };
    I8042 *kbc = opaque;

    if (button == BUTTON_WHEEL_UP || button == BUTTON_WHEEL_DOWN) {
        if (down) {
            ps2_mouse_move(&kbc->mouse, 0, 0, button == BUTTON_WHEEL_UP ? -1 : 1);
        }
    } else {
        ps2_mouse_button(&kbc->mouse, bits[button], down);
    }
}

static void move_event(void *opaque, int dx, int dy)
{
    ps2_mouse_move(&((I8042 *)opaque)->mouse, dx, dy, 0);
}

static void sync_event(void *opaque)
{
    i8042_update(&((I8042 *)opaque)->isa.dev);
}

void i8042_nudge_mouse(Device *dev)
{
    ps2_mouse_move(&((I8042 *)dev)->mouse, 0, 0, 0);
    i8042_update(dev);
}

static const InputHandler keyboard_handler = { .name = "PS/2 Keyboard", .key = key_event };
static const InputHandler mouse_handler = {
    .name = "PS/2 Mouse", .button = button_event, .move = move_event, .sync = sync_event,
};

static bool i8042_realize(Device *dev, GError **error)
{
    I8042 *kbc = (I8042 *)dev;

    kbc->data = region_new_io("i8042-data", &data_ops, kbc, 1);
    kbc->control = region_new_io("i8042-control", &control_ops, kbc, 1);
    isa_add_ports(kbc->data, 0x60);
    isa_add_ports(kbc->control, 0x64);
    ps2_keyboard_reset(&kbc->keyboard);
    ps2_mouse_reset(&kbc->mouse);
    input_register(&keyboard_handler, kbc);
    input_register(&mouse_handler, kbc);
    return true;
}

static void i8042_reset(Device *dev)
{
    I8042 *kbc = (I8042 *)dev;

    ps2_keyboard_reset(&kbc->keyboard);
    ps2_mouse_reset(&kbc->mouse);
}

static const StateField *keyboard_fields(size_t *count)
{
    typedef Ps2Keyboard Owner;
    static const StateField rows[] = { PS2_KEYBOARD_STATE(STATE_ROW, STATE_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

static const StateField *mouse_fields(size_t *count)
{
    typedef Ps2Mouse Owner;
    static const StateField rows[] = { PS2_MOUSE_STATE(STATE_ROW, STATE_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

static void i8042_save_extra(Device *dev, GKeyFile *out)
{
    I8042 *kbc = (I8042 *)dev;
    g_autofree char *kbd_id = g_strconcat(dev->id, ".keyboard", NULL);
    g_autofree char *mouse_id = g_strconcat(dev->id, ".mouse", NULL);

    state_save(keyboard_fields, &kbc->keyboard, out, kbd_id);
    state_save(mouse_fields, &kbc->mouse, out, mouse_id);
}

static bool i8042_load_extra(Device *dev, GKeyFile *in, GError **error)
{
    I8042 *kbc = (I8042 *)dev;
    g_autofree char *kbd_id = g_strconcat(dev->id, ".keyboard", NULL);
    g_autofree char *mouse_id = g_strconcat(dev->id, ".mouse", NULL);

    if (!state_load(keyboard_fields, &kbc->keyboard, in, kbd_id, error) ||
        !state_load(mouse_fields, &kbc->mouse, in, mouse_id, error)) {
        return false;
    }
    kbc->keyboard.queue_count = MIN(kbc->keyboard.queue_count, PS2_QUEUE);
    kbc->mouse.queue_count = MIN(kbc->mouse.queue_count, PS2_QUEUE);
    return true;
}

static const Prop i8042_props[] = {
    ISA_PROPS(I8042, "0x60", "1", "255"),
    { 0 },
};

const DeviceType i8042_type = {
    .name = "i8042",
    .about = "PS/2 keyboard and mouse controller",
    .bus = "isa",
    .size = sizeof(I8042),
    .state_at = offsetof(I8042, s),
    .state = I8042State_fields,
    .props = i8042_props,
    .realize = i8042_realize,
    .reset = i8042_reset,
    .update = i8042_update,
    .save_extra = i8042_save_extra,
    .load_extra = i8042_load_extra,
};
