/* Queues: what split and packed rings have in common. */
#include "hw/virtio/virtqueue.h"

#include "util/log.h"

const StateField *virtq_state_fields(size_t *count)
{
    typedef VirtqState Owner;
    static const StateField rows[] = { VIRTQ_STATE(STATE_ROW, STATE_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

bool virtq_is_packed(const VirtQueue *q)
{
    return virtio_has(q->v, VIRTIO_F_RING_PACKED);
}

/* ---- the ring in host memory ---- */

static uint8_t *area_host(VirtQueue *q, VirtqArea *area, PhysAddr addr, bool is_write)
{
    uint64_t generation = memory_generation(), size = area->size;

    if (area->generation == generation && area->host) {
        return area->host;
    }
    area->generation = generation;
    area->host = memory_map(memory_system(), addr, &size, is_write, &area->ram, &area->offset);
    if (!area->host || size < area->size) {
        area->host = NULL;
        virtio_error(q->v, "queue %u: ring at 0x%" G_GINT64_MODIFIER "x is not in RAM", q->index, addr);
    }
    return area->host;
}

uint8_t *virtq_desc(VirtQueue *q)
{
    return area_host(q, &q->desc, q->s.desc, virtq_is_packed(q));
}

uint8_t *virtq_driver(VirtQueue *q)
{
    return area_host(q, &q->driver, q->s.driver, false);
}

uint8_t *virtq_device_area(VirtQueue *q)
{
    return area_host(q, &q->device, q->s.device, true);
}

void virtq_area_dirty(VirtqArea *area, uint64_t offset, uint64_t size)
{
    ram_mark_dirty(area->ram, area->offset + offset, size);
}

static void set_areas(VirtQueue *q)
{
    bool packed = virtq_is_packed(q);

    q->desc = (VirtqArea){ .size = q->s.size * (uint64_t)DESC_SIZE };
    q->driver = (VirtqArea){ .size = packed ? 4 : 6 + 2 * (uint64_t)q->s.size };
    q->device = (VirtqArea){ .size = packed ? 4 : 6 + 8 * (uint64_t)q->s.size };
}

bool virtq_enable(VirtQueue *q)
{
    unsigned size = q->s.size;

    if (!size || size > q->max || (!virtq_is_packed(q) && (size & (size - 1)))) {
        virtio_error(q->v, "queue %u: size %u", q->index, size);
        return false;
    }
    /* 2.7, 2.8.10: a driver aligns these. */
    q->s.desc &= ~UINT64_C(15);
    q->s.driver &= virtq_is_packed(q) ? ~UINT64_C(3) : ~UINT64_C(1);
    q->s.device &= ~UINT64_C(3);
    set_areas(q);
    q->s.enabled = virtq_desc(q) && virtq_driver(q) && virtq_device_area(q);
    return q->s.enabled;
}

void virtq_reset(VirtQueue *q)
{
    state_reset(virtq_state_fields, &q->s);
    q->s.size = q->max;
    q->desc = q->driver = q->device = (VirtqArea){ 0 };
}

void virtq_free(VirtQueue *q)
{
    while (q->pool) {
        VirtqChain *chain = q->pool;

        q->pool = chain->next;
        g_free(chain->out);
        g_free(chain->segments);
        g_free(chain);
    }
    g_free(q);
}

/* ---- chains ---- */

static bool usable(const VirtQueue *q)
{
    return q->s.enabled && virtio_ready(q->v);
}

void *virtq_pop(VirtQueue *q, size_t size)
{
    VirtqChain *chain;
    int found;

    g_assert(size >= sizeof(VirtqChain));
    /* All of the ring may be with us: a driver that takes more than its size does so wrongly. */
    if (!usable(q) || q->in_flight >= q->s.size || !virtq_has_buffers(q)) {
        return NULL;
    }
    chain = virtq_chain_new(q, size);
    found = virtq_is_packed(q) ? packed_pop(q, chain) : split_pop(q, chain);
    if (found <= 0) {
        virtq_chain_release(chain);
        return NULL;
    }
    chain->in = chain->out + chain->out_count;
    q->in_flight++;
    return chain;
}

void virtq_push_all(VirtqChain **chains, const size_t *written, unsigned count)
{
    VirtQueue *q = chains[0]->queue;

    virtio_count_busy(q->v, 1);
    for (unsigned i = 0; i < count; i++) {
        virtq_chain_written(chains[i], written[i]);
    }
    virtio_count_busy(q->v, -1);
    if (usable(q)) {
        if (virtq_is_packed(q)) {
            packed_push(q, chains, written, count);
        } else {
            split_push(q, chains, written, count);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        virtq_drop(chains[i]);
    }
}

void virtq_push(VirtqChain *chain, size_t written)
{
    virtq_push_all(&chain, &written, 1);
}

void virtq_drop(VirtqChain *chain)
{
    chain->queue->in_flight--;
    virtq_chain_release(chain);
}

void virtq_unpop(VirtqChain *chain)
{
    VirtQueue *q = chain->queue;

    if (usable(q)) {
        if (virtq_is_packed(q)) {
            packed_unpop(q, chain);
        } else {
            split_unpop(q, chain);
        }
    }
    virtq_drop(chain);
}

bool virtq_has_buffers(VirtQueue *q)
{
    if (!usable(q)) {
        return false;
    }
    return virtq_is_packed(q) ? packed_has_buffers(q) : split_has_buffers(q);
}

/* ---- who hears what ---- */

void virtq_notify(VirtQueue *q)
{
    if (usable(q) && (virtq_is_packed(q) ? packed_wants_interrupt(q) : split_wants_interrupt(q))) {
        trace("virtio_interrupt", "%s queue %u", q->v->pci.dev.id, q->index);
        virtio_count_busy(q->v, 1);
        virtio_pci_interrupt(q->v, q);
        virtio_count_busy(q->v, -1);
    }
}

bool virtq_want_notify(VirtQueue *q, bool on)
{
    if (q->s.quiet == on && usable(q)) {
        q->s.quiet = !on;
        if (virtq_is_packed(q)) {
            packed_tell_driver(q);
        } else {
            split_tell_driver(q);
        }
        /* The wish goes out before we look: the driver looks the other way round. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    return on && virtq_has_buffers(q);
}

unsigned virtq_index(const VirtQueue *q)
{
    return q->index;
}

unsigned virtq_size(const VirtQueue *q)
{
    return q->s.size;
}

bool virtq_enabled(const VirtQueue *q)
{
    return q->s.enabled;
}

VirtioDevice *virtq_device(const VirtQueue *q)
{
    return q->v;
}

void *virtq_opaque(const VirtQueue *q)
{
    return q->opaque;
}

void virtq_set_opaque(VirtQueue *q, void *opaque)
{
    q->opaque = opaque;
}
