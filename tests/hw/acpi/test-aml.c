/* AML byte code against bytes worked out from the specification. */
#include "hw/acpi/aml.h"

#include <string.h>

#define assert_bytes(aml, ...)                                            \
    do {                                                                  \
        static const uint8_t wanted[] = { __VA_ARGS__ };                  \
        GByteArray *got = aml_finish(aml);                                \
        g_assert_cmpmem(got->data, got->len, wanted, sizeof(wanted));     \
        g_byte_array_unref(got);                                          \
    } while (0)

static void names_are_padded_and_prefixed(void)
{
    Aml a;

    aml_init(&a);
    aml_path(&a, "\\_S5");
    aml_path(&a, "\\_SB.PCI0");
    aml_path(&a, "A.B.C");
    assert_bytes(&a, '\\', '_', 'S', '5', '_', '\\', 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0',
                 0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_');
}

static void integers_take_the_shortest_form(void)
{
    Aml a;

    aml_init(&a);
    aml_int(&a, 0);
    aml_int(&a, 1);
    aml_int(&a, 0x80);
    aml_int(&a, 0x1234);
    aml_int(&a, 0x12345678);
    assert_bytes(&a, 0x00, 0x01, 0x0a, 0x80, 0x0b, 0x34, 0x12, 0x0c, 0x78, 0x56, 0x34, 0x12);
}

static void an_eisa_id_is_packed(void)
{
    Aml a;

    aml_init(&a);
    aml_eisa_id(&a, "PNP0A03");
    assert_bytes(&a, 0x0c, 0x41, 0xd0, 0x0a, 0x03);
}

static void a_container_knows_its_length(void)
{
    Aml a;

    aml_init(&a);
    aml_device(&a, "DEV");
    aml_name_int(&a, "_ADR", 1);
    aml_end(&a);
    assert_bytes(&a, 0x5b, 0x82, 0x0b, 'D', 'E', 'V', '_', 0x08, '_', 'A', 'D', 'R', 0x01);
}

static void a_long_container_has_a_longer_length(void)
{
    Aml a;
    GByteArray *bytes;

    aml_init(&a);
    aml_package(&a, 100);
    for (int n = 0; n < 100; n++) {
        aml_int(&a, 0);
    }
    aml_end(&a);
    bytes = aml_finish(&a);
    /* 2 bytes of length, 1 of count, 100 elements: 103 = 0x067 */
    g_assert_cmpuint(bytes->len, ==, 104);
    g_assert_cmphex(bytes->data[1], ==, 0x47);
    g_assert_cmphex(bytes->data[2], ==, 0x06);
    g_byte_array_unref(bytes);
}

static void resources_end_with_a_tag_and_have_a_size(void)
{
    Aml a;

    aml_init(&a);
    aml_resources(&a);
    aml_io(&a, 0x60, 1);
    aml_irq(&a, 1 << 1);
    aml_end(&a);
    assert_bytes(&a, 0x11, 0x11, 0x0b, 0x0d, 0x00, 0x47, 0x01, 0x60, 0x00, 0x60, 0x00, 0x01, 0x01,
                 0x22, 0x02, 0x00, 0x79, 0x00);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/aml/names-are-padded-and-prefixed", names_are_padded_and_prefixed);
    g_test_add_func("/aml/integers-take-the-shortest-form", integers_take_the_shortest_form);
    g_test_add_func("/aml/an-eisa-id-is-packed", an_eisa_id_is_packed);
    g_test_add_func("/aml/a-container-knows-its-length", a_container_knows_its_length);
    g_test_add_func("/aml/a-long-container-has-a-longer-length", a_long_container_has_a_longer_length);
    g_test_add_func("/aml/resources-end-with-a-tag-and-have-a-size",
                    resources_end_with_a_tag_and_have_a_size);
    return g_test_run();
}
