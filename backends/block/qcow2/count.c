/* Counts what refers to each cluster of a qcow2 image. Memory and time are bounded by the file's size, whatever it says. */
#include "backends/block/qcow2/check.h"

#include <errno.h>

/* ---- the counts ---- */

static uint32_t *chunk_of(Qcow2Check *c, uint64_t cluster, bool make)
{
    gint64 key = cluster / QCOW2_COUNT_CHUNK;

    if (!c->last || c->last_chunk != (uint64_t)key) {
        uint32_t *chunk = g_hash_table_lookup(c->chunks, &key);

        if (!chunk && !make) {
            return NULL;
        }
        if (!chunk) {
            chunk = g_new0(uint32_t, QCOW2_COUNT_CHUNK);
            g_hash_table_insert(c->chunks, g_memdup2(&key, sizeof(key)), chunk);
        }
        c->last = chunk;
        c->last_chunk = key;
    }
    return c->last;
}

uint32_t qcow2_count_get(Qcow2Check *c, uint64_t cluster)
{
    const uint32_t *chunk = chunk_of(c, cluster, false);

    return chunk ? chunk[cluster % QCOW2_COUNT_CHUNK] : 0;
}

bool qcow2_count_add(Qcow2Check *c, uint64_t offset, uint64_t bytes, uint32_t times)
{
    uint64_t first = offset >> c->s->cluster_bits, last = (offset + bytes - 1) >> c->s->cluster_bits;

    if (!bytes) {
        return true;
    }
    if (offset + bytes < offset || last >= c->file_clusters) {
        return false;
    }
    for (uint64_t cluster = first; cluster <= last; cluster++) {
        uint32_t *count = &chunk_of(c, cluster, true)[cluster % QCOW2_COUNT_CHUNK];

        *count = *count > UINT32_MAX - times ? UINT32_MAX : *count + times;
    }
    c->end = MAX(c->end, last + 1);
    return true;
}

/* ---- L2 tables ---- */

/* Says whether an entry's reference is possible, and counts it. */
static bool count_entry(Qcow2Check *c, uint64_t guest, uint64_t entry, uint64_t bitmap, uint32_t times)
{
    Qcow2 *s = c->s;
    uint64_t size, offset;

    if (!qcow2_entry_is_sound(s, entry, bitmap)) {
        return false;
    }
    if (entry & QCOW2_COMPRESSED) {
        offset = qcow2_packed_offset(s, entry, &size);
        /* its last sectors may lie behind the end of the file */
        if (offset + size > c->file_clusters << s->cluster_bits && offset + 1 < c->file_clusters << s->cluster_bits) {
            size = (c->file_clusters << s->cluster_bits) - offset;
        }
        return qcow2_count_add(c, offset, size, times);
    }
    if (!qcow2_entry_has_host(s, entry)) {
        return true;
    }
    if (s->external) {
        return (entry & QCOW2_OFFSET) == guest;
    }
    return qcow2_count_add(c, entry & QCOW2_OFFSET, s->cluster_size, times);
}

static void note_statistics(Qcow2Check *c, uint64_t entry, uint64_t bitmap, uint64_t *expected)
{
    uint64_t host = entry & QCOW2_OFFSET;

    if (entry & QCOW2_COMPRESSED) {
        c->result->compressed_clusters++;
        c->result->allocated_clusters++;
        c->result->fragmented_clusters++;
        return;
    }
    if (!qcow2_entry_has_host(c->s, entry)) {
        return;
    }
    c->result->allocated_clusters++;
    c->result->fragmented_clusters += *expected && host != *expected;
    *expected = host + c->s->cluster_size;
}

/* *changed: an entry that is not possible became zeros. */
static void count_table(Qcow2Check *c, uint8_t *table, uint64_t guest, uint32_t times, bool active, uint64_t *expected,
                        bool *changed)
{
    Qcow2 *s = c->s;

    for (uint64_t i = 0; i < 1ull << s->l2_bits; i++, guest += s->cluster_size) {
        uint8_t *at = table + (i << s->entry_bits);
        uint64_t entry = load_be64(at), bitmap = s->entry_bits == 4 ? load_be64(at + 8) : 0;

        if (!entry && !bitmap) {
            continue;
        }
        if (!count_entry(c, guest, entry, bitmap, times)) {
            if (c->fix & BLOCK_FIX_ERRORS) {
                store_be64(at, s->version >= 3 && s->entry_bits == 3 ? QCOW2_ZERO : 0);
                if (s->entry_bits == 4) {
                    store_be64(at + 8, (uint64_t)UINT32_MAX << 32);
                }
                c->result->corruptions_fixed++;
                *changed = true;
            } else {
                c->result->corruptions++;
            }
            continue;
        }
        if (active) {
            note_statistics(c, entry, bitmap, expected);
        }
    }
}

typedef struct L2Use {
    uint32_t times;
    bool active, done;
} L2Use;

/* How often each table is used, by all L1 tables. Entries that are not possible are cleared (if `fix`) or passed over. */
static bool note_tables(Qcow2Check *c, GHashTable *uses, uint64_t *l1, uint32_t l1_size, bool active)
{
    bool changed = false;

    for (uint32_t i = 0; i < l1_size; i++) {
        gint64 offset = l1[i] & QCOW2_OFFSET;
        L2Use *use;

        if (!offset) {
            continue;
        }
        if (offset & (c->s->cluster_size - 1) || (uint64_t)offset >> c->s->cluster_bits >= c->file_clusters) {
            if (c->fix & BLOCK_FIX_ERRORS) {
                l1[i] = 0;
                c->result->corruptions_fixed++;
                changed = true;
            } else {
                c->result->corruptions++;
            }
            continue;
        }
        use = g_hash_table_lookup(uses, &offset);
        if (!use) {
            use = g_new0(L2Use, 1);
            g_hash_table_insert(uses, g_memdup2(&offset, sizeof(offset)), use);
        }
        use->times += use->times < UINT32_MAX;
        use->active |= active;
    }
    return changed;
}

static int count_tables(Qcow2Check *c, GHashTable *uses, const uint64_t *l1, uint32_t l1_size)
{
    Qcow2 *s = c->s;
    g_autofree uint8_t *table = g_malloc(s->cluster_size);
    uint64_t expected = 0, before;
    int error = 0;

    for (uint32_t i = 0; i < l1_size && !error; i++) {
        gint64 offset = l1[i] & QCOW2_OFFSET;
        unsigned fix = c->fix;
        L2Use *use = offset ? g_hash_table_lookup(uses, &offset) : NULL;
        bool changed = false;

        if (!use || use->done) {
            continue;
        }
        use->done = true;
        qcow2_count_add(c, offset, s->cluster_size, use->times);
        error = block_image_read(s->image.file, offset, table, s->cluster_size);
        if (error) {
            c->result->check_errors++;
            return error;
        }
        if (qcow2_is_fixed(s, offset, 1)) {
            c->fix = BLOCK_FIX_NONE; /* a table over another one: nothing is corrected in it */
        }
        before = c->result->corruptions;
        count_table(c, table, (uint64_t)i << qcow2_l1_shift(s), use->times, use->active, &expected, &changed);
        c->lasting += c->result->corruptions - before;
        c->fix = fix;
        if (changed) {
            error = block_image_write(s->image.file, offset, table, s->cluster_size);
        }
    }
    return error;
}

/* ---- all ---- */

static void note_outside(Qcow2Check *c, bool inside)
{
    c->result->corruptions += !inside;
    c->lasting += !inside;
}

static int count_snapshots_and_tables(Qcow2Check *c)
{
    Qcow2 *s = c->s;
    g_autoptr(GHashTable) uses = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    g_autoptr(GPtrArray) tables = g_ptr_array_new_with_free_func(g_free);
    int error = 0;

    note_outside(c, qcow2_count_add(c, s->l1_offset, s->l1_size * 8ull, 1));
    if (note_tables(c, uses, s->l1, s->l1_size, true)) {
        error = qcow2_write_table(s, s->l1_offset, s->l1, s->l1_size);
    }
    for (guint i = 0; i < s->snapshots->len && !error; i++) {
        Qcow2Snapshot *snapshot = g_ptr_array_index(s->snapshots, i);
        unsigned fix = c->fix;
        uint64_t *l1 = NULL, before;

        /* Tables that are not all in the file take no memory. */
        if (qcow2_count_add(c, snapshot->l1_offset, snapshot->l1_size * 8ull, 1)) {
            l1 = qcow2_read_table(s, snapshot->l1_offset, snapshot->l1_size, NULL);
        }
        g_ptr_array_add(tables, l1);
        if (qcow2_is_fixed(s, snapshot->l1_offset, qcow2_clusters(s, snapshot->l1_size * 8ull))) {
            c->fix = BLOCK_FIX_NONE;
        }
        before = c->result->corruptions;
        if (!l1) {
            c->result->corruptions++;
        } else if (note_tables(c, uses, l1, snapshot->l1_size, false)) {
            error = qcow2_write_table(s, snapshot->l1_offset, l1, snapshot->l1_size);
        }
        c->lasting += c->result->corruptions - before;
        c->fix = fix;
    }
    if (!error) {
        error = count_tables(c, uses, s->l1, s->l1_size);
    }
    for (guint i = 0; i < tables->len && !error; i++) {
        Qcow2Snapshot *snapshot = g_ptr_array_index(s->snapshots, i);
        uint64_t *l1 = g_ptr_array_index(tables, i);

        error = l1 ? count_tables(c, uses, l1, snapshot->l1_size) : 0;
    }
    return error;
}

static void count_bitmaps(Qcow2Check *c)
{
    Qcow2 *s = c->s;

    if (!s->bitmaps) {
        return;
    }
    note_outside(c, qcow2_count_add(c, s->bitmaps_offset, s->bitmaps_size, 1));
    for (guint i = 0; i < s->bitmaps->len; i++) {
        const Qcow2Bitmap *bitmap = g_ptr_array_index(s->bitmaps, i);
        g_autofree uint64_t *table = NULL;

        if (!qcow2_count_add(c, bitmap->table_offset, bitmap->table_size * 8ull, 1) ||
            !(table = qcow2_read_table(s, bitmap->table_offset, bitmap->table_size, NULL))) {
            note_outside(c, false);
            continue;
        }
        for (uint32_t j = 0; j < bitmap->table_size; j++) {
            uint64_t offset = table[j] & QCOW2_OFFSET;

            if (offset) {
                note_outside(c, !(offset & (s->cluster_size - 1)) && qcow2_count_add(c, offset, s->cluster_size, 1));
            }
        }
    }
}

/* Blocks and table of the refcounts. What is wrong with them calls for new ones. */
static void count_refcounts(Qcow2Check *c)
{
    Qcow2 *s = c->s;

    if (!qcow2_count_add(c, s->reftable_offset, (uint64_t)s->reftable_clusters << s->cluster_bits, 1)) {
        c->result->corruptions++;
        c->rebuild = true;
    }
    for (uint32_t i = 0; i < s->reftable_size; i++) {
        uint64_t offset = s->reftable[i];

        if (!offset) {
            continue;
        }
        if (offset & (s->cluster_size - 1) || !qcow2_count_add(c, offset, s->cluster_size, 1)) {
            c->result->corruptions++;
            c->rebuild = true;
        }
    }
    for (uint32_t i = 0; i < s->reftable_size && !c->rebuild; i++) { /* something else in a block's place */
        if (s->reftable[i] && qcow2_count_get(c, s->reftable[i] >> s->cluster_bits) != 1) {
            c->result->corruptions++;
            c->rebuild = true;
        }
    }
    for (uint32_t i = 0; i < s->reftable_clusters && !c->rebuild; i++) {
        c->rebuild = qcow2_count_get(c, (s->reftable_offset >> s->cluster_bits) + i) != 1;
        c->result->corruptions += c->rebuild;
    }
}

int qcow2_count_tables_only(Qcow2Check *c)
{
    Qcow2 *s = c->s;
    int error;

    qcow2_count_add(c, 0, s->cluster_size, 1);
    error = count_snapshots_and_tables(c);
    if (error) {
        return error;
    }
    note_outside(c, qcow2_count_add(c, s->snapshots_offset, s->snapshots_size, 1));
    if (s->crypt_method == QCOW2_CRYPT_LUKS) {
        note_outside(c, qcow2_count_add(c, s->crypt_offset, s->crypt_length, 1));
    }
    count_bitmaps(c);
    return 0;
}

int qcow2_count_all(Qcow2Check *c)
{
    int error = qcow2_count_tables_only(c);

    if (!error) {
        count_refcounts(c);
    }
    return error;
}
