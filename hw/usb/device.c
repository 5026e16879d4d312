/*
 * What every USB device does the same way: control transfers, standard requests, halted endpoints.
 *
 * USB 2.0 specification, sections 8.5.3 (control transfers) and 9.4 (standard requests).
 */
#include "hw/usb/internal.h"

#include "util/bits.h"
#include "util/log.h"

#include <string.h>

enum { STAGE_IDLE, STAGE_IN, STAGE_OUT, STAGE_STALLED };
enum { GET_STATUS, CLEAR_FEATURE, SET_FEATURE = 3, SET_ADDRESS = 5, GET_DESCRIPTOR, SET_DESCRIPTOR,
       GET_CONFIGURATION, SET_CONFIGURATION, GET_INTERFACE, SET_INTERFACE, SYNCH_FRAME,
       SET_SEL = 0x30, SET_ISOCH_DELAY = 0x31 };
enum { TO_DEVICE, TO_INTERFACE, TO_ENDPOINT }; /* recipients */
enum { FEATURE_HALT, FEATURE_WAKEUP, FEATURE_TEST, FEATURE_U1 = 48, FEATURE_U2, FEATURE_LTM };
enum { FEATURE_SUSPEND = 0 }; /* of an interface, SuperSpeed */
#define NOT_STANDARD (-100)

/* ---- the tables in force ---- */

const UsbConfigDesc *usb_active_config(const UsbDevice *usb)
{
    const UsbDeviceDesc *d = usb_device_desc(usb);

    for (int n = 0; d && usb->core.configuration && n < d->config_count; n++) {
        if (d->configs[n].value == usb->core.configuration) {
            return &d->configs[n];
        }
    }
    return NULL;
}

static const UsbInterfaceDesc *find_interface(const UsbDevice *usb, unsigned number, unsigned alternate)
{
    const UsbConfigDesc *c = usb_active_config(usb);

    for (int n = 0; c && n < c->count; n++) {
        if (c->interfaces[n].number == number && c->interfaces[n].alternate == alternate) {
            return &c->interfaces[n];
        }
    }
    return NULL;
}

const UsbEndpointDesc *usb_find_endpoint(const UsbDevice *usb, uint8_t address)
{
    const UsbConfigDesc *c = usb_active_config(usb);

    for (int n = 0; c && n < c->count; n++) {
        const UsbInterfaceDesc *i = &c->interfaces[n];

        if (i->number >= USB_MAX_INTERFACES || usb->core.alternate[i->number] != i->alternate) {
            continue;
        }
        for (int e = 0; e < i->endpoint_count; e++) {
            if (i->endpoints[e].address == address) {
                return &i->endpoints[e];
            }
        }
    }
    return NULL;
}

static uint32_t halt_bit(uint8_t address)
{
    return 1u << ((address & 15) + (address & 0x80 ? 16 : 0));
}

/* ---- standard requests ---- */

static int get_status(UsbDevice *usb, const UsbSetup *setup, uint8_t *data)
{
    const UsbConfigDesc *c = usb_active_config(usb);
    uint16_t status = 0;

    switch (setup->type & 31) {
    case TO_DEVICE:
        status = (c && c->attributes & 0x40 ? 1 : 0) | usb->core.remote_wakeup << 1;
        break;
    case TO_INTERFACE:
        if (!find_interface(usb, setup->index & 0xff, 0)) {
            return USB_STALL;
        }
        break;
    case TO_ENDPOINT:
        if ((setup->index & 15) && !usb_find_endpoint(usb, setup->index)) {
            return USB_STALL;
        }
        status = (usb->core.halted & halt_bit(setup->index)) != 0;
        break;
    default:
        return NOT_STANDARD;
    }
    store_le16(data, status);
    return 2;
}

static int set_endpoint_halt(UsbDevice *usb, const UsbSetup *setup, bool halt)
{
    uint8_t address = setup->index;

    if (setup->value != FEATURE_HALT || ((address & 15) && !usb_find_endpoint(usb, address))) {
        return USB_STALL;
    }
    if (halt) {
        usb->core.halted |= halt_bit(address);
        return 0;
    }
    usb->core.halted &= ~halt_bit(address);
    if (usb->ops->unhalted) {
        usb->ops->unhalted(usb, address);
    }
    return 0;
}

static int set_feature(UsbDevice *usb, const UsbSetup *setup, bool on)
{
    switch (setup->type & 31) {
    case TO_DEVICE:
        switch (setup->value) {
        case FEATURE_WAKEUP:
            usb->core.remote_wakeup = on;
            return 0;
        case FEATURE_TEST:
            return on && usb->speed == USB_HIGH ? 0 : USB_STALL;
        case FEATURE_U1:
        case FEATURE_U2:
        case FEATURE_LTM:
            return usb->speed == USB_SUPER ? 0 : USB_STALL;
        default:
            return USB_STALL;
        }
    case TO_INTERFACE: /* function suspend, with remote wake-up in the high byte of the index */
        if (usb->speed == USB_SUPER && setup->value == FEATURE_SUSPEND) {
            usb->core.remote_wakeup = on && setup->index & 0x200;
            return 0;
        }
        return USB_STALL;
    case TO_ENDPOINT:
        return set_endpoint_halt(usb, setup, on);
    default:
        return NOT_STANDARD;
    }
}

static void configure(UsbDevice *usb, uint8_t value)
{
    usb->core.configuration = value;
    memset(usb->core.alternate, 0, sizeof(usb->core.alternate));
    usb->core.halted = 0;
    if (usb->ops->configured) {
        usb->ops->configured(usb);
    }
}

static int set_configuration(UsbDevice *usb, const UsbSetup *setup)
{
    uint8_t before = usb->core.configuration;

    usb->core.configuration = setup->value;
    if (setup->value && !usb_active_config(usb)) {
        usb->core.configuration = before;
        return USB_STALL;
    }
    configure(usb, setup->value);
    return 0;
}

static int set_interface(UsbDevice *usb, const UsbSetup *setup)
{
    const UsbInterfaceDesc *i = find_interface(usb, setup->index, setup->value);

    if (!i || i->number >= USB_MAX_INTERFACES) {
        return USB_STALL;
    }
    usb->core.alternate[i->number] = i->alternate;
    for (int n = 0; n < i->endpoint_count; n++) {
        usb->core.halted &= ~halt_bit(i->endpoints[n].address);
    }
    if (usb->ops->configured) {
        usb->ops->configured(usb);
    }
    return 0;
}

static int get_descriptor(UsbDevice *usb, const UsbSetup *setup, uint8_t *data)
{
    uint8_t out[DESC_MAX];
    size_t size = usb_build_descriptor(usb, setup->value >> 8, setup->value, out);

    size = MIN(size, setup->length);
    memcpy(data, out, size);
    return size ? (int)size : USB_STALL;
}

static int standard_request(UsbDevice *usb, const UsbSetup *setup, uint8_t *data)
{
    bool to_host = setup->type & 0x80;
    uint8_t recipient = setup->type & 31;

    if (to_host && setup->length == 0) {
        return setup->request == GET_DESCRIPTOR ? USB_STALL : NOT_STANDARD;
    }
    switch (setup->request) {
    case GET_STATUS:
        return to_host ? get_status(usb, setup, data) : USB_STALL;
    case CLEAR_FEATURE:
    case SET_FEATURE:
        return to_host ? USB_STALL : set_feature(usb, setup, setup->request == SET_FEATURE);
    case SET_ADDRESS:
        if (to_host || recipient != TO_DEVICE || setup->value > 127) {
            return USB_STALL;
        }
        usb->core.new_address = setup->value | 0x80; /* taken after the status stage */
        return 0;
    case GET_DESCRIPTOR:
        return to_host && recipient == TO_DEVICE ? get_descriptor(usb, setup, data) : NOT_STANDARD;
    case GET_CONFIGURATION:
        data[0] = usb->core.configuration;
        return to_host ? 1 : USB_STALL;
    case SET_CONFIGURATION:
        return to_host ? USB_STALL : set_configuration(usb, setup);
    case GET_INTERFACE:
        if (!find_interface(usb, setup->index, 0) || setup->index >= USB_MAX_INTERFACES) {
            return USB_STALL;
        }
        data[0] = usb->core.alternate[setup->index];
        return 1;
    case SET_INTERFACE:
        return to_host ? USB_STALL : set_interface(usb, setup);
    case SET_SEL:
    case SET_ISOCH_DELAY:
        return usb->speed == USB_SUPER ? 0 : USB_STALL;
    default:
        return NOT_STANDARD;
    }
}

static UsbSetup parse_setup(const uint8_t *b)
{
    return (UsbSetup){ b[0], b[1], load_le16(b + 2), load_le16(b + 4), load_le16(b + 6) };
}

static int perform(UsbDevice *usb)
{
    UsbSetup setup = parse_setup(usb->core.setup);
    int result = NOT_STANDARD;

    setup.length = setup.type & 0x80 ? MIN(setup.length, USB_CONTROL_MAX) : usb->core.control_size;
    if ((setup.type & 0x60) == 0) {
        result = standard_request(usb, &setup, usb->core.control_data);
    }
    if (result == NOT_STANDARD) {
        result = usb->ops->control ? usb->ops->control(usb, &setup, usb->core.control_data) : USB_STALL;
    }
    trace("usb_control", "%s %02x %02x value %04x index %04x length %u: %d", usb->dev.id, setup.type,
          setup.request, setup.value, setup.index, setup.length, result);
    return result;
}

/* ---- the stages of a control transfer ---- */

static int start_control(UsbDevice *usb, const uint8_t *data, size_t size)
{
    UsbDeviceState *core = &usb->core;

    if (size != 8) {
        return USB_NO_ANSWER;
    }
    memcpy(core->setup, data, 8);
    core->stage = data[0] & 0x80 ? STAGE_IN : STAGE_OUT;
    core->answered = false;
    core->control_size = core->control_at = 0;
    core->new_address = 0;
    core->halted &= ~(halt_bit(0) | halt_bit(0x80));
    if (core->stage == STAGE_OUT && load_le16(core->setup + 6) > USB_CONTROL_MAX) {
        core->stage = STAGE_STALLED;
    }
    return 8;
}

static int stall(UsbDevice *usb)
{
    usb->core.stage = STAGE_STALLED;
    return USB_STALL;
}

static int finish_control(UsbDevice *usb)
{
    UsbDeviceState *core = &usb->core;

    core->stage = STAGE_IDLE;
    if (core->new_address & 0x80) {
        core->address = core->new_address & 0x7f;
        core->new_address = 0;
    }
    return 0;
}

static int control_in(UsbDevice *usb, uint8_t *data, size_t size)
{
    UsbDeviceState *core = &usb->core;
    size_t n;

    if (core->stage == STAGE_OUT) { /* the status of a request without an answer */
        int result = perform(usb);

        if (result == USB_NAK) {
            return USB_NAK;
        }
        return result < 0 ? stall(usb) : finish_control(usb);
    }
    if (core->stage != STAGE_IN) {
        return USB_STALL;
    }
    if (!core->answered) {
        int result;

        memset(core->control_data, 0, sizeof(core->control_data));
        result = perform(usb);
        if (result == USB_NAK) {
            return USB_NAK;
        }
        if (result < 0) {
            return stall(usb);
        }
        core->answered = true;
        core->control_size = MIN(result, load_le16(core->setup + 6));
    }
    n = MIN(size, (size_t)(core->control_size - core->control_at));
    memcpy(data, core->control_data + core->control_at, n);
    core->control_at += n;
    return n;
}

static int control_out(UsbDevice *usb, const uint8_t *data, size_t size)
{
    UsbDeviceState *core = &usb->core;

    if (core->stage == STAGE_IN) {
        if (!core->answered) { /* no data stage: a length of zero, or a host that does not care */
            int result = perform(usb);

            if (result == USB_NAK) {
                return USB_NAK;
            }
            if (result < 0) {
                return stall(usb);
            }
        }
        return finish_control(usb);
    }
    if (core->stage != STAGE_OUT ||
        core->control_size + size > MIN(load_le16(core->setup + 6), USB_CONTROL_MAX)) {
        return stall(usb);
    }
    memcpy(core->control_data + core->control_size, data, size);
    core->control_size += size;
    return size;
}

/* ---- transfers ---- */

int usb_transfer(UsbDevice *usb, UsbPid pid, uint8_t endpoint, unsigned stream, void *data, size_t size)
{
    uint8_t address = endpoint | (pid == USB_IN ? 0x80 : 0);
    const UsbEndpointDesc *e;
    int result;

    if (!usb->port || !usb_device_desc(usb)) {
        return USB_NO_ANSWER;
    }
    if (endpoint == 0) {
        return pid == USB_SETUP ? start_control(usb, data, size)
               : pid == USB_IN  ? control_in(usb, data, size)
                                : control_out(usb, data, size);
    }
    e = pid == USB_SETUP ? NULL : usb_find_endpoint(usb, address);
    if (!e) {
        return USB_NO_ANSWER;
    }
    if (usb->core.halted & halt_bit(address)) {
        return USB_STALL;
    }
    result = usb->ops->data ? usb->ops->data(usb, address, stream, data, size) : USB_STALL;
    if (result == USB_STALL && (e->attributes & 3) != USB_ISOCHRONOUS) {
        usb->core.halted |= halt_bit(address);
    }
    g_assert(result <= (int)size);
    return result;
}

void usb_set_address(UsbDevice *usb, uint8_t address)
{
    usb->core.address = address;
}

/* The speed is found out at each reset: the port's, or one that the device falls back to. */
void usb_device_bus_reset(UsbDevice *usb)
{
    unsigned common = usb->port ? usb->port->speeds & usb_device_speeds(usb->desc) : 0;

    if (common) {
        usb->speed = 31 - __builtin_clz(common);
    }
    usb->core.address = usb->core.new_address = 0;
    usb->core.configuration = 0;
    usb->core.halted = 0;
    usb->core.stage = STAGE_IDLE;
    usb->core.remote_wakeup = false;
    memset(usb->core.alternate, 0, sizeof(usb->core.alternate));
    if (usb->ops->bus_reset) {
        usb->ops->bus_reset(usb);
    }
    if (usb->ops->configured) {
        usb->ops->configured(usb);
    }
}
