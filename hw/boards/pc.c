/* The standard PC: 440FX host bridge with PIIX3 and PIIX4, as of 1996 and as every guest knows. */
#include "hw/boards/pc.h"

#include "hw/acpi/piix4_pm.h"
#include "hw/acpi/pm.h"
#include "hw/boards/kernel.h"
#include "hw/isa/piix3.h"
#include "hw/pci/i440fx.h"

static const PcChipset chipset = {
    .name = "Standard PC (i440FX + PIIX, 1996)",
    .low_ram_max = UINT64_C(0xe0000000),
    .gpe_base = PIIX4_GPE_BASE,
    .gpe_length = PIIX4_GPE_LENGTH,
};

static bool build(const BoardType *type, GError **error)
{
    Pc *pc = g_new0(Pc, 1);
    Region *root = memory_system_root(), *ports = memory_ports_root();
    Line *pirqs[ISA_IRQS];
    Device *bridge;
    PciBus *pci;

    pc->chipset = &chipset;
    if (!pc_make_memory(pc, error) || !pc_make_cpus(pc, type, error) || !pc_make_pic(pc, error) ||
        !pc_make_apics(pc, type, error)) {
        return false;
    }
    pc->rom_space = region_new_container("pci", UINT64_MAX);
    region_add_overlap(root, 0, pc->rom_space, -1);

    bridge = device_new(device_type_find("PIIX3"), "piix3");
    pci = i440fx_new(root, ports, pc->rom_space, pc->ram, piix3_set_pirq, bridge, error);
    if (!pci || !device_set_property(bridge, "addr", "1", error) ||
        !device_realize(bridge, pci_bus_bus(pci), error)) {
        return false;
    }
    pc_share_irqs(pc, pirqs);
    piix3_connect(bridge, pirqs);
    i440fx_set_reset_register(pci, piix3_read_reset, piix3_write_reset, bridge);

    pc->pci = pci;
    pc->has_pci = true;
    if (!pc_make_isa(pc, bridge, error) || !pc_make_hpet(pc, error) ||
        !pc_make_vmport(pc, error) ||
        !pc_make_fw_cfg(pc, error) || !pc_load_bios(pc, "bios-256k.bin", error) ||
        !kernel_load(pc->fw_cfg, pc->low_ram, error)) {
        return false;
    }
    if (!pc_add("piix3-ide", pci_bus_bus(pci), "addr=1.1", NULL, error) ||
        (machine_config.usb && !pc_add("piix3-usb-uhci", pci_bus_bus(pci), "addr=1.2", NULL, error)) ||
        !pc_add("PIIX4_PM", pci_bus_bus(pci), "addr=1.3", &pc->pm, error)) {
        return false;
    }
    piix4_pm_connect(pc->pm, pc->irqs[SCI_IRQ]);
    pc_finish(pc);
    return true;
}

const BoardType pc_board = {
    .name = "pc",
    .alias = "pc-i440fx-9.0",
    .versions = "pc-i440fx-",
    .about = "Standard PC (i440FX + PIIX, 1996)",
    .is_default = true,
    .target = "x86",
    .cpu_default = "default",
    .nic = "e1000",
    .max_cpus = 255,
    .ram_default = UINT64_C(128) << 20,
    .build = build,
};
