/* Refcounts of qcow2 host clusters, and allocation by them. */
#include "backends/block/qcow2/qcow2.h"
#include "util/error.h"

#include <errno.h>

#define SEARCH_SLACK (1u << 20) /* clusters that may have been allocated and never written, before a crash */

/* ---- entries of 1 to 64 bits ---- */

uint64_t qcow2_refcount_load(const void *block, unsigned order, uint64_t index)
{
    const uint8_t *bytes = block;

    switch (order) {
    case 3:
        return bytes[index];
    case 4:
        return load_be16(bytes + index * 2);
    case 5:
        return load_be32(bytes + index * 4);
    case 6:
        return load_be64(bytes + index * 8);
    default: /* several in a byte, the first in its low bits */
        return bytes[index >> (3 - order)] >> ((index << order) & 7) & ((1u << (1u << order)) - 1);
    }
}

void qcow2_refcount_store(void *block, unsigned order, uint64_t index, uint64_t value)
{
    uint8_t *bytes = block;

    switch (order) {
    case 3:
        bytes[index] = value;
        break;
    case 4:
        store_be16(bytes + index * 2, value);
        break;
    case 5:
        store_be32(bytes + index * 4, value);
        break;
    case 6:
        store_be64(bytes + index * 8, value);
        break;
    default: {
        unsigned shift = (index << order) & 7, mask = ((1u << (1u << order)) - 1) << shift;
        uint8_t *at = bytes + (index >> (3 - order));

        *at = (*at & ~mask) | (value << shift & mask);
    }
    }
}

static uint64_t max_refcount(const Qcow2 *s)
{
    return UINT64_MAX >> (64 - (1u << s->refcount_order));
}

/* Entries of a refcount block, as power of two. */
static unsigned block_bits(const Qcow2 *s)
{
    return s->cluster_bits + 3 - s->refcount_order;
}

bool qcow2_refcounts_open(Qcow2 *s, GError **error)
{
    s->reftable_size = ((uint64_t)s->reftable_clusters << s->cluster_bits) / 8;
    s->reftable = qcow2_read_table(s, s->reftable_offset, s->reftable_size, error);
    s->reftable_dirty_from = UINT32_MAX;
    s->reftable_dirty_to = 0;
    return s->reftable != NULL;
}

/* ---- single refcounts; refs_lock held ---- */

/* Where the refcount of a cluster is kept: the slice's bytes, and the entry's place in it. NULL, *error 0: no block. */
static uint8_t *find_entry(Qcow2 *s, uint64_t cluster, uint64_t *slice, uint64_t *index, int *error)
{
    uint64_t block = cluster >> block_bits(s), in_block = cluster & ((1ull << block_bits(s)) - 1);
    uint64_t byte = in_block << s->refcount_order >> 3, slice_size = 1ull << s->refs.slice_bits, offset;

    *error = 0;
    if (block >= s->reftable_size || !s->reftable[block]) {
        return NULL;
    }
    offset = s->reftable[block];
    if (offset & (s->cluster_size - 1)) {
        qcow2_set_corrupt(s, "a refcount block is not at a cluster", offset);
        *error = EIO;
        return NULL;
    }
    *slice = offset + (byte & -slice_size);
    *index = in_block - ((byte & -slice_size) << 3 >> s->refcount_order);
    return table_cache_get(&s->refs, *slice, error);
}

static int get_locked(Qcow2 *s, uint64_t cluster, uint64_t *count)
{
    uint64_t slice, index;
    int error;
    uint8_t *at = find_entry(s, cluster, &slice, &index, &error);

    *count = at ? qcow2_refcount_load(at, s->refcount_order, index) : 0;
    return error;
}

int qcow2_refcount(Qcow2 *s, uint64_t offset, uint64_t *count)
{
    int error;

    g_mutex_lock(&s->refs_lock);
    error = get_locked(s, offset >> s->cluster_bits, count);
    g_mutex_unlock(&s->refs_lock);
    return error;
}

static void note_dirty(Qcow2 *s, uint64_t slice, uint64_t first, uint64_t last)
{
    uint64_t from = first << s->refcount_order >> 3, to = (last << s->refcount_order >> 3) + MAX(1u << s->refcount_order >> 3, 1);

    table_cache_dirty(&s->refs, slice + from, to - from);
}

/* All or nothing for a sum that does not fit; blocks must exist where delta is positive. */
static int change_locked(Qcow2 *s, uint64_t cluster, uint64_t clusters, int64_t delta)
{
    uint64_t slice, index, done = 0;
    int error = 0;

    while (done < clusters) {
        uint8_t *at = find_entry(s, cluster + done, &slice, &index, &error);
        uint64_t entries = 8ull << s->refs.slice_bits >> s->refcount_order, first = index;

        if (!at) {
            error = error ? error : EIO;
            break;
        }
        for (; index < entries && done < clusters; index++, done++) {
            uint64_t count = qcow2_refcount_load(at, s->refcount_order, index);

            if (delta < 0 ? count < (uint64_t)-delta
                          : (uint64_t)delta > max_refcount(s) || count > max_refcount(s) - delta) {
                error = delta < 0 ? EIO : ERANGE;
                break;
            }
            qcow2_refcount_store(at, s->refcount_order, index, count + delta);
            if (count + delta == 0) {
                s->free_hint = MIN(s->free_hint, cluster + done);
                if (s->packed_at >> s->cluster_bits == cluster + done) {
                    s->packed_at = 0; /* it may become anything now */
                }
            }
        }
        if (index > first) {
            note_dirty(s, slice, first, index - 1);
        }
        if (error) {
            if (delta < 0) {
                qcow2_set_corrupt(s, "a cluster in use has no refcount", (cluster + done) << s->cluster_bits);
            }
            break;
        }
    }
    if (error && done && delta > 0) {
        change_locked(s, cluster, done, -delta);
    }
    return error;
}

int qcow2_ref(Qcow2 *s, uint64_t offset, uint64_t clusters, int64_t delta)
{
    int error;

    g_mutex_lock(&s->refs_lock);
    error = change_locked(s, offset >> s->cluster_bits, clusters, delta);
    g_mutex_unlock(&s->refs_lock);
    return error;
}

int qcow2_set_refcount(Qcow2 *s, uint64_t offset, uint64_t count)
{
    uint64_t slice, index;
    uint8_t *at;
    int error;

    if (count > max_refcount(s)) {
        return ERANGE;
    }
    g_mutex_lock(&s->refs_lock);
    at = find_entry(s, offset >> s->cluster_bits, &slice, &index, &error);
    if (at) {
        qcow2_refcount_store(at, s->refcount_order, index, count);
        note_dirty(s, slice, index, index);
    }
    g_mutex_unlock(&s->refs_lock);
    return at || error ? error : EIO;
}

/* ---- new blocks ---- */

static void set_reftable(Qcow2 *s, uint32_t block, uint64_t offset)
{
    s->reftable[block] = offset;
    s->reftable_dirty_from = MIN(s->reftable_dirty_from, block);
    s->reftable_dirty_to = MAX(s->reftable_dirty_to, block + 1);
}

static int write_block(Qcow2 *s, uint64_t offset, uint64_t used)
{
    g_autofree uint8_t *raw = g_try_malloc0(s->cluster_size);

    if (!raw) {
        return ENOMEM;
    }
    for (uint64_t i = 0; i < used; i++) {
        qcow2_refcount_store(raw, s->refcount_order, i, 1);
    }
    table_cache_forget(&s->refs, offset, s->cluster_size);
    return block_image_write(s->image.file, offset, raw, s->cluster_size);
}

/*
 * A larger refcount table. It lies behind all that the old one could describe, together with the blocks that count it, so
 * that nothing has to be allocated for it. Stable on return; the old one becomes free at once, as nothing refers to it.
 */
static int grow_reftable(Qcow2 *s, uint64_t blocks_wanted)
{
    uint64_t per_block = 1ull << block_bits(s);
    uint64_t first_block = MAX(s->reftable_size, (s->known_end + per_block - 1) >> block_bits(s));
    uint64_t first = first_block << block_bits(s), clusters, blocks = 0, old_offset = s->reftable_offset, old_clusters = s->reftable_clusters;
    uint64_t *table;
    int error = 0;

    for (;;) { /* the blocks count themselves and the table */
        uint64_t entries = MAX(blocks_wanted + blocks_wanted / 2, first_block + blocks);

        clusters = qcow2_clusters(s, entries * 8);
        if ((clusters + blocks + per_block - 1) / per_block <= blocks) {
            break;
        }
        blocks = (clusters + blocks + per_block - 1) / per_block;
    }
    if (clusters << s->cluster_bits > QCOW2_MAX_REFTABLE || first + clusters + blocks > QCOW2_OFFSET >> s->cluster_bits) {
        return EFBIG;
    }
    table = g_try_new0(uint64_t, clusters << s->cluster_bits >> 3);
    if (!table) {
        return ENOMEM;
    }
    memcpy(table, s->reftable, s->reftable_size * 8ull);
    for (uint64_t i = 0; i < blocks && !error; i++) {
        uint64_t counted = MIN(clusters + blocks - i * per_block, per_block);

        table[first_block + i] = (first + i) << s->cluster_bits;
        error = write_block(s, (first + i) << s->cluster_bits, counted);
    }
    if (!error) {
        error = qcow2_write_table(s, (first + blocks) << s->cluster_bits, table, clusters << s->cluster_bits >> 3);
    }
    if (!error) {
        error = block_image_flush(s->image.file);
    }
    if (!error) {
        s->reftable_offset = (first + blocks) << s->cluster_bits;
        s->reftable_clusters = clusters;
        error = qcow2_write_reftable_location(s);
        if (!error) {
            error = block_image_flush(s->image.file);
        }
        if (error) {
            s->reftable_offset = old_offset;
            s->reftable_clusters = old_clusters;
        }
    }
    if (error) {
        g_free(table);
        return error;
    }
    g_free(s->reftable);
    s->reftable = table;
    s->reftable_size = clusters << s->cluster_bits >> 3;
    s->fresh_from = MAX(s->fresh_from, (first + blocks + clusters) << s->cluster_bits);
    change_locked(s, old_offset >> s->cluster_bits, old_clusters, -1);
    return 0;
}

bool qcow2_is_fixed(const Qcow2 *s, uint64_t offset, uint64_t clusters)
{
    uint64_t end = offset + (clusters << s->cluster_bits);

    return offset == 0 ||
           (offset < s->l1_offset + s->l1_size * 8ull && s->l1_offset < end) ||
           (offset < s->reftable_offset + s->reftable_size * 8ull && s->reftable_offset < end) ||
           (offset < s->snapshots_offset + s->snapshots_size && s->snapshots_offset < end);
}

/* A block for clusters that have none. Its own place is the first of them: it counts itself. */
static int create_block(Qcow2 *s, uint64_t block)
{
    uint64_t offset = block << block_bits(s) << s->cluster_bits;
    int error;

    if (block >= s->reftable_size) {
        error = grow_reftable(s, block + 1);
        if (error || s->reftable[block]) {
            return error;
        }
    }
    if (qcow2_is_fixed(s, offset, 1)) { /* damaged refcounts may call it free */
        qcow2_set_corrupt(s, "a table counts as free", offset);
        return EIO;
    }
    error = write_block(s, offset, 1);
    if (!error) {
        set_reftable(s, block, offset);
        s->fresh_from = MAX(s->fresh_from, offset + s->cluster_size);
    }
    return error;
}

/* ---- finding free clusters ---- */

/* Clusters without a block are free, unless the file was there already: then a damaged table may have lost the block. */
static bool is_free_without_block(const Qcow2 *s, uint64_t cluster)
{
    return (cluster & -(1ull << block_bits(s))) >= s->known_end;
}

/* How many clusters from here on, at most want, are free (or, counting used ones, are not). */
static int run_length(Qcow2 *s, uint64_t cluster, uint64_t want, bool is_free, uint64_t *length)
{
    uint64_t slice, index, n = 0;
    int error = 0;

    while (n < want) {
        uint8_t *at = find_entry(s, cluster + n, &slice, &index, &error);
        uint64_t entries = 8ull << s->refs.slice_bits >> s->refcount_order;

        if (error) {
            return error;
        }
        if (!at) {
            uint64_t rest = (1ull << block_bits(s)) - ((cluster + n) & ((1ull << block_bits(s)) - 1));

            if (is_free != is_free_without_block(s, cluster + n)) {
                break;
            }
            n += MIN(rest, want - n);
            continue;
        }
        while (index < entries && n < want) {
            if ((qcow2_refcount_load(at, s->refcount_order, index) == 0) != is_free) {
                *length = n;
                return 0;
            }
            index++;
            n++;
        }
    }
    *length = n;
    return 0;
}

/* Blocks for a run of clusters that are free. *moved: one took a cluster of the run, search again. */
static int have_blocks(Qcow2 *s, uint64_t cluster, uint64_t clusters, bool *moved)
{
    *moved = false;
    for (uint64_t block = cluster >> block_bits(s); block <= (cluster + clusters - 1) >> block_bits(s); block++) {
        if (block >= s->reftable_size || !s->reftable[block]) {
            int error = create_block(s, block);

            *moved = true;
            if (error) {
                return error;
            }
        }
    }
    return 0;
}

/* No sound image has used clusters from here on: a search that comes so far would not end for long. */
static uint64_t search_end(const Qcow2 *s)
{
    return qcow2_clusters(s, MAX(block_image_size(s->image.file), s->fresh_from)) + SEARCH_SLACK;
}

/* The first run of `least` to `want` free clusters. */
static int find_run(Qcow2 *s, uint64_t least, uint64_t want, uint64_t *cluster, uint64_t *got)
{
    uint64_t at = s->free_hint, length, limit = (QCOW2_OFFSET >> s->cluster_bits) - want, end = search_end(s);
    bool first = true, moved;
    int error;

    for (;;) {
        error = run_length(s, at, end > at ? end - at : 0, false, &length);
        if (error) {
            return error;
        }
        at += length;
        if (at >= end) {
            qcow2_set_corrupt(s, "clusters count as used far behind the end of the file, at", at << s->cluster_bits);
            return EIO;
        }
        if (first) {
            s->free_hint = at;
            first = false;
        }
        if (at > limit) {
            return EFBIG;
        }
        error = run_length(s, at, want, true, &length);
        if (error) {
            return error;
        }
        if (length < least) {
            at += length;
            continue;
        }
        error = have_blocks(s, at, length, &moved);
        if (error) {
            return error;
        }
        if (!moved) {
            *cluster = at;
            *got = length;
            return 0;
        }
    }
}

static int alloc_locked(Qcow2 *s, uint64_t least, uint64_t want, uint64_t *offset, uint64_t *got, bool *fresh)
{
    uint64_t cluster;
    int error = find_run(s, least, want, &cluster, got);

    if (!error && qcow2_is_fixed(s, cluster << s->cluster_bits, *got)) {
        qcow2_set_corrupt(s, "a table counts as free", cluster << s->cluster_bits);
        error = EIO;
    }
    if (!error) {
        error = change_locked(s, cluster, *got, 1);
    }
    if (error) {
        return error;
    }
    if (cluster == s->free_hint) {
        s->free_hint = cluster + *got;
    }
    *offset = cluster << s->cluster_bits;
    *fresh = *offset >= s->fresh_from;
    s->fresh_from = MAX(s->fresh_from, *offset + (*got << s->cluster_bits));
    return s->lazy ? qcow2_set_dirty(s, true) : 0;
}

int qcow2_alloc(Qcow2 *s, uint64_t want, uint64_t *offset, uint64_t *got, bool *fresh)
{
    int error;

    g_mutex_lock(&s->refs_lock);
    error = alloc_locked(s, 1, want, offset, got, fresh);
    g_mutex_unlock(&s->refs_lock);
    return error;
}

int qcow2_alloc_exactly(Qcow2 *s, uint64_t clusters, uint64_t *offset)
{
    uint64_t got;
    bool fresh;
    int error;

    *offset = 0;
    if (!clusters) {
        return 0;
    }
    g_mutex_lock(&s->refs_lock);
    error = alloc_locked(s, clusters, clusters, offset, &got, &fresh);
    g_mutex_unlock(&s->refs_lock);
    return error;
}

/* ---- compressed clusters lie close together and share host clusters ---- */

int qcow2_alloc_packed(Qcow2 *s, size_t bytes, uint64_t *offset)
{
    uint64_t room, start, got, count;
    bool fresh;
    int error = 0;

    g_mutex_lock(&s->refs_lock);
    room = s->packed_at & (s->cluster_size - 1) ? s->cluster_size - (s->packed_at & (s->cluster_size - 1)) : 0;
    if (room) {
        error = get_locked(s, s->packed_at >> s->cluster_bits, &count);
        if (error || !count || count >= max_refcount(s)) {
            room = 0; /* it cannot be shared further */
        }
    }
    if (!error && bytes <= room) {
        *offset = s->packed_at;
        error = change_locked(s, *offset >> s->cluster_bits, 1, 1);
    } else if (!error) {
        error = alloc_locked(s, 1, 1, &start, &got, &fresh);
        *offset = start;
        if (!error && room && start == s->packed_at + room) { /* runs on into the next cluster */
            *offset = s->packed_at;
            error = change_locked(s, *offset >> s->cluster_bits, 1, 1);
            if (error) {
                change_locked(s, start >> s->cluster_bits, 1, -1);
            }
        }
    }
    if (!error) {
        s->packed_at = *offset + bytes;
    }
    g_mutex_unlock(&s->refs_lock);
    return error;
}

void qcow2_unalloc(Qcow2 *s, uint64_t offset, uint64_t clusters)
{
    qcow2_ref(s, offset, clusters, -1);
}

void qcow2_unalloc_packed(Qcow2 *s, uint64_t offset, size_t bytes)
{
    uint64_t first = qcow2_cluster_start(s, offset), last = qcow2_cluster_start(s, offset + bytes - 1);

    qcow2_ref(s, first, ((last - first) >> s->cluster_bits) + 1, -1);
}
