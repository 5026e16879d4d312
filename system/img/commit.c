/* myna-img commit: what an overlay has goes into an image below it. */
#include "system/img/img.h"

#include "util/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_SIZE (2u << 20)
#define BUFFER_ALIGN 4096

typedef struct Commit {
    BlockImage *top, *base;
    ImgRate rate;
    void *buf;
} Commit;

/* The image of the chain that -b names; the next one without it. */
static BlockImage *find_base(BlockImage *top, const char *file, const char *name)
{
    g_autofree char *path = NULL;
    g_autofree char *wanted = NULL;

    if (!top->backing) {
        img_error("Image does not have a backing file");
        return NULL;
    }
    if (!name) {
        return top->backing;
    }
    path = block_name_relative_to(file, name);
    wanted = g_canonicalize_filename(path, NULL);
    for (BlockImage *image = top->backing; image; image = image->backing) {
        g_autofree char *found = g_canonicalize_filename(image->name, NULL);

        if (!strcmp(found, wanted) || !strcmp(image->name, name)) {
            return image;
        }
    }
    img_error("Did not find '%s' in the backing chain of '%s'", name, file);
    return NULL;
}

static int copy_extent(const Commit *c, uint64_t offset, const BlockExtent *extent)
{
    int error;

    if (extent->status & BLOCK_ZERO) {
        return block_image_write_zeroes(c->base, offset, extent->size, true);
    }
    error = block_image_read(c->top, offset, c->buf, extent->size);
    return error ? error : block_image_write(c->base, offset, c->buf, extent->size);
}

static int copy_down(Commit *c)
{
    uint64_t size = block_image_size(c->top);
    BlockExtent extent;

    for (uint64_t at = 0; at < size; at += extent.size) {
        int error = block_image_status_above(c->top, c->base, at, size - at, &extent);

        if (!error && (extent.status & BLOCK_HERE)) {
            extent.size = MIN(extent.size, PIECE_SIZE);
            error = copy_extent(c, at, &extent);
            img_rate_limit(&c->rate, extent.size);
        }
        if (error) {
            return img_fail_errno(error, "error while committing at byte %" PRIu64, at);
        }
        img_progress(at, size);
    }
    return 0;
}

static int grow_base(const Commit *c)
{
    uint64_t size = block_image_size(c->top);
    GError *error = NULL;
    int code;

    if (block_image_size(c->base) >= size) {
        return 0;
    }
    code = block_image_resize(c->base, size, &error);
    if (error) {
        return img_fail(error);
    }
    return code ? img_fail_errno(code, "Could not resize '%s'", c->base->name) : 0;
}

/* The overlay may be emptied once the base has it for good. */
static int finish(const Commit *c, bool empty)
{
    int error = block_image_flush(c->base);

    if (error) {
        return img_fail_errno(error, "Could not flush '%s'", c->base->name);
    }
    if (!empty) {
        return 0;
    }
    if (!c->top->driver->make_empty) {
        img_error("The changes are in '%s', but images of format '%s' cannot be emptied: use -d", c->base->name,
                  c->top->driver->name);
        return 1;
    }
    error = c->top->driver->make_empty(c->top);
    return error ? img_fail_errno(error, "Could not empty '%s'", c->top->name) : 0;
}

static int commit(Commit *c, bool empty)
{
    GError *error = NULL;
    int status;

    if (!block_image_reopen(c->base, true, &error)) {
        return img_fail(error);
    }
    if (posix_memalign(&c->buf, BUFFER_ALIGN, PIECE_SIZE)) {
        img_error("no memory for a buffer");
        return 1;
    }
    status = grow_base(c);
    status = status ? status : copy_down(c);
    status = status ? status : finish(c, empty);
    free(c->buf);
    return status;
}

int img_commit(ImgArgs *args)
{
    unsigned flags = 0;
    Commit c = { NULL };
    int status = 1;

    if (!img_parse_cache(args->value['t'], "writeback", &flags) ||
        (img_has(args, 'r') && !img_parse_size(args->value['r'], "rate limit", &c.rate.rate))) {
        return 1;
    }
    c.top = img_open_args(args, args->files[0], flags);
    if (!c.top) {
        return 1;
    }
    img_progress_start(img_has(args, 'p') && !img_has(args, 'q'));
    c.base = find_base(c.top, args->files[0], args->value['b']);
    if (c.base) {
        /* Images between would read what is not theirs: with -b the overlay stays as it is. */
        status = commit(&c, !img_has(args, 'd') && !img_has(args, 'b'));
    }
    block_image_close(c.top);
    if (!status) {
        img_progress_end();
        if (!img_has(args, 'q')) {
            printf("Image committed.\n");
        }
    }
    return status;
}
