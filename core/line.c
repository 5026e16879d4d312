/* Wires between devices: levels, fan-out and OR gates. */
#include "core/line.h"

#include <glib.h>

struct Line {
    LineFn *fn;
    void *opaque;
    void (*release)(void *opaque); /* of the opaque; may be NULL */
    int n;
    bool level;
};

Line *line_new(LineFn *fn, void *opaque, int n)
{
    Line *line = g_new0(Line, 1);

    line->fn = fn;
    line->opaque = opaque;
    line->n = n;
    return line;
}

void line_free(Line *line)
{
    if (!line) {
        return;
    }
    if (line->release) {
        line->release(line->opaque);
    }
    g_free(line);
}

void line_set(Line *line, bool level)
{
    if (line && line->level != level) {
        line->level = level;
        line->fn(line->opaque, line->n, level);
    }
}

void line_pulse(Line *line)
{
    line_set(line, true);
    line_set(line, false);
}

bool line_level(const Line *line)
{
    return line && line->level;
}

typedef struct Split {
    Line *ends[2];
} Split;

static void drive_both(void *opaque, int n, bool level)
{
    Split *split = opaque;

    line_set(split->ends[0], level);
    line_set(split->ends[1], level);
}

Line *line_split(Line *a, Line *b)
{
    Split *split = g_new0(Split, 1);
    Line *line = line_new(drive_both, split, 0);

    split->ends[0] = a;
    split->ends[1] = b;
    line->release = g_free;
    return line;
}

typedef struct OrGate {
    Line *out;
    int high;   /* how many inputs are high */
    int inputs; /* how many are not freed yet */
} OrGate;

static void drive_or(void *opaque, int n, bool level)
{
    OrGate *gate = opaque;

    gate->high += level ? 1 : -1;
    line_set(gate->out, gate->high > 0);
}

static void release_gate(void *opaque)
{
    OrGate *gate = opaque;

    if (--gate->inputs == 0) {
        g_free(gate);
    }
}

/* The array ends with NULL; free each line, then the array. */
Line **line_or_gate(Line *out, int count)
{
    OrGate *gate = g_new0(OrGate, 1);
    Line **inputs = g_new0(Line *, count + 1);

    gate->out = out;
    gate->inputs = count;
    for (int i = 0; i < count; i++) {
        inputs[i] = line_new(drive_or, gate, i);
        inputs[i]->release = release_gate;
    }
    return inputs;
}
