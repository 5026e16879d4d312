/*
 * Descriptors: from a device's tables to the bytes that the host reads.
 *
 * USB 2.0 specification, section 9.6; USB 3.2, section 9.6, for the SuperSpeed ones.
 */
#include "hw/usb/internal.h"

#include "util/bits.h"

#include <string.h>

typedef struct Writer {
    uint8_t *out;
    size_t size;
} Writer;

static void put(Writer *w, const void *bytes, size_t n)
{
    g_assert(w->size + n <= DESC_MAX);
    if (n) {
        memcpy(w->out + w->size, bytes, n);
    }
    w->size += n;
}

static const UsbDeviceDesc *desc_at(const UsbDescriptors *desc, UsbSpeed speed)
{
    switch (speed) {
    case USB_LOW:
        return desc->low;
    case USB_FULL:
        return desc->full;
    case USB_HIGH:
        return desc->high;
    default:
        return desc->super;
    }
}

unsigned usb_device_speeds(const UsbDescriptors *desc)
{
    return (desc->low ? USB_SPEED(USB_LOW) : 0) | (desc->full ? USB_SPEED(USB_FULL) : 0) |
           (desc->high ? USB_SPEED(USB_HIGH) : 0) | (desc->super ? USB_SPEED(USB_SUPER) : 0);
}

const UsbDeviceDesc *usb_device_desc(const UsbDevice *usb)
{
    return desc_at(usb->desc, usb->speed);
}

static void put_device(Writer *w, const UsbDevice *usb)
{
    const UsbDescriptors *all = usb->desc;
    const UsbDeviceDesc *d = usb_device_desc(usb);
    uint8_t b[18] = { sizeof(b), DESC_DEVICE, 0, 0, d->class_code, d->subclass, d->protocol, d->max_packet0 };

    store_le16(b + 2, d->usb_version);
    store_le16(b + 8, all->vendor);
    store_le16(b + 10, all->product);
    store_le16(b + 12, all->version);
    b[14] = all->manufacturer_string;
    b[15] = all->product_string;
    b[16] = all->serial_string;
    b[17] = d->config_count;
    put(w, b, sizeof(b));
}

static void put_endpoint(Writer *w, const UsbEndpointDesc *e, bool super)
{
    uint8_t b[7] = { sizeof(b), DESC_ENDPOINT, e->address, e->attributes };

    store_le16(b + 4, e->max_packet);
    b[6] = e->interval;
    put(w, b, sizeof(b));
    if (super) {
        uint8_t c[6] = { sizeof(c), DESC_SS_ENDPOINT, e->max_burst, e->streams };

        if ((e->attributes & 3) == USB_INTERRUPT) {
            store_le16(c + 4, e->max_packet * (e->max_burst + 1));
        }
        put(w, c, sizeof(c));
    }
    put(w, e->extra, e->extra_size);
}

static void put_interface(Writer *w, const UsbInterfaceDesc *i, bool super)
{
    uint8_t b[9] = { sizeof(b), DESC_INTERFACE, i->number, i->alternate, i->endpoint_count,
                     i->class_code, i->subclass, i->protocol, i->string };

    put(w, b, sizeof(b));
    put(w, i->extra, i->extra_size);
    for (int n = 0; n < i->endpoint_count; n++) {
        put_endpoint(w, &i->endpoints[n], super);
    }
}

static void put_config(Writer *w, const UsbConfigDesc *c, uint8_t kind, bool super)
{
    uint8_t b[9] = { sizeof(b), kind, 0, 0, c->interface_count, c->value, c->string,
                     c->attributes | 0x80, super ? c->max_power / 4 : c->max_power };
    size_t start = w->size;

    put(w, b, sizeof(b));
    for (int n = 0; n < c->count; n++) {
        put_interface(w, &c->interfaces[n], super);
    }
    store_le16(w->out + start + 2, w->size - start);
}

static void put_qualifier(Writer *w, const UsbDeviceDesc *d)
{
    uint8_t b[10] = { sizeof(b), DESC_QUALIFIER, 0, 0, d->class_code, d->subclass, d->protocol,
                      d->max_packet0, d->config_count };

    store_le16(b + 2, d->usb_version);
    put(w, b, sizeof(b));
}

/* Binary device object store: link power management, and what SuperSpeed needs. */
static void put_bos(Writer *w, const UsbDevice *usb)
{
    static const uint8_t lpm[7] = { 7, DESC_CAPABILITY, 2 };
    uint8_t head[5] = { sizeof(head), DESC_BOS, 0, 0, 1 };
    uint8_t super[10] = { sizeof(super), DESC_CAPABILITY, 3, 0, 0x0e, 0, 1, 0x0a, 0x20, 0 };

    if (usb->desc->full) {
        super[4] |= 2; /* speeds that it knows, and the lowest with all its functions */
    }
    put(w, head, sizeof(head));
    put(w, lpm, sizeof(lpm));
    if (usb->desc->super) {
        put(w, super, sizeof(super));
        w->out[4] = 2;
    }
    store_le16(w->out + 2, w->size);
}

static void put_string(Writer *w, const UsbDevice *usb, uint8_t index)
{
    static const uint8_t languages[4] = { 4, DESC_STRING, 0x09, 0x04 };
    const char *text = NULL;
    g_autofree gunichar2 *wide = NULL;
    glong units = 0;
    uint8_t head[2] = { 0, DESC_STRING };

    if (index == 0) {
        put(w, languages, sizeof(languages));
        return;
    }
    for (int n = 1; usb->desc->strings[n]; n++) {
        text = n == index ? usb->desc->strings[n] : text;
    }
    if (usb->serial && index == usb->desc->serial_string) {
        text = usb->serial;
    }
    wide = text ? g_utf8_to_utf16(text, -1, NULL, &units, NULL) : NULL;
    if (!wide) {
        return;
    }
    units = MIN(units, 126);
    head[0] = 2 + units * 2;
    put(w, head, sizeof(head));
    put(w, wide, units * 2);
}

size_t usb_build_descriptor(const UsbDevice *usb, uint8_t kind, uint8_t index, uint8_t out[DESC_MAX])
{
    Writer w = { out, 0 };
    const UsbDeviceDesc *now = usb_device_desc(usb);
    const UsbDeviceDesc *other = usb->speed == USB_HIGH   ? usb->desc->full
                                 : usb->speed == USB_FULL ? usb->desc->high
                                                          : NULL;

    switch (kind) {
    case DESC_DEVICE:
        put_device(&w, usb);
        break;
    case DESC_CONFIG:
        if (index < now->config_count) {
            put_config(&w, &now->configs[index], kind, usb->speed == USB_SUPER);
        }
        break;
    case DESC_STRING:
        put_string(&w, usb, index);
        break;
    case DESC_QUALIFIER:
        if (other) {
            put_qualifier(&w, other);
        }
        break;
    case DESC_OTHER_SPEED:
        if (other && index < other->config_count) {
            put_config(&w, &other->configs[index], kind, false);
        }
        break;
    case DESC_BOS:
        if (now->usb_version >= 0x0201) {
            put_bos(&w, usb);
        }
        break;
    default:
        break;
    }
    return w.size;
}
