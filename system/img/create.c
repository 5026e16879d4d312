/* myna-img create, amend and resize: images as wholes. */
#include "system/img/img.h"

#include "util/error.h"
#include "util/options.h"

#include <stdio.h>
#include <string.h>

static bool set_option(Json *options, const BlockDriver *driver, const char *name, const char *value, const char *flag)
{
    if (!value) {
        return true;
    }
    if (!img_find_create_option(driver, name)) {
        img_error("%s is not supported for format '%s'", flag, driver->name);
        return false;
    }
    json_set_string(options, name, value);
    return true;
}

/* The size of the backing image, or false after a message. */
static bool backing_size(const ImgArgs *args, const char *file, Json *options, uint64_t *size)
{
    const char *name = json_member_string(options, "backing_file");
    const char *format = json_member_string(options, "backing_fmt");
    g_autofree char *path = block_name_relative_to(file, name);
    BlockImage *backing = img_open(path, format, false, BLOCK_OPEN_READONLY);

    if (!backing) {
        return false;
    }
    if (!format) {
        img_warn("the format of the backing file was not given (-F); it looks like '%s' and is recorded as such",
                 backing->driver->name);
        json_set_string(options, "backing_fmt", backing->driver->name);
    }
    *size = block_image_size(backing);
    block_image_close(backing);
    return true;
}

/* Before anything is said or made: whether the format knows the options. */
static bool check_options(const char *file, const BlockDriver *driver, const Json *options)
{
    for (unsigned i = 0; i < json_count(options); i++) {
        const char *name = json_name_at(options, i);

        if (strcmp(name, "size") && !img_find_create_option(driver, name)) {
            img_error("%s: Invalid parameter '%s': '-o help' lists those of format '%s'", file, name, driver->name);
            return false;
        }
    }
    return true;
}

static void print_formatting(const char *file, const BlockDriver *driver, uint64_t size, const Json *options)
{
    printf("Formatting '%s', fmt=%s", file, driver->name);
    for (const BlockCreateOption *o = driver->create_options; o && o->name; o++) {
        const char *value = json_member_string(options, o->name);

        if (strcmp(o->name, "size") && (value || o->initial)) {
            printf(" %s=%s", o->name, value ? value : o->initial);
        }
    }
    printf(" size=%" PRIu64 "\n", size);
}

/* The size from the argument, -o size or the backing image. */
static bool find_size(ImgArgs *args, const char *file, Json *options, uint64_t *size)
{
    const char *option = json_member_string(options, "size");
    const char *text = args->count == 2 ? args->files[1] : option;
    uint64_t below = 0;

    if (json_get(options, "backing_file") && !(img_has(args, 'u') && text) &&
        !backing_size(args, file, options, &below)) {
        if (!text && img_has(args, 'u')) {
            img_error("%s: the size must be given when the backing file cannot be opened", file);
        }
        return false;
    }
    if (text && !img_parse_size(text, "image size", size)) {
        return false;
    }
    if (!text && !json_get(options, "backing_file")) {
        img_error("%s: Image creation needs a size parameter", file);
        return false;
    }
    if (!text) {
        *size = below;
    }
    json_free(json_remove(options, "size"));
    return true;
}

int img_create(ImgArgs *args)
{
    const char *format = img_has(args, 'f') ? args->value['f'] : "raw";
    const BlockDriver *driver = block_driver_find(format);
    g_autoptr(Json) options = NULL;
    GError *error = NULL;
    const char *file;
    uint64_t size = 0;

    if (img_wants_help(args->options)) {
        return img_print_create_options(format, false);
    }
    if (!args->count) {
        img_error("Expecting image file name");
        return 1;
    }
    file = args->files[0];
    if (!driver || !driver->create) {
        img_error(driver ? "%s: Format driver '%s' does not support image creation" : "%s: Unknown file format '%s'",
                  file, format);
        return 1;
    }
    options = img_parse_create_options(args->options);
    if (!options || !set_option(options, driver, "backing_file", args->value['b'], "Backing file") ||
        !set_option(options, driver, "backing_fmt", args->value['F'], "Backing format") ||
        !check_options(file, driver, options) || !find_size(args, file, options, &size)) {
        return 1;
    }
    if (!img_has(args, 'q')) {
        print_formatting(file, driver, size, options);
    }
    return block_image_create(file, format, size, options, &error) ? 0 : img_fail(error);
}

/* Only some of the options can change later. */
static bool check_amendable(const BlockDriver *driver, const Json *options)
{
    for (unsigned i = 0; i < json_count(options); i++) {
        const char *name = json_name_at(options, i);
        const BlockCreateOption *option = img_find_create_option(driver, name);

        if (!option || !option->amend) {
            img_error("Option '%s' cannot be changed: 'amend -f %s -o help' lists those that can", name, driver->name);
            return false;
        }
    }
    return true;
}

int img_amend(ImgArgs *args)
{
    unsigned flags = 0;
    g_autoptr(Json) options = NULL;
    GError *error = NULL;
    BlockImage *image;
    bool ok;

    if (img_wants_help(args->options) && img_has(args, 'f')) {
        return img_print_create_options(args->value['f'], true);
    }
    if (!args->options) {
        img_error("Must specify options (-o)");
        return 1;
    }
    if (args->count != 1) {
        img_error("Expecting one image file name");
        return 1;
    }
    options = img_parse_create_options(args->options);
    if (!options || !img_parse_cache(args->value['t'], "writeback", &flags)) {
        return 1;
    }
    image = img_open_args(args, args->files[0], flags | BLOCK_OPEN_NO_BACKING);
    if (!image) {
        return 1;
    }
    if (img_wants_help(args->options)) {
        int status = img_print_create_options(image->driver->name, true);

        block_image_close(image);
        return status;
    }
    if (image->driver->amend && !check_amendable(image->driver, options)) {
        block_image_close(image);
        return 1;
    }
    img_progress_start(img_has(args, 'p') && !img_has(args, 'q'));
    ok = image->driver->amend;
    if (!ok) {
        g_set_error(&error, VM_ERROR, VM_ERROR_USER, "Format driver '%s' does not support option amendment",
                    image->driver->name);
    } else {
        ok = image->driver->amend(image, options, &error);
    }
    if (ok) {
        img_progress_end();
    }
    block_image_close(image);
    return ok ? 0 : img_fail(error);
}

/* "+1G", "-1G" or "1G". */
static bool new_size(const char *text, uint64_t old, uint64_t *size)
{
    int sign = text[0] == '+' ? 1 : text[0] == '-' ? -1 : 0;

    if (!img_parse_size(text + (sign != 0), "image size", size)) {
        return false;
    }
    if (sign < 0 && *size >= old) {
        img_error("New image size must be positive: the image has only %" PRIu64 " bytes", old);
        return false;
    }
    *size = sign > 0 ? old + *size : sign < 0 ? old - *size : *size;
    if (!*size || *size > INT64_MAX) {
        img_error("New image size must be positive");
        return false;
    }
    return true;
}

static bool parse_preallocation(const char *text, bool *preallocate)
{
    static const char *const modes[] = { "off", "metadata", "falloc", "full", NULL };

    *preallocate = text && strcmp(text, "off");
    if (text && !g_strv_contains(modes, text)) {
        g_autofree char *hint = options_hint(text, modes);

        img_error("Invalid preallocation mode '%s'%s: use off, metadata, falloc or full", text, hint);
        return false;
    }
    return true;
}

static int resize_image(BlockImage *image, const ImgArgs *args, bool preallocate)
{
    uint64_t old = block_image_size(image);
    GError *error = NULL;
    uint64_t size;

    if (!new_size(args->files[1], old, &size)) {
        return 1;
    }
    if (size < old && !img_has(args, IMG_OPT_SHRINK)) {
        img_warn("Shrinking an image will delete all data beyond the shrunken image's end. Before performing such an "
                 "operation, make sure there is no important data there.");
        img_error("Use the --shrink option to perform a shrink operation.");
        return 1;
    }
    if (size < old && preallocate) {
        img_error("Preallocation cannot be used for shrinking an image");
        return 1;
    }
    if (!image->driver->resize) {
        img_error("Image format driver '%s' does not support resize", image->driver->name);
        return 1;
    }
    if (image->driver->resize(image, size, preallocate, &error) || error) {
        if (!error) {
            img_error("Could not resize '%s'", args->files[0]);
            return 1;
        }
        return img_fail(error);
    }
    if (!img_has(args, 'q')) {
        printf("Image resized.\n");
    }
    return 0;
}

int img_resize(ImgArgs *args)
{
    BlockImage *image;
    bool preallocate;
    int status;

    if (args->count != 2) {
        img_error("Expecting image file name and size");
        return 1;
    }
    if (!parse_preallocation(args->value[IMG_OPT_PREALLOCATION], &preallocate)) {
        return 1;
    }
    image = img_open_args(args, args->files[0], 0);
    if (!image) {
        return 1;
    }
    status = resize_image(image, args, preallocate);
    block_image_close(image);
    return status;
}
