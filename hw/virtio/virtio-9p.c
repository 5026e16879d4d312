/*
 * Virtio 9P transport: a queue of messages, served by threads, so that neither vCPUs nor the main loop wait for the
 * host's file system.
 *
 * A worker that is done brings the reply into the queue itself if the machine lock is free; otherwise the main loop
 * does. It never waits for that lock, whose owner may wait for it.
 */
#include "backends/p9.h"
#include "core/lock.h"
#include "core/mainloop.h"
#include "hw/virtio/virtio.h"
#include "util/bits.h"
#include "util/error.h"

enum { QUEUE_SIZE = 128, WORKERS = 8, F_MOUNT_TAG = 0, MAX_TAG = 32 };

typedef struct Message Message;
struct Message {
    VirtqChain chain; /* first */
    uint16_t tag;
    size_t written;
    GSList *flushes; /* Tflush messages that wait for it */
    Message *next;
};

typedef struct Virtio9p {
    VirtioDevice v;
    char *fsdev, *mount_tag;
    P9Session *session;
    GThreadPool *workers;
    GMutex mutex; /* of what follows */
    GCond idle;
    Message *active; /* being served; by tag for Tflush */
    Message *done;   /* to be put into the queue, in the order they were done */
    Message **done_end;
    bool called; /* the main loop was asked to */
} Virtio9p;

/* ---- replies: under the machine lock ---- */

static void finish(Virtio9p *s)
{
    VirtQueue *q = virtio_queue(&s->v, 0);
    Message *message, *next;

    g_mutex_lock(&s->mutex);
    message = s->done;
    s->done = NULL;
    s->done_end = &s->done;
    g_mutex_unlock(&s->mutex);
    if (!message) {
        return;
    }
    for (; message; message = next) {
        next = message->next;
        virtq_push(&message->chain, message->written);
    }
    virtq_notify(q);
}

static void finish_late(void *opaque)
{
    Virtio9p *s = opaque;

    g_mutex_lock(&s->mutex);
    s->called = false;
    g_mutex_unlock(&s->mutex);
    finish(s);
}

/* ---- workers ---- */

static void serve(Virtio9p *s, Message *message)
{
    VirtqChain *chain = &message->chain;

    message->written = p9_serve(s->session, chain->out, chain->out_count, chain->in, chain->in_count);
}

static void add_done(Virtio9p *s, Message *message)
{
    message->next = NULL;
    *s->done_end = message;
    s->done_end = &message->next;
}

/* Out of the active ones; what waited for it is answered behind it. */
static void retire(Virtio9p *s, Message *message)
{
    Message **at = &s->active;

    while (*at != message) {
        at = &(*at)->next;
    }
    *at = message->next;
    add_done(s, message);
    for (GSList *f = message->flushes; f; f = f->next) {
        add_done(s, f->data);
    }
    g_slist_free(message->flushes);
    message->flushes = NULL;
}

static void work(void *data, void *opaque)
{
    Virtio9p *s = opaque;
    Message *message = data;
    bool call = false, last;

    serve(s, message);
    g_mutex_lock(&s->mutex);
    retire(s, message);
    g_mutex_unlock(&s->mutex);
    if (machine_trylock()) {
        finish(s);
        machine_unlock();
    } else {
        call = true;
    }
    g_mutex_lock(&s->mutex);
    call = call && s->done && !s->called;
    s->called |= call;
    last = !s->active;
    g_mutex_unlock(&s->mutex);
    if (call) {
        main_loop_call(finish_late, s);
    }
    if (last) {
        g_cond_broadcast(&s->idle);
    }
}

/* A reply to Tflush comes after that of the message it names. */
static bool defer_flush(Virtio9p *s, Message *message, uint16_t tag)
{
    for (Message *m = s->active; m; m = m->next) {
        if (m->tag == tag && m != message) {
            m->flushes = g_slist_append(m->flushes, message);
            return true;
        }
    }
    return false;
}

static void start(Virtio9p *s, Message *message)
{
    uint8_t head[P9_HEADER + 2] = { 0 };
    bool deferred = false;

    iov_read(message->chain.out, message->chain.out_count, 0, head, sizeof(head));
    message->tag = load_le16(head + 5);
    if (head[4] == P9_TFLUSH) {
        serve(s, message); /* only its header is made */
        g_mutex_lock(&s->mutex);
        deferred = defer_flush(s, message, load_le16(head + P9_HEADER));
        if (!deferred) {
            add_done(s, message);
        }
        g_mutex_unlock(&s->mutex);
        return;
    }
    g_mutex_lock(&s->mutex);
    message->next = s->active;
    s->active = message;
    g_mutex_unlock(&s->mutex);
    g_thread_pool_push(s->workers, message, NULL);
}

static void p9_notify(VirtioDevice *v, VirtQueue *q)
{
    Virtio9p *s = (Virtio9p *)v;
    Message *message;

    while ((message = virtq_pop(q, sizeof(*message)))) {
        if (message->chain.out_size < P9_HEADER || message->chain.in_size < P9_HEADER + 4) {
            virtio_error(v, "a 9P message of %zu bytes with room for %zu", message->chain.out_size,
                         message->chain.in_size);
            virtq_drop(&message->chain);
            return;
        }
        start(s, message);
    }
    finish(s);
}

/* ---- life ---- */

static void wait_idle(Virtio9p *s)
{
    g_mutex_lock(&s->mutex);
    while (s->active) {
        g_cond_wait(&s->idle, &s->mutex);
    }
    g_mutex_unlock(&s->mutex);
}

static bool p9_realize(VirtioDevice *v, GError **error)
{
    Virtio9p *s = (Virtio9p *)v;
    FsDev *dev = s->fsdev ? fsdev_find(s->fsdev) : NULL;

    if (!dev) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "virtio-9p: no shared folder '%s'; -fsdev local,id=%s,... makes one",
                    s->fsdev ? s->fsdev : "", s->fsdev ? s->fsdev : "ID");
        return false;
    }
    if (!s->mount_tag || !*s->mount_tag || strlen(s->mount_tag) > MAX_TAG) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "virtio-9p: mount_tag= has 1 to %d characters", MAX_TAG);
        return false;
    }
    s->session = p9_new(dev, error);
    if (!s->session) {
        return false;
    }
    g_mutex_init(&s->mutex);
    g_cond_init(&s->idle);
    s->done_end = &s->done;
    s->workers = g_thread_pool_new(work, s, WORKERS, FALSE, error);
    if (!s->workers) {
        p9_free(s->session);
        return false;
    }
    virtio_add_queue(v, QUEUE_SIZE);
    return true;
}

static void p9_unrealize(VirtioDevice *v)
{
    Virtio9p *s = (Virtio9p *)v;

    g_thread_pool_free(s->workers, FALSE, TRUE);
    while (s->called) {
        main_loop_step(false); /* what was asked of it names this device */
    }
    p9_free(s->session);
    g_cond_clear(&s->idle);
    g_mutex_clear(&s->mutex);
}

static uint64_t p9_features(VirtioDevice *v)
{
    return VIRTIO_BIT(F_MOUNT_TAG);
}

static void p9_get_config(VirtioDevice *v, uint8_t *config)
{
    const Virtio9p *s = (Virtio9p *)v;
    size_t length = strlen(s->mount_tag);

    store_le16(config, length);
    memcpy(config + 2, s->mount_tag, length);
}

static void p9_reset_device(VirtioDevice *v, VirtQueue *q)
{
    Virtio9p *s = (Virtio9p *)v;

    wait_idle(s);
    finish(s); /* nothing is pushed to a queue that was reset */
    p9_reset(s->session);
}

static char *group_name(VirtioDevice *v)
{
    return g_strconcat(v->pci.dev.id, ".9p", NULL);
}

static void p9_save_device(VirtioDevice *v, GKeyFile *out)
{
    Virtio9p *s = (Virtio9p *)v;
    g_autofree char *group = group_name(v);

    wait_idle(s);
    finish(s);
    p9_save(s->session, out, group);
}

static bool p9_load_device(VirtioDevice *v, GKeyFile *in, GError **error)
{
    g_autofree char *group = group_name(v);

    return p9_load(((Virtio9p *)v)->session, in, group, error);
}

static const VirtioClass p9_class = {
    .name = "virtio-9p", .id = VIRTIO_ID_9P, .legacy_id = 0x1009, .pci_class = 0x000200, .config_size = 2 + MAX_TAG,
    .realize = p9_realize, .unrealize = p9_unrealize, .features = p9_features, .get_config = p9_get_config,
    .notify = p9_notify, .reset = p9_reset_device, .save = p9_save_device, .load = p9_load_device,
};

static const Prop p9_props[] = {
    VIRTIO_PROPS(Virtio9p),
    PROP(Virtio9p, fsdev, "fsdev", PROP_STRING, NULL, "id of the -fsdev"),
    PROP(Virtio9p, mount_tag, "mount_tag", PROP_STRING, NULL, "by what the guest asks for it"),
    { 0 },
};

VIRTIO_TYPES(virtio_9p, "virtio-9p", "virtio-9p", "a folder of the host (9P2000.L)", Virtio9p, &p9_class, p9_props,
             NULL, 0, true);
