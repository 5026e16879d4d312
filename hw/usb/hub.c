/*
 * USB hub.
 *
 * USB 2.0 specification, chapter 11. It runs at full or high speed, as its port does; at high speed its
 * transaction translator is nothing to see, because controllers find a device by its address alone.
 */
#include "hw/usb/usb.h"
#include "util/bits.h"
#include "util/error.h"

#include <string.h>

enum { GET_STATUS = 0, CLEAR_FEATURE = 1, SET_FEATURE = 3, GET_DESCRIPTOR = 6, CLEAR_TT_BUFFER = 8, RESET_TT,
       GET_TT_STATE, STOP_TT };
enum { PORT_CONNECTION, PORT_ENABLE, PORT_SUSPEND, PORT_OVER_CURRENT, PORT_RESET, PORT_POWER = 8,
       PORT_TEST = 21, PORT_INDICATOR = 22 };
enum { C_PORT_FIRST = 16, C_PORT_LAST = 20 };
enum { STATUS_CONNECTION = 1, STATUS_ENABLE = 2, STATUS_SUSPEND = 4, STATUS_RESET = 0x10, STATUS_POWER = 0x100,
       STATUS_LOW_SPEED = 0x200, STATUS_HIGH_SPEED = 0x400 };
#define MAX_PORTS 8

#define HUB_STATE(FIELD, ARRAY)             \
    ARRAY(uint16_t, status, MAX_PORTS, 0)   \
    ARRAY(uint16_t, change, MAX_PORTS, 0)

DEFINE_STATE(HubState, HUB_STATE);

typedef struct Hub {
    UsbDevice usb;
    HubState s;
    uint32_t port_count;
    UsbPort ports[MAX_PORTS];
} Hub;

static const UsbEndpointDesc full_endpoint = { 0x81, USB_INTERRUPT, 2, 255 };
static const UsbEndpointDesc high_endpoint = { 0x81, USB_INTERRUPT, 2, 12 }; /* 256 ms, the longest that there is */
static const UsbInterfaceDesc full_interface = { 0, 0, 9, 0, 0, 0, NULL, 0, &full_endpoint, 1 };
static const UsbInterfaceDesc high_interface = { 0, 0, 9, 0, 0, 0, NULL, 0, &high_endpoint, 1 };
static const UsbConfigDesc full_config = { 1, 0xe0, 0, 0, 1, &full_interface, 1 };
static const UsbConfigDesc high_config = { 1, 0xe0, 0, 0, 1, &high_interface, 1 };
static const UsbDeviceDesc full_desc = { 0x0200, 9, 0, 0, 64, &full_config, 1 };
static const UsbDeviceDesc high_desc = { 0x0200, 9, 0, 1, 64, &high_config, 1 };
static const char *const strings[] = { "", "Myna", "USB Hub", "1", NULL };
static const UsbDescriptors descriptors = { 0x0409, 0x55aa, 0x0101, 1, 2, 3, strings, &full_desc, &high_desc,
                                            NULL, NULL };

/* ---- ports ---- */

static void port_changed(UsbPort *port)
{
    Hub *hub = port->opaque;
    uint16_t *status = &hub->s.status[port->index];

    *status &= ~(STATUS_CONNECTION | STATUS_LOW_SPEED | STATUS_HIGH_SPEED | STATUS_SUSPEND);
    if (*status & STATUS_ENABLE) {
        *status &= ~STATUS_ENABLE;
    }
    if (port->dev) {
        *status |= STATUS_CONNECTION | (port->dev->speed == USB_LOW ? STATUS_LOW_SPEED : 0);
    }
    hub->s.change[port->index] |= 1 << PORT_CONNECTION;
    usb_wakeup(&hub->usb);
    usb_ready(&hub->usb, 0x81, 0);
}

static void port_wakeup(UsbPort *port)
{
    Hub *hub = port->opaque;

    if (hub->s.status[port->index] & STATUS_SUSPEND) {
        hub->s.status[port->index] &= ~STATUS_SUSPEND;
        hub->s.change[port->index] |= 1 << PORT_SUSPEND;
        usb_wakeup(&hub->usb);
        usb_ready(&hub->usb, 0x81, 0);
    }
}

static const UsbPortOps port_ops = { port_changed, port_changed, NULL, port_wakeup, NULL };

static UsbPort *hub_downstream(UsbDevice *usb, int n)
{
    Hub *hub = (Hub *)usb;

    return n < (int)hub->port_count ? &hub->ports[n] : NULL;
}

static bool hub_enabled(UsbDevice *usb, int n)
{
    return ((Hub *)usb)->s.status[n] & STATUS_ENABLE;
}

static void reset_port(Hub *hub, int n)
{
    UsbPort *port = &hub->ports[n];

    if (port->dev) {
        usb_device_bus_reset(port->dev);
        hub->s.status[n] |= STATUS_ENABLE | (port->dev->speed == USB_HIGH ? STATUS_HIGH_SPEED : 0);
        hub->s.status[n] &= ~STATUS_SUSPEND;
    }
    hub->s.change[n] |= 1 << PORT_RESET;
    usb_ready(&hub->usb, 0x81, 0);
}

/* ---- requests ---- */

static int set_port_feature(Hub *hub, int n, unsigned feature)
{
    switch (feature) {
    case PORT_SUSPEND:
        hub->s.status[n] |= hub->s.status[n] & STATUS_ENABLE ? STATUS_SUSPEND : 0;
        return 0;
    case PORT_RESET:
        reset_port(hub, n);
        return 0;
    case PORT_POWER:
        hub->s.status[n] |= STATUS_POWER;
        return 0;
    case PORT_TEST:
    case PORT_INDICATOR:
        return 0;
    default:
        return USB_STALL;
    }
}

static int clear_port_feature(Hub *hub, int n, unsigned feature)
{
    switch (feature) {
    case PORT_ENABLE:
        hub->s.status[n] &= ~(STATUS_ENABLE | STATUS_SUSPEND);
        return 0;
    case PORT_SUSPEND:
        if (hub->s.status[n] & STATUS_SUSPEND) {
            hub->s.status[n] &= ~STATUS_SUSPEND;
            hub->s.change[n] |= 1 << PORT_SUSPEND;
            usb_ready(&hub->usb, 0x81, 0);
        }
        return 0;
    case PORT_POWER:
        hub->s.status[n] &= ~(STATUS_POWER | STATUS_ENABLE | STATUS_SUSPEND);
        return 0;
    case PORT_INDICATOR:
        return 0;
    case C_PORT_FIRST ... C_PORT_LAST:
        hub->s.change[n] &= ~(1 << (feature - C_PORT_FIRST));
        return 0;
    default:
        return USB_STALL;
    }
}

static int hub_descriptor(Hub *hub, const UsbSetup *setup, uint8_t *data)
{
    /* Power is for all ports at once, good after 2 ms; no over-current detection. */
    uint8_t d[11] = { 9, 0x29, hub->port_count, 0x10, 0, 1, 0, 0, 0xff };
    int size;

    d[0] = hub->port_count < 8 ? 9 : 11;
    if (d[0] == 11) {
        d[8] = 0;
        d[9] = d[10] = 0xff;
    }
    size = MIN(d[0], setup->length);
    memcpy(data, d, size);
    return size;
}

static int hub_control(UsbDevice *usb, const UsbSetup *setup, uint8_t *data)
{
    Hub *hub = (Hub *)usb;
    unsigned n = (setup->index & 0xff) - 1;
    uint8_t status[4] = { 0 };

    switch (setup->type << 8 | setup->request) {
    case 0xa000 | GET_DESCRIPTOR:
        return hub_descriptor(hub, setup, data);
    case 0xa000 | GET_STATUS: /* of the hub: self-powered, nothing changed */
        memcpy(data, status, MIN(4, setup->length));
        return MIN(4, setup->length);
    case 0xa300 | GET_STATUS:
        if (n >= hub->port_count) {
            return USB_STALL;
        }
        store_le16(status, hub->s.status[n]);
        store_le16(status + 2, hub->s.change[n]);
        memcpy(data, status, MIN(4, setup->length));
        return MIN(4, setup->length);
    case 0x2000 | CLEAR_FEATURE:
    case 0x2000 | SET_FEATURE:
        return 0;
    case 0x2300 | SET_FEATURE:
        return n < hub->port_count ? set_port_feature(hub, n, setup->value) : USB_STALL;
    case 0x2300 | CLEAR_FEATURE:
        return n < hub->port_count ? clear_port_feature(hub, n, setup->value) : USB_STALL;
    case 0x2300 | CLEAR_TT_BUFFER:
    case 0x2300 | RESET_TT:
    case 0x2300 | STOP_TT:
        return usb->speed == USB_HIGH ? 0 : USB_STALL;
    default:
        return USB_STALL;
    }
}

/* The bitmap of changes: bit 0 the hub, bit n + 1 port n. */
static int hub_data(UsbDevice *usb, uint8_t address, unsigned stream, uint8_t *data, size_t size)
{
    Hub *hub = (Hub *)usb;
    uint8_t bytes[2];
    uint16_t bits = 0;
    size_t n = hub->port_count < 8 ? 1 : 2;

    for (unsigned i = 0; i < hub->port_count; i++) {
        bits |= hub->s.change[i] ? 2 << i : 0;
    }
    if (!bits) {
        return USB_NAK;
    }
    if (size < n) {
        return USB_BABBLE;
    }
    store_le16(bytes, bits);
    memcpy(data, bytes, n);
    return n;
}

/* The ports lose what the host set, and tell anew what is connected. */
static void reset_ports(Hub *hub)
{
    for (unsigned n = 0; n < hub->port_count; n++) {
        UsbDevice *usb = hub->ports[n].dev;

        hub->s.status[n] = usb ? STATUS_CONNECTION | (usb->speed == USB_LOW ? STATUS_LOW_SPEED : 0) : 0;
        hub->s.change[n] = usb ? 1 << PORT_CONNECTION : 0;
        /* What is behind can be faster or slower after the hub came up at another speed. */
        hub->ports[n].speeds = USB_SPEED(USB_LOW) | USB_SPEED(USB_FULL) |
                               (hub->usb.speed == USB_HIGH ? USB_SPEED(USB_HIGH) : 0);
        if (usb) {
            usb_device_bus_reset(usb);
        }
    }
}

static void hub_bus_reset(UsbDevice *usb)
{
    reset_ports((Hub *)usb);
}

static const UsbDeviceOps ops = {
    .control = hub_control, .data = hub_data, .bus_reset = hub_bus_reset,
    .downstream = hub_downstream, .enabled = hub_enabled,
};

/* ---- the device ---- */

static bool hub_realize(Device *dev, GError **error)
{
    Hub *hub = (Hub *)dev;

    if (hub->port_count < 1 || hub->port_count > MAX_PORTS) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "usb-hub: ports=%u is not from 1 to %d", hub->port_count,
                    MAX_PORTS);
        return false;
    }
    if (!usb_device_init(&hub->usb, &descriptors, &ops, error)) {
        return false;
    }
    for (unsigned n = 0; n < hub->port_count; n++) {
        hub->ports[n] = (UsbPort){ .ops = &port_ops, .opaque = hub, .hub = &hub->usb, .index = n };
    }
    usb_device_plug(&hub->usb);
    for (unsigned n = 0; n < hub->port_count; n++) {
        usb_bus_add_port((UsbBus *)dev->bus, &hub->ports[n]);
    }
    return true;
}

static void hub_unrealize(Device *dev)
{
    Hub *hub = (Hub *)dev;

    for (unsigned n = 0; n < hub->port_count; n++) {
        if (hub->ports[n].owner) {
            device_free(&hub->ports[n].owner->dev);
        }
        usb_bus_remove_port((UsbBus *)dev->bus, &hub->ports[n]);
    }
    usb_device_unplug(&hub->usb);
}

static void hub_reset(Device *dev)
{
    reset_ports((Hub *)dev);
}

static bool hub_loaded(Device *dev, GError **error)
{
    Hub *hub = (Hub *)dev;

    for (unsigned n = 0; n < hub->port_count; n++) {
        if (!hub->ports[n].dev) {
            hub->s.status[n] &= ~(STATUS_CONNECTION | STATUS_ENABLE);
        }
    }
    return true;
}

static const Prop hub_props[] = {
    USB_PROPS(Hub),
    PROP(Hub, port_count, "ports", PROP_U32, "8", "number of ports"),
    { 0 },
};

const DeviceType usb_hub_type = {
    .name = "usb-hub",
    .about = "USB hub",
    .bus = "usb",
    .user = true,
    .hotplug = true,
    .size = sizeof(Hub),
    .state_at = offsetof(Hub, s),
    .state = HubState_fields,
    .props = hub_props,
    .realize = hub_realize,
    .unrealize = hub_unrealize,
    .reset = hub_reset,
    .post_load = hub_loaded,
};
