/* Option strings, sizes and hints. */
#include "util/options.h"

static void words_take_their_meaning_from_their_place(void)
{
    g_autoptr(Options) o =
        options_parse("user,id=n0,file=a,,b=c,restrict,noipv6,mac=1,mac=2", "type", NULL);
    bool ipv6 = true, restricted = false;

    g_assert_cmpstr(options_get(o, "type"), ==, "user");
    g_assert_cmpstr(options_get(o, "file"), ==, "a,b=c");
    g_assert_cmpstr(options_get(o, "mac"), ==, "2");
    g_assert_true(options_get_bool(o, "ipv6", &ipv6, NULL));
    g_assert_true(options_get_bool(o, "restrict", &restricted, NULL));
    g_assert_false(ipv6);
    g_assert_true(restricted);
    g_assert_cmpint(options_count(o), ==, 7);
}

static void unknown_keys_are_refused_after_reading(void)
{
    g_autoptr(Options) o = options_parse("id=a,bogus=1", NULL, NULL);
    g_autoptr(GError) error = NULL;

    options_get(o, "id");
    g_assert_false(options_check_unknown(o, "-netdev user", &error));
    g_assert_cmpstr(error->message, ==, "-netdev user does not know 'bogus'");
    options_get(o, "bogus");
    g_assert_true(options_check_unknown(o, "-netdev user", NULL));
}

static void an_option_without_a_name_is_refused(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(options_parse("=x", NULL, &error));
    g_assert_nonnull(error);
}

static void sizes_have_suffixes(void)
{
    uint64_t v;

    g_assert_true(parse_size("512", 1 << 20, &v) && v == 512ull << 20);
    g_assert_true(parse_size("512k", 1 << 20, &v) && v == 512ull << 10);
    g_assert_true(parse_size("1.5G", 1, &v) && v == 3ull << 29);
    g_assert_true(parse_size("2GiB", 1, &v) && v == 2ull << 30);
    g_assert_true(parse_size("0x1000", 1, &v) && v == 0x1000);
    g_assert_true(parse_size("10b", 1 << 20, &v) && v == 10);
    g_assert_false(parse_size("", 1, &v));
    g_assert_false(parse_size("-1", 1, &v));
    g_assert_false(parse_size("1x", 1, &v));
    g_assert_false(parse_size("1Gx", 1, &v));
    g_assert_false(parse_size("99999999999T", 1, &v));
}

static void numbers_are_checked(void)
{
    int64_t i;
    uint64_t u;

    g_assert_true(parse_i64("-9223372036854775808", &i) && i == INT64_MIN);
    g_assert_false(parse_i64("9223372036854775808", &i));
    g_assert_false(parse_u64("12x", &u));
    g_assert_false(parse_u64("18446744073709551616", &u));
}

static void a_near_name_is_suggested(void)
{
    static const char *const names[] = { "e1000", "rtl8139", "pcnet", "ne2k_pci", NULL };

    g_assert_cmpstr(options_nearest("e100", names), ==, "e1000");
    g_assert_cmpstr(options_nearest("rtl8193", names), ==, "rtl8139");
    g_assert_null(options_nearest("virtio-net", names));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(fn) g_test_add_func("/options/" #fn, fn)
    ADD(words_take_their_meaning_from_their_place);
    ADD(unknown_keys_are_refused_after_reading);
    ADD(an_option_without_a_name_is_refused);
    ADD(sizes_have_suffixes);
    ADD(numbers_are_checked);
    ADD(a_near_name_is_suggested);
    return g_test_run();
}
