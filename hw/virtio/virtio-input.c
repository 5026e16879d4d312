/*
 * Virtio input devices: keyboard, mouse and tablet, whose events are those of Linux's evdev. VIRTIO 1.2, 5.8.
 *
 * The user's events come once a driver is ready; before that, and after its reset, other devices get them.
 */
#include "hw/virtio/virtio.h"

#include "core/input.h"
#include "util/bits.h"
#include "util/error.h"

#include <linux/input-event-codes.h>

enum { QUEUE_SIZE = 64, EVENT_SIZE = 8, EVENTS = 128 };
enum { CFG_NAME = 0x01, CFG_SERIAL = 0x02, CFG_DEVIDS = 0x03, CFG_EV_BITS = 0x11, CFG_ABS_INFO = 0x12 };
enum { CONFIG_SELECT = 0, CONFIG_SUBSEL = 1, CONFIG_SIZE = 2, CONFIG_DATA = 8, DATA_SIZE = 128, CONFIG_BYTES = 136 };
enum { BUS = 6 /* virtual */, VENDOR = 0x0627 };

typedef enum Kind { KEYBOARD, MOUSE, TABLET } Kind;

/* Events wait here, as in the queue, while the driver has no buffers there; a group that has no room is lost. */
#define INPUT_STATE(FIELD, ARRAY)         \
    FIELD(uint8_t, select, 0)             \
    FIELD(uint8_t, subsel, 0)             \
    ARRAY(uint64_t, events, EVENTS, 0)    \
    FIELD(uint8_t, head, 0)               \
    FIELD(uint8_t, count, 0)              \
    FIELD(uint8_t, leds, 0)

DEFINE_STATE(InputState, INPUT_STATE);

typedef struct VirtioInput {
    VirtioDevice v;
    InputState s;
    char *serial;
    bool wheel;
    Kind kind;
    bool registered;
    unsigned group; /* events of the group that is not complete yet: the last ones */
    bool lost;      /* the group has no room */
} VirtioInput;

/* ---- keys: by their usages ---- */

static const uint8_t key_codes[256] = {
    [0x04] = KEY_A, KEY_B, KEY_C, KEY_D, KEY_E, KEY_F, KEY_G, KEY_H, KEY_I, KEY_J, KEY_K, KEY_L, KEY_M, KEY_N, KEY_O,
    KEY_P, KEY_Q, KEY_R, KEY_S, KEY_T, KEY_U, KEY_V, KEY_W, KEY_X, KEY_Y, KEY_Z,
    [0x1e] = KEY_1, KEY_2, KEY_3, KEY_4, KEY_5, KEY_6, KEY_7, KEY_8, KEY_9, KEY_0, KEY_ENTER, KEY_ESC, KEY_BACKSPACE,
    KEY_TAB, KEY_SPACE, KEY_MINUS, KEY_EQUAL, KEY_LEFTBRACE, KEY_RIGHTBRACE, KEY_BACKSLASH, KEY_BACKSLASH,
    KEY_SEMICOLON, KEY_APOSTROPHE, KEY_GRAVE, KEY_COMMA, KEY_DOT, KEY_SLASH, KEY_CAPSLOCK,
    [0x3a] = KEY_F1, KEY_F2, KEY_F3, KEY_F4, KEY_F5, KEY_F6, KEY_F7, KEY_F8, KEY_F9, KEY_F10, KEY_F11, KEY_F12,
    KEY_SYSRQ, KEY_SCROLLLOCK, KEY_PAUSE, KEY_INSERT, KEY_HOME, KEY_PAGEUP, KEY_DELETE, KEY_END, KEY_PAGEDOWN,
    KEY_RIGHT, KEY_LEFT, KEY_DOWN, KEY_UP,
    [0x53] = KEY_NUMLOCK, KEY_KPSLASH, KEY_KPASTERISK, KEY_KPMINUS, KEY_KPPLUS, KEY_KPENTER, KEY_KP1, KEY_KP2, KEY_KP3,
    KEY_KP4, KEY_KP5, KEY_KP6, KEY_KP7, KEY_KP8, KEY_KP9, KEY_KP0, KEY_KPDOT, KEY_102ND, KEY_COMPOSE, KEY_POWER,
    KEY_KPEQUAL, KEY_F13, KEY_F14, KEY_F15, KEY_F16, KEY_F17, KEY_F18, KEY_F19, KEY_F20, KEY_F21, KEY_F22, KEY_F23,
    KEY_F24,
    [0x75] = KEY_HELP, [0x78] = KEY_STOP, KEY_AGAIN, KEY_UNDO, KEY_CUT, KEY_COPY, KEY_PASTE, KEY_FIND, KEY_MUTE,
    KEY_VOLUMEUP, KEY_VOLUMEDOWN,
    [0x85] = KEY_KPCOMMA, [0x87] = KEY_RO, KEY_KATAKANAHIRAGANA, KEY_YEN, KEY_HENKAN, KEY_MUHENKAN,
    [0x90] = KEY_HANGEUL, KEY_HANJA, KEY_KATAKANA, KEY_HIRAGANA, KEY_ZENKAKUHANKAKU,
    [0xe0] = KEY_LEFTCTRL, KEY_LEFTSHIFT, KEY_LEFTALT, KEY_LEFTMETA, KEY_RIGHTCTRL, KEY_RIGHTSHIFT, KEY_RIGHTALT,
    KEY_RIGHTMETA,
};

static const uint16_t button_codes[] = {
    [BUTTON_LEFT] = BTN_LEFT, [BUTTON_MIDDLE] = BTN_MIDDLE, [BUTTON_RIGHT] = BTN_RIGHT,
    [BUTTON_SIDE] = BTN_SIDE, [BUTTON_EXTRA] = BTN_EXTRA,
};

/* ---- events to the driver ---- */

static void flush(VirtioInput *s)
{
    VirtQueue *q = virtio_queue(&s->v, 0);
    bool any = false;

    while (s->s.count > s->group) {
        VirtqChain *chain = virtq_pop(q, sizeof(*chain));
        uint8_t bytes[EVENT_SIZE];

        if (!chain) {
            break;
        }
        store_le64(bytes, s->s.events[s->s.head]);
        s->s.head = (s->s.head + 1) % EVENTS;
        s->s.count--;
        virtq_push(chain, iov_write(chain->in, chain->in_count, 0, bytes, sizeof(bytes)));
        any = true;
    }
    if (any) {
        virtq_notify(q);
    }
}

static void add(VirtioInput *s, uint16_t type, uint16_t code, int32_t value)
{
    uint8_t bytes[EVENT_SIZE];

    if (s->lost || s->s.count == EVENTS) {
        s->lost = true;
        return;
    }
    store_le16(bytes, type);
    store_le16(bytes + 2, code);
    store_le32(bytes + 4, value);
    s->s.events[(s->s.head + s->s.count) % EVENTS] = load_le64(bytes);
    s->s.count++;
    s->group++;
}

static void input_sync(void *opaque)
{
    VirtioInput *s = opaque;

    if (s->group) {
        add(s, EV_SYN, SYN_REPORT, 0);
    }
    if (s->lost) {
        s->s.count -= s->group;
    }
    s->group = 0;
    s->lost = false;
    flush(s);
}

static void input_key(void *opaque, InputKey key, bool down)
{
    if (key_codes[key]) {
        add(opaque, EV_KEY, key_codes[key], down);
        input_sync(opaque);
    }
}

static void input_button(void *opaque, InputButton button, bool down)
{
    VirtioInput *s = opaque;

    if (button == BUTTON_WHEEL_UP || button == BUTTON_WHEEL_DOWN) {
        if (down && s->wheel) {
            add(s, EV_REL, REL_WHEEL, button == BUTTON_WHEEL_UP ? 1 : -1);
        }
    } else if (button < G_N_ELEMENTS(button_codes)) {
        add(s, EV_KEY, button_codes[button], down);
    }
}

static void input_move(void *opaque, int dx, int dy)
{
    if (dx) {
        add(opaque, EV_REL, REL_X, dx);
    }
    if (dy) {
        add(opaque, EV_REL, REL_Y, dy);
    }
}

static void input_move_to(void *opaque, int x, int y)
{
    add(opaque, EV_ABS, ABS_X, x);
    add(opaque, EV_ABS, ABS_Y, y);
}

static const InputHandler handlers[] = {
    [KEYBOARD] = { .name = "virtio keyboard", .key = input_key },
    [MOUSE] = { .name = "virtio mouse", .button = input_button, .move = input_move, .sync = input_sync },
    [TABLET] = { .name = "virtio tablet", .button = input_button, .move_to = input_move_to, .sync = input_sync },
};

static void listen(VirtioInput *s, bool on)
{
    if (on && !s->registered) {
        input_register(&handlers[s->kind], s);
        input_activate(s);
    } else if (!on && s->registered) {
        input_unregister(s);
    }
    s->registered = on;
}

/* ---- LEDs ---- */

static void read_status(VirtioInput *s, VirtqChain *chain)
{
    uint8_t event[EVENT_SIZE] = { 0 };
    uint16_t code;

    iov_read(chain->out, chain->out_count, 0, event, sizeof(event));
    code = load_le16(event + 2);
    if (load_le16(event) == EV_LED && code <= LED_SCROLLL) {
        s->s.leds = bits_set(s->s.leds, code, 1, load_le32(event + 4) != 0);
        input_set_leds(s->s.leds >> LED_SCROLLL & 1, s->s.leds >> LED_NUML & 1, s->s.leds >> LED_CAPSL & 1);
    }
}

static void input_notify(VirtioDevice *v, VirtQueue *q)
{
    VirtioInput *s = (VirtioInput *)v;
    VirtqChain *chain;

    if (virtq_index(q) == 0) {
        flush(s);
        return;
    }
    while ((chain = virtq_pop(q, sizeof(*chain)))) {
        if (s->kind == KEYBOARD) {
            read_status(s, chain);
        }
        virtq_push(chain, 0);
    }
    virtq_notify(q);
}

/* ---- what the device is ---- */

static unsigned put_text(uint8_t *data, const char *text)
{
    size_t length = text ? MIN(strlen(text), DATA_SIZE) : 0;

    memcpy(data, text ? text : "", length);
    return length;
}

static void set_bit(uint8_t *data, unsigned bit, unsigned *size)
{
    data[bit / 8] |= 1 << bit % 8;
    *size = MAX(*size, bit / 8 + 1);
}

/* The codes of an event type that the device sends or takes, as a bit map; returns its size, 0 if there are none. */
static unsigned put_event_bits(const VirtioInput *s, unsigned type, uint8_t *data)
{
    unsigned size = 0;

    if (type == EV_KEY && s->kind == KEYBOARD) {
        for (unsigned key = 0; key < G_N_ELEMENTS(key_codes); key++) {
            if (key_codes[key]) {
                set_bit(data, key_codes[key], &size);
            }
        }
    } else if (type == EV_KEY) {
        for (unsigned button = 0; button < G_N_ELEMENTS(button_codes); button++) {
            if (button_codes[button]) {
                set_bit(data, button_codes[button], &size);
            }
        }
    } else if (type == EV_REP && s->kind == KEYBOARD) {
        size = 1; /* the guest repeats keys */
    } else if (type == EV_LED && s->kind == KEYBOARD) {
        set_bit(data, LED_NUML, &size);
        set_bit(data, LED_CAPSL, &size);
        set_bit(data, LED_SCROLLL, &size);
    } else if (type == EV_REL && s->kind != KEYBOARD) {
        if (s->kind == MOUSE) {
            set_bit(data, REL_X, &size);
            set_bit(data, REL_Y, &size);
        }
        if (s->wheel) {
            set_bit(data, REL_WHEEL, &size);
        }
    } else if (type == EV_ABS && s->kind == TABLET) {
        set_bit(data, ABS_X, &size);
        set_bit(data, ABS_Y, &size);
    }
    return size;
}

static void input_get_config(VirtioDevice *v, uint8_t *config)
{
    static const char *const names[] = { "Myna Virtio Keyboard", "Myna Virtio Mouse", "Myna Virtio Tablet" };
    const VirtioInput *s = (VirtioInput *)v;
    uint8_t *data = config + CONFIG_DATA;
    unsigned size = 0;

    if (s->s.select == CFG_NAME && !s->s.subsel) {
        size = put_text(data, names[s->kind]);
    } else if (s->s.select == CFG_SERIAL && !s->s.subsel) {
        size = put_text(data, s->serial);
    } else if (s->s.select == CFG_DEVIDS && !s->s.subsel) {
        size = 8;
        store_le16(data, BUS);
        store_le16(data + 2, VENDOR);
        store_le16(data + 4, s->kind + 1);
        store_le16(data + 6, 1);
    } else if (s->s.select == CFG_EV_BITS) {
        size = put_event_bits(s, s->s.subsel, data);
    } else if (s->s.select == CFG_ABS_INFO && s->kind == TABLET && s->s.subsel <= ABS_Y) {
        size = 20;
        store_le32(data + 4, INPUT_ABS_MAX);
    }
    config[CONFIG_SELECT] = s->s.select;
    config[CONFIG_SUBSEL] = s->s.subsel;
    config[CONFIG_SIZE] = size;
}

static void input_set_config(VirtioDevice *v, unsigned offset, const uint8_t *bytes, unsigned size)
{
    VirtioInput *s = (VirtioInput *)v;

    for (unsigned i = 0; i < size; i++) {
        if (offset + i == CONFIG_SELECT) {
            s->s.select = bytes[i];
        } else if (offset + i == CONFIG_SUBSEL) {
            s->s.subsel = bytes[i];
        }
    }
}

/* ---- life ---- */

static void input_ready(VirtioDevice *v, bool on)
{
    listen((VirtioInput *)v, on);
}

static void input_reset(VirtioDevice *v, VirtQueue *q)
{
    VirtioInput *s = (VirtioInput *)v;

    if (!q) {
        s->s.count = s->s.head = 0;
        s->group = 0;
        s->lost = false;
    }
}

static bool input_load(VirtioDevice *v, GKeyFile *in, GError **error)
{
    VirtioInput *s = (VirtioInput *)v;

    if (s->s.head >= EVENTS || s->s.count > EVENTS) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad event queue of '%s'", v->pci.dev.id);
        s->s.head = s->s.count = 0;
        return false;
    }
    return true;
}

/* What is left of a group that was cut by the snapshot is lost. */
static void input_save(VirtioDevice *v, GKeyFile *out)
{
    VirtioInput *s = (VirtioInput *)v;

    s->lost |= s->group;
    input_sync(s);
}

static uint64_t input_features(VirtioDevice *v)
{
    return 0;
}

static void input_unrealize(VirtioDevice *v)
{
    listen((VirtioInput *)v, false);
}

static bool make(VirtioDevice *v, Kind kind)
{
    ((VirtioInput *)v)->kind = kind;
    virtio_add_queue(v, QUEUE_SIZE);
    virtio_add_queue(v, QUEUE_SIZE);
    return true;
}

static bool keyboard_make(VirtioDevice *v, GError **error)
{
    return make(v, KEYBOARD);
}

static bool mouse_make(VirtioDevice *v, GError **error)
{
    return make(v, MOUSE);
}

static bool tablet_make(VirtioDevice *v, GError **error)
{
    return make(v, TABLET);
}

static const Prop keyboard_props[] = {
    VIRTIO_PROPS(VirtioInput),
    PROP(VirtioInput, serial, "serial", PROP_STRING, NULL, "tells several apart"),
    { 0 },
};

static const Prop pointer_props[] = {
    VIRTIO_PROPS(VirtioInput),
    PROP(VirtioInput, serial, "serial", PROP_STRING, NULL, "tells several apart"),
    PROP(VirtioInput, wheel, "wheel-axis", PROP_BOOL, "on", "the wheel"),
    { 0 },
};

/* Virtio 1 only: the interface of before never had them. */
#define INPUT_TYPE(symbol, spelling, short_name, text, class_code, make_fn, props_)                                    \
    static const VirtioClass symbol##_class = {                                                                        \
        .name = spelling, .id = VIRTIO_ID_INPUT, .pci_class = class_code, .config_size = CONFIG_BYTES,                 \
        .realize = make_fn, .unrealize = input_unrealize, .features = input_features, .get_config = input_get_config,  \
        .set_config = input_set_config, .notify = input_notify, .ready = input_ready, .reset = input_reset,            \
        .save = input_save, .load = input_load,                                                                        \
    };                                                                                                                 \
    static bool symbol##_realize(Device *dev, GError **error)                                                          \
    {                                                                                                                  \
        return virtio_realize(dev, &symbol##_class, error);                                                            \
    }                                                                                                                  \
    VIRTIO_TYPE(symbol##_type, symbol, spelling "-pci", short_name, text, VirtioInput, props_, InputState_fields,      \
                offsetof(VirtioInput, s), true)

INPUT_TYPE(virtio_keyboard, "virtio-keyboard", "virtio-keyboard", "virtio keyboard", 0x090000, keyboard_make,
           keyboard_props);
INPUT_TYPE(virtio_mouse, "virtio-mouse", "virtio-mouse", "virtio mouse", 0x090200, mouse_make, pointer_props);
INPUT_TYPE(virtio_tablet, "virtio-tablet", "virtio-tablet", "virtio tablet", 0x098000, tablet_make, pointer_props);
