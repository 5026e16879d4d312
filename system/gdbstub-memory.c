/* Registers and memory, as gdb reads and writes them. */
#include "system/gdbstub.h"

#include "target/guest.h"

#include <string.h>

#define REGISTER_MAX 64

static void reply(const char *text)
{
    gdb_send(&gdb.link, text);
}

/* ---- registers: in the CPU's thread, where its state is whole ---- */

typedef struct Registers {
    GString *text;      /* read: digits */
    const uint8_t *data; /* written */
    size_t size;
    int number;         /* of one register */
    bool good;
} Registers;

static void read_all(Cpu *cpu, void *data)
{
    const GuestOps *ops = guest_ops(cpu);
    uint8_t buf[REGISTER_MAX];
    int size;

    for (int i = 0; (size = ops->gdb_read_register(cpu, i, buf)) > 0; i++) {
        gdb_put_hex(((Registers *)data)->text, buf, size);
    }
}

static void read_one(Cpu *cpu, void *data)
{
    Registers *r = data;
    uint8_t buf[REGISTER_MAX];
    int size = guest_ops(cpu)->gdb_read_register(cpu, r->number, buf);

    gdb_put_hex(r->text, buf, MAX(size, 0));
}

static void write_all(Cpu *cpu, void *data)
{
    const GuestOps *ops = guest_ops(cpu);
    Registers *r = data;
    uint8_t buf[REGISTER_MAX];
    size_t at = 0;
    int size;

    for (int i = 0; (size = ops->gdb_read_register(cpu, i, buf)) > 0; i++) {
        if (at + size > r->size) {
            return;
        }
        ops->gdb_write_register(cpu, i, r->data + at);
        at += size;
    }
}

static void write_one(Cpu *cpu, void *data)
{
    const GuestOps *ops = guest_ops(cpu);
    Registers *r = data;
    uint8_t buf[REGISTER_MAX];
    int size = ops->gdb_read_register(cpu, r->number, buf);

    r->good = size > 0 && (size_t)size <= r->size && ops->gdb_write_register(cpu, r->number, r->data) > 0;
}

void gdb_read_registers(void)
{
    Registers r = { .text = g_string_new(NULL) };

    gdb_on_cpu(cpu_get(gdb.current), read_all, &r);
    reply(r.text->str);
    g_string_free(r.text, TRUE);
}

void gdb_write_registers(const char *text)
{
    g_autofree uint8_t *data = g_malloc(GDB_PACKET_SIZE);
    Registers r = { .data = data, .size = gdb_get_hex(text, data, GDB_PACKET_SIZE) };

    gdb_on_cpu(cpu_get(gdb.current), write_all, &r);
    reply("OK");
}

void gdb_read_register(const char *text)
{
    Registers r = { .text = g_string_new(NULL) };
    uint64_t number;

    if (gdb_get_number(&text, &number) && number < 10000) {
        r.number = number;
        gdb_on_cpu(cpu_get(gdb.current), read_one, &r);
    }
    reply(r.text->len ? r.text->str : "E14");
    g_string_free(r.text, TRUE);
}

void gdb_write_register(const char *text)
{
    uint8_t data[REGISTER_MAX] = { 0 };
    Registers r = { .data = data };
    uint64_t number;

    if (gdb_get_number(&text, &number) && number < 10000 && *text == '=') {
        r.number = number;
        r.size = gdb_get_hex(text + 1, data, sizeof(data));
        gdb_on_cpu(cpu_get(gdb.current), write_one, &r);
    }
    reply(r.good ? "OK" : "E14");
}

/* ---- memory ---- */

typedef struct Access {
    VirtAddr addr;
    uint64_t size;
    uint8_t *data;
    bool write, good;
} Access;

static void do_access(Cpu *cpu, void *data)
{
    Access *a = data;

    if (gdb.physical) {
        if (a->write) {
            memory_load_rom(cpu->memory, a->addr, a->data, a->size);
        } else {
            memory_read(cpu->memory, a->addr, a->data, a->size);
        }
        a->good = true;
    } else if (a->write) {
        a->good = accel_debug_write(cpu, a->addr, a->data, a->size);
    } else {
        a->good = accel_debug_read(cpu, a->addr, a->data, a->size);
    }
}

/* m addr,length */
void gdb_read_memory(const char *text)
{
    g_autofree uint8_t *data = g_malloc(GDB_PACKET_SIZE / 2);
    Access a = { .data = data };
    GString *out;

    if (!gdb_get_number(&text, &a.addr) || !gdb_get_after(&text, ',', &a.size)) {
        reply("E22");
        return;
    }
    a.size = MIN(a.size, GDB_PACKET_SIZE / 2 - 8);
    gdb_on_cpu(cpu_get(gdb.current), do_access, &a);
    if (!a.good) {
        reply("E14");
        return;
    }
    out = g_string_new(NULL);
    gdb_put_hex(out, data, a.size);
    reply(out->str);
    g_string_free(out, TRUE);
}

/* M addr,length:digits, X addr,length:bytes */
void gdb_write_memory(const char *text, size_t size, bool binary)
{
    g_autofree uint8_t *data = g_malloc(GDB_PACKET_SIZE);
    Access a = { .data = data, .write = true };
    const char *end = text + size;
    uint64_t have;

    if (!gdb_get_number(&text, &a.addr) || !gdb_get_after(&text, ',', &a.size) || *text != ':') {
        reply("E22");
        return;
    }
    text++;
    if (binary) {
        have = MIN((size_t)(end - text), GDB_PACKET_SIZE);
        memcpy(data, text, have);
    } else {
        have = gdb_get_hex(text, data, GDB_PACKET_SIZE);
    }
    if (a.size > have) {
        reply("E22");
        return;
    }
    gdb_on_cpu(cpu_get(gdb.current), do_access, &a);
    reply(a.good ? "OK" : "E14");
}
