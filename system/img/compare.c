/* myna-img compare: whether two images read the same. */
#include "system/img/img.h"
#include "system/img/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_SIZE (1u << 20)
#define STATUS_SIZE (UINT64_C(1) << 30)
#define BUFFER_ALIGN 4096

enum { COMPARE_SAME = 0, COMPARE_DIFFER = 1, COMPARE_OPEN = 2, COMPARE_STATUS = 3, COMPARE_READ = 4 };

typedef struct Compare {
    ImgPool pool;
    BlockImage *image[2];
    uint64_t size[2], total, next;
    bool strict, quiet;
    int result;
    uint64_t mismatch; /* the first difference so far; UINT64_MAX: none */
} Compare;

/* A range in which both images have one status each. */
typedef struct Piece {
    uint64_t offset, size;
    bool read[2]; /* else it is zeros */
} Piece;

static void stop(Compare *compare, int result)
{
    g_mutex_lock(&compare->pool.lock);
    if (compare->result < result) {
        compare->result = result;
    }
    g_mutex_unlock(&compare->pool.lock);
}

/* Status of one image at the offset; past its end it reads as zeros. */
static int piece_status(Compare *compare, int which, Piece *piece, bool *allocated)
{
    uint64_t size = compare->size[which];
    BlockExtent extent;
    int error;

    *allocated = false;
    piece->read[which] = false;
    if (piece->offset >= size) {
        return 0;
    }
    error = block_image_status(compare->image[which], piece->offset, MIN(piece->size, size - piece->offset), &extent);
    if (error) {
        img_error("Error while checking block status of '%s' at offset %" PRIu64 ": %s", compare->image[which]->name,
                  piece->offset, g_strerror(error));
        return error;
    }
    piece->size = extent.size;
    piece->read[which] = !(extent.status & BLOCK_ZERO) && (extent.status & (BLOCK_DATA | BLOCK_HERE));
    *allocated = extent.status & BLOCK_HERE;
    return 0;
}

static bool claim_locked(Compare *compare, Piece *piece)
{
    while (compare->next < compare->total && !compare->result && compare->mismatch == UINT64_MAX) {
        bool allocated[2];

        *piece = (Piece){ compare->next, MIN(compare->total - compare->next, STATUS_SIZE) };
        for (int i = 0; i < 2; i++) {
            if (piece_status(compare, i, piece, &allocated[i])) {
                compare->result = COMPARE_STATUS;
                return false;
            }
        }
        if (compare->strict && allocated[0] != allocated[1]) {
            if (!compare->quiet) {
                printf("Strict mode: Offset %" PRIu64 " block status mismatch!\n", piece->offset);
            }
            compare->result = COMPARE_DIFFER;
            return false;
        }
        if (piece->read[0] || piece->read[1]) {
            piece->size = MIN(piece->size, PIECE_SIZE);
        }
        compare->next += piece->size;
        if (piece->read[0] || piece->read[1]) {
            return true;
        }
        img_pool_add_done(&compare->pool, piece->size);
    }
    return false;
}

static bool read_piece(Compare *compare, int which, const Piece *piece, uint8_t *buf)
{
    uint64_t size = compare->size[which];
    size_t inside = piece->offset < size ? MIN(piece->size, size - piece->offset) : 0;
    int error;

    if (!piece->read[which]) {
        memset(buf, 0, piece->size);
        return true;
    }
    error = block_image_read(compare->image[which], piece->offset, buf, inside);
    if (error) {
        img_error("Error while reading offset %" PRIu64 " of %s: %s", piece->offset, compare->image[which]->name,
                  g_strerror(error));
        stop(compare, COMPARE_READ);
        return false;
    }
    memset(buf + inside, 0, piece->size - inside);
    return true;
}

/* The first sector of the piece that differs. */
static void note_mismatch(Compare *compare, const Piece *piece, const uint8_t *a, const uint8_t *b)
{
    uint64_t at = 0;

    while (!memcmp(a + at, b + at, MIN(BLOCK_SECTOR, piece->size - at))) {
        at += BLOCK_SECTOR;
    }
    g_mutex_lock(&compare->pool.lock);
    compare->mismatch = MIN(compare->mismatch, piece->offset + at);
    g_mutex_unlock(&compare->pool.lock);
}

static void compare_pieces(ImgPool *pool, void *opaque)
{
    Compare *compare = opaque;
    void *buf[2] = { NULL, NULL };
    bool more = true;
    Piece piece;

    if (posix_memalign(&buf[0], BUFFER_ALIGN, PIECE_SIZE) || posix_memalign(&buf[1], BUFFER_ALIGN, PIECE_SIZE)) {
        img_error("no memory for a buffer");
        stop(compare, COMPARE_READ);
        more = false;
    }
    while (more) {
        g_mutex_lock(&pool->lock);
        more = claim_locked(compare, &piece);
        g_mutex_unlock(&pool->lock);
        if (more) {
            more = read_piece(compare, 0, &piece, buf[0]) && read_piece(compare, 1, &piece, buf[1]);
        }
        if (more && memcmp(buf[0], buf[1], piece.size)) {
            note_mismatch(compare, &piece, buf[0], buf[1]);
        }
        if (more) {
            img_pool_add_done(pool, piece.size);
        }
    }
    free(buf[0]);
    free(buf[1]);
}

static int compare_images(Compare *compare)
{
    for (int i = 0; i < 2; i++) {
        compare->size[i] = block_image_size(compare->image[i]);
    }
    if (compare->size[0] != compare->size[1]) {
        if (compare->strict) {
            if (!compare->quiet) {
                printf("Strict mode: Image size mismatch!\n");
            }
            return COMPARE_DIFFER;
        }
        if (!compare->quiet) {
            printf("Warning: Image size mismatch!\n");
        }
    }
    compare->total = MAX(compare->size[0], compare->size[1]);
    img_pool_init(&compare->pool, compare->total);
    img_pool_run(&compare->pool, img_pool_default_threads(), compare_pieces, compare);
    img_pool_clear(&compare->pool);
    if (!compare->result && compare->mismatch != UINT64_MAX) {
        if (!compare->quiet) {
            printf("Content mismatch at offset %" PRIu64 "!\n", compare->mismatch);
        }
        return COMPARE_DIFFER;
    }
    if (!compare->result) {
        img_progress_end();
        if (!compare->quiet) {
            printf("Images are identical.\n");
        }
    }
    return compare->result;
}

int img_compare(ImgArgs *args)
{
    Compare compare = {
        .strict = img_has(args, 's'),
        .quiet = img_has(args, 'q'),
        .mismatch = UINT64_MAX,
    };
    unsigned flags = BLOCK_OPEN_READONLY | (img_has(args, 'U') ? BLOCK_OPEN_NO_LOCK : 0);
    bool opts = img_has(args, IMG_OPT_IMAGE_OPTS);
    int status = COMPARE_OPEN;

    if (!img_parse_cache(args->value['T'], "writeback", &flags)) {
        return COMPARE_OPEN;
    }
    if (opts && (img_has(args, 'f') || img_has(args, 'F'))) {
        img_error("--image-opts and --format are mutually exclusive");
        return COMPARE_OPEN;
    }
    img_progress_start(img_has(args, 'p') && !compare.quiet);
    compare.image[0] = img_open(args->files[0], args->value['f'], opts, flags);
    compare.image[1] = compare.image[0] ? img_open(args->files[1], args->value['F'], opts, flags) : NULL;
    if (compare.image[1]) {
        status = compare_images(&compare);
    }
    block_image_close(compare.image[0]);
    block_image_close(compare.image[1]);
    return status;
}
