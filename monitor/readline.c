/* Line editing as a terminal user expects it: cursor, history, completion (ECMA-48 sequences). */
#include "monitor/readline.h"

#include <string.h>

#define MAX_LINE    4096
#define MAX_HISTORY 64
#define CTRL(c)     ((c) - '@')

struct Readline {
    const ReadlineOps *ops;
    void *opaque;
    char *prompt;
    GString *line;
    size_t cursor;
    GPtrArray *history;
    guint browsing; /* index into history; its length: the line being typed */
    char *typed;    /* that line, while browsing */
    enum { PLAIN, ESCAPE, SEQUENCE, SS3 } state;
    int parameter;  /* of the escape sequence */
};

Readline *readline_new(const ReadlineOps *ops, void *opaque, const char *prompt)
{
    Readline *rl = g_new0(Readline, 1);

    rl->ops = ops;
    rl->opaque = opaque;
    rl->prompt = g_strdup(prompt);
    rl->line = g_string_new(NULL);
    rl->history = g_ptr_array_new_with_free_func(g_free);
    return rl;
}

void readline_free(Readline *rl)
{
    g_free(rl->prompt);
    g_free(rl->typed);
    g_string_free(rl->line, TRUE);
    g_ptr_array_free(rl->history, TRUE);
    g_free(rl);
}

const GPtrArray *readline_history(const Readline *rl)
{
    return rl->history;
}

static void put(Readline *rl, const char *text)
{
    rl->ops->write(rl->opaque, text, strlen(text));
}

void readline_show_prompt(Readline *rl)
{
    g_string_truncate(rl->line, 0);
    rl->cursor = 0;
    rl->browsing = rl->history->len;
    g_clear_pointer(&rl->typed, g_free);
    put(rl, rl->prompt);
}

/* Paints the line from its start and puts the cursor where it belongs. */
static void repaint(Readline *rl)
{
    size_t back = rl->line->len - rl->cursor;
    g_autofree char *text = g_strdup_printf("\r%s%s\033[K", rl->prompt, rl->line->str);

    put(rl, text);
    if (back) {
        g_autofree char *move = g_strdup_printf("\033[%zuD", back);

        put(rl, move);
    }
}

static void insert(Readline *rl, const char *text, size_t n)
{
    bool at_end = rl->cursor == rl->line->len;

    if (rl->line->len + n > MAX_LINE) {
        return;
    }
    g_string_insert_len(rl->line, rl->cursor, text, n);
    rl->cursor += n;
    if (at_end) {
        rl->ops->write(rl->opaque, text, n);
    } else {
        repaint(rl);
    }
}

static void erase(Readline *rl, size_t from, size_t to)
{
    if (from < to && to <= rl->line->len) {
        g_string_erase(rl->line, from, to - from);
        rl->cursor = from;
        repaint(rl);
    }
}

static void move_to(Readline *rl, size_t cursor)
{
    if (cursor <= rl->line->len) {
        rl->cursor = cursor;
        repaint(rl);
    }
}

static void erase_word(Readline *rl)
{
    size_t from = rl->cursor;

    while (from && rl->line->str[from - 1] == ' ') {
        from--;
    }
    while (from && rl->line->str[from - 1] != ' ') {
        from--;
    }
    erase(rl, from, rl->cursor);
}

static void browse(Readline *rl, guint to)
{
    if (to > rl->history->len) { /* also one before the first */
        return;
    }
    if (rl->browsing == rl->history->len) {
        g_free(rl->typed);
        rl->typed = g_strdup(rl->line->str);
    }
    rl->browsing = to;
    g_string_assign(rl->line, to < rl->history->len ? rl->history->pdata[to] : rl->typed);
    rl->cursor = rl->line->len;
    repaint(rl);
}

static void remember(Readline *rl, const char *line)
{
    GPtrArray *history = rl->history;

    if (!*line || (history->len && g_str_equal(history->pdata[history->len - 1], line))) {
        return;
    }
    if (history->len == MAX_HISTORY) {
        g_ptr_array_remove_index(history, 0);
    }
    g_ptr_array_add(history, g_strdup(line));
}

static size_t common_length(char **words)
{
    size_t n = strlen(words[0]);

    for (char **word = words + 1; *word; word++) {
        size_t same = 0;

        while (same < n && (*word)[same] == words[0][same]) {
            same++;
        }
        n = same;
    }
    return n;
}

static void complete(Readline *rl)
{
    g_autofree char *before = g_strndup(rl->line->str, rl->cursor);
    const char *space = strrchr(before, ' ');
    size_t typed = strlen(space ? space + 1 : before);
    g_auto(GStrv) found = rl->ops->complete ? rl->ops->complete(before) : NULL;

    if (!found || !found[0]) {
        return;
    }
    if (!found[1]) {
        g_autofree char *rest = g_strconcat(found[0] + typed, " ", NULL);

        insert(rl, rest, strlen(rest));
    } else if (common_length(found) > typed) {
        insert(rl, found[0] + typed, common_length(found) - typed);
    } else {
        g_autofree char *list = g_strjoinv("  ", found);

        put(rl, "\r\n");
        put(rl, list);
        put(rl, "\r\n");
        repaint(rl);
    }
}

static void enter(Readline *rl)
{
    g_autofree char *line = g_strdup(rl->line->str);

    put(rl, "\r\n");
    remember(rl, line);
    g_string_truncate(rl->line, 0);
    rl->cursor = 0;
    rl->ops->line(rl->opaque, line);
}

static void control(Readline *rl, uint8_t byte)
{
    switch (byte) {
    case CTRL('A'):
        move_to(rl, 0);
        break;
    case CTRL('B'):
        move_to(rl, rl->cursor - 1);
        break;
    case CTRL('C'):
        put(rl, "\r\n");
        readline_show_prompt(rl);
        break;
    case CTRL('D'):
        erase(rl, rl->cursor, rl->cursor + 1);
        break;
    case CTRL('E'):
        move_to(rl, rl->line->len);
        break;
    case CTRL('F'):
        move_to(rl, rl->cursor + 1);
        break;
    case CTRL('H'):
    case 0x7f:
        erase(rl, rl->cursor ? rl->cursor - 1 : 0, rl->cursor);
        break;
    case CTRL('I'):
        complete(rl);
        break;
    case CTRL('J'):
    case CTRL('M'):
        enter(rl);
        break;
    case CTRL('K'):
        erase(rl, rl->cursor, rl->line->len);
        break;
    case CTRL('L'):
        put(rl, "\033[2J\033[H");
        repaint(rl);
        break;
    case CTRL('N'):
        browse(rl, rl->browsing + 1);
        break;
    case CTRL('P'):
        browse(rl, rl->browsing - 1);
        break;
    case CTRL('U'):
        erase(rl, 0, rl->cursor);
        break;
    case CTRL('W'):
        erase_word(rl);
        break;
    case CTRL('['):
        rl->state = ESCAPE;
        break;
    default:
        break;
    }
}

static void end_sequence(Readline *rl, uint8_t final)
{
    rl->state = PLAIN;
    switch (final) {
    case 'A':
        browse(rl, rl->browsing - 1);
        break;
    case 'B':
        browse(rl, rl->browsing + 1);
        break;
    case 'C':
        move_to(rl, rl->cursor + 1);
        break;
    case 'D':
        move_to(rl, rl->cursor - 1);
        break;
    case 'H':
        move_to(rl, 0);
        break;
    case 'F':
        move_to(rl, rl->line->len);
        break;
    case '~':
        if (rl->parameter == 1 || rl->parameter == 7) {
            move_to(rl, 0);
        } else if (rl->parameter == 3) {
            erase(rl, rl->cursor, rl->cursor + 1);
        } else if (rl->parameter == 4 || rl->parameter == 8) {
            move_to(rl, rl->line->len);
        }
        break;
    default:
        break;
    }
}

static void feed_byte(Readline *rl, uint8_t byte)
{
    switch (rl->state) {
    case ESCAPE:
        rl->parameter = 0;
        rl->state = byte == '[' ? SEQUENCE : byte == 'O' ? SS3 : PLAIN;
        break;
    case SEQUENCE:
        if (byte >= '0' && byte <= '9') {
            rl->parameter = (rl->parameter * 10 + byte - '0') % 1000;
        } else if (byte >= 0x40 || byte < 0x20) {
            end_sequence(rl, byte);
        }
        break;
    case SS3:
        end_sequence(rl, byte);
        break;
    default:
        if (byte < 0x20 || byte == 0x7f) {
            control(rl, byte);
        } else {
            insert(rl, (const char *)&byte, 1);
        }
    }
}

void readline_feed(Readline *rl, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        /* The second half of a network line end. */
        if (data[i] == '\n' && i && data[i - 1] == '\r') {
            continue;
        }
        feed_byte(rl, data[i]);
    }
}
