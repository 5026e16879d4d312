/* Virtio keyboard, mouse and tablet as a driver sees them: what they say they are, events, lamps. */
#include "core/input.h"
#include "tests/hw/virtio/driver.h"
#include "util/bits.h"

#include <linux/input-event-codes.h>
#include <string.h>

enum { BUFFERS = 0x200000, STATUS_EVENT = 0x210000, SIZE = 64 };

static Device *keyboard, *mouse, *tablet;
static Driver d;
static bool lamps[3];

static void on_leds(void *opaque, bool scroll, bool num, bool caps)
{
    lamps[0] = scroll;
    lamps[1] = num;
    lamps[2] = caps;
}

static void start(Device *dev, unsigned buffers)
{
    device_reset(keyboard);
    device_reset(mouse);
    device_reset(tablet);
    driver_start(&d, dev, 0);
    driver_queue(&d, 0, SIZE);
    driver_queue(&d, 1, SIZE);
    driver_ok(&d);
    for (unsigned i = 0; i < buffers; i++) {
        DriverBuffer buffer = { BUFFERS + i * 8, 8, true };

        driver_add(&d, 0, &buffer, 1, false);
    }
    driver_kick(&d, 0);
}

static unsigned taken;

static void expect(uint16_t type, uint16_t code, int32_t value)
{
    const uint8_t *event = rig_ram() + BUFFERS + taken++ * 8;
    uint16_t id;
    uint32_t length;

    g_assert_true(driver_used(&d, 0, &id, &length));
    g_assert_cmpuint(length, ==, 8);
    g_assert_cmpuint(load_le16(event), ==, type);
    g_assert_cmpuint(load_le16(event + 2), ==, code);
    g_assert_cmpint((int32_t)load_le32(event + 4), ==, value);
}

static void expect_nothing(void)
{
    uint16_t id;
    uint32_t length;

    g_assert_false(driver_used(&d, 0, &id, &length));
}

static unsigned choose(uint8_t select, uint8_t subsel)
{
    driver_set_config(0, select, 1);
    driver_set_config(1, subsel, 1);
    return driver_config(2, 1);
}

static bool has_bit(unsigned bit)
{
    return driver_config(8 + bit / 8, 1) >> bit % 8 & 1;
}

static void they_say_what_they_are(void)
{
    start(keyboard, 0);
    g_assert_cmpuint(choose(1, 0), ==, strlen("Myna Virtio Keyboard"));
    g_assert_cmpuint(driver_config(8, 4), ==, 0x616e794d);
    g_assert_cmpuint(choose(3, 0), ==, 8);
    g_assert_cmpuint(driver_config(8, 2), ==, 6);
    g_assert_cmpuint(choose(0x11, EV_KEY), >, 0);
    g_assert_true(has_bit(KEY_A) && has_bit(KEY_RIGHTMETA) && !has_bit(BTN_LEFT));
    g_assert_cmpuint(choose(0x11, EV_REP), ==, 1);
    g_assert_cmpuint(choose(0x11, EV_LED), ==, 1);
    g_assert_cmpuint(choose(0x11, EV_REL), ==, 0);
    g_assert_cmpuint(choose(0x77, 1), ==, 0);
    start(mouse, 0);
    g_assert_cmpuint(choose(0x11, EV_REL), ==, 2);
    g_assert_true(has_bit(REL_X) && has_bit(REL_Y) && has_bit(REL_WHEEL));
    g_assert_cmpuint(choose(0x11, EV_ABS), ==, 0);
    start(tablet, 0);
    g_assert_cmpuint(choose(0x11, EV_ABS), ==, 1);
    g_assert_cmpuint(choose(0x12, ABS_Y), ==, 20);
    g_assert_cmpuint(driver_config(12, 4), ==, INPUT_ABS_MAX);
    g_assert_cmpuint(choose(0x12, 5), ==, 0);
}

static void keys_come_one_by_one(void)
{
    taken = 0;
    start(keyboard, 16);
    input_send_key(0x04, true);
    expect(EV_KEY, KEY_A, 1);
    expect(EV_SYN, 0, 0);
    input_send_key(0x04, false);
    input_send_key(0x4f, true);
    expect(EV_KEY, KEY_A, 0);
    expect(EV_SYN, 0, 0);
    expect(EV_KEY, KEY_RIGHT, 1);
    expect(EV_SYN, 0, 0);
    expect_nothing();
}

static void pointer_events_come_in_groups(void)
{
    taken = 0;
    start(mouse, 16);
    input_send_move(5, -3);
    input_send_button(BUTTON_RIGHT, true);
    expect_nothing();
    input_send_sync();
    expect(EV_REL, REL_X, 5);
    expect(EV_REL, REL_Y, -3);
    expect(EV_KEY, BTN_RIGHT, 1);
    expect(EV_SYN, 0, 0);
    input_send_button(BUTTON_WHEEL_DOWN, true);
    input_send_button(BUTTON_WHEEL_DOWN, false);
    input_send_sync();
    expect(EV_REL, REL_WHEEL, -1);
    expect(EV_SYN, 0, 0);
    taken = 0;
    start(tablet, 16);
    g_assert_true(input_pointer_is_absolute());
    input_send_move_to(100, INPUT_ABS_MAX);
    input_send_sync();
    expect(EV_ABS, ABS_X, 100);
    expect(EV_ABS, ABS_Y, INPUT_ABS_MAX);
    expect(EV_SYN, 0, 0);
}

static void events_wait_for_buffers_and_whole_groups_are_lost(void)
{
    DriverBuffer buffer = { BUFFERS, 8, true };

    taken = 0;
    start(keyboard, 0);
    for (int i = 0; i < 100; i++) { /* of which 64 have room */
        input_send_key(0x04 + i % 26, true);
    }
    expect_nothing();
    for (unsigned i = 0; i < SIZE; i++) {
        buffer.addr = BUFFERS + i * 8;
        driver_add(&d, 0, &buffer, 1, false);
    }
    driver_kick(&d, 0);
    for (int i = 0; i < 32; i++) {
        expect(EV_KEY, load_le16(rig_ram() + BUFFERS + taken * 8 + 2), 1);
        expect(EV_SYN, 0, 0);
    }
    expect_nothing();
    rig_save_and_load(keyboard);
}

static void lamps_follow_the_driver(void)
{
    DriverBuffer buffer = { STATUS_EVENT, 8, false };

    start(keyboard, 0);
    input_on_leds(on_leds, NULL);
    store_le64(rig_ram() + STATUS_EVENT, EV_LED | LED_CAPSL << 16 | UINT64_C(1) << 32);
    driver_request(&d, 1, &buffer, 1);
    g_assert_true(lamps[2] && !lamps[1] && !lamps[0]);
    store_le64(rig_ram() + STATUS_EVENT, EV_LED | 77 << 16 | UINT64_C(1) << 32); /* no lamp of ours */
    driver_request(&d, 1, &buffer, 1);
    g_assert_true(lamps[2] && !lamps[1] && !lamps[0]);
}

static void others_get_the_events_when_the_driver_is_gone(void)
{
    start(tablet, 16);
    g_assert_true(input_pointer_is_absolute());
    driver_set_common(0x14, 0, 1);
    g_assert_false(input_pointer_is_absolute());
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    keyboard = rig_add("virtio-keyboard-pci", pci_bus_bus(rig_pci()));
    mouse = rig_add("virtio-mouse-pci", pci_bus_bus(rig_pci()));
    tablet = rig_add("virtio-tablet-pci", pci_bus_bus(rig_pci()));
#define ADD(fn) g_test_add_func("/virtio-input/" #fn, fn)
    ADD(they_say_what_they_are);
    ADD(keys_come_one_by_one);
    ADD(pointer_events_come_in_groups);
    ADD(events_wait_for_buffers_and_whole_groups_are_lost);
    ADD(lamps_follow_the_driver);
    ADD(others_get_the_events_when_the_driver_is_gone);
    return g_test_run();
}
