/* What the boards of both kinds of Macintosh share: memory, processor, firmware and what it is told. */
#include "hw/boards/mac.h"

#include "backends/char.h"
#include "hw/boards/elf.h"
#include "hw/misc/macio.h"
#include "hw/nvram/fw_cfg.h"
#include "target/ppc/cpu.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <elf.h>
#include <string.h>

#define FW_CFG_BASE  0xf0000510
#define RESET_VECTOR 0xfff00100
/* Items that OpenBIOS reads on Macintoshes. */
enum {
    ITEM_WIDTH = 0x8000, ITEM_HEIGHT, ITEM_DEPTH, ITEM_TIMEBASE, ITEM_CLOCK, ITEM_IS_KVM, ITEM_NVRAM_ADDR = 0x8008,
    ITEM_BUS_CLOCK, ITEM_VIA = 0x800b,
};
static const char ndrv_file[] = "qemu_vga.ndrv"; /* the card's driver for Mac OS */

bool mac_make_memory(Mac *mac, uint64_t most, GError **error)
{
    uint64_t size = machine_config.ram_size;

    if (size < 16 << 20 || size > most) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "machine '%s' has from 16 to %u MiB of memory", mac->board->name,
                    (unsigned)(most >> 20));
        return false;
    }
    mac->ram = region_new_ram("mac.ram", size, error);
    if (!mac->ram) {
        return false;
    }
    region_add(memory_system_root(), 0, mac->ram);
    device_add_default(device_type_find("VGA"), "big-endian-framebuffer", "on"); /* as its software takes it to be */
    return true;
}

/* The firmware knows these, and no others have their MMU. */
static bool check_cpu(const Mac *mac, const char *model, GError **error)
{
    static const char *const families[] = { "60", "74", "75" };

    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        if (g_str_has_prefix(model, families[i])) {
            return true;
        }
    }
    if (mac->board->cpu_default_64 && g_str_has_prefix(model, "970")) {
        return true;
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "machine '%s' has a processor of the 600, 700 (G3)%s families, not a '%s'",
                mac->board->name, mac->board->cpu_default_64 ? ", 7400 (G4) and 970 (G5)" : " and 7400 (G4)", model);
    return false;
}

bool mac_make_cpu(Mac *mac, GError **error)
{
    enum { ICE = 0x8000, DCE = 0x4000 }; /* HID0 */
    Cpu *cpu = cpu_new(&ppc_cpu_type, machine_config.cpu_model, 0, error);

    if (!cpu || !check_cpu(mac, ppc_model_name(cpu), error)) {
        return false;
    }
    ppc_set_timebase(cpu, mac->timebase_hz);
    if (ppc_is_64bit(cpu)) { /* whose reset vector is in RAM: the board starts it in its ROM */
        ppc_set_reset_state(cpu, &(PpcResetState){ .given = true, .pc = RESET_VECTOR, .msr = MSR_SF | MSR_HV });
    } else {
        /* Software expects caches to be on (without them dcbz raises), which OpenBIOS does not turn on. */
        ppc_set_reset_state(cpu, &(PpcResetState){ .given = true, .pc = RESET_VECTOR, .msr = MSR_IP, .hid0 = ICE | DCE });
    }
    return true;
}

/* ---- firmware ---- */

static bool rom_error(const char *path, const char *what, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "firmware '%s' %s", path, what);
    return false;
}

/* The segments of a 32-bit big-endian ELF program, at the addresses that it names. */
static bool load_elf(Mac *mac, const char *path, const ElfFile *e, GError **error)
{
    g_autoptr(GArray) segments = NULL;

    if (e->is64 || e->little || e->machine != EM_PPC) {
        return rom_error(path, "is not for a 32-bit big-endian PowerPC", error);
    }
    segments = elf_segments(e);
    if (!segments) {
        return rom_error(path, "is damaged", error);
    }
    for (guint i = 0; i < segments->len; i++) {
        const ElfSegment *s = &g_array_index(segments, ElfSegment, i);

        if (s->phys < mac->rom_base || s->phys + s->file_size > mac->rom_base + mac->rom_size) {
            return rom_error(path, "does not fit into the ROM", error);
        }
        memcpy(region_host(mac->rom) + (s->phys - mac->rom_base), e->data + s->offset, s->file_size);
    }
    return true;
}

static bool load_image(Mac *mac, const char *path, const char *data, size_t size, GError **error)
{
    ElfFile e;

    if (elf_open(&e, data, size)) {
        return load_elf(mac, path, &e, error);
    }
    if (size > mac->rom_size) {
        return rom_error(path, "is larger than the ROM", error);
    }
    memcpy(region_host(mac->rom) + mac->rom_size - size, data, size); /* a plain image ends where the ROM does */
    return true;
}

bool mac_load_firmware(Mac *mac, GError **error)
{
    const char *name = machine_config.bios ? machine_config.bios : "openbios-ppc";
    g_autofree char *path = firmware_find(name), *data = NULL;
    gsize size;

    mac->rom = region_new_rom("mac.rom", mac->rom_size, error);
    if (!mac->rom) {
        return false;
    }
    region_add(memory_system_root(), mac->rom_base, mac->rom);
    if (!path) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "firmware '%s' not found%s", name,
                    machine_config.bios ? "" : " (Debian package qemu-system-data)");
        return false;
    }
    if (!g_file_get_contents(path, &data, &size, error) || !load_image(mac, path, data, size, error)) {
        return false;
    }
    return load_be32(region_host(mac->rom) + (RESET_VECTOR - mac->rom_base)) ||
           rom_error(path, "has no instruction where the processor begins (fff00100)", error);
}

/* ---- wiring ---- */

void mac_make_pci_window(PhysAddr at, uint64_t size, Region *target, const char *name)
{
    region_add(memory_system_root(), at, region_new_alias(name, target, target == memory_ports_root() ? 0 : at, size));
}

Line **mac_pci_lines(Mac *mac, int first_pci)
{
    Line **lines = g_new(Line *, 4);

    for (int n = 0; n < 4; n++) {
        lines[n] = macio_interrupt(mac->macio, first_pci + n);
    }
    return lines;
}

bool mac_make_macio(Mac *mac, const char *type, const char *addr, GError **error)
{
    Device *dev = device_new(device_type_find(type), "macio");

    device_set_pointer(dev, "chrA", char_find("serial0"));
    device_set_pointer(dev, "chrB", char_find("serial1"));
    if (!mac->nvram_base) {
        device_set_pointer(dev, "nvram", mac_nvram_image());
    }
    mac->macio = dev;
    if ((machine_config.audiodev && !device_set_property(dev, "audiodev", machine_config.audiodev, error)) ||
        (addr && !device_set_property(dev, "addr", addr, error)) ||
        (mac->board->has_via && !device_set_property(dev, "via", machine_config.via ? machine_config.via : "cuda", error)) ||
        !device_realize(dev, pci_bus_bus(mac->pci), error)) {
        return false;
    }
    macio_connect(dev, 0, ppc_interrupt_line(cpu_get(0), PPC_INT_EXTERNAL));
    return true;
}

/* ---- what firmware is told ---- */

/* One letter: OpenBIOS looks at the first; "m" starts what is in memory. */
static uint16_t boot_device(const Mac *mac)
{
    const char *order = machine_config.boot_once ? machine_config.boot_once : machine_config.boot_order;

    return mac->kernel_size ? 'm' : order && *order ? *order : 'c';
}

static bool check_boot_device(const Mac *mac, GError **error)
{
    char first = boot_device(mac);

    if (!strchr("cdm", first)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-boot %c: a Macintosh's firmware starts from c (disk) or d (CD-ROM)", first);
        return false;
    }
    return true;
}

static void tell_kernel(Mac *mac)
{
    Device *fw = mac->fw_cfg;

    fw_cfg_add_u32(fw, FW_CFG_KERNEL_ADDR, mac->kernel_addr);
    fw_cfg_add_u32(fw, FW_CFG_KERNEL_SIZE, mac->kernel_size);
    fw_cfg_add_u32(fw, FW_CFG_KERNEL_CMDLINE, mac->cmdline_addr);
    fw_cfg_add_u32(fw, FW_CFG_INITRD_ADDR, mac->initrd_addr);
    fw_cfg_add_u32(fw, FW_CFG_INITRD_SIZE, mac->initrd ? g_bytes_get_size(mac->initrd) : 0);
}

static void add_ndrv(Mac *mac)
{
    g_autofree char *path = firmware_find(ndrv_file), *data = NULL;
    gsize size;

    if (path && g_file_get_contents(path, &data, &size, NULL)) {
        fw_cfg_add_file(mac->fw_cfg, "ndrv/qemu_vga.ndrv", data, size);
    }
}

/* The firmware writes pixels of 8, 15 and 32 bits: the depths between them are what fits into the same bytes. */
static uint16_t firmware_depth(unsigned wanted)
{
    return wanted == 16 ? 15 : wanted == 24 || !wanted ? 32 : wanted;
}

bool mac_make_fw_cfg(Mac *mac, GError **error)
{
    const MachineConfig *m = &machine_config;
    g_autofree char *base = g_strdup_printf("0x%x", FW_CFG_BASE);
    Device *fw = mac->fw_cfg = device_new(&fw_cfg_type, "fw_cfg");

    if (!check_boot_device(mac, error) || !device_set_property(fw, "mem-base", base, error) ||
        !device_set_property(fw, "dma_iobase", "0", error) || !device_realize(fw, NULL, error)) {
        return false;
    }
    fw_cfg_add(fw, FW_CFG_UUID, m->uuid, sizeof(m->uuid));
    fw_cfg_add_u64(fw, FW_CFG_RAM_SIZE, m->ram_size);
    fw_cfg_add_u16(fw, FW_CFG_NOGRAPHIC, m->nographic);
    fw_cfg_add_u16(fw, FW_CFG_NB_CPUS, m->cpus);
    fw_cfg_add_u16(fw, FW_CFG_MAX_CPUS, m->cpus);
    fw_cfg_add_u16(fw, FW_CFG_MACHINE_ID, mac->machine_id);
    fw_cfg_add_u16(fw, FW_CFG_BOOT_MENU, m->boot_menu);
    fw_cfg_add_u16(fw, FW_CFG_BOOT_DEVICE, boot_device(mac));
    fw_cfg_add_u16(fw, ITEM_WIDTH, m->width ? m->width : 800);
    fw_cfg_add_u16(fw, ITEM_HEIGHT, m->height ? m->height : 600);
    fw_cfg_add_u16(fw, ITEM_DEPTH, firmware_depth(m->depth));
    fw_cfg_add_u32(fw, ITEM_TIMEBASE, mac->timebase_hz);
    fw_cfg_add_u32(fw, ITEM_CLOCK, mac->cpu_hz);
    fw_cfg_add_u32(fw, ITEM_BUS_CLOCK, mac->bus_hz);
    fw_cfg_add_u32(fw, ITEM_IS_KVM, 0);
    if (mac->nvram_base) {
        fw_cfg_add_u32(fw, ITEM_NVRAM_ADDR, mac->nvram_base);
    }
    if (mac->board->has_via) {
        fw_cfg_add_u32(fw, ITEM_VIA, mac->via);
    }
    tell_kernel(mac);
    add_ndrv(mac);
    return true;
}
