/* Run states of the machine, and requests to reset, shut down or stop it. */
#include "core/machine.h"

#include "core/clock.h"
#include "core/cpu.h"
#include "core/device.h"
#include "core/lock.h"
#include "core/mainloop.h"
#include "util/log.h"

#include <stdatomic.h>

MachineConfig machine_config = {
    .cpus = 1,
    .max_cpus = 1,
    .sockets = 1,
    .cores = 1,
    .threads = 1,
    .boot_menu_timeout_ms = -1,
    .reboot_timeout_ms = -1,
    .acpi = true,
    .hpet = true,
    .vmport = true,
    .default_devices = true,
};

const BoardType *machine_board;

static RunState run_state = RUN_PRELAUNCH;
static void (*pause_cpus)(void);
static void (*resume_cpus)(void);

typedef struct Hook {
    void (*fn)(void);
    void *opaque;
} Hook;

typedef struct HookList {
    GArray *hooks;
} HookList;

static HookList reset_hooks, powerdown_hooks, state_hooks, shutdown_hooks;

static void add_hook(HookList *list, void (*fn)(void), void *opaque)
{
    Hook hook = { fn, opaque };

    if (!list->hooks) {
        list->hooks = g_array_new(FALSE, FALSE, sizeof(Hook));
    }
    g_array_append_val(list->hooks, hook);
}

static guint hook_count(const HookList *list)
{
    return list->hooks ? list->hooks->len : 0;
}

static Hook *hook_at(const HookList *list, guint i)
{
    return &g_array_index(list->hooks, Hook, i);
}

void machine_on_reset(MachineFn *fn, void *opaque)
{
    add_hook(&reset_hooks, (void (*)(void))fn, opaque);
}

void machine_on_powerdown(MachineFn *fn, void *opaque)
{
    add_hook(&powerdown_hooks, (void (*)(void))fn, opaque);
}

void machine_on_state(RunStateFn *fn, void *opaque)
{
    add_hook(&state_hooks, (void (*)(void))fn, opaque);
}

void machine_on_shutdown(ShutdownFn *fn, void *opaque)
{
    add_hook(&shutdown_hooks, (void (*)(void))fn, opaque);
}

static void run_hooks(const HookList *list)
{
    for (guint i = 0; i < hook_count(list); i++) {
        Hook *hook = hook_at(list, i);

        ((MachineFn *)hook->fn)(hook->opaque);
    }
}

static void set_state(RunState state)
{
    if (run_state == state) {
        return;
    }
    __atomic_store_n(&run_state, state, __ATOMIC_RELEASE);
    trace("run_state", "%s", run_state_name(state));
    for (guint i = 0; i < hook_count(&state_hooks); i++) {
        Hook *hook = hook_at(&state_hooks, i);

        ((RunStateFn *)hook->fn)(hook->opaque, state);
    }
}

void machine_set_pause_fns(void (*pause)(void), void (*resume)(void))
{
    pause_cpus = pause;
    resume_cpus = resume;
}

void machine_without_cpus(void (*fn)(void *opaque), void *opaque)
{
    bool running = machine_state() == RUN_RUNNING;

    if (running && pause_cpus) {
        pause_cpus();
    }
    fn(opaque);
    if (running && resume_cpus) {
        resume_cpus();
    }
}

RunState machine_state(void)
{
    return __atomic_load_n(&run_state, __ATOMIC_ACQUIRE);
}

const char *run_state_name(RunState state)
{
    static const char *const names[] = {
        [RUN_PRELAUNCH] = "prelaunch", [RUN_RUNNING] = "running",
        [RUN_PAUSED] = "paused",       [RUN_SHUTDOWN] = "shutdown",
        [RUN_DEBUG] = "debug",         [RUN_IO_ERROR] = "io-error",
        [RUN_INTERNAL_ERROR] = "internal-error", [RUN_GUEST_PANICKED] = "guest-panicked",
        [RUN_WATCHDOG] = "watchdog",
    };

    return names[state];
}

void machine_stop(RunState why)
{
    if (run_state == RUN_RUNNING) {
        clock_stop();
        if (pause_cpus) {
            pause_cpus();
        }
    }
    set_state(why);
}

void machine_continue(void)
{
    if (run_state == RUN_RUNNING) {
        return;
    }
    set_state(RUN_RUNNING);
    clock_start();
    if (resume_cpus) {
        resume_cpus();
    }
}

void machine_reset(void)
{
    bool was_running = run_state == RUN_RUNNING;

    trace("machine_reset", "%s", run_state_name(run_state));
    if (was_running && pause_cpus) {
        pause_cpus();
    }
    devices_reset_all();
    run_hooks(&reset_hooks);
    cpus_reset_all();
    if (was_running) {
        if (resume_cpus) {
            resume_cpus();
        }
    } else if (run_state != RUN_PRELAUNCH && run_state != RUN_PAUSED && run_state != RUN_DEBUG) {
        set_state(RUN_PRELAUNCH); /* what stopped the machine is gone; `cont` starts it anew */
    }
}

/* Requests wait here for the main loop, which takes all of them at once. */
enum {
    REQUEST_RESET = 1 << 0,
    REQUEST_SHUTDOWN_GUEST = 1 << 1,
    REQUEST_SHUTDOWN_HOST = 1 << 2,
    REQUEST_SHUTDOWN_PANIC = 1 << 3,
    REQUEST_POWERDOWN = 1 << 4,
    REQUEST_STOP = 1 << 5,
};

static _Atomic uint32_t requests;
static _Atomic int stop_reason;

static void shut_down(ShutdownCause cause)
{
    for (guint i = 0; i < hook_count(&shutdown_hooks); i++) {
        Hook *hook = hook_at(&shutdown_hooks, i);

        ((ShutdownFn *)hook->fn)(hook->opaque, cause);
    }
    if (machine_config.no_shutdown && cause != SHUTDOWN_HOST) {
        machine_stop(cause == SHUTDOWN_PANIC ? RUN_GUEST_PANICKED : RUN_SHUTDOWN);
        return;
    }
    machine_stop(RUN_SHUTDOWN);
    main_loop_quit(cause == SHUTDOWN_PANIC ? machine_config.exit_status : 0);
}

static void serve_requests(void *opaque)
{
    uint32_t todo = atomic_exchange(&requests, 0);

    if (todo & REQUEST_SHUTDOWN_HOST) {
        shut_down(SHUTDOWN_HOST);
        return;
    }
    if (todo & REQUEST_SHUTDOWN_PANIC) {
        shut_down(SHUTDOWN_PANIC);
        return;
    }
    if (todo & REQUEST_SHUTDOWN_GUEST) {
        shut_down(SHUTDOWN_GUEST);
        return;
    }
    if (todo & REQUEST_RESET) {
        machine_reset();
    }
    if (todo & REQUEST_POWERDOWN) {
        run_hooks(&powerdown_hooks);
    }
    if (todo & REQUEST_STOP) {
        machine_stop(atomic_load(&stop_reason));
    }
}

static void request(uint32_t what)
{
    if (atomic_fetch_or(&requests, what) == 0) {
        main_loop_call(serve_requests, NULL);
    }
}

void machine_request_reset(ShutdownCause cause)
{
    if (machine_config.no_reboot) {
        machine_request_shutdown(cause);
    } else {
        request(REQUEST_RESET);
    }
}

void machine_request_shutdown(ShutdownCause cause)
{
    request(cause == SHUTDOWN_HOST    ? REQUEST_SHUTDOWN_HOST
            : cause == SHUTDOWN_PANIC ? REQUEST_SHUTDOWN_PANIC
                                      : REQUEST_SHUTDOWN_GUEST);
}

void machine_request_powerdown(void)
{
    request(REQUEST_POWERDOWN);
}

static void leave(void *status)
{
    machine_stop(RUN_SHUTDOWN);
    main_loop_quit(GPOINTER_TO_INT(status));
}

void machine_request_exit(int status)
{
    main_loop_call(leave, GINT_TO_POINTER(status));
}

void machine_request_stop(RunState why)
{
    atomic_store(&stop_reason, why);
    request(REQUEST_STOP);
}
