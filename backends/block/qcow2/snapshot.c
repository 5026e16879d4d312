/* Internal snapshots of qcow2 images, and the machine state that is kept with them. */
#include "backends/block/qcow2/qcow2.h"
#include "util/error.h"

#include <errno.h>
#include <inttypes.h>

enum { ENTRY_HEAD = 40, KNOWN_EXTRA = 16, ICOUNT_EXTRA = 24 };

/* ---- the table ---- */

static void free_snapshot(Qcow2Snapshot *snapshot)
{
    if (snapshot) {
        g_free(snapshot->info.id);
        g_free(snapshot->info.name);
        g_free(snapshot->extra);
        g_free(snapshot);
    }
}

void qcow2_snapshots_close(Qcow2 *s)
{
    for (guint i = 0; s->snapshots && i < s->snapshots->len; i++) {
        free_snapshot(g_ptr_array_index(s->snapshots, i));
    }
    g_clear_pointer(&s->snapshots, g_ptr_array_unref);
}

/* One entry; returns its bytes, 0: damaged. */
static uint64_t parse_entry(Qcow2 *s, const uint8_t *at, uint64_t room, Qcow2Snapshot **out)
{
    uint32_t extra, id_size, name_size;
    Qcow2Snapshot *snapshot;

    if (room < ENTRY_HEAD) {
        return 0;
    }
    extra = load_be32(at + 36);
    id_size = load_be16(at + 12);
    name_size = load_be16(at + 14);
    if (extra > QCOW2_MAX_SNAPSHOT_EXTRA || ENTRY_HEAD + (uint64_t)extra + id_size + name_size > room) {
        return 0;
    }
    snapshot = g_new0(Qcow2Snapshot, 1);
    snapshot->l1_offset = load_be64(at);
    snapshot->l1_size = load_be32(at + 8);
    snapshot->info.date_sec = load_be32(at + 16);
    snapshot->info.date_nsec = load_be32(at + 20);
    snapshot->info.vm_clock_ns = load_be64(at + 24);
    snapshot->info.vm_state_size = extra >= 8 ? load_be64(at + 40) : load_be32(at + 32);
    snapshot->info.disk_size = extra >= KNOWN_EXTRA ? load_be64(at + 48) : s->size;
    snapshot->info.icount = extra >= ICOUNT_EXTRA ? load_be64(at + 56) : UINT64_MAX;
    if (extra > ICOUNT_EXTRA) {
        snapshot->extra_size = extra - ICOUNT_EXTRA;
        snapshot->extra = g_memdup2(at + ENTRY_HEAD + ICOUNT_EXTRA, snapshot->extra_size);
    }
    snapshot->info.id = g_strndup((const char *)at + ENTRY_HEAD + extra, id_size);
    snapshot->info.name = g_strndup((const char *)at + ENTRY_HEAD + extra + id_size, name_size);
    *out = snapshot;
    return round_up(ENTRY_HEAD + extra + id_size + name_size, 8);
}

bool qcow2_snapshots_open(Qcow2 *s, GError **error)
{
    g_autofree uint8_t *table = NULL;
    uint64_t end = block_image_size(s->image.file), room, at = 0;
    int failed;

    if (!s->snapshots->len) {
        return true;
    }
    room = s->snapshots_offset < end ? MIN(end - s->snapshots_offset, QCOW2_MAX_SNAPSHOT_TABLE) : 0;
    room = MIN(room, s->snapshots->len * (uint64_t)(ENTRY_HEAD + QCOW2_MAX_SNAPSHOT_EXTRA + 2 * 65536));
    table = g_try_malloc(room + 1);
    failed = table ? block_image_read(s->image.file, s->snapshots_offset, table, room) : ENOMEM;
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot read the snapshot table: %s", g_strerror(failed));
        return false;
    }
    for (guint i = 0; i < s->snapshots->len; i++) {
        Qcow2Snapshot *snapshot = NULL;
        uint64_t used = parse_entry(s, table + at, room - MIN(at, room), &snapshot);

        s->snapshots->pdata[i] = snapshot;
        if (!used || snapshot->l1_size > QCOW2_MAX_L1 / 8 || snapshot->l1_offset & (s->cluster_size - 1) ||
            (snapshot->l1_size && !snapshot->l1_offset) ||
            (snapshot->l1_size && snapshot->l1_offset >= round_up(end, s->cluster_size))) {
            g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot %u of the image is damaged", i);
            return false;
        }
        at += used;
    }
    s->snapshots_size = at;
    return true;
}

static void put_entry(GByteArray *out, const Qcow2Snapshot *snapshot)
{
    const BlockSnapshot *info = &snapshot->info;
    uint32_t known = info->icount != UINT64_MAX || snapshot->extra_size ? ICOUNT_EXTRA : KNOWN_EXTRA;
    uint8_t head[ENTRY_HEAD + ICOUNT_EXTRA] = { 0 }, padding[8] = { 0 };
    size_t id_size = strlen(info->id), name_size = strlen(info->name);

    store_be64(head, snapshot->l1_offset);
    store_be32(head + 8, snapshot->l1_size);
    store_be16(head + 12, id_size);
    store_be16(head + 14, name_size);
    store_be32(head + 16, info->date_sec);
    store_be32(head + 20, info->date_nsec);
    store_be64(head + 24, info->vm_clock_ns);
    store_be32(head + 32, MIN(info->vm_state_size, UINT32_MAX));
    store_be32(head + 36, known + snapshot->extra_size);
    store_be64(head + 40, info->vm_state_size);
    store_be64(head + 48, info->disk_size);
    store_be64(head + 56, info->icount);
    g_byte_array_append(out, head, ENTRY_HEAD + known);
    g_byte_array_append(out, snapshot->extra, snapshot->extra_size);
    g_byte_array_append(out, (const uint8_t *)info->id, id_size);
    g_byte_array_append(out, (const uint8_t *)info->name, name_size);
    g_byte_array_append(out, padding, round_up(out->len, 8) - out->len);
}

/* A new table in a new place, and the header that refers to it. Stable on return. */
int qcow2_rewrite_snapshots(Qcow2 *s)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint64_t old_offset = s->snapshots_offset, old_size = s->snapshots_size, offset = 0;
    int error = 0;

    for (guint i = 0; i < s->snapshots->len; i++) {
        put_entry(out, g_ptr_array_index(s->snapshots, i));
    }
    if (out->len > QCOW2_MAX_SNAPSHOT_TABLE || s->snapshots->len > QCOW2_MAX_SNAPSHOTS) {
        return EFBIG;
    }
    if (out->len) {
        error = qcow2_alloc_exactly(s, qcow2_clusters(s, out->len), &offset);
        if (!error) {
            error = block_image_write(s->image.file, offset, out->data, out->len);
        }
    }
    if (!error) {
        error = qcow2_flush(s);
    }
    if (!error) {
        s->snapshots_offset = offset;
        s->snapshots_size = out->len;
        error = qcow2_write_snapshots_location(s);
    }
    if (!error) {
        error = block_image_flush(s->image.file);
    }
    if (error) {
        s->snapshots_offset = old_offset;
        s->snapshots_size = old_size;
        if (offset) {
            qcow2_unalloc(s, offset, qcow2_clusters(s, out->len));
        }
    } else if (old_size) {
        qcow2_unalloc(s, old_offset, qcow2_clusters(s, old_size));
    }
    return error;
}

static int find_snapshot(const Qcow2 *s, const char *id_or_name)
{
    for (unsigned by_name = 0; by_name < 2; by_name++) {
        for (guint i = 0; i < s->snapshots->len; i++) {
            const Qcow2Snapshot *snapshot = g_ptr_array_index(s->snapshots, i);

            if (!strcmp(by_name ? snapshot->info.name : snapshot->info.id, id_or_name)) {
                return i;
            }
        }
    }
    return -1;
}

/* ---- references of whole L1 tables ---- */

/* Adds delta to what an L2 table refers to. *budget: references left to change. */
static int change_entries(Qcow2 *s, const uint8_t *table, int64_t delta, uint64_t *budget, uint64_t *changed)
{
    int error = 0;

    for (uint64_t i = 0; i < 1ull << s->l2_bits && !error && *budget; i++) {
        uint64_t entry = load_be64(table + (i << s->entry_bits)), size, first, clusters = 1;

        if (entry & QCOW2_COMPRESSED) {
            first = qcow2_packed_offset(s, entry, &size);
            clusters = ((qcow2_cluster_start(s, first + size - 1) - qcow2_cluster_start(s, first)) >> s->cluster_bits) + 1;
            first = qcow2_cluster_start(s, first);
        } else if (qcow2_entry_has_host(s, entry) && !s->external) {
            first = entry & QCOW2_OFFSET;
            if (first & (s->cluster_size - 1)) {
                return EIO;
            }
            while (i + 1 < 1ull << s->l2_bits && clusters < *budget) { /* runs are cheaper */
                uint64_t next = load_be64(table + ((i + 1) << s->entry_bits));

                if (next & QCOW2_COMPRESSED || (next & QCOW2_OFFSET) != first + (clusters << s->cluster_bits)) {
                    break;
                }
                clusters++;
                i++;
            }
            *budget -= clusters - 1;
            *changed += clusters - 1;
        } else {
            continue;
        }
        error = qcow2_ref(s, first, clusters, delta);
        *budget -= 1;
        *changed += !error;
    }
    return error;
}

/* Adds delta to all that an L1 table refers to. On failure all is as before. */
static int change_references(Qcow2 *s, const uint64_t *l1, uint32_t l1_size, int64_t delta, uint64_t budget)
{
    g_autofree uint8_t *table = g_try_malloc(s->cluster_size);
    uint64_t changed = 0;
    int error = table ? 0 : ENOMEM;

    for (uint32_t i = 0; i < l1_size && !error && budget; i++) {
        uint64_t offset = l1[i] & QCOW2_OFFSET;

        if (!offset) {
            continue;
        }
        error = offset & (s->cluster_size - 1) ? EIO : block_image_read(s->image.file, offset, table, s->cluster_size);
        if (!error) {
            error = change_entries(s, table, delta, &budget, &changed);
        }
        if (!error && budget) {
            error = qcow2_ref(s, offset, 1, delta);
            budget--;
            changed += !error;
        }
    }
    if (error && changed && delta > 0) {
        change_references(s, l1, l1_size, -delta, changed);
    }
    return error;
}

static int copied_if_alone(Qcow2 *s, uint64_t *entry)
{
    uint64_t count, was = *entry;
    int error = qcow2_refcount(s, was & QCOW2_OFFSET, &count);

    *entry = count == 1 ? was | QCOW2_COPIED : was & ~QCOW2_COPIED;
    return error;
}

/* Makes the "copied" flags of the active tables say which clusters have one reference. Writes the tables. */
static int update_copied(Qcow2 *s)
{
    g_autofree uint8_t *table = g_try_malloc(s->cluster_size);
    int error = table ? 0 : ENOMEM;

    for (uint32_t i = 0; i < s->l1_size && !error; i++) {
        uint64_t offset = s->l1[i] & QCOW2_OFFSET;
        bool changed = false;

        if (!offset) {
            continue;
        }
        error = block_image_read(s->image.file, offset, table, s->cluster_size);
        for (uint64_t at = 0; at < s->cluster_size && !error && !s->external; at += 1u << s->entry_bits) {
            uint64_t entry = load_be64(table + at), was = entry;

            if (qcow2_entry_has_host(s, entry)) {
                error = copied_if_alone(s, &entry);
                if (entry != was) {
                    store_be64(table + at, entry);
                    changed = true;
                }
            }
        }
        if (!error && changed) {
            error = block_image_write(s->image.file, offset, table, s->cluster_size);
        }
        if (!error) {
            error = copied_if_alone(s, &s->l1[i]);
        }
    }
    g_mutex_lock(&s->lock);
    table_cache_clear(&s->l2);
    g_mutex_unlock(&s->lock);
    return error ? error : qcow2_write_table(s, s->l1_offset, s->l1, s->l1_size);
}

/* ---- the operations ---- */

static bool report(Qcow2 *s, int failed, const char *what, GError **error)
{
    if (failed == ERANGE) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "cannot %s: refcounts of %u bits are too small for one more reference",
                    what, 1u << s->refcount_order);
    } else if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot %s: %s", what, g_strerror(failed));
    }
    return !failed;
}

/* Work during which refcounts and flags disagree: an implementation that opens the image after a cut repairs it first. */
static int begin(Qcow2 *s)
{
    int error = qcow2_whole_begin(s);

    return error ? error : qcow2_set_dirty(s, true);
}

static int end(Qcow2 *s, int error)
{
    bool lazy = s->lazy;

    if (!error) {
        s->lazy = false;
        error = qcow2_flush(s);
        s->lazy = lazy;
    }
    if (!error) {
        error = qcow2_set_dirty(s, false);
    }
    qcow2_whole_end(s);
    return error;
}

static bool can_snapshot(Qcow2 *s, GError **error)
{
    if (!s->writable) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "the image is read-only");
        return false;
    }
    if (s->external) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "an image with an external data file can have no internal snapshots");
        return false;
    }
    return true;
}

static void free_listed(gpointer data)
{
    BlockSnapshot *snapshot = data;

    g_free(snapshot->id);
    g_free(snapshot->name);
    g_free(snapshot);
}

GPtrArray *qcow2_snapshot_list(BlockImage *image)
{
    Qcow2 *s = (Qcow2 *)image;
    GPtrArray *list = g_ptr_array_new_with_free_func(free_listed);

    for (guint i = 0; i < s->snapshots->len; i++) {
        const BlockSnapshot *info = &((Qcow2Snapshot *)g_ptr_array_index(s->snapshots, i))->info;
        BlockSnapshot *copy = g_memdup2(info, sizeof(*info));

        copy->id = g_strdup(info->id);
        copy->name = g_strdup(info->name);
        g_ptr_array_add(list, copy);
    }
    return list;
}

static char *new_id(const Qcow2 *s)
{
    uint64_t highest = 0;

    for (guint i = 0; i < s->snapshots->len; i++) {
        highest = MAX(highest, g_ascii_strtoull(((Qcow2Snapshot *)s->snapshots->pdata[i])->info.id, NULL, 10));
    }
    return g_strdup_printf("%" PRIu64, highest + 1);
}

static int add_snapshot(Qcow2 *s, Qcow2Snapshot *snapshot)
{
    int error = qcow2_alloc_exactly(s, MAX(qcow2_clusters(s, s->l1_size * 8ull), 1), &snapshot->l1_offset);

    if (error) {
        return error;
    }
    error = qcow2_write_table(s, snapshot->l1_offset, s->l1, s->l1_size);
    if (!error) {
        error = change_references(s, s->l1, s->l1_size, 1, UINT64_MAX);
    }
    if (!error) {
        error = update_copied(s); /* before a snapshot can exist that a write in place would change */
        g_ptr_array_add(s->snapshots, snapshot);
        if (!error) {
            error = qcow2_rewrite_snapshots(s);
        }
        if (!error) {
            return 0;
        }
        g_ptr_array_remove_index(s->snapshots, s->snapshots->len - 1);
        change_references(s, s->l1, s->l1_size, -1, UINT64_MAX);
        update_copied(s);
    }
    qcow2_unalloc(s, snapshot->l1_offset, MAX(qcow2_clusters(s, s->l1_size * 8ull), 1));
    return error;
}

bool qcow2_snapshot_create(BlockImage *image, BlockSnapshot *info, GError **error)
{
    Qcow2 *s = (Qcow2 *)image;
    Qcow2Snapshot *snapshot;
    int failed;

    if (!can_snapshot(s, error)) {
        return false;
    }
    failed = begin(s);
    snapshot = g_new0(Qcow2Snapshot, 1);
    snapshot->info = *info;
    snapshot->info.id = new_id(s);
    snapshot->info.name = g_strndup(info->name ? info->name : "", 65535);
    snapshot->info.disk_size = s->size;
    snapshot->l1_size = s->l1_size;
    if (!failed) {
        failed = add_snapshot(s, snapshot);
    }
    failed = end(s, failed);
    if (failed) {
        if (!s->snapshots->len || g_ptr_array_index(s->snapshots, s->snapshots->len - 1) != snapshot) {
            free_snapshot(snapshot);
        }
        return report(s, failed, "create the snapshot", error);
    }
    g_free(info->id);
    info->id = g_strdup(snapshot->info.id);
    info->disk_size = s->size;
    if (info->vm_state_size) { /* it belongs to the snapshot now */
        g_rw_lock_reader_lock(&s->ops);
        qcow2_drop_range(s, qcow2_vm_state_offset(s), round_up(info->vm_state_size, s->cluster_size));
        g_rw_lock_reader_unlock(&s->ops);
    }
    return true;
}

static Qcow2Snapshot *wanted(Qcow2 *s, const char *id_or_name, int *index, GError **error)
{
    *index = find_snapshot(s, id_or_name);
    if (*index < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "there is no snapshot '%s'", id_or_name);
        return NULL;
    }
    return g_ptr_array_index(s->snapshots, *index);
}

/* The snapshot's tables become the active ones; *old is what they replace. */
static int switch_tables(Qcow2 *s, const Qcow2Snapshot *snapshot, uint64_t *l1, uint32_t l1_size)
{
    uint64_t offset, old_offset = s->l1_offset, old_disk = s->size;
    uint32_t old_size = s->l1_size;
    uint64_t *old = s->l1;
    int error = qcow2_alloc_exactly(s, MAX(qcow2_clusters(s, l1_size * 8ull), 1), &offset);

    if (error) {
        return error;
    }
    error = change_references(s, l1, l1_size, 1, UINT64_MAX);
    if (!error) {
        error = qcow2_write_table(s, offset, l1, l1_size);
    }
    if (!error) {
        error = qcow2_flush(s);
    }
    if (error) {
        qcow2_unalloc(s, offset, MAX(qcow2_clusters(s, l1_size * 8ull), 1));
        return error;
    }
    s->l1_offset = offset;
    s->l1_size = l1_size;
    s->l1 = l1;
    s->size = snapshot->info.disk_size;
    error = qcow2_write_l1_location(s);
    if (!error && s->size != old_disk) {
        error = qcow2_write_size(s);
    }
    if (!error) {
        error = block_image_flush(s->image.file);
    }
    if (!error) { /* the old state has one reference less */
        error = change_references(s, old, old_size, -1, UINT64_MAX);
        qcow2_unalloc(s, old_offset, qcow2_clusters(s, old_size * 8ull));
    }
    g_free(old);
    return error ? error : update_copied(s);
}

static uint32_t entries_for(const Qcow2 *s, uint64_t size)
{
    return round_up(size, 1ull << qcow2_l1_shift(s)) >> qcow2_l1_shift(s);
}

bool qcow2_snapshot_apply(BlockImage *image, const char *id_or_name, GError **error)
{
    Qcow2 *s = (Qcow2 *)image;
    int index, failed;
    const Qcow2Snapshot *snapshot;
    uint64_t *l1;
    uint32_t l1_size;

    if (!can_snapshot(s, error) || !(snapshot = wanted(s, id_or_name, &index, error))) {
        return false;
    }
    if (s->bitmaps && s->bitmaps->len && snapshot->info.disk_size != s->size) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "an image with bitmaps cannot take the size of the snapshot");
        return false;
    }
    failed = qcow2_bitmaps_start(s);
    if (failed) {
        return report(s, failed, "apply the snapshot", error);
    }
    g_mutex_lock(&s->lock);
    qcow2_bitmaps_mark(s, 0, s->size); /* all of the disk changes */
    g_mutex_unlock(&s->lock);
    l1_size = MAX(snapshot->l1_size, entries_for(s, snapshot->info.disk_size));
    if (snapshot->info.disk_size > 1ull << 62 || l1_size > QCOW2_MAX_L1 / 8) {
        return report(s, EFBIG, "apply the snapshot", error);
    }
    l1 = g_new0(uint64_t, l1_size + 1);
    g_autofree uint64_t *stored = qcow2_read_table(s, snapshot->l1_offset, snapshot->l1_size, error);
    if (!stored) {
        g_free(l1);
        return false;
    }
    memcpy(l1, stored, snapshot->l1_size * 8ull);
    failed = begin(s);
    if (!failed) {
        failed = switch_tables(s, snapshot, l1, l1_size);
        if (s->l1 != l1) {
            g_free(l1);
        }
    } else {
        g_free(l1);
    }
    return report(s, end(s, failed), "apply the snapshot", error);
}

bool qcow2_snapshot_delete(BlockImage *image, const char *id_or_name, GError **error)
{
    Qcow2 *s = (Qcow2 *)image;
    Qcow2Snapshot *snapshot;
    g_autofree uint64_t *l1 = NULL;
    int index, failed;

    if (!can_snapshot(s, error) || !(snapshot = wanted(s, id_or_name, &index, error))) {
        return false;
    }
    l1 = qcow2_read_table(s, snapshot->l1_offset, snapshot->l1_size, error);
    if (!l1) {
        return false;
    }
    failed = begin(s);
    if (!failed) {
        g_ptr_array_remove_index(s->snapshots, index);
        failed = qcow2_rewrite_snapshots(s);
        if (failed) {
            g_ptr_array_insert(s->snapshots, index, snapshot);
        }
    }
    if (!failed) { /* nothing refers to it any more */
        failed = change_references(s, l1, snapshot->l1_size, -1, UINT64_MAX);
        qcow2_unalloc(s, snapshot->l1_offset, MAX(qcow2_clusters(s, snapshot->l1_size * 8ull), 1));
        free_snapshot(snapshot);
        if (!failed) {
            failed = update_copied(s);
        }
    }
    return report(s, end(s, failed), "delete the snapshot", error);
}

bool qcow2_snapshot_view(BlockImage *image, const char *id_or_name, GError **error)
{
    Qcow2 *s = (Qcow2 *)image;
    int index;
    const Qcow2Snapshot *snapshot = wanted(s, id_or_name, &index, error);
    uint64_t *l1;
    uint32_t l1_size;

    if (!snapshot) {
        return false;
    }
    if (s->writable) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "a snapshot can be looked at in a read-only image only");
        return false;
    }
    l1_size = MAX(snapshot->l1_size, entries_for(s, MIN(snapshot->info.disk_size, 1ull << 62)));
    if (snapshot->info.disk_size > 1ull << 62 || l1_size > QCOW2_MAX_L1 / 8) {
        return report(s, EFBIG, "show the snapshot", error);
    }
    l1 = qcow2_read_table(s, snapshot->l1_offset, snapshot->l1_size, error);
    if (!l1) {
        return false;
    }
    qcow2_whole_begin(s);
    l1 = g_renew(uint64_t, l1, l1_size + 1);
    memset(l1 + snapshot->l1_size, 0, (l1_size + 1 - snapshot->l1_size) * 8ull);
    g_free(s->l1);
    s->l1 = l1;
    s->l1_size = l1_size;
    s->size = snapshot->info.disk_size;
    qcow2_whole_end(s);
    return true;
}

/* ---- machine state ---- */

int qcow2_vm_state_read(BlockImage *image, uint64_t offset, void *buf, size_t size)
{
    Qcow2 *s = (Qcow2 *)image;
    struct iovec iov = { buf, size };
    int error;

    g_rw_lock_reader_lock(&s->ops);
    error = offset > 1ull << 60 ? EFBIG : qcow2_read_guest(s, qcow2_vm_state_offset(s) + offset, &iov, 1);
    g_rw_lock_reader_unlock(&s->ops);
    return error;
}

static int write_state(Qcow2 *s, uint64_t offset, const void *buf, size_t size)
{
    uint64_t start = offset & ~511ull, whole = round_up(offset + size, 512) - start;
    struct iovec iov = { (void *)buf, size };
    g_autofree uint8_t *padded = NULL;
    int error;

    if (!s->crypt || (start == offset && whole == size)) {
        return qcow2_write_guest(s, offset, &iov, 1);
    }
    padded = g_try_malloc(whole);
    if (!padded) {
        return ENOMEM;
    }
    iov = (struct iovec){ padded, whole };
    error = qcow2_read_guest(s, start, &iov, 1);
    memcpy(padded + (offset - start), buf, size);
    return error ? error : qcow2_write_guest(s, start, &iov, 1);
}

int qcow2_vm_state_write(BlockImage *image, uint64_t offset, const void *buf, size_t size)
{
    Qcow2 *s = (Qcow2 *)image;
    uint64_t start = qcow2_vm_state_offset(s) + offset, entries;
    int error = 0;

    if (!s->writable || s->external) {
        return s->external ? ENOTSUP : EROFS;
    }
    if (offset > 1ull << 60 || !size) {
        return size ? EFBIG : 0;
    }
    entries = ((start + size - 1) >> qcow2_l1_shift(s)) + 1;
    if (entries > s->l1_size) {
        error = qcow2_whole_begin(s);
        if (!error) {
            error = qcow2_grow_l1(s, MIN(MAX(entries, s->l1_size + s->l1_size / 8ull), QCOW2_MAX_L1 / 8));
        }
        if (!error) {
            error = entries > s->l1_size ? EFBIG : 0;
        }
        qcow2_whole_end(s);
    }
    if (error) {
        return error;
    }
    g_rw_lock_reader_lock(&s->ops);
    error = write_state(s, start, buf, size);
    g_rw_lock_reader_unlock(&s->ops);
    return error;
}
