/* The NVMe controller: registers, start, reset and shutdown (3.1, 7.3, 7.6). */
#include "core/mainloop.h"
#include "hw/nvme/nvme.h"
#include "hw/pci/msi.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

enum {
    REG_CAP = 0x00, REG_VS = 0x08, REG_INTMS = 0x0c, REG_INTMC = 0x10, REG_CC = 0x14, REG_CSTS = 0x1c, REG_NSSR = 0x20,
    REG_AQA = 0x24, REG_ASQ = 0x28, REG_ACQ = 0x30, DOORBELLS = 0x1000,
};
enum { CC_SHN = 3 << 14 };

static const StateField *NvmeState_fields(size_t *count)
{
    typedef NvmeState Owner;
    static const StateField rows[] = { NVME_STATE(STATE_ROW, STATE_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

/* ---- quiet ---- */

static void forget_queues(Nvme *n)
{
    memset(n->sq, 0, (n->max_pairs + 1) * sizeof(*n->sq));
    memset(n->cq, 0, (n->max_pairs + 1) * sizeof(*n->cq));
    memset(n->vector_off, 0, n->vectors);
    n->s.shadow = n->s.eventidx = 0;
    n->s.events = n->s.event_due = n->s.event_masked = 0;
    n->shutting_down = false;
    n->flush_ns = 0;
    nvme_update_intx(n);
}

static void finish_reset(Nvme *n)
{
    forget_queues(n);
    n->resetting = false;
    n->s.csts = 0;
    n->s.cc &= ~CC_EN;
}

static void flush_next(Nvme *n);

static void flushed(void *opaque, int error)
{
    Nvme *n = opaque;

    g_mutex_lock(&n->lock);
    if (error) {
        log_warn("%s: cannot flush at shutdown: %s", n->pci.dev.id, g_strerror(error));
    }
    n->in_flight--;
    if (n->resetting) {
        finish_reset(n);
    } else {
        flush_next(n);
    }
    nvme_unlock(n);
}

/* Shutting down: one namespace after the other, then CSTS tells so. */
static void flush_next(Nvme *n)
{
    while (n->flush_ns <= n->highest_ns) {
        NvmeNs *ns = n->ns[n->flush_ns++];

        if (ns && block_inserted(ns->blk)) {
            n->in_flight++;
            block_flush(ns->blk, flushed, n);
            return;
        }
    }
    n->shutting_down = false;
    n->flush_ns = 0;
    n->s.csts = (n->s.csts & ~CSTS_SHST) | CSTS_SHST_DONE;
}

static void begin_flush(void *opaque)
{
    Nvme *n = opaque;

    g_mutex_lock(&n->lock);
    n->later--;
    if (n->shutting_down && !n->flush_ns && !n->in_flight) {
        n->flush_ns = 1;
        flush_next(n);
    }
    nvme_unlock(n);
}

void nvme_drained(Nvme *n)
{
    if (n->resetting) {
        finish_reset(n);
    } else if (n->shutting_down && !n->flush_ns) {
        n->later++;
        if (n->thread) {
            iothread_call(n->thread, begin_flush, n);
        } else {
            main_loop_call(begin_flush, n);
        }
    }
}

/* ---- CC ---- */

static bool start_is_possible(const Nvme *n)
{
    const NvmeState *s = &n->s;

    return (s->cc >> 4 & 7) == 0 && (s->cc >> 7 & 15) <= 4 && (s->aqa & 0xfff) >= 1 && (s->aqa >> 16 & 0xfff) >= 1 &&
           !(s->asq & (NVME_PAGE - 1)) && !(s->acq & (NVME_PAGE - 1));
}

static void start(Nvme *n)
{
    if (!start_is_possible(n)) {
        guest_error(n->pci.dev.id, "cannot start: CC %x AQA %x", n->s.cc, n->s.aqa);
        n->s.csts = CSTS_CFS;
        return;
    }
    n->sq[0] = (NvmeSq){ .size = (n->s.aqa & 0xfff) + 1, .base = n->s.asq };
    n->cq[0] = (NvmeCq){ .size = (n->s.aqa >> 16 & 0xfff) + 1, .users = 1, .phase = true, .interrupts = true,
                         .base = n->s.acq };
    n->s.csts = CSTS_RDY;
}

static void write_cc(Nvme *n, uint32_t value)
{
    uint32_t old = n->s.cc;

    if (n->resetting) {
        return;
    }
    n->s.cc = value & 0x00ffc7f1;
    if ((value & CC_EN) && !(old & CC_EN)) {
        start(n);
    } else if (!(value & CC_EN) && (old & CC_EN)) {
        n->resetting = true;
        n->s.cc |= CC_EN; /* until it is done, CSTS.RDY stays */
        if (!n->in_flight) {
            finish_reset(n);
        }
        return;
    }
    if ((value & CC_SHN) && !(old & CC_SHN)) {
        n->s.csts = (n->s.csts & ~CSTS_SHST) | CSTS_SHST_BUSY;
        n->shutting_down = true;
        if (!n->in_flight) {
            nvme_drained(n);
        }
    } else if (!(value & CC_SHN) && (old & CC_SHN)) {
        n->s.csts &= ~CSTS_SHST;
        n->shutting_down = false;
    }
}

/* ---- registers ---- */

static uint64_t capabilities(void)
{
    /* Queues of 2048 entries, contiguous ones; 7.5 s; NVM commands; pages of 4 to 64 KiB. */
    return (NVME_MAX_ENTRIES - 1) | 1 << 16 | 15 << 24 | UINT64_C(1) << 37 | UINT64_C(4) << 52;
}

static uint64_t read_register(const Nvme *n, PhysAddr offset)
{
    switch (offset) {
    case REG_CAP:
        return capabilities();
    case REG_VS:
        return 0x00010400 | (uint64_t)n->s.intms << 32;
    case REG_INTMC:
        return n->s.intms | (uint64_t)n->s.cc << 32;
    case REG_CSTS - 4:
        return (uint64_t)n->s.csts << 32;
    case REG_NSSR:
        return (uint64_t)n->s.aqa << 32;
    case REG_ASQ:
        return n->s.asq;
    case REG_ACQ:
        return n->s.acq;
    default:
        return 0;
    }
}

static uint64_t nvme_read(void *opaque, PhysAddr offset, unsigned size)
{
    Nvme *n = opaque;
    uint64_t value;

    g_mutex_lock(&n->lock);
    value = offset < DOORBELLS ? read_register(n, offset & ~7u) : 0;
    g_mutex_unlock(&n->lock);
    return value >> (offset & 7) * 8;
}

static void write_half(uint64_t *reg, PhysAddr offset, uint64_t value, unsigned size)
{
    *reg = bits_set(*reg, (offset & 7) * 8, size * 8, value);
}

static void write_register(Nvme *n, PhysAddr offset, uint64_t value, unsigned size)
{
    switch (offset) {
    case REG_INTMS:
        n->s.intms |= value;
        nvme_update_intx(n);
        break;
    case REG_INTMC:
        n->s.intms &= ~value;
        nvme_update_intx(n);
        break;
    case REG_CC:
        write_cc(n, value);
        break;
    case REG_AQA:
        n->s.aqa = value & 0x0fff0fff;
        break;
    case REG_ASQ:
    case REG_ASQ + 4:
        write_half(&n->s.asq, offset, value, size);
        break;
    case REG_ACQ:
    case REG_ACQ + 4:
        write_half(&n->s.acq, offset, value, size);
        break;
    }
}

static void nvme_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Nvme *n = opaque;

    g_mutex_lock(&n->lock);
    if (offset >= DOORBELLS) {
        nvme_doorbell(n, (offset - DOORBELLS) / 4, value);
    } else if (size == 8 && offset != REG_ASQ && offset != REG_ACQ) {
        write_register(n, offset, (uint32_t)value, 4);
        write_register(n, offset + 4, value >> 32, 4);
    } else {
        write_register(n, offset, value, size);
    }
    nvme_unlock(n);
}

static const RegionOps nvme_ops = { nvme_read, nvme_write, 4, 8, ENDIAN_LITTLE };

void nvme_set_write_cache(Nvme *n, bool on)
{
    n->s.write_cache = on;
    for (unsigned i = 1; i <= n->highest_ns; i++) {
        if (n->ns[i]) {
            block_set_write_cache(n->ns[i]->blk, on);
        }
    }
}

void nvme_ns_changed(Nvme *n, uint32_t nsid)
{
    n->s.changed_ns[nsid / 8] |= 1 << nsid % 8;
    if (n->s.event_config & 1 << 8) {
        nvme_event(n, 2, 0x040000);
    }
}

/* ---- life ---- */

/* Lets the host finish what it has, without completions for the guest. In the main loop. */
static void quiesce(Nvme *n)
{
    g_mutex_lock(&n->lock);
    n->resetting = true;
    g_mutex_unlock(&n->lock);
    for (unsigned i = 1; i <= n->highest_ns; i++) {
        if (n->ns[i]) {
            block_drain(n->ns[i]->blk);
        }
    }
    g_mutex_lock(&n->lock);
    n->resetting = false;
    forget_queues(n);
    memset(n->vectors_due, 0, sizeof(n->vectors_due));
    n->interrupts_due = false;
    g_mutex_unlock(&n->lock);
}

static void nvme_reset(Device *dev)
{
    Nvme *n = (Nvme *)dev;

    quiesce(n);
    state_reset(NvmeState_fields, &n->s);
    n->intx = false;
}

static bool check_properties(Nvme *n, GError **error)
{
    if (!n->serial || !*n->serial) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "nvme: needs serial=");
        return false;
    }
    if (n->num_queues) { /* the older spelling counts the admin queue, too */
        n->max_pairs = n->num_queues - 1;
    }
    if (n->max_pairs < 1 || n->max_pairs > 2047) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "property 'nvme.max_ioqpairs': %u is not from 1 to 2047", n->max_pairs);
        return false;
    }
    if (!n->vectors) {
        n->vectors = MIN(n->max_pairs + 1, 2048);
    }
    if (n->vectors > 2048) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "property 'nvme.msix_qsize': %u is not from 1 to 2048", n->vectors);
        return false;
    }
    if (n->mdts > 12) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "property 'nvme.mdts': %u is more than 12 (16 MiB)", n->mdts);
        return false;
    }
    if (n->thread_id) {
        n->thread = iothread_find(n->thread_id);
        if (!n->thread) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "property 'nvme.iothread': no iothread '%s'", n->thread_id);
            return false;
        }
    }
    return true;
}

/* drive= stands for a namespace of its own. */
static bool add_first_namespace(Nvme *n, GError **error)
{
    NvmeNs *ns;
    g_autofree char *id = g_strdup_printf("%s.ns1", n->pci.dev.id);

    if (!n->blk) {
        return true;
    }
    ns = (NvmeNs *)device_new(&nvme_ns_type, id);
    ns->blk = n->blk;
    ns->nsid = 1;
    ns->logical_block = n->logical_block;
    ns->physical_block = n->physical_block;
    ns->discard_granularity = n->discard_granularity;
    if (!device_realize(&ns->dev, &n->bus, error)) {
        device_free(&ns->dev);
        return false;
    }
    return true;
}

static bool nvme_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x1b36, .device = 0x0010, .class_rev = 0x010802 << 8 | 0x02,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .interrupt_pin = 1,
    };
    Nvme *n = (Nvme *)dev;
    uint64_t table, pba, size = 1;

    if (!check_properties(n, error)) {
        return false;
    }
    pci_device_init(&n->pci, &info);
    table = round_up(DOORBELLS + (n->max_pairs + 1) * 8, 4096);
    pba = round_up(table + n->vectors * 16, 4096);
    while (size < pba + 4096) {
        size *= 2;
    }
    n->bar = region_new_io("nvme", &nvme_ops, n, size);
    pci_register_bar(&n->pci, 0, PCI_BAR_MEM64, n->bar);
    if (!pci_msix_init(&n->pci, n->vectors, 0, n->bar, table, pba, error)) {
        return false;
    }
    g_mutex_init(&n->lock);
    n->sq = g_new0(NvmeSq, n->max_pairs + 1);
    n->cq = g_new0(NvmeCq, n->max_pairs + 1);
    n->vector_off = g_new0(bool, n->vectors);
    bus_init(&n->bus, NVME_BUS, dev->id, dev);
    if (n->thread) {
        iothread_ref(n->thread);
        pci_msix_want_wires(&n->pci);
    }
    return add_first_namespace(n, error);
}

static void nvme_unrealize(Device *dev)
{
    Nvme *n = (Nvme *)dev;

    n->s.csts = 0;
    quiesce(n);
    while (n->later) { /* calls that are on their way see that the controller is off */
        main_loop_step(false);
    }
    bus_clear(&n->bus);
    while (n->free_requests) {
        NvmeRequest *r = n->free_requests;

        n->free_requests = r->next;
        dma_list_free(&r->list);
        g_free(r);
    }
    if (n->thread) {
        iothread_unref(n->thread);
    }
    g_free(n->sq);
    g_free(n->cq);
    g_free(n->vector_off);
    g_mutex_clear(&n->lock);
}

/* ---- snapshots: the queues, of which there are as many as a property says ---- */

static void nvme_save(Device *dev, GKeyFile *out)
{
    Nvme *n = (Nvme *)dev;

    for (unsigned i = 0; i <= n->max_pairs; i++) {
        const NvmeSq *sq = &n->sq[i];
        const NvmeCq *cq = &n->cq[i];
        g_autofree char *sq_key = g_strdup_printf("sq.%u", i), *cq_key = g_strdup_printf("cq.%u", i);
        guint64 s[] = { sq->size, sq->head, sq->tail, sq->cq, sq->base };
        guint64 c[] = { cq->size, cq->head, cq->tail, cq->vector, cq->phase, cq->interrupts, cq->base };
        g_autoptr(GString) s_text = g_string_new(NULL), c_text = g_string_new(NULL);

        for (size_t k = 0; k < G_N_ELEMENTS(s); k++) {
            g_string_append_printf(s_text, "%s%" G_GINT64_MODIFIER "x", k ? " " : "", s[k]);
        }
        for (size_t k = 0; k < G_N_ELEMENTS(c); k++) {
            g_string_append_printf(c_text, "%s%" G_GINT64_MODIFIER "x", k ? " " : "", c[k]);
        }
        if (sq->size) {
            g_key_file_set_string(out, dev->id, sq_key, s_text->str);
        }
        if (cq->size) {
            g_key_file_set_string(out, dev->id, cq_key, c_text->str);
        }
    }
}

/* Hexadecimal numbers in a key; false if it is there and has another count. A missing key gives zeros. */
static bool get_numbers(GKeyFile *in, const char *id, const char *prefix, unsigned number, uint64_t *out, unsigned count)
{
    g_autofree char *key = g_strdup_printf("%s.%u", prefix, number);
    g_autofree char *text = g_key_file_get_string(in, id, key, NULL);
    g_auto(GStrv) words = g_strsplit(text ? text : "", " ", -1);

    memset(out, 0, count * sizeof(*out));
    if (!text) {
        return true;
    }
    if (g_strv_length(words) != count) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        out[i] = g_ascii_strtoull(words[i], NULL, 16);
    }
    return true;
}

static bool load_queues(Nvme *n, GKeyFile *in)
{
    const char *id = n->pci.dev.id;
    uint64_t v[7];

    for (unsigned i = 0; i <= n->max_pairs; i++) {
        if (!get_numbers(in, id, "cq", i, v, 7)) {
            return false;
        }
        if (v[0] && (v[0] < 2 || v[0] > 4096 || v[1] >= v[0] || v[2] >= v[0] || v[3] >= MAX(n->vectors, 32) ||
                     v[3] >= 2048)) {
            return false;
        }
        n->cq[i] = (NvmeCq){ .size = v[0], .head = v[1], .tail = v[2], .vector = v[3], .phase = v[4] & 1,
                             .interrupts = v[5] & 1, .base = v[6] };
    }
    for (unsigned i = 0; i <= n->max_pairs; i++) {
        if (!get_numbers(in, id, "sq", i, v, 5)) {
            return false;
        }
        if (v[0] && (v[0] < 2 || v[0] > 4096 || v[1] >= v[0] || v[2] >= v[0] || v[3] > n->max_pairs || !n->cq[v[3]].size)) {
            return false;
        }
        n->sq[i] = (NvmeSq){ .size = v[0], .head = v[1], .tail = v[2], .cq = v[3], .base = v[4] };
        if (v[0]) {
            n->cq[v[3]].users++;
        }
    }
    return true;
}

static bool nvme_load(Device *dev, GKeyFile *in, GError **error)
{
    Nvme *n = (Nvme *)dev;
    NvmeState loaded = n->s;

    quiesce(n);
    n->s = loaded;
    if (!load_queues(n, in) || n->s.events > NVME_MAX_EVENTS ||
        ((n->s.csts & CSTS_RDY) && (!n->sq[0].size || !n->cq[0].size || (n->s.cc >> 7 & 15) > 4))) {
        forget_queues(n);
        n->s.csts = 0;
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad queues of '%s'", dev->id);
        return false;
    }
    nvme_set_write_cache(n, n->s.write_cache);
    n->intx = false;
    g_mutex_lock(&n->lock);
    nvme_update_intx(n);
    n->interrupts_due = false; /* the wire itself is in the snapshot of the bus */
    g_mutex_unlock(&n->lock);
    return true;
}

/* ---- types ---- */

static const Prop nvme_props[] = {
    PCI_PROPS(Nvme),
    PROP(Nvme, blk, "drive", PROP_DRIVE, NULL, "drive or block node of namespace 1"),
    PROP(Nvme, serial, "serial", PROP_STRING, NULL, "serial number"),
    PROP(Nvme, max_pairs, "max_ioqpairs", PROP_U32, "64", "pairs of I/O queues"),
    PROP(Nvme, num_queues, "num_queues", PROP_U32, "0", "the same with the admin queue, 0: not given"),
    PROP(Nvme, vectors, "msix_qsize", PROP_U32, "0", "interrupt vectors, 0: one per queue"),
    PROP(Nvme, mdts, "mdts", PROP_U8, "7", "largest transfer: 4 KiB << mdts, 0: no limit"),
    PROP(Nvme, logical_block, "logical_block_size", PROP_U32, "0", "bytes, 0: as the drive has"),
    PROP(Nvme, physical_block, "physical_block_size", PROP_U32, "0", "bytes, 0: as the drive has"),
    PROP(Nvme, discard_granularity, "discard_granularity", PROP_I32, "-1", "bytes, -1: as the image has"),
    PROP(Nvme, thread_id, "iothread", PROP_STRING, NULL, "runs the queues, beside the main loop"),
    { 0 },
};

const DeviceType nvme_type = {
    .name = "nvme",
    .about = "NVM Express controller",
    .bus = "pci",
    .user = true,
    .hotplug = true,
    .size = sizeof(Nvme),
    .state_at = offsetof(Nvme, s),
    .state = NvmeState_fields,
    .props = nvme_props,
    .realize = nvme_realize,
    .unrealize = nvme_unrealize,
    .reset = nvme_reset,
    .save_extra = nvme_save,
    .load_extra = nvme_load,
};
