/* The command line: the parser, and options that only store their argument. The other functions of options.def: cmdline-*.c. */
#include "system/cmdline-options.h"

#include "accel/accel.h"
#include "config.h"
#include "system/targets.h"
#include "util/error.h"
#include "util/log.h"
#include "util/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Cmdline cmdline;

bool option_fail(GError **error, const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, VM_ERROR, VM_ERROR_USER, text);
    return false;
}

void option_hint(const char *old, const char *modern)
{
    log_info("%s is an old spelling of %s, and goes on working", old, modern);
}

bool option_asks_help(const char *arg)
{
    return g_str_equal(arg, "help") || g_str_equal(arg, "?");
}

/* ---- information ---- */

static void print_options(void)
{
    static const struct {
        const char *name, *arg, *help;
    } rows[] = {
#define OPTION(name, arg, help, fn) { name, arg, help },
#include "options.def"
#undef OPTION
    };

    printf("Myna " MYNA_VERSION ", a full-system emulator\n"
           "usage: %s [options] [disk image]\n\n", g_get_prgname());
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].help) {
            g_autofree char *left =
                g_strdup_printf("-%s %s", rows[i].name, rows[i].arg ? rows[i].arg : "");

            printf("%-40s %s%s\n", left, strlen(left) > 40 ? "\n                                         " : "",
                   rows[i].help);
        }
    }
}

bool opt_help(const char *arg, GError **error)
{
    print_options();
    exit(0);
}

bool opt_version(const char *arg, GError **error)
{
    printf("Myna emulator version " MYNA_VERSION "\n");
    exit(0);
}

#define STRING_OPTION(name, member)                      \
    bool name(const char *arg, GError **error)           \
    {                                                    \
        member = g_strdup(arg);                          \
        return true;                                     \
    }
STRING_OPTION(opt_bios, machine_config.bios)
STRING_OPTION(opt_firmware_path, machine_config.firmware_path)
STRING_OPTION(opt_kernel, machine_config.kernel)
STRING_OPTION(opt_initrd, machine_config.initrd)
STRING_OPTION(opt_dtb, machine_config.dtb)
STRING_OPTION(opt_append, machine_config.append)
STRING_OPTION(opt_debugcon, cmdline.debugcon)
STRING_OPTION(opt_pidfile, cmdline.pidfile)
STRING_OPTION(opt_log, cmdline.log_items)
STRING_OPTION(opt_log_file, cmdline.log_file)
#undef STRING_OPTION

#define LIST_OPTION(name, list)                          \
    bool name(const char *arg, GError **error)           \
    {                                                    \
        g_ptr_array_add(list, g_strdup(arg));            \
        return true;                                     \
    }
LIST_OPTION(opt_nic, cmdline.nics)
LIST_OPTION(opt_net, cmdline.legacy_net)
LIST_OPTION(opt_serial, cmdline.serials)
LIST_OPTION(opt_parallel, cmdline.parallels)
LIST_OPTION(opt_monitor, cmdline.monitors)
LIST_OPTION(opt_qmp, cmdline.qmps)
LIST_OPTION(opt_mon, cmdline.mons)
LIST_OPTION(opt_gdb, cmdline.gdbs)
#undef LIST_OPTION

bool opt_nothing(const char *arg, GError **error)
{
    return true;
}

/* ---- the parser ---- */

static const struct {
    const char *name, *arg;
    OptionFn *fn;
} options[] = {
#define OPTION(name, arg, help, fn) { name, arg, fn },
#include "options.def"
#undef OPTION
};

static bool run_option(const char *name, const char *arg, bool *used, GError **error)
{
    const char *names[G_N_ELEMENTS(options) + 1] = { NULL };

    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        if (g_str_equal(options[i].name, name)) {
            if (options[i].arg && !arg) {
                return option_fail(error, "-%s needs an argument: %s", name, options[i].arg);
            }
            *used = options[i].arg != NULL;
            return options[i].fn(options[i].arg ? arg : NULL, error);
        }
        names[i] = options[i].name;
    }
    {
        g_autofree char *near = options_hint(name, names);

        return option_fail(error, "no option '-%s'%s; -help lists them", name, near);
    }
}

/* An ini file: [device "id"] with key = "value" lines is -device key=value,...,id=id. */
bool opt_readconfig(const char *arg, GError **error)
{
    g_autofree char *text = NULL, *section = NULL;
    g_autoptr(GString) values = g_string_new(NULL);
    g_auto(GStrv) lines = NULL;
    bool used;

    if (!g_file_get_contents(arg, &text, NULL, error)) {
        g_prefix_error(error, "-readconfig: ");
        return false;
    }
    lines = g_strsplit(text, "\n", -1);
    for (int i = 0;; i++) {
        char *line = lines[i] ? g_strstrip(lines[i]) : NULL, *equals;

        if (!line || line[0] == '[') {
            if (section && values->len && !run_option(section, values->str + 1, &used, error)) {
                g_prefix_error(error, "%s: ", arg);
                return false;
            }
            g_string_truncate(values, 0);
            if (!line) {
                return true;
            }
            g_free(section);
            section = g_strndup(line + 1, strcspn(line + 1, " ]\""));
            if (strchr(line, '"')) {
                char *id = strchr(line, '"') + 1;

                g_string_append_printf(values, ",id=%.*s", (int)strcspn(id, "\""), id);
            }
        } else if (line[0] && line[0] != '#' && line[0] != ';') {
            equals = strchr(line, '=');
            if (!equals || !section) {
                return option_fail(error, "%s:%d: neither [section] nor key = \"value\"", arg, i + 1);
            }
            *equals = 0;
            equals = g_strstrip(equals + 1);
            if (equals[0] == '"' && strlen(equals) > 1) {
                equals[strlen(equals) - 1] = 0;
                equals++;
            }
            g_string_append_printf(values, ",%s=%s", g_strstrip(line), equals);
        }
    }
}

static void set_defaults(void)
{
    GPtrArray **lists[] = { &cmdline.serials, &cmdline.parallels, &cmdline.chardevs, &cmdline.audiodevs, &cmdline.netdevs,
                            &cmdline.nics, &cmdline.devices, &cmdline.drives,
                            &cmdline.monitors, &cmdline.qmps, &cmdline.mons, &cmdline.gdbs,
                            &cmdline.legacy_net, &cmdline.objects, &cmdline.usbdevices };
    MachineConfig *m = &machine_config;

    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        *lists[i] = g_ptr_array_new_with_free_func(g_free);
    }
    m->cpus = m->max_cpus = m->sockets = m->cores = m->threads = 1;
    m->acpi = m->hpet = m->vmport = m->default_devices = true;
    m->boot_menu_timeout_ms = m->reboot_timeout_ms = -1;
}

bool cmdline_parse(int argc, char **argv, GError **error)
{
    g_autofree char *program = g_path_get_basename(argv[0]);

    set_defaults();
    cmdline.target = system_target_find(program);
    accel_guest_is_host = cmdline.target->has_kvm;
    if (g_str_equal(program, "kvm")) {
        cmdline.accel = "kvm:tcg";
    }
    for (int i = 1; i < argc; i++) {
        bool used = false;
        const char *name = argv[i];

        if (name[0] != '-' || !name[1]) {
            if (!drive_add(name, "ide", 0, false, error)) {
                return false;
            }
            continue;
        }
        name += name[1] == '-' ? 2 : 1;
        if (!run_option(name, argv[i + 1], &used, error)) {
            return false;
        }
        i += used;
    }
    return true;
}
