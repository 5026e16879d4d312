/* Opening images for myna-img, their allocation status, and runs of zeros. */
#include "system/img/img.h"

#include "util/error.h"
#include "util/options.h"

#include <string.h>

BlockImage *img_open_with(const char *name, const char *format, const Json *options, bool image_opts, unsigned flags)
{
    g_autoptr(Json) parsed = NULL;
    GError *error = NULL;
    BlockImage *image;

    if (image_opts) {
        /* "driver=qcow2,file.filename=a": the members that -blockdev takes. */
        parsed = img_parse_create_options(name);
        if (!parsed) {
            return NULL;
        }
        options = parsed;
    }
    if (format && !block_driver_find(format)) {
        img_error("Could not open '%s': Unknown driver '%s'", name, format);
        return NULL;
    }
    image = block_image_open(image_opts ? NULL : name, format, options, flags, &error);
    if (!image) {
        /* The core's messages name the file as a rule. */
        if (strstr(error->message, name)) {
            img_error("%s", error->message);
        } else {
            img_error("Could not open '%s': %s", name, error->message);
        }
        g_error_free(error);
    }
    return image;
}

BlockImage *img_open(const char *name, const char *format, bool image_opts, unsigned flags)
{
    return img_open_with(name, format, NULL, image_opts, flags);
}

BlockImage *img_open_args(const ImgArgs *args, const char *name, unsigned flags)
{
    if (img_has(args, 'U')) {
        flags |= BLOCK_OPEN_NO_LOCK;
    }
    if (img_has(args, IMG_OPT_IMAGE_OPTS) && img_has(args, 'f')) {
        img_error("--image-opts and --format are mutually exclusive");
        return NULL;
    }
    return img_open(name, args->value['f'], img_has(args, IMG_OPT_IMAGE_OPTS), flags);
}

/* The id or name that a snapshot parameter asks for, among the image's snapshots. Caller frees; NULL: none. */
static char *find_snapshot(BlockImage *image, const char *text)
{
    g_autoptr(GPtrArray) list = image->driver->snapshot_list ? image->driver->snapshot_list(image) : NULL;
    g_autoptr(Json) wanted = g_str_has_prefix(text, "snapshot.") ? img_parse_create_options(text) : NULL;
    const char *id = wanted ? json_member_string(wanted, "snapshot.id") : NULL;
    const char *name = wanted ? json_member_string(wanted, "snapshot.name") : NULL;

    for (unsigned i = 0; list && i < list->len; i++) {
        const BlockSnapshot *s = list->pdata[i];
        bool match = wanted ? (id || name) && (!id || !strcmp(s->id, id)) && (!name || !strcmp(s->name, name))
                            : !strcmp(s->id, text) || !strcmp(s->name, text);

        if (match) {
            return g_strdup(s->id);
        }
    }
    return NULL;
}

BlockImage *img_open_at_snapshot(const ImgArgs *args, const char *name, const char *snapshot, unsigned flags)
{
    BlockImage *image = img_open_args(args, name, flags);
    g_autofree char *id = NULL;
    GError *error = NULL;

    if (!image || !snapshot) {
        return image;
    }
    id = find_snapshot(image, snapshot);
    if (!id || !image->driver->snapshot_view) {
        img_error("Failed to load snapshot: '%s' has no snapshot '%s'", name, snapshot);
    } else if (!image->driver->snapshot_view(image, id, &error)) {
        img_error("Failed to load snapshot: %s", error->message);
        g_error_free(error);
    } else {
        return image;
    }
    block_image_close(image);
    return NULL;
}

int img_chain_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent, int *depth,
                     BlockImage **layer)
{
    *depth = 0;
    for (;;) {
        int error = block_image_status_above(image, image->backing, offset, size, extent);
        uint64_t backing_size = image->backing ? block_image_size(image->backing) : 0;

        if (error) {
            return error;
        }
        *layer = image;
        if ((extent->status & BLOCK_HERE) || !image->backing) {
            return 0;
        }
        size = extent->size;
        if (offset >= backing_size) {
            extent->status = BLOCK_ZERO;
            return 0;
        }
        size = MIN(size, backing_size - offset);
        image = image->backing;
        ++*depth;
    }
}

bool img_is_zero(const void *buf, size_t size)
{
    const uint8_t *at = buf;
    const uint8_t *end = at + size;

    /* Most data shows itself in its first bytes. */
    while (at < end && (uintptr_t)at % sizeof(uint64_t)) {
        if (*at++) {
            return false;
        }
    }
    for (; end - at >= 64; at += 64) {
        uint64_t word[8];

        memcpy(word, at, sizeof(word));
        if (word[0] | word[1] | word[2] | word[3] | word[4] | word[5] | word[6] | word[7]) {
            return false;
        }
    }
    while (at < end) {
        if (*at++) {
            return false;
        }
    }
    return true;
}

size_t img_zero_run(const void *buf, size_t size, size_t grain, bool *is_zero)
{
    const uint8_t *start = buf;
    size_t done = MIN(grain, size);

    *is_zero = img_is_zero(start, done);
    while (done < size) {
        size_t step = MIN(grain, size - done);

        if (img_is_zero(start + done, step) != *is_zero) {
            break;
        }
        done += step;
    }
    return done;
}
