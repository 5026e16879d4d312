/* System control port A (port 92). */
#ifndef HW_ISA_PORT92_H
#define HW_ISA_PORT92_H

#include "hw/isa/isa.h"

extern const DeviceType port92_type;

#endif
