/* PS/2 keyboard and mouse: the device end of the two serial links of an 8042. */
#ifndef HW_INPUT_PS2_H
#define HW_INPUT_PS2_H

#include "core/state.h"

#define PS2_QUEUE 256

/* Bytes on their way to the controller. */
#define PS2_QUEUE_STATE(FIELD, ARRAY)       \
    ARRAY(uint8_t, queue, PS2_QUEUE, 0)     \
    FIELD(uint16_t, queue_head, 0)          \
    FIELD(uint16_t, queue_count, 0)

#define PS2_KEYBOARD_STATE(FIELD, ARRAY)                                  \
    PS2_QUEUE_STATE(FIELD, ARRAY)                                         \
    FIELD(bool, enabled, true)                                            \
    FIELD(uint8_t, scan_set, 2)                                           \
    FIELD(uint8_t, leds, 0)                                               \
    FIELD(uint8_t, typematic, 0x2b)                                       \
    FIELD(uint8_t, command, 0) /* waits for its parameter */              \
    ARRAY(uint8_t, down, 32, 0) /* a bit per HID usage: keys held down */

#define PS2_MOUSE_STATE(FIELD, ARRAY)                                     \
    PS2_QUEUE_STATE(FIELD, ARRAY)                                         \
    FIELD(bool, reporting, false)                                         \
    FIELD(bool, remote, false)                                            \
    FIELD(bool, wrap, false)                                              \
    FIELD(bool, scaling21, false)                                         \
    FIELD(uint8_t, rate, 100)                                             \
    FIELD(uint8_t, resolution, 2)                                         \
    FIELD(uint8_t, id, 0) /* 0 plain, 3 wheel, 4 five buttons */          \
    FIELD(uint8_t, rate1, 0) /* the last two rates set: the knock sequence of wheel mice */ \
    FIELD(uint8_t, rate2, 0)                                              \
    FIELD(uint8_t, command, 0)                                            \
    FIELD(uint8_t, buttons, 0)                                            \
    FIELD(int32_t, dx, 0)                                                 \
    FIELD(int32_t, dy, 0)                                                 \
    FIELD(int32_t, dz, 0)                                                 \
    FIELD(bool, moved, false)

typedef struct Ps2Keyboard {
    PS2_KEYBOARD_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} Ps2Keyboard;

typedef struct Ps2Mouse {
    PS2_MOUSE_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} Ps2Mouse;

void ps2_keyboard_reset(Ps2Keyboard *kbd);
void ps2_mouse_reset(Ps2Mouse *mouse);

/* A byte from the controller; answers are queued. */
void ps2_keyboard_write(Ps2Keyboard *kbd, uint8_t byte);
void ps2_mouse_write(Ps2Mouse *mouse, uint8_t byte);

/* Input events. Codes that do not fit into the queue are dropped whole, as by a real keyboard. */
void ps2_keyboard_key(Ps2Keyboard *kbd, uint8_t hid_usage, bool down);
void ps2_mouse_move(Ps2Mouse *mouse, int dx, int dy, int dz);
void ps2_mouse_button(Ps2Mouse *mouse, int bit, bool down);
/* Queues a packet for what has gathered, if the mouse reports and the queue has drained. */
void ps2_mouse_report(Ps2Mouse *mouse);

/* The next byte for the controller, -1 if there is none. */
int ps2_keyboard_read(Ps2Keyboard *kbd);
int ps2_mouse_read(Ps2Mouse *mouse);

/* What the 8042 makes of a set 2 code with translation on. */
uint8_t ps2_translate(uint8_t set2);

#endif
