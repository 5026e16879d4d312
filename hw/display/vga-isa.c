/* The standard VGA on the ISA bus, with its BIOS at C0000h. */
#include "core/machine.h"
#include "hw/display/vga.h"
#include "hw/isa/isa.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

typedef struct VgaIsa {
    IsaDevice isa;
    Vga vga;
    uint32_t vram_mb;
    Region *rom;
} VgaIsa;

/* An ISA card cannot be asked for its ROM: it is simply there. */
static bool load_bios(VgaIsa *v, GError **error)
{
    g_autofree char *path = firmware_find("vgabios-stdvga.bin");
    g_autofree char *data = NULL;
    gsize size;

    if (!path) {
        log_warn("no VGA BIOS (vgabios-stdvga.bin of Debian's seabios package): the screen stays dark");
        return true;
    }
    if (!g_file_get_contents(path, &data, &size, error)) {
        return false;
    }
    if (size > 0x10000) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "VGA BIOS '%s' is larger than 64 KiB", path);
        return false;
    }
    v->rom = region_new_rom("vga.rom", round_up(size, GUEST_PAGE_SIZE), error);
    if (!v->rom) {
        return false;
    }
    memcpy(region_host(v->rom), data, size);
    region_add_overlap(isa_memory(), 0xc0000, v->rom, 1);
    return true;
}

static bool vga_isa_realize(Device *dev, GError **error)
{
    VgaIsa *v = (VgaIsa *)dev;

    if (v->vram_mb < 1 || v->vram_mb > 16 || (v->vram_mb & (v->vram_mb - 1))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "isa-vga: vgamem_mb=%u is not a power of two from 1 to 16", v->vram_mb);
        return false;
    }
    if (!vga_init(&v->vga, dev->id, v->vram_mb, isa_memory(), isa_ports(), error)) {
        return false;
    }
    /* Where the VGA BIOS expects the linear framebuffer of a card that PCI does not place. */
    region_add_overlap(memory_system_root(), 0xe0000000, v->vga.vram, 1);
    return load_bios(v, error);
}

static void vga_isa_reset(Device *dev)
{
    vga_reset(&((VgaIsa *)dev)->vga);
}

static bool vga_isa_loaded(Device *dev, GError **error)
{
    VgaRegs *s = &((VgaIsa *)dev)->vga.s;

    s->seq_index &= 7;
    s->gr_index &= 15;
    s->dac_step %= 3;
    vga_isa_reset(dev);
    return true;
}

static const Prop vga_isa_props[] = {
    PROP(VgaIsa, vram_mb, "vgamem_mb", PROP_U32, "8", "video memory in MiB, a power of two"),
    { 0 },
};

const DeviceType isa_vga_type = {
    .name = "isa-vga",
    .about = "standard VGA on the ISA bus",
    .bus = "isa",
    .user = true,
    .size = sizeof(VgaIsa),
    .state_at = offsetof(VgaIsa, vga.s),
    .state = vga_fields,
    .props = vga_isa_props,
    .realize = vga_isa_realize,
    .reset = vga_isa_reset,
    .post_load = vga_isa_loaded,
};
