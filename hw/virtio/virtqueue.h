/* What the core's files know of a queue. */
#ifndef HW_VIRTIO_VIRTQUEUE_H
#define HW_VIRTIO_VIRTQUEUE_H

#include "hw/virtio/virtio.h"

#include "core/state.h"

/* In a packed ring, last_avail and used_idx are positions, else counters; `driver` is the area that the driver
 * writes, `device` the one that we write. */
#define VIRTQ_STATE(FIELD, ARRAY)                                                \
    FIELD(uint16_t, size, 0) /* entries, as chosen; 0 until the driver's reset */ \
    FIELD(bool, enabled, false)                                                  \
    FIELD(uint16_t, vector, 0xffff)                                              \
    FIELD(uint64_t, desc, 0)                                                     \
    FIELD(uint64_t, driver, 0)                                                   \
    FIELD(uint64_t, device, 0)                                                   \
    FIELD(uint16_t, last_avail, 0)                                               \
    FIELD(bool, avail_wrap, true)                                                \
    FIELD(uint16_t, used_idx, 0)                                                 \
    FIELD(bool, used_wrap, true)                                                 \
    FIELD(uint16_t, signalled, 0) /* used_idx when the driver was last interrupted */ \
    FIELD(bool, signalled_valid, false)                                          \
    FIELD(bool, quiet, false) /* the device wants no notifications */

typedef struct VirtqState {
    VIRTQ_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} VirtqState;

const StateField *virtq_state_fields(size_t *count);

/* A part of the ring in host memory, looked up again when the memory map changes. */
typedef struct VirtqArea {
    uint8_t *host; /* NULL: not looked up, or not RAM in one piece */
    uint64_t size;
    RamBlock *ram;
    uint64_t offset;
    uint64_t generation;
} VirtqArea;

struct VirtQueue {
    VirtioDevice *v;
    unsigned index;
    unsigned max; /* entries that the device offers */
    VirtqState s;
    VirtqArea desc, driver, device;
    unsigned in_flight; /* chains popped and not pushed */
    size_t bounced;     /* bytes of buffers outside of RAM */
    VirtqChain *pool;   /* chains to use again */
    void *opaque;
    _Atomic bool kicked; /* for the I/O thread */
};

/* Descriptors are 16 bytes: address, length, and in a split ring flags and next, in a packed one id and flags. */
enum { DESC_SIZE = 16, DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };

/* Host addresses of the ring's parts; NULL after virtio_error. */
uint8_t *virtq_desc(VirtQueue *q);
uint8_t *virtq_driver(VirtQueue *q);
uint8_t *virtq_device_area(VirtQueue *q);
/* We wrote there. */
void virtq_area_dirty(VirtqArea *area, uint64_t offset, uint64_t size);
/* Sizes and state are checked when the driver enables the queue. False: virtio_error was called. */
bool virtq_enable(VirtQueue *q);
void virtq_reset(VirtQueue *q);
void virtq_free(VirtQueue *q);
bool virtq_is_packed(const VirtQueue *q);

/* chain.c: all memory of a request. */
/* Its own code is on the stack, or (-1) no more: see VirtioDevice.busy. */
void virtio_count_busy(VirtioDevice *v, int by);
VirtqChain *virtq_chain_new(VirtQueue *q, size_t size);
/* False: virtio_error was called. Descriptors to read come before those to write. */
bool virtq_chain_add(VirtqChain *chain, uint64_t addr, uint32_t length, bool is_write);
bool virtq_chain_add_table(VirtqChain *chain, uint64_t addr, uint32_t length, bool linked);
/* Puts what was written into the guest and tells who watches it. */
void virtq_chain_written(VirtqChain *chain, size_t written);
void virtq_chain_release(VirtqChain *chain);

/* The two forms of rings. pop fills the chain: 1, or 0 if there is nothing, -1 after an error. */
bool split_has_buffers(VirtQueue *q);
int split_pop(VirtQueue *q, VirtqChain *chain);
void split_unpop(VirtQueue *q, VirtqChain *chain);
void split_push(VirtQueue *q, VirtqChain **chains, const size_t *written, unsigned count);
bool split_wants_interrupt(VirtQueue *q);
void split_tell_driver(VirtQueue *q); /* whether we want notifications */

bool packed_has_buffers(VirtQueue *q);
int packed_pop(VirtQueue *q, VirtqChain *chain);
void packed_unpop(VirtQueue *q, VirtqChain *chain);
void packed_push(VirtQueue *q, VirtqChain **chains, const size_t *written, unsigned count);
bool packed_wants_interrupt(VirtQueue *q);
void packed_tell_driver(VirtQueue *q);

/* 2.7.10: whether `event` was passed between the indices old and now. */
static inline bool virtq_need_event(uint16_t event, uint16_t now, uint16_t old)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* The transport's (virtio-pci.c). */
bool virtio_pci_realize(VirtioDevice *v, GError **error);
void virtio_pci_unrealize(VirtioDevice *v);
void virtio_pci_interrupt(VirtioDevice *v, VirtQueue *q); /* NULL: the configuration's. Any thread */

/* bell.c: what an engine rings, if there is such a one. Attached to the loop that serves it. */
void virtio_bell_make(VirtioDevice *v); /* bell_fd is -1: none */
void virtio_bell_attach(VirtioDevice *v);
void virtio_bell_detach(VirtioDevice *v);
void virtio_bell_free(VirtioDevice *v); /* after its regions */

/* The core's, for the transport. */
void virtio_set_status(VirtioDevice *v, uint8_t status);
void virtio_set_driver_features(VirtioDevice *v, uint64_t features);
void virtio_queue_enable(VirtQueue *q);
void virtio_queue_reset(VirtQueue *q);
void virtio_kick(VirtioDevice *v, unsigned index); /* any thread */
void virtio_read_config(VirtioDevice *v, unsigned offset, void *buf, unsigned size);
void virtio_write_config(VirtioDevice *v, unsigned offset, const void *buf, unsigned size);

#endif
