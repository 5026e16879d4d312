/* Between the parts of the USB core. */
#ifndef HW_USB_INTERNAL_H
#define HW_USB_INTERNAL_H

#include "hw/usb/usb.h"

enum { DESC_DEVICE = 1, DESC_CONFIG, DESC_STRING, DESC_INTERFACE, DESC_ENDPOINT, DESC_QUALIFIER,
       DESC_OTHER_SPEED, DESC_BOS = 15, DESC_CAPABILITY, DESC_SS_ENDPOINT = 48 };

/* Room for any descriptor that our tables can make. */
#define DESC_MAX USB_CONTROL_MAX

/* The descriptor of a kind and index as the device has it at its speed; its size, or 0 if there is none. */
size_t usb_build_descriptor(const UsbDevice *usb, uint8_t kind, uint8_t index, uint8_t out[DESC_MAX]);

/* All that it has tables for: a USB_SPEED mask. */
unsigned usb_device_speeds(const UsbDescriptors *desc);

/* The tables for the speed in use. */
const UsbDeviceDesc *usb_device_desc(const UsbDevice *usb);

#endif
