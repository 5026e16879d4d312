/*
 * Interrupt messages that a thread sends by writing to an eventfd, past the machine lock.
 *
 * While a wire is connected the engine's kernel delivers what is written. At other times the main loop finds it and calls the
 * wire's relay, so that nothing is lost when a wire is cut in the midst of a write.
 */
#ifndef CORE_IRQWIRE_H
#define CORE_IRQWIRE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct IrqWire IrqWire;

/* Machine lock held, for these. NULL: the host gives no eventfd. relay is called under the machine lock. */
IrqWire *irq_wire_new(void (*relay)(void *opaque), void *opaque);
void irq_wire_free(IrqWire *wire); /* nobody sends any more; NULL does nothing */
/* Where messages go from now on. It is connected if the engine in use can do that with such an address. */
void irq_wire_open(IrqWire *wire, uint64_t address, uint32_t data);
void irq_wire_close(IrqWire *wire);
void irq_wire_flush(IrqWire *wire); /* what waits for the main loop is relayed now */

/* Any thread, without a lock. False: it is not connected, the message is to go another way. */
bool irq_wire_send(IrqWire *wire);

/* For irqchip.c: around a change of the engine, machine lock held. */
void irq_wires_cut(void);
void irq_wires_join(void);

#endif
