/* A load on an image that can be repeated from its seed, and what may be read back after a cut in the middle of it. */
#include "tests/backends/block/load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

uint64_t load_disk_size(unsigned threads)
{
    return LOAD_AREA * (uint64_t)(threads + 1);
}

void load_init(Load *load, unsigned seed, unsigned thread, unsigned threads, const BlockImage *image)
{
    *load = (Load){ .thread = thread, .threads = threads, .cluster = image->cluster_size ? image->cluster_size : 4096 };
    load->discards = image->driver->discard && !image->backing_name;
    load->compresses = image->driver->write_compressed;
    load->random = g_rand_new_with_seed(seed * 100 + thread);
}

void load_clear(Load *load)
{
    g_rand_free(load->random);
}

static uint64_t pick(Load *load, uint64_t below)
{
    return (uint64_t)(g_rand_double(load->random) * below);
}

/* Where a file system would write: mostly small and often at the same places. */
static void choose_own(Load *load, LoadOp *op)
{
    uint64_t base = LOAD_AREA * (uint64_t)(load->thread + 1), unit = pick(load, 2) ? LOAD_STRIP : LOAD_SECTOR;

    op->offset = pick(load, pick(load, 2) ? LOAD_AREA : LOAD_AREA / 16) / unit * unit;
    op->size = pick(load, 8) ? (1 + pick(load, 8)) * unit : (1 + pick(load, 64)) * LOAD_STRIP;
    op->size = MIN(op->size, LOAD_AREA - op->offset);
    op->offset += base;
}

static void choose_shared(Load *load, LoadOp *op)
{
    uint64_t strips = LOAD_AREA / LOAD_STRIP / load->threads;

    op->offset = (pick(load, strips) * load->threads + load->thread) * LOAD_STRIP;
    op->size = (1 + pick(load, LOAD_STRIP / LOAD_SECTOR)) * LOAD_SECTOR;
}

LoadOp load_next(Load *load)
{
    LoadOp op = { .stamp = ++load->number };
    uint64_t kind = pick(load, 100);

    if (kind < 12) {
        op.kind = LOAD_FLUSH;
        return op;
    }
    if (kind < 50) {
        choose_shared(load, &op);
        return op;
    }
    choose_own(load, &op);
    if (kind >= 85) { /* whole clusters */
        op.kind = kind < 90 ? LOAD_ZERO : kind < 95 ? LOAD_DISCARD : LOAD_COMPRESSED;
        op.size = op.kind == LOAD_COMPRESSED ? load->cluster : round_up(op.size, load->cluster);
        op.offset &= ~(uint64_t)(load->cluster - 1);
        op.size = MIN(op.size, LOAD_AREA * (uint64_t)(load->thread + 2) - op.offset);
        if ((op.kind == LOAD_DISCARD && !load->discards) || (op.kind == LOAD_COMPRESSED && !load->compresses)) {
            op.kind = LOAD_WRITE;
        }
    }
    if (op.kind == LOAD_ZERO || op.kind == LOAD_DISCARD) {
        op.stamp = 0;
    }
    return op;
}

/* As the core does where an image can say where the data goes; -1: it cannot. */
static int write_directly(BlockImage *image, const LoadOp *op, void *buf)
{
    uint64_t host;
    int fd, error;

    if (op->stamp % 2 || !block_image_resolve(image, op->offset, op->size, true, &fd, &host)) {
        return -1;
    }
    error = block_file_io(fd, host, buf, op->size, true);
    block_image_resolved(image, op->offset, op->size, true);
    return error;
}

int load_perform(BlockImage *image, const LoadOp *op)
{
    g_autofree uint64_t *buf = NULL;
    int error;

    switch (op->kind) {
    case LOAD_FLUSH:
        return block_image_flush(image);
    case LOAD_ZERO:
        error = image->driver->write_zeroes ? image->driver->write_zeroes(image, op->offset, op->size, op->offset & 65536)
                                            : ENOTSUP;
        if (error != ENOTSUP) {
            return error;
        }
        break;
    case LOAD_DISCARD:
        return image->driver->discard(image, op->offset, op->size);
    default:
        break;
    }
    buf = g_new(uint64_t, op->size / 8);
    for (uint64_t i = 0; i < op->size / 8; i++) {
        buf[i] = op->stamp;
    }
    error = op->kind == LOAD_COMPRESSED ? -1 : write_directly(image, op, buf);
    if (error >= 0) {
        return error;
    }
    return op->kind == LOAD_COMPRESSED ? image->driver->write_compressed(image, op->offset, buf, op->size)
                                       : block_image_write(image, op->offset, buf, op->size);
}

typedef struct Area {
    uint64_t *must, *is; /* per sector of the disk: what was flushed, what is there */
    uint8_t *fine;
    uint64_t sectors;
} Area;

static void note(Area *area, const LoadOp *op, bool flushed)
{
    for (uint64_t s = op->offset / LOAD_SECTOR; s < (op->offset + op->size) / LOAD_SECTOR; s++) {
        if (flushed) {
            area->must[s] = op->stamp;
        } else if (area->is[s] == op->stamp) {
            area->fine[s] = true;
        }
    }
}

/* Repeats the operations. A flush makes all before it what must be there. */
static void repeat(Area *area, Load *load, uint64_t flushes, uint64_t last)
{
    g_autoptr(GArray) pending = g_array_new(FALSE, FALSE, sizeof(LoadOp));

    while (load->number < last) {
        LoadOp op = load_next(load);

        if (op.kind != LOAD_FLUSH) {
            g_array_append_val(pending, op);
        } else if (flushes) {
            flushes--;
            for (guint i = 0; i < pending->len; i++) {
                note(area, &g_array_index(pending, LoadOp, i), true);
            }
            g_array_set_size(pending, 0);
        }
    }
    for (uint64_t s = 0; s < area->sectors; s++) {
        area->fine[s] = area->is[s] == area->must[s];
    }
    for (guint i = 0; i < pending->len; i++) {
        note(area, &g_array_index(pending, LoadOp, i), false);
    }
}

static bool is_mine(const Load *load, uint64_t sector)
{
    uint64_t offset = sector * LOAD_SECTOR;

    return offset < LOAD_AREA ? offset / LOAD_STRIP % load->threads == load->thread
                              : offset / LOAD_AREA == load->thread + 1;
}

static bool read_stamps(BlockImage *image, Area *area)
{
    g_autofree uint64_t *buf = g_new(uint64_t, area->sectors * LOAD_SECTOR / 8);
    int error = block_image_read(image, 0, buf, area->sectors * LOAD_SECTOR);

    if (error) {
        fprintf(stderr, "# cannot read: %s\n", g_strerror(error));
        return false;
    }
    for (uint64_t s = 0; s < area->sectors; s++) {
        const uint64_t *sector = buf + s * (LOAD_SECTOR / 8);

        area->is[s] = sector[0];
        if (memcmp(sector, sector + 1, LOAD_SECTOR - 8)) {
            fprintf(stderr, "# sector %" PRIu64 " is mixed\n", s);
            return false;
        }
    }
    return true;
}

bool load_verify(BlockImage *image, Load *load, uint64_t flushes, uint64_t last)
{
    Area area = { .sectors = load_disk_size(load->threads) / LOAD_SECTOR };
    bool ok;

    area.must = g_new0(uint64_t, area.sectors);
    area.is = g_new0(uint64_t, area.sectors);
    area.fine = g_new0(uint8_t, area.sectors);
    ok = read_stamps(image, &area);
    if (ok) {
        repeat(&area, load, flushes, last);
    }
    for (uint64_t s = 0; s < area.sectors && ok; s++) {
        if (is_mine(load, s) && !area.fine[s]) {
            fprintf(stderr, "# sector %" PRIu64 " has %" PRIu64 ", should have %" PRIu64 " (flushes %" PRIu64 ", last %" PRIu64 ")\n",
                    s, area.is[s], area.must[s], flushes, last);
            ok = false;
        }
    }
    g_free(area.must);
    g_free(area.is);
    g_free(area.fine);
    return ok;
}
