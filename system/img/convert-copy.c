/*
 * Copies the sources of a conversion to its target.
 *
 * Threads claim pieces from front to back. A claim looks at the allocation status of what comes next, so that ranges
 * that read as zeros cost nothing; it is aligned to the target's clusters, so that each is written once and whole.
 * Unless the target does not care, pieces are written in their order, and its clusters lie as they follow each other;
 * reading, looking for zeros and compressing go on in the other threads meanwhile.
 */
#include "system/img/convert.h"
#include "system/img/pool.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PIECE_SIZE (512u << 10)  /* stays in the cache of a core between its read and its write */
#define ZEROES_SIZE (64u << 20)
#define STATUS_SIZE (UINT64_C(1) << 30) /* how far one question for the status reaches */
#define BUFFER_ALIGN 4096

typedef enum PieceKind { PIECE_DATA, PIECE_ZERO, PIECE_SKIP } PieceKind;

typedef struct Piece {
    uint64_t offset, size, ticket;
    PieceKind kind;
} Piece;

typedef struct Copy {
    ImgPool pool;
    ConvertJob *job;
    uint64_t next, ticket;
    uint64_t known_until; /* the kind of what lies before it */
    PieceKind known;
} Copy;

static void fail(Copy *copy, int error, const char *doing, uint64_t offset)
{
    if (img_pool_fail(&copy->pool, error)) {
        img_error("error while %s at byte %" PRIu64 ": %s", doing, offset, g_strerror(error));
    }
}

static ConvertSource *source_at(ConvertJob *job, uint64_t offset)
{
    int low = 0, high = job->source_count - 1;

    while (low < high) {
        int middle = (low + high + 1) / 2;

        if (job->sources[middle].start <= offset) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return &job->sources[low];
}

/* ---- claiming ---- */

/* Kind of the bytes at copy->next and how far it reaches. */
static int find_status(Copy *copy)
{
    ConvertJob *job = copy->job;
    ConvertSource *source = source_at(job, copy->next);
    uint64_t at = copy->next - source->start, left = source->start + source->size - copy->next;
    BlockExtent extent;
    int error;

    if (at >= source->size) {
        copy->known = PIECE_ZERO; /* the last source ends within a sector */
        copy->known_until = job->total;
        return 0;
    }
    left = MIN(left, STATUS_SIZE);
    error = block_image_status_above(source->image, job->above_backing ? source->image->backing : NULL,
                                     source->skip + at, left,
                                     &extent);
    if (error && job->salvage) {
        copy->known = PIECE_DATA;
        copy->known_until = copy->next + MIN(left, PIECE_SIZE);
        return 0;
    }
    if (error) {
        return error;
    }
    copy->known_until = copy->next + extent.size;
    copy->known = extent.status & BLOCK_ZERO                            ? PIECE_ZERO
                  : job->above_backing && !(extent.status & BLOCK_HERE) ? PIECE_SKIP
                  : extent.status & (BLOCK_DATA | BLOCK_HERE)           ? PIECE_DATA
                                                                        : PIECE_ZERO;
    if (copy->known == PIECE_ZERO && !job->sparse) {
        copy->known = PIECE_DATA;
    } else if (copy->known == PIECE_ZERO && job->target_is_zero) {
        copy->known = PIECE_SKIP;
    }
    return 0;
}

/* The next piece of work; false: no more. Under the pool's lock. */
static bool claim_locked(Copy *copy, Piece *piece)
{
    ConvertJob *job = copy->job;

    while (copy->next < job->total && !copy->pool.failed) {
        uint64_t start = copy->next, until, size;
        PieceKind kind;

        while (copy->known_until <= copy->next) {
            int error = find_status(copy);

            if (error) {
                g_mutex_unlock(&copy->pool.lock);
                fail(copy, error, "reading block status", copy->next);
                g_mutex_lock(&copy->pool.lock);
                return false;
            }
        }
        kind = copy->known;
        until = copy->known_until;
        if (kind != PIECE_DATA && until < job->total) {
            until = start + (until - start) / job->align * job->align;
            if (until == start) {
                kind = PIECE_DATA; /* a cluster that is not zeros as a whole */
                until = start + 1;
            }
        }
        size = kind == PIECE_SKIP   ? until - start
               : kind == PIECE_ZERO ? MIN(until - start, ZEROES_SIZE)
                                    : MIN(until - start, MAX(PIECE_SIZE, job->align));
        if (kind == PIECE_DATA) {
            size = (size + job->align - 1) / job->align * job->align;
        }
        size = MIN(size, job->total - start);
        copy->next = start + size;
        if (kind != PIECE_SKIP) {
            *piece = (Piece){ start, size, copy->ticket++, kind };
            return true;
        }
        img_pool_add_done(&copy->pool, size);
    }
    return false;
}

static bool claim(Copy *copy, Piece *piece)
{
    bool ok;

    g_mutex_lock(&copy->pool.lock);
    ok = claim_locked(copy, piece);
    g_mutex_unlock(&copy->pool.lock);
    return ok;
}

/* ---- reading ---- */

/* After a failed read: what can be had, sector by sector. */
static void salvage(Copy *copy, ConvertSource *source, uint64_t at, uint8_t *buf, size_t size)
{
    for (size_t done = 0; done < size; done += BLOCK_SECTOR) {
        size_t step = MIN(BLOCK_SECTOR, size - done);
        int error = block_image_read(source->image, source->skip + at + done, buf + done, step);

        if (error) {
            memset(buf + done, 0, step);
            if (!copy->job->quiet) {
                img_warn("error while reading offset %" PRIu64 ": %s", source->start + at + done, g_strerror(error));
            }
        }
    }
}

static bool read_piece(Copy *copy, const Piece *piece, uint8_t *buf)
{
    for (uint64_t done = 0; done < piece->size;) {
        uint64_t offset = piece->offset + done;
        ConvertSource *source = source_at(copy->job, offset);
        uint64_t at = offset - source->start;
        size_t size = at < source->size ? MIN(piece->size - done, source->size - at) : piece->size - done;
        int error = 0;

        if (at >= source->size) {
            memset(buf + done, 0, size);
        } else {
            error = block_image_read(source->image, source->skip + at, buf + done, size);
        }
        if (error && copy->job->salvage) {
            salvage(copy, source, at, buf + done, size);
        } else if (error) {
            fail(copy, error, "reading", offset);
            return false;
        }
        done += size;
    }
    return true;
}

/* ---- writing ---- */

static int write_compressed(ConvertJob *job, const Piece *piece, const uint8_t *buf)
{
    int error = 0;

    for (uint64_t done = 0; done < piece->size && !error; done += job->align) {
        size_t size = MIN(job->align, piece->size - done);

        if (job->sparse && img_is_zero(buf + done, size)) {
            error = job->target_is_zero ? 0 : block_image_write_zeroes(job->target, piece->offset + done, size, true);
        } else {
            error = job->target->driver->write_compressed(job->target, piece->offset + done, buf + done, size);
        }
    }
    return error;
}

static int write_sparse(ConvertJob *job, const Piece *piece, const uint8_t *buf)
{
    int error = 0;

    for (uint64_t done = 0; done < piece->size && !error;) {
        uint64_t offset = piece->offset + done;
        bool is_zero;
        size_t run = img_zero_run(buf + done, piece->size - done, job->sparse, &is_zero);

        if (!is_zero) {
            error = block_image_write(job->target, offset, buf + done, run);
        } else if (!job->target_is_zero) {
            error = block_image_write_zeroes(job->target, offset, run, true);
        }
        done += run;
    }
    return error;
}

static int write_piece(ConvertJob *job, const Piece *piece, const uint8_t *buf)
{
    if (piece->kind == PIECE_ZERO) {
        return block_image_write_zeroes(job->target, piece->offset, piece->size, true);
    }
    if (job->compress) {
        return write_compressed(job, piece, buf);
    }
    return job->sparse ? write_sparse(job, piece, buf)
                       : block_image_write(job->target, piece->offset, buf, piece->size);
}

/* ---- leaving the copy to the host ---- */

/* A range of an image as a range of one host file. */
typedef struct HostRange {
    BlockImage *image;
    uint64_t start, size, offset;
    int fd;
} HostRange;

static bool host_range(BlockImage *image, uint64_t start, uint64_t size, bool is_write, HostRange *range)
{
    *range = (HostRange){ image, start, size, 0, -1 };
    return block_image_resolve(image, start, size, is_write, &range->fd, &range->offset);
}

static void host_range_done(HostRange *range, bool is_write)
{
    block_image_resolved(range->image, range->start, range->size, is_write);
}

static bool copy_range(HostRange *from, HostRange *to)
{
    off_t in = from->offset, out = to->offset;

    for (uint64_t left = from->size; left;) {
        ssize_t n = copy_file_range(from->fd, &in, to->fd, &out, left, 0);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        left -= n;
    }
    return true;
}

/* False: the piece is still to be copied, which is no failure. */
static bool offload_piece(ConvertJob *job, const Piece *piece)
{
    ConvertSource *source = source_at(job, piece->offset);
    HostRange from, to;
    bool ok;

    if (piece->kind != PIECE_DATA || piece->offset + piece->size > source->start + source->size ||
        !host_range(source->image, source->skip + piece->offset - source->start, piece->size, false, &from)) {
        return false;
    }
    ok = host_range(job->target, piece->offset, piece->size, true, &to);
    if (ok) {
        ok = copy_range(&from, &to);
        host_range_done(&to, true);
    }
    host_range_done(&from, false);
    return ok;
}

/* Both are raw files on a file system that shares extents: the copy is there at once. */
static bool clone_file(ConvertJob *job)
{
    BlockImage *source = job->sources[0].image;
    HostRange from, to;
    bool ok;

    if (!job->may_clone || job->source_count != 1 || job->sources[0].size != job->total || !job->total ||
        strcmp(source->driver->name, "raw") || strcmp(job->target->driver->name, "raw") ||
        !host_range(source, 0, job->total, false, &from)) {
        return false;
    }
    ok = host_range(job->target, 0, job->total, true, &to);
    if (ok) {
        ok = !from.offset && !to.offset && !ioctl(to.fd, FICLONE, from.fd);
        host_range_done(&to, true);
    }
    host_range_done(&from, false);
    return ok;
}

/* ---- all of it ---- */

static void copy_piece(Copy *copy, const Piece *piece, uint8_t *buf)
{
    ConvertJob *job = copy->job;
    bool offloaded = job->offload && offload_piece(job, piece);

    if (!offloaded && piece->kind == PIECE_DATA && !read_piece(copy, piece, buf)) {
        return;
    }
    if (job->in_order && !img_pool_wait_turn(&copy->pool, piece->ticket)) {
        return;
    }
    if (!offloaded) {
        int error = write_piece(job, piece, buf);

        if (error) {
            fail(copy, error, "writing", piece->offset);
        }
    }
    if (job->in_order) {
        img_pool_pass_turn(&copy->pool, piece->ticket);
    }
}

static void copy_pieces(ImgPool *pool, void *opaque)
{
    Copy *copy = opaque;
    void *buf = NULL;
    Piece piece;

    if (posix_memalign(&buf, BUFFER_ALIGN, MAX(PIECE_SIZE, copy->job->align))) {
        fail(copy, ENOMEM, "making room for data", 0);
        return;
    }
    while (claim(copy, &piece)) {
        copy_piece(copy, &piece, buf);
        img_pool_add_done(pool, piece.size);
        if (copy->job->rate.rate) {
            g_mutex_lock(&pool->lock);
            img_rate_limit(&copy->job->rate, piece.size);
            g_mutex_unlock(&pool->lock);
        }
    }
    free(buf);
}

int img_convert_copy(ConvertJob *job)
{
    Copy copy = { .job = job };
    bool failed;

    if (clone_file(job)) {
        return 0;
    }
    img_pool_init(&copy.pool, job->total);
    img_pool_run(&copy.pool, job->threads, copy_pieces, &copy);
    failed = img_pool_failed(&copy.pool);
    img_pool_clear(&copy.pool);
    return failed;
}
