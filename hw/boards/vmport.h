/* The port through which guest tools talk to a virtual machine, and its absolute pointer. */
#ifndef HW_BOARDS_VMPORT_H
#define HW_BOARDS_VMPORT_H

#include "core/device.h"

extern const DeviceType vmport_type;

/* The keyboard controller, whose mouse interrupt tells of pointer data; may be NULL. */
void vmport_connect(Device *dev, Device *i8042);

#endif
