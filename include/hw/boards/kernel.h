/* Starting a kernel directly: -kernel, -initrd and -append of the PC boards. */
#ifndef HW_BOARDS_KERNEL_H
#define HW_BOARDS_KERNEL_H

#include "core/device.h"

/*
 * Loads what machine_config names, gives it to fw_cfg with a boot ROM of ours, and puts that ROM
 * first in "bootorder". low_ram: bytes of memory below 4 GiB. True without -kernel.
 */
bool kernel_load(Device *fw_cfg, uint64_t low_ram, GError **error);

#endif
