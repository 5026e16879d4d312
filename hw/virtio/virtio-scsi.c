/*
 * Virtio SCSI host adapter: commands, task management and events through queues.
 *
 * VIRTIO 1.2, 5.6.
 */
#include "hw/scsi/scsi.h"
#include "hw/virtio/virtio.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

enum { F_INOUT = 0, F_HOTPLUG = 1, F_CHANGE = 2 };
enum { QUEUE_CONTROL, QUEUE_EVENTS, QUEUE_COMMANDS };
enum { TMF = 0, EVENTS_QUERY = 1, EVENTS_SUBSCRIBE = 2 };
enum {
    ABORT_TASK, ABORT_TASK_SET, CLEAR_ACA, CLEAR_TASK_SET, NEXUS_RESET, UNIT_RESET, QUERY_TASK, QUERY_TASK_SET,
};
enum {
    RESPONSE_OK = 0, RESPONSE_OVERRUN = 1, RESPONSE_ABORTED = 2, RESPONSE_BAD_TARGET = 3, RESPONSE_RESET = 4,
    RESPONSE_FAILURE = 9, RESPONSE_SUCCEEDED = 10, RESPONSE_REJECTED = 11, RESPONSE_BAD_LUN = 12,
};
enum { EVENT_TRANSPORT_RESET = 1, EVENT_PARAMETERS = 3 };
enum { REASON_RESCAN = 1, REASON_REMOVED = 2, REASON_CAPACITY = 0x2a | 0x09 << 8 };
#define EVENTS_MISSED 0x80000000u
#define CONFIG_SIZE   36
#define SENSE_MAX     255
#define MAX_TARGET    255
#define MAX_LUN       16383
#define HEADER_SIZE   19 /* of a command, before its CDB */
#define ANSWER_SIZE   12 /* before the sense data */

/* Reset by the driver: kept by save and load here, for the core resets the device before a load. */
typedef struct VirtioScsiState {
    uint32_t sense_size, cdb_size;
    bool events_missed;
} VirtioScsiState;

static const VirtioScsiState initial_state = { .sense_size = 96, .cdb_size = 32 };

typedef struct VirtioScsi {
    VirtioDevice v;
    VirtioScsiState s;
    ScsiBus *bus;
    uint32_t queues, queue_size, max_sectors, cmd_per_lun;
    bool hotplug, param_change;
    char *thread_id;
    unsigned under_way; /* commands with chains */
} VirtioScsi;

typedef struct Command {
    VirtqChain chain;
    VirtioScsi *s;
    ScsiRequest *r;
    struct iovec *data;
    uint8_t response; /* if it is cancelled */
    struct Management *waiter;
} Command;

/* A task management request that waits for what it cancelled. */
typedef struct Management {
    VirtqChain chain;
    unsigned waits;
} Management;

/* A chain whose queue was reset meanwhile is nobody's. */
static void end_chain(VirtqChain *chain, size_t written)
{
    VirtQueue *q = chain->queue;

    if (virtio_ready(virtq_device(q)) && virtq_enabled(q)) {
        virtq_push(chain, written);
        virtq_notify(q);
    } else {
        virtq_drop(chain);
    }
}

/* ---- the commands' answers ---- */

static void answer(Command *c, uint8_t response)
{
    uint8_t b[ANSWER_SIZE + SENSE_MAX] = { 0 };
    const ScsiRequest *r = c->r;
    VirtioScsi *s = c->s;
    uint32_t head = ANSWER_SIZE + s->s.sense_size;
    size_t room = MAX(c->chain.in_size, head) - head, moved = 0;

    b[11] = response;
    if (r && response == RESPONSE_OK) {
        size_t list = r->list_direction == SCSI_TO_HOST ? room : c->chain.out_size - HEADER_SIZE - s->s.cdb_size;

        b[10] = r->status;
        if (r->status == SCSI_CHECK_CONDITION) {
            store_le32(b, MIN(scsi_request_sense(r, b + ANSWER_SIZE), s->s.sense_size));
        }
        if (r->wanted > list) {
            b[11] = RESPONSE_OVERRUN;
        }
        store_le32(b + 4, list - MIN(r->moved, list));
        moved = r->list_direction == SCSI_TO_HOST ? r->moved : 0;
    }
    iov_write(c->chain.in, c->chain.in_count, 0, b, head);
    g_free(c->data);
    s->under_way--;
    end_chain(&c->chain, MIN(head + moved, c->chain.in_size));
}

static void complete(ScsiRequest *r)
{
    answer(r->hba, RESPONSE_OK);
    scsi_request_unref(r);
}

static void finish_management(Management *m, uint8_t response)
{
    iov_write(m->chain.in, m->chain.in_count, 0, &response, 1);
    end_chain(&m->chain, 1);
}

static void cancelled(ScsiRequest *r)
{
    Command *c = r->hba;
    Management *waiter = c->waiter;

    answer(c, c->response);
    scsi_request_unref(r);
    if (waiter && --waiter->waits == 0) {
        finish_management(waiter, RESPONSE_OK);
    }
}

/* ---- commands ---- */

typedef struct Address {
    int target, lun;
} Address;

/* False: not the form that a driver may use (5.6.6.1). */
static bool parse_lun(const uint8_t b[8], Address *address)
{
    address->target = b[1];
    address->lun = load_be16(b + 2) & 0x3fff;
    return b[0] == 1 && (b[2] == 0 || (b[2] & 0xc0) == 0x40);
}

/* The data part of the chain as a list of its own. */
static int data_list(Command *c, ScsiRequest *r)
{
    uint32_t head = HEADER_SIZE + c->s->s.cdb_size, answer_head = ANSWER_SIZE + c->s->s.sense_size;
    bool out = c->chain.out_size > head;
    unsigned count = out ? c->chain.out_count : c->chain.in_count;

    r->list_direction = out ? SCSI_FROM_HOST : SCSI_TO_HOST;
    c->data = g_new(struct iovec, MAX(count, 1));
    return out ? (int)iov_part(c->chain.out, count, head, c->chain.out_size - head, c->data)
               : (int)iov_part(c->chain.in, count, answer_head, c->chain.in_size - answer_head, c->data);
}

static void run_command(VirtioScsi *s, Command *c)
{
    uint8_t head[HEADER_SIZE], cdb[SCSI_CDB_MAX] = { 0 };
    uint32_t cdb_size = s->s.cdb_size;
    Address address;

    c->s = s;
    s->under_way++;
    if (c->chain.out_size < HEADER_SIZE + cdb_size || c->chain.in_size < ANSWER_SIZE + s->s.sense_size) {
        virtio_error(&s->v, "a command with %zu and %zu bytes", c->chain.out_size, c->chain.in_size);
        s->under_way--;
        virtq_drop(&c->chain);
        return;
    }
    iov_read(c->chain.out, c->chain.out_count, 0, head, sizeof(head));
    iov_read(c->chain.out, c->chain.out_count, HEADER_SIZE, cdb, MIN(cdb_size, SCSI_CDB_MAX));
    if (!parse_lun(head, &address) || !scsi_target_exists(s->bus, 0, address.target)) {
        answer(c, RESPONSE_BAD_TARGET);
        return;
    }
    if (c->chain.out_size > HEADER_SIZE + cdb_size && c->chain.in_size > ANSWER_SIZE + s->s.sense_size) {
        answer(c, RESPONSE_FAILURE); /* both ways at once: no command here does that */
        return;
    }
    c->r = scsi_request_new(s->bus, 0, address.target, address.lun, load_le64(head + 8), cdb, 0, c);
    scsi_request_start(c->r, c->data, data_list(c, c->r));
}

/* ---- task management ---- */

typedef struct Choice {
    Management *m;
    bool one;       /* only this tag */
    uint64_t tag;
    bool look;      /* QUERY: count them */
    bool reset;
    unsigned found;
} Choice;

static void choose(ScsiRequest *r, void *opaque)
{
    Choice *choice = opaque;
    Command *c = r->hba;

    if (choice->one && r->tag != choice->tag) {
        return;
    }
    choice->found++;
    if (!choice->look) {
        c->response = choice->reset ? RESPONSE_RESET : RESPONSE_ABORTED;
        c->waiter = choice->m;
        choice->m->waits++;
        scsi_request_cancel(r);
    }
}

static void reset_units(VirtioScsi *s, Choice *choice, int target, ScsiDevice *only)
{
    choice->reset = true;
    for (guint i = 0; i < s->bus->units->len; i++) {
        ScsiDevice *dev = s->bus->units->pdata[i];

        if (only ? dev == only : scsi_device_target(dev) == target) {
            scsi_request_for_each(s->bus, dev, choose, choice);
            scsi_device_reset(dev);
        }
    }
}

static void manage_tasks(VirtioScsi *s, Management *m, const uint8_t b[24])
{
    uint32_t kind = load_le32(b + 4);
    Choice choice = { .m = m, .tag = load_le64(b + 16), .one = kind == ABORT_TASK || kind == QUERY_TASK,
                      .look = kind == QUERY_TASK || kind == QUERY_TASK_SET };
    uint8_t response = RESPONSE_OK;
    Address address;
    ScsiDevice *dev;

    m->waits = 1; /* ours, until all are cancelled */
    if (!parse_lun(b + 8, &address) || !scsi_target_exists(s->bus, 0, address.target)) {
        finish_management(m, RESPONSE_BAD_TARGET);
        return;
    }
    dev = scsi_device_find(s->bus, 0, address.target, address.lun);
    if (!dev && kind != NEXUS_RESET) {
        finish_management(m, RESPONSE_BAD_LUN);
        return;
    }
    switch (kind) {
    case ABORT_TASK:
    case ABORT_TASK_SET:
    case CLEAR_TASK_SET:
    case QUERY_TASK:
    case QUERY_TASK_SET:
        scsi_request_for_each(s->bus, dev, choose, &choice);
        break;
    case UNIT_RESET:
    case NEXUS_RESET:
        reset_units(s, &choice, address.target, kind == UNIT_RESET ? dev : NULL);
        break;
    case CLEAR_ACA:
    default:
        response = RESPONSE_REJECTED;
    }
    if (choice.look && choice.found) {
        response = RESPONSE_SUCCEEDED;
    }
    if (--m->waits == 0) {
        finish_management(m, response);
    }
}

static void control(VirtioScsi *s, Management *m)
{
    uint8_t b[24] = { 0 }, out[5] = { 0 };
    size_t size = iov_read(m->chain.out, m->chain.out_count, 0, b, sizeof(b));
    uint32_t type = load_le32(b);

    if (type == TMF && size == 24 && m->chain.in_size >= 1) {
        manage_tasks(s, m, b);
    } else if ((type == EVENTS_QUERY || type == EVENTS_SUBSCRIBE) && size >= 16 && m->chain.in_size >= 5) {
        iov_write(m->chain.in, m->chain.in_count, 0, out, 5); /* there are no such events */
        end_chain(&m->chain, 5);
    } else {
        virtio_error(&s->v, "a control request of type %u with %zu and %zu bytes", type, m->chain.out_size,
                     m->chain.in_size);
        virtq_drop(&m->chain);
    }
}

/* ---- events ---- */

static void send_event(VirtioScsi *s, uint32_t event, const ScsiDevice *dev, uint32_t reason)
{
    VirtQueue *q = virtio_queue(&s->v, QUEUE_EVENTS);
    VirtqChain *chain;
    uint8_t b[16] = { 0 };

    if (!virtio_ready(&s->v)) {
        return;
    }
    chain = virtq_pop(q, sizeof(*chain));
    if (!chain) {
        s->s.events_missed = true;
        return;
    }
    store_le32(b, event | (s->s.events_missed ? EVENTS_MISSED : 0));
    s->s.events_missed = false;
    if (dev) {
        int lun = scsi_device_lun(dev);

        b[4] = 1;
        b[5] = scsi_device_target(dev);
        b[6] = lun >= 256 ? 0x40 | lun >> 8 : 0;
        b[7] = lun;
    }
    store_le32(b + 12, reason);
    virtq_push(chain, iov_write(chain->in, chain->in_count, 0, b, sizeof(b)));
    virtq_notify(q);
}

static void changed(ScsiBus *bus, ScsiDevice *dev, ScsiChange change)
{
    VirtioScsi *s = bus->hba;

    if (change == SCSI_MEDIUM_CHANGED) {
        if (virtio_has(&s->v, F_CHANGE)) {
            send_event(s, EVENT_PARAMETERS, dev, REASON_CAPACITY);
        }
    } else if (virtio_has(&s->v, F_HOTPLUG)) {
        send_event(s, EVENT_TRANSPORT_RESET, dev, change == SCSI_ATTACHED ? REASON_RESCAN : REASON_REMOVED);
    }
}

/* ---- the device ---- */

static void enter(ScsiBus *bus)
{
    virtio_lock(&((VirtioScsi *)bus->hba)->v);
}

static void leave(ScsiBus *bus)
{
    virtio_unlock(&((VirtioScsi *)bus->hba)->v);
}

static const ScsiHbaOps hba_ops = {
    .channels = 1, .targets = MAX_TARGET + 1, .luns = MAX_LUN + 1, .autosense = true, .complete = complete,
    .cancelled = cancelled, .changed = changed, .enter = enter, .leave = leave,
};

static void plug(VirtioScsi *s, bool on)
{
    for (guint i = 0; i < s->bus->units->len; i++) {
        scsi_device_plug(s->bus->units->pdata[i], on);
    }
}

static void scsi_notify(VirtioDevice *v, VirtQueue *q)
{
    VirtioScsi *s = (VirtioScsi *)v;
    unsigned index = virtq_index(q);
    void *request;

    if (index == QUEUE_EVENTS) {
        if (s->s.events_missed) {
            send_event(s, 0, NULL, 0);
        }
    } else if (index == QUEUE_CONTROL) {
        while ((request = virtq_pop(q, sizeof(Management)))) {
            control(s, request);
        }
    } else {
        plug(s, true);
        while ((request = virtq_pop(q, sizeof(Command)))) {
            run_command(s, request);
        }
        plug(s, false);
    }
}

static void wait_for_units(VirtioScsi *s)
{
    for (guint i = 0; i < s->bus->units->len; i++) {
        scsi_device_wait(s->bus->units->pdata[i]);
    }
}

static void forget(ScsiRequest *r, void *opaque)
{
    Command *c = r->hba;

    if (!opaque || c->chain.queue == opaque) {
        c->response = RESPONSE_RESET;
        scsi_request_cancel(r);
    }
}

static void scsi_reset(VirtioDevice *v, VirtQueue *q)
{
    VirtioScsi *s = (VirtioScsi *)v;

    virtio_lock(v);
    scsi_request_for_each(s->bus, NULL, forget, q);
    virtio_unlock(v);
    wait_for_units(s);
    if (!q) {
        virtio_lock(v);
        scsi_bus_reset(s->bus);
        virtio_unlock(v);
        s->s = initial_state;
    }
}

static uint64_t scsi_features(VirtioDevice *v)
{
    const VirtioScsi *s = (const VirtioScsi *)v;

    return (s->hotplug ? VIRTIO_BIT(F_HOTPLUG) : 0) | (s->param_change ? VIRTIO_BIT(F_CHANGE) : 0);
}

static void scsi_config(VirtioDevice *v, uint8_t *b)
{
    const VirtioScsi *s = (const VirtioScsi *)v;

    store_le32(b, s->queues);
    store_le32(b + 4, s->queue_size - 2); /* segments of a command */
    store_le32(b + 8, s->max_sectors);
    store_le32(b + 12, s->cmd_per_lun);
    store_le32(b + 16, 16); /* bytes of an event */
    store_le32(b + 20, s->s.sense_size);
    store_le32(b + 24, s->s.cdb_size);
    store_le16(b + 28, 0);
    store_le16(b + 30, MAX_TARGET);
    store_le32(b + 32, MAX_LUN);
}

/* The sizes of sense data and of CDBs are the driver's to choose. */
static void scsi_set_config(VirtioDevice *v, unsigned offset, const uint8_t *bytes, unsigned size)
{
    VirtioScsi *s = (VirtioScsi *)v;
    uint8_t b[CONFIG_SIZE];

    scsi_config(v, b);
    memcpy(b + offset, bytes, MIN(size, CONFIG_SIZE - offset));
    if (s->under_way) {
        guest_error(v->pci.dev.id, "sizes change while commands are under way");
        return;
    }
    s->s.sense_size = MIN(load_le32(b + 20), SENSE_MAX);
    s->s.cdb_size = MIN(load_le32(b + 24), 255);
}

static bool scsi_realize(VirtioDevice *v, GError **error)
{
    VirtioScsi *s = (VirtioScsi *)v;
    IoThread *thread = NULL;

    if (s->thread_id && *s->thread_id && !(thread = iothread_find(s->thread_id))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "no iothread '%s'; -object iothread,id=%s makes one", s->thread_id,
                    s->thread_id);
        return false;
    }
    if (s->queues < 1 || s->queues > VIRTIO_MAX_QUEUES - QUEUE_COMMANDS) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "property 'num_queues': %u is not from 1 to %d", s->queues,
                    VIRTIO_MAX_QUEUES - QUEUE_COMMANDS);
        return false;
    }
    if (s->queue_size < 4 || s->queue_size > VIRTQ_MAX_SIZE || (s->queue_size & (s->queue_size - 1))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "property 'virtqueue_size': %u is not a power of two from 4 to %d",
                    s->queue_size, VIRTQ_MAX_SIZE);
        return false;
    }
    for (unsigned i = 0; i < QUEUE_COMMANDS + s->queues; i++) {
        virtio_add_queue(v, s->queue_size);
    }
    if (thread) {
        virtio_set_iothread(v, thread);
    }
    s->bus = scsi_bus_new(&v->pci.dev, &hba_ops, s);
    s->bus->thread = thread;
    s->s = initial_state;
    return true;
}

static void scsi_unrealize(VirtioDevice *v)
{
    VirtioScsi *s = (VirtioScsi *)v;

    scsi_bus_free(s->bus);
    virtio_set_iothread(v, NULL);
}

static void scsi_save(VirtioDevice *v, GKeyFile *out)
{
    VirtioScsi *s = (VirtioScsi *)v;
    const char *id = v->pci.dev.id;

    wait_for_units(s);
    g_key_file_set_integer(out, id, "scsi.sense_size", s->s.sense_size);
    g_key_file_set_integer(out, id, "scsi.cdb_size", s->s.cdb_size);
    g_key_file_set_boolean(out, id, "scsi.events_missed", s->s.events_missed);
}

static bool scsi_load(VirtioDevice *v, GKeyFile *in, GError **error)
{
    VirtioScsi *s = (VirtioScsi *)v;
    const char *id = v->pci.dev.id;

    s->s.sense_size = CLAMP(g_key_file_get_integer(in, id, "scsi.sense_size", NULL), 0, SENSE_MAX);
    s->s.cdb_size = CLAMP(g_key_file_get_integer(in, id, "scsi.cdb_size", NULL), 0, 255);
    s->s.events_missed = g_key_file_get_boolean(in, id, "scsi.events_missed", NULL);
    return true;
}

static const VirtioClass scsi_class = {
    .name = "virtio-scsi", .id = VIRTIO_ID_SCSI, .legacy_id = 0x1004, .pci_class = 0x010000,
    .config_size = CONFIG_SIZE, .realize = scsi_realize, .unrealize = scsi_unrealize, .features = scsi_features,
    .get_config = scsi_config, .set_config = scsi_set_config, .notify = scsi_notify, .reset = scsi_reset,
    .save = scsi_save, .load = scsi_load,
};

static const Prop scsi_props[] = {
    VIRTIO_PROPS(VirtioScsi),
    PROP(VirtioScsi, queues, "num_queues", PROP_U32, "1", "request queues"),
    PROP(VirtioScsi, queue_size, "virtqueue_size", PROP_U32, "256", "entries of a queue"),
    PROP(VirtioScsi, max_sectors, "max_sectors", PROP_U32, "65535", "of 512 bytes, in a command"),
    PROP(VirtioScsi, cmd_per_lun, "cmd_per_lun", PROP_U32, "128", "commands that a unit should get at once"),
    PROP(VirtioScsi, hotplug, "hotplug", PROP_BOOL, "on", "tell the driver of units that come and go"),
    PROP(VirtioScsi, param_change, "param_change", PROP_BOOL, "on", "and of media that change"),
    PROP(VirtioScsi, thread_id, "iothread", PROP_STRING, NULL, "-object iothread that serves the queues"),
    { 0 },
};

VIRTIO_TYPES(virtio_scsi, "virtio-scsi", "virtio-scsi", "Virtio SCSI host adapter", VirtioScsi, &scsi_class, scsi_props,
             NULL, 0, true);
