/* The OpenPIC interrupt controller, of KeyLargo and of Freescale's chips (MPIC). */
#ifndef HW_INTR_OPENPIC_H
#define HW_INTR_OPENPIC_H

#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

extern const DeviceType openpic_type, mpic_type;

enum { OPENPIC_SOURCES = 64, MPIC_SOURCES = 256, OPENPIC_CPUS_MAX = 4, OPENPIC_WINDOW = 0x40000 };
enum { MPIC_SHARED = 224 }; /* the first of eight sources that PCI messages share */

Region *openpic_region(Device *dev);          /* its OPENPIC_WINDOW bytes of registers */
Line *openpic_input(Device *dev, int source); /* sources are active high here, whatever their polarity bit says */
void openpic_connect(Device *dev, int cpu, Line *external); /* to a processor's external interrupt */

#endif
