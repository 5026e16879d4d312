/* Character backends: the registry, frontends, and the mux that shares a terminal. */
#include "backends/char.h"

#include "backends/char/char-internal.h"
#include "core/clock.h"
#include "core/lock.h"
#include "core/mainloop.h"
#include "util/error.h"

#include <stdio.h>
#include <string.h>

#define MAX_FRONTENDS 4
#define MUX_ESCAPE    1 /* Ctrl-A */
#define LINE_BYTES    256
#define LINE_PATIENCE (2 * NS_PER_MS)

typedef struct Attached {
    const CharFrontend *ops;
    void *opaque;
} Attached;

struct CharBackend {
    char *id;
    char *about;
    const CharOps *ops;
    void *opaque;
    Attached frontends[MAX_FRONTENDS];
    int n_frontends;
    int focus;     /* which frontend gets input, with a mux */
    bool mux;      /* Ctrl-A commands are honoured and several frontends may attach */
    bool escaped;  /* the last byte was Ctrl-A */
    bool connected;
    GByteArray *held; /* input that the frontend has no room for yet */
    /* The line that the guest is writing, byte by byte. */
    GMutex line_mutex;
    uint8_t line[LINE_BYTES];
    unsigned line_size;
    Timer *line_timer;
};

static GPtrArray *all;
static CharMuxQuitFn *mux_quit;
static CharVcFactory *vc_factory;

void char_set_mux_quit(CharMuxQuitFn *fn)
{
    mux_quit = fn;
}

void char_set_vc_factory(CharVcFactory *fn)
{
    vc_factory = fn;
}

CharVcFactory *char_vc_factory(void)
{
    return vc_factory;
}

static void send_line(CharBackend *chr)
{
    unsigned size = chr->line_size;

    chr->line_size = 0;
    if (size) {
        chr->ops->write(chr, chr->line, size);
    }
}

static void line_waited(void *opaque)
{
    CharBackend *chr = opaque;

    g_mutex_lock(&chr->line_mutex);
    send_line(chr);
    g_mutex_unlock(&chr->line_mutex);
}

CharBackend *char_register(const char *id, const CharOps *ops, void *opaque)
{
    CharBackend *chr = g_new0(CharBackend, 1);

    chr->id = g_strdup(id);
    chr->about = g_strdup("");
    chr->ops = ops;
    chr->opaque = opaque;
    chr->connected = true;
    chr->held = g_byte_array_new();
    chr->line_timer = timer_new(CLOCK_REAL, line_waited, chr);
    if (!all) {
        all = g_ptr_array_new();
    }
    g_ptr_array_add(all, chr);
    return chr;
}

static void free_backend(CharBackend *chr)
{
    timer_free(chr->line_timer);
    send_line(chr);
    if (chr->ops->free) {
        chr->ops->free(chr);
    }
    g_byte_array_unref(chr->held);
    g_free(chr->id);
    g_free(chr->about);
    g_free(chr);
}

void char_free_all(void)
{
    while (all && all->len) {
        free_backend(g_ptr_array_remove_index(all, all->len - 1));
    }
    char_restore_terminal();
}

CharBackend *char_find(const char *id)
{
    for (guint i = 0; all && i < all->len; i++) {
        CharBackend *chr = g_ptr_array_index(all, i);

        if (g_str_equal(chr->id, id)) {
            return chr;
        }
    }
    return NULL;
}

void char_for_each(void (*fn)(CharBackend *chr, void *opaque), void *opaque)
{
    for (guint i = 0; all && i < all->len; i++) {
        fn(g_ptr_array_index(all, i), opaque);
    }
}

const char *char_id(const CharBackend *chr)
{
    return chr->id;
}

void *char_opaque(const CharBackend *chr)
{
    return chr->opaque;
}

void char_set_about(CharBackend *chr, const char *about)
{
    g_free(chr->about);
    chr->about = g_strdup(about);
}

char *char_describe(const CharBackend *chr)
{
    return g_strdup_printf("%s: filename=%s", chr->id, chr->about);
}

void char_enable_mux(CharBackend *chr)
{
    chr->mux = true;
}

bool char_attach(CharBackend *chr, const CharFrontend *frontend, void *opaque, GError **error)
{
    if (chr->n_frontends == (chr->mux ? MAX_FRONTENDS : 1)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "character device '%s' is in use already; mux=on shares it", chr->id);
        return false;
    }
    chr->frontends[chr->n_frontends++] = (Attached){ frontend, opaque };
    if (chr->connected && frontend->event) {
        frontend->event(opaque, CHAR_OPENED);
    }
    if (chr->ops->accept) {
        chr->ops->accept(chr);
    }
    return true;
}

void char_detach(CharBackend *chr, void *opaque)
{
    for (int i = 0; i < chr->n_frontends; i++) {
        if (chr->frontends[i].opaque == opaque) {
            memmove(&chr->frontends[i], &chr->frontends[i + 1],
                    (chr->n_frontends - i - 1) * sizeof(Attached));
            chr->n_frontends--;
            if (chr->focus >= chr->n_frontends) {
                chr->focus = 0;
            }
            return;
        }
    }
}

/*
 * Guests write byte by byte, and a system call for each is more than all else about it. So they wait for the rest of their line, but
 * not for long: an echo has none.
 */
static void write_byte(CharBackend *chr, uint8_t byte)
{
    chr->line[chr->line_size++] = byte;
    if (byte == '\n' || chr->line_size == LINE_BYTES) {
        send_line(chr);
    } else if (!timer_pending(chr->line_timer)) {
        timer_set(chr->line_timer, clock_now(CLOCK_REAL) + LINE_PATIENCE);
    }
}

void char_write(CharBackend *chr, const uint8_t *data, size_t size)
{
    if (!chr || !size) {
        return;
    }
    g_mutex_lock(&chr->line_mutex);
    if (size == 1 && chr->ops->in_lines) {
        write_byte(chr, *data);
    } else {
        send_line(chr);
        chr->ops->write(chr, data, size);
    }
    g_mutex_unlock(&chr->line_mutex);
}

bool char_connected(const CharBackend *chr)
{
    return chr->connected;
}

static Attached *focused(CharBackend *chr)
{
    return chr->focus < chr->n_frontends ? &chr->frontends[chr->focus] : NULL;
}

void char_deliver_event(CharBackend *chr, CharEvent event)
{
    if (event != CHAR_BREAK) {
        chr->connected = event == CHAR_OPENED;
    }
    if (event == CHAR_CLOSED) {
        g_byte_array_set_size(chr->held, 0);
    }
    for (int i = 0; i < chr->n_frontends; i++) {
        if (chr->frontends[i].ops->event && (event != CHAR_BREAK || i == chr->focus)) {
            chr->frontends[i].ops->event(chr->frontends[i].opaque, event);
        }
    }
}

/* Gives what the focused frontend takes of the held bytes. */
static void drain(CharBackend *chr)
{
    Attached *to = focused(chr);

    while (to && chr->held->len) {
        size_t room = to->ops->can_receive ? to->ops->can_receive(to->opaque) : chr->held->len;
        size_t n = MIN(room, chr->held->len);
        g_autofree uint8_t *data = NULL;

        if (!n) {
            return;
        }
        /* The frontend may call back into this backend, so it gets a copy. */
        data = g_memdup2(chr->held->data, n);
        g_byte_array_remove_range(chr->held, 0, n);
        to->ops->receive(to->opaque, data, n);
    }
}

static void mux_help(CharBackend *chr)
{
    static const char text[] = "\r\nC-a h    this help\r\n"
                               "C-a x    quit\r\n"
                               "C-a b    send break (magic SysRq)\r\n"
                               "C-a c    switch between console and monitor\r\n"
                               "C-a C-a  send C-a\r\n";

    char_write(chr, (const uint8_t *)text, sizeof(text) - 1);
}

/* True if the byte goes to the guest. */
static bool mux_filter(CharBackend *chr, uint8_t byte)
{
    if (!chr->escaped) {
        chr->escaped = byte == MUX_ESCAPE;
        return !chr->escaped;
    }
    chr->escaped = false;
    switch (byte) {
    case MUX_ESCAPE:
        return true;
    case 'h':
    case '?':
        mux_help(chr);
        break;
    case 'x':
        char_write(chr, (const uint8_t *)"\r\n", 2);
        if (mux_quit) {
            mux_quit();
        }
        break;
    case 'b':
        char_deliver_event(chr, CHAR_BREAK);
        break;
    case 'c':
        if (chr->n_frontends) {
            drain(chr);
            chr->focus = (chr->focus + 1) % chr->n_frontends;
            if (focused(chr)->ops->event) {
                focused(chr)->ops->event(focused(chr)->opaque, CHAR_OPENED);
            }
        }
        break;
    default:
        break;
    }
    return false;
}

/* Room that a source should read for: bounded, so that a stopped guest does not grow us. */
size_t char_room(CharBackend *chr)
{
    return chr->held->len < 4096 ? 4096 - chr->held->len : 0;
}

size_t char_deliver(CharBackend *chr, const uint8_t *data, size_t size)
{
    if (!chr->mux) {
        size = MIN(size, char_room(chr));
        g_byte_array_append(chr->held, data, size);
        drain(chr);
        return size;
    }
    for (size_t i = 0; i < size; i++) {
        if (mux_filter(chr, data[i])) {
            g_byte_array_append(chr->held, &data[i], 1);
            drain(chr);
        }
    }
    return size;
}

static void accept_later(void *opaque)
{
    CharBackend *chr = char_find(opaque);

    if (chr) {
        drain(chr);
        if (chr->ops->accept && char_room(chr)) {
            chr->ops->accept(chr);
        }
    }
    g_free(opaque);
}

void char_accept(CharBackend *chr)
{
    /* The caller is in the middle of a register access: deliver from the main loop. */
    if (chr && (chr->held->len || chr->ops->accept)) {
        if (chr->held->len) {
            main_loop_call(accept_later, g_strdup(chr->id));
        }
    }
}
