/* -usbdevice and usb_add: how USB devices were named before -device. */
#ifndef SYSTEM_OLD_USB_H
#define SYSTEM_OLD_USB_H

#include <glib.h>
#include <stdbool.h>

bool old_usb_create(GError **error); /* all of -usbdevice */
/* "tablet", "disk:FILE", "serial:DEV" ... hotplug: the machine runs. */
bool old_usb_add(const char *spec, bool hotplug, GError **error);

#endif
