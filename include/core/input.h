/* Keyboards and pointers: user interfaces send events, input devices take them. Machine lock. */
#ifndef CORE_INPUT_H
#define CORE_INPUT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Keys are named by position, as USB HID usages of page 7 (0x04 = A, 0xe0 = left Ctrl): the one
 * numbering that every host toolkit offers and every guest keyboard can be made from.
 */
typedef uint8_t InputKey;

typedef enum InputButton {
    BUTTON_LEFT,
    BUTTON_MIDDLE,
    BUTTON_RIGHT,
    BUTTON_WHEEL_UP,
    BUTTON_WHEEL_DOWN,
    BUTTON_SIDE,
    BUTTON_EXTRA,
} InputButton;

#define INPUT_ABS_MAX 0x7fff

/* Handlers may be NULL. The most recently activated handler of each sort gets the events. */
typedef struct InputHandler {
    const char *name;
    void (*key)(void *opaque, InputKey key, bool down);
    void (*button)(void *opaque, InputButton button, bool down);
    void (*move)(void *opaque, int dx, int dy);
    void (*move_to)(void *opaque, int x, int y); /* 0..INPUT_ABS_MAX */
    void (*sync)(void *opaque);                  /* end of a group of pointer events */
} InputHandler;

void input_register(const InputHandler *handler, void *opaque);
void input_unregister(void *opaque);
void input_activate(void *opaque);

void input_send_key(InputKey key, bool down);
void input_send_button(InputButton button, bool down);
void input_send_move(int dx, int dy);
void input_send_move_to(int x, int y);
void input_send_sync(void);
bool input_pointer_is_absolute(void);

/* Key names as `sendkey` and QMP spell them ("ret", "ctrl", "a"); 0 if unknown. */
InputKey input_key_by_name(const char *name);
const char *input_key_name(InputKey key);
/* PS/2 set 1 codes with 0xe0 as 0x80 | code, as QMP "number" keys carry. */
InputKey input_key_by_number(int number);
int input_key_number(InputKey key); /* and back; 0 if the key has none */

/* Keyboard LEDs (caps, num, scroll) from the guest. */
void input_set_leds(bool scroll, bool num, bool caps);
typedef void InputLedsFn(void *opaque, bool scroll, bool num, bool caps);
void input_on_leds(InputLedsFn *fn, void *opaque);

#endif
