/* Split rings: a table of descriptors, a ring of what is available, a ring of what is used. VIRTIO 1.2, 2.7. */
#include "hw/virtio/virtqueue.h"

#include "util/bits.h"

#include <stdatomic.h>

enum { RING_FLAGS = 0, RING_IDX = 2, RING_ENTRIES = 4 };
enum { NO_INTERRUPT = 1, NO_NOTIFY = 1 };

/* Behind the other's ring entries: the index at which that side wants to hear. */
static unsigned used_event_at(const VirtQueue *q)
{
    return RING_ENTRIES + 2 * q->s.size;
}

static unsigned avail_event_at(const VirtQueue *q)
{
    return RING_ENTRIES + 8 * q->s.size;
}

static uint16_t load_index(const uint8_t *p)
{
    return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
}

static void store_index(uint8_t *p, uint16_t value)
{
    __atomic_store_n((uint16_t *)(void *)p, value, __ATOMIC_RELEASE);
}

bool split_has_buffers(VirtQueue *q)
{
    const uint8_t *avail = virtq_driver(q);
    uint16_t count;

    if (!avail) {
        return false;
    }
    count = load_index(avail + RING_IDX) - q->s.last_avail;
    if (count > q->s.size) {
        virtio_error(q->v, "queue %u: %u buffers in a ring of %u", q->index, count, q->s.size);
        return false;
    }
    return count > 0;
}

static bool add_chain(VirtQueue *q, VirtqChain *chain)
{
    const uint8_t *table = virtq_desc(q);
    unsigned i = chain->id;

    for (unsigned n = 0; table && n < q->s.size; n++) {
        uint8_t d[DESC_SIZE];
        uint16_t flags;

        memcpy(d, table + i * DESC_SIZE, DESC_SIZE);
        flags = load_le16(d + 12);
        if (flags & DESC_INDIRECT) {
            if (!virtio_has(q->v, VIRTIO_F_INDIRECT_DESC) || (flags & DESC_NEXT)) {
                virtio_error(q->v, "queue %u: an indirect descriptor where none may be", q->index);
                return false;
            }
            return virtq_chain_add_table(chain, load_le64(d), load_le32(d + 8), true);
        }
        if (!virtq_chain_add(chain, load_le64(d), load_le32(d + 8), flags & DESC_WRITE)) {
            return false;
        }
        if (!(flags & DESC_NEXT)) {
            return true;
        }
        i = load_le16(d + 14);
        if (i >= q->s.size) {
            virtio_error(q->v, "queue %u: descriptor %u of %u", q->index, i, q->s.size);
            return false;
        }
    }
    virtio_error(q->v, "queue %u: a chain without end", q->index);
    return false;
}

int split_pop(VirtQueue *q, VirtqChain *chain)
{
    const uint8_t *avail;

    if (!split_has_buffers(q)) {
        return 0;
    }
    avail = virtq_driver(q);
    chain->id = load_le16(avail + RING_ENTRIES + 2 * (q->s.last_avail & (q->s.size - 1)));
    if (chain->id >= q->s.size) {
        virtio_error(q->v, "queue %u: descriptor %u of %u", q->index, chain->id, q->s.size);
        return -1;
    }
    if (!add_chain(q, chain)) {
        return -1;
    }
    q->s.last_avail++;
    if (virtio_has(q->v, VIRTIO_F_EVENT_IDX) && !q->s.quiet) {
        split_tell_driver(q);
    }
    return 1;
}

void split_unpop(VirtQueue *q, VirtqChain *chain)
{
    q->s.last_avail--;
}

void split_push(VirtQueue *q, VirtqChain **chains, const size_t *written, unsigned count)
{
    uint8_t *used = virtq_device_area(q);

    if (!used) {
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned at = RING_ENTRIES + 8 * ((q->s.used_idx + i) & (q->s.size - 1));

        store_le32(used + at, chains[i]->id);
        store_le32(used + at + 4, written[i]);
        virtq_area_dirty(&q->device, at, 8);
    }
    q->s.used_idx += count;
    store_index(used + RING_IDX, q->s.used_idx);
    virtq_area_dirty(&q->device, RING_IDX, 2);
}

bool split_wants_interrupt(VirtQueue *q)
{
    const uint8_t *avail = virtq_driver(q);
    uint16_t old = q->s.signalled;
    bool valid = q->s.signalled_valid;

    if (!avail) {
        return false;
    }
    atomic_thread_fence(memory_order_seq_cst); /* used index out, then the driver's wish in */
    if (virtio_has(q->v, VIRTIO_F_NOTIFY_ON_EMPTY) && !q->in_flight && !split_has_buffers(q)) {
        return true;
    }
    if (!virtio_has(q->v, VIRTIO_F_EVENT_IDX)) {
        return !(load_le16(avail + RING_FLAGS) & NO_INTERRUPT);
    }
    q->s.signalled = q->s.used_idx;
    q->s.signalled_valid = true;
    return !valid || virtq_need_event(load_index(avail + used_event_at(q)), q->s.used_idx, old);
}

void split_tell_driver(VirtQueue *q)
{
    uint8_t *used = virtq_device_area(q);

    if (!used) {
        return;
    }
    if (!virtio_has(q->v, VIRTIO_F_EVENT_IDX)) {
        store_index(used + RING_FLAGS, q->s.quiet ? NO_NOTIFY : 0);
        virtq_area_dirty(&q->device, RING_FLAGS, 2);
    } else if (!q->s.quiet) {
        store_index(used + avail_event_at(q), q->s.last_avail);
        virtq_area_dirty(&q->device, avail_event_at(q), 2);
    }
}
