/* myna-img map: which file has which range of an image. */
#include "system/img/img.h"

#include <stdio.h>

typedef struct MapEntry {
    uint64_t start, length;
    BlockExtent extent;
    int depth;
    bool present;
    const char *file; /* of the layer's data */
} MapEntry;

static const char *bool_text(bool value)
{
    return value ? "true" : "false";
}

static void print_json(const MapEntry *e, bool first)
{
    printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64 ", \"depth\": %d, \"present\": %s, \"zero\": %s, \"data\": %s",
           first ? "[" : ",\n", e->start, e->length, e->depth, bool_text(e->present),
           bool_text(e->extent.status & BLOCK_ZERO), bool_text(e->extent.status & BLOCK_DATA));
    if (e->extent.image) {
        printf(", \"offset\": %" PRIu64, e->extent.offset);
    }
    printf("}");
}

static bool print_human(const MapEntry *e)
{
    if (!(e->extent.status & BLOCK_DATA) || (e->extent.status & BLOCK_ZERO)) {
        return true;
    }
    if (!e->extent.image) {
        img_error("File contains external, encrypted or compressed clusters.");
        return false;
    }
    printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", e->start, e->length, e->extent.offset, e->file);
    return true;
}

static bool joins(const MapEntry *a, const MapEntry *b)
{
    return a->extent.status == b->extent.status && a->depth == b->depth && a->present == b->present &&
           a->extent.image == b->extent.image && a->start + a->length == b->start &&
           (!a->extent.image || a->extent.offset + a->length == b->extent.offset);
}

static int next_entry(BlockImage *image, uint64_t at, uint64_t end, MapEntry *e)
{
    BlockImage *layer;
    int error = img_chain_status(image, at, end - at, &e->extent, &e->depth, &layer);

    if (error) {
        return error;
    }
    e->start = at;
    e->length = e->extent.size;
    e->present = e->extent.status & (BLOCK_HERE);
    e->extent.status &= BLOCK_DATA | BLOCK_ZERO;
    if (!e->present && !(e->extent.status & BLOCK_DATA)) {
        e->extent.status |= BLOCK_ZERO;
        e->extent.image = NULL;
    }
    e->file = e->extent.image ? e->extent.image->name : layer->name;
    return 0;
}

static int print_map(BlockImage *image, uint64_t start, uint64_t end, bool json)
{
    MapEntry pending = { 0 }, next = { 0 };
    bool have = false, first = true;

    if (!json) {
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    }
    for (uint64_t at = start; at < end; at += next.length) {
        int error = next_entry(image, at, end, &next);

        if (error) {
            return img_fail_errno(error, "Failed to read image metadata at offset %" PRIu64, at);
        }
        if (have && joins(&pending, &next)) {
            pending.length += next.length;
            continue;
        }
        if (have && json) {
            print_json(&pending, first);
            first = false;
        } else if (have && !print_human(&pending)) {
            return 1;
        }
        pending = next;
        have = true;
    }
    if (json) {
        if (have) {
            print_json(&pending, first);
        }
        printf(have ? "]\n" : "[]\n");
        return 0;
    }
    return !have || print_human(&pending) ? 0 : 1;
}

int img_map(ImgArgs *args)
{
    uint64_t start = 0, length = UINT64_MAX, size;
    BlockImage *image;
    bool json;
    int status;

    if (!img_parse_output(args, &json)) {
        return 1;
    }
    for (int i = 0; i < 2; i++) {
        const char *text = args->value[i ? IMG_OPT_MAX_LENGTH : IMG_OPT_START_OFFSET];

        text = text ? text : args->value[i ? 'l' : 's'];
        if (text && !img_parse_size(text, i ? "max length" : "start offset", i ? &length : &start)) {
            return 1;
        }
    }
    image = img_open_args(args, args->files[0], BLOCK_OPEN_READONLY);
    if (!image) {
        return 1;
    }
    size = block_image_size(image);
    start = MIN(start, size);
    status = print_map(image, start, start + MIN(length, size - start), json);
    block_image_close(image);
    return status;
}
