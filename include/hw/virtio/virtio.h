/*
 * Virtio devices: what a device type (disk, network, ...) needs of the core and of the PCI transport.
 *
 * A device's struct begins with a VirtioDevice, which is a PCI function. Its VirtioClass adds queues in realize and
 * serves them in notify:
 *
 *     while ((req = virtq_pop(q, sizeof(*req)))) {       // req begins with a VirtqChain
 *         ...read req->chain.out[], fill req->chain.in[]...
 *         virtq_push(&req->chain, written);
 *     }
 *     virtq_notify(q);
 *
 * Memory of a chain is guest RAM mapped in place; what a guest put wrong ends in DEVICE_NEEDS_RESET before the device
 * sees it. All of this runs under the machine lock, or, with virtio_set_iothread, notify runs in that thread under
 * virtio_lock alone.
 *
 * Virtual I/O Device (VIRTIO) Version 1.2.
 */
#ifndef HW_VIRTIO_VIRTIO_H
#define HW_VIRTIO_VIRTIO_H

#include "core/iothread.h"
#include "hw/pci/pci.h"
#include "util/iov.h"

typedef struct VirtioDevice VirtioDevice;
typedef struct VirtQueue VirtQueue;

#define VIRTQ_MAX_SIZE 1024 /* entries of a queue, and descriptors of a chain */
#define VIRTIO_MAX_QUEUES 1024

enum { /* device ids, 5 */
    VIRTIO_ID_NET = 1, VIRTIO_ID_BLOCK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_RNG = 4, VIRTIO_ID_BALLOON = 5,
    VIRTIO_ID_SCSI = 8, VIRTIO_ID_9P = 9, VIRTIO_ID_INPUT = 18,
};
enum { /* bits of the status register, 2.1 */
    VIRTIO_ACKNOWLEDGE = 1, VIRTIO_DRIVER = 2, VIRTIO_DRIVER_OK = 4, VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 0x40, VIRTIO_FAILED = 0x80,
};
enum { /* numbers of feature bits that are not one device's own, 6 */
    VIRTIO_F_NOTIFY_ON_EMPTY = 24, VIRTIO_F_ANY_LAYOUT = 27, VIRTIO_F_INDIRECT_DESC = 28, VIRTIO_F_EVENT_IDX = 29,
    VIRTIO_F_VERSION_1 = 32, VIRTIO_F_ACCESS_PLATFORM = 33, VIRTIO_F_RING_PACKED = 34, VIRTIO_F_RING_RESET = 40,
};
#define VIRTIO_BIT(n) (UINT64_C(1) << (n))

/* What a device type is. Constant data. Callbacks that may be NULL say so. */
typedef struct VirtioClass {
    const char *name;         /* "virtio-blk" */
    uint16_t id;              /* VIRTIO_ID_* */
    uint16_t legacy_id;       /* PCI device id of the transitional device; 0: there is none */
    uint32_t pci_class;       /* class code: 0x010000 */
    size_t config_size;       /* of the device-specific configuration, at most 4096 */
    const char *rom;          /* option ROM file, or NULL */
    /* Checks properties, calls virtio_add_queue, may set v->vectors. */
    bool (*realize)(VirtioDevice *v, GError **error);
    void (*unrealize)(VirtioDevice *v); /* queues are stopped and chains returned already */
    uint64_t (*features)(VirtioDevice *v); /* the device's own bits, by its properties */
    /* The driver agreed on v->features; before this no queue is used. May be NULL. */
    void (*features_set)(VirtioDevice *v);
    /* Fills all config_size bytes, little-endian, which are zero at the call. */
    void (*get_config)(VirtioDevice *v, uint8_t *config);
    /* The driver wrote these bytes of it; may be NULL: it is read-only. */
    void (*set_config)(VirtioDevice *v, unsigned offset, const uint8_t *bytes, unsigned size);
    /* Buffers may have come. Also called for each queue when the driver says DRIVER_OK. */
    void (*notify)(VirtioDevice *v, VirtQueue *q);
    /* The driver is ready (true), or was reset (false). May be NULL. */
    void (*ready)(VirtioDevice *v, bool on);
    /* All requests are to be finished or cancelled before it returns, and chains that it holds be dropped
     * (virtq_drop). q NULL: the whole device; else that queue alone. */
    void (*reset)(VirtioDevice *v, VirtQueue *q);
    /* Own state with a shape of its own; keys have a dot. May be NULL. A device that holds chains while nothing
     * happens (buffers to fill later) returns them first with virtq_unpop. */
    void (*save)(VirtioDevice *v, GKeyFile *out);
    bool (*load)(VirtioDevice *v, GKeyFile *in, GError **error);
} VirtioClass;

#define VIRTIO_CORE_STATE(FIELD, ARRAY)                                                   \
    FIELD(uint8_t, status, 0)                                                             \
    FIELD(uint8_t, isr, 0)                                                                \
    FIELD(uint8_t, generation, 0)                                                         \
    FIELD(uint16_t, config_vector, 0xffff)                                                \
    FIELD(uint64_t, driver_features, 0) /* as written, before FEATURES_OK checks them */  \
    FIELD(uint32_t, device_feature_select, 0)                                             \
    FIELD(uint32_t, driver_feature_select, 0)                                             \
    FIELD(uint16_t, queue_select, 0)

typedef struct VirtioCoreState {
    VIRTIO_CORE_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} VirtioCoreState;

struct VirtioDevice {
    PciDevice pci;
    const VirtioClass *class;
    VirtioCoreState core;
    uint64_t offered;  /* features */
    uint64_t features; /* what both sides have; 0 until the driver agreed */
    VirtQueue **queues;
    unsigned queue_count;
    /* Properties. */
    char *disable_legacy;
    bool disable_modern, packed, event_idx, indirect, any_layout, notify_on_empty, queue_reset, iommu_platform,
        ioeventfd;
    uint32_t vectors; /* of MSI-X; UINT32_MAX: one for each queue and one for the configuration */
    /* The transport's. */
    bool legacy, modern, broken;
    unsigned busy; /* so often it is on the stack, without an I/O thread: what it writes may reach its own registers */
    GSource *late_reset; /* NULL: none is due */
    uint8_t pci_access_cap;
    Region *legacy_bar, *legacy_notify, *modern_bar, *common, *isr, *config, *notify;
    PciInfo info;
    IoThread *iothread;
    GMutex mutex;
    struct VirtioDoorbell *doorbell;
    int bell_fd;   /* rung by an engine; -1: none */
    GSource *bell; /* of it */
    _Atomic uint64_t *late_interrupts; /* bit per queue: for the main loop to raise; the last is the configuration's */
};

/* Rows for the property list of every virtio device type, at its head. */
#define VIRTIO_PROPS(Type)                                                                                          \
    PCI_PROPS_IN(Type, v.pci),                                                                                          \
        PROP(Type, v.disable_legacy, "disable-legacy", PROP_STRING, "auto", "on: virtio 1 only"),                   \
        PROP(Type, v.disable_modern, "disable-modern", PROP_BOOL, "off", "the interface before virtio 1 only"),     \
        PROP(Type, v.packed, "packed", PROP_BOOL, "off", "offer packed rings"),                                     \
        PROP(Type, v.event_idx, "event_idx", PROP_BOOL, "on", "offer event indices"),                               \
        PROP(Type, v.indirect, "indirect_desc", PROP_BOOL, "on", "offer indirect descriptors"),                     \
        PROP(Type, v.any_layout, "any_layout", PROP_BOOL, "on", "requests may be cut anywhere"),                    \
        PROP(Type, v.notify_on_empty, "notify_on_empty", PROP_BOOL, "on", "interrupt when all is used up"),         \
        PROP(Type, v.queue_reset, "queue_reset", PROP_BOOL, "on", "offer the reset of single queues"),              \
        PROP(Type, v.iommu_platform, "iommu_platform", PROP_BOOL, "off", "offer ACCESS_PLATFORM"),                  \
        PROP(Type, v.ioeventfd, "ioeventfd", PROP_BOOL, "on", "notifications by eventfd, where the engine can (KVM)"),          \
        PROP(Type, v.vectors, "vectors", PROP_U32, "4294967295", "MSI-X vectors, 0 for none")

/*
 * Defines symbol_type ("virtio-foo-pci"), symbol_transitional_type and symbol_modern_type from a struct that begins
 * with `VirtioDevice v`. State: a StateFields and the offset of its struct, or NULL, 0.
 */
#define VIRTIO_TYPES(symbol, spelling, short_name, text, Type, virtio_class, props_, state_, state_offset, plug)         \
    static bool symbol##_realize(Device *dev, GError **error)                                                      \
    {                                                                                                              \
        return virtio_realize(dev, virtio_class, error);                                                           \
    }                                                                                                              \
    VIRTIO_TYPE(symbol##_type, symbol, spelling "-pci", short_name, text, Type, props_, state_, state_offset, plug);       \
    VIRTIO_TYPE(symbol##_transitional_type, symbol, spelling "-pci-transitional", NULL,                            \
                text ", both interfaces", Type, props_, state_, state_offset, plug);                                     \
    VIRTIO_TYPE(symbol##_modern_type, symbol, spelling "-pci-non-transitional", NULL, text ", virtio 1 only",      \
                Type, props_, state_, state_offset, plug)

#define VIRTIO_TYPE(variable, symbol, spelling, short_name, text, Type, props_, state_, state_offset, plug)        \
    const DeviceType variable = {                                                                                  \
        .name = spelling, .alias = short_name, .about = text, .bus = "pci", .user = true, .hotplug = plug,         \
        .size = sizeof(Type), .state_at = state_offset, .state = state_, .props = props_,                          \
        .realize = symbol##_realize, .unrealize = virtio_unrealize, .reset = virtio_device_reset,                  \
        .update = virtio_update, .fetch = virtio_fetch, .save_extra = virtio_save, .load_extra = virtio_load,                             \
        .describe = virtio_describe,                                                                               \
    }

/* ---- the device ---- */

/* In class->realize. size: a power of two, at most VIRTQ_MAX_SIZE; what the driver is told. */
VirtQueue *virtio_add_queue(VirtioDevice *v, unsigned size);
VirtQueue *virtio_queue(VirtioDevice *v, unsigned index); /* NULL: there is none */
bool virtio_has(const VirtioDevice *v, unsigned feature); /* was agreed on */
bool virtio_ready(const VirtioDevice *v); /* DRIVER_OK, and nothing is broken */
/* The guest did what cannot be gone on from: DEVICE_NEEDS_RESET, queues stand still. */
void virtio_error(VirtioDevice *v, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The configuration has changed: tells the driver. Any thread. */
void virtio_config_changed(VirtioDevice *v);
/* In class->realize, or at any time before the driver is ready; NULL is the vCPU under the machine lock. */
void virtio_set_iothread(VirtioDevice *v, IoThread *thread);
/* What notify holds already. Completions that run in the I/O thread take it; nobody waits for the machine lock
 * while holding it. Without an I/O thread these do nothing. */
void virtio_lock(VirtioDevice *v);
void virtio_unlock(VirtioDevice *v);

/* ---- queues ---- */

/* A request: buffers that the driver made available together. */
typedef struct VirtqChain {
    VirtQueue *queue;
    struct iovec *out; /* written by the driver, for the device to read */
    struct iovec *in;  /* for the device to fill */
    unsigned out_count, in_count;
    size_t out_size, in_size; /* bytes */
    size_t touched; /* bytes of `in` that may have changed though push will say less; at first 0 */
    /* The queue's own. */
    struct VirtqSegment *segments; /* where each iovec is in the guest, out first */
    uint16_t id, slots;
    unsigned room;
    size_t size;
    struct VirtqChain *next;
} VirtqChain;

/*
 * The next request or NULL. size: of a struct that begins with a VirtqChain and is zero behind it; the same for all
 * calls of one queue.
 */
void *virtq_pop(VirtQueue *q, size_t size);
/* written: bytes put into `in`, from its beginning on. Ends the chain. */
void virtq_push(VirtqChain *chain, size_t written);
/* Several at once: the driver sees all or none (a frame over several receive buffers). */
void virtq_push_all(VirtqChain **chains, const size_t *written, unsigned count);
void virtq_discard(VirtqChain *chain); /* gives whole pages of `in` back to the host, which then read as zeros */
void virtq_drop(VirtqChain *chain);  /* forgotten: the queue was reset */
/* The last one popped: the next pop returns it again. A receiver pops until it has room for a frame, and gives all
 * back in reverse order if there is not enough. */
void virtq_unpop(VirtqChain *chain);
/* Interrupts the driver if it wants that for what was pushed since the last call. Any thread. */
void virtq_notify(VirtQueue *q);
/* Whether pop would return something. */
bool virtq_has_buffers(VirtQueue *q);
/*
 * Off: the driver need not notify, the device looks again by itself. On returns whether there is something
 * already (then no notification will come for it). On at reset.
 */
bool virtq_want_notify(VirtQueue *q, bool on);
unsigned virtq_index(const VirtQueue *q);
unsigned virtq_size(const VirtQueue *q); /* entries, as the driver chose */
bool virtq_enabled(const VirtQueue *q);
VirtioDevice *virtq_device(const VirtQueue *q);
void *virtq_opaque(const VirtQueue *q);
void virtq_set_opaque(VirtQueue *q, void *opaque); /* the device's, for each queue */

/* For VIRTIO_TYPES. */
bool virtio_realize(Device *dev, const VirtioClass *class, GError **error);
void virtio_unrealize(Device *dev);
void virtio_device_reset(Device *dev);
void virtio_update(Device *dev);
void virtio_fetch(Device *dev); /* a reset that waits comes at once, if it can */
void virtio_save(Device *dev, GKeyFile *out);
bool virtio_load(Device *dev, GKeyFile *in, GError **error);
void virtio_describe(Device *dev, GString *text);

#endif
