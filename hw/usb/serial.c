/*
 * USB serial port: an FT232BM of FTDI, with a character backend.
 *
 * FT232BM data sheet; its vendor requests are as FTDI's application notes and free drivers know them. Each
 * packet towards the host begins with two status bytes: modem lines, then line status.
 */
#include "backends/char.h"
#include "core/clock.h"
#include "hw/usb/usb.h"
#include "util/error.h"

#include <string.h>

enum { FTDI_RESET = 0, FTDI_SET_MODEM, FTDI_SET_FLOW, FTDI_SET_BAUD, FTDI_SET_DATA, FTDI_GET_MODEM, FTDI_SET_EVENT,
       FTDI_SET_ERROR, FTDI_SET_LATENCY = 9, FTDI_GET_LATENCY, FTDI_READ_EEPROM = 0x90 };
enum { RESET_ALL, RESET_RECEIVE, RESET_TRANSMIT };
enum { MODEM_CTS = 0x10, MODEM_DSR = 0x20, MODEM_CD = 0x80, LINE_EMPTY = 0x60, LINE_BREAK = 0x10, STATUS_SIZE = 2 };
#define FIFO   384
#define PACKET 64

#define SERIAL_STATE(FIELD, ARRAY)                                              \
    ARRAY(uint8_t, fifo, FIFO, 0)                                               \
    FIELD(uint16_t, head, 0)                                                    \
    FIELD(uint16_t, count, 0)                                                   \
    FIELD(uint8_t, latency, 16) /* ms after which status goes without data */   \
    FIELD(uint8_t, modem, 0)    /* DTR, RTS as the host set them */             \
    FIELD(bool, got_break, false)                                               \
    FIELD(int64_t, status_at, 0)

DEFINE_STATE(SerialState, SERIAL_STATE);

typedef struct Serial {
    UsbDevice usb;
    SerialState s;
    CharBackend *chr;
    Timer *latency_timer;
} Serial;

/* ---- the backend's side ---- */

static size_t can_receive(void *opaque)
{
    const Serial *d = opaque;

    return usb_active_config(&d->usb) ? FIFO - d->s.count : 0;
}

static void receive(void *opaque, const uint8_t *data, size_t size)
{
    Serial *d = opaque;

    size = MIN(size, (size_t)(FIFO - d->s.count));
    for (size_t i = 0; i < size; i++) {
        d->s.fifo[(d->s.head + d->s.count++) % FIFO] = data[i];
    }
    usb_ready(&d->usb, 0x81, 0);
}

static void event(void *opaque, CharEvent what)
{
    Serial *d = opaque;

    if (what == CHAR_BREAK) {
        d->s.got_break = true;
    }
    usb_ready(&d->usb, 0x81, 0);
}

static const CharFrontend frontend = { can_receive, receive, event };

/* ---- the host's side ---- */

static void serial_update(Device *dev)
{
    Serial *d = (Serial *)dev;

    if (usb_active_config(&d->usb)) {
        timer_set(d->latency_timer, d->s.status_at);
    } else {
        timer_cancel(d->latency_timer);
    }
}

static void latency_over(void *opaque)
{
    usb_ready(&((Serial *)opaque)->usb, 0x81, 0);
}

static uint8_t modem_lines(const Serial *d)
{
    return 1 | MODEM_CTS | (char_connected(d->chr) ? MODEM_DSR | MODEM_CD : 0);
}

/* Packets of status and data, as many as there is room and data for. */
static int give(Serial *d, uint8_t *data, size_t size)
{
    int64_t now = clock_now(CLOCK_GUEST);
    size_t done = 0;

    if (size < STATUS_SIZE) {
        return size ? USB_BABBLE : 0;
    }
    if (!d->s.count && !d->s.got_break && now < d->s.status_at) {
        return USB_NAK;
    }
    do {
        size_t n = MIN(MIN(size - done, PACKET) - STATUS_SIZE, d->s.count);

        data[done++] = modem_lines(d);
        data[done++] = LINE_EMPTY | (d->s.got_break ? LINE_BREAK : 0);
        d->s.got_break = false;
        for (size_t i = 0; i < n; i++) {
            data[done++] = d->s.fifo[d->s.head];
            d->s.head = (d->s.head + 1) % FIFO;
        }
        d->s.count -= n;
    } while (done % PACKET == 0 && size - done > STATUS_SIZE && d->s.count);
    d->s.status_at = now + d->s.latency * NS_PER_MS;
    serial_update(&d->usb.dev);
    char_accept(d->chr);
    return done;
}

static int serial_data(UsbDevice *usb, uint8_t address, unsigned stream, uint8_t *data, size_t size)
{
    Serial *d = (Serial *)usb;

    if (address & 0x80) {
        return give(d, data, size);
    }
    char_write(d->chr, data, size);
    return size;
}

static int serial_control(UsbDevice *usb, const UsbSetup *setup, uint8_t *data)
{
    Serial *d = (Serial *)usb;

    switch (setup->type << 8 | setup->request) {
    case 0x4000 | FTDI_RESET:
        if (setup->value != RESET_TRANSMIT) {
            d->s.head = d->s.count = 0;
            char_accept(d->chr);
        }
        return 0;
    case 0x4000 | FTDI_SET_MODEM: /* the high byte says which lines the low one is about */
        d->s.modem = (d->s.modem & ~(setup->value >> 8)) | (setup->value & setup->value >> 8 & 3);
        return 0;
    case 0x4000 | FTDI_SET_FLOW:
    case 0x4000 | FTDI_SET_BAUD:
    case 0x4000 | FTDI_SET_DATA:
    case 0x4000 | FTDI_SET_EVENT:
    case 0x4000 | FTDI_SET_ERROR:
        return 0;
    case 0x4000 | FTDI_SET_LATENCY:
        d->s.latency = MAX(setup->value & 0xff, 1);
        return 0;
    case 0xc000 | FTDI_GET_MODEM:
        data[0] = modem_lines(d);
        data[MIN(1, setup->length)] = LINE_EMPTY;
        return MIN(2, setup->length);
    case 0xc000 | FTDI_GET_LATENCY:
        data[0] = d->s.latency;
        return MIN(1, setup->length);
    case 0xc000 | FTDI_READ_EEPROM: /* there is none: erased words */
        memset(data, 0xff, MIN(2, setup->length));
        return MIN(2, setup->length);
    default:
        return USB_STALL;
    }
}

static void serial_configured(UsbDevice *usb)
{
    Serial *d = (Serial *)usb;

    d->s.head = d->s.count = 0;
    d->s.status_at = clock_now(CLOCK_GUEST);
    serial_update(&usb->dev);
    char_accept(d->chr);
}

static const UsbDeviceOps ops = { .control = serial_control, .data = serial_data, .configured = serial_configured };

/* ---- descriptors ---- */

static const UsbEndpointDesc endpoints[] = { { 0x81, USB_BULK, PACKET, 0 }, { 0x02, USB_BULK, PACKET, 0 } };
static const UsbInterfaceDesc interface = { 0, 0, 0xff, 0xff, 0xff, 2, NULL, 0, endpoints, 2 };
static const UsbConfigDesc config = { 1, 0x80, 50, 0, 1, &interface, 1 };
static const UsbDeviceDesc full_desc = { 0x0200, 0, 0, 0, 8, &config, 1 };
static const char *const strings[] = { "", "Myna", "USB Serial", "1", NULL };
static const UsbDescriptors descriptors = { 0x0403, 0x6001, 0x0400, 1, 2, 3, strings, &full_desc, NULL, NULL, NULL };

/* ---- the device ---- */

static bool serial_realize(Device *dev, GError **error)
{
    Serial *d = (Serial *)dev;

    if (!d->chr) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "usb-serial: needs chardev=");
        return false;
    }
    if (!usb_device_init(&d->usb, &descriptors, &ops, error) || !char_attach(d->chr, &frontend, d, error)) {
        return false;
    }
    d->latency_timer = timer_new(CLOCK_GUEST, latency_over, d);
    usb_device_plug(&d->usb);
    return true;
}

static void serial_unrealize(Device *dev)
{
    Serial *d = (Serial *)dev;

    usb_device_unplug(&d->usb);
    char_detach(d->chr, d);
    timer_free(d->latency_timer);
}

static bool serial_loaded(Device *dev, GError **error)
{
    Serial *d = (Serial *)dev;

    if (d->s.head >= FIFO || d->s.count > FIFO) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad queue of '%s'", dev->id);
        return false;
    }
    return true;
}

static const Prop serial_props[] = {
    USB_PROPS(Serial),
    PROP(Serial, chr, "chardev", PROP_CHAR, NULL, "character backend"),
    { 0 },
};

const DeviceType usb_serial_type = {
    .name = "usb-serial",
    .about = "USB serial port (FTDI FT232BM)",
    .bus = "usb",
    .user = true,
    .hotplug = true,
    .size = sizeof(Serial),
    .state_at = offsetof(Serial, s),
    .state = SerialState_fields,
    .props = serial_props,
    .realize = serial_realize,
    .unrealize = serial_unrealize,
    .post_load = serial_loaded,
    .update = serial_update,
};
