/*
 * Virtio disk: requests of 512-byte sectors. VIRTIO 1.2, 5.2.
 *
 * A driver often splits what it wants into neighbouring requests; reads or writes that follow each other on the disk
 * and in the queue go to the block layer as one.
 */
#include "hw/virtio/virtio.h"

#include "backends/block.h"
#include "core/machine.h"
#include "util/bits.h"
#include "util/error.h"

enum {
    F_SEG_MAX = 2, F_GEOMETRY = 4, F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9, F_TOPOLOGY = 10, F_CONFIG_WCE = 11, F_MQ = 12,
    F_DISCARD = 13, F_WRITE_ZEROES = 14,
};
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
#define T_BARRIER 0x80000000u /* of the old interface: requests are in order of their flushes anyway */
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { HEADER_SIZE = 16, ID_SIZE = 20, RANGE_SIZE = 16, CONFIG_SIZE = 60, CONFIG_WRITEBACK = 32 };
enum { MERGE_REQUESTS = 32, MERGE_IOV = 1024, MERGE_BYTES = 1 << 20 };
enum { HEADS = 16, SECTORS = 63 };

typedef struct VirtioBlk {
    VirtioDevice v;
    BlockBackend *blk;
    char *serial, *iothread, *write_cache;
    uint32_t logical_block, physical_block, min_io, opt_io, discard_granularity;
    uint16_t num_queues, queue_size;
    uint32_t cylinders, heads, sectors;
    uint32_t max_discard, max_zeroes; /* sectors of one request */
    bool merging, discard, zeroes, config_wce, seg_max_adjust, share_rw;
    bool writeback; /* the cache's mode as the driver set it */
    bool writeback_first;
} VirtioBlk;

typedef struct BlkRequest {
    VirtqChain chain;
    uint32_t type;
    uint64_t offset; /* bytes on the disk */
    uint64_t size;
    struct iovec *iov; /* the data, within the chain's lists */
    unsigned count;
} BlkRequest;

/* What goes to the block layer as one transfer. */
typedef struct Merged {
    VirtioBlk *s;
    unsigned count;
    BlkRequest *requests[MERGE_REQUESTS];
    struct iovec iov[];
} Merged;

/* Requests that wait for a neighbour. */
typedef struct Run {
    VirtioBlk *s;
    unsigned count, iov_count;
    uint64_t size;
    BlkRequest *requests[MERGE_REQUESTS];
} Run;

/* ---- completion ---- */

static void complete(BlkRequest *r, uint8_t status)
{
    const struct iovec *last = &r->chain.in[r->chain.in_count - 1];
    bool is_read = r->type == T_IN || r->type == T_GET_ID;

    *((uint8_t *)last->iov_base + last->iov_len - 1) = status;
    r->chain.touched = r->chain.in_size;
    virtq_push(&r->chain, is_read && status == S_OK ? r->chain.in_size : 1);
}

static void finish(BlkRequest *r, uint8_t status)
{
    VirtQueue *q = r->chain.queue;

    complete(r, status);
    virtq_notify(q);
}

static void one_done(void *opaque, int error)
{
    BlkRequest *r = opaque;
    VirtioDevice *v = virtq_device(r->chain.queue);

    virtio_lock(v);
    finish(r, error ? S_IOERR : S_OK);
    virtio_unlock(v);
}

static void merged_done(void *opaque, int error)
{
    Merged *m = opaque;
    VirtQueue *q = m->requests[0]->chain.queue;
    VirtioDevice *v = &m->s->v;

    virtio_lock(v);
    for (unsigned i = 0; i < m->count; i++) {
        complete(m->requests[i], error ? S_IOERR : S_OK);
    }
    virtq_notify(q);
    virtio_unlock(v);
    g_free(m);
}

/* ---- reads and writes ---- */

static void transfer(VirtioBlk *s, uint32_t type, uint64_t offset, const struct iovec *iov, unsigned count, BlockDone *done,
                     void *opaque)
{
    if (type == T_IN) {
        block_read(s->blk, offset, iov, count, done, opaque);
    } else {
        block_write(s->blk, offset, iov, count, 0, done, opaque);
    }
}

static void run_submit(Run *run)
{
    VirtioBlk *s = run->s;
    BlkRequest *first = run->requests[0];
    Merged *m;
    unsigned n = 0;

    if (run->count == 1) {
        transfer(s, first->type, first->offset, first->iov, first->count, one_done, first);
    } else if (run->count > 1) {
        m = g_malloc(sizeof(*m) + run->iov_count * sizeof(struct iovec));
        m->s = s;
        m->count = run->count;
        for (unsigned i = 0; i < run->count; i++) {
            BlkRequest *r = run->requests[i];

            m->requests[i] = r;
            memcpy(m->iov + n, r->iov, r->count * sizeof(struct iovec));
            n += r->count;
        }
        transfer(s, first->type, first->offset, m->iov, n, merged_done, m);
    }
    run->count = run->iov_count = 0;
    run->size = 0;
}

static bool run_continues(const Run *run, const BlkRequest *r)
{
    const BlkRequest *first = run->requests[0];

    return run->s->merging && run->count < MERGE_REQUESTS && first->type == r->type &&
           first->offset + run->size == r->offset && run->size + r->size <= MERGE_BYTES &&
           run->iov_count + r->count <= MERGE_IOV;
}

static void run_add(Run *run, BlkRequest *r)
{
    if (run->count && !run_continues(run, r)) {
        run_submit(run);
    }
    run->requests[run->count++] = r;
    run->iov_count += r->count;
    run->size += r->size;
}

static bool in_range(const VirtioBlk *s, uint64_t offset, uint64_t size)
{
    uint64_t end = block_size(s->blk);

    return offset <= end && size <= end - offset;
}

/* Leaves of out what is behind the header, of in what is before the status byte; the common forms in place. */
static bool find_data(BlkRequest *r)
{
    VirtqChain *c = &r->chain;

    if (r->type == T_IN && c->in[c->in_count - 1].iov_len == 1) {
        r->iov = c->in;
        r->count = c->in_count - 1;
        r->size = c->in_size - 1;
    } else if (r->type == T_OUT && c->out[0].iov_len == HEADER_SIZE) {
        r->iov = c->out + 1;
        r->count = c->out_count - 1;
        r->size = c->out_size - HEADER_SIZE;
    } else {
        return false;
    }
    return true;
}

/* Any other cut of the data: through a list of its own. */
typedef struct OddTransfer {
    BlkRequest *r;
    struct iovec iov[];
} OddTransfer;

static void odd_done(void *opaque, int error)
{
    OddTransfer *odd = opaque;

    one_done(odd->r, error);
    g_free(odd);
}

static void odd_submit(VirtioBlk *s, BlkRequest *r)
{
    const VirtqChain *c = &r->chain;
    bool is_read = r->type == T_IN;
    unsigned count = is_read ? c->in_count : c->out_count;
    OddTransfer *odd = g_malloc(sizeof(*odd) + count * sizeof(struct iovec));

    odd->r = r;
    r->size = is_read ? c->in_size - 1 : c->out_size - HEADER_SIZE;
    count = is_read ? iov_part(c->in, count, 0, r->size, odd->iov)
                    : iov_part(c->out, count, HEADER_SIZE, r->size, odd->iov);
    if (r->size % s->logical_block || !in_range(s, r->offset, r->size)) {
        g_free(odd);
        finish(r, S_IOERR);
        return;
    }
    transfer(s, r->type, r->offset, odd->iov, count, odd_done, odd);
}

static void read_or_write(VirtioBlk *s, BlkRequest *r, Run *run)
{
    if (r->type == T_OUT && block_readonly(s->blk)) {
        finish(r, S_IOERR);
    } else if (!find_data(r)) {
        run_submit(run);
        odd_submit(s, r);
    } else if (r->size % s->logical_block || r->offset % s->logical_block || !in_range(s, r->offset, r->size)) {
        finish(r, S_IOERR);
    } else if (!r->size) {
        finish(r, S_OK);
    } else {
        run_add(run, r);
    }
}

/* ---- other requests ---- */

/* 5.2.6.2: a device must refuse flags that it does not know. */
static void discard_or_zero(VirtioBlk *s, BlkRequest *r)
{
    bool zeroes = r->type == T_WRITE_ZEROES;
    uint8_t range[RANGE_SIZE];
    uint64_t offset, size, limit = (uint64_t)(zeroes ? s->max_zeroes : s->max_discard) * BLOCK_SECTOR;
    uint32_t flags;

    if (!(zeroes ? s->zeroes : s->discard) || r->chain.out_size != HEADER_SIZE + RANGE_SIZE) {
        finish(r, S_UNSUPP);
        return;
    }
    iov_read(r->chain.out, r->chain.out_count, HEADER_SIZE, range, RANGE_SIZE);
    offset = load_le64(range);
    size = (uint64_t)load_le32(range + 8) * BLOCK_SECTOR;
    flags = load_le32(range + 12);
    if (flags & ~(zeroes ? 1u : 0u)) {
        finish(r, S_UNSUPP);
        return;
    }
    if (block_readonly(s->blk) || offset > UINT64_MAX / BLOCK_SECTOR || size > limit ||
        !in_range(s, offset * BLOCK_SECTOR, size)) {
        finish(r, S_IOERR);
    } else if (zeroes) {
        block_write_zeroes(s->blk, offset * BLOCK_SECTOR, size, flags ? BLOCK_MAY_UNMAP : 0, one_done, r);
    } else {
        block_discard(s->blk, offset * BLOCK_SECTOR, size, one_done, r);
    }
}

static void tell_serial(VirtioBlk *s, BlkRequest *r)
{
    char id[ID_SIZE + 1] = { 0 };

    g_strlcpy(id, s->serial ? s->serial : "", sizeof(id));
    iov_write(r->chain.in, r->chain.in_count, 0, id, MIN(ID_SIZE, r->chain.in_size - 1));
    finish(r, S_OK);
}

static void start(VirtioBlk *s, BlkRequest *r, Run *run)
{
    uint8_t header[HEADER_SIZE];

    iov_read(r->chain.out, r->chain.out_count, 0, header, HEADER_SIZE);
    r->type = load_le32(header) & ~T_BARRIER;
    r->offset = load_le64(header + 8) > UINT64_MAX / BLOCK_SECTOR ? UINT64_MAX : load_le64(header + 8) * BLOCK_SECTOR;
    switch (r->type) {
    case T_IN:
    case T_OUT:
        read_or_write(s, r, run);
        break;
    case T_FLUSH:
        run_submit(run);
        block_flush(s->blk, one_done, r);
        break;
    case T_GET_ID:
        tell_serial(s, r);
        break;
    case T_DISCARD:
    case T_WRITE_ZEROES:
        run_submit(run);
        discard_or_zero(s, r);
        break;
    default:
        finish(r, S_UNSUPP);
    }
}

static void blk_notify(VirtioDevice *v, VirtQueue *q)
{
    VirtioBlk *s = (VirtioBlk *)v;
    Run run = { .s = s };
    BlkRequest *r;

    block_plug(s->blk);
    do {
        virtq_want_notify(q, false);
        while ((r = virtq_pop(q, sizeof(*r)))) {
            if (r->chain.out_size < HEADER_SIZE || r->chain.in_size < 1) {
                virtio_error(v, "a request of %zu bytes out and %zu in", r->chain.out_size, r->chain.in_size);
                virtq_drop(&r->chain);
                break;
            }
            start(s, r, &run);
        }
        run_submit(&run);
    } while (virtq_want_notify(q, true));
    block_unplug(s->blk);
}

/* ---- configuration ---- */

static void get_config(VirtioDevice *v, uint8_t *c)
{
    VirtioBlk *s = (VirtioBlk *)v;
    uint32_t ratio = s->physical_block / s->logical_block;

    store_le64(c, block_size(s->blk) / BLOCK_SECTOR);
    store_le32(c + 12, s->seg_max_adjust ? s->queue_size - 2 : 128 - 2);
    store_le16(c + 16, s->cylinders);
    c[18] = s->heads;
    c[19] = s->sectors;
    store_le32(c + 20, s->logical_block);
    c[24] = __builtin_ctz(ratio);
    store_le16(c + 26, s->min_io / s->logical_block);
    store_le32(c + 28, s->opt_io / s->logical_block);
    c[CONFIG_WRITEBACK] = s->writeback;
    store_le16(c + 34, s->num_queues);
    store_le32(c + 36, s->max_discard);
    store_le32(c + 40, 1);
    store_le32(c + 44, MAX(s->discard_granularity, s->logical_block) / BLOCK_SECTOR);
    store_le32(c + 48, s->max_zeroes);
    store_le32(c + 52, 1);
    c[56] = 1;
}

static void set_writeback(VirtioBlk *s, bool on)
{
    s->writeback = on;
    block_set_write_cache(s->blk, on);
}

static void set_config(VirtioDevice *v, unsigned offset, const uint8_t *bytes, unsigned size)
{
    VirtioBlk *s = (VirtioBlk *)v;

    if (offset == CONFIG_WRITEBACK && size == 1 && virtio_has(v, F_CONFIG_WCE)) {
        set_writeback(s, bytes[0] & 1);
    }
}

static uint64_t blk_features(VirtioDevice *v)
{
    VirtioBlk *s = (VirtioBlk *)v;
    uint64_t f = VIRTIO_BIT(F_SEG_MAX) | VIRTIO_BIT(F_GEOMETRY) | VIRTIO_BIT(F_BLK_SIZE) | VIRTIO_BIT(F_FLUSH) |
                 VIRTIO_BIT(F_TOPOLOGY);

    f |= s->config_wce ? VIRTIO_BIT(F_CONFIG_WCE) : 0;
    f |= s->num_queues > 1 ? VIRTIO_BIT(F_MQ) : 0;
    f |= s->discard ? VIRTIO_BIT(F_DISCARD) : 0;
    f |= s->zeroes ? VIRTIO_BIT(F_WRITE_ZEROES) : 0;
    f |= block_readonly(s->blk) ? VIRTIO_BIT(F_RO) : 0;
    return f;
}

/* 5.2.6.2: without either feature the driver knows of no cache, so there must be none. */
static void features_set(VirtioDevice *v)
{
    VirtioBlk *s = (VirtioBlk *)v;

    set_writeback(s, s->writeback_first && (virtio_has(v, F_FLUSH) || virtio_has(v, F_CONFIG_WCE) || !v->features));
}

/* ---- life ---- */

static bool is_block_size(uint32_t n)
{
    return n >= 512 && n <= 2u << 20 && (n & (n - 1)) == 0;
}

static bool check_sizes(VirtioBlk *s, GError **error)
{
    BlockLimits limits;

    block_limits(s->blk, &limits);
    s->logical_block = s->logical_block ? s->logical_block : limits.logical_block;
    s->physical_block = s->physical_block ? s->physical_block : MAX(limits.physical_block, s->logical_block);
    s->min_io = s->min_io ? s->min_io : limits.min_io;
    s->opt_io = s->opt_io ? s->opt_io : limits.opt_io;
    s->discard_granularity = s->discard_granularity != UINT32_MAX ? s->discard_granularity : limits.discard_granularity;
    s->writeback_first = limits.write_cache;
    if (!is_block_size(s->logical_block) || !is_block_size(s->physical_block) ||
        s->physical_block < s->logical_block || s->min_io % s->logical_block || s->opt_io % s->logical_block ||
        s->min_io / s->logical_block > UINT16_MAX) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "virtio-blk: block sizes %u and %u, I/O sizes %u and %u: these are powers of two from 512 on, the "
                    "physical block not below the logical one, I/O sizes multiples of it",
                    s->logical_block, s->physical_block, s->min_io, s->opt_io);
        return false;
    }
    if (s->write_cache && !g_str_equal(s->write_cache, "auto")) {
        s->writeback_first = g_str_equal(s->write_cache, "on");
        if (!s->writeback_first && !g_str_equal(s->write_cache, "off")) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "virtio-blk: write-cache=%s is not 'on', 'off' or 'auto'",
                        s->write_cache);
            return false;
        }
    }
    return true;
}

static bool check_queues(VirtioBlk *s, GError **error)
{
    if (s->num_queues == UINT16_MAX) {
        s->num_queues = CLAMP(machine_config.cpus, 1, 64);
    }
    if (!s->num_queues || s->num_queues > 256 || s->queue_size < 4 || s->queue_size > VIRTQ_MAX_SIZE ||
        (s->queue_size & (s->queue_size - 1))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "virtio-blk: num-queues=%u is from 1 to 256, queue-size=%u a power of two from 4 to %d",
                    s->num_queues, s->queue_size, VIRTQ_MAX_SIZE);
        return false;
    }
    return true;
}

static void guess_geometry(VirtioBlk *s)
{
    if (!s->cylinders) {
        s->heads = HEADS;
        s->sectors = SECTORS;
        s->cylinders = CLAMP(block_size(s->blk) / BLOCK_SECTOR / (HEADS * SECTORS), 2, 16383);
    }
}

static void medium_changed(void *opaque, bool loaded)
{
    virtio_config_changed(opaque);
}

static const BlockMediaOps media_ops = { .changed = medium_changed };

static bool blk_realize(VirtioDevice *v, GError **error)
{
    VirtioBlk *s = (VirtioBlk *)v;
    IoThread *thread = NULL;
    const char *serial;

    if (!s->blk) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: needs drive=", v->pci.dev.type->name);
        return false;
    }
    if (!block_inserted(s->blk)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "disk '%s' needs an image file", block_id(s->blk));
        return false;
    }
    if (s->iothread && *s->iothread && !(thread = iothread_find(s->iothread))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "no iothread '%s'; -object iothread,id=%s makes one", s->iothread,
                    s->iothread);
        return false;
    }
    if (!check_sizes(s, error) || !check_queues(s, error)) {
        return false;
    }
    serial = block_options(s->blk)->serial;
    if (!s->serial && serial) {
        s->serial = g_strdup(serial);
    }
    guess_geometry(s);
    for (unsigned i = 0; i < s->num_queues; i++) {
        virtio_add_queue(v, s->queue_size);
    }
    block_set_media_ops(s->blk, &media_ops, s);
    if (thread) {
        block_set_iothread(s->blk, thread);
        virtio_set_iothread(v, thread);
    }
    set_writeback(s, s->writeback_first);
    return true;
}

static void blk_unrealize(VirtioDevice *v)
{
    VirtioBlk *s = (VirtioBlk *)v;

    block_set_media_ops(s->blk, NULL, NULL);
    if (v->iothread) {
        block_set_iothread(s->blk, NULL);
    }
}

static void blk_reset(VirtioDevice *v, VirtQueue *q)
{
    VirtioBlk *s = (VirtioBlk *)v;

    block_drain(s->blk);
    if (!q) {
        set_writeback(s, s->writeback_first);
    }
}

static void blk_save(VirtioDevice *v, GKeyFile *out)
{
    VirtioBlk *s = (VirtioBlk *)v;

    block_drain(s->blk);
    g_key_file_set_boolean(out, v->pci.dev.id, "blk.writeback", s->writeback);
}

static bool blk_load(VirtioDevice *v, GKeyFile *in, GError **error)
{
    set_writeback((VirtioBlk *)v, g_key_file_get_boolean(in, v->pci.dev.id, "blk.writeback", NULL));
    return true;
}

static const VirtioClass blk_class = {
    .name = "virtio-blk", .id = VIRTIO_ID_BLOCK, .legacy_id = 0x1001, .pci_class = 0x010000,
    .config_size = CONFIG_SIZE, .realize = blk_realize, .unrealize = blk_unrealize, .features = blk_features,
    .features_set = features_set, .get_config = get_config, .set_config = set_config, .notify = blk_notify,
    .reset = blk_reset, .save = blk_save, .load = blk_load,
};

static const Prop blk_props[] = {
    VIRTIO_PROPS(VirtioBlk),
    PROP(VirtioBlk, blk, "drive", PROP_DRIVE, NULL, "drive or block node with the image"),
    PROP(VirtioBlk, serial, "serial", PROP_STRING, NULL, "serial number, up to 20 characters"),
    PROP(VirtioBlk, iothread, "iothread", PROP_STRING, NULL, "-object iothread that serves the queues"),
    PROP(VirtioBlk, num_queues, "num-queues", PROP_U16, "65535", "number of queues; default: one for each processor"),
    PROP(VirtioBlk, queue_size, "queue-size", PROP_U16, "256", "entries of a queue"),
    PROP(VirtioBlk, logical_block, "logical_block_size", PROP_U32, "0", "bytes, 0: the medium's"),
    PROP(VirtioBlk, physical_block, "physical_block_size", PROP_U32, "0", "bytes, 0: the medium's"),
    PROP(VirtioBlk, min_io, "min_io_size", PROP_U32, "0", "bytes, 0: the medium's"),
    PROP(VirtioBlk, opt_io, "opt_io_size", PROP_U32, "0", "bytes, 0: the medium's"),
    PROP(VirtioBlk, discard_granularity, "discard_granularity", PROP_U32, "4294967295", "bytes; default: the medium's"),
    PROP(VirtioBlk, discard, "discard", PROP_BOOL, "on", "offer discards"),
    PROP(VirtioBlk, zeroes, "write-zeroes", PROP_BOOL, "on", "offer writing of zeros"),
    PROP(VirtioBlk, max_discard, "max-discard-sectors", PROP_U32, "4194303", "sectors of one discard"),
    PROP(VirtioBlk, max_zeroes, "max-write-zeroes-sectors", PROP_U32, "4194303", "sectors of one writing of zeros"),
    PROP(VirtioBlk, config_wce, "config-wce", PROP_BOOL, "on", "the driver may switch the write cache"),
    PROP(VirtioBlk, write_cache, "write-cache", PROP_STRING, "auto", "on, off, or auto: as cache= says"),
    PROP(VirtioBlk, merging, "request-merging", PROP_BOOL, "on", "neighbouring requests become one"),
    PROP(VirtioBlk, seg_max_adjust, "seg-max-adjust", PROP_BOOL, "on", "segments of a request by queue-size"),
    PROP(VirtioBlk, share_rw, "share-rw", PROP_BOOL, "off", "accepted: file.locking of the drive decides"),
    PROP(VirtioBlk, cylinders, "cyls", PROP_U32, "0", "cylinders, with heads and secs"),
    PROP(VirtioBlk, heads, "heads", PROP_U32, "16", "heads"),
    PROP(VirtioBlk, sectors, "secs", PROP_U32, "63", "sectors of a track"),
    { 0 },
};

VIRTIO_TYPES(virtio_blk, "virtio-blk", "virtio-blk", "virtio disk", VirtioBlk, &blk_class, blk_props, NULL, 0, true);
