/* A cache of pieces ("slices") of tables: L2 tables and refcount blocks of qcow2. */
#include "backends/block/qcow2/qcow2.h"

#include <errno.h>

void table_cache_init(TableCache *cache, BlockImage *file, GMutex *lock, bool drop_lock, unsigned slice_bits, uint64_t bytes)
{
    cache->file = file;
    cache->lock = lock;
    cache->drop_lock = drop_lock;
    cache->slice_bits = slice_bits;
    cache->limit = MAX(bytes >> slice_bits, 4);
    cache->slices = g_ptr_array_new();
    cache->by_offset = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_cond_init(&cache->loaded);
}

static void free_slice(TableSlice *slice)
{
    g_free(slice->data);
    g_free(slice);
}

void table_cache_free(TableCache *cache)
{
    if (!cache->slices) {
        return;
    }
    for (guint i = 0; i < cache->slices->len; i++) {
        free_slice(g_ptr_array_index(cache->slices, i));
    }
    g_ptr_array_unref(cache->slices);
    g_hash_table_unref(cache->by_offset);
    g_cond_clear(&cache->loaded);
    cache->slices = NULL;
}

static bool is_dirty(const TableSlice *slice)
{
    return slice->dirty_from < slice->dirty_to;
}

static void make_clean(TableCache *cache, TableSlice *slice)
{
    cache->dirty -= is_dirty(slice);
    slice->dirty_from = UINT_MAX;
    slice->dirty_to = 0;
}

static TableSlice *find(TableCache *cache, uint64_t offset)
{
    gint64 key = offset >> cache->slice_bits << cache->slice_bits;

    return g_hash_table_lookup(cache->by_offset, &key);
}

static void remove_at(TableCache *cache, guint index)
{
    TableSlice *slice = g_ptr_array_index(cache->slices, index);

    make_clean(cache, slice);
    g_hash_table_remove(cache->by_offset, &slice->offset);
    g_ptr_array_remove_index_fast(cache->slices, index);
    free_slice(slice);
}

/* The clock: a slice that was not used since the hand last passed makes room. Changed ones stay: they must be written in order. */
static void make_room(TableCache *cache)
{
    for (guint tries = 2 * cache->slices->len; tries && cache->slices->len >= cache->limit; tries--) {
        TableSlice *slice;

        cache->hand = cache->hand + 1 < cache->slices->len ? cache->hand + 1 : 0;
        slice = g_ptr_array_index(cache->slices, cache->hand);
        if (slice->used) {
            slice->used = false;
        } else if (!slice->loading && !slice->writing && !is_dirty(slice)) {
            remove_at(cache, cache->hand);
        }
    }
}

uint8_t *table_cache_peek(TableCache *cache, uint64_t offset)
{
    TableSlice *slice = find(cache, offset);

    if (!slice || slice->loading) {
        return NULL;
    }
    slice->used = true;
    return slice->data + (offset & ((1u << cache->slice_bits) - 1));
}

uint8_t *table_cache_get(TableCache *cache, uint64_t offset, int *error)
{
    TableSlice *slice;
    uint8_t *at;

    *error = 0;
    while (!(at = table_cache_peek(cache, offset))) {
        if (find(cache, offset)) { /* somebody loads it */
            g_cond_wait(&cache->loaded, cache->lock);
            continue;
        }
        make_room(cache);
        slice = g_new0(TableSlice, 1);
        slice->offset = offset >> cache->slice_bits << cache->slice_bits;
        slice->data = g_malloc(1u << cache->slice_bits);
        slice->dirty_from = UINT_MAX;
        slice->loading = true;
        g_hash_table_insert(cache->by_offset, &slice->offset, slice);
        g_ptr_array_add(cache->slices, slice);
        if (cache->drop_lock) {
            g_mutex_unlock(cache->lock);
        }
        *error = block_image_read(cache->file, slice->offset, slice->data, 1u << cache->slice_bits);
        if (cache->drop_lock) {
            g_mutex_lock(cache->lock);
        }
        slice->loading = false;
        g_cond_broadcast(&cache->loaded);
        if (*error) {
            g_hash_table_remove(cache->by_offset, &slice->offset);
            g_ptr_array_remove_fast(cache->slices, slice);
            free_slice(slice);
            return NULL;
        }
    }
    return at;
}

void table_cache_dirty(TableCache *cache, uint64_t offset, size_t size)
{
    TableSlice *slice = find(cache, offset);
    unsigned from = offset - slice->offset;

    cache->dirty += !is_dirty(slice);
    slice->dirty_from = MIN(slice->dirty_from, from);
    slice->dirty_to = MAX(slice->dirty_to, from + size);
}

void table_cache_forget(TableCache *cache, uint64_t offset, uint64_t size)
{
    for (uint64_t at = offset; at < offset + size; at += 1u << cache->slice_bits) {
        TableSlice *slice = find(cache, at);
        guint index;

        /* One that is being loaded or written is kept by its user; nobody else looks at it any more. */
        if (slice && !slice->loading && g_ptr_array_find(cache->slices, slice, &index)) {
            remove_at(cache, index);
        }
    }
}

void table_cache_clear(TableCache *cache)
{
    for (guint i = cache->slices->len; i-- > 0;) {
        remove_at(cache, i);
    }
}

static int by_place(const void *a, const void *b)
{
    const TableWrite *x = a, *y = b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

GArray *table_cache_collect(TableCache *cache)
{
    GArray *writes = g_array_new(FALSE, FALSE, sizeof(TableWrite));

    for (guint i = 0; i < cache->slices->len && cache->dirty; i++) {
        TableSlice *slice = g_ptr_array_index(cache->slices, i);
        TableWrite write;

        if (!is_dirty(slice)) {
            continue;
        }
        /* Whole sectors: cheap for the host, and no reading first when its cache is left out. */
        slice->dirty_from &= ~511u;
        slice->dirty_to = MIN(round_up(slice->dirty_to, 512), 1u << cache->slice_bits);
        write = (TableWrite){ slice->offset + slice->dirty_from, slice->offset, slice->dirty_to - slice->dirty_from };
        write.data = g_memdup2(slice->data + slice->dirty_from, write.size);
        g_array_append_val(writes, write);
        make_clean(cache, slice);
        slice->writing = true;
    }
    g_array_sort(writes, by_place);
    return writes;
}

int table_writes_perform(TableCache *cache, GArray *writes)
{
    int error = 0;

    for (guint i = 0; i < writes->len && !error; i++) {
        const TableWrite *write = &g_array_index(writes, TableWrite, i);

        error = block_image_write(cache->file, write->offset, write->data, write->size);
    }
    return error;
}

void table_writes_done(TableCache *cache, GArray *writes, bool written)
{
    for (guint i = 0; i < writes->len; i++) {
        const TableWrite *write = &g_array_index(writes, TableWrite, i);
        TableSlice *slice = find(cache, write->slice);

        if (slice) { /* forgotten meanwhile otherwise */
            slice->writing = false;
            if (!written) {
                table_cache_dirty(cache, write->offset, write->size);
            }
        }
        g_free(write->data);
    }
    g_array_unref(writes);
}

bool table_cache_is_full_of_changes(const TableCache *cache)
{
    return cache->dirty > cache->limit / 2;
}
