/* The PC of PCI Express: Q35 host bridge with ICH9, as of 2009. */
#include "hw/boards/pc.h"

#include "hw/acpi/ich9_pm.h"
#include "hw/acpi/pm.h"
#include "hw/boards/kernel.h"
#include "hw/intr/ioapic.h"
#include "hw/isa/ich9.h"
#include "hw/pci/q35.h"

enum { FIRST_PIRQ_INPUT = 16 };

static const PcChipset chipset = {
    .name = "Standard PC (Q35 + ICH9, 2009)",
    .low_ram_max = UINT64_C(0xb0000000), /* where firmware puts configuration space */
    .express = true,
    .gpe_base = ICH9_GPE,
    .gpe_length = ICH9_GPE_LENGTH,
};

/* Power management is part of the bridge; its watchdog has a file of its own. */
static bool make_power_management(Pc *pc, Device **tco, GError **error)
{
    *tco = device_new(&ich9_tco_type, "tco");
    pc->pm = device_new(&ich9_pm_type, "pm");
    ich9_tco_connect(*tco, pc->pm);
    ich9_pm_connect(pc->pm, memory_ports_root(), pc->irqs[SCI_IRQ], *tco);
    return device_realize(*tco, NULL, error) && device_realize(pc->pm, NULL, error);
}

static bool make_bridges(Pc *pc, Device *lpc, GError **error)
{
    Line *pirqs[ISA_IRQS], *inputs[Q35_PIRQS];
    Device *tco;

    pc->pci = q35_new(memory_system_root(), memory_ports_root(), pc->rom_space, pc->ram, pc->low_ram, ich9_map_irq,
                      ich9_set_pirq, lpc, error);
    if (!pc->pci) {
        return false;
    }
    pc_share_irqs(pc, pirqs);
    for (int n = 0; n < Q35_PIRQS && pc->ioapic; n++) {
        Line **gate = line_or_gate(ioapic_input(pc->ioapic, FIRST_PIRQ_INPUT + n), 2);

        inputs[n] = gate[0];
        pc->hpet_inputs[FIRST_PIRQ_INPUT + n] = gate[1];
    }
    if (!make_power_management(pc, &tco, error)) {
        return false;
    }
    ich9_connect(lpc, pirqs, pc->ioapic ? inputs : NULL, memory_system_root(), pc->pm, tco);
    q35_set_reset_register(pc->pci, ich9_read_reset, ich9_write_reset, lpc);
    return device_set_property(lpc, "addr", "1f", error) && device_realize(lpc, pci_bus_bus(pc->pci), error);
}

/* Three UHCI controllers are companions of the EHCI one. */
static bool add_usb(Pc *pc, GError **error)
{
    Bus *bus = pci_bus_bus(pc->pci);
    Device *ehci;

    return pc_add("ich9-usb-ehci1", bus, "addr=1d.7,multifunction=on", &ehci, error) &&
           pc_add("ich9-usb-uhci1", bus, "addr=1d.0,multifunction=on,masterbus=usb-bus.0,firstport=0", NULL, error) &&
           pc_add("ich9-usb-uhci2", bus, "addr=1d.1,multifunction=on,masterbus=usb-bus.0,firstport=2", NULL, error) &&
           pc_add("ich9-usb-uhci3", bus, "addr=1d.2,multifunction=on,masterbus=usb-bus.0,firstport=4", NULL, error);
}

static bool build(const BoardType *type, GError **error)
{
    Pc *pc = g_new0(Pc, 1);
    Device *lpc;
    Bus *bus;

    pc->chipset = &chipset;
    if (!pc_make_memory(pc, error) || !pc_make_cpus(pc, type, error) || !pc_make_pic(pc, error) ||
        !pc_make_apics(pc, type, error)) {
        return false;
    }
    pc->rom_space = region_new_container("pci", UINT64_MAX);
    region_add_overlap(memory_system_root(), 0, pc->rom_space, -1);
    pc->has_pci = true;
    lpc = device_new(device_type_find("ICH9-LPC"), "ich9");
    if (!make_bridges(pc, lpc, error) || !pc_make_isa(pc, lpc, error) || !pc_make_hpet(pc, error) ||
        !pc_make_vmport(pc, error) || !pc_make_fw_cfg(pc, error) || !pc_load_bios(pc, "bios-256k.bin", error) ||
        !kernel_load(pc->fw_cfg, pc->low_ram, error)) {
        return false;
    }
    bus = pci_bus_bus(pc->pci);
    if (!pc_add("ich9-ahci", bus, "addr=1f.2,builtin=on", NULL, error) ||
        !pc_add("ICH9-SMB", bus, "addr=1f.3", NULL, error) || (machine_config.usb && !add_usb(pc, error))) {
        return false;
    }
    pc_finish(pc);
    return true;
}

const BoardType q35_board = {
    .name = "q35",
    .alias = "pc-q35-9.0",
    .versions = "pc-q35-",
    .about = "Standard PC (Q35 + ICH9, 2009)",
    .target = "x86",
    .cpu_default = "default",
    .max_cpus = 255,
    .ram_default = UINT64_C(128) << 20,
    .ide_units = 1,
    .build = build,
};
