/*
 * USB: buses, ports, devices, and what passes between them.
 *
 * A device never holds a packet: a transfer either moves bytes at once or is answered with a NAK, as on
 * the wire. The controller keeps what was not acknowledged in the guest's schedule, where the guest may
 * take it back, and asks again; a device that has become ready says so with usb_ready, so that nobody
 * has to poll. All of this needs the machine lock.
 */
#ifndef HW_USB_USB_H
#define HW_USB_USB_H

#include "core/device.h"

typedef struct UsbBus UsbBus;
typedef struct UsbPort UsbPort;
typedef struct UsbDevice UsbDevice;

typedef enum UsbSpeed { USB_LOW, USB_FULL, USB_HIGH, USB_SUPER } UsbSpeed;
#define USB_SPEED(speed) (1u << (speed))

typedef enum UsbPid { USB_SETUP = 0x2d, USB_IN = 0x69, USB_OUT = 0xe1 } UsbPid;

/* What a transfer answers if it is no number of bytes. */
enum { USB_NAK = -1, USB_STALL = -2, USB_BABBLE = -3, USB_NO_ANSWER = -4 };

enum { USB_CONTROL, USB_ISOCHRONOUS, USB_BULK, USB_INTERRUPT }; /* types of endpoints */

/* ---- descriptors, as tables ---- */

typedef struct UsbEndpointDesc {
    uint8_t address;     /* 0x80: IN */
    uint8_t attributes;  /* type and more, as in the descriptor */
    uint16_t max_packet;
    uint8_t interval;
    const uint8_t *extra; /* class-specific descriptors behind this one */
    uint8_t extra_size;
    uint8_t max_burst, streams; /* SuperSpeed; streams is log2 */
} UsbEndpointDesc;

typedef struct UsbInterfaceDesc {
    uint8_t number, alternate;
    uint8_t class_code, subclass, protocol;
    uint8_t string;
    const uint8_t *extra; /* class-specific descriptors between interface and endpoints */
    uint8_t extra_size;
    const UsbEndpointDesc *endpoints;
    uint8_t endpoint_count;
} UsbInterfaceDesc;

typedef struct UsbConfigDesc {
    uint8_t value, attributes, max_power; /* attributes and power as in the descriptor */
    uint8_t string;
    uint8_t interface_count; /* without counting alternates */
    const UsbInterfaceDesc *interfaces;
    uint8_t count; /* with alternates */
} UsbConfigDesc;

/* A device as it shows itself at one speed. */
typedef struct UsbDeviceDesc {
    uint16_t usb_version; /* 0x0200 */
    uint8_t class_code, subclass, protocol;
    uint8_t max_packet0; /* an exponent for SuperSpeed */
    const UsbConfigDesc *configs;
    uint8_t config_count;
} UsbDeviceDesc;

typedef struct UsbDescriptors {
    uint16_t vendor, product, version;
    uint8_t manufacturer_string, product_string, serial_string; /* indices, 0: none */
    const char *const *strings; /* [0] unused; NULL ends it */
    const UsbDeviceDesc *full, *high, *super; /* NULL: not at that speed */
    const UsbDeviceDesc *low;
} UsbDescriptors;

/* ---- devices ---- */

typedef struct UsbSetup {
    uint8_t type, request; /* type: 0x80 to the host, 0x60 standard/class/vendor, 0x1f recipient */
    uint16_t value, index, length;
} UsbSetup;

typedef struct UsbDeviceOps {
    /*
     * Requests that are not standard ones, and standard ones about interfaces that the core has no answer
     * for. data holds setup->length bytes: in, what the host sent; out, the answer. Returns the size of the
     * answer, USB_STALL, or USB_NAK to be asked again. NULL: stalls.
     */
    int (*control)(UsbDevice *dev, const UsbSetup *setup, uint8_t *data);
    /*
     * Moves data through an endpoint other than 0: address has 0x80 set if it is towards the host. size is
     * what the host has room for, or sends, and may be many packets. A count below size that is no
     * multiple of the packet size ends the host's transfer.
     */
    int (*data)(UsbDevice *dev, uint8_t address, unsigned stream, uint8_t *data, size_t size);
    void (*bus_reset)(UsbDevice *dev);   /* these may be NULL */
    void (*configured)(UsbDevice *dev);  /* configuration or an alternate interface changed */
    void (*unhalted)(UsbDevice *dev, uint8_t address);
    UsbPort *(*downstream)(UsbDevice *dev, int n); /* hubs: port n from 0, NULL past the last */
    bool (*enabled)(UsbDevice *dev, int n);        /* whether it passes packets on */
} UsbDeviceOps;

#define USB_CONTROL_MAX 4096 /* bytes of a control transfer's data */
#define USB_MAX_INTERFACES 16

/* What the guest can change of every device. */
#define USB_DEVICE_STATE(FIELD, ARRAY)                                                    \
    FIELD(uint8_t, address, 0)                                                            \
    FIELD(uint8_t, new_address, 0) /* in force after the status stage */                  \
    FIELD(uint8_t, configuration, 0)                                                      \
    ARRAY(uint8_t, alternate, USB_MAX_INTERFACES, 0)                                      \
    FIELD(uint32_t, halted, 0) /* bit n: OUT endpoint n, bit 16 + n: IN */                \
    FIELD(bool, remote_wakeup, false)                                                     \
    FIELD(uint8_t, stage, 0)                                                              \
    FIELD(bool, answered, false)                                                          \
    ARRAY(uint8_t, setup, 8, 0)                                                           \
    FIELD(uint16_t, control_size, 0)                                                      \
    FIELD(uint16_t, control_at, 0)                                                        \
    ARRAY(uint8_t, control_data, USB_CONTROL_MAX, 0)

typedef struct UsbDeviceState {
    USB_DEVICE_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} UsbDeviceState;

struct UsbDevice {
    Device dev;
    UsbPort *port; /* that it is seen at, NULL while it is not connected */
    UsbPort *socket; /* where it was put */
    const UsbDescriptors *desc;
    const UsbDeviceOps *ops;
    UsbSpeed speed;
    UsbDeviceState core;
    char *port_path; /* port=, as "1.2"; NULL: pick one */
    char *serial;    /* replaces the serial string */
};

/* Rows that every UsbDevice type puts at the head of its property list. */
#define USB_PROPS(Type)                                                                          \
    PROP(Type, usb.port_path, "port", PROP_STRING, NULL, "port: root port.hub port..."),         \
        PROP(Type, usb.serial, "serial", PROP_STRING, NULL, "serial number")

/* First thing in a type's realize: takes a port. Then, with all set up, it is plugged in. */
bool usb_device_init(UsbDevice *usb, const UsbDescriptors *desc, const UsbDeviceOps *ops, GError **error);
void usb_device_plug(UsbDevice *usb);
void usb_device_unplug(UsbDevice *usb); /* first thing in unrealize */

/* For devices. */
void usb_ready(UsbDevice *usb, uint8_t address, unsigned stream); /* a NAK would be no more */
void usb_wakeup(UsbDevice *usb); /* remote wake-up, if the host allowed it */
const UsbEndpointDesc *usb_find_endpoint(const UsbDevice *usb, uint8_t address); /* active; or NULL */
const UsbConfigDesc *usb_active_config(const UsbDevice *usb); /* NULL: not configured */

/* ---- for controllers ---- */

/* Bytes moved, or one of the answers above. stream is 0 without streams. */
int usb_transfer(UsbDevice *usb, UsbPid pid, uint8_t endpoint, unsigned stream, void *data, size_t size);
/* xHCI sets the address itself; a device takes it as if the request had come. */
void usb_set_address(UsbDevice *usb, uint8_t address);
void usb_device_bus_reset(UsbDevice *usb);

/* ---- ports ---- */

typedef struct UsbPortOps {
    void (*attached)(UsbPort *port); /* port->dev has come */
    void (*detached)(UsbPort *port); /* port->dev is NULL now */
    void (*ready)(UsbPort *port, UsbDevice *dev, uint8_t address, unsigned stream); /* dev: behind it */
    void (*wakeup)(UsbPort *port);
    void (*vacated)(UsbPort *port); /* nothing is plugged in any more; may be NULL */
} UsbPortOps;

struct UsbPort {
    const UsbPortOps *ops;
    void *opaque;
    UsbDevice *hub;   /* NULL: a root port */
    int index;        /* from 0, of the controller or hub */
    unsigned speeds;  /* USB_SPEED mask */
    char *path;       /* "1.2" */
    UsbDevice *dev;   /* that is connected; NULL: none */
    UsbDevice *owner; /* that was put here, connected or not */
};

struct UsbBus {
    Bus bus; /* kind "usb" */
    int number; /* in the order they were made */
    GPtrArray *ports; /* UsbPort, root ports and those of hubs, borrowed */
    /* Lends ports of this bus to a companion controller; NULL: the bus lends none. */
    bool (*lend)(UsbBus *bus, UsbPort *companion, int count, int first, GError **error);
};

/* Names it "usb-bus.N", or "ID.0" after an id that the user gave. */
UsbBus *usb_bus_new(Device *owner);
/* The port's ops, opaque, index, speeds (and hub) are set; its path is made. */
void usb_bus_add_port(UsbBus *bus, UsbPort *port);
void usb_bus_remove_port(UsbBus *bus, UsbPort *port);
/* ports: `count` of a companion controller, which take turns with those of masterbus from `first` on. */
bool usb_bus_lend(const char *masterbus, UsbPort *ports, int count, int first, GError **error);
/* Connects the device to another port or to none (NULL): EHCI and its companions. */
void usb_port_connect(UsbPort *port, UsbDevice *usb);
/* The device of that address at the port or behind the hubs there; NULL if none answers. */
UsbDevice *usb_port_find(UsbPort *port, uint8_t address);
UsbPort *usb_root_port(const UsbDevice *usb);
const char *usb_speed_name(UsbSpeed speed); /* Mb/s, as `info usb` has it */
UsbDevice *usb_find_by_address(const char *text); /* "bus.address" of `info usb`; NULL if none */
char *usb_describe(void); /* `info usb`; caller frees */

#endif
