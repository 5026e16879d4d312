/* User interfaces: the window, and text consoles inside of it. */
#ifndef UI_UI_H
#define UI_UI_H

#include <glib.h>
#include <stdbool.h>

/* Before character backends are made: "vc" backends become consoles of the window. */
void vc_init(void);

/*
 * Opens the user interface. kind: "sdl", "none", or NULL for the window if there is a display.
 * In the main thread, under the machine lock. An error names what is missing.
 */
bool ui_start(const char *kind, bool full_screen, const char *title, GError **error);
/* Whether a window would be opened for kind. */
bool ui_wants_window(const char *kind);
bool ui_have_display(void);
void ui_stop(void);

#endif
