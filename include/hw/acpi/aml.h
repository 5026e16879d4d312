/* Writer of AML, the byte code of ACPI tables: objects are written in order, containers nest. */
#ifndef HW_ACPI_AML_H
#define HW_ACPI_AML_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Aml {
    GByteArray *bytes;
    struct {
        guint at;        /* where the length goes */
        bool resources;  /* a buffer that ends with an end tag and a size of its own */
    } open[16];
    int depth;
} Aml;

void aml_init(Aml *a);
GByteArray *aml_finish(Aml *a); /* all containers ended; the caller owns the bytes */

/* Containers; each is ended with aml_end. Paths are as in ASL, "\\_SB.PCI0"; names are padded. */
void aml_scope(Aml *a, const char *path);
void aml_device(Aml *a, const char *name);
void aml_processor(Aml *a, const char *name, uint8_t id);
void aml_method(Aml *a, const char *name, int arguments, bool serialized);
void aml_package(Aml *a, uint8_t elements);
void aml_resources(Aml *a); /* ResourceTemplate */
void aml_if(Aml *a);        /* the predicate follows */
void aml_else(Aml *a);
void aml_end(Aml *a);

/* Objects and terms. */
void aml_name(Aml *a, const char *name); /* Name(name, the next object) */
void aml_path(Aml *a, const char *path); /* a reference */
void aml_int(Aml *a, uint64_t value);
void aml_string(Aml *a, const char *text);
void aml_eisa_id(Aml *a, const char *id); /* "PNP0A03" */
void aml_buffer(Aml *a, const uint8_t *bytes, uint8_t size);
void aml_op(Aml *a, uint8_t opcode);
void aml_region(Aml *a, const char *name, uint8_t space, uint32_t offset, uint32_t length);
/* Fields of one byte each over a region; the list of names ends with NULL. */
void aml_byte_fields(Aml *a, const char *region, const char *const *names);
void aml_dword_fields(Aml *a, const char *region, const char *const *names); /* of four */

/* Shorthands: Name(name, value). */
void aml_name_int(Aml *a, const char *name, uint64_t value);
void aml_name_id(Aml *a, const char *name, const char *eisa_id);

enum {
    AML_LOCAL0 = 0x60, AML_ARG0 = 0x68, AML_STORE = 0x70, AML_AND = 0x7b, AML_OR = 0x7d,
    AML_ARG3 = 0x6b, AML_NOT = 0x92, AML_EQUAL = 0x93, AML_LOCAL1 = 0x61, AML_NOTIFY = 0x86, AML_CREATE_DWORD = 0x8a, AML_LESS = 0x95, AML_RETURN = 0xa4,
};

/* Descriptors, within aml_resources. */
void aml_io(Aml *a, uint16_t port, uint8_t length);
void aml_irq(Aml *a, uint16_t mask);                  /* edge, active high, exclusive */
void aml_interrupts(Aml *a, const uint32_t *irqs, uint8_t count); /* level, active high, shared */
void aml_dma(Aml *a, uint8_t channel);
void aml_memory_fixed(Aml *a, uint32_t base, uint32_t length, bool writable);
void aml_bus_numbers(Aml *a, uint16_t first, uint16_t last);
void aml_port_window(Aml *a, uint16_t first, uint16_t last);
void aml_high_memory_window(Aml *a, uint64_t first, uint64_t last);
void aml_memory_window(Aml *a, uint32_t first, uint32_t last, bool cacheable);

#endif
