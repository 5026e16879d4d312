/* Timers on a clock that the test moves, and in the main loop. */
#include "core/clock.h"
#include "core/lock.h"
#include "core/mainloop.h"

#include <glib.h>

static GString *trail;

static void note(void *name)
{
    g_string_append_printf(trail, "%s@%d ", (char *)name, (int)clock_now(CLOCK_GUEST));
}

static void timers_run_in_order_of_deadline(void)
{
    Timer *a = timer_new(CLOCK_GUEST, note, "a"), *b = timer_new(CLOCK_GUEST, note, "b");
    Timer *c = timer_new(CLOCK_GUEST, note, "c");

    g_string_truncate(trail, 0);
    clock_make_manual(); /* for this test and all that follow */
    timer_set(a, 30);
    timer_set(b, 10);
    timer_set(c, 10);
    clock_advance(9);
    g_assert_cmpstr(trail->str, ==, "");
    g_assert_true(timer_pending(b));
    clock_advance(100);
    g_assert_cmpstr(trail->str, ==, "b@10 c@10 a@30 ");
    g_assert_false(timer_pending(b));
    g_assert_cmpint(timer_deadline(b), ==, -1);
    g_assert_cmpint(clock_now(CLOCK_GUEST), ==, 109);
    timer_free(a);
    timer_free(b);
    timer_free(c);
}

static void the_last_deadline_counts(void)
{
    Timer *t = timer_new(CLOCK_GUEST, note, "t");
    int64_t now = clock_now(CLOCK_GUEST);

    g_string_truncate(trail, 0);
    timer_set(t, now + 10);
    timer_set(t, now + 50);
    clock_advance(20);
    g_assert_cmpstr(trail->str, ==, "");
    g_assert_cmpint(timer_deadline(t), ==, now + 50);
    timer_cancel(t);
    clock_advance(100);
    g_assert_cmpstr(trail->str, ==, "");
    timer_free(t);
}

typedef struct Ticker {
    Timer *timer;
    int ticks;
} Ticker;

static void tick(void *opaque)
{
    Ticker *t = opaque;

    if (++t->ticks == 5) {
        g_clear_pointer(&t->timer, timer_free);
    } else {
        timer_set(t->timer, clock_now(CLOCK_GUEST) + 10);
    }
}

static void a_timer_may_set_and_free_itself(void)
{
    Ticker t = { 0 };

    t.timer = timer_new(CLOCK_GUEST, tick, &t);
    timer_set(t.timer, clock_now(CLOCK_GUEST));
    clock_advance(35);
    g_assert_cmpint(t.ticks, ==, 4);
    clock_advance(1000);
    g_assert_cmpint(t.ticks, ==, 5);
}

static int64_t last_deadline;

static void check_order(void *opaque)
{
    int64_t now = clock_now(CLOCK_GUEST);

    g_assert_cmpint(now, >=, last_deadline);
    last_deadline = now;
}

static void many_timers_keep_order(void)
{
    Timer *timers[500];
    int64_t now = clock_now(CLOCK_GUEST);

    for (int i = 0; i < 500; i++) {
        timers[i] = timer_new(CLOCK_GUEST, check_order, NULL);
        timer_set(timers[i], now + g_test_rand_int_range(0, 1000));
    }
    for (int i = 0; i < 500; i += 3) {
        timer_cancel(timers[i]);
        timer_set(timers[i], now + g_test_rand_int_range(0, 1000));
    }
    last_deadline = now;
    clock_advance(1000);
    for (int i = 0; i < 500; i++) {
        g_assert_false(timer_pending(timers[i]));
        timer_free(timers[i]);
    }
}

typedef struct Beat {
    Timer *timer;
    int left;
} Beat;

static void beat(void *opaque)
{
    Beat *b = opaque;

    g_assert_true(machine_locked());
    if (--b->left == 0) {
        main_loop_quit(7);
    } else {
        timer_set(b->timer, clock_now(CLOCK_REAL) + NS_PER_MS);
    }
}

static void call_in_loop(void *opaque)
{
    g_assert_true(machine_locked());
    *(bool *)opaque = true;
}

static gpointer call_from_thread(gpointer flag)
{
    machine_lock(); /* the main loop drops it while it waits */
    machine_unlock();
    main_loop_call(call_in_loop, flag);
    return NULL;
}

static void the_main_loop_keeps_a_kilohertz_timer(void)
{
    Beat b = { .left = 50 };
    bool called = false;
    int64_t start = clock_now(CLOCK_REAL);
    GThread *thread = g_thread_new("caller", call_from_thread, &called);

    b.timer = timer_new(CLOCK_REAL, beat, &b);
    timer_set(b.timer, start + NS_PER_MS);
    g_assert_cmpint(main_loop_run(), ==, 7);
    g_thread_join(thread);
    g_assert_true(called);
    g_assert_cmpint(clock_now(CLOCK_REAL) - start, >=, 50 * NS_PER_MS);
    g_assert_cmpint(clock_now(CLOCK_REAL) - start, <, 5000 * NS_PER_MS); /* busy hosts */
    timer_free(b.timer);
}

static void the_guest_clock_stands_still_until_started(void)
{
    int64_t stopped;

    g_assert_cmpint(clock_now(CLOCK_GUEST), ==, 0);
    clock_start();
    g_usleep(2000);
    clock_stop();
    stopped = clock_now(CLOCK_GUEST);
    g_assert_cmpint(stopped, >=, 2 * NS_PER_MS);
    g_usleep(2000);
    g_assert_cmpint(clock_now(CLOCK_GUEST), ==, stopped);
    clock_start();
    g_assert_cmpint(clock_now(CLOCK_GUEST), <, stopped + 1000 * NS_PER_MS);
    clock_stop();
    clock_set_guest(0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    trail = g_string_new(NULL);
    g_test_add_func("/clock/the_guest_clock_stands_still_until_started",
                    the_guest_clock_stands_still_until_started);
    g_test_add_func("/clock/the_main_loop_keeps_a_kilohertz_timer",
                    the_main_loop_keeps_a_kilohertz_timer);
    g_test_add_func("/clock/timers_run_in_order_of_deadline", timers_run_in_order_of_deadline);
    g_test_add_func("/clock/the_last_deadline_counts", the_last_deadline_counts);
    g_test_add_func("/clock/a_timer_may_set_and_free_itself", a_timer_may_set_and_free_itself);
    g_test_add_func("/clock/many_timers_keep_order", many_timers_keep_order);
    return g_test_run();
}
