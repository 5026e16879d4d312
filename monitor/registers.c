/* Registers by name, as the target describes them to gdb. */
#include "monitor/internal.h"

#include "accel/accel.h"
#include "target/guest.h"
#include "util/bits.h"

#include <stdlib.h>
#include <string.h>

void monitor_on_cpu(Cpu *cpu, void (*fn)(Cpu *cpu, void *data), void *data)
{
    if (accel && accel->run_on_cpu) {
        accel->run_on_cpu(cpu, fn, data);
    } else {
        fn(cpu, data);
    }
}

/* A number that the description gives, or else the place in it; -1 if it has none of that name. */
static int register_number(Cpu *cpu, const char *name)
{
    const GuestOps *ops = guest_ops(cpu);
    const char *xml = ops && ops->gdb_target_xml ? ops->gdb_target_xml(cpu, "target.xml") : NULL;
    size_t n = strlen(name);
    int number = 0;

    while (n && xml && (xml = strstr(xml, "<reg name=\""))) {
        xml += strlen("<reg name=\"");
        if (!strncmp(xml, name, n) && xml[n] == '"') {
            const char *given = strstr(xml, "regnum=\""), *end = strchr(xml, '>');

            return given && end && given < end ? atoi(given + strlen("regnum=\"")) : number;
        }
        number++;
    }
    return -1;
}

static bool read_register(Cpu *cpu, const char *name, uint64_t *value)
{
    int number = register_number(cpu, name);
    const GuestOps *ops = guest_ops(cpu);
    uint8_t buf[64] = { 0 };
    int size = number < 0 ? 0 : ops->gdb_read_register(cpu, number, buf);

    if (!size) {
        return false;
    }
    *value = load_le64(buf);
    if (ops->gdb_big_endian && ops->gdb_big_endian(cpu)) {
        *value = size < 8 ? load_be32(buf) : load_be64(buf + size - 8);
    }
    return true;
}

typedef struct Query {
    const char *name;
    uint64_t value;
    bool found;
} Query;

static void look_up(Cpu *cpu, void *data)
{
    Query *q = data;
    g_autofree char *other = g_strdup(q->name);
    const GuestOps *ops = guest_ops(cpu);

    if (g_str_equal(q->name, "pc") && ops && ops->get_pc) {
        q->value = ops->get_pc(cpu);
        q->found = true;
        return;
    }
    q->found = read_register(cpu, q->name, &q->value);
    if (!q->found && g_str_equal(q->name, "sp")) {
        q->found = read_register(cpu, "rsp", &q->value) || read_register(cpu, "esp", &q->value);
    }
    if (!q->found && other[0] == 'e') { /* the lower half of a 64-bit register */
        other[0] = 'r';
        q->found = read_register(cpu, other, &q->value);
        q->value = (uint32_t)q->value;
    }
    if (!q->found && other[0] == 'r') {
        other[0] = 'e';
        q->found = read_register(cpu, other, &q->value);
    }
    if (!q->found) {
        q->found = x86_register(cpu, q->name, &q->value);
    }
}

bool register_by_name(Cpu *cpu, const char *name, uint64_t *value)
{
    Query query = { .name = name };

    monitor_on_cpu(cpu, look_up, &query);
    *value = query.value;
    return query.found;
}
