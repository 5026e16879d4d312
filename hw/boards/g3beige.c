/* The OldWorld Macintosh: a beige PowerMac G3 with Grackle and Heathrow. */
#include "hw/boards/mac.h"

#include "hw/misc/macio.h"
#include "hw/pci/grackle.h"

enum { FIRST_PCI_INTERRUPT = 0x15, MACHINE_HEATHROW = 2 };
#define PCI_WINDOW   0x80000000
#define PORTS_WINDOW 0xfe000000

static bool build(const BoardType *type, GError **error)
{
    Mac *mac = g_new0(Mac, 1);
    g_autofree Line **lines = NULL;

    *mac = (Mac){
        .board = type, .machine_id = MACHINE_HEATHROW, .timebase_hz = 16600000, .cpu_hz = 266000000, .bus_hz = 66000000,
        .rom_base = 0xffc00000, .rom_size = 0x400000,
    };
    if (!mac_make_cpu(mac, error) || !mac_make_memory(mac, UINT64_C(2047) << 20, error) || !mac_load_firmware(mac, error)) {
        return false;
    }
    mac->pci_memory = region_new_container("pci", UINT64_C(1) << 32);
    mac->pci = grackle_new("pci.0", mac->pci_memory, memory_ports_root(), error);
    if (!mac->pci) {
        return false;
    }
    mac_make_pci_window(PCI_WINDOW, 0x7e000000, mac->pci_memory, "pci-window");
    mac_make_pci_window(PORTS_WINDOW, 0x10000, memory_ports_root(), "pci-ports");
    if (!mac_make_macio(mac, "macio-oldworld", "10", error)) {
        return false;
    }
    lines = mac_pci_lines(mac, FIRST_PCI_INTERRUPT);
    grackle_connect(mac->pci, lines);
    return mac_prepare_nvram(macio_nvram(mac->macio), false, error) && mac_load_kernel(mac, error) &&
           mac_make_fw_cfg(mac, error);
}

const BoardType g3beige_board = {
    .name = "g3beige",
    .about = "PowerMac G3 (Grackle, Heathrow)",
    .target = "ppc",
    .cpu_default = "750",
    .nic = "ne2k_pci",
    .own_serials = true,
    .has_sound = true,
    .has_settings = true,
    .max_cpus = 1,
    .ram_default = UINT64_C(128) << 20,
    .build = build,
};
