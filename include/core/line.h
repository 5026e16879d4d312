/* Interrupt, reset and other wires. */
#ifndef CORE_LINE_H
#define CORE_LINE_H

#include <stdbool.h>

typedef struct Line Line;

/* Called under the machine lock when the level of input `n` of a device changes. */
typedef void LineFn(void *opaque, int n, bool level);

/* One input pin. Owned by the device that it leads into; lives as long as that device. */
Line *line_new(LineFn *fn, void *opaque, int n);
void line_free(Line *line);

/* All of these take NULL as a wire that is not connected. The function runs on changes only. */
void line_set(Line *line, bool level);
void line_pulse(Line *line); /* high, then low */
bool line_level(const Line *line);

/* A wire that drives both ends. Owned by the caller. */
Line *line_split(Line *a, Line *b);
/* Input `n` of a new gate whose output is high while any of its `count` inputs is. */
Line **line_or_gate(Line *out, int count);

#endif
