/* Run states, requests and CPUs, in a main loop without an engine. */
#include "core/clock.h"
#include "core/cpu.h"
#include "core/device.h"
#include "core/lock.h"
#include "core/machine.h"
#include "core/mainloop.h"

static GString *trail;

static void note(const char *what)
{
    g_string_append_printf(trail, "%s ", what);
}

static void pause_cpus(void)
{
    note("pause");
}

static void resume_cpus(void)
{
    note("resume");
}

static void on_reset(void *opaque)
{
    note("reset");
}

static void on_powerdown(void *opaque)
{
    note("powerdown");
}

static void on_state(void *opaque, RunState state)
{
    note(run_state_name(state));
}

static void on_shutdown(void *opaque, ShutdownCause cause)
{
    note(cause == SHUTDOWN_GUEST ? "guest-shutdown" : "host-shutdown");
}

static void cpu_reset(Cpu *cpu)
{
    note("cpu");
}

typedef struct ToyState {
    CpuHot hot;
    uint64_t registers[700];
} ToyState;

static const CpuType toy_cpu = { .name = "toy", .state_size = sizeof(ToyState), .reset = cpu_reset };

static void step(void)
{
    machine_lock();
    main_loop_step(false);
    machine_unlock();
}

static const char *expect(void)
{
    static char *text;

    g_free(text);
    text = g_strdup(trail->str);
    g_string_truncate(trail, 0);
    return text;
}

static void a_cpu_state_has_its_stack_below(void)
{
    Cpu *cpu = cpu_new(&toy_cpu, NULL, 0, NULL);
    volatile uint8_t *stack = (uint8_t *)cpu->state - CPU_STACK_SIZE;

    stack[0] = stack[CPU_STACK_SIZE - 1] = 1;
    ((ToyState *)cpu->state)->registers[699] = 5;
    g_assert_true((void *)cpu->hot == cpu->state && cpu->hot->cpu == cpu);
    g_assert_cmpuint((uintptr_t)cpu->state % 64, ==, 0);
    g_assert_true(cpu_get(0) == cpu && cpu_count() == 1 && !cpu_get(1));
    cpu_request(cpu, CPU_REQ_INTR | CPU_REQ_NMI);
    g_assert_cmpint(cpu->hot->poll, <, 0);
    cpu_clear_request(cpu, CPU_REQ_INTR);
    g_assert_cmphex(cpu->requests, ==, CPU_REQ_NMI);
    g_string_truncate(trail, 0);
}

static void running_and_stopping_drives_clock_and_cpus(void)
{
    machine_lock();
    g_assert_cmpint(machine_state(), ==, RUN_PRELAUNCH);
    machine_continue();
    g_assert_true(clock_running());
    g_assert_cmpstr(expect(), ==, "running resume ");
    machine_stop(RUN_PAUSED);
    g_assert_false(clock_running());
    g_assert_cmpstr(expect(), ==, "pause paused ");
    machine_continue();
    machine_unlock();
    expect();
}

static void a_reset_stops_the_cpus_while_it_lasts(void)
{
    machine_request_reset(SHUTDOWN_GUEST);
    machine_request_reset(SHUTDOWN_GUEST);
    g_assert_cmpstr(expect(), ==, "");
    step();
    g_assert_cmpstr(expect(), ==, "pause reset cpu resume ");
    step();
    g_assert_cmpstr(expect(), ==, "");
}

static void the_power_button_tells_the_board(void)
{
    machine_request_powerdown();
    step();
    g_assert_cmpstr(expect(), ==, "powerdown ");
}

static void a_device_may_stop_the_machine(void)
{
    machine_request_stop(RUN_IO_ERROR);
    step();
    g_assert_cmpstr(expect(), ==, "pause io-error ");
    machine_lock();
    machine_continue();
    machine_unlock();
    expect();
}

static void no_shutdown_keeps_the_process(void)
{
    machine_config.no_shutdown = true;
    machine_request_shutdown(SHUTDOWN_GUEST);
    step();
    g_assert_cmpstr(expect(), ==, "guest-shutdown pause shutdown ");
    g_assert_false(main_loop_quitting());
    machine_request_reset(SHUTDOWN_HOST);
    step();
    g_assert_cmpint(machine_state(), ==, RUN_PRELAUNCH);
    machine_lock();
    machine_continue();
    machine_unlock();
    expect();
}

static void no_reboot_makes_a_reset_a_shutdown(void)
{
    machine_config.no_shutdown = false;
    machine_config.no_reboot = true;
    machine_request_reset(SHUTDOWN_GUEST);
    step();
    g_assert_cmpstr(expect(), ==, "guest-shutdown pause shutdown ");
    g_assert_true(main_loop_quitting());
    g_assert_cmpint(main_loop_run(), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    trail = g_string_new(NULL);
    memory_init();
    machine_set_pause_fns(pause_cpus, resume_cpus);
    machine_on_reset(on_reset, NULL);
    machine_on_powerdown(on_powerdown, NULL);
    machine_on_state(on_state, NULL);
    machine_on_shutdown(on_shutdown, NULL);
#define ADD(fn) g_test_add_func("/machine/" #fn, fn)
    ADD(a_cpu_state_has_its_stack_below);
    ADD(running_and_stopping_drives_clock_and_cpus);
    ADD(a_reset_stops_the_cpus_while_it_lasts);
    ADD(the_power_button_tells_the_board);
    ADD(a_device_may_stop_the_machine);
    ADD(no_shutdown_keeps_the_process);
    ADD(no_reboot_makes_a_reset_a_shutdown);
    return g_test_run();
}
