/* Options of the display, the clock, and what ends or watches the machine. */
#include "system/cmdline-options.h"

#include "core/incident.h"
#include "util/log.h"
#include "util/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- display ---- */

bool opt_display(const char *arg, GError **error)
{
    /* Switches of other windows that need nothing here. */
    static const char *const harmless[] = { "gl", "grab-mod", "show-cursor", "window-close", "alt_grab",
                                            "ctrl_grab", "zoom-to-fit", "show-tabs", "show-menubar" };
    g_autoptr(Options) o = NULL;
    const char *type;

    if (option_asks_help(arg)) {
        printf("Available display backend types:\nnone\nsdl\n");
        exit(0);
    }
    o = options_parse(arg, "type", error);
    type = o ? options_get(o, "type") : NULL;
    if (!o) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(harmless); i++) {
        options_get(o, harmless[i]);
    }
    if (g_strcmp0(type, "gtk") == 0) {
        option_hint("-display gtk", "-display sdl");
        type = "sdl";
    }
    if (g_strcmp0(type, "sdl") != 0 && g_strcmp0(type, "none") != 0) {
        return option_fail(error, "no display '%s'; there are: sdl, none", arg);
    }
    cmdline.display = g_strdup(type);
    return options_get_bool(o, "full-screen", &cmdline.full_screen, error) &&
           options_check_unknown(o, "-display", error);
}

bool opt_nographic(const char *arg, GError **error)
{
    machine_config.nographic = true;
    return true;
}

bool opt_full_screen(const char *arg, GError **error)
{
    cmdline.full_screen = true;
    return true;
}

bool opt_std_vga(const char *arg, GError **error)
{
    option_hint("-std-vga", "-vga std");
    machine_config.vga = "std";
    return true;
}

bool opt_sdl(const char *arg, GError **error)
{
    option_hint("-sdl", "-display sdl");
    cmdline.display = "sdl";
    return true;
}

/* ---- clock and life ---- */

bool opt_rtc(const char *arg, GError **error)
{
    g_autoptr(Options) o = options_parse(arg, "base", error);
    const char *base;

    if (!o) {
        return false;
    }
    base = options_get(o, "base");
    options_get(o, "clock");
    options_get(o, "driftfix");
    if (base) {
        cmdline.rtc_base = g_strdup(base);
    }
    return options_check_unknown(o, "-rtc", error);
}

bool opt_action(const char *arg, GError **error)
{
    g_autoptr(Options) o = options_parse(arg, NULL, error);

    for (int i = 0; o && i < options_count(o); i++) {
        if (!incident_set_action(options_key(o, i), options_value(o, i), error)) {
            g_prefix_error(error, "-action %s: ", arg);
            return false;
        }
    }
    return o != NULL;
}

bool opt_watchdog_action(const char *arg, GError **error)
{
    return incident_set_action("watchdog", arg, error);
}

bool opt_watchdog(const char *arg, GError **error)
{
    option_hint("-watchdog", "-device ");
    g_ptr_array_add(cmdline.devices, g_strdup(arg));
    return true;
}

bool opt_localtime(const char *arg, GError **error)
{
    option_hint("-localtime", "-rtc base=localtime");
    cmdline.rtc_base = "localtime";
    return true;
}

bool opt_startdate(const char *arg, GError **error)
{
    option_hint("-startdate", "-rtc base=");
    cmdline.rtc_base = g_strdup(arg);
    return true;
}

#define SWITCH_OPTION(name, member, value)               \
    bool name(const char *arg, GError **error)           \
    {                                                    \
        member = value;                                  \
        return true;                                     \
    }
SWITCH_OPTION(opt_no_reboot, machine_config.no_reboot, true)
SWITCH_OPTION(opt_no_shutdown, machine_config.no_shutdown, true)
SWITCH_OPTION(opt_stopped, cmdline.stopped, true)
SWITCH_OPTION(opt_nodefaults, machine_config.default_devices, false)
SWITCH_OPTION(opt_daemonize, cmdline.daemonize, true)
#undef SWITCH_OPTION

bool opt_no_acpi(const char *arg, GError **error)
{
    option_hint("-no-acpi", "-machine acpi=off");
    machine_config.acpi = false;
    return true;
}

bool opt_no_hpet(const char *arg, GError **error)
{
    option_hint("-no-hpet", "-machine hpet=off");
    machine_config.hpet = false;
    return true;
}

bool opt_gdb_default(const char *arg, GError **error)
{
    g_ptr_array_add(cmdline.gdbs, g_strdup("tcp::1234"));
    return true;
}

bool opt_trace(const char *arg, GError **error)
{
    g_autoptr(Options) o = options_parse(arg, "enable", error);

    if (!o) {
        return false;
    }
    if (!options_get(o, "enable")) {
        return option_fail(error, "-trace %s: needs a pattern, as in 'irq_*'", arg);
    }
    trace_enable(options_get(o, "enable"));
    if (options_get(o, "file")) {
        cmdline.log_file = g_strdup(options_get(o, "file"));
    }
    return options_check_unknown(o, "-trace", error);
}
