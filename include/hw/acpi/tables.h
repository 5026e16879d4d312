/* ACPI tables of a PC, handed to the firmware through fw_cfg. */
#ifndef HW_ACPI_TABLES_H
#define HW_ACPI_TABLES_H

#include "core/device.h"

/* What firmware decides before it loads the tables. */
typedef struct AcpiPlaces {
    uint64_t mmconfig;       /* configuration space in memory */
    unsigned mmconfig_buses; /* 0: there is none */
    uint64_t high_first, high_last; /* what PCI has above 4 GiB; high_first > high_last: nothing */
    uint16_t pm_base;        /* ports of the power management block */
} AcpiPlaces;

typedef struct AcpiMachine {
    const uint8_t *apic_ids; /* of the processors */
    int cpus;
    bool apic;               /* there are local APICs and an I/O APIC */
    bool hpet;
    bool express;            /* Q35 with ICH9, otherwise 440FX with PIIX */
    uint32_t pci_hole;       /* first address above low RAM */
    uint16_t gpe_base;       /* general purpose events, and how many bytes of registers they have */
    uint8_t gpe_length;
    AcpiPlaces places;
} AcpiMachine;

#define ACPI_LOADER_FILE "etc/table-loader"

/* Adds etc/acpi/tables, etc/acpi/rsdp and the etc/table-loader script; again: the same ones with other contents. */
void acpi_add_tables(Device *fw_cfg, const AcpiMachine *machine);
/* \_SB.PCI0 and what is below; the caller frees. */
GByteArray *acpi_dsdt_body(const AcpiMachine *machine);

#endif
