/* Reading and writing guest data of qcow2 images. */
#include "backends/block/qcow2/qcow2.h"

#include <errno.h>

/* ---- reading ---- */

static int read_encrypted(Qcow2 *s, uint64_t guest, uint64_t host, const struct iovec *iov, int count, size_t size)
{
    size_t before = guest & 511, whole = round_up(before + size, 512);
    g_autofree uint8_t *buf = g_try_malloc(whole);
    int error = buf ? block_image_read(s->data, host - before, buf, whole) : ENOMEM;

    if (!error) {
        error = qcow2_decrypt(s, guest - before, host - before, buf, whole);
    }
    if (!error) {
        block_iov_scatter(iov, count, buf + before);
    }
    return error;
}

/* What is stored nowhere: the backing image's, but never more of it than the disk has. */
static int read_unallocated(Qcow2 *s, uint64_t offset, const struct iovec *iov, int count, size_t size)
{
    size_t inside = offset < s->size ? MIN(size, s->size - offset) : 0;
    g_autofree struct iovec *part = g_new(struct iovec, count);
    int n = block_iov_part(part, iov, count, inside, size - inside);

    block_iov_fill(part, n, 0);
    if (!inside) {
        return 0;
    }
    n = block_iov_part(part, iov, count, 0, inside);
    return block_image_read_backing(&s->image, offset, part, n);
}

static int read_extent(Qcow2 *s, uint64_t offset, const Qcow2Extent *e, const struct iovec *iov, int count)
{
    switch (e->kind) {
    case QCOW2_MAP_NONE:
        return read_unallocated(s, offset, iov, count, e->size);
    case QCOW2_MAP_ZERO:
        block_iov_fill(iov, count, 0);
        return 0;
    case QCOW2_MAP_COMPRESSED:
        return qcow2_read_compressed(s, e->entry, offset & (s->cluster_size - 1), iov, count);
    default:
        return s->crypt ? read_encrypted(s, offset, e->host, iov, count, e->size)
                        : block_image_readv(s->data, e->host, iov, count);
    }
}

int qcow2_read_guest(Qcow2 *s, uint64_t offset, const struct iovec *iov, int count)
{
    size_t size = block_iov_size(iov, count), done = 0;
    g_autofree struct iovec *part = g_new(struct iovec, count);
    Qcow2Extent e;
    int error = 0, n;

    while (done < size && !error) {
        g_mutex_lock(&s->lock);
        error = qcow2_map(s, offset + done, size - done, false, &e);
        g_mutex_unlock(&s->lock);
        if (!error) {
            n = block_iov_part(part, iov, count, done, e.size);
            error = read_extent(s, offset + done, &e, part, n);
            done += e.size;
        }
    }
    return error;
}

int qcow2_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    Qcow2 *s = (Qcow2 *)image;
    int error;

    g_rw_lock_reader_lock(&s->ops);
    g_mutex_lock(&s->lock);
    qcow2_pin(s, offset);
    g_mutex_unlock(&s->lock);
    error = qcow2_read_guest(s, offset, iov, count);
    qcow2_unpin(s, offset);
    g_rw_lock_reader_unlock(&s->ops);
    return error;
}

/* ---- writing to clusters that are ours ---- */

static int write_data(Qcow2 *s, uint64_t guest, uint64_t host, const struct iovec *iov, int count, size_t size)
{
    g_autofree uint8_t *buf = NULL;
    int error;

    if (!s->crypt) {
        return block_image_writev(s->data, host, iov, count);
    }
    if ((guest | size) & 511) {
        return EINVAL;
    }
    buf = g_try_malloc(size);
    if (!buf) {
        return ENOMEM;
    }
    block_iov_gather(iov, count, buf);
    error = qcow2_encrypt(s, guest, host, buf, size);
    return error ? error : block_image_write(s->data, host, buf, size);
}

/* ---- writing to clusters that must be allocated first ---- */

/* A run of guest clusters of one slice that get host clusters one after the other. */
typedef struct Allocation {
    Qcow2Busy busy;        /* the guest clusters */
    uint64_t host;         /* of the first */
    bool reused, fresh;    /* they were ours already; they read as zeros */
    uint64_t from, to;     /* what is written: the request */
    uint64_t cow_from, cow_to; /* and copied around it, to whole units */
} Allocation;

static bool is_ours(const Qcow2 *s, uint64_t entry)
{
    return qcow2_entry_has_host(s, entry) && (entry & QCOW2_COPIED || s->external);
}

/*
 * lock held. How many clusters from here can be treated alike. `alike`: how far all is of the kind that the first byte is;
 * clusters that are ours may have other units that are written in place meanwhile, and are never copied over.
 */
static int plan_run(Qcow2 *s, Allocation *a, uint64_t end, uint64_t alike)
{
    uint64_t slice_guest = 1ull << (s->l2.slice_bits - s->entry_bits + s->cluster_bits);
    uint64_t at = qcow2_cluster_start(s, a->from), limit = (at & -slice_guest) + slice_guest, entry, bitmap, first = at;
    int error = qcow2_load_entry(s, at, &entry, &bitmap);

    a->reused = is_ours(s, entry);
    a->host = entry & QCOW2_OFFSET;
    for (at += s->cluster_size; !error && at < MIN(end, limit); at += s->cluster_size) {
        if (qcow2_is_busy(s, at, at + s->cluster_size) || qcow2_load_entry(s, at, &entry, &bitmap) ||
            is_ours(s, entry) != a->reused || (a->reused && (entry & QCOW2_OFFSET) != a->host + (at - first))) {
            break;
        }
    }
    a->to = MIN(a->reused ? MIN(end, alike) : end, at);
    at = qcow2_cluster_start(s, a->to - 1) + s->cluster_size;
    qcow2_busy_begin(s, &a->busy, first, at);
    return error;
}

/* What must be copied of a cluster that moves elsewhere and is only written in part. */
static void widen_copy(const Qcow2 *s, uint64_t cluster, uint64_t entry, uint64_t bitmap, Allocation *a)
{
    uint64_t data = bitmap & UINT32_MAX;

    if (entry & QCOW2_COMPRESSED) {
        data = UINT32_MAX;
    } else if (s->entry_bits != 4) {
        return; /* the unit is the cluster already */
    }
    if (data) {
        uint64_t low = cluster + ((uint64_t)__builtin_ctz(data) << (s->cluster_bits - 5));
        uint64_t high = cluster + ((uint64_t)(32 - __builtin_clz(data)) << (s->cluster_bits - 5));

        a->cow_from = MIN(a->cow_from, low);
        a->cow_to = MAX(a->cow_to, high);
    }
}

static int plan_copies(Qcow2 *s, Allocation *a)
{
    uint64_t unit = qcow2_unit(s), first = a->busy.from, last = qcow2_cluster_start(s, a->to - 1), entry, bitmap;
    int error = 0;

    a->cow_from = a->from & -unit;
    a->cow_to = round_up(a->to, unit);
    if (a->reused) {
        return 0;
    }
    g_mutex_lock(&s->lock);
    error = qcow2_load_entry(s, first, &entry, &bitmap);
    if (!error) {
        widen_copy(s, first, entry, bitmap, a);
        error = qcow2_load_entry(s, last, &entry, &bitmap);
    }
    if (!error) {
        widen_copy(s, last, entry, bitmap, a);
    }
    g_mutex_unlock(&s->lock);
    return error;
}

/* Whether this reads as zeros without looking at data. */
static bool is_known_zero(Qcow2 *s, uint64_t from, uint64_t to)
{
    Qcow2Extent e;
    int error = 0;

    while (from < to && !error) {
        g_mutex_lock(&s->lock);
        error = qcow2_map(s, from, to - from, false, &e);
        g_mutex_unlock(&s->lock);
        if (!error && !(e.kind == QCOW2_MAP_ZERO || (e.kind == QCOW2_MAP_NONE && (!s->image.backing || from >= s->size)))) {
            return false;
        }
        from += e.size;
    }
    return !error;
}

/* Bytes to be written beside the request; *buf stays NULL if the file has them already. */
static int copy_side(Qcow2 *s, const Allocation *a, uint64_t from, uint64_t to, uint8_t **buf)
{
    struct iovec iov = { NULL, to - from };

    *buf = NULL;
    if (from >= to || (a->fresh && !s->crypt && is_known_zero(s, from, to))) {
        return 0;
    }
    *buf = g_try_malloc(to - from);
    if (!*buf) {
        return ENOMEM;
    }
    iov.iov_base = *buf;
    return qcow2_read_guest(s, from, &iov, 1);
}

/* The request with what is copied around it, as one write. */
static int write_merged(Qcow2 *s, const Allocation *a, const struct iovec *iov, int count, size_t skip)
{
    g_autofree struct iovec *all = g_new(struct iovec, count + 2);
    g_autofree uint8_t *head = NULL, *tail = NULL;
    uint64_t from = a->from, to = a->to, end = a->cow_to;
    int n = 0, error = copy_side(s, a, a->cow_from, a->from, &head);

    if (s->external) { /* which ends where the disk does */
        end = MIN(end, MAX(to, s->size));
    }
    if (!error) {
        error = copy_side(s, a, a->to, end, &tail);
    }
    if (error) {
        return error;
    }
    if (head) {
        from = a->cow_from;
        all[n++] = (struct iovec){ head, a->from - a->cow_from };
    }
    n += block_iov_part(all + n, iov, count, skip, a->to - a->from);
    if (tail) {
        to = end;
        all[n++] = (struct iovec){ tail, end - a->to };
    }
    return write_data(s, from, a->host + (from - a->busy.from), all, n, to - from);
}

/* lock held. The L2 entries of the run refer to the new clusters. */
static int link_run(Qcow2 *s, const Allocation *a)
{
    for (uint64_t at = a->busy.from; at < a->busy.to; at += s->cluster_size) {
        uint64_t entry, bitmap, linked = (a->host + (at - a->busy.from)) | QCOW2_COPIED;
        int error = qcow2_load_entry(s, at, &entry, &bitmap);

        if (!error && s->entry_bits == 4) {
            uint64_t from = MAX(a->cow_from, at) - at, to = MIN(a->cow_to, at + s->cluster_size) - at;
            unsigned low = from >> s->subcluster_bits, high = to >> s->subcluster_bits;
            uint64_t units = (UINT32_MAX >> (32 - (high - low))) << low;

            if (entry & QCOW2_COMPRESSED) {
                bitmap = 0;
            }
            error = qcow2_store_entry(s, at, linked, (bitmap | units) & ~(units << 32));
        } else if (!error) {
            error = qcow2_store_entry(s, at, linked, 0);
        }
        if (error) {
            return error;
        }
        if (!a->reused) {
            qcow2_free_entry_later(s, entry, false);
        }
    }
    return 0;
}

/* Host clusters for the run; may make it shorter. */
static int find_hosts(Qcow2 *s, Allocation *a)
{
    uint64_t got, want = (a->busy.to - a->busy.from) >> s->cluster_bits;
    int error;

    if (a->reused) {
        return 0;
    }
    if (s->external) {
        a->host = a->busy.from;
        return 0;
    }
    error = qcow2_alloc(s, want, &a->host, &got, &a->fresh);
    if (error || got == want) {
        return error;
    }
    g_mutex_lock(&s->lock);
    a->busy.to = a->busy.from + (got << s->cluster_bits);
    a->to = MIN(a->to, a->busy.to);
    g_cond_broadcast(&s->settled);
    g_mutex_unlock(&s->lock);
    return 0;
}

/* *done: bytes written; 0 without an error: the mapping changed meanwhile, look again. */
static int allocate_and_write(Qcow2 *s, uint64_t offset, const struct iovec *iov, int count, size_t skip, size_t size,
                              size_t *done)
{
    Allocation a = { .from = offset };
    uint64_t cluster = qcow2_cluster_start(s, offset);
    Qcow2Extent e;
    bool linked = false, placed = false;
    int error = qcow2_need_l2(s, offset);

    *done = 0;
    if (error) {
        return error;
    }
    g_mutex_lock(&s->lock);
    if (qcow2_is_busy(s, cluster, cluster + s->cluster_size)) {
        g_cond_wait(&s->settled, &s->lock);
        g_mutex_unlock(&s->lock);
        return 0;
    }
    error = qcow2_map(s, offset, size, false, &e);
    if (error || (e.kind == QCOW2_MAP_DATA && e.owned) || qcow2_is_busy(s, cluster, cluster + s->cluster_size)) {
        g_mutex_unlock(&s->lock);
        return error;
    }
    error = plan_run(s, &a, offset + size, offset + e.size);
    g_mutex_unlock(&s->lock);
    if (!error) {
        error = find_hosts(s, &a);
        placed = !error;
    }
    if (!error) {
        error = plan_copies(s, &a);
    }
    if (!error) {
        error = write_merged(s, &a, iov, count, skip);
    }
    g_mutex_lock(&s->lock);
    if (!error) {
        error = link_run(s, &a);
        linked = true; /* perhaps in part: then the rest is lost until a check */
    }
    qcow2_busy_end(s, &a.busy);
    g_mutex_unlock(&s->lock);
    if (error && placed && !linked && !a.reused && !s->external) {
        qcow2_unalloc(s, a.host, (a.busy.to - a.busy.from) >> s->cluster_bits);
    }
    *done = a.to - a.from;
    return error ? error : qcow2_flush_if_full(s);
}

int qcow2_write_guest(Qcow2 *s, uint64_t offset, const struct iovec *iov, int count)
{
    size_t size = block_iov_size(iov, count), done = 0, n;
    g_autofree struct iovec *part = g_new(struct iovec, count);
    Qcow2Extent e;
    int error = 0, parts;

    while (done < size && !error) {
        g_mutex_lock(&s->lock);
        error = qcow2_map(s, offset + done, size - done, false, &e);
        g_mutex_unlock(&s->lock);
        if (error) {
            break;
        }
        if (e.kind == QCOW2_MAP_DATA && e.owned) {
            parts = block_iov_part(part, iov, count, done, e.size);
            error = write_data(s, offset + done, e.host, part, parts, e.size);
            n = e.size;
        } else {
            error = allocate_and_write(s, offset + done, iov, count, done, size - done, &n);
        }
        done += n;
    }
    return error;
}

int qcow2_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    Qcow2 *s = (Qcow2 *)image;
    int error;

    g_rw_lock_reader_lock(&s->ops);
    error = qcow2_bitmaps_start(s);
    if (!error) {
        g_mutex_lock(&s->lock);
        qcow2_pin(s, offset);
        qcow2_bitmaps_mark(s, offset, block_iov_size(iov, count));
        g_mutex_unlock(&s->lock);
        error = qcow2_write_guest(s, offset, iov, count);
        qcow2_unpin(s, offset);
    }
    g_rw_lock_reader_unlock(&s->ops);
    return error;
}

/* ---- compressed clusters ---- */

static int link_compressed(Qcow2 *s, uint64_t guest, uint64_t host, size_t size)
{
    uint64_t sectors = ((host + size - 1) >> 9) - (host >> 9), entry, bitmap;
    int error = qcow2_load_entry(s, guest, &entry, &bitmap);

    if (!error) {
        error = qcow2_store_entry(s, guest, host | sectors << (62 - (s->cluster_bits - 8)) | QCOW2_COMPRESSED, 0);
    }
    if (!error) {
        qcow2_free_entry_later(s, entry, false);
    }
    return error;
}

static int store_compressed(Qcow2 *s, uint64_t guest, const uint8_t *packed, size_t size)
{
    Qcow2Busy busy;
    uint64_t host;
    int error = qcow2_need_l2(s, guest);

    if (error) {
        return error;
    }
    g_mutex_lock(&s->lock);
    while (qcow2_is_busy(s, guest, guest + s->cluster_size)) {
        g_cond_wait(&s->settled, &s->lock);
    }
    qcow2_busy_begin(s, &busy, guest, guest + s->cluster_size);
    g_mutex_unlock(&s->lock);
    error = qcow2_alloc_packed(s, size, &host);
    if (!error) {
        qcow2_forget_inflated(s); /* the place may have held another one */
        error = host >> (62 - (s->cluster_bits - 8)) ? EFBIG : block_image_write(s->image.file, host, packed, size);
        if (error) {
            qcow2_unalloc_packed(s, host, size);
        }
    }
    g_mutex_lock(&s->lock);
    if (!error) {
        error = link_compressed(s, guest, host, size);
    }
    qcow2_busy_end(s, &busy);
    g_mutex_unlock(&s->lock);
    return error;
}

int qcow2_write_compressed(BlockImage *image, uint64_t offset, const void *buf, size_t size)
{
    Qcow2 *s = (Qcow2 *)image;
    g_autofree uint8_t *whole = NULL, *packed = NULL;
    struct iovec iov = { (void *)buf, size };
    size_t packed_size;
    int error;

    if (s->external || s->crypt) {
        return ENOTSUP;
    }
    if (offset & (s->cluster_size - 1) || size > s->cluster_size || !size ||
        (size < s->cluster_size && offset + size != s->size)) {
        return EINVAL;
    }
    if (size < s->cluster_size) {
        whole = g_malloc0(s->cluster_size);
        memcpy(whole, buf, size);
        buf = whole;
    }
    packed = g_malloc(s->cluster_size);
    packed_size = qcow2_compress(s->compression, buf, s->cluster_size, packed);
    if (!packed_size) {
        return qcow2_write(image, offset, &iov, 1);
    }
    g_rw_lock_reader_lock(&s->ops);
    error = qcow2_bitmaps_start(s);
    if (!error) {
        g_mutex_lock(&s->lock);
        qcow2_pin(s, offset);
        qcow2_bitmaps_mark(s, offset, size);
        g_mutex_unlock(&s->lock);
        error = store_compressed(s, offset, packed, packed_size);
        qcow2_unpin(s, offset);
    }
    if (!error) {
        error = qcow2_flush_if_full(s);
    }
    g_rw_lock_reader_unlock(&s->ops);
    return error;
}

/* ---- what is where ---- */

int qcow2_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent)
{
    Qcow2 *s = (Qcow2 *)image;
    Qcow2Extent e;
    int error;

    g_rw_lock_reader_lock(&s->ops);
    g_mutex_lock(&s->lock);
    error = qcow2_map(s, offset, size, false, &e);
    g_mutex_unlock(&s->lock);
    g_rw_lock_reader_unlock(&s->ops);
    if (error) {
        return error;
    }
    extent->size = e.size;
    switch (e.kind) {
    case QCOW2_MAP_NONE:
        extent->status = 0;
        break;
    case QCOW2_MAP_ZERO:
        extent->status = BLOCK_ZERO | BLOCK_HERE;
        break;
    case QCOW2_MAP_COMPRESSED:
        extent->status = BLOCK_DATA | BLOCK_HERE | BLOCK_COMPRESSED;
        break;
    case QCOW2_MAP_DATA:
        extent->status = BLOCK_DATA | BLOCK_HERE;
        extent->image = s->crypt ? NULL : s->data;
        extent->offset = e.host;
        break;
    }
    return 0;
}

bool qcow2_resolve(BlockImage *image, uint64_t offset, uint64_t size, bool is_write, int *fd, uint64_t *host_offset)
{
    Qcow2 *s = (Qcow2 *)image;
    Qcow2Extent e;
    bool found;

    if (s->crypt || (is_write && !s->writable) || !g_mutex_trylock(&s->lock)) {
        return false;
    }
    found = !s->whole && (!is_write || s->recording) && qcow2_map(s, offset, size, true, &e) == 0 && e.size >= size &&
            e.kind == QCOW2_MAP_DATA && (!is_write || e.owned);
    if (found) {
        qcow2_pin(s, offset);
        if (is_write) {
            qcow2_bitmaps_mark(s, offset, size);
        }
    }
    g_mutex_unlock(&s->lock);
    if (found && !block_image_resolve(s->data, e.host, size, is_write, fd, host_offset)) {
        qcow2_unpin(s, offset);
        return false;
    }
    return found;
}

void qcow2_resolved(BlockImage *image, uint64_t offset, uint64_t size, bool is_write)
{
    qcow2_unpin((Qcow2 *)image, offset);
}
