/* -monitor, -qmp, -mon, -gdb and the monitor side of mon: put to work on character backends. */
#include "system/monitors.h"

#include "monitor/monitor.h"
#include "system/cmdline.h"
#include "system/gdbstub.h"
#include "system/old-usb.h"
#include "system/startup.h"
#include "system/targets.h"
#include "util/error.h"
#include "util/options.h"

#include <string.h>

static Device *add_device(const char *options, GError **error)
{
    return startup_add_device(options, true, error);
}

static bool start_one(const char *id, const char *spec, MonitorMode mode, GError **error)
{
    CharBackend *chr;

    if (g_str_equal(spec, "none")) {
        return true;
    }
    chr = char_new(id, spec, error);
    return chr && monitor_new(chr, mode, false, g_str_has_prefix(spec, "chardev:"), error);
}

static bool start_all(GPtrArray *specs, const char *option, MonitorMode mode, GError **error)
{
    static int count;

    for (guint i = 0; i < specs->len; i++) {
        const char *spec = g_ptr_array_index(specs, i);
        g_autofree char *id = g_strdup_printf("compat_monitor%d", count++);

        if (!start_one(id, spec, mode, error)) {
            g_prefix_error(error, "-%s %s: ", option, spec);
            return false;
        }
    }
    return true;
}

/* "mon:stdio" shares a port's backend with a monitor. */
static bool share(GPtrArray *specs, const char *what, GError **error)
{
    for (guint i = 0; i < specs->len; i++) {
        g_autofree char *id = g_strdup_printf("%s%u", what, i);
        CharBackend *chr = char_find(id);

        if (g_str_has_prefix(g_ptr_array_index(specs, i), "mon:") && chr &&
            !monitor_new(chr, MONITOR_HMP, false, true, error)) {
            return false;
        }
    }
    return true;
}

/* [chardev=]ID[,mode=readline|control][,pretty=on] */
static bool start_mon(const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse(text, "chardev", error);
    const char *id = o ? options_get(o, "chardev") : NULL;
    const char *mode = o ? options_get(o, "mode") : NULL;
    CharBackend *chr = id ? char_find(id) : NULL;
    bool pretty = false;

    if (!o || !options_get_bool(o, "pretty", &pretty, error) ||
        !options_check_unknown(o, "-mon", error)) {
        return false;
    }
    if (!chr) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-mon: there is no character device '%s'",
                    id ? id : "");
        return false;
    }
    if (mode && strcmp(mode, "readline") && strcmp(mode, "control")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-mon: mode '%s' is not readline or control", mode);
        return false;
    }
    return monitor_new(chr, mode && g_str_equal(mode, "control") ? MONITOR_QMP : MONITOR_HMP, pretty,
                       false, error);
}

/* The last of -gdb and -s counts: there is one server. */
static bool start_gdb(GError **error)
{
    const char *spec = cmdline.gdbs->len ? g_ptr_array_index(cmdline.gdbs, cmdline.gdbs->len - 1) : NULL;

    if (spec && !gdbstub_start(spec, error)) {
        g_prefix_error(error, "-gdb %s: ", spec);
        return false;
    }
    return true;
}

static bool add_usb(const char *spec, GError **error)
{
    return old_usb_add(spec, true, error);
}

bool monitors_start(GError **error)
{
    static MonitorHooks hooks;

    hooks.add_device = add_device;
    hooks.add_usb = add_usb;
    hooks.add_drive = drive_hot_add;
    hooks.start_gdbserver = gdbstub_start;
    hooks.boards = board_types;
    hooks.target = cmdline.target->name;
    monitor_set_hooks(&hooks);
    for (guint i = 0; i < cmdline.mons->len; i++) {
        if (!start_mon(g_ptr_array_index(cmdline.mons, i), error)) {
            return false;
        }
    }
    return share(cmdline.serials, "serial", error) && share(cmdline.parallels, "parallel", error) &&
           start_all(cmdline.monitors, "monitor", MONITOR_HMP, error) &&
           start_all(cmdline.qmps, "qmp", MONITOR_QMP, error) && start_gdb(error);
}
