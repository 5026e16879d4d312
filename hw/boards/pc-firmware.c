/* What a PC tells its firmware: CMOS contents and fw_cfg items. */
#include "hw/boards/pc.h"

#include "backends/block.h"
#include "hw/acpi/ich9_pm.h"
#include "hw/acpi/piix4_pm.h"
#include "hw/acpi/tables.h"
#include "hw/block/fdc.h"
#include "hw/ide/ide.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/nvram/smbios.h"
#include "hw/pci/q35.h"
#include "hw/scsi/scsi.h"
#include "hw/timer/mc146818.h"
#include "hw/usb/usb.h"
#include "target/x86/cpu.h"
#include "util/bits.h"

#include <stdlib.h>
#include <string.h>

enum {
    CMOS_FLOPPIES = 0x10, CMOS_DISKS = 0x12, CMOS_EQUIPMENT = 0x14, CMOS_BASE_MEMORY = 0x15,
    CMOS_EXTENDED = 0x17, CMOS_EXTENDED2 = 0x30, CMOS_ABOVE_16M = 0x34, CMOS_BOOT2 = 0x38,
    CMOS_BOOT = 0x3d, CMOS_ABOVE_4G = 0x5b, CMOS_CPUS = 0x5f,
};
enum { EQUIPMENT_FPU = 0x02, EQUIPMENT_MOUSE = 0x04, EQUIPMENT_FLOPPY = 0x01 };
enum { PCI_CLASS = 0x0a }; /* and subclass, in configuration space */
enum { CLASS_SCSI = 0x0100, CLASS_IDE, CLASS_SATA = 0x0106, CLASS_NVME = 0x0108, CLASS_ETHERNET = 0x0200 };
enum { E820_RAM = 1, E820_RESERVED = 2 };

typedef struct E820Entry {
    uint64_t address, length;
    uint32_t type;
} __attribute__((packed)) E820Entry;

static void set_word(Device *rtc, uint8_t index, uint16_t value)
{
    mc146818_set_byte(rtc, index, value & 0xff);
    mc146818_set_byte(rtc, index + 1, value >> 8);
}

static void fill_memory(const Pc *pc)
{
    uint64_t extended = (pc->low_ram - 0x100000) / 1024;
    uint64_t above_16m = pc->low_ram > 0x1000000 ? (pc->low_ram - 0x1000000) / 0x10000 : 0;
    uint64_t above_4g = pc->high_ram / 0x10000;

    set_word(pc->rtc, CMOS_BASE_MEMORY, 640);
    set_word(pc->rtc, CMOS_EXTENDED, MIN(extended, 0xffff));
    set_word(pc->rtc, CMOS_EXTENDED2, MIN(extended, 0xffff));
    set_word(pc->rtc, CMOS_ABOVE_16M, MIN(above_16m, 0xffff));
    set_word(pc->rtc, CMOS_ABOVE_4G, above_4g & 0xffff);
    mc146818_set_byte(pc->rtc, CMOS_ABOVE_4G + 2, above_4g >> 16);
}

/* Letters of -boot to the numbers that SeaBIOS and Bochs' BIOS know. */
static int boot_code(char letter)
{
    switch (letter) {
    case 'a':
    case 'b':
        return 1;
    case 'c':
        return 2;
    case 'd':
        return 3;
    case 'n':
        return 4;
    default:
        return 0;
    }
}

void pc_set_boot_order(const Pc *pc, const char *order)
{
    int code[3] = { 0 };

    if (!order || !*order) {
        order = "cad";
    }
    for (int n = 0; n < 3 && order[n]; n++) {
        code[n] = boot_code(order[n]);
    }
    mc146818_set_byte(pc->rtc, CMOS_BOOT, code[1] << 4 | code[0]);
    mc146818_set_byte(pc->rtc, CMOS_BOOT2, code[2] << 4);
}

static int floppy_type(const Pc *pc, int unit)
{
    return pc->fdc ? fdc_drive_type(pc->fdc, unit) : FLOPPY_NONE;
}

/* Of the first IDE channel: disks of AHCI firmware finds itself. */
static int disk_type(const Pc *pc, int unit)
{
    BlockBackend *blk = pc->chipset->express ? NULL : block_find_drive("ide", 0, unit);

    return blk && !block_is_cdrom(blk) ? 15 : 0; /* 15: asks the drive */
}

void pc_fill_cmos(const Pc *pc)
{
    int a = floppy_type(pc, 0), b = floppy_type(pc, 1);
    uint8_t equipment = EQUIPMENT_FPU | EQUIPMENT_MOUSE;

    if (a || b) {
        equipment |= EQUIPMENT_FLOPPY | (a && b ? 0x40 : 0);
    }
    fill_memory(pc);
    mc146818_set_byte(pc->rtc, CMOS_FLOPPIES, a << 4 | b);
    mc146818_set_byte(pc->rtc, CMOS_DISKS, disk_type(pc, 0) << 4 | disk_type(pc, 1));
    mc146818_set_byte(pc->rtc, CMOS_EQUIPMENT, equipment);
    mc146818_set_byte(pc->rtc, CMOS_CPUS, cpu_count() - 1);
}

static void add_e820(const Pc *pc)
{
    E820Entry map[] = {
        { 0, pc->low_ram, E820_RAM },
        { UINT64_C(1) << 32, pc->high_ram, E820_RAM },
    };

    fw_cfg_add_file(pc->fw_cfg, "etc/e820", map, pc->high_ram ? sizeof(map) : sizeof(map[0]));
}

static void add_number(const Pc *pc, const char *name, uint64_t value, size_t size)
{
    fw_cfg_add_file(pc->fw_cfg, name, &value, size);
}

static void fill_acpi(Pc *pc)
{
    uint8_t ids[256];
    AcpiMachine machine = {
        .apic_ids = ids,
        .cpus = MIN(cpu_count(), 255),
        .apic = pc->ioapic,
        .hpet = pc->hpet,
        .express = pc->chipset->express,
        .pci_hole = pc->low_ram,
        .gpe_base = pc->chipset->gpe_base + (pc->chipset->express ? pc->acpi_places.pm_base : 0),
        .gpe_length = pc->chipset->gpe_length,
        .places = pc->acpi_places,
    };

    for (int n = 0; n < machine.cpus; n++) {
        ids[n] = x86_state(cpu_get(n))->apic_id;
    }
    acpi_add_tables(pc->fw_cfg, &machine);
}

static AcpiPlaces find_places(const Pc *pc)
{
    AcpiPlaces places;

    memset(&places, 0, sizeof(places)); /* the padding too: they are compared */
    places.pm_base = pc->chipset->express ? ich9_pm_base(pc->pm) : piix4_pm_base(pc->pm);
    if (pc->chipset->express) {
        places.mmconfig = q35_mmconfig(pc->pci, &places.mmconfig_buses);
    }
    pci_bus_high_window(pc->pci, &places.high_first, &places.high_last);
    return places;
}

/* By the time firmware loads the tables it has decided where all is. */
static void update_acpi(void *opaque)
{
    Pc *pc = opaque;
    AcpiPlaces places = find_places(pc);

    if (memcmp(&places, &pc->acpi_places, sizeof(places)) != 0) {
        pc->acpi_places = places;
        fill_acpi(pc);
    }
}

static void add_acpi(Pc *pc)
{
    pc->acpi_places = find_places(pc);
    fill_acpi(pc);
    fw_cfg_on_select(pc->fw_cfg, ACPI_LOADER_FILE, update_acpi, pc);
}

static void add_smbios(const Pc *pc)
{
    SmbiosMachine machine = {
        .name = pc->chipset->name,
        .uuid = machine_config.uuid,
        .low_ram = pc->low_ram,
        .high_ram = pc->high_ram,
        .cpus = cpu_count(),
    };

    smbios_add_tables(pc->fw_cfg, &machine);
}

/* What OVMF wants a function to be called: SeaBIOS looks at the numbers only. */
static char *pci_boot_name(const PciDevice *pci)
{
    switch (load_le16(pci->config + PCI_CLASS)) {
    case CLASS_SCSI:
        return g_strdup("scsi");
    case CLASS_IDE:
        return g_strdup("ide");
    case CLASS_ETHERNET:
        return g_strdup("ethernet");
    case CLASS_SATA:
    case CLASS_NVME:
        return g_strdup_printf("pci%04x,%04x", load_le16(pci->config), load_le16(pci->config + 2));
    default:
        return g_strdup("pci");
    }
}

/* Of a function, called `name`, and the bridges on the way to it, which SeaBIOS wants under their own name. */
static char *pci_boot_path(const PciDevice *pci, const char *name)
{
    const PciDevice *bridge = pci_bus_bridge(pci->bus);
    g_autofree char *above = bridge ? pci_boot_path(bridge, "pci-bridge") : g_strdup("/pci@i0cf8");
    int fn = PCI_FUNC(pci->devfn);

    return fn ? g_strdup_printf("%s/%s@%x,%x", above, name, PCI_SLOT(pci->devfn), fn)
              : g_strdup_printf("%s/%s@%x", above, name, PCI_SLOT(pci->devfn));
}

/* Of USB storage: the controller, the hubs on the way, the port. */
static char *usb_boot_path(const PciDevice *controller, const UsbDevice *usb)
{
    const char *at = usb->socket->path;
    g_autofree char *above = pci_boot_path(controller, "usb");
    GString *path = g_string_new(above);

    for (const char *dot; (dot = strchr(at, '.')); at = dot + 1) {
        g_string_append_printf(path, "/hub@%x", atoi(at));
    }
    g_string_append_printf(path, "/storage@%x/channel@0/disk@0,0", atoi(at));
    return g_string_free(path, FALSE);
}

/* What follows the path of a function that boots by itself, without a device on a bus of its own. */
static const char *own_unit(const Device *dev)
{
    switch (load_le16(((const PciDevice *)dev)->config + PCI_CLASS)) {
    case CLASS_SCSI: /* virtio-blk; the others have buses */
        return "/disk@0,0";
    case CLASS_NVME:
        return "/namespace@1,0";
    case CLASS_ETHERNET:
        return "/ethernet-phy@0";
    default:
        return "";
    }
}

static char *controller_path(const Device *dev)
{
    const Device *owner = dev->bus->owner;
    g_autofree char *name = NULL;

    if (!owner || !owner->bus || !g_str_equal(owner->bus->kind, "pci")) {
        return NULL;
    }
    name = pci_boot_name((PciDevice *)owner);
    return pci_boot_path((PciDevice *)owner, name);
}

/* Where firmware finds a device, as Open Firmware would name it; NULL if it cannot boot. */
static char *boot_path(Device *dev)
{
    const char *bus = dev->bus ? dev->bus->kind : "";
    g_autofree char *controller = dev->bus ? controller_path(dev) : NULL;

    if (g_str_equal(bus, "pci")) {
        g_autofree char *name = pci_boot_name((PciDevice *)dev);
        g_autofree char *path = pci_boot_path((PciDevice *)dev, name);

        return g_strconcat(path, own_unit(dev), NULL);
    }
    if (!controller) {
        return NULL;
    }
    if (g_str_equal(bus, "ide")) {
        g_autofree char *unit = device_get_property(dev, "unit");

        return g_strdup_printf("%s/drive@%x/disk@%s", controller, ide_bus_number(dev->bus), unit);
    }
    if (g_str_equal(bus, "scsi")) {
        const ScsiDevice *unit = (ScsiDevice *)dev;

        return g_strdup_printf("%s/channel@0/disk@%x,%x", controller, scsi_device_target(unit), scsi_device_lun(unit));
    }
    if (g_str_equal(bus, "nvme")) {
        g_autofree char *number = device_get_property(dev, "nsid");

        return g_strdup_printf("%s/namespace@%x,0", controller, atoi(number));
    }
    if (g_str_equal(bus, "usb") && ((UsbDevice *)dev)->socket) {
        return usb_boot_path((PciDevice *)dev->bus->owner, (UsbDevice *)dev);
    }
    return NULL;
}

static void collect_bootable(Device *dev, void *opaque)
{
    if (dev->bootindex >= 0) {
        g_ptr_array_add(opaque, dev);
    }
}

static int compare_bootindex(const void *a, const void *b)
{
    return (*(Device *const *)a)->bootindex - (*(Device *const *)b)->bootindex;
}

/* A line for each device with bootindex=, after the boot ROM of -kernel. */
static void add_boot_order(const Pc *pc)
{
    g_autoptr(GPtrArray) devices = g_ptr_array_new();
    const char *first = fw_cfg_file_data(pc->fw_cfg, "bootorder", NULL);
    GString *text = g_string_new(first);

    device_for_each(collect_bootable, devices);
    g_ptr_array_sort(devices, compare_bootindex);
    for (guint n = 0; n < devices->len; n++) {
        g_autofree char *path = boot_path(devices->pdata[n]);

        if (path) {
            g_string_append_printf(text, "%s%s", text->len ? "\n" : "", path);
        }
    }
    if (machine_config.boot_strict) {
        g_string_append(text, text->len ? "\nHALT" : "HALT");
    }
    if (text->len) {
        fw_cfg_add_file(pc->fw_cfg, "bootorder", text->str, text->len + 1);
    }
    g_string_free(text, TRUE);
}

/* SeaBIOS does not look for the ROM of an ISA card; it wants to be handed it. */
static void add_isa_vga_rom(Device *dev, void *opaque)
{
    const Pc *pc = opaque;
    g_autofree char *path = NULL, *data = NULL;
    gsize size;

    if (!g_str_equal(dev->type->name, "isa-vga")) {
        return;
    }
    path = firmware_find("vgabios-stdvga.bin");
    if (path && g_file_get_contents(path, &data, &size, NULL)) {
        fw_cfg_add_file(pc->fw_cfg, "vgaroms/vgabios.bin", data, size);
    }
}

void pc_fill_fw_cfg(Pc *pc)
{
    Device *fw = pc->fw_cfg;
    /* By sleep state: 128 is "offered", the low bits are what goes into SLP_TYP. */
    static const uint8_t states[6] = { 128, 0, 0, 1, 2, 128 };
    static const uint8_t timer_on_pin_2 = 1; /* for the firmware's own MP table */
    const char *order = machine_config.boot_order ? machine_config.boot_order : "cad";

    fw_cfg_add(fw, FW_CFG_UUID, machine_config.uuid, 16);
    fw_cfg_add_u64(fw, FW_CFG_RAM_SIZE, machine_config.ram_size);
    fw_cfg_add_u16(fw, FW_CFG_NOGRAPHIC, machine_config.nographic);
    fw_cfg_add_u16(fw, FW_CFG_NB_CPUS, cpu_count());
    fw_cfg_add_u16(fw, FW_CFG_MAX_CPUS, cpu_count());
    fw_cfg_add_u16(fw, FW_CFG_BOOT_MENU, machine_config.boot_menu);
    fw_cfg_add_u16(fw, FW_CFG_BOOT_DEVICE, order[0]);
    fw_cfg_add(fw, FW_CFG_IRQ0_OVERRIDE, &timer_on_pin_2, 1);
    add_e820(pc);
    add_smbios(pc);
    add_boot_order(pc);
    device_for_each(add_isa_vga_rom, pc);
    if (machine_config.acpi && pc->pm) {
        add_acpi(pc);
    }
    fw_cfg_add_file(fw, "etc/system-states", states, sizeof(states));
    if (machine_config.boot_menu_timeout_ms >= 0) {
        add_number(pc, "etc/boot-menu-wait", machine_config.boot_menu_timeout_ms, 2);
    }
    if (machine_config.reboot_timeout_ms >= 0) {
        add_number(pc, "etc/boot-fail-wait", machine_config.reboot_timeout_ms, 4);
    }
}
