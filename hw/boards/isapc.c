/* An AT-class PC without PCI: the 8259 pair, ISA devices, no ACPI. */
#include "hw/boards/kernel.h"
#include "hw/boards/pc.h"

enum { SHADOW = 0x20000 }; /* bytes of the firmware that are run from RAM below 1 MiB */

typedef struct IsaPc {
    Pc pc;
    uint8_t firmware[SHADOW];
    size_t size;
} IsaPc;

/* There is no bridge that could write-protect it, and firmware keeps variables next to its code. */
static void load_shadow(void *opaque)
{
    IsaPc *m = opaque;

    memory_write(memory_system(), 0x100000 - m->size, m->firmware, m->size);
}

static void keep_firmware(IsaPc *m)
{
    m->size = SHADOW;
    memory_read(memory_system(), (UINT64_C(1) << 32) - m->size, m->firmware, m->size);
    machine_on_reset(load_shadow, m);
}

static const PcChipset chipset = { .name = "ISA-only PC", .low_ram_max = UINT64_C(0xe0000000) };

static bool build(const BoardType *type, GError **error)
{
    IsaPc *m = g_new0(IsaPc, 1);
    Pc *pc = &m->pc;

    pc->chipset = &chipset;
    if (!pc_make_memory(pc, error) || !pc_make_cpus(pc, type, error) || !pc_make_pic(pc, error) ||
        !pc_make_apics(pc, type, error)) {
        return false;
    }
    pc->rom_space = region_new_container("isa", UINT64_C(1) << 32); /* above RAM */
    region_add_overlap(memory_system_root(), 0, pc->rom_space, 1);
    if (!pc_make_isa(pc, NULL, error) || !pc_make_vmport(pc, error) ||
        !pc_make_fw_cfg(pc, error) ||
        !pc_load_bios(pc, "bios.bin", error)) {
        return false;
    }
    keep_firmware(m);
    if (!kernel_load(pc->fw_cfg, pc->low_ram, error) ||
        !pc_add("isa-ide", isa_bus(), "iobase=0x1f0,iobase2=0x3f6,irq=14,index=0", NULL, error) ||
        !pc_add("isa-ide", isa_bus(), "iobase=0x170,iobase2=0x376,irq=15,index=1", NULL, error)) {
        return false;
    }
    pc_finish(pc);
    return true;
}

const BoardType isapc_board = {
    .name = "isapc",
    .about = "ISA-only PC",
    .target = "x86",
    .cpu_default = "486",
    .nic = "ne2k_isa",
    .max_cpus = 1,
    .ram_default = UINT64_C(128) << 20,
    .build = build,
};
