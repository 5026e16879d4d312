/* 16550A serial ports. */
#ifndef HW_CHAR_SERIAL_H
#define HW_CHAR_SERIAL_H

#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

extern const DeviceType isa_serial_type, serial_mm_type;

/* Of serial-mm: its eight registers, a byte each; and where its interrupt goes. */
Region *serial_mm_region(Device *dev);
void serial_mm_connect(Device *dev, Line *irq);

#endif
