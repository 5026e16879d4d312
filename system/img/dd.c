/* myna-img dd: a part of an image into a new image. */
#include "system/img/convert.h"
#include "system/img/pool.h"

#include "util/error.h"

#include <string.h>

#define DEFAULT_BLOCK 512

typedef struct DdArgs {
    const char *in, *out;
    uint64_t block, count, skip; /* count UINT64_MAX: all */
} DdArgs;

static bool parse_operands(const ImgArgs *args, DdArgs *dd)
{
    for (int i = 0; i < args->count; i++) {
        const char *equals = strchr(args->files[i], '=');
        g_autofree char *name = equals ? g_strndup(args->files[i], equals - args->files[i]) : NULL;
        const char *value = equals ? equals + 1 : NULL;
        uint64_t *number = !name                    ? NULL
                           : !strcmp(name, "bs")    ? &dd->block
                           : !strcmp(name, "count") ? &dd->count
                           : !strcmp(name, "skip")  ? &dd->skip
                                                    : NULL;

        if (number && !img_parse_size(value, name, number)) {
            return false;
        }
        if (name && !strcmp(name, "if")) {
            dd->in = value;
        } else if (name && !strcmp(name, "of")) {
            dd->out = value;
        } else if (!number) {
            img_error("unrecognized operand '%s': use bs=, count=, skip=, if= and of=", args->files[i]);
            return false;
        }
    }
    if (!dd->in || !dd->out) {
        img_error("Must specify both input and output file names: if=FILE of=FILE");
        return false;
    }
    if (!dd->block) {
        img_error("Invalid block size: bs=0");
        return false;
    }
    return true;
}

/* The part that is asked for, from the source's size; false after a message. */
static bool find_range(const DdArgs *dd, uint64_t size, uint64_t *start, uint64_t *length)
{
    if (dd->skip > size / dd->block && dd->skip * (__uint128_t)dd->block > size) {
        img_warn("%s: cannot skip to specified offset", dd->in);
        *start = size;
    } else {
        *start = dd->skip * dd->block;
    }
    *length = size - *start;
    if (dd->count < *length / dd->block + 1) {
        *length = MIN(*length, dd->count * dd->block);
    }
    return true;
}

static int copy(const ImgArgs *args, const DdArgs *dd, ConvertJob *job, const char *format)
{
    GError *error = NULL;
    int status;

    if (!block_image_create(dd->out, format, job->total, NULL, &error)) {
        return img_fail(error);
    }
    job->target = img_open(dd->out, format, false, 0);
    if (!job->target) {
        return 1;
    }
    job->target_is_zero = job->target->zero_init;
    status = img_convert_copy(job);
    if (!status) {
        int code = block_image_flush(job->target);

        status = code ? img_fail_errno(code, "error while writing '%s'", dd->out) : 0;
    }
    block_image_close(job->target);
    return status;
}

int img_dd(ImgArgs *args)
{
    const char *format = img_has(args, 'O') ? args->value['O'] : "raw";
    const BlockDriver *driver = block_driver_find(format);
    DdArgs dd = { .block = DEFAULT_BLOCK, .count = UINT64_MAX };
    ConvertSource source = { NULL };
    ConvertJob job = { .sources = &source, .source_count = 1, .align = 64u << 10, .sparse = 4096, .in_order = true };
    int status = 1;

    if (!parse_operands(args, &dd)) {
        return 1;
    }
    if (!driver || !driver->create) {
        img_error(driver ? "Format driver '%s' does not support image creation" : "Unknown file format '%s'", format);
        return 1;
    }
    source.image = img_open_args(args, dd.in, BLOCK_OPEN_READONLY);
    if (!source.image) {
        return 1;
    }
    job.threads = img_pool_default_threads();
    if (find_range(&dd, block_image_size(source.image), &source.skip, &source.size)) {
        job.total = strcmp(format, "raw") ? ROUND_SECTOR(source.size) : source.size;
        status = copy(args, &dd, &job, format);
    }
    block_image_close(source.image);
    return status;
}
