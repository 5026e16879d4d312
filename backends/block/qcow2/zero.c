/* Discards and zeros of qcow2 images: changes of the mapping alone. */
#include "backends/block/qcow2/qcow2.h"

#include <errno.h>

typedef enum Wanted {
    WANT_ZERO,       /* reads as zeros; space that is ours stays */
    WANT_ZERO_UNMAP, /* reads as zeros, takes no space */
    WANT_NOTHING,    /* as if never written: the backing image shows */
} Wanted;

/* lock held. One cluster, or units of it. */
static int change_entry(Qcow2 *s, uint64_t cluster, uint64_t from, uint64_t to, Wanted wanted, bool discard)
{
    uint64_t entry, bitmap, units = UINT32_MAX;
    bool whole = to - from == s->cluster_size, keeps, extended = s->entry_bits == 4;
    int error = qcow2_load_entry(s, cluster, &entry, &bitmap);

    if (error) {
        return error;
    }
    if (extended && !whole) {
        unsigned low = (from - cluster) >> s->subcluster_bits, high = (to - cluster) >> s->subcluster_bits;

        units = (UINT32_MAX >> (32 - (high - low))) << low;
        if (entry & QCOW2_COMPRESSED) {
            return ENOTSUP; /* has no units */
        }
        bitmap = (bitmap & ~units) | units << 32;
        if (bitmap & UINT32_MAX || wanted == WANT_ZERO || !qcow2_entry_has_host(s, entry)) {
            return qcow2_store_entry(s, cluster, entry, bitmap);
        }
        qcow2_free_entry_later(s, entry, discard); /* nothing of it is left */
        return qcow2_store_entry(s, cluster, 0, bitmap);
    }
    if (!entry && !bitmap && wanted == WANT_NOTHING) {
        return 0;
    }
    keeps = wanted == WANT_ZERO && qcow2_entry_has_host(s, entry) && entry & QCOW2_COPIED;
    error = qcow2_store_entry(s, cluster,
                              (keeps ? entry & (QCOW2_OFFSET | QCOW2_COPIED) : 0) |
                                  (wanted != WANT_NOTHING && !extended ? QCOW2_ZERO : 0),
                              wanted != WANT_NOTHING && extended ? units << 32 : 0);
    if (!error && !keeps) {
        qcow2_free_entry_later(s, entry, discard);
    }
    return error;
}

/* Whether a cluster is as wanted already, without looking at tables that do not exist. */
static bool is_done(Qcow2 *s, uint64_t from, uint64_t to, Wanted wanted, uint64_t *until)
{
    Qcow2Extent e;

    if (qcow2_map(s, from, to - from, false, &e)) {
        return false;
    }
    *until = from + e.size;
    if (e.kind == QCOW2_MAP_NONE && wanted != WANT_NOTHING) {
        return !s->image.backing_name; /* zeros already */
    }
    return (e.kind == QCOW2_MAP_NONE && s->entry_bits == 3) || (e.kind == QCOW2_MAP_ZERO && wanted == WANT_ZERO);
}

/* [from, to) are whole units of one cluster. */
static int change_cluster(Qcow2 *s, uint64_t from, uint64_t to, Wanted wanted, bool discard)
{
    uint64_t cluster = qcow2_cluster_start(s, from);
    Qcow2Busy busy;
    int error = qcow2_need_l2(s, cluster);

    if (error) {
        return error;
    }
    g_mutex_lock(&s->lock);
    while (qcow2_is_busy(s, cluster, cluster + s->cluster_size)) {
        g_cond_wait(&s->settled, &s->lock);
    }
    qcow2_busy_begin(s, &busy, cluster, cluster + s->cluster_size);
    if (s->external && discard && wanted != WANT_ZERO) {
        g_mutex_unlock(&s->lock);
        block_image_discard(s->data, from, to - from);
        g_mutex_lock(&s->lock);
    }
    error = change_entry(s, cluster, from, to, wanted, discard);
    qcow2_busy_end(s, &busy);
    g_mutex_unlock(&s->lock);
    return error;
}

static int change_range(Qcow2 *s, uint64_t from, uint64_t to, Wanted wanted, bool discard)
{
    int error = 0;

    while (from < to && !error) {
        uint64_t end = MIN(to, qcow2_cluster_start(s, from) + s->cluster_size), until = end;
        bool done;

        g_mutex_lock(&s->lock);
        done = is_done(s, from, to, wanted, &until);
        g_mutex_unlock(&s->lock);
        if (done) {
            from = until;
            continue;
        }
        error = change_cluster(s, from, end, wanted, discard);
        if (!error) {
            error = qcow2_flush_if_full(s);
        }
        from = end;
    }
    return error;
}

int qcow2_drop_range(Qcow2 *s, uint64_t offset, uint64_t size)
{
    return change_range(s, offset, offset + size, WANT_NOTHING, true);
}

int qcow2_discard(BlockImage *image, uint64_t offset, uint64_t size)
{
    Qcow2 *s = (Qcow2 *)image;
    uint64_t from = round_up(offset, s->cluster_size), to = qcow2_cluster_start(s, offset + size);
    Wanted wanted = s->version >= 3 && s->image.backing_name ? WANT_ZERO_UNMAP : WANT_NOTHING;
    int error = 0;

    if (offset + size == s->size) {
        to = round_up(s->size, s->cluster_size); /* nothing of the disk is behind it */
    }
    if (from >= to || s->raw_external || (s->version < 3 && s->image.backing_name)) {
        return 0; /* a hint that cannot be followed without showing old data */
    }
    g_rw_lock_reader_lock(&s->ops);
    error = qcow2_bitmaps_start(s);
    if (!error) {
        g_mutex_lock(&s->lock);
        qcow2_bitmaps_mark(s, offset, size);
        g_mutex_unlock(&s->lock);
        error = change_range(s, from, to, wanted, true);
    }
    g_rw_lock_reader_unlock(&s->ops);
    return error;
}

/* Parts of units are data like any other. */
static int write_zero_bytes(Qcow2 *s, uint64_t from, uint64_t to)
{
    g_autofree uint8_t *zeros = NULL;
    struct iovec iov;
    Qcow2Extent e;
    int error;

    if (from >= to) {
        return 0;
    }
    g_mutex_lock(&s->lock);
    error = qcow2_map(s, from, to - from, false, &e);
    g_mutex_unlock(&s->lock);
    if (!error && e.size >= to - from && (e.kind == QCOW2_MAP_ZERO || (e.kind == QCOW2_MAP_NONE && !s->image.backing_name))) {
        return 0;
    }
    zeros = g_try_malloc0(to - from);
    if (!zeros) {
        return ENOMEM;
    }
    iov = (struct iovec){ zeros, to - from };
    return error ? error : qcow2_write_guest(s, from, &iov, 1);
}

int qcow2_write_zeroes(BlockImage *image, uint64_t offset, uint64_t size, bool may_unmap)
{
    Qcow2 *s = (Qcow2 *)image;
    uint64_t unit = qcow2_unit(s), end = offset + size, from = round_up(offset, unit), to = end & -unit;
    Wanted wanted = may_unmap ? WANT_ZERO_UNMAP : WANT_ZERO;
    int error;

    if (s->raw_external || (s->version < 3 && (s->image.backing_name || !may_unmap))) {
        return ENOTSUP;
    }
    if (s->version < 3) {
        wanted = WANT_NOTHING; /* has no mark for zeros */
    }
    if (end == s->size) {
        to = round_up(end, unit);
    }
    g_rw_lock_reader_lock(&s->ops);
    error = qcow2_bitmaps_start(s);
    if (!error) {
        g_mutex_lock(&s->lock);
        qcow2_pin(s, offset);
        qcow2_bitmaps_mark(s, offset, size);
        g_mutex_unlock(&s->lock);
        if (from >= to) {
            error = write_zero_bytes(s, offset, end);
        } else {
            error = write_zero_bytes(s, offset, from);
            if (!error) {
                error = change_range(s, from, to, wanted, may_unmap);
            }
            if (!error && to < end) {
                error = write_zero_bytes(s, to, end);
            }
        }
        qcow2_unpin(s, offset);
    }
    g_rw_lock_reader_unlock(&s->ops);
    return error;
}
