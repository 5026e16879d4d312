/* Consoles: surfaces between the devices that paint and the interfaces that show. */
#include "core/display.h"

#include <string.h>

#define MAX_SIDE 16384 /* of a surface: a guest may ask for anything */

struct Console {
    char *name;
    const ConsoleOps *ops;
    void *opaque;
    pixman_image_t *surface;
    uint32_t *cursor; /* NULL: none */
    int cursor_width, cursor_height, hot_x, hot_y;
};

typedef struct Viewer {
    const ConsoleListener *listener;
    void *opaque;
} Viewer;

static GPtrArray *consoles;
static GArray *viewers;

static guint viewer_count(void)
{
    return viewers ? viewers->len : 0;
}

static Viewer *viewer_at(guint i)
{
    return &g_array_index(viewers, Viewer, i);
}

/* Screens come before text, which the serial lines of the default machine have before there is a board. */
static int place_for(const Console *con)
{
    guint at = consoles->len;

    while (!console_is_text(con) && at > 0 && console_is_text(consoles->pdata[at - 1])) {
        at--;
    }
    return at;
}

Console *console_new(const char *name, const ConsoleOps *ops, void *opaque)
{
    Console *con = g_new0(Console, 1);

    con->name = g_strdup(name);
    con->ops = ops;
    con->opaque = opaque;
    if (!consoles) {
        consoles = g_ptr_array_new();
    }
    g_ptr_array_insert(consoles, place_for(con), con);
    console_resize(con, 640, 480);
    return con;
}

void console_free(Console *con)
{
    g_ptr_array_remove(consoles, con);
    pixman_image_unref(con->surface);
    g_free(con->cursor);
    g_free(con->name);
    g_free(con);
}

int console_count(void)
{
    return consoles ? consoles->len : 0;
}

Console *console_get(int index)
{
    return index >= 0 && index < console_count() ? consoles->pdata[index] : NULL;
}

const char *console_name(const Console *con)
{
    return con->name;
}

bool console_is_text(const Console *con)
{
    return con->ops->text_key != NULL;
}

pixman_image_t *console_resize(Console *con, int width, int height)
{
    width = CLAMP(width, 1, MAX_SIDE);
    height = CLAMP(height, 1, MAX_SIDE);
    if (con->surface && pixman_image_get_width(con->surface) == width &&
        pixman_image_get_height(con->surface) == height) {
        return con->surface;
    }
    if (con->surface) {
        pixman_image_unref(con->surface);
    }
    con->surface = pixman_image_create_bits(PIXMAN_x8r8g8b8, width, height, NULL, 0);
    g_assert(con->surface);
    for (guint i = 0; i < viewer_count(); i++) {
        if (viewer_at(i)->listener->resized) {
            viewer_at(i)->listener->resized(viewer_at(i)->opaque, con);
        }
    }
    return con->surface;
}

pixman_image_t *console_surface(Console *con)
{
    return con->surface;
}

void console_damage(Console *con, int x, int y, int width, int height)
{
    int right = MIN(x + width, pixman_image_get_width(con->surface));
    int bottom = MIN(y + height, pixman_image_get_height(con->surface));

    x = MAX(x, 0);
    y = MAX(y, 0);
    if (x >= right || y >= bottom) {
        return;
    }
    for (guint i = 0; i < viewer_count(); i++) {
        if (viewer_at(i)->listener->damaged) {
            viewer_at(i)->listener->damaged(viewer_at(i)->opaque, con, x, y, right - x,
                                            bottom - y);
        }
    }
}

void console_define_cursor(Console *con, const uint32_t *argb, int width, int height, int hot_x,
                           int hot_y)
{
    g_clear_pointer(&con->cursor, g_free);
    if (argb && width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE) {
        con->cursor = g_memdup2(argb, (size_t)width * height * sizeof(*argb));
        con->cursor_width = width;
        con->cursor_height = height;
        con->hot_x = hot_x;
        con->hot_y = hot_y;
    }
    for (guint i = 0; i < viewer_count(); i++) {
        if (viewer_at(i)->listener->cursor) {
            viewer_at(i)->listener->cursor(viewer_at(i)->opaque, con);
        }
    }
}

const uint32_t *console_cursor(const Console *con, int *width, int *height, int *hot_x, int *hot_y)
{
    if (con->cursor) {
        *width = con->cursor_width;
        *height = con->cursor_height;
        *hot_x = con->hot_x;
        *hot_y = con->hot_y;
    }
    return con->cursor;
}

void console_listen(const ConsoleListener *listener, void *opaque)
{
    Viewer viewer = { listener, opaque };

    if (!viewers) {
        viewers = g_array_new(FALSE, FALSE, sizeof(Viewer));
    }
    g_array_append_val(viewers, viewer);
}

void console_unlisten(void *opaque)
{
    for (guint i = viewer_count(); i-- > 0;) {
        if (viewer_at(i)->opaque == opaque) {
            g_array_remove_index(viewers, i);
        }
    }
}

void console_update(Console *con)
{
    if (con->ops->update) {
        con->ops->update(con->opaque);
    }
}

void console_invalidate(Console *con)
{
    if (con->ops->invalidate) {
        con->ops->invalidate(con->opaque);
    }
}

void console_request_size(Console *con, int width, int height)
{
    if (con->ops->resize) {
        con->ops->resize(con->opaque, width, height);
    }
}

void console_send_text(Console *con, uint32_t codepoint)
{
    if (con->ops->text_key) {
        con->ops->text_key(con->opaque, codepoint);
    }
}

char *console_text(Console *con)
{
    return con->ops->text ? con->ops->text(con->opaque) : NULL;
}
