/* The dirty log, breakpoints, watchpoints, single steps. */
#include "accel/internal.h"
#include "tests/accel/toy.h"

static void stores_show_in_the_dirty_log(void)
{
    start();
    put32(0x1000, 3, 0x6000);
    ram[0x1005] = 5;
    run();
    machine_lock();
    region_log_start(ram_region, PAGE_CLEAN_DISPLAY);
    region_log_test_and_clear(ram_region, PAGE_CLEAN_DISPLAY, 0x6000, 4096);
    machine_unlock();
    run(); /* what the tables held is dropped, and counts as one more write */
    machine_lock();
    region_log_test_and_clear(ram_region, PAGE_CLEAN_DISPLAY, 0x6000, 4096);
    g_assert_false(region_log_test_and_clear(ram_region, PAGE_CLEAN_DISPLAY, 0x6000, 4096));
    machine_unlock();
    s->pc = 0x1000;
    run();
    machine_lock();
    g_assert_true(region_log_test_and_clear(ram_region, PAGE_CLEAN_DISPLAY, 0x6000, 4096));
    machine_unlock();
}

/* The vCPU has the page in a table for stores until it sees that the log was read. */
static void stores_before_a_pause_show_in_the_dirty_log(void)
{
    start();
    put_add(0x1000, 1);
    put32(0x1002, 7, 0x6000);
    put32(0x1007, 4, 0x1000);
    machine_lock();
    region_log_start(ram_region, PAGE_CLEAN_DISPLAY);
    cpu->halted = false;
    accel_resume_all();
    for (int seen = 0; seen < 10;) {
        uint32_t before;

        g_usleep(1000);
        accel_cpu_pause_self(cpu); /* where the request finds it, it stands */
        region_log_test_and_clear(ram_region, PAGE_CLEAN_DISPLAY, 0x6000, 4096);
        before = load_le32(ram + 0x6000);
        accel_pause_all();
        if (load_le32(ram + 0x6000) != before) {
            g_assert_true(region_log_test_and_clear(ram_region, PAGE_CLEAN_DISPLAY, 0x6000, 4096));
            seen++;
        }
        accel_resume_all();
    }
    accel_pause_all();
    machine_unlock();
    ram[0x1000] = 5;
    ram_mark_dirty(region_ram(ram_region), 0x1000, 1);
    s->pc = 0x1000;
    run();
}

static int stops;
static DebugStop stop_why;
static uint64_t stop_pc;

static void on_stop(Cpu *stopped, DebugStop why, VirtAddr addr)
{
    stop_why = why;
    stop_pc = s->pc;
    stops++;
}

static void wait_for_stop(int n)
{
    for (int i = 0; i < PATIENCE_MS && *(volatile int *)&stops < n; i++) {
        g_usleep(1000);
    }
    g_assert_cmpint(stops, ==, n);
    machine_lock();
    accel_pause_all();
}

static void go_on(void)
{
    accel_resume_all();
    machine_unlock();
}

static void breakpoints_stop_and_go_on(void)
{
    start();
    put_add(0x1000, 1);
    put_add(0x1002, 2);
    ram[0x1004] = 5;
    stops = 0;
    accel_debug_stop_fn = on_stop;
    accel->insert_breakpoint(cpu, 0x1002);
    machine_lock();
    cpu->halted = false;
    go_on();
    wait_for_stop(1);
    g_assert_cmpint(stop_why, ==, DEBUG_BREAKPOINT);
    g_assert_cmphex(stop_pc, ==, 0x1002);
    g_assert_cmpint(s->r0, ==, 1);
    machine_unlock();
    run();
    g_assert_cmpint(s->r0, ==, 3);
    accel->remove_breakpoint(cpu, 0x1002);
    accel_debug_stop_fn = NULL;
}

static void watchpoints_stop_after_the_access(void)
{
    start();
    put32(0x1000, 3, 0x7004);
    put_add(0x1005, 2);
    ram[0x1007] = 5;
    stops = 0;
    accel_debug_stop_fn = on_stop;
    s->r0 = 8;
    machine_lock();
    accel->insert_watchpoint(cpu, 0x7004, 1, false, true);
    cpu->halted = false;
    go_on();
    wait_for_stop(1);
    g_assert_cmpint(stop_why, ==, DEBUG_WATCH_WRITE);
    g_assert_cmphex(stop_pc, ==, 0x1005);
    g_assert_cmpint(ram[0x7004], ==, 8);
    accel->remove_watchpoint(cpu, 0x7004, 1, false, true);
    machine_unlock();
    run();
    g_assert_cmpint(s->r0, ==, 10);
    accel_debug_stop_fn = NULL;
}

/* Of a page that can be stored to alone, as PowerPC's keys have it. */
static void what_an_update_reads_is_watched(void)
{
    for (int unreadable = 0; unreadable < 2; unreadable++) {
        start();
        page_table[7] |= unreadable ? UNREADABLE : 0;
        ram[0x7004] = 3;
        put32(0x1000, 14, 0x7004);
        ram[0x1005] = 5;
        stops = 0;
        accel_debug_stop_fn = on_stop;
        machine_lock();
        accel->insert_watchpoint(cpu, 0x7004, 1, true, false);
        cpu->halted = false;
        go_on();
        wait_for_stop(1);
        g_assert_cmpint(stop_why, ==, DEBUG_WATCH_READ);
        g_assert_cmphex(stop_pc, ==, 0x1005);
        g_assert_cmpint(ram[0x7004], ==, 4);
        accel->remove_watchpoint(cpu, 0x7004, 1, true, false);
        machine_unlock();
        run();
        accel_debug_stop_fn = NULL;
    }
}

static void the_guest_learns_of_hits_after_the_instruction(void)
{
    start();
    put_add(0x1000, 8);
    put32(0x1002, 3, 0x7003);
    put32(0x1007, 7, 0x7001); /* its last byte */
    put_add(0x100c, 2);
    put32(0x100e, 2, 0x7004);
    ram[0x1013] = 5;
    watch_hits = watch_count = 0;
    engine.watch(cpu, 2, 0x7004, 2, false, true);
    run();
    g_assert_cmpint(watch_count, ==, 1);
    g_assert_cmphex(watch_hits, ==, 1 << 2);
    g_assert_cmphex(watch_pc, ==, 0x100c);
    g_assert_cmpint(ram[0x7001], ==, 8);
    engine.watch(cpu, 2, 0x7004, 2, true, false);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(watch_count, ==, 2);
    g_assert_cmphex(watch_pc, ==, 0x1013);
    engine.watch(cpu, 2, 0, 0, false, false);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(watch_count, ==, 2);
}

/* Global pages of a world that was not current when the range was set. */
static void the_guest_watches_all_worlds(void)
{
    start();
    page_table[7] |= GLOBAL;
    put32(0x1000, 3, 0x7004);
    ram[0x1005] = 5;
    space_id = UINT64_C(1) << 32;
    run();
    space_id = 0;
    s->pc = 0x1005;
    run();
    watch_hits = watch_count = 0;
    engine.watch(cpu, 1, 0x7004, 1, false, true);
    space_id = UINT64_C(1) << 32;
    s->pc = 0x1000;
    run();
    g_assert_cmphex(watch_hits, ==, 1 << 1);
    engine.watch(cpu, 1, 0, 0, false, false);
    space_id = 0;
}

static void single_steps_stop_at_each_instruction(void)
{
    start();
    put_add(0x1000, 1);
    put_add(0x1002, 2);
    ram[0x1004] = 5;
    stops = 0;
    accel_debug_stop_fn = on_stop;
    accel->set_single_step(cpu, true);
    machine_lock();
    cpu->halted = false;
    go_on();
    wait_for_stop(1);
    g_assert_cmpint(stop_why, ==, DEBUG_STEP);
    g_assert_cmphex(stop_pc, ==, 0x1002);
    go_on();
    wait_for_stop(2);
    g_assert_cmphex(stop_pc, ==, 0x1004);
    accel->set_single_step(cpu, false);
    machine_unlock();
    accel_debug_stop_fn = NULL;
    run();
}

const Case debug_cases[] = {
    CASE(stores_show_in_the_dirty_log),
    CASE(stores_before_a_pause_show_in_the_dirty_log),
    CASE(breakpoints_stop_and_go_on),
    CASE(watchpoints_stop_after_the_access),
    CASE(what_an_update_reads_is_watched),
    CASE(the_guest_learns_of_hits_after_the_instruction),
    CASE(the_guest_watches_all_worlds),
    CASE(single_steps_stop_at_each_instruction),
    { 0 },
};
