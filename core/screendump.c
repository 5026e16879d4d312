/* Pictures of a console in files: PPM, and PNG where libpng is. */
#include "core/display.h"

#include "config.h"
#include "util/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#ifdef CONFIG_PNG
#include <png.h>
#endif

/* One row of the surface as R, G, B bytes. */
static void row_as_rgb(pixman_image_t *image, int y, uint8_t *rgb)
{
    int width = pixman_image_get_width(image);
    const uint32_t *row =
        pixman_image_get_data(image) + (size_t)y * pixman_image_get_stride(image) / 4;

    for (int x = 0; x < width; x++) {
        *rgb++ = row[x] >> 16;
        *rgb++ = row[x] >> 8;
        *rgb++ = row[x];
    }
}

static bool write_ppm(FILE *file, pixman_image_t *image)
{
    int width = pixman_image_get_width(image), height = pixman_image_get_height(image);
    g_autofree uint8_t *rgb = g_malloc((size_t)width * 3);

    fprintf(file, "P6\n%d %d\n255\n", width, height);
    for (int y = 0; y < height; y++) {
        row_as_rgb(image, y, rgb);
        if (fwrite(rgb, 3, width, file) != (size_t)width) {
            return false;
        }
    }
    return true;
}

#ifdef CONFIG_PNG
static bool write_png(FILE *file, pixman_image_t *image)
{
    int width = pixman_image_get_width(image), height = pixman_image_get_height(image);
    uint8_t *rgb = g_malloc((size_t)width * 3);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    volatile bool done = false;

    if (info && !setjmp(png_jmpbuf(png))) {
        png_init_io(png, file);
        png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
        png_set_compression_level(png, 3);
        png_write_info(png, info);
        for (int y = 0; y < height; y++) {
            row_as_rgb(image, y, rgb);
            png_write_row(png, rgb);
        }
        png_write_end(png, NULL);
        done = true;
    }
    png_destroy_write_struct(&png, &info);
    g_free(rgb);
    return done;
}
#endif

bool console_screendump(Console *con, const char *path, const char *format, GError **error)
{
    bool (*writer)(FILE *, pixman_image_t *) = NULL;
    FILE *file;
    bool good;

    if (!format || g_str_equal(format, "ppm")) {
        writer = write_ppm;
#ifdef CONFIG_PNG
    } else if (g_str_equal(format, "png")) {
        writer = write_png;
#endif
    } else {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "unknown picture format '%s'", format);
        return false;
    }
    console_update(con);
    file = fopen(path, "we");
    if (!file) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot open '%s': %s", path,
                    g_strerror(errno));
        return false;
    }
    good = writer(file, console_surface(con));
    good = fclose(file) == 0 && good;
    if (!good) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write picture '%s': %s", path,
                    g_strerror(errno));
    }
    return good;
}
