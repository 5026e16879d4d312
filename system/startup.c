/* Builds the machine that the command line describes, in the order that its parts need. */
#include "system/startup.h"

#include "accel/accel.h"
#include "backends/audio.h"
#include "backends/char.h"
#include "backends/net.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/device.h"
#include "core/mainloop.h"
#include "core/memory.h"
#include "core/object.h"
#include "system/cmdline.h"
#include "system/monitors.h"
#include "system/old-usb.h"
#include "system/targets.h"
#include "ui/ui.h"
#include "util/error.h"
#include "util/log.h"
#include "util/options.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- names to objects, for device properties ---- */

static void *not_found(const char *what, const char *id, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "there is no %s '%s'", what, id);
    return NULL;
}

static void *resolve_char(const char *id, GError **error)
{
    CharBackend *chr = char_find(id);

    return chr ? chr : not_found("character device", id, error);
}

static void *resolve_drive(const char *id, GError **error)
{
    return block_find_or_attach(id, error);
}

static void *resolve_netdev(const char *id, GError **error)
{
    NetBackend *net = net_find(id);

    return net ? net : not_found("network backend", id, error);
}

/* ---- the board ---- */

/* How much of the wanted name is a beginning that stands for the board; 0: none. */
static size_t version_match(const BoardType *b, const char *wanted)
{
    g_autofree char *plain = g_strconcat(b->name, "-", NULL);

    if (b->versions && g_str_has_prefix(wanted, b->versions)) {
        return strlen(b->versions);
    }
    return g_str_has_prefix(wanted, plain) ? strlen(plain) : 0;
}

const BoardType *startup_find_board(const char *name)
{
    const char *wanted = name ? name : cmdline.target->default_board;
    const BoardType *best = NULL;
    size_t best_match = 0;

    for (int i = 0; board_types[i]; i++) {
        const BoardType *b = board_types[i];
        size_t match = wanted ? version_match(b, wanted) : 0;

        if (!system_target_offers(cmdline.target, b)) {
            continue;
        }
        if (wanted ? g_str_equal(b->name, wanted) || (b->alias && g_str_equal(b->alias, wanted)) : b->is_default) {
            return b;
        }
        if (match > best_match) {
            best = b;
            best_match = match;
        }
    }
    return best;
}

static const char *default_cpu(const BoardType *board)
{
    if (cmdline.target->default_cpu) {
        return cmdline.target->default_cpu;
    }
    return board->cpu_default_64 && g_str_has_suffix(cmdline.target->name, "64") ? board->cpu_default_64 : board->cpu_default;
}

static const BoardType *choose_board(GError **error)
{
    const BoardType *best = startup_find_board(cmdline.machine);

    if (!best) {
        const char *wanted = cmdline.machine ? cmdline.machine : cmdline.target->default_board;
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        g_autofree char *hint = NULL;

        for (int i = 0; board_types[i]; i++) {
            if (system_target_offers(cmdline.target, board_types[i])) {
                g_ptr_array_add(names, (gpointer)board_types[i]->name);
            }
        }
        g_ptr_array_add(names, NULL);
        hint = options_hint(wanted, (const char *const *)names->pdata);
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "no machine type '%s'%s; -M help lists them", wanted ? wanted : "default",
                    hint);
    }
    return best;
}

/* Not every engine has system management mode; firmware does without where it is not asked for. */
static bool choose_smm(GError **error)
{
    bool wanted = cmdline.smm && g_str_equal(cmdline.smm, "on");

    if (wanted && !accel->smm) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-machine smm=on: %s has no system management mode; -accel tcg has",
                    accel->name);
        return false;
    }
    machine_config.smm = wanted;
    return true;
}

static bool build_board(GError **error)
{
    const BoardType *board = choose_board(error);
    MachineConfig *m = &machine_config;

    if (!board) {
        return false;
    }
    machine_board = board;
    if (!m->cpu_model) {
        m->cpu_model = default_cpu(board);
    }
    if (!m->ram_size) {
        m->ram_size = board->ram_default;
    }
    if (m->cpus > board->max_cpus) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "machine '%s' has at most %d CPU%s, not %d", board->name,
                    board->max_cpus, board->max_cpus == 1 ? "" : "s", m->cpus);
        return false;
    }
    if (m->via && !board->has_via) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-machine via=%s: machine '%s' has no such part", m->via, board->name);
        return false;
    }
    if (m->audiodev && !board->has_sound) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-machine audiodev=%s: machine '%s' has no sound of its own", m->audiodev,
                    board->name);
        return false;
    }
    if ((m->prom_env || m->width) && !board->has_settings) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: machine '%s' has no firmware that takes it",
                    m->prom_env ? "-prom-env" : "-g", board->name);
        return false;
    }
    if (m->dtb && !board->takes_tree) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-dtb: machine '%s' makes its own tables", board->name);
        return false;
    }
    return choose_smm(error) && board->build(board, error);
}

/* ---- devices ---- */

static Bus *find_bus(const DeviceType *type, const char *name, GError **error)
{
    Bus *bus = name ? bus_find(name) : bus_find_kind(type->bus);

    if (!bus) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, name ? "device '%s': no bus '%s'"
                                                         : "device '%s': this machine has no %s bus",
                    type->name, name ? name : type->bus);
        return NULL;
    }
    if (!g_str_equal(bus->kind, type->bus)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "device '%s' does not fit bus '%s' (%s)",
                    type->name, bus->name, bus->kind);
        return NULL;
    }
    return bus;
}

Device *startup_add_device(const char *text, bool hotplug, GError **error)
{
    g_autoptr(Options) o = options_parse(text, "driver", error);
    const char *name = o ? options_get(o, "driver") : NULL, *id, *bus_name;
    const DeviceType *type = name ? device_type_find(name) : NULL;
    Device *dev;
    Bus *bus = NULL;

    if (!o) {
        return NULL;
    }
    if (!type || !type->user) {
        GPtrArray *names = g_ptr_array_new();
        g_autofree char *hint = NULL;

        for (int i = 0; device_types[i]; i++) {
            if (device_types[i]->user) {
                g_ptr_array_add(names, (gpointer)device_types[i]->name);
            }
        }
        g_ptr_array_add(names, NULL);
        hint = options_hint(name ? name : "", (const char *const *)names->pdata);
        g_ptr_array_free(names, TRUE);
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "no device type '%s'%s; -device help lists them",
                    name ? name : "", hint);
        return NULL;
    }
    if (hotplug && !type->hotplug) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "device '%s' cannot be plugged into a running machine", type->name);
        return NULL;
    }
    id = options_get(o, "id");
    bus_name = options_get(o, "bus");
    if (id && device_find(id)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "two devices have the id '%s'", id);
        return NULL;
    }
    if (type->bus && !g_str_equal(type->bus, "system") && !(bus = find_bus(type, bus_name, error))) {
        return NULL;
    }
    if (hotplug && bus && g_str_equal(bus->kind, "pci") && !bus->plugged) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "bus '%s' takes nothing while the machine runs",
                    bus->name);
        return NULL;
    }
    dev = device_new(type, id);
    if (!options_get_int(o, "bootindex", &dev->bootindex, error)) {
        device_free(dev);
        return NULL;
    }
    for (int i = 0; i < options_count(o); i++) {
        const char *key = options_key(o, i);

        if (!g_str_equal(key, "driver") && !g_str_equal(key, "id") && !g_str_equal(key, "bus") &&
            !g_str_equal(key, "bootindex") &&
            !device_set_property(dev, key, options_value(o, i), error)) {
            device_free(dev);
            return NULL;
        }
    }
    if (!device_realize(dev, bus, error)) {
        device_free(dev);
        return NULL;
    }
    if (hotplug) {
        device_reset(dev);
        if (bus && bus->plugged) {
            bus->plugged(dev);
        }
    }
    return dev;
}

static bool add_if_there(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool add_if_there(GError **error, const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    return startup_add_device(text, false, error) != NULL;
}

/* "-serial X" as the n-th port: its character device is called serialN. */
static bool open_ports(GPtrArray *specs, const char *what, GError **error)
{
    for (guint i = 0; i < specs->len; i++) {
        const char *spec = g_ptr_array_index(specs, i);
        g_autofree char *id = g_strdup_printf("%s%u", what, i);

        if (!g_str_equal(spec, "none") && !char_new(id, spec, error)) {
            g_prefix_error(error, "-%s %s: ", what, spec);
            return false;
        }
    }
    return true;
}

/* Boards with ports of their own have taken these. */
static bool create_ports(GPtrArray *specs, const char *what, GError **error)
{
    for (guint i = 0; i < specs->len; i++) {
        g_autofree char *id = g_strdup_printf("%s%u", what, i);
        const char *spec = g_ptr_array_index(specs, i);

        if (!g_str_equal(spec, "none") && !add_if_there(error, "isa-%s,index=%u,chardev=%s", what, i, id)) {
            return false;
        }
    }
    return true;
}

static bool create_display(GError **error)
{
    const char *vga = machine_config.vga;
    static const char *const kinds[] = { "none", "std", NULL };
    Bus *pci = bus_find_kind("pci");

    if (!vga) {
        vga = machine_config.default_devices && !machine_board->headless ? "std" : "none";
    }
    if (g_str_equal(vga, "none")) {
        return true;
    }
    if (!g_str_equal(vga, "std")) {
        if (g_str_equal(vga, "cirrus") || g_str_equal(vga, "vmware") || g_str_equal(vga, "qxl") ||
            g_str_equal(vga, "virtio")) {
            log_warn("-vga %s: that card is not there yet, the standard VGA takes its place", vga);
        } else {
            g_autofree char *hint = options_hint(vga, kinds);

            g_set_error(error, VM_ERROR, VM_ERROR_USER, "no display adapter '%s'%s; there are: std, none",
                        vga, hint);
            return false;
        }
    }
    return add_if_there(error, pci ? "VGA" : "isa-vga");
}

static bool create_debugcon(GError **error)
{
    if (!cmdline.debugcon) {
        return true;
    }
    return char_new("debugcon", cmdline.debugcon, error) &&
           add_if_there(error, "isa-debugcon,iobase=0xe9,chardev=debugcon");
}

static bool create_devices(GError **error)
{
    if (!create_display(error) || (!machine_board->own_serials && !create_ports(cmdline.serials, "serial", error)) ||
        !create_ports(cmdline.parallels, "parallel", error) || !create_debugcon(error) ||
        !nics_create(error) || !old_usb_create(error)) {
        return false;
    }
    for (guint i = 0; i < cmdline.devices->len; i++) {
        const char *text = g_ptr_array_index(cmdline.devices, i);

        if (!startup_add_device(text, false, error)) {
            g_prefix_error(error, "-device %s: ", text);
            return false;
        }
    }
    net_check_unused();
    return true;
}

/* ---- backends, clock, process ---- */

static bool open_backends(GError **error)
{
    if (!objects_create(cmdline.objects, false, error)) {
        return false;
    }
    for (guint i = 0; i < cmdline.audiodevs->len; i++) {
        if (!audio_new_options(g_ptr_array_index(cmdline.audiodevs, i), error)) {
            return false;
        }
    }
    for (guint i = 0; i < cmdline.chardevs->len; i++) {
        if (!char_new_options(g_ptr_array_index(cmdline.chardevs, i), error)) {
            return false;
        }
    }
    for (guint i = 0; i < cmdline.netdevs->len; i++) {
        if (!net_new(g_ptr_array_index(cmdline.netdevs, i), error)) {
            return false;
        }
    }
    return objects_create(cmdline.objects, true, error) && drives_open(error);
}

static bool set_clock(GError **error)
{
    const char *base = cmdline.rtc_base;
    g_autoptr(GDateTime) now = g_date_time_new_now_local();

    if (!base || g_str_equal(base, "utc")) {
        clock_set_base(g_date_time_to_unix(now));
    } else if (g_str_equal(base, "localtime")) {
        clock_set_base(g_date_time_to_unix(now) + g_date_time_get_utc_offset(now) / G_USEC_PER_SEC);
    } else {
        g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
        g_autoptr(GDateTime) date = g_date_time_new_from_iso8601(base, utc);
        g_autofree char *midnight = g_strconcat(base, "T00:00:00", NULL);

        if (!date) {
            date = g_date_time_new_from_iso8601(midnight, utc);
        }
        if (!date) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER,
                        "-rtc base=%s: not utc, localtime or a date as 2006-06-17T16:01:21", base);
            return false;
        }
        clock_set_base(g_date_time_to_unix(date));
    }
    return true;
}

static void apply_nographic(void)
{
    bool default_monitor = !cmdline.monitors->len && !cmdline.mons->len && !cmdline.qmps->len;

    if (!machine_config.default_devices) {
        return;
    }
    if (machine_config.nographic) {
        cmdline.display = "none";
        if (!cmdline.serials->len) {
            g_ptr_array_add(cmdline.serials, g_strdup(default_monitor ? "mon:stdio" : "stdio"));
        } else if (default_monitor) {
            g_ptr_array_add(cmdline.monitors, g_strdup("stdio"));
        }
    } else {
        if (!cmdline.serials->len) {
            g_ptr_array_add(cmdline.serials, g_strdup("vc"));
        }
        if (default_monitor) {
            g_ptr_array_add(cmdline.monitors, g_strdup("vc"));
        }
    }
}

static gboolean on_signal(gpointer opaque)
{
    machine_request_shutdown(SHUTDOWN_HOST);
    return G_SOURCE_CONTINUE;
}

static void quit_from_mux(void)
{
    machine_request_shutdown(SHUTDOWN_HOST);
}

static bool write_pidfile(GError **error)
{
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());

    if (cmdline.pidfile && !g_file_set_contents(cmdline.pidfile, text, -1, error)) {
        g_prefix_error(error, "-pidfile %s: ", cmdline.pidfile);
        return false;
    }
    return true;
}

static bool set_logging(GError **error)
{
    if (cmdline.log_items && (g_str_equal(cmdline.log_items, "help") || g_str_equal(cmdline.log_items, "?"))) {
        log_print_items();
        exit(0);
    }
    return (!cmdline.log_file || log_set_file(cmdline.log_file, error)) &&
           (!cmdline.log_items || log_set_mask(cmdline.log_items, error));
}

/* A window that cannot open is said before anything is made; without one, something else must serve. */
static bool check_window(GError **error)
{
    bool reachable = cmdline.serials->len || cmdline.monitors->len || cmdline.mons->len ||
                     cmdline.qmps->len || cmdline.gdbs->len || cmdline.chardevs->len || cmdline.debugcon ||
                     cmdline.daemonize || !machine_config.default_devices;

    if (ui_have_display() || machine_config.nographic ||
        (cmdline.display ? g_str_equal(cmdline.display, "none") : reachable)) {
        return true;
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER,
                "no display to open a window on (DISPLAY is not set); -nographic or -display none do without");
    return false;
}

static int background_pipe = -1; /* tells the waiting parent that the machine runs */

/* The parent leaves once the machine runs: with the status that start-up had. */
static bool go_to_background(GError **error)
{
    int fd[2];
    char done = 0;
    pid_t child;

    if (machine_config.nographic) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "-nographic needs the terminal that -daemonize leaves; -display none does not");
        return false;
    }
    if (!g_unix_open_pipe(fd, FD_CLOEXEC, error)) {
        return false;
    }
    child = fork();
    if (child < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot go to the background: %s", g_strerror(errno));
        return false;
    }
    if (child) {
        close(fd[1]);
        _exit(read(fd[0], &done, 1) == 1 ? 0 : 1);
    }
    close(fd[0]);
    setsid();
    background_pipe = fd[1];
    return true;
}

static void report_background(void)
{
    int null;

    if (background_pipe < 0) {
        return;
    }
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        for (int i = 0; i < 3; i++) {
            dup2(null, i);
        }
        close(null);
    }
    if (write(background_pipe, "", 1) != 1) {
        log_warn("nobody waits for the machine to start");
    }
    close(background_pipe);
    background_pipe = -1;
}

static bool start_cpus(GError **error)
{
    for (int i = 0; i < cpu_count(); i++) {
        if (!accel->start_cpu(cpu_get(i), error)) {
            return false;
        }
    }
    return true;
}

bool startup(GError **error)
{
    if (!set_logging(error)) {
        return false;
    }
    signal(SIGPIPE, SIG_IGN);
    objects_init();
    if (!check_window(error) || (cmdline.daemonize && !go_to_background(error))) {
        return false;
    }
    g_unix_signal_add(SIGTERM, on_signal, NULL);
    g_unix_signal_add(SIGINT, on_signal, NULL);
    g_unix_signal_add(SIGHUP, on_signal, NULL);
    char_set_mux_quit(quit_from_mux);
    device_set_resolver(PROP_CHAR, resolve_char);
    device_set_resolver(PROP_DRIVE, resolve_drive);
    device_set_resolver(PROP_NETDEV, resolve_netdev);
    apply_nographic();
    memory_init();
    if (ui_wants_window(cmdline.display)) {
        vc_init();
    }
    if (!set_clock(error) || !open_backends(error) || !open_ports(cmdline.serials, "serial", error) ||
        !open_ports(cmdline.parallels, "parallel", error) || !accel_init(cmdline.accel, error) ||
        !build_board(error) || !drives_add_devices(error) || !create_devices(error) || !drives_check(error) || !write_pidfile(error)) {
        return false;
    }
    if (!start_cpus(error)) {
        return false;
    }
    if (!monitors_start(error)) {
        return false;
    }
    machine_reset();
    if (!ui_start(cmdline.display, cmdline.full_screen, machine_config.name, error)) {
        return false;
    }
    if (!cmdline.stopped) {
        machine_continue();
    }
    report_background();
    return true;
}

void shutdown_all(void)
{
    machine_stop(RUN_SHUTDOWN);
    audio_cleanup();
    ui_stop();
    block_close_all();
    net_close_all();
    char_free_all();
    object_free_all();
    if (cmdline.pidfile) {
        unlink(cmdline.pidfile);
    }
}
