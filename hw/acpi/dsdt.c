/* The DSDT of a PC: PCI and its interrupt links, ISA devices, processors, soft off. */
#include "hw/acpi/dsdt.h"

#include "hw/acpi/aml.h"
#include "hw/acpi/ich9_pm.h"
#include "hw/acpi/pci_hotplug.h"
#include "hw/acpi/piix4_pm.h"
#include "hw/acpi/pm.h"
#include "hw/isa/isa.h"
#include "hw/timer/hpet.h"

enum { PCI_CONFIG_SPACE = 2, PIIX_LINKS = 4, ICH9_LINKS = 8 };
#define PCI_HOLE_LAST 0xfebfffff /* the I/O APIC follows */

/* Above RAM, but for what configuration space takes. */
static void add_low_windows(Aml *a, const AcpiMachine *m)
{
    uint64_t start = m->places.mmconfig, end = start + ((uint64_t)m->places.mmconfig_buses << 20);

    if (start == end || start < m->pci_hole || end > PCI_HOLE_LAST) {
        aml_memory_window(a, m->pci_hole, PCI_HOLE_LAST, false);
        return;
    }
    if (start > m->pci_hole) {
        aml_memory_window(a, m->pci_hole, start - 1, false);
    }
    aml_memory_window(a, end, PCI_HOLE_LAST, false);
}

static void add_root_windows(Aml *a, const AcpiMachine *m)
{
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_bus_numbers(a, 0, 0xff);
    aml_io(a, 0xcf8, 8);
    aml_port_window(a, 0, 0xcf7);
    aml_port_window(a, 0xd00, 0xffff);
    aml_memory_window(a, 0xa0000, 0xbffff, true);
    add_low_windows(a, m);
    if (m->places.high_first < m->places.high_last) {
        aml_high_memory_window(a, m->places.high_first, m->places.high_last);
    }
    aml_end(a);
}

/* The power management function's pin is wired to the SCI, all others rotate over the links. */
static void add_routing(Aml *a)
{
    static const char *const links[PIIX_LINKS] = { "LNKA", "LNKB", "LNKC", "LNKD" };

    aml_name(a, "_PRT");
    aml_package(a, 31 * 4);
    for (int slot = 1; slot < 32; slot++) {
        for (int pin = 0; pin < 4; pin++) {
            aml_package(a, 4);
            aml_int(a, slot << 16 | 0xffff);
            aml_int(a, pin);
            aml_path(a, slot == 1 && pin == 0 ? "LNKS" : links[(slot - 1 + pin) & 3]);
            aml_int(a, 0);
            aml_end(a);
        }
    }
    aml_end(a);
}

static void return_int(Aml *a, uint64_t value)
{
    aml_op(a, AML_RETURN);
    aml_int(a, value);
}

/* _STA: on unless bit 7 of the route says off. */
static void add_link_status(Aml *a, const char *route)
{
    aml_method(a, "_STA", 0, false);
    aml_if(a);
    aml_op(a, AML_AND);
    aml_path(a, route);
    aml_int(a, 0x80);
    aml_int(a, 0);
    return_int(a, 0x09);
    aml_end(a);
    return_int(a, 0x0b);
    aml_end(a);
}

static void add_link_current(Aml *a, const char *route)
{
    static const uint32_t none;

    aml_method(a, "_CRS", 0, true);
    aml_name(a, "PRR0");
    aml_resources(a);
    aml_interrupts(a, &none, 1);
    aml_end(a);
    aml_op(a, AML_CREATE_DWORD);
    aml_path(a, "PRR0");
    aml_int(a, 5);
    aml_path(a, "PRRI");
    aml_if(a);
    aml_op(a, AML_LESS);
    aml_path(a, route);
    aml_int(a, 0x80);
    aml_op(a, AML_STORE);
    aml_path(a, route);
    aml_path(a, "PRRI");
    aml_end(a);
    aml_op(a, AML_RETURN);
    aml_path(a, "PRR0");
    aml_end(a);
}

static void add_link_set(Aml *a, const char *route)
{
    aml_method(a, "_SRS", 1, true);
    aml_op(a, AML_CREATE_DWORD);
    aml_op(a, AML_ARG0);
    aml_int(a, 5);
    aml_path(a, "PRRI");
    aml_op(a, AML_STORE);
    aml_path(a, "PRRI");
    aml_path(a, route);
    aml_end(a);
}

static void add_link(Aml *a, int n)
{
    static const uint32_t choices[] = { 5, 10, 11 };
    g_autofree char *name = g_strdup_printf("LNK%c", 'A' + n);
    g_autofree char *route = g_strdup_printf("\\_SB.PCI0.ISA.PRQ%d", n);

    aml_device(a, name);
    aml_name_id(a, "_HID", "PNP0C0F");
    aml_name_int(a, "_UID", n);
    aml_name(a, "_PRS");
    aml_resources(a);
    aml_interrupts(a, choices, G_N_ELEMENTS(choices));
    aml_end(a);
    add_link_status(a, route);
    aml_method(a, "_DIS", 0, false);
    aml_op(a, AML_OR);
    aml_path(a, route);
    aml_int(a, 0x80);
    aml_path(a, route);
    aml_end(a);
    add_link_current(a, route);
    add_link_set(a, route);
    aml_end(a);
}

static void add_sci_link(Aml *a)
{
    static const uint32_t sci = SCI_IRQ;

    aml_device(a, "LNKS");
    aml_name_id(a, "_HID", "PNP0C0F");
    aml_name_int(a, "_UID", PIIX_LINKS);
    for (int n = 0; n < 2; n++) {
        aml_name(a, n ? "_CRS" : "_PRS");
        aml_resources(a);
        aml_interrupts(a, &sci, 1);
        aml_end(a);
    }
    aml_name_int(a, "_STA", 0x0b);
    aml_method(a, "_DIS", 0, false);
    aml_end(a);
    aml_method(a, "_SRS", 1, false);
    aml_end(a);
    aml_end(a);
}

static void begin_isa_device(Aml *a, const char *name, const char *id)
{
    aml_device(a, name);
    aml_name_id(a, "_HID", id);
    aml_name_int(a, "_STA", 0x0f);
    aml_name(a, "_CRS");
    aml_resources(a);
}

static void end_isa_device(Aml *a)
{
    aml_end(a);
    aml_end(a);
}

/* Its id is none of EISA's, so it is a text. */
static void begin_pvpanic(Aml *a, uint32_t port)
{
    aml_device(a, "PEVT");
    aml_name(a, "_HID");
    aml_string(a, "QEMU0001");
    aml_name_int(a, "_STA", 0x0f);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_io(a, port, 1);
}

typedef struct IsaScan {
    Aml *a;
    int serials, parallels;
} IsaScan;

static void add_numbered(IsaScan *scan, const IsaDevice *isa, const char *prefix, const char *id,
                         int number)
{
    g_autofree char *name = g_strdup_printf("%s%d", prefix, number);

    aml_device(scan->a, name);
    aml_name_id(scan->a, "_HID", id);
    aml_name_int(scan->a, "_UID", number);
    aml_name_int(scan->a, "_STA", 0x0f);
    aml_name(scan->a, "_CRS");
    aml_resources(scan->a);
    aml_io(scan->a, isa->iobase, 8);
    if (isa->irq < ISA_IRQS) {
        aml_irq(scan->a, 1 << isa->irq);
    }
    end_isa_device(scan->a);
}

/* What the command line may have put on the bus or left out. */
static void add_if_known(Device *dev, void *opaque)
{
    IsaScan *scan = opaque;
    const char *type = dev->type->name;

    if (g_str_equal(type, "isa-serial") && scan->serials < 9) {
        add_numbered(scan, (IsaDevice *)dev, "COM", "PNP0501", ++scan->serials);
    } else if (g_str_equal(type, "isa-parallel") && scan->parallels < 9) {
        add_numbered(scan, (IsaDevice *)dev, "LPT", "PNP0400", ++scan->parallels);
    } else if (g_str_equal(type, "isa-fdc")) {
        begin_isa_device(scan->a, "FDC0", "PNP0700");
        aml_io(scan->a, 0x3f2, 4);
        aml_io(scan->a, 0x3f7, 1);
        aml_irq(scan->a, 1 << 6);
        aml_dma(scan->a, 2);
        end_isa_device(scan->a);
    } else if (g_str_equal(type, "i8042")) {
        begin_isa_device(scan->a, "KBD", "PNP0303");
        aml_io(scan->a, 0x60, 1);
        aml_io(scan->a, 0x64, 1);
        aml_irq(scan->a, 1 << 1);
        end_isa_device(scan->a);
        begin_isa_device(scan->a, "MOU", "PNP0F13");
        aml_irq(scan->a, 1 << 12);
        end_isa_device(scan->a);
    } else if (g_str_equal(type, "pvpanic")) {
        begin_pvpanic(scan->a, ((IsaDevice *)dev)->iobase);
        end_isa_device(scan->a);
    } else if (g_str_equal(type, "mc146818rtc")) {
        begin_isa_device(scan->a, "RTC", "PNP0B00");
        aml_io(scan->a, 0x70, 8);
        aml_irq(scan->a, 1 << 8);
        end_isa_device(scan->a);
    }
}

static void add_isa(Aml *a, const AcpiMachine *m)
{
    static const char *const routes[] = { "PRQ0", "PRQ1", "PRQ2", "PRQ3", NULL };
    static const char *const more_routes[] = { "PRQ4", "PRQ5", "PRQ6", "PRQ7", NULL };
    IsaScan scan = { a };

    aml_device(a, "ISA");
    aml_name_int(a, "_ADR", (m->express ? 31 : 1) << 16);
    aml_region(a, "P40C", PCI_CONFIG_SPACE, 0x60, 4);
    aml_byte_fields(a, "P40C", routes);
    if (m->express) {
        aml_region(a, "P40D", PCI_CONFIG_SPACE, 0x68, 4);
        aml_byte_fields(a, "P40D", more_routes);
    }
    device_for_each(add_if_known, &scan);
    aml_end(a);
}

static void add_hpet(Aml *a)
{
    aml_device(a, "HPET");
    aml_name_id(a, "_HID", "PNP0103");
    aml_name_int(a, "_UID", 0);
    aml_name_int(a, "_STA", 0x0f);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_memory_fixed(a, HPET_BASE, HPET_SIZE, false);
    aml_end(a);
    aml_end(a);
}

/* Ports of the chip set that no device above claims. */
static void add_motherboard(Aml *a, const AcpiMachine *m)
{
    begin_isa_device(a, "MBRD", "PNP0C02");
    aml_io(a, m->places.pm_base, m->express ? ICH9_PM_SIZE : 0x40);
    aml_io(a, APM_PORT, 2);
    if (!m->express) {
        aml_io(a, PIIX4_SMB_BASE, 0x10);
        aml_io(a, PIIX4_GPE_BASE, PIIX4_GPE_LENGTH);
        aml_io(a, PCI_HOTPLUG_BASE, PCI_HOTPLUG_SIZE);
    }
    end_isa_device(a);
}

static void add_fw_cfg(Aml *a)
{
    aml_device(a, "FWCF");
    aml_name(a, "_HID");
    aml_string(a, "QEMU0002");
    aml_name_int(a, "_STA", 0x0b);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_io(a, 0x510, 0x0c);
    aml_end(a);
    aml_end(a);
}

/* ---- hot-plug: see hw/acpi/pci_hotplug.c for the registers ---- */

enum { SYSTEM_IO_SPACE = 1, NOTIFY_CHECK = 1, NOTIFY_EJECT = 3 };

/* What the board and the command line put there for good has no object: the guest does not offer to remove it. */
static bool has_slot_object(int slot)
{
    PciBus *bus = (PciBus *)bus_find_kind("pci");

    return bus && pci_hotplug_slot_removable(bus, slot);
}

static void add_slots(Aml *a)
{
    static const char *const registers[] = { "PCIU", "PCID", "PCIE", NULL };

    aml_region(a, "PHPR", SYSTEM_IO_SPACE, PCI_HOTPLUG_BASE, PCI_HOTPLUG_SIZE);
    aml_dword_fields(a, "PHPR", registers);
    for (int slot = 1; slot < 32; slot++) {
        g_autofree char *name = g_strdup_printf("S%02X", slot);

        if (!has_slot_object(slot)) {
            continue;
        }
        aml_device(a, name);
        aml_name_int(a, "_SUN", slot);
        aml_name_int(a, "_ADR", slot << 16);
        aml_method(a, "_EJ0", 1, false);
        aml_op(a, AML_STORE);
        aml_int(a, UINT32_C(1) << slot);
        aml_path(a, "PCIE");
        aml_end(a);
        aml_end(a);
    }
}

static void notify_if(Aml *a, uint8_t slots, int slot, int event)
{
    g_autofree char *path = g_strdup_printf("\\_SB.PCI0.S%02X", slot);

    aml_if(a);
    aml_op(a, AML_AND);
    aml_op(a, slots);
    aml_int(a, UINT32_C(1) << slot);
    aml_int(a, 0);
    aml_op(a, AML_NOTIFY);
    aml_path(a, path);
    aml_int(a, event);
    aml_end(a);
}

static void add_hotplug_event(Aml *a)
{
    aml_scope(a, "\\_GPE");
    aml_method(a, "_E01", 0, true);
    aml_op(a, AML_STORE);
    aml_path(a, "\\_SB.PCI0.PCIU");
    aml_op(a, AML_LOCAL0);
    aml_op(a, AML_STORE);
    aml_path(a, "\\_SB.PCI0.PCID");
    aml_op(a, AML_LOCAL1);
    for (int slot = 1; slot < 32; slot++) {
        if (has_slot_object(slot)) {
            notify_if(a, AML_LOCAL0, slot, NOTIFY_CHECK);
            notify_if(a, AML_LOCAL1, slot, NOTIFY_EJECT);
        }
    }
    aml_end(a);
    aml_end(a);
}

static void add_processors(Aml *a, int count)
{
    aml_scope(a, "\\_PR");
    for (int n = 0; n < count; n++) {
        g_autofree char *name = g_strdup_printf("C%03X", n);

        aml_processor(a, name, n);
        aml_end(a);
    }
    aml_end(a);
}

static void add_root(Aml *a, const AcpiMachine *m)
{
    aml_device(a, "PCI0");
    aml_name_id(a, "_HID", m->express ? "PNP0A08" : "PNP0A03");
    if (m->express) {
        aml_name_id(a, "_CID", "PNP0A03");
    }
    aml_name_int(a, "_UID", 0);
    add_root_windows(a, m);
    if (m->express) {
        dsdt_add_express_root(a);
    } else {
        add_routing(a);
    }
    add_isa(a, m);
    add_motherboard(a, m);
    add_fw_cfg(a);
    if (!m->express) {
        add_slots(a);
    }
    aml_end(a);
}

GByteArray *acpi_dsdt_body(const AcpiMachine *m)
{
    Aml a;

    aml_init(&a);
    add_processors(&a, m->cpus);
    if (m->express) {
        dsdt_add_interrupt_model(&a);
    }
    aml_scope(&a, "\\_SB");
    add_root(&a, m);
    for (int n = 0; n < (m->express ? ICH9_LINKS : PIIX_LINKS); n++) {
        add_link(&a, n);
    }
    if (m->express) {
        dsdt_add_config_space(&a, m);
    } else {
        add_sci_link(&a);
    }
    if (m->hpet) {
        add_hpet(&a);
    }
    aml_end(&a);
    if (!m->express) {
        add_hotplug_event(&a);
    }
    aml_name(&a, "\\_S5");
    aml_package(&a, 4);
    for (int n = 0; n < 4; n++) {
        aml_int(&a, n < 2 ? SLEEP_SOFT_OFF : 0);
    }
    aml_end(&a);
    return aml_finish(&a);
}
