/* The Bochs display interface: linear modes of any size, as SeaBIOS's VGA BIOS programs them. */
#include "hw/display/vga.h"

#include <string.h>

bool vbe_active(const Vga *vga)
{
    return vga->s.vbe[VBE_ENABLE] & VBE_ENABLED;
}

static unsigned bytes_per_pixel_x8(const Vga *vga)
{
    unsigned bpp = vga->s.vbe[VBE_BPP];

    return bpp == 15 ? 16 : bpp;
}

/* Of the whole line in linear modes; in 4 bits per pixel a line of one plane. */
uint32_t vbe_pitch(const Vga *vga)
{
    unsigned bpp = bytes_per_pixel_x8(vga);

    return bpp == 4 ? vga->s.vbe[VBE_VIRT_WIDTH] / 8 : vga->s.vbe[VBE_VIRT_WIDTH] * bpp / 8;
}

static uint32_t total_pitch(const Vga *vga)
{
    return vbe_pitch(vga) * (vga->s.vbe[VBE_BPP] == 4 ? 4 : 1);
}

/* Keeps every register within what the memory can show, whatever order they were written in. */
static void fix(Vga *vga)
{
    uint16_t *r = vga->s.vbe;
    uint32_t pitch, lines;

    if (r[VBE_BPP] != 4 && r[VBE_BPP] != 8 && r[VBE_BPP] != 15 && r[VBE_BPP] != 16 &&
        r[VBE_BPP] != 24 && r[VBE_BPP] != 32) {
        r[VBE_BPP] = 8;
    }
    r[VBE_XRES] = CLAMP(r[VBE_XRES] & ~7, 8, VBE_MAX_X);
    r[VBE_YRES] = CLAMP(r[VBE_YRES], 1, VBE_MAX_Y);
    r[VBE_VIRT_WIDTH] = MAX(r[VBE_VIRT_WIDTH] & ~7, r[VBE_XRES]);
    pitch = total_pitch(vga);
    lines = vga->vram_size / pitch;
    if (lines < r[VBE_YRES]) {
        r[VBE_VIRT_WIDTH] = r[VBE_XRES];
        pitch = total_pitch(vga);
        lines = vga->vram_size / pitch;
        r[VBE_YRES] = MIN(r[VBE_YRES], lines);
    }
    r[VBE_VIRT_HEIGHT] = MIN(lines, 0xffff);
    r[VBE_X_OFFSET] = MIN(r[VBE_X_OFFSET], r[VBE_VIRT_WIDTH] - r[VBE_XRES]);
    r[VBE_Y_OFFSET] = MIN(r[VBE_Y_OFFSET], r[VBE_VIRT_HEIGHT] - r[VBE_YRES]);
}

uint16_t vbe_read(Vga *vga, unsigned index)
{
    if ((vga->s.vbe[VBE_ENABLE] & VBE_GETCAPS)) {
        switch (index) {
        case VBE_XRES:
            return VBE_MAX_X;
        case VBE_YRES:
            return VBE_MAX_Y;
        case VBE_BPP:
            return 32;
        }
    }
    if (index == VBE_MEMORY_64K) {
        return vga->vram_size >> 16;
    }
    return index < VBE_REGS ? vga->s.vbe[index] : 0;
}

static void write_enable(Vga *vga, uint16_t value)
{
    uint16_t *r = vga->s.vbe;
    uint16_t old = r[VBE_ENABLE];

    r[VBE_ENABLE] = value & (VBE_ENABLED | VBE_GETCAPS | VBE_8BIT_DAC | VBE_LFB | VBE_NOCLEAR);
    if ((value & VBE_ENABLED) && !(old & VBE_ENABLED)) {
        r[VBE_VIRT_WIDTH] = r[VBE_XRES];
        r[VBE_X_OFFSET] = r[VBE_Y_OFFSET] = 0;
        fix(vga);
        r[VBE_BANK] = 0;
        if (!(value & VBE_NOCLEAR)) {
            uint32_t used = MIN(total_pitch(vga) * r[VBE_YRES], vga->vram_size);

            memset(vga->mem, 0, used);
            ram_mark_dirty(region_ram(vga->vram), 0, used);
        }
    }
    if ((old ^ value) & VBE_8BIT_DAC) {
        vga_reset(vga); /* rebuilds the palette at the new width */
    }
}

void vbe_write(Vga *vga, unsigned index, uint16_t value)
{
    uint16_t *r = vga->s.vbe;

    switch (index) {
    case VBE_ID:
        if (value >= 0xb0c0 && value <= 0xb0c5) {
            r[VBE_ID] = value;
        }
        return;
    case VBE_XRES:
    case VBE_YRES:
    case VBE_BPP:
        r[index] = value;
        if (vbe_active(vga)) {
            fix(vga);
        }
        break;
    case VBE_VIRT_WIDTH:
    case VBE_X_OFFSET:
    case VBE_Y_OFFSET:
        r[index] = value;
        fix(vga);
        break;
    case VBE_BANK:
        r[VBE_BANK] = value < vga->vram_size >> 16 ? value : 0;
        return;
    case VBE_ENABLE:
        write_enable(vga, value);
        break;
    default:
        return;
    }
    vga->redraw = true;
}
