/* Commands of the human monitor that look at memory, ports and numbers. */
#include "monitor/internal.h"

#include "accel/accel.h"
#include "target/guest.h"
#include "util/bits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COUNT 65536

typedef struct Format {
    unsigned count;
    char kind; /* x d u o c i */
    unsigned size;
} Format;

static bool parse_format(Hmp *hmp, const char *text, Format *format)
{
    char *end;

    if (g_ascii_isdigit(*text)) {
        format->count = MIN(g_ascii_strtoull(text, &end, 10), MAX_COUNT);
        text = end;
    }
    for (; *text; text++) {
        switch (*text) {
        case 'x': case 'd': case 'u': case 'o': case 'c': case 'i':
            format->kind = *text;
            break;
        case 'b':
            format->size = 1;
            break;
        case 'h':
            format->size = 2;
            break;
        case 'w':
            format->size = 4;
            break;
        case 'g':
        case 'L':
            format->size = 8;
            break;
        default:
            hmp_printf(hmp, "Error: format '%c': not one of x d u o c i, b h w g\n", *text);
            return false;
        }
    }
    return true;
}

static void put_character(Hmp *hmp, uint8_t c)
{
    switch (c) {
    case '\'':
    case '\\':
        hmp_printf(hmp, "'\\%c'", c);
        break;
    case '\n':
        hmp_printf(hmp, "'\\n'");
        break;
    case '\r':
        hmp_printf(hmp, "'\\r'");
        break;
    default:
        hmp_printf(hmp, c >= 32 && c < 127 ? "'%c'" : "'\\x%02x'", c);
    }
}

/* padded: in columns, all digits of the size. */
static void put_number(Hmp *hmp, const Format *format, uint64_t value, bool padded)
{
    unsigned bits = format->size * 8;
    uint64_t low = bits < 64 ? value & ((1ULL << bits) - 1) : value;

    switch (format->kind) {
    case 'd':
        hmp_printf(hmp, "%*" PRId64, padded ? 3 * (int)format->size : 0, sign_extend(value, bits));
        break;
    case 'u':
        hmp_printf(hmp, "%*" PRIu64, padded ? 3 * (int)format->size : 0, low);
        break;
    case 'o':
        hmp_printf(hmp, "%#*" PRIo64, padded ? 3 * (int)format->size : 0, low);
        break;
    case 'c':
        put_character(hmp, value);
        break;
    default:
        hmp_printf(hmp, "0x%0*" PRIx64, padded ? 2 * (int)format->size : 1, low);
    }
}

typedef struct Dump {
    Hmp *hmp;
    Format format;
    uint64_t addr;
    bool physical;
} Dump;

static bool fetch(Cpu *cpu, const Dump *dump, uint64_t addr, void *buf, uint64_t size)
{
    if (dump->physical) {
        memory_read(cpu ? cpu->memory : memory_system(), addr, buf, size);
        return true;
    }
    return accel_debug_read(cpu, addr, buf, size);
}

static uint64_t load_sized(const uint8_t *p, unsigned size)
{
    return size == 1 ? *p : size == 2 ? load_le16(p) : size == 4 ? load_le32(p) : load_le64(p);
}

static void dump_numbers(Cpu *cpu, const Dump *dump)
{
    const Format *f = &dump->format;
    unsigned per_line = f->kind == 'c' ? 8 : MAX(16 / f->size / (f->kind == 'o' ? 2 : 1), 1);

    for (unsigned i = 0; i < f->count; i++) {
        uint64_t addr = dump->addr + i * f->size;
        uint8_t buf[8];

        if (i % per_line == 0) {
            hmp_printf(dump->hmp, "%s%016" PRIx64 ":", i ? "\n" : "", addr);
        }
        if (!fetch(cpu, dump, addr, buf, f->size)) {
            hmp_printf(dump->hmp, " cannot access memory\n");
            return;
        }
        hmp_printf(dump->hmp, " ");
        put_number(dump->hmp, f, load_sized(buf, f->size), true);
    }
    hmp_printf(dump->hmp, "\n");
}

static void dump_code(Cpu *cpu, const Dump *dump)
{
    const GuestOps *ops = guest_ops(cpu);
    uint64_t addr = dump->addr;
    BlockKey key = { 0 };

    ops->block_key(cpu, &key);
    for (unsigned i = 0; i < dump->format.count; i++) {
        g_autoptr(GString) text = g_string_new(NULL);
        uint8_t code[16];
        unsigned have = 0, length;

        /* The last instruction before an unmapped page may be short. */
        while (have < sizeof(code) && fetch(cpu, dump, addr + have, &code[have], 1)) {
            have++;
        }
        if (!have) {
            hmp_printf(dump->hmp, "0x%08" PRIx64 ":  cannot access memory\n", addr);
            return;
        }
        length = ops->disassemble(&key, code, have, addr, text);
        hmp_printf(dump->hmp, "0x%08" PRIx64 ":  ", addr);
        for (unsigned j = 0; j < 11 || j < length; j++) {
            if (j < MIN(length, have)) {
                hmp_printf(dump->hmp, "%02x", code[j]);
            } else {
                hmp_printf(dump->hmp, "  ");
            }
        }
        hmp_printf(dump->hmp, "  %s\n", text->str);
        addr += MAX(length, 1);
    }
}

static void do_dump(Cpu *cpu, void *data)
{
    Dump *dump = data;

    if (dump->format.kind == 'i') {
        dump_code(cpu, dump);
    } else {
        dump_numbers(cpu, dump);
    }
}

static void dump_memory(Hmp *hmp, const HmpArgs *args, bool physical)
{
    static Format last_format = { 1, 'x', 4 };
    Dump dump = { .hmp = hmp, .format = last_format, .physical = physical };
    Cpu *cpu = hmp_cpu(hmp);
    GError *error = NULL;

    dump.format.count = 1;
    if (!cpu || !parse_format(hmp, args->format, &dump.format)) {
        return;
    }
    last_format = dump.format;
    if (dump.format.kind == 'c' && !strpbrk(args->format, "bhwg")) {
        dump.format.size = 1;
    }
    if (!expr_eval(args->rest, cpu, &dump.addr, &error)) {
        hmp_error(hmp, error);
        return;
    }
    monitor_on_cpu(cpu, do_dump, &dump);
}

void hmp_x(Hmp *hmp, const HmpArgs *args)
{
    dump_memory(hmp, args, false);
}

void hmp_xp(Hmp *hmp, const HmpArgs *args)
{
    dump_memory(hmp, args, true);
}

void hmp_print(Hmp *hmp, const HmpArgs *args)
{
    Format format = { 1, 'x', 8 };
    GError *error = NULL;
    uint64_t value;

    if (!parse_format(hmp, args->format, &format)) {
        return;
    }
    if (!expr_eval(args->rest, cpu_get(hmp->cpu), &value, &error)) {
        hmp_error(hmp, error);
        return;
    }
    put_number(hmp, &format, value, false);
    hmp_printf(hmp, "\n");
}

void hmp_in(Hmp *hmp, const HmpArgs *args)
{
    Format format = { 1, 'x', 1 };
    uint64_t port;

    if (!parse_format(hmp, args->format, &format) || !hmp_number(hmp, args, 0, &port)) {
        return;
    }
    format.size = MIN(format.size, 4);
    port &= 0xffff;
    hmp_printf(hmp, "port%c[0x%04x] = ", " bh w"[format.size], (unsigned)port);
    put_number(hmp, &format, memory_load(memory_ports(), port, format.size), true);
    hmp_printf(hmp, "\n");
}

void hmp_out(Hmp *hmp, const HmpArgs *args)
{
    Format format = { 1, 'x', 1 };
    uint64_t port, value;

    if (parse_format(hmp, args->format, &format) && hmp_number(hmp, args, 0, &port) &&
        hmp_number(hmp, args, 1, &value)) {
        memory_store(memory_ports(), port & 0xffff, value, MIN(format.size, 4));
    }
}

static void save_memory(Hmp *hmp, const HmpArgs *args, Cpu *cpu)
{
    GError *error = NULL;
    uint64_t addr, size;

    if (hmp_number(hmp, args, 0, &addr) && hmp_number(hmp, args, 1, &size) &&
        !action_save_memory(cpu, addr, size, args->argv[2], &error)) {
        hmp_error(hmp, error);
    }
}

void hmp_memsave(Hmp *hmp, const HmpArgs *args)
{
    Cpu *cpu = hmp_cpu(hmp);

    if (cpu) {
        save_memory(hmp, args, cpu);
    }
}

void hmp_pmemsave(Hmp *hmp, const HmpArgs *args)
{
    save_memory(hmp, args, NULL);
}

typedef struct Translate {
    VirtAddr addr;
    PhysAddr phys;
    bool mapped;
} Translate;

static void translate(Cpu *cpu, void *data)
{
    Translate *t = data;

    t->mapped = accel_debug_translate(cpu, t->addr, &t->phys);
}

void hmp_gva2gpa(Hmp *hmp, const HmpArgs *args)
{
    Cpu *cpu = hmp_cpu(hmp);
    Translate t = { 0 };

    if (!cpu || !hmp_number(hmp, args, 0, &t.addr)) {
        return;
    }
    monitor_on_cpu(cpu, translate, &t);
    if (t.mapped) {
        hmp_printf(hmp, "gpa: 0x%" PRIx64 "\n", t.phys);
    } else {
        hmp_printf(hmp, "Unmapped\n");
    }
}

/* The 16-bit BSD checksum. */
void hmp_sum(Hmp *hmp, const HmpArgs *args)
{
    uint64_t addr, size;
    uint16_t sum = 0;

    if (!hmp_number(hmp, args, 0, &addr) || !hmp_number(hmp, args, 1, &size)) {
        return;
    }
    for (size = MIN(size, 64 << 20); size; size--) {
        sum = (sum >> 1 | sum << 15) + memory_load(memory_system(), addr++, 1);
    }
    hmp_printf(hmp, "%05d\n", sum);
}
