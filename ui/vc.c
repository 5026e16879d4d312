/* Text consoles of the window: a VT100-like terminal as a character backend. */
#include "backends/char.h"
#include "core/display.h"
#include "core/mainloop.h"
#include "ui/font.h"
#include "ui/ui.h"

#include <string.h>

enum { COLS = 80, ROWS = 24, MAX_ARGS = 8 };

typedef struct Cell {
    uint8_t ch;
    uint8_t attr; /* foreground in bits 0-3, background in 4-6 */
} Cell;

typedef enum Parser { TEXT, ESCAPE, BRACKET } Parser;

typedef struct Vc {
    CharBackend *chr;
    Console *con;
    Cell cells[ROWS][COLS];
    int x, y, saved_x, saved_y;
    uint8_t attr;
    Parser parser;
    int args[MAX_ARGS], n_args;
    uint8_t utf8[4];
    int utf8_left, utf8_size;
    bool dirty[ROWS];
    int shown_x, shown_y;
    GMutex lock; /* output may come from any thread */
} Vc;

enum { ATTR_DEFAULT = 0x07 };

static const uint32_t colors[16] = {
    0x000000, 0xaa0000, 0x00aa00, 0xaa5500, 0x0000aa, 0xaa00aa, 0x00aaaa, 0xaaaaaa,
    0x555555, 0xff5555, 0x55ff55, 0xffff55, 0x5555ff, 0xff55ff, 0x55ffff, 0xffffff,
};

static void clear_cells(Vc *vc, int y, int from, int to)
{
    for (int x = from; x < to; x++) {
        vc->cells[y][x] = (Cell){ ' ', vc->attr };
    }
    vc->dirty[y] = true;
}

static void scroll(Vc *vc)
{
    memmove(vc->cells[0], vc->cells[1], sizeof(vc->cells[0]) * (ROWS - 1));
    memset(vc->dirty, true, sizeof(vc->dirty));
    clear_cells(vc, ROWS - 1, 0, COLS);
}

static void line_feed(Vc *vc)
{
    if (++vc->y == ROWS) {
        vc->y = ROWS - 1;
        scroll(vc);
    }
}

static void put_char(Vc *vc, uint8_t ch)
{
    if (vc->x == COLS) {
        vc->x = 0;
        line_feed(vc);
    }
    vc->cells[vc->y][vc->x++] = (Cell){ ch, vc->attr };
    vc->dirty[vc->y] = true;
}

static int arg(const Vc *vc, int i, int fallback)
{
    return i < vc->n_args && vc->args[i] ? vc->args[i] : fallback;
}

static void erase_display(Vc *vc, int how)
{
    int first = how == 0 ? vc->y + 1 : 0, last = how == 1 ? vc->y : ROWS;

    for (int y = first; y < last; y++) {
        clear_cells(vc, y, 0, COLS);
    }
    if (how < 2) {
        clear_cells(vc, vc->y, how == 0 ? MIN(vc->x, COLS) : 0, how == 0 ? COLS : MIN(vc->x + 1, COLS));
    }
}

static void set_attributes(Vc *vc)
{
    for (int i = 0; i < MAX(vc->n_args, 1); i++) {
        int a = i < vc->n_args ? vc->args[i] : 0;

        if (a == 0) {
            vc->attr = ATTR_DEFAULT;
        } else if (a == 1) {
            vc->attr |= 0x08;
        } else if (a == 22) {
            vc->attr &= ~0x08;
        } else if (a == 7 || a == 27) {
            vc->attr = (vc->attr & 0x88) | (vc->attr & 7) << 4 | (vc->attr >> 4 & 7);
        } else if (a >= 30 && a <= 37) {
            vc->attr = (vc->attr & 0xf8) | (a - 30);
        } else if (a >= 40 && a <= 47) {
            vc->attr = (vc->attr & 0x8f) | (a - 40) << 4;
        } else if (a == 39) {
            vc->attr = (vc->attr & 0xf8) | 7;
        } else if (a == 49) {
            vc->attr &= 0x8f;
        }
    }
}

/* Answers go back as if typed. The lock is held: deliver later. */
typedef struct Typed {
    CharBackend *chr;
    uint8_t data[16];
    size_t size;
} Typed;

static void deliver(void *opaque)
{
    Typed *t = opaque;

    char_deliver(t->chr, t->data, t->size);
    g_free(t);
}

static void answer(Vc *vc, const char *text)
{
    Typed *t = g_new0(Typed, 1);

    t->chr = vc->chr;
    t->size = MIN(strlen(text), sizeof(t->data));
    memcpy(t->data, text, t->size);
    main_loop_call(deliver, t);
}

static void control_sequence(Vc *vc, uint8_t final)
{
    switch (final) {
    case 'A':
        vc->y = MAX(0, vc->y - arg(vc, 0, 1));
        break;
    case 'B':
        vc->y = MIN(ROWS - 1, vc->y + arg(vc, 0, 1));
        break;
    case 'C':
        vc->x = MIN(COLS - 1, vc->x + arg(vc, 0, 1));
        break;
    case 'D':
        vc->x = MAX(0, vc->x - arg(vc, 0, 1));
        break;
    case 'G':
        vc->x = CLAMP(arg(vc, 0, 1) - 1, 0, COLS - 1);
        break;
    case 'H':
    case 'f':
        vc->y = CLAMP(arg(vc, 0, 1) - 1, 0, ROWS - 1);
        vc->x = CLAMP(arg(vc, 1, 1) - 1, 0, COLS - 1);
        break;
    case 'J':
        erase_display(vc, arg(vc, 0, 0));
        break;
    case 'K':
        clear_cells(vc, vc->y, arg(vc, 0, 0) ? 0 : MIN(vc->x, COLS), arg(vc, 0, 0) == 1 ? MIN(vc->x + 1, COLS) : COLS);
        break;
    case 'P': { /* delete characters */
        int n = MIN(arg(vc, 0, 1), COLS - MIN(vc->x, COLS));

        memmove(&vc->cells[vc->y][vc->x], &vc->cells[vc->y][vc->x + n], (COLS - vc->x - n) * sizeof(Cell));
        clear_cells(vc, vc->y, COLS - n, COLS);
        break;
    }
    case 'm':
        set_attributes(vc);
        break;
    case 'n':
        if (arg(vc, 0, 0) == 6) {
            char text[16];

            g_snprintf(text, sizeof(text), "\033[%d;%dR", vc->y + 1, vc->x + 1);
            answer(vc, text);
        }
        break;
    case 's':
        vc->saved_x = vc->x;
        vc->saved_y = vc->y;
        break;
    case 'u':
        vc->x = vc->saved_x;
        vc->y = vc->saved_y;
        break;
    default:
        break;
    }
}

/* The few characters outside ASCII that terminals of today send, as code page 437 has them. */
static uint8_t to_cp437(uint32_t c)
{
    switch (c) {
    case 0x2500:
        return 0xc4;
    case 0x2502:
        return 0xb3;
    case 0x250c:
        return 0xda;
    case 0x2510:
        return 0xbf;
    case 0x2514:
        return 0xc0;
    case 0x2518:
        return 0xd9;
    case 0x2591 ... 0x2593:
        return 0xb0 + (c - 0x2591);
    case 0x2588:
        return 0xdb;
    case 0x2018:
    case 0x2019:
        return '\'';
    default:
        return '?';
    }
}

static void text_byte(Vc *vc, uint8_t byte)
{
    if (vc->utf8_left && (byte & 0xc0) == 0x80) {
        vc->utf8[vc->utf8_size++] = byte;
        if (--vc->utf8_left == 0) {
            put_char(vc, to_cp437(g_utf8_get_char_validated((char *)vc->utf8, vc->utf8_size)));
        }
        return;
    }
    vc->utf8_left = 0;
    switch (byte) {
    case 0x1b:
        vc->parser = ESCAPE;
        break;
    case '\r':
        vc->x = 0;
        break;
    case '\n':
        line_feed(vc);
        break;
    case '\b':
        vc->x = MAX(0, vc->x - 1);
        break;
    case '\t':
        vc->x = MIN(COLS - 1, (vc->x | 7) + 1);
        break;
    default:
        if (byte >= 0xc2 && byte < 0xf5) {
            vc->utf8[0] = byte;
            vc->utf8_size = 1;
            vc->utf8_left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
        } else if (byte >= 0x20 && byte < 0x7f) {
            put_char(vc, byte);
        }
    }
}

static void feed(Vc *vc, uint8_t byte)
{
    switch (vc->parser) {
    case TEXT:
        text_byte(vc, byte);
        break;
    case ESCAPE:
        vc->parser = byte == '[' ? BRACKET : TEXT;
        vc->n_args = 0;
        memset(vc->args, 0, sizeof(vc->args));
        if (byte == 'c') {
            vc->attr = ATTR_DEFAULT;
            vc->x = vc->y = 0;
            erase_display(vc, 2);
        }
        break;
    case BRACKET:
        if (byte >= '0' && byte <= '9') {
            vc->n_args = MAX(vc->n_args, 1);
            vc->args[vc->n_args - 1] = MIN(vc->args[vc->n_args - 1] * 10 + byte - '0', 9999);
        } else if (byte == ';') {
            vc->n_args = MIN(MAX(vc->n_args, 1) + 1, MAX_ARGS);
        } else if (byte != '?' && byte != '>') {
            vc->parser = TEXT;
            control_sequence(vc, byte);
        }
        break;
    }
}

static void vc_write(CharBackend *chr, const uint8_t *data, size_t size)
{
    Vc *vc = char_opaque(chr);

    g_mutex_lock(&vc->lock);
    for (size_t i = 0; i < size; i++) {
        feed(vc, data[i]);
    }
    g_mutex_unlock(&vc->lock);
}

static const CharOps char_ops = { .write = vc_write };

/* ---- painting ---- */

static void draw_cell(Vc *vc, int x, int y, bool cursor)
{
    pixman_image_t *surface = console_surface(vc->con);
    uint32_t *data = pixman_image_get_data(surface);
    int stride = pixman_image_get_stride(surface) / 4;
    Cell cell = vc->cells[y][x];
    const uint8_t *glyph = font_glyph(cell.ch);
    uint32_t fg = colors[cell.attr & 15], bg = colors[cell.attr >> 4 & 7];

    for (int row = 0; row < FONT_HEIGHT; row++) {
        uint32_t *out = data + (y * FONT_HEIGHT + row) * stride + x * FONT_WIDTH;
        uint8_t bits = cursor ? ~glyph[row] : glyph[row];

        for (int col = 0; col < FONT_WIDTH; col++) {
            out[col] = bits & 0x80 >> col ? fg : bg;
        }
    }
}

static void vc_update(void *opaque)
{
    Vc *vc = opaque;
    int cursor_x = MIN(vc->x, COLS - 1);

    g_mutex_lock(&vc->lock);
    if (vc->shown_x != cursor_x || vc->shown_y != vc->y) {
        vc->dirty[vc->shown_y] = vc->dirty[vc->y] = true;
        vc->shown_x = cursor_x;
        vc->shown_y = vc->y;
    }
    for (int y = 0; y < ROWS; y++) {
        if (vc->dirty[y]) {
            for (int x = 0; x < COLS; x++) {
                draw_cell(vc, x, y, x == vc->shown_x && y == vc->shown_y);
            }
            vc->dirty[y] = false;
            console_damage(vc->con, 0, y * FONT_HEIGHT, COLS * FONT_WIDTH, FONT_HEIGHT);
        }
    }
    g_mutex_unlock(&vc->lock);
}

static void vc_invalidate(void *opaque)
{
    memset(((Vc *)opaque)->dirty, true, ROWS);
}

/* Unicode, or a private code of the window for keys without one: see sdl.c. */
static void vc_key(void *opaque, uint32_t codepoint)
{
    Vc *vc = opaque;
    static const char *const special[] = { "\033[A", "\033[B", "\033[C", "\033[D", "\033[H", "\033[F", "\033[3~" };
    char text[8];

    if (codepoint >= 0xf700 && codepoint < 0xf700 + G_N_ELEMENTS(special)) {
        char_deliver(vc->chr, (const uint8_t *)special[codepoint - 0xf700],
                     strlen(special[codepoint - 0xf700]));
    } else {
        char_deliver(vc->chr, (const uint8_t *)text, g_unichar_to_utf8(codepoint, text));
    }
}

static char *vc_text(void *opaque)
{
    Vc *vc = opaque;
    GString *text = g_string_new(NULL);

    g_mutex_lock(&vc->lock);
    for (int y = 0; y < ROWS; y++) {
        gsize start = text->len;

        for (int x = 0; x < COLS; x++) {
            uint8_t ch = vc->cells[y][x].ch;

            g_string_append_c(text, ch >= 0x20 && ch < 0x7f ? ch : ' ');
        }
        while (text->len > start && text->str[text->len - 1] == ' ') {
            g_string_truncate(text, text->len - 1);
        }
        g_string_append_c(text, '\n');
    }
    g_mutex_unlock(&vc->lock);
    return g_string_free(text, FALSE);
}

static const ConsoleOps console_ops = {
    .update = vc_update, .invalidate = vc_invalidate, .text_key = vc_key, .text = vc_text,
};

static CharBackend *vc_new(const char *id, const char *options, GError **error)
{
    Vc *vc = g_new0(Vc, 1);

    g_mutex_init(&vc->lock);
    vc->attr = ATTR_DEFAULT;
    erase_display(vc, 2);
    vc->chr = char_register(id, &char_ops, vc);
    vc->con = console_new(id, &console_ops, vc);
    console_resize(vc->con, COLS * FONT_WIDTH, ROWS * FONT_HEIGHT);
    return vc->chr;
}

void vc_init(void)
{
    char_set_vc_factory(vc_new);
}
