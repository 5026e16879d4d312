/* The ACPI tables as the firmware leaves them: its script is run here, then iasl reads them. */
#include "hw/acpi/tables.h"
#include "hw/nvram/fw_cfg.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <glib/gstdio.h>
#include <string.h>

#define TABLES "etc/acpi/tables"
#define RSDP   "etc/acpi/rsdp"
enum { TABLES_AT = 0x1fff0000, RSDP_AT = 0xf5000, COMMAND_SIZE = 128, NAME = 56 };

static Device *fw;
static bool express; /* the machine has it */

typedef struct Placed {
    uint8_t *tables, *rsdp;
    size_t tables_size, rsdp_size;
} Placed;

static void placed_free(Placed *p)
{
    g_free(p->tables);
    g_free(p->rsdp);
    g_free(p);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Placed, placed_free);

static uint8_t *file_of(Placed *p, const uint8_t *name, size_t *size)
{
    bool rsdp = g_str_equal(name, RSDP);

    g_assert_true(rsdp || g_str_equal(name, TABLES));
    *size = rsdp ? p->rsdp_size : p->tables_size;
    return rsdp ? p->rsdp : p->tables;
}

static void run_command(Placed *p, const uint8_t *c)
{
    const uint8_t *rest = c + 4 + NAME;
    uint8_t *file;
    uint32_t at;
    size_t size;

    if (load_le32(c) == 0) { /* room for more */
        return;
    }
    file = file_of(p, c + 4, &size);
    switch (load_le32(c)) {
    case 1: /* allocate: they are there */
        g_assert_cmpuint(load_le32(rest) & (load_le32(rest) - 1), ==, 0);
        break;
    case 2: /* pointer */
        at = load_le32(rest + NAME);
        g_assert_cmpuint(rest[NAME + 4], ==, 4);
        g_assert_cmpuint(at + 4, <=, size);
        store_le32(file + at, load_le32(file + at) + (g_str_equal(rest, RSDP) ? RSDP_AT : TABLES_AT));
        break;
    case 3: /* checksum */
        at = load_le32(rest);
        g_assert_cmpuint(load_le32(rest + 4) + load_le32(rest + 8), <=, size);
        file[at] = 0;
        for (uint32_t n = 0; n < load_le32(rest + 8); n++) {
            file[at] -= n + load_le32(rest + 4) == at ? 0 : file[load_le32(rest + 4) + n];
        }
        break;
    default:
        g_assert_not_reached();
    }
}

static Placed *place(int cpus, bool apic, bool hpet)
{
    static uint8_t ids[255];
    AcpiMachine machine = { .apic_ids = ids, .cpus = cpus, .apic = apic, .hpet = hpet,
                            .express = express, .pci_hole = 0x20000000, .gpe_base = 0xafe0, .gpe_length = 4,
                            .places = { .pm_base = 0x600, .high_first = express ? UINT64_C(0x8000000000) : 1,
                                        .high_last = express ? UINT64_C(0x80ffffffff) : 0,
                                        .mmconfig = 0xb0000000, .mmconfig_buses = express ? 256 : 0 } };
    Placed *p = g_new0(Placed, 1);
    const uint8_t *script;
    size_t size;

    for (int n = 0; n < cpus; n++) {
        ids[n] = n;
    }
    acpi_add_tables(fw, &machine);
    script = fw_cfg_file_data(fw, TABLES, &p->tables_size);
    p->tables = g_memdup2(script, p->tables_size);
    script = fw_cfg_file_data(fw, RSDP, &p->rsdp_size);
    p->rsdp = g_memdup2(script, p->rsdp_size);
    script = fw_cfg_file_data(fw, "etc/table-loader", &size);
    g_assert_cmpuint(size % COMMAND_SIZE, ==, 0);
    for (size_t n = 0; n < size; n += COMMAND_SIZE) {
        run_command(p, script + n);
    }
    return p;
}

static uint8_t sum(const uint8_t *p, size_t size)
{
    uint8_t total = 0;

    while (size--) {
        total += *p++;
    }
    return total;
}

/* At an address that a pointer holds. */
static const uint8_t *table_at(const Placed *p, uint32_t addr)
{
    const uint8_t *table = p->tables + (addr - TABLES_AT);

    g_assert_cmpuint(addr, >=, TABLES_AT);
    g_assert_cmpuint(addr - TABLES_AT + load_le32(table + 4), <=, p->tables_size);
    return table;
}

static const uint8_t *find_table(const Placed *p, const char *signature)
{
    const uint8_t *rsdt = table_at(p, load_le32(p->rsdp + 16));

    for (uint32_t n = 36; n < load_le32(rsdt + 4); n += 4) {
        const uint8_t *table = table_at(p, load_le32(rsdt + n));

        if (!memcmp(table, signature, 4)) {
            return table;
        }
    }
    return NULL;
}

static void every_table_is_linked_and_adds_up(void)
{
    g_autoptr(Placed) p = place(2, true, true);
    static const char *const names[] = { "FACP", "APIC", "HPET" };
    const uint8_t *fadt, *dsdt, *facs;

    g_assert_cmpmem(p->rsdp, 8, "RSD PTR ", 8);
    g_assert_cmpuint(sum(p->rsdp, 20), ==, 0);
    for (size_t n = 0; n < G_N_ELEMENTS(names); n++) {
        const uint8_t *table = find_table(p, names[n]);

        g_assert_nonnull(table);
        g_assert_cmpuint(sum(table, load_le32(table + 4)), ==, 0);
    }
    fadt = find_table(p, "FACP");
    facs = table_at(p, load_le32(fadt + 36));
    dsdt = table_at(p, load_le32(fadt + 40));
    g_assert_cmpmem(facs, 4, "FACS", 4);
    g_assert_cmpuint(load_le32(fadt + 36) % 64, ==, 0);
    g_assert_cmpmem(dsdt, 4, "DSDT", 4);
    g_assert_cmpuint(sum(dsdt, load_le32(dsdt + 4)), ==, 0);
}

static void the_madt_lists_every_processor(void)
{
    g_autoptr(Placed) p = place(255, true, true);
    const uint8_t *madt = find_table(p, "APIC");
    int cpus = 0;

    for (uint32_t n = 44; n < load_le32(madt + 4); n += madt[n + 1]) {
        g_assert_cmpuint(madt[n + 1], >, 1);
        if (madt[n] == 0) {
            g_assert_cmpuint(madt[n + 3], ==, cpus);
            cpus++;
        }
    }
    g_assert_cmpint(cpus, ==, 255);
}

static void configuration_space_is_where_it_was_put(void)
{
    const uint8_t *mcfg;

    express = true;
    {
        g_autoptr(Placed) p = place(1, true, true);

        mcfg = find_table(p, "MCFG");
        g_assert_nonnull(mcfg);
        g_assert_cmpuint(sum(mcfg, load_le32(mcfg + 4)), ==, 0);
        g_assert_cmphex(load_le64(mcfg + 44), ==, 0xb0000000);
        g_assert_cmphex(load_le32(mcfg + 52), ==, 0xff000000);
    }
    express = false;
}

/* Firmware knows sizes before it tells where things are. */
static void files_keep_their_sizes(void)
{
    size_t before, after;

    g_autoptr(Placed) p = place(2, true, true);
    before = p->tables_size;
    {
        g_autoptr(Placed) other = place(4, true, true);

        after = other->tables_size;
    }
    g_assert_cmpuint(before, ==, after);
}

static void what_is_not_there_is_not_listed(void)
{
    g_autoptr(Placed) p = place(1, false, false);

    g_assert_null(find_table(p, "APIC"));
    g_assert_null(find_table(p, "HPET"));
}

static bool run(const char *folder, char **argv, char **output)
{
    g_autofree char *errors = NULL;
    int status;

    if (!g_spawn_sync(folder, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, output, &errors, &status,
                      NULL)) {
        return false;
    }
    if (status) {
        g_test_message("%s%s", *output, errors);
    }
    return status == 0;
}

/* Compiled again, plain tables are what they were; AML has more than one form of the same. */
static void iasl_reads_and_compiles_them(void)
{
    static const char *const names[] = { "DSDT", "FACP", "APIC", "HPET", "MCFG" };
    g_autoptr(Placed) p = place(4, true, true);
    g_autofree char *program = g_find_program_in_path("iasl");
    g_autofree char *folder = NULL;

    if (!program) {
        g_test_skip("iasl is not installed (Debian package acpica-tools)");
        return;
    }
    folder = g_dir_make_tmp("myna-acpi-XXXXXX", NULL);
    for (size_t n = 0; n < G_N_ELEMENTS(names) - !express; n++) {
        const uint8_t *table =
            n ? find_table(p, names[n]) : table_at(p, load_le32(find_table(p, "FACP") + 40));
        g_autofree char *path = g_strdup_printf("%s/%s", folder, names[n]);
        g_autofree char *aml = g_strconcat(path, ".aml", NULL), *dsl = g_strconcat(path, ".dsl", NULL);
        g_autofree char *out = NULL, *text = NULL, *again = NULL;
        char *split[] = { program, (char *)"-d", aml, NULL };
        char *join[] = { program, (char *)"-ve", dsl, NULL };
        gsize size;

        g_file_set_contents(aml, (const char *)table, load_le32(table + 4), NULL);
        g_assert_true(run(folder, split, &text));
        g_assert_true(run(folder, join, &out));
        g_assert_true(g_file_get_contents(aml, &again, &size, NULL));
        if (n) {
            g_assert_cmpmem(again + 36, size - 36, table + 36, load_le32(table + 4) - 36);
        }
        g_unlink(aml);
        g_unlink(dsl);
    }
    g_rmdir(folder);
}

static void iasl_reads_those_of_pci_express(void)
{
    express = true;
    iasl_reads_and_compiles_them();
    express = false;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    fw = rig_add("fw_cfg", NULL);
    g_test_add_func("/acpi/every_table_is_linked_and_adds_up", every_table_is_linked_and_adds_up);
    g_test_add_func("/acpi/the_madt_lists_every_processor", the_madt_lists_every_processor);
    g_test_add_func("/acpi/what_is_not_there_is_not_listed", what_is_not_there_is_not_listed);
    g_test_add_func("/acpi/iasl_reads_and_compiles_them", iasl_reads_and_compiles_them);
    g_test_add_func("/acpi/iasl_reads_those_of_pci_express", iasl_reads_those_of_pci_express);
    g_test_add_func("/acpi/configuration_space_is_where_it_was_put", configuration_space_is_where_it_was_put);
    g_test_add_func("/acpi/files_keep_their_sizes", files_keep_their_sizes);
    return g_test_run();
}
