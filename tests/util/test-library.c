/* Libraries that are loaded when they are wanted. */
#include "util/error.h"
#include "util/library.h"

#include <string.h>

#define LIBRARY "libm.so.6"

static void all_functions_are_found(void)
{
    double (*cosine)(double) = NULL, (*sine)(double) = NULL;
    const LibraryFunction functions[] = { { "cos", &cosine }, { "sin", &sine } };

    g_assert_true(library_load(LIBRARY, "libc6", functions, G_N_ELEMENTS(functions), NULL));
    g_assert_cmpfloat(cosine(0), ==, 1);
    g_assert_cmpfloat(sine(0), ==, 0);
}

/* Else who asks for it a second time would take it for loaded. */
static void an_older_library_fills_no_places(void)
{
    double (*cosine)(double) = NULL, (*newer)(double) = NULL;
    const LibraryFunction functions[] = { { "cos", &cosine }, { "tomorrow", &newer } };
    g_autoptr(GError) error = NULL;

    g_assert_false(library_load(LIBRARY, "libc6", functions, G_N_ELEMENTS(functions), &error));
    g_assert_null(cosine);
    g_assert_cmpstr(error->message, ==, "library '" LIBRARY "' is too old: it has no tomorrow");
}

static void a_library_that_is_missing_is_named_with_its_package(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(library_load("libmissing.so.3", "libmissing3", NULL, 0, &error));
    g_assert_error(error, VM_ERROR, VM_ERROR_HOST);
    g_assert_nonnull(strstr(error->message, "Debian package libmissing3"));
    g_assert_nonnull(strstr(error->message, "libmissing.so.3"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/library/functions", all_functions_are_found);
    g_test_add_func("/library/older", an_older_library_fills_no_places);
    g_test_add_func("/library/missing", a_library_that_is_missing_is_named_with_its_package);
    return g_test_run();
}
