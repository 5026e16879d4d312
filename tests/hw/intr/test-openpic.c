/* OpenPIC and Heathrow's controller: priorities, senses, messages, timers. */
#include "core/clock.h"
#include "hw/intr/heathrow_pic.h"
#include "hw/intr/openpic.h"
#include "tests/hw/rig.h"

#define PIC      0x80000000u
#define HEATHROW 0x81000000u
enum { GLOBAL = 0x1020, FEATURE = 0x1000, SPURIOUS = 0x10e0, IPI0 = 0x10a0, TIMER0 = 0x1100, CPU = 0x20000 };
enum { TASK = 0x80, WHO = 0x90, ACK = 0xa0, EOI = 0xb0 };
#define MASK  0x80000000u
#define LEVEL 0x00400000u

static Device *pic, *heathrow;
static bool out[2], heathrow_out;

static void cpu_changed(void *opaque, int n, bool level)
{
    out[n] = level;
}

static void heathrow_changed(void *opaque, int n, bool level)
{
    heathrow_out = level;
}

static uint32_t get(unsigned reg)
{
    return rig_load(PIC + reg, 4);
}

static void set(unsigned reg, uint32_t value)
{
    rig_store(PIC + reg, value, 4);
}

static void source(int n, uint32_t vecpri, uint32_t dest)
{
    set(0x10000 + n * 32, vecpri);
    set(0x10010 + n * 32, dest);
}

static void start(void)
{
    for (int n = 0; n < OPENPIC_SOURCES; n++) {
        line_set(openpic_input(pic, n), false);
    }
    set(GLOBAL, 0x80000000);
    set(CPU + TASK, 0);
    set(CPU + 0x1000 + TASK, 0);
    set(SPURIOUS, 0xff);
}

static void it_tells_how_large_it_is(void)
{
    start();
    g_assert_cmphex(get(FEATURE), ==, 63 << 16 | 1 << 8 | 2);
    g_assert_cmphex(get(CPU + 0x1000 + WHO), ==, 1);
    g_assert_cmphex(get(CPU + ACK), ==, 0xff);
}

static void a_level_comes_again_until_it_falls(void)
{
    start();
    source(5, LEVEL | 8 << 16 | 0x25, 1);
    line_set(openpic_input(pic, 5), true);
    g_assert_true(out[0]);
    g_assert_cmphex(get(CPU + ACK), ==, 0x25);
    g_assert_false(out[0]);
    set(CPU + EOI, 0);
    g_assert_true(out[0]);
    g_assert_cmphex(get(CPU + ACK), ==, 0x25);
    line_set(openpic_input(pic, 5), false);
    set(CPU + EOI, 0);
    g_assert_false(out[0]);
}

static void an_edge_comes_once(void)
{
    start();
    source(6, 8 << 16 | 0x26, 1);
    line_set(openpic_input(pic, 6), true);
    g_assert_cmphex(get(CPU + ACK), ==, 0x26);
    set(CPU + EOI, 0);
    g_assert_false(out[0]);
    line_set(openpic_input(pic, 6), false);
    line_set(openpic_input(pic, 6), true);
    g_assert_true(out[0]);
}

static void a_masked_edge_waits(void)
{
    start();
    source(6, MASK | 8 << 16 | 0x26, 1);
    line_pulse(openpic_input(pic, 6));
    g_assert_false(out[0]);
    source(6, 8 << 16 | 0x26, 1);
    g_assert_true(out[0]);
}

static void the_more_urgent_interrupts_the_less(void)
{
    start();
    source(1, LEVEL | 3 << 16 | 0x31, 1);
    source(2, LEVEL | 9 << 16 | 0x32, 1);
    line_set(openpic_input(pic, 1), true);
    g_assert_cmphex(get(CPU + ACK), ==, 0x31);
    line_set(openpic_input(pic, 2), true);
    g_assert_true(out[0]);
    g_assert_cmphex(get(CPU + ACK), ==, 0x32);
    line_set(openpic_input(pic, 2), false);
    set(CPU + EOI, 0);
    g_assert_false(out[0]); /* source 1 is still in service */
    set(CPU + EOI, 0);
    g_assert_true(out[0]);
    set(CPU + TASK, 3);
    g_assert_false(out[0]);
}

static void destinations_and_messages_reach_their_processor(void)
{
    start();
    source(7, LEVEL | 5 << 16 | 0x47, 2);
    line_set(openpic_input(pic, 7), true);
    g_assert_false(out[0]);
    g_assert_true(out[1]);
    g_assert_cmphex(get(CPU + 0x1000 + ACK), ==, 0x47);
    line_set(openpic_input(pic, 7), false);
    set(CPU + 0x1000 + EOI, 0);
    set(IPI0, 10 << 16 | 0x50);
    set(CPU + 0x40, 3);
    g_assert_true(out[0] && out[1]);
    g_assert_cmphex(get(CPU + ACK), ==, 0x50);
    g_assert_false(out[0]);
    g_assert_true(out[1]);
}

static void a_timer_interrupts_again_and_again(void)
{
    start();
    set(TIMER0 + 0x20, 6 << 16 | 0x60);
    set(TIMER0 + 0x30, 1);
    set(TIMER0 + 0x10, 4166); /* a millisecond */
    rig_run(NS_PER_MS / 2);
    g_assert_false(out[0]);
    g_assert_cmpint(get(TIMER0) & 0x7fffffff, >, 1000);
    rig_run(NS_PER_MS);
    g_assert_cmphex(get(CPU + ACK), ==, 0x60);
    set(CPU + EOI, 0);
    g_assert_false(out[0]);
    rig_run(NS_PER_MS);
    g_assert_true(out[0]);
    set(TIMER0 + 0x10, 0x80000000);
    get(CPU + ACK);
    set(CPU + EOI, 0);
    rig_run(5 * NS_PER_MS);
    g_assert_false(out[0]);
}

static void snapshots_keep_what_is_in_service(void)
{
    start();
    source(1, LEVEL | 3 << 16 | 0x31, 1);
    line_set(openpic_input(pic, 1), true);
    get(CPU + ACK);
    rig_save_and_load(pic);
    g_assert_false(out[0]);
    set(CPU + EOI, 0);
    g_assert_true(out[0]);
}

static void heathrow_latches_edges_and_follows_levels(void)
{
    line_set(heathrow_pic_input(heathrow, 0x12), true); /* an edge */
    g_assert_false(heathrow_out);
    rig_store(HEATHROW + 0x24 - 0x10, 1 << 0x12 | 1 << 0x17, 4);
    g_assert_true(heathrow_out);
    g_assert_cmphex(rig_load(HEATHROW + 0x20 - 0x10, 4), ==, 1 << 0x12);
    rig_store(HEATHROW + 0x28 - 0x10, 1 << 0x12, 4);
    g_assert_false(heathrow_out);
    g_assert_cmphex(rig_load(HEATHROW + 0x2c - 0x10, 4), ==, 1 << 0x12);
    line_set(heathrow_pic_input(heathrow, 0x17), true); /* a PCI slot */
    rig_store(HEATHROW + 0x28 - 0x10, 1 << 0x17, 4);
    g_assert_true(heathrow_out);
    line_set(heathrow_pic_input(heathrow, 0x17), false);
    g_assert_false(heathrow_out);
    line_set(heathrow_pic_input(heathrow, 40), true);
    rig_store(HEATHROW + 4, 1 << 8, 4);
    g_assert_true(heathrow_out);
    rig_save_and_load(heathrow);
    g_assert_true(heathrow_out);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    pic = rig_add("openpic,nb_cpus=2", NULL);
    region_add(memory_system_root(), PIC, openpic_region(pic));
    heathrow = rig_add("heathrow-pic", NULL);
    region_add(memory_system_root(), HEATHROW, heathrow_pic_region(heathrow));
    heathrow_pic_connect(heathrow, line_new(heathrow_changed, NULL, 0));
    for (int n = 0; n < 2; n++) {
        openpic_connect(pic, n, line_new(cpu_changed, NULL, n));
    }
#define ADD(fn) g_test_add_func("/openpic/" #fn, fn)
    ADD(it_tells_how_large_it_is);
    ADD(a_level_comes_again_until_it_falls);
    ADD(an_edge_comes_once);
    ADD(a_masked_edge_waits);
    ADD(the_more_urgent_interrupts_the_less);
    ADD(destinations_and_messages_reach_their_processor);
    ADD(a_timer_interrupts_again_and_again);
    ADD(snapshots_keep_what_is_in_service);
    ADD(heathrow_latches_edges_and_follows_levels);
    return g_test_run();
}
