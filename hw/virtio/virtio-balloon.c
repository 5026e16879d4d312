/*
 * Virtio balloon: pages that the guest does without go back to the host. VIRTIO 1.2, 5.5.
 *
 * A page given back reads as zeros when it is used again, so nothing is done when the balloon shrinks.
 */
#include "hw/virtio/virtio.h"

#include "core/balloon.h"
#include "core/machine.h"
#include "util/bits.h"
#include "util/error.h"

enum { F_MUST_TELL_HOST = 0, F_STATS = 1, F_DEFLATE_ON_OOM = 2, F_REPORTING = 5 };
enum { CONFIG_SIZE = 8, QUEUE_SIZE = 128, STATS_BATCH = 256, STAT_SIZE = 10 };
enum { INFLATE, DEFLATE, THIRD, FOURTH };

/* 5.5.6.3, by tag. */
static const char *const stat_names[] = {
    "swap-in", "swap-out", "major-faults", "minor-faults", "free-memory", "total-memory", "available-memory",
    "disk-caches", "htlb-pgalloc", "htlb-pgfail",
};

#define BALLOON_STATE(FIELD, ARRAY)                       \
    FIELD(uint32_t, actual, 0) /* that the driver gave */ \
    ARRAY(uint64_t, stats, G_N_ELEMENTS(stat_names), UINT64_MAX)

DEFINE_STATE(BalloonState, BALLOON_STATE);

typedef struct VirtioBalloon {
    VirtioDevice v;
    BalloonState s;
    VirtqChain *stats_chain; /* given back when new figures are wanted */
    uint32_t wanted;         /* pages that we want back: stays when the guest resets */
    bool deflate_on_oom, reporting;
} VirtioBalloon;

/* Guest pages that follow each other go in one call. */
static void discard_run(uint64_t first, uint64_t count)
{
    uint64_t addr = first << GUEST_PAGE_BITS, left = count << GUEST_PAGE_BITS;

    while (left) {
        uint64_t size = left, offset;
        RamBlock *ram;

        if (!memory_map(memory_system(), addr, &size, true, &ram, &offset)) {
            return; /* no RAM: nothing to give */
        }
        ram_discard(ram, offset, size);
        addr += size;
        left -= size;
    }
}

static void inflate(VirtqChain *chain)
{
    uint64_t first = 0, count = 0;
    uint8_t raw[4];

    for (size_t at = 0; iov_read(chain->out, chain->out_count, at, raw, 4) == 4; at += 4) {
        uint32_t page = load_le32(raw);

        if (count && page == first + count) {
            count++;
        } else if (count && page + UINT64_C(1) == first) {
            first--;
            count++;
        } else {
            discard_run(first, count);
            first = page;
            count = 1;
        }
    }
    discard_run(first, count);
}

/* Queues are numbered without those of features that the driver does not want. */
static bool is_stats_queue(const VirtioBalloon *s, unsigned index)
{
    return index == THIRD && virtio_has(&s->v, F_STATS);
}

static bool is_reporting_queue(const VirtioBalloon *s, unsigned index)
{
    return virtio_has(&s->v, F_REPORTING) && index == (virtio_has(&s->v, F_STATS) ? FOURTH : THIRD);
}

static void take_stats(VirtioBalloon *s, VirtQueue *q)
{
    VirtqChain *chain = virtq_pop(q, sizeof(*chain));
    uint8_t raw[STAT_SIZE];

    if (!chain) {
        return;
    }
    for (unsigned n = 0; n < STATS_BATCH; n++) {
        if (iov_read(chain->out, chain->out_count, n * STAT_SIZE, raw, STAT_SIZE) != STAT_SIZE) {
            break;
        }
        if (load_le16(raw) < G_N_ELEMENTS(stat_names)) {
            s->s.stats[load_le16(raw)] = load_le64(raw + 2);
        }
    }
    if (s->stats_chain) { /* the driver has one in use, so a second is its mistake */
        virtq_push(chain, 0);
    } else {
        s->stats_chain = chain;
    }
}

static void ask_for_stats(VirtioBalloon *s)
{
    if (s->stats_chain) {
        VirtQueue *q = s->stats_chain->queue;

        virtq_push(s->stats_chain, 0);
        s->stats_chain = NULL;
        virtq_notify(q);
    }
}

static void balloon_notify(VirtioDevice *v, VirtQueue *q)
{
    VirtioBalloon *s = (VirtioBalloon *)v;
    unsigned index = virtq_index(q);
    VirtqChain *chain;

    if (is_stats_queue(s, index)) {
        take_stats(s, q);
        return;
    }
    while ((chain = virtq_pop(q, sizeof(*chain)))) {
        if (index == INFLATE) {
            inflate(chain);
        } else if (is_reporting_queue(s, index)) {
            virtq_discard(chain);
        }
        virtq_push(chain, 0);
    }
    virtq_notify(q);
}

/* ---- configuration and monitors ---- */

static void get_config(VirtioDevice *v, uint8_t *config)
{
    VirtioBalloon *s = (VirtioBalloon *)v;

    store_le32(config, s->wanted);
    store_le32(config + 4, s->s.actual);
}

static void set_config(VirtioDevice *v, unsigned offset, const uint8_t *bytes, unsigned size)
{
    VirtioBalloon *s = (VirtioBalloon *)v;

    if (offset == 4 && size == 4 && load_le32(bytes) != s->s.actual) {
        s->s.actual = load_le32(bytes);
        balloon_changed();
    }
}

static void set_target(void *opaque, uint64_t bytes)
{
    VirtioBalloon *s = opaque;
    uint64_t all = machine_config.ram_size;

    s->wanted = (all - MIN(bytes, all)) >> GUEST_PAGE_BITS;
    virtio_config_changed(&s->v);
}

static uint64_t actual(void *opaque)
{
    uint64_t given = (uint64_t)((VirtioBalloon *)opaque)->s.actual << GUEST_PAGE_BITS;

    ask_for_stats(opaque);
    return machine_config.ram_size - MIN(given, machine_config.ram_size);
}

static bool stat(void *opaque, unsigned n, const char **name, uint64_t *value)
{
    if (n >= G_N_ELEMENTS(stat_names)) {
        return false;
    }
    *name = stat_names[n];
    *value = ((VirtioBalloon *)opaque)->s.stats[n];
    return true;
}

static const BalloonOps ops = { set_target, actual, stat };

static uint64_t balloon_features(VirtioDevice *v)
{
    VirtioBalloon *s = (VirtioBalloon *)v;

    return VIRTIO_BIT(F_STATS) | (s->deflate_on_oom ? VIRTIO_BIT(F_DEFLATE_ON_OOM) : 0) |
           (s->reporting ? VIRTIO_BIT(F_REPORTING) : 0);
}

/* ---- life ---- */

static bool balloon_realize(VirtioDevice *v, GError **error)
{
    VirtioBalloon *s = (VirtioBalloon *)v;

    if (!balloon_register(&ops, s)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "Only one balloon device is supported");
        return false;
    }
    for (int i = 0; i < (s->reporting ? 4 : 3); i++) {
        virtio_add_queue(v, QUEUE_SIZE);
    }
    return true;
}

static void balloon_unrealize(VirtioDevice *v)
{
    balloon_unregister(v);
}

static void balloon_reset(VirtioDevice *v, VirtQueue *q)
{
    VirtioBalloon *s = (VirtioBalloon *)v;

    if (s->stats_chain && (!q || s->stats_chain->queue == q)) {
        virtq_drop(s->stats_chain);
        s->stats_chain = NULL;
    }
}

/* The driver's buffer is not in a snapshot: it is popped again afterwards. */
static void balloon_save(VirtioDevice *v, GKeyFile *out)
{
    VirtioBalloon *s = (VirtioBalloon *)v;

    if (s->stats_chain) {
        virtq_unpop(s->stats_chain);
        s->stats_chain = NULL;
    }
    g_key_file_set_uint64(out, v->pci.dev.id, "balloon.wanted", s->wanted);
}

static bool balloon_load(VirtioDevice *v, GKeyFile *in, GError **error)
{
    ((VirtioBalloon *)v)->wanted = g_key_file_get_uint64(in, v->pci.dev.id, "balloon.wanted", NULL);
    return true;
}

static const VirtioClass balloon_class = {
    .name = "virtio-balloon", .id = VIRTIO_ID_BALLOON, .legacy_id = 0x1002, .pci_class = 0x00ff00,
    .config_size = CONFIG_SIZE, .realize = balloon_realize, .unrealize = balloon_unrealize,
    .features = balloon_features, .get_config = get_config, .set_config = set_config, .notify = balloon_notify,
    .reset = balloon_reset, .save = balloon_save, .load = balloon_load,
};

static const Prop balloon_props[] = {
    VIRTIO_PROPS(VirtioBalloon),
    PROP(VirtioBalloon, deflate_on_oom, "deflate-on-oom", PROP_BOOL, "off", "the guest may take pages when it needs them"),
    PROP(VirtioBalloon, reporting, "free-page-reporting", PROP_BOOL, "off", "free pages of the guest go to the host"),
    { 0 },
};

VIRTIO_TYPES(virtio_balloon, "virtio-balloon", "virtio-balloon", "virtio memory balloon", VirtioBalloon, &balloon_class,
             balloon_props, BalloonState_fields, offsetof(VirtioBalloon, s), true);
