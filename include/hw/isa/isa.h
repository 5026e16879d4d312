/* The ISA bus: its ports, memory, interrupt lines and DMA, and the base of the devices on it. */
#ifndef HW_ISA_ISA_H
#define HW_ISA_ISA_H

#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

/* Kind of bus "isa". A machine has at most one. */
#define ISA_BUS "isa"
#define ISA_IRQS 16

/*
 * Head of the struct of an ISA device. The values are the jumpers: a type gives its own defaults
 * with ISA_PROPS, realize reads them. ISA_NONE (255) in irq or dma means not connected.
 */
typedef struct IsaDevice {
    Device dev;
    uint32_t iobase, irq, dma;
} IsaDevice;

#define ISA_NONE 255

/* Rows for the head of a property list; `isa` is the IsaDevice member, defaults are text. */
#define ISA_PROPS(Type, iobase_text, irq_text, dma_text)                              \
    PROP(Type, isa.iobase, "iobase", PROP_U32, iobase_text, "first I/O port"),        \
        PROP(Type, isa.irq, "irq", PROP_U32, irq_text, "interrupt line, 255: none"),  \
        PROP(Type, isa.dma, "dma", PROP_U32, dma_text, "DMA channel, 255: none")

/* The board makes the bus; irqs are the 16 inputs (NULL entries: not connected), borrowed. */
Bus *isa_bus_new(const char *name, Device *owner, Region *memory, Region *ports,
                 Line *const irqs[ISA_IRQS], Device *dma);

/* The one bus of the machine; NULL (or lines and regions that lead nowhere) without one. */
Bus *isa_bus(void);
Line *isa_irq(int n);     /* NULL for ISA_NONE: line_set takes that */
Region *isa_memory(void); /* the 16 MiB (and what else the bridge decodes) seen by ISA devices */
Region *isa_ports(void);
Device *isa_dma(void);    /* the i8237 pair, for hw/dma/i8237.h; may be NULL */

/* Maps an I/O region of a device at a port; the device keeps the region. */
void isa_add_ports(Region *region, uint32_t port);

/* The A20 gate follows whoever moved it last: the keyboard controller's output or port 92. */
Line *isa_a20_keyboard(void);
void isa_set_a20(bool open);
bool isa_a20(void);
/* Told whenever the gate moves: port 92 (n = 0) and the board (n = 1). */
void isa_on_a20(int n, LineFn *fn, void *opaque);

#endif
