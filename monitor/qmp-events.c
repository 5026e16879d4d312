/* Events of the machine, as QMP clients hear of them. */
#include "backends/block.h"
#include "backends/net.h"
#include "core/balloon.h"
#include "core/device.h"
#include "core/incident.h"
#include "monitor/internal.h"

const char *const qmp_events[] = {
    "BALLOON_CHANGE", "BLOCK_IO_ERROR", "DEVICE_DELETED", "DEVICE_TRAY_MOVED", "GUEST_CRASHLOADED", "GUEST_PANICKED", "NETDEV_STREAM_CONNECTED",
    "NETDEV_STREAM_DISCONNECTED", "POWERDOWN", "RESET", "RESUME", "SHUTDOWN", "STOP", "WATCHDOG", NULL,
};

static const char *shutdown_reason, *reset_reason;

void qmp_set_shutdown_reason(const char *reason)
{
    shutdown_reason = reason;
}

void qmp_set_reset_reason(const char *reason)
{
    reset_reason = reason;
}

static void on_state(void *opaque, RunState state)
{
    static bool was_running;
    bool running = state == RUN_RUNNING;

    if (running != was_running) {
        was_running = running;
        monitor_event(running ? "RESUME" : "STOP", NULL);
    }
}

static void on_reset(void *opaque)
{
    static bool started;
    Json *data;

    if (!started) { /* the reset that starts the machine */
        started = true;
        return;
    }
    data = json_object();
    json_set_bool(data, "guest", !reset_reason);
    json_set_string(data, "reason", reset_reason ? reset_reason : "guest-reset");
    reset_reason = NULL;
    monitor_event("RESET", data);
}

static void on_powerdown(void *opaque)
{
    monitor_event("POWERDOWN", NULL);
}

static void on_shutdown(void *opaque, ShutdownCause cause)
{
    Json *data = json_object();
    const char *reason = cause == SHUTDOWN_GUEST   ? "guest-shutdown"
                         : cause == SHUTDOWN_PANIC ? "guest-panic"
                         : shutdown_reason         ? shutdown_reason
                                                   : "host-signal";

    json_set_bool(data, "guest", cause != SHUTDOWN_HOST);
    json_set_string(data, "reason", reason);
    monitor_event("SHUTDOWN", data);
}

static void on_unplugged(const char *id)
{
    Json *data = json_object();

    json_set_string(data, "device", id);
    json_set(data, "path", json_printf("/machine/peripheral/%s", id));
    monitor_event("DEVICE_DELETED", data);
}

static void on_balloon(uint64_t actual)
{
    Json *data = json_object();

    json_set_int(data, "actual", actual);
    monitor_event("BALLOON_CHANGE", data);
}

static void on_incident(const char *event, const char *action)
{
    Json *data = json_object();

    json_set_string(data, "action", action);
    monitor_event(event, data);
}

void qmp_events_init(void)
{
    static bool done;

    if (!done) {
        done = true;
        block_set_event_fn(monitor_event);
        device_set_unplugged_fn(on_unplugged);
        net_set_event_fn(monitor_event);
        balloon_set_changed_fn(on_balloon);
        incident_set_event_fn(on_incident);
        machine_on_state(on_state, NULL);
        machine_on_reset(on_reset, NULL);
        machine_on_powerdown(on_powerdown, NULL);
        machine_on_shutdown(on_shutdown, NULL);
    }
}
