/* myna-img convert and dd: from any images to a new one or an existing one. */
#include "system/img/convert.h"

#include "system/img/pool.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_SPARSE 4096
#define MAX_PIECE_ALIGN (64u << 10) /* larger clusters are filled in parts */
#define MAX_THREADS 64

static void close_sources(ConvertJob *job)
{
    for (int i = 0; i < job->source_count; i++) {
        block_image_close(job->sources[i].image);
    }
    g_free(job->sources);
    json_free(job->target_options);
}

static bool open_sources(ConvertJob *job, const ImgArgs *args, char **names, int count)
{
    unsigned flags = BLOCK_OPEN_READONLY;

    if (!img_parse_cache(args->value['T'], "writeback", &flags)) {
        return false;
    }
    job->sources = g_new0(ConvertSource, count);
    for (int i = 0; i < count; i++) {
        BlockImage *image = img_open_at_snapshot(args, names[i], args->value['l'], flags);

        if (!image) {
            return false;
        }
        job->sources[i] = (ConvertSource){ image, job->total, block_image_size(image) };
        job->source_count++;
        /* Images are joined at sectors. */
        job->total += count > 1 ? ROUND_SECTOR(job->sources[i].size) : job->sources[i].size;
    }
    return true;
}

static bool set_backing(const ImgArgs *args, const BlockDriver *driver, Json *options)
{
    const char *name = args->value['B'], *format = args->value['F'];

    if (format && !name) {
        img_error("Use of backing format requires explicit backing file");
        return false;
    }
    if (name && !driver->supports_backing) {
        img_error("Backing file not supported for file format '%s'", driver->name);
        return false;
    }
    if (name) {
        json_set_string(options, "backing_file", name);
    }
    if (format) {
        json_set_string(options, "backing_fmt", format);
    }
    return true;
}

/* The passphrase that an image is made with opens it, too. */
static Json *opening_options(const Json *create)
{
    static const char *const names[] = { "key-secret", "encrypt.key-secret" };
    Json *options = json_object();

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (json_member_string(create, names[i])) {
            json_set_string(options, names[i], json_member_string(create, names[i]));
        }
    }
    return options;
}

/* Makes the target, unless -n says that it is there. */
static bool create_target(ConvertJob *job, const ImgArgs *args, const char *name, const BlockDriver *driver)
{
    g_autoptr(Json) options = img_parse_create_options(args->options);
    GError *error = NULL;

    if (!options || !set_backing(args, driver, options)) {
        return false;
    }
    if (json_get(options, "backing_file") && !args->value['B']) {
        job->above_backing = true;
    }
    if (json_member_string(options, "size")) {
        uint64_t size;

        if (!img_parse_size(json_member_string(options, "size"), "image size", &size)) {
            return false;
        }
        if (size < job->total) {
            img_error("The size %" PRIu64 " given with -o is smaller than the input (%" PRIu64 " bytes)", size,
                      job->total);
            return false;
        }
        job->target_size = size;
        json_free(json_remove(options, "size"));
    }
    job->target_options = opening_options(options);
    if (!block_image_create(name, driver->name, MAX(job->total, job->target_size), options, &error)) {
        g_prefix_error(&error, "%s: error while converting %s: ", name, driver->name);
        img_fail(error);
        return false;
    }
    return true;
}

/* Formats whose target is written piece by piece in order, so that their clusters follow each other. */
static bool wants_order(const BlockImage *target)
{
    return target->file && target->cluster_size;
}

static bool check_target(ConvertJob *job, const ImgArgs *args, const char *name)
{
    BlockImage *target = job->target;
    bool fresh = !img_has(args, 'n');

    if (block_image_size(target) < job->total) {
        img_error("'%s' is smaller than the input: %" PRIu64 " bytes, and %" PRIu64 " are needed", name,
                  block_image_size(target), job->total);
        return false;
    }
    job->compress = job->compress || target->compressed_only;
    if (job->compress && !target->driver->write_compressed) {
        img_error("Compression not supported for file format '%s'", target->driver->name);
        return false;
    }
    if (target->backing && img_has(args, IMG_OPT_TARGET_IS_ZERO)) {
        img_error("Cannot use --target-is-zero when the destination has a backing file");
        return false;
    }
    job->target_is_zero = !target->backing && (fresh ? target->zero_init : img_has(args, IMG_OPT_TARGET_IS_ZERO));
    job->align = MAX(target->cluster_size, BLOCK_SECTOR);
    if (!job->compress) {
        job->align = MIN(MAX(job->align, 4096), MAX_PIECE_ALIGN);
    }
    job->in_order = !job->compress && !img_has(args, 'W') && wants_order(target);
    return true;
}

static bool parse_numbers(ConvertJob *job, const ImgArgs *args)
{
    uint64_t threads = img_pool_default_threads();

    job->sparse = DEFAULT_SPARSE;
    if (img_has(args, 'S') && !img_parse_size(args->value['S'], "buffer size for sparse output", &job->sparse)) {
        return false;
    }
    if (job->sparse && job->sparse < BLOCK_SECTOR) {
        img_error("Invalid buffer size for sparse output '%s': at least 512, or 0 for none", args->value['S']);
        return false;
    }
    job->sparse = job->sparse / BLOCK_SECTOR * BLOCK_SECTOR;
    if (img_has(args, 'r') && !img_parse_size(args->value['r'], "rate limit", &job->rate.rate)) {
        return false;
    }
    if (img_has(args, 'm') && !img_parse_int(args->value['m'], "number of coroutines", 1, MAX_THREADS, &threads)) {
        return false;
    }
    job->threads = threads;
    return true;
}

static bool check_options(const ImgArgs *args, const BlockDriver *driver, const char *format)
{
    bool n = img_has(args, 'n');

    if (img_has(args, IMG_OPT_TARGET_IMAGE_OPTS) && !n) {
        img_error("--target-image-opts requires use of -n flag");
    } else if (img_has(args, IMG_OPT_TARGET_IMAGE_OPTS) && img_has(args, 'O')) {
        img_error("--target-image-opts and -O are mutually exclusive");
    } else if (img_has(args, IMG_OPT_TARGET_IS_ZERO) && !n) {
        img_error("--target-is-zero requires use of -n flag");
    } else if (img_has(args, 'C') && img_has(args, 'S')) {
        img_error("Cannot enable copy offloading when -S is used");
    } else if (img_has(args, 'C') && img_has(args, 'c')) {
        img_error("Cannot enable copy offloading when -c is used");
    } else if (n && (args->options || img_has(args, 'B'))) {
        img_error("-n creates no image: -o and -B have no meaning with it");
    } else if (img_has(args, 'c') && img_has(args, 'W')) {
        img_error("Out of order write and compress are mutually exclusive");
    } else if (img_has(args, IMG_OPT_BITMAPS)) {
        img_error("--bitmaps: copying bitmaps is not supported");
    } else if (!driver) {
        img_error("Unknown file format '%s'", format);
    } else if (!n && !driver->create) {
        img_error("Format driver '%s' does not support image creation", driver->name);
    } else {
        return true;
    }
    return false;
}

/* Opens the target and copies. */
static int copy_to_target(ConvertJob *job, const ImgArgs *args, const char *name, const char *format)
{
    bool opts = img_has(args, IMG_OPT_TARGET_IMAGE_OPTS);
    unsigned flags = 0;
    int status;

    if (!img_parse_cache(args->value['t'], "unsafe", &flags)) {
        return 1;
    }
    job->target = img_open_with(name, opts || (img_has(args, 'n') && !img_has(args, 'O')) ? NULL : format,
                                job->target_options, opts, flags);
    if (!job->target) {
        return 1;
    }
    status = !check_target(job, args, name);
    if (!status) {
        status = img_convert_copy(job);
    }
    if (!status) {
        int error = block_image_flush(job->target);

        status = error ? img_fail_errno(error, "error while writing '%s'", name) : 0;
    }
    block_image_close(job->target);
    return status;
}

int img_convert(ImgArgs *args)
{
    const char *format = img_has(args, 'O') ? args->value['O'] : "raw";
    const BlockDriver *driver = block_driver_find(format);
    const char *name;
    ConvertJob job = {
        .compress = img_has(args, 'c'),
        .offload = img_has(args, 'C'),
        .salvage = img_has(args, IMG_OPT_SALVAGE),
        .quiet = img_has(args, 'q'),
        .above_backing = img_has(args, 'B'),
        .may_clone = !img_has(args, 'S') && !img_has(args, 'n'),
    };
    int status = 1;

    if (img_wants_help(args->options)) {
        return img_print_create_options(format, false);
    }
    if (args->count < 2) {
        img_error("Must specify image file name");
        return 1;
    }
    name = args->files[args->count - 1];
    if (!check_options(args, driver, format) || !parse_numbers(&job, args)) {
        return 1;
    }
    img_progress_start(img_has(args, 'p') && !job.quiet);
    if (open_sources(&job, args, args->files, args->count - 1)) {
        if (strcmp(format, "raw")) {
            job.total = ROUND_SECTOR(job.total);
        }
        if (img_has(args, 'n') || create_target(&job, args, name, driver)) {
            status = copy_to_target(&job, args, name, format);
        }
    }
    if (!status) {
        img_progress_end();
    }
    close_sources(&job);
    return status;
}
