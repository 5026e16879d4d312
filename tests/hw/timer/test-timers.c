/* The 8254, the clock and the HPET on a clock that the test moves. */
#include "core/clock.h"
#include "hw/timer/hpet.h"
#include "hw/timer/i8254.h"
#include "hw/timer/mc146818.h"
#include "tests/hw/rig.h"

enum { PIT = 0x40, PIT_CONTROL = 0x43, INDEX = 0x70, DATA = 0x71 };
#define TICK_NS (1e9 / I8254_HZ)

static Device *pit, *rtc, *hpet;
static Ticks *ticks;
static int pit_edges, rtc_edges, hpet_edges;
static Line *hpet_inputs[24];
static bool rtc_level;

static void pit_changed(void *opaque, int n, bool level)
{
    pit_edges += level;
}

static void rtc_changed(void *opaque, int n, bool level)
{
    rtc_level = level;
    rtc_edges += level;
}

static void hpet_changed(void *opaque, int n, bool level)
{
    hpet_edges += level;
}

static void load_pit(int channel, int mode, unsigned count)
{
    rig_out8(PIT_CONTROL, channel << 6 | 0x30 | mode << 1);
    rig_out8(PIT + channel, count);
    rig_out8(PIT + channel, count >> 8);
}

static unsigned read_pit(int channel)
{
    unsigned low;

    rig_out8(PIT_CONTROL, channel << 6);
    low = rig_in8(PIT + channel);
    return low | rig_in8(PIT + channel) << 8;
}

static void a_rate_generator_ticks(void)
{
    load_pit(0, 2, 11932); /* 100 Hz, nearly */
    pit_edges = 0;
    for (int n = 0; n < 1000; n++) {
        clock_advance(NS_PER_MS);
    }
    g_assert_cmpint(pit_edges, >=, 99);
    g_assert_cmpint(pit_edges, <=, 100);
}

static void a_square_wave_is_high_half_the_time(void)
{
    load_pit(0, 3, 1000);
    g_assert_true(i8254_output(pit, 0));
    clock_advance(499 * TICK_NS);
    g_assert_true(i8254_output(pit, 0));
    clock_advance(3 * TICK_NS);
    g_assert_false(i8254_output(pit, 0));
    clock_advance(500 * TICK_NS);
    g_assert_true(i8254_output(pit, 0));
}

/* What a busy host does: five periods end before the processor runs again, with one interrupt pending. */
static void late_ticks_are_made_up_for(void)
{
    for (int mode = 2; mode <= 3; mode++) {
        load_pit(0, mode, 11932);
        clock_advance(5.1 * 11932 * TICK_NS);
        pit_edges = 0;
        for (int n = 0; n < 10; n++) {
            ticks_taken(ticks);
        }
        g_assert_cmpint(pit_edges, ==, 4);
    }
}

static void ticks_taken_in_time_are_not_repeated(void)
{
    load_pit(0, 2, 11932);
    pit_edges = 0;
    for (int n = 0; n < 100; n++) {
        clock_advance(11932 * TICK_NS);
        ticks_taken(ticks);
    }
    g_assert_cmpint(pit_edges, >=, 99);
    g_assert_cmpint(pit_edges, <=, 100);
}

static void masked_ticks_are_not_made_up_for(void)
{
    load_pit(0, 2, 11932);
    clock_advance(2 * NS_PER_SECOND);
    pit_edges = 0;
    ticks_taken(ticks);
    ticks_taken(ticks);
    g_assert_cmpint(pit_edges, ==, 0);
    clock_advance(500 * NS_PER_MS);
    load_pit(0, 2, 11932); /* programmed anew: what is late is forgotten */
    pit_edges = 0;
    ticks_taken(ticks);
    g_assert_cmpint(pit_edges, ==, 0);
}

static void a_terminal_count_interrupts_once(void)
{
    load_pit(0, 0, 1000);
    pit_edges = 0;
    clock_advance(999 * TICK_NS);
    g_assert_cmpint(pit_edges, ==, 0);
    clock_advance(3 * TICK_NS);
    g_assert_cmpint(pit_edges, ==, 1);
    clock_advance(NS_PER_SECOND);
    g_assert_cmpint(pit_edges, ==, 1);
}

static void the_counter_counts_down(void)
{
    load_pit(2, 0, 5000);
    clock_advance(1000 * TICK_NS + 10);
    g_assert_cmpuint(read_pit(2), ==, 4000);
}

static void a_latch_stands_still(void)
{
    unsigned low;

    load_pit(2, 2, 60000);
    clock_advance(100 * TICK_NS + 10);
    rig_out8(PIT_CONTROL, 0xc0 | 0x08 | 0x10); /* read back: count of channel 2 only */
    clock_advance(1000 * TICK_NS);
    low = rig_in8(PIT + 2);
    g_assert_cmpuint(low | rig_in8(PIT + 2) << 8, ==, 59900);
}

static void the_gate_stops_the_counter(void)
{
    load_pit(2, 0, 5000);
    i8254_set_gate(pit, 2, false);
    clock_advance(NS_PER_MS);
    i8254_set_gate(pit, 2, true);
    g_assert_cmpuint(read_pit(2), ==, 5000);
    clock_advance(100 * TICK_NS + 10);
    g_assert_cmpuint(read_pit(2), ==, 4900);
}

static uint8_t get_cmos(uint8_t index)
{
    rig_out8(INDEX, index);
    return rig_in8(DATA);
}

static void set_cmos(uint8_t index, uint8_t value)
{
    rig_out8(INDEX, index);
    rig_out8(DATA, value);
}

static void set_clock(void)
{
    static const uint8_t fields[][2] = { { 0, 0x58 }, { 2, 0x59 }, { 4, 0x23 }, { 7, 0x31 },
                                         { 8, 0x12 }, { 9, 0x99 }, { 0x32, 0x19 } };

    set_cmos(0x0b, 0x82);
    for (size_t n = 0; n < G_N_ELEMENTS(fields); n++) {
        set_cmos(fields[n][0], fields[n][1]);
    }
    set_cmos(0x0b, 0x02);
    get_cmos(0x0c);
}

static void the_year_2000_comes(void)
{
    set_clock();
    clock_advance(2 * NS_PER_SECOND);
    g_assert_cmphex(get_cmos(0), ==, 0x00);
    g_assert_cmphex(get_cmos(4), ==, 0x00);
    g_assert_cmphex(get_cmos(7), ==, 0x01);
    g_assert_cmphex(get_cmos(8), ==, 0x01);
    g_assert_cmphex(get_cmos(9), ==, 0x00);
    g_assert_cmphex(get_cmos(0x32), ==, 0x20);
    g_assert_cmphex(get_cmos(6), ==, 7); /* a Saturday */
}

static void the_hour_has_two_forms(void)
{
    set_clock();
    set_cmos(0x0b, 0x00);
    g_assert_cmphex(get_cmos(4), ==, 0x91); /* 11 PM, in BCD */
    set_cmos(0x0b, 0x06);
    g_assert_cmpuint(get_cmos(4), ==, 23);
}

static void the_alarm_rings(void)
{
    set_clock();
    set_cmos(1, 0x01);
    set_cmos(3, 0xc0);
    set_cmos(5, 0xff);
    set_cmos(0x0b, 0x22);
    get_cmos(0x0c);
    rtc_edges = 0;
    clock_advance(2 * NS_PER_SECOND);
    g_assert_cmpint(rtc_edges, ==, 0);
    clock_advance(NS_PER_SECOND);
    g_assert_cmpint(rtc_edges, ==, 1);
    g_assert_cmphex(get_cmos(0x0c) & 0xa0, ==, 0xa0);
    g_assert_false(rtc_level);
    set_cmos(0x0b, 0x02);
}

static void periodic_interrupts_come_at_their_rate(void)
{
    int count = 0;

    set_cmos(0x0a, 0x26); /* 1024 Hz */
    set_cmos(0x0b, 0x42);
    for (int n = 0; n < 1000; n++) {
        clock_advance(NS_PER_MS);
        count += (get_cmos(0x0c) & 0xc0) == 0xc0;
    }
    g_assert_cmpint(count, >=, 999);
    set_cmos(0x0b, 0x02);
}

static void cmos_survives_a_reset(void)
{
    set_cmos(0x0f, 0x0a);
    set_cmos(0x0b, 0x42);
    device_reset(rtc);
    g_assert_cmphex(get_cmos(0x0f), ==, 0x0a);
    g_assert_cmphex(get_cmos(0x0b), ==, 0x02);
    set_cmos(0x50, 0x12);
    rig_save_and_load(rtc);
    g_assert_cmphex(get_cmos(0x50), ==, 0x12);
}

static void hpet_comparators_repeat(void)
{
    rig_store(HPET_BASE + 0x10, 0, 4);
    rig_store(HPET_BASE + 0xf0, 0, 4);
    rig_store(HPET_BASE + 0xf4, 0, 4);
    rig_store(HPET_BASE + 0x100, 1 << 2 | 1 << 3 | 1 << 6 | 1 << 8 | 2 << 9, 4);
    rig_store(HPET_BASE + 0x108, 1000, 4); /* first at 10 us */
    rig_store(HPET_BASE + 0x108, 500, 4);  /* then every 5 us */
    hpet_edges = 0;
    rig_store(HPET_BASE + 0x10, 1, 4);
    clock_advance(9999);
    g_assert_cmpint(hpet_edges, ==, 0);
    clock_advance(1);
    g_assert_cmpint(hpet_edges, ==, 1);
    for (int n = 0; n < 10; n++) {
        clock_advance(5000);
    }
    g_assert_cmpint(hpet_edges, ==, 11);
    g_assert_cmpuint(rig_load(HPET_BASE + 0xf0, 4), ==, 6000);
    rig_store(HPET_BASE + 0x10, 0, 4);
    clock_advance(NS_PER_MS);
    g_assert_cmpuint(rig_load(HPET_BASE + 0xf0, 4), ==, 6000);
}

static void hpet_late_ticks_are_made_up_for(void)
{
    device_reset(hpet);
    rig_store(HPET_BASE + 0x100, 1 << 2 | 1 << 3 | 1 << 6, 4);
    rig_store(HPET_BASE + 0x108, 100000, 8);
    rig_store(HPET_BASE + 0x108, 100000, 8);
    rig_store(HPET_BASE + 0x10, 3, 4); /* legacy replacement: interrupt 0 */
    clock_advance(4 * NS_PER_MS + 1000);
    pit_edges = 0;
    for (int n = 0; n < 10; n++) {
        ticks_taken(ticks);
    }
    g_assert_cmpint(pit_edges, ==, 3);
    device_reset(hpet);
}

static void hpet_levels_are_shared_and_move(void)
{
    device_reset(hpet);
    for (int n = 0; n < 2; n++) {
        rig_store(HPET_BASE + 0x100 + 0x20 * n, 1 << 1 | 1 << 2 | 1 << 8 | 20 << 9, 4);
        rig_store(HPET_BASE + 0x108 + 0x20 * n, 1000, 4);
    }
    rig_store(HPET_BASE + 0x10, 1, 4);
    clock_advance(10000);
    g_assert_cmphex(rig_load(HPET_BASE + 0x20, 4), ==, 3);
    g_assert_true(line_level(hpet_inputs[20]));
    rig_store(HPET_BASE + 0x20, 2, 4); /* the other one still holds it */
    g_assert_true(line_level(hpet_inputs[20]));
    rig_store(HPET_BASE + 0x100, 1 << 1 | 1 << 2 | 1 << 8 | 21 << 9, 4);
    g_assert_false(line_level(hpet_inputs[20]));
    g_assert_true(line_level(hpet_inputs[21]));
    rig_store(HPET_BASE + 0x20, 1, 4);
    g_assert_false(line_level(hpet_inputs[21]));
    device_reset(hpet);
}

int main(int argc, char **argv)
{
    Line *irq0;

    g_test_init(&argc, &argv, NULL);
    rig_init();
    pit = rig_add("i8254", NULL);
    irq0 = line_new(pit_changed, NULL, 0);
    i8254_connect(pit, 0, irq0);
    ticks = ticks_new(irq0);
    i8254_set_ticks(pit, ticks);
    rtc = rig_add("mc146818rtc", NULL);
    mc146818_connect(rtc, line_new(rtc_changed, NULL, 0));
    hpet = rig_add("hpet", NULL);
    for (int n = 0; n < 24; n++) {
        hpet_inputs[n] = line_new(hpet_changed, NULL, n);
    }
    hpet_connect(hpet, hpet_inputs, irq0, NULL);
    hpet_set_ticks(hpet, ticks);
    g_test_add_func("/i8254/a-rate-generator-ticks", a_rate_generator_ticks);
    g_test_add_func("/i8254/a-square-wave-is-high-half-the-time", a_square_wave_is_high_half_the_time);
    g_test_add_func("/i8254/late-ticks-are-made-up-for", late_ticks_are_made_up_for);
    g_test_add_func("/i8254/ticks-taken-in-time-are-not-repeated", ticks_taken_in_time_are_not_repeated);
    g_test_add_func("/i8254/masked-ticks-are-not-made-up-for", masked_ticks_are_not_made_up_for);
    g_test_add_func("/i8254/a-terminal-count-interrupts-once", a_terminal_count_interrupts_once);
    g_test_add_func("/i8254/the-counter-counts-down", the_counter_counts_down);
    g_test_add_func("/i8254/a-latch-stands-still", a_latch_stands_still);
    g_test_add_func("/i8254/the-gate-stops-the-counter", the_gate_stops_the_counter);
    g_test_add_func("/mc146818/the-year-2000-comes", the_year_2000_comes);
    g_test_add_func("/mc146818/the-hour-has-two-forms", the_hour_has_two_forms);
    g_test_add_func("/mc146818/the-alarm-rings", the_alarm_rings);
    g_test_add_func("/mc146818/periodic-interrupts-come-at-their-rate",
                    periodic_interrupts_come_at_their_rate);
    g_test_add_func("/mc146818/cmos-survives-a-reset", cmos_survives_a_reset);
    g_test_add_func("/hpet/comparators-repeat", hpet_comparators_repeat);
    g_test_add_func("/hpet/late-ticks-are-made-up-for", hpet_late_ticks_are_made_up_for);
    g_test_add_func("/hpet/levels-are-shared-and-move", hpet_levels_are_shared_and_move);
    return g_test_run();
}
