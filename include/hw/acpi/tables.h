/* The ACPI tables of the PC boards, delivered to the firmware through fw_cfg. */
#ifndef HW_ACPI_TABLES_H
#define HW_ACPI_TABLES_H

#include "core/device.h"

typedef struct AcpiConfig {
    int cpus;        /* processors there are; their APIC ids are 0 .. cpus - 1 */
    bool hpet;       /* there is one at fed00000 */
    uint64_t ram_high; /* bytes of memory above 4 GiB: PCI's 64-bit window starts past it */
} AcpiConfig;

/* All tables and the linker script that places them; both new. */
void acpi_tables_build(const AcpiConfig *config, GByteArray **tables, GByteArray **rsdp,
                       GByteArray **script);

/* Builds them for machine_config and adds "etc/acpi/tables" and its companions. */
void acpi_tables_add(Device *fw_cfg);

#endif
