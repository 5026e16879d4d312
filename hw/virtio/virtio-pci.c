/*
 * Virtio over PCI: the registers of virtio 1 in a memory BAR, those of before in an I/O BAR. VIRTIO 1.2, 4.1.
 */
#include "hw/virtio/virtqueue.h"

#include "core/lock.h"
#include "core/mainloop.h"
#include "hw/pci/msi.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"
#include "util/options.h"

#include <stdatomic.h>

enum { BAR_LEGACY = 0, BAR_MSIX = 1, BAR_MODERN = 4 };
enum { /* within the modern BAR */
    COMMON = 0x0000, ISR = 0x1000, CONFIG = 0x2000, NOTIFY = 0x3000, PART_SIZE = 0x1000, MODERN_SIZE = 0x4000,
    NOTIFY_MULTIPLIER = 4,
};
enum { CAP_VENDOR = 9, CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI_ACCESS = 5 };
enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };
#define NO_VECTOR 0xffff

/* ---- interrupts ---- */

void virtio_update(Device *dev)
{
    VirtioDevice *v = (VirtioDevice *)dev;

    pci_set_intx(&v->pci, v->core.isr != 0);
}

static uint16_t vector_of(const VirtioDevice *v, const VirtQueue *q)
{
    return q ? q->s.vector : v->core.config_vector;
}

static void raise_locked(VirtioDevice *v, VirtQueue *q)
{
    if (pci_msix_enabled(&v->pci)) {
        uint16_t vector = vector_of(v, q);

        if (vector != NO_VECTOR) {
            pci_msix_notify(&v->pci, vector);
        }
        return;
    }
    v->core.isr |= q ? ISR_QUEUE : ISR_CONFIG;
    virtio_update(&v->pci.dev);
}

static unsigned late_words(const VirtioDevice *v)
{
    return v->queue_count / 64 + 1;
}

static void raise_late(void *opaque)
{
    VirtioDevice *v = opaque;

    for (unsigned word = 0; word < late_words(v); word++) {
        uint64_t bits = atomic_exchange(&v->late_interrupts[word], 0);

        while (bits) {
            unsigned n = word * 64 + __builtin_ctzll(bits);

            bits &= bits - 1;
            raise_locked(v, virtio_queue(v, n));
        }
    }
}

/*
 * An I/O thread does not wait for the machine lock, whose owner may wait for it: if no wire leads past that and it is taken, the
 * main loop does it.
 */
void virtio_pci_interrupt(VirtioDevice *v, VirtQueue *q)
{
    unsigned n = q ? q->index : v->queue_count;

    if (machine_locked()) {
        raise_locked(v, q);
    } else if (pci_msix_send(&v->pci, vector_of(v, q))) {
        return;
    } else if (machine_trylock()) {
        raise_locked(v, q);
        machine_unlock();
    } else if (!(atomic_fetch_or(&v->late_interrupts[n / 64], VIRTIO_BIT(n % 64)) & VIRTIO_BIT(n % 64))) {
        main_loop_call(raise_late, v);
    }
}

static uint8_t take_isr(VirtioDevice *v)
{
    uint8_t isr = v->core.isr;

    v->core.isr = 0;
    virtio_update(&v->pci.dev);
    return isr;
}

/* 4.1.5.1.2: what the device cannot use reads back as none. */
static uint16_t checked_vector(const VirtioDevice *v, uint16_t vector)
{
    return vector < v->vectors ? vector : NO_VECTOR;
}

static uint32_t half(uint64_t value, uint32_t select)
{
    return select == 0 ? value : select == 1 ? value >> 32 : 0;
}

/* ---- virtio 1: common configuration ---- */

enum {
    DEVICE_FEATURE_SELECT = 0x00, DEVICE_FEATURE = 0x04, DRIVER_FEATURE_SELECT = 0x08, DRIVER_FEATURE = 0x0c,
    CONFIG_VECTOR = 0x10, NUM_QUEUES = 0x12, STATUS = 0x14, GENERATION = 0x15, QUEUE_SELECT = 0x16, QUEUE_SIZE = 0x18,
    QUEUE_VECTOR = 0x1a, QUEUE_ENABLE = 0x1c, QUEUE_NOTIFY_OFF = 0x1e, QUEUE_DESC = 0x20, QUEUE_DRIVER = 0x28,
    QUEUE_DEVICE = 0x30, QUEUE_RESET = 0x3a, COMMON_SIZE = 0x3c,
};

static VirtQueue *selected(VirtioDevice *v)
{
    return virtio_queue(v, v->core.queue_select);
}

static uint64_t read_queue(VirtQueue *q, unsigned field)
{
    if (!q) {
        return 0;
    }
    switch (field) {
    case QUEUE_SIZE:
        return q->s.size;
    case QUEUE_VECTOR:
        return q->s.vector;
    case QUEUE_ENABLE:
        return q->s.enabled;
    case QUEUE_NOTIFY_OFF:
        return q->index;
    case QUEUE_DESC:
        return (uint32_t)q->s.desc;
    case QUEUE_DESC + 4:
        return q->s.desc >> 32;
    case QUEUE_DRIVER:
        return (uint32_t)q->s.driver;
    case QUEUE_DRIVER + 4:
        return q->s.driver >> 32;
    case QUEUE_DEVICE:
        return (uint32_t)q->s.device;
    case QUEUE_DEVICE + 4:
        return q->s.device >> 32;
    default: /* QUEUE_RESET: done at once */
        return 0;
    }
}

/* What features a driver of virtio 1 is offered: without what only the old interface has. */
static uint64_t modern_features(const VirtioDevice *v)
{
    return v->offered & ~(VIRTIO_BIT(VIRTIO_F_NOTIFY_ON_EMPTY) | VIRTIO_BIT(VIRTIO_F_ANY_LAYOUT));
}

static uint64_t common_read(void *opaque, PhysAddr offset, unsigned size)
{
    VirtioDevice *v = opaque;

    switch (offset) {
    case DEVICE_FEATURE_SELECT:
        return v->core.device_feature_select;
    case DEVICE_FEATURE:
        return half(modern_features(v), v->core.device_feature_select);
    case DRIVER_FEATURE_SELECT:
        return v->core.driver_feature_select;
    case DRIVER_FEATURE:
        return half(v->core.driver_features, v->core.driver_feature_select);
    case CONFIG_VECTOR:
        return v->core.config_vector;
    case NUM_QUEUES:
        return v->queue_count;
    case STATUS:
        return v->core.status;
    case GENERATION:
        return v->core.generation;
    case QUEUE_SELECT:
        return v->core.queue_select;
    default:
        return offset < COMMON_SIZE ? read_queue(selected(v), offset) : 0;
    }
}

static void write_queue(VirtQueue *q, unsigned field, uint32_t value)
{
    VirtqState *s = &q->s;

    if (field == QUEUE_VECTOR) {
        s->vector = checked_vector(q->v, value);
        return;
    }
    if (field == QUEUE_RESET) {
        if (value == 1 && virtio_has(q->v, VIRTIO_F_RING_RESET) && s->enabled) {
            virtio_queue_reset(q);
        }
        return;
    }
    if (s->enabled) {
        guest_error(q->v->pci.dev.id, "queue %u changed while it is enabled", q->index);
        return;
    }
    switch (field) {
    case QUEUE_SIZE:
        s->size = MIN(value & 0xffff, q->max);
        break;
    case QUEUE_ENABLE:
        if (value == 1) {
            virtio_queue_enable(q);
        }
        break;
    case QUEUE_DESC:
        s->desc = bits_set(s->desc, 0, 32, value);
        break;
    case QUEUE_DESC + 4:
        s->desc = bits_set(s->desc, 32, 32, value);
        break;
    case QUEUE_DRIVER:
        s->driver = bits_set(s->driver, 0, 32, value);
        break;
    case QUEUE_DRIVER + 4:
        s->driver = bits_set(s->driver, 32, 32, value);
        break;
    case QUEUE_DEVICE:
        s->device = bits_set(s->device, 0, 32, value);
        break;
    case QUEUE_DEVICE + 4:
        s->device = bits_set(s->device, 32, 32, value);
        break;
    }
}

static void common_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    VirtioDevice *v = opaque;

    switch (offset) {
    case DEVICE_FEATURE_SELECT:
        v->core.device_feature_select = value;
        break;
    case DRIVER_FEATURE_SELECT:
        v->core.driver_feature_select = value;
        break;
    case DRIVER_FEATURE:
        if (v->core.driver_feature_select <= 1) {
            virtio_set_driver_features(
                v, bits_set(v->core.driver_features, v->core.driver_feature_select * 32, 32, value));
        }
        break;
    case CONFIG_VECTOR:
        v->core.config_vector = checked_vector(v, value);
        break;
    case STATUS:
        virtio_set_status(v, value);
        break;
    case QUEUE_SELECT:
        v->core.queue_select = value;
        break;
    default:
        if (offset < COMMON_SIZE && selected(v)) {
            write_queue(selected(v), offset, value);
        }
    }
}

static uint64_t isr_read(void *opaque, PhysAddr offset, unsigned size)
{
    return offset == 0 ? take_isr(opaque) : 0;
}

static uint64_t config_read(void *opaque, PhysAddr offset, unsigned size)
{
    uint8_t bytes[4];

    virtio_read_config(opaque, offset, bytes, sizeof(bytes));
    return load_le32(bytes);
}

static void config_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    virtio_write_config(opaque, offset, bytes, size);
}

/* Without the machine lock: virtio_kick takes it if it needs to. */
static void notify_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    virtio_kick(opaque, offset / NOTIFY_MULTIPLIER);
}

static const RegionOps common_ops = { common_read, common_write, 1, 4, ENDIAN_LITTLE, false };
static const RegionOps isr_ops = { isr_read, NULL, 1, 4, ENDIAN_LITTLE, false };
static const RegionOps config_ops = { config_read, config_write, 1, 4, ENDIAN_LITTLE, false };
static const RegionOps notify_ops = { NULL, notify_write, 1, 4, ENDIAN_LITTLE, true };

/* ---- before virtio 1 ---- */

enum {
    OLD_DEVICE_FEATURES = 0x00, OLD_DRIVER_FEATURES = 0x04, OLD_QUEUE_PFN = 0x08, OLD_QUEUE_SIZE = 0x0c,
    OLD_QUEUE_SELECT = 0x0e, OLD_NOTIFY = 0x10, OLD_STATUS = 0x12, OLD_ISR = 0x13, OLD_CONFIG_VECTOR = 0x14,
    OLD_QUEUE_VECTOR = 0x16,
};
#define OLD_PAGE 4096

/* The device's own configuration moves when MSI-X is enabled (4.1.4.8). */
static unsigned old_config_offset(const VirtioDevice *v)
{
    return pci_msix_enabled(&v->pci) ? 0x18 : 0x14;
}

/* 2.7.2: descriptors and the available ring lie together, the used ring on the next page. */
static void set_old_queue(VirtQueue *q, uint32_t page)
{
    if (!page) {
        if (q->s.enabled) {
            virtio_queue_reset(q);
        }
        return;
    }
    if (q->s.enabled) {
        guest_error(q->v->pci.dev.id, "queue %u moved while it is enabled", q->index);
        return;
    }
    q->s.size = q->max;
    q->s.desc = (uint64_t)page * OLD_PAGE;
    q->s.driver = q->s.desc + q->max * DESC_SIZE;
    q->s.device = round_up(q->s.driver + 6 + 2 * q->max, OLD_PAGE);
    virtio_queue_enable(q);
}

static uint64_t old_read(void *opaque, PhysAddr offset, unsigned size)
{
    VirtioDevice *v = opaque;
    VirtQueue *q = selected(v);

    if (offset >= old_config_offset(v)) {
        return config_read(v, offset - old_config_offset(v), size);
    }
    switch (offset) {
    case OLD_DEVICE_FEATURES:
        return (uint32_t)v->offered;
    case OLD_DRIVER_FEATURES:
        return (uint32_t)v->core.driver_features;
    case OLD_QUEUE_PFN:
        return q && q->s.enabled ? q->s.desc / OLD_PAGE : 0;
    case OLD_QUEUE_SIZE:
        return q ? q->max : 0;
    case OLD_QUEUE_SELECT:
        return v->core.queue_select;
    case OLD_STATUS:
        return v->core.status;
    case OLD_ISR:
        return take_isr(v);
    case OLD_CONFIG_VECTOR:
        return v->core.config_vector;
    case OLD_QUEUE_VECTOR:
        return q ? q->s.vector : NO_VECTOR;
    default:
        return 0;
    }
}

static void old_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    VirtioDevice *v = opaque;
    VirtQueue *q = selected(v);

    if (offset >= old_config_offset(v)) {
        config_write(v, offset - old_config_offset(v), value, size);
        return;
    }
    switch (offset) {
    case OLD_DRIVER_FEATURES:
        virtio_set_driver_features(v, (uint32_t)value & v->offered);
        break;
    case OLD_QUEUE_PFN:
        if (q) {
            set_old_queue(q, value);
        }
        break;
    case OLD_QUEUE_SELECT:
        v->core.queue_select = value;
        break;
    case OLD_STATUS:
        virtio_set_status(v, value);
        break;
    case OLD_CONFIG_VECTOR:
        v->core.config_vector = checked_vector(v, value);
        break;
    case OLD_QUEUE_VECTOR:
        if (q) {
            q->s.vector = checked_vector(v, value);
        }
        break;
    }
}

static void old_notify_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    if (offset == 0) {
        virtio_kick(opaque, value & 0xffff);
    }
}

static const RegionOps old_ops = { old_read, old_write, 1, 4, ENDIAN_LITTLE, false };
static const RegionOps old_notify_ops = { NULL, old_notify_write, 1, 2, ENDIAN_LITTLE, true };

/* ---- capabilities ---- */

static uint8_t add_capability(VirtioDevice *v, uint8_t type, uint32_t offset, uint32_t length, uint8_t size)
{
    uint8_t at = pci_add_capability(&v->pci, CAP_VENDOR, size);
    uint8_t *cap = v->pci.config + at;

    cap[2] = size;
    cap[3] = type;
    cap[4] = BAR_MODERN;
    store_le32(cap + 8, offset);
    store_le32(cap + 12, length);
    return at;
}

/*
 * A window for firmware that cannot reach the BAR: bar, offset and length are written, then the data bytes read or
 * written (4.1.4.9). Returns NULL if these name nothing.
 */
static const RegionOps *window(VirtioDevice *v, uint32_t *offset, uint32_t *length)
{
    static const RegionOps *const parts[] = { &common_ops, &isr_ops, &config_ops, &notify_ops };
    const uint8_t *cap = v->pci.config + v->pci_access_cap;
    uint32_t at = load_le32(cap + 8);

    *length = load_le32(cap + 12);
    *offset = at % PART_SIZE;
    if (cap[4] != BAR_MODERN || at >= MODERN_SIZE || (*length != 1 && *length != 2 && *length != 4) ||
        at % *length) {
        return NULL;
    }
    return parts[at / PART_SIZE];
}

static bool touches_window(const VirtioDevice *v, unsigned offset, unsigned size)
{
    unsigned data = v->pci_access_cap + 16;

    return v->pci_access_cap && offset < data + 4 && offset + size > data;
}

static uint32_t read_pci_config(PciDevice *pci, unsigned offset, unsigned size)
{
    VirtioDevice *v = (VirtioDevice *)pci;
    uint32_t at, length, value = 0;

    if (touches_window(v, offset, size)) {
        const RegionOps *ops = window(v, &at, &length);

        if (ops && ops->read) {
            store_le32(pci->config + v->pci_access_cap + 16, ops->read(v, at, length));
        }
    }
    memcpy(&value, pci->config + offset, size);
    return value;
}

static void pci_config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    VirtioDevice *v = (VirtioDevice *)pci;
    uint32_t at, length;

    if (touches_window(v, offset, size)) {
        const RegionOps *ops = window(v, &at, &length);

        if (ops && ops->write) {
            ops->write(v, at, load_le32(pci->config + v->pci_access_cap + 16) & (UINT32_MAX >> (32 - 8 * length)),
                       length);
        }
    }
}

static void add_modern(VirtioDevice *v)
{
    uint8_t cap;

    v->modern_bar = region_new_container("virtio", MODERN_SIZE);
    v->common = region_new_io("virtio-common", &common_ops, v, PART_SIZE);
    v->isr = region_new_io("virtio-isr", &isr_ops, v, PART_SIZE);
    v->config = region_new_io("virtio-config", &config_ops, v, PART_SIZE);
    v->notify = region_new_io("virtio-notify", &notify_ops, v, PART_SIZE);
    region_add(v->modern_bar, COMMON, v->common);
    region_add(v->modern_bar, ISR, v->isr);
    region_add(v->modern_bar, CONFIG, v->config);
    region_add(v->modern_bar, NOTIFY, v->notify);
    for (unsigned n = 0; n < v->queue_count && v->bell_fd >= 0; n++) {
        region_add_doorbell(v->notify, &(Doorbell){ .offset = n * NOTIFY_MULTIPLIER, .fd = v->bell_fd });
    }
    pci_register_bar(&v->pci, BAR_MODERN, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, v->modern_bar);
    add_capability(v, CAP_COMMON, COMMON, PART_SIZE, 16);
    add_capability(v, CAP_ISR, ISR, PART_SIZE, 16);
    add_capability(v, CAP_DEVICE, CONFIG, PART_SIZE, 16);
    cap = add_capability(v, CAP_NOTIFY, NOTIFY, PART_SIZE, 20);
    store_le32(v->pci.config + cap + 16, NOTIFY_MULTIPLIER);
    cap = add_capability(v, CAP_PCI_ACCESS, 0, 0, 20);
    v->pci.config[cap + 4] = 0;
    v->pci.writable[cap + 4] = 0xff;
    memset(v->pci.writable + cap + 8, 0xff, 12);
    v->pci_access_cap = cap;
    v->pci.config_read = read_pci_config;
    v->pci.config_written = pci_config_written;
}

static void add_legacy(VirtioDevice *v)
{
    uint64_t size = 32;

    while (size < 0x18 + v->class->config_size) {
        size *= 2;
    }
    v->legacy_bar = region_new_io("virtio-legacy", &old_ops, v, size);
    v->legacy_notify = region_new_io("virtio-legacy-notify", &old_notify_ops, v, 2);
    region_add_overlap(v->legacy_bar, OLD_NOTIFY, v->legacy_notify, 1);
    for (unsigned n = 0; n < v->queue_count && v->bell_fd >= 0; n++) {
        region_add_doorbell(v->legacy_notify, &(Doorbell){ .size = 2, .match = true, .value = n, .fd = v->bell_fd });
    }
    pci_register_bar(&v->pci, BAR_LEGACY, PCI_BAR_IO, v->legacy_bar);
}

/* ---- the function ---- */

static bool choose_interfaces(VirtioDevice *v, GError **error)
{
    const char *name = v->pci.dev.type->name, *text = v->disable_legacy;
    bool disable_legacy = !v->class->legacy_id; /* "auto" */

    if (text && !g_str_equal(text, "auto") && !parse_bool(text, &disable_legacy)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s': disable-legacy=%s is not 'on', 'off' or 'auto'", name, text);
        return false;
    }
    if (g_str_has_suffix(name, "-non-transitional")) {
        disable_legacy = true;
    }
    if (!disable_legacy && !v->class->legacy_id) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' has no interface from before virtio 1", name);
        return false;
    }
    v->legacy = !disable_legacy;
    v->modern = !v->disable_modern;
    if (!v->legacy && !v->modern) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s': disable-legacy=on and disable-modern=on leave nothing", name);
        return false;
    }
    return true;
}

/* 4.1.2.1: transitional devices keep the ids that older drivers look for. */
static void fill_info(VirtioDevice *v)
{
    v->info = (PciInfo){
        .vendor = 0x1af4,
        .device = v->legacy ? v->class->legacy_id : 0x1040 + v->class->id,
        .class_rev = v->class->pci_class << 8 | (v->legacy ? 0 : 1),
        .subsystem_vendor = 0x1af4,
        .subsystem = v->legacy ? v->class->id : 0x1100,
        .interrupt_pin = 1,
        .rom = v->class->rom,
    };
}

bool virtio_pci_realize(VirtioDevice *v, GError **error)
{
    if (!choose_interfaces(v, error)) {
        return false;
    }
    fill_info(v);
    pci_device_init(&v->pci, &v->info);
    v->late_interrupts = g_malloc0(late_words(v) * sizeof(*v->late_interrupts));
    if (v->vectors == UINT32_MAX) {
        v->vectors = v->queue_count + 1;
    }
    if (v->vectors && !pci_msix_init_own_bar(&v->pci, v->vectors, BAR_MSIX, error)) {
        return false;
    }
    if (v->iothread) {
        pci_msix_want_wires(&v->pci);
    }
    virtio_bell_make(v);
    if (v->modern) {
        add_modern(v);
    }
    if (v->legacy) {
        add_legacy(v);
    }
    return pci_load_rom(&v->pci, error);
}

void virtio_pci_unrealize(VirtioDevice *v)
{
    region_free(v->legacy_notify);
    region_free(v->legacy_bar);
    region_free(v->common);
    region_free(v->isr);
    region_free(v->config);
    region_free(v->notify);
    region_free(v->modern_bar);
    v->legacy_notify = v->legacy_bar = v->common = v->isr = v->config = v->notify = v->modern_bar = NULL;
    virtio_bell_free(v);
    g_clear_pointer(&v->late_interrupts, g_free);
}
