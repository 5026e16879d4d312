/* From guest to host offsets: L1 and L2 tables of qcow2. */
#include "backends/block/qcow2/qcow2.h"

#include <errno.h>

/* ---- entries ---- */

bool qcow2_entry_has_host(const Qcow2 *s, uint64_t entry)
{
    if (entry & QCOW2_COMPRESSED) {
        return false;
    }
    return entry & QCOW2_OFFSET || (s->external && entry & QCOW2_COPIED);
}

Qcow2MapKind qcow2_unit_kind(const Qcow2 *s, uint64_t entry, uint64_t bitmap, unsigned unit)
{
    if (entry & QCOW2_COMPRESSED) {
        return QCOW2_MAP_COMPRESSED;
    }
    if (s->entry_bits == 4) {
        return bitmap >> unit & 1 ? QCOW2_MAP_DATA : bitmap >> (unit + 32) & 1 ? QCOW2_MAP_ZERO : QCOW2_MAP_NONE;
    }
    return entry & QCOW2_ZERO ? QCOW2_MAP_ZERO : qcow2_entry_has_host(s, entry) ? QCOW2_MAP_DATA : QCOW2_MAP_NONE;
}

bool qcow2_entry_is_sound(const Qcow2 *s, uint64_t entry, uint64_t bitmap)
{
    if (entry & QCOW2_COMPRESSED) {
        uint64_t size;

        return !s->external && !(entry & QCOW2_COPIED) && qcow2_packed_offset(s, entry, &size) <= 1ull << 56;
    }
    if ((entry & QCOW2_OFFSET) & (s->cluster_size - 1)) {
        return false;
    }
    if (s->entry_bits == 4) {
        return !((bitmap & UINT32_MAX) & bitmap >> 32) && (!(bitmap & UINT32_MAX) || qcow2_entry_has_host(s, entry));
    }
    return true;
}

uint64_t qcow2_packed_offset(const Qcow2 *s, uint64_t entry, uint64_t *size)
{
    unsigned shift = 62 - (s->cluster_bits - 8);
    uint64_t offset = entry & ((1ull << shift) - 1);
    uint64_t sectors = (entry & (QCOW2_COMPRESSED - 1)) >> shift;

    *size = (sectors + 1) * 512 - (offset & 511);
    return offset;
}

/* ---- busy ranges ---- */

bool qcow2_is_busy(const Qcow2 *s, uint64_t from, uint64_t to)
{
    for (const Qcow2Busy *busy = s->busy; busy; busy = busy->next) {
        if (busy->from < to && from < busy->to) {
            return true;
        }
    }
    return false;
}

void qcow2_busy_begin(Qcow2 *s, Qcow2Busy *busy, uint64_t from, uint64_t to)
{
    *busy = (Qcow2Busy){ from, to, s->busy };
    s->busy = busy;
}

void qcow2_busy_end(Qcow2 *s, Qcow2Busy *busy)
{
    Qcow2Busy **at = &s->busy;

    while (*at != busy) {
        at = &(*at)->next;
    }
    *at = busy->next;
    g_cond_broadcast(&s->settled);
}

/* ---- lookup ---- */

/* Of the L2 entry; 0 if there is no table. */
static int entry_place(Qcow2 *s, uint64_t offset, uint64_t *place)
{
    uint64_t l1_index = offset >> qcow2_l1_shift(s), table;
    uint64_t l2_index = offset >> s->cluster_bits & ((1ull << s->l2_bits) - 1);

    *place = 0;
    if (l1_index >= s->l1_size) {
        return 0;
    }
    table = s->l1[l1_index] & QCOW2_OFFSET;
    if (table & (s->cluster_size - 1)) {
        qcow2_set_corrupt(s, "an L2 table is not at a cluster", table);
        return EIO;
    }
    if (table) {
        *place = table + (l2_index << s->entry_bits);
    }
    return 0;
}

/* The entry's bytes, or NULL: no table, or an error. */
static uint8_t *find_entry(Qcow2 *s, uint64_t offset, uint64_t *place, int *error)
{
    uint64_t again;
    uint8_t *at;

    *error = entry_place(s, offset, place);
    while (!*error && *place) {
        at = table_cache_get(&s->l2, *place, error);
        if (*error) {
            break;
        }
        *error = entry_place(s, offset, &again); /* the lock may have been let go, the table be replaced */
        if (*error || again == *place) {
            return *error ? NULL : at;
        }
        *place = again;
    }
    return NULL;
}

int qcow2_load_entry(Qcow2 *s, uint64_t offset, uint64_t *entry, uint64_t *bitmap)
{
    uint64_t place;
    int error;
    const uint8_t *at = find_entry(s, offset, &place, &error);

    *entry = at ? load_be64(at) : 0;
    *bitmap = at && s->entry_bits == 4 ? load_be64(at + 8) : 0;
    if (!error && !qcow2_entry_is_sound(s, *entry, *bitmap)) {
        qcow2_set_corrupt(s, "an L2 entry is not possible; its guest offset is", offset);
        return EIO;
    }
    return error;
}

int qcow2_store_entry(Qcow2 *s, uint64_t offset, uint64_t entry, uint64_t bitmap)
{
    uint64_t place;
    int error;
    uint8_t *at = find_entry(s, offset, &place, &error);

    if (error) {
        return error;
    }
    g_assert(at && s->l1[offset >> qcow2_l1_shift(s)] & QCOW2_COPIED);
    store_be64(at, entry);
    if (s->entry_bits == 4) {
        store_be64(at + 8, bitmap);
    }
    table_cache_dirty(&s->l2, place, 1u << s->entry_bits);
    return 0;
}

/* Extends an extent over the units of one cluster. false: it ends there. */
static bool extend(const Qcow2 *s, Qcow2Extent *e, uint64_t entry, uint64_t bitmap, uint64_t within, uint64_t size)
{
    uint64_t start = within, unit_size = qcow2_unit(s);

    while (within < size) {
        Qcow2MapKind kind = qcow2_unit_kind(s, entry, bitmap, within >> s->subcluster_bits);
        uint64_t host = (entry & QCOW2_OFFSET) + within;
        bool owned = s->external || entry & QCOW2_COPIED;

        if (!e->size && within == start) {
            e->kind = kind;
            e->host = host;
            e->entry = entry;
            e->owned = owned;
        } else if (kind != e->kind || (kind == QCOW2_MAP_DATA && (host != e->host + e->size || owned != e->owned)) ||
                   (kind == QCOW2_MAP_COMPRESSED && entry != e->entry)) {
            return false;
        }
        e->size += MIN(size, (within & -unit_size) + unit_size) - within;
        within = (within & -unit_size) + unit_size;
    }
    return true;
}

int qcow2_map(Qcow2 *s, uint64_t offset, uint64_t size, bool memory_only, Qcow2Extent *e)
{
    uint64_t slice_guest = 1ull << (s->l2.slice_bits - s->entry_bits + s->cluster_bits); /* what a slice maps */
    uint64_t end = offset + MIN(size, slice_guest - (offset & (slice_guest - 1))), place;
    const uint8_t *at;
    int error;

    *e = (Qcow2Extent){ 0 };
    if (memory_only) {
        error = entry_place(s, offset, &place);
        at = place ? table_cache_peek(&s->l2, place) : NULL;
        if (!error && place && !at) {
            return EAGAIN;
        }
    } else {
        at = find_entry(s, offset, &place, &error);
    }
    if (error) {
        return error;
    }
    if (!at) {
        e->size = MIN(size, (1ull << qcow2_l1_shift(s)) - (offset & ((1ull << qcow2_l1_shift(s)) - 1)));
        return 0;
    }
    for (; offset < end; offset = qcow2_cluster_start(s, offset) + s->cluster_size, at += 1u << s->entry_bits) {
        uint64_t entry = load_be64(at), bitmap = s->entry_bits == 4 ? load_be64(at + 8) : 0;
        uint64_t within = offset & (s->cluster_size - 1);

        if (!qcow2_entry_is_sound(s, entry, bitmap)) {
            if (e->size) {
                break;
            }
            qcow2_set_corrupt(s, "an L2 entry is not possible; its guest offset is", offset);
            return EIO;
        }
        if (s->external && qcow2_entry_has_host(s, entry) && (entry & QCOW2_OFFSET) != offset - within) {
            if (e->size) {
                break;
            }
            qcow2_set_corrupt(s, "data lies elsewhere than at its guest offset", offset);
            return EIO;
        }
        if (!extend(s, e, entry, bitmap, within, MIN(s->cluster_size, within + (end - offset)))) {
            break;
        }
    }
    return 0;
}

/* ---- new L2 tables ---- */

static int copy_l2(Qcow2 *s, uint64_t l1_index, uint64_t old)
{
    g_autofree uint8_t *table = g_try_malloc0(s->cluster_size);
    uint64_t offset;
    int error = table ? qcow2_alloc_exactly(s, 1, &offset) : ENOMEM;

    if (error) {
        return error;
    }
    /* A shared table is never changed in memory, so the file has all of it, once what was pending is written. */
    if (old) {
        error = block_image_read(s->image.file, old, table, s->cluster_size);
    }
    if (!error) {
        g_mutex_lock(&s->lock);
        table_cache_forget(&s->l2, offset, s->cluster_size);
        g_mutex_unlock(&s->lock);
        error = block_image_write(s->image.file, offset, table, s->cluster_size);
    }
    if (error) {
        qcow2_unalloc(s, offset, 1);
        return error;
    }
    g_mutex_lock(&s->lock);
    s->l1[l1_index] = offset | QCOW2_COPIED;
    s->l1_dirty_from = MIN(s->l1_dirty_from, l1_index);
    s->l1_dirty_to = MAX(s->l1_dirty_to, l1_index + 1);
    if (old) {
        qcow2_free_later(s, old, 1, false);
    }
    g_mutex_unlock(&s->lock);
    return 0;
}

int qcow2_need_l2(Qcow2 *s, uint64_t offset)
{
    uint64_t l1_index = offset >> qcow2_l1_shift(s), l1_entry;
    int error = 0;

    g_mutex_lock(&s->tables_lock);
    g_mutex_lock(&s->lock);
    l1_entry = s->l1[l1_index];
    g_mutex_unlock(&s->lock);
    if ((l1_entry & QCOW2_OFFSET) & (s->cluster_size - 1)) {
        error = EIO;
    } else if (!(l1_entry & QCOW2_COPIED) || !(l1_entry & QCOW2_OFFSET)) {
        error = copy_l2(s, l1_index, l1_entry & QCOW2_OFFSET);
    }
    g_mutex_unlock(&s->tables_lock);
    return error;
}

int qcow2_grow_l1(Qcow2 *s, uint64_t entries)
{
    uint64_t *table, offset, old_offset = s->l1_offset, old_clusters = qcow2_clusters(s, s->l1_size * 8ull);
    uint32_t old_size = s->l1_size;
    int error;

    if (entries <= s->l1_size) {
        return 0;
    }
    if (entries > QCOW2_MAX_L1 / 8) {
        return EFBIG;
    }
    table = g_try_new0(uint64_t, entries);
    error = table ? qcow2_alloc_exactly(s, qcow2_clusters(s, entries * 8), &offset) : ENOMEM;
    if (error) {
        g_free(table);
        return error;
    }
    memcpy(table, s->l1, s->l1_size * 8ull);
    error = qcow2_write_table(s, offset, table, entries);
    if (!error) {
        error = qcow2_flush(s); /* refcounts, and what the old entries refer to */
    }
    if (error) {
        qcow2_unalloc(s, offset, qcow2_clusters(s, entries * 8));
        g_free(table);
        return error;
    }
    s->l1_offset = offset;
    s->l1_size = entries;
    error = qcow2_write_l1_location(s);
    if (!error) {
        error = block_image_flush(s->image.file);
    }
    if (error) {
        s->l1_offset = old_offset;
        s->l1_size = old_size;
        g_free(table);
        return error;
    }
    g_free(s->l1);
    s->l1 = table;
    if (old_clusters) {
        qcow2_unalloc(s, old_offset, old_clusters);
    }
    return 0;
}
