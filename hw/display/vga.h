/* Between the files of the VGA: its state and the calls from one part to the next. */
#ifndef HW_DISPLAY_VGA_H
#define HW_DISPLAY_VGA_H

#include "core/device.h"
#include "core/display.h"
#include "core/memory.h"

/* Indices of the Bochs display interface (VBE DISPI). */
enum {
    VBE_ID, VBE_XRES, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT,
    VBE_X_OFFSET, VBE_Y_OFFSET, VBE_MEMORY_64K, VBE_REGS
};
enum { VBE_ENABLED = 0x01, VBE_GETCAPS = 0x02, VBE_8BIT_DAC = 0x20, VBE_LFB = 0x40, VBE_NOCLEAR = 0x80 };
#define VBE_MAX_X 2560
#define VBE_MAX_Y 1600

/* Attribute controller bits. */
enum { AR_MODE = 0x10, AR_OVERSCAN, AR_PLANES, AR_PAN, AR_COLOR };
enum { AR_MODE_GRAPHICS = 0x01, AR_MODE_MONO = 0x02, AR_MODE_LINE_GRAPHICS = 0x04, AR_MODE_BLINK = 0x08,
       AR_MODE_PAN_SPLIT = 0x20, AR_MODE_256 = 0x40, AR_MODE_P54 = 0x80 };

/* Everything a guest can change besides video memory. */
#define VGA_STATE(FIELD, ARRAY)                                                     \
    FIELD(uint8_t, misc, 0x01)                                                      \
    FIELD(uint8_t, feature, 0)                                                      \
    FIELD(uint8_t, seq_index, 0)                                                    \
    ARRAY(uint8_t, seq, 8, 0)                                                       \
    FIELD(uint8_t, crtc_index, 0)                                                   \
    ARRAY(uint8_t, crtc, 32, 0)                                                     \
    FIELD(uint8_t, gr_index, 0)                                                     \
    ARRAY(uint8_t, gr, 16, 0)                                                       \
    FIELD(uint8_t, ar_index, 0)                                                     \
    FIELD(bool, ar_data, false)  /* the next write to 3C0 is data */                \
    ARRAY(uint8_t, ar, 32, 0)                                                       \
    FIELD(uint8_t, dac_mask, 0xff)                                                  \
    FIELD(uint8_t, dac_read, 0)                                                     \
    FIELD(uint8_t, dac_write, 0)                                                    \
    FIELD(uint8_t, dac_step, 0)                                                     \
    FIELD(bool, dac_reading, false)                                                 \
    ARRAY(uint8_t, dac, 768, 0)                                                     \
    ARRAY(uint8_t, dac_cache, 4, 0)                                                 \
    FIELD(uint32_t, latch, 0)    /* the four plane bytes of the last read */        \
    ARRAY(uint16_t, vbe, 16, 0)                                                     \
    FIELD(uint16_t, vbe_index, 0)                                                   \
    FIELD(bool, big_endian, false) /* pixels of 15 bits and more in linear modes */

typedef struct VgaRegs {
    VGA_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} VgaRegs;

typedef struct Vga {
    VgaRegs s;
    const char *id;
    Region *vram;      /* linear; plane p of planar byte a is vram[4 * a + p] */
    uint8_t *mem;
    uint32_t vram_size, plane_mask; /* mask: planar offsets wrap */
    Region *window, *ports, *vbe_ports;
    Console *con;
    /* What is on the surface, to repaint only what changed. */
    bool redraw;       /* everything */
    bool memory_changed;
    uint32_t palette[256]; /* XRGB */
    bool palette_changed;
    uint16_t text_cells[256 * 128];
    int text_cols, text_rows, cell_height, cell_width;
    uint8_t fonts[2][8192];
    int cursor_x, cursor_y;
    bool cursor_shown, blink_on;
} Vga;

const StateField *vga_fields(size_t *count);

/* Common part of every VGA: memory, ports, console. vram_mb is 1 .. 256, a power of two. */
bool vga_init(Vga *vga, const char *id, uint32_t vram_mb, Region *memory, Region *ports, GError **error);
void vga_reset(Vga *vga);

uint64_t vga_port_read(void *opaque, PhysAddr port, unsigned size);  /* port: offset from 3B0 */
void vga_port_write(void *opaque, PhysAddr port, uint64_t value, unsigned size);

uint64_t vga_window_read(void *opaque, PhysAddr addr, unsigned size);
void vga_window_write(void *opaque, PhysAddr addr, uint64_t value, unsigned size);

bool vbe_active(const Vga *vga);
uint32_t vbe_pitch(const Vga *vga); /* bytes */
uint16_t vbe_read(Vga *vga, unsigned index);
void vbe_write(Vga *vga, unsigned index, uint16_t value);

extern const ConsoleOps vga_console_ops;

#endif
