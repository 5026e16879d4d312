/*
 * The gdb server: its connection, and how the machine stops and goes on for gdb. Each vCPU is a
 * thread; all of them stop and go together.
 */
#include "system/gdbstub.h"

#include "core/machine.h"
#include "core/mainloop.h"
#include "target/guest.h"
#include "util/error.h"

#include <string.h>

GdbServer gdb;

enum { SIGNAL_INT = 2, SIGNAL_TRAP = 5 };

/* Stops that CPUs have come to and gdb has not heard of. */
typedef struct Stop {
    int cpu;
    DebugStop why;
    VirtAddr addr;
} Stop;

static GQueue stops = G_QUEUE_INIT;
static Stop last;          /* what the stop reply tells of */
static bool last_is_debug; /* or gdb, or somebody else, stopped the machine */

void gdb_on_cpu(Cpu *cpu, void (*fn)(Cpu *cpu, void *data), void *data)
{
    if (accel->run_on_cpu) {
        accel->run_on_cpu(cpu, fn, data);
    } else {
        fn(cpu, data);
    }
}

char *gdb_stop_reply(void)
{
    GString *reply = g_string_new(NULL);
    int cpu = last_is_debug ? last.cpu : gdb.current;

    g_string_append_printf(reply, "T%02xthread:%02x;", last_is_debug ? SIGNAL_TRAP : SIGNAL_INT,
                           cpu + 1);
    if (last_is_debug) {
        switch (last.why) {
        case DEBUG_WATCH_WRITE:
            g_string_append_printf(reply, "watch:%" G_GINT64_MODIFIER "x;", last.addr);
            break;
        case DEBUG_WATCH_READ:
            g_string_append_printf(reply, "rwatch:%" G_GINT64_MODIFIER "x;", last.addr);
            break;
        case DEBUG_WATCH_ACCESS:
            g_string_append_printf(reply, "awatch:%" G_GINT64_MODIFIER "x;", last.addr);
            break;
        default:
            break;
        }
    }
    return g_string_free(reply, FALSE);
}

static void end_step(void)
{
    if (gdb.stepping) {
        accel->set_single_step(gdb.stepping, false);
        gdb.stepping = NULL;
    }
}

static void read_pc(Cpu *cpu, void *data)
{
    *(VirtAddr *)data = guest_ops(cpu)->get_pc(cpu);
}

/* A breakpoint that a second CPU ran into may be gone by the time that gdb can be told. */
static bool still_counts(const Stop *stop)
{
    VirtAddr pc = 0;

    if (stop->why != DEBUG_BREAKPOINT) {
        return stop->why != DEBUG_STEP;
    }
    gdb_on_cpu(cpu_get(stop->cpu), read_pc, &pc);
    return pc == stop->addr && gdb_has_breakpoint(pc);
}

/* Takes the next stop that gdb should hear of. */
static bool take_stop(bool fresh)
{
    Stop *stop;

    while ((stop = g_queue_pop_head(&stops))) {
        bool good = fresh || still_counts(stop);

        last = *stop;
        g_free(stop);
        if (good) {
            last_is_debug = true;
            gdb.current = last.cpu;
            return true;
        }
    }
    return false;
}

static void tell_stop(void)
{
    g_autofree char *reply = NULL;

    end_step();
    if (gdb.running) {
        gdb.running = false;
        reply = gdb_stop_reply();
        gdb_send(&gdb.link, reply);
    }
}

static void on_state(void *opaque, RunState state)
{
    if (state == RUN_RUNNING || state == RUN_PRELAUNCH) {
        return;
    }
    last_is_debug = false;
    if (state == RUN_DEBUG) {
        take_stop(true);
    }
    tell_stop();
}

static void stop_machine(void *opaque)
{
    if (machine_state() == RUN_RUNNING) {
        machine_stop(RUN_DEBUG);
    }
}

/* In the thread of a CPU, which stands from here on. */
static void on_debug_stop(Cpu *cpu, DebugStop why, VirtAddr addr)
{
    Stop *stop;

    /* The engine has the breakpoints of the guest's own debug registers, too. */
    if (why == DEBUG_BREAKPOINT && !gdb_has_breakpoint(addr)) {
        if (machine_state() == RUN_RUNNING) {
            accel_resume_all();
        }
        return;
    }
    stop = g_new(Stop, 1);
    *stop = (Stop){ cpu->index, why, addr };
    g_queue_push_tail(&stops, stop);
    main_loop_call(stop_machine, NULL);
}

void gdb_interrupt(void)
{
    if (machine_state() == RUN_RUNNING) {
        machine_stop(RUN_PAUSED);
    } else {
        tell_stop();
    }
}

void gdb_resume(Cpu *step)
{
    gdb.running = true;
    if (!step && take_stop(false)) {
        tell_stop();
        return;
    }
    if (machine_state() == RUN_SHUTDOWN || machine_state() == RUN_GUEST_PANICKED) {
        tell_stop(); /* only a reset helps */
        return;
    }
    gdb.stepping = step;
    if (step) {
        accel->set_single_step(step, true);
    }
    machine_continue();
}

static void forget_stops(void)
{
    Stop *stop;

    while ((stop = g_queue_pop_head(&stops))) {
        g_free(stop);
    }
}

void gdb_detach(void)
{
    gdb_remove_all();
    end_step();
    forget_stops();
    gdb.running = false;
    if (gdb.attached && machine_state() != RUN_SHUTDOWN && machine_state() != RUN_GUEST_PANICKED) {
        machine_continue();
    }
    gdb.attached = false;
}

/* ---- the connection ---- */

static size_t can_receive(void *opaque)
{
    return 4096;
}

static void receive(void *opaque, const uint8_t *data, size_t size)
{
    gdb_link_receive(&gdb.link, data, size);
}

static void event(void *opaque, CharEvent what)
{
    if (what == CHAR_BREAK) {
        gdb_interrupt();
        return;
    }
    /* Somebody new, or nobody; gdb wants to find the machine standing. */
    gdb_remove_all();
    end_step();
    gdb_link_reset(&gdb.link);
    gdb.running = gdb.physical = false;
    gdb.current = 0;
    gdb.attached = what == CHAR_OPENED;
    if (gdb.attached && machine_state() == RUN_RUNNING) {
        machine_stop(RUN_PAUSED);
    }
}

static const CharFrontend frontend = {
    .can_receive = can_receive,
    .receive = receive,
    .event = event,
};

static void on_shutdown(void *opaque, ShutdownCause cause)
{
    if (gdb.attached && gdb.running && !(machine_config.no_shutdown && cause != SHUTDOWN_HOST)) {
        gdb.running = false;
        gdb_send(&gdb.link, "W00");
    }
}

static void set_up(void)
{
    static bool done;

    if (!done) {
        done = true;
        machine_on_state(on_state, NULL);
        machine_on_shutdown(on_shutdown, NULL);
        accel_debug_stop_fn = on_debug_stop;
    }
}

/* A server unless the text says otherwise, and nobody waits for gdb. */
static char *complete_spec(const char *spec)
{
    bool socket = g_str_has_prefix(spec, "tcp:") || g_str_has_prefix(spec, "unix:") ||
                  g_str_has_prefix(spec, "telnet:");

    return g_strconcat(spec, socket && !strstr(spec, ",server") ? ",server=on" : "",
                       socket && !strstr(spec, "wait") ? ",wait=off" : "", NULL);
}

bool gdbstub_start(const char *spec, GError **error)
{
    static int count;
    g_autofree char *full = complete_spec(spec);
    g_autofree char *id = g_strdup_printf("gdb%d", count);
    CharBackend *chr;

    if (gdb.link.chr) {
        gdb_detach();
        char_detach(gdb.link.chr, &gdb);
        gdb.link.chr = NULL;
    }
    if (g_str_equal(spec, "none")) {
        return true;
    }
    chr = char_new(id, full, error);
    if (!chr) {
        return false;
    }
    count++;
    set_up();
    gdb_link_reset(&gdb.link);
    gdb.link.chr = chr;
    gdb.link.handle = gdb_handle_packet;
    gdb.link.interrupt = gdb_interrupt;
    return char_attach(chr, &frontend, &gdb, error);
}
