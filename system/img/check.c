/* myna-img check: consistency of an image's metadata, and repairs. */
#include "system/img/img.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Exit codes as the manual has them. */
enum { CHECK_CLEAN = 0, CHECK_FAILED = 1, CHECK_CORRUPT = 2, CHECK_LEAKS = 3, CHECK_UNSUPPORTED = 63 };

static void set_unless_zero(Json *json, const char *name, uint64_t value)
{
    if (value) {
        json_set(json, name, json_uint(value));
    }
}

static void print_json(const char *file, const BlockImage *image, const BlockCheck *check)
{
    g_autoptr(Json) json = json_object();
    g_autofree char *text = NULL;

    set_unless_zero(json, "image-end-offset", check->image_end_offset);
    set_unless_zero(json, "total-clusters", check->total_clusters);
    json_set(json, "check-errors", json_uint(check->check_errors));
    set_unless_zero(json, "corruptions", check->corruptions);
    set_unless_zero(json, "leaks", check->leaks);
    set_unless_zero(json, "corruptions-fixed", check->corruptions_fixed);
    set_unless_zero(json, "leaks-fixed", check->leaks_fixed);
    set_unless_zero(json, "allocated-clusters", check->allocated_clusters);
    set_unless_zero(json, "fragmented-clusters", check->fragmented_clusters);
    set_unless_zero(json, "compressed-clusters", check->compressed_clusters);
    json_set_string(json, "filename", file);
    json_set_string(json, "format", image->driver->name);
    text = json_write(json, true);
    printf("%s\n", text);
}

static void print_human(const BlockCheck *check)
{
    if (!check->corruptions && !check->leaks && !check->check_errors) {
        printf("No errors were found on the image.\n");
    }
    if (check->corruptions) {
        printf("\n%" PRIu64 " errors were found on the image.\n"
               "Data may be corrupted, or further writes to the image may corrupt it.\n",
               check->corruptions);
    }
    if (check->leaks) {
        printf("\n%" PRIu64 " leaked clusters were found on the image.\n"
               "This means waste of disk space, but no harm to data.\n",
               check->leaks);
    }
    if (check->check_errors) {
        printf("\n%" PRIu64 " internal errors have occurred during the check.\n", check->check_errors);
    }
    if (check->total_clusters) {
        printf("%" PRIu64 "/%" PRIu64 " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n",
               check->allocated_clusters, check->total_clusters,
               100.0 * check->allocated_clusters / check->total_clusters,
               check->allocated_clusters ? 100.0 * check->fragmented_clusters / check->allocated_clusters : 0,
               check->allocated_clusters ? 100.0 * check->compressed_clusters / check->allocated_clusters : 0);
    }
    if (check->image_end_offset) {
        printf("Image end offset: %" PRIu64 "\n", check->image_end_offset);
    }
}

static bool parse_fix(const char *text, unsigned *fix)
{
    if (!text) {
        *fix = BLOCK_FIX_NONE;
    } else if (!strcmp(text, "leaks")) {
        *fix = BLOCK_FIX_LEAKS;
    } else if (!strcmp(text, "all")) {
        *fix = BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS;
    } else {
        img_error("Unknown option value for -r (expecting 'leaks' or 'all'): %s", text);
        return false;
    }
    return true;
}

static int check_image(BlockImage *image, const char *file, unsigned fix, bool json, bool quiet)
{
    BlockCheck check = { 0 };
    GError *error = NULL;
    int code;

    if (!image->driver->check) {
        img_error("This image format does not support checks");
        return CHECK_UNSUPPORTED;
    }
    code = image->driver->check(image, fix, &check, &error);
    if (code == ENOTSUP) {
        g_clear_error(&error);
        img_error("This image format does not support checks");
        return CHECK_UNSUPPORTED;
    }
    if (code) {
        img_error("Check failed: %s", error ? error->message : g_strerror(code));
        g_clear_error(&error);
        return CHECK_FAILED;
    }
    g_clear_error(&error);
    if (fix && (check.corruptions_fixed || check.leaks_fixed)) {
        BlockCheck again = { 0 };

        if (!quiet && !json) {
            printf("The following inconsistencies were found and repaired:\n\n"
                   "    %" PRIu64 " leaked clusters\n    %" PRIu64 " corruptions\n\n"
                   "Double checking the fixed image now...\n",
                   check.leaks_fixed, check.corruptions_fixed);
        }
        code = image->driver->check(image, 0, &again, &error);
        again.leaks_fixed = check.leaks_fixed;
        again.corruptions_fixed = check.corruptions_fixed;
        check = again;
        if (code) {
            img_error("Check failed: %s", error ? error->message : g_strerror(code));
            g_clear_error(&error);
            return CHECK_FAILED;
        }
    }
    if (json) {
        print_json(file, image, &check);
    } else if (!quiet) {
        print_human(&check);
    }
    return check.corruptions ? CHECK_CORRUPT
           : check.leaks     ? CHECK_LEAKS
           : check.check_errors ? CHECK_FAILED
                                : CHECK_CLEAN;
}

int img_check(ImgArgs *args)
{
    unsigned flags = BLOCK_OPEN_CHECK | BLOCK_OPEN_NO_BACKING;
    BlockImage *image;
    unsigned fix;
    bool json;
    int status;

    if (!img_parse_output(args, &json) || !parse_fix(args->value['r'], &fix) ||
        !img_parse_cache(args->value['T'], "writeback", &flags)) {
        return CHECK_FAILED;
    }
    if (fix && img_has(args, 'U')) {
        img_error("-U cannot be used for repairs: nothing else may use the image then");
        return CHECK_FAILED;
    }
    image = img_open_args(args, args->files[0], flags | (fix ? 0 : BLOCK_OPEN_READONLY));
    if (!image) {
        return CHECK_FAILED;
    }
    status = check_image(image, args->files[0], fix, json, img_has(args, 'q'));
    block_image_close(image);
    return status;
}
