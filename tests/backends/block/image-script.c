/* Runs a script of image operations from standard input, for tests that compare images with those of other tools. */
#include "backends/block/driver.h"
#include "util/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static BlockImage *image;

static void fail(const char *what, int error, GError *why)
{
    printf("error: %s: %s\n", what, why ? why->message : g_strerror(error));
    fflush(stdout);
    exit(1);
}

static void need(const char *what, int error)
{
    if (error) {
        fail(what, error, NULL);
    }
}

static void need_ok(const char *what, bool ok, GError *why)
{
    if (!ok) {
        fail(what, 0, why);
    }
}

/* "a=b" words to an object of texts. */
static Json *options_of(char **words)
{
    Json *options = json_object();

    for (; *words; words++) {
        char *value = strchr(*words, '=');

        if (value) {
            g_autofree char *name = g_strndup(*words, value - *words);

            json_set_string(options, name, value + 1);
        }
    }
    return options;
}

static unsigned flags_of(char **words)
{
    unsigned flags = BLOCK_OPEN_DISCARD;

    for (; *words; words++) {
        flags |= !strcmp(*words, "ro") ? BLOCK_OPEN_READONLY : !strcmp(*words, "check") ? BLOCK_OPEN_CHECK : 0;
    }
    return flags;
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 0);
}

static void do_transfer(char **w)
{
    uint64_t offset = number(w[1]), size = number(w[2]);
    g_autofree uint8_t *buf = g_malloc(size + 1), *expected = NULL;

    memset(buf, number(w[3]), size);
    if (!strcmp(w[0], "write")) {
        need("write", block_image_write(image, offset, buf, size));
    } else if (!strcmp(w[0], "compressed")) {
        need("write_compressed", image->driver->write_compressed(image, offset, buf, size));
    } else {
        expected = g_memdup2(buf, size);
        need("read", block_image_read(image, offset, buf, size));
        for (uint64_t i = 0; i < size; i++) {
            if (buf[i] != expected[i]) {
                printf("differs at 0x%" G_GINT64_MODIFIER "x: 0x%02x is not 0x%02x\n", offset + i, buf[i], expected[i]);
                exit(1);
            }
        }
    }
}

/* All of the disk from or to a host file. */
static void do_copy(char **w)
{
    uint64_t size = block_image_size(image), step = w[2] ? number(w[2]) : 1 << 20;
    bool to_file = !strcmp(w[0], "export"), packed = !strcmp(w[0], "import-compressed");
    FILE *f = fopen(w[1], to_file ? "w" : "r");
    g_autofree uint8_t *buf = g_malloc(step);

    for (uint64_t at = 0; at < size; at += step) {
        size_t n = MIN(step, size - at);

        if (to_file) {
            need("read", block_image_read(image, at, buf, n));
            fwrite(buf, 1, n, f);
            continue;
        }
        memset(buf, 0, n);
        if (fread(buf, 1, n, f) == 0) {
            break;
        }
        need("write", packed ? image->driver->write_compressed(image, at, buf, n) : block_image_write(image, at, buf, n));
    }
    fclose(f);
}

static void do_check(unsigned fix)
{
    BlockCheck result = { 0 };
    GError *error = NULL;

    if (image->driver->check(image, fix, &result, &error)) {
        fail("check", 0, error);
    }
    printf("check corruptions %d leaks %d errors %d fixed %d leaks-fixed %d\n", (int)result.corruptions,
           (int)result.leaks, (int)result.check_errors, (int)result.corruptions_fixed, (int)result.leaks_fixed);
}

static void do_map(void)
{
    uint64_t at = 0, size = block_image_size(image);
    BlockExtent e;

    while (at < size) {
        need("status", block_image_status(image, at, size - at, &e));
        printf("map 0x%" G_GINT64_MODIFIER "x 0x%" G_GINT64_MODIFIER "x %u 0x%" G_GINT64_MODIFIER "x\n", at, e.size,
               e.status, e.image ? e.offset : 0);
        at += e.size;
    }
}

static void run(char **w)
{
    GError *error = NULL;
    const char *verb = w[0];
    g_autoptr(Json) options = options_of(w);

    if (!strcmp(verb, "create")) { /* create FILE FORMAT SIZE name=value... */
        need_ok("create", block_image_create(w[1], w[2], number(w[3]), options, &error), error);
    } else if (!strcmp(verb, "open")) { /* open FILE FORMAT [ro] [check] name=value... */
        image = block_image_open(w[1], w[2], options, flags_of(w + 3), &error);
        need_ok("open", image, error);
    } else if (!strcmp(verb, "close")) {
        block_image_close(image);
    } else if (!strcmp(verb, "write") || !strcmp(verb, "compressed") || !strcmp(verb, "verify")) { /* OFFSET SIZE BYTE */
        do_transfer(w);
    } else if (!strcmp(verb, "discard")) {
        need(verb, block_image_discard(image, number(w[1]), number(w[2])));
    } else if (!strcmp(verb, "zero")) { /* OFFSET SIZE [unmap] */
        need(verb, block_image_write_zeroes(image, number(w[1]), number(w[2]), w[3]));
    } else if (!strcmp(verb, "flush")) {
        need(verb, block_image_flush(image));
    } else if (!strcmp(verb, "import") || !strcmp(verb, "import-compressed") || !strcmp(verb, "export")) {
        do_copy(w);
    } else if (!strcmp(verb, "check")) { /* [leaks|all] */
        do_check(!w[1] ? 0 : !strcmp(w[1], "all") ? BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS : BLOCK_FIX_LEAKS);
    } else if (!strcmp(verb, "resize")) {
        if (block_image_resize(image, number(w[1]), &error)) {
            fail(verb, 0, error);
        }
    } else if (!strcmp(verb, "snapshot")) { /* create|apply|delete NAME */
        BlockSnapshot s = { .name = w[2], .date_sec = 1000, .icount = UINT64_MAX };

        need_ok(verb, !strcmp(w[1], "create") ? image->driver->snapshot_create(image, &s, &error) :
                      !strcmp(w[1], "apply") ? image->driver->snapshot_apply(image, w[2], &error) :
                                               image->driver->snapshot_delete(image, w[2], &error), error);
    } else if (!strcmp(verb, "info")) {
        g_autoptr(Json) specific = json_object();
        g_autofree char *text = NULL;

        image->driver->info(image, specific);
        text = json_write(specific, false);
        printf("%s\n", text);
    } else if (!strcmp(verb, "map")) {
        do_map();
    } else if (!strcmp(verb, "empty")) {
        need(verb, image->driver->make_empty(image));
    } else if (!strcmp(verb, "backing")) { /* [NAME FORMAT] */
        need_ok(verb, image->driver->change_backing(image, w[1], w[1] ? w[2] : NULL, &error), error);
    } else if (!strcmp(verb, "amend")) {
        need_ok(verb, image->driver->amend(image, options, &error), error);
    } else if (!strcmp(verb, "state-write")) { /* OFFSET SIZE BYTE */
        g_autofree uint8_t *buf = g_malloc(number(w[2]));

        memset(buf, number(w[3]), number(w[2]));
        need(verb, image->driver->vm_state_write(image, number(w[1]), buf, number(w[2])));
    } else {
        fail(verb, 0, NULL);
    }
}

int main(void)
{
    char line[4096];

    while (fgets(line, sizeof(line), stdin)) {
        g_auto(GStrv) words = g_strsplit(g_strstrip(line), " ", 0);

        if (words[0] && *words[0]) {
            run(words);
            fflush(stdout);
        }
    }
    return 0;
}
