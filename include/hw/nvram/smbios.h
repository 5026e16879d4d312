/* SMBIOS: what dmidecode shows, delivered to the firmware through fw_cfg. */
#ifndef HW_NVRAM_SMBIOS_H
#define HW_NVRAM_SMBIOS_H

#include "core/device.h"

/* The structures and their 32-bit entry point for machine_config; both new. */
void smbios_build(GByteArray **tables, GByteArray **anchor);

/* Builds them and adds "etc/smbios/smbios-tables" and "etc/smbios/smbios-anchor". */
void smbios_add(Device *fw_cfg);

#endif
