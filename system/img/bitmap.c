/* myna-img bitmap: persistent dirty bitmaps of an image. */
#include "system/img/img.h"

static bool check_arguments(const ImgArgs *args, uint64_t *granularity)
{
    bool any = img_has(args, IMG_OPT_ADD) || img_has(args, IMG_OPT_REMOVE) || img_has(args, IMG_OPT_CLEAR) ||
               img_has(args, IMG_OPT_ENABLE) || img_has(args, IMG_OPT_DISABLE) || img_has(args, IMG_OPT_MERGE);

    if (!any) {
        img_error("Need at least one of --add, --remove, --clear, --enable, --disable, or --merge");
    } else if (img_has(args, 'g') && !img_has(args, IMG_OPT_ADD)) {
        img_error("granularity only supported with --add");
    } else if (img_has(args, 'F') && !img_has(args, 'b')) {
        img_error("-F only supported with -b");
    } else if (img_has(args, 'b') && !img_has(args, IMG_OPT_MERGE)) {
        img_error("Merge bitmap source file only supported with --merge");
    } else {
        return !img_has(args, 'g') || img_parse_size(args->value['g'], "granularity", granularity);
    }
    return false;
}

static bool is_action(int code)
{
    return code >= IMG_OPT_ADD && code <= IMG_OPT_MERGE;
}

static bool act(BlockImage *image, BlockImage *source, const ImgOption *option, const char *name, uint64_t granularity)
{
    static const BlockBitmapAction actions[] = {
        [IMG_OPT_ADD - IMG_OPT_ADD] = BLOCK_BITMAP_ADD,       [IMG_OPT_REMOVE - IMG_OPT_ADD] = BLOCK_BITMAP_REMOVE,
        [IMG_OPT_CLEAR - IMG_OPT_ADD] = BLOCK_BITMAP_CLEAR,   [IMG_OPT_ENABLE - IMG_OPT_ADD] = BLOCK_BITMAP_ENABLE,
        [IMG_OPT_DISABLE - IMG_OPT_ADD] = BLOCK_BITMAP_DISABLE,
    };
    GError *error = NULL;
    bool ok = option->code == IMG_OPT_MERGE
                  ? image->driver->bitmap_merge(image, name, source, option->value, &error)
                  : image->driver->bitmap_change(image, actions[option->code - IMG_OPT_ADD], name, granularity, &error);

    if (!ok) {
        img_error("Operation on bitmap %s failed: %s", name, error->message);
        g_error_free(error);
    }
    return ok;
}

static bool has_bitmaps(const BlockImage *image, const char *name)
{
    if (!image->driver->bitmap_change) {
        img_error("'%s': image format '%s' has no bitmaps; use qcow2", name, image->driver->name);
    }
    return image->driver->bitmap_change != NULL;
}

int img_bitmap(ImgArgs *args)
{
    const char *file = args->files[0], *name = args->files[1], *source_file = args->value['b'];
    BlockImage *image, *source = NULL;
    uint64_t granularity = 0;
    bool ok;

    if (!check_arguments(args, &granularity)) {
        return 1;
    }
    image = img_open_args(args, file, BLOCK_OPEN_NO_BACKING);
    if (!image) {
        return 1;
    }
    ok = has_bitmaps(image, file);
    if (ok && source_file) {
        source = img_open(source_file, args->value['F'], false, BLOCK_OPEN_NO_BACKING | BLOCK_OPEN_READONLY);
        ok = source && has_bitmaps(source, source_file);
    }
    for (guint i = 0; ok && i < args->sequence->len; i++) {
        const ImgOption *option = &g_array_index(args->sequence, ImgOption, i);

        ok = !is_action(option->code) || act(image, source ? source : image, option, name, granularity);
    }
    if (source) {
        block_image_close(source);
    }
    block_image_close(image);
    return ok ? 0 : 1;
}
