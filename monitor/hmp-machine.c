/* Commands of the human monitor that steer the machine: run state, keys, mouse, log. */
#include "monitor/internal.h"

#include "accel/accel.h"
#include "util/log.h"
#include "util/options.h"

#include <stdlib.h>
#include <string.h>

void hmp_quit(Hmp *hmp, const HmpArgs *args)
{
    action_quit();
}

void hmp_stop(Hmp *hmp, const HmpArgs *args)
{
    if (machine_state() == RUN_RUNNING) {
        machine_stop(RUN_PAUSED);
    }
}

void hmp_accel_switch(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    if (!accel_switch(args->argv[0], &error)) {
        hmp_error(hmp, error);
    }
}

void hmp_cont(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    if (!action_continue(&error)) {
        hmp_error(hmp, error);
    }
}

void hmp_system_reset(Hmp *hmp, const HmpArgs *args)
{
    action_reset();
}

void hmp_system_powerdown(Hmp *hmp, const HmpArgs *args)
{
    machine_request_powerdown();
}

void hmp_system_wakeup(Hmp *hmp, const HmpArgs *args)
{
    hmp_printf(hmp, "Error: the guest does not sleep\n");
}

void hmp_nmi(Hmp *hmp, const HmpArgs *args)
{
    cpus_nmi();
}

typedef struct Injection {
    MachineCheck check;
    bool done;
    GError *error;
} Injection;

static void inject(Cpu *cpu, void *opaque)
{
    Injection *injection = opaque;

    injection->done = cpu->type->machine_check(cpu, &injection->check, &injection->error);
}

static bool inject_machine_check(Hmp *hmp, Cpu *cpu, MachineCheck check)
{
    Injection injection = { .check = check };

    accel->run_on_cpu(cpu, inject, &injection);
    if (!injection.done) {
        hmp_error(hmp, injection.error);
    }
    return injection.done;
}

/* With -b the others are told that an error was broadcast. */
void hmp_mce(Hmp *hmp, const HmpArgs *args)
{
    const MachineCheck told = { .bank = 1, .status = UINT64_C(5) << 61, .mcg_status = 5 };
    int first = hmp_flag(args, "-b");
    uint64_t value[6];
    Cpu *cpu;

    for (int i = 0; i < 6; i++) {
        if (!hmp_number(hmp, args, first + i, &value[i])) {
            return;
        }
    }
    cpu = value[0] < (uint64_t)cpu_count() ? cpu_get(value[0]) : NULL;
    if (!cpu || !cpu->type->machine_check) {
        hmp_printf(hmp, cpu ? "Error: this machine's processors have no machine checks\n" : "Error: there is no such CPU\n");
        return;
    }
    if (!inject_machine_check(hmp, cpu, (MachineCheck){ MIN(value[1], 255), value[2], value[3], value[4], value[5] })) {
        return;
    }
    for (int i = 0; first && i < cpu_count(); i++) {
        if (cpu_get(i) != cpu && !inject_machine_check(hmp, cpu_get(i), told)) {
            return;
        }
    }
}

void hmp_watchdog_action(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    if (!incident_set_action("watchdog", args->argv[0], &error)) {
        hmp_error(hmp, error);
    }
}

void hmp_cpu_select(Hmp *hmp, const HmpArgs *args)
{
    uint64_t index;

    if (!hmp_number(hmp, args, 0, &index)) {
        return;
    }
    if (index >= (uint64_t)cpu_count()) {
        hmp_printf(hmp, "Error: there is no CPU %s\n", args->argv[0]);
        return;
    }
    hmp->cpu = index;
}

void hmp_sendkey(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    uint64_t hold = 100;

    if (args->argc > 1 && !hmp_number(hmp, args, 1, &hold)) {
        return;
    }
    if (!action_send_keys(args->argv[0], MIN(hold, 60000), &error)) {
        hmp_error(hmp, error);
    }
}

/* Signed numbers, which expressions are not. */
static int motion(const HmpArgs *args, int index)
{
    return index < args->argc ? atoi(args->argv[index]) : 0;
}

void hmp_mouse_move(Hmp *hmp, const HmpArgs *args)
{
    int wheel = motion(args, 2);

    if (input_pointer_is_absolute()) {
        input_send_move_to(motion(args, 0), motion(args, 1));
    } else {
        input_send_move(motion(args, 0), motion(args, 1));
    }
    if (wheel) {
        InputButton button = wheel > 0 ? BUTTON_WHEEL_UP : BUTTON_WHEEL_DOWN;

        input_send_button(button, true);
        input_send_button(button, false);
    }
    input_send_sync();
}

void hmp_mouse_button(Hmp *hmp, const HmpArgs *args)
{
    static const InputButton buttons[] = { BUTTON_LEFT, BUTTON_MIDDLE, BUTTON_RIGHT };
    static uint64_t held;
    uint64_t state;

    if (!hmp_number(hmp, args, 0, &state)) {
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(buttons); i++) {
        if ((state ^ held) >> i & 1) {
            input_send_button(buttons[i], state >> i & 1);
        }
    }
    held = state;
    input_send_sync();
}

void hmp_screendump(Hmp *hmp, const HmpArgs *args)
{
    const char *path = NULL, *format = NULL;
    GError *error = NULL;

    for (int i = 0; i < args->argc; i++) {
        if (g_str_equal(args->argv[i], "-f")) {
            format = i + 1 < args->argc ? args->argv[++i] : "";
        } else {
            path = args->argv[i];
        }
    }
    if (!path) {
        hmp_printf(hmp, "Error: no file named\n");
    } else if (!action_screendump(path, format, &error)) {
        hmp_error(hmp, error);
    }
}

void hmp_log(Hmp *hmp, const HmpArgs *args)
{
    bool none = g_str_equal(args->argv[0], "none");
    GError *error = NULL;

    if (!log_set_mask(none ? "" : args->argv[0], &error)) {
        hmp_error(hmp, error);
    }
}

void hmp_logfile(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    if (!log_set_file(args->argv[0], &error)) {
        hmp_error(hmp, error);
    }
}

void hmp_trace_event(Hmp *hmp, const HmpArgs *args)
{
    g_autofree char *pattern = NULL;
    bool on;

    if (!parse_bool(args->argv[1], &on)) {
        hmp_printf(hmp, "Error: '%s' is not on or off\n", args->argv[1]);
        return;
    }
    pattern = g_strconcat(on ? "" : "-", args->argv[0], NULL);
    trace_enable(pattern);
}

void hmp_gdbserver(Hmp *hmp, const HmpArgs *args)
{
    const char *spec = args->argc ? args->argv[0] : "tcp::1234";
    GError *error = NULL;

    if (!monitor_hooks.start_gdbserver) {
        hmp_printf(hmp, "Error: no gdb server in this program\n");
    } else if (!monitor_hooks.start_gdbserver(spec, &error)) {
        hmp_error(hmp, error);
    } else if (g_str_equal(spec, "none")) {
        hmp_printf(hmp, "Disabled gdbserver\n");
    } else {
        hmp_printf(hmp, "Waiting for gdb connection on device '%s'\n", spec);
    }
}
