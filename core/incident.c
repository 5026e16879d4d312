/* Panics of the guest and watchdogs that were not fed: the events, and what is done then. */
#include "core/incident.h"

#include "core/cpu.h"
#include "core/machine.h"
#include "util/error.h"
#include "util/log.h"
#include "util/options.h"

static const char *const panic_names[] = { "shutdown", "pause", "exit-failure", "none", NULL };
static const char *const watchdog_names[] = { "reset", "shutdown", "poweroff", "inject-nmi", "pause", "debug", "none", NULL };
static const char *const reboot_names[] = { "reset", "shutdown", NULL };
static const char *const shutdown_names[] = { "poweroff", "pause", NULL };

static PanicAction panic_action;
static WatchdogAction watchdog_action;
static IncidentFn *event_fn;

void incident_set_event_fn(IncidentFn *fn)
{
    event_fn = fn;
}

static bool pick(const char *event, const char *text, const char *const *names, int *value, GError **error)
{
    g_autofree char *all = g_strjoinv(", ", (char **)names), *hint = options_hint(text, names);

    for (int i = 0; names[i]; i++) {
        if (g_str_equal(names[i], text)) {
            *value = i;
            return true;
        }
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "no action '%s' for %s; there are: %s%s", text, event, all, hint);
    return false;
}

bool incident_set_action(const char *event, const char *action, GError **error)
{
    int value;

    if (g_str_equal(event, "panic")) {
        return pick(event, action, panic_names, &value, error) && (panic_action = value, true);
    }
    if (g_str_equal(event, "watchdog")) {
        return pick(event, action, watchdog_names, &value, error) && (watchdog_action = value, true);
    }
    if (g_str_equal(event, "reboot")) {
        return pick(event, action, reboot_names, &value, error) && (machine_config.no_reboot = value, true);
    }
    if (g_str_equal(event, "shutdown")) {
        return pick(event, action, shutdown_names, &value, error) && (machine_config.no_shutdown = value, true);
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "no event '%s'; there are: reboot, shutdown, panic, watchdog", event);
    return false;
}

static void tell(const char *event, const char *action)
{
    trace("incident", "%s: %s", event, action);
    if (event_fn) {
        event_fn(event, action);
    }
}

void incident_panicked(void)
{
    switch (panic_action) {
    case PANIC_PAUSE:
        tell("GUEST_PANICKED", "pause");
        machine_request_stop(RUN_GUEST_PANICKED);
        break;
    case PANIC_SHUTDOWN:
    case PANIC_EXIT_FAILURE:
        tell("GUEST_PANICKED", machine_config.no_shutdown ? "pause" : "poweroff");
        machine_config.exit_status = panic_action == PANIC_EXIT_FAILURE;
        machine_request_shutdown(SHUTDOWN_PANIC);
        break;
    case PANIC_NONE:
        tell("GUEST_PANICKED", "run");
    }
}

void incident_crashloaded(void)
{
    tell("GUEST_CRASHLOADED", "run");
}

void incident_watchdog(void)
{
    tell("WATCHDOG", watchdog_names[watchdog_action]);
    switch (watchdog_action) {
    case WATCHDOG_RESET:
        machine_request_reset(SHUTDOWN_GUEST);
        break;
    case WATCHDOG_SHUTDOWN:
        machine_request_powerdown();
        break;
    case WATCHDOG_POWEROFF:
        machine_request_exit(0);
        break;
    case WATCHDOG_INJECT_NMI:
        cpus_nmi();
        break;
    case WATCHDOG_PAUSE:
        machine_request_stop(RUN_WATCHDOG);
        break;
    case WATCHDOG_DEBUG:
        log_info("watchdog: the guest did not feed it in time");
        break;
    case WATCHDOG_NONE:
        break;
    }
}
