/* A line editor for terminals: keys in, edited lines and echo out. */
#ifndef MONITOR_READLINE_H
#define MONITOR_READLINE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Readline Readline;

typedef struct ReadlineOps {
    void (*write)(void *opaque, const char *text, size_t size); /* to the terminal, as it is */
    void (*line)(void *opaque, const char *line);               /* Return was pressed */
    char **(*complete)(const char *line);                       /* see hmp_complete */
} ReadlineOps;

Readline *readline_new(const ReadlineOps *ops, void *opaque, const char *prompt);
void readline_free(Readline *rl);
void readline_show_prompt(Readline *rl); /* starts a new line */
void readline_feed(Readline *rl, const uint8_t *data, size_t size);
const GPtrArray *readline_history(const Readline *rl); /* of char *, the oldest first */

#endif
