/* The virtio device as such: status, features, configuration, reset, I/O thread, snapshots. VIRTIO 1.2, 2 and 3. */
#include "hw/virtio/virtqueue.h"

#include "core/lock.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const StateField *core_fields(size_t *count)
{
    typedef VirtioCoreState Owner;
    static const StateField rows[] = { VIRTIO_CORE_STATE(STATE_ROW, STATE_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

/* ---- queues ---- */

VirtQueue *virtio_add_queue(VirtioDevice *v, unsigned size)
{
    VirtQueue *q = g_new0(VirtQueue, 1);

    g_assert(size && size <= VIRTQ_MAX_SIZE && (size & (size - 1)) == 0 && v->queue_count < VIRTIO_MAX_QUEUES);
    q->v = v;
    q->index = v->queue_count;
    q->max = size;
    virtq_reset(q);
    v->queues = g_renew(VirtQueue *, v->queues, v->queue_count + 1);
    v->queues[v->queue_count++] = q;
    return q;
}

VirtQueue *virtio_queue(VirtioDevice *v, unsigned index)
{
    return index < v->queue_count ? v->queues[index] : NULL;
}

/* ---- status and features ---- */

bool virtio_has(const VirtioDevice *v, unsigned feature)
{
    return v->features >> feature & 1;
}

bool virtio_ready(const VirtioDevice *v)
{
    return (v->core.status & VIRTIO_DRIVER_OK) && !v->broken;
}

/* A driver of virtio 1 agrees by FEATURES_OK, one from before just by writing them. */
static uint64_t agreed_features(const VirtioDevice *v)
{
    uint64_t wanted = v->core.driver_features & v->offered;

    if (v->core.driver_features & VIRTIO_BIT(VIRTIO_F_VERSION_1)) {
        return v->core.status & VIRTIO_FEATURES_OK ? wanted : 0;
    }
    return v->legacy ? (uint32_t)wanted : 0;
}

static void agree(VirtioDevice *v)
{
    v->features = agreed_features(v);
    if (v->class->features_set) {
        v->class->features_set(v);
    }
}

void virtio_set_driver_features(VirtioDevice *v, uint64_t features)
{
    if (v->core.status & VIRTIO_FEATURES_OK) {
        guest_error(v->pci.dev.id, "features written after FEATURES_OK");
        return;
    }
    v->core.driver_features = features;
    if (!(features & VIRTIO_BIT(VIRTIO_F_VERSION_1))) {
        agree(v);
    }
}

/* An I/O thread writes to memory alone, and its interrupts come from elsewhere. */
void virtio_count_busy(VirtioDevice *v, int by)
{
    if (!v->iothread) {
        v->busy += by;
    }
}

void virtio_error(VirtioDevice *v, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    if (v->broken) {
        return;
    }
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    guest_error(v->pci.dev.id, "%s", text);
    v->broken = true;
    if (v->features & VIRTIO_BIT(VIRTIO_F_VERSION_1)) {
        v->core.status |= VIRTIO_NEEDS_RESET;
        virtio_count_busy(v, 1);
        virtio_pci_interrupt(v, NULL);
        virtio_count_busy(v, -1);
    }
}

static void start_queues(VirtioDevice *v)
{
    if (v->class->ready) {
        v->class->ready(v, true);
    }
    /* Buffers may be there already, and a driver need not notify before it is ready. */
    for (unsigned i = 0; i < v->queue_count; i++) {
        if (v->queues[i]->s.enabled) {
            virtio_kick(v, i);
        }
    }
}

static void reset_device(VirtioDevice *v)
{
    bool was_ready = v->core.status & VIRTIO_DRIVER_OK;

    /* From here on nothing is popped or pushed. */
    virtio_lock(v);
    state_reset(core_fields, &v->core);
    virtio_unlock(v);
    if (was_ready && v->class->ready) {
        v->class->ready(v, false);
    }
    v->class->reset(v, NULL);
    virtio_lock(v);
    for (unsigned i = 0; i < v->queue_count; i++) {
        g_assert(v->queues[i]->in_flight == 0);
        virtq_reset(v->queues[i]);
    }
    v->features = 0;
    v->broken = false;
    virtio_unlock(v);
    virtio_update(&v->pci.dev);
}

static gboolean reset_late(gpointer opaque)
{
    VirtioDevice *v = opaque;

    if (v->busy) {
        return G_SOURCE_CONTINUE;
    }
    g_clear_pointer(&v->late_reset, g_source_unref);
    reset_device(v);
    return G_SOURCE_REMOVE;
}

/*
 * A buffer or a message of a device over the register that resets it, or its bridge: it has requests that it works on. Its status
 * stays as it is until these are done, and then the main loop resets it.
 */
static void reset_when_idle(VirtioDevice *v)
{
    if (!v->busy) {
        reset_device(v);
    } else if (!v->late_reset) {
        guest_error(v->pci.dev.id, "what it writes resets it");
        v->late_reset = g_idle_source_new();
        g_source_set_priority(v->late_reset, G_PRIORITY_DEFAULT);
        g_source_set_callback(v->late_reset, reset_late, v, NULL);
        g_source_attach(v->late_reset, NULL);
    }
}

static void forget_late_reset(VirtioDevice *v)
{
    if (v->late_reset) {
        g_source_destroy(v->late_reset);
        g_clear_pointer(&v->late_reset, g_source_unref);
    }
}

void virtio_fetch(Device *dev)
{
    VirtioDevice *v = (VirtioDevice *)dev;

    if (v->late_reset && !v->busy) {
        forget_late_reset(v);
        reset_device(v);
    }
}

void virtio_set_status(VirtioDevice *v, uint8_t status)
{
    uint8_t old;

    virtio_fetch(&v->pci.dev);
    old = v->core.status;
    trace("virtio_status", "%s: %02x", v->pci.dev.id, status);
    if (status == 0) {
        reset_when_idle(v);
        return;
    }
    if ((status & ~old & VIRTIO_FEATURES_OK) &&
        ((v->core.driver_features & ~v->offered) ||
         !(v->core.driver_features & VIRTIO_BIT(VIRTIO_F_VERSION_1)))) {
        status &= ~VIRTIO_FEATURES_OK; /* 3.1.1: the driver reads it back */
    }
    /* Bits are only added; clearing DRIVER_OK alone is what some old drivers do before they reset. */
    v->core.status = status | (old & VIRTIO_NEEDS_RESET);
    if ((status & ~old & VIRTIO_FEATURES_OK)) {
        agree(v);
    }
    if (status & ~old & VIRTIO_DRIVER_OK) {
        start_queues(v);
    }
}

/* ---- configuration ---- */

void virtio_read_config(VirtioDevice *v, unsigned offset, void *buf, unsigned size)
{
    g_autofree uint8_t *config = g_malloc0(v->class->config_size + 8);

    memset(buf, 0, size);
    v->class->get_config(v, config);
    if (offset < v->class->config_size) {
        memcpy(buf, config + offset, MIN(size, v->class->config_size - offset));
    }
}

void virtio_write_config(VirtioDevice *v, unsigned offset, const void *buf, unsigned size)
{
    if (v->class->set_config && offset + size <= v->class->config_size) {
        v->class->set_config(v, offset, buf, size);
    }
}

void virtio_config_changed(VirtioDevice *v)
{
    bool taken = machine_lock_if();

    v->core.generation++;
    if (virtio_ready(v)) {
        virtio_pci_interrupt(v, NULL);
    }
    machine_unlock_if(taken);
}

/* ---- queue operations of the transport ---- */

void virtio_queue_enable(VirtQueue *q)
{
    virtio_lock(q->v);
    if (!q->s.enabled && virtq_enable(q) && virtio_ready(q->v)) {
        virtio_kick(q->v, q->index); /* enabled again after its reset */
    }
    virtio_unlock(q->v);
}

void virtio_queue_reset(VirtQueue *q)
{
    VirtioDevice *v = q->v;

    if (v->busy) {
        guest_error(v->pci.dev.id, "what it writes would reset queue %u", q->index);
        return;
    }
    virtio_lock(v);
    q->s.enabled = false;
    virtio_unlock(v);
    v->class->reset(v, q);
    virtio_lock(v);
    g_assert(q->in_flight == 0);
    virtq_reset(q);
    virtio_unlock(v);
}

/* ---- notifications, here or in an I/O thread ---- */

/* Lives in the I/O thread's loop; an eventfd wakes it. */
typedef struct VirtioDoorbell {
    GSource source; /* first */
    VirtioDevice *v;
    int fd;
    gpointer tag;
} VirtioDoorbell;

void virtio_lock(VirtioDevice *v)
{
    if (v->iothread) {
        g_mutex_lock(&v->mutex);
    }
}

void virtio_unlock(VirtioDevice *v)
{
    if (v->iothread) {
        g_mutex_unlock(&v->mutex);
    }
}

static gboolean doorbell_check(GSource *source)
{
    VirtioDoorbell *bell = (VirtioDoorbell *)source;

    return g_source_query_unix_fd(source, bell->tag) != 0;
}

static gboolean doorbell_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    VirtioDevice *v = ((VirtioDoorbell *)source)->v;
    eventfd_t count;

    eventfd_read(((VirtioDoorbell *)source)->fd, &count);
    virtio_lock(v);
    for (unsigned i = 0; i < v->queue_count; i++) {
        if (atomic_exchange(&v->queues[i]->kicked, false)) {
            v->class->notify(v, v->queues[i]);
        }
    }
    virtio_unlock(v);
    return G_SOURCE_CONTINUE;
}

static void doorbell_finalize(GSource *source)
{
    close(((VirtioDoorbell *)source)->fd);
}

static GSourceFuncs doorbell_functions = {
    .check = doorbell_check, .dispatch = doorbell_dispatch, .finalize = doorbell_finalize,
};

static void nothing(void *opaque)
{
}

void virtio_set_iothread(VirtioDevice *v, IoThread *thread)
{
    VirtioDoorbell *bell;

    virtio_bell_detach(v);
    if (v->iothread) {
        g_source_destroy(&v->doorbell->source);
        iothread_call_wait(v->iothread, nothing, NULL); /* it may be running a last time */
        g_source_unref(&v->doorbell->source);
        iothread_unref(v->iothread);
        v->doorbell = NULL;
    }
    v->iothread = thread;
    virtio_bell_attach(v);
    if (!thread) {
        return;
    }
    iothread_ref(thread);
    bell = (VirtioDoorbell *)g_source_new(&doorbell_functions, sizeof(*bell));
    bell->v = v;
    bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_assert(bell->fd >= 0);
    bell->tag = g_source_add_unix_fd(&bell->source, bell->fd, G_IO_IN);
    v->doorbell = bell;
    g_source_attach(&bell->source, iothread_context(thread));
}

void virtio_kick(VirtioDevice *v, unsigned index)
{
    VirtQueue *q = virtio_queue(v, index);

    trace("virtio_kick", "%s queue %u", v->pci.dev.id, index);
    if (!q) {
        return;
    }
    if (v->iothread) {
        if (!atomic_exchange(&q->kicked, true)) {
            eventfd_write(v->doorbell->fd, 1);
        }
    } else {
        bool taken = machine_lock_if();

        if (q->s.enabled && virtio_ready(v)) {
            virtio_count_busy(v, 1);
            v->class->notify(v, q);
            virtio_count_busy(v, -1);
        }
        machine_unlock_if(taken);
    }
}

/* ---- life ---- */

static uint64_t common_features(const VirtioDevice *v)
{
    uint64_t f = 0;

    f |= v->indirect ? VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) : 0;
    f |= v->event_idx ? VIRTIO_BIT(VIRTIO_F_EVENT_IDX) : 0;
    if (v->legacy) {
        f |= v->any_layout ? VIRTIO_BIT(VIRTIO_F_ANY_LAYOUT) : 0;
        f |= v->notify_on_empty ? VIRTIO_BIT(VIRTIO_F_NOTIFY_ON_EMPTY) : 0;
    }
    if (v->modern) {
        f |= VIRTIO_BIT(VIRTIO_F_VERSION_1);
        f |= v->packed ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0;
        f |= v->queue_reset ? VIRTIO_BIT(VIRTIO_F_RING_RESET) : 0;
        f |= v->iommu_platform ? VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) : 0;
    }
    return f;
}

static void free_queues(VirtioDevice *v)
{
    for (unsigned i = 0; i < v->queue_count; i++) {
        virtq_free(v->queues[i]);
    }
    g_clear_pointer(&v->queues, g_free);
    v->queue_count = 0;
    virtio_set_iothread(v, NULL);
}

bool virtio_realize(Device *dev, const VirtioClass *class, GError **error)
{
    VirtioDevice *v = (VirtioDevice *)dev;

    v->class = class;
    v->bell_fd = -1;
    g_mutex_init(&v->mutex);
    state_reset(core_fields, &v->core);
    if (!class->realize(v, error)) {
        free_queues(v);
        return false;
    }
    if (!virtio_pci_realize(v, error)) {
        class->unrealize(v);
        virtio_pci_unrealize(v);
        free_queues(v);
        return false;
    }
    v->offered = class->features(v) | common_features(v);
    return true;
}

void virtio_unrealize(Device *dev)
{
    VirtioDevice *v = (VirtioDevice *)dev;

    forget_late_reset(v);
    reset_device(v);
    v->class->unrealize(v);
    virtio_pci_unrealize(v);
    free_queues(v);
    g_mutex_clear(&v->mutex);
}

void virtio_device_reset(Device *dev)
{
    reset_when_idle((VirtioDevice *)dev);
}

/* ---- snapshots: groups "ID.virtio" and "ID.queueN" beside the device's own ---- */

static char *queue_group(VirtQueue *q)
{
    return g_strdup_printf("%s.queue%u", q->v->pci.dev.id, q->index);
}

void virtio_save(Device *dev, GKeyFile *out)
{
    VirtioDevice *v = (VirtioDevice *)dev;
    g_autofree char *group = g_strconcat(dev->id, ".virtio", NULL);

    if (v->class->save) {
        v->class->save(v, out);
    }
    virtio_lock(v);
    state_save(core_fields, &v->core, out, group);
    g_key_file_set_boolean(out, group, "core.broken", v->broken);
    for (unsigned i = 0; i < v->queue_count; i++) {
        g_autofree char *name = queue_group(v->queues[i]);

        state_save(virtq_state_fields, &v->queues[i]->s, out, name);
    }
    virtio_unlock(v);
}

static bool load_queue(VirtQueue *q, GKeyFile *in, GError **error)
{
    g_autofree char *group = queue_group(q);
    VirtqState *s = &q->s;
    bool enabled;

    if (!state_load(virtq_state_fields, s, in, group, error)) {
        return false;
    }
    enabled = s->enabled;
    s->enabled = false;
    if (s->size > q->max || (virtq_is_packed(q) && enabled && (s->last_avail >= s->size || s->used_idx >= s->size)) ||
        (enabled && !virtq_enable(q))) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad state of '%s'", group);
        return false;
    }
    return true;
}

bool virtio_load(Device *dev, GKeyFile *in, GError **error)
{
    VirtioDevice *v = (VirtioDevice *)dev;
    g_autofree char *group = g_strconcat(dev->id, ".virtio", NULL);

    forget_late_reset(v);
    reset_device(v);
    if (!state_load(core_fields, &v->core, in, group, error)) {
        return false;
    }
    if (v->core.driver_features & ~v->offered & (v->core.status & VIRTIO_FEATURES_OK ? UINT64_MAX : 0)) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: '%s' had features that it has no more", dev->id);
        return false;
    }
    agree(v);
    for (unsigned i = 0; i < v->queue_count; i++) {
        if (!load_queue(v->queues[i], in, error)) {
            return false;
        }
    }
    v->broken = g_key_file_get_boolean(in, group, "core.broken", NULL);
    if (v->class->load && !v->class->load(v, in, error)) {
        return false;
    }
    if (virtio_ready(v) && v->class->ready) {
        v->class->ready(v, true);
    }
    /* Without an I/O thread the doorbell's work was done before the machine was saved. */
    for (unsigned i = 0; v->iothread && i < v->queue_count; i++) {
        virtio_kick(v, i);
    }
    return true;
}

void virtio_describe(Device *dev, GString *text)
{
    VirtioDevice *v = (VirtioDevice *)dev;

    g_string_append_printf(text, "status=%02x features=%" G_GINT64_MODIFIER "x of %" G_GINT64_MODIFIER "x%s%s\n",
                           v->core.status, v->features, v->offered, v->broken ? " broken" : "",
                           virtio_has(v, VIRTIO_F_RING_PACKED) ? " packed" : "");
}
