/*
 * spapr-vscsi: a SCSI host adapter whose commands are SRP information units, told of by a command/response queue.
 *
 * LoPAPR 1.1, 17.3; SRP (INCITS 365-2002). Management datagrams are as Linux' driver and SLOF use them.
 */
#include "hw/papr/vio.h"
#include "hw/scsi/scsi.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

enum { CRQ_COMMAND = 0x80, CRQ_INIT = 0xc0, INIT = 1, INIT_DONE = 2 };
enum { FORMAT_SRP = 1, FORMAT_MAD = 2 };
enum { IU_MAX = 1024, REQUESTS = 64 };
enum {
    SRP_LOGIN_REQ = 0x00, SRP_TSK_MGMT = 0x01, SRP_CMD = 0x02, SRP_I_LOGOUT = 0x03, SRP_LOGIN_RSP = 0xc0, SRP_RSP = 0xc1,
};
enum { DESC_NONE = 0, DESC_DIRECT = 1, DESC_INDIRECT = 2, DESC_SIZE = 16, MAX_DESCS = 4096 };
enum { RSP_VALID = 1, SENSE_VALID = 2, OUT_UNDER = 8, IN_UNDER = 32 };
enum { TASK_ABORT = 1, TASK_ABORT_SET = 2, TASK_CLEAR_SET = 4, TASK_UNIT_RESET = 8, TASK_CLEAR_ACA = 0x40 };
enum { TASK_COMPLETE = 0, TASK_NOT_SUPPORTED = 4 };
enum { MAD_EMPTY = 1, MAD_ERROR_LOG = 2, MAD_ADAPTER_INFO = 3, MAD_HOST_CONFIG = 4, MAD_CAPABILITIES = 5 };
enum { MAD_SUCCESS = 0, MAD_NOT_SUPPORTED = 0xf1, MAD_FAILED = 0xf7, ADAPTER_INFO_SIZE = 152 };
enum { SRP_CMD_SIZE = 48, SRP_RSP_SIZE = 36, LOGIN_RSP_SIZE = 52, TSK_MGMT_SIZE = 40 };
enum { TARGETS = 64, LUNS = 32, CHANNELS = 8 };

typedef struct Vscsi {
    VioDevice vio;
    VioState s;
    ScsiBus *bus;
    unsigned under_way;
} Vscsi;

/* Where a command's data lie, one way. */
typedef struct Buffers {
    uint64_t *address;
    uint32_t *size;
    unsigned count;
    unsigned at;       /* the descriptor that is next */
    uint32_t offset;   /* into it */
    uint64_t total;
} Buffers;

typedef struct Command {
    Vscsi *v;
    uint64_t iu_at; /* bus address of its information unit, where the answer goes too */
    uint8_t tag[8];
    Buffers out, in;
} Command;

static void free_buffers(Buffers *b)
{
    g_free(b->address);
    g_free(b->size);
}

static void free_command(Command *c)
{
    free_buffers(&c->out);
    free_buffers(&c->in);
    c->v->under_way--;
    g_free(c);
}

/* ---- answers ---- */

static void send_iu(Vscsi *v, uint64_t at, const uint8_t *iu, uint16_t size, uint8_t format, const uint8_t tag[8])
{
    uint8_t crq[VIO_CRQ_SIZE] = { CRQ_COMMAND, format };

    if (!papr_tce_write(v->vio.tce, at, iu, size)) {
        return;
    }
    store_be16(crq + 6, size);
    memcpy(crq + 8, tag, 8);
    vio_send(&v->vio, crq);
}

/* sense_size bytes of sense data, or if response the four bytes that carry it. */
static void send_rsp(Vscsi *v, uint64_t at, const uint8_t tag[8], uint8_t status, const uint8_t *sense, uint8_t sense_size,
                     int response, const Command *c, uint64_t moved)
{
    uint8_t iu[SRP_RSP_SIZE + SCSI_SENSE_SIZE] = { SRP_RSP };
    uint64_t in_left = c && c->in.total > moved ? c->in.total - moved : 0;
    uint64_t out_left = c && c->out.total > moved ? c->out.total - moved : 0;
    unsigned size = SRP_RSP_SIZE;

    store_be32(iu + 4, 1); /* credit for one more */
    memcpy(iu + 8, tag, 8);
    iu[19] = status;
    if (out_left) {
        iu[18] |= OUT_UNDER;
        store_be32(iu + 20, out_left);
    }
    if (in_left) {
        iu[18] |= IN_UNDER;
        store_be32(iu + 24, in_left);
    }
    if (sense_size) {
        iu[18] |= SENSE_VALID;
        store_be32(iu + 28, sense_size);
        memcpy(iu + size, sense, sense_size);
        size += sense_size;
    }
    if (response >= 0) {
        iu[18] |= RSP_VALID;
        store_be32(iu + 32, 4);
        iu[size + 3] = response;
        size += 4;
    }
    send_iu(v, at, iu, size, FORMAT_SRP, tag);
}

static void complete(ScsiRequest *r)
{
    Command *c = r->hba;
    uint8_t sense[SCSI_SENSE_SIZE];
    uint8_t sense_size = r->status == SCSI_CHECK_CONDITION ? scsi_request_sense(r, sense) : 0;

    send_rsp(c->v, c->iu_at, c->tag, r->status, sense, sense_size, -1, c, r->moved);
    free_command(c);
    scsi_request_unref(r);
}

static void cancelled(ScsiRequest *r)
{
    free_command(r->hba);
    scsi_request_unref(r);
}

/* ---- data ---- */

/* Copies to or from the next `size` bytes of the guest's buffers; less if they end before. */
static void move_data(Vscsi *v, Buffers *b, uint8_t *data, uint32_t size, bool to_guest)
{
    while (size && b->at < b->count) {
        uint32_t piece = MIN(size, b->size[b->at] - b->offset);
        uint64_t address = b->address[b->at] + b->offset;

        if (to_guest) {
            papr_tce_write(v->vio.tce, address, data, piece);
        } else {
            papr_tce_read(v->vio.tce, address, data, piece);
        }
        data += piece;
        size -= piece;
        b->offset += piece;
        if (b->offset == b->size[b->at]) {
            b->at++;
            b->offset = 0;
        }
    }
}

static void move_chunk(ScsiRequest *r, ScsiDirection direction, uint8_t *data, uint32_t size)
{
    Command *c = r->hba;

    if (direction == SCSI_TO_HOST) {
        move_data(c->v, &c->in, data, size, true);
    } else {
        memset(data, 0, size);
        move_data(c->v, &c->out, data, size, false);
    }
    scsi_request_continue(r);
}

static bool add_descriptors(Buffers *b, const uint8_t *descs, unsigned count)
{
    b->address = g_new(uint64_t, count);
    b->size = g_new(uint32_t, count);
    for (unsigned i = 0; i < count; i++) {
        uint32_t size = load_be32(descs + i * DESC_SIZE + 12);

        if (size) {
            b->address[b->count] = load_be64(descs + i * DESC_SIZE);
            b->size[b->count++] = size;
            b->total += size;
        }
    }
    return true;
}

/* Takes the descriptors of one direction from an information unit; *at moves on behind them. */
static bool parse_buffers(Vscsi *v, Buffers *b, unsigned format, unsigned count, const uint8_t *iu, unsigned size,
                          unsigned *at)
{
    g_autofree uint8_t *table = NULL;
    uint32_t bytes;

    if (format == DESC_NONE) {
        return true;
    }
    if (format > DESC_INDIRECT || *at + DESC_SIZE > size) {
        return false;
    }
    if (format == DESC_DIRECT) {
        *at += DESC_SIZE;
        return add_descriptors(b, iu + *at - DESC_SIZE, 1);
    }
    /* A descriptor of the table, the length of all data, and the first `count` of the table's descriptors once more. */
    bytes = load_be32(iu + *at + 12);
    if (bytes % DESC_SIZE || bytes / DESC_SIZE > MAX_DESCS) {
        return false;
    }
    if (*at + DESC_SIZE + 4 + count * DESC_SIZE <= size && bytes / DESC_SIZE == count) {
        add_descriptors(b, iu + *at + DESC_SIZE + 4, count);
    } else {
        table = g_malloc(bytes);
        if (!papr_tce_read(v->vio.tce, load_be64(iu + *at), table, bytes)) {
            return false;
        }
        add_descriptors(b, table, bytes / DESC_SIZE);
    }
    *at += DESC_SIZE + 4 + count * DESC_SIZE;
    return true;
}

/* ---- information units ---- */

typedef struct Address {
    int channel, target, lun;
} Address;

/* The form of logical units with a bus number (SAM-2, 4.9.5), which drivers here always use. */
static Address parse_lun(const uint8_t lun[8])
{
    if (lun[0] >> 6 == 2) {
        return (Address){ lun[1] >> 5, lun[0] & 0x3f, lun[1] & 0x1f };
    }
    return (Address){ 0, 0, (lun[0] & 0x3f) << 8 | lun[1] };
}

static void take_command(Vscsi *v, uint64_t at, const uint8_t *iu, unsigned size)
{
    Command *c = g_new0(Command, 1);
    Address a = parse_lun(iu + 20);
    unsigned extra = (iu[31] >> 2) * 4, next = SRP_CMD_SIZE + extra;
    ScsiRequest *r;

    c->v = v;
    c->iu_at = at;
    memcpy(c->tag, iu + 8, 8);
    v->under_way++;
    if (next > size || !parse_buffers(v, &c->out, iu[5] >> 4, iu[6], iu, size, &next) ||
        !parse_buffers(v, &c->in, iu[5] & 0xf, iu[7], iu, size, &next)) {
        guest_error(v->vio.dev.id, "bad descriptors in a command");
        send_rsp(v, at, iu + 8, SCSI_CHECK_CONDITION, NULL, 0, -1, NULL, 0);
        free_command(c);
        return;
    }
    r = scsi_request_new(v->bus, a.channel, a.target, a.lun, load_be64(iu + 8), iu + 32, 0, c);
    scsi_request_start(r, NULL, -1);
}

static void take_login(Vscsi *v, uint64_t at, const uint8_t *iu)
{
    uint8_t answer[LOGIN_RSP_SIZE] = { SRP_LOGIN_RSP };

    store_be32(answer + 4, REQUESTS - 2);
    memcpy(answer + 8, iu + 8, 8);
    store_be32(answer + 16, IU_MAX);
    store_be32(answer + 20, IU_MAX);
    store_be16(answer + 24, 0x0006); /* direct and indirect descriptors */
    send_iu(v, at, answer, sizeof(answer), FORMAT_SRP, iu + 8);
}

typedef struct Selection {
    Address address;
    uint64_t tag;
    bool by_tag;
} Selection;

static void cancel_if_selected(ScsiRequest *r, void *opaque)
{
    const Selection *sel = opaque;

    if (r->channel == sel->address.channel && r->target == sel->address.target && r->lun == sel->address.lun &&
        (!sel->by_tag || r->tag == sel->tag)) {
        scsi_request_cancel(r);
    }
}

static void take_management(Vscsi *v, uint64_t at, const uint8_t *iu)
{
    Selection sel = { parse_lun(iu + 20), load_be64(iu + 32), false };
    ScsiDevice *dev = scsi_device_find(v->bus, sel.address.channel, sel.address.target, sel.address.lun);
    int response = TASK_COMPLETE;

    switch (iu[30]) {
    case TASK_ABORT:
        sel.by_tag = true;
        scsi_request_for_each(v->bus, dev, cancel_if_selected, &sel);
        break;
    case TASK_ABORT_SET:
    case TASK_CLEAR_SET:
        scsi_request_for_each(v->bus, dev, cancel_if_selected, &sel);
        break;
    case TASK_UNIT_RESET:
        scsi_request_for_each(v->bus, dev, cancel_if_selected, &sel);
        if (dev) {
            scsi_device_reset(dev);
        }
        break;
    case TASK_CLEAR_ACA:
        break;
    default:
        response = TASK_NOT_SUPPORTED;
    }
    send_rsp(v, at, iu + 8, SCSI_GOOD, NULL, 0, response, NULL, 0);
}

static bool send_adapter_info(Vscsi *v, uint64_t to)
{
    uint8_t info[ADAPTER_INFO_SIZE] = { 0 };

    memcpy(info, "16.a", 4);                /* version of SRP */
    memcpy(info + 8, "myna", 4);            /* partition */
    store_be32(info + 104, 1);              /* its number */
    store_be32(info + 108, 1);              /* version of management datagrams */
    store_be32(info + 112, 2);              /* like AIX: fast failures are known */
    store_be32(info + 116, MAX_DESCS * 16); /* bytes that a command may move at most, by port */
    return papr_tce_write(v->vio.tce, to, info, 148);
}

/* type, status, length, tag, and for most the address of a buffer. */
static void take_datagram(Vscsi *v, uint64_t at, uint8_t *iu)
{
    uint16_t status = MAD_SUCCESS;

    switch (load_be32(iu)) {
    case MAD_EMPTY:
    case MAD_HOST_CONFIG:
        break;
    case MAD_ADAPTER_INFO:
        status = send_adapter_info(v, load_be64(iu + 16)) ? MAD_SUCCESS : MAD_FAILED;
        break;
    default:
        status = MAD_NOT_SUPPORTED;
    }
    store_be16(iu + 4, status);
    send_iu(v, at, iu, 16, FORMAT_MAD, iu + 8);
}

static void take_srp(Vscsi *v, uint64_t at, const uint8_t *iu, unsigned size)
{
    if (iu[0] == SRP_LOGIN_REQ) {
        take_login(v, at, iu);
    } else if (iu[0] == SRP_CMD && size >= SRP_CMD_SIZE) {
        take_command(v, at, iu, size);
    } else if (iu[0] == SRP_TSK_MGMT && size >= TSK_MGMT_SIZE) {
        take_management(v, at, iu);
    } else {
        guest_error(v->vio.dev.id, "information unit %02x of %u bytes", iu[0], size);
    }
}

static int64_t take_message(VioDevice *vio, const uint8_t crq[VIO_CRQ_SIZE])
{
    static const uint8_t ready[VIO_CRQ_SIZE] = { CRQ_INIT, INIT_DONE };
    Vscsi *v = (Vscsi *)vio;
    uint8_t iu[IU_MAX] = { 0 };
    uint16_t size = load_be16(crq + 6);
    uint64_t at = load_be64(crq + 8);

    if (crq[0] == CRQ_INIT) {
        if (crq[1] == INIT) {
            vio_send(vio, ready);
        }
        return H_SUCCESS;
    }
    if (crq[0] != CRQ_COMMAND || size < 16 || size > IU_MAX || v->under_way >= REQUESTS ||
        !papr_tce_read(vio->tce, at, iu, size)) {
        guest_error(vio->dev.id, "message %02x %02x with %u bytes", crq[0], crq[1], size);
        return H_PARAMETER;
    }
    if (crq[1] == FORMAT_SRP) {
        take_srp(v, at, iu, size);
    } else if (crq[1] == FORMAT_MAD) {
        take_datagram(v, at, iu);
    }
    return H_SUCCESS;
}

static void queue_reset(VioDevice *vio)
{
    scsi_bus_reset(((Vscsi *)vio)->bus);
}

/* ---- device ---- */

static const VioInfo info = {
    .name = "v-scsi", .device_type = "vscsi", .compatible = "IBM,v-scsi", .window = 0x10000000, .has_queue = true,
    .has_children = true, .message = take_message, .queue_reset = queue_reset,
};

static const ScsiHbaOps hba_ops = {
    .channels = CHANNELS, .targets = TARGETS, .luns = LUNS, .autosense = true, .data = move_chunk, .complete = complete,
    .cancelled = cancelled,
};

static bool vscsi_realize(Device *dev, GError **error)
{
    static int number;
    Vscsi *v = (Vscsi *)dev;

    if (!vio_init(&v->vio, &info, &v->s, error)) {
        return false;
    }
    v->bus = scsi_bus_new(dev, &hba_ops, v);
    return scsi_bus_add_drives(v->bus, number++, error);
}

static void vscsi_reset(Device *dev)
{
    vio_reset((VioDevice *)dev);
}

static bool vscsi_post_load(Device *dev, GError **error)
{
    if (vio_check_queue((VioDevice *)dev)) {
        return true;
    }
    g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad queue of '%s'", dev->id);
    return false;
}

static const Prop vscsi_props[] = {
    VIO_PROPS(Vscsi),
    { 0 },
};

const DeviceType spapr_vscsi_type = {
    .name = "spapr-vscsi",
    .about = "virtual SCSI host adapter of a logical partition",
    .bus = VIO_BUS,
    .user = true,
    .size = sizeof(Vscsi),
    .state_at = offsetof(Vscsi, s),
    .state = VioState_fields,
    .props = vscsi_props,
    .realize = vscsi_realize,
    .reset = vscsi_reset,
    .post_load = vscsi_post_load,
};
