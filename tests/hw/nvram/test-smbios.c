/* SMBIOS structures are well-formed, and dmidecode reads them without complaint. */
#include "hw/nvram/fw_cfg.h"
#include "hw/nvram/smbios.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <glib/gstdio.h>
#include <string.h>

enum { ENTRY_SIZE = 31, TABLES_AT = 0x20 }; /* dmidecode's dumps begin with the entry point */

static Device *fw;
static const uint8_t uuid[16] = { 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0,
                                  1,    2,    3,    4,    5,    6,    7,    8 };

static const uint8_t *build(int cpus, uint64_t low, uint64_t high, size_t *size)
{
    SmbiosMachine machine = { .name = "Test PC", .uuid = uuid, .low_ram = low, .high_ram = high,
                              .cpus = cpus, .signature = 0x60fb1 };

    smbios_add_tables(fw, &machine);
    return fw_cfg_file_data(fw, "etc/smbios/smbios-tables", size);
}

/* How many structures of a type there are. */
static int count(const uint8_t *tables, size_t size, int type)
{
    int found = 0;
    size_t at = 0;

    while (at < size) {
        found += tables[at] == type;
        g_assert_cmpuint(tables[at + 1], >=, 4);
        at += tables[at + 1];
        while (tables[at] || tables[at + 1]) {
            at++;
            g_assert_cmpuint(at + 1, <, size);
        }
        at += 2;
    }
    g_assert_cmpuint(at, ==, size);
    return found;
}

static void structures_follow_the_machine(void)
{
    size_t size;
    const uint8_t *tables = build(3, UINT64_C(3) << 30, UINT64_C(30) << 30, &size);

    g_assert_cmpint(count(tables, size, 0), ==, 1);
    g_assert_cmpint(count(tables, size, 1), ==, 1);
    g_assert_cmpint(count(tables, size, 4), ==, 3);
    g_assert_cmpint(count(tables, size, 16), ==, 1);
    g_assert_cmpint(count(tables, size, 17), ==, 3);
    g_assert_cmpint(count(tables, size, 19), ==, 2);
    g_assert_cmpint(count(tables, size, 127), ==, 1);
}

static void the_anchor_counts_structures_and_bytes(void)
{
    size_t size, entry_size;
    const uint8_t *tables = build(1, UINT64_C(1) << 30, 0, &size), *entry;
    int all = 0;

    entry = fw_cfg_file_data(fw, "etc/smbios/smbios-anchor", &entry_size);
    for (int type = 0; type < 128; type++) {
        all += count(tables, size, type);
    }
    g_assert_cmpuint(entry_size, ==, ENTRY_SIZE);
    g_assert_cmpmem(entry, 4, "_SM_", 4);
    g_assert_cmpuint(load_le16(entry + 22), ==, size);
    g_assert_cmpuint(load_le16(entry + 28), ==, all);
}

static uint8_t minus_sum(const uint8_t *p, int size)
{
    uint8_t total = 0;

    while (size--) {
        total -= *p++;
    }
    return total;
}

static void dmidecode_reads_them(void)
{
    g_autofree char *program = g_find_program_in_path("dmidecode");
    g_autofree char *path = NULL, *out = NULL, *errors = NULL, *option = NULL;
    g_autofree uint8_t *dump = NULL;
    size_t size;
    const uint8_t *tables = build(2, UINT64_C(512) << 20, 0, &size);
    int status = 0, file;

    if (!program) {
        g_test_skip("dmidecode is not installed");
        return;
    }
    dump = g_malloc0(TABLES_AT + size);
    memcpy(dump, fw_cfg_file_data(fw, "etc/smbios/smbios-anchor", NULL), ENTRY_SIZE);
    store_le32(dump + 24, TABLES_AT); /* as the firmware does */
    dump[21] = minus_sum(dump + 16, 15);
    dump[4] = minus_sum(dump, ENTRY_SIZE);
    memcpy(dump + TABLES_AT, tables, size);
    file = g_file_open_tmp("myna-smbios-XXXXXX", &path, NULL);
    g_assert_true(g_close(file, NULL));
    g_assert_true(g_file_set_contents(path, (char *)dump, TABLES_AT + size, NULL));
    option = g_strconcat("--from-dump=", path, NULL);
    {
        char *argv[] = { program, option, NULL };

        g_assert_true(g_spawn_sync(NULL, argv, NULL, 0, NULL, NULL, &out, &errors, &status, NULL));
    }
    g_unlink(path);
    g_test_message("%s%s", out, errors);
    g_assert_cmpint(status, ==, 0);
    g_assert_cmpstr(errors, ==, "");
    g_assert_nonnull(strstr(out, "SMBIOS 2.8 present"));
    g_assert_nonnull(strstr(out, "UUID: 12345678-9abc-def0-0102-030405060708"));
    g_assert_nonnull(strstr(out, "Size: 512 MB"));
    g_assert_null(strstr(out, "OUT OF SPEC"));
    g_assert_null(strstr(out, "TRUNCATED"));
    g_assert_null(strstr(out, "WRONG"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    fw = rig_add("fw_cfg", NULL);
    g_test_add_func("/smbios/structures_follow_the_machine", structures_follow_the_machine);
    g_test_add_func("/smbios/the_anchor_counts_structures_and_bytes",
                    the_anchor_counts_structures_and_bytes);
    g_test_add_func("/smbios/dmidecode_reads_them", dmidecode_reads_them);
    return g_test_run();
}
