/* Options of the machine: its type, CPUs, memory, firmware's settings, name. */
#include "system/cmdline-options.h"

#include "accel/accel.h"
#include "core/device.h"
#include "system/targets.h"
#include "util/log.h"
#include "util/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A little less than the 40 address bits of the usual CPU models: devices need some too. */
#define MAX_RAM (1020ull << 30)

static void print_machines(void)
{
    printf("Supported machines are:\n");
    for (int i = 0; board_types[i]; i++) {
        const BoardType *b = board_types[i];

        if (!system_target_offers(cmdline.target, b)) {
            continue;
        }
        printf("%-20s %s%s\n", b->name, b->about,
               cmdline.target->default_board ? (g_str_equal(b->name, cmdline.target->default_board) ? " (default)" : "")
               : b->is_default ? " (default)" : "");
        if (b->alias) {
            printf("%-20s (alias of %s)\n", b->alias, b->name);
        }
    }
}

static bool set_accel(const char *text)
{
    cmdline.accel = text;
    return true;
}

static bool set_smm(const char *text, GError **error)
{
    if (!text) {
        return true;
    }
    if (!g_str_equal(text, "on") && !g_str_equal(text, "off") && !g_str_equal(text, "auto")) {
        return option_fail(error, "-machine smm=%s: there are on, off and auto", text);
    }
    cmdline.smm = g_strdup(text);
    return true;
}

bool opt_machine(const char *arg, GError **error)
{
    g_autoptr(Options) o = options_parse(arg, "type", error);
    const char *name, *engine, *chips;

    if (!o) {
        return false;
    }
    name = options_get(o, "type");
    if (name && (g_str_equal(name, "help") || g_str_equal(name, "?"))) {
        print_machines();
        exit(0);
    }
    if (name) {
        cmdline.machine = g_strdup(name);
    }
    engine = options_get(o, "accel");
    if (engine) {
        set_accel(g_strdup(engine));
    }
    if (!options_get_bool(o, "usb", &machine_config.usb, error) ||
        !options_get_bool(o, "vmport", &machine_config.vmport, error) ||
        !options_get_bool(o, "hpet", &machine_config.hpet, error) ||
        !options_get_bool(o, "acpi", &machine_config.acpi, error) ||
        !options_get_bool(o, "x-vof", &machine_config.own_firmware, error)) {
        return false;
    }
    machine_config.ic_mode = g_strdup(options_get(o, "ic-mode"));
    machine_config.resize_hpt = g_strdup(options_get(o, "resize-hpt"));
    machine_config.cpu_compat = g_strdup(options_get(o, "max-cpu-compat"));
    machine_config.dump_dtb = g_strdup(options_get(o, "dumpdtb"));
    machine_config.pflash[0] = g_strdup(options_get(o, "pflash0"));
    machine_config.pflash[1] = g_strdup(options_get(o, "pflash1"));
    chips = options_get(o, "kernel_irqchip");
    chips = chips ? chips : options_get(o, "kernel-irqchip");
    if (chips) {
        machine_config.kernel_irqchip = g_strdup(chips);
    }
    machine_config.via = g_strdup(options_get(o, "via"));
    machine_config.audiodev = g_strdup(options_get(o, "audiodev"));
    options_get(o, "graphics");
    options_get(o, "dump-guest-core");
    options_get(o, "mem-merge");
    if (!set_smm(options_get(o, "smm"), error)) {
        return false;
    }
    options_get(o, "pcspk-audiodev");
    options_get(o, "hmat");
    return capabilities_check(o, error) && options_check_unknown(o, "-machine", error);
}

bool opt_cpu(const char *arg, GError **error)
{
    if (option_asks_help(arg)) {
        g_autoptr(GString) text = g_string_new(NULL);

        cmdline.target->cpu_type->list_models(text);
        fputs(text->str, stdout);
        exit(0);
    }
    machine_config.cpu_model = g_strdup(arg);
    return true;
}

bool opt_accel(const char *arg, GError **error)
{
    static bool given;

    if (option_asks_help(arg)) {
        printf("Accelerators:\n");
        for (int i = 0; accel_types[i]; i++) {
            g_autofree char *why = NULL;
            bool works = !accel_types[i]->available || accel_types[i]->available(&why);

            printf("%-6s %s%s%s\n", accel_types[i]->name, accel_types[i]->about,
                   works ? "" : ": not here: ", works || !why ? "" : why);
        }
        exit(0);
    }
    if (g_str_equal(arg, "kvm")) {
        arg = "kvm:tcg"; /* the habit of years of scripts, also where there is none */
    }
    /* Repeated, these are alternatives in their order. */
    set_accel(given && cmdline.accel ? g_strconcat(cmdline.accel, ":", arg, NULL) : g_strdup(arg));
    given = true;
    return true;
}

bool opt_enable_kvm(const char *arg, GError **error)
{
    return set_accel("kvm:tcg");
}

bool opt_no_kvm(const char *arg, GError **error)
{
    option_hint("-no-kvm", "-accel tcg");
    return set_accel("tcg");
}

bool opt_smp(const char *arg, GError **error)
{
    g_autoptr(Options) o = options_parse(arg, "cpus", error);
    MachineConfig *m = &machine_config;
    int dies = 1;

    m->cpus = m->max_cpus = m->sockets = m->cores = m->threads = 0;
    if (!o || !options_get_int(o, "cpus", &m->cpus, error) ||
        !options_get_int(o, "maxcpus", &m->max_cpus, error) ||
        !options_get_int(o, "sockets", &m->sockets, error) ||
        !options_get_int(o, "dies", &dies, error) ||
        !options_get_int(o, "cores", &m->cores, error) ||
        !options_get_int(o, "threads", &m->threads, error) ||
        !options_check_unknown(o, "-smp", error)) {
        return false;
    }
    for (int i = 0; i < options_count(o); i++) {
        if (g_str_equal(options_value(o, i), "0")) {
            return option_fail(error, "-smp %s: %s=0 makes no machine", arg, options_key(o, i));
        }
    }
    if (m->cpus < 0 || m->cores < 0 || m->threads < 0 || m->sockets < 0 || m->cpus > 255 ||
        m->cores > 255 || m->threads > 255 || m->sockets > 255) {
        return option_fail(error, "-smp %s: from 1 to 255 CPUs", arg);
    }
    if (!m->cpus) {
        m->cpus = MAX(1, m->sockets) * MAX(1, m->cores) * MAX(1, m->threads);
    }
    m->threads = MAX(1, m->threads);
    if (!m->cores) {
        m->cores = m->sockets ? MAX(1, m->cpus / (m->sockets * m->threads)) : 1;
    }
    if (!m->sockets) {
        m->sockets = (m->cpus + m->cores * m->threads - 1) / (m->cores * m->threads);
    }
    if (!m->max_cpus) {
        m->max_cpus = m->cpus;
    }
    if (m->sockets * m->cores * m->threads < m->cpus || m->max_cpus < m->cpus) {
        return option_fail(error, "-smp %s: %d sockets of %d cores of %d threads are not %d CPUs", arg,
                    m->sockets, m->cores, m->threads, m->cpus);
    }
    return true;
}

bool opt_memory(const char *arg, GError **error)
{
    g_autoptr(Options) o = options_parse(arg, "size", error);
    const char *size;

    if (!o) {
        return false;
    }
    size = options_get(o, "size");
    options_get(o, "slots");
    options_get(o, "maxmem");
    if (size && (!parse_size(size, 1 << 20, &machine_config.ram_size) || !machine_config.ram_size)) {
        return option_fail(error, "-m %s: not a size; as in 512 (MiB) or 2G", size);
    }
    if (machine_config.ram_size > MAX_RAM) {
        return option_fail(error, "-m %s: more than the %d GiB that a machine can have", size, (int)(MAX_RAM >> 30));
    }
    return options_check_unknown(o, "-m", error);
}

bool opt_name(const char *arg, GError **error)
{
    g_autoptr(Options) o = options_parse(arg, "guest", error);

    if (!o) {
        return false;
    }
    options_get(o, "process");
    options_get(o, "debug-threads");
    machine_config.name = g_strdup(options_get(o, "guest"));
    return options_check_unknown(o, "-name", error);
}

bool opt_uuid(const char *arg, GError **error)
{
    g_autofree char *digits = g_strdup(arg);
    char *to = digits;

    for (const char *from = arg; *from; from++) {
        if (*from != '-') {
            *to++ = *from;
        }
    }
    *to = 0;
    for (int i = 0; i < 32; i++) {
        if (strlen(digits) != 32 || !g_ascii_isxdigit(digits[i])) {
            return option_fail(error, "-uuid %s: not 32 hexadecimal digits", arg);
        }
    }
    for (int i = 0; i < 16; i++) {
        machine_config.uuid[i] =
            g_ascii_xdigit_value(digits[2 * i]) << 4 | g_ascii_xdigit_value(digits[2 * i + 1]);
    }
    return true;
}

bool opt_vga(const char *arg, GError **error)
{
    if (option_asks_help(arg)) {
        printf("none                 no display adapter\nstd                  standard VGA (default)\n");
        exit(0);
    }
    machine_config.vga = g_strdup(arg);
    return true;
}

/* "TYPE.prop=value"; a type that is not there is somebody else's machine, and only worth a word. */
bool opt_global(const char *arg, GError **error)
{
    const char *dot = strchr(arg, '.'), *equals = strchr(arg, '=');
    g_autofree char *type = NULL, *name = NULL;

    if (!dot || !equals || equals < dot) {
        return option_fail(error, "-global %s: not TYPE.property=value", arg);
    }
    type = g_strndup(arg, dot - arg);
    name = g_strndup(dot + 1, equals - dot - 1);
    if (device_type_find(type)) {
        device_add_default(device_type_find(type), name, equals + 1);
    } else {
        log_warn("-global %s: there is no device type '%s'", arg, type);
    }
    return true;
}

/* WIDTHxHEIGHT[xDEPTH], as the firmware of a Macintosh shall set its screen up. */
bool opt_screen(const char *arg, GError **error)
{
    MachineConfig *m = &machine_config;
    char rest;
    int n = sscanf(arg, "%dx%dx%d%c", &m->width, &m->height, &m->depth, &rest);

    if (n == 2 && sscanf(arg, "%dx%d%c", &m->width, &m->height, &rest) == 2) {
        m->depth = 32;
    } else if (n != 3) {
        return option_fail(error, "-g %s: not WIDTHxHEIGHT or WIDTHxHEIGHTxDEPTH", arg);
    }
    if (m->width < 8 || m->width > 2560 || m->height < 8 || m->height > 1600) {
        return option_fail(error, "-g %s: from 8x8 to 2560x1600", arg);
    }
    if (m->depth != 8 && m->depth != 15 && m->depth != 16 && m->depth != 24 && m->depth != 32) {
        return option_fail(error, "-g %s: the depth is 8, 15, 16, 24 or 32", arg);
    }
    return true;
}

bool opt_prom_env(const char *arg, GError **error)
{
    if (!strchr(arg, '=')) {
        return option_fail(error, "-prom-env %s: not NAME=VALUE", arg);
    }
    if (!machine_config.prom_env) {
        machine_config.prom_env = g_ptr_array_new();
    }
    g_ptr_array_add(machine_config.prom_env, g_strdup(arg));
    return true;
}

bool opt_boot(const char *arg, GError **error)
{
    g_autoptr(Options) o = options_parse(arg, "order", error);
    MachineConfig *m = &machine_config;
    const char *orders[2];

    if (!o) {
        return false;
    }
    orders[0] = options_get(o, "order");
    orders[1] = options_get(o, "once");
    for (int i = 0; i < 2; i++) {
        for (const char *c = orders[i]; c && *c; c++) {
            if (!strchr("abcdnp", *c)) {
                return option_fail(error, "-boot %s: '%c' is not a drive (a b floppies, c disk, d CD, n network)",
                            arg, *c);
            }
        }
    }
    if (orders[0]) {
        m->boot_order = g_strdup(orders[0]);
    }
    m->boot_once = g_strdup(orders[1]);
    options_get(o, "splash");
    options_get(o, "splash-time");
    return options_get_bool(o, "menu", &m->boot_menu, error) &&
           options_get_bool(o, "strict", &m->boot_strict, error) &&
           options_get_int(o, "reboot-timeout", &m->reboot_timeout_ms, error) &&
           options_check_unknown(o, "-boot", error);
}
