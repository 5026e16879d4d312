/* The command line, one function per option of options.def. */
#include "system/cmdline.h"

#include "accel/accel.h"
#include "backends/audio.h"
#include "backends/char.h"
#include "backends/fsdev.h"
#include "backends/net.h"
#include "config.h"
#include "core/device.h"
#include "core/incident.h"
#include "system/startup.h"
#include "system/targets.h"
#include "util/error.h"
#include "util/log.h"
#include "util/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A little less than the 40 address bits of the usual CPU models: devices need some too. */
#define MAX_RAM (1020ull << 30)

Cmdline cmdline;

typedef bool OptionFn(const char *arg, GError **error);

static bool fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool fail(GError **error, const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, VM_ERROR, VM_ERROR_USER, text);
    return false;
}

static void hint(const char *old, const char *modern)
{
    log_info("%s is an old spelling of %s, and goes on working", old, modern);
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

static bool opt_help(const char *arg, GError **error)
{
    print_options();
    exit(0);
}

static bool opt_version(const char *arg, GError **error)
{
    printf("Myna emulator version " MYNA_VERSION "\n");
    exit(0);
}

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

static void print_devices(void)
{
    for (int i = 0; device_types[i]; i++) {
        const DeviceType *t = device_types[i];

        if (t->user) {
            printf("name \"%s\", bus %s%s%s%s, desc \"%s\"\n", t->name, t->bus,
                   t->alias ? ", alias \"" : "", t->alias ? t->alias : "", t->alias ? "\"" : "",
                   t->about);
        }
    }
}

/* ---- machine ---- */

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
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-machine smm=%s: there are on, off and auto", text);
        return false;
    }
    cmdline.smm = g_strdup(text);
    return true;
}

static bool opt_machine(const char *arg, GError **error)
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

static bool opt_cpu(const char *arg, GError **error)
{
    if (g_str_equal(arg, "help") || g_str_equal(arg, "?")) {
        g_autoptr(GString) text = g_string_new(NULL);

        cmdline.target->cpu_type->list_models(text);
        fputs(text->str, stdout);
        exit(0);
    }
    machine_config.cpu_model = g_strdup(arg);
    return true;
}

static bool opt_accel(const char *arg, GError **error)
{
    static bool given;

    if (g_str_equal(arg, "help") || g_str_equal(arg, "?")) {
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

static bool opt_enable_kvm(const char *arg, GError **error)
{
    return set_accel("kvm:tcg");
}

static bool opt_no_kvm(const char *arg, GError **error)
{
    hint("-no-kvm", "-accel tcg");
    return set_accel("tcg");
}

static bool opt_smp(const char *arg, GError **error)
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
            return fail(error, "-smp %s: %s=0 makes no machine", arg, options_key(o, i));
        }
    }
    if (m->cpus < 0 || m->cores < 0 || m->threads < 0 || m->sockets < 0 || m->cpus > 255 ||
        m->cores > 255 || m->threads > 255 || m->sockets > 255) {
        return fail(error, "-smp %s: from 1 to 255 CPUs", arg);
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
        return fail(error, "-smp %s: %d sockets of %d cores of %d threads are not %d CPUs", arg,
                    m->sockets, m->cores, m->threads, m->cpus);
    }
    return true;
}

static bool opt_memory(const char *arg, GError **error)
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
        return fail(error, "-m %s: not a size; as in 512 (MiB) or 2G", size);
    }
    if (machine_config.ram_size > MAX_RAM) {
        return fail(error, "-m %s: more than the %d GiB that a machine can have", size, (int)(MAX_RAM >> 30));
    }
    return options_check_unknown(o, "-m", error);
}

static bool opt_name(const char *arg, GError **error)
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

static bool opt_uuid(const char *arg, GError **error)
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
            return fail(error, "-uuid %s: not 32 hexadecimal digits", arg);
        }
    }
    for (int i = 0; i < 16; i++) {
        machine_config.uuid[i] =
            g_ascii_xdigit_value(digits[2 * i]) << 4 | g_ascii_xdigit_value(digits[2 * i + 1]);
    }
    return true;
}

#define STRING_OPTION(name, member)                      \
    static bool name(const char *arg, GError **error)    \
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
    static bool name(const char *arg, GError **error)    \
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

static bool asks_for_help(const char *arg)
{
    return g_str_equal(arg, "help") || g_str_equal(arg, "?");
}

static bool opt_netdev(const char *arg, GError **error)
{
    if (asks_for_help(arg)) {
        net_print_types();
        exit(0);
    }
    g_ptr_array_add(cmdline.netdevs, g_strdup(arg));
    return true;
}

static bool opt_object(const char *arg, GError **error)
{
    if (asks_for_help(arg)) {
        objects_print_types();
        exit(0);
    }
    g_ptr_array_add(cmdline.objects, g_strdup(arg));
    return true;
}

static bool opt_chardev(const char *arg, GError **error)
{
    if (asks_for_help(arg)) {
        printf("Available chardev backend types:\n");
        for (int i = 0; char_kinds[i]; i++) {
            printf("%s\n", char_kinds[i]);
        }
        exit(0);
    }
    g_ptr_array_add(cmdline.chardevs, g_strdup(arg));
    return true;
}

static bool opt_audiodev(const char *arg, GError **error)
{
    if (asks_for_help(arg)) {
        audio_print_drivers();
        exit(0);
    }
    g_ptr_array_add(cmdline.audiodevs, g_strdup(arg));
    return true;
}

static bool opt_vga(const char *arg, GError **error)
{
    if (asks_for_help(arg)) {
        printf("none                 no display adapter\nstd                  standard VGA (default)\n");
        exit(0);
    }
    machine_config.vga = g_strdup(arg);
    return true;
}

/* "TYPE.prop=value"; a type that is not there is somebody else's machine, and only worth a word. */
static bool opt_global(const char *arg, GError **error)
{
    const char *dot = strchr(arg, '.'), *equals = strchr(arg, '=');
    g_autofree char *type = NULL, *name = NULL;

    if (!dot || !equals || equals < dot) {
        return fail(error, "-global %s: not TYPE.property=value", arg);
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
static bool opt_screen(const char *arg, GError **error)
{
    MachineConfig *m = &machine_config;
    char rest;
    int n = sscanf(arg, "%dx%dx%d%c", &m->width, &m->height, &m->depth, &rest);

    if (n == 2 && sscanf(arg, "%dx%d%c", &m->width, &m->height, &rest) == 2) {
        m->depth = 32;
    } else if (n != 3) {
        return fail(error, "-g %s: not WIDTHxHEIGHT or WIDTHxHEIGHTxDEPTH", arg);
    }
    if (m->width < 8 || m->width > 2560 || m->height < 8 || m->height > 1600) {
        return fail(error, "-g %s: from 8x8 to 2560x1600", arg);
    }
    if (m->depth != 8 && m->depth != 15 && m->depth != 16 && m->depth != 24 && m->depth != 32) {
        return fail(error, "-g %s: the depth is 8, 15, 16, 24 or 32", arg);
    }
    return true;
}

static bool opt_prom_env(const char *arg, GError **error)
{
    if (!strchr(arg, '=')) {
        return fail(error, "-prom-env %s: not NAME=VALUE", arg);
    }
    if (!machine_config.prom_env) {
        machine_config.prom_env = g_ptr_array_new();
    }
    g_ptr_array_add(machine_config.prom_env, g_strdup(arg));
    return true;
}

static bool opt_boot(const char *arg, GError **error)
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
                return fail(error, "-boot %s: '%c' is not a drive (a b floppies, c disk, d CD, n network)",
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

/* ---- drives ---- */

static bool opt_hda(const char *arg, GError **error)
{
    return drive_add(arg, "ide", 0, false, error);
}

static bool opt_hdb(const char *arg, GError **error)
{
    return drive_add(arg, "ide", 1, false, error);
}

static bool opt_hdc(const char *arg, GError **error)
{
    return drive_add(arg, "ide", 2, false, error);
}

static bool opt_hdd(const char *arg, GError **error)
{
    return drive_add(arg, "ide", 3, false, error);
}

static bool opt_cdrom(const char *arg, GError **error)
{
    return drive_add(arg, "ide", 2, true, error);
}

static bool opt_fda(const char *arg, GError **error)
{
    return drive_add(arg, "floppy", 0, false, error);
}

static bool opt_fdb(const char *arg, GError **error)
{
    return drive_add(arg, "floppy", 1, false, error);
}

static bool opt_drive(const char *arg, GError **error)
{
    return drive_add(arg, NULL, -1, false, error);
}

/* driver=raw,node-name=N,file.filename=F or driver=file,filename=F: a drive for -device. */
static bool opt_blockdev(const char *arg, GError **error)
{
    return blockdev_add(arg, error);
}

static bool opt_snapshot(const char *arg, GError **error)
{
    cmdline.snapshot = true;
    return true;
}

/* ---- devices ---- */

static bool opt_device(const char *arg, GError **error)
{
    if (g_str_equal(arg, "help") || g_str_equal(arg, "?")) {
        print_devices();
        exit(0);
    }
    if (g_str_has_suffix(arg, ",help") || g_str_has_suffix(arg, ",?")) {
        g_autofree char *name = g_strndup(arg, strcspn(arg, ","));
        const DeviceType *type = device_type_find(name);
        g_autofree char *text = NULL;

        if (!type) {
            return fail(error, "no device type '%s'; -device help lists them", name);
        }
        text = device_help(type);
        fputs(text, stdout);
        exit(0);
    }
    g_ptr_array_add(cmdline.devices, g_strdup(arg));
    return true;
}

static bool opt_fsdev(const char *arg, GError **error)
{
    if (fsdev_add(arg, error)) {
        return true;
    }
    g_prefix_error(error, "-fsdev %s: ", arg);
    return false;
}

static bool opt_virtfs(const char *arg, GError **error)
{
    char *device = fsdev_add_virtfs(arg, error);

    if (!device) {
        g_prefix_error(error, "-virtfs %s: ", arg);
        return false;
    }
    g_ptr_array_add(cmdline.devices, device);
    return true;
}

static bool opt_usb(const char *arg, GError **error)
{
    machine_config.usb = true;
    return true;
}

static bool opt_usbdevice(const char *arg, GError **error)
{
    hint("-usbdevice", "-device usb-");
    machine_config.usb = true;
    g_ptr_array_add(cmdline.usbdevices, g_strdup(arg));
    return true;
}

static bool opt_soundhw(const char *arg, GError **error)
{
    if (strcmp(arg, "ac97") == 0) {
        hint("-soundhw ac97", "-device AC97");
        g_ptr_array_add(cmdline.devices, g_strdup("AC97"));
    } else if (strcmp(arg, "hda") == 0) {
        hint("-soundhw hda", "-device intel-hda -device hda-duplex");
        g_ptr_array_add(cmdline.devices, g_strdup("intel-hda"));
        g_ptr_array_add(cmdline.devices, g_strdup("hda-duplex"));
    } else {
        log_warn("-soundhw %s: there are ac97 and hda; the guest stays silent", arg);
    }
    return true;
}

static bool opt_redir(const char *arg, GError **error)
{
    g_auto(GStrv) part = g_strsplit(arg, ":", 4);

    if (g_strv_length(part) != 4) {
        return fail(error, "-redir %s: needs tcp:HOSTPORT:[GUEST]:PORT", arg);
    }
    hint("-redir", "-nic user,hostfwd=");
    g_ptr_array_add(cmdline.legacy_net,
                    g_strdup_printf("redir,hostfwd=%s::%s-%s:%s", part[0], part[1], part[2], part[3]));
    return true;
}

/* ---- display ---- */

static bool opt_display(const char *arg, GError **error)
{
    /* Switches of other windows that need nothing here. */
    static const char *const harmless[] = { "gl", "grab-mod", "show-cursor", "window-close", "alt_grab",
                                            "ctrl_grab", "zoom-to-fit", "show-tabs", "show-menubar" };
    g_autoptr(Options) o = NULL;
    const char *type;

    if (g_str_equal(arg, "help") || g_str_equal(arg, "?")) {
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
        hint("-display gtk", "-display sdl");
        type = "sdl";
    }
    if (g_strcmp0(type, "sdl") != 0 && g_strcmp0(type, "none") != 0) {
        return fail(error, "no display '%s'; there are: sdl, none", arg);
    }
    cmdline.display = g_strdup(type);
    return options_get_bool(o, "full-screen", &cmdline.full_screen, error) &&
           options_check_unknown(o, "-display", error);
}

static bool opt_nographic(const char *arg, GError **error)
{
    machine_config.nographic = true;
    return true;
}

static bool opt_full_screen(const char *arg, GError **error)
{
    cmdline.full_screen = true;
    return true;
}

static bool opt_std_vga(const char *arg, GError **error)
{
    hint("-std-vga", "-vga std");
    machine_config.vga = "std";
    return true;
}

static bool opt_sdl(const char *arg, GError **error)
{
    hint("-sdl", "-display sdl");
    cmdline.display = "sdl";
    return true;
}

/* ---- clock and life ---- */

static bool opt_rtc(const char *arg, GError **error)
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

static bool opt_action(const char *arg, GError **error)
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

static bool opt_watchdog_action(const char *arg, GError **error)
{
    return incident_set_action("watchdog", arg, error);
}

static bool opt_watchdog(const char *arg, GError **error)
{
    hint("-watchdog", "-device ");
    g_ptr_array_add(cmdline.devices, g_strdup(arg));
    return true;
}

static bool opt_localtime(const char *arg, GError **error)
{
    hint("-localtime", "-rtc base=localtime");
    cmdline.rtc_base = "localtime";
    return true;
}

static bool opt_startdate(const char *arg, GError **error)
{
    hint("-startdate", "-rtc base=");
    cmdline.rtc_base = g_strdup(arg);
    return true;
}

#define SWITCH_OPTION(name, member, value)               \
    static bool name(const char *arg, GError **error)    \
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

static bool opt_no_acpi(const char *arg, GError **error)
{
    hint("-no-acpi", "-machine acpi=off");
    machine_config.acpi = false;
    return true;
}

static bool opt_no_hpet(const char *arg, GError **error)
{
    hint("-no-hpet", "-machine hpet=off");
    machine_config.hpet = false;
    return true;
}

static bool opt_gdb_default(const char *arg, GError **error)
{
    g_ptr_array_add(cmdline.gdbs, g_strdup("tcp::1234"));
    return true;
}

static bool opt_trace(const char *arg, GError **error)
{
    g_autoptr(Options) o = options_parse(arg, "enable", error);

    if (!o) {
        return false;
    }
    if (!options_get(o, "enable")) {
        return fail(error, "-trace %s: needs a pattern, as in 'irq_*'", arg);
    }
    trace_enable(options_get(o, "enable"));
    if (options_get(o, "file")) {
        cmdline.log_file = g_strdup(options_get(o, "file"));
    }
    return options_check_unknown(o, "-trace", error);
}

static bool opt_nothing(const char *arg, GError **error)
{
    return true;
}

/* ---- the parser ---- */

static bool opt_readconfig(const char *arg, GError **error);

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
                return fail(error, "-%s needs an argument: %s", name, options[i].arg);
            }
            *used = options[i].arg != NULL;
            return options[i].fn(options[i].arg ? arg : NULL, error);
        }
        names[i] = options[i].name;
    }
    {
        g_autofree char *near = options_hint(name, names);

        return fail(error, "no option '-%s'%s; -help lists them", name, near);
    }
}

/* An ini file: [device "id"] with key = "value" lines is -device key=value,...,id=id. */
static bool opt_readconfig(const char *arg, GError **error)
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
                return fail(error, "%s:%d: neither [section] nor key = \"value\"", arg, i + 1);
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
