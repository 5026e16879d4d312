/*
 * Writing metadata in an order that survives a cut at any instant.
 *
 * A flush makes: (1) data and refcounts stable, (2) L2 and L1 tables stable, which refer to them, (3) refcounts of what the
 * tables no longer refer to smaller, and the clusters free for others. So the file never has a reference without its
 * refcount and its data; a cut between the steps leaves clusters counted that nobody refers to: leaks.
 */
#include "backends/block/qcow2/qcow2.h"

#include <errno.h>

/* Frees of one flush. They end when each pin stripe was idle once after the flush: no request can use the clusters. */
typedef struct FreeBatch {
    uint64_t epoch;
    GArray *frees;
} FreeBatch;

/* ---- requests that hold on to clusters ---- */

static unsigned pin_stripe(uint64_t offset)
{
    return (offset >> 9) * 0x9e3779b97f4a7c15ull >> 56;
}

void qcow2_pin(Qcow2 *s, uint64_t offset)
{
    s->pins[pin_stripe(offset)]++;
}

void qcow2_unpin(Qcow2 *s, uint64_t offset)
{
    unsigned stripe = pin_stripe(offset);

    g_mutex_lock(&s->lock);
    if (--s->pins[stripe] == 0) {
        s->pin_idle[stripe] = s->pin_epoch;
        if (s->whole) {
            g_cond_broadcast(&s->settled);
        }
    }
    g_mutex_unlock(&s->lock);
}

static bool all_idle_since(const Qcow2 *s, uint64_t epoch)
{
    for (unsigned i = 0; i < QCOW2_PIN_STRIPES; i++) {
        if (s->pins[i] && s->pin_idle[i] < epoch) {
            return false;
        }
    }
    return true;
}

/* ---- frees ---- */

void qcow2_free_later(Qcow2 *s, uint64_t offset, uint64_t clusters, bool discard)
{
    Qcow2Free one = { offset, clusters, discard };
    Qcow2Free *last = s->frees->len ? &g_array_index(s->frees, Qcow2Free, s->frees->len - 1) : NULL;

    if (last && last->discard == discard && last->offset + (last->clusters << s->cluster_bits) == offset) {
        last->clusters += clusters;
    } else {
        g_array_append_val(s->frees, one);
    }
}

void qcow2_free_entry_later(Qcow2 *s, uint64_t entry, bool discard)
{
    if (entry & QCOW2_COMPRESSED) {
        uint64_t size, offset = qcow2_packed_offset(s, entry, &size), first = qcow2_cluster_start(s, offset);

        qcow2_free_later(s, first, ((qcow2_cluster_start(s, offset + size - 1) - first) >> s->cluster_bits) + 1, false);
    } else if (qcow2_entry_has_host(s, entry) && !s->external) {
        qcow2_free_later(s, entry & QCOW2_OFFSET, 1, discard);
    }
}

/* While a cluster still counts as used nobody can get it, so the host is told first. */
static void discard_last_references(Qcow2 *s, const Qcow2Free *range)
{
    uint64_t count, run = 0;

    for (uint64_t i = 0; i <= range->clusters; i++) {
        uint64_t at = range->offset + (i << s->cluster_bits);

        if (i < range->clusters && qcow2_refcount(s, at, &count) == 0 && count == 1) {
            run++;
        } else if (run) {
            block_image_discard(s->image.file, at - (run << s->cluster_bits), run << s->cluster_bits);
            run = 0;
        }
    }
}

static void free_clusters(Qcow2 *s, const Qcow2Free *range)
{
    if (range->discard && s->discard_passes) {
        discard_last_references(s, range);
    }
    qcow2_ref(s, range->offset, range->clusters, -1);
}

/* flushing held. */
static void end_batches(Qcow2 *s)
{
    while (s->free_batches->len) {
        FreeBatch *batch = g_ptr_array_index(s->free_batches, 0);
        bool idle;

        g_mutex_lock(&s->lock);
        idle = all_idle_since(s, batch->epoch);
        g_mutex_unlock(&s->lock);
        if (!idle) {
            return;
        }
        g_ptr_array_remove_index(s->free_batches, 0);
        for (guint i = 0; i < batch->frees->len; i++) {
            free_clusters(s, &g_array_index(batch->frees, Qcow2Free, i));
        }
        g_array_unref(batch->frees);
        g_free(batch);
    }
}

/* flushing held; the tables in the file no longer refer to these. */
static void add_batch(Qcow2 *s, GArray *frees)
{
    FreeBatch *batch;

    if (!frees->len) {
        g_array_unref(frees);
        return;
    }
    batch = g_new(FreeBatch, 1);
    batch->frees = frees;
    g_mutex_lock(&s->lock);
    batch->epoch = ++s->pin_epoch;
    g_mutex_unlock(&s->lock);
    g_ptr_array_add(s->free_batches, batch);
}

/* ---- refcounts ---- */

/* *written: something was. A new block is stable before the table refers to it. */
static int write_refcounts(Qcow2 *s, bool *written)
{
    uint32_t from, to;
    GArray *writes;
    int error;

    g_mutex_lock(&s->refs_lock);
    writes = table_cache_collect(&s->refs);
    *written = writes->len;
    error = table_writes_perform(&s->refs, writes);
    table_writes_done(&s->refs, writes, !error);
    from = s->reftable_dirty_from;
    to = s->reftable_dirty_to;
    if (!error && from < to) {
        error = block_image_flush(s->image.file);
        if (!error) {
            error = qcow2_write_table(s, s->reftable_offset + from * 8ull, s->reftable + from, to - from);
        }
        if (!error) {
            s->reftable_dirty_from = UINT32_MAX;
            s->reftable_dirty_to = 0;
        }
    }
    g_mutex_unlock(&s->refs_lock);
    return error;
}

/* ---- a flush ---- */

typedef struct Collected {
    GArray *l2, *frees;
    uint64_t *l1;
    uint32_t l1_from, l1_to;
} Collected;

static void collect(Qcow2 *s, Collected *c)
{
    g_mutex_lock(&s->lock);
    c->l2 = table_cache_collect(&s->l2);
    c->l1_from = s->l1_dirty_from;
    c->l1_to = s->l1_dirty_to;
    c->l1 = c->l1_from < c->l1_to ? g_memdup2(s->l1 + c->l1_from, (c->l1_to - c->l1_from) * 8ull) : NULL;
    s->l1_dirty_from = UINT32_MAX;
    s->l1_dirty_to = 0;
    c->frees = s->frees;
    s->frees = g_array_new(FALSE, FALSE, sizeof(Qcow2Free));
    g_mutex_unlock(&s->lock);
}

/* What could not be written is as if it had not been collected. */
static void settle(Qcow2 *s, Collected *c, bool written)
{
    g_mutex_lock(&s->lock);
    table_writes_done(&s->l2, c->l2, written);
    if (!written) {
        if (c->l1_from < c->l1_to) {
            s->l1_dirty_from = MIN(s->l1_dirty_from, c->l1_from);
            s->l1_dirty_to = MAX(s->l1_dirty_to, c->l1_to);
        }
        g_array_prepend_vals(s->frees, c->frees->data, c->frees->len);
    }
    g_mutex_unlock(&s->lock);
    g_free(c->l1);
    if (written) {
        add_batch(s, c->frees);
    } else {
        g_array_unref(c->frees);
    }
}

static int write_tables(Qcow2 *s, const Collected *c)
{
    int error = table_writes_perform(&s->l2, c->l2);

    if (!error && c->l1) {
        error = qcow2_write_table(s, s->l1_offset + c->l1_from * 8ull, c->l1, c->l1_to - c->l1_from);
    }
    return error ? error : block_image_flush(s->image.file);
}

/* flushing held. data: guest data must be stable too, even if no table changed. */
static int flush_locked(Qcow2 *s, bool data)
{
    Collected c;
    bool refcounts = false, tables;
    int error = 0;

    if (s->corrupt_seen) {
        s->corrupt_seen = false;
        qcow2_write_features(s);
    }
    collect(s, &c); /* before the refcounts: what these tables refer to is counted by now */
    tables = c.l2->len || c.l1;
    if (!s->lazy) {
        error = write_refcounts(s, &refcounts);
    }
    if (!error && s->external && (data || tables)) {
        error = block_image_flush(s->data);
    }
    if (!error && (data || tables || refcounts)) {
        error = block_image_flush(s->image.file);
    }
    if (!error && tables) {
        error = write_tables(s, &c);
    }
    settle(s, &c, !error);
    if (!error) {
        end_batches(s);
    }
    return error;
}

int qcow2_flush(Qcow2 *s)
{
    int error;

    g_mutex_lock(&s->flushing);
    error = flush_locked(s, true);
    g_mutex_unlock(&s->flushing);
    return error;
}

int qcow2_flush_if_full(Qcow2 *s)
{
    bool full;

    g_mutex_lock(&s->lock);
    full = table_cache_is_full_of_changes(&s->l2) || s->frees->len > 16384;
    g_mutex_unlock(&s->lock);
    g_mutex_lock(&s->refs_lock);
    full |= table_cache_is_full_of_changes(&s->refs);
    if (full && s->lazy) { /* they are written early, which does no harm */
        GArray *writes = table_cache_collect(&s->refs);
        int error = table_writes_perform(&s->refs, writes);

        table_writes_done(&s->refs, writes, !error);
    }
    g_mutex_unlock(&s->refs_lock);
    return full ? qcow2_flush(s) : 0;
}

/* ---- the whole image ---- */

static bool is_idle(const Qcow2 *s)
{
    for (unsigned i = 0; i < QCOW2_PIN_STRIPES; i++) {
        if (s->pins[i]) {
            return false;
        }
    }
    return true;
}

int qcow2_whole_begin(Qcow2 *s)
{
    int error = 0;

    g_rw_lock_writer_lock(&s->ops);
    g_mutex_lock(&s->lock);
    s->whole = true;
    while (!is_idle(s)) { /* fast requests do not take ops */
        g_cond_wait(&s->settled, &s->lock);
    }
    g_mutex_unlock(&s->lock);
    if (s->writable) {
        error = qcow2_flush(s);
    }
    return error;
}

void qcow2_whole_end(Qcow2 *s)
{
    g_mutex_lock(&s->lock);
    s->whole = false;
    g_mutex_unlock(&s->lock);
    g_rw_lock_writer_unlock(&s->ops);
}
