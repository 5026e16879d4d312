/* Vectors of x86.vec, interpreted and compiled: no host is asked. */
#include "compare.h"
#include "host.h"
#include "vector.h"

static void check(const char *line, GuestEngine how)
{
    static Instance i;
    uint32_t mask;
    Case one;

    if (!vector_parse(line, &one, &i, &mask)) {
        g_error("no vector: %s", line);
    }
    if (!host_has_mode(one.mode)) {
        return;
    }
    one.far_reaching = true;
    g_assert_true(guest_decode(one.mode, one.code, one.size, &one.in));
    memcpy(oracle_data(), i.data, sizeof(i.data));
    host_place(one.mode, one.code, one.size);
    guest_place(one.mode, one.size);
    i.guest = i.before;
    guest_run(how, true, &i.guest);
    if (!compare_vector(&i, mask)) {
        g_test_message("%s", line);
        g_test_fail();
    }
}

static void test_vectors(const void *how)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    g_assert_true(g_file_get_contents(g_getenv("MYNA_VECTORS"), &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (**line && **line != '#') {
            check(*line, GPOINTER_TO_INT(how));
        }
    }
}

int main(int argc, char **argv)
{
    const char *why;

    g_test_init(&argc, &argv, NULL);
    guest_init();
    why = host_init();
    if (why) {
        g_print("1..0 # SKIP %s\n", why);
        return 0;
    }
    g_test_add_data_func("/x86/vectors/compiled", GINT_TO_POINTER(GUEST_COMPILED), test_vectors);
    g_test_add_data_func("/x86/vectors/interpreted", GINT_TO_POINTER(GUEST_INTERPRETED), test_vectors);
    g_test_add_data_func("/x86/vectors/plain", GINT_TO_POINTER(GUEST_PLAIN), test_vectors);
    return g_test_run();
}
