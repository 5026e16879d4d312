/*
 * SMBIOS tables of a PC, handed to the firmware through fw_cfg.
 *
 * System Management BIOS reference specification (DSP0134) 2.8, with the 32-bit entry point.
 */
#include "hw/nvram/smbios.h"

#include "hw/nvram/fw_cfg.h"
#include "util/bits.h"

#include <string.h>

enum { HANDLE_BIOS = 0x0000, HANDLE_SYSTEM = 0x0100, HANDLE_CHASSIS = 0x0300, HANDLE_CPU = 0x0400 };
enum { HANDLE_ARRAY = 0x1000, HANDLE_DIMM = 0x1100, HANDLE_RANGE = 0x1300, HANDLE_BOOT = 0x2000 };
enum { HANDLE_END = 0x7f00, NONE = 0xfffe, UNKNOWN = 2, ENTRY_SIZE = 31 };
#define DIMM_MAX (UINT64_C(16) << 30) /* memory is shown as modules of at most this size */

typedef struct Build {
    GByteArray *out;
    GString *strings; /* of the structure being written */
    int string_count;
    guint start;
    int structures;
    guint largest;
} Build;

static void put(Build *b, uint64_t value, int size)
{
    for (int n = 0; n < size; n++) {
        uint8_t byte = value >> 8 * n;

        g_byte_array_append(b->out, &byte, 1);
    }
}

static void begin(Build *b, uint8_t type, uint16_t handle)
{
    b->start = b->out->len;
    b->string_count = 0;
    g_string_truncate(b->strings, 0);
    put(b, type, 1);
    put(b, 0, 1);
    put(b, handle, 2);
}

static void put_string(Build *b, const char *text)
{
    g_string_append_len(b->strings, text, strlen(text) + 1);
    put(b, ++b->string_count, 1);
}

/* The formatted part's length, then its strings, then an empty one. */
static void end(Build *b)
{
    b->out->data[b->start + 1] = b->out->len - b->start;
    if (!b->string_count) {
        put(b, 0, 1);
    }
    g_byte_array_append(b->out, (const guint8 *)b->strings->str, b->strings->len);
    put(b, 0, 1);
    b->structures++;
    b->largest = MAX(b->largest, b->out->len - b->start);
}

static void add_bios(Build *b)
{
    begin(b, 0, HANDLE_BIOS);
    put_string(b, "SeaBIOS");
    put_string(b, "Myna");
    put(b, 0xe800, 2); /* segment */
    put_string(b, "04/01/2014");
    put(b, 0, 1);      /* size: 64 KiB */
    put(b, 0x08, 8);   /* characteristics are not told */
    put(b, 0x1400, 2); /* extension: virtual machine, targeted content */
    put(b, 0, 2);
    put(b, 0xffff, 2);
    end(b);
}

static void add_system(Build *b, const SmbiosMachine *m)
{
    begin(b, 1, HANDLE_SYSTEM);
    put_string(b, "Myna");
    put_string(b, m->name);
    put_string(b, "1");
    put(b, 0, 1);
    put(b, load_be32(m->uuid), 4); /* the first three fields are little-endian here */
    put(b, load_be16(m->uuid + 4), 2);
    put(b, load_be16(m->uuid + 6), 2);
    g_byte_array_append(b->out, m->uuid + 8, 8);
    put(b, 6, 1); /* woken by the power switch */
    put(b, 0, 1);
    put(b, 0, 1);
    end(b);
}

static void add_chassis(Build *b)
{
    begin(b, 3, HANDLE_CHASSIS);
    put_string(b, "Myna");
    put(b, 1, 1); /* type: other */
    put(b, 0, 3); /* version, serial, asset tag */
    put(b, 0x02030303, 4); /* states: safe; security: unknown */
    put(b, 0, 4);
    put(b, 0, 1);
    put(b, 1, 1);
    put(b, 0, 2);
    put(b, 0, 1);
    end(b);
}

static void add_processor(Build *b, const SmbiosMachine *m, int n)
{
    g_autofree char *socket = g_strdup_printf("CPU %d", n);

    begin(b, 4, HANDLE_CPU + n);
    put_string(b, socket);
    put(b, 3, 1); /* central processor */
    put(b, 1, 1); /* family: other */
    put_string(b, "Myna");
    put(b, m->signature, 8);
    put_string(b, m->name);
    put(b, 0, 1);      /* voltage */
    put(b, 0, 2);      /* clock */
    put(b, 2000, 2);   /* speeds in MHz */
    put(b, 2000, 2);
    put(b, 0x41, 1);   /* populated and enabled */
    put(b, 1, 1);      /* upgrade: other */
    put(b, 0xffff, 2); /* caches: not told */
    put(b, 0xffff, 2);
    put(b, 0xffff, 2);
    put(b, 0, 3);
    put(b, 0x010101, 3); /* one core, enabled, one thread */
    put(b, UNKNOWN, 2);
    put(b, 1, 2);
    end(b);
}

static void add_memory_array(Build *b, uint64_t size, int modules)
{
    begin(b, 16, HANDLE_ARRAY);
    put(b, 1, 1); /* location: other */
    put(b, 3, 1); /* system memory */
    put(b, 6, 1); /* multi-bit ECC */
    put(b, size >> 10 < 0x80000000 ? size >> 10 : 0x80000000, 4);
    put(b, NONE, 2);
    put(b, modules, 2);
    put(b, size >> 10 < 0x80000000 ? 0 : size, 8);
    end(b);
}

static void add_module(Build *b, int n, uint64_t size)
{
    g_autofree char *locator = g_strdup_printf("DIMM %d", n);
    uint64_t mib = size >> 20;

    begin(b, 17, HANDLE_DIMM + n);
    put(b, HANDLE_ARRAY, 2);
    put(b, NONE, 2);
    put(b, 0xffff, 2); /* widths */
    put(b, 0xffff, 2);
    put(b, mib < 0x7fff ? mib : 0x7fff, 2);
    put(b, 9, 1); /* DIMM */
    put(b, 0, 1);
    put_string(b, locator);
    put(b, 0, 1);
    put(b, 7, 1); /* RAM */
    put(b, 2, 2);
    put(b, 0, 2);
    put_string(b, "Myna");
    put(b, 0, 3);
    put(b, 0, 1);
    put(b, mib < 0x7fff ? 0 : mib, 4);
    put(b, 0, 2);
    put(b, 0, 6);
    end(b);
}

static void add_range(Build *b, int n, uint64_t start, uint64_t size)
{
    uint64_t first = start >> 10, last = (start + size - 1) >> 10;
    bool small = last < 0xffffffff;

    begin(b, 19, HANDLE_RANGE + n);
    put(b, small ? first : 0xffffffff, 4);
    put(b, small ? last : 0xffffffff, 4);
    put(b, HANDLE_ARRAY, 2);
    put(b, 1, 1);
    put(b, small ? 0 : start, 8);
    put(b, small ? 0 : start + size - 1, 8);
    end(b);
}

static void add_all(Build *b, const SmbiosMachine *m)
{
    uint64_t ram = m->low_ram + m->high_ram;
    int modules = (ram + DIMM_MAX - 1) / DIMM_MAX;

    add_bios(b);
    add_system(b, m);
    add_chassis(b);
    for (int n = 0; n < m->cpus; n++) {
        add_processor(b, m, n);
    }
    add_memory_array(b, ram, modules);
    for (int n = 0; n < modules; n++) {
        add_module(b, n, MIN(ram - n * DIMM_MAX, DIMM_MAX));
    }
    add_range(b, 0, 0, m->low_ram);
    if (m->high_ram) {
        add_range(b, 1, UINT64_C(1) << 32, m->high_ram);
    }
    begin(b, 32, HANDLE_BOOT);
    put(b, 0, 7); /* reserved; no errors */
    end(b);
    begin(b, 127, HANDLE_END);
    end(b);
}

/* The firmware fills in the address, and then the checksums. */
void smbios_add_tables(Device *fw_cfg, const SmbiosMachine *m)
{
    Build b = { g_byte_array_new(), g_string_new(NULL) };
    uint8_t entry[ENTRY_SIZE] = "_SM_";

    add_all(&b, m);
    entry[5] = ENTRY_SIZE;
    entry[6] = 2;
    entry[7] = 8;
    store_le16(entry + 8, MIN(b.largest, 0xffff));
    memcpy(entry + 16, "_DMI_", 5);
    store_le16(entry + 22, b.out->len);
    store_le16(entry + 28, b.structures);
    entry[30] = 0x28;
    fw_cfg_add_file(fw_cfg, "etc/smbios/smbios-tables", b.out->data, b.out->len);
    fw_cfg_add_file(fw_cfg, "etc/smbios/smbios-anchor", entry, sizeof(entry));
    g_byte_array_unref(b.out);
    g_string_free(b.strings, TRUE);
}
