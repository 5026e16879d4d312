/* Character backends: files, sockets, sharing, and guests that do not listen. */
#include "backends/char.h"
#include "core/clock.h"
#include "core/mainloop.h"
#include "tests/hw/rig.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct Listener {
    GString *got;
    size_t room;
    int opened, closed, breaks;
} Listener;

static size_t can_receive(void *opaque)
{
    return ((Listener *)opaque)->room;
}

static void receive(void *opaque, const uint8_t *data, size_t size)
{
    Listener *l = opaque;

    g_assert_cmpuint(size, <=, l->room);
    g_string_append_len(l->got, (const char *)data, size);
    l->room -= size;
}

static void event(void *opaque, CharEvent e)
{
    Listener *l = opaque;

    l->opened += e == CHAR_OPENED;
    l->closed += e == CHAR_CLOSED;
    l->breaks += e == CHAR_BREAK;
}

static const CharFrontend frontend = { can_receive, receive, event };

static Listener *listener_new(CharBackend *chr, size_t room)
{
    Listener *l = g_new0(Listener, 1);
    g_autoptr(GError) error = NULL;

    l->got = g_string_new(NULL);
    l->room = room;
    char_attach(chr, &frontend, l, &error);
    g_assert_no_error(error);
    return l;
}

static void run_until(bool (*fn)(void *opaque), void *opaque)
{
    gint64 end = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;

    while (!fn(opaque)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        main_loop_step(false);
        g_usleep(500);
    }
}

static CharBackend *open_char(const char *id, const char *spec)
{
    g_autoptr(GError) error = NULL;
    CharBackend *chr = char_new(id, spec, &error);

    g_assert_no_error(error);
    g_assert_true(char_find(id) == chr);
    return chr;
}

static char *temporary_name(void)
{
    char *path;

    g_close(g_file_open_tmp("myna-char-XXXXXX", &path, NULL), NULL);
    g_unlink(path);
    return path;
}

static void a_file_keeps_what_is_written(void)
{
    g_autofree char *path = temporary_name(), *spec = g_strconcat("file:", path, NULL), *text = NULL;
    CharBackend *chr = open_char("file", spec);

    char_write(chr, (const uint8_t *)"one ", 4);
    char_write(chr, (const uint8_t *)"two", 3);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "one two");
    g_unlink(path);
}

typedef struct Expected {
    const char *path, *text;
} Expected;

static bool has_text(void *opaque)
{
    Expected *e = opaque;
    g_autofree char *text = NULL;

    return g_file_get_contents(e->path, &text, NULL, NULL) && g_str_equal(text, e->text);
}

static void write_bytes(CharBackend *chr, const char *text)
{
    for (; *text; text++) {
        char_write(chr, (const uint8_t *)text, 1);
    }
}

static void bytes_wait_for_the_rest_of_their_line(void)
{
    g_autofree char *path = temporary_name(), *spec = g_strconcat("file:", path, NULL), *text = NULL, *all = NULL;
    CharBackend *chr = open_char("lines", spec);

    write_bytes(chr, "one");
    g_assert_true(has_text(&(Expected){ path, "" }));
    write_bytes(chr, "\ntwo");
    g_assert_true(has_text(&(Expected){ path, "one\n" }));
    char_write(chr, (const uint8_t *)" and three", 10); /* in its order */
    g_assert_true(has_text(&(Expected){ path, "one\ntwo and three" }));
    write_bytes(chr, ", four");
    run_until(has_text, &(Expected){ path, "one\ntwo and three, four" }); /* a prompt has no end */
    text = g_strnfill(10000, 'x');
    write_bytes(chr, text);
    all = g_strconcat("one\ntwo and three, four", text, NULL);
    run_until(has_text, &(Expected){ path, all });
    g_unlink(path);
}

static void what_waits_is_written_at_the_end(void)
{
    g_autofree char *path = temporary_name(), *spec = g_strconcat("file:", path, NULL);

    write_bytes(open_char("end", spec), "last words");
    char_free_all();
    g_assert_true(has_text(&(Expected){ path, "last words" }));
    g_unlink(path);
}

static void nothing_listens_at_null(void)
{
    CharBackend *chr = open_char("nothing", "null");

    char_write(chr, (const uint8_t *)"x", 1);
    char_write(NULL, (const uint8_t *)"x", 1);
    char_accept(NULL);
}

static bool is_open(void *opaque)
{
    return ((Listener *)opaque)->opened;
}

static bool is_closed(void *opaque)
{
    return ((Listener *)opaque)->closed;
}

static bool is_hungry_no_more(void *opaque)
{
    return !((Listener *)opaque)->room;
}

static void a_socket_carries_bytes_both_ways(void)
{
    g_autofree char *path = temporary_name();
    g_autofree char *spec = g_strconcat("unix:", path, ",server=on,wait=off", NULL);
    CharBackend *chr = open_char("socket", spec);
    Listener *l = listener_new(chr, 4);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char back[16] = { 0 };

    g_assert_false(char_connected(chr));
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    run_until(is_open, l);
    g_assert_true(char_connected(chr));
    g_assert_cmpint(write(fd, "abcdefgh", 8), ==, 8);
    run_until(is_hungry_no_more, l);
    g_assert_cmpstr(l->got->str, ==, "abcd");
    l->room = 4;
    char_accept(chr);
    run_until(is_hungry_no_more, l);
    g_assert_cmpstr(l->got->str, ==, "abcdefgh");
    char_write(chr, (const uint8_t *)"answer", 6);
    g_assert_cmpint(read(fd, back, sizeof(back)), ==, 6);
    g_assert_cmpstr(back, ==, "answer");
    close(fd);
    run_until(is_closed, l);
    g_assert_false(char_connected(chr));
    char_write(chr, (const uint8_t *)"lost", 4);
    g_unlink(path);
}

static void one_frontend_unless_shared(void)
{
    CharBackend *chr = open_char("single", "null");
    g_autoptr(GError) error = NULL;
    Listener *l = listener_new(chr, 10);

    g_assert_false(char_attach(chr, &frontend, l, &error));
    g_assert_nonnull(strstr(error->message, "single"));
    char_detach(chr, l);
    g_assert_true(char_attach(chr, &frontend, l, NULL));
}

static void a_mux_switches_between_frontends(void)
{
    CharBackend *chr;
    g_autoptr(GError) error = NULL;
    Listener *guest, *monitor;

    chr = char_new_options("null,id=shared,mux=on", &error);
    g_assert_no_error(error);
    guest = listener_new(chr, 100);
    monitor = listener_new(chr, 100);
    char_deliver(chr, (const uint8_t *)"g1\001cm\001cg2\001\001\001b", 13);
    g_assert_cmpstr(guest->got->str, ==, "g1g2\001");
    g_assert_cmpstr(monitor->got->str, ==, "m");
    g_assert_cmpint(guest->breaks, ==, 1);
    g_assert_cmpint(monitor->breaks, ==, 0);
}

static void a_deaf_guest_bounds_what_is_kept(void)
{
    RigChar *rc = rig_char("deaf");
    Listener *l = listener_new(rc->chr, 0);
    uint8_t block[1024] = { 0 };
    size_t taken = 0;

    for (int i = 0; i < 1000; i++) {
        taken += char_deliver(rc->chr, block, sizeof(block));
    }
    g_assert_cmpuint(taken, <=, 65536);
    l->room = SIZE_MAX / 2;
    char_accept(rc->chr);
    main_loop_step(false);
    main_loop_step(false);
    g_assert_cmpuint(l->got->len, ==, taken);
}

static void wrong_specs_are_named(void)
{
    static const char *const wrong[] = { "carrier-pigeon:here", "file:/nowhere/at.all", "unix:" };

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(char_new("wrong", wrong[i], &error));
        g_assert_nonnull(error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    clock_attach();
#define ADD(fn) g_test_add_func("/char/" #fn, fn)
    ADD(a_file_keeps_what_is_written);
    ADD(bytes_wait_for_the_rest_of_their_line);
    ADD(nothing_listens_at_null);
    ADD(a_socket_carries_bytes_both_ways);
    ADD(one_frontend_unless_shared);
    ADD(a_mux_switches_between_frontends);
    ADD(a_deaf_guest_bounds_what_is_kept);
    ADD(wrong_specs_are_named);
    ADD(what_waits_is_written_at_the_end);
    return g_test_run();
}
