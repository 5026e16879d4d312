/* Interrupts that a periodic timer owes to a processor which could not take them in time. */
#ifndef HW_TIMER_TICKS_H
#define HW_TIMER_TICKS_H

#include "core/line.h"

#include <stdint.h>

typedef struct Ticks Ticks;

/*
 * Of an edge-triggered interrupt. What the host keeps from running for some periods has one edge pending where real hardware
 * would have had each taken: guests that count ticks lose time, and Linux's test of its timer fails. So edges are counted
 * against interrupts taken, and made up for.
 */
Ticks *ticks_new(Line *irq); /* of a board, for good */
/* `periods` have ended, for which one edge was just made. NULL as `ticks` does nothing, here and below. */
void ticks_ended(Ticks *ticks, uint64_t periods);
/* A processor has taken the interrupt (and ended it, where that can be told): another edge, if one is owed. */
void ticks_taken(Ticks *ticks);
/* The timer was programmed anew. */
void ticks_forget(Ticks *ticks);

#endif
