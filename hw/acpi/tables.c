/*
 * ACPI tables of a PC and the script with which the firmware places and links them.
 *
 * ACPI specification, chapter 5.2, in the form of revision 1 that every operating system reads. The
 * script's commands are those of SeaBIOS' romfile loader.
 */
#include "hw/acpi/tables.h"

#include "hw/acpi/pm.h"
#include "hw/intr/apic.h"
#include "hw/intr/ioapic.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/timer/hpet.h"
#include "util/bits.h"

#include <string.h>

#define TABLES_FILE "etc/acpi/tables"
#define RSDP_FILE   "etc/acpi/rsdp"

enum { HEADER_SIZE = 36, FACS_SIZE = 64, FADT_SIZE = 116, RSDP_SIZE = 20, CHECKSUM_AT = 9 };
enum { LOADER_ALLOCATE = 1, LOADER_POINTER = 2, LOADER_CHECKSUM = 3, LOADER_ENTRY = 128 };
enum { ROOM_TO_GROW = 1024, FILE_ALIGN = 4096 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2, FILE_NAME = 56 };

typedef struct Build {
    GByteArray *tables, *loader;
} Build;

/* ---- the loader script ---- */

static uint8_t *add_command(Build *b, uint32_t command)
{
    guint at = b->loader->len;

    g_byte_array_set_size(b->loader, at + LOADER_ENTRY);
    memset(b->loader->data + at, 0, LOADER_ENTRY);
    store_le32(b->loader->data + at, command);
    return b->loader->data + at + 4;
}

static void load_allocate(Build *b, const char *file, uint32_t align, uint8_t zone)
{
    uint8_t *c = add_command(b, LOADER_ALLOCATE);

    g_strlcpy((char *)c, file, FILE_NAME);
    store_le32(c + FILE_NAME, align);
    c[FILE_NAME + 4] = zone;
}

static void load_pointer(Build *b, const char *in_file, const char *to_file, uint32_t at)
{
    uint8_t *c = add_command(b, LOADER_POINTER);

    g_strlcpy((char *)c, in_file, FILE_NAME);
    g_strlcpy((char *)c + FILE_NAME, to_file, FILE_NAME);
    store_le32(c + 2 * FILE_NAME, at);
    c[2 * FILE_NAME + 4] = 4;
}

static void load_checksum(Build *b, const char *file, uint32_t at, uint32_t start, uint32_t length)
{
    uint8_t *c = add_command(b, LOADER_CHECKSUM);

    g_strlcpy((char *)c, file, FILE_NAME);
    store_le32(c + FILE_NAME, at);
    store_le32(c + FILE_NAME + 4, start);
    store_le32(c + FILE_NAME + 8, length);
}

/* ---- tables ---- */

static void put(Build *b, uint64_t value, int size)
{
    for (int n = 0; n < size; n++) {
        uint8_t byte = value >> 8 * n;

        g_byte_array_append(b->tables, &byte, 1);
    }
}

static void put_text(Build *b, const char *text, int size)
{
    for (int n = 0; n < size; n++) {
        put(b, *text ? *text : ' ', 1);
        text += *text != '\0';
    }
}

/* Returns where the table starts; its length follows with end_table. */
static guint begin_table(Build *b, const char *signature, uint8_t revision)
{
    guint at = b->tables->len;

    put_text(b, signature, 4);
    put(b, 0, 4);
    put(b, revision, 1);
    put(b, 0, 1);
    put_text(b, "MYNA", 6);
    put_text(b, "MYNAPC", 8);
    put(b, 1, 4);
    put_text(b, "MYNA", 4);
    put(b, 1, 4);
    return at;
}

static void end_table(Build *b, guint at)
{
    store_le32(b->tables->data + at + 4, b->tables->len - at);
    load_checksum(b, TABLES_FILE, at + CHECKSUM_AT, at, b->tables->len - at);
}

static void put_pointer(Build *b, guint target)
{
    load_pointer(b, TABLES_FILE, TABLES_FILE, b->tables->len);
    put(b, target, 4);
}

static guint add_facs(Build *b)
{
    guint at = b->tables->len;

    put_text(b, "FACS", 4);
    put(b, FACS_SIZE, 4);
    while (b->tables->len < at + FACS_SIZE) {
        put(b, 0, 4);
    }
    return at;
}

static guint add_dsdt(Build *b, const AcpiMachine *m)
{
    guint at = begin_table(b, "DSDT", 1);
    GByteArray *body = acpi_dsdt_body(m);

    g_byte_array_append(b->tables, body->data, body->len);
    g_byte_array_unref(body);
    end_table(b, at);
    return at;
}

static guint add_fadt(Build *b, const AcpiMachine *m, guint facs, guint dsdt)
{
    enum { FLAG_WBINVD = 1 << 0, FLAG_C1 = 1 << 2, FLAG_NO_SLEEP_BUTTON = 1 << 5, FLAG_RTC_S4 = 1 << 7 };
    guint at = begin_table(b, "FACP", 1);

    put_pointer(b, facs);
    put_pointer(b, dsdt);
    put(b, 1, 1); /* interrupt model: APICs */
    put(b, 0, 1);
    put(b, SCI_IRQ, 2);
    put(b, APM_PORT, 4);
    put(b, APM_ACPI_ENABLE, 1);
    put(b, APM_ACPI_DISABLE, 1);
    put(b, 0, 2); /* S4BIOS, P-states */
    put(b, m->places.pm_base, 4);
    put(b, 0, 4);
    put(b, m->places.pm_base + 4, 4);
    put(b, 0, 4);
    put(b, 0, 4); /* PM2 control */
    put(b, m->places.pm_base + 8, 4);
    put(b, m->gpe_base, 4);
    put(b, 0, 4); /* second GPE block */
    put(b, 4, 1); /* lengths: PM1 event, PM1 control, PM2 control, timer */
    put(b, 2, 1);
    put(b, 0, 1);
    put(b, 4, 1);
    put(b, m->gpe_length, 1);
    put(b, 0, 3);
    put(b, 0xfff, 2); /* no C2 */
    put(b, 0xfff, 2); /* no C3 */
    put(b, 0, 6);     /* cache flush sizes, duty cycle */
    put(b, 0, 2);     /* RTC day and month alarm */
    put(b, 0x32, 1);  /* RTC century */
    put(b, 0, 3);
    put(b, FLAG_WBINVD | FLAG_C1 | FLAG_NO_SLEEP_BUTTON | FLAG_RTC_S4, 4);
    g_assert(b->tables->len - at == FADT_SIZE);
    end_table(b, at);
    return at;
}

static void put_override(Build *b, uint8_t irq, uint32_t input, uint16_t flags)
{
    put(b, 0x0a02, 2);
    put(b, 0, 1); /* ISA */
    put(b, irq, 1);
    put(b, input, 4);
    put(b, flags, 2);
}

static guint add_madt(Build *b, const AcpiMachine *m)
{
    enum { LEVEL_ACTIVE_HIGH = 0x0d };
    /* Inputs that PCI interrupts or the SCI come to; the Q35's PCI has inputs of its own from 16 on. */
    static const uint8_t pci_irqs[] = { SCI_IRQ, 5, 10, 11 };
    size_t shared = m->express ? 1 : G_N_ELEMENTS(pci_irqs);
    guint at = begin_table(b, "APIC", 1);

    put(b, APIC_BASE, 4);
    put(b, 1, 4); /* there is an 8259 pair, too */
    for (int n = 0; n < m->cpus; n++) {
        put(b, 0x0800, 2);
        put(b, n, 1);
        put(b, m->apic_ids[n], 1);
        put(b, 1, 4);
    }
    put(b, 0x0c01, 2); /* the I/O APIC */
    put(b, 0, 2);
    put(b, IOAPIC_BASE, 4);
    put(b, 0, 4);
    put_override(b, 0, 2, 0);
    for (size_t n = 0; n < shared; n++) {
        put_override(b, pci_irqs[n], pci_irqs[n], LEVEL_ACTIVE_HIGH);
    }
    put(b, 0x0604, 2); /* NMI on LINT1 of all processors */
    put(b, 0xff, 1);
    put(b, 0, 2);
    put(b, 1, 1);
    end_table(b, at);
    return at;
}

static guint add_hpet(Build *b)
{
    guint at = begin_table(b, "HPET", 1);

    put(b, HPET_ID, 4);
    put(b, 0, 4); /* in memory, 32-bit accesses */
    put(b, HPET_BASE, 8);
    put(b, 0, 1);
    put(b, 0, 2);
    put(b, 0, 1);
    end_table(b, at);
    return at;
}

/* PCI Firmware Specification 3.0, 4.1.2. */
static guint add_mcfg(Build *b, const AcpiMachine *m)
{
    guint at = begin_table(b, "MCFG", 1);

    put(b, 0, 8);
    put(b, m->places.mmconfig, 8);
    put(b, 0, 2); /* segment */
    put(b, 0, 1); /* first and last bus */
    put(b, m->places.mmconfig_buses - 1, 1);
    put(b, 0, 4);
    end_table(b, at);
    return at;
}

static guint add_rsdt(Build *b, const guint *tables, int count)
{
    guint at = begin_table(b, "RSDT", 1);

    for (int n = 0; n < count; n++) {
        put_pointer(b, tables[n]);
    }
    end_table(b, at);
    return at;
}

static void add_rsdp(Build *b, Device *fw_cfg, guint rsdt)
{
    uint8_t rsdp[RSDP_SIZE] = "RSD PTR ";

    memcpy(rsdp + 9, "MYNA  ", 6);
    store_le32(rsdp + 16, rsdt);
    load_pointer(b, RSDP_FILE, TABLES_FILE, 16);
    load_checksum(b, RSDP_FILE, 8, 0, RSDP_SIZE);
    fw_cfg_add_file(fw_cfg, RSDP_FILE, rsdp, sizeof(rsdp));
}

/*
 * Firmware has read the directory, with sizes, before it decides where things are: made again, a file has the size that
 * it had. Zeros are no command of the script.
 */
static void add_file(Device *fw_cfg, const char *name, GByteArray *contents)
{
    size_t size = 0;
    guint old = contents->len;

    fw_cfg_file_data(fw_cfg, name, &size);
    if (size < old) {
        size = (((size_t)old + ROOM_TO_GROW) | (FILE_ALIGN - 1)) + 1;
    }
    g_byte_array_set_size(contents, size);
    memset(contents->data + old, 0, size - old);
    fw_cfg_add_file(fw_cfg, name, contents->data, size);
}

void acpi_add_tables(Device *fw_cfg, const AcpiMachine *m)
{
    Build b = { g_byte_array_new(), g_byte_array_new() };
    guint facs, dsdt, tables[4];
    int count = 0;

    load_allocate(&b, RSDP_FILE, 16, ZONE_FSEG);
    load_allocate(&b, TABLES_FILE, 64, ZONE_HIGH);
    facs = add_facs(&b); /* first: its alignment is the file's */
    dsdt = add_dsdt(&b, m);
    tables[count++] = add_fadt(&b, m, facs, dsdt);
    if (m->apic) {
        tables[count++] = add_madt(&b, m);
    }
    if (m->hpet) {
        tables[count++] = add_hpet(&b);
    }
    if (m->places.mmconfig_buses) {
        tables[count++] = add_mcfg(&b, m);
    }
    add_rsdp(&b, fw_cfg, add_rsdt(&b, tables, count));
    add_file(fw_cfg, TABLES_FILE, b.tables);
    add_file(fw_cfg, ACPI_LOADER_FILE, b.loader);
    g_byte_array_unref(b.tables);
    g_byte_array_unref(b.loader);
}
