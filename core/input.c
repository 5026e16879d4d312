/* Hands events of user interfaces to the input devices that should get them. */
#include "core/input.h"

#include <glib.h>

typedef struct Entry {
    const InputHandler *handler;
    void *opaque;
    bool wants_sync; /* it got a pointer event since the last sync */
} Entry;

typedef struct LedsEntry {
    InputLedsFn *fn;
    void *opaque;
} LedsEntry;

static GPtrArray *handlers; /* Entry, the active one first */
static GArray *leds;

void input_register(const InputHandler *handler, void *opaque)
{
    Entry *entry = g_new0(Entry, 1);

    entry->handler = handler;
    entry->opaque = opaque;
    if (!handlers) {
        handlers = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_add(handlers, entry);
}

static guint count(void)
{
    return handlers ? handlers->len : 0;
}

void input_unregister(void *opaque)
{
    for (guint i = count(); i-- > 0;) {
        if (((Entry *)handlers->pdata[i])->opaque == opaque) {
            g_ptr_array_remove_index(handlers, i);
        }
    }
}

void input_activate(void *opaque)
{
    guint front = 0;

    for (guint i = 0; i < count(); i++) {
        Entry *entry = handlers->pdata[i];

        if (entry->opaque == opaque) {
            g_ptr_array_insert(handlers, front++, g_ptr_array_steal_index(handlers, i));
        }
    }
}

#define FIRST_WITH(member) first_with(G_STRUCT_OFFSET(InputHandler, member))

static Entry *first_with(size_t member)
{
    for (guint i = 0; i < count(); i++) {
        Entry *entry = handlers->pdata[i];

        if (G_STRUCT_MEMBER(void *, entry->handler, member)) {
            return entry;
        }
    }
    return NULL;
}

/* The active pointing device: moves and buttons belong together. */
static Entry *pointer(void)
{
    for (guint i = 0; i < count(); i++) {
        Entry *entry = handlers->pdata[i];

        if (entry->handler->move || entry->handler->move_to) {
            return entry;
        }
    }
    return NULL;
}

void input_send_key(InputKey key, bool down)
{
    Entry *entry = FIRST_WITH(key);

    if (entry && key) {
        entry->handler->key(entry->opaque, key, down);
    }
}

void input_send_button(InputButton button, bool down)
{
    Entry *entry = pointer();

    if (!entry || !entry->handler->button) {
        entry = FIRST_WITH(button);
    }
    if (entry) {
        entry->wants_sync = true;
        entry->handler->button(entry->opaque, button, down);
    }
}

void input_send_move(int dx, int dy)
{
    Entry *entry = FIRST_WITH(move);

    if (entry) {
        entry->wants_sync = true;
        entry->handler->move(entry->opaque, dx, dy);
    }
}

void input_send_move_to(int x, int y)
{
    Entry *entry = FIRST_WITH(move_to);

    if (entry) {
        entry->wants_sync = true;
        entry->handler->move_to(entry->opaque, CLAMP(x, 0, INPUT_ABS_MAX),
                                CLAMP(y, 0, INPUT_ABS_MAX));
    }
}

void input_send_sync(void)
{
    for (guint i = 0; i < count(); i++) {
        Entry *entry = handlers->pdata[i];

        if (entry->wants_sync) {
            entry->wants_sync = false;
            if (entry->handler->sync) {
                entry->handler->sync(entry->opaque);
            }
        }
    }
}

bool input_pointer_is_absolute(void)
{
    Entry *entry = pointer();

    return entry && entry->handler->move_to;
}

void input_on_leds(InputLedsFn *fn, void *opaque)
{
    LedsEntry entry = { fn, opaque };

    if (!leds) {
        leds = g_array_new(FALSE, FALSE, sizeof(LedsEntry));
    }
    g_array_append_val(leds, entry);
}

void input_set_leds(bool scroll, bool num, bool caps)
{
    for (guint i = 0; leds && i < leds->len; i++) {
        LedsEntry *entry = &g_array_index(leds, LedsEntry, i);

        entry->fn(entry->opaque, scroll, num, caps);
    }
}
