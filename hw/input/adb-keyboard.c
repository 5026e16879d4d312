/*
 * Apple Extended Keyboard on the desktop bus: key transitions by position, LEDs.
 *
 * Guide to the Macintosh Family Hardware (Apple 1990), chapter 8, figure 8-9 for the key codes.
 */
#include "core/input.h"
#include "hw/input/adb.h"

#include <string.h>

enum { ADDRESS = 2, HANDLER_APPLE = 1, HANDLER_EXTENDED = 3 };
enum { QUEUE = 64, KEY_UP = 0x80, NO_KEY = 0xff };
enum { CODE_POWER = 0x7f, CODE_SHIFT = 0x38, CODE_OPTION = 0x3a, CODE_CONTROL = 0x36 };

#define ADB_KEYBOARD_STATE(FIELD, ARRAY)            \
    ADB_STATE(FIELD, ADDRESS, HANDLER_APPLE)        \
    FIELD(uint8_t, leds, 0x07) /* a 0 bit lights */ \
    ARRAY(uint8_t, queue, QUEUE, 0)                 \
    FIELD(uint8_t, head, 0)                         \
    FIELD(uint8_t, count, 0)                        \
    FIELD(uint64_t, down_low, 0) /* codes held down */ \
    FIELD(uint64_t, down_high, 0)

DEFINE_STATE(AdbKeyboardState, ADB_KEYBOARD_STATE);

typedef struct AdbKeyboard {
    AdbDevice adb;
    AdbKeyboardState s;
} AdbKeyboard;

/* From USB usages (core/input.h) to key codes; 0 is the A key, NO_KEY where the keyboard has none. */
static uint8_t key_code(InputKey key)
{
    static const uint8_t main_block[] = { /* from usage 04, A, to 65, the menu key */
        0x00, 0x0b, 0x08, 0x02, 0x0e, 0x03, 0x05, 0x04, 0x22, 0x26, 0x28, 0x25, 0x2e, 0x2d, 0x1f, 0x23, /* A-P */
        0x0c, 0x0f, 0x01, 0x11, 0x20, 0x09, 0x0d, 0x07, 0x10, 0x06,                                     /* Q-Z */
        0x12, 0x13, 0x14, 0x15, 0x17, 0x16, 0x1a, 0x1c, 0x19, 0x1d,                                     /* 1-0 */
        0x24, 0x35, 0x33, 0x30, 0x31, 0x1b, 0x18, 0x21, 0x1e, 0x2a, 0x2a, 0x29, 0x27, 0x32, 0x2b, 0x2f, /* Enter to . */
        0x2c, 0x39, 0x7a, 0x78, 0x63, 0x76, 0x60, 0x61, 0x62, 0x64, 0x65, 0x6d, 0x67, 0x6f,             /* / to F12 */
        0x69, 0x6b, 0x71, 0x72, 0x73, 0x74, 0x75, 0x77, 0x79, 0x3c, 0x3b, 0x3d, 0x3e,       /* Print to Up */
        0x47, 0x4b, 0x43, 0x4e, 0x45, 0x4c, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5b, 0x5c, 0x52, 0x41, /* pad */
        0x0a, NO_KEY, CODE_POWER, 0x51,
    };
    /* As the extended handler has them: left and right are told apart. Alt is Option, the Windows key is Command. */
    static const uint8_t modifiers[] = { CODE_CONTROL, CODE_SHIFT, CODE_OPTION, 0x37, 0x7d, 0x7b, 0x7c, 0x37 };

    if (key >= 0xe0 && key < 0xe0 + sizeof(modifiers)) {
        return modifiers[key - 0xe0];
    }
    return key >= 0x04 && key < 0x04 + sizeof(main_block) ? main_block[key - 0x04] : NO_KEY;
}

static void push(AdbKeyboardState *s, uint8_t byte)
{
    if (s->count < QUEUE) {
        s->queue[(s->head + s->count++) % QUEUE] = byte;
    }
}

static uint8_t pop(AdbKeyboardState *s)
{
    uint8_t byte = s->queue[s->head];

    s->head = (s->head + 1) % QUEUE;
    s->count--;
    return byte;
}

/* The same modifiers right and left are one to the simple handler. */
static uint8_t for_handler(const AdbKeyboardState *s, uint8_t code)
{
    if (s->handler == HANDLER_EXTENDED) {
        return code;
    }
    switch (code) {
    case 0x7b:
        return CODE_SHIFT;
    case 0x7c:
        return CODE_OPTION;
    case 0x7d:
        return CODE_CONTROL;
    default:
        return code;
    }
}

static void key_event(void *opaque, InputKey key, bool down)
{
    AdbKeyboard *k = opaque;
    uint8_t code = key_code(key);
    uint64_t *held, bit;

    if (code == NO_KEY) {
        return;
    }
    code = for_handler(&k->s, code);
    held = code < 64 ? &k->s.down_low : &k->s.down_high;
    bit = UINT64_C(1) << (code & 63);
    if (down && (*held & bit)) { /* the bus has no repeats: the guest makes its own */
        return;
    }
    *held = down ? *held | bit : *held & ~bit;
    push(&k->s, code | (down ? 0 : KEY_UP));
    adb_device_tell(&k->adb);
}

/* Register 2: which modifiers are held, a 0 bit each, and the LEDs. */
static uint8_t modifiers_held(const AdbKeyboardState *s)
{
    static const uint8_t codes[] = { 0x37, CODE_OPTION, CODE_SHIFT, CODE_CONTROL, CODE_POWER, 0x39, 0x33 };
    uint8_t bits = 0xff;

    for (unsigned i = 0; i < sizeof(codes); i++) {
        uint64_t held = codes[i] < 64 ? s->down_low : s->down_high;

        if (held >> (codes[i] & 63) & 1) {
            bits &= ~(1u << i);
        }
    }
    return bits;
}

static int keyboard_talk(AdbDevice *adb, int reg, uint8_t *out)
{
    AdbKeyboardState *s = &((AdbKeyboard *)adb)->s;

    switch (reg) {
    case 0:
        if (!s->count) {
            return 0;
        }
        out[0] = pop(s);
        out[1] = NO_KEY;
        if ((out[0] & 0x7f) == CODE_POWER) { /* comes alone, twice */
            out[1] = out[0];
        } else if (s->count && (s->queue[s->head] & 0x7f) != CODE_POWER) {
            out[1] = pop(s);
        }
        return 2;
    case 2:
        out[0] = modifiers_held(s);
        out[1] = 0xf8 | s->leds;
        return 2;
    default:
        return 0;
    }
}

static void show_leds(const AdbKeyboardState *s)
{
    input_set_leds(!(s->leds & 4), !(s->leds & 1), !(s->leds & 2));
}

static void keyboard_listen(AdbDevice *adb, int reg, const uint8_t *data, int size)
{
    AdbKeyboardState *s = &((AdbKeyboard *)adb)->s;

    if (reg == 2 && size >= 2) {
        s->leds = data[1] & 7;
        show_leds(s);
    }
}

static void keyboard_flush(AdbDevice *adb)
{
    AdbKeyboardState *s = &((AdbKeyboard *)adb)->s;

    s->head = s->count = 0;
}

static bool keyboard_has_data(AdbDevice *adb)
{
    return ((AdbKeyboard *)adb)->s.count != 0;
}

static bool keyboard_takes(uint8_t handler)
{
    return handler >= HANDLER_APPLE && handler <= HANDLER_EXTENDED;
}

static bool keyboard_realize(Device *dev, GError **error)
{
    static const AdbOps ops = { keyboard_talk, keyboard_listen, keyboard_flush, keyboard_has_data, keyboard_takes };
    static const InputHandler handler = { .name = "ADB keyboard", .key = key_event };
    AdbKeyboard *k = (AdbKeyboard *)dev;

    k->adb.ops = &ops;
    k->adb.address = &k->s.address;
    k->adb.handler = &k->s.handler;
    input_register(&handler, k);
    return true;
}

static void keyboard_unrealize(Device *dev)
{
    input_unregister(dev);
}

static bool keyboard_loaded(Device *dev, GError **error)
{
    AdbKeyboardState *s = &((AdbKeyboard *)dev)->s;

    s->address &= 15;
    s->leds &= 7;
    s->head %= QUEUE;
    s->count = MIN(s->count, QUEUE);
    return true;
}

const DeviceType adb_keyboard_type = {
    .name = "adb-keyboard",
    .about = "ADB keyboard",
    .bus = "adb",
    .user = true,
    .size = sizeof(AdbKeyboard),
    .state_at = offsetof(AdbKeyboard, s),
    .state = AdbKeyboardState_fields,
    .realize = keyboard_realize,
    .unrealize = keyboard_unrealize,
    .post_load = keyboard_loaded,
};
