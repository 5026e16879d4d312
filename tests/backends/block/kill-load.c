/*
 * The child of the kill test. "kill-load run IMAGE FORMAT SEED THREADS": a load on an image by several threads, which
 * tells of each finished flush and operation on standard output ("f THREAD FLUSHES NUMBER"), until it is killed.
 * "kill-load verify IMAGE FORMAT SEED THREADS [THREAD FLUSHES]...": whether the image has all that was flushed.
 */
#include "tests/backends/block/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONG_ENOUGH = 4000 }; /* operations of a thread; the kill comes before */

static BlockImage *image;
static unsigned seed, threads;

static gpointer run_thread(gpointer opaque)
{
    unsigned flushes = 0;
    Load load;

    load_init(&load, seed, GPOINTER_TO_UINT(opaque), threads, image);
    while (load.number < LONG_ENOUGH) {
        LoadOp op = load_next(&load);
        int error = load_perform(image, &op);
        char line[64];

        if (error) {
            fprintf(stderr, "operation %d failed: %s\n", op.kind, g_strerror(error));
            _exit(3);
        }
        if (op.kind == LOAD_FLUSH) {
            int size = snprintf(line, sizeof(line), "f %u %u\n", load.thread, ++flushes);

            if (write(1, line, size) != size) {
                _exit(4);
            }
        }
    }
    load_clear(&load);
    return NULL;
}

static int run(void)
{
    GThread *workers[16];

    for (unsigned i = 0; i < threads; i++) {
        workers[i] = g_thread_new("load", run_thread, GUINT_TO_POINTER(i));
    }
    for (unsigned i = 0; i < threads; i++) {
        g_thread_join(workers[i]);
    }
    block_image_close(image);
    return 0;
}

static int verify(char **words)
{
    uint64_t flushes[16] = { 0 };
    bool ok = true;

    for (; words[0] && words[1]; words += 2) {
        flushes[atoi(words[0]) % 16] = atoi(words[1]);
    }
    for (unsigned i = 0; i < threads; i++) {
        Load load;

        load_init(&load, seed, i, threads, image);
        ok &= load_verify(image, &load, flushes[i], LONG_ENOUGH);
        load_clear(&load);
    }
    block_image_close(image);
    return ok ? 0 : 2;
}

int main(int argc, char **argv)
{
    bool is_run = argc >= 6 && !strcmp(argv[1], "run");
    GError *error = NULL;

    if (argc < 6) {
        return 64;
    }
    seed = atoi(argv[4]);
    threads = CLAMP(atoi(argv[5]), 1, 16);
    image = block_image_open(argv[2], argv[3], NULL, is_run ? BLOCK_OPEN_DISCARD : BLOCK_OPEN_READONLY, &error);
    if (!image) {
        fprintf(stderr, "cannot open: %s\n", error->message);
        return 1;
    }
    return is_run ? run() : verify(argv + 6);
}
