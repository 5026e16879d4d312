/*
 * The memory of a request: guest RAM in place, a copy for what is no RAM.
 *
 * Descriptors are read once, checked as copies, and never looked at again.
 */
#include "hw/virtio/virtqueue.h"

#include "core/lock.h"
#include "util/bits.h"

#define MAX_SEGMENTS (2 * VIRTQ_MAX_SIZE) /* a buffer may lie in several pieces of RAM */
#define MAX_BOUNCED  (4u << 20)           /* bytes of copies that a queue may hold */

typedef struct VirtqSegment {
    RamBlock *ram;   /* NULL: iov_base is our copy */
    uint64_t offset; /* in it, or the guest's address */
} VirtqSegment;

VirtqChain *virtq_chain_new(VirtQueue *q, size_t size)
{
    VirtqChain *chain = q->pool;

    if (chain && chain->size == size) {
        VirtqChain kept = *chain;

        q->pool = chain->next;
        memset(chain, 0, size);
        chain->room = kept.room;
        chain->out = kept.out;
        chain->segments = kept.segments;
    } else {
        chain = g_malloc0(size);
        chain->room = 16;
        chain->out = g_new(struct iovec, chain->room);
        chain->segments = g_new(VirtqSegment, chain->room);
    }
    chain->size = size;
    chain->queue = q;
    return chain;
}

static unsigned segment_count(const VirtqChain *chain)
{
    return chain->out_count + chain->in_count;
}

static bool add_segment(VirtqChain *chain, void *host, size_t size, RamBlock *ram, uint64_t offset, bool is_write)
{
    unsigned n = segment_count(chain);

    if (n == MAX_SEGMENTS) {
        virtio_error(chain->queue->v, "a request of more than %d pieces", MAX_SEGMENTS);
        return false;
    }
    if (n == chain->room) {
        chain->room *= 2;
        chain->out = g_renew(struct iovec, chain->out, chain->room);
        chain->segments = g_renew(VirtqSegment, chain->segments, chain->room);
    }
    chain->out[n] = (struct iovec){ host, size };
    chain->segments[n] = (VirtqSegment){ ram, offset };
    if (is_write) {
        chain->in_count++;
        chain->in_size += size;
    } else {
        chain->out_count++;
        chain->out_size += size;
    }
    chain->in = chain->out + chain->out_count;
    return true;
}

/* Devices' memory is reached under the machine lock only, which an I/O thread must not wait for. */
static bool add_bounced(VirtqChain *chain, uint64_t addr, uint32_t length, bool is_write)
{
    VirtQueue *q = chain->queue;
    void *copy;

    if (length > MAX_BOUNCED - q->bounced || !machine_locked()) {
        virtio_error(q->v, "buffer of %u bytes at 0x%" G_GINT64_MODIFIER "x is no RAM", length, addr);
        return false;
    }
    copy = g_malloc0(length);
    if (!is_write) {
        memory_read(memory_system(), addr, copy, length);
    }
    if (!add_segment(chain, copy, length, NULL, addr, is_write)) {
        g_free(copy);
        return false;
    }
    q->bounced += length;
    return true;
}

bool virtq_chain_add(VirtqChain *chain, uint64_t addr, uint32_t length, bool is_write)
{
    if (!length || addr + length - 1 < addr) {
        virtio_error(chain->queue->v, "buffer of %u bytes at 0x%" G_GINT64_MODIFIER "x", length, addr);
        return false;
    }
    if (!is_write && chain->in_count) {
        virtio_error(chain->queue->v, "a buffer to read behind one to write");
        return false;
    }
    while (length) {
        uint64_t size = length, offset;
        RamBlock *ram;
        void *host = memory_map(memory_system(), addr, &size, is_write, &ram, &offset);

        if (!host) {
            return add_bounced(chain, addr, length, is_write);
        }
        if (!add_segment(chain, host, size, ram, offset, is_write)) {
            return false;
        }
        addr += size;
        length -= size;
    }
    return true;
}

/* A table elsewhere in memory: linked by `next` as in a split ring, or one after the other as in a packed one. */
bool virtq_chain_add_table(VirtqChain *chain, uint64_t addr, uint32_t length, bool linked)
{
    unsigned entries = length / DESC_SIZE, i = 0;

    if (!entries || length % DESC_SIZE || (!linked && entries > VIRTQ_MAX_SIZE)) {
        virtio_error(chain->queue->v, "an indirect table of %u bytes", length);
        return false;
    }
    for (unsigned n = 0; n < MIN(entries, VIRTQ_MAX_SIZE); n++) {
        uint8_t d[DESC_SIZE];
        uint16_t flags;

        memory_read(memory_system(), addr + (uint64_t)i * DESC_SIZE, d, DESC_SIZE);
        flags = load_le16(d + (linked ? 12 : 14));
        if (flags & DESC_INDIRECT) {
            virtio_error(chain->queue->v, "an indirect table in an indirect table");
            return false;
        }
        if (!virtq_chain_add(chain, load_le64(d), load_le32(d + 8), flags & DESC_WRITE)) {
            return false;
        }
        if (linked ? !(flags & DESC_NEXT) : n == entries - 1) {
            return true;
        }
        i = linked ? load_le16(d + 14) : n + 1;
        if (i >= entries) {
            virtio_error(chain->queue->v, "entry %u of an indirect table of %u", i, entries);
            return false;
        }
    }
    virtio_error(chain->queue->v, "an indirect table without end");
    return false;
}

void virtq_chain_written(VirtqChain *chain, size_t written)
{
    size_t left = MIN(MAX(written, chain->touched), chain->in_size);

    for (unsigned i = 0; i < chain->in_count && left; i++) {
        const VirtqSegment *segment = &chain->segments[chain->out_count + i];
        size_t n = MIN(left, chain->in[i].iov_len);

        if (segment->ram) {
            ram_mark_dirty(segment->ram, segment->offset, n);
        } else {
            memory_write(memory_system(), segment->offset, chain->in[i].iov_base, n);
        }
        left -= n;
    }
}

void virtq_discard(VirtqChain *chain)
{
    for (unsigned i = 0; i < chain->in_count; i++) {
        const VirtqSegment *segment = &chain->segments[chain->out_count + i];

        if (segment->ram) {
            ram_discard(segment->ram, segment->offset, chain->in[i].iov_len);
        }
    }
}

void virtq_chain_release(VirtqChain *chain)
{
    VirtQueue *q = chain->queue;

    for (unsigned i = 0; i < segment_count(chain); i++) {
        if (!chain->segments[i].ram) {
            q->bounced -= chain->out[i].iov_len;
            g_free(chain->out[i].iov_base);
        }
    }
    chain->next = q->pool;
    q->pool = chain;
}
