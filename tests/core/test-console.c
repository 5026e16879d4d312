/* Surfaces, pictures in files, and who gets the input. */
#include "core/display.h"
#include "core/input.h"

#include "config.h"

#include <glib/gstdio.h>
#include <string.h>

static const ConsoleOps plain = { 0 };
static int resized, damaged_width;

static void hear_resize(void *opaque, Console *con)
{
    resized++;
}

static void hear_damage(void *opaque, Console *con, int x, int y, int width, int height)
{
    damaged_width = width;
}

static const ConsoleListener listener = { hear_resize, hear_damage };

static void damage_is_kept_within_the_surface(void)
{
    Console *con = console_new("vga", &plain, NULL);

    console_listen(&listener, &resized);
    console_resize(con, 320, 200);
    console_resize(con, 320, 200);
    g_assert_cmpint(resized, ==, 1);
    console_damage(con, 300, 0, 100, 10);
    g_assert_cmpint(damaged_width, ==, 20);
    damaged_width = 0;
    console_damage(con, 400, 0, 10, 10);
    g_assert_cmpint(damaged_width, ==, 0);
    console_unlisten(&resized);
    console_free(con);
}

static void no_text_key(void *opaque, uint32_t codepoint)
{
}

/* Whenever they come: the first is what a window shows, and a picture is taken of. */
static void screens_come_before_text(void)
{
    static const ConsoleOps text = { .text_key = no_text_key };
    Console *serial = console_new("serial", &text, NULL), *first = console_new("vga", &plain, NULL);
    Console *monitor = console_new("monitor", &text, NULL), *second = console_new("gpu", &plain, NULL);

    g_assert_true(console_get(0) == first);
    g_assert_true(console_get(1) == second);
    g_assert_true(console_get(2) == serial);
    g_assert_true(console_get(3) == monitor);
    console_free(first);
    console_free(second);
    console_free(serial);
    console_free(monitor);
}

static void a_ppm_has_the_pixels(void)
{
    g_autofree char *path = NULL, *data = NULL;
    Console *con = console_new("vga", &plain, NULL);
    gsize size;
    int fd = g_file_open_tmp("myna-XXXXXX.ppm", &path, NULL);

    g_close(fd, NULL);
    console_resize(con, 3, 2);
    pixman_image_get_data(console_surface(con))[1] = 0xff112233;
    g_assert_true(console_screendump(con, path, "ppm", NULL));
    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    g_assert_cmpmem(data, size, "P6\n3 2\n255\n\0\0\0\x11\x22\x33\0\0\0\0\0\0\0\0\0\0\0\0", 29);
#ifdef CONFIG_PNG
    g_assert_true(console_screendump(con, path, "png", NULL));
#endif
    g_assert_false(console_screendump(con, path, "bmp", NULL));
    g_assert_false(console_screendump(con, "/nowhere/x.ppm", "ppm", NULL));
    g_unlink(path);
    console_free(con);
}

static GString *trail;

static void key(void *opaque, InputKey k, bool down)
{
    g_string_append_printf(trail, "%s:%s%c ", (char *)opaque, input_key_name(k), down ? '+' : '-');
}

static void move(void *opaque, int dx, int dy)
{
    g_string_append_printf(trail, "%s:%d,%d ", (char *)opaque, dx, dy);
}

static void button(void *opaque, InputButton b, bool down)
{
    g_string_append_printf(trail, "%s:b%d ", (char *)opaque, b);
}

static void sync_all(void *opaque)
{
    g_string_append_printf(trail, "%s:sync ", (char *)opaque);
}

static const InputHandler keyboard = { .name = "keyboard", .key = key };
static const InputHandler mouse = { "mouse", NULL, button, move, NULL, sync_all };
static const InputHandler tablet = { "tablet", NULL, button, NULL, move, sync_all };

static void the_active_handler_gets_the_events(void)
{
    static char k[] = "k", m[] = "m", t[] = "t";

    trail = g_string_new(NULL);
    input_register(&keyboard, k);
    input_register(&mouse, m);
    input_register(&tablet, t);
    g_assert_false(input_pointer_is_absolute());
    input_send_key(input_key_by_name("ret"), true);
    input_send_move(1, -2);
    input_send_button(BUTTON_RIGHT, true);
    input_send_sync();
    input_activate(t);
    g_assert_true(input_pointer_is_absolute());
    input_send_move_to(5, 0x12345);
    input_send_button(BUTTON_LEFT, true);
    input_send_sync();
    input_send_sync();
    input_unregister(t);
    g_assert_false(input_pointer_is_absolute());
    g_assert_cmpstr(trail->str, ==, "k:ret+ m:1,-2 m:b2 m:sync t:5,32767 t:b0 t:sync ");
    g_string_free(trail, TRUE);
}

static void keys_have_names_and_numbers(void)
{
    g_assert_cmphex(input_key_by_name("a"), ==, 0x04);
    g_assert_cmphex(input_key_by_name("ctrl_r"), ==, 0xe4);
    g_assert_cmphex(input_key_by_name("nothing"), ==, 0);
    g_assert_cmphex(input_key_by_number(0x1c), ==, 0x28);
    g_assert_cmphex(input_key_by_number(0x9c), ==, 0x58);
    g_assert_cmphex(input_key_by_number(0), ==, 0);
    for (int k = 1; k < 256; k++) {
        const char *name = input_key_name(k);

        if (name) {
            g_assert_cmphex(input_key_by_name(name), ==, k);
            g_assert_cmphex(input_key_by_number(input_key_number(k)), ==, k);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/display/damage_is_kept_within_the_surface", damage_is_kept_within_the_surface);
    g_test_add_func("/display/screens_come_before_text", screens_come_before_text);
    g_test_add_func("/display/a_ppm_has_the_pixels", a_ppm_has_the_pixels);
    g_test_add_func("/input/the_active_handler_gets_the_events", the_active_handler_gets_the_events);
    g_test_add_func("/input/keys_have_names_and_numbers", keys_have_names_and_numbers);
    return g_test_run();
}
