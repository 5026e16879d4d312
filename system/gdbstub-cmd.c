/* gdb's requests: which packet means what, and those that run the machine. */
#include "system/gdbstub.h"

#include "core/machine.h"
#include "target/guest.h"

#include <string.h>

static void reply(const char *text)
{
    gdb_send(&gdb.link, text);
}

static void reply_result(GdbResult result)
{
    reply(result == GDB_OK ? "OK" : result == GDB_FAILED ? "E22" : "");
}

/* Threads are numbered from 1; 0 is any, -1 all. NULL for a wrong one. */
static Cpu *parse_thread(const char **text)
{
    uint64_t id;

    if (g_str_has_prefix(*text, "-1")) {
        *text += 2;
        return cpu_get(gdb.current);
    }
    if (!gdb_get_number(text, &id) || id > (uint64_t)cpu_count()) {
        return NULL;
    }
    return cpu_get(id ? (int)id - 1 : gdb.current);
}

typedef struct SetPc {
    VirtAddr pc;
} SetPc;

static void set_pc(Cpu *cpu, void *data)
{
    guest_ops(cpu)->set_pc(cpu, ((SetPc *)data)->pc);
}

/* c, s [addr]; C, S signal[;addr]: signals mean nothing to a machine. */
static void run(const char *text, bool step, bool with_signal)
{
    Cpu *cpu = cpu_get(gdb.current);
    SetPc where;

    if (with_signal) {
        text += strcspn(text, ";");
        text += *text == ';';
    }
    if (gdb_get_number(&text, &where.pc)) {
        gdb_on_cpu(cpu, set_pc, &where);
    }
    gdb_resume(step ? cpu : NULL);
}

/*
 * vCont;action[:thread]... All CPUs run whatever it says, as the machine is one; at most one of
 * them steps.
 */
static void run_threads(const char *text)
{
    Cpu *step = NULL;
    bool known = false;

    while (*text == ';') {
        char action = *++text;
        Cpu *cpu = cpu_get(gdb.current);

        text += *text != 0;
        if (g_ascii_tolower(action) != 'c' && g_ascii_tolower(action) != 's') {
            reply("E22");
            return;
        }
        text += strcspn(text, ":;");
        if (*text == ':') {
            text++;
            cpu = parse_thread(&text);
            if (!cpu) {
                reply("E22");
                return;
            }
        }
        if (!step && g_ascii_tolower(action) == 's') {
            step = cpu;
        }
        known = true;
    }
    if (known) {
        gdb_resume(step);
    } else {
        reply("E22");
    }
}

static void select_thread(const char *text)
{
    Cpu *cpu;

    if (*text != 'g' && *text != 'c') {
        reply("E22");
        return;
    }
    text++;
    cpu = parse_thread(&text);
    if (!cpu) {
        reply("E22");
        return;
    }
    gdb.current = cpu->index;
    reply("OK");
}

static void change_point(const char *text, GdbResult (*change)(int, VirtAddr, uint64_t))
{
    uint64_t type, addr, size;

    if (!gdb_get_number(&text, &type) || !gdb_get_after(&text, ',', &addr) ||
        !gdb_get_after(&text, ',', &size) || type > 100) {
        reply("E22");
        return;
    }
    reply_result(change(type, addr, size));
}

static void kill_machine(void)
{
    gdb.running = false;
    machine_request_shutdown(SHUTDOWN_HOST);
}

static void handle_v(const char *packet)
{
    if (g_str_equal(packet, "vCont?")) {
        reply("vCont;c;C;s;S");
    } else if (g_str_has_prefix(packet, "vCont;")) {
        run_threads(packet + strlen("vCont"));
    } else if (g_str_has_prefix(packet, "vKill")) {
        reply("OK");
        kill_machine();
    } else {
        reply(""); /* also to vMustReplyEmpty */
    }
}

void gdb_handle_packet(const char *packet, size_t size)
{
    const char *rest = packet + 1;

    if (!size) {
        reply("");
        return;
    }
    switch (*packet) {
    case '?': {
        g_autofree char *text = gdb_stop_reply();

        reply(text);
        break;
    }
    case 'c':
    case 's':
        run(rest, *packet == 's', false);
        break;
    case 'C':
    case 'S':
        run(rest, *packet == 'S', true);
        break;
    case 'D':
        reply("OK");
        gdb_detach();
        break;
    case 'g':
        gdb_read_registers();
        break;
    case 'G':
        gdb_write_registers(rest);
        break;
    case 'H':
        select_thread(rest);
        break;
    case 'k':
        kill_machine();
        break;
    case 'm':
        gdb_read_memory(rest);
        break;
    case 'M':
    case 'X':
        gdb_write_memory(rest, size - 1, *packet == 'X');
        break;
    case 'p':
        gdb_read_register(rest);
        break;
    case 'P':
        gdb_write_register(rest);
        break;
    case 'q':
        gdb_query(rest);
        break;
    case 'Q':
        gdb_set(rest);
        break;
    case 'T':
        reply(parse_thread(&rest) ? "OK" : "E22");
        break;
    case 'v':
        handle_v(packet);
        break;
    case 'z':
        change_point(rest, gdb_remove);
        break;
    case 'Z':
        change_point(rest, gdb_insert);
        break;
    default:
        reply("");
        break;
    }
}
