/* The NewWorld Macintosh: a PowerMac G4 with UniNorth and KeyLargo, or a G5 of sorts with U3. */
#include "hw/boards/mac.h"

#include "hw/misc/macio.h"
#include "hw/nvram/mac_nvram.h"
#include "hw/pci/uninorth.h"
#include "target/ppc/cpu.h"

#include <string.h>

enum { FIRST_PCI_INTERRUPT = 0x1b };
enum { MACHINE_UNINORTH = 1, MACHINE_U3 = 3 };
#define UNINORTH_BASE 0xf8000000
#define AGP_BASE      0xf0000000
#define MAIN_BASE     0xf2000000
#define INTERNAL_BASE 0xf4000000
#define PCI_WINDOW    0x80000000
#define PORTS_WINDOW  0xf2000000
#define NVRAM_BASE    0xfff04000

/* A host whose bus has no slot that a function could be put into. */
static PciBus *empty_bus(const DeviceType *type, const char *name, PhysAddr base, GError **error)
{
    return uninorth_pci_new(type, name, base, region_new_container(name, UINT64_C(1) << 32),
                            region_new_container(name, 0x10000), error);
}

static bool make_hosts(Mac *mac, bool is_u3, GError **error)
{
    Device *uninorth = device_new(&uninorth_type, NULL);

    if (!device_realize(uninorth, NULL, error)) {
        return false;
    }
    region_add(memory_system_root(), UNINORTH_BASE, uninorth_region(uninorth));
    mac->pci_memory = region_new_container("pci", UINT64_C(1) << 32);
    mac->pci = uninorth_pci_new(is_u3 ? &u3_agp_type : &uninorth_pci_type, "pci.0", is_u3 ? AGP_BASE : MAIN_BASE,
                                mac->pci_memory, memory_ports_root(), error);
    if (!mac->pci) {
        return false;
    }
    mac_make_pci_window(PCI_WINDOW, is_u3 ? 0x70000000 : 0x10000000, mac->pci_memory, "pci-window");
    mac_make_pci_window(PORTS_WINDOW, 0x10000, memory_ports_root(), "pci-ports");
    return is_u3 || (empty_bus(&uninorth_internal_type, "pci.1", INTERNAL_BASE, error) &&
                     empty_bus(&uninorth_agp_type, "pci.2", AGP_BASE, error));
}

static bool make_nvram(GError **error)
{
    Device *nvram = device_new(&mac_nvram_type, "nvram");

    device_set_pointer(nvram, "drive", mac_nvram_image());
    if (!device_realize(nvram, NULL, error) || !mac_prepare_nvram(nvram, true, error)) {
        return false;
    }
    region_add_overlap(memory_system_root(), NVRAM_BASE, mac_nvram_region(nvram), 1);
    return true;
}

static bool add(const char *name, Bus *bus, GError **error)
{
    return device_realize(device_new(device_type_find(name), NULL), bus, error);
}

/* Without a desktop bus, keyboard and mouse are on USB; and on a G5, whose kernels know no CUDA. */
static bool make_usb(Mac *mac, GError **error)
{
    bool has_keyboard = machine_config.default_devices && (mac->via == 1 || mac->machine_id == MACHINE_U3);
    Bus *bus;

    if (!add("pci-ohci", pci_bus_bus(mac->pci), error)) {
        return false;
    }
    bus = bus_find_kind("usb");
    return !has_keyboard || (add("usb-kbd", bus, error) && add("usb-mouse", bus, error));
}

static int via_number(void)
{
    const char *via = machine_config.via ? machine_config.via : "cuda";

    return g_str_equal(via, "pmu") ? 1 : g_str_equal(via, "pmu-adb") ? 2 : 0;
}

static bool build(const BoardType *type, GError **error)
{
    Mac *mac = g_new0(Mac, 1);
    g_autofree Line **lines = NULL;
    bool is_u3;

    *mac = (Mac){
        .board = type, .machine_id = MACHINE_UNINORTH, .timebase_hz = 100000000, .cpu_hz = 900000000, .bus_hz = 100000000,
        .nvram_base = NVRAM_BASE, .via = via_number(), .rom_base = 0xfff00000, .rom_size = 0x100000,
    };
    if (!mac_make_cpu(mac, error) || !mac_make_memory(mac, UINT64_C(2) << 30, error) || !mac_load_firmware(mac, error)) {
        return false;
    }
    is_u3 = ppc_is_64bit(cpu_get(0));
    mac->machine_id = is_u3 ? MACHINE_U3 : MACHINE_UNINORTH;
    if (!make_hosts(mac, is_u3, error) || !mac_make_macio(mac, "macio-newworld", NULL, error)) {
        return false;
    }
    lines = mac_pci_lines(mac, FIRST_PCI_INTERRUPT);
    uninorth_pci_connect(mac->pci, lines);
    return make_usb(mac, error) && make_nvram(error) && mac_load_kernel(mac, error) && mac_make_fw_cfg(mac, error);
}

const BoardType mac99_board = {
    .name = "mac99",
    .about = "PowerMac G4 (UniNorth, KeyLargo)",
    .target = "ppc",
    .cpu_default = "7400",
    .cpu_default_64 = "970fx",
    .nic = "sungem",
    .own_serials = true,
    .has_via = true,
    .has_sound = true,
    .has_settings = true,
    .max_cpus = 1,
    .ram_default = UINT64_C(128) << 20,
    .build = build,
};
