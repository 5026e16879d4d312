/* QMP commands that do something to the machine. */
#include "monitor/internal.h"

#include "accel/accel.h"
#include "util/error.h"

#include <string.h>

Json *qmp_stop(const Json *arguments, GError **error)
{
    if (machine_state() == RUN_RUNNING) {
        machine_stop(RUN_PAUSED);
    }
    return NULL;
}

Json *qmp_cont(const Json *arguments, GError **error)
{
    action_continue(error);
    return NULL;
}

Json *qmp_accel_switch(const Json *arguments, GError **error)
{
    const char *name = qmp_string(arguments, "accel", error);

    if (name) {
        accel_switch(name, error);
    }
    return NULL;
}

Json *qmp_quit(const Json *arguments, GError **error)
{
    action_quit();
    return NULL;
}

Json *qmp_system_reset(const Json *arguments, GError **error)
{
    action_reset();
    return NULL;
}

Json *qmp_system_powerdown(const Json *arguments, GError **error)
{
    machine_request_powerdown();
    return NULL;
}

Json *qmp_system_wakeup(const Json *arguments, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "Unable to wake up: guest is not in suspended state");
    return NULL;
}

Json *qmp_inject_nmi(const Json *arguments, GError **error)
{
    cpus_nmi();
    return NULL;
}

/* Members are events, values what is done at them; the first that is wrong ends it. */
Json *qmp_set_action(const Json *arguments, GError **error)
{
    static const char *const events[] = { "reboot", "shutdown", "panic", "watchdog" };

    for (unsigned i = 0; i < G_N_ELEMENTS(events); i++) {
        const char *action = json_member_string(arguments, events[i]);

        if (action && !incident_set_action(events[i], action, error)) {
            break;
        }
    }
    return NULL;
}

Json *qmp_watchdog_set_action(const Json *arguments, GError **error)
{
    const char *action = qmp_string(arguments, "action", error);

    if (action) {
        incident_set_action("watchdog", action, error);
    }
    return NULL;
}

/* {"type": "qcode", "data": "a"} or {"type": "number", "data": 30} */
static InputKey key_of(const Json *value, GError **error)
{
    const char *type = json_member_string(value, "type");
    const Json *data = json_get(value, "data");
    InputKey key = 0;

    if (g_strcmp0(type, "qcode") == 0 && json_get_string(data)) {
        key = input_key_by_name(json_get_string(data));
    } else if (g_strcmp0(type, "number") == 0) {
        key = input_key_by_number(json_get_int(data, 0));
    }
    if (!key) {
        g_autofree char *text = value ? json_write(value, false) : g_strdup("(none)");

        g_set_error(error, VM_ERROR, VM_ERROR_USER, "Invalid key %s", text);
    }
    return key;
}

Json *qmp_send_key(const Json *arguments, GError **error)
{
    const Json *list = json_get(arguments, "keys");
    int64_t hold = json_member_int(arguments, "hold-time", 100);
    InputKey keys[16];
    unsigned count = json_count(list);

    if (!list || json_kind(list) != JSON_ARRAY) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "Parameter 'keys' is missing");
        return NULL;
    }
    if (count > G_N_ELEMENTS(keys)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "More than %zu keys at once", G_N_ELEMENTS(keys));
        return NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        keys[i] = key_of(json_at(list, i), error);
        if (!keys[i]) {
            return NULL;
        }
    }
    action_press_keys(keys, count, CLAMP(hold, 0, 60000));
    return NULL;
}

static bool button_of(const char *name, InputButton *button)
{
    static const struct {
        const char *name;
        InputButton button;
    } names[] = {
        { "left", BUTTON_LEFT },         { "middle", BUTTON_MIDDLE },
        { "right", BUTTON_RIGHT },       { "wheel-up", BUTTON_WHEEL_UP },
        { "wheel-down", BUTTON_WHEEL_DOWN }, { "side", BUTTON_SIDE },
        { "extra", BUTTON_EXTRA },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (g_strcmp0(names[i].name, name) == 0) {
            *button = names[i].button;
            return true;
        }
    }
    return false;
}

/* Absolute axes come one at a time: a place is known when the group of events ends. */
typedef struct Motion {
    int dx, dy, x, y;
    bool relative, absolute;
} Motion;

static bool send_input(const Json *event, Motion *motion, GError **error)
{
    static int last_x, last_y;
    const char *type = json_member_string(event, "type");
    const Json *data = json_get(event, "data");
    bool down = json_member_bool(data, "down", false);
    int64_t value = json_member_int(data, "value", 0);
    bool is_y = g_strcmp0(json_member_string(data, "axis"), "y") == 0;
    InputButton button;

    if (g_strcmp0(type, "key") == 0) {
        InputKey key = key_of(json_get(data, "key"), error);

        input_send_key(key, down);
        return key != 0;
    }
    if (g_strcmp0(type, "btn") == 0 && button_of(json_member_string(data, "button"), &button)) {
        input_send_button(button, down);
        return true;
    }
    if (g_strcmp0(type, "rel") == 0) {
        *(is_y ? &motion->dy : &motion->dx) += CLAMP(value, -32768, 32767);
        motion->relative = true;
        return true;
    }
    if (g_strcmp0(type, "abs") == 0) {
        *(is_y ? &last_y : &last_x) = CLAMP(value, 0, INPUT_ABS_MAX);
        motion->x = last_x;
        motion->y = last_y;
        motion->absolute = true;
        return true;
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "Invalid input event of type '%s'", type ? type : "?");
    return false;
}

Json *qmp_input_send_event(const Json *arguments, GError **error)
{
    const Json *events = json_get(arguments, "events");
    Motion motion = { 0 };

    for (unsigned i = 0; i < json_count(events); i++) {
        if (!send_input(json_at(events, i), &motion, error)) {
            break;
        }
    }
    if (motion.relative) {
        input_send_move(motion.dx, motion.dy);
    }
    if (motion.absolute) {
        input_send_move_to(motion.x, motion.y);
    }
    input_send_sync();
    return NULL;
}

Json *qmp_screendump(const Json *arguments, GError **error)
{
    const char *path = qmp_string(arguments, "filename", error);

    if (path) {
        action_screendump(path, json_member_string(arguments, "format"), error);
    }
    return NULL;
}

static void save_memory(const Json *arguments, Cpu *cpu, GError **error)
{
    const char *path = qmp_string(arguments, "filename", error);
    int64_t addr, size;

    if (path && qmp_int(arguments, "val", &addr, error) && qmp_int(arguments, "size", &size, error)) {
        action_save_memory(cpu, addr, size, path, error);
    }
}

Json *qmp_memsave(const Json *arguments, GError **error)
{
    int64_t index = json_member_int(arguments, "cpu-index", 0);
    Cpu *cpu = index >= 0 && index < cpu_count() ? cpu_get(index) : NULL;

    if (cpu) {
        save_memory(arguments, cpu, error);
    } else {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "Parameter 'cpu-index' expects a CPU number");
    }
    return NULL;
}

Json *qmp_pmemsave(const Json *arguments, GError **error)
{
    save_memory(arguments, NULL, error);
    return NULL;
}

Json *qmp_human_monitor_command(const Json *arguments, GError **error)
{
    const char *line = qmp_string(arguments, "command-line", error);
    g_autofree char *text = NULL;

    if (!line) {
        return NULL;
    }
    text = monitor_run(line, json_member_int(arguments, "cpu-index", 0));
    return json_string(text);
}

Json *qmp_set_link(const Json *arguments, GError **error)
{
    const char *name = qmp_string(arguments, "name", error);

    if (name) {
        action_set_link(name, json_member_bool(arguments, "up", true), error);
    }
    return NULL;
}
