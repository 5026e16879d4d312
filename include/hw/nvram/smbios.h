/* SMBIOS tables of a PC, handed to the firmware through fw_cfg. */
#ifndef HW_NVRAM_SMBIOS_H
#define HW_NVRAM_SMBIOS_H

#include "core/device.h"

typedef struct SmbiosMachine {
    const char *name;       /* of the board */
    const uint8_t *uuid;    /* 16 bytes, or all zero */
    uint64_t low_ram, high_ram; /* bytes below and above 4 GiB */
    int cpus;
    uint32_t signature;     /* of CPUID leaf 1, of each processor */
} SmbiosMachine;

void smbios_add_tables(Device *fw_cfg, const SmbiosMachine *machine);

#endif
