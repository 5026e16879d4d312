/* myna-img measure: how large a new image will be. */
#include "system/img/img.h"

#include <stdio.h>
#include <string.h>

#define GRAIN_DEFAULT (64u << 10) /* formats allocate by clusters of this size unless told otherwise */

/* Bytes of clusters that hold data. */
static int count_data(BlockImage *image, uint64_t grain, uint64_t *data)
{
    uint64_t size = block_image_size(image), counted_until = 0;
    BlockExtent extent;

    *data = 0;
    for (uint64_t at = 0; at < size; at += extent.size) {
        int error = block_image_status(image, at, size - at, &extent);

        if (error) {
            return error;
        }
        if (!(extent.status & BLOCK_ZERO) && (extent.status & (BLOCK_DATA | BLOCK_HERE))) {
            uint64_t start = MAX(at / grain * grain, counted_until);
            uint64_t end = (at + extent.size + grain - 1) / grain * grain;

            *data += end > start ? end - start : 0;
            counted_until = MAX(counted_until, end);
        }
    }
    return 0;
}

static void print_result(bool as_json, bool has_bitmaps, uint64_t required, uint64_t full)
{
    if (as_json) {
        g_autoptr(Json) json = json_object();
        g_autofree char *text = NULL;

        if (has_bitmaps) {
            json_set_int(json, "bitmaps", 0);
        }
        json_set(json, "required", json_uint(required));
        json_set(json, "fully-allocated", json_uint(full));
        text = json_write(json, true);
        printf("%s\n", text);
    } else {
        printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", required, full);
        if (has_bitmaps) {
            printf("bitmaps size: 0\n");
        }
    }
}

/* Size and data of the image that is to be converted. */
static bool measure_source(const ImgArgs *args, uint64_t grain, uint64_t *size, uint64_t *data, bool *has_bitmaps)
{
    BlockImage *image = img_open_at_snapshot(args, args->files[0], args->value['l'], BLOCK_OPEN_READONLY);
    int error;

    if (!image) {
        return false;
    }
    *size = block_image_size(image);
    *has_bitmaps = !strcmp(image->driver->name, "qcow2");
    error = count_data(image, grain, data);
    if (error) {
        img_fail_errno(error, "error while reading image metadata");
    }
    block_image_close(image);
    return !error;
}

static int measure(const ImgArgs *args, const BlockDriver *driver, Json *options, bool as_json)
{
    const char *size_text = args->value[IMG_OPT_SIZE];
    uint64_t size = 0, data = 0, grain = GRAIN_DEFAULT, required = 0, full = 0;
    const char *cluster = json_member_string(options, "cluster_size");
    bool has_bitmaps = false, is_raw = !strcmp(driver->name, "raw");
    GError *error = NULL;

    if (cluster && (!img_parse_size(cluster, "cluster size", &grain) || !grain)) {
        return 1;
    }
    if (size_text ? !img_parse_size(size_text, "image size", &size)
                  : !measure_source(args, grain, &size, &data, &has_bitmaps)) {
        return 1;
    }
    if (is_raw) {
        required = full = size;
    } else if (!driver->measure(size, data, options, &required, &full, &error)) {
        return img_fail(error);
    }
    print_result(as_json, has_bitmaps && !strcmp(driver->name, "qcow2"), required, full);
    return 0;
}

int img_measure(ImgArgs *args)
{
    const char *format = img_has(args, 'O') ? args->value['O'] : "raw";
    const BlockDriver *driver = block_driver_find(format);
    g_autoptr(Json) options = NULL;
    bool as_json;

    if (img_wants_help(args->options)) {
        return img_print_create_options(format, false);
    }
    if (!img_parse_output(args, &as_json)) {
        return 1;
    }
    if (!driver) {
        img_error("Unknown file format '%s'", format);
        return 1;
    }
    if (strcmp(format, "raw") && !driver->measure) {
        img_error("Block driver '%s' does not support size measurement", format);
        return 1;
    }
    if (args->count && img_has(args, IMG_OPT_SIZE)) {
        img_error("--size N cannot be used together with a filename.");
        return 1;
    }
    if (!args->count && !img_has(args, IMG_OPT_SIZE)) {
        img_error("Either --size N or one filename must be specified.");
        return 1;
    }
    options = img_parse_create_options(args->options);
    return options ? measure(args, driver, options, as_json) : 1;
}
