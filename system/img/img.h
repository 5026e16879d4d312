/* What the commands of myna-img share: arguments, opening, messages, progress. */
#ifndef SYSTEM_IMG_IMG_H
#define SYSTEM_IMG_IMG_H

#include "backends/block/driver.h"

#include <glib.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

/* Options with a letter have its code; the others these. */
enum {
    IMG_OPT_OBJECT = 256,
    IMG_OPT_IMAGE_OPTS,
    IMG_OPT_TARGET_IMAGE_OPTS,
    IMG_OPT_TARGET_IS_ZERO,
    IMG_OPT_SALVAGE,
    IMG_OPT_OUTPUT,
    IMG_OPT_BACKING_CHAIN,
    IMG_OPT_SHRINK,
    IMG_OPT_PREALLOCATION,
    IMG_OPT_START_OFFSET,
    IMG_OPT_MAX_LENGTH,
    IMG_OPT_SIZE,
    IMG_OPT_FLUSH_INTERVAL,
    IMG_OPT_NO_DRAIN,
    IMG_OPT_PATTERN,
    IMG_OPT_FORCE,
    IMG_OPT_BITMAPS,
    IMG_OPT_SKIP_BROKEN_BITMAPS,
    IMG_OPT_ADD,
    IMG_OPT_REMOVE,
    IMG_OPT_CLEAR,
    IMG_OPT_ENABLE,
    IMG_OPT_DISABLE,
    IMG_OPT_MERGE,
    IMG_OPT_COUNT,
};

typedef struct ImgOption {
    int code;
    const char *value;
} ImgOption;

/* Parsed arguments. Texts are borrowed from argv, save the joined -o. */
typedef struct ImgArgs {
    const char *value[IMG_OPT_COUNT]; /* "" for flags, NULL: not given */
    GArray *sequence;                 /* of ImgOption: all of them in their order */
    char *options;                    /* all -o joined with commas */
    char **files;                     /* what is no option, NULL-terminated */
    int count;
} ImgArgs;

typedef struct ImgCommand {
    const char *name;
    const char *letters; /* as getopt takes them */
    const char *longs;   /* " name name " of the long options without a letter */
    int min_files, max_files;
    const char *wanted;  /* message when the count is wrong */
    int (*run)(ImgArgs *args); /* exit code */
    const char *usage;
    int usage_status; /* exit code for wrong arguments and images that do not open */
} ImgCommand;

static inline bool img_has(const ImgArgs *args, int option)
{
    return args->value[option] != NULL;
}

/* False after a message. */
bool img_parse(const ImgCommand *command, int argc, char **argv, ImgArgs *args);

/* "myna-img: ..." on stderr; img_fail frees the error and returns 1. */
void img_error(const char *format, ...) G_GNUC_PRINTF(1, 2);
void img_warn(const char *format, ...) G_GNUC_PRINTF(1, 2);
int img_fail(GError *error);
/* "Could not open 'a': ..." and the like: what went wrong with which image, from an errno value. Returns 1. */
int img_fail_errno(int error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Sizes with suffixes. False after a message. */
bool img_parse_size(const char *text, const char *what, uint64_t *size);
bool img_parse_int(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *value);
/* --output: false after a message. */
bool img_parse_output(const ImgArgs *args, bool *json);
/* "10 MiB"; caller frees. */
char *img_human_size(uint64_t size);

/* -o "a=b,c=d" into an object of texts, NULL after a message. "a" means a=on. */
Json *img_parse_create_options(const char *text);
/* -o help was asked for. */
bool img_wants_help(const char *options);
int img_print_create_options(const char *format, bool amend);
/* The create options of a format that have a name; NULL if it has none. */
const BlockCreateOption *img_find_create_option(const BlockDriver *driver, const char *name);

/* Cache modes of -t and -T into flags; false after a message. */
bool img_parse_cache(const char *text, const char *otherwise, unsigned *flags);

/* Opens a file, or with image_opts an option string. NULL after a message. */
BlockImage *img_open(const char *name, const char *format, bool image_opts, unsigned flags);
/* options: more of them, may be NULL. */
BlockImage *img_open_with(const char *name, const char *format, const Json *options, bool image_opts, unsigned flags);
BlockImage *img_open_args(const ImgArgs *args, const char *name, unsigned flags);
/* Read-only, as it was at an internal snapshot (id, name or "snapshot.id=ID,snapshot.name=NAME"; NULL: now). */
BlockImage *img_open_at_snapshot(const ImgArgs *args, const char *name, const char *snapshot, unsigned flags);

/* Status of a range in a chain, and how deep (0: image itself) the image lies that has it. */
int img_chain_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent, int *depth,
                     BlockImage **layer);
bool img_is_zero(const void *buf, size_t size);
/* How far from the start of buf the answer of is_zero stays the same, in whole grains. */
size_t img_zero_run(const void *buf, size_t size, size_t grain, bool *is_zero);

/* The share of the work that is done, on stdout with -p or after SIGUSR1. */
void img_progress_start(bool shown);
void img_progress(double done, double total);
void img_progress_end(void);

/* Waits so that no more than `rate` bytes a second pass; rate 0: unlimited. */
typedef struct ImgRate {
    uint64_t rate, done;
    int64_t start_us;
} ImgRate;
void img_rate_limit(ImgRate *limit, uint64_t bytes);

int img_amend(ImgArgs *args);
int img_bench(ImgArgs *args);
int img_bitmap(ImgArgs *args);
int img_check(ImgArgs *args);
int img_commit(ImgArgs *args);
int img_compare(ImgArgs *args);
int img_convert(ImgArgs *args);
int img_create(ImgArgs *args);
int img_dd(ImgArgs *args);
int img_info(ImgArgs *args);
int img_map(ImgArgs *args);
int img_measure(ImgArgs *args);
int img_rebase(ImgArgs *args);
int img_resize(ImgArgs *args);
int img_snapshot(ImgArgs *args);

void img_print_snapshots(BlockImage *image, const char *indent);

/* Entry; argv[0] is the program's name. */
int img_main(int argc, char **argv);

#endif
