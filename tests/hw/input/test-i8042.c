/* The keyboard controller with its keyboard and mouse, as a driver talks to them. */
#include "core/input.h"
#include "hw/isa/isa.h"
#include "tests/hw/rig.h"

enum { DATA = 0x60, STATUS = 0x64, COMMAND = 0x64 };
enum { FULL = 0x01, AUX = 0x20 };
enum { KEY_A = 0x04, KEY_RIGHT = 0x4f, KEY_PAUSE = 0x48 };

static Device *kbc;

static void expect(int count, const uint8_t *bytes)
{
    for (int i = 0; i < count; i++) {
        g_assert_cmphex(rig_in8(STATUS) & FULL, ==, FULL);
        g_assert_cmphex(rig_in8(DATA), ==, bytes[i]);
    }
    g_assert_cmphex(rig_in8(STATUS) & FULL, ==, 0);
}
#define EXPECT(...) \
    expect(sizeof((const uint8_t[]){ __VA_ARGS__ }), (const uint8_t[]){ __VA_ARGS__ })

static void start(uint8_t mode)
{
    device_reset(kbc);
    rig_out8(COMMAND, 0x60);
    rig_out8(DATA, mode);
    while (rig_in8(STATUS) & FULL) {
        rig_in8(DATA);
    }
    rig_irq_edges(1);
    rig_irq_edges(12);
}

static void mouse(uint8_t byte)
{
    rig_out8(COMMAND, 0xd4);
    rig_out8(DATA, byte);
}

static void the_controller_tests_itself(void)
{
    start(0x03);
    rig_out8(COMMAND, 0xaa);
    EXPECT(0x55);
    g_assert_cmphex(rig_in8(STATUS) & 4, ==, 4);
    rig_out8(COMMAND, 0xab);
    EXPECT(0x00);
    rig_out8(COMMAND, 0x60);
    rig_out8(DATA, 0x47);
    rig_out8(COMMAND, 0x20);
    EXPECT(0x47);
}

static void the_keyboard_identifies_itself(void)
{
    start(0x03);
    rig_out8(DATA, 0xff);
    EXPECT(0xfa, 0xaa);
    rig_out8(DATA, 0xf2);
    EXPECT(0xfa, 0xab, 0x83);
    rig_out8(DATA, 0xee);
    EXPECT(0xee);
    rig_out8(DATA, 0xf0);
    rig_out8(DATA, 0x00);
    EXPECT(0xfa, 0xfa, 0x02);
}

static void keys_come_in_set_2(void)
{
    start(0x03);
    input_send_key(KEY_A, true);
    g_assert_true(rig_irq(1));
    EXPECT(0x1c);
    g_assert_false(rig_irq(1));
    input_send_key(KEY_A, false);
    EXPECT(0xf0, 0x1c);
    input_send_key(KEY_RIGHT, true);
    input_send_key(KEY_RIGHT, false);
    EXPECT(0xe0, 0x74, 0xe0, 0xf0, 0x74);
    g_assert_cmpint(rig_irq_edges(1), ==, 8); /* each byte is an edge */
}

static void translation_makes_set_1(void)
{
    start(0x43);
    input_send_key(KEY_A, true);
    input_send_key(KEY_A, false);
    EXPECT(0x1e, 0x9e);
    input_send_key(KEY_RIGHT, true);
    input_send_key(KEY_RIGHT, false);
    EXPECT(0xe0, 0x4d, 0xe0, 0xcd);
    input_send_key(KEY_PAUSE, true);
    EXPECT(0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
    input_send_key(KEY_PAUSE, false);
    g_assert_cmphex(rig_in8(STATUS) & FULL, ==, 0);
}

static void a_disabled_port_keeps_its_bytes(void)
{
    start(0x43);
    rig_out8(COMMAND, 0xad);
    input_send_key(KEY_A, true);
    g_assert_cmphex(rig_in8(STATUS) & FULL, ==, 0);
    rig_out8(COMMAND, 0xae);
    EXPECT(0x1e);
    input_send_key(KEY_A, false);
    EXPECT(0x9e);
}

static void the_mouse_reports_motion(void)
{
    start(0x03);
    mouse(0xf4);
    g_assert_cmphex(rig_in8(STATUS) & AUX, ==, AUX);
    g_assert_true(rig_irq(12));
    EXPECT(0xfa);
    input_send_move(5, 3); /* down on the screen */
    input_send_sync();
    EXPECT(0x28, 0x05, 0xfd);
    input_send_button(BUTTON_LEFT, true);
    input_send_sync();
    EXPECT(0x09, 0, 0);
    input_send_button(BUTTON_LEFT, false);
    input_send_sync();
    EXPECT(0x08, 0, 0);
}

static void the_knock_sequence_finds_a_wheel(void)
{
    static const uint8_t rates[] = { 200, 100, 80 };

    start(0x03);
    for (int i = 0; i < 3; i++) {
        mouse(0xf3);
        EXPECT(0xfa);
        mouse(rates[i]);
        EXPECT(0xfa);
    }
    mouse(0xf2);
    EXPECT(0xfa, 0x03);
    mouse(0xf4);
    EXPECT(0xfa);
    input_send_button(BUTTON_WHEEL_UP, true);
    input_send_button(BUTTON_WHEEL_UP, false);
    input_send_sync();
    EXPECT(0x08, 0, 0, 0xff);
}

static void a_fast_mouse_saturates_into_packets(void)
{
    int x = 0;

    start(0x03);
    mouse(0xf4);
    EXPECT(0xfa);
    input_send_move(1000, 0);
    input_send_sync();
    while (rig_in8(STATUS) & FULL) {
        uint8_t head = rig_in8(DATA);

        x += rig_in8(DATA) - (head & 0x10 ? 256 : 0);
        g_assert_cmphex(rig_in8(DATA), ==, 0);
        g_assert_cmphex(head & 0xc8, ==, 0x08);
    }
    g_assert_cmpint(x, ==, 1000);
}

static void the_output_port_gates_a20(void)
{
    start(0x03);
    g_assert_true(line_level(isa_a20_keyboard()));
    rig_out8(COMMAND, 0xd1);
    rig_out8(DATA, 0xdd);
    g_assert_false(line_level(isa_a20_keyboard()));
    rig_out8(COMMAND, 0xd0);
    g_assert_cmphex(rig_in8(DATA) & 3, ==, 1);
    rig_out8(COMMAND, 0xdf);
    g_assert_true(line_level(isa_a20_keyboard()));
}

static void leds_are_told(void)
{
    start(0x03);
    rig_out8(DATA, 0xed);
    EXPECT(0xfa);
    rig_out8(DATA, 0x02);
    EXPECT(0xfa);
}

static void pending_keys_survive_a_snapshot(void)
{
    start(0x43);
    input_send_key(KEY_A, true);
    input_send_key(KEY_A, false);
    rig_save_and_load(kbc);
    g_assert_true(rig_irq(1));
    EXPECT(0x1e, 0x9e);
}

static void a_flood_of_keys_is_cut_at_whole_codes(void)
{
    int count = 0;

    start(0x03);
    for (int i = 0; i < 1000; i++) {
        input_send_key(KEY_RIGHT, true);
        input_send_key(KEY_RIGHT, false);
    }
    while (rig_in8(STATUS) & FULL) {
        g_assert_cmphex(rig_in8(DATA), ==, 0xe0);
        if (rig_in8(DATA) == 0xf0) {
            g_assert_cmphex(rig_in8(DATA), ==, 0x74);
        }
        count++;
    }
    g_assert_cmpint(count, >, 10);
    input_send_key(KEY_A, true);
    EXPECT(0x1c);
    input_send_key(KEY_A, false);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    kbc = rig_add("i8042", rig_isa());
#define ADD(fn) g_test_add_func("/i8042/" #fn, fn)
    ADD(the_controller_tests_itself);
    ADD(the_keyboard_identifies_itself);
    ADD(keys_come_in_set_2);
    ADD(translation_makes_set_1);
    ADD(a_disabled_port_keeps_its_bytes);
    ADD(the_mouse_reports_motion);
    ADD(the_knock_sequence_finds_a_wheel);
    ADD(a_fast_mouse_saturates_into_packets);
    ADD(the_output_port_gates_a20);
    ADD(leds_are_told);
    ADD(pending_keys_survive_a_snapshot);
    ADD(a_flood_of_keys_is_cut_at_whole_codes);
    return g_test_run();
}
