/*
 * PS/2 keyboard and mouse.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Keyboards" and "Mouse"; the wheel and five-button
 * extensions are Microsoft's IntelliMouse knock sequences.
 */
#include "hw/input/ps2.h"

#include "core/input.h"

#include <string.h>

enum { ACK = 0xfa, RESEND = 0xfe, SELF_TEST_PASSED = 0xaa };
enum { E0 = 0x100 }; /* the code follows an E0 prefix */

/* Scan codes by key, as sets 2 and 1 have them. */
typedef struct KeyCode {
    uint16_t set2;
    uint8_t set1;
} KeyCode;

static const KeyCode codes[256] = {
    [0x04] = { 0x1c, 0x1e }, { 0x32, 0x30 }, { 0x21, 0x2e }, { 0x23, 0x20 }, { 0x24, 0x12 },
    { 0x2b, 0x21 }, { 0x34, 0x22 }, { 0x33, 0x23 }, { 0x43, 0x17 }, { 0x3b, 0x24 }, { 0x42, 0x25 },
    { 0x4b, 0x26 }, { 0x3a, 0x32 }, { 0x31, 0x31 }, { 0x44, 0x18 }, { 0x4d, 0x19 }, { 0x15, 0x10 },
    { 0x2d, 0x13 }, { 0x1b, 0x1f }, { 0x2c, 0x14 }, { 0x3c, 0x16 }, { 0x2a, 0x2f }, { 0x1d, 0x11 },
    { 0x22, 0x2d }, { 0x35, 0x15 }, { 0x1a, 0x2c },
    /* 1 ... 0 */
    [0x1e] = { 0x16, 0x02 }, { 0x1e, 0x03 }, { 0x26, 0x04 }, { 0x25, 0x05 }, { 0x2e, 0x06 },
    { 0x36, 0x07 }, { 0x3d, 0x08 }, { 0x3e, 0x09 }, { 0x46, 0x0a }, { 0x45, 0x0b },
    /* Enter, Esc, Backspace, Tab, Space */
    [0x28] = { 0x5a, 0x1c }, { 0x76, 0x01 }, { 0x66, 0x0e }, { 0x0d, 0x0f }, { 0x29, 0x39 },
    /* - = [ ] \ # ; ' ` , . / Caps Lock */
    [0x2d] = { 0x4e, 0x0c }, { 0x55, 0x0d }, { 0x54, 0x1a }, { 0x5b, 0x1b }, { 0x5d, 0x2b },
    { 0x5d, 0x2b }, { 0x4c, 0x27 }, { 0x52, 0x28 }, { 0x0e, 0x29 }, { 0x41, 0x33 }, { 0x49, 0x34 },
    { 0x4a, 0x35 }, { 0x58, 0x3a },
    /* F1 ... F12 */
    [0x3a] = { 0x05, 0x3b }, { 0x06, 0x3c }, { 0x04, 0x3d }, { 0x0c, 0x3e }, { 0x03, 0x3f },
    { 0x0b, 0x40 }, { 0x83, 0x41 }, { 0x0a, 0x42 }, { 0x01, 0x43 }, { 0x09, 0x44 }, { 0x78, 0x57 },
    { 0x07, 0x58 },
    [0x47] = { 0x7e, 0x46 },
    /* Insert, Home, Page Up, Delete, End, Page Down, Right, Left, Down, Up */
    [0x49] = { E0 | 0x70, 0x52 }, { E0 | 0x6c, 0x47 }, { E0 | 0x7d, 0x49 }, { E0 | 0x71, 0x53 },
    { E0 | 0x69, 0x4f }, { E0 | 0x7a, 0x51 }, { E0 | 0x74, 0x4d }, { E0 | 0x6b, 0x4b },
    { E0 | 0x72, 0x50 }, { E0 | 0x75, 0x48 },
    /* Num Lock, keypad / * - + Enter 1 ... 9 0 . */
    [0x53] = { 0x77, 0x45 }, { E0 | 0x4a, 0x35 }, { 0x7c, 0x37 }, { 0x7b, 0x4a }, { 0x79, 0x4e },
    { E0 | 0x5a, 0x1c }, { 0x69, 0x4f }, { 0x72, 0x50 }, { 0x7a, 0x51 }, { 0x6b, 0x4b },
    { 0x73, 0x4c }, { 0x74, 0x4d }, { 0x6c, 0x47 }, { 0x75, 0x48 }, { 0x7d, 0x49 }, { 0x70, 0x52 },
    { 0x71, 0x53 },
    /* The 102nd key, Menu, Power */
    [0x64] = { 0x61, 0x56 }, { E0 | 0x2f, 0x5d }, { E0 | 0x37, 0x5e },
    /* Japanese and Brazilian keys: \ Ro, Katakana/Hiragana, Yen, Henkan, Muhenkan */
    [0x87] = { 0x51, 0x73 }, { 0x13, 0x70 }, { 0x6a, 0x7d }, { 0x64, 0x79 }, { 0x67, 0x7b },
    /* Ctrl, Shift, Alt, Super: left, then right */
    [0xe0] = { 0x14, 0x1d }, { 0x12, 0x2a }, { 0x11, 0x38 }, { E0 | 0x1f, 0x5b },
    { E0 | 0x14, 0x1d }, { 0x59, 0x36 }, { E0 | 0x11, 0x38 }, { E0 | 0x27, 0x5c },
};

enum { KEY_PRINT = 0x46, KEY_PAUSE = 0x48, KEY_LEFT_ALT = 0xe2, KEY_RIGHT_ALT = 0xe6,
       KEY_LEFT_CTRL = 0xe0, KEY_RIGHT_CTRL = 0xe4 };

uint8_t ps2_translate(uint8_t set2)
{
    static uint8_t table[256];

    if (!table[0x1c]) {
        for (int i = 0; i < 256; i++) {
            table[i] = i;
        }
        for (int i = 0; i < 256; i++) {
            if (codes[i].set2) {
                table[codes[i].set2 & 0xff] = codes[i].set1;
            }
        }
        table[0x84] = 0x54; /* Alt+SysRq */
    }
    return table[set2];
}

static bool queue_put(uint8_t *queue, uint16_t head, uint16_t *count, const uint8_t *bytes, int n)
{
    if (*count + n > PS2_QUEUE) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        queue[(head + (*count)++) % PS2_QUEUE] = bytes[i];
    }
    return true;
}

static int queue_get(uint8_t *queue, uint16_t *head, uint16_t *count)
{
    int byte;

    if (!*count) {
        return -1;
    }
    *head %= PS2_QUEUE; /* a snapshot may say anything */
    byte = queue[*head];
    *head = (*head + 1) % PS2_QUEUE;
    (*count)--;
    return byte;
}

/* ---- keyboard ---- */

static void kbd_queue(Ps2Keyboard *kbd, const uint8_t *bytes, int n)
{
    queue_put(kbd->queue, kbd->queue_head, &kbd->queue_count, bytes, n);
}

static void kbd_answer(Ps2Keyboard *kbd, uint8_t byte)
{
    kbd_queue(kbd, &byte, 1);
}

static void kbd_defaults(Ps2Keyboard *kbd)
{
    kbd->enabled = true;
    kbd->scan_set = 2;
    kbd->typematic = 0x2b;
    kbd->command = 0;
}

void ps2_keyboard_reset(Ps2Keyboard *kbd)
{
    kbd->queue_head = kbd->queue_count = 0;
    kbd->leds = 0;
    kbd_defaults(kbd);
    memset(kbd->down, 0, sizeof(kbd->down));
}

int ps2_keyboard_read(Ps2Keyboard *kbd)
{
    return queue_get(kbd->queue, &kbd->queue_head, &kbd->queue_count);
}

static bool is_down(const Ps2Keyboard *kbd, uint8_t key)
{
    return kbd->down[key / 8] & 1 << key % 8;
}

static int put_code(uint8_t *out, const Ps2Keyboard *kbd, unsigned code, uint8_t set1, bool down)
{
    int n = 0;

    if (code & E0) {
        out[n++] = 0xe0;
    }
    if (kbd->scan_set == 1) {
        out[n++] = set1 | (down ? 0 : 0x80);
    } else {
        if (!down) {
            out[n++] = 0xf0;
        }
        out[n++] = code;
    }
    return n;
}

void ps2_keyboard_key(Ps2Keyboard *kbd, uint8_t key, bool down)
{
    uint8_t out[16];
    int n = 0;

    if (down) {
        kbd->down[key / 8] |= 1 << key % 8;
    } else {
        kbd->down[key / 8] &= ~(1 << key % 8);
    }
    if (!kbd->enabled) {
        return;
    }
    if (key == KEY_PRINT) {
        if (is_down(kbd, KEY_LEFT_ALT) || is_down(kbd, KEY_RIGHT_ALT)) {
            n = put_code(out, kbd, 0x84, 0x54, down); /* SysRq */
        } else if (down) {
            n = put_code(out, kbd, E0 | 0x12, 0x2a, true);
            n += put_code(out + n, kbd, E0 | 0x7c, 0x37, true);
        } else {
            n = put_code(out, kbd, E0 | 0x7c, 0x37, false);
            n += put_code(out + n, kbd, E0 | 0x12, 0x2a, false);
        }
    } else if (key == KEY_PAUSE) {
        if (!down) {
            return; /* it sends its break code along with the make code */
        }
        if (is_down(kbd, KEY_LEFT_CTRL) || is_down(kbd, KEY_RIGHT_CTRL)) {
            n = put_code(out, kbd, E0 | 0x7e, 0x46, true);
            n += put_code(out + n, kbd, E0 | 0x7e, 0x46, false);
        } else if (kbd->scan_set == 1) {
            memcpy(out, "\xe1\x1d\x45\xe1\x9d\xc5", n = 6);
        } else {
            memcpy(out, "\xe1\x14\x77\xe1\xf0\x14\xf0\x77", n = 8);
        }
    } else if (codes[key].set2) {
        n = put_code(out, kbd, codes[key].set2, codes[key].set1, down);
    }
    /* Keep room for answers to commands: a flood of keys must not lose an ACK. */
    if (kbd->queue_count + n <= PS2_QUEUE - 16) {
        kbd_queue(kbd, out, n);
    }
}

static void kbd_parameter(Ps2Keyboard *kbd, uint8_t command, uint8_t byte)
{
    kbd_answer(kbd, ACK);
    switch (command) {
    case 0xed:
        kbd->leds = byte & 7;
        input_set_leds(byte & 1, byte & 2, byte & 4);
        break;
    case 0xf0:
        if (byte == 0) {
            kbd_answer(kbd, kbd->scan_set);
        } else if (byte <= 2) {
            kbd->scan_set = byte;
        }
        break;
    case 0xf3:
        kbd->typematic = byte & 0x7f;
        break;
    default:
        break;
    }
}

void ps2_keyboard_write(Ps2Keyboard *kbd, uint8_t byte)
{
    if (kbd->command && byte < 0x80) {
        uint8_t command = kbd->command;

        kbd->command = 0;
        kbd_parameter(kbd, command, byte);
        return;
    }
    kbd->command = 0;
    switch (byte) {
    case 0xed: /* set LEDs */
    case 0xf0: /* scan code set */
    case 0xf3: /* typematic rate */
        kbd->command = byte;
        kbd_answer(kbd, ACK);
        break;
    case 0xee: /* echo */
        kbd_answer(kbd, 0xee);
        break;
    case 0xf2: /* identify: MF2 */
        kbd_queue(kbd, (const uint8_t[]){ ACK, 0xab, 0x83 }, 3);
        break;
    case 0xf4:
        kbd->queue_count = 0;
        kbd->enabled = true;
        kbd_answer(kbd, ACK);
        break;
    case 0xf5:
        kbd_defaults(kbd);
        kbd->enabled = false;
        kbd_answer(kbd, ACK);
        break;
    case 0xf6:
        kbd_defaults(kbd);
        kbd_answer(kbd, ACK);
        break;
    case 0xf7 ... 0xfd: /* set 3 typematic and make/break modes */
        kbd_answer(kbd, ACK);
        break;
    case 0xfe: /* resend: nothing was ever lost on this line */
        kbd_answer(kbd, ACK);
        break;
    case 0xff:
        ps2_keyboard_reset(kbd);
        kbd_queue(kbd, (const uint8_t[]){ ACK, SELF_TEST_PASSED }, 2);
        break;
    default:
        kbd_answer(kbd, RESEND);
    }
}

/* ---- mouse ---- */

static void mouse_queue(Ps2Mouse *mouse, const uint8_t *bytes, int n)
{
    queue_put(mouse->queue, mouse->queue_head, &mouse->queue_count, bytes, n);
}

static void mouse_answer(Ps2Mouse *mouse, uint8_t byte)
{
    mouse_queue(mouse, &byte, 1);
}

static void mouse_defaults(Ps2Mouse *mouse)
{
    mouse->reporting = mouse->remote = mouse->wrap = mouse->scaling21 = false;
    mouse->rate = 100;
    mouse->resolution = 2;
    mouse->command = 0;
    mouse->dx = mouse->dy = mouse->dz = 0;
    mouse->moved = false;
}

void ps2_mouse_reset(Ps2Mouse *mouse)
{
    mouse->queue_head = mouse->queue_count = 0;
    mouse->id = mouse->rate1 = mouse->rate2 = 0;
    mouse->buttons = 0;
    mouse_defaults(mouse);
}

int ps2_mouse_read(Ps2Mouse *mouse)
{
    return queue_get(mouse->queue, &mouse->queue_head, &mouse->queue_count);
}

static int clamp(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

/* One packet of at most 255 counts each way; the rest waits for the next. */
static void send_packet(Ps2Mouse *mouse)
{
    int dx = clamp(mouse->dx, -255, 255), dy = clamp(mouse->dy, -255, 255);
    uint8_t packet[4];
    int n = 3;

    packet[0] = 0x08 | (mouse->buttons & 7) | (dx < 0) << 4 | (dy < 0) << 5;
    packet[1] = dx;
    packet[2] = dy;
    if (mouse->id == 3) {
        int dz = clamp(mouse->dz, -127, 127);

        packet[n++] = dz;
        mouse->dz -= dz;
    } else if (mouse->id == 4) {
        int dz = clamp(mouse->dz, -7, 7);

        packet[n++] = (dz & 0x0f) | (mouse->buttons & 0x18) << 1;
        mouse->dz -= dz;
    } else {
        mouse->dz = 0;
    }
    mouse->dx -= dx;
    mouse->dy -= dy;
    mouse->moved = mouse->dx || mouse->dy || mouse->dz;
    mouse_queue(mouse, packet, n);
}

void ps2_mouse_report(Ps2Mouse *mouse)
{
    while (mouse->reporting && !mouse->remote && mouse->moved && mouse->queue_count < 12) {
        send_packet(mouse);
    }
}

void ps2_mouse_move(Ps2Mouse *mouse, int dx, int dy, int dz)
{
    /* Bounded, so that a mouse that is not read does not run away later. */
    mouse->dx = clamp(mouse->dx + dx, -4096, 4096);
    mouse->dy = clamp(mouse->dy - dy, -4096, 4096); /* the mouse counts upwards */
    mouse->dz = clamp(mouse->dz + dz, -127, 127);
    mouse->moved = true;
}

void ps2_mouse_button(Ps2Mouse *mouse, int bit, bool down)
{
    ps2_mouse_report(mouse); /* motion before the click stays before it */
    mouse->buttons = down ? mouse->buttons | 1 << bit : mouse->buttons & ~(1 << bit);
    mouse->moved = true;
}

static void set_rate(Ps2Mouse *mouse, uint8_t rate)
{
    if (mouse->rate2 == 200 && mouse->rate1 == 100 && rate == 80) {
        mouse->id = 3;
    } else if (mouse->rate2 == 200 && mouse->rate1 == 200 && rate == 80 && mouse->id == 3) {
        mouse->id = 4;
    }
    mouse->rate2 = mouse->rate1;
    mouse->rate1 = rate;
    mouse->rate = rate;
}

static uint8_t mouse_status(const Ps2Mouse *mouse)
{
    return mouse->remote << 6 | mouse->reporting << 5 | mouse->scaling21 << 4 |
           (mouse->buttons & 1) << 2 | (mouse->buttons & 4) >> 1 | (mouse->buttons & 2) >> 1;
}

void ps2_mouse_write(Ps2Mouse *mouse, uint8_t byte)
{
    if (mouse->wrap && byte != 0xec && byte != 0xff) {
        mouse_answer(mouse, byte);
        return;
    }
    if (mouse->command) {
        if (mouse->command == 0xf3) {
            set_rate(mouse, byte);
        } else {
            mouse->resolution = byte & 3;
        }
        mouse->command = 0;
        mouse_answer(mouse, ACK);
        return;
    }
    switch (byte) {
    case 0xe6:
    case 0xe7:
        mouse->scaling21 = byte == 0xe7;
        mouse_answer(mouse, ACK);
        break;
    case 0xe8: /* resolution */
    case 0xf3: /* sample rate */
        mouse->command = byte;
        mouse_answer(mouse, ACK);
        break;
    case 0xe9:
        mouse_queue(mouse, (const uint8_t[]){ ACK, mouse_status(mouse), mouse->resolution, mouse->rate },
                    4);
        break;
    case 0xea:
        mouse->remote = false;
        mouse_answer(mouse, ACK);
        break;
    case 0xeb: /* read data */
        mouse_answer(mouse, ACK);
        send_packet(mouse);
        break;
    case 0xec:
        mouse->wrap = false;
        mouse_answer(mouse, ACK);
        break;
    case 0xee:
        mouse->wrap = true;
        mouse_answer(mouse, ACK);
        break;
    case 0xf0:
        mouse->remote = true;
        mouse_answer(mouse, ACK);
        break;
    case 0xf2:
        mouse_queue(mouse, (const uint8_t[]){ ACK, mouse->id }, 2);
        break;
    case 0xf4:
    case 0xf5:
        mouse->reporting = byte == 0xf4;
        mouse_answer(mouse, ACK);
        break;
    case 0xf6:
        mouse_defaults(mouse);
        mouse_answer(mouse, ACK);
        break;
    case 0xff:
        ps2_mouse_reset(mouse);
        mouse_queue(mouse, (const uint8_t[]){ ACK, SELF_TEST_PASSED, 0x00 }, 3);
        break;
    default:
        mouse_answer(mouse, RESEND);
    }
}
