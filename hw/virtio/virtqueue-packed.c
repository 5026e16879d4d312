/*
 * Packed rings: one ring of descriptors that driver and device both write. VIRTIO 1.2, 2.8.
 *
 * Each goes round with a wrap counter, and a descriptor's two flags say whose it is.
 */
#include "hw/virtio/virtqueue.h"

#include "util/bits.h"

#include <stdatomic.h>

enum { DESC_AVAIL = 1 << 7, DESC_USED = 1 << 15 };
enum { DESC_ID = 12, DESC_FLAGS = 14 };
enum { EVENT_OFF_WRAP = 0, EVENT_FLAGS = 2 };
enum { EVENTS_ON, EVENTS_OFF, EVENTS_AT };
enum { WRAP = 0x8000 };

static uint16_t load_flags(const uint8_t *p)
{
    return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
}

static void store_flags(uint8_t *p, uint16_t value)
{
    __atomic_store_n((uint16_t *)(void *)p, value, __ATOMIC_RELEASE);
}

static bool is_available(const VirtQueue *q, uint16_t flags)
{
    bool avail = flags & DESC_AVAIL, used = flags & DESC_USED;

    return avail == q->s.avail_wrap && used != q->s.avail_wrap;
}

static void forward(const VirtQueue *q, uint16_t *at, bool *wrap, unsigned slots)
{
    *at += slots;
    if (*at >= q->s.size) {
        *at -= q->s.size;
        *wrap = !*wrap;
    }
}

bool packed_has_buffers(VirtQueue *q)
{
    const uint8_t *ring = virtq_desc(q);

    return ring && is_available(q, load_flags(ring + q->s.last_avail * DESC_SIZE + DESC_FLAGS));
}

/* The driver makes the first descriptor of a chain available last, so the rest are there too. */
static bool add_chain(VirtQueue *q, VirtqChain *chain)
{
    const uint8_t *ring = virtq_desc(q);
    unsigned at = q->s.last_avail;

    for (unsigned n = 0; n < q->s.size; n++) {
        uint8_t d[DESC_SIZE];
        uint16_t flags;

        memcpy(d, ring + at * DESC_SIZE, DESC_SIZE);
        flags = load_le16(d + DESC_FLAGS);
        chain->id = load_le16(d + DESC_ID);
        chain->slots = n + 1;
        if (flags & DESC_INDIRECT) {
            if (n || (flags & DESC_NEXT) || !virtio_has(q->v, VIRTIO_F_INDIRECT_DESC)) {
                virtio_error(q->v, "queue %u: an indirect descriptor where none may be", q->index);
                return false;
            }
            return virtq_chain_add_table(chain, load_le64(d), load_le32(d + 8), false);
        }
        if (!virtq_chain_add(chain, load_le64(d), load_le32(d + 8), flags & DESC_WRITE)) {
            return false;
        }
        if (!(flags & DESC_NEXT)) {
            return true;
        }
        at = at + 1 < q->s.size ? at + 1 : 0;
    }
    virtio_error(q->v, "queue %u: a chain without end", q->index);
    return false;
}

int packed_pop(VirtQueue *q, VirtqChain *chain)
{
    if (!packed_has_buffers(q)) {
        return 0;
    }
    if (!add_chain(q, chain)) {
        return -1;
    }
    forward(q, &q->s.last_avail, &q->s.avail_wrap, chain->slots);
    if (virtio_has(q->v, VIRTIO_F_EVENT_IDX) && !q->s.quiet) {
        packed_tell_driver(q);
    }
    return 1;
}

void packed_unpop(VirtQueue *q, VirtqChain *chain)
{
    if (q->s.last_avail < chain->slots) {
        q->s.last_avail += q->s.size;
        q->s.avail_wrap = !q->s.avail_wrap;
    }
    q->s.last_avail -= chain->slots;
}

/* The first one's flags go out last: the driver looks at them first. */
void packed_push(VirtQueue *q, VirtqChain **chains, const size_t *written, unsigned count)
{
    uint8_t *ring = virtq_desc(q);
    uint16_t first_at = q->s.used_idx, first_flags = 0;

    if (!ring) {
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        uint8_t *d = ring + q->s.used_idx * DESC_SIZE;
        uint16_t flags = q->s.used_wrap ? DESC_AVAIL | DESC_USED : 0;

        flags |= written[i] ? DESC_WRITE : 0;
        store_le32(d + 8, written[i]);
        store_le16(d + DESC_ID, chains[i]->id);
        if (i == 0) {
            first_flags = flags;
        } else {
            store_flags(d + DESC_FLAGS, flags);
        }
        virtq_area_dirty(&q->desc, q->s.used_idx * DESC_SIZE, DESC_SIZE);
        forward(q, &q->s.used_idx, &q->s.used_wrap, chains[i]->slots);
        if (q->s.used_idx < chains[i]->slots) {
            q->s.signalled -= q->s.size; /* keeps its distance across the end */
        }
    }
    store_flags(ring + first_at * DESC_SIZE + DESC_FLAGS, first_flags);
}

bool packed_wants_interrupt(VirtQueue *q)
{
    const uint8_t *events = virtq_driver(q);
    uint16_t old = q->s.signalled, flags, event;
    bool valid = q->s.signalled_valid;

    if (!events) {
        return false;
    }
    atomic_thread_fence(memory_order_seq_cst);
    q->s.signalled = q->s.used_idx;
    q->s.signalled_valid = true;
    flags = load_flags(events + EVENT_FLAGS);
    if (flags != EVENTS_AT) {
        return flags != EVENTS_OFF;
    }
    event = load_le16(events + EVENT_OFF_WRAP);
    if (!(event & WRAP) == q->s.used_wrap) {
        event = (event & ~WRAP) - q->s.size; /* of the round before */
    } else {
        event &= ~WRAP;
    }
    return !valid || virtq_need_event(event, q->s.used_idx, old);
}

void packed_tell_driver(VirtQueue *q)
{
    uint8_t *events = virtq_device_area(q);

    if (!events) {
        return;
    }
    if (q->s.quiet) {
        store_flags(events + EVENT_FLAGS, EVENTS_OFF);
    } else if (virtio_has(q->v, VIRTIO_F_EVENT_IDX)) {
        store_le16(events + EVENT_OFF_WRAP, q->s.last_avail | (q->s.avail_wrap ? WRAP : 0));
        store_flags(events + EVENT_FLAGS, EVENTS_AT);
    } else {
        store_flags(events + EVENT_FLAGS, EVENTS_ON);
    }
    virtq_area_dirty(&q->device, 0, 4);
}
