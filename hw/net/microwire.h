/* Serial EEPROMs with a Microwire bus (93C46, 93C56, 93C66 in their 16-bit organisation). */
#ifndef HW_NET_MICROWIRE_H
#define HW_NET_MICROWIRE_H

#include <stdbool.h>
#include <stdint.h>

/* Elements of the array in the card's state that holds what happens on the wires. */
#define MICROWIRE_WIRES 6

/* Both arrays are in the card's state. */
typedef struct Microwire {
    uint16_t *words;       /* 1 << address_bits */
    unsigned address_bits; /* 6 (93C46) or 8 (93C56 and 93C66) */
    uint16_t *wires;       /* MICROWIRE_WIRES */
} Microwire;

/* The levels that the card drives: chip select, clock, data in. */
void microwire_drive(const Microwire *m, bool select, bool clock, bool data);
/* Data out; rests high. */
bool microwire_data(const Microwire *m);

#endif
