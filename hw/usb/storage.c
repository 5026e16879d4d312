/*
 * USB mass storage, bulk-only transport: usb-storage with a disk of its own, usb-bot with a SCSI bus to fill.
 *
 * Universal Serial Bus Mass Storage Class, Bulk-Only Transport, revision 1.0. The thirteen cases are those
 * of its section 6.7: less data than the host expects are padded or discarded, so no endpoint is halted for
 * that, and the residue says what was real.
 */
#include "backends/block.h"
#include "hw/scsi/scsi.h"
#include "hw/usb/usb.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

enum { REQUEST_RESET = 0xff, REQUEST_MAX_LUN = 0xfe };
enum { CBW_SIZE = 31, CSW_SIZE = 13, CBW_IN = 0x80 };
enum { PHASE_COMMAND, PHASE_OUT, PHASE_IN, PHASE_STATUS };
enum { CSW_GOOD, CSW_FAILED, CSW_PHASE_ERROR };
#define CBW_SIGNATURE 0x43425355
#define CSW_SIGNATURE 0x53425355
#define MAX_LUNS      16

#define STORAGE_STATE(FIELD, ARRAY)                                                 \
    FIELD(uint8_t, phase, PHASE_COMMAND)                                            \
    FIELD(uint32_t, tag, 0)                                                         \
    FIELD(uint32_t, left, 0)    /* bytes that the host still sends or expects */    \
    FIELD(uint32_t, residue, 0) /* of those, how many have no meaning */            \
    FIELD(uint8_t, status, CSW_GOOD)

DEFINE_STATE(StorageState, STORAGE_STATE);

typedef struct Storage {
    UsbDevice usb;
    StorageState s;
    BlockBackend *blk;
    bool removable;
    ScsiBus *scsi;
    ScsiRequest *request; /* NULL: it has ended */
    uint8_t *chunk;       /* of the request: bytes to give, or room to fill; NULL: it waits for the medium */
    uint32_t chunk_left;
} Storage;

/* ---- the SCSI side ---- */

static void end_phase(Storage *m)
{
    if (m->s.phase != PHASE_STATUS && !m->s.left) {
        m->s.phase = PHASE_STATUS;
    }
}

static void scsi_data(ScsiRequest *r, ScsiDirection direction, uint8_t *data, uint32_t size)
{
    Storage *m = r->hba;
    bool fits = m->s.phase == (direction == SCSI_TO_HOST ? PHASE_IN : PHASE_OUT) && m->s.left;

    if (!fits) { /* the host expects less, or the other way */
        m->s.status = CSW_PHASE_ERROR;
        if (direction == SCSI_TO_HOST) {
            scsi_request_continue(r);
        } else { /* nothing may be written that the host did not send */
            scsi_request_cancel(r);
        }
        return;
    }
    m->chunk = data;
    m->chunk_left = size;
    usb_ready(&m->usb, direction == SCSI_TO_HOST ? 0x81 : 0x02, 0);
}

/* The request is over: what the host still sends or expects is padding. */
static void request_gone(Storage *m, uint8_t status)
{
    g_clear_pointer(&m->request, scsi_request_unref);
    m->chunk = NULL;
    m->s.residue = m->s.left;
    m->s.status = MAX(m->s.status, status);
    end_phase(m);
    usb_ready(&m->usb, m->s.phase == PHASE_OUT ? 0x02 : 0x81, 0);
}

static void scsi_complete(ScsiRequest *r)
{
    request_gone(r->hba, r->status == SCSI_GOOD ? CSW_GOOD : CSW_FAILED);
}

static void scsi_cancelled(ScsiRequest *r)
{
    Storage *m = r->hba;

    if (m->request == r) {
        request_gone(m, CSW_PHASE_ERROR);
    } else { /* given up by a reset */
        scsi_request_unref(r);
    }
}

/* Units that come or go while the guest runs are seen after plugging in again. */
static void units_changed(ScsiBus *bus, ScsiDevice *dev, ScsiChange change)
{
    Storage *m = bus->hba;

    if (change != SCSI_MEDIUM_CHANGED && m->usb.port) {
        usb_device_unplug(&m->usb);
        usb_device_plug(&m->usb);
    }
}

static const ScsiHbaOps hba_ops = {
    .channels = 1, .targets = 1, .luns = MAX_LUNS, .data = scsi_data, .complete = scsi_complete,
    .cancelled = scsi_cancelled, .changed = units_changed,
};

static void give_up(Storage *m)
{
    ScsiRequest *r = g_steal_pointer(&m->request);

    m->chunk = NULL;
    if (r) {
        scsi_request_cancel(r);
    }
}

/* ---- the USB side ---- */

static int take_command(Storage *m, const uint8_t *cbw, size_t size)
{
    StorageState *s = &m->s;
    ScsiRequest *r;

    if (size != CBW_SIZE || load_le32(cbw) != CBW_SIGNATURE || cbw[13] >= MAX_LUNS || cbw[14] < 1 || cbw[14] > 16) {
        guest_error(m->usb.dev.id, "a command block wrapper of %zu bytes", size);
        return USB_STALL; /* until the host resets us (section 6.6.1) */
    }
    s->tag = load_le32(cbw + 4);
    s->left = load_le32(cbw + 8);
    s->residue = s->left;
    s->status = CSW_GOOD;
    s->phase = !s->left ? PHASE_STATUS : cbw[12] & CBW_IN ? PHASE_IN : PHASE_OUT;
    r = scsi_request_new(m->scsi, 0, 0, cbw[13], s->tag, cbw + 15, cbw[14], m);
    m->request = r;
    scsi_request_start(r, NULL, -1);
    return size;
}

/* The next part of the request's data, or padding. The request may end within. */
static size_t fill(Storage *m, uint8_t *data, size_t size)
{
    size_t done = 0;

    while (done < size && m->s.left && (m->chunk || !m->request)) {
        size_t n = MIN(size - done, m->s.left);

        if (m->chunk) {
            n = MIN(n, m->chunk_left);
            memcpy(data + done, m->chunk, n);
            m->chunk += n;
            m->chunk_left -= n;
        } else {
            memset(data + done, 0, n);
        }
        done += n;
        m->s.left -= n;
        if (m->chunk && (!m->chunk_left || !m->s.left)) {
            if (m->chunk_left) { /* more than the host has room for (case 7) */
                m->s.status = CSW_PHASE_ERROR;
            }
            m->chunk = NULL;
            scsi_request_continue(m->request);
        }
    }
    end_phase(m);
    return done;
}

static size_t drain(Storage *m, const uint8_t *data, size_t size)
{
    size_t done = 0;

    while (done < size && m->s.left && (m->chunk || !m->request)) {
        size_t n = MIN(size - done, m->s.left);

        if (m->chunk) {
            n = MIN(n, m->chunk_left);
            memcpy(m->chunk, data + done, n);
            m->chunk += n;
            m->chunk_left -= n;
        }
        done += n;
        m->s.left -= n;
        if (m->chunk && !m->chunk_left) {
            m->chunk = NULL;
            scsi_request_continue(m->request);
        } else if (m->chunk && !m->s.left) { /* it wants more than there is (case 13) */
            m->s.status = CSW_PHASE_ERROR;
            m->chunk = NULL;
            scsi_request_cancel(m->request);
        }
    }
    end_phase(m);
    return done;
}

static int give_status(Storage *m, uint8_t *data, size_t size)
{
    if (m->request) {
        return USB_NAK;
    }
    if (size < CSW_SIZE) {
        return USB_BABBLE;
    }
    store_le32(data, CSW_SIGNATURE);
    store_le32(data + 4, m->s.tag);
    store_le32(data + 8, m->s.residue);
    data[12] = m->s.status;
    m->s.phase = PHASE_COMMAND;
    return CSW_SIZE;
}

static int storage_data(UsbDevice *usb, uint8_t address, unsigned stream, uint8_t *data, size_t size)
{
    Storage *m = (Storage *)usb;
    size_t n;

    if (address & 0x80) {
        switch (m->s.phase) {
        case PHASE_IN:
            n = fill(m, data, size);
            return n || !size ? (int)n : USB_NAK;
        case PHASE_STATUS:
            return give_status(m, data, size);
        default:
            return USB_NAK;
        }
    }
    switch (m->s.phase) {
    case PHASE_COMMAND:
        return take_command(m, data, size);
    case PHASE_OUT:
        n = drain(m, data, size);
        return n || !size ? (int)n : USB_NAK;
    default:
        return USB_STALL;
    }
}

static void storage_bus_reset(UsbDevice *usb)
{
    Storage *m = (Storage *)usb;

    give_up(m);
    state_reset(StorageState_fields, &m->s);
}

static int storage_control(UsbDevice *usb, const UsbSetup *setup, uint8_t *data)
{
    Storage *m = (Storage *)usb;

    switch (setup->type << 8 | setup->request) {
    case 0x2100 | REQUEST_RESET:
        storage_bus_reset(usb);
        return 0;
    case 0xa100 | REQUEST_MAX_LUN:
        data[0] = 0;
        for (int lun = 0; lun < MAX_LUNS; lun++) {
            data[0] = scsi_device_find(m->scsi, 0, 0, lun) ? lun : data[0];
        }
        return MIN(1, setup->length);
    default:
        return USB_STALL;
    }
}

static const UsbDeviceOps ops = {
    .control = storage_control, .data = storage_data, .bus_reset = storage_bus_reset,
};

/* ---- descriptors ---- */

#define STORAGE_DESC(speed, usb_version, packet, burst, packet0)                                             \
    static const UsbEndpointDesc speed##_endpoints[] = {                                                     \
        { .address = 0x81, .attributes = USB_BULK, .max_packet = packet, .max_burst = burst },               \
        { .address = 0x02, .attributes = USB_BULK, .max_packet = packet, .max_burst = burst },               \
    };                                                                                                       \
    static const UsbInterfaceDesc speed##_interface = { 0, 0, 8, 6, 0x50, 0, NULL, 0, speed##_endpoints, 2 }; \
    static const UsbConfigDesc speed##_config = { 1, 0xc0, 0, 0, 1, &speed##_interface, 1 };                 \
    static const UsbDeviceDesc speed##_desc = { usb_version, 0, 0, 0, packet0, &speed##_config, 1 };
STORAGE_DESC(full, 0x0200, 64, 0, 8)
STORAGE_DESC(high, 0x0200, 512, 0, 64)
STORAGE_DESC(super, 0x0300, 1024, 15, 9)
static const char *const strings[] = { "", "Myna", "USB Storage", "1", NULL };
static const UsbDescriptors descriptors = { 0x46f4, 0x0001, 0, 1, 2, 3, strings, &full_desc, &high_desc,
                                            &super_desc, NULL };

/* ---- the devices ---- */

/* The unit of usb-storage: a disk, or a CD-ROM drive if the drive is one. */
static bool add_unit(Storage *m, GError **error)
{
    Device *unit = device_new(device_type_find(block_is_cdrom(m->blk) ? "scsi-cd" : "scsi-hd"), NULL);

    device_set_pointer(unit, "drive", m->blk);
    if ((!block_is_cdrom(m->blk) && !device_set_property(unit, "removable", m->removable ? "on" : "off", error)) ||
        !device_realize(unit, &m->scsi->bus, error)) {
        device_free(unit);
        return false;
    }
    return true;
}

static bool storage_realize(Device *dev, GError **error)
{
    static unsigned count;
    Storage *m = (Storage *)dev;
    bool has_unit = g_str_equal(dev->type->name, "usb-storage");

    if (has_unit && !m->blk) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "usb-storage: needs drive=");
        return false;
    }
    if (!m->usb.serial) { /* twelve hexadecimal digits at least (section 4.1.1) */
        const char *given = m->blk ? block_options(m->blk)->serial : NULL;

        m->usb.serial = given ? g_strdup(given) : g_strdup_printf("4D594E41%04X", ++count & 0xffff);
    }
    if (!usb_device_init(&m->usb, &descriptors, &ops, error)) {
        return false;
    }
    m->scsi = scsi_bus_new(dev, &hba_ops, m);
    if (has_unit && !add_unit(m, error)) {
        g_clear_pointer(&m->scsi, scsi_bus_free);
        return false;
    }
    usb_device_plug(&m->usb);
    return true;
}

static void storage_unrealize(Device *dev)
{
    Storage *m = (Storage *)dev;

    usb_device_unplug(&m->usb);
    give_up(m);
    scsi_bus_free(m->scsi);
}

static void storage_reset(Device *dev)
{
    give_up((Storage *)dev);
}

/* A command that a snapshot interrupts is lost: the host hears of a phase error, resets and repeats it. */
static bool storage_loaded(Device *dev, GError **error)
{
    Storage *m = (Storage *)dev;

    give_up(m);
    if (m->s.phase != PHASE_COMMAND) {
        m->s.phase = PHASE_STATUS;
        m->s.status = CSW_PHASE_ERROR;
        m->s.left = 0;
    }
    return true;
}

#define STORAGE_COMMON(spelling, text)             \
    .name = spelling,                              \
    .about = text,                                 \
    .bus = "usb",                                  \
    .user = true,                                  \
    .hotplug = true,                               \
    .size = sizeof(Storage),                       \
    .state_at = offsetof(Storage, s),              \
    .state = StorageState_fields,                  \
    .realize = storage_realize,                    \
    .unrealize = storage_unrealize,                \
    .reset = storage_reset,                        \
    .post_load = storage_loaded

static const Prop storage_props[] = {
    USB_PROPS(Storage),
    PROP(Storage, blk, "drive", PROP_DRIVE, NULL, "drive or block node with the image"),
    PROP(Storage, removable, "removable", PROP_BOOL, "off", "the medium can be taken out"),
    { 0 },
};

static const Prop bot_props[] = { USB_PROPS(Storage), { 0 } };

const DeviceType usb_storage_type = { STORAGE_COMMON("usb-storage", "USB disk or CD-ROM drive"), .props = storage_props };
const DeviceType usb_bot_type = { STORAGE_COMMON("usb-bot", "USB bulk-only adapter for SCSI devices"), .props = bot_props };
