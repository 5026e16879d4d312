/*
 * Apple Desktop Bus mouse: the classic one with one button, and the extended protocol with more.
 *
 * Guide to the Macintosh Family Hardware (Apple 1990), chapter 8; Apple Technical Note HW01 for handler 4.
 */
#include "core/input.h"
#include "hw/input/adb.h"
#include "util/bits.h"

#include <string.h>

enum { ADDRESS = 3, HANDLER_CLASSIC = 1, HANDLER_FAST = 2, HANDLER_EXTENDED = 4 };
enum { LEFT = 1, RIGHT = 2, MIDDLE = 4, UP = 0x80 };
enum { FARTHEST = 0x4000 }; /* of what waits to be told */

#define ADB_MOUSE_STATE(FIELD, ARRAY)          \
    ADB_STATE(FIELD, ADDRESS, HANDLER_CLASSIC) \
    FIELD(int32_t, dx, 0)                      \
    FIELD(int32_t, dy, 0)                      \
    FIELD(uint8_t, buttons, 0)                 \
    FIELD(uint8_t, clicked, 0) /* buttons that went down since the guest last heard */ \
    FIELD(uint8_t, told, 0)    /* buttons as it heard */

DEFINE_STATE(AdbMouseState, ADB_MOUSE_STATE);

typedef struct AdbMouse {
    AdbDevice adb;
    AdbMouseState s;
} AdbMouse;

/* A click shorter than the time between two packets is one nevertheless. */
static uint8_t buttons_to_tell(const AdbMouseState *s)
{
    return s->buttons | s->clicked;
}

static bool has_news(const AdbMouseState *s)
{
    return s->dx || s->dy || buttons_to_tell(s) != s->told;
}

static void mouse_move(void *opaque, int dx, int dy)
{
    AdbMouse *m = opaque;

    m->s.dx = CLAMP(m->s.dx + CLAMP(dx, -FARTHEST, FARTHEST), -FARTHEST, FARTHEST);
    m->s.dy = CLAMP(m->s.dy + CLAMP(dy, -FARTHEST, FARTHEST), -FARTHEST, FARTHEST);
}

static void mouse_button(void *opaque, InputButton button, bool down)
{
    AdbMouseState *s = &((AdbMouse *)opaque)->s;
    uint8_t bit = button == BUTTON_LEFT ? LEFT : button == BUTTON_RIGHT ? RIGHT : button == BUTTON_MIDDLE ? MIDDLE : 0;

    s->buttons = down ? s->buttons | bit : s->buttons & ~bit;
    s->clicked |= down ? bit : 0;
}

static void mouse_sync(void *opaque)
{
    AdbMouse *m = opaque;

    if (has_news(&m->s)) {
        adb_device_tell(&m->adb);
    }
}

/* As much of the way as fits into `bits` bits; the rest comes with the next packet. */
static int take(int32_t *way, int bits)
{
    int step = CLAMP(*way, -(1 << (bits - 1)), (1 << (bits - 1)) - 1);

    *way -= step;
    return step;
}

static int mouse_talk(AdbDevice *adb, int reg, uint8_t *out)
{
    static const uint8_t identity[8] = { 'm', 'y', 'n', 'a', 0x00, 0xc8, 0x01, 0x03 }; /* 200 dpi, a mouse, 3 buttons */
    AdbMouseState *s = &((AdbMouse *)adb)->s;
    bool extended = s->handler == HANDLER_EXTENDED;
    int dx, dy;

    if (reg == 1 && extended) {
        memcpy(out, identity, sizeof(identity));
        return sizeof(identity);
    }
    if (reg != 0 || !has_news(s)) {
        return 0;
    }
    dx = take(&s->dx, extended ? 10 : 7);
    dy = take(&s->dy, extended ? 10 : 7);
    s->told = buttons_to_tell(s);
    s->clicked = 0;
    out[0] = (s->told & LEFT ? 0 : UP) | (dy & 0x7f);
    out[1] = (s->told & RIGHT ? 0 : UP) | (dx & 0x7f);
    if (!extended) {
        return 2;
    }
    out[2] = (s->told & MIDDLE ? 0 : UP) | (dy >> 7 & 7) << 4 | 0x08 | (dx >> 7 & 7);
    return 3;
}

static void mouse_listen(AdbDevice *adb, int reg, const uint8_t *data, int size)
{
}

static void mouse_flush(AdbDevice *adb)
{
    AdbMouseState *s = &((AdbMouse *)adb)->s;

    s->dx = s->dy = 0;
    s->clicked = 0;
    s->told = s->buttons;
}

static bool mouse_has_data(AdbDevice *adb)
{
    return has_news(&((AdbMouse *)adb)->s);
}

static bool mouse_takes(uint8_t handler)
{
    return handler == HANDLER_CLASSIC || handler == HANDLER_FAST || handler == HANDLER_EXTENDED;
}

static bool mouse_realize(Device *dev, GError **error)
{
    static const AdbOps ops = { mouse_talk, mouse_listen, mouse_flush, mouse_has_data, mouse_takes };
    static const InputHandler handler = {
        .name = "ADB mouse", .move = mouse_move, .button = mouse_button, .sync = mouse_sync,
    };
    AdbMouse *m = (AdbMouse *)dev;

    m->adb.ops = &ops;
    m->adb.address = &m->s.address;
    m->adb.handler = &m->s.handler;
    input_register(&handler, m);
    return true;
}

static void mouse_unrealize(Device *dev)
{
    input_unregister(dev);
}

static bool mouse_loaded(Device *dev, GError **error)
{
    AdbMouseState *s = &((AdbMouse *)dev)->s;

    s->address &= 15;
    s->dx = CLAMP(s->dx, -FARTHEST, FARTHEST);
    s->dy = CLAMP(s->dy, -FARTHEST, FARTHEST);
    return true;
}

const DeviceType adb_mouse_type = {
    .name = "adb-mouse",
    .about = "ADB mouse",
    .bus = "adb",
    .user = true,
    .size = sizeof(AdbMouse),
    .state_at = offsetof(AdbMouse, s),
    .state = AdbMouseState_fields,
    .realize = mouse_realize,
    .unrealize = mouse_unrealize,
    .post_load = mouse_loaded,
};
