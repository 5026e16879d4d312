/* JSON text in and out, whole and byte by byte. */
#include "util/json.h"

#include <string.h>

static void values_keep_kind_and_order(void)
{
    static const char text[] =
        "{\"z\": 1, \"a\": [true, false, null, -2.5, \"x\\ny\\u00e9\"], \"big\": "
        "18446744073709551615, \"least\": -9223372036854775808, \"e\": {}, \"d\": 1.0}";
    g_autoptr(Json) json = json_parse(text, NULL);
    g_autofree char *written = NULL;

    g_assert_nonnull(json);
    written = json_write(json, false);
    g_assert_cmpstr(written, ==, text);
    g_assert_cmpstr(json_name_at(json, 0), ==, "z");
    g_assert_cmpstr(json_get_string(json_at(json_get(json, "a"), 4)), ==, "x\ny\xc3\xa9");
    g_assert_cmpuint(json_get_uint(json_get(json, "big"), 0), ==, UINT64_MAX);
    g_assert_cmpint(json_member_int(json, "big", 7), ==, 7);
    g_assert_cmpint(json_member_int(json, "least", 0), ==, INT64_MIN);
    g_assert_cmpint(json_member_int(json, "d", 0), ==, 1);
}

static void single_quotes_are_strings(void)
{
    g_autoptr(Json) json = json_parse(" { 'a' : 'say \"hi\"' } ", NULL);

    g_assert_cmpstr(json_member_string(json, "a"), ==, "say \"hi\"");
}

static void surrogate_pairs_are_one_character(void)
{
    g_autoptr(Json) json = json_parse("\"\\ud83d\\ude00\"", NULL);
    g_autofree char *written = json_write(json, false);

    g_assert_cmpstr(json_get_string(json), ==, "\xf0\x9f\x98\x80");
    g_assert_cmpstr(written, ==, "\"\\ud83d\\ude00\"");
}

static void wrong_text_is_refused(void)
{
    static const char *const wrong[] = { "",     "{",        "[1,]",   "{\"a\" 1}", "{a: 1}",
                                         "1 2",  "\"x",      "nul",    "-",         "1.",
                                         "[1}",  "\"\\q\"", "\"\\ud800\"", "{\"a\":1,\"a\":2}",
                                         "\"\xff\"", "1e", "{\"a\":1,}", "\"\\u0000\"" };

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(json_parse(wrong[i], &error));
        g_assert_nonnull(error);
    }
}

static void deep_nesting_is_refused(void)
{
    g_autofree char *text = g_strnfill(1 << 20, '[');

    g_assert_null(json_parse(text, NULL));
}

static GString *heard;

static void hear(void *opaque, Json *value, const GError *error)
{
    g_autofree char *text = value ? json_write(value, false) : g_strdup("error");

    g_assert_true(!value == !!error);
    g_string_append_printf(heard, "%s;", text);
    json_free(value);
}

static void a_stream_yields_complete_values(void)
{
    static const char text[] = "{'execute':\n 'a}'} {\"b\": [1,\n2]}[3]\n{\"c\": }\n42 {\"d\": \"\\\"\"}";
    JsonStream *stream = json_stream_new(hear, NULL);

    heard = g_string_new(NULL);
    for (size_t i = 0; i < strlen(text); i++) {
        json_stream_feed(stream, &text[i], 1);
    }
    g_assert_cmpstr(heard->str, ==,
                    "{\"execute\": \"a}\"};{\"b\": [1, 2]};[3];error;42;{\"d\": \"\\\"\"};");
    g_string_free(heard, TRUE);
    json_stream_free(stream);
}

static void a_lost_quote_ends_with_its_line(void)
{
    static const char text[] = "{\"a: 1}\n{\"b\": 2}\n";
    JsonStream *stream = json_stream_new(hear, NULL);

    heard = g_string_new(NULL);
    json_stream_feed(stream, text, strlen(text));
    g_assert_cmpstr(heard->str, ==, "error;{\"b\": 2};");
    g_string_free(heard, TRUE);
    json_stream_free(stream);
}

static void pretty_text_is_indented(void)
{
    g_autoptr(Json) json = json_parse("{\"a\": [1, {}], \"b\": []}", NULL);
    g_autofree char *text = json_write(json, true);

    g_assert_cmpstr(text, ==, "{\n    \"a\": [\n        1,\n        {}\n    ],\n    \"b\": []\n}");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(fn) g_test_add_func("/json/" #fn, fn)
    ADD(values_keep_kind_and_order);
    ADD(single_quotes_are_strings);
    ADD(surrogate_pairs_are_one_character);
    ADD(wrong_text_is_refused);
    ADD(deep_nesting_is_refused);
    ADD(a_stream_yields_complete_values);
    ADD(a_lost_quote_ends_with_its_line);
    ADD(pretty_text_is_indented);
    return g_test_run();
}
