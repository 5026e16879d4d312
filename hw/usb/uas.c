/*
 * USB attached SCSI: many commands at a time over four pipes.
 *
 * Information technology: USB Attached SCSI (UAS), T10/2095-D. At SuperSpeed each command's data and status
 * have the stream of its tag; below that, READ READY and WRITE READY say whose data come next.
 */
#include "hw/scsi/scsi.h"
#include "hw/usb/usb.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

enum { IU_COMMAND = 1, IU_SENSE = 3, IU_RESPONSE = 4, IU_TASK = 5, IU_READ_READY = 6, IU_WRITE_READY = 7 };
enum { PIPE_COMMAND = 0x01, PIPE_STATUS = 0x82, PIPE_IN = 0x83, PIPE_OUT = 0x04 };
enum { RC_COMPLETE = 0, RC_INVALID_IU = 2, RC_NOT_SUPPORTED = 4, RC_SUCCEEDED = 8, RC_WRONG_LUN = 9, RC_OVERLAPPED = 10 };
enum { TASK_ABORT = 0x01, TASK_ABORT_SET = 0x02, TASK_CLEAR_SET = 0x04, TASK_RESET_UNIT = 0x08, TASK_RESET_NEXUS = 0x10,
       TASK_QUERY = 0x80 };
#define MAX_LUNS     16
#define MAX_COMMANDS 256
#define MAX_STATUSES (4 * MAX_COMMANDS) /* that the host has not read: it may say nothing more before it does */
#define STREAMS_LOG2 4
#define MAX_IU       (16 + SCSI_SENSE_SIZE)

typedef struct Uas Uas;

typedef struct Command {
    Uas *u;
    uint16_t tag;
    ScsiRequest *request; /* NULL: over; the host's buffer may still want to be ended */
    ScsiDirection direction;
    uint8_t *chunk;
    uint32_t chunk_left;
    bool announced; /* READ READY or WRITE READY was sent */
} Command;

typedef struct StatusIu {
    uint16_t tag;
    uint8_t size, bytes[MAX_IU];
} StatusIu;

struct Uas {
    UsbDevice usb;
    ScsiBus *scsi;
    GPtrArray *commands; /* of Command */
    GQueue statuses;     /* of StatusIu */
    Command *current[3]; /* by ScsiDirection, without streams: whose data the pipe carries */
};

static bool has_streams(const Uas *u)
{
    return u->usb.speed == USB_SUPER;
}

static Command *find_command(const Uas *u, uint16_t tag)
{
    for (guint i = 0; i < u->commands->len; i++) {
        Command *c = u->commands->pdata[i];

        if (c->tag == tag) {
            return c;
        }
    }
    return NULL;
}

/* ---- status ---- */

static void put_status(Uas *u, uint16_t tag, const uint8_t *bytes, size_t size)
{
    StatusIu *iu = g_new0(StatusIu, 1);

    iu->tag = tag;
    iu->size = size;
    memcpy(iu->bytes, bytes, size);
    g_queue_push_tail(&u->statuses, iu);
    usb_ready(&u->usb, PIPE_STATUS, has_streams(u) ? tag : 0);
}

static void put_response(Uas *u, uint16_t tag, uint8_t code)
{
    uint8_t iu[8] = { IU_RESPONSE, [7] = code };

    store_be16(iu + 2, tag);
    put_status(u, tag, iu, sizeof(iu));
}

static void put_ready(Command *c)
{
    uint8_t iu[4] = { c->direction == SCSI_TO_HOST ? IU_READ_READY : IU_WRITE_READY };

    c->announced = true;
    store_be16(iu + 2, c->tag);
    put_status(c->u, c->tag, iu, sizeof(iu));
}

/* Without streams one command at a time has each data pipe. */
static void announce_next(Uas *u, ScsiDirection direction)
{
    for (guint i = 0; i < u->commands->len && !u->current[direction]; i++) {
        Command *c = u->commands->pdata[i];

        if (c->request && c->chunk && c->direction == direction && !c->announced) {
            u->current[direction] = c;
            put_ready(c);
        }
    }
}

/* ---- the SCSI side ---- */

static void free_command(Command *c)
{
    Uas *u = c->u;

    if (u->current[c->direction] == c) {
        u->current[c->direction] = NULL;
    }
    g_ptr_array_remove(u->commands, c);
    g_free(c);
}

static void give_up(Command *c)
{
    ScsiRequest *r = g_steal_pointer(&c->request);

    free_command(c);
    if (r) {
        r->hba = NULL;
        scsi_request_cancel(r);
    }
}

static void give_up_all(Uas *u)
{
    while (u->commands->len) {
        give_up(u->commands->pdata[u->commands->len - 1]);
    }
    g_queue_clear_full(&u->statuses, g_free);
}

static void scsi_data(ScsiRequest *r, ScsiDirection direction, uint8_t *data, uint32_t size)
{
    Command *c = r->hba;

    c->direction = direction;
    c->chunk = data;
    c->chunk_left = size;
    if (!has_streams(c->u)) {
        announce_next(c->u, direction);
    }
    usb_ready(&c->u->usb, direction == SCSI_TO_HOST ? PIPE_IN : PIPE_OUT, has_streams(c->u) ? c->tag : 0);
}

static void scsi_complete(ScsiRequest *r)
{
    Command *c = r->hba;
    Uas *u = c->u;
    uint8_t iu[MAX_IU] = { IU_SENSE };
    uint16_t tag = c->tag;
    size_t size = 16;

    store_be16(iu + 2, tag);
    iu[6] = r->status;
    if (r->status == SCSI_CHECK_CONDITION) {
        size += scsi_request_sense(r, iu + 16);
        store_be16(iu + 14, size - 16);
    }
    c->request = NULL;
    c->chunk = NULL;
    scsi_request_unref(r);
    /* First, so that what the host has room for beyond the data ends with an empty packet: see give_data. */
    usb_ready(&u->usb, PIPE_IN, has_streams(u) ? tag : 0);
    put_status(u, tag, iu, size);
}

static void scsi_cancelled(ScsiRequest *r)
{
    scsi_request_unref(r);
}

/* Units that come or go while the guest runs are seen after plugging in again. */
static void units_changed(ScsiBus *bus, ScsiDevice *dev, ScsiChange change)
{
    Uas *u = bus->hba;

    if (change != SCSI_MEDIUM_CHANGED && u->usb.port) {
        usb_device_unplug(&u->usb);
        usb_device_plug(&u->usb);
    }
}

static const ScsiHbaOps hba_ops = {
    .channels = 1, .targets = 1, .luns = MAX_LUNS, .autosense = true, .data = scsi_data,
    .complete = scsi_complete, .cancelled = scsi_cancelled, .changed = units_changed,
};

/* ---- the USB side ---- */

static void start_command(Uas *u, const uint8_t *iu, size_t size)
{
    uint16_t tag = load_be16(iu + 2);
    Command *c = find_command(u, tag);
    unsigned cdb_size = 16 + (iu[6] >> 2) * 4;

    if (c && c->request) {
        put_response(u, tag, RC_OVERLAPPED);
        return;
    }
    if (c) { /* the tag's last command is forgotten by now */
        free_command(c);
    }
    if (size < 16 + cdb_size || cdb_size > SCSI_CDB_MAX || u->commands->len >= MAX_COMMANDS) {
        put_response(u, tag, RC_INVALID_IU);
        return;
    }
    c = g_new0(Command, 1);
    c->u = u;
    c->tag = tag;
    g_ptr_array_add(u->commands, c);
    /* A LUN of one level: bus 0, unit in the second byte. */
    c->request = scsi_request_new(u->scsi, 0, 0, iu[8] ? MAX_LUNS : iu[9], tag, iu + 16, 0, c);
    scsi_request_start(c->request, NULL, -1);
}

static void manage_task(Uas *u, const uint8_t *iu)
{
    uint16_t tag = load_be16(iu + 2);
    Command *c = find_command(u, load_be16(iu + 6));
    ScsiDevice *unit = scsi_device_find(u->scsi, 0, 0, iu[9]);

    switch (iu[4]) {
    case TASK_ABORT:
        if (c) {
            give_up(c);
        }
        put_response(u, tag, RC_COMPLETE);
        break;
    case TASK_QUERY:
        put_response(u, tag, c && c->request ? RC_SUCCEEDED : RC_COMPLETE);
        break;
    case TASK_ABORT_SET:
    case TASK_CLEAR_SET:
    case TASK_RESET_UNIT:
        for (guint i = u->commands->len; i-- > 0;) {
            Command *other = u->commands->pdata[i];

            if (!other->request || other->request->lun == iu[9]) {
                give_up(other);
            }
        }
        if (iu[4] == TASK_RESET_UNIT && unit) {
            scsi_device_reset(unit);
        }
        put_response(u, tag, unit ? RC_COMPLETE : RC_WRONG_LUN);
        break;
    case TASK_RESET_NEXUS:
        give_up_all(u);
        scsi_bus_reset(u->scsi);
        put_response(u, tag, RC_COMPLETE);
        break;
    default:
        put_response(u, tag, RC_NOT_SUPPORTED);
    }
}

static int take_iu(Uas *u, const uint8_t *iu, size_t size)
{
    if (u->statuses.length >= MAX_STATUSES) {
        return USB_NAK;
    }
    if (size >= 32 && iu[0] == IU_COMMAND) {
        start_command(u, iu, size);
    } else if (size >= 16 && iu[0] == IU_TASK) {
        manage_task(u, iu);
    } else if (size >= 4) {
        guest_error(u->usb.dev.id, "information unit %u of %zu bytes", iu[0], size);
        put_response(u, load_be16(iu + 2), RC_INVALID_IU);
    }
    return size;
}

/* The command has no more to say. */
static void leave_pipe(Command *c)
{
    Uas *u = c->u;
    ScsiDirection direction = c->direction;

    free_command(c);
    if (!has_streams(u)) {
        announce_next(u, direction);
    }
}

/* The host may use the tag again. */
static void status_went(Uas *u, const StatusIu *iu)
{
    Command *c = iu->bytes[0] == IU_SENSE ? find_command(u, iu->tag) : NULL;

    if (c && !c->request) {
        leave_pipe(c);
    }
}

static int give_status(Uas *u, unsigned stream, uint8_t *data, size_t size)
{
    for (GList *at = u->statuses.head; at; at = at->next) {
        StatusIu *iu = at->data;
        int n = iu->size;

        if (stream && iu->tag != stream) {
            continue;
        }
        if (size < iu->size) {
            return USB_BABBLE;
        }
        memcpy(data, iu->bytes, n);
        g_queue_delete_link(&u->statuses, at);
        if (u->statuses.length == MAX_STATUSES - 1) {
            usb_ready(&u->usb, PIPE_COMMAND, 0);
        }
        status_went(u, iu);
        g_free(iu);
        return n;
    }
    return USB_NAK;
}

static Command *data_command(Uas *u, unsigned stream, ScsiDirection direction)
{
    Command *c = stream ? find_command(u, stream) : u->current[direction];

    return c && c->direction == direction ? c : NULL;
}

static unsigned packet_size(const Uas *u)
{
    return usb_find_endpoint(&u->usb, PIPE_IN)->max_packet;
}

static int give_data(Uas *u, unsigned stream, uint8_t *data, size_t size)
{
    Command *c = data_command(u, stream, SCSI_TO_HOST);
    size_t done = 0;

    if (!c) {
        return USB_NAK;
    }
    while (done < size && c->chunk) {
        size_t n = MIN(size - done, c->chunk_left);

        memcpy(data + done, c->chunk, n);
        c->chunk += n;
        c->chunk_left -= n;
        done += n;
        if (!c->chunk_left) {
            c->chunk = NULL;
            scsi_request_continue(c->request);
        }
    }
    if (c->request) {
        return done ? (int)done : USB_NAK;
    }
    /* An empty or short packet was the end. Else a host with more room gets an empty one, until the status went. */
    if (done == 0 || done % packet_size(u)) {
        leave_pipe(c);
    }
    return done;
}

static int take_data(Uas *u, unsigned stream, const uint8_t *data, size_t size)
{
    Command *c = data_command(u, stream, SCSI_FROM_HOST);
    size_t done = 0;

    if (!c) {
        return USB_NAK;
    }
    while (done < size && c->chunk) {
        size_t n = MIN(size - done, c->chunk_left);

        memcpy(c->chunk, data + done, n);
        c->chunk += n;
        c->chunk_left -= n;
        done += n;
        if (!c->chunk_left) {
            c->chunk = NULL;
            scsi_request_continue(c->request);
        }
    }
    if (!c->request) { /* more than the command took goes nowhere */
        leave_pipe(c);
        return size;
    }
    return done ? (int)done : USB_NAK;
}

static int uas_data(UsbDevice *usb, uint8_t address, unsigned stream, uint8_t *data, size_t size)
{
    Uas *u = (Uas *)usb;

    switch (address) {
    case PIPE_COMMAND:
        return take_iu(u, data, size);
    case PIPE_STATUS:
        return give_status(u, stream, data, size);
    case PIPE_IN:
        return give_data(u, stream, data, size);
    default:
        return take_data(u, stream, data, size);
    }
}

static void uas_bus_reset(UsbDevice *usb)
{
    give_up_all((Uas *)usb);
}

static const UsbDeviceOps ops = { .data = uas_data, .bus_reset = uas_bus_reset };

/* ---- descriptors ---- */

static const uint8_t command_pipe[] = { 4, 0x24, 1, 0 }, status_pipe[] = { 4, 0x24, 2, 0 };
static const uint8_t in_pipe[] = { 4, 0x24, 3, 0 }, out_pipe[] = { 4, 0x24, 4, 0 };

#define UAS_DESC(speed, usb_version, packet, burst, log2, packet0)                                            \
    static const UsbEndpointDesc speed##_endpoints[] = {                                                      \
        { PIPE_COMMAND, USB_BULK, packet, 0, command_pipe, 4, burst, 0 },                                     \
        { PIPE_STATUS, USB_BULK, packet, 0, status_pipe, 4, burst, log2 },                                    \
        { PIPE_IN, USB_BULK, packet, 0, in_pipe, 4, burst, log2 },                                            \
        { PIPE_OUT, USB_BULK, packet, 0, out_pipe, 4, burst, log2 },                                          \
    };                                                                                                        \
    static const UsbInterfaceDesc speed##_interface = { 0, 0, 8, 6, 0x62, 0, NULL, 0, speed##_endpoints, 4 }; \
    static const UsbConfigDesc speed##_config = { 1, 0xc0, 0, 0, 1, &speed##_interface, 1 };                  \
    static const UsbDeviceDesc speed##_desc = { usb_version, 0, 0, 0, packet0, &speed##_config, 1 };
UAS_DESC(full, 0x0200, 64, 0, 0, 64)
UAS_DESC(high, 0x0200, 512, 0, 0, 64)
UAS_DESC(super, 0x0300, 1024, 15, STREAMS_LOG2, 9)
static const char *const strings[] = { "", "Myna", "USB Attached SCSI", "27842", NULL };
static const UsbDescriptors descriptors = { 0x46f4, 0x0003, 0, 1, 2, 3, strings, &full_desc, &high_desc,
                                            &super_desc, NULL };

/* ---- the device ---- */

static bool uas_realize(Device *dev, GError **error)
{
    Uas *u = (Uas *)dev;

    if (!usb_device_init(&u->usb, &descriptors, &ops, error)) {
        return false;
    }
    u->commands = g_ptr_array_new();
    u->scsi = scsi_bus_new(dev, &hba_ops, u);
    usb_device_plug(&u->usb);
    return true;
}

static void uas_unrealize(Device *dev)
{
    Uas *u = (Uas *)dev;

    usb_device_unplug(&u->usb);
    give_up_all(u);
    scsi_bus_free(u->scsi);
    g_ptr_array_free(u->commands, TRUE);
}

/* Commands that a snapshot interrupts are lost, as by a reset: hosts time out and repeat them. */
static void uas_reset(Device *dev)
{
    give_up_all((Uas *)dev);
}

static const Prop uas_props[] = { USB_PROPS(Uas), { 0 } };

const DeviceType usb_uas_type = {
    .name = "usb-uas",
    .about = "USB attached SCSI adapter",
    .bus = "usb",
    .user = true,
    .hotplug = true,
    .size = sizeof(Uas),
    .props = uas_props,
    .realize = uas_realize,
    .unrealize = uas_unrealize,
    .reset = uas_reset,
};
