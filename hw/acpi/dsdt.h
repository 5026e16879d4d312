/* Parts of the DSDT that machines with PCI Express have. */
#ifndef HW_ACPI_DSDT_H
#define HW_ACPI_DSDT_H

#include "hw/acpi/aml.h"
#include "hw/acpi/tables.h"

void dsdt_add_interrupt_model(Aml *a); /* \\_PIC: whether the guest uses the I/O APIC */
void dsdt_add_express_root(Aml *a);    /* within the root bridge: routing, and what the guest may control itself */
void dsdt_add_config_space(Aml *a, const AcpiMachine *m); /* within \\_SB */

#endif
