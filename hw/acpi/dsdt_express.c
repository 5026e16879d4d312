/*
 * Parts of the DSDT that machines with PCI Express have: interrupt routing by model, _OSC, configuration space.
 *
 * ACPI specification 6.5, 6.2.11 and 6.2.13; PCI Firmware Specification 3.0, 4.1.3 and 4.5.
 */
#include "hw/acpi/dsdt.h"

enum { FIRST_APIC_INPUT = 16, FIRST_OWN_SLOT = 25, SLOTS = 32, PINS = 4 };

void dsdt_add_interrupt_model(Aml *a)
{
    aml_name_int(a, "\\PICF", 0);
    aml_method(a, "\\_PIC", 1, false);
    aml_op(a, AML_STORE);
    aml_op(a, AML_ARG0);
    aml_path(a, "\\PICF");
    aml_end(a);
}

/* PIRQ of a pin, as ich9_map_irq has it. */
static int pirq_of(int slot, int pin)
{
    return slot < FIRST_OWN_SLOT ? 4 + ((slot + pin) & 3) : pin;
}

/* By links to the 8259 pair, or to inputs of the I/O APIC. */
static void add_routes(Aml *a, const char *name, bool by_links)
{
    aml_name(a, name);
    aml_package(a, (SLOTS - 1) * PINS);
    for (int slot = 1; slot < SLOTS; slot++) {
        for (int pin = 0; pin < PINS; pin++) {
            char link[] = { 'L', 'N', 'K', 'A' + pirq_of(slot, pin), '\0' };

            aml_package(a, 4);
            aml_int(a, (uint32_t)slot << 16 | 0xffff);
            aml_int(a, pin);
            if (by_links) {
                aml_path(a, link);
                aml_int(a, 0);
            } else {
                aml_int(a, 0);
                aml_int(a, FIRST_APIC_INPUT + pirq_of(slot, pin));
            }
            aml_end(a);
        }
    }
    aml_end(a);
}

static void add_routing(Aml *a)
{
    add_routes(a, "PRTL", true);
    add_routes(a, "PRTA", false);
    aml_method(a, "_PRT", 0, false);
    aml_if(a);
    aml_path(a, "\\PICF");
    aml_op(a, AML_RETURN);
    aml_path(a, "PRTA");
    aml_end(a);
    aml_op(a, AML_RETURN);
    aml_path(a, "PRTL");
    aml_end(a);
}

static void field_of_arg3(Aml *a, int offset, const char *name)
{
    aml_op(a, AML_CREATE_DWORD);
    aml_op(a, AML_ARG3);
    aml_int(a, offset);
    aml_path(a, name);
}

static void or_into(Aml *a, const char *name, int bits)
{
    aml_op(a, AML_OR);
    aml_path(a, name);
    aml_int(a, bits);
    aml_path(a, name);
}

/* The guest is told what it may control itself: hot-plug, power events and the Express capability, no error reports. */
static void add_osc(Aml *a)
{
    enum { GRANTED = 0x15, STATUS_UNKNOWN_ID = 4, STATUS_MASKED = 16 };
    static const uint8_t id[16] = {
        0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40, 0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66,
    };

    aml_method(a, "_OSC", 4, true);
    field_of_arg3(a, 0, "CDW1");
    aml_if(a);
    aml_op(a, AML_EQUAL);
    aml_op(a, AML_ARG0);
    aml_buffer(a, id, sizeof(id));
    field_of_arg3(a, 8, "CDW3");
    aml_op(a, AML_AND);
    aml_path(a, "CDW3");
    aml_int(a, GRANTED);
    aml_op(a, AML_LOCAL0);
    aml_if(a);
    aml_op(a, AML_NOT);
    aml_op(a, AML_EQUAL);
    aml_op(a, AML_LOCAL0);
    aml_path(a, "CDW3");
    or_into(a, "CDW1", STATUS_MASKED);
    aml_end(a);
    aml_op(a, AML_STORE);
    aml_op(a, AML_LOCAL0);
    aml_path(a, "CDW3");
    aml_end(a);
    aml_else(a);
    or_into(a, "CDW1", STATUS_UNKNOWN_ID);
    aml_end(a);
    aml_op(a, AML_RETURN);
    aml_op(a, AML_ARG3);
    aml_end(a);
}

void dsdt_add_express_root(Aml *a)
{
    add_routing(a);
    add_osc(a);
}

/* Systems use configuration space in memory only if some device reserves it. */
void dsdt_add_config_space(Aml *a, const AcpiMachine *m)
{
    if (!m->places.mmconfig_buses || m->places.mmconfig > UINT32_MAX) {
        return;
    }
    aml_device(a, "MCFG");
    aml_name_id(a, "_HID", "PNP0C02");
    aml_name_int(a, "_UID", 1);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_memory_fixed(a, m->places.mmconfig, m->places.mmconfig_buses << 20, true);
    aml_end(a);
    aml_end(a);
}
