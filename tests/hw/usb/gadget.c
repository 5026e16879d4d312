/* A USB device whose answers a test decides: see gadget.h. */
#include "tests/hw/usb/gadget.h"

#include <string.h>

#define ENDPOINTS(speed, bulk, interval)                                                            \
    static const UsbEndpointDesc speed##_endpoints[] = { { 0x81, USB_BULK, bulk, 0 },               \
                                                         { 0x02, USB_BULK, bulk, 0 },               \
                                                         { 0x83, USB_INTERRUPT, 8, interval } };    \
    static const UsbInterfaceDesc speed##_interface = { 0, 0, 0xff, 0, 0, 0, NULL, 0, speed##_endpoints, 3 }; \
    static const UsbConfigDesc speed##_config = { 1, 0x80, 50, 0, 1, &speed##_interface, 1 };
ENDPOINTS(full, 64, 8)
ENDPOINTS(high, 512, 4)
ENDPOINTS(super, 1024, 4)
static const UsbDeviceDesc full = { 0x0200, 0xff, 0, 0, 8, &full_config, 1 };
static const UsbDeviceDesc high = { 0x0201, 0xff, 0, 0, 64, &high_config, 1 };
static const UsbDeviceDesc super = { 0x0300, 0xff, 0, 0, 9, &super_config, 1 };
static const char *const strings[] = { "", "maker", "gadget", "42", NULL };
static const UsbDescriptors by_speed[] = {
    [USB_FULL] = { 0x1234, 0x5678, 0x0100, 1, 2, 3, strings, &full, NULL, NULL, NULL },
    [USB_HIGH] = { 0x1234, 0x5678, 0x0100, 1, 2, 3, strings, &full, &high, NULL, NULL },
    [USB_SUPER] = { 0x1234, 0x5678, 0x0100, 1, 2, 3, strings, &full, &high, &super, NULL },
};

static int gadget_data(UsbDevice *usb, uint8_t address, unsigned stream, uint8_t *data, size_t size)
{
    Gadget *g = (Gadget *)usb;
    size_t n = g->chunk ? MIN(size, g->chunk) : size;

    g->transfers++;
    g->stream = stream;
    if (g->answer) {
        return g->answer;
    }
    if (address & 0x80) {
        n = MIN(n, g->in_left);
        memcpy(data, g->in + g->in_at, n);
        g->in_at += n;
        g->in_left -= n;
        return n;
    }
    n = MIN(n, sizeof(g->out) - g->out_size);
    memcpy(g->out + g->out_size, data, n);
    g->out_size += n;
    return n;
}

/* Vendor request 1 writes, 2 reads back `out`. */
static int gadget_control(UsbDevice *usb, const UsbSetup *setup, uint8_t *data)
{
    Gadget *g = (Gadget *)usb;

    if (g->answer) {
        return g->answer;
    }
    if (setup->type == 0x40 && setup->request == 1) {
        memcpy(g->out, data, setup->length);
        g->out_size = setup->length;
        return 0;
    }
    if (setup->type == 0xc0 && setup->request == 2) {
        memcpy(data, g->out, MIN(setup->length, g->out_size));
        return MIN(setup->length, g->out_size);
    }
    return USB_STALL;
}

static void gadget_bus_reset(UsbDevice *usb)
{
    ((Gadget *)usb)->resets++;
}

static const UsbDeviceOps ops = { .control = gadget_control, .data = gadget_data, .bus_reset = gadget_bus_reset };

static UsbSpeed wanted_speed;

static bool gadget_realize(Device *dev, GError **error)
{
    Gadget *g = (Gadget *)dev;

    if (!usb_device_init(&g->usb, &by_speed[wanted_speed], &ops, error)) {
        return false;
    }
    usb_device_plug(&g->usb);
    return true;
}

static void gadget_unrealize(Device *dev)
{
    usb_device_unplug((UsbDevice *)dev);
}

static const Prop props[] = { USB_PROPS(Gadget), { 0 } };

static const DeviceType gadget_type = {
    .name = "test-gadget", .bus = "usb", .hotplug = true, .size = sizeof(Gadget), .props = props,
    .realize = gadget_realize, .unrealize = gadget_unrealize,
};

Gadget *gadget_new(UsbBus *bus, const char *port, UsbSpeed top)
{
    Device *dev = device_new(&gadget_type, NULL);
    g_autoptr(GError) error = NULL;

    wanted_speed = top;
    if (port) {
        device_set_property(dev, "port", port, NULL);
    }
    device_realize(dev, &bus->bus, &error);
    g_assert_no_error(error);
    return (Gadget *)dev;
}

void gadget_start_over(Gadget *gadget)
{
    device_reset(&gadget->usb.dev);
    gadget->answer = 0;
    gadget->out_size = gadget->in_at = gadget->in_left = gadget->chunk = gadget->transfers = 0;
}
