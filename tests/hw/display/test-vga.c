/* The VGA: what programs write in the standard modes is what shows on the screen. */
#include "core/display.h"
#include "tests/hw/rig.h"

#include <string.h>

#define WINDOW 0xa0000
#define TEXT   0xb8000
#define LFB    0xe0000000u

typedef struct Mode {
    uint8_t misc, seq[5], crtc[25], gr[9], ar[21];
} Mode;

static const Mode text_mode = {
    .misc = 0x67,
    .seq = { 0x03, 0x00, 0x03, 0x00, 0x02 },
    .crtc = { 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0,
              0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff },
    .gr = { 0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff },
    .ar = { 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0, 0x0f, 8, 0 },
};
static const Mode mode_13 = {
    .misc = 0x63,
    .seq = { 0x03, 0x01, 0x0f, 0x00, 0x0e },
    .crtc = { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0, 0, 0, 0, 0, 0,
              0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff },
    .gr = { 0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff },
    .ar = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 0x0f, 0, 0 },
};
static const Mode mode_12 = {
    .misc = 0xe3,
    .seq = { 0x03, 0x01, 0x0f, 0x00, 0x06 },
    .crtc = { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0, 0, 0, 0, 0, 0,
              0xea, 0x8c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff },
    .gr = { 0, 0, 0, 0, 0, 0, 0x05, 0x0f, 0xff },
    .ar = { 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x01, 0, 0x0f, 0, 0 },
};

static Device *vga;
static Console *con;

static void set(uint16_t port, uint8_t index, uint8_t value)
{
    rig_out8(port, index);
    rig_out8(port + 1, value);
}

static void seq(uint8_t index, uint8_t value)
{
    set(0x3c4, index, value);
}

static void crtc(uint8_t index, uint8_t value)
{
    set(0x3d4, index, value);
}

static void gr(uint8_t index, uint8_t value)
{
    set(0x3ce, index, value);
}

static void color(uint8_t index, uint8_t r, uint8_t g, uint8_t b)
{
    rig_out8(0x3c8, index);
    rig_out8(0x3c9, r);
    rig_out8(0x3c9, g);
    rig_out8(0x3c9, b);
}

static void start(const Mode *m)
{
    device_reset(vga);
    memory_fill(memory_system(), LFB, 0, 256 * 1024);
    rig_out8(0x3c2, m->misc);
    for (int i = 0; i < 5; i++) {
        seq(i, m->seq[i]);
    }
    crtc(0x11, 0); /* unprotects 0-7 */
    for (int i = 0; i < 25; i++) {
        crtc(i, m->crtc[i]);
    }
    for (int i = 0; i < 9; i++) {
        gr(i, m->gr[i]);
    }
    rig_in8(0x3da);
    for (int i = 0; i < 21; i++) {
        rig_out8(0x3c0, i);
        rig_out8(0x3c0, m->ar[i]);
    }
    rig_out8(0x3c0, 0x20);
    for (int i = 0; i < 256; i++) {
        color(i, i & 63, 63 - (i & 63), i >> 2);
    }
}

/* 8-bit components of what color() sets for an index. */
static uint32_t shown(uint8_t i)
{
    uint8_t c[3] = { i & 63, 63 - (i & 63), i >> 2 };

    for (int k = 0; k < 3; k++) {
        c[k] = c[k] << 2 | c[k] >> 4;
    }
    return c[0] << 16 | c[1] << 8 | c[2];
}

/* The pixel of a mode of width x height, however large the card paints it. */
static uint32_t pixel(int x, int y, int width, int height)
{
    pixman_image_t *image;
    int scale_x, scale_y;

    console_update(con);
    image = console_surface(con);
    g_assert_nonnull(image);
    g_assert_cmpint(pixman_image_get_width(image) % width, ==, 0);
    g_assert_cmpint(pixman_image_get_height(image) % height, ==, 0);
    scale_x = pixman_image_get_width(image) / width;
    scale_y = pixman_image_get_height(image) / height;
    return pixman_image_get_data(image)[y * scale_y * pixman_image_get_stride(image) / 4 + x * scale_x] &
           0xffffff;
}

static void mode_13_is_a_byte_per_pixel(void)
{
    start(&mode_13);
    rig_store(WINDOW + 320 * 100 + 17, 0x2a, 1);
    rig_store(WINDOW + 320 * 199 + 319, 0xff, 1);
    g_assert_cmphex(pixel(17, 100, 320, 200), ==, shown(0x2a));
    g_assert_cmphex(pixel(319, 199, 320, 200), ==, shown(0xff));
    g_assert_cmphex(pixel(18, 100, 320, 200), ==, shown(0));
    g_assert_cmphex(rig_load(WINDOW + 320 * 100 + 17, 1), ==, 0x2a);
}

static void a_palette_change_shows_without_a_write(void)
{
    start(&mode_13);
    rig_store(WINDOW, 5, 1);
    g_assert_cmphex(pixel(0, 0, 320, 200), ==, shown(5));
    color(5, 63, 0, 0);
    g_assert_cmphex(pixel(0, 0, 320, 200), ==, 0xff0000);
    rig_out8(0x3c7, 5);
    g_assert_cmphex(rig_in8(0x3c9), ==, 63);
    g_assert_cmphex(rig_in8(0x3c9), ==, 0);
}

static void mode_x_has_a_plane_for_each_fourth_pixel(void)
{
    start(&mode_13);
    seq(4, 0x06);
    crtc(0x14, 0x00);
    crtc(0x17, 0xe3);
    for (int plane = 0; plane < 4; plane++) {
        seq(2, 1 << plane);
        rig_store(WINDOW + 80 * 50 + 10, 0x10 + plane, 1);
    }
    for (int plane = 0; plane < 4; plane++) {
        g_assert_cmphex(pixel(40 + plane, 50, 320, 200), ==, shown(0x10 + plane));
        gr(4, plane);
        g_assert_cmphex(rig_load(WINDOW + 80 * 50 + 10, 1), ==, 0x10 + plane);
    }
    seq(2, 0x0f); /* the second page */
    rig_store(WINDOW + 16000, 0x33, 1);
    crtc(0x0c, 16000 >> 8);
    crtc(0x0d, 16000 & 0xff);
    g_assert_cmphex(pixel(3, 0, 320, 200), ==, shown(0x33));
}

static uint8_t plane(PhysAddr at, int n)
{
    gr(5, 0);
    gr(4, n);
    return rig_load(at, 1);
}

static void write_mode_0_rotates_and_masks(void)
{
    start(&mode_12);
    seq(2, 0x0f);
    rig_store(WINDOW, 0x0f, 1);
    rig_load(WINDOW, 1); /* latches */
    gr(3, 0x04);         /* rotate by 4 */
    gr(8, 0xc3);
    rig_store(WINDOW, 0x0f, 1);
    g_assert_cmphex(plane(WINDOW, 0), ==, (0xf0 & 0xc3) | (0x0f & ~0xc3));
    gr(3, 0x18); /* exclusive or */
    gr(8, 0xff);
    gr(1, 0x0a); /* set/reset for planes 1 and 3 */
    gr(0, 0x02);
    rig_load(WINDOW, 1);
    rig_store(WINDOW, 0xff, 1);
    g_assert_cmphex(plane(WINDOW, 0), ==, (uint8_t)~0xcc);
    g_assert_cmphex(plane(WINDOW, 1), ==, (uint8_t)~0xcc);
    g_assert_cmphex(plane(WINDOW, 3), ==, 0xcc);
}

static void write_mode_1_copies_four_planes(void)
{
    start(&mode_12);
    for (int n = 0; n < 4; n++) {
        seq(2, 1 << n);
        rig_store(WINDOW + 100, 0xa0 + n, 1);
    }
    seq(2, 0x0f);
    gr(5, 1);
    rig_load(WINDOW + 100, 1);
    rig_store(WINDOW + 200, 0, 1);
    for (int n = 0; n < 4; n++) {
        g_assert_cmphex(plane(WINDOW + 200, n), ==, 0xa0 + n);
    }
}

static void write_modes_2_and_3_write_colors(void)
{
    start(&mode_12);
    gr(5, 2);
    gr(8, 0x80);
    rig_load(WINDOW, 1);
    rig_store(WINDOW, 0x09, 1);
    g_assert_cmphex(pixel(0, 0, 640, 480), ==, shown(0x39));
    g_assert_cmphex(pixel(1, 0, 640, 480), ==, shown(0));
    gr(8, 0xff);
    gr(5, 3);
    gr(0, 0x06);
    rig_load(WINDOW + 80, 1);
    rig_store(WINDOW + 80, 0x40, 1);
    g_assert_cmphex(pixel(1, 1, 640, 480), ==, shown(0x14));
    gr(5, 0x08); /* read mode 1: where is colour 6? */
    gr(2, 0x06);
    gr(7, 0x0f);
    g_assert_cmphex(rig_load(WINDOW + 80, 1), ==, 0x40);
}

static void load_font(uint8_t character, const uint8_t rows[16])
{
    seq(2, 4);
    seq(4, 6);
    gr(4, 2);
    gr(5, 0);
    gr(6, 0);
    for (int i = 0; i < 16; i++) {
        rig_store(WINDOW + character * 32 + i, rows[i], 1);
    }
    seq(2, 3);
    seq(4, 2);
    gr(4, 0);
    gr(5, 0x10);
    gr(6, 0x0e);
}

static void text_shows_glyphs_and_reads_as_text(void)
{
    static const uint8_t glyph[16] = { 0x80, 0x01 };
    g_autofree char *text = NULL;
    pixman_image_t *image;
    const uint32_t *row;
    int stride;

    start(&text_mode);
    crtc(0x0a, 0x20); /* no cursor */
    load_font('A', glyph);
    for (int i = 0; i < 2000; i++) {
        rig_store(TEXT + 2 * i, 0x0720, 2);
    }
    rig_store(TEXT + 2 * (80 * 3 + 5), 0x1c41, 2); /* row 3, column 5 */
    console_update(con);
    image = console_surface(con);
    stride = pixman_image_get_stride(image) / 4;
    g_assert_cmpint(pixman_image_get_height(image), ==, 400);
    row = pixman_image_get_data(image) + 48 * stride + 5 * pixman_image_get_width(image) / 80;
    g_assert_cmphex(row[0] & 0xffffff, ==, shown(0x3c));
    g_assert_cmphex(row[1] & 0xffffff, ==, shown(1));
    g_assert_cmphex(row[stride + 7] & 0xffffff, ==, shown(0x3c));
    g_assert_cmphex(row[stride + 6] & 0xffffff, ==, shown(1));
    text = console_text(con);
    g_assert_nonnull(strstr(text, "     A"));
}

static void registers_read_back_and_protect(void)
{
    start(&text_mode);
    rig_out8(0x3d4, 0x13);
    g_assert_cmphex(rig_in8(0x3d5), ==, 0x28);
    crtc(0x01, 0x11); /* protected by bit 7 of 11h */
    rig_out8(0x3d4, 0x01);
    g_assert_cmphex(rig_in8(0x3d5), ==, 0x4f);
    g_assert_cmphex(rig_in8(0x3cc), ==, 0x67);
    rig_in8(0x3da);
    rig_out8(0x3c0, 0x30);
    g_assert_cmphex(rig_in8(0x3c1), ==, 0x0c);
}

static void dispi(uint16_t index, uint16_t value)
{
    rig_out16(0x1ce, index);
    rig_out16(0x1cf, value);
}

static void bochs_modes_are_linear(void)
{
    device_reset(vga);
    rig_out16(0x1ce, 0);
    g_assert_cmphex(rig_in16(0x1cf) & 0xfff0, ==, 0xb0c0);
    dispi(4, 0);
    dispi(1, 800);
    dispi(2, 600);
    dispi(3, 32);
    dispi(4, 0x41);
    rig_out8(0x3c0, 0x20);
    rig_store(LFB + (800 * 599 + 799) * 4, 0x123456, 4);
    g_assert_cmphex(pixel(799, 599, 800, 600), ==, 0x123456);
    dispi(5, 29); /* the banked window shows the same memory */
    g_assert_cmphex(rig_load(WINDOW + (800 * 599 + 799) * 4 - 29 * 65536, 1), ==, 0x56);
    dispi(4, 0);
    dispi(3, 16);
    dispi(4, 0x41);
    rig_store(LFB, 0xf800, 2);
    g_assert_cmphex(pixel(0, 0, 800, 600), ==, 0xff0000);
    dispi(4, 0);
}

static void a_snapshot_brings_the_picture_back(void)
{
    start(&mode_13);
    rig_store(WINDOW + 5, 0x77, 1);
    rig_save_and_load(vga);
    g_assert_cmphex(pixel(5, 0, 320, 200), ==, shown(0x77));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    vga = rig_add("isa-vga", rig_isa());
    con = console_get(0);
#define ADD(fn) g_test_add_func("/vga/" #fn, fn)
    ADD(mode_13_is_a_byte_per_pixel);
    ADD(a_palette_change_shows_without_a_write);
    ADD(mode_x_has_a_plane_for_each_fourth_pixel);
    ADD(write_mode_0_rotates_and_masks);
    ADD(write_mode_1_copies_four_planes);
    ADD(write_modes_2_and_3_write_colors);
    ADD(text_shows_glyphs_and_reads_as_text);
    ADD(registers_read_back_and_protect);
    ADD(bochs_modes_are_linear);
    ADD(a_snapshot_brings_the_picture_back);
    return g_test_run();
}
