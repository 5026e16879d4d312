/*
 * The window, with SDL2: shows the consoles scaled with their aspect, takes keyboard and mouse.
 *
 * Ctrl+Alt+G takes and gives back the mouse, Ctrl+Alt+F full screen, Ctrl+Alt+U one pixel to one,
 * Ctrl+Alt+1.. the consoles. Keys go by position: SDL's scan codes are USB usages, as the input
 * layer's are.
 */
#include "config.h"
#include "core/display.h"
#include "core/input.h"
#include "core/machine.h"
#include "ui/ui.h"
#include "util/error.h"
#include "util/log.h"
#include "util/sdl.h"

#include <stdlib.h>

#define REFRESH_MS 16

typedef struct Window {
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Texture *texture;
    int texture_width, texture_height;
    Console *con;
    int index;
    char *title;
    bool grabbed, full_screen, present, sized;
    guint timer;
    SDL_Rect damage; /* of the surface, not uploaded yet; w = 0: none */
    uint8_t held[512 / 8]; /* keys that the guest believes to be down */
} Window;

static Window win;

static void update_title(void)
{
    g_autofree char *text = g_strdup_printf(
        "%s%s%s", win.title, machine_state() == RUN_PAUSED ? " [Paused]" : "",
        win.grabbed ? " - press Ctrl+Alt+G to release the mouse" : "");

    sdl.SetWindowTitle(win.window, text);
}

/* ---- showing ---- */

static void make_texture(void)
{
    pixman_image_t *surface = console_surface(win.con);
    int width = pixman_image_get_width(surface), height = pixman_image_get_height(surface);

    if (!win.texture || width != win.texture_width || height != win.texture_height) {
        if (win.texture) {
            sdl.DestroyTexture(win.texture);
        }
        win.texture = sdl.CreateTexture(win.renderer, SDL_PIXELFORMAT_RGB888,
                                        SDL_TEXTUREACCESS_STREAMING, width, height);
        win.texture_width = width;
        win.texture_height = height;
        win.damage = (SDL_Rect){ 0, 0, width, height };
    }
}

/* Modes of the VGA fill a 4:3 screen whatever their pixels; others have square pixels. */
static void shape(int *width, int *height)
{
    int w = win.texture_width, h = win.texture_height;

    if (h <= 240 && w >= 320) {
        h *= 2;
        w = w < 600 ? w * 2 : w;
    }
    if (w * 3 != h * 4 && (h == 400 || h == 350) && (w == 640 || w == 720)) {
        h = w * 3 / 4;
    }
    *width = w;
    *height = h;
}

static SDL_Rect placement(void)
{
    int out_w, out_h, w, h;
    SDL_Rect r;

    sdl.GetRendererOutputSize(win.renderer, &out_w, &out_h);
    shape(&w, &h);
    if ((int64_t)out_w * h > (int64_t)out_h * w) {
        r.h = out_h;
        r.w = (int64_t)out_h * w / h;
    } else {
        r.w = out_w;
        r.h = (int64_t)out_w * h / w;
    }
    r.x = (out_w - r.w) / 2;
    r.y = (out_h - r.h) / 2;
    return r;
}

static void fit_window(void)
{
    int w, h, display;
    SDL_Rect room;

    if (win.full_screen || win.sized || (sdl.GetWindowFlags(win.window) & SDL_WINDOW_MAXIMIZED)) {
        return; /* the user has chosen a size */
    }
    shape(&w, &h);
    display = sdl.GetWindowDisplayIndex(win.window);
    if (sdl.GetDisplayUsableBounds(MAX(display, 0), &room) == 0 && room.w > 0 && room.h > 0) {
        if (w > room.w) { /* larger than the screen: the window shrinks, the picture with it */
            h = (int64_t)h * room.w / w;
            w = room.w;
        }
        if (h > room.h) {
            w = (int64_t)w * room.h / h;
            h = room.h;
        }
    }
    sdl.SetWindowSize(win.window, w, h);
    sdl.SetWindowPosition(win.window, SDL_WINDOWPOS_CENTERED_DISPLAY(MAX(display, 0)),
                          SDL_WINDOWPOS_CENTERED_DISPLAY(MAX(display, 0)));
}

static void upload(void)
{
    pixman_image_t *surface = console_surface(win.con);
    int stride = pixman_image_get_stride(surface);
    const uint8_t *data = (const uint8_t *)pixman_image_get_data(surface);
    SDL_Rect r = win.damage;

    if (r.w > 0) {
        sdl.UpdateTexture(win.texture, &r, data + (size_t)r.y * stride + r.x * 4, stride);
        win.damage.w = 0;
        win.present = true;
    }
}

static void show(void)
{
    upload();
    if (win.present) {
        SDL_Rect r = placement();

        sdl.SetRenderDrawColor(win.renderer, 0, 0, 0, 255);
        sdl.RenderClear(win.renderer);
        sdl.RenderCopy(win.renderer, win.texture, NULL, &r);
        sdl.RenderPresent(win.renderer);
        win.present = false;
    }
}

static void console_resized(void *opaque, Console *con)
{
    if (con == win.con) {
        make_texture();
        fit_window();
    }
}

static void console_damaged(void *opaque, Console *con, int x, int y, int width, int height)
{
    SDL_Rect r = { x, y, width, height }, bounds = { 0, 0, win.texture_width, win.texture_height }, sum;

    if (con != win.con || !sdl.IntersectRect(&r, &bounds, &r)) {
        return;
    }
    if (win.damage.w > 0) {
        sdl.UnionRect(&win.damage, &r, &sum);
        r = sum;
    }
    win.damage = r;
}

static const ConsoleListener listener = { console_resized, console_damaged, NULL };

static void release_keys(void);

static void show_console(int index)
{
    Console *con = console_get(index);

    if (con && con != win.con) {
        release_keys();
        win.con = con;
        win.index = index;
        make_texture();
        fit_window();
        console_invalidate(con);
        win.damage = (SDL_Rect){ 0, 0, win.texture_width, win.texture_height };
        if (console_is_text(con)) {
            sdl.StartTextInput();
        } else {
            sdl.StopTextInput();
        }
    }
}

/* ---- input ---- */

static void set_grab(bool grab)
{
    if (grab == win.grabbed) {
        return;
    }
    win.grabbed = grab;
    sdl.SetWindowGrab(win.window, grab);
    if (!input_pointer_is_absolute()) {
        sdl.SetRelativeMouseMode(grab);
    }
    update_title();
}

static void send_key(unsigned key, bool down)
{
    if (key && key < 256) {
        if (down) {
            win.held[key / 8] |= 1 << key % 8;
        } else {
            win.held[key / 8] &= ~(1 << key % 8);
        }
        input_send_key(key, down);
    }
}

/* When the window loses the keyboard the guest must not be left with keys held. */
static void release_keys(void)
{
    for (unsigned key = 1; key < 256; key++) {
        if (win.held[key / 8] & 1 << key % 8) {
            send_key(key, false);
        }
    }
}

static void toggle_full_screen(void)
{
    win.full_screen = !win.full_screen;
    sdl.SetWindowFullscreen(win.window, win.full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
    win.present = true;
}

/* Ctrl+Alt with a key is for the window. True if it was taken. */
static bool hot_key(const SDL_KeyboardEvent *e)
{
    SDL_Keymod both = e->keysym.mod;
    SDL_Scancode key = e->keysym.scancode;

    if (!(both & KMOD_CTRL) || !(both & KMOD_ALT)) {
        return false;
    }
    if (key >= SDL_SCANCODE_1 && key <= SDL_SCANCODE_9) {
        if (e->state == SDL_PRESSED) {
            show_console(key - SDL_SCANCODE_1);
        }
        return true;
    }
    if (key != SDL_SCANCODE_G && key != SDL_SCANCODE_F && key != SDL_SCANCODE_U) {
        return false;
    }
    if (e->state == SDL_PRESSED && !e->repeat) {
        if (key == SDL_SCANCODE_G) {
            set_grab(!win.grabbed);
        } else if (key == SDL_SCANCODE_F) {
            toggle_full_screen();
        } else {
            win.sized = false;
            fit_window();
        }
    }
    return true;
}

/* Keys of a text console that make no text of their own; private codes that vc.c knows. */
static void text_console_key(const SDL_KeyboardEvent *e)
{
    static const struct {
        SDL_Keycode key;
        uint32_t code;
    } keys[] = {
        { SDLK_RETURN, '\r' }, { SDLK_KP_ENTER, '\r' }, { SDLK_BACKSPACE, 0x7f }, { SDLK_TAB, '\t' },
        { SDLK_ESCAPE, 0x1b }, { SDLK_UP, 0xf700 }, { SDLK_DOWN, 0xf701 }, { SDLK_RIGHT, 0xf702 },
        { SDLK_LEFT, 0xf703 }, { SDLK_HOME, 0xf704 }, { SDLK_END, 0xf705 }, { SDLK_DELETE, 0xf706 },
    };

    if (e->state != SDL_PRESSED) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (keys[i].key == e->keysym.sym) {
            console_send_text(win.con, keys[i].code);
            return;
        }
    }
    if ((e->keysym.mod & KMOD_CTRL) && e->keysym.sym >= 'a' && e->keysym.sym <= 'z') {
        console_send_text(win.con, e->keysym.sym - 'a' + 1);
    }
}

static void on_key(const SDL_KeyboardEvent *e)
{
    if (hot_key(e)) {
        return;
    }
    if (console_is_text(win.con)) {
        text_console_key(e);
    } else if (!e->repeat || e->state == SDL_PRESSED) {
        send_key(e->keysym.scancode, e->state == SDL_PRESSED);
    }
}

static void on_motion(const SDL_MouseMotionEvent *e)
{
    if (console_is_text(win.con)) {
        return;
    }
    if (input_pointer_is_absolute()) {
        SDL_Rect r = placement();
        int x = CLAMP(e->x - r.x, 0, r.w - 1), y = CLAMP(e->y - r.y, 0, r.h - 1);

        input_send_move_to((int64_t)x * INPUT_ABS_MAX / MAX(1, r.w - 1),
                           (int64_t)y * INPUT_ABS_MAX / MAX(1, r.h - 1));
        input_send_sync();
    } else if (win.grabbed) {
        input_send_move(e->xrel, e->yrel);
        input_send_sync();
    }
}

static void on_button(const SDL_MouseButtonEvent *e)
{
    static const InputButton buttons[] = {
        [SDL_BUTTON_LEFT] = BUTTON_LEFT, [SDL_BUTTON_MIDDLE] = BUTTON_MIDDLE,
        [SDL_BUTTON_RIGHT] = BUTTON_RIGHT, [SDL_BUTTON_X1] = BUTTON_SIDE, [SDL_BUTTON_X2] = BUTTON_EXTRA,
    };

    if (console_is_text(win.con)) {
        return;
    }
    if (!input_pointer_is_absolute() && !win.grabbed) {
        if (e->state == SDL_PRESSED) {
            set_grab(true); /* the click only takes the mouse */
        }
        return;
    }
    if (e->button < G_N_ELEMENTS(buttons)) {
        input_send_button(buttons[e->button], e->state == SDL_PRESSED);
        input_send_sync();
    }
}

static void on_wheel(const SDL_MouseWheelEvent *e)
{
    InputButton button = e->y > 0 ? BUTTON_WHEEL_UP : BUTTON_WHEEL_DOWN;

    for (int i = abs(e->y); i > 0; i--) {
        input_send_button(button, true);
        input_send_sync();
        input_send_button(button, false);
        input_send_sync();
    }
}

static void on_window(const SDL_WindowEvent *e)
{
    switch (e->event) {
    case SDL_WINDOWEVENT_EXPOSED:
    case SDL_WINDOWEVENT_SIZE_CHANGED:
        win.present = true;
        break;
    case SDL_WINDOWEVENT_RESIZED:
        win.sized = true; /* by the user, not by us */
        break;
    case SDL_WINDOWEVENT_FOCUS_LOST:
        set_grab(false);
        release_keys();
        break;
    case SDL_WINDOWEVENT_CLOSE:
        machine_request_shutdown(SHUTDOWN_HOST);
        break;
    default:
        break;
    }
}

static void on_text(const char *text)
{
    if (console_is_text(win.con)) {
        for (; *text; text = g_utf8_next_char(text)) {
            console_send_text(win.con, g_utf8_get_char(text));
        }
    }
}

static gboolean refresh(gpointer opaque)
{
    SDL_Event e;

    while (sdl.PollEvent(&e)) {
        switch (e.type) {
        case SDL_KEYDOWN:
        case SDL_KEYUP:
            on_key(&e.key);
            break;
        case SDL_TEXTINPUT:
            on_text(e.text.text);
            break;
        case SDL_MOUSEMOTION:
            on_motion(&e.motion);
            break;
        case SDL_MOUSEBUTTONDOWN:
        case SDL_MOUSEBUTTONUP:
            on_button(&e.button);
            break;
        case SDL_MOUSEWHEEL:
            on_wheel(&e.wheel);
            break;
        case SDL_WINDOWEVENT:
            on_window(&e.window);
            break;
        case SDL_QUIT:
            machine_request_shutdown(SHUTDOWN_HOST);
            break;
        default:
            break;
        }
    }
    console_update(win.con);
    show();
    return G_SOURCE_CONTINUE;
}

static void state_changed(void *opaque, RunState state)
{
    if (win.window) {
        update_title();
    }
}

static bool open_window(bool full_screen, const char *title, GError **error)
{
    g_autoptr(GError) missing = NULL;

    if (!sdl_load(&missing)) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot open a window: %s; -display none or -nographic does without", missing->message);
        return false;
    }
    sdl.SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    sdl.SetHint(SDL_HINT_RENDER_SCALE_QUALITY, "linear");
    sdl.SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
    sdl.SetHint(SDL_HINT_GRAB_KEYBOARD, "1");
    if (sdl.Init(SDL_INIT_VIDEO) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST,
                    "cannot open a window: %s; -display none or -nographic does without", sdl.GetError());
        return false;
    }
    win.title = g_strdup_printf("Myna%s%s", title ? " - " : "", title ? title : "");
    win.window = sdl.CreateWindow(win.title, SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, 640, 480,
                                  SDL_WINDOW_RESIZABLE);
    if (win.window) {
        win.renderer = sdl.CreateRenderer(win.window, -1, 0);
    }
    if (win.window && !win.renderer) {
        win.renderer = sdl.CreateRenderer(win.window, -1, SDL_RENDERER_SOFTWARE);
    }
    if (!win.renderer) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot open a window: %s", sdl.GetError());
        return false;
    }
    sdl.StopTextInput();
    win.con = console_get(0);
    make_texture();
    fit_window();
    win.present = true;
    update_title();
    if (full_screen) {
        toggle_full_screen();
    }
    console_listen(&listener, &win);
    machine_on_state(state_changed, NULL);
    win.timer = g_timeout_add(REFRESH_MS, refresh, NULL);
    return true;
}

bool ui_have_display(void)
{
    return g_getenv("DISPLAY") || g_getenv("WAYLAND_DISPLAY") ||
           (g_getenv("SDL_VIDEODRIVER") && *g_getenv("SDL_VIDEODRIVER"));
}

bool ui_wants_window(const char *kind)
{
    return kind ? g_str_equal(kind, "sdl") : ui_have_display();
}

bool ui_start(const char *kind, bool full_screen, const char *title, GError **error)
{
    if (kind && !g_str_equal(kind, "none") && !ui_wants_window(kind)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "no display '%s'; there are: sdl, none", kind);
        return false;
    }
    if (!ui_wants_window(kind)) {
        return true;
    }
    if (!console_get(0)) {
        log_info("the machine has no screen, so there is no window");
        return true;
    }
    return open_window(full_screen, title, error);
}

void ui_stop(void)
{
    if (win.window) {
        g_source_remove(win.timer);
        console_unlisten(&win);
        sdl.Quit();
        win.window = NULL;
    }
}
