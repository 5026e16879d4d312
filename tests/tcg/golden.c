/* Compares the numbers of host instructions with those in a file of tests/golden. */
#include "tests/tcg/golden.h"

#include "config.h"
#include "tcg/tcg.h"

#include <stdio.h>
#include <string.h>

typedef struct Counts {
    unsigned usual, rest;
} Counts;

typedef struct Line {
    uint8_t code[GOLDEN_MAX_CODE];
    unsigned size;
    char *what;
    Counts counts;
} Line;

/* Lines of a disassembly; padding depends on where things lie. */
static Counts count(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    Counts counts = {0};
    bool usual = true;

    for (char **line = lines; *line; line++) {
        if (strstr(TCG_OUT_OF_LINE, *line) && **line) {
            usual = false;
        } else if (**line && !strstr(*line, " nop")) {
            *(usual ? &counts.usual : &counts.rest) += 1;
        }
    }
    return counts;
}

/* False for lines of another kind. */
static bool parse(const char *text, Line *line)
{
    g_auto(GStrv) parts = g_strsplit(text, "|", 3);

    memset(line, 0, sizeof(*line));
    if (g_strv_length(parts) != 3 || sscanf(parts[2], "%u %u", &line->counts.usual, &line->counts.rest) != 2) {
        return false;
    }
    for (const char *hex = text; g_ascii_isxdigit(hex[0]) && g_ascii_isxdigit(hex[1]) && line->size < GOLDEN_MAX_CODE; hex += 2) {
        line->code[line->size++] = g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]);
    }
    line->what = g_strdup(g_strstrip(parts[1]));
    return line->size > 0;
}

void golden_compare(const char *name, unsigned least, GoldenTranslate *translate, void *opaque)
{
    bool update = g_getenv("MYNA_GOLDEN_UPDATE") != NULL;
    const char *only = g_getenv("MYNA_GOLDEN_SHOW");
    g_autofree char *path = g_build_filename(MYNA_SOURCE_DIR, "tests", "golden", name, NULL);
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    unsigned wrong = 0, n = 0;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(g_strchomp(text), "\n", -1);
    for (char **at = lines; *at; at++) {
        g_autofree char *host = NULL;
        Line line;
        Counts got;

        if (!parse(*at, &line)) {
            g_string_append_printf(out, "%s\n", *at);
            g_free(line.what);
            continue;
        }
        host = translate(line.code, line.size, opaque);
        got = count(host);
        n++;
        if (only && strstr(line.what, only)) {
            g_printerr("%s (%s):\n%s\n", line.what, name, host);
        }
        g_string_append_printf(out, "%.*s | %s | %u %u\n", (int)(strchr(*at, ' ') - *at), *at, line.what, got.usual, got.rest);
        if (got.usual != line.counts.usual || got.rest != line.counts.rest) {
            wrong++;
            if (!update) {
                g_printerr("%s: %s: %u and %u host instructions, golden are %u and %u\n", name, line.what, got.usual, got.rest,
                           line.counts.usual, line.counts.rest);
            }
        }
        g_free(line.what);
    }
    g_assert_cmpuint(n, >, least);
    if (update) {
        g_assert_true(g_file_set_contents(path, out->str, -1, NULL));
    } else {
        g_assert_cmpuint(wrong, ==, 0);
    }
}
