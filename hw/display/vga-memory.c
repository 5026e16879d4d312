/* The CPU's window into video memory at A0000h: planes, latches, write modes. */
#include "hw/display/vga.h"

/* Every bit of a plane mask widened to a byte of the four planes. */
static uint32_t widen(unsigned planes)
{
    static const uint32_t table[16] = {
        0x00000000, 0x000000ff, 0x0000ff00, 0x0000ffff, 0x00ff0000, 0x00ff00ff, 0x00ffff00, 0x00ffffff,
        0xff000000, 0xff0000ff, 0xff00ff00, 0xff00ffff, 0xffff0000, 0xffff00ff, 0xffffff00, 0xffffffff,
    };

    return table[planes & 15];
}

static uint32_t four(uint8_t byte)
{
    return byte * 0x01010101u;
}

/* Offset in the selected window (graphics register 6, bits 2-3), or -1 outside of it. */
static int64_t window_offset(const VgaRegs *s, PhysAddr addr)
{
    switch (s->gr[6] >> 2 & 3) {
    case 0:
        return addr;
    case 1:
        return addr < 0x10000 ? (int64_t)addr : -1;
    case 2:
        return addr >= 0x10000 && addr < 0x18000 ? (int64_t)addr - 0x10000 : -1;
    default:
        return addr >= 0x18000 ? (int64_t)addr - 0x18000 : -1;
    }
}

/* In the Bochs modes of 8 bits and more the window shows a 64 KiB bank of linear memory. */
static bool linear(const Vga *vga)
{
    return vbe_active(vga) && vga->s.vbe[VBE_BPP] >= 8;
}

static uint8_t *linear_byte(Vga *vga, uint32_t offset)
{
    uint64_t at = (uint64_t)vga->s.vbe[VBE_BANK] * 0x10000 + (offset & 0xffff);

    return at < vga->vram_size ? vga->mem + at : NULL;
}

/* The four planes at one address. Bank switching also works in 16-colour Bochs modes. */
static uint32_t *planes_at(Vga *vga, uint32_t offset)
{
    uint32_t at = offset & 0xffff;

    if (vbe_active(vga)) {
        at = (at + vga->s.vbe[VBE_BANK] * 0x10000u) & (vga->vram_size / 4 - 1);
    }
    return (uint32_t *)vga->mem + at;
}

uint64_t vga_window_read(void *opaque, PhysAddr addr, unsigned size)
{
    Vga *vga = opaque;
    VgaRegs *s = &vga->s;
    int64_t offset = window_offset(s, addr);
    uint32_t planes;

    if (offset < 0) {
        return 0xff;
    }
    if (linear(vga)) {
        uint8_t *byte = linear_byte(vga, offset);

        return byte ? *byte : 0xff;
    }
    if (s->seq[4] & 0x08) { /* chain 4: the low address bits choose the plane */
        s->latch = *planes_at(vga, offset & ~3);
        return s->latch >> (offset & 3) * 8 & 0xff;
    }
    if (s->gr[5] & 0x10) { /* odd/even: bit 0 chooses the plane of a pair */
        unsigned plane = (s->gr[4] & 2) | (offset & 1);


        s->latch = *planes_at(vga, offset & ~1);
        return s->latch >> plane * 8 & 0xff;
    }
    s->latch = planes = *planes_at(vga, offset);
    if (!(s->gr[5] & 0x08)) { /* read mode 0: one plane */
        return planes >> (s->gr[4] & 3) * 8 & 0xff;
    }
    /* Read mode 1: a bit for each pixel whose colour compares equal in the planes that matter. */
    planes = (planes ^ widen(s->gr[2])) & widen(s->gr[7]);
    planes |= planes >> 16;
    planes |= planes >> 8;
    return ~planes & 0xff;
}

/* The logical function between data and latches (graphics register 3, bits 3-4). */
static uint32_t combine(const VgaRegs *s, uint32_t data)
{
    switch (s->gr[3] >> 3 & 3) {
    case 1:
        return data & s->latch;
    case 2:
        return data | s->latch;
    case 3:
        return data ^ s->latch;
    default:
        return data;
    }
}

static uint8_t rotated(const VgaRegs *s, uint8_t value)
{
    unsigned n = s->gr[3] & 7;

    return n ? value >> n | value << (8 - n) : value;
}

/* What a write of one byte means for all four planes, before the map mask. */
static uint32_t write_data(const VgaRegs *s, uint8_t value)
{
    uint32_t mask = four(s->gr[8]), data;

    switch (s->gr[5] & 3) {
    case 0:
        data = four(rotated(s, value));
        data = (data & ~widen(s->gr[1])) | (widen(s->gr[0]) & widen(s->gr[1]));
        data = combine(s, data);
        break;
    case 1: /* copy the latches */
        return s->latch;
    case 2: /* the value is a colour */
        data = combine(s, widen(value));
        break;
    default: /* set/reset colour where the rotated value and the bit mask have ones */
        mask &= four(rotated(s, value));
        data = combine(s, widen(s->gr[0]));
        break;
    }
    return (data & mask) | (s->latch & ~mask);
}

void vga_window_write(void *opaque, PhysAddr addr, uint64_t value, unsigned size)
{
    Vga *vga = opaque;
    VgaRegs *s = &vga->s;
    int64_t offset = window_offset(s, addr);
    uint32_t *planes, enabled, result;

    if (offset < 0) {
        return;
    }
    if (linear(vga)) {
        uint8_t *byte = linear_byte(vga, offset);

        if (byte && *byte != (uint8_t)value) {
            *byte = value;
            ram_mark_dirty(region_ram(vga->vram), byte - vga->mem, 1);
        }
        return;
    }
    enabled = widen(s->seq[2]);
    if (s->seq[4] & 0x08) {
        enabled &= 0xffu << (offset & 3) * 8;
        planes = planes_at(vga, offset & ~3);
    } else if (!(s->seq[4] & 0x04)) { /* odd/even */
        enabled &= offset & 1 ? 0xff00ff00 : 0x00ff00ff;
        planes = planes_at(vga, offset & ~1);
    } else {
        planes = planes_at(vga, offset);
    }
    result = (write_data(s, value) & enabled) | (*planes & ~enabled);
    if (result != *planes) {
        *planes = result;
        vga->memory_changed = true;
    }
}
