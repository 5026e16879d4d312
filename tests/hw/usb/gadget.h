/* A USB device whose answers a test decides. */
#ifndef TESTS_HW_USB_GADGET_H
#define TESTS_HW_USB_GADGET_H

#include "hw/usb/usb.h"

typedef struct Gadget {
    UsbDevice usb;
    int answer;          /* of endpoints 1 to 3: NAK, STALL ..., or 0: data as follows */
    uint8_t out[65536];  /* what OUT endpoints were given */
    size_t out_size;
    uint8_t in[65536];   /* what IN endpoints give, at most `in_left` bytes of it */
    size_t in_at, in_left;
    size_t chunk;        /* at most this much at a time; 0: no limit */
    unsigned stream;     /* of the last transfer */
    unsigned transfers, resets;
} Gadget;

/* Bulk endpoints 1 IN and 2 OUT, interrupt endpoint 3 IN; speeds up to `top`. */
Gadget *gadget_new(UsbBus *bus, const char *port, UsbSpeed top);
/* Reset, with nothing given or taken and data as the answer. */
void gadget_start_over(Gadget *gadget);

#endif
