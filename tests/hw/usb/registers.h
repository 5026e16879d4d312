/* A controller whose registers are in memory, and the schedules that a test writes for it. */
#ifndef TESTS_HW_USB_REGISTERS_H
#define TESTS_HW_USB_REGISTERS_H

#include "tests/hw/rig.h"

#define BAR 0xf0000000u

static inline uint8_t *mem(uint32_t at)
{
    return rig_ram() + at;
}

static inline uint32_t get(unsigned reg)
{
    return rig_load(BAR + reg, 4);
}

static inline void put(unsigned reg, uint32_t value)
{
    rig_store(BAR + reg, value, 4);
}

/* The registers are at BAR, and the controller may use memory. */
static inline void map_registers(Device *hc)
{
    int devfn = ((PciDevice *)hc)->devfn;

    pci_config_write(rig_pci(), 0, devfn, 0x10, BAR, 4);
    pci_config_write(rig_pci(), 0, devfn, 0x04, 6, 2);
}

#endif
