/* Virtio entropy device: fills buffers with the host's random numbers, no faster than allowed. VIRTIO 1.2, 5.4. */
#include "hw/virtio/virtio.h"

#include "backends/rng.h"
#include "core/clock.h"
#include "util/error.h"

enum { QUEUE_SIZE = 8, STEP = 4096, RETRY_MS = 10 };

typedef struct VirtioRng {
    VirtioDevice v;
    char *rng_id;
    Rng *rng; /* NULL: the host's own generator */
    uint64_t max_bytes; /* in each period; UINT64_MAX: no limit */
    uint32_t period;    /* ms */
    uint64_t left;      /* of this period */
    Timer *timer;
} VirtioRng;

/* Bytes put into the chain; 0: the source has none now. */
static size_t fill(VirtioRng *s, VirtqChain *chain)
{
    size_t want = MIN(MIN(chain->in_size, STEP), s->left), n;
    uint8_t bytes[STEP];

    n = rng_read(s->rng, bytes, want);
    return iov_write(chain->in, chain->in_count, 0, bytes, n);
}

static void rng_notify(VirtioDevice *v, VirtQueue *q)
{
    VirtioRng *s = (VirtioRng *)v;
    VirtqChain *chain;

    while (s->left && (chain = virtq_pop(q, sizeof(*chain)))) {
        size_t n = fill(s, chain);

        if (!n && chain->in_size) {
            virtq_unpop(chain);
            timer_set(s->timer, clock_now(CLOCK_GUEST) + RETRY_MS * NS_PER_MS);
            break;
        }
        s->left -= s->max_bytes == UINT64_MAX ? 0 : n;
        virtq_push(chain, n);
    }
    virtq_notify(q);
    if (!s->left && !timer_pending(s->timer)) {
        timer_set(s->timer, clock_now(CLOCK_GUEST) + s->period * NS_PER_MS);
    }
}

static void next_period(void *opaque)
{
    VirtioRng *s = opaque;

    s->left = s->max_bytes;
    rng_notify(&s->v, virtio_queue(&s->v, 0));
}

static bool rng_realize(VirtioDevice *v, GError **error)
{
    VirtioRng *s = (VirtioRng *)v;

    if (s->rng_id && *s->rng_id && !(s->rng = rng_find(s->rng_id))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "no rng object '%s'; -object rng-random,id=%s makes one", s->rng_id,
                    s->rng_id);
        return false;
    }
    if (!s->max_bytes || !s->period) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "virtio-rng: max-bytes and period are above 0");
        return false;
    }
    rng_ref(s->rng);
    s->left = s->max_bytes;
    s->timer = timer_new(CLOCK_GUEST, next_period, s);
    virtio_add_queue(v, QUEUE_SIZE);
    return true;
}

static void rng_unrealize(VirtioDevice *v)
{
    VirtioRng *s = (VirtioRng *)v;

    rng_unref(s->rng);
    timer_free(s->timer);
}

static uint64_t rng_features(VirtioDevice *v)
{
    return 0;
}

static void rng_get_config(VirtioDevice *v, uint8_t *config)
{
}

static void rng_reset(VirtioDevice *v, VirtQueue *q)
{
    VirtioRng *s = (VirtioRng *)v;

    timer_cancel(s->timer);
    s->left = s->max_bytes;
}

static bool rng_load(VirtioDevice *v, GKeyFile *in, GError **error)
{
    timer_set(((VirtioRng *)v)->timer, clock_now(CLOCK_GUEST) + RETRY_MS * NS_PER_MS); /* for what waited */
    return true;
}

static const VirtioClass rng_class = {
    .name = "virtio-rng", .id = VIRTIO_ID_RNG, .legacy_id = 0x1005, .pci_class = 0x00ff00, .realize = rng_realize,
    .unrealize = rng_unrealize, .features = rng_features, .get_config = rng_get_config, .notify = rng_notify,
    .reset = rng_reset, .load = rng_load,
};

static const Prop rng_props[] = {
    VIRTIO_PROPS(VirtioRng),
    PROP(VirtioRng, rng_id, "rng", PROP_STRING, NULL, "-object rng-random or rng-builtin; default: the host's generator"),
    PROP(VirtioRng, max_bytes, "max-bytes", PROP_U64, "18446744073709551615", "bytes in each period"),
    PROP(VirtioRng, period, "period", PROP_U32, "65536", "milliseconds"),
    { 0 },
};

VIRTIO_TYPES(virtio_rng, "virtio-rng", "virtio-rng", "virtio entropy source", VirtioRng, &rng_class, rng_props, NULL, 0,
             true);
