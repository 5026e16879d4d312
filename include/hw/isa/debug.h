/* Ports for firmware and test programs: a debug console and an exit port. */
#ifndef HW_ISA_DEBUG_H
#define HW_ISA_DEBUG_H

#include "hw/isa/isa.h"

extern const DeviceType isa_debugcon_type;
extern const DeviceType isa_debug_exit_type;

#endif
