/* CUDA and PMU with what is on their desktop bus, driven by the lines as a Macintosh's software does. */
#include "core/clock.h"
#include "core/input.h"
#include "hw/misc/cuda.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <string.h>

#define CUDA 0x80000000u
#define PMU  0x80010000u
enum { B = 0, DDRB = 2, T1CL = 4, T1CH, T2CL = 8, T2CH, SR = 10, ACR, IFR = 13, IER };
enum { TREQ = 0x08, TACK = 0x10, TIP = 0x20, SR_INT = 0x04, SR_OUT = 0x10 };
enum { PMU_TACK = 0x08, PMU_TREQ = 0x10 };

static Device *cuda, *pmu;
static bool cuda_irq, pmu_gpio = true;

static void cuda_changed(void *opaque, int n, bool level)
{
    cuda_irq = level;
}

static void gpio_changed(void *opaque, int n, bool level)
{
    pmu_gpio = level;
}

static uint8_t get(uint32_t base, int reg)
{
    return rig_load(base + reg * 0x200, 1);
}

static void set(uint32_t base, int reg, uint8_t value)
{
    rig_store(base + reg * 0x200, value, 1);
}

static void lines(uint8_t clear, uint8_t raise)
{
    set(CUDA, B, (get(CUDA, B) & ~clear) | raise);
}

/* The flag of the shift register comes, and is cleared. */
static void await(void)
{
    for (int i = 0; i < 100 && !(get(CUDA, IFR) & SR_INT); i++) {
        rig_run(10 * NS_PER_US);
    }
    g_assert_true(get(CUDA, IFR) & SR_INT);
    set(CUDA, IFR, SR_INT);
}

static void start(void)
{
    device_reset(cuda);
    set(CUDA, B, TACK | TIP);
    set(CUDA, DDRB, TACK | TIP);
    rig_run(NS_PER_MS);
    get(CUDA, SR);
}

static void cuda_send(const uint8_t *data, int size)
{
    set(CUDA, ACR, SR_OUT);
    set(CUDA, SR, data[0]);
    lines(TIP, 0);
    for (int i = 1; i < size; i++) {
        await();
        set(CUDA, SR, data[i]);
        set(CUDA, B, get(CUDA, B) ^ TACK);
    }
    await();
    set(CUDA, ACR, 0);
    get(CUDA, SR);
    lines(0, TIP | TACK);
}

static int cuda_receive(uint8_t *data)
{
    int n = 0;
    bool more = true;

    await();
    g_assert_false(get(CUDA, B) & TREQ);
    get(CUDA, SR);
    lines(TIP, 0);
    while (more) {
        await();
        more = !(get(CUDA, B) & TREQ);
        data[n++] = get(CUDA, SR);
        if (more) {
            set(CUDA, B, get(CUDA, B) ^ TACK);
        }
    }
    lines(0, TIP | TACK);
    await();
    return n;
}

static void both_ends_synchronize(void)
{
    start();
    lines(TACK, 0);
    g_assert_false(get(CUDA, B) & TREQ);
    await();
    lines(0, TACK);
    g_assert_true(get(CUDA, B) & TREQ);
    await();
}

static void the_clock_counts_from_1904(void)
{
    static const uint8_t ask[] = { 1, 3 };
    uint8_t set_time[] = { 1, 9, 0x80, 0, 0, 5 }, data[16];

    start();
    cuda_send(ask, sizeof(ask));
    g_assert_cmpint(cuda_receive(data), ==, 7);
    g_assert_cmphex(data[0], ==, 1);
    g_assert_cmphex(data[2], ==, 3);
    g_assert_cmpuint(load_be32(data + 3), >=, 2082844800u);
    cuda_send(set_time, sizeof(set_time));
    g_assert_cmpint(cuda_receive(data), ==, 3);
    cuda_send(ask, sizeof(ask));
    cuda_receive(data);
    g_assert_cmphex(load_be32(data + 3), ==, 0x80000005);
}

static void unknown_commands_are_refused(void)
{
    static const uint8_t ask[] = { 1, 0x7e };
    uint8_t data[16];

    start();
    cuda_send(ask, sizeof(ask));
    g_assert_cmpint(cuda_receive(data), ==, 4);
    g_assert_cmphex(data[0], ==, 2);
    g_assert_cmphex(data[1], ==, 2);
    g_assert_cmphex(data[3], ==, 0x7e);
}

static void devices_answer_by_address(void)
{
    static const uint8_t reset[] = { 0, 0x00 }, keyboard[] = { 0, 0x2f }, nobody[] = { 0, 0x5f };
    static const uint8_t move[] = { 0, 0x2b, 0x09, 0xfe }, moved[] = { 0, 0x9f };
    uint8_t data[16];

    start();
    cuda_send(reset, sizeof(reset));
    cuda_receive(data);
    cuda_send(keyboard, sizeof(keyboard));
    g_assert_cmpint(cuda_receive(data), ==, 5);
    g_assert_cmphex(data[3] & 15, ==, 2);
    g_assert_cmphex(data[4], ==, 1);
    cuda_send(nobody, sizeof(nobody));
    g_assert_cmpint(cuda_receive(data), ==, 3);
    g_assert_cmphex(data[1] & 2, ==, 2);
    cuda_send(move, sizeof(move));
    cuda_receive(data);
    cuda_send(keyboard, sizeof(keyboard));
    g_assert_cmpint(cuda_receive(data), ==, 3);
    cuda_send(moved, sizeof(moved));
    g_assert_cmpint(cuda_receive(data), ==, 5);
    cuda_send(reset, sizeof(reset));
    cuda_receive(data);
}

static void keys_and_moves_come_by_themselves(void)
{
    static const uint8_t on[] = { 1, 1, 1 }, off[] = { 1, 1, 0 };
    uint8_t data[16];

    start();
    cuda_send(on, sizeof(on));
    cuda_receive(data);
    input_send_key(0x04, true); /* A */
    input_send_key(0x04, false);
    rig_run(20 * NS_PER_MS);
    g_assert_cmpint(cuda_receive(data), ==, 5);
    g_assert_cmphex(data[1], ==, 0x40);
    g_assert_cmphex(data[2], ==, 0x2c);
    g_assert_cmphex(data[3], ==, 0x00);
    g_assert_cmphex(data[4], ==, 0x80);
    input_send_move(3, -2);
    input_send_button(BUTTON_LEFT, true);
    input_send_sync();
    rig_run(20 * NS_PER_MS);
    g_assert_cmpint(cuda_receive(data), ==, 5);
    g_assert_cmphex(data[2], ==, 0x3c);
    g_assert_cmphex(data[3], ==, 0x7e);
    g_assert_cmphex(data[4], ==, 0x83);
    cuda_send(off, sizeof(off));
    cuda_receive(data);
    rig_save_and_load(cuda);
}

static void a_long_way_takes_several_packets(void)
{
    static const uint8_t talk[] = { 0, 0x3c };
    uint8_t data[16];
    int way = 0, packets = 0;

    start();
    input_send_move(200, 0);
    input_send_sync();
    for (;;) {
        cuda_send(talk, sizeof(talk));
        if (cuda_receive(data) < 5) {
            break;
        }
        way += (int8_t)(data[4] << 1) >> 1;
        packets++;
    }
    g_assert_cmpint(way, ==, 200);
    g_assert_cmpint(packets, ==, 4);
}

static void a_short_click_is_one(void)
{
    static const uint8_t talk[] = { 0, 0x3c };
    uint8_t data[16];

    start();
    input_send_button(BUTTON_RIGHT, true);
    input_send_sync();
    input_send_button(BUTTON_RIGHT, false);
    input_send_sync();
    cuda_send(talk, sizeof(talk));
    g_assert_cmpint(cuda_receive(data), ==, 5);
    g_assert_cmphex(data[4], ==, 0x00);
    cuda_send(talk, sizeof(talk));
    g_assert_cmpint(cuda_receive(data), ==, 5);
    g_assert_cmphex(data[4], ==, 0x80);
    cuda_send(talk, sizeof(talk));
    g_assert_cmpint(cuda_receive(data), <, 5);
}

static void the_timers_count_and_interrupt(void)
{
    start();
    set(CUDA, IER, 0xc0);
    set(CUDA, ACR, 0x40);
    set(CUDA, T1CL, 7833 & 0xff);
    set(CUDA, T1CH, 7833 >> 8); /* 10 ms */
    rig_run(9 * NS_PER_MS);
    g_assert_false(cuda_irq);
    rig_run(2 * NS_PER_MS);
    g_assert_true(cuda_irq);
    set(CUDA, IFR, 0x40);
    g_assert_false(cuda_irq);
    rig_run(10 * NS_PER_MS);
    g_assert_true(cuda_irq);
    set(CUDA, IER, 0x40);
    set(CUDA, T2CL, 0xff);
    set(CUDA, T2CH, 0xff);
    rig_run(NS_PER_MS);
    g_assert_cmpint(0xffff - (get(CUDA, T2CL) | get(CUDA, T2CH) << 8), ==, 783);
}

/* ---- PMU ---- */

/* A timer that starts over by itself, in whole ticks while time is in nanoseconds, is at the same place again; the longest one, too. */
static void a_snapshot_does_not_move_the_timers(void)
{
    static const uint16_t latches[] = { 0, 1, 2, 0xfffe, 0xffff };

    for (int i = 0; i < (int)G_N_ELEMENTS(latches) * 200; i++) {
        g_autoptr(GKeyFile) before = g_key_file_new(), after = g_key_file_new();
        g_autofree char *first = NULL, *second = NULL;
        g_autoptr(GError) error = NULL;
        uint16_t latch = latches[i / 200];

        set(CUDA, ACR, 0x40);
        set(CUDA, T1CL, latch & 0xff);
        set(CUDA, T1CH, latch >> 8);
        rig_run((latch + 2) * 1277 + 7 * i);
        device_save(cuda, before);
        device_load(cuda, before, &error);
        g_assert_no_error(error);
        device_save(cuda, after);
        first = g_key_file_get_string(before, "cuda.0.via", "start", &error);
        g_assert_no_error(error);
        second = g_key_file_get_string(after, "cuda.0.via", "start", &error);
        g_assert_no_error(error);
        g_assert_cmpstr(first, ==, second);
    }
    set(CUDA, ACR, 0);
}

static void pmu_byte_out(uint8_t byte)
{
    set(PMU, ACR, SR_OUT);
    set(PMU, SR, byte);
    set(PMU, B, 0);
    g_assert_true(get(PMU, IFR) & SR_INT);
    g_assert_false(get(PMU, B) & PMU_TACK);
    set(PMU, IFR, SR_INT);
    set(PMU, B, PMU_TREQ);
    g_assert_true(get(PMU, B) & PMU_TACK);
}

static uint8_t pmu_byte_in(void)
{
    uint8_t byte;

    set(PMU, ACR, 0);
    get(PMU, SR);
    set(PMU, B, 0);
    g_assert_true(get(PMU, IFR) & SR_INT);
    byte = get(PMU, SR);
    set(PMU, B, PMU_TREQ);
    return byte;
}

static void pmu_start(void)
{
    if (!pmu) {
        pmu = rig_add("via-pmu", NULL);
        region_add(memory_system_root(), PMU, pmu_region(pmu));
        pmu_connect(pmu, NULL, line_new(gpio_changed, NULL, 0));
        input_activate(device_find("adb-keyboard.1"));
    }
    device_reset(pmu);
    set(PMU, B, PMU_TREQ);
    set(PMU, DDRB, PMU_TREQ);
}

static void the_pmu_has_a_clock_and_a_version(void)
{
    uint32_t seconds = 0;

    pmu_start();
    pmu_byte_out(0xea);
    g_assert_cmphex(pmu_byte_in(), !=, 0);
    pmu_byte_out(0x38);
    for (int i = 0; i < 4; i++) {
        seconds = seconds << 8 | pmu_byte_in();
    }
    g_assert_cmpuint(seconds, >=, 2082844800u);
}

static int pmu_why(uint8_t *data)
{
    int n;

    pmu_byte_out(0x78);
    n = pmu_byte_in();
    for (int i = 0; i < n; i++) {
        data[i] = pmu_byte_in();
    }
    return n;
}

static void pmu_adb(const uint8_t *data, int size)
{
    pmu_byte_out(0x20);
    pmu_byte_out(size);
    for (int i = 0; i < size; i++) {
        pmu_byte_out(data[i]);
    }
}

static void the_pmu_tells_what_its_bus_answers(void)
{
    static const uint8_t talk[] = { 0x2f, 0, 0 }, nobody[] = { 0x5f, 0, 0 }, poll[] = { 0, 0x86, 0xff, 0xff };
    uint8_t data[16];

    pmu_start();
    pmu_byte_out(0x70);
    pmu_byte_out(0x10);
    g_assert_true(pmu_gpio);
    pmu_adb(talk, sizeof(talk));
    g_assert_false(pmu_gpio);
    g_assert_cmpint(pmu_why(data), ==, 5);
    g_assert_cmphex(data[0], ==, 0x10);
    g_assert_cmphex(data[1], ==, 1);
    g_assert_cmphex(data[2], ==, 2);
    g_assert_cmphex(data[3] & 15, ==, 2);
    g_assert_true(pmu_gpio);
    pmu_adb(nobody, sizeof(nobody));
    g_assert_cmpint(pmu_why(data), ==, 2);
    pmu_adb(poll, sizeof(poll));
    g_assert_true(pmu_gpio);
    input_send_key(0x16, true); /* S */
    rig_run(20 * NS_PER_MS);
    g_assert_false(pmu_gpio);
    g_assert_cmpint(pmu_why(data), ==, 4);
    g_assert_cmphex(data[0], ==, 0x14);
    g_assert_cmphex(data[1], ==, 0x2c);
    g_assert_cmphex(data[2], ==, 0x01);
    rig_save_and_load(pmu);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    clock_set_base(1000000000);
    cuda = rig_add("cuda", NULL);
    region_add(memory_system_root(), CUDA, cuda_region(cuda));
    cuda_connect(cuda, line_new(cuda_changed, NULL, 0));
#define ADD(fn) g_test_add_func("/cuda/" #fn, fn)
    ADD(both_ends_synchronize);
    ADD(the_clock_counts_from_1904);
    ADD(unknown_commands_are_refused);
    ADD(devices_answer_by_address);
    ADD(keys_and_moves_come_by_themselves);
    ADD(a_long_way_takes_several_packets);
    ADD(a_short_click_is_one);
    ADD(the_timers_count_and_interrupt);
    ADD(a_snapshot_does_not_move_the_timers);
    ADD(the_pmu_has_a_clock_and_a_version);
    ADD(the_pmu_tells_what_its_bus_answers);
    return g_test_run();
}
