/*
 * USB keyboard, mouse and tablet.
 *
 * Device Class Definition for Human Interface Devices 1.11; its appendices B and C have the boot
 * protocol, appendix E the form of the descriptors. Keys are the usages of page 7 that core/input.h
 * counts in, so a keyboard has nothing to translate.
 *
 * Events come from core/input.h only between being configured and the next reset: before that, and when
 * nobody reads the reports, the PS/2 devices get them.
 */
#include "core/clock.h"
#include "core/input.h"
#include "hw/usb/usb.h"
#include "util/error.h"

#include <string.h>

enum { GET_REPORT = 1, GET_IDLE, GET_PROTOCOL, SET_REPORT = 9, SET_IDLE, SET_PROTOCOL };
enum { DESC_HID = 0x21, DESC_REPORT };
#define EVENTS     32
#define KEYS       16 /* held at the same time, with the modifiers apart */
#define MAX_UNREAD 64 /* events since the last poll, then the guest is not listening */
#define IDLE_UNIT  (4 * NS_PER_MS)

/* An event is a key (x: usage, buttons: down) or a group of pointer events (x and y absolute or not). */
#define HID_STATE(FIELD, ARRAY)                                                                 \
    FIELD(uint8_t, protocol, 1) /* 0: boot */                                                   \
    FIELD(uint8_t, idle, 0)     /* in IDLE_UNIT, 0: reports only when something changed */      \
    FIELD(int64_t, report_at, 0) /* the next report by idle */                                  \
    ARRAY(int16_t, x, EVENTS, 0)                                                                \
    ARRAY(int16_t, y, EVENTS, 0)                                                                \
    ARRAY(int16_t, z, EVENTS, 0)                                                                \
    ARRAY(uint8_t, buttons, EVENTS, 0)                                                          \
    FIELD(uint8_t, head, 0)                                                                     \
    FIELD(uint8_t, count, 0)                                                                    \
    FIELD(uint8_t, modifiers, 0)                                                                \
    ARRAY(uint8_t, keys, KEYS, 0)                                                               \
    FIELD(uint8_t, key_count, 0)                                                                \
    FIELD(int16_t, last_x, 0) /* what the last report said */                                   \
    FIELD(int16_t, last_y, 0)                                                                   \
    FIELD(uint8_t, last_buttons, 0)

DEFINE_STATE(HidState, HID_STATE);

typedef enum HidKind { KEYBOARD, MOUSE, TABLET } HidKind;

typedef struct Hid {
    UsbDevice usb;
    HidState s;
    HidKind kind;
    uint32_t usb_version;
    bool registered;
    unsigned unread;
    Timer *idle_timer;
    /* What a user interface has said since the last group of events was complete. */
    int dx, dy, dz, abs_x, abs_y;
    uint8_t buttons;
} Hid;

/* ---- descriptors ---- */

static const uint8_t keyboard_report[] = {
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01,             /* a keyboard: */
    0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02, /* modifiers */
    0x95, 0x01, 0x75, 0x08, 0x81, 0x01,             /* a reserved byte */
    0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01, 0x29, 0x05, 0x91, 0x02, /* LEDs */
    0x95, 0x01, 0x75, 0x03, 0x91, 0x01,
    0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x26, 0xff, 0x00, 0x05, 0x07, 0x19, 0x00, 0x29, 0xff, 0x81, 0x00, /* keys */
    0xc0,
};

static const uint8_t mouse_report[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00,
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, 0x95, 0x05, 0x75, 0x01, 0x81, 0x02, /* buttons */
    0x95, 0x01, 0x75, 0x03, 0x81, 0x01,
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x09, 0x38, /* X, Y, wheel, relative */
    0x15, 0x81, 0x25, 0x7f, 0x75, 0x08, 0x95, 0x03, 0x81, 0x06,
    0xc0, 0xc0,
};

static const uint8_t tablet_report[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00,
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, 0x95, 0x05, 0x75, 0x01, 0x81, 0x02, /* buttons */
    0x95, 0x01, 0x75, 0x03, 0x81, 0x01,
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31,             /* X and Y from 0 to INPUT_ABS_MAX */
    0x15, 0x00, 0x26, 0xff, 0x7f, 0x35, 0x00, 0x46, 0xff, 0x7f, 0x75, 0x10, 0x95, 0x02, 0x81, 0x02,
    0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00, 0x75, 0x08, 0x95, 0x01, 0x81, 0x06, /* wheel */
    0xc0, 0xc0,
};

static const uint8_t keyboard_hid[] = { 9, DESC_HID, 0x11, 0x01, 0, 1, DESC_REPORT, sizeof(keyboard_report), 0 };
static const uint8_t mouse_hid[] = { 9, DESC_HID, 0x11, 0x01, 0, 1, DESC_REPORT, sizeof(mouse_report), 0 };
static const uint8_t tablet_hid[] = { 9, DESC_HID, 0x11, 0x01, 0, 1, DESC_REPORT, sizeof(tablet_report), 0 };

static const char *const strings[] = { "", "Myna", "USB Keyboard", "USB Mouse", "USB Tablet", "1", NULL };
enum { STR_MAKER = 1, STR_KEYBOARD, STR_MOUSE, STR_TABLET, STR_SERIAL };

/* What differs between full speed (10 ms) and high speed (4 ms) is the interval. */
#define HID_DESC(name, report_size, subclass_, protocol_, hid, product)                                        \
    static const UsbEndpointDesc name##_full_endpoint = { 0x81, USB_INTERRUPT, report_size, 10 };              \
    static const UsbEndpointDesc name##_high_endpoint = { 0x81, USB_INTERRUPT, report_size, 6 };               \
    static const UsbInterfaceDesc name##_full_interface = { 0, 0, 3, subclass_, protocol_, 0, hid, sizeof(hid), \
                                                            &name##_full_endpoint, 1 };                        \
    static const UsbInterfaceDesc name##_high_interface = { 0, 0, 3, subclass_, protocol_, 0, hid, sizeof(hid), \
                                                            &name##_high_endpoint, 1 };                        \
    static const UsbConfigDesc name##_full_config = { 1, 0xa0, 50, 0, 1, &name##_full_interface, 1 };          \
    static const UsbConfigDesc name##_high_config = { 1, 0xa0, 50, 0, 1, &name##_high_interface, 1 };          \
    static const UsbDeviceDesc name##_full = { 0x0110, 0, 0, 0, 8, &name##_full_config, 1 };                   \
    static const UsbDeviceDesc name##_full2 = { 0x0200, 0, 0, 0, 64, &name##_full_config, 1 };                 \
    static const UsbDeviceDesc name##_high = { 0x0200, 0, 0, 0, 64, &name##_high_config, 1 };                  \
    static const UsbDescriptors name##_desc1 = { 0x0627, 0x0001, 0, STR_MAKER, product, STR_SERIAL, strings,   \
                                                 &name##_full, NULL, NULL, NULL };                             \
    static const UsbDescriptors name##_desc2 = { 0x0627, 0x0001, 0, STR_MAKER, product, STR_SERIAL, strings,   \
                                                 &name##_full2, &name##_high, NULL, NULL };

HID_DESC(keyboard, 8, 1, 1, keyboard_hid, STR_KEYBOARD)
HID_DESC(mouse, 4, 1, 2, mouse_hid, STR_MOUSE)
HID_DESC(tablet, 6, 0, 0, tablet_hid, STR_TABLET)

static const struct {
    const char *name;
    const UsbDescriptors *version1, *version2;
    const uint8_t *hid, *report;
    uint8_t report_desc_size, report_size;
} kinds[] = {
    [KEYBOARD] = { "usb-kbd", &keyboard_desc1, &keyboard_desc2, keyboard_hid, keyboard_report, sizeof(keyboard_report), 8 },
    [MOUSE] = { "usb-mouse", &mouse_desc1, &mouse_desc2, mouse_hid, mouse_report, sizeof(mouse_report), 4 },
    [TABLET] = { "usb-tablet", &tablet_desc1, &tablet_desc2, tablet_hid, tablet_report, sizeof(tablet_report), 6 },
};

/* ---- the queue ---- */

static void stop_listening(Hid *h)
{
    if (h->registered) {
        h->registered = false;
        input_unregister(h);
    }
}

/* The n-th event from the head. */
static int slot(const HidState *s, int n)
{
    return (s->head + n) % EVENTS;
}

static void hid_update(Device *dev)
{
    Hid *h = (Hid *)dev;

    if (h->s.idle && usb_active_config(&h->usb)) {
        timer_set(h->idle_timer, h->s.report_at);
    } else {
        timer_cancel(h->idle_timer);
    }
}

static void idle_over(void *opaque)
{
    usb_ready(&((Hid *)opaque)->usb, 0x81, 0);
}

static void event_added(Hid *h)
{
    if (++h->unread > MAX_UNREAD) {
        stop_listening(h);
        return;
    }
    usb_wakeup(&h->usb);
    usb_ready(&h->usb, 0x81, 0);
}

/* ---- the keyboard ---- */

static void key_event(void *opaque, InputKey key, bool down)
{
    Hid *h = opaque;
    HidState *s = &h->s;

    if (s->count < EVENTS) {
        int n = slot(s, s->count++);

        s->x[n] = key;
        s->buttons[n] = down;
    }
    event_added(h);
}

static void apply_key(HidState *s, uint8_t key, bool down)
{
    int n = 0;

    if (key >= 0xe0 && key <= 0xe7) {
        s->modifiers = (s->modifiers & ~(1 << (key - 0xe0))) | down << (key - 0xe0);
        return;
    }
    while (n < s->key_count && s->keys[n] != key) {
        n++;
    }
    if (down && n == s->key_count && n < KEYS) {
        s->keys[s->key_count++] = key;
    } else if (!down && n < s->key_count) {
        memmove(s->keys + n, s->keys + n + 1, --s->key_count - n);
    }
}

static void keyboard_make_report(const HidState *s, uint8_t out[8])
{
    memset(out, 0, 8);
    out[0] = s->modifiers;
    if (s->key_count > 6) {
        memset(out + 2, 0x01, 6); /* more than a report has room for */
    } else {
        memcpy(out + 2, s->keys, s->key_count);
    }
}

/* ---- pointers ---- */

static void button_event(void *opaque, InputButton button, bool down)
{
    static const uint8_t bits[] = { [BUTTON_LEFT] = 1, [BUTTON_RIGHT] = 2, [BUTTON_MIDDLE] = 4,
                                    [BUTTON_SIDE] = 8, [BUTTON_EXTRA] = 16 };
    Hid *h = opaque;

    if (button == BUTTON_WHEEL_UP || button == BUTTON_WHEEL_DOWN) {
        h->dz += down ? (button == BUTTON_WHEEL_UP ? 1 : -1) : 0;
    } else if (button < G_N_ELEMENTS(bits)) {
        h->buttons = down ? h->buttons | bits[button] : h->buttons & ~bits[button];
    }
}

static void move_event(void *opaque, int dx, int dy)
{
    Hid *h = opaque;

    h->dx = CLAMP(h->dx + dx, -4096, 4096);
    h->dy = CLAMP(h->dy + dy, -4096, 4096);
}

static void move_to_event(void *opaque, int x, int y)
{
    Hid *h = opaque;

    h->abs_x = x;
    h->abs_y = y;
}

/* A group is complete. Motion is added to what waits, a change of buttons is an event of its own. */
static void pointer_sync(void *opaque)
{
    Hid *h = opaque;
    HidState *s = &h->s;
    int last = slot(s, s->count - 1 + EVENTS);

    if (!s->count || (s->buttons[last] != h->buttons && s->count < EVENTS)) {
        last = slot(s, s->count++);
        s->x[last] = s->y[last] = s->z[last] = 0;
    }
    if (h->kind == TABLET) {
        s->x[last] = h->abs_x;
        s->y[last] = h->abs_y;
    } else {
        s->x[last] = CLAMP(s->x[last] + h->dx, -4096, 4096);
        s->y[last] = CLAMP(s->y[last] + h->dy, -4096, 4096);
    }
    s->z[last] = CLAMP(s->z[last] + h->dz, -127, 127);
    s->buttons[last] = h->buttons;
    h->dx = h->dy = h->dz = 0;
    event_added(h);
}

static void pop(HidState *s)
{
    s->head = (s->head + 1) % EVENTS;
    s->count--;
}

static void mouse_make_report(HidState *s, bool take, uint8_t out[4])
{
    int n = s->head, dx = 0, dy = 0, dz = 0;

    if (take && s->count) {
        dx = CLAMP(s->x[n], -127, 127);
        dy = CLAMP(s->y[n], -127, 127);
        dz = s->z[n];
        s->x[n] -= dx;
        s->y[n] -= dy;
        s->z[n] = 0;
        s->last_buttons = s->buttons[n];
        if (!s->x[n] && !s->y[n]) {
            pop(s);
        }
    }
    out[0] = s->last_buttons;
    out[1] = dx;
    out[2] = dy;
    out[3] = dz;
}

static void tablet_make_report(HidState *s, bool take, uint8_t out[6])
{
    int n = s->head, dz = 0;

    if (take && s->count) {
        s->last_x = s->x[n];
        s->last_y = s->y[n];
        s->last_buttons = s->buttons[n];
        dz = s->z[n];
        pop(s);
    }
    out[0] = s->last_buttons;
    out[1] = s->last_x;
    out[2] = s->last_x >> 8;
    out[3] = s->last_y;
    out[4] = s->last_y >> 8;
    out[5] = dz;
}

/* ---- reports ---- */

/* take: the next event goes into it. Returns its size. */
static int make_report(Hid *h, bool take, uint8_t out[8])
{
    HidState *s = &h->s;

    switch (h->kind) {
    case KEYBOARD:
        if (take && s->count) {
            apply_key(s, s->x[s->head], s->buttons[s->head]);
            pop(s);
        }
        keyboard_make_report(s, out);
        return 8;
    case MOUSE:
        mouse_make_report(s, take, out);
        return s->protocol ? 4 : 3;
    default:
        tablet_make_report(s, take, out);
        return 6;
    }
}

static const InputHandler handlers[] = {
    [KEYBOARD] = { .name = "USB Keyboard", .key = key_event },
    [MOUSE] = { .name = "USB Mouse", .button = button_event, .move = move_event, .sync = pointer_sync },
    [TABLET] = { .name = "USB Tablet", .button = button_event, .move_to = move_to_event, .sync = pointer_sync },
};

static void listen(Hid *h)
{
    h->unread = 0;
    if (!h->registered) {
        h->registered = true;
        input_register(&handlers[h->kind], h);
        input_activate(h);
    }
}

static int hid_data(UsbDevice *usb, uint8_t address, unsigned stream, uint8_t *data, size_t size)
{
    Hid *h = (Hid *)usb;
    HidState *s = &h->s;
    uint8_t report[8];
    int n;

    listen(h);
    if (!s->count && !(s->idle && clock_now(CLOCK_GUEST) >= s->report_at)) {
        return USB_NAK;
    }
    if (size < (h->kind == MOUSE && !s->protocol ? 3u : kinds[h->kind].report_size)) {
        return USB_BABBLE; /* a packet cannot be split */
    }
    n = make_report(h, true, report);
    memcpy(data, report, n);
    s->report_at = clock_now(CLOCK_GUEST) + s->idle * IDLE_UNIT;
    hid_update(&usb->dev);
    return n;
}

/* ---- requests ---- */

static int give(uint8_t *data, const UsbSetup *setup, const uint8_t *bytes, size_t size)
{
    size = MIN(size, setup->length);
    memcpy(data, bytes, size);
    return size;
}

static int class_request(Hid *h, const UsbSetup *setup, uint8_t *data)
{
    HidState *s = &h->s;
    uint8_t report[8];

    switch (setup->type << 8 | setup->request) {
    case 0xa100 | GET_REPORT:
        return give(data, setup, report, make_report(h, false, report));
    case 0xa100 | GET_IDLE:
        return give(data, setup, &s->idle, 1);
    case 0xa100 | GET_PROTOCOL:
        return give(data, setup, &s->protocol, 1);
    case 0x2100 | SET_REPORT:
        if (h->kind == KEYBOARD && setup->length) { /* num, caps, scroll */
            input_set_leds(data[0] & 4, data[0] & 1, data[0] & 2);
        }
        return 0;
    case 0x2100 | SET_IDLE:
        s->idle = setup->value >> 8;
        s->report_at = clock_now(CLOCK_GUEST) + s->idle * IDLE_UNIT;
        hid_update(&h->usb.dev);
        return 0;
    case 0x2100 | SET_PROTOCOL:
        s->protocol = setup->value & 1;
        return 0;
    default:
        return USB_STALL;
    }
}

static int hid_control(UsbDevice *usb, const UsbSetup *setup, uint8_t *data)
{
    Hid *h = (Hid *)usb;

    if (setup->type == 0x81 && setup->request == 6) {
        switch (setup->value >> 8) {
        case DESC_HID:
            return give(data, setup, kinds[h->kind].hid, 9);
        case DESC_REPORT:
            return give(data, setup, kinds[h->kind].report, kinds[h->kind].report_desc_size);
        default:
            return USB_STALL;
        }
    }
    return class_request(h, setup, data);
}

static void hid_configured(UsbDevice *usb)
{
    Hid *h = (Hid *)usb;

    if (usb_active_config(usb)) {
        listen(h);
    } else {
        stop_listening(h);
        state_reset(HidState_fields, &h->s);
    }
    hid_update(&usb->dev);
}

static const UsbDeviceOps ops = { .control = hid_control, .data = hid_data, .configured = hid_configured };

/* ---- the devices ---- */

static bool hid_realize(Device *dev, GError **error)
{
    Hid *h = (Hid *)dev;

    while (!g_str_equal(kinds[h->kind].name, dev->type->name)) {
        h->kind++;
    }
    if (h->usb_version != 1 && h->usb_version != 2) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: usb_version=%u is neither 1 nor 2", dev->type->name,
                    h->usb_version);
        return false;
    }
    h->idle_timer = timer_new(CLOCK_GUEST, idle_over, h);
    if (!usb_device_init(&h->usb, h->usb_version == 1 ? kinds[h->kind].version1 : kinds[h->kind].version2,
                         &ops, error)) {
        g_clear_pointer(&h->idle_timer, timer_free);
        return false;
    }
    usb_device_plug(&h->usb);
    return true;
}

static void hid_unrealize(Device *dev)
{
    Hid *h = (Hid *)dev;

    usb_device_unplug(&h->usb);
    stop_listening(h);
    timer_free(h->idle_timer);
}

static void hid_reset(Device *dev)
{
    Hid *h = (Hid *)dev;

    stop_listening(h);
    h->dx = h->dy = h->dz = 0;
    h->buttons = 0;
}

static bool hid_loaded(Device *dev, GError **error)
{
    Hid *h = (Hid *)dev;

    if (h->s.count > EVENTS || h->s.head >= EVENTS || h->s.key_count > KEYS) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad queue of '%s'", dev->id);
        return false;
    }
    if (usb_active_config(&h->usb)) {
        listen(h);
    } else {
        stop_listening(h);
    }
    return true;
}

static const Prop hid_props[] = {
    USB_PROPS(Hid),
    PROP(Hid, usb_version, "usb_version", PROP_U32, "2", "1: full speed only; 2: high speed, too"),
    { 0 },
};

#define HID_TYPE(spelling, text)           \
    {                                      \
        .name = spelling,                  \
        .about = text,                     \
        .bus = "usb",                      \
        .user = true,                      \
        .hotplug = true,                   \
        .size = sizeof(Hid),               \
        .state_at = offsetof(Hid, s),      \
        .state = HidState_fields,          \
        .props = hid_props,                \
        .realize = hid_realize,            \
        .unrealize = hid_unrealize,        \
        .reset = hid_reset,                \
        .post_load = hid_loaded,           \
        .update = hid_update,              \
    }

const DeviceType usb_kbd_type = HID_TYPE("usb-kbd", "USB keyboard");
const DeviceType usb_mouse_type = HID_TYPE("usb-mouse", "USB mouse");
const DeviceType usb_tablet_type = HID_TYPE("usb-tablet", "USB tablet: an absolute pointer");
