/* Paints what the VGA shows: text, the planar and packed graphics modes, the Bochs linear modes. */
#include "hw/display/vga.h"

#include "core/clock.h"
#include "util/bits.h"

#include <string.h>

/* What the CRT controller says, decoded. */
typedef struct Timing {
    int columns, lines;   /* character clocks and scan lines shown */
    int row_height;       /* scan lines of a character row or of a repeated pixel row */
    int repeat;           /* 2 with double scan */
    uint32_t start;       /* address counter at the top */
    uint32_t pitch;       /* address counter per row */
    int line_compare;
    int preset_row;
} Timing;

static Timing read_timing(const VgaRegs *s)
{
    const uint8_t *c = s->crtc;

    return (Timing){
        .columns = c[0x01] + 1,
        .lines = (c[0x12] | (c[0x07] & 0x02) << 7 | (c[0x07] & 0x40) << 3) + 1,
        .row_height = (c[0x09] & 0x1f) + 1,
        .repeat = c[0x09] & 0x80 ? 2 : 1,
        .start = c[0x0c] << 8 | c[0x0d],
        .pitch = c[0x13] * 2,
        .line_compare = c[0x18] | (c[0x07] & 0x10) << 4 | (c[0x09] & 0x40) << 3,
        .preset_row = c[0x08] & 0x1f,
    };
}

/* The address counter as memory sees it: byte, word or doubleword mode (CRTC 14h, 17h). */
static uint32_t memory_address(const VgaRegs *s, uint32_t counter)
{
    if (s->crtc[0x14] & 0x40) {
        return (counter << 2 | (counter >> 14 & 3)) & 0xffff;
    }
    if (!(s->crtc[0x17] & 0x40)) {
        unsigned top = s->crtc[0x17] & 0x20 ? 15 : 13;

        return (counter << 1 | (counter >> top & 1)) & 0xffff;
    }
    return counter & 0xffff;
}

/* 4-bit attribute colours go through the attribute palette, then the DAC. */
static uint32_t attribute_color(const Vga *vga, unsigned color)
{
    const VgaRegs *s = &vga->s;
    unsigned value = s->ar[color & s->ar[AR_PLANES] & 15] & 0x3f;

    if (s->ar[AR_MODE] & AR_MODE_P54) {
        value = (value & 0x0f) | (s->ar[AR_COLOR] & 0x03) << 4;
    }
    return vga->palette[(value | (s->ar[AR_COLOR] & 0x0c) << 4) & s->dac_mask];
}

static uint32_t *surface_line(Vga *vga, int y)
{
    pixman_image_t *surface = console_surface(vga->con);

    return pixman_image_get_data(surface) + (size_t)y * (pixman_image_get_stride(surface) / 4);
}

/* Gives the surface that size; true if it had another. */
static bool resize(Vga *vga, int width, int height)
{
    pixman_image_t *surface = console_surface(vga->con);

    if (pixman_image_get_width(surface) == width && pixman_image_get_height(surface) == height) {
        return false;
    }
    console_resize(vga->con, width, height);
    return true;
}

/* ---- text ---- */

static const uint32_t *planes(const Vga *vga, uint32_t address)
{
    return (const uint32_t *)vga->mem + (address & 0xffff);
}

/* Copies the two selected fonts out of plane 2; true if one changed. */
static bool read_fonts(Vga *vga)
{
    static const uint16_t blocks[8] = { 0x0000, 0x4000, 0x8000, 0xc000, 0x2000, 0x6000, 0xa000, 0xe000 };
    uint8_t select = vga->s.seq[3];
    /* Font A (attribute bit 3 set) and font B. */
    unsigned which[2] = { (select >> 2 & 3) | (select >> 3 & 4), (select & 3) | (select >> 2 & 4) };
    bool changed = false;

    for (int f = 0; f < 2; f++) {
        const uint32_t *from = planes(vga, blocks[which[f]]);

        for (int i = 0; i < 8192; i++) {
            uint8_t byte = from[i] >> 16;

            changed |= vga->fonts[f][i] != byte;
            vga->fonts[f][i] = byte;
        }
    }
    return changed;
}

typedef struct CellStyle {
    int width, height;
    bool double_width;
} CellStyle;

static void draw_cell(Vga *vga, int col, int row, uint16_t cell, bool cursor, const CellStyle *style)
{
    const VgaRegs *s = &vga->s;
    uint8_t ch = cell, attr = cell >> 8;
    const uint8_t *glyph = &vga->fonts[attr & 0x08 ? 0 : 1][ch * 32];
    unsigned fg_index = attr & 15, bg_index = attr >> 4;
    int underline = s->ar[AR_MODE] & AR_MODE_MONO && (attr & 7) == 1 ? s->crtc[0x14] & 0x1f : -1;
    int first = s->crtc[0x0a] & 0x1f, last = s->crtc[0x0b] & 0x1f;
    int step = style->double_width ? 2 : 1;
    uint32_t fg, bg;

    if (s->ar[AR_MODE] & AR_MODE_BLINK) {
        if ((attr & 0x80) && !vga->blink_on) {
            fg_index = bg_index & 7;
        }
        bg_index &= 7;
    }
    if ((s->seq[3] & 0x03) != (s->seq[3] >> 2 & 0x03) || ((s->seq[3] >> 4 ^ s->seq[3] >> 5) & 1)) {
        fg_index &= s->ar[AR_PLANES]; /* 512 characters: bit 3 selects the font */
    }
    fg = attribute_color(vga, fg_index);
    bg = attribute_color(vga, bg_index);
    for (int y = 0; y < style->height; y++) {
        uint32_t *out = surface_line(vga, row * style->height + y) + col * style->width * step;
        unsigned bits = (y < 32 ? glyph[y] : 0) << 1;

        if (style->width == 9 && (s->ar[AR_MODE] & AR_MODE_LINE_GRAPHICS) && (ch & 0xe0) == 0xc0) {
            bits |= bits >> 1 & 1;
        }
        if (y == underline || (cursor && y >= first && y <= last)) {
            bits = 0x1ff;
        }
        for (int x = 0; x < style->width; x++) {
            uint32_t color = bits & 0x100 >> x ? fg : bg;

            out[x * step] = color;
            if (step == 2) {
                out[x * 2 + 1] = color;
            }
        }
    }
}

static void draw_text(Vga *vga)
{
    VgaRegs *s = &vga->s;
    Timing t = read_timing(s);
    CellStyle style = { s->seq[1] & 0x01 ? 8 : 9, t.row_height, (s->seq[1] & 0x08) != 0 };
    int cols = MIN(t.columns, 256), rows = CLAMP(t.lines / (t.row_height * t.repeat), 1, 128);
    uint32_t cursor_at = s->crtc[0x0e] << 8 | s->crtc[0x0f];
    bool cursor_on = !(s->crtc[0x0a] & 0x20), all, blink;
    int low_col = cols, high_col = -1, low_row = rows, high_row = -1;

    /* The cursor blinks at 1/16, characters at 1/32 of the field rate. */
    blink = clock_now(CLOCK_GUEST) / (NS_PER_MS * 267) % 2 == 0;
    all = resize(vga, cols * style.width * (style.double_width ? 2 : 1), rows * style.height);
    all |= vga->redraw || vga->palette_changed || cols != vga->text_cols || rows != vga->text_rows;
    if (vga->memory_changed || all) {
        all |= read_fonts(vga);
    }
    vga->text_cols = cols;
    vga->text_rows = rows;
    for (int row = 0; row < rows; row++) {
        for (int col = 0; col < cols; col++) {
            uint32_t counter = t.start + row * t.pitch + col;
            uint32_t both = *planes(vga, memory_address(s, counter));
            uint16_t cell = (both & 0xff) | (both & 0xff00), *shown = &vga->text_cells[row * 256 + col];
            bool cursor = cursor_on && counter == cursor_at && blink;
            bool was_cursor = vga->cursor_shown && vga->cursor_x == col && vga->cursor_y == row;
            bool blinks = (s->ar[AR_MODE] & AR_MODE_BLINK) && (cell & 0x8000) && blink != vga->blink_on;

            if (!all && *shown == cell && cursor == was_cursor && !blinks) {
                continue;
            }
            *shown = cell;
            low_col = MIN(low_col, col);
            high_col = MAX(high_col, col);
            low_row = MIN(low_row, row);
            high_row = MAX(high_row, row);
            draw_cell(vga, col, row, cell, cursor, &style);
        }
    }
    vga->blink_on = blink;
    vga->cursor_shown = cursor_on && blink && cursor_at >= t.start && t.pitch;
    if (vga->cursor_shown) {
        vga->cursor_y = (cursor_at - t.start) / t.pitch;
        vga->cursor_x = (cursor_at - t.start) % t.pitch;
    }
    if (high_row >= low_row) {
        int width = style.width * (style.double_width ? 2 : 1);

        console_damage(vga->con, low_col * width, low_row * style.height,
                       (high_col - low_col + 1) * width, (high_row - low_row + 1) * style.height);
    }
}

/* ---- graphics of the standard VGA ---- */

/* Eight pixels of one address in 16 colours. */
static void pixels_planar(const uint32_t *colors, uint32_t data, uint32_t *out)
{
    for (int bit = 7; bit >= 0; bit--) {
        uint32_t d = data >> bit;

        *out++ = colors[(d & 1) | (d >> 7 & 2) | (d >> 14 & 4) | (d >> 21 & 8)];
    }
}

/* CGA's interleave: two bits per pixel out of planes 0 and 1, with 2 and 3 above. */
static void pixels_interleaved(const uint32_t *colors, uint32_t data, uint32_t *out)
{
    for (int half = 0; half < 2; half++) {
        uint8_t low = data >> half * 8, high = data >> (16 + half * 8);

        for (int shift = 6; shift >= 0; shift -= 2) {
            *out++ = colors[(low >> shift & 3) | (high >> shift & 3) << 2];
        }
    }
}

static void draw_graphics_line(Vga *vga, const uint32_t *colors, uint32_t counter, int scan, int y,
                               int chars, int pan)
{
    const VgaRegs *s = &vga->s;
    bool packed = s->gr[5] & 0x40;
    int per_char = packed ? 4 : 8;
    uint32_t line[(256 + 1) * 8], *out = line;

    for (int i = 0; i <= chars; i++) {
        uint32_t address = memory_address(s, counter + i), data;

        if (!(s->crtc[0x17] & 0x01)) { /* CGA: scan line bit 0 is address bit 13 */
            address = (address & ~0x2000) | (scan & 1) << 13;
        }
        if (!(s->crtc[0x17] & 0x02)) { /* Hercules: bit 1 is address bit 14 */
            address = (address & ~0x4000) | (scan & 2) << 13;
        }
        data = *planes(vga, address);
        if (packed) {
            for (int p = 0; p < 4; p++) {
                *out++ = vga->palette[(data >> p * 8 & 0xff) & s->dac_mask];
            }
        } else if (s->gr[5] & 0x20) {
            pixels_interleaved(colors, data, out);
            out += 8;
        } else {
            data &= (s->ar[AR_PLANES] & 1 ? 0xff : 0) | (s->ar[AR_PLANES] & 2 ? 0xff00 : 0) |
                    (s->ar[AR_PLANES] & 4 ? 0xff0000 : 0) | (s->ar[AR_PLANES] & 8 ? 0xff000000 : 0);
            pixels_planar(colors, data, out);
            out += 8;
        }
    }
    memcpy(surface_line(vga, y), line + pan, (size_t)chars * per_char * 4);
}

static void draw_graphics(Vga *vga)
{
    const VgaRegs *s = &vga->s;
    Timing t = read_timing(s);
    bool packed = s->gr[5] & 0x40, split = false;
    int chars = MIN(t.columns, 256), per_char = packed ? 4 : 8;
    bool cga_rows = !(s->crtc[0x17] & 0x01);
    int skip = t.repeat * (cga_rows ? 1 : t.row_height); /* scan lines that look the same */
    int height = MAX(1, t.lines / skip), width;
    uint32_t colors[16], row_start = t.start;
    int scan = t.preset_row, pan, y;

    /* In packed modes a pixel lasts two dots, and a character clock fetches four of them. */
    width = chars * per_char;
    if (resize(vga, width, height) || vga->redraw || vga->palette_changed || vga->memory_changed) {
        for (unsigned i = 0; i < 16; i++) {
            colors[i] = attribute_color(vga, i);
        }
        pan = packed ? s->ar[AR_PAN] >> 1 & 3 : s->ar[AR_PAN] & 7;
        row_start += s->crtc[0x08] >> 5 & 3;
        for (y = 0; y < height; y++) {
            if (!split && y * skip > t.line_compare) { /* the split screen starts at address 0 */
                split = true;
                row_start = 0;
                scan = 0;
                if (s->ar[AR_MODE] & AR_MODE_PAN_SPLIT) {
                    pan = 0;
                }
            }
            draw_graphics_line(vga, colors, row_start, scan, y, chars, pan);
            if (!cga_rows || ++scan >= t.row_height) {
                scan = 0;
                row_start += t.pitch;
            }
        }
        console_damage(vga->con, 0, 0, width, height);
    }
}

/* ---- Bochs modes ---- */

static unsigned pixel16(const Vga *vga, const uint8_t *p)
{
    return vga->s.big_endian ? load_be16(p) : load_le16(p);
}

static void draw_line_linear(const Vga *vga, const uint8_t *from, uint32_t *out, int width)
{
    bool big = vga->s.big_endian;

    switch (vga->s.vbe[VBE_BPP]) {
    case 8:
        for (int x = 0; x < width; x++) {
            out[x] = vga->palette[from[x] & vga->s.dac_mask];
        }
        break;
    case 15:
        for (int x = 0; x < width; x++) {
            unsigned v = pixel16(vga, from + 2 * x);
            unsigned r = v >> 10 & 31, g = v >> 5 & 31, b = v & 31;

            out[x] = (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2);
        }
        break;
    case 16:
        for (int x = 0; x < width; x++) {
            unsigned v = pixel16(vga, from + 2 * x);
            unsigned r = v >> 11, g = v >> 5 & 63, b = v & 31;

            out[x] = (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
        }
        break;
    case 24:
        for (int x = 0; x < width; x++) {
            out[x] = from[3 * x + 1] << 8 | from[3 * x + (big ? 2 : 0)] | from[3 * x + (big ? 0 : 2)] << 16;
        }
        break;
    default:
        if (!big) { /* as the host's pixels are */
            memcpy(out, from, (size_t)width * 4);
            break;
        }
        for (int x = 0; x < width; x++) {
            out[x] = load_be32(from + 4 * x);
        }
    }
}

static void draw_vbe_planar(Vga *vga)
{
    const uint16_t *r = vga->s.vbe;
    uint32_t colors[16], pitch = vbe_pitch(vga), mask = vga->vram_size / 4 - 1;

    for (unsigned i = 0; i < 16; i++) {
        colors[i] = attribute_color(vga, i);
    }
    for (int y = 0; y < r[VBE_YRES]; y++) {
        uint32_t at = (r[VBE_Y_OFFSET] + y) * pitch + r[VBE_X_OFFSET] / 8;
        uint32_t *out = surface_line(vga, y);

        for (int x = 0; x < r[VBE_XRES] / 8; x++) {
            pixels_planar(colors, ((const uint32_t *)vga->mem)[(at + x) & mask], out + x * 8);
        }
    }
    console_damage(vga->con, 0, 0, r[VBE_XRES], r[VBE_YRES]);
}

static void draw_vbe(Vga *vga)
{
    enum { BAND = 16 }; /* lines share pages, so the dirty log is read for several at once */
    const uint16_t *r = vga->s.vbe;
    int width = r[VBE_XRES], height = r[VBE_YRES];
    uint32_t pitch = vbe_pitch(vga), bytes = r[VBE_BPP] == 15 ? 2 : r[VBE_BPP] / 8;
    bool all = resize(vga, width, height) || vga->redraw;

    if (r[VBE_BPP] == 4) {
        if (all || vga->palette_changed || vga->memory_changed) {
            draw_vbe_planar(vga);
        }
        return;
    }
    all |= vga->palette_changed && r[VBE_BPP] == 8;
    for (int top = 0; top < height; top += BAND) {
        int lines = MIN(BAND, height - top);
        uint64_t at = (uint64_t)(r[VBE_Y_OFFSET] + top) * pitch + r[VBE_X_OFFSET] * bytes;
        uint64_t size = (uint64_t)(lines - 1) * pitch + width * bytes;

        if (at + size > vga->vram_size) {
            break;
        }
        if (!region_log_test_and_clear(vga->vram, PAGE_CLEAN_DISPLAY, at, size) && !all) {
            continue;
        }
        for (int y = 0; y < lines; y++) {
            draw_line_linear(vga, vga->mem + at + y * pitch, surface_line(vga, top + y), width);
        }
        console_damage(vga->con, 0, top, width, lines);
    }
}

/* ---- blank, and the choice ---- */

static void draw_blank(Vga *vga)
{
    pixman_image_t *surface = console_surface(vga->con);
    int width = pixman_image_get_width(surface), height = pixman_image_get_height(surface);

    if (vga->redraw) {
        for (int y = 0; y < height; y++) {
            memset(surface_line(vga, y), 0, (size_t)width * 4);
        }
        console_damage(vga->con, 0, 0, width, height);
    }
}

static bool blank(const VgaRegs *s)
{
    /* Screen off, palette closed to the display, or the CRT controller not programmed yet. */
    return (s->seq[1] & 0x20) || !(s->ar_index & 0x20) || !(s->crtc[0x17] & 0x80);
}

static void vga_update(void *opaque)
{
    Vga *vga = opaque;

    if (vbe_active(vga)) {
        draw_vbe(vga);
    } else if (blank(&vga->s)) {
        draw_blank(vga);
    } else if (vga->s.gr[6] & 0x01) {
        draw_graphics(vga);
    } else {
        draw_text(vga);
    }
    vga->redraw = vga->palette_changed = vga->memory_changed = false;
}

static void vga_invalidate(void *opaque)
{
    ((Vga *)opaque)->redraw = true;
}

/* The characters on a text screen as UTF-8; line graphics become plain ASCII look-alikes. */
static char *vga_text(void *opaque)
{
    Vga *vga = opaque;
    const VgaRegs *s = &vga->s;
    Timing t = read_timing(s);
    GString *text;

    if (vbe_active(vga) || (s->gr[6] & 0x01) || blank(s)) {
        return NULL;
    }
    text = g_string_new(NULL);
    for (int row = 0; row < MAX(1, t.lines / (t.row_height * t.repeat)); row++) {
        gsize line = text->len;

        for (int col = 0; col < t.columns; col++) {
            uint8_t ch = *planes(vga, memory_address(s, t.start + row * t.pitch + col));

            if (ch >= 0x20 && ch < 0x7f) {
                g_string_append_c(text, ch);
            } else if (ch == 0xc4 || ch == 0xcd) {
                g_string_append_c(text, '-');
            } else if (ch == 0xb3 || ch == 0xba) {
                g_string_append_c(text, '|');
            } else if (ch >= 0xb3 && ch <= 0xda) {
                g_string_append_c(text, '+');
            } else {
                g_string_append_c(text, ' ');
            }
        }
        while (text->len > line && text->str[text->len - 1] == ' ') {
            g_string_truncate(text, text->len - 1);
        }
        g_string_append_c(text, '\n');
    }
    return g_string_free(text, FALSE);
}

const ConsoleOps vga_console_ops = {
    .update = vga_update,
    .invalidate = vga_invalidate,
    .text = vga_text,
};
