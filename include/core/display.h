/* Screens: a display device paints surfaces, user interfaces show them. Under the machine lock. */
#ifndef CORE_DISPLAY_H
#define CORE_DISPLAY_H

#include <glib.h>
#include <pixman.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Console Console;

/* The painter of a console: a VGA, or a text terminal. */
typedef struct ConsoleOps {
    void (*update)(void *opaque);     /* bring the surface up to date; calls console_damage */
    void (*invalidate)(void *opaque); /* repaint everything at the next update */
    void (*text_key)(void *opaque, uint32_t codepoint); /* typed into a text console; may be NULL */
    /* The text on a text-mode screen, rows ended by newlines; NULL in graphics. May be NULL. */
    char *(*text)(void *opaque);
    void (*resize)(void *opaque, int width, int height); /* the window's wish; may be NULL */
} ConsoleOps;

Console *console_new(const char *name, const ConsoleOps *ops, void *opaque);
void console_free(Console *con);
int console_count(void);
Console *console_get(int index); /* in order of creation: VGA first */
const char *console_name(const Console *con);
bool console_is_text(const Console *con); /* has text_key: the ui sends characters, not keys */

/* The painter's side. The surface is PIXMAN_x8r8g8b8 and belongs to the console. */
pixman_image_t *console_resize(Console *con, int width, int height);
pixman_image_t *console_surface(Console *con);
void console_damage(Console *con, int x, int y, int width, int height);
/* A hardware cursor, or NULL to hide; 32-bit premultiplied ARGB, copied. */
void console_define_cursor(Console *con, const uint32_t *argb, int width, int height, int hot_x,
                           int hot_y);
/* NULL if there is none. Borrowed until the next console_define_cursor. */
const uint32_t *console_cursor(const Console *con, int *width, int *height, int *hot_x, int *hot_y);

/* The viewer's side. */
typedef struct ConsoleListener {
    void (*resized)(void *opaque, Console *con);
    void (*damaged)(void *opaque, Console *con, int x, int y, int width, int height);
    void (*cursor)(void *opaque, Console *con);
} ConsoleListener;
void console_listen(const ConsoleListener *listener, void *opaque);
void console_unlisten(void *opaque);
void console_update(Console *con); /* asks the painter */
void console_invalidate(Console *con);
void console_request_size(Console *con, int width, int height); /* the window's wish */
void console_send_text(Console *con, uint32_t codepoint);
char *console_text(Console *con); /* caller frees; NULL if there is none */

/* `screendump`: PPM or PNG by format ("ppm", "png"). */
bool console_screendump(Console *con, const char *path, const char *format, GError **error);

#endif
