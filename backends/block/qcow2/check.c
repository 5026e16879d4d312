/* Checks a qcow2 image: refcounts against references, "copied" flags against refcounts; corrects them on request. */
#include "backends/block/qcow2/check.h"
#include "util/error.h"

#include <errno.h>

/* ---- refcounts ---- */

/* Writes what was counted into new blocks, of entries of this width, and a new table behind everything that is in use. */
static int rebuild_refcounts(Qcow2Check *c, unsigned order)
{
    Qcow2 *s = c->s;
    unsigned per_block_bits = s->cluster_bits + 3 - order, old_order = s->refcount_order;
    uint64_t per_block = 1ull << per_block_bits, at = MAX(c->end, 1), first, blocks = 0, clusters = 0, last;
    g_autofree uint8_t *block = g_try_malloc(s->cluster_size);
    uint64_t *table;
    int error = 0;

    do { /* they count themselves */
        last = blocks + clusters;
        blocks = (at + last + per_block - 1) >> per_block_bits;
        clusters = qcow2_clusters(s, blocks * 8);
    } while (blocks + clusters != last);
    if (clusters << s->cluster_bits > QCOW2_MAX_REFTABLE) {
        return EFBIG;
    }
    c->file_clusters = MAX(c->file_clusters, at + last);
    first = at;
    table = g_try_new0(uint64_t, clusters << s->cluster_bits >> 3);
    if (!table || !block) {
        g_free(table);
        return ENOMEM;
    }
    qcow2_count_add(c, first << s->cluster_bits, last << s->cluster_bits, 1);
    for (uint64_t i = 0; i < blocks && !error; i++) {
        memset(block, 0, s->cluster_size);
        for (uint64_t j = 0; j < per_block; j++) {
            uint64_t count = qcow2_count_get(c, (i << per_block_bits) + j), most = UINT64_MAX >> (64 - (1u << order));

            if (count) {
                qcow2_refcount_store(block, order, j, MIN(count, most));
                c->lasting += count > most; /* wider ones would help */
            }
        }
        table[i] = (first + i) << s->cluster_bits;
        error = block_image_write(s->image.file, table[i], block, s->cluster_size);
    }
    if (!error) {
        error = qcow2_write_table(s, (first + blocks) << s->cluster_bits, table, clusters << s->cluster_bits >> 3);
    }
    if (!error) {
        error = block_image_flush(s->image.file);
    }
    if (error) {
        g_free(table);
        return error;
    }
    g_free(s->reftable);
    s->reftable = table;
    s->reftable_offset = (first + blocks) << s->cluster_bits;
    s->reftable_clusters = clusters;
    s->reftable_size = clusters << s->cluster_bits >> 3;
    s->fresh_from = MAX(s->fresh_from, (first + last) << s->cluster_bits);
    table_cache_clear(&s->refs);
    s->reftable_dirty_from = UINT32_MAX;
    s->reftable_dirty_to = 0;
    s->refcount_order = order;
    error = order == old_order ? qcow2_write_reftable_location(s) : qcow2_write_header(s);
    return error ? error : block_image_flush(s->image.file);
}

/* One cluster's refcount against what was counted. */
static void compare(Qcow2Check *c, uint64_t cluster, uint64_t count, bool has_block)
{
    uint32_t wanted = qcow2_count_get(c, cluster);
    bool leak = count > wanted;

    if (count) {
        c->result->image_end_offset = MAX(c->result->image_end_offset, (cluster + 1) << c->s->cluster_bits);
    }
    if (count == wanted) {
        return;
    }
    if (!has_block) { /* there is no place for it */
        c->rebuild = true;
    }
    if (!c->rebuild && c->fix & (leak ? BLOCK_FIX_LEAKS : BLOCK_FIX_ERRORS) && !qcow2_set_refcount(c->s, cluster << c->s->cluster_bits, wanted)) {
        *(leak ? &c->result->leaks_fixed : &c->result->corruptions_fixed) += 1;
        return;
    }
    *(leak ? &c->result->leaks : &c->result->corruptions) += 1;
}

static void compare_all(Qcow2Check *c)
{
    Qcow2 *s = c->s;
    unsigned per_block_bits = s->cluster_bits + 3 - s->refcount_order;
    g_autofree uint8_t *block = g_malloc(s->cluster_size);
    GHashTableIter iter;
    gpointer key, value;

    for (uint64_t i = 0; i < s->reftable_size; i++) {
        if (!s->reftable[i] || s->reftable[i] & (s->cluster_size - 1)) {
            continue;
        }
        if (block_image_read(s->image.file, s->reftable[i], block, s->cluster_size)) {
            c->result->check_errors++;
            continue;
        }
        for (uint64_t j = 0; j < 1ull << per_block_bits; j++) {
            compare(c, (i << per_block_bits) + j, qcow2_refcount_load(block, s->refcount_order, j), true);
        }
    }
    g_hash_table_iter_init(&iter, c->chunks);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        for (unsigned j = 0; j < QCOW2_COUNT_CHUNK; j++) {
            uint64_t cluster = *(gint64 *)key * QCOW2_COUNT_CHUNK + j, at = cluster >> per_block_bits;

            if (((uint32_t *)value)[j] && (at >= s->reftable_size || !s->reftable[at])) {
                compare(c, cluster, 0, false);
            }
        }
    }
}

/* ---- "copied" flags of the active tables ---- */

static int check_flag(Qcow2Check *c, uint64_t *entry, bool *changed)
{
    uint64_t count, was = *entry;
    int error = qcow2_refcount(c->s, was & QCOW2_OFFSET, &count);

    if (error || (count == 1) == ((was & QCOW2_COPIED) != 0)) {
        return 0;
    }
    if (c->fix & BLOCK_FIX_ERRORS) {
        *entry = was ^ QCOW2_COPIED;
        *changed = true;
        c->result->corruptions_fixed++;
    } else {
        c->result->corruptions++;
    }
    return 0;
}

static int check_flags_of(Qcow2Check *c, uint64_t offset, uint8_t *table)
{
    Qcow2 *s = c->s;
    bool changed = false;
    int error = block_image_read(s->image.file, offset, table, s->cluster_size);

    for (uint64_t at = 0; at < s->cluster_size && !error; at += 1u << s->entry_bits) {
        uint64_t entry = load_be64(table + at);

        if (qcow2_entry_has_host(s, entry) && !((entry & QCOW2_OFFSET) & (s->cluster_size - 1))) {
            error = check_flag(c, &entry, &changed);
            store_be64(table + at, entry);
        }
    }
    return changed && !error ? block_image_write(s->image.file, offset, table, s->cluster_size) : error;
}

static int check_flags(Qcow2Check *c)
{
    Qcow2 *s = c->s;
    g_autofree uint8_t *table = g_malloc(s->cluster_size);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    bool changed = false;
    int error = 0;

    for (uint32_t i = 0; i < s->l1_size && !error; i++) {
        gint64 offset = s->l1[i] & QCOW2_OFFSET;

        if (!offset || offset & (s->cluster_size - 1) || (uint64_t)offset >> s->cluster_bits >= c->file_clusters) {
            continue;
        }
        error = check_flag(c, &s->l1[i], &changed);
        if (!error && !s->external && g_hash_table_add(seen, g_memdup2(&offset, sizeof(offset)))) {
            error = check_flags_of(c, offset, table);
        }
    }
    return changed && !error ? qcow2_write_table(s, s->l1_offset, s->l1, s->l1_size) : error;
}

/* ---- all ---- */

/* Without the old table and blocks, which become free. The new ones still lie behind them: the header names them for now. */
static int replace_refcounts(Qcow2Check *c)
{
    BlockCheck ignored = { 0 }, *result = c->result;
    uint64_t end = c->end;
    int error;

    g_hash_table_remove_all(c->chunks);
    c->last = NULL;
    c->result = &ignored;
    error = qcow2_count_tables_only(c);
    c->result = result;
    c->end = MAX(c->end, end);
    return error ? error : rebuild_refcounts(c, c->s->refcount_order);
}

static int check(Qcow2Check *c)
{
    BlockCheck *result = c->result;
    int error = qcow2_count_all(c);

    if (error) {
        return error;
    }
    compare_all(c);
    if (c->rebuild && c->fix & BLOCK_FIX_ERRORS) {
        uint64_t lasting = c->lasting; /* what new refcounts cannot mend */

        c->lasting = 0;
        error = replace_refcounts(c);
        if (error) {
            return error;
        }
        c->lasting -= MIN(c->lasting, lasting); /* it was met again */
        result->corruptions_fixed += result->corruptions - MIN(result->corruptions, lasting);
        result->leaks_fixed += result->leaks;
        result->corruptions = lasting + c->lasting;
        result->leaks = 0;
        result->image_end_offset = c->end << c->s->cluster_bits;
    }
    return check_flags(c);
}

/* The image is sound again: it may lose the marks. */
static int clear_marks(Qcow2 *s)
{
    int error = qcow2_flush(s);

    s->corrupt_seen = false;
    if (!error && s->incompatible & QCOW2_INCOMPAT_CORRUPT) {
        s->incompatible &= ~(uint64_t)QCOW2_INCOMPAT_CORRUPT;
        error = qcow2_write_features(s);
    }
    return error ? error : qcow2_set_dirty(s, false);
}

int qcow2_check(BlockImage *image, unsigned fix, BlockCheck *result, GError **error)
{
    Qcow2 *s = (Qcow2 *)image;
    Qcow2Check c = { .s = s, .fix = s->writable ? fix : BLOCK_FIX_NONE, .result = result };
    bool lazy = s->lazy;
    int failed = qcow2_whole_begin(s);

    *result = (BlockCheck){ .total_clusters = qcow2_clusters(s, s->size) };
    c.file_clusters = qcow2_clusters(s, block_image_size(image->file));
    c.chunks = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    s->lazy = false;
    if (!failed && s->writable) {
        failed = qcow2_flush(s); /* the refcounts that the last flush made smaller */
    }
    if (!failed) {
        failed = check(&c);
    }
    g_hash_table_unref(c.chunks);
    g_mutex_lock(&s->lock);
    table_cache_clear(&s->l2);
    g_mutex_unlock(&s->lock);
    s->free_hint = 0;
    s->packed_at = 0;
    if (!failed && c.fix & BLOCK_FIX_ERRORS && !result->corruptions && !result->check_errors) {
        failed = clear_marks(s);
    } else if (!failed && c.fix) {
        failed = qcow2_flush(s);
    }
    s->lazy = lazy;
    qcow2_whole_end(s);
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot check '%s': %s", image->name, g_strerror(failed));
    }
    return failed;
}

/* The counts found must fit; the old table and blocks become free. Whole image ours. */
static int convert_refcounts(Qcow2Check *c, unsigned order)
{
    uint64_t highest = 0;
    GHashTableIter iter;
    gpointer key, value;
    int error = qcow2_count_tables_only(c);

    if (error || c->result->corruptions) {
        return error ? error : EIO;
    }
    g_hash_table_iter_init(&iter, c->chunks);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        for (unsigned i = 0; i < QCOW2_COUNT_CHUNK; i++) {
            highest = MAX(highest, ((uint32_t *)value)[i]);
        }
    }
    if (highest > UINT64_MAX >> (64 - (1u << order))) {
        return ERANGE;
    }
    c->end = MAX(c->end, c->file_clusters); /* the old ones stay as they are until the header says otherwise */
    return rebuild_refcounts(c, order);
}

bool qcow2_change_refcount_bits(Qcow2 *s, uint64_t bits, GError **error)
{
    BlockCheck result = { 0 };
    Qcow2Check c = { .s = s, .result = &result };
    int failed;

    if (!bits || bits & (bits - 1) || bits > 64 || s->version < 3) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "refcount_bits must be a power of two up to 64, and 16 for compat=0.10");
        return false;
    }
    c.file_clusters = qcow2_clusters(s, block_image_size(s->image.file));
    c.chunks = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    failed = convert_refcounts(&c, __builtin_ctzll(bits));
    g_hash_table_unref(c.chunks);
    s->free_hint = 0;
    s->packed_at = 0;
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "cannot change the width of refcounts: %s",
                    failed == ERANGE ? "some would not fit" : g_strerror(failed));
    }
    return !failed;
}
